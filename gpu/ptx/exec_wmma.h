/*
 * exec_wmma.h - what the files share that run wmma.load and wmma.store.
 */
#ifndef MOE_GPU_PTX_EXEC_WMMA_H
#define MOE_GPU_PTX_EXEC_WMMA_H

#include "gpu/ptx/exec_fragment.h"

/* A fragment on its way. A line of memory is a row of the matrix, or a column. */
struct wmma_move {
    struct fragment fragment;
    int lines_are_rows;
    int line_bytes, piece_bytes, pieces; /* pieces of all lines */
    int unit;                            /* bits of what a stride counts */
    uint32_t stride;                     /* where none is given */
    uint32_t align;
};

/* code->data[3] is the move. A store is of accumulators, of 16 bits and more. */
ptx_execute wmma_load, wmma_store;

#endif
