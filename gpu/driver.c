/*
 * driver.c - libcuda is opened by dlopen once in a process and never linked: one program starts on
 * machines with and without a driver.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "gpu/driver.h"
#include "ref/moe.h"

/* Twice, so that cuda.h's macros are replaced before the name becomes text. */
#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

static const struct {
    const char *symbol;
    size_t offset;
} functions[] = {
#define X(function) {TEXT(function), offsetof(struct driver, function)},
    DRIVER_FUNCTIONS(X)
#undef X
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct driver driver;
static int opened;

static void open_once(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return;
    opened = 1;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *address = dlsym(library, functions[i].symbol);
        if (!address) {
            driver.missing = functions[i].symbol;
            return;
        }
        memcpy((char *)&driver + functions[i].offset, &address, sizeof address);
    }
}

const struct driver *driver_open(void)
{
    pthread_once(&once, open_once);
    return opened ? &driver : NULL;
}

static int status_of(CUresult result)
{
    switch (result) {
    case CUDA_SUCCESS:
        return MOE_OK;
    case CUDA_ERROR_OUT_OF_MEMORY:
        return MOE_E_NOMEM;
    case CUDA_ERROR_NO_DEVICE:
    case CUDA_ERROR_INVALID_DEVICE:
    case CUDA_ERROR_DEVICE_UNAVAILABLE:
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
        return MOE_E_UNSUPPORTED;
    default:
        return MOE_E_INTERNAL;
    }
}

int driver_check(const struct driver *cuda, CUresult result, const char *format, ...)
{
    if (result == CUDA_SUCCESS)
        return MOE_OK;

    char what[320];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);

    /* Both leave NULL for a number that this driver does not know. */
    const char *name = NULL, *words = NULL;
    cuda->cuGetErrorName(result, &name);
    cuda->cuGetErrorString(result, &words);
    return moe_error(status_of(result), "%s: %s (CUDA error %d: %s)", what,
                     name ? name : "unknown error", (int)result, words ? words : "no description");
}
