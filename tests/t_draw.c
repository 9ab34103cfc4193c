/*
 * t_draw.c - drawn values: known answers of Philox, the bytes that lines have meant since they were
 * first drawn, what each data family promises, and that neither threads nor strides nor the type
 * change a value. What is drawn for routing is tested in t_draw_lists.c.
 */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/draw.h"
#include "ref/moe.h"
#include "tests/support.h"

static struct moe_problem parsed(const char *line)
{
    struct moe_problem problem;
    ck_assert_msg(moe_problem_parse(line, &problem) == MOE_OK, "'%s': %s", line, moe_error_text());
    return problem;
}

/* A tensor of the case, dense, allocated and drawn. */
static struct moe_tensor drawn(const struct moe_problem *problem, enum moe_tensor_id id)
{
    struct moe_tensor tensor;
    ck_assert_msg(moe_tensor_describe(problem, id, &tensor) == MOE_OK, "%s", moe_error_text());
    tensor.data = malloc((size_t)moe_tensor_bytes(&tensor) + 1);
    ck_assert_msg(moe_draw_tensor(problem, id, &tensor) == MOE_OK, "%s", moe_error_text());
    return tensor;
}

static double at(const struct moe_tensor *tensor, int64_t index)
{
    return moe_dtype_load(tensor->dtype, tensor->data, index);
}

static int is_drawn(const struct moe_problem *problem, enum moe_tensor_id id)
{
    const enum moe_role role = moe_tensor_info(id)->role;
    return moe_tensor_exists(problem, id) &&
           (role == MOE_INPUT || role == MOE_PARAMETER_GRADIENT ||
            (role == MOE_ROUTING && problem->router == MOE_LISTS));
}

/* ---- the stream ------------------------------------------------------------------------------ */

/* From Random123's kat_vectors. */
static const struct {
    uint64_t key, low, high;
    uint32_t want[4];
} known[] = {
    {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {~0ull, ~0ull, ~0ull, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {0x299f31d0a4093822,
     0x85a308d3243f6a88,
     0x0370734413198a2e,
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

START_TEST(known_answers)
{
    const philox4x32_ctr_t block =
        draw_block(known[_i].key, (enum draw_stream)(known[_i].high >> 32),
                   (uint32_t)known[_i].high, known[_i].low);
    for (int word = 0; word < 4; word++)
        ck_assert_msg(block.v[word] == known[_i].want[word], "%d: word %d is %#x", _i, word,
                      block.v[word]);
}
END_TEST

START_TEST(words_of_a_stream)
{
    for (uint64_t index = 0; index < 4; index++) {
        ck_assert_uint_eq(moe_draw_word(0, 0, index), known[0].want[index]);
        const uint64_t far = ((uint64_t)5 << 40) + index;
        ck_assert_uint_eq(moe_draw_word(9, 7, far),
                          draw_block(9, STREAM_WORDS, 7, far / 4).v[index]);
    }
    ck_assert_uint_ne(moe_draw_word(1, 0, 0), moe_draw_word(0, 0, 0));
    ck_assert_uint_ne(moe_draw_word(0, 1, 0), moe_draw_word(0, 0, 0));
    ck_assert_uint_ne(moe_draw_word(0, 0, 4), moe_draw_word(0, 0, 0));
}
END_TEST

/* ---- bytes ----------------------------------------------------------------------------------- */

/* FNV-1a over the bytes of everything that is drawn for the case. */
static uint64_t hash_of(const struct moe_problem *problem)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        if (!is_drawn(problem, (enum moe_tensor_id)id))
            continue;
        struct moe_tensor tensor = drawn(problem, (enum moe_tensor_id)id);
        const uint8_t *bytes = tensor.data;
        for (int64_t i = 0; i < moe_tensor_bytes(&tensor); i++)
            hash = (hash ^ bytes[i]) * 0x100000001b3;
        free(tensor.data);
    }
    return hash;
}

/* The same line means the same bytes: these change only when what a line means is changed. */
static const struct {
    const char *line;
    uint64_t hash;
} golden[] = {
    {"seed=1", 0x842952a5e37047c7},
    {"T=37 H=96 I=40 dtype=f16 act=relu bias=1 router-bias=1 seed=2", 0x8a45bc25209fcc9},
    {"dtype=f32 data=heavy router=sigmoid sel-bias=1 routing=zipf:1.1 seed=3", 0x40697a0df8be309b},
    {"dtype=f64 data=positive routing=hot shared=24 shared-gate=1 seed=4", 0xbc0af232ff7e4c2},
    {"data=constant bias=1 routing=same seed=5", 0xbdf1e7c7a207f25},
    {"dtype=f64 data=tiny routing=first seed=6", 0x99f6a4a706c8df6c},
    {"dtype=f16 data=tiny routing=last seed=7", 0xb7072e21f6a0822f},
    {"data=sparse routing=sparse grad=f32 beta=1 seed=8", 0xd693ad1126c5c066},
    {"data=zero routing=ties router-bias=1 E=7 seed=9", 0xddc6c3f1b1ee7274},
    {"router=lists routing=zipf:2.5 T=300 E=16 K=6 seed=10", 0x2f95b55d30752ccd},
    {"router=lists routing=dropped:0.3 T=300 E=5 K=5 seed=11", 0x817bba1a4a1368fe},
    {"router=lists routing=ragged T=300 E=9 K=4 dtype=f64 seed=12", 0xa4cd812b4ae5f098},
    {"seed=18446744073709551615", 0xcf05d12aa02f5a56},
};

START_TEST(golden_bytes)
{
    const struct moe_problem problem = parsed(golden[_i].line);
    const uint64_t hash = hash_of(&problem);
    ck_assert_msg(hash == golden[_i].hash, "%d: %s has %#llx", _i, golden[_i].line,
                  (unsigned long long)hash);
}
END_TEST

START_TEST(threads_do_not_matter)
{
    static const char *const lines[] = {
        "T=700 H=128 E=16 K=4 routing=zipf:1 data=heavy",
        "T=20000 H=8 E=16 K=4 routing=ragged router=lists",
        "T=20000 H=8 E=16 K=4 routing=dropped:0.5 router=lists data=sparse",
    };
    const struct moe_problem problem = parsed(lines[_i]);
    omp_set_num_threads(1);
    const uint64_t one = hash_of(&problem);
    omp_set_num_threads(2);
    const uint64_t two = hash_of(&problem);
    omp_set_num_threads(5);
    ck_assert_msg(one == two && one == hash_of(&problem), "%d", _i);
}
END_TEST

/* Every value stands where the strides say, and nothing stands between. */
START_TEST(strides_do_not_matter)
{
    static const enum moe_tensor_id ids[] = {MOE_X, MOE_WR, MOE_BR, MOE_W1, MOE_PICKS};
    const enum moe_tensor_id id = ids[_i / 2];
    const struct moe_problem problem =
        parsed(id == MOE_PICKS ? "T=70 H=100 I=30 router=lists" : "T=70 H=100 I=30 router-bias=1");
    struct moe_tensor dense = drawn(&problem, id), strided = dense;
    const int64_t count = moe_tensor_count(&dense);
    if (_i % 2 == 0) { /* padded rows */
        for (int axis = dense.rank - 1, step = 3; axis >= 0; axis--) {
            strided.stride[axis] = axis == dense.rank - 1 && axis > 0 ? 1 : step;
            step = (int)(strided.stride[axis] * dense.shape[axis] + 5);
        }
    } else { /* the first dimension runs fastest, the last backwards */
        int64_t step = 1;
        for (int axis = 0; axis < dense.rank; axis++) {
            strided.stride[axis] = step;
            step *= dense.shape[axis];
        }
    }
    int64_t room = 0;
    for (int axis = 0; axis < dense.rank; axis++)
        room += (dense.shape[axis] - 1) * strided.stride[axis];
    const size_t size = (size_t)moe_dtype_info(dense.dtype)->bits / 8,
                 bytes = (size_t)(room + 1) * size;
    uint8_t *data = malloc(bytes), *expected = malloc(bytes);
    memset(data, 0xc3, bytes);
    memset(expected, 0xc3, bytes);
    for (int64_t i = 0; i < count; i++)
        memcpy(expected + (size_t)moe_tensor_position(&strided, i) * size,
               (const uint8_t *)dense.data + (size_t)i * size, size);
    strided.data = data;
    ck_assert_int_eq(moe_draw_tensor(&problem, id, &strided), MOE_OK);
    ck_assert_msg(memcmp(data, expected, bytes) == 0, "%d", _i);
    free(data);
    free(expected);
    free(dense.data);
}
END_TEST

START_TEST(types_round_the_same_values)
{
    const struct moe_problem fine = parsed("T=64 H=64 dtype=f64 routing=zipf:1 seed=5");
    const struct moe_problem coarse = parsed(_i == 0 ? "T=64 H=64 dtype=bf16 routing=zipf:1 seed=5"
                                                     : "T=64 H=64 dtype=f16 routing=zipf:1 seed=5");
    static const enum moe_tensor_id ids[] = {MOE_X, MOE_WR, MOE_W1, MOE_W2, MOE_DO};
    for (int k = 0; k < 5; k++) {
        struct moe_tensor a = drawn(&fine, ids[k]), b = drawn(&coarse, ids[k]);
        for (int64_t i = 0; i < moe_tensor_count(&a); i++)
            if (moe_dtype_round(coarse.dtype, at(&a, i), 0) != at(&b, i))
                ck_abort_msg("%s[%lld]", moe_tensor_info(ids[k])->name, (long long)i);
        free(a.data);
        free(b.data);
    }
}
END_TEST

/* ---- families -------------------------------------------------------------------------------- */

struct moments {
    double mean, variance, largest, smallest;
    int64_t count, zeros, negative;
};

static struct moments moments_of(const struct moe_tensor *tensor)
{
    struct moments m = {.count = moe_tensor_count(tensor), .smallest = INFINITY};
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < m.count; i++) {
        const double value = at(tensor, i);
        sum += value;
        squares += value * value;
        m.largest = fmax(m.largest, fabs(value));
        m.smallest = fmin(m.smallest, fabs(value));
        m.zeros += value == 0;
        m.negative += signbit(value) != 0;
    }
    m.mean = sum / (double)m.count;
    m.variance = squares / (double)m.count;
    return m;
}

static struct moments drawn_moments(const struct moe_problem *problem, enum moe_tensor_id id)
{
    struct moe_tensor tensor = drawn(problem, id);
    const struct moments m = moments_of(&tensor);
    free(tensor.data);
    return m;
}

static const struct {
    enum moe_tensor_id id;
    double deviation;
} scales[] = {
    {MOE_X, 1},        {MOE_DO, 1},       {MOE_WR, 0x1p-4},
    {MOE_W1, 0x1p-4},  {MOE_W2, 0x1p-3},  {MOE_B1, 0.5},
    {MOE_B2, 0.5},     {MOE_BR, 0.5},     {MOE_SEL_BIAS, 0.125},
    {MOE_WS1, 0x1p-4}, {MOE_WS2, 0x1p-2}, {MOE_WSG, 0x1p-4},
    {MOE_DW1, 1},      {MOE_DB2, 1},
};

/* Weights: 2^-round(log2(fan-in)/2) for H=256, I=96 and S=8; the limits are five deviations. */
START_TEST(normal_has_unit_moments)
{
    const struct moe_problem problem =
        parsed("T=200 H=256 I=96 E=64 dtype=f64 bias=1 router-bias=1 router=sigmoid sel-bias=1 "
               "shared=8 shared-gate=1 beta=1");
    const struct moments m = drawn_moments(&problem, scales[_i].id);
    const double deviation = scales[_i].deviation, n = (double)m.count;
    ck_assert_msg(fabs(m.mean) <= 5 * deviation / sqrt(n), "%d: mean %g", _i, m.mean);
    ck_assert_msg(fabs(m.variance / (deviation * deviation) - 1) <= 5 * sqrt(2 / n),
                  "%d: variance %g", _i, m.variance);
    ck_assert_msg(m.largest <= 4.9 * deviation, "%d: largest %g", _i, m.largest);
    ck_assert_msg(n < 1000 || m.largest >= 2.5 * deviation, "%d: largest %g", _i, m.largest);
    ck_assert_msg(n < 1000 || fabs((double)m.negative / n - 0.5) <= 2.5 / sqrt(n), "%d", _i);
}
END_TEST

START_TEST(neighbours_and_tensors_are_independent)
{
    const struct moe_problem problem = parsed("T=256 H=256 dtype=f64");
    const struct moe_problem other = parsed("T=256 H=256 dtype=f64 seed=1234");
    struct moe_tensor x = drawn(&problem, MOE_X), y = drawn(&problem, MOE_DO);
    struct moe_tensor z = drawn(&other, MOE_X);
    const int64_t n = moe_tensor_count(&x) - 256;
    double next = 0, below = 0, tensors = 0, seeds = 0;
    for (int64_t i = 0; i < n; i++) {
        next += at(&x, i) * at(&x, i + 1);
        below += at(&x, i) * at(&x, i + 256);
        tensors += at(&x, i) * at(&y, i);
        seeds += at(&x, i) * at(&z, i);
    }
    const double allowed = 5 * sqrt((double)n);
    ck_assert(fabs(next) <= allowed && fabs(below) <= allowed);
    ck_assert(fabs(tensors) <= allowed && fabs(seeds) <= allowed);
    free(x.data);
    free(y.data);
    free(z.data);
}
END_TEST

START_TEST(heavy_has_heavy_tails)
{
    const struct moe_problem plain = parsed("T=256 H=256 dtype=f64");
    const struct moe_problem problem =
        parsed(_i == 0 ? "T=256 H=256 dtype=f64 data=heavy" : "T=256 H=256 dtype=f16 data=heavy");
    struct moe_tensor a = drawn(&plain, MOE_X), b = drawn(&problem, MOE_X);
    int64_t times[10] = {0}, n = moe_tensor_count(&a);
    for (int64_t i = 0; i < n; i++) {
        const double ratio = at(&b, i) / moe_dtype_round(problem.dtype, at(&a, i), 0);
        if (at(&a, i) != 0 && at(&b, i) != 0 && fabs(at(&b, i)) > 0x1p-14)
            times[(int)rint(log2(fmin(ratio, 512)))]++;
    }
    for (int j = 0; j < 4; j++) { /* 3/4, 3/16, 3/64, 3/256; f16 ends here, with 4/256 */
        const double share = (_i == 1 && j == 3 ? 1 : 0.75) * pow(0.25, j);
        const double found = (double)times[j] / (double)n;
        ck_assert_msg(fabs(found - share) <= 5 * sqrt(share / (double)n), "%d: 2^%d %g", _i, j,
                      found);
    }
    ck_assert_msg((times[4] + times[5] > 0) == (_i == 0), "%d", _i);
    ck_assert_int_eq(times[9], 0);
    free(a.data);
    free(b.data);
}
END_TEST

START_TEST(positive_is_positive)
{
    const struct moe_problem problem =
        parsed("T=64 H=64 data=positive bias=1 router-bias=1 routing=zipf:1 shared=8");
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (is_drawn(&problem, (enum moe_tensor_id)id)) {
            const struct moments m = drawn_moments(&problem, (enum moe_tensor_id)id);
            ck_assert_msg(m.negative == 0 && m.largest > 0, "%s",
                          moe_tensor_info((enum moe_tensor_id)id)->name);
        }
}
END_TEST

START_TEST(constant_is_constant)
{
    const struct moe_problem problem =
        parsed("data=constant bias=1 router-bias=1 routing=zipf:1 shared=8");
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (is_drawn(&problem, (enum moe_tensor_id)id)) {
            const struct moments m = drawn_moments(&problem, (enum moe_tensor_id)id);
            ck_assert_msg(m.largest == m.smallest && m.largest > 0, "%s",
                          moe_tensor_info((enum moe_tensor_id)id)->name);
            ck_assert_msg(m.negative == 0, "%d", id);
        }
}
END_TEST

/* Families that touch x and do only leave the weights as they are. */
START_TEST(families_of_tokens_leave_weights)
{
    static const char *const names[] = {"data=tiny", "data=sparse", "data=zero"};
    const struct moe_problem plain = parsed(""), problem = parsed(names[_i]);
    struct moe_tensor a = drawn(&plain, MOE_W1), b = drawn(&problem, MOE_W1);
    ck_assert_msg(memcmp(a.data, b.data, (size_t)moe_tensor_bytes(&a)) == 0, "%d", _i);
    free(a.data);
    free(b.data);
}
END_TEST

START_TEST(zero_is_positive_zero)
{
    const struct moe_problem problem = parsed("data=zero dtype=f64 routing=zipf:1");
    const struct moments x = drawn_moments(&problem, MOE_X), y = drawn_moments(&problem, MOE_DO);
    ck_assert(x.zeros == x.count && x.negative == 0);
    ck_assert(y.zeros == y.count && y.negative == 0);
}
END_TEST

START_TEST(sparse_keeps_a_quarter)
{
    const struct moe_problem problem = parsed("T=256 H=256 data=sparse");
    const struct moe_problem plain = parsed("T=256 H=256");
    struct moe_tensor a = drawn(&problem, MOE_X), b = drawn(&plain, MOE_X);
    const struct moments m = moments_of(&a);
    ck_assert(fabs((double)m.zeros / (double)m.count - 0.75) <= 5 * sqrt(0.1875 / (double)m.count));
    for (int64_t i = 0; i < m.count; i++)
        if (at(&a, i) != 0 && at(&a, i) != at(&b, i))
            ck_abort_msg("%lld", (long long)i);
    free(a.data);
    free(b.data);
}
END_TEST

/* Even rows lie at the edge of the subnormals, with some below; products of odd rows do. */
START_TEST(tiny_is_at_the_edge)
{
    static const char *const lines[] = {"T=64 H=256 data=tiny", "T=64 H=256 data=tiny dtype=f16",
                                        "T=64 H=256 data=tiny dtype=f32",
                                        "T=64 H=256 data=tiny dtype=f64"};
    const struct moe_problem problem = parsed(lines[_i]);
    const double edge = moe_dtype_info(problem.dtype)->smallest_normal;
    struct moe_tensor x = drawn(&problem, MOE_X);
    int64_t below = 0;
    double even = 0, odd = 0;
    for (int64_t i = 0; i < moe_tensor_count(&x); i++) {
        const double size = fabs(at(&x, i));
        if (i / 256 % 2 == 0)
            even = fmax(even, size);
        else
            odd = fmax(odd, size);
        below += size > 0 && size < edge;
    }
    ck_assert_msg(below > 0, "%d", _i);
    ck_assert_msg(even > edge && even <= 0x1p11 * edge, "%d: %a", _i, even);
    ck_assert_msg(odd * odd > edge && odd * odd <= 0x1p7 * edge, "%d: %a", _i, odd);
    free(x.data);
}
END_TEST

/* ---- what comes of them ---------------------------------------------------------------------- */

static int take(void *context, const struct moe_block *block)
{
    double *largest = context;
    for (int64_t i = 0; i < block->rows; i++)
        for (int64_t j = 0; j < block->cols; j++) {
            const double size = fabs(block->value[i * block->stride + j]);
            if (!(size <= largest[block->tensor]))
                largest[block->tensor] = size;
        }
    return MOE_OK;
}

/* No family but large overflows f16, and none but zero and tiny leaves nothing to compare. */
START_TEST(outputs_are_of_order_one)
{
    static const char *const shapes[] = {"T=96 H=256 I=64 E=8 K=2", "T=64 H=8 I=128 E=8 K=8",
                                         "T=600 H=16 I=16 E=4 K=1", "T=33 H=1 I=1 E=16 K=4",
                                         "T=16 H=512 I=16 E=4 K=4"};
    static const char *const families[] = {"normal", "heavy", "positive", "constant", "sparse"};
    static const char *const routings[] = {"uniform", "hot", "first", "zipf:2"};
    const char *act = moe_act_info((enum moe_act)(_i % MOE_ACT_COUNT))->name;
    const char *shape = shapes[_i / MOE_ACT_COUNT];
    omp_set_num_threads(1);
    for (int k = as_many(0, _i % 3); k < 20; k += as_many(1, 3)) {
        char line[256];
        snprintf(line, sizeof line, "%s act=%s%s data=%s routing=%s dtype=f16 seed=%d", shape, act,
                 strcmp(act, "swiglu-clamp") == 0 ? ":7" : "", families[k % 5], routings[k / 5],
                 _i);
        const struct moe_problem problem = parsed(line);
        struct moe_tensor tensors[MOE_TENSOR_COUNT] = {0};
        double largest[MOE_TENSOR_COUNT] = {0};
        for (int id = 0; id < MOE_TENSOR_COUNT; id++)
            if (moe_tensor_info((enum moe_tensor_id)id)->role == MOE_INPUT &&
                moe_tensor_exists(&problem, (enum moe_tensor_id)id))
                tensors[id] = drawn(&problem, (enum moe_tensor_id)id);
        const struct moe_reference reference = {.problem = &problem,
                                                .tensors = tensors,
                                                .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
                                                .precision = MOE_F64,
                                                .take = take,
                                                .context = largest};
        ck_assert_msg(moe_reference_run(&reference) == MOE_OK, "%s", moe_error_text());
        for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
            const char *name = moe_tensor_info((enum moe_tensor_id)id)->name;
            ck_assert_msg(largest[id] <= 65504, "%d %s: %s %g", _i, line, name, largest[id]);
            free(tensors[id].data);
        }
        ck_assert_msg(largest[MOE_O] >= 0x1p-8, "%d %s: o %g", _i, line, largest[MOE_O]);
        ck_assert_msg(largest[MOE_DX] >= 0x1p-8, "%d %s: dx %g", _i, line, largest[MOE_DX]);
    }
}
END_TEST

/* ---- refused --------------------------------------------------------------------------------- */

START_TEST(refuses)
{
    const struct moe_problem problem = parsed("T=8 H=16");
    static const enum moe_tensor_id ids[] = {MOE_O,      MOE_Z,  MOE_DX,      MOE_PICKS,
                                             MOE_LOGITS, MOE_B1, MOE_OFFSETS, MOE_TENSOR_COUNT};
    struct moe_tensor tensor;
    uint8_t untouched[4096];
    memset(untouched, 0x5a, sizeof untouched);
    for (int k = 0; k < 8; k++) {
        if (moe_tensor_describe(&problem, ids[k], &tensor) != MOE_OK)
            tensor = (struct moe_tensor){.rank = 1, .shape = {1}, .stride = {1}};
        tensor.data = untouched;
        ck_assert_msg(moe_draw_tensor(&problem, ids[k], &tensor) == MOE_E_USAGE, "%d", k);
    }
    ck_assert_int_eq(moe_tensor_describe(&problem, MOE_X, &tensor), MOE_OK);
    tensor.data = untouched;
    tensor.shape[1] = 17;
    ck_assert_int_eq(moe_draw_tensor(&problem, MOE_X, &tensor), MOE_E_USAGE);
    tensor.shape[1] = 16;
    tensor.rank = 1;
    ck_assert_int_eq(moe_draw_tensor(&problem, MOE_X, &tensor), MOE_E_USAGE);
    for (size_t i = 0; i < sizeof untouched; i++)
        ck_assert_int_eq(untouched[i], 0x5a);
}
END_TEST

START_TEST(no_tokens)
{
    const struct moe_problem problem = parsed("T=0 routing=zipf:1");
    struct moe_tensor x = drawn(&problem, MOE_X);
    ck_assert_int_eq(moe_tensor_count(&x), 0);
    free(x.data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("draw");
    TCase *tests = tcase_create("draw");
    SRunner *runner = srunner_create(suite);
    int failed;
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, known_answers, 0, 3);
    tcase_add_test(tests, words_of_a_stream);
    tcase_add_loop_test(tests, golden_bytes, 0, sizeof golden / sizeof *golden);
    tcase_add_loop_test(tests, threads_do_not_matter, 0, 3);
    tcase_add_loop_test(tests, strides_do_not_matter, 0, 10);
    tcase_add_loop_test(tests, types_round_the_same_values, 0, 2);
    tcase_add_loop_test(tests, normal_has_unit_moments, 0, sizeof scales / sizeof *scales);
    tcase_add_test(tests, neighbours_and_tensors_are_independent);
    tcase_add_loop_test(tests, heavy_has_heavy_tails, 0, 2);
    tcase_add_test(tests, positive_is_positive);
    tcase_add_test(tests, constant_is_constant);
    tcase_add_loop_test(tests, families_of_tokens_leave_weights, 0, 3);
    tcase_add_test(tests, zero_is_positive_zero);
    tcase_add_test(tests, sparse_keeps_a_quarter);
    tcase_add_loop_test(tests, tiny_is_at_the_edge, 0, 4);
    tcase_add_loop_test(tests, outputs_are_of_order_one, 0, 5 * MOE_ACT_COUNT);
    tcase_add_test(tests, refuses);
    tcase_add_test(tests, no_tokens);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
