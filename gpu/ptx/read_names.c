/*
 * read_names.c - what names stand for: registers and variables by block, labels by block too,
 * though they may be used before they come.
 */
#include <string.h>

#include "gpu/ptx/read.h"

static uint32_t hash(const char *text, int length, int scope)
{
    uint32_t sum = 2166136261u + (uint32_t)scope * 40503u;
    for (int i = 0; i < length; i++)
        sum = (sum ^ (unsigned char)text[i]) * 16777619u;
    return (sum ^ sum >> 15) % NAME_BUCKETS;
}

static struct name *find(const struct reader *reader, const char *text, int length,
                         enum name_kind first, enum name_kind last)
{
    struct name *name = reader->names[hash(text, length, 0)];
    while (name && !(name->length == length && name->kind >= first && name->kind <= last &&
                     !memcmp(name->text, text, (size_t)length)))
        name = name->bucket_next;
    return name;
}

static struct name *add(struct reader *reader, const char *text, int length, enum name_kind kind)
{
    const struct name *other = find(reader, text, length, kind == NAME_RANGE ? NAME_RANGE : 0,
                                    kind == NAME_RANGE ? NAME_RANGE : NAME_VARIABLE);
    if (other && other->depth == reader->depth) {
        read_fail(reader, MOE_E_USAGE, reader->token.line, "'%.*s' is declared twice in one block",
                  length > 60 ? 60 : length, text);
        return NULL;
    }
    struct name *name = read_take(reader, 1, sizeof *name);
    if (!name)
        return NULL;
    struct name **bucket = &reader->names[hash(text, length, 0)];
    *name = (struct name){.text = text,
                          .length = length,
                          .kind = kind,
                          .depth = reader->depth,
                          .bucket_next = *bucket,
                          .scope_next = reader->scope};
    *bucket = name;
    reader->scope = name;
    return name;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

void read_scope_open(struct reader *reader)
{
    if (reader->depth + 1 >= DEPTH_MAX) {
        read_fail(reader, MOE_E_UNSUPPORTED, reader->token.line,
                  "more than %d blocks within each other", DEPTH_MAX);
        return;
    }
    if (reader->scope_count == reader->scope_room) {
        const int room = reader->scope_room ? 2 * reader->scope_room : 64;
        int *parents = read_take(reader, (size_t)room, sizeof *parents);
        if (!parents)
            return;
        if (reader->scope_count)
            memcpy(parents, reader->scope_parents, (size_t)reader->scope_count * sizeof *parents);
        reader->scope_parents = parents;
        reader->scope_room = room;
    }
    reader->scope_stack[reader->depth] = reader->scope_now;
    reader->scope_parents[reader->scope_count] = reader->scope_now;
    reader->scope_now = reader->scope_count++;
    reader->depth++;
}

void read_scope_close(struct reader *reader)
{
    while (reader->scope && reader->scope->depth == reader->depth) {
        struct name *name = reader->scope;
        /* The last to come is the first of its bucket. */
        reader->names[hash(name->text, name->length, 0)] = name->bucket_next;
        reader->scope = name->scope_next;
    }
    reader->depth--;
    reader->scope_now = reader->scope_stack[reader->depth];
}

/* ---- variables and registers ----------------------------------------------------------------- */

void read_add_variable(struct reader *reader, struct ptx_variable *variable)
{
    struct name *name = add(reader, variable->name, (int)strlen(variable->name), NAME_VARIABLE);
    if (name)
        name->variable = variable;
}

struct ptx_variable *read_find_variable(const struct reader *reader, const char *text, int length)
{
    struct name *name = find(reader, text, length, NAME_VARIABLE, NAME_VARIABLE);
    return name ? name->variable : NULL;
}

static int grow_registers(struct reader *reader, int32_t count)
{
    struct ptx_function *function = reader->function;
    if (count > REGISTERS_MAX - function->register_count) {
        read_fail(reader, MOE_E_UNSUPPORTED, reader->token.line,
                  "more than %d registers in one function", REGISTERS_MAX);
        return 0;
    }
    const int32_t need = function->register_count + count;
    if (need <= reader->register_room)
        return 1;
    const int32_t room = need > 2 * reader->register_room ? need : 2 * reader->register_room;
    uint8_t *types = read_take(reader, (size_t)room, sizeof *types);
    const char **names = read_take(reader, (size_t)room, sizeof *names);
    if (!types || !names)
        return 0;
    if (function->register_count) {
        memcpy(types, reader->register_types, (size_t)function->register_count * sizeof *types);
        memcpy(names, reader->register_names, (size_t)function->register_count * sizeof *names);
    }
    reader->register_types = types;
    reader->register_names = names;
    reader->register_room = room;
    return 1;
}

int32_t read_register(struct reader *reader, const char *text, int length, enum ptx_type type,
                      int declare)
{
    if (!grow_registers(reader, 1))
        return -1;
    const int32_t number = reader->function->register_count++;
    reader->register_types[number] = (uint8_t)type;
    reader->register_names[number] = text;
    if (declare) {
        struct name *name = add(reader, text, length, NAME_REGISTER);
        if (!name)
            return -1;
        name->first = number;
        name->count = 1;
    }
    return number;
}

static int is_register_type(enum ptx_type type)
{
    const int bits = ptx_types[type].bits;
    return type == PTX_PRED || bits == 8 || bits == 16 || bits == 32 || bits == 64;
}

void read_registers(struct reader *reader)
{
    const struct token word = reader->token;
    enum ptx_type type = PTX_NO_TYPE;
    if (word.kind == TOKEN_DIRECTIVE)
        type = ptx_type_find(word.text + 1, word.length - 1);
    if (!is_register_type(type)) {
        read_fail(reader, type ? MOE_E_UNSUPPORTED : MOE_E_USAGE, word.line,
                  ".reg of '%.*s'; supported are predicates and scalars of 8 to 64 bits",
                  word.length > 60 ? 60 : word.length, word.text);
        return;
    }
    read_next(reader);
    do {
        const int length = reader->token.length;
        char *name = read_name(reader, "a register's name");
        if (!name)
            return;
        if (!read_accept(reader, '<')) {
            read_register(reader, name, length, type, 1);
            continue;
        }
        /* A number and no expression, in which > would compare. */
        const struct token number = reader->token;
        if (number.kind != TOKEN_NUMBER || number.type != PTX_S64 || number.value < 1 ||
            number.value > REGISTERS_MAX) {
            read_fail(reader, MOE_E_USAGE, number.line, "'%.*s' registers; allowed: 1 .. %d",
                      number.length > 60 ? 60 : number.length, number.text, REGISTERS_MAX);
            return;
        }
        const int32_t count = (int32_t)number.value;
        read_next(reader);
        read_expect(reader, '>');
        if (reader->status || !grow_registers(reader, count))
            return;
        struct name *range = add(reader, name, length, NAME_RANGE);
        if (!range)
            return;
        range->first = reader->function->register_count;
        range->count = count;
        memset(reader->register_types + range->first, (int)type, (size_t)count);
        reader->function->register_count += count;
    } while (read_accept(reader, ','));
    read_expect(reader, ';');
}

/* %r12 of `%r<19>`: every way to cut digits off the end is tried. */
static int32_t find_in_range(const struct reader *reader, const char *text, int length)
{
    int64_t number = 0, unit = 1;
    for (int cut = length - 1; cut > 0 && length - cut <= 7; cut--) {
        const int digit = text[cut] - '0';
        if (digit < 0 || digit > 9)
            break;
        number += unit * digit;
        unit *= 10;
        if (digit == 0 && length - cut > 1)
            continue; /* %r01 is not %r1 */
        const struct name *range = find(reader, text, cut, NAME_RANGE, NAME_RANGE);
        if (range && number < range->count)
            return range->first + (int32_t)number;
    }
    return -1;
}

int32_t read_find_register(const struct reader *reader, const char *text, int length)
{
    const struct name *name = find(reader, text, length, NAME_REGISTER, NAME_REGISTER);
    return name ? name->first : find_in_range(reader, text, length);
}

/* ---- labels ---------------------------------------------------------------------------------- */

static struct label *find_label(const struct reader *reader, const char *text, int length,
                                int scope)
{
    struct label *label = reader->labels[hash(text, length, scope)];
    while (label && !(label->scope == scope && label->length == length &&
                      !memcmp(label->text, text, (size_t)length)))
        label = label->bucket_next;
    return label;
}

void read_label(struct reader *reader, const char *text, int length, int32_t instruction)
{
    if (find_label(reader, text, length, reader->scope_now)) {
        read_fail(reader, MOE_E_USAGE, reader->token.line, "label '%.*s' stands twice in one block",
                  length > 60 ? 60 : length, text);
        return;
    }
    struct label *label = read_take(reader, 1, sizeof *label);
    if (!label)
        return;
    struct label **bucket = &reader->labels[hash(text, length, reader->scope_now)];
    *label = (struct label){text, length, reader->scope_now, instruction, NULL, *bucket};
    *bucket = label;
    reader->last_label = label;
}

void read_label_use(struct reader *reader, const struct token *token, struct ptx_operand *operand)
{
    struct label_use *use = read_take(reader, 1, sizeof *use);
    struct ptx_operand *target = read_take(reader, 1, sizeof *target);
    if (!use || !target)
        return;
    *use = (struct label_use){token->text, token->length, reader->scope_now,
                              token->line, target,        reader->label_uses};
    reader->label_uses = use;
    operand->kind = PTX_LABEL;
    operand->part = target;
    operand->count = 1;
}

void read_resolve_labels(struct reader *reader)
{
    for (struct label_use *use = reader->label_uses; use; use = use->next) {
        const struct label *label = NULL;
        for (int scope = use->scope; scope >= 0 && !label; scope = reader->scope_parents[scope])
            label = find_label(reader, use->text, use->length, scope);
        if (!label) {
            read_fail(reader, MOE_E_USAGE, use->line, "no label '%.*s' in this function",
                      use->length > 60 ? 60 : use->length, use->text);
            return;
        }
        use->target->value = (uint64_t)label->instruction;
        if (label->targets) {
            use->target->part = label->targets->part;
            use->target->count = label->targets->count;
        }
    }
}
