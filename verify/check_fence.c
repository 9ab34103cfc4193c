/*
 * check_fence.c - a variant neither reads nor writes beyond its buffers.
 *
 * It runs twice more with every buffer between pages that are not mapped: once each buffer ends
 * flush at such a page, once it begins at one. On the CPU inputs are mapped read only too. An
 * access over that edge is a fault of the process (SIGSEGV, an illegal address on a GPU), which the
 * supervisor reports as `isolation`, and which names the buffer on stderr; nothing slips through,
 * where a band sees writes alone. Workspace and kept memory have exactly the bytes that are stated;
 * they begin at multiples of MOE_MEMORY_ALIGNMENT and tensors at those of the variant's alignment,
 * so what is left before the page is less than one of these, and guarded.
 *
 * Must catch: one element read behind or before any buffer; a write to an input, also one of the
 * same value; a workspace that is stated too small.
 */
#include "verify/elsewhere.h"

static const struct {
    enum moe_fence fence;
    const char *what;
} places[] = {
    {MOE_FENCE_AFTER, "where buffers end at a fence"},
    {MOE_FENCE_BEFORE, "where buffers begin at a fence"},
};

#define PLACES ((int)(sizeof places / sizeof *places))

static int after(struct moe_judgement *judgement)
{
    int status = MOE_OK;
    for (int i = 0; i < PLACES && status == MOE_OK && elsewhere_wanted(judgement); i++) {
        struct elsewhere elsewhere = elsewhere_of(judgement, "fence", places[i].what);
        elsewhere.trial.where.fence = places[i].fence;
        status = elsewhere_run(&elsewhere);
        if (status == MOE_OK && elsewhere_succeeded(&elsewhere))
            status = elsewhere_judge(&elsewhere);
        elsewhere_free(&elsewhere);
    }
    return status;
}

const struct moe_check moe_check_fence = {
    .name = "fence",
    .summary = "nothing is read or written where a buffer borders on unmapped pages",
    .runs = 2,
    .after = after,
};
