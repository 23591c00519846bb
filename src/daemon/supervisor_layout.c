/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_layout.h"

#include "base/codec.h"
#include "base/file.h"
#include "crypto/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    DV_CONTROL_UID = 65521,
    DV_LOG_UID = 65522,
    DV_COLLECTOR_UID = 65523,
    DV_EXPORTER_UID = 65524,
    DV_HASH_TEXT = 16
};

dv_result dv_path_join(const char *folder, const char *name, char ret_path[PATH_MAX])
{
    int len = snprintf(ret_path, PATH_MAX, "%s/%s", folder, name);
    return len > 0 && len < PATH_MAX ? DV_OK : DV_ERR_TOO_LARGE;
}

dv_result dv_layout_config(const dv_layout *layout, const char *folder, char ret_path[PATH_MAX])
{
    char place[PATH_MAX];
    if (folder == NULL) {
        return dv_path_join(layout->runtime, "dvara.yaml", ret_path);
    }
    DV_TRY(dv_path_join(layout->runtime, folder, place));
    return dv_path_join(place, "dvara.yaml", ret_path);
}

static dv_result io_error(dv_error *error, const char *what, const char *path)
{
    return dv_error_set(error, DV_ERR_IO, "%s %s: %s", what, path, strerror(errno));
}

/* nginx.conf and command lines hold these paths, so only harmless bytes are taken. */
static bool path_is_plain(const char *path)
{
    for (const char *at = path; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~' || strchr("\"'\\$;{}#", *at) != NULL) {
            return false;
        }
    }
    return true;
}

static dv_result resolve_state(const char *state_dir, bool make, char ret_state[PATH_MAX],
                               dv_error *error)
{
    if (make) {
        DV_TRY(dv_dir_make(state_dir, 0700, error));
    }
    if (realpath(state_dir, ret_state) == NULL) {
        return dv_error_set(error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO,
                            "the state directory %s: %s", state_dir, strerror(errno));
    }
    if (!path_is_plain(ret_state)) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "the state directory's path must have no spaces, quotes, "
                            "non-ASCII characters or any of \\ $ ; { } #: %s",
                            ret_state);
    }
    return DV_OK;
}

/* Is it a folder that nobody else can exchange under us? */
static bool is_own_folder(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
           (status.st_mode & 0022) == 0;
}

/* Makes base/name when base is there and we may; the result is ours alone to write. */
static bool try_base(const char *base, const char *name, mode_t mode, char ret_path[PATH_MAX])
{
    if (base == NULL || base[0] != '/' || access(base, W_OK | X_OK) != 0 ||
        dv_path_join(base, name, ret_path) != DV_OK) {
        return false;
    }
    return (mkdir(ret_path, mode) == 0 || errno == EEXIST) && is_own_folder(ret_path);
}

/* Memory where there is some: what lies here is made anew at every start. */
static dv_result find_runtime(const char *state, char ret_runtime[PATH_MAX], dv_error *error)
{
    char base[PATH_MAX];
    char user_name[32];
    snprintf(user_name, sizeof user_name, "dvara-%ld", (long)geteuid());
    bool found = geteuid() == 0 ? try_base("/run", "dvara", 0755, base)
                                : try_base(getenv("XDG_RUNTIME_DIR"), "dvara", 0700, base);
    mode_t mode = geteuid() == 0 ? 0755 : 0700;
    if (!found && !try_base("/dev/shm", user_name, mode, base) &&
        !try_base("/tmp", user_name, mode, base)) {
        return dv_error_set(error, DV_ERR_IO,
                            "there is no place for the runtime directory: /run, "
                            "$XDG_RUNTIME_DIR, /dev/shm and /tmp can not be used");
    }
    uint8_t digest[DV_SHA256_LEN];
    dv_auto(buf) dv_buf text = dv_buf_init(2 * DV_SHA256_LEN + 1);
    dv_sha256(dv_slice_str(state), dv_slice_str(NULL), dv_slice_str(NULL), digest);
    DV_TRY(dv_hex_encode(dv_slice_of(digest, DV_HASH_TEXT / 2), &text));
    return dv_path_join(base, dv_buf_cstr(&text), ret_runtime);
}

bool dv_layout_in_memory(const dv_layout *layout)
{
    struct statfs about;
    return statfs(layout->runtime, &about) == 0 &&
           (about.f_type == TMPFS_MAGIC || about.f_type == RAMFS_MAGIC);
}

static dv_account account_of(const char *name, uid_t fallback)
{
    const struct passwd *entry = getpwnam(name);
    if (entry != NULL) {
        return (dv_account){.uid = entry->pw_uid, .gid = entry->pw_gid};
    }
    return (dv_account){.uid = fallback, .gid = fallback};
}

static void add_group(dv_account *account, const char *name)
{
    const struct group *entry = getgrnam(name);
    if (entry != NULL && entry->gr_gid != 0 && account->group_count < DV_ACCOUNT_GROUPS_MAX) {
        account->groups[account->group_count++] = entry->gr_gid;
    }
}

/* None root, each another one. */
static bool are_distinct(const uid_t *uids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (uids[i] == uids[k]) {
                return false;
            }
        }
        if (uids[i] == 0) {
            return false;
        }
    }
    return true;
}

static dv_result find_accounts(dv_layout *layout, dv_error *error)
{
    const struct passwd *worker = getpwnam("www-data");
    if (worker == NULL) {
        return dv_error_set(error, DV_ERR_NOT_FOUND,
                            "there is no user www-data for nginx's workers: add it, or run Dvara "
                            "as an ordinary user");
    }
    layout->worker = worker->pw_uid; /* the next look-up overwrites it */
    layout->shared = worker->pw_gid;
    layout->worker_user = "www-data";
    layout->control = account_of("dvara", DV_CONTROL_UID);
    layout->log = account_of("dvara-log", DV_LOG_UID);
    layout->collector = account_of("dvara-collect", DV_COLLECTOR_UID);
    layout->exporter = account_of("dvara-export", DV_EXPORTER_UID);
    add_group(&layout->collector, "adm");
    add_group(&layout->collector, "systemd-journal");
    const uid_t uids[] = {layout->worker, layout->control.uid, layout->log.uid,
                          layout->collector.uid, layout->exporter.uid};
    if (!are_distinct(uids, DV_ARRAY_LEN(uids))) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the users dvara, dvara-log, dvara-collect, dvara-export and www-data "
                            "must be different ones, and none of them root");
    }
    return DV_OK;
}

static bool can_enter(const dv_account *account, const char *folder)
{
    return setgroups(0, NULL) == 0 && setgid(account->gid) == 0 && setuid(account->uid) == 0 &&
           chdir(folder) == 0;
}

static bool can_mount(const dv_account *account, const char *folder)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* Asks the kernel, in a process that may be spoilt by it. */
static bool try_it(bool (*attempt)(const dv_account *account, const char *folder),
                   const dv_account *account, const char *folder)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(attempt(account, folder) ? 0 : 1);
    }
    int status = 1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The folder above the state directory decides, because the directory itself becomes theirs. */
static bool state_is_reachable(const dv_layout *layout)
{
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", layout->state);
    char *slash = strrchr(parent, '/');
    slash[slash == parent ? 1 : 0] = '\0';
    return try_it(can_enter, &layout->log, parent);
}

static dv_result separate(dv_layout *layout, dv_error *error)
{
    DV_TRY(find_accounts(layout, error));
    layout->separate = true;
    if (state_is_reachable(layout)) {
        return DV_OK;
    }
    if (try_it(can_mount, &layout->log, layout->state)) {
        layout->mount = true;
        return dv_path_join(layout->runtime, "state", layout->view);
    }
    layout->separate = false;
    layout->shared_root = true;
    layout->worker_user = "root";
    return DV_OK;
}

dv_result dv_layout_find(const char *state_dir, bool make, dv_layout *ret_layout, dv_error *error)
{
    dv_layout layout = {0};
    DV_TRY(resolve_state(state_dir, make, layout.state, error));
    DV_TRY(find_runtime(layout.state, layout.runtime, error));
    memcpy(layout.view, layout.state, sizeof layout.view);
    if (geteuid() == 0) {
        DV_TRY(separate(&layout, error));
    }
    *ret_layout = layout;
    return DV_OK;
}

typedef struct folder_plan {
    const char *name;
    mode_t mode;
    uid_t uid;
    gid_t gid;
} folder_plan;

/* Whoever owns a folder on the way can put a link in its place, and we are root: none is followed.
 */
static int open_below(int folder, const char *name)
{
    return openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The folder that base/name is made in; *ret_last: what it is called there. */
static int open_parent(const char *base, const char *name, const char **ret_last)
{
    char first[NAME_MAX + 1];
    const char *slash = strchr(name, '/');
    *ret_last = slash == NULL ? name : slash + 1;
    dv_auto(fd) int outer = open_below(AT_FDCWD, base);
    if (slash == NULL || outer < 0) {
        int found = outer;
        outer = -1;
        return found;
    }
    dv_slice_copy(dv_slice_of(name, (size_t)(slash - name)), first, sizeof first);
    return open_below(outer, first);
}

/* Makes it, or brings owner and mode back to what they must be. The first of a plan, "", is the
 * base. */
static dv_result make_folder(const char *base, const folder_plan *want, bool own, dv_error *error)
{
    char path[PATH_MAX];
    const char *last;
    DV_TRY(dv_path_join(base, want->name, path));
    if (want->name[0] == '\0' && mkdir(base, 0700) != 0 && errno != EEXIST) {
        return io_error(error, "can not make", base);
    }
    dv_auto(fd) int parent = open_parent(base, want->name, &last);
    if (last[0] != '\0' && parent >= 0 && mkdirat(parent, last, 0700) != 0 && errno != EEXIST) {
        return io_error(error, "can not make", path);
    }
    dv_auto(fd) int fd = parent < 0 ? -1 : open_below(parent, last[0] == '\0' ? "." : last);
    if (fd < 0) {
        return io_error(error, "can not open the folder", path);
    }
    if (own && fchown(fd, want->uid, want->gid) != 0) {
        return io_error(error, "can not hand over", path);
    }
    if (fchmod(fd, want->mode) != 0) {
        return io_error(error, "can not set the mode of", path);
    }
    return DV_OK;
}

static dv_result make_folders(const char *base, const folder_plan *folders, size_t count, bool own,
                              dv_error *error)
{
    for (size_t i = 0; i < count; i++) {
        DV_TRY(make_folder(base, &folders[i], own, error));
    }
    return DV_OK;
}

/* A keystore that root made before there was a dvarad is dvarad's, which rotates its keys. A file
 * that has other names elsewhere is left alone. */
static dv_result hand_over_keystore(const dv_layout *layout, dv_error *error)
{
    static const char *const names[] = {".", "keys", "lock", "unlock.key", "told"};
    char path[PATH_MAX];
    DV_TRY(dv_path_join(layout->state, "keystore", path));
    dv_auto(fd) int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) {
        return errno == ENOENT ? DV_OK : io_error(error, "can not open the folder", path);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        struct stat about;
        dv_auto(fd) int fd =
            openat(folder, names[i], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &about) != 0) {
            continue;
        }
        bool plain = S_ISDIR(about.st_mode) || (S_ISREG(about.st_mode) && about.st_nlink == 1);
        if (plain && about.st_uid == 0 &&
            fchown(fd, layout->control.uid, layout->control.gid) != 0) {
            return io_error(error, "can not hand over", path);
        }
    }
    return DV_OK;
}

static dv_result make_separate(const dv_layout *layout, dv_error *error)
{
    uid_t control = layout->control.uid;
    uid_t log = layout->log.uid;
    gid_t readers = layout->log.gid; /* of the spools: dvara-logd alone */
    gid_t shared = layout->shared;
    /* The set-group-id bit makes what is put there belong to the shared group. */
    const folder_plan state[] = {
        {"", 0710, control, shared},
        {"keys", 0711, control, layout->control.gid},
        {"keys/log", 0700, log, layout->log.gid},
        {"log", 0700, log, layout->log.gid},
        {"spool", 0755, log, readers}, /* dvarad counts what lies there */
        {"spool/gateway", 02775, layout->worker, readers},
        {"spool/dvarad", 02775, control, readers},
        {"spool/collect", 02775, layout->collector.uid, readers},
        {"spool/export", 02775, layout->exporter.uid, readers},
        {"tls", 0700, 0, 0},
        {"crashes", 0700, 0, 0},
        {"shared", 02770, control, shared},
        {"collect", 0700, layout->collector.uid, layout->collector.gid},
        {"export", 0700, layout->exporter.uid, layout->exporter.gid},
    };
    const folder_plan runtime[] = {
        {"", 02750, control, shared},
        {"log", 02750, log, shared},
        {"nginx", 0750, 0, shared},
        {"nginx/temp", 0750, 0, shared},
        {"state", 0700, 0, 0},
        {"collect", 02750, layout->collector.uid, shared}, /* dvarad reads their status there */
        {"export", 02750, layout->exporter.uid, shared},
    };
    DV_TRY(make_folders(layout->state, state, DV_ARRAY_LEN(state), true, error));
    DV_TRY(hand_over_keystore(layout, error));
    return make_folders(layout->runtime, runtime, DV_ARRAY_LEN(runtime), true, error);
}

static dv_result make_own(const dv_layout *layout, dv_error *error)
{
    const folder_plan state[] = {{"", 0700},
                                 {"keys", 0700},
                                 {"keys/log", 0700},
                                 {"log", 0700},
                                 {"spool", 0700},
                                 {"spool/gateway", 0700},
                                 {"spool/dvarad", 0700},
                                 {"spool/collect", 0700},
                                 {"spool/export", 0700},
                                 {"tls", 0700},
                                 {"crashes", 0700},
                                 {"shared", 0700},
                                 {"collect", 0700},
                                 {"export", 0700}};
    const folder_plan runtime[] = {{"", 0700},           {"log", 0700},     {"nginx", 0700},
                                   {"nginx/temp", 0700}, {"collect", 0700}, {"export", 0700}};
    DV_TRY(make_folders(layout->state, state, DV_ARRAY_LEN(state), false, error));
    return make_folders(layout->runtime, runtime, DV_ARRAY_LEN(runtime), false, error);
}

static dv_result make_link(const char *folder, const char *name, const char *target,
                           dv_error *error)
{
    char path[PATH_MAX];
    char found[PATH_MAX];
    DV_TRY(dv_path_join(folder, name, path));
    ssize_t len = readlink(path, found, sizeof found - 1);
    if (len >= 0) {
        found[len] = '\0';
        if (strcmp(found, target) == 0) {
            return DV_OK;
        }
        unlink(path);
    }
    if (symlink(target, path) != 0) {
        return io_error(error, "can not make the link", path);
    }
    return DV_OK;
}

/* STATE/runtime names RUNTIME, for people and for the command line. In RUNTIME, links name what
 * must outlive a boot, and what dvara-logd keeps in a folder of its own, because it may not write
 * to RUNTIME. */
static dv_result make_links(const dv_layout *layout, dv_error *error)
{
    char spool[PATH_MAX];
    char counters[PATH_MAX];
    DV_TRY(dv_path_join(layout->view, "spool", spool));
    DV_TRY(dv_path_join(layout->view, "shared/counters", counters));
    DV_TRY(make_link(layout->state, "runtime", layout->runtime, error));
    DV_TRY(make_link(layout->runtime, "spool", spool, error));
    DV_TRY(make_link(layout->runtime, "counters", counters, error));
    DV_TRY(make_link(layout->runtime, "log/spool", spool, error));
    DV_TRY(make_link(layout->runtime, "log/witness.policy", "../witness.policy", error));
    DV_TRY(make_link(layout->runtime, "log.pub", "log/log.pub", error));
    return make_link(layout->runtime, "logd.sock", "log/logd.sock", error);
}

dv_result dv_layout_make(dv_layout *layout, dv_error *error)
{
    DV_TRY(layout->separate ? make_separate(layout, error) : make_own(layout, error));
    return make_links(layout, error);
}

/* ---- At the end ---- */

/* By descriptors: those who could write here, should one of them still live, lead it nowhere else.
 */
static void remove_content(int fd, dev_t device, int depth)
{
    enum { DEPTH_MAX = 16 };
    struct stat about;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *dir = own < 0 || depth > DEPTH_MAX ? NULL : fdopendir(own);
    if (dir == NULL) {
        dv_fd_close(&own);
        return;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(fd, name, 0) == 0) {
            continue;
        }
        dv_auto(fd) int inner = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner >= 0 && fstat(inner, &about) == 0 && about.st_dev == device) {
            remove_content(inner, device, depth + 1);
            unlinkat(fd, name, AT_REMOVEDIR);
        }
    }
    closedir(dir);
}

void dv_layout_remove_runtime(const dv_layout *layout)
{
    struct stat about;
    dv_auto(fd) int fd = open(layout->runtime, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &about) == 0) {
        remove_content(fd, about.st_dev, 0);
        rmdir(layout->runtime);
    }
}
