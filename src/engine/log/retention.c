/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/retention.h"

#include "base/codec.h"
#include "base/file.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <limits.h>

/* Lines of words:
 *   dvara-log-retention 1
 *   class LOG KEEP_MS
 *   kind KIND LOG
 *   hold NAME LOG|* FROM_MS TO_MS CREATED_MS REASON
 *   archive PATH                     (where there is one)
 *   unsettled MS                     (where it is not 0)
 *   clock WALL_MS MACHINE_MS BOOT_ID (once it was looked at; BOOT_ID "-": not known)
 *   crc HEX                          (CRC-32C of all before) */
static const char first_line[] = "dvara-log-retention 1";

enum { FILE_MAX = 256 << 10, FILE_MODE = 0644 };

/* -- what there is ----------------------------------------------------------------------------- */

static dv_result too_many(dv_error *error, const char *what, size_t most)
{
    return dv_error_set(error, DV_ERR_TOO_LARGE, "there may be %zu %s", most, what);
}

dv_result dv_retention_add_class(dv_retention *retention, const char *log, int64_t keep_ms,
                                 dv_error *error)
{
    if (!dv_log_name_is(dv_slice_str(log)) || keep_ms < 0) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "%.64s can not be a class of events: a-z, 0-9 and '-', at most %d", log,
                            DV_LOG_NAME_MAX);
    }
    for (size_t i = 0; i < retention->class_count; i++) {
        if (strcmp(retention->classes[i].log, log) == 0) {
            return dv_error_set(error, DV_ERR_CONFLICT, "the class %s is there twice", log);
        }
    }
    if (retention->class_count == DV_RETENTION_CLASSES_MAX) {
        return too_many(error, "classes of events", DV_RETENTION_CLASSES_MAX);
    }
    dv_retention_class *added = &retention->classes[retention->class_count++];
    dv_slice_copy(dv_slice_str(log), added->log, sizeof(added->log));
    added->keep_ms = keep_ms;
    return DV_OK;
}

/* Letters, digits, '.', '_' and '-'; a '*' at the end. */
static bool is_kind(dv_slice kind)
{
    for (size_t i = 0; i < kind.len; i++) {
        uint8_t byte = kind.ptr[i];
        bool letter = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
        bool inside = byte == '.' || byte == '_' || byte == '-';
        if (!letter && !inside && !(byte == '*' && i + 1 == kind.len)) {
            return false;
        }
    }
    return kind.len > 0 && kind.len < DV_LOG_KIND_MAX;
}

dv_result dv_retention_add_kind(dv_retention *retention, const char *kind, const char *log,
                                dv_error *error)
{
    if (!is_kind(dv_slice_str(kind)) || !dv_log_name_is(dv_slice_str(log))) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "%.64s is no kind of events such as request.open or request.*", kind);
    }
    if (retention->kind_count == DV_LOG_ROUTES_MAX) {
        return too_many(error, "kinds of events with a class of their own", DV_LOG_ROUTES_MAX);
    }
    dv_retention_kind *added = &retention->kinds[retention->kind_count++];
    dv_slice_copy(dv_slice_str(kind), added->kind, sizeof(added->kind));
    dv_slice_copy(dv_slice_str(log), added->log, sizeof(added->log));
    return DV_OK;
}

static bool is_hold_name(dv_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.ptr[i];
        if (!(byte >= 'a' && byte <= 'z') && !(byte >= '0' && byte <= '9') && byte != '-') {
            return false;
        }
    }
    return name.len > 0 && name.len <= DV_RETENTION_HOLD_NAME_MAX;
}

/* UTF-8 without control characters; may be empty. */
static bool is_reason(dv_slice reason)
{
    for (size_t i = 0; i < reason.len; i++) {
        if (reason.ptr[i] < 0x20 || reason.ptr[i] == 0x7f) {
            return false;
        }
    }
    return reason.len <= DV_RETENTION_REASON_MAX && dv_utf8_prefix(reason) == reason.len;
}

static dv_retention_hold *find_hold(dv_retention *retention, const char *name)
{
    for (size_t i = 0; i < retention->hold_count; i++) {
        if (strcmp(retention->holds[i].name, name) == 0) {
            return &retention->holds[i];
        }
    }
    return NULL;
}

dv_result dv_retention_add_hold(dv_retention *retention, const dv_retention_hold *hold,
                                dv_error *error)
{
    if (!is_hold_name(dv_slice_str(hold->name))) {
        return dv_error_set(error, DV_ERR_INVALID, "a hold's name has a-z, 0-9 and '-', at most %d",
                            DV_RETENTION_HOLD_NAME_MAX);
    }
    if (hold->log[0] != '\0' && !dv_log_name_is(dv_slice_str(hold->log))) {
        return dv_error_set(error, DV_ERR_INVALID, "%s can not be a log's name", hold->log);
    }
    if (!is_reason(dv_slice_str(hold->reason))) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "the reason of a hold is one line of text, at most %d bytes",
                            DV_RETENTION_REASON_MAX);
    }
    if (hold->from_ms >= hold->to_ms) {
        return dv_error_set(error, DV_ERR_INVALID, "the hold ends before it begins");
    }
    if (find_hold(retention, hold->name) != NULL) {
        return dv_error_set(error, DV_ERR_CONFLICT, "there is a hold %s already", hold->name);
    }
    if (retention->hold_count == DV_RETENTION_HOLDS_MAX) {
        return too_many(error, "holds at a time", DV_RETENTION_HOLDS_MAX);
    }
    retention->holds[retention->hold_count++] = *hold;
    return DV_OK;
}

bool dv_retention_release(dv_retention *retention, const char *name)
{
    dv_retention_hold *hold = find_hold(retention, name);
    if (hold == NULL) {
        return false;
    }
    size_t behind = (size_t)(retention->holds + retention->hold_count - hold) - 1;
    memmove(hold, hold + 1, behind * sizeof(*hold));
    retention->hold_count--;
    return true;
}

dv_result dv_retention_set_archive(dv_retention *retention, const char *path, dv_error *error)
{
    dv_slice text = dv_slice_str(path);
    bool plain = text.len > 0 && path[0] == '/' && text.len <= DV_RETENTION_PATH_MAX;
    for (size_t i = 0; i < text.len && plain; i++) {
        plain = text.ptr[i] >= 0x20 && text.ptr[i] != 0x7f;
    }
    if (!plain) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "the folder of archives is an absolute path of at most %d bytes",
                            DV_RETENTION_PATH_MAX);
    }
    dv_slice_copy(text, retention->archive, sizeof(retention->archive));
    return DV_OK;
}

void dv_retention_take_classes(dv_retention *retention, const dv_retention *from)
{
    memcpy(retention->archive, from->archive, sizeof(retention->archive));
    memcpy(retention->classes, from->classes, sizeof(retention->classes));
    retention->class_count = from->class_count;
    memcpy(retention->kinds, from->kinds, sizeof(retention->kinds));
    retention->kind_count = from->kind_count;
}

bool dv_retention_same_classes(const dv_retention *a, const dv_retention *b)
{
    bool same = a->class_count == b->class_count && a->kind_count == b->kind_count &&
                strcmp(a->archive, b->archive) == 0;
    for (size_t i = 0; same && i < a->class_count; i++) {
        same = strcmp(a->classes[i].log, b->classes[i].log) == 0 &&
               a->classes[i].keep_ms == b->classes[i].keep_ms;
    }
    for (size_t i = 0; same && i < a->kind_count; i++) {
        same = strcmp(a->kinds[i].kind, b->kinds[i].kind) == 0 &&
               strcmp(a->kinds[i].log, b->kinds[i].log) == 0;
    }
    return same;
}

/* One of the two is a beginning of the other, as far as they go. */
static bool overlap(const char *kind, const char *kept)
{
    size_t a = strlen(kind), b = strlen(kept);
    bool open_a = a > 0 && kind[a - 1] == '*', open_b = kept[b - 1] == '*';
    a -= open_a;
    b -= open_b;
    if (a == b) {
        return memcmp(kind, kept, a) == 0;
    }
    return a < b ? open_a && memcmp(kind, kept, a) == 0 : open_b && memcmp(kind, kept, b) == 0;
}

bool dv_retention_kind_is_kept_back(const char *kind)
{
    static const char *const kept_back[] = {"audit.*", "alarm", "foreign*"};
    for (size_t i = 0; i < DV_ARRAY_LEN(kept_back); i++) {
        if (overlap(kind, kept_back[i])) {
            return true;
        }
    }
    return false;
}

const dv_retention_class *dv_retention_find(const dv_retention *retention, const char *log)
{
    for (size_t i = 0; i < retention->class_count; i++) {
        if (strcmp(retention->classes[i].log, log) == 0) {
            return &retention->classes[i];
        }
    }
    return NULL;
}

/* -- the file ---------------------------------------------------------------------------------- */

dv_result dv_retention_format(const dv_retention *retention, dv_buf *out)
{
    dv_buf_clear(out);
    DV_TRY(dv_buf_append_printf(out, "%s\n", first_line));
    for (size_t i = 0; i < retention->class_count; i++) {
        DV_TRY(dv_buf_append_printf(out, "class %s %" PRId64 "\n", retention->classes[i].log,
                                    retention->classes[i].keep_ms));
    }
    for (size_t i = 0; i < retention->kind_count; i++) {
        DV_TRY(dv_buf_append_printf(out, "kind %s %s\n", retention->kinds[i].kind,
                                    retention->kinds[i].log));
    }
    for (size_t i = 0; i < retention->hold_count; i++) {
        const dv_retention_hold *hold = &retention->holds[i];
        DV_TRY(dv_buf_append_printf(out, "hold %s %s %" PRId64 " %" PRId64 " %" PRId64 " %s\n",
                                    hold->name, hold->log[0] == '\0' ? "*" : hold->log,
                                    hold->from_ms, hold->to_ms, hold->created_ms, hold->reason));
    }
    if (retention->archive[0] != '\0') {
        DV_TRY(dv_buf_append_printf(out, "archive %s\n", retention->archive));
    }
    if (retention->unsettled_ms > 0) {
        DV_TRY(dv_buf_append_printf(out, "unsettled %" PRId64 "\n", retention->unsettled_ms));
    }
    if (retention->seen.wall_ms > 0) {
        const dv_retention_seen *seen = &retention->seen;
        DV_TRY(dv_buf_append_printf(out, "clock %" PRId64 " %" PRId64 " %s\n", seen->wall_ms,
                                    seen->machine_ms,
                                    seen->boot_id[0] == '\0' ? "-" : seen->boot_id));
    }
    return dv_buf_append_printf(out, "crc %08" PRIx32 "\n", dv_crc32c(0, dv_buf_slice(out)));
}

/* A word as a C string. */
static bool take_word(dv_slice *rest, char *out, size_t size)
{
    dv_slice word;
    if (!dv_slice_split(rest, ' ', &word) || word.len == 0 || word.len >= size ||
        dv_slice_find_byte(word, '\0') >= 0) {
        return false;
    }
    dv_slice_copy(word, out, size);
    return true;
}

static bool take_ms(dv_slice *rest, int64_t *ret_ms)
{
    char word[24], again[24];
    if (!take_word(rest, word, sizeof(word))) {
        return false;
    }
    *ret_ms = strtoll(word, NULL, 10);
    snprintf(again, sizeof(again), "%" PRId64, *ret_ms);
    return strcmp(word, again) == 0;
}

static bool read_class(dv_slice rest, dv_retention *retention)
{
    char log[DV_LOG_NAME_MAX + 1];
    int64_t keep;
    return take_word(&rest, log, sizeof(log)) && take_ms(&rest, &keep) && rest.ptr == NULL &&
           dv_retention_add_class(retention, log, keep, NULL) == DV_OK;
}

static bool read_kind(dv_slice rest, dv_retention *retention)
{
    char kind[DV_LOG_KIND_MAX], log[DV_LOG_NAME_MAX + 1];
    return take_word(&rest, kind, sizeof(kind)) && take_word(&rest, log, sizeof(log)) &&
           rest.ptr == NULL && dv_retention_add_kind(retention, kind, log, NULL) == DV_OK;
}

static bool read_hold(dv_slice rest, dv_retention *retention)
{
    dv_retention_hold hold = {.from_ms = 0};
    if (!take_word(&rest, hold.name, sizeof(hold.name)) ||
        !take_word(&rest, hold.log, sizeof(hold.log)) || !take_ms(&rest, &hold.from_ms) ||
        !take_ms(&rest, &hold.to_ms) || !take_ms(&rest, &hold.created_ms) || rest.ptr == NULL ||
        rest.len >= sizeof(hold.reason) || dv_slice_find_byte(rest, '\0') >= 0) {
        return false;
    }
    dv_slice_copy(rest, hold.reason, sizeof(hold.reason));
    if (strcmp(hold.log, "*") == 0) {
        hold.log[0] = '\0';
    }
    return dv_retention_add_hold(retention, &hold, NULL) == DV_OK;
}

static bool read_archive(dv_slice rest, dv_retention *retention)
{
    char path[DV_RETENTION_PATH_MAX + 1];
    if (rest.ptr == NULL || rest.len >= sizeof(path) || dv_slice_find_byte(rest, '\0') >= 0 ||
        retention->archive[0] != '\0') {
        return false;
    }
    dv_slice_copy(rest, path, sizeof(path));
    return dv_retention_set_archive(retention, path, NULL) == DV_OK;
}

static bool read_unsettled(dv_slice rest, dv_retention *retention)
{
    return take_ms(&rest, &retention->unsettled_ms) && rest.ptr == NULL &&
           retention->unsettled_ms > 0;
}

/* Bounded, so that it can be counted with. */
static bool read_clock(dv_slice rest, dv_retention *retention)
{
    dv_retention_seen seen = {0};
    if (!take_ms(&rest, &seen.wall_ms) || !take_ms(&rest, &seen.machine_ms) ||
        !take_word(&rest, seen.boot_id, sizeof(seen.boot_id)) || rest.ptr != NULL ||
        retention->seen.wall_ms != 0 || seen.wall_ms <= 0 || seen.wall_ms > INT64_MAX / 4 ||
        seen.machine_ms < 0 || seen.machine_ms > INT64_MAX / 4) {
        return false;
    }
    if (strcmp(seen.boot_id, "-") == 0) {
        seen.boot_id[0] = '\0';
    }
    retention->seen = seen;
    return true;
}

static bool read_crc(dv_slice rest, dv_slice before)
{
    char word[9], wanted[9];
    snprintf(wanted, sizeof(wanted), "%08" PRIx32, dv_crc32c(0, before));
    return take_word(&rest, word, sizeof(word)) && rest.ptr == NULL && strcmp(word, wanted) == 0;
}

static bool read_line(dv_slice line, dv_slice before, dv_retention *retention, bool *ret_end)
{
    dv_slice rest = line, word;
    if (!dv_slice_split(&rest, ' ', &word)) {
        return false;
    }
    if (dv_slice_eq_str(word, "class")) {
        return read_class(rest, retention);
    }
    if (dv_slice_eq_str(word, "kind")) {
        return read_kind(rest, retention);
    }
    if (dv_slice_eq_str(word, "hold")) {
        return read_hold(rest, retention);
    }
    if (dv_slice_eq_str(word, "archive")) {
        return read_archive(rest, retention);
    }
    if (dv_slice_eq_str(word, "unsettled")) {
        return read_unsettled(rest, retention);
    }
    if (dv_slice_eq_str(word, "clock")) {
        return read_clock(rest, retention);
    }
    *ret_end = dv_slice_eq_str(word, "crc") && read_crc(rest, before);
    return *ret_end;
}

dv_result dv_retention_parse(dv_slice text, dv_retention *ret_retention, dv_error *error)
{
    dv_slice rest = text, line;
    bool end = false;
    *ret_retention = (dv_retention){.class_count = 0};
    for (int number = 1; !end && dv_slice_split(&rest, '\n', &line); number++) {
        dv_slice before = dv_slice_of(text.ptr, (size_t)(line.ptr - text.ptr));
        bool good = number == 1 ? dv_slice_eq_str(line, first_line)
                                : read_line(line, before, ret_retention, &end);
        if (!good) {
            return dv_error_set_at(error, DV_ERR_CORRUPT, number, 0,
                                   "the log's retention file is damaged in line %d", number);
        }
    }
    if (!end || rest.ptr == NULL || rest.len != 0) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the log's retention file is cut short");
    }
    return DV_OK;
}

static dv_result file_path(const char *folder, char out[PATH_MAX], dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/retention", folder);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
}

dv_result dv_retention_load(const char *folder, dv_retention *ret_retention, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(FILE_MAX);
    DV_TRY(file_path(folder, path, error));
    dv_result result = dv_file_read(path, &text, error);
    if (result == DV_ERR_NOT_FOUND) {
        *ret_retention = (dv_retention){.class_count = 0};
        return DV_OK;
    }
    DV_TRY(result);
    return dv_retention_parse(dv_buf_slice(&text), ret_retention, error);
}

dv_result dv_retention_save(const char *folder, const dv_retention *retention, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(FILE_MAX);
    DV_TRY(file_path(folder, path, error));
    DV_TRY(dv_retention_format(retention, &text));
    return dv_file_write_atomic(path, dv_buf_slice(&text), FILE_MODE, error);
}

/* -- what may go ------------------------------------------------------------------------------- */

const char *dv_retention_held_by(const dv_retention *retention, const char *log,
                                 int64_t earliest_ms, int64_t latest_ms)
{
    for (size_t i = 0; i < retention->hold_count; i++) {
        const dv_retention_hold *hold = &retention->holds[i];
        if ((hold->log[0] == '\0' || strcmp(hold->log, log) == 0) && earliest_ms < hold->to_ms &&
            latest_ms >= hold->from_ms) {
            return hold->name;
        }
    }
    return NULL;
}

static bool is_held(const void *data, const char *log, int64_t earliest_ms, int64_t latest_ms)
{
    return dv_retention_held_by(data, log, earliest_ms, latest_ms) != NULL;
}

void dv_retention_rule(const dv_retention *retention, const char *log, int64_t now_ms,
                       dv_prune_rule *ret_rule)
{
    const dv_retention_class *class = dv_retention_find(retention, log);
    *ret_rule = (dv_prune_rule){
        .before_ms = INT64_MIN, .end = UINT64_MAX, .is_held = is_held, .data = retention};
    if (class != NULL && class->keep_ms > 0 && class->keep_ms < now_ms) {
        ret_rule->before_ms = now_ms - class->keep_ms;
    }
}
