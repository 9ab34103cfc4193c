/*
 * t_gpu_faults.c - every fault of moecheck-faults.so is caught on a GPU, and `none` passes.
 *
 * Each fault is judged in a process of its own, for some end in an error that sticks or in a hang;
 * a few run at a time. This process never touches CUDA. It writes its own TAP: without a GPU all
 * are skipped with the reason, and fail as a whole where MOE_REQUIRE_GPU is set.
 *
 * Faults that only cases of more than 2^31 elements show, and `none` on these, run with
 * MOE_TEST_SIZE=paranoid: they want 70 GB of the host and of the GPU, and a minute each.
 *
 *     t_gpu_faults [GLOB...]   only these faults
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fault_trial.h"
#include "tests/other_checks.h"

/* More take turns on the GPU, each with what the others make it wait for. */
#define AT_A_TIME 4
/* A case that takes longer hangs: small ones take a second or two, and so many seconds with every
 * check; large ones minutes. */
#define SECONDS_PLAIN 30
#define SECONDS_ALL 90
#define SECONDS_LARGE 600

#define LENGTH(array) (int)(sizeof(array) / sizeof *(array))

/* The plainest first; between them they reach every fault. */
static const char *const cases[] = {
    "T=37 H=64 I=40 E=8 K=2 dtype=bf16 seed=1",
    "T=130 H=72 I=36 E=16 K=4 dtype=bf16 act=swiglu-oai bias=1 router=sigmoid sel-bias=1 renorm=1 "
    "scale=2.5 groups=8/4 seed=2",
    "T=64 H=48 I=24 E=300 K=12 dtype=bf16 router=softmax-topk aux=0.5 zloss=0.25 seed=3",
    "T=50 H=40 I=20 E=8 K=3 dtype=f32 router=lists routing=dropped:0.3 bias=1 seed=4",
    "T=50 H=40 I=21 E=8 K=3 dtype=bf16 act=gelu router=lists routing=ragged weight=input seed=5",
    "T=91 H=32 I=24 E=9 K=3 dtype=f16 router=softmax-topk round=nearest round-to=2 "
    "weight=before-w2 seed=7",
    "T=90 H=32 I=24 E=6 K=2 dtype=bf16 router=softmax-topk round=balanced round-to=8 seed=7",
    "T=90 H=32 I=24 E=6 K=2 dtype=bf16 router=softmax-topk round=down round-to=8 data=exact0 "
    "seed=17",
    "T=40 H=32 I=16 E=8 K=3 dtype=bf16 routing=ties w1=halves seed=8",
    "T=40 H=32 I=16 E=4 K=2 dtype=bf16 shared=24 shared-gate=1 act=swiglu-clamp:1 seed=9",
    "T=40 H=32 I=16 E=4 K=2 dtype=bf16 beta=1 bias=1 router-bias=1 grad=f32 seed=10",
    "T=300 H=64 I=32 E=4 K=4 dtype=bf16 bias=1 router=lists routing=sparse seed=11",
    "T=256 H=256 I=128 E=8 K=8 dtype=bf16 seed=12",
    "T=64 H=64 I=64 E=8 K=4 dtype=bf16 routing=ties data=exact0 seed=18",
    "T=60 H=32 I=24 E=6 K=2 dtype=bf16 router=softmax-topk round=down round-to=8 data=constant "
    "seed=19",
    "T=64 H=64 I=64 E=8 K=8 dtype=bf16 router=lists data=exact1 seed=13",
    "T=64 H=64 I=64 E=8 K=8 dtype=bf16 router=lists data=exact2 seed=14",
};

/* More than 2^31 elements in z and in x; which faults show there. */
static const struct {
    const char *line, *fault;
} large_cases[] = {
    {"T=65536 H=16 I=16400 E=2 K=1 dtype=bf16 router=lists seed=15", "activate-int32"},
    {"T=140000 H=16384 I=8 E=2 K=1 dtype=bf16 router=lists weight=input seed=16", "gather-int32"},
};

/* What needs few runs; nothing else is judged on the large ones, lest the variant runs twenty times
 * on gigabytes. */
#define PLAIN_CHECKS "inputs,guards,routing,bound"

/* What a fault wants beside, or in place of, the checks that all are judged by. */
static const struct {
    const char *fault, *checks;
    const char *luck; /* why it may pass */
} special[] = {
    {"nan-first", "containment", NULL}, /* other_checks() lacks it */
    {"scan-no-barrier", NULL, "a race that the GPU won; t_ptx_faults finds it each time"},
};

enum state { WAITING, RUNNING, DONE, LEFT_OUT };

/* One line of the plan: a fault on the cases above, or on a large one; and what becomes of it. */
struct planned {
    const struct moe_variant *variant;
    int32_t fault;
    int large; /* -1, or its index */
    enum state state;
    struct trying trying;
    struct outcome outcome;
};

static int large_case_of(const char *fault)
{
    for (int i = 0; i < LENGTH(large_cases); i++)
        if (!strcmp(large_cases[i].fault, fault))
            return i;
    return -1;
}

static int special_of(const char *fault)
{
    for (int i = 0; i < LENGTH(special); i++)
        if (!strcmp(special[i].fault, fault))
            return i;
    return -1;
}

static const char *case_name(int index)
{
    static char name[32];
    snprintf(name, sizeof name, "case %d", index + 1);
    return name;
}

/* Judges one case after the other until one is not PASS: by what needs a run or two at first. */
static void judge(const void *what, struct outcome *outcome)
{
    const struct planned *planned = what;
    struct moe_judge_options options = {
        .configuration = planned->fault, .one_configuration = 1, .checks = PLAIN_CHECKS};
    if (planned->large >= 0) {
        fault_judge(planned->variant, &options, large_cases[planned->large].line,
                    case_name(planned->large), outcome);
        return;
    }
    for (int i = 0; i < LENGTH(cases) && planned->fault != 0; i++) {
        alarm(SECONDS_PLAIN);
        if (fault_judge(planned->variant, &options, cases[i], case_name(i), outcome))
            return;
    }
    const int own = special_of(planned->variant->configurations[planned->fault]);
    options.checks = own >= 0 && special[own].checks ? special[own].checks : other_checks();
    for (int i = 0; i < LENGTH(cases); i++) {
        alarm(SECONDS_ALL);
        if (fault_judge(planned->variant, &options, cases[i], case_name(i), outcome))
            return;
    }
}

static void start(struct planned *planned)
{
    planned->trying = fault_start(judge, planned, SECONDS_LARGE);
    planned->state = RUNNING;
}

static void print_name(const struct moe_variant *variant, const struct planned *planned)
{
    printf("%s%s", variant->configurations[planned->fault],
           planned->large >= 0 ? " beyond 2^31 elements" : "");
}

static int report(int number, const struct moe_variant *variant, const struct planned *planned)
{
    const struct outcome *const outcome = &planned->outcome;
    const int own = special_of(variant->configurations[planned->fault]);
    const char *luck = own >= 0 && outcome->verdict == MOE_PASS ? special[own].luck : NULL;
    /* the reference takes minutes there, and the kernels end: time is no finding */
    const int late = planned->large >= 0 && strstr(outcome->text, "hangs");
    const int good =
        !late && (luck || outcome->verdict == (planned->fault == 0 ? MOE_PASS : MOE_FAIL));
    printf("%s %d - ", good ? "ok" : "not ok", number);
    print_name(variant, planned);
    if (luck) {
        printf(" # SKIP not seen: %s\n", luck);
        return 0;
    }
    printf(": %s %s\n", moe_verdict_name(outcome->verdict), outcome->text);
    return !good;
}

/* Every fault; `none`, which takes longest, last; and `none` on each large case. */
static int make_plan(const struct moe_variant *variant, int globs, char *const *glob,
                     struct planned *plan)
{
    int count = 0;
    for (int32_t next = 1; next <= variant->configuration_count; next++) {
        const int32_t i = next % variant->configuration_count;
        if (fault_wanted(variant->configurations[i], globs, glob))
            plan[count++] = (struct planned){
                .variant = variant, .fault = i, .large = large_case_of(variant->configurations[i])};
    }
    for (int i = 0;
         i < LENGTH(large_cases) && fault_wanted(variant->configurations[0], globs, glob); i++)
        plan[count++] = (struct planned){.variant = variant, .fault = 0, .large = i};
    return count;
}

/* What wants the GPU's memory for itself: large cases, and the leak, which `footprint` sees only
 * while nobody else's memory changes. */
static int is_alone(const struct moe_variant *variant, const struct planned *planned)
{
    return planned->large >= 0 || !strcmp(variant->configurations[planned->fault], "leak");
}

/* Starts what may run beside what runs: `none` first, and last, one after another, those that run
 * alone. The number of those that run then. */
static int start_more(const struct moe_variant *variant, struct planned *plan, int count)
{
    int running = 0;
    for (int i = 0; i < count; i++)
        running += plan[i].state == RUNNING;
    for (int turn = 0; turn < 3; turn++)
        for (int i = 0; i < count; i++) {
            const int own = is_alone(variant, &plan[i]) ? 2 : plan[i].fault != 0;
            if (plan[i].state != WAITING || own != turn)
                continue;
            if (running >= (turn == 2 ? 1 : AT_A_TIME))
                return running;
            start(&plan[i]);
            running++;
        }
    return running;
}

/* Waits until one of those that run has an answer or has ended, and says so, for a run that is cut.
 */
static void wait_for_one(struct planned *plan, int count)
{
    struct pollfd ends[AT_A_TIME];
    struct planned *which[AT_A_TIME];
    int running = 0;
    for (int i = 0; i < count && running < AT_A_TIME; i++)
        if (plan[i].state == RUNNING) {
            ends[running] = (struct pollfd){.fd = plan[i].trying.from, .events = POLLIN};
            which[running++] = &plan[i];
        }
    const int ready = poll(ends, (nfds_t)running, 1000);
    for (int i = 0; i < running; i++)
        if ((ready > 0 && ends[i].revents) || which[i]->trying.pid < 0) {
            which[i]->outcome = fault_wait(&which[i]->trying);
            which[i]->state = DONE;
            printf("# %s ended: %s %s\n", which[i]->variant->configurations[which[i]->fault],
                   moe_verdict_name(which[i]->outcome.verdict), which[i]->outcome.text);
        }
}

static int run_plan(const struct moe_variant *variant, struct planned *plan, int count,
                    const char *why)
{
    const char *size = getenv("MOE_TEST_SIZE");
    const int paranoid = size && !strcmp(size, "paranoid");
    int failures = 0, told = 0;
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++)
        if (why || (plan[i].large >= 0 && !paranoid))
            plan[i].state = LEFT_OUT;
    while (told < count) {
        if (start_more(variant, plan, count) > 0)
            wait_for_one(plan, count);
        for (; told < count && plan[told].state >= DONE; told++) {
            if (plan[told].state == DONE) {
                failures += report(told + 1, variant, &plan[told]);
                continue;
            }
            printf("ok %d - ", told + 1);
            print_name(variant, &plan[told]);
            printf(" # SKIP %s\n", why ? why : "needs gigabytes: MOE_TEST_SIZE=paranoid");
        }
    }
    return failures;
}

int main(int argc, char **argv)
{
    /* several at a time share the cores; OpenMP looks at this when a program is loaded */
    if (!getenv("OMP_NUM_THREADS") && setenv("OMP_NUM_THREADS", "2", 1) == 0)
        execv("/proc/self/exe", argv);
    char why[512];
    int built = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    const struct moe_variant *variant = fault_subject("cublas-faults", &built, why, sizeof why);
    const int ready = variant && fault_look_for_gpu(why, sizeof why);
    if (!ready && getenv("MOE_REQUIRE_GPU")) {
        printf("Bail out! MOE_REQUIRE_GPU is set, but %s\n", why);
        return 99;
    }
    if (!variant) {
        printf("1..1\n%s 1 - the plug-in # SKIP %s\n", built ? "not ok" : "ok", why);
        return built;
    }
    struct planned *plan =
        calloc((size_t)variant->configuration_count + LENGTH(large_cases) + 1, sizeof *plan);
    if (!plan)
        return 99;
    const int count = make_plan(variant, argc - 1, argv + 1, plan);
    const int failures = run_plan(variant, plan, count, ready ? NULL : why);
    free(plan);
    return failures != 0;
}
