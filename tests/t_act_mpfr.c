/*
 * t_act_mpfr.c - values and slopes of activations against MPFR with 400 bits, from the formulas as
 * they are published; slopes by differences there, so that no derivative is taken by hand twice.
 *
 * Allowed are a few units in the last place. Where the formula passes a rounded argument v on to an
 * exponential, the roundings of v, at most six, cost 3 |v| more of them (swiglu-oai, gelu-tanh); a
 * slope is a sum of terms of order 1 that cancel near its zero, so there the unit is that of 1; and
 * where the exponential is subnormal, its quantum comes back times a factor of at most 64.
 */
#include <check.h>
#include <float.h>
#include <math.h>

#include <mpfr.h>

#include "ref/moe.h"

enum { BITS = 400, TANH_BITS = 1400, STEP = 120, ALLOWED = 5 };

typedef void formula(mpfr_t y, const mpfr_t x);

static const double steepness = 1.702, cubic = 0.044715;

/* y = x / (1 + exp(-v)) */
static void times_sigmoid(mpfr_t y, const mpfr_t x, const mpfr_t v)
{
    mpfr_t e;
    mpfr_init2(e, BITS);
    mpfr_neg(e, v, MPFR_RNDN);
    mpfr_exp(e, e, MPFR_RNDN);
    mpfr_add_ui(e, e, 1, MPFR_RNDN);
    mpfr_div(y, x, e, MPFR_RNDN);
    mpfr_clear(e);
}

static void silu(mpfr_t y, const mpfr_t x)
{
    times_sigmoid(y, x, x);
}

static void oai(mpfr_t y, const mpfr_t x)
{
    mpfr_t v;
    mpfr_init2(v, BITS);
    mpfr_mul_d(v, x, steepness, MPFR_RNDN);
    times_sigmoid(y, x, v);
    mpfr_clear(v);
}

/* x Phi(x) = x/2 erfc(-x / sqrt 2) */
static void gelu(mpfr_t y, const mpfr_t x)
{
    mpfr_t t;
    mpfr_init2(t, BITS);
    mpfr_sqrt_ui(t, 2, MPFR_RNDN);
    mpfr_div(t, x, t, MPFR_RNDN);
    mpfr_neg(t, t, MPFR_RNDN);
    mpfr_erfc(t, t, MPFR_RNDN);
    mpfr_mul(t, t, x, MPFR_RNDN);
    mpfr_div_2ui(y, t, 1, MPFR_RNDN);
    mpfr_clear(t);
}

/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))); 1400 bits outlast the cancellation. */
static void gelu_tanh(mpfr_t y, const mpfr_t x)
{
    mpfr_t t, w;
    mpfr_init2(t, TANH_BITS);
    mpfr_init2(w, TANH_BITS);
    mpfr_const_pi(t, MPFR_RNDN);
    mpfr_ui_div(t, 2, t, MPFR_RNDN);
    mpfr_sqrt(t, t, MPFR_RNDN);
    mpfr_sqr(w, x, MPFR_RNDN);
    mpfr_mul_d(w, w, cubic, MPFR_RNDN);
    mpfr_add_ui(w, w, 1, MPFR_RNDN);
    mpfr_mul(w, w, x, MPFR_RNDN);
    mpfr_mul(t, t, w, MPFR_RNDN);
    mpfr_tanh(t, t, MPFR_RNDN);
    mpfr_add_ui(t, t, 1, MPFR_RNDN);
    mpfr_mul(t, t, x, MPFR_RNDN);
    mpfr_div_2ui(y, t, 1, MPFR_RNDN);
    mpfr_clear(t);
    mpfr_clear(w);
}

static void relu2(mpfr_t y, const mpfr_t x)
{
    mpfr_sqr(y, x, MPFR_RNDN);
    if (mpfr_sgn(x) < 0)
        mpfr_set_zero(y, 1);
}

/* The argument of the exponential; 0 where it is x itself or compensated for. */
static double no_argument(double x)
{
    (void)x;
    return 0;
}

static double oai_argument(double x)
{
    return steepness * x;
}

static double gelu_tanh_argument(double x)
{
    return 1.6 * (x + cubic * x * x * x);
}

static const struct {
    enum moe_act act;
    formula *formula;
    double (*argument)(double x);
    double most; /* the formula holds up to here */
} rows[] = {
    {MOE_SILU, silu, no_argument, INFINITY},
    {MOE_GELU, gelu, no_argument, INFINITY},
    {MOE_GELU_TANH, gelu_tanh, gelu_tanh_argument, INFINITY},
    {MOE_RELU2, relu2, no_argument, INFINITY},
    {MOE_SWIGLU_OAI, oai, oai_argument, 7},
    {MOE_SWIGLU_CLAMP, silu, no_argument, 10},
};

static double reference(formula *f, double at)
{
    mpfr_t x, y;
    mpfr_init2(x, BITS);
    mpfr_init2(y, BITS);
    mpfr_set_d(x, at, MPFR_RNDN);
    f(y, x);
    const double value = mpfr_get_d(y, MPFR_RNDN);
    mpfr_clear(x);
    mpfr_clear(y);
    return value;
}

/* (f(x+h) - f(x-h)) / 2h with h = 2^-120: off by h^2 of a third derivative. */
static double reference_slope(formula *f, double at)
{
    mpfr_t x, y, z;
    mpfr_init2(x, BITS);
    mpfr_init2(y, BITS);
    mpfr_init2(z, BITS);
    mpfr_set_ui_2exp(z, 1, -STEP, MPFR_RNDN);
    mpfr_add_d(x, z, at, MPFR_RNDN);
    f(y, x);
    mpfr_neg(z, z, MPFR_RNDN);
    mpfr_add_d(x, z, at, MPFR_RNDN);
    f(z, x);
    mpfr_sub(y, y, z, MPFR_RNDN);
    mpfr_mul_2ui(y, y, STEP - 1, MPFR_RNDN);
    const double value = mpfr_get_d(y, MPFR_RNDN);
    mpfr_clear(x);
    mpfr_clear(y);
    mpfr_clear(z);
    return value;
}

/* One unit in the last place of x. */
static double unit_of(double x)
{
    return fmax(ldexp(1, ilogb(fmax(fabs(x), DBL_MIN)) - 52), DBL_TRUE_MIN);
}

static void compare(int i, double x)
{
    const struct moe_act_info *info = moe_act_info(rows[i].act);
    if (x > rows[i].most)
        return;
    const double units = ALLOWED + 3 * fabs(rows[i].argument(x));
    const double lost = 64 * DBL_TRUE_MIN;
    const double value = info->gate(x, 10), want = reference(rows[i].formula, x);
    if (!(fabs(value - want) <= units * unit_of(want) + lost))
        ck_abort_msg("%s(%a): %a, not %a", info->name, x, value, want);
    if (x == 0 || fabs(x) < 0x1p-100) /* h would not be small beside x, nor does it matter */
        return;
    const double slope = info->gate_slope(x, 10), steep = reference_slope(rows[i].formula, x);
    const double unit = unit_of(x > -3 ? fmax(fabs(steep), 1) : steep);
    if (!(fabs(slope - steep) <= units * unit + lost))
        ck_abort_msg("%s'(%a): %a, not %a", info->name, x, slope, steep);
}

START_TEST(values_and_slopes)
{
    for (double x = 0x1p-1060; x < 0x1p60; x *= 3.173) {
        compare(_i, x);
        compare(_i, -x);
    }
    for (int k = -250; k <= 250; k++)
        compare(_i, k * 0.17391);
    for (int k = 0; k <= 60; k++)
        compare(_i, -k * 12.513);
    compare(_i, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("act_mpfr");
    TCase *tests = tcase_create("act_mpfr");
    SRunner *runner = srunner_create(suite);
    int failed;
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, values_and_slopes, 0, sizeof rows / sizeof *rows);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
