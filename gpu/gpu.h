/*
 * gpu.h - GPUs: which there are, and why none can be used. Plain C.
 *
 * libcuda is opened by dlopen at the first probe and never linked, so the program builds and starts
 * where there is no driver.
 */
#ifndef MOE_GPU_H
#define MOE_GPU_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- probe.c -------------------------------------------------------------------------------- */

enum moe_gpu_state {
    MOE_GPU_READY,      /* at least one device can run what this build contains */
    MOE_GPU_NOT_BUILT,  /* built without CUDA */
    MOE_GPU_NO_LIBRARY, /* libcuda.so.1 not found */
    MOE_GPU_NO_DRIVER,  /* the library is there, /dev/nvidiactl is not */
    MOE_GPU_OLD_DRIVER, /* older than the toolkit that the build used */
    MOE_GPU_NO_DEVICE,  /* a driver without devices */
    MOE_GPU_NO_CODE,    /* devices, but the build has no code for any of them */
    MOE_GPU_FAILED,     /* the driver answered something else: trouble, not absence */
};

#define MOE_GPU_MAX 16

struct moe_gpu_device {
    char name[128];
    int32_t major, minor; /* compute capability */
    int32_t has_code;     /* the build has code for it */
};

struct moe_gpu_status {
    enum moe_gpu_state state;
    char reason[256];       /* one line, why there is no usable GPU; "" where READY */
    int32_t driver_version; /* 1000 * major + 10 * minor of CUDA; 0: not known */
    int32_t count;          /* devices that the driver shows, the first MOE_GPU_MAX described */
    struct moe_gpu_device device[MOE_GPU_MAX];
};

/*
 * Looks at the machine and says in words what it found. The first call opens libcuda and
 * initialises it; a process that did so must not fork and go on with CUDA in the child. MOE_OK
 * whatever was found; MOE_E_UNSUPPORTED where state is MOE_GPU_FAILED, with the same line in
 * moe_error_text().
 */
int moe_gpu_probe(struct moe_gpu_status *status);

/* Does code compiled for `arch` ("90a", "100f", "80") run on compute capability major.minor? "a"
 * runs on its own capability alone, "f" on its family's later ones too, none on all later minors.
 */
int moe_gpu_arch_runs(const char *arch, int major, int minor);

#ifdef __cplusplus
}
#endif
#endif
