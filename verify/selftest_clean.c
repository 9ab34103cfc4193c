/*
 * selftest_clean.c - cases for models without a fault, at the edges of their tiles.
 */
#include <stdio.h>

#include "verify/selftest.h"

/* Purpose of the words; see ref/moe.h. */
#define CLEAN_CASE 0x636c656eu

static const char *const model[] = {"model-forward", "model-blocked", "model-pairwise",
                                    "model-split",   "model-mma",     "model-mma-fold"};
#define MODELS ((int)(sizeof model / sizeof *model))
#define FIRST_TENSOR_CORE 4
#define CONFIGURATIONS 3

const char *selftest_model(int index)
{
    return index < MODELS ? model[index] : NULL;
}

#define VALUES 16
static const struct {
    const char *key;
    const char *value[VALUES];
} factor[] = {
    {"dtype", {"bf16", "f16", "f32", "bf16", "f16", "f64"}},
    {"T", {"37", "1", "2", "7", "8", "9", "16", "17", "31", "33", "64", "65", "0", "90"}},
    {"H", {"16", "8", "24", "40", "47", "48", "64", "1", "72", "33"}},
    {"I", {"16", "8", "24", "40", "1", "17", "32"}},
    {"E", {"4", "1", "2", "3", "5", "8", "9", "16"}},
    {"K", {"2", "1", "3", "4", "8"}},
    {"act",
     {"swiglu", "geglu", "geglu-tanh", "reglu", "swiglu-oai", "swiglu-clamp:2", "silu", "gelu",
      "gelu-tanh", "relu", "relu2"}},
    {"w1", {"interleaved", "halves", "interleaved8"}},
    {"router", {"topk-softmax", "lists", "softmax-topk", "sigmoid", "sqrt-softplus", "lists"}},
    {"renorm", {"0", "1"}},
    {"scale", {"1", "2.5"}},
    {"groups", {"0", "0", "0", "4/2"}},
    {"bias", {"0", "1"}},
    {"router-bias", {"0", "0", "1"}},
    {"sel-bias", {"0", "0", "1"}},
    {"weight", {"after-w2", "after-w2", "before-w2", "input"}},
    {"beta", {"0", "0", "1"}},
    {"grad", {"same", "same", "f32"}},
    {"routing",
     {"uniform", "zipf:1.1", "hot", "same", "first", "last", "sparse", "ties", "dropped:0.3",
      "ragged"}},
    {"data",
     {"normal", "normal", "heavy", "positive", "constant", "tiny", "large", "sparse", "zero",
      "exact0", "exact1", "exact2"}},
};
#define FACTORS ((int)(sizeof factor / sizeof *factor))

static uint32_t roll(uint64_t seed, int64_t number, int attempt, int what)
{
    return moe_draw_word(seed, CLEAN_CASE, (uint64_t)((number * 64 + attempt) * 64 + what));
}

/* One draw; 1 where it has a meaning and the model takes it. */
static int draw(uint64_t seed, int64_t number, int attempt, struct moe_problem *problem)
{
    int which = (int)(number % MODELS);
    *problem = moe_problem_default();
    for (int f = 0; f < FACTORS; f++) {
        uint32_t count = 0, word = roll(seed, number, attempt, f);
        while (count < VALUES && factor[f].value[count])
            count++;
        /* half of the time the plainest, so that legal combinations are common */
        uint32_t value = word & 1 || f < 6 ? (word >> 1) % count : 0;
        (void)moe_problem_set(problem, factor[f].key, factor[f].value[value]);
    }
    if (which >= FIRST_TENSOR_CORE && problem->dtype != MOE_F16)
        problem->dtype = MOE_BF16;
    problem->seed = seed * 1000003 + (uint64_t)number;
    return moe_problem_validate(problem) == MOE_OK;
}

void selftest_clean_case(uint64_t seed, int64_t number, struct selftest_trial *trial)
{
    trial->model = model[number % MODELS];
    trial->configuration = (int32_t)(number / MODELS % CONFIGURATIONS);
    for (int attempt = 0; attempt < 64; attempt++)
        if (draw(seed, number, attempt, &trial->problem))
            return;
    trial->problem = moe_problem_default();
    trial->problem.seed = (uint64_t)number;
}
