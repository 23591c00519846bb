/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/backup_node.h"

#include "base/file.h"
#include "cli/client.h"
#include "daemon/supervisor_layout.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DATABASE "dvara.db"
#define DATABASE_LOG "dvara.db-wal" /* of SQLite */
#define SETTINGS "dvara.yaml"

static dv_result join(const char *folder, const char *name, char out[PATH_MAX], dv_error *error)
{
    return dv_path_join(folder, name, out) == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
}

/* -- files ------------------------------------------------------------------------------------- */

void dv_node_files_close(dv_node_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        dv_fd_close(&files->list[i].fd);
    }
    files->count = 0;
    dv_fd_close(&files->lock);
}

/* Takes the file along under that name. Errors: DV_ERR_NOT_FOUND. */
static dv_result add(dv_node_files *files, const char *path, const char *name, dv_error *error)
{
    struct stat about;
    if (files->count == DV_NODE_FILES_MAX || strlen(name) >= DV_NODE_NAME_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "%s does not fit: too many files", path);
    }
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &about) != 0) {
        return dv_error_set(error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO,
                            "can not read %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(about.st_mode)) {
        return dv_error_set(error, DV_ERR_INVALID, "%s is no file", path);
    }
    char *kept = files->names[files->count];
    snprintf(kept, DV_NODE_NAME_MAX, "%s", name);
    files->list[files->count++] = (dv_backup_file){kept, fd};
    fd = -1;
    return DV_OK;
}

static dv_result add_optional(dv_node_files *files, const char *folder, const char *file,
                              const char *name, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(join(folder, file, path, error));
    dv_result result = add(files, path, name, error);
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* All files of STATE/keys, for example; what begins with '.' was not finished. */
static dv_result add_folder(dv_node_files *files, const char *state, const char *folder,
                            dv_error *error)
{
    char path[PATH_MAX], name[PATH_MAX];
    struct stat about;
    dv_result result = DV_OK;
    DV_TRY(join(state, folder, path, error));
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return errno == ENOENT
                   ? DV_OK
                   : dv_error_set(error, DV_ERR_IO, "can not read %s: %s", path, strerror(errno));
    }
    for (struct dirent *entry = readdir(dir); entry != NULL && result == DV_OK;
         entry = readdir(dir)) {
        if (entry->d_name[0] != '.' &&
            fstatat(dirfd(dir), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(about.st_mode) && dv_path_join(folder, entry->d_name, name) == DV_OK) {
            result = add_optional(files, state, name, name, error);
        }
    }
    closedir(dir);
    return result;
}

/* -- the database ------------------------------------------------------------------------------ */

/* Whether somebody answers at STATE/runtime/control.sock. */
static bool is_running(const char *state)
{
    char runtime[PATH_MAX];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    dv_auto(fd) int folder = -1;
    dv_auto(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (dv_path_join(state, "runtime", runtime) == DV_OK) {
        folder = open(runtime, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control.sock", folder);
    return folder >= 0 && fd >= 0 &&
           connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

/* Entries of all logs. */
static uint64_t log_size(const char *state_dir)
{
    char folder[PATH_MAX];
    uint64_t size = 0;
    dv_auto(free) dv_log_state *state = calloc(1, sizeof(*state));
    if (state != NULL && dv_path_join(state_dir, "log", folder) == DV_OK &&
        dv_log_state_load(folder, state, NULL) == DV_OK) {
        for (size_t i = 0; i < state->tree_count; i++) {
            size += state->trees[i].size;
        }
    }
    return size;
}

/* dvarad's events come into the log in their order, and that of its copying is the last one. Where
 * no dvara-logd runs, the backup does without. */
static void wait_for_log(const char *state, uint64_t before)
{
    enum { TRIES = 100 };
    static const struct timespec pause = {0, 20000000};
    for (int i = 0; i < TRIES && log_size(state) <= before; i++) {
        nanosleep(&pause, NULL);
    }
}

/* This machine's Dvara, whatever --url says: the rest of a backup is of its files. */
static dv_result ask_for_copy(const dv_cli *cli, dv_error *error)
{
    json_t *answer = NULL;
    dv_cli local = *cli;
    local.url = NULL;
    local.client = NULL;
    dv_result result = dv_cli_call(&local, "store_copy", NULL, NULL, &answer, error);
    json_decref(answer);
    if (local.client != NULL) {
        dv_client_close(local.client);
    }
    return result;
}

static dv_result add_copy(dv_cli *cli, dv_node_files *files, dv_error *error)
{
    char path[PATH_MAX];
    uint64_t before = log_size(cli->state_dir);
    DV_TRY(dv_store_copy_path(cli->state_dir, path));
    DV_TRY(ask_for_copy(cli, error));
    dv_result result = add(files, path, DATABASE, error);
    (void)unlink(path);
    wait_for_log(cli->state_dir, before);
    return result;
}

/* The lock of `dvara up`, which does not start as long as it is held. */
static dv_result add_resting(const char *state, dv_node_files *files, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(join(state, "lock", path, error));
    files->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (files->lock < 0 || flock(files->lock, LOCK_EX | LOCK_NB) != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "Dvara runs on %s and does not answer: try again, or end it with "
                            "`dvara down`",
                            state);
    }
    DV_TRY(add_optional(files, state, DATABASE, DATABASE, error));
    return add_optional(files, state, DATABASE_LOG, DATABASE_LOG, error);
}

/* The file that is in force, or the one that would be. */
static dv_result add_settings(const char *state, bool running, dv_node_files *files,
                              dv_error *error)
{
    size_t before = files->count;
    static const char *const places[] = {"runtime/" SETTINGS, SETTINGS};
    for (size_t i = 0; i < DV_ARRAY_LEN(places) && files->count == before; i++) {
        const char *place = places[running ? i : 1 - i];
        DV_TRY(add_optional(files, state, place, SETTINGS, error));
    }
    return DV_OK;
}

dv_result dv_node_files_open(dv_cli *cli, dv_node_files *ret_files, dv_error *error)
{
    char path[PATH_MAX];
    const char *state = cli->state_dir;
    DV_TRY(join(state, DATABASE, path, error));
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        return DV_OK;
    }
    bool running = is_running(state);
    DV_TRY(running ? add_copy(cli, ret_files, error) : add_resting(state, ret_files, error));
    DV_TRY(add_settings(state, running, ret_files, error));
    DV_TRY(add_folder(ret_files, state, "keys", error));
    DV_TRY(add_folder(ret_files, state, "keystore", error)); /* `dvara up` hands it over */
    return add_folder(ret_files, state, "tls", error);
}

/* -- what comes back --------------------------------------------------------------------------- */

/* Nothing else gets into a state directory, whoever sealed the backup. */
static dv_result check_names(const char *folder, dv_error *error)
{
    static const char *const known[] = {"log",    "keys",       "keystore", "tls",
                                        DATABASE, DATABASE_LOG, SETTINGS};
    dv_result result = DV_OK;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return dv_error_set(error, DV_ERR_IO, "can not read %s: %s", folder, strerror(errno));
    }
    for (struct dirent *entry = readdir(dir); entry != NULL && result == DV_OK;
         entry = readdir(dir)) {
        bool is = entry->d_name[0] == '.';
        for (size_t i = 0; i < DV_ARRAY_LEN(known); i++) {
            is = is || strcmp(entry->d_name, known[i]) == 0;
        }
        result = is ? DV_OK
                    : dv_error_set(error, DV_ERR_CORRUPT, "it holds %.100s, which no backup has",
                                   entry->d_name);
    }
    closedir(dir);
    return result;
}

/* A backup of a version that did not seal its store has a plain one, and says nothing of seals. */
static dv_result check_database(const char *folder, dv_error *error)
{
    char path[PATH_MAX];
    dv_error detail = {0};
    dv_auto(secret_buf) dv_buf key = dv_buf_init(DV_STORE_KEY_LEN);
    DV_TRY(join(folder, "keys/master.key", path, error));
    DV_TRY(dv_buf_reserve(&key, DV_STORE_KEY_LEN));
    if (dv_file_read(path, &key, &detail) != DV_OK || key.len != DV_STORE_KEY_LEN) {
        return dv_error_set(error, DV_ERR_CORRUPT, "its keys/master.key is no key");
    }
    DV_TRY(join(folder, "keys/store.sealed", path, error));
    bool adopt = access(path, F_OK) != 0;
    DV_TRY(join(folder, DATABASE, path, error));
    dv_result result = dv_store_check(path, key.ptr, adopt, &detail);
    return result == DV_OK
               ? DV_OK
               : dv_error_set(error, result, "its database can not be used: %s", detail.message);
}

static dv_result check_files(const char *folder, dv_error *error)
{
    static const char *const needed[] = {DATABASE, "keys/pepper", "keys/master.key"};
    char path[PATH_MAX];
    for (size_t i = 0; i < DV_ARRAY_LEN(needed); i++) {
        DV_TRY(join(folder, needed[i], path, error));
        if (access(path, F_OK) != 0) {
            return dv_error_set(error, DV_ERR_CORRUPT, "it holds no %s", needed[i]);
        }
    }
    return check_database(folder, error);
}

static uid_t new_uid;
static gid_t new_gid;

/* What is not ours any more, or has a second name, is somebody else's doing. */
static int give(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    bool ours = about->st_uid == 0 &&
                (S_ISDIR(about->st_mode) || (S_ISREG(about->st_mode) && about->st_nlink == 1));
    return ours && lchown(path, new_uid, new_gid) == 0 ? 0 : -1;
}

static dv_result give_all(const char *folder, const char *name, const dv_account *account,
                          dv_error *error)
{
    enum { OPEN = 16 };
    char path[PATH_MAX];
    DV_TRY(join(folder, name, path, error));
    if (access(path, F_OK) != 0) {
        return DV_OK;
    }
    new_uid = account->uid;
    new_gid = account->gid;
    return nftw(path, give, OPEN, FTW_PHYS) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "can not hand over %s", path);
}

/* To dvarad and dvara-logd, which run under users of their own when root starts them. */
static dv_result hand_over(const char *state, const char *folder, dv_error *error)
{
    dv_layout layout;
    DV_TRY(dv_layout_find(state, false, &layout, error));
    if (!layout.separate) {
        return DV_OK;
    }
    DV_TRY(give_all(folder, DATABASE, &layout.control, error));
    DV_TRY(give_all(folder, "log", &layout.log, error));
    DV_TRY(give_all(folder, "keys/log", &layout.log, error));
    char path[PATH_MAX];
    DV_TRY(join(folder, "keys", path, error));
    dv_result result = DV_OK;
    DIR *dir = opendir(path);
    for (struct dirent *entry = dir == NULL ? NULL : readdir(dir); entry != NULL && result == DV_OK;
         entry = readdir(dir)) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "log") != 0) {
            result = give_all(path, entry->d_name, &layout.control, error);
        }
    }
    if (dir == NULL) {
        return dv_error_set(error, DV_ERR_IO, "can not read %s: %s", path, strerror(errno));
    }
    closedir(dir);
    return result == DV_OK && lchown(path, layout.control.uid, layout.control.gid) != 0
               ? dv_error_set(error, DV_ERR_IO, "can not hand over %s", path)
               : result;
}

dv_result dv_node_check(void *data, const char *folder, bool node, dv_error *error)
{
    const dv_cli *cli = data;
    if (node) {
        DV_TRY(check_names(folder, error));
        DV_TRY(check_files(folder, error));
    }
    return geteuid() == 0 ? hand_over(cli->state_dir, folder, error) : DV_OK;
}
