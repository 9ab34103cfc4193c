/*
 * verify.h - inside the judge: from a case and a variant to a verdict. Prototypes stand under the
 * file that holds them. The command (main.c, command_*.c, worker.c) is built on this and on nothing
 * below.
 */
#ifndef MOE_VERIFY_H
#define MOE_VERIFY_H

#include <stddef.h>
#include <stdint.h>

#include "ref/moe.h"
#include "verify/geometry.h"
#include "verify/variant.h"

/* ---- verdict.c ------------------------------------------------------------------------------ */

/* A verdict is not an error: these four are data, and ERROR means "could not decide". */
enum moe_verdict { MOE_PASS, MOE_SKIP, MOE_FAIL, MOE_ERROR };

const char *moe_verdict_name(enum moe_verdict verdict); /* "PASS" ... */

/* Exit status of the command. The first that holds: 2 usage, 1 a check failed, 99 could not decide,
 * 77 nothing could be run, 0. */
enum {
    MOE_EXIT_PASS = 0,
    MOE_EXIT_FAIL = 1,
    MOE_EXIT_USAGE = 2,
    MOE_EXIT_SKIP = 77,
    MOE_EXIT_ERROR = 99
};

/* Where one check found something; tensor < 0 and indices < 0 where they do not apply. */
struct moe_finding {
    const char *check; /* a name of the checks' table, static */
    enum moe_verdict verdict;
    int32_t tensor;       /* enum moe_tensor_id */
    int64_t wrong, total; /* elements */
    int64_t row, col;     /* worst element, the tensor seen as a matrix of its last dimension */
    int64_t expert, token, slot;
    double got, want, allowed;
    enum moe_geometry geometry; /* of the wrong elements */
    char where[128];            /* that shape in words; "" */
    char text[768];             /* one line in words */
};

#define MOE_REPORT_FINDINGS 16

/* What came of one case and one variant. */
struct moe_report {
    enum moe_verdict verdict; /* the worst of the findings; PASS without any */
    int32_t finding_count;    /* all; the first MOE_REPORT_FINDINGS are kept */
    struct moe_finding finding[MOE_REPORT_FINDINGS];
    double worst_ratio;             /* largest err / bound met anywhere */
    uint32_t compared;              /* tensors that were met by their bounds, a bit by number */
    double ratio[MOE_TENSOR_COUNT]; /* largest err / bound of each of those */
    double variant_seconds, judge_seconds;
    uint64_t judged; /* checks that had something to judge here, by number in their table */
    struct moe_picture picture; /* of the first finding that has a shape */
    int32_t pictured;           /* that finding; it is one of those that are kept */
};

void moe_report_clear(struct moe_report *report);

/* Appends (or only counts, when full) and raises the report's verdict: ERROR over FAIL over SKIP
 * over PASS, but a SKIP finding only where nothing else was decided. */
void moe_report_add(struct moe_report *report, const struct moe_finding *finding);

/* ---- tensors.c: the tensors of one case, owned ---------------------------------------------- */

struct moe_tensors {
    struct moe_tensor tensor[MOE_TENSOR_COUNT]; /* data NULL: the case has none */
};

/* All tensors of the case, allocated and undefined. */
int moe_tensors_allocate(const struct moe_problem *problem, struct moe_tensors *tensors);
void moe_tensors_free(struct moe_tensors *tensors);

/* Draws every input (and the lists). What beta=1 adds to is drawn too. */
int moe_tensors_draw(const struct moe_problem *problem, struct moe_tensors *tensors);

/* Replaces inputs (and lists, with router=lists) by those of a safetensors file that bear their
 * names; shapes must be the case's, types the case's or convertible without loss. Other names in
 * the file are ignored. Ragged lists have offsets[T] entries. MOE_E_USAGE, MOE_E_IO; the tensors
 * are then partly replaced. */
int moe_tensors_load(const struct moe_problem *problem, const char *path,
                     struct moe_tensors *tensors);

/* The same for outputs, to judge tensors made elsewhere: what the file lacks is freed, so data is
 * NULL there. z is taken only together with picks, which say how many rows it has. */
int moe_tensors_load_outputs(const struct moe_problem *problem, const char *path,
                             struct moe_tensors *tensors);

/* Writes every tensor of the case that has data to a safetensors file; the line and the variant's
 * name (unless NULL) in its metadata; aside first, then renamed. z and ragged entries have the
 * length that the routing gave them. */
int moe_tensors_save(const struct moe_problem *problem, const struct moe_tensors *tensors,
                     const char *variant, const char *path);

/* ---- registry.c: variants ------------------------------------------------------------------- */

const struct moe_variant *
moe_variant_get(int index); /* built in, then plug-ins; NULL past the end */

/* A mask of devices: bits of enum moe_device_kind, and from this bit on the number of the PTX
 * machine's order and times. */
#define MOE_DEVICES_SCHEDULE 16
#define MOE_DEVICES_SCHEDULE_MOST 32767

/* Can it run this case here? MOE_OK, or MOE_E_UNSUPPORTED with the reason. `devices` is a mask. */
int moe_variant_applicable(const struct moe_variant *variant, const struct moe_problem *problem,
                           unsigned devices, char *why, size_t size);

/* ---- plugin.c ------------------------------------------------------------------------------- */

/* Opens a plug-in and adds its variants. MOE_E_IO: no such file or not loadable; MOE_E_USAGE: no
 * moe_plugin, another version, a malformed table; MOE_E_INTERNAL: it changed the floating-point
 * environment (flush to zero, rounding), which is put back. */
int moe_plugin_open(const char *path);

/* ---- judge.c -------------------------------------------------------------------------------- */

enum moe_phase { MOE_PHASE_JUDGE, MOE_PHASE_VARIANT };

struct moe_judge_options {
    const char *load;      /* safetensors with inputs, or NULL */
    unsigned devices;      /* mask of what it may run on; 0: whatever it can */
    int32_t configuration; /* of the variant */
    int one_configuration; /* 1: no other is tried */
    const char *checks;    /* names of those that take part, commas between; NULL: all */
    int rotate;            /* 1: checks that run the variant again take turns, by the case */
    /* Told whenever control passes between us and the variant, so that a crash has an owner. */
    void (*phase)(void *context, enum moe_phase phase);
    /* Told which step of a run begins, and of which check's (NULL: the judge's own run). */
    void (*place)(void *context, const char *check, const char *step);
    void *context;
};

/* Runs the variant on the case and judges all that it wrote. MOE_OK also when the verdict is FAIL,
 * SKIP or ERROR: all of these are in the report. */
int moe_judge_variant(const struct moe_problem *problem, const struct moe_variant *variant,
                      const struct moe_judge_options *options, struct moe_report *report);

/* Judges tensors that somebody else made, on the inputs that stand beside them. `recipe` NULL: a
 * plain implementation of the case's type, with every rounding to it allowed. */
int moe_judge_tensors(const struct moe_problem *problem, const struct moe_tensors *tensors,
                      const struct moe_recipe *recipe, struct moe_report *report);

/* Runs both passes of the variant on drawn (or loaded) tensors, outputs poisoned before. */
int moe_variant_run(const struct moe_problem *problem, const struct moe_variant *variant,
                    const struct moe_judge_options *options, struct moe_tensors *tensors);

/* ---- compare.c ------------------------------------------------------------------------------ */

/* Elements of one row of a tensor seen as a matrix of its last dimension, whatever the strides. */
void moe_tensor_load_row(const struct moe_tensor *tensor, int64_t row, int64_t col, int64_t cols,
                         double *values);

/* Counts and locates what is not within its bound, element by element. */
struct moe_comparison {
    int64_t total, wrong;
    int64_t undecided; /* elements whose bound is NaN: nothing is known of them */
    int64_t row, col;  /* worst: the largest err/bound; NaN worse than any */
    double got, want, allowed;
    double ratio;          /* err/bound there; INFINITY for a NaN */
    struct moe_mask *mask; /* where not NULL, the wrong elements are marked here */
};

/*
 * Compares what the tensor holds with a block of the reference. An element is right where it equals
 * the reference (both NaN included), or where err <= bound; so NaN never passes otherwise. `before`
 * [as tensor] is what a parameter gradient was added to (beta=1), or NULL. MOE_E_NOMEM.
 */
int moe_compare_block(const struct moe_tensor *tensor, const struct moe_tensor *before,
                      const struct moe_block *block, struct moe_comparison *comparison);

/* What a parameter gradient `value` with its bound may be off by once it was added to `old`,
 * beta=1, and stored in the type; `old_error` as in struct moe_block, `lost` what underflow may
 * lose. As if exponents had no end. */
double moe_compare_bound_of_sum(enum moe_dtype dtype, double old, double value, double bound,
                                double old_error, double lost);

/* ---- checks.c: the table of checks, made from the list of files check_*.c -------------------- */

struct moe_judgement; /* judge.h */

/* One check. Each of its functions may be NULL and returns a status only for trouble of our own.
 * Checks stand in the order of the list CHECKS; what `routing` and `bound` found is known to those
 * after them. */
struct moe_check {
    const char *name;
    const char *summary; /* one line: what it tests */
    int runs; /* how often it runs the variant again, about; 0: it judges what there is */
    int (*before)(struct moe_judgement *judgement); /* sees the tensors before the variant runs */
    /* Sees every block of the one run of the reference that `bound` makes, where routing was
     * accepted. */
    int (*block)(struct moe_judgement *judgement, const struct moe_block *block);
    int (*after)(struct moe_judgement *judgement); /* judges what the variant left */
};

const struct moe_check *moe_check_get(int index); /* NULL past the end */

#endif
