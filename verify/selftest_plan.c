/*
 * selftest_plan.c - which cases each fault is judged on, and the levels of the floors.
 *
 * A fault meets every model once on generic data, types and routers in turn, and exact data; its
 * own words then make sure that the case reaches it.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/selftest.h"

/* A case that is small and has tails of every tile, an expert or two with few rows, and no size
 * that is a multiple of another. */
#define BASE "T=37 H=48 I=24 E=5 K=2"

/* Faults that hang take the time limit twice each; what ends a process need not be tried often. */
#define TRIALS_OF_PROCESS_FAULTS 1

static const char *const generic[] = {
    "dtype=bf16 router=topk-softmax",     "dtype=f16 router=lists bias=1",
    "dtype=f32 router=sigmoid bias=1",    "dtype=f32 router=softmax-topk beta=1 w1=halves",
    "dtype=bf16 router=lists data=heavy", "dtype=f16 router=sigmoid w1=halves bias=1",
};
#define GENERIC ((int)(sizeof generic / sizeof *generic))

static const char *const exact[] = {
    "dtype=bf16 router=lists data=exact0",
    "dtype=bf16 router=lists data=exact1",
    "dtype=bf16 router=lists data=exact2",
};
#define EXACT ((int)(sizeof exact / sizeof *exact))

/* Wide enough for a gate of one token; a product of 1024; a tensor to spoil a part of. */
static const struct selftest_floor floors[] = {
    {"one gate of one token, data=exact1",
     "relative error",
     "gate-error",
     "T=40 H=64 I=32 E=4 K=2 router=lists data=exact1",
     NULL,
     {3, 4, 5, 6, 7, 8, 9, 10, 11},
     1},
    {"one gate of one token, generic data",
     "relative error",
     "gate-error",
     "T=128 H=256 I=64 E=4 K=2 router=lists",
     "model-pairwise",
     {3, 4, 5, 6, 7, 8, 9, 10},
     1},
    {"k missing of 1024, data=exact0",
     "k",
     "last-k-missing-z",
     "T=16 H=1024 I=16 E=2 K=1 router=lists data=exact0",
     NULL,
     {16, 8, 4, 2, 1},
     0},
    {"k missing of 1024, generic data",
     "k",
     "last-k-missing-z",
     "T=16 H=1024 I=16 E=2 K=1 router=lists",
     NULL,
     {16, 8, 4, 2, 1},
     0},
    {"elements of o wrong, data=exact0",
     "elements",
     "one-element-wrong-o",
     "T=40 H=64 I=32 E=4 K=2 router=lists data=exact0",
     NULL,
     {64, 16, 8, 4, 2, 1},
     0},
    {"elements of o wrong, generic data",
     "elements",
     "one-element-wrong-o",
     "T=40 H=64 I=32 E=4 K=2 router=lists",
     NULL,
     {64, 16, 8, 4, 2, 1},
     0},
    {"gain of o, data=exact0",
     "gain",
     "gain-o",
     "T=40 H=64 I=32 E=4 K=2 router=lists data=exact0",
     NULL,
     {4, 5, 6, 7, 8},
     1},
    {"gain of o, generic data",
     "gain",
     "gain-o",
     "T=128 H=128 I=64 E=4 K=2 router=lists",
     NULL,
     {4, 5, 6, 7, 8, 9, 10},
     1},
};

const struct selftest_floor *selftest_floor_get(int index)
{
    return index < (int)(sizeof floors / sizeof *floors) ? &floors[index] : NULL;
}

int selftest_wanted(const struct selftest *selftest, const struct moe_fault *fault)
{
    return !selftest->glob || fnmatch(selftest->glob, fault->name, 0) == 0;
}

/* key=value words, each of which overrides what stood there. */
static int apply(struct moe_problem *problem, const char *words)
{
    int status = MOE_OK;
    while (status == MOE_OK && *words) {
        char key[32], value[64];
        int length = 0;
        if (sscanf(words, " %31[^= ]=%63s%n", key, value, &length) < 2)
            return moe_error(MOE_E_INTERNAL, "selftest: '%s' is no list of words", words);
        status = moe_problem_set(problem, key, value);
        words += length;
    }
    return status;
}

static int add(struct selftest *selftest, const struct selftest_trial *trial)
{
    if (selftest->count == selftest->capacity) {
        int64_t capacity = 2 * selftest->capacity + 1024;
        struct selftest_trial *grown = realloc(selftest->trial, (size_t)capacity * sizeof *grown);
        if (!grown)
            return moe_error(MOE_E_NOMEM, "no memory for %lld trials", (long long)capacity);
        selftest->trial = grown;
        selftest->capacity = capacity;
    }
    selftest->trial[selftest->count++] = *trial;
    return MOE_OK;
}

/* A case of the words given, of which later ones override; 0 where it has no meaning. */
static int make(struct moe_problem *problem, const char *one, const char *two, uint64_t seed)
{
    *problem = moe_problem_default();
    if (apply(problem, BASE) != MOE_OK || apply(problem, one) != MOE_OK ||
        apply(problem, two) != MOE_OK)
        return 0;
    problem->seed = seed;
    return moe_problem_validate(problem) == MOE_OK;
}

static int plan_fault(struct selftest *selftest, int index, const struct moe_fault *fault)
{
    int few = fault->class == MOE_FAULT_ENVIRONMENT, planned = 0, status = MOE_OK;
    struct selftest_trial trial = {.kind = SELFTEST_FAULT, .subject = index};
    snprintf(trial.fault, sizeof trial.fault, "%s", fault->name);
    for (int i = 0; status == MOE_OK && i < GENERIC + EXACT; i++) {
        const char *words = i < GENERIC ? generic[i] : exact[i - GENERIC];
        if (few && planned >= TRIALS_OF_PROCESS_FAULTS)
            break;
        if (!make(&trial.problem, words, fault->words,
                  selftest->seed * 1000 + (uint64_t)(10 * index + i)))
            continue;
        trial.number = planned++;
        trial.model = selftest_model((i + index) % GENERIC);
        trial.configuration = fault->configuration ? fault->configuration : (index + i / 2) % 3;
        status = add(selftest, &trial);
    }
    selftest->score[index].planned = planned;
    if (status == MOE_OK && planned == 0)
        return moe_error(MOE_E_INTERNAL, "selftest: no case has '%s', which %s needs", fault->words,
                         fault->name);
    return status;
}

static int plan_floor(struct selftest *selftest, int index, const struct selftest_floor *floor)
{
    struct selftest_trial trial = {.kind = SELFTEST_FLOOR,
                                   .model = floor->model ? floor->model : "model-blocked",
                                   .configuration = 0};
    int status = MOE_OK;
    for (int level = 0; level < SELFTEST_LEVELS && floor->level[level]; level++)
        for (int seed = 0; seed < SELFTEST_SEEDS && status == MOE_OK; seed++) {
            trial.subject = index * SELFTEST_LEVELS + level;
            trial.number = seed;
            snprintf(trial.fault, sizeof trial.fault, "%s@%d", floor->fault, floor->level[level]);
            if (!make(&trial.problem, floor->line, "dtype=bf16",
                      selftest->seed * 1000 + (uint64_t)seed))
                return MOE_OK; /* data that this build does not draw: nothing is shown of it */
            status = add(selftest, &trial);
            selftest->floor[trial.subject].planned++;
        }
    return status;
}

int selftest_plan(struct selftest *selftest)
{
    const struct moe_fault *fault;
    const struct selftest_floor *floor;
    int faults = 0, status = MOE_OK;
    while (moe_fault_get(faults))
        faults++;
    selftest->score = calloc((size_t)faults + 1, sizeof *selftest->score);
    selftest->floor =
        calloc(sizeof floors / sizeof *floors * SELFTEST_LEVELS, sizeof *selftest->floor);
    if (!selftest->score || !selftest->floor)
        return moe_error(MOE_E_NOMEM, "no memory for %d faults", faults);
    for (int i = 0; status == MOE_OK && (fault = moe_fault_get(i)); i++)
        if (fault->needs == MOE_FAULT_ON_CPU && selftest_wanted(selftest, fault))
            status = plan_fault(selftest, i, fault);
    for (int i = 0; status == MOE_OK && selftest->floors && (floor = selftest_floor_get(i)); i++)
        status = plan_floor(selftest, i, floor);
    for (int64_t i = 0; status == MOE_OK && i < selftest->clean; i++) {
        struct selftest_trial trial = {.kind = SELFTEST_CLEAN};
        selftest_clean_case(selftest->seed, i, &trial);
        status = add(selftest, &trial);
    }
    return status;
}
