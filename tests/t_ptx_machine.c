/*
 * t_ptx_machine.c - the machine's rules: lanes that part and meet, barriers, what is undefined, and
 * a report for each thing that a kernel does wrong.
 */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ref/moe.h"
#include "tests/ptx_run.h"
#include "tests/support.h"

#define THREADS 128

static uint64_t a[THREADS], b[THREADS], c[THREADS];

static void setup(void)
{
    for (uint64_t i = 0; i < THREADS; i++) {
        a[i] = i;
        b[i] = 1000 + i;
        c[i] = i * i;
    }
}

/* Under every schedule and some seeds; `want` [THREADS]. */
static void gives(const char *outside, const char *body, const uint64_t *want)
{
    for (int way = 0; way < 3 * PTX_SCHEDULE_COUNT; way++) {
        const struct ptx_options options = {.seed = (uint64_t)way,
                                            .schedule = (enum ptx_schedule)(way % 3)};
        struct ptx_run run;
        ptx_run_open(&run, &options, outside, body, THREADS);
        ptx_run_set(&run, a, b, c);
        ptx_run_launch(&run);
        ck_assert_msg(!run.machine->report_count, "%s", ptx_run_report(&run));
        for (int i = 0; i < THREADS; i++)
            ck_assert_msg(ptx_run_out(&run)[i] == want[i], "way %d, thread %d: %llu, not %llu", way,
                          i, (unsigned long long)ptx_run_out(&run)[i], (unsigned long long)want[i]);
        ptx_run_close(&run);
    }
}

/* The only report of the body begins with one text and has the other. */
static void reports(const char *body, const char *kind, const char *says)
{
    struct ptx_run run;
    const struct ptx_options options = {.most_steps = 100000};
    ptx_run_open(&run, &options, "", body, THREADS);
    ptx_run_set(&run, a, NULL, c);
    ptx_run_launch(&run);
    ck_assert_msg(run.machine->stopped, "no report of: %s", body);
    ck_assert_msg(!strncmp(ptx_run_report(&run), kind, strlen(kind)), "'%s', not '%s'",
                  ptx_run_report(&run), kind);
    ck_assert_msg(strstr(ptx_run_report(&run), says) != NULL, "'%s' lacks '%s'",
                  ptx_run_report(&run), says);
    ptx_run_close(&run);
}

START_TEST(lanes_part_and_meet)
{
    uint64_t want[THREADS];
    /* Each lane loops as often as its number says; then all sum over the warp. */
    for (uint64_t i = 0; i < THREADS; i++)
        want[i] = 0;
    for (uint64_t i = 0; i < THREADS; i++)
        for (uint64_t j = i / 32 * 32; j < i / 32 * 32 + 32; j++)
            want[i] += j * (j + 1) / 2;
    gives(
        "",
        "mov.u32 %r0, 0; mov.u32 %r1, 0;\n"
        "L: setp.gt.u32 %p, %r1, %x; @%p bra OUT; add.s32 %r0, %r0, %r1; add.s32 %r1, %r1, 1; bra "
        "L;\n"
        "OUT: mov.u32 %r2, 16;\n"
        "S: shfl.sync.bfly.b32 %r3, %r0, %r2, 31, -1; add.s32 %r0, %r0, %r3; shr.u32 %r2, %r2, 1;\n"
        "setp.ne.u32 %p, %r2, 0; @%p bra S; cvt.u64.u32 %d, %r0;",
        want);
}
END_TEST

START_TEST(lanes_of_one_warp_wait_for_each_other)
{
    uint64_t want[THREADS];
    for (uint64_t i = 0; i < THREADS; i++)
        want[i] = 7;
    /* Lane 0 of a warp releases what its other lanes spin on, and stands behind them in the code.
     */
    gives(
        ".global .u32 flags[4];",
        "mov.u64 %s0, flags; shr.u32 %r0, %i, 5; mul.wide.u32 %s1, %r0, 4; add.s64 %s0, %s0, %s1;\n"
        "and.b32 %r1, %i, 31; setp.eq.s32 %p, %r1, 0; @%p bra SET;\n"
        "SPIN: ld.volatile.global.u32 %r2, [%s0]; setp.ne.s32 %q, %r2, 7; @%q bra SPIN; bra DONE;\n"
        "SET: st.volatile.global.u32 [%s0], 7; mov.u32 %r2, 7;\n"
        "DONE: cvt.u64.u32 %d, %r2;",
        want);
}
END_TEST

START_TEST(barriers_hold)
{
    uint64_t want[THREADS];
    for (uint64_t i = 0; i < THREADS; i++)
        want[i] = (THREADS - 1 - i) + (THREADS / 2) * UINT64_C(0x100000000);
    gives("",
          ".shared .align 4 .b8 room[512]; mov.u32 %r0, room; mad.lo.u32 %r1, %i, 4, %r0;\n"
          "st.shared.u32 [%r1], %i; bar.sync 0; mov.u32 %r2, 127; sub.s32 %r2, %r2, %i;\n"
          "mad.lo.u32 %r2, %r2, 4, %r0; ld.shared.u32 %r3, [%r2];\n"
          "setp.lt.u32 %p, %i, 64; bar.red.popc.u32 %r4, 1, %p; mov.b64 %d, {%r3, %r4};",
          want);
}
END_TEST

START_TEST(atomics_count)
{
    uint64_t want[THREADS];
    for (uint64_t i = 0; i < THREADS; i++)
        want[i] = THREADS * (THREADS - 1) / 2;
    gives(".global .u64 sum;", "red.global.add.u64 [sum], %a; bar.sync 0; ld.global.u64 %d, [sum];",
          want);
}
END_TEST

START_TEST(functions_are_called)
{
    uint64_t want[THREADS];
    for (uint64_t i = 0; i < THREADS; i++)
        want[i] = i % 2 ? 3 * i + 1 : i;
    gives(".func (.param .b64 r) triple(.param .b64 n) { .reg .b64 %v; ld.param.u64 %v, [n]; "
          "mul.lo.u64 "
          "%v, %v, 3; st.param.u64 [r], %v; ret; }",
          "mov.u64 %d, %a; and.b32 %r0, %x, 1; setp.eq.u32 %p, %r0, 0; @%p bra E;\n"
          "{ .param .b64 in; .param .b64 out; st.param.u64 [in], %a; call (out), triple, (in); "
          "ld.param.u64 %d, [out]; }\nadd.s64 %d, %d, 1;\nE:",
          want);
}
END_TEST

START_TEST(warps_vote)
{
    uint64_t want[THREADS];
    for (uint64_t i = 0; i < THREADS; i++)
        want[i] = UINT64_C(0x11111111) | UINT64_C(0x0000ffff) << 32;
    gives(
        "",
        "and.b32 %r0, %i, 3; setp.eq.s32 %p, %r0, 0; vote.sync.ballot.b32 %r1, %p, -1;\n"
        "and.b32 %r0, %i, 16; match.any.sync.b32 %r2, %r0, -1; shfl.sync.idx.b32 %r2, %r2, 0, 31, "
        "-1; mov.b64 %d, {%r1, %r2};",
        want);
}
END_TEST

/* Row r of a warp's matrix has 8 r to 8 r + 7; lane l gets, transposed, rows 2 (l % 4) and the one
 * behind it of column l / 4. What is stored transposed again comes back. */
START_TEST(matrices_move)
{
    uint64_t want[THREADS];
    for (uint64_t i = 0; i < THREADS; i++) {
        const uint64_t lane = i % 32, first = 16 * (lane % 4) + lane / 4;
        want[i] = first | (first + 8) << 16 | (2 * lane) << 32 | (2 * lane + 1) << 48;
    }
    gives("",
          ".shared .align 16 .b8 room[512]; shr.u32 %r0, %i, 5; mov.u32 %r1, room; mad.lo.u32 %r1, "
          "%r0, 128, %r1;\nand.b32 %r2, %i, 31; mad.lo.u32 %r3, %r2, 4, %r1; shl.b32 %r4, %r2, 1; "
          "add.s32 %r5, %r4, 1; cvt.u16.u32 %h0, %r4; cvt.u16.u32 %h1, %r5;\n"
          "mov.b32 %r4, {%h0, %h1}; st.shared.b32 [%r3], %r4; bar.sync 0;\n"
          "and.b32 %r2, %r2, 7; mad.lo.u32 %r2, %r2, 16, %r1;\n"
          "ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%r6}, [%r2]; bar.sync 0;\n"
          "stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%r2], {%r6}; bar.sync 0;\n"
          "ld.shared.b32 %r7, [%r3]; mov.b64 %d, {%r6, %r7};",
          want);
}
END_TEST

START_TEST(kernels_print)
{
    struct ptx_run run;
    ptx_run_open(
        &run, NULL,
        ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 v);\n"
        ".global .align 1 .b8 format[16] = {110, 61, 37, 100, 32, 37, 46, 49, 102, 10};",
        ".local .align 8 .b8 values[16]; setp.ne.s32 %p, %i, 5; @%p bra E;\n"
        "mov.u64 %s0, values; cvta.local.u64 %s0, %s0; st.local.u32 [values], %i;\n"
        "mov.f64 %g0, 2.5; st.local.f64 [values+8], %g0; mov.u64 %s1, format;\n"
        "{ .param .b64 f; .param .b64 v; .param .b32 r; st.param.b64 [f], %s1; st.param.b64 [v], "
        "%s0; call (r), vprintf, (f, v); ld.param.b32 %r0, [r]; }\nE:",
        THREADS);
    ptx_run_set(&run, a, b, c);
    ptx_run_launch(&run);
    ck_assert_msg(!run.machine->report_count, "%s", ptx_run_report(&run));
    ck_assert_str_eq(run.machine->print, "n=5 2.5\n");
    ptx_run_close(&run);
}
END_TEST

START_TEST(the_unknown_is_carried)
{
    /* b is known to nobody: bytes move, sums spoil upwards, an and with 0 cleans. */
    static const struct {
        const char *body;
        uint8_t known; /* bytes of the result */
    } rows[] = {
        {"mov.u64 %d, %b;", 0x00},
        {"and.b64 %d, %b, 0xff;", 0xfe},
        {"shl.b64 %s0, %b, 32; or.b64 %d, %s0, 5;", 0x0f},
        {"and.b64 %s0, %b, 0xff00; add.s64 %d, %a, %s0;", 0x01},
        {"mov.b64 {%r0, %r1}, %b; mov.b64 %d, {%x, %r1};", 0x0f},
        {"xor.b64 %d, %b, %b;", 0x00},
        {"selp.b64 %d, %b, %a, 0;", 0xff},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ptx_run run;
        ptx_run_open(&run, NULL, "", rows[i].body, THREADS);
        ptx_run_set(&run, a, NULL, c);
        ptx_run_launch(&run);
        ck_assert_msg(!run.machine->report_count, "%s", ptx_run_report(&run));
        for (int byte = 0; byte < 8; byte++)
            ck_assert_msg(ptx_run_known(&run)[8 + byte] == (rows[i].known >> byte & 1),
                          "%s: byte %d is %s", rows[i].body, byte,
                          ptx_run_known(&run)[8 + byte] ? "known" : "unknown");
        ptx_run_close(&run);
    }
}
END_TEST

START_TEST(what_is_wrong_is_reported)
{
    static const struct {
        const char *body, *kind, *says;
    } rows[] = {
        {"ld.global.u64 %d, [%pa+1024];", "outside", "nothing is allocated there"},
        {"setp.eq.s32 %p, %i, 127; @%p ld.global.v2.u64 {%d, %s0}, [%pa];", "outside",
         "reaches beyond 'array'"},
        {"add.s64 %s0, %pa, 4; setp.eq.s32 %p, %i, 3; @%p ld.global.u64 %d, [%s0];", "misaligned",
         "no multiple of 8; line"},
        {"ld.global.u64 %d, [0];", "outside", "address 0x0"},
        {".shared .b8 room[16]; ld.shared.u32 %r0, [room+16];", "outside", "shared address 0x410"},
        {"ld.shared.u32 %r0, [0];", "outside", "shared address 0x0"},
        {".local .b8 depot[8]; ld.local.u32 %r0, [depot+8];", "outside", "there are 8 bytes"},
        {"mov.u64 %s0, 5; st.u8 [k_o], 1;", "outside", "write of 1 byte"},
        {"setp.eq.s64 %p, %b, 0; @%p bra E; E:", "undefined", "a branch or guard depends"},
        {"add.s64 %s0, %pa, %b; ld.global.u64 %d, [%s0];", "undefined", "an address depends"},
        {"setp.lt.u32 %p, %i, 7; @%p bra E; bar.sync 0; E: bar.sync 1;", "divergence",
         "waits at line"},
        {"setp.lt.u32 %p, %i, 32; @%p bra E; bar.sync 1, 128; E:", "deadlock",
         "barrier 1, where 96 of 128 threads have arrived"},
        {"setp.lt.u32 %p, %i, 32; @%p bra E; bar.sync 1, 64; bra D; E: bar.sync 1, 96; D:",
         "barrier", "but line"},
        {"bar.sync 16;", "barrier", "barrier 16"},
        {"bar.sync 0, 65;", "barrier", "for 65 threads"},
        {"setp.eq.u32 %p, %i, 0; @%p bra E; shfl.sync.idx.b32 %r0, %x, 0, 31, -1; bra D; E: "
         "vote.sync.any.pred %p, 1, -1; D:",
         "divergence", "(shfl.sync) for lane 0"},
        {"mov.u32 %r0, 2; shfl.sync.idx.b32 %r0, %x, 0, 31, %r0;", "divergence",
         "membermask 0x00000002 at lane 0"},
        {"L: ld.volatile.global.u64 %s0, [%pa]; setp.ge.u64 %p, %s0, 0; @%p bra L;", "livelock",
         "run at line"},
        {"setp.eq.u32 %p, %i, 77; @%p trap;", "trap", "thread 77,0,0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        reports(rows[i].body, rows[i].kind, rows[i].says);
}
END_TEST

/* The same seed, the same run: lanes and warps race for a counter. */
START_TEST(seeds_replay)
{
    uint64_t first[THREADS];
    int differ = 0;
    for (int again = 0; again < 8; again++) {
        const struct ptx_options options = {.seed = again < 2 ? 5 : (uint64_t)again,
                                            .schedule = PTX_RANDOM};
        struct ptx_run run;
        ptx_run_open(
            &run, &options, ".global .u64 next;",
            "atom.global.add.u64 %d, [next], 1; atom.global.add.u64 %s0, [next], 1; xor.b64 "
            "%d, %d, %s0;",
            THREADS);
        ptx_run_set(&run, a, b, c);
        ptx_run_launch(&run);
        if (again == 0)
            memcpy(first, ptx_run_out(&run), sizeof first);
        if (again == 1)
            ck_assert_mem_eq(first, ptx_run_out(&run), sizeof first);
        differ |= memcmp(first, ptx_run_out(&run), sizeof first) != 0;
        ptx_run_close(&run);
    }
    ck_assert(differ);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_machine");
    TCase *tests = tcase_create("machine");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, lanes_part_and_meet);
    tcase_add_test(tests, lanes_of_one_warp_wait_for_each_other);
    tcase_add_test(tests, barriers_hold);
    tcase_add_test(tests, atomics_count);
    tcase_add_test(tests, functions_are_called);
    tcase_add_test(tests, warps_vote);
    tcase_add_test(tests, matrices_move);
    tcase_add_test(tests, kernels_print);
    tcase_add_test(tests, the_unknown_is_carried);
    tcase_add_test(tests, what_is_wrong_is_reported);
    tcase_add_test(tests, seeds_replay);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
