/*
 * command_list.c - moecheck list: the variants, which cases each takes here and which not, the
 * machine that they run on, and the kernels that this build contains.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/gpu.h"
#include "verify/command.h"
#include "verify/on_device.h"
#include "verify/takes.h"

struct list {
    struct moe_options common;
    struct moe_gpu_status gpu;
    char no_ptx[256]; /* why the PTX machine has nothing to run; "" */
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    (void)state;
    if (key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    moe_command_usage("moecheck list", "what is '%s'? list takes options only", argument);
    return EINVAL;
}

static const struct argp argp = {NULL,
                                 parse,
                                 NULL,
                                 "Shows the variants, the devices that each runs on, and the keys "
                                 "of a case that it does not take; "
                                 "with -v why not, its configurations, and the GPU kernels in "
                                 "this build.",
                                 NULL,
                                 NULL,
                                 NULL};

/* Bits of a mask and their names. */
struct bit {
    unsigned bit;
    const char *name;
};

static const struct bit device_bit[] = {
    {MOE_ON_CPU, "cpu"}, {MOE_ON_CUDA, "cuda"}, {MOE_ON_PTX, "ptx"}, {0, NULL}};

static const struct bit flag_bit[] = {
    {MOE_HOST_SYNC, "host_sync"},         {MOE_ALLOCATES, "allocates"},
    {MOE_DETERMINISTIC, "deterministic"}, {MOE_BATCH_INVARIANT, "batch_invariant"},
    {MOE_CAPTURABLE, "capturable"},       {0, NULL}};

static json_t *bits_json(const struct bit *bit, unsigned mask)
{
    json_t *names = json_array();

    for (; bit->name != NULL; bit++)
        if (mask & bit->bit)
            json_array_append_new(names, json_string(bit->name));
    return names;
}

static void print_bits(const struct bit *bit, unsigned mask)
{
    const char *between = "";

    for (; bit->name != NULL; bit++)
        if (mask & bit->bit) {
            printf("%s%s", between, bit->name);
            between = ",";
        }
}

/* Why no case at all runs here: "" where some do. */
static const char *not_here(const struct list *list, const struct moe_variant *variant)
{
    unsigned devices = variant->devices & list->common.devices;

    if (devices == 0)
        return "not on this kind of device";
    return devices == MOE_ON_CUDA ? list->gpu.reason : devices == MOE_ON_PTX ? list->no_ptx : "";
}

/* Does it run where the PTX machine is asked for, and only there? */
static int is_for_ptx(const struct list *list, const struct moe_variant *variant)
{
    return variant->devices & MOE_ON_PTX && !(list->common.devices & MOE_ON_PTX) &&
           *list->no_ptx == '\0';
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_machine(const struct list *list)
{
    printf("BLAS  %s\n", moe_reference_blas());
    if (list->gpu.state != MOE_GPU_READY)
        printf("GPU   none: %s\n", list->gpu.reason);
    for (int i = 0; i < list->gpu.count && i < MOE_GPU_MAX; i++)
        printf("GPU   %s, sm_%d%d%s\n", list->gpu.device[i].name, list->gpu.device[i].major,
               list->gpu.device[i].minor, list->gpu.device[i].has_code ? "" : ", no code for it");
    putchar('\n');
}

static void print_refusals(const struct moe_refusals *refusals, int verbose)
{
    if (refusals->count == 0)
        fputs("  takes every key", stdout);
    else if (!verbose)
        fputs("  not", stdout);
    for (int i = 0; i < refusals->count; i++)
        if (verbose)
            printf("\n    not %s: %s", refusals->refusal[i].word, refusals->refusal[i].why);
        else
            printf(" %s", refusals->refusal[i].word);
}

static void print_variant(const struct list *list, const struct moe_variant *variant,
                          const struct moe_refusals *refusals)
{
    const char *why = not_here(list, variant);

    printf("%-12s ", variant->name);
    print_bits(device_bit, variant->devices);
    if (*why != '\0')
        printf("  not here: %s%s", why,
               is_for_ptx(list, variant) ? "; --device ptx runs it without a GPU" : "");
    print_refusals(refusals, list->common.verbose);
    putchar('\n');
    if (!list->common.verbose)
        return;
    printf("    %s\n    declares ", variant->summary != NULL ? variant->summary : "");
    print_bits(flag_bit, variant->flags);
    fputs("\n    configurations", stdout);
    for (int i = 0; i < variant->configuration_count; i++)
        printf(" %s", variant->configurations[i]);
    puts(variant->configuration_count > 0 ? "" : " one");
}

static void print_kernels(void)
{
    const struct moe_kernel *kernel;

    if (moe_kernel_get(0) == NULL)
        return;
    printf("\n%-28s %-20s %-6s %7s %9s %6s\n", "kernel", "source", "sm_", "threads", "registers",
           "shared");
    for (int i = 0; (kernel = moe_kernel_get(i)) != NULL; i++)
        printf("%-28s %-20s %-6s %7d %9d %6d\n", kernel->entry, kernel->source, kernel->arch,
               kernel->max_threads, kernel->registers, kernel->shared_bytes);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void print_json(json_t *object)
{
    char *line = json_dumps(object, JSON_COMPACT);

    if (line != NULL)
        puts(line);
    free(line);
    json_decref(object);
}

static void print_machine_json(const struct list *list)
{
    json_t *object = json_object(), *gpus = json_array();

    for (int i = 0; i < list->gpu.count && i < MOE_GPU_MAX; i++)
        json_array_append_new(gpus, json_string(list->gpu.device[i].name));
    json_object_set_new(object, "blas", json_string(moe_reference_blas()));
    json_object_set_new(object, "gpus", gpus);
    json_object_set_new(object, "gpu_reason", json_string(list->gpu.reason));
    print_json(object);
}

static void print_variant_json(const struct list *list, const struct moe_variant *variant,
                               const struct moe_refusals *refusals)
{
    json_t *object = json_object(), *configurations = json_array(), *refused = json_object();
    const char *why = not_here(list, variant);

    for (int i = 0; i < variant->configuration_count; i++)
        json_array_append_new(configurations, json_string(variant->configurations[i]));
    for (int i = 0; i < refusals->count; i++)
        json_object_set_new(refused, refusals->refusal[i].word,
                            json_string(refusals->refusal[i].why));
    json_object_set_new(object, "variant", json_string(variant->name));
    json_object_set_new(object, "summary",
                        json_string(variant->summary != NULL ? variant->summary : ""));
    json_object_set_new(object, "devices", bits_json(device_bit, variant->devices));
    json_object_set_new(object, "declares", bits_json(flag_bit, variant->flags));
    json_object_set_new(object, "configurations", configurations);
    json_object_set_new(object, "not_here", *why != '\0' ? json_string(why) : json_null());
    json_object_set_new(object, "refuses", refused);
    print_json(object);
}

static void print_kernels_json(void)
{
    const struct moe_kernel *kernel;

    for (int i = 0; (kernel = moe_kernel_get(i)) != NULL; i++) {
        json_t *object = json_object();

        json_object_set_new(object, "kernel", json_string(kernel->entry));
        json_object_set_new(object, "source", json_string(kernel->source));
        json_object_set_new(object, "arch", json_string(kernel->arch));
        json_object_set_new(object, "max_threads", json_integer(kernel->max_threads));
        json_object_set_new(object, "min_blocks", json_integer(kernel->min_blocks));
        json_object_set_new(object, "registers", json_integer(kernel->registers));
        json_object_set_new(object, "shared_bytes", json_integer(kernel->shared_bytes));
        print_json(object);
    }
}

/* ---------------------------------------------------------------------------------------------- */

static int open_plugins(const struct moe_options *options)
{
    for (int i = 0; i < options->plugin_count; i++) {
        int status = moe_plugin_open(options->plugins[i]);

        if (status != MOE_OK)
            return moe_command_error(options->name, status);
    }
    return MOE_EXIT_PASS;
}

static int any_matches(const struct moe_options *options)
{
    const struct moe_variant *variant;

    for (int i = 0; (variant = moe_variant_get(i)) != NULL; i++)
        if (moe_options_match(options, variant->name))
            return 1;
    return 0;
}

static int print(struct list *list)
{
    const struct moe_variant *variant;
    int status = open_plugins(&list->common);

    if (status != MOE_EXIT_PASS)
        return status;
    if (!any_matches(&list->common))
        return moe_command_usage(list->common.name, "no variant matches '%s'",
                                 list->common.variant);
    if (moe_gpu_probe(&list->gpu) != MOE_OK)
        fprintf(stderr, "%s: %s\n", list->common.name, moe_error_text());
    moe_on_device_possible(MOE_ON_PTX, list->no_ptx, sizeof list->no_ptx);
    list->common.json ? print_machine_json(list) : print_machine(list);
    for (int i = 0; (variant = moe_variant_get(i)) != NULL; i++) {
        struct moe_refusals refusals;

        if (!moe_options_match(&list->common, variant->name))
            continue;
        moe_variant_refusals(variant, &refusals);
        if (list->common.json)
            print_variant_json(list, variant, &refusals);
        else
            print_variant(list, variant, &refusals);
    }
    if (list->common.verbose)
        list->common.json ? print_kernels_json() : print_kernels();
    return MOE_EXIT_PASS;
}

static int run(int argc, char **argv)
{
    struct list list = {.gpu = {.count = 0}};
    int status = moe_options_parse(&argp, argc, argv, &list.common);

    status = status == MOE_OK ? print(&list) : MOE_EXIT_USAGE;
    moe_options_free(&list.common);
    return status;
}

const struct moe_command moe_command_list = {
    "list", "the variants, what each takes here, and why not", run};
