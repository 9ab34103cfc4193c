/*
 * t_ptx_recorded.c - what an H100 or H200 gives for instructions of every family is what the PTX
 * machine gives: the rows of tests/ptx/families, their outputs as XXH3-128 in
 * tests/ptx/recorded.txt.
 *
 *     t_ptx_recorded [--record FILE] [--code FOLDER] [--rows PREFIX]
 *     t_ptx_recorded --write FOLDER
 *
 * Without a GPU of capability 9.0 the machine's outputs are compared with the table; a row that it
 * does not have, or that is another than it was then, is skipped visibly. With one each row runs on
 * both, and of an instruction whose bits differ the first elements are printed with their inputs.
 * --record writes the table, and these differences as comments behind it. --code: rows' code from
 * FOLDER/NAME.cubin, and not from the driver's compiler; --write writes FOLDER/NAME.ptx.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ref/moe.h"
#include "tests/ptx_rows_run.h"
#include "tests/recorded.h"

static const char *const families[] = {
    "integer", "bits",   "float", "half", "compare", "convert", "approximate", "warp",    "memory",
    "atomic",  "matrix", "mma",   "wmma", "wgmma",   "copy",    "tensor",      "cluster",
};
#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

static struct {
    const char *record, *code, *rows, *write;
    int from; /* rows before it were done by the program that this one is the rest of */
    int failed;
} options;

enum { PATIENCE = 10 }; /* seconds for a row on a GPU, its compilation included */

static struct moe_device *gpu;
static struct moe_gpu_status probe;
static FILE *record;
static int number, failures;

static const char *folder(void)
{
    const char *source = getenv("srcdir");
    return source ? source : ".";
}

/* ---- differences ----------------------------------------------------------------------------- */

static void say(const char *text)
{
    printf("# %s\n", text);
    if (record)
        fprintf(record, "# %s\n", text);
}

static void say_element(const struct ptx_row *row, const uint64_t *in, const uint64_t *machine,
                        const uint64_t *there, int slot, int element)
{
    const size_t at =
        ((size_t)slot * (size_t)row->elements + (size_t)element) * (size_t)row->results;
    const size_t input = ptx_row_input(row), from = (size_t)element * (size_t)row->words;
    char line[600];
    int length = snprintf(line, sizeof line, "    %d:", element);
    for (int i = 0, told = 0; i < row->results && told < 4; i++)
        if (machine[at + (size_t)i] != there[at + (size_t)i]) {
            length += snprintf(line + length, sizeof line - (size_t)length,
                               " [%d] GPU %" PRIx64 " machine %" PRIx64, i, there[at + (size_t)i],
                               machine[at + (size_t)i]);
            told++;
        }
    for (size_t i = 0; i < ROW_ARRAYS; i++)
        length += snprintf(line + length, sizeof line - (size_t)length, " %c %" PRIx64, "abc"[i],
                           in[i * input + from]);
    say(line);
}

/* 1: none. Of an instruction the first three elements. */
static int compare(const struct ptx_row *row, const uint64_t *in, const uint64_t *machine,
                   const uint64_t *there)
{
    int same = 1, slots = 0;
    for (int slot = 0; slot < row->slots; slot++) {
        int wrong = 0, first[3];
        for (int e = 0; e < row->elements; e++) {
            const size_t at =
                ((size_t)slot * (size_t)row->elements + (size_t)e) * (size_t)row->results;
            if (!memcmp(machine + at, there + at, 8 * (size_t)row->results))
                continue;
            if (wrong < COUNT(first))
                first[wrong] = e;
            wrong++;
        }
        same &= !wrong;
        slots += wrong > 0;
        char line[400];
        snprintf(line, sizeof line, "%s: %d of %d differ: %.300s", row->name, wrong, row->elements,
                 row->slot[slot]);
        for (char *c = line; *c; c++)
            *c = *c == '\n' ? ' ' : *c;
        if (wrong && slots <= 24)
            say(line);
        for (int i = 0; i < wrong && i < COUNT(first) && slots <= 24; i++)
            say_element(row, in, machine, there, slot, first[i]);
    }
    return same;
}

/* ---- a row ----------------------------------------------------------------------------------- */

static void test(int good, const struct ptx_row *row, const char *remark)
{
    failures += !good;
    printf("%s %d - %s, %d instructions%s%s\n", good ? "ok" : "not ok", ++number, row->name,
           row->slots, remark[0] ? ": " : "", remark);
    fflush(stdout);
}

/* A fault on a GPU sticks to its process: the rest is for the next. */
static void go_on(char **argv, int next)
{
    char from[20], failed[20];
    const char *arguments[16];
    int count = 0;
    for (int i = 0; argv[i] && count < 10; i++)
        if (!strcmp(argv[i], "--from"))
            i += 2;
        else
            arguments[count++] = argv[i];
    snprintf(from, sizeof from, "%d", next);
    snprintf(failed, sizeof failed, "%d", failures);
    arguments[count++] = "--from";
    arguments[count++] = from;
    arguments[count++] = failed;
    arguments[count] = NULL;
    if (record)
        fclose(record);
    execv("/proc/self/exe", (char **)(void *)arguments);
}

/* The GPU waits for something that will not come, and this process for the GPU. */
static const struct ptx_row *running;
static int running_index;
static char **running_arguments;

static void on_alarm(int signal)
{
    char line[200];
    (void)signal;
    snprintf(line, sizeof line, "%s: the GPU: no end after %d s", running->name, PATIENCE);
    say(line);
    test(0, running, "hangs");
    go_on(running_arguments, running_index + 1);
    _exit(99);
}

static void run_on_both(const struct ptx_row *row, const uint64_t *in, uint64_t *machine,
                        uint64_t *there, char **argv, int index)
{
    struct recorded now;
    char words[500], line[600];
    snprintf(now.name, sizeof now.name, "%s", row->name);
    const size_t bytes = 8 * ptx_row_output(row);
    const int status = ptx_row_on_machine(row, in, machine);
    if (status) {
        snprintf(line, sizeof line, "%s: the machine: %.400s", row->name, moe_error_text());
        say(line);
    }
    running = row;
    running_index = index;
    running_arguments = argv;
    signal(SIGALRM, on_alarm);
    alarm(PATIENCE);
    const int failed = ptx_row_on_gpu(gpu, row, options.code, in, there);
    alarm(0);
    if (failed) {
        snprintf(words, sizeof words, "%s", moe_error_text());
        snprintf(line, sizeof line, "%s: the GPU: %.400s", row->name, words);
        say(line);
        test(0, row, words);
        go_on(argv, index + 1);
        return;
    }
    recorded_hash(row->text, row->length, in, 8 * ROW_ARRAYS * ptx_row_input(row), now.made);
    recorded_hash(there, bytes, NULL, 0, now.gave);
    if (record)
        recorded_write(record, &now, &probe);
    const struct recorded *before = recorded_find(row->name);
    const int same = !status && compare(row, in, machine, there);
    const int kept = !before || strcmp(before->made, now.made) || !strcmp(before->gave, now.gave);
    test(same && kept, row, same ? kept ? "" : "other bits than recorded" : "see above");
}

static void replay(const struct ptx_row *row, const uint64_t *in, uint64_t *machine)
{
    char made[HASH_TEXT], gave[HASH_TEXT], words[500];
    const struct recorded *before = recorded_find(row->name);
    recorded_hash(row->text, row->length, in, 8 * ROW_ARRAYS * ptx_row_input(row), made);
    if (ptx_row_on_machine(row, in, machine)) {
        snprintf(words, sizeof words, "%s", moe_error_text());
        test(0, row, words);
        return;
    }
    recorded_hash(machine, 8 * ptx_row_output(row), NULL, 0, gave);
    if (!before || strcmp(before->made, made))
        test(1, row, before ? "# SKIP another row than was recorded" : "# SKIP not recorded yet");
    else
        test(!strcmp(before->gave, gave), row, strcmp(before->gave, gave) ? "other bits" : "");
}

static void run_row(const struct ptx_row *row, char **argv, int index)
{
    const size_t bytes = 8 * ptx_row_output(row);
    uint64_t *in = ptx_row_draw(row), *machine = malloc(bytes), *there = malloc(bytes);
    if (!in || !machine || !there)
        test(0, row, moe_error_text());
    else if (gpu)
        run_on_both(row, in, machine, there, argv, index);
    else
        replay(row, in, machine);
    free(in);
    free(machine);
    free(there);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int write_all(const struct ptx_rows *rows)
{
    for (int i = 0; i < rows->count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s.ptx", options.write, rows->row[i].name);
        FILE *file = fopen(path, "w");
        if (!file || fwrite(rows->row[i].text, 1, rows->row[i].length, file) != rows->row[i].length)
            return perror(path), 1;
        fclose(file);
    }
    return 0;
}

static int read_options(char **argv)
{
    for (int i = 1; argv[i]; i++) {
        const char **to = !strcmp(argv[i], "--record")  ? &options.record
                          : !strcmp(argv[i], "--code")  ? &options.code
                          : !strcmp(argv[i], "--rows")  ? &options.rows
                          : !strcmp(argv[i], "--write") ? &options.write
                                                        : NULL;
        if (!strcmp(argv[i], "--from") && argv[i + 1] && argv[i + 2]) {
            options.from = atoi(argv[++i]);
            options.failed = atoi(argv[++i]);
        } else if (to && argv[i + 1]) {
            *to = argv[++i];
        } else {
            fprintf(stderr, "usage: t_ptx_recorded [--record FILE] [--code FOLDER] [--rows PREFIX] "
                            "| --write FOLDER\n");
            return 2;
        }
    }
    return 0;
}

static int is_wanted(const struct ptx_row *row)
{
    return !options.rows || !strncmp(row->name, options.rows, strlen(options.rows));
}

static void run_all(const struct ptx_rows *rows, char **argv)
{
    const char *size = getenv("MOE_TEST_SIZE");
    const int one_in = size && !strcmp(size, "small") && !gpu ? 6 : 1;
    int wanted = 0;
    for (int i = 0; i < rows->count; i++)
        wanted += is_wanted(&rows->row[i]) && i % one_in == 0;
    if (!options.from)
        printf("1..%d\n", wanted);
    for (int i = 0; i < rows->count; i++) {
        if (!is_wanted(&rows->row[i]) || i % one_in)
            continue;
        if (i < options.from)
            number++;
        else
            run_row(&rows->row[i], argv, i);
    }
}

int main(int argc, char **argv)
{
    struct ptx_rows rows = {0};
    sigset_t alarms; /* blocked where on_alarm began this program */
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &alarms, NULL);
    int status = argc > 0 ? read_options(argv) : 2;
    if (status)
        return status;
    for (int i = 0; i < COUNT(families) && !status; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/tests/ptx/families/%s.txt", folder(), families[i]);
        status = ptx_rows_read(path, &rows);
    }
    if (!status && options.write) {
        status = write_all(&rows);
        ptx_rows_free(&rows);
        return status;
    }
    if (!status)
        status = recorded_read();
    if (!status)
        status = recorded_open(options.record != NULL, &probe, &gpu);
    if (!status && options.record && !(record = fopen(options.record, options.from ? "a" : "w")))
        status = moe_error(MOE_E_IO, "'%s' cannot be written", options.record);
    if (status)
        printf("Bail out! %s\n", moe_error_text());
    failures = options.failed;
    if (!status)
        run_all(&rows, argv);
    if (record && fclose(record))
        failures++;
    if (gpu)
        moe_device_close(gpu);
    ptx_rows_free(&rows);
    return status ? 99 : failures != 0;
}
