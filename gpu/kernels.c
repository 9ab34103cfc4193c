/*
 * kernels.c - which kernel for which device: the table of what this build contains, searched.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/kernels.h"
#include "ref/moe.h"

int moe_gpu_arch_runs(const char *arch, int major, int minor)
{
    char *suffix;
    const long number = strtol(arch, &suffix, 10);
    if (number / 10 != major)
        return 0;
    return *suffix == 'a' ? number % 10 == minor : number % 10 <= minor;
}

const struct moe_kernel *moe_kernel_get(int index)
{
    return index >= 0 && index < kernel_row_count ? &kernel_rows[index].kernel : NULL;
}

/* The first row of that entry; kernel_row_count where there is none. */
static int first_row(const char *entry)
{
    int low = 0, high = kernel_row_count;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (strcmp(kernel_rows[middle].kernel.entry, entry) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < kernel_row_count && !strcmp(kernel_rows[low].kernel.entry, entry)
               ? low
               : kernel_row_count;
}

/* Of two architectures that both run: "90a" knows more of the device than "90", and that than "80".
 */
static int more_specific(const char *a, const char *b)
{
    char *suffix_a, *suffix_b;
    const long number_a = strtol(a, &suffix_a, 10), number_b = strtol(b, &suffix_b, 10);
    if ((*suffix_a == 'a') != (*suffix_b == 'a'))
        return *suffix_a == 'a';
    return number_a != number_b ? number_a > number_b : *suffix_a != '\0';
}

int kernel_find(const char *entry, int major, int minor, int *row)
{
    const int first = first_row(entry);
    char archs[64] = "";
    int best = -1;

    if (first == kernel_row_count)
        return moe_error(MOE_E_UNSUPPORTED, "no kernel '%s' in this build", entry);
    for (int i = first; i < kernel_row_count && !strcmp(kernel_rows[i].kernel.entry, entry); i++) {
        const char *arch = kernel_rows[i].kernel.arch;
        const size_t used = strlen(archs);
        snprintf(archs + used, sizeof archs - used, "%s%s", used ? "," : "", arch);
        if (moe_gpu_arch_runs(arch, major, minor) &&
            (best < 0 || more_specific(arch, kernel_rows[best].kernel.arch)))
            best = i;
    }
    if (best < 0)
        return moe_error(MOE_E_UNSUPPORTED, "no code for sm_%d%d of kernel '%s' in this build (%s)",
                         major, minor, entry, archs);
    *row = best;
    return MOE_OK;
}
