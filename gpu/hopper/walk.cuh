// walk.cuh - which tiles a block takes, and in which order.
//
// Blocks take tiles in waves of as many as there are blocks. Tiles follow each other by expert.
// Where those of an expert have many columns, they are cut into groups of a few, and a group goes
// down all rows: so a wave needs few rows and few columns, and what it reads stays in the L2 cache.
#pragma once

#include "gpu/hopper/product.h"
#include "gpu/hopper/shape.cuh"

constexpr uint32_t COLUMN_GROUP = 8;
constexpr uint32_t FEW_COLUMNS = 16; // tiles of tokens' rows: so many are in no groups

struct tile_place {
    uint32_t row, column;
};

// Of the tile with that number among rows x columns of them.
static __device__ __forceinline__ struct tile_place place_in_groups(uint32_t number, uint32_t rows,
                                                                    uint32_t columns)
{
    const uint32_t group = number / (rows * COLUMN_GROUP), first = group * COLUMN_GROUP;
    const uint32_t left = number - first * rows;
    const uint32_t width = columns - first < COLUMN_GROUP && !planted(FAULT_LAST_GROUP)
                               ? columns - first
                               : COLUMN_GROUP;
    return {left / width, first + left % width};
}

// Tiles of products whose rows are tokens. TILE_HEIGHT: rows of one.
template <int TILE_HEIGHT> struct row_walk {
    const struct product_arguments &arguments;
    uint32_t tile, count; // row tiles times column tiles: memory ends before 2^32 of them
    uint32_t column_tiles;

    __device__ row_walk(const struct product_arguments &arguments, uint32_t column_tiles)
        : arguments(arguments), tile(blockIdx.x), column_tiles(column_tiles)
    {
        count = (arguments.tiles ? (uint32_t)arguments.tiles->count : row_tiles()) * column_tiles;
    }

    // Where all rows are one expert's.
    __device__ uint32_t row_tiles() const
    {
        return (uint32_t)((arguments.rows + TILE_HEIGHT - 1) / TILE_HEIGHT);
    }

    __device__ bool more() const
    {
        return tile < count - planted(FAULT_LAST_TILE);
    }

    __device__ void step()
    {
        tile += gridDim.x + planted(FAULT_TILE_SKIPPED);
    }

    // Its row tile's number among all, and its column tile's.
    __device__ struct tile_place place() const
    {
        const struct tile_place by_row = {tile / column_tiles, tile % column_tiles};
        if (column_tiles <= FEW_COLUMNS)
            return by_row;
        uint32_t first = 0, high = row_tiles(); // of the expert's row tiles
        if (arguments.tiles) {
            const struct row_tile &some = list()[by_row.row];
            first = (uint32_t)some.first, high = (uint32_t)some.count;
        }
        const struct tile_place own =
            place_in_groups(tile - first * column_tiles, high, column_tiles);
        return {first + own.row, own.column};
    }

    __device__ struct row_tile rows(const struct tile_place &place) const
    {
        if (arguments.tiles)
            return list()[place.row];
        const int64_t row = (int64_t)place.row * TILE_HEIGHT, left = arguments.rows - row;
        return {row, (int32_t)(left < TILE_HEIGHT ? left : TILE_HEIGHT), 0, 0, 0};
    }

    __device__ const struct row_tile *list() const
    {
        return (const struct row_tile *)(arguments.tiles + 1);
    }
};

// Tiles of sums over the rows of an expert: D [P,Q] of each.
struct gradient_walk {
    uint32_t tile, count; // memory for D ends before 2^32 of them
    uint32_t row_tiles, column_tiles;

    __device__ gradient_walk(const struct gradient_arguments &arguments, int32_t tile_cols)
        : tile(blockIdx.x), row_tiles((arguments.p_cols + TILE_ROWS - 1) / TILE_ROWS),
          column_tiles((arguments.q_cols + tile_cols - 1) / tile_cols)
    {
        count = (uint32_t)arguments.experts * row_tiles * column_tiles;
    }

    __device__ bool more() const
    {
        return tile < count;
    }

    __device__ void step()
    {
        tile += gridDim.x;
    }

    __device__ int32_t expert() const
    {
        return (int32_t)(tile / (row_tiles * column_tiles));
    }

    __device__ struct tile_place place() const
    {
        return place_in_groups(tile % (row_tiles * column_tiles), row_tiles, column_tiles);
    }
};
