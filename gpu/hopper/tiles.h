/*
 * tiles.h - which rows a tile of a grouped product has: written by a kernel, read by the products,
 * laid out in memory by the host.
 */
#ifndef MOE_HOPPER_TILES_H
#define MOE_HOPPER_TILES_H

#include <stdint.h>

/* Rows of one expert that a block takes together, for some columns or for all in turn. */
struct row_tile {
    int64_t row;  /* the first of them */
    int32_t rows; /* 1 .. TILE_ROWS, or TALL_ROWS where tiles are tall */
    int32_t expert;
    int32_t first, count; /* the expert's tiles in the list: the first one, and how many */
};

/* All tiles of a routing of one height, by expert, then by row. */
struct row_tiles {
    int64_t count;
    int64_t unused; /* tiles begin at a multiple of 16 bytes */
};

#define TILE_ROWS 128
#define TALL_ROWS 256

/* Of a block's shared memory, behind the stages, and the host asks for it: what eight multiplying
 * warps turn words in (quads.cuh), or, of gradients, what two warpgroups stage boxes in
 * (store_box.cuh). */
#define TURN_SLOTS(tile_cols) ((tile_cols) == 192 ? 6 : 8) /* its ring leaves no more */
#define TURN_BYTES(tile_cols) (8 * TURN_SLOTS(tile_cols) * 512)
#define STAGING_BUFFERS 2
#define STAGING_BYTES (2 * STAGING_BUFFERS * 64 * 128)

#endif
