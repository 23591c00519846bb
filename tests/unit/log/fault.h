/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Makes the Nth file-changing system call of this process fail, or ends the process there as a
 * kill would. The test program is linked with --wrap for each of them, under the names that the
 * linker sees: with 64-bit offsets, pwrite is pwrite64 (meson.build has the list). */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum fault_kind { FAULT_NONE, FAULT_KILL, FAULT_ENOSPC, FAULT_EIO, FAULT_SHORT } fault_kind;

enum { FAULT_EXIT = 99 };

static fault_kind fault;
static long fault_countdown;
static long fault_calls; /* seen since fault_arm */

static void fault_arm(fault_kind kind, long after)
{
    fault = kind;
    fault_countdown = after;
    fault_calls = 0;
}

static int fault_due(void)
{
    fault_calls++;
    if (fault == FAULT_NONE || --fault_countdown != 0) {
        return 0;
    }
    if (fault == FAULT_KILL) {
        _exit(FAULT_EXIT);
    }
    errno = fault == FAULT_EIO ? EIO : ENOSPC;
    return fault != FAULT_SHORT;
}

/* What is written where it fails: a full disk takes the first half, and a signal may cut a call
 * short without any error. */
static ssize_t fault_written(ssize_t half)
{
    if (fault == FAULT_SHORT) {
        return half;
    }
    errno = fault == FAULT_EIO ? EIO : ENOSPC;
    return fault == FAULT_EIO ? -1 : half;
}

/* Like fault_due, for the calls that write: FAULT_SHORT is theirs too. */
static int fault_due_in_write(void)
{
    int due = fault_due();
    return due || (fault == FAULT_SHORT && fault_countdown == 0);
}

#define FAULT_WRAP(name, parameters, arguments)                                                    \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        return fault_due() ? -1 : __real_##name arguments;                                         \
    }

FAULT_WRAP(fsync, (int fd), (fd))
FAULT_WRAP(syncfs, (int fd), (fd))
FAULT_WRAP(rename, (const char *from, const char *to), (from, to))
FAULT_WRAP(mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode))
FAULT_WRAP(unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
FAULT_WRAP(renameat, (int from, const char *a, int to, const char *b), (from, a, to, b))

FAULT_WRAP(mkdir, (const char *path, mode_t mode), (path, mode))
FAULT_WRAP(mkostemp64, (char *path, int flags), (path, flags))
FAULT_WRAP(ftruncate64, (int fd, off_t len), (fd, len))

ssize_t __real_pwrite64(int fd, const void *bytes, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
    if (fault_due_in_write() && (len > 1 || fault != FAULT_SHORT)) {
        return fault_written(len > 1 ? __real_pwrite64(fd, bytes, len / 2, at) : -1);
    }
    return __real_pwrite64(fd, bytes, len, at);
}

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    if (fault_due_in_write() && (len > 1 || fault != FAULT_SHORT)) {
        return fault_written(len > 1 ? __real_write(fd, bytes, len / 2) : -1);
    }
    return __real_write(fd, bytes, len);
}
