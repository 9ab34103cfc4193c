/*
 * t_ptx_geometry.c - fragments against the ISA's formulas, descriptors against what a tensor copy
 * leaves in shared memory, tensor maps against what the driver refuses, boxes against plain loops.
 */
#include <string.h>

#include "gpu/ptx/geometry.h"
#include "tests/support.h"

/* ---- fragments ------------------------------------------------------------------------------ */

static const struct {
    int bits, m, n, k;
} shapes[] = {{16, 16, 8, 8}, {16, 16, 8, 16}, {8, 16, 8, 16}, {8, 16, 8, 32},  {32, 16, 8, 4},
              {32, 16, 8, 8}, {4, 16, 8, 32},  {4, 16, 8, 64}, {1, 16, 8, 128}, {1, 16, 8, 256},
              {64, 16, 8, 4}, {64, 16, 8, 16}, {64, 8, 8, 4},  {8, 8, 8, 16},   {1, 8, 8, 128}};

/* Every element of a matrix is in one place, and one only. */
static void check_cover(struct geometry_cell (*cell_of)(int, int, int, int), int lanes, int bits,
                        int rows, int columns)
{
    static unsigned char seen[64 * 256];
    memset(seen, 0, sizeof seen);
    const int each = bits < 32 ? 32 / bits : 1;
    const int registers = rows * columns / lanes / each;
    for (int lane = 0; lane < lanes; lane++)
        for (int reg = 0; reg < registers; reg++)
            for (int i = 0; i < each; i++) {
                const struct geometry_cell cell = cell_of(bits, lane, reg, i);
                ck_assert(cell.row >= 0 && cell.row < rows);
                ck_assert(cell.column >= 0 && cell.column < columns);
                ck_assert(!seen[cell.row * columns + cell.column]++);
            }
}

/* m8n8 has one register for rows 0 to 7: A of k beyond it does not occur. */
START_TEST(fragments_cover)
{
    const int bits = shapes[_i].bits, m = shapes[_i].m, n = shapes[_i].n, k = shapes[_i].k;
    check_cover(geometry_mma_a, 32, bits, m, k);
    check_cover(geometry_mma_b, 32, bits, k, n);
    check_cover(geometry_mma_d, 32, bits == 64 ? 64 : 32, m, n);
    ck_assert_int_eq(geometry_mma_registers(bits, k, n), k * n / 32 / (bits < 32 ? 32 / bits : 1));
}
END_TEST

/* The ISA's formulas for m16n8k16 of 16 bits and m16n8k32 of 8. */
START_TEST(fragments_are_the_text)
{
    for (int lane = 0; lane < 32; lane++) {
        const int group = lane >> 2, thread = lane % 4;
        for (int i = 0; i < 8; i++) {
            const struct geometry_cell a = geometry_mma_a(16, lane, i / 2, i % 2);
            ck_assert_int_eq(a.row, (i < 2 || (i >= 4 && i < 6)) ? group : group + 8);
            ck_assert_int_eq(a.column, thread * 2 + (i & 1) + (i < 4 ? 0 : 8));
        }
        for (int i = 0; i < 16; i++) {
            const struct geometry_cell a = geometry_mma_a(8, lane, i / 4, i % 4);
            ck_assert_int_eq(a.row, (i < 4 || (i >= 8 && i < 12)) ? group : group + 8);
            ck_assert_int_eq(a.column, thread * 4 + (i & 3) + (i < 8 ? 0 : 16));
        }
        for (int i = 0; i < 4; i++) {
            const struct geometry_cell b = geometry_mma_b(16, lane, i / 2, i % 2);
            ck_assert_int_eq(b.row, thread * 2 + (i & 1) + (i < 2 ? 0 : 8));
            ck_assert_int_eq(b.column, group);
            const struct geometry_cell c = geometry_mma_d(32, lane, i, 0);
            ck_assert_int_eq(c.row, i < 2 ? group : group + 8);
            ck_assert_int_eq(c.column, thread * 2 + (i & 1));
            const struct geometry_cell half = geometry_mma_d(16, lane, i / 2, i % 2);
            ck_assert(half.row == c.row && half.column == c.column);
        }
        /* tf32: a1 is eight rows down, a2 four columns on. */
        const struct geometry_cell down = geometry_mma_a(32, lane, 1, 0);
        const struct geometry_cell on = geometry_mma_a(32, lane, 2, 0);
        ck_assert(down.row == group + 8 && down.column == thread);
        ck_assert(on.row == group && on.column == thread + 4);
    }
    for (int t = 0; t < 128; t++)
        for (int i = 0; i < 128; i++) {
            const struct geometry_cell d = geometry_wgmma_d(32, t, i, 0);
            ck_assert_int_eq(d.row, 16 * (t / 32) + t % 32 / 4 + 8 * (i / 2 & 1));
            ck_assert_int_eq(d.column, 8 * (i / 4) + 2 * (t % 4) + (i & 1));
        }
    check_cover(geometry_wgmma_d, 128, 32, 64, 256);
    check_cover(geometry_wgmma_d, 128, 16, 64, 8);
    check_cover(geometry_wgmma_a, 128, 16, 64, 16);
    check_cover(geometry_wgmma_a, 128, 8, 64, 32);
    check_cover(geometry_wgmma_a, 128, 32, 64, 8);
}
END_TEST

/* Four matrices loaded are A of m16n8k16; a transposed one is B of a row-major [k,n]. */
START_TEST(matrices_are_fragments)
{
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 2; i++) {
            for (int j = 0; j < 4; j++) {
                const struct geometry_cell part = geometry_matrix_b16(0, lane, i);
                const struct geometry_cell a = geometry_mma_a(16, lane, j, i);
                ck_assert_int_eq(part.row + 8 * (j & 1), a.row);
                ck_assert_int_eq(part.column + 8 * (j >> 1), a.column);
            }
            for (int j = 0; j < 2; j++) {
                const struct geometry_cell part = geometry_matrix_b16(1, lane, i);
                const struct geometry_cell b = geometry_mma_b(16, lane, j, i);
                ck_assert_int_eq(part.row + 8 * j, b.row);
                ck_assert_int_eq(part.column, b.column);
            }
        }
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++) {
            const struct geometry_cell b = geometry_mma_b(8, lane, 0, i);
            const struct geometry_cell load = geometry_matrix_load_b8(lane, 1, i);
            ck_assert(load.row == b.row && load.column == b.column + 8);
            const struct geometry_cell store = geometry_matrix_store_b8(lane, i);
            ck_assert(store.row == b.row && store.column == b.column);
        }
}
END_TEST

/* ---- descriptors ---------------------------------------------------------------------------- */

START_TEST(descriptor_fields)
{
    struct geometry_operand operand;
    /* A kernel's own: address 0x12340, LBO 16, SBO 1024, swizzle of 128. */
    const uint64_t code = 0x1234ull | 1ull << 16 | 64ull << 32 | 1ull << 62;
    ck_assert_int_eq(geometry_operand_decode(code, &operand), MOE_OK);
    ck_assert_uint_eq(operand.start, 0x12340);
    ck_assert_uint_eq(operand.leading, 16);
    ck_assert_uint_eq(operand.stride, 1024);
    ck_assert_int_eq(operand.swizzle, GEOMETRY_SWIZZLE_128);
    ck_assert_uint_eq(geometry_operand_encode(&operand), code);
    ck_assert_int_eq(geometry_operand_decode(code | 1ull << 46, &operand), MOE_E_USAGE);
    ck_assert_int_eq(geometry_operand_decode(code | 1ull << 14, &operand), MOE_E_USAGE);
    ck_assert_int_eq(geometry_operand_decode(3ull << 62 | 5ull << 49, &operand), MOE_OK);
    ck_assert_int_eq(operand.swizzle, GEOMETRY_SWIZZLE_32);
    ck_assert_uint_eq(operand.base, 5);
    for (uint64_t address = 0; address < 4096; address += 8) {
        const uint64_t moved = geometry_swizzle(GEOMETRY_SWIZZLE_128, address);
        ck_assert_uint_eq(moved, address ^ (address / 128 % 8) * 16);
        ck_assert_uint_eq(geometry_swizzle(GEOMETRY_SWIZZLE_64, address),
                          address ^ (address / 128 % 4) * 16);
        ck_assert_uint_eq(geometry_swizzle(GEOMETRY_SWIZZLE_32, address),
                          address ^ (address / 128 % 2) * 16);
    }
}
END_TEST

/* A dense tensor [rows, inner] of 2 bytes at address 0 is copied by boxes of one swizzle span, each
 * `rows` high, one after the other; then shared memory holds global addresses, and the operand's
 * element (mn, k) must be found there. */
static void check_operand(enum geometry_swizzle swizzle, int k_major, int rows, int inner)
{
    static uint16_t shared[65536];
    const uint32_t span = 16u << swizzle, start = 1024;
    const struct geometry_tensor tensor = {
        .type = GEOMETRY_U16,
        .rank = 2,
        .size = {(uint64_t)inner, (uint64_t)rows},
        .stride = {2, (uint64_t)inner * 2},
        .box = {span / 2, (uint32_t)rows},
        .step = {1, 1},
        .swizzle = swizzle,
    };
    memset(shared, 0xff, sizeof shared);
    for (int column = 0; column < inner; column += (int)span / 2) {
        const int32_t at[2] = {column, 0};
        struct geometry_box box;
        struct geometry_piece piece;
        const uint32_t to = start + (uint32_t)column * 2 / span * (uint32_t)rows * span;
        ck_assert_int_eq(geometry_box_begin(&box, &tensor, at, to), MOE_OK);
        while (geometry_box_next(&box, &piece))
            for (uint32_t i = 0; i < piece.bytes; i += 2)
                shared[(piece.shared + i) / 2] = (uint16_t)((piece.global + i) / 2);
    }
    /* From row to row of atoms, and from box to box; without swizzle LBO is what goes along K. */
    const uint32_t atom = 8 * span, box = (uint32_t)rows * span;
    struct geometry_operand operand = {
        .start = start, .leading = box, .stride = atom, .swizzle = swizzle};
    if (swizzle == GEOMETRY_SWIZZLE_NONE && !k_major) {
        operand.leading = atom;
        operand.stride = box;
    }
    for (int row = 0; row < rows; row++)
        for (int column = 0; column < inner; column++) {
            const int mn = k_major ? row : column, k = k_major ? column : row;
            const uint32_t address = geometry_operand_address(&operand, k_major, 2, mn, k);
            ck_assert_uint_eq(shared[address / 2], (uint32_t)(row * inner + column));
        }
}

START_TEST(operands_are_what_copies_leave)
{
    const enum geometry_swizzle swizzle = (enum geometry_swizzle)_i;
    check_operand(swizzle, 1, 64, 64);
    check_operand(swizzle, 1, 16, 128);
    check_operand(swizzle, 0, 16, 128);
    check_operand(swizzle, 0, 64, 64);
}
END_TEST

/* k of the next instruction: 32 bytes on in K-major, two atoms of 8 k in MN-major. */
START_TEST(descriptors_advance)
{
    const struct geometry_operand operand = {
        .start = 2048, .leading = 16, .stride = 1024, .swizzle = GEOMETRY_SWIZZLE_128};
    struct geometry_operand next = operand;
    for (int mn = 0; mn < 64; mn++)
        for (int k = 0; k < 16; k++) {
            next.start = operand.start + 32;
            ck_assert_uint_eq(geometry_operand_address(&next, 1, 2, mn, k),
                              geometry_operand_address(&operand, 1, 2, mn, k + 16));
            next.start = operand.start + 2048;
            ck_assert_uint_eq(geometry_operand_address(&next, 0, 2, mn, k),
                              geometry_operand_address(&operand, 0, 2, mn, k + 16));
        }
    /* An atom that begins at the third row of 128 bytes is permuted as if it began at a multiple.
     */
    const struct geometry_operand off = {
        .start = 2048 + 384, .stride = 1024, .base = 3, .swizzle = GEOMETRY_SWIZZLE_128};
    ck_assert_uint_eq(geometry_operand_address(&off, 1, 2, 0, 8), 2048 + 384 + 16);
    ck_assert_uint_eq(geometry_operand_address(&off, 1, 2, 1, 0), 2048 + 512 + 16);
}
END_TEST

/* ---- maps ----------------------------------------------------------------------------------- */

static const struct geometry_tensor good = {
    .type = GEOMETRY_BF16,
    .rank = 3,
    .address = 0x7f0000001000,
    .size = {200, 1ull << 32, 7},
    .stride = {2, 512, 1 << 20},
    .box = {64, 256, 1},
    .step = {1, 8, 1},
    .swizzle = GEOMETRY_SWIZZLE_128,
    .l2 = 2,
    .fill = GEOMETRY_FILL_NAN,
};

START_TEST(map_round_trip)
{
    struct geometry_map map;
    struct geometry_tensor back;
    ck_assert_int_eq(geometry_map_encode(&good, &map), MOE_OK);
    ck_assert_int_eq(geometry_map_decode(&map, &back), MOE_OK);
    ck_assert_int_eq(back.type, good.type);
    ck_assert_int_eq(back.rank, good.rank);
    ck_assert_uint_eq(back.address, good.address);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(back.size[i], good.size[i]);
        ck_assert_uint_eq(back.stride[i], good.stride[i]);
        ck_assert_uint_eq(back.box[i], good.box[i]);
        ck_assert_uint_eq(back.step[i], good.step[i]);
    }
    ck_assert_int_eq(back.interleave, good.interleave);
    ck_assert_int_eq(back.swizzle, good.swizzle);
    ck_assert_int_eq(back.l2, good.l2);
    ck_assert_int_eq(back.fill, good.fill);
    memset(&map, 0, sizeof map);
    ck_assert_int_eq(geometry_map_decode(&map, &back), MOE_E_USAGE);
}
END_TEST

/* One field of `good` changed: refused. */
static void spoil(struct geometry_tensor *tensor, int how)
{
    switch (how) {
    case 0:
        tensor->type = GEOMETRY_TYPE_COUNT;
        break;
    case 1:
        tensor->rank = 0;
        break;
    case 2:
        tensor->rank = 6;
        break;
    case 3:
        tensor->address += 8;
        break;
    case 4:
        tensor->size[1] = 0;
        break;
    case 5:
        tensor->size[1] = (1ull << 32) + 1;
        break;
    case 6:
        tensor->stride[1] = 520;
        break;
    case 7:
        tensor->stride[2] = 1ull << 40;
        break;
    case 8:
        tensor->box[1] = 0;
        break;
    case 9:
        tensor->box[1] = 257;
        break;
    case 10:
        tensor->step[2] = 0;
        break;
    case 11:
        tensor->step[2] = 9;
        break;
    case 12:
        tensor->box[0] = 60;
        break;
    case 13:
        tensor->box[0] = 72;
        break;
    case 14:
        tensor->type = GEOMETRY_U16;
        break;
    case 15:
        tensor->interleave = GEOMETRY_INTERLEAVE_32;
        break;
    case 16:
        tensor->interleave = GEOMETRY_INTERLEAVE_16;
        tensor->rank = 2;
        break;
    case 17:
        tensor->swizzle = (enum geometry_swizzle)4;
        break;
    case 18:
        tensor->l2 = 4;
        break;
    default:
        tensor->fill = (enum geometry_fill)2;
    }
}

START_TEST(map_refused)
{
    struct geometry_tensor tensor = good;
    struct geometry_map map = {{3}};
    spoil(&tensor, _i);
    ck_assert_int_eq(geometry_map_encode(&tensor, &map), MOE_E_USAGE);
    ck_assert_uint_eq(map.words[0], 3);
}
END_TEST

START_TEST(map_replaced)
{
    struct geometry_map map;
    struct geometry_tensor tensor;
    ck_assert_int_eq(geometry_map_encode(&good, &map), MOE_OK);
    static const struct {
        enum geometry_field field;
        int ordinal;
        uint64_t value;
    } edits[] = {{GEOMETRY_FIELD_GLOBAL_ADDRESS, 0, 0x2000},
                 {GEOMETRY_FIELD_RANK, 0, 1},
                 {GEOMETRY_FIELD_BOX_DIM, 1, 32},
                 {GEOMETRY_FIELD_GLOBAL_DIM, 1, 33},
                 {GEOMETRY_FIELD_GLOBAL_STRIDE, 0, 4096},
                 {GEOMETRY_FIELD_ELEMENT_STRIDE, 1, 2},
                 {GEOMETRY_FIELD_ELEMTYPE, 0, 7},
                 {GEOMETRY_FIELD_BOX_DIM, 0, 16},
                 {GEOMETRY_FIELD_SWIZZLE_MODE, 0, 2},
                 {GEOMETRY_FIELD_FILL_MODE, 0, 0},
                 {GEOMETRY_FIELD_INTERLEAVE_LAYOUT, 0, 0}};
    for (int i = 0; i < COUNT(edits); i++)
        ck_assert_int_eq(
            geometry_map_replace(&map, edits[i].field, edits[i].ordinal, edits[i].value), MOE_OK);
    ck_assert_int_eq(geometry_map_decode(&map, &tensor), MOE_OK);
    ck_assert_uint_eq(tensor.address, 0x2000);
    ck_assert_int_eq(tensor.rank, 2);
    ck_assert_uint_eq(tensor.box[0], 16);
    ck_assert_uint_eq(tensor.box[1], 32);
    ck_assert_uint_eq(tensor.size[1], 33);
    ck_assert_uint_eq(tensor.stride[1], 4096);
    ck_assert_uint_eq(tensor.step[1], 2);
    ck_assert_int_eq(tensor.type, GEOMETRY_F32);
    ck_assert_int_eq(tensor.swizzle, GEOMETRY_SWIZZLE_64);
    ck_assert_int_eq(tensor.fill, GEOMETRY_FILL_ZERO);
    /* The ISA's numbers of types are not the driver's. */
    ck_assert_int_eq(geometry_map_replace(&map, GEOMETRY_FIELD_ELEMTYPE, 0, 10), MOE_OK);
    ck_assert_int_eq(geometry_map_decode(&map, &tensor), MOE_OK);
    ck_assert_int_eq(tensor.type, GEOMETRY_BF16);
    ck_assert_int_eq(geometry_map_replace(&map, GEOMETRY_FIELD_BOX_DIM, 5, 1), MOE_E_USAGE);
    ck_assert_int_eq(geometry_map_replace(&map, GEOMETRY_FIELD_GLOBAL_STRIDE, 4, 16), MOE_E_USAGE);
    ck_assert_int_eq(geometry_map_replace(&map, GEOMETRY_FIELD_BOX_DIM, 0, 257), MOE_E_USAGE);
    ck_assert_int_eq(geometry_map_replace(&map, GEOMETRY_FIELD_RANK, 0, 5), MOE_E_USAGE);
    ck_assert_int_eq(geometry_map_replace(&map, GEOMETRY_FIELD_GLOBAL_ADDRESS, 0, 8), MOE_OK);
    ck_assert_int_eq(geometry_map_decode(&map, &tensor), MOE_E_USAGE);
    map.words[0] = 0;
    ck_assert_int_eq(geometry_map_replace(&map, GEOMETRY_FIELD_RANK, 0, 1), MOE_E_USAGE);
    /* All zeros are a map without its fields. */
    map = (struct geometry_map){0};
    for (int i = 0; i < COUNT(edits); i++)
        ck_assert_int_eq(
            geometry_map_replace(&map, edits[i].field, edits[i].ordinal, edits[i].value), MOE_OK);
    ck_assert_int_eq(geometry_map_replace(&map, GEOMETRY_FIELD_GLOBAL_DIM, 0, 64), MOE_OK);
    ck_assert_int_eq(geometry_map_decode(&map, &tensor), MOE_OK);
    ck_assert_int_eq(tensor.rank, 2);
    ck_assert_uint_eq(tensor.size[0], 64);
    ck_assert_uint_eq(tensor.size[1], 33);
}
END_TEST

/* ---- boxes ---------------------------------------------------------------------------------- */

/* A walk against five loops: each byte of shared memory, its global address or that it is filled.
 */
static void check_walk(const struct geometry_tensor *tensor, const int32_t *at, uint32_t start)
{
    static uint64_t want[1 << 16], got[1 << 16];
    memset(want, 0xee, sizeof want);
    memset(got, 0xee, sizeof got);
    const int bytes = geometry_type_bytes(tensor->type);
    uint32_t count[5] = {1, 1, 1, 1, 1}, index[5] = {0}, linear = 0;
    for (int i = 0; i < tensor->rank; i++) {
        const uint32_t step = i == 0 ? 1 : tensor->step[i];
        count[i] = (tensor->box[i] + step - 1) / step;
    }
    const uint32_t total = count[0] * count[1] * count[2] * count[3] * count[4];
    for (uint32_t n = 0; n < total; n++) {
        int inside = 1;
        uint64_t global = tensor->address;
        uint32_t rest = n;
        for (int i = 0; i < tensor->rank; i++) {
            index[i] = rest % count[i];
            rest /= count[i];
            const int64_t x = (int64_t)at[i] + index[i] * (i == 0 ? 1 : tensor->step[i]);
            inside = inside && x >= 0 && (uint64_t)x < tensor->size[i];
            global += (uint64_t)x * (i == 0 ? (uint64_t)bytes : tensor->stride[i]);
        }
        for (int i = 0; i < bytes; i++, linear++)
            want[geometry_swizzle(tensor->swizzle, start + linear)] =
                inside ? global + (uint64_t)i : 1;
    }
    ck_assert_uint_eq(geometry_box_bytes(tensor), linear);
    struct geometry_box box;
    struct geometry_piece piece;
    ck_assert_int_eq(geometry_box_begin(&box, tensor, at, start), MOE_OK);
    while (geometry_box_next(&box, &piece)) {
        ck_assert(piece.bytes >= 1 && piece.bytes <= 16 && piece.shared % 16 + piece.bytes <= 16);
        for (uint32_t i = 0; i < piece.bytes; i++) {
            ck_assert_uint_eq(got[piece.shared + i], 0xeeeeeeeeeeeeeeeeu);
            got[piece.shared + i] = piece.inside ? piece.global + i : 1;
        }
    }
    ck_assert(!geometry_box_next(&box, &piece));
    ck_assert(memcmp(want, got, sizeof want) == 0);
}

START_TEST(walks)
{
    uint64_t state = 77;
    for (int round = 0; round < 300; round++) {
        struct geometry_tensor tensor = {
            .type = (enum geometry_type)random_below(&state, GEOMETRY_TYPE_COUNT),
            .rank = 1 + (int)random_below(&state, 5),
            .address = 0x10000,
            .swizzle = (enum geometry_swizzle)random_below(&state, 4),
        };
        const uint32_t each = (uint32_t)geometry_type_bytes(tensor.type);
        const uint32_t span = 16u << tensor.swizzle;
        int32_t at[5];
        for (int i = 0; i < tensor.rank; i++) {
            tensor.size[i] = 1 + (uint64_t)random_below(&state, 20);
            tensor.stride[i] = 16 * (uint64_t)random_below(&state, 5000);
            tensor.step[i] = 1 + (uint32_t)random_below(&state, 3);
            tensor.box[i] = 1 + (uint32_t)random_below(&state, 4);
            at[i] = (int32_t)random_below(&state, 24) - 3;
        }
        tensor.box[0] = 16 / each * (1 + (uint32_t)random_below(&state, span / 16));
        ck_assert_int_eq(geometry_tensor_check(&tensor), MOE_OK);
        check_walk(&tensor, at, 128 * (uint32_t)random_below(&state, 9));
    }
}
END_TEST

START_TEST(copies_refused)
{
    struct geometry_box box;
    const int32_t at[3] = {0};
    ck_assert_int_eq(geometry_box_begin(&box, &good, at, 64), MOE_E_USAGE);
    ck_assert_int_eq(geometry_bulk_check(32, 16, 48), MOE_OK);
    ck_assert_int_eq(geometry_bulk_check(8, 16, 48), MOE_E_USAGE);
    ck_assert_int_eq(geometry_bulk_check(32, 4, 48), MOE_E_USAGE);
    ck_assert_int_eq(geometry_bulk_check(32, 16, 40), MOE_E_USAGE);
    ck_assert_uint_eq(geometry_fill_bits(&good), 0x7ff7);
    struct geometry_tensor zeros = good;
    zeros.fill = GEOMETRY_FILL_ZERO;
    ck_assert_uint_eq(geometry_fill_bits(&zeros), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_geometry");
    TCase *tests = tcase_create("ptx_geometry");
    tcase_add_loop_test(tests, fragments_cover, 0, COUNT(shapes));
    tcase_add_test(tests, fragments_are_the_text);
    tcase_add_test(tests, matrices_are_fragments);
    tcase_add_test(tests, descriptor_fields);
    tcase_add_loop_test(tests, operands_are_what_copies_leave, 0, 4);
    tcase_add_test(tests, descriptors_advance);
    tcase_add_test(tests, map_round_trip);
    tcase_add_loop_test(tests, map_refused, 0, 20);
    tcase_add_test(tests, map_replaced);
    tcase_add_test(tests, walks);
    tcase_add_test(tests, copies_refused);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
