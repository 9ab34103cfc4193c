/*
 * model.h - inside the models: the layer as GPU kernels compute it, on the CPU, in which faults can
 * be planted.
 *
 * A model goes through the steps of a real implementation: router, histogram and scan, a persistent
 * loop over (expert, tile of rows) that gathers rows into staging memory, products tile by tile, a
 * store with masks, a combination of slots. Nothing is shared with ref/ but types, formats and
 * activations. Which sums, roundings and orders it uses is a row of the table of algorithms.
 *
 * fault(m, STEP) ? wrong : right    is how a fault of one step reads; families of faults act inside
 * sum (model_sum.c), load and put (model_store.c).
 */
#ifndef MOE_MODEL_H
#define MOE_MODEL_H

#include "verify/fault.h"
#include "verify/variant.h"

enum model_order {
    ORDER_FORWARD,
    ORDER_BLOCKED,    /* 16 at a time, block sums added */
    ORDER_PAIRWISE,   /* halves */
    ORDER_SPLIT,      /* parts of k with partial sums in memory */
    ORDER_TRUNCATING, /* a tensor core: 16 exact products, every term truncated */
};

struct model_algorithm {
    enum model_order order;
    int from_rounded_z; /* A is formed from Z as stored, not from the sum */
    int keep_a;         /* A stays for the backward pass, else it is computed anew from Z */
    int round_a, round_sa, round_y, round_da, round_dz, round_dxe,
        round_sx;  /* to the case's type */
    int fold;      /* s goes into the epilogue instead of into the operand */
    int atomic;    /* rows are added to O and dX in an order of the seed, else slot by slot */
    int ds_from_y; /* ds = <dO, Y>, else <dA', A> */
    int tile;      /* rows of a tile, in the default configuration */
};

/* Kinds of MOE_FAULT_IN_PRODUCT. */
enum model_product_fault {
    PRODUCT_LAST_MISSING, /* `level` of them */
    PRODUCT_FIRST_MISSING,
    PRODUCT_ONE_MORE,
    PRODUCT_SLAB_SKIPPED,
    PRODUCT_TAIL_DROPPED,
    PRODUCT_ONE_TWICE,
    PRODUCT_SHIFTED,
    PRODUCT_ACC_BF16,
    PRODUCT_ACC_TF32,
    PRODUCT_ACC_STALE,
    PRODUCT_ACC_TIMES_0,
    PRODUCT_STAGE_REUSED,
    PRODUCT_LAST_BLOCK_EARLY,
    PRODUCT_STAGES_UNCLAMPED,
    PRODUCT_PART_LOST,
    PRODUCT_FIRST_32,
};

/* Kinds of MOE_FAULT_IN_STORE. */
enum model_store_fault {
    STORE_LAST_ROW_MISSING,
    STORE_LAST_COLUMN_MISSING,
    STORE_TILE_MISSING,
    STORE_EMPTY_MISSING,
    STORE_ALL_TO_ROW_0,
    STORE_ROW_PAST_END,
    STORE_BEFORE_START,
    STORE_NEXT_ROW,
    STORE_TRUNCATES,
    STORE_TIES_AWAY,
    STORE_VIA_BF16,
    STORE_GAIN, /* 1 + 2^-level */
    STORE_ONE_NAN,
    STORE_SATURATES,
    STORE_FLUSHES,
    STORE_DROPS_NAN,
    STORE_CLAMPS,
    STORE_INFINITE_EARLY,
    STORE_NAN_FOR_INFINITY,
    STORE_ADDS,
    STORE_OVERWRITES,
    STORE_AREA, /* `level` elements are noise */
    STORE_16_BIT,
    STORE_ROWS_SWAPPED,
    STORE_ROWS_REPEATED,
    STORE_EPSILON, /* 2^-level is added */
    STORE_UPWARD,  /* rounded towards plus infinity */
    STORE_ADDS_TWICE,
    STORE_EMPTY_ZEROED,
};

/* Kinds of MOE_FAULT_IN_LOAD. */
enum model_load_fault {
    LOAD_16_BIT,
    LOAD_NEXT_ROW,
    LOAD_STALE, /* what the first launch read */
    LOAD_NAN_AS_0,
    LOAD_FLUSHES,
    LOAD_CHANGES, /* writes to what it reads */
};

/* Kinds of MOE_FAULT_IN_STEP; what each does is told in the table of faults. */
enum model_step_fault {
    OFFSETS_IGNORED,
    TOKEN_DIV_TOPK,
    EXPERT_ID_8_BIT,
    DROPPED_IS_EXPERT_0,
    LAST_EXPERT_IS_NONE,
    HISTOGRAM_NOT_ZEROED,
    HISTOGRAM_SKIPS_FIRST,
    HISTOGRAM_LOSES_ONE,
    SCAN_READ_EARLY,
    SCAN_INCLUSIVE,
    BASE_AFTER_UPDATE,
    SCATTER_REVERSED,
    TOKEN_FROM_SLOT,
    LAST_EXPERT_SKIPPED,
    FIRST_EXPERT_SKIPPED,
    SMALL_EXPERT_SKIPPED,
    EXPERT_AFTER_EMPTY_SKIPPED,
    ODD_TAIL_EXPERT_SKIPPED,
    SECOND_TILE_SKIPPED,
    TAIL_TILE_DROPPED,
    TILE_TAKES_NEXT_EXPERT,
    TILE_ONE_SHORT,
    TILES_STOP_AT_8,
    HALVES_SWAPPED,
    LAYOUT_IGNORED,
    ORDER_VARIES,
    ROUTER_BIAS_MISSING,
    LOGITS_BF16,
    SIGMOID_UNSTABLE,
    SOFTPLUS_OVERFLOWS,
    NAN_RANKS_FIRST,
    TIE_TO_LARGER_ID,
    ZERO_BEATS_NEGATIVE,
    GROUP_BY_BEST,
    ONE_GROUP_MORE,
    EXPERTS_FROM_8_LEFT_OUT,
    SEL_BIAS_MISSING,
    PICKS_BF16,
    PICKS_BY_OTHER_LOGITS,
    GROUPS_IGNORED,
    NAN_PICKS_AGAIN,
    DUPLICATE_PICK,
    PICKS_ASCENDING,
    SOFTMAX_OVER_PICKED,
    SOFTMAX_OVER_ALL,
    SOFTMAX_WITHOUT_MAX,
    BIASED_SCORE,
    GATE_ERROR,
    GATES_BF16,
    RENORM_MISSING,
    RENORM_EPSILON,
    SCALE_MISSING,
    SCALE_ONLY_WITHOUT_RENORM,
    SCORES_SWAPPED,
    SCORE_OF_SLOT_0,
    SCORE_SQUARED,
    SCORE_MISSING,
    RENORM_GRADIENT_MISSING,
    SCALE_GRADIENT_MISSING,
    SOFTMAX_GRADIENT_DIAGONAL,
    SOFTMAX_GRADIENT_OVER_PICKED,
    DLOGITS_BF16,
    GATHER_BY_ROW,
    GATHER_LAST_ROW_STALE,
    GELU_FOR_SILU,
    SIGMOID_1_072,
    SILU_OVERFLOWS,
    CLAMP_MISSING,
    UP_WITHOUT_1,
    RELU_DROPS_NAN,
    A_BF16,
    A_FLUSHED,
    B1_MISSING,
    B1_OF_EXPERT_0,
    Z_BEFORE_BIAS,
    LOST_UPDATE,
    W2_OF_NEXT_EXPERT,
    B2_MISSING,
    B2_NOT_WEIGHTED,
    SCORE_TWICE,
    SUMS_NOT_ZEROED,
    LAST_SLOT_MISSING,
    DROPPED_SLOT_READ,
    LAST_SLOT_TWICE,
    COMBINE_BF16,
    ROUTER_PART_MISSING,
    SLOPE_OF_SIGMOID,
    SLOPE_WITHOUT_ALPHA,
    SLOPE_PAST_CLAMP,
    DU_WITHOUT_GATE,
    DG_WITHOUT_UP,
    UP_GRADIENT_MISSING,
    DZ_BF16,
    DS_WITHOUT_B2,
    DS_WEIGHTED,
    DW2_NOT_WEIGHTED,
    DZ_NOT_WEIGHTED,
    DB2_NOT_WEIGHTED,
    DW1_NOT_WEIGHTED,
    DW_OF_LAST_EXPERT_EMPTY,
    DW_TAKES_PADDING,
    DW_ONE_ROW_SHORT,
    WRITES_ZEROS,
    WRITES_NAN,
    WRITES_ONES,
    COPIES_INPUT,
    DOES_LATER,
    REPEATS_LAST_OUTPUT,
    CACHES_BY_ADDRESS,
    WORKS_ONCE,
    DOES_NOTHING,
    NO_BACKWARD,
    HANGS_FORWARD,
    HANGS_BACKWARD,
    HANGS_ON_EMPTY,
    HANGS_WITHOUT_TOKENS,
    CRASHES,
    ABORTS,
    EXITS,
    DIVIDES_BY_ZERO,
    OVERFLOWS_STACK,
    LEAVES_ROUNDING_UP,
    LEAVES_ROUNDING_DOWN,
    SUM_CARRIES,
    GRADIENT_CARRIES,
    WORKSPACE_PAST_END,
    WORKSPACE_BEFORE_START,
    KEPT_PAST_END,
    KEPT_BEFORE_START,
    KEPT_LOST,
    RETURNS_ERROR,
    STOPS_AFTER_3,
    MASK_TIMES_0_X,
    MASK_TIMES_0_DO,
    DW_PADDING_TIMES_0,
    UNPICKED_TIMES_0,
    ROW_WITH_NAN_LEFT_OUT,
    NAN_SCORE_IS_0,
    NAN_IS_NO_PICK,
    LAST_T_TAKEN,
    ROOM_NOT_CHECKED,
    DS_OF_ZERO_SCORE,
    EQUAL_TOKENS_ONCE,
    CAPACITY_40,
    FOURTH_SLOT_LOST,
    CACHES_BY_FIRST_ROW,
    CACHES_BY_SUM,
    BACKWARD_REPLAYS,
    OUTPUT_WITH_NEXT_CALL,
    KNOWS_POISON,
    SKIPS_EQUAL_INPUT,
    EIGHT_TOKENS_FOR_ALL,
    TOP_1_ONLY,
    BALANCED_ONLY,
    FIRST_EXPERT_FOR_LAST,
    EIGHT_BITS,
    SMALL_SCORES_SKIPPED,
    DW_ROWS_STOP_AT_64,
    LAST_ROW_HAS_SCORE_BEFORE,
    DROPPED_DS_UNWRITTEN,
    ROUTER_BY_4_TOKENS,
    PICKS_PAST_4_BY_ID,
    SOFTMAX_OF_32,
    LAST_ROUTER_BIAS_TWICE,
    DBR_WITHOUT_FIRST,
    DB1_SUM_BF16,
    GATE_APPROXIMATE,
    Z_CLAMPED,
    DZ_WEIGHTED_TWICE,
    HALVES_OF_TILE_SWAPPED,
    LEAVES_FLUSHING,
    EVERY_THIRD_LOSES_ROW,
    X_BY_OLD_ADDRESS,
    A_LEFT_IN_WORKSPACE,
    SOFTMAX_CLAMPED,
    SEL_BIAS_FOR_GROUPS_ONLY,
    SLOTS_BY_4,
    LAST_ROUTER_PART_MISSING,
    INPUT_AS_SCRATCH,
    NO_TOKENS_NO_WORK,
    FEW_TOKENS_LOSE_SLOT,
    Z_ROUNDED_BEFORE_BIAS,
};

/* One tile of rows of one expert, staged. */
struct tile {
    int64_t expert, first, count, number; /* number: of the tiles so far, 0 first */
    int64_t own; /* weight gradients: rows that are the expert's; others are masked */
};

/* Arrays that a launch has in its workspace; values as doubles that their type holds. */
struct model_space {
    int64_t *count, *cursor;   /* [E] */
    double *a, *sa;            /* [N,I] */
    double *dz;                /* [N,Z] */
    double *y;                 /* [P,H] of rows by entry, or the sums [T,H] of atomic algorithms */
    double *ds;                /* [P] */
    double *dlogits;           /* [T,E] */
    double *z;                 /* [tile,Z] */
    double *stage_x, *stage_w; /* staging: a tile's rows; the largest matrix of weights */
    double *column, *other;    /* a row or column of anything */
    double *partial;           /* split-K */
};

/* What backward needs of forward. */
struct model_kept {
    int64_t *offset;    /* [E+1] */
    int64_t *row_token; /* [N] */
    int64_t *row_entry; /* [N] */
    int64_t *entry_row; /* [P] */
    double *a;          /* [N,I], algorithms that keep A */
};

struct model {
    struct moe_problem problem;
    const struct model_algorithm *algorithm;
    const struct moe_act_info *act;
    struct moe_fault fault; /* place NOWHERE: none */
    enum model_order order; /* of the sum at hand */
    int tile;
    int wide; /* f64 arithmetic */
    int64_t P, N, Z;
    int launches;    /* of this state */
    double left;     /* what a fault left in an accumulator */
    void *forward_x; /* where a fault found x in the forward pass */
    const struct moe_call *call;
    struct model_space space;
    struct model_kept kept;
};

static inline int fault(const struct model *m, enum model_step_fault kind)
{
    return m->fault.place == MOE_FAULT_IN_STEP && m->fault.kind == (int)kind;
}

/* Is a fault of the place at this product or tensor? */
static inline int fault_in(const struct model *m, enum moe_fault_place place, int at)
{
    return m->fault.place == place && m->fault.at == at;
}

/* ---- model.c --------------------------------------------------------------------------------- */

int64_t model_workspace_bytes(const struct moe_problem *problem);
int64_t model_kept_bytes(const struct moe_problem *problem);

/* ---- fault.c --------------------------------------------------------------------------------- */

extern const struct moe_fault *model_planted; /* what models opened from now on act out, or NULL */
extern int model_planted_level;

/* ---- model_sum.c ----------------------------------------------------------------------------- */

/* A value as the arithmetic holds it: f32, or f64. */
double model_hold(const struct model *m, double value);
/* A value rounded to the case's type where `rounds`, else held. */
double model_round(const struct model *m, int rounds, double value);

/* sum of a[k step_a] b[k step_b], k < n, in the algorithm's order, on top of `start`. */
double model_sum(struct model *m, enum moe_product product, const struct tile *tile, int64_t n,
                 const double *a, int64_t step_a, const double *b, int64_t step_b, double start);

/* ---- model_store.c --------------------------------------------------------------------------- */

/* `count` elements from row-major `index` of a tensor. */
void model_load(struct model *m, enum moe_tensor_id id, int64_t index, int64_t count,
                double *values);
/* One element of a tensor seen as a matrix of its last dimension. Gradients are added to where
 * beta=1. */
void model_put(struct model *m, enum moe_tensor_id id, int64_t row, int64_t col, double value);

void model_forget_loads(void);

/* ---- model_route.c --------------------------------------------------------------------------- */

void model_logits(struct model *m);
void model_route(struct model *m);
void model_route_backward(struct model *m);
/* Score of an entry, as stored. */
double model_score(struct model *m, int64_t entry);

/* ---- model_rows.c ---------------------------------------------------------------------------- */

/* Histogram, scan, permutation. Entries and rows of the call. MOE_E_USAGE: an id out of range. */
int model_order_rows(struct model *m);
/* First entry of a token. */
int64_t model_token_begin(struct model *m, int64_t t);
int64_t model_pick(struct model *m, int64_t entry);
/* The next tile of a persistent loop; 0: no more. */
int model_next_tile(const struct model *m, struct tile *tile);
/* Column of the gate (half 0) or the value (half 1) of unit i among the Z rows of w1. */
int64_t model_column(const struct model *m, int64_t i, int half);

/* ---- model_forward.c, model_backward.c ------------------------------------------------------- */

void model_up(struct model *m);
void model_down(struct model *m);
void model_combine(struct model *m, const double *rows, enum moe_tensor_id out);
void model_act(const struct model *m, int64_t rows, const double *z, double *a);
void model_gather(struct model *m, enum moe_tensor_id id, const struct tile *tile, int64_t width,
                  double *rows);
double model_row_score(struct model *m, int64_t row);
/* Adds a row's value to what its slot, or its token, has of column h. */
void model_add_row(struct model *m, double *rows, int64_t row, int64_t h, double value);
/* Every tile, in the algorithm's order. */
void model_each_tile(struct model *m, void (*take)(struct model *m, const struct tile *tile));
void model_down_backward(struct model *m);
void model_weights_backward(struct model *m);
void model_up_backward(struct model *m);

/* ---- model_impostor.c ------------------------------------------------------------------------ */

int model_impostor(struct model *m, int backward, int64_t launches);
void model_impostor_after(struct model *m, int backward);
void model_impostor_forget(void);

/* ---- model_launch.c -------------------------------------------------------------------------- */

/* Faults of a launch as a whole: impostors, state between launches, the process. 1: the launch is
 * over, with *status. */
int model_launch_before(struct model *m, int backward, int *status);
void model_launch_after(struct model *m, int backward);
void model_forget(void); /* what was kept between launches */

#endif
