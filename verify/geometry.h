/*
 * geometry.h - the shape that the wrong elements of a tensor make: a row, the rows of one expert,
 * one column in 16, the last three, a tile, everything. Two failures of one shape are likely one
 * fault, and the shape says which loop to look at.
 */
#ifndef MOE_GEOMETRY_H
#define MOE_GEOMETRY_H

#include <stddef.h>
#include <stdint.h>

/* How many elements of each row and each column are wrong, the tensor seen as a matrix of its last
 * dimension. Zeros at first; takes no memory before the first wrong element. */
struct moe_mask {
    int64_t rows, cols;
    int64_t wrong;
    int64_t *row, *col; /* [rows], [cols] wrong elements; NULL: none yet */
    int64_t *cell;      /* [MOE_PICTURE_SIDE, MOE_PICTURE_SIDE] the same, of a picture's cells */
};

/* Marks an element of a tensor with so many rows and columns. MOE_E_NOMEM. */
int moe_mask_add(struct moe_mask *mask, int64_t rows, int64_t cols, int64_t row, int64_t col);
void moe_mask_free(struct moe_mask *mask);

#define MOE_PICTURE_SIDE 32

/* Where the wrong elements lie, small enough to be kept with every failure: cell [r, c] of
 * [rows, cols] is the share of wrong ones there, 255 all; 0 only where none is. A tensor with fewer
 * rows or columns than MOE_PICTURE_SIDE has a cell for each. */
struct moe_picture {
    int32_t rows, cols; /* 0: nothing to be seen */
    uint8_t cell[MOE_PICTURE_SIDE * MOE_PICTURE_SIDE];
};

void moe_mask_picture(const struct moe_mask *mask, struct moe_picture *picture);

enum moe_geometry {
    MOE_GEOMETRY_NONE, /* nothing is known */
    MOE_GEOMETRY_ELEMENT,
    MOE_GEOMETRY_ROW,
    MOE_GEOMETRY_ROWS,
    MOE_GEOMETRY_ROWS_STRIDE,
    MOE_GEOMETRY_ROWS_LAST, /* at the end of the tensor or of an expert */
    MOE_GEOMETRY_ROWS_TAIL, /* at the end, all beyond a multiple of a tile */
    MOE_GEOMETRY_ROWS_TILE, /* whole tiles of 8 to 256 rows */
    MOE_GEOMETRY_EXPERT,    /* all rows of one expert */
    MOE_GEOMETRY_COLUMN,
    MOE_GEOMETRY_COLUMNS,
    MOE_GEOMETRY_COLUMNS_STRIDE,
    MOE_GEOMETRY_COLUMNS_LAST,
    MOE_GEOMETRY_COLUMNS_TAIL,
    MOE_GEOMETRY_COLUMNS_TILE,
    MOE_GEOMETRY_RECTANGLE, /* part of the rows and part of the columns */
    MOE_GEOMETRY_TILE,      /* a rectangle of whole tiles */
    MOE_GEOMETRY_EVERYTHING,
    MOE_GEOMETRY_SCATTERED,
    MOE_GEOMETRY_COUNT
};

/* "columns-last"; "" for none. */
const char *moe_geometry_name(enum moe_geometry geometry);
/* The other way; none for what is no name. */
enum moe_geometry moe_geometry_named(const char *name);

/*
 * The shape, and in text[size] which rows and columns. Rows belong to groups (experts), where there
 * are some: group g has rows begin[g] up to begin[g+1], for g < groups; `begin` NULL: to none. A
 * row within a group is counted from its group's first.
 *
 * An element of a wrong row or tile may be right by chance, so a shape counts as filled where half
 * of its elements are wrong, and a run of rows as a run where three in four are.
 */
enum moe_geometry moe_geometry_of(const struct moe_mask *mask, const int64_t *begin, int64_t groups,
                                  char *text, size_t size);

#endif
