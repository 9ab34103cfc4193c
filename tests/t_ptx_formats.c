/*
 * t_ptx_formats.c - cvt on the PTX machine: every format that sm_90a has, and what sm_100a has
 * beyond, decoded into the conversions that t_ptx_convert tests; cvt.pack against the ISA's text;
 * matrices of bytes.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "gpu/ptx/number.h"
#include "ref/moe.h"
#include "tests/ptx_run.h"
#include "tests/support.h"

#define THREADS 256

static uint64_t a[THREADS], b[THREADS], c[THREADS];

/* f32 of all ranges, with the edges of all formats; f16, bf16 and narrower ones in their halves. */
static void draw(void)
{
    static const uint32_t edges[] = {0,          0x80000000, 0x3f800000, 0x7f800000, 0xff800000,
                                     0x7fc00000, 0x477fefff, 0x477ff000, 0x43e00000, 0x43e80000,
                                     0x47600000, 0x38800000, 0x33000001, 0xc0200000, 0x00000001};
    uint64_t state = 113;
    for (int i = 0; i < THREADS; i++) {
        uint64_t *const of[] = {&a[i], &b[i], &c[i]};
        for (int j = 0; j < 3; j++)
            *of[j] = random_below(&state, 4) ? (uint32_t)random_word(&state)
                     : random_below(&state, 2)
                         ? edges[random_below(&state, COUNT(edges))]
                         : (uint32_t)(0x30000000 + random_below(&state, 0x20000000));
    }
}

static void run_body(const char *target, const char *body, uint64_t *out)
{
    struct ptx_run run;
    ptx_run_open_for(&run, target, NULL, "", body, THREADS);
    ptx_run_set(&run, a, b, c);
    ptx_run_launch(&run);
    ck_assert_msg(!run.machine->report_count, "%s: %s", body, ptx_run_report(&run));
    memcpy(out, ptx_run_out(&run), 8 * THREADS);
    ptx_run_close(&run);
}

/* ---- cvt ------------------------------------------------------------------------------------- */

enum operands {
    ONE,  /* of %x */
    TWO,  /* of %x and %y to a pair, random bits in %z */
    PAIR, /* of a pair to a pair */
    FOUR  /* of %x, %y, %x, %y */
};

struct row {
    const char *body; /* leaves the result in %w */
    enum operands operands;
    enum number_format to, from;
    unsigned how;
    int from_bits;
};

#define HALF(text) "mov.b32 {%h0, %h1}, %x; " text " mov.u16 %h9, 0; mov.b32 %w, {%h2, %h9};"
#define RELU NUMBER_RELU
#define SATFINITE NUMBER_SATFINITE

static const struct row of_sm_90[] = {
    {HALF("cvt.rn.f16.f32 %h2, %x;"), ONE, NUMBER_F16, NUMBER_F32, NUMBER_RN, 32},
    {HALF("cvt.rz.f16.f32 %h2, %x;"), ONE, NUMBER_F16, NUMBER_F32, NUMBER_RZ, 32},
    {HALF("cvt.rm.f16.f32 %h2, %x;"), ONE, NUMBER_F16, NUMBER_F32, NUMBER_RM, 32},
    {HALF("cvt.rn.relu.f16.f32 %h2, %x;"), ONE, NUMBER_F16, NUMBER_F32, RELU, 32},
    {HALF("cvt.rn.relu.satfinite.f16.f32 %h2, %x;"), ONE, NUMBER_F16, NUMBER_F32, RELU | SATFINITE,
     32},
    {HALF("cvt.rn.ftz.f16.f32 %h2, %x;"), ONE, NUMBER_F16, NUMBER_F32, NUMBER_FTZ, 32},
    {HALF("cvt.rn.sat.f16.f32 %h2, %x;"), ONE, NUMBER_F16, NUMBER_F32, NUMBER_SAT, 32},
    {HALF("cvt.rn.bf16.f32 %h2, %x;"), ONE, NUMBER_BF16, NUMBER_F32, NUMBER_RN, 32},
    {HALF("cvt.rz.relu.bf16.f32 %h2, %x;"), ONE, NUMBER_BF16, NUMBER_F32, NUMBER_RZ | RELU, 32},
    {HALF("cvt.rn.satfinite.bf16.f32 %h2, %x;"), ONE, NUMBER_BF16, NUMBER_F32, SATFINITE, 32},
    {HALF("cvt.rn.bf16.f16 %h2, %h0;"), ONE, NUMBER_BF16, NUMBER_F16, NUMBER_RN, 16},
    {HALF("cvt.rn.f16.bf16 %h2, %h0;"), ONE, NUMBER_F16, NUMBER_BF16, NUMBER_RN, 16},
    {HALF("cvt.rpi.f16.f16 %h2, %h0;"), ONE, NUMBER_F16, NUMBER_F16, NUMBER_RP | NUMBER_INTEGRAL,
     16},
    {HALF("cvt.rn.bf16.s32 %h2, %x;"), ONE, NUMBER_BF16, NUMBER_S32, NUMBER_RN, 32},
    {HALF("cvt.rzi.u16.bf16 %h2, %h0;"), ONE, NUMBER_U16, NUMBER_BF16, NUMBER_RZ, 16},
    {HALF("cvt.f32.f16 %w, %h0;") "cvt.f32.f16 %w, %h0;", ONE, NUMBER_F32, NUMBER_F16, 0, 16},
    {HALF("cvt.f32.bf16 %w, %h0;") "cvt.f32.bf16 %w, %h0;", ONE, NUMBER_F32, NUMBER_BF16, 0, 16},
    {"cvt.rmi.ftz.f32.f32 %w, %x;", ONE, NUMBER_F32, NUMBER_F32,
     NUMBER_RM | NUMBER_INTEGRAL | NUMBER_FTZ, 32},
    {"cvt.rpi.s32.f32 %w, %x;", ONE, NUMBER_S32, NUMBER_F32, NUMBER_RP, 32},
    {"cvt.rn.tf32.f32 %w, %x;", ONE, NUMBER_TF32, NUMBER_F32, NUMBER_RN, 32},
    {"cvt.rz.relu.tf32.f32 %w, %x;", ONE, NUMBER_TF32, NUMBER_F32, NUMBER_RZ | RELU, 32},
    {"cvt.rna.tf32.f32 %w, %x;", ONE, NUMBER_TF32, NUMBER_F32, NUMBER_RNA, 32},
    {"cvt.rna.satfinite.tf32.f32 %w, %x;", ONE, NUMBER_TF32, NUMBER_F32, NUMBER_RNA | SATFINITE,
     32},
    {"cvt.rn.f16x2.f32 %w, %x, %y;", TWO, NUMBER_F16, NUMBER_F32, NUMBER_RN, 32},
    {"cvt.rz.relu.f16x2.f32 %w, %x, %y;", TWO, NUMBER_F16, NUMBER_F32, NUMBER_RZ | RELU, 32},
    {"cvt.rn.satfinite.bf16x2.f32 %w, %x, %y;", TWO, NUMBER_BF16, NUMBER_F32, SATFINITE, 32},
    {HALF("cvt.rn.satfinite.e4m3x2.f32 %h2, %x, %y;"), TWO, NUMBER_E4M3, NUMBER_F32, SATFINITE, 32},
    {HALF("cvt.rn.satfinite.relu.e5m2x2.f32 %h2, %x, %y;"), TWO, NUMBER_E5M2, NUMBER_F32,
     SATFINITE | RELU, 32},
    {HALF("cvt.rn.satfinite.e4m3x2.f16x2 %h2, %x;"), PAIR, NUMBER_E4M3, NUMBER_F16, SATFINITE, 32},
    {HALF("cvt.rn.satfinite.relu.e5m2x2.f16x2 %h2, %x;"), PAIR, NUMBER_E5M2, NUMBER_F16,
     SATFINITE | RELU, 32},
    {HALF("cvt.rn.f16x2.e4m3x2 %w, %h0;") "cvt.rn.f16x2.e4m3x2 %w, %h0;", PAIR, NUMBER_F16,
     NUMBER_E4M3, 0, 16},
    {HALF("cvt.rn.relu.f16x2.e5m2x2 %w, %h0;") "cvt.rn.relu.f16x2.e5m2x2 %w, %h0;", PAIR,
     NUMBER_F16, NUMBER_E5M2, RELU, 16},
};

static const struct row of_sm_100[] = {
    {"cvt.rn.satfinite.tf32.f32 %w, %x;", ONE, NUMBER_TF32, NUMBER_F32, SATFINITE, 32},
    {HALF("cvt.rn.satfinite.e2m3x2.f32 %h2, %x, %y;"), TWO, NUMBER_E2M3, NUMBER_F32, SATFINITE, 32},
    {HALF("cvt.rp.satfinite.ue8m0x2.f32 %h2, %x, %y;"), TWO, NUMBER_UE8M0, NUMBER_F32,
     NUMBER_RP | SATFINITE, 32},
    {HALF("cvt.rn.f16x2.e3m2x2 %w, %h0;") "cvt.rn.f16x2.e3m2x2 %w, %h0;", PAIR, NUMBER_F16,
     NUMBER_E3M2, 0, 16},
    {"cvt.rs.f16x2.f32 %w, %x, %y, %z;", TWO, NUMBER_F16, NUMBER_F32, NUMBER_RS, 32},
    {"cvt.rs.relu.satfinite.bf16x2.f32 %w, %x, %y, %z;", TWO, NUMBER_BF16, NUMBER_F32,
     NUMBER_RS | RELU | SATFINITE, 32},
    {"cvt.rs.satfinite.e4m3x4.f32 %w, {%x, %y, %x, %y}, %z;", FOUR, NUMBER_E4M3, NUMBER_F32,
     NUMBER_RS | SATFINITE, 32},
    {HALF("cvt.rs.relu.satfinite.e2m1x4.f32 %h2, {%x, %y, %x, %y}, %z;"), FOUR, NUMBER_E2M1,
     NUMBER_F32, NUMBER_RS | RELU | SATFINITE, 32},
};

static uint32_t wanted(const struct row *row, uint32_t x, uint32_t y, uint32_t z)
{
    const uint32_t low = x & UINT32_MAX >> (32 - row->from_bits), four[4] = {x, y, x, y};
    switch (row->operands) {
    case ONE:
        return (uint32_t)number_convert(row->to, row->from, low, row->how, 0);
    case TWO:
        return number_convert_to_x2(row->to, row->from, x, y, row->how, z);
    case PAIR:
        return number_convert_x2(row->to, row->from, low, row->how);
    default:
        return number_convert_to_x4(row->to, four, row->how, z);
    }
}

static void check_rows(const char *target, const struct row *rows, int count)
{
    uint64_t out[THREADS];
    draw();
    for (int r = 0; r < count; r++) {
        char body[400];
        snprintf(body, sizeof body, "%s mov.b64 %%d, {%%w, 0};", rows[r].body);
        run_body(target, body, out);
        for (int i = 0; i < THREADS; i++) {
            const uint32_t x = (uint32_t)a[i], y = (uint32_t)b[i], z = (uint32_t)c[i];
            ck_assert_msg(out[i] == wanted(&rows[r], x, y, z), "%s of %08x %08x %08x: %llx, not %x",
                          rows[r].body, x, y, z, (unsigned long long)out[i],
                          wanted(&rows[r], x, y, z));
        }
    }
}

START_TEST(formats_of_sm_90)
{
    check_rows("sm_90a", of_sm_90, COUNT(of_sm_90));
    check_rows("sm_100a", of_sm_90, COUNT(of_sm_90));
}
END_TEST

START_TEST(formats_of_sm_100)
{
    check_rows("sm_100a", of_sm_100, COUNT(of_sm_100));
}
END_TEST

/* ---- cvt.pack -------------------------------------------------------------------------------- */

static const struct {
    const char *body;
    int bits, is_signed;
} packs[] = {
    {"cvt.pack.sat.u16.s32 %w, %x, %y;", 16, 0},
    {"cvt.pack.sat.s16.s32 %w, %x, %y;", 16, 1},
    {"cvt.pack.sat.u8.s32.b32 %w, %x, %y, %z;", 8, 0},
    {"cvt.pack.sat.s8.s32.b32 %w, %x, %y, %z;", 8, 1},
    {"cvt.pack.sat.u4.s32.b32 %w, %x, %y, %z;", 4, 0},
    {"cvt.pack.sat.s4.s32.b32 %w, %x, %y, %z;", 4, 1},
    {"cvt.pack.sat.u2.s32.b32 %w, %x, %y, %z;", 2, 0},
    {"cvt.pack.sat.s2.s32.b32 %w, %x, %y, %z;", 2, 1},
};

static uint32_t clamped(uint32_t code, int bits, int is_signed)
{
    const int64_t value = (int32_t)code, high = (1 << (bits - is_signed)) - 1;
    const int64_t low = is_signed ? -high - 1 : 0;
    return (uint32_t)(value < low ? low : value > high ? high : value) & ((1u << bits) - 1);
}

START_TEST(packed_integers)
{
    const int bits = packs[_i].bits, is_signed = packs[_i].is_signed;
    uint64_t out[THREADS], state = 127;
    char body[200];
    for (int i = 0; i < THREADS; i++) { /* about the limits */
        a[i] = (uint32_t)(random_below(&state, 4 << bits) - (2 << bits));
        b[i] = (uint32_t)(random_below(&state, 4 << bits) - (2 << bits));
        c[i] = (uint32_t)random_word(&state);
    }
    snprintf(body, sizeof body, "%s mov.b64 %%d, {%%w, 0};", packs[_i].body);
    run_body("sm_90a", body, out);
    for (int i = 0; i < THREADS; i++) {
        const uint32_t above = bits < 16 ? (uint32_t)c[i] << 2 * bits : 0;
        ck_assert_uint_eq(out[i], above | clamped((uint32_t)a[i], bits, is_signed) << bits |
                                      clamped((uint32_t)b[i], bits, is_signed));
    }
}
END_TEST

/* ---- matrices of bytes ----------------------------------------------------------------------- */

/* Byte i of shared memory is i: lane l gets, of column l / 4 and of that 8 on, rows 4 (l % 4) and
 * the three below. stmatrix of the first register puts its columns into lines of 16. */
START_TEST(matrices_of_bytes)
{
    static const char body[] =
        ".shared .align 16 .b8 room[256]; .shared .align 16 .b8 back[128]; mov.u32 %r0, room;\n"
        "add.u32 %r1, %r0, %i; cvt.u16.u32 %h0, %i; st.shared.u8 [%r1], %h0; bar.sync 0;\n"
        "setp.ge.u32 %p, %i, 32; @%p bra others;\nand.b32 %r2, %i, 15; mad.lo.u32 %r2, %r2, 16, "
        "%r0;\nldmatrix.sync.aligned.m16n16.x1.trans.shared.b8 {%r3, %r4}, [%r2];\n"
        "mov.u32 %r5, back; and.b32 %r6, %i, 7; mad.lo.u32 %r6, %r6, 16, %r5;\n"
        "stmatrix.sync.aligned.m16n8.x1.trans.shared.b8 [%r6], {%r3}; mov.b64 %d, {%r3, %r4};\n"
        "others:\nbar.sync 0; @!%p bra out; setp.lt.u32 %q, %i, 160; @!%q bra out;\n"
        "mov.u32 %r5, back; sub.u32 %r7, %i, 32; "
        "add.u32 %r7, %r7, %r5; ld.shared.u8 %d, [%r7];\nout:\n";
    uint64_t out[THREADS];
    draw();
    run_body("sm_100a", body, out);
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++) {
            const int row = lane % 4 * 4 + i, column = lane / 4;
            ck_assert_int_eq(out[lane] >> 8 * i & 0xff, 16 * row + column);
            ck_assert_int_eq(out[lane] >> (32 + 8 * i) & 0xff, 16 * row + column + 8);
        }
    for (int i = 0; i < 128; i++) /* line i / 16 is column i / 16 */
        ck_assert_uint_eq(out[32 + i], 16 * (i % 16) + i / 16);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_formats");
    TCase *tests = tcase_create("ptx_formats");
    tcase_add_test(tests, formats_of_sm_90);
    tcase_add_test(tests, formats_of_sm_100);
    tcase_add_loop_test(tests, packed_integers, 0, COUNT(packs));
    tcase_add_test(tests, matrices_of_bytes);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
