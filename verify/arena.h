/*
 * arena.h - where the memory of one trial lies: every buffer that a variant is given, each with
 * bytes around it that nobody may touch.
 *
 * An arena is one stretch of addresses. On the CPU the variant works in it; for a device it is the
 * picture of one of the same layout there (arena_device.h), so that what is put in, taken out and
 * compared is the same code for both.
 */
#ifndef MOE_ARENA_H
#define MOE_ARENA_H

#include "verify/verify.h"

/* The buffers: tensors by their id, and these. */
enum {
    MOE_ARENA_WORKSPACE = MOE_TENSOR_COUNT,
    MOE_ARENA_KEPT,
    MOE_ARENA_STATUS,
    MOE_ARENA_REGIONS
};

/* Bytes on either side of a buffer that are compared after a run, where there are so many. */
#define MOE_ARENA_BAND 4096

/* A buffer lies flush against pages that are not mapped: a read past it faults as well. */
enum moe_fence { MOE_FENCE_NONE, MOE_FENCE_AFTER, MOE_FENCE_BEFORE };

/* Where the buffers of a trial lie; zeros: rows follow each other, everything at a multiple of 256
 * bytes, guard bands around it. */
struct moe_placement {
    enum moe_fence fence; /* on both sides, flush on this one; inputs are then read only (CPU) */
    int32_t shift;        /* bytes that every tensor begins behind a multiple of 256; one whose
                             elements are larger, by an element */
    int64_t padding;      /* elements between the end of a row and the next, at least */
    int64_t distance;     /* elements from row to row, far enough that the pages between are not
                             mapped; 0: rows as padding says */
    int64_t workspace_withheld, kept_withheld; /* bytes fewer than the variant states */
};

/* Bytes that changed where nobody may write. */
enum moe_side { MOE_SIDE_BEFORE, MOE_SIDE_AFTER, MOE_SIDE_BETWEEN };
struct moe_stray {
    const char *buffer; /* "x", "workspace", ...; static */
    enum moe_side side;
    int64_t offset; /* of the first: bytes from the buffer's begin, its end, or the row's end */
    int64_t bytes;  /* that changed in this stretch */
    int64_t row;    /* BETWEEN: behind which row */
};

/* One buffer: a tensor, or bytes as a tensor of u8. data is NULL where the case has none. */
struct moe_region {
    const char *name;
    struct moe_tensor tensor; /* data is its place in the arena */
    int64_t span;             /* bytes from its first to its last */
    int64_t before, after;    /* bytes around it that are compared */
    int first_piece, piece_count;
};

/* Part of the arena that is mapped: offsets of its begin and end. */
struct moe_piece {
    int64_t begin, end;
};

struct moe_arena {
    struct moe_region region[MOE_ARENA_REGIONS];
    char *base;
    int64_t size;
    int64_t page; /* what a fence and a piece are multiples of */
    int fill;     /* guards follow from it: in two runs of different fill they differ */
    int fenced;
    struct moe_piece *piece;
    int piece_count;
};

/*
 * Lays out and maps the buffers of a case: its tensors (types and shapes of `tensors`), workspace
 * and kept memory of so many bytes, the status word. `alignment` is what the variant's tensors must
 * begin at a multiple of (0: their elements' size), page what can be mapped alone. MOE_E_NOMEM.
 */
struct moe_arena_plan {
    const struct moe_tensors *tensors;
    struct moe_placement where;
    int64_t workspace, kept, alignment, page;
    int fill;
};
int moe_arena_map(const struct moe_arena_plan *plan, struct moe_arena *arena);
void moe_arena_unmap(struct moe_arena *arena);

/* Copies the tensors' values in, and fills the rest: guards with their pattern, workspace and kept
 * memory with the fill, the status word with 0. */
void moe_arena_put(struct moe_arena *arena, const struct moe_tensors *tensors);

/* Copies dense tensors' values to where tensors of the same shapes lie, rows apart or not. */
void moe_tensors_place(const struct moe_tensors *from, const struct moe_tensor *to);

/* CPU, where fenced: makes what is only read unwritable. MOE_E_INTERNAL. */
int moe_arena_protect(struct moe_arena *arena, const struct moe_problem *problem);

/* A call on what lies in the arena, with tensors[MOE_TENSOR_COUNT] for its tensors. */
struct moe_call moe_arena_call(const struct moe_arena *arena, struct moe_tensor *tensors);

/* Copies every tensor out. */
void moe_arena_take(const struct moe_arena *arena, struct moe_tensors *tensors);

/* arena_guard.c: fills what nobody may touch; afterwards finds what changed. Returns how many
 * stretches did; the first `room` of them in stray[]. */
void moe_arena_guard(struct moe_arena *arena);
int moe_arena_strays(const struct moe_arena *arena, struct moe_stray *stray, int room);

/* The same in words, for a finding. */
void moe_stray_tell(const struct moe_stray *stray, char *text, size_t size);

/* How many rows a tensor has that lie apart: 1 where it is dense, 0 where it is empty. And the row
 * `row` of them: its place in bytes from the tensor's begin, and the bytes of a row. */
int64_t moe_rows_count(const struct moe_tensor *tensor);
int64_t moe_rows_offset(const struct moe_tensor *tensor, int64_t row);
int64_t moe_rows_bytes(const struct moe_tensor *tensor);

#endif
