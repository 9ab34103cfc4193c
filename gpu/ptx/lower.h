/*
 * lower.h - what the files that make programs of PTX share.
 */
#ifndef MOE_GPU_PTX_LOWER_H
#define MOE_GPU_PTX_LOWER_H

#include "gpu/ptx/arena.h"
#include "gpu/ptx/program.h"

/* A virtual register: of one function, before slots are shared. Numbers: the functions' registers
 * one function after the other, then presets, carries and return addresses. */
struct ptx_build {
    struct ptx_program *program;
    const struct ptx_instruction *instruction; /* being decoded */
    const struct ptx_function *function;

    const struct ptx_function **functions; /* that are called, the entry first */
    int32_t function_count;
    int32_t *register_base, *code_base, *carry; /* [function_count] */
    int32_t now;                                /* index of `function` */

    int32_t register_count, register_room; /* virtual */
    uint8_t *pinned;                       /* [register_room] 1: has a slot of its own */
    int32_t sink;                          /* virtual register that nobody reads */
    int32_t code_room, constant_room, preset_room;
    int32_t *return_register; /* [function_count] holds the pc to return to */
};

/* A new virtual register; -1: no memory. */
int32_t lower_register(struct ptx_build *build, int pinned);
int32_t lower_function_index(const struct ptx_build *build, const struct ptx_function *function);

/* lower_slots.c: replaces virtual registers in code and presets by slots. */
int lower_slots(struct ptx_build *build);

#endif
