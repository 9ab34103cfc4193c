/*
 * ptx_expand.c - see ptx_expand.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/moe.h"
#include "tests/ptx_expand.h"

enum { CHOICES = 9, CHOICE_BYTES = 64 };

void text_add_bytes(struct text *text, const char *from, size_t length)
{
    if (text->length + length + 1 > text->room) {
        const size_t room = 2 * (text->length + length) + 256;
        char *grown = realloc(text->at, room);
        if (!grown) {
            text->failed = 1;
            return;
        }
        text->at = grown;
        text->room = room;
    }
    memcpy(text->at + text->length, from, length);
    text->length += length;
    text->at[text->length] = '\0';
}

void text_add(struct text *text, const char *format, ...)
{
    char bytes[1024];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(bytes, sizeof bytes, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= (int)sizeof bytes)
        text->failed = 1;
    else
        text_add_bytes(text, bytes, (size_t)length);
}

/* ---- choices --------------------------------------------------------------------------------- */

struct expansion {
    char chosen[CHOICES][CHOICE_BYTES];
    int choices;
    int (*take)(void *data, const char *text);
    void *data;
};

/* The first <...|...>, on one line; NULL: none. */
static const char *find_choice(const char *text, const char **end)
{
    for (const char *open = strchr(text, '<'); open; open = strchr(open + 1, '<')) {
        const size_t length = strcspn(open + 1, "<>\n");
        if (open[1 + length] == '>' && memchr(open + 1, '|', length)) {
            *end = open + 1 + length;
            return open;
        }
    }
    return NULL;
}

/* {%r 0..3} and %%r<$1> written out. */
static void write_out(const struct expansion *expansion, const char *from, struct text *to)
{
    while (*from) {
        char name[16];
        int first, last, used = 0;
        if (sscanf(from, "<$%d>%n", &first, &used) == 1 && used && first > 0 &&
            first <= expansion->choices) {
            const char *chosen = expansion->chosen[first - 1];
            text_add_bytes(to, chosen, strlen(chosen));
            from += used;
        } else if (sscanf(from, "{%%%15[a-z] %d..%d}%n", name, &first, &last, &used) == 3 && used) {
            for (int i = first; i <= last; i++)
                text_add(to, "%s%%%s%d", i > first ? "," : "{", name, i);
            text_add(to, "}");
            from += used;
        } else {
            text_add_bytes(to, from++, 1);
        }
    }
}

/* In a line, # is the number, and #4, #8, #16 as many times it. */
static void add_numbered(struct text *to, const char *line, size_t length, int number)
{
    for (size_t i = 0; i < length; i++) {
        int times = 1, used = 0;
        if (line[i] != '#') {
            text_add_bytes(to, line + i, 1);
            continue;
        }
        if (sscanf(line + i + 1, "%d%n", &times, &used) == 1)
            i += (size_t)used;
        text_add(to, "%d", number * times);
    }
}

static void unroll(const char *from, struct text *to)
{
    while (*from) {
        const size_t length = strcspn(from, "\n");
        int first, last, used = 0;
        if (sscanf(from, "each %d..%d: %n", &first, &last, &used) == 2 && used)
            for (int i = first; i <= last; i++) {
                add_numbered(to, from + used, length - (size_t)used, i);
                text_add(to, "\n");
            }
        else
            text_add_bytes(to, from, length + (from[length] == '\n'));
        from += length + (from[length] == '\n');
    }
}

static int expand(struct expansion *expansion, const char *text)
{
    struct text made = {0}, whole = {0};
    const char *end, *open = find_choice(text, &end);
    int status = MOE_OK;
    if (!open) {
        write_out(expansion, text, &made);
        if (made.at)
            unroll(made.at, &whole);
        status = made.failed || whole.failed ? moe_error(MOE_E_NOMEM, "no memory for PTX")
                                             : expansion->take(expansion->data, whole.at);
    }
    for (const char *word = open ? open + 1 : NULL; word && word <= end && !status;) {
        const size_t length = strcspn(word, "|>");
        if (expansion->choices == CHOICES || length >= CHOICE_BYTES) {
            status = moe_error(MOE_E_USAGE, "more than %d choices, or a long one", CHOICES);
            break;
        }
        char *chosen = expansion->chosen[expansion->choices++];
        memcpy(chosen, word, length);
        chosen[length] = '\0';
        made.length = 0;
        text_add_bytes(&made, text, (size_t)(open - text));
        text_add_bytes(&made, word, length);
        text_add_bytes(&made, end + 1, strlen(end + 1));
        status =
            made.failed ? moe_error(MOE_E_NOMEM, "no memory for PTX") : expand(expansion, made.at);
        expansion->choices--;
        word += length + 1;
    }
    free(made.at);
    free(whole.at);
    return status;
}

int ptx_expand(const char *text, int (*take)(void *data, const char *text), void *data)
{
    struct expansion expansion = {.take = take, .data = data};
    return expand(&expansion, text);
}
