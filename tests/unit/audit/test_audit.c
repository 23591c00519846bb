/* SPDX-License-Identifier: Apache-2.0 */
/* The audit operations against a real log behind a real socket. */
#include "api/operations.h"
#include "base/caps.h"
#include "base/uuid.h"
#include "core/event.h"
#include "crypto/aead.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "daemon/logd_server.h"
#include "engine/log/spool.h"
#include "engine/log/verify.h"

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[64], spool_folder[80], log_folder[80];
static dv_log_keys keys;
static dv_tree_signer signer;
static dv_sequencer *sequencer;
static dv_logd_server *server;

static int make_signer(void)
{
    uint8_t public_key[32];
    dv_random(signer.seed, sizeof(signer.seed));
    return dv_ed25519_public(signer.seed, public_key) == DV_OK &&
                   dv_note_verifier_init("dvara.test/log", public_key, &signer.verifier) == DV_OK
               ? 0
               : -1;
}

static void publish(void)
{
    size_t taken;
    dv_sequencer_status status;
    assert_int_equal(dv_sequencer_collect(sequencer, &taken, NULL), DV_OK);
    assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
    dv_sequencer_status_get(sequencer, &status);
    dv_logd_server_update(server, &status);
}

static int start_log(void **state)
{
    snprintf(root, sizeof(root), "/tmp/dvara-audit-XXXXXX");
    if (mkdtemp(root) == NULL || make_signer() != 0) {
        return -1;
    }
    snprintf(spool_folder, sizeof(spool_folder), "%s/spool", root);
    snprintf(log_folder, sizeof(log_folder), "%s/log", root);
    dv_box_keypair(keys.public_key, keys.secret_key);
    dv_sequencer_options options = {.log_folder = log_folder,
                                    .spools = {spool_folder, NULL},
                                    .keys = &keys,
                                    .signer = &signer,
                                    .batch_bytes = 1 << 20};
    if (mkdir(spool_folder, 0700) != 0 || dv_sequencer_open(&options, &sequencer, NULL) != DV_OK ||
        dv_logd_server_open(log_folder, root, &signer.verifier, &server, NULL) != DV_OK) {
        return -1;
    }
    publish();
    return 0;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int stop_log(void **state)
{
    dv_logd_server_close(server);
    dv_sequencer_close(sequencer);
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* -- events ------------------------------------------------------------------------------------ */

static const char request_id[] = "0198c0de-0000-7000-8000-0123456789ab";
static const dv_sighting sightings[] = {
    {"email", "/messages/0/content", DV_ACTION_PLACEHOLDER, 90},
    {"payment_card", "/messages/1/content", DV_ACTION_MASK, 100},
};
static const dv_principal alice = {
    .type = DV_PRINCIPAL_USER,
    .name = {(const uint8_t *)"alice", 5},
    .entity = {(const uint8_t *)"User::\"alice\"", 13},
};

static dv_event_request request_of(const dv_verdict *verdict)
{
    return (dv_event_request){
        .request_id = dv_slice_str(request_id),
        .time = 1790000000 * DV_SECOND,
        .principal = &alice,
        .address = DV_LIT("10.1.2.3"),
        .route = DV_LIT("openai-chat"),
        .method = DV_LIT("POST"),
        .path = DV_LIT("/v1/chat/completions"),
        .model = DV_LIT("smollm2"),
        .verdict = verdict,
        .sightings = sightings,
        .sighting_count = 2,
    };
}

static void keep(dv_buf *event)
{
    dv_spool *spool = NULL;
    assert_int_equal(dv_spool_open(spool_folder, "gateway", keys.public_key, 1 << 20, &spool, NULL),
                     DV_OK);
    assert_int_equal(dv_spool_append(spool, dv_buf_slice(event), false), DV_OK);
    dv_spool_close(spool);
    publish();
}

static void keep_open(const dv_verdict *verdict)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_request request = request_of(verdict);
    assert_int_equal(dv_event_request_open(&event, &request), DV_OK);
    keep(&event);
}

static void keep_close(const dv_verdict *verdict, const dv_event_outcome *outcome)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_request request = request_of(verdict);
    assert_int_equal(dv_event_request_close(&event, &request, outcome), DV_OK);
    keep(&event);
}

/* -- calls ------------------------------------------------------------------------------------- */

static dv_result call(dv_operation_handler handler, json_t *params, json_t **ret_answer)
{
    dv_error error = {0};
    dv_services services = {.runtime_dir = root};
    dv_call made = {.services = &services, .params = params, .now = dv_time_now()};
    dv_result result = handler(&made, &error);
    json_decref(params);
    *ret_answer = made.answer;
    assert_int_equal(result == DV_OK, made.answer != NULL);
    return result;
}

static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    assert_non_null(text);
    return text;
}

static const dv_verdict allowed = {
    .decision = DV_ALLOW, .reason = DV_REASON_OK, .policy = "role:model_user"};
static const dv_verdict denied = {
    .decision = DV_DENY, .reason = DV_REASON_SENSITIVE_DATA, .detail = "payment_card at /input"};

static void test_tail_shows_events_with_a_summary(void **state)
{
    json_t *answer;
    keep_open(&allowed);
    assert_int_equal(
        call(dv_op_audit_tail, json_pack("{s:i,s:i}", "limit", 10, "last", 5), &answer), DV_OK);
    const json_t *items = json_object_get(answer, "items");
    assert_int_equal(json_array_size(items), 1);
    const json_t *item = json_array_get(items, 0);
    assert_string_equal(text_at(item, "who"), "alice");
    assert_string_equal(text_at(item, "event"), "request.open");
    assert_string_equal(text_at(item, "what"), "POST /v1/chat/completions model smollm2");
    assert_string_equal(text_at(item, "outcome"), "ok");
    assert_string_equal(text_at(item, "when"), "2026-09-21T14:13:20.000000Z");
    assert_int_equal(json_integer_value(json_object_get(item, "class_uid")), 6003);
    assert_string_equal(text_at(answer, "next"), "1");
    json_decref(answer);
}

static void test_tail_pages_by_cursor(void **state)
{
    json_t *answer;
    for (int i = 0; i < 5; i++) {
        keep_open(&allowed);
    }
    assert_int_equal(call(dv_op_audit_tail,
                          json_pack("{s:i,s:i,s:i}", "limit", 2, "from", 1, "last", 1), &answer),
                     DV_OK);
    assert_int_equal(json_array_size(json_object_get(answer, "items")), 2);
    assert_string_equal(text_at(answer, "next"), "3");
    json_decref(answer);
    assert_int_equal(
        call(dv_op_audit_tail, json_pack("{s:i,s:s}", "limit", 9, "cursor", "3"), &answer), DV_OK);
    assert_int_equal(json_array_size(json_object_get(answer, "items")), 2);
    assert_string_equal(text_at(answer, "next"), "5");
    json_decref(answer);
    assert_int_equal(
        call(dv_op_audit_tail, json_pack("{s:i,s:s}", "limit", 9, "cursor", "5"), &answer), DV_OK);
    assert_int_equal(json_array_size(json_object_get(answer, "items")), 0);
    json_decref(answer);
    assert_int_equal(
        call(dv_op_audit_tail, json_pack("{s:i,s:s}", "limit", 9, "cursor", "x"), &answer),
        DV_ERR_INVALID);
}

static void test_why_tells_the_whole_story(void **state)
{
    json_t *answer;
    dv_event_outcome outcome = {.time = 1790000001 * DV_SECOND,
                                .status = 200,
                                .upstream_status = 200,
                                .latency = 250 * DV_MILLISECOND,
                                .upstream_latency = -1,
                                .input_tokens = 10,
                                .output_tokens = 20};
    keep_open(&allowed);
    keep_close(&allowed, &outcome);
    assert_int_equal(call(dv_op_audit_why, json_pack("{s:s}", "request_id", request_id), &answer),
                     DV_OK);
    assert_string_equal(text_at(answer, "decision"), "allow");
    assert_string_equal(text_at(answer, "policy"), "role:model_user");
    assert_string_equal(text_at(json_object_get(answer, "who"), "principal"), "User::\"alice\"");
    assert_string_equal(text_at(json_object_get(answer, "asked"), "model"), "smollm2");
    const json_t *found = json_object_get(answer, "found");
    assert_int_equal(json_array_size(found), 2);
    assert_string_equal(text_at(json_array_get(found, 1), "detector"), "payment_card");
    assert_string_equal(text_at(json_array_get(found, 1), "place"), "/messages/1/content");
    assert_string_equal(text_at(json_array_get(found, 1), "in"), "request");
    const json_t *ended = json_object_get(answer, "outcome");
    assert_int_equal(json_integer_value(json_object_get(ended, "output_tokens")), 20);
    assert_string_equal(
        text_at(answer, "summary"),
        "alice asked for POST /v1/chat/completions (model smollm2) and was allowed by "
        "role:model_user. email in the request at /messages/0/content: placeholder. payment_card "
        "in the request at /messages/1/content: mask. The caller got 200, the model server "
        "answered 200, after 250 ms.");
    assert_int_equal(json_array_size(json_object_get(answer, "events")), 2);
    json_decref(answer);
}

static void test_why_names_what_refused(void **state)
{
    json_t *answer;
    keep_open(&denied);
    assert_int_equal(call(dv_op_audit_why, json_pack("{s:s}", "request_id", request_id), &answer),
                     DV_OK);
    assert_string_equal(text_at(answer, "decision"), "deny");
    assert_string_equal(text_at(answer, "reason"), "sensitive_data");
    assert_string_equal(text_at(answer, "detail"), "payment_card at /input");
    assert_non_null(strstr(text_at(answer, "summary"), "was refused: "));
    json_decref(answer);
}

/* An answer that was blocked outranks the admitted request. */
static void test_why_tells_of_a_blocked_answer(void **state)
{
    json_t *answer;
    dv_verdict blocked = {.decision = DV_DENY, .reason = DV_REASON_ANSWER_BLOCKED};
    dv_event_outcome outcome = {.status = 502, .verdict = &blocked};
    keep_open(&allowed);
    keep_close(&allowed, &outcome);
    assert_int_equal(call(dv_op_audit_why, json_pack("{s:s}", "request_id", request_id), &answer),
                     DV_OK);
    assert_string_equal(text_at(answer, "decision"), "deny");
    assert_string_equal(text_at(answer, "reason"), "answer_blocked");
    json_decref(answer);
}

/* That the model server failed is an outcome of an allowed request. */
static void test_why_tells_of_a_failed_upstream(void **state)
{
    json_t *answer;
    dv_verdict failed = {.decision = DV_DENY, .reason = DV_REASON_UPSTREAM};
    dv_event_outcome outcome = {.status = 502, .verdict = &failed};
    keep_open(&allowed);
    keep_close(&allowed, &outcome);
    assert_int_equal(call(dv_op_audit_why, json_pack("{s:s}", "request_id", request_id), &answer),
                     DV_OK);
    assert_string_equal(text_at(answer, "decision"), "allow");
    assert_string_equal(text_at(json_object_get(answer, "outcome"), "reason"), "upstream_failed");
    assert_non_null(strstr(text_at(answer, "summary"), "The model server did not answer."));
    json_decref(answer);
}

static void test_why_of_an_unknown_request(void **state)
{
    json_t *answer;
    keep_open(&allowed);
    assert_int_equal(call(dv_op_audit_why, json_pack("{s:s}", "request_id", "nothing"), &answer),
                     DV_ERR_NOT_FOUND);
}

/* A request of this second may still be on its way into the log: it is waited for. */
static void test_why_waits_for_a_recent_request(void **state)
{
    json_t *answer;
    char id[DV_UUID_TEXT_LEN + 1];
    dv_uuid uuid = dv_uuid_new(dv_time_now());
    dv_uuid_format(&uuid, id);
    dv_time before = dv_time_monotonic();
    assert_int_equal(call(dv_op_audit_why, json_pack("{s:s}", "request_id", id), &answer),
                     DV_ERR_NOT_FOUND);
    assert_true(dv_time_monotonic() - before > DV_SECOND);
}

static void test_checkpoint_and_status(void **state)
{
    json_t *answer;
    dv_note_verifier key;
    dv_checkpoint checkpoint;
    keep_open(&allowed);
    assert_int_equal(call(dv_op_audit_checkpoint, json_object(), &answer), DV_OK);
    assert_int_equal(dv_note_verifier_parse(dv_slice_str(text_at(answer, "vkey")), &key), DV_OK);
    assert_int_equal(dv_checkpoint_open(dv_slice_str(text_at(answer, "note")), &key, &checkpoint),
                     DV_OK);
    assert_int_equal(checkpoint.size, 1);
    assert_int_equal(json_integer_value(json_object_get(answer, "size")), 1);
    json_decref(answer);
    assert_int_equal(call(dv_op_audit_status, json_object(), &answer), DV_OK);
    assert_string_equal(text_at(answer, "origin"), "dvara.test/log");
    assert_true(json_is_false(json_object_get(answer, "blocked")));
    json_decref(answer);
}

static void test_no_server_is_unavailable(void **state)
{
    json_t *answer;
    dv_logd_server_close(server);
    server = NULL;
    assert_int_equal(call(dv_op_audit_status, json_object(), &answer), DV_ERR_UNAVAILABLE);
}

#define AUDIT_TEST(name) cmocka_unit_test_setup_teardown(name, start_log, stop_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AUDIT_TEST(test_tail_shows_events_with_a_summary),
        AUDIT_TEST(test_tail_pages_by_cursor),
        AUDIT_TEST(test_why_tells_the_whole_story),
        AUDIT_TEST(test_why_names_what_refused),
        AUDIT_TEST(test_why_tells_of_a_blocked_answer),
        AUDIT_TEST(test_why_tells_of_a_failed_upstream),
        AUDIT_TEST(test_why_of_an_unknown_request),
        AUDIT_TEST(test_why_waits_for_a_recent_request),
        AUDIT_TEST(test_checkpoint_and_status),
        AUDIT_TEST(test_no_server_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
