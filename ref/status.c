/*
 * status.c - the one line that says what went wrong.
 *
 * The first function to notice an error records it with moe_error() and returns the status; callers
 * pass the status on untouched. The line is kept per thread, so that workers do not mix theirs.
 */
#include "ref/moe.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char error_text[1024];

int moe_error(int status, const char *format, ...)
{
    /* Formatted aside: an argument may be moe_error_text() itself, put behind a file's name. */
    char line[sizeof error_text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    snprintf(error_text, sizeof error_text, "%s", line);
    return status;
}

const char *moe_error_text(void)
{
    return error_text;
}
