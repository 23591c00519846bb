/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of api/audit.yaml: the keys that sign the log. Which there were is what dvara-logd
 * itself recorded (`audit.key_rotated`), in the main log. */
#include "api/operations.h"
#include "base/clock.h"
#include "room/audit/control/search.h"

enum { PAGES_MAX = 20, PAGE = 1000, ID_LEN = 8 };

static json_t *lines_json(dv_slice text)
{
    dv_slice line;
    json_t *lines = json_array();
    while (lines != NULL && dv_slice_split(&text, '\n', &line)) {
        if (line.len > 0 &&
            json_array_append_new(lines, json_stringn((const char *)line.ptr, line.len)) != 0) {
            json_decref(lines);
            return NULL;
        }
    }
    return lines;
}

/* -- changing ---------------------------------------------------------------------------------- */

dv_result dv_op_audit_rotate_key(dv_call *call, dv_error *error)
{
    char path[64];
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    const char *retire = dv_call_field(call, "retire");
    int64_t days = json_integer_value(json_object_get(call->body, "overlap_days"));
    if (retire != NULL && days != 0) {
        return dv_call_invalid(call, "overlap_days", error,
                               "is for a new key, not for retiring one");
    }
    DV_TRY(dv_call_confirmed(call,
                             retire != NULL ? "the old key is destroyed at once, and this can't be "
                                              "undone. `dvara audit keys` shows which there are"
                                            : "a new key signs the log at once, and this can't be "
                                              "undone. `dvara audit keys` shows which there are",
                             error));
    if (retire != NULL) {
        snprintf(path, sizeof(path), "/rotate?retire=%.8s", retire);
    } else {
        snprintf(path, sizeof(path), "/rotate?overlap_days=%" PRId64, days);
    }
    DV_TRY(dv_logd_post(call->services->runtime_dir, path, DV_LIT(""), &answer, error));
    json_t *vkeys = lines_json(dv_buf_slice(&answer.body));
    call->answer = vkeys == NULL ? NULL : json_pack("{s:o}", "vkeys", vkeys);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* -- listing ----------------------------------------------------------------------------------- */

/* Borrowed; NULL: none yet. */
static json_t *find_key(const json_t *keys, const char *vkey)
{
    size_t i;
    json_t *key;
    json_array_foreach(keys, i, key)
    {
        if (strcmp(dv_event_text(key, "vkey"), vkey) == 0) {
            return key;
        }
    }
    return NULL;
}

/* Of "name+1a2b3c4d+AbC..." the part between. */
static json_t *make_key(const char *vkey)
{
    const char *id = strchr(vkey, '+');
    return json_pack("{s:s%,s:s,s:s,s:s,s:n,s:n}", "id", id == NULL ? "" : id + 1,
                     id == NULL ? (size_t)0 : strnlen(id + 1, ID_LEN), "state", "retired",
                     "created", "", "vkey", vkey, "from", "until");
}

/* The first key comes before all that a rotation named. Borrowed. */
static json_t *add_key(json_t *keys, const char *vkey, bool first)
{
    json_t *key = make_key(vkey);
    int failed = first ? json_array_insert_new(keys, 0, key) : json_array_append_new(keys, key);
    return failed != 0 ? NULL : key;
}

static void set_when(json_t *key, const json_t *event)
{
    char when[DV_TIME_TEXT_MAX + 1];
    when[dv_time_format(dv_event_int(event, "time") * DV_MILLISECOND, when)] = '\0';
    json_object_set_new(key, "created", json_string(when));
}

/* Any writer can leave an event that says so: dvara-logd's own ones count. */
static dv_result take_event(json_t *keys, const json_t *line)
{
    enum { CREATED = 1, DELETED = 4 };
    const json_t *event = dv_event_at(line, "event");
    const char *vkey = dv_event_text(event, "entity.uid");
    int64_t activity = dv_event_int(event, "activity_id");
    bool own = strncmp(dv_event_text(event, "metadata.log_source"), "dvara-logd/", 11) == 0;
    if (!own || (activity != CREATED && activity != DELETED)) {
        return DV_OK;
    }
    json_t *key = find_key(keys, vkey);
    key = key != NULL ? key : add_key(keys, vkey, activity == DELETED);
    json_t *index = json_integer(dv_event_int(line, "index"));
    if (key == NULL || json_object_set_new(key, activity == CREATED ? "from" : "until", index)) {
        return DV_ERR_NO_MEMORY;
    }
    if (activity == CREATED) {
        set_when(key, event);
    }
    return DV_OK;
}

static dv_result take_page(json_t *keys, const json_t *lines)
{
    for (size_t i = 0; i + 1 < json_array_size(lines); i++) {
        DV_TRY(take_event(keys, json_array_get(lines, i)));
    }
    return DV_OK;
}

static dv_result take_events(dv_call *call, json_t *keys, dv_error *error)
{
    char cursor[1200] = "";
    dv_audit_search search = {
        .query = "event:audit.key_rotated", .log = "main", .order = "oldest", .limit = PAGE};
    for (int pages = 0; pages < PAGES_MAX; pages++) {
        json_t *lines = NULL;
        DV_TRY(dv_audit_search_run(call, &search, &lines, error));
        const json_t *end = json_array_get(lines, json_array_size(lines) - 1);
        dv_result result = take_page(keys, lines);
        bool complete = json_is_true(dv_event_at(end, "stats.complete"));
        snprintf(cursor, sizeof(cursor), "%s", dv_event_text(end, "next"));
        search.cursor = cursor;
        json_decref(lines);
        if (result != DV_OK || complete) {
            return result;
        }
    }
    return dv_error_set(error, DV_ERR_UNAVAILABLE,
                        "the log is too busy to be searched for its keys: ask again");
}

/* The first key is as old as the log; once the log's beginning is pruned, nobody knows any more. */
static dv_result date_first(dv_call *call, json_t *keys, dv_error *error)
{
    json_t *lines = NULL, *key = json_array_get(keys, 0);
    const dv_audit_search first = {.query = "", .log = "main", .order = "oldest", .limit = 1};
    if (key == NULL || !json_is_null(json_object_get(key, "from"))) {
        return DV_OK;
    }
    DV_TRY(dv_audit_search_run(call, &first, &lines, error));
    const json_t *line = json_array_get(lines, 0);
    if (json_object_get(line, "event") != NULL && dv_event_int(line, "index") == 0) {
        json_object_set_new(key, "from", json_integer(0));
        set_when(key, dv_event_at(line, "event"));
    }
    json_decref(lines);
    return DV_OK;
}

/* Those that sign now, the newest first. */
static dv_result mark_signing(dv_call *call, json_t *keys, dv_error *error)
{
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    DV_TRY(dv_logd_get(call->services->runtime_dir, "/vkey?log=main", 0, &answer, error));
    json_t *vkeys = lines_json(dv_buf_slice(&answer.body));
    dv_result result = json_array_size(vkeys) > 0 ? DV_OK : DV_ERR_CORRUPT;
    for (size_t i = 0; i < json_array_size(vkeys) && result == DV_OK; i++) {
        const char *vkey = json_string_value(json_array_get(vkeys, i));
        json_t *key = find_key(keys, vkey);
        key = key != NULL ? key : add_key(keys, vkey, true);
        json_t *state = json_string(i == 0 ? "signs" : "overlaps");
        result =
            key != NULL && json_object_set_new(key, "state", state) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
    }
    json_decref(vkeys);
    return result;
}

dv_result dv_op_audit_keys(dv_call *call, dv_error *error)
{
    json_t *keys = json_array();
    dv_result result = keys == NULL ? DV_ERR_NO_MEMORY : take_events(call, keys, error);
    if (result == DV_OK) {
        result = mark_signing(call, keys, error);
    }
    if (result == DV_OK) {
        result = date_first(call, keys, error);
    }
    call->answer = result == DV_OK ? json_pack("{s:O}", "items", keys) : NULL;
    json_decref(keys);
    return result == DV_OK && call->answer == NULL ? DV_ERR_NO_MEMORY : result;
}
