/*
 * moe.h - the definition of a Mixture-of-Experts layer, its cases and its numbers.
 *
 * One letter a dimension, here and everywhere:
 *   T tokens, H hidden, I intermediate units of an expert, E experts, K experts per token,
 *   N routed rows (picks that are not dropped), P entries (picks, dropped ones included),
 *   Z rows of an expert's w1: 2I where the activation is gated, I where it is plain,
 *   S hidden units of the shared expert, U rows of ws1: 2S gated, S plain.
 *
 * The layer, forward (weight=after-w2; the other placements stand in forward.c and backward.c):
 *   L = X Wr^T + br;  scores s and picks from the router;  for expert e and row r of it (token t):
 *   Z_r = X_t W1_e^T + b1_e;  A_r = act(Z_r);  Y_r = A_r W2_e^T + b2_e;  O_t = sum of s_r Y_r.
 *
 * Conventions of every function here:
 *   - it returns enum moe_status unless it says otherwise, and never exits, aborts or prints;
 *   - outputs are the last arguments and are written on success only;
 *   - the first to notice an error records one line that moe_error_text() gives back (per thread).
 */
#ifndef MOE_H
#define MOE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status.c ------------------------------------------------------------------------------- */

enum moe_status {
    MOE_OK = 0,
    MOE_E_USAGE = -1, /* the caller's input is not allowed: a case, an option, a file's content */
    MOE_E_NOMEM = -2, /* memory could not be had */
    MOE_E_IO = -3,    /* the operating system refused: open, read, write, rename */
    MOE_E_UNSUPPORTED = -4, /* allowed, but not by this variant or build */
    MOE_E_INTERNAL = -5,    /* our own invariant does not hold */
};

/* Records the error's line (printf format, no newline; what is not printable ASCII is kept as \xNN)
 * and returns `status`, so that a caller can write `return moe_error(MOE_E_USAGE, "...", ...)`. */
int moe_error(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The line recorded last by this thread; "" when there is none. Valid until the next error. */
const char *moe_error_text(void);

/* ---- dtype.c: number formats ---------------------------------------------------------------- */

enum moe_dtype {
    MOE_BF16,
    MOE_F16,
    MOE_F32,
    MOE_F64,
    MOE_E4M3, /* OCP "fn": no infinity, 448 the largest */
    MOE_E5M2,
    MOE_E2M1,  /* two a byte, the lower index in the lower half */
    MOE_UE8M0, /* 2^(code-127), code 255 is NaN; it and e2m1, which has no NaN, always saturate */
    MOE_I32,
    MOE_I64,
    MOE_U8,
    MOE_DTYPE_COUNT
};

struct moe_dtype_info {
    const char *name;        /* as the case line writes it */
    const char *safetensors; /* as a safetensors header writes it */
    int bits;                /* of one element: 4, 8, 16, 32, 64 */
    int is_float;
    int exponent_bits;
    int fraction_bits; /* stored ones, the hidden bit not counted */
    int bias;
    int has_infinity; /* 0: what overflows becomes NaN, or the largest where saturating */
    double largest;   /* largest finite value */
    double smallest_normal;
    double smallest;      /* smallest positive value, subnormal where there are any */
    double unit_roundoff; /* 2^-(fraction_bits+1): relative error of one rounding */
};

/* The row of a type; NULL when `dtype` is none. */
const struct moe_dtype_info *moe_dtype_info(enum moe_dtype dtype);

/* The type of that name (the case line's), or -1. */
int moe_dtype_from_name(const char *name);

/* The value of element `index` of a dense array. Integer types convert. */
double moe_dtype_load(enum moe_dtype dtype, const void *array, int64_t index);

/* Stores `value` rounded to nearest, ties to even. Beyond the largest: infinity, or NaN where the
 * type has none; the largest finite value instead where `saturate`. Integer types truncate towards
 * zero and saturate. */
void moe_dtype_store(enum moe_dtype dtype, void *array, int64_t index, double value, int saturate);

/* `value` rounded to the type and back; saturate as above. */
double moe_dtype_round(enum moe_dtype dtype, double value, int saturate);

/* Bulk forms of load and store for `count` dense elements from element `first`; fast for bf16, f16,
 * f32 and f64. */
void moe_dtype_load_many(enum moe_dtype dtype, const void *array, int64_t first, int64_t count,
                         double *values);
void moe_dtype_store_many(enum moe_dtype dtype, void *array, int64_t first, int64_t count,
                          const double *values);

/* ---- act.c: activations --------------------------------------------------------------------- */

enum moe_act {
    MOE_SWIGLU,
    MOE_GEGLU,
    MOE_GEGLU_TANH,
    MOE_REGLU,
    MOE_SWIGLU_OAI,
    MOE_SWIGLU_CLAMP,
    MOE_SILU,
    MOE_GELU,
    MOE_GELU_TANH,
    MOE_RELU,
    MOE_RELU2,
    MOE_ACT_COUNT
};

/*
 * A gated activation is A = gate(g) * up(u); a plain one is A = gate(z). `c` is the case's clamp
 * (act=swiglu-clamp:c), ignored by the others. The last four columns serve the error bound
 * (doc/bounds.md): away from `kink`s the first derivative of gate is at most `lipschitz` in size
 * and the second at most `curvature`; at a kink the derivative jumps by at most `jump`.
 */
struct moe_act_info {
    const char *name;
    int gated;
    int has_clamp; /* takes ":c" in the case line */
    double (*gate)(double x, double c);
    double (*gate_slope)(double x, double c);
    double (*up)(double u, double c);       /* NULL where plain */
    double (*up_slope)(double u, double c); /* NULL where plain */
    double lipschitz;
    double curvature;
    int kinks;                   /* 0 or 1; at kink_at(c) */
    double (*kink_at)(double c); /* of gate; NULL where kinks is 0 */
    double jump;
    double (*up_limit)(double c); /* |u| at which up stops growing; NULL where it never does */
};

const struct moe_act_info *moe_act_info(enum moe_act act);

/* ---- problem.c: the case line --------------------------------------------------------------- */

enum moe_w1_layout { MOE_W1_INTERLEAVED, MOE_W1_INTERLEAVED8, MOE_W1_HALVES, MOE_W1_COUNT };
enum moe_router {
    MOE_TOPK_SOFTMAX,
    MOE_SOFTMAX_TOPK,
    MOE_SIGMOID,
    MOE_SQRT_SOFTPLUS,
    MOE_LISTS,
    MOE_ROUTER_COUNT
};
enum moe_round_mode {
    MOE_ROUND_NONE,
    MOE_ROUND_NEAREST,
    MOE_ROUND_UP,
    MOE_ROUND_DOWN,
    MOE_ROUND_STOCHASTIC,
    MOE_ROUND_BALANCED,
    MOE_ROUND_COUNT
};
enum moe_weight { MOE_WEIGHT_AFTER_W2, MOE_WEIGHT_BEFORE_W2, MOE_WEIGHT_INPUT, MOE_WEIGHT_COUNT };
enum moe_grad { MOE_GRAD_SAME, MOE_GRAD_F32, MOE_GRAD_COUNT };

/* How picks are drawn. With a computed router x is pushed towards the rows of wr that the family
 * wants, so the routing that results is only biased that way; with router=lists it is exact. */
enum moe_routing_family {
    MOE_ROUTING_UNIFORM,
    MOE_ROUTING_ZIPF,    /* zipf:a, weight of the j-th expert (j+1)^-a */
    MOE_ROUTING_HOT,     /* one expert, chosen by the seed, is picked by every token */
    MOE_ROUTING_SAME,    /* every token picks the same K experts, chosen by the seed */
    MOE_ROUTING_FIRST,   /* every token picks experts 0 .. K-1 */
    MOE_ROUTING_LAST,    /* every token picks experts E-K .. E-1 */
    MOE_ROUTING_SPARSE,  /* only tokens whose index is a multiple of 8 vary; others pick as token 0
                          */
    MOE_ROUTING_TIES,    /* computed routers: rows 2j and 2j+1 of wr (and br) are equal */
    MOE_ROUTING_DROPPED, /* lists: dropped:p, a pick is -1 with probability p */
    MOE_ROUTING_RAGGED,  /* lists: token t has 0 .. K picks, with offsets */
    /* uniform among some experts, while others have no row: */
    MOE_ROUTING_FIRST_EMPTY, /* all but expert 0 */
    MOE_ROUTING_LAST_EMPTY,  /* all but expert E-1 */
    MOE_ROUTING_ODD_EMPTY,   /* 0, 2, 4 ... */
    MOE_ROUTING_TAIL_EMPTY,  /* the lower half, the middle one included */
    MOE_ROUTING_SORTED,      /* lists: uniform, the picks of a token in ascending order */
    MOE_ROUTING_EDGES,       /* rows per expert at the edges of tiles */
    MOE_ROUTING_COUNT
};

/* How values are drawn; all by integer operations and IEEE + - x. */
enum moe_data_family {
    MOE_DATA_NORMAL,   /* sums of uniforms; weights scaled by 2^-round(log2(fan-in)/2) */
    MOE_DATA_HEAVY,    /* as normal, times 2^j, P(j) = 2^-(2j+1) or so: heavy tails */
    MOE_DATA_POSITIVE, /* absolute values: nothing cancels */
    MOE_DATA_CONSTANT, /* every element of a tensor alike */
    MOE_DATA_TINY,   /* normal, x and do scaled down to the edge of the subnormals, or to a root */
    MOE_DATA_SPARSE, /* normal, three of four elements of x and do zero */
    MOE_DATA_ZERO,   /* x and do all zero */
    /* On a grid, so that every legal kernel gives the same bits (ref/exact.c): */
    MOE_DATA_EXACT0, /* nothing is rounded anywhere */
    MOE_DATA_EXACT1, /* scores k/2048: outputs are rounded once, in the end */
    MOE_DATA_EXACT2, /* partial sums cancel, and need more bits than an output has */
    MOE_DATA_LARGE,  /* normal, scaled so that intermediates and outputs overflow here and there */
    MOE_DATA_COUNT
};

/* A case. Field by field what the line says; see design of the keys in doc/manual.md. */
struct moe_problem {
    int64_t T, H, I, E, K;
    enum moe_dtype dtype; /* of x wr w1 b1 w2 b2 ws* do z o dx and the parameter gradients */
    enum moe_grad grad;   /* MOE_GRAD_F32: parameter gradients are f32 */
    enum moe_act act;
    double act_clamp; /* c of swiglu-clamp:c */
    enum moe_w1_layout w1;
    enum moe_router router;
    int renorm;                  /* 1: picked scores are divided by their sum */
    double scale;                /* then multiplied by this */
    int64_t groups, groups_kept; /* 0,0: none */
    int bias, router_bias, sel_bias;
    enum moe_round_mode round;
    int64_t round_to;
    enum moe_weight weight;
    int64_t shared; /* S */
    int shared_gate;
    double aux, zloss;
    int beta; /* 1: parameter gradients are added to what the buffers hold */
    enum moe_routing_family routing;
    double routing_arg; /* a of zipf:a, p of dropped:p */
    enum moe_data_family data;
    uint64_t seed;
};

/* The case that the empty line means. */
struct moe_problem moe_problem_default(void);

/* Reads a case line: key=value words, in any order, each key once; model=NAME sets several keys,
 * which later words override wherever model stands. MOE_E_USAGE: the text names the key and what is
 * allowed. The result is validated. */
int moe_problem_parse(const char *line, struct moe_problem *problem);

/* Applies one more "key=value" (or "model=NAME") without validating; for the generator. */
int moe_problem_set(struct moe_problem *problem, const char *key, const char *value);

/* Is the case one that has a meaning? MOE_E_USAGE names the key and what is allowed. */
int moe_problem_validate(const struct moe_problem *problem);

/* Writes the canonical line: T H I E K dtype always, then what differs from the default, then seed;
 * parse(print(p)) equals p. Returns the length that it has, as snprintf does. */
int moe_problem_print(const struct moe_problem *problem, char *text, size_t size);

/* One key of the grammar, for help texts, documentation and the generator. */
struct moe_problem_key {
    const char *name;
    const char *allowed; /* as an error message says it */
    const char *preset;  /* default, as text */
    const char *help;    /* one line */
};

/* Row `index` of the keys' table, in the order in which a line is printed; NULL past the end. */
const struct moe_problem_key *moe_problem_key(int index);

/* ---- models.c: presets ---------------------------------------------------------------------- */

struct moe_model {
    const char *name;  /* as in model=NAME */
    const char *title; /* as people write it */
    const char *keys;  /* the words that it stands for */
};

const struct moe_model *moe_model(int index); /* NULL past the end */

/* ---- tensor.c ------------------------------------------------------------------------------- */

/* Strides are in elements; a sub-byte type is dense. Rank 1 to 3. */
struct moe_tensor {
    void *data;
    enum moe_dtype dtype;
    int32_t rank;
    int64_t shape[3];
    int64_t stride[3];
};

/* Every tensor of the ABI. What a case does not use has data == NULL. */
enum moe_tensor_id {
    MOE_X,        /* [T,H] */
    MOE_WR,       /* [E,H] */
    MOE_BR,       /* [E] */
    MOE_SEL_BIAS, /* [E] */
    MOE_W1,       /* [E,Z,H] */
    MOE_B1,       /* [E,Z] */
    MOE_W2,       /* [E,H,I] */
    MOE_B2,       /* [E,H] */
    MOE_WS1,      /* [U,H] */
    MOE_WS2,      /* [H,S] */
    MOE_WSG,      /* [H] */
    MOE_DO,       /* [T,H] */
    MOE_OFFSETS,  /* [T+1] int64, ragged entries only */
    MOE_PICKS,    /* [T,K] int32, or [P] */
    MOE_SCORES,   /* [T,K], or [P] */
    MOE_O,        /* [T,H] */
    MOE_LOGITS,   /* [T,E] */
    MOE_Z,        /* [N,Z] after b1; by expert, then token; columns as the rows of w1 */
    MOE_DX,       /* [T,H] */
    MOE_DS,       /* as scores */
    MOE_DLOGITS,  /* [T,E] */
    MOE_DWR,
    MOE_DBR,
    MOE_DW1,
    MOE_DB1,
    MOE_DW2,
    MOE_DB2,
    MOE_DWS1,
    MOE_DWS2,
    MOE_DWSG,
    MOE_TENSOR_COUNT
};

enum moe_role {
    MOE_INPUT,   /* read only, in both passes */
    MOE_ROUTING, /* an input with router=lists, an output of forward otherwise */
    MOE_FORWARD_OUTPUT,
    MOE_BACKWARD_OUTPUT,
    MOE_PARAMETER_GRADIENT, /* output of backward; added to where beta=1 */
};

struct moe_tensor_info {
    const char *name; /* "x", "dw1", ... also the name in files */
    enum moe_role role;
    const char *shape; /* one letter a dimension, as at the top; F is T+1, P the entries */
};

const struct moe_tensor_info *moe_tensor_info(enum moe_tensor_id id);

/* Does the case use the tensor, in any pass? */
int moe_tensor_exists(const struct moe_problem *problem, enum moe_tensor_id id);

/* Entries are ragged, with offsets: router=lists routing=ragged, or round != none. */
int moe_problem_ragged(const struct moe_problem *problem);

/* The most entries (P) and rows (N) that any routing of the case can have: T*K; where rounded
 * min(T*E, T*K + E*(round_to-1)). MOE_E_USAGE where it exceeds 2^62. */
int64_t moe_problem_max_entries(const struct moe_problem *problem);

int64_t moe_problem_z_rows(const struct moe_problem *problem);      /* Z */
int64_t moe_problem_shared_rows(const struct moe_problem *problem); /* U */

/* Shape, dense strides and dtype of a tensor, data NULL. N and P are the largest possible.
 * MOE_E_USAGE where its size in bytes does not fit 2^62. */
int moe_tensor_describe(const struct moe_problem *problem, enum moe_tensor_id id,
                        struct moe_tensor *tensor);

int64_t moe_tensor_count(const struct moe_tensor *tensor); /* elements */
int64_t moe_tensor_bytes(const struct moe_tensor *tensor); /* of the dense form */

/* Position in elements of the row-major index `index` under the strides. */
int64_t moe_tensor_position(const struct moe_tensor *tensor, int64_t index);

/* ---- draw.c: values from (seed, tensor, index) ---------------------------------------------- */

/* Fills a dense or strided tensor of the case (an input, a parameter gradient as beta=1 finds it,
 * or PICKS SCORES OFFSETS where lists; any other, and another shape: MOE_E_USAGE) with the case's
 * values. The same line means the same bytes everywhere. Ragged PICKS and SCORES may be as short as
 * the routing is; what is longer ends in picks of -1. */
int moe_draw_tensor(const struct moe_problem *problem, enum moe_tensor_id id,
                    const struct moe_tensor *tensor);

/* A 32-bit word of the stream (seed, purpose, index); Philox4x32-10. Purposes below 512 are those
 * of the case's tensors. */
uint32_t moe_draw_word(uint64_t seed, uint32_t purpose, uint64_t index);

/* ---- route.c, round.c, routing.c: from logits or lists to rows ------------------------------ */

/*
 * Entries are the picks in the order of the tensor: token t has entries token_begin[t] up to
 * token_begin[t+1]. Rows are the entries that are not dropped, by expert, then by token: expert e
 * has rows expert_begin[e] up to expert_begin[e+1].
 */
struct moe_routing {
    int64_t T, E, P, N;
    int64_t *token_begin;  /* [T+1] */
    int32_t *pick;         /* [P] expert, or -1: dropped */
    double *score;         /* [P] final score, after renorm and scale */
    int64_t *expert_begin; /* [E+1] */
    int64_t *row_token;    /* [N] */
    int64_t *row_entry;    /* [N] */
    int64_t *entry_row;    /* [P] row, or -1 */
};

/* Metadata from lists. offsets [T+1] NULL: [T,K] lists with the same K for all. A pick of -1 is
 * dropped. MOE_E_USAGE: offsets that do not start at 0 or fall, an id out of range, an id twice in
 * one token. The arrays are copied. Free with moe_routing_free. */
int moe_routing_from_lists(int64_t T, int64_t E, int64_t K, const int64_t *offsets,
                           const int32_t *picks, const double *scores, struct moe_routing *routing);
void moe_routing_free(struct moe_routing *routing);

/* The same from the tensors MOE_PICKS, MOE_SCORES (without data: scores are 0) and MOE_OFFSETS of
 * a case, whoever wrote them; with a computed router -1 is not allowed. */
int moe_routing_from_tensors(const struct moe_problem *problem, const struct moe_tensor *tensors,
                             struct moe_routing *routing);

/* Picks and scores of the case's router from logits [T,E] (row-major) and sel_bias [E] (or NULL),
 * token rounding included. */
int moe_routing_from_logits(const struct moe_problem *problem, const double *logits,
                            const double *sel_bias, struct moe_routing *routing);

/* The number of tokens that token rounding gives expert e, which `count` tokens picked; round is
 * not none. Experts go in order of id: *drift, 0 at first, carries the sum of changes from one to
 * the next. */
int64_t moe_round_target(const struct moe_problem *problem, int64_t e, int64_t count,
                         int64_t *drift);

/* Scores for picks that somebody else made: fills routing->score from logits [T,E]. */
int moe_routing_score(const struct moe_problem *problem, const double *logits,
                      struct moe_routing *routing);

/* dL [T,E] += the router's gradient, given ds [P]. MOE_E_NOMEM. */
int moe_routing_backward(const struct moe_problem *problem, const struct moe_routing *routing,
                         const double *logits, const double *ds, double *dlogits);

/* Losses of the case (0 where the coefficient is 0): loss[0] the Switch loss aux * E sum p^ f^ with
 * p^ the mean over tokens of the softmax over all E and f^ the experts' shares of the N rows;
 * loss[1] = zloss * mean over tokens of logsumexp(L_t)^2. dL [T,E] += their gradients where
 * dlogits is not NULL (f^ is constant). MOE_E_NOMEM. */
int moe_routing_losses(const struct moe_problem *problem, const struct moe_routing *routing,
                       const double *logits, double loss[2], double *dlogits);

/* ---- reference.c: the layer itself ---------------------------------------------------------- */

enum moe_pass { MOE_PASS_FORWARD = 1, MOE_PASS_BACKWARD = 2 };

/*
 * A finished block of an output: `rows` x `cols` values from (row, col) of the tensor seen as a
 * matrix of its last dimension (rank 1: one row), `stride` elements from row to row. bound[i] is
 * how far a correct kernel of the recipe may be from value[i], as if exponents had no end: infinity
 * stands for every number from 2^(largest exponent + 1) on. INFINITY: something on the way may
 * overflow, and the result may be anything, NaN too. NULL where no recipe was given.
 * variance[i] is the variance of that distance on generic data (doc/statistics.md); NULL where
 * nobody asked for it.
 * MOE_PICKS and MOE_OFFSETS come as values too. With ragged entries scores and ds are one row of P;
 * z has the routing's N rows. Parameter gradients do not contain what beta=1 adds; the receiver
 * adds it.
 */
struct moe_block {
    enum moe_tensor_id tensor;
    int64_t row, rows, col, cols, stride;
    const double *value;
    const double *bound, *variance;
    /* Relative error that beta=1 allows of the old value: a kernel may start its sum from it, so
     * that every step of the sum rounds it too. 0 where no recipe was given. */
    double old_error;
    double old_loss; /* what underflow of a sum with the old value may lose */
    int saturates;   /* the largest number takes the place of infinity */
};

/* Takes a block; anything but MOE_OK ends the run with that status. Called from one thread. */
typedef int moe_block_taker(void *context, const struct moe_block *block);

struct moe_recipe; /* recipe.h */

struct moe_reference {
    const struct moe_problem *problem;
    /* [MOE_TENSOR_COUNT]: the inputs; for a backward pass alone MOE_Z, MOE_PICKS, MOE_SCORES too,
     * and MOE_OFFSETS and MOE_LOGITS where the case has them. Of the outputs only the dtype is
     * read. */
    const struct moe_tensor *tensors;
    /* NULL: from lists or logits. Else taken as it is; with a computed router its scores are
     * computed anew. */
    const struct moe_routing *routing;
    unsigned passes;                 /* MOE_PASS_FORWARD | MOE_PASS_BACKWARD */
    enum moe_dtype precision;        /* MOE_F64, or MOE_F32: products by sgemm, the rest rounded */
    const struct moe_recipe *recipe; /* NULL: no bounds. Bounds need the forward pass */
    int variances;                   /* 1: variances too; needs a recipe */
    moe_block_taker *take;
    void *context;
};

/*
 * Computes the layer and hands out its outputs block by block, expert by expert, so that no output
 * is ever held whole in f64. Products run on OpenBLAS, one thread a slice; OMP_NUM_THREADS rules.
 * MOE_E_NOMEM before anything is handed out; what `take` returns; MOE_E_USAGE for lists that are
 * not allowed.
 */
int moe_reference_run(const struct moe_reference *reference);

/* The logits [T,E] alone, as the reference computes them, and their bounds under the recipe (both
 * dense, the caller's), after the rounding that the recipe allows. For judging somebody's picks. */
int moe_reference_logits(const struct moe_problem *problem, const struct moe_tensor *tensors,
                         const struct moe_recipe *recipe, double *logits, double *bounds);

/* Compares OpenBLAS with plain loops on `rounds` random small products of every form that the
 * reference uses, in f64 and f32. MOE_E_INTERNAL names the first that differs and the core. */
int moe_reference_selftest(int rounds);

/* The library under us, for reports: "OpenBLAS 0.3.21 Zen pthreads". */
const char *moe_reference_blas(void);

#ifdef __cplusplus
}
#endif
#endif
