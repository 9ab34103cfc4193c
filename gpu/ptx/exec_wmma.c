/*
 * exec_wmma.c - wmma.load and wmma.store: fragments between memory and the registers of a warp.
 *
 * Memory is read and written in pieces of a row or column, one a lane, which is a choice: that all
 * lanes know of what they load is the kernel's matter. From lane 31 down, so that who writes row i
 * in lane i and loads at once does not get away with it.
 */
#include "gpu/ptx/exec_wmma.h"

/* ---- memory ---------------------------------------------------------------------------------- */

/* All lanes give the same. 0, or reported. */
static int differs(struct ptx_warp *warp, const struct ptx_code *code, const uint64_t *value,
                   const char *what)
{
    for (int lane = 1; lane < PTX_LANES; lane++)
        if (value[lane] != value[0]) {
            ptx_report(warp->machine, warp, code, lane, PTX_RULE_WMMA_LANES, value[lane],
                       "%s is 0x%llx in lane %d and 0x%llx in lane 0", what,
                       (unsigned long long)value[lane], lane, (unsigned long long)value[0]);
            return 1;
        }
    return 0;
}

static int stride_of(struct ptx_warp *warp, const struct ptx_code *code,
                     const struct wmma_move *move, uint64_t *stride)
{
    *stride = move->stride;
    if (code->place_count < 3)
        return 0;
    const int32_t slot = code->places[2].slot;
    const uint64_t *row = ptx_row(warp, slot);
    if (ptx_require_defined(warp, code, slot, PTX_ALL_LANES, PTX_RULE_UNKNOWN_STRIDE) ||
        differs(warp, code, row, "the stride"))
        return 1;
    *stride = (uint32_t)row[0];
    return 0;
}

static int lane_of(int piece)
{
    return PTX_LANES - 1 - piece;
}

static int find(struct ptx_warp *warp, const struct ptx_code *code, const struct wmma_move *move,
                int address, enum ptx_access_kind kind, struct ptx_access *access)
{
    uint64_t base[PTX_LANES], stride;
    if (ptx_address(warp, code, &code->places[address], PTX_ALL_LANES, base) ||
        differs(warp, code, base, "the address") || stride_of(warp, code, move, &stride))
        return 1;
    *access = (struct ptx_access){.warp = warp,
                                  .cta = warp->cta,
                                  .code = code,
                                  .lanes = PTX_ALL_LANES << (PTX_LANES - move->pieces),
                                  .space = (enum ptx_space)code->space,
                                  .kind = kind,
                                  .bytes = (uint32_t)move->piece_bytes,
                                  .align = move->align};
    const int per_line = move->line_bytes / move->piece_bytes;
    for (int i = 0; i < move->pieces; i++)
        access->address[lane_of(i)] =
            base[0] + ((uint64_t)(i / per_line) * stride * (uint64_t)move->unit + 7) / 8 +
            (uint64_t)(i % per_line * move->piece_bytes);
    return ptx_access(warp->machine, access);
}

/* Where an element of a register is: a piece's lane, a byte of it, bits of that. */
struct spot {
    int lane, byte, shift;
};

static struct spot spot_of(const struct wmma_move *move, int reg, int lane, int index)
{
    const struct fragment *fragment = &move->fragment;
    const int at = fragment_at(fragment, reg, lane, index);
    const int row = at / fragment->columns, column = at % fragment->columns;
    const int line = move->lines_are_rows ? row : column;
    const int bit = (move->lines_are_rows ? column : row) * fragment->bits;
    const int byte = line * move->line_bytes + bit / 8;
    return (struct spot){lane_of(byte / move->piece_bytes), byte % move->piece_bytes, bit % 8};
}

void wmma_load(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct wmma_move *move = (const struct wmma_move *)(uintptr_t)code->data[3];
    const struct fragment *fragment = &move->fragment;
    const int bits = fragment->bits, bytes = (bits + 7) / 8;
    struct ptx_access access;
    if (ptx_part_of_warp(warp, code, lanes) || find(warp, code, move, 1, PTX_READ, &access))
        return;
    for (int reg = 0; reg < fragment->count; reg++)
        for (int lane = 0; lane < PTX_LANES; lane++) {
            uint64_t value = 0;
            unsigned undefined = 0;
            for (int index = 0; index < fragment_per_register(fragment); index++) {
                const struct spot spot = spot_of(move, reg, lane, index);
                uint64_t element = 0;
                for (int i = 0; i < bytes; i++) {
                    element |= (uint64_t)access.data[spot.lane][spot.byte + i] << 8 * i;
                    if (!access.known[spot.lane][spot.byte + i])
                        undefined |= 1u << (index * bits / 8 + i);
                }
                if (bits < 8)
                    element = element >> spot.shift & ((1u << bits) - 1);
                value |= element << index * bits;
            }
            ptx_row_to(warp, fragment->places[reg].slot)[lane] = value;
            ptx_set_undefined(warp, fragment->places[reg].slot, lane, (uint8_t)undefined);
        }
}

void wmma_store(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct wmma_move *move = (const struct wmma_move *)(uintptr_t)code->data[3];
    const struct fragment *fragment = &move->fragment;
    const int bytes = fragment->bits / 8;
    struct ptx_access access;
    if (ptx_part_of_warp(warp, code, lanes) || find(warp, code, move, 0, PTX_WRITE, &access))
        return;
    for (int reg = 0; reg < fragment->count; reg++)
        for (int lane = 0; lane < PTX_LANES; lane++) {
            const int32_t slot = fragment->places[reg].slot;
            const uint64_t value = ptx_row(warp, slot)[lane];
            const uint8_t undefined = ptx_undefined(warp, slot, lane);
            for (int byte = 0; byte < fragment_per_register(fragment) * bytes; byte++) {
                const struct spot spot = spot_of(move, reg, lane, byte / bytes);
                const int at = spot.byte + byte % bytes;
                access.data[spot.lane][at] = (uint8_t)(value >> 8 * byte);
                access.known[spot.lane][at] = !(undefined >> byte & 1);
            }
        }
    warp->machine->progress = warp->machine->step;
}
