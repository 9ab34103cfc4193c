/*
 * ptx_element.h - elements of matrices for the tests of the PTX machine: their codes, their values,
 * and numbers whose sums are exact.
 */
#ifndef MOE_TESTS_PTX_ELEMENT_H
#define MOE_TESTS_PTX_ELEMENT_H

#include <stdint.h>

enum element { F16, BF16, TF32, F64, E4M3, E5M2, F32, S8, U8, S4, U4, B1, S32, ELEMENT_COUNT };

struct element_row {
    const char *name;
    int bits, format; /* enum number_format; -1: an integer */
};
extern const struct element_row elements[ELEMENT_COUNT];

uint64_t element_code(enum element element, double value);
double element_value(enum element element, uint64_t code); /* not of integers but S32 */

/* An integer: any of 8 bits and fewer, -3 to 3 of a floating type, 0 or 1 of a bit. */
double element_draw(enum element element, uint64_t *state);

#endif
