/*
 * lower_slots.c - slots for registers: where they live is found by the usual equations over basic
 * blocks, a register's life is from the first to the last of those places, and lives that do not
 * overlap share a slot. Functions share none, for a caller's registers live while its callees run.
 *
 * Lanes run apart, but each lane's values are its own column, so what holds along every path of one
 * lane is enough.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/lower.h"
#include "ref/moe.h"

#define SETS_MAX (UINT64_C(1) << 28) /* bytes of sets; beyond, registers share nothing */

struct lives {
    struct ptx_build *build;
    struct ptx_code *code;
    int32_t code_count, base; /* of the function */
    int32_t *number;          /* [register_count] in the function's sets, -1 */
    int32_t *registers;       /* [count] and back */
    int32_t count;            /* registers that are named and not pinned */
    int32_t *first, *last;    /* [count] */
    int32_t *leader;          /* [block_count + 1] */
    int32_t *block_of;        /* [code_count] */
    int32_t block_count;
    uint64_t *in, *out, *uses, *defines; /* [block_count][words] */
    int64_t words;
};

typedef void visit(void *data, int32_t reg, int is_write);

/* ---- what an instruction reads and writes ---------------------------------------------------- */

static void visit_place(const struct ptx_place *place, int is_write, visit *see, void *data)
{
    const int inside = place->kind == PTX_ADDRESS || place->kind == PTX_LIST ? 0 : is_write;
    if (place->slot >= 0)
        see(data, place->slot, inside && place->kind != PTX_ADDRESS);
    for (int32_t i = 0; i < place->count; i++)
        visit_place(&place->part[i], inside, see, data);
}

void lower_visit(const struct ptx_code *code, visit *see, void *data)
{
    const char *pattern = code->instruction->opcode->operands;
    for (int32_t i = 0; i < code->place_count; i++) {
        const int is_write = strchr("DPQRVX", pattern[0]) != NULL;
        visit_place(&code->places[i], is_write, see, data);
        if (pattern[0] == 'X')
            visit_place(&code->places[i], 0, see, data);
        pattern += pattern[2] == '?' ? 3 : 2;
        pattern += *pattern == ' ';
    }
    if (code->guard >= 0)
        see(data, code->guard, 0);
    for (int32_t i = 0; code->fusion && i < code->fusion->count; i++) {
        if (code->fusion->of[i].a >= 0)
            see(data, code->fusion->of[i].a, 0);
        if (code->fusion->of[i].b >= 0)
            see(data, code->fusion->of[i].b, 0);
    }
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void successors(const struct lives *lives, int32_t block,
                       void (*see)(const struct lives *, int32_t block, int32_t next))
{
    const int32_t last = lives->leader[block + 1] - 1;
    const struct ptx_code *code = &lives->code[last];
    const int falls = code->flow == PTX_ON || code->flow == PTX_CALL || code->guard != PTX_NO_SLOT;
    if (falls && block + 1 < lives->block_count)
        see(lives, block, block + 1);
    if (code->flow == PTX_JUMP)
        see(lives, block, lives->block_of[code->target - lives->base]);
    if (code->flow == PTX_INDEXED) {
        const struct ptx_operand *list = code->instruction->operands[1].part;
        for (int32_t i = 0; i < list->count; i++)
            see(lives, block, lives->block_of[list->part[i].part->value]);
    }
}

static int find_blocks(struct lives *lives)
{
    uint8_t *leads = calloc((size_t)lives->code_count + 1, 1);
    lives->block_of = malloc((size_t)lives->code_count * sizeof *lives->block_of);
    if (!leads || !lives->block_of) {
        free(leads);
        return lower_nomem();
    }
    leads[0] = 1;
    for (int32_t i = 0; i < lives->code_count; i++) {
        const struct ptx_code *code = &lives->code[i];
        if (code->flow != PTX_ON)
            leads[i + 1] = 1;
        if (code->flow == PTX_JUMP)
            leads[code->target - lives->base] = 1;
        if (code->flow == PTX_INDEXED) {
            const struct ptx_operand *list = code->instruction->operands[1].part;
            for (int32_t l = 0; l < list->count; l++)
                leads[list->part[l].part->value] = 1;
        }
    }
    for (int32_t i = 0; i < lives->code_count; i++)
        lives->block_count += leads[i];
    lives->leader = malloc(((size_t)lives->block_count + 1) * sizeof *lives->leader);
    if (!lives->leader) {
        free(leads);
        return lower_nomem();
    }
    int32_t block = -1;
    for (int32_t i = 0; i < lives->code_count; i++) {
        if (leads[i])
            lives->leader[++block] = i;
        lives->block_of[i] = block;
    }
    lives->leader[lives->block_count] = lives->code_count;
    free(leads);
    return MOE_OK;
}

/* ---- lives ----------------------------------------------------------------------------------- */

static uint64_t *set_of(const struct lives *lives, uint64_t *sets, int32_t block)
{
    return sets + block * lives->words;
}

struct counting {
    struct lives *lives;
    int32_t at, block;
    int pass; /* 0: reads, 1: writes */
    int guarded;
};

static void number_one(void *data, int32_t reg, int is_write)
{
    struct lives *lives = data;
    (void)is_write;
    if (lives->number[reg] < 0 && lives->build->pinned[reg] != LOWER_PINNED) {
        lives->registers[lives->count] = reg;
        lives->number[reg] = lives->count++;
    }
}

static void extend(struct lives *lives, int32_t n, int32_t at)
{
    if (at < lives->first[n])
        lives->first[n] = at;
    if (at > lives->last[n])
        lives->last[n] = at;
}

/* Reads before a write of the block are its uses; writes that nothing guards are its definitions.
 */
static void see_one(void *data, int32_t reg, int is_write)
{
    const struct counting *counting = data;
    struct lives *lives = counting->lives;
    const int32_t n = lives->number[reg];
    if (n < 0 || is_write != counting->pass)
        return;
    const uint64_t bit = UINT64_C(1) << n % 64;
    uint64_t *uses = &set_of(lives, lives->uses, counting->block)[n / 64],
             *defines = &set_of(lives, lives->defines, counting->block)[n / 64];
    extend(lives, n, counting->at);
    if (!is_write && !(*defines & bit))
        *uses |= bit;
    if (is_write && !counting->guarded)
        *defines |= bit;
}

static void join(const struct lives *lives, int32_t block, int32_t next)
{
    uint64_t *out = set_of(lives, lives->out, block);
    const uint64_t *in = set_of(lives, lives->in, next);
    for (int64_t w = 0; w < lives->words; w++)
        out[w] |= in[w];
}

static void solve(struct lives *lives)
{
    int changed = 1;
    while (changed) {
        changed = 0;
        for (int32_t block = lives->block_count - 1; block >= 0; block--) {
            successors(lives, block, join);
            uint64_t *in = set_of(lives, lives->in, block);
            const uint64_t *out = set_of(lives, lives->out, block),
                           *uses = set_of(lives, lives->uses, block),
                           *defines = set_of(lives, lives->defines, block);
            for (int64_t w = 0; w < lives->words; w++) {
                const uint64_t now = uses[w] | (out[w] & ~defines[w]);
                changed |= now != in[w];
                in[w] = now;
            }
        }
    }
}

static void extend_over_blocks(struct lives *lives)
{
    for (int32_t block = 0; block < lives->block_count; block++) {
        const uint64_t *in = set_of(lives, lives->in, block),
                       *out = set_of(lives, lives->out, block);
        for (int64_t w = 0; w < lives->words; w++) {
            for (uint64_t rest = in[w]; rest; rest &= rest - 1)
                extend(lives, (int32_t)(64 * w + __builtin_ctzll(rest)), lives->leader[block]);
            for (uint64_t rest = out[w]; rest; rest &= rest - 1)
                extend(lives, (int32_t)(64 * w + __builtin_ctzll(rest)), lives->leader[block + 1]);
        }
    }
}

static int find_lives(struct lives *lives)
{
    const int64_t sets = (int64_t)lives->block_count * lives->words;
    uint64_t *all = calloc((size_t)(4 * sets + 1), sizeof *all);
    if (!all)
        return lower_nomem();
    lives->in = all;
    lives->out = all + sets;
    lives->uses = all + 2 * sets;
    lives->defines = all + 3 * sets;
    struct counting counting = {.lives = lives};
    for (int32_t i = 0; i < lives->code_count; i++) {
        counting.at = i;
        counting.block = lives->block_of[i];
        counting.guarded = lives->code[i].guard != PTX_NO_SLOT;
        for (counting.pass = 0; counting.pass < 2; counting.pass++)
            lower_visit(&lives->code[i], see_one, &counting);
    }
    solve(lives);
    extend_over_blocks(lives);
    for (int32_t n = 0; n < lives->count; n++)
        if (lives->build->pinned[lives->registers[n]] == LOWER_HELD) {
            lives->first[n] = 0;
            lives->last[n] = lives->code_count;
        }
    return MOE_OK;
}

/* ---- slots ----------------------------------------------------------------------------------- */

struct life {
    int32_t first, last, n;
};

static int by_first(const void *a, const void *b)
{
    const struct life *one = a, *other = b;
    return one->first != other->first ? (one->first < other->first ? -1 : 1)
                                      : (one->n < other->n ? -1 : one->n > other->n);
}

static int by_last(const void *a, const void *b)
{
    const struct life *one = a, *other = b;
    return one->last != other->last ? (one->last < other->last ? -1 : 1)
                                    : (one->n < other->n ? -1 : one->n > other->n);
}

/* slot_of [register_count]; *next is the first slot that is free. */
static int share(const struct lives *lives, int32_t *slot_of, int32_t *next)
{
    const size_t count = (size_t)lives->count;
    struct life *starts = malloc((count + 1) * sizeof *starts),
                *ends = malloc((count + 1) * sizeof *ends);
    int32_t *free_slots = malloc((count + 1) * sizeof *free_slots);
    int32_t free_count = 0;
    if (starts && ends && free_slots) {
        for (size_t n = 0; n < count; n++)
            starts[n] = ends[n] = (struct life){lives->first[n], lives->last[n], (int32_t)n};
        qsort(starts, count, sizeof *starts, by_first);
        qsort(ends, count, sizeof *ends, by_last);
        size_t ended = 0;
        for (size_t s = 0; s < count; s++) {
            while (ended < count && ends[ended].last < starts[s].first)
                free_slots[free_count++] = slot_of[lives->registers[ends[ended++].n]];
            slot_of[lives->registers[starts[s].n]] =
                free_count ? free_slots[--free_count] : (*next)++;
        }
    }
    const int status = starts && ends && free_slots ? MOE_OK : lower_nomem();
    free(starts);
    free(ends);
    free(free_slots);
    return status;
}

static int note_undefined(const struct lives *lives, const int32_t *slot_of)
{
    struct ptx_program *program = lives->build->program;
    const uint64_t *in = lives->in;
    int32_t count = 0;
    for (int32_t n = 0; n < lives->count; n++)
        count += (int)(in[n / 64] >> n % 64 & 1);
    program->undefined_at_start =
        ptx_arena_take(program->arena, (size_t)count, sizeof *program->undefined_at_start);
    if (!program->undefined_at_start)
        return lower_nomem();
    for (int32_t n = 0; n < lives->count; n++)
        if (in[n / 64] >> n % 64 & 1)
            program->undefined_at_start[program->undefined_count++] = slot_of[lives->registers[n]];
    return MOE_OK;
}

static int slots_of_function(struct ptx_build *build, int f, int32_t *number, int32_t *slot_of,
                             int32_t *next)
{
    const int32_t base = build->code_base[f];
    const int32_t end =
        f + 1 < build->function_count ? build->code_base[f + 1] : build->program->code_count;
    struct lives lives = {.build = build,
                          .code = build->program->code + base,
                          .code_count = end - base,
                          .base = base,
                          .number = number};
    lives.registers = malloc(((size_t)build->register_count + 1) * sizeof *lives.registers);
    if (!lives.registers)
        return lower_nomem();
    for (int32_t i = 0; i < lives.code_count; i++)
        lower_visit(&lives.code[i], number_one, &lives);
    lives.words = (lives.count + 63) / 64;
    lives.first = malloc(((size_t)lives.count + 1) * sizeof *lives.first);
    lives.last = malloc(((size_t)lives.count + 1) * sizeof *lives.last);
    int status = lives.first && lives.last ? find_blocks(&lives) : lower_nomem();
    for (int32_t n = 0; n < lives.count && !status; n++) {
        lives.first[n] = INT32_MAX;
        lives.last[n] = -1;
    }
    if (!status && (uint64_t)lives.block_count * (uint64_t)lives.words * 32 > SETS_MAX) {
        for (int32_t n = 0; n < lives.count; n++)
            slot_of[lives.registers[n]] = (*next)++;
    } else {
        if (!status)
            status = find_lives(&lives);
        if (!status)
            status = share(&lives, slot_of, next);
        if (!status && f == 0)
            status = note_undefined(&lives, slot_of);
    }
    free(lives.registers);
    free(lives.first);
    free(lives.last);
    free(lives.leader);
    free(lives.block_of);
    free(lives.in);
    return status;
}

struct touching {
    const struct ptx_build *build;
    int touches;
};

static void touch_one(void *data, int32_t reg, int is_write)
{
    struct touching *touching = data;
    (void)is_write;
    touching->touches |= touching->build->pinned[reg] == LOWER_HELD;
}

/* Which instructions name registers of wgmma, that is none itself. */
static void note_touches(struct ptx_build *build)
{
    for (int32_t i = 0; i < build->program->code_count; i++) {
        struct ptx_code *code = &build->program->code[i];
        struct touching touching = {build, 0};
        if (code->instruction->opcode->operands[0] != 'X')
            lower_visit(code, touch_one, &touching);
        code->touches = (uint8_t)touching.touches;
    }
}

static void replace(int32_t *slot, const int32_t *slot_of)
{
    if (*slot >= 0)
        *slot = slot_of[*slot];
}

static void replace_place(const struct ptx_place *place, const int32_t *slot_of)
{
    replace(&((struct ptx_place *)place)->slot, slot_of);
    for (int32_t i = 0; i < place->count; i++)
        replace_place(&place->part[i], slot_of);
}

static void replace_all(struct ptx_build *build, const int32_t *slot_of)
{
    struct ptx_program *program = build->program;
    for (int32_t i = 0; i < program->code_count; i++) {
        struct ptx_code *code = &program->code[i];
        replace(&code->d, slot_of);
        replace(&code->a, slot_of);
        replace(&code->b, slot_of);
        replace(&code->c, slot_of);
        replace(&code->e, slot_of);
        replace(&code->guard, slot_of);
        replace(&code->mask, slot_of);
        for (int32_t p = 0; p < code->place_count; p++)
            replace_place(&code->places[p], slot_of);
        for (int32_t f = 0; code->fusion && f < code->fusion->count; f++) {
            replace(&code->fusion->of[f].a, slot_of);
            replace(&code->fusion->of[f].b, slot_of);
            replace(&code->fusion->of[f].c, slot_of);
        }
        if (code->d == PTX_NO_SLOT)
            code->d = slot_of[build->sink];
    }
    for (int32_t i = 0; i < program->preset_count; i++)
        replace(&program->presets[i].slot, slot_of);
}

int lower_slots(struct ptx_build *build)
{
    const size_t count = (size_t)build->register_count + 1;
    int32_t *number = malloc(count * sizeof *number), *slot_of = calloc(count, sizeof *slot_of);
    int32_t next = 0;
    int status = number && slot_of ? MOE_OK : lower_nomem();
    if (!status) {
        memset(number, 0xff, count * sizeof *number);
        for (int32_t reg = 0; reg < build->register_count; reg++)
            if (build->pinned[reg] == LOWER_PINNED)
                slot_of[reg] = next++;
    }
    for (int f = 0; f < build->function_count && !status; f++)
        status = slots_of_function(build, f, number, slot_of, &next);
    if (!status) {
        note_touches(build);
        replace_all(build, slot_of);
        build->program->slot_count = next;
    }
    free(number);
    free(slot_of);
    return status;
}
