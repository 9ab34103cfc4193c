/*
 * rewrite.c - see rewrite.h. It works on the text: a statement is found by its line and opcode.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/program.h"
#include "gpu/ptx/rewrite.h"
#include "ref/moe.h"

#define BIT(fault) (1u << (fault))

/* What can be done to opcodes, by how their names begin; the first that fits. `operand`: which one
 * PTX_FLIP or PTX_COUNT changes, -1: the last. */
static const struct kind {
    const char *name;
    uint32_t faults;
    int32_t operand;
    uint32_t more; /* of PTX_COUNT */
} kinds[] = {
    {"bar.warp.sync", BIT(PTX_DROP), 0, 0},
    {"bar", BIT(PTX_DROP) | BIT(PTX_COUNT), 1, 32},
    {"fence", BIT(PTX_DROP), 0, 0},
    {"membar", BIT(PTX_DROP), 0, 0},
    {"mbarrier.init", BIT(PTX_DROP) | BIT(PTX_COUNT), 1, 1},
    {"mbarrier.arrive.expect_tx", BIT(PTX_DROP) | BIT(PTX_COUNT), -1, 16},
    {"mbarrier.expect_tx", BIT(PTX_DROP) | BIT(PTX_COUNT), -1, 16},
    {"mbarrier.arrive", BIT(PTX_DROP), 0, 0},
    {"mbarrier.try_wait", BIT(PTX_PASS) | BIT(PTX_FLIP), 2, 0},
    {"mbarrier.test_wait", BIT(PTX_PASS) | BIT(PTX_FLIP), 2, 0},
    {"cp.async.wait_all", BIT(PTX_DROP), 0, 0},
    {"cp.async.wait_group", BIT(PTX_DROP) | BIT(PTX_COUNT), 0, 1},
    {"cp.async.commit_group", BIT(PTX_DROP), 0, 0},
    {"cp.async.mbarrier", BIT(PTX_DROP), 0, 0},
    {"cp.async.bulk.wait_group", BIT(PTX_DROP) | BIT(PTX_COUNT), 0, 1},
    {"cp.async.bulk.commit_group", BIT(PTX_DROP), 0, 0},
    {"wgmma.fence", BIT(PTX_DROP), 0, 0},
    {"wgmma.commit_group", BIT(PTX_DROP), 0, 0},
    {"wgmma.wait_group", BIT(PTX_DROP) | BIT(PTX_COUNT), 0, 1},
    {"griddepcontrol.wait", BIT(PTX_DROP), 0, 0},
    {"setmaxnreg", BIT(PTX_DROP), 0, 0},
    {"st", BIT(PTX_OPEN), 0, 0},
    {"atom", BIT(PTX_OPEN), 0, 0},
    {"red", BIT(PTX_OPEN), 0, 0},
};

const char *ptx_fault_name(enum ptx_fault fault)
{
    static const char *const names[PTX_FAULT_COUNT] = {"drop", "pass", "flip", "count", "open"};
    return names[fault];
}

static const struct kind *kind_of(const struct ptx_instruction *instruction)
{
    const char *name = instruction->opcode->name;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strncmp(name, kinds[i].name, strlen(kinds[i].name)))
            return &kinds[i];
    return NULL;
}

static uint32_t faults_of(const struct ptx_instruction *instruction)
{
    const struct kind *kind = kind_of(instruction);
    if (!kind)
        return 0;
    uint32_t faults = kind->faults;
    const int32_t operand = kind->operand < 0 ? instruction->operand_count - 1 : kind->operand;
    if (operand >= instruction->operand_count)
        faults &= ~BIT(PTX_COUNT);
    if (instruction->guard < 0)
        faults &= ~BIT(PTX_OPEN);
    return faults;
}

int32_t ptx_sites(const struct ptx_function *function, struct ptx_site *sites, int32_t room)
{
    int32_t count = 0, nth = 0;
    const struct ptx_instruction *all = function->instructions;
    for (int32_t i = 0; i < function->instruction_count; i++) {
        const uint32_t faults = faults_of(&all[i]);
        nth = 0;
        for (int32_t j = i - 1; j >= 0 && all[j].line == all[i].line; j--)
            nth += all[j].opcode->name == all[i].opcode->name ||
                   !strcmp(all[j].opcode->name, all[i].opcode->name);
        if (!faults)
            continue;
        if (count < room)
            sites[count] = (struct ptx_site){function, &all[i], nth, faults};
        count++;
    }
    return count;
}

/* ---- the text -------------------------------------------------------------------------------- */

static int is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '$' || c == '%';
}

static const char *line_at(const char *text, int32_t line)
{
    for (; line > 1 && text; line--) {
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    return text;
}

/* The opcode's place, NULL: it is not there. */
static const char *opcode_at(const char *text, const struct ptx_site *site)
{
    const char *name = site->instruction->opcode->name;
    const size_t length = strlen(name);
    const char *line = line_at(text, site->instruction->line);
    int32_t nth = site->nth;
    for (const char *at = line; at && *at && *at != '\n'; at++)
        if ((at == line || !is_name(at[-1])) && !strncmp(at, name, length) &&
            (!is_name(at[length]) || at[length] == '.') && nth-- == 0)
            return at;
    return NULL;
}

/* Where the statement of an opcode begins: at its guard, where it has one. */
static const char *statement_at(const char *text, const char *opcode)
{
    const char *at = opcode;
    while (at > text && !strchr(";{}:\n", at[-1]))
        at--;
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

/* The operand as it is written, without blanks around it. 0: it is not there. */
static int operand_at(const char *opcode, const char *end, int32_t operand, const char **from,
                      const char **to)
{
    const char *at = opcode;
    int depth = 0;
    while (at < end && is_name(*at))
        at++;
    while (at < end && (*at == ':' || is_name(*at))) /* the words that have :: in them */
        at++;
    const char *begin = at;
    for (; at <= end; at++) {
        if (at < end && strchr("[{(", *at))
            depth++;
        if (at < end && strchr("]})", *at))
            depth--;
        if (at < end && (*at != ',' || depth))
            continue;
        if (operand-- == 0) {
            while (begin < at && isspace((unsigned char)*begin))
                begin++;
            while (at > begin && isspace((unsigned char)at[-1]))
                at--;
            *from = begin;
            *to = at;
            return at > begin;
        }
        begin = at + 1;
    }
    return 0;
}

/* ---- changes --------------------------------------------------------------------------------- */

/* text with [from, to) become `with`. */
static int replace(const char *text, const char *from, const char *to, const char *with,
                   char **changed)
{
    const size_t before = (size_t)(from - text), after = strlen(to), middle = strlen(with);
    *changed = malloc(before + middle + after + 1);
    if (!*changed)
        return moe_error(MOE_E_NOMEM, "no memory for a changed PTX");
    memcpy(*changed, text, before);
    memcpy(*changed + before, with, middle);
    memcpy(*changed + before + middle, to, after + 1);
    return MOE_OK;
}

/* The statement between two others that make of a register what it is not, and undo it. */
static int around(const char *text, const char *begin, const char *end, const char *reg,
                  const char *make, const char *undo, uint32_t by, char **changed)
{
    char with[1024];
    const int length = snprintf(with, sizeof with, "%s %s, %s, %u; %.*s; %s %s, %s, %u;", make, reg,
                                reg, by, (int)(end - begin), begin, undo, reg, reg, by);
    if (length >= (int)sizeof with)
        return moe_error(MOE_E_USAGE, "a statement of more than %zu characters", sizeof with);
    return replace(text, begin, end + 1, with, changed);
}

static int change_operand(const char *text, const struct ptx_site *site, const char *opcode,
                          const char *begin, const char *end, enum ptx_fault fault, char **changed)
{
    const struct kind *kind = kind_of(site->instruction);
    const int32_t operand =
        kind->operand < 0 ? site->instruction->operand_count - 1 : kind->operand;
    const char *from, *to;
    char word[64], *rest;
    if (!operand_at(opcode, end, operand, &from, &to) || to - from >= (int)sizeof word)
        return moe_error(MOE_E_USAGE, "line %d: no operand %d", site->instruction->line, operand);
    snprintf(word, sizeof word, "%.*s", (int)(to - from), from);
    if (!isdigit((unsigned char)word[0])) {
        const int flips = fault == PTX_FLIP;
        return around(text, begin, end, word, flips ? "xor.b32" : "add.u32",
                      flips ? "xor.b32" : "sub.u32", flips ? 1 : kind->more, changed);
    }
    const unsigned long long value = strtoull(word, &rest, 0);
    snprintf(word, sizeof word, "%llu", fault == PTX_FLIP ? value ^ 1 : value + kind->more);
    return replace(text, from, to, word, changed);
}

int ptx_rewrite(const char *text, const struct ptx_site *site, enum ptx_fault fault, char **changed)
{
    const int32_t line = site->instruction->line;
    const char *opcode = opcode_at(text, site);
    const char *end = opcode ? strchr(opcode, ';') : NULL;
    if (!end || !(site->faults >> fault & 1))
        return moe_error(MOE_E_USAGE, "line %d: no %s of '%s' there", line, ptx_fault_name(fault),
                         site->instruction->opcode->name);
    const char *begin = statement_at(text, opcode);
    const char *from, *to;
    char with[200];
    switch (fault) {
    case PTX_DROP:
        return replace(text, begin, end + 1, "", changed);
    case PTX_OPEN:
        return replace(text, begin, opcode, "", changed);
    case PTX_PASS:
        if (!operand_at(opcode, end, 0, &from, &to))
            break;
        snprintf(with, sizeof with, "setp.eq.u32 %.*s, 0, 0", (int)(to - from), from);
        return replace(text, opcode, end, with, changed);
    default:
        return change_operand(text, site, opcode, begin, end, fault, changed);
    }
    return moe_error(MOE_E_USAGE, "line %d: no operand", line);
}
