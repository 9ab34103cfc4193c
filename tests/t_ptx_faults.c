/*
 * t_ptx_faults.c - faults planted in the project's own kernels, in their PTX: each barrier, fence
 * and wait left out, each parity and count changed. The PTX machine must find them: by a report, or
 * by other bits than those of the kernel as it is. Which seeds that takes is printed.
 *
 * Each fault that is not found stands in `harmless`, with the reason.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/hopper/product.h"
#include "gpu/kernels.h"
#include "gpu/ptx/device_ptx.h"
#include "gpu/ptx/program.h"
#include "gpu/ptx/rewrite.h"
#include "tests/parts_array.h"
#include "verify/variant.h"

/* A schedule and a time each: round robin and at once, random and late, priorities and at random.
 */
static const int seeds[] = {0, 4, 8};
#define SITES 512

/* ---- what is run ----------------------------------------------------------------------------- */

static uint64_t sum; /* of all bits that came out */

static void take(const void *bytes, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        sum = (sum ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
}

static void take_device(const void *memory, int64_t bytes)
{
    void *host = malloc((size_t)bytes);
    if (host)
        done(moe_device_copy_from(queue.device, host, memory, bytes, queue.stream));
    if (host && !trouble)
        take(host, bytes);
    free(host);
}

static struct array *numbers(enum moe_dtype dtype, int64_t count, int64_t step, int64_t modulus,
                             double scale)
{
    struct array *made = array_new(dtype, count);
    for (int64_t i = 0; i < count; i++)
        array_put(made, i, scale * (double)(i * step % modulus - modulus / 2));
    array_send(made);
    return made;
}

static struct array *picks_of(const struct moe_problem *problem)
{
    const int64_t P = problem->T * problem->K;
    int32_t *ids = calloc((size_t)P, sizeof *ids);
    for (int64_t p = 0; ids && p < P; p++)
        ids[p] = (int32_t)((p / problem->K * 3 + p % problem->K) % problem->E);
    struct array *made = array_of_ids(P, ids);
    free(ids);
    return made;
}

static struct moe_problem problem_of(int64_t T, int64_t E, int64_t K)
{
    struct moe_problem problem = moe_problem_default();
    problem.T = T, problem.E = E, problem.K = K;
    problem.dtype = MOE_F32;
    return problem;
}

static void run_rows(void)
{
    struct moe_problem problem = problem_of(150, 3, 2);
    problem.router = MOE_LISTS;
    const int64_t P = problem.T * problem.K;
    struct array *workspace = array_new(MOE_U8, moe_gpu_rows_bytes(&problem));
    struct moe_gpu_rows rows = {0};
    done(moe_gpu_rows(&queue, &problem, P, NULL, picks_of(&problem)->device, NULL,
                      workspace->device, &rows));
    if (trouble)
        return;
    take_device(rows.expert_begin, 8 * (problem.E + 1));
    take_device(rows.row_entry, 8 * P);
    take_device(rows.entry_row, 8 * P);
}

static void run_picks(void)
{
    struct moe_problem problem = problem_of(2, 140, 3);
    problem.groups = 7;
    problem.groups_kept = 2;
    struct array *logits = numbers(problem.dtype, problem.T * problem.E, 37, 101, 0.07);
    struct array *picks = array_new(MOE_I32, problem.T * problem.K);
    done(moe_gpu_route_top(&queue, &problem, logits->device, NULL, picks->device));
    if (!trouble)
        take_device(picks->device, 4 * picks->count);
}

static void run_scores(void)
{
    struct moe_problem problem = problem_of(2, 9, 3);
    struct array *logits = numbers(problem.dtype, problem.T * problem.E, 37, 101, 0.07);
    struct array *picks = picks_of(&problem);
    struct array *scores = array_new(problem.dtype, picks->count);
    static const int routers[] = {MOE_SOFTMAX_TOPK, MOE_TOPK_SOFTMAX};
    for (int i = 0; i < LENGTH(routers) && !trouble; i++) {
        problem.router = routers[i];
        done(moe_gpu_score(&queue, &problem, NULL, logits->device, picks->device, scores->device));
        if (!trouble)
            take_device(scores->device, 4 * scores->count);
    }
}

static void run_round(void)
{
    struct moe_problem problem = problem_of(5, 3, 2);
    problem.round = MOE_ROUND_UP;
    problem.round_to = 2;
    struct array *logits = numbers(problem.dtype, problem.T * problem.E, 37, 101, 0.07);
    struct array *workspace = array_new(MOE_U8, moe_gpu_round_bytes(&problem));
    struct array *offsets = array_new(MOE_I64, problem.T + 1);
    struct array *picks = array_new(MOE_I32, moe_problem_max_entries(&problem));
    done(moe_gpu_round(&queue, &problem, logits->device, picks_of(&problem)->device,
                       workspace->device, offsets->device, picks->device));
    if (trouble)
        return;
    take_device(offsets->device, 8 * offsets->count);
    take_device(picks->device, 4 * picks->count);
}

#define EXPERTS 9
#define MOST_ROWS 100

static int smallest_configuration(void)
{
    int smallest = 0;
    for (int i = 1; hopper_configuration(PRODUCT_FORWARD, i); i++)
        if (hopper_configuration(PRODUCT_FORWARD, i)->tile_cols <
            hopper_configuration(PRODUCT_FORWARD, smallest)->tile_cols)
            smallest = i;
    return smallest;
}

static void run_product_of(const int64_t *begin, int64_t N, int64_t cols, int64_t k)
{
    int64_t tokens[MOST_ROWS];
    for (int64_t r = 0; r < N; r++)
        tokens[r] = r * 7 % 40;
    struct array *gather = array_of_places(N, tokens);
    struct array *a = numbers(MOE_BF16, 40 * k, 31, 64, 0.25);
    struct array *weights = numbers(MOE_BF16, EXPERTS * cols * k, 29, 64, 0.25);
    struct array *d = array_new(MOE_BF16, N * cols);
    struct array *expert_begin = array_of_places(EXPERTS + 1, begin);
    struct array *tiles = array_new(MOE_U8, hopper_tiles_bytes(TILE_ROWS, N, EXPERTS));
    done(hopper_tiles_list(&queue, TILE_ROWS, EXPERTS, expert_begin->device, tiles->device));
    const struct hopper_product product = {
        .form = PRODUCT_FORWARD,
        .dtype = MOE_BF16,
        .N = N,
        .E = EXPERTS,
        .cols = cols,
        .k = k,
        .a = a->device,
        .gather = gather->device,
        .a_stride = k,
        .weights = weights->device,
        .tiles = hopper_tiles_at(EXPERTS, tiles->device),
        .store = {.d = d->device, .stride = cols},
    };
    if (!trouble)
        done(hopper_product_run(&queue, smallest_configuration(), &product));
    if (!trouble)
        take_device(d->device, 2 * d->count);
}

/* First more tiles than blocks, and more steps of k than stages, twice; then more whole boxes in a
 * block than it has buffers, the last of them too. */
static void run_product(void)
{
    static const int64_t many[EXPERTS + 1] = {0, 11, 22, 33, 44, 55, 66, 77, 88, MOST_ROWS};
    static const int64_t few[EXPERTS + 1] = {0, 5, 5, 5, 5, 5, 5, 5, 5, 5 + BOX};
    run_product_of(many, MOST_ROWS, BOX, 904);
    if (!trouble)
        run_product_of(few, 5 + BOX, 6 * 8 * BOX, 264);
}

static const struct scenario {
    const char *entry; /* NULL: the product's */
    void (*run)(void);
} scenarios[] = {
    {"count_rows", run_rows},   {"scan_counts", run_rows},     {"place_rows", run_rows},
    {"route_top", run_picks},   {"score_entries", run_scores}, {"softmax_all", run_round},
    {"take_tokens", run_round}, {NULL, run_product},
};

/* ---- one run --------------------------------------------------------------------------------- */

/* With `text` in the place of the PTX that the entry is in (NULL: of none), under a seed. Why it
 * stopped, "" where it did not. */
static void run(const struct scenario *scenario, const char *entry, const char *text, int seed,
                char *why, int room)
{
    trouble = 0;
    sum = 0;
    why[0] = '\0';
    int status = moe_device_open(MOE_ON_PTX, seed, &queue.device);
    if (!status)
        status = moe_device_stream_create(queue.device, &queue.stream);
    if (!status && entry)
        status = moe_ptx_device_plant(queue.device, entry, text);
    if (!status)
        scenario->run();
    if (status || trouble)
        snprintf(why, (size_t)room, "%s", moe_error_text());
    else
        moe_device_remark(queue.device, why, (size_t)room);
    arrays_free();
    if (queue.stream)
        moe_device_stream_destroy(queue.device, queue.stream);
    queue.stream = NULL;
    moe_device_close(queue.device);
}

static int code_of(const char *entry)
{
    int row = 0;
    return kernel_find(entry, 9, 0, &row) ? -1 : kernel_rows[row].code;
}

/* "race", of "kernel 'x': race: ..." */
static const char *kind_in(const char *why, char *kind, int room)
{
    const char *from = strstr(why, "': ");
    const char *to = from ? strchr(from + 3, ':') : NULL;
    snprintf(kind, (size_t)room, "%.*s", to ? (int)(to - from - 3) : 30, to ? from + 3 : why);
    return kind;
}

/* ---- faults that change nothing -------------------------------------------------------------- */

static const struct harmless {
    const char *entry, *opcode;
    int from, to; /* which of its kind in the entry, from 1 on; negative: from the end */
    const char *reason;
} harmless[] = {
    {"count_rows", "bar.sync", -1, -1, "nobody writes the room again"},
    {"scan_counts", "bar.sync", -1, -1, "three counts: there is no second round"},
    {"score_entries", "bar.sync", -1, -1, "nobody writes the room again"},
    {"softmax_all", "bar.sync", -1, -1, "nobody writes the room again"},
    {"take_tokens", "bar.sync", -2, -2, "the room is not written again"},
    {"route_top", "bar.sync", 1, 1,
     "threads read what they wrote; next_best's barriers do the rest"},
    {"hopper_", "wgmma.fence", 2, -1, "registers are not touched since the wgmma before"},
    {"hopper_", "bar.warp.sync", 1, 1, "lanes at one instruction go on together on the machine"},
    {"hopper_", "bar.sync", -1, -1, "without it a warpgroup runs ahead, and is slower"},
    {"hopper_", "setmaxnreg.inc", 1, 1, "registers beyond a thread's number are ptxas's to use"},
};

/* Why the fault at sites[index] is harmless; NULL: it is not. None is where an instruction counts
 * wrong. */
static const char *reason_of(const char *entry, const struct ptx_site *sites, int count, int index,
                             enum ptx_fault fault)
{
    const char *opcode = sites[index].instruction->opcode->name;
    int all = 0, nth = 0;
    if (fault == PTX_COUNT)
        return NULL;
    for (int i = 0; i < count; i++) {
        all += !strcmp(sites[i].instruction->opcode->name, opcode);
        nth = i == index ? all : nth;
    }
    for (int i = 0; i < LENGTH(harmless); i++) {
        const struct harmless *h = &harmless[i];
        const int from = h->from < 0 ? all + 1 + h->from : h->from;
        const int to = h->to < 0 ? all + 1 + h->to : h->to;
        if (!strncmp(entry, h->entry, strlen(h->entry)) && !strcmp(opcode, h->opcode) &&
            nth >= from && nth <= to)
            return h->reason;
    }
    return NULL;
}

/* ---- the table ------------------------------------------------------------------------------- */

static struct {
    int planted, found, harmless, wrong;
} tally;

/* A hang or a trap shows on a GPU each time; what is found by clocks, there by chance alone. */
static const char *shows_on(const char *kind)
{
    return !strcmp(kind, "deadlock") || !strcmp(kind, "barrier") || !strcmp(kind, "bits")
               ? "both"
               : "machine";
}

static void plant(const struct scenario *scenario, const char *entry, const char *text,
                  const struct ptx_site *site, enum ptx_fault fault, uint64_t right,
                  const char *reason)
{
    char *changed = NULL, why[2000] = "", kind[40] = "bits";
    int seed = 0, is_found = 0;
    if (ptx_rewrite(text, site, fault, &changed)) {
        printf("# %s: %s\n", entry, moe_error_text());
        tally.wrong++;
        return;
    }
    for (; seed < (reason ? 1 : LENGTH(seeds)) && !is_found; seed++) {
        run(scenario, entry, changed, seeds[seed], why, sizeof why);
        is_found = why[0] || sum != right;
    }
    free(changed);
    if (why[0])
        kind_in(why, kind, sizeof kind);
    tally.planted++;
    tally.found += is_found;
    tally.harmless += reason != NULL;
    tally.wrong += is_found == (reason != NULL);
    printf("# %-18s line %-6d %-5s %-26s %-10s %d  %s\n", entry, site->instruction->line,
           ptx_fault_name(fault), site->instruction->opcode->name, is_found ? kind : "-", seed,
           reason     ? reason
           : is_found ? shows_on(kind)
                      : "NOT FOUND");
}

/* Right under every schedule, with the same bits. */
static int is_clean(const struct scenario *scenario, uint64_t *right)
{
    char why[2000];
    for (int seed = 0; seed < 9; seed++) {
        run(scenario, NULL, NULL, seed, why, sizeof why);
        if (seed == 0)
            *right = sum;
        if (why[0] || sum != *right) {
            printf("# seed %d: %s\n", seed, why[0] ? why : "other bits");
            return 0;
        }
    }
    return 1;
}

static int plant_all(const struct scenario *scenario, const char *entry)
{
    static struct ptx_site sites[SITES];
    const int code = code_of(entry);
    struct ptx_module *module = NULL;
    void *text = NULL;
    uint64_t right = 0;
    if (code < 0 || kernel_unpack(&kernel_codes[code].ptx, &text) ||
        ptx_read(text, kernel_codes[code].ptx.bytes, &module)) {
        printf("# %s: %s\n", entry, moe_error_text());
        free(text);
        return 0;
    }
    const int before = tally.wrong, clean = is_clean(scenario, &right);
    const int32_t count = clean ? ptx_sites(ptx_function_find(module, entry), sites, SITES) : 0;
    for (int32_t i = 0; i < count && i < SITES; i++)
        for (int fault = 0; fault < PTX_FAULT_COUNT; fault++)
            if (sites[i].faults >> fault & 1)
                plant(scenario, entry, text, &sites[i], (enum ptx_fault)fault, right,
                      reason_of(entry, sites, count, i, (enum ptx_fault)fault));
    ptx_module_free(module);
    free(text);
    return clean && count > 0 && tally.wrong == before;
}

int main(void)
{
    int failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (kernel_row_count == 0) {
        printf("1..0 # SKIP no kernels in this build\n");
        return 0;
    }
    printf("1..%d\n", LENGTH(scenarios) + 1);
    printf("# fault, found by, runs needed, where it must show\n");
    for (int i = 0; i < LENGTH(scenarios); i++) {
        const char *entry =
            scenarios[i].entry
                ? scenarios[i].entry
                : hopper_configuration(PRODUCT_FORWARD, smallest_configuration())->kernel[0];
        const int good = plant_all(&scenarios[i], entry);
        failed += !good;
        printf("%s %d - %s\n", good ? "ok" : "not ok", i + 1, entry);
    }
    const int good = tally.found >= 40 && tally.found + tally.harmless == tally.planted;
    printf("%s %d - %d faults planted, %d found, %d harmless\n", good ? "ok" : "not ok",
           LENGTH(scenarios) + 1, tally.planted, tally.found, tally.harmless);
    return failed || !good;
}
