/*
 * read_instruction.c - one instruction: its opcode, the words behind it, its operands, and the row
 * of the table of opcodes that they fit.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "gpu/ptx/read.h"

#define OPERANDS_MAX 24

/* .m64n128k16 */
static int read_shape(const char *text, int length, int16_t shape[3])
{
    int at = 0;
    for (int i = 0; i < 3 && at < length; i++) {
        int value = 0, digits = 0;
        if (text[at++] != "mnk"[i])
            return 0;
        for (; at < length && isdigit((unsigned char)text[at]) && digits < 4; digits++)
            value = 10 * value + text[at++] - '0';
        if (!digits)
            return 0;
        shape[i] = (int16_t)value;
    }
    return at == length && shape[1] > 0;
}

static void read_words(struct reader *reader, const struct token *token, int at,
                       struct ptx_instruction *instruction)
{
    while (at < token->length && !reader->status) {
        const char *word = token->text + at + 1;
        int length = 0;
        while (at + 1 + length < token->length && word[length] != '.')
            length++;
        const enum ptx_type type = ptx_type_find(word, length);
        const enum ptx_word number = ptx_word_find(word, length);
        int16_t shape[3] = {0};
        if (type && instruction->type_count < PTX_TYPES_MAX)
            instruction->types[instruction->type_count++] = (uint8_t)type;
        else if (number && instruction->word_count < PTX_WORDS_MAX)
            instruction->words[instruction->word_count++] = (uint16_t)number;
        else if (!type && !number && read_shape(word, length, shape))
            memcpy(instruction->shape, shape, sizeof shape);
        else
            read_fail(reader, type || number ? MOE_E_USAGE : MOE_E_UNSUPPORTED, token->line,
                      "%s: '.%.*s' %s", instruction->opcode->name, length > 60 ? 60 : length, word,
                      type || number ? "is one word too many" : "is not known behind it");
        at += 1 + length;
    }
}

/* ---- does it fit a row? ---------------------------------------------------------------------- */

static int width_of(char letter, const struct ptx_instruction *instruction)
{
    const int index = letter - '0';
    switch (letter) {
    case 'p':
        return 1;
    case 'h':
        return 16;
    case 'i':
        return 32;
    case 'l':
        return 64;
    case 'w':
        return 2 * ptx_types[instruction->types[0]].bits;
    case '*':
        return 0;
    default:
        return index < instruction->type_count ? ptx_types[instruction->types[index]].bits : 0;
    }
}

static int register_fits(const struct reader *reader, const struct ptx_operand *operand, int bits)
{
    const enum ptx_type type = (enum ptx_type)reader->register_types[operand->value];
    return bits == 0 ? type != PTX_PRED : ptx_types[type].bits == bits;
}

static int predicate_fits(const struct reader *reader, const struct ptx_operand *operand)
{
    return operand->kind == PTX_SINK ||
           (operand->kind == PTX_REGISTER && register_fits(reader, operand, 1));
}

static int vector_fits(const struct reader *reader, const struct ptx_operand *operand, int bits,
                       int to)
{
    for (int i = 0; i < operand->count; i++) {
        const struct ptx_operand *part = &operand->part[i];
        const int fits = part->kind == PTX_REGISTER    ? register_fits(reader, part, bits)
                         : part->kind == PTX_SINK      ? to
                         : part->kind == PTX_IMMEDIATE ? !to
                                                       : 0;
        if (!fits)
            return 0;
    }
    return operand->count > 0;
}

static int source_fits(const struct reader *reader, const struct ptx_operand *operand, int bits)
{
    switch (operand->kind) {
    case PTX_REGISTER:
        return register_fits(reader, operand, bits) && (!operand->negate || bits == 1);
    case PTX_IMMEDIATE:
    case PTX_SYMBOL:
        return 1;
    case PTX_SPECIAL:
        return bits == 0 || ptx_types[ptx_specials[operand->value].type].bits == bits;
    default:
        return 0;
    }
}

static int operand_fits(const struct reader *reader, const struct ptx_instruction *instruction,
                        const struct ptx_operand *operand, char letter, char width)
{
    const int bits = width_of(width, instruction);
    switch (letter) {
    case 'D':
        return operand->kind == PTX_SINK ||
               (operand->kind == PTX_REGISTER && register_fits(reader, operand, bits));
    case 'P':
        return predicate_fits(reader, operand);
    case 'Q':
        return operand->kind == PTX_PAIR ? predicate_fits(reader, &operand->part[0]) &&
                                               predicate_fits(reader, &operand->part[1])
                                         : predicate_fits(reader, operand);
    case 'R': /* a register, and a predicate behind | */
        return operand->kind == PTX_PAIR
                   ? (operand->part[0].kind == PTX_SINK ||
                      (operand->part[0].kind == PTX_REGISTER &&
                       register_fits(reader, &operand->part[0], bits))) &&
                         predicate_fits(reader, &operand->part[1])
                   : operand->kind == PTX_SINK ||
                         (operand->kind == PTX_REGISTER && register_fits(reader, operand, bits));
    case 'V':
    case 'X':
        return operand->kind == PTX_VECTOR
                   ? vector_fits(reader, operand, 0, 1)
                   : operand->kind == PTX_SINK ||
                         (operand->kind == PTX_REGISTER && register_fits(reader, operand, bits));
    case 'W':
        return operand->kind == PTX_VECTOR ? vector_fits(reader, operand, 0, 0)
                                           : source_fits(reader, operand, bits);
    case 'S':
        return source_fits(reader, operand, bits);
    case 'B':
        return (operand->kind == PTX_REGISTER && register_fits(reader, operand, 1)) ||
               operand->kind == PTX_IMMEDIATE;
    case 'A':
        return operand->kind == PTX_ADDRESS && operand->count == 1;
    case 'T':
        return operand->kind == PTX_ADDRESS && operand->count == 2;
    case 'L':
        return operand->kind == PTX_LABEL;
    case 'I':
        return operand->kind == PTX_IMMEDIATE;
    case 'F':
        return operand->kind == PTX_CALLEE;
    case 'C':
        return operand->kind == PTX_LIST;
    default:
        return 1; /* M */
    }
}

/* Lists of types, one for each place, with ; between. */
static int types_fit(const struct ptx_instruction *instruction, const char *lists)
{
    int index = 0;
    while (*lists) {
        const size_t length = strcspn(lists, ";");
        char list[160];
        if (index == instruction->type_count || length >= sizeof list)
            return 0;
        memcpy(list, lists, length);
        list[length] = '\0';
        const char *name = ptx_types[instruction->types[index]].name;
        if (!ptx_opcode_allows(list, name, (int)strlen(name)))
            return 0;
        index++;
        lists += length + (lists[length] == ';');
    }
    return index == instruction->type_count;
}

/* Why `instruction` does not fit the row; "" where it does. */
static void why_not(const struct reader *reader, const struct ptx_instruction *instruction,
                    const struct ptx_operand *operands, const struct ptx_opcode *row, char *why,
                    size_t room)
{
    *why = '\0';
    for (int i = 0; i < instruction->word_count; i++) {
        const char *word = ptx_word_text(instruction->words[i]);
        if (!ptx_opcode_allows(row->words, word, (int)strlen(word))) {
            snprintf(why, room, "'.%s' is not allowed; allowed are: %s", word, row->words);
            return;
        }
    }
    if (!types_fit(instruction, row->types)) {
        snprintf(why, room, "its types are not allowed; allowed are: %s",
                 row->types[0] ? row->types : "none");
        return;
    }
    const char *pattern = row->operands;
    int index = 0, optional = 0;
    for (; pattern[0]; pattern += pattern[0] == ' ') {
        const char letter = pattern[0], width = pattern[1];
        pattern += 2;
        if (*pattern == '?') {
            optional = 1;
            pattern++;
        }
        if (index == instruction->operand_count) {
            if (!optional)
                snprintf(why, room, "%d operands are too few; they are: %s", index, row->operands);
            return;
        }
        if (!operand_fits(reader, instruction, &operands[index], letter, width)) {
            snprintf(why, room, "operand %d is of the wrong kind or width", index + 1);
            return;
        }
        index++;
    }
    if (index < instruction->operand_count)
        snprintf(why, room, "%d operands are too many; they are: %s", instruction->operand_count,
                 row->operands[0] ? row->operands : "none");
}

static void choose_row(struct reader *reader, struct ptx_instruction *instruction,
                       const struct ptx_opcode *const *rows, const struct ptx_operand *operands,
                       const struct token *token)
{
    char why[400] = "", first[400] = "";
    const char *name = rows[0]->name;
    for (; *rows && !strcmp(rows[0]->name, name); rows++) {
        why_not(reader, instruction, operands, *rows, why, sizeof why);
        if (!why[0]) {
            instruction->opcode = *rows;
            return;
        }
        if (!first[0])
            memcpy(first, why, sizeof first);
    }
    read_fail(reader, MOE_E_USAGE, token->line, "%.*s: %s",
              token->length > 120 ? 120 : token->length, token->text, first);
}

/* ---- the instruction ------------------------------------------------------------------------- */

static struct ptx_instruction *add_instruction(struct reader *reader)
{
    struct ptx_function *function = reader->function;
    if (function->instruction_count == reader->instruction_room) {
        const int32_t room = reader->instruction_room ? 2 * reader->instruction_room : 256;
        struct ptx_instruction *more = read_take(reader, (size_t)room, sizeof *more);
        if (!more)
            return NULL;
        if (function->instruction_count)
            memcpy(more, function->instructions,
                   (size_t)function->instruction_count * sizeof *more);
        function->instructions = more;
        reader->instruction_room = room;
    }
    return &function->instructions[function->instruction_count++];
}

static void read_guard(struct reader *reader, struct ptx_instruction *instruction)
{
    instruction->guard = -1;
    if (!read_accept(reader, '@'))
        return;
    instruction->guard_negated = (uint8_t)read_accept(reader, '!');
    const struct token token = reader->token;
    const int32_t guard =
        token.kind == TOKEN_NAME ? read_find_register(reader, token.text, token.length) : -1;
    if (guard < 0 || reader->register_types[guard] != PTX_PRED) {
        read_fail(reader, MOE_E_USAGE, token.line, "'%.*s' behind '@' is no predicate",
                  token.length > 60 ? 60 : token.length, token.text);
        return;
    }
    instruction->guard = guard;
    read_next(reader);
}

void read_instruction(struct reader *reader)
{
    struct ptx_instruction instruction = {.location = reader->location};
    struct ptx_operand operands[OPERANDS_MAX];
    int name_length = 0;

    read_guard(reader, &instruction);
    read_whole_opcode(reader);
    const struct token token = reader->token;
    if (reader->status)
        return;
    if (token.kind != TOKEN_NAME) {
        read_fail(reader, MOE_E_USAGE, token.line, "'%.*s' where an instruction is expected",
                  token.length > 60 ? 60 : token.length, token.text);
        return;
    }
    instruction.line = token.line;
    const struct ptx_opcode *const *rows = ptx_opcode_find(token.text, token.length, &name_length);
    if (!rows) {
        read_fail(reader, MOE_E_UNSUPPORTED, token.line,
                  "'%.*s' is no instruction of PTX 8.0 to "
                  "9.0 for sm_90a that is known here",
                  token.length > 80 ? 80 : token.length, token.text);
        return;
    }
    instruction.opcode = rows[0];
    read_words(reader, &token, name_length, &instruction);
    const char *name = instruction.opcode->name;
    read_next(reader);
    if (!read_is(reader, ';'))
        do {
            if (instruction.operand_count == OPERANDS_MAX) {
                read_fail(reader, MOE_E_USAGE, token.line, "%s: more than %d operands", name,
                          OPERANDS_MAX);
                return;
            }
            operands[instruction.operand_count] = (struct ptx_operand){.kind = PTX_SINK};
            read_operand(reader, name, &operands[instruction.operand_count++]);
        } while (!reader->status && read_accept(reader, ','));
    read_expect(reader, ';');
    if (reader->status)
        return;
    choose_row(reader, &instruction, rows, operands, &token);
    struct ptx_operand *kept = read_take(reader, instruction.operand_count, sizeof *kept);
    struct ptx_instruction *added = kept ? add_instruction(reader) : NULL;
    if (!added)
        return;
    memcpy(kept, operands, instruction.operand_count * sizeof *kept);
    instruction.operands = kept;
    *added = instruction;
}

void ptx_instruction_text(const struct ptx_instruction *instruction, char *text, int length)
{
    int used = snprintf(text, (size_t)length, "%s", instruction->opcode->name);
    for (int i = 0; i < instruction->word_count && used < length; i++)
        used += snprintf(text + used, (size_t)(length - used), ".%s",
                         ptx_word_text(instruction->words[i]));
    if (instruction->shape[1] && used < length) {
        used += snprintf(text + used, (size_t)(length - used), ".m%dn%d", instruction->shape[0],
                         instruction->shape[1]);
        if (instruction->shape[2] && used < length)
            used += snprintf(text + used, (size_t)(length - used), "k%d", instruction->shape[2]);
    }
    for (int i = 0; i < instruction->type_count && used < length; i++)
        used += snprintf(text + used, (size_t)(length - used), ".%s",
                         ptx_types[instruction->types[i]].name);
}
