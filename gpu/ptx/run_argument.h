/*
 * run_argument.h - the arguments of one kernel, from words to what its parameters hold.
 */
#ifndef MOE_GPU_PTX_RUN_ARGUMENT_H
#define MOE_GPU_PTX_RUN_ARGUMENT_H

#include "gpu/ptx/geometry.h"
#include "gpu/ptx/machine.h"

struct run_argument {
    union {
        uint64_t number; /* or the address of memory */
        struct geometry_map map;
    } value;
    uint64_t address, bytes; /* of the memory that it brought; bytes 0: none */
};

/*
 * Argument `index` of words as moe_ptx_job.args has them; `before` [index] are those that came
 * earlier. MOE_E_USAGE: the words, or a parameter that they are not for; MOE_E_IO: a file;
 * MOE_E_NOMEM.
 */
int run_argument_make(struct ptx_machine *machine, const char *text,
                      const struct ptx_variable *formal, const struct run_argument *before,
                      int index, struct run_argument *argument);

#endif
