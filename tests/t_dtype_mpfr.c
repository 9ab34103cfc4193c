/*
 * t_dtype_mpfr.c - rounding of doubles to each format against MPFR: precision and exponent range
 * set to the format's, mpfr_subnormalize for what is below. Values: random ones, and the midpoints
 * of neighbours with the doubles next to them, where a second rounding on the way would show.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include <mpfr.h>

#include "ref/moe.h"

static const enum moe_dtype dtypes[] = {MOE_BF16, MOE_F16, MOE_F32, MOE_E4M3, MOE_E5M2, MOE_E2M1};

/* `value` as MPFR rounds it; what exceeds the largest as the format has it. */
static double rounded(const struct moe_dtype_info *info, double value)
{
    mpfr_t x;
    mpfr_set_emin(2 - info->bias - info->fraction_bits); /* MPFR's significands are in [1/2, 1) */
    mpfr_init2(x, info->fraction_bits + 1);
    const int ternary = mpfr_set_d(x, value, MPFR_RNDN);
    mpfr_subnormalize(x, mpfr_check_range(x, ternary, MPFR_RNDN), MPFR_RNDN);
    const double result = mpfr_get_d(x, MPFR_RNDN);
    mpfr_clear(x);
    mpfr_set_emin(mpfr_get_emin_min());
    if (!(fabs(result) > info->largest))
        return result;
    return copysign(info->has_infinity ? INFINITY : info->bits == 4 ? info->largest : NAN, result);
}

static void compare(enum moe_dtype dtype, double value)
{
    const double want = rounded(moe_dtype_info(dtype), value);
    const double got = moe_dtype_round(dtype, value, 0);
    if (!(got == want && signbit(got) == signbit(want)) && !(isnan(got) && isnan(want)))
        ck_abort_msg("%s of %a: %a, not %a", moe_dtype_info(dtype)->name, value, got, want);
}

static double random_double(const struct moe_dtype_info *info)
{
    const int lowest = 1 - info->bias - info->fraction_bits - 3, highest = info->bias + 3;
    const double significand = 1 + (rand() + rand() * 0x1p-31) * 0x1p-31;
    const int exponent = lowest + rand() % (highest - lowest + 1);
    return copysign(ldexp(significand, exponent), rand() % 2 ? 1 : -1);
}

START_TEST(rounds_to_nearest_even)
{
    const enum moe_dtype dtype = dtypes[_i];
    const struct moe_dtype_info *info = moe_dtype_info(dtype);
    srand(3);
    for (int i = 0; i < 40000; i++) {
        const double value = random_double(info);
        compare(dtype, value);
        /* The middle between what is stored and the next one away from zero. */
        const double low = moe_dtype_round(dtype, value, 1);
        int exponent;
        frexp(low, &exponent);
        const double step = fmax(ldexp(1, exponent - 1 - info->fraction_bits), info->smallest);
        const double middle = low + copysign(step / 2, low);
        compare(dtype, middle);
        compare(dtype, nextafter(middle, 0));
        compare(dtype, nextafter(middle, copysign(INFINITY, low)));
        compare(dtype, nextafter(low, 0));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dtype_mpfr");
    TCase *tests = tcase_create("dtype_mpfr");
    SRunner *runner = srunner_create(suite);
    int failed;
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, rounds_to_nearest_even, 0, sizeof dtypes / sizeof *dtypes);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
