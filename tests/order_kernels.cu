// order_kernels.cu - a small layer in plain kernels that begin early and wait, and kernels that go
// wrong by their surroundings: for order_faults.c. f32 or bf16, act=relu2, given picks.
#include <cuda_bf16.h>

#include <cstdint>

// As order_faults.c has it. row_of [T*K] and da, dz [T*K,I] are workspace; row -1: dropped.
struct order_layer {
    int64_t T, H, I, E, K;
    const void *x, *w1, *w2, *d_o;
    const float *scores;
    const int32_t *picks;
    void *z, *o, *dx, *dw1, *dw2;
    float *ds;
    int64_t *row_of;
    float *da, *dz;
    uint32_t *status;
    int32_t bf16; // the tensors are; else f32
};

static __device__ float get(const order_layer &l, const void *values, int64_t i)
{
    return l.bf16 ? __bfloat162float(((const __nv_bfloat16 *)values)[i])
                  : ((const float *)values)[i];
}

static __device__ void put(const order_layer &l, void *values, int64_t i, float value)
{
    if (l.bf16)
        ((__nv_bfloat16 *)values)[i] = __float2bfloat16_rn(value);
    else
        ((float *)values)[i] = value;
}

// Lets the next launch begin, and waits for the end of the one before.
static __device__ void enter(int wait)
{
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
    if (wait)
        asm volatile("griddepcontrol.wait;" ::: "memory");
}

// The expert of entry p; -1: dropped, as are ids past the last and those that stand twice.
static __device__ int32_t pick(const order_layer &l, int64_t p)
{
    const int32_t e = l.picks[p];
    bool allowed = e >= -1 && e < l.E;
    for (int64_t q = p / l.K * l.K; q < p && e >= 0; q++)
        allowed = allowed && l.picks[q] != e;
    return allowed ? e : -1;
}

static __device__ int64_t first_index()
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ int64_t index_step()
{
    return (int64_t)gridDim.x * blockDim.x;
}

static __device__ float act(float z)
{
    return z > 0 ? z * z : z == z ? 0 : z;
}

static __device__ float slope(float z)
{
    return z > 0 ? 2 * z : z == z ? 0 : z;
}

// row_of[p]: entries of smaller experts, and of the same expert before p.
extern "C" __global__ void order_rows(order_layer l, int wait)
{
    enter(wait);
    const int64_t P = l.T * l.K;
    for (int64_t p = first_index(); p < P; p += index_step()) {
        const int32_t e = pick(l, p);
        int64_t row = 0;
        if (e != l.picks[p] && l.status)
            atomicOr(l.status, 1u);
        for (int64_t q = 0; q < P; q++)
            row += pick(l, q) >= 0 && (pick(l, q) < e || (pick(l, q) == e && q < p));
        l.row_of[p] = e < 0 ? -1 : row;
    }
}

extern "C" __global__ void order_z(order_layer l)
{
    enter(1);
    for (int64_t i = first_index(); i < l.T * l.K * l.I; i += index_step()) {
        const int64_t p = i / l.I, unit = i % l.I, t = p / l.K, e = pick(l, p);
        float sum = 0;
        if (e < 0)
            continue;
        for (int64_t h = 0; h < l.H; h++)
            sum += get(l, l.x, t * l.H + h) * get(l, l.w1, (e * l.I + unit) * l.H + h);
        put(l, l.z, l.row_of[p] * l.I + unit, sum);
    }
}

// z of the entries of expert e, from what a product gave for all of them: sums [T*K,I].
extern "C" __global__ void order_keep(order_layer l, const float *sums, int64_t e)
{
    enter(1);
    for (int64_t i = first_index(); i < l.T * l.K * l.I; i += index_step())
        if (pick(l, i / l.I) == e)
            put(l, l.z, l.row_of[i / l.I] * l.I + i % l.I, sums[i]);
}

extern "C" __global__ void order_o(order_layer l)
{
    enter(1);
    for (int64_t i = first_index(); i < l.T * l.H; i += index_step()) {
        const int64_t t = i / l.H, h = i % l.H;
        float sum = 0;
        for (int64_t p = t * l.K; p < (t + 1) * l.K; p++) {
            const int64_t e = pick(l, p);
            float y = 0;
            for (int64_t u = 0; e >= 0 && u < l.I; u++)
                y +=
                    act(get(l, l.z, l.row_of[p] * l.I + u)) * get(l, l.w2, (e * l.H + h) * l.I + u);
            sum += e >= 0 ? l.scores[p] * y : 0;
        }
        put(l, l.o, i, sum);
    }
}

// da = dO W2, dz = act'(z) s da.
extern "C" __global__ void order_dz(order_layer l)
{
    enter(1);
    for (int64_t i = first_index(); i < l.T * l.K * l.I; i += index_step()) {
        const int64_t p = i / l.I, unit = i % l.I, t = p / l.K, e = pick(l, p);
        float sum = 0;
        if (e < 0)
            continue;
        for (int64_t h = 0; h < l.H; h++)
            sum += get(l, l.d_o, t * l.H + h) * get(l, l.w2, (e * l.H + h) * l.I + unit);
        l.da[i] = sum;
        l.dz[i] = slope(get(l, l.z, l.row_of[p] * l.I + unit)) * (l.scores[p] * sum);
    }
}

extern "C" __global__ void order_dx(order_layer l)
{
    enter(1);
    for (int64_t i = first_index(); i < l.T * l.H; i += index_step()) {
        const int64_t t = i / l.H, h = i % l.H;
        float sum = 0;
        for (int64_t p = t * l.K; p < (t + 1) * l.K; p++)
            for (int64_t u = 0; pick(l, p) >= 0 && u < l.I; u++)
                sum += l.dz[p * l.I + u] * get(l, l.w1, (pick(l, p) * l.I + u) * l.H + h);
        put(l, l.dx, i, sum);
    }
    for (int64_t p = first_index(); p < l.T * l.K; p += index_step()) {
        float sum = 0;
        for (int64_t u = 0; pick(l, p) >= 0 && u < l.I; u++)
            sum += l.da[p * l.I + u] * act(get(l, l.z, l.row_of[p] * l.I + u));
        l.ds[p] = sum;
    }
}

// What entry p adds to dw1[e,u,h] and dw2[e,h,u].
static __device__ float to_dw1(const order_layer &l, int64_t p, int64_t u, int64_t h)
{
    return l.dz[p * l.I + u] * get(l, l.x, p / l.K * l.H + h);
}

static __device__ float to_dw2(const order_layer &l, int64_t p, int64_t u, int64_t h)
{
    return get(l, l.d_o, p / l.K * l.H + h) *
           (l.scores[p] * act(get(l, l.z, l.row_of[p] * l.I + u)));
}

extern "C" __global__ void order_dw(order_layer l)
{
    enter(1);
    for (int64_t i = first_index(); i < l.E * l.I * l.H; i += index_step()) {
        const int64_t e = i / (l.I * l.H), u = i / l.H % l.I, h = i % l.H;
        float one = 0, two = 0;
        for (int64_t p = 0; p < l.T * l.K; p++)
            if (pick(l, p) == e) {
                one += to_dw1(l, p, u, h);
                two += to_dw2(l, p, u, h);
            }
        put(l, l.dw1, (e * l.I + u) * l.H + h, one);
        put(l, l.dw2, (e * l.H + h) * l.I + u, two);
    }
}

// The same on zeros (f32), an entry a block, by atomic additions in the order of arrival.
extern "C" __global__ void order_dw_atomic(order_layer l)
{
    enter(1);
    for (int64_t p = blockIdx.x; p < l.T * l.K; p += gridDim.x)
        for (int64_t i = threadIdx.x; pick(l, p) >= 0 && i < l.I * l.H; i += blockDim.x) {
            const int64_t e = pick(l, p), u = i / l.H, h = i % l.H;
            atomicAdd((float *)l.dw1 + ((e * l.I + u) * l.H + h), to_dw1(l, p, u, h));
            atomicAdd((float *)l.dw2 + ((e * l.H + h) * l.I + u), to_dw2(l, p, u, h));
        }
}

// ---- what goes wrong ----------------------------------------------------------------------------

// Spoils o where the counter is not what is expected; counts.
extern "C" __global__ void order_count(float *o, uint32_t *counter, uint32_t expected)
{
    enter(1);
    if (*counter != expected)
        o[0] = 100;
    ++*counter;
}

// Every block waits until all have come: a barrier that needs them all resident. Each takes the
// shared memory of a whole multiprocessor.
extern "C" __global__ void order_all_come(uint32_t *arrived)
{
    enter(1);
    if (threadIdx.x == 0) {
        atomicAdd(arrived, 1u);
        while (*(volatile uint32_t *)arrived < gridDim.x)
            __nanosleep(1000);
    }
}

// Spoils o where dynamic shared memory, which nobody has written, holds a NaN.
extern "C" __global__ void order_unwritten_shared(float *o, uint32_t words)
{
    extern __shared__ float shared[];
    enter(1);
    for (uint32_t i = threadIdx.x; i < words; i += blockDim.x)
        if (((volatile float *)shared)[i] != ((volatile float *)shared)[i])
            o[0] = 100;
}

extern "C" __global__ void order_forever(volatile uint32_t *never)
{
    while (*never != 12345)
        __nanosleep(1000);
}

// Reads one word and does nothing with it.
extern "C" __global__ void order_read(const uint32_t *address)
{
    enter(1);
    (void)*(const volatile uint32_t *)address;
}

extern "C" __global__ void order_store(uint64_t address)
{
    *(volatile uint32_t *)address = 1;
}

// The same after a while.
extern "C" __global__ void order_store_late(uint64_t address)
{
    uint64_t begin, now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin));
    do
        asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    while (now - begin < 20000000);
    *(volatile uint32_t *)address = 1;
}
