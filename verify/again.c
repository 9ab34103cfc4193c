/*
 * again.c - see again.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/again.h"
#include "verify/on_device.h"

/* The seed of other inputs; any that is not the case's. */
#define OTHER_SEED 0x6f74686572u

int again_wanted(const struct moe_judgement *judgement)
{
    enum moe_verdict verdict = judgement->report->verdict;
    return verdict != MOE_FAIL && verdict != MOE_ERROR && moe_on_device_sound();
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void report_failed_call(struct moe_judgement *judgement, const char *check, const char *what,
                               const struct moe_trial_result *result)
{
    struct moe_finding finding = judgement_finding(
        check, result->status == MOE_E_NOMEM ? MOE_ERROR : MOE_FAIL, "%s: %s returned %d: %s", what,
        result->step, result->status, moe_error_text());
    moe_report_add(judgement->report, &finding);
}

static int copy_own(const struct moe_judgement *judgement, const struct moe_trial *trial,
                    const struct moe_tensors *from, struct moe_tensors *own)
{
    if (!trial->script || !strchr(trial->script, 'i') || trial->own)
        return MOE_OK;
    return moe_tensors_again(judgement->problem, from, MOE_POISON, own);
}

static void report_inputs(struct moe_judgement *judgement, const char *check, const char *what,
                          const struct moe_tensors *made, const struct moe_tensors *given)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &made->tensor[id];
        if (!judgement_is_input(judgement, id) || moe_tensor_count(tensor) == 0 ||
            memcmp(tensor->data, given->tensor[id].data, (size_t)moe_tensor_bytes(tensor)) == 0)
            continue;
        struct moe_finding finding = judgement_finding(
            check, MOE_FAIL, "%.100s: input %s was changed", what, moe_tensor_info(id)->name);
        finding.tensor = id;
        moe_report_add(judgement->report, &finding);
    }
}

void again_report_traces(struct moe_judgement *judgement, const char *check, const char *what,
                         const struct moe_trial_result *result, const struct moe_tensors *made,
                         const struct moe_tensors *given)
{
    judgement_report_strays(judgement, check, what, result);
    if (result->status == MOE_OK)
        report_inputs(judgement, check, what, made, given);
}

/* The inputs that a script puts there last. */
static const struct moe_tensors *given_last(const struct moe_trial *trial,
                                            const struct moe_tensors *from)
{
    const struct moe_tensors *given = from;
    for (const char *step = trial->script ? trial->script : ""; *step; step++)
        given = *step == 'i' ? trial->own : *step == 'o' ? trial->other : given;
    return given;
}

int again_run(struct moe_judgement *judgement, const char *check, const char *what,
              const struct moe_trial *trial, const struct moe_tensors *from, struct again *again)
{
    struct moe_trial own_trial = *trial;
    struct moe_tensors own = {0};
    *again = (struct again){0};
    int status = moe_tensors_again(judgement->problem, from, MOE_POISON, &again->made);
    if (status == MOE_OK)
        status = copy_own(judgement, trial, from, &own);
    if (status == MOE_OK) {
        own_trial.check = check;
        own_trial.own = trial->own ? trial->own : &own;
        status = moe_trial_run(&own_trial, &again->made, &again->result);
    }
    again->ran = status == MOE_OK && again->result.status == MOE_OK && !again->result.crowded;
    if (status == MOE_OK)
        again_report_traces(judgement, check, what, &again->result, &again->made,
                            given_last(&own_trial, from));
    moe_tensors_free(&own);
    if (status == MOE_OK && again->result.status != MOE_OK)
        report_failed_call(judgement, check, what, &again->result);
    return status;
}

void again_free(struct again *again)
{
    moe_tensors_free(&again->made);
}

int again_other_inputs(const struct moe_judgement *judgement, struct moe_tensors *other)
{
    struct moe_problem problem = *judgement->problem;
    problem.seed ^= OTHER_SEED;
    int status = moe_tensors_again(judgement->problem, &judgement->tensors, MOE_POISON, other);
    for (int id = 0; id < MOE_TENSOR_COUNT && status == MOE_OK; id++)
        if (judgement_is_input(judgement, id))
            status = moe_draw_tensor(&problem, id, &other->tensor[id]);
    return status;
}

/* ---- bits ------------------------------------------------------------------------------------ */

/* Elements that mean something: entries of ragged lists end at offsets[T], rows of z with the
 * picks that are not dropped. */
static int64_t meaningful(const struct moe_problem *problem, const struct moe_tensors *tensors,
                          int id)
{
    const struct moe_tensor *tensor = &tensors->tensor[id], *picks = &tensors->tensor[MOE_PICKS];
    int64_t entries = moe_tensor_count(picks), rows = 0;
    if (moe_problem_ragged(problem) && tensors->tensor[MOE_OFFSETS].data) {
        int64_t last =
            (int64_t)moe_dtype_load(MOE_I64, tensors->tensor[MOE_OFFSETS].data, problem->T);
        entries = last < 0 ? 0 : last < entries ? last : entries;
    }
    if (id == MOE_PICKS || id == MOE_SCORES || id == MOE_DS)
        return entries;
    if (id != MOE_Z)
        return moe_tensor_count(tensor);
    for (int64_t p = 0; p < entries; p++)
        rows += ((const int32_t *)picks->data)[p] >= 0;
    return rows < tensor->shape[0] ? rows * tensor->shape[1] : moe_tensor_count(tensor);
}

static int is_written(const struct moe_problem *problem, const struct moe_tensors *tensors, int id)
{
    enum moe_role role = moe_tensor_info(id)->role;
    return tensors->tensor[id].data && role != MOE_INPUT &&
           !(role == MOE_ROUTING && problem->router == MOE_LISTS);
}

int again_same_bits(const struct moe_problem *problem, const struct moe_tensors *got,
                    const struct moe_tensors *want, struct moe_finding *finding)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *a = &got->tensor[id], *b = &want->tensor[id];
        if (!is_written(problem, want, id))
            continue;
        size_t size = (size_t)moe_dtype_info(a->dtype)->bits / 8;
        int64_t count = meaningful(problem, want, id), wrong = 0, first = -1;
        for (int64_t i = 0; i < count; i++)
            if (memcmp((const char *)a->data + (size_t)i * size,
                       (const char *)b->data + (size_t)i * size, size) != 0) {
                first = first < 0 ? i : first;
                wrong++;
            }
        if (wrong == 0)
            continue;
        int64_t width = a->shape[a->rank - 1];
        finding->tensor = id;
        finding->wrong = wrong;
        finding->total = count;
        finding->row = first / width;
        finding->col = first % width;
        finding->got = moe_dtype_load(a->dtype, a->data, first);
        finding->want = moe_dtype_load(b->dtype, b->data, first);
        return 1;
    }
    return 0;
}

/* ---- right or wrong -------------------------------------------------------------------------- */

/* By the reference: its first finding, under the name of the check that made the run. */
static int judge_by_reference(struct moe_judgement *judgement, const char *check, const char *what,
                              const struct again *again)
{
    struct moe_report *report = malloc(sizeof *report);
    if (!report)
        return moe_error(MOE_E_NOMEM, "no memory for a report");
    int status = moe_judge_tensors(judgement->problem, &again->made, &judgement->recipe, report);
    for (int i = 0; status == MOE_OK && i < report->finding_count && i < MOE_REPORT_FINDINGS; i++) {
        if (report->verdict != MOE_FAIL && report->verdict != MOE_ERROR)
            break;
        struct moe_finding finding = report->finding[i];
        if (finding.verdict != report->verdict)
            continue;
        finding.check = check;
        snprintf(finding.text, sizeof finding.text, "%.80s: %.40s: %.120s", what,
                 report->finding[i].check, report->finding[i].text);
        moe_report_add(judgement->report, &finding);
        break;
    }
    free(report);
    return status;
}

int again_judge(struct moe_judgement *judgement, const char *check, const char *what,
                const struct again *again, const struct moe_tensors *fresh)
{
    const struct moe_variant *variant = judgement->trial.variant;
    struct moe_finding finding = judgement_finding(check, MOE_FAIL, "%s", what);
    if (fresh && !again_same_bits(judgement->problem, &again->made, fresh, &finding))
        return MOE_OK;
    if (!fresh || !(variant->flags & MOE_DETERMINISTIC))
        return judge_by_reference(judgement, check, what, again);
    snprintf(finding.text, sizeof finding.text,
             "%.100s: %lld of %lld elements of %s are not the bits of a plain run, and %s declares "
             "itself deterministic",
             what, (long long)finding.wrong, (long long)finding.total,
             moe_tensor_info(finding.tensor)->name, judgement->subject);
    moe_report_add(judgement->report, &finding);
    return MOE_OK;
}

/* ---- amid surroundings ----------------------------------------------------------------------- */

/* The verdict stays: the judge's own run has been looked at. */
static void report_left_out(struct moe_judgement *judgement, const char *check, const char *why)
{
    enum moe_verdict verdict = judgement->report->verdict;
    struct moe_finding finding = judgement_finding(check, MOE_SKIP, "left out: %s", why);
    moe_report_add(judgement->report, &finding);
    judgement->report->verdict = verdict;
}

int again_on_gpu(struct moe_judgement *judgement, const char *check)
{
    const enum moe_device_kind kind = moe_trial_device(&judgement->trial);
    if (kind == MOE_ON_PTX && again_wanted(judgement))
        report_left_out(judgement, check,
                        "the PTX machine does one thing after the other, and has no graphs");
    return kind == MOE_ON_CUDA && again_wanted(judgement) && !judgement->crowded;
}

static void report_text(struct moe_judgement *judgement, const char *check, const char *what,
                        const char *text)
{
    struct moe_finding finding = judgement_finding(check, MOE_FAIL, "%.100s: %s", what, text);
    moe_report_add(judgement->report, &finding);
}

/* A trial amid surroundings, beside what `fresh` (or NULL) is. */
static int run_amid(struct moe_judgement *judgement, const char *check, const char *what,
                    const struct moe_trial *trial, const struct moe_tensors *fresh)
{
    struct again again;
    int status = again_run(judgement, check, what, trial, &judgement->tensors, &again);
    if (status == MOE_OK && again.result.crowded) {
        judgement->crowded = 1;
        report_left_out(judgement, check,
                        "other runs did not leave the GPU that it must have alone");
    }
    if (status == MOE_OK && again.result.waited && !(trial->variant->flags & MOE_HOST_SYNC))
        report_text(judgement, check, what,
                    "a call returned only when work before it on the stream had ended, and the "
                    "variant does not declare host_sync");
    if (status == MOE_OK && again.result.stalled)
        report_text(judgement, check, what, "the variant did not end until other work had left");
    if (status == MOE_OK && again.ran)
        status = again_judge(judgement, check, what, &again, fresh);
    again_free(&again);
    return status;
}

int again_amid(struct moe_judgement *judgement, const char *check,
               const struct moe_surroundings *surroundings)
{
    struct moe_trial trial = judgement->trial;
    trial.script = "fbiFB"; /* the plain round first: what is lazy is done then */
    trial.surroundings = surroundings;
    return run_amid(judgement, check, surroundings->name, &trial, &judgement->tensors);
}

int again_together(struct moe_judgement *judgement, const char *check,
                   const struct moe_surroundings *surroundings)
{
    static const char what[] = "other inputs, backward called before forward has run";
    struct moe_trial trial = judgement->trial;
    struct moe_tensors other = {0};
    struct again fresh = {0};
    int status = again_other_inputs(judgement, &other);
    trial.script = "fboP";
    trial.other = &other;
    trial.surroundings = surroundings;
    if (status == MOE_OK && trial.variant->flags & MOE_DETERMINISTIC)
        status = again_run(judgement, check, "other inputs", &judgement->trial, &other, &fresh);
    if (status == MOE_OK && again_wanted(judgement))
        status = run_amid(judgement, check, what, &trial, fresh.ran ? &fresh.made : NULL);
    again_free(&fresh);
    moe_tensors_free(&other);
    return status;
}
