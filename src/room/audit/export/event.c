/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/export/event.h"

#include <inttypes.h>

enum { TOKENS_MAX = 1 << 16 };

dv_result dv_export_event_read(dv_export_event *event, dv_arena *arena, dv_error *error)
{
    static const dv_json_limits limits = {.depth = 64, .tokens = TOKENS_MAX};
    if (event->json.count > 0) {
        return DV_OK;
    }
    DV_TRY(dv_json_scan(event->text, &limits, arena, &event->json, error));
    if (event->json.tokens[0].type != DV_JSON_OBJECT) {
        event->json.count = 0;
        return dv_error_set(error, DV_ERR_INVALID, "an event is a JSON object");
    }
    return DV_OK;
}

void dv_export_event_uid(const dv_export_event *event, char out[DV_EXPORT_UID_MAX])
{
    snprintf(out, DV_EXPORT_UID_MAX, "%.255s#%" PRIu64, event->origin, event->index);
}

/* The array's item of that number; 0: it has fewer. */
static uint32_t item_at(const dv_json *json, uint32_t array, dv_slice number)
{
    uint32_t end = json->tokens[array].next;
    uint32_t at = array + 1;
    size_t wanted = number.len == 1 ? (size_t)(number.ptr[0] - '0') : SIZE_MAX;
    for (size_t i = 0; at < end && i < wanted; i++) {
        at = json->tokens[at].next;
    }
    return at < end && wanted != SIZE_MAX ? at : 0;
}

uint32_t dv_export_event_at(const dv_export_event *event, const char *path)
{
    dv_slice rest = dv_slice_str(path), name;
    uint32_t at = 0;
    while (event->json.count > 0 && dv_slice_split(&rest, '.', &name)) {
        uint8_t type = event->json.tokens[at].type;
        at = type == DV_JSON_OBJECT  ? dv_json_member_named(&event->json, at, name)
             : type == DV_JSON_ARRAY ? item_at(&event->json, at, name)
                                     : 0;
        if (at == 0) {
            return 0;
        }
    }
    return at;
}

dv_slice dv_export_event_text(const dv_export_event *event, const char *path, dv_arena *arena)
{
    dv_slice text = {0};
    uint32_t at = dv_export_event_at(event, path);
    if (at == 0 || event->json.tokens[at].type != DV_JSON_STRING ||
        dv_json_string(&event->json, at, arena, &text) != DV_OK) {
        return (dv_slice){0};
    }
    return text;
}

int64_t dv_export_event_int(const dv_export_event *event, const char *path)
{
    int64_t value = 0;
    uint32_t at = dv_export_event_at(event, path);
    if (at == 0 || event->json.tokens[at].type != DV_JSON_NUMBER ||
        dv_json_int(&event->json, at, &value) != DV_OK) {
        return 0;
    }
    return value;
}

/* What a receiver can hold as nanoseconds since 1970. */
static int64_t bounded_time(int64_t ms)
{
    return ms < 0 ? 0 : DV_MIN(ms, INT64_MAX / DV_MILLISECOND - 1);
}

int64_t dv_export_event_time(const dv_export_event *event)
{
    return bounded_time(dv_export_event_int(event, "time"));
}

int64_t dv_export_event_logged(const dv_export_event *event)
{
    int64_t logged = bounded_time(dv_export_event_int(event, "metadata.logged_time"));
    return logged > 0 ? logged : dv_export_event_time(event);
}

bool dv_export_glob(const char *glob, dv_slice text)
{
    const char *star = NULL; /* the last one, and where the text was then */
    size_t at = 0, retry = 0;
    while (at < text.len) {
        if (*glob == '*') {
            star = ++glob;
            retry = at;
        } else if (*glob == (char)text.ptr[at]) {
            glob++;
            at++;
        } else if (star != NULL) {
            glob = star;
            at = ++retry;
        } else {
            return false;
        }
    }
    return glob[strspn(glob, "*")] == '\0';
}

bool dv_export_wants_all(const dv_export_destination *destination)
{
    return destination->events == NULL && destination->class_count == 0 &&
           destination->severity == 0;
}

static bool wants_kind(const dv_export_destination *destination, dv_slice kind)
{
    for (size_t i = 0; destination->events != NULL && destination->events[i] != NULL; i++) {
        if (dv_export_glob(destination->events[i], kind)) {
            return true;
        }
    }
    return destination->events == NULL;
}

static bool wants_class(const dv_export_destination *destination, int64_t class_uid)
{
    for (size_t i = 0; i < destination->class_count; i++) {
        if (destination->classes[i] == class_uid) {
            return true;
        }
    }
    return destination->class_count == 0;
}

bool dv_export_wants(const dv_export_destination *destination, const dv_export_event *event,
                     dv_arena *arena)
{
    enum { FATAL = 6 }; /* beyond stands "other", which nobody can rank: it is sent */
    int64_t severity = dv_export_event_int(event, "severity_id");
    return (severity >= destination->severity || severity > FATAL) &&
           wants_class(destination, dv_export_event_int(event, "class_uid")) &&
           wants_kind(destination, dv_export_event_text(event, "metadata.event_code", arena));
}
