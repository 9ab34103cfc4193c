/*
 * check_guards.c - a variant writes nothing beside its buffers, and into the status word only what
 * is so.
 *
 * Every buffer of a run (tensors, index arrays, workspace, kept memory, status word) lies between
 * bands of a known pattern (arena.h), and so do the rows of a tensor that lie apart; all of them
 * are compared byte by byte when the run is over. A write of any value but the pattern's own byte
 * is seen, for certain within MOE_ARENA_BAND bytes of a buffer: tails of a tile, a row or an entry
 * too many, a status word taken for two. Writes further off are for check_fence.
 *
 * The lists of a case have ids that are allowed, so the status word stays 0.
 *
 * Must catch: one element written behind or before each kind of buffer; bytes between rows; a list
 * that is called wrong and is not.
 */
#include <string.h>

#include "verify/judge.h"

static int tensor_named(const char *name)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (strcmp(moe_tensor_info(id)->name, name) == 0)
            return id;
    return -1;
}

static void report_status_word(struct moe_judgement *judgement, const char *check, const char *what,
                               uint32_t word)
{
    struct moe_finding finding = judgement_finding(
        check, MOE_FAIL, "%s%sthe status word is 0x%x, and no list has an id that is not allowed",
        what ? what : "", what ? ": " : "", (unsigned)word);
    moe_report_add(judgement->report, &finding);
}

void judgement_report_strays(struct moe_judgement *judgement, const char *check, const char *what,
                             const struct moe_trial_result *result)
{
    for (int i = 0; i < result->stray_count && i < MOE_TRIAL_STRAYS; i++) {
        char words[160];
        moe_stray_tell(&result->stray[i], words, sizeof words);
        struct moe_finding finding =
            judgement_finding(check, MOE_FAIL, "%s%s%s", what ? what : "", what ? ": " : "", words);
        finding.tensor = tensor_named(result->stray[i].buffer);
        moe_report_add(judgement->report, &finding);
    }
    if (result->status == MOE_OK && result->status_word != 0)
        report_status_word(judgement, check, what, result->status_word);
}

static int after(struct moe_judgement *judgement)
{
    if (judgement->from_file)
        return judgement_idle(judgement);
    judgement_report_strays(judgement, "guards", NULL, &judgement->result);
    return MOE_OK;
}

const struct moe_check moe_check_guards = {
    .name = "guards",
    .summary = "no byte beside a buffer changes, and the status word says nothing untrue",
    .after = after,
};
