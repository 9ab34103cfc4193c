/*
 * parts_activate.c - moe_gpu_activate and moe_gpu_activate_backward against the functions of act.c,
 * for every activation, layout and type.
 *
 * Kernels compute in float or double with exp, tanh and erfc that are good to a few units, in forms
 * that cancel. With u the unit of the computing type and arguments g, |g| <= 9:
 *   |gate - exact| <= 16 u (1 + |g|),  |slope - exact| <= 32 u (1 + |g|)
 * and a product of them with other factors keeps that times the factors, and a rounding for each.
 */
#include <math.h>

#include "tests/parts_array.h"
#include "tests/parts_tests.h"

static const double clamp = 3.5;

static const struct size {
    int64_t rows, units, H, E;
} sizes[] = {{0, 8, 5, 3}, {1, 8, 1, 1}, {300, 24, 20, 9}, {3, 304, 300, 2}};

static struct moe_problem case_of(const struct size *size, int act, int layout,
                                  enum moe_dtype dtype)
{
    struct moe_problem problem = moe_problem_default();
    problem.act = (enum moe_act)act;
    problem.act_clamp = moe_act_info(problem.act)->has_clamp ? clamp : problem.act_clamp;
    problem.w1 = (enum moe_w1_layout)layout;
    problem.dtype = dtype;
    problem.H = size->H, problem.I = size->units, problem.E = size->E;
    return problem;
}

/* Columns of unit i's gate and up, from the layouts' definition. */
static int64_t gate_at(const struct moe_problem *problem, int64_t i)
{
    if (!moe_act_info(problem->act)->gated || problem->w1 == MOE_W1_HALVES)
        return i;
    return problem->w1 == MOE_W1_INTERLEAVED ? 2 * i : 16 * (i / 8) + i % 8;
}

static int64_t up_at(const struct moe_problem *problem, int64_t units, int64_t i)
{
    if (problem->w1 == MOE_W1_HALVES)
        return units + i;
    return gate_at(problem, i) + (problem->w1 == MOE_W1_INTERLEAVED ? 1 : 8);
}

/* z with the places where activations bend among it: every type holds them. */
static struct array *draw_z(enum moe_dtype dtype, int64_t count)
{
    static const double bends[] = {0.0, -0.0, 7, -7, 7.5, -7.5, 3.5, -3.5, 4, -4};
    struct array *z = array_draw(dtype, count, -9, 9);
    for (int64_t i = 0; i < count; i += 5)
        array_put(z, i, bends[draw_below(LENGTH(bends))]);
    array_send(z);
    return z;
}

/* One unit: its activation, the slopes, and how large what cancels may be. */
struct unit {
    double value, gate_slope, up_slope; /* of the value, by gate's and up's argument */
    double reach, gate_reach, up_reach;
};

static struct unit unit_of(const struct moe_problem *problem, const struct array *z, int64_t row,
                           int64_t units, int64_t i)
{
    const struct moe_act_info *info = moe_act_info(problem->act);
    const double c = problem->act_clamp;
    const int64_t base = row * units * (info->gated ? 2 : 1);
    const double g = array_get(z, base + gate_at(problem, i));
    const double gate = info->gate(g, c), slope = info->gate_slope(g, c), reach = 1 + fabs(g);
    if (!info->gated)
        return (struct unit){gate, slope, 0, (1 + fabs(gate)) * reach, 2 * reach, 0};
    const double u = array_get(z, base + up_at(problem, units, i));
    const double up = info->up(u, c), up_slope = info->up_slope(u, c);
    const double up_reach = fabs(u) + 1;
    return (struct unit){gate * up,        slope * up,           gate * up_slope,
                         reach * up_reach, 2 * reach * up_reach, reach};
}

static int activate_case(const struct moe_problem *problem, const struct size *size, int scored)
{
    const int64_t rows = size->rows, units = size->units;
    const int gated = moe_act_info(problem->act)->gated;
    const double u = compute_unit(problem->dtype);
    struct array *z = draw_z(problem->dtype, rows * units * (gated ? 2 : 1));
    if (z->count > 6)
        array_put(z, 6, NAN);
    array_send(z);
    const struct array *score = scored ? array_draw(MOE_F64, rows, -2, 2) : NULL;
    struct array *a = array_new(problem->dtype, rows * units);
    done(moe_gpu_activate(&queue, problem, rows, units, z->device, on_device(score), a->device));
    array_fetch(a);
    for (int64_t i = 0; i < a->count; i++) {
        const double s = scored ? array_get(score, i / units) : 1;
        const struct unit unit = unit_of(problem, z, i / units, units, i % units);
        const double slack = isnan(unit.reach) ? 0 : 20 * u * fabs(s) * unit.reach;
        if (!agrees(moe_act_info(problem->act)->name, a, i, s * unit.value, slack))
            return 0;
    }
    return 1;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* What the epilogue got, for the comparison. */
struct given {
    const struct moe_problem *problem;
    const struct size *size;
    const struct array *z, *da, *score, *d_o, *b2, *begin;
};

/* The expert of a row: the one whose rows hold it. */
static int64_t expert_of(const struct array *begin, int64_t row)
{
    int64_t e = 0;
    while (((const int64_t *)begin->host)[e + 1] <= row)
        e++;
    return e;
}

static int row_ds_is_right(const struct given *given, const struct array *row_ds, int64_t row)
{
    const int64_t units = given->size->units, H = given->size->H;
    double sum = 0, slack = 0, terms = 0;
    for (int64_t i = 0; i < units; i++) {
        const struct unit unit = unit_of(given->problem, given->z, row, units, i);
        const double da = array_get(given->da, row * units + i);
        sum += da * unit.value;
        slack += 20 * fabs(da) * unit.reach;
        terms += fabs(da * unit.value);
    }
    for (int64_t h = 0; h < H && given->b2; h++) {
        const double term = array_get(given->d_o, row * H + h) *
                            array_get(given->b2, expert_of(given->begin, row) * H + h);
        sum += term;
        terms += fabs(term);
    }
    /* a thread's chain, then 8 levels of the block's */
    slack += ((double)(units + H) / 256 + 12) * terms;
    return agrees("row_ds", row_ds, row, sum, compute_unit(given->problem->dtype) * slack);
}

static int unit_is_right(const struct given *given, const struct array *dz, const struct array *sa,
                         int64_t row, int64_t i)
{
    const struct moe_problem *problem = given->problem;
    const int64_t units = given->size->units;
    const int gated = moe_act_info(problem->act)->gated;
    const struct unit unit = unit_of(problem, given->z, row, units, i);
    const double s = given->score ? array_get(given->score, row) : 1;
    const double g_out = s * array_get(given->da, row * units + i);
    const double u = 20 * compute_unit(problem->dtype);
    const int64_t base = row * units * (gated ? 2 : 1);
    return agrees("s a", sa, row * units + i, s * unit.value, u * fabs(s) * unit.reach) &&
           agrees("dz of gate", dz, base + gate_at(problem, i), g_out * unit.gate_slope,
                  u * fabs(g_out) * unit.gate_reach) &&
           (!gated || agrees("dz of up", dz, base + up_at(problem, units, i), g_out * unit.up_slope,
                             u * fabs(g_out) * unit.up_reach));
}

/* Rows 0 .. rows to E experts: the first and the last have none where there are more than two. */
static const struct array *draw_begin(int64_t rows, int64_t E)
{
    struct array *begin = array_new(MOE_I64, E + 1);
    int64_t *at = begin->host;
    for (int64_t e = 0; e <= E; e++)
        at[e] = E < 3 ? e * rows / E : e < 2 ? 0 : e >= E - 1 ? rows : (e / 2) * 2 * rows / E;
    array_send(begin);
    return begin;
}

enum { SCORED = 1, BIASED = 2, WITHOUT_DS = 4, BACKWARD_MODES = 8 };

static int backward_case(const struct moe_problem *problem, const struct size *size, int mode)
{
    const int64_t rows = size->rows, units = size->units;
    const int gated = moe_act_info(problem->act)->gated;
    const enum moe_dtype dtype = problem->dtype;
    const struct given given = {
        .problem = problem,
        .size = size,
        .z = draw_z(dtype, rows * units * (gated ? 2 : 1)),
        .da = array_draw(moe_gpu_compute(problem), rows * units, -2, 2),
        .score = mode & SCORED ? array_draw(MOE_F64, rows, -2, 2) : NULL,
        .d_o = array_draw(dtype, rows * size->H, -2, 2),
        .b2 = mode & BIASED ? array_draw(dtype, size->E * size->H, -2, 2) : NULL,
        .begin = draw_begin(rows, size->E),
    };
    struct array *dz = array_new(dtype, given.z->count), *sa = array_new(dtype, rows * units);
    struct array *row_ds = mode & WITHOUT_DS ? NULL : array_new(MOE_F64, rows);
    const struct moe_gpu_epilogue epilogue = {
        .rows = rows,
        .units = units,
        .z = given.z->device,
        .da = given.da->device,
        .row_score = on_device(given.score),
        .d_o = given.d_o->device,
        .b2 = on_device(given.b2),
        .expert_begin = given.begin->device,
        .dz = dz->device,
        .sa = sa->device,
        .row_ds = on_device(row_ds),
    };
    int good = 1;
    done(moe_gpu_activate_backward(&queue, problem, &epilogue));
    array_fetch(dz);
    array_fetch(sa);
    if (row_ds)
        array_fetch(row_ds);
    for (int64_t r = 0; r < rows && good; r++) {
        for (int64_t i = 0; i < units && good; i++)
            good = unit_is_right(&given, dz, sa, r, i);
        good = good && (!row_ds || row_ds_is_right(&given, row_ds, r));
    }
    return good;
}

/* ---------------------------------------------------------------------------------------------- */

typedef int row_test(const struct moe_problem *problem, const struct size *size, int mode);

static int every_activation(row_test *test, int modes)
{
    int good = 1;
    for (int act = 0; act < MOE_ACT_COUNT; act++)
        for (int layout = 0; layout < MOE_W1_COUNT; layout++)
            for (int type = 0; type < FLOAT_TYPES; type++)
                for (int s = 0; s < LENGTH(sizes); s++)
                    for (int mode = 0; mode < modes; mode++) {
                        const struct moe_problem problem =
                            case_of(&sizes[s], act, layout, float_types[type]);
                        if ((layout > 0 && !moe_act_info(problem.act)->gated) || left_out())
                            continue;
                        good &= test(&problem, &sizes[s], mode);
                        arrays_free();
                    }
    return good;
}

int rows_are_activated(void)
{
    return every_activation(activate_case, 2);
}

int activations_go_back(void)
{
    return every_activation(backward_case, BACKWARD_MODES);
}
