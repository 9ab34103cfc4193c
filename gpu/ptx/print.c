/*
 * print.c - vprintf: values stand one after the other, each at a multiple of its size.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/machine.h"

#define PRINT_MOST (1 << 20)

/* Bytes of generic memory, or 0 where there are none. */
static int fetch(struct ptx_warp *warp, const struct ptx_code *code, int lane, uint64_t address,
                 void *to, uint32_t bytes)
{
    struct ptx_access access = {.warp = warp,
                                .cta = warp->cta,
                                .code = code,
                                .lanes = 1u << lane,
                                .space = PTX_GENERIC,
                                .kind = PTX_READ,
                                .bytes = bytes,
                                .align = 1};
    access.address[lane] = address;
    if (ptx_access(warp->machine, &access))
        return 0;
    memcpy(to, access.data[lane], bytes);
    return 1;
}

void ptx_text(struct ptx_warp *warp, uint64_t address, char *text, int room)
{
    int used = 0;
    while (used < room - 1) {
        const struct ptx_block *block = ptx_memory_find(warp->machine, address, 1);
        if (!block || !block->data[address - block->address])
            break;
        text[used++] = (char)block->data[address++ - block->address];
    }
    text[used] = '\0';
}

static void append(struct ptx_machine *machine, const char *text)
{
    const size_t length = strlen(text);
    if (machine->print_length + length >= PRINT_MOST)
        return;
    char *more = realloc(machine->print, machine->print_length + length + 1);
    if (!more)
        return;
    memcpy(more + machine->print_length, text, length + 1);
    machine->print = more;
    machine->print_length += length;
}

/* One directive, without length modifiers: they are ours to give. */
static void print_one(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                      const char *directive, char letter, int is_long, uint64_t *values)
{
    char text[512] = "", format[64];
    uint64_t bits = 0;
    const int is_float = strchr("aAeEfFgG", letter) != NULL;
    const uint32_t bytes = is_float || is_long || letter == 's' || letter == 'p' ? 8 : 4;
    *values = (*values + bytes - 1) / bytes * bytes;
    if (!fetch(warp, code, lane, *values, &bits, bytes))
        return;
    *values += bytes;
    if (letter == 's') {
        char string[256];
        ptx_text(warp, bits, string, sizeof string);
        snprintf(format, sizeof format, "%.20ss", directive);
        snprintf(text, sizeof text, format, string);
    } else if (is_float) {
        double value;
        memcpy(&value, &bits, sizeof value);
        snprintf(format, sizeof format, "%.20s%c", directive, letter);
        snprintf(text, sizeof text, format, value);
    } else if (letter == 'c') {
        snprintf(text, sizeof text, "%c", (int)bits);
    } else if (letter == 'p') {
        snprintf(text, sizeof text, "0x%llx", (unsigned long long)bits);
    } else {
        const int is_signed = letter == 'd' || letter == 'i';
        if (is_signed && bytes == 4)
            bits = (uint64_t)(int64_t)(int32_t)bits;
        snprintf(format, sizeof format, "%.20sll%c", directive, letter);
        snprintf(text, sizeof text, format, (unsigned long long)bits);
    }
    append(warp->machine, text);
}

int ptx_print(struct ptx_warp *warp, const struct ptx_code *code, int lane, uint64_t format,
              uint64_t values)
{
    char text[1024];
    int count = 0;
    ptx_text(warp, format, text, sizeof text);
    for (const char *at = text; *at && !warp->machine->stopped;) {
        char piece[40];
        if (*at != '%') {
            const size_t length = strcspn(at, "%");
            char plain[1024];
            memcpy(plain, at, length);
            plain[length] = '\0';
            append(warp->machine, plain);
            at += length;
            continue;
        }
        const size_t flags = strspn(at + 1, "-+ #0123456789.");
        const size_t modifiers = strspn(at + 1 + flags, "hlLjzt");
        const char letter = at[1 + flags + modifiers];
        if (letter == '%' || !letter || !strchr("diouxXcspaAeEfFgG", letter) || flags > 12) {
            append(warp->machine, "%");
            at += letter == '%' ? 2 + flags + modifiers : 1;
            continue;
        }
        memcpy(piece, at, flags + 1);
        piece[flags + 1] = '\0';
        print_one(warp, code, lane, piece, letter, memchr(at + 1 + flags, 'l', modifiers) != NULL,
                  &values);
        at += 2 + flags + modifiers;
        count++;
    }
    return count;
}
