/*
 * hopper_table.h - the faults of `hopper-faults`, a row each, for the plug-in and for the test that
 * runs it.
 */
#ifndef MOE_HOPPER_TABLE_H
#define MOE_HOPPER_TABLE_H

#include <stdint.h>

#include "gpu/fault.h"

/* Where a fault must show. */
enum hopper_shows {
    SHOWS_MACHINE = 1, /* the PTX machine, by a failure */
    SHOWS_GPU = 2,
    SHOWS_BOTH = 3,
    SHOWS_TEXT = 4,   /* the machine, by a remark: against the text, and no value changes */
    SHOWS_LARGE = 8,  /* a GPU, in cases of more than 2^31 elements */
    SHOWS_FORCED = 16 /* both, where the row before is forced as a configuration, and not else */
};

/* Names of hopper's configurations that the plug-in has kernels for, by their index. */
#define TILES_128 2
#define TILES_64 3
#define TILES_TALL 4
#define TILES_ACROSS 5

struct hopper_fault {
    enum gpu_fault fault;
    const char *name, *summary;
    const char *source; /* where something like it was seen */
    int shows;          /* enum hopper_shows */
    int configuration;  /* the only one it is in, or any that has it */
    const char *line;   /* a small case that shows it */
    const char *reason; /* why not elsewhere; NULL: it shows on both */
    const char *checks; /* that are wanted beside the usual ones; NULL: none */
};

/* Row 0 is FAULT_NONE. NULL past the end. */
const struct hopper_fault *hopper_fault_get(int index);

#endif
