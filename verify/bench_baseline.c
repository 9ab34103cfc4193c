/*
 * bench_baseline.c - an earlier run to compare with: the rows of its --json output.
 *
 * Two medians are told apart only where the runs' own spread lets them be: a machine that is warmer
 * or shared shifts a median by more than many a change does.
 */
#define _GNU_SOURCE /* getline */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verify/bench_command.h"

#define SAME 0.02

static char *copy_string(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return strdup(text != NULL ? text : "");
}

/* Is the object a variant's time on a GPU? */
static int is_row(const json_t *object, struct moe_result *result)
{
    const char *measurement = json_string_value(json_object_get(object, "measurement"));

    return measurement != NULL && strcmp(measurement, "gpu") == 0 &&
           moe_result_from_json(object, result) == MOE_OK && result->report.verdict == MOE_PASS &&
           result->measure.timing.forward.median > 0 && result->measure.timing.backward.median > 0;
}

static int add_row(struct bench_baseline *baseline, const json_t *object,
                   const struct moe_measure *measure)
{
    struct bench_row *row =
        realloc(baseline->row, (size_t)(baseline->count + 1) * sizeof *baseline->row);

    if (row == NULL)
        return moe_error(MOE_E_NOMEM, "no memory for the baseline");
    baseline->row = row;
    row += baseline->count++;
    row->line = copy_string(object, "case");
    row->variant = copy_string(object, "variant");
    row->device = copy_string(object, "device");
    row->date = copy_string(object, "date");
    row->forward = measure->timing.forward;
    row->backward = measure->timing.backward;
    return row->line != NULL && row->variant != NULL && row->device != NULL && row->date != NULL
               ? MOE_OK
               : moe_error(MOE_E_NOMEM, "no memory for the baseline");
}

static int read_line(struct bench_baseline *baseline, const char *text)
{
    json_t *object = json_loads(text, 0, NULL);
    struct moe_result result;
    int status = MOE_OK;

    if (object == NULL)
        return moe_error(MOE_E_USAGE, "not a line of moecheck bench --json");
    if (is_row(object, &result))
        status = add_row(baseline, object, &result.measure);
    json_decref(object);
    return status;
}

int bench_baseline_read(const char *path, struct bench_baseline *baseline)
{
    FILE *file = fopen(path, "re");
    int status = MOE_OK, number = 0;
    size_t size = 0;
    char *line = NULL;

    *baseline = (struct bench_baseline){.count = 0};
    if (file == NULL)
        return moe_error(MOE_E_IO, "%s: %s", path, strerror(errno));
    while (status == MOE_OK && (errno = 0, getline(&line, &size, file)) >= 0) {
        number++;
        if (line[strspn(line, " \t\r\n")] != '\0')
            status = read_line(baseline, line);
        if (status == MOE_E_USAGE)
            status = moe_error(status, "%s:%d: not a line of moecheck bench --json", path, number);
    }
    if (status == MOE_OK && ferror(file))
        status = moe_error(MOE_E_IO, "%s: %s", path, strerror(errno));
    free(line);
    fclose(file);
    return status;
}

void bench_baseline_free(struct bench_baseline *baseline)
{
    for (int64_t i = 0; i < baseline->count; i++) {
        free(baseline->row[i].line);
        free(baseline->row[i].variant);
        free(baseline->row[i].device);
        free(baseline->row[i].date);
    }
    free(baseline->row);
    *baseline = (struct bench_baseline){.count = 0};
}

const struct bench_row *bench_baseline_find(const struct bench_baseline *baseline, const char *line,
                                            const char *variant, const char *device)
{
    for (int64_t i = baseline->count - 1; i >= 0; i--) {
        const struct bench_row *row = &baseline->row[i];

        if (strcmp(row->line, line) == 0 && strcmp(row->variant, variant) == 0 &&
            strcmp(row->device, device) == 0)
            return row;
    }
    return NULL;
}

const char *bench_change(const struct moe_gpu_time *now, const struct moe_gpu_time *then)
{
    double ratio = now->median / then->median;

    if (fabs(ratio - 1) <= SAME)
        return "same";
    if (now->least <= then->most && then->least <= now->most)
        return "ambiguous";
    return ratio < 1 ? "faster" : "slower";
}
