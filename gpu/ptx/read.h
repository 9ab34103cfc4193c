/*
 * read.h - what the files that read PTX share: tokens, names in scopes, and the sticky error.
 *
 * The first error stays; from then on every token is the end of the text, so that all loops end by
 * themselves, and the text that it was found in is never looked at again.
 */
#ifndef MOE_GPU_PTX_READ_H
#define MOE_GPU_PTX_READ_H

#include "gpu/ptx/arena.h"
#include "gpu/ptx/program.h"
#include "gpu/ptx/ptx.h"
#include "ref/moe.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,      /* mov, %r1, $L__BB0_2, %tid.x */
    TOKEN_DIRECTIVE, /* .reg */
    TOKEN_NUMBER,    /* value, type */
    TOKEN_STRING,    /* without its quotes */
    TOKEN_MARK       /* one of ()[]{}<>,;:=+-*!@|&~?%^/ */
};

struct token {
    enum token_kind kind;
    char mark;
    const char *text;
    int length;
    int line;
    uint64_t value;
    enum ptx_type type; /* PTX_S64, PTX_U64, PTX_F32, PTX_F64 */
};

enum name_kind { NAME_REGISTER, NAME_RANGE, NAME_VARIABLE };

struct name {
    const char *text;
    int length;
    enum name_kind kind;
    int32_t first, count; /* registers */
    struct ptx_variable *variable;
    int depth;
    struct name *bucket_next, *scope_next;
};

#define NAME_BUCKETS 1024
#define DEPTH_MAX 200 /* of { in a function */
#define REGISTERS_MAX (1 << 20)
#define EXPRESSION_DEPTH 64

struct label {
    const char *text;
    int length;
    int scope;
    int32_t instruction;
    const struct ptx_operand *targets; /* of .branchtargets */
    struct label *bucket_next;
};

struct label_use {
    const char *text;
    int length;
    int scope, line;
    struct ptx_operand *target; /* where the answer goes */
    struct label_use *next;
};

struct reader {
    const char *at, *end;
    int line;
    struct token token;
    int status;
    struct ptx_module *module;
    struct name *names[NAME_BUCKETS];
    struct name *scope; /* names in order, the last first */
    int depth;

    /* of the function that is being read */
    struct ptx_function *function;
    uint8_t *register_types;
    const char **register_names;
    int32_t register_room;
    int32_t instruction_room;
    int *scope_parents; /* [scope_count] */
    int scope_count, scope_room, scope_now;
    int scope_stack[DEPTH_MAX];
    struct label *labels[NAME_BUCKETS];
    struct label_use *label_uses;
    struct label *last_label;
    struct ptx_variable **variables_end;
    int32_t location;

    int32_t file_room, location_room;
    struct ptx_variable **module_variables_end;
    struct ptx_function **functions_end;
};

/* ---- read_token.c ---------------------------------------------------------------------------- */

/* Records the error of the line, unless there is one already. */
void read_fail(struct reader *reader, int status, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void read_nomem(struct reader *reader);
void *read_take(struct reader *reader, size_t count, size_t bytes); /* NULL: failed */

void read_next(struct reader *reader);
/* The token, a name, is an opcode: takes in all words behind it. */
void read_whole_opcode(struct reader *reader);
int read_is(const struct reader *reader, char mark);
int read_is_text(const struct reader *reader, const char *text); /* a name or directive */
int read_accept(struct reader *reader, char mark);
int read_accept_text(struct reader *reader, const char *text);
void read_expect(struct reader *reader, char mark);
int64_t read_integer(struct reader *reader, int64_t least, int64_t most, const char *what);
char *read_name(struct reader *reader, const char *what); /* a copy; NULL: failed */
/* Behind the mark that closes the one which the token is. */
void read_skip_braces(struct reader *reader);

/* ---- read_names.c ---------------------------------------------------------------------------- */

void read_scope_open(struct reader *reader);
void read_scope_close(struct reader *reader);
void read_add_variable(struct reader *reader, struct ptx_variable *variable);
/* `.reg .b32 %r<19>, a;` behind .reg */
void read_registers(struct reader *reader);
/* One more register, -1: failed. */
int32_t read_register(struct reader *reader, const char *name, int length, enum ptx_type type,
                      int declare);
struct ptx_variable *read_find_variable(const struct reader *reader, const char *text, int length);
int32_t read_find_register(const struct reader *reader, const char *text, int length); /* -1 */
void read_label(struct reader *reader, const char *text, int length, int32_t instruction);
void read_label_use(struct reader *reader, const struct token *token, struct ptx_operand *operand);
void read_resolve_labels(struct reader *reader);

/* ---- read_variable.c ------------------------------------------------------------------------- */

enum ptx_space read_space(const struct reader *reader); /* of a directive; PTX_GENERIC: none */
/* `.align 4 .b8 name[16] = {...}` behind the space; formals end without ; and of one name. */
struct ptx_variable *read_variable(struct reader *reader, enum ptx_space space, int is_extern,
                                   int is_formal);

/* ---- read_operand.c -------------------------------------------------------------------------- */

/* A constant expression. *type says what it is. */
uint64_t read_constant(struct reader *reader, enum ptx_type *type);
void read_operand(struct reader *reader, const char *opcode, struct ptx_operand *operand);

/* ---- read_instruction.c, read_function.c ----------------------------------------------------- */

void read_instruction(struct reader *reader);
void read_function(struct reader *reader, int is_entry, int is_extern);
void read_loc(struct reader *reader);

#endif
