/*
 * read_function.c - a function: what it takes, its bounds, and its body of blocks, declarations,
 * labels and instructions.
 */
#include <string.h>

#include "gpu/ptx/read.h"

#define FORMALS_MAX 512

/* ---- what it takes --------------------------------------------------------------------------- */

static void read_formal(struct reader *reader, struct ptx_formal *formal)
{
    const enum ptx_space space = read_space(reader);
    formal->reg = -1;
    if (space == PTX_SPACE_PARAM) {
        read_next(reader);
        formal->variable = read_variable(reader, space, 0, 1);
        return;
    }
    if (space == PTX_SPACE_REGISTER) {
        read_next(reader);
        const struct token type_token = reader->token;
        const enum ptx_type type = type_token.kind == TOKEN_DIRECTIVE
                                       ? ptx_type_find(type_token.text + 1, type_token.length - 1)
                                       : PTX_NO_TYPE;
        const int bits = ptx_types[type].bits;
        if (!(bits == 1 || (bits >= 8 && bits <= 64)))
            read_fail(reader, MOE_E_USAGE, type_token.line, "a register parameter without a type");
        read_next(reader);
        const int length = reader->token.length;
        const char *name = read_name(reader, "a register's name");
        if (name)
            formal->reg = read_register(reader, name, length, type, 1);
        return;
    }
    read_fail(reader, MOE_E_USAGE, reader->token.line, "'%.*s' where .param or .reg is expected",
              reader->token.length > 60 ? 60 : reader->token.length, reader->token.text);
}

/* ( .param .u64 a, ... ) */
static void read_formals(struct reader *reader, struct ptx_formal **formals, int32_t *count)
{
    struct ptx_formal found[FORMALS_MAX];
    *count = 0;
    read_expect(reader, '(');
    if (!read_is(reader, ')'))
        do {
            if (*count == FORMALS_MAX) {
                read_fail(reader, MOE_E_UNSUPPORTED, reader->token.line, "more than %d parameters",
                          FORMALS_MAX);
                return;
            }
            found[*count] = (struct ptx_formal){.reg = -1};
            read_formal(reader, &found[(*count)++]);
        } while (!reader->status && read_accept(reader, ','));
    read_expect(reader, ')');
    *formals = read_take(reader, (size_t)*count, sizeof **formals);
    if (*formals)
        memcpy(*formals, found, (size_t)*count * sizeof **formals);
}

static void read_extents3(struct reader *reader, int32_t extents[3])
{
    extents[1] = extents[2] = 1;
    for (int i = 0; i < 3; i++) {
        extents[i] = (int32_t)read_integer(reader, 1, INT32_MAX, "an extent");
        if (!read_accept(reader, ','))
            break;
    }
}

static void read_bounds(struct reader *reader, struct ptx_function *function)
{
    while (reader->token.kind == TOKEN_DIRECTIVE) {
        if (read_accept_text(reader, ".maxntid"))
            read_extents3(reader, function->maxntid);
        else if (read_accept_text(reader, ".reqntid"))
            read_extents3(reader, function->reqntid);
        else if (read_accept_text(reader, ".reqnctapercluster"))
            read_extents3(reader, function->cluster);
        else if (read_accept_text(reader, ".explicitcluster"))
            function->explicit_cluster = 1;
        else if (read_accept_text(reader, ".minnctapersm"))
            function->minnctapersm = (int32_t)read_integer(reader, 0, INT32_MAX, ".minnctapersm");
        else if (read_accept_text(reader, ".maxnctapersm"))
            read_integer(reader, 0, INT32_MAX, ".maxnctapersm");
        else if (read_accept_text(reader, ".maxnreg"))
            function->maxnreg = (int32_t)read_integer(reader, 1, INT32_MAX, ".maxnreg");
        else if (read_accept_text(reader, ".maxclusterrank"))
            function->max_cluster_rank =
                (int32_t)read_integer(reader, 1, INT32_MAX, ".maxclusterrank");
        else if (read_accept_text(reader, ".noreturn") ||
                 read_accept_text(reader, ".blocksareclusters"))
            continue;
        else if (read_accept_text(reader, ".pragma")) {
            while (reader->token.kind == TOKEN_STRING || read_is(reader, ','))
                read_next(reader);
            read_expect(reader, ';');
        } else {
            read_fail(reader, MOE_E_UNSUPPORTED, reader->token.line,
                      "'%.*s' between a function's parameters and its body",
                      reader->token.length > 60 ? 60 : reader->token.length, reader->token.text);
        }
    }
}

/* ---- its body -------------------------------------------------------------------------------- */

static struct ptx_location *add_location(struct reader *reader)
{
    struct ptx_module *module = reader->module;
    if (module->location_count == reader->location_room) {
        const int32_t room = reader->location_room ? 2 * reader->location_room : 256;
        struct ptx_location *more = read_take(reader, (size_t)room, sizeof *more);
        if (!more)
            return NULL;
        if (module->location_count)
            memcpy(more, module->locations, (size_t)module->location_count * sizeof *more);
        module->locations = more;
        reader->location_room = room;
    }
    return &module->locations[module->location_count++];
}

/* Files come at the end of the text: the number is kept and looked up then. */
static void read_place(struct reader *reader, struct ptx_location *location)
{
    location->file = (int32_t)read_integer(reader, 0, INT32_MAX, "a file");
    location->line = (int32_t)read_integer(reader, 0, INT32_MAX, "a line");
    location->column = (int32_t)read_integer(reader, 0, INT32_MAX, "a column");
}

/* .loc 1 12 5, function_name $L__info_string0+3, inlined_at 1 40 9 */
void read_loc(struct reader *reader)
{
    struct ptx_location place = {.inlined_at = -1}, caller = {.inlined_at = -1};
    int inlined = 0;
    read_next(reader);
    read_place(reader, &place);
    while (read_accept(reader, ',')) {
        if (read_accept_text(reader, "function_name")) {
            read_next(reader);
            if (read_accept(reader, '+'))
                read_next(reader);
        } else if (read_accept_text(reader, "inlined_at")) {
            read_place(reader, &caller);
            inlined = 1;
        } else {
            read_fail(reader, MOE_E_USAGE, reader->token.line,
                      "'%.*s' in .loc; known are function_name and inlined_at",
                      reader->token.length > 60 ? 60 : reader->token.length, reader->token.text);
            return;
        }
    }
    if (inlined) {
        /* Where the caller was inlined itself stands in a .loc before this one. */
        for (int32_t i = reader->module->location_count - 1;
             i >= 0 && i > reader->module->location_count - 64; i--) {
            const struct ptx_location *other = &reader->module->locations[i];
            if (other->file == caller.file && other->line == caller.line &&
                other->column == caller.column) {
                place.inlined_at = i;
                break;
            }
        }
        if (place.inlined_at < 0) {
            struct ptx_location *added = add_location(reader);
            if (!added)
                return;
            *added = caller;
            place.inlined_at = reader->module->location_count - 1;
        }
    }
    struct ptx_location *added = add_location(reader);
    if (!added)
        return;
    *added = place;
    reader->location = reader->module->location_count - 1;
}

/* .branchtargets A, B; behind the label of the list */
static void read_targets(struct reader *reader)
{
    struct ptx_operand targets[256], *kept;
    struct label *label = reader->last_label;
    int count = 0;
    const int line = reader->token.line;
    read_next(reader);
    do {
        if (count == 256 || reader->token.kind != TOKEN_NAME) {
            read_fail(reader, MOE_E_USAGE, line, ".branchtargets has 1 to 256 labels");
            return;
        }
        targets[count] = (struct ptx_operand){.kind = PTX_SINK};
        read_label_use(reader, &reader->token, &targets[count++]);
        read_next(reader);
    } while (read_accept(reader, ','));
    read_expect(reader, ';');
    if (!label || label->instruction != reader->function->instruction_count) {
        read_fail(reader, MOE_E_USAGE, line, ".branchtargets without a label before it");
        return;
    }
    kept = read_take(reader, (size_t)count + 1, sizeof *kept);
    if (!kept)
        return;
    memcpy(kept + 1, targets, (size_t)count * sizeof *kept);
    kept->kind = PTX_LIST;
    kept->part = kept + 1;
    kept->count = count;
    label->targets = kept;
}

static void skip_statement(struct reader *reader)
{
    while (reader->token.kind != TOKEN_END && !read_is(reader, ';'))
        read_next(reader);
    read_expect(reader, ';');
}

static void read_directive(struct reader *reader)
{
    const enum ptx_space space = read_space(reader);
    if (space == PTX_SPACE_REGISTER) {
        read_next(reader);
        read_registers(reader);
    } else if (space) {
        read_next(reader);
        read_variable(reader, space, 0, 0);
    } else if (read_is_text(reader, ".loc")) {
        read_loc(reader);
    } else if (read_is_text(reader, ".branchtargets")) {
        read_targets(reader);
    } else if (read_is_text(reader, ".pragma") || read_is_text(reader, ".callprototype") ||
               read_is_text(reader, ".calltargets")) {
        skip_statement(reader);
    } else {
        read_fail(reader, MOE_E_UNSUPPORTED, reader->token.line, "'%.*s' in a function's body",
                  reader->token.length > 60 ? 60 : reader->token.length, reader->token.text);
    }
}

/* A name before a single colon is a label. */
static int read_if_label(struct reader *reader)
{
    const struct token token = reader->token;
    const char *at = reader->at;
    while (at < reader->end && (*at == ' ' || *at == '\t'))
        at++;
    if (token.kind != TOKEN_NAME || at == reader->end || *at != ':' ||
        (reader->end - at > 1 && at[1] == ':'))
        return 0;
    read_label(reader, token.text, token.length, reader->function->instruction_count);
    read_next(reader);
    read_expect(reader, ':');
    return 1;
}

static void read_body(struct reader *reader)
{
    const int line = reader->token.line, outside = reader->depth;
    read_expect(reader, '{');
    if (reader->status)
        return;
    read_scope_open(reader);
    while (!reader->status && reader->depth > outside) {
        if (reader->token.kind == TOKEN_END) {
            read_fail(reader, MOE_E_USAGE, line, "a function's body without its end");
        } else if (read_is(reader, '{')) {
            read_next(reader);
            read_scope_open(reader);
        } else if (read_is(reader, '}')) {
            read_scope_close(reader);
            if (reader->depth > outside)
                read_next(reader);
        } else if (reader->token.kind == TOKEN_DIRECTIVE) {
            read_directive(reader);
        } else if (!read_accept(reader, ';') && !read_if_label(reader)) {
            read_instruction(reader);
        }
    }
    if (!reader->status) {
        read_resolve_labels(reader);
        read_expect(reader, '}');
    }
}

/* ---- the function ---------------------------------------------------------------------------- */

static void check_name(struct reader *reader, struct ptx_function *function)
{
    for (struct ptx_function *f = reader->module->functions; f; f = f->next)
        if (f != function && f->has_body && function->has_body && !strcmp(f->name, function->name))
            read_fail(reader, MOE_E_USAGE, function->line, "function '%s' has two bodies",
                      function->name);
}

void read_function(struct reader *reader, int is_entry, int is_extern)
{
    struct ptx_function *function = read_take(reader, 1, sizeof *function);
    if (!function)
        return;
    function->line = reader->token.line;
    function->is_entry = is_entry;
    function->is_extern = is_extern;
    reader->function = function;
    reader->register_types = NULL;
    reader->register_names = NULL;
    reader->register_room = reader->instruction_room = 0;
    reader->scope_count = 0;
    reader->scope_now = -1;
    memset(reader->labels, 0, sizeof reader->labels);
    reader->label_uses = NULL;
    reader->last_label = NULL;
    reader->variables_end = &function->variables;
    reader->location = -1;

    read_scope_open(reader);
    if (!is_entry && read_is(reader, '('))
        read_formals(reader, &function->returns, &function->return_count);
    function->name = read_name(reader, "a function's name");
    if (read_is(reader, '('))
        read_formals(reader, &function->formals, &function->formal_count);
    read_bounds(reader, function);
    if (reader->status)
        return;
    function->index = reader->module->function_count++;
    *reader->functions_end = function;
    reader->functions_end = &function->next;
    if (read_is(reader, '{')) {
        function->has_body = 1;
        check_name(reader, function);
        read_body(reader);
    } else {
        read_expect(reader, ';');
    }
    if (reader->status)
        return;
    read_scope_close(reader);
    function->register_types = reader->register_types;
    function->register_names = reader->register_names;
    reader->function = NULL;
}
