// rows.cu - routing metadata in its plain form: entries (token, slot) into rows by expert, then
// token.
//
// One block an expert scans all entries in order, so that rows come out sorted and every run gives
// the same ones. Positions are int64 throughout.
#include "gpu/kernels/number.cuh"

// Ids that a token may not have (out of range, or twice) become -1, dropped, and set bit 0 of the
// status word. Entries of token t: offsets[t] .. offsets[t+1], or t*K .. where offsets is NULL.
extern "C" __global__ void clean_entries(int64_t T, int64_t E, int64_t K, const int64_t *offsets,
                                         const int32_t *picks, int32_t *clean, uint32_t *status)
{
    for (int64_t t = first_index(); t < T; t += index_step()) {
        int64_t begin = offsets ? offsets[t] : t * K, end = offsets ? offsets[t + 1] : (t + 1) * K;
        for (int64_t p = begin; p < end; p++) {
            int32_t e = picks[p];
            bool wrong = e < -1 || e >= E;
            for (int64_t q = begin; q < p && !wrong && e >= 0; q++)
                wrong = picks[q] == e;
            if (wrong && status)
                atomicOr(status, 1u);
            clean[p] = wrong ? -1 : e;
        }
    }
}

// Which of the block's threads before this one hold a flag, and how many there are.
static __device__ int64_t count_before(bool flag, int32_t *room, int64_t *total)
{
    room[threadIdx.x] = flag;
    __syncthreads();
    for (unsigned step = 1; step < blockDim.x; step *= 2) {
        int32_t more = threadIdx.x >= step ? room[threadIdx.x - step] : 0;
        if (!planted(FAULT_PLACE_NO_BARRIER))
            __syncthreads();
        room[threadIdx.x] += more;
        __syncthreads();
    }
    *total = room[blockDim.x - 1];
    int64_t before = room[threadIdx.x] - flag;
    __syncthreads();
    return before;
}

// counts[e]: rows of expert e. One block an expert, 256 threads.
extern "C" __global__ void __launch_bounds__(256)
    count_rows(int64_t P, const int32_t *picks, int64_t *counts)
{
    __shared__ int64_t room[256];
    int64_t mine = 0;
    for (int64_t p = threadIdx.x; p < P; p += blockDim.x)
        mine += picks[p] == (int32_t)blockIdx.x;
    if (planted(FAULT_EXPERTS_BEYOND_255) && blockIdx.x > 255)
        mine = 0;
    int64_t sum = block_sum(mine, room);
    if (threadIdx.x == 0)
        counts[blockIdx.x] = sum;
}

// begin[0] = 0, begin[i+1] = begin[i] + counts[i]. One block of 256 threads.
extern "C" __global__ void __launch_bounds__(256)
    scan_counts(int64_t n, const int64_t *counts, int64_t *begin)
{
    __shared__ int64_t room[256];
    int64_t carry = 0;
    for (int64_t base = 0; base < n; base += blockDim.x) {
        int64_t i = base + threadIdx.x;
        room[threadIdx.x] = i < n ? counts[i] : 0;
        __syncthreads();
        for (unsigned step = 1; step < blockDim.x; step *= 2) {
            int64_t more = threadIdx.x >= step ? room[threadIdx.x - step] : 0;
            if (!planted(FAULT_SCAN_NO_BARRIER))
                __syncthreads();
            room[threadIdx.x] += more;
            __syncthreads();
        }
        if (i < n)
            begin[i + 1] = carry + room[threadIdx.x];
        carry += planted(FAULT_SCAN_BEYOND_BLOCK) ? 0 : room[blockDim.x - 1];
        __syncthreads();
    }
    if (threadIdx.x == 0)
        begin[0] = 0;
}

// token_of[p]: the token of every entry.
extern "C" __global__ void entry_tokens(int64_t T, int64_t K, const int64_t *offsets,
                                        int64_t *token_of)
{
    for (int64_t t = first_index(); t < T; t += index_step()) {
        int64_t begin = offsets ? offsets[t] : t * K, end = offsets ? offsets[t + 1] : (t + 1) * K;
        for (int64_t p = begin; p < end; p++)
            token_of[p] = t;
    }
}

// Rows of expert blockIdx.x in order of entries. row_* [N]; entry_row [P], -1 where dropped (fill
// it with -1 before).
extern "C" __global__ void __launch_bounds__(256)
    place_rows(int64_t P, const int32_t *picks, const int64_t *expert_begin,
               const int64_t *token_of, int64_t *row_token, int64_t *row_entry, int64_t *entry_row)
{
    __shared__ int32_t room[256];
    int64_t next = expert_begin[blockIdx.x];
    for (int64_t base = 0; base < P; base += blockDim.x) {
        int64_t p = base + threadIdx.x, total;
        bool mine = p < P && picks[p] == (int32_t)blockIdx.x;
        int64_t row = next + count_before(mine, room, &total);
        if (mine) {
            row_token[row] = token_of[p];
            row_entry[row] = p;
            entry_row[p] = row;
        }
        next += planted(FAULT_PLACE_BEYOND_BLOCK) ? 0 : total;
    }
}

// row_score[r] = scores[row_entry[r]] as double.
extern "C" __global__ void row_scores(int64_t N, const int64_t *row_entry, int dtype,
                                      const void *scores, double *row_score)
{
    for (int64_t r = first_index(); r < N; r += index_step())
        row_score[r] = load<double>(dtype, scores, row_entry[r]);
}

// ds[row_entry[r]] = row_ds[r]; entries without a row keep what they hold.
extern "C" __global__ void scatter_row_ds(int64_t N, const int64_t *row_entry, const double *row_ds,
                                          int dtype, void *ds)
{
    for (int64_t r = first_index(); r < N; r += index_step())
        store<double>(dtype, ds, row_entry[r], row_ds[r]);
}
