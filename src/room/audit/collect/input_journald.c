/* SPDX-License-Identifier: Apache-2.0 */
/* The systemd journal, through journalctl: its file format is its own affair. The child gives a
 * JSON object a line; its cursor is the position. What can not be taken now is read once more: the
 * child is ended and started behind the last cursor that was. */
#include "base/arena.h"
#include "base/caps.h"
#include "base/json.h"
#include "room/audit/collect/input.h"
#include "room/audit/collect/syslog.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHUNK = 64 << 10,
    ARENA = 32 << 20,
    WORDS_MAX = 2 * DV_COLLECT_UNITS_MAX + 16,
    CURSOR_WORD = DV_POSITION_CURSOR_MAX + 32,
};
static const char program[] = "/usr/bin/journalctl";
static const dv_time pause_first = DV_SECOND;
static const dv_time pause_max = 60 * DV_SECOND;

typedef struct journald_input {
    dv_watch watch; /* of the child's output; fd -1: there is no child */
    pid_t child;
    size_t slot;
    dv_frames frames;
    dv_arena *arena; /* of one entry */
    dv_time next_start;
    dv_time pause;
    uint8_t bytes[CHUNK];
    dv_slice left; /* of bytes: not yet taken apart */
} journald_input;

/* ---- The child ---- */

static void add_words(const dv_input *input, const char *cursor, char cursor_word[CURSOR_WORD],
                      char directory[DV_POSITION_KEY_MAX], const char *words[WORDS_MAX])
{
    size_t count = 0;
    static const char *const common[] = {"journalctl", "--follow",   "--output=json",
                                         "--all",      "--no-pager", "--quiet"};
    for (size_t i = 0; i < DV_ARRAY_LEN(common); i++) {
        words[count++] = common[i];
    }
    if (input->config->directory != NULL) {
        snprintf(directory, DV_POSITION_KEY_MAX, "--directory=%s", input->config->directory);
        words[count++] = directory;
    }
    if (cursor[0] != '\0') {
        snprintf(cursor_word, CURSOR_WORD, "--after-cursor=%s", cursor);
        words[count++] = cursor_word;
    } else {
        words[count++] = "--no-tail"; /* from the beginning */
    }
    for (const char *const *unit = input->config->units; *unit != NULL; unit++) {
        words[count++] = "--unit";
        words[count++] = *unit;
    }
    words[count] = NULL;
}

static void __attribute__((noreturn)) run_child(const char *const *words, int output, pid_t parent)
{
    static const char *const environment[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent || dup2(output, STDOUT_FILENO) < 0) {
        _exit(126);
    }
    execve(program, (char *const *)words, (char *const *)environment);
    _exit(127);
}

static void start_child(dv_input *input)
{
    journald_input *j = input->state;
    char cursor[CURSOR_WORD];
    char directory[DV_POSITION_KEY_MAX];
    const char *words[WORDS_MAX];
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return;
    }
    add_words(input, dv_positions_get(dv_collector_positions(input->collector), j->slot)->cursor,
              cursor, directory, words);
    pid_t parent = getpid();
    j->child = fork();
    if (j->child == 0) {
        run_child(words, ends[1], parent);
    }
    close(ends[1]);
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    j->watch.fd = ends[0];
    if (j->child < 0 || dv_watch_start(&j->watch, EPOLLIN) != DV_OK) {
        dv_collector_say(input->collector, "%s: journalctl can not be started",
                         input->config->name);
    }
}

static void end_child(journald_input *j)
{
    dv_watch_stop(&j->watch);
    dv_fd_close(&j->watch.fd);
    j->watch.fd = -1;
    dv_frames_reset(&j->frames);
    j->left = (dv_slice){NULL, 0};
    if (j->child > 0) {
        kill(j->child, SIGKILL);
        while (waitpid(j->child, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    j->child = 0;
}

/* ---- Entries ---- */

static dv_slice text_of(journald_input *j, const dv_json *json, const char *name)
{
    dv_slice text = {NULL, 0};
    uint32_t token = dv_json_member(json, 0, name);
    if (token == 0 || dv_json_string(json, token, j->arena, &text) != DV_OK) {
        return (dv_slice){NULL, 0};
    }
    return text;
}

/* What is no UTF-8 comes as a list of numbers. */
static dv_slice bytes_of(journald_input *j, const dv_json *json, uint32_t array)
{
    uint32_t end = json->tokens[array].next;
    uint8_t *bytes = dv_arena_alloc_raw(j->arena, end - array);
    size_t len = 0;
    for (uint32_t at = array + 1; bytes != NULL && at < end; at = json->tokens[at].next) {
        int64_t value = 0;
        if (dv_json_int(json, at, &value) != DV_OK || value < 0 || value > 255) {
            return (dv_slice){NULL, 0};
        }
        bytes[len++] = (uint8_t)value;
    }
    return dv_slice_of(bytes, bytes == NULL ? 0 : len);
}

static int small_number(dv_slice text, int max)
{
    int value = 0;
    for (size_t i = 0; i < text.len && i < 4; i++) {
        value =
            text.ptr[i] >= '0' && text.ptr[i] <= '9' ? value * 10 + (text.ptr[i] - '0') : max + 1;
    }
    return text.len == 0 || value > max ? -1 : value;
}

/* Microseconds since 1970. */
static dv_time time_of(dv_slice text)
{
    int64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || i >= 16) {
            return 0;
        }
        value = value * 10 + (text.ptr[i] - '0');
    }
    return value < DV_TIME_NEVER / 1000 ? value * 1000 : 0;
}

static dv_slice first_of(journald_input *j, const dv_json *json, const char *a, const char *b)
{
    dv_slice text = text_of(j, json, a);
    return text.len > 0 ? text : text_of(j, json, b);
}

static void fill_line(journald_input *j, const dv_json *json, dv_line *line)
{
    uint32_t message = dv_json_member(json, 0, "MESSAGE");
    if (message != 0) {
        line->raw = json->tokens[message].type == DV_JSON_ARRAY ? bytes_of(j, json, message)
                                                                : text_of(j, json, "MESSAGE");
    }
    line->raw_size = line->raw.len;
    line->text = line->raw;
    line->program = first_of(j, json, "SYSLOG_IDENTIFIER", "_COMM");
    line->pid = first_of(j, json, "_PID", "SYSLOG_PID");
    line->host = text_of(j, json, "_HOSTNAME");
    line->severity = small_number(text_of(j, json, "PRIORITY"), 7);
    line->facility = small_number(text_of(j, json, "SYSLOG_FACILITY"), 23);
    line->time = time_of(first_of(j, json, "_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"));
}

static dv_result take_entry(dv_input *input, const dv_frame *frame)
{
    static const dv_json_limits limits = {.depth = 8, .tokens = DV_LIMIT_COLLECT_LINE + 1000};
    journald_input *j = input->state;
    dv_positions *positions = dv_collector_positions(input->collector);
    dv_json json;
    dv_line line = dv_input_line(input, frame);
    dv_position next = *dv_positions_get(positions, j->slot);
    dv_arena_recycle(j->arena);
    if (frame->size > frame->bytes.len ||
        dv_json_scan(frame->bytes, &limits, j->arena, &json, NULL) != DV_OK) {
        return dv_input_take(input, &line, j->slot, &next); /* whole, as it came */
    }
    dv_slice cursor = text_of(j, &json, "__CURSOR");
    if (cursor.len > 0 && cursor.len < sizeof next.cursor) {
        dv_slice_copy(cursor, next.cursor, sizeof next.cursor);
    }
    fill_line(j, &json, &line);
    return dv_input_take(input, &line, j->slot, &next);
}

/* True: all that was read is taken. */
static bool drain(dv_input *input)
{
    journald_input *j = input->state;
    dv_frame frame;
    while (dv_input_may_take(input) && dv_frames_next(&j->frames, &j->left, &frame)) {
        if (take_entry(input, &frame) != DV_OK) {
            end_child(j); /* it starts again behind the last one that was taken */
            return false;
        }
    }
    return j->left.len == 0;
}

static void journald_ready(dv_watch *watch, uint32_t events)
{
    dv_input *input = watch->input;
    journald_input *j = input->state;
    if (!drain(input)) {
        return;
    }
    ssize_t len = read(watch->fd, j->bytes, sizeof j->bytes);
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (len <= 0) {
        end_child(j);
        j->pause = DV_MIN(2 * DV_MAX(j->pause, pause_first / 2), pause_max);
        j->next_start = dv_time_monotonic() + j->pause;
        dv_collector_say(input->collector, "%s: journalctl ended", input->config->name);
        return;
    }
    j->pause = 0;
    j->left = dv_slice_of(j->bytes, (size_t)len);
    (void)drain(input);
}

/* ---- The kind ---- */

static dv_result journald_open(dv_input *input, dv_error *error)
{
    char key[DV_POSITION_KEY_MAX];
    bool known = false;
    journald_input *j = calloc(1, sizeof *j);
    input->state = j;
    if (j == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    j->watch = (dv_watch){.fd = -1, .input = input, .ready = journald_ready};
    j->frames = dv_frames_init(false);
    j->arena = dv_arena_new(ARENA);
    int len = snprintf(key, sizeof key, "journald:%s", input->config->name);
    if (j->arena == NULL || len >= (int)sizeof key) {
        return DV_ERR_NO_MEMORY;
    }
    if (access(program, X_OK) != 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "type journald needs %s", program);
    }
    return dv_positions_find(dv_collector_positions(input->collector), key, &j->slot, &known);
}

static void journald_close(dv_input *input)
{
    journald_input *j = input->state;
    end_child(j);
    dv_frames_release(&j->frames);
    dv_arena_free(j->arena);
    free(j);
    input->state = NULL;
}

static void journald_pause(dv_input *input, bool paused)
{
    journald_input *j = input->state;
    if (paused) {
        dv_watch_stop(&j->watch);
    } else if (j->watch.fd >= 0) {
        (void)!dv_watch_start(&j->watch, EPOLLIN);
    }
}

static void journald_tick(dv_input *input)
{
    journald_input *j = input->state;
    if (j->child == 0 && !input->paused && dv_time_monotonic() >= j->next_start) {
        start_child(input);
    } else if (j->left.len > 0 && !input->paused) {
        (void)drain(input);
    }
}

const dv_input_kind dv_input_journald = {journald_open, journald_close, journald_pause,
                                         journald_tick};
