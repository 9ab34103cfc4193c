/*
 * command_ptx.c - moecheck ptx FILE.ptx: one kernel of anybody's on the PTX machine.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gpu/ptx/run.h"
#include "verify/aside.h"
#include "verify/command.h"

#define SAVED_MAX 16

struct ptx {
    struct moe_options common;
    struct moe_ptx_job job;
    const char *file;
    struct {
        int argument;
        const char *path;
    } save[SAVED_MAX];
    int saves;
    uint64_t seeds; /* 0 and 1: one run */
};

enum {
    KEY_KERNEL = 0x200,
    KEY_GRID,
    KEY_BLOCK,
    KEY_CLUSTER,
    KEY_SHARED,
    KEY_SHARED_ALIGN,
    KEY_ARGS,
    KEY_SEED,
    KEY_SEEDS,
    KEY_SCHEDULE,
    KEY_TIME,
    KEY_TRACE,
    KEY_SAVE
};

static const struct argp_option options[] = {
    {"kernel", KEY_KERNEL, "NAME", 0, "The entry to run (default: the only one)", 0},
    {"grid", KEY_GRID, "X[,Y,Z]", 0, "CTAs (default: 1)", 0},
    {"block", KEY_BLOCK, "X[,Y,Z]", 0, "Threads of a CTA (default: 32)", 0},
    {"cluster", KEY_CLUSTER, "X[,Y,Z]", 0, "CTAs of a cluster (default: the kernel's own)", 0},
    {"shared", KEY_SHARED, "BYTES", 0, "Dynamic shared memory (default: 0)", 0},
    {"shared-align", KEY_SHARED_ALIGN, "BYTES", 0,
     "It begins at a multiple of this; GPUs have 1024 (default: as the kernel declares it and no "
     "better, which is all that PTX promises)",
     0},
    {"args", KEY_ARGS, "A,B,...", 0,
     "One for each parameter: a number, or memory: zeros:BYTES, unknown:BYTES, bytes:VALUE*BYTES, "
     "file:PATH, or a tensor map of memory: "
     "map:TYPE:SIZE[*STRIDE]x..:BOXx..:SWIZZLE@MEMORY",
     0},
    {"save", KEY_SAVE, "N:FILE", 0,
     "Write what the memory of argument N holds at the end; may be repeated", 0},
    {"seed", KEY_SEED, "N", 0, "Of schedule and times; the same number runs the same way", 0},
    {"seeds", KEY_SEEDS, "N", 0,
     "Run under N seeds, schedules and times, from 0, as --device ptx:0 to ptx:N-1 (default: 1)",
     0},
    {"schedule", KEY_SCHEDULE, "NAME", 0, "round-robin (default), random, priority", 0},
    {"time", KEY_TIME, "NAME", 0, "When asynchronous effects happen: eager (default), lazy, random",
     0},
    {"trace", KEY_TRACE, "CTA,WARP", OPTION_ARG_OPTIONAL, "Print what a warp did (default: 0,0)",
     0},
    {0},
};

static int read_extents(const char *text, uint32_t extents[3], uint32_t missing)
{
    char *rest = (char *)text;
    for (int i = 0; i < 3; i++)
        extents[i] = missing;
    for (int i = 0; i < 3; i++) {
        const char *begin = rest;
        errno = 0;
        const unsigned long value = strtoul(begin, &rest, 10);
        if (rest == begin || errno || value == 0 || value > INT32_MAX)
            return 0;
        extents[i] = (uint32_t)value;
        if (*rest != ',')
            break;
        rest++;
    }
    return *rest == '\0';
}

static error_t refuse(struct ptx *ptx, const char *option, const char *argument)
{
    moe_command_usage(ptx->common.name, "--%s is '%s'; allowed are one to three numbers from 1",
                      option, argument);
    return EINVAL;
}

static error_t parse_number(struct ptx *ptx, const char *option, const char *argument,
                            uint64_t most, uint64_t *value)
{
    char *rest;
    errno = 0;
    *value = strtoull(argument, &rest, 10);
    if (rest == argument || *rest || errno || argument[0] == '-' || *value > most) {
        moe_command_usage(ptx->common.name, "--%s is '%s'; allowed: 0 .. %llu", option, argument,
                          (unsigned long long)most);
        return EINVAL;
    }
    return 0;
}

static error_t parse_trace(struct ptx *ptx, const char *argument)
{
    char *rest = NULL;
    ptx->job.trace = 1;
    if (!argument)
        return 0;
    errno = 0;
    ptx->job.trace_cta = (uint32_t)strtoul(argument, &rest, 10);
    if (rest != argument && *rest == ',') {
        const char *warp = rest + 1;
        ptx->job.trace_warp = (uint32_t)strtoul(warp, &rest, 10);
        if (rest != warp && !*rest && !errno)
            return 0;
    }
    moe_command_usage(ptx->common.name, "--trace is '%s'; allowed are two numbers, CTA,WARP",
                      argument);
    return EINVAL;
}

static error_t parse_save(struct ptx *ptx, const char *argument)
{
    char *rest;
    errno = 0;
    const unsigned long number = strtoul(argument, &rest, 10);
    if (rest == argument || *rest != ':' || !rest[1] || errno || number > INT32_MAX ||
        ptx->saves == SAVED_MAX) {
        moe_command_usage(ptx->common.name, "--save is '%s'; allowed is N:FILE, at most %d times",
                          argument, SAVED_MAX);
        return EINVAL;
    }
    ptx->save[ptx->saves].argument = (int)number;
    ptx->save[ptx->saves++].path = rest + 1;
    return 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct ptx *ptx = state->input;
    uint64_t value = 0;
    error_t error = 0;
    switch (key) {
    case KEY_KERNEL:
        ptx->job.kernel = argument;
        return 0;
    case KEY_GRID:
        return read_extents(argument, ptx->job.grid, 1) ? 0 : refuse(ptx, "grid", argument);
    case KEY_BLOCK:
        return read_extents(argument, ptx->job.block, 1) ? 0 : refuse(ptx, "block", argument);
    case KEY_CLUSTER:
        return read_extents(argument, ptx->job.cluster, 1) ? 0 : refuse(ptx, "cluster", argument);
    case KEY_SHARED:
        error = parse_number(ptx, "shared", argument, 227 * 1024, &value);
        ptx->job.shared_bytes = (uint32_t)value;
        return error;
    case KEY_SHARED_ALIGN:
        error = parse_number(ptx, "shared-align", argument, 1024, &value);
        ptx->job.shared_align = (uint32_t)value;
        return error;
    case KEY_ARGS:
        ptx->job.args = argument;
        return 0;
    case KEY_SEED:
        return parse_number(ptx, "seed", argument, UINT64_MAX, &ptx->job.seed);
    case KEY_SEEDS:
        return parse_number(ptx, "seeds", argument, MOE_DEVICES_SCHEDULE_MOST, &ptx->seeds);
    case KEY_SCHEDULE:
        ptx->job.schedule = argument;
        return 0;
    case KEY_TIME:
        ptx->job.time = argument;
        return 0;
    case KEY_TRACE:
        return parse_trace(ptx, argument);
    case KEY_SAVE:
        return parse_save(ptx, argument);
    case ARGP_KEY_ARG:
        if (ptx->file) {
            moe_command_usage(ptx->common.name, "one file of PTX, and no '%s'", argument);
            return EINVAL;
        }
        ptx->file = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse,
    "FILE.ptx",
    "Runs one kernel on the PTX machine, which needs no GPU, and reports what is wrong with it: "
    "accesses outside or misaligned, what nobody wrote and yet decides, deadlocks, barriers "
    "misused. "
    "What each buffer holds at the end is printed as its XXH3-128. Exits with 1 where something "
    "changes values.",
    NULL,
    NULL,
    NULL};

static int read_file(const char *path, char **text, uint64_t *length)
{
    FILE *file = fopen(path, "rb");
    size_t room = 0, used = 0;
    if (!file)
        return moe_error(MOE_E_IO, "%s: %s", path, strerror(errno));
    *text = NULL;
    do {
        room = 2 * room + 65536;
        char *more = realloc(*text, room);
        if (!more) {
            fclose(file);
            return moe_error(MOE_E_NOMEM, "no memory for %s", path);
        }
        *text = more;
        used += fread(*text + used, 1, room - used, file);
    } while (used == room);
    const int bad = ferror(file);
    fclose(file);
    *length = used;
    return bad ? moe_error(MOE_E_IO, "%s: cannot be read", path) : MOE_OK;
}

struct told {
    const struct ptx *ptx;
    int values, saved;
    uint64_t buffers, first; /* FNV-1a of what is said of this run's memory, and of the first's */
};

static void say(void *data, enum moe_ptx_line kind, const char *line)
{
    struct told *told = data;
    static const char *const begin[] = {[MOE_PTX_TRACE] = "",
                                        [MOE_PTX_PRINT] = "",
                                        [MOE_PTX_BUFFER] = "",
                                        [MOE_PTX_TEXT] = "text: ",
                                        [MOE_PTX_VALUE] = "FAIL: "};
    const struct ptx *ptx = told->ptx;
    told->values += kind == MOE_PTX_VALUE;
    if (kind == MOE_PTX_BUFFER)
        for (const char *c = line; *c; c++)
            told->buffers = (told->buffers ^ (unsigned char)*c) * 0x100000001b3u;
    if ((ptx->common.quiet && kind != MOE_PTX_VALUE) ||
        (kind == MOE_PTX_BUFFER && ptx->job.seed && ptx->seeds > 1))
        return;
    if (ptx->seeds > 1 && kind != MOE_PTX_BUFFER)
        printf("seed %llu: ", (unsigned long long)ptx->job.seed);
    printf("%s%s\n", begin[kind], line);
}

static int save(void *data, int argument, const void *bytes, uint64_t size)
{
    struct told *told = data;
    int status = MOE_OK;
    for (int i = 0; !status && i < told->ptx->saves; i++) {
        struct moe_aside aside;
        if (told->ptx->save[i].argument != argument)
            continue;
        status = moe_aside_open(told->ptx->save[i].path, &aside);
        if (status)
            continue;
        status = moe_aside_write(&aside, bytes, size);
        if (status)
            moe_aside_discard(&aside);
        else
            status = moe_aside_commit(&aside);
        told->saved++;
    }
    return status;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* One run, or one for each seed, whose schedule and times are as the machine has them that is a
 * device of that number. */
static int run_seeds(struct ptx *ptx, struct told *told, struct moe_ptx_result *result)
{
    static const char *const schedules[] = {"round-robin", "random", "priority"};
    static const char *const times[] = {"eager", "lazy", "random"};
    if (ptx->seeds <= 1)
        return moe_ptx_run(&ptx->job, result);
    int status = MOE_OK;
    for (uint64_t seed = 0; seed < ptx->seeds && status == MOE_OK; seed++) {
        struct moe_ptx_result one;
        ptx->job.seed = seed;
        ptx->job.schedule = schedules[seed % 3];
        ptx->job.time = times[seed / 3 % 3];
        told->buffers = 0xcbf29ce484222325u;
        status = moe_ptx_run(&ptx->job, &one);
        if (status != MOE_OK)
            break;
        told->first = seed ? told->first : told->buffers;
        if (told->buffers != told->first && !ptx->common.quiet)
            printf("seed %llu: memory is left with other bytes than under seed 0\n",
                   (unsigned long long)seed);
        result->warp_instructions += one.warp_instructions;
        result->thread_instructions += one.thread_instructions;
    }
    return status;
}

static int run_file(struct ptx *ptx)
{
    struct told told = {.ptx = ptx};
    struct moe_ptx_result result = {0};
    char *text = NULL;
    if (ptx->seeds > 1 && (ptx->job.seed || ptx->job.schedule || ptx->job.time || ptx->saves))
        return moe_command_usage(ptx->common.name,
                                 "--seeds chooses seeds, schedules and times, and saves nothing: "
                                 "not with --seed, --schedule, --time or --save");
    if (!ptx->file)
        return moe_command_usage(ptx->common.name, "a file of PTX is missing (try --help)");
    int status = read_file(ptx->file, &text, &ptx->job.length);
    ptx->job.text = text;
    ptx->job.say = say;
    ptx->job.take = save;
    ptx->job.data = &told;
    const double begin = seconds();
    if (status == MOE_OK)
        status = run_seeds(ptx, &told, &result);
    const double took = seconds() - begin;
    free(text);
    if (status == MOE_OK && !told.values && told.saved < ptx->saves)
        status = moe_error(MOE_E_USAGE, "--save names an argument that is no memory");
    if (status != MOE_OK)
        return moe_command_error(ptx->common.name, status);
    if (ptx->common.verbose)
        printf("%llu instructions of warps, %llu of threads, %.1f M of threads a second\n",
               (unsigned long long)result.warp_instructions,
               (unsigned long long)result.thread_instructions,
               (double)result.thread_instructions / took / 1e6);
    return told.values ? MOE_EXIT_FAIL : MOE_EXIT_PASS;
}

static int run(int argc, char **argv)
{
    struct ptx ptx = {.job = {.grid = {1, 1, 1}, .block = {32, 1, 1}}};
    int status = moe_options_parse(&argp, argc, argv, &ptx.common);
    status = status == MOE_OK ? run_file(&ptx) : MOE_EXIT_USAGE;
    moe_options_free(&ptx.common);
    return status;
}

const struct moe_command moe_command_ptx = {"ptx", "run a kernel on the PTX machine", run};
