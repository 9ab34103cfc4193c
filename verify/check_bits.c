/*
 * check_bits.c - products in bits, on any data, where the recipe declares instruction and order.
 *
 * What a tensor core computes is known to the last bit (ref/mma.c) once its order over k is. So an
 * output that is one declared product away from tensors that the judge holds has exactly one right
 * value, whatever the data:
 *   logits  X Wr^T, + br                              z    X W1^T, + b1; (s X) W1^T where s X is
 * rounded o       A W2^T, + b2, of a token with one row     dw2  dO^T A or dO^T (s A), beta=0 the
 * last two where A is known in bits from the z that was stored (relu, relu2, reglu). Between
 * product and store stand only what the recipe settles: the bias and the score in its elementwise
 * arithmetic, roundings that always or never happen. Where one only may, or where results may be
 * flushed to zero, nothing is said. Zeros of either sign are equal, and so are NaNs.
 *
 * It must catch what no bound can: two k blocks swapped, a block added in f32 instead of on the
 * tensor core, a sum rounded to nearest that is truncated, a split of k other than declared.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verify/judge.h"

/* What came of the elements of one output. */
struct counting {
    enum moe_tensor_id tensor;
    int64_t total, wrong;
    int64_t row, col; /* the first wrong one */
    double got, want;
};

/* C [rows,cols] = A [rows,k] B [cols,k]^T, both of these in one allocation. */
struct product {
    enum moe_product which;
    int64_t rows, cols, k;
    double *a, *b;
    double *bias; /* [cols]; NULL: none */
    float *start, *c;
};

static void product_free(struct product *product)
{
    free(product->a);
    free(product->b);
    free(product->bias);
    free(product->start);
    free(product->c);
}

static int product_make(enum moe_product which, int64_t rows, int64_t cols, int64_t k, int biased,
                        struct product *product)
{
    size_t c = (size_t)(rows * cols) + 1;
    *product = (struct product){.which = which, .rows = rows, .cols = cols, .k = k};
    product->a = malloc(((size_t)(rows * k) + 1) * sizeof(double));
    product->b = malloc(((size_t)(cols * k) + 1) * sizeof(double));
    product->bias = biased ? malloc(((size_t)cols + 1) * sizeof(double)) : NULL;
    product->start = biased ? malloc(c * sizeof(float)) : NULL;
    product->c = malloc(c * sizeof(float));
    if (product->a && product->b && product->c && (!biased || (product->bias && product->start)))
        return MOE_OK;
    product_free(product);
    return moe_error(MOE_E_NOMEM, "no memory for a product of %lld x %lld x %lld", (long long)rows,
                     (long long)cols, (long long)k);
}

/* ---- what the recipe settles ------------------------------------------------------------------
 */

static int always(const struct moe_recipe *recipe, enum moe_point point, enum moe_dtype to)
{
    return recipe->at[point].when == MOE_ALWAYS && recipe->at[point].to == to;
}

/* Is it known whether a value is rounded there, `stored` being the type it is stored in anyway? */
static int settled(const struct moe_recipe *recipe, enum moe_point point, enum moe_dtype stored)
{
    return recipe->at[point].when != MOE_MAY || recipe->at[point].to == stored;
}

static int declared(const struct moe_judgement *judgement, enum moe_product which)
{
    const struct moe_recipe *recipe = &judgement->recipe;
    return recipe->product[which].order.instruction != MOE_NO_INSTRUCTION && !recipe->flush_to_zero;
}

/* Is the score that the kernel multiplies by the one that it stores? */
static int score_known(const struct moe_judgement *judgement)
{
    enum moe_dtype stored = judgement->tensors.tensor[MOE_SCORES].dtype;
    return judgement->problem->router == MOE_LISTS ||
           always(&judgement->recipe, MOE_AT_SCORES, stored);
}

/* Is A a function of the stored z in bits? One product of two numbers, rounded, or z itself. */
static int activation_known(const struct moe_judgement *judgement)
{
    const struct moe_problem *problem = judgement->problem;
    int simple = problem->act == MOE_RELU || problem->act == MOE_RELU2 || problem->act == MOE_REGLU;
    return simple && judgement->tensors.tensor[MOE_Z].data &&
           always(&judgement->recipe, MOE_AT_Z, problem->dtype) &&
           always(&judgement->recipe, MOE_AT_A, problem->dtype);
}

/* The same of s A, or of A itself where the score does not meet it. */
static int weighted_known(const struct moe_judgement *judgement, int weighted)
{
    return activation_known(judgement) &&
           (!weighted || (score_known(judgement) &&
                          always(&judgement->recipe, MOE_AT_SA, judgement->problem->dtype)));
}

/* ---- values ------------------------------------------------------------------------------------
 */

static double rounded(const struct moe_judgement *judgement, enum moe_dtype to, double value)
{
    return moe_dtype_round(to, value, judgement->recipe.saturate);
}

/* A result of the arithmetic outside of products. */
static double computed(const struct moe_judgement *judgement, double value)
{
    return moe_dtype_round(judgement->recipe.elementwise, value, 0);
}

static double at_point(const struct moe_judgement *judgement, enum moe_point point, double value)
{
    const struct moe_recipe *recipe = &judgement->recipe;
    return recipe->at[point].when == MOE_ALWAYS ? rounded(judgement, recipe->at[point].to, value)
                                                : value;
}

static void load(const struct moe_judgement *judgement, enum moe_tensor_id id, int64_t first,
                 int64_t count, double *values)
{
    const struct moe_tensor *tensor = &judgement->tensors.tensor[id];
    for (int64_t i = 0; i < count; i++)
        values[i] =
            moe_dtype_load(tensor->dtype, tensor->data, moe_tensor_position(tensor, first + i));
}

/* Rows [count,H] of the tokens listed. */
static void load_tokens(const struct moe_judgement *judgement, enum moe_tensor_id id,
                        const int64_t *tokens, int64_t count, double *values)
{
    int64_t H = judgement->problem->H;
    for (int64_t r = 0; r < count; r++)
        load(judgement, id, tokens[r] * H, H, values + r * H);
}

static double score_of(const struct moe_judgement *judgement, int64_t row)
{
    return judgement->routing.score[judgement->routing.row_entry[row]];
}

/* A of a row of z, times its score where `weighted`, into values [I] `step` apart. */
static int load_activation(const struct moe_judgement *judgement, int64_t row, int weighted,
                           double *values, int64_t step)
{
    const struct moe_problem *problem = judgement->problem;
    const struct moe_act_info *act = moe_act_info(problem->act);
    int64_t Z = moe_problem_z_rows(problem), I = problem->I;
    double *z = malloc((size_t)Z * sizeof *z);
    if (!z)
        return moe_error(MOE_E_NOMEM, "no memory for a row of z");
    load(judgement, MOE_Z, row * Z, Z, z);
    for (int64_t i = 0; i < I; i++) {
        int64_t gate = i, up = 0;
        if (act->gated && problem->w1 == MOE_W1_HALVES)
            up = I + i;
        else if (act->gated && problem->w1 == MOE_W1_INTERLEAVED)
            gate = 2 * i, up = 2 * i + 1;
        else if (act->gated)
            gate = i / 8 * 16 + i % 8, up = gate + 8;
        double a = act->gate(z[gate], 0);
        if (act->gated)
            a *= act->up(z[up], 0);
        a = rounded(judgement, problem->dtype, computed(judgement, a));
        if (weighted)
            a = rounded(judgement, problem->dtype,
                        computed(judgement, score_of(judgement, row) * a));
        values[i * step] = a;
    }
    free(z);
    return MOE_OK;
}

/* ---- a product and its store -------------------------------------------------------------------
 */

static int multiply(const struct moe_judgement *judgement, struct product *product)
{
    const struct moe_order *order = &judgement->recipe.product[product->which].order;
    int first = product->bias && order->bias_first;
    for (int64_t i = 0; first && i < product->rows * product->cols; i++)
        product->start[i] = (float)product->bias[i % product->cols];
    int status =
        moe_mma_product(order, judgement->problem->dtype, product->rows, product->cols, product->k,
                        product->a, product->b, first ? product->start : NULL, product->c);
    return status == MOE_E_USAGE ? MOE_E_INTERNAL : status; /* the recipe is wrong, not the user */
}

/* An element after its bias. */
static double sum_of(const struct moe_judgement *judgement, const struct product *product,
                     int64_t row, int64_t col)
{
    double sum = product->c[row * product->cols + col];
    int added = product->bias && !judgement->recipe.product[product->which].order.bias_first;
    return added ? computed(judgement, sum + product->bias[col]) : sum;
}

static void compare(const struct moe_judgement *judgement, struct counting *counting, int64_t row,
                    int64_t col, double want)
{
    const struct moe_tensor *tensor = &judgement->tensors.tensor[counting->tensor];
    int64_t index = row * tensor->shape[tensor->rank - 1] + col;
    double got = moe_dtype_load(tensor->dtype, tensor->data, moe_tensor_position(tensor, index));
    want = rounded(judgement, tensor->dtype, want);
    counting->total++;
    if (got == want || (isnan(got) && isnan(want)))
        return;
    if (counting->wrong++ > 0)
        return;
    counting->row = row;
    counting->col = col;
    counting->got = got;
    counting->want = want;
}

static void report(struct moe_judgement *judgement, const struct counting *counting)
{
    if (counting->wrong == 0)
        return;
    struct moe_finding finding = judgement_finding(
        "bits", MOE_FAIL, "%s: %lld of %lld elements have other bits than the order declared gives",
        moe_tensor_info(counting->tensor)->name, (long long)counting->wrong,
        (long long)counting->total);
    finding.tensor = (int32_t)counting->tensor;
    finding.wrong = counting->wrong;
    finding.total = counting->total;
    finding.row = counting->row;
    finding.col = counting->col;
    finding.got = counting->got;
    finding.want = counting->want;
    finding.allowed = 0;
    judgement_locate(judgement, &finding);
    moe_report_add(judgement->report, &finding);
}

/* ---- the outputs -------------------------------------------------------------------------------
 */

static int judge_logits(struct moe_judgement *judgement, struct counting *counting)
{
    const struct moe_problem *p = judgement->problem;
    struct product product;
    if (!settled(&judgement->recipe, MOE_AT_LOGITS, judgement->tensors.tensor[MOE_LOGITS].dtype))
        return MOE_OK;
    int status = product_make(MOE_IN_LOGITS, p->T, p->E, p->H, p->router_bias, &product);
    if (status != MOE_OK)
        return status;
    load(judgement, MOE_X, 0, p->T * p->H, product.a);
    load(judgement, MOE_WR, 0, p->E * p->H, product.b);
    if (product.bias)
        load(judgement, MOE_BR, 0, p->E, product.bias);
    status = multiply(judgement, &product);
    for (int64_t t = 0; t < p->T && status == MOE_OK; t++)
        for (int64_t e = 0; e < p->E; e++)
            compare(judgement, counting, t, e,
                    at_point(judgement, MOE_AT_LOGITS, sum_of(judgement, &product, t, e)));
    product_free(&product);
    return status;
}

/* The rows of one expert, and what stands in them. */
struct rows {
    int64_t expert, first, count;
};

static int judge_z(struct moe_judgement *judgement, const struct rows *rows,
                   struct counting *counting)
{
    const struct moe_problem *p = judgement->problem;
    int64_t Z = moe_problem_z_rows(p), H = p->H;
    int scaled = p->weight == MOE_WEIGHT_INPUT;
    struct product product;
    if (!settled(&judgement->recipe, MOE_AT_Z, p->dtype) ||
        (scaled && !(score_known(judgement) && always(&judgement->recipe, MOE_AT_SX, p->dtype))))
        return MOE_OK;
    int status = product_make(MOE_IN_Z, rows->count, Z, H, p->bias, &product);
    if (status != MOE_OK)
        return status;
    load_tokens(judgement, MOE_X, judgement->routing.row_token + rows->first, rows->count,
                product.a);
    for (int64_t i = 0; scaled && i < rows->count * H; i++)
        product.a[i] =
            rounded(judgement, p->dtype,
                    computed(judgement, score_of(judgement, rows->first + i / H) * product.a[i]));
    load(judgement, MOE_W1, rows->expert * Z * H, Z * H, product.b);
    if (product.bias)
        load(judgement, MOE_B1, rows->expert * Z, Z, product.bias);
    status = multiply(judgement, &product);
    for (int64_t i = 0; i < rows->count * Z && status == MOE_OK; i++)
        compare(judgement, counting, rows->first + i / Z, i % Z,
                at_point(judgement, MOE_AT_Z, sum_of(judgement, &product, i / Z, i % Z)));
    product_free(&product);
    return status;
}

/* o of tokens that have this row and no other. */
static int judge_o(struct moe_judgement *judgement, const struct rows *rows,
                   struct counting *counting)
{
    const struct moe_problem *p = judgement->problem;
    const struct moe_routing *routing = &judgement->routing;
    int before = p->weight == MOE_WEIGHT_BEFORE_W2, after = p->weight == MOE_WEIGHT_AFTER_W2;
    struct product product;
    if (p->shared > 0 || judgement->recipe.at[MOE_AT_Y].when == MOE_MAY ||
        !weighted_known(judgement, before) || (after && !score_known(judgement)))
        return MOE_OK;
    int status = product_make(MOE_IN_Y, rows->count, p->H, p->I, p->bias, &product);
    for (int64_t r = 0; r < rows->count && status == MOE_OK; r++)
        status = load_activation(judgement, rows->first + r, before, product.a + r * p->I, 1);
    if (status != MOE_OK)
        return status;
    load(judgement, MOE_W2, rows->expert * p->H * p->I, p->H * p->I, product.b);
    if (product.bias)
        load(judgement, MOE_B2, rows->expert * p->H, p->H, product.bias);
    status = multiply(judgement, &product);
    for (int64_t r = 0; r < rows->count && status == MOE_OK; r++) {
        int64_t row = rows->first + r, t = routing->row_token[row], of_token = 0;
        for (int64_t e = routing->token_begin[t]; e < routing->token_begin[t + 1]; e++)
            of_token += routing->entry_row[e] >= 0;
        for (int64_t h = 0; h < p->H && of_token == 1; h++) {
            double y = at_point(judgement, MOE_AT_Y, sum_of(judgement, &product, r, h));
            compare(judgement, counting, t, h,
                    after ? computed(judgement, score_of(judgement, row) * y) : y);
        }
    }
    product_free(&product);
    return status;
}

static int judge_dw2(struct moe_judgement *judgement, const struct rows *rows,
                     struct counting *counting)
{
    const struct moe_problem *p = judgement->problem;
    int weighted = p->weight != MOE_WEIGHT_INPUT;
    int64_t H = p->H, I = p->I, count = rows->count;
    struct product product;
    if (p->beta || !weighted_known(judgement, weighted))
        return MOE_OK;
    int status = product_make(MOE_IN_DW2, H, I, count, 0, &product);
    if (status != MOE_OK)
        return status;
    for (int64_t r = 0; r < count && status == MOE_OK; r++) {
        int64_t token = judgement->routing.row_token[rows->first + r];
        for (int64_t h = 0; h < H; h++)
            load(judgement, MOE_DO, token * H + h, 1, product.a + h * count + r);
        status = load_activation(judgement, rows->first + r, weighted, product.b + r, count);
    }
    if (status == MOE_OK)
        status = multiply(judgement, &product);
    for (int64_t i = 0; i < H * I && status == MOE_OK; i++)
        compare(judgement, counting, rows->expert * H + i / I, i % I,
                sum_of(judgement, &product, i / I, i % I));
    product_free(&product);
    return status;
}

/* Outputs that are judged expert by expert. */
static const struct {
    enum moe_tensor_id tensor;
    enum moe_product product;
    int (*judge)(struct moe_judgement *, const struct rows *, struct counting *);
} outputs[] = {
    {MOE_Z, MOE_IN_Z, judge_z},
    {MOE_O, MOE_IN_Y, judge_o},
    {MOE_DW2, MOE_IN_DW2, judge_dw2},
};

static int after(struct moe_judgement *judgement)
{
    const struct moe_routing *routing = &judgement->routing;
    const struct moe_tensor *tensors = judgement->tensors.tensor;
    if (!routing->token_begin)
        return judgement_idle(judgement);
    struct counting logits = {.tensor = MOE_LOGITS};
    int status = MOE_OK;
    judgement->idle = 1; /* until a product is declared */
    if (tensors[MOE_LOGITS].data && declared(judgement, MOE_IN_LOGITS)) {
        judgement->idle = 0;
        status = judge_logits(judgement, &logits);
    }
    report(judgement, &logits);
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs && status == MOE_OK; i++) {
        struct counting counting = {.tensor = outputs[i].tensor};
        if (!tensors[outputs[i].tensor].data || !declared(judgement, outputs[i].product))
            continue;
        judgement->idle = 0;
        for (int64_t e = 0; e < routing->E && status == MOE_OK; e++) {
            struct rows rows = {e, routing->expert_begin[e],
                                routing->expert_begin[e + 1] - routing->expert_begin[e]};
            status = outputs[i].judge(judgement, &rows, &counting);
        }
        report(judgement, &counting);
    }
    return status;
}

const struct moe_check moe_check_bits = {
    .name = "bits",
    .summary = "products of a declared order over k, bit for bit as the tensor core computes them",
    .after = after,
};
