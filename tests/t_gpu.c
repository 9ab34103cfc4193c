/*
 * t_gpu.c - what gpu/probe.c says is consistent, and where there is a GPU it is one that works.
 *
 * It writes its own TAP, for libcheck has no SKIP: here a machine without a GPU skips the last
 * tests with the reason, and fails as a whole where MOE_REQUIRE_GPU is set. `t_gpu print` prints
 * the probe's answer for probe.sh, which shows it drivers that fail in every way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/gpu.h"
#include "ref/moe.h"

static int number, failures;

static void test(int good, const char *what)
{
    failures += !good;
    printf("%s %d - %s\n", good ? "ok" : "not ok", ++number, what);
}

static int print(const struct moe_gpu_status *gpu)
{
    printf("state %d, driver %d, count %d: %s\n", gpu->state, gpu->driver_version, gpu->count,
           gpu->reason);
    for (int i = 0; i < gpu->count && i < MOE_GPU_MAX; i++)
        printf("%s, sm_%d%d, %s\n", gpu->device[i].name, gpu->device[i].major, gpu->device[i].minor,
               gpu->device[i].has_code ? "code" : "no code");
    return 0;
}

static int architectures(void)
{
    static const struct {
        const char *arch;
        int major, minor, runs;
    } rows[] = {
        {"90a", 9, 0, 1},      {"90a", 10, 0, 0},  {"90", 9, 0, 1},    {"80", 8, 6, 1},
        {"86", 8, 0, 0},       {"80", 9, 0, 0},    {"100a", 10, 0, 1}, {"100a", 10, 3, 0},
        {"100f", 10, 3, 1},    {"103a", 10, 3, 1}, {"103a", 10, 0, 0}, {"120a", 12, 1, 0},
        {"90a,100a", 9, 0, 1},
    };
    int good = 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (moe_gpu_arch_runs(rows[i].arch, rows[i].major, rows[i].minor) != rows[i].runs) {
            fprintf(stderr, "%s on %d.%d\n", rows[i].arch, rows[i].major, rows[i].minor);
            good = 0;
        }
    return good;
}

int main(int argc, char **argv)
{
    struct moe_gpu_status gpu, again;
    const int status = moe_gpu_probe(&gpu);
    if (argc == 2 && !strcmp(argv[1], "print"))
        return print(&gpu);

    const int ready = gpu.state == MOE_GPU_READY;
    if (!ready && getenv("MOE_REQUIRE_GPU")) {
        printf("Bail out! MOE_REQUIRE_GPU is set, but %s\n", gpu.reason);
        return 99;
    }
    puts("1..5");
    test(architectures(), "an architecture's code runs where NVIDIA says");
    test((status == MOE_OK) == (gpu.state != MOE_GPU_FAILED), "only trouble is an error");
    test(ready == !gpu.reason[0], "there is a reason where there is no GPU, and only there");
    test(moe_gpu_probe(&again) == status && !strcmp(again.reason, gpu.reason) &&
             again.count == gpu.count,
         "a second probe says the same");
    if (!ready)
        printf("ok %d # SKIP %s\n", ++number, gpu.reason);
    else
        test(gpu.count > 0 && gpu.driver_version >= 12000 && gpu.device[0].name[0] &&
                 gpu.device[0].major >= 8,
             "the device has a name, a capability and a driver");
    return failures != 0;
}
