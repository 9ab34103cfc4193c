/*
 * shrink.h - from a case that fails to a smaller one that fails in the same way. Prototypes stand
 * under the file that holds them; shrink_run.c, which tries cases in workers, is the command's.
 *
 * A case line is a list of typed choices: every word is one, its plainest value is known, and the
 * grammar says which go together. So shrinking edits the line: it makes one word plainer or
 * smaller at a time, mends what no longer has a meaning by making that plain too, and never makes
 * any word but the seed larger. Nothing smaller is left when no such edit fails any more.
 */
#ifndef MOE_SHRINK_H
#define MOE_SHRINK_H

#include "ref/moe.h"

/* ---- shrink_edits.c: what to try next -------------------------------------------------------- */

#define MOE_EDITS_MOST 4096

/* Cases to try, the boldest first. */
struct moe_edits {
    struct moe_problem *problem; /* [MOE_EDITS_MOST] */
    int count;
};

/* Appends the edits of kind `pass` of a case; each has a meaning, and is smaller than it. Returns
 * 0 past the last kind. */
int moe_edits_make(int pass, const struct moe_problem *problem, struct moe_edits *edits);

/* In how many keys do the lines of two cases differ? */
int moe_problem_differs(const struct moe_problem *one, const struct moe_problem *other);

/* ---- shrink.c: edits until none fails -------------------------------------------------------- */

struct moe_shrink {
    /* Sets *first to the first of the cases that fails as it should, `count` where none does. Any
     * status but MOE_OK ends the shrinking with it; what was reached stands in `best`. */
    int (*try)(void *context, const struct moe_problem *cases, int count, int *first);
    void *context;
    struct moe_problem best; /* fails; at first the case that is to be shrunk */
    int64_t tried;           /* cases, each at most once */
};

/* MOE_E_NOMEM; what `try` returns. */
int moe_shrink(struct moe_shrink *shrink);

#endif
