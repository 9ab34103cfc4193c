/*
 * words.h - the words that follow an opcode, each with its number PTX_W_..., and what has a meaning
 * of its own among them: types, and shapes.
 *
 * A new word is its line here. Words are looked up by their text, so their order means nothing.
 */
#ifndef MOE_GPU_PTX_WORDS_H
#define MOE_GPU_PTX_WORDS_H

/* clang-format off */
#define PTX_WORDS(X)                                                                             \
    /* rounding, and what becomes of a result */                                                 \
    X(RN, "rn") X(RZ, "rz") X(RM, "rm") X(RP, "rp") X(RNA, "rna") X(RS, "rs") X(RNI, "rni")      \
    X(RZI, "rzi") X(RMI, "rmi") X(RPI, "rpi") X(FTZ, "ftz") X(NOFTZ, "noftz") X(SAT, "sat")      \
    X(SATFINITE, "satfinite") X(RELU, "relu") X(NAN_RESULT, "NaN") X(XORSIGN, "xorsign")         \
    X(ABS, "abs") X(CC, "cc") X(APPROX, "approx") X(FULL, "full") X(WIDE, "wide")                \
    X(HI, "hi") X(LO, "lo") X(CLAMP, "clamp") X(WRAP, "wrap") X(SHIFTAMT, "shiftamt")            \
    X(LEFT, "l") X(RIGHT, "r") X(SCALED, "scaled") X(F4E, "f4e") X(B4E, "b4e") X(RC8, "rc8")     \
    X(ECL, "ecl") X(ECR, "ecr") X(RC16, "rc16")                                                  \
    /* comparisons and booleans */                                                               \
    X(EQ, "eq") X(NE, "ne") X(LT, "lt") X(LE, "le") X(GT, "gt") X(GE, "ge") X(LS, "ls")          \
    X(HS, "hs") X(EQU, "equ") X(NEU, "neu") X(LTU, "ltu") X(LEU, "leu") X(GTU, "gtu")            \
    X(GEU, "geu") X(NUM, "num") X(NAN, "nan") X(AND, "and") X(OR, "or") X(XOR, "xor")            \
    X(POPC, "popc") X(NOT, "not") X(FINITE, "finite") X(INFINITE, "infinite")                    \
    X(NUMBER, "number") X(NOTANUMBER, "notanumber") X(NORMAL, "normal")                          \
    X(SUBNORMAL, "subnormal")                                                                    \
    /* spaces */                                                                                 \
    X(GLOBAL, "global") X(SHARED, "shared") X(SHARED_CTA, "shared::cta")                         \
    X(SHARED_CLUSTER, "shared::cluster") X(LOCAL, "local") X(PARAM, "param")                     \
    X(PARAM_ENTRY, "param::entry") X(PARAM_FUNC, "param::func") X(CONST, "const")                \
    X(TO, "to")                                                                                  \
    /* order, scope, caches */                                                                   \
    X(WEAK, "weak") X(RELAXED, "relaxed") X(ACQUIRE, "acquire") X(RELEASE, "release")            \
    X(ACQ_REL, "acq_rel") X(SC, "sc") X(VOLATILE, "volatile") X(MMIO, "mmio") X(CTA, "cta")      \
    X(CLUSTER, "cluster") X(GPU, "gpu") X(SYS, "sys") X(GL, "gl") X(CA, "ca") X(CG, "cg")        \
    X(CS, "cs") X(LU, "lu") X(CV, "cv") X(WB, "wb") X(WT, "wt") X(NC, "nc") X(L1, "L1")          \
    X(L2, "L2") X(UNIFIED, "unified") X(L1_EVICT_NORMAL, "L1::evict_normal")                     \
    X(L1_EVICT_UNCHANGED, "L1::evict_unchanged") X(L1_EVICT_FIRST, "L1::evict_first")            \
    X(L1_EVICT_LAST, "L1::evict_last") X(L1_NO_ALLOCATE, "L1::no_allocate")                      \
    X(L2_EVICT_NORMAL, "L2::evict_normal") X(L2_EVICT_FIRST, "L2::evict_first")                  \
    X(L2_EVICT_LAST, "L2::evict_last") X(L2_EVICT_UNCHANGED, "L2::evict_unchanged")              \
    X(L2_CACHE_HINT, "L2::cache_hint") X(L2_64B, "L2::64B") X(L2_128B, "L2::128B")               \
    X(L2_256B, "L2::256B") X(FRACTIONAL, "fractional") X(RANGE, "range") X(CVT, "cvt")           \
    X(TENSORMAP, "tensormap")                                                                    \
    /* how many */                                                                               \
    X(V2, "v2") X(V4, "v4") X(V8, "v8") X(X1, "x1") X(X2, "x2") X(X4, "x4")                      \
    /* atoms */                                                                                  \
    X(ADD, "add") X(INC, "inc") X(DEC, "dec") X(MIN, "min") X(MAX, "max") X(EXCH, "exch")        \
    X(CAS, "cas")                                                                                \
    /* warps, blocks, branches */                                                                \
    X(UNI, "uni") X(SYNC, "sync") X(ALIGNED, "aligned") X(UP, "up") X(DOWN, "down")              \
    X(BFLY, "bfly") X(IDX, "idx") X(ALL, "all") X(ANY, "any") X(BALLOT, "ballot")                \
    X(ARRIVE, "arrive") X(RED, "red") X(WARP, "warp") X(WAIT, "wait")                            \
    /* fences */                                                                                 \
    X(PROXY, "proxy") X(ALIAS, "alias") X(ASYNC, "async") X(ASYNC_GLOBAL, "async::global")       \
    X(TENSORMAP_GENERIC, "tensormap::generic") X(MBARRIER_INIT, "mbarrier_init")                 \
    X(SYNC_RESTRICT_SHARED_CTA, "sync_restrict::shared::cta")                                    \
    X(SYNC_RESTRICT_SHARED_CLUSTER, "sync_restrict::shared::cluster")                            \
    X(ASYNC_GENERIC, "async::generic")                                                           \
    /* matrices */                                                                               \
    X(TRANS, "trans") X(ROW, "row") X(COL, "col") X(SP, "sp")                                    \
    X(SP_META, "sp::ordered_metadata") X(KIND_F8F6F4, "kind::f8f6f4") X(B8X16, "b8x16") X(B6X16_P32, "b6x16_p32") X(B4X16_P64, "b4x16_p64")                            \
    /* asynchronous copies, tensor maps */                                                       \
    X(NOINC, "noinc") X(BULK, "bulk") X(TENSOR, "tensor") X(BULK_GROUP, "bulk_group")            \
    X(MBARRIER_COMPLETE_TX, "mbarrier::complete_tx::bytes")                                      \
    X(MULTICAST_CLUSTER, "multicast::cluster") X(D1, "1d") X(D2, "2d") X(D3, "3d")               \
    X(D4, "4d") X(D5, "5d") X(TILE, "tile") X(IM2COL, "im2col")                                  \
    X(TILE_GATHER4, "tile::gather4") X(TILE_SCATTER4, "tile::scatter4") X( READ, "read")         \
    X(CP_MASK, "cp_mask") X(CTA_GROUP_1, "cta_group::1") X(CTA_GROUP_2, "cta_group::2")          \
    X(GLOBAL_ADDRESS, "global_address") X(RANK, "rank") X(BOX_DIM, "box_dim")                    \
    X(GLOBAL_DIM, "global_dim") X(GLOBAL_STRIDE, "global_stride")                                \
    X( ELEMENT_STRIDE, "element_stride") X(ELEMTYPE, "elemtype")                                 \
    X(INTERLEAVE_LAYOUT, "interleave_layout") X(SWIZZLE_MODE, "swizzle_mode")                    \
    X(SWIZZLE_ATOMICITY, "swizzle_atomicity") X(FILL_MODE, "fill_mode")                          \
    /* mbarriers */                                                                              \
    X(EXPECT_TX, "expect_tx") X(PARITY, "parity") X(NOCOMPLETE, "noComplete")
/* clang-format on */

enum ptx_word {
    PTX_W_NONE,
#define X(name, text) PTX_W_##name,
    PTX_WORDS(X)
#undef X
        PTX_WORD_COUNT
};

/* Types: the word, its bits, and whether it is a floating, signed, unsigned or untyped one. */
#define PTX_TYPES(X)                                                                               \
    X(PRED, "pred", 1, PREDICATE)                                                                  \
    X(B1, "b1", 1, BITS)                                                                           \
    X(B4, "b4", 4, BITS)                                                                           \
    X(B8, "b8", 8, BITS)                                                                           \
    X(B16, "b16", 16, BITS)                                                                        \
    X(B32, "b32", 32, BITS)                                                                        \
    X(B64, "b64", 64, BITS)                                                                        \
    X(B128, "b128", 128, BITS)                                                                     \
    X(B1024, "b1024", 1024, BITS)                                                                  \
    X(U2, "u2", 2, UNSIGNED)                                                                       \
    X(U4, "u4", 4, UNSIGNED)                                                                       \
    X(U8, "u8", 8, UNSIGNED)                                                                       \
    X(U16, "u16", 16, UNSIGNED)                                                                    \
    X(U32, "u32", 32, UNSIGNED)                                                                    \
    X(U64, "u64", 64, UNSIGNED)                                                                    \
    X(S2, "s2", 2, SIGNED)                                                                         \
    X(S4, "s4", 4, SIGNED)                                                                         \
    X(S8, "s8", 8, SIGNED)                                                                         \
    X(S16, "s16", 16, SIGNED)                                                                      \
    X(S32, "s32", 32, SIGNED)                                                                      \
    X(S64, "s64", 64, SIGNED)                                                                      \
    X(U16X2, "u16x2", 32, UNSIGNED)                                                                \
    X(S16X2, "s16x2", 32, SIGNED)                                                                  \
    X(F16, "f16", 16, FLOAT)                                                                       \
    X(F16X2, "f16x2", 32, FLOAT)                                                                   \
    X(BF16, "bf16", 16, FLOAT)                                                                     \
    X(BF16X2, "bf16x2", 32, FLOAT)                                                                 \
    X(TF32, "tf32", 32, FLOAT)                                                                     \
    X(F32, "f32", 32, FLOAT)                                                                       \
    X(F32X2, "f32x2", 64, FLOAT)                                                                   \
    X(F64, "f64", 64, FLOAT)                                                                       \
    X(E4M3, "e4m3", 8, FLOAT)                                                                      \
    X(E5M2, "e5m2", 8, FLOAT)                                                                      \
    X(E4M3X2, "e4m3x2", 16, FLOAT)                                                                 \
    X(E5M2X2, "e5m2x2", 16, FLOAT)                                                                 \
    X(E2M1X2, "e2m1x2", 8, FLOAT)                                                                  \
    X(E2M3X2, "e2m3x2", 16, FLOAT)                                                                 \
    X(E3M2X2, "e3m2x2", 16, FLOAT)                                                                 \
    X(UE8M0X2, "ue8m0x2", 16, FLOAT)                                                               \
    X(E4M3X4, "e4m3x4", 32, FLOAT)                                                                 \
    X(E5M2X4, "e5m2x4", 32, FLOAT)                                                                 \
    X(E2M1X4, "e2m1x4", 16, FLOAT)                                                                 \
    X(E2M3X4, "e2m3x4", 32, FLOAT)                                                                 \
    X(E3M2X4, "e3m2x4", 32, FLOAT)

enum ptx_type {
    PTX_NO_TYPE,
#define X(name, text, bits, class) PTX_##name,
    PTX_TYPES(X)
#undef X
        PTX_TYPE_COUNT
};

enum ptx_type_class {
    PTX_CLASS_NONE,
    PTX_CLASS_PREDICATE,
    PTX_CLASS_BITS,
    PTX_CLASS_UNSIGNED,
    PTX_CLASS_SIGNED,
    PTX_CLASS_FLOAT
};

struct ptx_type_row {
    const char *name;
    int bits;
    enum ptx_type_class class;
};
extern const struct ptx_type_row ptx_types[PTX_TYPE_COUNT];

/* By text; `length` characters. 0: no such word or type. */
enum ptx_word ptx_word_find(const char *text, int length);
enum ptx_type ptx_type_find(const char *text, int length);
const char *ptx_word_text(enum ptx_word word);

#endif
