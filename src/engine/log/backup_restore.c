/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "base/file.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/archive_tar.h"
#include "engine/log/backup_private.h"
#include "engine/log/folder.h"
#include "engine/log/rotation.h"
#include "engine/log/sequencer.h"
#include "engine/log/subjects.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FOLDER_MODE = 0700,
    LOG_MODE = 0644,
    KEY_MODE = 0600,
    COPY = 64 << 10,
    FILES_MAX = 1 << 24, /* in one backup */
    LINE_MAX_LEN = 1024,
};

typedef struct restoring {
    const dv_backup_open *open;
    char part[PATH_MAX]; /* where it is unpacked: a folder in the state directory */
    int fd;              /* of the backup */
    uint64_t at, size;   /* bytes of it that were read, that there are */
    dv_age_reader *age;
    dv_tar_reader *tar;
    bool own_subjects; /* keys of subjects come out of the backup */
    dv_backup_report report;
    dv_error *error;
} restoring;

/* -- where its bytes come from ----------------------------------------------------------------- */

static dv_result from_file(void *data, uint8_t *out, size_t room, size_t *ret_len, dv_error *error)
{
    restoring *r = data;
    ssize_t got;
    do {
        got = read(r->fd, out, room);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return dv_error_set(error, DV_ERR_IO, "can not read the backup: %s", strerror(errno));
    }
    r->at += (uint64_t)got;
    *ret_len = (size_t)got;
    if (r->open->progress != NULL) {
        r->open->progress(r->open->data, DV_MIN(r->at, r->size), r->size);
    }
    return DV_OK;
}

static dv_result from_age(void *data, uint8_t *out, size_t room, size_t *ret_len, dv_error *error)
{
    const restoring *r = data;
    return dv_age_get(r->age, out, room, ret_len, error);
}

/* -- names ------------------------------------------------------------------------------------- */

static bool is_in(const char *name, const char *folder)
{
    return strncmp(name, folder, strlen(folder)) == 0;
}

/* -- unpacking --------------------------------------------------------------------------------- */

static dv_result copy_out(restoring *r, const char *name, int fd, uint64_t len)
{
    uint8_t bytes[COPY];
    dv_result result = DV_OK;
    while (len > 0 && result == DV_OK) {
        size_t some = (size_t)DV_MIN(len, (uint64_t)sizeof(bytes));
        result = dv_tar_get(r->tar, bytes, some, r->error);
        if (result == DV_OK && fd >= 0 && dv_fd_write_all(fd, dv_slice_of(bytes, some)) != DV_OK) {
            result = dv_error_set(
                r->error, errno == ENOSPC || errno == EDQUOT ? DV_ERR_UNAVAILABLE : DV_ERR_IO,
                "can not write %s: %s", name, strerror(errno));
        }
        len -= some;
    }
    dv_wipe(bytes, sizeof(bytes));
    return result;
}

/* Beside what the other sections hold, which no name of these can reach. */
static dv_result take_node_file(restoring *r, const char *name, uint64_t size)
{
    dv_auto(fd) int fd = -1;
    if (!r->report.node || !dv_backup_node_name_is(name)) {
        return dv_error_set(r->error, DV_ERR_CORRUPT, "it holds a file that is in no section");
    }
    DV_TRY(dv_folder_open(r->part, name, KEY_MODE, &fd, r->error));
    r->report.files++;
    r->report.bytes += size;
    return copy_out(r, name, fd, size);
}

static dv_result take_file(restoring *r, const char *name, uint64_t size)
{
    bool is_key = is_in(name, DV_BACKUP_KEYS);
    bool is_subjects = is_in(name, DV_BACKUP_SUBJECTS);
    dv_auto(fd) int fd = -1;
    if (is_in(name, DV_BACKUP_NODE)) {
        return take_node_file(r, name + strlen(DV_BACKUP_NODE), size);
    }
    if (!dv_backup_name_is(dv_slice_str(name)) || (!is_key && !is_in(name, DV_BACKUP_LOG))) {
        return dv_error_set(r->error, DV_ERR_CORRUPT, "it holds a file that is in no section");
    }
    bool is_root = is_subjects && dv_backup_is_root(name + strlen(DV_BACKUP_SUBJECTS));
    if (is_root && !r->report.subject_root) {
        return dv_error_set(r->error, DV_ERR_CORRUPT, "it holds a root that it does not name");
    }
    if (!is_subjects || (r->own_subjects && !(is_root && r->open->subjects != NULL))) {
        DV_TRY(dv_folder_open(r->part, name, is_key ? KEY_MODE : LOG_MODE, &fd, r->error));
    }
    r->report.files++;
    r->report.bytes += size;
    return copy_out(r, name, fd, size);
}

static dv_result decide_subjects(restoring *r)
{
    const dv_backup_open *open = r->open;
    bool root_given = open->subjects != NULL;
    if (root_given || open->without_subjects || r->report.subject_root) {
        r->own_subjects = !open->without_subjects;
        return DV_OK;
    }
    return dv_error_set(r->error, DV_ERR_INVALID,
                        "personal values in it can be read only with the newest copy of "
                        "STATE/keys/log/subjects, or of the file root.* in it: say where that is "
                        "(--subjects), or restore without them (--without-subjects)");
}

static dv_result take_manifest(restoring *r)
{
    uint64_t size;
    char name[DV_TAR_NAME_MAX + 1];
    dv_auto(buf) dv_buf text = dv_buf_init(DV_BACKUP_MANIFEST_MAX);
    dv_result result = dv_tar_next(r->tar, name, &size, r->error);
    if (result == DV_ERR_NOT_FOUND || (result == DV_OK && strcmp(name, DV_BACKUP_MANIFEST) != 0)) {
        return dv_error_set(r->error, DV_ERR_CORRUPT, "it is no backup of Dvara");
    }
    DV_TRY(result);
    DV_TRY(dv_tar_get_all(r->tar, &text, r->error));
    dv_backup_manifest manifest;
    DV_TRY(dv_backup_manifest_parse(dv_buf_slice(&text), &manifest, r->error));
    memcpy(r->report.made, manifest.made, sizeof(manifest.made));
    r->report.subject_root = manifest.subject_root;
    r->report.node = manifest.node;
    return decide_subjects(r);
}

static dv_result unpack(restoring *r)
{
    uint64_t size;
    char name[DV_TAR_NAME_MAX + 1];
    dv_age_source file = {.get = from_file, .data = r};
    dv_tar_source opened = {.get = from_age, .data = r};
    DV_TRY(dv_age_reader_new(r->open->lock, &file, &r->age, r->error));
    DV_TRY(dv_tar_reader_new(&opened, &r->tar));
    DV_TRY(take_manifest(r));
    for (uint64_t files = 0; files < FILES_MAX; files++) {
        dv_result result = dv_tar_next(r->tar, name, &size, r->error);
        if (result == DV_ERR_NOT_FOUND) {
            return DV_OK;
        }
        DV_TRY(result);
        DV_TRY(take_file(r, name, size));
    }
    return dv_error_set(r->error, DV_ERR_TOO_LARGE, "it holds more than %d files", FILES_MAX);
}

/* -- keys of subjects that are kept elsewhere -------------------------------------------------- */

typedef struct subject_folder {
    bool root, directory;
    char root_name[NAME_MAX + 1];
} subject_folder;

static dv_result look_at(const char *folder, subject_folder *ret_folder, dv_error *error)
{
    enum { ROOT_NAME_LEN = 5 + 16 }; /* "root." and its number */
    DIR *dir = opendir(folder);
    *ret_folder = (subject_folder){.root = false};
    if (dir == NULL) {
        return errno == ENOENT
                   ? DV_OK
                   : dv_error_set(error, DV_ERR_IO, "can not read %s: %s", folder, strerror(errno));
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (dv_backup_is_root(entry->d_name) && strcmp(entry->d_name, ret_folder->root_name) > 0) {
            ret_folder->root = true;
            snprintf(ret_folder->root_name, sizeof(ret_folder->root_name), "%s", entry->d_name);
        }
        ret_folder->directory = ret_folder->directory || dv_backup_is_directory(entry->d_name);
    }
    closedir(dir);
    return DV_OK;
}

static dv_result copy_in(restoring *r, const char *from, const char *name)
{
    enum { FILE_MAX = 4 << 20 };
    char path[PATH_MAX], member[PATH_MAX];
    dv_auto(secret_buf) dv_buf bytes = dv_buf_init(FILE_MAX);
    int a = snprintf(path, sizeof(path), "%s/%s", from, name);
    int b = snprintf(member, sizeof(member), DV_BACKUP_SUBJECTS "%s", name);
    if (a >= PATH_MAX || b >= PATH_MAX) {
        return dv_error_set(r->error, DV_ERR_TOO_LARGE, "the path %s is too long", from);
    }
    DV_TRY(dv_file_read(path, &bytes, r->error));
    return dv_folder_put(r->part, member, dv_buf_slice(&bytes), KEY_MODE, r->error);
}

static dv_result copy_all(restoring *r, const char *from)
{
    DIR *dir = opendir(from);
    dv_result result = DV_OK;
    if (dir == NULL) {
        return dv_error_set(r->error, DV_ERR_IO, "can not read %s: %s", from, strerror(errno));
    }
    for (struct dirent *entry = readdir(dir); entry != NULL && result == DV_OK;
         entry = readdir(dir)) {
        if (dv_backup_name_is(dv_slice_str(entry->d_name))) {
            result = copy_in(r, from, entry->d_name);
        }
    }
    closedir(dir);
    return result;
}

/* A root opens the directory of its own number alone: each erasure makes the next one. */
static dv_result check_epoch(restoring *r, const char *root)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/" DV_BACKUP_SUBJECTS "directory%s", r->part,
                       strchr(root, '.'));
    return len < PATH_MAX && access(path, F_OK) == 0
               ? DV_OK
               : dv_error_set(r->error, DV_ERR_CONFLICT,
                              "%s does not open the keys in this backup: somebody was erased "
                              "since. Give a copy of the whole folder STATE/keys/log/subjects that "
                              "is as new as the root, or restore --without-subjects",
                              root);
}

static dv_result bring_subjects(restoring *r)
{
    subject_folder there;
    const char *from = r->open->subjects;
    if (from == NULL || r->open->without_subjects) {
        return DV_OK;
    }
    DV_TRY(look_at(from, &there, r->error));
    if (!there.root) {
        return dv_error_set(r->error, DV_ERR_NOT_FOUND, "there is no file root.* in %s", from);
    }
    if (!there.directory) {
        DV_TRY(check_epoch(r, there.root_name));
        return copy_in(r, from, there.root_name);
    }
    char own[PATH_MAX];
    int len = snprintf(own, sizeof(own), "%s/" DV_BACKUP_SUBJECTS, r->part);
    if (len < 0 || len >= PATH_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_folder_remove(own); /* the newer ones take the place of all of them */
    return copy_all(r, from);
}

static dv_result check_subjects(restoring *r)
{
    char path[PATH_MAX];
    dv_error detail = {0};
    dv_subjects *subjects;
    if (r->open->without_subjects) {
        return DV_OK;
    }
    int len = snprintf(path, sizeof(path), "%s/keys/log/subjects", r->part);
    if (len < 0 || len >= PATH_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_result result = dv_subjects_open(path, &subjects, &detail);
    if (result != DV_OK) {
        return dv_error_set(r->error, result, "the keys of subjects do not open: %s",
                            detail.message);
    }
    dv_subjects_close(subjects);
    return DV_OK;
}

/* -- verifying --------------------------------------------------------------------------------- */

static dv_result read_line(restoring *r, const char *name, dv_buf *out)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", r->part, name);
    if (len < 0 || len >= PATH_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_result result = dv_file_read(path, out, r->error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(r->error, DV_ERR_CORRUPT, "it holds no %s", name);
    }
    out->len = dv_slice_trim(dv_buf_slice(out)).len;
    return result;
}

/* The key that came with the log must be the one that signs it. */
static dv_result check_signing_key(restoring *r, const char *log)
{
    uint8_t seed[32], public_key[32];
    dv_note_verifier key;
    dv_auto(secret_buf) dv_buf hex = dv_buf_init(LINE_MAX_LEN);
    DV_TRY(read_line(r, DV_BACKUP_KEYS "signing", &hex));
    DV_TRY(dv_tiles_vkey(log, &key, r->error));
    dv_result result = dv_hex_decode(dv_buf_slice(&hex), seed, sizeof(seed));
    if (result == DV_OK) {
        result = dv_ed25519_public(seed, public_key);
    }
    dv_wipe(seed, sizeof(seed));
    return result == DV_OK && memcmp(public_key, key.public_key, sizeof(public_key)) == 0
               ? DV_OK
               : dv_error_set(r->error, DV_ERR_CORRUPT,
                              "its signing key is not the one that signs its log");
}

static dv_result verify_log(restoring *r)
{
    char log[PATH_MAX];
    size_t steps;
    dv_log_report report;
    dv_note_verifier key;
    const dv_note_verifier *wanted = r->open->key;
    int len = snprintf(log, sizeof(log), "%s/log", r->part);
    if (len < 0 || len >= PATH_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    if (wanted != NULL) {
        bool leads = dv_rotation_follow(log, wanted, &key, &steps, NULL) == DV_OK;
        key = leads ? key : *wanted;
        wanted = &key;
    }
    dv_result result = dv_log_verify(log, wanted, NULL, NULL, &report);
    if (result != DV_OK) {
        return dv_error_set(r->error, result == DV_ERR_NOT_FOUND ? DV_ERR_CORRUPT : result,
                            "its log does not verify: %s", report.problem);
    }
    memcpy(r->report.origin, report.origin, sizeof(report.origin));
    r->report.size = report.size;
    r->report.logs = report.logs;
    return check_signing_key(r, log);
}

/* -- into the state ---------------------------------------------------------------------------- */

static dv_result check_empty(const char *state_dir, dv_error *error)
{
    size_t count = 0;
    DIR *dir = opendir(state_dir);
    if (dir == NULL) {
        return dv_error_set(error, DV_ERR_IO, "can not read %s: %s", state_dir, strerror(errno));
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(dir);
    return count == 0 ? DV_OK
                      : dv_error_set(error, DV_ERR_EXISTS,
                                     "%s is not empty: a backup is restored into an empty state "
                                     "directory alone",
                                     state_dir);
}

static dv_result move(restoring *r, const char *name)
{
    char from[PATH_MAX], to[PATH_MAX];
    int a = snprintf(from, sizeof(from), "%s/%s", r->part, name);
    int b = snprintf(to, sizeof(to), "%s/%s", r->open->state_dir, name);
    if (a >= PATH_MAX || b >= PATH_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    return dv_folder_finish(from, to, r->error);
}

static void take_away(const restoring *r, const char *name)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", r->open->state_dir, name);
    if (len > 0 && len < PATH_MAX) {
        dv_folder_remove(path);
    }
}

/* The log first: dvara-logd refuses one without its keys, but would begin another with keys that
 * have none. */
/* The directory was empty: what is in it now is of this restore. */
static void take_all_away(const restoring *r)
{
    DIR *dir = opendir(r->open->state_dir);
    for (struct dirent *entry = dir == NULL ? NULL : readdir(dir); entry != NULL;
         entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            take_away(r, entry->d_name);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

/* The node's: the keys are there by now, without which its database is of no use. */
static dv_result move_rest(restoring *r)
{
    DIR *dir = opendir(r->part);
    dv_result result = DV_OK;
    if (dir == NULL) {
        return dv_error_set(r->error, DV_ERR_IO, "can not read %s: %s", r->part, strerror(errno));
    }
    for (struct dirent *entry = readdir(dir); entry != NULL && result == DV_OK;
         entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            result = move(r, entry->d_name);
        }
    }
    closedir(dir);
    return result;
}

static dv_result put_in_place(restoring *r)
{
    DV_TRY(dv_folder_sync(r->part, r->error));
    dv_result result = move(r, "log");
    if (result == DV_OK) {
        result = move(r, "keys");
    }
    if (result == DV_OK) {
        result = move_rest(r);
    }
    if (result != DV_OK) {
        take_all_away(r);
        return result;
    }
    dv_folder_remove(r->part);
    return DV_OK;
}

static dv_result ask_check(restoring *r)
{
    return r->open->check == NULL
               ? DV_OK
               : r->open->check(r->open->check_data, r->part, r->report.node, r->error);
}

static dv_result restore(restoring *r)
{
    char wanted[PATH_MAX];
    DV_TRY(dv_dir_make(r->open->state_dir, FOLDER_MODE, r->error));
    DV_TRY(check_empty(r->open->state_dir, r->error));
    int len = snprintf(wanted, sizeof(wanted), "%s/.restore", r->open->state_dir);
    if (len < 0 || len >= PATH_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(dv_folder_begin(wanted, FOLDER_MODE, r->part, r->error));
    dv_result (*const steps[])(restoring *) = {unpack,         verify_log, bring_subjects,
                                               check_subjects, ask_check,  put_in_place};
    dv_result result = DV_OK;
    for (size_t i = 0; i < DV_ARRAY_LEN(steps) && result == DV_OK; i++) {
        result = steps[i](r);
    }
    if (result != DV_OK) {
        dv_folder_remove(r->part);
    }
    return result;
}

static void restoring_free(restoring *r)
{
    dv_tar_reader_free(r->tar);
    dv_age_reader_free(r->age);
    dv_fd_close(&r->fd);
    free(r);
}
DV_DEFINE_AUTO_PTR(restoring, restoring, restoring_free)

dv_result dv_backup_restore(const dv_backup_open *open_how, const char *path,
                            dv_backup_report *ret_report, dv_error *error)
{
    struct stat about;
    dv_error unread = {0};
    dv_auto(restoring) restoring *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    r->open = open_how;
    r->error = error != NULL ? error : &unread;
    r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (r->fd < 0 || fstat(r->fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        return dv_error_set(r->error, r->fd < 0 && errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO,
                            "%s can not be read, or is no file", path);
    }
    r->size = (uint64_t)about.st_size;
    DV_TRY(restore(r));
    *ret_report = r->report;
    return DV_OK;
}
