/*
 * geometry_operand.c - matrix descriptors of wgmma, and the addresses of an operand's elements.
 *
 * The canonical layouts, with the span S of a row: 16 bytes without swizzle, else the swizzle's 32,
 * 64 or 128. Eight rows of S bytes make an atom; rows are of M or N where K is contiguous, and of K
 * where M or N is. In a swizzled operand the 16-byte chunks of an atom are then permuted by address
 * bits, so where an atom does not begin at a multiple of its size the base offset says how far off
 * it is, in rows of 128 bytes.
 */
#include "gpu/ptx/geometry.h"
#include "ref/moe.h"

static const unsigned chunk_mask[] = {[GEOMETRY_SWIZZLE_NONE] = 0,
                                      [GEOMETRY_SWIZZLE_32] = 1,
                                      [GEOMETRY_SWIZZLE_64] = 3,
                                      [GEOMETRY_SWIZZLE_128] = 7};

/* Codes of bits 62 and 63, which count down as the span grows. */
static const enum geometry_swizzle swizzle_of_code[4] = {
    GEOMETRY_SWIZZLE_NONE, GEOMETRY_SWIZZLE_128, GEOMETRY_SWIZZLE_64, GEOMETRY_SWIZZLE_32};

uint64_t geometry_swizzle(enum geometry_swizzle swizzle, uint64_t address)
{
    return address ^ (address >> 7 & chunk_mask[swizzle]) << 4;
}

static uint32_t field(uint64_t descriptor, int from)
{
    return (uint32_t)(descriptor >> from & 0x3fff) << 4;
}

int geometry_operand_decode(uint64_t descriptor, struct geometry_operand *operand)
{
    const uint64_t fields = 0xc00e3fff3fff3fffu;
    if (descriptor & ~fields)
        return moe_error(MOE_E_USAGE, "matrix descriptor 0x%016llx has bits set that are no field",
                         (unsigned long long)descriptor);
    *operand = (struct geometry_operand){.start = field(descriptor, 0),
                                         .leading = field(descriptor, 16),
                                         .stride = field(descriptor, 32),
                                         .base = (uint32_t)(descriptor >> 49 & 7),
                                         .swizzle = swizzle_of_code[descriptor >> 62]};
    return MOE_OK;
}

uint64_t geometry_operand_encode(const struct geometry_operand *operand)
{
    uint64_t code = 0;
    while (swizzle_of_code[code] != operand->swizzle)
        code++;
    return (uint64_t)(operand->start >> 4 & 0x3fff) |
           (uint64_t)(operand->leading >> 4 & 0x3fff) << 16 |
           (uint64_t)(operand->stride >> 4 & 0x3fff) << 32 | (uint64_t)(operand->base & 7) << 49 |
           code << 62;
}

/* Without swizzle LBO is from one core matrix to the next along K in both majors, and SBO along M
 * or N. With it SBO is always from atom to atom across its rows. */
uint32_t geometry_operand_address(const struct geometry_operand *operand, int k_major, int bytes,
                                  int mn, int k)
{
    const uint32_t row = (uint32_t)(k_major ? mn : k);
    const uint32_t along = (uint32_t)((k_major ? k : mn) * bytes);
    const int plain = operand->swizzle == GEOMETRY_SWIZZLE_NONE;
    const uint32_t span = 16u << operand->swizzle;
    const uint32_t next_span = plain && !k_major ? operand->stride : operand->leading;
    const uint32_t next_atom = plain && !k_major ? operand->leading : operand->stride;
    const uint32_t address = operand->start + row / 8 * next_atom + row % 8 * span +
                             along / span * next_span + along % span;
    const uint32_t line = (address >> 7) - operand->base;
    return (address ^ (line & chunk_mask[operand->swizzle]) << 4) & 0x3ffff;
}
