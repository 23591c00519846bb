/* SPDX-License-Identifier: Apache-2.0 */
/* The records of a change: held until it is certain, kept in order, or forgotten. */
#include "core/audit.h"

#include "base/caps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef struct fixture {
    dv_buf log;  /* one record a line */
    size_t room; /* records that it takes */
    dv_services services;
    dv_call call;
    dv_audit_queue queue;
    dv_error error;
} fixture;

static dv_result keep_record(void *data, dv_slice record)
{
    fixture *f = data;
    if (f->room == 0) {
        return DV_ERR_UNAVAILABLE;
    }
    f->room--;
    DV_TRY(dv_buf_append(&f->log, record));
    return dv_buf_append_byte(&f->log, '\n');
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    f->log = dv_buf_init(1 << 20);
    f->room = 100;
    f->services.events = (dv_event_sink){keep_record, f};
    f->call = (dv_call){.services = &f->services,
                        .now = 1000 * DV_SECOND,
                        .request_id = "01890a5d-ac96-774b-bcce-b302099a8057",
                        .caller = "User::\"olga\"",
                        .via = "api",
                        .address = ""};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    dv_buf_release(&f->log);
    free(f);
    return 0;
}

static dv_result note(fixture *f, const char *role, const char *text)
{
    json_t *change = text == NULL ? NULL : json_pack("{s:s}", "note", text);
    dv_result result =
        dv_audit_entity(&f->call, DV_ENTITY_UPDATE, "role", role, NULL, change, &f->error);
    json_decref(change);
    return result;
}

static ptrdiff_t place(const fixture *f, const char *text)
{
    return dv_slice_find(dv_buf_slice(&f->log), dv_slice_str(text));
}

static void a_record_is_kept_at_once(void **state)
{
    fixture *f = *state;
    assert_int_equal(note(f, "one", NULL), DV_OK);
    assert_true(place(f, "one") >= 0);
    assert_int_equal(dv_audit_held(&f->call), 0);
}

static void what_is_held_is_kept_in_order(void **state)
{
    fixture *f = *state;
    dv_audit_hold(&f->call, &f->queue);
    assert_int_equal(note(f, "one", "two\nlines"), DV_OK);
    assert_int_equal(note(f, "three", NULL), DV_OK);
    assert_int_equal(dv_audit_held(&f->call), 2);
    assert_int_equal(f->log.len, 0);
    assert_int_equal(dv_audit_keep(&f->call, &f->error), DV_OK);
    dv_audit_drop(&f->call);
    assert_int_equal(f->room, 98);
    assert_true(place(f, "two\\nlines") > place(f, "one"));
    assert_true(place(f, "three") > place(f, "two\\nlines"));
}

static void what_is_dropped_is_forgotten(void **state)
{
    fixture *f = *state;
    dv_audit_hold(&f->call, &f->queue);
    assert_int_equal(note(f, "one", "x"), DV_OK);
    dv_audit_drop(&f->call);
    assert_int_equal(f->log.len, 0);
    assert_int_equal(note(f, "two", "x"), DV_OK);
    assert_int_equal(f->room, 99);
    assert_true(place(f, "one") < 0 && place(f, "two") >= 0);
}

static void a_full_log_fails_the_change(void **state)
{
    fixture *f = *state;
    f->room = 1;
    dv_audit_hold(&f->call, &f->queue);
    assert_int_equal(note(f, "one", NULL), DV_OK);
    assert_int_equal(note(f, "two", NULL), DV_OK);
    assert_int_equal(dv_audit_keep(&f->call, &f->error), DV_ERR_UNAVAILABLE);
    assert_non_null(strstr(f->error.message, "takes no record now"));
    dv_audit_drop(&f->call);
}

static void limits_hold(void **state)
{
    enum { TEXT = 30 << 10 };
    fixture *f = *state;
    char text[33 << 10];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    dv_audit_hold(&f->call, &f->queue);
    assert_int_equal(note(f, "long", text), DV_ERR_UNAVAILABLE);
    text[TEXT] = '\0';
    dv_result result = DV_OK;
    while (result == DV_OK) {
        result = note(f, "many", text);
    }
    assert_int_equal(result, DV_ERR_UNAVAILABLE);
    assert_in_range(dv_audit_held(&f->call), DV_LIMIT_CHANGE_RECORDS / (TEXT + 2048),
                    DV_LIMIT_CHANGE_RECORDS / TEXT);
    dv_audit_drop(&f->call);
}

/* The record of a call with these parameters and this body, either of which may be NULL. */
static void record_call(fixture *f, const char *path, json_t *params, json_t *body)
{
    static dv_operation operation; /* the call is recorded again by some */
    operation = (dv_operation){.id = "op", .method = "POST", .path = path};
    f->call.operation = &operation;
    f->call.params = params;
    f->call.body = body;
    dv_buf_clear(&f->log);
    assert_int_equal(dv_audit_call(&f->call, 200, DV_OK, NULL, &f->error), DV_OK);
    json_decref(params);
    json_decref(body);
}

static const char bob[] = "\"resources\":[{\"name\":\"bob\",\"uid\":\"User::\\\"bob\\\"\"}]";

static void a_call_says_whom_it_is_about(void **state)
{
    fixture *f = *state;
    record_call(f, "/v1/users/{name}", json_pack("{s:s}", "name", "bob"), NULL);
    assert_true(place(f, bob) >= 0);
    record_call(f, "/v1/users", NULL, json_pack("{s:s}", "name", "bob"));
    assert_true(place(f, bob) >= 0);
    record_call(f, "/v1/api-keys", NULL, json_pack("{s:s,s:s}", "user", "bob", "name", "laptop"));
    assert_true(place(f, bob) >= 0);
    record_call(f, "/v1/roles/{role}/assignments",
                json_pack("{s:s,s:s}", "role", "r", "user", "bob"), NULL);
    assert_true(place(f, bob) >= 0);
    record_call(f, "/v1/services/{name}", json_pack("{s:s}", "name", "ci"), NULL);
    assert_true(place(f, "\"uid\":\"Service::\\\"ci\\\"\"") >= 0);
}

static void what_is_no_person_has_no_uid(void **state)
{
    fixture *f = *state;
    record_call(f, "/v1/roles/{name}", json_pack("{s:s}", "name", "bob"), NULL);
    assert_true(place(f, "\"resources\":[{\"name\":\"bob\"}]") >= 0);
    record_call(f, "/v1/status", NULL, NULL);
    assert_true(place(f, "\"resources\"") < 0);
}

static void a_call_names_its_credential(void **state)
{
    fixture *f = *state;
    const dv_credential key = {.kind = DV_LIT("api_key"), .id = DV_LIT("Ab3dEf9h")};
    f->call.credential = &key;
    record_call(f, "/v1/status", NULL, NULL);
    assert_true(place(f, "\"programmatic_credentials\":[{\"uid\":\"Ab3dEf9h\"") >= 0);
}

static void a_call_that_read_data_says_which(void **state)
{
    fixture *f = *state;
    const dv_event_data data = {.database = DV_LIT("audit log"), .rows = 3, .bytes = -1};
    f->call.read = &data;
    record_call(f, "/v1/audit/events", NULL, NULL);
    assert_true(place(f, "\"type_uid\":600504") >= 0);
    assert_true(place(f, "\"operation\":\"op\",\"rows\":3") >= 0);
    assert_int_equal(dv_audit_call(&f->call, 503, DV_ERR_UNAVAILABLE, "why", &f->error), DV_OK);
    assert_true(place(f, "\"event_code\":\"control.call\"") >= 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_is_kept_at_once),
        TEST(what_is_held_is_kept_in_order),
        TEST(what_is_dropped_is_forgotten),
        TEST(a_full_log_fails_the_change),
        TEST(limits_hold),
        TEST(a_call_says_whom_it_is_about),
        TEST(what_is_no_person_has_no_uid),
        TEST(a_call_names_its_credential),
        TEST(a_call_that_read_data_says_which),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
