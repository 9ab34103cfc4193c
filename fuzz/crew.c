/*
 * crew.c - who judges for a campaign; see crew.h.
 */
#include <stdio.h>
#include <unistd.h>

#include "fuzz/crew.h"

int crew_start(struct crew *crew, const struct moe_options *options)
{
    struct moe_supervisor_options how = moe_options_supervisor(options);
    char host[80] = "";
    (void)gethostname(host, sizeof host - 1);
    snprintf(crew->worker, sizeof crew->worker, "%s:0", host);
    return crew->mpi != NULL ? moe_ranks_start(crew->mpi, crew->count, &crew->ranks)
                             : moe_supervisor_start(&how, &crew->supervisor);
}

/* Who shrinks has workers of its own, and takes the signals. Ranks wait asleep; at their end they
 * would wait for this one awake. */
void crew_rest(struct crew *crew)
{
    moe_supervisor_stop(crew->supervisor);
    crew->supervisor = NULL;
    moe_interrupt_release();
}

void crew_stop(struct crew *crew)
{
    moe_supervisor_stop(crew->supervisor);
    moe_ranks_stop(crew->ranks);
    crew->supervisor = NULL;
    crew->ranks = NULL;
}

const char *crew_variant(const struct crew *crew, int index)
{
    return crew->ranks != NULL ? moe_ranks_variant(crew->ranks, index)
                               : moe_supervisor_variant(crew->supervisor, index);
}

int crew_workers(const struct crew *crew)
{
    return crew->ranks != NULL ? moe_ranks_workers(crew->ranks)
                               : moe_supervisor_workers(crew->supervisor);
}

int crew_submit(struct crew *crew, const struct moe_job *job)
{
    return crew->ranks != NULL ? moe_ranks_submit(crew->ranks, job)
                               : moe_supervisor_submit(crew->supervisor, job);
}

int64_t crew_open_jobs(const struct crew *crew)
{
    return crew->ranks != NULL ? moe_ranks_open_jobs(crew->ranks)
                               : moe_supervisor_open_jobs(crew->supervisor);
}

enum moe_next crew_next(struct crew *crew, double seconds, struct moe_result *result)
{
    return crew->ranks != NULL
               ? moe_ranks_next(crew->ranks, seconds, result, crew->worker, sizeof crew->worker)
               : moe_supervisor_next(crew->supervisor, seconds, result);
}
