/*
 * parts_route.c - gpu/parts_route.c against the reference's router: picks are the same, scores and
 * gradients within one rounding of their type.
 *
 * Both sides compute in double. They may differ in the last bits of exp and in the order of sums,
 * at most a few hundred roundings of terms that are bounded here: SLACK times their size.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/parts_array.h"
#include "tests/parts_tests.h"

#define SLACK 0x1p-44

static const enum moe_dtype types[] = {MOE_F32, MOE_F64};

static const enum moe_router routers[] = {MOE_TOPK_SOFTMAX, MOE_SOFTMAX_TOPK, MOE_SIGMOID,
                                          MOE_SQRT_SOFTPLUS};

static const struct size {
    int64_t T, E, K, groups, groups_kept;
} sizes[] = {
    {0, 8, 2, 0, 0},   {1, 1, 1, 0, 0},    {1, 8, 8, 0, 0},       {5, 8, 3, 4, 2},
    {7, 6, 2, 6, 2},   {3, 6, 4, 1, 1},    {300, 16, 1, 0, 0},    {300, 12, 5, 3, 2},
    {9, 300, 6, 0, 0}, {9, 512, 20, 8, 4}, {4, 600, 8, 200, 150},
};

static struct moe_problem case_of(const struct size *size, enum moe_router router,
                                  enum moe_dtype type)
{
    struct moe_problem problem = moe_problem_default();
    problem.T = size->T, problem.E = size->E, problem.K = size->K;
    problem.groups = size->groups, problem.groups_kept = size->groups_kept;
    problem.router = router;
    problem.dtype = type == MOE_F64 ? MOE_F64 : MOE_BF16;
    return problem;
}

/* What the device has, as the reference takes it; free it. */
static double *doubles_of(const struct array *array)
{
    double *values = malloc((size_t)(array->count + 1) * sizeof *values);
    for (int64_t i = 0; i < array->count && values; i++)
        values[i] = array_get(array, i);
    trouble |= !values;
    return values;
}

/* ---- picks ----------------------------------------------------------------------------------- */

/* Few different values, so that many are equal; the steps are such that no two different ones have
 * scores that add up to 1, which sums of groups would tell apart by rounding alone. */
static struct array *tied_logits(enum moe_dtype type, int64_t count)
{
    static const double rare[] = {0.0, -0.0, NAN, INFINITY, -INFINITY};
    struct array *logits = array_new(type, count);
    for (int64_t i = 0; i < count; i++) {
        const int64_t which = draw_below(60);
        array_put(logits, i, which < LENGTH(rare) ? rare[which] : 0.37 * (double)(which % 13) - 2);
    }
    array_send(logits);
    return logits;
}

static int picks_are_right(const struct moe_problem *problem, const struct array *logits,
                           const struct array *sel_bias)
{
    struct array *picks = array_new(MOE_I32, problem->T * problem->K);
    struct moe_routing routing = {0};
    double *l = doubles_of(logits), *b = sel_bias ? doubles_of(sel_bias) : NULL;
    int good = 1;
    done(moe_routing_from_logits(problem, l, b, &routing));
    done(moe_gpu_route_top(&queue, problem, logits->device, on_device(sel_bias), picks->device));
    array_fetch(picks);
    for (int64_t i = 0; i < picks->count && good && !trouble; i++)
        good = is_exactly("picks", picks, i, routing.pick[i]);
    moe_routing_free(&routing);
    free(l);
    free(b);
    return good;
}

int tokens_pick(void)
{
    int good = 1;
    for (int s = 0; s < LENGTH(sizes); s++)
        for (int r = 0; r < LENGTH(routers); r++)
            for (int type = 0; type < LENGTH(types); type++)
                for (int tied = 0; tied <= 1; tied++) {
                    if (left_out())
                        continue;
                    const struct moe_problem problem = case_of(&sizes[s], routers[r], types[type]);
                    const int64_t count = problem.T * problem.E;
                    const int biased = routers[r] == MOE_SIGMOID || routers[r] == MOE_SQRT_SOFTPLUS;
                    const struct array *logits = tied ? tied_logits(types[type], count)
                                                      : array_draw(types[type], count, -4, 4);
                    good &= picks_are_right(&problem, logits, NULL);
                    if (biased)
                        good &= picks_are_right(&problem, logits,
                                                array_draw(types[type], problem.E, -0.5, 0.5));
                    arrays_free();
                }
    return good;
}

/* ---- scores and their gradients -------------------------------------------------------------- */

/* Entries of a case: the router's [T,K], or lists of 0 .. K of them. */
struct entries {
    struct moe_routing routing;
    struct array *picks, *offsets, *expert_begin; /* offsets NULL: [T,K] */
};

static struct entries entries_of(const struct moe_problem *problem, const double *logits,
                                 int ragged)
{
    struct entries entries = {0};
    struct moe_routing *r = &entries.routing;
    done(moe_routing_from_logits(problem, logits, NULL, r));
    if (ragged && !trouble) {
        struct moe_routing all = *r;
        int64_t P = 0, *begin = calloc((size_t)problem->T + 1, sizeof *begin);
        int32_t *picks = calloc((size_t)all.P + 1, sizeof *picks);
        for (int64_t t = 0; t < problem->T; t++) {
            const int64_t n = draw_below(problem->K + 1);
            for (int64_t k = 0; k < n; k++)
                picks[P++] = all.pick[t * problem->K + k];
            begin[t + 1] = P;
        }
        done(
            moe_routing_from_lists(problem->T, problem->E, problem->K, begin, picks, all.score, r));
        done(moe_routing_score(problem, logits, r));
        moe_routing_free(&all);
        free(begin);
        free(picks);
    }
    if (trouble)
        return entries;
    entries.picks = array_of_ids(r->P, r->pick);
    entries.expert_begin = array_of_places(problem->E + 1, r->expert_begin);
    if (ragged)
        entries.offsets = array_of_places(problem->T + 1, r->token_begin);
    return entries;
}

static int score_case(const struct moe_problem *problem, const struct array *logits, int ragged)
{
    double *l = doubles_of(logits);
    struct entries entries = entries_of(problem, l, ragged);
    int good = !trouble;
    if (good) {
        struct array *scores = array_new(moe_gpu_compute(problem), entries.routing.P);
        done(moe_gpu_score(&queue, problem, on_device(entries.offsets), logits->device,
                           entries.picks->device, scores->device));
        array_fetch(scores);
        for (int64_t p = 0; p < scores->count && good; p++)
            good = agrees("score", scores, p, entries.routing.score[p],
                          SLACK * problem->scale * (1 + fabs(entries.routing.score[p])));
    }
    moe_routing_free(&entries.routing);
    free(l);
    return good;
}

/* dL = scale p (ds ..) has terms of at most 2 scale max|ds|, for ds within 1; the losses' stand in
 * loss.c. */
static int backward_case(const struct moe_problem *problem, const struct array *logits, int ragged)
{
    double *l = doubles_of(logits), *want = calloc((size_t)logits->count + 1, sizeof *want);
    struct entries entries = entries_of(problem, l, ragged);
    int good = !trouble;
    if (good) {
        const enum moe_dtype type = moe_gpu_compute(problem);
        const struct array *ds = array_draw(type, entries.routing.P, -1, 1);
        struct array *dlogits = array_new(type, logits->count);
        double *d = doubles_of(ds), loss[2];
        double tokens = (double)(problem->T > 0 ? problem->T : 1);
        double reach = 8 * problem->scale + problem->aux * (double)problem->E / tokens +
                       32 * problem->zloss / tokens;
        done(moe_routing_backward(problem, &entries.routing, l, d, want));
        done(moe_routing_losses(problem, &entries.routing, l, loss, want));
        done(moe_gpu_route_backward(&queue, problem, on_device(entries.offsets), logits->device,
                                    entries.picks->device, ds->device, entries.expert_begin->device,
                                    dlogits->device));
        array_fetch(dlogits);
        for (int64_t i = 0; i < dlogits->count && good; i++)
            good = agrees("dlogits", dlogits, i, want[i], SLACK * reach);
        free(d);
    }
    moe_routing_free(&entries.routing);
    free(l);
    free(want);
    return good;
}

typedef int entry_test(const struct moe_problem *problem, const struct array *logits, int ragged);

/* Every router, size and type, as [T,K] and ragged, with and without renorm and scale. */
static int every_router(entry_test *test)
{
    int good = 1;
    for (int s = 0; s < LENGTH(sizes); s++)
        for (int r = 0; r < LENGTH(routers); r++)
            for (int type = 0; type < LENGTH(types); type++)
                for (int mode = 0; mode < 8; mode++) {
                    if (left_out())
                        continue;
                    struct moe_problem problem = case_of(&sizes[s], routers[r], types[type]);
                    problem.renorm = mode & 1 && routers[r] != MOE_TOPK_SOFTMAX;
                    problem.scale = mode & 2 ? 2.5 : 1;
                    problem.aux = mode & 1 ? 0.25 : 0;
                    problem.zloss = mode & 2 ? 0.125 : 0;
                    const struct array *logits =
                        array_draw(types[type], problem.T * problem.E, -4, 4);
                    good &= test(&problem, logits, mode >> 2);
                    arrays_free();
                }
    return good;
}

int scores_are_right(void)
{
    return every_router(score_case);
}

int gradients_reach_logits(void)
{
    return every_router(backward_case);
}

/* A NaN spoils its own token as far as the reference says, and no other. */
int scores_of_nan(void)
{
    int good = 1;
    for (int r = 0; r < LENGTH(routers); r++) {
        const struct size size = {5, 8, 8, 0, 0};
        const struct moe_problem problem = case_of(&size, routers[r], MOE_F32);
        struct array *logits = array_draw(MOE_F32, 40, -4, 4);
        array_put(logits, 19, NAN);
        array_send(logits);
        good &= score_case(&problem, logits, 0);
        arrays_free();
    }
    return good;
}

/* ---- token rounding -------------------------------------------------------------------------- */

/* The rounded counts are what moe_round_target makes of the counts of the top-k picks. */
static int counts_are_targets(const struct moe_problem *problem, const struct array *top,
                              const struct array *picks, int64_t entries)
{
    int64_t drift = 0, good = 1;
    for (int64_t e = 0; e < problem->E && good; e++) {
        int64_t before = 0, after = 0;
        for (int64_t i = 0; i < top->count; i++)
            before += ((const int32_t *)top->host)[i] == e;
        for (int64_t i = 0; i < entries; i++)
            after += ((const int32_t *)picks->host)[i] == e;
        good = after == moe_round_target(problem, e, before, &drift);
    }
    return good;
}

static int round_case(const struct moe_problem *problem, const struct array *logits)
{
    const int64_t room = moe_problem_max_entries(problem);
    struct array *top = array_new(MOE_I32, problem->T * problem->K);
    struct array *workspace = array_new(MOE_U8, moe_gpu_round_bytes(problem));
    struct array *offsets = array_new(MOE_I64, problem->T + 1), *picks = array_new(MOE_I32, room);
    struct moe_routing routing = {0};
    double *l = doubles_of(logits);
    int good = 1;
    done(moe_routing_from_logits(problem, l, NULL, &routing));
    done(moe_gpu_route_top(&queue, problem, logits->device, NULL, top->device));
    done(moe_gpu_round(&queue, problem, logits->device, top->device, workspace->device,
                       offsets->device, picks->device));
    array_fetch(top);
    array_fetch(workspace);
    array_fetch(offsets);
    array_fetch(picks);
    for (int64_t t = 0; t <= problem->T && good && !trouble; t++)
        good = is_exactly("rounded offset", offsets, t, (double)routing.token_begin[t]);
    for (int64_t p = 0; p < room && good && !trouble; p++)
        good = is_exactly("rounded pick", picks, p, p < routing.P ? routing.pick[p] : -1);
    good = good && !trouble && counts_are_targets(problem, top, picks, routing.P);
    moe_routing_free(&routing);
    free(l);
    return good;
}

int tokens_are_rounded(void)
{
    static const struct size of[] = {{0, 4, 2, 0, 0},   {1, 4, 2, 0, 0},    {40, 4, 4, 0, 0},
                                     {300, 8, 1, 0, 0}, {333, 12, 3, 0, 0}, {70, 300, 2, 0, 0}};
    static const int64_t multiples[] = {1, 6, 128};
    int good = 1;
    for (int s = 0; s < LENGTH(of); s++)
        for (int m = 0; m < LENGTH(multiples); m++)
            for (int round = MOE_ROUND_NEAREST; round < MOE_ROUND_COUNT; round++) {
                if (left_out())
                    continue;
                const enum moe_dtype type = types[(s + m + round) % 2];
                struct moe_problem problem = case_of(&of[s], MOE_SOFTMAX_TOPK, type);
                const int64_t E = problem.E;
                problem.round = (enum moe_round_mode)round;
                problem.round_to = multiples[m];
                problem.seed = (uint64_t)(1 + s);
                struct array *logits = array_draw(type, problem.T * E, -4, 4);
                for (int64_t i = 2 * E; i < logits->count; i += 7 * E) /* ties between tokens */
                    memcpy((char *)logits->host + i * moe_dtype_info(type)->bits / 8, logits->host,
                           (size_t)(E * moe_dtype_info(type)->bits / 8));
                if (logits->count > 20 * E)
                    array_put(logits, 20 * E, NAN);
                array_send(logits);
                good &= round_case(&problem, logits);
                arrays_free();
            }
    return good;
}
