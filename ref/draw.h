/*
 * draw.h - what the files that draw share: Philox, and values and picks before they are stored.
 *
 * Everything drawn is a function of (seed, tensor, index), made by integer operations and IEEE
 * + - x on doubles, no division, no contraction, no libm: a GPU, any compiler and any number of
 * threads give the same bytes.
 */
#ifndef MOE_REF_DRAW_H
#define MOE_REF_DRAW_H

#include <Random123/philox.h>
#include <string.h>

#include "ref/moe.h"

/* What keeps the words, the values and the choices (of a family) of one purpose apart. */
enum draw_stream { STREAM_WORDS, STREAM_VALUES, STREAM_CHOICES };

/* 128 bits: Philox4x32-10 of key = seed, counter = (index, purpose, stream). */
static inline philox4x32_ctr_t draw_block(uint64_t seed, enum draw_stream stream, uint32_t purpose,
                                          uint64_t index)
{
    const philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    const philox4x32_ctr_t counter = {
        {(uint32_t)index, (uint32_t)(index >> 32), purpose, (uint32_t)stream}};
    return philox4x32(counter, key);
}

/* 2^power, for a normal double. */
static inline double power_of_two(int power)
{
    const uint64_t bits = (uint64_t)(power + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* floor(log2(n)), n >= 1. */
static inline int floor_log2(int64_t n)
{
    return 63 - __builtin_clzll((unsigned long long)n);
}

/* ---- draw_values.c -------------------------------------------------------------------------- */

/* How one tensor's values are drawn. */
struct values {
    uint64_t seed;
    enum moe_tensor_id id;
    enum moe_data_family family; /* as far as it concerns this tensor */
    int heaviest;                /* the last j of MOE_DATA_HEAVY */
    int tied;                    /* odd rows are equal to the even ones before them */
    int64_t row;                 /* length of a row */
    double scale[4];             /* of rows by their number mod 4; powers of two */
    const int32_t *wanted;       /* [T,K] experts that x is pushed towards, or NULL */
    int64_t K, wanted_count;     /* the first so many of the K count */
    double push, push_step;      /* towards the first; less for each that follows */
};

/* `described` is the tensor as the case has it, wanted NULL where nothing is pushed. */
struct values values_of(const struct moe_problem *problem, enum moe_tensor_id id,
                        const struct moe_tensor *described, const int32_t *wanted);

/* Elements [first, first + count) of the tensor, row-major. */
void values_fill(const struct values *values, int64_t first, int64_t count, double *out);

/* Scores of lists, in (0,1): those of a token sum to about 1. */
void scores_fill(const struct moe_problem *problem, int64_t first, int64_t count, double *out);

/* ---- draw_exact.c --------------------------------------------------------------------------- */

/* How a tensor of data=exact0, exact1 or exact2 is drawn. */
struct exact_values {
    const struct moe_problem *problem;
    enum moe_tensor_id id;
    int64_t row;   /* length of a row */
    int64_t units; /* I, or S of the shared expert */
    int gated;     /* two rows of w1 a unit */
    double score;  /* unit of the scores where they multiply x in exact1, else 1 */
    double gate;   /* G: a gate's smallest value above 0 */
    int64_t in_gate, in_up, in_w2, in_do; /* entries a row */
    int anchored;                         /* unit 0 is +1 for every token */
    int paired;                           /* sums have pairs that cancel, */
    int64_t pair[2];                      /*   at these columns of x and w1; or -1 */
    int routes;                           /* columns of x choose the experts */
    const int32_t *picks;                 /* [T,K], where x needs them */
};

int data_is_exact(const struct moe_problem *problem);

/* Are the picks needed to draw this tensor? */
int exact_needs_picks(const struct moe_problem *problem, enum moe_tensor_id id);

struct exact_values exact_values_of(const struct moe_problem *problem, enum moe_tensor_id id,
                                    const struct moe_tensor *described, const int32_t *picks);

/* Elements [first, first + count) of the tensor, row-major. */
void exact_fill(const struct exact_values *values, int64_t first, int64_t count, double *out);

/* Scores of the entries [first, first + count) of lists. */
void exact_scores(const struct moe_problem *problem, const int32_t *picks, int64_t first,
                  int64_t count, double *out);

/* ---- draw_lists.c --------------------------------------------------------------------------- */

/* Experts that each token picks, [T,K], as the routing family says; -1 is dropped. MOE_E_NOMEM;
 * MOE_E_USAGE where an expert's id does not fit 32 bits. */
int draw_picks(const struct moe_problem *problem, int32_t *picks);

/* draw_edges.c: the same for routing=edges, the one family whose tokens depend on each other. */
int draw_edge_picks(const struct moe_problem *problem, int32_t *picks);

/* Where the picks of each token of ragged lists begin, [T+1]; token t has the first
 * offsets[t+1] - offsets[t] of its K picks. */
void draw_offsets(const struct moe_problem *problem, int64_t *offsets);

/* How many of a token's K wanted experts a computed router is pushed towards; 0: no push. */
int64_t wanted_experts(const struct moe_problem *problem);

#endif
