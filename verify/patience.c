/*
 * patience.c - how long a job may take before it counts as hung.
 *
 * A guess that must never be too short: what the slowest variant does (plain loops in long double,
 * one thread, a busy machine) and what it takes to draw and compare every element.
 */
#define _DEFAULT_SOURCE /* getloadavg */
#include <stdlib.h>
#include <unistd.h>

#include "verify/worker.h"

#define SECONDS_AT_LEAST 60.0
#define FLOPS_PER_SECOND 1e8 /* naive reaches two to five times that alone on a core */
#define PTX_SECONDS_AT_LEAST 900.0
#define PTX_FLOPS_PER_SECOND 2e5 /* the PTX machine, of a whole judgement: hundreds of runs */
#define ELEMENTS_PER_SECOND 2e6  /* drawn, guarded, referred to, bounded and compared */
#define CROWDING_MOST 8.0

/* Of the products, forward and backward: each of the forward has two in the backward. */
static double flops(const struct moe_problem *problem)
{
    double rows = (double)moe_problem_max_entries(problem), T = (double)problem->T;
    double expert = rows * (double)(moe_problem_z_rows(problem) + problem->I);
    double shared = T * (double)(moe_problem_shared_rows(problem) + problem->shared);

    return 6.0 * (double)problem->H * (expert + shared + T * (double)problem->E);
}

static double elements(const struct moe_problem *problem)
{
    double sum = 0;

    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        struct moe_tensor tensor;

        if (moe_tensor_exists(problem, (enum moe_tensor_id)id) &&
            moe_tensor_describe(problem, (enum moe_tensor_id)id, &tensor) == MOE_OK)
            sum += (double)moe_tensor_count(&tensor);
    }
    return sum;
}

double moe_patience(const struct moe_problem *problem, unsigned devices)
{
    int ptx = (devices & MOE_ON_PTX) != 0;

    return (ptx ? PTX_SECONDS_AT_LEAST : SECONDS_AT_LEAST) +
           flops(problem) / (ptx ? PTX_FLOPS_PER_SECOND : FLOPS_PER_SECOND) +
           elements(problem) / ELEMENTS_PER_SECOND;
}

double moe_crowding(void)
{
    double load, cores = (double)sysconf(_SC_NPROCESSORS_ONLN);

    if (cores < 1 || getloadavg(&load, 1) != 1 || !(load > cores))
        return 1;
    return load / cores < CROWDING_MOST ? load / cores : CROWDING_MOST;
}
