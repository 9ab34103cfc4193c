/*
 * t_gpu_order.c - what the checks of order and surroundings are for, on a GPU: `cublas` and a small
 * layer pass them all, and each fault of the plug-in order_faults is found by the check named here.
 *
 * A fault has a process of its own, for some end in an error that sticks or in a hang; this one
 * never touches CUDA. It writes its own TAP: without a GPU all are skipped with the reason, and
 * fail as a whole where MOE_REQUIRE_GPU is set.
 *
 *     t_gpu_order [GLOB...]   only rows of these configurations
 */
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "gpu/gpu.h"
#include "tests/other_checks.h"
#include "verify/verify.h"

#define LENGTH(array) (int)(sizeof(array) / sizeof *(array))
#define SECONDS 100
#define SECONDS_OF_A_HANG 30
#define SECONDS_IN_COMPANY 8 /* of others, who leave before it begins */

#define SMALL "T=64 H=48 I=40 E=3 K=2 dtype=f32 act=relu2 router=lists seed=5"

#define WIDE_BF16 "T=200 H=512 I=1024 E=2 K=1 dtype=bf16 act=relu2 router=lists seed=5"

/* The check that has to find it first, or others that may; "": it passes; hangs end by a signal. */
static const struct {
    const char *variant, *configuration, *line, *checks;
} rows[] = {
    {"order", "none", SMALL, ""},
    {"cublas", NULL, "T=37 H=64 I=40 E=8 K=2 dtype=bf16 bias=1 seed=1", ""},
    {"cublas", NULL, "T=50 H=40 I=24 E=8 K=3 dtype=f32 router=lists routing=ragged beta=1 seed=4",
     ""},
    {"order", "none", WIDE_BF16, ""},
    {"order", "never-promotes", WIDE_BF16, "bits"},
    {"order", "other-stream", SMALL, "stream"},
    {"order", "default-stream", SMALL, "stream"},
    {"order", "host-waits", SMALL, "stream"},
    {"order", "no-wait", SMALL, "dependent"},
    {"order", "frozen-epoch", SMALL, "graph"},
    {"order", "allocates", SMALL, "stream graph memory footprint"},
    {"order", "counter-not-put-back", SMALL, "again"},
    {"order", "cached-output", SMALL, "again"},
    {"order", "atomics", SMALL, "determinism"},
    {"order", "all-resident", SMALL, "contention"},
    /* whatever ran before leaves its words there: the first check that compares bits may see it */
    {"order", "unwritten-shared", SMALL,
     "bound bits determinism again stream dependent graph contention"},
    {"order", "leaks", SMALL, "footprint"},
    {"order", "holds-until-backward", SMALL, "footprint"},
    {"order", "illegal-address", SMALL, "run"},
    {"order", "late-error", SMALL, "run"},
    {"order", "hangs", SMALL, "a signal"},
    {"order", "read-behind-x", SMALL, "fence"},
    {"order", "read-before-w2", SMALL, "fence"},
    {"order", "untold-ids", SMALL, "lists"},
    {"order", "whole-multiprocessors", SMALL, ""},
};

/* Configurations of which nothing comes but what one check looks for, which is asked alone; words
 * that must be in its finding; and seconds, where they may not take as many as others. */
static const struct special {
    const char *configuration, *check, *says;
    unsigned seconds;
} specials[] = {
    {"read-behind-x", "fence", "where buffers end at a fence: forward", SECONDS},
    {"read-before-w2", "fence", "where buffers begin at a fence: forward", SECONDS},
    {"untold-ids", "lists", "bit 0 of the status word is not set", SECONDS},
    {"whole-multiprocessors", "contention", "", SECONDS_IN_COMPANY},
    {"hangs", NULL, "", SECONDS_OF_A_HANG},
};

struct outcome {
    enum moe_verdict verdict;
    char check[40], text[800];
};

static const struct moe_variant *variant_of(const char *name)
{
    const struct moe_variant *variant;
    for (int i = 0; (variant = moe_variant_get(i)); i++)
        if (!strcmp(variant->name, name))
            return variant;
    return NULL;
}

static int32_t configuration_of(const struct moe_variant *variant, const char *name)
{
    for (int32_t i = 0; name && i < variant->configuration_count; i++)
        if (!strcmp(variant->configurations[i], name))
            return i;
    return 0;
}

static const struct special *special_of(int row)
{
    static const struct special other = {NULL, NULL, "", SECONDS};
    for (int i = 0; i < LENGTH(specials) && row >= 0 && rows[row].configuration; i++)
        if (!strcmp(specials[i].configuration, rows[row].configuration))
            return &specials[i];
    return &other;
}

static void judge(int row, struct outcome *outcome)
{
    const struct moe_variant *variant = variant_of(rows[row].variant);
    const struct moe_judge_options options = {
        .configuration = configuration_of(variant, rows[row].configuration),
        .one_configuration = 1,
        .checks = special_of(row)->check ? special_of(row)->check : other_checks()};
    static struct moe_report report;
    struct moe_problem problem;
    *outcome = (struct outcome){.verdict = MOE_ERROR};
    if (moe_problem_parse(rows[row].line, &problem) != MOE_OK ||
        moe_judge_variant(&problem, variant, &options, &report) != MOE_OK) {
        snprintf(outcome->text, sizeof outcome->text, "%s", moe_error_text());
        return;
    }
    outcome->verdict = report.verdict;
    if (special_of(row)->check && report.verdict == MOE_PASS && report.finding_count > 0)
        outcome->verdict = MOE_SKIP; /* it did not get the GPU alone */
    if (report.finding_count > 0) {
        snprintf(outcome->check, sizeof outcome->check, "%s", report.finding[0].check);
        snprintf(outcome->text, sizeof outcome->text, "%s", report.finding[0].text);
    }
}

/* Judges the row in a process of its own, or (row < 0) asks whether there is a GPU. */
static void do_apart(int row, struct outcome *outcome)
{
    int ends[2], how;
    *outcome = (struct outcome){.verdict = MOE_ERROR, .text = "no process"};
    if (pipe(ends) != 0)
        return;
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        struct moe_gpu_status gpu;
        struct outcome own = {.verdict = MOE_SKIP};
        alarm(special_of(row)->seconds);
        if (row >= 0) {
            judge(row, &own);
        } else {
            moe_gpu_probe(&gpu);
            own.verdict = gpu.state == MOE_GPU_READY ? MOE_PASS : MOE_SKIP;
            snprintf(own.text, sizeof own.text, "%s", gpu.reason);
        }
        _exit(write(ends[1], &own, sizeof own) != sizeof own);
    }
    close(ends[1]);
    const int whole = pid > 0 && read(ends[0], outcome, sizeof *outcome) == sizeof *outcome;
    close(ends[0]);
    if (pid > 0)
        waitpid(pid, &how, 0);
    if (!whole)
        *outcome = (struct outcome){.verdict = MOE_FAIL,
                                    .check = "a signal",
                                    .text = "the process ended without an answer"};
}

static int is_wanted(int row, int globs, char *const *glob)
{
    for (int i = 0; i < globs && rows[row].configuration; i++)
        if (!fnmatch(glob[i], rows[row].configuration, 0))
            return 1;
    return globs == 0;
}

/* Row `row`, the number-th that was asked for. */
static int try_row(int row, int number)
{
    struct outcome outcome;
    do_apart(row, &outcome);
    const int clean = rows[row].checks[0] == '\0';
    const int good = clean ? outcome.verdict == MOE_PASS
                           : outcome.verdict == MOE_FAIL && outcome.check[0] &&
                                 strstr(rows[row].checks, outcome.check) &&
                                 strstr(outcome.text, special_of(row)->says);
    if (clean && outcome.verdict == MOE_SKIP) {
        printf("ok %d - %s %s # SKIP %s\n", number, rows[row].variant, rows[row].configuration,
               outcome.text);
        return 0;
    }
    printf("%s %d - %s %s: %s%s%s: %s\n", good ? "ok" : "not ok", number, rows[row].variant,
           rows[row].configuration ? rows[row].configuration : "",
           moe_verdict_name(outcome.verdict), clean ? "" : " by ", outcome.check, outcome.text);
    return !good;
}

int main(int argc, char **argv)
{
    const char *path = getenv("MOE_ORDER_FAULTS");
    struct outcome gpu = {.text = "built without CUDA"};
    int failures = 0, wanted = 0, number = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
#ifdef HAVE_CUDA
    if (moe_plugin_open(path ? path : "tests/.libs/order_faults.so") != MOE_OK) {
        printf("Bail out! %s\n", moe_error_text());
        return 99;
    }
    do_apart(-1, &gpu);
    const int ready = gpu.verdict == MOE_PASS;
#else
    const int ready = 0;
    (void)path;
#endif
    if (!ready && getenv("MOE_REQUIRE_GPU")) {
        printf("Bail out! MOE_REQUIRE_GPU is set, but %s\n", gpu.text);
        return 99;
    }
    for (int row = 0; row < LENGTH(rows); row++)
        wanted += is_wanted(row, argc - 1, argv + 1);
    printf("1..%d\n", wanted);
    for (int row = 0; row < LENGTH(rows); row++) {
        if (!is_wanted(row, argc - 1, argv + 1))
            continue;
        number++;
        if (ready)
            failures += try_row(row, number);
        else
            printf("ok %d - %s %s # SKIP %s\n", number, rows[row].variant,
                   rows[row].configuration ? rows[row].configuration : "", gpu.text);
    }
    return failures != 0 || wanted == 0;
}
