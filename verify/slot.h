/*
 * slot.h - inside the supervisor: one worker and the job that it has.
 */
#ifndef MOE_SLOT_H
#define MOE_SLOT_H

#include "verify/worker.h"

/* How a supervisor starts its workers, and what the first of them said. */
struct moe_crew {
    const char *program;
    char **argv;
    int threads;    /* 0: as the environment says */
    char **variant; /* names, once a worker has said them; ends with NULL */
    int refusal;    /* status of a worker's refusal; moe_error_text() has its words */
};

struct moe_slot {
    struct moe_child child; /* pid 0: none */
    int greeted;            /* its hello has come */
    int closed;             /* no more answers can come */
    enum moe_phase phase;
    int spent;              /* after its answer it can do no more */
    int64_t memory_kills;   /* when it was started */
    int taken_away;         /* it was killed, and by neither itself nor for lack of memory */
    char place[64];         /* which call of the variant began last; "": none */
    char fault[96];         /* where in memory, as a dying worker told; "": it did not */
    double deadline, limit; /* of the job, in seconds */
    int64_t jobs_done;
    uint64_t id; /* of its job; 0: idle */
};

double moe_slot_clock(void); /* seconds, monotonic */

/* Starts a worker. MOE_E_IO, MOE_E_NOMEM. */
int moe_slot_start(struct moe_slot *slot, const struct moe_crew *crew);

/* Gives the running worker a job that may take `limit` seconds. */
void moe_slot_begin(struct moe_slot *slot, uint64_t id, const char *request, double limit);

enum moe_slot_state {
    MOE_SLOT_ON,       /* nothing new */
    MOE_SLOT_ANSWERED, /* *answer has the job's answer; the slot is idle */
    MOE_SLOT_REFUSED,  /* it could not open its plug-ins: crew->refusal, moe_error_text() */
    MOE_SLOT_FAILED,   /* it is of no use any more; how[] says why. Stop it */
};

/* Takes in what a started worker has said and looks whether it lives and is in time. An idle worker
 * may fail too. `answer` is undefined unless ANSWERED. */
enum moe_slot_state moe_slot_attend(struct moe_slot *slot, struct moe_crew *crew,
                                    struct moe_result *answer, char *how, size_t size);

/* Ends the worker; the slot is empty. */
void moe_slot_stop(struct moe_slot *slot);

#endif
