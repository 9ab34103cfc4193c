/*
 * store_lock.c - who is at work on what of a store.
 *
 * A lock is one byte of the file, far beyond any that SQLite uses, held by the open file
 * description: the kernel lets go of it when its process ends. The descriptor stays open as long as
 * the store, for with any descriptor of a file that it closes a process gives up SQLite's own
 * locks.
 */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/store.h"
#include "verify/slot.h"

#define FIRST_BYTE ((off_t)1 << 40)
#define AGAIN_NS 50000000

static int set(const struct moe_store *store, int64_t number, short type)
{
    struct flock lock = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = FIRST_BYTE + number, .l_len = 1};
    return fcntl(store->lock, F_OFD_SETLK, &lock);
}

int moe_store_lock(struct moe_store *store, int64_t number)
{
    const struct timespec pause = {.tv_nsec = AGAIN_NS};
    double deadline = moe_slot_clock() + store->patience;
    if (store->lock < 0)
        store->lock = open(store->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (store->lock < 0)
        return moe_error(MOE_E_IO, "%s: %s", store->path, strerror(errno));
    while (set(store, number, F_WRLCK) != 0) {
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return moe_error(MOE_E_IO, "%s: %s", store->path, strerror(errno));
        if (!(moe_slot_clock() < deadline))
            return moe_error(MOE_E_IO, "%s: another process has held it for %g s", store->path,
                             store->patience);
        nanosleep(&pause, NULL);
    }
    return MOE_OK;
}

void moe_store_unlock(struct moe_store *store, int64_t number)
{
    (void)set(store, number, F_UNLCK);
}
