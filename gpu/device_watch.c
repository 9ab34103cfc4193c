/*
 * device_watch.c - what can be asked of a device that watches, and what every other one answers.
 */
#include "gpu/device.h"
#include "ref/moe.h"

int moe_device_watches(const struct moe_device *device)
{
    return device->class->watch != NULL;
}

int moe_device_label(struct moe_device *device, void *memory, const char *name)
{
    const struct device_watch *watch = device->class->watch;
    return watch ? watch->label(device, memory, name) : MOE_OK;
}

int moe_device_forget(struct moe_device *device, void *memory, int64_t bytes)
{
    const struct device_watch *watch = device->class->watch;
    return watch && bytes > 0 ? watch->forget(device, memory, bytes) : MOE_OK;
}

int64_t moe_device_undefined(struct moe_device *device, const void *memory, int64_t bytes)
{
    const struct device_watch *watch = device->class->watch;
    return watch && bytes > 0 ? watch->undefined(device, memory, bytes) : bytes;
}

int moe_device_schedule(struct moe_device *device, int number)
{
    const struct device_watch *watch = device->class->watch;
    return watch ? watch->schedule(device, number) : MOE_OK;
}

int moe_device_remark(struct moe_device *device, char *text, size_t size)
{
    const struct device_watch *watch = device->class->watch;
    if (watch)
        return watch->take_remark(device, text, size);
    if (size > 0)
        text[0] = '\0';
    return 0;
}

const char *moe_device_trouble(const struct moe_device *device)
{
    const struct device_watch *watch = device->class->watch;
    return watch ? watch->trouble(device) : "";
}
