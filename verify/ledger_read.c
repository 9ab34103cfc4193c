/*
 * ledger_read.c - the lines of a ledger: key=value words, of which four are its own and the others
 * those of a case.
 */
#define _GNU_SOURCE /* getline */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "verify/ledger.h"

#define BLANKS " \t\r\n"

/* The words of a ledger. Each must stand once. */
static const struct own {
    const char *name, *allowed;
    size_t offset, size;
} own[] = {
    {"variant", "a name or glob of variants", offsetof(struct moe_ledger_line, variant),
     sizeof((struct moe_ledger_line *)0)->variant},
    {"check", "a check, run or isolation", offsetof(struct moe_ledger_line, check),
     sizeof((struct moe_ledger_line *)0)->check},
    {"issue", "where the failure is known from", offsetof(struct moe_ledger_line, issue),
     sizeof((struct moe_ledger_line *)0)->issue},
    {"mode", "tolerate, never-launch", 0, 16},
};
#define OWN (sizeof own / sizeof *own)

struct reading {
    struct moe_ledger_line *line;
    unsigned own;  /* words of ours so far, by number */
    uint64_t keys; /* keys of the case so far */
    int models;
};

static int key_number(const char *name)
{
    for (int i = 0; moe_problem_key(i) != NULL; i++)
        if (strcmp(moe_problem_key(i)->name, name) == 0)
            return i;
    return -1;
}

static int is_check(const char *name)
{
    for (int i = 0; moe_check_get(i) != NULL; i++)
        if (strcmp(moe_check_get(i)->name, name) == 0)
            return 1;
    return strcmp(name, "run") == 0 || strcmp(name, "isolation") == 0;
}

static int refuse(const struct own *word, const char *value)
{
    return moe_error(MOE_E_USAGE, "%s='%.60s'; allowed: %s", word->name, value, word->allowed);
}

static int take_own(struct reading *reading, size_t number, const char *value)
{
    const struct own *word = &own[number];
    if (reading->own >> number & 1)
        return moe_error(MOE_E_USAGE, "'%s' stands twice", word->name);
    reading->own |= 1u << number;
    if (*value == '\0' || strlen(value) >= word->size ||
        (strcmp(word->name, "check") == 0 && !is_check(value)))
        return refuse(word, value);
    if (strcmp(word->name, "mode") != 0) {
        strcpy((char *)reading->line + word->offset, value);
        return MOE_OK;
    }
    reading->line->never = strcmp(value, "never-launch") == 0;
    return reading->line->never || strcmp(value, "tolerate") == 0 ? MOE_OK : refuse(word, value);
}

/* A word of the case; a model only where `models`, and nothing else there. */
static int take_key(struct reading *reading, const char *name, const char *value)
{
    int number = key_number(name);
    if (number < 0) /* no key, which the grammar says better */
        return moe_problem_set(&reading->line->problem, name, value);
    if (reading->keys >> number & 1)
        return moe_error(MOE_E_USAGE, "'%s' stands twice", name);
    reading->keys |= (uint64_t)1 << number;
    if (strcmp(value, "*") != 0)
        return moe_problem_set(&reading->line->problem, name, value);
    reading->line->any |= (uint64_t)1 << number;
    return MOE_OK;
}

static int take_word(struct reading *reading, char *word)
{
    char *value = strchr(word, '=');
    if (value == NULL)
        return moe_error(MOE_E_USAGE, "'%.60s': a word without '='", word);
    *value++ = '\0';
    int is_model = strcmp(word, "model") == 0, status = MOE_OK;
    if (is_model)
        status = reading->models ? moe_problem_set(&reading->line->problem, word, value) : MOE_OK;
    else if (!reading->models) {
        for (size_t i = 0; i < OWN; i++)
            if (strcmp(own[i].name, word) == 0)
                return take_own(reading, i, value);
        status = take_key(reading, word, value);
    }
    return status;
}

static int take_words(struct reading *reading, const char *text)
{
    char *copy = strdup(text), *rest = copy;
    int status = copy != NULL ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for a line");
    for (char *word; status == MOE_OK && (word = strtok_r(rest, BLANKS, &rest)) != NULL;)
        status = take_word(reading, word);
    free(copy);
    return status;
}

static int parse(const char *text, struct moe_ledger_line *line)
{
    struct reading reading = {.line = line, .models = 1};
    line->problem = moe_problem_default();
    int status = take_words(&reading, text); /* models first: other words override them */
    reading.models = 0;
    if (status == MOE_OK)
        status = take_words(&reading, text);
    for (size_t i = 0; status == MOE_OK && i < OWN; i++)
        if (!(reading.own >> i & 1))
            status = moe_error(MOE_E_USAGE, "%s= is missing: %s", own[i].name, own[i].allowed);
    if (status == MOE_OK && line->any == 0)
        status = moe_problem_validate(&line->problem);
    return status;
}

/* Cuts off a comment, which begins a word; is anything left? */
static int strip(char *text)
{
    char *comment = text;
    while ((comment = strchr(comment, '#')) != NULL && comment > text &&
           strchr(BLANKS, comment[-1]) == NULL)
        comment++; /* within a word: owner/name#12 */
    if (comment != NULL)
        *comment = '\0';
    return text[strspn(text, BLANKS)] != '\0';
}

static int add(struct moe_ledger *ledger, const struct moe_ledger_line *line)
{
    struct moe_ledger_line *grown =
        realloc(ledger->line, ((size_t)ledger->count + 1) * sizeof *grown);
    if (grown == NULL)
        return moe_error(MOE_E_NOMEM, "no memory for a ledger");
    ledger->line = grown;
    ledger->line[ledger->count++] = *line;
    return MOE_OK;
}

static int read_lines(FILE *file, struct moe_ledger *ledger)
{
    int status = MOE_OK, number = 0;
    size_t size = 0;
    char *text = NULL;
    ssize_t length;
    while (status == MOE_OK && (errno = 0, length = getline(&text, &size, file)) >= 0) {
        struct moe_ledger_line line = {.number = ++number};
        if (strlen(text) != (size_t)length)
            status = moe_error(MOE_E_USAGE, "%s:%d: a NUL character", ledger->path, number);
        else if (strip(text) && (status = parse(text, &line)) == MOE_E_USAGE)
            status = moe_error(status, "%s:%d: %s", ledger->path, number, moe_error_text());
        else if (status == MOE_OK && line.variant[0] != '\0')
            status = add(ledger, &line);
    }
    if (status == MOE_OK && ferror(file))
        status = moe_error(MOE_E_IO, "%s: %s", ledger->path, strerror(errno));
    free(text);
    return status;
}

int moe_ledger_read(const char *path, struct moe_ledger **ledger)
{
    struct moe_ledger *made = calloc(1, sizeof *made);
    FILE *file = fopen(path, "re");
    int status = MOE_OK;
    if (made == NULL)
        status = moe_error(MOE_E_NOMEM, "no memory for a ledger");
    else if (file == NULL)
        status = moe_error(MOE_E_IO, "%s: %s", path, strerror(errno));
    if (status == MOE_OK) {
        made->path = path;
        status = read_lines(file, made);
    }
    if (file != NULL)
        fclose(file);
    if (status == MOE_OK)
        *ledger = made;
    else
        moe_ledger_free(made);
    return status;
}
