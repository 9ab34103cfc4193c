/*
 * lower.h - what the files share that make a program of PTX.
 *
 * While it is made, slots in code and places are virtual registers: those of the functions, one
 * function after the other, then what decoding needs. lower_slots puts slots in their place.
 */
#ifndef MOE_GPU_PTX_LOWER_H
#define MOE_GPU_PTX_LOWER_H

#include "gpu/ptx/arena.h"
#include "gpu/ptx/program.h"

#define FUNCTIONS_MAX 64 /* of one program, and so calls within calls */

/* A register that shares its slot with nobody: decoding made it, or a wgmma has it, whose lives and
 * undefinedness are those of any other. */
enum lower_pin { LOWER_SHARED, LOWER_PINNED, LOWER_HELD };

struct ptx_build {
    struct ptx_program *program;
    const struct ptx_instruction *instruction; /* that is being decoded */
    int now;                                   /* index of its function */

    const struct ptx_function *functions[FUNCTIONS_MAX]; /* the entry first */
    int function_count;
    int32_t register_base[FUNCTIONS_MAX], code_base[FUNCTIONS_MAX];
    int32_t carry[FUNCTIONS_MAX];     /* virtual registers, -1: none yet */
    int32_t return_to[FUNCTIONS_MAX]; /* holds the pc behind the call */

    int32_t register_count, register_room; /* virtual */
    uint8_t *pinned;                       /* [register_room] enum lower_pin */
    int32_t sink;                          /* what nobody reads is written to it */
    int32_t zero;                          /* a constant row */
    int32_t constant_room, preset_room;
    uint8_t *used; /* [variable_count] */
};

/* A new virtual register, -1: no memory. */
int32_t lower_register(struct ptx_build *build, int pinned);
void lower_hold(struct ptx_build *build, int32_t reg);
int lower_nomem(void);

/* lower_variables.c: which variables the functions name, and where they are. */
int lower_variables(struct ptx_build *build);

/* lower_operand.c: an operand as a place, `bits` and `type` as its instruction has it. */
int lower_place(struct ptx_build *build, const struct ptx_operand *operand, enum ptx_type type,
                int bits, struct ptx_place *place);

/* lower_fuse.c: finds sums of products that may be fused. While slots are registers. */
int lower_fuse(struct ptx_build *build);

/* lower_slots.c */
int lower_slots(struct ptx_build *build);
/* Registers that an instruction names, as it names them. */
void lower_visit(const struct ptx_code *code, void (*see)(void *data, int32_t reg, int is_write),
                 void *data);

#endif
