/*
 * judge.c - from a case and a variant to a report: tensors, the variant's two calls, the checks.
 *
 *   draw (or load) the inputs, poison the outputs, let every check look; run the variant; let every
 *   check judge. Nothing that the variant returns or leaves is believed before it is checked.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "verify/judge.h"
#include "verify/on_device.h"
#include "verify/trial.h"

/* Purpose of the words that choose whose turn it is (ref/moe.h: those of tensors are below 512). */
#define ROTATION 0x7475726eu

/* Where checks take turns, each gets so many cases that it adds about a quarter of a run a case. */
#define RUNS_A_TURN 4

/* Random products that OpenBLAS must get right before a process believes it. */
#define SELFTEST_ROUNDS 200

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int judgement_idle(struct moe_judgement *judgement)
{
    judgement->idle = 1;
    return MOE_OK;
}

int judgement_is_input(const struct moe_judgement *judgement, enum moe_tensor_id id)
{
    enum moe_role role = moe_tensor_info(id)->role;
    if (!judgement->tensors.tensor[id].data)
        return 0;
    return role == MOE_INPUT || (role == MOE_ROUTING && judgement->problem->router == MOE_LISTS);
}

struct moe_finding judgement_finding(const char *check, enum moe_verdict verdict,
                                     const char *format, ...)
{
    struct moe_finding finding = {.check = check,
                                  .verdict = verdict,
                                  .tensor = -1,
                                  .row = -1,
                                  .col = -1,
                                  .expert = -1,
                                  .token = -1,
                                  .slot = -1,
                                  .got = NAN,
                                  .want = NAN,
                                  .allowed = NAN};
    va_list args;
    va_start(args, format);
    vsnprintf(finding.text, sizeof finding.text, format, args);
    va_end(args);
    return finding;
}

static int prepare(const struct moe_problem *problem, const char *load, struct moe_tensors *tensors)
{
    int status = moe_tensors_allocate(problem, tensors);
    if (status != MOE_OK)
        return status;
    status = moe_tensors_draw(problem, tensors);
    if (status == MOE_OK && load)
        status = moe_tensors_load(problem, load, tensors);
    if (status == MOE_OK)
        moe_tensors_fill_outputs(problem, tensors, MOE_POISON);
    else
        moe_tensors_free(tensors);
    return status;
}

/* beta=1: what the parameter gradients hold before they are added to. */
static int copy_before(struct moe_judgement *judgement)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &judgement->tensors.tensor[id];
        if (!tensor->data || !judgement->problem->beta ||
            moe_tensor_info(id)->role != MOE_PARAMETER_GRADIENT)
            continue;
        size_t bytes = (size_t)moe_tensor_bytes(tensor);
        struct moe_tensor *copy = &judgement->before.tensor[id];
        void *data = malloc(bytes > 0 ? bytes : 1);
        if (!data)
            return moe_error(MOE_E_NOMEM, "no memory for a copy of %s", moe_tensor_info(id)->name);
        *copy = *tensor;
        copy->data = memcpy(data, tensor->data, bytes);
    }
    return MOE_OK;
}

static void judgement_free(struct moe_judgement *judgement)
{
    moe_routing_free(&judgement->routing);
    for (int i = 0; i < MOE_CHECK_MAX; i++)
        free(judgement->state[i]);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        free(judgement->before.tensor[id].data);
    moe_tensors_free(&judgement->tensors);
}

/* The reference is trusted only on top of an OpenBLAS that multiplies right; tried once a process.
 */
static int trust_blas(void)
{
    static int tried, status;
    if (!tried) {
        status = moe_reference_selftest(SELFTEST_ROUNDS);
        tried = 1;
    }
    return status;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static struct moe_trial trial_of(const struct moe_problem *problem,
                                 const struct moe_variant *variant,
                                 const struct moe_judge_options *options)
{
    struct moe_trial trial = {.problem = problem, .variant = variant, .fill = MOE_POISON};
    if (options) {
        trial.configuration = options->configuration;
        trial.devices = options->devices;
        trial.schedule = (int)(options->devices >> MOE_DEVICES_SCHEDULE);
        trial.phase = options->phase;
        trial.place = options->place;
        trial.context = options->context;
    }
    return trial;
}

int moe_variant_run(const struct moe_problem *problem, const struct moe_variant *variant,
                    const struct moe_judge_options *options, struct moe_tensors *tensors)
{
    struct moe_tensors own;
    struct moe_trial trial = trial_of(problem, variant, options);
    struct moe_trial_result result;
    int status = trust_blas();
    if (status == MOE_OK)
        status = prepare(problem, options ? options->load : NULL, &own);
    if (status != MOE_OK)
        return status;
    status = moe_trial_run(&trial, &own, &result);
    if (status == MOE_OK && result.status != MOE_OK)
        status = result.status;
    if (status != MOE_OK) {
        moe_tensors_free(&own);
        return status;
    }
    *tensors = own;
    return MOE_OK;
}

/* ---- the checks ------------------------------------------------------------------------------ */

void *judgement_state(struct moe_judgement *judgement, const struct moe_check *check, size_t size)
{
    int i = 0;
    while (moe_check_get(i) != check)
        i++;
    if (!judgement->state[i])
        judgement->state[i] = calloc(1, size);
    return judgement->state[i];
}

/* Is the name one of a list with commas between? */
static int listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == '\0' || at[length] == ','))
            return 1;
    }
    return 0;
}

/* Does any check of the list look at the reference, which `bound` runs? */
static int wants_reference(const char *list)
{
    const struct moe_check *check;
    for (int i = 0; (check = moe_check_get(i)); i++)
        if (check->block && listed(list, check->name))
            return 1;
    return 0;
}

/* Is the check asked for, or do others that are rest on it? No output can be judged by a routing
 * that nobody has accepted. */
static int asked_for(const char *list, const struct moe_check *check)
{
    return listed(list, check->name) || strcmp(check->name, "routing") == 0 ||
           (strcmp(check->name, "bound") == 0 && wants_reference(list));
}

/* A number of the whole case, FNV-1a of its line: cases that people write have the same few seeds.
 */
static uint64_t number_of(const struct moe_problem *problem)
{
    char line[1024];
    uint64_t hash = 0xcbf29ce484222325u;
    moe_problem_print(problem, line, sizeof line);
    for (const char *c = line; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return hash;
}

/* Is it this check's turn? One that runs the variant again has its turn in one case of so many. */
static int has_turn(const struct moe_judgement *judgement, int index)
{
    const struct moe_check *check = moe_check_get(index);
    const struct moe_judge_options *options = judgement->options;
    if (!options)
        return 1;
    if (options->checks && !asked_for(options->checks, check))
        return 0;
    if (!options->rotate || check->runs == 0)
        return 1;
    uint32_t word = moe_draw_word(number_of(judgement->problem), ROTATION, (uint64_t)index);
    return word % (uint32_t)(check->runs * RUNS_A_TURN) == 0;
}

static int run_checks_before(struct moe_judgement *judgement)
{
    const struct moe_check *check;
    for (int i = 0; (check = moe_check_get(i)); i++) {
        judgement->turn[i] = has_turn(judgement, i);
        int status = check->before && judgement->turn[i] ? check->before(judgement) : MOE_OK;
        if (status != MOE_OK)
            return status;
    }
    return MOE_OK;
}

static int run_checks_after(struct moe_judgement *judgement)
{
    const struct moe_check *check;
    for (int i = 0; (check = moe_check_get(i)); i++) {
        if (check->runs > 0 && !moe_on_device_sound())
            continue; /* an error of the device stuck, and whose it was has been found */
        int64_t runs = moe_trial_count();
        judgement->idle = judgement->crowded = 0;
        int status = check->after && judgement->turn[i] ? check->after(judgement) : MOE_OK;
        if (status != MOE_OK)
            return status;
        int made =
            check->runs > 0 ? moe_trial_count() > runs && !judgement->crowded : !judgement->idle;
        judgement->report->judged |= (uint64_t)(judgement->turn[i] && made) << i;
    }
    return MOE_OK;
}

/* Trouble of our own, or memory: the case could not be decided. */
static void report_trouble(struct moe_report *report)
{
    struct moe_finding finding = judgement_finding("judge", MOE_ERROR, "%s", moe_error_text());
    moe_report_add(report, &finding);
}

static void report_call(struct moe_judgement *judgement, const struct moe_trial_result *result)
{
    int unsupported = result->status == MOE_E_UNSUPPORTED;
    int memory = result->status == MOE_E_NOMEM;
    struct moe_finding finding = judgement_finding("run",
                                                   unsupported ? MOE_SKIP
                                                   : memory    ? MOE_ERROR
                                                               : MOE_FAIL,
                                                   "%s: %s returned %d: %s", judgement->subject,
                                                   result->step, result->status, moe_error_text());
    moe_report_add(judgement->report, &finding);
}

static void report_modes(struct moe_judgement *judgement)
{
    struct moe_finding finding =
        judgement_finding("run", MOE_FAIL,
                          "%s changed the thread's floating-point modes (rounding "
                          "or subnormals)",
                          judgement->subject);
    moe_report_add(judgement->report, &finding);
}

static int judge_variant(struct moe_judgement *judgement, const struct moe_variant *variant,
                         const struct moe_judge_options *options)
{
    const struct moe_problem *problem = judgement->problem;
    const struct moe_trial_result *result = &judgement->result;
    variant->recipe(problem, &judgement->recipe);
    judgement->trial = trial_of(problem, variant, options);
    int status = copy_before(judgement);
    if (status == MOE_OK)
        status = run_checks_before(judgement);
    double start = now();
    if (status == MOE_OK)
        status = moe_trial_run(&judgement->trial, &judgement->tensors, &judgement->result);
    judgement->report->variant_seconds = now() - start;
    if (status != MOE_OK)
        return status;
    if (result->modes_changed)
        report_modes(judgement);
    if (result->status != MOE_OK) {
        report_call(judgement, result);
        return MOE_OK;
    }
    start = now();
    status = run_checks_after(judgement);
    judgement->report->judge_seconds = now() - start;
    return status;
}

int moe_judge_variant(const struct moe_problem *problem, const struct moe_variant *variant,
                      const struct moe_judge_options *options, struct moe_report *report)
{
    struct moe_judgement *judgement = calloc(1, sizeof *judgement);
    if (!judgement)
        return moe_error(MOE_E_NOMEM, "no memory for a judgement");
    moe_report_clear(report);
    judgement->problem = problem;
    judgement->subject = variant->name;
    judgement->options = options;
    judgement->report = report;
    int status = trust_blas();
    if (status == MOE_OK)
        status = prepare(problem, options ? options->load : NULL, &judgement->tensors);
    if (status == MOE_OK) {
        status = judge_variant(judgement, variant, options);
        judgement_free(judgement);
    }
    free(judgement);
    if (status == MOE_OK || status == MOE_E_USAGE || status == MOE_E_IO)
        return status; /* a bad --load file is the user's to know, not a verdict */
    report_trouble(report);
    return MOE_OK;
}

/* ---- tensors made elsewhere -------------------------------------------------------------- */

/* What somebody's kernel may do where we know nothing of it: any rounding to the case's type,
 * tensor cores, fast forms of exp and tanh. */
static struct moe_recipe any_recipe(const struct moe_problem *problem)
{
    int wide = problem->dtype == MOE_F64;
    struct moe_recipe recipe = moe_recipe_plain(problem, wide ? MOE_F64 : MOE_F32);
    recipe.ds = MOE_DS_EITHER;
    for (int point = 0; point < MOE_POINT_COUNT; point++)
        recipe.at[point].when = MOE_MAY;
    if (problem->dtype == MOE_BF16 || problem->dtype == MOE_F16) {
        /* a chain of f32 is coarser than a tensor core, but where sums are short */
        for (int product = 0; product < MOE_PRODUCT_COUNT; product++)
            recipe.product[product].extra = 16;
        recipe.function_relative = recipe.function_absolute = 0x1p-10;
    }
    return recipe;
}

/* beta=1 in a file: the gradients were added to what the case draws. */
static int draw_before(struct moe_judgement *judgement)
{
    int status = copy_before(judgement);
    for (int id = 0; id < MOE_TENSOR_COUNT && status == MOE_OK; id++)
        if (judgement->before.tensor[id].data)
            status = moe_draw_tensor(judgement->problem, id, &judgement->before.tensor[id]);
    return status;
}

int moe_judge_tensors(const struct moe_problem *problem, const struct moe_tensors *tensors,
                      const struct moe_recipe *recipe, struct moe_report *report)
{
    struct moe_judgement *judgement = calloc(1, sizeof *judgement);
    if (!judgement)
        return moe_error(MOE_E_NOMEM, "no memory for a judgement");
    moe_report_clear(report);
    judgement->problem = problem;
    judgement->subject = "file";
    judgement->report = report;
    judgement->from_file = 1;
    judgement->tensors = *tensors;
    judgement->recipe = recipe ? *recipe : any_recipe(problem);
    double start = now();
    int status = trust_blas();
    if (status == MOE_OK)
        status = draw_before(judgement);
    for (int i = 0; moe_check_get(i); i++)
        judgement->turn[i] = moe_check_get(i)->runs == 0;
    if (status == MOE_OK)
        status = run_checks_after(judgement);
    report->judge_seconds = now() - start;
    judgement->tensors = (struct moe_tensors){0}; /* the caller's */
    judgement_free(judgement);
    free(judgement);
    if (status != MOE_OK && status != MOE_E_USAGE)
        report_trouble(report);
    return status == MOE_E_USAGE ? status : MOE_OK;
}
