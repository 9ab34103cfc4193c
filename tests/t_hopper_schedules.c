/*
 * t_hopper_schedules.c - the variant `hopper` on the PTX machine: small layers, forward and
 * backward, each by one forced configuration under twenty orders and times, and by every other
 * under two. No alarm, and every result right.
 *
 * The rows cover: every configuration is one of the twenties, every value of every option is met,
 * and so is every kernel of gpu/hopper/, which is checked too. Larger layers and more checks:
 * ptx_layers.sh.
 *
 * This writes its own TAP. MOE_TEST_SIZE: small, one row in seven under two orders; every
 * (make check-ptx), all configurations under twenty.
 *
 *     t_hopper_schedules [NUMBER...]   only these rows, from 1
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/gpu.h"
#include "ref/moe.h"
#include "tests/launches.h"
#include "verify/verify.h"

#define LENGTH(array) (int)(sizeof(array) / sizeof *(array))
#define CHECKS "routing,machine,bound,bits"

static const struct {
    int32_t configuration; /* chosen, 128x192, 128x128, 128x64, 256x128, 288x128, 320x128 */
    const char *line;
} rows[] = {
    {0, "T=9 H=64 I=72 E=2 K=1 aux=0.01"},
    {0, "T=20 H=72 I=40 E=4 K=2 dtype=f16 w1=interleaved8 router=sigmoid renorm=1 scale=2.5 "
        "sel-bias=1 bias=1"},
    {1,
     "T=16 H=64 I=64 E=6 K=2 router=softmax-topk w1=halves weight=before-w2 shared=16 zloss=0.1"},
    {2, "T=18 H=40 I=24 E=3 K=2 dtype=f16 router=lists routing=ragged beta=1 grad=f32"},
    {2,
     "T=12 H=64 I=40 E=8 K=2 act=geglu router=sqrt-softplus groups=4/2 router-bias=1 routing=hot"},
    {3, "T=13 H=33 I=17 E=3 K=2 dtype=f16 act=geglu-tanh w1=halves shared=9 shared-gate=1 beta=1 "
        "bias=1"},
    {3, "T=14 H=72 I=64 E=5 K=2 act=reglu w1=interleaved8 weight=input router=softmax-topk "
        "round=up round-to=8"},
    {1, "T=11 H=64 I=32 E=2 K=2 dtype=f16 act=swiglu-oai weight=input router=softmax-topk "
        "round=balanced round-to=4"},
    {0, "T=15 H=64 I=48 E=4 K=2 act=swiglu-clamp:0.5 router=lists routing=dropped:0.3 shared=24 "
        "shared-gate=1"},
    {1, "T=17 H=64 I=72 E=4 K=3 dtype=f16 act=silu weight=before-w2 router=softmax-topk round=down "
        "round-to=8"},
    {1, "T=10 H=48 I=64 E=3 K=1 act=gelu grad=f32 bias=1 router=softmax-topk round=nearest "
        "round-to=4"},
    {3, "T=16 H=64 I=16 E=7 K=2 act=gelu-tanh router=softmax-topk round=stochastic round-to=4"},
    {2, "T=21 H=64 I=40 E=3 K=2 act=relu router=lists beta=1 routing=zipf:1.2"},
    {0, "T=5 H=9 I=7 E=2 K=1 dtype=f16 act=relu2 beta=1"},
    /* more than 64 rows an expert: the second warpgroup has some */
    {0, "T=66 H=64 I=72 E=1 K=1 act=swiglu-oai w1=halves bias=1"},
    {2, "T=67 H=64 I=40 E=1 K=1 dtype=f16 weight=before-w2"},
    {3, "T=90 H=64 I=72 E=3 K=1 act=geglu router=lists routing=zipf:1.5"},
    /* tall tiles: both warpgroups have a second block, one has, or none */
    {4, "T=200 H=64 I=40 E=1 K=1 shared=40"},
    {4, "T=210 H=40 I=64 E=2 K=1 dtype=f16 act=swiglu-oai routing=zipf:2 w1=interleaved8"},
    {4, "T=66 H=64 I=24 E=1 K=1 dtype=f16 w1=halves weight=before-w2"},
    {4, "T=130 H=64 I=40 E=1 K=1 act=swiglu-clamp:0.5 bias=1"},
    /* tiles that lie across, with one instruction for all rows, or two, and cut evenly */
    {5, "T=260 H=64 I=40 E=1 K=1 shared=40"},
    {5, "T=50 H=136 I=72 E=2 K=1 dtype=f16 w1=halves bias=1"},
    {5, "T=294 H=40 I=24 E=1 K=1 act=swiglu-clamp:0.5 w1=interleaved8 weight=before-w2"},
    {5, "T=40 H=64 I=40 E=3 K=2 dtype=f16 act=swiglu-oai bias=1 weight=input"},
    {6, "T=60 H=72 I=136 E=3 K=1 w1=halves bias=1 weight=before-w2"},
    {6, "T=310 H=64 I=24 E=1 K=1 dtype=f16 w1=interleaved8"},
    {6, "T=18 H=64 I=40 E=2 K=2 act=swiglu-clamp:0.5 shared=24"},
    {6, "T=30 H=200 I=72 E=2 K=1 dtype=f16 act=swiglu-oai w1=halves"},
    {0, "T=130 H=64 I=40 E=1 K=1"},
};

/* ---- what was met ---------------------------------------------------------------------------- */

static const struct moe_variant *hopper;

static int open_seen(struct moe_device *device, const struct moe_problem *problem,
                     int32_t configuration, void **state)
{
    launches_watch(device, 0);
    return hopper->open(device, problem, configuration, state);
}

/* Tiles that are listed for products alone, and not while a layer is routed, are t_hopper_product's
 * matter. */
static int is_hoppers(const struct moe_kernel *kernel)
{
    return !strncmp(kernel->entry, "hopper_", 7) && strcmp(kernel->entry, "hopper_list_tiles") != 0;
}

/* A field of a case: an enum of so many values, or, of count 0, anything: what is preset and
 * something else are to be met. */
#define ENUM(field, count)                                                                         \
    {                                                                                              \
#field, offsetof(struct moe_problem, field), sizeof(((struct moe_problem *)NULL)->field),  \
            count                                                                                  \
    }
#define ANY(field) ENUM(field, 0)

static const struct option {
    const char *name;
    size_t offset, bytes;
    int count;
} options[] = {
    ENUM(act, MOE_ACT_COUNT),
    ENUM(w1, MOE_W1_COUNT),
    ENUM(router, MOE_ROUTER_COUNT),
    ENUM(round, MOE_ROUND_COUNT),
    ENUM(weight, MOE_WEIGHT_COUNT),
    ENUM(grad, MOE_GRAD_COUNT),
    ANY(dtype),
    ANY(renorm),
    ANY(scale),
    ANY(groups),
    ANY(bias),
    ANY(router_bias),
    ANY(sel_bias),
    ANY(shared),
    ANY(shared_gate),
    ANY(aux),
    ANY(zloss),
    ANY(beta),
    ANY(routing),
};

static int has_value(const struct option *option, const struct moe_problem *problem, int value)
{
    const struct moe_problem preset = moe_problem_default();
    const char *field = (const char *)problem + option->offset;
    int32_t number = 0;
    if (!option->count)
        return value == (memcmp(field, (const char *)&preset + option->offset, option->bytes) != 0);
    memcpy(&number, field, sizeof number);
    return value == number;
}

static int options_are_met(void)
{
    int missing = 0;
    for (int o = 0; o < LENGTH(options); o++)
        for (int value = 0; value < (options[o].count ? options[o].count : 2); value++) {
            int met = 0;
            struct moe_problem problem;
            for (int i = 0; i < LENGTH(rows); i++)
                met |= moe_problem_parse(rows[i].line, &problem) == MOE_OK &&
                       has_value(&options[o], &problem, value);
            if (!met && ++missing)
                printf("# no row has value %d of %s\n", value, options[o].name);
        }
    for (int c = 0; c < hopper->configuration_count; c++) {
        int met = 0;
        for (int i = 0; i < LENGTH(rows); i++)
            met |= rows[i].configuration == c;
        if (!met && ++missing)
            printf("# no row forces %s\n", hopper->configurations[c]);
    }
    return !missing;
}

/* ---- judging --------------------------------------------------------------------------------- */

/* Under so many orders and times; what is wrong is printed. */
static int row_passes(const struct moe_variant *variant, int index, int32_t configuration,
                      const int *orders, int count)
{
    static struct moe_report report;
    struct moe_problem problem;
    if (moe_problem_parse(rows[index].line, &problem) != MOE_OK) {
        printf("# %s: %s\n", rows[index].line, moe_error_text());
        return 0;
    }
    int wrong = 0;
    for (int i = 0; i < count; i++) {
        const struct moe_judge_options judge = {
            .devices = MOE_ON_PTX | (unsigned)orders[i] << MOE_DEVICES_SCHEDULE,
            .configuration = configuration,
            .one_configuration = 1,
            .checks = CHECKS,
        };
        const int status = moe_judge_variant(&problem, variant, &judge, &report);
        if (status == MOE_OK && report.verdict == MOE_PASS)
            continue;
        wrong++;
        printf("# %s, order %d: %s: %s\n", hopper->configurations[configuration], orders[i],
               moe_verdict_name(report.verdict),
               status != MOE_OK           ? moe_error_text()
               : report.finding_count > 0 ? report.finding[0].text
                                          : "");
    }
    return !wrong;
}

static int is_wanted(int index, int is_small, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (atoi(argv[i]) == index + 1)
            return 1;
    return argc == 1 && (!is_small || index % 7 == 4);
}

int main(int argc, char **argv)
{
    static const int orders[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,
                                 10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
    static const int few[] = {4, 8};
    const char *size = getenv("MOE_TEST_SIZE");
    const int is_small = size && !strcmp(size, "small"), is_every = size && !strcmp(size, "every");
    const struct moe_variant *variant;
    int number = 0, failures = 0, all = 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; (variant = moe_variant_get(i)); i++)
        if (!strcmp(variant->name, "hopper"))
            hopper = variant;
    if (!hopper || !moe_kernel_get(0)) {
        puts("1..0 # SKIP built without hopper");
        return 0;
    }
    struct moe_variant seen = *hopper;
    seen.open = open_seen;
    for (int i = 0; i < LENGTH(rows); i++) {
        if (!is_wanted(i, is_small, argc, argv)) {
            all = 0;
            continue;
        }
        int good = 1;
        for (int32_t c = 0; c < hopper->configuration_count; c++) {
            const int is_own = c == rows[i].configuration;
            if (is_every || (is_own && !is_small))
                good &= row_passes(&seen, i, c, orders, LENGTH(orders));
            else if (is_own || !is_small)
                good &= row_passes(&seen, i, c, few, LENGTH(few));
        }
        failures += !good;
        printf("%s %d - %s, %s\n", good ? "ok" : "not ok", ++number,
               hopper->configurations[rows[i].configuration], rows[i].line);
    }
    const int met = options_are_met();
    printf("%s %d - every option's values\n", met ? "ok" : "not ok", ++number);
    failures += !met;
    if (all) {
        int met_count = 0;
        const int missing = launches_missing(is_hoppers, 1, &met_count);
        printf("%s %d - %d kernels of hopper's, which is every one\n", missing ? "not ok" : "ok",
               ++number, met_count);
        failures += missing > 0;
    }
    printf("1..%d\n", number);
    return failures != 0;
}
