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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_is_kept_at_once),
        TEST(what_is_held_is_kept_in_order),
        TEST(what_is_dropped_is_forgotten),
        TEST(a_full_log_fails_the_change),
        TEST(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
