/*
 * fuzz.h - inside the adversary: factors and their values, pairs and their coverage, cases drawn,
 * corpus files. Prototypes stand under the file that holds them; command_fuzz.c is built on this
 * and on verify/.
 */
#ifndef MOE_FUZZ_H
#define MOE_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "ref/moe.h"

/* ---- factors.c ------------------------------------------------------------------------------ */

#define MOE_FACTOR_MAX 32
#define MOE_FACTOR_VALUES 24

/* A key of the case line and the values that are combined with every value of every other key. */
struct moe_factor {
    const char *key;
    const char *value[MOE_FACTOR_VALUES]; /* ends with NULL; value[0] is the plainest */
};

const struct moe_factor *moe_factor_get(int index); /* NULL past the end */
int moe_factor_count(void);
int moe_factor_value_count(int index);
int moe_factor_index(const char *key); /* -1: no factor has that key */

/* ---- complete.c ----------------------------------------------------------------------------- */

/* For every factor one of its values, by number; fixed ones must keep it. */
struct moe_assignment {
    uint8_t value[MOE_FACTOR_MAX];
    uint8_t fixed[MOE_FACTOR_MAX];
};

/* Changes as few values that are not fixed as it takes to give the assignment a meaning, which is
 * *problem. MOE_E_UNSUPPORTED: no values of the others go with the fixed ones. */
int moe_assignment_complete(struct moe_assignment *assignment, struct moe_problem *problem);

/* Is the complaint of moe_problem_validate about that key, among others? */
int moe_complaint_names(const char *complaint, const char *key);

/* ---- coverage.c ----------------------------------------------------------------------------- */

enum moe_pair { MOE_PAIR_INFEASIBLE, MOE_PAIR_OPEN, MOE_PAIR_SEEN };

/* Values of all factors are numbered through; state[a][b] with a <= b belongs to the pair of the
 * values a and b, state[a][a] to the value alone. Two values of one factor never go together. */
struct moe_coverage {
    int values;
    int first[MOE_FACTOR_MAX]; /* number of each factor's first value */
    uint8_t *state;            /* [values][values], enum moe_pair */
    int pairs_feasible, pairs_infeasible, pairs_seen;
    int values_feasible, values_seen;
};

/* Decides for every pair whether any case has it; none is seen yet. MOE_E_NOMEM; MOE_E_INTERNAL:
 * the table of factors names what the grammar does not know. */
int moe_coverage_create(struct moe_coverage *coverage);
int moe_coverage_copy(const struct moe_coverage *from, struct moe_coverage *to);
void moe_coverage_free(struct moe_coverage *coverage);

/* Of the pair of value v of factor f and value w of factor g. */
enum moe_pair moe_coverage_pair(const struct moe_coverage *coverage, int f, int v, int g, int w);

/* Marks what the case has, and returns how many pairs were new. Any case may be given: a number
 * that no factor lists is no value. */
int moe_coverage_add(struct moe_coverage *coverage, const struct moe_problem *problem);

/* ---- array.c -------------------------------------------------------------------------------- */

/* Cases, a few hundred, that have every feasible pair between them; determined by the seed. Free
 * *problems with free(). MOE_E_NOMEM. */
int moe_array_create(uint64_t seed, const struct moe_coverage *coverage,
                     struct moe_problem **problems, int *count);

/* ---- draw.c --------------------------------------------------------------------------------- */

/* Case `number` of the campaign `seed`: at random, with sizes at the edges of tiles and a random
 * half of the features switched off for 50 cases together. */
void moe_case_draw(uint64_t seed, uint64_t number, struct moe_problem *problem);

/* Roughly the multiplications that one forward and backward of the case take, by plain loops. */
double moe_case_cost(const struct moe_problem *problem);

/* What most of the cases may cost, so that plain loops do thousands a minute. */
#define MOE_CASE_COST 3e6

/* A number in [0, bound) from (seed, stream, *index), which it advances. */
uint32_t moe_dice_roll(uint64_t seed, uint32_t stream, uint64_t *index, uint32_t bound);

/* ---- corpus.c ------------------------------------------------------------------------------- */

/* Line `index` of the corpus that comes with the program; NULL past the end. */
const char *moe_corpus_case(int index);

/* Appends a case to a file of cases, which is made where there is none, unless the case is in it.
 * `comment` (one line) goes above it. MOE_E_IO: the file is as it was. */
int moe_corpus_append(const char *path, const struct moe_problem *problem, const char *comment);

#endif
