/*
 * options.c - the options of every command, read with argp.
 *
 * argp's own way with an error is two lines and a pointer to --help; here it is one line, and the
 * caller returns.
 */
#define _GNU_SOURCE /* argp */
#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "verify/ledger.h"

enum { KEY_DEVICE = 0x100, KEY_PLUGIN, KEY_VARIANT, KEY_JSON, KEY_TIMEOUT, KEY_VERSION, KEY_USAGE };

#define JOBS_MAX 1024

static const struct argp_option common[] = {
    {"device", KEY_DEVICE, "cpu|cuda|ptx[:N]", 0,
     "Run on this kind of device only (default: the CPU, and GPUs where one is usable); N chooses "
     "the "
     "order and the times of the PTX machine",
     0},
    {"plugin", KEY_PLUGIN, "FILE.so", 0, "Add the variants of a plug-in; may be repeated", 0},
    {"variant", KEY_VARIANT, "GLOB", 0, "Only the variants whose names match", 0},
    {"jobs", 'j', "N", 0, "Worker processes at a time (default: as many as CPUs)", 0},
    {"timeout", KEY_TIMEOUT, "SECONDS", 0,
     "A case that takes longer hangs (default: 60, more for a large case)", 0},
    {"json", KEY_JSON, NULL, 0, "Results as JSON, one object a line", 0},
    {"verbose", 'v', NULL, 0, "Say more", 0},
    {"quiet", 'q', NULL, 0, "Say only what failed", 0},
    {"help", 'h', NULL, 0, "Print this help", -1},
    {"usage", KEY_USAGE, NULL, 0, "Print the options in short", -1},
    {"version", KEY_VERSION, NULL, 0, "Print the version", -1},
    {0},
};

static const struct {
    const char *name;
    unsigned devices;
} device[] = {{"cpu", MOE_ON_CPU}, {"cuda", MOE_ON_CUDA}, {"ptx", MOE_ON_PTX}};

static int refuse(const struct moe_options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int refuse(const struct moe_options *options, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s: ", options->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return EINVAL;
}

/* ptx:N. 0: it is not that. */
static int read_schedule(const char *name, unsigned *schedule)
{
    char *end;
    long number;

    if (strncmp(name, "ptx:", 4) != 0 || name[4] < '0' || name[4] > '9')
        return 0;
    number = strtol(name + 4, &end, 10);
    *schedule = (unsigned)number;
    return *end == '\0' && number <= MOE_DEVICES_SCHEDULE_MOST;
}

static int set_device(struct moe_options *options, const char *name)
{
    unsigned schedule = 0;

    options->device = name;
    if (read_schedule(name, &schedule)) {
        options->devices = MOE_ON_PTX | schedule << MOE_DEVICES_SCHEDULE;
        return 0;
    }
    for (size_t i = 0; i < sizeof device / sizeof *device; i++)
        if (strcmp(device[i].name, name) == 0) {
            options->devices = device[i].devices;
            return 0;
        }
    return refuse(options, "--device is '%s'; allowed: cpu, cuda, ptx, ptx:0 to ptx:%d", name,
                  MOE_DEVICES_SCHEDULE_MOST);
}

static int set_jobs(struct moe_options *options, const char *text)
{
    char *end;
    long jobs = strtol(text, &end, 10);

    if (end == text || *end != '\0' || jobs < 1 || jobs > JOBS_MAX)
        return refuse(options, "--jobs is '%s'; allowed: 1 to %d", text, JOBS_MAX);
    options->jobs = (int)jobs;
    return 0;
}

static int set_timeout(struct moe_options *options, const char *text)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end != '\0' || !(seconds > 0) || !isfinite(seconds))
        return refuse(options, "--timeout is '%s'; allowed: seconds, more than 0", text);
    options->timeout = seconds;
    return 0;
}

static int add_plugin(struct moe_options *options, const char *path)
{
    size_t count = (size_t)options->plugin_count + 1;
    const char **plugins = realloc(options->plugins, count * sizeof *plugins);

    if (plugins == NULL)
        return refuse(options, "no memory for the list of plug-ins");
    plugins[options->plugin_count++] = path;
    options->plugins = plugins;
    return 0;
}

/* Is this a check, of those that verify.h lists? */
static int known_check(const char *name, size_t length)
{
    const struct moe_check *check;

    for (int i = 0; (check = moe_check_get(i)) != NULL; i++)
        if (strlen(check->name) == length && strncmp(check->name, name, length) == 0)
            return 1;
    return 0;
}

error_t moe_options_check(struct moe_options *options, const char *names)
{
    char known[512] = "";
    const char *name = names;
    size_t length;

    for (;; name += length + 1) {
        length = strcspn(name, ",");
        if (!known_check(name, length))
            break;
        if (name[length] == '\0') {
            options->checks = names;
            return 0;
        }
    }
    for (int i = 0; moe_check_get(i) != NULL; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i > 0 ? ", " : "",
                 moe_check_get(i)->name);
    return refuse(options, "--check: there is no check '%.*s'; allowed: %s", (int)length, name,
                  known);
}

error_t moe_options_ledger(struct moe_options *options, const char *path)
{
    moe_ledger_free(options->ledger);
    options->ledger = NULL;
    if (moe_ledger_read(path, &options->ledger) == MOE_OK)
        return 0;
    return refuse(options, "--ledger: %s", moe_error_text());
}

/* Help goes to stdout and ends the process, unless it could not be written. */
static void help(struct argp_state *state, unsigned flags)
{
    argp_state_help(state, stdout, flags & ~(unsigned)(ARGP_HELP_EXIT_OK | ARGP_HELP_EXIT_ERR));
    exit(moe_command_flush(MOE_EXIT_PASS));
}

static error_t parse_common(int key, char *argument, struct argp_state *state)
{
    struct moe_options *options = state->input;

    switch (key) {
    case KEY_DEVICE:
        return set_device(options, argument);
    case KEY_PLUGIN:
        return add_plugin(options, argument);
    case KEY_VARIANT:
        options->variant = argument;
        return 0;
    case 'j':
        return set_jobs(options, argument);
    case KEY_TIMEOUT:
        return set_timeout(options, argument);
    case KEY_JSON:
        options->json = 1;
        return 0;
    case 'v':
        options->verbose = 1;
        return 0;
    case 'q':
        options->quiet = 1;
        return 0;
    case 'h':
        help(state, ARGP_HELP_STD_HELP);
        return 0;
    case KEY_USAGE:
        help(state, ARGP_HELP_STD_USAGE);
        return 0;
    case KEY_VERSION:
        moe_command_version();
        exit(moe_command_flush(MOE_EXIT_PASS));
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp common_argp = {common, parse_common, NULL, NULL, NULL, NULL, NULL};

/* Above the command's parser and the common one: hands both the same struct. No stream for errors:
 * getopt has then already printed its one line, and argp adds none. */
static error_t parse_root(int key, char *argument, struct argp_state *state)
{
    (void)argument;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->err_stream = NULL;
    state->child_inputs[0] = state->input;
    state->child_inputs[1] = state->input;
    return 0;
}

int moe_options_parse(const struct argp *argp, int argc, char **argv, struct moe_options *options)
{
    struct argp own = {argp->options, argp->parser, NULL, NULL, argp->children, NULL, NULL};
    struct argp_child children[] = {
        {&own, 0, NULL, 0}, {&common_argp, 0, "Options of every command:", 1}, {0}};
    struct argp root = {NULL, parse_root, argp->args_doc, argp->doc, children, NULL, NULL};

    options->name = argv[0];
    options->devices = MOE_ON_CPU | MOE_ON_CUDA;
    if (argp_parse(&root, argc, argv, ARGP_NO_HELP, NULL, options) != 0)
        return moe_error(MOE_E_USAGE, "command line");
    return MOE_OK;
}

void moe_options_free(struct moe_options *options)
{
    free(options->plugins);
    moe_ledger_free(options->ledger);
    options->ledger = NULL;
    options->plugins = NULL;
    options->plugin_count = 0;
}

struct moe_supervisor_options moe_options_supervisor(const struct moe_options *options)
{
    return (struct moe_supervisor_options){
        .plugins = options->plugins,
        .plugin_count = options->plugin_count,
        .devices = options->devices,
        .jobs = options->jobs,
        .timeout = options->timeout,
    };
}

int moe_options_match(const struct moe_options *options, const char *variant)
{
    return options->variant == NULL || fnmatch(options->variant, variant, 0) == 0;
}

int moe_options_variants(const struct moe_options *options, const struct moe_supervisor *supervisor,
                         const char **first)
{
    const char *name;
    int count = 0;

    for (int i = 0; (name = moe_supervisor_variant(supervisor, i)) != NULL; i++)
        if (moe_options_match(options, name) && ++count == 1)
            *first = name;
    return count > 0 ? count
                     : moe_error(MOE_E_USAGE, "no variant matches '%s' (moecheck list shows them)",
                                 options->variant != NULL ? options->variant : "*");
}
