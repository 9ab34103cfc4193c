/*
 * variant_ref.h - what the two variants made of the reference share.
 */
#ifndef MOE_VARIANT_REF_H
#define MOE_VARIANT_REF_H

#include "verify/variant.h"

int reference_open(const struct moe_problem *problem, enum moe_dtype precision, void **state);
int reference_forward(void *state, const struct moe_call *call);
int reference_backward(void *state, const struct moe_call *call);
void reference_close(void *state);
int64_t reference_bytes(const struct moe_problem *problem); /* 0: it takes its own */

#endif
