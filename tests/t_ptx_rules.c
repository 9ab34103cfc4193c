/*
 * t_ptx_rules.c - every rule of the machine has a kernel that breaks it (tests/ptx/rules.txt): it
 * is reported as broken, and nothing else is; with the rule left out it is not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ptx_micro.h"
#include "tests/support.h"

#define SEEDS (PTX_SCHEDULE_COUNT * PTX_TIME_COUNT)

struct broken {
    enum ptx_rule rule;
    int some, unwatched;
    int line; /* of the file */
    struct micro micro;
    char body[4096];
};

static struct broken *kernels;
static int kernel_count;

static enum ptx_rule rule_of(const char *name)
{
    for (int rule = PTX_NO_RULE + 1; rule < PTX_RULE_COUNT; rule++)
        if (!strcmp(ptx_rules[rule].name, name))
            return (enum ptx_rule)rule;
    return PTX_NO_RULE;
}

static void read_head(char *line, int number)
{
    kernels = realloc(kernels, (size_t)(kernel_count + 1) * sizeof *kernels);
    ck_assert_ptr_nonnull(kernels);
    struct broken *kernel = &kernels[kernel_count++];
    memset(kernel, 0, sizeof *kernel);
    kernel->line = number;
    kernel->micro.grid = kernel->micro.block = 1;
    const char *word = strtok(line, " \n");
    kernel->rule = rule_of(word);
    ck_assert_msg(kernel->rule != PTX_NO_RULE, "line %d: no rule '%s'", number, word);
    while ((word = strtok(NULL, " \n")) != NULL) {
        kernel->some |= !strcmp(word, "some");
        kernel->unwatched |= !strcmp(word, "unwatched");
        ck_assert_msg(!strcmp(word, "some") || !strcmp(word, "unwatched") ||
                          sscanf(word, "grid=%u", &kernel->micro.grid) == 1 ||
                          sscanf(word, "block=%u", &kernel->micro.block) == 1 ||
                          sscanf(word, "cluster=%u", &kernel->micro.cluster) == 1,
                      "line %d: '%s'", number, word);
    }
}

static void read_kernels(void)
{
    char path[4096], line[512];
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof path, "%s/tests/ptx/rules.txt", srcdir ? srcdir : ".");
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s cannot be read", path);
    for (int number = 1; fgets(line, sizeof line, file); number++) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (line[0] != ' ') {
            read_head(line, number);
            continue;
        }
        char *body = kernels[kernel_count - 1].body;
        ck_assert_msg(strlen(body) + strlen(line) < sizeof kernels->body, "line %d: too much",
                      number);
        strcat(body, line);
    }
    fclose(file);
    for (int i = 0; i < kernel_count; i++) {
        kernels[i].micro.name = ptx_rules[kernels[i].rule].name;
        kernels[i].micro.body = kernels[i].body;
    }
}

static void forget_kernels(void)
{
    free(kernels);
    kernels = NULL;
    kernel_count = 0;
}

/* What of a run is told: is the rule reported, and what else that changes values? */
struct told {
    enum ptx_rule rule;
    int found;
    char other[sizeof((struct ptx_report *)NULL)->message];
};

static int tell(void *data, const struct micro *micro, const struct ptx_machine *machine,
                const char *text)
{
    struct told *told = data;
    (void)micro, (void)text;
    for (uint32_t i = 0; i < machine->report_count; i++) {
        const struct ptx_report *report = &machine->reports[i];
        if (report->rule == told->rule)
            told->found = 1;
        else if (report->class == PTX_REPORT_VALUE)
            memcpy(told->other, report->message, sizeof told->other);
    }
    return 1;
}

static void run(const struct broken *kernel, uint32_t seed, enum ptx_rule without,
                struct told *told)
{
    const struct ptx_options options = {.seed = seed,
                                        .schedule = seed % PTX_SCHEDULE_COUNT,
                                        .time = seed / PTX_SCHEDULE_COUNT,
                                        .most_steps = 20000,
                                        .without = without};
    *told = (struct told){.rule = kernel->rule};
    ck_assert_msg(micro_look(&kernel->micro, &options, !kernel->unwatched, tell, told),
                  "line %d: %s does not run", kernel->line, kernel->micro.name);
}

START_TEST(every_rule_has_a_kernel)
{
    read_kernels();
    int wrong = 0;
    for (int rule = PTX_NO_RULE + 1; rule < PTX_RULE_COUNT; rule++) {
        int count = 0;
        ck_assert_msg(ptx_rules[rule].name != NULL, "rule %d has no row", rule);
        ck_assert_msg(rule_of(ptx_rules[rule].name) == (enum ptx_rule)rule, "'%s' twice",
                      ptx_rules[rule].name);
        for (int i = 0; i < kernel_count; i++)
            count += kernels[i].rule == (enum ptx_rule)rule;
        if ((count > 0) != (rule != PTX_RULE_NO_MEMORY)) {
            wrong++;
            printf("# %s has %d kernels\n", ptx_rules[rule].name, count);
        }
    }
    forget_kernels();
    ck_assert_msg(wrong == 0, "%d rules", wrong);
}
END_TEST

START_TEST(what_breaks_a_rule_is_found)
{
    read_kernels();
    int wrong = 0;
    for (int i = 0; i < kernel_count; i++) {
        const struct broken *kernel = &kernels[i];
        struct told told;
        uint32_t found = 0;
        int others = 0;
        for (uint32_t seed = 0; seed < SEEDS; seed++) {
            run(kernel, seed, PTX_NO_RULE, &told);
            found += (uint32_t)told.found;
            if (told.other[0] && !others++)
                printf("# line %d, %s, seed %u: %s\n", kernel->line, kernel->micro.name, seed,
                       told.other);
        }
        if (kernel->some ? found > 0 && !others : found == SEEDS && !others)
            continue;
        wrong++;
        printf("# line %d: %s is found under %u of %d seeds\n", kernel->line, kernel->micro.name,
               found, SEEDS);
    }
    forget_kernels();
    ck_assert_msg(wrong == 0, "%d kernels", wrong);
}
END_TEST

/* The test above is red where a rule is left out: for each of them. */
START_TEST(what_breaks_a_rule_that_is_left_out_is_not)
{
    read_kernels();
    int wrong = 0;
    for (int i = 0; i < kernel_count; i++)
        for (uint32_t seed = 0; seed < SEEDS; seed++) {
            struct told told;
            run(&kernels[i], seed, kernels[i].rule, &told);
            wrong += told.found;
            if (told.found)
                printf("# line %d: %s is reported when it is left out\n", kernels[i].line,
                       kernels[i].micro.name);
        }
    forget_kernels();
    ck_assert_msg(wrong == 0, "%d runs", wrong);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_rules");
    TCase *tests = tcase_create("ptx_rules");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, every_rule_has_a_kernel);
    tcase_add_test(tests, what_breaks_a_rule_is_found);
    tcase_add_test(tests, what_breaks_a_rule_that_is_left_out_is_not);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
