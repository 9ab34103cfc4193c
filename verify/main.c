/*
 * main.c - moecheck: finds the sub-command and runs it.
 *
 * The table of commands is made from the list of files command_*.c.
 */
#define _GNU_SOURCE /* open_memstream */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "verify/command.h"

#define X(name) extern const struct moe_command moe_command_##name;
#include "verify/commands.inc"
#undef X

#define X(name) &moe_command_##name,
static const struct moe_command *const table[] = {
#include "verify/commands.inc"
};
#undef X

#define COMMANDS ((int)(sizeof table / sizeof *table))

const struct moe_command *moe_command_get(int index)
{
    return index >= 0 && index < COMMANDS ? table[index] : NULL;
}

/* ---- messages -------------------------------------------------------------------------------- */

void moe_command_version(void)
{
    puts(PACKAGE_STRING);
}

int moe_command_flush(int exit_status)
{
    int failed = ferror(stdout);

    errno = 0;
    if (fclose(stdout) != 0 || failed) {
        fprintf(stderr, "moecheck: cannot write standard output: %s\n",
                errno != 0 ? strerror(errno) : "an earlier write failed");
        if (exit_status != MOE_EXIT_USAGE && exit_status != MOE_EXIT_FAIL)
            return MOE_EXIT_ERROR;
    }
    return exit_status;
}

int moe_command_usage(const char *name, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s: ", name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return MOE_EXIT_USAGE;
}

int moe_command_error(const char *name, int status)
{
    moe_command_usage(name, "%s", moe_error_text());
    return status == MOE_E_USAGE || status == MOE_E_IO || status == MOE_E_UNSUPPORTED
               ? MOE_EXIT_USAGE
               : MOE_EXIT_ERROR;
}

/* ---- help ------------------------------------------------------------------------------------ */

static int print_help(void)
{
    printf("Usage: moecheck COMMAND [OPTION...] [ARGUMENT...]\n"
           "Judges implementations of Mixture-of-Experts layers.\n\n");
    for (int i = 0; i < COMMANDS; i++)
        if (table[i]->summary != NULL)
            printf("  %-8s  %s\n", table[i]->name, table[i]->summary);
    printf("\nmoecheck COMMAND --help tells more; so does moecheck(1).\n\n"
           "A case is one line of key=value words; what it leaves out has a default:\n"
           "    T=37 H=256 I=128 E=8 K=2 dtype=bf16 act=swiglu seed=7\n\n"
           "Exit status, the first that holds: 2 usage, 1 a check failed, 99 could not decide,\n"
           "77 nothing could be run, 0.\n");
    return MOE_EXIT_PASS;
}

static int print_version(void)
{
    moe_command_version();
    return MOE_EXIT_PASS;
}

static const struct {
    const char *name;
    int (*print)(void);
} option[] = {{"--help", print_help}, {"-h", print_help}, {"--version", print_version}};

/* ---- the run --------------------------------------------------------------------------------- */

/* Descriptors 0 to 2 that the caller closed would be given to the next file that is opened, and
 * what goes to stdout would then end there. They get one on which reading and writing fail. */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static int run(const struct moe_command *command, int argc, char **argv)
{
    char name[64];

    snprintf(name, sizeof name, "moecheck %s", command->name);
    argv[1] = name;
    return command->run(argc - 1, argv + 1);
}

static int choose(int argc, char **argv)
{
    if (argc < 2)
        return moe_command_usage("moecheck", "no command (moecheck --help lists them)");
    for (size_t i = 0; i < sizeof option / sizeof *option; i++)
        if (strcmp(argv[1], option[i].name) == 0)
            return option[i].print();
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], table[i]->name) == 0)
            return run(table[i], argc, argv);
    return moe_command_usage("moecheck", "no command '%s' (moecheck --help lists them)", argv[1]);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    /* A reader that left, a file that grew beyond its limit: errors of a write. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return moe_command_flush(choose(argc, argv));
}
