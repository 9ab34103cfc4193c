/*
 * float_modes.h - the floating-point modes of this thread (rounding, subnormals) kept from
 * strangers.
 */
#ifndef MOE_FLOAT_MODES_H
#define MOE_FLOAT_MODES_H

#include <fenv.h>

struct float_modes {
    fenv_t before;
};

void float_modes_save(struct float_modes *modes);

/* Puts the modes back; 1 where they had been changed. Exceptions raised meanwhile do not count. */
int float_modes_restore(const struct float_modes *modes);

#endif
