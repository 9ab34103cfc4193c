/*
 * t_ptx_exec.c - instructions of one lane: each on edges and random values against what the ISA's
 * text says, written down a second time here.
 */
#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ref/moe.h"
#include "tests/ptx_run.h"
#include "tests/support.h"

#define THREADS 256

static uint64_t a[THREADS], b[THREADS], c[THREADS];

static uint64_t next_random(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Edges in all pairs first, then random values, some of them small. */
static void draw(void)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     31,
                                     33,
                                     0x7fffffff,
                                     0x80000000,
                                     0xffffffff,
                                     UINT64_C(0x7fffffffffffffff),
                                     UINT64_C(0x8000000000000000),
                                     UINT64_MAX};
    const size_t count = sizeof edges / sizeof *edges;
    for (size_t i = 0; i < THREADS; i++) {
        a[i] = i < count * count ? edges[i % count] : next_random();
        b[i] = i < count * count ? edges[i / count] : next_random() >> next_random() % 64;
        c[i] = next_random() >> next_random() % 64;
    }
}

typedef uint64_t expected(uint64_t a, uint64_t b, uint64_t c);

struct row {
    const char *body;
    expected *want;
};

static void run_row(const struct row *row)
{
    struct ptx_run run;
    ptx_run_open(&run, NULL, "", row->body, THREADS);
    ptx_run_set(&run, a, b, c);
    ptx_run_launch(&run);
    ck_assert_msg(!run.machine->report_count, "%s: %s", row->body, ptx_run_report(&run));
    for (int i = 0; i < THREADS; i++) {
        const uint64_t got = ptx_run_out(&run)[i], want = row->want(a[i], b[i], c[i]);
        ck_assert_msg(got == want, "%s of 0x%llx 0x%llx 0x%llx is 0x%llx, not 0x%llx", row->body,
                      (unsigned long long)a[i], (unsigned long long)b[i], (unsigned long long)c[i],
                      (unsigned long long)got, (unsigned long long)want);
    }
    ptx_run_close(&run);
}

#define TO_W " mov.b64 %d, {%w, 0};"
#define S32(x) ((int32_t)(uint32_t)(x))
#define S64(x) ((int64_t)(x))
#define U32(x) ((uint32_t)(x))

/* ---- integers -------------------------------------------------------------------------------- */

static uint64_t add32(uint64_t x, uint64_t y, uint64_t z)
{
    (void)z;
    return U32(x + y);
}
static uint64_t add64(uint64_t x, uint64_t y, uint64_t z)
{
    (void)z;
    return x + y;
}
static uint64_t add_sat(uint64_t x, uint64_t y, uint64_t z)
{
    const int64_t sum = (int64_t)S32(x) + S32(y);
    (void)z;
    return U32(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
}
static uint64_t mul_hi_s32(uint64_t x, uint64_t y, uint64_t z)
{
    (void)z;
    return U32((uint64_t)((int64_t)S32(x) * S32(y)) >> 32);
}
static uint64_t mul_hi_u64(uint64_t x, uint64_t y, uint64_t z)
{
    /* By halves, not by a wide type. */
    const uint64_t xl = U32(x), xh = x >> 32, yl = U32(y), yh = y >> 32;
    const uint64_t middle = xh * yl + (xl * yl >> 32), other = xl * yh + U32(middle);
    (void)z;
    return xh * yh + (middle >> 32) + (other >> 32);
}
static uint64_t mul_wide_s32(uint64_t x, uint64_t y, uint64_t z)
{
    (void)z;
    return (uint64_t)((int64_t)S32(x) * S32(y));
}
static uint64_t mad_lo(uint64_t x, uint64_t y, uint64_t z)
{
    return U32(U32(x) * U32(y) + U32(z));
}
static uint64_t div_s32(uint64_t x, uint64_t y, uint64_t z)
{
    (void)z;
    return U32((int64_t)S32(x) / (S32(y) | 1));
}
static uint64_t rem_u64(uint64_t x, uint64_t y, uint64_t z)
{
    (void)z;
    return x % (y | 1);
}
static uint64_t sad_s32(uint64_t x, uint64_t y, uint64_t z)
{
    const int64_t difference = (int64_t)S32(x) - S32(y);
    return U32((uint64_t)(difference < 0 ? -difference : difference) + z);
}
static uint64_t min_s64(uint64_t x, uint64_t y, uint64_t z)
{
    (void)z;
    return S64(x) < S64(y) ? x : y;
}
static uint64_t max_u32(uint64_t x, uint64_t y, uint64_t z)
{
    (void)z;
    return U32(x) > U32(y) ? U32(x) : U32(y);
}
static uint64_t dp4a_us(uint64_t x, uint64_t y, uint64_t z)
{
    int64_t sum = S32(z);
    for (int i = 0; i < 4; i++)
        sum += (int)(uint8_t)(x >> 8 * i) * (int)(int8_t)(y >> 8 * i);
    return U32(sum);
}
static uint64_t sum128_high(uint64_t x, uint64_t y, uint64_t z)
{
    return z + z + (x + y < x);
}
static uint64_t difference_high(uint64_t x, uint64_t y, uint64_t z)
{
    return z - (x < y);
}

START_TEST(integers)
{
    static const struct row rows[] = {
        {"add.s32 %w, %x, %y;" TO_W, add32},
        {"add.s64 %d, %a, %b;", add64},
        {"add.sat.s32 %w, %x, %y;" TO_W, add_sat},
        {"mul.hi.s32 %w, %x, %y;" TO_W, mul_hi_s32},
        {"mul.hi.u64 %d, %a, %b;", mul_hi_u64},
        {"mul.wide.s32 %d, %x, %y;", mul_wide_s32},
        {"mad.lo.u32 %w, %x, %y, %z;" TO_W, mad_lo},
        {"or.b32 %y, %y, 1; div.s32 %w, %x, %y;" TO_W, div_s32},
        {"or.b64 %b, %b, 1; rem.u64 %d, %a, %b;", rem_u64},
        {"sad.s32 %w, %x, %y, %z;" TO_W, sad_s32},
        {"min.s64 %d, %a, %b;", min_s64},
        {"max.u32 %w, %x, %y;" TO_W, max_u32},
        {"dp4a.u32.s32 %w, %x, %y, %z;" TO_W, dp4a_us},
        {"add.cc.u64 %s0, %a, %b; addc.u64 %d, %c, %c;", sum128_high},
        {"sub.cc.u64 %s0, %a, %b; subc.u64 %d, %c, 0;", difference_high},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        run_row(&rows[i]);
}
END_TEST

/* ---- bits ------------------------------------------------------------------------------------ */

static uint64_t lop3(uint64_t x, uint64_t y, uint64_t z)
{
    return U32((x & y) ^ z); /* 0xf0 & 0xcc ^ 0xaa = 0x6a */
}
static uint64_t shl32(uint64_t x, uint64_t y, uint64_t z)
{
    (void)z;
    return U32(y) >= 32 ? 0 : U32(x << U32(y));
}
static uint64_t shr_s64(uint64_t x, uint64_t y, uint64_t z)
{
    uint64_t result = x;
    (void)z;
    for (uint64_t i = 0; i < 63 && i < U32(y); i++)
        result = (result >> 1) | (x & UINT64_C(1) << 63);
    return result;
}
static uint64_t shf_l_wrap(uint64_t x, uint64_t y, uint64_t z)
{
    const unsigned by = z & 31;
    return by ? U32(U32(y) << by | U32(x) >> (32 - by)) : U32(y);
}
static uint64_t bfe_s32(uint64_t x, uint64_t y, uint64_t z)
{
    const unsigned at = y & 0xff, length = z & 0xff;
    const unsigned sign_at = at + length - 1 > 31 ? 31 : at + length - 1;
    uint32_t result = 0;
    if (!length)
        return 0;
    for (unsigned i = 0; i < 32; i++)
        result |= (i < length && at + i < 32 ? U32(x) >> (at + i) & 1 : U32(x) >> sign_at & 1) << i;
    return result;
}
static uint64_t bfi64(uint64_t x, uint64_t y, uint64_t z)
{
    uint64_t result = y;
    const unsigned at = z & 0xff, length = z >> 8 & 0xff;
    for (unsigned i = 0; i < length && at + i < 64; i++)
        result = (result & ~(UINT64_C(1) << (at + i))) | ((i < 64 ? x >> i & 1 : 0) << (at + i));
    return result;
}
static uint64_t bfind_s32(uint64_t x, uint64_t y, uint64_t z)
{
    (void)y, (void)z;
    const uint32_t value = S32(x) < 0 ? ~U32(x) : U32(x);
    for (int i = 31; i >= 0; i--)
        if (value >> i & 1)
            return (uint64_t)i;
    return 0xffffffff;
}
static uint64_t brev32(uint64_t x, uint64_t y, uint64_t z)
{
    uint32_t result = 0;
    (void)y, (void)z;
    for (int i = 0; i < 32; i++)
        result = result << 1 | (U32(x) >> i & 1);
    return result;
}
static uint64_t clz_popc(uint64_t x, uint64_t y, uint64_t z)
{
    uint64_t zeros = 0, ones = 0;
    (void)z;
    while (zeros < 64 && !(x >> (63 - zeros) & 1))
        zeros++;
    for (int i = 0; i < 32; i++)
        ones += y >> i & 1;
    return zeros | ones << 32;
}
static uint64_t prmt(uint64_t x, uint64_t y, uint64_t z)
{
    const uint64_t both = U32(x) | y << 32;
    uint64_t result = 0;
    for (int i = 0; i < 4; i++) {
        const unsigned selector = z >> 4 * i & 15;
        uint8_t byte = (uint8_t)(both >> 8 * (selector & 7));
        if (selector & 8)
            byte = (int8_t)byte < 0 ? 0xff : 0;
        result |= (uint64_t)byte << 8 * i;
    }
    return result;
}

START_TEST(bits)
{
    static const struct row rows[] = {
        {"lop3.b32 %w, %x, %y, %z, 0x6a;" TO_W, lop3},
        {"shl.b32 %w, %x, %y;" TO_W, shl32},
        {"shr.s64 %d, %a, %y;", shr_s64},
        {"shf.l.wrap.b32 %w, %x, %y, %z;" TO_W, shf_l_wrap},
        {"bfe.s32 %w, %x, %y, %z;" TO_W, bfe_s32},
        {"bfe.u32 %r0, %z, 8, 8; and.b32 %r1, %z, 255; bfi.b64 %d, %a, %b, %r1, %r0;", bfi64},
        {"bfind.s32 %w, %x;" TO_W, bfind_s32},
        {"brev.b32 %w, %x;" TO_W, brev32},
        {"clz.b64 %r0, %a; popc.b32 %r1, %y; mov.b64 %d, {%r0, %r1};", clz_popc},
        {"prmt.b32 %w, %x, %y, %z;" TO_W, prmt},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        run_row(&rows[i]);
}
END_TEST

/* ---- comparisons, selections, conversions ---------------------------------------------------- */

static uint64_t compare(uint64_t x, uint64_t y, uint64_t z)
{
    (void)z;
    return (S32(x) < S32(y)) | (uint64_t)(U32(x) >= U32(y)) << 32;
}
static uint64_t combined(uint64_t x, uint64_t y, uint64_t z)
{
    const int small = U32(z) < 100;
    return (uint64_t)((x == y || !small) ? 1 : 0) | (uint64_t)((x != y || !small) ? 1 : 0) << 32;
}
static uint64_t narrowed(uint64_t x, uint64_t y, uint64_t z)
{
    (void)y, (void)z;
    const int64_t value = S64(x);
    return U32(value > 127 ? 127 : value < -128 ? -128 : value);
}
static uint64_t sign_extended(uint64_t x, uint64_t y, uint64_t z)
{
    (void)y, (void)z;
    return (uint64_t)(int64_t)(int16_t)x;
}
static uint64_t float_of_integer(uint64_t x, uint64_t y, uint64_t z)
{
    const float value = (float)S64(x);
    uint32_t word;
    (void)y, (void)z;
    memcpy(&word, &value, sizeof word);
    return word;
}
static uint64_t integer_of_double(uint64_t x, uint64_t y, uint64_t z)
{
    double value;
    (void)y, (void)z;
    memcpy(&value, &x, sizeof value);
    if (isnan(value))
        return 0x80000000; /* of the row: cvt to s32 of NaN is 0, which it turns into this */
    value = trunc(value);
    return U32(value >= 2147483647.0    ? INT32_MAX
               : value <= -2147483648.0 ? INT32_MIN
                                        : (int32_t)value);
}
static uint64_t chosen(uint64_t x, uint64_t y, uint64_t z)
{
    return S32(z) >= 0 ? x : y;
}

START_TEST(conversions)
{
    static const struct row rows[] = {
        {"setp.lt.s32 %p, %x, %y; setp.hs.u32 %q, %x, %y; selp.u32 %r0, 1, 0, %p; selp.u32 %r1, 1, "
         "0, %q; mov.b64 %d, {%r0, %r1};",
         compare},
        {"setp.lt.u32 %p, %z, 100; setp.eq.or.u64 %p|%q, %a, %b, !%p; selp.u32 %r0, 1, 0, %p; "
         "selp.u32 %r1, 1, 0, %q; mov.b64 %d, {%r0, %r1};",
         combined},
        {"cvt.sat.s8.s64 %w, %a;" TO_W, narrowed},
        {"cvt.s64.s16 %d, %a;", sign_extended},
        {"cvt.rn.f32.s64 %f0, %a; mov.b32 %w, %f0;" TO_W, float_of_integer},
        {"mov.b64 %g0, %a; cvt.rzi.s32.f64 %w, %g0; testp.notanumber.f64 %p, %g0; @%p mov.u32 %w, "
         "0x80000000;" TO_W,
         integer_of_double},
        {"slct.b64.s32 %d, %a, %b, %z;", chosen},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        run_row(&rows[i]);
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------- */

static uint64_t through_vector(uint64_t x, uint64_t y, uint64_t z)
{
    (void)z;
    return U32(y) | x << 32;
}
static uint64_t signed_byte(uint64_t x, uint64_t y, uint64_t z)
{
    (void)y, (void)z;
    return (uint64_t)(int64_t)(int8_t)(x >> 8);
}
static uint64_t same(uint64_t x, uint64_t y, uint64_t z)
{
    (void)y, (void)z;
    return x;
}

START_TEST(memory)
{
    static const struct row rows[] = {
        {"st.global.v2.u32 [%po], {%y, %x}; ld.global.u64 %d, [%po];", through_vector},
        {"ld.global.s8 %d, [%pa+1];", signed_byte},
        {".local .align 8 .b8 depot[16]; mov.u64 %s0, depot; cvta.local.u64 %s1, %s0; st.u64 "
         "[%s1+8], %a; ld.local.u64 %d, [depot+8];",
         same},
        {".shared .align 8 .b8 room[2048]; mov.u32 %r0, room; shl.b32 %r1, %i, 3; add.s32 %r0, "
         "%r0, %r1; st.shared.u64 [%r0], %a; cvt.u64.u32 %s0, %r0; cvta.shared.u64 %s0, %s0; "
         "isspacep.shared %p, %s0; @%p ld.u64 %d, [%s0];",
         same},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        run_row(&rows[i]);
}
END_TEST

static void setup(void)
{
    draw();
}

int main(void)
{
    Suite *suite = suite_create("ptx_exec");
    TCase *tests = tcase_create("instructions");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, integers);
    tcase_add_test(tests, bits);
    tcase_add_test(tests, conversions);
    tcase_add_test(tests, memory);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
