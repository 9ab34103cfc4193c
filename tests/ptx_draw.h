/*
 * ptx_draw.h - the inputs of micro-kernels, from a counter: the same everywhere, in integers only.
 *
 * A draw is the format that 64 bits are filled with, as often as it goes into them: s8, s16, s32,
 * s64, e4m3, e5m2, f16, bf16, tf32, f32, f64. Zeros, subnormals, infinities, NaN, ends of the
 * range, halfway cases and operands that cancel are frequent. With m before its name (mf16) a
 * floating format has neither NaN nor infinity nor large exponents, for sums of products that stay
 * numbers. lane: the word's number.
 */
#ifndef MOE_TESTS_PTX_DRAW_H
#define MOE_TESTS_PTX_DRAW_H

#include <stddef.h>
#include <stdint.h>

/* Array `array` of a row, `count` words; 0 where there is no such draw. */
int ptx_draw(const char *draw, uint64_t seed, int array, uint64_t *to, size_t count);

#endif
