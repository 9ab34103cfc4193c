/*
 * program.h - PTX as it is run: an entry and the functions that it calls, as one array of decoded
 * instructions on slots, and the table of opcodes that says how each is read and decoded.
 *
 * A slot is a row of 32 values, one a lane. Registers whose lives do not overlap share one;
 * immediates are rows that all warps share; special registers and addresses of shared memory are
 * slots that a warp fills when it starts.
 */
#ifndef MOE_GPU_PTX_PROGRAM_H
#define MOE_GPU_PTX_PROGRAM_H

#include <stdint.h>

#include "gpu/ptx/number.h"
#include "gpu/ptx/ptx.h"

#define PTX_LANES 32
#define PTX_ALL_LANES 0xffffffffu

struct ptx_warp;
struct ptx_code;
struct ptx_build;

/* Runs one instruction for the lanes given, of which the guard holds. Their pcs stand behind it
 * already. What goes wrong is reported (ptx_report), and stops the machine. */
typedef void ptx_execute(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes);

/* A function of values of one lane; operands that the instruction has not are 0. */
typedef uint64_t ptx_scalar(uint64_t a, uint64_t b, uint64_t c, unsigned how);

/* A place that an instruction names. */
struct ptx_place {
    uint8_t kind;   /* enum ptx_operand_kind; what is an address keeps its base in `slot` */
    uint8_t negate; /* a predicate's opposite */
    uint8_t type;   /* of a register: its declared type; of an immediate: as in the IR */
    int32_t count;
    int32_t slot;    /* >= 0: a slot of the warp; < 0: constant row ~slot; PTX_NO_SLOT */
    uint64_t offset; /* added to an address; of an immediate: its bits */
    const struct ptx_place *part;
    const struct ptx_variable *variable; /* of an address or symbol, or NULL */
};
#define PTX_NO_SLOT INT32_MIN

/* How undefined bytes of operands reach a result. */
enum ptx_spread {
    PTX_SPREAD_ALL,   /* one undefined byte and all of the result is */
    PTX_SPREAD_BYTES, /* byte by byte: what is moved or combined in bits */
    PTX_SPREAD_AND,   /* bytes, but a defined 0x00 on the other side defines */
    PTX_SPREAD_OR,    /* bytes, but a defined 0xff does */
    PTX_SPREAD_UP,    /* from the lowest undefined byte on: sums */
    PTX_SPREAD_MASK1, /* bits of a go where the instruction moves them; b and c decide */
    PTX_SPREAD_MASK2, /* bits of a and b go; c decides */
    PTX_SPREAD_OWN    /* the executor knows */
};

/* Who must be there before an instruction runs. */
enum ptx_gather {
    PTX_ALONE,          /* each lane for itself */
    PTX_GATHER_ALIGNED, /* every lane of the warp that lives, at this instruction */
    PTX_GATHER_MASK     /* the lanes of the membermask in slot `mask`, at this instruction */
};

enum ptx_flow {
    PTX_ON,      /* to the next instruction */
    PTX_JUMP,    /* to target; where guarded, or to the next */
    PTX_INDEXED, /* to one of the labels of places[1] */
    PTX_CALL,    /* to target, and back */
    PTX_RETURN,
    PTX_END
};

/* An add or sub one of whose operands is a product, neither with a rounding: a compiler may make
 * one fused multiply-add of them. */
struct ptx_fusion {
    int32_t count; /* operands that are products, 1 or 2 */
    struct {
        int32_t a, b, c;         /* slots of the factors and of the other operand */
        uint64_t flip_a, flip_c; /* their signs change */
    } of[2];
    struct number_instruction number;
};

struct ptx_code {
    ptx_execute *execute;
    ptx_scalar *scalar;               /* of ptx_run_scalar and its like */
    struct number_instruction number; /* of floating-point arithmetic */
    int32_t d, a, b, c, e; /* slots: destination, first sources, one more as lower likes */
    int32_t guard;         /* slot, PTX_NO_SLOT: none */
    uint8_t guard_negated;
    uint8_t bits;    /* of an element, of a result; as the executor likes */
    uint8_t spread;  /* enum ptx_spread */
    uint8_t gather;  /* enum ptx_gather */
    uint8_t space;   /* enum ptx_space of an access */
    uint8_t count;   /* elements of a vector; as the executor likes */
    uint8_t sign;    /* sources or loaded values are signed */
    uint8_t ends;    /* 1: lanes may part, block or end here; their pcs are looked at again */
    uint8_t flow;    /* enum ptx_flow */
    uint8_t touches; /* a register that a wgmma has, being none itself */
    unsigned how;    /* enum number_how, or as the executor likes */
    int32_t target;  /* of a branch or call */
    int32_t mask;    /* slot of the membermask */
    int32_t place_count;
    const struct ptx_place *places; /* all operands, in order */
    struct ptx_fusion *fusion;      /* NULL: none */
    const struct ptx_instruction *instruction;
    const struct ptx_function *function;
    uint64_t data[4]; /* as the executor likes */
};

/* A slot that a warp fills when it starts. */
struct ptx_preset {
    int32_t slot;
    int32_t special; /* enum ptx_special; -1: the address `offset` in its CTA's shared memory */
    uint64_t offset;
};

/* A module on a machine: its variables have addresses. */
struct ptx_loaded {
    const struct ptx_module *module;
    uint64_t *address;     /* [module->variable_count] of global and const variables */
    uint32_t shared_align; /* of the machine's options */
};

struct ptx_program {
    const struct ptx_loaded *loaded;
    const struct ptx_function *entry;
    struct ptx_code *code;
    int32_t code_count;
    int32_t slot_count;
    uint64_t *constants; /* [constant_count][32] */
    int32_t constant_count;
    struct ptx_preset *presets;
    int32_t preset_count;
    int32_t *undefined_at_start; /* slots that are read before they are written on some path */
    int32_t undefined_count;
    uint64_t *offset;      /* [module->variable_count] in shared, local, param space */
    uint64_t shared_bytes; /* up to where dynamic shared memory begins, the reserved included */
    uint64_t local_bytes, param_bytes;
    struct ptx_arena *arena;
};

/* Where shared memory of a CTA begins for its kernel: below lies what the system keeps. */
#define PTX_SHARED_RESERVED 1024u

/* MOE_E_USAGE, MOE_E_UNSUPPORTED: "line N: ...". */
int ptx_program_build(const struct ptx_loaded *loaded, const struct ptx_function *entry,
                      struct ptx_program **program);
void ptx_program_free(struct ptx_program *program);

/* ---- opcodes --------------------------------------------------------------------------------- */

/*
 * Fills `code`, whose operands are in place already, from `instruction`: at least `execute`.
 * MOE_E_UNSUPPORTED by ptx_refuse.
 */
typedef int ptx_lower(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code);

/*
 * One opcode, or one of its forms: of all rows of one name the first that fits is taken. The name
 * may have dots; the longest that fits a text is taken.
 *
 * words: those allowed, with blanks between. types: those allowed at each place, places with ;
 * between. In both a word with @ is a list that opcodes.c names.
 *
 * operands: a letter and a width each, with blanks between; ? behind one: it may be left out, with
 * all that follow. Letters: D register to write; P predicate to write; Q the same, and p|q; R
 * register, and d|p; V vector or register to write; S register, immediate, special register or
 * symbol; B predicate to read; W vector, or what S is; A address; T address with coordinates; X
 * vector that is read and written; L label; I immediate; F function; C list in parentheses; M
 * anything. Widths: 0 to 4 as that type has, w twice type 0, p, h, i, l: a predicate, 16, 32, 64
 * bits, * any.
 */
struct ptx_opcode {
    const char *name, *words, *types, *operands;
    ptx_lower *lower; /* NULL: read, but not run */
    unsigned data;    /* for `lower` */
    int gather;       /* enum ptx_gather; .aligned and the last operand being a membermask */
};

/* A file's opcodes; the last row has no name. */
extern const struct ptx_opcode ptx_opcodes_integer[], ptx_opcodes_bits[], ptx_opcodes_float[],
    ptx_opcodes_convert[], ptx_opcodes_move[], ptx_opcodes_compare[], ptx_opcodes_memory[],
    ptx_opcodes_atom[], ptx_opcodes_flow[], ptx_opcodes_barrier[], ptx_opcodes_warp[],
    ptx_opcodes_matrix[], ptx_opcodes_hint[], ptx_opcodes_mbarrier[], ptx_opcodes_copy[],
    ptx_opcodes_bulk[], ptx_opcodes_tensor[], ptx_opcodes_map[], ptx_opcodes_wgmma[],
    ptx_opcodes_cluster[], ptx_opcodes_registers[], ptx_opcodes_mma[], ptx_opcodes_wmma[];

/* The rows of the longest name that `text` begins with, up to a dot or its end: the first of them;
 * those of its name follow, and at the end of all stands NULL. NULL: there is none. *name_length:
 * of the name. */
const struct ptx_opcode *const *ptx_opcode_find(const char *text, int length, int *name_length);
/* Is `word` in a list of words or of types? */
int ptx_opcode_allows(const char *list, const char *word, int length);

/* ---- for `lower` ----------------------------------------------------------------------------- */

/* MOE_E_UNSUPPORTED with "line N: INSTRUCTION: ...". */
int ptx_refuse(const struct ptx_build *build, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same where the PTX's own target is earlier: WHAT needs sm_100a. */
int ptx_needs(const struct ptx_build *build, int target, const char *what);
const struct ptx_program *ptx_build_program(const struct ptx_build *build);
/* A constant row that holds `value` in every lane. MOE_E_NOMEM. */
int ptx_build_constant(struct ptx_build *build, uint64_t value, int32_t *slot);
/* The register that is the function's carry flag. */
int ptx_build_carry(struct ptx_build *build, int32_t *slot);

/* number.h's names of types and words. -1: it has none. */
int ptx_number_format(enum ptx_type type);
unsigned ptx_number_how(const struct ptx_instruction *instruction);

#endif
