/*
 * report_picture.c - where the wrong elements of a tensor lie, drawn from the reduced mask that was
 * kept with the failure: a cell is as dark as its share of wrong elements.
 */
#include <sqlite3.h>

#include "fuzz/report.h"

#define SIDE 64 /* most cells of a picture along a side */

/* The rows and columns of the tensor that the line says; 0: they are not known. */
static int size_of(const char *line, const char *name, int64_t *rows, int64_t *cols)
{
    struct moe_problem problem;
    struct moe_tensor tensor;
    if (moe_problem_parse(line, &problem) != MOE_OK)
        return 0;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const char *known = moe_tensor_info((enum moe_tensor_id)id)->name;
        if (sqlite3_stricmp(known, name) != 0)
            continue;
        if (moe_tensor_describe(&problem, (enum moe_tensor_id)id, &tensor) != MOE_OK ||
            tensor.rank < 1 || tensor.shape[tensor.rank - 1] == 0)
            return 0;
        *cols = tensor.shape[tensor.rank - 1];
        *rows = moe_tensor_count(&tensor) / *cols;
        return 1;
    }
    return 0;
}

/* Neighbours of one darkness in a row are one rectangle. */
static void cells(FILE *out, const unsigned char *cell, int rows, int cols)
{
    for (int r = 0; r < rows; r++)
        for (int c = 0, end; c < cols; c = end) {
            unsigned char share = cell[r * cols + c];
            for (end = c + 1; end < cols && cell[r * cols + end] == share;)
                end++;
            if (share > 0)
                fprintf(out,
                        "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"1\" fill-opacity=\"%.2f\"/>",
                        c, r, end - c, 0.25 + 0.75 * share / 255);
        }
}

static void draw(FILE *out, struct sqlite3_stmt *row, int rows, int cols)
{
    int64_t of_rows = 0, of_cols = 0;
    const char *tensor = report_column(row, 3);
    /* long thin tensors are stretched, to be seen: no side is under a quarter of the other */
    double height = rows < cols ? (rows * 4 < cols ? cols / 4.0 : rows) : rows;
    double width = cols < rows ? (cols * 4 < rows ? rows / 4.0 : cols) : cols;
    double scale = 200 / (height > width ? height : width);
    fprintf(out,
            "<figure class=\"picture\"><svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\""
            " width=\"%.0f\" height=\"%.0f\" role=\"img\"><title>wrong elements of ",
            cols, rows, width * scale, height * scale);
    report_text(out, tensor);
    fprintf(out, "</title><rect class=\"field\" width=\"%d\" height=\"%d\"/><g class=\"wrong\">",
            cols, rows);
    cells(out, sqlite3_column_blob(row, 2), rows, cols);
    fputs("</g></svg><figcaption>", out);
    report_text(out, tensor);
    if (size_of(report_column(row, 4), tensor, &of_rows, &of_cols))
        fprintf(out, ", %lld rows down, %lld columns across", (long long)of_rows,
                (long long)of_cols);
    fputs(": the wrong elements</figcaption></figure>", out);
}

int report_picture(struct report *report, FILE *out, int64_t campaign, int64_t number,
                   const char *variant)
{
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT p.rows, p.cols, p.cells, coalesce(f.tensor, ''), coalesce(c.line, '')"
        " FROM picture AS p LEFT JOIN finding AS f USING (campaign, number, variant, ordinal)"
        " LEFT JOIN case_ AS c USING (campaign, number)"
        " WHERE p.campaign = ? AND p.number = ? AND p.variant = ? ORDER BY p.ordinal",
        "iis", campaign, number, variant);
    if (!report_row(report, row))
        return 0;
    int64_t rows = sqlite3_column_int64(row, 0), cols = sqlite3_column_int64(row, 1);
    int good = rows > 0 && rows <= SIDE && cols > 0 && cols <= SIDE &&
               sqlite3_column_bytes(row, 2) == rows * cols;
    if (good)
        draw(out, row, (int)rows, (int)cols);
    report_done(row);
    return good;
}
