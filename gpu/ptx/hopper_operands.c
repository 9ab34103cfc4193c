/*
 * hopper_operands.c - the operands of a wgmma.mma_async: A and B out of shared memory behind their
 * descriptors, in chunks of 16 bytes, A and C out of registers; and D back.
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

static void take_chunk(const struct load *load, int mn, int k, const uint8_t *data,
                       const uint8_t *known)
{
    static const uint8_t all_known[CHUNK] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const int count = CHUNK / load->bytes, step = load->k_major ? load->k_step : load->mn_step;
    uint32_t *to = load->to + mn * load->mn_step + k * load->k_step;
    for (int i = 0; i < count; i++) {
        uint32_t value = 0;
        memcpy(&value, data + i * load->bytes, (size_t)load->bytes);
        to[i * step] = value;
    }
    if (!memcmp(known, all_known, CHUNK))
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
    for (int i = 0; i < load->count; i++)
        take_chunk(load, load->at_mn[i], load->at_k[i], access.data[i], access.known[i]);
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

/* Where the first four elements of a thread's are; 8 columns on come the next four. */
static void find_cells(int n, int warp, int at[4][PTX_LANES])
{
    for (int i = 0; i < 4; i++)
        for (int lane = 0; lane < PTX_LANES; lane++) {
            const struct geometry_cell cell = geometry_wgmma_d(32, warp * PTX_LANES + lane, i, 0);
            at[i][lane] = cell.row * n + cell.column;
        }
}

static void read_c(struct ptx_warp *warps, const struct wgmma_form *form,
                   struct wgmma_operands *operands)
{
    const int per = 32 / form->d_bits, n = form->mma.n;
    const uint32_t keep = UINT32_MAX >> (32 - form->d_bits);
    for (int w = 0; w < 4; w++) {
        int at[4][PTX_LANES];
        find_cells(n, w, at);
        for (int i = 0; i < n / 2; i++) {
            const int32_t slot = form->d[i / per].slot;
            const uint64_t *row = ptx_row(&warps[w], slot);
            const int shift = i % per * form->d_bits;
            const unsigned bytes = per == 1 ? 0xf : 3u << (2 * (i % per));
            for (int lane = 0; lane < PTX_LANES; lane++)
                operands->c[at[i % 4][lane] + i / 4 * 8] = (uint32_t)(row[lane] >> shift) & keep;
            if (!ptx_row_undefined(&warps[w], slot))
                continue;
            for (int lane = 0; lane < PTX_LANES; lane++)
                if (ptx_undefined(&warps[w], slot, lane) & bytes)
                    operands->c_undefined[at[i % 4][lane] + i / 4 * 8] = operands->some_undefined =
                        1;
        }
    }
}

static void write_d(struct ptx_warp *warps, const struct wgmma_form *form,
                    const struct wgmma_operands *operands)
{
    const int per = 32 / form->d_bits, n = form->mma.n;
    for (int w = 0; w < 4; w++) {
        int at[4][PTX_LANES];
        find_cells(n, w, at);
        for (int reg = 0; reg < form->d_count; reg++) {
            const int32_t slot = form->d[reg].slot;
            uint64_t *row = ptx_row_to(&warps[w], slot);
            uint8_t undefined[PTX_LANES] = {0};
            for (int lane = 0; lane < PTX_LANES; lane++) {
                uint32_t value = 0;
                for (int index = 0; index < per; index++) {
                    const int i = reg * per + index, cell = at[i % 4][lane] + i / 4 * 8;
                    value |= operands->d[cell] << (index * form->d_bits);
                    if (operands->some_undefined &&
                        (operands->a_undefined[cell / n] || operands->b_undefined[cell % n] ||
                         operands->c_undefined[cell]))
                        undefined[lane] |= (uint8_t)(per == 1 ? 0xf : 3 << (2 * index));
                }
                row[lane] = value;
            }
            if (operands->some_undefined)
                for (int lane = 0; lane < PTX_LANES; lane++)
                    ptx_set_undefined(&warps[w], slot, lane, undefined[lane]);
            else
                ptx_set_defined(&warps[w], slot, PTX_ALL_LANES);
        }
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

int wgmma_read(struct ptx_machine *machine, const struct ptx_effect *effect, uint64_t a, uint64_t b,
               int scale_d, struct ptx_warp *warps, struct wgmma_operands *operands)
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
    if (decode(machine, effect, b, &load_b.operand) || read_shared(&load_b))
        return 1;
    if (form->a_in_registers)
        read_a(warps, form, operands);
    else if (decode(machine, effect, a, &load_a.operand) || read_shared(&load_a))
        return 1;
    operands->has_c = scale_d;
    if (scale_d)
        read_c(warps, form, operands);
    return 0;
}

void wgmma_compute(struct ptx_machine *machine, const struct ptx_code *code, struct ptx_warp *warps,
                   struct wgmma_operands *operands)
{
    const struct wgmma_form *form = wgmma_form_of(code);
    struct number_mma mma = form->mma;
    mma.model = machine->options.plain_mma ? NUMBER_MMA_PLAIN : NUMBER_MMA_CHIP;
    number_mma_run(&mma, operands->a, operands->b, operands->has_c ? operands->c : NULL,
                   operands->d);
    write_d(warps, form, operands);
}
