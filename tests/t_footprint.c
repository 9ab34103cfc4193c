/*
 * t_footprint.c - the check `footprint` on the CPU: the reference with memory of its own that it
 * does not give back, or takes inside calls without saying so. Without a habit it passes, declared
 * or not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/impostor.h"
#include "verify/held.h"

#define LINE "T=12 H=16 I=8 E=4 K=2 dtype=f32 bias=1"

/* More than an allocator keeps as stock. */
#define PIECE ((size_t)1 << 20)
#define PIECES 1000

enum habit {
    NONE,
    OPEN_LEAKS,
    FORWARD_LEAKS,
    FORWARD_GROWS,
    HOLDS_UNTIL_BACKWARD,
    LAZY,
    LEAKS_LITTLE
};

static enum habit habit;
static void *piece[PIECES]; /* that are not given back yet */
static int pieces, of_state;

static void *take(size_t bytes)
{
    ck_assert_int_lt(pieces, PIECES);
    piece[pieces] = memset(malloc(bytes), 1, bytes);
    return piece[pieces++];
}

static void give_back_one(void)
{
    free(piece[--pieces]);
}

static int open_habit(struct moe_device *device, const struct moe_problem *problem,
                      int32_t configuration, void **state)
{
    if (habit == OPEN_LEAKS)
        take(PIECE);
    if (habit == LEAKS_LITTLE)
        take(24);
    of_state = pieces;
    return impostor_variant.open(device, problem, configuration, state);
}

static void close_habit(void *state)
{
    while (habit != FORWARD_LEAKS && pieces > of_state)
        give_back_one();
    impostor_variant.close(state);
}

static void behind_forward(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem, (void)tensors;
    if (habit == FORWARD_LEAKS || habit == FORWARD_GROWS || habit == HOLDS_UNTIL_BACKWARD ||
        (habit == LAZY && pieces == of_state))
        take(PIECE);
}

static void behind_backward(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem, (void)tensors;
    if (habit == HOLDS_UNTIL_BACKWARD)
        give_back_one();
}

static const struct {
    enum habit habit;
    uint32_t flags;
    const char *words; /* of the finding; NULL: it passes */
} rows[] = {
    {NONE, 0, NULL},
    {NONE, MOE_ALLOCATES, NULL},
    {OPEN_LEAKS, MOE_ALLOCATES, "close leave"},
    {FORWARD_LEAKS, MOE_ALLOCATES, "close leave"},
    {FORWARD_GROWS, MOE_ALLOCATES, "another forward and backward"},
    {HOLDS_UNTIL_BACKWARD, 0, "forward leaves"},
    {HOLDS_UNTIL_BACKWARD, MOE_ALLOCATES, NULL},
    {LAZY, 0, "the first calls leave"},
    {LAZY, MOE_ALLOCATES, NULL},
    {LEAKS_LITTLE, 0, NULL}, /* below what can be told from an allocator's stock */
};

START_TEST(habits)
{
    struct moe_problem problem = impostor_start(LINE);
    struct moe_variant variant = impostor_variant;
    const struct moe_judge_options options = {.checks = "footprint"};
    struct moe_report report;
    habit = rows[_i].habit;
    impostor.after_forward = behind_forward;
    impostor.after_backward = behind_backward;
    variant.flags = rows[_i].flags;
    variant.open = open_habit;
    variant.close = close_habit;
    ck_assert_int_eq(moe_judge_variant(&problem, &variant, &options, &report), MOE_OK);
    while (pieces > 0)
        give_back_one();
    if (!rows[_i].words) {
        ck_assert_msg(report.verdict == MOE_PASS, "%d: %s", _i, report.finding[0].text);
        return;
    }
    const struct moe_finding *finding = must_find(&report, "footprint", -1, rows[_i].words);
    ck_assert_msg(strstr(finding->text, rows[_i].words) != NULL, "%d: %s", _i, finding->text);
    const char *number = strpbrk(finding->text, "0123456789");
    ck_assert_msg(number && atoll(number) >= (long long)PIECE &&
                      atoll(number) < 3 * (long long)PIECE,
                  "%d: %s", _i, finding->text);
}
END_TEST

/* A sanitizer's allocator tells malloc's statistics nothing. */
static int can_measure(void)
{
    const int64_t before = moe_held_bytes();
    void *memory = malloc(PIECE);
    const int64_t after = memory ? moe_held_bytes() : before;
    free(memory);
    return after - before >= (int64_t)PIECE;
}

int main(void)
{
    if (!can_measure()) {
        printf("1..1\nok 1 - footprint # SKIP malloc's statistics are not kept here\n");
        return 0;
    }
    Suite *suite = suite_create("footprint");
    TCase *tests = tcase_create("footprint");
    tcase_add_loop_test(tests, habits, 0, COUNT(rows));
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
