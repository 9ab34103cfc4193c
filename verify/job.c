/*
 * job.c - the lines that a supervisor and its workers exchange: requests and answers, one JSON
 * object each.
 */
#include <jansson.h>
#include <string.h>

#include "verify/worker.h"

static const char *const action_name[MOE_ACTION_COUNT] = {
    [MOE_ACTION_JUDGE] = "judge",
    [MOE_ACTION_RUN] = "run",
    [MOE_ACTION_JUDGE_FILE] = "judge-file",
    [MOE_ACTION_MEASURE] = "measure",
};

/* The optional strings of a job, for both directions. */
static const struct {
    const char *name;
    size_t offset;
} job_string[] = {
    {"variant", offsetof(struct moe_job, variant)}, {"load", offsetof(struct moe_job, load)},
    {"file", offsetof(struct moe_job, file)},       {"measure", offsetof(struct moe_job, measure)},
    {"checks", offsetof(struct moe_job, checks)},   {"fault", offsetof(struct moe_job, fault)},
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static char *dump(json_t *object, int bad)
{
    char *line = bad == 0 ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    return line;
}

char *moe_job_encode(const struct moe_job *job, uint64_t id)
{
    json_t *object = json_object();
    char line[MOE_CASE_LINE];
    int bad = 0;

    moe_problem_print(&job->problem, line, sizeof line);
    bad |= json_object_set_new(object, "job", json_integer((json_int_t)id));
    bad |= json_object_set_new(object, "action", json_string(action_name[job->action]));
    bad |= json_object_set_new(object, "case", json_string(line));
    bad |= json_object_set_new(object, "configuration", json_integer(job->configuration));
    bad |= json_object_set_new(object, "rotate", json_boolean(job->rotate));
    for (size_t i = 0; i < COUNT(job_string); i++) {
        const char *text = *(const char *const *)((const char *)job + job_string[i].offset);

        if (text != NULL)
            bad |= json_object_set_new(object, job_string[i].name, json_string(text));
    }
    return dump(object, bad);
}

static int action_from_name(const char *name)
{
    for (int action = 0; name != NULL && action < MOE_ACTION_COUNT; action++)
        if (strcmp(action_name[action], name) == 0)
            return action;
    return -1;
}

int moe_job_decode(const char *line, struct moe_job *job, uint64_t *id, struct json_t **owner)
{
    json_t *object = json_loads(line, 0, NULL);
    const char *problem = json_string_value(json_object_get(object, "case"));
    int action = action_from_name(json_string_value(json_object_get(object, "action")));
    int status;

    memset(job, 0, sizeof *job);
    if (problem == NULL || action < 0) {
        json_decref(object);
        return moe_error(MOE_E_INTERNAL, "a request is malformed");
    }
    status = moe_problem_parse(problem, &job->problem);
    if (status != MOE_OK) {
        json_decref(object);
        return status;
    }
    job->action = (enum moe_action)action;
    job->configuration = (int32_t)json_integer_value(json_object_get(object, "configuration"));
    job->rotate = json_is_true(json_object_get(object, "rotate"));
    for (size_t i = 0; i < COUNT(job_string); i++)
        *(const char **)((char *)job + job_string[i].offset) =
            json_string_value(json_object_get(object, job_string[i].name));
    *id = (uint64_t)json_integer_value(json_object_get(object, "job"));
    *owner = object;
    return MOE_OK;
}

void moe_job_release(struct json_t *owner)
{
    json_decref(owner);
}

char *moe_result_encode(const struct moe_result *result, uint64_t id)
{
    json_t *object = json_object();
    int bad = 0;

    bad |= json_object_set_new(object, "job", json_integer((json_int_t)id));
    bad |= json_object_set_new(object, "result", moe_result_json(result));
    return dump(object, bad);
}

int moe_result_decode(const char *line, uint64_t *id, struct moe_result *result)
{
    json_t *object = json_loads(line, 0, NULL);
    const json_t *inner = json_object_get(object, "result");
    int status = json_is_object(inner) ? moe_result_from_json(inner, result)
                                       : moe_error(MOE_E_INTERNAL, "not an answer");

    if (status == MOE_OK)
        *id = (uint64_t)json_integer_value(json_object_get(object, "job"));
    json_decref(object);
    return status;
}
