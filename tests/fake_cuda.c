/*
 * fake_cuda.c - a libcuda that fails as it is told, for probe.sh.
 *
 * FAKE_CUDA is "init version count capability", such as "0 13000 1 90": what cuInit returns, the
 * driver's version, the number of devices and their capability times ten.
 */
#include <stdio.h>
#include <stdlib.h>

struct fake {
    int init, version, count, capability;
};

static struct fake fake(void)
{
    struct fake f = {0};
    const char *text = getenv("FAKE_CUDA");
    if (!text || sscanf(text, "%d %d %d %d", &f.init, &f.version, &f.count, &f.capability) != 4)
        f.init = -1;
    return f;
}

int cuInit(unsigned flags);
int cuDriverGetVersion(int *version);
int cuDeviceGetCount(int *count);
int cuDeviceGet(int *device, int ordinal);
int cuDeviceGetName(char *name, int size, int device);
int cuDeviceGetAttribute(int *value, int attribute, int device);

int cuInit(unsigned flags)
{
    return flags ? 1 : fake().init;
}

int cuDriverGetVersion(int *version)
{
    *version = fake().version;
    return 0;
}

int cuDeviceGetCount(int *count)
{
    *count = fake().count;
    return 0;
}

int cuDeviceGet(int *device, int ordinal)
{
    *device = 7 + ordinal; /* a handle is not an ordinal */
    return ordinal < fake().count ? 0 : 101;
}

int cuDeviceGetName(char *name, int size, int device)
{
    snprintf(name, (size_t)size, "Fake %d", device);
    return 0;
}

/* 75 and 76 are the capability's major and minor. */
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    *value = attribute == 75 ? fake().capability / 10 : fake().capability % 10;
    return device >= 7 && (attribute == 75 || attribute == 76) ? 0 : 1;
}
