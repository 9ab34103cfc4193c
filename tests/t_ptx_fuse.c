/*
 * t_ptx_fuse.c - a sum of an unrounded product, on the PTX machine: apart, fused where the ISA lets
 * a compiler fuse, or as the seed has it.
 *
 * x = y = 1 + 2^-k, z = -(1 + 2^(1-k)): x y + z is 2^-2k, and 0 once x y is rounded.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ref/moe.h"
#include "tests/ptx_run.h"
#include "tests/support.h"

#define THREADS 32

#define F32_X 0x3f800800 /* 1 + 2^-12 */
#define F32_Z 0xbf801000
#define F32_SUM 0x33800000 /* 2^-24 */
#define F64_X 0x3ff0000001000000
#define F64_Z 0xbff0000002000000
#define F64_SUM 0x3c70000000000000
#define F16_X 0x3c103c10 /* 1 + 2^-6, twice */
#define F16_Z 0xbc20bc20
#define F16_SUM 0x0c000c00
#define BF16_X 0x3f883f88 /* 1 + 2^-4 */
#define BF16_Z 0xbf90bf90
#define BF16_SUM 0x3b803b80

struct row {
    const char *body; /* what it leaves in %d */
    uint64_t x, z;
    uint64_t apart, fused;
};

#define W " mov.b64 %d, {%w, 0};"
#define F(body, fused)                                                                             \
    {                                                                                              \
        body W, F32_X, F32_Z, 0, fused                                                             \
    }
#define NOT_F(body) F(body, 0)

static const struct row rows[] = {
    F("mul.f32 %r0, %x, %y; add.f32 %w, %r0, %z;", F32_SUM),
    F("mul.f32 %r0, %x, %y; add.f32 %w, %z, %r0;", F32_SUM),
    F("mul.f32 %r0, %x, %y; neg.f32 %r1, %z; sub.f32 %w, %r0, %r1;", F32_SUM),
    F("mul.f32 %r0, %x, %y; neg.f32 %r1, %z; sub.f32 %w, %r1, %r0;", F32_SUM | 0x80000000),
    F("mul.ftz.f32 %r0, %x, %y; add.ftz.f32 %w, %r0, %z;", F32_SUM),
    F("mul.f32 %r0, %x, %y; add.sat.f32 %w, %r0, %z;", F32_SUM),
    F("mul.f32 %r0, %x, %y; add.f32 %z, %r0, %z; mov.b32 %w, %z;", F32_SUM),
    F("mul.f32 %r0, %x, %y; setp.eq.u32 %p, %x, %y; mov.b32 %w, 0; @%p add.f32 %w, %r0, %z;",
      F32_SUM),
    /* The factors' last use is the product: their slots wait for the sum. */
    F("add.u32 %r8, %x, 0; add.u32 %r9, %y, 0; mul.f32 %r0, %r8, %r9; mov.u32 %r1, 1; mov.u32 %r2, "
      "2; mov.u32 %r3, 3; add.f32 %w, %r0, %z; add.u32 %r1, %r1, %r2; add.u32 %r1, %r1, %r3; "
      "sub.u32 %r1, %r1, 6; add.u32 %w, %w, %r1;",
      F32_SUM),
    {"mov.b64 %g0, %a; mov.b64 %g1, %b; mul.f64 %g2, %g0, %g1; mov.b64 %g3, %c; add.f64 %g4, %g2, "
     "%g3; mov.b64 %d, %g4;",
     F64_X, F64_Z, 0, F64_SUM},
    {"mul.f16x2 %r0, %x, %y; add.f16x2 %w, %r0, %z;" W, F16_X, F16_Z, 0, F16_SUM},
    {"mul.f16x2 %r0, %x, %y; neg.f16x2 %r1, %z; sub.f16x2 %w, %r1, %r0;" W, F16_X, F16_Z, 0,
     F16_SUM | 0x80008000},
    {"mul.bf16x2 %r0, %x, %y; add.bf16x2 %w, %r0, %z;" W, BF16_X, BF16_Z, 0, BF16_SUM},
    {"cvt.u16.u32 %h0, %x; cvt.u16.u32 %h1, %z; mul.f16 %h2, %h0, %h0; add.f16 %h3, %h2, %h1; "
     "cvt.u32.u16 %w, %h3;" W,
     F16_X, F16_Z, 0, F16_SUM & 0xffff},
    NOT_F("mul.rn.f32 %r0, %x, %y; add.f32 %w, %r0, %z;"),
    NOT_F("mul.f32 %r0, %x, %y; add.rn.f32 %w, %r0, %z;"),
    NOT_F("mul.ftz.f32 %r0, %x, %y; add.f32 %w, %r0, %z;"),
    NOT_F("mul.f32 %r0, %x, %y; add.ftz.f32 %w, %r0, %z;"),
    {"mov.b32 %r1, 0x3f800000; mul.sat.f32 %r0, %x, %r1; add.f32 %w, %r0, %z;" W, F32_X, F32_Z,
     0xba000000, 0xba000000},
    NOT_F("setp.eq.u32 %p, %x, %y; @%p mul.f32 %r0, %x, %y; add.f32 %w, %r0, %z;"),
    NOT_F("mul.f32 %r0, %x, %y; setp.eq.u32 %p, %x, %y; @%p bra L; mov.u32 %z, 0; L: add.f32 %w, "
          "%r0, %z;"),
    NOT_F("mul.f32 %r0, %x, %y; mov.b32 %x, 0; add.f32 %w, %r0, %z;"),
    NOT_F("mul.f32 %x, %x, %y; add.f32 %w, %x, %z;"),
    NOT_F("mul.f32 %r0, %x, %y; mov.b32 %r0, %r0; add.f32 %w, %r0, %z;"),
};

static uint64_t result_of(const struct row *row, enum ptx_fuse fuse, uint64_t seed)
{
    const struct ptx_options options = {.fuse = fuse, .seed = seed};
    uint64_t x[THREADS], z[THREADS];
    struct ptx_run run;
    for (int i = 0; i < THREADS; i++) {
        x[i] = row->x;
        z[i] = row->z;
    }
    ptx_run_open(&run, &options, "", row->body, THREADS);
    ptx_run_set(&run, x, x, z);
    ptx_run_launch(&run);
    ck_assert_msg(!run.machine->report_count, "%s: %s", row->body, ptx_run_report(&run));
    const uint64_t result = ptx_run_out(&run)[THREADS - 1];
    for (int i = 0; i < THREADS; i++)
        ck_assert(ptx_run_out(&run)[i] == result);
    ptx_run_close(&run);
    return result;
}

START_TEST(where_the_text_lets)
{
    const struct row *row = &rows[_i];
    const uint64_t apart = result_of(row, PTX_FUSE_NONE, 0),
                   fused = result_of(row, PTX_FUSE_ALL, 0);
    ck_assert_msg(apart == row->apart, "%s: apart %llx", row->body, (unsigned long long)apart);
    ck_assert_msg(fused == row->fused, "%s: fused %llx", row->body, (unsigned long long)fused);
}
END_TEST

/* Each sum for itself, and the same seed does the same. */
START_TEST(the_seed_chooses)
{
    static const struct row two = {"mul.f32 %r0, %x, %y; add.f32 %r1, %r0, %z; mul.f32 %r2, %y, "
                                   "%x; add.f32 %r3, %z, %r2; mov.b64 %d, {%r1, %r3};",
                                   F32_X, F32_Z, 0, 0};
    int seen[4] = {0};
    for (uint64_t seed = 0; seed < 40; seed++) {
        const uint64_t sums = result_of(&two, PTX_FUSE_BY_SEED, seed);
        ck_assert(result_of(&two, PTX_FUSE_BY_SEED, seed) == sums);
        seen[(sums >> 32 != 0) * 2 + ((uint32_t)sums != 0)]++;
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_ge(seen[i], 2);
}
END_TEST

/* x y - y x: 0 apart, and what rounding took with either sign where one of them is fused. */
START_TEST(either_of_two_products)
{
    static const struct row difference = {
        "mul.f32 %r0, %x, %y; mul.f32 %r1, %y, %x; sub.f32 %w, %r0, %r1;" W, F32_X, F32_Z, 0, 0};
    int plus = 0, minus = 0, none = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        const uint64_t sum = result_of(&difference, PTX_FUSE_BY_SEED, seed);
        plus += sum == F32_SUM;
        minus += sum == (F32_SUM | 0x80000000);
        none += sum == 0;
    }
    ck_assert_int_eq(plus + minus + none, 40);
    ck_assert(plus > 2 && minus > 2 && none > 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_fuse");
    TCase *tests = tcase_create("ptx_fuse");
    tcase_add_loop_test(tests, where_the_text_lets, 0, COUNT(rows));
    tcase_add_test(tests, the_seed_chooses);
    tcase_add_test(tests, either_of_two_products);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
