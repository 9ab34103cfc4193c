/*
 * naive.h - inside the variant `naive`: the layer in plain long double loops, a second opinion on
 * the definition.
 *
 * Nothing here is shared with ref/ but its types, the tensors' positions, the number formats and
 * the draw: activations, router, rounding, top-k and metadata are written anew from the formulas,
 * so that a slip in one shows against the other. Values are held in long double and rounded where a
 * tensor of the case stores them, and nowhere else.
 *
 * Letters as in ref/moe.h. Prototypes stand under the file that holds them.
 */
#ifndef MOE_NAIVE_H
#define MOE_NAIVE_H

#include "ref/moe.h"
#include "verify/variant.h"

/* The picks of one call. Entries are the picks in the order of the tensor; rows are the entries
 * that are not dropped, by expert, then by token. */
struct moe_naive_routing {
    int64_t P, N;
    int64_t *token_begin;  /* [T+1] entries of a token */
    int64_t *pick;         /* [P] expert, or -1 */
    long double *score;    /* [P] */
    int64_t *expert_begin; /* [E+1] rows of an expert */
    int64_t *row_entry;    /* [N] */
    int64_t *row_token;    /* [N] */
};

/* One expert, or the shared one: its weights and the sums of their gradients. The sum pointers are
 * used by backward only; b1 and b2 are all zero where the case has none. */
struct moe_naive_expert {
    int64_t H, units, rows; /* rows: of w1, 2 units where gated */
    enum moe_weight weight;
    long double *w1, *dw1; /* [rows,H] */
    long double *b1, *db1; /* [rows] */
    long double *w2, *dw2; /* [H,units] */
    long double *b2, *db2; /* [H] */
};

/* Where everything of a call lies in its workspace. */
struct moe_naive_space {
    struct moe_naive_routing routing;
    struct moe_naive_expert expert; /* big enough for the shared one too */
    long double *x, *dout;          /* [T,H] */
    long double *out;               /* [T,H] O in forward, dX in backward */
    long double *logits, *dlogits;  /* [T,E] */
    long double *prob;              /* [T,E] softmax over all experts */
    long double *wr, *dwr;          /* [E,H] */
    long double *br, *dbr;          /* [E] */
    long double *sel_bias;          /* [E] */
    long double *wsg, *dwsg;        /* [H] */
    long double *ds;                /* [P] */
    long double *raw;               /* [P] scores before renorm and scale */
    long double *weight;            /* [T,E] what picked pairs are kept by, in token rounding */
    long double *value;             /* [E] what picks are picked by */
    long double *z, *dz;            /* one row, [rows] */
    long double *a, *da;            /* one row, [units] */
    long double *scaled;            /* one row, [H]: s X, dX~ */
    unsigned char *taken, *closed;  /* [E] experts picked already, experts of groups not kept */
    unsigned char *chosen;          /* [T,E] pairs picked, in token rounding */
    int64_t bytes;                  /* of all this; -1 where it does not fit */
};

/* ---- naive_space.c -------------------------------------------------------------------------- */

/* Divides `base` (NULL: only counts bytes) into the arrays above. */
void moe_naive_space_divide(const struct moe_problem *problem, void *base,
                            struct moe_naive_space *space);

/* ---- naive_tensor.c ------------------------------------------------------------------------- */

/* `count` elements from the row-major index `first` of a tensor under any strides, and back. */
void moe_naive_load(const struct moe_tensor *tensor, int64_t first, int64_t count,
                    long double *values);
void moe_naive_store(const struct moe_tensor *tensor, int64_t first, int64_t count,
                     const long double *values);

/* Stores a parameter's gradient: added to what stands there where beta=1, with one rounding. */
void moe_naive_store_gradient(const struct moe_problem *problem, const struct moe_tensor *tensor,
                              int64_t first, int64_t count, const long double *values);

/* ---- naive_act.c ---------------------------------------------------------------------------- */

int moe_naive_gated(enum moe_act act);

/* A = act(Z): z [rows] in the order of w1's rows, a [units]. */
void moe_naive_act(const struct moe_problem *problem, int64_t units, const long double *z,
                   long double *a);

/* dZ = act'(Z) da: da [units], dz [rows]. */
void moe_naive_act_backward(const struct moe_problem *problem, int64_t units, const long double *z,
                            const long double *da, long double *dz);

long double moe_naive_sigmoid(long double x);

/* ---- naive_expert.c ------------------------------------------------------------------------- */

/* Z_r = X_t W1^T + b1 of one row, X_t scaled by `score` where weight=input. */
void moe_naive_row_z(const struct moe_naive_expert *expert, const struct moe_naive_space *space,
                     long double score, const long double *x, long double *z);

/* O_t += what row r with space->z contributes to it. */
void moe_naive_row_forward(const struct moe_problem *problem, const struct moe_naive_expert *expert,
                           const struct moe_naive_space *space, long double score, long double *o);

/* Adds row r, with space->z, to the gradients of the expert and to dX_t. Returns ds_r. */
long double moe_naive_row_backward(const struct moe_problem *problem,
                                   const struct moe_naive_expert *expert,
                                   const struct moe_naive_space *space, long double score,
                                   const long double *x, const long double *dout, long double *dx);

/* ---- naive_router.c ------------------------------------------------------------------------- */

/* Does a stand before b? NaN ranks below -inf, -0 equals +0; equals do not beat each other. */
int moe_naive_beats(long double a, long double b);

/* softmax over all experts of every token: logits [T,E] to prob [T,E]. */
void moe_naive_softmax(const struct moe_problem *problem, const long double *logits,
                       long double *prob);

/* Picks and scores of the case's router, from space->logits (and sel_bias), token rounding
 * included: fills space->routing but for the rows. */
void moe_naive_route(const struct moe_problem *problem, struct moe_naive_space *space);

/* space->dlogits += the gradient through the scores of what space->ds holds. */
void moe_naive_route_backward(const struct moe_problem *problem, struct moe_naive_space *space);

/* space->dlogits += the gradients of the case's losses. */
void moe_naive_loss_backward(const struct moe_problem *problem, struct moe_naive_space *space);

/* ---- naive_round.c -------------------------------------------------------------------------- */

/* Token rounding of the top-k picks in space->routing, by space->prob: replaces them by the picks
 * that make every expert's count its target. The entries of a token stand in ascending order of
 * expert. */
void moe_naive_round(const struct moe_problem *problem, struct moe_naive_space *space);

/* ---- naive_lists.c -------------------------------------------------------------------------- */

/* Reads MOE_PICKS, MOE_SCORES and MOE_OFFSETS, of lists or as forward stored them. An id out of
 * range or met before in its token is dropped, and sets bit 0 of *status (may be NULL). */
void moe_naive_read_lists(const struct moe_problem *problem, const struct moe_call *call,
                          struct moe_naive_space *space);

/* Writes them; scores are then held as they were rounded. */
void moe_naive_write_lists(const struct moe_problem *problem, const struct moe_call *call,
                           struct moe_naive_space *space);

/* Orders the entries that are not dropped into rows. */
void moe_naive_order_rows(const struct moe_problem *problem, struct moe_naive_routing *routing);

#endif
