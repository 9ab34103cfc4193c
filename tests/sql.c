/*
 * sql.c - for scripts: what a store of campaigns holds. `sql FILE QUERY` prints the rows, values
 * with bars between; `sql FILE` holds the file locked from the line "locked" on until the end of
 * its input.
 */
#include <sqlite3.h>
#include <stdio.h>

static int print_row(void *context, int count, char **value, char **name)
{
    (void)context, (void)name;
    for (int i = 0; i < count; i++)
        printf("%s%s", value[i] != NULL ? value[i] : "", i + 1 < count ? "|" : "\n");
    return 0;
}

static int run(sqlite3 *database, const char *sql)
{
    if (sqlite3_exec(database, sql, print_row, NULL, NULL) == SQLITE_OK)
        return 0;
    fprintf(stderr, "sql: %s\n", sqlite3_errmsg(database));
    return 1;
}

int main(int argc, char **argv)
{
    sqlite3 *database = NULL;
    int failed;
    if (argc < 2 || sqlite3_open_v2(argv[1], &database, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        fprintf(stderr, "sql: cannot open '%s'\n", argc < 2 ? "" : argv[1]);
        sqlite3_close(database);
        return 2;
    }
    sqlite3_busy_timeout(database, 10000);
    failed = run(database, argc > 2 ? argv[2] : "BEGIN IMMEDIATE");
    if (argc == 2 && !failed) {
        puts("locked");
        fflush(stdout);
        while (getchar() != EOF)
            continue;
    }
    sqlite3_close(database);
    return failed;
}
