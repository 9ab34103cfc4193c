/*
 * elsewhere.c - see elsewhere.h.
 */
#include <stdio.h>
#include <string.h>

#include "verify/elsewhere.h"

int elsewhere_wanted(const struct moe_judgement *judgement)
{
    return !judgement->from_file && judgement->routing.token_begin && again_wanted(judgement);
}

struct elsewhere elsewhere_of(struct moe_judgement *judgement, const char *check, const char *what)
{
    struct elsewhere elsewhere = {.judgement = judgement,
                                  .check = check,
                                  .what = what,
                                  .trial = judgement->trial,
                                  .poison = MOE_POISON};
    elsewhere.trial.check = check;
    return elsewhere;
}

int elsewhere_run(struct elsewhere *elsewhere)
{
    struct moe_judgement *judgement = elsewhere->judgement;
    struct again *again = &elsewhere->again;
    int status =
        moe_tensors_again(judgement->problem, &judgement->tensors, elsewhere->poison, &again->made);
    if (status == MOE_OK)
        status = moe_trial_run(&elsewhere->trial, &again->made, &again->result);
    if (status == MOE_OK)
        again_report_traces(judgement, elsewhere->check, elsewhere->what, &again->result,
                            &again->made, &judgement->tensors);
    again->ran = status == MOE_OK && again->result.status == MOE_OK;
    return status;
}

void elsewhere_free(struct elsewhere *elsewhere)
{
    again_free(&elsewhere->again);
}

static void report(const struct elsewhere *elsewhere, enum moe_verdict verdict, const char *text)
{
    struct moe_finding finding =
        judgement_finding(elsewhere->check, verdict, "%s: %s", elsewhere->what, text);
    moe_report_add(elsewhere->judgement->report, &finding);
}

int elsewhere_succeeded(const struct elsewhere *elsewhere)
{
    const struct moe_trial_result *result = &elsewhere->again.result;
    char text[700];
    if (elsewhere->again.ran)
        return 1;
    snprintf(text, sizeof text, "%s returned %d: %.600s", result->step, result->status,
             moe_error_text());
    report(elsewhere, result->status == MOE_E_NOMEM ? MOE_ERROR : MOE_FAIL, text);
    return 0;
}

int64_t judgement_used_elements(const struct moe_judgement *judgement, enum moe_tensor_id id)
{
    const struct moe_tensor *tensor = &judgement->tensors.tensor[id];
    const struct moe_routing *routing = &judgement->routing;
    if (id == MOE_Z)
        return routing->N * tensor->shape[1];
    if (moe_problem_ragged(judgement->problem) && strcmp(moe_tensor_info(id)->shape, "TK") == 0)
        return routing->P;
    return moe_tensor_count(tensor);
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* The first tensor that does not hold what it held before the run; -1: none. */
static int touched(const struct elsewhere *elsewhere, int *status)
{
    struct moe_tensors fresh;
    int id = 0, found = -1;
    *status = moe_tensors_again(elsewhere->judgement->problem, &elsewhere->judgement->tensors,
                                elsewhere->poison, &fresh);
    if (*status != MOE_OK)
        return -1;
    for (; id < MOE_TENSOR_COUNT && found < 0; id++)
        if (fresh.tensor[id].data &&
            memcmp(fresh.tensor[id].data, elsewhere->again.made.tensor[id].data,
                   (size_t)moe_tensor_bytes(&fresh.tensor[id])) != 0)
            found = id;
    moe_tensors_free(&fresh);
    return found;
}

void elsewhere_must_refuse(const struct elsewhere *elsewhere, int first, int second)
{
    int got = elsewhere->again.result.status, status = MOE_OK;
    char text[200];
    if (got != first && got != second) {
        snprintf(text, sizeof text, "%s returned %d, not the status of a refusal",
                 elsewhere->again.result.step, got);
        report(elsewhere, MOE_FAIL, text);
        return;
    }
    int id = touched(elsewhere, &status);
    if (status != MOE_OK) {
        report(elsewhere, MOE_ERROR, moe_error_text());
    } else if (id >= 0) {
        snprintf(text, sizeof text, "refused, but %s was written before",
                 moe_tensor_info(id)->name);
        report(elsewhere, MOE_FAIL, text);
    }
}

int elsewhere_judge(const struct elsewhere *elsewhere)
{
    struct moe_judgement *judgement = elsewhere->judgement;
    struct moe_finding finding;
    if (!again_same_bits(judgement->problem, &elsewhere->again.made, &judgement->tensors, &finding))
        return MOE_OK;
    return again_judge(judgement, elsewhere->check, elsewhere->what, &elsewhere->again, NULL);
}
