/*
 * padded.c - which tensors of a case the padded path copies, where their copies lie, and the two
 * launches that copy them.
 */
#include <string.h>

#include "gpu/hopper/layer.h"
#include "gpu/parts_launch.h"

/* Blocks for the largest copy of a launch; more would not copy faster. */
#define MOST_BLOCKS 1024

static int64_t rounded(int64_t size)
{
    return (size + 7) / 8 * 8;
}

struct moe_problem hopper_padded_problem(const struct moe_problem *given)
{
    struct moe_problem padded = *given;
    padded.H = rounded(given->H);
    padded.I = rounded(given->I);
    padded.shared = rounded(given->shared);
    return padded;
}

/* Room for copies of those tensors whose shape the padding changes. */
int64_t hopper_padding_lay_out(const struct moe_problem *given, void *at,
                               const struct moe_tensor *tensors, struct moe_tensor *padded)
{
    const struct moe_problem sizes = hopper_padded_problem(given);
    char *next = at;
    for (int i = 0; i < MOE_TENSOR_COUNT; i++) {
        const enum moe_tensor_id id = (enum moe_tensor_id)i;
        struct moe_tensor dense = {0}, wide = {0};
        int status = MOE_OK;
        if (moe_tensor_exists(given, id))
            status = moe_tensor_describe(given, id, &dense);
        if (status == MOE_OK && moe_tensor_exists(given, id))
            status = moe_tensor_describe(&sizes, id, &wide);
        if (status != MOE_OK)
            return status;
        if (tensors)
            padded[id] = tensors[id];
        if (memcmp(dense.shape, wide.shape, sizeof dense.shape) == 0)
            continue;
        wide.data = part_take(&next, moe_tensor_bytes(&wide));
        if (tensors)
            padded[id] = wide;
    }
    return next - (char *)at;
}

/* What is copied of a tensor: its last dimension in rows, the one before it in groups of them, each
 * of which may grow. Of halves, a row of z or a column of w1 is two dimensions. */
static struct padded_copy copy_of(const struct moe_problem *given, enum moe_tensor_id id,
                                  const struct moe_tensor *dense, const struct moe_tensor *wide)
{
    const char *letters = moe_tensor_info(id)->shape;
    const int halves = given->w1 == MOE_W1_HALVES && moe_act_info(given->act)->gated;
    const int64_t units = moe_dtype_info(dense->dtype)->bits / 16;
    int64_t from[2 + 2] = {1}, to[2 + 2] = {1};
    int n = dense->shape[0] != wide->shape[0]; /* a first dimension that grows is no group's */
    for (int axis = 0; axis < dense->rank; axis++, n++) {
        const int halved = halves && (letters[axis] == 'Z' || letters[axis] == 'U');
        if (halved)
            from[n] = to[n] = 2;
        n += halved;
        from[n] = dense->shape[axis] / (halved ? 2 : 1);
        to[n] = wide->shape[axis] / (halved ? 2 : 1);
    }
    struct padded_copy copy = {.dense = dense->data,
                               .padded = wide->data,
                               .outer = 1,
                               .rows = n > 2 ? from[n - 2] : 1,
                               .cols = from[n - 1] * units,
                               .padded_rows = n > 2 ? to[n - 2] : 1,
                               .padded_cols = to[n - 1] * units};
    for (int i = 0; i < (n > 2 ? n - 2 : n - 1); i++)
        copy.outer *= from[i];
    return copy;
}

/* What a pass reads of the caller's, and what it writes. */
static int is_read(const struct hopper_layer *layer, enum moe_tensor_id id, int back)
{
    const enum moe_role role = moe_tensor_info(id)->role;
    if (role == MOE_PARAMETER_GRADIENT)
        return back && layer->problem->beta;
    return role == MOE_INPUT ? back || id != MOE_DO : back && id == MOE_Z;
}

static int is_written(enum moe_tensor_id id, int back)
{
    const enum moe_role role = moe_tensor_info(id)->role;
    return back ? role == MOE_BACKWARD_OUTPUT || role == MOE_PARAMETER_GRADIENT
                : role == MOE_FORWARD_OUTPUT;
}

static int run(const struct hopper_layer *layer, const char *kernel, int writes, int back)
{
    const struct hopper_padding *padding = &layer->padding;
    struct padded_copies copies = {0};
    int64_t most = 0;
    for (int i = 0; i < MOE_TENSOR_COUNT; i++) {
        const enum moe_tensor_id id = (enum moe_tensor_id)i;
        const struct moe_tensor *dense = &padding->dense[id], *wide = &padding->padded[id];
        if (dense->data == wide->data ||
            !(writes ? is_written(id, back) : is_read(layer, id, back)))
            continue;
        struct padded_copy copy = copy_of(padding->given, id, dense, wide);
        if (id == MOE_Z) /* rows: those of the routing */
            copy.outer_used = layer->kept.expert_begin + padding->given->E;
        const int64_t items = copy.outer * copy.padded_rows * (copy.padded_cols / 8);
        most = items > most ? items : most;
        copies.copy[copies.count++] = copy;
    }
    const int64_t blocks = (most + 255) / 256;
    void *args[] = {&copies};
    struct moe_launch launch = {
        .kernel = kernel,
        .grid = {(uint32_t)(blocks < MOST_BLOCKS ? blocks : MOST_BLOCKS), (uint32_t)copies.count,
                 1},
        .block = {256, 1, 1},
        .stream = layer->queue.stream,
        .args = args,
    };
    return most > 0 ? moe_device_launch(layer->device, &launch) : MOE_OK;
}

int hopper_pad(const struct hopper_layer *layer, int back)
{
    return run(layer, "hopper_pad", 0, back);
}

int hopper_unpad(const struct hopper_layer *layer, int back)
{
    return run(layer, "hopper_unpad", 1, back);
}
