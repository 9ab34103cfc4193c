/*
 * launches.c - see launches.h.
 */
#include <stdio.h>
#include <string.h>

#include "gpu/device.h"
#include "tests/launches.h"

#define KERNELS_MOST 1024

static int launched[KERNELS_MOST], rotates;
static const struct device_class *given;
static struct device_class seen;

static int launch(struct moe_device *device, int row, const struct moe_launch *what)
{
    if (row < KERNELS_MOST) {
        if (rotates)
            moe_device_schedule(device, launched[row] % LAUNCHES_ORDERS);
        launched[row]++;
    }
    return given->launch(device, row, what);
}

void launches_watch(struct moe_device *device, int rotate)
{
    if (device->class == &seen)
        return;
    rotates = rotate;
    given = device->class;
    seen = *given;
    seen.launch = launch;
    device->class = &seen;
}

int launches_orders(const char *entry)
{
    const struct moe_kernel *kernel;
    int count = 0;
    for (int row = 0; row < KERNELS_MOST && (kernel = moe_kernel_get(row)); row++)
        if (launched[row] && !strcmp(kernel->entry, entry))
            count += launched[row];
    const int most = rotates ? LAUNCHES_ORDERS : 1;
    return count > most ? most : count;
}

int launches_go_on(void)
{
    const struct moe_kernel *kernel;
    int behind = 0;
    for (int row = 0; row < KERNELS_MOST && (kernel = moe_kernel_get(row)); row++)
        behind += launched[row] > 0 && launched[row] < LAUNCHES_ORDERS;
    return behind > 0;
}

int launches_missing(int (*wanted)(const struct moe_kernel *kernel), int orders, int *met)
{
    const struct moe_kernel *kernel;
    int missing = 0;
    *met = 0;
    for (int row = 0; (kernel = moe_kernel_get(row)); row++) {
        if (!wanted(kernel))
            continue;
        const int got = launches_orders(kernel->entry);
        missing += got < orders;
        *met += got >= orders;
        if (got < orders)
            printf("# %s is launched under %d orders of %d\n", kernel->entry, got, orders);
    }
    return missing;
}
