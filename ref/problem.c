/*
 * problem.c - the case line: words key=value in any order, read and printed by the table of keys.
 *
 * One line is the whole case: the argument, a test's name, a failure's message and a corpus entry.
 * So it is printed in one canonical way, and whatever is refused is refused in one line that names
 * the key, the value given and what is allowed.
 */
#include <stdio.h>
#include <string.h>

#include "ref/problem.h"

/* Longest word that is read at all; the longest sensible one has some 40 characters. */
enum { WORD_SIZE = 256 };

static const char blanks[] = " \t\r\n";

/* At most 40 characters of a text for a message; moe_error() makes them printable. */
static const char *quote(const char *text, char quoted[44])
{
    snprintf(quoted, 44, "%.40s%s", text, strnlen(text, 41) > 40 ? "..." : "");
    return quoted;
}

int problem_refuse(const char *key, const char *value, const char *text)
{
    char quoted[44];
    return moe_error(MOE_E_USAGE, "%s='%s': %s", key, quote(value, quoted), text);
}

/* Least number of insertions, deletions and replacements of characters (Levenshtein), by one row of
 * the table of prefixes at a time. `word` longer than 31 counts as 31. */
static int distance(const char *name, const char *word)
{
    int row[32];
    const int length = (int)strnlen(word, 31);
    for (int j = 0; j <= length; j++)
        row[j] = j;
    for (int i = 1; name[i - 1] != '\0'; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= length; j++) {
            const int replace = diagonal + (name[i - 1] != word[j - 1]);
            const int skip = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replace < skip ? replace : skip;
        }
    }
    return row[length];
}

static int refuse_key(const char *word)
{
    const struct problem_key *key;
    const char *nearest = "model";
    int least = distance(nearest, word);
    char quoted[44];
    for (int index = 0; (key = problem_key_row(index)) != NULL; index++) {
        const int d = distance(key->text.name, word);
        if (d < least) {
            least = d;
            nearest = key->text.name;
        }
    }
    return moe_error(MOE_E_USAGE, "'%s' is not a key of a case; the nearest is '%s'",
                     quote(word, quoted), nearest);
}

static int refuse_model(const char *word)
{
    const struct moe_model *model;
    const char *nearest = "";
    int least = 1 << 30;
    char quoted[44];
    for (int index = 0; (model = moe_model(index)) != NULL; index++) {
        const int d = distance(model->name, word);
        if (d < least) {
            least = d;
            nearest = model->name;
        }
    }
    return moe_error(MOE_E_USAGE, "model='%s': no such model; the nearest is '%s'",
                     quote(word, quoted), nearest);
}

/* Cuts the next word into key and value, both within word[WORD_SIZE]. 1: there is one; 0: the line
 * is at its end; or a status. */
static int next_word(const char **line, char *word, char **value)
{
    const char *begin = *line + strspn(*line, blanks);
    const size_t length = strcspn(begin, blanks);
    char quoted[44];
    *line = begin + length;
    if (length == 0)
        return 0;
    if (length >= WORD_SIZE)
        return moe_error(MOE_E_USAGE, "'%s': a word of %zu characters; key=value is allowed",
                         quote(begin, quoted), length);
    memcpy(word, begin, length);
    word[length] = '\0';
    *value = strchr(word, '=');
    if (*value == NULL)
        return moe_error(MOE_E_USAGE, "'%s': a word without '='; key=value is allowed",
                         quote(word, quoted));
    *(*value)++ = '\0';
    return 1;
}

static int set_model(struct moe_problem *problem, const char *name)
{
    const struct moe_model *model;
    const char *line;
    char word[WORD_SIZE], *value;
    int status;
    for (int index = 0;; index++) {
        model = moe_model(index);
        if (model == NULL)
            return refuse_model(name);
        if (strcmp(model->name, name) == 0)
            break;
    }
    line = model->keys;
    while ((status = next_word(&line, word, &value)) > 0) {
        status = moe_problem_set(problem, word, value);
        if (status != MOE_OK)
            break;
    }
    return status;
}

int moe_problem_set(struct moe_problem *problem, const char *key, const char *value)
{
    const struct problem_key *row;
    if (strcmp(key, "model") == 0)
        return set_model(problem, value);
    row = problem_key_find(key);
    if (row == NULL)
        return refuse_key(key);
    if (row->parse(row, value, problem) != 0) {
        char allowed[192];
        snprintf(allowed, sizeof allowed, "allowed: %s", row->text.allowed);
        return problem_refuse(key, value, allowed);
    }
    return MOE_OK;
}

struct moe_problem moe_problem_default(void)
{
    const struct problem_key *key;
    struct moe_problem problem;
    memset(&problem, 0, sizeof problem);
    for (int index = 0; (key = problem_key_row(index)) != NULL; index++)
        key->parse(key, key->text.preset, &problem);
    return problem;
}

/* Has this key stood before? Bit of the row; the model's bit is 63. */
static int mark(const char *key, uint64_t *seen)
{
    int bit = 63;
    if (strcmp(key, "model") != 0) {
        const struct problem_key *row = problem_key_find(key);
        if (row == NULL)
            return refuse_key(key);
        bit = (int)(row - problem_key_row(0));
    }
    if (*seen >> bit & 1)
        return moe_error(MOE_E_USAGE, "%s stands twice; each key is allowed once", key);
    *seen |= UINT64_C(1) << bit;
    return MOE_OK;
}

int moe_problem_parse(const char *line, struct moe_problem *problem)
{
    struct moe_problem result = moe_problem_default();
    char word[WORD_SIZE], *value;
    const char *rest;
    uint64_t seen = 0;
    int status;
    /* The model first, wherever it stands: other words override it. */
    for (rest = line; (status = next_word(&rest, word, &value)) > 0;) {
        status = mark(word, &seen);
        if (status == MOE_OK && strcmp(word, "model") == 0)
            status = set_model(&result, value);
        if (status != MOE_OK)
            return status;
    }
    if (status != 0)
        return status;
    for (rest = line; next_word(&rest, word, &value) > 0;) {
        if (strcmp(word, "model") == 0)
            continue;
        status = moe_problem_set(&result, word, value);
        if (status != MOE_OK)
            return status;
    }
    status = moe_problem_validate(&result);
    if (status == MOE_OK)
        *problem = result;
    return status;
}

int moe_problem_print(const struct moe_problem *problem, char *text, size_t size)
{
    const struct problem_key *key;
    int length = 0;
    if (size > 0)
        text[0] = '\0';
    for (int index = 0; (key = problem_key_row(index)) != NULL; index++) {
        const size_t used = (size_t)length < size ? (size_t)length : size;
        char value[PROBLEM_VALUE_SIZE];
        key->print(key, problem, value);
        if (key->always || strcmp(value, key->text.preset) != 0)
            length += snprintf(text + used, size - used, "%s%s=%s", length > 0 ? " " : "",
                               key->text.name, value);
    }
    return length;
}
