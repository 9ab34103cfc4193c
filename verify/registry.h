/*
 * registry.h - how plug-ins reach the table of variants that moe_variant_get() walks.
 */
#ifndef MOE_REGISTRY_H
#define MOE_REGISTRY_H

#include <stdint.h>

#include "verify/variant.h"

/* The known variant of that name, or NULL. */
const struct moe_variant *moe_variant_find(const char *name);

/* Appends `count` variants, all or none. They and their names must stay where they are. Not to be
 * called while another thread walks the table. MOE_E_NOMEM. */
int moe_variant_add(const struct moe_variant *const *variants, uint32_t count);

#endif
