/*
 * relate.c - see relate.h: one relation from inputs to verdict.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/again.h"
#include "verify/relate.h"

#define X(name) extern const struct relation relation_##name;
#include "verify/relations.inc"
#undef X

static const struct relation *const table[] = {
#define X(name) &relation_##name,
#include "verify/relations.inc"
#undef X
};

const struct relation *moe_relation_get(int index)
{
    return index < (int)(sizeof table / sizeof *table) ? table[index] : NULL;
}

static int on_exact_data(const struct moe_problem *problem)
{
    return problem->data == MOE_DATA_EXACT0 || problem->data == MOE_DATA_EXACT1 ||
           problem->data == MOE_DATA_EXACT2;
}

/* ---- memory ---------------------------------------------------------------------------------- */

void relate_start(struct moe_judgement *judgement, struct relating *relating)
{
    struct relate_run *run = &relating->run[0];
    *relating = (struct relating){.judgement = judgement};
    run->problem = *judgement->problem;
    run->recipe = judgement->recipe;
    run->tensors = judgement->tensors; /* and before, and routing: the judgement's */
    run->before = judgement->before;
    run->routing = judgement->routing;
}

void relate_end(struct relating *relating)
{
    relate_forget(&relating->run[0]);
}

static void clear(struct relating *relating)
{
    for (int k = 0; k < RELATE_RUNS; k++) {
        struct relate_run *run = &relating->run[k];
        free(relating->token[k]);
        free(relating->expert[k]);
        free(relating->entry[k]);
        relating->token[k] = relating->expert[k] = relating->entry[k] = NULL;
        if (k == 0)
            continue;
        relate_forget(run);
        moe_routing_free(&run->routing);
        moe_tensors_free(&run->tensors);
        moe_tensors_free(&run->before);
        memset(run, 0, sizeof *run);
    }
    relating->runs = relating->left = 0;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        relating->rule[id] = (struct relate_rule){.factor = 1};
}

static int keep_before(struct relate_run *run)
{
    for (int id = 0; id < MOE_TENSOR_COUNT && run->problem.beta; id++) {
        const struct moe_tensor *tensor = &run->tensors.tensor[id];
        struct moe_tensor *before = &run->before.tensor[id];
        if (!tensor->data ||
            moe_tensor_info((enum moe_tensor_id)id)->role != MOE_PARAMETER_GRADIENT)
            continue;
        size_t bytes = (size_t)moe_tensor_bytes(tensor);
        *before = *tensor;
        before->data = malloc(bytes + 1);
        if (!before->data)
            return moe_error(MOE_E_NOMEM, "no memory for a copy of a gradient");
        memcpy(before->data, tensor->data, bytes);
    }
    return MOE_OK;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void report_call(const struct relating *relating, const struct moe_trial_result *result)
{
    struct moe_finding finding =
        judgement_finding("relations", result->status == MOE_E_NOMEM ? MOE_ERROR : MOE_FAIL,
                          "%s: %s returned %d: %.100s", relating->relation->name, result->step,
                          result->status, moe_error_text());
    moe_report_add(relating->judgement->report, &finding);
}

/* 1 in *ran: the run left what can be compared. */
static int run_variant(struct relating *relating, struct relate_run *run, int *ran)
{
    struct moe_judgement *judgement = relating->judgement;
    struct moe_trial trial = judgement->trial;
    struct moe_trial_result result;
    *ran = 0;
    trial.problem = &run->problem;
    trial.check = "relations";
    trial.variant->recipe(&run->problem, &run->recipe);
    int status = keep_before(run);
    if (status == MOE_OK)
        status = moe_trial_run(&trial, &run->tensors, &result);
    if (status != MOE_OK || result.status == MOE_E_UNSUPPORTED)
        return status;
    judgement_report_strays(judgement, "relations", relating->relation->name, &result);
    if (result.status != MOE_OK) {
        report_call(relating, &result);
        return MOE_OK;
    }
    status = moe_routing_from_tensors(&run->problem, run->tensors.tensor, &run->routing);
    if (status == MOE_E_USAGE) {
        struct moe_finding finding =
            judgement_finding("relations", MOE_FAIL, "%s: what it picked: %.150s",
                              relating->relation->name, moe_error_text());
        moe_report_add(judgement->report, &finding);
        return MOE_OK;
    }
    *ran = status == MOE_OK;
    return status;
}

static int applicable(const struct relating *relating, int k)
{
    const struct moe_variant *variant = relating->judgement->trial.variant;
    char why[160];
    return moe_variant_applicable(variant, &relating->run[k].problem, variant->devices, why,
                                  sizeof why) == MOE_OK;
}

/* ---- picks ----------------------------------------------------------------------------------- */

/* The left run's picks beside those of run k; -1, or the entry at which they part. */
static int64_t parting(const struct relating *relating, int k)
{
    const struct moe_routing *left = &relating->run[relating->left].routing;
    const struct moe_routing *right = &relating->run[k].routing;
    const int64_t *entry = relating->entry[k], *expert = relating->expert[k];
    for (int64_t i = 0; i < left->P; i++) {
        int64_t j = entry ? entry[i] : i, e = left->pick[i];
        if (j < 0)
            continue;
        if (j >= right->P || right->pick[j] != (expert && e >= 0 ? expert[e] : e))
            return i;
    }
    return -1;
}

/* Picks are discrete: near a tie another run may lawfully pick otherwise. Then the reference judges
 * that run, whose picks it asks to be such as could be made. */
static int judge_by_reference(struct relating *relating, struct relate_run *run)
{
    struct moe_report *report = malloc(sizeof *report);
    if (!report)
        return moe_error(MOE_E_NOMEM, "no memory for a report");
    int status = run->problem.beta
                     ? MOE_OK
                     : moe_judge_tensors(&run->problem, &run->tensors, &run->recipe, report);
    if (status == MOE_OK && !run->problem.beta && report->verdict == MOE_FAIL) {
        struct moe_finding finding = report->finding[0];
        finding.check = "relations";
        finding.verdict = MOE_FAIL;
        snprintf(finding.text, sizeof finding.text, "%s: picks differ, and %.16s: %.120s",
                 relating->relation->name, report->finding[0].check, report->finding[0].text);
        moe_report_add(relating->judgement->report, &finding);
    }
    free(report);
    return status;
}

static void report_picks(struct relating *relating, int64_t entry)
{
    struct moe_finding finding =
        judgement_finding("relations", MOE_FAIL,
                          "%s: entry %lld has another pick, and %s declares itself "
                          "batch-invariant: %s",
                          relating->relation->name, (long long)entry, relating->judgement->subject,
                          relating->relation->statement);
    finding.tensor = MOE_PICKS;
    moe_report_add(relating->judgement->report, &finding);
}

/* 1 in *agreed: every run picked alike, and the rest can be compared. */
static int compare_picks(struct relating *relating, int *agreed)
{
    *agreed = 1;
    for (int k = 0; k < relating->runs; k++) {
        int64_t at = k == relating->left ? -1 : parting(relating, k);
        if (at < 0)
            continue;
        *agreed = 0;
        if (relating->rule[MOE_PICKS].bitwise) {
            report_picks(relating, at);
            return MOE_OK;
        }
        return judge_by_reference(relating, &relating->run[k > 0 ? k : relating->left]);
    }
    return MOE_OK;
}

/* ---- a relation ------------------------------------------------------------------------------ */

static int try(struct relating *relating)
{
    int status = MOE_OK, ran = 1, agreed = 1;
    int exact = on_exact_data(relating->judgement->problem);
    for (int k = 1; k < relating->runs; k++)
        if (!applicable(relating, k))
            return MOE_OK;
    for (int k = 1; k < relating->runs && status == MOE_OK && ran; k++)
        status = run_variant(relating, &relating->run[k], &ran);
    if (status != MOE_OK || !ran)
        return status;
    if (relating->judgement->problem->router != MOE_LISTS)
        status = compare_picks(relating, &agreed);
    for (int k = 0; k < relating->runs && status == MOE_OK && agreed; k++)
        status = relate_know(&relating->run[k], exact);
    return status == MOE_OK && agreed ? relate_compare(relating) : status;
}

int relate_try(struct relating *relating, const struct relation *relation)
{
    clear(relating);
    relating->relation = relation;
    int status = relation->make(relating);
    int no_case = status == MOE_E_UNSUPPORTED || status == MOE_E_USAGE; /* too large, or none */
    if (status == MOE_OK)
        status = try(relating);
    clear(relating);
    return no_case ? MOE_OK : status;
}
