/*
 * relate.h - metamorphic relations: what must hold between two runs of a variant on inputs of which
 * one set comes from the other, whatever the right outputs are.
 *
 * A relation makes one or two further cases with inputs from those of the judge's own run, and says
 * which element of which run equals which others. The engine runs them and knows of every element
 * how far two right results may be apart (relate_known.c). Adding a relation is its file
 * relation_NAME.c and its line in RELATIONS of verify/local.mk; doc/relations.md has the proofs.
 */
#ifndef MOE_RELATE_H
#define MOE_RELATE_H

#include "verify/judge.h"

/* The judge's own run is run 0. */
#define RELATE_RUNS 3
#define RELATE_TERMS 8

/* One run: its case, inputs and outputs. The arrays are [elements], NULL where nothing is known. */
struct relate_run {
    struct moe_problem problem;
    struct moe_recipe recipe;
    struct moe_tensors tensors;
    struct moe_tensors before;       /* beta=1: what the gradients held; else empty */
    struct moe_routing routing;      /* the run's own */
    double *bound[MOE_TENSOR_COUNT]; /* of the distance of a right result from the true value */
    /* Elements that all legal kernels agree on: after one rounding to their type, or without. */
    unsigned char *certain[MOE_TENSOR_COUNT];
};

enum { RELATE_UNKNOWN, RELATE_ROUNDED, RELATE_EXACT };

/* How one output of the left run is compared. */
struct relate_rule {
    double factor; /* left = factor * right; 1 unless a relation says otherwise */
    int skip;      /* not compared */
    int sums;      /* right is the sum over all other runs, else the first that has a counterpart */
    int zero_where_none; /* an element without counterpart is 0, else it is left out */
    int bitwise;         /* the variant's flags demand the same bits */
};

/*
 * One relation at work. The left run's elements are compared with those of the others. The maps
 * lead from the left run's tokens, experts and entries to those of run k: -1 none, a map of NULL
 * the same number.
 */
struct relating {
    struct moe_judgement *judgement;
    const struct relation *relation;
    int runs, left;
    struct relate_run run[RELATE_RUNS];
    int64_t *token[RELATE_RUNS], *expert[RELATE_RUNS], *entry[RELATE_RUNS];
    struct relate_rule rule[MOE_TENSOR_COUNT];
};

/* factor * element `index` of a run's tensor. */
struct relate_term {
    int run;
    int64_t index;
    double factor;
};

/* The left run's element equals the sum of the terms, of the tensor of the same name. */
struct relate_equation {
    int terms;
    struct relate_term term[RELATE_TERMS];
};

struct relation {
    const char *name;
    const char *statement;                        /* one line, as a finding says it */
    int (*applies)(const struct moe_judgement *); /* to the case and what was declared */
    /* Makes the further runs' cases and inputs, maps and rules. */
    int (*make)(struct relating *relating);
    /* What an element equals; 0: it is left out. NULL: relate_equate. */
    int (*equate)(const struct relating *relating, enum moe_tensor_id id, int64_t index,
                  struct relate_equation *equation);
};

const struct relation *moe_relation_get(int index); /* NULL past the end */

/* ---- relate.c -------------------------------------------------------------------------------- */

/* Tries a relation that applies. Trouble of ours is returned; what is wrong is a finding. run[0] is
 * as relate_start left it, before and after. */
int relate_try(struct relating *relating, const struct relation *relation);

void relate_start(struct moe_judgement *judgement, struct relating *relating);
void relate_end(struct relating *relating);

/* ---- relate_make.c: what a relation makes its runs with -------------------------------------- */

/* Memory for run k of a case; every input is 0, every pick -1. MOE_E_USAGE: the case is none. */
int relate_case(struct relating *relating, int k, const struct moe_problem *problem);

/* A map of so many numbers, all -1, which the relating owns. */
int relate_map(int64_t **map, int64_t count);

/* A permutation of so many numbers, drawn from (seed, purpose). */
int relate_permutation(int64_t **map, int64_t count, uint64_t seed, uint32_t purpose);

/*
 * Fills the inputs of run k (and, with beta=1, what gradients are added to) through the maps from
 * run 0, or to it where the left run is k. What has no counterpart stays 0. With beta=1 gradients
 * are filled so that the rules hold of them too. Offsets, and the map of entries where it is NULL,
 * follow the tokens' map. MOE_E_UNSUPPORTED as relate_scale.
 */
int relate_fill(struct relating *relating, int k);

/* Run 2 has the inputs of run 1, whose case has the same shapes. */
void relate_copy_first(struct relating *relating);

/* Where the left run's element is in run k; -1: nowhere. */
int64_t relate_index(const struct relating *relating, int k, enum moe_tensor_id id, int64_t index);

/* A power of two to multiply by, by the seed up or down; up where down would lose bits. */
double relate_power(const struct moe_judgement *judgement, double up, double down);

/* Multiplies an input of run k. MOE_E_UNSUPPORTED: its type does not hold the product. */
int relate_scale(struct relating *relating, int k, enum moe_tensor_id id, double factor);

int relate_equate(const struct relating *relating, enum moe_tensor_id id, int64_t index,
                  struct relate_equation *equation);

/* ---- relate_units.c: rows of w1 as units ------------------------------------------------------
 */

struct relate_unit {
    int64_t number;
    int up; /* 1: its up value, 0: its gate, or the one value of a plain activation */
};

struct relate_unit relate_unit_of(const struct moe_problem *problem, int64_t row);
int64_t relate_unit_row(const struct moe_problem *problem, struct relate_unit unit);

/* ---- what the predicates ask ----------------------------------------------------------------- */

int relate_declares(const struct moe_judgement *judgement, uint32_t flag);
/* No losses: the backward pass is linear in do, and tokens do not share a mean. */
int relate_no_losses(const struct moe_problem *problem);
int relate_lists(const struct moe_problem *problem); /* router=lists */
/* A row with score 0 adds nothing to any output but ds. */
int relate_zero_score_is_nothing(const struct moe_problem *problem);
/* A deterministic variant that computes in types of f32's range, and data of which no product can
 * get near its end: powers of two then commute with every rounding on the way. */
int relate_powers_commute(const struct moe_judgement *judgement);

/* Rule of outputs that belong to one token: the same bits where batch invariance is declared. */
void relate_tokens_alike(struct relating *relating);
/* Rule of the forward pass, which does not read do: the same bits where determinism is declared. */
void relate_forward_alike(struct relating *relating);
/* Rule of parameter gradients: the sum over the other runs. */
void relate_gradients_add(struct relating *relating);
/* Factor of every output of the backward pass. */
void relate_backward_factor(struct relating *relating, double factor);

/* ---- relate_known.c -------------------------------------------------------------------------- */

/* Bounds of the run, and on exact data what is certain; once. */
int relate_know(struct relate_run *run, int exact);
void relate_forget(struct relate_run *run);
/* Elements of all tensors of the case; more than are compared: too many. */
int relate_too_large(const struct moe_problem *problem);

/* ---- relate_compare.c ------------------------------------------------------------------------ */

/* Compares the left run with the others, tensor by tensor; adds a finding where the relation does
 * not hold. */
int relate_compare(struct relating *relating);

/* Is it an output of the case, and one that a run writes? */
int relate_is_output(const struct moe_problem *problem, enum moe_tensor_id id);
/* How many elements of it mean something. */
int64_t relate_used(const struct relate_run *run, enum moe_tensor_id id);

#endif
