/*
 * opcodes.c - the table of opcodes: the families' tables as one, in order of names, made when it is
 * first needed; and the lists that its rows name.
 *
 * A family of instructions is its file and its line here.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/program.h"

static const struct ptx_opcode *const families[] = {
    ptx_opcodes_integer,   ptx_opcodes_bits,     ptx_opcodes_float,  ptx_opcodes_convert,
    ptx_opcodes_move,      ptx_opcodes_compare,  ptx_opcodes_memory, ptx_opcodes_atom,
    ptx_opcodes_flow,      ptx_opcodes_barrier,  ptx_opcodes_warp,   ptx_opcodes_matrix,
    ptx_opcodes_hint,      ptx_opcodes_mbarrier, ptx_opcodes_copy,   ptx_opcodes_bulk,
    ptx_opcodes_tensor,    ptx_opcodes_map,      ptx_opcodes_wgmma,  ptx_opcodes_cluster,
    ptx_opcodes_registers, ptx_opcodes_mma,      ptx_opcodes_wmma,
};

static const struct {
    const char *name, *words;
} lists[] = {
    {"@round", "rn rz rm rp"},
    {"@compare", "eq ne lt le gt ge lo ls hi hs equ neu ltu leu gtu geu num nan"},
    {"@bool", "and or xor"},
    {"@space", "global shared shared::cta shared::cluster local param param::entry param::func "
               "const"},
    {"@cache", "ca cg cs lu cv wb wt nc L1::evict_normal L1::evict_unchanged L1::evict_first "
               "L1::evict_last L1::no_allocate L2::evict_normal L2::evict_first L2::evict_last "
               "L2::cache_hint L2::64B L2::128B L2::256B unified"},
    {"@order", "weak relaxed acquire release acq_rel sc volatile mmio"},
    {"@scope", "cta cluster gpu sys"},
    {"@int", "u16 s16 u32 s32 u64 s64"},
    {"@int32", "u32 s32"},
    {"@int64", "u64 s64"},
    {"@bits", "b16 b32 b64"},
    {"@half", "f16 f16x2 bf16 bf16x2"},
    {"@memory", "b8 u8 s8 b16 u16 s16 b32 u32 s32 f32 b64 u64 s64 f64"},
    {"@any", "b16 u16 s16 b32 u32 s32 f32 b64 u64 s64 f64"},
};

int ptx_opcode_allows(const char *list, const char *word, int length)
{
    while (*list) {
        const int here = (int)strcspn(list, " ");
        if (list[0] == '@') {
            for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
                if ((int)strlen(lists[i].name) == here &&
                    !strncmp(lists[i].name, list, (size_t)here) &&
                    ptx_opcode_allows(lists[i].words, word, length))
                    return 1;
        } else if (here == length && !strncmp(list, word, (size_t)length)) {
            return 1;
        }
        list += here + (list[here] == ' ');
    }
    return 0;
}

#define ROWS_MAX 1024

static const struct ptx_opcode *rows[ROWS_MAX + 1];
static int row_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

struct placed {
    const struct ptx_opcode *row;
    int place;
};

static int by_name(const void *a, const void *b)
{
    const struct placed *one = a, *other = b;
    const int names = strcmp(one->row->name, other->row->name);
    return names ? names : one->place - other->place;
}

static void gather(void)
{
    static struct placed placed[ROWS_MAX];
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (const struct ptx_opcode *row = families[f]; row->name && row_count < ROWS_MAX; row++) {
            placed[row_count] = (struct placed){row, row_count};
            row_count++;
        }
    qsort(placed, (size_t)row_count, sizeof *placed, by_name);
    for (int i = 0; i < row_count; i++)
        rows[i] = placed[i].row;
}

/* The first row of exactly that name. */
static const struct ptx_opcode *const *find(const char *name, int length)
{
    int low = 0, high = row_count;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (strncmp(rows[middle]->name, name, (size_t)length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < row_count && !strncmp(rows[low]->name, name, (size_t)length) &&
                   rows[low]->name[length] == '\0'
               ? &rows[low]
               : NULL;
}

const struct ptx_opcode *const *ptx_opcode_find(const char *text, int length, int *name_length)
{
    pthread_once(&once, gather);
    for (int end = length; end > 0; end--) {
        const struct ptx_opcode *const *found =
            end == length || text[end] == '.' ? find(text, end) : NULL;
        if (found) {
            *name_length = end;
            return found;
        }
    }
    return NULL;
}
