/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_process.h"

#include "base/buf.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What of our own environment the processes see; the rest could hold secrets. Of systemd's
 * credentials it is the folder's name. */
static const char *const passed_on[] = {"PATH",
                                        "TZ",
                                        "LANG",
                                        "LD_PRELOAD",
                                        "LD_LIBRARY_PATH",
                                        "ASAN_OPTIONS",
                                        "UBSAN_OPTIONS",
                                        "LSAN_OPTIONS",
                                        "CREDENTIALS_DIRECTORY"};

/* Lines that wait while others are masked. */
enum { DV_PROCESS_PIPE = 1 << 20 };

enum { DV_ENVIRONMENT_MAX = 16, DV_ENVIRONMENT_TEXT = 8192 };

typedef struct environment {
    char *entries[DV_ENVIRONMENT_MAX];
    size_t count;
    char text[DV_ENVIRONMENT_TEXT];
    size_t used;
} environment;

static void add_variable(environment *env, const char *name, const char *value)
{
    size_t room = sizeof env->text - env->used;
    if (value == NULL || env->count + 1 >= DV_ENVIRONMENT_MAX) {
        return;
    }
    int len = snprintf(env->text + env->used, room, "%s=%s", name, value);
    if (len > 0 && (size_t)len < room) {
        env->entries[env->count++] = env->text + env->used;
        env->used += (size_t)len + 1;
    }
}

static void make_environment(environment *env, const dv_process_plan *plan)
{
    add_variable(env, "NOTIFY_SOCKET", plan->notify);
    for (size_t i = 0; i < DV_ARRAY_LEN(passed_on); i++) {
        add_variable(env, passed_on[i], getenv(passed_on[i]));
    }
}

/* From here to exec: in the child. A failure is told through the pipe. */
static void dv_printf(1, 2) __attribute__((noreturn)) give_up(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vdprintf(STDERR_FILENO, format, args);
    va_end(args);
    _exit(126);
}

static void redirect(int output)
{
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0) {
        _exit(126);
    }
}

/* The state as the processes see it, when its own path is closed to them. */
static void mount_view(const dv_layout *layout)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(layout->state, layout->view, NULL, MS_BIND, NULL) != 0) {
        give_up("can not show %s to the processes: %s\n", layout->state, strerror(errno));
    }
}

static void take_account(const dv_layout *layout, dv_account account)
{
    gid_t groups[1 + DV_ACCOUNT_GROUPS_MAX] = {layout->shared};
    memcpy(groups + 1, account.groups, account.group_count * sizeof(gid_t));
    if (setgroups(1 + account.group_count, groups) != 0 ||
        setresgid(account.gid, account.gid, account.gid) != 0 ||
        setresuid(account.uid, account.uid, account.uid) != 0) {
        give_up("can not become user %ld: %s\n", (long)account.uid, strerror(errno));
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        give_up("can not give up privileges: %s\n", strerror(errno));
    }
}

static void ask_for_death_signal(int number, pid_t supervisor)
{
    prctl(PR_SET_PDEATHSIG, number, 0, 0, 0);
    if (getppid() != supervisor) {
        _exit(126); /* it died before we asked */
    }
}

/* As many descriptors as this account may have: a stream takes two. */
static void raise_descriptors(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void child(const dv_process_plan *plan, const dv_layout *layout, int output, int program,
                  environment *env, pid_t supervisor)
{
    const struct rlimit no_core = {0, 0};
    sigset_t none;
    sigemptyset(&none);
    setsid();
    redirect(output);
    if (layout->mount) {
        mount_view(layout);
    }
    if (plan->account != NULL) {
        take_account(layout, *plan->account);
    }
    setrlimit(RLIMIT_CORE, &no_core);
    raise_descriptors();
    umask(layout->separate ? 0007 : 0077);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    ask_for_death_signal(plan->death_signal, supervisor);
    execve(plan->program, (char *const *)plan->args, env->entries);
    if (errno == EACCES) {
        /* Another user may not pass the folders above it; the open file is enough. */
        fexecve(program, (char *const *)plan->args, env->entries);
    }
    give_up("can not start %s: %s\n", plan->program, strerror(errno));
}

dv_result dv_process_start(const dv_process_plan *plan, const dv_layout *layout, pid_t *ret_pid,
                           int *ret_output, dv_error *error)
{
    environment env = {0};
    int ends[2];
    dv_auto(fd) int program = open(plan->program, O_PATH | O_CLOEXEC);
    if (program < 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "can not find %s: %s", plan->program,
                            strerror(errno));
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return dv_error_set(error, DV_ERR_IO, "pipe: %s", strerror(errno));
    }
    make_environment(&env, plan);
    pid_t supervisor = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        child(plan, layout, ends[1], program, &env, supervisor);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return dv_error_set(error, DV_ERR_IO, "fork: %s", strerror(errno));
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[0], F_SETPIPE_SZ, DV_PROCESS_PIPE); /* where less must do, it does */
    *ret_pid = pid;
    *ret_output = ends[0];
    return DV_OK;
}

static int exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Reads until the writers are gone or the time is up; what goes over the buffer is dropped. */
static bool read_until_closed(int fd, dv_time deadline, dv_buf *output)
{
    uint8_t bytes[4096];
    for (;;) {
        dv_time left = deadline - dv_time_monotonic();
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (left <= 0 || poll(&wait, 1, (int)(left / DV_MILLISECOND) + 1) == 0) {
            return false;
        }
        ssize_t len = read(fd, bytes, sizeof bytes);
        if (len == 0) {
            return true;
        }
        if (len > 0) {
            (void)!dv_buf_append(output, dv_slice_of(bytes, (size_t)len));
        }
    }
}

dv_result dv_process_run(const dv_process_plan *plan, const dv_layout *layout, dv_time timeout,
                         dv_buf *output, int *ret_code, dv_error *error)
{
    pid_t pid = 0;
    dv_auto(fd) int fd = -1;
    DV_TRY(dv_process_start(plan, layout, &pid, &fd, error));
    bool ended = read_until_closed(fd, dv_time_monotonic() + timeout, output);
    if (!ended) {
        kill(pid, SIGKILL);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!ended) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "%s did not end in time", plan->program);
    }
    *ret_code = exit_code(status);
    return DV_OK;
}

/* Of /proc/PID/stat: what tells one process from a later one with its number. */
typedef struct process_facts {
    pid_t parent;
    pid_t group;
    pid_t session;
    bool dead; /* waits to be buried by its parent; no thread holds a port or file any more */
    uint64_t started; /* clock ticks since boot */
    char name[32];
} process_facts;

static bool read_facts(pid_t pid, process_facts *ret_facts)
{
    char path[64];
    char text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (len <= 0) {
        return false;
    }
    text[len] = '\0';
    /* The name may hold anything, so the last ')' ends it. */
    char *open_mark = strchr(text, '(');
    char *close_mark = strrchr(text, ')');
    if (open_mark == NULL || close_mark == NULL || close_mark < open_mark) {
        return false;
    }
    char state = 0;
    long parent = 0;
    long group = 0;
    long session = 0;
    long threads = 0;
    unsigned long long started = 0;
    /* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
    if (sscanf(close_mark + 1,
               " %c %ld %ld %ld %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu",
               &state, &parent, &group, &session, &threads, &started) != 6) {
        return false;
    }
    *close_mark = '\0';
    *ret_facts = (process_facts){.parent = (pid_t)parent,
                                 .group = (pid_t)group,
                                 .session = (pid_t)session,
                                 .dead = (state == 'Z' || state == 'X') && threads <= 1,
                                 .started = started};
    snprintf(ret_facts->name, sizeof ret_facts->name, "%s", open_mark + 1);
    return true;
}

static const char *boot_id(char out[40])
{
    dv_auto(fd) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, out, 36);
    out[len < 0 ? 0 : len] = '\0';
    return out;
}

static dv_result processes_path(const dv_layout *layout, char ret_path[PATH_MAX])
{
    return dv_path_join(layout->runtime, "nginx/processes", ret_path);
}

dv_result dv_process_note_groups(const dv_layout *layout, const pid_t *groups, size_t count,
                                 dv_error *error)
{
    char path[PATH_MAX];
    char boot[40];
    dv_auto(buf) dv_buf text = dv_buf_init(4096);
    DV_TRY(processes_path(layout, path));
    DV_TRY(dv_buf_append_printf(&text, "%s\n", boot_id(boot)));
    for (size_t i = 0; i < count; i++) {
        process_facts facts;
        if (groups[i] > 0 && read_facts(groups[i], &facts)) {
            DV_TRY(dv_buf_append_printf(&text, "%ld %llu\n", (long)groups[i],
                                        (unsigned long long)facts.started));
        }
    }
    return dv_file_write_atomic(path, dv_buf_slice(&text), 0600, error);
}

DV_DEFINE_AUTO_PTR(dir, DIR, closedir)

/* Calls each(data, pid) for every process. */
static void each_process(void (*each)(void *data, pid_t pid), void *data)
{
    dv_auto(dir) DIR *proc = opendir("/proc");
    struct dirent *entry = NULL;
    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid > 0) {
            each(data, (pid_t)pid);
        }
    }
}

typedef struct group_members {
    pid_t group;
    size_t alive;
} group_members;

static void count_member(void *data, pid_t pid)
{
    group_members *members = data;
    process_facts facts;
    if (read_facts(pid, &facts) && facts.group == members->group && !facts.dead) {
        members->alive++;
    }
}

/* The dead whose parent does not bury them hold nothing. */
static bool group_lives(pid_t group)
{
    group_members members = {group, 0};
    each_process(count_member, &members);
    return members.alive > 0;
}

dv_result dv_process_end_group(pid_t group, dv_time timeout)
{
    dv_time deadline = dv_time_monotonic() + timeout;
    while (kill(-group, SIGKILL) == 0) {
        /* Members that were handed to us (we are the subreaper) are ours to bury. */
        while (waitpid(-group, NULL, WNOHANG) > 0) {
        }
        if (!group_lives(group)) {
            return DV_OK;
        }
        if (dv_time_monotonic() > deadline) {
            return DV_ERR_UNAVAILABLE;
        }
        nanosleep(&(struct timespec){0, 2000000}, NULL);
    }
    return errno == ESRCH ? DV_OK : DV_ERR_FORBIDDEN;
}

typedef struct group_search {
    pid_t group;
    uint64_t started;
    bool found;
} group_search;

static bool is_our_program(const char *name)
{
    /* A program started through its open file is called by that file's number. */
    return strcmp(name, "nginx") == 0 || strcmp(name, "dvarad") == 0 ||
           strcmp(name, "dvara-logd") == 0 || strcmp(name, "dvara-collect") == 0 ||
           strcmp(name, "dvara-export") == 0 || strspn(name, "0123456789") == strlen(name);
}

static void search_group(void *data, pid_t pid)
{
    group_search *search = data;
    process_facts facts;
    if (read_facts(pid, &facts) && !facts.dead && facts.session == search->group &&
        facts.started >= search->started && is_our_program(facts.name)) {
        search->found = true;
    }
}

static dv_result end_noted(dv_slice line, dv_error *error)
{
    char text[64];
    long group = 0;
    unsigned long long started = 0;
    snprintf(text, sizeof text, "%.*s", DV_SLICE_ARGS(line));
    /* NOLINTNEXTLINE(cert-err34-c): we wrote these numbers */
    if (sscanf(text, "%ld %llu", &group, &started) != 2 || group <= 1) {
        return DV_OK;
    }
    group_search search = {(pid_t)group, started, false};
    each_process(search_group, &search);
    if (!search.found) {
        return DV_OK;
    }
    if (dv_process_end_group((pid_t)group, 5 * DV_SECOND) != DV_OK) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "processes of an earlier run are still there and can not be ended "
                            "(process group %ld)",
                            group);
    }
    return DV_OK;
}

dv_result dv_process_end_orphans(const dv_layout *layout, dv_error *error)
{
    char path[PATH_MAX];
    char boot[40];
    dv_auto(buf) dv_buf text = dv_buf_init(4096);
    DV_TRY(processes_path(layout, path));
    if (access(path, F_OK) != 0) {
        return DV_OK;
    }
    DV_TRY(dv_file_read(path, &text, error));
    dv_slice rest = dv_buf_slice(&text);
    dv_slice line;
    /* After a boot the numbers mean nothing. */
    if (!dv_slice_split(&rest, '\n', &line) || !dv_slice_eq_str(line, boot_id(boot))) {
        return DV_OK;
    }
    while (dv_slice_split(&rest, '\n', &line)) {
        DV_TRY(end_noted(line, error));
    }
    return DV_OK;
}

typedef struct child_count {
    pid_t parent;
    size_t count;
    pid_t newest;
} child_count;

static void count_child(void *data, pid_t pid)
{
    child_count *children = data;
    process_facts facts;
    if (read_facts(pid, &facts) && facts.parent == children->parent) {
        children->count++;
        children->newest = DV_MAX(children->newest, pid);
    }
}

size_t dv_process_children(pid_t parent, pid_t *ret_newest)
{
    child_count children = {parent, 0, 0};
    each_process(count_child, &children);
    *ret_newest = children.newest;
    return children.count;
}
