/*
 * exec_fragment.c - products of matrices in a warp's registers: fragments become matrices,
 * number_mma.h multiplies them, and D goes back.
 *
 * What nobody wrote of a row of A poisons that row of D, of a column of B that column, of an
 * element of C that element.
 */
#include "gpu/ptx/exec_fragment.h"
#include "gpu/ptx/lower.h"
#include "ref/moe.h"

#define ELEMENTS 1024 /* of a matrix at most: A of m16n8k64 */

struct matrix {
    uint64_t code[ELEMENTS];
    uint8_t undefined[ELEMENTS];
};

/* ---- fragments ------------------------------------------------------------------------------- */

/* Bytes of a register that its index-th element touches, as a mask. */
static unsigned bytes_of(const struct fragment *fragment, int index)
{
    const int first = index * fragment->bits / 8, bytes = (fragment->bits + 7) / 8;
    return ((1u << bytes) - 1) << first;
}

static void take(const struct ptx_warp *warp, const struct fragment *fragment,
                 struct matrix *matrix)
{
    const uint64_t keep = UINT64_MAX >> (64 - fragment->bits);
    const int per_register = fragment_per_register(fragment);
    for (int reg = 0; reg < fragment->own; reg++)
        for (int lane = 0; lane < PTX_LANES; lane++)
            for (int index = 0; index < per_register; index++) {
                const int at = fragment_at(fragment, reg, lane, index);
                const int32_t slot = fragment->places[reg].slot;
                matrix->code[at] = ptx_row(warp, slot)[lane] >> (index * fragment->bits) & keep;
                matrix->undefined[at] =
                    (ptx_undefined(warp, slot, lane) & bytes_of(fragment, index)) != 0;
            }
}

static void give(struct ptx_warp *warp, const struct fragment *fragment,
                 const struct matrix *matrix)
{
    const int per_register = fragment_per_register(fragment);
    for (int reg = 0; reg < fragment->count; reg++)
        for (int lane = 0; lane < PTX_LANES; lane++) {
            const int32_t slot = fragment->places[reg].slot;
            uint64_t value = 0;
            unsigned undefined = 0;
            for (int index = 0; index < per_register; index++) {
                const int at = fragment_at(fragment, reg, lane, index);
                value |= matrix->code[at] << (index * fragment->bits);
                undefined |= matrix->undefined[at] ? bytes_of(fragment, index) : 0;
            }
            ptx_row_to(warp, slot)[lane] = value;
            ptx_set_undefined(warp, slot, lane, (uint8_t)undefined);
        }
}

/* ---- the product ----------------------------------------------------------------------------- */

static void spread(const struct fragment_product *form, const struct matrix *a,
                   const struct matrix *b, const struct matrix *c, struct matrix *d)
{
    const int m = form->mma.m, n = form->mma.n, k = form->mma.k;
    uint8_t rows[4 * 8] = {0}, columns[4 * 8] = {0};
    for (int i = 0; i < form->products * m * k; i++)
        rows[i / k] |= a->undefined[i];
    for (int i = 0; i < form->products * k * n; i++)
        columns[i / n / k * n + i % n] |= b->undefined[i];
    for (int i = 0; i < form->products * m * n; i++)
        d->undefined[i] = c->undefined[i] | rows[i / n] | columns[i / n / m * n + i % n];
}

static uint32_t sign_extended(uint64_t nibble)
{
    return (uint32_t)((nibble ^ 8) - 8);
}

/* Columns of A from `from` on, or rows of B. */
static void take_factors(const struct fragment_product *form, int product, int from,
                         const struct matrix *a, const struct matrix *b, uint32_t *left,
                         uint32_t *right)
{
    const int m = form->mma.m, n = form->mma.n, k = form->mma.k, step = form->k_step;
    for (int i = 0; i < m * step; i++) {
        const uint64_t code = a->code[(product * m + i / step) * k + from + i % step];
        left[i] = form->signed_a4 ? sign_extended(code) : (uint32_t)code;
    }
    for (int i = 0; i < step * n; i++) {
        const uint64_t code = b->code[(product * k + from) * n + i];
        right[i] = form->signed_b4 ? sign_extended(code) : (uint32_t)code;
    }
}

static void multiply(const struct fragment_product *form, const struct number_mma *whole,
                     const struct matrix *a, const struct matrix *b, const struct matrix *c,
                     struct matrix *d)
{
    uint32_t left[ELEMENTS], right[ELEMENTS], sum[ELEMENTS];
    const int count = whole->m * whole->n;
    struct number_mma mma = *whole;
    mma.k = form->k_step;
    for (int product = 0; product < form->products; product++) {
        for (int i = 0; i < count; i++) {
            const uint64_t code = c->code[product * count + i];
            sum[i] = (uint32_t)(form->widen_c ? number_convert(NUMBER_F32, NUMBER_F16, code, 0, 0)
                                              : code);
        }
        for (int from = 0; from < whole->k; from += mma.k) {
            take_factors(form, product, from, a, b, left, right);
            number_mma_run(&mma, left, right, sum, sum);
        }
        for (int i = 0; i < count; i++)
            d->code[product * count + i] =
                form->narrow_d ? number_convert(NUMBER_F16, NUMBER_F32, sum[i], 0, 0) : sum[i];
    }
}

void fragment_multiply(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct fragment_product *form = (const struct fragment_product *)(uintptr_t)code->data[3];
    struct number_mma mma = form->mma;
    struct matrix a, b, c, d;
    if (ptx_part_of_warp(warp, code, lanes))
        return;
    mma.model = warp->machine->options.plain_mma ? NUMBER_MMA_PLAIN : NUMBER_MMA_CHIP;
    take(warp, &form->a, &a);
    take(warp, &form->b, &b);
    take(warp, &form->c, &c);
    if (form->is_f64)
        number_mma_run_f64(mma.m, mma.n, mma.k, a.code, b.code, c.code, d.code, form->how);
    else
        multiply(form, &mma, &a, &b, &c, &d);
    spread(form, &a, &b, &c, &d);
    give(warp, &form->d, &d);
}

/* ---- decoding -------------------------------------------------------------------------------- */

int fragment_make(struct ptx_build *build, fragment_cell *cell, int how,
                  const struct fragment_block *block, struct fragment *fragment)
{
    const int per_register = fragment_per_register(fragment);
    uint16_t *at = ptx_arena_take(build->program->arena,
                                  (size_t)(fragment->count * PTX_LANES * per_register), sizeof *at);
    if (!at)
        return lower_nomem();
    fragment->at = at;
    for (int reg = 0; reg < fragment->count; reg++)
        for (int lane = 0; lane < PTX_LANES; lane++)
            for (int index = 0; index < per_register; index++) {
                const int own = reg % fragment->own, number = own / block->registers;
                const struct geometry_cell in = cell(how, lane, own % block->registers, index);
                const int row = in.row + number * block->rows;
                *at++ = (uint16_t)(row * fragment->columns + in.column + number * block->columns);
            }
    return MOE_OK;
}

int fragment_place(struct ptx_build *build, const struct ptx_place *place,
                   struct fragment *fragment)
{
    const int bits = fragment->bits < 32 ? 32 : fragment->bits;
    fragment->places = place->kind == PTX_VECTOR ? place->part : place;
    if ((place->kind == PTX_VECTOR ? place->count : 1) != fragment->count)
        return ptx_refuse(build, "an operand has %d registers, and %d are needed",
                          place->kind == PTX_VECTOR ? place->count : 1, fragment->count);
    for (int i = 0; i < fragment->count; i++)
        if (fragment->places[i].kind == PTX_REGISTER &&
            ptx_types[fragment->places[i].type].bits != bits)
            return ptx_refuse(build, "registers of %d bits are needed", bits);
    return MOE_OK;
}
