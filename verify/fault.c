/*
 * fault.c - the table of planted faults as one, and which of them is planted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/fault_table.h"
#include "verify/model.h"

const struct moe_fault *model_planted;
int model_planted_level;

static const struct moe_fault *const part[] = {fault_memory,  fault_launch, fault_maths,
                                               fault_special, fault_held,   fault_elsewhere};

static const char *const class_name[MOE_FAULT_CLASS_COUNT] = {
    [MOE_FAULT_UNWRITTEN] = "unwritten",       [MOE_FAULT_BOUNDS] = "bounds",
    [MOE_FAULT_INDEX_WIDTH] = "index-width",   [MOE_FAULT_ORDER] = "order",
    [MOE_FAULT_LAUNCH_STATE] = "launch-state", [MOE_FAULT_CONFIGURATION] = "configuration",
    [MOE_FAULT_ROUTING] = "routing",           [MOE_FAULT_FORMULA] = "formula",
    [MOE_FAULT_ROUNDING] = "rounding",         [MOE_FAULT_WORKSPACE] = "workspace",
    [MOE_FAULT_ENVIRONMENT] = "environment",   [MOE_FAULT_SPECIAL] = "special-values",
    [MOE_FAULT_IMPOSTOR] = "impostor",
};

const char *moe_fault_class_name(enum moe_fault_class class)
{
    return class_name[class];
}

const struct moe_fault *moe_fault_get(int index)
{
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        for (const struct moe_fault *fault = part[i]; fault->name; fault++)
            if (index-- == 0)
                return fault;
    return NULL;
}

const struct moe_fault *moe_fault_find(const char *name)
{
    const struct moe_fault *fault;
    for (int i = 0; (fault = moe_fault_get(i)); i++)
        if (strcmp(fault->name, name) == 0)
            return fault;
    return NULL;
}

void moe_fault_plant(const struct moe_fault *fault, int level)
{
    model_forget();
    model_planted = fault;
    model_planted_level = level;
}

/* "name" or "name@level" */
static const struct moe_fault *read_text(const char *text, int *level)
{
    char name[64];
    size_t length = strcspn(text, "@");
    *level = text[length] == '@' ? atoi(text + length + 1) : 0;
    snprintf(name, sizeof name, "%.*s", (int)length, text);
    return moe_fault_find(name);
}

int moe_fault_plant_text(const char *text)
{
    int level = 0;
    const struct moe_fault *fault = text ? read_text(text, &level) : NULL;
    if (text && (!fault || fault->needs != MOE_FAULT_ON_CPU))
        return moe_error(MOE_E_USAGE, "no fault '%.60s' that a model can act out", text);
    moe_fault_plant(fault, level);
    return MOE_OK;
}

int moe_fault_outlives_launch(const char *text)
{
    int level;
    const struct moe_fault *fault = read_text(text, &level);
    return fault && (fault->class == MOE_FAULT_LAUNCH_STATE || fault->class == MOE_FAULT_IMPOSTOR);
}
