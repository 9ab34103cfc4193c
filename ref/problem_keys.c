/*
 * problem_keys.c - the table of the keys of a case line: name, what is allowed, default, help, and
 * how a value is read and printed. A new key is one row here and one field in struct moe_problem.
 */
#include <float.h>
#include <stdio.h>
#include <string.h>

#include "ref/problem.h"

/* Names are stored through int, whatever the enum. */
_Static_assert(sizeof(enum moe_dtype) == sizeof(int), "enums have the size of int");

static void *at(struct moe_problem *problem, size_t offset)
{
    return (char *)problem + offset;
}

static const void *in(const struct moe_problem *problem, size_t offset)
{
    return (const char *)problem + offset;
}

static int parse_integer(const struct problem_key *key, const char *value,
                         struct moe_problem *problem)
{
    uint64_t number;
    if (number_read_integer(&value, (uint64_t)key->most, &number) != 0 || *value != '\0' ||
        (int64_t)number < key->least)
        return -1;
    *(int64_t *)at(problem, key->field) = (int64_t)number;
    return 0;
}

static void print_integer(const struct problem_key *key, const struct moe_problem *problem,
                          char *value)
{
    snprintf(value, PROBLEM_VALUE_SIZE, "%lld",
             (long long)*(const int64_t *)in(problem, key->field));
}

static int parse_flag(const struct problem_key *key, const char *value, struct moe_problem *problem)
{
    if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
        return -1;
    *(int *)at(problem, key->field) = value[0] == '1';
    return 0;
}

static void print_flag(const struct problem_key *key, const struct moe_problem *problem,
                       char *value)
{
    snprintf(value, PROBLEM_VALUE_SIZE, "%d", *(const int *)in(problem, key->field));
}

static int parse_real(const struct problem_key *key, const char *value, struct moe_problem *problem)
{
    double number;
    if (number_read_real(&value, &number) != 0 || *value != '\0' || number < key->least_real)
        return -1;
    *(double *)at(problem, key->field) = number;
    return 0;
}

static void print_real(const struct problem_key *key, const struct moe_problem *problem,
                       char *value)
{
    number_print_real(*(const double *)in(problem, key->field), value, PROBLEM_VALUE_SIZE);
}

/* "name", or "name:number" where the name takes one; without one the number's field becomes 0. */
static int parse_name(const struct problem_key *key, const char *value, struct moe_problem *problem)
{
    const size_t length = strcspn(value, ":");
    struct problem_name name;
    double argument = 0;
    int index = 0;
    for (;; index++) {
        if (key->names(index, &name) != 0)
            return -1;
        if (strncmp(name.text, value, length) == 0 && name.text[length] == '\0')
            break;
    }
    value += length;
    if (name.has_argument) {
        if (*value++ != ':' || number_read_real(&value, &argument) != 0 || argument < name.least ||
            argument > name.most)
            return -1;
    }
    if (*value != '\0')
        return -1;
    *(int *)at(problem, key->field) = index;
    if (key->other_field != 0)
        *(double *)at(problem, key->other_field) = argument;
    return 0;
}

static void print_name(const struct problem_key *key, const struct moe_problem *problem,
                       char *value)
{
    const int index = *(const int *)in(problem, key->field);
    struct problem_name name;
    int length;
    if (key->names(index, &name) != 0) {
        snprintf(value, PROBLEM_VALUE_SIZE, "%d", index);
        return;
    }
    length = snprintf(value, PROBLEM_VALUE_SIZE, "%s%s", name.text, name.has_argument ? ":" : "");
    if (name.has_argument)
        number_print_real(*(const double *)in(problem, key->other_field), value + length,
                          PROBLEM_VALUE_SIZE - (size_t)length);
}

/* "0", or "G/k". */
static int parse_groups(const struct problem_key *key, const char *value,
                        struct moe_problem *problem)
{
    uint64_t groups, kept = 0;
    if (number_read_integer(&value, (uint64_t)key->most, &groups) != 0)
        return -1;
    if (groups > 0) {
        if (*value++ != '/' || number_read_integer(&value, groups, &kept) != 0 || kept < 1)
            return -1;
    }
    if (*value != '\0')
        return -1;
    *(int64_t *)at(problem, key->field) = (int64_t)groups;
    *(int64_t *)at(problem, key->other_field) = (int64_t)kept;
    return 0;
}

static void print_groups(const struct problem_key *key, const struct moe_problem *problem,
                         char *value)
{
    const int64_t groups = *(const int64_t *)in(problem, key->field);
    const int64_t kept = *(const int64_t *)in(problem, key->other_field);
    if (groups == 0 && kept == 0)
        snprintf(value, PROBLEM_VALUE_SIZE, "0");
    else
        snprintf(value, PROBLEM_VALUE_SIZE, "%lld/%lld", (long long)groups, (long long)kept);
}

/* 64 bits, decimal, or hexadecimal behind 0x. */
static int parse_seed(const struct problem_key *key, const char *value, struct moe_problem *problem)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    uint64_t number = 0;
    if (value[0] != '0' || value[1] != 'x') {
        if (number_read_integer(&value, UINT64_MAX, &number) != 0 || *value != '\0')
            return -1;
    } else {
        value += 2;
        do {
            const char *digit = *value != '\0' ? strchr(digits, *value) : NULL;
            if (digit == NULL || number >> 60 != 0)
                return -1;
            number = number << 4 | (uint64_t)((digit - digits) % 16);
        } while (*++value != '\0');
    }
    *(uint64_t *)at(problem, key->field) = number;
    return 0;
}

static void print_seed(const struct problem_key *key, const struct moe_problem *problem,
                       char *value)
{
    snprintf(value, PROBLEM_VALUE_SIZE, "%llu",
             (unsigned long long)*(const uint64_t *)in(problem, key->field));
}

#define FIELD(name) offsetof(struct moe_problem, name)
#define INTEGER .parse = parse_integer, .print = print_integer
#define FLAG .parse = parse_flag, .print = print_flag
#define REAL .parse = parse_real, .print = print_real
#define NAME .parse = parse_name, .print = print_name

/* The largest dimension is that of an int32 index; T stays far enough below 2^63 that T times a
 * dimension is. */
#define INT32_TEXT "2147483647"

/* In the order in which a line is printed; one key is one paragraph. */
/* clang-format off */
static const struct problem_key table[] = {
    {{"T", "an integer, 0 .. 1099511627776", "64", "tokens"},
     INTEGER, FIELD(T), .least = 0, .most = (int64_t)1 << 40, .always = 1},
    {{"H", "an integer, 1 .. " INT32_TEXT, "64", "hidden: width of a token"},
     INTEGER, FIELD(H), .least = 1, .most = INT32_MAX, .always = 1},
    {{"I", "an integer, 1 .. " INT32_TEXT, "32", "intermediate units of an expert"},
     INTEGER, FIELD(I), .least = 1, .most = INT32_MAX, .always = 1},
    {{"E", "an integer, 1 .. " INT32_TEXT, "8", "experts"},
     INTEGER, FIELD(E), .least = 1, .most = INT32_MAX, .always = 1},
    {{"K", "an integer, 1 .. 32768, at most E", "2", "experts per token"},
     INTEGER, FIELD(K), .least = 1, .most = 32768, .always = 1},
    {{"dtype", "bf16 f16 f32 f64", "bf16", "type of values and weights"},
     NAME, FIELD(dtype), .names = problem_dtype_names, .always = 1},
    {{"grad", "same f32", "same", "type of the parameter gradients"},
     NAME, FIELD(grad), .names = problem_grad_names},
    {{"act",
      "swiglu geglu geglu-tanh reglu swiglu-oai swiglu-clamp:C (C > 0) "
      "silu gelu gelu-tanh relu relu2",
      "swiglu", "activation; the first six are gated"},
     NAME, FIELD(act), FIELD(act_clamp), .names = problem_act_names},
    {{"w1", "interleaved interleaved8 halves", "interleaved",
      "rows of w1: gate and up by turns, by turns of 8, or all gates first"},
     NAME, FIELD(w1), .names = problem_w1_names},
    {{"router", "topk-softmax softmax-topk sigmoid sqrt-softplus lists", "topk-softmax",
      "how scores come of logits; lists: picks and scores are given"},
     NAME, FIELD(router), .names = problem_router_names},
    {{"renorm", "0 1", "0", "1: picked scores are divided by their sum"}, FLAG, FIELD(renorm)},
    {{"scale", "a number > 0", "1", "then multiplied by this"},
     REAL, FIELD(scale), .least_real = DBL_TRUE_MIN},
    {{"groups", "0, or G/k with 1 <= k <= G", "0", "pick from the best k of G groups of experts"},
     .parse = parse_groups, .print = print_groups, FIELD(groups), FIELD(groups_kept),
     .most = INT32_MAX},
    {{"bias", "0 1", "0", "1: b1 and b2"}, FLAG, FIELD(bias)},
    {{"router-bias", "0 1", "0", "1: br is added to the logits"}, FLAG, FIELD(router_bias)},
    {{"sel-bias", "0 1", "0", "1: sel_bias is added to the scores for picking only"},
     FLAG, FIELD(sel_bias)},
    {{"round", "none nearest up down stochastic balanced", "none",
      "token rounding: rows of every expert are made a multiple of round-to"},
     NAME, FIELD(round), .names = problem_round_names},
    {{"round-to", "an integer, 1 .. 65536", "128", "multiple of token rounding"},
     INTEGER, FIELD(round_to), .least = 1, .most = 65536},
    {{"weight", "after-w2 before-w2 input", "after-w2", "what the score multiplies: Y, A or X"},
     NAME, FIELD(weight), .names = problem_weight_names},
    {{"shared", "an integer, 0 .. " INT32_TEXT, "0", "hidden units of the shared expert"},
     INTEGER, FIELD(shared), .least = 0, .most = INT32_MAX},
    {{"shared-gate", "0 1", "0", "1: the shared expert is multiplied by sigmoid(<x, wsg>)"},
     FLAG, FIELD(shared_gate)},
    {{"aux", "a number >= 0", "0", "coefficient of the load-balancing loss"}, REAL, FIELD(aux)},
    {{"zloss", "a number >= 0", "0", "coefficient of the mean of logsumexp^2"}, REAL, FIELD(zloss)},
    {{"beta", "0 1", "0", "1: parameter gradients are added to what the buffers hold"},
     FLAG, FIELD(beta)},
    {{"routing",
      "uniform zipf:A (0 <= A <= 8) hot same first last sparse ties dropped:P (0 <= P <= 1) ragged "
      "first-empty last-empty odd-empty tail-empty sorted edges",
      "uniform", "how picks are drawn"},
     NAME, FIELD(routing), FIELD(routing_arg), .names = problem_routing_names},
    {{"data", "normal heavy positive constant tiny large sparse zero exact0 exact1 exact2", "normal",
      "how values are drawn"},
     NAME, FIELD(data), .names = problem_data_names},
    {{"seed", "an integer, 0 .. 18446744073709551615, or 0x and hexadecimal digits", "0",
      "of everything drawn"},
     .parse = parse_seed, .print = print_seed, FIELD(seed)},
};
/* clang-format on */

const struct problem_key *problem_key_row(int index)
{
    return index >= 0 && (size_t)index < sizeof table / sizeof *table ? &table[index] : NULL;
}

const struct problem_key *problem_key_find(const char *name)
{
    const struct problem_key *key;
    for (int index = 0; (key = problem_key_row(index)) != NULL; index++)
        if (key->text.name[0] == name[0] && strcmp(key->text.name, name) == 0)
            return key;
    return NULL;
}

const struct moe_problem_key *moe_problem_key(int index)
{
    const struct problem_key *key = problem_key_row(index);
    return key != NULL ? &key->text : NULL;
}
