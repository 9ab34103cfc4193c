/*
 * again.h - what checks share that run the variant again: the run, and whether what came of it is
 * right. judgement->trial is what they start from.
 */
#ifndef MOE_AGAIN_H
#define MOE_AGAIN_H

#include "verify/judge.h"
#include "verify/surroundings.h"

/* Tensors of one further run; made.tensor all NULL where there are none. */
struct again {
    struct moe_tensors made;
    struct moe_trial_result result;
    int ran; /* 1: the calls succeeded and left what is to be judged */
};

/*
 * Runs the trial on new tensors with the inputs of `from`, outputs poisoned; trial->own, where it
 * is NULL and the script wants it, is a copy of them. A call that fails is a finding of the check:
 * "WHAT: STEP returned ...", and so are traces. The caller frees `made`.
 */
int again_run(struct moe_judgement *judgement, const char *check, const char *what,
              const struct moe_trial *trial, const struct moe_tensors *from, struct again *again);
void again_free(struct again *again);

/*
 * What no run may leave, whatever its results are: bytes beside its buffers; inputs that are not as
 * `given` any more, for results of changed inputs may be right for these; a status word that speaks
 * of ids that no list has. Each is a finding.
 */
void again_report_traces(struct moe_judgement *judgement, const char *check, const char *what,
                         const struct moe_trial_result *result, const struct moe_tensors *made,
                         const struct moe_tensors *given);

/* New tensors with inputs that another seed draws for the same shapes. */
int again_other_inputs(const struct moe_judgement *judgement, struct moe_tensors *other);

/* Compares the bits of all that a variant has to write, over the entries and rows that the routing
 * of `want` has. *finding is where they first differ; 0: nowhere. */
int again_same_bits(const struct moe_problem *problem, const struct moe_tensors *got,
                    const struct moe_tensors *want, struct moe_finding *finding);

/*
 * Is what the run left right? `fresh` (or NULL) is what a plain run on the same inputs left: the
 * same bits are right, and a variant that declares itself deterministic must have them. What
 * differs otherwise is judged by the reference, like tensors made elsewhere.
 */
int again_judge(struct moe_judgement *judgement, const char *check, const char *what,
                const struct again *again, const struct moe_tensors *fresh);

/* GPU: a plain round, then one amid surroundings, judged as above. What the trial says of waiting
 * and stalling is a finding too, unless the variant declares that it waits. */
int again_amid(struct moe_judgement *judgement, const char *check,
               const struct moe_surroundings *surroundings);

/* GPU: a plain round, then one on other inputs amid surroundings whose two calls are made without
 * waiting between; judged as above. */
int again_together(struct moe_judgement *judgement, const char *check,
                   const struct moe_surroundings *surroundings);

/* Nothing has been found so far: what is wrong in a plain run is not looked at in others. */
int again_wanted(const struct moe_judgement *judgement);

/* The same, and the variant runs on a GPU that is still sound, and that it got alone wherever it
 * had to. On a PTX machine, which has neither graphs nor anything beside the variant, the check is
 * reported as one that was left out. */
int again_on_gpu(struct moe_judgement *judgement, const char *check);

#endif
