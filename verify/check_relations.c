/*
 * check_relations.c - metamorphic relations (relate.h, doc/relations.md): the variant runs again on
 * inputs made from the first ones, tokens permuted, do scaled, a batch split, and its outputs must
 * be related as those of the definition are.
 *
 * No oracle says what is right: a misunderstanding that the reference shares with the variant, or
 * that lies within a bound, is still one that treats a token's place, an expert's number or a power
 * of two as the definition does not.
 *
 * Must catch: rows with a score of 0 taken out with their ds; equal tokens counted once; stores
 * that round to one side; an absolute epsilon; biases added once a part.
 *
 * In fuzz one relation a turn, chosen by the seed. Else that one and the others in turn, all of
 * them in a small case and as many as a budget of work allows in a large one; also after one that
 * does not hold: which hold and which do not says where to look.
 */
#include "verify/again.h"
#include "verify/on_device.h"
#include "verify/relate.h"

/* Purpose of the words that choose a relation (those of tensors are below 512). */
#define CHOICE 0x72656c61u

/* Multiplications of one forward product that a case may have, and that its relations may spend:
 * some seconds of the reference. */
#define LARGEST 0x1p26
#define BUDGET 0x1p25

static double work_of(const struct moe_problem *problem)
{
    return (double)moe_problem_max_entries(problem) * (double)moe_problem_z_rows(problem) *
           (double)problem->H;
}

/* Relation `number` of those that apply; NULL past the last. */
static const struct relation *applying(const struct moe_judgement *judgement, uint32_t number)
{
    const struct relation *relation;
    for (int i = 0; (relation = moe_relation_get(i)); i++)
        if (relation->applies(judgement) && number-- == 0)
            break;
    return relation;
}

static int try_from(struct relating *relating, uint32_t first, uint32_t count)
{
    const struct moe_judgement *judgement = relating->judgement;
    const int only_one = judgement->options && judgement->options->rotate;
    const double work = work_of(judgement->problem);
    int status = MOE_OK;
    double spent = 0;
    for (uint32_t i = 0; i < count && status == MOE_OK && moe_on_device_sound(); i++) {
        if (i > 0 && (only_one || spent > BUDGET))
            break;
        status = relate_try(relating, applying(judgement, (first + i) % count));
        spent += 2 * work;
    }
    return status;
}

static int after(struct moe_judgement *judgement)
{
    struct relating relating;
    uint32_t count = 0;
    if (!again_wanted(judgement) || !judgement->routing.token_begin ||
        relate_too_large(judgement->problem) || !(work_of(judgement->problem) <= LARGEST))
        return MOE_OK;
    if (judgement->problem->data == MOE_DATA_LARGE)
        return MOE_OK; /* what overflows in one run need not in the other */
    while (applying(judgement, count))
        count++;
    if (count == 0)
        return MOE_OK;
    relate_start(judgement, &relating);
    int status =
        try_from(&relating, moe_draw_word(judgement->problem->seed, CHOICE, 0) % count, count);
    relate_end(&relating);
    return status;
}

const struct moe_check moe_check_relations = {
    .name = "relations",
    .summary = "runs on inputs made from one another are related as the definition has it",
    .runs = 2,
    .after = after,
};
