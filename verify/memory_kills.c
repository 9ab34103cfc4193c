/*
 * memory_kills.c - was it for lack of memory that a process was killed? The kernel counts what it
 * kills for that, and so SIGKILL tells apart a variant that takes all memory and a worker that a
 * person or a batch system ended.
 */
#include <stdio.h>

#include "verify/worker.h"

int64_t moe_memory_kills(void)
{
    FILE *file = fopen("/proc/vmstat", "re");
    long long kills = -1;
    char line[128];

    while (file != NULL && kills < 0 && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "oom_kill %lld", &kills);
    if (file != NULL)
        fclose(file);
    return kills;
}
