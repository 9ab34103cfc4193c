/*
 * statistics.c - see statistics.h: z of every element of a block, summed by row, column, tile,
 * expert and tensor.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verify/judge.h"
#include "verify/statistics.h"

#define TILE 64

/* |z| of one element. With so many as a run has, 2 exp(-32) each is nothing. */
#define ELEMENT_LIMIT 8

/* Sums of fewer products have so few digits that their roundings repeat. */
#define SHORTEST 8

const char *const statistic_name[STATISTIC_COUNT] = {
    [STATISTIC_ELEMENT] = "an element", [STATISTIC_ROW] = "a row",
    [STATISTIC_COLUMN] = "a column",    [STATISTIC_TILE] = "a tile of 64 x 64",
    [STATISTIC_EXPERT] = "an expert",   [STATISTIC_TENSOR] = "the tensor",
    [STATISTIC_GAIN] = "the gain",
};

int statistics_apply(const struct moe_problem *problem)
{
    return problem->data == MOE_DATA_NORMAL && problem->routing != MOE_ROUTING_TIES &&
           problem->H >= SHORTEST && problem->I >= SHORTEST;
}

void statistics_start(struct statistics *statistics, const struct moe_problem *problem,
                      const struct moe_recipe *recipe, const struct moe_routing *routing)
{
    memset(statistics, 0, sizeof *statistics);
    statistics->problem = problem;
    statistics->recipe = recipe;
    statistics_scores_gain(problem, routing, statistics->scores_gain);
    statistics->longest = problem->shared > 0 ? problem->T : 1;
    for (int64_t e = 0; e < problem->E; e++) {
        int64_t rows = routing->expert_begin[e + 1] - routing->expert_begin[e];
        statistics->longest = rows > statistics->longest ? rows : statistics->longest;
    }
}

static void offer(struct statistics *statistics, enum moe_tensor_id tensor,
                  enum statistic_kind kind, struct statistic found)
{
    struct statistic *worst = &statistics->worst[tensor][kind];
    if (worst->limit == 0 || found.value / found.limit > worst->value / worst->limit)
        *worst = found;
}

static void add_to(struct statistic_sums *sums, struct statistic_sums more)
{
    sums->n += more.n;
    sums->squares += more.squares;
    sums->own += more.own;
}

/* ---- a block --------------------------------------------------------------------------------- */

/* A block at hand, and its sums. */
struct taking {
    struct statistics *statistics;
    const struct moe_routing *routing;
    const struct moe_tensor *tensor, *before;
    const struct moe_block *block;
    int64_t expert;     /* whose block it is; -1: nobody's */
    double expert_rows; /* of that expert's rows those that count, see rows_that_count() */
    double elements;    /* of the whole tensor */
    enum statistics_scaling scaling;
    int out;                                    /* does it stay out as a whole? */
    double *got, *old;                          /* [cols] */
    struct statistic_sums *row, *column, *tile; /* [rows], [cols], [cols/64+1] */
};

static void offer_group(struct taking *taking, enum statistic_kind kind, int64_t row, int64_t rows,
                        int64_t col, int64_t cols, struct statistic_sums sums, double overlap)
{
    const struct moe_block *block = taking->block;
    if (sums.n == 0 || !statistics_groups(taking->statistics, block->tensor))
        return;
    double groups = fmax(1, overlap * taking->elements / (double)sums.n);
    double part = (double)sums.n / (double)(rows * cols); /* the rest stays out */
    double shared = fmin(part, 1) * statistics_shared(taking->statistics->problem, block->tensor,
                                                      rows, cols, taking->expert_rows);
    struct statistic found = {sqrt(sums.squares / (double)sums.n),
                              statistics_limit(&sums, shared, groups), block->row + row, col,
                              taking->expert};
    offer(taking->statistics, block->tensor, kind, found);
}

/* Does a score reach the element whose products' errors line up, so that it stays out of the
 * groups? `row` of the tensor. */
static int stays_out(const struct taking *taking, int64_t row, int64_t col)
{
    const struct moe_routing *routing = taking->routing;
    int64_t first, end;
    if (taking->scaling == NOT_SCALED || (taking->expert >= 0 && taking->block->tensor != MOE_Z))
        return taking->out;
    if (taking->block->tensor == MOE_Z) {
        first = routing->row_entry[row];
        end = first + 1;
    } else if (taking->tensor->rank == 1) { /* [P] */
        first = col;
        end = col + 1;
    } else {
        first = routing->token_begin[row];
        end = routing->token_begin[row + 1];
    }
    for (int64_t p = first; p < end; p++) {
        if (routing->pick[p] >= 0 &&
            (taking->scaling == SCALED_OPERANDS ||
             statistics_row_is_alone(routing, routing->entry_row[p])) &&
            statistics_score_lines_up(taking->statistics->problem, routing->score[p]))
            return 1;
    }
    return 0;
}

/* With beta=1 the sum is stored, not the value; the rounding of the value itself stays charged. */
static struct statistic_sums take_element(struct taking *taking, int64_t r, int64_t c, int out)
{
    const struct moe_block *block = taking->block;
    struct statistics *statistics = taking->statistics;
    int64_t at = r * block->stride + c;
    double want = block->value[at], variance = block->variance[at];
    if (taking->before) {
        double error = block->old_error * taking->old[c];
        want += taking->old[c];
        variance += moe_rounding_variance(taking->tensor->dtype, want) + error * error;
    }
    double error = taking->got[c] - want, own = moe_rounding_variance(taking->tensor->dtype, want);
    if (!(variance > 0) || !isfinite(variance) || !isfinite(error))
        return (struct statistic_sums){0}; /* check_bound has its say there */
    double square = error * error / variance;
    struct statistic *worst = &statistics->worst[block->tensor][STATISTIC_ELEMENT];
    if (square > worst->value * worst->value)
        *worst = (struct statistic){sqrt(square), ELEMENT_LIMIT, block->row + r, c, taking->expert};
    if (out)
        return (struct statistic_sums){0};
    statistics->gain[block->tensor].error += error * want;
    statistics->gain[block->tensor].value += want * want;
    statistics->gain[block->tensor].spread += variance;
    statistics->gain[block->tensor].both += variance * want * want;
    return (struct statistic_sums){1, square, own < variance ? own / variance : 1};
}

static void take_row(struct taking *taking, int64_t r)
{
    const struct moe_block *block = taking->block;
    moe_tensor_load_row(taking->tensor, block->row + r, block->col, block->cols, taking->got);
    if (taking->before)
        moe_tensor_load_row(taking->before, block->row + r, block->col, block->cols, taking->old);
    int by_column = taking->tensor->rank == 1, out = stays_out(taking, block->row + r, 0);
    for (int64_t c = 0; c < block->cols; c++) {
        out = by_column ? stays_out(taking, 0, c) : out;
        struct statistic_sums one = take_element(taking, r, c, out);
        add_to(&taking->row[r], one);
        add_to(&taking->column[c], one);
        add_to(&taking->tile[c / TILE], one);
    }
}

static void offer_tiles(struct taking *taking, int64_t end)
{
    int64_t rows = end % TILE ? end % TILE : TILE, cols = taking->block->cols;
    for (int64_t c = 0; c < cols; c += TILE)
        offer_group(taking, STATISTIC_TILE, end - rows, rows, c, c + TILE < cols ? TILE : cols - c,
                    taking->tile[c / TILE], 1);
    memset(taking->tile, 0, (size_t)(cols / TILE + 1) * sizeof *taking->tile);
}

/* Tensors of tokens: each expert has the rows of those that picked it. */
static void offer_picks(struct taking *taking)
{
    const struct moe_routing *routing = taking->routing;
    for (int64_t e = 0; e < routing->E; e++) {
        struct statistic_sums sums = {0};
        int64_t first = routing->expert_begin[e], count = routing->expert_begin[e + 1] - first;
        for (int64_t i = first; i < first + count; i++)
            add_to(&sums, taking->row[routing->row_token[i]]);
        taking->expert = e;
        offer_group(taking, STATISTIC_EXPERT, count > 0 ? routing->row_token[first] : 0, count, 0,
                    taking->block->cols, sums, (double)taking->statistics->problem->K);
    }
}

/* What the block's elements share, d roundings: n^2 / d of the tensor's mean square; and to the
 * variance of <err,ref> they add f^2 sigma^2 ref^2 / d, of the block's own sums: experts without
 * rows, which hold what was there, take no part in what the others share. */
static void add_shared(struct taking *taking, double spread, double value,
                       const struct statistic_sums *all)
{
    const struct moe_block *block = taking->block;
    struct statistics *statistics = taking->statistics;
    if (all->n == 0)
        return;
    double n = (double)all->n, f = 1 - all->own / n, size = (double)(block->rows * block->cols);
    double d = statistics_shared(statistics->problem, block->tensor, block->rows, block->cols,
                                 taking->expert_rows) *
               n / size; /* the rest stays out */
    statistics->shared[block->tensor] += n * n / d;
    statistics->gain[block->tensor].shared += f * f * spread * value / d;
}

static void take_all(struct taking *taking)
{
    const struct moe_block *block = taking->block;
    struct statistics *statistics = taking->statistics;
    const double spread = statistics->gain[block->tensor].spread;
    const double value = statistics->gain[block->tensor].value;
    struct statistic_sums all = {0};
    for (int64_t r = 0; r < block->rows; r++) {
        take_row(taking, r);
        offer_group(taking, STATISTIC_ROW, r, 1, 0, block->cols, taking->row[r], 1);
        add_to(&all, taking->row[r]);
        if (r % TILE == TILE - 1 || r == block->rows - 1)
            offer_tiles(taking, r + 1);
    }
    for (int64_t c = 0; c < block->cols; c++)
        offer_group(taking, STATISTIC_COLUMN, 0, block->rows, c, 1, taking->column[c], 1);
    add_to(&statistics->sums[block->tensor], all);
    add_shared(taking, statistics->gain[block->tensor].spread - spread,
               statistics->gain[block->tensor].value - value, &all);
    if (taking->expert >= 0)
        offer_group(taking, STATISTIC_EXPERT, 0, block->rows, 0, block->cols, all, 1);
    else if (moe_tensor_info(block->tensor)->shape[0] == 'T' && block->rows == taking->routing->T)
        offer_picks(taking);
}

/* The expert that a block belongs to. */
static int64_t expert_of(const struct taking *taking)
{
    const struct moe_block *block = taking->block;
    const struct moe_tensor *tensor = taking->tensor;
    if (block->tensor == MOE_Z)
        return taking->routing->pick[taking->routing->row_entry[block->row]];
    if (moe_tensor_info(block->tensor)->shape[0] != 'E' || tensor->rank < 2)
        return -1;
    return tensor->rank == 3 ? block->row / tensor->shape[1] : block->row;
}

/* Rows of an expert as far as they count alike: (sum s^2)^2 / sum s^4. The shared expert's gates
 * are of one size. */
static double rows_that_count(const struct taking *taking)
{
    const struct moe_routing *routing = taking->routing;
    double squares = 0, fourths = 0;
    if (taking->expert < 0)
        return (double)(routing->T > 2 ? routing->T / 2 : 1);
    for (int64_t i = routing->expert_begin[taking->expert];
         i < routing->expert_begin[taking->expert + 1]; i++) {
        double s = routing->score[routing->row_entry[i]];
        squares += s * s;
        fourths += s * s * s * s;
    }
    return fourths > 0 ? squares * squares / fourths : 1;
}

int statistics_take(struct statistics *statistics, const struct moe_routing *routing,
                    const struct moe_tensor *tensor, const struct moe_tensor *before,
                    const struct moe_block *block)
{
    struct taking taking = {.statistics = statistics,
                            .routing = routing,
                            .tensor = tensor,
                            .before = before,
                            .block = block};
    if (block->rows == 0 || block->cols == 0 || !block->variance)
        return MOE_OK;
    size_t values = (size_t)(2 * block->cols) * sizeof(double);
    int64_t groups = block->rows + block->cols + block->cols / TILE + 1;
    taking.got = malloc(values);
    taking.row = calloc((size_t)groups, sizeof *taking.row);
    if (taking.got && taking.row) {
        taking.old = taking.got + block->cols;
        taking.column = taking.row + block->rows;
        taking.tile = taking.column + block->cols;
        taking.expert = expert_of(&taking);
        taking.expert_rows = rows_that_count(&taking);
        taking.elements = (double)moe_tensor_count(tensor);
        taking.scaling = statistics_scaling(statistics, block->tensor);
        taking.out = taking.scaling != NOT_SCALED && block->tensor != MOE_Z && taking.expert >= 0 &&
                     statistics_expert_lines_up(statistics->problem, routing, taking.expert);
        take_all(&taking);
    }
    int status = taking.got && taking.row
                     ? MOE_OK
                     : moe_error(MOE_E_NOMEM, "no memory for the statistics of a block");
    free(taking.got);
    free(taking.row);
    return status;
}

/* ---- whole tensors --------------------------------------------------------------------------- */

void statistics_finish(struct statistics *statistics)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        struct statistic_sums sums = statistics->sums[id];
        if (sums.n == 0 || !statistics_groups(statistics, id))
            continue;
        double n = (double)sums.n, shared = n * n / statistics->shared[id];
        struct statistic whole = {sqrt(sums.squares / n), statistics_limit(&sums, shared, 1), 0, 0,
                                  -1};
        offer(statistics, id, STATISTIC_TENSOR, whole);
        struct statistic gain = {fabs(statistics->gain[id].error) / statistics->gain[id].value,
                                 statistics_gain_limit(statistics, id), 0, 0, -1};
        if (statistics->gain[id].value > 0)
            offer(statistics, id, STATISTIC_GAIN, gain);
    }
}
