/*
 * philox.c - words of a stream: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011; Random123), four
 * words a block. Purposes below 512 are those of the draws of a case's tensors.
 */
#include "ref/draw.h"

uint32_t moe_draw_word(uint64_t seed, uint32_t purpose, uint64_t index)
{
    return draw_block(seed, STREAM_WORDS, purpose, index / 4).v[index % 4];
}
