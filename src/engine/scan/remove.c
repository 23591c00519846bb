/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/scan/remove.h"

#include "base/buf.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PIECE = 1 << 20, OWN_NAME_MAX = 32 + DV_REMOVE_MARK_MAX };

static int open_strictly(int folder, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW), .resolve = resolve};
    return (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
}

dv_result dv_remove_open(const char *path, int *ret_fd, dv_error *error)
{
    int fd = open_strictly(AT_FDCWD, path, O_RDONLY | O_DIRECTORY,
                           RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
    if (fd < 0) {
        struct stat about;
        int number = errno;
        bool link = number == ELOOP ||
                    (number == ENOTDIR && lstat(path, &about) == 0 && S_ISLNK(about.st_mode));
        errno = number;
        dv_result result = errno == ENOENT                      ? DV_ERR_NOT_FOUND
                           : errno == ENOTDIR || errno == ELOOP ? DV_ERR_INVALID
                           : errno == EACCES                    ? DV_ERR_FORBIDDEN
                                                                : DV_ERR_IO;
        return dv_error_set(error, result, "%.300s: %s", path,
                            link ? "a symbolic link is on the way" : strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) { /* NFS may know no locks */
        (void)close(fd);
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "%.300s: another run works in this folder at the moment", path);
    }
    *ret_fd = fd;
    return DV_OK;
}

/* ---- looking ---- */

/* A file and the folder that it is in. */
typedef struct place {
    int folder;
    int fd; /* of the file, or -1 */
    const char *base;
    char own[OWN_NAME_MAX]; /* that we give it */
    struct stat about;
} place;

static void place_release(place *p)
{
    if (p->folder >= 0) {
        (void)close(p->folder);
    }
    if (p->fd >= 0) {
        (void)close(p->fd);
    }
}
DV_DEFINE_AUTO(place, place, place_release)

static dv_remove_outcome say(dv_remove_outcome outcome, char why[DV_REMOVE_WHY_MAX],
                             const char *text)
{
    (void)snprintf(why, DV_REMOVE_WHY_MAX, "%s", text);
    return outcome;
}

/* Of what could not be opened. */
static dv_remove_outcome refused(int number, char why[DV_REMOVE_WHY_MAX])
{
    switch (number) {
    case ENOENT:
        return say(DV_REMOVE_MISSING, why, "it is not there");
    case ELOOP:
    case EXDEV:
    case ENOTDIR:
        return say(DV_REMOVE_CHANGED, why, "a link stands in its place, or on the way to it");
    default:
        return say(DV_REMOVE_FAILED, why, strerror(number));
    }
}

/* The folder that the name is in; DV_REMOVE_SAME where it is there. */
static dv_remove_outcome find_folder(int root, const char *name, const char *mark, place *p,
                                     char why[DV_REMOVE_WHY_MAX])
{
    char above[PATH_MAX] = ".";
    const char *slash = strrchr(name, '/');
    *p = (place){.folder = -1, .fd = -1, .base = slash != NULL ? slash + 1 : name};
    (void)snprintf(p->own, sizeof(p->own), DV_REMOVE_GIVEN "%s", mark);
    if (slash != NULL && (size_t)(slash - name) >= sizeof(above)) {
        return refused(ENAMETOOLONG, why);
    }
    if (slash != NULL) {
        dv_slice_copy(dv_slice_of(name, (size_t)(slash - name)), above, sizeof(above));
    }
    if (*p->base == '\0' || strcmp(p->base, ".") == 0 || strcmp(p->base, "..") == 0) {
        return say(DV_REMOVE_FAILED, why, "it has no name of a file");
    }
    p->folder = open_strictly(root, above, O_RDONLY | O_DIRECTORY,
                              RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
    return p->folder >= 0 ? DV_REMOVE_SAME : refused(errno, why);
}

/* Whether both have the same inode, size and time of writing: a rename changes what is behind. */
static bool same_content(const char *stamp, const char *other)
{
    const char *end = strrchr(stamp, '.'), *other_end = strrchr(other, '.');
    return end != NULL && other_end != NULL && end - stamp == other_end - other &&
           strncmp(stamp, other, (size_t)(end - stamp)) == 0;
}

static dv_remove_outcome judge(const struct stat *about, const char *stamp, bool renamed,
                               char why[DV_REMOVE_WHY_MAX])
{
    char now[DV_SCAN_STAMP_MAX];
    if (!S_ISREG(about->st_mode)) {
        return say(DV_REMOVE_CHANGED, why, "it is no regular file any more");
    }
    dv_scan_stamp(about, now);
    if (stamp[0] == '\0' || (renamed ? !same_content(stamp, now) : strcmp(stamp, now) != 0)) {
        return say(DV_REMOVE_CHANGED, why, "it changed since it was scanned");
    }
    if (about->st_nlink != 1) {
        return say(DV_REMOVE_LINKED, why,
                   "it has other names (hard links): its contents would stay");
    }
    why[0] = '\0';
    return DV_REMOVE_SAME;
}

static dv_remove_outcome open_file(place *p, const char *base, const char *stamp, bool renamed,
                                   char why[DV_REMOVE_WHY_MAX])
{
    p->fd = open_strictly(p->folder, base, O_RDONLY | O_NONBLOCK | O_NOCTTY,
                          RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
    if (p->fd < 0) {
        return refused(errno, why);
    }
    if (fstat(p->fd, &p->about) != 0) {
        return refused(errno, why);
    }
    return judge(&p->about, stamp, renamed, why);
}

dv_remove_outcome dv_remove_look(int root, const char *name, const char *stamp,
                                 char why[DV_REMOVE_WHY_MAX])
{
    dv_auto(place) place p = {.folder = -1, .fd = -1};
    dv_remove_outcome outcome = find_folder(root, name, "", &p, why);
    return outcome == DV_REMOVE_SAME ? open_file(&p, p.base, stamp, false, why) : outcome;
}

/* ---- its contents ---- */

static bool hash_all(int fd, uint8_t hash[DV_SHA256_LEN])
{
    dv_sha256_stream *stream = NULL;
    uint8_t *piece = malloc(PIECE);
    ssize_t got = -1;
    if (piece != NULL && dv_sha256_stream_new(&stream) == DV_OK) {
        while ((got = read(fd, piece, PIECE)) > 0 || (got < 0 && errno == EINTR)) {
            dv_sha256_stream_add(stream, dv_slice_of(piece, got > 0 ? (size_t)got : 0));
        }
        dv_sha256_stream_end(stream, hash);
    }
    dv_sha256_stream_free(stream);
    free(piece);
    return got == 0;
}

dv_remove_outcome dv_remove_hash(int root, const char *name, const char *stamp, const char *mark,
                                 uint8_t hash[DV_SHA256_LEN], char why[DV_REMOVE_WHY_MAX])
{
    dv_auto(place) place p = {.folder = -1, .fd = -1};
    uint8_t read_hash[DV_SHA256_LEN];
    struct stat after;
    bool renamed = false;
    dv_remove_outcome outcome = find_folder(root, name, mark, &p, why);
    outcome = outcome == DV_REMOVE_SAME ? open_file(&p, p.own, stamp, true, why) : outcome;
    renamed = outcome == DV_REMOVE_SAME;
    if (outcome == DV_REMOVE_MISSING && p.folder >= 0) {
        outcome = open_file(&p, p.base, stamp, false, why);
    }
    if (outcome != DV_REMOVE_SAME) {
        return outcome;
    }
    if (!hash_all(p.fd, read_hash) || fstat(p.fd, &after) != 0) {
        return say(DV_REMOVE_FAILED, why, "it could not be read");
    }
    outcome = judge(&after, stamp, renamed, why);
    if (outcome == DV_REMOVE_SAME) {
        memcpy(hash, read_hash, sizeof(read_hash));
    }
    return outcome;
}

/* ---- removing ---- */

/* Where the file system can't refuse to replace, nothing has our name but what we renamed. */
static int rename_away(int folder, const char *from, const char *to)
{
    struct stat there;
    if (renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -1;
    }
    if (fstatat(folder, to, &there, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return renameat(folder, from, folder, to);
}

/* Some file systems can't sync a folder by itself. */
static bool sync_folder(int folder)
{
    return fsync(folder) == 0 || (errno == EINVAL && syncfs(folder) == 0);
}

/* The file has our name. Is it the one that is open? */
static dv_remove_outcome unlink_own(place *p, const char *stamp, char why[DV_REMOVE_WHY_MAX])
{
    struct stat named, held;
    if (fstatat(p->folder, p->own, &named, AT_SYMLINK_NOFOLLOW) != 0 || fstat(p->fd, &held) != 0) {
        return say(DV_REMOVE_FAILED, why, strerror(errno));
    }
    dv_remove_outcome outcome = named.st_dev == held.st_dev && named.st_ino == held.st_ino
                                    ? judge(&held, stamp, true, why)
                                    : say(DV_REMOVE_CHANGED, why, "another file took its place");
    if (outcome != DV_REMOVE_SAME) {
        return outcome;
    }
    if (unlinkat(p->folder, p->own, 0) != 0) {
        return say(DV_REMOVE_FAILED, why, strerror(errno));
    }
    return sync_folder(p->folder) ? DV_REMOVE_DONE
                                  : say(DV_REMOVE_MISSING, why,
                                        "it was removed, but its folder could not be synced: after "
                                        "a crash it may be there again");
}

/* What must not go gets its name back. */
static dv_remove_outcome give_back(const place *p, dv_remove_outcome outcome,
                                   char why[DV_REMOVE_WHY_MAX])
{
    if (rename_away(p->folder, p->own, p->base) != 0 && errno != ENOENT) {
        (void)snprintf(why, DV_REMOVE_WHY_MAX, "it stays as %s beside its place", p->own);
        return DV_REMOVE_FAILED;
    }
    return outcome;
}

dv_remove_outcome dv_remove_file(int root, const char *name, const char *stamp, const char *mark,
                                 char why[DV_REMOVE_WHY_MAX])
{
    dv_auto(place) place p = {.folder = -1, .fd = -1};
    dv_remove_outcome outcome = find_folder(root, name, mark, &p, why);
    if (outcome != DV_REMOVE_SAME) {
        return outcome;
    }
    outcome = open_file(&p, p.own, stamp, true, why); /* of a removal that was killed */
    if (outcome == DV_REMOVE_MISSING) {
        outcome = open_file(&p, p.base, stamp, false, why);
        if (outcome == DV_REMOVE_SAME && rename_away(p.folder, p.base, p.own) != 0) {
            return refused(errno, why);
        }
    }
    if (outcome != DV_REMOVE_SAME) {
        return outcome;
    }
    outcome = unlink_own(&p, stamp, why);
    return outcome == DV_REMOVE_CHANGED || outcome == DV_REMOVE_LINKED ||
                   outcome == DV_REMOVE_FAILED
               ? give_back(&p, outcome, why)
               : outcome;
}

/* Who wrote into it meanwhile, or gave it another name, wants its name back as well. */
static bool is_inode(const struct stat *about, const char *stamp)
{
    char now[DV_SCAN_STAMP_MAX];
    dv_scan_stamp(about, now);
    size_t len = strcspn(stamp, ".");
    return S_ISREG(about->st_mode) && strcspn(now, ".") == len && strncmp(now, stamp, len) == 0;
}

dv_result dv_remove_restore(int root, const char *name, const char *stamp, const char *mark)
{
    dv_auto(place) place p = {.folder = -1, .fd = -1};
    char why[DV_REMOVE_WHY_MAX];
    struct stat about;
    dv_remove_outcome outcome = find_folder(root, name, mark, &p, why);
    if (outcome != DV_REMOVE_SAME) {
        return outcome == DV_REMOVE_MISSING || outcome == DV_REMOVE_CHANGED ? DV_OK : DV_ERR_IO;
    }
    if (fstatat(p.folder, p.own, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? DV_OK : DV_ERR_IO;
    }
    return is_inode(&about, stamp) && give_back(&p, DV_REMOVE_SAME, why) == DV_REMOVE_SAME
               ? DV_OK
               : DV_ERR_IO;
}
