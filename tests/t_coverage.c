/*
 * t_coverage.c - the factors, and which pairs of their values can occur together.
 *
 * Feasibility is decided by completing each pair (complete.c), which trusts the text of complaints.
 * Here it is held against an enumeration: the rules of the grammar are written once more below, as
 * functions of the keys that they read; keys tied by rules form components; of each component all
 * combinations are walked, and a pair can occur where one combination, or one of each component,
 * has it. That the rules are the grammar's is tested on random combinations.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

static int count_factors;
static int count_values[MOE_FACTOR_MAX];
static struct moe_problem value_of[MOE_FACTOR_MAX][MOE_FACTOR_VALUES]; /* default but for one key */

static void read_factors(void)
{
    count_factors = moe_factor_count();
    for (int f = 0; f < count_factors; f++) {
        const struct moe_factor *factor = moe_factor_get(f);
        count_values[f] = moe_factor_value_count(f);
        for (int v = 0; v < count_values[f]; v++) {
            value_of[f][v] = moe_problem_default();
            if (moe_problem_set(&value_of[f][v], factor->key, factor->value[v]) != MOE_OK) {
                fprintf(stderr, "%s\n", moe_error_text());
                exit(1);
            }
        }
    }
}

/* ---- the rules, written once more -------------------------------------------------------------
 */

enum {
    E_,
    K_,
    I_,
    DTYPE,
    GRAD,
    ACT,
    W1,
    ROUTER,
    RENORM,
    SCALE,
    GROUPS,
    ROUTER_BIAS,
    SEL_BIAS,
    ROUND,
    ROUND_TO,
    SHARED,
    SHARED_GATE,
    AUX,
    ZLOSS,
    ROUTING,
    DATA,
    KEYS
};

static const char *const key_name[KEYS] = {
    "E",        "K",      "I",           "dtype",  "grad",        "act",      "w1",
    "router",   "renorm", "scale",       "groups", "router-bias", "sel-bias", "round",
    "round-to", "shared", "shared-gate", "aux",    "zloss",       "routing",  "data"};

/* key[k] is a problem that has the value of key k. */
typedef const struct moe_problem *const *keys_t;

static int k_fits(keys_t key)
{
    return key[K_]->K <= key[E_]->E;
}

static int grad_f32(keys_t key)
{
    int narrow = key[DTYPE]->dtype == MOE_BF16 || key[DTYPE]->dtype == MOE_F16;
    return key[GRAD]->grad != MOE_GRAD_F32 || narrow;
}

static int plain_layout(keys_t key)
{
    return key[ACT]->act < MOE_SILU || key[W1]->w1 == MOE_W1_INTERLEAVED;
}

static int eights(keys_t key)
{
    return key[W1]->w1 != MOE_W1_INTERLEAVED8 || key[I_]->I % 8 == 0;
}

static int shared_eights(keys_t key)
{
    return key[W1]->w1 != MOE_W1_INTERLEAVED8 || key[SHARED]->shared % 8 == 0;
}

static int gate_of_something(keys_t key)
{
    return key[SHARED]->shared != 0 || key[SHARED_GATE]->shared_gate == 0;
}

static int lists_have_scores(keys_t key)
{
    return key[ROUTER]->router != MOE_LISTS || (key[RENORM]->renorm == 0 && key[SCALE]->scale == 1);
}

static int lists_have_no_groups(keys_t key)
{
    return key[ROUTER]->router != MOE_LISTS || key[GROUPS]->groups == 0;
}

static int lists_have_no_bias(keys_t key)
{
    return key[ROUTER]->router != MOE_LISTS || key[ROUTER_BIAS]->router_bias == 0;
}

static int lists_have_no_losses(keys_t key)
{
    return key[ROUTER]->router != MOE_LISTS || (key[AUX]->aux == 0 && key[ZLOSS]->zloss == 0);
}

static int normal_already(keys_t key)
{
    return key[ROUTER]->router != MOE_TOPK_SOFTMAX || key[RENORM]->renorm == 0;
}

static int sel_bias_router(keys_t key)
{
    enum moe_router router = key[ROUTER]->router;
    return key[SEL_BIAS]->sel_bias == 0 || router == MOE_SIGMOID || router == MOE_SQRT_SOFTPLUS;
}

static int whole_groups(keys_t key)
{
    return key[GROUPS]->groups == 0 || key[E_]->E % key[GROUPS]->groups == 0;
}

static int groups_hold(keys_t key)
{
    int64_t groups = key[GROUPS]->groups, kept = key[GROUPS]->groups_kept;
    return groups == 0 || key[K_]->K <= key[E_]->E / groups * kept;
}

static int rounded_router(keys_t key)
{
    return key[ROUND]->round == MOE_ROUND_NONE ||
           (key[ROUTER]->router == MOE_SOFTMAX_TOPK && key[RENORM]->renorm == 0);
}

static int rounded_groups(keys_t key)
{
    return key[ROUND]->round == MOE_ROUND_NONE || key[GROUPS]->groups == 0;
}

static int rounded_to(keys_t key)
{
    return key[ROUND]->round != MOE_ROUND_NONE || key[ROUND_TO]->round_to == 128;
}

static int family_of_router(keys_t key)
{
    enum moe_routing_family family = key[ROUTING]->routing;
    int lists = key[ROUTER]->router == MOE_LISTS;
    int listed = family == MOE_ROUTING_DROPPED || family == MOE_ROUTING_RAGGED ||
                 family == MOE_ROUTING_SORTED;
    return family == MOE_ROUTING_TIES ? !lists : !listed || lists;
}

static int family_leaves_enough(keys_t key)
{
    int64_t E = key[E_]->E, K = key[K_]->K;
    enum moe_routing_family family = key[ROUTING]->routing;
    if (family == MOE_ROUTING_FIRST_EMPTY || family == MOE_ROUTING_LAST_EMPTY)
        return K < E;
    return (family != MOE_ROUTING_ODD_EMPTY && family != MOE_ROUTING_TAIL_EMPTY) || 2 * K <= E + 1;
}

static int data_below_f64(keys_t key)
{
    return key[DATA]->data != MOE_DATA_LARGE || key[DTYPE]->dtype != MOE_F64;
}

#define BIT(key) (1u << (key))

static const struct {
    unsigned keys; /* that it reads */
    int (*holds)(keys_t key);
} rules[] = {
    {BIT(K_) | BIT(E_), k_fits},
    {BIT(DTYPE) | BIT(GRAD), grad_f32},
    {BIT(ACT) | BIT(W1), plain_layout},
    {BIT(W1) | BIT(I_), eights},
    {BIT(W1) | BIT(SHARED), shared_eights},
    {BIT(SHARED) | BIT(SHARED_GATE), gate_of_something},
    {BIT(ROUTER) | BIT(RENORM) | BIT(SCALE), lists_have_scores},
    {BIT(ROUTER) | BIT(GROUPS), lists_have_no_groups},
    {BIT(ROUTER) | BIT(ROUTER_BIAS), lists_have_no_bias},
    {BIT(ROUTER) | BIT(AUX) | BIT(ZLOSS), lists_have_no_losses},
    {BIT(ROUTER) | BIT(RENORM), normal_already},
    {BIT(ROUTER) | BIT(SEL_BIAS), sel_bias_router},
    {BIT(GROUPS) | BIT(E_), whole_groups},
    {BIT(GROUPS) | BIT(E_) | BIT(K_), groups_hold},
    {BIT(ROUND) | BIT(ROUTER) | BIT(RENORM), rounded_router},
    {BIT(ROUND) | BIT(GROUPS), rounded_groups},
    {BIT(ROUND) | BIT(ROUND_TO), rounded_to},
    {BIT(ROUTING) | BIT(ROUTER), family_of_router},
    {BIT(ROUTING) | BIT(E_) | BIT(K_), family_leaves_enough},
    {BIT(DATA) | BIT(DTYPE), data_below_f64},
};
static const int rule_count = sizeof rules / sizeof rules[0];

/* ---- the enumeration --------------------------------------------------------------------------
 */

struct walk {
    int factor[KEYS];   /* of each key */
    unsigned component; /* the keys that are walked */
    int value[KEYS];
    const struct moe_problem *problem[KEYS];
    uint8_t (
        *met)[KEYS][MOE_FACTOR_VALUES][MOE_FACTOR_VALUES]; /* [KEYS]; value alone at [k][k][v][v] */
};

/* Do the rules hold that read `newest` and otherwise only what is set? */
static int fits(const struct walk *walk, unsigned set, int newest)
{
    for (int r = 0; r < rule_count; r++)
        if (rules[r].keys & BIT(newest) && (rules[r].keys & ~set) == 0 &&
            !rules[r].holds(walk->problem))
            return 0;
    return 1;
}

/* Walks the keys from `key` on; those below it that belong to the component are set. */
static void walk_from(struct walk *walk, int key, unsigned set)
{
    while (key < KEYS && !(walk->component & BIT(key)))
        key++;
    if (key == KEYS) {
        for (int a = 0; a < KEYS; a++)
            for (int b = a; b < KEYS && set & BIT(a); b++)
                if (set & BIT(b))
                    walk->met[a][b][walk->value[a]][walk->value[b]] = 1;
        return;
    }
    int f = walk->factor[key];
    for (int v = 0; v < count_values[f]; v++) {
        walk->value[key] = v;
        walk->problem[key] = &value_of[f][v];
        if (fits(walk, set | BIT(key), key))
            walk_from(walk, key + 1, set | BIT(key));
    }
}

/* The keys that rules tie to `key`, directly or through others. */
static unsigned component_of(int key)
{
    unsigned component = BIT(key), before = 0;
    while (component != before) {
        before = component;
        for (int r = 0; r < rule_count; r++)
            if (rules[r].keys & component)
                component |= rules[r].keys;
    }
    return component;
}

/* Number of the factor's key among those that rules read, or -1. */
static int key_of(int factor)
{
    for (int k = 0; k < KEYS; k++)
        if (strcmp(moe_factor_get(factor)->key, key_name[k]) == 0)
            return k;
    return -1;
}

/* By the enumeration: can the two values occur together? */
static int can_occur(const struct walk *walk, int f, int v, int g, int w)
{
    int a = key_of(f), b = key_of(g);
    if (a >= 0 && b >= 0 && component_of(a) & BIT(b))
        return a < b ? walk->met[a][b][v][w] : walk->met[b][a][w][v];
    return (a < 0 || walk->met[a][a][v][v]) && (b < 0 || walk->met[b][b][w][w]);
}

START_TEST(test_enumeration_agrees)
{
    struct moe_coverage coverage;
    struct walk walk = {.component = 0};
    unsigned done = 0;
    int feasible = 0, infeasible = 0;
    walk.met = calloc(KEYS, sizeof *walk.met);
    ck_assert_ptr_nonnull(walk.met);
    for (int k = 0; k < KEYS; k++) {
        walk.factor[k] = moe_factor_index(key_name[k]);
        ck_assert_int_ge(walk.factor[k], 0);
    }
    for (int k = 0; k < KEYS; k++) {
        if (done & BIT(k))
            continue;
        walk.component = component_of(k);
        done |= walk.component;
        walk_from(&walk, 0, 0);
    }
    ck_assert_int_eq(moe_coverage_create(&coverage), MOE_OK);
    for (int f = 0; f < count_factors; f++)
        for (int v = 0; v < count_values[f]; v++)
            for (int g = f + 1; g < count_factors; g++)
                for (int w = 0; w < count_values[g]; w++) {
                    int can = can_occur(&walk, f, v, g, w);
                    int open = moe_coverage_pair(&coverage, f, v, g, w) == MOE_PAIR_OPEN;
                    ck_assert_msg(can == open, "%s=%s %s=%s: %s, but by enumeration %s",
                                  moe_factor_get(f)->key, moe_factor_get(f)->value[v],
                                  moe_factor_get(g)->key, moe_factor_get(g)->value[w],
                                  open ? "can" : "cannot", can ? "can" : "cannot");
                    feasible += can;
                    infeasible += !can;
                }
    ck_assert_int_eq(coverage.pairs_feasible, feasible);
    ck_assert_int_eq(coverage.pairs_infeasible, infeasible);
    ck_assert_int_gt(infeasible, 100); /* the rules do forbid something */
    ck_assert_int_eq(coverage.values_feasible, coverage.values);
    moe_coverage_free(&coverage);
    free(walk.met);
}
END_TEST

/* The rules above are those of moe_problem_validate(), on random cases: about one in two plain, so
 * that many are valid, and many break one rule alone. */
START_TEST(test_rules_are_the_grammars)
{
    uint64_t index = 0;
    int valid = 0, cases = 20000;
    for (int i = 0; i < cases; i++) {
        struct moe_problem problem = moe_problem_default();
        const struct moe_problem *of[KEYS];
        uint32_t plain = moe_dice_roll(1, 9, &index, 12);
        int holds = 1;
        for (int f = 0; f < count_factors; f++) {
            int value = moe_dice_roll(1, 9, &index, 12) < plain
                            ? 0
                            : (int)moe_dice_roll(1, 9, &index, (uint32_t)count_values[f]);
            moe_problem_set(&problem, moe_factor_get(f)->key, moe_factor_get(f)->value[value]);
            if (key_of(f) >= 0)
                of[key_of(f)] = &value_of[f][value];
        }
        for (int r = 0; r < rule_count; r++)
            holds &= rules[r].holds(of);
        int accepted = moe_problem_validate(&problem) == MOE_OK;
        char line[1024];
        moe_problem_print(&problem, line, sizeof line);
        ck_assert_msg(accepted == holds, "%s: %s", line, accepted ? "accepted" : moe_error_text());
        valid += accepted;
    }
    ck_assert_int_gt(valid, cases / 20);
    ck_assert_int_lt(valid, cases - cases / 20);
}
END_TEST

/* ---- the factors ------------------------------------------------------------------------------
 */

/* Every key that the grammar has is varied, the seed excepted, which is drawn for each case. */
START_TEST(test_every_key_is_a_factor)
{
    const struct moe_problem_key *key;
    int keys = 0;
    for (; (key = moe_problem_key(keys)) != NULL; keys++)
        ck_assert_msg(moe_factor_index(key->name) >= 0 || strcmp(key->name, "seed") == 0, "%s",
                      key->name);
    ck_assert_int_eq(keys, count_factors + 1);
}
END_TEST

/* Every name that a key takes is among the values of its row. */
START_TEST(test_every_name_is_a_value)
{
#define FIELD(name) offsetof(struct moe_problem, name)
    static const struct {
        const char *key;
        size_t field;
        int count;
    } named[] = {
        {"dtype", FIELD(dtype), MOE_F64 + 1},
        {"grad", FIELD(grad), MOE_GRAD_COUNT},
        {"act", FIELD(act), MOE_ACT_COUNT},
        {"w1", FIELD(w1), MOE_W1_COUNT},
        {"router", FIELD(router), MOE_ROUTER_COUNT},
        {"renorm", FIELD(renorm), 2},
        {"bias", FIELD(bias), 2},
        {"router-bias", FIELD(router_bias), 2},
        {"sel-bias", FIELD(sel_bias), 2},
        {"round", FIELD(round), MOE_ROUND_COUNT},
        {"weight", FIELD(weight), MOE_WEIGHT_COUNT},
        {"shared-gate", FIELD(shared_gate), 2},
        {"beta", FIELD(beta), 2},
        {"routing", FIELD(routing), MOE_ROUTING_COUNT},
        {"data", FIELD(data), MOE_DATA_COUNT},
    };
#undef FIELD
    for (size_t n = 0; n < sizeof named / sizeof named[0]; n++) {
        int f = moe_factor_index(named[n].key);
        ck_assert_msg(f >= 0, "%s", named[n].key);
        for (int name = 0; name < named[n].count; name++) {
            int found = 0;
            for (int v = 0; v < count_values[f]; v++)
                found |= memcmp((char *)&value_of[f][v] + named[n].field, &name, sizeof name) == 0;
            ck_assert_msg(found, "%s: no value stands for number %d", named[n].key, name);
        }
    }
}
END_TEST

/* No value stands twice, and the first ones together are a case. */
START_TEST(test_values_differ)
{
    struct moe_assignment plainest = {.value = {0}};
    struct moe_problem problem;
    for (int f = 0; f < count_factors; f++) {
        plainest.fixed[f] = 1;
        for (int v = 0; v < count_values[f]; v++)
            for (int w = 0; w < v; w++)
                ck_assert_msg(memcmp(&value_of[f][v], &value_of[f][w], sizeof problem) != 0,
                              "%s: %s and %s", moe_factor_get(f)->key, moe_factor_get(f)->value[v],
                              moe_factor_get(f)->value[w]);
    }
    ck_assert_msg(moe_assignment_complete(&plainest, &problem) == MOE_OK, "%s", moe_error_text());
}
END_TEST

/* ---- completing -------------------------------------------------------------------------------
 */

/* What is fixed stays, what is completed has a meaning, and no more than needed changes. */
START_TEST(test_complete)
{
    struct moe_assignment assignment = {.value = {0}};
    struct moe_problem problem;
    int gate = moe_factor_index("shared-gate"), round = moe_factor_index("round-to");
    assignment.value[gate] = 1;
    assignment.value[round] = 1;
    assignment.fixed[gate] = assignment.fixed[round] = 1;
    ck_assert_msg(moe_assignment_complete(&assignment, &problem) == MOE_OK, "%s", moe_error_text());
    ck_assert_int_eq(moe_problem_validate(&problem), MOE_OK);
    ck_assert_int_eq(problem.shared_gate, 1);
    ck_assert_int_eq(problem.round_to, value_of[round][1].round_to);
    int changed = 0;
    for (int f = 0; f < count_factors; f++)
        changed += assignment.value[f] != 0;
    ck_assert_int_eq(changed, 5); /* the two, and shared, round, router */

    struct moe_assignment before, hopeless = {.value = {0}};
    int sel = moe_factor_index("sel-bias");
    hopeless.value[round] = hopeless.value[sel] = 1;
    hopeless.fixed[round] = hopeless.fixed[sel] = 1;
    before = hopeless;
    ck_assert_int_eq(moe_assignment_complete(&hopeless, &problem), MOE_E_UNSUPPORTED);
    ck_assert_mem_eq(&before, &hopeless, sizeof before);
}
END_TEST

/* ---- counting ---------------------------------------------------------------------------------
 */

static int is_seen(const struct moe_coverage *coverage, const char *key, const char *value,
                   const char *other_key, const char *other_value)
{
    int f = moe_factor_index(key), g = moe_factor_index(other_key), v = 0, w = 0;
    while (strcmp(moe_factor_get(f)->value[v], value) != 0)
        v++;
    while (strcmp(moe_factor_get(g)->value[w], other_value) != 0)
        w++;
    return moe_coverage_pair(coverage, f, v, g, w) == MOE_PAIR_SEEN;
}

START_TEST(test_add)
{
    struct moe_coverage coverage;
    struct moe_problem problem;
    int pairs = count_factors * (count_factors - 1) / 2;
    ck_assert_int_eq(moe_coverage_create(&coverage), MOE_OK);
    /* Every number of this case is one that a row lists. */
    ck_assert_int_eq(moe_problem_parse("T=17 H=8 I=16 E=8 K=2 dtype=f32 act=relu", &problem),
                     MOE_OK);
    ck_assert_int_eq(moe_coverage_add(&coverage, &problem), pairs);
    ck_assert_int_eq(moe_coverage_add(&coverage, &problem), 0);
    ck_assert_int_eq(coverage.pairs_seen, pairs);
    ck_assert_int_eq(coverage.values_seen, count_factors);
    ck_assert(is_seen(&coverage, "T", "17", "act", "relu"));
    ck_assert(is_seen(&coverage, "dtype", "f32", "shared", "0"));
    ck_assert(!is_seen(&coverage, "T", "17", "act", "silu"));
    ck_assert(!is_seen(&coverage, "T", "16", "act", "relu"));
    /* A number that no row lists adds no value and no pair; the other key's pairs count. */
    ck_assert_int_eq(moe_problem_parse("T=1000 H=8 I=16 E=8 K=2 dtype=f64 act=relu", &problem),
                     MOE_OK);
    ck_assert_int_eq(moe_coverage_add(&coverage, &problem), count_factors - 2);
    ck_assert_int_eq(coverage.values_seen, count_factors + 1);
    /* A seed is no factor; a clamp is. */
    ck_assert_int_eq(moe_problem_parse("T=17 H=8 I=16 E=8 K=2 dtype=f32 act=relu seed=9", &problem),
                     MOE_OK);
    ck_assert_int_eq(moe_coverage_add(&coverage, &problem), 0);
    ck_assert_int_eq(
        moe_problem_parse("T=17 H=8 I=16 E=8 K=2 dtype=f32 act=swiglu-clamp:0.5", &problem),
        MOE_OK);
    ck_assert_int_eq(moe_coverage_add(&coverage, &problem), count_factors - 1);
    ck_assert_int_eq(
        moe_problem_parse("T=17 H=8 I=16 E=8 K=2 dtype=f32 act=swiglu-clamp:10", &problem), MOE_OK);
    ck_assert_int_eq(moe_coverage_add(&coverage, &problem), count_factors - 1);
    moe_coverage_free(&coverage);
}
END_TEST

int main(void)
{
    read_factors();
    Suite *suite = suite_create("coverage");
    TCase *tcase = tcase_create("coverage");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, test_every_key_is_a_factor);
    tcase_add_test(tcase, test_every_name_is_a_value);
    tcase_add_test(tcase, test_values_differ);
    tcase_add_test(tcase, test_rules_are_the_grammars);
    tcase_add_test(tcase, test_enumeration_agrees);
    tcase_add_test(tcase, test_complete);
    tcase_add_test(tcase, test_add);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
