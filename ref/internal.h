/*
 * internal.h - what the files of ref/ share and nobody else sees. Prototypes stand under the file
 * that holds them.
 */
#ifndef MOE_REF_INTERNAL_H
#define MOE_REF_INTERNAL_H

#include <math.h>

#include "ref/recipe.h"

/* An uncertain quantity: its value, how far a correct kernel's may be from it, and the variance of
 * that distance on generic data. Everywhere in ref/ bound is NULL where no recipe was given, and
 * every function then skips its bound half; so with variance where nobody asked for it. */
struct field {
    double *value;
    double *bound;
    double *variance;
};

/* The field from element `at` on. */
static inline struct field field_from(struct field field, int64_t at)
{
    return (struct field){field.value + at, field.bound ? field.bound + at : NULL,
                          field.variance ? field.variance + at : NULL};
}

/* An exactly known quantity and its absolute values (NULL without a recipe). */
struct known {
    double *value;
    double *magnitude;
};

/* One element of a field. */
struct near {
    double value, bound, variance;
};

/* Either of them, as a factor of a product; at most one factor of a product is uncertain. */
struct operand {
    const double *value, *bound, *variance, *magnitude;
};

static inline struct operand uncertain(struct field field)
{
    return (struct operand){field.value, field.bound, field.variance, NULL};
}

static inline struct operand exact(struct known known)
{
    return (struct operand){known.value, NULL, NULL, known.magnitude};
}

/* ---- bound.c: how arithmetic errs ------------------------------------------------------------ */

/* A recipe turned into numbers for one case; the reference's own f64 rounding is in every one. */
struct error_model {
    const struct moe_recipe *recipe;
    double relative[MOE_POINT_COUNT]; /* of the rounding at a point; 0 where it never happens */
    double absolute[MOE_POINT_COUNT]; /* what underflow there can lose */
    double limit[MOE_POINT_COUNT]; /* what rounds to infinity there; INFINITY where nothing does */
    double step;                   /* relative error of one elementwise operation */
    double loss;                   /* what an elementwise operation can lose by underflow */
    double flush;                  /* an operand may be off by so much; 0 without flush to zero */
    double largest;                /* from where on an elementwise operation may overflow */
    double function_relative;
    double function_absolute;
};

void error_model_init(struct error_model *model, const struct moe_recipe *recipe);

/* The bound of `value` after the rounding that may happen at `point`. Where that may overflow it is
 * infinite: what follows may be anything, NaN too. */
double error_at(const struct error_model *model, enum moe_point point, double value, double bound);

/* The bound of an output after it is stored as `dtype`, as if exponents had no end: whether the
 * result is infinite follows from where it may lie (struct moe_block). INFINITY: it may be
 * anything; NaN: `value` is. */
double error_stored(const struct error_model *model, enum moe_dtype dtype, double value,
                    double bound);

/* The bound of a stored value for those who compute with it: INFINITY where it may be infinite. */
double error_of_stored(const struct error_model *model, enum moe_dtype dtype, double value,
                       double bound);

/* The variance of `value` after the rounding that may happen at `point`. */
double variance_at(const struct error_model *model, enum moe_point point, double value,
                   double variance);

/* The variance of an output after it is stored as `dtype`. */
double variance_stored(const struct error_model *model, enum moe_dtype dtype, double value,
                       double variance);

/* Error constant of one product as a sum of n terms: |error| <= c sum |a||b| + n * loss. */
double error_constant(const struct error_model *model, enum moe_product product, int64_t n);

/* Either operand of an addition and its result may be flushed. */
#define FLUSHES 3

/* What underflow of a number of the type may lose. */
double error_lost(const struct error_model *model, enum moe_dtype dtype);

/* A sum of a product whose terms add up to less than this in size cannot overflow on its way. */
double error_limit(const struct error_model *model, enum moe_product product);

/* `bound`, or INFINITY where numbers up to `reach` may have overflowed at `limit`. A bound that is
 * not known stays so. */
static inline double error_beyond(double bound, double reach, double limit)
{
    return reach >= limit ? INFINITY : bound;
}

/* ---- product.c: products on OpenBLAS --------------------------------------------------------- */

enum form {
    FORM_NT, /* C[m,n] = A[m,k] B[n,k]^T */
    FORM_NN, /* C[m,n] = A[m,k] B[k,n] */
    FORM_TN, /* C[m,n] = A[k,m]^T B[k,n] */
};

/* C = A B, or C += A B; dense, row-major, contiguous. In MOE_F32 the operands and each result are
 * rounded to float (scratch_f32 holds m*k + k*n + m*n floats). */
void product_values(enum moe_dtype precision, enum form form, int64_t m, int64_t n, int64_t k,
                    const double *a, const double *b, double *c, int accumulate,
                    float *scratch_f32);

/* ---- activate.c: activations of rows, their slopes and their bounds ---------------------- */

/* Columns of gate and up of unit i among the 2*units columns of a layout. */
int64_t gate_column(enum moe_w1_layout layout, int64_t units, int64_t i);
int64_t up_column(enum moe_w1_layout layout, int64_t units, int64_t i);

/* A [rows,units] from Z [rows,2*units] or [rows,units]. */
void activate_rows(const struct moe_problem *problem, const struct error_model *model, int64_t rows,
                   int64_t units, struct field z, struct field a);

/* dZ from Z and G = s dA' [rows,units]; for weight=input G = dA'. */
void activate_rows_backward(const struct moe_problem *problem, const struct error_model *model,
                            int64_t rows, int64_t units, struct field z, struct field g,
                            struct field dz);

/* ---- routing.c ------------------------------------------------------------------------------- */

/* Memory for P entries and no rows yet; token_begin, pick and score are the caller's to fill before
 * routing_finish sorts the entries into rows. */
int routing_allocate(int64_t T, int64_t E, int64_t P, struct moe_routing *routing);
int routing_finish(struct moe_routing *routing);

/* ---- route.c: which experts -------------------------------------------------------------- */

/* Does (value a, id a) stand before (value b, id b)? Descending, NaN below -inf, -0 equal to +0,
 * the smaller id first. */
int ranks_before(double a, int64_t id_a, double b, int64_t id_b);

/* The value by which an expert is picked, and the value of a group, for one token's logits [E]. */
void selection_values(const struct moe_problem *problem, const double *logits,
                      const double *sel_bias, double *values);

/* Top K of one token: picks [K] in order of rank. `values` [E] as selection_values gives them;
 * scratch [E]. */
void select_top(const struct moe_problem *problem, const double *values, double *scratch,
                int32_t *picks);

/* ---- round.c: token rounding ------------------------------------------------------------- */

/* Entries of the rounded routing, from the softmax p [T,E] over all E and the top-k picks [T,K]. */
int round_tokens(const struct moe_problem *problem, const double *p, const int32_t *picks,
                 struct moe_routing *routing);

/* ---- score.c: scores, their gradients, the losses ---------------------------------------- */

/* p [E] = softmax(l [E]); returns logsumexp. NaN or +inf logits give NaN. */
double softmax_of(int64_t E, const double *l, double *p);

/* Scores of all entries and their bounds (score_bound [P]) from logits [T,E]. */
int score_entries(const struct moe_problem *problem, const struct error_model *model,
                  struct field logits, struct moe_routing *routing, double *score_bound);

/* Relative error of a softmax over n logits. */
double softmax_error(const struct error_model *model, const double *l, const double *l_bound,
                     int64_t n);

/* dL [T,E] += gradient through the scores, with bounds. ds [P]. */
int score_entries_backward(const struct moe_problem *problem, const struct error_model *model,
                           const struct moe_routing *routing, struct field logits, struct field ds,
                           struct field dlogits);

/* dL [T,E] += what the variances of ds [P] become on the same way. MOE_E_NOMEM. */
int score_variances_backward(const struct moe_problem *problem, const struct moe_routing *routing,
                             struct field logits, const double *ds, double *dlogits);

/* ---- loss.c ------------------------------------------------------------------------------ */

/* loss[2], and dL [T,E] += their gradients where dlogits.value is not NULL. */
int losses_apply(const struct moe_problem *problem, const struct error_model *model,
                 const struct moe_routing *routing, struct field logits, struct field dlogits,
                 double loss[2]);

/* ---- layer.c: what a run holds ----------------------------------------------------------- */

/* One expert, or the shared one, as both passes see it. */
struct expert {
    int64_t index;          /* of the routed expert; -1: the shared one */
    int64_t units, columns; /* I and Z, or S and U */
    int64_t first, count;   /* its rows; of the shared expert: tokens 0 .. T */
    enum moe_weight weight; /* where the score stands */
    int scored;             /* 0: the shared expert without a gate, its score is 1 */
    struct known w1;        /* [columns,H] */
    struct known w2;        /* [H,units] */
    int biased;
    int begun; /* dw1 and dw2 hold sums of earlier chunks; before that they are undefined */
    struct known b1, b2;   /* [columns], [H] */
    struct field dw1, dw2; /* as w1, w2 */
    struct field db1, db2; /* [columns], [H] */
};

/* Room for everything that a run allocates. */
#define LAYER_BUFFERS 128

struct layer {
    const struct moe_reference *call;
    const struct moe_problem *problem;
    const struct error_model *model; /* NULL: no bounds */
    const struct moe_routing *routing;
    struct error_model own_model;
    struct moe_routing own_routing;

    double *score_bound;          /* [P] */
    struct field logits, dlogits; /* [T,E] */
    struct field ds;              /* [P] */
    struct field o, dx;           /* [T,H] */
    struct field gate, dgate; /* [T] of the shared expert: its score, and the score's gradient */
    struct known wr, wsg;     /* [E,H], [H] */
    struct field dwr;         /* [E,H] */

    struct expert expert; /* the one at hand */

    /* Scratch for a chunk of rows. */
    int64_t chunk;
    struct field score;        /* [chunk] */
    struct known x, d_o;       /* [chunk,H] gathered */
    struct field sx;           /* [chunk,H], weight=input */
    struct field z, dz, sdz;   /* [chunk,columns]; s dZ for weight=input */
    struct field a, sa, da, g; /* [chunk,units] */
    struct field y, sy, dxe;   /* [chunk,H] */

    double *margin;     /* an operand of the bound's product */
    double *reach;      /* sum |a||b| of a product, for the variance of its result */
    double *square;     /* the known factor's squares, for the same */
    float *scratch_f32; /* MOE_F32 only */
    void *buffer[LAYER_BUFFERS];
    int buffer_count;
    int failed; /* a buffer could not be had */
};

static inline int layer_wants(const struct layer *layer, enum moe_pass pass)
{
    return (layer->call->passes & pass) != 0;
}

static inline int layer_routes(const struct layer *layer) /* the router is computed */
{
    return layer->problem->router != MOE_LISTS;
}

/* Allocates everything for the call; layer->routing is set. MOE_E_NOMEM. */
int layer_allocate(struct layer *layer);
void layer_free(struct layer *layer);

/* `count` doubles that layer_free frees, undefined or zero; NULL marks the layer as failed. */
double *layer_take(struct layer *layer, int64_t count);

/* A field of `count` values: with bounds and variances only where the layer has them. */
struct field layer_take_field(struct layer *layer, int64_t count);
struct known layer_take_known(struct layer *layer, int64_t count);

/* Gathers rows of a matrix tensor [*,cols] by index (NULL: first, first+1, ...). */
void load_rows(const struct moe_tensor *tensor, const int64_t *rows, int64_t first, int64_t count,
               struct known to);

/* Slice `index` of the first dimension of a tensor (all of it where rank < 3 and index is 0),
 * dense. */
void load_slice(const struct moe_tensor *tensor, int64_t index, struct known to);

/* Makes expert e (or -1) the one at hand: loads its weights, clears its gradients. */
void expert_load(struct layer *layer, int64_t e);

/* Tokens of its rows from `first` on: NULL for the shared expert, whose rows are the tokens. */
const int64_t *expert_tokens(const struct layer *layer, int64_t first);

/* Fills layer->score for the rows first .. first+count. */
void expert_scores(struct layer *layer, int64_t first, int64_t count);

/* What the precision makes of computed values: nothing in f64, floats in f32. */
void settle(const struct layer *layer, double *values, int64_t count);

/* Bounds and variances of a field after a rounding that may happen at `point`. */
void round_field(const struct layer *layer, enum moe_point point, struct field field,
                 int64_t count);

/* Hands a block of an output to the caller's taker; its bounds first get the store's rounding. */
int hand_out(struct layer *layer, enum moe_tensor_id tensor, int64_t row, int64_t rows,
             int64_t cols, struct field field);

/* ---- product.c --------------------------------------------------------------------------- */

/* C = A B or C += A B, its bound and its variance. `terms`: length of the sum as the kernel sees
 * it. */
void product_field(struct layer *layer, enum moe_product product, int64_t terms, enum form form,
                   int64_t m, int64_t n, int64_t k, struct operand a, struct operand b,
                   struct field c, int accumulate);

/* C = s (A B^T) may also be formed with the score last, where the sum is that of A and not of s A:
 * bounds of C are infinite where that may overflow. */
void product_folded(struct layer *layer, enum moe_product product, int64_t m, int64_t n, int64_t k,
                    struct operand a, struct operand b, struct field c);

/* rows [count,cols] times the scores of the rows: s_r q_r, before any rounding of the product. */
void scale_rows(const struct layer *layer, int64_t count, int64_t cols, struct operand rows,
                struct field scaled);

/* Length of the sum over everything that a token with so many picks gets: MOE_IN_O, MOE_IN_DX. */
int64_t terms_of_token(const struct layer *layer, enum moe_product product, int64_t picks);

/* to [T,H] += rows [count,H], each to its token; `product` sums the rows of a token. */
void add_to_tokens(const struct layer *layer, enum moe_product product, int64_t first,
                   int64_t count, struct field rows, struct field to);

/* ---- forward.c, backward.c --------------------------------------------------------------- */

/* x, score and z of rows first .. first+count of the expert at hand. */
void rows_up(struct layer *layer, int64_t first, int64_t count);

/* The forward pass of these rows: rows_up, then a, y and their part of o; hands out z. */
int rows_forward(struct layer *layer, int64_t first, int64_t count);

/* Their backward pass, after rows_forward or, with kept z, alone. */
void rows_backward(struct layer *layer, int64_t first, int64_t count);

/* ---- router.c ---------------------------------------------------------------------------- */

/* Memory that the router needs before the rest can be sized. MOE_E_NOMEM. */
int router_allocate(struct layer *layer);

/* q [T,n] = X W^T with W [n,H], for chunks of tokens. */
void project_tokens(struct layer *layer, int64_t n, struct known w, struct field q);

/* Logits, then layer->routing: the caller's, from the logits, or from lists; then the scores. */
int router_forward(struct layer *layer);

/* dlogits, dwr, and dx += dL Wr, from ds. */
int router_backward(struct layer *layer);

int hand_out_routing(struct layer *layer);
int hand_out_router_gradients(struct layer *layer);

/* A tensor shaped as scores: [T,K], or [P] where ragged. */
int hand_out_entries(struct layer *layer, enum moe_tensor_id tensor, struct field field);

/* ---- shared_gate.c ----------------------------------------------------------------------- */

void shared_gate_forward(struct layer *layer);

/* From layer->dgate: hands out dwsg, and dx += its part. */
int shared_gate_backward(struct layer *layer);

#endif
