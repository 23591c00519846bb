/* SPDX-License-Identifier: Apache-2.0 */
/* Own data in bodies, texts and streams: what is told, what blocks, however it is split. */
#include "base/codec.h"
#include "base/file.h"
#include "data_test.h"
#include "engine/detect/fingerprint/build.h"
#include "room/data/control/loss.h"

#include <sys/stat.h>
#include <unistd.h>

enum { ARENA = 64 << 20, OUT_MAX = 8 << 20 };

#define CANARY "luzu faro mina telo"
#define ACCOUNT "DE44 5001 0517 5407 3249 31"

static char set_path[] = "/tmp/dvara-loss-XXXXXX";
static char set_id[2 * DV_FINGERPRINT_ID_LEN + 1];
static char passage[401];

/* ---- a set ---- */

static void make_passage(void)
{
    uint32_t seed = 9;
    for (size_t i = 0; i + 1 < sizeof(passage); i++) {
        seed = seed * 1664525 + 1013904223;
        passage[i] = (char)(seed >> 28 < 3 ? ' ' : 'a' + (int)(seed >> 20) % 26);
    }
}

static void build_set(dv_buf *file)
{
    static const dv_fingerprint_rules rules = {.columns = {"first", "last", "account"},
                                               .column_count = 3,
                                               .alone = 1U << 2,
                                               .least = 2,
                                               .within = 200,
                                               .row = 4,
                                               .share = 50};
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = NULL;
    const dv_slice cells[] = {DV_LIT("Anna"), DV_LIT("Kowalska"), DV_LIT(ACCOUNT)};
    make_passage();
    assert_int_equal(dv_fingerprint_builder_new(&rules, &builder, NULL), DV_OK);
    assert_int_equal(dv_fingerprint_add_record(builder, cells), DV_OK);
    assert_int_equal(dv_fingerprint_add_canary(builder, DV_LIT(CANARY)), DV_OK);
    assert_int_equal(dv_fingerprint_add_text(builder, dv_slice_str(passage)), DV_OK);
    assert_int_equal(dv_fingerprint_end_document(builder, DV_LIT("plan")), DV_OK);
    assert_int_equal(dv_fingerprint_build(builder, file, NULL), DV_OK);
}

static int set_up(void **state)
{
    dv_auto(buf) dv_buf file = dv_buf_init(1 << 20);
    dv_auto(buf) dv_buf id = dv_buf_init(sizeof(set_id));
    int fd = mkstemp(set_path);
    assert_true(fd >= 0);
    build_set(&file);
    assert_int_equal(write(fd, file.ptr, file.len), file.len);
    close(fd);
    assert_int_equal(dv_hex_encode(dv_slice_of(file.ptr + file.len - 32, 32), &id), DV_OK);
    memcpy(set_id, dv_buf_cstr(&id), sizeof(set_id));
    return gate_set_up(state);
}

static int tear_down(void **state)
{
    unlink(set_path);
    return gate_tear_down(state);
}

/* A policy with the set. more: members of the entry. */
static const char *policy_json(const char *action, const char *more)
{
    static char json[8192];
    (void)snprintf(json, sizeof(json),
                   "{\"default\":\"mask\",\"decode\":true,\"fingerprints\":[{\"name\":\"people\","
                   "\"file\":\"%s\",\"id\":\"%s\",\"action\":\"%s\"%s}]}",
                   set_path, set_id, action, more);
    return json;
}

/* A policy that looks for the passage alone, and for nothing that would let text wait. */
static void write_documents(char path[], char json[], size_t room)
{
    static const dv_fingerprint_rules rules = {.least = 1, .within = 200, .row = 4, .share = 50};
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = NULL;
    dv_auto(buf) dv_buf file = dv_buf_init(1 << 20);
    dv_auto(buf) dv_buf id = dv_buf_init(sizeof(set_id));
    int fd = mkstemp(path);
    assert_int_equal(dv_fingerprint_builder_new(&rules, &builder, NULL), DV_OK);
    assert_int_equal(dv_fingerprint_add_text(builder, dv_slice_str(passage)), DV_OK);
    assert_int_equal(dv_fingerprint_end_document(builder, DV_LIT("plan")), DV_OK);
    assert_int_equal(dv_fingerprint_build(builder, &file, NULL), DV_OK);
    assert_int_equal(write(fd, file.ptr, file.len), file.len);
    close(fd);
    assert_int_equal(dv_hex_encode(dv_slice_of(file.ptr + file.len - 32, 32), &id), DV_OK);
    (void)snprintf(json, room,
                   "{\"default\":\"allow\",\"fingerprints\":[{\"name\":\"people\",\"file\":\"%s\","
                   "\"id\":\"%s\",\"action\":\"alert\"}]}",
                   path, dv_buf_cstr(&id));
}

/* ---- bodies ---- */

static dv_data_outcome ask(bool answer, const char *action, const char *body, dv_arena *arena,
                           dv_verdict *verdict)
{
    return inspect(answer, policy_json(action, ""), context_of("u", arena), dv_slice_str(body),
                   arena, verdict);
}

static void expect_one(const dv_data_outcome *outcome, const char *place, dv_content_action action,
                       uint32_t times)
{
    assert_int_equal(outcome->sighting_count, 1);
    assert_int_equal(outcome->sightings[0].action, action);
    assert_string_equal(outcome->sightings[0].place, place);
    assert_int_equal(outcome->sightings[0].times, times);
    assert_int_equal(outcome->sightings[0].tells, action == DV_ACTION_ALERT);
}

static void test_bodies(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"messages\":[{\"content\":\"Dear Anna Kowalska\"}]}",
        "{\"messages\":[{\"content\":\"pay DE44500105175407324931!\"}]}",
        "{\"messages\":[{\"content\":\"Luzu, faro; MINA telo\"}]}",
        "{\"messages\":[{\"content\":\"x %4cuzu%20faro%20mina%20telo\"}]}",
        "{\"messages\":[{\"content\":\"bHV6dSBmYXJvIG1pbmEgdGVsbw==\"}]}",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bodies); i++) {
        for (int answer = 0; answer < 2; answer++) {
            dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
            dv_verdict verdict = {0};
            bool iban = i == 1; /* a detector's as well, which masks */
            dv_data_outcome outcome = ask(answer, "monitor", bodies[i], arena, &verdict);
            assert_int_equal(verdict.decision, DV_ALLOW);
            assert_int_equal(outcome.changed, iban);
            assert_int_equal(outcome.sighting_count, iban ? 2 : 1);
            const dv_data_sighting *seen = &outcome.sightings[0]; /* before those of detectors */
            assert_int_equal(seen->action, DV_ACTION_MONITOR);
            assert_int_equal(seen->times, 1);
            assert_string_equal(seen->place, "/messages/0/content");
            (void)ask(answer, "block", bodies[i], arena, &verdict);
            assert_int_equal(verdict.decision, DV_DENY);
            assert_int_equal(verdict.reason,
                             answer ? DV_REASON_ANSWER_BLOCKED : DV_REASON_SENSITIVE_DATA);
            assert_string_equal(verdict.detail, "fingerprint:people at /messages/0/content");
        }
    }
}

static void test_names_and_counts(void **state)
{
    (void)state;
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_verdict verdict = {0};
    dv_data_outcome outcome =
        ask(false, "alert", "{\"a\":\"Anna Kowalska. Kowalska, Anna\"}", arena, &verdict);
    expect_one(&outcome, "/a", DV_ACTION_ALERT, 2);
    outcome = ask(false, "alert", "{\"first\":\"Anna\",\"last\":\"Kowalska\"}", arena, &verdict);
    expect_one(&outcome, "/last", DV_ACTION_ALERT, 1);
    outcome = ask(false, "alert", "{\"" CANARY "\":{\"x\":\"" CANARY "\"}}", arena, &verdict);
    assert_int_equal(outcome.sighting_count, 2);
    assert_string_equal(outcome.sightings[1].place, "/*/x"); /* it does not tell the value */
    outcome = ask(false, "alert", "{\"a\":\"Anna\",\"b\":\"luzu faro mina\"}", arena, &verdict);
    assert_int_equal(outcome.sighting_count, 0);
    /* Arguments of a call: JSON within JSON. */
    outcome =
        ask(false, "alert", "{\"arguments\":\"{\\\"q\\\":\\\"" CANARY "\\\"}\"}", arena, &verdict);
    expect_one(&outcome, "/arguments/q", DV_ACTION_ALERT, 1);
}

static void test_documents_in_bodies(void **state)
{
    (void)state;
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_verdict verdict = {0};
    char body[1024];
    (void)snprintf(body, sizeof(body), "{\"a\":\"As it says: %.300s\"}", passage + 50);
    dv_data_outcome outcome = ask(false, "alert", body, arena, &verdict);
    expect_one(&outcome, "/a", DV_ACTION_ALERT, 1);
}

/* A name that holds own data, in clear or encoded, does not stand in a record's place. */
static void test_names_do_not_stand_in_places(void **state)
{
    (void)state;
    static const char *const names[] = {"luzu faro mina telo", "luzu%20faro%20mina%20telo"};
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_verdict verdict = {0};
        char body[256];
        (void)snprintf(body, sizeof(body), "{\"%s\":{\"a\":\"Anna Kowalska\"}}", names[i]);
        dv_data_outcome outcome = ask(false, "monitor", body, arena, &verdict);
        assert_true(outcome.sighting_count > 0);
        for (size_t k = 0; k < outcome.sighting_count; k++) {
            assert_null(strstr(outcome.sightings[k].place, "faro"));
        }
    }
}

/* Whoever knows one value of a set that is only watched does not get past one that blocks. */
static void test_many_hits_of_one_set_do_not_hide_another(void **state)
{
    (void)state;
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    dv_verdict verdict = {0};
    char path[] = "/tmp/dvara-loss-XXXXXX";
    char json[2048], other[1024];
    write_documents(path, other, sizeof(other));
    const char *id = strstr(other, "\"id\":\"") + 6;
    (void)snprintf(json, sizeof(json),
                   "{\"default\":\"allow\",\"fingerprints\":[{\"name\":\"people\",\"file\":\"%s\","
                   "\"id\":\"%s\",\"action\":\"monitor\"},{\"name\":\"plans\",\"file\":\"%s\","
                   "\"id\":\"%.64s\",\"action\":\"block\"}]}",
                   set_path, set_id, path, id);
    assert_int_equal(dv_buf_append_str(&text, "{\"messages\":[{\"content\":\""), DV_OK);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(dv_buf_append_str(&text, CANARY ". "), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, passage), DV_OK);
    assert_int_equal(dv_buf_append_str(&text, "\"}]}"), DV_OK);
    (void)inspect(false, json, context_of("u", arena), dv_buf_slice(&text), arena, &verdict);
    assert_int_equal(verdict.decision, DV_DENY);
    unlink(path);
}

static void test_texts(void **state)
{
    (void)state;
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    for (int i = 0; i < 3; i++) { /* not taken for a text that is known to hold nothing */
        dv_data_policy *policy = policy_of(i == 0 ? MASKS_DECODED : policy_json("block", ""));
        dv_data_outcome outcome = {0};
        dv_verdict verdict = {0};
        dv_verdict_allow(&verdict, "");
        assert_int_equal(dv_data_gate_text(gate, policy, context_of("u", arena), false,
                                           DV_LIT("Anna Kowalska"), arena, &outcome, &verdict),
                         DV_OK);
        assert_int_equal(verdict.decision, i == 0 ? DV_ALLOW : DV_DENY);
        dv_data_policy_free(policy);
    }
}

static void test_routes(void **state)
{
    (void)state;
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    static const dv_principal alice = {.entity = {(const uint8_t *)"User::\"alice\"", 13}};
    static const char *const routes[] = {"chat", "other"};
    dv_data_policy *policy = policy_of(policy_json("block", ",\"routes\":[\"x\",\"chat\"]"));
    for (size_t i = 0; i < 2; i++) {
        const dv_data_policy *here = NULL;
        dv_data_outcome outcome = {0};
        dv_verdict verdict = {0};
        dv_verdict_allow(&verdict, "");
        assert_int_equal(dv_data_policy_for(policy, &alice, dv_slice_str(routes[i]), arena, &here),
                         DV_OK);
        assert_int_equal(dv_data_gate_text(gate, here, context_of("u", arena), false,
                                           DV_LIT("Anna Kowalska"), arena, &outcome, &verdict),
                         DV_OK);
        assert_int_equal(verdict.decision, i == 0 ? DV_DENY : DV_ALLOW);
        assert_int_equal(outcome.sighting_count, i == 0 ? 1 : 0);
    }
    dv_data_policy_free(policy);
}

/* ---- streams ---- */

typedef struct stream_run {
    dv_arena *arena;
    dv_data_policy *policy;
    dv_data_stream *stream;
    dv_verdict verdict;
    dv_buf out;
} stream_run;

static stream_run begin(const char *json)
{
    stream_run run = {.arena = dv_arena_new(ARENA), .policy = policy_of(json)};
    run.out = dv_buf_init(OUT_MAX);
    assert_int_equal(dv_data_stream_new(gate, run.policy, context_of("u", run.arena),
                                        DV_STREAM_OPENAI, run.arena, &run.stream),
                     DV_OK);
    dv_verdict_allow(&run.verdict, "test");
    return run;
}

static void end(stream_run *run)
{
    dv_arena_free(run->arena);
    dv_data_policy_free(run->policy);
    dv_buf_release(&run->out);
}

static void send(stream_run *run, dv_slice piece, bool arguments)
{
    dv_auto(buf) dv_buf event = dv_buf_init(OUT_MAX);
    assert_int_equal(
        dv_buf_append_str(
            &event, arguments ? "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{"
                                "\"index\":0,\"function\":{\"arguments\":"
                              : "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":"),
        DV_OK);
    assert_int_equal(dv_buf_append_json_string(&event, piece), DV_OK);
    assert_int_equal(dv_buf_append_str(&event, arguments ? "}}]}}]}\n\n" : "}}]}\n\n"), DV_OK);
    assert_int_equal(
        dv_data_stream_feed(run->stream, dv_buf_slice(&event), false, &run->out, &run->verdict),
        DV_OK);
    assert_true(dv_data_stream_memory(run->stream) <= DV_LIMIT_STREAM_MEMORY);
}

static void finish(stream_run *run)
{
    assert_int_equal(
        dv_data_stream_feed(run->stream,
                            DV_LIT("data: {\"choices\":[{\"index\":0,\"delta\":{},"
                                   "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"),
                            true, &run->out, &run->verdict),
        DV_OK);
}

/* What went out of the text. */
static void told(const stream_run *run, dv_buf *text)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_slice rest = dv_buf_slice(&run->out);
    dv_slice line;
    while (dv_slice_split(&rest, '\n', &line)) {
        if (line.len < 7 || memcmp(line.ptr, "data: {", 7) != 0) {
            continue;
        }
        dv_json json = json_of(dv_slice_sub(line, 6, SIZE_MAX), arena);
        for (uint32_t i = 0; i + 1 < json.count; i++) {
            dv_slice name = dv_json_raw(&json, i);
            dv_slice value;
            if (json.tokens[i].type == DV_JSON_KEY &&
                (dv_slice_eq_str(name, "content") || dv_slice_eq_str(name, "arguments"))) {
                assert_int_equal(dv_json_string(&json, i + 1, arena, &value), DV_OK);
                assert_int_equal(dv_buf_append(text, value), DV_OK);
            }
        }
    }
}

/* A text in two pieces; the outcome of monitoring, and what goes out where it blocks. */
static void run_split(const char *action, const char *text, size_t cut, bool arguments,
                      uint32_t *ret_times, dv_buf *ret_text)
{
    stream_run run = begin(policy_json(action, ""));
    dv_data_outcome outcome;
    int64_t in = 0, out = 0;
    dv_slice whole = dv_slice_str(text);
    send(&run, dv_slice_sub(whole, 0, cut), arguments);
    send(&run, dv_slice_sub(whole, cut, SIZE_MAX), arguments);
    finish(&run);
    dv_data_stream_outcome(run.stream, &outcome, &in, &out);
    *ret_times = 0;
    for (size_t i = 0; i < outcome.sighting_count; i++) {
        if (strcmp(outcome.sightings[i].detector, "fingerprint:people") == 0) {
            *ret_times += outcome.sightings[i].times;
        }
    }
    assert_int_equal(run.verdict.decision, strcmp(action, "block") == 0 ? DV_DENY : DV_ALLOW);
    told(&run, ret_text);
    end(&run);
}

/* What of a value may go out before it is known: of a record its first cell, of a document what is
 * too little to be a hit; of others nothing. */
typedef struct split_case {
    const char *text;
    const char *never; /* goes out where it blocks */
} split_case;

static void test_streams_split_at_every_byte(void **state)
{
    (void)state;
    static const split_case cases[] = {
        {"So pay DE44 5001 0517 5407 3249 31 now.", "DE44"},
        {"The words are Luzu, faro; MINA telo and that.", "Luzu"},
        {"Write to Anna Kowalska today", "Kowalska"},
        {"It is x=%4cuzu%20faro%20mina%20telo, so.", "mina%20telo"},
        {"As bHV6dSBmYXJvIG1pbmEgdGVsbw==, so.", "bHV6"},
        {"at the end luzu faro mina telo", "luzu"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        for (size_t cut = 0; cut <= strlen(cases[i].text); cut++) {
            dv_auto(buf) dv_buf text = dv_buf_init(OUT_MAX);
            dv_auto(buf) dv_buf rest = dv_buf_init(OUT_MAX);
            uint32_t times = 0;
            run_split("monitor", cases[i].text, cut, false, &times, &text);
            if (times != 1) {
                fail_msg("'%s' cut at %zu: told %u times", cases[i].text, cut, times);
            }
            run_split("block", cases[i].text, cut, false, &times, &rest);
            if (strstr(dv_buf_cstr(&rest), cases[i].never) != NULL) {
                fail_msg("'%s' cut at %zu: '%s' went out", cases[i].text, cut, rest.ptr);
            }
        }
    }
}

static void test_arguments_split_at_every_byte(void **state)
{
    (void)state;
    static const char text[] = "{\"name\":\"Anna\",\"x\":{\"last\":\"Kowal\\u0073ka\"},\"y\":1}";
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        dv_auto(buf) dv_buf rest = dv_buf_init(OUT_MAX);
        uint32_t times = 0;
        run_split("monitor", text, cut, true, &times, &rest);
        assert_int_equal(times, 1);
        dv_buf_clear(&rest);
        run_split("block", text, cut, true, &times, &rest);
        assert_null(strstr(dv_buf_cstr(&rest), "Kowal\\u0073ka"));
    }
}

static void test_documents_in_streams(void **state)
{
    (void)state;
    for (size_t size = 1; size < 30; size += 7) {
        stream_run run = begin(policy_json("block", ""));
        for (size_t at = 0; at < strlen(passage) && run.verdict.decision == DV_ALLOW; at += size) {
            send(&run, dv_slice_sub(dv_slice_str(passage), at, size), false);
        }
        dv_auto(buf) dv_buf text = dv_buf_init(OUT_MAX);
        told(&run, &text);
        assert_int_equal(run.verdict.decision, DV_DENY);
        assert_true(text.len < 250);
        end(&run);
    }
}

/* Somebody is told of a document that passes, also where it is known to be one with the last byte
 * of what goes out. */
static void test_documents_that_pass_are_told(void **state)
{
    (void)state;
    char path[] = "/tmp/dvara-loss-XXXXXX";
    char json[1024];
    write_documents(path, json, sizeof(json));
    for (size_t first = 0; first + 200 < strlen(passage); first++) {
        stream_run run = begin(json);
        dv_data_outcome outcome;
        int64_t in = 0, out = 0;
        for (size_t at = first; at < strlen(passage); at++) {
            send(&run, dv_slice_sub(dv_slice_str(passage), at, 1), false);
        }
        finish(&run);
        dv_data_stream_outcome(run.stream, &outcome, &in, &out);
        if (outcome.sighting_count != 1 || !outcome.sightings[0].tells) {
            fail_msg("from %zu on: %zu sightings", first, outcome.sighting_count);
        }
        end(&run);
    }
    unlink(path);
}

/* Hours of a stream take no more than its first minute. */
static void test_memory_of_streams(void **state)
{
    (void)state;
    stream_run run = begin(policy_json("monitor", ""));
    size_t early = 0;
    for (int i = 0; i < 20000; i++) {
        send(&run, DV_LIT("Dear Anna Kowalska, the words are luzu faro mina telo. "), false);
        dv_buf_clear(&run.out);
        early = i == 100 ? dv_data_stream_memory(run.stream) : early;
    }
    assert_true(dv_data_stream_memory(run.stream) <= early + 64);
    end(&run);
}

/* ---- policies ---- */

static void refuse(const char *json, dv_result wanted)
{
    dv_data_policy *policy = NULL;
    dv_error error = {0};
    assert_int_equal(dv_data_policy_parse(gate, dv_slice_str(json), &policy, &error), wanted);
    assert_true(error.message[0] != '\0');
}

static void test_policies_that_are_refused(void **state)
{
    (void)state;
    char json[8192];
    refuse(policy_json("mask", ""), DV_ERR_INVALID);
    refuse(policy_json("monitor", ",\"routes\":\"x\""), DV_ERR_INVALID);
    refuse(policy_json("monitor", ",\"routes\":[1]"), DV_ERR_INVALID);
    refuse("{\"default\":\"mask\",\"fingerprints\":{}}", DV_ERR_INVALID);
    refuse("{\"default\":\"mask\",\"fingerprints\":[1]}", DV_ERR_INVALID);
    refuse("{\"default\":\"mask\",\"fingerprints\":[{\"name\":\"a\"}]}", DV_ERR_INVALID);
    (void)snprintf(json, sizeof(json),
                   "{\"default\":\"mask\",\"fingerprints\":[{\"name\":\"a\",\"file\":\"/nowhere\","
                   "\"id\":\"%s\",\"action\":\"alert\"}]}",
                   set_id);
    refuse(json, DV_ERR_NOT_FOUND);
    char id[sizeof(set_id)];
    memcpy(id, set_id, sizeof(id));
    set_id[0] = set_id[0] == '0' ? '1' : '0';
    refuse(policy_json("alert", ""),
           DV_ERR_CONFLICT); /* another set than the one that was checked */
    memcpy(set_id, id, sizeof(id));
    dv_data_policy_free(policy_of(policy_json("alert", "")));
}

static void test_the_section(void **state)
{
    (void)state;
    static const struct {
        const char *entry;
        const char *request; /* NULL: refused */
        const char *answer;
    } cases[] = {
        {"{name: a, file: %s, action: block}", "block", "block"},
        {"{name: a, file: %s, action: alert, direction: request}", "alert", ""},
        {"{name: a, file: %s, action: monitor, direction: response, routes: [chat]}", "", "chat"},
        {"{name: a, file: /nowhere, action: block}", NULL, NULL},
        {"{name: a, file: nowhere, action: block}", NULL, NULL},
        {"{name: a, file: %s, action: mask}", NULL, NULL},
        {"{name: a, file: %s}", NULL, NULL},
        {"{file: %s, action: block}", NULL, NULL},
        {"{name: 'a b', file: %s, action: block}", NULL, NULL},
        {"{name: a, file: %s, action: block, direction: answer}", NULL, NULL},
        {"{name: a, file: %s, action: block, routes: []}", NULL, NULL},
        {"{name: a, file: %s, action: block, routes: ['a b']}", NULL, NULL},
        {"{name: a, file: %s, action: block, why: x}", NULL, NULL},
        {"a", NULL, NULL},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
        const dv_yaml *root = NULL;
        char entry[512], text[1024];
        dv_error error = {0};
        const char *at = strstr(cases[i].entry, "%s");
        size_t head = at == NULL ? strlen(cases[i].entry) : (size_t)(at - cases[i].entry);
        (void)snprintf(entry, sizeof(entry), "%.*s%s%s", (int)head, cases[i].entry,
                       at == NULL ? "" : set_path, at == NULL ? "" : at + 2);
        (void)snprintf(text, sizeof(text), "fingerprints:\n  - %s\n", entry);
        assert_int_equal(dv_yaml_parse(dv_slice_str(text), arena, &root, &error), DV_OK);
        for (int answer = 0; answer < 2; answer++) {
            dv_auto(buf) dv_buf out = dv_buf_init(1 << 16);
            const char *wanted = answer ? cases[i].answer : cases[i].request;
            dv_result result = dv_data_loss_fingerprints(root, answer, NULL, &out, &error);
            if ((result == DV_OK) != (wanted != NULL) || (result != DV_OK && error.line != 2)) {
                fail_msg("%s: %s at %d", text, error.message, error.line);
            }
            assert_true(result != DV_OK || strstr(dv_buf_cstr(&out), wanted) != NULL);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_names_and_counts),
        cmocka_unit_test(test_documents_in_bodies),
        cmocka_unit_test(test_names_do_not_stand_in_places),
        cmocka_unit_test(test_many_hits_of_one_set_do_not_hide_another),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_streams_split_at_every_byte),
        cmocka_unit_test(test_arguments_split_at_every_byte),
        cmocka_unit_test(test_documents_in_streams),
        cmocka_unit_test(test_documents_that_pass_are_told),
        cmocka_unit_test(test_memory_of_streams),
        cmocka_unit_test(test_policies_that_are_refused),
        cmocka_unit_test(test_the_section),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
