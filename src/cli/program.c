/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

static dv_result failed(const char *name, const char *what, int code, dv_error *error)
{
    return dv_error_set(error, code == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO,
                        "%s can not be %s: %s%s", name, what, strerror(code),
                        code == ENOENT ? "; `apt-get install postgresql-client` has it" : "");
}

static int spawn(const char *const *argv, bool reads, int end, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    int code = posix_spawn_file_actions_init(&actions);
    if (code != 0) {
        return code;
    }
    code = posix_spawnattr_init(&attributes);
    if (code != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return code;
    }
    int mine = reads ? STDIN_FILENO : STDOUT_FILENO, other = reads ? STDOUT_FILENO : STDIN_FILENO;
    code = posix_spawn_file_actions_adddup2(&actions, end, mine);
    code = code != 0 ? code
                     : posix_spawn_file_actions_addopen(&actions, other, "/dev/null",
                                                        reads ? O_WRONLY : O_RDONLY, 0);
    code = code != 0 ? code : posix_spawnattr_setsigdefault(&attributes, &defaults);
    code = code != 0 ? code : posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    code = code != 0 ? code
                     : posix_spawnp(ret_pid, argv[0], &actions, &attributes,
                                    (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

dv_result dv_program_start(const char *const *argv, bool reads, dv_program *ret_program,
                           dv_error *error)
{
    int ends[2]; /* for reading, for writing */
    pid_t pid = 0;
    (void)signal(SIGPIPE, SIG_IGN);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return failed(argv[0], "started", errno, error);
    }
    int code = spawn(argv, reads, ends[reads ? 0 : 1], &pid);
    (void)close(ends[reads ? 0 : 1]);
    if (code != 0) {
        (void)close(ends[reads ? 1 : 0]);
        return failed(argv[0], "started", code, error);
    }
    *ret_program = (dv_program){.name = argv[0], .pid = pid, .fd = ends[reads ? 1 : 0]};
    return DV_OK;
}

dv_result dv_program_write(dv_program *program, dv_slice bytes, dv_error *error)
{
    while (bytes.len > 0) {
        ssize_t done = write(program->fd, bytes.ptr, bytes.len);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return failed(program->name, "written to", errno, error);
        }
        bytes = dv_slice_sub(bytes, (size_t)done, SIZE_MAX);
    }
    return DV_OK;
}

dv_result dv_program_read(dv_program *program, uint8_t *out, size_t room, size_t *ret_len,
                          dv_error *error)
{
    size_t len = 0;
    while (len < room) { /* a source's `get` fills up, or has come to the end */
        ssize_t done = read(program->fd, out + len, room - len);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return failed(program->name, "read from", errno, error);
        }
        if (done == 0) {
            break;
        }
        len += (size_t)done;
    }
    *ret_len = len;
    return DV_OK;
}

static void close_end(dv_program *program)
{
    if (program->fd >= 0) {
        (void)close(program->fd);
        program->fd = -1;
    }
}

static int wait_for(dv_program *program)
{
    int status = 0;
    while (waitpid(program->pid, &status, 0) < 0 && errno == EINTR) {
    }
    program->pid = 0;
    return status;
}

dv_result dv_program_end(dv_program *program, dv_error *error)
{
    close_end(program);
    int status = wait_for(program);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return DV_OK;
    }
    return dv_error_set(error, DV_ERR_IO, "%s ended with %s %d", program->name,
                        WIFEXITED(status) ? "status" : "signal",
                        WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

void dv_program_stop(dv_program *program)
{
    if (program->pid > 0) {
        (void)kill(program->pid, SIGTERM);
        close_end(program);
        (void)wait_for(program);
    }
}
