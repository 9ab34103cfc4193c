/*
 * t_on_device.c - the checks that want a device, without one: a layer on the queue device
 * (queue_device.h), right or with one habit each that only streams, graphs, overlapping kernels, a
 * busy device, unmapped pages or a machine that watches bytes can show. The check of its row must
 * find it; without habits it passes, on the device and on the machine.
 *
 * The layer itself is `naive`, run when its launch's turn comes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/impostor.h"
#include "tests/queue_device.h"
#include "verify/on_device_turn.h"

extern const struct moe_variant moe_variant_naive;

#define LINE "T=12 H=16 I=8 E=4 K=2 dtype=f32 bias=1"
#define LISTS "T=12 H=16 I=8 E=4 K=2 dtype=f32 bias=1 router=lists"

enum pass { FORWARD, BACKWARD };

/* The variant's own, from open to close. */
struct layer {
    struct moe_device *device;
    int64_t workspace; /* bytes */
    void *reference, *own_stream;
    int64_t calls[2]; /* made, on the host */
    int64_t done;     /* forward passes that have run */
    double learnt;    /* of the last of them, on the host: an element of x */
    float *frozen;    /* x when the call was made */
    int32_t *clipped; /* picks */
    void *memory;
};

enum ids { DROPPED, CLIPPED, UNTOLD };

struct habit {
    const char *check, *name, *says; /* a word of the finding's text */
    int (*forward)(struct layer *layer, const struct moe_call *call); /* NULL: as it should be */
    void (*after)(struct layer *layer, const struct queue_work *work);
    enum ids ids;              /* that are not allowed */
    int learns;                /* backward goes by what forward has told the host */
    int leaves;                /* a tensor of which the row ROW_LEFT is not written; 0: none */
    enum moe_device_kind kind; /* 0: CUDA */
    const char *line;          /* NULL: LINE */
    uint32_t flags;
};

static const struct habit *habit; /* NULL: none */

/* ---- the layer ------------------------------------------------------------------------------- */

#define ROW_LEFT 5

static void tell_rows(struct layer *layer, const struct moe_tensor *tensor, int64_t from,
                      int64_t rows)
{
    const int64_t width = moe_tensor_bytes(tensor) / tensor->shape[0];
    queue_write(layer->device, (char *)tensor->data + from * width, rows * width);
}

/* On a machine that watches: what the pass has written. */
static void tell_written(struct layer *layer, const struct queue_work *work, enum pass pass)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &work->tensors[id];
        const enum moe_role role = moe_tensor_info(id)->role;
        const int gradient = role != MOE_ROUTING && id != MOE_O && id != MOE_Z;
        const int64_t rows = tensor->data ? tensor->shape[0] : 0;
        const int64_t left = habit && habit->leaves == id && id ? ROW_LEFT : rows;
        if (rows == 0 || role == MOE_INPUT || gradient != (pass == BACKWARD))
            continue;
        tell_rows(layer, tensor, 0, left);
        if (left < rows)
            tell_rows(layer, tensor, left + 1, rows - left - 1);
    }
}

/* The call as the layer takes it, on `tensors`. */
static struct moe_call call_of(struct layer *layer, const struct queue_work *work,
                               struct moe_tensor *tensors)
{
    struct moe_call call = work->call;
    struct moe_tensor *picks = &tensors[MOE_PICKS];
    memcpy(tensors, work->tensors, sizeof work->tensors);
    call.tensors = tensors;
    call.status = habit && habit->ids == UNTOLD ? NULL : call.status;
    if (!habit || habit->ids != CLIPPED)
        return call;
    const int64_t count = moe_tensor_count(picks), last = tensors[MOE_W1].shape[0] - 1;
    free(layer->clipped);
    layer->clipped = malloc((size_t)count * sizeof *layer->clipped);
    for (int64_t i = 0; i < count; i++) {
        const int32_t id = ((const int32_t *)picks->data)[i];
        layer->clipped[i] = id > last ? (int32_t)last : id < -1 ? -1 : id;
        *call.status |= id != layer->clipped[i];
    }
    picks->data = layer->clipped;
    return call;
}

static void run_forward(struct moe_device *device, const struct queue_work *work)
{
    struct layer *layer = work->state;
    struct moe_tensor tensors[MOE_TENSOR_COUNT];
    const struct moe_call call = call_of(layer, work, tensors);
    (void)device;
    moe_variant_naive.forward(layer->reference, &call);
    tell_written(layer, work, FORWARD);
    layer->done++;
    layer->learnt = tensor_get(&work->tensors[MOE_X], 0);
    if (habit && habit->after)
        habit->after(layer, work);
}

static void run_backward(struct moe_device *device, const struct queue_work *work)
{
    struct layer *layer = work->state;
    struct moe_tensor tensors[MOE_TENSOR_COUNT];
    const struct moe_call call = call_of(layer, work, tensors);
    (void)device;
    moe_variant_naive.backward(layer->reference, &call);
    if (habit && habit->learns && work->learnt != layer->learnt)
        tensor_set(&work->tensors[MOE_DX], 2, 100);
    tell_written(layer, work, BACKWARD);
}

static struct queue_work work_of(struct layer *layer, const struct moe_call *call,
                                 void (*run)(struct moe_device *, const struct queue_work *))
{
    struct queue_work work = {.run = run, .state = layer, .call = *call};
    work.number = layer->calls[FORWARD];
    work.learnt = layer->learnt;
    memcpy(work.tensors, call->tensors, sizeof work.tensors);
    return work;
}

static int launch(struct layer *layer, const struct queue_work *work, void *stream, int dependent)
{
    struct moe_launch launch = {.kernel = "layer",
                                .grid = {4, 1, 1},
                                .block = {32, 1, 1},
                                .dependent = (uint32_t)dependent,
                                .stream = stream,
                                .args = (void *[]){(void *)work}};
    return moe_device_launch(layer->device, &launch);
}

static int forward_on(struct layer *layer, const struct moe_call *call, void *stream)
{
    const struct queue_work work = work_of(layer, call, run_forward);
    return launch(layer, &work, stream, 1);
}

static int forward(void *state, const struct moe_call *call)
{
    struct layer *layer = state;
    int status = moe_call_check(call, layer->workspace, 0);
    if (status != MOE_OK)
        return status;
    layer->calls[FORWARD]++;
    return habit && habit->forward ? habit->forward(layer, call)
                                   : forward_on(layer, call, call->stream);
}

static int backward(void *state, const struct moe_call *call)
{
    struct layer *layer = state;
    const struct queue_work work = work_of(layer, call, run_backward);
    int status = moe_call_check(call, layer->workspace, 0);
    layer->calls[BACKWARD]++;
    return status == MOE_OK ? launch(layer, &work, call->stream, 1) : status;
}

static int open_layer(struct moe_device *device, const struct moe_problem *problem,
                      int32_t configuration, void **state)
{
    struct layer *layer = calloc(1, sizeof *layer);
    if (!layer)
        return moe_error(MOE_E_NOMEM, "no memory for a layer");
    layer->device = device;
    layer->workspace = moe_variant_naive.workspace_bytes(problem);
    *state = layer;
    int status = moe_variant_naive.open(NULL, problem, configuration, &layer->reference);
    return status == MOE_OK ? moe_device_stream_create(device, &layer->own_stream) : status;
}

static void close_layer(void *state)
{
    struct layer *layer = state;
    moe_device_stream_destroy(layer->device, layer->own_stream);
    moe_variant_naive.close(layer->reference);
    moe_device_free(layer->device, layer->memory);
    free(layer->frozen);
    free(layer->clipped);
    free(layer);
}

/* ---- habits of streams ----------------------------------------------------------------------- */

static int on_its_own_stream(struct layer *layer, const struct moe_call *call)
{
    int status = forward_on(layer, call, layer->own_stream);
    return status == MOE_OK ? moe_device_synchronize(layer->device, layer->own_stream) : status;
}

static int on_the_default_stream(struct layer *layer, const struct moe_call *call)
{
    return forward_on(layer, call, NULL);
}

static int waits(struct layer *layer, const struct moe_call *call)
{
    int status = forward_on(layer, call, call->stream);
    return status == MOE_OK ? moe_device_synchronize(layer->device, call->stream) : status;
}

/* ---- habits of dependent launches ------------------------------------------------------------ */

static void run_nothing(struct moe_device *device, const struct queue_work *work)
{
    (void)device, (void)work;
}

static int does_not_wait(struct layer *layer, const struct moe_call *call)
{
    struct queue_work work = work_of(layer, call, run_forward);
    work.goes_ahead = 1;
    return launch(layer, &work, call->stream, 1);
}

static int does_not_wait_at_first(struct layer *layer, const struct moe_call *call)
{
    struct queue_work work = work_of(layer, call, run_nothing);
    int status = does_not_wait(layer, call);
    return status == MOE_OK ? launch(layer, &work, call->stream, 0) : status;
}

/* The last kernel has nothing to wait for, and ends before the one that computes. */
static int ends_early(struct layer *layer, const struct moe_call *call)
{
    struct queue_work work = work_of(layer, call, run_forward);
    struct queue_work last = work_of(layer, call, run_nothing);
    work.lets_begin = last.goes_ahead = 1;
    int status = launch(layer, &work, call->stream, 1);
    return status == MOE_OK ? launch(layer, &last, call->stream, 1) : status;
}

/* ---- habits of graphs ------------------------------------------------------------------------ */

static int allocates(struct layer *layer, const struct moe_call *call)
{
    void *memory = NULL;
    int status = moe_device_allocate(layer->device, 64, &memory);
    moe_device_free(layer->device, memory);
    return status == MOE_OK ? forward_on(layer, call, call->stream) : status;
}

/* x as the host saw it, which a graph keeps. */
static int freezes_x(struct layer *layer, const struct moe_call *call)
{
    struct queue_work work = work_of(layer, call, run_forward);
    const size_t bytes = (size_t)moe_tensor_bytes(&work.tensors[MOE_X]);
    free(layer->frozen);
    layer->frozen = malloc(bytes);
    memcpy(layer->frozen, work.tensors[MOE_X].data, bytes);
    work.tensors[MOE_X].data = layer->frozen;
    return launch(layer, &work, call->stream, 1);
}

static void spoil_output(const struct queue_work *work)
{
    tensor_set(&work->tensors[MOE_O], 7, 100);
}

/* A launch expects the count that the host had for it. */
static void expects_its_number(struct layer *layer, const struct queue_work *work)
{
    if (layer->done != work->number)
        spoil_output(work);
}

/* Good for four passes: two plain ones of a state, or one and three replays. */
static void good_for_three(struct layer *layer, const struct queue_work *work)
{
    if (layer->done > 3)
        spoil_output(work);
}

/* ---- habits on a busy device ----------------------------------------------------------------- */

static void needs_all_blocks(struct layer *layer, const struct queue_work *work)
{
    (void)work;
    queue_need_all_multiprocessors(layer->device);
}

static void reads_unwritten_shared(struct layer *layer, const struct queue_work *work)
{
    const double was = tensor_get(&work->tensors[MOE_O], 3);
    tensor_set(&work->tensors[MOE_O], 3, was + queue_unwritten_shared(layer->device));
}

/* Last bits of a sum whose order is that in which blocks arrive. */
static void adds_in_order_of_arrival(struct layer *layer, const struct queue_work *work)
{
    ((unsigned char *)work->tensors[MOE_O].data)[12] ^=
        (unsigned char)queue_is_shared(layer->device);
}

/* What the host has prepared is read when the work runs: by then it is that of the last call. */
static void reads_late_from_host(struct layer *layer, const struct queue_work *work)
{
    if (layer->calls[FORWARD] != work->number)
        spoil_output(work);
    if (layer->calls[FORWARD] > work->number)
        layer->calls[FORWARD] = -1; /* its slot is used up */
}

/* ---- habits of memory, errors ---------------------------------------------------------------- */

static void reads_behind_x(struct layer *layer, const struct queue_work *work)
{
    const struct moe_tensor *x = &work->tensors[MOE_X];
    queue_read(layer->device, (const char *)x->data + moe_tensor_bytes(x));
}

static void reads_before_w2(struct layer *layer, const struct queue_work *work)
{
    queue_read(layer->device, (const char *)work->tensors[MOE_W2].data - 1);
}

static int leaks(struct layer *layer, const struct moe_call *call)
{
    void *lost = NULL;
    int status = moe_device_allocate(layer->device, 4096, &lost);
    return status == MOE_OK ? forward_on(layer, call, call->stream) : status;
}

static void fails(struct layer *layer, const struct queue_work *work)
{
    (void)work;
    queue_break(layer->device, "an illegal address was written");
}

static void run_failing(struct moe_device *device, const struct queue_work *work)
{
    (void)work;
    queue_break(device, "an illegal address was written late");
}

/* When all calls have returned and all of the stream's work has ended. */
static int fails_late(struct layer *layer, const struct moe_call *call)
{
    const struct queue_work work = work_of(layer, call, run_failing);
    const uint32_t *flags = NULL;
    const uint64_t ns = 0;
    const struct moe_launch gate = {.kernel = "disturb_gate",
                                    .grid = {1, 1, 1},
                                    .block = {1, 1, 1},
                                    .stream = layer->own_stream,
                                    .args = (void *[]){&flags, (void *)&ns}};
    int status = moe_device_launch(layer->device, &gate);
    if (status == MOE_OK)
        status = launch(layer, &work, layer->own_stream, 0);
    return status == MOE_OK ? forward_on(layer, call, call->stream) : status;
}

/* ---- habits that a machine sees -------------------------------------------------------------- */

/* The right value, by luck. */
static void spoils_an_element(struct layer *layer, const struct queue_work *work)
{
    queue_spoil(layer->device, (const char *)work->tensors[MOE_SCORES].data + 4, 4);
}

static void is_remarked(struct layer *layer, const struct queue_work *work)
{
    (void)work;
    queue_remark(layer->device, "no fence between the two");
}

/* The last row of z: of an entry that was dropped there is none. */
static void spoils_unused(struct layer *layer, const struct queue_work *work)
{
    const struct moe_tensor *z = &work->tensors[MOE_Z];
    const int64_t bytes = z->shape[1] * 4;
    queue_spoil(layer->device, (char *)z->data + (z->shape[0] - 1) * bytes, bytes);
}

static const struct habit habits[] = {
    {.check = "stream", .name = "on its own stream", .forward = on_its_own_stream},
    {.check = "stream", .name = "on the default stream", .forward = on_the_default_stream},
    {.check = "stream", .name = "waits", .says = "host_sync", .forward = waits},
    {.check = "stream", .name = "host told by forward", .says = "before forward", .learns = 1},
    {.check = "dependent", .name = "first kernel does not wait", .forward = does_not_wait},
    {.check = "dependent",
     .name = "first of two kernels does not wait",
     .says = "picks",
     .forward = does_not_wait_at_first},
    {.check = "dependent", .name = "last kernel ends early", .forward = ends_early},
    {.check = "graph", .name = "waits", .says = "capture returned", .forward = waits},
    {.check = "graph", .name = "allocates", .says = "capture returned", .forward = allocates},
    {.check = "graph", .name = "x frozen", .says = "second replay", .forward = freezes_x},
    {.check = "graph", .name = "number frozen", .says = "second", .after = expects_its_number},
    {.check = "graph", .name = "third replay", .says = "third", .after = good_for_three},
    {.check = "contention", .name = "all blocks", .says = "did not end", .after = needs_all_blocks},
    {.check = "contention", .name = "shared memory", .after = reads_unwritten_shared},
    {.check = "contention",
     .name = "order of arrival",
     .says = "not the bits",
     .after = adds_in_order_of_arrival,
     .flags = MOE_DETERMINISTIC},
    {.check = "contention", .name = "calls queued", .says = "ten", .after = reads_late_from_host},
    {.check = "fence", .name = "read behind x", .says = "end at", .after = reads_behind_x},
    {.check = "fence", .name = "read before w2", .says = "begin at", .after = reads_before_w2},
    {.check = "lists", .name = "ids clipped", .says = "bound", .ids = CLIPPED, .line = LISTS},
    {.check = "lists",
     .name = "wrong ids untold",
     .says = "bit 0",
     .ids = UNTOLD,
     .line = LISTS,
     .kind = MOE_ON_PTX},
    {.check = "footprint", .name = "leaks", .forward = leaks},
    {.check = "run", .name = "illegal address", .says = "forward", .after = fails},
    {.check = "run", .name = "late error", .says = "left behind", .forward = fails_late},
    {.check = "machine",
     .name = "row left",
     .says = "undefined from element 80",
     .leaves = MOE_O,
     .kind = MOE_ON_PTX},
    {.check = "machine",
     .name = "element undefined",
     .says = "what nobody wrote",
     .after = spoils_an_element,
     .kind = MOE_ON_PTX},
};

/* ---- judged ---------------------------------------------------------------------------------- */

static struct moe_report judge(const char *line, const char *checks, unsigned devices,
                               uint32_t flags)
{
    const unsigned only = devices & ~(unsigned)MOE_ON_CPU;
    struct moe_judge_options options = {.checks = checks, .devices = only};
    struct moe_problem problem = problem_of(line);
    struct moe_variant variant = moe_variant_naive;
    struct moe_report report;
    variant.name = "queued";
    variant.devices = devices;
    variant.flags = flags;
    variant.open = open_layer;
    variant.forward = forward;
    variant.backward = backward;
    variant.close = close_layer;
    ck_assert_msg(moe_judge_variant(&problem, &variant, &options, &report) == MOE_OK, "%s",
                  moe_error_text());
    return report;
}

/* The check that must find it is asked alone; what it looks at is right but for the habit. */
START_TEST(habits_are_found)
{
    habit = &habits[_i];
    const unsigned device = habit->kind ? habit->kind : MOE_ON_CUDA;
    const char *checks = strcmp(habit->check, "run") ? habit->check : "inputs";
    const char *line = habit->line ? habit->line : LINE;
    struct moe_report report = judge(line, checks, device, MOE_CAPTURABLE | habit->flags);
    const struct moe_finding *finding = must_find(&report, habit->check, -1, habit->name);
    ck_assert_msg(!habit->says || strstr(finding->text, habit->says), "%s: %s", habit->name,
                  finding->text);
}
END_TEST

static void must_pass(const struct moe_report *report, const char *what)
{
    ck_assert_msg(report->verdict == MOE_PASS, "%s: %s: %s", what, report->finding[0].check,
                  report->finding[0].text);
}

/* What is not declared is not asked for. */
START_TEST(undeclared_is_allowed)
{
    static const struct habit may_wait = {.name = "waits", .forward = waits};
    static const struct habit may_allocate = {.name = "allocates", .forward = allocates};
    habit = &may_wait;
    struct moe_report report = judge(LINE, NULL, MOE_ON_CUDA, MOE_HOST_SYNC);
    must_pass(&report, habit->name);
    habit = &may_allocate;
    report = judge(LINE, "graph", MOE_ON_CUDA, MOE_ALLOCATES);
    must_pass(&report, habit->name);
}
END_TEST

static const char *const lines[] = {
    LINE,
    "T=12 H=16 I=8 E=4 K=2 dtype=bf16 router=lists beta=1",
    "T=9 H=8 I=8 E=4 K=2 dtype=f32 router=lists routing=dropped:0.3",
    "T=9 H=8 I=8 E=4 K=3 dtype=f16 router=lists routing=ragged act=relu2",
};

/* Every check, on the device and on the machine; once where the layer could run on the CPU too. */
START_TEST(right_everywhere)
{
    static const unsigned devices[] = {MOE_ON_CUDA, MOE_ON_PTX, MOE_ON_CPU | MOE_ON_CUDA};
    const uint32_t flags = MOE_CAPTURABLE | MOE_DETERMINISTIC;
    habit = NULL;
    for (int i = 0; i < COUNT(devices) - (_i > 0); i++) {
        struct moe_report report = judge(lines[_i], NULL, devices[i], flags);
        must_pass(&report, lines[_i]);
        ck_assert_int_eq(!finding_of(&report, "graph", -1), (devices[i] & MOE_ON_PTX) == 0);
    }
}
END_TEST

/* What is against the text alone is told, and fails nothing. */
START_TEST(remarks_are_told)
{
    static const struct habit remarks = {.name = "remarked", .after = is_remarked};
    habit = &remarks;
    struct moe_report report = judge(LINE, NULL, MOE_ON_PTX, 0);
    const struct moe_finding *finding = finding_of(&report, "machine", -1);
    must_pass(&report, habit->name);
    ck_assert(finding && strstr(finding->text, "no fence"));
}
END_TEST

/* What the routing does not use may stay undefined. */
START_TEST(unused_is_not_asked_for)
{
    static const struct habit spoils = {.name = "rows that no pick uses", .after = spoils_unused};
    habit = &spoils;
    struct moe_report report = judge(lines[2], "machine", MOE_ON_PTX, 0);
    must_pass(&report, habit->name);
}
END_TEST

static int was_judged(const struct moe_report *report, const char *name)
{
    int i = 0;
    while (strcmp(moe_check_get(i)->name, name) != 0)
        i++;
    return report->judged >> i & 1;
}

/* What must have the device alone is not run beside another run, and says so once. */
START_TEST(crowded_is_left_out)
{
    char folder[] = "/tmp/moecheck-turn.XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    on_device_turn_folder = folder;
    on_device_turn_seconds = 0.05;
    habit = NULL;
    const int other = on_device_turn_take(0);
    ck_assert_int_ge(other, 0);
    struct moe_report report = judge(LINE, "bound,contention", MOE_ON_CUDA, MOE_CAPTURABLE);
    on_device_turn_give(other);
    must_pass(&report, "crowded");
    const struct moe_finding *finding = finding_of(&report, "contention", -1);
    ck_assert(finding && strstr(finding->text, "left out"));
    ck_assert_int_eq(report.finding_count, 1);
    ck_assert(!was_judged(&report, "contention"));
    report = judge(LINE, "contention", MOE_ON_CUDA, MOE_CAPTURABLE);
    must_pass(&report, "alone");
    ck_assert(was_judged(&report, "contention"));
    folder_remove(folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("on_device");
    TCase *found = tcase_create("found"), *right = tcase_create("right");
    tcase_add_loop_test(found, habits_are_found, 0, COUNT(habits));
    suite_add_tcase(suite, found);
    tcase_add_test(right, undeclared_is_allowed);
    tcase_add_loop_test(right, right_everywhere, 0, as_many(COUNT(lines), 2));
    tcase_add_test(right, remarks_are_told);
    tcase_add_test(right, unused_is_not_asked_for);
    tcase_add_test(right, crowded_is_left_out);
    suite_add_tcase(suite, right);
    return run_suite(suite);
}
