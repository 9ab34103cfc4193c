/*
 * crew.h - who judges for a campaign: workers of this process, or the other ranks of an mpirun.
 */
#ifndef MOE_CREW_H
#define MOE_CREW_H

#include "fuzz/ranks.h"

struct crew {
    const struct moe_mpi *mpi; /* NULL: mpirun has not started us, or nobody else */
    int rank, count;
    struct moe_supervisor *supervisor;
    struct moe_ranks *ranks;
    char worker[96]; /* who judged the last result, host:rank */
};

/* Starts them; to be stopped whatever it returns. The statuses of moe_supervisor_start and
 * moe_ranks_start. */
int crew_start(struct crew *crew, const struct moe_options *options);
/* There are no more jobs, but crew_stop may be some time off. */
void crew_rest(struct crew *crew);
void crew_stop(struct crew *crew);

/* As the functions of a supervisor. */
const char *crew_variant(const struct crew *crew, int index);
int crew_workers(const struct crew *crew);
int crew_submit(struct crew *crew, const struct moe_job *job);
int64_t crew_open_jobs(const struct crew *crew);
enum moe_next crew_next(struct crew *crew, double seconds, struct moe_result *result);

#endif
