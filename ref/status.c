/*
 * status.c - the one line that says what went wrong.
 *
 * The first function to notice an error records it with moe_error() and returns the status; callers
 * pass the status on untouched. The line is kept per thread, so that workers do not mix theirs.
 */
#include <stdarg.h>
#include <stdio.h>

#include "ref/moe.h"

static _Thread_local char error_text[1024];

/* Copies what is printable and writes other bytes as \xNN: names and values from files and command
 * lines end up in messages, and a message is one line on any terminal and in any log. */
static void make_printable(const char *line, char *text, size_t size)
{
    size_t length = 0;
    for (; *line != '\0' && length + 5 <= size; line++) {
        const unsigned char c = (unsigned char)*line;
        if (c >= ' ' && c < 0x7f)
            text[length++] = *line;
        else
            length += (size_t)snprintf(text + length, 5, "\\x%02x", c);
    }
    text[length] = '\0';
}

int moe_error(int status, const char *format, ...)
{
    /* Formatted aside: an argument may be moe_error_text() itself, put behind a file's name. */
    char line[sizeof error_text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    make_printable(line, error_text, sizeof error_text);
    return status;
}

const char *moe_error_text(void)
{
    return error_text;
}
