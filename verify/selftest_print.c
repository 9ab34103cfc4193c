/*
 * selftest_print.c - the matrix of faults and checks, classes and floors, and the last line.
 */
#include <math.h>
#include <string.h>

#include "verify/selftest.h"

/* ---- limits ---------------------------------------------------------------------------------- */

/* P(at most `hits` of `all`) at a rate. */
static double at_most(int64_t hits, int64_t all, double rate)
{
    double sum = 0;
    for (int64_t k = 0; k <= hits; k++)
        sum += exp(lgamma((double)all + 1) - lgamma((double)k + 1) - lgamma((double)(all - k) + 1) +
                   (double)k * log(rate) + (double)(all - k) * log1p(-rate));
    return sum;
}

double selftest_upper_limit(int64_t hits, int64_t all)
{
    double low = 0, high = 1;
    if (hits >= all)
        return 1;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (at_most(hits, all, middle) > 0.05)
            low = middle;
        else
            high = middle;
    }
    return high;
}

double selftest_lower_limit(int64_t hits, int64_t all)
{
    return 1 - selftest_upper_limit(all - hits, all);
}

/* ---- counting -------------------------------------------------------------------------------- */

struct count {
    int planted, caught, equivalent, elsewhere;
};

static struct count count_class(const struct selftest *selftest, int class)
{
    struct count count = {0};
    const struct moe_fault *fault;
    for (int i = 0; (fault = moe_fault_get(i)); i++) {
        if ((class >= 0 && (int)fault->class != class) || !selftest_wanted(selftest, fault))
            continue;
        if (fault->needs != MOE_FAULT_ON_CPU) {
            count.elsewhere++;
            continue;
        }
        int caught = selftest_caught(selftest, i);
        count.planted++;
        count.caught += caught;
        count.equivalent += !caught && fault->survives;
    }
    return count;
}

/* The weakest level that all seeds caught, and all stronger ones; -1: none. */
static int floor_level(const struct selftest *selftest, int index)
{
    const struct selftest_floor *floor = selftest_floor_get(index);
    int level = 0;
    while (level < SELFTEST_LEVELS && floor->level[level]) {
        const struct selftest_score *score = &selftest->floor[index * SELFTEST_LEVELS + level];
        if (score->planned == 0 || score->caught < score->planned)
            break;
        level++;
    }
    return level - 1;
}

/* ---- as text --------------------------------------------------------------------------------- */

static void print_fault(const struct selftest *selftest, int index)
{
    const struct moe_fault *fault = moe_fault_get(index);
    const struct selftest_score *score = &selftest->score[index];
    const char *column;
    printf("  %-34s %-14s %d/%d", fault->name, moe_fault_class_name(fault->class), score->caught,
           score->judged);
    for (int i = 0; (column = selftest_column(i)); i++)
        if (score->by[i] > 0)
            printf("  %s %d", column, score->by[i]);
    printf("%s\n", selftest_caught(selftest, index) ? "" : "  SURVIVES");
}

static void print_matrix(const struct selftest *selftest)
{
    const struct moe_fault *fault;
    printf("fault, class, cases that caught it of those judged, and how many by which check\n");
    for (int i = 0; (fault = moe_fault_get(i)); i++)
        if (fault->needs == MOE_FAULT_ON_CPU && selftest_wanted(selftest, fault))
            print_fault(selftest, i);
}

static void print_survivors(const struct selftest *selftest)
{
    const struct moe_fault *fault;
    for (int i = 0; (fault = moe_fault_get(i)); i++)
        if (fault->needs == MOE_FAULT_ON_CPU && selftest_wanted(selftest, fault) &&
            !selftest_caught(selftest, i))
            printf("survives  %s: %s; must be caught by one of %s%s%s\n", fault->name,
                   fault->planted, fault->checks, fault->survives ? "; equivalent: " : "",
                   fault->survives ? fault->survives : "");
}

static void print_classes(const struct selftest *selftest)
{
    printf("class, caught of planted, 95 %% limit of the rate from below; those that need a GPU or "
           "the PTX machine\n");
    for (int class = 0; class < MOE_FAULT_CLASS_COUNT; class ++) {
        struct count count = count_class(selftest, class);
        if (count.planted + count.elsewhere > 0)
            printf("  %-14s %3d of %3d  %.3f   %d elsewhere\n", moe_fault_class_name(class),
                   count.caught, count.planted, selftest_lower_limit(count.caught, count.planted),
                   count.elsewhere);
    }
}

static void print_floors(const struct selftest *selftest)
{
    const struct selftest_floor *floor;
    printf("smallest fault that %d of %d seeds find\n", SELFTEST_SEEDS, SELFTEST_SEEDS);
    for (int i = 0; (floor = selftest_floor_get(i)); i++) {
        int level = floor_level(selftest, i);
        printf("  %-38s ", floor->name);
        if (level < 0)
            printf("none");
        else if (floor->power)
            printf("%s 2^-%d, %.2g %%", floor->unit, floor->level[level],
                   100 * ldexp(1, -floor->level[level]));
        else
            printf("%d %s", floor->level[level], floor->unit);
        printf("  (");
        for (int l = 0; l < SELFTEST_LEVELS && floor->level[l]; l++) {
            const struct selftest_score *score = &selftest->floor[i * SELFTEST_LEVELS + l];
            printf("%s%d:%d", l ? " " : "", floor->level[l], score->caught);
        }
        printf(")\n");
    }
}

static void print_end(const struct selftest *selftest, const struct count *all)
{
    int64_t judged = selftest->silent + selftest->alarms;
    printf("faults    %d caught of %d planted (%d more are equivalent), rate at least %.4f; %d "
           "need a GPU or the PTX machine\n",
           all->caught, all->planted, all->equivalent,
           selftest_lower_limit(all->caught, all->planted), all->elsewhere);
    if (judged > 0)
        printf("clean     %lld alarms in %lld cases, rate at most %.2g; %lld not decided\n",
               (long long)selftest->alarms, (long long)judged,
               selftest_upper_limit(selftest->alarms, judged), (long long)selftest->undecided);
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static void print_json(const struct selftest *selftest, const struct count *all)
{
    const struct moe_fault *fault;
    const struct selftest_floor *floor;
    const char *column;
    for (int i = 0; (fault = moe_fault_get(i)); i++) {
        const struct selftest_score *score = &selftest->score[i];
        const char *comma = "";
        if (fault->needs != MOE_FAULT_ON_CPU || !selftest_wanted(selftest, fault))
            continue;
        printf("{\"fault\":\"%s\",\"class\":\"%s\",\"caught\":%s,\"cases\":%d,\"cases_caught\":%d,"
               "\"first\":%d,\"seconds\":%.4f,\"checks\":{",
               fault->name, moe_fault_class_name(fault->class),
               selftest_caught(selftest, i) ? "true" : "false", score->judged, score->caught,
               score->first, score->seconds);
        for (int c = 0; (column = selftest_column(c)); c++)
            if (score->by[c] > 0) {
                printf("%s\"%s\":%d", comma, column, score->by[c]);
                comma = ",";
            }
        printf("}}\n");
    }
    for (int i = 0; selftest->floors && (floor = selftest_floor_get(i)); i++) {
        int level = floor_level(selftest, i);
        printf("{\"floor\":\"%s\",\"level\":%d,\"power\":%d}\n", floor->name,
               level < 0 ? 0 : floor->level[level], floor->power);
    }
    printf("{\"caught\":%d,\"planted\":%d,\"alarms\":%lld,\"clean\":%lld}\n", all->caught,
           all->planted, (long long)selftest->alarms,
           (long long)(selftest->silent + selftest->alarms));
}

int selftest_print(const struct selftest *selftest)
{
    struct count all = count_class(selftest, -1);
    if (selftest->common.json) {
        print_json(selftest, &all);
    } else {
        if (!selftest->common.quiet)
            print_matrix(selftest);
        print_survivors(selftest);
        if (!selftest->common.quiet)
            print_classes(selftest);
        if (selftest->floors)
            print_floors(selftest);
        print_end(selftest, &all);
    }
    if (all.caught + all.equivalent < all.planted || selftest->alarms > 0)
        return MOE_EXIT_FAIL;
    return selftest->undecided > 0 || selftest->interrupted ? MOE_EXIT_ERROR : MOE_EXIT_PASS;
}
