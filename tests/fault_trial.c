/*
 * fault_trial.c - see fault_trial.h.
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
#include "tests/fault_trial.h"

#ifdef HAVE_CUDA
static const int built_with_cuda = 1;
#else
static const int built_with_cuda = 0;
#endif

const struct moe_variant *fault_subject(const char *name, int *built, char *why, size_t size)
{
    const char *path = getenv("MOE_FAULTS");
    const struct moe_variant *variant;
    const int status = moe_plugin_open(path ? path : ".libs/moecheck-faults.so");
    *built = built_with_cuda;
    snprintf(why, size, "%s", built_with_cuda ? moe_error_text() : "built without CUDA");
    for (int i = 0; status == MOE_OK && (variant = moe_variant_get(i)); i++)
        if (!strcmp(variant->name, name))
            return variant;
    return NULL;
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

/* What the PTX machine says of what changes no value. */
static void note_remark(const struct moe_report *report, char *text, size_t size)
{
    for (int i = 0; i < report->finding_count && i < MOE_REPORT_FINDINGS; i++)
        if (!strcmp(report->finding[i].check, "machine"))
            snprintf(text, size, "%s", report->finding[i].text);
}

int fault_judge(const struct moe_variant *variant, const struct moe_judge_options *options,
                const char *line, const char *place, struct outcome *outcome)
{
    static struct moe_report report;
    struct moe_problem problem;
    char checks[200];
    if (moe_problem_parse(line, &problem) != MOE_OK ||
        moe_judge_variant(&problem, variant, options, &report) != MOE_OK) {
        outcome->verdict = MOE_ERROR;
        snprintf(outcome->text, sizeof outcome->text, "%s", moe_error_text());
        return 1;
    }
    /* what the variant supports and then does not do has not been judged */
    const int refused = report.verdict == MOE_SKIP && report.finding_count > 0 &&
                        !strcmp(report.finding[0].check, "run");
    if (refused)
        report.verdict = report.finding[0].verdict = MOE_ERROR;
    if (report.verdict == MOE_SKIP || report.verdict == MOE_PASS) {
        note_remark(&report, outcome->text, sizeof outcome->text);
        return 0;
    }
    outcome->verdict = report.verdict;
    name_checks(&report, checks, sizeof checks);
    snprintf(outcome->text, sizeof outcome->text, "by %s on %s: %s", checks, place,
             report.finding_count ? report.finding[0].text : "");
    return 1;
}

struct trying fault_start(void (*judge)(const void *what, struct outcome *outcome),
                          const void *what, unsigned seconds)
{
    int ends[2];
    struct trying trying = {.pid = -1};
    if (pipe(ends) != 0)
        return trying;
    fflush(stdout);
    trying.pid = fork();
    if (trying.pid == 0) {
        struct outcome outcome = {.verdict = MOE_PASS};
        close(ends[0]);
        alarm(seconds);
        judge(what, &outcome);
        _exit(write(ends[1], &outcome, sizeof outcome) == sizeof outcome ? 0 : 1);
    }
    close(ends[1]);
    trying.from = ends[0];
    return trying;
}

struct outcome fault_wait(const struct trying *trying)
{
    struct outcome outcome = {.verdict = MOE_ERROR, .text = "no process"};
    int how;
    if (trying->told)
        return *trying->told;
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

int fault_look_for_gpu(char *why, size_t size)
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

int fault_wanted(const char *name, int globs, char *const *glob)
{
    for (int i = 0; i < globs; i++)
        if (!fnmatch(glob[i], name, 0))
            return 1;
    return globs == 0;
}
