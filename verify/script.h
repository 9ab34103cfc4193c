/*
 * script.h - the calls of one trial, in order, as a line of letters:
 *
 *   f b   forward, backward
 *   F B   the same amid the trial's surroundings (surroundings.h)
 *   P     both amid these, the second called without waiting for the first (GPU)
 *   e     forward, with its inputs elsewhere: they are gone when it has returned (CPU)
 *   i o   the trial's own inputs, or the other ones, are put there; outputs are poisoned
 *   c r   both passes captured as one graph, which does not run them; that graph run (GPU)
 *   m     the memory in use is read
 *
 * Workspace and kept memory are filled before the first f, b or c only: what one call leaves there
 * the next one finds. The plain trial is "fb".
 */
#ifndef MOE_SCRIPT_H
#define MOE_SCRIPT_H

#include "verify/trial.h"

/* Who carries the steps out. Each function returns the status of the variant's call, or of what was
 * done for it; `backward` says which pass. What an actor cannot do is NULL. */
struct script_actor {
    int (*pass)(void *context, int backward, int surrounded);
    int (*pair)(void *context); /* both, surrounded */
    int (*forward_elsewhere)(void *context);
    int (*give)(void *context, const struct moe_tensors *tensors);
    int (*capture)(void *context);
    int (*replay)(void *context);
    int (*held)(void *context, int64_t *bytes); /* memory in use now */
};

/* Runs trial->script. The first step that fails ends it, with its name and status in *result. */
void moe_script_run(const struct moe_trial *trial, const struct script_actor *actor, void *context,
                    struct moe_trial_result *result);

#endif
