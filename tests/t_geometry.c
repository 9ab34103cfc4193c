/*
 * t_geometry.c - the shape that wrong elements make is named for what it is: drawn masks, and
 * impostors whose fault has that shape in a real tensor.
 */
#include <math.h>
#include <string.h>

#include "tests/impostor.h"

/* ---- masks that are given by rows and columns -------------------------------------------------
 */

/* Wrong where first <= i < end, (i - first) % step == 0, of `total`. */
struct span {
    int64_t total, first, end, step;
};

static const struct {
    struct span rows, cols;
    int64_t group; /* rows of an expert; 0: rows belong to none */
    enum moe_geometry wanted;
    const char *text;
} masks[] = {
    {{40, 7, 8, 1}, {24, 3, 4, 1}, 0, MOE_GEOMETRY_ELEMENT, "row 7 of 40; column 3 of 24"},
    {{40, 7, 8, 1}, {24, 0, 24, 1}, 0, MOE_GEOMETRY_ROW, "row 7 of 40; all 24 columns"},
    {{40, 7, 8, 1}, {24, 2, 9, 1}, 0, MOE_GEOMETRY_ROW, "row 7 of 40; columns 2 to 8"},
    {{40, 7, 8, 1}, {24, 0, 24, 5}, 0, MOE_GEOMETRY_ROW, "one column in 5 from 0 to 20"},
    {{40, 0, 40, 1}, {24, 3, 4, 1}, 0, MOE_GEOMETRY_COLUMN, "all 40 rows; column 3 of 24"},
    {{40, 5, 9, 1}, {24, 3, 4, 1}, 0, MOE_GEOMETRY_COLUMN, "rows 5 to 8; column 3 of 24"},
    {{40, 0, 40, 1}, {24, 0, 24, 1}, 0, MOE_GEOMETRY_EVERYTHING, "all 40 rows; all 24 columns"},
    {{40, 0, 40, 1}, {64, 1, 64, 16}, 0, MOE_GEOMETRY_COLUMNS_STRIDE, "one column in 16 from 1 to"},
    {{40, 0, 40, 1}, {24, 21, 24, 1}, 0, MOE_GEOMETRY_COLUMNS_LAST, "the last 3 of 24 columns"},
    {{40, 0, 40, 1},
     {70, 64, 70, 1},
     0,
     MOE_GEOMETRY_COLUMNS_TAIL,
     "the last 6 columns, beyond a multiple of 64"},
    {{40, 0, 40, 1}, {70, 8, 70, 1}, 0, MOE_GEOMETRY_COLUMNS_LAST, "the last 62 of 70 columns"},
    {{40, 0, 40, 1},
     {96, 32, 64, 1},
     0,
     MOE_GEOMETRY_COLUMNS_TILE,
     "columns 32 to 63, a tile of 32"},
    {{40, 0, 40, 1}, {96, 32, 80, 1}, 0, MOE_GEOMETRY_COLUMNS_TILE, "a tile of 16"},
    {{40, 0, 40, 1}, {96, 33, 64, 1}, 0, MOE_GEOMETRY_COLUMNS, "columns 33 to 63"},
    {{300, 0, 8, 1}, {24, 0, 24, 1}, 0, MOE_GEOMETRY_ROWS_TILE, "rows 0 to 7, a tile of 8"},
    {{300, 128, 256, 1}, {24, 0, 24, 1}, 0, MOE_GEOMETRY_ROWS_TILE, "a tile of 128"},
    {{300, 256, 300, 1}, {24, 0, 24, 1}, 0, MOE_GEOMETRY_ROWS_TAIL, "beyond a multiple of 256"},
    {{300, 299, 300, 1}, {24, 0, 24, 1}, 0, MOE_GEOMETRY_ROW, "row 299 of 300"},
    {{300, 297, 300, 1}, {24, 0, 24, 1}, 0, MOE_GEOMETRY_ROWS_LAST, "the last 3 of 300 rows"},
    {{300, 4, 9, 1}, {24, 0, 24, 1}, 0, MOE_GEOMETRY_ROWS, "rows 4 to 8"},
    {{300, 3, 300, 4}, {24, 0, 24, 1}, 0, MOE_GEOMETRY_ROWS_STRIDE, "one row in 4 from 3 to 299"},
    {{128, 64, 128, 1}, {96, 32, 64, 1}, 0, MOE_GEOMETRY_TILE, "rows 64 to 127, a tile of 64"},
    {{128, 60, 70, 1}, {96, 30, 64, 1}, 0, MOE_GEOMETRY_RECTANGLE, "rows 60 to 69; columns 30 to"},
    /* rows of one expert of several, and places within it */
    {{40, 10, 20, 1}, {24, 0, 24, 1}, 10, MOE_GEOMETRY_EXPERT, "all 10 rows of expert 1; all 24"},
    {{40, 0, 40, 1}, {24, 0, 24, 1}, 10, MOE_GEOMETRY_EVERYTHING, "all 40 rows; all 24 columns"},
    {{40, 18, 20, 1}, {24, 0, 24, 1}, 10, MOE_GEOMETRY_ROWS_TAIL, "the last 2 rows, beyond a"},
    {{40, 10, 18, 1}, {24, 0, 24, 1}, 10, MOE_GEOMETRY_ROWS_TILE, "rows 0 to 7, a tile of 8 of"},
    {{40, 12, 22, 1}, {24, 0, 24, 1}, 10, MOE_GEOMETRY_ROWS, "rows 12 to 21"},
    {{40, 30, 40, 1}, {24, 22, 24, 1}, 10, MOE_GEOMETRY_COLUMNS_LAST, "expert 3; the last 2 of 24"},
};

static int in_span(const struct span *span, int64_t i)
{
    return i >= span->first && i < span->end && (i - span->first) % span->step == 0;
}

/* The shape by its own geometry; with `holes` one element in 11 is right by chance. */
static enum moe_geometry shape_of(const struct span *rows, const struct span *cols, int64_t group,
                                  int holes, char *text, size_t size)
{
    struct moe_mask mask = {0};
    int64_t begin[64], groups = group > 0 ? rows->total / group : 0, n = 0;
    for (int64_t r = 0; r < rows->total; r++)
        for (int64_t c = 0; c < cols->total; c++)
            if (in_span(rows, r) && in_span(cols, c) && !(holes && n++ % 11 == 5))
                ck_assert_int_eq(moe_mask_add(&mask, rows->total, cols->total, r, c), MOE_OK);
    for (int64_t g = 0; g <= groups; g++)
        begin[g] = g * group;
    enum moe_geometry geometry =
        moe_geometry_of(&mask, groups > 0 ? begin : NULL, groups, text, size);
    moe_mask_free(&mask);
    return geometry;
}

START_TEST(masks_are_named)
{
    char text[128];
    for (int holes = 0; holes < 2; holes++) {
        enum moe_geometry got =
            shape_of(&masks[_i].rows, &masks[_i].cols, masks[_i].group, holes, text, sizeof text);
        ck_assert_msg(got == masks[_i].wanted && (holes || strstr(text, masks[_i].text)),
                      "%d, %s: %s: %s", _i, holes ? "with holes" : "filled", moe_geometry_name(got),
                      text);
    }
}
END_TEST

/* A few elements anywhere are no rectangle; no element is no shape. */
START_TEST(scattered_and_none)
{
    struct moe_mask mask = {0};
    char text[128] = "before";
    uint64_t state = 5;
    ck_assert_int_eq(moe_geometry_of(&mask, NULL, 0, text, sizeof text), MOE_GEOMETRY_NONE);
    ck_assert_str_eq(text, "");
    for (int i = 0; i < 20; i++)
        moe_mask_add(&mask, 50, 60, random_below(&state, 50), random_below(&state, 60));
    ck_assert_int_eq(moe_geometry_of(&mask, NULL, 0, text, sizeof text), MOE_GEOMETRY_SCATTERED);
    moe_mask_free(&mask);
}
END_TEST

/* A picture has a cell for each place of a small tensor, and the shares of a large one; one wrong
 * element among many is seen. */
START_TEST(pictures)
{
    struct moe_mask small = {0}, large = {0};
    struct moe_picture picture = {.rows = 7};
    moe_mask_picture(&small, &picture);
    ck_assert_int_eq(picture.rows, 0);
    moe_mask_add(&small, 3, 5, 2, 4);
    moe_mask_picture(&small, &picture);
    ck_assert(picture.rows == 3 && picture.cols == 5);
    for (int i = 0; i < 15; i++)
        ck_assert_int_eq(picture.cell[i], i == 14 ? 255 : 0);
    /* 33 rows: the first of 32 cells has two of them */
    for (int c = 0; c < 64; c++)
        moe_mask_add(&large, 33, 4096, 0, c);
    moe_mask_add(&large, 33, 4096, 32, 4095);
    moe_mask_picture(&large, &picture);
    ck_assert(picture.rows == 32 && picture.cols == 32);
    for (int i = 0; i < 1024; i++)
        ck_assert_int_eq(picture.cell[i], i == 0 ? 64 : i == 1023 ? 2 : 0);
    moe_mask_free(&small);
    moe_mask_free(&large);
}
END_TEST

START_TEST(names_are_their_own)
{
    for (int i = 0; i < MOE_GEOMETRY_COUNT; i++)
        ck_assert_int_eq(moe_geometry_named(moe_geometry_name((enum moe_geometry)i)), i);
    ck_assert_int_eq(moe_geometry_named("something"), MOE_GEOMETRY_NONE);
}
END_TEST

/* ---- faults in tensors ------------------------------------------------------------------------
 */

/* Elements of a tensor that a fault spoils, by their place. */
static struct {
    enum moe_tensor_id id;
    int (*wrong)(const struct moe_routing *routing, int64_t row, int64_t col);
} fault;

static int one_expert_of_z(const struct moe_routing *routing, int64_t row, int64_t col)
{
    (void)col;
    return row >= routing->expert_begin[2] && row < routing->expert_begin[3];
}

static int tokens_of_one_expert(const struct moe_routing *routing, int64_t row, int64_t col)
{
    (void)col;
    for (int64_t r = routing->expert_begin[2]; r < routing->expert_begin[3]; r++)
        if (routing->row_token[r] == row)
            return 1;
    return 0;
}

static int last_rows_of_an_expert(const struct moe_routing *routing, int64_t row, int64_t col)
{
    (void)routing, (void)col;
    return row >= 2 * 16 + 13 && row < 3 * 16;
}

static int even_columns(const struct moe_routing *routing, int64_t row, int64_t col)
{
    (void)routing, (void)row;
    return col % 2 == 0;
}

static int all(const struct moe_routing *routing, int64_t row, int64_t col)
{
    (void)routing, (void)row, (void)col;
    return 1;
}

static void spoil(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    struct moe_routing routing;
    struct moe_tensor *tensor = &tensors[fault.id];
    int64_t width = tensor->shape[tensor->rank - 1];
    ck_assert_int_eq(moe_routing_from_tensors(problem, tensors, &routing), MOE_OK);
    int64_t count = fault.id == MOE_Z ? routing.N * width : moe_tensor_count(tensor);
    for (int64_t i = 0; i < count; i++)
        if (fault.wrong(&routing, i / width, i % width))
            tensor_set(tensor, i, 1000);
    moe_routing_free(&routing);
}

/* W1 has 16 rows and 16 columns an expert here. */
static const struct {
    enum moe_tensor_id id;
    int (*wrong)(const struct moe_routing *routing, int64_t row, int64_t col);
    enum moe_geometry wanted;
    const char *text;
} faults[] = {
    {MOE_Z, one_expert_of_z, MOE_GEOMETRY_EXPERT, "rows of expert 2; all 16 columns"},
    {MOE_O, tokens_of_one_expert, MOE_GEOMETRY_EXPERT, "the tokens of expert 2"},
    {MOE_DX, tokens_of_one_expert, MOE_GEOMETRY_EXPERT, "the tokens of expert 2"},
    {MOE_DX, even_columns, MOE_GEOMETRY_COLUMNS_STRIDE, "one column in 2 from 0 to 14"},
    {MOE_DW1, last_rows_of_an_expert, MOE_GEOMETRY_ROWS_LAST, "the last 3 of 16 rows of expert 2"},
    {MOE_DW2, all, MOE_GEOMETRY_EVERYTHING, "all 64 rows; all 8 columns"},
    {MOE_DS, all, MOE_GEOMETRY_EVERYTHING, "all 24 rows; all 2 columns"},
};

START_TEST(faults_in_tensors)
{
    struct moe_problem problem = impostor_start("T=24 H=16 I=8 E=4 K=2 dtype=f32 seed=3");
    fault.id = faults[_i].id;
    fault.wrong = faults[_i].wrong;
    impostor.after_backward = spoil;
    struct moe_report report = impostor_judge(&problem);
    const struct moe_finding *finding = must_find(&report, "bound", fault.id, "a fault");
    ck_assert_msg(finding->geometry == faults[_i].wanted && strstr(finding->where, faults[_i].text),
                  "%d: %s: %s", _i, moe_geometry_name(finding->geometry), finding->where);
    const struct moe_finding *pictured = &report.finding[report.pictured];
    ck_assert(report.picture.rows > 0 && pictured->geometry != MOE_GEOMETRY_NONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("geometry");
    TCase *tests = tcase_create("geometry");
    tcase_add_loop_test(tests, masks_are_named, 0, COUNT(masks));
    tcase_add_test(tests, scattered_and_none);
    tcase_add_test(tests, pictures);
    tcase_add_test(tests, names_are_their_own);
    tcase_add_loop_test(tests, faults_in_tensors, 0, COUNT(faults));
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
