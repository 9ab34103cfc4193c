/*
 * parts_layer.c - the rest of gpu/parts_layer.c against plain loops: gather, biases, sums, products
 * and types.
 *
 * What is only moved is the same bits. What is computed may miss by a rounding of the computing
 * type for each operation (u: float, or double for dtype=f64 and where a kernel sums in double),
 * then by one of the stored type.
 */
#include <math.h>
#include <stdlib.h>

#include "tests/parts_array.h"
#include "tests/parts_tests.h"

static const int64_t row_counts[] = {0, 1, 7, 300};
static const int64_t widths[] = {1, 24, 300};

/* Rows by expert, some of them without; the last expert too. */
static const struct array *draw_begin(int64_t rows, int64_t E)
{
    struct array *begin = array_new(MOE_I64, E + 1);
    int64_t *at = begin->host;
    for (int64_t e = 0; e <= E; e++)
        at[e] = e == 0 ? 0 : e >= E - 1 ? rows : e / 2 * 2 * rows / E;
    array_send(begin);
    return begin;
}

static int64_t place(const struct array *array, int64_t index)
{
    return ((const int64_t *)array->host)[index];
}

static int64_t expert_of(const struct array *begin, int64_t row)
{
    int64_t e = 0;
    while (place(begin, e + 1) <= row)
        e++;
    return e;
}

/* A test for all types, numbers of rows and widths; `mode` tells the options apart. */
typedef int shape_test(enum moe_dtype dtype, int64_t rows, int64_t cols, int mode);

static int every_shape(shape_test *test, int modes)
{
    int good = 1;
    for (int type = 0; type < FLOAT_TYPES; type++)
        for (int r = 0; r < LENGTH(row_counts); r++)
            for (int w = 0; w < LENGTH(widths); w++)
                for (int mode = 0; mode < modes; mode++) {
                    if (left_out())
                        continue;
                    good &= test(float_types[type], row_counts[r], widths[w], mode);
                    arrays_free();
                }
    return good;
}

/* ---- gather and biases ----------------------------------------------------------------------- */

static int gather_case(enum moe_dtype dtype, int64_t rows, int64_t H, int mode)
{
    const int listed = mode & 1, scored = mode & 2;
    const int64_t T = listed ? 11 : rows;
    const struct array *x = array_draw(dtype, T * H, -2, 2);
    const struct array *score = scored ? array_draw(MOE_F64, rows, -2, 2) : NULL;
    struct array *token = listed ? array_new(MOE_I64, rows) : NULL;
    struct array *out = array_new(dtype, rows * H);
    for (int64_t r = 0; r < rows && listed; r++)
        ((int64_t *)token->host)[r] = draw_below(T);
    if (listed)
        array_send(token);
    done(moe_gpu_gather(&queue, dtype, rows, H, x->device, on_device(token), on_device(score),
                        out->device));
    array_fetch(out);
    for (int64_t i = 0; i < out->count; i++) {
        const double value = array_get(x, (listed ? place(token, i / H) : i / H) * H + i % H);
        const double want = scored ? array_get(score, i / H) * value : value;
        const double slack = 3 * compute_unit(dtype) * fabs(want);
        if (!(scored ? agrees("gather", out, i, want, slack) : is_exactly("gather", out, i, want)))
            return 0;
    }
    return 1;
}

int rows_are_gathered(void)
{
    return every_shape(gather_case, 4);
}

/* Three types meet; with mode 0 .. 3 q, 4 .. 7 too but one bias for all rows, 8 in place. */
static int bias_case(enum moe_dtype dtype, int64_t rows, int64_t cols, int mode)
{
    const int64_t E = mode & 4 ? 1 : 6;
    const int in_place = mode == 8;
    const enum moe_dtype q_type = in_place ? dtype : float_types[mode & 3];
    const enum moe_dtype bias_type = float_types[(mode + 2) & 3];
    const struct array *begin = mode & 4 ? NULL : draw_begin(rows, E);
    struct array *q = array_draw(q_type, rows * cols, -2, 2);
    const struct array *bias = array_draw(bias_type, E * cols, -2, 2);
    struct array *out = in_place ? q : array_new(dtype, rows * cols);
    double *want = calloc((size_t)q->count + 1, sizeof *want);
    for (int64_t i = 0; i < q->count; i++)
        want[i] = array_get(q, i) +
                  array_get(bias, (begin ? expert_of(begin, i / cols) * cols : 0) + i % cols);
    done(moe_gpu_add_bias(&queue, E, rows, cols, q_type, q->device, bias_type, bias->device,
                          on_device(begin), dtype, out->device));
    array_fetch(out);
    int good = 1;
    for (int64_t i = 0; i < out->count && good; i++)
        good = agrees("add_bias", out, i, want[i], compute_unit(dtype) * fabs(want[i]));
    free(want);
    return good;
}

int biases_are_added(void)
{
    return every_shape(bias_case, 9);
}

/* ---- sums ------------------------------------------------------------------------------------ */

enum {
    RAGGED = 1,
    SCORES = 2,
    SHARED = 4,
    SHARED_SCORE = 8,
    EXTRA = 16,
    GATED = 32,
    AGGREGATE_MODES = 64
};

/* Entries of T tokens, a fifth of them dropped; rows in a mixed order. Returns N. */
static int64_t draw_entries(int64_t T, int64_t K, int ragged, struct array **offsets,
                            struct array **entry_row)
{
    int64_t P = 0, N = 0;
    *offsets = array_new(MOE_I64, T + 1);
    int64_t *begin = (*offsets)->host;
    for (int64_t t = 0; t <= T; t++) {
        begin[t] = P;
        P += t == T ? 0 : ragged ? draw_below(K + 1) : K;
    }
    array_send(*offsets);
    *entry_row = array_new(MOE_I64, P);
    int64_t *row = (*entry_row)->host;
    for (int64_t p = 0; p < P; p++)
        row[p] = draw_below(5) == 0 ? -1 : N++;
    for (int64_t p = 0; p < P; p++)
        row[p] = row[p] < 0 ? -1 : N - 1 - row[p];
    array_send(*entry_row);
    return N;
}

/* dtype by T tokens by H columns, K = 3. */
static int aggregate_case(enum moe_dtype dtype, int64_t T, int64_t H, int mode)
{
    struct moe_problem problem = moe_problem_default();
    problem.T = T, problem.H = H, problem.K = 3, problem.dtype = dtype;
    const enum moe_dtype compute = moe_gpu_compute(&problem);
    struct array *offsets, *entry_row;
    const int64_t N = draw_entries(T, 3, mode & RAGGED, &offsets, &entry_row);
    const struct array *y = array_draw(dtype, N * H, -2, 2);
    const struct array *scores =
        mode & SCORES ? array_draw(compute, entry_row->count, -2, 2) : NULL;
    const struct array *shared = mode & SHARED ? array_draw(dtype, T * H, -2, 2) : NULL;
    const struct array *shared_score = mode & SHARED_SCORE ? array_draw(MOE_F64, T, 0, 1) : NULL;
    const struct array *extra = mode & EXTRA ? array_draw(compute, T * H, -2, 2) : NULL;
    const struct array *q = mode & GATED ? array_draw(MOE_F64, T, -1, 1) : NULL;
    const struct array *wsg = mode & GATED ? array_draw(dtype, H, -2, 2) : NULL;
    struct array *out = array_new(dtype, T * H);
    const struct moe_gpu_aggregation sum = {
        .offsets = mode & RAGGED ? offsets->device : NULL,
        .entry_row = entry_row->device,
        .y = y->device,
        .scores = on_device(scores),
        .shared = on_device(shared),
        .shared_score = on_device(shared_score),
        .extra = on_device(extra),
        .q = on_device(q),
        .wsg = on_device(wsg),
        .out = out->device,
    };
    done(moe_gpu_aggregate(&queue, &problem, &sum));
    array_fetch(out);
    for (int64_t i = 0; i < out->count; i++) {
        const int64_t t = i / H, h = i % H;
        double terms[3 + 3] = {0}, want = 0, size = 0;
        int n = 0;
        for (int64_t p = place(offsets, t); p < place(offsets, t + 1); p++)
            if (place(entry_row, p) >= 0)
                terms[n++] =
                    (scores ? array_get(scores, p) : 1) * array_get(y, place(entry_row, p) * H + h);
        if (shared)
            terms[n++] = (shared_score ? array_get(shared_score, t) : 1) * array_get(shared, i);
        if (extra)
            terms[n++] = array_get(extra, i);
        if (q)
            terms[n++] = array_get(q, t) * array_get(wsg, h);
        for (int k = 0; k < n; k++) {
            want += terms[k];
            size += fabs(terms[k]);
        }
        if (!agrees("aggregate", out, i, want, (n + 3) * compute_unit(dtype) * size))
            return 0;
    }
    return 1;
}

int tokens_are_summed(void)
{
    return every_shape(aggregate_case, AGGREGATE_MODES);
}

/* mode: 4 types of the sums, added or not, with a score or not, experts or one. */
static int column_case(enum moe_dtype dtype, int64_t rows, int64_t cols, int mode)
{
    const enum moe_dtype sum_type = float_types[mode & 3];
    const int add = mode & 4, scored = mode & 8, whole = mode & 16;
    const int64_t E = whole ? 1 : 6;
    const struct array *begin = whole ? NULL : draw_begin(rows, E);
    const struct array *score = scored ? array_draw(MOE_F64, rows, -2, 2) : NULL;
    const struct array *q = array_draw(dtype, rows * cols, -2, 2);
    struct array *sums = array_draw(sum_type, E * cols, -2, 2);
    double *want = calloc((size_t)sums->count, sizeof *want);
    double *size = calloc((size_t)sums->count, sizeof *size);
    for (int64_t i = 0; i < sums->count && add; i++)
        size[i] = fabs(want[i] = array_get(sums, i));
    for (int64_t i = 0; i < q->count; i++) {
        const double term = (scored ? array_get(score, i / cols) : 1) * array_get(q, i);
        const int64_t to = (whole ? 0 : expert_of(begin, i / cols) * cols) + i % cols;
        want[to] += term;
        size[to] += fabs(term);
    }
    done(moe_gpu_column_sums(&queue, E, rows, cols, on_device(begin), on_device(score), dtype,
                             q->device, sum_type, add, sums->device));
    array_fetch(sums);
    int good = 1;
    for (int64_t i = 0; i < sums->count && good; i++)
        good = agrees("column_sums", sums, i, want[i],
                      2 * (double)(rows + 2) * compute_unit(MOE_F64) * size[i] +
                          compute_unit(sum_type) * fabs(want[i]));
    free(want);
    free(size);
    return good;
}

int columns_are_summed(void)
{
    return every_shape(column_case, 32);
}

static int dot_case(enum moe_dtype dtype, int64_t rows, int64_t H, int one_row)
{
    const struct array *a = array_draw(dtype, rows * H, -2, 2);
    const struct array *b = array_draw(dtype, one_row ? H : rows * H, -2, 2);
    struct array *dots = array_new(MOE_F64, rows);
    done(moe_gpu_row_dots(&queue, rows, H, dtype, a->device, b->device, one_row, dots->device));
    array_fetch(dots);
    for (int64_t r = 0; r < rows; r++) {
        double want = 0, size = 0;
        for (int64_t h = 0; h < H; h++) {
            const double term = array_get(a, r * H + h) * array_get(b, one_row ? h : r * H + h);
            want += term;
            size += fabs(term);
        }
        if (!agrees("row_dots", dots, r, want, 2 * (double)(H + 1) * compute_unit(MOE_F64) * size))
            return 0;
    }
    return 1;
}

int rows_are_multiplied(void)
{
    return every_shape(dot_case, 2);
}

/* ---- the shared expert's gate ---------------------------------------------------------------- */

int gates_open(void)
{
    const double u = compute_unit(MOE_F64);
    int good = 1;
    for (int n = 0; n < LENGTH(row_counts); n++) {
        const int64_t T = row_counts[n];
        struct array *gate = array_draw(MOE_F64, T, -9, 9), *q = array_draw(MOE_F64, T, -2, 2);
        double *was = calloc((size_t)(2 * T) + 1, sizeof *was);
        if (T > 2) {
            array_put(gate, 0, 800);
            array_put(gate, 1, -800);
            array_put(gate, 2, NAN);
            array_send(gate);
        }
        for (int64_t t = 0; t < T; t++) {
            was[t] = array_get(gate, t);
            was[T + t] = array_get(q, t);
        }
        done(moe_gpu_shared_gate(&queue, T, gate->device));
        done(moe_gpu_shared_gate_backward(&queue, T, gate->device, q->device));
        array_fetch(gate);
        array_fetch(q);
        for (int64_t t = 0; t < T && good; t++) {
            /* q from the gate as the device has it; 1 - gate is exact or rounds once */
            const double sigmoid = 1 / (1 + exp(-was[t])), g = array_get(gate, t);
            const double want = was[T + t] * (g * (1 - g));
            const double loose = isnan(sigmoid) ? 0 : u;
            good = agrees("gate", gate, t, sigmoid, 8 * loose) &&
                   agrees("gate's gradient", q, t, want, 4 * loose);
        }
        free(was);
        arrays_free();
    }
    return good;
}

/* ---- types ----------------------------------------------------------------------------------- */

/* Everything is a float, so that no value is rounded twice on its way to 16 bits: ordinary values,
 * subnormals of every type, what overflows, ties, zeros and NaN. */
static void put_values(struct array *from)
{
    static const double special[] = {
        0.0,      -0.0,     NAN,       INFINITY,  -INFINITY, 65519,      65520,         -65536,
        0x1p-24,  0x1p-25,  0x3p-25,   -0x5p-26,  0x1p-133,  0x1p-134,   0x3p-134,      0x1p-149,
        0x1.01p0, 0x1.03p0, 0x1.002p0, 0x1.006p0, 0x1p127,   0x1.ffp127, 0x1.fffffep127};
    for (int64_t i = 0; i < from->count; i++)
        array_put(from, i,
                  i < LENGTH(special) ? special[i]
                                      : (float)ldexp(draw(-2, 2), (int)draw_below(60) - 30));
    array_send(from);
}

static int convert_case(enum moe_dtype from_type, enum moe_dtype to_type, int64_t count, int add)
{
    struct array *from = add ? array_draw(from_type, count, -2, 2) : array_new(from_type, count);
    struct array *to = array_draw(to_type, count, -2, 2);
    double *old = calloc((size_t)count + 1, sizeof *old);
    for (int64_t i = 0; i < count; i++)
        old[i] = array_get(to, i);
    if (!add)
        put_values(from);
    done(moe_gpu_convert(&queue, count, from_type, from->device, to_type, add, to->device));
    array_fetch(to);
    int good = 1;
    for (int64_t i = 0; i < count && good; i++) {
        const double value = array_get(from, i), sum = value + old[i];
        good = add ? agrees("convert, added", to, i, sum, compute_unit(to_type) * fabs(sum))
                   : is_exactly("convert", to, i, moe_dtype_round(to_type, value, 0));
    }
    free(old);
    arrays_free();
    return good;
}

int types_convert(void)
{
    static const int64_t counts[] = {0, 1, 300, 70000};
    int good = 1;
    for (int from = 0; from < FLOAT_TYPES; from++)
        for (int to = 0; to < FLOAT_TYPES; to++)
            for (int n = 0; n < LENGTH(counts); n++)
                for (int add = 0; add <= 1; add++)
                    good &= convert_case(float_types[from], float_types[to], counts[n], add);
    return good;
}
