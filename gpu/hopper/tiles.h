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
    int32_t rows; /* 1 .. the tiles' height */
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
/* Higher ones lie across (across.cuh). */
#define LIES_ACROSS(rows) ((rows) > TALL_ROWS)

/* So many heights rows of a routing are listed in tiles of. */
#define TILE_HEIGHTS 4

/* Boxes of 64 x 64 elements of 16 bits, in which two warpgroups stage what is stored
 * (store_box.cuh): so many buffers each, behind the stages. The host asks for their memory. */
#define BOX 64
#define BOX_BYTES (BOX * BOX * 2)
#define BOX_ACROSS 32 /* rows of a box of tiles that lie across, of which a buffer holds two */
#define STAGING_BYTES(buffers) (2 * (buffers)*BOX_BYTES)

#endif
