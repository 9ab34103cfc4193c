/*
 * words.c - words and types by their text: a table in order of text, made when it is first needed.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/ptx.h"

static const char *const word_texts[PTX_WORD_COUNT] = {
#define X(name, text) [PTX_W_##name] = text,
    PTX_WORDS(X)
#undef X
};

const struct ptx_type_row ptx_types[PTX_TYPE_COUNT] = {[PTX_NO_TYPE] = {"", 0, PTX_CLASS_NONE},
#define X(name, text, bits, class) [PTX_##name] = {text, bits, PTX_CLASS_##class},
                                                       PTX_TYPES(X)
#undef X
};

const struct ptx_special_row ptx_specials[PTX_SPECIAL_COUNT] = {
    [PTX_TID_X] = {"tid.x", PTX_U32},
    [PTX_TID_Y] = {"tid.y", PTX_U32},
    [PTX_TID_Z] = {"tid.z", PTX_U32},
    [PTX_NTID_X] = {"ntid.x", PTX_U32},
    [PTX_NTID_Y] = {"ntid.y", PTX_U32},
    [PTX_NTID_Z] = {"ntid.z", PTX_U32},
    [PTX_CTAID_X] = {"ctaid.x", PTX_U32},
    [PTX_CTAID_Y] = {"ctaid.y", PTX_U32},
    [PTX_CTAID_Z] = {"ctaid.z", PTX_U32},
    [PTX_NCTAID_X] = {"nctaid.x", PTX_U32},
    [PTX_NCTAID_Y] = {"nctaid.y", PTX_U32},
    [PTX_NCTAID_Z] = {"nctaid.z", PTX_U32},
    [PTX_LANEID] = {"laneid", PTX_U32},
    [PTX_WARPID] = {"warpid", PTX_U32},
    [PTX_NWARPID] = {"nwarpid", PTX_U32},
    [PTX_SMID] = {"smid", PTX_U32},
    [PTX_NSMID] = {"nsmid", PTX_U32},
    [PTX_GRIDID] = {"gridid", PTX_U64},
    [PTX_IS_EXPLICIT_CLUSTER] = {"is_explicit_cluster", PTX_PRED},
    [PTX_CLUSTERID_X] = {"clusterid.x", PTX_U32},
    [PTX_CLUSTERID_Y] = {"clusterid.y", PTX_U32},
    [PTX_CLUSTERID_Z] = {"clusterid.z", PTX_U32},
    [PTX_NCLUSTERID_X] = {"nclusterid.x", PTX_U32},
    [PTX_NCLUSTERID_Y] = {"nclusterid.y", PTX_U32},
    [PTX_NCLUSTERID_Z] = {"nclusterid.z", PTX_U32},
    [PTX_CLUSTER_CTAID_X] = {"cluster_ctaid.x", PTX_U32},
    [PTX_CLUSTER_CTAID_Y] = {"cluster_ctaid.y", PTX_U32},
    [PTX_CLUSTER_CTAID_Z] = {"cluster_ctaid.z", PTX_U32},
    [PTX_CLUSTER_NCTAID_X] = {"cluster_nctaid.x", PTX_U32},
    [PTX_CLUSTER_NCTAID_Y] = {"cluster_nctaid.y", PTX_U32},
    [PTX_CLUSTER_NCTAID_Z] = {"cluster_nctaid.z", PTX_U32},
    [PTX_CLUSTER_CTARANK] = {"cluster_ctarank", PTX_U32},
    [PTX_CLUSTER_NCTARANK] = {"cluster_nctarank", PTX_U32},
    [PTX_LANEMASK_EQ] = {"lanemask_eq", PTX_U32},
    [PTX_LANEMASK_LE] = {"lanemask_le", PTX_U32},
    [PTX_LANEMASK_LT] = {"lanemask_lt", PTX_U32},
    [PTX_LANEMASK_GE] = {"lanemask_ge", PTX_U32},
    [PTX_LANEMASK_GT] = {"lanemask_gt", PTX_U32},
    [PTX_TOTAL_SMEM_SIZE] = {"total_smem_size", PTX_U32},
    [PTX_DYNAMIC_SMEM_SIZE] = {"dynamic_smem_size", PTX_U32},
    [PTX_AGGR_SMEM_SIZE] = {"aggr_smem_size", PTX_U32},
    [PTX_RESERVED_SMEM_BEGIN] = {"reserved_smem_offset_begin", PTX_U32},
    [PTX_RESERVED_SMEM_END] = {"reserved_smem_offset_end", PTX_U32},
    [PTX_RESERVED_SMEM_CAP] = {"reserved_smem_offset_cap", PTX_U32},
    [PTX_CLOCK] = {"clock", PTX_U32},
    [PTX_CLOCK_HI] = {"clock_hi", PTX_U32},
    [PTX_CLOCK64] = {"clock64", PTX_U64},
    [PTX_GLOBALTIMER] = {"globaltimer", PTX_U64},
    [PTX_GLOBALTIMER_LO] = {"globaltimer_lo", PTX_U32},
    [PTX_GLOBALTIMER_HI] = {"globaltimer_hi", PTX_U32},
};

struct entry {
    const char *text;
    int number;
};

static struct entry words[PTX_WORD_COUNT], types[PTX_TYPE_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->text, ((const struct entry *)b)->text);
}

static void sort(void)
{
    for (int i = 0; i < PTX_WORD_COUNT; i++)
        words[i] = (struct entry){word_texts[i] ? word_texts[i] : "", i};
    for (int i = 0; i < PTX_TYPE_COUNT; i++)
        types[i] = (struct entry){ptx_types[i].name, i};
    qsort(words, PTX_WORD_COUNT, sizeof *words, by_text);
    qsort(types, PTX_TYPE_COUNT, sizeof *types, by_text);
}

static int find(const struct entry *entries, int count, const char *text, int length)
{
    int low = 0, high = count;
    while (low < high) {
        const int middle = (low + high) / 2;
        const int order = strncmp(entries[middle].text, text, (size_t)length);
        if (order < 0 || (order == 0 && entries[middle].text[0] == '\0'))
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && !strncmp(entries[low].text, text, (size_t)length) &&
                   entries[low].text[length] == '\0'
               ? entries[low].number
               : 0;
}

enum ptx_word ptx_word_find(const char *text, int length)
{
    pthread_once(&once, sort);
    return (enum ptx_word)find(words, PTX_WORD_COUNT, text, length);
}

enum ptx_type ptx_type_find(const char *text, int length)
{
    pthread_once(&once, sort);
    return (enum ptx_type)find(types, PTX_TYPE_COUNT, text, length);
}

const char *ptx_word_text(enum ptx_word word)
{
    return word > 0 && word < PTX_WORD_COUNT ? word_texts[word] : "";
}
