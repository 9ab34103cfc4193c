/*
 * replay.c - runs a libFuzzer harness over files, without libFuzzer: what fuzzing once found is
 * tried by every `make check`, with any compiler. Folders are read one level deep.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Seeds are small; what is longer is cut. */
enum { MOST = 1 << 20 };

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(MOST);
    size_t size = 0;
    if (file != NULL && data != NULL)
        size = fread(data, 1, MOST, file);
    if (file == NULL || data == NULL || ferror(file)) {
        perror(path);
        exit(99);
    }
    /* Named before it runs: a crash has its input on the last line. */
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    fclose(file);
    return 1;
}

static int replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    int files = 0;
    if (folder == NULL) {
        perror(path);
        exit(99);
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        files += replay_file(name);
    }
    closedir(folder);
    return files;
}

int main(int count, char **paths)
{
    int files = 0;
    for (int i = 1; i < count; i++) {
        struct stat status;
        const int is_folder = stat(paths[i], &status) == 0 && S_ISDIR(status.st_mode);
        files += is_folder ? replay_folder(paths[i]) : replay_file(paths[i]);
    }
    printf("%d inputs\n", files);
    return files > 0 ? 0 : 99;
}
