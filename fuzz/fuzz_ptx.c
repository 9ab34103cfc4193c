/*
 * fuzz_ptx.c - libFuzzer harness of the reader of PTX. Whatever the bytes: they are refused in one
 * printable line, or they are a module of which every entry becomes a program or is refused so.
 * parsers.sh builds and runs it; replay.c runs it over files.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "gpu/ptx/machine.h"
#include "ref/moe.h"

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

static void build_all(const struct ptx_module *module, struct ptx_machine *machine)
{
    struct ptx_loaded *loaded = NULL;
    if (ptx_load(machine, module, &loaded) != MOE_OK) {
        require_message();
        return;
    }
    for (const struct ptx_function *f = module->functions; f; f = f->next) {
        struct ptx_program *program = NULL;
        char text[200];
        for (int32_t i = 0; i < f->instruction_count; i++) {
            ptx_instruction_text(&f->instructions[i], text, sizeof text);
            ptx_location_text(module, f->instructions[i].location, text, sizeof text);
        }
        if (ptx_program_build(loaded, f, &program) == MOE_OK)
            ptx_program_free(program);
        else
            require_message();
    }
    ptx_unload(machine, loaded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ptx_module *module = NULL;
    struct ptx_machine *machine = NULL;
    if (ptx_read((const char *)data, size, &module) != MOE_OK) {
        require_message();
        return 0;
    }
    require(ptx_machine_create(NULL, &machine) == MOE_OK);
    build_all(module, machine);
    ptx_machine_free(machine);
    ptx_module_free(module);
    return 0;
}
