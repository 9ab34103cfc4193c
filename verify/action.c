/*
 * action.c - what a worker does with a job, by a table of actions.
 */
#include <string.h>

#include "verify/action.h"
#include "verify/bench.h"
#include "verify/fault.h"

/* The variant of that name, or NULL. */
static const struct moe_variant *find(const char *name)
{
    const struct moe_variant *variant;

    for (int i = 0; name != NULL && (variant = moe_variant_get(i)) != NULL; i++)
        if (strcmp(variant->name, name) == 0)
            return variant;
    return NULL;
}

/* Everything that an action may need, looked up once. */
struct doing {
    const struct moe_job *job;
    const struct moe_variant *variant; /* NULL: the action needs none */
    struct moe_judge_options options;
    struct moe_result *result;
};

/* Runs before the one that is judged, as in a process that has worked for a while: on fewer tokens,
 * then twice more. What comes of them nobody looks at. */
static void run_before(const struct doing *doing)
{
    for (int i = 0; i < 3; i++) {
        struct moe_problem problem = doing->job->problem;
        struct moe_tensors tensors;
        problem.seed += 1000 + (uint64_t)i;
        problem.T = i == 0 ? problem.T / 2 : problem.T;
        if (moe_variant_run(&problem, doing->variant, &doing->options, &tensors) == MOE_OK)
            moe_tensors_free(&tensors);
    }
}

/* A planted fault lives as long as its job. */
static int judge_fault(const struct doing *doing)
{
    const char *text = doing->job->fault;
    int status = moe_fault_plant_text(text);
    if (status == MOE_OK && moe_fault_outlives_launch(text))
        run_before(doing);
    if (status == MOE_OK)
        status = moe_judge_variant(&doing->job->problem, doing->variant, &doing->options,
                                   &doing->result->report);
    moe_fault_plant(NULL, 0);
    return status;
}

static int judge(const struct doing *doing)
{
    if (doing->job->fault)
        return judge_fault(doing);
    return moe_judge_variant(&doing->job->problem, doing->variant, &doing->options,
                             &doing->result->report);
}

static int run(const struct doing *doing)
{
    const struct moe_problem *problem = &doing->job->problem;
    struct moe_tensors tensors;
    int status = moe_variant_run(problem, doing->variant, &doing->options, &tensors);

    if (status != MOE_OK)
        return status;
    status = moe_tensors_save(problem, &tensors, doing->variant->name, doing->job->file);
    if (status == MOE_E_IO)
        doing->result->status = status;
    moe_tensors_free(&tensors);
    return status;
}

static int judge_file(const struct doing *doing)
{
    const struct moe_problem *problem = &doing->job->problem;
    struct moe_tensors tensors;
    int status = moe_tensors_allocate(problem, &tensors);

    if (status != MOE_OK)
        return status;
    status = moe_tensors_draw(problem, &tensors);
    if (status == MOE_OK)
        status = moe_tensors_load(problem, doing->job->file, &tensors);
    if (status == MOE_OK)
        status = moe_tensors_load_outputs(problem, doing->job->file, &tensors);
    if (status == MOE_OK)
        status = moe_judge_tensors(problem, &tensors, NULL, &doing->result->report);
    moe_tensors_free(&tensors);
    return status;
}

static void add(struct moe_report *report, enum moe_verdict verdict, const char *check,
                const char *text)
{
    struct moe_finding finding = moe_finding_plain(check, verdict, text);

    moe_report_add(report, &finding);
}

static int measure(const struct doing *doing)
{
    int status =
        moe_bench_measure(doing->job, doing->variant, &doing->options, &doing->result->measure);

    if (status != MOE_E_UNSUPPORTED)
        return status;
    add(&doing->result->report, MOE_SKIP, "applicable", moe_error_text());
    return MOE_OK;
}

static int (*const action[MOE_ACTION_COUNT])(const struct doing *doing) = {
    [MOE_ACTION_JUDGE] = judge,
    [MOE_ACTION_RUN] = run,
    [MOE_ACTION_JUDGE_FILE] = judge_file,
    [MOE_ACTION_MEASURE] = measure,
};

/* Does the variant take the case on these devices? Else the report says why not. */
static int takes(const struct doing *doing, unsigned devices)
{
    char why[256] = "";
    int status;

    doing->options.phase(doing->options.context, MOE_PHASE_VARIANT);
    status = moe_variant_applicable(doing->variant, &doing->job->problem, devices, why, sizeof why);
    doing->options.phase(doing->options.context, MOE_PHASE_JUDGE);
    if (status != MOE_OK)
        add(&doing->result->report, MOE_SKIP, "applicable", why);
    return status == MOE_OK;
}

void moe_action_do(const struct moe_job *job, unsigned devices, moe_phase_teller *phase,
                   moe_place_teller *place, void *context, struct moe_result *result)
{
    struct doing doing = {.job = job,
                          .variant = find(job->variant),
                          .options = {.load = job->load,
                                      .devices = devices,
                                      .configuration = job->configuration,
                                      .checks = job->checks,
                                      .rotate = job->rotate,
                                      .phase = phase,
                                      .place = place,
                                      .context = context},
                          .result = result};
    int status;

    moe_report_clear(&result->report);
    result->status = MOE_OK;
    if (doing.variant != NULL && !takes(&doing, devices))
        return;
    status = action[job->action](&doing);
    if (status == MOE_OK)
        return;
    /* A file that was to be read: missing or malformed, it is the user's to mend. */
    if (result->status == MOE_OK && (status == MOE_E_USAGE || status == MOE_E_IO))
        result->status = MOE_E_USAGE;
    moe_report_clear(&result->report);
    add(&result->report, MOE_ERROR, "judge", moe_error_text());
}
