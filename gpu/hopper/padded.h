/*
 * padded.h - the padded path of the variant `hopper`: its kernels take rows in pieces of 16 bytes,
 * 8 elements, so a case whose H, I or shared is no multiple of 8 runs as the case with these
 * rounded up.
 *
 * Tensors whose shape that changes are copied into the workspace before a pass, with zeros behind
 * every row and behind an expert's last row of weights; what the pass makes of them is copied back.
 * The zeros add exact zeros to sums and change no bit; what comes out in the padding is left there.
 */
#ifndef MOE_HOPPER_PADDED_H
#define MOE_HOPPER_PADDED_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* [outer,rows,cols] of the dense tensor, in [outer,padded_rows,padded_cols]. Elements are of 16
 * bits: f32 counts as two columns. */
struct padded_copy {
    void *dense, *padded;
    const int64_t *outer_used; /* how many of `outer` there are, or NULL: all */
    int64_t outer, rows, cols;
    int64_t padded_rows, padded_cols; /* padded_cols a multiple of 8 */
};

#define MOST_PADDED 24 /* tensors of a case that have H, I or shared among their dimensions */

struct padded_copies {
    int64_t count;
    struct padded_copy copy[MOST_PADDED];
};

#ifdef __cplusplus
}
#endif
#endif
