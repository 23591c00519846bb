/* SPDX-License-Identifier: Apache-2.0 */
/* A store's files as somebody left them: first the kind (even: the database, odd: its log), then
 * its bytes. Whatever they are, no page of them opens, and SQLite gets an error or an end. A page
 * that was written there comes back. */
#include "store/sealed_file.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PAGE = DV_SEALED_PAGE, LOG_HEAD = 32, FRAME_HEAD = 24, FRAME = PAGE + FRAME_HEAD };

static const uint8_t key[DV_SEALED_KEY_LEN] = "fuzz";

static sqlite3_file *open_file(sqlite3_vfs *vfs, const char *name, bool is_log)
{
    sqlite3_file *file = calloc(1, (size_t)vfs->szOsFile);
    int kind = is_log ? SQLITE_OPEN_WAL : SQLITE_OPEN_MAIN_DB;
    if (file == NULL || vfs->xOpen(vfs, name, file, SQLITE_OPEN_READWRITE | kind, NULL) != 0) {
        abort();
    }
    return file;
}

static void read_all(sqlite3_file *file, int64_t size, bool is_log)
{
    uint8_t bytes[FRAME];
    const sqlite3_io_methods *m = file->pMethods;
    int64_t begin = is_log ? LOG_HEAD : 0, step = is_log ? FRAME : PAGE;
    for (int64_t at = begin; at < size; at += step) {
        if (m->xRead(file, bytes, PAGE, at + (is_log ? FRAME_HEAD : 0)) == SQLITE_OK) {
            abort(); /* nobody has the key */
        }
        (void)m->xRead(file, bytes, FRAME, at);
        (void)m->xRead(file, bytes, 8, at + 16);
    }
    (void)m->xRead(file, bytes, 100, 0);
}

static void write_and_read(sqlite3_file *file, bool is_log)
{
    uint8_t page[PAGE] = {1, 2, 3}, back[PAGE];
    const sqlite3_io_methods *m = file->pMethods;
    int64_t at = is_log ? LOG_HEAD + FRAME_HEAD : 0;
    static const uint8_t head[LOG_HEAD];
    bool ok = !is_log || (m->xWrite(file, head, LOG_HEAD, 0) == SQLITE_OK &&
                          m->xWrite(file, head, FRAME_HEAD, LOG_HEAD) == SQLITE_OK);
    if (!ok || m->xWrite(file, page, PAGE, at) != SQLITE_OK ||
        m->xRead(file, back, PAGE, at) != SQLITE_OK || memcmp(page, back, PAGE) != 0) {
        abort();
    }
}

static void put(const char *path, const uint8_t *bytes, size_t len)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(bytes, 1, len, file) != len || fclose(file) != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char database[] = "/tmp/dvarafuzzXXXXXX", path[sizeof(database) + 4]; /* SQLite looks for '-' */
    dv_sealed_files *files;
    int fd = size == 0 ? -1 : mkstemp(database);
    if (fd < 0) {
        return 0;
    }
    bool is_log = data[0] % 2 == 1;
    snprintf(path, sizeof(path), "%s%s", database, is_log ? "-wal" : "");
    put(path, data + 1, size - 1);
    if (dv_sealed_files_new(key, &files) != DV_OK) {
        abort();
    }
    const char *name = sqlite3_create_filename(path, "", "", 0, NULL);
    sqlite3_file *file = open_file(sqlite3_vfs_find(dv_sealed_files_name(files)), name, is_log);
    read_all(file, (int64_t)size - 1, is_log);
    write_and_read(file, is_log);
    file->pMethods->xClose(file);
    free(file);
    sqlite3_free_filename((char *)(uintptr_t)name);
    dv_sealed_files_free(files);
    close(fd);
    unlink(path);
    unlink(database);
    return 0;
}
