/*
 * exec_scalar.c - instructions that are a function of up to three values, lane by lane, and how
 * undefined bytes of the operands reach the result.
 */
#include <string.h>

#include "gpu/ptx/machine.h"

/* A bit a byte, as 0xff a byte. */
static uint64_t widened(uint8_t bytes)
{
    uint64_t mask = 0;
    for (int i = 0; i < 8; i++)
        mask |= bytes >> i & 1 ? UINT64_C(0xff) << 8 * i : 0;
    return mask;
}

/* Bytes that are not 0. */
static uint8_t narrowed(uint64_t mask)
{
    uint8_t bytes = 0;
    for (int i = 0; i < 8; i++)
        bytes |= (uint8_t)((mask >> 8 * i & 0xff) != 0) << i;
    return bytes;
}

static uint8_t bytes_equal(uint64_t value, uint8_t byte)
{
    uint8_t bytes = 0;
    for (int i = 0; i < 8; i++)
        bytes |= (uint8_t)((value >> 8 * i & 0xff) == byte) << i;
    return bytes;
}

/* Undefined bytes of a result, of lanes' operands. */
static uint8_t spread(const struct ptx_code *code, const uint64_t value[3], const uint8_t bytes[3])
{
    const uint8_t any = bytes[0] | bytes[1] | bytes[2];
    const uint8_t all = code->bits >= 64 ? 0xff : (uint8_t)((1u << (code->bits + 7) / 8) - 1);
    if (!any)
        return 0;
    switch ((enum ptx_spread)code->spread) {
    case PTX_SPREAD_BYTES:
        return any & all;
    case PTX_SPREAD_AND:
        return ((bytes[0] & ~(bytes[1] ? 0 : bytes_equal(value[1], 0))) |
                (bytes[1] & ~(bytes[0] ? 0 : bytes_equal(value[0], 0)))) &
               all;
    case PTX_SPREAD_OR:
        return ((bytes[0] & ~(bytes[1] ? 0 : bytes_equal(value[1], 0xff))) |
                (bytes[1] & ~(bytes[0] ? 0 : bytes_equal(value[0], 0xff)))) &
               all;
    case PTX_SPREAD_UP:
        return (uint8_t) - (any & -any) & all;
    case PTX_SPREAD_MASK1:
        return bytes[1] | bytes[2]
                   ? all
                   : narrowed(code->scalar(widened(bytes[0]), value[1], value[2], code->how)) & all;
    case PTX_SPREAD_MASK2:
        return bytes[2] ? all
                        : narrowed(code->scalar(widened(bytes[0]), widened(bytes[1]), value[2],
                                                code->how)) &
                              all;
    default:
        return all;
    }
}

static void spread_row(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a), *b = ptx_row(warp, code->b),
                   *c = ptx_row(warp, code->c);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const uint64_t value[3] = {a[lane], b[lane], c[lane]};
        const uint8_t bytes[3] = {ptx_undefined(warp, code->a, lane),
                                  ptx_undefined(warp, code->b, lane),
                                  ptx_undefined(warp, code->c, lane)};
        ptx_set_undefined(warp, code->d, lane, spread(code, value, bytes));
    }
}

void ptx_run_scalar(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a), *b = ptx_row(warp, code->b),
                   *c = ptx_row(warp, code->c);
    uint64_t *d = ptx_row_to(warp, code->d);
    ptx_scalar *const scalar = code->scalar;
    const unsigned how = code->how;
    ptx_spread_undefined(warp, code, lanes);
    if (lanes == PTX_ALL_LANES)
        for (int lane = 0; lane < PTX_LANES; lane++)
            d[lane] = scalar(a[lane], b[lane], c[lane], how);
    else
        for (uint32_t rest = lanes; rest; rest &= rest - 1) {
            const int lane = __builtin_ctz(rest);
            d[lane] = scalar(a[lane], b[lane], c[lane], how);
        }
}

void ptx_spread_undefined(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    if (ptx_row_undefined(warp, code->a) | ptx_row_undefined(warp, code->b) |
        ptx_row_undefined(warp, code->c))
        spread_row(warp, code, lanes);
    else
        ptx_set_defined(warp, code->d, lanes);
}

void ptx_set_undefined(struct ptx_warp *warp, int32_t slot, int lane, uint8_t bytes)
{
    warp->undefined[(int64_t)slot * PTX_LANES + lane] = bytes;
    if (bytes)
        warp->some[slot] = 1;
}

void ptx_set_defined_slow(struct ptx_warp *warp, int32_t slot, uint32_t lanes)
{
    uint8_t *row = warp->undefined + (int64_t)slot * PTX_LANES, left = 0;
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        row[__builtin_ctz(rest)] = 0;
    for (int lane = 0; lane < PTX_LANES; lane++)
        left |= row[lane];
    warp->some[slot] = left != 0;
}
