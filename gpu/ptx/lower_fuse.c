/*
 * lower_fuse.c - which additions a compiler may fuse with the multiplication before them.
 *
 * The ISA allows it where neither has a rounding, and ptxas does it for sm_90a (-fmad=true): add
 * and sub of f32, f64, f16 and bf16 and their pairs, with the same .ftz on both, .sat on the sum
 * alone. Here both are in one basic block, nothing guards the multiplication, and its factors are
 * what they were. Whether a sum is fused is for run time: machine.h's enum ptx_fuse.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/lower.h"
#include "ref/moe.h"

struct block {
    const struct ptx_build *build;
    int32_t *written; /* [register_count] the instruction that wrote it last, in this block */
    int32_t first;    /* of the block; what was written before means nothing */
    int32_t at;
};

static int has_rounding(const struct ptx_instruction *instruction)
{
    static const enum ptx_word roundings[] = {PTX_W_RN, PTX_W_RZ, PTX_W_RM, PTX_W_RP};
    int has = 0;
    for (size_t i = 0; i < sizeof roundings / sizeof *roundings; i++)
        has |= ptx_has(instruction, roundings[i]);
    return has;
}

static int is_floating(const struct ptx_code *code, const char *name)
{
    const struct ptx_instruction *instruction = code->instruction;
    return !strcmp(instruction->opcode->name, name) && instruction->type_count == 1 &&
           ptx_types[instruction->types[0]].class == PTX_CLASS_FLOAT && !has_rounding(instruction);
}

/* Has it still what it had when `at` began? */
static int is_unchanged(const struct block *block, int32_t reg, int32_t at)
{
    return reg < 0 || (block->written[reg] < at && block->build->pinned[reg] != LOWER_HELD);
}

/* The product that `reg` is, or NULL. */
static const struct ptx_code *find_product(const struct block *block, const struct ptx_code *sum,
                                           int32_t reg)
{
    const int32_t at = reg < 0 ? -1 : block->written[reg];
    if (at < block->first)
        return NULL;
    const struct ptx_code *product = &block->build->program->code[at];
    return is_floating(product, "mul") && product->guard == PTX_NO_SLOT &&
                   product->instruction->types[0] == sum->instruction->types[0] &&
                   !ptx_has(product->instruction, PTX_W_SAT) &&
                   ptx_has(product->instruction, PTX_W_FTZ) ==
                       ptx_has(sum->instruction, PTX_W_FTZ) &&
                   is_unchanged(block, product->a, at) && is_unchanged(block, product->b, at)
               ? product
               : NULL;
}

/* The sign bits of all elements of a type. */
static uint64_t signs_of(enum ptx_type type)
{
    const int bits = ptx_types[type].bits;
    const int is_pair = type == PTX_F16X2 || type == PTX_BF16X2 || type == PTX_F32X2;
    const uint64_t sign = UINT64_C(1) << (bits - 1);
    return is_pair ? sign | sign >> bits / 2 : sign;
}

static int take_sum(const struct block *block, struct ptx_code *code)
{
    const int is_sub = is_floating(code, "sub");
    const enum ptx_type type = (enum ptx_type)code->instruction->types[0];
    struct ptx_fusion fusion = {0};
    if (!is_sub && !is_floating(code, "add"))
        return MOE_OK;
    for (int i = 0; i < 2; i++) {
        const struct ptx_code *product = find_product(block, code, i ? code->b : code->a);
        if (!product)
            continue;
        fusion.of[fusion.count].a = product->a;
        fusion.of[fusion.count].b = product->b;
        fusion.of[fusion.count].c = i ? code->a : code->b;
        fusion.of[fusion.count].flip_a = is_sub && i ? signs_of(type) : 0;
        fusion.of[fusion.count].flip_c = is_sub && !i ? signs_of(type) : 0;
        fusion.count++;
    }
    if (!fusion.count ||
        !number_find(NUMBER_FMA, (enum number_format)ptx_number_format(type), &fusion.number))
        return MOE_OK;
    code->fusion = ptx_arena_take(block->build->program->arena, 1, sizeof *code->fusion);
    if (!code->fusion)
        return lower_nomem();
    *code->fusion = fusion;
    return MOE_OK;
}

static void note_write(void *data, int32_t reg, int is_write)
{
    const struct block *block = data;
    if (is_write)
        block->written[reg] = block->at;
}

/* [code_count + 1]: where control may come from elsewhere than the instruction before. */
static void find_leaders(const struct ptx_build *build, uint8_t *leads)
{
    const struct ptx_program *program = build->program;
    for (int f = 0; f < build->function_count; f++) {
        const int32_t first = build->code_base[f];
        const int32_t end =
            f + 1 < build->function_count ? build->code_base[f + 1] : program->code_count;
        leads[first] = 1;
        for (int32_t i = first; i < end; i++) {
            const struct ptx_code *code = &program->code[i];
            if (code->flow != PTX_ON)
                leads[i + 1] = 1;
            if (code->flow == PTX_JUMP)
                leads[code->target] = 1;
            if (code->flow != PTX_INDEXED)
                continue;
            const struct ptx_operand *list = code->instruction->operands[1].part;
            for (int32_t l = 0; l < list->count; l++)
                leads[first + (int32_t)list->part[l].part->value] = 1;
        }
    }
}

int lower_fuse(struct ptx_build *build)
{
    const int32_t count = build->program->code_count;
    struct block block = {.build = build};
    uint8_t *leads = calloc((size_t)count + 1, 1);
    int status = MOE_OK;
    block.written = malloc(((size_t)build->register_count + 1) * sizeof *block.written);
    if (leads && block.written) {
        memset(block.written, 0xff, ((size_t)build->register_count + 1) * sizeof *block.written);
        find_leaders(build, leads);
    } else {
        status = lower_nomem();
    }
    for (int32_t i = 0; i < count && !status; i++) {
        struct ptx_code *code = &build->program->code[i];
        if (leads[i])
            block.first = i;
        status = take_sum(&block, code);
        block.at = i;
        lower_visit(code, note_write, &block);
    }
    free(leads);
    free(block.written);
    return status;
}
