/*
 * sensors.c - clock, power and the driver's name, from NVML, which comes with every driver and is
 * opened by dlopen. What it does not tell is 0 or "": a measurement is worth having without.
 */
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "gpu/bench_device.h"

#ifdef HAVE_CUDA

#include <dlfcn.h>
#include <pthread.h>

#include "gpu/driver.h"

/* NVML's own header is not part of every toolkit: these are its types and numbers. */
#define NVML_CLOCK_SM 1

static struct {
    int (*init)(void);
    int (*driver_version)(char *text, unsigned size);
    int (*by_bus)(const char *bus, void **device);
    int (*clock)(void *device, int kind, unsigned *mhz);
    int (*power)(void *device, unsigned *milliwatts);
    int ready;
    void *device; /* NULL: not found */
} nvml;

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* CUDA's first device as NVML knows it: CUDA_VISIBLE_DEVICES changes the one's order and not the
 * other's, so the bus is asked. */
static void find_device(void)
{
    const struct driver *driver = driver_open();
    struct moe_gpu_status gpu;
    CUdevice handle = 0;
    int domain = 0, bus = 0, slot = 0;
    char name[32];
    if (!driver || moe_gpu_probe(&gpu) != MOE_OK || gpu.state != MOE_GPU_READY ||
        driver->cuDeviceGet(&handle, 0) != CUDA_SUCCESS ||
        driver->cuDeviceGetAttribute(&domain, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, handle) ||
        driver->cuDeviceGetAttribute(&bus, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, handle) ||
        driver->cuDeviceGetAttribute(&slot, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, handle))
        return;
    snprintf(name, sizeof name, "%08x:%02x:%02x.0", (unsigned)domain, (unsigned)bus,
             (unsigned)slot);
    if (nvml.by_bus(name, &nvml.device) != 0)
        nvml.device = NULL;
}

static void open_library(void)
{
    const struct {
        const char *name;
        void *to;
    } functions[] = {
        {"nvmlInit_v2", &nvml.init},
        {"nvmlSystemGetDriverVersion", &nvml.driver_version},
        {"nvmlDeviceGetHandleByPciBusId_v2", &nvml.by_bus},
        {"nvmlDeviceGetClockInfo", &nvml.clock},
        {"nvmlDeviceGetPowerUsage", &nvml.power},
    };
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; library && i < sizeof functions / sizeof *functions; i++) {
        void *address = dlsym(library, functions[i].name);
        if (!address)
            return;
        memcpy(functions[i].to, &address, sizeof address);
    }
    if (!library || nvml.init() != 0)
        return;
    nvml.ready = 1;
    find_device();
}

void sensors_read(double *mhz, double *watts)
{
    unsigned clock = 0, power = 0;
    pthread_once(&once, open_library);
    if (nvml.device && nvml.clock(nvml.device, NVML_CLOCK_SM, &clock) != 0)
        clock = 0;
    if (nvml.device && nvml.power(nvml.device, &power) != 0)
        power = 0;
    *mhz = clock;
    *watts = 1e-3 * power;
}

void moe_gpu_driver_name(char *text, size_t size)
{
    char version[128] = "";
    pthread_once(&once, open_library);
    if (nvml.ready && nvml.driver_version(version, sizeof version) != 0)
        version[0] = '\0';
    snprintf(text, size, "%s", version);
}

#else

void sensors_read(double *mhz, double *watts)
{
    *mhz = *watts = 0;
}

void moe_gpu_driver_name(char *text, size_t size)
{
    snprintf(text, size, "%s", "");
}

#endif
