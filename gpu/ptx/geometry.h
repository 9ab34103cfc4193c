/*
 * geometry.h - where the elements of matrices and tensors are: in the registers of a warp, in
 * shared memory behind a matrix descriptor, in global memory behind a tensor map.
 *
 * Pure functions. Addresses of shared memory are offsets in the window of one CTA.
 */
#ifndef MOE_GPU_PTX_GEOMETRY_H
#define MOE_GPU_PTX_GEOMETRY_H

#include <stdint.h>

struct geometry_cell {
    int row, column;
};

/* ---- fragments ------------------------------------------------------------------------------
 * `bits`: of an element, 1 to 64; `index`: of the element within the register, from the low end. A
 * register has 32 bits, or 64 where an element has. */

/* mma.sync: A [m,k], B [k,n], C and D [m,n] of every shape m16n8k* and m8n8k* but m8n8k4 of f16.
 * A's column and B's row are k. */
struct geometry_cell geometry_mma_a(int bits, int lane, int reg, int index);
struct geometry_cell geometry_mma_b(int bits, int lane, int reg, int index);
struct geometry_cell geometry_mma_d(int bits, int lane, int reg, int index);

/* mma.sync.m8n8k4 of f16 is four products, one of the lanes of each quad of the lower half of the
 * warp and of the same quad of the upper half. They stand below each other: A [4*8,4], B [4*4,8], C
 * and D [4*8,8]. `row_major` as the instruction says. */
struct geometry_cell geometry_mma_quad_a(int row_major, int lane, int reg, int index);
struct geometry_cell geometry_mma_quad_b(int row_major, int lane, int reg, int index);
struct geometry_cell geometry_mma_quad_d(int bits, int lane, int reg, int index);

/* Registers of a lane. */
int geometry_mma_registers(int bits, int rows, int columns);

/* wgmma: D [64,n] and, where it is in registers, A [64,k]; `thread` 0..127 of the warpgroup. */
struct geometry_cell geometry_wgmma_d(int bits, int thread, int reg, int index);
struct geometry_cell geometry_wgmma_a(int bits, int thread, int reg, int index);

/* ldmatrix and stmatrix of m8n8 matrices of 16 bits: register j has matrix j, whose row r is at the
 * address that lane 8 j + r gives, 16 bytes. The element of the matrix that is in a half (`index`)
 * of a lane's register. */
struct geometry_cell geometry_matrix_b16(int transposed, int lane, int index);

/* The forms of 8 bits. ldmatrix.m16n16.x1,x2.trans.b8: matrix j is in registers 2 j and 2 j + 1,
 * its row r at the address of lane 16 j + r. stmatrix.m16n8.x1,x2,x4.trans.b8: matrix j is in
 * register j, row r at the address of lane 8 j + r and has 16 bytes: its rows are columns of m16n8.
 */
struct geometry_cell geometry_matrix_load_b8(int lane, int reg, int index);
struct geometry_cell geometry_matrix_store_b8(int lane, int index);

/* ---- operands of wgmma in shared memory ----------------------------------------------------- */

enum geometry_swizzle { /* as in CUtensorMapSwizzle */
                        GEOMETRY_SWIZZLE_NONE,
                        GEOMETRY_SWIZZLE_32,
                        GEOMETRY_SWIZZLE_64,
                        GEOMETRY_SWIZZLE_128,
};

/* The 16-byte chunk of `address` moved as hardware does: 128: bits [4:6] ^= [7:9]; 64: [4:5] ^=
 * [7:8]; 32: [4] ^= [7]. */
uint64_t geometry_swizzle(enum geometry_swizzle swizzle, uint64_t address);

struct geometry_operand {
    uint32_t start;           /* bytes, 18 bits */
    uint32_t leading, stride; /* LBO, SBO in bytes */
    uint32_t base;            /* base offset, 0..7 */
    enum geometry_swizzle swizzle;
};

/* The fields of a matrix descriptor. 0, or MOE_E_USAGE with a message where bits that are no field
 * are set. */
int geometry_operand_decode(uint64_t descriptor, struct geometry_operand *operand);
uint64_t geometry_operand_encode(const struct geometry_operand *operand);

/* Byte address of element (mn, k), `bytes` wide: mn is A's row or B's column; `k_major`: 1, or 0
 * for MN-major (a transpose immediate of 1; 2-byte elements only). */
uint32_t geometry_operand_address(const struct geometry_operand *operand, int k_major, int bytes,
                                  int mn, int k);

/* ---- tensor maps ----------------------------------------------------------------------------
 * The machine's own 128 bytes; numbers of data types, interleave, swizzle, L2 and fill are those of
 * the driver API's enumerations. */

enum geometry_type {
    GEOMETRY_U8,
    GEOMETRY_U16,
    GEOMETRY_U32,
    GEOMETRY_S32,
    GEOMETRY_U64,
    GEOMETRY_S64,
    GEOMETRY_F16,
    GEOMETRY_F32,
    GEOMETRY_F64,
    GEOMETRY_BF16,
    GEOMETRY_F32_FTZ,
    GEOMETRY_TF32,
    GEOMETRY_TF32_FTZ,
    GEOMETRY_TYPE_COUNT
};

int geometry_type_bytes(enum geometry_type type);

enum geometry_interleave {
    GEOMETRY_INTERLEAVE_NONE,
    GEOMETRY_INTERLEAVE_16,
    GEOMETRY_INTERLEAVE_32
};
enum geometry_fill { GEOMETRY_FILL_ZERO, GEOMETRY_FILL_NAN };

#define GEOMETRY_RANK_MAX 5

struct geometry_tensor { /* dimension 0 is the innermost */
    enum geometry_type type;
    int rank; /* 1..5 */
    uint64_t address;
    uint64_t size[GEOMETRY_RANK_MAX]; /* elements, 1..2^32 */
    uint64_t
        stride[GEOMETRY_RANK_MAX];    /* bytes from one to the next; of dimension 0: the element */
    uint32_t box[GEOMETRY_RANK_MAX];  /* elements of the tensor that a box spans, 1..256 */
    uint32_t step[GEOMETRY_RANK_MAX]; /* element strides, 1..8 */
    enum geometry_interleave interleave;
    enum geometry_swizzle swizzle;
    int l2;
    enum geometry_fill fill;
};

struct geometry_map { /* what the machine has in the place of a CUtensorMap */
    uint64_t words[16];
};

/* MOE_OK, or MOE_E_USAGE with a message: what cuTensorMapEncodeTiled refuses is refused. */
int geometry_tensor_check(const struct geometry_tensor *tensor);
int geometry_map_encode(const struct geometry_tensor *tensor, struct geometry_map *map);

/* MOE_E_USAGE with a message: these 128 bytes are no map, or one that an edit has spoilt. */
int geometry_map_decode(const struct geometry_map *map, struct geometry_tensor *tensor);

enum geometry_field { /* tensormap.replace */
                      GEOMETRY_FIELD_GLOBAL_ADDRESS,
                      GEOMETRY_FIELD_RANK, /* one less than the rank */
                      GEOMETRY_FIELD_BOX_DIM,
                      GEOMETRY_FIELD_GLOBAL_DIM,
                      GEOMETRY_FIELD_GLOBAL_STRIDE, /* ordinal 0: of dimension 1 */
                      GEOMETRY_FIELD_ELEMENT_STRIDE,
                      GEOMETRY_FIELD_ELEMTYPE,
                      GEOMETRY_FIELD_INTERLEAVE_LAYOUT,
                      GEOMETRY_FIELD_SWIZZLE_MODE,
                      GEOMETRY_FIELD_FILL_MODE,
};

/* Writes one field; what the map then means is checked where it is used. MOE_E_USAGE: no map, no
 * such ordinal, a value that the field cannot hold. */
int geometry_map_replace(struct geometry_map *map, enum geometry_field field, int ordinal,
                         uint64_t value);

/* Bytes of a box in shared memory, which is what an mbarrier is credited with. */
uint64_t geometry_box_bytes(const struct geometry_tensor *tensor);

/* A box is walked in pieces, at most 16 bytes each, in the order of shared memory before the
 * swizzle. */
struct geometry_piece {
    uint32_t shared; /* address, swizzled */
    uint32_t bytes;
    uint64_t global; /* address; means nothing where `inside` is 0 */
    int inside;      /* 0: out of bounds. A load fills, a store leaves out */
};

struct geometry_box {
    const struct geometry_tensor *tensor;
    uint32_t shared;
    int64_t at[GEOMETRY_RANK_MAX];     /* first element of the box */
    uint32_t index[GEOMETRY_RANK_MAX]; /* where the walk is, in elements of shared memory */
    uint32_t count[GEOMETRY_RANK_MAX]; /* of these */
    uint64_t linear;                   /* bytes before the piece */
    int done;
};

/* `coordinates` [rank], innermost first, may be negative; `shared` is the address of the box. What
 * is wrong in `shared` or a coordinate: MOE_E_USAGE with a message. */
int geometry_box_begin(struct geometry_box *box, const struct geometry_tensor *tensor,
                       const int32_t *coordinates, uint32_t shared);
int geometry_box_next(struct geometry_box *box, struct geometry_piece *piece); /* 0: no more */

/* What fills an element that is out of bounds, as its bits. */
uint64_t geometry_fill_bits(const struct geometry_tensor *tensor);

/* cp.async.bulk and cp.reduce.async.bulk: both addresses and the size in multiples of 16.
 * MOE_E_USAGE with a message. */
int geometry_bulk_check(uint64_t to, uint64_t from, uint64_t bytes);

#endif
