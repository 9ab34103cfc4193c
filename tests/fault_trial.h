/*
 * fault_trial.h - variants of moecheck-faults.so, judged in processes of their own: some faults end
 * in an error that sticks, in a crash or in a hang.
 */
#ifndef FAULT_TRIAL_H
#define FAULT_TRIAL_H

#include <stddef.h>
#include <sys/types.h>

#include "verify/verify.h"

/* What came of one fault, as its process tells it. */
struct outcome {
    enum moe_verdict verdict; /* of the case that was caught, or the worst of all */
    char text[1000];
};

struct trying {
    pid_t pid;
    int from;
    const struct outcome *told; /* not NULL: there is no process */
};

/* Opens the plug-in (MOE_FAULTS, else the build's) and finds its variant. NULL: why[size] says why
 * not; *built tells whether there should be one. */
const struct moe_variant *fault_subject(const char *name, int *built, char *why, size_t size);

/* Judges one case. 1: it was not PASS, and *outcome tells. Else its text is what the PTX machine
 * remarked, if it did. `place` is in the words. */
int fault_judge(const struct moe_variant *variant, const struct moe_judge_options *options,
                const char *line, const char *place, struct outcome *outcome);

/* judge(what, outcome) in a process that ends after so many seconds. */
struct trying fault_start(void (*judge)(const void *what, struct outcome *outcome),
                          const void *what, unsigned seconds);

/* What it tells. A process that ended without an answer ended inside the variant. */
struct outcome fault_wait(const struct trying *trying);

/* Is there a GPU? Asked by a process of its own. */
int fault_look_for_gpu(char *why, size_t size);

/* Does the name match one of the patterns, or are there none? */
int fault_wanted(const char *name, int globs, char *const *glob);

#endif
