/*
 * device.h - what stands behind struct moe_device: a class of devices gives these functions, and
 * gpu/device.c checks what can be checked for all of them and calls them.
 */
#ifndef MOE_GPU_DEVICE_H
#define MOE_GPU_DEVICE_H

#include <stddef.h>

#include "gpu/gpu.h"

/* Of a class that sees more than a GPU does; gpu.h says what these are, device_watch.c calls them.
 */
struct device_watch {
    int (*label)(struct moe_device *device, void *memory, const char *name);
    int (*forget)(struct moe_device *device, void *memory, int64_t bytes);
    int64_t (*undefined)(struct moe_device *device, const void *memory, int64_t bytes);
    int (*schedule)(struct moe_device *device, int number);
    int (*take_remark)(struct moe_device *device, char *text, size_t size);
    const char *(*trouble)(const struct moe_device *device);
};

struct device_class {
    int kind;                         /* enum moe_device_kind */
    const struct device_watch *watch; /* NULL: it sees what it is told */
    int (*open)(int index, struct moe_device **device);
    void (*close)(struct moe_device *device);
    int (*attribute)(struct moe_device *device, enum moe_device_attribute attribute,
                     int64_t *value);
    int (*allocate)(struct moe_device *device, int64_t bytes, void **memory);
    void (*release)(struct moe_device *device, void *memory);
    int (*copy_to)(struct moe_device *device, void *to, const void *from_host, int64_t bytes,
                   void *stream);
    int (*copy_from)(struct moe_device *device, void *to_host, const void *from, int64_t bytes,
                     void *stream);
    int (*copy)(struct moe_device *device, void *to, const void *from, int64_t bytes, void *stream);
    int (*fill)(struct moe_device *device, void *memory, int byte, int64_t bytes, void *stream);
    int (*reserve)(struct moe_device *device, int64_t bytes, void **addresses);
    void (*unreserve)(struct moe_device *device, void *addresses, int64_t bytes);
    int (*map)(struct moe_device *device, void *place, int64_t bytes);
    void (*unmap)(struct moe_device *device, void *place, int64_t bytes);
    int (*stream_create)(struct moe_device *device, void **stream);
    void (*stream_destroy)(struct moe_device *device, void *stream);
    int (*synchronize)(struct moe_device *device, void *stream);
    int (*event_create)(struct moe_device *device, void **event);
    void (*event_destroy)(struct moe_device *device, void *event);
    int (*event_record)(struct moe_device *device, void *event, void *stream);
    int (*event_elapsed)(struct moe_device *device, void *begin, void *end, double *ms);
    /* `row` of kernel_rows is the code to run; launch is one that device.c found no fault with. */
    int (*launch)(struct moe_device *device, int row, const struct moe_launch *launch);
    int (*prepare)(struct moe_device *device, int row); /* NULL: nothing to do */
    int (*tensor_map_encode)(struct moe_device *device, const struct moe_tensor_map_spec *spec,
                             struct moe_tensor_map *map);
    int (*capture_begin)(struct moe_device *device, void *stream);
    int (*capture_end)(struct moe_device *device, void *stream, void **graph);
    int (*graph_launch)(struct moe_device *device, void *graph, void *stream);
    void (*graph_destroy)(struct moe_device *device, void *graph);
    int (*shared_allocate)(struct moe_device *device, int64_t bytes, void **memory);
    void (*shared_free)(struct moe_device *device, void *memory);
};

/* A class's own device begins with this. */
struct moe_device {
    const struct device_class *class;
    char name[128];
    int major, minor;     /* compute capability */
    int64_t shared_bytes; /* that one block may have */
};

extern const struct device_class device_cuda, device_ptx;

#endif
