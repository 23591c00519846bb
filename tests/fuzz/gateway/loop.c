/* SPDX-License-Identifier: Apache-2.0 */
/* Takes nginx's worker over: when the module's process begins, the target runs instead of nginx's
 * own loop. */
#include "fuzz/gateway/gate.h"
#include "gateway/request.h"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 64 };

int gate_run(int argc, char **argv); /* drive.c */

gate_setup gate;

static ngx_int_t (*module_init)(ngx_cycle_t *cycle);
static dv_main_conf *main_conf;
static int poll_fd = -1;
static ngx_uint_t free_connections;
static size_t arenas;

void gate_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("gate: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    abort();
}

/* ---- the loop ---- */

/* As ngx_process_events_and_timers, but never waiting and without looking at the clock. */
void gate_turn(void)
{
    ngx_cycle_t *cycle = (ngx_cycle_t *)ngx_cycle;
    if (!ngx_queue_empty(&ngx_posted_next_events)) {
        ngx_event_move_posted_next(cycle);
    }
    (void)ngx_process_events(cycle, 0, 0);
    ngx_event_process_posted(cycle, &ngx_posted_accept_events);
    ngx_event_expire_timers();
    ngx_event_process_posted(cycle, &ngx_posted_events);
}

bool gate_has_posted(void)
{
    return !ngx_queue_empty(&ngx_posted_next_events) || !ngx_queue_empty(&ngx_posted_events) ||
           !ngx_queue_empty(&ngx_posted_accept_events);
}

bool gate_computes(void)
{
    return !ngx_queue_empty(&main_conf->pool.running);
}

int gate_poll_fd(void)
{
    return poll_fd;
}

void gate_pass_time(unsigned milliseconds)
{
    ngx_current_msec += milliseconds;
    ngx_event_expire_timers();
}

void gate_check_rest(void)
{
    if (!ngx_queue_empty(&main_conf->requests)) {
        gate_fail("a request is not finished");
    }
    if (main_conf->worker.arena_count < arenas) {
        gate_fail("an arena did not come back");
    }
    arenas = main_conf->worker.arena_count;
    if (ngx_cycle->free_connection_n != free_connections) {
        gate_fail("%ld connections did not come back",
                  (long)free_connections - (long)ngx_cycle->free_connection_n);
    }
}

/* ---- taking over ---- */

static void write_log(ngx_log_t *log, ngx_uint_t level, u_char *text, size_t len)
{
    if (level <= NGX_LOG_CRIT) {
        gate_fail("nginx logged: %.*s", (int)len, (const char *)text);
    }
    if (getenv("DVARA_FUZZ_LOG") != NULL) {
        (void)fprintf(stderr, "nginx: %.*s", (int)len, (const char *)text);
    }
}

static void watch_log(ngx_cycle_t *cycle)
{
    ngx_listening_t *listens = cycle->listening.elts;
    cycle->log->writer = write_log;
    for (ngx_uint_t i = 0; i < cycle->listening.nelts; i++) {
        listens[i].log.writer = write_log;
    }
}

/* The one descriptor of this process that is an epoll. */
static int find_poll_fd(void)
{
    int found = -1;
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char target[64];
        ssize_t len = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target));
        if (len > 0 &&
            dv_slice_eq_str(dv_slice_of(target, (size_t)len), "anon_inode:[eventpoll]")) {
            found = (int)strtol(entry->d_name, NULL, 10);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return found;
}

/* libFuzzer leaves alone what has a handler. */
static void reset_signals(void)
{
    static const int signals[] = {SIGALRM, SIGINT, SIGTERM, SIGCHLD, SIGHUP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < DV_ARRAY_LEN(signals); i++) {
        (void)signal(signals[i], SIG_DFL);
    }
    (void)signal(SIGPIPE, SIG_IGN);
}

static ngx_int_t take_over(ngx_cycle_t *cycle)
{
    if (module_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }
    main_conf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_dvara_module);
    poll_fd = find_poll_fd();
    if (poll_fd < 0 || !main_conf->worker.loaded) {
        gate_fail("the gate is not ready");
    }
    reset_signals();
    (void)prctl(PR_SET_DUMPABLE, 1); /* or leaks could not be looked for */
    watch_log(cycle);
    ledger_open();
    free_connections = cycle->free_connection_n;
    exit(gate_run(gate.argc, gate.argv));
}

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL) {
        gate_fail("%s is not set: start this with launch.py", name);
    }
    return value;
}

static int number(const char *name)
{
    return (int)strtol(setting(name), NULL, 10);
}

/* nginx's environment is empty later on. What this process starts itself must not be as it is. */
__attribute__((constructor)) static void hook(void)
{
    static char *arguments[ARGUMENTS_MAX + 1];
    char *rest = strdup(setting("DVARA_FUZZ_ARGS"));
    gate.address = strdup(setting("DVARA_FUZZ_ADDRESS"));
    gate.port = number("DVARA_FUZZ_PORT");
    gate.upstream_fd = number("DVARA_FUZZ_UPSTREAM_FD");
    gate.runtime = strdup(setting("DVARA_FUZZ_RUNTIME"));
    gate.spool = strdup(setting("DVARA_FUZZ_SPOOL"));
    gate.key = strdup(setting("DVARA_FUZZ_KEY"));
    gate.weak_key = strdup(setting("DVARA_FUZZ_WEAK_KEY"));
    for (char *word = strsep(&rest, "\n"); word != NULL && gate.argc < ARGUMENTS_MAX;
         word = strsep(&rest, "\n")) {
        arguments[gate.argc++] = word;
    }
    gate.argv = arguments;
    (void)unsetenv("LD_PRELOAD");
    module_init = ngx_http_dvara_module.init_process;
    ngx_http_dvara_module.init_process = take_over;
}
