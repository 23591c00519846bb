/* SPDX-License-Identifier: Apache-2.0 */
#include "power.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, STEPS_MAX = 1 << 17, NODES_MAX = 1 << 15, NEVER = INT32_MAX };
static const size_t JOURNAL_BYTES = (size_t)1 << 30; /* address space; what is used is a fraction */

typedef struct step {
    power_kind kind;
    bool folder;      /* POWER_MAKE: what is made */
    int32_t node;     /* what it is about: a file or folder */
    int32_t parent;   /* of names: the folder that holds them */
    int32_t certain;  /* the step that makes it certain, or NEVER */
    uint64_t name;    /* place of the (old) name in the bytes */
    uint64_t renamed; /* of the new one */
    uint64_t at, len; /* POWER_WRITE and POWER_CUT; of a mark its numbers */
    uint64_t bytes;   /* place */
} step;

/* A file or folder as it was when it began. */
typedef struct node {
    bool folder;
    bool apart;          /* on the other disk */
    uint64_t bytes, len; /* then */
    int32_t first_parent;
    uint64_t first_name;
    int32_t parent; /* where it is by now; -1: removed */
    uint64_t name;
} node;

/* Shared by all processes of a test. */
typedef struct journal {
    char folder[PATH_MAX], apart[NAME_MAX + 1];
    size_t folder_len;
    size_t step_count, node_count, begun; /* nodes that were there at the beginning */
    uint64_t used;
    bool on;
    size_t kill_at;
    long fail_at;
    size_t failed;
    step steps[STEPS_MAX];
    node nodes[NODES_MAX];
    uint8_t bytes[];
} journal;

static journal *j;

/* -- the journal ------------------------------------------------------------------------------- */

static void give_up(const char *why)
{
    fprintf(stderr, "power: %s\n", why);
    abort();
}

static uint64_t keep(const void *bytes, size_t len)
{
    uint64_t at = j->used;
    if (sizeof(*j) + at + len > JOURNAL_BYTES) {
        give_up("the journal is full");
    }
    memcpy(j->bytes + at, bytes, len);
    j->used += len;
    return at;
}

static uint64_t keep_text(const char *text)
{
    return keep(text, strlen(text) + 1);
}

static const char *text_at(uint64_t at)
{
    return (const char *)(j->bytes + at);
}

static int32_t add_node(bool folder, int32_t parent, const char *name)
{
    if (j->node_count == NODES_MAX) {
        give_up("too many files");
    }
    uint64_t text = keep_text(name);
    bool apart = parent == 0 ? strcmp(name, j->apart) == 0 : parent > 0 && j->nodes[parent].apart;
    j->nodes[j->node_count] = (node){.folder = folder,
                                     .apart = apart,
                                     .first_parent = parent,
                                     .first_name = text,
                                     .parent = parent,
                                     .name = text};
    return (int32_t)j->node_count++;
}

static step *add_step(power_kind kind, int32_t about)
{
    if (j->step_count == STEPS_MAX) {
        give_up("too many steps");
    }
    step *s = &j->steps[j->step_count++];
    *s = (step){.kind = kind, .node = about, .certain = NEVER};
    return s;
}

static int32_t child_of(int32_t parent, const char *name)
{
    for (size_t i = j->node_count; i > 1; i--) {
        const node *n = &j->nodes[i - 1];
        if (n->parent == parent && strcmp(text_at(n->name), name) == 0) {
            return (int32_t)i - 1;
        }
    }
    return -1;
}

/* The part of the path below the folder; NULL: it lies elsewhere. */
static const char *below(const char *path)
{
    if (strncmp(path, j->folder, j->folder_len) != 0 ||
        (path[j->folder_len] != '/' && path[j->folder_len] != '\0')) {
        return NULL;
    }
    return path + j->folder_len + (path[j->folder_len] == '/');
}

/* The live node of the path, or -1. ret_parent, ret_name: where it is, or would be. */
static int32_t find(const char *path, int32_t *ret_parent, char ret_name[NAME_MAX + 1])
{
    const char *rest = below(path);
    int32_t at = 0;
    *ret_parent = -1;
    ret_name[0] = '\0';
    if (rest == NULL) {
        return -1;
    }
    while (*rest != '\0') {
        size_t len = strcspn(rest, "/");
        snprintf(ret_name, NAME_MAX + 1, "%.*s", (int)len, rest);
        rest += len + (rest[len] == '/');
        *ret_parent = at;
        at = at < 0 ? -1 : child_of(at, ret_name);
    }
    return at;
}

static bool path_of_fd(int fd, char out[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, out, PATH_MAX - 1);
    out[len < 0 ? 0 : len] = '\0';
    return len > 0 && j != NULL && below(out) != NULL;
}

static bool path_at(int fd, const char *path, char out[PATH_MAX])
{
    char folder[PATH_MAX];
    if (path[0] == '/' || fd == AT_FDCWD) {
        snprintf(out, PATH_MAX, "%s", path);
    } else if (path_of_fd(fd, folder)) {
        snprintf(out, PATH_MAX, "%.*s/%s", PATH_MAX / 2, folder, path);
    } else {
        return false;
    }
    return j != NULL && below(out) != NULL;
}

/* -- what happens ------------------------------------------------------------------------------ */

static void about_to_change(void)
{
    if (j != NULL && j->on && j->step_count >= j->kill_at) {
        _exit(POWER_KILLED);
    }
}

static void made(const char *path, bool folder)
{
    int32_t parent;
    char name[NAME_MAX + 1];
    if (j == NULL || !j->on || below(path) == NULL || find(path, &parent, name) >= 0 ||
        parent < 0) {
        return;
    }
    int32_t about = add_node(folder, parent, name);
    step *s = add_step(POWER_MAKE, about);
    s->folder = folder;
    s->parent = parent;
    s->name = j->nodes[about].name;
}

static void removed(const char *path)
{
    int32_t parent;
    char name[NAME_MAX + 1];
    int32_t about = j != NULL && j->on ? find(path, &parent, name) : -1;
    if (about < 0) {
        return;
    }
    step *s = add_step(POWER_REMOVE, about);
    s->parent = parent;
    s->name = j->nodes[about].name;
    j->nodes[about].parent = -1;
}

static void renamed(const char *from, const char *to)
{
    int32_t parent, new_parent;
    char name[NAME_MAX + 1];
    int32_t about = j != NULL && j->on ? find(from, &parent, name) : -1;
    if (about < 0) {
        return;
    }
    int32_t replaced = find(to, &new_parent, name);
    if (new_parent != parent) {
        give_up("a rename into another folder is not understood");
    }
    step *s = add_step(POWER_RENAME, about);
    s->parent = parent;
    s->name = j->nodes[about].name;
    s->renamed = keep_text(name);
    j->nodes[about].name = s->renamed;
    if (replaced >= 0) {
        j->nodes[replaced].parent = -1;
    }
}

static int32_t node_of_fd(int fd)
{
    int32_t parent;
    char path[PATH_MAX], name[NAME_MAX + 1];
    return j != NULL && j->on && path_of_fd(fd, path) ? find(path, &parent, name) : -1;
}

static void written(int fd, const void *bytes, ssize_t len, off_t at)
{
    int32_t about = len > 0 ? node_of_fd(fd) : -1;
    if (about >= 0) {
        step *s = add_step(POWER_WRITE, about);
        s->at = (uint64_t)at;
        s->len = (uint64_t)len;
        s->bytes = keep(bytes, (size_t)len);
    }
}

static void cut(int32_t about, off_t len)
{
    if (about >= 0) {
        add_step(POWER_CUT, about)->at = (uint64_t)len;
    }
}

static bool is_content(power_kind kind)
{
    return kind == POWER_WRITE || kind == POWER_CUT;
}

static bool is_name(power_kind kind)
{
    return kind == POWER_MAKE || kind == POWER_RENAME || kind == POWER_REMOVE;
}

/* Of the file, the folder's names, or the whole disk that it lies on. */
static bool covers(const step *s, int32_t about, bool disk)
{
    if (!is_content(s->kind) && !is_name(s->kind)) {
        return false;
    }
    int32_t of = is_content(s->kind) ? s->node : s->parent;
    return disk ? j->nodes[of].apart == j->nodes[about].apart : of == about;
}

/* What a failed sync gave up is certain never (-1 marks that). */
static void synced(int32_t about, bool disk, power_kind kind)
{
    int32_t now = (int32_t)j->step_count;
    add_step(kind, about);
    for (int32_t i = 0; i < now; i++) {
        step *s = &j->steps[i];
        if (s->certain != NEVER || !covers(s, about, disk)) {
            continue;
        }
        if (kind != POWER_SYNC_FAILED) {
            s->certain = now;
        } else if (is_content(s->kind)) {
            s->certain = -1;
        }
    }
}

static int sync_now(int32_t about, bool disk)
{
    about_to_change();
    if (j->fail_at > 0 && --j->fail_at == 0) {
        synced(about, disk, POWER_SYNC_FAILED);
        j->failed = j->step_count - 1;
        errno = EIO;
        return -1;
    }
    synced(about, disk, disk ? POWER_SYNC_ALL : POWER_SYNC);
    return 0; /* the disk below is not asked: it is none */
}

/* -- the calls --------------------------------------------------------------------------------- */

#define DECLARE(type, name, parameters)                                                            \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters

static int opened(int fd, const char *path, int flags, bool was_there)
{
    if (fd >= 0 && (flags & O_CREAT) != 0 && !was_there) {
        made(path, false);
    } else if (fd >= 0 && (flags & O_TRUNC) != 0) {
        cut(node_of_fd(fd), 0);
    }
    return fd;
}

int __real_openat64(int folder, const char *path, int flags, ...);
int __wrap_openat64(int folder, const char *path, int flags, ...);
int __wrap_openat64(int folder, const char *path, int flags, ...)
{
    va_list list;
    char whole[PATH_MAX];
    va_start(list, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;
    va_end(list);
    if ((flags & (O_CREAT | O_TRUNC)) == 0 || !path_at(folder, path, whole)) {
        return __real_openat64(folder, path, flags, mode);
    }
    about_to_change();
    bool was_there = access(whole, F_OK) == 0;
    return opened(__real_openat64(folder, path, flags, mode), whole, flags, was_there);
}

int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;
    va_end(list);
    return __wrap_openat64(AT_FDCWD, path, flags, mode);
}

DECLARE(int, mkostemp64, (char *path, int flags))
{
    about_to_change();
    return opened(__real_mkostemp64(path, flags), path, O_CREAT, false);
}

DECLARE(ssize_t, write, (int fd, const void *bytes, size_t len))
{
    if (node_of_fd(fd) < 0) {
        return __real_write(fd, bytes, len);
    }
    about_to_change();
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t n = __real_write(fd, bytes, len);
    written(fd, bytes, n, at);
    return n;
}

DECLARE(ssize_t, pwrite64, (int fd, const void *bytes, size_t len, off_t at))
{
    about_to_change();
    ssize_t n = __real_pwrite64(fd, bytes, len, at);
    written(fd, bytes, n, at);
    return n;
}

DECLARE(int, ftruncate64, (int fd, off_t len))
{
    about_to_change();
    int result = __real_ftruncate64(fd, len);
    cut(result == 0 ? node_of_fd(fd) : -1, len);
    return result;
}

DECLARE(int, fsync, (int fd))
{
    int32_t about = node_of_fd(fd);
    return about < 0 ? __real_fsync(fd) : sync_now(about, false);
}

DECLARE(int, syncfs, (int fd))
{
    int32_t about = node_of_fd(fd);
    return about < 0 ? __real_syncfs(fd) : sync_now(about, true);
}

DECLARE(int, rename, (const char *from, const char *to))
{
    about_to_change();
    int result = __real_rename(from, to);
    if (result == 0) {
        renamed(from, to);
    }
    return result;
}

DECLARE(int, renameat, (int a, const char *from, int b, const char *to))
{
    char whole[PATH_MAX], target[PATH_MAX];
    about_to_change();
    bool ours = path_at(a, from, whole) && path_at(b, to, target);
    int result = __real_renameat(a, from, b, to);
    if (result == 0 && ours) {
        renamed(whole, target);
    }
    return result;
}

DECLARE(int, mkdir, (const char *path, mode_t mode))
{
    about_to_change();
    int result = __real_mkdir(path, mode);
    if (result == 0 && j != NULL) {
        made(path, true);
    }
    return result;
}

DECLARE(int, mkdirat, (int folder, const char *path, mode_t mode))
{
    char whole[PATH_MAX];
    about_to_change();
    int result = __real_mkdirat(folder, path, mode);
    if (result == 0 && path_at(folder, path, whole)) {
        made(whole, true);
    }
    return result;
}

DECLARE(int, unlink, (const char *path))
{
    about_to_change();
    int result = __real_unlink(path);
    if (result == 0) {
        removed(path);
    }
    return result;
}

DECLARE(int, unlinkat, (int folder, const char *path, int flags))
{
    char whole[PATH_MAX];
    about_to_change();
    bool ours = path_at(folder, path, whole);
    int result = __real_unlinkat(folder, path, flags);
    if (result == 0 && ours) {
        removed(whole);
    }
    return result;
}

DECLARE(int, rmdir, (const char *path))
{
    about_to_change();
    int result = __real_rmdir(path);
    if (result == 0) {
        removed(path);
    }
    return result;
}

/* -- beginning and ending ---------------------------------------------------------------------- */

static int add_present(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    int32_t parent;
    char name[NAME_MAX + 1];
    bool folder = kind == FTW_D;
    if (find(path, &parent, name) >= 0) {
        return 0; /* the folder itself */
    }
    int32_t number = add_node(folder, parent, name);
    if (!folder) {
        node *n = &j->nodes[number];
        n->len = (uint64_t)about->st_size;
        n->bytes = j->used;
        if (sizeof(*j) + j->used + n->len > JOURNAL_BYTES) {
            give_up("the journal is full");
        }
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, j->bytes + n->bytes, n->len) != (ssize_t)n->len) {
            give_up("a file can not be read");
        }
        close(fd);
        j->used += n->len;
    }
    return 0;
}

void power_begin(const char *folder, const char *apart)
{
    j = mmap(NULL, JOURNAL_BYTES, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (j == MAP_FAILED) {
        give_up("no memory for the journal");
    }
    snprintf(j->folder, sizeof(j->folder), "%s", folder);
    snprintf(j->apart, sizeof(j->apart), "%s", apart);
    j->folder_len = strlen(folder);
    add_node(true, -1, "");
    if (nftw(folder, add_present, 16, FTW_PHYS) != 0) {
        give_up("the folder can not be read");
    }
    j->begun = j->node_count;
    j->kill_at = SIZE_MAX;
    j->on = true;
}

void power_end(void)
{
    munmap(j, JOURNAL_BYTES);
    j = NULL;
}

void power_record(bool on)
{
    j->on = on;
}

void power_kill_at(size_t at)
{
    j->kill_at = at;
}

void power_fail_sync_at(long at)
{
    j->fail_at = at;
    j->failed = at == 0 ? j->failed : 0;
}

size_t power_failed_at(void)
{
    return j->failed;
}

void power_mark(uint64_t a, uint64_t b)
{
    step *s = add_step(POWER_MARK, -1);
    s->at = a;
    s->len = b;
}

void power_promised(size_t before, uint64_t *ret_a, uint64_t *ret_b)
{
    *ret_a = *ret_b = 0;
    for (size_t i = 0; i < before && i < j->step_count; i++) {
        if (j->steps[i].kind == POWER_MARK) {
            *ret_a = j->steps[i].at;
            *ret_b = j->steps[i].len;
        }
    }
}

size_t power_steps(void)
{
    return j->step_count;
}

power_kind power_step_kind(size_t at)
{
    return j->steps[at].kind;
}

/* -- losing power ------------------------------------------------------------------------------ */

/* What is left of one file or folder. */
typedef struct rest {
    uint8_t *bytes;
    size_t len, room;
    int32_t parent; /* -1: it has no name */
    uint64_t name;
} rest;

static uint64_t chance(uint64_t *seed) /* splitmix64 */
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void set_len(rest *r, size_t len)
{
    if (len > r->room) {
        r->room = len * 2;
        r->bytes = realloc(r->bytes, r->room);
        if (r->bytes == NULL) {
            give_up("no memory");
        }
    }
    if (len > r->len) {
        memset(r->bytes + r->len, 0, len - r->len);
    }
    r->len = len;
}

static void put(rest *r, const step *s, uint64_t from, uint64_t to)
{
    if (to > r->len) {
        set_len(r, to);
    }
    if (r->bytes == NULL) {
        return; /* nothing was written */
    }
    memcpy(r->bytes + from, j->bytes + s->bytes + (from - s->at), to - from);
}

/* Some of the pages, or all; and perhaps the length of all. */
static void put_pages(rest *r, const step *s, uint64_t *seed)
{
    uint64_t end = s->at + s->len;
    uint64_t kind = chance(seed) % 4;
    for (uint64_t from = s->at, to; from < end; from = to) {
        to = from - from % PAGE + PAGE;
        to = to < end ? to : end;
        if (kind == 0 || (kind == 1 && chance(seed) % 2 == 0)) {
            put(r, s, from, to);
        }
    }
    if (kind == 2 && r->len < end) {
        set_len(r, end);
    }
}

static void apply_content(rest *r, const step *s, bool whole, uint64_t *seed)
{
    if (s->kind == POWER_CUT) {
        if (whole || chance(seed) % 2 == 0) {
            set_len(r, s->at);
        }
    } else if (whole) {
        put(r, s, s->at, s->at + s->len);
    } else {
        put_pages(r, s, seed);
    }
}

static void take_name(rest *rests, size_t count, int32_t parent, const char *name)
{
    for (size_t i = 1; i < count; i++) {
        if (rests[i].parent == parent && strcmp(text_at(rests[i].name), name) == 0) {
            rests[i].parent = -1;
        }
    }
}

static void apply_name(rest *rests, size_t count, const step *s)
{
    rest *r = &rests[s->node];
    if (s->kind == POWER_REMOVE) {
        bool same = r->parent == s->parent && strcmp(text_at(r->name), text_at(s->name)) == 0;
        r->parent = same ? -1 : r->parent;
        return;
    }
    uint64_t name = s->kind == POWER_RENAME ? s->renamed : s->name;
    take_name(rests, count, s->parent, text_at(name));
    r->parent = s->parent;
    r->name = name;
}

static void apply(rest *rests, const step *s, bool certain, power_luck luck, uint64_t *seed)
{
    if (is_content(s->kind)) {
        bool whole = certain || luck == POWER_ALL || luck == POWER_CONTENTS;
        if (whole || luck == POWER_ANY) {
            apply_content(&rests[s->node], s, whole, seed);
        }
    } else if (is_name(s->kind)) {
        if (certain || luck == POWER_ALL || luck == POWER_NAMES ||
            (luck == POWER_ANY && chance(seed) % 2 == 0)) {
            apply_name(rests, j->node_count, s);
        }
    }
}

static void write_rest(const rest *r, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, r->bytes, r->len) != (ssize_t)r->len) {
        give_up("a file can not be written");
    }
    close(fd);
}

static void write_folder(const rest *rests, int32_t folder, const char *path)
{
    char inner[PATH_MAX];
    for (size_t i = 1; i < j->node_count; i++) {
        if (rests[i].parent != folder) {
            continue;
        }
        snprintf(inner, sizeof(inner), "%.*s/%s", PATH_MAX / 2, path, text_at(rests[i].name));
        if (!j->nodes[i].folder) {
            write_rest(&rests[i], inner);
        } else if (mkdir(inner, 0755) == 0) {
            write_folder(rests, (int32_t)i, inner);
        } else {
            give_up("a folder can not be made");
        }
    }
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return ftw->level == 0 ? 0 : remove(path);
}

static rest *rests_of_the_beginning(void)
{
    rest *rests = calloc(j->node_count, sizeof(*rests));
    if (rests == NULL) {
        give_up("no memory");
    }
    for (size_t i = 0; i < j->node_count; i++) {
        rests[i].parent = -1;
    }
    for (size_t i = 1; i < j->begun; i++) {
        const node *n = &j->nodes[i];
        rests[i].parent = n->first_parent;
        rests[i].name = n->first_name;
        set_len(&rests[i], n->len);
        if (n->len > 0) {
            memcpy(rests[i].bytes, j->bytes + n->bytes, n->len);
        }
    }
    return rests;
}

void power_lose(size_t before, power_luck luck, uint64_t seed)
{
    j->on = false;
    rest *rests = rests_of_the_beginning();
    for (size_t i = 0; i < before; i++) {
        const step *s = &j->steps[i];
        bool certain = s->certain >= 0 && (size_t)s->certain < before;
        apply(rests, s, certain, luck, &seed);
    }
    if (nftw(j->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        give_up("the folder can not be emptied");
    }
    write_folder(rests, 0, j->folder);
    for (size_t i = 0; i < j->node_count; i++) {
        free(rests[i].bytes);
    }
    free(rests);
}

const char *power_renamed(size_t at, const uint8_t **ret_bytes, size_t *ret_len)
{
    const step *s = &j->steps[at];
    if (s->kind != POWER_RENAME) {
        return NULL;
    }
    for (size_t i = at; i > 0; i--) {
        const step *before = &j->steps[i - 1];
        if (before->kind == POWER_WRITE && before->node == s->node && before->at == 0) {
            *ret_bytes = j->bytes + before->bytes;
            *ret_len = before->len;
            return text_at(s->renamed);
        }
    }
    return NULL;
}
