/*
 * held.h - how much memory is in use, so that what a variant takes for itself can be told.
 */
#ifndef MOE_HELD_H
#define MOE_HELD_H

#include <stdint.h>

/* Bytes that this process has from malloc and has not given back. 0 where that is not known:
 * another C library than glibc, or a sanitizer's allocator. */
int64_t moe_held_bytes(void);

#endif
