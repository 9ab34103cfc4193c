/*
 * t_safetensors.c - files written are read back, with any strides; what the format does not allow
 * is refused in one line that begins with the path; a full disk leaves the old file and nothing
 * else.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "verify/safetensors.h"

/* A folder of its own for each test: what is left in it is seen. */
static char folder[64], path[96];

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "safetensors-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
}

static int files_in_folder(void)
{
    DIR *open_folder = opendir(folder);
    int files = 0;
    ck_assert_ptr_nonnull(open_folder);
    for (const struct dirent *entry; (entry = readdir(open_folder)) != NULL;)
        files += entry->d_name[0] != '.';
    closedir(open_folder);
    return files;
}

static void remove_folder(void)
{
    unlink(path);
    ck_assert_msg(rmdir(folder) == 0, "%s: something was left", folder);
}

static void put_file(const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

/* A file of a header and `data` bytes of zeros behind it. */
static void put_header(uint64_t length, const char *header, size_t written, size_t data)
{
    char *bytes = calloc(8 + written + data, 1);
    ck_assert_ptr_nonnull(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(length >> 8 * i);
    memcpy(bytes + 8, header, written);
    put_file(bytes, 8 + written + data);
    free(bytes);
}

static void expect_refused(const char *what, const char *text)
{
    struct moe_safetensors *file = (void *)&folder;
    ck_assert_msg(moe_safetensors_open(path, &file) == MOE_E_USAGE, "%s: was read", what);
    ck_assert_msg(strncmp(moe_error_text(), path, strlen(path)) == 0, "%s", moe_error_text());
    ck_assert_msg(strstr(moe_error_text(), text) != NULL, "%s: %s", what, moe_error_text());
    ck_assert_msg(file == (void *)&folder, "%s: wrote its output", what);
}

/* ---- what is refused ------------------------------------------------------------------------ */

#define F32_2 "\"dtype\":\"F32\",\"shape\":[2]"

static const struct {
    const char *header;
    size_t data;
    const char *text;
} bad[] = {
    {"", 0, "does not begin with '{'"},
    {" {}", 0, "does not begin with '{'"},
    {"[]", 0, "does not begin with '{'"},
    {"{", 0, ""},
    {"{}x", 0, "end of file expected"},
    {"{}", 1, "bytes behind the last tensor"},
    {"{\"a\":1}", 0, "'a': its description is not an object"},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "no dtype"},
    {"{\"a\":{\"dtype\":3,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "no dtype"},
    {"{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "none of the format's"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "shape is not a list"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "shape is not a list"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8,
     "not a list of sizes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "not a list of sizes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[[2]],\"data_offsets\":[0,8]}}", 8,
     "not a list of sizes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}", 8,
     "too big integer"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
     "larger than any file"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387906],\"data_offsets\":[0,8]}}", 8,
     "larger than any file"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1152921504606846976,8],\"data_offsets\":[0,0]}}", 0,
     "larger than any file"},
    {"{\"a\":{" F32_2 "}}", 8, "data_offsets are not two positions"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0]}}", 8, "data_offsets are not two positions"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8,8]}}", 8, "data_offsets are not two positions"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[-8,0]}}", 8, "data_offsets are not two positions"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[8,0]}}", 8, "reversed"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,9]}}", 8, "outside the file"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[9223372036854775799,9223372036854775807]}}", 8,
     "outside the file"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,4]}}", 8, "at odds"},
    {"{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2, "whole number of bytes"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[4,12]}}", 12, "'a': a hole lies before"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"b\":{" F32_2 ",\"data_offsets\":[12,20]}}", 20,
     "'b': a hole lies before"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"b\":{" F32_2 ",\"data_offsets\":[4,12]}}", 12,
     "'b': its data overlap"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"b\":{" F32_2 ",\"data_offsets\":[0,8]}}", 8,
     "its data overlap"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]}}", 9, "bytes behind the last tensor"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"a\":{" F32_2 ",\"data_offsets\":[0,8]}}", 8,
     "duplicate object key"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     "duplicate object key"},
    {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "other than text"},
    {"{\"\xff\":1}", 0, "unable to decode byte 0xff"},
    {"{\"\xc0\x80\":1}", 0, "unable to decode"},
    {"{\"a\\u0000b\":1}", 0, "\\u0000"},
    {"{\"\\ud800\":1}", 0, "invalid Unicode"},
};

START_TEST(refuses)
{
    make_folder();
    put_header(strlen(bad[_i].header), bad[_i].header, strlen(bad[_i].header), bad[_i].data);
    expect_refused(bad[_i].header, bad[_i].text);
    remove_folder();
}
END_TEST

START_TEST(refuses_lengths)
{
    static const struct {
        uint64_t length;
        const char *text;
    } lengths[] = {{3, "longer than the file"},
                   {100000000, "longer than the file"},
                   {100000001, "more than 100 MB"},
                   {UINT64_C(1) << 63, "more than 100 MB"},
                   {UINT64_MAX - 7, "more than 100 MB"},
                   {UINT64_MAX, "more than 100 MB"},
                   {1, ""}};
    make_folder();
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        put_header(lengths[i].length, "{}", 2, 0);
        expect_refused("length", lengths[i].text);
    }
    for (size_t size = 0; size < 8; size++) {
        put_file("\0\0\0\0\0\0\0", size);
        expect_refused("short", "shorter than 8 bytes");
    }
    remove_folder();
}
END_TEST

START_TEST(refuses_deep_and_numerous)
{
    enum { SIZE = 9 << 20 };
    char *header = malloc(SIZE);
    make_folder();
    ck_assert_ptr_nonnull(header);
    memset(header, '[', SIZE);
    memcpy(header, "{\"a\":", 5);
    put_header(SIZE, header, SIZE, 0);
    expect_refused("deep", "nested more than 64 levels deep");
    for (int i = 5; i + 1 < SIZE; i += 2)
        memcpy(header + i, "1,", 2);
    header[5] = '[';
    put_header(SIZE, header, SIZE, 0);
    expect_refused("numerous", "values in the header");
    free(header);
    remove_folder();
}
END_TEST

START_TEST(refuses_what_is_no_file)
{
    struct moe_safetensors *file;
    make_folder();
    ck_assert_int_eq(moe_safetensors_open(path, &file), MOE_E_IO);
    ck_assert_msg(strstr(moe_error_text(), "No such file") != NULL, "%s", moe_error_text());
    ck_assert_int_eq(moe_safetensors_open(folder, &file), MOE_E_USAGE);
    ck_assert_int_eq(moe_safetensors_open("/dev/zero", &file), MOE_E_USAGE);
    ck_assert_msg(strstr(moe_error_text(), "not a regular file") != NULL, "%s", moe_error_text());
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(moe_safetensors_open(path, &file), MOE_E_USAGE);
    remove_folder();
}
END_TEST

/* ---- what is read --------------------------------------------------------------------------- */

START_TEST(reads_every_type)
{
    static const struct {
        const char *type;
        int bits, dtype;
    } types[] = {{"BF16", 16, MOE_BF16},   {"F16", 16, MOE_F16},
                 {"F32", 32, MOE_F32},     {"F64", 64, MOE_F64},
                 {"F8_E4M3", 8, MOE_E4M3}, {"F8_E5M2", 8, MOE_E5M2},
                 {"F4", 4, MOE_E2M1},      {"F8_E8M0", 8, MOE_UE8M0},
                 {"I32", 32, MOE_I32},     {"I64", 64, MOE_I64},
                 {"U8", 8, MOE_U8},        {"I8", 8, -1},
                 {"I16", 16, -1},          {"U16", 16, -1},
                 {"U32", 32, -1},          {"U64", 64, -1},
                 {"BOOL", 8, -1}};
    make_folder();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const int bytes = 24 * types[i].bits / 8;
        struct moe_safetensors *file;
        const struct moe_safetensors_entry *entry;
        char header[256];
        snprintf(
            header, sizeof header,
            "{\"t\":{\"data_offsets\":[0,%d],\"extra\":{},\"shape\":[2,3,1,4],\"dtype\":\"%s\"},"
            "\"e\":{\"dtype\":\"F32\",\"shape\":[7,0],\"data_offsets\":[%d,%d]}}   ",
            bytes, types[i].type, bytes, bytes);
        put_header(strlen(header), header, strlen(header), (size_t)bytes);
        ck_assert_msg(moe_safetensors_open(path, &file) == MOE_OK, "%s", moe_error_text());
        entry = moe_safetensors_find(file, "t");
        ck_assert_ptr_eq(entry, moe_safetensors_entry(file, 0));
        ck_assert_ptr_nonnull(entry);
        ck_assert_int_eq(entry->dtype, types[i].dtype);
        ck_assert_str_eq(entry->type, types[i].type);
        ck_assert_int_eq(entry->rank, 4);
        ck_assert_int_eq(entry->shape[3], 4);
        ck_assert_int_eq(entry->bytes, bytes);
        ck_assert_int_eq(moe_safetensors_find(file, "e")->bytes, 0);
        ck_assert_ptr_null(moe_safetensors_find(file, "__metadata__"));
        ck_assert_ptr_null(moe_safetensors_entry(file, 2));
        ck_assert_ptr_null(moe_safetensors_metadata(file, "a"));
        moe_safetensors_close(file);
    }
    remove_folder();
}
END_TEST

/* A header may name its tensors in any order. */
START_TEST(reads_headers_in_any_order)
{
    static const char header[] = "{\"b\":{" F32_2 ",\"data_offsets\":[8,16]},"
                                 "\"e\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[8,8]},"
                                 "\"a\":{" F32_2 ",\"data_offsets\":[0,8]}}";
    struct moe_safetensors *file;
    make_folder();
    put_header(strlen(header), header, strlen(header), 16);
    ck_assert_msg(moe_safetensors_open(path, &file) == MOE_OK, "%s", moe_error_text());
    ck_assert_str_eq(moe_safetensors_entry(file, 0)->name, "a");
    ck_assert_str_eq(moe_safetensors_entry(file, 1)->name, "e");
    ck_assert_str_eq(moe_safetensors_entry(file, 2)->name, "b");
    moe_safetensors_close(file);
    remove_folder();
}
END_TEST

/* ---- what is written ------------------------------------------------------------------------ */

START_TEST(reads_what_it_wrote)
{
    const char *metadata[] = {"case", "T=1 \"quoted\" \xc3\xa9", "variant", "ref", NULL};
    static uint8_t bytes[5] = {1, 2, 3, 4, 5};
    static uint16_t halves[4][6];
    static double reals[2] = {0.5, -0.0};
    struct moe_safetensors_item items[] = {
        {"bytes", {bytes, MOE_U8, 1, {5}, {1}}},
        /* Every second column and row, columns first. */
        {"turned", {halves, MOE_BF16, 3, {3, 2, 1}, {2, 12, 77}}},
        {"reals", {reals, MOE_F64, 1, {2}, {1}}},
        {"empty", {NULL, MOE_F32, 2, {0, 9}, {9, 1}}},
        {"nibbles", {bytes, MOE_E2M1, 2, {2, 3}, {3, 1}}},
    };
    static const uint16_t turned[6] = {0, 12, 2, 14, 4, 16};
    const struct moe_safetensors_entry *entry;
    struct moe_safetensors *file;
    make_folder();
    for (int i = 0; i < 24; i++)
        halves[i / 6][i % 6] = (uint16_t)i;
    ck_assert_msg(moe_safetensors_write(path, items, 5, metadata) == MOE_OK, "%s",
                  moe_error_text());
    ck_assert_int_eq(files_in_folder(), 1);
    ck_assert_msg(moe_safetensors_open(path, &file) == MOE_OK, "%s", moe_error_text());
    ck_assert_str_eq(moe_safetensors_metadata(file, "case"), metadata[1]);
    ck_assert_str_eq(moe_safetensors_metadata(file, "variant"), "ref");
    for (int64_t i = 0; (entry = moe_safetensors_entry(file, i)) != NULL; i++) {
        const size_t size = ((size_t)moe_dtype_info((enum moe_dtype)entry->dtype)->bits + 7) / 8;
        ck_assert_msg((uintptr_t)entry->data % size == 0, "%s is not aligned", entry->name);
    }
    ck_assert_mem_eq(moe_safetensors_find(file, "bytes")->data, bytes, 5);
    ck_assert_mem_eq(moe_safetensors_find(file, "reals")->data, reals, 16);
    ck_assert_mem_eq(moe_safetensors_find(file, "nibbles")->data, bytes, 3);
    entry = moe_safetensors_find(file, "turned");
    ck_assert_int_eq(entry->bytes, 12);
    ck_assert_mem_eq(entry->data, turned, 12);
    ck_assert_int_eq(moe_safetensors_find(file, "empty")->shape[1], 9);
    moe_safetensors_close(file);
    remove_folder();
}
END_TEST

START_TEST(writes_nothing_at_all)
{
    struct moe_safetensors *file;
    make_folder();
    ck_assert_int_eq(moe_safetensors_write(path, NULL, 0, NULL), MOE_OK);
    ck_assert_msg(moe_safetensors_open(path, &file) == MOE_OK, "%s", moe_error_text());
    ck_assert_ptr_null(moe_safetensors_entry(file, 0));
    moe_safetensors_close(file);
    remove_folder();
}
END_TEST

/* A strided tensor larger than the writer's buffer. */
START_TEST(writes_large_strided_tensors)
{
    enum { ROWS = 300, COLS = 257 };
    static float values[ROWS][2 * COLS];
    struct moe_safetensors_item item = {"v", {values, MOE_F32, 2, {ROWS, COLS}, {2 * COLS, 2}}};
    struct moe_safetensors *file;
    const float *read;
    make_folder();
    for (int i = 0; i < ROWS * 2 * COLS; i++)
        values[i / (2 * COLS)][i % (2 * COLS)] = (float)i;
    ck_assert_int_eq(moe_safetensors_write(path, &item, 1, NULL), MOE_OK);
    ck_assert_int_eq(moe_safetensors_open(path, &file), MOE_OK);
    read = moe_safetensors_find(file, "v")->data;
    for (int i = 0; i < ROWS * COLS; i++)
        ck_assert_msg(read[i] == (float)(2 * i), "element %d", i);
    moe_safetensors_close(file);
    remove_folder();
}
END_TEST

static uint8_t large[1 << 20];
static const struct moe_safetensors_item large_item = {"l", {large, MOE_U8, 1, {1 << 20}, {1}}};

START_TEST(refuses_to_write)
{
    struct moe_safetensors_item twice[] = {large_item, large_item};
    struct moe_safetensors_item name = large_item;
    const char *metadata[] = {"case", "\xff", NULL};
    char missing[128];
    make_folder();
    ck_assert_int_eq(moe_safetensors_write(path, twice, 2, NULL), MOE_E_USAGE);
    ck_assert_msg(strstr(moe_error_text(), "stands twice") != NULL, "%s", moe_error_text());
    ck_assert_int_eq(moe_safetensors_write(path, &large_item, 1, metadata), MOE_E_USAGE);
    name.name = "\x80";
    ck_assert_int_eq(moe_safetensors_write(path, &name, 1, NULL), MOE_E_USAGE);
    snprintf(missing, sizeof missing, "%s/no/file", folder);
    ck_assert_int_eq(moe_safetensors_write(missing, &large_item, 1, NULL), MOE_E_IO);
    ck_assert_msg(strncmp(moe_error_text(), missing, strlen(missing)) == 0, "%s", moe_error_text());
    ck_assert_int_eq(moe_safetensors_write(folder, &large_item, 1, NULL), MOE_E_USAGE);
    ck_assert_int_eq(files_in_folder(), 0);
    /* Stands for a device, which a rename would take away: a pipe can be lost. */
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(moe_safetensors_write(path, &large_item, 1, NULL), MOE_E_USAGE);
    ck_assert_int_eq(files_in_folder(), 1);
    remove_folder();
}
END_TEST

/* The disk is full after so many bytes: in the prefix, the header, the data, at the very end. */
START_TEST(survives_a_full_disk)
{
    static const rlim_t limits[] = {0, 4, 20, 1000, (1 << 20) - 1, (1 << 20) + 70};
    struct rlimit limit;
    char old[4] = "";
    FILE *file;
    make_folder();
    put_file("old", 3);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = limits[_i];
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const int status = moe_safetensors_write(path, &large_item, 1, NULL);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_msg(status == MOE_E_IO, "%d: status %d", _i, status);
    ck_assert_msg(strstr(moe_error_text(), "cannot be written: File too large") != NULL, "%s",
                  moe_error_text());
    ck_assert_int_eq(files_in_folder(), 1);
    file = fopen(path, "rb");
    ck_assert_uint_eq(fread(old, 1, sizeof old, file), 3);
    fclose(file);
    ck_assert_str_eq(old, "old");
    remove_folder();
}
END_TEST

START_TEST(writes_through_links)
{
    char target[96], link[96];
    struct stat status;
    make_folder();
    snprintf(target, sizeof target, "%s/target", folder);
    snprintf(link, sizeof link, "target");
    ck_assert_int_eq(symlink(link, path), 0);
    const int descriptor = open(target, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
    ck_assert_int_eq(moe_safetensors_write(path, &large_item, 1, NULL), MOE_OK);
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert(S_ISLNK(status.st_mode));
    ck_assert_int_eq(stat(target, &status), 0);
    ck_assert_int_gt(status.st_size, 1 << 20);
    unlink(target);
    remove_folder();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *tests = tcase_create("safetensors");
    SRunner *runner = srunner_create(suite);
    int failed;
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, refuses, 0, sizeof bad / sizeof *bad);
    tcase_add_test(tests, refuses_lengths);
    tcase_add_test(tests, refuses_deep_and_numerous);
    tcase_add_test(tests, refuses_what_is_no_file);
    tcase_add_test(tests, reads_every_type);
    tcase_add_test(tests, reads_headers_in_any_order);
    tcase_add_test(tests, reads_what_it_wrote);
    tcase_add_test(tests, writes_nothing_at_all);
    tcase_add_test(tests, writes_large_strided_tensors);
    tcase_add_test(tests, refuses_to_write);
    tcase_add_loop_test(tests, survives_a_full_disk, 0, 6);
    tcase_add_test(tests, writes_through_links);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
