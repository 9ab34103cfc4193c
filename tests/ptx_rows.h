/*
 * ptx_rows.h - rows of micro-kernels from the files of tests/ptx/families: lists of instructions,
 * of which each row makes one kernel. tests/ptx/README.md says how they are written.
 */
#ifndef MOE_TESTS_PTX_ROWS_H
#define MOE_TESTS_PTX_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "gpu/gpu.h"

enum { ROW_ARRAYS = 3, ROW_MAPS = 16 };

struct ptx_row {
    char name[40];
    char draw[ROW_ARRAYS][8]; /* what the arrays hold; tests/ptx_draw.h */
    int words;                /* of 64 bits, that an element of an array has */
    int results;              /* words that an element of the output has */
    int elements, block, cluster;
    struct moe_tensor_map_spec map[ROW_MAPS]; /* of array 0; base is filled in by who runs it */
    int maps;
    char *text; /* PTX with the entry `k` */
    size_t length;
    char **slot; /* [slots]: what each computes */
    int slots;
    int line; /* of the file */
};

struct ptx_rows {
    struct ptx_row *row;
    int count;
};

/* Adds the rows of a file. MOE_E_IO, MOE_E_NOMEM; MOE_E_USAGE: "FILE:LINE: ...". */
int ptx_rows_read(const char *path, struct ptx_rows *rows);
void ptx_rows_free(struct ptx_rows *rows);

/* 64-bit words of an array, and of the output. */
size_t ptx_row_input(const struct ptx_row *row);
size_t ptx_row_output(const struct ptx_row *row);

#endif
