/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/support_facts.h"

#include "base/buf.h"
#include "base/build_id.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "crypto/hash.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { PROGRAM_MAX = 512 << 20, TEXT_MAX = 1 << 20, DEPTH_MAX = 3, FOLDERS_MAX = 512 };

static const char *const programs_list[] = {
    "dvara", "dvarad", "dvara-logd", "dvara-collect", "dvara-export", "ngx_http_dvara_module.so"};

/* ---- The build ---- */

static dv_result hash_of(const char *path, dv_buf *hex)
{
    uint8_t hash[DV_SHA256_LEN];
    dv_auto(buf) dv_buf bytes = dv_buf_init(PROGRAM_MAX);
    DV_TRY(dv_file_read(path, &bytes, NULL));
    dv_sha256(dv_buf_slice(&bytes), dv_slice_str(NULL), dv_slice_str(NULL), hash);
    return dv_hex_encode(dv_slice_of(hash, sizeof hash), hex);
}

static void add_program(json_t *list, const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct stat status;
    dv_auto(buf) dv_buf hex = dv_buf_init(2 * DV_SHA256_LEN + 1);
    int len = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (len < PATH_MAX && stat(path, &status) == 0 && hash_of(path, &hex) == DV_OK) {
        json_array_append_new(list, json_pack("{s:s, s:I, s:s%}", "name", name, "bytes",
                                              (json_int_t)status.st_size, "sha256",
                                              (const char *)hex.ptr, hex.len));
    }
}

json_t *dv_support_build(const char *programs)
{
    char id[DV_BUILD_ID_TEXT];
    json_t *list = json_array();
    for (size_t i = 0; i < DV_ARRAY_LEN(programs_list); i++) {
        add_program(list, programs, programs_list[i]);
    }
    dv_build_id(id);
#ifdef DV_SANITIZED
    bool sanitized = true;
#else
    bool sanitized = false;
#endif
    return json_pack("{s:s, s:s, s:s, s:b, s:o}", "version", DV_VERSION, "compiler", __VERSION__,
                     "build_id", id, "sanitized", (int)sanitized, "programs", list);
}

/* ---- The system ---- */

/* Of lines "name: value" or NAME="value", those of the names. */
static void add_lines(json_t *into, const char *path, char separator, const char *const *names,
                      size_t count)
{
    dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX);
    dv_slice line;
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t bytes[4096];
    ssize_t len;
    while (fd >= 0 && (len = read(fd, bytes, sizeof bytes)) > 0) {
        if (dv_buf_append(&text, dv_slice_of(bytes, (size_t)len)) != DV_OK) {
            break;
        }
    }
    dv_slice rest = dv_buf_slice(&text);
    while (dv_slice_split(&rest, '\n', &line)) {
        dv_slice name;
        if (!dv_slice_split(&line, (uint8_t)separator, &name) || line.ptr == NULL) {
            continue;
        }
        name = dv_slice_trim(name);
        line = dv_slice_trim(line);
        for (size_t i = 0; i < count; i++) {
            if (dv_slice_eq_str(name, names[i]) && json_object_get(into, names[i]) == NULL) {
                json_object_set_new(into, names[i], json_stringn((const char *)line.ptr, line.len));
            }
        }
    }
}

static void add_file(json_t *into, const char *name, const char *path)
{
    char text[256];
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (len > 0) {
        dv_slice value = dv_slice_trim(dv_slice_of(text, (size_t)len));
        json_object_set_new(into, name, json_stringn((const char *)value.ptr, value.len));
    }
}

static void add_limit(json_t *into, const char *name, int resource)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) == 0) {
        /* RLIM_INFINITY shows as -1 */
        json_object_set_new(into, name, json_integer((json_int_t)limit.rlim_max));
    }
}

json_t *dv_support_system(void)
{
    static const char *const release[] = {"PRETTY_NAME", "VERSION_ID"};
    static const char *const processor[] = {"model name", "flags"};
    static const char *const memory[] = {"MemTotal", "MemAvailable", "SwapTotal", "Committed_AS"};
    struct utsname kernel;
    json_t *system = json_object();
    if (uname(&kernel) == 0) {
        json_object_set_new(system, "kernel", json_string(kernel.release));
        json_object_set_new(system, "machine", json_string(kernel.machine));
    }
    json_object_set_new(system, "processors", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    json_object_set_new(system, "page_size", json_integer(sysconf(_SC_PAGESIZE)));
    add_lines(system, "/etc/os-release", '=', release, DV_ARRAY_LEN(release));
    add_lines(system, "/proc/cpuinfo", ':', processor, DV_ARRAY_LEN(processor));
    add_lines(system, "/proc/meminfo", ':', memory, DV_ARRAY_LEN(memory));
    add_file(system, "uptime", "/proc/uptime");
    add_file(system, "load", "/proc/loadavg");
    add_file(system, "memory_max", "/sys/fs/cgroup/memory.max");
    add_file(system, "security_modules", "/sys/kernel/security/lsm");
    add_file(system, "container", "/run/systemd/container");
    add_file(system, "somaxconn", "/proc/sys/net/core/somaxconn");
    add_limit(system, "limit_files", RLIMIT_NOFILE);
    add_limit(system, "limit_processes", RLIMIT_NPROC);
    add_limit(system, "limit_core", RLIMIT_CORE);
    return system;
}

/* ---- The state ---- */

typedef struct folders {
    json_t *list;
    size_t count;
} folders;

static json_t *entry_json(const char *path, const struct stat *status)
{
    char mode[16];
    snprintf(mode, sizeof mode, "%04o", (unsigned)(status->st_mode & 07777));
    return json_pack("{s:s, s:s, s:i, s:i}", "path", path, "mode", mode, "uid", (int)status->st_uid,
                     "gid", (int)status->st_gid);
}

static void add_folder(folders *all, int parent, const char *name, const char *path, int depth);

/* One entry of a folder: counted, named or gone into. */
static void add_entry(folders *all, int folder, const char *name, const char *path, int depth,
                      json_int_t *files, json_int_t *bytes)
{
    struct stat status;
    char inner[PATH_MAX];
    bool named = snprintf(inner, sizeof inner, "%s/%s", path, name) < PATH_MAX;
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return;
    }
    if (S_ISDIR(status.st_mode)) {
        if (named && depth < DEPTH_MAX) {
            add_folder(all, folder, name, inner, depth + 1);
        }
        return;
    }
    (*files)++;
    *bytes += S_ISREG(status.st_mode) ? (json_int_t)status.st_size : 0;
    if (named && depth == 0 && all->count < FOLDERS_MAX) {
        json_t *entry = entry_json(inner, &status);
        json_object_set_new(entry, "bytes", json_integer((json_int_t)status.st_size));
        json_array_append_new(all->list, entry);
        all->count++;
    }
}

static void add_folder(folders *all, int parent, const char *name, const char *path, int depth)
{
    struct stat status;
    json_int_t files = 0, bytes = 0;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL || all->count >= FOLDERS_MAX || fstat(fd, &status) != 0) {
        if (dir != NULL) {
            closedir(dir);
        } else {
            dv_fd_close(&fd);
        }
        return;
    }
    all->count++;
    json_t *folder = entry_json(path, &status);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            add_entry(all, fd, entry->d_name, path, depth, &files, &bytes);
        }
    }
    closedir(dir);
    json_object_set_new(folder, "files", json_integer(files));
    json_object_set_new(folder, "bytes", json_integer(bytes));
    json_array_append_new(all->list, folder);
}

json_t *dv_support_folders(const char *folder)
{
    struct statvfs disk;
    folders all = {.list = json_array()};
    add_folder(&all, AT_FDCWD, folder, ".", 0);
    json_t *facts = json_pack("{s:o}", "entries", all.list);
    if (facts != NULL && statvfs(folder, &disk) == 0) {
        json_int_t block = (json_int_t)disk.f_frsize;
        json_object_set_new(facts, "disk_bytes", json_integer((json_int_t)disk.f_blocks * block));
        json_object_set_new(facts, "disk_free", json_integer((json_int_t)disk.f_bavail * block));
        json_object_set_new(facts, "disk_inodes_free", json_integer((json_int_t)disk.f_favail));
    }
    return facts;
}
