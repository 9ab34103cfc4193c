/*
 * models.c - layers of published models, as words of a case line. Shapes, routers and scales are
 * those of the models' own configuration files. A preset leaves T, the data type and the seed to
 * the line.
 *
 * shared= counts hidden units: two shared experts of 1408 units are one of 2816. A softmax over all
 * experts whose picked scores are divided by their sum is the softmax over the picked logits, hence
 * router=topk-softmax. The order of w1's rows is the model's where its own code fixes one, else the
 * default, since separate gate and up matrices can be stacked either way.
 */
#include "ref/moe.h"

static const struct moe_model table[] = {
    {"mixtral-8x7b", "Mixtral 8x7B", "H=4096 I=14336 E=8 K=2"},
    {"mixtral-8x22b", "Mixtral 8x22B", "H=6144 I=16384 E=8 K=2"},
    {"dbrx", "DBRX", "H=6144 I=10752 E=16 K=4"},
    {"qwen1.5-moe-a2.7b", "Qwen1.5-MoE-A2.7B",
     "H=2048 I=1408 E=60 K=4 router=softmax-topk shared=5632 shared-gate=1"},
    {"qwen2-57b-a14b", "Qwen2-57B-A14B",
     "H=3584 I=2560 E=64 K=8 router=softmax-topk shared=20480 shared-gate=1"},
    {"olmoe-1b-7b", "OLMoE-1B-7B", "H=2048 I=1024 E=64 K=8 router=softmax-topk"},
    {"granite-3.1-moe", "Granite 3.1 MoE", "H=1536 I=512 E=40 K=8"},
    {"deepseek-v2-lite", "DeepSeek-V2-Lite",
     "H=2048 I=1408 E=64 K=6 router=softmax-topk shared=2816"},
    {"deepseek-v2", "DeepSeek-V2",
     "H=5120 I=1536 E=160 K=6 router=softmax-topk scale=16 groups=8/3 shared=3072"},
    {"deepseek-v3", "DeepSeek-V3 and R1",
     "H=7168 I=2048 E=256 K=8 router=sigmoid renorm=1 scale=2.5 groups=8/4 sel-bias=1 "
     "shared=2048"},
    {"deepseek-v3.2", "DeepSeek-V3.2-Exp",
     "H=7168 I=2048 E=256 K=8 router=sigmoid renorm=1 scale=2.5 groups=8/4 sel-bias=1 "
     "shared=2048"},
    {"deepseek-v4-flash", "DeepSeek-V4-Flash, a layer that is not hash-routed",
     "H=4096 I=2048 E=256 K=6 act=swiglu-clamp:10 router=sqrt-softplus renorm=1 scale=1.5 "
     "sel-bias=1 shared=2048"},
    {"moonlight-16b-a3b", "Moonlight-16B-A3B and Kimi-VL",
     "H=2048 I=1408 E=64 K=6 router=sigmoid renorm=1 scale=2.446 sel-bias=1 shared=2816"},
    {"kimi-k2", "Kimi K2",
     "H=7168 I=2048 E=384 K=8 router=sigmoid renorm=1 scale=2.827 sel-bias=1 shared=2048"},
    {"kimi-linear-48b-a3b", "Kimi-Linear-48B-A3B",
     "H=2304 I=1024 E=256 K=8 router=sigmoid renorm=1 scale=2.446 sel-bias=1 shared=1024"},
    {"qwen3-30b-a3b", "Qwen3-30B-A3B", "H=2048 I=768 E=128 K=8"},
    {"qwen3-235b-a22b", "Qwen3-235B-A22B", "H=4096 I=1536 E=128 K=8"},
    {"qwen3-next-80b-a3b", "Qwen3-Next-80B-A3B",
     "H=2048 I=512 E=512 K=10 shared=512 shared-gate=1"},
    {"gpt-oss-20b", "gpt-oss-20b",
     "H=2880 I=2880 E=32 K=4 act=swiglu-oai w1=interleaved bias=1 router-bias=1"},
    {"gpt-oss-20b-e64", "gpt-oss-20b's width with 64 experts, plain SwiGLU and no bias",
     "H=2880 I=2880 E=64 K=4"},
    {"gpt-oss-120b", "gpt-oss-120b",
     "H=2880 I=2880 E=128 K=4 act=swiglu-oai w1=interleaved bias=1 router-bias=1"},
    {"glm-4.5-air", "GLM-4.5-Air",
     "H=4096 I=1408 E=128 K=8 router=sigmoid renorm=1 sel-bias=1 shared=1408"},
    {"glm-4.5", "GLM-4.5, 4.6 and 4.7",
     "H=5120 I=1536 E=160 K=8 router=sigmoid renorm=1 scale=2.5 sel-bias=1 shared=1536"},
    {"glm-4.7-flash", "GLM-4.7-Flash",
     "H=2048 I=1536 E=64 K=4 router=sigmoid renorm=1 scale=1.8 sel-bias=1 shared=1536"},
    {"minimax-m2", "MiniMax-M2", "H=3072 I=1536 E=256 K=8 router=sigmoid renorm=1 sel-bias=1"},
    {"llama-4-scout", "Llama 4 Scout",
     "H=5120 I=8192 E=16 K=1 w1=halves router=sigmoid weight=input shared=8192"},
    {"llama-4-maverick", "Llama 4 Maverick",
     "H=5120 I=8192 E=128 K=1 w1=halves router=sigmoid weight=input shared=8192"},
    {"nemotron-3-nano-30b-a3b", "Nemotron 3 Nano 30B-A3B",
     "H=2688 I=1856 E=128 K=6 act=relu2 router=sigmoid renorm=1 scale=2.5 sel-bias=1 "
     "shared=3712"},
    {"marco-mini", "Marco-Mini", "H=1024 I=768 E=256 K=8"},
};

const struct moe_model *moe_model(int index)
{
    return index >= 0 && (size_t)index < sizeof table / sizeof *table ? &table[index] : NULL;
}
