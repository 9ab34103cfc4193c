/*
 * mpi_module.c - texts sent between ranks; see mpi_module.h.
 */
#include <mpi.h>
#include <string.h>

#include "fuzz/mpi_module.h"

#define TAG 0

static void start(int *rank, int *ranks)
{
    MPI_Init(NULL, NULL);
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, ranks);
}

static void send(int rank, const char *text)
{
    MPI_Send(text, (int)strlen(text) + 1, MPI_CHAR, rank, TAG, MPI_COMM_WORLD);
}

static int waits(int *rank)
{
    MPI_Status status;
    int waits = 0, size = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &waits, &status);
    if (!waits)
        return 0;
    *rank = status.MPI_SOURCE;
    MPI_Get_count(&status, MPI_CHAR, &size);
    return size;
}

static void receive(int rank, char *text, int size)
{
    MPI_Recv(text, size, MPI_CHAR, rank, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void end(void)
{
    MPI_Finalize();
}

const struct moe_mpi moe_mpi = {MOE_MPI_VERSION, start, send, waits, receive, end};
