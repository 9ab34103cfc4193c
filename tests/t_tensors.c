/*
 * t_tensors.c - the tensors of a case: all there, drawn, saved and loaded back bit for bit; files
 * of other programs with other types, other shapes and lists of their own, right and wrong.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verify/safetensors.h"
#include "verify/verify.h"

/* AddressSanitizer would end the program where malloc answers NULL. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static char path[64];

static void make_file(void)
{
    snprintf(path, sizeof path, "tensors-XXXXXX");
    const int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
}

static struct moe_problem parsed(const char *line)
{
    struct moe_problem problem;
    ck_assert_msg(moe_problem_parse(line, &problem) == MOE_OK, "'%s': %s", line, moe_error_text());
    return problem;
}

static struct moe_tensors allocated(const struct moe_problem *problem)
{
    struct moe_tensors tensors;
    ck_assert_msg(moe_tensors_allocate(problem, &tensors) == MOE_OK, "%s", moe_error_text());
    return tensors;
}

static void fill(const struct moe_tensor *tensor, unsigned seed)
{
    unsigned char *bytes = tensor->data;
    for (int64_t i = 0; i < moe_tensor_bytes(tensor); i++)
        bytes[i] = (unsigned char)(seed = seed * 1103515245u + 12345u) >> 3;
}

static int is_input(const struct moe_problem *problem, int id)
{
    const enum moe_role role = moe_tensor_info((enum moe_tensor_id)id)->role;
    return role == MOE_INPUT || (role == MOE_ROUTING && problem->router == MOE_LISTS);
}

static void write_items(const struct moe_safetensors_item *items, int count)
{
    ck_assert_msg(moe_safetensors_write(path, items, count, NULL) == MOE_OK, "%s",
                  moe_error_text());
}

static void expect_refused(int status, const char *text)
{
    ck_assert_msg(status == MOE_E_USAGE, "status %d, wanted: %s", status, text);
    ck_assert_msg(strncmp(moe_error_text(), path, strlen(path)) == 0, "%s", moe_error_text());
    ck_assert_msg(strstr(moe_error_text(), text) != NULL, "'%s' is not in: %s", text,
                  moe_error_text());
}

/* ---- memory and draws -------------------------------------------------------------------- */

static const char *const lines[] = {
    "T=5 H=6 I=4 E=3 K=2",
    "T=0",
    ("T=5 H=6 I=4 E=3 K=2 dtype=f64 router=sigmoid sel-bias=1 router-bias=1 bias=1 shared=3 "
     "shared-gate=1 beta=1"),
    "T=9 H=6 I=4 E=5 K=3 dtype=f32 router=lists routing=dropped:0.5",
    "T=9 H=6 I=4 E=5 K=3 dtype=f16 grad=f32 router=lists routing=ragged beta=1",
    "T=9 H=6 I=4 E=5 K=3 act=relu router=softmax-topk round=up round-to=4",
    "T=0 router=lists routing=ragged",
};
enum { LINES = sizeof lines / sizeof *lines };

START_TEST(allocates_what_exists)
{
    const struct moe_problem problem = parsed(lines[_i]);
    struct moe_tensors tensors = allocated(&problem);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &tensors.tensor[id];
        ck_assert_msg((tensor->data != NULL) == moe_tensor_exists(&problem, id), "%d: %s", _i,
                      moe_tensor_info(id)->name);
        ck_assert_uint_eq((uintptr_t)tensor->data % 64, 0);
        if (tensor->data != NULL)
            fill(tensor, 1); /* the sanitizer sees a write outside */
    }
    moe_tensors_free(&tensors);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        ck_assert_ptr_null(tensors.tensor[id].data);
}
END_TEST

START_TEST(says_what_memory_it_lacked)
{
    const struct moe_problem problem = parsed("T=1 H=2097152 I=1048576 E=524288 K=1 router=lists");
    struct moe_tensors tensors, before;
    memset(&tensors, 0x5a, sizeof tensors);
    before = tensors;
    ck_assert_int_eq(moe_tensors_allocate(&problem, &tensors), MOE_E_NOMEM);
    ck_assert_str_eq(moe_error_text(), "no memory for w1: 4611686018427387904 bytes");
    ck_assert_mem_eq(&tensors, &before, sizeof tensors);
}
END_TEST

START_TEST(draws_inputs_only)
{
    const struct moe_problem problem = parsed(lines[_i]);
    struct moe_tensors tensors = allocated(&problem), drawn = allocated(&problem);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        if (tensors.tensor[id].data != NULL) {
            fill(&tensors.tensor[id], 7);
            fill(&drawn.tensor[id], 7);
        }
    }
    ck_assert_msg(moe_tensors_draw(&problem, &tensors) == MOE_OK, "%s", moe_error_text());
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *one = &tensors.tensor[id], *two = &drawn.tensor[id];
        const int added = moe_tensor_info(id)->role == MOE_PARAMETER_GRADIENT && problem.beta;
        if (one->data == NULL)
            continue;
        if (is_input(&problem, id) || added)
            ck_assert_int_eq(moe_draw_tensor(&problem, id, two), MOE_OK);
        ck_assert_msg(memcmp(one->data, two->data, (size_t)moe_tensor_bytes(one)) == 0, "%d: %s",
                      _i, moe_tensor_info(id)->name);
    }
    moe_tensors_free(&tensors);
    moe_tensors_free(&drawn);
}
END_TEST

/* ---- round trips ------------------------------------------------------------------------- */

/* Bytes of a tensor that the routing uses, as the case's lists say. */
static int64_t used_bytes(const struct moe_problem *problem, const struct moe_tensors *tensors,
                          int id, int64_t P, int64_t N)
{
    const struct moe_tensor *tensor = &tensors->tensor[id];
    const int64_t whole = moe_tensor_bytes(tensor), rows = tensor->shape[0];
    if (id == MOE_Z)
        return rows > 0 ? whole / rows * N : 0;
    if (moe_problem_ragged(problem) && (id == MOE_PICKS || id == MOE_SCORES || id == MOE_DS))
        return rows > 0 ? whole / rows * P : 0;
    return whole;
}

/* A routing for the outputs: token t picks experts t, t+1, ... but never more than room. */
static void route(const struct moe_problem *problem, const struct moe_tensors *tensors, int64_t *P,
                  int64_t *N)
{
    int32_t *picks = tensors->tensor[MOE_PICKS].data;
    int64_t *offsets = tensors->tensor[MOE_OFFSETS].data;
    const int64_t room = moe_tensor_count(&tensors->tensor[MOE_PICKS]);
    if (!is_input(problem, MOE_PICKS)) {
        for (int64_t i = 0; i < room; i++)
            picks[i] = (int32_t)((i / problem->K + i % problem->K) % problem->E);
        for (int64_t t = 0; offsets != NULL && t <= problem->T; t++)
            offsets[t] = t * problem->K;
    }
    *P = offsets != NULL ? offsets[problem->T] : room;
    *N = 0;
    for (int64_t i = 0; i < *P; i++)
        *N += picks[i] >= 0;
}

START_TEST(loads_what_it_saved)
{
    const struct moe_problem problem = parsed(lines[_i]);
    struct moe_tensors saved = allocated(&problem), loaded = allocated(&problem);
    struct moe_safetensors *file;
    char line[512];
    int64_t P, N;
    make_file();
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (saved.tensor[id].data != NULL)
            fill(&saved.tensor[id], (unsigned)id);
    ck_assert_int_eq(moe_tensors_draw(&problem, &saved), MOE_OK);
    route(&problem, &saved, &P, &N);
    ck_assert_msg(moe_tensors_save(&problem, &saved, "mine", path) == MOE_OK, "%s",
                  moe_error_text());
    ck_assert_msg(moe_tensors_load(&problem, path, &loaded) == MOE_OK, "%s", moe_error_text());
    ck_assert_msg(moe_tensors_load_outputs(&problem, path, &loaded) == MOE_OK, "%s",
                  moe_error_text());
    ck_assert_int_eq(moe_safetensors_open(path, &file), MOE_OK);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const char *name = moe_tensor_info(id)->name;
        const struct moe_safetensors_entry *entry = moe_safetensors_find(file, name);
        ck_assert_msg((entry != NULL) == (saved.tensor[id].data != NULL), "%d: %s", _i, name);
        if (entry == NULL)
            continue;
        const int64_t bytes = used_bytes(&problem, &saved, id, P, N);
        ck_assert_msg(entry->bytes == bytes, "%d: %s has %lld bytes, wanted %lld", _i, name,
                      (long long)entry->bytes, (long long)bytes);
        ck_assert_ptr_nonnull(loaded.tensor[id].data);
        ck_assert_msg(memcmp(saved.tensor[id].data, loaded.tensor[id].data, (size_t)bytes) == 0,
                      "%d: %s", _i, name);
    }
    moe_problem_print(&problem, line, sizeof line);
    ck_assert_str_eq(moe_safetensors_metadata(file, "case"), line);
    ck_assert_str_eq(moe_safetensors_metadata(file, "variant"), "mine");
    moe_safetensors_close(file);
    moe_tensors_free(&saved);
    moe_tensors_free(&loaded);
    unlink(path);
}
END_TEST

/* z has a row for each pick of an expert that exists, each expert once in a token; whatever a wrong
 * kernel left, it can be saved. */
START_TEST(saves_what_a_wrong_kernel_left)
{
    const struct moe_problem dense = parsed("T=3 H=2 I=2 E=4 K=3 router=lists act=silu");
    const struct moe_problem ragged =
        parsed("T=3 H=2 I=2 E=4 K=3 router=lists routing=ragged act=silu");
    static const int32_t picks[9] = {0, 1, 0, -1, 4, 3, INT32_MIN, INT32_MAX, 2};
    static const struct {
        int64_t offsets[4], P, N;
    } lists[] = {
        {{0, 3, 6, 9}, 9, 4},  {{0, 2, 3, 6}, 6, 4},  {{0, 0, 0, 0}, 0, 0},
        {{0, 3, 6, 10}, 9, 4}, {{0, 3, 6, -1}, 9, 4}, {{5, -7, INT64_MAX, INT64_MIN}, 9, 4},
        {{9, 9, 9, 2}, 2, 2},
    };
    make_file();
    for (int i = -1; i < (int)(sizeof lists / sizeof *lists); i++) {
        const struct moe_problem *problem = i < 0 ? &dense : &ragged;
        struct moe_tensors tensors = allocated(problem);
        struct moe_safetensors *file;
        for (int id = 0; id < MOE_TENSOR_COUNT; id++)
            if (tensors.tensor[id].data != NULL)
                fill(&tensors.tensor[id], 3);
        memcpy(tensors.tensor[MOE_PICKS].data, picks, sizeof picks);
        if (i >= 0)
            memcpy(tensors.tensor[MOE_OFFSETS].data, lists[i].offsets, sizeof lists[i].offsets);
        ck_assert_msg(moe_tensors_save(problem, &tensors, NULL, path) == MOE_OK, "%s",
                      moe_error_text());
        ck_assert_int_eq(moe_safetensors_open(path, &file), MOE_OK);
        ck_assert_msg(moe_safetensors_find(file, "z")->shape[0] == (i < 0 ? 4 : lists[i].N),
                      "%d: z has %lld rows", i,
                      (long long)moe_safetensors_find(file, "z")->shape[0]);
        if (i >= 0)
            ck_assert_int_eq(moe_safetensors_find(file, "ds")->shape[0], lists[i].P);
        ck_assert_ptr_null(moe_safetensors_metadata(file, "variant"));
        moe_safetensors_close(file);
        moe_tensors_free(&tensors);
    }
    unlink(path);
}
END_TEST

/* ---- other types ------------------------------------------------------------------------- */

/* One value of x in a file of another type. */
static const struct {
    enum moe_dtype from, to;
    double value;
    const char *refused; /* part of the message, or NULL: converts */
} conversions[] = {
    {MOE_BF16, MOE_F32, 0x1.fep-126, NULL},
    {MOE_BF16, MOE_F64, -0x1.02p127, NULL},
    {MOE_F16, MOE_F32, 0x1p-24, NULL},
    {MOE_F16, MOE_F64, 65504, NULL},
    {MOE_F32, MOE_F64, 0x1.fffffep127, NULL},
    {MOE_F32, MOE_BF16, 1.5, NULL},
    {MOE_F32, MOE_BF16, 0x1p-133, NULL},
    {MOE_F32, MOE_BF16, 1.0 / 0.0, NULL},
    {MOE_F32, MOE_BF16, -0.0, NULL},
    {MOE_F64, MOE_F16, -0.25, NULL},
    {MOE_F64, MOE_F16, 0.0 / 0.0, NULL},
    {MOE_E4M3, MOE_BF16, 448, NULL},
    {MOE_E5M2, MOE_F16, 0x1p-16, NULL},
    {MOE_E2M1, MOE_BF16, -6, NULL},
    {MOE_F32, MOE_BF16, 1 + 0x1p-8, "x[1,2] = 1.00390625 (F32) is not a value of bf16"},
    {MOE_F32, MOE_BF16, 0x1p-134, "is not a value of bf16"},
    {MOE_F32, MOE_BF16, 0x1.fffffep127, "is not a value of bf16"},
    {MOE_F32, MOE_F16, 65520, "x[1,2] = 65520 (F32) is not a value of f16"},
    {MOE_F32, MOE_F16, 0x1p-25, "is not a value of f16"},
    {MOE_F64, MOE_F32, 0.1, "x[1,2] = 0.10000000000000001 (F64) is not a value of f32"},
    {MOE_F64, MOE_F32, 1e300, "is not a value of f32"},
    {MOE_BF16, MOE_F16, 0x1p-30, "is not a value of f16"},
    {MOE_F16, MOE_BF16, 1 + 0x1p-10, "is not a value of bf16"},
    {MOE_I32, MOE_F32, 1, "x is I32; allowed is what converts to f32 without loss"},
};

START_TEST(converts_without_loss)
{
    enum { T = 2, H = 3, AT = 5 };
    const enum moe_dtype from = conversions[_i].from, to = conversions[_i].to;
    struct moe_problem problem = parsed("T=2 H=3 I=2 E=2 K=1");
    double storage[T * H] = {0};
    struct moe_safetensors_item item = {"x", {storage, from, 2, {T, H}, {H, 1}}};
    struct moe_tensors tensors;
    problem.dtype = to;
    tensors = allocated(&problem);
    make_file();
    moe_dtype_store(from, storage, AT, conversions[_i].value, 0);
    write_items(&item, 1);
    const int status = moe_tensors_load(&problem, path, &tensors);
    if (conversions[_i].refused != NULL) {
        expect_refused(status, conversions[_i].refused);
    } else {
        const double wanted = conversions[_i].value;
        ck_assert_msg(status == MOE_OK, "%d: %s", _i, moe_error_text());
        const double got = moe_dtype_load(to, tensors.tensor[MOE_X].data, AT);
        ck_assert_msg(memcmp(&got, &wanted, sizeof got) == 0 || (got != got && wanted != wanted),
                      "%d: %a became %a", _i, wanted, got);
        for (int i = 0; i < AT; i++)
            ck_assert(moe_dtype_load(to, tensors.tensor[MOE_X].data, i) == 0);
    }
    moe_tensors_free(&tensors);
    unlink(path);
}
END_TEST

/* Larger than the converter's chunk, and only the last element does not fit. */
START_TEST(converts_many)
{
    enum { T = 100, H = 77 };
    const struct moe_problem problem = parsed("T=100 H=77 I=2 E=2 K=1 dtype=bf16");
    static float x[T][H];
    struct moe_safetensors_item item = {"x", {x, MOE_F32, 2, {T, H}, {H, 1}}};
    struct moe_tensors tensors = allocated(&problem);
    make_file();
    for (int i = 0; i < T * H; i++)
        x[i / H][i % H] = (float)(i % 200 - 100);
    write_items(&item, 1);
    ck_assert_msg(moe_tensors_load(&problem, path, &tensors) == MOE_OK, "%s", moe_error_text());
    for (int i = 0; i < T * H; i++)
        ck_assert(moe_dtype_load(MOE_BF16, tensors.tensor[MOE_X].data, i) == i % 200 - 100);
    x[T - 1][H - 1] = 257;
    write_items(&item, 1);
    expect_refused(moe_tensors_load(&problem, path, &tensors), "x[99,76] = 257 (F32)");
    moe_tensors_free(&tensors);
    unlink(path);
}
END_TEST

START_TEST(converts_lists)
{
    const struct moe_problem problem = parsed("T=2 H=2 I=2 E=4 K=2 router=lists");
    struct moe_tensors tensors = allocated(&problem);
    int64_t wide[4] = {3, -1, 0, 2};
    uint8_t narrow[4] = {3, 2, 1, 0};
    float real[4] = {0};
    struct moe_safetensors_item item = {"picks", {wide, MOE_I64, 2, {2, 2}, {2, 1}}};
    const int32_t *picks = tensors.tensor[MOE_PICKS].data;
    make_file();
    write_items(&item, 1);
    ck_assert_int_eq(moe_tensors_load(&problem, path, &tensors), MOE_OK);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(picks[i], wide[i]);
    item.tensor.data = narrow;
    item.tensor.dtype = MOE_U8;
    write_items(&item, 1);
    ck_assert_int_eq(moe_tensors_load(&problem, path, &tensors), MOE_OK);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(picks[i], narrow[i]);
    wide[1] = INT64_C(1) << 32;
    item.tensor.data = wide;
    item.tensor.dtype = MOE_I64;
    write_items(&item, 1);
    expect_refused(moe_tensors_load(&problem, path, &tensors),
                   "picks[0,1] = 4294967296 (I64) is not a value of i32");
    item.tensor.data = real;
    item.tensor.dtype = MOE_F32;
    write_items(&item, 1);
    expect_refused(moe_tensors_load(&problem, path, &tensors), "picks is F32");
    moe_tensors_free(&tensors);
    unlink(path);
}
END_TEST

/* ---- other shapes, names and lists ------------------------------------------------------- */

START_TEST(refuses_other_shapes)
{
    static const struct {
        int32_t rank;
        int64_t shape[3];
        const char *text;
    } shapes[] = {
        {2, {3, 2}, "x has the shape [3,2], the case's is [2,3]"},
        {1, {6}, "x has the shape [6], the case's is [2,3]"},
        {3, {1, 2, 3}, "x has the shape [1,2,3], the case's is [2,3]"},
        {2, {2, 4}, "x has the shape [2,4]"},
        {2, {0, 3}, "x has the shape [0,3]"},
    };
    const struct moe_problem problem = parsed("T=2 H=3 I=2 E=2 K=1 dtype=f32");
    struct moe_tensors tensors = allocated(&problem);
    static float x[64];
    make_file();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct moe_safetensors_item item = {"x", {x, MOE_F32, shapes[i].rank, {0}, {0}}};
        int64_t stride = 1;
        for (int32_t axis = shapes[i].rank - 1; axis >= 0; axis--) {
            item.tensor.shape[axis] = shapes[i].shape[axis];
            item.tensor.stride[axis] = stride;
            stride *= shapes[i].shape[axis];
        }
        write_items(&item, 1);
        expect_refused(moe_tensors_load(&problem, path, &tensors), shapes[i].text);
    }
    moe_tensors_free(&tensors);
    unlink(path);
}
END_TEST

/* A computed router's lists are outputs: `load` leaves them alone. What a case has not is ignored.
 */
START_TEST(takes_what_is_asked_for)
{
    const struct moe_problem problem = parsed("T=2 H=2 I=2 E=4 K=2 dtype=f32");
    struct moe_tensors tensors = allocated(&problem);
    int32_t picks[4] = {3, 1, 0, 2};
    float o[4] = {1, 2, 3, 4}, x[4] = {5, 6, 7, 8};
    const struct moe_safetensors_item items[] = {
        {"o", {o, MOE_F32, 2, {2, 2}, {2, 1}}},
        {"x", {x, MOE_F32, 2, {2, 2}, {2, 1}}},
        {"picks", {picks, MOE_I32, 2, {2, 2}, {2, 1}}},
        {"b1", {x, MOE_F32, 1, {4}, {1}}},
        {"model.layers.0.mlp.gate.weight", {x, MOE_F32, 1, {4}, {1}}},
    };
    make_file();
    ck_assert_int_eq(moe_tensors_draw(&problem, &tensors), MOE_OK);
    memset(tensors.tensor[MOE_PICKS].data, 0x11, sizeof picks);
    memset(tensors.tensor[MOE_O].data, 0x11, sizeof o);
    write_items(items, 5);
    ck_assert_msg(moe_tensors_load(&problem, path, &tensors) == MOE_OK, "%s", moe_error_text());
    ck_assert_mem_eq(tensors.tensor[MOE_X].data, x, sizeof x);
    ck_assert_int_eq(*(int32_t *)tensors.tensor[MOE_PICKS].data, 0x11111111);
    ck_assert_int_eq(*(int32_t *)tensors.tensor[MOE_O].data, 0x11111111);
    ck_assert_int_eq(moe_tensors_load_outputs(&problem, path, &tensors), MOE_OK);
    ck_assert_mem_eq(tensors.tensor[MOE_PICKS].data, picks, sizeof picks);
    ck_assert_mem_eq(tensors.tensor[MOE_O].data, o, sizeof o);
    ck_assert_ptr_nonnull(tensors.tensor[MOE_W1].data);
    ck_assert_ptr_null(tensors.tensor[MOE_Z].data);
    ck_assert_ptr_null(tensors.tensor[MOE_DW1].data);
    moe_tensors_free(&tensors);
    unlink(path);
}
END_TEST

/* z without picks says nothing, nor with picks that no router makes; else it has a row for each. */
START_TEST(takes_z_by_its_picks)
{
    const struct moe_problem problem = parsed("T=2 H=2 I=2 E=4 K=2 dtype=f32 act=silu");
    struct moe_tensors tensors = allocated(&problem);
    int32_t picks[4] = {3, 1, 0, 2};
    float z[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct moe_safetensors_item items[] = {
        {"z", {z, MOE_F32, 2, {3, 2}, {2, 1}}},
        {"picks", {picks, MOE_I32, 2, {2, 2}, {2, 1}}},
    };
    make_file();
    write_items(items, 2);
    expect_refused(moe_tensors_load_outputs(&problem, path, &tensors),
                   "z has the shape [3,2], the case's is [4,2]");
    items[0].tensor.shape[0] = 4;
    write_items(items, 2);
    moe_tensors_free(&tensors);
    tensors = allocated(&problem);
    ck_assert_msg(moe_tensors_load_outputs(&problem, path, &tensors) == MOE_OK, "%s",
                  moe_error_text());
    ck_assert_mem_eq(tensors.tensor[MOE_Z].data, z, 8 * sizeof *z);
    moe_tensors_free(&tensors);
    picks[2] = 2; /* twice in its token */
    tensors = allocated(&problem);
    write_items(items, 2);
    ck_assert_int_eq(moe_tensors_load_outputs(&problem, path, &tensors), MOE_OK);
    ck_assert_ptr_null(tensors.tensor[MOE_Z].data);
    ck_assert_ptr_nonnull(tensors.tensor[MOE_PICKS].data);
    moe_tensors_free(&tensors);
    tensors = allocated(&problem);
    write_items(items, 1);
    ck_assert_int_eq(moe_tensors_load_outputs(&problem, path, &tensors), MOE_OK);
    ck_assert_ptr_null(tensors.tensor[MOE_Z].data);
    moe_tensors_free(&tensors);
    unlink(path);
}
END_TEST

START_TEST(loads_ragged_lists)
{
    static const struct {
        int64_t offsets[4], P;
        const char *refused;
    } lists[] = {
        {{0, 2, 2, 5}, 5, NULL},
        {{0, 0, 0, 0}, 0, NULL},
        {{0, 2, 4, 6}, 6, NULL},
        {{0, 2, 2, 5}, 6, "picks has the shape [6], the case's is [5]"},
        {{0, 2, 2, 5}, 4, "picks has the shape [4], the case's is [5]"},
        {{1, 2, 2, 5}, 5, "offsets[0] = 1: offsets rise from 0 to at most 6"},
        {{0, 3, 2, 5}, 5, "offsets[2] = 2: offsets rise"},
        {{0, 3, 5, 7}, 7, "offsets[3] = 7: offsets rise"},
        {{0, -1, 5, 5}, 5, "offsets[1] = -1: offsets rise"},
        {{0, 0, 0, INT64_MAX}, 5, "offsets[3] = 9223372036854775807: offsets rise"},
    };
    const struct moe_problem problem =
        parsed("T=3 H=2 I=2 E=4 K=2 dtype=f32 router=lists routing=ragged");
    int32_t picks[8] = {0, 1, 2, 3, 0, 1, 2, 3};
    make_file();
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct moe_tensors tensors = allocated(&problem);
        int64_t offsets[4];
        const struct moe_safetensors_item items[] = {
            {"picks", {picks, MOE_I32, 1, {lists[i].P}, {1}}},
            {"offsets", {offsets, MOE_I64, 1, {4}, {1}}},
        };
        memcpy(offsets, lists[i].offsets, sizeof offsets);
        ck_assert_int_eq(moe_tensors_draw(&problem, &tensors), MOE_OK);
        write_items(items, 2);
        const int status = moe_tensors_load(&problem, path, &tensors);
        if (lists[i].refused != NULL) {
            expect_refused(status, lists[i].refused);
        } else {
            ck_assert_msg(status == MOE_OK, "%zu: %s", i, moe_error_text());
            ck_assert_mem_eq(tensors.tensor[MOE_OFFSETS].data, offsets, sizeof offsets);
            ck_assert(memcmp(tensors.tensor[MOE_PICKS].data, picks, (size_t)lists[i].P * 4) == 0);
        }
        moe_tensors_free(&tensors);
    }
    unlink(path);
}
END_TEST

START_TEST(refuses_what_is_no_file)
{
    const struct moe_problem problem = parsed("");
    struct moe_tensors tensors = allocated(&problem);
    make_file();
    expect_refused(moe_tensors_load(&problem, path, &tensors), "shorter than 8 bytes");
    unlink(path);
    ck_assert_int_eq(moe_tensors_load(&problem, path, &tensors), MOE_E_IO);
    ck_assert_int_eq(moe_tensors_load_outputs(&problem, path, &tensors), MOE_E_IO);
    ck_assert_ptr_nonnull(tensors.tensor[MOE_O].data);
    moe_tensors_free(&tensors);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensors");
    TCase *tests = tcase_create("tensors");
    SRunner *runner = srunner_create(suite);
    int failed;
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, allocates_what_exists, 0, LINES);
    tcase_add_test(tests, says_what_memory_it_lacked);
    tcase_add_loop_test(tests, draws_inputs_only, 0, LINES);
    tcase_add_loop_test(tests, loads_what_it_saved, 0, LINES);
    tcase_add_test(tests, saves_what_a_wrong_kernel_left);
    tcase_add_loop_test(tests, converts_without_loss, 0, sizeof conversions / sizeof *conversions);
    tcase_add_test(tests, converts_many);
    tcase_add_test(tests, converts_lists);
    tcase_add_test(tests, refuses_other_shapes);
    tcase_add_test(tests, takes_what_is_asked_for);
    tcase_add_test(tests, takes_z_by_its_picks);
    tcase_add_test(tests, loads_ragged_lists);
    tcase_add_test(tests, refuses_what_is_no_file);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
