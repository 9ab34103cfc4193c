/*
 * check_statistics.c - on generic data errors are random, and of the size that roundings make.
 *
 * check_bound allows each element the worst case, which n random roundings stay sqrt(n) below. This
 * check holds err / sigma against what a correct kernel of the recipe can make likely: one element,
 * and the root mean square of rows, columns, tiles, experts and tensors, and a tensor's gain
 * (statistics.h; limits and their chances in doc/statistics.md). It must catch a gate that is off
 * by 2 %, gates rounded to bf16, a store that truncates, a sum kept in bf16, a missing k of 1024.
 *
 * A limit that a correct kernel exceeds by chance is no fault: on a hit the same case is drawn and
 * run three times more, from other seeds, and only what shows again in two of them is reported.
 */
#include <math.h>
#include <stdlib.h>

#include "verify/judge.h"
#include "verify/statistics.h"

/* Purpose of the words that seed the further draws (ref/moe.h: those of tensors are below 512). */
#define REDRAW 0x64726177u
#define REDRAWS 3
#define REPEATS 2

/* Below this root mean square of z a recipe declares more than four times what the kernel errs by,
 * and the tests above lose as much. */
#define LOOSE 0.25
#define LOOSE_ELEMENTS 4096

extern const struct moe_check moe_check_statistics;

static int before(struct moe_judgement *judgement)
{
    int loaded = judgement->options && judgement->options->load;
    judgement->variances = statistics_apply(judgement->problem) && !loaded;
    return MOE_OK;
}

static int is_judged(const struct moe_tensors *tensors, const struct moe_block *block)
{
    return block->variance && tensors->tensor[block->tensor].data;
}

static int block(struct moe_judgement *judgement, const struct moe_block *block)
{
    if (!judgement->variances || !is_judged(&judgement->tensors, block))
        return MOE_OK;
    struct statistics *statistics =
        judgement_state(judgement, &moe_check_statistics, sizeof *statistics);
    if (!statistics)
        return moe_error(MOE_E_NOMEM, "no memory for statistics");
    if (!statistics->problem)
        statistics_start(statistics, judgement->problem, &judgement->recipe, &judgement->routing);
    const struct moe_tensor *old = &judgement->before.tensor[block->tensor];
    return statistics_take(statistics, &judgement->routing,
                           &judgement->tensors.tensor[block->tensor], old->data ? old : NULL,
                           block);
}

static int exceeds(const struct statistic *statistic)
{
    return statistic->limit > 0 && !(statistic->value <= statistic->limit);
}

static int any_exceeds(const struct statistics *statistics)
{
    int any = 0;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        for (int kind = 0; kind < STATISTIC_COUNT; kind++)
            any |= exceeds(&statistics->worst[id][kind]);
    return any;
}

/* ---- the same case, drawn anew --------------------------------------------------------------- */

struct redraw {
    struct statistics statistics;
    struct moe_routing routing;
    struct moe_tensors tensors, before;
};

static int take(void *context, const struct moe_block *block)
{
    struct redraw *redraw = context;
    if (!is_judged(&redraw->tensors, block))
        return MOE_OK;
    const struct moe_tensor *old = &redraw->before.tensor[block->tensor];
    int added_to = redraw->statistics.problem->beta &&
                   moe_tensor_info(block->tensor)->role == MOE_PARAMETER_GRADIENT;
    return statistics_take(&redraw->statistics, &redraw->routing,
                           &redraw->tensors.tensor[block->tensor], added_to ? old : NULL, block);
}

static int run_reference(struct redraw *redraw, const struct moe_problem *problem,
                         const struct moe_recipe *recipe)
{
    struct moe_reference reference = {
        .problem = problem,
        .tensors = redraw->tensors.tensor,
        .routing = &redraw->routing,
        .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
        .precision = MOE_F64,
        .recipe = recipe,
        .variances = 1,
        .take = take,
        .context = redraw,
    };
    statistics_start(&redraw->statistics, problem, recipe, &redraw->routing);
    int status = moe_reference_run(&reference);
    if (status == MOE_OK)
        statistics_finish(&redraw->statistics);
    return status;
}

/* One further run, on what `problem` draws. What fails otherwise here is not this check's to tell:
 * it then repeats nothing. */
static int run_again(const struct moe_judgement *judgement, const struct moe_problem *problem,
                     struct redraw *redraw)
{
    struct moe_trial trial = judgement->trial;
    struct moe_trial_result result;
    struct moe_recipe recipe;
    trial.problem = problem;
    judgement->trial.variant->recipe(problem, &recipe);
    int status = moe_tensors_allocate(problem, &redraw->before);
    if (status == MOE_OK)
        status = moe_tensors_draw(problem, &redraw->before);
    if (status == MOE_OK)
        status = moe_tensors_again(problem, &redraw->before, MOE_POISON, &redraw->tensors);
    if (status == MOE_OK)
        status = moe_trial_run(&trial, &redraw->tensors, &result);
    if (status == MOE_OK && result.status == MOE_OK &&
        moe_routing_from_tensors(problem, redraw->tensors.tensor, &redraw->routing) == MOE_OK)
        status = run_reference(redraw, problem, &recipe);
    moe_routing_free(&redraw->routing);
    moe_tensors_free(&redraw->tensors);
    moe_tensors_free(&redraw->before);
    return status;
}

/* Is there a hit that `left` further draws can still confirm, and that is not confirmed yet? */
static int is_open(const struct statistics *hits, int repeats[MOE_TENSOR_COUNT][STATISTIC_COUNT],
                   int left)
{
    int open = 0;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        for (int kind = 0; kind < STATISTIC_COUNT; kind++)
            open |= exceeds(&hits->worst[id][kind]) && repeats[id][kind] < REPEATS &&
                    repeats[id][kind] + left >= REPEATS;
    return open;
}

/* How often each statistic exceeds its limit in the further draws, as far as that is not decided
 * before the last. */
static int count_repeats(const struct moe_judgement *judgement, const struct statistics *hits,
                         int repeats[MOE_TENSOR_COUNT][STATISTIC_COUNT])
{
    struct redraw *redraw = calloc(1, sizeof *redraw);
    int status = redraw ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for statistics");
    for (int i = 0; status == MOE_OK && is_open(hits, repeats, REDRAWS - i); i++) {
        struct moe_problem problem = *judgement->problem;
        problem.seed = moe_draw_word(judgement->problem->seed, REDRAW, (uint64_t)i);
        *redraw = (struct redraw){0};
        status = run_again(judgement, &problem, redraw);
        for (int id = 0; id < MOE_TENSOR_COUNT; id++)
            for (int kind = 0; kind < STATISTIC_COUNT; kind++)
                repeats[id][kind] += exceeds(&redraw->statistics.worst[id][kind]);
    }
    free(redraw);
    return status;
}

/* ---- findings -------------------------------------------------------------------------------- */

static void report(struct moe_judgement *judgement, enum moe_tensor_id tensor,
                   enum statistic_kind kind, const struct statistic *found, int repeats)
{
    const char *what = kind == STATISTIC_GAIN      ? "|<err,ref>/<ref,ref>|"
                       : kind == STATISTIC_ELEMENT ? "|err/sigma|"
                                                   : "rms of err/sigma";
    struct moe_finding finding = judgement_finding(
        "statistics", MOE_FAIL,
        "%s: %s of %s is %.4g, a correct kernel's at most %.4g; again in %d further draws",
        moe_tensor_info(tensor)->name, what, statistic_name[kind], found->value, found->limit,
        repeats);
    finding.tensor = (int32_t)tensor;
    if (kind < STATISTIC_TENSOR) {
        finding.row = found->row;
        finding.col = kind == STATISTIC_ROW || kind == STATISTIC_EXPERT ? -1 : found->col;
        finding.expert = found->expert;
    }
    moe_report_add(judgement->report, &finding);
}

/* A recipe that declares far more error than there is: no fault, but it blinds this check. The
 * rounding of a narrow store is sure to be there, so it should show. */
static void tell_loose(struct moe_judgement *judgement, const struct statistics *statistics)
{
    int elementwise = moe_dtype_info(judgement->recipe.elementwise)->bits;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct statistic_sums *sums = &statistics->sums[id];
        double rms = sums->n > 0 ? sqrt(sums->squares / (double)sums->n) : 0;
        if (sums->n < LOOSE_ELEMENTS || rms >= LOOSE ||
            moe_dtype_info(judgement->tensors.tensor[id].dtype)->bits >= elementwise)
            continue;
        struct moe_finding finding = judgement_finding(
            "statistics", MOE_PASS,
            "%s: rms of err/sigma is %.3g: the recipe declares more error than there is",
            moe_tensor_info(id)->name, rms);
        finding.tensor = id;
        moe_report_add(judgement->report, &finding);
    }
}

static int after(struct moe_judgement *judgement)
{
    struct statistics *statistics =
        judgement->variances ? judgement_state(judgement, &moe_check_statistics, sizeof *statistics)
                             : NULL;
    int repeats[MOE_TENSOR_COUNT][STATISTIC_COUNT] = {{0}};
    if (!statistics || !statistics->problem || judgement->report->verdict == MOE_FAIL)
        return judgement_idle(judgement); /* what is beyond its bound needs no statistics */
    statistics_finish(statistics);
    tell_loose(judgement, statistics);
    if (!any_exceeds(statistics))
        return MOE_OK;
    int status = count_repeats(judgement, statistics, repeats);
    for (int id = 0; id < MOE_TENSOR_COUNT && status == MOE_OK; id++)
        for (int kind = 0; kind < STATISTIC_COUNT; kind++)
            if (exceeds(&statistics->worst[id][kind]) && repeats[id][kind] >= REPEATS)
                report(judgement, id, kind, &statistics->worst[id][kind], repeats[id][kind]);
    return status;
}

const struct moe_check moe_check_statistics = {
    .name = "statistics",
    .summary = "errors on generic data are no larger than roundings make likely",
    .before = before,
    .block = block,
    .after = after,
};
