/*
 * usable.c - which kinds of devices can be used here, asked without touching one.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "gpu/gpu.h"
#include "verify/command.h"

/* In a process of its own, for whoever has touched a GPU should not start others. */
static int has_gpu(void)
{
    int status = 1;
    pid_t child = fork();

    if (child == 0) {
        struct moe_gpu_status gpu;

        _exit(moe_gpu_probe(&gpu) == MOE_OK && gpu.state == MOE_GPU_READY ? 0 : 1);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

unsigned moe_devices_usable(unsigned devices)
{
    if (devices & MOE_ON_CUDA && !has_gpu())
        devices &= ~(unsigned)MOE_ON_CUDA;
    return devices;
}
