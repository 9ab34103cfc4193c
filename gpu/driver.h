/*
 * driver.h - libcuda: its functions, taken by dlopen, and its errors in words. Only where the build
 * has cuda.h.
 */
#ifndef MOE_GPU_DRIVER_H
#define MOE_GPU_DRIVER_H

#include <cuda.h>

/*
 * What we call of the driver. cuda.h makes macros of the names whose function has changed
 * (cuMemAlloc is cuMemAlloc_v2), so the symbols that are looked up, the members below and the
 * prototypes are of one version by construction. Those that gpu/probe.c needs come first.
 */
#define DRIVER_FUNCTIONS(X)                                                                        \
    X(cuInit)                                                                                      \
    X(cuDriverGetVersion)                                                                          \
    X(cuDeviceGetCount)                                                                            \
    X(cuDeviceGet)                                                                                 \
    X(cuDeviceGetName)                                                                             \
    X(cuDeviceGetAttribute)                                                                        \
    X(cuGetErrorName)                                                                              \
    X(cuGetErrorString)                                                                            \
    X(cuDevicePrimaryCtxRetain)                                                                    \
    X(cuDevicePrimaryCtxRelease)                                                                   \
    X(cuCtxGetCurrent)                                                                             \
    X(cuCtxSetCurrent)                                                                             \
    X(cuMemGetInfo)                                                                                \
    X(cuMemAlloc)                                                                                  \
    X(cuMemFree)                                                                                   \
    X(cuMemAddressReserve)                                                                         \
    X(cuMemAddressFree)                                                                            \
    X(cuMemCreate)                                                                                 \
    X(cuMemRelease)                                                                                \
    X(cuMemMap)                                                                                    \
    X(cuMemUnmap)                                                                                  \
    X(cuMemSetAccess)                                                                              \
    X(cuMemGetAllocationGranularity)                                                               \
    X(cuMemcpyHtoDAsync)                                                                           \
    X(cuMemcpyDtoHAsync)                                                                           \
    X(cuMemcpyDtoDAsync)                                                                           \
    X(cuMemsetD8Async)                                                                             \
    X(cuStreamCreate)                                                                              \
    X(cuStreamDestroy)                                                                             \
    X(cuStreamSynchronize)                                                                         \
    X(cuEventCreate)                                                                               \
    X(cuEventDestroy)                                                                              \
    X(cuEventRecord)                                                                               \
    X(cuEventSynchronize)                                                                          \
    X(cuEventElapsedTime)                                                                          \
    X(cuModuleLoadData)                                                                            \
    X(cuModuleUnload)                                                                              \
    X(cuModuleGetFunction)                                                                         \
    X(cuFuncSetAttribute)                                                                          \
    X(cuLaunchKernelEx)                                                                            \
    X(cuTensorMapEncodeTiled)                                                                      \
    X(cuStreamBeginCapture)                                                                        \
    X(cuStreamEndCapture)                                                                          \
    X(cuGraphInstantiate)                                                                          \
    X(cuGraphDestroy)                                                                              \
    X(cuGraphLaunch)                                                                               \
    X(cuGraphExecDestroy)                                                                          \
    X(cuMemHostAlloc)                                                                              \
    X(cuMemFreeHost)

struct driver {
#define X(function) __typeof__(function) *function;
    DRIVER_FUNCTIONS(X)
#undef X
    const char *missing; /* the first function that the library lacks; NULL: none */
};

/* The driver's functions, up to the first that is missing; NULL where libcuda.so.1 cannot be
 * opened. The first call opens it; it stays open, and nothing is initialised. */
const struct driver *driver_open(void);

/* Records "WHAT: NAME (the driver's words)" and returns the status that fits the driver's error;
 * MOE_OK for CUDA_SUCCESS. */
int driver_check(const struct driver *driver, CUresult result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
