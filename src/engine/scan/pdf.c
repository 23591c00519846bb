/* SPDX-License-Identifier: Apache-2.0 */
/* The text of PDF, by the program pdftotext (poppler): a process of its own with bounds, an empty
 * environment, no new privileges, and nothing open but the PDF and a pipe. */
#include "engine/scan/scan_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MEMORY_MAX = 1 << 30, /* of its address space */
    CPU_SECONDS = 30,
    FILES_MAX = 16,
    NOT_STARTED = 126,
};

static const char *const programs[] = {"/usr/bin/pdftotext", "/usr/local/bin/pdftotext"};

static const char *find_program(void)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(programs); i++) {
        if (access(programs[i], X_OK) == 0) {
            return programs[i];
        }
    }
    return NULL;
}

/* ---- in the child ---- */

static void bound(int what, rlim_t most)
{
    const struct rlimit limit = {most, most};
    if (setrlimit(what, &limit) != 0) {
        _exit(NOT_STARTED);
    }
}

static void __attribute__((noreturn)) run(const char *program, int pdf, int out, pid_t parent)
{
    static char *const environment[] = {NULL};
    char *const arguments[] = {(char *)(uintptr_t)program, "-q", "-enc", "UTF-8", "-", "-", NULL};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || null < 0 ||
        dup2(pdf, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0 || close_range(3, ~0U, 0) != 0) {
        _exit(NOT_STARTED);
    }
    bound(RLIMIT_AS, MEMORY_MAX);
    bound(RLIMIT_CPU, CPU_SECONDS);
    bound(RLIMIT_NOFILE, FILES_MAX);
    bound(RLIMIT_FSIZE, 0); /* it writes no file */
    bound(RLIMIT_CORE, 0);
    execve(program, arguments, environment);
    _exit(NOT_STARTED);
}

/* ---- here ---- */

/* The PDF in memory, as a file: pdftotext goes back and forth in it. */
static dv_result copy(dv_scan_source *source, int file, bool *ret_whole)
{
    uint8_t piece[DV_SCAN_PIECE];
    size_t len = 1;
    while (len > 0) {
        DV_TRY(dv_scan_read(source, piece, sizeof(piece), &len));
        for (size_t at = 0; at < len;) {
            ssize_t done = write(file, piece + at, len - at);
            if (done < 0) {
                dv_scan_problem(source->scan, "its PDF could not be read: %s", strerror(errno));
                *ret_whole = false;
                return DV_OK;
            }
            at += (size_t)done;
        }
    }
    *ret_whole = lseek(file, 0, SEEK_SET) == 0;
    if (!*ret_whole) {
        dv_scan_problem(source->scan, "its PDF could not be read: %s", strerror(errno));
    }
    return DV_OK;
}

static dv_result read_text(dv_scan *scan, int pipe_fd, dv_slice member)
{
    dv_scan_source *source = calloc(1, sizeof(*source));
    if (source == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_scan_source_pipe(scan, pipe_fd, "its PDF took too long: only a part of it was read", source);
    dv_result result = dv_scan_text(scan, source, member);
    free(source);
    return result;
}

/* Its output has ended, or nobody reads it any more: it gets a moment to say how it went. */
static bool went_well(pid_t child)
{
    enum { STEPS = 200, STEP_MS = 5 };
    int status = 0;
    pid_t ended = 0;
    for (int i = 0; i < STEPS && ended == 0; i++) {
        ended = waitpid(child, &status, WNOHANG);
        if (ended == 0) {
            (void)poll(NULL, 0, STEP_MS);
        }
    }
    if (ended == 0) {
        (void)kill(child, SIGKILL);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
    }
    return ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static dv_result convert(dv_scan *scan, const char *program, int file, dv_slice member)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        dv_scan_problem(scan, "its PDF could not be read: %s", strerror(errno));
        return DV_OK;
    }
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        run(program, file, ends[1], parent);
    }
    (void)close(ends[1]);
    dv_result result = child > 0 ? read_text(scan, ends[0], member) : DV_OK;
    (void)close(ends[0]);
    if (child < 0 || !went_well(child)) {
        dv_scan_problem(scan,
                        "its PDF could not be read to its end: it may be encrypted or damaged");
    }
    return result;
}

dv_result dv_scan_pdf(dv_scan *scan, dv_scan_source *source, dv_slice member)
{
    const char *program = find_program();
    bool whole = false;
    if (program == NULL) {
        dv_scan_problem(scan, "is PDF: install pdftotext (poppler-utils) to have it read");
        return DV_OK;
    }
    dv_auto(fd) int file = memfd_create("pdf", MFD_CLOEXEC);
    if (file < 0) {
        dv_scan_problem(scan, "its PDF could not be read: %s", strerror(errno));
        return DV_OK;
    }
    DV_TRY(copy(source, file, &whole));
    return whole ? convert(scan, program, file, member) : DV_OK;
}
