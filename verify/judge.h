/*
 * judge.h - one judgement as the checks see it: the case, what the variant was given, what it left.
 */
#ifndef MOE_JUDGE_H
#define MOE_JUDGE_H

#include "verify/trial.h"
#include "verify/verify.h"

/* More checks than there are. */
#define MOE_CHECK_MAX 64

struct moe_judgement {
    const struct moe_problem *problem;
    const struct moe_judge_options *options; /* or NULL */
    struct moe_trial trial;         /* the judge's own run; further ones start from a copy of it */
    struct moe_trial_result result; /* of that run */
    int turn[MOE_CHECK_MAX];        /* does each check take part? */
    void *state[MOE_CHECK_MAX];     /* what each remembers; freed with the judgement */
    const char *subject;            /* variant's name, for texts */
    struct moe_recipe recipe;
    struct moe_tensors tensors; /* inputs and outputs */
    struct moe_tensors before;  /* beta=1: what the parameter gradients held; else empty */
    int idle;                   /* set by a check that finds that it does not apply */
    int crowded;                /* 1: a run did not get the GPU that it must have alone */
    int from_file;              /* outputs made elsewhere: nothing was seen before they were made */
    uint64_t hash[MOE_TENSOR_COUNT]; /* of the inputs, before the variant ran */
    int variances;                   /* 1: a check wants them in the reference's blocks */
    struct moe_routing routing;      /* the subject's own, once check_routing has accepted it */
    struct moe_report *report;
};

/* Memory of a check of its own, zeros at first; NULL where there is none. */
void *judgement_state(struct moe_judgement *judgement, const struct moe_check *check, size_t size);

/* For a check that runs nothing and finds that it does not apply, to end with: it does not count as
 * made. MOE_OK. */
int judgement_idle(struct moe_judgement *judgement);

/* Is the tensor one that the subject only reads, in this case? */
int judgement_is_input(const struct moe_judgement *judgement, enum moe_tensor_id id);

/* judge_rounding_ties.c: a finding of `ties` where token rounding took the later of two tokens
 * whose stored logits are the same. MOE_E_NOMEM. */
int judgement_rounding_ties(struct moe_judgement *judgement);

/* check_guards.c: adds a finding for every stretch beside the buffers that a run changed, and for a
 * status word that speaks of ids that no list has; `what` tells which run, NULL the judge's own. */
void judgement_report_strays(struct moe_judgement *judgement, const char *check, const char *what,
                             const struct moe_trial_result *result);

/* A finding with everything unset but check, verdict and text (printf format). */
struct moe_finding judgement_finding(const char *check, enum moe_verdict verdict,
                                     const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- locate.c -------------------------------------------------------------------------------- */

/* Fills expert, token and slot of a finding from its tensor, row and column; the routing is known.
 */
void judgement_locate(const struct moe_judgement *judgement, struct moe_finding *finding);

/* ---- shape.c --------------------------------------------------------------------------------- */

/* Sets the shape of the wrong elements of the finding's tensor, and its words; the routing is
 * known. The finding must be added next: the report keeps a picture of the first. */
void judgement_shape(const struct moe_judgement *judgement, const struct moe_mask *mask,
                     struct moe_finding *finding);

#endif
