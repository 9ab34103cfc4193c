/*
 * cases.c - the cases of a command line or of a file.
 *
 * On a command line the words of one case may stand apart: `T=37 H=64 dtype=bf16`. Consecutive
 * arguments without a blank form one case; an argument with a blank is a case of its own.
 */
#define _GNU_SOURCE /* asprintf, getline */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/command.h"

#define BLANKS " \t\r\n"

int moe_cases_add(struct moe_cases *cases, const struct moe_problem *problem)
{
    if ((cases->count & (cases->count - 1)) == 0) { /* 0 and each power of 2: the array is full */
        size_t room = cases->count == 0 ? 1 : 2 * (size_t)cases->count;
        struct moe_problem *grown = realloc(cases->problem, room * sizeof *grown);

        if (grown == NULL)
            return moe_error(MOE_E_NOMEM, "no memory for the cases");
        cases->problem = grown;
    }
    cases->problem[cases->count++] = *problem;
    return MOE_OK;
}

static int add_line(struct moe_cases *cases, const char *line)
{
    struct moe_problem problem;
    int status = moe_problem_parse(line, &problem);

    return status == MOE_OK ? moe_cases_add(cases, &problem) : status;
}

int moe_cases_end(struct moe_cases *cases)
{
    int status = cases->words != NULL ? add_line(cases, cases->words) : MOE_OK;

    free(cases->words);
    cases->words = NULL;
    return status;
}

static int add_word(struct moe_cases *cases, const char *word)
{
    char *words;

    if (asprintf(&words, "%s%s%s", cases->words != NULL ? cases->words : "",
                 cases->words != NULL ? " " : "", word) < 0)
        return moe_error(MOE_E_NOMEM, "no memory for the words of a case");
    free(cases->words);
    cases->words = words;
    return MOE_OK;
}

int moe_cases_argument(struct moe_cases *cases, const char *argument)
{
    int status;

    if (argument[strspn(argument, BLANKS)] == '\0')
        return moe_error(MOE_E_USAGE, "an empty argument is no case");
    if (argument[strcspn(argument, BLANKS)] == '\0')
        return add_word(cases, argument);
    status = moe_cases_end(cases);
    return status == MOE_OK ? add_line(cases, argument) : status;
}

error_t moe_cases_parse(struct moe_cases *cases, int key, const char *argument)
{
    if (key != ARGP_KEY_ARG && key != ARGP_KEY_END)
        return ARGP_ERR_UNKNOWN;
    if (cases->status == MOE_OK)
        cases->status =
            key == ARGP_KEY_ARG ? moe_cases_argument(cases, argument) : moe_cases_end(cases);
    return 0;
}

/* Without the comment; 0 where nothing is left. */
static int strip(char *line)
{
    line[strcspn(line, "#\r\n")] = '\0';
    return line[strspn(line, BLANKS)] != '\0';
}

int moe_cases_read(struct moe_cases *cases, const char *path)
{
    FILE *file = fopen(path, "re");
    int status = MOE_OK, number = 0;
    size_t size = 0;
    char *line = NULL;
    ssize_t length;

    if (file == NULL)
        return moe_error(MOE_E_IO, "%s: %s", path, strerror(errno));
    while (status == MOE_OK && (errno = 0, length = getline(&line, &size, file)) >= 0) {
        number++;
        if (strlen(line) != (size_t)length)
            status = moe_error(MOE_E_USAGE, "%s:%d: a NUL character", path, number);
        else if (strip(line) && (status = add_line(cases, line)) == MOE_E_USAGE)
            status = moe_error(status, "%s:%d: %s", path, number, moe_error_text());
    }
    if (status == MOE_OK && ferror(file))
        status = moe_error(MOE_E_IO, "%s: %s", path, strerror(errno));
    free(line);
    fclose(file);
    return status;
}

void moe_cases_free(struct moe_cases *cases)
{
    free(cases->problem);
    free(cases->words);
    *cases = (struct moe_cases){0};
}
