/*
 * progress.c - one line that says how far long work has come; on stderr, only where that is a
 * terminal.
 */
#include <stdio.h>
#include <unistd.h>

#include "verify/command.h"
#include "verify/slot.h"

#define EVERY_SECONDS 1.0

void moe_progress_start(struct moe_progress *progress, int64_t total, int quiet)
{
    double now = moe_slot_clock();

    *progress = (struct moe_progress){
        .on = !quiet && isatty(STDERR_FILENO),
        .total = total,
        .started = now,
        .next = now + EVERY_SECONDS,
    };
}

void moe_progress_show(struct moe_progress *progress, int64_t done, int64_t failures)
{
    double now = progress->on ? moe_slot_clock() : 0, seconds = now - progress->started;

    if (!progress->on || now < progress->next)
        return;
    progress->next = now + EVERY_SECONDS;
    progress->shown = 1;
    fprintf(stderr, "\r%lld", (long long)done);
    if (progress->total > 0)
        fprintf(stderr, "/%lld", (long long)progress->total);
    fprintf(stderr, " judged, %.3g a second, %lld failed\033[K", (double)done / seconds,
            (long long)failures);
    fflush(stderr);
}

void moe_progress_erase(struct moe_progress *progress)
{
    if (!progress->shown)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->shown = 0;
}
