/* SPDX-License-Identifier: Apache-2.0 */
/* Removing entries: the file is written anew beside the old one, and takes its name. The lock of
 * the vault is held until then, and the new file is locked before it has the name, so that no
 * writer comes in between. */
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

/* Without it the mode's group bits, which were a mask, would be the group's. */
static dv_result copy_acl(int from, int to)
{
    static const char name[] = "system.posix_acl_access";
    uint8_t acl[ACL_MAX];
    ssize_t len = fgetxattr(from, name, acl, sizeof(acl));
    if (len <= 0) {
        return len == 0 || errno == ENODATA || errno == EOPNOTSUPP ? DV_OK : DV_ERR_IO;
    }
    return fsetxattr(to, name, acl, (size_t)len, 0) == 0 ? DV_OK : DV_ERR_IO;
}

/* Whoever may read the vault may read it after: dvarad, which is another user. */
static dv_result dress(const dv_vault *v, int fd)
{
    struct stat old, own;
    if (fstat(v->fd, &old) != 0 || fstat(fd, &own) != 0) {
        return DV_ERR_IO;
    }
    bool other = old.st_uid != own.st_uid || old.st_gid != own.st_gid;
    return (!other || fchown(fd, old.st_uid, old.st_gid) == 0) &&
                   fchmod(fd, old.st_mode & 07777) == 0
               ? copy_acl(v->fd, fd)
               : DV_ERR_IO;
}

/* With the keys of the vault, which outlives it. */
static dv_result open_anew(dv_vault *v, const char *path, dv_vault **ret_anew)
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
    DV_TRY(anew->fd < 0 || flock(anew->fd, LOCK_EX | LOCK_NB) != 0 ? DV_ERR_IO : DV_OK);
    DV_TRY(dv_buf_reserve(&anew->record, DV_VAULT_RECORD_MAX));
    *ret_anew = anew;
    return dress(v, anew->fd);
}

static bool has_untimed(const dv_vault *v, const dv_vault_tally *tally)
{
    return v->untimed > 0 && tally->left > 0;
}

/* Behind the entries what the vault says of itself; then the mark, for all of it. */
static dv_result end_anew(const dv_vault *v, dv_vault *anew, const dv_vault_tally *tally,
                          const char *run)
{
    uint8_t head[DV_VAULT_HEAD_LEN];
    dv_vault_removal removal = {.at = v->now != 0 ? v->now : dv_time_now(),
                                .entries = tally->going};
    dv_slice_copy(dv_slice_str(run), removal.run, sizeof(removal.run));
    if (has_untimed(v, tally)) {
        DV_TRY(dv_vault_note_since(anew, v->since));
    }
    DV_TRY(dv_vault_note_removal(anew, &removal));
    dv_vault_head_make(anew, anew->end, head);
    DV_TRY(dv_vault_write_at(anew, 0, dv_slice_of(head, sizeof(head))));
    return fsync(anew->fd) == 0 ? DV_OK : DV_ERR_IO;
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
    dv_result result = anew_path(v, path);
    result = result == DV_OK ? open_anew(v, path, &s.anew) : result;
    result = result == DV_OK ? take_entries(&s, v) : result;
    result = result == DV_OK ? end_anew(v, s.anew, &s.tally, run) : result;
    if (result != DV_OK) {
        dv_result told = swept(&s, v, result, error);
        dv_vault_rewrite_drop(v);
        return told;
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

dv_result dv_vault_exchange(dv_vault *v, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(v->anew == NULL ? DV_ERR_UNSUPPORTED : anew_path(v, path));
    v->write = false;
    if (rename(path, v->path) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", v->path, strerror(errno));
    }
    dv_fd_close(&v->anew->fd); /* it has its name: nothing is to be dropped */
    return dv_file_sync_folder(v->path) == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "the folder of %s: %s", v->path, strerror(errno));
}
