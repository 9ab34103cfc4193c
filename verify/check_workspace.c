/*
 * check_workspace.c - the workspace and the kept memory that a variant states are what it needs.
 *
 * Exactly the stated bytes are what every run has; check_fence puts an unmapped page behind them.
 * Here the variant is asked again how many it wants, and must say the same, and is called with one
 * byte less of each: it must refuse (MOE_E_USAGE or MOE_E_NOMEM) before it touches anything, since
 * a caller that sized its memory for another case, or another version, must be told and not
 * overrun.
 *
 * Must catch: a size that is not looked at; a refusal after something was written; a size that
 * depends on more than the case.
 */
#include <stdio.h>

#include "verify/elsewhere.h"

typedef int64_t bytes_of(const struct moe_problem *problem);

static void ask_twice(struct moe_judgement *judgement, const char *name, bytes_of *bytes)
{
    long long first = bytes(judgement->problem), second = bytes(judgement->problem);
    if (first == second)
        return;
    struct moe_finding finding = judgement_finding(
        "workspace", MOE_FAIL, "%s is %lld when asked, and then %lld", name, first, second);
    moe_report_add(judgement->report, &finding);
}

/* One byte less of what is not 0. */
static int withhold(struct moe_judgement *judgement, const char *what, int64_t workspace,
                    int64_t kept)
{
    struct elsewhere elsewhere = elsewhere_of(judgement, "workspace", what);
    if (workspace + kept == 0)
        return MOE_OK;
    elsewhere.trial.where.workspace_withheld = workspace;
    elsewhere.trial.where.kept_withheld = kept;
    int status = elsewhere_run(&elsewhere);
    if (status == MOE_OK)
        elsewhere_must_refuse(&elsewhere, MOE_E_USAGE, MOE_E_NOMEM);
    elsewhere_free(&elsewhere);
    return status;
}

static int after(struct moe_judgement *judgement)
{
    const struct moe_variant *variant = judgement->trial.variant;
    if (!elsewhere_wanted(judgement))
        return MOE_OK;
    ask_twice(judgement, "workspace_bytes", variant->workspace_bytes);
    ask_twice(judgement, "kept_bytes", variant->kept_bytes);
    int status = withhold(judgement, "one byte of workspace less",
                          variant->workspace_bytes(judgement->problem) > 0, 0);
    if (status == MOE_OK && elsewhere_wanted(judgement))
        status = withhold(judgement, "one byte of kept memory less", 0,
                          variant->kept_bytes(judgement->problem) > 0);
    return status;
}

const struct moe_check moe_check_workspace = {
    .name = "workspace",
    .summary = "one byte less than is stated is refused, and nothing touched",
    .runs = 1,
    .after = after,
};
