/*
 * on_device_turn.c - whose turn it is on the GPU: runs share it, and a run that measures memory has
 * it to itself among all of this user's on this machine, for a GPU's free memory is everybody's.
 *
 * A turn is a lock on a file, which ends with its process. Nobody waits for long: who does not get
 * his turn goes on without it, and a run that measures says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "verify/on_device_turn.h"

#define TRIES 200
#define TRY_EVERY 10000000 /* ns: two seconds in all */

static int open_lock(void)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/moecheck-gpu-%lu.lock", (unsigned long)getuid());
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int on_device_turn_take(int alone)
{
    const struct timespec pause = {0, TRY_EVERY};
    const int lock = open_lock();
    for (int i = 0; lock >= 0 && i < TRIES; i++) {
        if (flock(lock, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
            return lock;
        if (errno != EWOULDBLOCK && errno != EINTR)
            break;
        nanosleep(&pause, NULL);
    }
    if (lock >= 0)
        close(lock);
    return -1;
}

void on_device_turn_give(int turn)
{
    if (turn >= 0)
        close(turn);
}
