/*
 * t_surroundings.c - the judge on variants that are right once and alone, and wrong when called
 * again, with other threads, among other tokens or in another configuration. Each is the reference
 * with one habit, and must be found by the check that its row names; without its habit it passes.
 */
#ifdef _OPENMP
#include <omp.h>
#endif
#include <stdlib.h>
#include <string.h>

#include "tests/impostor.h"

static const char *const lines[] = {
    "T=12 H=16 I=8 E=4 K=2 dtype=f32 bias=1",
    "T=12 H=16 I=8 E=4 K=2 dtype=bf16 router=lists beta=1",
};

/* Memory of the habits, forgotten before each judgement. */
static int forwards, backwards, opens;
static int32_t opened;
static void *kept_output;

/* The last bit of an element: far inside every bound. */
static void flip(const struct moe_tensor *tensor, int64_t index)
{
    ((unsigned char *)tensor
         ->data)[moe_tensor_position(tensor, index) * moe_dtype_info(tensor->dtype)->bits / 8] ^= 1;
}

static void nothing(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem, (void)tensors;
}

/* ---- habits ---------------------------------------------------------------------------------- */

/* Every second process-wide run gives other bits. */
static void now_and_then(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem;
    if (backwards++ % 2)
        flip(&tensors[MOE_DX], 3);
}

static void by_threads(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem;
#ifdef _OPENMP
    if (omp_get_max_threads() == 3)
        flip(&tensors[MOE_O], 5);
#else
    now_and_then(problem, tensors);
#endif
}

/* What the first call of this process gave, whatever the inputs are. */
static void output_of_the_first(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    size_t bytes = (size_t)moe_tensor_bytes(&tensors[MOE_O]);
    (void)problem;
    if (forwards++ == 0) {
        free(kept_output);
        kept_output = malloc(bytes);
        memcpy(kept_output, tensors[MOE_O].data, bytes);
    }
    memcpy(tensors[MOE_O].data, kept_output, bytes);
}

/* A counter that is reset by open alone: the second forward of a state finds it counted. */
static void counter_not_put_back(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem;
    if (forwards++ > 0)
        tensor_set(&tensors[MOE_O], 7, 100);
}

/* From the second call on x is another one, and all that it leaves is right for that. */
static void right_for_another_x(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    const struct moe_call call = {.tensors = tensors};
    void *state = NULL;
    if (forwards++ == 0)
        return;
    for (int64_t i = 0; i < moe_tensor_count(&tensors[MOE_X]); i++)
        tensor_set(&tensors[MOE_X], i, 1 + tensor_get(&tensors[MOE_X], i));
    ck_assert_int_eq(moe_variant_ref.open(NULL, problem, 0, &state), MOE_OK);
    ck_assert_int_eq(moe_variant_ref.forward(state, &call), MOE_OK);
    moe_variant_ref.close(state);
}

/* One byte behind o, from the second call on. */
static void writes_behind_o_later(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem;
    if (forwards++ > 0)
        ((unsigned char *)tensors[MOE_O].data)[moe_tensor_bytes(&tensors[MOE_O])] ^= 1;
}

/* o is right when backward has run. */
static void doubles_o(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem;
    for (int64_t i = 0; i < moe_tensor_count(&tensors[MOE_O]); i++)
        tensor_set(&tensors[MOE_O], i, 2 * tensor_get(&tensors[MOE_O], i));
}

static void halves_o(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem;
    for (int64_t i = 0; i < moe_tensor_count(&tensors[MOE_O]); i++)
        tensor_set(&tensors[MOE_O], i, tensor_get(&tensors[MOE_O], i) / 2);
}

/* The gradient is added to that of the call before, and not to what stands there. */
static void gradient_kept(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    const struct moe_tensor *gradient = &tensors[MOE_DW2];
    (void)problem;
    if (backwards++ > 0)
        for (int64_t i = 0; i < moe_tensor_count(gradient); i++)
            tensor_set(gradient, i, 2 * tensor_get(gradient, i));
}

/* Last bits of every token's output are those of a sum over all tokens' inputs. */
static void bits_of_all_tokens(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    unsigned char *o = tensors[MOE_O].data, sum = 0;
    const unsigned char *x = tensors[MOE_X].data;
    int64_t size = moe_dtype_info(tensors[MOE_O].dtype)->bits / 8;
    for (int64_t i = 0; i < moe_tensor_bytes(&tensors[MOE_X]); i++)
        sum = (unsigned char)(31 * sum + x[i]);
    for (int bit = 0; bit < 8; bit++)
        for (int64_t t = 0; t < problem->T; t++) {
            unsigned char *byte =
                &o[moe_tensor_position(&tensors[MOE_O], t * problem->H + bit) * size];
            *byte = (unsigned char)((*byte & ~1) | (sum >> bit & 1));
        }
}

static void wrong_in_the_third(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem;
    if (opened == 2)
        tensor_set(&tensors[MOE_O], 0, 100);
}

static const struct {
    const char *check;
    uint32_t flags;
    meddle *after_forward, *after_backward;
    int32_t configurations;
} habits[] = {
    {"determinism", MOE_DETERMINISTIC, nothing, now_and_then, 0},
    {"determinism", MOE_DETERMINISTIC, by_threads, nothing, 0},
    {"again", MOE_DETERMINISTIC, output_of_the_first, nothing, 0},
    {"again", 0, output_of_the_first, nothing, 0},
    {"again", 0, counter_not_put_back, nothing, 0},
    {"again", 0, nothing, gradient_kept, 0},
    {"footprint", 0, right_for_another_x, nothing, 0}, /* the first to call it twice */
    {"footprint", 0, writes_behind_o_later, nothing, 0},
    {"passes", 0, doubles_o, halves_o, 0},
    {"passes", MOE_DETERMINISTIC, doubles_o, halves_o, 0},
    {"batch", MOE_BATCH_INVARIANT, bits_of_all_tokens, nothing, 0},
    {"configurations", 0, wrong_in_the_third, nothing, 3},
};

/* ---- judged ---------------------------------------------------------------------------------- */

/* A new state forgets; but what output_of_the_first keeps is the process's until the next test. */
static int open_habit(struct moe_device *device, const struct moe_problem *problem,
                      int32_t configuration, void **state)
{
    opened = configuration;
    opens++;
    forwards = 0;
    if (impostor.after_backward == gradient_kept)
        backwards = 0;
    return impostor_variant.open(device, problem, 0, state);
}

static struct moe_report judge(const char *line, int habit, uint32_t flags)
{
    static const char *const names[] = {"first", "second", "third"};
    struct moe_problem problem = impostor_start(line);
    struct moe_variant variant = impostor_variant;
    struct moe_report report;
    forwards = backwards = opens = 0;
    impostor.after_forward = habit >= 0 ? habits[habit].after_forward : nothing;
    impostor.after_backward = habit >= 0 ? habits[habit].after_backward : nothing;
    variant.flags = flags;
    variant.configurations = names;
    variant.configuration_count = habit >= 0 ? habits[habit].configurations : COUNT(names);
    variant.open = open_habit;
    ck_assert_int_eq(moe_judge_variant(&problem, &variant, NULL, &report), MOE_OK);
    return report;
}

START_TEST(habits_are_found)
{
    const char *line = lines[_i % COUNT(lines)];
    int habit = _i / COUNT(lines);
    struct moe_report report = judge(line, habit, habits[habit].flags);
    const struct moe_finding *finding = must_find(&report, habits[habit].check, -1, line);
    ck_assert_msg(report.finding[0].check == finding->check ||
                      strcmp(report.finding[0].check, finding->check) == 0,
                  "%d: found first by %s: %s", _i, report.finding[0].check, report.finding[0].text);
    free(kept_output);
    kept_output = NULL;
}
END_TEST

/* What is not declared is not asked for. */
START_TEST(undeclared_is_allowed)
{
    for (int habit = 0; habit < COUNT(habits); habit++) {
        if (strcmp(habits[habit].check, "determinism") != 0 &&
            strcmp(habits[habit].check, "batch") != 0)
            continue;
        struct moe_report report = judge(lines[0], habit, 0);
        ck_assert_msg(report.verdict == MOE_PASS, "%d: %s", habit, report.finding[0].text);
    }
}
END_TEST

/* Without a habit all that is declared holds, and the report tells which configurations ran. */
START_TEST(right_everywhere)
{
    struct moe_report report =
        judge(lines[_i], -1, MOE_DETERMINISTIC | MOE_BATCH_INVARIANT | MOE_CAPTURABLE);
    ck_assert_msg(report.verdict == MOE_PASS, "%s", report.finding[0].text);
    ck_assert_int_eq(report.finding_count, 1);
    ck_assert_str_eq(report.finding[0].check, "configurations");
    ck_assert_ptr_nonnull(strstr(report.finding[0].text, "second PASS third PASS"));
    ck_assert(opens > 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("surroundings");
    TCase *found = tcase_create("found"), *right = tcase_create("right");
    tcase_add_loop_test(found, habits_are_found, 0, COUNT(habits) * COUNT(lines));
    suite_add_tcase(suite, found);
    tcase_add_test(right, undeclared_is_allowed);
    tcase_add_loop_test(right, right_everywhere, 0, COUNT(lines));
    suite_add_tcase(suite, right);
    return run_suite(suite);
}
