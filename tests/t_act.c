/*
 * t_act.c - activations: limits, NaN, clamps and kinks, the columns that bound them, and slopes
 * against differences of values. Values and slopes are judged by MPFR in t_act_mpfr.c.
 */
#include <check.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "ref/moe.h"

static const double clamp = 3; /* of swiglu-clamp, smaller than 7 */

static const struct moe_act_info *info_of(int i)
{
    return moe_act_info((enum moe_act)i);
}

/* Distance of x to the gate's kink. */
static double to_kink(const struct moe_act_info *info, double x)
{
    return info->kinks ? fabs(x - info->kink_at(clamp)) : INFINITY;
}

START_TEST(columns)
{
    static const char *const names[] = {"swiglu",     "geglu",        "geglu-tanh", "reglu",
                                        "swiglu-oai", "swiglu-clamp", "silu",       "gelu",
                                        "gelu-tanh",  "relu",         "relu2"};
    const struct moe_act_info *info = info_of(_i);
    ck_assert_str_eq(info->name, names[_i]);
    ck_assert_msg(info->gated == (_i <= MOE_SWIGLU_CLAMP), "%d", _i);
    ck_assert_msg(info->has_clamp == (_i == MOE_SWIGLU_CLAMP), "%d", _i);
    ck_assert_msg((info->up != NULL) == info->gated, "%d", _i);
    ck_assert_msg((info->up_slope != NULL) == info->gated, "%d", _i);
    ck_assert_msg((info->kink_at != NULL) == info->kinks, "%d", _i);
    ck_assert_msg((info->jump > 0) == info->kinks, "%d", _i);
    ck_assert_ptr_null(moe_act_info(MOE_ACT_COUNT));
}
END_TEST

/* ---- values at the ends ---------------------------------------------------------------------- */

/* act, x, gate(x), gate'(x) */
static const struct {
    enum moe_act act;
    double x, value, slope;
} ends[] = {
    {MOE_SILU, -INFINITY, 0, 0},
    {MOE_SILU, INFINITY, INFINITY, 1},
    {MOE_SILU, -1e300, 0, 0},
    {MOE_SILU, 1e300, 1e300, 1},
    {MOE_SILU, -800, 0, 0},
    {MOE_SILU, 800, 800, 1},
    {MOE_SILU, 0, 0, 0.5},
    {MOE_GELU, -INFINITY, 0, 0},
    {MOE_GELU, INFINITY, INFINITY, 1},
    {MOE_GELU, -1e300, 0, 0},
    {MOE_GELU, 1e300, 1e300, 1},
    {MOE_GELU, -700, 0, 0},
    {MOE_GELU, 700, 700, 1},
    {MOE_GELU, 0, 0, 0.5},
    {MOE_GELU_TANH, -INFINITY, 0, 0},
    {MOE_GELU_TANH, INFINITY, INFINITY, 1},
    {MOE_GELU_TANH, -1e300, 0, 0},
    {MOE_GELU_TANH, 1e300, 1e300, 1},
    {MOE_GELU_TANH, -1e100, 0, 0},
    {MOE_GELU_TANH, -700, 0, 0},
    {MOE_GELU_TANH, 700, 700, 1},
    {MOE_GELU_TANH, 0, 0, 0.5},
    {MOE_RELU, -INFINITY, 0, 0},
    {MOE_RELU, INFINITY, INFINITY, 1},
    {MOE_RELU, 0, 0, 0},
    {MOE_RELU, 0x1p-1074, 0x1p-1074, 1},
    {MOE_RELU2, -INFINITY, 0, 0},
    {MOE_RELU2, INFINITY, INFINITY, INFINITY},
    {MOE_RELU2, 1e300, INFINITY, 2e300},
    {MOE_RELU2, 3, 9, 6},
    {MOE_RELU2, -3, 0, 0},
    {MOE_SWIGLU_OAI, -INFINITY, 0, 0},
    {MOE_SWIGLU_OAI, -1e308, 0, 0},
    {MOE_SWIGLU_CLAMP, -INFINITY, 0, 0},
};

START_TEST(limits)
{
    const struct moe_act_info *info = info_of(ends[_i].act);
    const double value = info->gate(ends[_i].x, clamp), slope = info->gate_slope(ends[_i].x, clamp);
    ck_assert_msg(value == ends[_i].value, "%d: %s(%a) = %a", _i, info->name, ends[_i].x, value);
    ck_assert_msg(slope == ends[_i].slope, "%d: %s'(%a) = %a", _i, info->name, ends[_i].x, slope);
}
END_TEST

START_TEST(nan_stays_nan)
{
    const struct moe_act_info *info = info_of(_i);
    ck_assert_msg(isnan(info->gate(NAN, clamp)), "%d", _i);
    ck_assert_msg(isnan(info->gate_slope(NAN, clamp)), "%d", _i);
    ck_assert_msg(!info->gated || isnan(info->up(NAN, clamp)), "%d", _i);
    ck_assert_msg(!info->up_limit || isnan(info->up_slope(NAN, clamp)), "%d", _i);
    for (double x = 0x1p-1074; isfinite(x); x *= 4)
        for (int sign = -1; sign <= 1; sign += 2)
            ck_assert_msg(!isnan(info->gate(sign * x, clamp)) &&
                              !isnan(info->gate_slope(sign * x, clamp)),
                          "%d at %a", _i, sign * x);
}
END_TEST

/* ---- clamps ---------------------------------------------------------------------------------- */

START_TEST(gates_end_at_their_limit)
{
    const struct moe_act_info *info = info_of(_i == 0 ? MOE_SWIGLU_OAI : MOE_SWIGLU_CLAMP);
    const double limit = _i == 0 ? 7 : clamp, beyond = nextafter(limit, INFINITY);
    const double top = info->gate(limit, clamp);
    ck_assert_msg(info->kink_at(clamp) == limit, "%d", _i);
    ck_assert_msg(info->gate(beyond, clamp) == top, "%d", _i);
    ck_assert_msg(info->gate(INFINITY, clamp) == top, "%d", _i);
    ck_assert_msg(info->gate(-limit - 1, clamp) != info->gate(-limit - 2, clamp), "%d", _i);
    /* The derivative at the limit is that of inside, and none beyond. */
    ck_assert_msg(
        fabs(info->gate_slope(limit, clamp) - info->gate_slope(nextafter(limit, 0), clamp)) < 1e-14,
        "%d", _i);
    ck_assert_msg(info->gate_slope(limit, clamp) > 1, "%d", _i);
    ck_assert_msg(info->gate_slope(beyond, clamp) == 0, "%d", _i);
    ck_assert_msg(info->gate_slope(INFINITY, clamp) == 0, "%d", _i);
}
END_TEST

START_TEST(up_is_linear_within_its_limit)
{
    const struct moe_act_info *info = info_of(_i);
    const double shift = _i == MOE_SWIGLU_OAI ? 1 : 0;
    const double limit = info->up_limit ? info->up_limit(clamp) : INFINITY;
    ck_assert_msg(limit == (_i == MOE_SWIGLU_OAI     ? 7
                            : _i == MOE_SWIGLU_CLAMP ? clamp
                                                     : INFINITY),
                  "%d", _i);
    const double points[] = {-1e9, -limit, -2, 0, 0.1, limit, nextafter(limit, INFINITY), INFINITY};
    for (int k = 0; k < 8; k++) {
        const double u = points[k];
        ck_assert_msg(info->up(u, clamp) == fmax(fmin(u, limit), -limit) + shift, "%d %a", _i, u);
        ck_assert_msg(info->up_slope(u, clamp) == (fabs(u) <= limit), "%d %a", _i, u);
    }
}
END_TEST

/* swiglu-oai's formula as it is published: g sigmoid(1.702 g) (u + 1). */
START_TEST(oai_by_its_formula)
{
    const struct moe_act_info *info = info_of(MOE_SWIGLU_OAI);
    for (double g = -9; g < 9; g += 0.37) {
        const double x = fmin(g, 7), want = x / (1 + exp(-1.702 * x));
        ck_assert_msg(fabs(info->gate(g, 0) - want) <= 1e-14 * fabs(want), "%a", g);
    }
}
END_TEST

/* ---- what bounds them ------------------------------------------------------------------------ */

/* On a grid: no slope beyond lipschitz, no change of slope beyond curvature, and neither column
 * more than 2 % above what is met, so that a wrong row cannot hide in a loose one. */
START_TEST(bounds_hold_and_are_met)
{
    const struct moe_act_info *info = info_of(_i);
    const double step = 0x1p-10, noise = 1e-12;
    double steepest = 0, most_curved = 0;
    for (double x = -45; x < 45; x += step) {
        const double slope = info->gate_slope(x, clamp);
        if (!(fabs(slope) <= info->lipschitz))
            ck_abort_msg("%s'(%a) = %a", info->name, x, slope);
        steepest = fmax(steepest, fabs(slope));
        if (to_kink(info, x) <= step)
            continue;
        const double change = fabs(info->gate_slope(x + step, clamp) - slope) / step;
        if (!(change <= info->curvature + noise))
            ck_abort_msg("%s''(%a) = %a", info->name, x, change);
        most_curved = fmax(most_curved, change);
    }
    const int unbounded = info->lipschitz == DBL_MAX;
    ck_assert_msg(unbounded || steepest >= 0.98 * info->lipschitz, "%d: %a", _i, steepest);
    ck_assert_msg(most_curved >= 0.98 * info->curvature, "%d: %a", _i, most_curved);
}
END_TEST

START_TEST(slope_jumps_at_the_kink_only)
{
    const struct moe_act_info *info = info_of(_i);
    for (double c = -2; c < 60; c += 0.0625) { /* also of clamps nobody would choose */
        if (!info->kinks)
            continue;
        const double at = info->kink_at(c), tiny = 1e-9;
        const double jump = info->gate_slope(at + tiny, c) - info->gate_slope(at - tiny, c);
        ck_assert_msg(fabs(jump) > 0.4 * (c > 0 || !info->has_clamp), "%d at %a", _i, at);
        ck_assert_msg(fabs(jump) <= info->jump, "%d at %a: %a", _i, at, jump);
    }
}
END_TEST

START_TEST(slope_is_the_difference_of_values)
{
    const struct moe_act_info *info = info_of(_i);
    const double h = 0x1p-18;
    for (double x = -29.997; x < 30; x += 0.01171875) {
        if (to_kink(info, x) <= h)
            continue;
        const double change = (info->gate(x + h, clamp) - info->gate(x - h, clamp)) / (2 * h);
        if (!(fabs(change - info->gate_slope(x, clamp)) <= 1e-8 * fmax(1, fabs(change))))
            ck_abort_msg("%s'(%a) = %a, difference %a", info->name, x, info->gate_slope(x, clamp),
                         change);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("act");
    TCase *tests = tcase_create("act");
    SRunner *runner = srunner_create(suite);
    int failed;
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, columns, 0, MOE_ACT_COUNT);
    tcase_add_loop_test(tests, limits, 0, sizeof ends / sizeof *ends);
    tcase_add_loop_test(tests, nan_stays_nan, 0, MOE_ACT_COUNT);
    tcase_add_loop_test(tests, gates_end_at_their_limit, 0, 2);
    tcase_add_loop_test(tests, up_is_linear_within_its_limit, 0, MOE_SILU);
    tcase_add_test(tests, oai_by_its_formula);
    tcase_add_loop_test(tests, bounds_hold_and_are_met, 0, MOE_ACT_COUNT);
    tcase_add_loop_test(tests, slope_jumps_at_the_kink_only, 0, MOE_ACT_COUNT);
    tcase_add_loop_test(tests, slope_is_the_difference_of_values, 0, MOE_ACT_COUNT);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
