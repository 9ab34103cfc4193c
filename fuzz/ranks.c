/*
 * ranks.c - rank 0: the other ranks seen as one supervisor.
 *
 * Each rank is given a few more jobs than it has workers. A job goes to a rank on which its variant
 * can run; only where none has what it needs to any, for the SKIP that says why. Those that not
 * every rank can do go first.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/ranks.h"
#include "verify/slot.h"

#define JOBS_PER_WORKER 2

struct rank {
    char host[80];
    int workers;  /* 0: it has not said hello */
    int64_t open; /* jobs that it has */
    int *usable;  /* [variants] 0, 1; -1: it does not know that one */
};

struct job {
    struct job *next;
    uint64_t id, ticket;
    struct moe_problem problem;
    int variant;
    int rank; /* that has it; 0: none yet */
    char *line;
};

struct moe_ranks {
    const struct moe_mpi *mpi;
    int count, workers;
    struct rank *rank; /* [count]; [0] is this process */
    char **variant;    /* names, those of all ranks; ends with NULL */
    int *scarce;       /* [variants] some rank can, some cannot */
    int *nowhere;      /* [variants] no rank can */
    int variants;
    struct job *jobs, **jobs_end; /* all that are open */
    int64_t open;
    uint64_t last_id;
};

/* ---- hello ----------------------------------------------------------------------------------- */

static int variant_number(struct moe_ranks *ranks, const char *name)
{
    for (int v = 0; v < ranks->variants; v++)
        if (strcmp(ranks->variant[v], name) == 0)
            return v;
    char **variant = realloc(ranks->variant, (size_t)(ranks->variants + 2) * sizeof *variant);
    if (variant == NULL)
        return -1;
    ranks->variant = variant;
    variant[ranks->variants] = strdup(name);
    variant[ranks->variants + 1] = NULL;
    return variant[ranks->variants] != NULL ? ranks->variants++ : -1;
}

static int set_usable(struct rank *rank, int before, int after)
{
    int *usable = realloc(rank->usable, (size_t)(after + 1) * sizeof *usable);
    if (usable == NULL)
        return -1;
    rank->usable = usable;
    for (int v = before; v < after; v++)
        usable[v] = -1;
    return 0;
}

static int hear_hello(struct moe_ranks *ranks, int number, const json_t *object)
{
    const json_t *names = json_object_get(object, "hello");
    const json_t *usable = json_object_get(object, "usable");
    const char *host = json_string_value(json_object_get(object, "host"));
    struct rank *rank = &ranks->rank[number];
    snprintf(rank->host, sizeof rank->host, "%s", host != NULL ? host : "");
    rank->workers = (int)json_integer_value(json_object_get(object, "workers"));
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        int before = ranks->variants;
        int v = name != NULL ? variant_number(ranks, name) : -1;
        if (v < 0)
            return moe_error(MOE_E_NOMEM, "no memory for the names of variants");
        for (int r = 1; v >= before && r < ranks->count; r++)
            if (set_usable(&ranks->rank[r], before, ranks->variants) != 0)
                return moe_error(MOE_E_NOMEM, "no memory for the ranks");
        rank->usable[v] = json_integer_value(json_array_get(usable, i)) != 0;
    }
    return rank->workers > 0 ? MOE_OK
                             : moe_error(MOE_E_INTERNAL, "rank %d began with nonsense", number);
}

static int hear(struct moe_ranks *ranks, int number, const char *text)
{
    json_t *object = json_loads(text, 0, NULL);
    const char *error = json_string_value(json_object_get(object, "error"));
    int status = (int)json_integer_value(json_object_get(object, "status"));
    if (error != NULL)
        status = moe_error(status < 0 ? status : MOE_E_INTERNAL, "rank %d: %s", number, error);
    else
        status = hear_hello(ranks, number, object);
    json_decref(object);
    return status;
}

static int count_ranks(struct moe_ranks *ranks)
{
    ranks->scarce = calloc((size_t)ranks->variants + 1, sizeof *ranks->scarce);
    ranks->nowhere = calloc((size_t)ranks->variants + 1, sizeof *ranks->nowhere);
    if (ranks->scarce == NULL || ranks->nowhere == NULL)
        return moe_error(MOE_E_NOMEM, "no memory for the ranks");
    for (int v = 0; v < ranks->variants; v++) {
        int can = 0;
        for (int r = 1; r < ranks->count; r++)
            can += ranks->rank[r].usable[v] == 1;
        ranks->nowhere[v] = can == 0;
        ranks->scarce[v] = can > 0 && can < ranks->count - 1;
    }
    for (int r = 1; r < ranks->count; r++)
        ranks->workers += ranks->rank[r].workers;
    return MOE_OK;
}

/* Every rank says one thing, and each must be heard, or it would wait for ever. */
static int meet(struct moe_ranks *ranks)
{
    int status = MOE_OK;
    for (int heard = 1, number; heard < ranks->count;) {
        char *text = moe_ranks_receive(ranks->mpi, &number);
        if (text == NULL) {
            if (moe_interrupt_came())
                return moe_error(MOE_E_INTERNAL, "interrupted");
            moe_ranks_pause();
            continue;
        }
        heard++;
        if (status == MOE_OK)
            status = hear(ranks, number, text);
        free(text);
    }
    return status == MOE_OK ? count_ranks(ranks) : status;
}

int moe_ranks_start(const struct moe_mpi *mpi, int count, struct moe_ranks **ranks)
{
    struct moe_ranks *new = calloc(1, sizeof *new);
    int status = MOE_OK;
    if (new == NULL || (new->rank = calloc((size_t)count, sizeof *new->rank)) == NULL) {
        free(new);
        return moe_error(MOE_E_NOMEM, "no memory for the ranks");
    }
    new->mpi = mpi;
    new->count = count;
    new->jobs_end = &new->jobs;
    *ranks = new;
    status = moe_interrupt_take();
    return status == MOE_OK ? meet(new) : status;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

const char *moe_ranks_variant(const struct moe_ranks *ranks, int index)
{
    return index < ranks->variants ? ranks->variant[index] : NULL;
}

int moe_ranks_workers(const struct moe_ranks *ranks)
{
    return ranks->workers;
}

int64_t moe_ranks_open_jobs(const struct moe_ranks *ranks)
{
    return ranks->open;
}

/* The first job that waits and that the rank should do; scarce ones before others. */
static struct job *job_for(const struct moe_ranks *ranks, const struct rank *rank)
{
    struct job *first = NULL;
    for (struct job *job = ranks->jobs; job != NULL; job = job->next) {
        int can = rank->usable[job->variant];
        if (job->rank != 0 || !(can == 1 || (can == 0 && ranks->nowhere[job->variant])))
            continue;
        if (ranks->scarce[job->variant])
            return job;
        first = first != NULL ? first : job;
    }
    return first;
}

static void dispatch(struct moe_ranks *ranks)
{
    for (int r = 1; r < ranks->count; r++) {
        struct rank *rank = &ranks->rank[r];
        struct job *job;
        while (rank->open < (int64_t)rank->workers * JOBS_PER_WORKER &&
               (job = job_for(ranks, rank)) != NULL) {
            job->rank = r;
            rank->open++;
            ranks->mpi->send(r, job->line);
        }
    }
}

int moe_ranks_submit(struct moe_ranks *ranks, const struct moe_job *job)
{
    struct job *new = calloc(1, sizeof *new);
    if (new == NULL || (new->line = moe_job_encode(job, ranks->last_id + 1)) == NULL) {
        free(new);
        return moe_error(MOE_E_NOMEM, "no memory for a job");
    }
    new->id = ++ranks->last_id;
    new->ticket = job->ticket;
    new->problem = job->problem;
    new->variant = variant_number(ranks, job->variant);
    *ranks->jobs_end = new;
    ranks->jobs_end = &new->next;
    ranks->open++;
    dispatch(ranks);
    return MOE_OK;
}

static void free_job(struct job *job)
{
    free(job->line);
    free(job);
}

/* Takes the job out of those that are open; NULL: there is no such job. */
static struct job *remove_job(struct moe_ranks *ranks, uint64_t id)
{
    for (struct job **at = &ranks->jobs; *at != NULL; at = &(*at)->next) {
        struct job *job = *at;
        if (job->id != id)
            continue;
        *at = job->next;
        if (ranks->jobs_end == &job->next)
            ranks->jobs_end = at;
        ranks->open--;
        return job;
    }
    return NULL;
}

/* A line that is no answer to a job is passed over: its job stays open, and its rank has told why
 * before it ended. */
static int take_answer(struct moe_ranks *ranks, int number, const char *text,
                       struct moe_result *result, char *worker, size_t size)
{
    struct job *job;
    uint64_t id;
    if (moe_result_decode(text, &id, result) != MOE_OK || (job = remove_job(ranks, id)) == NULL)
        return 0;
    ranks->rank[job->rank].open--;
    result->ticket = job->ticket;
    result->problem = job->problem;
    result->variant = ranks->variant[job->variant];
    snprintf(worker, size, "%s:%d", ranks->rank[number].host, number);
    free_job(job);
    return 1;
}

enum moe_next moe_ranks_next(struct moe_ranks *ranks, double seconds, struct moe_result *result,
                             char *worker, size_t size)
{
    double until = moe_slot_clock() + seconds;
    for (;;) {
        int number;
        if (moe_interrupt_came())
            return MOE_NEXT_INTERRUPTED;
        if (ranks->open == 0)
            return MOE_NEXT_NONE;
        dispatch(ranks);
        char *text = moe_ranks_receive(ranks->mpi, &number);
        int answered = text != NULL && take_answer(ranks, number, text, result, worker, size);
        free(text);
        if (answered)
            return MOE_NEXT_RESULT;
        if (text == NULL && moe_slot_clock() >= until)
            return MOE_NEXT_WAIT;
        if (text == NULL)
            moe_ranks_pause();
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

/* What was on its way is taken, for who sends it waits until it is. */
static void hear_byes(const struct moe_ranks *ranks)
{
    for (int left = ranks->count - 1, number; left > 0;) {
        char *text = moe_ranks_receive(ranks->mpi, &number);
        if (text == NULL)
            moe_ranks_pause();
        else
            left -= strcmp(text, "bye") == 0;
        free(text);
    }
}

void moe_ranks_stop(struct moe_ranks *ranks)
{
    if (ranks == NULL)
        return;
    for (int r = 1; r < ranks->count; r++)
        ranks->mpi->send(r, "end");
    hear_byes(ranks);
    moe_interrupt_release();
    while (ranks->jobs != NULL) {
        struct job *job = ranks->jobs;
        ranks->jobs = job->next;
        free_job(job);
    }
    for (int r = 0; r < ranks->count; r++)
        free(ranks->rank[r].usable);
    for (int v = 0; v < ranks->variants; v++)
        free(ranks->variant[v]);
    free(ranks->variant);
    free(ranks->scarce);
    free(ranks->nowhere);
    free(ranks->rank);
    free(ranks);
}
