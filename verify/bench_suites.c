/*
 * bench_suites.c - the cases that are measured on a GPU, by name.
 *
 * hopper: the shapes by which systems have published their speed, and five of models. models:
 * layers whole, with their routers and shared experts, at the tokens of a training step. small: as
 * few tokens as inference has. All in bf16, the default.
 */
#include <string.h>

#include "verify/bench_command.h"

static const struct {
    const char *suite, *line;
} table[] = {
    {"hopper", "T=40960 H=768 I=256 E=128 K=8"},
    {"hopper", "T=40960 H=768 I=512 E=64 K=4"},
    {"hopper", "T=40960 H=768 I=1024 E=32 K=2"},
    {"hopper", "T=24576 H=1536 I=256 E=128 K=8"},
    {"hopper", "T=24576 H=1536 I=512 E=64 K=4"},
    {"hopper", "T=24576 H=1536 I=1024 E=32 K=2"},
    {"hopper", "T=32768 H=4096 I=256 E=256 K=16"},
    {"hopper", "T=32768 H=4096 I=512 E=128 K=8"},
    {"hopper", "T=32768 H=4096 I=1024 E=64 K=4"},
    {"hopper", "T=32768 H=4096 I=512 E=256 K=16"},
    {"hopper", "T=32768 H=4096 I=1024 E=128 K=8"},
    {"hopper", "T=32768 H=4096 I=2048 E=64 K=4"},
    {"hopper", "T=32768 H=2048 I=1024 E=64 K=8"},
    {"hopper", "T=32768 H=4096 I=1536 E=128 K=8"},
    {"hopper", "T=16384 H=2048 I=768 E=128 K=8"},
    {"hopper", "T=16384 H=2048 I=512 E=512 K=10"},
    {"hopper", "T=8192 H=7168 I=2048 E=256 K=8"},
    {"models", "T=32768 model=olmoe-1b-7b"},
    {"models", "T=16384 model=qwen3-30b-a3b"},
    {"models", "T=16384 model=qwen3-235b-a22b"},
    {"models", "T=16384 model=qwen3-next-80b-a3b"},
    {"models", "T=16384 model=gpt-oss-20b"},
    {"models", "T=8192 model=mixtral-8x7b"},
    {"models", "T=4096 model=deepseek-v3.2"},
    {"small", "T=1 model=olmoe-1b-7b"},
    {"small", "T=16 model=olmoe-1b-7b"},
    {"small", "T=128 model=olmoe-1b-7b"},
    {"small", "T=1024 model=olmoe-1b-7b"},
    {"small", "T=1 model=qwen3-30b-a3b"},
    {"small", "T=16 model=qwen3-30b-a3b"},
    {"small", "T=128 model=qwen3-30b-a3b"},
    {"small", "T=1024 model=qwen3-30b-a3b"},
};

#define ROWS (sizeof table / sizeof *table)

int bench_suite_of_gpu(const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(table[i].suite, name) == 0)
            return 1;
    return 0;
}

int bench_suite_cases(const char *name, struct moe_cases *cases)
{
    int status = MOE_OK;

    for (size_t i = 0; i < ROWS && status == MOE_OK; i++) {
        struct moe_problem problem;

        if (strcmp(table[i].suite, name) != 0)
            continue;
        status = moe_problem_parse(table[i].line, &problem);
        if (status == MOE_OK)
            status = moe_cases_add(cases, &problem);
    }
    return status;
}
