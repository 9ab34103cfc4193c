/*
 * probe.c - which GPUs there are, or in words why none can be used.
 *
 * The driver is asked through dlopen, never linked. What it answers is taken apart far enough to
 * tell "install a driver" from "load it", from "newer, please" and from "this is broken": to a user
 * they are four different things to do, while cuInit alone gives one number that says little.
 * Whether the device file exists is asked only after the driver has failed: under WSL there is none
 * and all works.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "gpu/driver.h"
#include "gpu/gpu.h"
#include "ref/moe.h"

static int has_code(const char *archs, int major, int minor)
{
    while (*archs) {
        if (moe_gpu_arch_runs(archs, major, minor))
            return 1;
        archs += strcspn(archs, ",");
        archs += *archs == ',';
    }
    return 0;
}

static void say(struct moe_gpu_status *status, enum moe_gpu_state state, const char *format, int a,
                int b)
{
    status->state = state;
    snprintf(status->reason, sizeof status->reason, format, a, b);
}

static void say_missing(struct moe_gpu_status *status, const char *function)
{
    status->state = MOE_GPU_FAILED;
    snprintf(status->reason, sizeof status->reason, "libcuda.so.1 has no %s", function);
}

/* Why did cuInit fail? */
static void explain(struct moe_gpu_status *status, CUresult error)
{
    if (error == CUDA_ERROR_STUB_LIBRARY)
        say(status, MOE_GPU_NO_LIBRARY, "libcuda.so.1 is the toolkit's stub, not a driver's", 0, 0);
    else if (access("/dev/nvidiactl", F_OK) && access("/dev/dxg", F_OK))
        say(status, MOE_GPU_NO_DRIVER, "no /dev/nvidiactl: the kernel's driver is not loaded", 0,
            0);
    else if (error == CUDA_ERROR_NO_DEVICE)
        say(status, MOE_GPU_NO_DEVICE, "the driver shows no device", 0, 0);
    else if (error == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH)
        say(status, MOE_GPU_FAILED, "libcuda and the kernel's driver are of different versions", 0,
            0);
    else
        say(status, MOE_GPU_FAILED, "cuInit failed with CUDA error %d", (int)error, 0);
}

/* Describes device `ordinal`. */
static CUresult describe(const struct driver *driver, int ordinal, struct moe_gpu_device *device)
{
    CUdevice handle = 0;
    int major = 0, minor = 0;
    CUresult error = driver->cuDeviceGet(&handle, ordinal);
    if (!error)
        error = driver->cuDeviceGetName(device->name, sizeof device->name, handle);
    if (!error)
        error = driver->cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                                             handle);
    if (!error)
        error = driver->cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
                                             handle);
    device->major = major;
    device->minor = minor;
    device->has_code = has_code(MOE_GPU_ARCHS, major, minor);
    return error;
}

static void ask(const struct driver *driver, struct moe_gpu_status *status)
{
    CUresult error = driver->cuInit(0);
    int count = 0, version = 0;
    if (error) {
        explain(status, error);
        return;
    }
    error = driver->cuDriverGetVersion(&version);
    if (!error)
        error = driver->cuDeviceGetCount(&count);
    for (int i = 0; !error && i < count && i < MOE_GPU_MAX; i++)
        error = describe(driver, i, &status->device[i]);
    if (error) {
        say(status, MOE_GPU_FAILED, "the driver failed with CUDA error %d", (int)error, 0);
        return;
    }
    status->driver_version = version;
    status->count = count;
    /* Code of one major version of CUDA runs on every driver of that version. */
    if (version / 1000 < MOE_CUDA_VERSION / 1000) {
        say(status, MOE_GPU_OLD_DRIVER,
            "the driver is too old: for CUDA %d, this is built with CUDA %d", version / 1000,
            MOE_CUDA_VERSION / 1000);
        return;
    }
    if (driver->missing) {
        say_missing(status, driver->missing);
        return;
    }
    if (count == 0) {
        say(status, MOE_GPU_NO_DEVICE, "the driver shows no device", 0, 0);
        return;
    }
    for (int i = 0; i < count && i < MOE_GPU_MAX; i++)
        if (status->device[i].has_code)
            return;
    say(status, MOE_GPU_NO_CODE, "no code for sm_%d%d in this build (" MOE_GPU_ARCHS ")",
        status->device[0].major, status->device[0].minor);
}

int moe_gpu_probe(struct moe_gpu_status *status)
{
    const struct driver *driver = driver_open();
    struct moe_gpu_status found = {.state = MOE_GPU_READY};

    if (!driver)
        say(&found, MOE_GPU_NO_LIBRARY, "libcuda.so.1 not found: no driver is installed", 0, 0);
    else if (!driver->cuDeviceGetAttribute) /* the last of those that are called below */
        say_missing(&found, driver->missing);
    else
        ask(driver, &found);
    *status = found;
    return found.state == MOE_GPU_FAILED ? moe_error(MOE_E_UNSUPPORTED, "GPU: %s", found.reason)
                                         : MOE_OK;
}
