/*
 * trial.c - see trial.h: one run of a variant in an arena.
 */
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "verify/arena_trap.h"
#include "verify/float_modes.h"
#include "verify/held.h"
#include "verify/on_device.h"
#include "verify/script.h"
#include "verify/trial.h"

static int is_given(const struct moe_problem *problem, enum moe_tensor_id id)
{
    enum moe_role role = moe_tensor_info(id)->role;
    return role == MOE_INPUT || (role == MOE_ROUTING && problem->router == MOE_LISTS);
}

int moe_trial_writes(const struct moe_problem *problem, enum moe_tensor_id id)
{
    int added_to = moe_tensor_info(id)->role == MOE_PARAMETER_GRADIENT && problem->beta;
    return !is_given(problem, id) && !added_to;
}

void moe_tensors_fill_outputs(const struct moe_problem *problem, struct moe_tensors *tensors,
                              int byte)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        struct moe_tensor *tensor = &tensors->tensor[id];
        if (tensor->data && moe_trial_writes(problem, id))
            memset(tensor->data, byte, (size_t)moe_tensor_bytes(tensor));
    }
}

int moe_tensors_again(const struct moe_problem *problem, const struct moe_tensors *from, int byte,
                      struct moe_tensors *tensors)
{
    struct moe_tensors made;
    int status = moe_tensors_allocate(problem, &made);
    if (status != MOE_OK)
        return status;
    for (int id = 0; id < MOE_TENSOR_COUNT && status == MOE_OK; id++) {
        struct moe_tensor *tensor = &made.tensor[id];
        int added_to = moe_tensor_info(id)->role == MOE_PARAMETER_GRADIENT && problem->beta;
        if (tensor->data && added_to)
            status = moe_draw_tensor(problem, id, tensor);
        else if (tensor->data && from->tensor[id].data && is_given(problem, id))
            memcpy(tensor->data, from->tensor[id].data, (size_t)moe_tensor_bytes(tensor));
    }
    moe_tensors_fill_outputs(problem, &made, byte);
    if (status == MOE_OK)
        *tensors = made;
    else
        moe_tensors_free(&made);
    return status;
}

/* ---- on the CPU ------------------------------------------------------------------------------ */

#define COPY_ALIGNMENT ((size_t)MOE_MEMORY_ALIGNMENT)

static size_t copy_room(size_t bytes)
{
    return (bytes / COPY_ALIGNMENT + 1) * COPY_ALIGNMENT;
}

/* A variant, opened, and its call. */
struct stay {
    const struct moe_trial *trial;
    const struct moe_call *call;
    void *state;
    int met[2];                   /* has it been through this pass? */
    void *copy[MOE_TENSOR_COUNT]; /* inputs that lay elsewhere; freed when it is closed */
};

static int pass(void *context, int backward, int surrounded)
{
    struct stay *stay = context;
    const struct moe_variant *variant = stay->trial->variant;
    (void)surrounded; /* nothing stands around a call on the CPU */
    if (!stay->met[backward])
        memset(stay->call->workspace, stay->trial->fill, (size_t)stay->call->workspace_size);
    stay->met[backward] = 1;
    return (backward ? variant->backward : variant->forward)(stay->state, stay->call);
}

/* Forward on copies of the inputs, at addresses that hold nothing afterwards. */
static int forward_elsewhere(void *context)
{
    struct stay *stay = context;
    const struct moe_call *own = stay->call;
    struct moe_tensor moved[MOE_TENSOR_COUNT];
    struct moe_call call = *own;
    int status = MOE_OK;
    memcpy(moved, own->tensors, sizeof moved);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        size_t bytes = (size_t)moe_tensor_bytes(&moved[id]);
        if (!moved[id].data || !is_given(stay->trial->problem, id))
            continue;
        moved[id].data = stay->copy[id] = aligned_alloc(COPY_ALIGNMENT, copy_room(bytes));
        if (moved[id].data)
            memcpy(moved[id].data, own->tensors[id].data, bytes);
        else
            status = moe_error(MOE_E_NOMEM, "no memory for copies of the inputs");
    }
    call.tensors = moved;
    stay->call = &call;
    if (status == MOE_OK)
        status = pass(stay, 0, 0);
    stay->call = own;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (stay->copy[id])
            memset(stay->copy[id], MOE_POISON, (size_t)moe_tensor_bytes(&moved[id]));
    return status;
}

static int give(void *context, const struct moe_tensors *from)
{
    const struct stay *stay = context;
    moe_tensors_place(from, stay->call->tensors);
    return MOE_OK;
}

static int held(void *context, int64_t *bytes)
{
    (void)context;
    *bytes = moe_held_bytes();
    return MOE_OK;
}

/* The number of OpenMP's threads from here on; returns what it was. */
static int set_threads(int threads)
{
#ifdef _OPENMP
    int before = omp_get_max_threads();
    if (threads > 0)
        omp_set_num_threads(threads);
    return before;
#else
    return threads;
#endif
}

static void call(const struct moe_trial *trial, const struct moe_call *call,
                 struct moe_trial_result *result)
{
    static const struct script_actor actor = {
        .pass = pass, .forward_elsewhere = forward_elsewhere, .give = give, .held = held};
    const struct moe_variant *variant = trial->variant;
    struct stay stay = {.trial = trial, .call = call};
    struct float_modes modes;
    int threads = set_threads(trial->threads);
    float_modes_save(&modes);
    if (trial->measures)
        result->held_before = moe_held_bytes();
    result->step = "open";
    if (trial->place)
        trial->place(trial->context, trial->check, result->step);
    result->status = variant->open(NULL, trial->problem, trial->configuration, &stay.state);
    if (result->status == MOE_OK) {
        moe_script_run(trial, &actor, &stay, result);
        variant->close(stay.state);
        for (int id = 0; id < MOE_TENSOR_COUNT; id++)
            free(stay.copy[id]);
    }
    if (trial->measures)
        result->held_after = moe_held_bytes();
    result->modes_changed = float_modes_restore(&modes);
    set_threads(threads);
}

/* The arena is where the variant works. */
static int run_here(const struct moe_trial *trial, struct moe_arena *arena,
                    struct moe_trial_result *result)
{
    struct moe_tensor tensors[MOE_TENSOR_COUNT];
    struct moe_call made = moe_arena_call(arena, tensors);
    int status = moe_arena_protect(arena, trial->problem);
    if (status == MOE_OK) {
        if (arena->fenced)
            moe_trap_arm(arena);
        call(trial, &made, result);
        if (arena->fenced)
            moe_trap_disarm();
        memcpy(&result->status_word, made.status, sizeof result->status_word);
    }
    return status;
}

/* ---- anywhere -------------------------------------------------------------------------------- */

enum moe_device_kind moe_trial_device(const struct moe_trial *trial)
{
    static const enum moe_device_kind kinds[] = {MOE_ON_CPU, MOE_ON_CUDA, MOE_ON_PTX};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (trial->variant->devices & kinds[i] && (!trial->devices || trial->devices & kinds[i]))
            return kinds[i];
    return MOE_ON_CPU;
}

/* Who has control, told to the caller; every way into and out of a variant passes here. */
static void hand_over(const struct moe_trial *trial, enum moe_phase phase)
{
    if (trial->phase)
        trial->phase(trial->context, phase);
}

static int run_in(const struct moe_trial *trial, struct moe_arena *arena,
                  struct moe_tensors *tensors, struct moe_trial_result *result)
{
    moe_arena_put(arena, tensors);
    hand_over(trial, MOE_PHASE_VARIANT);
    int status = moe_trial_device(trial) == MOE_ON_CPU ? run_here(trial, arena, result)
                                                       : moe_on_device_run(trial, arena, result);
    hand_over(trial, MOE_PHASE_JUDGE);
    if (status != MOE_OK)
        return status;
    result->stray_count = moe_arena_strays(arena, result->stray, MOE_TRIAL_STRAYS);
    moe_arena_take(arena, tensors);
    return MOE_OK;
}

static int64_t trials;

int64_t moe_trial_count(void)
{
    return trials;
}

int moe_trial_run(const struct moe_trial *trial, struct moe_tensors *tensors,
                  struct moe_trial_result *result)
{
    const struct moe_variant *variant = trial->variant;
    struct moe_arena_plan plan = {
        .tensors = tensors,
        .where = trial->where,
        .workspace = variant->workspace_bytes(trial->problem),
        .kept = variant->kept_bytes(trial->problem),
        .alignment = variant->alignment,
        .fill = trial->fill,
    };
    struct moe_arena arena;
    trials++;
    *result = (struct moe_trial_result){.step = "workspace_bytes"};
    if (plan.workspace < 0 || plan.kept < 0) {
        result->status = moe_error(MOE_E_INTERNAL, "%s wants %lld bytes of workspace and %lld kept",
                                   variant->name, (long long)plan.workspace, (long long)plan.kept);
        return MOE_OK;
    }
    int status = moe_on_device_page(trial, &plan.page);
    if (status == MOE_OK)
        status = moe_arena_map(&plan, &arena);
    if (status != MOE_OK)
        return status;
    status = run_in(trial, &arena, tensors, result);
    trials -= result->crowded;
    moe_arena_unmap(&arena);
    return status;
}
