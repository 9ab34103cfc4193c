/*
 * shape.c - what shape the wrong elements of an output have, by the routing that check_routing has
 * accepted: geometry.c, and which rows are an expert's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/judge.h"

/* Rows of the tensor by expert: begin [E+1], to be freed; NULL where rows belong to no expert, or
 * where each expert has one. */
static int64_t *experts_of(const struct moe_judgement *judgement, enum moe_tensor_id id)
{
    const struct moe_tensor *tensor = &judgement->tensors.tensor[id];
    int64_t E = judgement->problem->E;
    int by_weight = moe_tensor_info(id)->shape[0] == 'E' && tensor->rank == 3;
    int64_t *begin = NULL;
    if (id == MOE_Z || by_weight)
        begin = malloc((size_t)(E + 1) * sizeof *begin);
    for (int64_t e = 0; begin && e <= E; e++)
        begin[e] = by_weight ? e * tensor->shape[1] : judgement->routing.expert_begin[e];
    return begin;
}

/* The expert whose tokens are the wrong rows of a tensor [T,H]: two of them at least, and three in
 * four of all that it has; -1: none. */
static int64_t expert_of_tokens(const struct moe_routing *routing, const struct moe_mask *mask)
{
    int64_t wrong = 0;
    for (int64_t t = 0; t < routing->T; t++)
        wrong += mask->row[t] > 0;
    if (wrong < 2 || wrong == routing->T)
        return -1;
    for (int64_t e = 0; e < routing->E; e++) {
        int64_t begin = routing->expert_begin[e], end = routing->expert_begin[e + 1], hit = 0;
        for (int64_t row = begin; row < end; row++)
            hit += mask->row[routing->row_token[row]] > 0;
        if (hit == wrong && 4 * hit >= 3 * (end - begin))
            return e;
    }
    return -1;
}

/* The first shape of a report is also kept as a picture; the finding is the next to be added. */
static void draw(struct moe_report *report, const struct moe_mask *mask)
{
    if (report == NULL || report->picture.rows > 0 || report->finding_count >= MOE_REPORT_FINDINGS)
        return;
    moe_mask_picture(mask, &report->picture);
    report->pictured = report->finding_count;
}

void judgement_shape(const struct moe_judgement *judgement, const struct moe_mask *mask,
                     struct moe_finding *finding)
{
    enum moe_tensor_id id = (enum moe_tensor_id)finding->tensor;
    const struct moe_routing *routing = &judgement->routing;
    int64_t *begin = experts_of(judgement, id);
    finding->geometry =
        moe_geometry_of(mask, begin, begin ? routing->E : 0, finding->where, sizeof finding->where);
    free(begin);
    draw(judgement->report, mask);
    if (mask->wrong == 0 || (id != MOE_O && id != MOE_DX))
        return;
    int64_t expert = expert_of_tokens(routing, mask);
    if (expert < 0)
        return;
    size_t used = strlen(finding->where);
    snprintf(finding->where + used, sizeof finding->where - used, "; the tokens of expert %lld",
             (long long)expert);
    if (finding->geometry == MOE_GEOMETRY_SCATTERED || finding->geometry == MOE_GEOMETRY_ROWS)
        finding->geometry = MOE_GEOMETRY_EXPERT;
}
