/*
 * read.c - a module: what stands outside of functions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/read.h"

#define TEXT_MAX (UINT64_C(1) << 30)

static void read_version(struct reader *reader)
{
    const struct token token = reader->token;
    char text[16] = "";
    int major = 0, minor = 0;
    if (token.kind == TOKEN_NUMBER && token.length < (int)sizeof text)
        memcpy(text, token.text, (size_t)token.length);
    if (sscanf(text, "%d.%d", &major, &minor) != 2 || major < 8 || (major == 8 && minor > 9) ||
        major > 9 || (major == 9 && minor > 0)) {
        read_fail(reader, MOE_E_UNSUPPORTED, token.line, ".version %.*s; supported are 8.0 to 9.0",
                  token.length > 20 ? 20 : token.length, token.text);
        return;
    }
    reader->module->version = 10 * major + minor;
    read_next(reader);
}

static void read_target(struct reader *reader)
{
    const int line = reader->token.line;
    char *target = read_name(reader, "a target");
    if (!target)
        return;
    if (strncmp(target, "sm_", 3) != 0 || (reader->module->target_number = atoi(target + 3)) < 50) {
        read_fail(reader, MOE_E_UNSUPPORTED, line, ".target %s; supported are sm_50 and later",
                  target);
        return;
    }
    reader->module->target = target;
    while (read_accept(reader, ','))
        if (!read_accept_text(reader, "debug") && !read_accept_text(reader, "texmode_independent"))
            read_fail(reader, MOE_E_UNSUPPORTED, reader->token.line, "'%.*s' in .target",
                      reader->token.length > 60 ? 60 : reader->token.length, reader->token.text);
}

/* .file 1 "name", 0, 0 */
static void read_file(struct reader *reader)
{
    struct ptx_module *module = reader->module;
    const int64_t number = read_integer(reader, 0, INT32_MAX, "a file's number");
    const struct token token = reader->token;
    if (token.kind != TOKEN_STRING) {
        read_fail(reader, MOE_E_USAGE, token.line, ".file without a name");
        return;
    }
    if (module->file_count == reader->file_room) {
        const int32_t room = reader->file_room ? 2 * reader->file_room : 16;
        struct ptx_file *more = read_take(reader, (size_t)room, sizeof *more);
        if (!more)
            return;
        if (module->file_count)
            memcpy(more, module->files, (size_t)module->file_count * sizeof *more);
        module->files = more;
        reader->file_room = room;
    }
    char *name = ptx_arena_text(module->arena, token.text, (size_t)token.length);
    if (!name) {
        read_nomem(reader);
        return;
    }
    module->files[module->file_count++] = (struct ptx_file){(int32_t)number, name};
    read_next(reader);
    while (read_accept(reader, ','))
        read_integer(reader, INT64_MIN, INT64_MAX, "a time or size");
}

/* .visible .entry f(...) ..., .extern .shared ... */
static void read_declaration(struct reader *reader)
{
    int is_extern = 0;
    while (read_is_text(reader, ".visible") || read_is_text(reader, ".extern") ||
           read_is_text(reader, ".weak") || read_is_text(reader, ".common")) {
        is_extern |= read_is_text(reader, ".extern");
        read_next(reader);
    }
    const enum ptx_space space = read_space(reader);
    if (read_accept_text(reader, ".entry")) {
        read_function(reader, 1, is_extern);
    } else if (read_accept_text(reader, ".func")) {
        read_function(reader, 0, is_extern);
    } else if (space == PTX_SPACE_GLOBAL || space == PTX_SPACE_SHARED || space == PTX_SPACE_CONST) {
        read_next(reader);
        read_variable(reader, space, is_extern, 0);
    } else {
        read_fail(reader, MOE_E_UNSUPPORTED, reader->token.line,
                  "'%.*s' in a module; supported are .entry, .func, .global, .shared, .const",
                  reader->token.length > 60 ? 60 : reader->token.length, reader->token.text);
    }
}

static void read_statement(struct reader *reader)
{
    if (read_accept_text(reader, ".version")) {
        read_version(reader);
    } else if (read_accept_text(reader, ".target")) {
        read_target(reader);
    } else if (read_accept_text(reader, ".address_size")) {
        reader->module->address_size = (int32_t)read_integer(reader, 64, 64, ".address_size");
    } else if (read_accept_text(reader, ".file")) {
        read_file(reader);
    } else if (read_accept_text(reader, ".section")) {
        read_next(reader);
        read_skip_braces(reader);
    } else if (read_is_text(reader, ".pragma")) {
        while (reader->token.kind != TOKEN_END && !read_is(reader, ';'))
            read_next(reader);
        read_expect(reader, ';');
    } else {
        if (!reader->module->version || !reader->module->target) {
            read_fail(reader, MOE_E_USAGE, reader->token.line,
                      "no PTX: it begins with .version and .target");
            return;
        }
        read_declaration(reader);
    }
}

static int by_number(const void *a, const void *b)
{
    const struct ptx_file *one = a, *other = b;
    return one->number < other->number ? -1 : one->number > other->number;
}

/* Locations have files' numbers until all files are read. */
static void number_files(struct ptx_module *module)
{
    if (module->file_count)
        qsort(module->files, (size_t)module->file_count, sizeof *module->files, by_number);
    for (int32_t i = 0; i < module->location_count; i++) {
        const struct ptx_file key = {module->locations[i].file, NULL};
        const struct ptx_file *file = module->file_count
                                          ? bsearch(&key, module->files, (size_t)module->file_count,
                                                    sizeof *module->files, by_number)
                                          : NULL;
        module->locations[i].file = file ? (int32_t)(file - module->files) : -1;
    }
}

int ptx_read(const char *text, uint64_t length, struct ptx_module **module)
{
    if (length > TEXT_MAX)
        return moe_error(MOE_E_UNSUPPORTED, "PTX of %llu bytes; the most is %llu",
                         (unsigned long long)length, (unsigned long long)TEXT_MAX);
    struct ptx_arena *arena = ptx_arena_create();
    struct ptx_module *made = arena ? ptx_arena_take(arena, 1, sizeof *made) : NULL;
    struct reader *reader = made ? calloc(1, sizeof *reader) : NULL;
    if (!reader) {
        ptx_arena_free(arena);
        return moe_error(MOE_E_NOMEM, "no memory for the PTX");
    }
    made->arena = arena;
    made->address_size = 64;
    reader->module = made;
    reader->at = text;
    reader->end = text + length;
    reader->line = 1;
    reader->module_variables_end = &made->variables;
    reader->functions_end = &made->functions;
    read_next(reader);
    while (!reader->status && reader->token.kind != TOKEN_END)
        read_statement(reader);
    if (!made->version || !made->target)
        read_fail(reader, MOE_E_USAGE, reader->line, "no PTX: it begins with .version and .target");
    const int status = reader->status;
    free(reader);
    if (status) {
        ptx_arena_free(arena);
        return status;
    }
    number_files(made);
    *module = made;
    return MOE_OK;
}

void ptx_module_free(struct ptx_module *module)
{
    if (module)
        ptx_arena_free(module->arena);
}

const struct ptx_function *ptx_function_find(const struct ptx_module *module, const char *name)
{
    const struct ptx_function *function = module->functions;
    while (function && !(function->has_body && !strcmp(function->name, name)))
        function = function->next;
    return function;
}

void ptx_location_text(const struct ptx_module *module, int32_t location, char *text, int length)
{
    int used = 0;
    *text = '\0';
    for (int depth = 0; location >= 0 && depth < 8 && used < length; depth++) {
        const struct ptx_location *place = &module->locations[location];
        const char *name = place->file >= 0 ? module->files[place->file].name : "?";
        const char *slash = strrchr(name, '/');
        used += snprintf(text + used, (size_t)(length - used), "%s%s:%d",
                         depth ? ", inlined at " : "", slash ? slash + 1 : name, place->line);
        location = place->inlined_at;
    }
}
