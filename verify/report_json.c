/*
 * report_json.c - a result as a JSON object, and back.
 *
 * It is what --json prints and what a worker answers. JSON has no NaN and no infinity, and decimal
 * text may lose bits; so every double stands twice, as a number (null where not finite) and as a
 * hex-float string, and only the string is read back.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/worker.h"

/* Text that a plug-in wrote may be any bytes, but JSON is UTF-8. */
static json_t *text_json(const char *text)
{
    json_t *json = json_string(text);
    char *copy = json == NULL ? strdup(text) : NULL;

    if (copy == NULL)
        return json;
    for (char *c = copy; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    json = json_string(copy);
    free(copy);
    return json;
}

static int set_double(json_t *object, const char *name, double value)
{
    char key[64], hex[64];

    snprintf(key, sizeof key, "%s_hex", name);
    snprintf(hex, sizeof hex, "%a", value);
    return json_object_set_new(object, name, isfinite(value) ? json_real(value) : json_null()) |
           json_object_set_new(object, key, json_string(hex));
}

static int get_double(const json_t *object, const char *name, double *value)
{
    char key[64], *end;
    const char *hex;

    snprintf(key, sizeof key, "%s_hex", name);
    hex = json_string_value(json_object_get(object, key));
    if (hex == NULL || *hex == '\0')
        return -1;
    *value = strtod(hex, &end);
    return *end == '\0' ? 0 : -1;
}

/* The integer and the double members of a finding, for both directions. */
static const struct {
    const char *name;
    size_t offset;
} finding_integer[] =
    {
        {"wrong", offsetof(struct moe_finding, wrong)},
        {"total", offsetof(struct moe_finding, total)},
        {"row", offsetof(struct moe_finding, row)},
        {"col", offsetof(struct moe_finding, col)},
        {"expert", offsetof(struct moe_finding, expert)},
        {"token", offsetof(struct moe_finding, token)},
        {"slot", offsetof(struct moe_finding, slot)},
},
  finding_double[] =
      {
          {"got", offsetof(struct moe_finding, got)},
          {"want", offsetof(struct moe_finding, want)},
          {"allowed", offsetof(struct moe_finding, allowed)},
},
  measure_double[] =
      {
          {"forward_seconds", offsetof(struct moe_measure, forward_seconds)},
          {"backward_seconds", offsetof(struct moe_measure, backward_seconds)},
          {"seconds", offsetof(struct moe_measure, seconds)},
          {"peak_bytes", offsetof(struct moe_measure, peak_bytes)},
          {"tensor_bytes", offsetof(struct moe_measure, tensor_bytes)},
},
  /* these are absent where they are 0 */
    measure_some[] = {
        {"copy_bandwidth", offsetof(struct moe_measure, yardsticks.bandwidth)},
        {"forward_flops", offsetof(struct moe_measure, yardsticks.forward_flops)},
        {"backward_flops", offsetof(struct moe_measure, yardsticks.backward_flops)},
        {"forward_chain_seconds", offsetof(struct moe_measure, yardsticks.forward_chain)},
        {"backward_chain_seconds", offsetof(struct moe_measure, yardsticks.backward_chain)},
        {"forward_ceiling_seconds", offsetof(struct moe_measure, yardsticks.forward_ceiling)},
        {"backward_ceiling_seconds", offsetof(struct moe_measure, yardsticks.backward_ceiling)},
        {"forward_median_seconds", offsetof(struct moe_measure, timing.forward.median)},
        {"forward_least_seconds", offsetof(struct moe_measure, timing.forward.least)},
        {"forward_most_seconds", offsetof(struct moe_measure, timing.forward.most)},
        {"backward_median_seconds", offsetof(struct moe_measure, timing.backward.median)},
        {"backward_least_seconds", offsetof(struct moe_measure, timing.backward.least)},
        {"backward_most_seconds", offsetof(struct moe_measure, timing.backward.most)},
        {"repetitions", offsetof(struct moe_measure, timing.repetitions)},
        {"gpu_kept_bytes", offsetof(struct moe_measure, timing.kept_bytes)},
        {"gpu_peak_bytes", offsetof(struct moe_measure, timing.peak_bytes)},
        {"before_mhz", offsetof(struct moe_measure, timing.before_mhz)},
        {"after_mhz", offsetof(struct moe_measure, timing.after_mhz)},
        {"before_watts", offsetof(struct moe_measure, timing.before_watts)},
        {"after_watts", offsetof(struct moe_measure, timing.after_watts)},
        {"forward_median", offsetof(struct moe_measure, forward.median)},
        {"forward_low", offsetof(struct moe_measure, forward.low)},
        {"forward_high", offsetof(struct moe_measure, forward.high)},
        {"forward_runs", offsetof(struct moe_measure, forward.runs)},
        {"backward_median", offsetof(struct moe_measure, backward.median)},
        {"backward_low", offsetof(struct moe_measure, backward.low)},
        {"backward_high", offsetof(struct moe_measure, backward.high)},
        {"backward_runs", offsetof(struct moe_measure, backward.runs)},
        {"both_median", offsetof(struct moe_measure, both.median)},
        {"both_low", offsetof(struct moe_measure, both.low)},
        {"both_high", offsetof(struct moe_measure, both.high)},
        {"both_runs", offsetof(struct moe_measure, both.runs)},
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static json_t *finding_json(const struct moe_finding *finding)
{
    json_t *object = json_object();
    const struct moe_tensor_info *tensor =
        finding->tensor >= 0 && finding->tensor < MOE_TENSOR_COUNT
            ? moe_tensor_info((enum moe_tensor_id)finding->tensor)
            : NULL;
    int bad = 0;

    bad |= json_object_set_new(object, "check", text_json(finding->check ? finding->check : ""));
    bad |= json_object_set_new(object, "verdict", json_string(moe_verdict_name(finding->verdict)));
    bad |= json_object_set_new(object, "tensor",
                               tensor != NULL ? json_string(tensor->name) : json_null());
    for (size_t i = 0; i < COUNT(finding_integer); i++)
        bad |= json_object_set_new(
            object, finding_integer[i].name,
            json_integer(*(const int64_t *)((const char *)finding + finding_integer[i].offset)));
    for (size_t i = 0; i < COUNT(finding_double); i++)
        bad |= set_double(object, finding_double[i].name,
                          *(const double *)((const char *)finding + finding_double[i].offset));
    bad |=
        json_object_set_new(object, "geometry", json_string(moe_geometry_name(finding->geometry)));
    bad |= json_object_set_new(object, "where", text_json(finding->where));
    bad |= json_object_set_new(object, "text", text_json(finding->text));
    if (bad == 0)
        return object;
    json_decref(object);
    return NULL;
}

struct moe_measure moe_measure_none(void)
{
    struct moe_measure none = {.forward_seconds = NAN,
                               .backward_seconds = NAN,
                               .seconds = NAN,
                               .peak_bytes = NAN,
                               .tensor_bytes = NAN};

    return none;
}

static json_t *measure_json(const struct moe_measure *measure)
{
    json_t *object = json_object();
    int bad = 0;

    for (size_t i = 0; i < COUNT(measure_double); i++)
        bad |= set_double(object, measure_double[i].name,
                          *(const double *)((const char *)measure + measure_double[i].offset));
    for (size_t i = 0; i < COUNT(measure_some); i++) {
        double value = *(const double *)((const char *)measure + measure_some[i].offset);

        if (value != 0)
            bad |= set_double(object, measure_some[i].name, value);
    }
    if (bad == 0)
        return object;
    json_decref(object);
    return NULL;
}

/* Is there anything measured? Then the object has a member for it. */
static int measured(const struct moe_measure *measure)
{
    return !isnan(measure->seconds);
}

/* By name; what was not compared is not there. */
static json_t *ratios_json(const struct moe_report *report)
{
    json_t *ratios = json_object();

    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (report->compared >> id & 1)
            set_double(ratios, moe_tensor_info((enum moe_tensor_id)id)->name, report->ratio[id]);
    return ratios;
}

static void ratios_from_json(const json_t *ratios, struct moe_report *report)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (get_double(ratios, moe_tensor_info((enum moe_tensor_id)id)->name, &report->ratio[id]) ==
            0)
            report->compared |= 1u << id;
}

static json_t *judged_json(uint64_t judged)
{
    json_t *names = json_array();

    for (int i = 0; moe_check_get(i) != NULL; i++)
        if (judged >> i & 1)
            json_array_append_new(names, json_string(moe_check_get(i)->name));
    return names;
}

static uint64_t judged_from_json(const json_t *names)
{
    uint64_t judged = 0;

    for (size_t n = 0; n < json_array_size(names); n++)
        for (int i = 0; moe_check_get(i) != NULL; i++) {
            const char *name = json_string_value(json_array_get(names, n));

            if (name != NULL && strcmp(moe_check_get(i)->name, name) == 0)
                judged |= (uint64_t)1 << i;
        }
    return judged;
}

struct json_t *moe_result_json(const struct moe_result *result)
{
    const struct moe_report *report = &result->report;
    json_t *object = json_object(), *findings = json_array();
    char line[MOE_CASE_LINE];
    int bad = 0;

    moe_problem_print(&result->problem, line, sizeof line);
    bad |= json_object_set_new(object, "case", json_string(line));
    bad |= json_object_set_new(object, "variant",
                               result->variant != NULL ? text_json(result->variant) : json_null());
    bad |= json_object_set_new(object, "verdict", json_string(moe_verdict_name(report->verdict)));
    if (result->status != MOE_OK)
        bad |= json_object_set_new(object, "status", json_integer(result->status));
    bad |= set_double(object, "worst_ratio", report->worst_ratio);
    bad |= json_object_set_new(object, "ratios", ratios_json(report));
    bad |= set_double(object, "variant_seconds", report->variant_seconds);
    bad |= set_double(object, "judge_seconds", report->judge_seconds);
    bad |= json_object_set_new(object, "checks", judged_json(report->judged));
    bad |= json_object_set_new(object, "finding_count", json_integer(report->finding_count));
    for (int i = 0; i < report->finding_count && i < MOE_REPORT_FINDINGS; i++)
        bad |= json_array_append_new(findings, finding_json(&report->finding[i]));
    bad |= json_object_set_new(object, "findings", findings);
    if (report->picture.rows > 0)
        bad |= json_object_set_new(object, "picture", moe_picture_json(report));
    if (measured(&result->measure))
        bad |= json_object_set_new(object, "measure", measure_json(&result->measure));
    if (bad == 0)
        return object;
    json_decref(object);
    return NULL;
}

static int verdict_from_json(const json_t *json, enum moe_verdict *verdict)
{
    const char *name = json_string_value(json);

    for (enum moe_verdict v = MOE_PASS; name != NULL && v <= MOE_ERROR; v++)
        if (strcmp(name, moe_verdict_name(v)) == 0) {
            *verdict = v;
            return 0;
        }
    return -1;
}

/*
 * moe_finding.check is a static string. Here the name came as text: it is looked up among the
 * checks and, where it is none of theirs (isolation, or a helper's own), kept for good in a short
 * list; what does not fit there is called "other".
 */
const char *moe_check_name(const char *name)
{
    static char own[32][32];

    for (int i = 0; moe_check_get(i) != NULL; i++)
        if (strcmp(moe_check_get(i)->name, name) == 0)
            return moe_check_get(i)->name;
    for (size_t i = 0; i < COUNT(own) && strlen(name) < sizeof own[0]; i++) {
        if (own[i][0] == '\0')
            strcpy(own[i], name);
        if (strcmp(own[i], name) == 0)
            return own[i];
    }
    return "other";
}

static int32_t tensor_from_json(const json_t *json)
{
    const char *name = json_string_value(json);

    for (int id = 0; name != NULL && id < MOE_TENSOR_COUNT; id++)
        if (strcmp(moe_tensor_info((enum moe_tensor_id)id)->name, name) == 0)
            return id;
    return -1;
}

static int finding_from_json(const json_t *object, struct moe_finding *finding)
{
    const char *check = json_string_value(json_object_get(object, "check"));
    const char *text = json_string_value(json_object_get(object, "text"));
    const char *geometry = json_string_value(json_object_get(object, "geometry"));
    const char *where = json_string_value(json_object_get(object, "where"));
    int bad = 0;

    if (check == NULL || text == NULL || geometry == NULL || where == NULL)
        return -1;
    memset(finding, 0, sizeof *finding);
    finding->geometry = moe_geometry_named(geometry);
    snprintf(finding->where, sizeof finding->where, "%s", where);
    finding->check = moe_check_name(check);
    finding->tensor = tensor_from_json(json_object_get(object, "tensor"));
    snprintf(finding->text, sizeof finding->text, "%s", text);
    bad |= verdict_from_json(json_object_get(object, "verdict"), &finding->verdict);
    for (size_t i = 0; i < COUNT(finding_integer); i++)
        *(int64_t *)((char *)finding + finding_integer[i].offset) =
            json_integer_value(json_object_get(object, finding_integer[i].name));
    for (size_t i = 0; i < COUNT(finding_double); i++)
        bad |= get_double(object, finding_double[i].name,
                          (double *)((char *)finding + finding_double[i].offset));
    return bad;
}

static void measure_from_json(const json_t *object, struct moe_measure *measure)
{
    for (size_t i = 0; i < COUNT(measure_double); i++) {
        double *value = (double *)((char *)measure + measure_double[i].offset);

        if (get_double(object, measure_double[i].name, value) != 0)
            *value = NAN;
    }
    for (size_t i = 0; i < COUNT(measure_some); i++) {
        double *value = (double *)((char *)measure + measure_some[i].offset);

        if (get_double(object, measure_some[i].name, value) != 0)
            *value = 0;
    }
}

int moe_result_from_json(const struct json_t *object, struct moe_result *result)
{
    struct moe_report *report = &result->report;
    const json_t *findings = json_object_get(object, "findings");
    const json_t *picture = json_object_get(object, "picture");
    json_int_t count = json_integer_value(json_object_get(object, "finding_count"));
    int bad = 0;

    moe_report_clear(report);
    bad |= verdict_from_json(json_object_get(object, "verdict"), &report->verdict);
    bad |= get_double(object, "worst_ratio", &report->worst_ratio);
    bad |= get_double(object, "variant_seconds", &report->variant_seconds);
    bad |= get_double(object, "judge_seconds", &report->judge_seconds);
    bad |= !json_is_array(findings) || count < 0 || count > INT32_MAX ||
           json_array_size(findings) !=
               (size_t)(count < MOE_REPORT_FINDINGS ? count : MOE_REPORT_FINDINGS);
    if (bad != 0)
        return moe_error(MOE_E_INTERNAL, "a worker's answer is not a report");
    ratios_from_json(json_object_get(object, "ratios"), report);
    report->judged = judged_from_json(json_object_get(object, "checks"));
    report->finding_count = (int32_t)count;
    for (size_t i = 0; i < json_array_size(findings); i++)
        if (finding_from_json(json_array_get(findings, i), &report->finding[i]) != 0)
            return moe_error(MOE_E_INTERNAL, "a worker's answer has a malformed finding");
    if (picture != NULL && moe_picture_from_json(picture, report) != 0)
        return moe_error(MOE_E_INTERNAL, "a worker's answer has a malformed picture");
    result->status = (int)json_integer_value(json_object_get(object, "status"));
    measure_from_json(json_object_get(object, "measure"), &result->measure);
    return MOE_OK;
}
