/*
 * other_checks.c - see other_checks.h.
 */
#include <stdio.h>
#include <string.h>

#include "tests/other_checks.h"
#include "verify/verify.h"

const char *other_checks(void)
{
    static char list[1024];
    const struct moe_check *check;
    list[0] = '\0';
    for (int i = 0; (check = moe_check_get(i)); i++) {
        const size_t used = strlen(list);
        if (strcmp(check->name, "relations") && strcmp(check->name, "containment"))
            snprintf(list + used, sizeof list - used, "%s%s", used ? "," : "", check->name);
    }
    return list;
}
