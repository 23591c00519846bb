/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_mask.h"

#include "daemon/line_mask.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reserved by Debian policy (section 9.2.2) and given to nobody, as those of supervisor_layout.h */
enum { MASK_UID = 65525 };

/* The first byte of a message. Lines: */
enum { LINE_WHOLE = 'l', LINE_CUT = 'c' };
/* Answers: */
enum { ANSWER_READY = 'r', ANSWER_MASKED = 'm', ANSWER_WITHHELD = 'w' };

#ifdef DV_SANITIZED
#define START_TIMEOUT (120 * DV_SECOND) /* what takes a tenth of a second takes ten there */
#else
#define START_TIMEOUT (20 * DV_SECOND)
#endif
#define LINE_TIMEOUT (5 * DV_SECOND)
#define RETRY_PAUSE (2 * DV_SECOND)

/* ---- In the process ---- */

static bool give_up_rights(bool separate)
{
    const struct rlimit none = {0, 0};
    bool other = geteuid() == 0 && setgroups(0, NULL) == 0 &&
                 setresgid(MASK_UID, MASK_UID, MASK_UID) == 0 &&
                 setresuid(MASK_UID, MASK_UID, MASK_UID) == 0;
    if (separate && !other) {
        return false;
    }
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0 &&
           prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

/* Nothing of the supervisor stays open but this end. */
static bool keep_only(int fd)
{
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(fd, STDERR_FILENO + 1) < 0) {
        return false;
    }
#ifndef DV_SANITIZED
    /* What a library says before it aborts would pass the masks by; sanitizers report there. */
    if (dup2(null, STDERR_FILENO) < 0) {
        return false;
    }
#endif
    return syscall(SYS_close_range, STDERR_FILENO + 2U, ~0U, 0U) == 0 && chdir("/") == 0;
}

static void be_quiet(void)
{
    sigset_t none;
    sigemptyset(&none);
    setsid(); /* Ctrl-C is not for us: lines come until the last process has ended */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NAME, "dvara-mask", 0, 0, 0);
}

static bool answer(int fd, uint8_t kind, dv_slice text)
{
    struct iovec parts[] = {{&kind, 1}, {(void *)(uintptr_t)text.ptr, text.len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = DV_ARRAY_LEN(parts)};
    return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)(1 + text.len);
}

static bool serve_one(int fd, dv_line_mask *mask)
{
    uint8_t message[1 + DV_LINE_MAX];
    ssize_t len = recv(fd, message, sizeof message, 0);
    if (len <= 0) {
        return len < 0 && errno == EINTR;
    }
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LINE_MASKED_MAX);
    dv_slice line = dv_slice_of(message + 1, (size_t)len - 1);
    dv_result result = dv_line_mask_run(mask, line, message[0] == LINE_CUT, &out);
    return answer(fd, result == DV_OK ? ANSWER_MASKED : ANSWER_WITHHELD, dv_buf_slice(&out));
}

static void __attribute__((noreturn)) serve(const dv_masker *masker, int fd, pid_t supervisor)
{
    enum { FD = STDERR_FILENO + 1 };
    dv_auto(line_mask) dv_line_mask *mask = NULL;
    be_quiet();
    if (!keep_only(fd) || !give_up_rights(masker->separate)) {
        _exit(1);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != supervisor || dv_line_mask_new(&mask, NULL) != DV_OK) {
        _exit(1);
    }
    /* Without it more is hidden. */
    (void)!dv_line_mask_know(mask, masker->known);
    bool good = answer(FD, ANSWER_READY, dv_slice_str(NULL));
    while (good) {
        good = serve_one(FD, mask);
    }
    _exit(0);
}

/* ---- In the supervisor ---- */

/* False: none could be made. */
static bool make_one(const dv_masker *masker, pid_t *ret_pid, int *ret_fd)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return false;
    }
    pid_t supervisor = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        serve(masker, ends[1], supervisor);
    }
    dv_fd_close(&ends[1]);
    if (pid < 0) {
        dv_fd_close(&ends[0]);
        return false;
    }
    *ret_pid = pid;
    *ret_fd = ends[0];
    return true;
}

static void end_one(pid_t *pid, int *fd)
{
    dv_fd_close(fd);
    *fd = -1;
    if (*pid > 0) {
        kill(*pid, SIGKILL);
        while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    *pid = 0;
}

static void begin(dv_masker *masker)
{
    masker->retry_at = dv_time_monotonic() + RETRY_PAUSE;
    masker->ready = false;
    (void)make_one(masker, &masker->pid, &masker->fd);
}

void dv_masker_start(dv_masker *masker, bool separate, dv_slice known)
{
    *masker = (dv_masker){.fd = -1, .next_fd = -1, .separate = separate, .known = known};
    begin(masker);
}

static void give_up(dv_masker *masker)
{
    end_one(&masker->pid, &masker->fd);
    masker->ready = false;
}

void dv_masker_stop(dv_masker *masker)
{
    end_one(&masker->next_pid, &masker->next_fd);
    give_up(masker);
}

void dv_masker_restart(dv_masker *masker, dv_slice known)
{
    masker->known = known;
    end_one(&masker->next_pid, &masker->next_fd);
    if (masker->fd < 0) {
        begin(masker);
    } else {
        (void)make_one(masker, &masker->next_pid, &masker->next_fd);
    }
}

void dv_masker_died(dv_masker *masker, pid_t pid)
{
    if (pid == masker->pid) {
        masker->pid = 0;
        give_up(masker);
    } else if (pid == masker->next_pid) {
        masker->next_pid = 0;
        end_one(&masker->next_pid, &masker->next_fd);
    }
}

/* The next one, when it is ready. */
static void take_over(dv_masker *masker)
{
    uint8_t said = 0;
    if (masker->next_fd >= 0 && recv(masker->next_fd, &said, sizeof said, MSG_DONTWAIT) > 0 &&
        said == ANSWER_READY) {
        give_up(masker);
        masker->pid = masker->next_pid;
        masker->fd = masker->next_fd;
        masker->ready = true;
        masker->next_pid = 0;
        masker->next_fd = -1;
    }
}

/* One answer; DV_ERR_UNAVAILABLE: none comes. */
static dv_result await(const dv_masker *masker, dv_time timeout, uint8_t *bytes, size_t size,
                       dv_slice *ret_answer)
{
    dv_time deadline = dv_time_monotonic() + timeout;
    struct pollfd wait = {.fd = masker->fd, .events = POLLIN};
    int ready = 0;
    do {
        dv_time left = DV_MAX(deadline - dv_time_monotonic(), 0);
        ready = poll(&wait, 1, (int)(left / DV_MILLISECOND) + 1);
    } while (ready < 0 && errno == EINTR);
    ssize_t len = ready > 0 ? recv(masker->fd, bytes, size, MSG_DONTWAIT) : -1;
    if (len <= 0) {
        return DV_ERR_UNAVAILABLE;
    }
    *ret_answer = dv_slice_of(bytes, (size_t)len);
    return DV_OK;
}

static bool have_one(dv_masker *masker)
{
    uint8_t bytes[8];
    dv_slice said;
    take_over(masker);
    if (masker->fd < 0 && masker->retry_at != 0 && dv_time_monotonic() >= masker->retry_at) {
        begin(masker);
    }
    if (masker->fd >= 0 && !masker->ready) {
        masker->ready = await(masker, START_TIMEOUT, bytes, sizeof bytes, &said) == DV_OK &&
                        said.ptr[0] == ANSWER_READY;
    }
    return masker->ready;
}

static dv_result ask(const dv_masker *masker, dv_slice line, bool cut, dv_buf *out)
{
    uint8_t bytes[1 + DV_LINE_MASKED_MAX];
    uint8_t kind = cut ? LINE_CUT : LINE_WHOLE;
    dv_slice said;
    struct iovec parts[] = {{&kind, 1}, {(void *)(uintptr_t)line.ptr, line.len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = DV_ARRAY_LEN(parts)};
    if (sendmsg(masker->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)(1 + line.len)) {
        return DV_ERR_UNAVAILABLE;
    }
    DV_TRY(await(masker, LINE_TIMEOUT, bytes, sizeof bytes, &said));
    if (said.ptr[0] != ANSWER_MASKED) {
        return said.ptr[0] == ANSWER_WITHHELD ? DV_ERR_TOO_LARGE : DV_ERR_UNAVAILABLE;
    }
    return dv_buf_append(out, dv_slice_sub(said, 1, said.len));
}

bool dv_masker_run(dv_masker *masker, dv_slice line, bool cut, dv_buf *out)
{
    dv_result result = DV_ERR_UNAVAILABLE;
    if (line.len <= DV_LINE_MAX && have_one(masker)) {
        result = ask(masker, line, cut, out);
    }
    if (result == DV_ERR_UNAVAILABLE && masker->fd >= 0) {
        give_up(masker);
        masker->retry_at = dv_time_monotonic() + RETRY_PAUSE;
    }
    masker->withheld += result == DV_OK ? 0 : 1;
    return result == DV_OK;
}
