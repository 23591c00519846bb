/* SPDX-License-Identifier: Apache-2.0 */
/* The short names of the language, and paths of OCSF. */
#include "base/nearest.h"
#include "engine/log/query_internal.h"

static const dv_query_word severities[] = {{"unknown", 0},  {"informational", 1}, {"info", 1},
                                           {"low", 2},      {"medium", 3},        {"high", 4},
                                           {"critical", 5}, {"fatal", 6},         {"other", 99}};
static const dv_query_word outcomes[] = {
    {"unknown", 0}, {"success", 1}, {"failure", 2}, {"other", 99}};
static const dv_query_word decisions[] = {{"unknown", 0},  {"allowed", 1}, {"allow", 1},
                                          {"denied", 2},   {"deny", 2},    {"observed", 3},
                                          {"modified", 4}, {"other", 99}};
static const dv_query_word classes[] = {
    {"base", 0},
    {"process", 1007},
    {"finding", 2004},
    {"detection_finding", 2004},
    {"incident", 2005},
    {"data_security_finding", 2006},
    {"account_change", 3001},
    {"authentication", 3002},
    {"authorize_session", 3003},
    {"entity_management", 3004},
    {"user_access", 3005},
    {"group_management", 3006},
    {"network_activity", 4001},
    {"http_activity", 4002},
    {"config_state", 5002},
    {"config_change", 5019},
    {"lifecycle", 6002},
    {"application_lifecycle", 6002},
    {"api_activity", 6003},
    {"datastore_activity", 6005},
    {"file_hosting", 6006},
};

#define WORDS(list) .words = (list), .word_count = DV_ARRAY_LEN(list)

/* One short name. Paths stand one after the other with a space between. */
typedef struct field_row {
    const char *name;
    dv_query_type type;
    const char *paths;
    const dv_query_word *words;
    size_t word_count;
} field_row;

static const field_row rows[] = {
    /* who */
    {"user", DV_QUERY_TEXT, "actor.user.name"},
    {"user_id", DV_QUERY_TEXT, "actor.user.uid"},
    {"group", DV_QUERY_TEXT, "actor.user.groups.name"},
    {"key", DV_QUERY_TEXT, "actor.user.programmatic_credentials.uid session.credential_uid"},
    {"credential", DV_QUERY_TEXT, "actor.user.programmatic_credentials.type"},
    {"ip", DV_QUERY_ADDRESS, "src_endpoint.ip"},
    {"port", DV_QUERY_NUMBER, "src_endpoint.port"},
    {"agent", DV_QUERY_TEXT, "http_request.user_agent"},
    {"via", DV_QUERY_TEXT, "unmapped.dvara.via"},
    /* what */
    {"event", DV_QUERY_TEXT, "metadata.event_code"},
    {"class", DV_QUERY_WORDS, "class_uid", WORDS(classes)},
    {"operation", DV_QUERY_TEXT, "api.operation"},
    {"request", DV_QUERY_TEXT, "metadata.correlation_uid api.request.uid"},
    {"method", DV_QUERY_TEXT, "http_request.http_method"},
    {"path", DV_QUERY_TEXT, "http_request.url.path"},
    {"route", DV_QUERY_TEXT, "resources[route].name"},
    {"model", DV_QUERY_TEXT, "ai_model.name"},
    {"provider", DV_QUERY_TEXT, "ai_model.ai_provider"},
    {"upstream", DV_QUERY_TEXT, "unmapped.dvara.upstream"},
    {"account", DV_QUERY_TEXT, "user.name"},
    {"account_id", DV_QUERY_TEXT, "user.uid"},
    {"role", DV_QUERY_TEXT, "policies.uid"},
    {"entity", DV_QUERY_TEXT, "entity.uid"},
    {"entity_type", DV_QUERY_TEXT, "entity.type"},
    {"owner", DV_QUERY_TEXT, "entity.user.uid"},
    {"target", DV_QUERY_TEXT, "user.name entity.uid resources.name"},
    {"host", DV_QUERY_TEXT, "device.hostname device.name"},
    {"app", DV_QUERY_TEXT, "app.name"},
    {"process", DV_QUERY_TEXT, "process.name"},
    {"source", DV_QUERY_TEXT, "metadata.log_source"},
    {"message", DV_QUERY_TEXT, "message"},
    {"phase", DV_QUERY_TEXT, "unmapped.dvara.phase"},
    /* what came of it */
    {"status", DV_QUERY_NUMBER, "http_response.code api.response.code"},
    {"outcome", DV_QUERY_WORDS, "status_id", WORDS(outcomes)},
    {"decision", DV_QUERY_WORDS, "action_id", WORDS(decisions)},
    {"reason", DV_QUERY_TEXT, "status_code"},
    {"detail", DV_QUERY_TEXT, "status_detail"},
    {"policy", DV_QUERY_TEXT, "policy.uid unmapped.dvara.policies"},
    {"limit", DV_QUERY_TEXT, "unmapped.dvara.limit.key"},
    {"severity", DV_QUERY_WORDS, "severity_id", WORDS(severities)},
    {"detector", DV_QUERY_TEXT, "unmapped.dvara.sightings.detector"},
    {"place", DV_QUERY_TEXT, "unmapped.dvara.sightings.place"},
    {"treatment", DV_QUERY_TEXT, "unmapped.dvara.sightings.action"},
    {"sightings", DV_QUERY_NUMBER, "unmapped.dvara.sighting_count"},
    {"volume", DV_QUERY_TEXT, "unmapped.dvara.volumes.rule"},
    {"rule", DV_QUERY_TEXT, "finding_info.uid"},
    {"title", DV_QUERY_TEXT, "finding_info.title"},
    {"aborted", DV_QUERY_TEXT, "unmapped.dvara.aborted"},
    {"upstream_status", DV_QUERY_NUMBER, "unmapped.dvara.upstream_status"},
    /* how much */
    {"tokens", DV_QUERY_NUMBER, "message_context.total_tokens"},
    {"input_tokens", DV_QUERY_NUMBER, "message_context.prompt_tokens"},
    {"output_tokens", DV_QUERY_NUMBER, "message_context.completion_tokens"},
    {"latency", DV_QUERY_DURATION, "http_response.latency"},
    {"request_bytes", DV_QUERY_NUMBER, "http_request.body_length"},
    {"answer_bytes", DV_QUERY_NUMBER, "http_response.body_length"},
    {"cost", DV_QUERY_NUMBER, "unmapped.dvara.limit.settled_cost"},
    /* when */
    {"time", DV_QUERY_TIME, "time"},
    {"logged", DV_QUERY_TIME, "metadata.logged_time"},
    /* OCSF's own names of one word */
    {"activity_id", DV_QUERY_NUMBER, "activity_id"},
    {"activity_name", DV_QUERY_TEXT, "activity_name"},
    {"category_uid", DV_QUERY_NUMBER, "category_uid"},
    {"class_uid", DV_QUERY_NUMBER, "class_uid"},
    {"class_name", DV_QUERY_TEXT, "class_name"},
    {"type_uid", DV_QUERY_NUMBER, "type_uid"},
    {"severity_id", DV_QUERY_NUMBER, "severity_id"},
    {"status_id", DV_QUERY_NUMBER, "status_id"},
    {"status_code", DV_QUERY_TEXT, "status_code"},
    {"status_detail", DV_QUERY_TEXT, "status_detail"},
    {"action_id", DV_QUERY_NUMBER, "action_id"},
    {"disposition_id", DV_QUERY_NUMBER, "disposition_id"},
    {"is_alert", DV_QUERY_TEXT, "is_alert"},
    {"raw_data", DV_QUERY_TEXT, "raw_data"},
    {"repeats", DV_QUERY_NUMBER, "count"},
    {"start_time", DV_QUERY_TIME, "start_time"},
    {"end_time", DV_QUERY_TIME, "end_time"},
    {"duration", DV_QUERY_DURATION, "duration"},
};

const char *dv_query_field_name(size_t index)
{
    return index < DV_ARRAY_LEN(rows) ? rows[index].name : NULL;
}

static const char *name_at(const void *data, size_t index)
{
    (void)data;
    return rows[index].name;
}

/* ---- paths ---- */

static bool is_name_byte(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '-';
}

/* "resources", "0", or "resources[route]": of the elements of that `type`. */
static bool is_segment(dv_slice segment)
{
    size_t at = 0, open = 0;
    while (at < segment.len && is_name_byte(segment.ptr[at])) {
        at++;
    }
    if (at == segment.len || at == 0) {
        return at > 0;
    }
    if (segment.ptr[at] != '[' || segment.ptr[segment.len - 1] != ']') {
        return false;
    }
    for (open = at + 1, at = open; at < segment.len - 1; at++) {
        if (!is_name_byte(segment.ptr[at])) {
            return false;
        }
    }
    return at > open;
}

static bool path_init(dv_slice text, dv_query_path *path)
{
    dv_slice rest = text, segment;
    *path = (dv_query_path){.text = text};
    while (dv_slice_split(&rest, '.', &segment)) {
        if (path->count == DV_QUERY_SEGMENTS_MAX || !is_segment(segment)) {
            return false;
        }
        path->segments[path->count++] = segment;
    }
    return path->count > 0;
}

static dv_result field_of_row(const field_row *row, dv_arena *arena,
                              const dv_query_field **ret_field)
{
    dv_query_field *field = dv_arena_alloc(arena, sizeof(*field));
    dv_query_path *paths = dv_arena_alloc(arena, DV_QUERY_PATHS_MAX * sizeof(*paths));
    dv_slice rest = dv_slice_str(row->paths), path;
    if (field == NULL || paths == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *field = (dv_query_field){
        .name = dv_slice_str(row->name),
        .type = row->type,
        .paths = paths,
        .words = row->words,
        .word_count = row->word_count,
    };
    while (field->path_count < DV_QUERY_PATHS_MAX && dv_slice_split(&rest, ' ', &path)) {
        if (!path_init(path, &paths[field->path_count++])) {
            return DV_ERR_INTERNAL;
        }
    }
    *ret_field = field;
    return DV_OK;
}

/* OCSF names its times "..._time" and its addresses "ip". */
static dv_query_type type_of_path(const dv_query_path *path)
{
    dv_slice last = path->segments[path->count - 1];
    if (dv_slice_eq_str(last, "time") || dv_slice_ends_with(last, DV_LIT("_time"))) {
        return DV_QUERY_TIME;
    }
    return dv_slice_eq_str(last, "ip") ? DV_QUERY_ADDRESS : DV_QUERY_AUTO;
}

static dv_result field_of_path(dv_slice name, dv_arena *arena, const dv_query_field **ret_field,
                               dv_error *error)
{
    dv_slice copy;
    dv_query_field *field = dv_arena_alloc(arena, sizeof(*field));
    dv_query_path *path = dv_arena_alloc(arena, sizeof(*path));
    if (field == NULL || path == NULL || dv_arena_copy(arena, name, &copy) != DV_OK) {
        return DV_ERR_NO_MEMORY;
    }
    if (!path_init(copy, path)) {
        return dv_error_set(error, DV_ERR_INVALID, "%.64s is no path of at most %d names",
                            (const char *)copy.ptr, DV_QUERY_SEGMENTS_MAX);
    }
    *field =
        (dv_query_field){.name = copy, .type = type_of_path(path), .paths = path, .path_count = 1};
    *ret_field = field;
    return DV_OK;
}

static dv_result unknown_field(dv_slice name, dv_error *error)
{
    char text[65];
    dv_slice_copy(name, text, sizeof(text));
    const char *near = dv_nearest(text, DV_ARRAY_LEN(rows), name_at, NULL);
    if (near != NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "there is no field %s; did you mean %s?", text,
                            near);
    }
    return dv_error_set(error, DV_ERR_INVALID,
                        "there is no field %s: put the text in quotes to search for it, or write "
                        "the whole OCSF path",
                        text);
}

dv_result dv_query_field_find(dv_slice name, dv_arena *arena, const dv_query_field **ret_field,
                              dv_error *error)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(rows); i++) {
        if (dv_slice_eq_nocase(name, dv_slice_str(rows[i].name))) {
            return field_of_row(&rows[i], arena, ret_field);
        }
    }
    return dv_slice_find_byte(name, '.') > 0 ? field_of_path(name, arena, ret_field, error)
                                             : unknown_field(name, error);
}
