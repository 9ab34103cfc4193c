/*
 * embed.c - runs during the build: compresses the code that nvcc and ptxas made and writes the
 * table of kernels.
 *
 *     embed TABLE.c TABLE.bin PREFIX...
 *
 * A prefix is a source and an architecture, "gpu/kernels/route.90a"; with it stand route.90a.ptx,
 * route.90a.cubin and route.90a.log, in which ptxas -v told registers and shared memory. Launch
 * bounds are read from the PTX. The compressed code goes into TABLE.bin, which TABLE.c takes in
 * with .incbin, so that no compiler ever parses megabytes of numbers.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define LEVEL 19
#define ENTRIES_MAX 1024 /* in all; 150 an architecture is the plan */

struct code {
    char *source, *arch;
    unsigned long long offset[2], packed[2], bytes[2]; /* of the PTX and the cubin */
};

struct row {
    char *entry;
    int code, max_threads, min_blocks, registers, shared_bytes;
};

struct table {
    struct code *codes;
    int code_count;
    struct row rows[ENTRIES_MAX];
    int row_count;
    unsigned long long length; /* of TABLE.bin */
};

_Noreturn __attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("embed: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void *need(void *memory)
{
    if (!memory)
        fail("no memory");
    return memory;
}

static char *join(const char *a, const char *b)
{
    char *joined = need(malloc(strlen(a) + strlen(b) + 1));
    strcpy(joined, a);
    return strcat(joined, b);
}

/* The whole file, with a zero after it. */
static char *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("%s: %s", path, strerror(errno));
    char *text = NULL;
    size_t room = 0;
    *length = 0;
    do {
        room = 2 * room + 65536;
        text = need(realloc(text, room + 1));
        *length += fread(text + *length, 1, room - *length, file);
    } while (*length == room);
    if (ferror(file))
        fail("%s: cannot read", path);
    fclose(file);
    text[*length] = '\0';
    return text;
}

/* Appends a piece of code, compressed, to TABLE.bin; which is 0 for the PTX and 1 for the cubin. */
static void pack(struct table *table, struct code *code, int which, const char *bytes,
                 size_t length, FILE *out)
{
    const size_t bound = ZSTD_compressBound(length);
    char *packed = need(malloc(bound));
    const size_t size = ZSTD_compress(packed, bound, bytes, length, LEVEL);
    if (ZSTD_isError(size))
        fail("zstd: %s", ZSTD_getErrorName(size));
    if (fwrite(packed, 1, size, out) != size)
        fail("cannot write the compressed code: %s", strerror(errno));
    free(packed);
    code->offset[which] = table->length;
    code->packed[which] = size;
    code->bytes[which] = length;
    table->length += size;
}

/* ---- what the PTX says ----------------------------------------------------------------------- */

/* Threads of ".maxntid 256, 2, 1" or ".reqntid ..."; missing extents are 1. */
static int product_of(const char *numbers)
{
    int x = 1, y = 1, z = 1;
    sscanf(numbers, "%d , %d , %d", &x, &y, &z);
    return x * y * z;
}

/* The value of a directive between an entry's parameters and its body; NULL: not there. */
static const char *directive(const char *begin, const char *end, const char *name)
{
    const char *found = strstr(begin, name);
    return found && found < end ? found + strlen(name) : NULL;
}

/* One row for each ".entry name(" of the PTX. */
static void read_ptx(struct table *table, int code, const char *path, const char *ptx)
{
    static const char keyword[] = ".entry ";
    for (const char *at = ptx; (at = strstr(at, keyword)) != NULL;) {
        at += strlen(keyword);
        const size_t length = strcspn(at, "( \t\n");
        const char *body = strchr(at, '{');
        if (!body)
            fail("%s: an entry without a body", path);
        if (table->row_count == ENTRIES_MAX)
            fail("more than %d entries", ENTRIES_MAX);

        struct row *row = &table->rows[table->row_count++];
        row->entry = need(strndup(at, length));
        if (!strncmp(row->entry, "_Z", 2))
            fail("%s: entry %s has a C++ name; write extern \"C\"", path, row->entry);
        row->code = code;
        row->registers = -1;
        const char *most = directive(at, body, ".maxntid"),
                   *exactly = directive(at, body, ".reqntid");
        row->max_threads = exactly ? product_of(exactly) : most ? product_of(most) : 0;
        const char *blocks = directive(at, body, ".minnctapersm");
        row->min_blocks = blocks ? atoi(blocks) : 0;
        at = body;
    }
}

/* ---- what ptxas said ------------------------------------------------------------------------- */

static struct row *find_row(struct table *table, int code, const char *entry, size_t length)
{
    for (int i = 0; i < table->row_count; i++)
        if (table->rows[i].code == code && strlen(table->rows[i].entry) == length &&
            !strncmp(table->rows[i].entry, entry, length))
            return &table->rows[i];
    return NULL;
}

/* "Compiling entry function 'NAME' for ..." and, until the next of these, "Used R registers, ...,
 * S bytes smem, ...". */
static void read_log(struct table *table, int code, const char *path, char *log)
{
    static const char compiling[] = "Compiling entry function '", used[] = "Used ";
    struct row *row = NULL;
    for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
        const char *name = strstr(line, compiling), *use = strstr(line, used);
        if (name) {
            name += strlen(compiling);
            row = find_row(table, code, name, strcspn(name, "'"));
            if (!row)
                fail("%s: %s: not in the PTX", path, name);
        } else if (row && use && sscanf(use + strlen(used), "%d registers", &row->registers) == 1) {
            const char *shared = strstr(use, " bytes smem");
            while (shared && shared > use && shared[-1] != ' ')
                shared--;
            row->shared_bytes = shared ? atoi(shared) : 0;
        }
    }
    for (int i = 0; i < table->row_count; i++)
        if (table->rows[i].code == code && table->rows[i].registers < 0)
            fail("%s: ptxas says no registers of %s", path, table->rows[i].entry);
}

/* ---- a prefix -------------------------------------------------------------------------------- */

static void add(struct table *table, const char *prefix, FILE *out)
{
    const int index = table->code_count++;
    struct code *code = &table->codes[index];
    const char *name = strrchr(prefix, '/'), *dot = strrchr(prefix, '.');
    name = name ? name + 1 : prefix;
    if (!dot || dot < name)
        fail("%s: no architecture in the name", prefix);
    char *stem = need(strndup(name, (size_t)(dot - name)));
    code->source = join(stem, ".cu");
    code->arch = need(strdup(dot + 1));
    free(stem);

    char *ptx_path = join(prefix, ".ptx"), *cubin_path = join(prefix, ".cubin"),
         *log_path = join(prefix, ".log");
    size_t length;
    char *ptx = read_file(ptx_path, &length);
    pack(table, code, 0, ptx, length, out);
    read_ptx(table, index, ptx_path, ptx);
    char *cubin = read_file(cubin_path, &length);
    pack(table, code, 1, cubin, length, out);
    char *log = read_file(log_path, &length);
    read_log(table, index, log_path, log);
    free(ptx);
    free(cubin);
    free(log);
    free(ptx_path);
    free(cubin_path);
    free(log_path);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct code *codes_of_rows; /* qsort passes no context */

static int by_entry(const void *a, const void *b)
{
    const struct row *row_a = a, *row_b = b;
    const int order = strcmp(row_a->entry, row_b->entry);
    return order ? order : strcmp(codes_of_rows[row_a->code].arch, codes_of_rows[row_b->code].arch);
}

static void sort(struct table *table)
{
    codes_of_rows = table->codes;
    qsort(table->rows, (size_t)table->row_count, sizeof *table->rows, by_entry);
    for (int i = 1; i < table->row_count; i++)
        if (!by_entry(&table->rows[i - 1], &table->rows[i]))
            fail("%s is in %s and in %s", table->rows[i].entry,
                 table->codes[table->rows[i - 1].code].source,
                 table->codes[table->rows[i].code].source);
}

static void print_table(const struct table *table, const char *bin, FILE *out)
{
    fprintf(out,
            "/* Made by gpu/embed.c. */\n#include \"gpu/kernels.h\"\n\n"
            "__asm__(\".pushsection .rodata\\n\"\n"
            "        \".globl kernel_bytes\\n\"\n"
            "        \".hidden kernel_bytes\\n\"\n"
            "        \".balign 16\\n\"\n"
            "        \"kernel_bytes:\\n\"\n"
            "        \".incbin \\\"%s\\\"\\n\"\n"
            "        \".byte 0\\n\"\n"
            "        \".popsection\\n\");\n\n",
            bin);
    /* Neither array may be empty in C: a last row that the counts do not count. */
    fputs("const struct kernel_code kernel_codes[] = {\n", out);
    for (int i = 0; i < table->code_count; i++) {
        const struct code *code = &table->codes[i];
        fprintf(out, "    {\"%s\", \"%s\", {%llu, %llu, %llu}, {%llu, %llu, %llu}},\n",
                code->source, code->arch, code->offset[0], code->packed[0], code->bytes[0],
                code->offset[1], code->packed[1], code->bytes[1]);
    }
    fprintf(out, "    {.source = 0},\n};\nconst int kernel_code_count = %d;\n\n",
            table->code_count);
    fputs("const struct kernel_row kernel_rows[] = {\n", out);
    for (int i = 0; i < table->row_count; i++) {
        const struct row *row = &table->rows[i];
        fprintf(out, "    {{\"%s\", \"%s\", \"%s\", %d, %d, %d, %d}, %d},\n", row->entry,
                table->codes[row->code].source, table->codes[row->code].arch, row->max_threads,
                row->min_blocks, row->registers, row->shared_bytes, row->code);
    }
    fprintf(out, "    {.code = -1},\n};\nconst int kernel_row_count = %d;\n", table->row_count);
}

static FILE *create(const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        fail("%s: %s", path, strerror(errno));
    return file;
}

static void finish(FILE *file, const char *path)
{
    if (fclose(file))
        fail("%s: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
    if (argc < 3)
        fail("usage: embed TABLE.c TABLE.bin PREFIX...");
    struct table *table = need(calloc(1, sizeof *table));
    table->codes = need(calloc((size_t)argc, sizeof *table->codes));

    FILE *bin = create(argv[2]);
    for (int i = 3; i < argc; i++)
        add(table, argv[i], bin);
    finish(bin, argv[2]);
    sort(table);
    FILE *out = create(argv[1]);
    print_table(table, argv[2], out);
    finish(out, argv[1]);

    for (int i = 0; i < table->row_count; i++)
        free(table->rows[i].entry);
    for (int i = 0; i < table->code_count; i++) {
        free(table->codes[i].source);
        free(table->codes[i].arch);
    }
    free(table->codes);
    free(table);
    return 0;
}
