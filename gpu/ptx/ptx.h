/*
 * ptx.h - PTX as it is read: a module of functions, variables and instructions. ptx_read makes it
 * of text; gpu/ptx/program.h makes of it what the machine runs.
 *
 * All of a module stands in one arena and goes with it. Nothing is changed once it is read.
 */
#ifndef MOE_GPU_PTX_PTX_H
#define MOE_GPU_PTX_PTX_H

#include <stdint.h>

#include "gpu/ptx/words.h"

enum ptx_space {
    PTX_GENERIC, /* of an access: no space given */
    PTX_SPACE_REGISTER,
    PTX_SPACE_GLOBAL,
    PTX_SPACE_SHARED,
    PTX_SPACE_SHARED_CLUSTER,
    PTX_SPACE_LOCAL,
    PTX_SPACE_PARAM,
    PTX_SPACE_CONST,
    PTX_SPACE_COUNT
};

/* Where an instruction comes from in the source; inlined_at is an index of locations too, -1: the
 * function itself. */
struct ptx_location {
    int32_t file, line, column; /* file: index into the module's, -1: none told */
    int32_t inlined_at;
};

struct ptx_file {
    int32_t number; /* as .file gives it */
    const char *name;
};

/* An address in an initialiser: of `symbol` plus what stands in the bytes already. */
struct ptx_patch {
    uint64_t offset; /* into the bytes */
    int32_t bytes;
    int32_t generic; /* generic(symbol) */
    const struct ptx_variable *symbol;
    struct ptx_patch *next;
};

struct ptx_variable {
    const char *name;
    enum ptx_space space;
    enum ptx_type type;
    int32_t vector;    /* elements of .v2, .v4; 1 */
    uint32_t align;    /* bytes */
    uint64_t bytes;    /* 0 of an array without an extent */
    int32_t is_extern; /* of .shared: dynamic */
    int32_t line;
    int32_t index;                 /* among all variables of the module */
    int32_t is_formal;             /* a parameter of its function, or what it returns */
    const uint8_t *initial;        /* [bytes], or NULL: zeros, or nothing known */
    struct ptx_patch *patch;       /* addresses within it */
    struct ptx_function *function; /* whose own it is; NULL: the module's */
    struct ptx_variable *next;
};

/* ---- instructions ---------------------------------------------------------------------------- */

enum ptx_operand_kind {
    PTX_SINK,      /* _ */
    PTX_REGISTER,  /* value: number in the function */
    PTX_SPECIAL,   /* value: enum ptx_special */
    PTX_IMMEDIATE, /* value: bits of an integer, or as `type` says */
    PTX_SYMBOL,    /* variable, value: added to its address */
    PTX_ADDRESS,   /* [part[0] + value], part[1] is a vector of coordinates where count is 2 */
    PTX_VECTOR,    /* { part[0], ... } */
    PTX_PAIR,      /* part[0] | part[1] */
    PTX_LABEL, /* part[0].value: an instruction's number; part[0].part: of branch targets, labels */
    PTX_CALLEE, /* function */
    PTX_LIST,   /* ( part[0], ... ) */
};

struct ptx_operand {
    uint8_t kind;   /* enum ptx_operand_kind */
    uint8_t type;   /* of an immediate: PTX_S64, PTX_F32 or PTX_F64, as it was written */
    uint8_t negate; /* !p */
    int32_t count;
    uint64_t value;
    const struct ptx_operand *part; /* [count] */
    const struct ptx_variable *variable;
    const struct ptx_function *function;
};

#define PTX_WORDS_MAX 16 /* after one opcode */
#define PTX_TYPES_MAX 5

struct ptx_instruction {
    const struct ptx_opcode *opcode;
    uint8_t type_count, word_count, operand_count;
    uint8_t guard_negated;
    uint8_t types[PTX_TYPES_MAX];  /* enum ptx_type, in order */
    uint16_t words[PTX_WORDS_MAX]; /* enum ptx_word, in order */
    int16_t shape[3];              /* m, n, k of .mMnNkK; 0: none */
    int32_t guard;                 /* register, or -1 */
    int32_t line;                  /* of the PTX */
    int32_t location;              /* index, -1: none */
    const struct ptx_operand *operands;
};

static inline int ptx_has(const struct ptx_instruction *instruction, enum ptx_word word)
{
    for (int i = 0; i < instruction->word_count; i++)
        if (instruction->words[i] == word)
            return 1;
    return 0;
}

enum ptx_special {
    PTX_TID_X,
    PTX_TID_Y,
    PTX_TID_Z,
    PTX_NTID_X,
    PTX_NTID_Y,
    PTX_NTID_Z,
    PTX_CTAID_X,
    PTX_CTAID_Y,
    PTX_CTAID_Z,
    PTX_NCTAID_X,
    PTX_NCTAID_Y,
    PTX_NCTAID_Z,
    PTX_LANEID,
    PTX_WARPID,
    PTX_NWARPID,
    PTX_SMID,
    PTX_NSMID,
    PTX_GRIDID,
    PTX_IS_EXPLICIT_CLUSTER,
    PTX_CLUSTERID_X,
    PTX_CLUSTERID_Y,
    PTX_CLUSTERID_Z,
    PTX_NCLUSTERID_X,
    PTX_NCLUSTERID_Y,
    PTX_NCLUSTERID_Z,
    PTX_CLUSTER_CTAID_X,
    PTX_CLUSTER_CTAID_Y,
    PTX_CLUSTER_CTAID_Z,
    PTX_CLUSTER_NCTAID_X,
    PTX_CLUSTER_NCTAID_Y,
    PTX_CLUSTER_NCTAID_Z,
    PTX_CLUSTER_CTARANK,
    PTX_CLUSTER_NCTARANK,
    PTX_LANEMASK_EQ,
    PTX_LANEMASK_LE,
    PTX_LANEMASK_LT,
    PTX_LANEMASK_GE,
    PTX_LANEMASK_GT,
    PTX_TOTAL_SMEM_SIZE,
    PTX_DYNAMIC_SMEM_SIZE,
    PTX_AGGR_SMEM_SIZE,
    PTX_RESERVED_SMEM_BEGIN,
    PTX_RESERVED_SMEM_END,
    PTX_RESERVED_SMEM_CAP,
    PTX_CLOCK, /* from here on: another value at every read */
    PTX_CLOCK_HI,
    PTX_CLOCK64,
    PTX_GLOBALTIMER,
    PTX_GLOBALTIMER_LO,
    PTX_GLOBALTIMER_HI,
    PTX_SPECIAL_COUNT
};

struct ptx_special_row {
    const char *name; /* without the % */
    enum ptx_type type;
};
extern const struct ptx_special_row ptx_specials[PTX_SPECIAL_COUNT];

/* ---- functions and modules ------------------------------------------------------------------- */

/* A formal parameter: a .param variable, or, of a .func, a register. */
struct ptx_formal {
    const struct ptx_variable *variable; /* or NULL */
    int32_t reg;
};

struct ptx_function {
    const char *name;
    int32_t is_entry, is_extern, has_body;
    int32_t line;
    struct ptx_formal *formals, *returns;
    int32_t formal_count, return_count;
    int32_t reqntid[3], maxntid[3]; /* zeros: not given */
    int32_t minnctapersm, maxnreg;
    int32_t cluster[3];       /* .reqnctapercluster */
    int32_t explicit_cluster; /* .explicitcluster */
    int32_t max_cluster_rank;
    const uint8_t *register_types; /* [register_count] enum ptx_type */
    const char *const *register_names;
    int32_t register_count;
    struct ptx_instruction *instructions;
    int32_t instruction_count;
    struct ptx_variable *variables; /* its own, of every space, formals included */
    int32_t index;                  /* in the module */
    struct ptx_function *next;
};

struct ptx_module {
    int32_t version; /* 10 * major + minor */
    const char *target;
    int32_t target_number; /* 90 of "sm_90a" */
    int32_t address_size;
    struct ptx_file *files;
    int32_t file_count;
    struct ptx_location *locations;
    int32_t location_count;
    struct ptx_variable *variables; /* of the module itself, in order */
    struct ptx_function *functions; /* in order */
    int32_t variable_count;         /* of all, functions' too */
    int32_t function_count;
    struct ptx_arena *arena;
};

/*
 * Reads `length` bytes of PTX 8.0 to 9.0. MOE_E_USAGE: "line N: ..." says what is wrong and what is
 * allowed; MOE_E_UNSUPPORTED: the same of what is PTX and not supported; MOE_E_NOMEM.
 */
int ptx_read(const char *text, uint64_t length, struct ptx_module **module);
void ptx_module_free(struct ptx_module *module);

/* NULL: none of that name. */
const struct ptx_function *ptx_function_find(const struct ptx_module *module, const char *name);

/* "file.cu:12, inlined at file.cu:40", or "" where the PTX tells nothing. */
void ptx_location_text(const struct ptx_module *module, int32_t location, char *text, int length);

/* The instruction's opcode with its words and types, as they were written. */
void ptx_instruction_text(const struct ptx_instruction *instruction, char *text, int length);

#endif
