/*
 * check_strides.c - a variant takes its tensors by their strides.
 *
 * It runs with rows that do not follow each other: once one element apart (more where its alignment
 * wants it), with guard bytes between; and in small cases once 2^31 + 96 elements apart, over
 * addresses of which only the rows have memory. Then an offset of elements in a signed 32-bit
 * integer is negative from the second row on, in an unsigned one it wraps from the third, and one
 * in bytes earlier: each lands on an unmapped page (a fault: `isolation`) or in the guards of
 * another row (NaN, and compared). No memory of that size is needed. Results must be right both
 * times. A variant that declares MOE_DENSE_ONLY may refuse instead (MOE_E_UNSUPPORTED), touching
 * nothing, and is spared the second.
 *
 * Must catch: a stride taken for the width; an offset of 32 bits, in elements or bytes, of rows or
 * of experts; an access between the rows.
 */
#include "verify/elsewhere.h"

/* Rows of all tensors together for which the far run is made: each takes a page, 2 MiB on a GPU. */
#define FAR_ROWS 512

/* An even multiple of 2 bytes more, so that what wraps meets guards and not a row's begin. */
#define FAR ((1ll << 31) + 96)

static int64_t count_rows(const struct moe_judgement *judgement)
{
    int64_t rows = 0;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &judgement->tensors.tensor[id];
        if (tensor->data && tensor->rank > 1 && tensor->shape[tensor->rank - 1] > 0)
            rows += moe_tensor_count(tensor) / tensor->shape[tensor->rank - 1];
    }
    return rows;
}

static int run_with(struct moe_judgement *judgement, struct moe_placement where, const char *what)
{
    struct elsewhere elsewhere = elsewhere_of(judgement, "strides", what);
    elsewhere.trial.where = where;
    int refusable = (judgement->trial.variant->flags & MOE_DENSE_ONLY) != 0;
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
    int dense_only = (judgement->trial.variant->flags & MOE_DENSE_ONLY) != 0;
    int64_t rows = count_rows(judgement);
    if (!elsewhere_wanted(judgement) || rows == 0)
        return MOE_OK;
    int status = run_with(judgement, (struct moe_placement){.padding = 1}, "rows apart");
    if (status == MOE_OK && !dense_only && rows <= FAR_ROWS && elsewhere_wanted(judgement))
        status = run_with(judgement, (struct moe_placement){.distance = FAR},
                          "rows 2^31 elements apart");
    return status;
}

const struct moe_check moe_check_strides = {
    .name = "strides",
    .summary = "rows may lie apart, by a little and by more than 2^31 elements",
    .runs = 2,
    .after = after,
};
