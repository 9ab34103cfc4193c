/*
 * factors.c - what is varied: the keys of the case line, each with the values that matter.
 *
 * One row a key. Every value is met with every value of every other row, as far as the grammar lets
 * them stand together, so a value more costs about as many cases as the longest other row has
 * values. The first value of a row is the plainest: it goes with the first values of all the
 * others, and a case's other keys keep it where nothing else is asked for.
 *
 * Sizes stand at 0, 1, 2, at odd numbers and one below, at and above the edges at which kernels
 * split work (8, 16, 32, 64, 128), and are small, so that loops without any cleverness run
 * thousands of cases a minute. K = E is met as pairs of equal numbers in the rows K and E.
 */
#include <string.h>

#include "fuzz/fuzz.h"

/* clang-format off */
static const struct moe_factor factors[] = {
    {"T", {"9", "0", "1", "2", "3", "7", "8", "15", "16", "17", "31", "32", "33", "63", "64", "65", "129"}},
    {"H", {"8", "1", "2", "7", "15", "16", "17", "31", "32", "33", "63", "64", "65", "128"}},
    {"I", {"8", "1", "2", "7", "15", "16", "17", "31", "32", "33", "63", "64", "65", "128"}},
    {"E", {"4", "1", "2", "3", "5", "8", "16", "33", "60", "255", "256", "257", "512"}},
    {"K", {"2", "1", "3", "4", "5", "8", "16"}},
    {"dtype", {"bf16", "f16", "f32", "f64"}},
    {"grad", {"same", "f32"}},
    {"act", {"swiglu", "geglu", "geglu-tanh", "reglu", "swiglu-oai", "swiglu-clamp:10",
             "swiglu-clamp:0.5", "silu", "gelu", "gelu-tanh", "relu", "relu2"}},
    {"w1", {"interleaved", "interleaved8", "halves"}},
    {"router", {"topk-softmax", "softmax-topk", "sigmoid", "sqrt-softplus", "lists"}},
    {"renorm", {"0", "1"}},
    {"scale", {"1", "2.5"}},
    {"groups", {"0", "1/1", "2/1", "4/2", "4/3", "4/4"}},
    {"bias", {"0", "1"}},
    {"router-bias", {"0", "1"}},
    {"sel-bias", {"0", "1"}},
    {"round", {"none", "nearest", "up", "down", "stochastic", "balanced"}},
    {"round-to", {"128", "1", "2", "4", "8", "16"}},
    {"weight", {"after-w2", "before-w2", "input"}},
    {"shared", {"0", "1", "8", "17", "64"}},
    {"shared-gate", {"0", "1"}},
    {"aux", {"0", "0.01"}},
    {"zloss", {"0", "0.001"}},
    {"beta", {"0", "1"}},
    {"routing", {"uniform", "zipf:1.1", "hot", "same", "first", "last", "sparse", "ties",
                 "dropped:0.25", "dropped:1", "ragged", "first-empty", "last-empty", "odd-empty",
                 "tail-empty", "sorted", "edges"}},
    {"data", {"normal", "heavy", "positive", "constant", "tiny", "large", "sparse", "zero", "exact0", "exact1", "exact2"}},
};
/* clang-format on */

static const int factor_count = sizeof factors / sizeof factors[0];

_Static_assert(sizeof factors / sizeof factors[0] <= MOE_FACTOR_MAX, "raise MOE_FACTOR_MAX");

const struct moe_factor *moe_factor_get(int index)
{
    return index >= 0 && index < factor_count ? &factors[index] : NULL;
}

int moe_factor_count(void)
{
    return factor_count;
}

int moe_factor_value_count(int index)
{
    int count = 0;
    while (count < MOE_FACTOR_VALUES && factors[index].value[count] != NULL)
        count++;
    return count;
}

int moe_factor_index(const char *key)
{
    for (int f = 0; f < factor_count; f++)
        if (strcmp(factors[f].key, key) == 0)
            return f;
    return -1;
}
