/*
 * geometry.c - names the shape of the wrong elements by what their rows and their columns are.
 *
 * The counts by row and by column say exactly whether the wrong elements are a product of a set of
 * rows and a set of columns: then their number is that of the rows times that of the columns. Each
 * set is named for itself (one, all, one in 16, the last three, whole tiles), and a table names
 * the pair. What fills less than half of its product is scattered.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/moe.h"
#include "verify/geometry.h"

#define FILLED(part, whole) (2 * (part) >= (whole))
#define DENSE(part, whole) (4 * (part) >= 3 * (whole))

#define LARGEST_TILE 256
#define SMALLEST_TILE 8
#define CELLS (MOE_PICTURE_SIDE * MOE_PICTURE_SIDE)

/* ---- the mask ---------------------------------------------------------------------------------
 */

/* Cells of a picture along a dimension, and the one that a place belongs to. */
static int64_t cells_of(int64_t total)
{
    return total < MOE_PICTURE_SIDE ? total : MOE_PICTURE_SIDE;
}

static int64_t cell_of(int64_t total, int64_t place)
{
    return place * cells_of(total) / total;
}

int moe_mask_add(struct moe_mask *mask, int64_t rows, int64_t cols, int64_t row, int64_t col)
{
    if (!mask->row) {
        mask->row = calloc((size_t)(rows + cols + CELLS), sizeof *mask->row);
        if (!mask->row)
            return moe_error(MOE_E_NOMEM, "no memory for the place of wrong elements");
        mask->col = mask->row + rows;
        mask->cell = mask->col + cols;
        mask->rows = rows;
        mask->cols = cols;
    }
    mask->row[row]++;
    mask->col[col]++;
    mask->cell[cell_of(rows, row) * MOE_PICTURE_SIDE + cell_of(cols, col)]++;
    mask->wrong++;
    return MOE_OK;
}

void moe_mask_free(struct moe_mask *mask)
{
    free(mask->row);
    *mask = (struct moe_mask){0};
}

/* Places of a dimension that belong to a cell. */
static int64_t share_of(int64_t total, int64_t cell)
{
    int64_t cells = cells_of(total);
    return ((cell + 1) * total + cells - 1) / cells - (cell * total + cells - 1) / cells;
}

void moe_mask_picture(const struct moe_mask *mask, struct moe_picture *picture)
{
    struct moe_picture drawn = {0};
    if (mask->row) {
        drawn.rows = (int32_t)cells_of(mask->rows);
        drawn.cols = (int32_t)cells_of(mask->cols);
    }
    for (int32_t r = 0; r < drawn.rows; r++)
        for (int32_t c = 0; c < drawn.cols; c++) {
            double area = (double)share_of(mask->rows, r) * (double)share_of(mask->cols, c);
            double share = (double)mask->cell[r * MOE_PICTURE_SIDE + c] / area;
            drawn.cell[r * drawn.cols + c] = (uint8_t)ceil(255 * share);
        }
    *picture = drawn;
}

/* ---- one dimension ----------------------------------------------------------------------------
 */

enum kind { ALL, ONE, STRIDE, LAST, TAIL, TILE, RUN, SOME, KINDS };

/* The places that have wrong elements, of `total` places. */
struct places {
    enum kind kind;
    int64_t total, first, last, count;
    int64_t step; /* the one distance between neighbours, 0 where there are several */
    int64_t tile; /* of TAIL and TILE */
};

/* The largest tile that `at` is a multiple of; 0: none. */
static int64_t tile_of(int64_t at)
{
    for (int64_t tile = LARGEST_TILE; tile >= SMALLEST_TILE; tile /= 2)
        if (at % tile == 0)
            return tile;
    return 0;
}

/* A run of neighbours: at the end, in whole tiles, or anywhere. */
static void name_run(struct places *places)
{
    int64_t length = places->last + 1 - places->first, tile = tile_of(places->first | length);
    int64_t begin = tile_of(places->first);
    places->kind = RUN;
    if (tile > 0) {
        places->kind = TILE;
        places->tile = tile;
    } else if (places->last == places->total - 1) {
        int beyond = places->first > 0 && begin > 0 && length < begin;
        places->kind = beyond ? TAIL : LAST;
        places->tile = begin;
    }
}

static struct places places_of(const int64_t *wrong, int64_t total)
{
    struct places places = {.kind = SOME, .total = total, .first = -1, .last = -1};
    for (int64_t i = 0; i < total; i++) {
        if (wrong[i] == 0)
            continue;
        int64_t step = i - places.last;
        if (places.count == 0)
            places.first = i;
        else if (places.count == 1)
            places.step = step;
        else if (step != places.step)
            places.step = 0;
        places.last = i;
        places.count++;
    }
    if (places.count == total)
        places.kind = ALL;
    else if (places.count == 1)
        places.kind = ONE;
    else if (places.count > 2 && places.step > 1)
        places.kind = STRIDE;
    else if (DENSE(places.count, places.last + 1 - places.first))
        name_run(&places);
    /* all but a few that are right by chance */
    if (places.kind != ONE && places.kind != STRIDE && places.first == 0 &&
        places.last == total - 1 && DENSE(places.count, total))
        places.kind = ALL;
    return places;
}

static void tell(const struct places *places, const char *name, char *text, size_t size)
{
    long long first = places->first, last = places->last, count = places->count;
    long long length = last + 1 - first;
    switch (places->kind) {
    case ALL:
        snprintf(text, size, "all %lld %ss", (long long)places->total, name);
        break;
    case ONE:
        snprintf(text, size, "%s %lld of %lld", name, first, (long long)places->total);
        break;
    case STRIDE:
        snprintf(text, size, "one %s in %lld from %lld to %lld", name, (long long)places->step,
                 first, last);
        break;
    case LAST:
        snprintf(text, size, "the last %lld of %lld %ss", length, (long long)places->total, name);
        break;
    case TAIL:
        snprintf(text, size, "the last %lld %ss, beyond a multiple of %lld", length, name,
                 (long long)places->tile);
        break;
    case TILE:
        snprintf(text, size, "%ss %lld to %lld, a tile of %lld", name, first, last,
                 (long long)places->tile);
        break;
    case RUN:
        snprintf(text, size, "%ss %lld to %lld", name, first, last);
        break;
    default:
        snprintf(text, size, "%lld %ss from %lld to %lld", count, name, first, last);
    }
}

/* ---- both dimensions --------------------------------------------------------------------------
 */

/* clang-format off */
#define ROW MOE_GEOMETRY_ROW
#define BOX MOE_GEOMETRY_RECTANGLE
#define COL MOE_GEOMETRY_COLUMN
#define COLS(of) MOE_GEOMETRY_COLUMNS_##of
#define ROWS(of) MOE_GEOMETRY_ROWS_##of

/* [rows][columns] of a shape that is filled */
static const enum moe_geometry shape[KINDS][KINDS] = {
    /* columns    ALL                       ONE  STRIDE        LAST        TAIL        TILE               RUN                   SOME */
    [ALL] =      {MOE_GEOMETRY_EVERYTHING,  COL, COLS(STRIDE), COLS(LAST), COLS(TAIL), COLS(TILE),        MOE_GEOMETRY_COLUMNS, MOE_GEOMETRY_COLUMNS},
    [ONE] =      {ROW,  MOE_GEOMETRY_ELEMENT,    ROW,          ROW,        ROW,        ROW,               ROW,                  ROW},
    [STRIDE] =   {ROWS(STRIDE),             COL, COLS(STRIDE), COLS(LAST), COLS(TAIL), ROWS(STRIDE),      ROWS(STRIDE),         ROWS(STRIDE)},
    [LAST] =     {ROWS(LAST),               COL, COLS(STRIDE), BOX,        BOX,        BOX,               BOX,                  ROWS(LAST)},
    [TAIL] =     {ROWS(TAIL),               COL, COLS(STRIDE), BOX,        BOX,        BOX,               BOX,                  ROWS(TAIL)},
    [TILE] =     {ROWS(TILE),               COL, COLS(STRIDE), BOX,        BOX,        MOE_GEOMETRY_TILE, BOX,                  ROWS(TILE)},
    [RUN] =      {MOE_GEOMETRY_ROWS,        COL, COLS(STRIDE), BOX,        BOX,        BOX,               BOX,                  MOE_GEOMETRY_ROWS},
    [SOME] =     {MOE_GEOMETRY_ROWS,        COL, COLS(STRIDE), COLS(LAST), COLS(TAIL), COLS(TILE),        MOE_GEOMETRY_COLUMNS, MOE_GEOMETRY_SCATTERED},
};
/* clang-format on */

static const char *const names[MOE_GEOMETRY_COUNT] = {
    [MOE_GEOMETRY_NONE] = "",
    [MOE_GEOMETRY_ELEMENT] = "element",
    [MOE_GEOMETRY_ROW] = "row",
    [MOE_GEOMETRY_ROWS] = "rows",
    [MOE_GEOMETRY_ROWS_STRIDE] = "rows-stride",
    [MOE_GEOMETRY_ROWS_LAST] = "rows-last",
    [MOE_GEOMETRY_ROWS_TAIL] = "rows-tail",
    [MOE_GEOMETRY_ROWS_TILE] = "rows-tile",
    [MOE_GEOMETRY_EXPERT] = "expert",
    [MOE_GEOMETRY_COLUMN] = "column",
    [MOE_GEOMETRY_COLUMNS] = "columns",
    [MOE_GEOMETRY_COLUMNS_STRIDE] = "columns-stride",
    [MOE_GEOMETRY_COLUMNS_LAST] = "columns-last",
    [MOE_GEOMETRY_COLUMNS_TAIL] = "columns-tail",
    [MOE_GEOMETRY_COLUMNS_TILE] = "columns-tile",
    [MOE_GEOMETRY_RECTANGLE] = "rectangle",
    [MOE_GEOMETRY_TILE] = "tile",
    [MOE_GEOMETRY_EVERYTHING] = "everything",
    [MOE_GEOMETRY_SCATTERED] = "scattered",
};

const char *moe_geometry_name(enum moe_geometry geometry)
{
    return names[geometry];
}

enum moe_geometry moe_geometry_named(const char *name)
{
    int geometry = MOE_GEOMETRY_COUNT - 1;
    while (geometry > 0 && strcmp(names[geometry], name) != 0)
        geometry--;
    return (enum moe_geometry)geometry;
}

/* The one group of several that all of the rows lie in; -1: none. */
static int64_t group_of(const struct places *rows, const int64_t *begin, int64_t groups)
{
    for (int64_t g = 0; begin && g < groups; g++)
        if (begin[g] <= rows->first && rows->last < begin[g + 1])
            return begin[g + 1] - begin[g] < rows->total ? g : -1;
    return -1;
}

enum moe_geometry moe_geometry_of(const struct moe_mask *mask, const int64_t *begin, int64_t groups,
                                  char *text, size_t size)
{
    char row_text[64], col_text[64], owner[32] = "";
    if (size > 0)
        text[0] = '\0';
    if (mask->wrong == 0)
        return MOE_GEOMETRY_NONE;
    struct places rows = places_of(mask->row, mask->rows);
    struct places cols = places_of(mask->col, mask->cols);
    int64_t group = group_of(&rows, begin, groups);
    if (group >= 0) {
        rows = places_of(mask->row + begin[group], begin[group + 1] - begin[group]);
        snprintf(owner, sizeof owner, " of expert %lld", (long long)group);
    }
    tell(&rows, "row", row_text, sizeof row_text);
    tell(&cols, "column", col_text, sizeof col_text);
    snprintf(text, size, "%s%s; %s", row_text, owner, col_text);
    if (mask->wrong == 1)
        return MOE_GEOMETRY_ELEMENT;
    if (!FILLED(mask->wrong, rows.count * cols.count))
        return MOE_GEOMETRY_SCATTERED;
    if (rows.kind == ALL && cols.kind == ALL && group >= 0)
        return MOE_GEOMETRY_EXPERT;
    return shape[rows.kind][cols.kind];
}
