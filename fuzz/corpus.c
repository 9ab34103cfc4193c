/*
 * corpus.c - cases worth keeping: those that come with the program, and those that failed.
 *
 * The corpus is part of the program (corpus.inc is made from the files corpus/NAME.cases), so that
 * it is at hand wherever the program runs. A failure is appended in one write under a lock: several
 * campaigns may share the file, and a full disk leaves it as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

#define TEXT 2048 /* room for a comment and a case line */

static const char *const cases[] = {
#include "fuzz/corpus.inc"
};

const char *moe_corpus_case(int index)
{
    const int count = sizeof cases / sizeof cases[0];
    return index >= 0 && index < count ? cases[index] : NULL;
}

/* Is `line` a line of the file? *ends: the file is empty or ends with a newline. */
static int has_line(FILE *file, const char *line, int *ends)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t length;
    int found = 0;
    *ends = 1;
    while ((length = getline(&text, &room, file)) > 0) {
        *ends = text[length - 1] == '\n';
        if (*ends)
            text[length - 1] = '\0';
        found |= strcmp(text, line) == 0;
    }
    free(text);
    return found;
}

/* All of the text, or the file as it was. */
static int write_whole(int fd, const char *text)
{
    const size_t length = strlen(text);
    struct stat before;
    if (fstat(fd, &before) != 0)
        return -1;
    ssize_t written = write(fd, text, length);
    if (written == (ssize_t)length && fsync(fd) == 0)
        return 0;
    int error = written >= 0 && written < (ssize_t)length ? ENOSPC : errno;
    if (S_ISREG(before.st_mode) && ftruncate(fd, before.st_size) != 0)
        error = errno;
    errno = error;
    return -1;
}

int moe_corpus_append(const char *path, const struct moe_problem *problem, const char *comment)
{
    char line[TEXT / 2], text[TEXT];
    int ends, status = MOE_OK;
    FILE *file = fopen(path, "a+");
    if (file == NULL || flock(fileno(file), LOCK_EX) != 0) {
        status = moe_error(MOE_E_IO, "%s: %s", path, strerror(errno));
        if (file != NULL)
            fclose(file);
        return status;
    }
    moe_problem_print(problem, line, sizeof line);
    rewind(file);
    if (!has_line(file, line, &ends)) {
        snprintf(text, sizeof text, "%s# %.*s\n%s\n", ends ? "" : "\n", TEXT / 2 - 8, comment,
                 line);
        if (write_whole(fileno(file), text) != 0)
            status = moe_error(MOE_E_IO, "%s: %s", path, strerror(errno));
    }
    fclose(file); /* which also unlocks; nothing of ours is left in its buffer */
    return status;
}
