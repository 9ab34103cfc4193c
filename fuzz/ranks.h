/*
 * ranks.h - a campaign over the processes of one `mpirun -n N moecheck fuzz ...`: rank 0 hands out
 * jobs and takes their results, each other rank judges with workers of its own, on what devices it
 * has. Prototypes stand under the file that holds them.
 *
 * Ranks speak in lines, like a supervisor and its workers (worker.h): a rank begins with {"hello":
 * [names of variants], "usable": [0 or 1 of each], "workers": n, "host": name}, or {"error": text,
 * "status": number}; then come jobs, answered in any order, and at last "end", answered by "bye".
 */
#ifndef MOE_RANKS_H
#define MOE_RANKS_H

#include "fuzz/mpi_module.h"
#include "verify/command.h"

/* ---- ranks_join.c ---------------------------------------------------------------------------- */

/* Joins the other ranks, where mpirun has started this process and others; else *mpi is NULL.
 * MOE_E_UNSUPPORTED: there is no module for it. */
int moe_ranks_join(const struct moe_mpi **mpi, int *rank, int *ranks);

/* The next message, to be freed, and who sent it; NULL: none has come. */
char *moe_ranks_receive(const struct moe_mpi *mpi, int *rank);
void moe_ranks_pause(void); /* a moment, when none has come */

/* ---- ranks_serve.c: what ranks but 0 do -------------------------------------------------------
 */

/* Judges what rank 0 sends until that is the end. Returns the exit status. */
int moe_ranks_serve(const struct moe_mpi *mpi, const struct moe_options *options);

/* ---- ranks.c: what rank 0 does --------------------------------------------------------------- */

struct moe_ranks;

/* Hears what each of the others has. MOE_E_NOMEM; or one could not start its workers: its status
 * and words. */
int moe_ranks_start(const struct moe_mpi *mpi, int count, struct moe_ranks **ranks);

/* As the functions of a supervisor, for all ranks together. */
const char *moe_ranks_variant(const struct moe_ranks *ranks, int index);
int moe_ranks_workers(const struct moe_ranks *ranks);
int moe_ranks_submit(struct moe_ranks *ranks, const struct moe_job *job);
int64_t moe_ranks_open_jobs(const struct moe_ranks *ranks);
/* worker[size]: host:rank of who judged it. */
enum moe_next moe_ranks_next(struct moe_ranks *ranks, double seconds, struct moe_result *result,
                             char *worker, size_t size);

/* Ends the others. NULL is allowed. */
void moe_ranks_stop(struct moe_ranks *ranks);

#endif
