/*
 * aside.c - write aside, bring to the disk, rename. Errors of a full disk may come as late as fsync
 * or close, so the rename comes after both.
 */
#include "verify/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ref/moe.h"

/* The error of a system call that failed on the file that the caller knows as `path`. */
static int refused(const char *path, const char *what)
{
    return moe_error(MOE_E_IO, "%s: %s: %s", path, what, strerror(errno));
}

/* The file behind `path`, which need not exist. */
static int resolve(const char *path, char **resolved)
{
    struct stat status;
    if (stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            return moe_error(MOE_E_USAGE, "%s: is a directory", path);
        if (!S_ISREG(status.st_mode))
            return moe_error(MOE_E_USAGE, "%s: is not a regular file", path);
        *resolved = realpath(path, NULL);
    } else {
        *resolved = strdup(path);
    }
    return *resolved != NULL ? MOE_OK : refused(path, "cannot be written");
}

int moe_aside_open(const char *path, struct moe_aside *aside)
{
    struct moe_aside result = {.descriptor = -1};
    const int status = resolve(path, &result.path);
    if (status != MOE_OK)
        return status;
    const size_t size = strlen(result.path) + 32;
    result.temporary = malloc(size);
    if (result.temporary == NULL) {
        free(result.path);
        return moe_error(MOE_E_NOMEM, "%s: no memory for its name", path);
    }
    /* A name of its own for each process; the number steps over what a killed one left behind. */
    for (int number = 0; number < 100 && result.descriptor < 0; number++) {
        snprintf(result.temporary, size, "%s.tmp-%ld-%d", result.path, (long)getpid(), number);
        result.descriptor = open(result.temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (result.descriptor < 0 && errno != EEXIST)
            break;
    }
    if (result.descriptor < 0) {
        refused(path, "cannot be written");
        free(result.temporary);
        free(result.path);
        return MOE_E_IO;
    }
    *aside = result;
    return MOE_OK;
}

int moe_aside_write(struct moe_aside *aside, const void *data, size_t size)
{
    const char *rest = data;
    while (size > 0) {
        const ssize_t written = write(aside->descriptor, rest, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return refused(aside->path, "cannot be written");
        rest += written;
        size -= (size_t)written;
    }
    return MOE_OK;
}

static void forget(struct moe_aside *aside)
{
    free(aside->temporary);
    free(aside->path);
    *aside = (struct moe_aside){.descriptor = -1};
}

int moe_aside_commit(struct moe_aside *aside)
{
    int status = MOE_OK;
    if (fsync(aside->descriptor) != 0)
        status = refused(aside->path, "cannot be brought to the disk");
    if (close(aside->descriptor) != 0 && status == MOE_OK)
        status = refused(aside->path, "cannot be closed");
    if (status == MOE_OK && rename(aside->temporary, aside->path) != 0)
        status = refused(aside->path, "cannot be renamed to");
    if (status != MOE_OK)
        unlink(aside->temporary);
    forget(aside);
    return status;
}

void moe_aside_discard(struct moe_aside *aside)
{
    close(aside->descriptor);
    unlink(aside->temporary);
    forget(aside);
}
