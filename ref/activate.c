/*
 * activate.c - activations of whole rows, forward and backward, with their bounds.
 *
 * Gated: A = gate(g) up(u); dg = G up(u) gate'(g), du = G gate(g) up'(u), with G = s dA'.
 * Plain: A = gate(z); dz = G gate'(z). The bounds follow doc/bounds.md: gate's by its slope and
 * curvature or by its Lipschitz constant, whichever is smaller; its slope's by the curvature, and
 * by the jump where a kink is within reach. What may overflow in the kernel's arithmetic has no
 * bound: a product, or a power of the argument on its way into exp or tanh.
 */
#include <math.h>

#include "ref/internal.h"

int64_t gate_column(enum moe_w1_layout layout, int64_t units, int64_t i)
{
    (void)units;
    if (layout == MOE_W1_INTERLEAVED)
        return 2 * i;
    return layout == MOE_W1_INTERLEAVED8 ? i / 8 * 16 + i % 8 : i;
}

int64_t up_column(enum moe_w1_layout layout, int64_t units, int64_t i)
{
    if (layout == MOE_W1_INTERLEAVED)
        return 2 * i + 1;
    return layout == MOE_W1_INTERLEAVED8 ? i / 8 * 16 + 8 + i % 8 : units + i;
}

/* The activation of a case with the error of computing it; model NULL: all bounds 0. */
struct activation {
    const struct moe_act_info *info;
    const struct error_model *model;
    double c;
    int cubic; /* its formula has a third power */
};

/* Multiples of its argument that a function may form, such as 1.702 g, or half of a sum of two. */
#define MULTIPLES 8

static struct near product_of(const struct error_model *model, struct near a, struct near b)
{
    struct near p = {a.value * b.value, 0, 0};
    if (model) {
        double x = fabs(a.value), y = fabs(b.value);
        p.bound = x * b.bound + a.bound * y + a.bound * b.bound;
        p.bound += model->step * (x + a.bound) * (y + b.bound) + model->loss;
        p.bound += model->flush * (x + a.bound + y + b.bound + model->flush);
        p.bound = error_beyond(p.bound, (x + a.bound) * (y + b.bound), model->largest);
        double own = model->step * x * y + model->loss;
        p.variance = x * x * b.variance + a.variance * (y * y + b.variance) + own * own;
    }
    return p;
}

/* May the argument, or the kink as the kernel rounds it, lie on the other side of the kink? */
static int kink_within_reach(const struct activation *act, struct near x)
{
    if (act->info->kinks == 0)
        return 0;
    double kink = act->info->kink_at(act->c);
    return !(fabs(x.value - kink) > x.bound + act->model->step * fabs(kink));
}

/* An argument that may be taken for 0 where it is subnormal. */
static struct near taken(const struct activation *act, struct near x)
{
    if (act->model)
        x.bound += act->model->flush;
    return x;
}

static struct near gate_of(const struct activation *act, struct near g)
{
    g = taken(act, g);
    struct near f = {act->info->gate(g.value, act->c), 0, 0};
    if (!act->model)
        return f;
    double by_lipschitz = act->info->lipschitz * g.bound;
    double slope = fabs(act->info->gate_slope(g.value, act->c));
    double by_taylor = slope * g.bound + 0.5 * act->info->curvature * g.bound * g.bound;
    int across = kink_within_reach(act, g);
    f.bound = across || by_lipschitz < by_taylor ? by_lipschitz : by_taylor;
    double relative = act->model->function_relative + 4 * act->model->step;
    /* a sigmoid that underflows is multiplied by g */
    double own = relative * (fabs(f.value) + f.bound) +
                 act->model->function_absolute * (fabs(g.value) + g.bound) +
                 act->model->loss * (1 + fabs(g.value) + g.bound);
    f.bound += own;
    f.bound = error_beyond(f.bound, MULTIPLES * (fabs(g.value) + g.bound), act->model->largest);
    f.bound = error_beyond(f.bound, fabs(f.value) + f.bound, act->model->largest);
    double steepest = across ? act->info->lipschitz : slope;
    /* where the slope vanishes the second order counts; a rounding is at most sqrt(3) sigma */
    double second = 1.5 * act->info->curvature * g.variance;
    f.variance = steepest * steepest * g.variance + second * second + own * own;
    return f;
}

static struct near slope_of(const struct activation *act, struct near g)
{
    g = taken(act, g);
    struct near d = {act->info->gate_slope(g.value, act->c), 0, 0};
    if (!act->model)
        return d;
    d.bound = act->info->curvature * g.bound;
    d.variance = act->info->curvature * act->info->curvature * g.variance;
    if (kink_within_reach(act, g)) {
        d.bound += act->info->jump;
        d.variance += act->info->jump * act->info->jump;
    }
    /* slopes have terms up to 2 + 2|g| that may cancel: sigma (1 + g (1 - sigma)), Phi + g phi */
    if (act->info->curvature > 0) {
        double own =
            act->model->function_relative + act->model->function_absolute + 8 * act->model->step;
        own = (own + act->model->loss) * (2 + 2 * (fabs(g.value) + g.bound));
        d.bound += own;
        d.variance += own * own;
    }
    double reach = MULTIPLES * (fabs(g.value) + g.bound);
    d.bound =
        error_beyond(d.bound, act->cubic ? reach * reach * reach : reach, act->model->largest);
    return d;
}

static struct near up_of(const struct activation *act, struct near u)
{
    u = taken(act, u);
    struct near h = {act->info->up(u.value, act->c), 0, 0};
    if (act->model) {
        double own = 2 * act->model->step * (fabs(h.value) + u.bound);
        h.bound = u.bound + own;
        h.variance = u.variance + own * own;
    }
    return h;
}

static struct near up_slope_of(const struct activation *act, struct near u)
{
    u = taken(act, u);
    struct near d = {act->info->up_slope(u.value, act->c), 0, 0};
    if (act->model && act->info->up_limit) {
        double limit = act->info->up_limit(act->c);
        d.bound = fabs(fabs(u.value) - limit) > u.bound + act->model->step * limit ? 0 : 1;
        d.variance = d.bound;
        if (!(u.bound < INFINITY)) /* of NaN */
            d.bound = INFINITY;
    }
    return d;
}

static struct near pick(struct field field, int64_t index)
{
    return (struct near){field.value[index], field.bound ? field.bound[index] : 0,
                         field.variance ? field.variance[index] : 0};
}

static void put(struct field field, int64_t index, struct near value)
{
    field.value[index] = value.value;
    if (field.bound)
        field.bound[index] = value.bound;
    if (field.variance)
        field.variance[index] = value.variance;
}

/* What the rounding that may happen at `point` makes of it. */
static struct near rounded(const struct error_model *model, enum moe_point point, struct near value)
{
    if (model) {
        value.bound = error_at(model, point, value.value, value.bound);
        value.variance = variance_at(model, point, value.value, value.variance);
    }
    return value;
}

static struct activation activation_of(const struct moe_problem *problem,
                                       const struct error_model *model)
{
    int cubic = problem->act == MOE_GEGLU_TANH || problem->act == MOE_GELU_TANH;
    return (struct activation){moe_act_info(problem->act), model, problem->act_clamp, cubic};
}

void activate_rows(const struct moe_problem *problem, const struct error_model *model, int64_t rows,
                   int64_t units, struct field z, struct field a)
{
    struct activation act = activation_of(problem, model);
    int gated = act.info->gated;
    int64_t columns = gated ? 2 * units : units;
#pragma omp parallel for if (rows * units > 4096) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < units; i++) {
            int64_t base = r * columns;
            struct near out;
            if (gated) {
                struct near g = pick(z, base + gate_column(problem->w1, units, i));
                struct near u = pick(z, base + up_column(problem->w1, units, i));
                out = product_of(model, gate_of(&act, g), up_of(&act, u));
            } else {
                out = gate_of(&act, pick(z, base + i));
            }
            put(a, r * units + i, rounded(model, MOE_AT_A, out));
        }
    }
}

static void put_gradient(const struct error_model *model, struct field dz, int64_t index,
                         struct near value)
{
    put(dz, index, rounded(model, MOE_AT_DZ, value));
}

void activate_rows_backward(const struct moe_problem *problem, const struct error_model *model,
                            int64_t rows, int64_t units, struct field z, struct field g_rows,
                            struct field dz)
{
    struct activation act = activation_of(problem, model);
    int gated = act.info->gated;
    int64_t columns = gated ? 2 * units : units;
#pragma omp parallel for if (rows * units > 4096) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < units; i++) {
            struct near g_out = pick(g_rows, r * units + i);
            int64_t base = r * columns;
            if (!gated) {
                put_gradient(model, dz, base + i,
                             product_of(model, g_out, slope_of(&act, pick(z, base + i))));
                continue;
            }
            int64_t at_gate = base + gate_column(problem->w1, units, i);
            int64_t at_up = base + up_column(problem->w1, units, i);
            struct near g = pick(z, at_gate), u = pick(z, at_up);
            struct near through_gate = product_of(model, up_of(&act, u), slope_of(&act, g));
            struct near through_up = product_of(model, gate_of(&act, g), up_slope_of(&act, u));
            put_gradient(model, dz, at_gate, product_of(model, g_out, through_gate));
            put_gradient(model, dz, at_up, product_of(model, g_out, through_up));
        }
    }
}
