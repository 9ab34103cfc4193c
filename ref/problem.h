/*
 * problem.h - inside the grammar of case lines: what problem.c, problem_keys.c, problem_names.c,
 * problem_number.c and problem_validate.c share. Prototypes stand under the file that holds them.
 */
#ifndef MOE_REF_PROBLEM_H
#define MOE_REF_PROBLEM_H

#include "ref/moe.h"

/* ---- problem_names.c: the words that keys take ---------------------------------------------- */

/* A name; some carry a number behind a colon. */
struct problem_name {
    const char *text;
    int has_argument;
    double least, most; /* of the argument */
};

/* A set of names is a function of an index that fills `name` and returns 0, or -1 past the end. The
 * index is the value of the enum. */
typedef int problem_names(int index, struct problem_name *name);

problem_names problem_dtype_names, problem_grad_names, problem_act_names, problem_w1_names,
    problem_router_names, problem_round_names, problem_weight_names, problem_routing_names,
    problem_data_names;

/* ---- problem_number.c: numbers as text, whatever the locale --------------------------------- */

/* Both readers advance *text behind what they read and return 0, or -1. */
int number_read_integer(const char **text, uint64_t most, uint64_t *value);
int number_read_real(const char **text, double *value);
void number_print_real(double value, char *text, size_t size);

/* ---- problem_keys.c: the table of keys ------------------------------------------------------ */

/* Room for the printed value of any key, '\0' included; the longest are groups and swiglu-clamp. */
enum { PROBLEM_VALUE_SIZE = 64 };

struct problem_key {
    struct moe_problem_key text;

    /* Reads a value into the field(s); 0, or -1 when the value is not of the key. */
    int (*parse)(const struct problem_key *key, const char *value, struct moe_problem *problem);
    /* Writes the field(s) into value[PROBLEM_VALUE_SIZE]. What is out of range prints as something
     * that parse refuses. */
    void (*print)(const struct problem_key *key, const struct moe_problem *problem, char *value);

    size_t field;        /* offset in struct moe_problem */
    size_t other_field;  /* of the name's argument, or of the second number; 0: none */
    int64_t least, most; /* of an integer */
    double least_real;   /* of a real; the largest is DBL_MAX */
    problem_names *names;
    int always; /* printed also where it is the default */
};

const struct problem_key *problem_key_row(int index);         /* NULL past the end */
const struct problem_key *problem_key_find(const char *name); /* NULL: no such key */

/* ---- problem.c ------------------------------------------------------------------------------ */

/* MOE_E_USAGE "key='value': text", the value made short. */
int problem_refuse(const char *key, const char *value, const char *text);

#endif
