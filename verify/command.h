/*
 * command.h - what the sub-commands of moecheck share: the table of commands, options, cases on the
 * command line, printing, progress. Prototypes stand under the file that holds them.
 *
 * Only the command prints and exits; the libraries below do neither.
 */
#ifndef MOE_COMMAND_H
#define MOE_COMMAND_H

#include <argp.h>
#include <stdint.h>
#include <stdio.h>

#include "verify/verify.h"
#include "verify/worker.h"

/* ---- command_list.c ... and main.c ----------------------------------------------------------- */

/* One sub-command. File command_NAME.c defines `const struct moe_command moe_command_NAME`; the
 * build lists these files in commands.inc as X(NAME). */
struct moe_command {
    const char *name;
    const char *summary;               /* one line for --help; NULL: hidden */
    int (*run)(int argc, char **argv); /* argv[0] is "moecheck NAME"; returns the exit status */
};

const struct moe_command *moe_command_get(int index); /* NULL past the end */

void moe_command_version(void); /* prints it to stdout */

/* Writes out what stdout still holds. Returns `exit_status`; where stdout could not be written,
 * says so on stderr and returns MOE_EXIT_ERROR. */
int moe_command_flush(int exit_status);

/* Prints "NAME: ..." and a newline to stderr, and returns MOE_EXIT_USAGE. NAME is argv[0] of a
 * command, "moecheck verify". */
int moe_command_usage(const char *name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints moe_error_text() like that and returns the exit status for `status`: MOE_EXIT_USAGE for
 * what the user can mend (MOE_E_USAGE, MOE_E_IO, MOE_E_UNSUPPORTED), else MOE_EXIT_ERROR. */
int moe_command_error(const char *name, int status);

/* ---- options.c ------------------------------------------------------------------------------- */

/* The options of every command. A command's own struct begins with it. */
struct moe_ledger; /* ledger.h */

struct moe_options {
    const char *name;     /* "moecheck verify", for messages */
    unsigned devices;     /* of enum moe_device_kind */
    const char *device;   /* as given, or NULL */
    const char **plugins; /* [plugin_count] */
    int plugin_count;
    const char *variant; /* glob, NULL: all */
    const char *checks;  /* names with commas between, NULL: all; where the command takes --check */
    struct moe_ledger *ledger; /* known failures, NULL: none; where the command takes --ledger */
    int json, verbose, quiet;
    int jobs;       /* 0: as many as CPUs that we may use */
    double timeout; /* 0: not given */
};

/*
 * Reads argv with the command's argp (its own options and arguments; `options` is the start of its
 * struct and the `input` of its parser) and the common options. MOE_E_USAGE: one line has been
 * printed.
 * --help, --usage and --version print and end the process.
 */
int moe_options_parse(const struct argp *argp, int argc, char **argv, struct moe_options *options);
void moe_options_free(struct moe_options *options);

/* --check, of those commands that judge variants: a row of the command's argp options, and what its
 * parser does with the key. Like every parser it returns EINVAL once it has printed one line. */
enum { MOE_KEY_CHECK = 0x300 };
#define MOE_OPTION_CHECK                                                                           \
    {                                                                                              \
        "check", MOE_KEY_CHECK, "NAME[,NAME...]", 0,                                               \
            "Only these checks, and what they rest on (default: all that apply)", 0                \
    }
error_t moe_options_check(struct moe_options *options, const char *names);

/* --ledger, the same way. */
enum { MOE_KEY_LEDGER = 0x301 };
#define MOE_OPTION_LEDGER                                                                          \
    {                                                                                              \
        "ledger", MOE_KEY_LEDGER, "FILE", 0,                                                       \
            "Known failures: they need not fail the run, as long as they fail", 0                  \
    }
error_t moe_options_ledger(struct moe_options *options, const char *path);

/* What the supervisor needs of them. */
struct moe_supervisor_options moe_options_supervisor(const struct moe_options *options);

/* Does --variant admit the name? */
int moe_options_match(const struct moe_options *options, const char *variant);

/* How many of the supervisor's variants --variant admits, and the first of them. MOE_E_USAGE: none.
 */
int moe_options_variants(const struct moe_options *options, const struct moe_supervisor *supervisor,
                         const char **first);

/* ---- usable.c -------------------------------------------------------------------------------- */

/* Those of the kinds of devices that can be used on this machine. */
unsigned moe_devices_usable(unsigned devices);

/* ---- cases.c: cases on the command line ------------------------------------------------------ */

/* Consecutive arguments without a blank are words of one case; an argument with a blank is a case
 * of its own. */
struct moe_cases {
    struct moe_problem *problem; /* [count] */
    int64_t count;
    char *words; /* of the case being read */
    int status;  /* of the arguments so far; the text is in moe_error_text() */
};

/* For a command's parser: takes ARGP_KEY_ARG as moe_cases_argument and ARGP_KEY_END as
 * moe_cases_end do, and keeps the first error. Other keys: ARGP_ERR_UNKNOWN. */
error_t moe_cases_parse(struct moe_cases *cases, int key, const char *argument);

/* One more argument. MOE_E_USAGE, MOE_E_NOMEM. */
int moe_cases_argument(struct moe_cases *cases, const char *argument);
/* No more arguments. */
int moe_cases_end(struct moe_cases *cases);
/* One more case. */
int moe_cases_add(struct moe_cases *cases, const struct moe_problem *problem);
/* Appends the cases of a file: one line each, '#' starts a comment. MOE_E_IO; MOE_E_USAGE: the text
 * begins with file:line. */
int moe_cases_read(struct moe_cases *cases, const char *path);
void moe_cases_free(struct moe_cases *cases);

/* ---- report.c -------------------------------------------------------------------------------- */

/* The line of a result and, where it is a FAIL or ERROR, a block that says what, where and by how
 * much, and the command that repeats it. `options` gives the plug-ins for that command; `load` may
 * be NULL. */
void moe_report_print(FILE *out, const struct moe_options *options, const char *load,
                      const struct moe_result *result);

/* That command alone, without a newline. */
void moe_report_print_command(FILE *out, const struct moe_options *options, const char *load,
                              const struct moe_result *result);

/* One JSON object on a line. */
void moe_report_print_json(FILE *out, const struct moe_result *result);

/* ---- tally.c: the table at the end ----------------------------------------------------------- */

#define MOE_TALLY_VARIANTS 64

struct moe_tally {
    int variant_count;
    struct {
        char name[64];
        int64_t count[MOE_ERROR + 1]; /* by enum moe_verdict */
    } variant[MOE_TALLY_VARIANTS];
    int64_t count[MOE_ERROR + 1];
};

void moe_tally_add(struct moe_tally *tally, const char *variant, enum moe_verdict verdict);
void moe_tally_print(FILE *out, const struct moe_tally *tally);
void moe_tally_print_json(FILE *out, const struct moe_tally *tally, int exit_status);
/* FAIL 1, ERROR 99, nothing run 77, else 0; an interruption counts as ERROR. */
int moe_tally_exit(const struct moe_tally *tally, int interrupted);

/* ---- progress.c ------------------------------------------------------------------------------ */

/* A line on stderr, only where that is a terminal, at most once a second. */
struct moe_progress {
    int on, shown;
    int64_t total; /* 0: not known */
    double started, next;
};

void moe_progress_start(struct moe_progress *progress, int64_t total, int quiet);
void moe_progress_show(struct moe_progress *progress, int64_t done, int64_t failures);
/* Removes the line, before other output and at the end. */
void moe_progress_erase(struct moe_progress *progress);

/* ---- session.c: cases x variants through the supervisor, as verify and replay do --------- */

/* Judges every case with every variant that the options name, prints the results in the order of
 * the cases, then the table. Returns the exit status. */
int moe_session_judge(const struct moe_options *options, const struct moe_cases *cases,
                      const char *load);

/* One job, printed; `variant`: by the one variant that the options name. `file` as in
 * moe_report_print. A job that passes is printed only where `always`. Returns the exit status. */
int moe_session_single(const struct moe_options *options, struct moe_job *job, int variant,
                       const char *file, int always);

#endif
