/*
 * t_threads.c - a whole run of the reference, values, bounds and variances, is the same to the last
 * bit for any number of threads.
 */
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"

/* Large enough that products have several tiles and that loops over elements are shared out. */
static const char *const lines[] = {
    "T=260 H=520 I=136 E=2 K=1 bias=1 shared=40 shared-gate=1 aux=0.01 routing=first",
    "T=260 H=520 I=264 E=2 K=1 weight=input act=relu2 dtype=f16 routing=first",
    "T=523 H=264 I=520 E=2 K=1 weight=before-w2 act=geglu w1=halves router=sigmoid",
};

/* Everything that was handed out, in its order. */
struct record {
    double *number;
    size_t count, room;
};

static void append(struct record *record, const double *row, size_t count)
{
    if (record->count + count > record->room) {
        record->room = 2 * (record->count + count);
        record->number = realloc(record->number, record->room * sizeof *record->number);
        ck_assert_ptr_nonnull(record->number);
    }
    memcpy(record->number + record->count, row, count * sizeof *row);
    record->count += count;
}

static int keep(void *context, const struct moe_block *block)
{
    const double *const parts[] = {block->value, block->bound, block->variance};
    for (int part = 0; part < COUNT(parts); part++)
        for (int64_t r = 0; r < block->rows && parts[part]; r++)
            append(context, parts[part] + r * block->stride, (size_t)block->cols);
    return MOE_OK;
}

static struct record run(const struct moe_problem *problem, enum moe_dtype precision, int threads)
{
    struct record record = {0};
    struct moe_tensors tensors = tensors_of(problem);
    struct moe_recipe recipe = moe_recipe_plain(problem, MOE_F32);
    struct moe_reference reference = {.problem = problem,
                                      .tensors = tensors.tensor,
                                      .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
                                      .precision = precision,
                                      .recipe = precision == MOE_F64 ? &recipe : NULL,
                                      .variances = precision == MOE_F64,
                                      .take = keep,
                                      .context = &record};
    omp_set_num_threads(threads);
    ck_assert_msg(moe_reference_run(&reference) == MOE_OK, "%s", moe_error_text());
    moe_tensors_free(&tensors);
    return record;
}

START_TEST(same_bits)
{
    enum moe_dtype precision = _i % 2 ? MOE_F32 : MOE_F64;
    struct moe_problem problem = problem_of(lines[_i / 2]);
    struct record one = run(&problem, precision, 1);
    for (int threads = 2; threads <= 3; threads++) {
        struct record many = run(&problem, precision, threads);
        ck_assert_uint_eq(many.count, one.count);
        for (size_t i = 0; i < one.count; i++)
            if (memcmp(&one.number[i], &many.number[i], sizeof *one.number) != 0)
                ck_abort_msg("%s by %d threads: number %zu is %a, not %a", lines[_i / 2], threads,
                             i, many.number[i], one.number[i]);
        free(many.number);
    }
    free(one.number);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *tcase = tcase_create("threads");
    tcase_add_loop_test(tcase, same_bits, 0, 2 * COUNT(lines));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
