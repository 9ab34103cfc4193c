/*
 * aside.h - files that are either written whole or not at all: written aside, in the same folder,
 * and renamed when they are complete. Whatever goes wrong, the old file stays and nothing else is
 * left.
 */
#ifndef MOE_ASIDE_H
#define MOE_ASIDE_H

#include <stddef.h>

struct moe_aside {
    char *path; /* that it will have; links followed */
    char *temporary;
    int descriptor;
};

/* Makes an empty file beside `path`. MOE_E_IO; MOE_E_USAGE where path is something other than a
 * regular file (renaming over a device would take the device away); MOE_E_NOMEM. */
int moe_aside_open(const char *path, struct moe_aside *aside);

/* Appends. MOE_E_IO; the file is then still to be discarded. */
int moe_aside_write(struct moe_aside *aside, const void *data, size_t size);

/* Brings the data to the disk and renames. Ends the aside, also on MOE_E_IO. */
int moe_aside_commit(struct moe_aside *aside);

/* Removes what was written. */
void moe_aside_discard(struct moe_aside *aside);

#endif
