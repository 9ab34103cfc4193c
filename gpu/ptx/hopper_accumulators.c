/*
 * hopper_accumulators.c - the sums of a wgmma.mma_async: C out of the registers of four warps, the
 * product, and D back, warp by warp.
 */
#include <string.h>

#include "gpu/ptx/hopper_wgmma.h"

#define ROWS 16 /* of D that a warp has */

struct rows {
    uint32_t d[ROWS * WGMMA_N];        /* [ROWS,n] */
    uint8_t undefined[ROWS * WGMMA_N]; /* of C, where some_undefined */
    int some_undefined;
};

/* Of f32 and s32 four registers have eight columns: of the upper eight rows the even and the odd
 * ones, and of the lower. A row's are of four lanes, one behind the other. */
enum { ALONG = 4, DOWN = 8 };

static void join(const uint64_t *even, const uint64_t *odd, uint32_t *to, int n)
{
#ifdef __x86_64__
    if (tile_has_avx2()) {
        tile_join_avx2(even, odd, to, n);
        return;
    }
#endif
    for (int i = 0; i < DOWN * ALONG; i++) {
        uint32_t *pair = to + i / ALONG * n + i % ALONG * 2;
        pair[0] = (uint32_t)even[i];
        pair[1] = (uint32_t)odd[i];
    }
}

static void part(const uint32_t *from, int n, uint64_t *even, uint64_t *odd)
{
#ifdef __x86_64__
    if (tile_has_avx2()) {
        tile_part_avx2(from, n, even, odd);
        return;
    }
#endif
    for (int i = 0; i < DOWN * ALONG; i++) {
        const uint32_t *pair = from + i / ALONG * n + i % ALONG * 2;
        even[i] = pair[0];
        odd[i] = pair[1];
    }
}

/* Where the first four elements of a lane's are; 8 columns on come the next four. */
static void find_cells(int n, int at[4][PTX_LANES])
{
    for (int i = 0; i < 4; i++)
        for (int lane = 0; lane < PTX_LANES; lane++) {
            const struct geometry_cell cell = geometry_wgmma_d(32, lane, i, 0);
            at[i][lane] = cell.row * n + cell.column;
        }
}

static void take_values(const struct ptx_warp *warp, const struct wgmma_form *form,
                        int at[4][PTX_LANES], struct rows *rows)
{
    const int per = 32 / form->d_bits, n = form->mma.n;
    if (per == 1) {
        for (int i = 0; i < form->d_count; i += 2)
            join(ptx_row(warp, form->d[i].slot), ptx_row(warp, form->d[i + 1].slot),
                 rows->d + i % 4 / 2 * DOWN * n + i / 4 * 8, n);
        return;
    }
    for (int i = 0; i < n / 2; i++) {
        const uint64_t *row = ptx_row(warp, form->d[i / per].slot);
        for (int lane = 0; lane < PTX_LANES; lane++)
            rows->d[at[i % 4][lane] + i / 4 * 8] =
                (uint32_t)(row[lane] >> (i % per * form->d_bits)) & 0xffff;
    }
}

static void give_values(struct ptx_warp *warp, const struct wgmma_form *form, int at[4][PTX_LANES],
                        const struct rows *rows)
{
    const int per = 32 / form->d_bits, n = form->mma.n;
    if (per == 1) {
        for (int i = 0; i < form->d_count; i += 2)
            part(rows->d + i % 4 / 2 * DOWN * n + i / 4 * 8, n, ptx_row_to(warp, form->d[i].slot),
                 ptx_row_to(warp, form->d[i + 1].slot));
        return;
    }
    for (int reg = 0; reg < form->d_count; reg++) {
        uint64_t *row = ptx_row_to(warp, form->d[reg].slot);
        for (int lane = 0; lane < PTX_LANES; lane++) {
            const int low = reg * per, cell = at[low % 4][lane] + low / 4 * 8;
            row[lane] = rows->d[cell] | rows->d[cell + 1] << 16;
        }
    }
}

/* Bytes of a register that its element `i` of all is in. */
static unsigned bytes_of(int per, int i)
{
    return per == 1 ? 0xf : 3u << (2 * (i % per));
}

static void take_c_undefined(const struct ptx_warp *warp, const struct wgmma_form *form,
                             int at[4][PTX_LANES], struct rows *rows)
{
    const int per = 32 / form->d_bits, n = form->mma.n;
    rows->some_undefined = 0;
    for (int i = 0; i < n / 2; i++) {
        const int32_t slot = form->d[i / per].slot;
        if (!ptx_row_undefined(warp, slot))
            continue;
        if (!rows->some_undefined)
            memset(rows->undefined, 0, sizeof rows->undefined);
        rows->some_undefined = 1;
        for (int lane = 0; lane < PTX_LANES; lane++)
            rows->undefined[at[i % 4][lane] + i / 4 * 8] =
                (ptx_undefined(warp, slot, lane) & bytes_of(per, i)) != 0;
    }
}

static void give_undefined(struct ptx_warp *warp, const struct wgmma_form *form,
                           int at[4][PTX_LANES], const struct wgmma_operands *operands,
                           const uint8_t *row_undefined, const struct rows *rows)
{
    const int per = 32 / form->d_bits, n = form->mma.n;
    const int some = operands->some_undefined || rows->some_undefined;
    for (int reg = 0; reg < form->d_count; reg++) {
        const int32_t slot = form->d[reg].slot;
        if (!some) {
            ptx_set_defined(warp, slot, PTX_ALL_LANES);
            continue;
        }
        for (int lane = 0; lane < PTX_LANES; lane++) {
            unsigned undefined = 0;
            for (int i = reg * per; i < (reg + 1) * per; i++) {
                const int cell = at[i % 4][lane] + i / 4 * 8;
                if (row_undefined[cell / n] || operands->b_undefined[cell % n] ||
                    (rows->some_undefined && rows->undefined[cell]))
                    undefined |= bytes_of(per, i);
            }
            ptx_set_undefined(warp, slot, lane, (uint8_t)undefined);
        }
    }
}

void wgmma_compute(struct ptx_machine *machine, const struct ptx_code *code, int has_c,
                   struct ptx_warp *warps, struct wgmma_operands *operands)
{
    const struct wgmma_form *form = wgmma_form_of(code);
    struct number_mma mma = form->mma;
    struct rows rows;
    int at[4][PTX_LANES];
    find_cells(mma.n, at);
    mma.model = machine->options.plain_mma ? NUMBER_MMA_PLAIN : NUMBER_MMA_CHIP;
    number_mma_unpack(&mma, operands->a, operands->b, &operands->factors);
    rows.some_undefined = 0;
    for (int w = 0; w < WGMMA_ROWS / ROWS; w++) {
        if (has_c) {
            take_values(&warps[w], form, at, &rows);
            take_c_undefined(&warps[w], form, at, &rows);
        } else {
            memset(rows.d, 0, sizeof *rows.d * ROWS * (size_t)mma.n);
        }
        number_mma_rows(&mma, &operands->factors, w * ROWS, ROWS, rows.d);
        give_values(&warps[w], form, at, &rows);
        give_undefined(&warps[w], form, at, operands, operands->a_undefined + w * ROWS, &rows);
    }
}
