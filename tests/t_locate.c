/*
 * t_locate.c - a single element that is wrong, in every output: it is found, and the finding says
 * where it is; just inside its bound it passes.
 */
#include <math.h>

#include "tests/impostor.h"

/* Element `index` of tensor `id` is moved by so many of its bounds; or is NaN, or infinite. */
static struct {
    enum moe_tensor_id id;
    int64_t index;
    double want, bound, by;
} move;

static void move_element(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem;
    tensor_set(&tensors[move.id], move.index,
               isfinite(move.by) ? move.want + move.by * move.bound : move.by);
}

static const char *const rich[] = {
    "T=12 H=16 I=8 E=4 K=2 dtype=f32 bias=1 router-bias=1 shared=4 shared-gate=1 router=sigmoid",
    "T=12 H=16 I=8 E=4 K=2 dtype=f32 bias=1 router=lists routing=ragged weight=input act=silu",
    "T=24 H=16 I=8 E=4 K=2 dtype=f32 router=softmax-topk round=nearest round-to=4 zloss=0.1",
};

struct place {
    int64_t row, col, expert, token, slot;
};

/* Where an element stands, worked out anew. */
static struct place place_of(const struct moe_problem *problem, const struct moe_routing *routing,
                             const struct moe_tensor *tensor, enum moe_tensor_id id, int64_t index)
{
    int64_t width = tensor->shape[tensor->rank - 1];
    struct place place = {tensor->rank == 1 ? 0 : index / width,
                          tensor->rank == 1 ? index : index % width, -1, -1, -1};
    int64_t entry = id == MOE_SCORES || id == MOE_DS ? index
                    : id == MOE_Z                    ? routing->row_entry[place.row]
                                                     : -1;
    for (int64_t t = 0; t < problem->T && entry >= 0; t++) {
        if (entry < routing->token_begin[t] || entry >= routing->token_begin[t + 1])
            continue;
        place.token = t;
        place.slot = entry - routing->token_begin[t];
        place.expert = routing->pick[entry];
    }
    if (id == MOE_O || id == MOE_DX || id == MOE_LOGITS || id == MOE_DLOGITS)
        place.token = place.row;
    if (id == MOE_LOGITS || id == MOE_DLOGITS || id == MOE_DBR)
        place.expert = place.col;
    if (id == MOE_DWR || id == MOE_DB1 || id == MOE_DB2)
        place.expert = place.row;
    if (id == MOE_DW1 || id == MOE_DW2)
        place.expert = place.row / tensor->shape[1];
    return place;
}

static void expect_moved(const struct moe_problem *problem, const struct place *place)
{
    struct moe_report report = impostor_judge(problem);
    const char *name = moe_tensor_info(move.id)->name;
    if (move.by == .9) {
        ck_assert_msg(report.verdict == MOE_PASS, "%s: %s", name, report.finding[0].text);
        return;
    }
    const struct moe_finding *f = must_find(&report, "bound", move.id, name);
    ck_assert_int_eq(report.finding_count, 1);
    ck_assert_msg(f->wrong == 1 && f->row == place->row && f->col == place->col,
                  "%s: %d wrong, row %d col %d", name, (int)f->wrong, (int)f->row, (int)f->col);
    ck_assert_msg(f->expert == place->expert && f->token == place->token && f->slot == place->slot,
                  "%s: expert %d token %d slot %d", name, (int)f->expert, (int)f->token,
                  (int)f->slot);
    /* an infinity stands for where its type overflows */
    ck_assert_msg(isfinite(move.by) ? report.worst_ratio > 1.8 && report.worst_ratio < 2.2
                  : isnan(move.by)  ? isinf(report.worst_ratio)
                                    : report.worst_ratio > 1000,
                  "%s: worst ratio %g", name, report.worst_ratio);
}

/* What the reference of the judge will make of the impostor's outputs: they are the reference's
 * own. */
static struct outputs outputs_with_bounds(const struct moe_problem *problem,
                                          const struct moe_tensors *tensors,
                                          const struct moe_routing *routing)
{
    struct outputs outputs;
    struct moe_recipe own;
    impostor_variant.recipe(problem, &own);
    struct moe_reference reference = {.problem = problem,
                                      .tensors = tensors->tensor,
                                      .routing = routing,
                                      .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
                                      .precision = MOE_F64,
                                      .recipe = &own};
    ck_assert_msg(run_reference(reference, &outputs) == MOE_OK, "%s", moe_error_text());
    return outputs;
}

/* Every output in turn: 2 bounds off, either way, is found where it is; 0.9 is not; NaN and
 * infinity are. All is done after the backward pass, so that nothing follows from it. */
START_TEST(one_element)
{
    static const double by[] = {2, -2, .9, NAN, INFINITY};
    struct moe_problem problem = impostor_start(rich[_i]);
    impostor.checks = "inputs,routing,bound"; /* it is moved in the first run only */
    struct moe_tensors tensors;
    struct moe_routing routing;
    uint64_t state = 7;
    ck_assert_int_eq(moe_variant_run(&problem, &impostor_variant, NULL, &tensors), MOE_OK);
    ck_assert_int_eq(moe_routing_from_tensors(&problem, tensors.tensor, &routing), MOE_OK);
    struct outputs outputs = outputs_with_bounds(&problem, &tensors, &routing);
    impostor.after_backward = move_element;
    for (int id = MOE_SCORES; id < MOE_TENSOR_COUNT; id++) {
        if (!is_output(&problem, id))
            continue;
        for (int i = 0; i < COUNT(by); i++) {
            move.id = id;
            move.by = by[i];
            do
                move.index = random_below(&state, outputs.count[id]);
            while (!(outputs.bound[id][move.index] > 0));
            move.want = outputs.value[id][move.index];
            move.bound = outputs.bound[id][move.index];
            struct place place = place_of(&problem, &routing, &tensors.tensor[id], id, move.index);
            expect_moved(&problem, &place);
        }
    }
    outputs_free(&outputs);
    moe_routing_free(&routing);
    moe_tensors_free(&tensors);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("locate");
    TCase *tcase = tcase_create("locate");
    tcase_add_loop_test(tcase, one_element, 0, COUNT(rich));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
