/*
 * takes.c - asks a variant which words of a case line it takes.
 *
 * The words are those that the grammar's own table lists as allowed, so a new value is asked about
 * without a change here. Each stands in a plain small case; where it has no meaning there, in one
 * in which it has.
 */
#include <stdio.h>
#include <string.h>

#include "verify/takes.h"

/* Plain cases. Every word of the grammar has a meaning in at least one of them. */
static const char *const plain[] = {
    "",
    "router=lists",
    "router=sigmoid",
    "shared=32",
};

/* The case plain[i] with the word. */
static int make_case(int i, const char *key, const char *value, struct moe_problem *problem)
{
    int status = moe_problem_parse(plain[i], problem);

    if (status == MOE_OK)
        status = moe_problem_set(problem, key, value);
    return status == MOE_OK ? moe_problem_validate(problem) : status;
}

static void ask(const struct moe_variant *variant, const char *key, const char *value,
                struct moe_refusals *refusals)
{
    int cases = (int)(sizeof plain / sizeof *plain), i = 0;
    struct moe_problem problem;
    char why[160] = "";

    while (i < cases && make_case(i, key, value, &problem) != MOE_OK)
        i++;
    if (i == cases || refusals->count == MOE_REFUSALS ||
        variant->supports(&problem, why, sizeof why) == MOE_OK)
        return;
    snprintf(refusals->refusal[refusals->count].word, sizeof refusals->refusal[0].word, "%s=%s",
             key, value);
    snprintf(refusals->refusal[refusals->count].why, sizeof refusals->refusal[0].why, "%s", why);
    refusals->count++;
}

/* "zipf:A" is asked about as "zipf:1"; what is prose and no value has no meaning in any case. */
static void ask_word(const struct moe_variant *variant, const char *key, const char *word,
                     int length, struct moe_refusals *refusals)
{
    char value[32];
    char *argument;

    if (length <= 0 || length >= (int)sizeof value)
        return;
    snprintf(value, sizeof value, "%.*s", length, word);
    argument = strchr(value, ':');
    if (argument != NULL)
        strcpy(argument, ":1");
    ask(variant, key, value, refusals);
}

/* Keys whose values are names or flags list them; "an integer, ..." and "a number ..." do not. */
static int lists_values(const struct moe_problem_key *key)
{
    return strncmp(key->allowed, "an ", 3) != 0 && strncmp(key->allowed, "a ", 2) != 0;
}

void moe_variant_refusals(const struct moe_variant *variant, struct moe_refusals *refusals)
{
    const struct moe_problem_key *key;

    refusals->count = 0;
    for (int i = 0; (key = moe_problem_key(i)) != NULL; i++) {
        const char *word = key->allowed;

        while (lists_values(key) && *word != '\0') {
            int length = (int)strcspn(word, " ,");

            ask_word(variant, key->name, word, length, refusals);
            word += length;
            word += strspn(word, " ,");
        }
    }
}
