/*
 * relate_compare.c - see relate.h: the left run's outputs beside what the relation makes of the
 * others'.
 *
 * Each element has the strongest demand that holds of it: the same bits, where the variant's flags
 * require them; the same bits, where exact data make both sides certain; else a distance of at most
 * the bounds of all that stands in the equation. Where a bound is infinite or unknown nothing is
 * demanded. Zeros of either sign are equal, and so are NaNs.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "verify/relate.h"

enum strength { BITWISE, EXACT, BOUNDED };
static const char *const strength_name[] = {"bitwise", "exact", "bounded"};

/* What was met in one tensor. */
struct tally {
    int64_t total, wrong;
    int64_t index; /* of the worst: the first where none is comparable */
    double got, want, allowed, ratio;
    enum strength strength;
    struct moe_mask mask;
};

int64_t relate_used(const struct relate_run *run, enum moe_tensor_id id)
{
    const struct moe_tensor *tensor = &run->tensors.tensor[id];
    if (id == MOE_Z)
        return run->routing.N * tensor->shape[1];
    if (strcmp(moe_tensor_info(id)->shape, "TK") == 0)
        return run->routing.P;
    return moe_tensor_count(tensor);
}

static double value_at(const struct relate_run *run, enum moe_tensor_id id, int64_t index)
{
    const struct moe_tensor *tensor = &run->tensors.tensor[id];
    return moe_dtype_load(tensor->dtype, tensor->data, index);
}

static double right_side(const struct relating *relating, enum moe_tensor_id id,
                         const struct relate_equation *equation)
{
    double sum = 0;
    for (int i = 0; i < equation->terms; i++)
        sum += equation->term[i].factor *
               value_at(&relating->run[equation->term[i].run], id, equation->term[i].index);
    return sum;
}

/* Powers of two commute with a rounding to normal numbers only. */
static int is_normal(enum moe_dtype dtype, double value)
{
    const struct moe_dtype_info *info = moe_dtype_info(dtype);
    return value == 0 || (fabs(value) >= info->smallest_normal && fabs(value) <= info->largest);
}

static int plain_factor(const struct relate_equation *equation)
{
    return equation->terms == 1 && fabs(equation->term[0].factor) == 1;
}

/* Is every number of the equation the same for all legal kernels, and the sum too? */
static int is_certain(const struct relating *relating, enum moe_tensor_id id, int64_t index,
                      const struct relate_equation *equation, double want)
{
    const struct relate_run *left = &relating->run[relating->left];
    enum moe_dtype dtype = left->tensors.tensor[id].dtype;
    int least = RELATE_EXACT, mine = left->certain[id] ? left->certain[id][index] : RELATE_UNKNOWN;
    for (int i = 0; i < equation->terms; i++) {
        const unsigned char *certain = relating->run[equation->term[i].run].certain[id];
        int known = certain ? certain[equation->term[i].index] : RELATE_UNKNOWN;
        least = known < least ? known : least;
    }
    if (mine == RELATE_UNKNOWN || least == RELATE_UNKNOWN)
        return 0;
    if (equation->terms <= 1 && (plain_factor(equation) || is_normal(dtype, want)))
        return 1;
    return least == RELATE_EXACT && mine == RELATE_EXACT;
}

/* The sum of the bounds; want itself is a sum of doubles. */
static double bound_of(const struct relating *relating, enum moe_tensor_id id, int64_t index,
                       const struct relate_equation *equation)
{
    const double *mine = relating->run[relating->left].bound[id];
    double bound = mine ? mine[index] : NAN;
    for (int i = 0; i < equation->terms; i++) {
        const struct relate_run *run = &relating->run[equation->term[i].run];
        double factor = fabs(equation->term[i].factor);
        int64_t at = equation->term[i].index;
        bound += factor * (run->bound[id] ? run->bound[id][at] : NAN);
        bound += equation->terms * 0x1p-52 * factor * fabs(value_at(run, id, at));
    }
    return bound * (1 + 0x1p-30);
}

static double allowed_of(const struct relating *relating, enum moe_tensor_id id, int64_t index,
                         const struct relate_equation *equation, double got, double want,
                         enum strength *strength)
{
    enum moe_dtype dtype = relating->run[relating->left].tensors.tensor[id].dtype;
    int commutes = plain_factor(equation) || (is_normal(dtype, got) && is_normal(dtype, want));
    *strength = BITWISE;
    if (relating->rule[id].bitwise && equation->terms <= 1 && commutes)
        return 0;
    double bound = bound_of(relating, id, index, equation);
    /* what overflows on the way is no number, and 0 times it is not 0 */
    int certain = isfinite(bound) && is_certain(relating, id, index, equation, want);
    *strength = certain ? EXACT : BOUNDED;
    return certain ? 0 : bound;
}

/* The worst is what is off by the largest part of what is allowed. */
static void note(struct tally *tally, int64_t index, double got, double want, double allowed,
                 enum strength strength)
{
    double ratio = fabs(got - want) / allowed;
    int worse = tally->wrong == 0 || ratio > tally->ratio || (isnan(ratio) && !isnan(tally->ratio));
    tally->wrong++;
    if (!worse)
        return;
    tally->index = index;
    tally->got = got;
    tally->want = want;
    tally->allowed = allowed;
    tally->ratio = ratio;
    tally->strength = strength;
}

static int compare(const struct relating *relating, enum moe_tensor_id id, struct tally *tally)
{
    const struct relation *relation = relating->relation;
    const struct relate_run *left = &relating->run[relating->left];
    const struct moe_tensor *tensor = &left->tensors.tensor[id];
    int64_t count = relate_used(left, id), width = tensor->shape[tensor->rank - 1];
    int status = MOE_OK;
    for (int64_t i = 0; i < count && status == MOE_OK; i++) {
        struct relate_equation equation;
        enum strength strength;
        if (!(relation->equate ? relation->equate : relate_equate)(relating, id, i, &equation))
            continue;
        double got = value_at(left, id, i), want = right_side(relating, id, &equation);
        double allowed = allowed_of(relating, id, i, &equation, got, want, &strength);
        if (isnan(allowed) || isinf(allowed))
            continue;
        tally->total++;
        if (got == want || (isnan(got) && isnan(want)) || fabs(got - want) <= allowed)
            continue;
        note(tally, i, got, want, allowed, strength);
        status = moe_mask_add(&tally->mask, moe_tensor_count(tensor) / width, width, i / width,
                              i % width);
    }
    return status;
}

/* The finding stands in the left run's coordinates. */
static void report(const struct relating *relating, enum moe_tensor_id id,
                   const struct tally *tally)
{
    const struct relate_run *left = &relating->run[relating->left];
    const struct relation *relation = relating->relation;
    struct moe_judgement seen = *relating->judgement;
    int64_t width = left->tensors.tensor[id].shape[left->tensors.tensor[id].rank - 1];
    seen.problem = &left->problem;
    seen.tensors = left->tensors;
    seen.routing = left->routing;
    struct moe_finding finding = judgement_finding(
        "relations", MOE_FAIL, "%s: %s: %lld of %lld elements differ (%s): %s", relation->name,
        moe_tensor_info(id)->name, (long long)tally->wrong, (long long)tally->total,
        strength_name[tally->strength], relation->statement);
    finding.tensor = (int32_t)id;
    finding.wrong = tally->wrong;
    finding.total = tally->total;
    finding.row = tally->index / width;
    finding.col = tally->index % width;
    finding.got = tally->got;
    finding.want = tally->want;
    finding.allowed = tally->allowed;
    judgement_locate(&seen, &finding);
    judgement_shape(&seen, &tally->mask, &finding);
    moe_report_add(relating->judgement->report, &finding);
}

int relate_compare(struct relating *relating)
{
    const struct relate_run *left = &relating->run[relating->left];
    int status = MOE_OK;
    for (int id = 0; id < MOE_TENSOR_COUNT && status == MOE_OK; id++) {
        struct tally tally = {0};
        if (!relate_is_output(&left->problem, (enum moe_tensor_id)id) || id == MOE_PICKS ||
            id == MOE_OFFSETS)
            continue;
        status = compare(relating, (enum moe_tensor_id)id, &tally);
        if (status == MOE_OK && tally.wrong > 0)
            report(relating, (enum moe_tensor_id)id, &tally);
        moe_mask_free(&tally.mask);
    }
    return status;
}
