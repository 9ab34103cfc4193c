/*
 * impostor.h - a variant that is wrong on purpose: the reference, told another case, given other
 * tensors, or with its outputs spoiled. And what a report then must say.
 */
#ifndef IMPOSTOR_H
#define IMPOSTOR_H

#include "tests/support.h"

extern const struct moe_variant moe_variant_ref;

typedef void meddle(const struct moe_problem *problem, struct moe_tensor *tensors);

/* How the impostor at hand differs from the reference. */
extern struct impostor {
    struct moe_problem problem, told; /* the case, and what the reference is told */
    struct moe_problem started; /* while it is told this one, it is told whatever case comes next */
    struct moe_tensor *given;   /* tensors in place of the case's, where data is not NULL */
    int idle;                   /* it does nothing at all */
    meddle *after_forward, *after_backward;
    int open_status, forward_status, backward_status;
    const char *checks; /* that judge it; NULL: all */
    void (*declare)(const struct moe_problem *problem, struct moe_recipe *recipe); /* or NULL */
} impostor;

extern const struct moe_variant impostor_variant;

/* The impostor that so far is the reference, for the case of a line. */
struct moe_problem impostor_start(const char *line);

/* Judges it; trouble of the judge's own fails the test. */
struct moe_report impostor_judge(const struct moe_problem *problem);

/* The finding of a check about a tensor (-1: any); NULL where there is none. */
const struct moe_finding *finding_of(const struct moe_report *report, const char *check,
                                     int tensor);

/* The same; a report that does not fail, or has none, fails the test, whose subject is `what`. */
const struct moe_finding *must_find(const struct moe_report *report, const char *check, int tensor,
                                    const char *what);

/* Is it one that a variant has to write? */
int is_output(const struct moe_problem *problem, int id);

#endif
