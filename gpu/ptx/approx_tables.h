/*
 * approx_tables.h - coefficients of approx.c; approx_tables.c says where they come from.
 */
#ifndef MOE_GPU_PTX_APPROX_TABLES_H
#define MOE_GPU_PTX_APPROX_TABLES_H

#include <stdint.h>

/* Of one segment; the units are approx.c's. */
struct approx_row {
    int32_t constant, linear, square;
};

extern const struct approx_row approx_rcp_rows[128];
extern const struct approx_row approx_ex2_rows[64];
extern const struct approx_row approx_rsqrt_rows[128];
extern const struct approx_row approx_sqrt_rows[128];
extern const struct approx_row approx_lg2_rows[64];
extern const struct approx_row approx_tanh_rows[51];

#endif
