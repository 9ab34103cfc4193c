/*
 * naive_space.c - the workspace of `naive`: one function both counts its bytes and divides it.
 */
#include "verify/naive.h"

/* `count` elements of `size` bytes from the space's end; each array begins at a multiple of 16. */
static void *take(struct moe_naive_space *space, void *base, int64_t count, int64_t size)
{
    int64_t bytes, end;
    if (space->bytes < 0 || __builtin_mul_overflow(count, size, &bytes) ||
        __builtin_add_overflow(space->bytes, bytes, &end) || end > INT64_MAX / 2) {
        space->bytes = -1;
        return NULL;
    }
    void *array = base ? (char *)base + space->bytes : NULL;
    space->bytes = (end + 15) / 16 * 16;
    return array;
}

/* rows * cols, or a count that is too large for any memory. */
static int64_t area(int64_t rows, int64_t cols)
{
    int64_t product;
    return __builtin_mul_overflow(rows, cols, &product) ? INT64_MAX : product;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void moe_naive_space_divide(const struct moe_problem *problem, void *base,
                            struct moe_naive_space *space)
{
    const int64_t real = sizeof(long double), whole = sizeof(int64_t);
    int64_t T = problem->T, H = problem->H, E = problem->E;
    int64_t most = moe_problem_max_entries(problem);
    int64_t P = most < 0 ? INT64_MAX : most;
    int64_t units = larger(problem->I, problem->shared);
    int64_t rows = moe_naive_gated(problem->act) ? area(2, units) : units;
    struct moe_naive_routing *routing = &space->routing;
    struct moe_naive_expert *expert = &space->expert;

    space->bytes = 0;
    space->x = take(space, base, area(T, H), real);
    space->dout = take(space, base, area(T, H), real);
    space->out = take(space, base, area(T, H), real);
    space->logits = take(space, base, area(T, E), real);
    space->dlogits = take(space, base, area(T, E), real);
    space->prob = take(space, base, area(T, E), real);
    space->weight = take(space, base, area(T, E), real);
    space->wr = take(space, base, area(E, H), real);
    space->dwr = take(space, base, area(E, H), real);
    space->br = take(space, base, E, real);
    space->dbr = take(space, base, E, real);
    space->sel_bias = take(space, base, E, real);
    space->value = take(space, base, E, real);
    space->wsg = take(space, base, H, real);
    space->dwsg = take(space, base, H, real);
    space->scaled = take(space, base, H, real);
    space->ds = take(space, base, P, real);
    space->raw = take(space, base, P, real);
    space->z = take(space, base, rows, real);
    space->dz = take(space, base, rows, real);
    space->a = take(space, base, units, real);
    space->da = take(space, base, units, real);
    expert->w1 = take(space, base, area(rows, H), real);
    expert->dw1 = take(space, base, area(rows, H), real);
    expert->b1 = take(space, base, rows, real);
    expert->db1 = take(space, base, rows, real);
    expert->w2 = take(space, base, area(H, units), real);
    expert->dw2 = take(space, base, area(H, units), real);
    expert->b2 = take(space, base, H, real);
    expert->db2 = take(space, base, H, real);
    routing->score = take(space, base, P, real);
    routing->pick = take(space, base, P, whole);
    routing->row_entry = take(space, base, P, whole);
    routing->row_token = take(space, base, P, whole);
    routing->token_begin = take(space, base, T + 1, whole);
    routing->expert_begin = take(space, base, E + 1, whole);
    space->taken = take(space, base, E, 1);
    space->closed = take(space, base, E, 1);
    space->chosen = take(space, base, area(T, E), 1);
}
