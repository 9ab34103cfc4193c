/*
 * ptx_speed.c - how fast the PTX machine is: `make tests/ptx_speed`, on a machine that does nothing
 * else. Each figure is the best of five runs, on one core.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gpu/hopper/product.h"
#include "gpu/kernels.h"
#include "gpu/ptx/device_own.h"
#include "tests/parts_array.h"
#include "tests/ptx_rig.h"
#include "verify/variant.h"

enum { RUNS = 5 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- a kernel of a few lines ----------------------------------------------------------------- */

static const char scalar[] =
    ".version 8.6\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 pa)\n{\n"
    ".reg .b32 %r<8>;\n.reg .b64 %q<4>;\n.reg .pred %p;\nmov.u32 %r0, %tid.x;\n"
    "mov.u32 %r5, %ctaid.x;\nmad.lo.u32 %r5, %r5, 256, %r0;\nld.param.u64 %q0, [pa];\n"
    "mul.wide.u32 %q1, %r5, 4;\nadd.s64 %q1, %q0, %q1;\nmov.u32 %r1, 0;\nmov.u32 %r2, 1;\n"
    "loop:\nld.global.u32 %r3, [%q1];\nmad.lo.u32 %r2, %r2, 1664525, %r3;\nxor.b32 %r4, %r2, %r1;\n"
    "shr.u32 %r3, %r4, 3;\nadd.u32 %r2, %r2, %r3;\nmin.u32 %r4, %r4, %r2;\nst.global.u32 [%q1], "
    "%r4;\nadd.u32 %r1, %r1, 1;\nsetp.lt.u32 %p, %r1, 2000;\n@%p bra loop;\nret;\n}\n";

/* 100 steps of m64n256k16 of bf16. */
static void write_wgmma(char *text, size_t room)
{
    size_t at = (size_t)snprintf(
        text, room,
        ".version 8.6\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 pa)\n{\n"
        ".reg .b32 %%r<8>, %%t, %%s;\n.reg .f32 %%d<128>;\n.reg .b64 %%q<4>;\n.reg .pred %%p;\n"
        ".shared .align 1024 .b8 room[16384];\nmov.u32 %%t, %%tid.x;\nmov.u32 %%s, room;\n"
        "shl.b32 %%r0, %%t, 2;\nadd.u32 %%r0, %%r0, %%s;\nmov.u32 %%r1, 0;\nmul.lo.u32 %%r2, %%t, "
        "40503;\nand.b32 %%r2, %%r2, 0x807f807f;\nor.b32 %%r2, %%r2, "
        "0x3f003f00;\nfill:\nst.shared.u32 [%%r0], %%r2;\nadd.u32 "
        "%%r0, %%r0, 512;\nadd.u32 %%r1, %%r1, 1;\nsetp.lt.u32 %%p, %%r1, 32;\n@%%p bra fill;\n"
        "fence.proxy.async;\nbar.sync 0;\nshr.u32 %%r3, %%s, 4;\ncvt.u64.u32 %%q0, %%r3;\n"
        "or.b64 %%q1, %%q0, 0x1000080000;\nadd.s64 %%q2, %%q1, 256;\nmov.u32 %%r1, 0;\n");
    for (int i = 0; i < 128; i++)
        at += (size_t)snprintf(text + at, room - at, "mov.f32 %%d%d, 0f00000000;\n", i);
    at += (size_t)snprintf(text + at, room - at,
                           "loop:\nwgmma.fence.sync.aligned;\nwgmma.mma_async.sync.aligned."
                           "m64n256k16.f32.bf16.bf16 ");
    for (int i = 0; i < 128; i++)
        at += (size_t)snprintf(text + at, room - at, "%s%%d%d", i ? "," : "{", i);
    snprintf(text + at, room - at,
             "}, %%q1, %%q2, 1, 1, 1, 0, 0;\nwgmma.commit_group.sync.aligned;\n"
             "wgmma.wait_group.sync.aligned 0;\nadd.u32 %%r1, %%r1, 1;\nsetp.lt.u32 %%p, %%r1, 100;"
             "\n@%%p bra loop;\nret;\n}\n");
}

/* Seconds; in *threads the instructions of all threads. Below 0: trouble. */
static double run_text(const char *text, uint32_t ctas, uint32_t block, int plain, int hazards,
                       uint64_t *threads)
{
    double best = -1;
    for (int i = 0; i < RUNS; i++) {
        struct rig rig;
        rig_open_text(&rig, text, 0, 0);
        void *zeros = calloc(1, (size_t)4 * ctas * block);
        rig_buffer(&rig, zeros, (uint64_t)4 * ctas * block, "words");
        free(zeros);
        if (!rig.trouble[0])
            rig.machine->options.plain_mma = plain;
        if (!hazards) {
            ptx_hazard_free(rig.hazard);
            rig.hazard = NULL;
        }
        const double begin = now();
        rig_run(&rig, ctas, 1, 1, block, 0);
        const double took = now() - begin;
        if (rig.trouble[0]) {
            printf("%s\n", rig.trouble);
            exit(1);
        }
        *threads = rig.machine->threads;
        best = best < 0 || took < best ? took : best;
        rig_close(&rig);
    }
    return best;
}

/* ---- a grouped product ----------------------------------------------------------------------- */

static double run_product(int hazards, int plain)
{
    enum { ROWS = 300, COLS = 256, DEPTH = 256, EXPERTS = 4 };
    double best = -1;
    for (int i = 0; i < RUNS; i++) {
        int64_t begin[EXPERTS + 1], tokens[ROWS];
        done(moe_device_open(MOE_ON_PTX, 0, &queue.device));
        done(moe_device_stream_create(queue.device, &queue.stream));
        struct ptx_device *ptx = ptx_device(queue.device);
        ptx->machine->options.plain_mma = plain;
        if (!hazards) {
            ptx_hazard_free(ptx->hazard);
            ptx->hazard = NULL;
        }
        for (int e = 0; e <= EXPERTS; e++)
            begin[e] = e * ROWS / EXPERTS;
        for (int r = 0; r < ROWS; r++)
            tokens[r] = r * 7 % 100;
        struct array *gather = array_of_places(ROWS, tokens);
        struct array *a = array_draw(MOE_BF16, 100 * DEPTH, -2, 2);
        struct array *weights = array_draw(MOE_BF16, EXPERTS * COLS * DEPTH, -2, 2);
        struct array *d = array_new(MOE_BF16, ROWS * COLS);
        struct array *expert_begin = array_of_places(EXPERTS + 1, begin);
        struct array *tiles = array_new(MOE_U8, hopper_tiles_bytes(TILE_ROWS, ROWS, EXPERTS));
        const struct hopper_product product = {
            .form = PRODUCT_FORWARD,
            .dtype = MOE_BF16,
            .N = ROWS,
            .E = EXPERTS,
            .cols = COLS,
            .k = DEPTH,
            .a = a->device,
            .gather = gather->device,
            .a_stride = DEPTH,
            .weights = weights->device,
            .tiles = hopper_tiles_at(EXPERTS, tiles->device),
            .store = {.d = d->device, .stride = COLS},
        };
        /* once to read the PTX and to make its program */
        double start = 0;
        for (int again = 0; again < 2; again++) {
            done(
                hopper_tiles_list(&queue, TILE_ROWS, EXPERTS, expert_begin->device, tiles->device));
            start = now();
            done(hopper_product_run(&queue, 0, &product));
        }
        const double took = now() - start;
        best = best < 0 || took < best ? took : best;
        arrays_free();
        moe_device_stream_destroy(queue.device, queue.stream);
        moe_device_close(queue.device);
        if (trouble)
            exit(1);
    }
    return best;
}

int main(void)
{
    static char wgmma[16384];
    static const char *const words[2][2] = {
        {"the chip's bits, no hazards", "the chip's bits, hazards"},
        {"plain f32, no hazards", "plain f32, hazards"}};
    uint64_t threads = 0;
    const double flop = 100 * 2.0 * 64 * 256 * 16;
    double took = run_text(scalar, 4, 256, 0, 1, &threads);
    printf("scalar code with hazards: %.1f M thread-instructions a second\n",
           1e-6 * (double)threads / took);
    write_wgmma(wgmma, sizeof wgmma);
    for (int plain = 1; plain >= 0; plain--)
        for (int hazards = 0; hazards < 2; hazards++) {
            took = run_text(wgmma, 1, 128, plain, hazards, &threads);
            printf("wgmma m64n256k16 of bf16, %s: %.2f GFLOP/s\n", words[plain][hazards],
                   1e-9 * flop / took);
        }
    if (!moe_kernel_get(0)) {
        printf("no kernels in this build: no grouped product\n");
        return 0;
    }
    for (int plain = 0; plain < 2; plain++)
        for (int hazards = 0; hazards < 2; hazards++)
            printf("gathered product, 300 rows, 256 columns, k 256, %s: %.3f s\n",
                   words[plain][hazards], run_product(hazards, plain));
    return 0;
}
