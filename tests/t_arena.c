/*
 * t_arena.c - the memory of a trial: values go in and come out wherever they lie, buffers lie as
 * the placement says, and a byte that changes beside a buffer is found, and named.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/support.h"
#include "verify/arena_trap.h"
#include "verify/trial.h"

#define PAGE 4096
#define LINE "T=5 H=24 I=8 E=4 K=2 dtype=bf16 bias=1 router=lists routing=ragged beta=1"

static const struct moe_placement places[] = {
    {.fence = MOE_FENCE_NONE},
    {.shift = 2},
    {.padding = 3},
    {.padding = 5000},
    {.fence = MOE_FENCE_AFTER},
    {.fence = MOE_FENCE_BEFORE},
    {.fence = MOE_FENCE_AFTER, .padding = 7},
    {.distance = (1ll << 31) + 96},
};

static struct moe_problem problem;
static struct moe_tensors tensors;

static struct moe_arena arena_at(struct moe_placement where, int64_t workspace)
{
    struct moe_arena arena;
    struct moe_arena_plan plan = {.tensors = &tensors,
                                  .where = where,
                                  .workspace = workspace,
                                  .kept = 100,
                                  .page = PAGE,
                                  .fill = MOE_POISON};
    ck_assert_msg(moe_arena_map(&plan, &arena) == MOE_OK, "%s", moe_error_text());
    moe_arena_put(&arena, &tensors);
    return arena;
}

static void set_up(void)
{
    problem = problem_of(LINE);
    ck_assert_int_eq(moe_tensors_allocate(&problem, &tensors), MOE_OK);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        for (int64_t i = 0; tensors.tensor[id].data && i < moe_tensor_bytes(&tensors.tensor[id]);
             i++)
            ((uint8_t *)tensors.tensor[id].data)[i] = (uint8_t)(id * 31 + i * 7);
}

static void tear_down(void)
{
    moe_tensors_free(&tensors);
}

START_TEST(in_and_out)
{
    struct moe_arena arena = arena_at(places[_i], 1000);
    struct moe_tensors back;
    struct moe_stray stray;
    ck_assert_int_eq(moe_tensors_allocate(&problem, &back), MOE_OK);
    ck_assert_int_eq(moe_arena_strays(&arena, &stray, 1), 0);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (back.tensor[id].data)
            memset(back.tensor[id].data, 0x11, (size_t)moe_tensor_bytes(&back.tensor[id]));
    moe_arena_take(&arena, &back);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &tensors.tensor[id], *lies = &arena.region[id].tensor;
        ck_assert(!tensor->data == !lies->data);
        if (!tensor->data)
            continue;
        ck_assert_msg(
            memcmp(tensor->data, back.tensor[id].data, (size_t)moe_tensor_bytes(tensor)) == 0,
            "%d: %s", _i, moe_tensor_info(id)->name);
        /* an element is where the strides say */
        int64_t last = moe_tensor_count(tensor) - 1;
        int64_t size = moe_dtype_info(tensor->dtype)->bits / 8;
        ck_assert(memcmp((char *)tensor->data + last * size,
                         (char *)lies->data + moe_tensor_position(lies, last) * size,
                         (size_t)size) == 0);
        int64_t shift = (places[_i].shift + size - 1) / size * size;
        if (!arena.fenced)
            ck_assert_int_eq((uintptr_t)lies->data % MOE_MEMORY_ALIGNMENT, shift);
    }
    ck_assert_int_eq(
        (uintptr_t)arena.region[MOE_ARENA_WORKSPACE].tensor.data % MOE_MEMORY_ALIGNMENT, 0);
    moe_tensors_free(&back);
    moe_arena_unmap(&arena);
}
END_TEST

/* Every region, one byte before it, behind it and, where rows lie apart, between. */
START_TEST(every_stray_byte_is_found)
{
    struct moe_arena arena = arena_at(places[_i], 1000);
    for (int id = 0; id < MOE_ARENA_REGIONS; id++) {
        const struct moe_region *region = &arena.region[id];
        uint8_t *begin = region->tensor.data;
        if (!begin)
            continue;
        int64_t row_end = moe_rows_bytes(&region->tensor);
        const struct {
            int applies;
            enum moe_side side;
            uint8_t *at;
            int64_t offset;
        } strays[] = {
            {region->before > 0, MOE_SIDE_BEFORE, begin - 1, -1},
            {region->before >= 64, MOE_SIDE_BEFORE, begin - 64, -64},
            {region->after > 0, MOE_SIDE_AFTER, begin + region->span, 0},
            {region->after > 100, MOE_SIDE_AFTER, begin + region->span + 100, 100},
            {moe_rows_count(&region->tensor) > 1, MOE_SIDE_BETWEEN, begin + row_end, 0},
        };
        for (int i = 0; i < COUNT(strays); i++) {
            struct moe_stray stray;
            if (!strays[i].applies)
                continue;
            *strays[i].at ^= 1;
            ck_assert_msg(moe_arena_strays(&arena, &stray, 1) == 1, "%d: %s %d", _i, region->name,
                          i);
            ck_assert_str_eq(stray.buffer, region->name);
            ck_assert_int_eq(stray.side, strays[i].side);
            ck_assert_int_eq(stray.offset, strays[i].offset);
            ck_assert_int_eq(stray.bytes, 1);
            *strays[i].at ^= 1;
        }
        ck_assert(_i == 4 || _i == 5 || _i == 6 || _i == 7 || region->before >= MOE_ARENA_BAND);
    }
    moe_arena_unmap(&arena);
}
END_TEST

/* A read just past the end, or before the begin, of the region's flush side faults. */
static const struct {
    int place, region;
    int64_t beyond; /* bytes, from the end (place 4) or the begin */
} beyond[] = {
    {4, MOE_X, 0},  {4, MOE_PICKS, 0},     {4, MOE_OFFSETS, 0},     {4, MOE_DB2, 0},
    {5, MOE_X, -1}, {5, MOE_PICKS, -1},    {5, MOE_SCORES, -1},     {5, MOE_ARENA_KEPT, -1},
    {7, MOE_X, -1}, {7, MOE_X, 1ll << 31}, {7, MOE_DW1, 1ll << 31}, {4, MOE_ARENA_STATUS, 0},
};

START_TEST(a_fence_faults)
{
    struct moe_arena arena = arena_at(places[beyond[_i].place], 1024);
    const struct moe_region *region = &arena.region[beyond[_i].region];
    const char *at = (const char *)region->tensor.data + beyond[_i].beyond;
    if (beyond[_i].place == 4)
        at += region->span;
    (void)*(const volatile char *)at;
}
END_TEST

START_TEST(workspace_of_whole_blocks_ends_at_the_fence)
{
    struct moe_arena arena = arena_at(places[4], 1024);
    (void)((const volatile char *)arena.region[MOE_ARENA_WORKSPACE].tensor.data)[1024];
}
END_TEST

/* What the variant only reads cannot be written where there are fences. */
START_TEST(inputs_are_read_only)
{
    struct moe_arena arena = arena_at(places[4], 1024);
    static const int ids[] = {MOE_X, MOE_PICKS};
    ck_assert_int_eq(moe_arena_protect(&arena, &problem), MOE_OK);
    *(volatile char *)arena.region[MOE_O].tensor.data = 1;
    *(volatile char *)arena.region[MOE_DW1].tensor.data = 1;
    *(volatile char *)arena.region[ids[_i]].tensor.data = 1;
}
END_TEST

/* At fill 0xff the guard is a NaN in every type, wherever the element begins; at another it differs
 * from that everywhere. */
START_TEST(guards_are_nan)
{
    struct moe_arena arena = arena_at(places[0], 1000);
    const uint8_t *band = (uint8_t *)arena.region[MOE_O].tensor.data - MOE_ARENA_BAND;
    for (int dtype = MOE_BF16; dtype <= MOE_F64; dtype++)
        for (int64_t i = 0; i < MOE_ARENA_BAND / 8; i++) {
            double value = moe_dtype_load(dtype, band, i);
            ck_assert_msg(value != value, "type %d, element %lld", dtype, (long long)i);
        }
    moe_arena_unmap(&arena);
}
END_TEST

/* No byte stored again and again passes for a guard, nor does the guard itself, moved. */
START_TEST(guards_vary)
{
    struct moe_arena arena = arena_at(places[0], 1000);
    const uint8_t *band = (uint8_t *)arena.region[MOE_O].tensor.data - MOE_ARENA_BAND;
    for (int64_t step = 1; step <= 512; step *= 2) {
        int64_t same = 0;
        for (int64_t i = 0; i + step < MOE_ARENA_BAND; i++)
            same += band[i] == band[i + step];
        ck_assert_msg(same < MOE_ARENA_BAND / 2, "%lld of the bytes %lld apart are the same",
                      (long long)same, (long long)step);
    }
    moe_arena_unmap(&arena);
}
END_TEST

START_TEST(a_fault_reads_well)
{
    static const struct {
        int place, region, from_end;
        int64_t offset;
        const char *words;
    } told[] = {
        {4, MOE_X, 1, 0, "0 bytes behind the end of x"},
        {4, MOE_OFFSETS, 1, 130, "130 bytes behind the end of offsets"},
        {5, MOE_PICKS, 0, -4, "4 bytes before picks"},
        {4, MOE_X, 0, 3, "a write to x"},
        {7, MOE_X, 0, 1ll << 31, "between the rows of x"},
        {4, MOE_ARENA_WORKSPACE, 1, 24, "24 bytes behind the end of workspace"},
    };
    for (int i = 0; i < COUNT(told); i++) {
        struct moe_arena arena = arena_at(places[told[i].place], 1000);
        const struct moe_region *region = &arena.region[told[i].region];
        const char *at = (const char *)region->tensor.data + told[i].offset;
        char text[96];
        moe_trap_tell(&arena, at + (told[i].from_end ? region->span : 0), text, sizeof text);
        ck_assert_str_eq(text, told[i].words);
        moe_trap_tell(&arena, text, text, sizeof text);
        ck_assert_str_eq(text, "");
        moe_trap_tell(&arena, &arena, text, 4);
        ck_assert_str_eq(text, "");
        moe_trap_tell(&arena, at, text, 4);
        ck_assert_uint_lt(strlen(text), 4);
        moe_arena_unmap(&arena);
    }
}
END_TEST

START_TEST(a_stray_reads_well)
{
    static const struct {
        struct moe_stray stray;
        const char *words;
    } told[] = {
        {{"o", MOE_SIDE_AFTER, 2, 48, -1}, "48 bytes written after o, the first 2 behind its end"},
        {{"workspace", MOE_SIDE_BEFORE, -4, 1, -1},
         "1 byte written before workspace, the first 4 before its begin"},
        {{"dx", MOE_SIDE_BETWEEN, 0, 2, 3},
         "2 bytes written between rows 3 and 4 of dx, the first 0 behind the row's end"},
    };
    for (int i = 0; i < COUNT(told); i++) {
        char text[160];
        moe_stray_tell(&told[i].stray, text, sizeof text);
        ck_assert_str_eq(text, told[i].words);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arena");
    TCase *whole = tcase_create("whole");
    tcase_add_checked_fixture(whole, set_up, tear_down);
    tcase_add_loop_test(whole, in_and_out, 0, COUNT(places));
    tcase_add_loop_test(whole, every_stray_byte_is_found, 0, COUNT(places));
    tcase_add_loop_test_raise_signal(whole, a_fence_faults, SIGSEGV, 0, COUNT(beyond));
    tcase_add_test_raise_signal(whole, workspace_of_whole_blocks_ends_at_the_fence, SIGSEGV);
    tcase_add_loop_test_raise_signal(whole, inputs_are_read_only, SIGSEGV, 0, 2);
    tcase_add_test(whole, guards_are_nan);
    tcase_add_test(whole, guards_vary);
    tcase_add_test(whole, a_stray_reads_well);
    tcase_add_test(whole, a_fault_reads_well);
    suite_add_tcase(suite, whole);
    return run_suite(suite);
}
