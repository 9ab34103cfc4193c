/*
 * ptx_rows.c - see ptx_rows.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/moe.h"
#include "tests/ptx_expand.h"
#include "tests/ptx_rows.h"

/* What every kernel begins with; tests/ptx/README.md names the registers. */
static const char head[] =
    ".version 8.7\n.target sm_90a\n.address_size 64\n"
    ".visible .entry k(.param .u64 k_a, .param .u64 k_b, .param .u64 k_c, .param .u64 k_o, "
    ".param .u64 k_m)\n";
static const char registers[] =
    "{\n.reg .pred %p, %q, %p<8>;\n.reg .b16 %hx, %hy, %hz, %hw, %h<8>;\n"
    ".reg .b32 %x, %y, %z, %w, %i, %t, %lane, %rank, %sm, %bar, %r<136>, %w<136>;\n"
    ".reg .b64 %a, %b, %c, %d, %o, %pa, %pb, %pc, %po, %pm, %d<40>, %s<40>;\n";
static const char rooms[] = ".shared .align 1024 .b8 room[40960];\n.shared .align 8 .b64 bars[4];\n"
                            "mov.u32 %sm, room;\nmov.u32 %bar, bars;\n";
static const char loads[] =
    "mov.u32 %t, %tid.x;\nmov.u32 %lane, %laneid;\nmov.u32 %rank, %ctaid.x;\n"
    "mov.u32 %i, %ntid.x;\nmad.lo.u32 %i, %rank, %i, %t;\n"
    "ld.param.u64 %pm, [k_m];\nld.param.u64 %pa, [k_a];\nld.param.u64 %pb, [k_b];\n"
    "ld.param.u64 %pc, [k_c];\nld.param.u64 %po, [k_o];\n";

size_t ptx_row_input(const struct ptx_row *row)
{
    return (size_t)row->elements * (size_t)row->words;
}

size_t ptx_row_output(const struct ptx_row *row)
{
    return (size_t)row->elements * (size_t)row->results * (size_t)row->slots;
}

/* ---- a row's kernel -------------------------------------------------------------------------- */

struct making {
    struct ptx_row *row;
    struct text text, told; /* the body; what the slots compute, a line each */
    const char *stored;     /* registers with blanks between; NULL: the last one written */
};

/* The first register of the last statement. */
static int last_written(const char *body, char *name, size_t room)
{
    const char *statement = body;
    for (const char *at = body; *at; at++)
        if (*at == ';' && at[1 + strspn(at + 1, " \n")])
            statement = at + 1;
    statement += strspn(statement, " \n");
    if (*statement == '@')
        statement += strcspn(statement, " ") + 1;
    statement += strcspn(statement, " ");
    statement += strspn(statement, " ");
    const size_t length = strcspn(statement, ",;| \n");
    if (*statement != '%' || length >= room)
        return moe_error(MOE_E_USAGE, "no register is written by '%.60s'", body);
    snprintf(name, room, "%.*s", (int)length, statement);
    return MOE_OK;
}

static void store(struct making *making, const char *name, int index)
{
    struct text *text = &making->text;
    switch (name[1]) {
    case 'd':
    case 's':
        text_add(text, "st.global.u64 [%%po+%d], %s;\n", 8 * index, name);
        return;
    case 'h':
        text_add(text, "cvt.u64.u16 %%o, %s;\n", name);
        break;
    case 'p':
    case 'q':
        text_add(text, "selp.u64 %%o, 1, 0, %s;\n", name);
        break;
    default:
        text_add(text, "cvt.u64.u32 %%o, %s;\n", name);
    }
    text_add(text, "st.global.u64 [%%po+%d], %%o;\n", 8 * index);
}

/* What comes before slots, and is no slot itself. */
static int take_start(void *data, const char *body)
{
    struct making *making = data;
    text_add_bytes(&making->text, body, strlen(body));
    return making->text.failed ? moe_error(MOE_E_NOMEM, "no memory for PTX") : MOE_OK;
}

/* Of "%w0 %d1" or "%w 0..31" each register. */
static int store_all(struct making *making, const char *stored)
{
    char name[24], letter[16];
    int first, last, used = 0, count = 0;
    for (; *stored; stored += used + (stored[used] == ' ')) {
        if (sscanf(stored, "%%%15[a-z] %d..%d%n", letter, &first, &last, &used) == 3)
            for (int i = first; i <= last; i++) {
                snprintf(name, sizeof name, "%%%s%d", letter, i);
                store(making, name, count++);
            }
        else if (sscanf(stored, "%23[^ ]%n", name, &used) == 1)
            store(making, name, count++);
        else
            break;
    }
    return count;
}

static int take_slot(void *data, const char *body)
{
    struct making *making = data;
    struct ptx_row *row = making->row;
    char last[24];
    int status = making->stored ? MOE_OK : last_written(body, last, sizeof last);
    if (status)
        return status;
    text_add_bytes(&making->text, "{\n", 2);
    text_add_bytes(&making->text, body, strlen(body));
    text_add_bytes(&making->text, "\n", 1);
    const int count = store_all(making, making->stored ? making->stored : last);
    if (count != row->results)
        return moe_error(MOE_E_USAGE, "%d results, and the row has %d", count, row->results);
    text_add(&making->text, "add.s64 %%po, %%po, %d;\n}\n", 8 * row->elements * row->results);
    const size_t length = strlen(body);
    text_add_bytes(&making->told, body, length - (length && body[length - 1] == '\n'));
    text_add_bytes(&making->told, "", 1);
    row->slots++;
    return making->text.failed || making->told.failed ? moe_error(MOE_E_NOMEM, "no memory for PTX")
                                                      : MOE_OK;
}

static void begin_row(struct making *making)
{
    const struct ptx_row *row = making->row;
    struct text *text = &making->text;
    text_add(text, "%s.maxntid %d\n", head, row->block);
    if (row->cluster > 1)
        text_add(text, ".reqnctapercluster %d\n", row->cluster);
    text_add_bytes(text, registers, sizeof registers - 1);
    text_add_bytes(text, rooms, sizeof rooms - 1);
    text_add_bytes(text, loads, sizeof loads - 1);
    text_add(text, "mul.wide.u32 %%o, %%i, %d;\n", 8 * row->words);
    for (int i = 0; i < ROW_ARRAYS; i++)
        text_add(text, "add.s64 %%p%c, %%p%c, %%o;\nld.global.u64 %%%c, [%%p%c];\n", 'a' + i,
                 'a' + i, 'a' + i, 'a' + i);
    text_add(text, "mul.wide.u32 %%o, %%i, %d;\nadd.s64 %%po, %%po, %%o;\n", 8 * row->results);
    text_add(text, "cvt.u32.u64 %%x, %%a;\ncvt.u32.u64 %%y, %%b;\ncvt.u32.u64 %%z, %%c;\n"
                   "cvt.u16.u64 %%hx, %%a;\ncvt.u16.u64 %%hy, %%b;\ncvt.u16.u64 %%hz, %%c;\n"
                   "setp.lt.s32 %%q, %%z, 0;\n");
}

static int end_row(struct making *making)
{
    struct ptx_row *row = making->row;
    text_add(&making->text, "ret;\n}\n");
    row->slot = calloc((size_t)row->slots + 1, sizeof *row->slot);
    row->text = making->text.at;
    row->length = making->text.length;
    making->text = (struct text){0};
    if (!row->slot || !row->text)
        return moe_error(MOE_E_NOMEM, "no memory for PTX");
    const char *told = making->told.at;
    for (int i = 0; i < row->slots; i++) {
        row->slot[i] = strdup(told);
        if (!row->slot[i])
            return moe_error(MOE_E_NOMEM, "no memory for PTX");
        told += strlen(told) + 1;
    }
    making->told.length = 0;
    return row->slots ? MOE_OK : moe_error(MOE_E_USAGE, "row '%s' has no instructions", row->name);
}

/* ---- a file ---------------------------------------------------------------------------------- */

static int numbers(const char *text, int *count, uint64_t *to)
{
    int used = 0;
    for (*count = 0; *count < 5; text += used + 1) {
        unsigned long long value;
        if (sscanf(text, "%llu%n", &value, &used) != 1)
            return 0;
        to[(*count)++] = value;
        if (text[used] != 'x')
            break;
    }
    return 1;
}

/* map=TYPE:SIZEx..:BOXx..:SWIZZLE:FILL, of a dense tensor; numbers as CUtensorMap's enums. */
static int read_map(const char *text, struct ptx_row *row)
{
    static const uint8_t bytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
    char sizes[64], boxes[64];
    struct moe_tensor_map_spec *map = &row->map[row->maps];
    uint64_t box[5];
    int ranks = 0;
    if (row->maps == ROW_MAPS ||
        sscanf(text, "%d:%63[0-9x]:%63[0-9x]:%d:%d", &map->type, sizes, boxes, &map->swizzle,
               &map->fill) != 5 ||
        map->type < 0 || map->type >= (int)sizeof bytes || !numbers(sizes, &map->rank, map->size) ||
        !numbers(boxes, &ranks, box) || ranks != map->rank)
        return moe_error(MOE_E_USAGE, "'map=%.60s'", text);
    uint64_t stride = bytes[map->type];
    for (int i = 0; i < map->rank; i++) {
        map->box[i] = (uint32_t)box[i];
        map->step[i] = 1;
        stride *= map->size[i];
        map->stride[i] = stride;
    }
    row->maps++;
    return MOE_OK;
}

/* row NAME DRAW [DRAW [DRAW]] [words=N] [results=N] [elements=N] [block=N] [cluster=N] [map=...] */
static int read_row(char *line, struct ptx_row *row)
{
    static const struct {
        const char *name;
        size_t offset;
    } options[] = {
        {"words=", offsetof(struct ptx_row, words)},
        {"results=", offsetof(struct ptx_row, results)},
        {"elements=", offsetof(struct ptx_row, elements)},
        {"block=", offsetof(struct ptx_row, block)},
        {"cluster=", offsetof(struct ptx_row, cluster)},
    };
    char *save = NULL;
    int draws = 0, status = MOE_OK;
    strtok_r(line, " ", &save);
    const char *name = strtok_r(NULL, " ", &save);
    *row = (struct ptx_row){.words = 1, .results = 1, .elements = 8192, .block = 128, .cluster = 1};
    snprintf(row->name, sizeof row->name, "%s", name ? name : "");
    for (char *word = strtok_r(NULL, " ", &save); word && !status;
         word = strtok_r(NULL, " ", &save)) {
        const char *value = strchr(word, '=');
        int known = !value || !strncmp(word, "map=", 4);
        if (!value && draws < ROW_ARRAYS)
            snprintf(row->draw[draws++], sizeof row->draw[0], "%s", word);
        else if (!strncmp(word, "map=", 4))
            status = read_map(word + 4, row);
        for (size_t i = 0; value && i < sizeof options / sizeof *options; i++)
            if (!strncmp(word, options[i].name, strlen(options[i].name))) {
                *(int *)(void *)((char *)row + options[i].offset) = atoi(value + 1);
                known = 1;
            }
        if (!known)
            status = moe_error(MOE_E_USAGE, "'%.60s' of a row", word);
    }
    for (int i = draws; i < ROW_ARRAYS && draws; i++)
        memcpy(row->draw[i], row->draw[draws - 1], sizeof row->draw[i]);
    if (!status && (!draws || row->words < 1 || row->results < 1 || row->block < 1 ||
                    row->cluster < 1 || row->elements % (row->block * row->cluster)))
        status = moe_error(MOE_E_USAGE, "row '%s' has no draws, or elements that make no CTAs",
                           row->name);
    return status;
}

static int start_row(char *line, struct ptx_rows *rows, struct making *making)
{
    if (rows->count % 32 == 0) {
        struct ptx_row *grown = realloc(rows->row, (size_t)(rows->count + 32) * sizeof *rows->row);
        if (!grown)
            return moe_error(MOE_E_NOMEM, "no memory for rows");
        rows->row = grown;
    }
    making->row = &rows->row[rows->count];
    const int status = read_row(line, making->row);
    rows->count += !status;
    if (!status)
        begin_row(making);
    return status;
}

/* Lines from `begin` to `end REGISTERS` are one slot, those to an `end` alone stand before slots,
 * another line is a slot by itself. */
struct reading {
    struct making making;
    struct text group;
    int in_group;
};

static int take_line(struct reading *reading, char *line, struct ptx_rows *rows)
{
    struct making *making = &reading->making;
    if (!reading->in_group && (!line[0] || line[0] == '#'))
        return MOE_OK;
    if (!strncmp(line, "row ", 4)) {
        const int status = making->row ? end_row(making) : MOE_OK;
        return status ? status : start_row(line, rows, making);
    }
    if (!making->row)
        return moe_error(MOE_E_USAGE, "an instruction before the first row");
    if (!strcmp(line, "begin")) {
        reading->in_group = 1;
        reading->group.length = 0;
        return MOE_OK;
    }
    if (!strcmp(line, "end")) {
        reading->in_group = 0;
        return ptx_expand(reading->group.at, take_start, making);
    }
    if (!strncmp(line, "end ", 4)) {
        reading->in_group = 0;
        making->stored = line + 4;
        return ptx_expand(reading->group.at, take_slot, making);
    }
    if (reading->in_group) {
        text_add_bytes(&reading->group, line, strlen(line));
        text_add_bytes(&reading->group, "\n", 1);
        return MOE_OK;
    }
    making->stored = NULL;
    return ptx_expand(line, take_slot, making);
}

int ptx_rows_read(const char *path, struct ptx_rows *rows)
{
    char line[1024];
    struct reading reading = {0};
    int number = 0, status = MOE_OK;
    FILE *file = fopen(path, "r");
    if (!file)
        return moe_error(MOE_E_IO, "'%s' cannot be read", path);
    while (!status && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        number++;
        const int before = rows->count;
        status = take_line(&reading, line, rows);
        if (!status && rows->count > before)
            rows->row[before].line = number;
    }
    fclose(file);
    if (!status && reading.making.row)
        status = end_row(&reading.making);
    if (status) {
        char words[400];
        snprintf(words, sizeof words, "%s", moe_error_text());
        moe_error(status, "%s:%d: %s", path, number, words);
    }
    free(reading.making.text.at);
    free(reading.making.told.at);
    free(reading.group.at);
    return status;
}

void ptx_rows_free(struct ptx_rows *rows)
{
    for (int i = 0; i < rows->count; i++) {
        struct ptx_row *row = &rows->row[i];
        for (int s = 0; row->slot && s < row->slots; s++)
            free(row->slot[s]);
        free(row->slot);
        free(row->text);
    }
    free(rows->row);
    *rows = (struct ptx_rows){0};
}
