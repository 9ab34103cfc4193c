/*
 * t_ptx_hazard.c - for each rule of races and undefinedness, a kernel of a few lines that breaks it
 * and one that does not: under every schedule the first is reported, at its line, the second not.
 */
#include <stdio.h>

#include "tests/ptx_micro.h"
#include "tests/support.h"

#define SEEDS 9

/* A word of shared memory at each thread; its own, and its neighbour's. */
#define MINE                                                                                       \
    "shl.b32 %r0, %t, 2;\nadd.u32 %r0, %r0, %s;\nxor.b32 %r1, %t, 1;\nshl.b32 %r1, %r1, 2;\n"      \
    "add.u32 %r1, %r1, %s;\n"
#define FAR                                                                                        \
    "shl.b32 %r0, %t, 2;\nadd.u32 %r0, %r0, %s;\nxor.b32 %r1, %t, 32;\nshl.b32 %r1, %r1, 2;\n"     \
    "add.u32 %r1, %r1, %s;\n"
#define ROWS                                                                                       \
    "setp.lt.u32 %p0, %t, 16;\nshl.b32 %r0, %t, 5;\nadd.u32 %r0, %r0, %s;\n"                       \
    "@%p0 st.shared.v4.u32 [%r0], {%t, %t, %t, %t};\n"                                             \
    "@%p0 st.shared.v4.u32 [%r0+16], {%t, %t, %t, %t};\n"
#define FIRST "setp.eq.u32 %p0, %t, 0;\n"
#define GLOBAL "mul.wide.u32 %q0, %t, 4;\nadd.u64 %q0, %g, %q0;\n"
#define RACE PTX_REPORT_RACE, PTX_REPORT_VALUE
#define SAME PTX_REPORT_RACE, PTX_REPORT_TEXT
#define UNDEFINED PTX_REPORT_UNDEFINED, PTX_REPORT_VALUE
#define CLEAN -1, PTX_REPORT_VALUE

static const struct micro races[] = {
    {"write, then another thread of the warp reads",
     MINE "st.shared.u32 [%r0], %t;\nld.shared.u32 %r2, [%r1]; // HERE\n", 1, 32, 0, RACE},
    {"bar.warp.sync orders lanes",
     MINE "st.shared.u32 [%r0], %t;\nbar.warp.sync 0xffffffff;\nld.shared.u32 %r2, [%r1];\n", 1, 32,
     0, CLEAN},
    {"shfl does not order memory",
     MINE "st.shared.u32 [%r0], %t;\nshfl.sync.bfly.b32 %r3, %t, 1, 31, 0xffffffff;\n"
          "ld.shared.u32 %r2, [%r1]; // HERE\n",
     1, 32, 0, RACE},
    {"bar.warp.sync does not order warps",
     FAR "st.shared.u32 [%r0], %t; // HERE\nbar.warp.sync 0xffffffff;\nld.shared.u32 %r2, [%r1]; "
         "// HERE\n"
         "st.shared.u32 [%r0], %t; // HERE\n",
     1, 64, 0, RACE},
    {"bar.sync orders warps",
     FAR "st.shared.u32 [%r0], %t;\nbar.sync 0;\nld.shared.u32 %r2, [%r1];\nbar.sync 0;\n"
         "st.shared.u32 [%r0], %r2;\n",
     1, 64, 0, CLEAN},
    {"read, then another warp writes",
     FAR "st.shared.u32 [%r0], %t;\nbar.sync 0;\nld.shared.u32 %r2, [%r1];\n"
         "setp.lt.u32 %p0, %t, 32;\n@%p0 bra L;\nst.shared.u32 [%r1], 7;\nbra M;\n"
         "L: st.shared.u32 [%r0], 8; // HERE\nM:\n",
     1, 32, 0, CLEAN},
    {"a named barrier orders those who come",
     FAR "st.shared.u32 [%r0], %t;\nbarrier.sync 3, 64;\nld.shared.u32 %r2, [%r1];\n", 1, 64, 0,
     CLEAN},
    {"bar.arrive lets others know",
     FAR FIRST
     "setp.lt.u32 %p1, %t, 32;\n@%p1 bra L;\nst.shared.u32 [%r0], %t;\nbar.arrive 2, 64;\nbra M;\n"
     "L: bar.sync 2, 64;\nld.shared.u32 %r2, [%r1];\nM:\n",
     1, 64, 0, CLEAN},
    {"who arrives does not learn",
     FAR
     "setp.lt.u32 %p1, %t, 32;\n@%p1 bra L;\nbar.arrive 2, 64;\nld.shared.u32 %r2, [%r1]; // HERE\n"
     "bra M;\nL: st.shared.u32 [%r0], %t; bar.sync 2, 64; // HERE\nM:\n",
     1, 64, 0, RACE},
    {"rows stored by lanes, then loaded as a matrix at once",
     ROWS
     "wmma.load.a.sync.aligned.row.m16n16k16.shared.bf16 {%r0, %r1, %r2, %r3}, [%s]; // HERE\n",
     1, 32, 0, RACE},
    {"and behind bar.warp.sync",
     ROWS "bar.warp.sync 0xffffffff;\n"
          "wmma.load.a.sync.aligned.row.m16n16k16.shared.bf16 {%r0, %r1, %r2, %r3}, [%s];\n",
     1, 32, 0, CLEAN},
    {"a matrix stored by one warp and loaded by the other",
     "setp.lt.u32 %p0, %t, 32;\n@!%p0 bra L;\nwmma.store.d.sync.aligned.col.m16n16k16.shared.s32 "
     "[%s], {%t, %t, %t, %t, %t, %t, %t, %t}; // HERE\nbra M;\nL: "
     "wmma.load.c.sync.aligned.row.m16n16k16.shared.s32 {%r0, %r1, %r2, %r3, %r4, %r5, %r6, %r7}, "
     "[%s]; // HERE\nM:\n",
     1, 64, 0, RACE},
    {"halves of a word are apart",
     "shl.b32 %r0, %t, 1;\nadd.u32 %r0, %r0, %s;\ncvt.u16.u32 %h0, %t;\nst.shared.u16 [%r0], %h0;\n"
     "ld.shared.u16 %h1, [%r0];\n",
     1, 64, 0, CLEAN},
    {"a half of a word",
     FIRST "cvt.u16.u32 %h0, %t;\n@%p0 st.shared.u16 [%s], %h0; // HERE\n"
           "@!%p0 ld.shared.u16 %h1, [%s]; // HERE\n",
     1, 2, 0, RACE},
    {"a write by the last of two readers",
     "setp.eq.u32 %p0, %t, 0;\nsetp.eq.u32 %p1, %t, 32;\n@%p0 bra L;\n@!%p1 bra M;\n"
     "W: ld.volatile.global.u32 %r0, [%g];\nsetp.ne.u32 %p2, %r0, 1;\n@%p2 bra W;\n"
     "ld.shared.u32 %r1, [%s];\nst.shared.u32 [%s], 9; // HERE\nbra M;\n"
     "L: ld.shared.u32 %r1, [%s];\nst.volatile.global.u32 [%g], 1;\nM:\n",
     1, 64, 0, RACE},
    {"a word that was whole is split",
     MINE "st.shared.u32 [%r0], %t;\nbar.sync 0;\nshl.b32 %r2, %t, 1;\nadd.u32 %r2, %r2, %s;\n"
          "cvt.u16.u32 %h0, %t;\nst.shared.u16 [%r2], %h0;\nld.shared.u32 %r3, [%r0]; // HERE\n",
     1, 64, 0, RACE},
    {"wide accesses meet narrow ones",
     "shl.b32 %r0, %t, 4;\nadd.u32 %r0, %r0, %s;\nst.shared.v4.u32 [%r0], {%t, %t, %t, %t};\n"
     "bar.sync 0;\n" MINE "ld.shared.u32 %r2, [%r1];\n",
     1, 32, 0, CLEAN},
    {"lanes of a store write one word differently", "st.shared.u32 [%s], %t; // HERE\n", 1, 32, 0,
     RACE},
    {"lanes of a store write one word alike", "st.shared.u32 [%s], 5; // HERE\n", 1, 32, 0, SAME},
    {"all lanes read a word, and write it alike",
     "ld.shared.u32 %r0, [%s]; // HERE\nst.shared.u32 [%s], 5; // HERE\n", 1, 32, 0, RACE},
    {"one lane writes a word, and then all do so alike",
     "setp.eq.u32 %p0, %t, 5;\n@%p0 st.shared.u32 [%s], 4; // HERE\n"
     "st.shared.u32 [%s], 5; // HERE\n",
     1, 32, 0, RACE},
    {"warps write one word alike",
     "setp.eq.u32 %p0, %laneid, 0;\n"
     "@%p0 st.shared.u32 [%s], 5; // HERE\n",
     1, 64, 0, SAME},
    {"all read one word",
     FIRST "@%p0 st.shared.u32 [%s], 5;\nbar.sync 0;\nld.shared.u32 %r0, [%s];\nbar.sync 0;\n"
           "@%p0 st.shared.u32 [%s], 6;\n",
     1, 256, 0, CLEAN},
    {"all read one word, and one writes it too early",
     "setp.eq.u32 %p0, %t, 77;\n"
     "@%p0 st.shared.u32 [%s], 5;\nbar.sync 0;\nld.shared.u32 %r0, [%s]; // HERE\n"
     "@%p0 st.shared.u32 [%s], 6; // HERE\n",
     1, 256, 0, RACE},
    {"CTAs write one word of global memory differently",
     FIRST "@%p0 st.global.u32 [%g], %c; // HERE\n", 4, 32, 0, RACE},
    {"CTAs write words of their own",
     "mad.lo.u32 %r0, %c, 32, %t;\nmul.wide.u32 %q0, %r0, 4;\nadd.u64 %q0, %g, %q0;\n"
     "st.global.u32 [%q0], %t;\nbar.sync 0;\nld.global.u32 %r1, [%q0];\n",
     20, 32, 0, CLEAN},
};

static const struct micro patterns[] = {
    {"atomics of all", "atom.global.add.u32 %r0, [%g], 1;\n", 4, 64, 0, CLEAN},
    {"atomics do not order others",
     FIRST "@!%p0 bra M;\nsetp.eq.u32 %p1, %c, 0;\nadd.u64 %q0, %g, 64;\n@%p1 bra L;\n"
           "W: atom.global.add.u32 %r0, [%g], 0;\nsetp.eq.u32 %p2, %r0, 0;\n@%p2 bra W;\n"
           "ld.global.u32 %r1, [%q0]; // HERE\nbra M;\n"
           "L: st.global.u32 [%q0], 1;\natom.global.add.u32 %r0, [%g], 1;\nM:\n",
     2, 32, 0, RACE},
    {"an atomic of cta scope and another CTA's",
     FIRST "@%p0 atom.cta.global.add.u32 %r0, [%g], 1; // HERE\n", 2, 32, 0, RACE},
    {"an atomic of cta scope within the CTA",
     "atom.cta.shared.add.u32 %r0, [%s], 1;\n"
     "bar.sync 0;\nld.shared.u32 %r1, [%s];\n",
     1, 64, 0, CLEAN},
    {"atomic, then a weak read",
     "atom.shared.add.u32 %r0, [%s], 1;\n"
     "ld.shared.u32 %r1, [%s]; // HERE\n",
     1, 64, 0, RACE},
    {"release and acquire",
     FIRST "@!%p0 bra M;\nsetp.eq.u32 %p1, %c, 0;\nadd.u64 %q0, %g, 64;\n@%p1 bra L;\n"
           "W: ld.acquire.gpu.global.u32 %r0, [%g];\nsetp.eq.u32 %p2, %r0, 0;\n@%p2 bra W;\n"
           "ld.global.u32 %r1, [%q0];\nst.global.u32 [%g], 0;\nbra M;\n"
           "L: st.global.u32 [%q0], 1;\nst.release.gpu.global.u32 [%g], 1;\nM:\n",
     2, 32, 0, CLEAN},
    {"release of cta scope does not reach another CTA",
     FIRST
     "@!%p0 bra M;\nsetp.eq.u32 %p1, %c, 0;\nadd.u64 %q0, %g, 64;\n@%p1 bra L;\n"
     "W: ld.acquire.gpu.global.u32 %r0, [%g]; // HERE\nsetp.eq.u32 %p2, %r0, 0;\n@%p2 bra W;\n"
     "ld.global.u32 %r1, [%q0];\nbra M;\n"
     "L: st.global.u32 [%q0], 1;\nst.release.cta.global.u32 [%g], 1; // HERE\nM:\n",
     2, 32, 0, RACE},
    {"relaxed does not order",
     FIRST "@!%p0 bra M;\nsetp.eq.u32 %p1, %c, 0;\nadd.u64 %q0, %g, 64;\n@%p1 bra L;\n"
           "W: ld.relaxed.gpu.global.u32 %r0, [%g];\nsetp.eq.u32 %p2, %r0, 0;\n@%p2 bra W;\n"
           "ld.global.u32 %r1, [%q0]; // HERE\nbra M;\n"
           "L: st.global.u32 [%q0], 1;\nst.release.gpu.global.u32 [%g], 1;\nM:\n",
     2, 32, 0, RACE},
    {"fences around relaxed accesses",
     FIRST "@!%p0 bra M;\nsetp.eq.u32 %p1, %c, 0;\nadd.u64 %q0, %g, 64;\n@%p1 bra L;\n"
           "W: ld.relaxed.gpu.global.u32 %r0, [%g];\nsetp.eq.u32 %p2, %r0, 0;\n@%p2 bra W;\n"
           "fence.acq_rel.gpu;\nld.global.u32 %r1, [%q0];\nst.global.u32 [%g], 0;\nbra M;\n"
           "L: st.global.u32 [%q0], 1;\nmembar.gl;\nst.volatile.global.u32 [%g], 1;\nM:\n",
     2, 32, 0, CLEAN},
    {"no fence before the write",
     FIRST "@!%p0 bra M;\nsetp.eq.u32 %p1, %c, 0;\nadd.u64 %q0, %g, 64;\n@%p1 bra L;\n"
           "W: ld.relaxed.gpu.global.u32 %r0, [%g];\nsetp.eq.u32 %p2, %r0, 0;\n@%p2 bra W;\n"
           "fence.acq_rel.gpu;\nld.global.u32 %r1, [%q0]; // HERE\nbra M;\n"
           "L: st.global.u32 [%q0], 1;\nst.volatile.global.u32 [%g], 1;\nM:\n",
     2, 32, 0, RACE},
    {"a fence of cta scope",
     FIRST "@!%p0 bra M;\nsetp.eq.u32 %p1, %c, 0;\nadd.u64 %q0, %g, 64;\n@%p1 bra L;\n"
           "W: ld.relaxed.gpu.global.u32 %r0, [%g];\nsetp.eq.u32 %p2, %r0, 0;\n@%p2 bra W;\n"
           "fence.acq_rel.cta;\nld.global.u32 %r1, [%q0]; // HERE\nbra M;\n"
           "L: st.global.u32 [%q0], 1;\nmembar.gl;\nst.volatile.global.u32 [%g], 1;\nM:\n",
     2, 32, 0, RACE},
    {"the last CTA sums what all wrote",
     FIRST "mul.wide.u32 %q0, %c, 4;\nadd.u64 %q0, %g, %q0;\n@%p0 st.global.u32 [%q0+64], %c;\n"
           "@!%p0 bra M;\nmembar.gl;\natom.global.inc.u32 %r0, [%g], 3;\nsetp.ne.u32 %p1, %r0, 3;\n"
           "@%p1 bra M;\nmembar.gl;\nld.global.u32 %r1, [%g+64];\nld.global.u32 %r2, [%g+76];\n"
           "st.global.u32 [%g], 9;\nM:\n",
     4, 32, 0, CLEAN},
    {"the last CTA, one thread's fence for all",
     FIRST "mad.lo.u32 %r3, %c, 32, %t;\nmul.wide.u32 %q0, %r3, 4;\nadd.u64 %q0, %g, %q0;\n"
           "st.global.u32 [%q0+64], %c;\nbar.sync 0;\n@!%p0 bra M;\nmembar.gl;\n"
           "atom.global.inc.u32 %r0, [%g], 3;\nsetp.ne.u32 %p1, %r0, 3;\n@%p1 bra M;\nmembar.gl;\n"
           "ld.global.u32 %r1, [%g+128];\nld.global.u32 %r2, [%g+256];\nM:\n",
     4, 32, 0, CLEAN},
    {"the same without the barrier before it",
     FIRST "mad.lo.u32 %r3, %c, 64, %t;\nmul.wide.u32 %q0, %r3, 4;\nadd.u64 %q0, %g, %q0;\n"
           "st.global.u32 [%q0+64], %c;// HERE\n@!%p0 bra M;\nmembar.gl;\n"
           "atom.global.inc.u32 %r0, [%g], 3;\nsetp.ne.u32 %p1, %r0, 3;\n@%p1 bra M;\nmembar.gl;\n"
           "ld.global.u32 %r1, [%g+68];// HERE\nM:\n",
     4, 64, 0, RACE},
};

static const struct micro undefined[] = {
    {"a branch on what nobody wrote",
     "ld.global.u32 %r0, [%u];\nsetp.eq.u32 %p0, %r0, 0;\n@%p0 bra M; // HERE\nM:\n", 1, 32, 0,
     UNDEFINED},
    {"an address of it",
     "ld.shared.u32 %r0, [%s];\nand.b32 %r0, %r0, 60;\nadd.u32 %r0, %r0, %s;\n"
     "ld.shared.u32 %r1, [%r0]; // HERE\n",
     1, 32, 0, UNDEFINED},
    {"a copy of it is harmless",
     GLOBAL "mul.wide.u32 %q1, %t, 4;\nadd.u64 %q1, %u, %q1;\nld.global.u32 %r0, [%q1];\n"
            "st.global.u32 [%q0], %r0;\n",
     1, 32, 0, CLEAN},
    {"it is masked away",
     "ld.global.u32 %r0, [%u];\nand.b32 %r0, %r0, 0;\nsetp.eq.u32 %p0, %r0, 0;\n@%p0 bra M;\nM:\n",
     1, 32, 0, CLEAN},
    {"it is not selected",
     FIRST "ld.global.u32 %r0, [%u];\nselp.b32 %r1, 4, %r0, %p0;\nsetp.eq.u32 %p1, %r1, 0;\n"
           "@!%p0 bra M;\n@%p1 bra M;\nM:\n",
     1, 32, 0, CLEAN},
    {"it is selected",
     FIRST "ld.global.u32 %r0, [%u];\nselp.b32 %r1, %r0, 4, %p0;\nsetp.eq.u32 %p1, %r1, 0;\n"
           "@!%p0 bra M;\n@%p1 bra M; // HERE\nM:\n",
     1, 32, 0, UNDEFINED},
    {"the byte next to it",
     "st.shared.u8 [%s+4], %t;\nld.shared.u32 %r0, [%s+4];\n"
     "and.b32 %r0, %r0, 255;\nsetp.eq.u32 %p0, %r0, 0;\n@%p0 bra M;\nM:\n",
     1, 1, 0, CLEAN},
    {"shuffled from a lane that has it",
     "mov.u32 %r0, %laneid;\nsetp.eq.u32 %p0, %t, 3;\n@%p0 ld.global.u32 %r0, [%u];\n"
     "shfl.sync.idx.b32 %r1, %r0, 3, 31, 0xffffffff;\nsetp.eq.u32 %p1, %r1, 0;\n@%p1 bra M; // "
     "HERE\n"
     "M:\n",
     1, 32, 0, UNDEFINED},
    {"shuffled from a lane that has not",
     "mov.u32 %r0, %laneid;\nsetp.eq.u32 %p0, %t, 3;\n@%p0 ld.global.u32 %r0, [%u];\n"
     "shfl.sync.idx.b32 %r1, %r0, 4, 31, 0xffffffff;\nsetp.eq.u32 %p1, %r1, 0;\n@%p1 bra M;\nM:\n",
     1, 32, 0, CLEAN},
    {"packed and unpacked",
     "ld.global.u32 %r0, [%u];\nmov.b64 %q0, {%r0, %t};\n"
     "mov.b64 {%r1, %r2}, %q0;\nsetp.eq.u32 %p0, %r2, 0;\n@%p0 bra M;\nM:\n",
     1, 32, 0, CLEAN},
};

#define FOUR "st.shared.v4.u32 [%s], {%t, %t, %t, %t};\n"
#define STORE "cp.async.bulk.global.shared::cta.bulk_group [%g], [%s], 16;"
#define LOAD                                                                                       \
    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%g], 16, [%s+64];"
#define WAIT "W: mbarrier.try_wait.parity.shared::cta.b64 %p1, [%s+64], 0;\n@!%p1 bra W;\n"
#define TX "mbarrier.arrive.expect_tx.shared::cta.b64 %q1, [%s+64], 16;\n"
#define BEGIN "mbarrier.init.shared::cta.b64 [%s+64], 1;\n"
#define BEGUN FIRST "@%p0 mbarrier.init.shared::cta.b64 [%s+64], 2;\nbar.sync 0;\n"
#define FAR_CTA                                                                                    \
    "mapa.shared::cluster.u32 %r0, %s, 0;\nsetp.eq.u32 %p0, %c, 1;\nsetp.eq.u32 %p1, %c, 0;\n"     \
    "@%p0 st.shared::cluster.u32 [%r0], 7;\n"
#define RELAXED "barrier.cluster.arrive.relaxed.aligned;\nbarrier.cluster.wait.aligned;\n"
#define TOGETHER "barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\n"
#define PROXY PTX_REPORT_PROXY, PTX_REPORT_VALUE
/* One thread writes what wgmma then reads, 128 bytes of A and of B. */
#define WRITTEN_BY(thread)                                                                         \
    "setp.eq.u32 %p0, %t, " thread ";\n@%p0 " FOUR "fence.proxy.async;\n"                          \
    "shr.u32 %r0, %s, 4;\ncvt.u64.u32 %q0, %r0;\nor.b64 %q0, %q0, 0x1000080000;\n"
#define MULTIPLY                                                                                   \
    "wgmma.fence.sync.aligned;\nwgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%f0, %f1, "     \
    "%f2, %f3}, %q0, %q0, 0, 1, 1, 0, 0; // HERE\nwgmma.commit_group.sync.aligned;\n"              \
    "wgmma.wait_group.sync.aligned 0;\n"

static const struct micro asynchronous[] = {
    {"cp.async, then a read without a wait",
     "cp.async.ca.shared.global [%s], [%g], 16; // HERE\ncp.async.commit_group;\n"
     "ld.shared.u32 %r0, [%s]; // HERE\ncp.async.wait_group 0;\n",
     1, 1, 0, RACE},
    {"cp.async, and the wait for it",
     "cp.async.ca.shared.global [%s], [%g], 16;\ncp.async.commit_group;\n"
     "cp.async.wait_group 0;\nld.shared.u32 %r0, [%s];\n",
     1, 1, 0, CLEAN},
    {"a wait for another group",
     "cp.async.ca.shared.global [%s], [%g], 16; // HERE\ncp.async.commit_group;\n"
     "cp.async.wait_group 1;\nld.shared.u32 %r0, [%s]; // HERE\ncp.async.wait_all;\n",
     1, 1, 0, RACE},
    {"a wait of this thread's for another's copy",
     FIRST "@%p0 cp.async.ca.shared.global [%s], [%g], 16; // HERE\ncp.async.wait_all;\n"
           "ld.shared.u32 %r0, [%s]; // HERE\n",
     1, 2, 0, RACE},
    {"written, then stored in bulk without a proxy fence",
     FOUR STORE " // HERE\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\n", 1, 1, 0,
     PROXY},
    {"written, a proxy fence, then stored in bulk",
     FOUR "fence.proxy.async.shared::cta;\n" STORE
          "\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\n" FOUR,
     1, 1, 0, CLEAN},
    {"written by all, and fenced by who stores it behind a barrier",
     FIRST "shl.b32 %r0, %t, 4;\nadd.u32 %r0, %r0, %s;\n"
           "st.shared.v4.u32 [%r0], {%t, %t, %t, %t};\nbar.sync 0;\n@!%p0 bra M;\n"
           "fence.proxy.async.shared::cta;\n"
           "cp.async.bulk.global.shared::cta.bulk_group [%g], [%s], 1024;\n"
           "cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\nM:\n",
     1, 64, 0, CLEAN},
    {"written over while it is stored",
     FOUR "fence.proxy.async.shared::cta;\n" STORE
          " // HERE\ncp.async.bulk.commit_group;\nst.shared.v4.u32 [%s], {1, 2, 3, 4}; // HERE\n"
          "cp.async.bulk.wait_group 0;\n",
     1, 1, 0, RACE},
    {"written over once it is read",
     FOUR "fence.proxy.async.shared::cta;\n" STORE
          "\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group.read 0;\n" FOUR
          "cp.async.bulk.wait_group 0;\n",
     1, 1, 0, CLEAN},
    {"written again once it is stored, and stored again",
     FOUR "fence.proxy.async.shared::cta;\n" STORE
          "\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\n" FOUR
          "fence.proxy.async.shared::cta;\n" STORE
          "\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\n",
     1, 1, 0, CLEAN},
    {"what was stored is not there when it has been read",
     FOUR "fence.proxy.async.shared::cta;\n" STORE
          " // HERE\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group.read 0;\n"
          "ld.global.u32 %r0, [%g]; // HERE\n",
     1, 1, 0, RACE},
    {"a bulk load and an mbarrier",
     BEGIN "fence.mbarrier_init.release.cluster;\n" TX LOAD "\n" WAIT "ld.shared.u32 %r0, [%s];\n",
     1, 1, 0, CLEAN},
    {"the mbarrier's beginning is not fenced",
     BEGIN TX LOAD " // HERE\n" WAIT "ld.shared.u32 %r0, [%s];\n", 1, 1, 0, PROXY},
    {"a bulk load that nobody waits for",
     BEGIN "fence.mbarrier_init.release.cluster;\n" TX LOAD
           " // HERE\nld.shared.u32 %r0, [%s]; // HERE\n" WAIT,
     1, 1, 0, RACE},
    {"read, then loaded in bulk without a proxy fence",
     FOUR BEGIN "fence.proxy.async;\n" TX "ld.shared.u32 %r0, [%s];\n" LOAD " // HERE\n" WAIT, 1, 1,
     0, PROXY},
    {"two have read, of whom one is waited for, then loaded in bulk",
     FIRST "@%p0 mbarrier.init.shared::cta.b64 [%s+64], 1;\n@%p0 fence.mbarrier_init.release."
           "cluster;\nbar.sync 0;\nand.b32 %r1, %t, 31;\nsetp.eq.u32 %p3, %r1, 0;\n"
           "setp.lt.u32 %p1, %t, 64;\nsetp.lt.u32 %p2, %t, 32;\n@%p2 bra L;\n"
           "@%p3 ld.shared.u32 %r0, [%s]; // HERE\n@%p1 bra M;\nL: barrier.sync 1, 64;\n"
           "@!%p0 bra M;\nfence.proxy.async;\n" TX LOAD " // HERE\n" WAIT "M:\n",
     1, 96, 0, RACE},
    {"read by a thread, and by a store in bulk that is waited for, then written",
     FIRST "@%p0 " FOUR "fence.proxy.async;\nbar.sync 0;\nsetp.eq.u32 %p1, %t, 32;\n"
           "@%p1 ld.shared.u32 %r0, [%s]; // HERE\n@!%p0 bra M;\n" STORE
           "\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group.read 0;\n"
           "st.shared.v4.u32 [%s], {1, 2, 3, 4}; // HERE\ncp.async.bulk.wait_group 0;\nM:\n",
     1, 64, 0, RACE},
    {"a warp of four knows what wgmma reads, the first", WRITTEN_BY("0") MULTIPLY, 1, 128, 0, RACE},
    {"the last", WRITTEN_BY("96") MULTIPLY, 1, 128, 0, RACE},
    {"all know", WRITTEN_BY("96") "bar.sync 0;\n" MULTIPLY, 1, 128, 0, CLEAN},
    {"the cluster's barrier orders CTAs", FAR_CTA TOGETHER "@%p1 ld.shared.u32 %r1, [%s];\n", 2, 1,
     2, CLEAN},
    {"the cluster's barrier, relaxed, does not",
     FAR_CTA RELAXED "@%p1 ld.shared.u32 %r1, [%s]; // HERE\n" TOGETHER, 2, 1, 2, RACE},
    {"nor behind a fence of the CTA's scope",
     FAR_CTA "fence.acq_rel.cta;\n" RELAXED "@%p1 ld.shared.u32 %r1, [%s]; // HERE\n" TOGETHER, 2,
     1, 2, RACE},
    {"behind a fence it does",
     FAR_CTA "fence.acq_rel.cluster;\n" RELAXED "@%p1 ld.shared.u32 %r1, [%s];\n" TOGETHER, 2, 1, 2,
     CLEAN},
    {"behind a fence of mbarriers it orders their beginning",
     FIRST "@%p0 mbarrier.init.shared::cta.b64 [%s+64], 32;\n"
           "@%p0 fence.mbarrier_init.release.cluster;\n" RELAXED
           "mbarrier.arrive.shared::cta.b64 %q1, [%s+64];\n" WAIT,
     1, 32, 1, CLEAN},
    {"and nothing else",
     FIRST "@%p0 st.shared.u32 [%s], 7;\n@%p0 fence.mbarrier_init.release.cluster;\n" RELAXED
           "ld.shared.u32 %r0, [%s]; // HERE\n",
     1, 32, 1, RACE},
    {"an mbarrier ends while another thread may look at it",
     BEGUN "@!%p0 mbarrier.test_wait.parity.shared::cta.b64 %p1, [%s+64], 0;\n@%p0 "
           "mbarrier.inval.shared::cta.b64 [%s+64]; // HERE\n",
     1, 2, 0, RACE},
    {"and while it may arrive",
     BEGUN "@!%p0 mbarrier.arrive.shared::cta.b64 %q1, [%s+64];\n@%p0 "
           "mbarrier.inval.shared::cta.b64 [%s+64]; // HERE\n",
     1, 2, 0, RACE},
    {"and behind a barrier",
     BEGUN "@!%p0 mbarrier.arrive.shared::cta.b64 %q1, [%s+64];\n@!%p0 "
           "mbarrier.test_wait.parity.shared::cta.b64 %p1, [%s+64], 0;\nbar.sync 0;\n@%p0 "
           "mbarrier.inval.shared::cta.b64 [%s+64];\n@%p0 " BEGIN,
     1, 2, 0, CLEAN},
    {"it ends when the load has signalled it, and who waits ends it",
     BEGIN "fence.mbarrier_init.release.cluster;\n" TX LOAD "\n" WAIT
           "mbarrier.inval.shared::cta.b64 [%s+64];\nst.shared.u64 [%s+64], %g;\n",
     1, 1, 0, CLEAN},
    {"begun by one thread, and used by another before a barrier",
     FIRST "@%p0 mbarrier.init.shared::cta.b64 [%s+64], 2;\n"
           "mbarrier.arrive.shared::cta.b64 %q1, [%s+64]; // HERE\n",
     1, 2, 0, RACE},
    {"begun again where another thread arrived",
     BEGUN "@!%p0 mbarrier.arrive.shared::cta.b64 %q1, [%s+64];\nbar.sync 0;\n@%p0 "
           "mbarrier.inval.shared::cta.b64 [%s+64];\n@%p0 mbarrier.init.shared::cta.b64 [%s+64], "
           "2;\n@!%p0 mbarrier.arrive.shared::cta.b64 %q1, [%s+64]; // HERE\n",
     1, 2, 0, RACE},
    {"without the fence it does not",
     FIRST "@%p0 mbarrier.init.shared::cta.b64 [%s+64], 32;\n" RELAXED
           "mbarrier.arrive.shared::cta.b64 %q1, [%s+64]; // HERE\n" WAIT,
     1, 32, 1, RACE},
};

/* ---- tensor maps: one of 32 words, made of zeros in global memory ------------------------------
 */

#define FIELD(name, type, value)                                                                   \
    "@%p0 tensormap.replace.tile." name ".global.b1024." type " [%g], " value ";\n"
#define MAP                                                                                        \
    FIRST "add.u64 %q2, %g, 1024;\n" FIELD("global_address", "b64", "%q2")                         \
        FIELD("rank", "b32", "0") FIELD("box_dim", "b32", "0, 32")                                 \
            FIELD("global_dim", "b32", "0, 32") FIELD("element_stride", "b32", "0, 1")             \
                FIELD("elemtype", "b32", "2") FIELD("interleave_layout", "b32", "0")               \
                    FIELD("swizzle_mode", "b32", "0") FIELD("fill_mode", "b32", "0")
#define MAP_BEGIN                                                                                  \
    "@%p0 mbarrier.init.shared::cta.b64 [%s+1024], 1;\n"                                           \
    "@%p0 fence.mbarrier_init.release.cluster;\nbar.sync 0;\nmov.u32 %r0, 0;\n"
#define MAP_LOAD                                                                                   \
    "mbarrier.arrive.expect_tx.shared::cta.b64 %q1, [%s+1024], 128;\n"                             \
    "cp.async.bulk.tensor.1d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%s], [%g, " \
    "{%r0}], [%s+1024];"
#define MAP_WAIT "W: mbarrier.try_wait.parity.shared::cta.b64 %p1, [%s+1024], 0;\n@!%p1 bra W;\n"
#define MAP_RELEASE "fence.proxy.tensormap::generic.release.gpu;\n"
#define MAP_ACQUIRE "fence.proxy.tensormap::generic.acquire.gpu [%g], 128;\n"
#define OTHER "setp.eq.u32 %p2, %t, 1;\n@!%p2 bra M;\n"

static const struct micro maps[] = {
    {"a map that is made, fenced, and loaded through",
     MAP MAP_RELEASE MAP_ACQUIRE MAP_BEGIN MAP_LOAD "\n" MAP_WAIT "ld.shared.u32 %r1, [%s];\n", 1,
     1, 0, CLEAN},
    {"by one thread, without a barrier",
     MAP MAP_RELEASE MAP_ACQUIRE "mbarrier.init.shared::cta.b64 [%s+1024], 1;\n"
                                 "fence.mbarrier_init.release.cluster;\nmov.u32 %r0, 0;\n" MAP_LOAD
                                 "\n" MAP_WAIT,
     1, 1, 0, CLEAN},
    {"nor fenced",
     MAP "mbarrier.init.shared::cta.b64 [%s+1024], 1;\nfence.mbarrier_init.release.cluster;\n"
         "mov.u32 %r0, 0;\n" MAP_LOAD " // HERE\n" MAP_WAIT,
     1, 1, 0, PROXY},
    {"one that is not fenced", MAP MAP_BEGIN MAP_LOAD " // HERE\n" MAP_WAIT, 1, 1, 0, PROXY},
    {"a fence that releases and none that acquires",
     MAP MAP_RELEASE MAP_BEGIN MAP_LOAD " // HERE\n" MAP_WAIT, 1, 1, 0, PROXY},
    {"a fence of the asynchronous proxy is none of tensor maps",
     MAP "fence.proxy.async;\n" MAP_BEGIN MAP_LOAD " // HERE\n" MAP_WAIT, 1, 1, 0, PROXY},
    {"another thread loads, and acquires",
     MAP MAP_RELEASE MAP_BEGIN OTHER MAP_ACQUIRE MAP_LOAD "\n" MAP_WAIT "M:\n", 1, 32, 0, CLEAN},
    {"another thread loads, and does not",
     MAP MAP_RELEASE MAP_BEGIN OTHER MAP_LOAD " // HERE\n" MAP_WAIT "M:\n", 1, 32, 0, PROXY},
    {"a map that is changed behind its fence",
     MAP MAP_RELEASE MAP_ACQUIRE FIELD("global_dim", "b32", "0, 16") MAP_BEGIN MAP_LOAD
     " // HERE\n" MAP_WAIT,
     1, 1, 0, PROXY},
};

/* A ring of one stage whose sides keep their parity when it comes round. Where the filler is ahead
 * it fills too early; where it is not, the stage is read twice and then filled, which is in order,
 * and the bits alone are wrong (doc/ptx.md). */
static const struct micro kept_parity = {
    .name = "parity kept",
    .body =
        FIRST "@%p0 mbarrier.init.shared::cta.b64 [%s+64], 1;\n"
              "@%p0 mbarrier.init.shared::cta.b64 [%s+72], 1;\n"
              "@%p0 fence.mbarrier_init.release.cluster;\nbar.sync 0;\n"
              "mov.u32 %r0, 0;\nsetp.eq.u32 %p1, %t, 32;\n@%p1 bra FILL;\n@!%p0 bra M;\n"
              "READ: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%s+64], 0;\n@!%p2 bra READ;\n"
              "ld.shared.u32 %r1, [%s];\nfence.proxy.async;\n"
              "mbarrier.arrive.shared::cta.b64 %q1, [%s+72];\n"
              "add.u32 %r0, %r0, 1;\nsetp.lt.u32 %p3, %r0, 2;\n@%p3 bra READ;\nbra M;\n"
              "FILL: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%s+72], 1;\n@!%p2 bra FILL;\n"
              "mbarrier.arrive.expect_tx.shared::cta.b64 %q1, [%s+64], 16;\n" LOAD "\n"
              "mov.u32 %r2, 0;\nD: add.u32 %r2, %r2, 1;\nsetp.lt.u32 %p3, %r2, 500;\n@%p3 bra D;\n"
              "add.u32 %r0, %r0, 1;\nsetp.lt.u32 %p3, %r0, 2;\n@%p3 bra FILL;\n"
              "V: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%s+64], 1;\n@!%p2 bra V;\nM:\n",
    .grid = 1,
    .block = 64};

static int is_reported(void *data, const struct micro *micro, const struct ptx_machine *machine,
                       const char *text)
{
    (void)micro, (void)text;
    *(int *)data += machine->report_count > 0;
    return 1;
}

static void all(const char *what, const struct micro *micros, int count)
{
    const int wrong = micro_run(micros, count, SEEDS);
    ck_assert_msg(wrong == 0, "%s: %d of %d kernels", what, wrong, count);
}

START_TEST(races_are_found)
{
    all("races", races, COUNT(races));
}
END_TEST

START_TEST(patterns_order)
{
    all("patterns", patterns, COUNT(patterns));
}
END_TEST

START_TEST(engines_are_agents)
{
    all("asynchronous", asynchronous, COUNT(asynchronous));
}
END_TEST

START_TEST(tensor_maps_are_fenced)
{
    all("tensor maps", maps, COUNT(maps));
}
END_TEST

START_TEST(a_kept_parity_shows_in_some_orders)
{
    int reported = 0;
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        const struct ptx_options options = {
            .seed = seed, .schedule = seed % PTX_SCHEDULE_COUNT, .time = seed / PTX_SCHEDULE_COUNT};
        ck_assert(micro_look(&kept_parity, &options, 1, is_reported, &reported));
    }
    ck_assert_msg(reported > 0 && reported < SEEDS, "reported under %d of %d seeds", reported,
                  SEEDS);
}
END_TEST

START_TEST(undefinedness_decides)
{
    all("undefinedness", undefined, COUNT(undefined));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_hazard");
    TCase *tests = tcase_create("ptx_hazard");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, races_are_found);
    tcase_add_test(tests, patterns_order);
    tcase_add_test(tests, engines_are_agents);
    tcase_add_test(tests, tensor_maps_are_fenced);
    tcase_add_test(tests, a_kept_parity_shows_in_some_orders);
    tcase_add_test(tests, undefinedness_decides);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
