// elementwise.cu - what happens to rows between the products: gather, bias, activation,
// aggregation.
//
// Each entry stands twice, computing in float and in double (dtype=f64). `dtype` is that of x,
// weights, z, a and y; row_score and row_ds are double [rows].
#include "gpu/kernels/activation.cuh"

// out [rows,H] = x [T,H] at row_token (NULL: the same row), times row_score where given; rounded.
template <typename C>
static __device__ void gather(int64_t rows, int64_t H, int dtype, const void *x,
                              const int64_t *row_token, const double *row_score, void *out)
{
    for (int64_t i = first_index(); i < rows * H; i += index_step()) {
        int64_t r = i / H, h = i % H, from = (row_token ? row_token[r] : r) * H + h;
        if (planted(FAULT_GATHER_INT32))
            from = (int32_t)from;
        if (planted(FAULT_READ_BEHIND_X) && i == rows * H - 1)
            from += H;
        C value = load<C>(dtype, x, from);
        if (planted(FAULT_INPUT_CHANGED) && i == rows * H - 1)
            store<C>(dtype, (void *)x, from, (C)2 * value);
        int64_t to = planted(FAULT_EVERY_ROW_TO_ROW_0) && row_score ? h : i;
        store<C>(dtype, out, to, row_score ? (C)row_score[r] * value : value);
    }
}

extern "C" __global__ void gather_rows_f32(int64_t rows, int64_t H, int dtype, const void *x,
                                           const int64_t *row_token, const double *row_score,
                                           void *out)
{
    gather<float>(rows, H, dtype, x, row_token, row_score, out);
}

extern "C" __global__ void gather_rows_f64(int64_t rows, int64_t H, int dtype, const void *x,
                                           const int64_t *row_token, const double *row_score,
                                           void *out)
{
    gather<double>(rows, H, dtype, x, row_token, row_score, out);
}

// out [rows,cols] = q + bias of each row's expert, bias [E,cols]; rounded once. One block a row.
// expert_begin NULL: bias [cols] for all rows. `out` may be `q`.
extern "C" __global__ void add_bias(int64_t E, int64_t cols, int q_dtype, const void *q,
                                    int bias_dtype, const void *bias, const int64_t *expert_begin,
                                    int dtype, void *out)
{
    int64_t r = blockIdx.x, low = 0, high = E;
    while (expert_begin && high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (planted(FAULT_BIAS_OF_NEXT_EXPERT) ? expert_begin[middle] < r
                                               : expert_begin[middle] <= r)
            low = middle;
        else
            high = middle;
    }
    // experts without rows share their begin with the next: `low` is the last that begins here
    for (int64_t c = threadIdx.x; c < cols; c += blockDim.x)
        store<double>(dtype, out, r * cols + c,
                      load<double>(q_dtype, q, r * cols + c) +
                          load<double>(bias_dtype, bias, (expert_begin ? low * cols : 0) + c));
}

struct Shape {
    int64_t units;
    int gated, act, layout;
    double clamp;
};

template <typename C>
static __device__ C activated(const Shape &s, int dtype, const void *z, int64_t r, int64_t i)
{
    C clamp = (C)s.clamp;
    if (!s.gated)
        return gate<C>(s.act, load<C>(dtype, z, r * s.units + i), clamp).value;
    int64_t base = r * 2 * s.units;
    if (planted(FAULT_ACTIVATE_INT32))
        base = (int32_t)base;
    C g = load<C>(dtype, z, base + gate_column(s.layout, s.units, i));
    C u = load<C>(dtype, z, base + up_column(s.layout, s.units, i));
    if (planted(FAULT_GATE_AND_UP_SWAPPED))
        return gate<C>(s.act, u, clamp).value * up<C>(s.act, g, clamp).value;
    return gate<C>(s.act, g, clamp).value * up<C>(s.act, u, clamp).value;
}

// a [rows,units] = act(z), times row_score where given; rounded.
template <typename C>
static __device__ void activate(int64_t rows, Shape s, int dtype, const void *z,
                                const double *row_score, void *a)
{
    for (int64_t i = first_index(); i < rows * s.units; i += index_step()) {
        if (planted(FAULT_LAST_UNITS_A) && i % s.units >= s.units / 8 * 8)
            continue;
        C value = activated<C>(s, dtype, z, i / s.units, i % s.units);
        store<C>(dtype, a, i, row_score ? (C)row_score[i / s.units] * value : value);
    }
}

extern "C" __global__ void activate_f32(int64_t rows, int64_t units, int gated, int act, int layout,
                                        double clamp, int dtype, const void *z,
                                        const double *row_score, void *a)
{
    activate<float>(rows, Shape{units, gated, act, layout, clamp}, dtype, z, row_score, a);
}

extern "C" __global__ void activate_f64(int64_t rows, int64_t units, int gated, int act, int layout,
                                        double clamp, int dtype, const void *z,
                                        const double *row_score, void *a)
{
    activate<double>(rows, Shape{units, gated, act, layout, clamp}, dtype, z, row_score, a);
}

// One block a row, 256 threads. da [rows,units] (in C) = dO W2. Writes
//   dz = act'(z) s da,  sa = s act(z)  (s = row_score, or 1 where NULL), both rounded;
//   row_ds = <da, act(z)> + <d_o, b2 of the row's expert>  where row_ds / b2 are given.
template <typename C>
static __device__ void activate_backward(Shape s, int64_t H, int64_t E, int dtype, const void *z,
                                         const C *da, const double *row_score, const void *d_o,
                                         const void *b2, const int64_t *expert_begin, void *dz,
                                         void *sa, double *row_ds)
{
    __shared__ C room[256];
    int64_t r = blockIdx.x;
    C clamp = (C)s.clamp, score = row_score ? (C)row_score[r] : (C)1, sum = 0;
    for (int64_t i = threadIdx.x; i < s.units; i += blockDim.x) {
        C d = da[r * s.units + i], g_out = planted(FAULT_DZ_WITHOUT_SCORE) ? d : score * d, value;
        if (s.gated) {
            int64_t base = r * 2 * s.units;
            int64_t at_gate = base + gate_column(s.layout, s.units, i);
            int64_t at_up = base + up_column(s.layout, s.units, i);
            Activated<C> g = gate<C>(s.act, load<C>(dtype, z, at_gate), clamp);
            Activated<C> u = up<C>(s.act, load<C>(dtype, z, at_up), clamp);
            value = g.value * u.value;
            store<C>(dtype, dz, at_gate, g_out * u.value * g.slope);
            store<C>(dtype, dz, at_up, g_out * g.value * u.slope);
        } else {
            Activated<C> g = gate<C>(s.act, load<C>(dtype, z, r * s.units + i), clamp);
            value = g.value;
            store<C>(dtype, dz, r * s.units + i, g_out * g.slope);
        }
        store<C>(dtype, sa, r * s.units + i,
                 planted(FAULT_DW2_WITHOUT_SCORE) ? value : score * value);
        sum += d * value;
    }
    if (!row_ds)
        return;
    if (b2 && !planted(FAULT_DS_WITHOUT_BIAS)) {
        int64_t low = 0, high = E;
        while (high - low > 1) {
            int64_t middle = (low + high) / 2;
            if (expert_begin[middle] <= r)
                low = middle;
            else
                high = middle;
        }
        for (int64_t h = threadIdx.x; h < H; h += blockDim.x)
            sum += load<C>(dtype, d_o, r * H + h) * load<C>(dtype, b2, low * H + h);
    }
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        row_ds[r] = sum;
}

extern "C" __global__ void __launch_bounds__(256)
    activate_backward_f32(int64_t units, int gated, int act, int layout, double clamp, int64_t H,
                          int64_t E, int dtype, const void *z, const void *da,
                          const double *row_score, const void *d_o, const void *b2,
                          const int64_t *expert_begin, void *dz, void *sa, double *row_ds)
{
    activate_backward<float>(Shape{units, gated, act, layout, clamp}, H, E, dtype, z,
                             (const float *)da, row_score, d_o, b2, expert_begin, dz, sa, row_ds);
}

extern "C" __global__ void __launch_bounds__(256)
    activate_backward_f64(int64_t units, int gated, int act, int layout, double clamp, int64_t H,
                          int64_t E, int dtype, const void *z, const void *da,
                          const double *row_score, const void *d_o, const void *b2,
                          const int64_t *expert_begin, void *dz, void *sa, double *row_ds)
{
    activate_backward<double>(Shape{units, gated, act, layout, clamp}, H, E, dtype, z,
                              (const double *)da, row_score, d_o, b2, expert_begin, dz, sa, row_ds);
}

// out [T,H] = sum over the rows of a token of (score) y, plus shared_score * shared [T,H], plus
// extra [T,H] (in C), plus q [T] * wsg [H]; all but y may be NULL. In order of entries, then as
// written.
template <typename C>
static __device__ void aggregate(int64_t T, int64_t H, int64_t K, const int64_t *offsets, int dtype,
                                 const void *y, const int64_t *entry_row, int score_dtype,
                                 const void *scores, const void *shared, const double *shared_score,
                                 const C *extra, const double *q, const void *wsg, void *out)
{
    for (int64_t i = first_index(); i < T * H; i += index_step()) {
        int64_t t = i / H, h = i % H;
        int64_t begin = offsets ? offsets[t] : t * K, end = offsets ? offsets[t + 1] : (t + 1) * K;
        C sum = 0;
        for (int64_t p = begin; p < end; p++) {
            int64_t row = entry_row[p];
            if (row < 0 && planted(FAULT_DROPPED_IS_ROW_0))
                row = 0;
            if (row < 0)
                continue;
            C value = load<C>(dtype, y, row * H + h);
            C score = scores ? load<C>(score_dtype, scores, p) : (C)1;
            if (planted(FAULT_SCORE_BF16))
                score = settled<C>(MOE_BF16, score);
            if (planted(FAULT_SCORE_TWICE))
                score *= score;
            sum += score * value;
            if (planted(FAULT_SUM_BF16))
                sum = settled<C>(dtype, sum);
        }
        if (shared) {
            C value = load<C>(dtype, shared, i);
            sum += shared_score ? (C)shared_score[t] * value : value;
        }
        if (extra)
            sum += extra[i];
        if (q)
            sum += (C)q[t] * load<C>(dtype, wsg, h);
        if (planted(FAULT_LAST_TOKEN_O) && t == T - 1)
            continue;
        store<C>(dtype, out, i, sum);
        if (planted(FAULT_STORE_BEHIND_O) && i == T * H - 1)
            store<C>(dtype, out, i + 1, sum);
        if (planted(FAULT_STORE_BEFORE_O) && i == 0)
            store<C>(dtype, out, -1, sum);
    }
}

extern "C" __global__ void aggregate_f32(int64_t T, int64_t H, int64_t K, const int64_t *offsets,
                                         int dtype, const void *y, const int64_t *entry_row,
                                         int score_dtype, const void *scores, const void *shared,
                                         const double *shared_score, const void *extra,
                                         const double *q, const void *wsg, void *out)
{
    aggregate<float>(T, H, K, offsets, dtype, y, entry_row, score_dtype, scores, shared,
                     shared_score, (const float *)extra, q, wsg, out);
}

extern "C" __global__ void aggregate_f64(int64_t T, int64_t H, int64_t K, const int64_t *offsets,
                                         int dtype, const void *y, const int64_t *entry_row,
                                         int score_dtype, const void *scores, const void *shared,
                                         const double *shared_score, const void *extra,
                                         const double *q, const void *wsg, void *out)
{
    aggregate<double>(T, H, K, offsets, dtype, y, entry_row, score_dtype, scores, shared,
                      shared_score, (const double *)extra, q, wsg, out);
}

// sums [E,cols] = column sums of q [rows,cols] over each expert's rows, times row_score where
// given; added to what is there where `add`. Grid (ceil(cols/256), E); expert_begin NULL: one
// expert with all rows.
extern "C" __global__ void __launch_bounds__(256)
    column_sums(int64_t rows, int64_t cols, const int64_t *expert_begin, const double *row_score,
                int dtype, const void *q, int sum_dtype, int add, void *sums)
{
    int64_t e = blockIdx.y, c = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    int64_t begin = expert_begin ? expert_begin[e] : 0;
    int64_t end = expert_begin ? expert_begin[e + 1] : rows;
    if (c >= cols)
        return;
    double sum =
        add && !planted(FAULT_BETA_IGNORED) ? load<double>(sum_dtype, sums, e * cols + c) : 0;
    for (int64_t r = begin; r < end; r++) {
        double value = load<double>(dtype, q, r * cols + c);
        sum += row_score && !planted(FAULT_DB2_WITHOUT_SCORE) ? row_score[r] * value : value;
    }
    store<double>(sum_dtype, sums, e * cols + c, sum);
}

// dots [rows] = <a_r, b_r>, or <a_r, b> where b is one row. One block a row, 256 threads.
extern "C" __global__ void __launch_bounds__(256)
    row_dots(int64_t H, int dtype, const void *a, const void *b, int b_is_one_row, double *dots)
{
    __shared__ double room[256];
    int64_t r = blockIdx.x;
    double sum = 0;
    for (int64_t h = threadIdx.x; h < H; h += blockDim.x)
        sum += load<double>(dtype, a, r * H + h) *
               load<double>(dtype, b, b_is_one_row ? h : r * H + h);
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        dots[r] = sum;
}

// gate [T] = sigmoid(gate).
extern "C" __global__ void shared_gate(int64_t T, double *gate)
{
    for (int64_t t = first_index(); t < T; t += index_step())
        gate[t] = 1 / (1 + exp(-gate[t]));
}

// q [T] *= gate (1 - gate).
extern "C" __global__ void shared_gate_backward(int64_t T, const double *gate, double *q)
{
    for (int64_t t = first_index(); t < T; t += index_step())
        q[t] *= planted(FAULT_SHARED_GATE_SLOPE) ? gate[t] : gate[t] * (1 - gate[t]);
}

// to = from, in another type; added to what is there where `add`.
extern "C" __global__ void convert(int64_t count, int from_dtype, const void *from, int to_dtype,
                                   int add, void *to)
{
    for (int64_t i = first_index(); i < count; i += index_step()) {
        double value = load<double>(from_dtype, from, i);
        store<double>(to_dtype, to, i, add ? load<double>(to_dtype, to, i) + value : value);
    }
}
