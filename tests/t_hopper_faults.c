/*
 * t_hopper_faults.c - every fault of the variant `hopper-faults` (gpu/faults/hopper_table.c) is
 * caught where its row says: on a GPU, or, compiled with -DON_PTX, on the PTX machine, and `none`
 * passes.
 *
 * On the machine a fault has its own small case, under three schedules until it is caught; `none`
 * runs on all of these cases first, so that what is read and built of the kernels is there for the
 * processes of the faults. On a GPU a fault has its own case, then the larger ones below: by checks
 * of few runs at first, then by all.
 *
 * Like t_gpu_faults.c this writes its own TAP, judges each fault in a process of its own, and on a
 * GPU never touches CUDA itself. MOE_TEST_SIZE: small takes one fault in twelve; paranoid those of
 * 32-bit offsets, on a GPU.
 *
 *     t_hopper_faults [GLOB...]   only these faults
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu/faults/hopper_table.h"
#include "gpu/gpu.h"
#include "tests/fault_trial.h"
#include "tests/other_checks.h"

#define LENGTH(array) (int)(sizeof(array) / sizeof *(array))
#define MOST 129
#define PLAIN_CHECKS "inputs,guards,routing,bound"

#ifdef ON_PTX
#define SHOWN (SHOWS_MACHINE | SHOWS_TEXT | SHOWS_FORCED)
#define AT_A_TIME 1
#define SECONDS 60
#define THREADS "1" /* none is there to be missed in a process that was forked */
#define CHECKS "inputs,guards,routing,machine,ties,bound,exact,bits,statistics"
static const unsigned kind = MOE_ON_PTX;
/* Round robin and at once, random and late, priorities and at random. */
static const int schedules[] = {0, 4, 8};
static const char *const more_cases[] = {NULL};
#else
#define SHOWN (SHOWS_GPU | SHOWS_LARGE | SHOWS_FORCED)
#define AT_A_TIME 4 /* more take turns on the GPU */
#define SECONDS 60
#define THREADS "2"
#define CHECKS PLAIN_CHECKS ",ties,exact,bits,statistics"
static const unsigned kind = MOE_ON_CUDA;
static const int schedules[] = {0};
/* More tiles than an H100 has multiprocessors; more of everything. */
static const char *const more_cases[] = {
    "T=600 H=64 I=64 E=160 K=4 dtype=bf16 seed=1",
    "T=300 H=136 I=136 E=4 K=3 dtype=bf16 act=silu bias=1 router=lists routing=ragged seed=2",
    "T=256 H=256 I=128 E=8 K=8 dtype=bf16 seed=3",
    "T=200 H=320 I=200 E=6 K=3 dtype=bf16 bias=1 shared=64 shared-gate=1 router=sigmoid seed=4",
    NULL};
#endif

struct planned {
    const struct moe_variant *variant;
    int32_t index; /* of the row, which is the configuration */
    const struct hopper_fault *row;
};

static struct moe_judge_options options_of(const struct planned *planned, int schedule)
{
    static char checks[1024];
    const char *more = planned->row->checks;
    snprintf(checks, sizeof checks, "%s%s%s",
             planned->row->shows == SHOWS_LARGE ? PLAIN_CHECKS : CHECKS, more ? "," : "",
             more ? more : "");
    return (struct moe_judge_options){
        .devices = kind | (unsigned)schedule << MOE_DEVICES_SCHEDULE,
        .configuration = planned->index,
        .one_configuration = 1,
        .checks = checks,
    };
}

static const char *words(const char *what, int number)
{
    static char text[64];
    snprintf(text, sizeof text, "%s %d", what, number);
    return text;
}

/* ---- a fault of the second configuration ----------------------------------------------------- */

static const struct planned *second;

static int open_either(struct moe_device *device, const struct moe_problem *problem,
                       int32_t configuration, void **state)
{
    return second->variant->open(device, problem, second->index - configuration, state);
}

/* The row passes for itself; with the row before as a further configuration that one is caught. */
static void judge_forced(const struct planned *planned, struct outcome *outcome)
{
    struct moe_judge_options options = options_of(planned, 0);
    const char *names[] = {planned->row->name, hopper_fault_get(planned->index - 1)->name};
    struct moe_variant both = *planned->variant;
    both.configurations = names;
    both.configuration_count = LENGTH(names);
    both.open = open_either;
    second = planned;
    if (fault_judge(planned->variant, &options, planned->row->line, "itself", outcome)) {
        outcome->verdict = MOE_ERROR;
        return;
    }
    options.configuration = options.one_configuration = 0;
    fault_judge(&both, &options, planned->row->line, "the other configuration", outcome);
}

/* ---- the faults ------------------------------------------------------------------------------ */

/* The fault's own case, then the others. */
static void judge(const void *what, struct outcome *outcome)
{
    const struct planned *planned = what;
    if (planned->row->shows == SHOWS_FORCED) {
        judge_forced(planned, outcome);
        return;
    }
    for (int i = 0; i < LENGTH(schedules); i++) {
        const struct moe_judge_options options = options_of(planned, schedules[i]);
        if (fault_judge(planned->variant, &options, planned->row->line,
                        words("its own case, schedule", schedules[i]), outcome))
            return;
        if (planned->row->shows & SHOWS_TEXT && outcome->text[0])
            return;
    }
    struct moe_judge_options options = options_of(planned, 0);
    if (kind == MOE_ON_PTX || planned->row->shows == SHOWS_LARGE)
        return;
    for (int i = 0; more_cases[i]; i++)
        if (fault_judge(planned->variant, &options, more_cases[i], words("case", i + 1), outcome))
            return;
    options.checks = other_checks();
    if (fault_judge(planned->variant, &options, planned->row->line, "its own case", outcome))
        return;
    for (int i = 0; more_cases[i]; i++)
        if (fault_judge(planned->variant, &options, more_cases[i], words("case", i + 1), outcome))
            return;
}

static struct planned plan[MOST];
static int plan_count;

static int is_repeated(int index)
{
    for (int i = 0; i < index; i++)
        if (!strcmp(plan[i].row->line, plan[index].row->line))
            return 1;
    return 0;
}

/* Nothing is planted: every case of a fault that is asked for, and the others. */
static void judge_clean(const void *what, struct outcome *outcome)
{
    const struct planned *planned = what;
    struct moe_judge_options options = options_of(planned, schedules[LENGTH(schedules) / 2]);
    for (int i = 0; i < plan_count; i++) {
        const struct hopper_fault *row = plan[i].row;
        if (row->shows & SHOWN && row->shows != SHOWS_LARGE && !is_repeated(i) &&
            fault_judge(planned->variant, &options, row->line, row->line, outcome))
            return;
    }
    options.checks = other_checks();
    for (int i = 0; more_cases[i]; i++)
        if (fault_judge(planned->variant, &options, more_cases[i], more_cases[i], outcome))
            return;
}

/* Is that what its row says? */
static int is_as_said(const struct hopper_fault *row, const struct outcome *outcome)
{
    if (row->fault == FAULT_NONE)
        return outcome->verdict == MOE_PASS && outcome->text[0] == '\0';
    if (row->shows & SHOWS_TEXT)
        return outcome->verdict == MOE_PASS && outcome->text[0] != '\0';
    /* the reference takes minutes there, and the kernels end: time is no finding */
    if (row->shows == SHOWS_LARGE && strstr(outcome->text, "hangs"))
        return 0;
    return outcome->verdict == MOE_FAIL;
}

static int report(int number, const struct hopper_fault *row, const struct outcome *outcome)
{
    const int good = is_as_said(row, outcome);
    printf("%s %d - %s: %s %s\n", good ? "ok" : "not ok", number, row->name,
           moe_verdict_name(outcome->verdict), outcome->text);
    return !good;
}

/* Why the fault is not tried here; NULL: it is. */
static const char *reason_not_to(const struct planned *planned, const char *no_device)
{
    const char *size = getenv("MOE_TEST_SIZE");
    if (no_device)
        return no_device;
    if (!(planned->row->shows & SHOWN))
        return planned->row->reason;
    if (planned->row->shows == SHOWS_LARGE && !(size && !strcmp(size, "paranoid")))
        return "needs gigabytes: MOE_TEST_SIZE=paranoid";
    return NULL;
}

static int is_none(const struct planned *planned)
{
    return planned->row->fault == FAULT_NONE;
}

/* `none` is the first to start: on the machine it runs here, for the sake of the others. */
static struct trying start(const struct planned *planned)
{
    static struct outcome outcome;
    if (!is_none(planned))
        return fault_start(judge, planned,
                           planned->row->shows == SHOWS_LARGE ? 5 * SECONDS : SECONDS);
    if (kind == MOE_ON_CUDA)
        return fault_start(judge_clean, planned, 5 * SECONDS);
    outcome = (struct outcome){.verdict = MOE_PASS};
    judge_clean(planned, &outcome);
    return (struct trying){.told = &outcome};
}

static int run_plan(const char *no_device)
{
    static struct trying trying[MOST];
    int failures = 0, started = 0, running = 0;
    printf("1..%d\n", plan_count);
    for (int i = 0; i < plan_count; i++)
        if (is_none(&plan[i]) && !no_device)
            trying[i] = start(&plan[i]);
    for (int i = 0; i < plan_count; i++) {
        for (; started < plan_count && running < AT_A_TIME; started++)
            if (!is_none(&plan[started]) && !reason_not_to(&plan[started], no_device)) {
                trying[started] = start(&plan[started]);
                running++;
            }
        const char *reason = reason_not_to(&plan[i], no_device);
        if (reason) {
            printf("ok %d - %s # SKIP %s\n", i + 1, plan[i].row->name, reason);
            continue;
        }
        const struct outcome outcome = fault_wait(&trying[i]);
        failures += report(i + 1, plan[i].row, &outcome);
        running -= !is_none(&plan[i]);
    }
    return failures;
}

/* Those that are asked for, and `none`: last, since on a GPU it takes longest. */
static void make_plan(const struct moe_variant *variant, int globs, char *const *glob)
{
    const char *size = getenv("MOE_TEST_SIZE");
    const int32_t step = size && !strcmp(size, "small") ? 12 : 1;
    const struct hopper_fault *row;
    for (int32_t i = 1; i < MOST && (row = hopper_fault_get(i)); i++)
        if (globs ? fault_wanted(row->name, globs, glob) : i % step == 0)
            plan[plan_count++] = (struct planned){variant, i, row};
    plan[plan_count++] = (struct planned){variant, 0, hopper_fault_get(0)};
}

static int is_built_with_hopper(void)
{
    const struct moe_kernel *kernel;
    for (int i = 0; (kernel = moe_kernel_get(i)); i++)
        if (!strcmp(kernel->entry, "hopper_place"))
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    /* OpenMP and OpenBLAS look at these when a program is loaded */
    if (!getenv("MOE_THREADS_SET") && setenv("MOE_THREADS_SET", "1", 1) == 0 &&
        setenv("OMP_NUM_THREADS", THREADS, 1) == 0 &&
        setenv("OPENBLAS_NUM_THREADS", THREADS, 1) == 0)
        execv("/proc/self/exe", argv);
    char why[512];
    int built = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    const struct moe_variant *variant = fault_subject("hopper-faults", &built, why, sizeof why);
    int ready = variant != NULL;
    if (ready && !is_built_with_hopper()) {
        snprintf(why, sizeof why, "built without kernels for Hopper");
        ready = 0;
    } else if (ready && kind == MOE_ON_CUDA) {
        ready = fault_look_for_gpu(why, sizeof why);
    }
    if (!ready && kind == MOE_ON_CUDA && getenv("MOE_REQUIRE_GPU")) {
        printf("Bail out! MOE_REQUIRE_GPU is set, but %s\n", why);
        return 99;
    }
    if (!variant) {
        printf("1..1\n%s 1 - the plug-in # SKIP %s\n", built ? "not ok" : "ok", why);
        return built;
    }
    make_plan(variant, argc - 1, argv + 1);
    return run_plan(ready ? NULL : why) != 0;
}
