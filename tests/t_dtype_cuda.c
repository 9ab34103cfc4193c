/*
 * t_dtype_cuda.c - ref/dtype.c against the host functions of CUDA's headers (dtype_cuda.cu): every
 * code decoded; encoded every representable value, every midpoint of two, their neighbours in
 * double and in float, and a stride over all bit patterns of a float. A second rounding on the way
 * (by float, say) shows at the neighbours of midpoints.
 *
 * It runs on the CPU but needs nvcc: without it every test SKIPs with configure's reason. It writes
 * its own TAP, since libcheck has no SKIP. NaN has many codes; any is as good as another.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "ref/moe.h"
#include "tests/dtype_cuda.h"

static const enum moe_dtype dtypes[] = {MOE_BF16, MOE_F16, MOE_E4M3, MOE_E5M2, MOE_E2M1, MOE_UE8M0};

#define DTYPES ((int)(sizeof dtypes / sizeof *dtypes))

#if !MOE_CUDA_VERSION
const struct cuda_format *cuda_format(int index)
{
    (void)index;
    return NULL;
}
#endif

static const struct cuda_format *row_of(enum moe_dtype dtype)
{
    for (int i = 0; cuda_format(i); i++)
        if (cuda_format(i)->dtype == dtype)
            return cuda_format(i);
    return NULL;
}

/* Counts what differs and shows the first. */
struct tally {
    long tried, wrong;
    const struct cuda_format *row;
};

static uint32_t our_code(enum moe_dtype dtype, double value, int saturate)
{
    uint32_t code = 0;
    moe_dtype_store(dtype, &code, 0, value, saturate);
    return code;
}

static double our_value(enum moe_dtype dtype, uint32_t code)
{
    return moe_dtype_load(dtype, &code, 0);
}

static void count(struct tally *tally, int good, double value, int saturate, uint32_t ours,
                  uint32_t theirs)
{
    tally->tried++;
    if (!good && tally->wrong++ == 0)
        fprintf(stderr, "%s of %a (saturate %d): %#x, CUDA's headers say %#x\n",
                moe_dtype_info(tally->row->dtype)->name, value, saturate, ours, theirs);
}

/* Of a type that CUDA rounds to a side only: ours is the nearer of its two, the even one of equals.
 * Zero and below have no power of two: ours and theirs differ by choice. */
static void try_sides(struct tally *tally, double value)
{
    const struct cuda_format *row = tally->row;
    if (!(value > 0))
        return;
    const uint32_t ours = our_code(row->dtype, value, 1);
    const uint32_t up = row->encode(value, 1), down = row->encode_down(value, 1);
    const double above = row->decode(up) - value, below = value - row->decode(down);
    const uint32_t nearer = above < below ? up : below < above ? down : up % 2 == 0 ? up : down;
    count(tally, ours == nearer, value, 1, ours, nearer);
}

static void try_value(struct tally *tally, double value)
{
    const struct cuda_format *row = tally->row;
    if (row->encode_down) {
        try_sides(tally, value);
        return;
    }
    for (int saturate = 0; saturate <= row->saturates; saturate++) {
        const uint32_t ours = our_code(row->dtype, value, saturate);
        uint32_t theirs = row->encode(value, saturate);
        const int both_nan = isnan(our_value(row->dtype, ours)) && isnan(row->decode(theirs));
        count(tally, ours == theirs || both_nan, value, saturate, ours, theirs);
        if ((double)(float)value == value) {
            theirs = row->encode_float((float)value, saturate);
            count(tally, ours == theirs || both_nan, value, saturate, ours, theirs);
        }
    }
}

static void try_around(struct tally *tally, double value)
{
    const float narrow = (float)value;
    const double all[] = {value,  nextafter(value, INFINITY),   nextafter(value, -INFINITY),
                          narrow, nextafterf(narrow, INFINITY), nextafterf(narrow, -INFINITY)};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        try_value(tally, all[i]);
}

static struct tally decode_all(const struct cuda_format *row)
{
    struct tally tally = {.row = row};
    const uint32_t codes = 1u << moe_dtype_info(row->dtype)->bits;
    for (uint32_t code = 0; code < codes; code++) {
        const double ours = our_value(row->dtype, code), theirs = row->decode(code);
        const int same = isnan(ours) ? isnan(theirs) : ours == theirs;
        tally.tried++;
        if ((!same || (!isnan(ours) && !signbit(ours) != !signbit(theirs))) && tally.wrong++ == 0)
            fprintf(stderr, "%s code %#x is %a, in CUDA's headers %a\n",
                    moe_dtype_info(row->dtype)->name, code, ours, theirs);
    }
    return tally;
}

/* Values, midpoints, and quarters of a step beyond the largest, where rounding becomes overflow. */
static struct tally encode_edges(const struct cuda_format *row)
{
    struct tally tally = {.row = row};
    const struct moe_dtype_info *info = moe_dtype_info(row->dtype);
    const uint32_t codes = 1u << info->bits;
    for (uint32_t code = 0; code < codes; code++) {
        const double value = our_value(row->dtype, code);
        const double next = our_value(row->dtype, code + 1 < codes ? code + 1 : code);
        try_around(&tally, value);
        if (isfinite(value) && isfinite(next))
            try_around(&tally, value + (next - value) / 2);
    }
    const uint32_t top = our_code(row->dtype, info->largest, 0);
    const double step = info->largest - our_value(row->dtype, top - 1);
    for (int sign = -1; sign <= 1; sign += 2)
        for (int quarter = 0; quarter <= 8; quarter++)
            try_around(&tally, sign * (info->largest + step / 4 * quarter));
    return tally;
}

static struct tally encode_stride(const struct cuda_format *row, uint32_t stride)
{
    struct tally tally = {.row = row};
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += stride) {
        const uint32_t pattern = (uint32_t)bits;
        float value;
        memcpy(&value, &pattern, sizeof value);
        try_value(&tally, value);
    }
    return tally;
}

int main(void)
{
    const char *size = getenv("MOE_TEST_SIZE");
    const uint32_t stride = size && !strcmp(size, "small") ? 65537 : 4093;
    int number = 0, failures = 0;

    printf("1..%d\n", DTYPES * 3);
    for (int i = 0; i < DTYPES; i++) {
        const char *name = moe_dtype_info(dtypes[i])->name;
        const struct cuda_format *row = row_of(dtypes[i]);
        for (int part = 0; part < 3; part++) {
            static const char *const parts[] = {"decode", "edges", "stride"};
            if (!row) {
                printf("ok %d - %s %s # SKIP %s\n", ++number, name, parts[part],
                       MOE_CUDA_VERSION ? "not in this CUDA's headers"
                                        : "built without CUDA: " MOE_CUDA_WHY);
                continue;
            }
            const struct tally tally = part == 0   ? decode_all(row)
                                       : part == 1 ? encode_edges(row)
                                                   : encode_stride(row, stride);
            const int good = tally.wrong == 0 && tally.tried > 0;
            failures += !good;
            printf("%s %d - %s %s: %ld of %ld differ\n", good ? "ok" : "not ok", ++number, name,
                   parts[part], tally.wrong, tally.tried);
        }
    }
    return failures != 0;
}
