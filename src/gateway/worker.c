/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/worker.h"

#include "base/caps.h"

enum {
    SEGMENT_MAX = 64 << 20, /* bytes of one spool segment */
    HELD_KEPT_MAX = 64 << 10,
    PATH_LEN = 1024 + 64,
};

void dv_worker_init(dv_worker *worker, const dv_worker_paths *paths,
                    const dv_data_detectors *detectors)
{
    *worker = (dv_worker){
        .paths = *paths,
        .detectors = detectors,
        .config_text = dv_buf_init(16 << 20),
        .record = dv_buf_init(DV_LIMIT_RECORD),
    };
}

static void close_parts(dv_worker *worker)
{
    if (worker->data != NULL) {
        dv_data_gate_free(worker->data);
    }
    if (worker->auth != NULL) {
        dv_auth_gate_free(worker->auth);
    }
    if (worker->metrics != NULL) {
        dv_metrics_close(worker->metrics);
    }
    if (worker->counters != NULL) {
        dv_counters_close(worker->counters);
    }
    if (worker->spool != NULL) {
        dv_spool_close(worker->spool);
    }
    if (worker->snapshot != NULL) {
        dv_snapshot_close(worker->snapshot);
    }
}

void dv_worker_release(dv_worker *worker)
{
    dv_gate_config_unref(worker->config);
    close_parts(worker);
    for (size_t i = 0; i < worker->arena_count; i++) {
        dv_arena_free(worker->arenas[i]);
    }
    dv_buf_release(&worker->config_text);
    dv_buf_release(&worker->held);
    dv_buf_release(&worker->record);
    *worker = (dv_worker){0};
}

static dv_result open_spool(dv_worker *worker, dv_error *error)
{
    uint8_t log_key[32];
    DV_TRY(dv_log_key_read(worker->paths.runtime, log_key, error));
    return dv_spool_open(worker->paths.spool, "gateway", log_key, SEGMENT_MAX, &worker->spool,
                         error);
}

static dv_result open_metrics(dv_worker *worker, dv_error *error)
{
    char path[PATH_LEN];
    (void)snprintf(path, sizeof(path), "%s/metrics", worker->paths.runtime);
    return dv_metrics_open(path, 0660, &worker->metrics, error);
}

/* dvarad makes the file; keys work without it, and their last use then is not known. */
static void note_usage(dv_worker *worker)
{
    char path[PATH_LEN];
    (void)snprintf(path, sizeof(path), "%s/usage", worker->paths.runtime);
    worker->notes_usage = dv_auth_gate_note_usage(worker->auth, path, NULL) == DV_OK;
}

static dv_result open_snapshot(dv_worker *worker, dv_error *error)
{
    char path[PATH_LEN];
    (void)snprintf(path, sizeof(path), "%s/snapshot", worker->paths.runtime);
    return dv_snapshot_open(path, &worker->snapshot, error);
}

static dv_result open_counters(dv_worker *worker, dv_error *error)
{
    bool replaced = false;
    DV_TRY(dv_counters_open(worker->paths.counters, DV_COUNTERS_SLOTS, &worker->counters, &replaced,
                            error));
    return DV_OK;
}

/* Without a seat only limits of what runs at once refuse; one may be free later. */
static void take_seat(dv_worker *worker)
{
    if (dv_counters_sits(worker->counters) || worker->sit_at > dv_time_monotonic()) {
        return;
    }
    if (dv_counters_sit(worker->counters) != DV_OK) {
        worker->sit_at = dv_time_monotonic() + DV_SECOND;
    }
}

static dv_result open_missing(dv_worker *worker, dv_error *error)
{
    dv_buf_clear(&worker->record); /* holds nothing between two records */
    DV_TRY(dv_buf_reserve(&worker->record, DV_LIMIT_RECORD));
    if (worker->snapshot == NULL) {
        DV_TRY(open_snapshot(worker, error));
    }
    if (worker->counters == NULL) {
        DV_TRY(open_counters(worker, error));
    }
    take_seat(worker);
    if (worker->auth == NULL) {
        DV_TRY(dv_auth_gate_new(&worker->auth));
    }
    return worker->metrics == NULL ? open_metrics(worker, error) : DV_OK;
}

dv_gate_config *dv_gate_config_ref(dv_gate_config *config)
{
    config->references++;
    return config;
}

void dv_gate_config_unref(dv_gate_config *config)
{
    if (config == NULL || --config->references > 0) {
        return;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(config->policies); i++) {
        if (config->policies[i] != NULL) {
            dv_data_policy_free(config->policies[i]);
        }
    }
    dv_api_config_free(config->api);
    free(config);
}

static dv_result config_parse(dv_worker *worker, dv_slice text, dv_gate_config *config,
                              dv_error *error)
{
    DV_TRY(dv_api_config_parse(text, &config->api, error));
    for (size_t i = 0; i < config->api->policy_count; i++) {
        DV_TRY(dv_data_policy_parse(worker->data, config->api->policies[i].json,
                                    &config->policies[i], error));
    }
    return DV_OK;
}

/* The placeholders' key is read once. */
static dv_result open_data(dv_worker *worker, dv_error *error)
{
    dv_slice key = {0};
    DV_TRY(
        dv_snapshot_get(worker->snapshot, DV_TABLE_ROUTES, DV_LIT(DV_API_PLACEHOLDER_KEY), &key));
    if (key.len != 32) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the snapshot's placeholder key is broken");
    }
    return dv_data_gate_new(key.ptr, worker->detectors, &worker->data, error);
}

/* The key of actions on values; without one no policy may have such an action. *ret_new: it is
 * another than before. */
static dv_result load_key(dv_worker *worker, bool *ret_new, dv_error *error)
{
    dv_slice key = {0};
    *ret_new = false;
    dv_result result =
        dv_snapshot_get(worker->snapshot, DV_TABLE_ROUTES, DV_LIT(DV_API_MASKING_KEY), &key);
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    DV_TRY(result);
    if (key.len != 32) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the snapshot's masking key is broken");
    }
    *ret_new = !dv_data_gate_has_key(worker->data, key.ptr);
    return *ret_new ? dv_data_gate_set_key(worker->data, key.ptr) : DV_OK;
}

static dv_result load_config(dv_worker *worker, dv_error *error)
{
    dv_slice text = {0};
    bool new_key = false;
    DV_TRY(load_key(worker, &new_key, error));
    if (new_key) { /* at once: whatever fails now, the next try reads them again */
        dv_buf_clear(&worker->config_text); /* its policies are under the old one */
    }
    DV_TRY(dv_snapshot_get(worker->snapshot, DV_TABLE_ROUTES, DV_LIT(DV_API_CONFIG_KEY), &text));
    if (worker->config != NULL && dv_slice_eq(text, dv_buf_slice(&worker->config_text))) {
        return DV_OK;
    }
    dv_gate_config *config = calloc(1, sizeof(*config));
    if (config == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    config->references = 1;
    dv_buf_clear(&worker->config_text);
    dv_result result = config_parse(worker, text, config, error);
    if (result == DV_OK) {
        result = dv_buf_append(&worker->config_text, text);
    }
    if (result != DV_OK) {
        dv_gate_config_unref(config);
        return result;
    }
    dv_gate_config_unref(worker->config);
    worker->config = config;
    return DV_OK;
}

static dv_result find_record(dv_worker *worker, dv_slice key, dv_slice *ret_value)
{
    dv_result result = dv_snapshot_get(worker->snapshot, DV_TABLE_ROUTES, key, ret_value);
    if (result == DV_ERR_NOT_FOUND) {
        *ret_value = (dv_slice){0};
        return DV_OK;
    }
    return result;
}

static dv_result load_named(dv_worker *worker)
{
    dv_slice kinds = {0};
    dv_slice networks = {0};
    DV_TRY(find_record(worker, DV_LIT(DV_API_NAMED_KINDS_KEY), &kinds));
    DV_TRY(find_record(worker, DV_LIT(DV_API_NAMED_NETWORKS_KEY), &networks));
    return dv_api_named_parse(kinds, networks, &worker->named);
}

/* What of the snapshot changed; a configuration that can't be read leaves none in force. */
static dv_result take_over(dv_worker *worker, dv_error *error)
{
    uint64_t generation = dv_snapshot_generation(worker->snapshot);
    if (worker->loaded && generation == worker->generation) {
        return DV_OK;
    }
    worker->loaded = false;
    DV_TRY(dv_auth_gate_refresh(worker->auth, worker->snapshot, error));
    if (worker->data == NULL) {
        DV_TRY(open_data(worker, error));
    }
    DV_TRY(load_config(worker, error));
    DV_TRY(load_named(worker));
    if (!worker->notes_usage) {
        note_usage(worker);
    }
    worker->generation = generation;
    worker->loaded = true;
    return DV_OK;
}

/* The spool comes last: a damaged snapshot may end who reads it, and nginx starts another one at
 * once. Each would leave a segment. */
static dv_result enter(dv_worker *worker, dv_error *error)
{
    DV_TRY(open_missing(worker, error));
    dv_result result = dv_snapshot_begin(worker->snapshot);
    bool began = result == DV_OK;
    if (began) {
        result = take_over(worker, error);
    }
    if (worker->spool == NULL) {
        dv_error why = {0};
        dv_result opened = open_spool(worker, &why);
        if (result == DV_OK && opened != DV_OK) {
            result = dv_error_set(error, opened, "%s", why.message);
        }
    }
    if (began && result != DV_OK) {
        dv_snapshot_end(worker->snapshot);
    }
    return result;
}

dv_result dv_worker_enter(dv_worker *worker, dv_error *error)
{
    if (!worker->loaded && worker->retry_at > dv_time_monotonic()) {
        return DV_ERR_UNAVAILABLE;
    }
    dv_error reason = {0};
    dv_result result = enter(worker, &reason);
    if (result == DV_OK) {
        return DV_OK;
    }
    worker->loaded = false;
    worker->retry_at = dv_time_monotonic() + DV_SECOND;
    return dv_error_set(error, DV_ERR_UNAVAILABLE, "%s: %s", dv_result_name(result),
                        reason.message);
}

void dv_worker_leave(dv_worker *worker)
{
    dv_snapshot_end(worker->snapshot);
}

dv_arena *dv_worker_arena_get(dv_worker *worker)
{
    return worker->arena_count > 0 ? worker->arenas[--worker->arena_count]
                                   : dv_arena_new(DV_LIMIT_REQUEST_ARENA);
}

void dv_worker_arena_put(dv_worker *worker, dv_arena *arena)
{
    if (worker->arena_count == DV_WORKER_ARENAS) {
        dv_arena_free(arena);
        return;
    }
    dv_arena_recycle(arena);
    worker->arenas[worker->arena_count++] = arena;
}

void dv_worker_held_get(dv_worker *worker, dv_buf *held)
{
    if (held->ptr == NULL) {
        held->ptr = worker->held.ptr;
        held->cap = worker->held.cap;
        worker->held = dv_buf_init(0);
    }
}

void dv_worker_held_put(dv_worker *worker, dv_buf *held)
{
    if (worker->held.ptr == NULL && held->cap <= HELD_KEPT_MAX) {
        worker->held = *held;
        *held = dv_buf_init(0);
    } else {
        dv_buf_release(held);
    }
}
