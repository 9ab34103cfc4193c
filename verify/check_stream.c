/*
 * check_stream.c - on a GPU: all of a variant's work is on the stream that it is given, or joined
 * to it, and its calls return before that work is done unless it declares MOE_HOST_SYNC.
 *
 * Inputs are poison until the stream, which stands still while the call is made, has written them;
 * outputs are taken on the stream right behind the call, and everything is overwritten
 * (on_device_late.c). The stream is not the default one and does not wait for it. Work elsewhere
 * reads poison with certainty, for what it reads is written only after the call has returned, or,
 * with MOE_HOST_SYNC, 200 us later.
 *
 * Then backward is called while forward stands behind a stream that stands still, on inputs that
 * are not those of the round before: what the host has learnt of that one is no longer true.
 *
 * Must catch: kernels, copies or memsets on the default stream or one of the variant's own; results
 * that arrive after the stream has gone on; a wait that is not declared; inputs read by the host
 * during the call, and by backward what the host was to be told by forward.
 */
#include "verify/again.h"

static int after(struct moe_judgement *judgement)
{
    if (!again_on_gpu(judgement, "stream"))
        return MOE_OK;
    int status = again_amid(judgement, "stream", &moe_surroundings_late);
    return status == MOE_OK && again_wanted(judgement)
               ? again_together(judgement, "stream", &moe_surroundings_late)
               : status;
}

const struct moe_check moe_check_stream = {
    .name = "stream",
    .summary = "GPU: inputs that come late and outputs taken early on the variant's stream",
    .runs = 4,
    .after = after,
};
