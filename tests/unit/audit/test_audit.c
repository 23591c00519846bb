/* SPDX-License-Identifier: Apache-2.0 */
/* The audit operations against a real log behind a real socket. */
#include "api/operations.h"
#include "base/caps.h"
#include "base/file.h"
#include "base/uuid.h"
#include "core/event_access.h"
#include "core/event_findings.h"
#include "core/event_network.h"
#include "crypto/aead.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "daemon/logd_server.h"
#include "engine/log/blob.h"
#include "engine/log/spool.h"
#include "engine/log/verify.h"
#include "room/audit/control/internal.h"

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[64], spool_folder[80], log_folder[80], keys_folder[80];
static dv_log_keys keys;
static dv_tree_signer signer;
static dv_subjects *subjects;
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
    snprintf(keys_folder, sizeof(keys_folder), "%s/subjects", root);
    if (dv_subjects_open(keys_folder, &subjects, NULL) != DV_OK) {
        return -1;
    }
    dv_box_keypair(keys.public_key, keys.secret_key);
    dv_sequencer_options options = {.log_folder = log_folder,
                                    .spools = {spool_folder, NULL},
                                    .keys = &keys,
                                    .signer = &signer,
                                    .subjects = subjects,
                                    .batch_bytes = 1 << 20};
    const dv_logd_keys signing = {.signer = signer};
    if (mkdir(spool_folder, 0700) != 0 || dv_sequencer_open(&options, &sequencer, NULL) != DV_OK ||
        dv_logd_server_open(log_folder, root, &signing, NULL, NULL, NULL, subjects, &server,
                            NULL) != DV_OK) {
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
    dv_subjects_close(subjects);
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
    dv_buf_clear(event);
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

/* What the last call said that it read. */
static dv_event_data reading;
static char reading_query[128];

static dv_result call(dv_operation_handler handler, json_t *params, json_t **ret_answer)
{
    dv_error error = {0};
    dv_services services = {.runtime_dir = root};
    dv_arena *arena = dv_arena_new(1 << 16);
    dv_call made = {.services = &services, .arena = arena, .params = params, .now = dv_time_now()};
    dv_result result = handler(&made, &error);
    json_decref(params);
    *ret_answer = made.answer;
    reading = made.read != NULL ? *made.read : (dv_event_data){.rows = -1};
    dv_slice_copy(reading.query, reading_query, sizeof(reading_query));
    dv_arena_free(arena);
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

static void test_what_was_read_is_told(void **state)
{
    json_t *answer;
    keep_open(&allowed);
    assert_int_equal(
        call(dv_op_audit_tail, json_pack("{s:i,s:i}", "limit", 10, "last", 5), &answer), DV_OK);
    json_decref(answer);
    assert_int_equal(reading.rows, 1);
    assert_true(dv_slice_eq_str(reading.database, "audit log"));
    assert_string_equal(reading_query, "/events?from=0&limit=10");
    assert_int_equal(call(dv_op_audit_why, json_pack("{s:s}", "request_id", request_id), &answer),
                     DV_OK);
    json_decref(answer);
    assert_int_equal(reading.rows, 1);
    assert_non_null(strstr(reading_query, request_id));
    assert_int_equal(call(dv_op_audit_why, json_pack("{s:s}", "request_id", "none"), &answer),
                     DV_ERR_NOT_FOUND);
    assert_int_equal(reading.rows, -1);
}

/* -- summaries --------------------------------------------------------------------------------- */

static const dv_event_actor olga = {.time = 1790000000 * DV_SECOND,
                                    .entity = {(const uint8_t *)"User::\"olga\"", 12}};

static void keep_access(void)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    const dv_slice role = DV_LIT("Role::\"analyst\"");
    const dv_event_access access = {
        .holder = DV_LIT("User::\"bob\""), .privileges = &role, .privilege_count = 1};
    assert_int_equal(dv_event_user_access(&event, &olga, DV_ACCESS_GRANT, &access), DV_OK);
    keep(&event);
    assert_int_equal(dv_event_user_access(&event, &olga, DV_ACCESS_REVOKE, &access), DV_OK);
    keep(&event);
    const dv_event_session session = {.holder = access.holder, .credential_id = DV_LIT("Ab3dEf9h")};
    assert_int_equal(dv_event_session_authorize(&event, &olga, &session), DV_OK);
    keep(&event);
    const dv_event_data data = {
        .database = DV_LIT("audit log"), .table = DV_LIT("main"), .rows = 3, .bytes = -1};
    assert_int_equal(dv_event_data_access(&event, &olga, DV_DATA_READ, &data), DV_OK);
    keep(&event);
}

static void keep_things(void)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    const dv_event_entity limit = {
        .type = DV_LIT("limit"), .name = DV_LIT("user/bob"), .owner = DV_LIT("User::\"bob\"")};
    assert_int_equal(dv_event_entity_change(&event, &olga, DV_ENTITY_UPDATE, &limit), DV_OK);
    keep(&event);
    assert_int_equal(dv_event_config_state(&event, &olga, DV_LIT("dvara.yaml"), DV_LIT("00")),
                     DV_OK);
    keep(&event);
    const dv_event_network refused = {
        .address = DV_LIT("192.0.2.7"), .reason = DV_NETWORK_TLS, .count = 3};
    assert_int_equal(dv_event_network_refusal(&event, &refused), DV_OK);
    keep(&event);
}

static void keep_findings(void)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    const dv_event_request request = request_of(&denied);
    const dv_event_data_finding finding = {&request, false, request.time, &denied, sightings, 2};
    assert_int_equal(dv_event_data_security(&event, &finding), DV_OK);
    keep(&event);
    const dv_event_incident incident = {.id = DV_LIT("i1"), .title = DV_LIT("Keys are abused.")};
    assert_int_equal(dv_event_incident_finding(&event, &olga, DV_FINDING_CREATE, &incident), DV_OK);
    keep(&event);
    const dv_event_compliance failed = {.check = DV_LIT("c"), .title = DV_LIT("TLS 1.0 is on.")};
    assert_int_equal(dv_event_compliance_finding(&event, &olga, DV_FINDING_CREATE, &failed), DV_OK);
    keep(&event);
    const dv_event_evidence evidence = {.name = DV_LIT("nginx.conf"), .check = DV_LIT("c")};
    assert_int_equal(dv_event_evidence_info(&event, &olga, &evidence), DV_OK);
    keep(&event);
    const dv_event_remediation done = {
        .action = DV_LIT("revoke"), .target = DV_LIT("key Ab3dEf9h"), .dry_run = true};
    assert_int_equal(dv_event_remediation_done(&event, &olga, DV_REMEDIATION_EVICT, &done), DV_OK);
    keep(&event);
}

/* As dvara-collect makes them. */
static void keep_collected(void)
{
    static const char *const events[] = {
        ("{\"metadata\":{\"event_code\":\"collected.sshd\",\"product\":{\"name\":\"OpenSSH\"}},"
         "\"time\":1790000000000,\"message\":\"Failed password for bob\",\"status_id\":2,"
         "\"user\":{\"name\":\"bob\"},\"service\":{\"name\":\"sshd\"},"
         "\"device\":{\"hostname\":\"web1\"},\"raw_data\":\"x\"}"),
        ("{\"metadata\":{\"event_code\":\"collected.nginx\",\"product\":{\"name\":\"nginx\"}},"
         "\"time\":1790000000000,\"status_id\":2,\"status_code\":\"404\","
         "\"actor\":{\"user\":{\"name\":\"alice\"}},\"http_request\":{\"http_method\":\"GET\","
         "\"url\":{\"path\":\"/x\"}},\"http_response\":{\"code\":404},\"raw_data\":\"x\"}"),
        ("{\"metadata\":{\"event_code\":\"collected.raw\",\"product\":{\"name\":\"unknown\"}},"
         "\"time\":1790000000000,\"message\":\"done\",\"device\":{\"hostname\":\"web1\"},"
         "\"actor\":{\"app_name\":\"backup\"},\"raw_data\":\"x\"}"),
        ("{\"metadata\":{\"event_code\":\"something.new\"},\"time\":1790000000000,"
         "\"message\":\"A kind that this file does not know.\"}"),
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(events); i++) {
        dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
        assert_int_equal(dv_buf_append_str(&event, events[i]), DV_OK);
        keep(&event);
    }
}

static void test_every_kind_has_its_summary(void **state)
{
    static const char *const summaries[][2] = {
        {"access.change", "assign to User::\"bob\": Role::\"analyst\""},
        {"access.change", "take from User::\"bob\": Role::\"analyst\""},
        {"session.authorize", "Ab3dEf9h of User::\"bob\" may do all that its owner may"},
        {"data.access", "read audit log main: 3 rows"},
        {"entity.change", "update limit user/bob"},
        {"config.state", "in force is dvara.yaml"},
        {"network.refused", "3 of 192.0.2.7: A TLS handshake failed."},
        {"data.finding", "email in the request"},
        {"incident", "Keys are abused."},
        {"compliance.finding", "TLS 1.0 is on."},
        {"evidence", "keep nginx.conf for c"},
        {"remediation", "try revoke key Ab3dEf9h"},
        {"collected.sshd", "web1 sshd: Failed password for bob"},
        {"collected.nginx", "nginx: GET /x"},
        {"collected.raw", "web1 backup: done"},
        {"something.new", "A kind that this file does not know."},
    };
    static const char *const people[] = {"bob", "alice", "", ""};
    static const char *const outcomes[] = {"failed", "404", "", ""};
    json_t *answer;
    keep_access();
    keep_things();
    keep_findings();
    keep_collected();
    assert_int_equal(
        call(dv_op_audit_tail, json_pack("{s:i,s:i}", "limit", 50, "last", 50), &answer), DV_OK);
    const json_t *items = json_object_get(answer, "items");
    assert_int_equal(json_array_size(items), DV_ARRAY_LEN(summaries));
    for (size_t i = 0; i < DV_ARRAY_LEN(summaries); i++) {
        const json_t *item = json_array_get(items, i);
        assert_string_equal(text_at(item, "event"), summaries[i][0]);
        assert_string_equal(text_at(item, "what"), summaries[i][1]);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(people); i++) {
        const json_t *item =
            json_array_get(items, DV_ARRAY_LEN(summaries) - DV_ARRAY_LEN(people) + i);
        assert_string_equal(text_at(item, "who"), people[i]);
        assert_string_equal(text_at(item, "outcome"), outcomes[i]);
    }
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

/* One event that is none hides no other, and is named. */
static void test_an_unreadable_event_hides_no_other(void **state)
{
    static const char body[] =
        "{\"index\":4,\"event\":{\"metadata\":{\"event_code\":\"alarm\"}}}\n"
        "{\"index\":5,\"event\":{\"metadata\":{\"event_code\":\"request.open\"},\"n\":1e999}}\n"
        "{\"index\":6,\"event\":{\"metadata\":{\"event_code\":\"alarm\"}}}\n";
    json_t *lines = NULL;
    dv_error error = {0};
    assert_int_equal(dv_logd_lines(dv_slice_str(body), &lines, &error), DV_OK);
    assert_int_equal(json_array_size(lines), 3);
    json_t *item = dv_event_summarize(json_array_get(lines, 1));
    assert_int_equal(json_integer_value(json_object_get(item, "index")), 5);
    assert_string_equal(text_at(item, "event"), "unreadable");
    assert_non_null(strstr(text_at(item, "what"), "dvara audit prove"));
    assert_int_equal(dv_event_int(json_array_get(lines, 2), "index"), 6);
    json_decref(item);
    json_decref(lines);
    static const char *const bad[] = {"no line", "{\"index\":-1,\"event\":{}", "{\"index\":x,", ""};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad) - 1; i++) {
        lines = NULL;
        assert_int_equal(dv_logd_lines(dv_slice_str(bad[i]), &lines, &error), DV_ERR_CORRUPT);
        assert_null(lines);
    }
}

static void write_collected(long long written)
{
    char path[PATH_MAX], text[256];
    snprintf(path, sizeof(path), "%s/collect", root);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/collect/status", root);
    int len =
        snprintf(text, sizeof(text),
                 "{\"written\":%lld,\"blocked\":true,\"inputs\":[{\"name\":\"a\"}]}\n", written);
    assert_int_equal(dv_file_write_atomic(path, dv_slice_of(text, (size_t)len), 0600, NULL), DV_OK);
}

static void test_collectors_are_shown_while_they_run(void **state)
{
    json_t *answer;
    const long long now = dv_time_now() / DV_SECOND;
    for (int i = 0; i < 3; i++) { /* no report, one of now, one that is old */
        if (i > 0) {
            write_collected(i == 1 ? now : now - 3600);
        }
        assert_int_equal(call(dv_op_audit_collectors, json_object(), &answer), DV_OK);
        assert_int_equal(json_is_true(json_object_get(answer, "running")), i == 1);
        assert_int_equal(json_is_true(json_object_get(answer, "blocked")), i == 1);
        assert_int_equal(json_array_size(json_object_get(answer, "inputs")), i == 1);
        json_decref(answer);
    }
}

static void test_no_server_is_unavailable(void **state)
{
    json_t *answer;
    dv_logd_server_close(server);
    server = NULL;
    assert_int_equal(call(dv_op_audit_status, json_object(), &answer), DV_ERR_UNAVAILABLE);
}

/* -- one event, and its line ------------------------------------------------------------------- */

/* A collected line of that size; its event holds what `beginning` says. */
static void keep_line(dv_slice line, const char *members, bool attach)
{
    dv_blob_ref ref;
    dv_spool *spool = NULL;
    dv_auto(buf) dv_buf stored = dv_buf_init(1 << 20), event = dv_buf_init(DV_LIMIT_RECORD);
    assert_int_equal(dv_blob_make(line, &stored, &ref), DV_OK);
    assert_int_equal(dv_buf_append_str(&event,
                                       "{\"metadata\":{\"version\":\"1.8.0\",\"event_code\":"
                                       "\"collected.raw\",\"is_truncated\":true},\"time\":"
                                       "1795363262000,\"class_uid\":0,\"unmapped\":"
                                       "{\"dvara\":{\"via\":\"x\","),
                     DV_OK);
    assert_int_equal(dv_blob_ref_write(&ref, "raw_data", &event), DV_OK);
    assert_int_equal(dv_buf_append_printf(&event, "}}%s}", members), DV_OK);
    assert_int_equal(dv_spool_open(spool_folder, "collect", keys.public_key, 1 << 20, &spool, NULL),
                     DV_OK);
    if (attach) {
        dv_spool_attach(spool, dv_buf_slice(&stored));
    }
    assert_int_equal(dv_spool_append(spool, dv_buf_slice(&event), false), DV_OK);
    dv_spool_close(spool);
    publish();
}

/* text NULL: there is none. */
static void expect_line(int index, const char *state, const char *name, const char *text)
{
    json_t *answer;
    assert_int_equal(call(dv_op_audit_show, json_pack("{s:i}", "index", index), &answer), DV_OK);
    assert_int_equal(reading.rows, 1);
    const json_t *line = json_object_get(answer, "line");
    assert_string_equal(text_at(answer, "event"), "collected.raw");
    assert_string_equal(text_at(line, "state"), state);
    assert_string_equal(text_at(line, name), text);
    json_decref(answer);
}

static void keep_text(const char *event)
{
    dv_auto(buf) dv_buf text = dv_buf_init(4096);
    assert_int_equal(dv_buf_append_str(&text, event), DV_OK);
    keep(&text);
}

static void erase_the_day(void)
{
    char id[DV_SUBJECT_ID_TEXT + 1];
    assert_int_equal(dv_subjects_find(subjects, DV_LIT("Day::\"2026-11-22\""), id), DV_OK);
    const dv_slice one = dv_slice_str(id);
    assert_int_equal(dv_subjects_destroy(subjects, &one, 1, NULL), DV_OK);
}

static void test_show_gives_the_whole_line(void **state)
{
    json_t *answer;
    keep_line(DV_LIT("all of it"), ",\"raw_data\":\"all\",\"raw_data_size\":9", true);
    keep_line(DV_LIT("a\xff"), ",\"raw_data\":\"YQ==\",\"raw_data_size\":2000000", true);
    keep_line(DV_LIT("all of it"), ",\"raw_data\":\"all\",\"raw_data_size\":9", false);
    /* 3 is the alarm that the rest of 2 did not come. */
    keep_text("{\"metadata\":{\"version\":\"1.8.0\",\"event_code\":\"collected.raw\"},\"time\":1,"
              "\"raw_data\":\"short\"}");
    keep_text("{\"metadata\":{\"version\":\"1.8.0\",\"event_code\":\"collected.raw\"},\"time\":1,"
              "\"unmapped\":{\"dvara\":{\"raw_encoding\":\"base64\"}},\"raw_data\":\"Yv8=\"}");
    keep_text("{\"metadata\":{\"version\":\"1.8.0\",\"event_code\":\"collected.raw\"},\"time\":1}");
    expect_line(0, "whole", "text", "all of it");
    expect_line(1, "cut", "base64", "Yf8=");
    expect_line(2, "lost", "text", "all");
    expect_line(4, "whole", "text", "short");
    expect_line(5, "whole", "base64", "Yv8=");
    expect_line(6, "none", "text", "");
    erase_the_day();
    expect_line(0, "erased", "text", "");
    assert_int_equal(call(dv_op_audit_show, json_pack("{s:i}", "index", 7), &answer),
                     DV_ERR_NOT_FOUND);
}

#define AUDIT_TEST(name) cmocka_unit_test_setup_teardown(name, start_log, stop_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AUDIT_TEST(test_tail_shows_events_with_a_summary),
        AUDIT_TEST(test_what_was_read_is_told),
        AUDIT_TEST(test_every_kind_has_its_summary),
        AUDIT_TEST(test_tail_pages_by_cursor),
        AUDIT_TEST(test_why_tells_the_whole_story),
        AUDIT_TEST(test_why_names_what_refused),
        AUDIT_TEST(test_why_tells_of_a_blocked_answer),
        AUDIT_TEST(test_why_tells_of_a_failed_upstream),
        AUDIT_TEST(test_why_of_an_unknown_request),
        AUDIT_TEST(test_why_waits_for_a_recent_request),
        AUDIT_TEST(test_checkpoint_and_status),
        AUDIT_TEST(test_show_gives_the_whole_line),
        AUDIT_TEST(test_an_unreadable_event_hides_no_other),
        AUDIT_TEST(test_collectors_are_shown_while_they_run),
        AUDIT_TEST(test_no_server_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
