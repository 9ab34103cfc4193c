/*
 * read_variable.c - variables and formal parameters, and what they hold at first.
 */
#include <stdio.h>
#include <string.h>

#include "gpu/ptx/read.h"

#define BYTES_MAX (UINT64_C(1) << 32) /* of one variable */
#define INITIAL_MAX (UINT64_C(1) << 26)

enum ptx_space read_space(const struct reader *reader)
{
    static const struct {
        const char *text;
        enum ptx_space space;
    } rows[] = {
        {".global", PTX_SPACE_GLOBAL}, {".shared", PTX_SPACE_SHARED}, {".local", PTX_SPACE_LOCAL},
        {".const", PTX_SPACE_CONST},   {".param", PTX_SPACE_PARAM},   {".reg", PTX_SPACE_REGISTER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (read_is_text(reader, rows[i].text))
            return rows[i].space;
    return PTX_GENERIC;
}

/* ---- initialisers ---------------------------------------------------------------------------- */

struct filling {
    struct ptx_variable *variable;
    uint8_t *bytes;
    uint64_t at; /* bytes filled */
    int element; /* bytes */
    struct ptx_patch **patches_end;
};

static void put(struct reader *reader, struct filling *filling, uint64_t value)
{
    if (filling->at + (uint64_t)filling->element > filling->variable->bytes) {
        read_fail(reader, MOE_E_USAGE, reader->token.line,
                  "'%s' has more initial values than its %llu bytes hold", filling->variable->name,
                  (unsigned long long)filling->variable->bytes);
        return;
    }
    memcpy(filling->bytes + filling->at, &value, (size_t)filling->element);
    filling->at += (uint64_t)filling->element;
}

/* name, name+8, generic(name), generic(name)+8 */
static void put_address(struct reader *reader, struct filling *filling)
{
    struct ptx_patch *patch = read_take(reader, 1, sizeof *patch);
    if (!patch)
        return;
    const struct token first = reader->token;
    patch->generic = read_accept_text(reader, "generic");
    if (patch->generic)
        read_expect(reader, '(');
    patch->symbol = read_find_variable(reader, reader->token.text, reader->token.length);
    if (!patch->symbol) {
        read_fail(reader, MOE_E_UNSUPPORTED, first.line,
                  "'%.*s' in an initial value; supported are numbers and addresses of variables",
                  first.length > 60 ? 60 : first.length, first.text);
        return;
    }
    read_next(reader);
    if (patch->generic)
        read_expect(reader, ')');
    uint64_t added = 0;
    if (read_accept(reader, '+'))
        added = (uint64_t)read_integer(reader, INT64_MIN, INT64_MAX, "an offset");
    else if (read_is(reader, '-'))
        added = (uint64_t)read_integer(reader, INT64_MIN, INT64_MAX, "an offset");
    patch->offset = filling->at;
    patch->bytes = filling->element;
    *filling->patches_end = patch;
    filling->patches_end = &patch->next;
    put(reader, filling, added);
}

static uint64_t as_type(enum ptx_type type, uint64_t value, enum ptx_type written)
{
    float single;
    double twice;
    if (ptx_types[type].class != PTX_CLASS_FLOAT || written == PTX_S64 || written == PTX_U64)
        return value;
    if (written == PTX_F64 && type == PTX_F32) {
        uint32_t bits;
        memcpy(&twice, &value, sizeof twice);
        single = (float)twice;
        memcpy(&bits, &single, sizeof bits);
        return bits;
    }
    if (written == PTX_F32 && type == PTX_F64) {
        const uint32_t bits = (uint32_t)value;
        memcpy(&single, &bits, sizeof single);
        twice = single;
        memcpy(&value, &twice, sizeof value);
    }
    return value;
}

/* A value or a list, which may hold lists: they only group. */
static void fill(struct reader *reader, struct filling *filling)
{
    int depth = 0;
    do {
        while (read_accept(reader, '{'))
            depth++;
        if (!read_is(reader, '}')) {
            if (reader->token.kind == TOKEN_NAME && !read_is_text(reader, "WARP_SZ")) {
                put_address(reader, filling);
            } else {
                enum ptx_type written = PTX_S64;
                const uint64_t value = read_constant(reader, &written);
                put(reader, filling, as_type(filling->variable->type, value, written));
            }
        }
        while (depth > 0 && read_accept(reader, '}'))
            depth--;
    } while (depth > 0 && read_accept(reader, ','));
    if (depth > 0)
        read_expect(reader, '}');
}

static void read_initial(struct reader *reader, struct ptx_variable *variable)
{
    if (variable->bytes == 0 || variable->bytes > INITIAL_MAX ||
        (variable->space != PTX_SPACE_GLOBAL && variable->space != PTX_SPACE_CONST)) {
        read_fail(reader, MOE_E_USAGE, reader->token.line,
                  "'%s': initial values are for .global and .const variables of 1 to %llu bytes",
                  variable->name, (unsigned long long)INITIAL_MAX);
        return;
    }
    uint8_t *bytes = read_take(reader, (size_t)variable->bytes, 1);
    if (!bytes)
        return;
    struct filling filling = {
        .variable = variable,
        .bytes = bytes,
        .element = ptx_types[variable->type].bits / 8,
        .patches_end = &variable->patch,
    };
    fill(reader, &filling);
    variable->initial = bytes;
}

/* ---- declarations ---------------------------------------------------------------------------- */

/* [16][4], or [] once; the number of elements. */
static uint64_t read_extents(struct reader *reader, struct ptx_variable *variable)
{
    uint64_t count = (uint64_t)variable->vector;
    while (read_accept(reader, '[')) {
        if (read_accept(reader, ']')) {
            count = 0;
            continue;
        }
        const uint64_t extent = (uint64_t)read_integer(reader, 0, (int64_t)BYTES_MAX, "an extent");
        read_expect(reader, ']');
        if (count > BYTES_MAX / (extent ? extent : 1)) {
            read_fail(reader, MOE_E_UNSUPPORTED, reader->token.line, "'%s' has over %llu bytes",
                      variable->name, (unsigned long long)BYTES_MAX);
            return 0;
        }
        count *= extent;
    }
    return count;
}

static void link_variable(struct reader *reader, struct ptx_variable *variable)
{
    struct ptx_variable ***end =
        variable->function ? &reader->variables_end : &reader->module_variables_end;
    variable->index = reader->module->variable_count++;
    **end = variable;
    *end = &variable->next;
}

struct ptx_variable *read_variable(struct reader *reader, enum ptx_space space, int is_extern,
                                   int is_formal)
{
    struct ptx_variable *variable = NULL;
    struct ptx_variable model = {.space = space,
                                 .vector = 1,
                                 .is_extern = is_extern,
                                 .is_formal = is_formal,
                                 .line = reader->token.line,
                                 .function = reader->function};
    for (;;) {
        const struct token *token = &reader->token;
        enum ptx_type type = PTX_NO_TYPE;
        if (token->kind != TOKEN_DIRECTIVE)
            break;
        if (read_accept_text(reader, ".align")) {
            model.align = (uint32_t)read_integer(reader, 1, 1 << 20, "an alignment");
            if (model.align & (model.align - 1))
                read_fail(reader, MOE_E_USAGE, model.line, "an alignment of %u, no power of two",
                          model.align);
        } else if (read_accept_text(reader, ".ptr")) {
            const enum ptx_space pointed = read_space(reader);
            if (pointed)
                read_next(reader);
            /* Of what is pointed to: nothing that we rest on. */
            if (read_accept_text(reader, ".align"))
                read_integer(reader, 1, 1 << 20, "an alignment");
        } else if (read_accept_text(reader, ".v2")) {
            model.vector = 2;
        } else if (read_accept_text(reader, ".v4")) {
            model.vector = 4;
        } else if (read_accept_text(reader, ".attribute")) {
            read_expect(reader, '(');
            while (reader->token.kind != TOKEN_END && !read_is(reader, ')'))
                read_next(reader);
            read_expect(reader, ')');
        } else if ((type = ptx_type_find(token->text + 1, token->length - 1)) &&
                   ptx_types[type].bits >= 8 && ptx_types[type].bits <= 64) {
            model.type = type;
            read_next(reader);
        } else {
            read_fail(reader, MOE_E_USAGE, token->line, "'%.*s' in the declaration of a variable",
                      token->length > 60 ? 60 : token->length, token->text);
            return NULL;
        }
    }
    if (!model.type) {
        read_fail(reader, MOE_E_USAGE, reader->token.line, "a variable without a type");
        return NULL;
    }
    do {
        variable = read_take(reader, 1, sizeof *variable);
        if (!variable)
            return NULL;
        *variable = model;
        variable->name = read_name(reader, "a variable's name");
        if (!variable->name)
            return NULL;
        if (read_accept(reader, '<')) { /* .param .b32 p<4> */
            read_fail(reader, MOE_E_UNSUPPORTED, model.line, "variables numbered by '<'");
            return NULL;
        }
        const uint32_t element = (uint32_t)ptx_types[model.type].bits / 8;
        variable->bytes = read_extents(reader, variable) * element;
        if (!variable->align)
            variable->align = element * (uint32_t)model.vector;
        if (reader->status)
            return NULL;
        link_variable(reader, variable);
        read_add_variable(reader, variable);
        if (is_formal)
            return variable;
        if (read_accept(reader, '='))
            read_initial(reader, variable);
        else if (variable->bytes == 0 && !is_extern)
            read_fail(reader, MOE_E_USAGE, model.line, "'%s' has no bytes", variable->name);
    } while (read_accept(reader, ','));
    read_expect(reader, ';');
    return variable;
}
