/*
 * bad.c - a plug-in that is right as it stands; plugin.sh compiles it with one thing wrong at a
 * time, by defining one of the macros below or FAULT_... It takes no case.
 */
#include <fenv.h>
#include <stddef.h>
#include <stdlib.h>

#include "ref/moe.h"
#include "verify/variant.h"

#ifndef PLUGIN_SIZE
#define PLUGIN_SIZE sizeof(struct moe_plugin)
#endif
#ifndef VERSION
#define VERSION MOE_PLUGIN_VERSION
#endif
#ifndef PROBLEM_SIZE
#define PROBLEM_SIZE sizeof(struct moe_problem)
#endif
#ifndef TENSOR_SIZE
#define TENSOR_SIZE sizeof(struct moe_tensor)
#endif
#ifndef TENSOR_COUNT
#define TENSOR_COUNT MOE_TENSOR_COUNT
#endif
#ifndef RECIPE_SIZE
#define RECIPE_SIZE sizeof(struct moe_recipe)
#endif
#ifndef CALL_SIZE
#define CALL_SIZE sizeof(struct moe_call)
#endif
#ifndef VARIANT_SIZE
#define VARIANT_SIZE sizeof(struct moe_variant)
#endif
#ifndef COUNT
#define COUNT 2
#endif
#ifndef NAME
#define NAME "second"
#endif
#ifndef DEVICES
#define DEVICES MOE_ON_CPU
#endif
#ifndef CONFIGURATION_COUNT
#define CONFIGURATION_COUNT 0
#endif
#ifndef ALIGNMENT
#define ALIGNMENT 0
#endif
#ifndef CLOSE
#define CLOSE free
#endif
#ifndef SECOND
#define SECOND &second
#endif
#ifndef TABLE
#define TABLE variants
#endif
#ifndef SYMBOL
#define SYMBOL moe_plugin
#endif
#ifndef RESULT
#define RESULT &plugin
#endif

static int supports(const struct moe_problem *problem, char *why, size_t size)
{
    (void)problem, (void)why, (void)size;
    return MOE_E_UNSUPPORTED;
}

static int64_t no_bytes(const struct moe_problem *problem)
{
    (void)problem;
    return 0;
}

static void recipe(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    *recipe = moe_recipe_plain(problem, MOE_F32);
}

static int open_nothing(struct moe_device *device, const struct moe_problem *problem,
                        int32_t configuration, void **state)
{
    (void)device, (void)problem, (void)configuration;
    *state = NULL;
    return MOE_OK;
}

static int pass(void *state, const struct moe_call *call)
{
    (void)state, (void)call;
    return MOE_OK;
}

#define ROW(its_name, size, device_mask, count, its_close)                                         \
    {                                                                                              \
        .struct_size = size, .devices = device_mask, .name = its_name, .summary = "takes nothing", \
        .supports = supports, .configuration_count = count, .alignment = ALIGNMENT,                \
        .workspace_bytes = no_bytes, .kept_bytes = no_bytes, .recipe = recipe,                     \
        .open = open_nothing, .forward = pass, .backward = pass, .close = its_close                \
    }

static const struct moe_variant first =
    ROW("first", sizeof(struct moe_variant), MOE_ON_CPU, 0, free);
__attribute__((unused)) static const struct moe_variant second =
    ROW(NAME, VARIANT_SIZE, DEVICES, CONFIGURATION_COUNT, CLOSE);

__attribute__((unused)) static const struct moe_variant *const variants[] = {&first, SECOND};

__attribute__((unused)) static const struct moe_plugin plugin = {
    .struct_size = PLUGIN_SIZE,
    .version = VERSION,
    .problem_size = PROBLEM_SIZE,
    .tensor_size = TENSOR_SIZE,
    .tensor_count = TENSOR_COUNT,
    .recipe_size = RECIPE_SIZE,
    .call_size = CALL_SIZE,
    .variant_count = COUNT,
    .variants = TABLE,
};

const struct moe_plugin *SYMBOL(void);

const struct moe_plugin *SYMBOL(void)
{
    return RESULT;
}

#ifdef FAULT_ROUNDING
__attribute__((constructor)) static void round_upwards(void)
{
    fesetround(FE_UPWARD);
}
#endif

#ifdef FAULT_FLUSH /* what linking with -ffast-math puts into a constructor */
__attribute__((constructor)) static void flush_to_zero(void)
{
    fenv_t environment;
    fegetenv(&environment);
#if defined(__x86_64__)
    environment.__mxcsr |= 0x8040;
#elif defined(__aarch64__)
    environment.__fpcr |= 1u << 24;
#endif
    fesetenv(&environment);
}
#endif

#ifdef FAULT_UNDEFINED
void nobody_has_this(void);
__attribute__((constructor)) static void call_nobody(void)
{
    nobody_has_this();
}
#endif
