/* SPDX-License-Identifier: Apache-2.0 */
/* Removing entries: the file is written anew beside the old one, and takes its name. The lock of
 * the vault is held until then, and the new file is locked before it has the name and until that
 * is on the disk, so that no writer comes in between. */
#include "engine/detect/action/vault_file.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { ACL_MAX = 4096 }; /* bytes of an access list */

static const char anew_ending[] = ".dvara-new";

static dv_result anew_path(const dv_vault *v, char out[PATH_MAX])
{
    int len = snprintf(out, PATH_MAX, "%s%s", v->path, anew_ending);
    return len > 0 && len < PATH_MAX ? DV_OK : DV_ERR_TOO_LARGE;
}

void dv_vault_rewrite_forget(const dv_vault *v)
{
    char path[PATH_MAX];
    if (anew_path(v, path) == DV_OK) {
        (void)unlink(path);
    }
}

/* A folder that may not be read can't be synced by this writer. */
dv_result dv_vault_rewrite_settle(const dv_vault *v, dv_error *error)
{
    return v->removal_count == 0 || dv_file_sync_folder(v->path) == DV_OK || errno == EACCES
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "the folder of %s: %s", v->path, strerror(errno));
}

/* -- removals ---------------------------------------------------------------------------------- */

dv_result dv_vault_removal_keep(dv_vault *v, const dv_vault_removal *removal)
{
    if (v->removals == NULL) {
        v->removals = calloc(DV_VAULT_REMOVALS_MAX, sizeof(*v->removals));
        DV_TRY(v->removals == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    }
    if (v->removal_count == DV_VAULT_REMOVALS_MAX) {
        v->removal_count--;
        memmove(v->removals, v->removals + 1, v->removal_count * sizeof(*v->removals));
    }
    v->removals[v->removal_count++] = *removal;
    return DV_OK;
}

const dv_vault_removal *dv_vault_last_removal(const dv_vault *v)
{
    static const dv_vault_removal never = {.run = ""};
    return v->removal_count > 0 ? &v->removals[v->removal_count - 1] : &never;
}

/* Whether all that there ever were are told, or all since then. */
static bool remembers(const dv_vault *v, dv_time since)
{
    if (v->removal_count == 0) {
        return true;
    }
    bool all = v->removal_count < DV_VAULT_REMOVALS_MAX && !v->removals[0].alone;
    return all || v->removals[0].at < since;
}

dv_vault_word dv_vault_ask(const dv_vault *v, const char *run, dv_time began,
                           const dv_vault_removal **ret_removal)
{
    *ret_removal = NULL;
    for (size_t i = 0; i < v->removal_count; i++) {
        if (strcmp(v->removals[i].run, run) == 0) {
            *ret_removal = &v->removals[i];
            return DV_VAULT_SAYS_YES;
        }
    }
    return remembers(v, began) ? DV_VAULT_SAYS_NO : DV_VAULT_SAYS_NOTHING;
}

/* -- each entry -------------------------------------------------------------------------------- */

static void count(dv_vault_tally *tally, bool goes, dv_time made)
{
    tally->going += goes;
    tally->left += !goes;
    if (goes && made != 0) {
        tally->oldest = tally->oldest == 0 ? made : DV_MIN(tally->oldest, made);
        tally->newest = DV_MAX(tally->newest, made);
    }
}

typedef struct sweep {
    dv_vault_goes goes;
    const void *data;
    dv_vault *anew; /* takes what stays, or NULL */
    dv_vault_tally tally;
    uint64_t at; /* the record that is looked at */
} sweep;

static dv_result keep(sweep *s, const dv_vault *v)
{
    dv_buf_clear(&s->anew->record);
    DV_TRY(dv_buf_append(&s->anew->record, dv_buf_slice(&v->record)));
    return dv_vault_record_append(s->anew);
}

/* Its time counts only once its seal was opened. */
static dv_result take_entry(sweep *s, dv_vault *v, dv_buf *value)
{
    char token[DV_VAULT_TOKEN_LEN] = "dvt_";
    dv_time made = 0;
    dv_buf_clear(value);
    DV_TRY(dv_vault_record_open(v, value, &made));
    memcpy(token + 4, v->record.ptr + 4 + DV_VAULT_INDEX_LEN, DV_VAULT_TAIL_LEN);
    made = dv_vault_record_kind(v) == DV_VAULT_UNTIMED ? v->since : made;
    bool goes = s->goes(s->data, dv_slice_of(token, sizeof(token)), made);
    count(&s->tally, goes, made);
    return goes || s->anew == NULL ? DV_OK : keep(s, v);
}

/* In their order. */
static dv_result take_entries(sweep *s, dv_vault *v)
{
    dv_auto(secret_buf) dv_buf value = dv_buf_init(DV_VAULT_SEALED_MAX);
    dv_auto(free) uint8_t *bytes = malloc(DV_VAULT_WINDOW_LEN);
    dv_vault_window w = {.bytes = bytes};
    if (bytes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 1; i < v->count; i++) {
        s->at = v->entries[i].offset;
        dv_result result = dv_vault_record_read(v, &w, s->at);
        DV_TRY(result == DV_ERR_NOT_FOUND ? DV_ERR_CORRUPT : result);
        DV_TRY(take_entry(s, v, &value));
    }
    return DV_OK;
}

static dv_result swept(const sweep *s, const dv_vault *v, dv_result result, dv_error *error)
{
    if (result == DV_OK || result == DV_ERR_NO_MEMORY) {
        return result;
    }
    return result == DV_ERR_CORRUPT
               ? dv_error_set(error, result,
                              "%s is damaged at byte %llu: take a copy of it that is whole",
                              v->path, (unsigned long long)s->at)
               : dv_error_set(error, result, "%s can't be written anew: %s", v->path,
                              result == DV_ERR_IO ? strerror(errno) : dv_result_name(result));
}

dv_result dv_vault_count_going(dv_vault *v, dv_vault_goes goes, const void *data,
                               dv_vault_tally *ret_tally, dv_error *error)
{
    sweep s = {.goes = goes, .data = data};
    DV_TRY(swept(&s, v, take_entries(&s, v), error));
    *ret_tally = s.tally;
    return DV_OK;
}

/* -- the new file ------------------------------------------------------------------------------ */

/* What somebody put in its place meanwhile is not replaced unseen; and under a second name all of
 * the vault would stay. */
static dv_result check_place(const dv_vault *v, dv_error *error)
{
    struct stat about;
    if (!dv_vault_is_at(v->fd, v->path) || fstat(v->fd, &about) != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "%s is another file by now, and was left as it is", v->path);
    }
    return about.st_nlink == 1
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT,
                              "%s has other names (hard links), under which all of it would stay: "
                              "remove those first",
                              v->path);
}

/* Without it the mode's group bits, which were a mask, would be the group's; and where the vault
 * has none, that of the folder would let others in. */
static dv_result copy_acl(int from, int to)
{
    static const char name[] = "system.posix_acl_access";
    uint8_t acl[ACL_MAX];
    ssize_t len = fgetxattr(from, name, acl, sizeof(acl));
    if (len > 0) {
        return fsetxattr(to, name, acl, (size_t)len, 0) == 0 ? DV_OK : DV_ERR_IO;
    }
    bool none = len == 0 || errno == ENODATA || errno == EOPNOTSUPP;
    return none && (fremovexattr(to, name) == 0 || errno == ENODATA || errno == EOPNOTSUPP)
               ? DV_OK
               : DV_ERR_IO;
}

/* Whoever may read the vault may read it after, and nobody else: dvarad is another user. */
static dv_result dress(const dv_vault *v, int fd)
{
    struct stat old, own;
    if (fstat(v->fd, &old) != 0 || fstat(fd, &own) != 0) {
        return DV_ERR_IO;
    }
    bool other = old.st_uid != own.st_uid || old.st_gid != own.st_gid;
    return (!other || fchown(fd, old.st_uid, old.st_gid) == 0) && copy_acl(v->fd, fd) == DV_OK &&
                   fchmod(fd, old.st_mode & 07777) == 0
               ? DV_OK
               : DV_ERR_IO;
}

/* With the keys of the vault, which outlives it. */
static dv_result open_anew(dv_vault *v, const char *path, dv_vault **ret_anew, dv_error *error)
{
    dv_vault *anew = calloc(1, sizeof(*anew));
    if (anew == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *anew = (dv_vault){.write = true,
                       .aead = v->aead,
                       .proof = v->proof,
                       .end = DV_VAULT_HEAD_LEN,
                       .record = dv_buf_init(DV_VAULT_RECORD_MAX)};
    (void)unlink(path);
    anew->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    v->anew = anew; /* dropped with it from here on */
    if (anew->fd < 0 || flock(anew->fd, LOCK_EX | LOCK_NB) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s can't be made: %s", path, strerror(errno));
    }
    if (dress(v, anew->fd) != DV_OK) {
        return dv_error_set(error, DV_ERR_IO,
                            "%s can't have owner, group, mode and ACL of the vault: %s (its owner "
                            "or root may give them)",
                            path, strerror(errno));
    }
    DV_TRY(dv_buf_reserve(&anew->record, DV_VAULT_RECORD_MAX));
    *ret_anew = anew;
    return DV_OK;
}

static bool has_untimed(const dv_vault *v, const dv_vault_tally *tally)
{
    return v->untimed > 0 && tally->left > 0;
}

/* Those that the vault remembers, but for one too many, and this one. */
static dv_result note_removals(const dv_vault *v, dv_vault *anew, const dv_vault_tally *tally,
                               const char *run)
{
    dv_time now = v->now != 0 ? v->now : dv_time_now();
    dv_vault_removal removal = {.at = DV_MAX(now, dv_vault_last_removal(v)->at),
                                .entries = tally->going};
    dv_slice_copy(dv_slice_str(run), removal.run, sizeof(removal.run));
    for (size_t i = v->removal_count == DV_VAULT_REMOVALS_MAX; i < v->removal_count; i++) {
        DV_TRY(dv_vault_note_removal(anew, &v->removals[i]));
    }
    return dv_vault_note_removal(anew, &removal);
}

/* Behind the entries what the vault says of itself; then the mark, for all of it. */
static dv_result end_anew(const dv_vault *v, dv_vault *anew, const dv_vault_tally *tally,
                          const char *run)
{
    uint8_t head[DV_VAULT_HEAD_LEN];
    if (has_untimed(v, tally)) {
        DV_TRY(dv_vault_note_since(anew, v->since));
    }
    DV_TRY(note_removals(v, anew, tally, run));
    dv_vault_head_make(anew, anew->end, head);
    DV_TRY(dv_vault_write_at(anew, 0, dv_slice_of(head, sizeof(head))));
    return fsync(anew->fd) == 0 ? DV_OK : DV_ERR_IO;
}

/* Before anything is exchanged: where its folder may not be read, the new name would stay unsure.
 */
static dv_result check_folder(const dv_vault *v, dv_error *error)
{
    return dv_file_sync_folder(v->path) == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO,
                              "%s was left as it is: its folder can't be synced: %s", v->path,
                              strerror(errno));
}

static dv_result write_anew(sweep *s, dv_vault *v, const char *run, dv_error *error)
{
    dv_result result = take_entries(s, v);
    result = result == DV_OK ? end_anew(v, s->anew, &s->tally, run) : result;
    return swept(s, v, result, error);
}

dv_result dv_vault_rewrite(dv_vault *v, dv_vault_goes goes, const void *data, const char *run,
                           dv_vault_tally *ret_tally, dv_error *error)
{
    char path[PATH_MAX];
    sweep s = {.goes = goes, .data = data};
    if (!v->write || strlen(run) != DV_VAULT_RUN_LEN) {
        return DV_ERR_UNSUPPORTED;
    }
    dv_vault_rewrite_drop(v);
    DV_TRY(check_place(v, error));
    DV_TRY(check_folder(v, error));
    DV_TRY(swept(&s, v, anew_path(v, path), error));
    dv_result result = open_anew(v, path, &s.anew, error);
    result = result == DV_OK ? write_anew(&s, v, run, error) : result;
    if (result != DV_OK) {
        dv_vault_rewrite_drop(v);
        return result;
    }
    *ret_tally = s.tally;
    return DV_OK;
}

void dv_vault_rewrite_drop(dv_vault *v)
{
    if (v->anew != NULL) {
        if (v->anew->fd >= 0) {
            dv_vault_rewrite_forget(v);
        }
        dv_fd_close(&v->anew->fd);
        dv_buf_wipe(&v->anew->record);
        free(v->anew);
        v->anew = NULL;
    }
}

static dv_result is_ours(const char *path, int fd, dv_error *error)
{
    return dv_vault_is_at(fd, path)
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT,
                              "%s is another file than was written: somebody else writes into its "
                              "folder",
                              path);
}

dv_result dv_vault_exchange(dv_vault *v, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(v->anew == NULL ? DV_ERR_UNSUPPORTED : anew_path(v, path));
    v->write = false;
    DV_TRY(check_place(v, error));
    DV_TRY(is_ours(path, v->anew->fd, error));
    if (rename(path, v->path) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", v->path, strerror(errno));
    }
    dv_result result = is_ours(v->path, v->anew->fd, error);
    if (result == DV_OK && dv_file_sync_folder(v->path) != DV_OK) {
        result = dv_error_set(error, DV_ERR_IO,
                              "%s was written anew, but after a crash the old one might be back: "
                              "its folder can't be synced: %s",
                              v->path, strerror(errno));
    }
    dv_fd_close(&v->anew->fd); /* its lock goes; it has its name: nothing is to be dropped */
    return result;
}
