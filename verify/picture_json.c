/*
 * picture_json.c - the picture of a report as a JSON object, and back.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "verify/worker.h"

/* The cells as two hexadecimal digits each, row by row. */
struct json_t *moe_picture_json(const struct moe_report *report)
{
    const struct moe_picture *picture = &report->picture;
    char cells[2 * sizeof picture->cell + 1] = "";

    for (int i = 0; i < picture->rows * picture->cols; i++)
        snprintf(cells + 2 * i, 3, "%02x", picture->cell[i]);
    return json_pack("{s:i, s:i, s:i, s:s}", "finding", (int)report->pictured, "rows",
                     (int)picture->rows, "cols", (int)picture->cols, "cells", cells);
}

static int cell_from_json(const char *digits, uint8_t *cell)
{
    unsigned value;

    if (strspn(digits, "0123456789abcdef") < 2 || sscanf(digits, "%2x", &value) != 1)
        return -1;
    *cell = (uint8_t)value;
    return 0;
}

int moe_picture_from_json(const struct json_t *object, struct moe_report *report)
{
    struct moe_picture picture = {0};
    json_int_t finding = json_integer_value(json_object_get(object, "finding"));
    json_int_t rows = json_integer_value(json_object_get(object, "rows"));
    json_int_t cols = json_integer_value(json_object_get(object, "cols"));
    const char *cells = json_string_value(json_object_get(object, "cells"));

    if (cells == NULL || finding < 0 || finding >= MOE_REPORT_FINDINGS || rows < 1 ||
        rows > MOE_PICTURE_SIDE || cols < 1 || cols > MOE_PICTURE_SIDE ||
        strlen(cells) != (size_t)(2 * rows * cols))
        return -1;
    picture.rows = (int32_t)rows;
    picture.cols = (int32_t)cols;
    for (int i = 0; i < picture.rows * picture.cols; i++)
        if (cell_from_json(cells + 2 * i, &picture.cell[i]) != 0)
            return -1;
    report->picture = picture;
    report->pictured = (int32_t)finding;
    return 0;
}
