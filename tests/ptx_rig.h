/*
 * ptx_rig.h - one kernel of a file on the PTX machine, with buffers of the caller's: what tests of
 * whole kernels are made of. Trouble is kept, and what follows it does nothing.
 */
#ifndef MOE_TESTS_PTX_RIG_H
#define MOE_TESTS_PTX_RIG_H

#include "gpu/ptx/machine.h"

struct hazard;

#define RIG_ARGUMENTS 16

struct rig {
    char *text;
    struct ptx_module *module;
    struct ptx_machine *machine;
    struct hazard *hazard;
    struct ptx_loaded *loaded;
    struct ptx_program *program;
    uint64_t argument[RIG_ARGUMENTS];
    int arguments;
    char trouble[1200]; /* "": none */
};

/* Reads the file and its only kernel; seed / 3 % 3 is the time and seed % 3 the schedule.
 * shared_align as in struct ptx_options. */
void rig_open(struct rig *rig, const char *path, uint32_t seed, uint32_t shared_align);
/* The same of a text. */
void rig_open_text(struct rig *rig, const char *text, uint32_t seed, uint32_t shared_align);
void rig_close(struct rig *rig);

/* The next argument: a number; memory that holds a copy of `bytes` bytes; or, where from is NULL,
 * memory that nobody wrote. */
void rig_number(struct rig *rig, uint64_t value);
void rig_buffer(struct rig *rig, const void *from, uint64_t bytes, const char *name);

/* A report of class "value" is trouble. */
void rig_run(struct rig *rig, uint32_t x, uint32_t y, uint32_t z, uint32_t threads,
             uint32_t shared_bytes);

/* What an argument's memory holds; a byte that nobody wrote is trouble. */
void rig_read(struct rig *rig, int argument, void *to, uint64_t bytes);

#endif
