/*
 * t_device.c - a device does what gpu/gpu.h says: memory, streams, events, launches, tensor maps,
 * and errors in words.
 *
 * It has kernels of its own (device_kernel.cu) in the place of the build's. It writes its own TAP,
 * for libcheck has no SKIP: without a GPU what needs one is skipped with the reason, and fails as a
 * whole where MOE_REQUIRE_GPU is set. `t_device walk` does every step once and names the first that
 * fails, for device.sh, which shows it a libcuda that fails in each.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/gpu.h"
#include "gpu/kernels.h"
#include "ref/moe.h"
#include "tests/device_walk.h"
#include "verify/variant.h"

enum outcome { BAD, GOOD, SKIPPED };

static const char *skip_reason;
static struct moe_device *device; /* NULL: there is none */

static enum outcome skip(const char *reason)
{
    skip_reason = reason;
    return SKIPPED;
}

/* Says on stderr what did not hold. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: not so: %s (%s)\n", __LINE__, #condition, moe_error_text()); \
            return BAD;                                                                            \
        }                                                                                          \
    } while (0)

static int64_t attribute(enum moe_device_attribute which)
{
    int64_t value = -1;
    return moe_device_attribute(device, which, &value) == MOE_OK ? value : -1;
}

static int text_has(const char *words)
{
    return strstr(moe_error_text(), words) != NULL;
}

/* ---- without a device ------------------------------------------------------------------------ */

static enum outcome table_is_whole(void)
{
    if (!kernel_row_count)
        return skip("built without CUDA");
    for (int i = 0; i < kernel_row_count; i++) {
        const struct moe_kernel *kernel = moe_kernel_get(i);
        CHECK(kernel && kernel->entry[0] && kernel->arch[0]);
        CHECK(kernel->registers > 0 && kernel->registers <= 255 && kernel->shared_bytes >= 0);
        CHECK(i == 0 || strcmp(kernel_rows[i - 1].kernel.entry, kernel->entry) <= 0);
        CHECK(!strcmp(kernel->source, "device_kernel.cu"));
    }
    CHECK(!moe_kernel_get(-1) && !moe_kernel_get(kernel_row_count));
    return GOOD;
}

static enum outcome launch_bounds_are_read(void)
{
    if (!kernel_row_count)
        return skip("built without CUDA");
    int bounded = 0, free_ones = 0;
    for (int i = 0; i < kernel_row_count; i++) {
        const struct moe_kernel *kernel = moe_kernel_get(i);
        if (!strcmp(kernel->entry, "add_numbers"))
            bounded += kernel->max_threads == 128;
        if (!strcmp(kernel->entry, "reverse_shared"))
            free_ones += kernel->max_threads == 0 && kernel->shared_bytes == 0;
    }
    CHECK(bounded == kernel_code_count && free_ones == kernel_code_count);
    return GOOD;
}

static enum outcome code_unpacks(void)
{
    if (!kernel_row_count)
        return skip("built without CUDA");
    for (int i = 0; i < kernel_code_count; i++) {
        const struct kernel_code *code = &kernel_codes[i];
        void *ptx = NULL, *cubin = NULL;
        char target[64];
        snprintf(target, sizeof target, ".target sm_%s", code->arch);
        CHECK(kernel_unpack(&code->ptx, &ptx) == MOE_OK);
        CHECK(strstr(ptx, target) && strstr(ptx, ".entry add_numbers("));
        CHECK(kernel_unpack(&code->cubin, &cubin) == MOE_OK);
        CHECK(!memcmp(cubin, "\177ELF", 4));
        free(ptx);
        free(cubin);
    }
    struct kernel_blob broken = kernel_codes[0].cubin;
    void *none = NULL;
    broken.bytes--;
    CHECK(kernel_unpack(&broken, &none) == MOE_E_INTERNAL && !none);
    return GOOD;
}

static enum outcome kernels_are_found(void)
{
    int row = -1;
    CHECK(kernel_find("no_such_kernel", 9, 0, &row) == MOE_E_UNSUPPORTED && row == -1);
    CHECK(text_has("no kernel 'no_such_kernel'"));
    if (!kernel_row_count)
        return skip("built without CUDA");
    CHECK(kernel_find("add_numbers", 1, 1, &row) == MOE_E_UNSUPPORTED && row == -1);
    CHECK(text_has("no code for sm_11 of kernel 'add_numbers'"));
    const int number = atoi(kernel_codes[0].arch);
    CHECK(kernel_find("add_numbers", number / 10, number % 10, &row) == MOE_OK);
    CHECK(!strcmp(kernel_rows[row].kernel.entry, "add_numbers"));
    CHECK(moe_gpu_arch_runs(kernel_rows[row].kernel.arch, number / 10, number % 10));
    return GOOD;
}

static enum outcome absence_has_reasons(void)
{
    struct moe_device *none = NULL;
    struct moe_gpu_status gpu;
    moe_gpu_probe(&gpu);
    CHECK(moe_device_open(MOE_ON_CPU, 0, &none) == MOE_E_UNSUPPORTED && !none);
    CHECK(moe_device_open(MOE_ON_CUDA, MOE_GPU_MAX, &none) == MOE_E_UNSUPPORTED && !none);
    CHECK(moe_device_open(MOE_ON_CUDA, -1, &none) == MOE_E_UNSUPPORTED && !none);
    if (gpu.state != MOE_GPU_READY) {
        CHECK(moe_device_open(MOE_ON_CUDA, 0, &none) == MOE_E_UNSUPPORTED && !none);
        CHECK(text_has(gpu.reason));
    }
    moe_device_close(NULL);
    return GOOD;
}

/* ---- the device itself ----------------------------------------------------------------------- */

static enum outcome opens_again(void)
{
    struct moe_device *other = NULL, *third = NULL;
    char bytes[100], back[100];
    void *memory = NULL;
    CHECK(moe_device_open(MOE_ON_CUDA, 0, &other) == MOE_OK);
    CHECK(moe_device_open(MOE_ON_CUDA, 0, &third) == MOE_OK);
    CHECK(!strcmp(moe_device_name(other), moe_device_name(device)));
    memset(bytes, 7, sizeof bytes);
    CHECK(moe_device_allocate(other, sizeof bytes, &memory) == MOE_OK);
    moe_device_close(third);
    /* Closing one must not take the context from the other two. */
    CHECK(moe_device_copy_to(other, memory, bytes, sizeof bytes, NULL) == MOE_OK);
    CHECK(moe_device_copy_from(device, back, memory, sizeof back, NULL) == MOE_OK);
    CHECK(!memcmp(bytes, back, sizeof bytes));
    moe_device_free(other, memory);
    moe_device_close(other);
    CHECK(attribute(MOE_DEVICE_FREE_BYTES) > 0);
    return GOOD;
}

static enum outcome attributes_make_sense(void)
{
    CHECK(moe_device_name(device)[0]);
    CHECK(attribute(MOE_DEVICE_MULTIPROCESSORS) > 0);
    CHECK(attribute(MOE_DEVICE_L2_BYTES) > 1 << 20);
    CHECK(attribute(MOE_DEVICE_CAPABILITY) >= 75);
    CHECK(attribute(MOE_DEVICE_SHARED_BYTES) >= 48 << 10);
    CHECK(attribute(MOE_DEVICE_FREE_BYTES) > 0);
    CHECK(attribute(MOE_DEVICE_TOTAL_BYTES) >= attribute(MOE_DEVICE_FREE_BYTES));
    int64_t value = 5;
    CHECK(moe_device_attribute(device, (enum moe_device_attribute)99, &value) == MOE_E_INTERNAL);
    CHECK(value == 5);
    return GOOD;
}

/* Every byte has its place: copied in, on the device, filled in the middle, copied out. */
static enum outcome copies_are_exact(void)
{
    static const int64_t sizes[] = {1, 3, 4096, 1000003};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t size = sizes[i], hole = size / 3;
        unsigned char *host = malloc((size_t)size), *back = malloc((size_t)size);
        void *a = NULL, *b = NULL;
        CHECK(host && back);
        for (int64_t j = 0; j < size; j++)
            host[j] = (unsigned char)(j * 7 + j / 251);
        CHECK(moe_device_allocate(device, size, &a) == MOE_OK);
        CHECK(moe_device_allocate(device, size, &b) == MOE_OK);
        CHECK(moe_device_copy_to(device, a, host, size, NULL) == MOE_OK);
        CHECK(moe_device_copy(device, b, a, size, NULL) == MOE_OK);
        CHECK(moe_device_fill(device, (char *)b + hole, 0xa5, hole, NULL) == MOE_OK);
        CHECK(moe_device_copy_from(device, back, b, size, NULL) == MOE_OK);
        memset(host + hole, 0xa5, (size_t)hole);
        CHECK(!memcmp(host, back, (size_t)size));
        moe_device_free(device, a);
        moe_device_free(device, b);
        free(host);
        free(back);
    }
    return GOOD;
}

static enum outcome nothing_is_allowed(void)
{
    void *memory = &memory;
    CHECK(moe_device_allocate(device, 0, &memory) == MOE_OK && !memory);
    CHECK(moe_device_copy_to(device, NULL, NULL, 0, NULL) == MOE_OK);
    CHECK(moe_device_copy_from(device, NULL, NULL, 0, NULL) == MOE_OK);
    CHECK(moe_device_copy(device, NULL, NULL, 0, NULL) == MOE_OK);
    CHECK(moe_device_fill(device, NULL, 0, 0, NULL) == MOE_OK);
    moe_device_free(device, NULL);
    CHECK(moe_device_allocate(device, -1, &memory) == MOE_E_INTERNAL);
    CHECK(moe_device_fill(device, NULL, 0, 1, NULL) == MOE_E_INTERNAL);
    CHECK(moe_device_copy_to(device, NULL, "a", 1, NULL) == MOE_E_INTERNAL);
    return GOOD;
}

/* Lengths and places that 32 bits do not hold. */
static enum outcome beyond_4_gib(void)
{
    const int64_t size = (INT64_C(4) << 30) + 4099;
    const int64_t places[] = {0, INT64_C(1) << 31, INT64_C(1) << 32, size - 1};
    unsigned char byte = 0;
    void *a = NULL, *b = NULL;
    if (attribute(MOE_DEVICE_FREE_BYTES) < 2 * size + (1 << 28))
        return skip("needs 9 GiB of free device memory");
    CHECK(moe_device_allocate(device, size, &a) == MOE_OK);
    CHECK(moe_device_allocate(device, size, &b) == MOE_OK);
    CHECK(moe_device_fill(device, b, 0, size, NULL) == MOE_OK);
    CHECK(moe_device_fill(device, a, 0x5a, size, NULL) == MOE_OK);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const unsigned char mark = (unsigned char)(i + 1);
        CHECK(moe_device_copy_to(device, (char *)a + places[i], &mark, 1, NULL) == MOE_OK);
    }
    CHECK(moe_device_copy(device, b, a, size, NULL) == MOE_OK);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        CHECK(moe_device_copy_from(device, &byte, (char *)b + places[i], 1, NULL) == MOE_OK);
        CHECK(byte == i + 1);
    }
    CHECK(moe_device_copy_from(device, &byte, (char *)b + size - 2, 1, NULL) == MOE_OK);
    CHECK(byte == 0x5a);
    moe_device_free(device, a);
    moe_device_free(device, b);
    return GOOD;
}

static enum outcome memory_runs_out(void)
{
    void *memory = NULL;
    CHECK(moe_device_allocate(device, 2 * attribute(MOE_DEVICE_TOTAL_BYTES), &memory) ==
          MOE_E_NOMEM);
    CHECK(!memory && text_has("CUDA_ERROR_OUT_OF_MEMORY"));
    CHECK(moe_device_allocate(device, 1000, &memory) == MOE_OK && memory);
    moe_device_free(device, memory);
    return GOOD;
}

static enum outcome streams_are_in_order(void)
{
    enum { STEPS = 20 };
    const int64_t size = 8 << 20;
    void *stream = NULL, *memory = NULL, *copies = NULL, *begin = NULL, *end = NULL;
    unsigned char seen[STEPS];
    double ms = -1, none = -1;
    CHECK(moe_device_stream_create(device, &stream) == MOE_OK && stream);
    CHECK(moe_device_event_create(device, &begin) == MOE_OK);
    CHECK(moe_device_event_create(device, &end) == MOE_OK);
    CHECK(moe_device_allocate(device, size, &memory) == MOE_OK);
    CHECK(moe_device_allocate(device, STEPS, &copies) == MOE_OK);
    CHECK(moe_device_event_record(device, begin, stream) == MOE_OK);
    for (int i = 0; i < STEPS; i++) {
        CHECK(moe_device_fill(device, memory, i + 1, size, stream) == MOE_OK);
        CHECK(moe_device_copy(device, (char *)copies + i, (char *)memory + size - 1, 1, stream) ==
              MOE_OK);
    }
    CHECK(moe_device_event_record(device, end, stream) == MOE_OK);
    CHECK(moe_device_event_elapsed(device, begin, end, &ms) == MOE_OK);
    CHECK(moe_device_event_elapsed(device, begin, begin, &none) == MOE_OK);
    CHECK(ms > 0 && ms < 10000 && none == 0);
    CHECK(moe_device_copy_from(device, seen, copies, STEPS, stream) == MOE_OK);
    for (int i = 0; i < STEPS; i++)
        CHECK(seen[i] == i + 1);
    CHECK(moe_device_synchronize(device, stream) == MOE_OK);
    CHECK(moe_device_synchronize(device, NULL) == MOE_OK);
    moe_device_free(device, memory);
    moe_device_free(device, copies);
    moe_device_event_destroy(device, begin);
    moe_device_event_destroy(device, end);
    moe_device_stream_destroy(device, stream);
    return GOOD;
}

/* ---- launches -------------------------------------------------------------------------------- */

static enum outcome arguments_arrive(void)
{
    enum { COUNT = 1000 };
    int64_t count = COUNT;
    int32_t host[COUNT], add = -1000000;
    signed char more = -3;
    void *in = NULL, *out = NULL, *stream = NULL;
    for (int i = 0; i < COUNT; i++)
        host[i] = i * i;
    CHECK(moe_device_stream_create(device, &stream) == MOE_OK);
    CHECK(moe_device_allocate(device, sizeof host, &in) == MOE_OK);
    CHECK(moe_device_allocate(device, sizeof host, &out) == MOE_OK);
    CHECK(moe_device_copy_to(device, in, host, sizeof host, stream) == MOE_OK);
    void *arguments[] = {&count, &in, &add, &out, &more};
    const struct moe_launch launch = {.kernel = "add_numbers",
                                      .grid = {3, 1, 1},
                                      .block = {128, 1, 1},
                                      .stream = stream,
                                      .args = arguments};
    CHECK(moe_device_launch(device, &launch) == MOE_OK);
    CHECK(moe_device_copy_from(device, host, out, sizeof host, stream) == MOE_OK);
    for (int i = 0; i < COUNT; i++)
        CHECK(host[i] == i * i - 1000003);
    moe_device_free(device, in);
    moe_device_free(device, out);
    moe_device_stream_destroy(device, stream);
    return GOOD;
}

/* From little to all of the shared memory that a block may have, and back. */
static enum outcome shared_memory_is_had(void)
{
    const int32_t most = (int32_t)(attribute(MOE_DEVICE_SHARED_BYTES) / 4);
    const int32_t counts[] = {1000, 12 * 1024, 12 * 1024 + 1, most, 20000 < most ? 20000 : most};
    int32_t *host = malloc((size_t)most * 4);
    void *values = NULL;
    CHECK(host && most > 0);
    CHECK(moe_device_allocate(device, most * 4, &values) == MOE_OK);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int32_t count = counts[i];
        for (int32_t j = 0; j < count; j++)
            host[j] = 3 * j + 1;
        void *arguments[] = {&values, &count};
        const struct moe_launch launch = {.kernel = "reverse_shared",
                                          .grid = {1, 1, 1},
                                          .block = {256, 1, 1},
                                          .shared_bytes = (uint32_t)count * 4,
                                          .args = arguments};
        CHECK(moe_device_copy_to(device, values, host, count * 4, NULL) == MOE_OK);
        CHECK(moe_device_launch(device, &launch) == MOE_OK);
        CHECK(moe_device_copy_from(device, host, values, count * 4, NULL) == MOE_OK);
        for (int32_t j = 0; j < count; j++)
            CHECK(host[j] == 3 * (count - 1 - j) + 1);
    }
    moe_device_free(device, values);
    free(host);
    return GOOD;
}

static enum outcome bad_launches_are_refused(void)
{
    int32_t count = 1;
    void *values = NULL, *arguments[] = {&values, &count, &count, &count, &count};
    const struct moe_launch good = {
        .kernel = "reverse_shared", .grid = {4, 1, 1}, .block = {32, 1, 1}, .args = arguments};
    struct moe_launch bad = good;

    bad.kernel = "no_such_kernel";
    CHECK(moe_device_launch(device, &bad) == MOE_E_UNSUPPORTED && text_has("no_such_kernel"));
    bad = good;
    bad.block[0] = 0;
    CHECK(moe_device_launch(device, &bad) == MOE_E_INTERNAL && text_has("block 0 x 1 x 1"));
    bad.block[0] = 1025;
    CHECK(moe_device_launch(device, &bad) == MOE_E_INTERNAL && text_has("block 1025 x 1 x 1"));
    bad.block[0] = 64, bad.block[1] = 32;
    CHECK(moe_device_launch(device, &bad) == MOE_E_INTERNAL && text_has("2048 threads"));
    bad.kernel = "add_numbers", bad.block[0] = 129, bad.block[1] = 1;
    CHECK(moe_device_launch(device, &bad) == MOE_E_INTERNAL && text_has("launch bounds allow 128"));
    bad = good;
    bad.grid[2] = 0;
    CHECK(moe_device_launch(device, &bad) == MOE_E_INTERNAL && text_has("grid 4 x 1 x 0"));
    bad = good;
    bad.shared_bytes = (uint32_t)attribute(MOE_DEVICE_SHARED_BYTES) + 1;
    CHECK(moe_device_launch(device, &bad) == MOE_E_INTERNAL && text_has("shared memory"));
    bad = good;
    bad.cluster[0] = 3, bad.cluster[1] = bad.cluster[2] = 1;
    CHECK(moe_device_launch(device, &bad) == MOE_E_INTERNAL && text_has("cluster 3 x 1 x 1"));
    bad.cluster[0] = 2, bad.cluster[1] = 0;
    CHECK(moe_device_launch(device, &bad) == MOE_E_INTERNAL && text_has("cluster 2 x 0 x 1"));
    CHECK(moe_device_synchronize(device, NULL) == MOE_OK);
    return GOOD;
}

/* Clusters of 1 to 16 blocks; 16 need to be allowed, and may still find no room. */
static enum outcome clusters_are_made(void)
{
    enum { BLOCKS = 32 };
    int32_t ranks[BLOCKS];
    void *there = NULL, *arguments[] = {&there};
    if (attribute(MOE_DEVICE_CAPABILITY) < 90)
        return skip("needs compute capability 9.0");
    CHECK(moe_device_allocate(device, sizeof ranks, &there) == MOE_OK);
    for (uint32_t size = 1; size <= 16; size *= 2) {
        const struct moe_launch launch = {.kernel = "cluster_ranks",
                                          .grid = {BLOCKS, 1, 1},
                                          .block = {32, 1, 1},
                                          .cluster = {size, 1, 1},
                                          .args = arguments};
        CHECK(moe_device_launch(device, &launch) == MOE_OK);
        CHECK(moe_device_copy_from(device, ranks, there, sizeof ranks, NULL) == MOE_OK);
        for (uint32_t i = 0; i < BLOCKS; i++)
            CHECK(ranks[i] == (int32_t)(100 * size + i % size));
    }
    moe_device_free(device, there);
    return GOOD;
}

static enum outcome dependent_launches_wait(void)
{
    enum { LAUNCHES = 100, BLOCKS = 264, THREADS = 256, COUNT = BLOCKS * THREADS };
    static int32_t host[COUNT];
    void *values = NULL, *stream = NULL, *arguments[] = {&values};
    if (attribute(MOE_DEVICE_CAPABILITY) < 90)
        return skip("needs compute capability 9.0");
    CHECK(moe_device_stream_create(device, &stream) == MOE_OK);
    CHECK(moe_device_allocate(device, sizeof host, &values) == MOE_OK);
    CHECK(moe_device_fill(device, values, 0, sizeof host, stream) == MOE_OK);
    for (int i = 0; i < LAUNCHES; i++) {
        const struct moe_launch launch = {.kernel = "add_one_after",
                                          .grid = {BLOCKS, 1, 1},
                                          .block = {THREADS, 1, 1},
                                          .dependent = i > 0,
                                          .stream = stream,
                                          .args = arguments};
        CHECK(moe_device_launch(device, &launch) == MOE_OK);
    }
    CHECK(moe_device_copy_from(device, host, values, sizeof host, stream) == MOE_OK);
    for (int i = 0; i < COUNT; i++)
        CHECK(host[i] == LAUNCHES);
    moe_device_free(device, values);
    moe_device_stream_destroy(device, stream);
    return GOOD;
}

/* ---- tensor maps ----------------------------------------------------------------------------- */

enum { MAP_ROWS = 100, MAP_COLS = 200, TILE_ROWS = 8, TILE_COLS = 64 };
enum { MAP_BF16 = 9 }; /* CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 */

/* A row-major [MAP_ROWS, MAP_COLS] tensor of bf16, taken in tiles. */
static struct moe_tensor_map_spec map_spec(void *base)
{
    return (struct moe_tensor_map_spec){.type = MAP_BF16,
                                        .rank = 2,
                                        .base = base,
                                        .size = {MAP_COLS, MAP_ROWS},
                                        .stride = {MAP_COLS * 2},
                                        .box = {TILE_COLS, TILE_ROWS},
                                        .step = {1, 1}};
}

static int tile_is_right(const uint16_t *tile, int row, int col)
{
    for (int i = 0; i < TILE_ROWS; i++)
        for (int j = 0; j < TILE_COLS; j++) {
            const int outside = row + i >= MAP_ROWS || col + j >= MAP_COLS;
            const int value = outside ? 0 : (row + i) * MAP_COLS + col + j + 1;
            if (tile[i * TILE_COLS + j] != value) {
                fprintf(stderr, "tile (%d, %d): (%d, %d) is %d, not %d\n", row, col, i, j,
                        tile[i * TILE_COLS + j], value);
                return 0;
            }
        }
    return 1;
}

static enum outcome tensor_maps_load(void)
{
    static uint16_t host[MAP_ROWS * MAP_COLS];
    uint16_t tile[TILE_ROWS * TILE_COLS];
    static const int32_t places[][2] = {{0, 0}, {17, 64}, {96, 136}, {92, 192}};
    struct moe_tensor_map map;
    void *base = NULL, *out = NULL;
    if (attribute(MOE_DEVICE_CAPABILITY) < 90)
        return skip("needs compute capability 9.0");
    for (int i = 0; i < MAP_ROWS * MAP_COLS; i++)
        host[i] = (uint16_t)(i + 1);
    CHECK(moe_device_allocate(device, sizeof host, &base) == MOE_OK);
    CHECK(moe_device_allocate(device, sizeof tile, &out) == MOE_OK);
    CHECK(moe_device_copy_to(device, base, host, sizeof host, NULL) == MOE_OK);
    const struct moe_tensor_map_spec spec = map_spec(base);
    CHECK(moe_device_tensor_map_encode(device, &spec, &map) == MOE_OK);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int32_t row = places[i][0], col = places[i][1];
        void *arguments[] = {&map, &row, &col, &out};
        const struct moe_launch launch = {
            .kernel = "load_tile", .grid = {1, 1, 1}, .block = {128, 1, 1}, .args = arguments};
        CHECK(moe_device_launch(device, &launch) == MOE_OK);
        CHECK(moe_device_copy_from(device, tile, out, sizeof tile, NULL) == MOE_OK);
        CHECK(tile_is_right(tile, row, col));
    }
    moe_device_free(device, base);
    moe_device_free(device, out);
    return GOOD;
}

static enum outcome bad_tensor_maps_are_refused(void)
{
    struct moe_tensor_map map, before;
    void *base = NULL;
    if (attribute(MOE_DEVICE_CAPABILITY) < 90)
        return skip("needs compute capability 9.0");
    memset(&map, 0x77, sizeof map);
    before = map;
    CHECK(moe_device_allocate(device, MAP_ROWS * MAP_COLS * 2, &base) == MOE_OK);
    struct moe_tensor_map_spec bad = map_spec((char *)base + 2);
    CHECK(moe_device_tensor_map_encode(device, &bad, &map) == MOE_E_INTERNAL);
    CHECK(text_has("encoding a tensor map") && text_has("CUDA error 1"));
    bad = map_spec(base);
    bad.box[0] = 512;
    CHECK(moe_device_tensor_map_encode(device, &bad, &map) == MOE_E_INTERNAL);
    bad = map_spec(base);
    bad.stride[0] = MAP_COLS * 2 + 2;
    CHECK(moe_device_tensor_map_encode(device, &bad, &map) == MOE_E_INTERNAL);
    bad = map_spec(base);
    bad.rank = 6;
    CHECK(moe_device_tensor_map_encode(device, &bad, &map) == MOE_E_INTERNAL);
    CHECK(!memcmp(&map, &before, sizeof map));
    moe_device_free(device, base);
    return GOOD;
}

/* ---------------------------------------------------------------------------------------------- */

static const struct {
    const char *what;
    enum outcome (*test)(void);
    int on_device;
} tests[] = {
    {"the table of kernels is whole and in order", table_is_whole, 0},
    {"launch bounds are read from the PTX", launch_bounds_are_read, 0},
    {"PTX and cubins unpack", code_unpacks, 0},
    {"kernels are found by name and capability", kernels_are_found, 0},
    {"what is not there has its reason", absence_has_reasons, 0},
    {"a device opens more than once", opens_again, 1},
    {"attributes make sense", attributes_make_sense, 1},
    {"copies and fills are exact", copies_are_exact, 1},
    {"nothing may be copied, and less than nothing not", nothing_is_allowed, 1},
    {"memory beyond 4 GiB", beyond_4_gib, 1},
    {"memory runs out in words", memory_runs_out, 1},
    {"a stream is in order, and timed", streams_are_in_order, 1},
    {"arguments arrive", arguments_arrive, 1},
    {"dynamic shared memory up to all that there is", shared_memory_is_had, 1},
    {"bad launches are refused in words", bad_launches_are_refused, 1},
    {"clusters", clusters_are_made, 1},
    {"launches that begin early wait where they say so", dependent_launches_wait, 1},
    {"tensor maps load what they describe", tensor_maps_load, 1},
    {"bad tensor maps are refused", bad_tensor_maps_are_refused, 1},
};

int main(int argc, char **argv)
{
    const int count = (int)(sizeof tests / sizeof *tests);
    char why[512] = "";
    int failures = 0;
    if (argc == 2 && !strcmp(argv[1], "walk"))
        return device_walk();

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (moe_device_open(MOE_ON_CUDA, 0, &device)) {
        snprintf(why, sizeof why, "%s", moe_error_text());
        if (getenv("MOE_REQUIRE_GPU")) {
            printf("Bail out! MOE_REQUIRE_GPU is set, but %s\n", why);
            return 99;
        }
    }
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        const enum outcome outcome = tests[i].on_device && !device ? skip(why) : tests[i].test();
        failures += outcome == BAD;
        printf("%s %d - %s%s%s\n", outcome == BAD ? "not ok" : "ok", i + 1, tests[i].what,
               outcome == SKIPPED ? " # SKIP " : "", outcome == SKIPPED ? skip_reason : "");
    }
    moe_device_close(device);
    return failures != 0;
}
