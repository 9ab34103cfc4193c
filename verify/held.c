/*
 * held.c - see held.h.
 */
#include <malloc.h>

#include "verify/held.h"

#if defined __GLIBC__ && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
int64_t moe_held_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return (int64_t)(info.uordblks + info.hblkhd);
}
#else
int64_t moe_held_bytes(void)
{
    return 0;
}
#endif
