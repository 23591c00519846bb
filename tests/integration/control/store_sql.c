/* SPDX-License-Identifier: Apache-2.0 */
/* store_sql STATE: runs SQL, one statement a line of standard input, in the sealed store of a Dvara
 * that does not run. */
#include "base/file.h"
#include "store/store.h"

static dv_result run_all(dv_store *store, dv_error *error)
{
    char line[4096];
    DV_TRY(dv_store_begin(store, error));
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        DV_TRY(dv_store_run(store, error, line, ""));
    }
    return dv_store_commit(store, error);
}

int main(int argc, char **argv)
{
    char path[PATH_MAX];
    dv_error error = {0};
    dv_store *store = NULL;
    dv_auto(buf) dv_buf key = dv_buf_init(DV_STORE_KEY_LEN);
    if (argc != 2) {
        return 2;
    }
    snprintf(path, sizeof(path), "%s/keys/master.key", argv[1]);
    dv_result result = dv_file_read(path, &key, &error);
    if (result == DV_OK && key.len == DV_STORE_KEY_LEN) {
        snprintf(path, sizeof(path), "%s/dvara.db", argv[1]);
        result = dv_store_open(path, key.ptr, false, &store, &error);
    }
    if (result == DV_OK && store != NULL) {
        result = run_all(store, &error);
    }
    dv_store_close(store);
    if (result != DV_OK) {
        fprintf(stderr, "%s\n", error.message);
    }
    return result == DV_OK ? 0 : 1;
}
