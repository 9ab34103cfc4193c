/*
 * parts_rows.c - gpu/parts_rows.c against moe_routing_from_lists: every integer is the same, and
 * ids that are not allowed are dropped and reported.
 */
#include <math.h>
#include <stdlib.h>

#include "tests/parts_array.h"
#include "tests/parts_tests.h"

static const struct size {
    int64_t T, E, K;
} sizes[] = {{0, 5, 3}, {1, 1, 1}, {1, 4, 4}, {7, 3, 2}, {300, 8, 4}, {260, 40, 1}, {513, 300, 6}};

enum { EARLIER = 0x10 }; /* a bit that the status word had before */

static const int64_t *places(const struct array *array)
{
    return array->host;
}

static int places_are(const char *what, const void *there, int64_t count, const int64_t *want)
{
    struct array *got = array_new(MOE_I64, count);
    int good = 1;
    if (count > 0)
        done(moe_device_copy(queue.device, got->device, there, count * 8, queue.stream));
    array_fetch(got);
    for (int64_t i = 0; i < count && good; i++)
        good = is_exactly(what, got, i, (double)want[i]);
    return good;
}

static int ids_are(const void *there, int64_t count, const int32_t *want)
{
    struct array *got = array_new(MOE_I32, count);
    int good = 1;
    if (count > 0)
        done(moe_device_copy(queue.device, got->device, there, count * 4, queue.stream));
    array_fetch(got);
    for (int64_t i = 0; i < count && good; i++)
        good = is_exactly("cleaned pick", got, i, want[i]);
    return good;
}

static int rows_are(const struct moe_gpu_rows *rows, const struct moe_routing *want)
{
    int64_t *counts = calloc((size_t)want->E, sizeof *counts);
    int64_t *token_of = calloc((size_t)want->P + 1, sizeof *token_of);
    for (int64_t e = 0; e < want->E; e++)
        counts[e] = want->expert_begin[e + 1] - want->expert_begin[e];
    for (int64_t t = 0; t < want->T; t++)
        for (int64_t p = want->token_begin[t]; p < want->token_begin[t + 1]; p++)
            token_of[p] = t;
    int good = ids_are(rows->picks, want->P, want->pick);
    good &= places_are("token_of", rows->token_of, want->P, token_of);
    good &= places_are("counts", rows->counts, want->E, counts);
    good &= places_are("expert_begin", rows->expert_begin, want->E + 1, want->expert_begin);
    good &= places_are("row_token", rows->row_token, want->N, want->row_token);
    good &= places_are("row_entry", rows->row_entry, want->N, want->row_entry);
    good &= places_are("entry_row", rows->entry_row, want->P, want->entry_row);
    free(counts);
    free(token_of);
    return good;
}

/* How lists are made. */
enum making {
    DROPS = 1,  /* -1 among them */
    SPARSE = 2, /* experts with odd ids have no rows */
    WRONG = 4,  /* ids out of range, and twice in a token */
    RAGGED = 8,
    MAKINGS = 16
};

static int32_t draw_pick(const struct size *size, int making)
{
    static const int32_t out_of_range[] = {-2, INT32_MIN, INT32_MAX};
    if (making & WRONG && draw_below(9) == 0) {
        const int64_t which = draw_below(4);
        return which < 3 ? out_of_range[which] : (int32_t)size->E;
    }
    const int32_t e = (int32_t)draw_below(size->E);
    return making & SPARSE ? e & ~1 : e;
}

/* Lists of a token into `picks`, and into `clean` what remains of them; how many were wrong. */
static int draw_token(const struct size *size, int making, int64_t n, int32_t *picks,
                      int32_t *clean)
{
    int wrong = 0;
    for (int64_t k = 0; k < n; k++) {
        picks[k] = draw_pick(size, making);
        int twice = 0;
        for (int64_t j = 0; j < k; j++)
            twice |= picks[j] == picks[k] && picks[k] >= 0;
        if ((twice && !(making & WRONG)) || (making & DROPS && draw_below(4) == 0)) {
            picks[k] = -1;
            twice = 0;
        }
        const int bad = twice || picks[k] < -1 || picks[k] >= size->E;
        clean[k] = bad ? -1 : picks[k];
        wrong += bad;
    }
    return wrong;
}

static int list_case(const struct size *size, int making)
{
    struct moe_problem problem = moe_problem_default();
    problem.T = size->T, problem.E = size->E, problem.K = size->K;
    problem.router = MOE_LISTS;
    problem.routing = making & RAGGED ? MOE_ROUTING_RAGGED : MOE_ROUTING_UNIFORM;
    const size_t room = (size_t)(size->T * size->K) + 1;
    int32_t *picks = calloc(room, sizeof *picks), *clean = calloc(room, sizeof *clean);
    int64_t *begin = calloc((size_t)size->T + 1, sizeof *begin);
    double *scores = calloc(room, sizeof *scores);
    int wrong = 0;
    for (int64_t t = 0; t < size->T; t++) {
        const int64_t n = making & RAGGED ? draw_below(size->K + 1) : size->K;
        wrong += draw_token(size, making, n, picks + begin[t], clean + begin[t]);
        begin[t + 1] = begin[t] + n;
    }
    const int64_t P = begin[size->T];
    struct moe_routing want = {0};
    done(moe_routing_from_lists(size->T, size->E, size->K, begin, clean, scores, &want));

    const struct array *offsets = making & RAGGED ? array_of_places(size->T + 1, begin) : NULL;
    const struct array *ids = array_of_ids(P, picks);
    struct array *status = array_new(MOE_I32, 1);
    struct array *workspace = array_new(MOE_U8, moe_gpu_rows_bytes(&problem));
    struct moe_gpu_rows rows = {0};
    array_put(status, 0, EARLIER);
    array_send(status);
    done(moe_gpu_rows(&queue, &problem, P, on_device(offsets), ids->device, status->device,
                      workspace->device, &rows));
    array_fetch(status);
    int good = !trouble && rows_are(&rows, &want);
    array_fetch(workspace);
    good &= is_exactly("status", status, 0, wrong ? EARLIER | 1 : EARLIER);
    /* Without a status word the rows are the same. */
    done(moe_gpu_rows(&queue, &problem, P, on_device(offsets), ids->device, NULL, workspace->device,
                      &rows));
    good = good && !trouble && rows_are(&rows, &want);
    moe_routing_free(&want);
    free(picks);
    free(clean);
    free(begin);
    free(scores);
    arrays_free();
    return good;
}

int lists_become_rows(void)
{
    int good = 1;
    for (int s = 0; s < LENGTH(sizes); s++)
        for (int making = 0; making < MAKINGS; making++)
            if (!(making & WRONG) && !left_out())
                good &= list_case(&sizes[s], making);
    return good;
}

int wrong_ids_are_dropped(void)
{
    int good = 1;
    for (int s = 0; s < LENGTH(sizes); s++)
        for (int making = 0; making < MAKINGS; making++)
            if (making & WRONG && !left_out())
                good &= list_case(&sizes[s], making);
    return good;
}

/* Rows go to every second entry, backwards; numbers are floats, which f32 and f64 hold. */
int scores_go_to_rows_and_back(void)
{
    static const int64_t row_counts[] = {0, 1, 300};
    int good = 1;
    for (int type = 0; type < FLOAT_TYPES; type++)
        for (int n = 0; n < LENGTH(row_counts); n++) {
            const int64_t N = row_counts[n];
            struct array *entry = array_new(MOE_I64, N), *ds = array_new(float_types[type], 2 * N);
            for (int64_t r = 0; r < N; r++)
                ((int64_t *)entry->host)[r] = 2 * (N - 1 - r);
            array_send(entry);
            const struct array *scores = array_draw(float_types[type], 2 * N, -3, 3);
            struct array *row_score = array_new(MOE_F64, N);
            struct array *row_ds = array_new(MOE_F64, N);
            for (int64_t r = 0; r < N; r++)
                array_put(row_ds, r, (float)draw(-3, 3));
            array_send(row_ds);
            done(moe_gpu_row_scores(&queue, N, entry->device, float_types[type], scores->device,
                                    row_score->device));
            done(moe_gpu_scatter_ds(&queue, N, entry->device, row_ds->device, float_types[type],
                                    ds->device));
            array_fetch(row_score);
            array_fetch(ds);
            for (int64_t r = 0; r < N && good; r++) {
                const int64_t p = places(entry)[r];
                good = is_exactly("row_score", row_score, r, array_get(scores, p)) &&
                       is_exactly("ds", ds, p,
                                  moe_dtype_round(float_types[type], array_get(row_ds, r), 0)) &&
                       is_exactly("ds without a row", ds, p + 1, NAN);
            }
            arrays_free();
        }
    return good;
}
