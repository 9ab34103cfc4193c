/*
 * on_device_turn.c - whose turn it is on the GPU: runs share it, and a run that measures memory, or
 * takes multiprocessors away, has it to itself among all of this user's on this machine. A GPU's
 * free memory is everybody's, and a kernel that waits on a device which several processes have in
 * slices of time holds up all of them.
 *
 * A turn is a lock on a file, the room, which ends with its process. One gets to it through
 * another, the gate: who wants the room alone shuts the gate until he has it, so that those who
 * come and go do not keep him out for ever. Nobody waits for long: who does not get his turn goes
 * on without it, and a run that wanted to be alone says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "verify/on_device_turn.h"

#define TRY_EVERY 2000000 /* ns */

const char *on_device_turn_folder = "/tmp";
double on_device_turn_seconds = 10;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int open_lock(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/moecheck-gpu-%lu.%s", on_device_turn_folder,
             (unsigned long)getuid(), name);
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* The lock; -1: not until then. */
static int take(const char *name, int alone, double until)
{
    const struct timespec pause = {0, TRY_EVERY};
    const int lock = open_lock(name);
    if (lock < 0)
        return -1;
    while (flock(lock, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || now() >= until) {
            close(lock);
            return -1;
        }
        nanosleep(&pause, NULL);
    }
    return lock;
}

int on_device_turn_take(int alone)
{
    const double until = now() + on_device_turn_seconds;
    const int gate = take("gate", alone, until);
    const int room = gate >= 0 ? take("lock", alone, until) : -1;
    on_device_turn_give(gate);
    return room;
}

void on_device_turn_give(int turn)
{
    if (turn >= 0)
        close(turn);
}
