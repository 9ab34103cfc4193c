/*
 * store_result.c - results in a store: written over one of the same case and variant, so that what
 * is judged twice is kept once; and read back, as far as a campaign counts them.
 */
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "fuzz/store.h"

static int findings_of(const struct moe_report *report)
{
    return report->finding_count < MOE_REPORT_FINDINGS ? report->finding_count
                                                       : MOE_REPORT_FINDINGS;
}

static const char *tensor_name(int32_t tensor)
{
    return tensor >= 0 && tensor < MOE_TENSOR_COUNT
               ? moe_tensor_info((enum moe_tensor_id)tensor)->name
               : NULL;
}

/* Text that reads back as the same number, NaN and infinities too, for which SQL has no literal. */
struct number {
    char text[32];
};

static struct number number(double value)
{
    struct number number;
    snprintf(number.text, sizeof number.text, "%.17g", value);
    return number;
}

/* ---- written --------------------------------------------------------------------------------- */

static int write_finding(struct moe_store *store, const struct moe_result *result, int ordinal)
{
    const struct moe_finding *finding = &result->report.finding[ordinal];
    return moe_store_run(
        store,
        "INSERT INTO finding VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
        "?15, ?16, ?17, ?18)",
        "iisissssssiiiiisss", store->campaign, (int64_t)result->ticket, result->variant,
        (int64_t)ordinal, finding->check, moe_verdict_name(finding->verdict),
        tensor_name(finding->tensor), finding->text, moe_geometry_name(finding->geometry),
        finding->where, finding->row, finding->col, finding->expert, finding->token, finding->slot,
        number(finding->got).text, number(finding->want).text, number(finding->allowed).text);
}

/* Those of an earlier result of the case and variant are gone then. */
static int write_findings(struct moe_store *store, const struct moe_result *result)
{
    int status = moe_store_run(
        store, "DELETE FROM finding WHERE campaign = ?1 AND number = ?2 AND variant = ?3", "iis",
        store->campaign, (int64_t)result->ticket, result->variant);
    for (int i = 0; status == MOE_OK && i < findings_of(&result->report); i++)
        status = write_finding(store, result, i);
    return status;
}

static int write_picture(struct moe_store *store, const struct moe_result *result)
{
    const struct moe_picture *picture = &result->report.picture;
    int status = moe_store_run(
        store, "DELETE FROM picture WHERE campaign = ?1 AND number = ?2 AND variant = ?3", "iis",
        store->campaign, (int64_t)result->ticket, result->variant);
    if (status != MOE_OK || picture->rows == 0)
        return status;
    return moe_store_run(store, "INSERT INTO picture VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)", "iisiiib",
                         store->campaign, (int64_t)result->ticket, result->variant,
                         (int64_t)result->report.pictured, (int64_t)picture->rows,
                         (int64_t)picture->cols, picture->cell,
                         (int64_t)picture->rows * picture->cols);
}

static int write_ratios(struct moe_store *store, const struct moe_result *result)
{
    int status = moe_store_run(
        store, "DELETE FROM ratio WHERE campaign = ?1 AND number = ?2 AND variant = ?3", "iis",
        store->campaign, (int64_t)result->ticket, result->variant);
    for (int id = 0; status == MOE_OK && id < MOE_TENSOR_COUNT; id++)
        if (result->report.compared >> id & 1)
            status = moe_store_run(store, "INSERT INTO ratio VALUES(?1, ?2, ?3, ?4, ?5)", "iissr",
                                   store->campaign, (int64_t)result->ticket, result->variant,
                                   tensor_name(id), result->report.ratio[id]);
    return status;
}

int moe_store_result(struct moe_store *store, const struct moe_kept *kept)
{
    const struct moe_result *result = &kept->result;
    const struct moe_report *report = &result->report;
    int status = moe_store_case_add(store, (int64_t)result->ticket, kept->origin, &result->problem);
    if (status == MOE_OK)
        status = moe_store_run(
            store,
            "INSERT OR REPLACE INTO result VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
            "?12, ?13)",
            "iissssrrrriis", store->campaign, (int64_t)result->ticket, result->variant,
            kept->device, kept->known ? "KNOWN" : moe_verdict_name(report->verdict),
            PACKAGE_VERSION, kept->at, report->variant_seconds, report->judge_seconds,
            report->compared != 0 ? report->worst_ratio : NAN, (int64_t)report->judged,
            (int64_t)report->finding_count, kept->worker);
    if (status == MOE_OK)
        status = write_findings(store, result);
    if (status == MOE_OK)
        status = write_picture(store, result);
    return status == MOE_OK ? write_ratios(store, result) : status;
}

/* ---- read ------------------------------------------------------------------------------------ */

int moe_store_has(struct moe_store *store, int64_t number, const char *variant)
{
    struct sqlite3_stmt *statement;
    int status = moe_store_prepare(
        store, &statement,
        "SELECT 1 FROM result WHERE campaign = ?1 AND number = ?2 AND variant = ?3", "iis",
        store->campaign, number, variant);
    if (status == MOE_OK)
        status = moe_store_step(store, statement);
    sqlite3_finalize(statement);
    return status;
}

static const char *text(struct sqlite3_stmt *statement, int column)
{
    const char *value = (const char *)sqlite3_column_text(statement, column);
    return value != NULL ? value : "";
}

static enum moe_verdict verdict_named(const char *name)
{
    for (enum moe_verdict verdict = MOE_PASS; verdict <= MOE_ERROR; verdict++)
        if (strcmp(moe_verdict_name(verdict), name) == 0)
            return verdict;
    return MOE_FAIL; /* KNOWN */
}

static int32_t tensor_named(const char *name)
{
    for (int32_t id = 0; id < MOE_TENSOR_COUNT; id++)
        if (strcmp(tensor_name(id), name) == 0)
            return id;
    return -1;
}

static void read_finding(struct sqlite3_stmt *statement, struct moe_finding *finding)
{
    *finding = moe_finding_plain(moe_check_name(text(statement, 0)),
                                 verdict_named(text(statement, 1)), text(statement, 3));
    finding->tensor = tensor_named(text(statement, 2));
    finding->geometry = moe_geometry_named(text(statement, 4));
    snprintf(finding->where, sizeof finding->where, "%s", text(statement, 5));
    finding->row = sqlite3_column_int64(statement, 6);
    finding->col = sqlite3_column_int64(statement, 7);
    finding->expert = sqlite3_column_int64(statement, 8);
    finding->token = sqlite3_column_int64(statement, 9);
    finding->slot = sqlite3_column_int64(statement, 10);
    finding->got = strtod(text(statement, 11), NULL);
    finding->want = strtod(text(statement, 12), NULL);
    finding->allowed = strtod(text(statement, 13), NULL);
}

static int read_findings(struct moe_store *store, struct moe_result *result)
{
    struct sqlite3_stmt *statement;
    int count = 0;
    int status = moe_store_prepare(
        store, &statement,
        "SELECT check_, verdict, tensor, text, geometry, words, row_, col, expert, token, slot, "
        "got, want, allowed FROM finding WHERE campaign = ?1 AND number = ?2 AND variant = ?3 "
        "ORDER BY ordinal",
        "iis", store->campaign, (int64_t)result->ticket, result->variant);
    while (status == MOE_OK && (status = moe_store_step(store, statement)) == 1) {
        status = MOE_OK;
        if (count < MOE_REPORT_FINDINGS)
            read_finding(statement, &result->report.finding[count++]);
    }
    sqlite3_finalize(statement);
    return status == MOE_OK && count != findings_of(&result->report)
               ? moe_error(MOE_E_IO, "%s: case %lld of campaign %lld lacks findings", store->path,
                           (long long)result->ticket, (long long)store->campaign)
               : status;
}

static int read_result(struct moe_store *store, struct sqlite3_stmt *statement,
                       struct moe_result *result)
{
    struct moe_report *report = &result->report;
    *result = (struct moe_result){.ticket = (uint64_t)sqlite3_column_int64(statement, 0),
                                  .variant = text(statement, 1)};
    report->verdict = verdict_named(text(statement, 2));
    report->judged = (uint64_t)sqlite3_column_int64(statement, 3);
    report->finding_count = (int32_t)sqlite3_column_int64(statement, 4);
    report->worst_ratio = sqlite3_column_double(statement, 5);
    int status = moe_problem_parse(text(statement, 6), &result->problem);
    return status == MOE_OK && report->finding_count > 0 ? read_findings(store, result) : status;
}

int moe_store_results(struct moe_store *store,
                      int (*take)(void *context, const struct moe_result *result), void *context)
{
    struct sqlite3_stmt *statement;
    struct moe_result *result = malloc(sizeof *result);
    if (result == NULL)
        return moe_error(MOE_E_NOMEM, "no memory for a result");
    int status = moe_store_prepare(
        store, &statement,
        "SELECT result.number, variant, verdict, judged, finding_count, ratio, line FROM result "
        "JOIN case_ ON case_.campaign = result.campaign AND case_.number = result.number "
        "WHERE result.campaign = ?1 ORDER BY result.number, variant",
        "i", store->campaign);
    while (status == MOE_OK && (status = moe_store_step(store, statement)) == 1) {
        status = read_result(store, statement, result);
        if (status == MOE_OK)
            status = take(context, result);
    }
    sqlite3_finalize(statement);
    free(result);
    return status;
}
