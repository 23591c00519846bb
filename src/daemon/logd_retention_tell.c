/* SPDX-License-Identifier: Apache-2.0 */
/* GET /retention: what is kept where, and what will go when. Reads the log's files, in a thread of
 * the server. */
#include "base/file.h"
#include "daemon/logd_logs.h"
#include "daemon/logd_retention_private.h"
#include "engine/log/entry.h"
#include "engine/log/search.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 8 }; /* of folders in a log */

/* What is told of one log. */
typedef struct kept {
    const dv_log_tree *log;
    const dv_retention *retention;
    char folder[PATH_MAX];
    int64_t keep_ms;
    uint64_t bytes;
    int64_t oldest_ms; /* 0: there is no event */
    uint64_t prunable; /* events that can go now */
    int64_t next_ms;   /* when the first pack is old enough; 0: never, or it is not full */
    const char *waits; /* "witnesses", "clock", "hold" or "" */
    const char *hold;  /* its name, or "" */
} kept;

/* -- sizes ------------------------------------------------------------------------------------- */

/* Bytes of a folder's files, but for those of the other logs. Takes the descriptor. */
static uint64_t folder_bytes(int fd, int depth)
{
    uint64_t bytes = 0;
    struct stat about;
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        dv_fd_close(&fd);
        return 0;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        const char *name = entry->d_name;
        bool passed = name[0] == '.' || (depth == 0 && strcmp(name, DV_LOG_OTHERS) == 0);
        if (passed || fstatat(dirfd(folder), name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (S_ISDIR(about.st_mode) && depth < DEPTH_MAX) {
            bytes += folder_bytes(openat(dirfd(folder), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                  depth + 1);
        } else if (S_ISREG(about.st_mode)) {
            bytes += (uint64_t)about.st_size;
        }
    }
    closedir(folder);
    return bytes;
}

/* -- times ------------------------------------------------------------------------------------- */

static dv_result keep_time(void *data, uint64_t index, dv_slice entry)
{
    int64_t *time_ms = data;
    *time_ms = dv_entry_logged(entry);
    return DV_OK;
}

static dv_result note_oldest(kept *k, dv_error *error)
{
    return k->log->size == k->log->minimum ? DV_OK
                                           : dv_log_read(k->folder, k->log->size, k->log->minimum,
                                                         1, keep_time, &k->oldest_ms, error);
}

static dv_result note_prunable(kept *k, dv_prune_memory *memory, uint64_t end, int64_t now,
                               dv_error *error)
{
    uint64_t minimum;
    dv_prune_rule rule;
    dv_retention_rule(k->retention, k->log->name, now, &rule);
    rule.end = end;
    rule.memory = memory;
    DV_TRY(dv_prune_find(k->folder, k->log, &rule, &minimum, error));
    k->prunable = minimum - k->log->minimum;
    return DV_OK;
}

static dv_result note_next(const dv_logd_retention *retention, int64_t unsettled_ms, kept *k,
                           dv_error *error)
{
    uint64_t end;
    int64_t earliest, latest, now = dv_time_now() / DV_MILLISECOND;
    if (k->keep_ms == 0 || k->log->minimum + DV_PACK_LEAVES > k->log->packed) {
        return DV_OK;
    }
    DV_TRY(dv_prune_times(retention->memory, k->folder, k->log->name,
                          k->log->minimum / DV_PACK_LEAVES, &earliest, &latest, error));
    k->next_ms = latest < INT64_MAX - k->keep_ms ? latest + k->keep_ms + 1 : 0;
    DV_TRY(dv_logd_retention_bound(&retention->on, k->folder, &end, &k->waits, error));
    DV_TRY(note_prunable(k, retention->memory, end, now, error));
    k->waits = end < k->log->minimum + DV_PACK_LEAVES ? k->waits : "";
    const char *hold = dv_retention_held_by(k->retention, k->log->name, earliest,
                                            earliest == INT64_MIN ? INT64_MAX : latest);
    if (hold != NULL) {
        k->hold = hold;
        k->waits = "hold";
    } else if (k->waits[0] == '\0' && unsettled_ms > 0 && k->next_ms <= now) {
        k->waits = "clock";
    } else if (k->waits[0] == '\0' && k->prunable > 0 && k->retention->archive[0] != '\0') {
        k->waits = "archive";
    }
    return DV_OK;
}

static dv_result look_at(const dv_logd_retention *retention, int64_t unsettled_ms, kept *k,
                         dv_error *error)
{
    DV_TRY(dv_logd_log_folder(retention->on.log_folder, k->log->name, k->folder, error));
    k->bytes = folder_bytes(open(k->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0);
    DV_TRY(note_oldest(k, error));
    return note_next(retention, unsettled_ms, k, error);
}

/* -- JSON -------------------------------------------------------------------------------------- */

static dv_result write_kinds(const kept *k, dv_buf *out)
{
    const char *between = "";
    for (size_t i = 0; i < k->retention->kind_count; i++) {
        const dv_retention_kind *kind = &k->retention->kinds[i];
        if (strcmp(kind->log, k->log->name) == 0) {
            DV_TRY(dv_buf_append_printf(out, "%s\"%s\"", between, kind->kind));
            between = ",";
        }
    }
    return DV_OK;
}

dv_result dv_logd_retention_describe(const dv_retention *retention, dv_buf *out)
{
    DV_TRY(dv_buf_append_str(out, "{\"keep_ms\":{"));
    for (size_t i = 0; i < retention->class_count; i++) {
        DV_TRY(dv_buf_append_printf(out, "%s\"%s\":%" PRId64, i > 0 ? "," : "",
                                    retention->classes[i].log, retention->classes[i].keep_ms));
    }
    DV_TRY(dv_buf_append_str(out, "},\"kinds\":["));
    for (size_t i = 0; i < retention->kind_count; i++) {
        DV_TRY(dv_buf_append_printf(out, "%s\"%s %s\"", i > 0 ? "," : "", retention->kinds[i].kind,
                                    retention->kinds[i].log));
    }
    DV_TRY(dv_buf_append_str(out, "],\"archive\":"));
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(retention->archive)));
    return dv_buf_append_byte(out, '}');
}

static dv_result write_log(const kept *k, dv_buf *out)
{
    const dv_log_tree *log = k->log;
    DV_TRY(dv_buf_append_printf(
        out,
        "{\"name\":\"%s\",\"keep_ms\":%" PRId64 ",\"size\":%" PRIu64 ",\"minimum\":%" PRIu64
        ",\"bytes\":%" PRIu64 ",\"prunable\":%" PRIu64 ",\"oldest_ms\":%" PRId64
        ",\"next_ms\":%" PRId64 ",\"waits\":\"%s%s%s\",\"kinds\":[",
        log->name, k->keep_ms, log->size, log->minimum, k->bytes, k->prunable, k->oldest_ms,
        k->next_ms, k->waits, k->hold[0] != '\0' ? " " : "", k->hold));
    DV_TRY(write_kinds(k, out));
    return dv_buf_append_str(out, "]}");
}

static dv_result write_hold(const dv_retention_hold *hold, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(out,
                                "{\"name\":\"%s\",\"log\":\"%s\",\"from_ms\":%" PRId64
                                ",\"to_ms\":%" PRId64 ",\"created_ms\":%" PRId64 ",\"reason\":",
                                hold->name, hold->log, hold->from_ms,
                                hold->to_ms == INT64_MAX ? 0 : hold->to_ms, hold->created_ms));
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(hold->reason)));
    return dv_buf_append_byte(out, '}');
}

static dv_result write_all(const dv_logd_retention *retention, const dv_retention *now,
                           int64_t unsettled_ms, const char *problem, const dv_log_tree *logs,
                           size_t log_count, dv_buf *out, dv_error *error)
{
    DV_TRY(dv_buf_append_printf(out, "{\"settled_in_ms\":%" PRId64 ",\"logs\":[", unsettled_ms));
    for (size_t i = 0; i < log_count; i++) {
        const dv_retention_class *class = dv_retention_find(now, logs[i].name);
        kept k = {.log = &logs[i],
                  .retention = now,
                  .keep_ms = class == NULL ? 0 : class->keep_ms,
                  .waits = "",
                  .hold = ""};
        DV_TRY(look_at(retention, unsettled_ms, &k, error));
        DV_TRY(dv_buf_append_str(out, i > 0 ? "," : ""));
        DV_TRY(write_log(&k, out));
    }
    DV_TRY(dv_buf_append_str(out, "],\"holds\":["));
    for (size_t i = 0; i < now->hold_count; i++) {
        DV_TRY(dv_buf_append_str(out, i > 0 ? "," : ""));
        DV_TRY(write_hold(&now->holds[i], out));
    }
    DV_TRY(dv_buf_append_str(out, "],\"archive\":"));
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(now->archive)));
    DV_TRY(dv_buf_append_str(out, ",\"problem\":"));
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(problem)));
    return dv_buf_append_str(out, "}\n");
}

dv_result dv_logd_retention_tell(dv_logd_retention *retention, const dv_log_tree *logs,
                                 size_t log_count, dv_buf *out, dv_error *error)
{
    int64_t unsettled_ms;
    dv_auto(free) dv_retention *now = NULL;
    char problem[DV_ERROR_MESSAGE_MAX];
    DV_TRY(dv_logd_retention_copy(retention, &now, &unsettled_ms));
    pthread_mutex_lock(&retention->lock);
    memcpy(problem, retention->problem, sizeof(problem));
    pthread_mutex_unlock(&retention->lock);
    return write_all(retention, now, unsettled_ms, problem, logs, log_count, out, error);
}
