/*
 * t_ptx_hopper.c - asynchronous instructions in kernels of a few lines, each under all schedules
 * and times: what they leave in memory, against what the ISA's text says, or what is reported.
 *
 * Rows with `says` break the rule that their name tells; without the machine's check for it they
 * fail. Rows that are WRONG lack a wait: bits must be wrong in some time, or the machine is not
 * late enough.
 */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/geometry.h"
#include "gpu/ptx/machine.h"
#include "ref/moe.h"
#include "tests/support.h"

#define BYTES 32768
#define SEEDS 9 /* three schedules in three times */

static uint32_t in[BYTES / 4], out[BYTES / 4];

/* %t thread, %c rank; %g: `in`, %o: zeros, %m: a tensor map; %s: shared memory, %b: an mbarrier. */
static const char head[] =
    ".version 8.6\n.target sm_90a\n.address_size 64\n"
    ".visible .entry k(.param .u64 pg, .param .u64 po, .param .u64 pm)\n.maxntid 512\n{\n"
    ".reg .b32 %r<20>, %t, %c, %s, %b;\n.reg .b64 %q<20>, %g, %o, %m;\n.reg .pred %p<6>;\n"
    ".reg .f32 %f<8>;\n.shared .align 1024 .b8 room[16384];\n.shared .align 8 .b64 bar[4];\n"
    "mov.u32 %t, %tid.x;\nmov.u32 %c, %cluster_ctarank;\nmov.u32 %s, room;\nmov.u32 %b, bar;\n"
    "ld.param.u64 %g, [pg];\nld.param.u64 %o, [po];\nld.param.u64 %m, [pm];\n"
    "setp.eq.u32 %p0, %t, 0;\n";

#define INIT(count) "@%p0 mbarrier.init.shared::cta.b64 [%b], " #count ";\nbar.sync 0;\n"
#define WAIT(parity)                                                                               \
    "{\n.reg .pred d;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 d, [%b], " parity          \
    ";\n@!d bra again;\n}\n"
/* Shared memory [4 t] to out. */
#define TAKE                                                                                       \
    "shl.b32 %r0, %t, 2;\nadd.s32 %r1, %s, %r0;\nld.shared.u32 %r2, [%r1];\n"                      \
    "cvt.u64.u32 %q0, %r0;\nadd.s64 %q1, %o, %q0;\nst.global.u32 [%q1], %r2;\n"
/* %r9 to out. */
#define GIVE "mul.wide.u32 %q0, %t, 4;\nadd.s64 %q1, %o, %q0;\nst.global.u32 [%q1], %r9;\n"
#define BULK_IN(bytes)                                                                             \
    "@%p0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%b], " #bytes ";\n"                        \
    "@%p0 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%g], " #bytes   \
    ", [%b];\n"
#define COPY_16                                                                                    \
    "shl.b32 %r0, %t, 4;\nadd.s32 %r1, %s, %r0;\ncvt.u64.u32 %q0, %r0;\nadd.s64 %q1, %g, %q0;\n"
#define ALL_IN "barrier.cluster.arrive;\nbarrier.cluster.wait;\n"
#define FENCE "fence.proxy.async;\n"

enum claim { ALWAYS, SOMETIMES, WRONG };

struct row {
    const char *name, *body;
    uint32_t block, ctas;
    const char *says; /* NULL: nothing is reported */
    enum claim claim;
    uint32_t (*want)(uint32_t i); /* of word i of out; NULL: nothing */
    uint32_t words;
    int map;
};

/* ---- what must come out ---------------------------------------------------------------------- */

static uint32_t input(uint32_t i)
{
    return i * 2654435761u;
}

static uint32_t first_of_16(uint32_t i)
{
    return i % 4 ? 0 : input(i);
}

static uint32_t zeros(uint32_t i)
{
    return 0 * i;
}

static uint32_t ones(uint32_t i)
{
    return 1 + 0 * i;
}

static uint32_t threes(uint32_t i)
{
    return 3 + 0 * i;
}

static uint32_t countdown(uint32_t i)
{
    return 32 - i;
}

static uint32_t twice(uint32_t i)
{
    return 2 * input(i);
}

static uint32_t twofold(uint32_t i)
{
    return input(i % 32);
}

static uint32_t rank_of_other(uint32_t i)
{
    return i < 32 ? 101 : 100;
}

static const struct row mbarriers[] = {
    {"a state has the pending count",
     INIT(32) "mbarrier.arrive.shared::cta.b64 %q2, [%b];\n"
              "mbarrier.pending_count.b64 %r9, %q2;\n"
              "again:\nmbarrier.try_wait.shared::cta.b64 %p1, [%b], %q2;\n@!%p1 bra again;\n" GIVE,
     32, 1, NULL, ALWAYS, countdown, 32, 0},
    {"phases alternate",
     INIT(64) "mov.u32 %r3, 0;\nmov.u32 %r9, 0;\nloop:\nmbarrier.arrive.shared::cta.b64 _, "
              "[%b];\n" WAIT(
                  "%r3") "xor.b32 %r3, %r3, 1;\nadd.u32 %r9, %r9, 1;\nsetp.lt.u32 %p1, %r9, 3;\n"
                         "@%p1 bra loop;\n" GIVE,
     64, 1, NULL, ALWAYS, threes, 64, 0},
    {"parity 1 of a new mbarrier is over",
     INIT(1) "mbarrier.test_wait.parity.shared::cta.b64 %p1, [%b], 1;\nselp.u32 %r9, 1, 0, "
             "%p1;\n" GIVE,
     32, 1, NULL, ALWAYS, ones, 32, 0},
    {"parity 0 of a new mbarrier is not",
     INIT(1) "mbarrier.test_wait.parity.shared::cta.b64 %p1, [%b], 0;\nselp.u32 %r9, 1, 0, "
             "%p1;\n" GIVE,
     32, 1, NULL, ALWAYS, zeros, 32, 0},
    {"who drops is not expected any more",
     INIT(2) "@%p0 mbarrier.arrive_drop.shared::cta.b64 _, [%b];\n"
             "@%p0 mbarrier.arrive.shared::cta.b64 _, [%b];\n" WAIT("0") "bar.sync 0;\n@%p0 "
                                                                         "mbarrier.arrive.shared::"
                                                                         "cta.b64 _, [%b];\n" WAIT(
                                                                             "1") "mov.u32 %r9, "
                                                                                  "1;\n" GIVE,
     32, 1, NULL, ALWAYS, ones, 32, 0},
    {"more arrivals than expected", INIT(31) "mbarrier.arrive.shared::cta.b64 _, [%b], 2;\n", 32, 1,
     "more arrivals than expected", ALWAYS, NULL, 0, 0},
    {"use before initialisation", "mbarrier.arrive.shared::cta.b64 _, [%b];\n", 32, 1,
     "it was not initialised", ALWAYS, NULL, 0, 0},
    {"initialised again", INIT(1) INIT(1), 32, 1, "initialised again", ALWAYS, NULL, 0, 0},
    {"use after inval",
     INIT(1) "@%p0 mbarrier.inval.shared::cta.b64 [%b];\n@%p0 mbarrier.arrive.shared::cta.b64 _, "
             "[%b];\n",
     32, 1, "mbarrier.inval ended it", ALWAYS, NULL, 0, 0},
    {"initialised after inval",
     INIT(1) "@%p0 mbarrier.inval.shared::cta.b64 [%b];\n" INIT(1) "mov.u32 %r9, 1;\n" GIVE, 32, 1,
     NULL, ALWAYS, ones, 32, 0},
    {"written over",
     INIT(1) "@%p0 st.shared.u32 [%b], 7;\n@%p0 mbarrier.arrive.shared::cta.b64 _, [%b];\n", 32, 1,
     "was written over", ALWAYS, NULL, 0, 0},
    {"tx-count out of range",
     INIT(1) "@%p0 mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%b], 1048575;\n"
             "@%p0 mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%b], 1;\n",
     32, 1, "tx-count becomes 1048576", ALWAYS, NULL, 0, 0},
    {"bytes that never come",
     INIT(1) "@%p0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%b], 64;\n" WAIT("0"), 64, 1,
     "0 of 1 arrivals and 64 bytes pending", ALWAYS, NULL, 0, 0},
    {"an arrival that never comes names its waiters", INIT(1) WAIT("0"), 64, 1,
     "warp 0, 1 lanes 0xffffffff", ALWAYS, NULL, 0, 0},
    {"noComplete completes",
     INIT(1) "@%p0 mbarrier.arrive.noComplete.shared::cta.b64 %q2, [%b], 1;\n", 32, 1,
     "the last arrival", ALWAYS, NULL, 0, 0},
    {"a parity of 2", INIT(1) "mov.u32 %r3, 2;\n" WAIT("%r3"), 32, 1, "parity of 2", ALWAYS, NULL,
     0, 0},
    {"a state of long ago",
     INIT(1) "@!%p0 bra end;\nmbarrier.arrive.shared::cta.b64 %q2, [%b];\n"
             "mbarrier.arrive.shared::cta.b64 _, [%b];\nmbarrier.arrive.shared::cta.b64 _, [%b];\n"
             "mbarrier.test_wait.shared::cta.b64 %p1, [%b], %q2;\nend:\n",
     32, 1, "a state of phase 0", ALWAYS, NULL, 0, 0},
    {"a waiter misses a phase",
     INIT(1) "setp.lt.u32 %p1, %t, 32;\n@%p1 bra one;\n" WAIT(
         "0") "bra end;\none:\nmov.u32 %r3, 0;\nloop:\nadd.u32 %r3, %r3, 1;\nsetp.lt.u32 %p2, %r3, "
              "99;\n"
              "@%p2 bra loop;\n@%p0 mbarrier.arrive.shared::cta.b64 _, [%b];\n@%p0 "
              "mbarrier.arrive.shared::cta.b64 _, [%b];\nend:\n",
     64, 1, "it may miss it", SOMETIMES, NULL, 0, 0},
};

static const struct row copies[] = {
    {"cp.async, waited for",
     COPY_16 "cp.async.cg.shared.global [%r1], [%q1], 16;\ncp.async.commit_group;\n"
             "cp.async.wait_group 0;\nbar.sync 0;\n" TAKE,
     64, 1, NULL, ALWAYS, input, 64, 0},
    {"cp.async, not waited for",
     "shl.b32 %r0, %t, 2;\nadd.s32 %r1, %s, %r0;\nst.shared.u32 [%r1], 0;\ncvt.u64.u32 %q0, %r0;\n"
     "add.s64 %q1, %g, %q0;\ncp.async.ca.shared.global [%r1], [%q1], 4;\ncp.async.commit_group;\n"
     "cp.async.wait_group 1;\n" TAKE "cp.async.wait_all;\n",
     64, 1, NULL, WRONG, input, 64, 0},
    {"wait_all takes what is not committed",
     COPY_16 "cp.async.cg.shared.global [%r1], [%q1], 16;\ncp.async.wait_all;\nbar.sync 0;\n" TAKE,
     64, 1, NULL, ALWAYS, input, 64, 0},
    {"zeros behind src-size",
     COPY_16
     "cp.async.cg.shared.global [%r1], [%q1], 16, 4;\ncp.async.wait_all;\nbar.sync 0;\n" TAKE,
     64, 1, NULL, ALWAYS, first_of_16, 64, 0},
    {"src-size 0 reads nothing",
     COPY_16
     "mov.u64 %q1, 16;\ncp.async.cg.shared.global [%r1], [%q1], 16, 0;\ncp.async.wait_all;\n"
     "bar.sync 0;\n" TAKE,
     64, 1, NULL, ALWAYS, zeros, 64, 0},
    {"src-size beyond cp-size",
     COPY_16 "mov.u32 %r3, 17;\ncp.async.cg.shared.global [%r1], [%q1], 16, %r3;\n", 32, 1,
     "a source of 17 bytes", ALWAYS, NULL, 0, 0},
    {"a source that is misaligned",
     COPY_16 "add.s64 %q1, %q1, 8;\ncp.async.cg.shared.global [%r1], [%q1], 16;\n", 32, 1,
     "no multiple of 16", ALWAYS, NULL, 0, 0},
    {"copies arrive, counted before",
     INIT(64) COPY_16 "cp.async.cg.shared.global [%r1], [%q1], 16;\n"
                      "cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%b];\n" WAIT("0") TAKE,
     64, 1, NULL, ALWAYS, input, 64, 0},
    {"copies arrive, not counted before",
     INIT(64) COPY_16 "cp.async.cg.shared.global [%r1], [%q1], 16;\n"
                      "cp.async.mbarrier.arrive.shared::cta.b64 "
                      "[%b];\nmbarrier.arrive.shared::cta.b64 _, [%b];\n" WAIT("0") TAKE,
     64, 1, NULL, ALWAYS, input, 64, 0},
};

static const struct row bulks[] = {
    {"in by mbarrier", INIT(1) BULK_IN(256) WAIT("0") TAKE, 64, 1, NULL, ALWAYS, input, 64, 0},
    {"in, waited for by one barrier less",
     INIT(1) "st.shared.u32 [%s], 0;\n" BULK_IN(256) "bar.sync 0;\n" TAKE WAIT("0"), 64, 1, NULL,
     WRONG, input, 64, 0},
    {"in and out",
     INIT(1) BULK_IN(256)
         WAIT("0") "@%p0 cp.async.bulk.global.shared::cta.bulk_group [%o], [%s], "
                   "256;\n@%p0 cp.async.bulk.commit_group;\n@%p0 cp.async.bulk.wait_group 0;\n",
     64, 1, NULL, ALWAYS, input, 64, 0},
    {"what was read may be overwritten",
     INIT(1) BULK_IN(256)
         WAIT("0") "@!%p0 bra end;\ncp.async.bulk.global.shared::cta.bulk_group [%o], "
                   "[%s], 256;\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group.read 0;\n"
                   "st.shared.u32 [%s+4], 0;\nend:\n",
     64, 1, NULL, ALWAYS, input, 64, 0},
    {"what was not read may not",
     INIT(1) BULK_IN(256)
         WAIT("0") "@!%p0 bra end;\ncp.async.bulk.global.shared::cta.bulk_group [%o], "
                   "[%s], 256;\ncp.async.bulk.commit_group;\nst.shared.u32 [%s+4], 0;\n"
                   "cp.async.bulk.wait_group 0;\nend:\n",
     64, 1, NULL, WRONG, input, 64, 0},
    {"a CTA ends while it is read from",
     INIT(1) BULK_IN(256)
         WAIT("0") "@%p0 cp.async.bulk.global.shared::cta.bulk_group [%o], [%s], 256;\n",
     64, 1, "all of whose threads have exited", SOMETIMES, NULL, 0, 0},
    {"a size of no multiple of 16", INIT(1) BULK_IN(24), 32, 1, "size 24 is not a multiple of 16",
     ALWAYS, NULL, 0, 0},
    {"reduction",
     INIT(1) BULK_IN(256)
         WAIT("0") "@!%p0 bra end;\n"
                   "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%o], [%s], 256;\n"
                   "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%o], [%s], 256;\n"
                   "cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\nend:\n",
     64, 1, NULL, ALWAYS, twice, 64, 0},
    {"multicast",
     INIT(1) "@%p0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%b], 128;\n" ALL_IN
             "setp.eq.u32 %p1, %c, 1;\nand.pred %p1, %p1, %p0;\n{\n.reg .b16 h;\nmov.u16 h, "
             "3;\n@%p1 "
             "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
             "[%s], "
             "[%g], 128, [%b], h;\n}\n" WAIT(
                 "0") "shl.b32 %r0, %t, 2;\nadd.s32 %r1, %s, %r0;\nld.shared.u32 %r9, [%r1];\n"
                      "mad.lo.u32 %t, %c, 32, %t;\n" GIVE,
     32, 2, NULL, ALWAYS, twofold, 64, 0},
    {"an mbarrier of another CTA",
     INIT(1) ALL_IN
     "mapa.shared::cluster.u32 %b, %b, 1;\nmapa.shared::cluster.u32 %s, %s, 0;\n@%p0 "
     "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%g], 128, "
     "[%b];\n" ALL_IN,
     32, 2, "the mbarrier in rank 1's", ALWAYS, NULL, 0, 0},
};

static const struct row clusters[] = {
    {"stores to each other",
     "xor.b32 %r3, %c, 1;\nmapa.shared::cluster.u32 %r4, %s, %r3;\nshl.b32 %r0, %t, 2;\n"
     "add.s32 %r4, %r4, %r0;\nadd.u32 %r5, %c, 100;\nst.shared::cluster.u32 [%r4], %r5;\n" ALL_IN
     "add.s32 %r1, %s, %r0;\nld.shared.u32 %r9, [%r1];\nmad.lo.u32 %t, %c, 32, %t;\n" GIVE,
     32, 2, NULL, ALWAYS, rank_of_other, 64, 0},
    {"st.async counts at the other's mbarrier",
     INIT(1) "@%p0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%b], 128;\n" ALL_IN
             "xor.b32 %r3, %c, 1;\nmapa.shared::cluster.u32 %r4, %s, %r3;\nshl.b32 %r0, %t, 2;\n"
             "add.s32 %r4, %r4, %r0;\nmapa.shared::cluster.u32 %r6, %b, %r3;\nadd.u32 %r5, %c, "
             "100;\n"
             "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%r4], %r5, "
             "[%r6];\n" WAIT(
                 "0") "add.s32 %r1, %s, %r0;\nld.shared.u32 %r9, [%r1];\nmad.lo.u32 %t, "
                      "%c, 32, %t;\n" GIVE ALL_IN,
     32, 2, NULL, ALWAYS, rank_of_other, 64, 0},
    {"a CTA ends that another stores to",
     "setp.eq.u32 %p1, %c, 1;\n@%p1 bra end;\nmov.u32 %r3, 0;\nloop:\nadd.u32 %r3, %r3, 1;\n"
     "setp.lt.u32 %p2, %r3, 999;\n@%p2 bra loop;\nmapa.shared::cluster.u32 %r4, %s, 1;\n"
     "st.shared::cluster.u32 [%r4], 1;\nend:\n",
     32, 2, "which has ended", SOMETIMES, NULL, 0, 0},
    {"a rank that is not there", "mapa.shared::cluster.u32 %r4, %s, 2;\n", 32, 2,
     "rank 2 of a cluster of 2", ALWAYS, NULL, 0, 0},
    {"arrives twice", "barrier.cluster.arrive;\nbarrier.cluster.arrive;\n", 32, 2, "arrives again",
     ALWAYS, NULL, 0, 0},
    {"waits and has not arrived", "barrier.cluster.wait;\n", 32, 2, "has not arrived", ALWAYS, NULL,
     0, 0},
    {"who exits is not waited for",
     "setp.eq.u32 %p1, %c, 1;\n@%p1 bra end;\n" ALL_IN "mov.u32 %r9, 1;\n" GIVE "end:\n", 32, 2,
     NULL, ALWAYS, ones, 32, 0},
    {"a rank is got",
     "mapa.shared::cluster.u32 %r4, %s, 1;\ngetctarank.shared::cluster.u32 %r9, %r4;\n" GIVE, 32, 2,
     NULL, ALWAYS, ones, 32, 0},
};

static const struct row registers[] = {
    {"given and taken",
     "setp.lt.u32 %p1, %t, 128;\n@%p1 bra less;\nsetmaxnreg.inc.sync.aligned.u32 224;\nbra "
     "end;\nless:\nsetmaxnreg.dec.sync.aligned.u32 56;\nend:\nmov.u32 %r9, 1;\n" GIVE,
     384, 1, NULL, ALWAYS, ones, 384, 0},
    {"taken before any are given", "setmaxnreg.inc.sync.aligned.u32 224;\n", 384, 1,
     "registers more, 0 are free", ALWAYS, NULL, 0, 0},
    {"dec to more", "setmaxnreg.dec.sync.aligned.u32 232;\n", 384, 1, "where a thread has 168",
     ALWAYS, NULL, 0, 0},
};

/* ---- wgmma: m64n8k16 of bf16, both operands in rows of 128 bytes swizzled ----------------------
 */

/* Stores A's row t of 16 small numbers, and B's of 8 rows, where the swizzle puts them; descriptors
 * in %q2, %q3. Elements are (row + k) % 8 and (row * k) % 8, as bf16 by cvt. */
#define FILL                                                                                       \
    "mov.u32 %r3, 0;\nfill:\n"                                                                     \
    "add.u32 %r4, %t, %r3;\nand.b32 %r4, %r4, 7;\ncvt.rn.f32.u32 %f0, %r4;\n"                      \
    "mul.lo.u32 %r5, %t, %r3;\nand.b32 %r5, %r5, 7;\ncvt.rn.f32.u32 %f1, %r5;\n"                   \
    "mov.b32 %r4, %f0;\nshr.u32 %r4, %r4, 16;\nmov.b32 %r5, %f1;\nshr.u32 %r5, %r5, 16;\n"         \
    "shr.u32 %r6, %r3, 3;\nand.b32 %r7, %t, 7;\nxor.b32 %r6, %r6, %r7;\nshl.b32 %r6, %r6, 4;\n"    \
    "and.b32 %r7, %r3, 7;\nshl.b32 %r7, %r7, 1;\nadd.u32 %r6, %r6, %r7;\nshl.b32 %r7, %t, 7;\n"    \
    "add.u32 %r6, %r6, %r7;\nadd.u32 %r6, %r6, %s;\n{\n.reg .b16 h;\ncvt.u16.u32 h, %r4;\n"        \
    "setp.lt.u32 %p1, %t, 64;\n@%p1 st.shared.b16 [%r6], h;\ncvt.u16.u32 h, %r5;\n"                \
    "setp.lt.u32 %p1, %t, 8;\n@%p1 st.shared.b16 [%r6+8192], h;\n}\n"                              \
    "add.u32 %r3, %r3, 1;\nsetp.lt.u32 %p1, %r3, 16;\n@%p1 bra fill;\n" FENCE "bar.sync 0;\n"      \
    "shr.u32 %r4, %s, 4;\ncvt.u64.u32 %q2, %r4;\nmov.u64 %q4, 0x4000004000000000;\n"               \
    "or.b64 %q2, %q2, %q4;\nadd.s64 %q3, %q2, 512;\n"                                              \
    "mov.f32 %f0, 0f3f800000;\nmov.f32 %f1, %f0;\nmov.f32 %f2, %f0;\nmov.f32 %f3, %f0;\n"
#define MMA(scale_d)                                                                               \
    "setp.ne.u32 %p2, " #scale_d ", 0;\n"                                                          \
    "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0, %f1, %f2, %f3}, %q2, %q3, %p2, 1, " \
    "1, 0, 0;\n"
#define SUMS                                                                                       \
    "mul.wide.u32 %q0, %t, 16;\nadd.s64 %q1, %o, %q0;\nst.global.v4.f32 [%q1], {%f0, %f1, %f2, "   \
    "%f3};\n"

static uint32_t sum_of(uint32_t i, int before, int times)
{
    const uint32_t thread = i / 4, reg = i % 4;
    const uint32_t row = thread / 32 * 16 + thread % 32 / 4 + 8 * (reg / 2);
    const uint32_t column = thread % 4 * 2 + reg % 2;
    float sum = (float)before;
    for (uint32_t k = 0; k < 16; k++)
        sum += (float)times * (float)((row + k) % 8) * (float)(column * k % 8);
    uint32_t bits;
    memcpy(&bits, &sum, sizeof bits);
    return bits;
}

static uint32_t product(uint32_t i)
{
    return sum_of(i, 0, 1);
}

static uint32_t two_added(uint32_t i)
{
    return sum_of(i, 1, 2);
}

static uint32_t one_less(uint32_t i)
{
    return sum_of(i, 1, -1);
}

/* Row g and g + 8 of the warp's 16, columns 2 q, and 8 more: from where FILL put them. */
#define A_AT(to, row, column)                                                                      \
    "add.u32 %r5, %r4, " #row ";\nshl.b32 %r6, %r5, 7;\nand.b32 %r5, %r5, 7;\n"                    \
    "xor.b32 %r5, %r5, " #column ";\nshl.b32 %r5, %r5, 4;\nadd.u32 %r6, %r6, %r5;\n"               \
    "add.u32 %r6, %r6, %r7;\nadd.u32 %r6, %r6, %s;\nld.shared.u32 " to ", [%r6];\n"
#define A_IN_REGISTERS                                                                             \
    "and.b32 %r4, %t, 31;\nshr.u32 %r4, %r4, 2;\nshr.u32 %r5, %t, 5;\nshl.b32 %r5, %r5, 4;\n"      \
    "add.u32 %r4, %r4, %r5;\nand.b32 %r7, %t, 3;\nshl.b32 %r7, %r7, 2;\n" A_AT("%r10", 0, 0)       \
        A_AT("%r11", 8, 0) A_AT("%r12", 0, 1) A_AT("%r13", 8, 1)

#define END "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n"
#define BEGIN "wgmma.fence.sync.aligned;\n"

static const struct row wgmmas[] = {
    {"a product", FILL BEGIN MMA(0) END SUMS, 128, 1, NULL, ALWAYS, product, 512, 0},
    {"two added to what was there", FILL BEGIN MMA(1) MMA(1) END SUMS, 128, 1, NULL, ALWAYS,
     two_added, 512, 0},
    {"negated, and A in registers",
     FILL A_IN_REGISTERS BEGIN
     "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0, %f1, %f2, %f3}, {%r10, %r11, %r12, "
     "%r13}, %q3, 1, -1, 1, 0;\n" END SUMS,
     128, 1, NULL, ALWAYS, one_less, 512, 0},
    {"A in registers written before the wait",
     FILL A_IN_REGISTERS BEGIN
     "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0, %f1, %f2, %f3}, {%r10, %r11, %r12, "
     "%r13}, %q3, 1, 1, 1, 0;\nmov.u32 %r10, 0;\n" END,
     128, 1, "under way", ALWAYS, NULL, 0, 0},
    {"no fence", FILL MMA(0) END SUMS, 128, 1, "there was no wgmma.fence", ALWAYS, NULL, 0, 0},
    {"no fence after registers were touched",
     FILL BEGIN MMA(0) END "add.f32 %f0, %f0, %f0;\n" MMA(1) END, 128, 1, "touched since", ALWAYS,
     NULL, 0, 0},
    {"read before the wait", FILL BEGIN MMA(0) "wgmma.commit_group.sync.aligned;\n" SUMS, 128, 1,
     "under way", ALWAYS, NULL, 0, 0},
    {"read after a wait for groups before",
     FILL BEGIN MMA(0) "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 1;\n" SUMS,
     128, 1, "under way", ALWAYS, NULL, 0, 0},
    {"not committed, and waited for", FILL BEGIN MMA(0) "wgmma.wait_group.sync.aligned 0;\n" SUMS,
     128, 1, "under way", ALWAYS, NULL, 0, 0},
    {"operands overwritten before the wait",
     FILL BEGIN MMA(
         0) "wgmma.commit_group.sync.aligned;\nmov.u32 %r4, 0;\n@%p0 st.shared.u32 [%s], "
            "%r4;\nwgmma.wait_group.sync.aligned 0;\n" SUMS,
     128, 1, NULL, WRONG, product, 512, 0},
    {"a warp does not come",
     FILL "setp.ge.u32 %p1, %t, 96;\n@%p1 bra end;\n" BEGIN MMA(0) END "end:\n", 128, 1,
     "the other warps of its warpgroup (0x7 have come)", ALWAYS, NULL, 0, 0},
    {"descriptors differ",
     FILL "setp.ge.u32 %p1, %t, 96;\n@%p1 add.s64 %q3, %q3, 2;\n" BEGIN MMA(0) END, 128, 1,
     "different descriptors", ALWAYS, NULL, 0, 0},
    {"a descriptor of other memory", FILL "mov.u64 %q2, 0x4000004000003fff;\n" BEGIN MMA(0) END,
     128, 1, "outside", ALWAYS, NULL, 0, 0},
};

/* ---- tensors: 16 rows of 32 words, a box of 8 x 8 -----------------------------------------------
 */

static uint32_t boxed(uint32_t i)
{
    const uint32_t row = i / 32, chunk = i % 32 / 4 ^ row, column = 4 * chunk + i % 4 + 4;
    return row + 12 < 16 && column < 32 ? input((row + 12) * 32 + column) : 0;
}

static uint32_t stored(uint32_t i)
{
    return i >= 8 * 32 && i < 512 && i % 32 < 32 ? input(i - 8 * 32) : 0;
}

#define BOX_IN                                                                                     \
    "mov.u32 %r3, 4;\nmov.u32 %r4, 12;\n@%p0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%b], "  \
    "1024;\n@%p0 "                                                                                 \
    "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%s], [%m, " \
    "{%r3, %r4}], [%b];\n"

static const struct row tensors[] = {
    {"a box, swizzled, beyond the edges", INIT(1) BOX_IN WAIT("0") TAKE, 256, 1, NULL, ALWAYS,
     boxed, 256, 1},
    {"a box that is stored",
     "shl.b32 %r0, %t, 2;\ncvt.u64.u32 %q0, %r0;\nadd.s64 %q1, %g, %q0;\nld.global.u32 %r2, "
     "[%q1];\n"
     "and.b32 %r5, %t, 0xe0;\nshr.u32 %r5, %r5, 1;\nxor.b32 %r6, %r0, %r5;\nadd.s32 %r1, %s, %r6;\n"
     "st.shared.u32 [%r1], %r2;\n" FENCE
     "bar.sync 0;\nmov.u32 %r3, 0;\nmov.u32 %r4, 8;\n@!%p0 bra end;\n"
     "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%m, {%r3, %r4}], [%s];\n"
     "cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\nend:\n",
     256, 1, NULL, ALWAYS, stored, 512, 2},
    {"coordinates of another rank",
     INIT(1) "mov.u32 %r3, 0;\n@%p0 "
             "cp.async.bulk.tensor.1d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
             "[%s], "
             "[%m, {%r3}], [%b];\n",
     32, 1, "1 coordinates for a tensor map of rank 2", ALWAYS, NULL, 0, 1},
    {"shared memory at no multiple of 128", INIT(1) "add.s32 %s, %s, 64;\n" BOX_IN, 32, 1,
     "not a multiple of 128", ALWAYS, NULL, 0, 1},
    {"a map that is edited under way",
     INIT(1) BOX_IN
     "@%p0 tensormap.replace.tile.global_dim.global.b1024.b32 [%m], 0, 16;\n" WAIT("0"),
     32, 1, "was edited", SOMETIMES, NULL, 0, 1},
    {"no tensor map", INIT(1) "mov.u64 %m, %g;\n" BOX_IN, 32, 1, "descriptor", ALWAYS, NULL, 0, 1},
};

static uint64_t buffer(struct ptx_machine *machine, const void *from, uint64_t bytes)
{
    uint64_t address = 0;
    ck_assert_int_eq(ptx_memory_allocate(machine, bytes, "buffer", &address), MOE_OK);
    struct ptx_block *block = ptx_memory_find(machine, address, bytes);
    memset(block->known, 1, bytes);
    if (from)
        memcpy(block->data, from, bytes);
    else
        memset(block->data, 0, bytes);
    return address;
}

static void make_map(struct geometry_map *map, uint64_t address)
{
    const struct geometry_tensor tensor = {.type = GEOMETRY_U32,
                                           .rank = 2,
                                           .address = address,
                                           .size = {32, 16},
                                           .stride = {4, 128},
                                           .box = {32, 8},
                                           .step = {1, 1},
                                           .swizzle = GEOMETRY_SWIZZLE_128};
    ck_assert_int_eq(geometry_map_encode(&tensor, map), MOE_OK);
}

/* Whether what is told holds under this seed; other reports than the one told fail. */
static int holds(const struct row *row, uint32_t seed)
{
    static char text[16384];
    struct ptx_module *module = NULL;
    struct ptx_machine *machine = NULL;
    struct ptx_loaded *loaded = NULL;
    struct ptx_program *program = NULL;
    struct geometry_map map = {{0}};
    const struct ptx_options options = {.seed = seed,
                                        .schedule = seed % PTX_SCHEDULE_COUNT,
                                        .time = seed / PTX_SCHEDULE_COUNT % PTX_TIME_COUNT,
                                        .most_steps = 200000};
    snprintf(text, sizeof text, "%s%s\nret;\n}\n", head, row->body);
    ck_assert_msg(ptx_read(text, strlen(text), &module) == MOE_OK, "%s: %s", row->name,
                  moe_error_text());
    ck_assert_int_eq(ptx_machine_create(&options, &machine), MOE_OK);
    ck_assert_int_eq(ptx_load(machine, module, &loaded), MOE_OK);
    ck_assert_msg(ptx_program_build(loaded, ptx_function_find(module, "k"), &program) == MOE_OK,
                  "%s: %s", row->name, moe_error_text());
    const uint64_t from = buffer(machine, in, BYTES), to = buffer(machine, NULL, BYTES);
    if (row->map)
        make_map(&map, row->map == 1 ? from : to);
    const uint64_t maps = buffer(machine, &map, sizeof map);
    const void *args[] = {&from, &to, &maps};
    const struct ptx_grid grid = {.program = program,
                                  .grid = {row->ctas, 1, 1},
                                  .block = {row->block, 1, 1},
                                  .cluster = {row->ctas, 1, 1},
                                  .args = args};
    ck_assert_msg(ptx_run(machine, &grid) == MOE_OK, "%s: %s", row->name, moe_error_text());
    memcpy(out, ptx_memory_find(machine, to, BYTES)->data, BYTES);
    const char *message = machine->report_count ? machine->reports[0].message : "";
    int good = 1;
    if (row->says)
        good = strstr(message, row->says) != NULL;
    ck_assert_msg(!*message || good, "%s, seed %u: %s", row->name, seed, message);
    ck_assert_msg(row->says || !*message, "%s, seed %u: %s", row->name, seed, message);
    for (uint32_t i = 0; row->want && i < row->words && good; i++) {
        if (!(good = out[i] == row->want(i)) && row->claim != WRONG)
            printf("# %s, seed %u: word %u is 0x%x, not 0x%x\n", row->name, seed, i, out[i],
                   row->want(i));
    }
    ptx_program_free(program);
    ptx_unload(machine, loaded);
    ptx_machine_free(machine);
    ptx_module_free(module);
    return good;
}

static void run_rows(const struct row *rows, size_t count)
{
    for (uint32_t i = 0; i < BYTES / 4; i++)
        in[i] = input(i);
    for (size_t r = 0; r < count; r++) {
        uint32_t held = 0;
        for (uint32_t seed = 0; seed < SEEDS; seed++)
            held += (uint32_t)holds(&rows[r], seed);
        ck_assert_msg(rows[r].claim == ALWAYS      ? held == SEEDS
                      : rows[r].claim == SOMETIMES ? held > 0
                                                   : held > 0 && held < SEEDS,
                      "%s: it holds under %u of %u seeds", rows[r].name, held, SEEDS);
    }
}

#define TEST(name, rows)                                                                           \
    START_TEST(name)                                                                               \
    {                                                                                              \
        run_rows(rows, sizeof rows / sizeof *rows);                                                \
    }                                                                                              \
    END_TEST

TEST(mbarriers_count, mbarriers)
TEST(copies_are_waited_for, copies)
TEST(bulk_copies_come_and_go, bulks)
TEST(clusters_meet, clusters)
TEST(registers_move, registers)
TEST(wgmma_multiplies, wgmmas)
TEST(tensor_boxes, tensors)

int main(void)
{
    Suite *suite = suite_create("ptx_hopper");
    TCase *tests = tcase_create("ptx_hopper");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, mbarriers_count);
    tcase_add_test(tests, copies_are_waited_for);
    tcase_add_test(tests, bulk_copies_come_and_go);
    tcase_add_test(tests, clusters_meet);
    tcase_add_test(tests, registers_move);
    tcase_add_test(tests, wgmma_multiplies);
    tcase_add_test(tests, tensor_boxes);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
