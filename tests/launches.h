/*
 * launches.h - which kernels a device of the PTX machine launches, and under how many orders: its
 * class is taken over.
 */
#ifndef MOE_TESTS_LAUNCHES_H
#define MOE_TESTS_LAUNCHES_H

#include "gpu/gpu.h"

#define LAUNCHES_ORDERS 20

/* From now on; once more does nothing. rotate: each kernel's launches take turns by order. */
void launches_watch(struct moe_device *device, int rotate);

/* The orders that this kernel was launched under; without rotation 1, or 0: it was not. */
int launches_orders(const char *entry);

/* Is there a kernel that was launched, but not under all orders yet? */
int launches_go_on(void);

/* Prints each kernel that `wanted` says 1 of and that was launched under fewer orders; their
 * number, and with *met that of the others. */
int launches_missing(int (*wanted)(const struct moe_kernel *kernel), int orders, int *met);

#endif
