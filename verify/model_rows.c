/*
 * model_rows.c - from picks to rows by expert, as kernels do it: a histogram, a scan, a stable
 * scatter; and the persistent loop over (expert, tile of rows) that all products run in.
 */
#include <string.h>

#include "verify/model.h"

/* Purpose of the words that order tiles; see ref/moe.h. */
#define TILE_ORDER 0x74696c65u

/* Values of an int32 that an id of 8 bits can hold. */
#define BYTE_IDS 256

int64_t model_token_begin(struct model *m, int64_t t)
{
    const struct moe_tensor *offsets = &m->call->tensors[MOE_OFFSETS];
    if (!moe_problem_ragged(&m->problem))
        return t * m->problem.K;
    int64_t begin =
        (int64_t)moe_dtype_load(offsets->dtype, offsets->data, moe_tensor_position(offsets, t));
    return fault(m, OFFSETS_IGNORED) && t < m->problem.T ? t * m->problem.K : begin;
}

int64_t model_pick(struct model *m, int64_t entry)
{
    double pick;
    if (fault(m, TOKEN_DIV_TOPK) && m->problem.K > 1)
        entry = entry / m->problem.K * m->problem.K;
    model_load(m, MOE_PICKS, entry, 1, &pick);
    int64_t e = (int64_t)pick;
    if (fault(m, EXPERT_ID_8_BIT))
        return e % BYTE_IDS;
    if (fault(m, DROPPED_IS_EXPERT_0) && e < 0)
        return 0;
    if (fault(m, LAST_EXPERT_IS_NONE) && e == m->problem.E - 1)
        return -1;
    return e;
}

static void count_rows(struct model *m)
{
    int64_t E = m->problem.E;
    if (!fault(m, HISTOGRAM_NOT_ZEROED))
        memset(m->space.count, 0, (size_t)E * sizeof *m->space.count);
    for (int64_t i = fault(m, HISTOGRAM_SKIPS_FIRST); i < m->P; i++) {
        int64_t e = model_pick(m, i);
        if (e >= 0 && e < E)
            m->space.count[e]++;
    }
    if (fault(m, HISTOGRAM_LOSES_ONE)) /* two warps read, both add one, both write */
        for (int64_t e = 0; e < E; e++)
            m->space.count[e] -= m->space.count[e] > 8;
}

/* Exclusive, over E counts. */
static void scan(struct model *m)
{
    int64_t *offset = m->kept.offset, E = m->problem.E;
    offset[0] = 0;
    for (int64_t e = 0; e < E; e++) {
        int64_t before = offset[e];
        if (fault(m, SCAN_READ_EARLY) && e == E - 1 && e > 0)
            before = offset[e - 1]; /* the last lane reads before the barrier */
        offset[e + 1] = before + m->space.count[e];
    }
    for (int64_t e = 1; e < E && fault(m, BALANCED_ONLY); e++)
        offset[e] = e * offset[E] / E;
    if (fault(m, SCAN_INCLUSIVE))
        memmove(offset, offset + 1, (size_t)E * sizeof *offset);
    m->N = offset[E];
}

static void scatter(struct model *m)
{
    int64_t E = m->problem.E, room = m->P;
    for (int64_t e = 0; e < E; e++)
        m->space.cursor[e] = m->kept.offset[e];
    for (int64_t i = 0; i < m->P; i++)
        m->kept.row_entry[i] = m->kept.row_token[i] = m->kept.entry_row[i] = -1;
    for (int64_t t = 0; t < m->problem.T; t++) {
        for (int64_t i = model_token_begin(m, t); i < model_token_begin(m, t + 1); i++) {
            int64_t e = model_pick(m, i);
            if (e < 0 || e >= E)
                continue;
            int64_t row = m->space.cursor[e]++;
            if (fault(m, BASE_AFTER_UPDATE) && row + 1 < m->kept.offset[e + 1])
                row++; /* read after the first lane has moved it on */
            if (fault(m, SCATTER_REVERSED))
                row = m->kept.offset[e + 1] - 1 - (row - m->kept.offset[e]);
            if (row < 0 || row >= room)
                continue;
            m->kept.row_token[row] = fault(m, TOKEN_FROM_SLOT) ? i % m->problem.T : t;
            m->kept.row_entry[row] = i;
            m->kept.entry_row[i] = row;
        }
    }
}

int model_order_rows(struct model *m)
{
    m->P = moe_problem_ragged(&m->problem) ? model_token_begin(m, m->problem.T)
                                           : m->problem.T * m->problem.K;
    count_rows(m);
    scan(m);
    if (m->N < 0 || m->N > m->P)
        m->N = m->P; /* what a wrong scan makes: kernels would go on */
    scatter(m);
    /* Rows that a fault left without a token: kernels would read wherever that leads. */
    for (int64_t row = 0; row < m->N; row++)
        if (m->kept.row_token[row] < 0)
            m->kept.row_token[row] = m->kept.row_entry[row] = 0;
    return MOE_OK;
}

static int64_t expert_rows(const struct model *m, int64_t e)
{
    int64_t count = m->kept.offset[e + 1] - m->kept.offset[e];
    if (fault(m, CAPACITY_40) && count > 40)
        return 40;
    return count < 0 || m->kept.offset[e + 1] > m->N ? 0 : count;
}

/* Does the loop pass over an expert as a whole? */
static int skipped(const struct model *m, int64_t e)
{
    int64_t E = m->problem.E, count = expert_rows(m, e);
    if (fault(m, LAST_EXPERT_SKIPPED))
        return e == E - 1;
    if (fault(m, FIRST_EXPERT_SKIPPED))
        return e == 0;
    if (fault(m, SMALL_EXPERT_SKIPPED))
        return count < 4;
    if (fault(m, EXPERT_AFTER_EMPTY_SKIPPED))
        return e > 0 && expert_rows(m, e - 1) == 0;
    if (fault(m, ODD_TAIL_EXPERT_SKIPPED))
        return count % m->tile == 1;
    return 0;
}

int model_next_tile(const struct model *m, struct tile *tile)
{
    int64_t E = m->problem.E, next = tile->first + m->tile;
    if (tile->number >= 0 && next < m->kept.offset[tile->expert] + expert_rows(m, tile->expert)) {
        tile->first = next;
        if (fault(m, SECOND_TILE_SKIPPED) && next == m->kept.offset[tile->expert] + m->tile)
            tile->first += m->tile;
    } else {
        do
            tile->expert++;
        while (tile->expert < E && (expert_rows(m, tile->expert) == 0 || skipped(m, tile->expert)));
        if (tile->expert >= E)
            return 0;
        tile->first = m->kept.offset[tile->expert];
    }
    int64_t left = m->kept.offset[tile->expert] + expert_rows(m, tile->expert) - tile->first;
    tile->count = left < m->tile ? left : m->tile;
    if (fault(m, TAIL_TILE_DROPPED) && left < m->tile && left != expert_rows(m, tile->expert))
        tile->count = 0;
    if (fault(m, TILE_TAKES_NEXT_EXPERT) && left < m->tile && tile->first + m->tile <= m->N)
        tile->count = m->tile;
    if (fault(m, TILE_ONE_SHORT) && tile->count == m->tile)
        tile->count--;
    if (tile->count < 0 || (fault(m, TILES_STOP_AT_8) && tile->number >= 7))
        return 0;
    tile->number++;
    if (tile->count == 0)
        return model_next_tile(m, tile);
    return 1;
}

int64_t model_column(const struct model *m, int64_t i, int half)
{
    int64_t I = m->problem.I;
    if (!m->act->gated)
        return i;
    if (fault(m, HALVES_SWAPPED))
        half = !half;
    switch (fault(m, LAYOUT_IGNORED) ? MOE_W1_INTERLEAVED : m->problem.w1) {
    case MOE_W1_INTERLEAVED8:
        return i / 8 * 16 + (half ? 8 : 0) + i % 8;
    case MOE_W1_HALVES:
        return half ? I + i : i;
    default:
        return 2 * i + half;
    }
}

/* Atomic sums come in an order that nobody chose: here one of the seed. */
void model_each_tile(struct model *m, void (*take)(struct model *m, const struct tile *tile))
{
    static uint64_t time;
    uint64_t seed = m->problem.seed + (fault(m, ORDER_VARIES) ? ++time : 0);
    for (uint32_t turn = 0; turn < 2; turn++) {
        struct tile tile = {.expert = -1, .number = -1};
        while (model_next_tile(m, &tile)) {
            uint32_t word = moe_draw_word(seed, TILE_ORDER, (uint64_t)tile.number);
            if ((m->algorithm->atomic ? word % 2 : 0) == turn)
                take(m, &tile);
        }
    }
}
