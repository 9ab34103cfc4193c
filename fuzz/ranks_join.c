/*
 * ranks_join.c - the module for Open MPI, loaded where mpirun has started this process.
 */
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/ranks.h"

#define MODULE "moecheck-mpi.so"
#define PAUSE_NS 2000000

/* Beside the program, as in the build, or where it is installed. */
static void *open_module(void)
{
    char path[PATH_MAX + sizeof MODULE];
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    void *module = NULL;
    if (length > 0) {
        path[length] = '\0';
        strcpy(strrchr(path, '/') + 1, MODULE);
        if (access(path, R_OK) == 0)
            module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return module != NULL ? module : dlopen(MODULE_FOLDER "/" MODULE, RTLD_NOW | RTLD_LOCAL);
}

int moe_ranks_join(const struct moe_mpi **mpi, int *rank, int *ranks)
{
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    *mpi = NULL;
    if (size == NULL || atoi(size) < 2)
        return MOE_OK;
    void *module = open_module();
    if (module == NULL)
        return moe_error(MOE_E_UNSUPPORTED,
                         "mpirun started it, but its module for that is not to "
                         "be had: %s",
                         dlerror());
    const struct moe_mpi *found = dlsym(module, "moe_mpi");
    if (found == NULL || found->version != MOE_MPI_VERSION)
        return moe_error(MOE_E_UNSUPPORTED, MODULE " is of another version");
    /* a rank that mpirun leaves behind when it is killed would keep the store to itself */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    found->start(rank, ranks);
    *mpi = found;
    return MOE_OK;
}

char *moe_ranks_receive(const struct moe_mpi *mpi, int *rank)
{
    int size = mpi->waits(rank);
    char *text = size > 0 ? calloc(1, (size_t)size + 1) : NULL;
    if (text != NULL)
        mpi->receive(*rank, text, size);
    return text;
}

void moe_ranks_pause(void)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    nanosleep(&pause, NULL);
}
