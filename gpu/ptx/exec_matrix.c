/*
 * exec_matrix.c - ldmatrix, stmatrix and movmatrix: 8 x 8 matrices of 16 bits between shared memory
 * and the registers of a warp; and, for sm_100a, ldmatrix of 16 x 16 and stmatrix of 16 x 8 bytes.
 */
#include <string.h>

#include "gpu/ptx/geometry.h"
#include "gpu/ptx/machine.h"
#include "ref/moe.h"

int ptx_part_of_warp(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    if (lanes == PTX_ALL_LANES)
        return 0;
    ptx_report(warp->machine, warp, code, __builtin_ctz(~lanes), PTX_RULE_PART_OF_WARP, lanes,
               "lanes 0x%08x of the warp alone are here", lanes);
    return 1;
}

static const struct ptx_place *element(const struct ptx_place *vector, int index)
{
    return vector->kind == PTX_VECTOR ? &vector->part[index] : vector;
}

/* How a matrix lies in memory, in rows of 16 bytes at the addresses that lanes give, and in
 * registers. */
struct form {
    int rows, columns;                                          /* of its shape in PTX */
    int lines;                                                  /* in memory */
    int registers;                                              /* of a lane */
    int bytes;                                                  /* of an element */
    struct geometry_cell (*cell)(int lane, int reg, int index); /* line and place in it */
};

static struct geometry_cell cell_b16(int lane, int reg, int index)
{
    (void)reg;
    return geometry_matrix_b16(0, lane, index);
}

static struct geometry_cell cell_b16_transposed(int lane, int reg, int index)
{
    (void)reg;
    return geometry_matrix_b16(1, lane, index);
}

static struct geometry_cell cell_stored_b8(int lane, int reg, int index)
{
    const struct geometry_cell cell = geometry_matrix_store_b8(lane, index);
    (void)reg;
    return (struct geometry_cell){cell.column, cell.row};
}

enum { B16, B16_TRANSPOSED, LOADED_B8, STORED_B8 };

static const struct form forms[] = {
    [B16] = {8, 8, 8, 1, 2, cell_b16},
    [B16_TRANSPOSED] = {8, 8, 8, 1, 2, cell_b16_transposed},
    [LOADED_B8] = {16, 16, 16, 2, 1, geometry_matrix_load_b8},
    [STORED_B8] = {16, 8, 8, 1, 1, cell_stored_b8},
};

static const struct form *form_of(const struct ptx_code *code)
{
    return &forms[code->data[0]];
}

/* code->count matrices; line r of matrix j is at the address of lane lines j + r. */
static int find(struct ptx_warp *warp, const struct ptx_code *code, int address,
                enum ptx_access_kind kind, struct ptx_access *access)
{
    const int addresses = code->count * form_of(code)->lines;
    const uint32_t lanes = PTX_ALL_LANES >> (PTX_LANES - addresses);
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

/* Where byte `byte` of a lane's register is. */
struct at {
    int line, place; /* of all matrices' */
};

static struct at find_byte(const struct form *form, int lane, int reg, int byte)
{
    const struct geometry_cell cell = form->cell(lane, reg % form->registers, byte / form->bytes);
    return (struct at){reg / form->registers * form->lines + cell.row,
                       cell.column * form->bytes + byte % form->bytes};
}

static void run_ldmatrix(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct form *form = form_of(code);
    struct ptx_access access;
    if (ptx_part_of_warp(warp, code, lanes) || find(warp, code, 1, PTX_READ, &access))
        return;
    for (int reg = 0; reg < code->count * form->registers; reg++) {
        const int32_t slot = element(&code->places[0], reg)->slot;
        for (int lane = 0; lane < PTX_LANES; lane++) {
            uint64_t value = 0;
            uint8_t undefined = 0;
            for (int byte = 0; byte < 4; byte++) {
                const struct at at = find_byte(form, lane, reg, byte);
                value |= (uint64_t)access.data[at.line][at.place] << 8 * byte;
                undefined |= (uint8_t)(!access.known[at.line][at.place] << byte);
            }
            ptx_row_to(warp, slot)[lane] = value;
            ptx_set_undefined(warp, slot, lane, undefined);
        }
    }
}

static void run_stmatrix(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct form *form = form_of(code);
    struct ptx_access access;
    if (ptx_part_of_warp(warp, code, lanes) || find(warp, code, 0, PTX_WRITE, &access))
        return;
    for (int reg = 0; reg < code->count * form->registers; reg++) {
        const int32_t slot = element(&code->places[1], reg)->slot;
        for (int lane = 0; lane < PTX_LANES; lane++) {
            const uint64_t value = ptx_row(warp, slot)[lane];
            const uint8_t undefined = ptx_undefined(warp, slot, lane);
            for (int byte = 0; byte < 4; byte++) {
                const struct at at = find_byte(form, lane, reg, byte);
                access.data[at.line][at.place] = (uint8_t)(value >> 8 * byte);
                access.known[at.line][at.place] = !(undefined >> byte & 1);
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
    const int is_store = (int)instruction->opcode->data, is_b8 = instruction->types[0] == PTX_B8;
    const struct ptx_place *values = &code->places[is_store];
    const int transposed = ptx_has(instruction, PTX_W_TRANS);
    code->data[0] = is_b8 ? (is_store ? STORED_B8 : LOADED_B8) : transposed ? B16_TRANSPOSED : B16;
    code->count = ptx_has(instruction, PTX_W_X4) ? 4 : ptx_has(instruction, PTX_W_X2) ? 2 : 1;
    code->execute = is_store ? run_stmatrix : run_ldmatrix;
    const struct form *form = form_of(code);
    const int registers = code->count * form->registers;
    const int status = is_b8 ? ptx_needs(build, 100, ".b8") : MOE_OK;
    if (status)
        return status;
    if (instruction->shape[0] != form->rows || instruction->shape[1] != form->columns)
        return ptx_refuse(build, "the shape is m%dn%d", form->rows, form->columns);
    if (is_b8 && !transposed)
        return ptx_refuse(build, ".b8 is .trans");
    if (code->count * form->lines > PTX_LANES)
        return ptx_refuse(build, "lanes for the addresses of %d matrices alone",
                          PTX_LANES / form->lines);
    if ((values->kind == PTX_VECTOR ? values->count : 1) != registers)
        return ptx_refuse(build, "registers for another number of matrices");
    return MOE_OK;
}

static int lower_packed(struct ptx_build *build, const struct ptx_instruction *instruction,
                        struct ptx_code *code)
{
    (void)instruction, (void)code;
    const int status = ptx_needs(build, 100, ".b8x16");
    return status ? status : ptx_refuse(build, "packed elements are not run");
}

const struct ptx_opcode ptx_opcodes_matrix[] = {
    {"ldmatrix", "sync aligned x1 x2 x4 trans shared shared::cta", "b16 b8", "V* A*", lower_matrix,
     0, PTX_GATHER_ALIGNED},
    {"ldmatrix", "sync aligned x1 x2 x4 trans shared shared::cta b8x16 b6x16_p32 b4x16_p64", "",
     "V* A*", lower_packed, 0, PTX_GATHER_ALIGNED},
    {"stmatrix", "sync aligned x1 x2 x4 trans shared shared::cta", "b16 b8", "A* W*", lower_matrix,
     1, PTX_GATHER_ALIGNED},
    {"movmatrix", "sync aligned trans", "b16", "Di Si", lower_movmatrix, 0, PTX_GATHER_ALIGNED},
    {0},
};
