/*
 * check_fill.c - results do not depend on what memory held before, and every element is written.
 *
 * The variant runs once more with other bytes in everything that is undefined: outputs, workspace,
 * kept memory, and what lies around and between the buffers. The judge's own run had 0xff there
 * (NaN, -1), which a maximum or a comparison may hide; this one has small numbers.
 *   - An element whose bytes are the fill in both runs was not written. A right value cannot be
 *     both.
 *   - What no routing uses (z behind N rows, ragged entries behind P) must be the fill in both.
 *   - All else must be the same bytes where the variant is deterministic, else right by its own.
 *
 * Must catch: an output's row or element left out, where poison alone passes for a value (picks
 * of -1); workspace or kept memory read before it is written; a read beyond a buffer that is used.
 */
#include <stdio.h>

#include "verify/elsewhere.h"

#define OTHER_FILL 0x3d

static int is_filled(const uint8_t *bytes, int64_t count, int fill)
{
    for (int64_t i = 0; i < count; i++)
        if (bytes[i] != fill)
            return 0;
    return 1;
}

/* Counts the elements of [begin, end) for which "left as it was in both runs" is `wanted`. */
static int64_t count_left(const struct elsewhere *elsewhere, int id, int64_t begin, int64_t end,
                          int wanted, int64_t *first)
{
    const struct moe_tensor *own = &elsewhere->judgement->tensors.tensor[id];
    const uint8_t *a = own->data, *b = elsewhere->again.made.tensor[id].data;
    int64_t size = moe_dtype_info(own->dtype)->bits / 8, count = 0;
    for (int64_t i = begin; i < end; i++) {
        int left =
            is_filled(a + i * size, size, MOE_POISON) && is_filled(b + i * size, size, OTHER_FILL);
        if (left == wanted && count++ == 0)
            *first = i;
    }
    return count;
}

static void report(struct moe_judgement *judgement, int id, int64_t wrong, int64_t first,
                   const char *text)
{
    const struct moe_tensor *tensor = &judgement->tensors.tensor[id];
    struct moe_finding finding =
        judgement_finding("fill", MOE_FAIL, "%s %s, first element %lld", moe_tensor_info(id)->name,
                          text, (long long)first);
    finding.tensor = id;
    finding.wrong = wrong;
    finding.total = moe_tensor_count(tensor);
    finding.row = first / tensor->shape[tensor->rank - 1];
    finding.col = first % tensor->shape[tensor->rank - 1];
    moe_report_add(judgement->report, &finding);
}

static void check_written(const struct elsewhere *elsewhere)
{
    struct moe_judgement *judgement = elsewhere->judgement;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *own = &judgement->tensors.tensor[id];
        int added_to =
            moe_tensor_info(id)->role == MOE_PARAMETER_GRADIENT && judgement->problem->beta;
        if (!own->data || judgement_is_input(judgement, id) || added_to)
            continue;
        int64_t used = judgement_used_elements(judgement, id), first = 0;
        int64_t unwritten = count_left(elsewhere, id, 0, used, 1, &first);
        if (unwritten > 0)
            report(judgement, id, unwritten, first, "was not written");
        int64_t beyond = count_left(elsewhere, id, used, moe_tensor_count(own), 0, &first);
        if (beyond > 0)
            report(judgement, id, beyond, first, "was written behind what the routing uses");
    }
}

/* Where the results of a deterministic variant differ. */
static void report_difference(struct moe_judgement *judgement, struct moe_finding *finding)
{
    snprintf(finding->text, sizeof finding->text, "%s depends on what memory held before",
             moe_tensor_info(finding->tensor)->name);
    moe_report_add(judgement->report, finding);
}

static int after(struct moe_judgement *judgement)
{
    struct elsewhere elsewhere =
        elsewhere_of(judgement, "fill", "with other bytes in undefined memory");
    struct moe_finding finding = judgement_finding("fill", MOE_FAIL, "%s", "");
    if (!elsewhere_wanted(judgement))
        return MOE_OK;
    elsewhere.trial.fill = elsewhere.poison = OTHER_FILL;
    int status = elsewhere_run(&elsewhere);
    if (status == MOE_OK && elsewhere_succeeded(&elsewhere)) {
        check_written(&elsewhere);
        if (!(judgement->trial.variant->flags & MOE_DETERMINISTIC))
            status = elsewhere_judge(&elsewhere);
        else if (again_same_bits(judgement->problem, &elsewhere.again.made, &judgement->tensors,
                                 &finding))
            report_difference(judgement, &finding);
    }
    elsewhere_free(&elsewhere);
    return status;
}

const struct moe_check moe_check_fill = {
    .name = "fill",
    .summary = "every element is written, and none depends on what memory held before",
    .runs = 1,
    .after = after,
};
