/*
 * ptx_expand.h - the short forms of tests/ptx/families: <a|b> stands for both, <$1> for what the
 * first such choice was, {%r 0..3} for a vector, and `each 0..3: ...` for a line a number.
 */
#ifndef MOE_TESTS_PTX_EXPAND_H
#define MOE_TESTS_PTX_EXPAND_H

#include <stddef.h>

/* Text that grows; failed: no memory. */
struct text {
    char *at;
    size_t length, room;
    int failed;
};
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_bytes(struct text *text, const char *from, size_t length);

/* Calls take for each of the choices in text, in order, until it does not return 0; what it
 * returned last. */
int ptx_expand(const char *text, int (*take)(void *data, const char *text), void *data);

#endif
