/*
 * interrupt.c - signals as something to poll.
 *
 * A signal may be delivered to any thread, OpenBLAS's too, and then does not interrupt the thread
 * that polls. So the handlers write to a pipe that the poll loop watches.
 */
#define _GNU_SOURCE /* pipe2 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "verify/worker.h"

static int channel[2] = {-1, -1};
static volatile sig_atomic_t came;

static const struct {
    int number;
    int asks_to_end;
} watched[] = {{SIGINT, 1}, {SIGTERM, 1}, {SIGCHLD, 0}};

#define WATCHED (sizeof watched / sizeof *watched)

static struct sigaction before[WATCHED], before_pipe;

static void wake(int number)
{
    int error = errno;

    if (number != SIGCHLD)
        came = 1;
    if (write(channel[1], "", 1) < 0)
        errno = EAGAIN; /* full: whoever polls wakes up anyway */
    errno = error;
}

int moe_interrupt_take(void)
{
    struct sigaction action = {.sa_handler = wake, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    if (pipe2(channel, O_CLOEXEC | O_NONBLOCK) != 0)
        return moe_error(MOE_E_IO, "no pipe for signals: %s", strerror(errno));
    came = 0;
    for (size_t i = 0; i < WATCHED; i++) {
        sigaction(watched[i].number, NULL, &before[i]);
        /* nohup and a shell's & leave SIGINT ignored, and it stays so */
        if (!watched[i].asks_to_end || before[i].sa_handler != SIG_IGN)
            sigaction(watched[i].number, &action, NULL);
    }
    sigaction(SIGPIPE, &ignore, &before_pipe);
    return MOE_OK;
}

int moe_interrupt_fd(void)
{
    return channel[0];
}

int moe_interrupt_came(void)
{
    char byte[64];

    while (read(channel[0], byte, sizeof byte) > 0)
        continue;
    return came;
}

void moe_interrupt_release(void)
{
    if (channel[0] < 0)
        return;
    for (size_t i = 0; i < WATCHED; i++)
        sigaction(watched[i].number, &before[i], NULL);
    sigaction(SIGPIPE, &before_pipe, NULL);
    close(channel[0]);
    close(channel[1]);
    channel[0] = channel[1] = -1;
}
