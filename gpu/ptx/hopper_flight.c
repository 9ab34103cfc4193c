/*
 * hopper_flight.c - registers that a wgmma under way has: nobody else touches them before the wait
 * for its group; and what was touched otherwise needs a wgmma.fence before the next wgmma.
 */
#include <stdio.h>
#include <string.h>

#include "gpu/ptx/hopper_wgmma.h"

enum hopper_flight { FREE, ACCUMULATES, IS_READ };

/* ---- by wgmma itself ------------------------------------------------------------------------- */

static int complain(struct ptx_warp *warp, const struct ptx_code *code, enum ptx_rule rule,
                    const struct ptx_code *other)
{
    char whose[40] = "";
    if (other)
        snprintf(whose, sizeof whose, " of the wgmma of line %d", other->instruction->line);
    ptx_report(warp->machine, warp, code, -1, rule, 0, "%s%s", ptx_rules[rule].what, whose);
    return 1;
}

static int same_shape(const struct ptx_code *a, const struct ptx_code *b)
{
    return !memcmp(a->instruction->shape, b->instruction->shape, sizeof a->instruction->shape) &&
           a->instruction->types[0] == b->instruction->types[0];
}

static int take(struct ptx_warp *warp, const struct ptx_code *code, int32_t slot,
                enum hopper_flight use)
{
    struct hopper_warp *hopper = warp->hopper;
    if (slot < 0)
        return 0;
    if (hopper->touched[slot])
        return complain(warp, code, PTX_RULE_FLIGHT_TOUCHED, NULL);
    if (hopper->flight[slot] != FREE &&
        (hopper->flight[slot] != use ||
         (use == ACCUMULATES && !same_shape(hopper->flight_code[slot], code))))
        return complain(warp, code, PTX_RULE_FLIGHT_SHARED, hopper->flight_code[slot]);
    if (hopper->flight[slot] == FREE)
        hopper->flying++;
    hopper->flight[slot] = (uint8_t)use;
    hopper->flight_code[slot] = code;
    hopper->flight_group[slot] = hopper->committed[PTX_GROUP_WGMMA][0];
    return 0;
}

int hopper_flight_begin(struct ptx_warp *warp, const struct ptx_code *code,
                        const struct wgmma_form *form)
{
    const struct hopper_warp *hopper = warp->hopper;
    if (!hopper->fenced)
        return complain(warp, code, PTX_RULE_FLIGHT_FENCE, NULL);
    for (int i = 0; i < form->d_count; i++)
        if (take(warp, code, form->d[i].slot, ACCUMULATES))
            return 1;
    for (int i = 0; i < form->a_count; i++)
        if (take(warp, code, form->a[i].slot, IS_READ))
            return 1;
    return 0;
}

void hopper_flight_fence(struct ptx_warp *warp)
{
    struct hopper_warp *hopper = hopper_warp(warp);
    if (!hopper)
        return;
    hopper->fenced = 1;
    memset(hopper->touched, 0, (size_t)warp->program->slot_count);
}

void hopper_flight_end(struct ptx_warp *warp, uint64_t below)
{
    struct hopper_warp *hopper = warp->hopper;
    for (int32_t slot = 0; slot < warp->program->slot_count && hopper->flying; slot++)
        if (hopper->flight[slot] != FREE && hopper->flight_group[slot] < below) {
            hopper->flight[slot] = FREE;
            hopper->flying--;
        }
}

/* ---- by other instructions ------------------------------------------------------------------- */

static int touch_place(struct ptx_warp *warp, const struct ptx_code *code,
                       const struct ptx_place *place, int is_write)
{
    struct hopper_warp *hopper = warp->hopper;
    if (place->slot >= 0) {
        const uint8_t flight = hopper->flight[place->slot];
        if (flight == ACCUMULATES || (flight == IS_READ && is_write))
            return complain(warp, code, PTX_RULE_FLIGHT_WAIT, hopper->flight_code[place->slot]);
        hopper->touched[place->slot] = 1;
    }
    for (int32_t i = 0; i < place->count; i++)
        if (touch_place(warp, code, &place->part[i],
                        is_write && place->kind != PTX_ADDRESS && place->kind != PTX_LIST))
            return 1;
    return 0;
}

int ptx_flight_touch(struct ptx_warp *warp, const struct ptx_code *code)
{
    const char *pattern = code->instruction->opcode->operands;
    if (!hopper_warp(warp))
        return 1;
    for (int32_t i = 0; i < code->place_count; i++) {
        if (touch_place(warp, code, &code->places[i], strchr("DPQRVX", pattern[0]) != NULL))
            return 1;
        pattern += pattern[2] == '?' ? 3 : 2;
        pattern += *pattern == ' ';
    }
    return 0;
}
