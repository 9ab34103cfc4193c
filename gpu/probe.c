/*
 * probe.c - which GPUs there are, or in words why none can be used.
 *
 * The driver is asked through dlopen, never linked. What it answers is taken apart far enough to
 * tell "install a driver" from "load it", from "newer, please" and from "this is broken": to a user
 * they are four different things to do, while cuInit alone gives one number that says little.
 * Whether the device file exists is asked only after the driver has failed: under WSL there is none
 * and all works.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "gpu/gpu.h"
#include "ref/moe.h"

/* Of cuda.h, which a build without CUDA does not have. */
enum { STUB_LIBRARY = 34, NO_DEVICE = 100, DRIVER_MISMATCH = 803 };
enum { CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76 };

struct driver {
    int (*init)(unsigned flags);
    int (*version)(int *version);
    int (*count)(int *count);
    int (*get)(int *device, int ordinal);
    int (*name)(char *name, int size, int device);
    int (*attribute)(int *value, int attribute, int device);
};

static const struct {
    const char *symbol;
    size_t offset;
} entry_points[] = {
    {"cuInit", offsetof(struct driver, init)},
    {"cuDriverGetVersion", offsetof(struct driver, version)},
    {"cuDeviceGetCount", offsetof(struct driver, count)},
    {"cuDeviceGet", offsetof(struct driver, get)},
    {"cuDeviceGetName", offsetof(struct driver, name)},
    {"cuDeviceGetAttribute", offsetof(struct driver, attribute)},
};

int moe_gpu_arch_runs(const char *arch, int major, int minor)
{
    char *suffix;
    const long number = strtol(arch, &suffix, 10);
    if (number / 10 != major)
        return 0;
    return *suffix == 'a' ? number % 10 == minor : number % 10 <= minor;
}

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

/* NULL, or the symbol that the library lacks. */
static const char *load(void *library, struct driver *driver)
{
    for (size_t i = 0; i < sizeof entry_points / sizeof *entry_points; i++) {
        void *address = dlsym(library, entry_points[i].symbol);
        if (!address)
            return entry_points[i].symbol;
        memcpy((char *)driver + entry_points[i].offset, &address, sizeof address);
    }
    return NULL;
}

static void say(struct moe_gpu_status *status, enum moe_gpu_state state, const char *format, int a,
                int b)
{
    status->state = state;
    snprintf(status->reason, sizeof status->reason, format, a, b);
}

/* Why did cuInit fail? */
static void explain(struct moe_gpu_status *status, int error)
{
    if (error == STUB_LIBRARY)
        say(status, MOE_GPU_NO_LIBRARY, "libcuda.so.1 is the toolkit's stub, not a driver's", 0, 0);
    else if (access("/dev/nvidiactl", F_OK) && access("/dev/dxg", F_OK))
        say(status, MOE_GPU_NO_DRIVER, "no /dev/nvidiactl: the kernel's driver is not loaded", 0,
            0);
    else if (error == NO_DEVICE)
        say(status, MOE_GPU_NO_DEVICE, "the driver shows no device", 0, 0);
    else if (error == DRIVER_MISMATCH)
        say(status, MOE_GPU_FAILED, "libcuda and the kernel's driver are of different versions", 0,
            0);
    else
        say(status, MOE_GPU_FAILED, "cuInit failed with CUDA error %d", error, 0);
}

/* Describes device `ordinal`; 0 or the driver's error. */
static int describe(const struct driver *driver, int ordinal, struct moe_gpu_device *device)
{
    int handle = 0, major = 0, minor = 0;
    int error = driver->get(&handle, ordinal);
    if (!error)
        error = driver->name(device->name, sizeof device->name, handle);
    if (!error)
        error = driver->attribute(&major, CAPABILITY_MAJOR, handle);
    if (!error)
        error = driver->attribute(&minor, CAPABILITY_MINOR, handle);
    device->major = major;
    device->minor = minor;
    device->has_code = has_code(MOE_GPU_ARCHS, major, minor);
    return error;
}

static void ask(const struct driver *driver, struct moe_gpu_status *status)
{
    int error = driver->init(0), count = 0, version = 0;
    if (error) {
        explain(status, error);
        return;
    }
    error = driver->version(&version);
    if (!error)
        error = driver->count(&count);
    for (int i = 0; !error && i < count && i < MOE_GPU_MAX; i++)
        error = describe(driver, i, &status->device[i]);
    if (error) {
        say(status, MOE_GPU_FAILED, "the driver failed with CUDA error %d", error, 0);
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
    struct driver driver = {0};
    struct moe_gpu_status found = {.state = MOE_GPU_READY};
    void *library = MOE_CUDA_VERSION ? dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL) : NULL;
    const char *missing = library ? load(library, &driver) : NULL;
    if (!MOE_CUDA_VERSION) {
        found.state = MOE_GPU_NOT_BUILT;
        snprintf(found.reason, sizeof found.reason, "built without CUDA: %s", MOE_CUDA_WHY);
    } else if (!library) {
        say(&found, MOE_GPU_NO_LIBRARY, "libcuda.so.1 not found: no driver is installed", 0, 0);
    } else if (missing) {
        found.state = MOE_GPU_FAILED;
        snprintf(found.reason, sizeof found.reason, "libcuda.so.1 has no %s", missing);
    } else {
        ask(&driver, &found);
    }
    *status = found;
    return found.state == MOE_GPU_FAILED ? moe_error(MOE_E_UNSUPPORTED, "GPU: %s", found.reason)
                                         : MOE_OK;
}
