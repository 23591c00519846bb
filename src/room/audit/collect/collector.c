/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/collect/collector.h"

#include "base/caps.h"
#include "base/file.h"
#include "core/event.h"
#include "crypto/random.h"
#include "engine/log/blob.h"
#include "room/audit/collect/input.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    SEGMENT_MAX = 4 << 20,
    ARENA_MAX = 64 << 20,
    RESERVED = 4, /* records: for alarms while the disk is full */
    TICK_MS = 100,
    EVENTS = 64,         /* of one turn */
    LOOK_RECORDS = 2000, /* between two looks at the disk */
    BLOB_SPARE = 64 << 10,
    REPORT_MAX = 256 << 10,
};
static const dv_time trouble_quiet = 5 * DV_SECOND;
static const dv_time trouble_again = 60 * DV_SECOND;

#define SOURCE "collect"

struct dv_collector {
    dv_collector_options options;
    char spool_folder[PATH_MAX];
    char status_path[PATH_MAX];
    dv_spool *spool;
    dv_positions *positions;
    dv_parsers *parsers;
    dv_buf record;
    dv_buf blob;     /* of the line that is taken */
    dv_arena *arena; /* of the configuration */
    dv_collect_config config;
    dv_input *inputs;
    int epoll;
    bool busy;
    bool blocked;
    bool reserved;         /* room for alarms */
    char why[128];         /* it is blocked */
    dv_time blocked_since; /* monotonic */
    uint64_t blocked_times;
    size_t since_look; /* records */
    dv_time ticked;    /* monotonic */
    dv_time synced;
    dv_clock_watch clock;
};

/* ---- Small things ---- */

dv_parsers *dv_collector_parsers(dv_collector *collector)
{
    return collector->parsers;
}

dv_positions *dv_collector_positions(dv_collector *collector)
{
    return collector->positions;
}

bool dv_collector_is_blocked(const dv_collector *collector)
{
    return collector->blocked;
}

void dv_collector_busy(dv_collector *collector)
{
    collector->busy = true;
}

void dv_collector_say(dv_collector *collector, const char *format, ...)
{
    char line[DV_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    collector->options.say(line);
}

static dv_result reserve(dv_collector *collector)
{
    if (!collector->reserved) {
        DV_TRY(dv_spool_reserve(collector->spool, RESERVED));
        collector->reserved = true;
    }
    return DV_OK;
}

/* An alarm takes reserved room where there is no other. */
static void append_alarm(dv_collector *collector, dv_slice rule, dv_slice title)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    const dv_event_actor actor = {.time = dv_time_now(),
                                  .entity = DV_LIT("System::\"dvara-collect\"")};
    if (dv_event_alarm(&event, &actor, rule, title) != DV_OK) {
        return;
    }
    if (dv_spool_append(collector->spool, dv_buf_slice(&event), false) != DV_OK &&
        (!collector->reserved ||
         dv_spool_append(collector->spool, dv_buf_slice(&event), true) != DV_OK)) {
        dv_collector_say(collector, "this alarm could not be recorded");
    }
}

void dv_collector_alarm(dv_collector *collector, const char *rule, const char *format, ...)
{
    char title[DV_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(title, sizeof title, format, args);
    va_end(args);
    dv_collector_say(collector, "%s", title);
    append_alarm(collector, dv_slice_str(rule), dv_slice_str(title));
}

/* ---- Watching descriptors ---- */

dv_result dv_watch_start(dv_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = watch}};
    int how = watch->active ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(watch->input->collector->epoll, how, watch->fd, &event) != 0) {
        return DV_ERR_IO;
    }
    watch->active = true;
    return DV_OK;
}

void dv_watch_stop(dv_watch *watch)
{
    if (watch->active) {
        (void)epoll_ctl(watch->input->collector->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
        watch->active = false;
    }
}

/* ---- Room (invariants 2 and 3) ---- */

/* NULL: there is room. Once it stopped it goes on with some to spare, so that the alarms do not
 * come in rows. */
static const char *find_lack(const dv_collector *collector)
{
    struct statvfs disk;
    uint64_t free_min = collector->config.keep_free;
    uint64_t spool_max = collector->config.spool_max;
    if (collector->blocked) {
        free_min += DV_MIN(free_min / 4, (uint64_t)SEGMENT_MAX);
        spool_max /= 2;
    }
    if (statvfs(collector->spool_folder, &disk) == 0 &&
        (uint64_t)disk.f_bavail * disk.f_frsize < free_min) {
        return "the disk has less than collect_keep_free left";
    }
    return dv_spool_waiting(collector->spool_folder, SOURCE) > spool_max
               ? "more than collect_spool waits for dvara-logd"
               : NULL;
}

static void block(dv_collector *collector, const char *why)
{
    if (collector->blocked) {
        return;
    }
    collector->blocked = true;
    collector->blocked_times++;
    collector->synced = 0; /* the report tells it at once */
    collector->blocked_since = dv_time_monotonic();
    snprintf(collector->why, sizeof collector->why, "%s", why);
    dv_collector_alarm(collector, "collect.blocked",
                       "nothing is collected for now: %s; senders wait or are refused, UDP is lost",
                       why);
}

static void unblock(dv_collector *collector)
{
    if (reserve(collector) != DV_OK) {
        return; /* not even the alarms have room */
    }
    collector->blocked = false;
    collector->synced = 0;
    dv_collector_alarm(
        collector, "collect.resumed", "collecting goes on after %lld ms (%s)",
        (long long)((dv_time_monotonic() - collector->blocked_since) / DV_MILLISECOND),
        collector->why);
}

static void look_for_room(dv_collector *collector)
{
    const char *lack = find_lack(collector);
    collector->since_look = 0;
    if (lack != NULL) {
        block(collector, lack);
    } else if (collector->blocked) {
        unblock(collector);
    } else {
        (void)reserve(collector);
    }
}

/* ---- Lines ---- */

bool dv_input_may_take(const dv_input *input)
{
    return !input->collector->blocked && input->tokens >= 1;
}

dv_line dv_input_line(const dv_input *input, const dv_frame *frame)
{
    dv_slice bytes = frame->bytes;
    if (bytes.len > 0 && bytes.ptr[bytes.len - 1] == '\r' && frame->size == bytes.len) {
        bytes.len--;
    }
    dv_line line = {.text = bytes,
                    .raw = bytes,
                    .facility = -1,
                    .severity = -1,
                    .raw_size = frame->size > frame->bytes.len ? frame->size : bytes.len,
                    .now = dv_time_now(),
                    .input = dv_slice_str(input->config->name),
                    .keep_raw = input->config->keep_raw};
    memcpy(line.raw_hash, frame->hash, sizeof line.raw_hash);
    return line;
}

static void count_line(dv_input *input, const dv_line *line, const dv_parse_outcome *outcome)
{
    input->tokens--;
    input->counts.lines++;
    input->counts.bytes += line->raw_size;
    input->counts.unparsed += !outcome->understood;
    input->counts.large += outcome->large;
    input->counts.truncated +=
        outcome->truncated && (!outcome->large || line->raw_size > DV_LIMIT_BLOB);
    input->counts.invalid_utf8 += outcome->invalid_utf8;
    input->counts.clock_off += outcome->clock_off;
}

static dv_result write_event(dv_input *input, const dv_line *line, dv_parse_outcome *outcome)
{
    dv_buf *record = &input->collector->record;
    dv_buf_clear(record);
    return dv_parsers_event(input->collector->parsers, input->parser, line, &input->hint, record,
                            outcome);
}

/* The line's event; of one that does not fit into it, also its blob. Where none can be made, the
 * event says that it is cut. */
static dv_result make_event(dv_input *input, const dv_line *line, dv_parse_outcome *outcome)
{
    dv_blob_ref blob;
    dv_line large = *line;
    dv_collector *collector = input->collector;
    dv_buf_clear(&collector->blob);
    DV_TRY(write_event(input, line, outcome));
    dv_slice content = dv_slice_sub(line->raw, 0, DV_LIMIT_BLOB);
    if (!outcome->truncated || dv_blob_make(content, &collector->blob, &blob) != DV_OK) {
        return DV_OK;
    }
    large.blob = &blob;
    dv_result result = write_event(input, &large, outcome);
    dv_wipe(&blob, sizeof blob);
    return result;
}

static void attach(dv_collector *collector)
{
    dv_spool_attach(collector->spool, dv_buf_slice(&collector->blob));
    collector->since_look += collector->blob.len / DV_LIMIT_RECORD;
}

dv_result dv_input_take(dv_input *input, const dv_line *line, size_t slot, const dv_position *next)
{
    dv_collector *collector = input->collector;
    dv_parse_outcome outcome = {0};
    if (collector->blocked) {
        return DV_ERR_UNAVAILABLE;
    }
    if (make_event(input, line, &outcome) != DV_OK) {
        dv_trouble_add(&input->lost, 1); /* out of memory, or a bug: the alarm tells */
        return DV_OK;
    }
    dv_slice record = dv_buf_slice(&collector->record);
    attach(collector);
    dv_result result = next == NULL ? dv_spool_append(collector->spool, record, false)
                                    : dv_positions_append(collector->positions, collector->spool,
                                                          record, slot, next);
    if (result != DV_OK) {
        block(collector, "the spool takes no records");
        return DV_ERR_UNAVAILABLE;
    }
    count_line(input, line, &outcome);
    dv_buf_clear(&collector->blob);
    dv_buf_trim(&collector->blob, BLOB_SPARE);
    if (++collector->since_look >= LOOK_RECORDS) {
        look_for_room(collector);
    }
    return DV_OK;
}

void dv_trouble_add(dv_trouble *trouble, uint64_t count)
{
    trouble->count += count;
    trouble->last = count > 0 ? dv_time_monotonic() : trouble->last;
}

static void tell_trouble(dv_input *input, dv_trouble *trouble)
{
    dv_time now = dv_time_monotonic();
    bool more = trouble->count > trouble->told;
    bool ends = trouble->active && now - trouble->last > trouble_quiet;
    if (more && (!trouble->active || now - trouble->said > trouble_again || ends)) {
        dv_collector_alarm(input->collector, trouble->rule, "%s: %llu %s%s", input->config->name,
                           (unsigned long long)(trouble->count - trouble->told), trouble->what,
                           ends ? "; it ended" : "");
        trouble->told = trouble->count;
        trouble->said = now;
        trouble->active = true;
    } else if (ends) {
        dv_collector_say(input->collector, "%s: no more of: %s", input->config->name,
                         trouble->what);
    }
    trouble->active = trouble->active && !ends;
}

/* ---- Time ---- */

static void refill(dv_input *input, dv_time now)
{
    double rate = (double)input->config->rate;
    input->tokens += rate * (double)(now - input->refilled) / (double)DV_SECOND;
    input->tokens = DV_MIN(input->tokens, DV_MAX(rate, 1.0));
    input->refilled = now;
}

/* Over its rate is told like a trouble, and counted in the report. */
static void update_input(dv_input *input)
{
    bool limited = !input->collector->blocked && input->tokens < 1;
    bool paused = input->collector->blocked || limited;
    if (limited && !input->limited) {
        input->limited_times++;
        if (input->limited_times == 1) {
            dv_collector_say(input->collector, "%s: more than its rate of %lld lines a second",
                             input->config->name, (long long)input->config->rate);
        }
    }
    input->limited = limited;
    if (paused != input->paused) {
        input->paused = paused;
        input->kind->pause(input, paused);
    }
}

static void watch_clock(dv_collector *collector)
{
    dv_time jump = dv_clock_watch_look(&collector->clock, dv_time_now(), dv_time_monotonic());
    if (jump != 0) {
        dv_collector_alarm(collector, "collect.clock", "the clock jumped by %lld ms",
                           (long long)(jump / DV_MILLISECOND));
    }
}

static dv_result report_input(const dv_input *input, dv_buf *out)
{
    const dv_input_counts *c = &input->counts;
    DV_TRY(dv_buf_append_str(out, "{\"name\":"));
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(input->config->name)));
    return dv_buf_append_printf(
        out,
        ",\"lines\":%llu,\"bytes\":%llu,\"unparsed\":%llu,\"truncated\":%llu,\"large\":%llu,"
        "\"invalid_utf8\":%llu,"
        "\"clock_off\":%llu,\"dropped\":%llu,\"lost\":%llu,\"refused\":%llu,\"limited\":%llu,"
        "\"paused\":%s}",
        (unsigned long long)c->lines, (unsigned long long)c->bytes, (unsigned long long)c->unparsed,
        (unsigned long long)c->truncated, (unsigned long long)c->large,
        (unsigned long long)c->invalid_utf8, (unsigned long long)c->clock_off,
        (unsigned long long)input->dropped.count, (unsigned long long)input->lost.count,
        (unsigned long long)c->refused, (unsigned long long)input->limited_times,
        input->paused ? "true" : "false");
}

/* Not synced: after a power loss nobody wants it. */
static void replace_file(const char *path, dv_slice bytes)
{
    char temporary[PATH_MAX];
    int len = snprintf(temporary, sizeof temporary, "%s.new", path);
    dv_auto(fd) int fd =
        len >= PATH_MAX
            ? -1
            : open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd >= 0 && dv_fd_write_all(fd, bytes) == DV_OK) {
        (void)rename(temporary, path);
    }
}

/* RUNTIME/collect/status, for `dvara audit collectors`: one JSON object. */
static void write_report(dv_collector *collector)
{
    dv_auto(buf) dv_buf text = dv_buf_init(REPORT_MAX);
    dv_result result = dv_buf_append_printf(
        &text, "{\"written\":%lld,\"blocked\":%s,\"blocked_times\":%llu,\"inputs\":[",
        (long long)(dv_time_now() / DV_SECOND), collector->blocked ? "true" : "false",
        (unsigned long long)collector->blocked_times);
    for (dv_input *input = collector->inputs; input != NULL && result == DV_OK;
         input = input->next) {
        result = report_input(input, &text);
        if (result == DV_OK && input->next != NULL) {
            result = dv_buf_append_str(&text, ",");
        }
    }
    if (result == DV_OK && dv_buf_append_str(&text, "]}\n") == DV_OK) {
        replace_file(collector->status_path, dv_buf_slice(&text));
    }
}

static void tick(dv_collector *collector)
{
    dv_time now = dv_time_monotonic();
    watch_clock(collector);
    look_for_room(collector);
    for (dv_input *input = collector->inputs; input != NULL; input = input->next) {
        refill(input, now);
        update_input(input);
        input->kind->tick(input);
        update_input(input);
        tell_trouble(input, &input->dropped);
        tell_trouble(input, &input->lost);
    }
    if (now - collector->synced >= DV_SECOND) {
        dv_positions_sync(collector->positions);
        write_report(collector);
        collector->synced = dv_time_monotonic();
    }
    collector->ticked = now;
}

/* One at a time, so that what a handler closes is in no list of ours; the kernel hands the ready
 * ones out in turn. False: nothing is ready. */
static bool serve_one(dv_collector *collector, int wait, bool *ret_ended)
{
    struct epoll_event event = {.events = 0};
    if (epoll_wait(collector->epoll, &event, 1, wait) != 1) {
        return false;
    }
    dv_watch *watch = event.data.ptr;
    *ret_ended = watch == NULL;
    if (watch != NULL) {
        dv_input *input = watch->input;
        watch->ready(watch, event.events);
        update_input(input);
    }
    return true;
}

bool dv_collector_turn(dv_collector *collector, int signals)
{
    struct epoll_event wanted = {.events = EPOLLIN, .data = {.ptr = NULL}};
    (void)epoll_ctl(collector->epoll, EPOLL_CTL_ADD, signals, &wanted); /* once is enough */
    dv_time due = collector->ticked + TICK_MS * DV_MILLISECOND - dv_time_monotonic();
    bool busy = collector->busy;
    int wait = due <= 0 || busy ? 0 : (int)(due / DV_MILLISECOND) + 1;
    collector->busy = false;
    for (int i = 0; i < EVENTS; i++) {
        bool ended = false;
        if (!serve_one(collector, i == 0 ? wait : 0, &ended)) {
            break;
        }
        if (ended) {
            return true;
        }
    }
    if (busy || collector->busy ||
        dv_time_monotonic() - collector->ticked >= TICK_MS * DV_MILLISECOND) {
        tick(collector);
    }
    return false;
}

/* ---- Inputs ---- */

static const dv_input_kind *const kinds[] = {[DV_COLLECT_SYSLOG] = &dv_input_syslog,
                                             [DV_COLLECT_FILE] = &dv_input_file,
                                             [DV_COLLECT_JOURNALD] = &dv_input_journald,
                                             [DV_COLLECT_HTTP] = &dv_input_http};

static void free_input(dv_input *input)
{
    if (input->state != NULL) {
        input->kind->close(input);
    }
    free(input->key);
    free(input);
}

/* All that makes an input another one. */
static char *key_of(const dv_collect_input *config)
{
    static const char *const none = "";
    char *key = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&key, &len);
    if (out == NULL) {
        return NULL;
    }
    const char *const texts[] = {config->name,        config->parser,    config->listen,
                                 config->certificate, config->key,       config->client_ca,
                                 config->path,        config->directory, config->token_file};
    fprintf(out, "%d %lld %d", (int)config->kind, (long long)config->rate, config->keep_raw);
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        fprintf(out, "\n%s", texts[i] == NULL ? none : texts[i]);
    }
    for (const char *const *unit = config->units; *unit != NULL; unit++) {
        fprintf(out, "\n%s", *unit);
    }
    for (size_t i = 0; i < sizeof config->token_hash; i++) {
        fprintf(out, "%02x", config->token_hash[i]);
    }
    if (fclose(out) != 0) {
        free(key);
        return NULL;
    }
    return key;
}

static dv_result open_input(dv_collector *collector, const dv_collect_input *config,
                            dv_input **ret_input, dv_error *error)
{
    dv_input *input = calloc(1, sizeof *input);
    if (input == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *input = (dv_input){.kind = kinds[config->kind],
                        .collector = collector,
                        .config = config,
                        .tokens = (double)config->rate,
                        .refilled = dv_time_monotonic(),
                        .key = key_of(config),
                        .dropped = {.rule = "collect.dropped", .what = "messages were dropped"},
                        .lost = {.rule = "collect.lost", .what = "times lines may be missing"}};
    input->parser = strcmp(config->parser, "auto") == 0
                        ? NULL
                        : dv_parsers_find(collector->parsers, dv_slice_str(config->parser));
    dv_result result = input->key == NULL ? DV_ERR_NO_MEMORY : input->kind->open(input, error);
    if (result != DV_OK) {
        free_input(input);
        return result;
    }
    *ret_input = input;
    return DV_OK;
}

static dv_input *find_input(dv_input *list, const char *key)
{
    while (list != NULL && strcmp(list->key, key) != 0) {
        list = list->next;
    }
    return list;
}

static void close_list(dv_input *list)
{
    while (list != NULL) {
        dv_input *next = list->next;
        free_input(list);
        list = next;
    }
}

/* Opens what is not there yet. */
static dv_result open_new(dv_collector *collector, const dv_collect_config *config, dv_error *error)
{
    for (size_t i = 0; i < config->count; i++) {
        char *key = key_of(&config->inputs[i]);
        dv_input *made = NULL;
        bool known = key != NULL && find_input(collector->inputs, key) != NULL;
        free(key);
        if (!known) {
            DV_TRY(open_input(collector, &config->inputs[i], &made, error));
            made->next = collector->inputs;
            collector->inputs = made;
        }
    }
    return DV_OK;
}

/* The old inputs that the new configuration has, too, with its strings; closes the others. */
static dv_input *keep_known(dv_input *old, const dv_collect_config *config)
{
    dv_input *kept = NULL;
    while (old != NULL) {
        dv_input *next = old->next;
        const dv_collect_input *same = NULL;
        for (size_t i = 0; i < config->count && same == NULL; i++) {
            char *key = key_of(&config->inputs[i]);
            same = key != NULL && strcmp(key, old->key) == 0 ? &config->inputs[i] : NULL;
            free(key);
        }
        if (same == NULL) {
            free_input(old);
        } else {
            old->config = same;
            old->next = kept;
            kept = old;
        }
        old = next;
    }
    return kept;
}

static dv_result read_config(const char *path, dv_arena *arena, dv_collect_config *ret_config,
                             dv_error *error)
{
    const dv_yaml *root = NULL;
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CONFIG);
    DV_TRY(dv_file_read(path, &text, error));
    DV_TRY(dv_yaml_parse(dv_buf_slice(&text), arena, &root, error));
    return dv_collect_config_read(dv_yaml_get(root, "audit"), arena, ret_config, error);
}

dv_result dv_collector_configure(dv_collector *collector, const char *path, dv_error *error)
{
    dv_collect_config config = {0};
    dv_arena *arena = dv_arena_new(ARENA_MAX);
    dv_result result = arena == NULL ? DV_ERR_NO_MEMORY : read_config(path, arena, &config, error);
    if (result != DV_OK) {
        dv_arena_free(arena);
        return result;
    }
    /* What changed is closed first: an address or a file can not be had twice. */
    collector->inputs = keep_known(collector->inputs, &config);
    dv_arena_free(collector->arena);
    collector->arena = arena;
    collector->config = config;
    DV_TRY(open_new(collector, &config, error));
    look_for_room(collector);
    return DV_OK;
}

/* ---- Opening and closing ---- */

static dv_result open_all(dv_collector *collector, dv_error *error)
{
    uint8_t key[32];
    char folder[PATH_MAX], segments[PATH_MAX];
    bool fresh = false;
    const dv_collector_options *options = &collector->options;
    int a = snprintf(collector->spool_folder, PATH_MAX, "%s/spool", options->state_dir);
    int b = snprintf(collector->status_path, PATH_MAX, "%s/collect/status", options->runtime_dir);
    int c = snprintf(folder, PATH_MAX, "%s/collect", options->state_dir);
    if (a >= PATH_MAX || b >= PATH_MAX || c >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", options->state_dir);
    }
    DV_TRY(dv_spool_folder(collector->spool_folder, SOURCE, segments));
    DV_TRY(dv_log_key_read(options->runtime_dir, key, error));
    DV_TRY(dv_parsers_new(&collector->parsers, error));
    /* The positions first: their look at the last segment comes before a new one is linked. */
    DV_TRY(dv_positions_open(folder, segments, &collector->positions, &fresh, error));
    DV_TRY(
        dv_spool_open(collector->spool_folder, SOURCE, key, SEGMENT_MAX, &collector->spool, error));
    (void)reserve(collector);
    collector->epoll = epoll_create1(EPOLL_CLOEXEC);
    (void)dv_clock_watch_look(&collector->clock, dv_time_now(), dv_time_monotonic());
    return collector->epoll >= 0 ? DV_OK : DV_ERR_IO;
}

dv_result dv_collector_open(const dv_collector_options *options, dv_collector **ret_collector,
                            dv_error *error)
{
    dv_collector *collector = calloc(1, sizeof *collector);
    if (collector == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *collector = (dv_collector){.options = *options,
                                .epoll = -1,
                                .record = dv_buf_init(DV_LIMIT_RECORD),
                                .blob = dv_buf_init(DV_BLOB_STORED_MAX + (16 << 10)),
                                .config = {.keep_free = 0, .spool_max = UINT64_MAX}};
    dv_result result = open_all(collector, error);
    if (result != DV_OK) {
        dv_collector_close(collector);
        return result;
    }
    *ret_collector = collector;
    return DV_OK;
}

void dv_collector_close(dv_collector *collector)
{
    if (collector == NULL) {
        return;
    }
    close_list(collector->inputs);
    if (collector->positions != NULL) {
        dv_positions_sync(collector->positions);
    }
    dv_positions_close(collector->positions);
    dv_spool_close(collector->spool);
    if (collector->parsers != NULL) {
        dv_parsers_free(collector->parsers);
    }
    dv_buf_release(&collector->record);
    dv_buf_release(&collector->blob);
    dv_arena_free(collector->arena);
    dv_fd_close(&collector->epoll);
    free(collector);
}
