/*
 * store_schema.c - the tables of a store, as SQL.
 *
 * A case belongs to a campaign by its number there. Those that a campaign starts with (origin
 * ledger, corpus, failure) stand in case_ from its first moment; the others come with their first
 * result. What is judged is what has a row in result; verdict KNOWN is a failure that the ledger
 * knows. Times are seconds, `started`, `ended` and `at` since 1970; a ratio is err/bound, Inf where
 * the bound was 0 or the value none, and NULL where nothing was compared.
 */
#include "fuzz/store_schema.h"

const char moe_store_schema[] =
    "CREATE TABLE campaign(id INTEGER PRIMARY KEY, seed TEXT NOT NULL, options TEXT NOT NULL,"
    " version TEXT NOT NULL, host TEXT, devices TEXT, commit_id TEXT, shard INTEGER NOT NULL,"
    " shards INTEGER NOT NULL, started REAL NOT NULL, ended REAL, seconds REAL NOT NULL,"
    " resumed INTEGER NOT NULL);"
    "CREATE TABLE case_(campaign INTEGER, number INTEGER, origin TEXT NOT NULL, line TEXT NOT NULL,"
    " PRIMARY KEY(campaign, number)) WITHOUT ROWID;"
    "CREATE TABLE result(campaign INTEGER, number INTEGER, variant TEXT, device TEXT,"
    " verdict TEXT NOT NULL, version TEXT NOT NULL, at REAL NOT NULL, variant_seconds REAL,"
    " judge_seconds REAL, ratio REAL, judged INTEGER NOT NULL, finding_count INTEGER NOT NULL,"
    " worker TEXT, PRIMARY KEY(campaign, number, variant)) WITHOUT ROWID;"
    "CREATE TABLE finding(campaign INTEGER, number INTEGER, variant TEXT, ordinal INTEGER,"
    " check_ TEXT NOT NULL, verdict TEXT NOT NULL, tensor TEXT, text TEXT NOT NULL, geometry TEXT,"
    " words TEXT, row_ INTEGER, col INTEGER, expert INTEGER, token INTEGER, slot INTEGER, got TEXT,"
    " want TEXT, allowed TEXT, PRIMARY KEY(campaign, number, variant, ordinal)) WITHOUT ROWID;"
    "CREATE TABLE picture(campaign INTEGER, number INTEGER, variant TEXT, ordinal INTEGER,"
    " rows INTEGER NOT NULL, cols INTEGER NOT NULL, cells BLOB NOT NULL,"
    " PRIMARY KEY(campaign, number, variant, ordinal)) WITHOUT ROWID;"
    "CREATE TABLE ratio(campaign INTEGER, number INTEGER, variant TEXT, tensor TEXT, ratio REAL,"
    " PRIMARY KEY(campaign, number, variant, tensor)) WITHOUT ROWID;"
    "CREATE TABLE failure(campaign INTEGER, class_ TEXT, variant TEXT, count INTEGER NOT NULL,"
    " first INTEGER NOT NULL, minimal TEXT, command TEXT, again INTEGER, runs INTEGER,"
    " whole INTEGER, PRIMARY KEY(campaign, class_, variant)) WITHOUT ROWID;"
    "CREATE TABLE timing(id INTEGER PRIMARY KEY, at REAL NOT NULL, version TEXT NOT NULL,"
    " commit_id TEXT, host TEXT, device TEXT, driver TEXT, suite TEXT, line TEXT NOT NULL,"
    " variant TEXT NOT NULL, part TEXT NOT NULL, median REAL NOT NULL, low REAL NOT NULL,"
    " high REAL NOT NULL, runs INTEGER NOT NULL, ceiling REAL);"
    "CREATE INDEX timing_of ON timing(line, variant, part, host, device);"
    "CREATE TABLE floor_(id INTEGER PRIMARY KEY, at REAL NOT NULL, version TEXT NOT NULL,"
    " name TEXT NOT NULL, value REAL, low REAL, high REAL, unit TEXT);"
    "PRAGMA user_version = 1;";
