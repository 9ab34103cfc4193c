/*
 * hopper_operands.c - the factors of a wgmma.mma_async: A and B out of shared memory behind their
 * descriptors, in chunks of 16 bytes, and A out of registers.
 */
#include <string.h>

#include "gpu/ptx/hopper_wgmma.h"
#include "ref/moe.h"

#define CHUNK 16 /* bytes that stand together in every layout */

/* ---- shared memory --------------------------------------------------------------------------- */

/* An operand in shared memory on its way to rows [mn,k] of A, or [k,mn] of B. */
struct load {
    struct ptx_machine *machine;
    const struct ptx_effect *effect;
    struct geometry_operand operand;
    int k_major, bytes, k, mn;
    uint32_t *to;
    int mn_step, k_step; /* in `to` */
    uint8_t *undefined;  /* [mn] */
    int *some_undefined;
    int count, at_mn[PTX_LANES], at_k[PTX_LANES];
    uint64_t address[PTX_LANES];
};

/* The elements of `bytes` of a piece go to `to`, `step` apart. */
static inline __attribute__((always_inline)) void spread(int bytes, const uint8_t *data,
                                                         uint32_t *to, int step)
{
    for (int i = 0; i < CHUNK / bytes; i++) {
        uint32_t value = 0;
        memcpy(&value, data + i * bytes, (size_t)bytes);
        to[i * step] = value;
    }
}

/* Columns of [k,n]: eight at a time, so that what is written stands together. */
static void spread_columns(const struct load *load, uint8_t *const *data)
{
    enum { COLUMNS = 8, HALVES = CHUNK / 2 };
    for (int first = 0; first < load->count; first += 2 * COLUMNS)
        for (int piece = first; piece < first + 2; piece++) {
            uint32_t *to = load->to + load->at_mn[piece] + load->at_k[piece] * load->k_step;
            uint16_t half[COLUMNS][HALVES];
            for (int j = 0; j < COLUMNS; j++)
                memcpy(half[j], data[piece + 2 * j], CHUNK);
            for (int i = 0; i < HALVES; i++)
                for (int j = 0; j < COLUMNS; j++)
                    to[i * load->k_step + j] = half[j][i];
        }
}

static void take_chunks(const struct load *load, uint8_t *const *data)
{
    const int step = load->k_major ? load->k_step : load->mn_step;
    if (load->bytes == 2 && load->k_major && load->mn_step == 1) {
        spread_columns(load, data);
        return;
    }
    for (int i = 0; i < load->count; i++) {
        uint32_t *to = load->to + load->at_mn[i] * load->mn_step + load->at_k[i] * load->k_step;
        if (load->bytes == 2)
            spread(2, data[i], to, step);
        else if (load->bytes == 4)
            spread(4, data[i], to, step);
        else
            spread(1, data[i], to, step);
    }
}

static void take_undefined(const struct load *load, int mn, const uint8_t *known)
{
    uint64_t all[2];
    memcpy(all, known, CHUNK);
    if ((all[0] & all[1]) == 0x0101010101010101u)
        return;
    *load->some_undefined = 1;
    for (int i = 0; i < CHUNK; i++)
        if (!known[i])
            load->undefined[load->k_major ? mn : mn + i / load->bytes] = 1;
}

static int flush(struct load *load)
{
    struct ptx_access access;
    if (load->count == 0)
        return 0;
    hopper_engine_access(load->effect, PTX_READ, PTX_PROXY_ASYNC, PTX_SPACE_SHARED, CHUNK, CHUNK,
                         &access);
    access.lanes = PTX_ALL_LANES >> (PTX_LANES - load->count);
    memcpy(access.address, load->address, sizeof access.address);
    if (ptx_access(load->machine, &access))
        return 1;
    take_chunks(load, access.data);
    for (int i = 0; i < load->count; i++)
        take_undefined(load, load->at_mn[i], access.known[i]);
    load->count = 0;
    return 0;
}

static int read_shared(struct load *load)
{
    const uint64_t rank = (uint64_t)load->effect->cta->rank << PTX_RANK_SHIFT;
    const int count = CHUNK / load->bytes;
    const int mn_next = load->k_major ? 1 : count, k_next = load->k_major ? count : 1;
    for (int mn = 0; mn < load->mn; mn += mn_next)
        for (int k = 0; k < load->k; k += k_next) {
            if (load->count == PTX_LANES && flush(load))
                return 1;
            load->at_mn[load->count] = mn;
            load->at_k[load->count] = k;
            load->address[load->count++] =
                rank | geometry_operand_address(&load->operand, load->k_major, load->bytes, mn, k);
        }
    return flush(load);
}

static int decode(struct ptx_machine *machine, const struct ptx_effect *effect, uint64_t descriptor,
                  struct geometry_operand *operand)
{
    if (!geometry_operand_decode(descriptor, operand))
        return 0;
    ptx_report(machine, effect->warp, effect->code, -1, PTX_RULE_DESCRIPTOR, descriptor, "%s",
               moe_error_text());
    return 1;
}

/* ---- registers ------------------------------------------------------------------------------- */

static void read_a(struct ptx_warp *warps, const struct wgmma_form *form,
                   struct wgmma_operands *operands)
{
    const int count = 32 / form->a_bits;
    const uint32_t keep = UINT32_MAX >> (32 - form->a_bits);
    for (int thread = 0; thread < 4 * PTX_LANES; thread++)
        for (int reg = 0; reg < form->a_count; reg++) {
            struct ptx_warp *warp = &warps[thread / PTX_LANES];
            const int32_t slot = form->a[reg].slot;
            const int lane = thread % PTX_LANES;
            const uint32_t value = (uint32_t)ptx_row(warp, slot)[lane];
            const uint8_t undefined = ptx_undefined(warp, slot, lane) & 0xf;
            for (int index = 0; index < count; index++) {
                const struct geometry_cell cell =
                    geometry_wgmma_a(form->a_bits, thread, reg, index);
                operands->a[cell.row * form->mma.k + cell.column] =
                    value >> (index * form->a_bits) & keep;
                if (undefined)
                    operands->a_undefined[cell.row] = operands->some_undefined = 1;
            }
        }
}

/* ---- the whole ------------------------------------------------------------------------------- */

int wgmma_read(struct ptx_machine *machine, const struct ptx_effect *effect, uint64_t a, uint64_t b,
               struct ptx_warp *warps, struct wgmma_operands *operands)
{
    const struct wgmma_form *form = wgmma_form_of(effect->code);
    const int k = form->mma.k, n = form->mma.n;
    struct load load_a = {.machine = machine,
                          .effect = effect,
                          .k_major = form->a_k_major,
                          .bytes = form->a_bits / 8,
                          .k = k,
                          .mn = WGMMA_ROWS,
                          .to = operands->a,
                          .mn_step = k,
                          .k_step = 1,
                          .undefined = operands->a_undefined,
                          .some_undefined = &operands->some_undefined};
    struct load load_b = load_a;
    load_b.k_major = form->b_k_major;
    load_b.mn = n;
    load_b.to = operands->b;
    load_b.mn_step = 1;
    load_b.k_step = n;
    load_b.undefined = operands->b_undefined;
    memset(operands->a_undefined, 0, sizeof operands->a_undefined);
    memset(operands->b_undefined, 0, sizeof operands->b_undefined);
    operands->some_undefined = 0;
    if (decode(machine, effect, b, &load_b.operand) || read_shared(&load_b))
        return 1;
    if (form->a_in_registers)
        read_a(warps, form, operands);
    else if (decode(machine, effect, a, &load_a.operand) || read_shared(&load_a))
        return 1;
    return 0;
}
