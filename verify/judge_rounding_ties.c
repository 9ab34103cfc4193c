/*
 * judge_rounding_ties.c - token rounding among tokens whose stored logits are the same to the bit:
 * what an expert ranks them by is the same too, so the definition takes the one with the smaller
 * number first. That holds where the variant declares that a token does not depend on where it
 * stands; of others, whose softmax may add in another order from token to token, only where all
 * logits of the token are equal, and its terms all 1.
 *
 * check_routing admits every choice among what may be tied. Of two such tokens, an expert that has
 * the later and not the earlier was given it against the definition.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/judge.h"

struct twin {
    uint64_t hash;
    int64_t token;
};

static uint64_t hash_of(const double *row, int64_t count)
{
    uint64_t hash = 0xcbf29ce484222325u, word;
    for (int64_t i = 0; i < count; i++) {
        memcpy(&word, &row[i], sizeof word);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    return hash;
}

static int by_hash(const void *left, const void *right)
{
    const struct twin *a = left, *b = right;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return a->token < b->token ? -1 : a->token > b->token;
}

/* An entry of `later` whose expert `earlier` has not; -1: none. */
static int64_t taken_before(const struct moe_routing *routing, int64_t earlier, int64_t later)
{
    const int64_t *begin = routing->token_begin;
    for (int64_t i = begin[later]; i < begin[later + 1]; i++) {
        int64_t k = begin[earlier];
        while (k < begin[earlier + 1] && routing->pick[k] != routing->pick[i])
            k++;
        if (k == begin[earlier + 1])
            return i;
    }
    return -1;
}

/* Is it certain that the variant ranks two tokens with these logits [E] alike? */
static int must_rank_alike(const struct moe_judgement *judgement, const double *row)
{
    int64_t e = 1;
    while (e < judgement->problem->E && row[e] == row[0])
        e++;
    return judgement->trial.variant->flags & MOE_BATCH_INVARIANT || e >= judgement->problem->E;
}

/* Neighbours in the order are enough: what each has of the one after it, all have. */
static int64_t compare(const struct moe_judgement *judgement, const struct twin *twin, double *rows,
                       struct moe_finding *finding)
{
    const struct moe_routing *routing = &judgement->routing;
    const struct moe_tensor *logits = &judgement->tensors.tensor[MOE_LOGITS];
    const int64_t E = judgement->problem->E;
    int64_t wrong = 0;
    for (int64_t i = 1; i < judgement->problem->T; i++) {
        const int64_t earlier = twin[i - 1].token, later = twin[i].token;
        if (twin[i - 1].hash != twin[i].hash)
            continue;
        moe_tensor_load_row(logits, earlier, 0, E, rows);
        moe_tensor_load_row(logits, later, 0, E, rows + E);
        if (memcmp(rows, rows + E, (size_t)E * sizeof *rows) != 0 ||
            !must_rank_alike(judgement, rows))
            continue;
        const int64_t entry = taken_before(routing, earlier, later);
        if (entry < 0 || wrong++ > 0)
            continue;
        finding->expert = routing->pick[entry];
        finding->token = finding->row = later;
        finding->slot = finding->col = entry - routing->token_begin[later];
        finding->got = (double)later;
        finding->want = (double)earlier;
    }
    return wrong;
}

int judgement_rounding_ties(struct moe_judgement *judgement)
{
    const int64_t T = judgement->problem->T, E = judgement->problem->E;
    struct moe_finding finding = judgement_finding("ties", MOE_FAIL, "%s", "");
    struct twin *twin = malloc((size_t)(T + 1) * sizeof *twin);
    double *rows = malloc((size_t)(2 * E + 1) * sizeof *rows);
    int64_t wrong = 0;
    int status = MOE_OK;
    if (twin && rows) {
        for (int64_t t = 0; t < T; t++) {
            moe_tensor_load_row(&judgement->tensors.tensor[MOE_LOGITS], t, 0, E, rows);
            twin[t] = (struct twin){hash_of(rows, E), t};
        }
        qsort(twin, (size_t)T, sizeof *twin, by_hash);
        wrong = compare(judgement, twin, rows, &finding);
    } else {
        status = moe_error(MOE_E_NOMEM, "no memory for the order of %lld tokens", (long long)T);
    }
    free(twin);
    free(rows);
    if (wrong == 0)
        return status;
    snprintf(finding.text, sizeof finding.text,
             "picks: %lld tokens have experts that an earlier token with the same stored logits "
             "has not; expert %lld has token %lld and not %lld",
             (long long)wrong, (long long)finding.expert, (long long)finding.token,
             (long long)finding.want);
    finding.tensor = MOE_PICKS;
    finding.wrong = wrong;
    finding.total = T;
    moe_report_add(judgement->report, &finding);
    return MOE_OK;
}
