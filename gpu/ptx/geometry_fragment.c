/*
 * geometry_fragment.c - fragments of mma.sync, wgmma, ldmatrix and stmatrix.
 *
 * In all of them a lane is (group, thread) = (lane / 4, lane % 4): the group is a row of A and D
 * and a column of B, the thread has neighbours along the other direction, a register's worth in A
 * and B, two elements in D. Registers go down the rows first, then along.
 */
#include "gpu/ptx/geometry.h"

/* Elements of a register; f64 takes a register of 64 bits. */
static int elements_of(int bits)
{
    return bits < 32 ? 32 / bits : 1;
}

struct geometry_cell geometry_mma_a(int bits, int lane, int reg, int index)
{
    const int count = elements_of(bits);
    return (struct geometry_cell){lane / 4 + 8 * (reg & 1),
                                  lane % 4 * count + index + 4 * count * (reg >> 1)};
}

struct geometry_cell geometry_mma_b(int bits, int lane, int reg, int index)
{
    const int count = elements_of(bits);
    return (struct geometry_cell){lane % 4 * count + index + 4 * count * reg, lane / 4};
}

struct geometry_cell geometry_mma_d(int bits, int lane, int reg, int index)
{
    const int at = reg * elements_of(bits) + index; /* of the four elements of a lane */
    return (struct geometry_cell){lane / 4 + 8 * (at >> 1), lane % 4 * 2 + (at & 1)};
}

/* The elements that a lane has lie along its row of a row-major matrix, or down its column. */
struct geometry_cell geometry_mma_quad_a(int row_major, int lane, int reg, int index)
{
    const int at = 2 * reg + index, own = lane % 4;
    const int first = 8 * (lane % 16 / 4) + 4 * (lane / 16);
    return row_major ? (struct geometry_cell){first + own, at}
                     : (struct geometry_cell){first + at, own};
}

struct geometry_cell geometry_mma_quad_b(int row_major, int lane, int reg, int index)
{
    const int at = 2 * reg + index, own = lane % 4;
    const int first = 4 * (lane % 16 / 4), along = 4 * (lane / 16);
    return row_major ? (struct geometry_cell){first + own, along + at}
                     : (struct geometry_cell){first + at, along + own};
}

struct geometry_cell geometry_mma_quad_d(int bits, int lane, int reg, int index)
{
    const int first = 8 * (lane % 16 / 4) + 4 * (lane / 16);
    return bits == 16 ? (struct geometry_cell){first + lane % 4, 2 * reg + index}
                      : (struct geometry_cell){first + (lane & 1) + (reg & 2),
                                               (reg & 4) + (lane & 2) + (reg & 1)};
}

int geometry_mma_registers(int bits, int rows, int columns)
{
    return rows * columns / 32 / elements_of(bits);
}

struct geometry_cell geometry_wgmma_d(int bits, int thread, int reg, int index)
{
    const int at = reg * elements_of(bits) + index;
    return (struct geometry_cell){thread / 32 * 16 + thread % 32 / 4 + 8 * (at >> 1 & 1),
                                  8 * (at >> 2) + thread % 4 * 2 + (at & 1)};
}

struct geometry_cell geometry_wgmma_a(int bits, int thread, int reg, int index)
{
    struct geometry_cell cell = geometry_mma_a(bits, thread % 32, reg, index);
    cell.row += thread / 32 * 16;
    return cell;
}

static struct geometry_cell transpose(struct geometry_cell cell)
{
    return (struct geometry_cell){cell.column, cell.row};
}

struct geometry_cell geometry_matrix_b16(int transposed, int lane, int index)
{
    const struct geometry_cell cell = {lane / 4, lane % 4 * 2 + index};
    return transposed ? transpose(cell) : cell;
}

struct geometry_cell geometry_matrix_load_b8(int lane, int reg, int index)
{
    return (struct geometry_cell){lane % 4 * 4 + index, lane / 4 + 8 * (reg & 1)};
}

struct geometry_cell geometry_matrix_store_b8(int lane, int index)
{
    return (struct geometry_cell){lane % 4 * 4 + index, lane / 4};
}
