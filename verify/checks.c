/*
 * checks.c - the table of checks, in the order of the list CHECKS in local.mk. A check may rely on
 * what those before it found: `bound` on the routing that `routing` accepted.
 */
#include "verify/verify.h"

#define X(name) extern const struct moe_check moe_check_##name;
#include "verify/checks.inc"
#undef X

#define X(name) &moe_check_##name,
static const struct moe_check *const table[] = {
#include "verify/checks.inc"
};
#undef X

const struct moe_check *moe_check_get(int index)
{
    return index >= 0 && index < (int)(sizeof table / sizeof *table) ? table[index] : NULL;
}
