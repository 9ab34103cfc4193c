/*
 * t_gpu_faults.c - every fault of moecheck-faults.so is caught on a GPU, and `none` passes.
 *
 * Each fault is judged in a process of its own, for some end in an error that sticks or in a hang;
 * a few run at a time. This process never touches CUDA. It writes its own TAP: without a GPU all
 * are skipped with the reason, and fail as a whole where MOE_REQUIRE_GPU is set. Faults that only
 * cases of gigabytes show run with MOE_TEST_SIZE=paranoid.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "gpu/gpu.h"
#include "verify/verify.h"

#define AT_A_TIME 8
#define SECONDS 120 /* for one fault; a hang is caught by them */
#ifdef HAVE_CUDA
static const int built_with_cuda = 1;
#else
static const int built_with_cuda = 0;
#endif

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
    "T=64 H=64 I=64 E=8 K=8 dtype=bf16 router=lists data=exact1 seed=13",
    "T=64 H=64 I=64 E=8 K=8 dtype=bf16 router=lists data=exact2 seed=14",
};

/* w1 and z with more than 2^31 elements. */
static const char *const large_cases[] = {
    "T=65536 H=16 I=16400 E=2 K=1 dtype=bf16 router=lists seed=15",
    "T=140000 H=16384 I=8 E=2 K=1 dtype=bf16 router=lists weight=input seed=16",
};

/* What came of one fault, as its process tells it. */
struct outcome {
    enum moe_verdict verdict; /* of the case that was caught, or the worst of all */
    char text[400];
};

struct trying {
    pid_t pid;
    int from;
};

static const struct moe_variant *subject(void)
{
    const struct moe_variant *variant;
    for (int i = 0; (variant = moe_variant_get(i)); i++)
        if (!strcmp(variant->name, "cublas-faults"))
            return variant;
    return NULL;
}

static int is_large(const char *name)
{
    return strstr(name, "int32") != NULL;
}

/* The names of the checks that failed, each once. */
static void name_checks(const struct moe_report *report, char *text, size_t size)
{
    text[0] = '\0';
    for (int i = 0; i < report->finding_count && i < MOE_REPORT_FINDINGS; i++) {
        const struct moe_finding *finding = &report->finding[i];
        if (finding->verdict != report->verdict || strstr(text, finding->check))
            continue;
        size_t used = strlen(text);
        snprintf(text + used, size - used, "%s%s", used ? ", " : "", finding->check);
    }
}

/* Judges one case after the other until one is not PASS. */
static void judge(const struct moe_variant *variant, int32_t fault, struct outcome *outcome)
{
    const int large = is_large(variant->configurations[fault]);
    const char *const *lines = large ? large_cases : cases;
    const int count = large ? LENGTH(large_cases) : LENGTH(cases);
    const struct moe_judge_options options = {.configuration = fault, .one_configuration = 1};
    *outcome = (struct outcome){.verdict = MOE_PASS};
    for (int i = 0; i < count && outcome->verdict == MOE_PASS; i++) {
        struct moe_problem problem;
        struct moe_report report;
        char checks[200];
        if (moe_problem_parse(lines[i], &problem) != MOE_OK ||
            moe_judge_variant(&problem, variant, &options, &report) != MOE_OK) {
            outcome->verdict = MOE_ERROR;
            snprintf(outcome->text, sizeof outcome->text, "%s", moe_error_text());
            return;
        }
        if (report.verdict == MOE_SKIP)
            continue;
        outcome->verdict = report.verdict;
        name_checks(&report, checks, sizeof checks);
        snprintf(outcome->text, sizeof outcome->text, "by %s on case %d: %s", checks, i + 1,
                 report.finding_count ? report.finding[0].text : "");
    }
}

static struct trying start(const struct moe_variant *variant, int32_t fault)
{
    int ends[2];
    struct trying trying = {.pid = -1};
    if (pipe(ends) != 0)
        return trying;
    fflush(stdout);
    trying.pid = fork();
    if (trying.pid == 0) {
        struct outcome outcome;
        close(ends[0]);
        alarm(is_large(variant->configurations[fault]) ? 5 * SECONDS : SECONDS);
        judge(variant, fault, &outcome);
        _exit(write(ends[1], &outcome, sizeof outcome) == sizeof outcome ? 0 : 1);
    }
    close(ends[1]);
    trying.from = ends[0];
    return trying;
}

/* A process that ended without an answer ended inside the variant. */
static struct outcome wait_for(const struct trying *trying)
{
    struct outcome outcome = {.verdict = MOE_ERROR, .text = "no process"};
    int how;
    if (trying->pid < 0)
        return outcome;
    const int whole = read(trying->from, &outcome, sizeof outcome) == sizeof outcome;
    close(trying->from);
    waitpid(trying->pid, &how, 0);
    if (whole)
        return outcome;
    outcome.verdict = MOE_FAIL;
    snprintf(outcome.text, sizeof outcome.text, "by isolation: %s",
             WIFSIGNALED(how) && WTERMSIG(how) == SIGALRM ? "hangs" : "crashes");
    return outcome;
}

/* Is there a GPU? Asked by a process of its own. */
static int look(char *why, size_t size)
{
    int ends[2];
    if (pipe(ends) != 0)
        return 0;
    pid_t pid = fork();
    if (pid == 0) {
        struct moe_gpu_status gpu;
        moe_gpu_probe(&gpu);
        _exit(write(ends[1], gpu.reason, strlen(gpu.reason) + 1) <= 0);
    }
    close(ends[1]);
    const ssize_t length = read(ends[0], why, size - 1);
    why[length > 0 ? length : 0] = '\0';
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return length > 0 && why[0] == '\0';
}

static int report(int32_t fault, const struct moe_variant *variant, const struct outcome *outcome)
{
    const int good = outcome->verdict == (fault == 0 ? MOE_PASS : MOE_FAIL);
    printf("%s %d - %s: %s %s\n", good ? "ok" : "not ok", fault + 1, variant->configurations[fault],
           moe_verdict_name(outcome->verdict), outcome->text);
    return !good;
}

int main(void)
{
    const char *path = getenv("MOE_FAULTS"), *size = getenv("MOE_TEST_SIZE");
    const int paranoid = size && !strcmp(size, "paranoid");
    char why[512] = "built without CUDA";
    int failures = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    const int opened = moe_plugin_open(path ? path : ".libs/moecheck-faults.so") == MOE_OK;
    if (!opened && built_with_cuda)
        snprintf(why, sizeof why, "%s", moe_error_text());
    const int ready = opened && look(why, sizeof why);
    if (!ready && getenv("MOE_REQUIRE_GPU")) {
        printf("Bail out! MOE_REQUIRE_GPU is set, but %s\n", why);
        return 99;
    }
    if (!opened) {
        printf("1..1\n%s 1 - the plug-in # SKIP %s\n", built_with_cuda ? "not ok" : "ok", why);
        return built_with_cuda;
    }
    const struct moe_variant *variant = subject();
    const int32_t count = variant->configuration_count;
    struct trying trying[AT_A_TIME];
    printf("1..%d\n", count);
    for (int32_t first = 0; first < count; first += AT_A_TIME) {
        const int32_t end = first + AT_A_TIME < count ? first + AT_A_TIME : count;
        for (int32_t i = first; ready && i < end; i++)
            if (paranoid || !is_large(variant->configurations[i]))
                trying[i - first] = start(variant, i);
        for (int32_t i = first; i < end; i++) {
            if (!ready || (!paranoid && is_large(variant->configurations[i]))) {
                printf("ok %d - %s # SKIP %s\n", i + 1, variant->configurations[i],
                       ready ? "needs gigabytes: MOE_TEST_SIZE=paranoid" : why);
                continue;
            }
            const struct outcome outcome = wait_for(&trying[i - first]);
            failures += report(i, variant, &outcome);
        }
    }
    return failures != 0;
}
