/*
 * convert.h - from a tensor of a file to a tensor of a case, without loss or not at all.
 */
#ifndef MOE_CONVERT_H
#define MOE_CONVERT_H

#include "verify/safetensors.h"

/* Copies the entry's elements into the dense tensor `to` of the same shape. Types may differ where
 * every value is one of to's as well: floats into floats, integers into integers. MOE_E_USAGE names
 * the path, the tensor and the first element that is not; `to` is then partly written. */
int moe_convert(const char *path, const struct moe_safetensors_entry *entry,
                const struct moe_tensor *to);

#endif
