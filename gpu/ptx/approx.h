/*
 * approx.h - the approximate functions, as number_find gives them out. Format F16 and BF16: ex2 and
 * tanh only.
 */
#ifndef MOE_GPU_PTX_APPROX_H
#define MOE_GPU_PTX_APPROX_H

#include <stdint.h>

#include "gpu/ptx/number.h"

uint64_t number_approx_ex2(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                           unsigned how);
uint64_t number_approx_lg2(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                           unsigned how);
uint64_t number_approx_rcp(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                           unsigned how);
uint64_t number_approx_rsqrt(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                             unsigned how);
uint64_t number_approx_sqrt(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                            unsigned how);
uint64_t number_approx_tanh(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                            unsigned how);
uint64_t number_approx_sin(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                           unsigned how);
uint64_t number_approx_cos(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                           unsigned how);
uint64_t number_approx_div(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                           unsigned how);
uint64_t number_full_div(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                         unsigned how);
uint64_t number_approx_rcp_f64(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                               unsigned how);
uint64_t number_approx_rsqrt_f64(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                                 unsigned how);

#endif
