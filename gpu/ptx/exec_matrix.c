/*
 * exec_matrix.c - ldmatrix, stmatrix and movmatrix: 8 x 8 matrices of 16 bits between shared memory
 * and the registers of a warp.
 */
#include <string.h>

#include "gpu/ptx/geometry.h"
#include "gpu/ptx/machine.h"
#include "ref/moe.h"

int ptx_part_of_warp(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    if (lanes == PTX_ALL_LANES)
        return 0;
    ptx_report(
        warp->machine, warp, code, __builtin_ctz(~lanes), PTX_REPORT_DIVERGENCE, PTX_REPORT_VALUE,
        lanes,
        ".aligned: all threads in the warp execute the same instruction, and none has exited",
        "lanes 0x%08x of the warp alone are here", lanes);
    return 1;
}

static const struct ptx_place *element(const struct ptx_place *vector, int index)
{
    return vector->kind == PTX_VECTOR ? &vector->part[index] : vector;
}

/* code->count: matrices; data[0]: transposed. Rows of matrix j are at the addresses of lanes 8 j to
 * 8 j + 7, 16 bytes each. */
static int find(struct ptx_warp *warp, const struct ptx_code *code, int address,
                enum ptx_access_kind kind, struct ptx_access *access)
{
    const uint32_t lanes = code->count == 4 ? PTX_ALL_LANES : (1u << 8 * code->count) - 1;
    *access = (struct ptx_access){.warp = warp,
                                  .cta = warp->cta,
                                  .code = code,
                                  .lanes = lanes,
                                  .space = (enum ptx_space)code->space,
                                  .kind = kind,
                                  .bytes = 16,
                                  .align = 16};
    return ptx_address(warp, code, &code->places[address], lanes, access->address) ||
           ptx_access(warp->machine, access);
}

static void run_ldmatrix(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct ptx_access access;
    if (ptx_part_of_warp(warp, code, lanes) || find(warp, code, 1, PTX_READ, &access))
        return;
    for (int j = 0; j < code->count; j++) {
        const int32_t slot = element(&code->places[0], j)->slot;
        for (uint32_t rest = lanes; rest; rest &= rest - 1) {
            const int lane = __builtin_ctz(rest);
            uint64_t value = 0;
            uint8_t undefined = 0;
            for (int half = 0; half < 2; half++) {
                const struct geometry_cell cell =
                    geometry_matrix_b16((int)code->data[0], lane, half);
                const int from = 8 * j + cell.row;
                for (int byte = 0; byte < 2; byte++) {
                    const int at = 2 * cell.column + byte;
                    value |= (uint64_t)access.data[from][at] << (16 * half + 8 * byte);
                    undefined |= (uint8_t)(!access.known[from][at] << (2 * half + byte));
                }
            }
            ptx_row_to(warp, slot)[lane] = value;
            ptx_set_undefined(warp, slot, lane, undefined);
        }
    }
}

static void run_stmatrix(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct ptx_access access;
    if (ptx_part_of_warp(warp, code, lanes) || find(warp, code, 0, PTX_WRITE, &access))
        return;
    for (int j = 0; j < code->count; j++) {
        const int32_t slot = element(&code->places[1], j)->slot;
        for (uint32_t rest = lanes; rest; rest &= rest - 1) {
            const int lane = __builtin_ctz(rest);
            const uint64_t value = ptx_row(warp, slot)[lane];
            const uint8_t undefined = ptx_undefined(warp, slot, lane);
            for (int half = 0; half < 2; half++) {
                const struct geometry_cell cell =
                    geometry_matrix_b16((int)code->data[0], lane, half);
                const int to = 8 * j + cell.row;
                for (int byte = 0; byte < 2; byte++) {
                    const int at = 2 * cell.column + byte;
                    access.data[to][at] = (uint8_t)(value >> (16 * half + 8 * byte));
                    access.known[to][at] = !(undefined >> (2 * half + byte) & 1);
                }
            }
        }
    }
    warp->machine->progress = warp->machine->step;
}

/* The registers of one matrix become those of its transpose. */
static void run_movmatrix(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    uint16_t half[8][8];
    uint8_t undefined[8][8];
    if (ptx_part_of_warp(warp, code, lanes))
        return;
    for (int lane = 0; lane < PTX_LANES; lane++)
        for (int index = 0; index < 2; index++) {
            const struct geometry_cell cell = geometry_matrix_b16(0, lane, index);
            half[cell.row][cell.column] = (uint16_t)(ptx_row(warp, code->a)[lane] >> 16 * index);
            undefined[cell.row][cell.column] = ptx_undefined(warp, code->a, lane) >> 2 * index & 3;
        }
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const struct geometry_cell low = geometry_matrix_b16(1, lane, 0),
                                   high = geometry_matrix_b16(1, lane, 1);
        ptx_row_to(warp, code->d)[lane] =
            half[low.row][low.column] | (uint64_t)half[high.row][high.column] << 16;
        ptx_set_undefined(
            warp, code->d, lane,
            (uint8_t)(undefined[low.row][low.column] | undefined[high.row][high.column] << 2));
    }
}

static int lower_movmatrix(struct ptx_build *build, const struct ptx_instruction *instruction,
                           struct ptx_code *code)
{
    code->execute = run_movmatrix;
    return ptx_has(instruction, PTX_W_TRANS) && instruction->shape[0] == 8 &&
                   instruction->shape[1] == 8
               ? MOE_OK
               : ptx_refuse(build, "supported is .trans.m8n8 of .b16");
}

static int lower_matrix(struct ptx_build *build, const struct ptx_instruction *instruction,
                        struct ptx_code *code)
{
    const int vector = (int)instruction->opcode->data;
    const struct ptx_place *values = &code->places[vector];
    code->count = ptx_has(instruction, PTX_W_X4) ? 4 : ptx_has(instruction, PTX_W_X2) ? 2 : 1;
    if ((values->kind == PTX_VECTOR ? values->count : 1) != code->count)
        return ptx_refuse(build, "registers for another number of matrices");
    if (instruction->shape[0] != 8 || instruction->shape[1] != 8 ||
        instruction->types[0] != PTX_B16)
        return ptx_refuse(build, "supported is .m8n8 of .b16");
    code->data[0] = (uint64_t)ptx_has(instruction, PTX_W_TRANS);
    code->execute = vector == 0 ? run_ldmatrix : run_stmatrix;
    return MOE_OK;
}

const struct ptx_opcode ptx_opcodes_matrix[] = {
    {"ldmatrix", "sync aligned x1 x2 x4 trans shared shared::cta", "b16 b8", "V* A*", lower_matrix,
     0, PTX_GATHER_ALIGNED},
    {"stmatrix", "sync aligned x1 x2 x4 trans shared shared::cta", "b16 b8", "A* W*", lower_matrix,
     1, PTX_GATHER_ALIGNED},
    {"movmatrix", "sync aligned trans", "b16", "Di Si", lower_movmatrix, 0, PTX_GATHER_ALIGNED},
    {0},
};
