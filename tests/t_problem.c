/*
 * t_problem.c - the case line: what is read, what is refused and in which words, and that a printed
 * line means the same case, for what people write and for random cases.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ref/moe.h"

enum { LINE_SIZE = 1024 };

static struct moe_problem parsed(const char *line)
{
    struct moe_problem problem;
    ck_assert_msg(moe_problem_parse(line, &problem) == MOE_OK, "'%s': %s", line, moe_error_text());
    return problem;
}

static const char *printed(const struct moe_problem *problem)
{
    static char line[LINE_SIZE];
    const int length = moe_problem_print(problem, line, sizeof line);
    ck_assert_int_eq(length, (int)strlen(line));
    return line;
}

/* ---- lines that are read -------------------------------------------------------------------- */

static const struct {
    const char *line, *canonical;
} good[] = {
    {"", "T=64 H=64 I=32 E=8 K=2 dtype=bf16"},
    {" \t\r\n", "T=64 H=64 I=32 E=8 K=2 dtype=bf16"},
    {"T=37 H=256 I=128 E=8 K=2 dtype=bf16 act=swiglu router=topk-softmax routing=zipf:1.1 seed=7",
     "T=37 H=256 I=128 E=8 K=2 dtype=bf16 routing=zipf:1.1 seed=7"},
    {"seed=0x10 K=1\tT=0\n", "T=0 H=64 I=32 E=8 K=1 dtype=bf16 seed=16"},
    {"seed=0xFFFFffffFFFFffff", "T=64 H=64 I=32 E=8 K=2 dtype=bf16 seed=18446744073709551615"},
    {"seed=18446744073709551615", "T=64 H=64 I=32 E=8 K=2 dtype=bf16 seed=18446744073709551615"},
    {"T=007 K=08", "T=7 H=64 I=32 E=8 K=8 dtype=bf16"},
    {"act=swiglu-clamp:10", "T=64 H=64 I=32 E=8 K=2 dtype=bf16 act=swiglu-clamp:10"},
    {"act=swiglu-clamp:1e1", "T=64 H=64 I=32 E=8 K=2 dtype=bf16 act=swiglu-clamp:10"},
    {"act=swiglu-clamp:0x1.8p1", "T=64 H=64 I=32 E=8 K=2 dtype=bf16 act=swiglu-clamp:3"},
    {"act=swiglu-clamp:.1", "T=64 H=64 I=32 E=8 K=2 dtype=bf16 act=swiglu-clamp:0.1"},
    {"act=swiglu-clamp:0.30000000000000004",
     "T=64 H=64 I=32 E=8 K=2 dtype=bf16 act=swiglu-clamp:0.30000000000000004"},
    {"router=sigmoid scale=2.5 renorm=1 groups=4/2",
     "T=64 H=64 I=32 E=8 K=2 dtype=bf16 router=sigmoid renorm=1 scale=2.5 groups=4/2"},
    {"router=lists routing=dropped:0.25",
     "T=64 H=64 I=32 E=8 K=2 dtype=bf16 router=lists routing=dropped:0.25"},
    {"groups=0 round=none round-to=128 aux=0.0 scale=1.0", "T=64 H=64 I=32 E=8 K=2 dtype=bf16"},
    {"T=1099511627776 H=1 I=1 E=1 K=1", "T=1099511627776 H=1 I=1 E=1 K=1 dtype=bf16"},
    {"H=2147483647 I=1 E=1 K=1", "T=64 H=2147483647 I=1 E=1 K=1 dtype=bf16"},
    {"E=2147483647 H=1 I=1 K=32768 T=1", "T=1 H=1 I=1 E=2147483647 K=32768 dtype=bf16"},
    {"round=balanced round-to=65536 router=softmax-topk",
     "T=64 H=64 I=32 E=8 K=2 dtype=bf16 router=softmax-topk round=balanced round-to=65536"},
    {"T=3 model=qwen3-30b-a3b K=4 dtype=f32", "T=3 H=2048 I=768 E=128 K=4 dtype=f32"},
    {"K=4 model=qwen3-30b-a3b T=3", "T=3 H=2048 I=768 E=128 K=4 dtype=bf16"},
    {"grad=f32 dtype=f16", "T=64 H=64 I=32 E=8 K=2 dtype=f16 grad=f32"},
};

START_TEST(reads_and_prints)
{
    const struct moe_problem problem = parsed(good[_i].line);
    ck_assert_msg(strcmp(printed(&problem), good[_i].canonical) == 0, "%d: '%s' printed as '%s'",
                  _i, good[_i].line, printed(&problem));
}
END_TEST

START_TEST(empty_line_is_the_default)
{
    const struct moe_problem read = parsed(""), made = moe_problem_default();
    ck_assert_mem_eq(&read, &made, sizeof read);
}
END_TEST

/* ---- lines that are refused ----------------------------------------------------------------- */

static const struct {
    const char *line, *text; /* text: part of the message */
} bad[] = {
    {"T=-1", "T='-1': allowed: an integer, 0 .. 1099511627776"},
    {"T=+1", "T='+1': allowed"},
    {"T=", "T='': allowed"},
    {"T=1.5", "T='1.5': allowed"},
    {"T=1e3", "T='1e3': allowed"},
    {"T=0x10", "T='0x10': allowed"},
    {"T=5k", "T='5k': allowed"},
    {"T=1099511627777", "0 .. 1099511627776"},
    {"T=18446744073709551617", "T='18446744073709551617': allowed"},
    {"H=0", "H='0': allowed: an integer, 1 .. 2147483647"},
    {"I=2147483648", "I='2147483648': allowed"},
    {"E=0", "E='0': allowed"},
    {"K=0", "K='0': allowed: an integer, 1 .. 32768, at most E"},
    {"K=32769 E=40000", "K='32769': allowed"},
    {"K=9", "K='9': allowed: 1 .. E"},
    {"dtype=e4m3", "dtype='e4m3': allowed: bf16 f16 f32 f64"},
    {"dtype=bf", "dtype='bf': allowed"},
    {"dtype=bf16x", "dtype='bf16x': allowed"},
    {"dtype=bf16:1", "dtype='bf16:1': allowed"},
    {"act=swiglu-clamp", "swiglu-clamp:C (C > 0)"},
    {"act=swiglu-clamp:", "act='swiglu-clamp:': allowed"},
    {"act=swiglu-clamp:0", "act='swiglu-clamp:0': allowed"},
    {"act=swiglu-clamp:-1", "act='swiglu-clamp:-1': allowed"},
    {"act=swiglu-clamp:inf", "act='swiglu-clamp:inf': allowed"},
    {"act=swiglu-clamp:nan", "act='swiglu-clamp:nan': allowed"},
    {"act=swiglu-clamp:1,5", "act='swiglu-clamp:1,5': allowed"},
    {"act=swiglu-clamp:1e999", "act='swiglu-clamp:1e999': allowed"},
    {"act=swiglu-clamp:1e-999", "act='swiglu-clamp:1e-999': allowed"},
    {"act=swiglu-clamp:.", "act='swiglu-clamp:.': allowed"},
    {"act=swiglu:1", "act='swiglu:1': allowed"},
    {"act=", "act='': allowed"},
    {"routing=zipf", "zipf:A (0 <= A <= 8)"},
    {"routing=zipf:8.1", "routing='zipf:8.1': allowed"},
    {"routing=dropped:1.5 router=lists", "routing='dropped:1.5': allowed"},
    {"renorm=2", "renorm='2': allowed: 0 1"},
    {"renorm=01", "renorm='01': allowed: 0 1"},
    {"scale=0 router=sigmoid", "scale='0': allowed: a number > 0"},
    {"scale=-2 router=sigmoid", "scale='-2': allowed"},
    {"scale=1e999 router=sigmoid", "scale='1e999': allowed"},
    {"aux=1e-999", "aux='1e-999': allowed"},
    {"aux=-0", "aux='-0': allowed: a number >= 0"},
    {"groups=8", "groups='8': allowed: 0, or G/k with 1 <= k <= G"},
    {"groups=8/", "groups='8/': allowed"},
    {"groups=8/0", "groups='8/0': allowed"},
    {"groups=8/9", "groups='8/9': allowed"},
    {"groups=4/2x", "groups='4/2x': allowed"},
    {"groups=0/1", "groups='0/1': allowed"},
    {"round-to=0 round=up router=softmax-topk", "round-to='0': allowed: an integer, 1 .. 65536"},
    {"seed=18446744073709551616", "seed='18446744073709551616': allowed"},
    {"seed=0x", "seed='0x': allowed"},
    {"seed=0x1g", "seed='0x1g': allowed"},
    {"seed=0x10000000000000000", "seed='0x10000000000000000': allowed"},
    {"seed=-1", "seed='-1': allowed"},
    {"rotuer=lists", "'rotuer' is not a key of a case; the nearest is 'router'"},
    {"t=1", "'t' is not a key of a case; the nearest is 'T'"},
    {"modle=x", "the nearest is 'model'"},
    {"=1", "'' is not a key"},
    {"T=1 T=1", "T stands twice"},
    {"model=dbrx model=dbrx", "model stands twice"},
    {"model=qwen3-30b", "model='qwen3-30b': no such model; the nearest is 'qwen3-30b-a3b'"},
    {"T", "'T': a word without '='"},
    {"T= 5", "'5': a word without '='"},
    {"T=5 6", "'6': a word without '='"},
    {"seed=\x01\xff'%n", "seed='\\x01\\xff'%n': allowed"},
    {"seed=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "seed='aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'"},
    {"T=1099511627776 H=2147483647", "2^62"},
};

START_TEST(refuses)
{
    struct moe_problem problem, before;
    memset(&problem, 0x5a, sizeof problem);
    before = problem;
    ck_assert_msg(moe_problem_parse(bad[_i].line, &problem) == MOE_E_USAGE, "%d: '%s' was read", _i,
                  bad[_i].line);
    ck_assert_msg(strstr(moe_error_text(), bad[_i].text) != NULL, "%d: '%s' says '%s'", _i,
                  bad[_i].line, moe_error_text());
    ck_assert_msg(memcmp(&problem, &before, sizeof problem) == 0, "%d: wrote its output", _i);
    for (const char *c = moe_error_text(); *c != '\0'; c++)
        ck_assert_msg(*c >= ' ' && *c < 0x7f, "%d: message is not one printable line", _i);
}
END_TEST

START_TEST(refuses_long_words)
{
    static char line[1 << 20];
    struct moe_problem problem;
    memset(line, '1', sizeof line - 1);
    ck_assert_int_eq(moe_problem_parse(line, &problem), MOE_E_USAGE);
    ck_assert_msg(strstr(moe_error_text(), "a word of 1048575 characters") != NULL, "%s",
                  moe_error_text());
    memcpy(line, "T=", 2);
    ck_assert_int_eq(moe_problem_parse(line, &problem), MOE_E_USAGE);
    ck_assert_uint_lt(strlen(moe_error_text()), 200);
}
END_TEST

/* ---- combinations --------------------------------------------------------------------------- */

/* Each rule beside its nearest line that holds. */
static const struct {
    const char *bad, *key, *good;
} rules[] = {
    {"E=4 K=5", "K='5'", "E=4 K=4"},
    {"grad=f32 dtype=f32", "grad='f32'", "grad=f32 dtype=bf16"},
    {"grad=f32 dtype=f64", "grad='f32'", "grad=same dtype=f64"},
    {"w1=halves act=relu2", "w1='halves'", "w1=interleaved act=relu2"},
    {"w1=interleaved8 act=gelu", "w1='interleaved8'", "w1=interleaved8 act=geglu"},
    {"w1=interleaved8 I=12", "w1='interleaved8'", "w1=interleaved8 I=16"},
    {"w1=interleaved8 shared=4", "w1='interleaved8'", "w1=interleaved8 shared=8"},
    {"renorm=1 router=lists", "renorm='1'", "renorm=1 router=sigmoid"},
    {"renorm=1 router=topk-softmax", "renorm='1'", "renorm=1 router=softmax-topk"},
    {"scale=2 router=lists", "scale='2'", "scale=2 router=topk-softmax"},
    {"groups=4/1 router=lists", "groups='4/1'", "groups=4/1"},
    {"groups=3/1", "groups='3/1'", "groups=3/1 E=9"},
    {"groups=4/1 K=3", "groups='4/1'", "groups=4/2 K=3"},
    {"router-bias=1 router=lists", "router-bias='1'", "router-bias=1"},
    {"sel-bias=1 router=lists", "sel-bias='1'", "sel-bias=1 router=sigmoid"},
    {"sel-bias=1 router=topk-softmax", "sel-bias='1'", "sel-bias=1 router=sqrt-softplus"},
    {"sel-bias=1 router=softmax-topk", "sel-bias='1'", "sel-bias=0 router=softmax-topk"},
    {"round=up", "round='up'", "round=up router=softmax-topk"},
    {"round=down router=lists", "round='down'", "round=down router=softmax-topk"},
    {"round=nearest router=softmax-topk renorm=1", "round='nearest'",
     "round=nearest router=softmax-topk renorm=0"},
    {"round=nearest router=softmax-topk groups=2/1", "round='nearest'",
     "round=nearest router=softmax-topk groups=0"},
    {"round-to=64", "round-to='64'", "round-to=64 round=stochastic router=softmax-topk"},
    {"shared-gate=1", "shared-gate='1'", "shared-gate=1 shared=1"},
    {"aux=1 router=lists", "aux='1'", "aux=1"},
    {"zloss=1 router=lists", "zloss='1'", "zloss=1"},
    {"routing=dropped:0.5", "routing='dropped:0.5'", "routing=dropped:0.5 router=lists"},
    {"routing=ragged", "routing='ragged'", "routing=ragged router=lists"},
    {"routing=ties router=lists", "routing='ties'", "routing=ties"},
};

START_TEST(combines)
{
    struct moe_problem problem;
    parsed(rules[_i].good);
    ck_assert_msg(moe_problem_parse(rules[_i].bad, &problem) == MOE_E_USAGE, "%d: '%s' was read",
                  _i, rules[_i].bad);
    ck_assert_msg(strncmp(moe_error_text(), rules[_i].key, strlen(rules[_i].key)) == 0,
                  "%d: '%s' says '%s'", _i, rules[_i].bad, moe_error_text());
}
END_TEST

/* What a program may put into the struct and a line cannot say. */
START_TEST(validates_fields)
{
    const struct moe_problem good_problem = moe_problem_default();
    struct moe_problem p[] = {good_problem, good_problem, good_problem, good_problem,
                              good_problem, good_problem, good_problem, good_problem,
                              good_problem, good_problem, good_problem, good_problem};
    const char *key[] = {"T",   "scale", "aux",    "act",    "routing", "dtype",
                         "act", "bias",  "groups", "router", "beta",    "round-to"};
    p[0].T = -1;
    p[1].scale = 0.0 / 0.0;
    p[2].aux = -0.0;
    p[3].act_clamp = 10;
    p[4].routing_arg = 0.5;
    p[5].dtype = MOE_E4M3;
    p[6].act = MOE_ACT_COUNT;
    p[7].bias = 2;
    p[8].groups_kept = 1;
    p[9].router = (enum moe_router) - 1;
    p[10].beta = -1;
    p[11].round_to = 127;
    ck_assert_int_eq(moe_problem_validate(&good_problem), MOE_OK);
    for (size_t i = 0; i < sizeof p / sizeof *p; i++) {
        ck_assert_msg(moe_problem_validate(&p[i]) == MOE_E_USAGE, "%zu: passed", i);
        ck_assert_msg(strncmp(moe_error_text(), key[i], strlen(key[i])) == 0, "%zu: %s", i,
                      moe_error_text());
    }
}
END_TEST

/* ---- the table of keys ---------------------------------------------------------------------- */

START_TEST(presets_are_canonical)
{
    const struct moe_problem_key *key;
    char line[LINE_SIZE] = "";
    struct moe_problem all, none = moe_problem_default();
    for (int i = 0; (key = moe_problem_key(i)) != NULL; i++) {
        char word[128];
        snprintf(word, sizeof word, "%s=%s ", key->name, key->preset);
        strcat(line, word);
        /* A value that differs from the default must be printed, or two cases share a line; the
         * default must not be printed, or one case has two. */
        if (i > 5)
            ck_assert_msg(strstr(printed(&none), key->name) == NULL, "%s", key->name);
    }
    all = parsed(line);
    ck_assert_mem_eq(&all, &none, sizeof all);
}
END_TEST

/* The words of `allowed` are exactly those that are read. */
START_TEST(allowed_words_are_read)
{
    const struct moe_problem_key *key;
    int words = 0;
    for (int i = 0; (key = moe_problem_key(i)) != NULL; i++) {
        char allowed[512], *word, *rest = allowed;
        struct moe_problem problem = moe_problem_default();
        if (strncmp(key->allowed, "a number", 8) == 0 || strstr(key->allowed, "integer") != NULL ||
            strcmp(key->name, "groups") == 0)
            continue;
        snprintf(allowed, sizeof allowed, "%s", key->allowed);
        while ((word = strsep(&rest, " ")) != NULL) {
            char value[64];
            const size_t length = strcspn(word, ":");
            if (word[0] == '(') {
                while (strchr(word, ')') == NULL)
                    word = strsep(&rest, " ");
                continue;
            }
            snprintf(value, sizeof value, "%.*s%s", (int)length, word, word[length] ? ":0.5" : "");
            ck_assert_msg(moe_problem_set(&problem, key->name, value) == MOE_OK, "%s",
                          moe_error_text());
            words++;
        }
    }
    ck_assert_int_eq(words, 4 + MOE_ACT_COUNT + MOE_GRAD_COUNT + MOE_W1_COUNT + MOE_ROUTER_COUNT +
                                MOE_ROUND_COUNT + MOE_WEIGHT_COUNT + MOE_ROUTING_COUNT +
                                MOE_DATA_COUNT + 6 * 2);
}
END_TEST

/* ---- printing ------------------------------------------------------------------------------- */

START_TEST(prints_as_snprintf_does)
{
    const char *line = "T=64 H=64 I=32 E=8 K=2 dtype=bf16 bias=1 seed=9";
    const struct moe_problem problem = parsed(line);
    const int length = (int)strlen(line);
    char text[128];
    ck_assert_int_eq(moe_problem_print(&problem, NULL, 0), length);
    for (int size = 1; size < length + 3; size++) {
        memset(text, '#', sizeof text);
        ck_assert_int_eq(moe_problem_print(&problem, text, (size_t)size), length);
        const int kept = size <= length ? size - 1 : length;
        ck_assert_int_eq((int)strlen(text), kept);
        ck_assert_mem_eq(text, line, (size_t)kept);
        ck_assert_int_eq(text[kept + 1], '#');
    }
}
END_TEST

/* ---- random cases --------------------------------------------------------------------------- */

static uint64_t state = 88172645463325252u;

static uint64_t random_word(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1du;
}

static int64_t random_integer(int64_t least, int64_t most)
{
    /* Small ones as often as large ones. */
    const int64_t span = most - least + 1;
    const int64_t value = (int64_t)(random_word() >> 1) >> random_word() % 63;
    return least + value % span;
}

/* Any positive finite double, subnormals included, or a short decimal. */
static double random_real(void)
{
    double value;
    if (random_word() % 2)
        return (double)(1 + random_word() % 1000) / 100;
    do {
        const uint64_t bits = random_word() >> 1;
        memcpy(&value, &bits, sizeof value);
    } while (!(value > 0 && value <= 0x1.fffffffffffffp1023));
    return value;
}

/* Keys that only some combinations allow differ from their default in one case of six, so that a
 * good part of the cases has a meaning. */
static int rarely(void)
{
    return random_word() % 6 == 0;
}

static int pick(int count)
{
    return (int)(random_word() % (uint64_t)count);
}

static struct moe_problem random_problem(void)
{
    struct moe_problem p = moe_problem_default();
    p.T = random_integer(0, 1 << 20);
    p.H = random_integer(1, 1 << 14);
    p.I = random_integer(1, 1 << 14);
    p.E = random_integer(1, 1 << 10);
    p.K = random_integer(1, p.E);
    p.dtype = (enum moe_dtype)pick(MOE_F64 + 1);
    p.act = (enum moe_act)pick(MOE_ACT_COUNT);
    p.act_clamp = p.act == MOE_SWIGLU_CLAMP ? random_real() : 0;
    p.router = (enum moe_router)pick(MOE_ROUTER_COUNT);
    p.weight = (enum moe_weight)pick(MOE_WEIGHT_COUNT);
    p.bias = pick(2);
    p.beta = pick(2);
    p.data = (enum moe_data_family)pick(MOE_DATA_COUNT);
    p.seed = random_word() >> pick(64);
    p.shared = pick(2) ? random_integer(0, 1 << 12) : 0;
    p.shared_gate = rarely();
    if (rarely())
        p.grad = (enum moe_grad)pick(MOE_GRAD_COUNT);
    if (rarely())
        p.w1 = (enum moe_w1_layout)pick(MOE_W1_COUNT);
    if (rarely())
        p.renorm = 1;
    if (rarely())
        p.scale = random_real();
    if (rarely()) {
        p.groups = random_integer(1, 16);
        p.groups_kept = random_integer(1, p.groups);
    }
    if (rarely())
        p.router_bias = 1;
    if (rarely())
        p.sel_bias = 1;
    if (rarely())
        p.round = (enum moe_round_mode)pick(MOE_ROUND_COUNT);
    if (p.round != MOE_ROUND_NONE)
        p.round_to = random_integer(1, 65536);
    if (rarely())
        p.aux = random_real();
    if (rarely())
        p.zloss = random_real();
    p.routing = (enum moe_routing_family)pick(MOE_ROUTING_COUNT);
    if (p.routing == MOE_ROUTING_ZIPF)
        p.routing_arg = (double)(random_word() >> 11) * 0x1p-50;
    if (p.routing == MOE_ROUTING_DROPPED)
        p.routing_arg = (double)(random_word() >> 11) * 0x1p-53;
    return p;
}

/* The words of a line in another order. */
static void shuffle(const char *line, char *shuffled)
{
    char copy[LINE_SIZE], *word[64], *rest = copy;
    int count = 0;
    snprintf(copy, sizeof copy, "%s", line);
    while ((word[count] = strsep(&rest, " ")) != NULL)
        count++;
    shuffled[0] = '\0';
    for (; count > 0; count--) {
        const int i = (int)(random_word() % (uint64_t)count);
        strcat(strcat(shuffled, word[i]), "  ");
        word[i] = word[count - 1];
    }
}

START_TEST(random_cases_survive_printing)
{
    enum { WANTED = 10000 };
    int valid = 0, drawn;
    for (drawn = 0; valid < WANTED && drawn < 10 * WANTED; drawn++) {
        const struct moe_problem p = random_problem();
        char line[LINE_SIZE], again[LINE_SIZE];
        struct moe_problem q;
        const int status = moe_problem_validate(&p);
        snprintf(line, sizeof line, "%s", printed(&p));
        /* A line is as good as its case. */
        ck_assert_msg(moe_problem_parse(line, &q) == status, "%s: %s", line, moe_error_text());
        if (status != MOE_OK)
            continue;
        valid++;
        ck_assert_msg(memcmp(&p, &q, sizeof p) == 0, "%s", line);
        shuffle(line, again);
        q = parsed(again);
        ck_assert_msg(memcmp(&p, &q, sizeof p) == 0, "%s", again);
    }
    ck_assert_int_eq(valid, WANTED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("problem");
    TCase *tests = tcase_create("problem");
    SRunner *runner = srunner_create(suite);
    int failed;
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, reads_and_prints, 0, sizeof good / sizeof *good);
    tcase_add_test(tests, empty_line_is_the_default);
    tcase_add_loop_test(tests, refuses, 0, sizeof bad / sizeof *bad);
    tcase_add_test(tests, refuses_long_words);
    tcase_add_loop_test(tests, combines, 0, sizeof rules / sizeof *rules);
    tcase_add_test(tests, validates_fields);
    tcase_add_test(tests, presets_are_canonical);
    tcase_add_test(tests, allowed_words_are_read);
    tcase_add_test(tests, prints_as_snprintf_does);
    tcase_add_test(tests, random_cases_survive_printing);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
