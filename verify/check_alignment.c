/*
 * check_alignment.c - tensors may begin wherever the variant declares that they may.
 *
 * The variant runs with every tensor moved by a power of two of bytes, from the element's size to
 * 128, behind a multiple of 256, so that each begins at a multiple of just that power. Where this
 * is a multiple of the alignment that it declares, its results must be right. Where it is not, it
 * may be right or refuse (MOE_E_UNSUPPORTED), touching nothing.
 *
 * Must catch: vector loads of 16 bytes in a kernel that declares its elements' alignment; a
 * descriptor that needs 64 bytes where 16 are declared; a misaligned base that is rounded down.
 */
#include <stdio.h>

#include "verify/elsewhere.h"

#define FARTHEST 128

static int run_at(struct moe_judgement *judgement, int32_t shift)
{
    char what[64];
    snprintf(what, sizeof what, "tensors %d bytes behind a multiple of 256", (int)shift);
    struct elsewhere elsewhere = elsewhere_of(judgement, "alignment", what);
    uint32_t alignment = judgement->trial.variant->alignment;
    int refusable = alignment > 1 && (uint32_t)shift % alignment != 0;
    elsewhere.trial.where.shift = shift;
    int status = elsewhere_run(&elsewhere);
    if (status == MOE_OK && refusable && elsewhere.again.result.status != MOE_OK)
        elsewhere_must_refuse(&elsewhere, MOE_E_UNSUPPORTED, MOE_E_UNSUPPORTED);
    else if (status == MOE_OK && elsewhere_succeeded(&elsewhere))
        status = elsewhere_judge(&elsewhere);
    elsewhere_free(&elsewhere);
    return status;
}

static int after(struct moe_judgement *judgement)
{
    int status = MOE_OK, element = moe_dtype_info(judgement->problem->dtype)->bits / 8;
    for (int32_t shift = element;
         shift <= FARTHEST && status == MOE_OK && elsewhere_wanted(judgement); shift *= 2)
        status = run_at(judgement, shift);
    return status;
}

const struct moe_check moe_check_alignment = {
    .name = "alignment",
    .summary = "tensors may begin at any multiple of the declared alignment",
    .runs = 7,
    .after = after,
};
