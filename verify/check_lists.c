/*
 * check_lists.c - on a device: an id that is not allowed in a given list is a dropped pick, and the
 * status word tells of it.
 *
 * On the host such a list is refused before anything is done (MOE_E_USAGE). On a device nobody has
 * read it: what indexes with it reads weights that are another expert's, or nobody's. In one
 * further run a few lists have ids past the last, below -1, or twice in a token. Bit 0 of the
 * status word must be set, and the results are those of the lists in which -1 stands instead.
 *
 * Must catch: an id that is used unchecked, clipped or wrapped into range; one that nobody is told
 * of; an expert that is met twice in a token.
 */
#include <stdlib.h>
#include <string.h>

#include "verify/elsewhere.h"

/* Purpose of the words that choose the places (those of tensors are below 512). */
#define PLACES 0x6c697374u

static const char what[] = "ids that are not allowed";

/* ---- ids ------------------------------------------------------------------------------------- */

/* What is put into the list [n] of a token. */
static void past_the_last(const struct moe_routing *routing, int32_t *list, int64_t n)
{
    list[n - 1] = (int32_t)routing->E;
}

static void far_past(const struct moe_routing *routing, int32_t *list, int64_t n)
{
    (void)routing, (void)n;
    list[0] = INT32_MAX;
}

static void below_none(const struct moe_routing *routing, int32_t *list, int64_t n)
{
    (void)routing;
    list[n - 1] = -2;
}

static void twice(const struct moe_routing *routing, int32_t *list, int64_t n)
{
    (void)routing;
    if (list[0] >= 0 && list[0] < routing->E)
        list[n - 1] = list[0];
}

static void (*const plants[])(const struct moe_routing *, int32_t *,
                              int64_t) = {past_the_last, twice, far_past, twice, below_none, twice};

#define PLANTS (sizeof plants / sizeof *plants)

/* The token of an entry. */
static int64_t token_of(const struct moe_routing *routing, int64_t entry)
{
    int64_t t = 0;
    while (routing->token_begin[t + 1] <= entry)
        t++;
    return t;
}

static void plant(const struct moe_judgement *judgement, int32_t *picks)
{
    const struct moe_routing *routing = &judgement->routing;
    for (size_t i = 0; i < PLANTS; i++) {
        const uint32_t word = moe_draw_word(judgement->problem->seed, PLACES, i);
        const int64_t t = token_of(routing, word % routing->P), begin = routing->token_begin[t];
        plants[i](routing, picks + begin, routing->token_begin[t + 1] - begin);
    }
}

/* -1 in the place of what is not allowed. */
static void clean(const struct moe_routing *routing, int32_t *picks)
{
    for (int64_t t = 0; t < routing->T; t++)
        for (int64_t i = routing->token_begin[t]; i < routing->token_begin[t + 1]; i++) {
            int allowed = picks[i] >= -1 && picks[i] < routing->E;
            for (int64_t j = routing->token_begin[t]; j < i; j++)
                allowed &= picks[i] == -1 || picks[j] != picks[i];
            picks[i] = allowed ? picks[i] : -1;
        }
}

/* ---- the run --------------------------------------------------------------------------------- */

static int run(struct elsewhere *elsewhere, const struct moe_tensors *inputs)
{
    struct again *again = &elsewhere->again;
    int status = moe_tensors_again(elsewhere->judgement->problem, inputs, MOE_POISON, &again->made);
    if (status == MOE_OK)
        status = moe_trial_run(&elsewhere->trial, &again->made, &again->result);
    again->ran = status == MOE_OK && again->result.status == MOE_OK;
    return status;
}

static int judge(struct elsewhere *elsewhere, const struct moe_tensors *inputs)
{
    struct moe_judgement *judgement = elsewhere->judgement;
    struct again *again = &elsewhere->again;
    if ((again->result.status_word & 1) == 0) {
        struct moe_finding finding =
            judgement_finding("lists", MOE_FAIL, "%s: bit 0 of the status word is not set", what);
        finding.tensor = MOE_PICKS;
        moe_report_add(judgement->report, &finding);
    }
    again->result.status_word &= ~(uint32_t)1;
    again_report_traces(judgement, "lists", what, &again->result, &again->made, inputs);
    clean(&judgement->routing, again->made.tensor[MOE_PICKS].data);
    return again_judge(judgement, "lists", what, again, NULL);
}

static int after(struct moe_judgement *judgement)
{
    struct moe_tensors inputs = {0};
    if (judgement->problem->router != MOE_LISTS || !elsewhere_wanted(judgement) ||
        judgement->routing.P == 0 || moe_trial_device(&judgement->trial) == MOE_ON_CPU)
        return MOE_OK;
    struct elsewhere elsewhere = elsewhere_of(judgement, "lists", what);
    int status = moe_tensors_again(judgement->problem, &judgement->tensors, MOE_POISON, &inputs);
    if (status == MOE_OK) {
        plant(judgement, inputs.tensor[MOE_PICKS].data);
        status = run(&elsewhere, &inputs);
    }
    if (status == MOE_OK && elsewhere_succeeded(&elsewhere))
        status = judge(&elsewhere, &inputs);
    elsewhere_free(&elsewhere);
    moe_tensors_free(&inputs);
    return status;
}

const struct moe_check moe_check_lists = {
    .name = "lists",
    .summary = "devices: ids that are not allowed in a list are dropped picks, and told",
    .runs = 1,
    .after = after,
};
