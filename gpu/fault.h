/*
 * fault.h - faults that can be planted in the variant `cublas` and its kernels, for the judge's
 * sake.
 *
 * A build has none: planted() is then the constant 0, and no instruction is left of it. Compiled
 * with -DMOE_FAULTS, for the plug-in moecheck-faults.so alone, one fault at a time is on. What each
 * stands for is in the table of faults/faults.c.
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
    FAULT_COUNT
};

#ifdef __CUDACC__
#define MOE_FAULT_FUNCTION static __device__ inline
#else
#define MOE_FAULT_FUNCTION static inline
#endif

#ifdef MOE_FAULTS
#ifdef __CUDACC__
static __device__ int planted_fault; /* written by the kernel plant_fault */
#else
extern int planted_fault;
#endif
MOE_FAULT_FUNCTION int planted(enum gpu_fault fault)
{
    return planted_fault == (int)fault;
}
#else
MOE_FAULT_FUNCTION int planted(enum gpu_fault fault)
{
    (void)fault;
    return 0;
}
#endif

#undef MOE_FAULT_FUNCTION

#endif
