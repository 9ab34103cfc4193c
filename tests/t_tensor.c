/*
 * t_tensor.c - the tensors of a case: which exist, their shapes and types, and that no size,
 * however large the dimensions, comes out wrong.
 */
#include <check.h>
#include <string.h>

#include "ref/moe.h"

static struct moe_problem parsed(const char *line)
{
    struct moe_problem problem;
    ck_assert_msg(moe_problem_parse(line, &problem) == MOE_OK, "'%s': %s", line, moe_error_text());
    return problem;
}

static struct moe_tensor described(const struct moe_problem *problem, enum moe_tensor_id id)
{
    struct moe_tensor tensor;
    ck_assert_msg(moe_tensor_describe(problem, id, &tensor) == MOE_OK, "%s", moe_error_text());
    return tensor;
}

/* ---- which ----------------------------------------------------------------------------------- */

/* Names of the tensors that exist, in the order of the table. */
static const struct {
    const char *line, *names;
} existence[] = {
    {"", "x wr w1 w2 do picks scores o logits z dx ds dlogits dwr dw1 dw2"},
    {"router=lists", "x w1 w2 do picks scores o z dx ds dw1 dw2"},
    {"router=lists routing=ragged", "x w1 w2 do offsets picks scores o z dx ds dw1 dw2"},
    {"round=nearest router=softmax-topk",
     "x wr w1 w2 do offsets picks scores o logits z dx ds dlogits dwr dw1 dw2"},
    {"bias=1 router-bias=1",
     "x wr br w1 b1 w2 b2 do picks scores o logits z dx ds dlogits dwr dbr dw1 db1 dw2 db2"},
    {"router=sigmoid sel-bias=1",
     "x wr sel_bias w1 w2 do picks scores o logits z dx ds dlogits dwr dw1 dw2"},
    {"shared=16",
     "x wr w1 w2 ws1 ws2 do picks scores o logits z dx ds dlogits dwr dw1 dw2 dws1 dws2"},
    {"shared=16 shared-gate=1 router=lists",
     "x w1 w2 ws1 ws2 wsg do picks scores o z dx ds dw1 dw2 dws1 dws2 dwsg"},
};

START_TEST(exist)
{
    const struct moe_problem problem = parsed(existence[_i].line);
    char names[512] = "";
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (moe_tensor_exists(&problem, (enum moe_tensor_id)id)) {
            strcat(names, *names ? " " : "");
            strcat(names, moe_tensor_info((enum moe_tensor_id)id)->name);
        }
    ck_assert_msg(strcmp(names, existence[_i].names) == 0, "%d: %s", _i, names);
}
END_TEST

START_TEST(gradients_are_like_their_parameters)
{
    const struct moe_problem problem =
        parsed("bias=1 router-bias=1 shared=16 shared-gate=1 dtype=f16");
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor_info *gradient = moe_tensor_info((enum moe_tensor_id)id);
        if (gradient->role != MOE_PARAMETER_GRADIENT)
            continue;
        int of = 0;
        while (strcmp(moe_tensor_info((enum moe_tensor_id)of)->name, gradient->name + 1) != 0)
            of++;
        const struct moe_tensor a = described(&problem, (enum moe_tensor_id)of);
        const struct moe_tensor b = described(&problem, (enum moe_tensor_id)id);
        ck_assert_msg(memcmp(&a, &b, sizeof a) == 0, "%s", gradient->name);
    }
}
END_TEST

/* ---- shapes and types ------------------------------------------------------------------------ */

static const struct {
    const char *line;
    enum moe_tensor_id id;
    enum moe_dtype dtype;
    int32_t rank;
    int64_t shape[3];
} descriptions[] = {
    {"T=5 H=12 I=6 E=4 K=3", MOE_X, MOE_BF16, 2, {5, 12, 0}},
    {"T=5 H=12 I=6 E=4 K=3", MOE_WR, MOE_BF16, 2, {4, 12, 0}},
    {"T=5 H=12 I=6 E=4 K=3", MOE_BR, MOE_F32, 1, {4, 0, 0}},
    {"T=5 H=12 I=6 E=4 K=3", MOE_SEL_BIAS, MOE_F32, 1, {4, 0, 0}},
    {"T=5 H=12 I=6 E=4 K=3", MOE_W1, MOE_BF16, 3, {4, 12, 12}},
    {"T=5 H=12 I=6 E=4 K=3 act=relu", MOE_W1, MOE_BF16, 3, {4, 6, 12}},
    {"T=5 H=12 I=6 E=4 K=3", MOE_B1, MOE_BF16, 2, {4, 12, 0}},
    {"T=5 H=12 I=6 E=4 K=3", MOE_W2, MOE_BF16, 3, {4, 12, 6}},
    {"T=5 H=12 I=6 E=4 K=3", MOE_B2, MOE_BF16, 2, {4, 12, 0}},
    {"T=5 H=12 I=6 E=4 K=3 shared=7", MOE_WS1, MOE_BF16, 2, {14, 12, 0}},
    {"T=5 H=12 I=6 E=4 K=3 shared=7 act=silu", MOE_WS1, MOE_BF16, 2, {7, 12, 0}},
    {"T=5 H=12 I=6 E=4 K=3 shared=7", MOE_WS2, MOE_BF16, 2, {12, 7, 0}},
    {"T=5 H=12 I=6 E=4 K=3 shared=7", MOE_WSG, MOE_BF16, 1, {12, 0, 0}},
    {"T=5 H=12 I=6 E=4 K=3", MOE_PICKS, MOE_I32, 2, {5, 3, 0}},
    {"T=5 H=12 I=6 E=4 K=3", MOE_SCORES, MOE_F32, 2, {5, 3, 0}},
    {"T=5 H=12 I=6 E=4 K=3 router=lists routing=ragged", MOE_PICKS, MOE_I32, 1, {15, 0, 0}},
    {"T=5 H=12 I=6 E=4 K=3 router=lists routing=ragged", MOE_DS, MOE_F32, 1, {15, 0, 0}},
    {"T=5 H=12 I=6 E=4 K=3 router=lists routing=ragged", MOE_OFFSETS, MOE_I64, 1, {6, 0, 0}},
    {"T=5 H=12 I=6 E=4 K=3", MOE_LOGITS, MOE_F32, 2, {5, 4, 0}},
    {"T=5 H=12 I=6 E=4 K=3", MOE_Z, MOE_BF16, 2, {15, 12, 0}},
    {"T=5 H=12 I=6 E=4 K=3 dtype=f64", MOE_X, MOE_F64, 2, {5, 12, 0}},
    {"T=5 H=12 I=6 E=4 K=3 dtype=f64", MOE_SCORES, MOE_F64, 2, {5, 3, 0}},
    {"T=5 H=12 I=6 E=4 K=3 dtype=f64", MOE_DBR, MOE_F64, 1, {4, 0, 0}},
    {"T=5 H=12 I=6 E=4 K=3 grad=f32", MOE_DW1, MOE_F32, 3, {4, 12, 12}},
    {"T=5 H=12 I=6 E=4 K=3 grad=f32", MOE_DWR, MOE_F32, 2, {4, 12, 0}},
    {"T=5 H=12 I=6 E=4 K=3 grad=f32", MOE_DX, MOE_BF16, 2, {5, 12, 0}},
    {"T=5 H=12 I=6 E=4 K=3 grad=f32", MOE_W1, MOE_BF16, 3, {4, 12, 12}},
    {"T=5 H=12 I=6 E=4 K=3 dtype=f16", MOE_DB2, MOE_F16, 2, {4, 12, 0}},
    {"T=5 H=12 I=6 E=4 K=3 dtype=f16", MOE_DLOGITS, MOE_F32, 2, {5, 4, 0}},
    {"T=0 H=12 I=6 E=4 K=3", MOE_O, MOE_BF16, 2, {0, 12, 0}},
    /* rounded: T*K + E*(round-to - 1), and never more than T*E */
    {"T=50 H=12 I=6 E=4 K=2 round=up round-to=8 router=softmax-topk",
     MOE_PICKS,
     MOE_I32,
     1,
     {128, 0, 0}},
    {"T=5 H=12 I=6 E=4 K=3 round=up round-to=8 router=softmax-topk",
     MOE_Z,
     MOE_BF16,
     2,
     {20, 12, 0}},
};

START_TEST(describe)
{
    const struct moe_problem problem = parsed(descriptions[_i].line);
    const struct moe_tensor tensor = described(&problem, descriptions[_i].id);
    ck_assert_msg(tensor.dtype == descriptions[_i].dtype, "%d", _i);
    ck_assert_msg(tensor.rank == descriptions[_i].rank, "%d", _i);
    ck_assert_ptr_null(tensor.data);
    int64_t count = 1;
    for (int axis = tensor.rank - 1; axis >= 0; axis--) {
        ck_assert_msg(tensor.shape[axis] == descriptions[_i].shape[axis], "%d axis %d: %lld", _i,
                      axis, (long long)tensor.shape[axis]);
        ck_assert_msg(tensor.stride[axis] == count, "%d axis %d", _i, axis);
        count *= tensor.shape[axis];
    }
    ck_assert_int_eq(moe_tensor_count(&tensor), count);
    ck_assert_int_eq(moe_tensor_bytes(&tensor), count * moe_dtype_info(tensor.dtype)->bits / 8);
}
END_TEST

/* ---- sizes ----------------------------------------------------------------------------------- */

/* Problems made by hand: the case line may be stricter. */
START_TEST(sizes_do_not_overflow)
{
    struct moe_problem problem = moe_problem_default();
    struct moe_tensor tensor;
    const int64_t large = (int64_t)1 << 40;
    problem.T = problem.H = problem.I = problem.E = problem.K = large;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const char *shape = moe_tensor_info((enum moe_tensor_id)id)->shape;
        if (strchr(shape, 'U') || strchr(shape, 'S'))
            continue;
        tensor.rank = 77;
        const int status = moe_tensor_describe(&problem, (enum moe_tensor_id)id, &tensor);
        ck_assert_msg(status == (strlen(shape) == 1 ? MOE_OK : MOE_E_USAGE), "%s",
                      moe_tensor_info((enum moe_tensor_id)id)->name);
        if (status != MOE_OK)
            ck_assert_int_eq(tensor.rank, 77);
    }
    ck_assert_int_eq(moe_problem_max_entries(&problem), MOE_E_USAGE);
    ck_assert_ptr_nonnull(strstr(moe_error_text(), "2^62"));

    /* Products that wrap around to something small. */
    problem.E = large;
    problem.H = problem.I = (int64_t)1 << 32;
    ck_assert_int_eq(moe_tensor_describe(&problem, MOE_W1, &tensor), MOE_E_USAGE);
    /* Nothing is stored, but the strides do not fit either. */
    problem.T = 0;
    problem.H = INT64_MAX / 2;
    problem.E = 4;
    ck_assert_int_eq(moe_tensor_describe(&problem, MOE_X, &tensor), MOE_E_USAGE);
    /* 2^62 bytes and no more: bf16. */
    problem.T = 1;
    problem.H = (int64_t)1 << 61;
    ck_assert_int_eq(moe_tensor_describe(&problem, MOE_X, &tensor), MOE_OK);
    ck_assert_int_eq(moe_tensor_bytes(&tensor), (int64_t)1 << 62);
    problem.H++;
    ck_assert_int_eq(moe_tensor_describe(&problem, MOE_X, &tensor), MOE_E_USAGE);
    ck_assert_ptr_nonnull(strstr(moe_error_text(), "x "));
}
END_TEST

START_TEST(most_entries)
{
    struct moe_problem problem = moe_problem_default();
    problem.T = (int64_t)1 << 40;
    problem.K = 1 << 20;
    problem.E = 1 << 21;
    ck_assert_int_eq(moe_problem_max_entries(&problem), (int64_t)1 << 60);
    problem.round = MOE_ROUND_UP; /* T E alone would be 2^61 */
    problem.round_to = (int64_t)1 << 40;
    ck_assert_int_eq(moe_problem_max_entries(&problem), (int64_t)1 << 61);
    problem.T = problem.E = (int64_t)1 << 31; /* E round_to would be 2^71 */
    problem.K = 1;
    ck_assert_int_eq(moe_problem_max_entries(&problem), (int64_t)1 << 62);
    problem.T = (int64_t)1 << 40;
    problem.K = 1 << 20;
    problem.E = 1 << 21;
    problem.round_to = 129;
    ck_assert_int_eq(moe_problem_max_entries(&problem), ((int64_t)1 << 60) + ((int64_t)1 << 28));
}
END_TEST

START_TEST(unknown_tensors)
{
    const struct moe_problem problem = moe_problem_default();
    struct moe_tensor tensor;
    ck_assert_ptr_null(moe_tensor_info(MOE_TENSOR_COUNT));
    ck_assert_int_eq(moe_tensor_exists(&problem, MOE_TENSOR_COUNT), 0);
    ck_assert_int_eq(moe_tensor_exists(&problem, (enum moe_tensor_id) - 1), 0);
    ck_assert_int_eq(moe_tensor_describe(&problem, MOE_TENSOR_COUNT, &tensor), MOE_E_USAGE);
}
END_TEST

/* ---- positions ------------------------------------------------------------------------------- */

START_TEST(positions_follow_strides)
{
    const struct moe_tensor tensor = {
        .dtype = MOE_F32, .rank = 3, .shape = {3, 4, 5}, .stride = {1, 100, -7}};
    for (int64_t i = 0; i < 3; i++)
        for (int64_t j = 0; j < 4; j++)
            for (int64_t k = 0; k < 5; k++)
                ck_assert_int_eq(moe_tensor_position(&tensor, (i * 4 + j) * 5 + k),
                                 i + 100 * j - 7 * k);
    const struct moe_tensor half = {.dtype = MOE_E2M1, .rank = 1, .shape = {7}, .stride = {1}};
    ck_assert_int_eq(moe_tensor_bytes(&half), 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor");
    TCase *tests = tcase_create("tensor");
    SRunner *runner = srunner_create(suite);
    int failed;
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, exist, 0, sizeof existence / sizeof *existence);
    tcase_add_test(tests, gradients_are_like_their_parameters);
    tcase_add_loop_test(tests, describe, 0, sizeof descriptions / sizeof *descriptions);
    tcase_add_test(tests, sizes_do_not_overflow);
    tcase_add_test(tests, most_entries);
    tcase_add_test(tests, unknown_tensors);
    tcase_add_test(tests, positions_follow_strides);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
