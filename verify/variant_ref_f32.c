/*
 * variant_ref_f32.c - the reference with f32 products (sgemm) and every intermediate rounded to
 * f32: an honest second arithmetic, and the first to show whether the bounds hold.
 */
#include <stdio.h>

#include "verify/variant_ref.h"

static int supports(const struct moe_problem *problem, char *why, size_t size)
{
    if (problem->dtype != MOE_F64)
        return MOE_OK;
    snprintf(why, size, "dtype=f64 has more digits than f32 products keep");
    return MOE_E_UNSUPPORTED;
}

/* Rows go through in chunks of 1024; each is one more addition to a sum over rows. */
static void recipe(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    *recipe = moe_recipe_plain(problem, MOE_F32);
    int chunks = (int)(problem->T / 1024 + 1);
    recipe->product[MOE_IN_DW1].extra = recipe->product[MOE_IN_DW2].extra = chunks;
    recipe->product[MOE_IN_DWR].extra = chunks;
}

static int open_variant(struct moe_device *device, const struct moe_problem *problem,
                        int32_t configuration, void **state)
{
    (void)device;
    (void)configuration;
    return reference_open(problem, MOE_F32, state);
}

const struct moe_variant moe_variant_ref_f32 = {
    .struct_size = sizeof(struct moe_variant),
    .devices = MOE_ON_CPU,
    .flags = MOE_ALLOCATES | MOE_DETERMINISTIC,
    .name = "ref-f32",
    .summary = "the reference with f32 products and intermediates",
    .supports = supports,
    .workspace_bytes = reference_bytes,
    .kept_bytes = reference_bytes,
    .recipe = recipe,
    .open = open_variant,
    .forward = reference_forward,
    .backward = reference_backward,
    .close = reference_close,
};
