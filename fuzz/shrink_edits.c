/*
 * shrink_edits.c - the edits that make a case smaller, kind by kind.
 *
 * Plainer is what stands earlier in a row of the table of factors; of data, exact0 comes next to
 * normal. A size becomes the least possible, a little more, what is left of it beyond a tile of 8
 * to 128, half of it, or one less. Where E shrinks, T may shrink with it: rows per expert are what
 * a kernel sees. Where the grammar objects, the keys that it names are made plain.
 *
 * Small cases have few values, and a fault may hide in one of them that is zero or a router that
 * happens to pick alike; so the same edits are tried with other seeds once none fails with the
 * seed at hand. Seeds never grow but there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "fuzz/shrink.h"

#define SEEDS 8 /* 0 .. 7 are tried, with every edit and alone */
#define LINE 1024

/* ---- the list -------------------------------------------------------------------------------- */

static void add(struct moe_edits *edits, const struct moe_problem *problem)
{
    if (edits->count < MOE_EDITS_MOST && moe_problem_validate(problem) == MOE_OK)
        edits->problem[edits->count++] = *problem;
}

/* ---- words ----------------------------------------------------------------------------------- */

/* Sizes, which factors list too, have edits of their own. */
static int is_size(const char *key)
{
    return strlen(key) == 1;
}

static int same(const struct moe_problem *one, const struct moe_problem *other)
{
    char a[LINE], b[LINE];
    moe_problem_print(one, a, sizeof a);
    moe_problem_print(other, b, sizeof b);
    return strcmp(a, b) == 0;
}

/* The case with one more value, in *changed. 0: it has that value, or the value is none. */
static int change(const struct moe_problem *problem, const char *key, const char *value,
                  struct moe_problem *changed)
{
    *changed = *problem;
    return moe_problem_set(changed, key, value) == MOE_OK && !same(changed, problem);
}

/* Makes plain what the grammar says does not go with the key. 0: that does not help. */
static int mend(struct moe_problem *problem, const char *key)
{
    while (moe_problem_validate(problem) != MOE_OK) {
        char complaint[512];
        int changes = 0;
        strncpy(complaint, moe_error_text(), sizeof complaint - 1);
        complaint[sizeof complaint - 1] = '\0';
        for (int f = 0; f < moe_factor_count(); f++) {
            const struct moe_factor *factor = moe_factor_get(f);
            struct moe_problem plain;
            if (is_size(factor->key) || strcmp(factor->key, key) == 0 ||
                !moe_complaint_names(complaint, factor->key) ||
                !change(problem, factor->key, factor->value[0], &plain))
                continue;
            *problem = plain;
            changes++;
        }
        if (changes == 0)
            return 0;
    }
    return 1;
}

/* Of data, what a wrong value is read in most easily after normal. */
static const char second_data[] = "exact0";

static void add_value(const struct moe_problem *problem, const char *key, const char *value,
                      struct moe_edits *edits)
{
    struct moe_problem changed;
    if (change(problem, key, value, &changed) && mend(&changed, key))
        add(edits, &changed);
}

/* Every plainer value of a key, the plainest first. */
static void make_plainer(const struct moe_problem *problem, int f, struct moe_edits *edits)
{
    const struct moe_factor *factor = moe_factor_get(f);
    struct moe_problem changed;
    int is_data = strcmp(factor->key, "data") == 0;
    if (is_size(factor->key))
        return;
    for (int v = 0; v < moe_factor_value_count(f); v++) {
        if (!change(problem, factor->key, factor->value[v], &changed))
            return; /* its own value: what follows is less plain */
        add_value(problem, factor->key, factor->value[v], edits);
        if (!is_data || v > 0)
            continue;
        if (!change(problem, factor->key, second_data, &changed))
            return;
        add_value(problem, factor->key, second_data, edits);
    }
}

static struct moe_problem all_plain(const struct moe_problem *problem)
{
    struct moe_problem plain = moe_problem_default();
    plain.T = problem->T;
    plain.H = problem->H;
    plain.I = problem->I;
    plain.E = problem->E;
    plain.K = problem->K;
    plain.seed = problem->seed;
    return plain;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static int64_t *size_of(struct moe_problem *problem, int size)
{
    int64_t *const sizes[] = {&problem->T, &problem->K, &problem->E, &problem->H, &problem->I};
    return size < (int)(sizeof sizes / sizeof *sizes) ? sizes[size] : NULL;
}

enum { SIZE_T, SIZE_K, SIZE_E, SIZE_H, SIZE_I, SIZES };

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

#define SMALLER 32

/* What may take the place of a size, ascending; returns how many. */
static int smaller_sizes(int64_t value, int64_t least, int64_t smaller[SMALLER])
{
    int64_t all[SMALLER];
    int count = 0, kept = 0;
    for (int64_t more = 0; more < 4; more++)
        all[count++] = least + more;
    for (int64_t tile = 8; tile <= 128; tile *= 2) {
        all[count++] = value % tile;
        all[count++] = tile + value % tile;
        all[count++] = value - tile;
        all[count++] = tile;
    }
    all[count++] = value / 2;
    all[count++] = value - value / 4;
    all[count++] = value - 1;
    qsort(all, (size_t)count, sizeof *all, ascending);
    for (int i = 0; i < count; i++)
        if (all[i] >= least && all[i] < value && (kept == 0 || smaller[kept - 1] != all[i]))
            smaller[kept++] = all[i];
    return kept;
}

/* The case with another size, and what hangs on it. */
static void add_size(const struct moe_problem *problem, int size, int64_t value,
                     struct moe_edits *edits)
{
    struct moe_problem changed = *problem;
    *size_of(&changed, size) = value;
    if (size == SIZE_E && changed.K > value)
        changed.K = value;
    if (size == SIZE_E && problem->E > 0) {
        struct moe_problem scaled = changed;
        scaled.T = problem->T * value / problem->E;
        if (scaled.T > 0 && mend(&scaled, ""))
            add(edits, &scaled);
    }
    if (mend(&changed, ""))
        add(edits, &changed);
}

static void make_sizes(const struct moe_problem *problem, struct moe_edits *edits)
{
    struct moe_problem copy = *problem;
    for (int size = 0; size < SIZES; size++) {
        int64_t smaller[SMALLER];
        int count = smaller_sizes(*size_of(&copy, size), size == SIZE_T ? 0 : 1, smaller);
        for (int i = 0; i < count; i++)
            add_size(problem, size, smaller[i], edits);
    }
}

/* ---- the kinds ------------------------------------------------------------------------------- */

static void make_plain(const struct moe_problem *problem, struct moe_edits *edits)
{
    struct moe_problem plain = all_plain(problem);
    int data = moe_factor_index("data");
    add(edits, &plain);
    make_plainer(problem, data, edits);
    for (int f = 0; f < moe_factor_count(); f++)
        if (f != data)
            make_plainer(problem, f, edits);
}

/* No larger than so, all sizes at once. */
static const int64_t leaps[][SIZES] = {
    {1, 1, 1, 1, 1}, {2, 1, 1, 1, 1}, {1, 1, 2, 1, 1}, {2, 1, 2, 2, 2},
    {2, 2, 2, 2, 2}, {4, 2, 4, 4, 4}, {9, 2, 4, 8, 8}, {17, 2, 4, 17, 17},
};

static void make_leaps(const struct moe_problem *problem, struct moe_edits *edits)
{
    for (size_t i = 0; i < sizeof leaps / sizeof *leaps; i++) {
        struct moe_problem small = *problem;
        for (int size = 0; size < SIZES; size++)
            if (*size_of(&small, size) > leaps[i][size])
                *size_of(&small, size) = leaps[i][size];
        struct moe_problem plain = all_plain(&small);
        add(edits, &plain);
        if (mend(&small, ""))
            add(edits, &small);
    }
}

/* The edits of `make`, each with every other seed that is tried. */
static void add_seeded(void (*make)(const struct moe_problem *problem, struct moe_edits *edits),
                       const struct moe_problem *problem, struct moe_edits *edits)
{
    int first = edits->count;
    make(problem, edits);
    int made = edits->count - first;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        for (int i = 0; i < made; i++) {
            struct moe_problem other = edits->problem[first + i];
            if (seed == problem->seed || same(&other, problem))
                continue; /* nothing but the seed would change */
            other.seed = seed;
            add(edits, &other);
        }
}

static void make_leaps_seeded(const struct moe_problem *problem, struct moe_edits *edits)
{
    add_seeded(make_leaps, problem, edits);
}

static void make_plain_seeded(const struct moe_problem *problem, struct moe_edits *edits)
{
    add_seeded(make_plain, problem, edits);
}

static void make_sizes_seeded(const struct moe_problem *problem, struct moe_edits *edits)
{
    add_seeded(make_sizes, problem, edits);
}

static void make_seeds(const struct moe_problem *problem, struct moe_edits *edits)
{
    for (uint64_t seed = 0; seed < SEEDS && seed < problem->seed; seed++) {
        struct moe_problem other = *problem;
        other.seed = seed;
        add(edits, &other);
    }
}

static void (*const kinds[])(const struct moe_problem *problem, struct moe_edits *edits) = {
    make_leaps_seeded, make_plain, make_sizes, make_plain_seeded, make_sizes_seeded, make_seeds,
};

int moe_edits_make(int pass, const struct moe_problem *problem, struct moe_edits *edits)
{
    if (pass < 0 || pass >= (int)(sizeof kinds / sizeof *kinds))
        return 0;
    kinds[pass](problem, edits);
    return 1;
}

/* The value of a key in a line that begins with a blank; NULL: the line leaves it out. */
static const char *value_in(const char *line, const char *key, size_t *length)
{
    char word[64];
    int size = snprintf(word, sizeof word, " %s=", key);
    const char *at = strstr(line, word);
    if (at == NULL)
        return NULL;
    *length = strcspn(at + size, " ");
    return at + size;
}

int moe_problem_differs(const struct moe_problem *one, const struct moe_problem *other)
{
    const struct moe_problem_key *key;
    char a[LINE] = " ", b[LINE] = " ";
    int count = 0;
    moe_problem_print(one, a + 1, sizeof a - 1);
    moe_problem_print(other, b + 1, sizeof b - 1);
    for (int i = 0; (key = moe_problem_key(i)) != NULL; i++) {
        size_t in_a = 0, in_b = 0;
        const char *x = value_in(a, key->name, &in_a), *y = value_in(b, key->name, &in_b);
        count += in_a != in_b || (x != NULL && y != NULL && strncmp(x, y, in_a) != 0);
    }
    return count;
}
