/*
 * trial.h - one run of a variant: open, forward, backward, close, on tensors and memory of ours.
 *
 * The judge's own run is a trial, and so is every further run that a check makes: on changed
 * inputs, with other bytes in what is undefined, elsewhere in memory, among other work. What the
 * members say that are 0 is the plain way.
 */
#ifndef MOE_TRIAL_H
#define MOE_TRIAL_H

#include "verify/arena.h"
#include "verify/verify.h"

/* Every byte of what a variant has to write, before it runs: a NaN in every float type, -1 in the
 * integers. */
#define MOE_POISON 0xff

struct moe_trial {
    const struct moe_problem *problem;
    const struct moe_variant *variant;
    int32_t configuration;
    int fill; /* byte that workspace and kept memory hold at first, and that guards are made of;
                 outputs are the caller's to fill */
    struct moe_placement where; /* the memory lies */
    const char *script; /* the calls, one letter each (script.h); NULL: forward and backward */
    const struct moe_tensors *own, *other;       /* what the steps i and o of a script put there */
    const struct moe_surroundings *surroundings; /* of the passes F and B (surroundings.h) */
    int measures; /* 1: memory in use is read before open, at the marks of the script, behind close
                   */
    int threads;  /* of OpenMP, while a variant runs on the CPU; 0: as they are */
    unsigned devices; /* mask of what it may run on (verify.h); 0: whatever the variant can */
    int schedule;     /* on a PTX machine: the number of its order and times */
    /* Told whenever control passes between us and the variant, so that a crash has an owner. */
    void (*phase)(void *context, enum moe_phase phase);
    /* Told which step begins ("forward"), and of which check's run (NULL: the judge's own), so that
     * a hang has a place. */
    void (*place)(void *context, const char *check, const char *step);
    const char *check;
    void *context;
};

#define MOE_TRIAL_STRAYS 4
#define MOE_TRIAL_MARKS 8

/* Which call failed and how; the text is moe_error_text(). */
struct moe_trial_result {
    const char *step;
    int status;
    int modes_changed;    /* it left this thread with other floating-point modes */
    uint32_t status_word; /* as the variant left it */
    int stray_count;      /* stretches beside the buffers that changed; the first are kept */
    struct moe_stray stray[MOE_TRIAL_STRAYS];
    int waited; /* a call returned only when work before it on the stream had ended */
    int64_t held_before, held_after; /* bytes of memory in use, where it measures */
    int alone;   /* on a GPU: it wanted to be, and was: no other run of ours was on it meanwhile */
    int crowded; /* 1: others' runs did not leave the GPU that it must have alone; nothing was run
                  */
    int64_t mark[MOE_TRIAL_MARKS]; /* the same at the marks, in their order */
    int marks;
    int stalled; /* a call's work ended only when other work had left the device */
    /* On a device that watches: of each tensor that the variant has to write the first element,
     * plus 1, that is not defined (nobody wrote it, or what nobody wrote went into it); 0: none. */
    int64_t undefined[MOE_TENSOR_COUNT];
    char remark[768]; /* and what it saw that is only against the text; "": nothing */
};

/* Where the trial runs: the first kind of its mask that the variant has; of CPU, CUDA, PTX in this
 * order. */
enum moe_device_kind moe_trial_device(const struct moe_trial *trial);

/* Does the variant write the whole tensor, and read nothing of it before? */
int moe_trial_writes(const struct moe_problem *problem, enum moe_tensor_id id);

/* Runs of variants by this process so far. */
int64_t moe_trial_count(void);

/*
 * Both passes on what the tensors hold (dense, host memory). The variant gets copies, in an arena
 * of this run's own or on its device, and all of them come back. A failing call of the variant is
 * in *result, and the tensors then hold what it left; where a device failed they are undefined.
 * Trouble of ours is the return value.
 */
int moe_trial_run(const struct moe_trial *trial, struct moe_tensors *tensors,
                  struct moe_trial_result *result);

/* Fills every tensor that the variant has to write with a byte; a gradient that beta=1 adds to, and
 * the inputs, keep what they hold. */
void moe_tensors_fill_outputs(const struct moe_problem *problem, struct moe_tensors *tensors,
                              int byte);

/* New tensors with the inputs of others (and the gradients that beta=1 adds to as drawn for the
 * problem), outputs filled with `byte`. MOE_E_NOMEM. */
int moe_tensors_again(const struct moe_problem *problem, const struct moe_tensors *from, int byte,
                      struct moe_tensors *tensors);

#endif
