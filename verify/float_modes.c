/*
 * float_modes.c - saves and compares the control word. A library linked with -ffast-math turns
 * subnormals off for the whole thread when it is loaded, and a kernel may do so when it is called:
 * from then on every result, the judge's included, would be another.
 */
#include "verify/float_modes.h"

#include <string.h>

void float_modes_save(struct float_modes *modes)
{
    fegetenv(&modes->before);
}

static int same(const fenv_t *before, const fenv_t *now)
{
#if defined(__x86_64__)
    const unsigned exceptions = 0x3f;
    return before->__control_word == now->__control_word &&
           ((before->__mxcsr ^ now->__mxcsr) & ~exceptions) == 0;
#elif defined(__aarch64__)
    return before->__fpcr == now->__fpcr;
#else
    /* Compared whole: here a raised exception is taken for a changed mode, never the reverse. */
    return memcmp(before, now, sizeof *before) == 0;
#endif
}

int float_modes_restore(const struct float_modes *modes)
{
    fenv_t now;
    fegetenv(&now);
    int changed = !same(&modes->before, &now);
    fesetenv(&modes->before);
    return changed;
}
