/*
 * on_device_turn.c - whose turn it is on the GPU: runs share it, and a run that measures memory, or
 * takes multiprocessors away, has it to itself among all of this user's on this machine. A GPU's
 * free memory is everybody's, and a kernel that waits on a device which several processes have in
 * slices of time holds up all of them.
 *
 * A turn is a lock on a file, the room, which ends with its process. One gets to it through
 * another, the gate: who wants the room alone shuts the gate until he has it, so that those who
 * come and go do not keep him out for ever. Nobody waits for long: who does not get his turn goes
 * on without it, and a run that wanted to be alone says so. The gate is shut for a moment only, and
 * not again for a while by who waited in vain: where somebody's kernel hangs, all would wait with
 * him.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "verify/on_device_turn.h"

#define TRY_EVERY 2000000  /* ns */
#define SHUT_SECONDS 2.0   /* the gate is, at the most */
#define AGAIN_SECONDS 60.0 /* behind a wait in vain there is none */

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

/* The lock; -1: not until then; ON_DEVICE_NO_TURNS. */
static int take(const char *name, int alone, double until)
{
    const struct timespec pause = {0, TRY_EVERY};
    const int lock = open_lock(name);
    if (lock < 0)
        return ON_DEVICE_NO_TURNS;
    while (flock(lock, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
        const int error = errno;
        if ((error == EWOULDBLOCK || error == EINTR) && now() < until) {
            nanosleep(&pause, NULL);
            continue;
        }
        close(lock);
        return error == EWOULDBLOCK || error == EINTR ? -1 : ON_DEVICE_NO_TURNS;
    }
    return lock;
}

int on_device_turn_take(int alone)
{
    static double in_vain = -AGAIN_SECONDS;
    const double begin = now();
    const int at_once = alone && begin - in_vain < AGAIN_SECONDS;
    const double until = begin + (at_once ? 0 : on_device_turn_seconds);
    const int gate = take("gate", alone, until);
    if (gate < 0)
        return gate;
    const double shut = now() + SHUT_SECONDS;
    const int room = take("lock", alone, alone && shut < until ? shut : until);
    on_device_turn_give(gate);
    if (alone && room == -1)
        in_vain = now();
    return room;
}

void on_device_turn_give(int turn)
{
    if (turn >= 0)
        close(turn);
}
