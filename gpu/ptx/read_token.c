/*
 * read_token.c - PTX as a row of tokens.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/read.h"

void read_fail(struct reader *reader, int status, int line, const char *format, ...)
{
    char text[512];
    va_list arguments;
    if (reader->status)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reader->status = moe_error(status, "line %d: %s", line, text);
    reader->at = reader->end;
    reader->token = (struct token){.kind = TOKEN_END, .text = "", .line = line};
}

void read_nomem(struct reader *reader)
{
    read_fail(reader, MOE_E_NOMEM, reader->token.line, "no memory for the PTX");
}

void *read_take(struct reader *reader, size_t count, size_t bytes)
{
    void *piece = ptx_arena_take(reader->module->arena, count, bytes);
    if (!piece)
        read_nomem(reader);
    return piece;
}

/* ---- characters ------------------------------------------------------------------------------ */

static int peek(const struct reader *reader, int ahead)
{
    return reader->end - reader->at > ahead ? (unsigned char)reader->at[ahead] : 0;
}

static int is_name(int c)
{
    return isalnum(c) || c == '_' || c == '$';
}

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end) {
        const int c = peek(reader, 0);
        if (c == '\n') {
            reader->line++;
            reader->at++;
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f') {
            reader->at++;
        } else if (c == '/' && peek(reader, 1) == '/') {
            while (reader->at < reader->end && *reader->at != '\n')
                reader->at++;
        } else if (c == '/' && peek(reader, 1) == '*') {
            const int line = reader->line;
            reader->at += 2;
            while (reader->at < reader->end && !(peek(reader, 0) == '*' && peek(reader, 1) == '/'))
                reader->line += *reader->at++ == '\n';
            if (reader->at == reader->end)
                read_fail(reader, MOE_E_USAGE, line, "a comment without its end");
            else
                reader->at += 2;
        } else {
            return;
        }
    }
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* 0fXXXXXXXX, 0dXXXXXXXXXXXXXXXX: bits. */
static int bits_of_float(struct token *token)
{
    const char letter = token->length > 1 ? token->text[1] : 0;
    const int is_f32 = letter == 'f' || letter == 'F', is_f64 = letter == 'd' || letter == 'D';
    if (token->text[0] != '0' || !(is_f32 || is_f64) || token->length != (is_f32 ? 10 : 18))
        return 0;
    for (int i = 2; i < token->length; i++) {
        const int c = (unsigned char)token->text[i];
        if (!isxdigit(c))
            return 0;
        token->value = token->value << 4 | (uint64_t)(isdigit(c) ? c - '0' : (c | 32) - 'a' + 10);
    }
    token->type = is_f32 ? PTX_F32 : PTX_F64;
    return 1;
}

static void read_number(struct reader *reader, struct token *token)
{
    char text[128], *rest;
    int length = 0, is_float = 0;
    const int hex = peek(reader, 0) == '0' && (peek(reader, 1) | 32) == 'x';
    /* A sign belongs to an exponent. */
    while (is_name(peek(reader, length)) || peek(reader, length) == '.' ||
           (!hex && length > 0 && (peek(reader, length) == '-' || peek(reader, length) == '+') &&
            (peek(reader, length - 1) | 32) == 'e' && isdigit(peek(reader, 0)) &&
            isdigit(peek(reader, length + 1)))) {
        is_float |= peek(reader, length) == '.';
        length++;
    }
    token->length = length;
    token->kind = TOKEN_NUMBER;
    token->type = PTX_S64;
    token->value = 0;
    if (length >= (int)sizeof text) {
        read_fail(reader, MOE_E_USAGE, token->line, "a number of %d characters", length);
        return;
    }
    reader->at += length;
    if (bits_of_float(token))
        return;
    memcpy(text, token->text, (size_t)length);
    text[length] = '\0';
    token->value = 0;
    if (!hex && (is_float || strpbrk(text, "eE"))) {
        const double value = strtod(text, &rest);
        memcpy(&token->value, &value, sizeof value);
        token->type = PTX_F64;
    } else {
        const int binary = text[0] == '0' && (text[1] | 32) == 'b';
        token->value = strtoull(binary ? text + 2 : text, &rest, binary ? 2 : 0);
        if (*rest == 'U') {
            token->type = PTX_U64;
            rest++;
        } else if (token->value > INT64_MAX) {
            token->type = PTX_U64;
        }
    }
    if (*rest)
        read_fail(reader, MOE_E_USAGE, token->line, "'%s' is no number", text);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static void read_string(struct reader *reader, struct token *token)
{
    token->kind = TOKEN_STRING;
    token->text = ++reader->at;
    while (reader->at < reader->end && *reader->at != '"' && *reader->at != '\n')
        reader->at++;
    token->length = (int)(reader->at - token->text);
    if (reader->at == reader->end || *reader->at != '"')
        read_fail(reader, MOE_E_USAGE, token->line, "a string without its end");
    else
        reader->at++;
}

/* %tid.x is one name. */
static int has_component(const struct reader *reader)
{
    const int c = peek(reader, 1);
    return peek(reader, 0) == '.' && c && strchr("xyzw", c) && !is_name(peek(reader, 2));
}

void read_next(struct reader *reader)
{
    static const char marks[] = "()[]{}<>,;:=+-*!@|&~?%^/";
    struct token *token = &reader->token;
    skip_blanks(reader);
    if (reader->status)
        return;
    *token = (struct token){.text = reader->at, .line = reader->line};
    const int c = peek(reader, 0);
    if (reader->at == reader->end) {
        token->kind = TOKEN_END;
    } else if (isdigit(c)) {
        read_number(reader, token);
    } else if (isalpha(c) || c == '_' || c == '$' || (c == '%' && is_name(peek(reader, 1)))) {
        token->kind = TOKEN_NAME;
        do
            reader->at++;
        while (is_name(peek(reader, 0)));
        if (c == '%' && has_component(reader))
            reader->at += 2;
        token->length = (int)(reader->at - token->text);
    } else if (c == '.' && (isalpha(peek(reader, 1)) || peek(reader, 1) == '_')) {
        token->kind = TOKEN_DIRECTIVE;
        do
            reader->at++;
        while (is_name(peek(reader, 0)));
        token->length = (int)(reader->at - token->text);
    } else if (c == '"') {
        read_string(reader, token);
    } else if (c && strchr(marks, c)) {
        token->kind = TOKEN_MARK;
        token->mark = (char)c;
        token->length = 1;
        reader->at++;
    } else {
        read_fail(reader, MOE_E_USAGE, token->line, "a character 0x%02x, which PTX has not",
                  (unsigned)c);
    }
}

void read_whole_opcode(struct reader *reader)
{
    if (reader->status)
        return;
    for (;;) {
        const int c = peek(reader, 0);
        if (is_name(c) || c == '.')
            reader->at++;
        else if (c == ':' && peek(reader, 1) == ':')
            reader->at += 2;
        else
            break;
    }
    reader->token.length = (int)(reader->at - reader->token.text);
}

int read_is(const struct reader *reader, char mark)
{
    return reader->token.kind == TOKEN_MARK && reader->token.mark == mark;
}

int read_is_text(const struct reader *reader, const char *text)
{
    const struct token *token = &reader->token;
    return (token->kind == TOKEN_NAME || token->kind == TOKEN_DIRECTIVE) &&
           (size_t)token->length == strlen(text) &&
           !memcmp(token->text, text, (size_t)token->length);
}

int read_accept(struct reader *reader, char mark)
{
    const int is = read_is(reader, mark);
    if (is)
        read_next(reader);
    return is;
}

int read_accept_text(struct reader *reader, const char *text)
{
    const int is = read_is_text(reader, text);
    if (is)
        read_next(reader);
    return is;
}

void read_expect(struct reader *reader, char mark)
{
    if (!read_accept(reader, mark))
        read_fail(reader, MOE_E_USAGE, reader->token.line, "'%.*s' where '%c' is expected",
                  reader->token.length > 60 ? 60 : reader->token.length, reader->token.text, mark);
}

int64_t read_integer(struct reader *reader, int64_t least, int64_t most, const char *what)
{
    enum ptx_type type = PTX_S64;
    const int line = reader->token.line;
    const int64_t value = (int64_t)read_constant(reader, &type);
    if (reader->status)
        return least;
    if ((type != PTX_S64 && type != PTX_U64) || value < least || value > most) {
        read_fail(reader, MOE_E_USAGE, line, "%s: %lld; allowed: %lld .. %lld", what,
                  (long long)value, (long long)least, (long long)most);
        return least;
    }
    return value;
}

char *read_name(struct reader *reader, const char *what)
{
    const struct token token = reader->token;
    if (token.kind != TOKEN_NAME) {
        read_fail(reader, MOE_E_USAGE, token.line, "'%.*s' where %s is expected",
                  token.length > 60 ? 60 : token.length, token.text, what);
        return NULL;
    }
    char *name = ptx_arena_text(reader->module->arena, token.text, (size_t)token.length);
    if (!name)
        read_nomem(reader);
    read_next(reader);
    return name;
}

void read_skip_braces(struct reader *reader)
{
    const int line = reader->token.line;
    read_expect(reader, '{');
    for (int depth = 1; depth > 0 && !reader->status;) {
        depth += read_is(reader, '{') - read_is(reader, '}');
        if (reader->token.kind == TOKEN_END)
            read_fail(reader, MOE_E_USAGE, line, "a section without its end");
        read_next(reader);
    }
}
