/*
 * impostor.c - see impostor.h.
 */
#include <string.h>

#include "tests/impostor.h"

struct impostor impostor;

static int supports(const struct moe_problem *problem, char *why, size_t size)
{
    (void)problem, (void)why, (void)size;
    return MOE_OK;
}

static int64_t no_bytes(const struct moe_problem *problem)
{
    (void)problem;
    return 0;
}

/* It claims f32: its bounds then are many steps of what it stores, so that half of one can be told.
 */
static void recipe(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    *recipe = moe_recipe_plain(problem, problem->dtype == MOE_F64 ? MOE_F64 : MOE_F32);
    if (impostor.declare)
        impostor.declare(problem, recipe);
}

static int open_impostor(struct moe_device *device, const struct moe_problem *problem,
                         int32_t configuration, void **state)
{
    impostor.problem = *problem;
    if (impostor.open_status != MOE_OK)
        return moe_error(impostor.open_status, "not today");
    if (memcmp(&impostor.told, &impostor.started, sizeof impostor.told) == 0)
        impostor.told = impostor.started = *problem;
    return moe_variant_ref.open(device, &impostor.told, configuration, state);
}

/* One pass of the reference on the tensors that it is given. An impostor does not care what comes
 * of it. */
static int pass(void *state, const struct moe_call *call,
                int (*run)(void *, const struct moe_call *), meddle *after, int result)
{
    struct moe_tensor tensors[MOE_TENSOR_COUNT];
    struct moe_call own = *call;
    memcpy(tensors, call->tensors, sizeof tensors);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        if (impostor.given && impostor.given[id].data)
            tensors[id] = impostor.given[id];
        if (!moe_tensor_exists(&impostor.told, id))
            tensors[id].data = NULL;
    }
    own.tensors = tensors;
    if (!impostor.idle)
        (void)run(state, &own);
    memcpy(tensors, call->tensors, sizeof tensors);
    if (after)
        after(&impostor.problem, tensors);
    return result == MOE_OK ? MOE_OK : moe_error(result, "not today");
}

static int forward(void *state, const struct moe_call *call)
{
    return pass(state, call, moe_variant_ref.forward, impostor.after_forward,
                impostor.forward_status);
}

static int backward(void *state, const struct moe_call *call)
{
    return pass(state, call, moe_variant_ref.backward, impostor.after_backward,
                impostor.backward_status);
}

static void close_impostor(void *state)
{
    moe_variant_ref.close(state);
}

const struct moe_variant impostor_variant = {
    .struct_size = sizeof impostor_variant,
    .devices = MOE_ON_CPU,
    .name = "impostor",
    .supports = supports,
    .workspace_bytes = no_bytes,
    .kept_bytes = no_bytes,
    .recipe = recipe,
    .open = open_impostor,
    .forward = forward,
    .backward = backward,
    .close = close_impostor,
};

struct moe_problem impostor_start(const char *line)
{
    struct moe_problem problem = problem_of(line);
    memset(&impostor, 0, sizeof impostor);
    impostor.told = impostor.started = problem;
    return problem;
}

struct moe_report impostor_judge(const struct moe_problem *problem)
{
    struct moe_judge_options options = {.checks = impostor.checks};
    struct moe_report report;
    ck_assert_msg(moe_judge_variant(problem, &impostor_variant, &options, &report) == MOE_OK, "%s",
                  moe_error_text());
    return report;
}

const struct moe_finding *finding_of(const struct moe_report *report, const char *check, int tensor)
{
    for (int i = 0; i < report->finding_count && i < MOE_REPORT_FINDINGS; i++)
        if (strcmp(report->finding[i].check, check) == 0 &&
            (tensor < 0 || report->finding[i].tensor == tensor))
            return &report->finding[i];
    return NULL;
}

const struct moe_finding *must_find(const struct moe_report *report, const char *check, int tensor,
                                    const char *what)
{
    const struct moe_finding *finding = finding_of(report, check, tensor);
    ck_assert_msg(report->verdict == MOE_FAIL, "%s: %s", what, moe_verdict_name(report->verdict));
    ck_assert_msg(finding && finding->verdict == MOE_FAIL, "%s: %s says nothing of %s; first: %s",
                  what, check, tensor < 0 ? "it" : moe_tensor_info(tensor)->name,
                  report->finding[0].text);
    return finding;
}

int is_output(const struct moe_problem *problem, int id)
{
    enum moe_role role = moe_tensor_info(id)->role;
    return moe_tensor_exists(problem, id) && role != MOE_INPUT &&
           (role != MOE_ROUTING || problem->router != MOE_LISTS);
}
