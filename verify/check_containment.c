/*
 * check_containment.c - NaN in an input goes exactly where the formulas lead it, and nowhere else.
 *
 * Five further runs, each with a few spoiled elements of the inputs (containment_plants.c). From
 * them follows without any value which elements of the outputs must be NaN, which may be anything,
 * and which do not depend on them (taint.h; doc/containment.md). The last
 *   - must have the bits of the judge's own run, where the variant is deterministic and tokens went
 *     to the same experts;
 *   - otherwise must be within their bound of the reference on the spoiled inputs.
 * Picks must stay legal: ids in range, none twice, NaN last. Infinity may legally become NaN or,
 * past a clamp, a number, so of what depends on it only sums of it are looked at: not finite.
 *
 * Must catch: NaN that reaches another token or expert, by a padding row, a mask that multiplies by
 * 0 or an accumulator that is not cleared; NaN that is dropped; picks out of range or twice.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "verify/containment.h"
#include "verify/elsewhere.h"
#include "verify/routing.h"

/* Outputs hold small numbers before a run: a NaN that is there was written. */
#define NUMBERS 0x3d

/* ---- the run --------------------------------------------------------------------------------- */

static void report(const struct containment *containment, enum moe_verdict verdict,
                   enum moe_tensor_id id, const char *text)
{
    struct moe_finding finding =
        judgement_finding("containment", verdict, "%s: %.150s", containment->what, text);
    finding.tensor = id < MOE_TENSOR_COUNT ? (int32_t)id : -1;
    moe_report_add(containment->judgement->report, &finding);
}

static int same_routing(const struct moe_routing *a, const struct moe_routing *b)
{
    return a->P == b->P &&
           memcmp(a->token_begin, b->token_begin, (size_t)(a->T + 1) * sizeof *a->token_begin) ==
               0 &&
           (a->P == 0 || memcmp(a->pick, b->pick, (size_t)a->P * sizeof *a->pick) == 0);
}

/* Picks that the run left: legal at all, and those of a router that ranks NaN last. */
static int read_routing(struct containment *containment)
{
    const struct moe_judgement *judgement = containment->judgement;
    struct routing_complaint first = {0};
    int64_t wrong = 0;
    char text[160];
    int status = moe_routing_from_tensors(judgement->problem, containment->made.tensor,
                                          &containment->routing);
    if (status == MOE_E_USAGE) {
        report(containment, MOE_FAIL, MOE_PICKS, moe_error_text());
        return MOE_OK;
    }
    if (status == MOE_OK && judgement->problem->router != MOE_LISTS)
        status = judge_picks(judgement->problem, containment->made.tensor, &judgement->recipe,
                             &containment->routing, &wrong, &first);
    if (status != MOE_OK)
        return status;
    if (wrong > 0) {
        snprintf(text, sizeof text, "token %lld %s (%lld wrong)", (long long)first.token,
                 first.what, (long long)wrong);
        report(containment, MOE_FAIL, MOE_PICKS, text);
    }
    containment->same_routing = same_routing(&judgement->routing, &containment->routing);
    containment->taints.routing = &containment->routing;
    return taints_carry(&containment->taints);
}

static int run(struct containment *containment)
{
    struct moe_judgement *judgement = containment->judgement;
    struct moe_trial trial = judgement->trial;
    struct moe_trial_result result;
    char text[160];
    trial.check = "containment";
    int status =
        moe_tensors_again(judgement->problem, &containment->inputs, NUMBERS, &containment->made);
    if (status == MOE_OK)
        status = moe_trial_run(&trial, &containment->made, &result);
    if (status != MOE_OK)
        return status;
    again_report_traces(judgement, "containment", containment->what, &result, &containment->made,
                        &containment->inputs);
    if (result.status == MOE_OK)
        return read_routing(containment);
    snprintf(text, sizeof text, "%s returned %d: %.120s", result.step, result.status,
             moe_error_text());
    report(containment, result.status == MOE_E_NOMEM ? MOE_ERROR : MOE_FAIL, MOE_TENSOR_COUNT,
           text);
    return MOE_OK;
}

/* ---- what it left ---------------------------------------------------------------------------- */

/* Elements of one tensor that are wrong in one way. */
struct wrong {
    int64_t count, total, first;
    struct moe_mask mask;
    double got, want, allowed;
};

static int note(const struct containment *containment, enum moe_tensor_id id, int64_t index,
                double got, double want, double allowed, struct wrong *wrong)
{
    const struct moe_tensor *tensor = &containment->made.tensor[id];
    int64_t width = tensor->shape[tensor->rank - 1];
    if (wrong->count++ == 0) {
        wrong->first = index;
        wrong->got = got;
        wrong->want = want;
        wrong->allowed = allowed;
    }
    return moe_mask_add(&wrong->mask, moe_tensor_count(tensor) / width, width, index / width,
                        index % width);
}

static void tell(const struct containment *containment, enum moe_tensor_id id, struct wrong *wrong,
                 const char *which)
{
    struct moe_judgement *judgement = containment->judgement;
    const struct moe_tensor *tensor = &containment->made.tensor[id];
    int64_t width = tensor->rank > 0 ? tensor->shape[tensor->rank - 1] : 1; /* 0: not of the case */
    if (wrong->count > 0) {
        struct moe_finding finding = judgement_finding(
            "containment", MOE_FAIL, "%s: %s: %lld of %lld elements %s", containment->what,
            moe_tensor_info(id)->name, (long long)wrong->count, (long long)wrong->total, which);
        finding.tensor = (int32_t)id;
        finding.wrong = wrong->count;
        finding.total = wrong->total;
        finding.row = wrong->first / width;
        finding.col = wrong->first % width;
        finding.got = wrong->got;
        finding.want = wrong->want;
        finding.allowed = wrong->allowed;
        if (containment->same_routing) {
            judgement_locate(judgement, &finding);
            judgement_shape(judgement, &wrong->mask, &finding);
        }
        moe_report_add(judgement->report, &finding);
    }
    moe_mask_free(&wrong->mask);
}

static int is_output(const struct containment *containment, enum moe_tensor_id id)
{
    return containment->made.tensor[id].data && moe_tensor_info(id)->role != MOE_INPUT &&
           !judgement_is_input(containment->judgement, id);
}

/* Elements that mean something: of z and of ragged tensors those that the routing has. */
static int64_t used(const struct containment *containment, enum moe_tensor_id id)
{
    const struct moe_tensor *tensor = &containment->made.tensor[id];
    if (id == MOE_Z)
        return containment->routing.N * tensor->shape[1];
    return id == MOE_PICKS || id == MOE_SCORES || id == MOE_DS ? containment->routing.P
                                                               : moe_tensor_count(tensor);
}

/* What depends on NaN is NaN; a sum that infinity is a term of is not finite. */
static int is_carried(const struct containment *containment, enum moe_tensor_id id, double value)
{
    if (isnan(containment->value))
        return isnan(value);
    int is_sum = id == MOE_Z || id == MOE_LOGITS;
    return !is_sum || containment->judgement->recipe.saturate || !isfinite(value);
}

static int check_carried(const struct containment *containment, enum moe_tensor_id id)
{
    const struct moe_tensor *tensor = &containment->made.tensor[id];
    const unsigned char *taint = containment->taints.of[id];
    struct wrong wrong = {0};
    int status = MOE_OK;
    for (int64_t i = 0; i < used(containment, id) && status == MOE_OK; i++) {
        if (taint[i] != TAINT_NAN)
            continue;
        double value = moe_dtype_load(tensor->dtype, tensor->data, i);
        wrong.total++;
        if (!is_carried(containment, id, value))
            status = note(containment, id, i, value, containment->value, NAN, &wrong);
    }
    tell(containment, id, &wrong,
         isnan(containment->value) ? "that depend on it are not NaN"
                                   : "that are sums with it are finite");
    return status;
}

/* Does the element's bit pattern follow from inputs that are not spoiled, in the same sums? */
static int keeps_bits(const struct containment *containment, enum moe_tensor_id id, int64_t i)
{
    if (containment->taints.of[id][i] != TAINT_NONE)
        return 0;
    if (containment->same_routing || id == MOE_LOGITS)
        return 1;
    return (id == MOE_PICKS || id == MOE_SCORES) &&
           containment->taints.of[MOE_PICKS][i] == TAINT_NONE;
}

static int check_bits(const struct containment *containment, enum moe_tensor_id id)
{
    const struct moe_tensor *made = &containment->made.tensor[id];
    const struct moe_tensor *own = &containment->judgement->tensors.tensor[id];
    size_t size = (size_t)moe_dtype_info(made->dtype)->bits / 8;
    struct wrong wrong = {0};
    int status = MOE_OK;
    for (int64_t i = 0; i < used(containment, id) && status == MOE_OK; i++) {
        if (!keeps_bits(containment, id, i))
            continue;
        wrong.total++;
        if (memcmp((const char *)made->data + (size_t)i * size,
                   (const char *)own->data + (size_t)i * size, size) != 0)
            status = note(containment, id, i, moe_dtype_load(made->dtype, made->data, i),
                          moe_dtype_load(own->dtype, own->data, i), 0, &wrong);
    }
    tell(containment, id, &wrong, "that do not depend on it have other bits");
    return status;
}

/* ---- by the reference ------------------------------------------------------------------------ */

struct comparing {
    const struct containment *containment;
    struct moe_comparison result[MOE_TENSOR_COUNT];
};

/* Compares what does not depend on anything spoiled: runs of such elements, row by row. */
static int take(void *context, const struct moe_block *block)
{
    struct comparing *comparing = context;
    const struct containment *containment = comparing->containment;
    enum moe_tensor_id id = block->tensor;
    const struct moe_tensor *tensor = &containment->made.tensor[id];
    const struct moe_tensor *before = &containment->judgement->before.tensor[id];
    int status = MOE_OK;
    if (!is_output(containment, id))
        return MOE_OK;
    int64_t width = tensor->shape[tensor->rank - 1];
    for (int64_t r = 0; r < block->rows; r++) {
        const unsigned char *taint =
            containment->taints.of[id] + (block->row + r) * width + block->col;
        for (int64_t c = 0, end; c < block->cols && status == MOE_OK; c = end) {
            for (end = c + 1; end < block->cols && (taint[end] == 0) == (taint[c] == 0); end++)
                ;
            struct moe_block part = *block;
            part.row = block->row + r;
            part.rows = 1;
            part.col = block->col + c;
            part.cols = end - c;
            part.value = block->value + r * block->stride + c;
            part.bound = block->bound ? block->bound + r * block->stride + c : NULL;
            if (taint[c] == TAINT_NONE)
                status = moe_compare_block(tensor, before->data ? before : NULL, &part,
                                           &comparing->result[id]);
        }
    }
    return status;
}

static void tell_comparison(const struct containment *containment, enum moe_tensor_id id,
                            const struct moe_comparison *result)
{
    const struct moe_tensor *tensor = &containment->made.tensor[id];
    struct wrong wrong = {.count = result->wrong,
                          .total = result->total,
                          .got = result->got,
                          .want = result->want,
                          .allowed = result->allowed,
                          .mask = result->mask ? *result->mask : (struct moe_mask){0}};
    if (result->wrong > 0)
        wrong.first = result->row * tensor->shape[tensor->rank - 1] + result->col;
    tell(containment, id, &wrong, "that do not depend on it are beyond their bound");
}

static int check_by_reference(const struct containment *containment)
{
    const struct moe_judgement *judgement = containment->judgement;
    struct comparing comparing = {.containment = containment};
    struct moe_mask mask[MOE_TENSOR_COUNT] = {{0}};
    struct moe_reference reference = {
        .problem = judgement->problem,
        .tensors = containment->made.tensor,
        .routing = &containment->routing,
        .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
        .precision = MOE_F64,
        .recipe = &judgement->recipe,
        .take = take,
        .context = &comparing,
    };
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        comparing.result[id].mask = &mask[id];
    int status = moe_reference_run(&reference);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        if (status == MOE_OK)
            tell_comparison(containment, (enum moe_tensor_id)id, &comparing.result[id]);
        else
            moe_mask_free(&mask[id]);
    }
    return status;
}

/* ---- the check ------------------------------------------------------------------------------- */

static int judge(const struct containment *containment)
{
    int deterministic = (containment->judgement->trial.variant->flags & MOE_DETERMINISTIC) != 0;
    int status = MOE_OK;
    for (int i = 0; i < MOE_TENSOR_COUNT && status == MOE_OK; i++) {
        enum moe_tensor_id id = (enum moe_tensor_id)i;
        if (!is_output(containment, id))
            continue;
        if (moe_dtype_info(containment->made.tensor[id].dtype)->is_float)
            status = check_carried(containment, id);
        if (status == MOE_OK && deterministic)
            status = check_bits(containment, id);
    }
    if (status == MOE_OK && !(deterministic && containment->same_routing))
        status = check_by_reference(containment);
    return status;
}

static int with_plant(struct moe_judgement *judgement, const struct plant *plant)
{
    struct containment containment = {.judgement = judgement, .value = plant->value};
    int status =
        moe_tensors_again(judgement->problem, &judgement->tensors, NUMBERS, &containment.inputs);
    if (status != MOE_OK)
        return status;
    status = taints_open(judgement->problem, &containment.inputs, &containment.taints);
    if (status == MOE_OK && plant->put(&containment))
        status = run(&containment);
    if (status == MOE_OK && containment.routing.token_begin && again_wanted(judgement))
        status = judge(&containment);
    moe_routing_free(&containment.routing);
    taints_close(&containment.taints);
    moe_tensors_free(&containment.made);
    moe_tensors_free(&containment.inputs);
    return status;
}

static int after(struct moe_judgement *judgement)
{
    const struct plant *plant;
    int status = MOE_OK;
    for (int i = 0; status == MOE_OK && (plant = containment_plant(i)); i++)
        if (elsewhere_wanted(judgement))
            status = with_plant(judgement, plant);
    return status;
}

const struct moe_check moe_check_containment = {
    .name = "containment",
    .summary = "NaN in an input reaches what depends on it, and nothing else; picks stay legal",
    .runs = CONTAINMENT_PLANTS,
    .after = after,
};
