/*
 * fuzz_safetensors.c - libFuzzer harness of the reader of safetensors files. Whatever the bytes:
 * they are refused in one printable line, or every byte that is handed out can be read, and cases
 * of three kinds take from the file what is theirs. parsers.sh builds and runs it; replay.c runs it
 * over files.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "verify/safetensors.h"
#include "verify/verify.h"

static void require(int holds)
{
    if (!holds)
        abort();
}

static void require_message(void)
{
    const char *text = moe_error_text();
    require(text[0] != '\0');
    for (; *text != '\0'; text++)
        require(*text >= ' ' && *text < 0x7f);
}

static void read_all(const struct moe_safetensors *file)
{
    const struct moe_safetensors_entry *entry;
    for (int64_t i = 0; (entry = moe_safetensors_entry(file, i)) != NULL; i++) {
        const volatile unsigned char *bytes = entry->data; /* volatile keeps the reads */
        require(moe_safetensors_find(file, entry->name) == entry);
        require(entry->dtype >= -1 && entry->dtype < MOE_DTYPE_COUNT && entry->rank >= 0);
        for (int64_t axis = 0; axis < entry->rank; axis++)
            require(entry->shape[axis] >= 0);
        for (int64_t b = 0; b < entry->bytes; b++)
            (void)bytes[b];
    }
    moe_safetensors_metadata(file, "case");
}

static void load(const char *path, const char *line)
{
    struct moe_problem problem;
    struct moe_tensors tensors;
    require(moe_problem_parse(line, &problem) == MOE_OK);
    require(moe_tensors_allocate(&problem, &tensors) == MOE_OK);
    require(moe_tensors_draw(&problem, &tensors) == MOE_OK);
    if (moe_tensors_load(&problem, path, &tensors) != MOE_OK)
        require_message();
    if (moe_tensors_load_outputs(&problem, path, &tensors) != MOE_OK)
        require_message();
    moe_tensors_free(&tensors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int descriptor = memfd_create("fuzz", MFD_CLOEXEC);
    struct moe_safetensors *file;
    char path[64];
    require(descriptor >= 0 && write(descriptor, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (moe_safetensors_open(path, &file) == MOE_OK) {
        read_all(file);
        moe_safetensors_close(file);
        load(path, "T=2 H=3 I=2 E=2 K=1 dtype=bf16");
        load(path, "T=2 H=3 I=2 E=2 K=2 dtype=f32 act=relu router=lists routing=ragged");
        load(path, "T=2 H=3 I=2 E=2 K=2 dtype=f16 router=softmax-topk round=up round-to=2");
    } else {
        require_message();
    }
    close(descriptor);
    return 0;
}
