/*
 * fault.h - faults that can be planted in the variants `cublas` and `hopper` and their kernels, for
 * the judge's sake.
 *
 * A build has none: planted() is then the number 0, and no instruction is left of it. Compiled
 * with -DMOE_FAULTS, for the plug-in moecheck-faults.so alone, one fault at a time is on. What each
 * stands for is in the tables of faults/faults.c and faults/hopper_table.c; a name that is in both
 * is the same mistake in either variant's code.
 */
#ifndef MOE_GPU_FAULT_H
#define MOE_GPU_FAULT_H

enum gpu_fault {
    FAULT_NONE,
    /* unwritten */
    FAULT_EMPTY_EXPERT_DW,
    FAULT_DROPPED_DS,
    FAULT_DROPPED_ENTRY_ROW,
    FAULT_LAST_TOKEN_O,
    FAULT_LAST_UNITS_A,
    FAULT_EVERY_ROW_TO_ROW_0,
    /* bounds and tails */
    FAULT_STORE_BEHIND_O,
    FAULT_STORE_BEFORE_O,
    FAULT_READ_BEHIND_X,
    FAULT_MISSING_LAST_K,
    FAULT_MISSING_K_TAIL,
    FAULT_INPUT_CHANGED,
    FAULT_DROPPED_IS_ROW_0,
    /* offsets of 32 bits: seen in cases beyond 2^31 elements only */
    FAULT_GATHER_INT32,
    FAULT_ACTIVATE_INT32,
    /* order */
    FAULT_SCAN_NO_BARRIER,
    FAULT_PLACE_NO_BARRIER,
    FAULT_SUM_NO_BARRIER,
    /* stream, memory of its own */
    FAULT_DEFAULT_STREAM,
    FAULT_WORKSPACE_TOO_SMALL,
    FAULT_LEAK,
    /* sizes that a configuration forgets */
    FAULT_EXPERTS_BEYOND_255,
    FAULT_SCAN_BEYOND_BLOCK,
    FAULT_PLACE_BEYOND_BLOCK,
    FAULT_PICKS_BEYOND_BLOCK,
    /* routing */
    FAULT_TIES_LARGER_ID,
    FAULT_NAN_FIRST,
    FAULT_NO_SELECTION_BIAS,
    FAULT_GROUP_BEST_ONLY,
    FAULT_RENORM_WITHOUT_SCALE,
    FAULT_ROUND_HALF_UP,
    FAULT_ROUND_TIES_LAST,
    FAULT_BALANCED_NO_DRIFT,
    /* formulas */
    FAULT_SCORE_TWICE,
    FAULT_BIAS_OF_NEXT_EXPERT,
    FAULT_DS_WITHOUT_BIAS,
    FAULT_DZ_WITHOUT_SCORE,
    FAULT_DW2_WITHOUT_SCORE,
    FAULT_DB2_WITHOUT_SCORE,
    FAULT_GATE_AND_UP_SWAPPED,
    FAULT_OAI_CONSTANT,
    FAULT_SILU_SLOPE,
    FAULT_CLAMP_SLOPE,
    FAULT_BETA_IGNORED,
    FAULT_ROUTER_MEAN,
    FAULT_NO_AUX,
    FAULT_ZLOSS_HALF,
    FAULT_SHARED_GATE_SLOPE,
    FAULT_NO_ROUTER_DX,
    FAULT_DW1_OF_SCALED_X,
    /* precision */
    FAULT_SCORE_BF16,
    FAULT_SUM_BF16,
    FAULT_STORE_TRUNCATES,
    FAULT_GAIN,
    FAULT_CUBLAS_COUNT,
    /* ---- of hopper alone; barriers, phases and fences of its ring */
    FAULT_INIT_NO_FENCE,
    FAULT_INIT_NO_BARRIER,
    FAULT_FULL_ONE_SHORT,
    FAULT_EMPTY_HALF,
    FAULT_FULL_UNAWAITED,
    FAULT_EMPTY_UNAWAITED,
    FAULT_STALE_STAGE,
    FAULT_PARITY_KEPT,
    FAULT_RELEASE_EARLY,
    FAULT_BYTES_SHORT,
    FAULT_COPIES_UNAWAITED,
    FAULT_LAST_COPIES_UNAWAITED,
    FAULT_LAST_STAGE_KEPT,
    FAULT_NO_PROXY_FENCE,
    FAULT_NO_WGMMA_FENCE,
    FAULT_SUMS_UNAWAITED,
    FAULT_NO_SHRINK,
    /* barriers of its other kernels */
    FAULT_COUNT_NO_BARRIER,
    FAULT_COUNT_NOT_CLEARED,
    FAULT_PLACE_NO_WARP_BARRIER,
    FAULT_ROUTER_STAGE_REUSED,
    FAULT_ROUTER_SUMS_NO_BARRIER,
    FAULT_PLACE_EARLY,
    /* tiles, and how operands lie */
    FAULT_SUMS_NOT_CLEARED,
    FAULT_K_STEP_TWICE,
    FAULT_COLUMN_DISTANCE,
    FAULT_WIDE_COLUMNS,
    FAULT_NO_SWIZZLE,
    FAULT_MAP_UNSWIZZLED,
    FAULT_BOX_AXES,
    FAULT_PAIRED_BOX,
    FAULT_LAST_TILE,
    FAULT_TILE_SKIPPED,
    FAULT_LAST_COLUMN_TILE,
    FAULT_SECOND_TILE_EXPERT,
    FAULT_WARPGROUPS_SHARE,
    FAULT_PASS_UNAWAITED,
    FAULT_TALL_BLOCK,
    FAULT_ACROSS_SECOND,
    FAULT_ACROSS_COLUMNS,
    FAULT_ACROSS_NOT_TURNED,
    FAULT_ACROSS_CUT,
    FAULT_LAST_GROUP,
    FAULT_BOX_REUSED,
    FAULT_BOX_NO_FENCE,
    FAULT_BOX_NOT_MET,
    FAULT_BOX_UNAWAITED,
    FAULT_BOX_OTHER_ROWS,
    FAULT_BOX_LAST_ROW,
    FAULT_BOX_UNSWIZZLED,
    FAULT_UNITS_NOT_SWAPPED,
    /* stages of z, which an epilogue reads */
    FAULT_Z_UNAWAITED,
    FAULT_Z_RELEASED_UNREAD,
    FAULT_Z_NO_PROXY_FENCE,
    FAULT_Z_BYTES_SHORT,
    FAULT_Z_OF_FIRST_UNITS,
    FAULT_Z_NOT_PASSED,
    /* bounds and tails */
    FAULT_GATHER_LAST,
    FAULT_GATHER_BEYOND,
    FAULT_K_TAIL_READ,
    FAULT_ROUTER_LAST_EXPERTS,
    FAULT_MAP_TOO_TALL,
    FAULT_ROWS_UNMASKED,
    FAULT_COLUMNS_UNMASKED,
    FAULT_TURNED_UNMASKED,
    FAULT_ROWS_ROUNDED_DOWN,
    FAULT_WGRAD_NEXT_ROW,
    FAULT_WGRAD_BOX,
    FAULT_WGRAD_TAIL,
    FAULT_WGRAD_PLACES_KEPT,
    FAULT_PARTS_OF_WIDEST,
    FAULT_PAD_NOT_ZERO,
    FAULT_UNPAD_UNMASKED,
    /* routing */
    FAULT_PICK_TWICE,
    FAULT_TOKENS_MIXED,
    FAULT_TOKENS_BEYOND,
    FAULT_CHUNK_TWICE,
    FAULT_PART_OF_ONE_STEP,
    FAULT_TOKEN_OF_ROW,
    FAULT_LAST_SLOT,
    /* formulas and sums */
    FAULT_BIAS_OF_FIRST,
    FAULT_UP_ON_GATE,
    FAULT_DS_SCORED,
    FAULT_DS_OF_TWO_LANES,
    FAULT_DS_ONE_PART,
    FAULT_DS_LAST_PART,
    FAULT_DS_BIAS_OF_LAST,
    FAULT_SUM_OF_SEVEN,
    FAULT_SUM_BY_TIME,
    FAULT_SHARED_NOT_AGAIN,
    FAULT_NO_SHARED_DX,
};

#ifdef MOE_FAULTS
#ifdef __CUDACC__
static __device__ int planted_fault; /* written by a kernel of faults/ */
#define MOE_FAULT_FUNCTION static __device__ inline
#else
extern int planted_fault;
#define MOE_FAULT_FUNCTION static inline
#endif
MOE_FAULT_FUNCTION int planted(enum gpu_fault fault)
{
    return planted_fault == (int)fault;
}
#undef MOE_FAULT_FUNCTION
#else
/* No function: the compiler would fold it late, and order what is around it otherwise. */
#define planted(fault) 0
#endif

#endif
