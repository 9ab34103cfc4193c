/*
 * statistics_scores.c - scores whose products are rounded by errors that are not random.
 *
 * Numbers x = k 2^j of a type have whole k of p bits. A product with a score s has a fraction of
 * s k to be rounded away, and for most s that is spread like a random one. Not so close to a number
 * of few bits: with s = 1 - 2^-10 all s k of bf16 round back to k, with s = 3/2 half of them are
 * ties. So what rounding does with s is tried: with runs of successive k, at places spread over
 * all.
 */
#include <math.h>

#include "verify/statistics.h"

#define PLACES 16
#define RUN 8

/* Errors whose squares are so many times those of random ones are not for the groups. */
#define LARGE 1.25

struct score_errors {
    double gain;   /* <err, s k> / <s k, s k> */
    double square; /* mean of err^2 to that of random errors */
};

static struct score_errors errors_of(const struct moe_problem *problem, double score)
{
    const struct moe_dtype_info *type = moe_dtype_info(problem->dtype);
    double errors = 0, squares = 0, random = 0, values = 0;
    double first = ldexp(1, type->fraction_bits);
    int exponent;
    double s = 2 * frexp(fabs(score), &exponent); /* in [1, 2), or 0 */
    if (s == 0 || type->bits > 32)                /* f64 has no room for s k */
        return (struct score_errors){0, 1};
    for (int place = 0; place < PLACES; place++)
        for (int i = 0; i < RUN; i++) {
            double value = s * (first + place * first / PLACES + i);
            double step = value < 2 * first ? 1 : 2;
            double error = step * rint(value / step) - value;
            errors += error * value;
            values += value * value;
            squares += error * error;
            random += step * step / 12;
        }
    return (struct score_errors){errors / values, squares / random};
}

int statistics_score_lines_up(const struct moe_problem *problem, double score)
{
    return errors_of(problem, score).square > LARGE;
}

/* Rows count by their scores' squares, as in the variance of a sum over them. */
#define ALIKE 64

int statistics_expert_lines_up(const struct moe_problem *problem, const struct moe_routing *routing,
                               int64_t expert)
{
    double such = 0, all = 0;
    for (int64_t row = routing->expert_begin[expert]; row < routing->expert_begin[expert + 1];
         row++) {
        double score = routing->score[routing->row_entry[row]];
        all += score * score;
        such += statistics_score_lines_up(problem, score) ? score * score : 0;
    }
    return ALIKE * such > all;
}

int statistics_row_is_alone(const struct moe_routing *routing, int64_t row)
{
    int64_t token = routing->row_token[row], rows = 0;
    for (int64_t p = routing->token_begin[token]; p < routing->token_begin[token + 1]; p++)
        rows += routing->pick[p] >= 0;
    return rows == 1;
}

void statistics_scores_gain(const struct moe_problem *problem, const struct moe_routing *routing,
                            double gain[SCALING_COUNT])
{
    double all = 0, sum[SCALING_COUNT] = {0};
    for (int64_t row = 0; row < routing->N; row++) {
        double score = routing->score[routing->row_entry[row]], square = score * score;
        struct score_errors errors = errors_of(problem, score);
        if (errors.square > LARGE)
            continue;
        all += square;
        sum[SCALED_OPERANDS] += square * errors.gain;
        sum[SCALED_STORES] += statistics_row_is_alone(routing, row) ? square * errors.gain : 0;
    }
    for (int scaling = 0; scaling < SCALING_COUNT; scaling++)
        gain[scaling] = all > 0 ? fabs(sum[scaling]) / all : 0;
}
