/*
 * faults.c - moecheck-faults.so: the variant `cublas` once for each fault of gpu/fault.h that is
 * its, and `hopper` (hopper.c).
 *
 * The plug-in holds its own copy of gpu/, compiled with the faults in it, and its own table of
 * kernels; `cublas!none` is that copy without any, which must pass. The names of the others say
 * what is wrong, `source` where something like it was seen.
 */
#include <stddef.h>

#include "gpu/fault.h"
#include "gpu/faults/plant.h"

int planted_fault;

struct fault_row {
    const char *name, *summary, *source;
};

static const struct fault_row faults[FAULT_CUBLAS_COUNT] = {
    [FAULT_NONE] = {"none", "nothing is wrong", ""},
    [FAULT_EMPTY_EXPERT_DW] = {"empty-expert-dw", "dw of an expert without rows is not written",
                               "tgale96/grouped_gemm#36"},
    [FAULT_DROPPED_DS] = {"dropped-ds", "ds of a dropped entry is not written",
                          "flashinfer-ai/flashinfer#1632"},
    [FAULT_DROPPED_ENTRY_ROW] = {"dropped-entry-row",
                                 "the row of a dropped entry is left undefined",
                                 "sgl-project/sglang#3339"},
    [FAULT_LAST_TOKEN_O] = {"last-token-o", "o of the last token is not written",
                            "AMD-AGI/Primus-Turbo#397"},
    [FAULT_LAST_UNITS_A] = {"last-units-a", "units beyond a multiple of 8 are not computed",
                            "huggingface/kernels-community#1159"},
    [FAULT_EVERY_ROW_TO_ROW_0] = {"rows-to-row-0", "every gathered row is stored as the first",
                                  "ByteDance-Seed/Triton-distributed#180"},
    [FAULT_STORE_BEHIND_O] = {"store-behind-o", "one element behind o is written",
                              "flashinfer-ai/flashinfer#4186"},
    [FAULT_STORE_BEFORE_O] = {"store-before-o", "one element before o is written",
                              "flashinfer-ai/flashinfer#3957"},
    [FAULT_READ_BEHIND_X] = {"read-behind-x", "a row behind a gathered tensor is read",
                             "flashinfer-ai/flashinfer#4046"},
    [FAULT_MISSING_LAST_K] = {"missing-last-k", "the last row is missing from weight gradients",
                              "Dao-AILab/quack 1c55c5d"},
    [FAULT_MISSING_K_TAIL] = {"missing-k-tail",
                              "rows beyond a multiple of 16 are missing from them",
                              "pytorch/pytorch#174314"},
    [FAULT_INPUT_CHANGED] = {"input-changed", "an element of an input is written", ""},
    [FAULT_DROPPED_IS_ROW_0] = {"dropped-is-row-0", "a dropped entry adds row 0",
                                "deepseek-ai/DeepGEMM 0c88cd0"},
    [FAULT_GATHER_INT32] = {"gather-int32", "the gather's offset has 32 bits",
                            "sgl-project/sglang#4727"},
    [FAULT_ACTIVATE_INT32] = {"activate-int32", "the activation's offset has 32 bits",
                              "linkedin/Liger-Kernel#1248"},
    [FAULT_SCAN_NO_BARRIER] = {"scan-no-barrier", "no barrier between reading and adding in a scan",
                               "AMD-AGI/Primus-Turbo#435"},
    [FAULT_PLACE_NO_BARRIER] = {"place-no-barrier", "the same where rows are placed",
                                "vllm-project/vllm#34991"},
    [FAULT_SUM_NO_BARRIER] = {"sum-no-barrier", "no barrier between the steps of a block's sum",
                              "sgl-project/sglang#37663"},
    [FAULT_DEFAULT_STREAM] = {"default-stream", "elementwise kernels run on the default stream",
                              "NVIDIA/cudnn-frontend#483"},
    [FAULT_WORKSPACE_TOO_SMALL] = {"workspace-too-small", "half of the workspace needed is stated",
                                   "NVIDIA/cutlass#3624"},
    [FAULT_LEAK] = {"leak", "4 MiB are taken at each opening and never given back",
                    "NVIDIA/TensorRT-LLM#18323"},
    [FAULT_EXPERTS_BEYOND_255] = {"experts-beyond-255", "experts from 256 on get no rows",
                                  "kekzl/imp#2056"},
    [FAULT_SCAN_BEYOND_BLOCK] = {"scan-beyond-block",
                                 "the scan forgets its carry after so many counts",
                                 "NVIDIA/cutlass#2100"},
    [FAULT_PLACE_BEYOND_BLOCK] = {"place-beyond-block", "rows of entries from 256 on overwrite",
                                  "ggml-org/llama.cpp#13294"},
    [FAULT_PICKS_BEYOND_BLOCK] = {"picks-beyond-8", "picks from the ninth on get no gradient",
                                  "MetaX-MACA/vLLM-metax#270"},
    [FAULT_TIES_LARGER_ID] = {"ties-larger-id", "ties go to the larger id",
                              "Dao-AILab/quack 263f752"},
    [FAULT_NAN_FIRST] = {"nan-first", "NaN ranks first", "vllm-project/vllm#39391"},
    [FAULT_NO_SELECTION_BIAS] = {"no-selection-bias", "experts are picked without sel_bias",
                                 "PaddlePaddle/PaddleFormers#3452"},
    [FAULT_GROUP_BEST_ONLY] = {"group-best-only", "a group's value is its best alone", ""},
    [FAULT_RENORM_WITHOUT_SCALE] = {"renorm-without-scale", "renormalised scores are not scaled",
                                    "sgl-project/sglang#31449"},
    [FAULT_ROUND_HALF_UP] = {"round-half-up", "token rounding sends halves up", ""},
    [FAULT_ROUND_TIES_LAST] = {"round-ties-last", "token rounding takes the later of tied tokens",
                               ""},
    [FAULT_BALANCED_NO_DRIFT] = {"balanced-no-drift", "balanced rounding forgets its drift", ""},
    [FAULT_SCORE_TWICE] = {"score-twice", "the score is applied twice", "vllm-project/vllm#43694"},
    [FAULT_BIAS_OF_NEXT_EXPERT] = {"bias-of-next", "an expert's first row gets another's bias", ""},
    [FAULT_DS_WITHOUT_BIAS] = {"ds-without-bias", "ds lacks <dO, b2>",
                               "NVIDIA-NeMo/Automodel#2591"},
    [FAULT_DZ_WITHOUT_SCORE] = {"dz-without-score", "dZ is not weighted by the score", ""},
    [FAULT_DW2_WITHOUT_SCORE] = {"dw2-without-score", "dW2 is not weighted by the score", ""},
    [FAULT_DB2_WITHOUT_SCORE] = {"db2-without-score", "db2 is not weighted by the score",
                                 "NVIDIA-NeMo/Automodel#2591"},
    [FAULT_GATE_AND_UP_SWAPPED] = {"gate-up-swapped", "the activation works on the wrong half",
                                   "Dao-AILab/quack 79b51cc"},
    [FAULT_OAI_CONSTANT] = {"oai-constant", "1.072 for 1.702", "Dao-AILab/quack 5d90acc"},
    [FAULT_SILU_SLOPE] = {"silu-slope", "the slope of silu lacks a factor 1 - sigma",
                          "Dao-AILab/quack 0adb04b"},
    [FAULT_CLAMP_SLOPE] = {"clamp-slope", "a clamped gate keeps its slope", ""},
    [FAULT_BETA_IGNORED] = {"beta-ignored", "bias gradients are not added to", ""},
    [FAULT_ROUTER_MEAN] = {"router-mean", "the softmax's gradient lacks its mean", ""},
    [FAULT_NO_AUX] = {"no-aux", "the auxiliary loss has no gradient", "NVIDIA-NeMo/Automodel#1408"},
    [FAULT_ZLOSS_HALF] = {"zloss-half", "the z-loss's gradient lacks its factor 2", ""},
    [FAULT_SHARED_GATE_SLOPE] = {"shared-gate-slope", "the shared gate's slope lacks 1 - g", ""},
    [FAULT_NO_ROUTER_DX] = {"no-router-dx", "dX lacks dL Wr", ""},
    [FAULT_DW1_OF_SCALED_X] = {"dw1-of-plain-x", "dW1 takes X without the score (weight=input)",
                               ""},
    [FAULT_SCORE_BF16] = {"score-bf16", "scores are rounded to bf16 before the sum", ""},
    [FAULT_SUM_BF16] = {"sum-bf16", "the sum over a token's rows is kept in the output's type", ""},
    [FAULT_STORE_TRUNCATES] = {"store-truncates", "stores truncate", ""},
    [FAULT_GAIN] = {"gain", "every product is 0.5 % too large", ""},
};

/* ---- the plug-in ----------------------------------------------------------------------------- */

int plant_device(struct moe_device *host, struct moe_device **device)
{
    static struct moe_device *opened;
    if (moe_device_watches(host))
        return plant_on_machine(host, device);
    const int status = opened ? MOE_OK : moe_device_open(MOE_ON_CUDA, 0, &opened);
    *device = opened;
    return status;
}

int plant(struct moe_device *device, const char *plant, int fault)
{
    void *args[] = {&fault};
    const struct moe_launch launch = {
        .kernel = plant, .grid = {1, 1, 1}, .block = {1, 1, 1}, .args = args};
    planted_fault = fault;
    const int status = moe_device_launch(device, &launch);
    return status == MOE_OK ? moe_device_synchronize(device, NULL) : status;
}

static int open_variant(struct moe_device *host, const struct moe_problem *problem,
                        int32_t configuration, void **state)
{
    struct moe_device *device = NULL;
    int status = plant_device(host, &device);
    if (status == MOE_OK)
        status = plant(device, "plant_fault", configuration);
    return status == MOE_OK ? moe_variant_cublas.open(device, problem, 0, state) : status;
}

static const char *names[FAULT_CUBLAS_COUNT];
static struct moe_variant variant;
static const struct moe_variant *variants[] = {&variant, NULL};
static struct moe_plugin plugin = {
    .struct_size = sizeof(struct moe_plugin),
    .version = MOE_PLUGIN_VERSION,
    .problem_size = sizeof(struct moe_problem),
    .tensor_size = sizeof(struct moe_tensor),
    .tensor_count = MOE_TENSOR_COUNT,
    .recipe_size = sizeof(struct moe_recipe),
    .call_size = sizeof(struct moe_call),
    .variant_count = 2,
    .variants = variants,
};

__attribute__((visibility("default"))) const struct moe_plugin *moe_plugin(void)
{
    for (int fault = 0; fault < FAULT_CUBLAS_COUNT; fault++)
        names[fault] = faults[fault].name;
    variant = moe_variant_cublas;
    variant.name = "cublas-faults";
    variant.summary = "cublas, with a fault planted: its configurations";
    variant.configurations = names;
    variant.configuration_count = FAULT_CUBLAS_COUNT;
    variant.open = open_variant;
    variants[1] = hopper_faults();
    return &plugin;
}
