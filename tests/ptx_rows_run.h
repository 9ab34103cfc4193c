/*
 * ptx_rows_run.h - a row of micro-kernels, run on the PTX machine or on a GPU.
 */
#ifndef MOE_TESTS_PTX_ROWS_RUN_H
#define MOE_TESTS_PTX_ROWS_RUN_H

#include "tests/ptx_rows.h"

/* [ROW_ARRAYS] of ptx_row_input words, drawn; NULL: no memory, or no such draw. free frees all. */
uint64_t *ptx_row_draw(const struct ptx_row *row);

/* Into out [ptx_row_output]. MOE_OK; or what the machine, or the driver, has to say. */
int ptx_row_on_machine(const struct ptx_row *row, const uint64_t *in, uint64_t *out);
/* `code`: a folder with NAME.cubin, NULL: the driver compiles. */
int ptx_row_on_gpu(struct moe_device *device, const struct ptx_row *row, const char *code,
                   const uint64_t *in, uint64_t *out);

#endif
