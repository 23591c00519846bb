/* SPDX-License-Identifier: Apache-2.0 */
/* Other nodes: what dvara.yaml may say of them, what is read of their answers, and how events of
 * several are merged. */
#include "base/codec.h"
#include "crypto/ed25519.h"
#include "room/audit/control/nodes_pull.h"
#include "room/audit/control/nodes_search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static char vkey[512];

static int make_key(void **state)
{
    static const uint8_t seed[32] = {1};
    uint8_t public_key[32];
    dv_note_verifier key;
    dv_auto(buf) dv_buf text = dv_buf_init(sizeof(vkey) - 1);
    if (dv_ed25519_public(seed, public_key) != DV_OK ||
        dv_note_verifier_init("b.example/log", public_key, &key) != DV_OK ||
        dv_note_verifier_format(&key, &text) != DV_OK) {
        return -1;
    }
    dv_slice_copy(dv_buf_slice(&text), vkey, sizeof(vkey));
    return 0;
}

/* -- dvara.yaml -------------------------------------------------------------------------------- */

static dv_result read_settings(const char *yaml, dv_node_settings *out, dv_error *error)
{
    const dv_yaml *root;
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    assert_non_null(arena);
    assert_int_equal(dv_yaml_parse(dv_slice_str(yaml), arena, &root, error), DV_OK);
    return dv_node_settings_read(root, out, error);
}

static void test_settings(void **state)
{
    char yaml[2048];
    dv_error error = {0};
    dv_auto(free) dv_node_settings *settings = malloc(sizeof(*settings));
    assert_non_null(settings);
    assert_int_equal(dv_node_settings_read(NULL, settings, &error), DV_OK);
    assert_int_equal(settings->count, 0);
    snprintf(yaml, sizeof(yaml),
             "nodes:\n"
             "  - {name: b, url: 'https://b.example:8444/', ca: /b.pem, api_key_file: /b.key, "
             "key: '%s', keep: 400d}\n"
             "  - {name: c, url: 'http://127.0.0.1:8444', api_key_file: /c.key}\n"
             "node_interval: 5s\nnode_alarm_after: 2h\nnodes_keep_free: 2MiB\n",
             vkey);
    assert_int_equal(read_settings(yaml, settings, &error), DV_OK);
    assert_int_equal(settings->count, 2);
    const dv_node *b = dv_node_find(settings, "b");
    assert_string_equal(b->url, "https://b.example:8444");
    assert_string_equal(b->ca, "/b.pem");
    assert_true(b->copied && strcmp(b->key.name, "b.example/log") == 0);
    assert_true(b->keep == 400 * 86400LL * DV_SECOND && dv_node_find(settings, "c")->keep == 0);
    assert_false(dv_node_find(settings, "c")->copied);
    assert_null(dv_node_find(settings, "d"));
    assert_true(settings->interval == 5 * DV_SECOND && settings->alarm_after == 7200 * DV_SECOND);
    assert_true(settings->keep_free == 2 << 20);
}

#define NODE(rest) "nodes: [{name: b, api_key_file: /k, " rest "}]\n"
#define URL "url: 'https://b'"

static void test_settings_that_are_refused(void **state)
{
    static const struct {
        const char *yaml, *told;
    } cases[] = {
        {"nodes: {b: c}\n", "list"},
        {"nodes: [{name: b, " URL "}]\n", "api_key_file"},
        {"nodes: [{name: b, " URL ", api_key_file: b.key}]\n", "absolute"},
        {NODE(URL ", ca: b.pem"), "absolute"},
        {NODE(URL ", password: x"), "password"},
        {NODE("url: 'http://b.example'"), "loopback"},
        {NODE("url: 'http://127.0.0.1.b.example'"), "loopback"},
        {NODE("url: 'https://'"), "https"},
        {NODE("url: 'https://user@b'"), "https"},
        {NODE("url: 'https://b/?x'"), "https"},
        {NODE("url: 'file:///etc/passwd'"), "https"},
        {NODE("ca: /x"), "https"},
        {NODE(URL ", key: nonsense"), "verifier key"},
        {NODE(URL ", keep: 400d"), "without its key"},
        {NODE(URL ", keep: 30s"), "between 1m"},
        {NODE(URL ", keep: always"), "keep"},
        {"nodes: [{name: local, " URL ", api_key_file: /k}]\n", "local"},
        {"nodes: [{name: '../b', " URL ", api_key_file: /k}]\n", "a-z"},
        {"nodes: [{name: B, " URL ", api_key_file: /k}]\n", "a-z"},
        {"nodes: [{" URL ", api_key_file: /k}]\n", "a-z"},
        {"nodes: [{name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, " URL ", api_key_file: /k}]\n", "32"},
        {"nodes: [{name: b, " URL ", api_key_file: /k}, {name: b, " URL ", api_key_file: /k}]\n",
         "two nodes"},
        {"node_interval: 500ms\n", "between 1s and 1h"},
        {"node_interval: 2h\n", "between 1s and 1h"},
        {"node_alarm_after: 31d\n", "between 1s and 30d"},
        {"nodes_keep_free: much\n", "nodes_keep_free"},
    };
    dv_auto(free) dv_node_settings *settings = malloc(sizeof(*settings));
    assert_non_null(settings);
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_error error = {0};
        assert_int_not_equal(read_settings(cases[i].yaml, settings, &error), DV_OK);
        if (strstr(error.message, cases[i].told) == NULL || error.line == 0) {
            fail_msg("%s: %s (line %d)", cases[i].yaml, error.message, error.line);
        }
    }
}

static void test_sixteen_nodes(void **state)
{
    dv_auto(free) dv_node_settings *settings = malloc(sizeof(*settings));
    for (int count = DV_NODES_MAX; count <= DV_NODES_MAX + 1; count++) {
        dv_error error = {0};
        dv_auto(buf) dv_buf yaml = dv_buf_init(1 << 16);
        assert_int_equal(dv_buf_append_str(&yaml, "nodes:\n"), DV_OK);
        for (int i = 0; i < count; i++) {
            assert_int_equal(
                dv_buf_append_printf(&yaml, "  - {name: n%d, " URL ", api_key_file: /k}\n", i),
                DV_OK);
        }
        assert_int_equal(read_settings(dv_buf_cstr(&yaml), settings, &error),
                         count <= DV_NODES_MAX ? DV_OK : DV_ERR_TOO_LARGE);
    }
}

/* One log under two names would look like two nodes that agree. */
static void test_one_log_has_one_name(void **state)
{
    char yaml[2048];
    dv_error error = {0};
    dv_auto(free) dv_node_settings *settings = malloc(sizeof(*settings));
    snprintf(yaml, sizeof(yaml),
             "nodes:\n  - {name: b, " URL ", api_key_file: /k, key: '%s'}\n"
             "  - {name: c, " URL ", api_key_file: /k, key: '%s'}\n",
             vkey, vkey);
    assert_int_equal(read_settings(yaml, settings, &error), DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "b has that log"));
}

/* -- answers ----------------------------------------------------------------------------------- */

static dv_result read_answer(const char *text)
{
    dv_auto(free) dv_node_piece *piece = malloc(sizeof(*piece));
    assert_non_null(piece);
    dv_result result = dv_node_piece_read(dv_slice_str(text), piece);
    dv_node_piece_release(piece);
    return result;
}

#define HASH "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\""

static void test_answers(void **state)
{
    dv_auto(free) dv_node_piece *piece = malloc(sizeof(*piece));
    assert_int_equal(
        dv_node_piece_read(DV_LIT("{\"note\":\"n\",\"from\":7,\"entries\":\"AAF4\",\"proof\":[" HASH
                                  "," HASH "],\"seen_root\":" HASH ",\"seen_proof\":[" HASH
                                  "],\"more\":1}"),
                           piece),
        DV_OK);
    assert_true(dv_slice_eq_str(piece->piece.note, "n"));
    assert_int_equal(piece->piece.entries.len, 3);
    assert_int_equal(piece->piece.proof_len, 2);
    assert_int_equal(piece->piece.seen_len, 1);
    dv_node_piece_release(piece);
    assert_int_equal(read_answer("{\"note\":\"n\",\"from\":0,\"entries\":\"\"}"), DV_OK);
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"note\":\"n\"}",
        "{\"note\":1,\"entries\":\"\"}",
        "{\"note\":\"n\",\"from\":0,\"entries\":\"=\"}",
        "{\"note\":\"n\",\"from\":0,\"entries\":\"AAF\"}",
        "{\"note\":\"n\",\"from\":0,\"entries\":[]}",
        "{\"note\":\"n\",\"from\":0,\"entries\":\"\",\"proof\":[1]}",
        "{\"note\":\"n\",\"from\":0,\"entries\":\"\",\"proof\":[\"AAAA\"]}",
        "{\"note\":\"n\",\"from\":0,\"entries\":\"\",\"seen_root\":\"AAAA\"}",
        "{\"note\":\"n\",\"from\":-1,\"entries\":\"\"}",
        "{\"note\":\"n\",\"from\":0,\"entries\":\"\",\"others\":[]}",
        "{\"note\":\"n\",\"note\":\"n\",\"entries\":\"\"}",
        "{\"note\":\"n\",\"from\":0,\"entries\":\"\"",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        if (read_answer(bad[i]) != DV_ERR_INVALID) {
            fail_msg("%s", bad[i]);
        }
    }
}

static dv_result read_with(size_t note, size_t hashes, size_t entries)
{
    dv_auto(buf) dv_buf text = dv_buf_init(32 << 20);
    dv_auto(free) uint8_t *bytes = calloc(1, entries + 1);
    dv_auto(free) char *letters = malloc(note + 1);
    memset(letters, 'n', note);
    assert_int_equal(dv_buf_append_str(&text, "{\"note\":\""), DV_OK);
    assert_int_equal(dv_buf_append(&text, dv_slice_of(letters, note)), DV_OK);
    assert_int_equal(dv_buf_append_str(&text, "\",\"from\":0,\"entries\":\""), DV_OK);
    assert_int_equal(dv_base64_encode(dv_slice_of(bytes, entries), &text), DV_OK);
    assert_int_equal(dv_buf_append_str(&text, "\",\"proof\":["), DV_OK);
    for (size_t i = 0; i < hashes; i++) {
        assert_int_equal(dv_buf_append_str(&text, i == 0 ? HASH : "," HASH), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, "]}"), DV_OK);
    return read_answer(dv_buf_cstr(&text));
}

static void test_limits_of_answers(void **state)
{
    assert_int_equal(read_with(DV_NOTE_MAX, 0, 0), DV_OK);
    assert_int_equal(read_with(DV_NOTE_MAX + 1, 0, 0), DV_ERR_TOO_LARGE);
    assert_int_equal(read_with(1, DV_REPLICA_PROOF_MAX, 0), DV_OK);
    assert_int_equal(read_with(1, DV_REPLICA_PROOF_MAX + 1, 0), DV_ERR_TOO_LARGE);
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 17);
    assert_int_equal(
        dv_buf_append_str(&text, "{\"note\":\"n\",\"from\":0,\"entries\":\"\",\"edge\":[" HASH),
        DV_OK);
    for (size_t i = 0; i < DV_REPLICA_EDGE_MAX; i++) {
        assert_int_equal(dv_buf_append_str(&text, "," HASH), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, "]}"), DV_OK);
    assert_int_equal(read_answer(dv_buf_cstr(&text)), DV_ERR_TOO_LARGE);
    assert_int_equal(read_with(1, 0, DV_REPLICA_ENTRIES_MAX), DV_OK);
    assert_int_equal(read_with(1, 0, DV_REPLICA_ENTRIES_MAX + 1), DV_ERR_TOO_LARGE);
}

/* -- merging ----------------------------------------------------------------------------------- */

static void test_which_event_comes_first(void **state)
{
    json_t *five = json_pack("{s:i}", "time", 5), *nine = json_pack("{s:i}", "time", 9);
    json_t *none = json_pack("{s:s}", "time", "tomorrow");
    json_t *heads[] = {five, NULL, nine, five, none};
    assert_int_equal(dv_node_search_first(heads, 5, false), 2);
    assert_int_equal(dv_node_search_first(heads, 5, true), 4); /* no time is the earliest */
    assert_int_equal(dv_node_search_first(heads, 4, true), 0); /* of two alike the first list */
    assert_int_equal(dv_node_search_first(&heads[1], 1, true), 1);
    assert_int_equal(dv_node_search_first(heads, 0, true), 0);
    json_decref(five);
    json_decref(nine);
    json_decref(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_settings_that_are_refused),
        cmocka_unit_test(test_sixteen_nodes),
        cmocka_unit_test(test_one_log_has_one_name),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_limits_of_answers),
        cmocka_unit_test(test_which_event_comes_first),
    };
    return cmocka_run_group_tests(tests, make_key, NULL);
}
