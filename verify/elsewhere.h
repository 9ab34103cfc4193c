/*
 * elsewhere.h - a run of the variant with its memory elsewhere or of other bytes, as the checks of
 * memory make it: accepted or refused, and its results beside those of the judge's own run.
 */
#ifndef MOE_ELSEWHERE_H
#define MOE_ELSEWHERE_H

#include "verify/again.h"

struct elsewhere {
    struct moe_judgement *judgement;
    const char *check; /* name, for findings */
    const char *what;  /* which run: every text begins with it */
    struct moe_trial trial;
    int poison; /* byte that outputs hold at first */
    struct again again;
};

/* Has the case not failed yet, and is its routing known? What is wrong in a plain run may crash in
 * others before the first fault is told. */
int elsewhere_wanted(const struct moe_judgement *judgement);

/* A run like the judge's own, not yet made. */
struct elsewhere elsewhere_of(struct moe_judgement *judgement, const char *check, const char *what);

/* Makes the run. What it wrote beside its buffers is reported. Trouble of ours is returned. */
int elsewhere_run(struct elsewhere *elsewhere);
void elsewhere_free(struct elsewhere *elsewhere);

/* The run must have succeeded: reports what failed (memory that was short: could not decide) and
 * returns 0, or 1. */
int elsewhere_succeeded(const struct elsewhere *elsewhere);

/* The run must have been refused with one of two statuses, and have touched nothing. */
void elsewhere_must_refuse(const struct elsewhere *elsewhere, int status, int or_status);

/*
 * The run's outputs must be right: the bits of the judge's own run, or else judged as that was.
 * For runs in which a kernel may lawfully round otherwise, since addresses chose another path.
 */
int elsewhere_judge(const struct elsewhere *elsewhere);

/* Elements of an output that the routing uses, from the first: z has N rows, ragged tensors P
 * entries, others all. The routing is known. */
int64_t judgement_used_elements(const struct moe_judgement *judgement, enum moe_tensor_id id);

#endif
