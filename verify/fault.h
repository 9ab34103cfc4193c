/*
 * fault.h - planted faults: what can be wrong with a kernel, as a table that the model of the layer
 * (model.h), the GPU variants built with -DMOE_FAULTS and `moecheck selftest` share.
 *
 * A fault is a kind at a place: "the last k is missing" in the product Z, "rows past the tile are
 * not written" of dW1. The kinds of a place stand in model.h, the faults in fault_*.c; what a kind
 * does is where it is acted out, in model_*.c.
 */
#ifndef MOE_FAULT_H
#define MOE_FAULT_H

#include <stddef.h>
#include <stdint.h>

/* Classes of the catalogue of real faults; detection is reported for each. */
enum moe_fault_class {
    MOE_FAULT_UNWRITTEN,
    MOE_FAULT_BOUNDS,
    MOE_FAULT_INDEX_WIDTH,
    MOE_FAULT_ORDER,
    MOE_FAULT_LAUNCH_STATE,
    MOE_FAULT_CONFIGURATION,
    MOE_FAULT_ROUTING,
    MOE_FAULT_FORMULA,
    MOE_FAULT_ROUNDING,
    MOE_FAULT_WORKSPACE,
    MOE_FAULT_ENVIRONMENT,
    MOE_FAULT_SPECIAL,
    MOE_FAULT_IMPOSTOR,
    MOE_FAULT_CLASS_COUNT
};

const char *moe_fault_class_name(enum moe_fault_class class);

/* What it takes to act a fault out. */
enum moe_fault_needs {
    MOE_FAULT_ON_CPU, /* the model does */
    MOE_FAULT_ON_GPU, /* streams, graphs, real races, more than 2^31 elements */
    MOE_FAULT_ON_PTX, /* fences, barrier phases, descriptors: the PTX machine */
};

/* Where a fault of a family sits; `at` says which of them. */
enum moe_fault_place {
    MOE_FAULT_NOWHERE,
    MOE_FAULT_IN_PRODUCT, /* at: enum moe_product */
    MOE_FAULT_IN_STORE,   /* at: enum moe_tensor_id, the tensor that is written */
    MOE_FAULT_IN_LOAD,    /* at: enum moe_tensor_id, the tensor that is read */
    MOE_FAULT_IN_STEP,    /* one of a kind, at a step of its own */
};

struct moe_fault {
    const char *name;
    enum moe_fault_class class;
    enum moe_fault_place place;
    int at;
    int kind;            /* of the place's kinds: model.h */
    int level;           /* how strong: elements missing, or k of 2^-k */
    int configuration;   /* it is there in this configuration only; 0: in all */
    const char *planted; /* what is wrong, one line */
    const char *source;  /* the report of a real one that it comes from, or "" */
    const char *checks;  /* those that must catch it, any of them; commas between */
    const char *words;   /* keys of a case that reaches it */
    enum moe_fault_needs needs;
    const char *survives; /* why nothing can tell it from a right kernel; NULL: it must be caught */
};

const struct moe_fault *moe_fault_get(int index); /* NULL past the end */
const struct moe_fault *moe_fault_find(const char *name);

/* The fault that the models of this process act out from here on, and its strength (0: the
 * table's); NULL: none. What models keep between launches is forgotten. */
void moe_fault_plant(const struct moe_fault *fault, int level);

/* The same from a job's text, "name" or "name@level"; NULL: none. MOE_E_USAGE: no such fault. */
int moe_fault_plant_text(const char *text);

/* Is it of those whose state outlives a launch, so that the first one of a process may be right? */
int moe_fault_outlives_launch(const char *text);

/* Adds the models to the variants of this process. MOE_E_NOMEM. */
int moe_models_add(void);

#endif
