/*
 * read_operand.c - operands in all their forms, and constant expressions.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/read.h"

/* ---- constant expressions -------------------------------------------------------------------- */

struct constant {
    uint64_t value;
    enum ptx_type type;
};

static struct constant read_binary(struct reader *reader, int lowest, int depth);

static struct constant negated(struct constant of)
{
    if (of.type == PTX_F32)
        of.value ^= UINT64_C(1) << 31;
    else if (of.type == PTX_F64)
        of.value ^= UINT64_C(1) << 63;
    else
        of.value = -of.value;
    return of;
}

static struct constant read_unary(struct reader *reader, int depth)
{
    struct constant result = {0, PTX_S64};
    if (depth > EXPRESSION_DEPTH) {
        read_fail(reader, MOE_E_UNSUPPORTED, reader->token.line,
                  "a constant expression more than %d deep", EXPRESSION_DEPTH);
        return result;
    }
    if (read_accept(reader, '-'))
        return negated(read_unary(reader, depth + 1));
    if (read_accept(reader, '+'))
        return read_unary(reader, depth + 1);
    if (read_accept(reader, '~')) {
        result = read_unary(reader, depth + 1);
        result.value = ~result.value;
        return result;
    }
    if (read_accept(reader, '!')) {
        result = read_unary(reader, depth + 1);
        result.value = !result.value;
        return result;
    }
    if (read_accept(reader, '(')) {
        enum ptx_type cast = PTX_NO_TYPE;
        if (read_accept_text(reader, ".s64"))
            cast = PTX_S64;
        else if (read_accept_text(reader, ".u64"))
            cast = PTX_U64;
        if (cast) {
            read_expect(reader, ')');
            result = read_unary(reader, depth + 1);
            result.type = cast;
            return result;
        }
        result = read_binary(reader, 0, depth + 1);
        if (read_accept(reader, '?')) {
            const struct constant yes = read_binary(reader, 0, depth + 1);
            read_expect(reader, ':');
            const struct constant no = read_binary(reader, 0, depth + 1);
            result = result.value ? yes : no;
        }
        read_expect(reader, ')');
        return result;
    }
    if (read_accept_text(reader, "WARP_SZ")) {
        result.value = PTX_LANES;
        return result;
    }
    if (reader->token.kind != TOKEN_NUMBER) {
        read_fail(reader, MOE_E_USAGE, reader->token.line, "'%.*s' where a number is expected",
                  reader->token.length > 60 ? 60 : reader->token.length, reader->token.text);
        return result;
    }
    result = (struct constant){reader->token.value, reader->token.type};
    read_next(reader);
    return result;
}

/* Operators by how tightly they bind; text of one or two marks. */
static const struct operator
{
    char text[3];
    int level;
}
operators[] = {
    {"||", 1}, {"&&", 2}, {"|", 3}, {"^", 4}, {"&", 5}, {"==", 6}, {"!=", 6}, {"<=", 7}, {">=", 7},
    {"<<", 8}, {">>", 8}, {"<", 7}, {">", 7}, {"+", 9}, {"-", 9},  {"*", 10}, {"/", 10}, {"%", 10},
};

static const struct operator* find_operator(const struct reader *reader)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        const char *text = operators[i].text;
        if (!read_is(reader, text[0]))
            continue;
        if (!text[1] || (reader->at < reader->end && *reader->at == text[1]))
            return &operators[i];
    }
    return NULL;
}

static uint64_t apply(struct reader *reader, const char *text, uint64_t a, uint64_t b,
                      int is_signed)
{
    const int two = text[1] != 0;
    switch (text[0]) {
    case '|':
        return two ? (a || b) : (a | b);
    case '&':
        return two ? (a && b) : (a & b);
    case '^':
        return a ^ b;
    case '=':
        return a == b;
    case '!':
        return a != b;
    case '<':
        if (text[1] == '<')
            return b < 64 ? a << b : 0;
        return is_signed ? ((int64_t)a < (int64_t)b) || (two && a == b)
                         : (a < b) || (two && a == b);
    case '>':
        if (text[1] == '>')
            return b >= 64 ? 0 : is_signed && (int64_t)a < 0 ? ~(~a >> b) : a >> b;
        return is_signed ? ((int64_t)a > (int64_t)b) || (two && a == b)
                         : (a > b) || (two && a == b);
    case '+':
        return a + b;
    case '-':
        return a - b;
    case '*':
        return a * b;
    default:
        break;
    }
    if (b == 0 || (is_signed && (int64_t)b == -1 && a == UINT64_C(1) << 63)) {
        read_fail(reader, MOE_E_USAGE, reader->token.line, "a division by zero, or beyond 64 bits");
        return 0;
    }
    if (text[0] == '/')
        return is_signed ? (uint64_t)((int64_t)a / (int64_t)b) : a / b;
    return is_signed ? (uint64_t)((int64_t)a % (int64_t)b) : a % b;
}

static struct constant read_binary(struct reader *reader, int lowest, int depth)
{
    struct constant left = read_unary(reader, depth);
    const struct operator* operator;
    while (!reader->status && (operator= find_operator(reader)) && operator->level> lowest) {
        read_next(reader);
        if (operator->text[1])
            read_next(reader);
        const struct constant right = read_binary(reader, operator->level, depth + 1);
        if (left.type == PTX_F32 || left.type == PTX_F64 || right.type == PTX_F32 ||
            right.type == PTX_F64) {
            read_fail(reader, MOE_E_UNSUPPORTED, reader->token.line,
                      "arithmetic on floating-point constants");
            break;
        }
        const int is_signed = left.type == PTX_S64 && right.type == PTX_S64;
        left.value = apply(reader, operator->text, left.value, right.value, is_signed);
        left.type = is_signed ? PTX_S64 : PTX_U64;
    }
    return left;
}

uint64_t read_constant(struct reader *reader, enum ptx_type *type)
{
    const struct constant constant = read_binary(reader, 0, 0);
    *type = constant.type;
    return constant.value;
}

/* ---- operands -------------------------------------------------------------------------------- */

static void read_one(struct reader *reader, const char *opcode, struct ptx_operand *operand,
                     int depth);

static void read_immediate(struct reader *reader, struct ptx_operand *operand)
{
    enum ptx_type type = PTX_S64;
    operand->kind = PTX_IMMEDIATE;
    operand->value = read_constant(reader, &type);
    operand->type = (uint8_t)type;
}

static int find_special(const struct token *token)
{
    for (int i = 0; i < PTX_SPECIAL_COUNT; i++)
        if ((size_t)token->length == strlen(ptx_specials[i].name) + 1 &&
            !memcmp(token->text + 1, ptx_specials[i].name, (size_t)token->length - 1))
            return i;
    return -1;
}

static const struct ptx_function *find_function(const struct reader *reader,
                                                const struct token *token)
{
    for (const struct ptx_function *f = reader->module->functions; f; f = f->next)
        if (strlen(f->name) == (size_t)token->length &&
            !memcmp(f->name, token->text, (size_t)token->length))
            return f;
    return NULL;
}

static int takes_labels(const char *opcode)
{
    return !strcmp(opcode, "bra") || !strcmp(opcode, "brx.idx") || !strcmp(opcode, "call");
}

/* A register, variable, special register, function or label. */
static void read_named(struct reader *reader, const char *opcode, struct ptx_operand *operand)
{
    const struct token token = reader->token;
    int special = -1;
    if (token.length == 1 && token.text[0] == '_') {
        operand->kind = PTX_SINK;
        read_next(reader);
        return;
    }
    const int32_t reg = read_find_register(reader, token.text, token.length);
    const struct ptx_variable *variable = read_find_variable(reader, token.text, token.length);
    if (reg >= 0) {
        operand->kind = PTX_REGISTER;
        operand->value = (uint64_t)reg;
    } else if (variable) {
        operand->kind = PTX_SYMBOL;
        operand->variable = variable;
    } else if (token.text[0] == '%' && (special = find_special(&token)) >= 0) {
        operand->kind = PTX_SPECIAL;
        operand->value = (uint64_t)special;
    } else if ((operand->function = find_function(reader, &token)) != NULL) {
        operand->kind = PTX_CALLEE;
    } else if (takes_labels(opcode)) {
        read_label_use(reader, &token, operand);
    } else if (token.text[0] == '%') {
        read_fail(reader, MOE_E_USAGE, token.line,
                  "'%.*s' is no register that is declared here, and no special register known",
                  token.length > 60 ? 60 : token.length, token.text);
    } else {
        read_fail(reader, MOE_E_USAGE, token.line, "'%.*s' is not declared",
                  token.length > 60 ? 60 : token.length, token.text);
    }
    read_next(reader);
}

static void read_offset(struct reader *reader, struct ptx_operand *operand)
{
    if (read_accept(reader, '+') || read_is(reader, '-'))
        operand->value += (uint64_t)read_integer(reader, INT64_MIN, INT64_MAX, "an offset");
}

/* { a, b, ... } or ( a, b, ... ) behind its opening mark. */
static void read_parts(struct reader *reader, const char *opcode, struct ptx_operand *operand,
                       char close, int depth)
{
    struct ptx_operand parts[256];
    int count = 0;
    if (!read_is(reader, close))
        do {
            if (count == 256) {
                read_fail(reader, MOE_E_UNSUPPORTED, reader->token.line,
                          "more than 256 elements of a vector");
                return;
            }
            parts[count] = (struct ptx_operand){.kind = PTX_SINK};
            read_one(reader, opcode, &parts[count++], depth + 1);
        } while (!reader->status && read_accept(reader, ','));
    read_expect(reader, close);
    struct ptx_operand *kept = read_take(reader, (size_t)count, sizeof *kept);
    if (!kept)
        return;
    memcpy(kept, parts, (size_t)count * sizeof *kept);
    operand->part = kept;
    operand->count = count;
}

/* [a], [a+4], [symbol-4], [map, {x, y}], [a, {x, y}] behind the [ */
static void read_address(struct reader *reader, const char *opcode, struct ptx_operand *operand,
                         int depth)
{
    struct ptx_operand *part = read_take(reader, 2, sizeof *part);
    if (!part)
        return;
    operand->kind = PTX_ADDRESS;
    operand->part = part;
    operand->count = 1;
    if (reader->token.kind == TOKEN_NAME) {
        read_named(reader, opcode, &part[0]);
        read_offset(reader, operand);
    } else {
        read_immediate(reader, &part[0]);
    }
    if (read_accept(reader, ',')) {
        operand->count = 2;
        read_one(reader, opcode, &part[1], depth + 1);
    }
    read_expect(reader, ']');
}

static void read_one(struct reader *reader, const char *opcode, struct ptx_operand *operand,
                     int depth)
{
    if (depth > 4) {
        read_fail(reader, MOE_E_USAGE, reader->token.line, "an operand of operands of operands");
        return;
    }
    if (read_accept(reader, '[')) {
        read_address(reader, opcode, operand, depth);
    } else if (read_accept(reader, '{')) {
        operand->kind = PTX_VECTOR;
        read_parts(reader, opcode, operand, '}', depth);
    } else if (!strcmp(opcode, "call") && read_accept(reader, '(')) {
        operand->kind = PTX_LIST;
        read_parts(reader, opcode, operand, ')', depth);
    } else if (reader->token.kind == TOKEN_NAME && !read_is_text(reader, "WARP_SZ")) {
        read_named(reader, opcode, operand);
        if (operand->kind == PTX_SYMBOL)
            read_offset(reader, operand);
    } else if (read_is(reader, '!')) {
        read_next(reader);
        if (reader->token.kind != TOKEN_NAME) {
            enum ptx_type type = PTX_S64;
            operand->kind = PTX_IMMEDIATE;
            operand->type = PTX_S64;
            operand->value = !read_constant(reader, &type);
            return;
        }
        read_named(reader, opcode, operand);
        operand->negate = 1;
    } else {
        read_immediate(reader, operand);
    }
}

void read_operand(struct reader *reader, const char *opcode, struct ptx_operand *operand)
{
    read_one(reader, opcode, operand, 0);
    if (!read_accept(reader, '|'))
        return;
    struct ptx_operand *part = read_take(reader, 2, sizeof *part);
    if (!part)
        return;
    part[0] = *operand;
    if (operand->kind == PTX_LABEL) {
        read_fail(reader, MOE_E_USAGE, reader->token.line, "'|' behind a label");
        return;
    }
    read_one(reader, opcode, &part[1], 1);
    *operand = (struct ptx_operand){.kind = PTX_PAIR, .count = 2, .part = part};
}
