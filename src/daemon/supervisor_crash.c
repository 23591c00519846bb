/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_crash.h"

#include "base/crash.h"
#include "base/file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FRAME_MAX = 96, BUILD_MAX = 40, NUMBER_MAX = 10, NAMES_MAX = 256 };

typedef struct crash {
    dv_slice pid;
    dv_slice signal;
    dv_slice build;
    dv_slice frames; /* with blanks between */
} crash;

/* ---- The line ---- */

static bool consists_of(dv_slice text, size_t max, int (*is_good)(int), const char *more)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (is_good(byte) == 0 && (byte == '\0' || strchr(more, byte) == NULL)) {
            return false;
        }
    }
    return text.len > 0 && text.len <= max;
}

static bool read_frames(dv_slice frames)
{
    dv_slice frame;
    size_t count = 0;
    while (dv_slice_split(&frames, ' ', &frame)) {
        count++;
        if (!consists_of(frame, FRAME_MAX, isalnum, "._+-?") ||
            dv_slice_find(frame, DV_LIT("+0x")) < 1) {
            return false;
        }
    }
    return count <= DV_CRASH_FRAMES;
}

static bool read_crash(dv_slice line, crash *ret_crash)
{
    crash found = {.pid = {NULL, 0}};
    dv_slice program;
    dv_slice rest = dv_slice_sub(line, sizeof DV_CRASH_MARK - 1, line.len);
    if (!dv_slice_starts_with(line, DV_LIT(DV_CRASH_MARK)) || line.len > DV_CRASH_LINE ||
        !dv_slice_split(&rest, ' ', &program) || !dv_slice_split(&rest, ' ', &found.pid) ||
        !dv_slice_split(&rest, ' ', &found.signal) || !dv_slice_split(&rest, ' ', &found.build)) {
        return false;
    }
    found.frames = rest;
    if (!consists_of(found.pid, NUMBER_MAX, isdigit, "") ||
        !consists_of(found.signal, 2, isdigit, "") ||
        !consists_of(found.build, BUILD_MAX, isxdigit, "-") ||
        (rest.ptr != NULL && !read_frames(rest))) {
        return false;
    }
    *ret_crash = found;
    return true;
}

static dv_result write_report(const crash *found, const char *program, const char *time,
                              dv_buf *out)
{
    char number[8];
    dv_slice rest = found->frames;
    dv_slice frame;
    dv_slice_copy(found->signal, number, sizeof number);
    const char *name = sigabbrev_np((int)strtol(number, NULL, 10));
    DV_TRY(dv_buf_append_printf(out, "program %s\npid %.*s\nsignal %s SIG%s\ntime %s\n", program,
                                (int)found->pid.len, (const char *)found->pid.ptr, number,
                                name != NULL ? name : "?", time));
    DV_TRY(dv_buf_append_printf(out, "version %s\nbuild %.*s\nframes, the innermost first:\n",
                                DV_VERSION, (int)found->build.len, (const char *)found->build.ptr));
    while (dv_slice_split(&rest, ' ', &frame)) {
        DV_TRY(dv_buf_append_printf(out, "  %.*s\n", (int)frame.len, (const char *)frame.ptr));
    }
    return DV_OK;
}

/* ---- The folder ---- */

/* Whoever owns the state can put something else in the folder's place, and we may be root. */
static int open_folder(const char *state)
{
    struct stat status;
    dv_auto(fd) int outer = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dv_auto(fd) int fd =
        outer < 0 ? -1
                  : openat(outer, DV_CRASH_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_uid != geteuid()) {
        return -1;
    }
    int found = fd;
    fd = -1;
    return found;
}

/* How many reports; ret_oldest: the name that sorts first, as times do. */
static size_t look(int folder, char ret_oldest[NAME_MAX + 1])
{
    size_t count = 0;
    int own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own < 0 ? NULL : fdopendir(own);
    ret_oldest[0] = '\0';
    if (dir == NULL) {
        dv_fd_close(&own);
        return 0;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        count++;
        if (ret_oldest[0] == '\0' || strcmp(entry->d_name, ret_oldest) < 0) {
            snprintf(ret_oldest, NAME_MAX + 1, "%s", entry->d_name);
        }
    }
    closedir(dir);
    return count;
}

static void make_room(int folder)
{
    char oldest[NAME_MAX + 1];
    for (size_t tries = 0; tries < NAMES_MAX && look(folder, oldest) >= DV_CRASH_REPORTS; tries++) {
        if (unlinkat(folder, oldest, 0) != 0) {
            return;
        }
    }
}

size_t dv_crash_count(const char *state)
{
    char oldest[NAME_MAX + 1];
    dv_auto(fd) int folder = open_folder(state);
    return folder < 0 ? 0 : look(folder, oldest);
}

dv_result dv_crash_keep(const char *state, const char *program, dv_slice line, dv_time now,
                        char ret_name[NAME_MAX + 1], dv_error *error)
{
    crash found;
    char time[DV_TIME_TEXT_MAX];
    char name[NAME_MAX + 1];
    dv_auto(buf) dv_buf text = dv_buf_init(16 << 10);
    if (!read_crash(line, &found)) {
        return dv_error_set(error, DV_ERR_INVALID, "its last line has not the form of a report");
    }
    dv_auto(fd) int folder = open_folder(state);
    if (folder < 0) {
        return dv_error_set(error, DV_ERR_FORBIDDEN, "%s/%s is not there, or another's", state,
                            DV_CRASH_FOLDER);
    }
    dv_time_format(now, time);
    DV_TRY(write_report(&found, program, time, &text));
    snprintf(name, sizeof name, "%s-%s-%.*s.txt", time, program, (int)found.pid.len,
             (const char *)found.pid.ptr);
    make_room(folder);
    dv_auto(fd) int fd =
        openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || dv_fd_write_all(fd, dv_buf_slice(&text)) != DV_OK) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", name, strerror(errno));
    }
    memcpy(ret_name, name, sizeof name);
    return DV_OK;
}
