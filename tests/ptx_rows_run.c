/*
 * ptx_rows_run.c - see ptx_rows_run.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "config.h"
#ifdef HAVE_CUDA
#include "gpu/driver.h"
#endif
#include "gpu/ptx/geometry.h"
#include "ref/moe.h"
#include "tests/ptx_draw.h"
#include "tests/ptx_rig.h"
#include "tests/ptx_rows_run.h"

uint64_t *ptx_row_draw(const struct ptx_row *row)
{
    const size_t count = ptx_row_input(row);
    const uint64_t seed = XXH3_64bits(row->name, strlen(row->name));
    uint64_t *in = calloc(ROW_ARRAYS * count, sizeof *in);
    for (int i = 0; in && i < ROW_ARRAYS; i++)
        if (!ptx_draw(row->draw[i], seed, i, in + (size_t)i * count, count)) {
            moe_error(MOE_E_USAGE, "row '%s': no draw '%s'", row->name, row->draw[i]);
            free(in);
            return NULL;
        }
    return in;
}

/* ---- the machine ----------------------------------------------------------------------------- */

static int encode(const struct moe_tensor_map_spec *spec, uint64_t address,
                  struct geometry_map *map)
{
    struct geometry_tensor tensor = {.type = (enum geometry_type)spec->type,
                                     .rank = spec->rank,
                                     .address = address,
                                     .swizzle = (enum geometry_swizzle)spec->swizzle,
                                     .fill = (enum geometry_fill)spec->fill};
    for (int i = 0; i < spec->rank; i++) {
        tensor.size[i] = spec->size[i];
        tensor.box[i] = spec->box[i];
        tensor.step[i] = spec->step[i];
        if (i > 0)
            tensor.stride[i] = spec->stride[i - 1];
    }
    return geometry_map_encode(&tensor, map);
}

int ptx_row_on_machine(const struct ptx_row *row, const uint64_t *in, uint64_t *out)
{
    const size_t count = ptx_row_input(row), bytes = 8 * ptx_row_output(row);
    struct geometry_map maps[ROW_MAPS] = {0};
    struct rig rig;
    int status = MOE_OK;
    rig_open_text(&rig, row->text, 0, 0);
    for (size_t i = 0; i < ROW_ARRAYS; i++)
        rig_buffer(&rig, in + i * count, 8 * count, "input");
    rig_buffer(&rig, NULL, bytes, "output");
    for (int i = 0; i < row->maps && !status; i++)
        status = encode(&row->map[i], rig.argument[0], &maps[i]);
    rig_buffer(&rig, maps, sizeof maps, "maps");
    rig_run(&rig, (uint32_t)(row->elements / row->block), 1, 1, (uint32_t)row->block, 0);
    rig_read(&rig, ROW_ARRAYS, out, bytes);
    if (!status && rig.trouble[0])
        status = moe_error(MOE_E_INTERNAL, "%.400s", rig.trouble);
    rig_close(&rig);
    return status;
}

/* ---- a GPU ----------------------------------------------------------------------------------- */

#ifdef HAVE_CUDA

static void *read_code(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.cubin", folder, name);
    FILE *file = fopen(path, "rb");
    long bytes = file && !fseek(file, 0, SEEK_END) ? ftell(file) : -1;
    void *code = bytes > 0 ? malloc((size_t)bytes) : NULL;
    if (code &&
        (fseek(file, 0, SEEK_SET) || fread(code, 1, (size_t)bytes, file) != (size_t)bytes)) {
        free(code);
        code = NULL;
    }
    if (file)
        fclose(file);
    return code;
}

static int launch(const struct driver *driver, CUmodule module, const struct ptx_row *row,
                  void *places[])
{
    CUfunction function;
    int status = driver_check(driver, driver->cuModuleGetFunction(&function, module, "k"),
                              "the entry of '%s'", row->name);
    void *args[ROW_ARRAYS + 2];
    const CUlaunchConfig config = {.gridDimX = (unsigned)(row->elements / row->block),
                                   .gridDimY = 1,
                                   .gridDimZ = 1,
                                   .blockDimX = (unsigned)row->block,
                                   .blockDimY = 1,
                                   .blockDimZ = 1};
    for (int i = 0; i < ROW_ARRAYS + 2; i++)
        args[i] = &places[i];
    if (!status)
        status = driver_check(driver, driver->cuLaunchKernelEx(&config, function, args, NULL),
                              "launching '%s'", row->name);
    return status
               ? status
               : driver_check(driver, driver->cuStreamSynchronize(NULL), "running '%s'", row->name);
}

/* Inputs, output, maps: on the device, into places. */
static int send(struct moe_device *device, const struct ptx_row *row, const uint64_t *in,
                void *places[])
{
    const int64_t input = 8 * (int64_t)ptx_row_input(row);
    const int64_t bytes[ROW_ARRAYS + 2] = {input, input, input, 8 * (int64_t)ptx_row_output(row),
                                           ROW_MAPS * sizeof(struct moe_tensor_map)};
    struct moe_tensor_map maps[ROW_MAPS] = {0};
    int status = MOE_OK;
    for (int i = 0; i < ROW_ARRAYS + 2 && !status; i++)
        status = moe_device_allocate(device, bytes[i], &places[i]);
    for (int i = 0; i < ROW_ARRAYS && !status; i++)
        status = moe_device_copy_to(device, places[i], (const char *)in + i * input, input, NULL);
    for (int i = 0; i < row->maps && !status; i++) {
        struct moe_tensor_map_spec spec = row->map[i];
        spec.base = places[0];
        status = moe_device_tensor_map_encode(device, &spec, &maps[i]);
    }
    if (!status)
        status = moe_device_fill(device, places[ROW_ARRAYS], 0xee, bytes[ROW_ARRAYS], NULL);
    return status ? status
                  : moe_device_copy_to(device, places[ROW_ARRAYS + 1], maps, sizeof maps, NULL);
}

int ptx_row_on_gpu(struct moe_device *device, const struct ptx_row *row, const char *code,
                   const uint64_t *in, uint64_t *out)
{
    const struct driver *driver = driver_open();
    CUmodule module = NULL;
    void *places[ROW_ARRAYS + 2] = {0};
    void *binary = code ? read_code(code, row->name) : NULL;
    if (code && !binary)
        return moe_error(MOE_E_IO, "no code of '%s' in '%s'", row->name, code);
    int status = send(device, row, in, places);
    if (!status)
        status =
            driver_check(driver, driver->cuModuleLoadData(&module, binary ? binary : row->text),
                         "loading '%s'", row->name);
    if (!status)
        status = launch(driver, module, row, places);
    if (!status)
        status = moe_device_copy_from(device, out, places[ROW_ARRAYS],
                                      8 * (int64_t)ptx_row_output(row), NULL);
    for (int i = 0; i < ROW_ARRAYS + 2; i++)
        moe_device_free(device, places[i]);
    if (module)
        driver->cuModuleUnload(module);
    free(binary);
    return status;
}

#else

int ptx_row_on_gpu(struct moe_device *device, const struct ptx_row *row, const char *code,
                   const uint64_t *in, uint64_t *out)
{
    (void)device, (void)row, (void)code, (void)in, (void)out;
    return moe_error(MOE_E_UNSUPPORTED, "built without CUDA");
}

#endif
