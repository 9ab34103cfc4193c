/*
 * variant.h - the whole contract between an implementation of the layer and its judge. Plain C.
 *
 * A variant computes the layer of ref/moe.h for the cases that it supports. The judge hands it
 * tensors, workspace and kept memory, all of them the caller's, and a stream; the variant enqueues
 * its work and returns. Its recipe is what its results are judged by; of the rest that it declares
 * here (sizes, alignment, flags) each is held against what it does, by a check of its own: see
 * doc/manual.md.
 *
 * A plug-in is a shared object that exports moe_plugin(). It is trusted code: it runs in the
 * judge's worker process.
 */
#ifndef MOE_VARIANT_H
#define MOE_VARIANT_H

#include "ref/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct moe_device; /* gpu/gpu.h; NULL for the CPU */

enum moe_device_kind { MOE_ON_CPU = 1, MOE_ON_CUDA = 2, MOE_ON_PTX = 4 };

/* What a variant declares of its behaviour. */
enum moe_variant_flag {
    MOE_HOST_SYNC = 1,       /* waits for the device inside forward or backward */
    MOE_ALLOCATES = 2,       /* takes memory of its own inside forward or backward */
    MOE_DETERMINISTIC = 4,   /* same inputs, same bits */
    MOE_BATCH_INVARIANT = 8, /* a token's bits do not depend on the other tokens */
    MOE_CAPTURABLE = 16,     /* forward and backward may be captured in a CUDA graph */
    MOE_DENSE_ONLY = 32,     /* refuses tensors whose rows do not follow each other */
};

/* Workspace and kept memory begin at a multiple of so many bytes; tensors at what the variant
 * declares. */
#define MOE_MEMORY_ALIGNMENT 256

/* One forward or backward. On the CPU stream is NULL and the work is done on return. Inputs have
 * the same values in backward as in the forward before it; where they lie is known from call to
 * call only. */
struct moe_call {
    const struct moe_tensor *tensors; /* [MOE_TENSOR_COUNT]; data NULL where the case has none */
    void *workspace;                  /* undefined at the start of each call */
    int64_t workspace_size;           /* bytes that there are; workspace_bytes() or more, or else
                                         the call is to be refused (moe_call_check) */
    void *kept;                       /* written by forward, read by backward */
    int64_t kept_size;                /* the same of kept_bytes() */
    void *stream;                     /* CUstream */
    uint32_t *status;                 /* device word; bit 0: a list had an id that is not allowed */
};

struct moe_variant {
    uint32_t struct_size; /* sizeof(struct moe_variant) as the variant was compiled */
    uint32_t devices;     /* of enum moe_device_kind */
    uint32_t flags;       /* of enum moe_variant_flag */
    const char *name;
    const char *summary; /* one line */

    /* MOE_OK, or MOE_E_UNSUPPORTED and in why[size] one line that names the key. */
    int (*supports)(const struct moe_problem *problem, char *why, size_t size);

    /* Names of the configurations (tile shapes, schedules) that can be forced; NULL where there is
     * one. Index 0 is the default. */
    const char *const *configurations;
    int32_t configuration_count;

    /* Every tensor that it is given, and every row where rows lie apart, must begin at a multiple
     * of so many bytes (a power of two); 0: as its elements must. Others it refuses with
     * MOE_E_UNSUPPORTED, and touches nothing. */
    uint32_t alignment;

    /* Bytes needed beside the tensors: during a call, and between forward and backward. The same
     * whenever asked. */
    int64_t (*workspace_bytes)(const struct moe_problem *problem);
    int64_t (*kept_bytes)(const struct moe_problem *problem);

    /* How its arithmetic rounds, for this case. */
    void (*recipe)(const struct moe_problem *problem, struct moe_recipe *recipe);

    /* May allocate, load modules, make handles. *state is the variant's own. */
    int (*open)(struct moe_device *device, const struct moe_problem *problem, int32_t configuration,
                void **state);
    int (*forward)(void *state, const struct moe_call *call);
    int (*backward)(void *state, const struct moe_call *call);
    void (*close)(void *state);
};

/* Is there the room that the variant states? MOE_E_USAGE where not. A variant asks this of every
 * call before it touches anything. */
static inline int moe_call_check(const struct moe_call *call, int64_t workspace, int64_t kept)
{
    if (call->workspace_size < workspace)
        return moe_error(MOE_E_USAGE, "workspace of %lld bytes, %lld are needed",
                         (long long)call->workspace_size, (long long)workspace);
    if (call->kept_size < kept)
        return moe_error(MOE_E_USAGE, "kept memory of %lld bytes, %lld are needed",
                         (long long)call->kept_size, (long long)kept);
    return MOE_OK;
}

/* For who takes dense tensors alone, at multiples of `alignment` bytes: MOE_E_UNSUPPORTED where one
 * of them is another. */
static inline int moe_call_check_dense(const struct moe_call *call, uint32_t alignment)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &call->tensors[id];
        const char *name = moe_tensor_info((enum moe_tensor_id)id)->name;
        int64_t step = 1;
        if (tensor->data && alignment && (uintptr_t)tensor->data % alignment)
            return moe_error(MOE_E_UNSUPPORTED, "%s begins at no multiple of %u bytes", name,
                             alignment);
        for (int axis = tensor->rank - 1; axis >= 0 && tensor->data; axis--) {
            if (tensor->shape[axis] > 1 && tensor->stride[axis] != step)
                return moe_error(MOE_E_UNSUPPORTED, "%s is not dense", name);
            step *= tensor->shape[axis];
        }
    }
    return MOE_OK;
}

/* What a plug-in exports: the sizes let either side refuse the other's version in words. */
#define MOE_PLUGIN_VERSION 2
struct moe_plugin {
    uint32_t struct_size;  /* sizeof(struct moe_plugin) */
    uint32_t version;      /* MOE_PLUGIN_VERSION */
    uint32_t problem_size; /* sizeof(struct moe_problem) */
    uint32_t tensor_size;  /* sizeof(struct moe_tensor) */
    uint32_t tensor_count; /* MOE_TENSOR_COUNT */
    uint32_t recipe_size;  /* sizeof(struct moe_recipe) */
    uint32_t call_size;    /* sizeof(struct moe_call) */
    uint32_t variant_count;
    const struct moe_variant *const *variants;
};

/* The one symbol that a plug-in must have. */
const struct moe_plugin *moe_plugin(void);

#ifdef __cplusplus
}
#endif
#endif
