/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over files, folders of files, and every prefix of each, so that a corpus is
 * a unit test. Fails when there is nothing to run. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

enum { INPUT_MAX = 4 << 20, PREFIXES_MAX = 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of just that size, so that a tool sees a read past the end. */
static bool run_input(dv_slice input)
{
    uint8_t *copy = malloc(input.len == 0 ? 1 : input.len);
    if (copy == NULL) {
        return false;
    }
    if (input.len > 0) {
        memcpy(copy, input.ptr, input.len);
    }
    int result = LLVMFuzzerTestOneInput(copy, input.len);
    free(copy);
    return result == 0;
}

static bool run_file(const char *path, size_t *count)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(INPUT_MAX);
    dv_error error = {0};
    if (dv_file_read(path, &bytes, &error) != DV_OK) {
        fprintf(stderr, "replay: %s: %s\n", path, error.message);
        return false;
    }
    dv_slice whole = dv_buf_slice(&bytes);
    size_t step = whole.len / PREFIXES_MAX + 1;
    for (size_t len = 0; len < whole.len; len += step) {
        if (!run_input(dv_slice_sub(whole, 0, len))) {
            return false;
        }
    }
    ++*count;
    return run_input(whole);
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool run_folder(const char *path, size_t *count)
{
    struct dirent **entries;
    int found = scandir(path, &entries, not_hidden, alphasort);
    bool ok = found >= 0;
    for (int i = 0; i < found; i++) {
        char file[4096];
        int len = snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
        ok = ok && len > 0 && (size_t)len < sizeof(file) && run_file(file, count);
        free(entries[i]);
    }
    if (found >= 0) {
        free(entries);
    }
    return ok;
}

static bool run_path(const char *path, size_t *count)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return false;
    }
    return S_ISDIR(status.st_mode) ? run_folder(path, count) : run_file(path, count);
}

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        if (!run_path(argv[i], &count)) {
            return 1;
        }
    }
    printf("%zu inputs\n", count);
    return count == 0 ? 1 : 0;
}
