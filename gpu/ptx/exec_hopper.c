/*
 * exec_hopper.c - the opcodes of Hopper's asynchronous instructions: they are read, and refused by
 * name where a kernel that has them is to run.
 */
#include <stddef.h>

#include "gpu/ptx/program.h"

#define NEVER NULL, 0, PTX_ALONE

const struct ptx_opcode ptx_opcodes_hopper[] = {
    {"mbarrier.init", "shared shared::cta", "b64", "A* Si", NEVER},
    {"mbarrier.inval", "shared shared::cta", "b64", "A*", NEVER},
    {"mbarrier.expect_tx", "relaxed @scope shared shared::cta shared::cluster", "b64", "A* Si",
     NEVER},
    {"mbarrier.complete_tx", "relaxed @scope shared shared::cta shared::cluster", "b64", "A* Si",
     NEVER},
    {"mbarrier.arrive",
     "release relaxed @scope shared shared::cta shared::cluster noComplete expect_tx", "b64",
     "Dl A* Si?", NEVER},
    {"mbarrier.arrive",
     "release relaxed @scope shared shared::cta shared::cluster noComplete expect_tx", "b64",
     "A* Si?", NEVER},
    {"mbarrier.arrive_drop",
     "release relaxed @scope shared shared::cta shared::cluster noComplete expect_tx", "b64",
     "Dl A* Si?", NEVER},
    {"mbarrier.arrive_drop",
     "release relaxed @scope shared shared::cta shared::cluster noComplete expect_tx", "b64",
     "A* Si?", NEVER},
    {"mbarrier.test_wait", "acquire relaxed @scope shared shared::cta parity", "b64", "Pp A* S*",
     NEVER},
    {"mbarrier.try_wait", "acquire relaxed @scope shared shared::cta parity", "b64", "Pp A* S* Si?",
     NEVER},
    {"mbarrier.pending_count", "", "b64", "Di Sl", NEVER},
    {"cp.async", "ca cg shared shared::cta global L2::cache_hint L2::64B L2::128B L2::256B", "",
     "A* A* Ii S*? Sl?", NEVER},
    {"cp.async.commit_group", "", "", "", NEVER},
    {"cp.async.wait_group", "", "", "Ii", NEVER},
    {"cp.async.wait_all", "", "", "", NEVER},
    {"cp.async.mbarrier.arrive", "noinc shared shared::cta", "b64", "A*", NEVER},
    {"cp.async.bulk",
     "shared::cluster shared::cta global mbarrier::complete_tx::bytes bulk_group "
     "multicast::cluster L2::cache_hint cp_mask",
     "", "A* A* Si M*? M*? M*?", NEVER},
    {"cp.async.bulk.prefetch", "L2 global L2::cache_hint", "", "A* Si Sl?", NEVER},
    {"cp.async.bulk.commit_group", "", "", "", NEVER},
    {"cp.async.bulk.wait_group", "read", "", "Ii", NEVER},
    {"cp.async.bulk.tensor",
     "1d 2d 3d 4d 5d shared::cluster shared::cta global tile im2col tile::gather4 tile::scatter4 "
     "mbarrier::complete_tx::bytes bulk_group multicast::cluster cta_group::1 cta_group::2 "
     "L2::cache_hint",
     "", "A* T* M*? M*? M*? M*?", NEVER},
    {"cp.async.bulk.tensor",
     "1d 2d 3d 4d 5d shared::cta global tile im2col tile::scatter4 bulk_group L2::cache_hint", "",
     "T* A* Sl?", NEVER},
    {"cp.async.bulk.prefetch.tensor",
     "1d 2d 3d 4d 5d L2 global tile im2col tile::gather4 L2::cache_hint", "", "T* M*? M*?", NEVER},
    {"cp.reduce.async.bulk",
     "shared::cluster shared::cta global mbarrier::complete_tx::bytes bulk_group L2::cache_hint "
     "add min max inc dec and or xor noftz",
     "f16 bf16 b32 u32 s32 b64 u64 s64 f32 f64", "A* A* Si M*? Sl?", NEVER},
    {"cp.reduce.async.bulk.tensor",
     "1d 2d 3d 4d 5d shared::cta global tile tile::scatter4 im2col bulk_group L2::cache_hint add "
     "min "
     "max inc dec and or xor",
     "", "T* A* Sl?", NEVER},
    {"st.async", "weak relaxed release @scope shared::cluster mbarrier::complete_tx::bytes v2 v4",
     "b32 u32 s32 f32 b64 u64 s64 f64", "A* W* A*", NEVER},
    {"red.async",
     "relaxed release @scope shared::cluster mbarrier::complete_tx::bytes inc dec min max add and "
     "or xor",
     "b32 u32 s32 b64 u64 s64", "A* S0 A*", NEVER},
    {"wgmma.fence", "sync aligned", "", "", NEVER},
    {"wgmma.commit_group", "sync aligned", "", "", NEVER},
    {"wgmma.wait_group", "sync aligned", "", "Ii", NEVER},
    {"wgmma.mma_async", "sync aligned satfinite sp and popc",
     "f16 f32 s32;f16 bf16 tf32 e4m3 e5m2 s8 u8 b1;f16 bf16 tf32 e4m3 e5m2 s8 u8 b1",
     "X* M* Sl Bp M*? M*? M*? M*? M*?", NEVER},
    {"barrier.cluster.arrive", "release relaxed aligned", "", "", NEVER},
    {"barrier.cluster.wait", "acquire aligned", "", "", NEVER},
    {"mapa", "shared::cluster", "u32 u64", "D0 S* Si", NEVER},
    {"getctarank", "shared::cluster", "u32 u64", "Di S*", NEVER},
    {"setmaxnreg.inc", "sync aligned", "u32", "Ii", NEVER},
    {"setmaxnreg.dec", "sync aligned", "u32", "Ii", NEVER},
    {"tensormap.replace",
     "tile global shared::cta global_address rank box_dim global_dim global_stride element_stride "
     "elemtype interleave_layout swizzle_mode swizzle_atomicity fill_mode",
     "b1024;b32 b64", "A* S* S*?", NEVER},
    {"tensormap.cp_fenceproxy",
     "global shared::cta tensormap::generic release acquire @scope sync aligned", "", "A* A* Ii",
     NEVER},
    {0},
};
