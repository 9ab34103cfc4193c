/*
 * support.h - what the tests of the reference and of the judge share: cases and their tensors,
 * random numbers, the reference's outputs held whole, the end of every main().
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <check.h>

#include "ref/moe.h"
#include "verify/verify.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

/* ---- random numbers of the tests' own, from a seed that is not 0 (xorshift64*) -------------- */

uint64_t random_word(uint64_t *state);
int64_t random_below(uint64_t *state, int64_t n);
double random_in(uint64_t *state, double from, double to);

/* ---- cases ---------------------------------------------------------------------------------- */

/* The case of a line; a test that gives a wrong one fails. */
struct moe_problem problem_of(const char *line);

/* Every tensor of the case; inputs drawn, outputs NaN (integers -1). */
struct moe_tensors tensors_of(const struct moe_problem *problem);

/* Elements by row-major index, whatever the strides. */
double tensor_get(const struct moe_tensor *tensor, int64_t index);
void tensor_set(const struct moe_tensor *tensor, int64_t index, double value);

/* Values of the keys that cases had: bit v of a field stands for value v, of on and off for a key
 * that is not a list of names. */
struct seen {
    unsigned dtype, grad, act, w1, router, round, weight, routing, data, on, off;
};

#define SEEN_KEYS                                                                                  \
    11 /* renorm scale groups bias router-bias sel-bias shared(-gate) aux zloss beta */
#define SEEN_BETA 10

void see(struct seen *seen, const struct moe_problem *problem);

/* ---- the reference -------------------------------------------------------------------------- */

/* Everything that a run handed out, [MOE_TENSOR_COUNT], dense; NULL for what it did not. */
struct outputs {
    double *value[MOE_TENSOR_COUNT];
    double *bound[MOE_TENSOR_COUNT];
    int64_t count[MOE_TENSOR_COUNT]; /* elements up to the last that was handed out */
};

/* Runs the reference and keeps its blocks; take and context are filled in here. */
int run_reference(struct moe_reference reference, struct outputs *outputs);
void outputs_free(struct outputs *outputs);

/* ---- how much ------------------------------------------------------------------------------- */

/* How many of something a test takes: `few` where MOE_TEST_SIZE=small. */
int as_many(int many, int few);

/* For loops over elements: each of libcheck's own assertions writes to a file where it is. */
#define must_hold(condition, ...) ((condition) ? (void)0 : ck_abort_msg(__VA_ARGS__))

/* The folder and the files in it. */
void folder_remove(const char *folder);

/* ---- main ----------------------------------------------------------------------------------- */

/* Runs the suite; what main returns. */
int run_suite(Suite *suite);

#endif
