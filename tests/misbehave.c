/*
 * misbehave.c - a plug-in whose variants are `naive` with one bad habit each, for command.sh.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verify/verify.h"

static const struct moe_variant *naive(void)
{
    const struct moe_variant *variant;

    for (int i = 0; (variant = moe_variant_get(i)) != NULL; i++)
        if (strcmp(variant->name, "naive") == 0)
            return variant;
    return NULL;
}

/* Of the signal itself, even where a sanitizer would rather report it. */
static int die_of(int number)
{
    signal(number, SIG_DFL);
    return raise(number);
}

/* What a variant does beside computing. Only forward misbehaves. */

static int forward_prints(void *state, const struct moe_call *call)
{
    puts("{\"job\":1,\"result\":{}}");
    fputs("phase judge\n", stdout);
    fflush(stdout);
    return naive()->forward(state, call);
}

static int forward_reads(void *state, const struct moe_call *call)
{
    char line[256];

    while (fgets(line, sizeof line, stdin) != NULL)
        continue;
    return naive()->forward(state, call);
}

/* As a program does that tidies up before it starts another. */
static int forward_closes(void *state, const struct moe_call *call)
{
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    return naive()->forward(state, call);
}

static int forward_wrong(void *state, const struct moe_call *call)
{
    int status = naive()->forward(state, call);

    moe_dtype_store(call->tensors[MOE_O].dtype, call->tensors[MOE_O].data, 3, 1e4, 0);
    return status;
}

/* Every second time only. */
static int forward_flaky(void *state, const struct moe_call *call)
{
    static int calls;
    int status = naive()->forward(state, call);

    if (++calls % 2 == 0 && moe_tensor_count(&call->tensors[MOE_O]) > 0)
        moe_dtype_store(call->tensors[MOE_O].dtype, call->tensors[MOE_O].data, 0, 1e4, 0);
    return status;
}

static int forward_crash(void *state, const struct moe_call *call)
{
    (void)state, (void)call;
    return die_of(SIGSEGV);
}

/* The element behind x, which is there in most memory. */
static int forward_overreads(void *state, const struct moe_call *call)
{
    const struct moe_tensor *x = &call->tensors[MOE_X];
    int64_t last = moe_tensor_position(x, moe_tensor_count(x) - 1);
    volatile double behind = moe_dtype_load(x->dtype, x->data, last + 1);

    (void)behind;
    return naive()->forward(state, call);
}

static int forward_leave(void *state, const struct moe_call *call)
{
    (void)state, (void)call;
    exit(0);
    return MOE_OK;
}

static int forward_hang(void *state, const struct moe_call *call)
{
    (void)state, (void)call;
    for (;;)
        pause();
    return MOE_OK;
}

/* Crashes where the file that MISBEHAVE_ONCE names is not there yet. */
static int forward_once(void *state, const struct moe_call *call)
{
    int fd = open(getenv("MISBEHAVE_ONCE"), O_CREAT | O_EXCL | O_WRONLY, 0600);

    if (fd >= 0)
        abort();
    return naive()->forward(state, call);
}

static int forward_refuses(void *state, const struct moe_call *call)
{
    (void)state, (void)call;
    return moe_error(MOE_E_INTERNAL, "not today");
}

static int supports_crash(const struct moe_problem *problem, char *why, size_t size)
{
    (void)problem, (void)why, (void)size;
    return die_of(SIGFPE);
}

static const struct {
    const char *name;
    int (*forward)(void *state, const struct moe_call *call);
    int (*supports)(const struct moe_problem *problem, char *why, size_t size);
} habit[] = {
    {"prints", forward_prints, NULL},   {"reads", forward_reads, NULL},
    {"closes", forward_closes, NULL},   {"wrong", forward_wrong, NULL},
    {"flaky", forward_flaky, NULL},     {"crash", forward_crash, NULL},
    {"leave", forward_leave, NULL},     {"overreads", forward_overreads, NULL},
    {"hang", forward_hang, NULL},       {"once", forward_once, NULL},
    {"refuses", forward_refuses, NULL}, {"supports-crash", NULL, supports_crash},
};

#define HABITS (sizeof habit / sizeof *habit)

static struct moe_variant variant[HABITS];
static const struct moe_variant *variants[HABITS];

const struct moe_plugin *moe_plugin(void)
{
    static const struct moe_plugin plugin = {
        .struct_size = sizeof(struct moe_plugin),
        .version = MOE_PLUGIN_VERSION,
        .problem_size = sizeof(struct moe_problem),
        .tensor_size = sizeof(struct moe_tensor),
        .tensor_count = MOE_TENSOR_COUNT,
        .recipe_size = sizeof(struct moe_recipe),
        .call_size = sizeof(struct moe_call),
        .variant_count = HABITS,
        .variants = variants,
    };

    for (size_t i = 0; i < HABITS; i++) {
        variant[i] = *naive();
        variant[i].name = habit[i].name;
        if (habit[i].forward != NULL)
            variant[i].forward = habit[i].forward;
        if (habit[i].supports != NULL)
            variant[i].supports = habit[i].supports;
        variants[i] = &variant[i];
    }
    return &plugin;
}
