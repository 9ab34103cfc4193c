/*
 * gpu.h - GPUs: which there are, and why none can be used. Plain C.
 *
 * libcuda is opened by dlopen at the first probe and never linked, so the program builds and starts
 * where there is no driver.
 */
#ifndef MOE_GPU_H
#define MOE_GPU_H

#include <stddef.h>
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

/* ---- device.c: where kernels run, whatever it is -------------------------------------------- */

/*
 * A device and everything that the host code of a variant may do with it. Behind it stands a GPU's
 * primary context (device_cuda.c); a caller does not know which. Memory, streams and events are the
 * device's own handles (CUdeviceptr as a pointer, CUstream, CUevent); stream NULL is the default
 * one. Streams made here do not wait for the default one, nor it for them.
 *
 * A device is used by one thread at a time. It is made the thread's current one (where a library
 * like cuBLAS looks for it) by open and by every call. Copies to and from the host have ended on
 * return; everything else is only enqueued. 0 bytes are allowed everywhere: no memory is NULL.
 *
 * Every function returns enum moe_status: MOE_E_NOMEM where memory is short, MOE_E_UNSUPPORTED
 * where the device or its code is not there (the text says why), MOE_E_INTERNAL with the driver's
 * own words for the rest. After an error that sticks (an illegal address) every further call fails;
 * the process must end.
 */
struct moe_device;

enum moe_device_attribute {
    MOE_DEVICE_MULTIPROCESSORS,
    MOE_DEVICE_L2_BYTES,
    MOE_DEVICE_CAPABILITY,   /* 10 * major + minor */
    MOE_DEVICE_SHARED_BYTES, /* that one block may have, opted in */
    MOE_DEVICE_FREE_BYTES,   /* memory free now */
    MOE_DEVICE_TOTAL_BYTES,
    MOE_DEVICE_PAGE_BYTES, /* what can be mapped alone */
};

/* kind is MOE_ON_CUDA (verify/variant.h): index counts what the driver shows; or MOE_ON_PTX: it is
 * the seed of a PTX machine. */
int moe_device_open(int kind, int index, struct moe_device **device);
void moe_device_close(struct moe_device *device);
const char *moe_device_name(const struct moe_device *device);
int moe_device_attribute(struct moe_device *device, enum moe_device_attribute attribute,
                         int64_t *value);

int moe_device_allocate(struct moe_device *device, int64_t bytes, void **memory);
void moe_device_free(struct moe_device *device, void *memory);
int moe_device_copy_to(struct moe_device *device, void *to, const void *from_host, int64_t bytes,
                       void *stream);
int moe_device_copy_from(struct moe_device *device, void *to_host, const void *from, int64_t bytes,
                         void *stream);
int moe_device_copy(struct moe_device *device, void *to, const void *from, int64_t bytes,
                    void *stream);
int moe_device_fill(struct moe_device *device, void *memory, int byte, int64_t bytes, void *stream);

/* Addresses apart from memory: what is reserved and not mapped is an illegal address to a kernel.
 * Bytes and places are multiples of MOE_DEVICE_PAGE_BYTES; what was mapped is unmapped as it was
 * mapped, once nothing uses it, and before its addresses are given back. */
int moe_device_reserve(struct moe_device *device, int64_t bytes, void **addresses);
void moe_device_unreserve(struct moe_device *device, void *addresses, int64_t bytes);
int moe_device_map(struct moe_device *device, void *place, int64_t bytes);
void moe_device_unmap(struct moe_device *device, void *place, int64_t bytes);

int moe_device_stream_create(struct moe_device *device, void **stream);
void moe_device_stream_destroy(struct moe_device *device, void *stream);
int moe_device_synchronize(struct moe_device *device, void *stream);
int moe_device_event_create(struct moe_device *device, void **event);
void moe_device_event_destroy(struct moe_device *device, void *event);
int moe_device_event_record(struct moe_device *device, void *event, void *stream);
/* Milliseconds between two recorded events; waits for the second. */
int moe_device_event_elapsed(struct moe_device *device, void *begin, void *end, double *ms);

struct moe_launch {
    const char *kernel; /* entry, as in the table of kernels */
    uint32_t grid[3], block[3];
    uint32_t cluster[3];   /* zeros: none */
    uint32_t shared_bytes; /* dynamic */
    uint32_t dependent;    /* 1: may begin before the launch before it in the stream has ended */
    void *stream;
    void **args; /* one pointer an argument */
};
/* Checked first, in words: the kernel exists and has code for the device, the block is within its
 * launch bounds, shared memory within what a block may have, the cluster divides the grid. */
int moe_device_launch(struct moe_device *device, const struct moe_launch *launch);

/* Loads the code of every kernel whose name begins so, that this device can run, so that no launch
 * takes memory for it. */
int moe_device_prepare(struct moe_device *device, const char *prefix);

/* A tensor map (128 bytes at a multiple of 64, to be passed by value as a kernel argument), as
 * cuTensorMapEncodeTiled. */
struct moe_tensor_map {
    uint8_t bytes[128];
};
struct moe_tensor_map_spec {
    int32_t type, rank, interleave, swizzle, promotion, fill; /* CUtensorMap enums' numbers */
    void *base;
    uint64_t size[5], stride[5]; /* stride in bytes, of dimensions 1 .. rank-1 from index 0 */
    uint32_t box[5], step[5];
};
int moe_device_tensor_map_encode(struct moe_device *device, const struct moe_tensor_map_spec *spec,
                                 struct moe_tensor_map *map);

/* ---- device_graph.c: graphs, and memory that host and device share ----------------------------
 */

/*
 * What is enqueued on the stream between begin and end is not run but becomes a graph, to be
 * launched any number of times. Until the end no thread may allocate, wait or do anything else that
 * a capture forbids (mode "global"): that fails, and so does the end, which is to be called all the
 * same.
 */
int moe_device_capture_begin(struct moe_device *device, void *stream);
int moe_device_capture_end(struct moe_device *device, void *stream, void **graph);
int moe_device_graph_launch(struct moe_device *device, void *graph, void *stream);
void moe_device_graph_destroy(struct moe_device *device, void *graph);

/* Host memory, zeros at first, that kernels read and write at the same address while they run. */
int moe_device_shared_allocate(struct moe_device *device, int64_t bytes, void **memory);
void moe_device_shared_free(struct moe_device *device, void *memory);

/* ---- device_watch.c: what a device sees that is no GPU but a machine that checks --------------
 */

/* Does it? The others say nothing, know every byte, and have one schedule. */
int moe_device_watches(const struct moe_device *device);

/* A name for the allocation, or the mapped piece, that has this byte; in what the device reports.
 */
int moe_device_label(struct moe_device *device, void *memory, const char *name);

/* Bytes that keep their values, and are undefined from now on: what they decide is reported. */
int moe_device_forget(struct moe_device *device, void *memory, int64_t bytes);

/* How many bytes from there on are defined; `bytes`: all. */
int64_t moe_device_undefined(struct moe_device *device, const void *memory, int64_t bytes);

/* What runs from now on runs in the order and at the times of this number, from 0. */
int moe_device_schedule(struct moe_device *device, int number);

/* Takes the first report, since the last call, of what changes no values and is only against the
 * text. 0: there was none. */
int moe_device_remark(struct moe_device *device, char *text, size_t size);

/* Why the launch that failed last says nothing of its kernel: the device does not know an
 * instruction, has no memory. "": it does say. */
const char *moe_device_trouble(const struct moe_device *device);

/* ---- kernels.c: the code that this build contains -------------------------------------------- */

/* One entry for one architecture, from the generated table. */
struct moe_kernel {
    const char *entry;               /* its extern "C" name */
    const char *source;              /* the .cu file's name */
    const char *arch;                /* "90a" */
    int32_t max_threads, min_blocks; /* launch bounds; 0: none declared */
    int32_t registers, shared_bytes; /* as ptxas tells; static shared memory */
};
const struct moe_kernel *moe_kernel_get(int index); /* NULL past the end */

/* Does code compiled for `arch` ("90a", "100f", "80") run on compute capability major.minor? "a"
 * runs on its own capability alone, "f" on its family's later ones too, none on all later minors.
 */
int moe_gpu_arch_runs(const char *arch, int major, int minor);

#ifdef __cplusplus
}
#endif
#endif
