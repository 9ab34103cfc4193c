/*
 * t_parts.c - every function of gpu/parts.h on device tensors, as a user calls it, against the
 * reference and plain loops.
 *
 * The tests stand in parts_*.c; each runs on a stream of its own device. This program writes its
 * own TAP, for libcheck has no SKIP: without a GPU all are skipped with the reason, and fail as a
 * whole where MOE_REQUIRE_GPU is set.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/launches.h"
#include "tests/parts_array.h"
#include "tests/parts_tests.h"
#include "verify/variant.h"

/* t_parts_ptx is the same on the PTX machine, which is slower, and there on every machine. There
 * the launches of a kernel take turns by order and time, and each kernel has to meet twenty. */
#ifdef ON_PTX
#define DEVICE MOE_ON_PTX
#define ONE_IN 7
#define MOST_TIMES 20 /* a test is run, with other combinations, until its kernels have met all */
#else
#define DEVICE MOE_ON_CUDA
#define ONE_IN 1
#define MOST_TIMES 1
#endif

static const struct {
    const char *what;
    int (*test)(void);
} tests[] = {
    {"tokens pick as the reference's do", tokens_pick},
    {"scores", scores_are_right},
    {"scores of a token with a NaN", scores_of_nan},
    {"gradients of logits, losses included", gradients_reach_logits},
    {"token rounding, all five rules", tokens_are_rounded},
    {"lists become rows", lists_become_rows},
    {"ids that are not allowed are dropped", wrong_ids_are_dropped},
    {"scores go to rows, and their gradients back", scores_go_to_rows_and_back},
    {"activations, all layouts and types", rows_are_activated},
    {"activations backward", activations_go_back},
    {"rows are gathered", rows_are_gathered},
    {"biases are added", biases_are_added},
    {"tokens sum their rows, with every option", tokens_are_summed},
    {"column sums", columns_are_summed},
    {"rows are multiplied", rows_are_multiplied},
    {"the shared expert's gate, both ways", gates_open},
    {"types convert", types_convert},
};

#ifdef ON_PTX
/* Not those of the judge and of bench, nor hopper's (t_hopper_schedules). */
static int is_of_parts(const struct moe_kernel *kernel)
{
    return strncmp(kernel->entry, "hopper_", 7) != 0 && strcmp(kernel->source, "disturb.cu") != 0 &&
           strcmp(kernel->source, "fill.cu") != 0;
}

static int orders_are_met(int number)
{
    int met = 0;
    const int missing = launches_missing(is_of_parts, LAUNCHES_ORDERS, &met);
    printf("%s %d - %d kernels under %d orders\n", missing ? "not ok" : "ok", number, met,
           LAUNCHES_ORDERS);
    return !missing;
}
#endif

int main(void)
{
    const int count = LENGTH(tests);
    char why[512] = "";
    int failures = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    one_in = ONE_IN;
    int status = moe_device_open(DEVICE, 0, &queue.device);
    const struct moe_kernel *kernel = moe_kernel_get(0);
    if (status == MOE_OK && !kernel)
        status = moe_error(MOE_E_UNSUPPORTED, "this build has no kernels");
    if (status == MOE_OK)
        status = moe_device_stream_create(queue.device, &queue.stream);
    if (status != MOE_OK) {
        snprintf(why, sizeof why, "%s", moe_error_text());
        if (DEVICE == MOE_ON_CUDA && getenv("MOE_REQUIRE_GPU")) {
            printf("Bail out! MOE_REQUIRE_GPU is set, but %s\n", why);
            return 99;
        }
    }
#ifdef ON_PTX
    if (status == MOE_OK)
        launches_watch(queue.device, 1);
    printf("1..%d\n", count + (status == MOE_OK));
#else
    printf("1..%d\n", count);
#endif
    for (int i = 0; i < count; i++) {
        if (status != MOE_OK) {
            printf("ok %d - %s # SKIP %s\n", i + 1, tests[i].what, why);
            continue;
        }
        trouble = 0;
        int good = 1, again = MOST_TIMES;
        do {
            good &= tests[i].test();
            arrays_free();
        } while (good && --again && launches_go_on());
        const int bad = !good || trouble;
        failures += bad;
        printf("%s %d - %s\n", bad ? "not ok" : "ok", i + 1, tests[i].what);
    }
#ifdef ON_PTX
    if (status == MOE_OK)
        failures += !orders_are_met(count + 1);
#endif
    if (queue.stream)
        moe_device_stream_destroy(queue.device, queue.stream);
    moe_device_close(queue.device);
    return failures != 0;
}
