/*
 * mpi_module.h - what moecheck asks of Open MPI, by a module of its own: only a command that mpirun
 * has started loads it, and with it the library.
 */
#ifndef MOE_MPI_MODULE_H
#define MOE_MPI_MODULE_H

#define MOE_MPI_VERSION 1

/* Where something fails, Open MPI itself says so and ends all ranks. */
struct moe_mpi {
    int version; /* MOE_MPI_VERSION */
    void (*start)(int *rank, int *ranks);
    void (*send)(int rank, const char *text); /* of at most MOE_PROTOCOL_LINE bytes */
    /* The bytes of a message that waits to be received, its end among them, and from whom it is; 0:
     * none waits. */
    int (*waits)(int *rank);
    void (*receive)(int rank, char *text, int size);
    void (*end)(void); /* waits for all ranks to come to it */
};

/* The one symbol of the module. */
extern const struct moe_mpi moe_mpi;

#endif
