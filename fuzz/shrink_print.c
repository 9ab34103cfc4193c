/*
 * shrink_print.c - what came of shrinking, as text or as a JSON object.
 */
#include <jansson.h>
#include <stdlib.h>

#include "fuzz/failure.h"

static void print_json(FILE *out, const struct moe_problem *from, const struct moe_shrunk *shrunk)
{
    json_t *object = json_object(), *inner = json_object();
    char line[MOE_CASE_LINE];
    moe_problem_print(from, line, sizeof line);
    json_object_set_new(inner, "from", json_string(line));
    json_object_set_new(inner, "again", json_integer(shrunk->again));
    json_object_set_new(inner, "runs", json_integer(shrunk->runs));
    if (shrunk->again > 0) {
        moe_problem_print(&shrunk->result.problem, line, sizeof line);
        json_object_set_new(inner, "to", json_string(line));
        json_object_set_new(inner, "tried", json_integer(shrunk->tried));
        json_object_set_new(inner, "seconds", json_real(shrunk->seconds));
        json_object_set_new(inner, "whole", json_boolean(shrunk->whole));
    }
    json_object_set_new(object, "shrunk", inner);
    char *text = json_dumps(object, JSON_COMPACT);
    if (text != NULL)
        fprintf(out, "%s\n", text);
    free(text);
    json_decref(object);
}

static void print_text(FILE *out, const struct moe_problem *from, const struct moe_shrunk *shrunk)
{
    char line[MOE_CASE_LINE];
    moe_problem_print(from, line, sizeof line);
    fprintf(out, "    %-8s %s\n", "shrunk", line);
    fprintf(out, "    %-8s %lld cases tried in %.1f s%s", "", (long long)shrunk->tried,
            shrunk->seconds,
            shrunk->whole         ? "; nothing smaller fails"
            : shrunk->interrupted ? "; interrupted"
                                  : "; time was up");
    if (shrunk->again < shrunk->runs)
        fprintf(out, "; at first %d of %d runs failed", shrunk->again, shrunk->runs);
    fputc('\n', out);
}

void moe_shrunk_print(FILE *out, const struct moe_options *options, const struct moe_problem *from,
                      const struct moe_shrunk *shrunk)
{
    if (shrunk->again > 0 && options->json)
        moe_report_print_json(out, &shrunk->result);
    else if (shrunk->again > 0)
        moe_report_print(out, options, NULL, &shrunk->result);
    if (options->json)
        print_json(out, from, shrunk);
    else if (shrunk->again > 0)
        print_text(out, from, shrunk);
    else if (shrunk->runs > 0 && !shrunk->interrupted)
        fprintf(out, "    %-8s it did not fail in that way in %d runs more\n", "shrunk",
                shrunk->runs);
    else
        fprintf(out, "    %-8s not: %s\n", "shrunk",
                shrunk->interrupted ? "interrupted" : "time was up");
    fflush(out);
}
