/*
 * report_headline.c - the night in one line: the worst that happened, and how much was looked at.
 */
#include <sqlite3.h>
#include <string.h>

#include "fuzz/report.h"

struct night {
    int64_t pass, fail, error, skip, known, cases, variants, kinds, shards, shards_here, cut,
        slower;
};

static int64_t count_verdict(struct report *report, const char *verdict)
{
    return report_count(report, "SELECT count(*) FROM result WHERE verdict = ?", "s", verdict);
}

static struct night count_night(struct report *report)
{
    return (struct night){
        .pass = count_verdict(report, "PASS"),
        .fail = count_verdict(report, "FAIL"),
        .error = count_verdict(report, "ERROR"),
        .skip = count_verdict(report, "SKIP"),
        .known = count_verdict(report, "KNOWN"),
        .cases = report_count(
            report, "SELECT count(*) FROM (SELECT DISTINCT campaign, number FROM result)", ""),
        .variants = report_count(report, "SELECT count(DISTINCT variant) FROM result", ""),
        .kinds = report_count(report, "SELECT count(*) FROM class WHERE verdict = 'FAIL'", ""),
        .shards = report_count(report, "SELECT max(shards) FROM campaign", ""),
        .shards_here = report_count(report, "SELECT count(DISTINCT shard) FROM campaign", ""),
        .cut = report_count(report, "SELECT count(*) FROM campaign WHERE ended IS NULL", ""),
        .slower = report_slower(report),
    };
}

static const char *plural(int64_t number)
{
    return number == 1 ? "" : "s";
}

/* What was looked at beside the failures. */
static void append(char *text, size_t size, const struct night *night)
{
    size_t used = strlen(text);
    if (night->known > 0) {
        snprintf(text + used, size - used, "; %lld known failure%s", (long long)night->known,
                 plural(night->known));
        used = strlen(text);
    }
    if (night->shards > night->shards_here) {
        snprintf(text + used, size - used, "; %lld of %lld shards", (long long)night->shards_here,
                 (long long)night->shards);
        used = strlen(text);
    }
    if (night->cut > 0) {
        snprintf(text + used, size - used, "; the campaign has not ended");
        used = strlen(text);
    }
    if (night->slower > 0)
        snprintf(text + used, size - used, "; %lld timing%s slower", (long long)night->slower,
                 plural(night->slower));
}

const char *report_headline(struct report *report, char *text, size_t size)
{
    struct night night = count_night(report);
    const char *colour;
    if (!report_has_campaign(report)) {
        snprintf(text, size, "No campaign: timings and floors only");
        append(text, size, &(struct night){.slower = night.slower});
        return night.slower > 0 ? "error" : "skip";
    }
    if (night.fail > 0) {
        snprintf(text, size, "%lld failure%s of %lld kind%s", (long long)night.fail,
                 plural(night.fail), (long long)night.kinds, plural(night.kinds));
        colour = "fail";
    } else if (night.error > 0) {
        snprintf(text, size, "Nothing failed, but %lld result%s could not be decided",
                 (long long)night.error, plural(night.error));
        colour = "error";
    } else if (night.pass > 0) {
        snprintf(text, size, "Nothing failed: %lld results of %lld variant%s on %lld case%s",
                 (long long)night.pass, (long long)night.variants, plural(night.variants),
                 (long long)night.cases, plural(night.cases));
        const int amiss = night.cut > 0 || night.shards > night.shards_here || night.slower > 0;
        colour = amiss ? "error" : "pass";
    } else {
        snprintf(text, size, "Nothing was judged");
        colour = "skip";
    }
    append(text, size, &night);
    return colour;
}
