/*
 * fuzz_case_line.c - libFuzzer harness of the case line. Whatever the bytes: a line that is read
 * prints canonically and reads back as the same case; one that is refused is refused in one
 * printable line. parsers.sh builds and runs it; replay.c runs it over files.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ref/moe.h"

/* Never returns; the fuzzer keeps the input. */
static void require(int holds)
{
    if (!holds)
        abort();
}

static void require_message(void)
{
    const char *text = moe_error_text();
    require(text[0] != '\0' && strlen(text) < 600);
    for (; *text != '\0'; text++)
        require(*text >= ' ' && *text < 0x7f);
}

static void require_round_trip(const struct moe_problem *problem)
{
    struct moe_problem again;
    char line[1024], printed[1024];
    const int length = moe_problem_print(problem, line, sizeof line);
    require(length > 0 && (size_t)length < sizeof line);
    require(moe_problem_parse(line, &again) == MOE_OK);
    require(memcmp(&again, problem, sizeof again) == 0);
    moe_problem_print(&again, printed, sizeof printed);
    require(strcmp(line, printed) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line = malloc(size + 1);
    struct moe_problem problem;
    require(line != NULL);
    if (size > 0)
        memcpy(line, data, size);
    line[size] = '\0';
    if (moe_problem_parse(line, &problem) == MOE_OK)
        require_round_trip(&problem);
    else
        require_message();
    free(line);
    return 0;
}
