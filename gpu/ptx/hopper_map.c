/*
 * hopper_map.c - edits of tensor maps, and their publication.
 */
#include <string.h>

#include "gpu/ptx/geometry.h"
#include "gpu/ptx/hopper.h"
#include "ref/moe.h"

static const struct {
    enum ptx_word word;
    enum geometry_field field;
    int has_ordinal;
} fields[] = {
    {PTX_W_GLOBAL_ADDRESS, GEOMETRY_FIELD_GLOBAL_ADDRESS, 0},
    {PTX_W_RANK, GEOMETRY_FIELD_RANK, 0},
    {PTX_W_BOX_DIM, GEOMETRY_FIELD_BOX_DIM, 1},
    {PTX_W_GLOBAL_DIM, GEOMETRY_FIELD_GLOBAL_DIM, 1},
    {PTX_W_GLOBAL_STRIDE, GEOMETRY_FIELD_GLOBAL_STRIDE, 1},
    {PTX_W_ELEMENT_STRIDE, GEOMETRY_FIELD_ELEMENT_STRIDE, 1},
    {PTX_W_ELEMTYPE, GEOMETRY_FIELD_ELEMTYPE, 0},
    {PTX_W_INTERLEAVE_LAYOUT, GEOMETRY_FIELD_INTERLEAVE_LAYOUT, 0},
    {PTX_W_SWIZZLE_MODE, GEOMETRY_FIELD_SWIZZLE_MODE, 0},
    {PTX_W_FILL_MODE, GEOMETRY_FIELD_FILL_MODE, 0},
};

/* data[0]: row of fields; a: the ordinal, where there is one; b: the value. */
static void run_replace(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct ptx_access access = {.warp = warp,
                                .cta = warp->cta,
                                .code = code,
                                .lanes = lanes,
                                .space = (enum ptx_space)code->space,
                                .kind = PTX_WRITE,
                                .bytes = sizeof(struct geometry_map),
                                .align = 64};
    if (ptx_require_defined(warp, code, code->a, lanes, PTX_RULE_UNKNOWN_MAP_ORDINAL) ||
        ptx_require_defined(warp, code, code->b, lanes, PTX_RULE_UNKNOWN_MAP_FIELD) ||
        ptx_address(warp, code, &code->places[0], lanes, access.address) ||
        ptx_access(warp->machine, &access))
        return;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        struct geometry_map map;
        memcpy(&map, access.data[lane], sizeof map);
        if (geometry_map_replace(&map, fields[code->data[0]].field,
                                 (int)ptx_row(warp, code->a)[lane], ptx_row(warp, code->b)[lane])) {
            ptx_report(warp->machine, warp, code, lane, PTX_RULE_MAP_FIELD, access.address[lane],
                       "%s", moe_error_text());
            return;
        }
        memcpy(access.data[lane], &map, sizeof map);
    }
}

static int lower_replace(struct ptx_build *build, const struct ptx_instruction *instruction,
                         struct ptx_code *code)
{
    code->execute = run_replace;
    size_t row = 0;
    while (row < sizeof fields / sizeof *fields && !ptx_has(instruction, fields[row].word))
        row++;
    if (row == sizeof fields / sizeof *fields)
        return ptx_refuse(build, "no field that is known");
    if (code->place_count != 2 + fields[row].has_ordinal)
        return ptx_refuse(build, "operands: [map], %svalue",
                          fields[row].has_ordinal ? "ordinal, " : "");
    code->data[0] = row;
    code->b = code->places[code->place_count - 1].slot;
    return fields[row].has_ordinal ? MOE_OK : ptx_build_constant(build, 0, &code->a);
}

/* 128 bytes to global memory by the whole warp, and a fence of the tensor map's proxy. */
static void run_publish(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const int lane = __builtin_ctz(lanes);
    struct ptx_access from = {.warp = warp,
                              .cta = warp->cta,
                              .code = code,
                              .lanes = 1u << lane,
                              .space = PTX_SPACE_SHARED,
                              .kind = PTX_READ,
                              .bytes = sizeof(struct geometry_map),
                              .align = 128},
                      to = from;
    to.space = PTX_SPACE_GLOBAL;
    to.kind = PTX_WRITE;
    if (ptx_address(warp, code, &code->places[0], lanes, to.address) ||
        ptx_address(warp, code, &code->places[1], lanes, from.address))
        return;
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        if (to.address[__builtin_ctz(rest)] != to.address[lane] ||
            from.address[__builtin_ctz(rest)] != from.address[lane]) {
            ptx_report(warp->machine, warp, code, __builtin_ctz(rest), PTX_RULE_MAP_PUBLISHED,
                       to.address[__builtin_ctz(rest)],
                       "lanes of one warp give different addresses");
            return;
        }
    if (ptx_access(warp->machine, &from) || ptx_access(warp->machine, &to))
        return;
    memcpy(to.data[lane], from.data[lane], from.bytes);
    memcpy(to.known[lane], from.known[lane], from.bytes);
    for (struct ptx_watch *watch = warp->machine->watches; watch; watch = watch->next)
        if (watch->fence)
            watch->fence(watch->data, warp, code, lanes);
}

static int lower_publish(struct ptx_build *build, const struct ptx_instruction *instruction,
                         struct ptx_code *code)
{
    (void)instruction;
    code->execute = run_publish;
    return code->places[2].offset == sizeof(struct geometry_map)
               ? MOE_OK
               : ptx_refuse(build, "the size is 128");
}

const struct ptx_opcode ptx_opcodes_map[] = {
    {"tensormap.replace",
     "tile global shared::cta global_address rank box_dim global_dim global_stride element_stride "
     "elemtype interleave_layout swizzle_mode swizzle_atomicity fill_mode",
     "b1024;b32 b64", "A* S* S*?", lower_replace, 0, 0},
    {"tensormap.cp_fenceproxy",
     "global shared::cta tensormap::generic release acquire @scope sync aligned", "", "A* A* Ii",
     lower_publish, 0, 0},
    {0},
};
