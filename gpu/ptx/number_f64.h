/*
 * number_f64.h - f64 in every rounding: the operations that f64 itself cannot help with.
 */
#ifndef MOE_GPU_PTX_NUMBER_F64_H
#define MOE_GPU_PTX_NUMBER_F64_H

#include <stdint.h>

#include "gpu/ptx/number.h"

uint64_t number_f64_fma(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                        unsigned how);
uint64_t number_f64_add(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                        unsigned how);
uint64_t number_f64_sub(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                        unsigned how);
uint64_t number_f64_mul(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                        unsigned how);
uint64_t number_f64_div(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                        unsigned how);
uint64_t number_f64_rcp(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                        unsigned how);
uint64_t number_f64_sqrt(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                         unsigned how);

#endif
