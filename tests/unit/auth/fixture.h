/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A control plane without its sockets: a real store and snapshot, and a sink that keeps events. */

#include "api/operations.h"
#include "base/buf.h"
#include "base/file.h"
#include "core/operation.h"
#include "room/auth/control/auth_control.h"
#include "room/auth/gate/auth_gate.h"
#include "store/change.h"
#include "unit/temp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

typedef struct fixture {
    temp_dir dir;
    char state[PATH_MAX];
    char runtime[PATH_MAX];
    dv_services services;
    dv_buf events; /* one a line */
    size_t event_count;
    bool events_fail;
    dv_error error;
    const char *error_field;
    dv_credential credential; /* of callers that are not local: no scopes unless a test sets some */
} fixture;

static inline dv_result fixture_event(void *data, dv_slice json)
{
    fixture *f = data;
    if (f->events_fail) {
        return DV_ERR_IO;
    }
    f->event_count++;
    DV_TRY(dv_buf_append(&f->events, json));
    return dv_buf_append_byte(&f->events, '\n');
}

static inline bool fixture_said(const fixture *f, const char *text)
{
    return dv_slice_find(dv_buf_slice(&f->events), dv_slice_str(text)) >= 0;
}

static inline void fixture_open(fixture *f)
{
    char path[PATH_MAX];
    static const uint8_t key[DV_STORE_KEY_LEN] = "auth";
    assert_int_equal(dv_store_open(temp_path(&f->dir, "state/dvara.db", path), key, false,
                                   &f->services.store, &f->error),
                     DV_OK);
    assert_int_equal(dv_snapshot_open_writer(temp_path(&f->dir, "run/snapshot", path),
                                             &f->services.snapshot, &f->error),
                     DV_OK);
    assert_int_equal(dv_auth_gate_new(&f->services.gate), DV_OK);
}

static inline void fixture_close(fixture *f)
{
    dv_auth_gate_free(f->services.gate);
    f->services.gate = NULL;
    dv_snapshot_close(f->services.snapshot);
    dv_store_close(f->services.store);
    f->services.snapshot = NULL;
    f->services.store = NULL;
}

static inline void fixture_start(fixture *f)
{
    dv_result result = dv_auth_control_start(&f->services, &f->error);
    if (result != DV_OK) {
        fail_msg("%s", f->error.message);
    }
}

static inline void fixture_restart(fixture *f)
{
    fixture_close(f);
    fixture_open(f);
    fixture_start(f);
}

static inline int fixture_set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    temp_dir_make(&f->dir);
    f->events = dv_buf_init(64 << 20);
    f->services.events = (dv_event_sink){fixture_event, f};
    f->services.state_dir = temp_path(&f->dir, "state", f->state);
    f->services.runtime_dir = temp_path(&f->dir, "run", f->runtime);
    assert_int_equal(mkdir(f->state, 0700), 0);
    assert_int_equal(mkdir(f->runtime, 0750), 0);
    fixture_open(f);
    fixture_start(f);
    *state = f;
    return 0;
}

static inline int fixture_tear_down(void **state)
{
    fixture *f = *state;
    fixture_close(f);
    dv_buf_release(&f->events);
    temp_dir_remove(&f->dir);
    free(f);
    return 0;
}

/* Calls a handler as `caller`; params and body are JSON with ' for ". The answer is the caller's to
 * release. */
static inline dv_result call_as(fixture *f, const char *caller, dv_operation_handler handler,
                                const char *params, const char *body, json_t **ret_answer)
{
    char text[2][4096];
    const char *from[2] = {params, body};
    json_t *json[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        if (from[i] == NULL) {
            continue;
        }
        snprintf(text[i], sizeof(text[i]), "%s", from[i]);
        for (char *c = text[i]; *c != '\0'; c++) {
            *c = *c == '\'' ? '"' : *c;
        }
        json[i] = json_loads(text[i], 0, NULL);
        assert_non_null(json[i]);
    }
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    bool local = caller[0] == 'L';
    dv_call call = {.services = &f->services,
                    .arena = arena,
                    .now = dv_time_now(),
                    .request_id = "01890a5d-ac96-774b-bcce-b302099a8057",
                    .caller = caller,
                    .via = local ? "control" : "api",
                    .credential = local ? NULL : &f->credential,
                    .address = local ? "" : "192.0.2.1",
                    .params = json[0],
                    .body = json[1]};
    memset(&f->error, 0, sizeof(f->error));
    dv_result result = handler(&call, &f->error);
    json_decref(json[0]);
    json_decref(json[1]);
    if (result == DV_OK && ret_answer != NULL) {
        *ret_answer = call.answer;
    } else {
        json_decref(call.answer);
    }
    return result;
}

static inline dv_result call_op(fixture *f, dv_operation_handler handler, const char *params,
                                const char *body)
{
    return call_as(f, "Local::\"root\"", handler, params, body, NULL);
}

static inline json_t *ask(fixture *f, dv_operation_handler handler, const char *params,
                          const char *body)
{
    json_t *answer = NULL;
    dv_result result = call_as(f, "Local::\"root\"", handler, params, body, &answer);
    if (result != DV_OK) {
        fail_msg("%s: %s", dv_result_name(result), f->error.message);
    }
    return answer;
}

/* A new key's secret and id. */
static inline void make_key(fixture *f, const char *body, char secret[64], char id[16])
{
    json_t *answer = ask(f, dv_op_apikey_create, NULL, body);
    snprintf(secret, 64, "%s", json_string_value(json_object_get(answer, "secret")));
    snprintf(id, 16, "%s", json_string_value(json_object_get(answer, "id")));
    json_decref(answer);
}
