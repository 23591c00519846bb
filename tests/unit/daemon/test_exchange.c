/* SPDX-License-Identifier: Apache-2.0 */
/* A request from its head to its answer, with handlers of the fixture's API: who is let in, what
 * is refused and how, and that nothing is answered that was not recorded. */
#include "base/caps.h"
#include "base/file.h"
#include "crypto/aead.h"
#include "daemon/dvarad_exchange.h"
#include "daemon/dvarad_pages.h"
#include "daemon/dvarad_router.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

/* --- handlers in the order of the fixture's operations --------------------------------------- */

static struct {
    int age; /* of the one pet there is, Tom */
    int created;
    dv_result deletion;
} shop;

static dv_result pet_list(dv_call *call, dv_error *error)
{
    call->answer = json_pack("{s:[{s:s}]}", "items", "name", "Tom");
    return DV_OK;
}

static dv_result pet_create(dv_call *call, dv_error *error)
{
    if (strcmp(dv_call_field(call, "name"), "Tom") == 0) {
        return dv_error_set(error, DV_ERR_EXISTS, "There is a Tom already.");
    }
    if (strcmp(dv_call_field(call, "name"), "Odd") == 0) {
        return dv_call_invalid(call, "owner.name", error, "Nobody is called so.");
    }
    shop.created++;
    call->answer = json_pack("{s:s}", "name", dv_call_field(call, "name"));
    return DV_OK;
}

static dv_result pet_oldest(dv_call *call, dv_error *error)
{
    return dv_error_set(error, DV_ERR_CORRUPT, "the shelf /secret/path is broken");
}

static dv_result pet_get(dv_call *call, dv_error *error)
{
    if (strcmp(dv_call_param(call, "name"), "Tom") != 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "No pet has that name.");
    }
    call->answer = json_pack("{s:s, s:i}", "name", "Tom", "age", shop.age);
    return DV_OK;
}

static dv_result pet_delete(dv_call *call, dv_error *error)
{
    return shop.deletion;
}

const dv_operation_handler dv_operation_handlers[] = {pet_list, pet_create, pet_oldest, pet_get,
                                                      pet_delete};

/* --- a control plane ------------------------------------------------------------------------- */

typedef struct fixture {
    dv_control control;
    char folder[32];
    char spool[64];
    dv_exchange *exchange;
    dv_buf records; /* of the audit log, one after the other */
    bool broken;    /* nothing is recorded any more */
} fixture;

static dv_result keep_record(void *data, dv_slice record)
{
    fixture *f = data;
    return f->broken ? DV_ERR_UNAVAILABLE : dv_buf_append(&f->records, record);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    uint8_t public_key[DV_BOX_PUBLIC_LEN], secret_key[DV_BOX_SECRET_LEN];
    char path[64];
    shop.age = 3;
    shop.created = 0;
    shop.deletion = DV_OK;
    *state = f;
    f->records = dv_buf_init(1 << 20);
    snprintf(f->folder, sizeof(f->folder), "/tmp/dvara-exchange-XXXXXX");
    if (mkdtemp(f->folder) == NULL) {
        return 1;
    }
    dv_services *services = &f->control.services;
    services->state_dir = services->runtime_dir = f->folder;
    services->events = (dv_event_sink){keep_record, f};
    dv_box_keypair(public_key, secret_key);
    snprintf(path, sizeof(path), "%s/snapshot", f->folder);
    snprintf(f->spool, sizeof(f->spool), "%s/spool", f->folder);
    if (dv_snapshot_open_writer(path, &services->snapshot, NULL) != DV_OK ||
        dv_dir_make(f->spool, 0700, NULL) != DV_OK ||
        dv_spool_open(f->spool, "dvarad", public_key, 1 << 20, &f->control.spool, NULL) != DV_OK ||
        dv_auth_gate_new(&f->control.gate) != DV_OK) {
        return 1;
    }
    static const uint8_t key[DV_STORE_KEY_LEN] = "exchange";
    snprintf(path, sizeof(path), "%s/dvara.db", f->folder);
    if (dv_store_open(path, key, false, &services->store, NULL) != DV_OK) {
        return 1;
    }
    snprintf(path, sizeof(path), "%s/metrics-dvarad", f->folder);
    return dv_metrics_open(path, 0660, &f->control.metrics, NULL) != DV_OK;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    return remove(path);
}

static int teardown(void **state)
{
    fixture *f = *state;
    dv_exchange_free(f->exchange);
    dv_metrics_close(f->control.metrics);
    dv_auth_gate_free(f->control.gate);
    dv_spool_close(f->control.spool);
    dv_snapshot_close(f->control.services.snapshot);
    dv_store_close(f->control.services.store);
    dv_buf_release(&f->records);
    nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* --- requests -------------------------------------------------------------------------------- */

static dv_exchange_head local(const char *method, const char *target)
{
    return (dv_exchange_head){.local = "Local::\"root\"",
                              .method = dv_slice_str(method),
                              .target = dv_slice_str(target),
                              .content_type = DV_LIT("application/json")};
}

static dv_exchange_head remote(const char *method, const char *target)
{
    dv_exchange_head head = local(method, target);
    head.local = NULL;
    return head;
}

static const dv_exchange_answer *ask(fixture *f, dv_exchange_head head, const char *body)
{
    dv_exchange_free(f->exchange);
    f->exchange = dv_exchange_new(&f->control, &head);
    assert_non_null(f->exchange);
    dv_buf_clear(&f->records);
    if (dv_exchange_begin(f->exchange)) {
        dv_exchange_finish(f->exchange, dv_slice_str(body), false);
    }
    return dv_exchange_get_answer(f->exchange);
}

/* The text of a member of the answer's error. */
static const char *told(const dv_exchange_answer *answer, const char *member)
{
    static char text[DV_ERROR_MESSAGE_MAX];
    json_t *body = json_loadb((const char *)answer->body.ptr, answer->body.len, 0, NULL);
    const char *found = json_string_value(json_object_get(json_object_get(body, "error"), member));
    snprintf(text, sizeof(text), "%s", found != NULL ? found : "");
    json_decref(body);
    return text;
}

static void assert_error(const dv_exchange_answer *answer, int status, const char *code)
{
    assert_int_equal(answer->status, status);
    assert_string_equal(told(answer, "code"), code);
    assert_string_equal(told(answer, "request_id"), answer->request_id);
    assert_string_equal(answer->content_type, "application/json");
    assert_string_equal(answer->etag, "");
}

static bool recorded(fixture *f, const char *words)
{
    return dv_slice_find(dv_buf_slice(&f->records), dv_slice_str(words)) >= 0;
}

static void answers_and_records(void **state)
{
    fixture *f = *state;
    const dv_exchange_answer *answer = ask(f, local("GET", "/v1/pets/Tom"), "");
    assert_int_equal(answer->status, 200);
    assert_true(dv_slice_eq_str(answer->body, "{\"name\":\"Tom\",\"age\":3}"));
    assert_true(recorded(f, "pet_get"));
    assert_true(recorded(f, answer->request_id));
    assert_true(recorded(f, "root"));
    answer = ask(f, local("POST", "/v1/pets"), "{\"name\":\"Tim\",\"kind\":\"dog\"}");
    assert_int_equal(answer->status, 201);
    assert_true(recorded(f, "pet_create"));
    assert_string_equal(answer->etag, "");
    answer = ask(f, local("DELETE", "/v1/pets/Tim"), "");
    assert_int_equal(answer->status, 204);
    assert_int_equal(answer->body.len, 0);
}

static void tells_errors_by_their_results(void **state)
{
    fixture *f = *state;
    assert_error(ask(f, local("GET", "/v1/pets/Jim"), ""), 404, "not_found");
    assert_error(ask(f, local("POST", "/v1/pets"), "{\"name\":\"Tom\",\"kind\":\"cat\"}"), 409,
                 "exists");
    assert_true(recorded(f, "There is a Tom already."));
    const dv_exchange_answer *answer =
        ask(f, local("POST", "/v1/pets"), "{\"name\":\"Odd\",\"kind\":\"cat\"}");
    assert_error(answer, 400, "invalid");
    assert_string_equal(told(answer, "field"), "owner.name");
    answer = ask(f, local("POST", "/v1/pets"), "{\"name\":\"Tim\"}");
    assert_error(answer, 400, "invalid");
    assert_string_equal(told(answer, "field"), "kind");
    assert_int_equal(shop.created, 0);
    static const struct {
        dv_result result;
        int status;
    } map[] = {{DV_ERR_FORBIDDEN, 403}, {DV_ERR_CONFLICT, 409},    {DV_ERR_TOO_LARGE, 413},
               {DV_ERR_LIMITED, 429},   {DV_ERR_UNAVAILABLE, 503}, {DV_ERR_UNSUPPORTED, 422},
               {DV_ERR_NO_MEMORY, 500}, {DV_ERR_IO, 500}};
    for (size_t i = 0; i < DV_ARRAY_LEN(map); i++) {
        shop.deletion = map[i].result;
        assert_int_equal(ask(f, local("DELETE", "/v1/pets/Tom"), "")->status, map[i].status);
    }
}

/* What is broken inside is for the operator, not for the caller. */
static void hides_its_own_faults(void **state)
{
    fixture *f = *state;
    const dv_exchange_answer *answer = ask(f, local("GET", "/v1/pets/oldest"), "");
    assert_error(answer, 500, "internal");
    assert_true(dv_slice_find(answer->body, DV_LIT("shelf")) < 0);
}

static void knows_paths_and_methods(void **state)
{
    fixture *f = *state;
    assert_error(ask(f, local("GET", "/v1/none"), ""), 404, "no_route");
    const dv_exchange_answer *answer = ask(f, local("PUT", "/v1/pets/Tom"), "");
    assert_error(answer, 405, "bad_method");
    assert_string_equal(answer->allow, "GET, DELETE");
    assert_error(ask(f, local("GET", "/v1//pets"), ""), 400, "invalid");
}

/* Strangers learn nothing of what exists: all they are told is that they are strangers. */
static void strangers_are_refused_everywhere(void **state)
{
    static const char *const targets[] = {"/v1/pets", "/v1/pets/Tom", "/v1/none", "/v1//", "/x"};
    fixture *f = *state;
    for (size_t i = 0; i < DV_ARRAY_LEN(targets); i++) {
        assert_error(ask(f, remote("GET", targets[i]), ""), 401, "no_credential");
    }
    assert_true(recorded(f, "no_credential"));
    assert_error(ask(f, remote("POST", "/v1/pets"), "{\"name\":\"Tim\",\"kind\":\"cat\"}"), 401,
                 "no_credential");
    assert_int_equal(shop.created, 0);
}

static void unclear_credentials_are_none(void **state)
{
    fixture *f = *state;
    dv_exchange_head head = remote("GET", "/v1/pets");
    head.authorization = DV_LIT("Basic abc");
    assert_error(ask(f, head, ""), 401, "no_credential");
    head.authorization = DV_LIT("Bearer a");
    head.api_key = DV_LIT("a");
    assert_error(ask(f, head, ""), 401, "no_credential");
    head.api_key = (dv_slice){0};
    head.repeated = true;
    assert_error(ask(f, head, ""), 401, "no_credential");
}

/* A gate whose snapshot shows no identities yet lets nobody in. */
static void a_key_is_no_use_before_the_snapshot(void **state)
{
    fixture *f = *state;
    dv_exchange_head head = remote("GET", "/v1/pets");
    head.api_key = DV_LIT("dvk_AAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    const dv_exchange_answer *answer = ask(f, head, "");
    assert_true(answer->status == 401 || answer->status == 503);
}

static void other_origins_change_nothing(void **state)
{
    fixture *f = *state;
    dv_exchange_head head = local("POST", "/v1/pets");
    head.origin = DV_LIT("https://evil.example");
    assert_error(ask(f, head, "{\"name\":\"Tim\",\"kind\":\"cat\"}"), 403, "bad_origin");
    assert_int_equal(shop.created, 0);
    snprintf(f->control.settings.origins[0], DV_ORIGIN_MAX, "https://good.example");
    f->control.settings.origin_count = 1;
    assert_error(ask(f, head, "{\"name\":\"Tim\",\"kind\":\"cat\"}"), 403, "bad_origin");
    head.origin = DV_LIT("https://good.example.evil");
    assert_error(ask(f, head, "{\"name\":\"Tim\",\"kind\":\"cat\"}"), 403, "bad_origin");
    head.origin = DV_LIT("");
    assert_error(ask(f, head, "{\"name\":\"Tim\",\"kind\":\"cat\"}"), 403, "bad_origin");
    head.origin = DV_LIT("https://good.example");
    assert_int_equal(ask(f, head, "{\"name\":\"Tim\",\"kind\":\"cat\"}")->status, 201);
    head = local("GET", "/v1/pets");
    head.origin = DV_LIT("https://evil.example");
    assert_int_equal(ask(f, head, "")->status, 200);
}

static void bodies_are_json_and_have_a_limit(void **state)
{
    fixture *f = *state;
    dv_exchange_head head = local("POST", "/v1/pets");
    head.content_type = DV_LIT("text/plain");
    assert_error(ask(f, head, "{\"name\":\"Tim\",\"kind\":\"cat\"}"), 415, "bad_content_type");
    head.content_type = (dv_slice){0};
    assert_error(ask(f, head, "{\"name\":\"Tim\",\"kind\":\"cat\"}"), 415, "bad_content_type");
    head.content_type = DV_LIT("Application/JSON; charset=utf-8");
    assert_int_equal(ask(f, head, "{\"name\":\"Tim\",\"kind\":\"cat\"}")->status, 201);
    dv_exchange_free(f->exchange);
    head = local("POST", "/v1/pets");
    f->exchange = dv_exchange_new(&f->control, &head);
    assert_true(dv_exchange_begin(f->exchange));
    dv_exchange_finish(f->exchange, (dv_slice){0}, true);
    assert_error(dv_exchange_get_answer(f->exchange), 413, "too_large");
    assert_error(ask(f, local("POST", "/v1/pets"), ""), 400, "invalid");
    assert_error(ask(f, local("GET", "/v1/pets"), "{}"), 400, "invalid");
}

static void unchanged_answers_are_not_sent_again(void **state)
{
    char etag[DV_ETAG_MAX];
    fixture *f = *state;
    dv_exchange_head head = local("GET", "/v1/pets/Tom");
    snprintf(etag, sizeof(etag), "%s", ask(f, head, "")->etag);
    assert_int_equal(strlen(etag), 34);
    head.if_none_match = dv_slice_str(etag);
    const dv_exchange_answer *answer = ask(f, head, "");
    assert_int_equal(answer->status, 304);
    assert_int_equal(answer->body.len, 0);
    head.if_none_match = DV_LIT("\"other\", *");
    assert_int_equal(ask(f, head, "")->status, 304);
    head.if_none_match = dv_slice_str(etag);
    shop.age = 4;
    assert_int_equal(ask(f, head, "")->status, 200);
}

static void changed_things_are_not_overwritten(void **state)
{
    char etag[DV_ETAG_MAX];
    fixture *f = *state;
    snprintf(etag, sizeof(etag), "%s", ask(f, local("GET", "/v1/pets/Tom"), "")->etag);
    dv_exchange_head head = local("DELETE", "/v1/pets/Tom");
    head.if_match = dv_slice_str(etag);
    assert_int_equal(ask(f, head, "")->status, 204);
    shop.age = 4;
    assert_error(ask(f, head, ""), 412, "changed");
    head.if_match = DV_LIT("*");
    assert_int_equal(ask(f, head, "")->status, 204);
    head.target = DV_LIT("/v1/pets/Jim");
    assert_error(ask(f, head, ""), 404, "not_found");
}

/* Without a record there is no answer. */
static void nothing_is_answered_unrecorded(void **state)
{
    fixture *f = *state;
    f->broken = true;
    assert_error(ask(f, local("GET", "/v1/pets/Tom"), ""), 503, "audit_unavailable");
    assert_error(ask(f, local("GET", "/v1/pets/Jim"), ""), 503, "audit_unavailable");
}

/* Room for the record is there before the handler runs, and given back behind it. */
static void room_is_reserved_and_given_back(void **state)
{
    fixture *f = *state;
    f->control.services.events = dv_control_events(&f->control);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(
            ask(f, local("POST", "/v1/pets"), "{\"name\":\"Tim\",\"kind\":\"cat\"}")->status, 201);
        assert_int_equal(f->control.reserved, 0);
    }
}

static void pages_answer(void **state)
{
    fixture *f = *state;
    const dv_exchange_answer *answer = ask(f, remote("GET", "/healthz"), "");
    assert_int_equal(answer->status, 200);
    assert_true(dv_slice_eq_str(answer->body, "ok\n"));
    answer = ask(f, remote("GET", "/readyz?x"), "");
    assert_int_equal(answer->status, 503); /* no dvara-logd here */
    assert_true(dv_slice_find(answer->body, DV_LIT("audit: not ready")) >= 0);
    assert_true(dv_slice_find(answer->body, DV_LIT("store: ok")) >= 0);
    answer = ask(f, remote("GET", "/docs"), "");
    assert_string_equal(answer->content_type, "text/html; charset=utf-8");
    assert_error(ask(f, remote("POST", "/healthz"), ""), 405, "bad_method");
}

static void metrics_are_for_this_machine_or_a_key(void **state)
{
    fixture *f = *state;
    assert_int_equal(ask(f, local("GET", "/v1/pets"), "")->status, 200);
    assert_error(ask(f, remote("GET", "/metrics"), ""), 401, "no_credential");
    dv_exchange_head head = remote("GET", "/metrics");
    head.address = DV_LIT("10.0.0.1");
    assert_error(ask(f, head, ""), 401, "no_credential");
    head.address = DV_LIT("127.0.0.1");
    const dv_exchange_answer *answer = ask(f, head, "");
    assert_int_equal(answer->status, 200);
    assert_true(
        dv_slice_find(answer->body, DV_LIT("dvara_control_requests_total{operation=\"pet_list\","
                                           "status=\"200\"} 1\n")) >= 0);
    f->control.settings.metrics_need_key = true;
    assert_error(ask(f, head, ""), 401, "no_credential");
    assert_int_equal(ask(f, local("GET", "/metrics"), "")->status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_and_records, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_errors_by_their_results, setup, teardown),
        cmocka_unit_test_setup_teardown(hides_its_own_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(knows_paths_and_methods, setup, teardown),
        cmocka_unit_test_setup_teardown(strangers_are_refused_everywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(unclear_credentials_are_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_is_no_use_before_the_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(other_origins_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_are_json_and_have_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(unchanged_answers_are_not_sent_again, setup, teardown),
        cmocka_unit_test_setup_teardown(changed_things_are_not_overwritten, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_answered_unrecorded, setup, teardown),
        cmocka_unit_test_setup_teardown(room_is_reserved_and_given_back, setup, teardown),
        cmocka_unit_test_setup_teardown(pages_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(metrics_are_for_this_machine_or_a_key, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
