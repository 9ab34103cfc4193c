/*
 * make_store.c - make_store FILE: a store with the tables of this version, filled by the SQL on
 * standard input. For scripts that need a night as it never was.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz/store_schema.h"

static int run(sqlite3 *database, const char *sql)
{
    char *text = NULL;
    if (sqlite3_exec(database, sql, NULL, NULL, &text) == SQLITE_OK)
        return 0;
    fprintf(stderr, "make_store: %s\n", text);
    sqlite3_free(text);
    return 1;
}

int main(int argc, char **argv)
{
    sqlite3 *database = NULL;
    static char sql[1 << 20];
    size_t length = fread(sql, 1, sizeof sql - 1, stdin);
    int failed = argc != 2 || length == sizeof sql - 1;
    sql[length] = '\0';
    if (!failed)
        failed = sqlite3_open(argv[1], &database) != SQLITE_OK || run(database, moe_store_schema) ||
                 run(database, sql);
    sqlite3_close(database);
    return failed;
}
