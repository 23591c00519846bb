/* SPDX-License-Identifier: Apache-2.0 */
/* What dvara-export is made of: configuration, forms, positions, answers. The whole is in
 * tests/integration/export. */
#include "base/caps.h"
#include "base/file.h"
#include "crypto/hash.h"
#include "room/audit/export/bulk.h"
#include "room/audit/export/feed.h"
#include "room/audit/export/format.h"
#include "room/audit/export/position.h"
#include "room/audit/export/refused.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static dv_arena *arena;

static int set_up(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/dvara-export-XXXXXX");
    arena = dv_arena_new(256 << 20);
    return mkdtemp(folder) == NULL || arena == NULL;
}

static int tear_down(void **state)
{
    char command[128];
    dv_arena_free(arena);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command); /* NOLINT(cert-env33-c): a folder of our own */
}

/* -- configuration ----------------------------------------------------------------------------- */

static dv_result check(const char *text, dv_error *error)
{
    const dv_yaml *root;
    assert_int_equal(dv_yaml_parse(dv_slice_str(text), arena, &root, error), DV_OK);
    return dv_export_config_check(dv_yaml_get(root, "export"), error);
}

static void refuses(const char *entry, const char *why)
{
    char text[8192];
    dv_error error = {0};
    snprintf(text, sizeof(text), "export:\n- %s\n", entry);
    assert_int_equal(check(text, &error), DV_ERR_INVALID);
    if (strstr(error.message, why) == NULL || error.line != 2) {
        fail_msg("%s: line %d: %s", entry, error.line, error.message);
    }
}

static void takes(const char *entry)
{
    char text[8192];
    dv_error error = {0};
    snprintf(text, sizeof(text), "export:\n- %s\n", entry);
    if (check(text, &error) != DV_OK) {
        fail_msg("%s: %s", entry, error.message);
    }
}

static void good_entries_are_taken(void **state)
{
    takes("{name: a, type: file, path: /x, rotate_size: 1MiB, keep: 3, format: cef}");
    takes("{name: a, type: syslog, url: 'tls://h:6514', ca: /c, events: '*', severity: high}");
    takes("{name: a, type: syslog, url: 'tcp://127.0.0.1:514'}");
    takes("{name: a, type: syslog, url: 'tcp://[::1]:514'}");
    takes("{name: a, type: otlp, url: 'http://localhost:4318/v1/logs', token_file: /t}");
    takes("{name: a, type: otlp, url: 'http://192.0.2.1/v1/logs', plaintext: true}");
    takes("{name: a, type: webhook, url: 'https://h/x?y=z', secret_file: /s, repeat: 0s}");
    takes("{name: a, type: email, url: 'smtp://h:587', from: a@b, to: c@d}");
}

static void wrong_entries_are_refused(void **state)
{
    refuses("{type: file, path: /x}", "lacks 'name'");
    refuses("{name: 'a b', type: file, path: /x}", "letters, digits");
    refuses("{name: 'a/b', type: file, path: /x}", "letters, digits");
    refuses("{name: a, type: file, path: x}", "absolute");
    refuses("{name: a, type: file, path: /x, url: 'http://h'}", "has no 'url'");
    refuses("{name: a, type: file, path: /x, keep: 1001}", "keep");
    refuses("{name: a, type: file, path: /x, format: xml}", "json or cef");
    refuses("{name: a, type: file, path: /x, start: later}", "beginning or now");
    refuses("{name: a, type: file, path: /x, severity: bad}", "severity");
    refuses("{name: a, type: file, path: /x, events: []}", "empty list");
    refuses("{name: a, type: file, path: /x, classes: [x]}", "number");
    refuses("{name: a, type: file, path: /x, batch: 1}", "1KiB");
    refuses("{name: a, type: syslog, url: 'udp://h:1'}", "tls://");
    refuses("{name: a, type: syslog, url: 'tcp://h:1'}", "unencrypted");
    refuses("{name: a, type: syslog, url: 'tcp://127.0.0.1.evil.example:1'}", "unencrypted");
    refuses("{name: a, type: syslog, url: 'tcp://localhost@evil.example:1'}", "keys of their own");
    refuses("{name: a, type: otlp}", "lacks 'url'");
    refuses("{name: a, type: otlp, url: 'https://h', certificate: /c}", "go together");
    refuses("{name: a, type: otlp, url: 'https://h', user: u}", "go together");
    refuses("{name: a, type: otlp, url: 'https://h', user: u, password_file: /p, token_file: /t}",
            "either");
    refuses("{name: a, type: clickhouse, url: 'https://h'}", "lacks 'table'");
    refuses("{name: a, type: clickhouse, url: 'https://h', table: 'a;b'}", "table");
    refuses("{name: a, type: opensearch, url: 'https://h', index: 'a/b'}", "index");
    refuses("{name: a, type: email, url: 'smtps://h', from: a@b, to: ['c@d,e@f']}",
            "no mail address");
    refuses("{name: a, type: email, url: 'smtps://h', from: 'a@b>', to: c@d}", "no mail address");
    refuses("x", "looks like");
}

/* A list of so many items in the entry. */
static const char *entry_with(dv_buf *out, const char *key, const char *item, size_t count)
{
    dv_buf_clear(out);
    assert_int_equal(
        dv_buf_append_printf(out, "{name: a, type: file, path: /x, %s: [%s", key, item), DV_OK);
    for (size_t i = 1; i < count; i++) {
        assert_int_equal(dv_buf_append_printf(out, ",%s", item), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(out, "]}"), DV_OK);
    return dv_buf_cstr(out);
}

static void lists_have_limits(void **state)
{
    static const char *const lists[][2] = {{"events", "alarm"}, {"classes", "6003"}};
    for (size_t i = 0; i < DV_ARRAY_LEN(lists); i++) {
        dv_auto(buf) dv_buf entry = dv_buf_init(4096);
        takes(entry_with(&entry, lists[i][0], lists[i][1], DV_EXPORT_WORDS_MAX));
        refuses(entry_with(&entry, lists[i][0], lists[i][1], DV_EXPORT_WORDS_MAX + 1),
                "more than 64");
    }
    char text[16384] = "export:\n";
    dv_error error = {0};
    for (int i = 0; i <= DV_EXPORT_DESTINATIONS_MAX; i++) {
        size_t len = strlen(text);
        assert_int_equal(check(text, &error), DV_OK);
        snprintf(text + len, sizeof(text) - len, "- {name: n%d, type: file, path: /x%d}\n", i, i);
    }
    assert_int_equal(check(text, &error), DV_ERR_INVALID);
    refuses("{name: aaaaaaaaaabbbbbbbbbbccccccccccddddddddddd, type: file, path: /x}",
            "at most 40");
    assert_int_equal(check("export:\n- {name: a, type: file, path: /x}\n"
                           "- {name: a, type: file, path: /y}\n",
                           &error),
                     DV_ERR_INVALID);
    assert_int_equal(check("export:\n- {name: a, type: file, path: /x}\n"
                           "- {name: b, type: file, path: /x}\n",
                           &error),
                     DV_ERR_INVALID);
}

static void globs(void **state)
{
    assert_true(dv_export_glob("*", DV_LIT("alarm")));
    assert_true(dv_export_glob("alert.*", DV_LIT("alert.raised")));
    assert_true(dv_export_glob("*.open", DV_LIT("request.open")));
    assert_true(dv_export_glob("a*b*c", DV_LIT("aXbbYbc")));
    assert_true(dv_export_glob("", DV_LIT("")));
    assert_false(dv_export_glob("alert.*", DV_LIT("alert")));
    assert_false(dv_export_glob("a*b*c", DV_LIT("aXbbYb")));
    assert_false(dv_export_glob("alarm", DV_LIT("alarms")));
    assert_false(dv_export_glob("", DV_LIT("x")));
}

/* -- forms ------------------------------------------------------------------------------------- */

static dv_export_event event_of(const char *text)
{
    dv_export_event event = {.origin = "a.example/log", .index = 42, .text = dv_slice_str(text)};
    assert_int_equal(dv_export_event_read(&event, arena, NULL), DV_OK);
    return event;
}

static void expect(dv_buf *out, const char *wanted)
{
    assert_string_equal(dv_buf_cstr(out), wanted);
    dv_buf_clear(out);
}

static void json_has_the_uid(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    dv_export_event event = event_of("{\"metadata\":{\"version\":\"1.8.0\"},\"time\":1}");
    assert_int_equal(dv_export_put_json(&out, &event), DV_OK);
    expect(&out, "{\"metadata\":{\"uid\":\"a.example/log#42\",\"version\":\"1.8.0\"},\"time\":1}");
    event = event_of("{\"metadata\":{},\"time\":1}");
    assert_int_equal(dv_export_put_json(&out, &event), DV_OK);
    expect(&out, "{\"metadata\":{\"uid\":\"a.example/log#42\"},\"time\":1}");
    event = event_of("{\"other\":\"x\"}");
    assert_int_equal(dv_export_put_json(&out, &event), DV_OK);
    expect(&out, "{\"metadata\":{\"uid\":\"a.example/log#42\"},"
                 "\"raw_data\":\"{\\\"other\\\":\\\"x\\\"}\"}");
}

/* The standard's "Character Encoding": pipes in the header only, equals signs in values only. */
static void cef_is_escaped(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    dv_export_event event =
        event_of("{\"metadata\":{\"event_code\":\"a|b\\\\c=d\\ne\"},\"severity_id\":4,"
                 "\"class_uid\":2004,\"time\":5,\"status_id\":2,\"action_id\":2,"
                 "\"src_endpoint\":{\"ip\":\"2001:db8::1\",\"port\":7},"
                 "\"message\":\"x|y=z\\\\\\r\\n\\u0001\",\"count\":-1}");
    assert_int_equal(dv_export_put_cef(&out, &event, arena), DV_OK);
    expect(&out,
           "CEF:0|Dvara|Dvara|0.1.0|a\\|b\\\\c=d e|a\\|b\\\\c=d e|7|externalId=a.example/log#42 "
           "cat=2004 rt=5 cnt=-1 act=Denied outcome=failure c6a2=2001:db8::1 c6a2Label=Source "
           "IPv6 Address spt=7 msg=x|y\\=z\\\\\\r\\n ");
}

static void syslog_is_framed(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    dv_export_event event =
        event_of("{\"metadata\":{\"event_code\":\"a b\\u00e9\"},\"time\":0,\"severity_id\":99}");
    event.origin = "q\"u\\o]te";
    assert_int_equal(dv_export_put_syslog(&out, &event, true, "h st", arena), DV_OK);
    size_t len = strtoul(dv_buf_cstr(&out), NULL, 10);
    const char *message = strchr(dv_buf_cstr(&out), ' ') + 1;
    assert_int_equal(strlen(message), len);
    const char *head = "<109>1 1970-01-01T00:00:00.000000Z h_st dvara - a_b__ "
                       "[dvara@32473 origin=\"q\\\"u\\\\o\\]te\" index=\"42\"] CEF:0|";
    assert_memory_equal(message, head, strlen(head));
}

/* Lines of at most 78 characters (RFC 5322 section 2.1.1), and no header from an event. */
static void mails_hold_no_headers_of_events(void **state)
{
    static const char *const to[] = {"b@example.org", NULL};
    const dv_export_destination destination = {.from = "a@example.org", .to = to};
    dv_auto(buf) dv_buf out = dv_buf_init(65536);
    dv_auto(buf) dv_buf text = dv_buf_init(4096);
    assert_int_equal(dv_buf_append_str(&text,
                                       "{\"metadata\":{},\"finding_info\":{\"uid\":\"u\\r"
                                       "\\nX: y\",\"title\":\"t\\r\\nBcc: evil@example.org "),
                     DV_OK);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(dv_buf_append_str(&text, "\xc3\xa9"), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, "\"},\"message\":\"\\r\\n.\\r\\nQUIT\"}"), DV_OK);
    dv_export_event event = event_of(dv_buf_cstr(&text));
    assert_int_equal(dv_export_put_mail(&out, &event, &destination, 0, arena), DV_OK);
    dv_slice rest = dv_buf_slice(&out), line;
    while (dv_slice_split(&rest, '\n', &line)) {
        assert_true(line.len <= 79 && (rest.ptr == NULL || line.ptr[line.len - 1] == '\r'));
        assert_false(dv_slice_starts_with(line, DV_LIT("Bcc")));
        assert_false(dv_slice_starts_with(line, DV_LIT("X:")));
        assert_false(dv_slice_starts_with(line, DV_LIT(".")));
    }
    assert_non_null(strstr(dv_buf_cstr(&out), "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n"));
    assert_non_null(strstr(dv_buf_cstr(&out), "Message-ID: <42.a_example_log@example.org>\r\n"));
}

static void events_that_are_none_are_refused(void **state)
{
    static const char *const wrong[] = {"", "[]", "{", "{\"a\":}", "7"};
    for (size_t i = 0; i < DV_ARRAY_LEN(wrong); i++) {
        dv_export_event event = {.origin = "o", .text = dv_slice_str(wrong[i])};
        assert_int_equal(dv_export_event_read(&event, arena, NULL), DV_ERR_INVALID);
        assert_int_equal(dv_export_event_at(&event, "a"), 0);
    }
    dv_export_event event = event_of("{\"a\":[{\"b\":\"x\"}],\"time\":1e99,\"s\":7}");
    assert_int_equal(dv_export_event_text(&event, "a.0.b", arena).len, 1);
    assert_int_equal(dv_export_event_text(&event, "a.1.b", arena).len, 0);
    assert_int_equal(dv_export_event_text(&event, "a.x.b", arena).len, 0);
    assert_int_equal(dv_export_event_text(&event, "s.0", arena).len, 0);
    assert_int_equal(dv_export_event_time(&event), 0);
}

/* -- positions --------------------------------------------------------------------------------- */

static void path_of(const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%s", folder, name);
}

static void positions_are_kept(void **state)
{
    char path[PATH_MAX];
    struct stat about;
    bool told;
    path_of("position", path);
    dv_export_position position, again;
    assert_int_equal(dv_export_position_load(path, &position, NULL), DV_OK);
    assert_true(position.next == 0 && position.origin[0] == '\0');
    snprintf(position.origin, sizeof(position.origin), "o");
    position.next = UINT64_C(1) << 40;
    position.sent = 7;
    assert_int_equal(dv_export_alert_note(&position, DV_LIT("u"), 3, 1000, DV_SECOND, &told),
                     DV_OK);
    assert_int_equal(dv_export_position_save(path, &position, NULL), DV_OK);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(dv_export_position_load(path, &again, NULL), DV_OK);
    assert_true(again.next == position.next && again.sent == 7 && again.alert_count == 1);
    assert_true(again.alerts[0].index == 3 && again.alerts[0].time == 1000);
    dv_export_position_release(&position);
    dv_export_position_release(&again);
}

static void damaged_positions_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "{",
        "{}",
        "[]",
        "{\"version\":2,\"origin\":\"o\",\"next\":1,\"sent\":0,\"refused\":0,\"lost\":0,"
        "\"repeated\":0,\"alerts\":[]}",
        "{\"version\":1,\"origin\":\"o\",\"next\":-1,\"sent\":0,\"refused\":0,\"lost\":0,"
        "\"repeated\":0,\"alerts\":[]}",
        "{\"version\":1,\"origin\":\"o\",\"next\":1,\"sent\":0,\"refused\":0,\"lost\":0,"
        "\"repeated\":0,\"alerts\":[7]}"};
    char path[PATH_MAX];
    path_of("damaged", path);
    for (size_t i = 0; i < DV_ARRAY_LEN(wrong); i++) {
        dv_error error = {0};
        dv_export_position position = {.origin = ""};
        assert_int_equal(dv_file_write_atomic(path, dv_slice_str(wrong[i]), 0600, NULL), DV_OK);
        assert_int_equal(dv_export_position_load(path, &position, &error), DV_ERR_CORRUPT);
        assert_non_null(strstr(error.message, "remove it"));
    }
}

static bool note(dv_export_position *position, const char *uid, uint64_t index, int64_t time)
{
    bool told = false;
    assert_int_equal(
        dv_export_alert_note(position, dv_slice_str(uid), index, time, 10 * DV_SECOND, &told),
        DV_OK);
    return told;
}

static void alerts_are_told_once_in_their_time(void **state)
{
    char uid[300];
    dv_export_position position = {.origin = ""};
    assert_false(note(&position, "a", 1, 0));
    assert_true(note(&position, "a", 2, 9999));
    assert_false(note(&position, "b", 3, 9999));
    assert_false(note(&position, "a", 1, 0)); /* itself, sent again */
    assert_true(note(&position, "a", 2, 9999));
    assert_false(note(&position, "a", 4, 10000)); /* the time is over */
    assert_true(note(&position, "a", 5, 10001));
    assert_false(note(&position, "a", 1, 0)); /* an older one, sent again */
    assert_true(note(&position, "a", 6, 10002));
    /* Long ones that begin alike are different ones. */
    memset(uid, 'x', sizeof(uid) - 1);
    uid[sizeof(uid) - 1] = '\0';
    assert_false(note(&position, uid, 7, 10003));
    uid[sizeof(uid) - 2] = 'y';
    assert_false(note(&position, uid, 8, 10003));
    assert_true(note(&position, uid, 9, 10004));
    for (uint64_t i = 0; i <= DV_EXPORT_ALERTS_MAX; i++) {
        snprintf(uid, sizeof(uid), "n%d", (int)i);
        assert_false(note(&position, uid, 10 + i, 10005));
    }
    assert_int_equal(position.alert_count, DV_EXPORT_ALERTS_MAX);
    assert_string_equal(position.alerts[0].uid, "n1"); /* the oldest went */
    dv_export_position_release(&position);
}

static void refused_events_are_listed(void **state)
{
    char position[PATH_MAX], path[PATH_MAX], older[PATH_MAX];
    struct stat about;
    dv_auto(buf) dv_buf text = dv_buf_init(4096);
    path_of("x", position);
    path_of("x.refused", path);
    path_of("x.refused.1", older);
    assert_int_equal(dv_export_refused_note(position, "o#1", "bad \"x\"", NULL), DV_OK);
    assert_int_equal(dv_file_read(path, &text, NULL), DV_OK);
    assert_non_null(strstr(dv_buf_cstr(&text), "\"uid\":\"o#1\",\"why\":\"bad \\\"x\\\"\"}\n"));
    assert_int_equal(truncate(path, (16 << 20) + 1), 0);
    assert_int_equal(dv_export_refused_note(position, "o#2", "", NULL), DV_OK);
    assert_int_equal(stat(path, &about), 0);
    assert_true(about.st_size < 200 && stat(older, &about) == 0);
}

/* -- secrets, the feed, answers ---------------------------------------------------------------- */

static dv_result secret_of(const char *text, size_t len, mode_t mode)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf out = dv_buf_init(8192);
    path_of("secret", path);
    assert_int_equal(dv_file_write_atomic(path, dv_slice_of(text, len), mode, NULL), DV_OK);
    return dv_export_secret(path, &out, NULL);
}

static void secrets_are_one_closed_line(void **state)
{
    char large[4098];
    memset(large, 'x', sizeof(large));
    assert_int_equal(secret_of("s3cret\n", 7, 0600), DV_OK);
    assert_int_equal(secret_of("s3cret\n", 7, 0640), DV_OK);
    assert_int_equal(secret_of("s3cret\n", 7, 0604), DV_ERR_FORBIDDEN);
    assert_int_equal(secret_of(" \n", 2, 0600), DV_ERR_INVALID);
    assert_int_equal(secret_of("a\nb\n", 4, 0600), DV_ERR_INVALID);
    assert_int_equal(secret_of(large, 4096, 0600), DV_OK);
    assert_int_equal(secret_of(large, 4097, 0600), DV_ERR_TOO_LARGE);
    dv_auto(buf) dv_buf out = dv_buf_init(8192);
    assert_int_equal(dv_export_secret("/nonexistent", &out, NULL), DV_ERR_NOT_FOUND);
}

static void lines_of_the_feed_are_checked(void **state)
{
    static const char *const wrong[] = {"{\"index\":,\"event\":{}}\n", "{\"index\":1}\n", "x\n",
                                        "{\"index\":1,\"event\":}\n",
                                        "{\"index\":1,\"event\":{}\n"};
    uint64_t index;
    dv_slice event, lines = DV_LIT("{\"index\":7,\"event\":{\"a\":1}}\n");
    assert_int_equal(dv_export_feed_line(&lines, &index, &event, NULL), DV_OK);
    assert_true(index == 7 && dv_slice_eq_str(event, "{\"a\":1}"));
    assert_int_equal(dv_export_feed_line(&lines, &index, &event, NULL), DV_ERR_NOT_FOUND);
    for (size_t i = 0; i + 1 < DV_ARRAY_LEN(wrong); i++) {
        lines = dv_slice_str(wrong[i]);
        assert_int_equal(dv_export_feed_line(&lines, &index, &event, NULL), DV_ERR_CORRUPT);
    }
}

/* One letter an event: p(ending), d(one), r(efused). */
static void apply(const char *answer, dv_result wanted, const char *states)
{
    dv_export_item items[3] = {0};
    dv_export_item *pointers[3] = {&items[0], &items[1], &items[2]};
    dv_export_chunk chunk = {.items = pointers, .count = strlen(states), .arena = arena};
    assert_int_equal(dv_bulk_apply(dv_slice_str(answer), &chunk, NULL), wanted);
    for (size_t i = 0; i < chunk.count; i++) {
        assert_int_equal(items[i].state, states[i] == 'd'   ? DV_EXPORT_DONE
                                         : states[i] == 'r' ? DV_EXPORT_REFUSED
                                                            : DV_EXPORT_PENDING);
        assert_true(states[i] != 'r' || strstr(chunk.why, "mapper") != NULL);
    }
}

static void bulk_answers(void **state)
{
    apply("{\"items\":[{\"create\":{\"status\":201}},{\"create\":{\"status\":409}}]}", DV_OK, "dd");
    apply("{\"items\":[{\"create\":{\"status\":429}},{\"create\":{\"status\":503}},{\"create\":"
          "{\"status\":400,\"error\":{\"type\":\"mapper_x\",\"reason\":\"y\"}}}]}",
          DV_OK, "ppr");
    apply("{\"items\":[{\"create\":{}},{\"index\":{\"status\":201}},7]}", DV_OK, "ppp");
    apply("{\"items\":[{\"create\":{\"status\":\"201\"}},{\"create\":{\"status\":2.5}}]}", DV_OK,
          "pp");
    apply("{\"items\":[{\"create\":{\"status\":201}}]}", DV_ERR_UNAVAILABLE, "pp");
    apply("{\"items\":{}}", DV_ERR_UNAVAILABLE, "p");
    apply("{}", DV_ERR_UNAVAILABLE, "p");
    apply("[]", DV_ERR_UNAVAILABLE, "p");
    apply("{\"items\":[", DV_ERR_UNAVAILABLE, "p");
    apply("", DV_ERR_UNAVAILABLE, "p");
}

/* Deeper or longer than any answer is: not believed. */
static void bulk_answers_have_limits(void **state)
{
    char deep[200] = "{\"items\":";
    memset(deep + strlen(deep), '[', 40);
    apply(deep, DV_ERR_UNAVAILABLE, "p");
    dv_auto(buf) dv_buf longer = dv_buf_init(4 << 20);
    assert_int_equal(dv_buf_append_str(&longer, "{\"items\":[1"), DV_OK);
    for (size_t i = 0; i < 1 << 20; i++) {
        assert_int_equal(dv_buf_append_str(&longer, ",1"), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&longer, "]}"), DV_OK);
    apply(dv_buf_cstr(&longer), DV_ERR_UNAVAILABLE, "p");
}

static uint64_t rejected(const char *answer, char why[DV_EXPORT_WHY_MAX])
{
    why[0] = '\0';
    return dv_otlp_rejected(dv_slice_str(answer), arena, why);
}

static void otlp_answers(void **state)
{
    char why[DV_EXPORT_WHY_MAX];
    assert_int_equal(rejected("", why), 0);
    assert_int_equal(rejected("{}", why), 0);
    assert_int_equal(rejected("\x0a\x01", why), 0);
    assert_int_equal(rejected("{\"partialSuccess\":{}}", why), 0);
    assert_int_equal(rejected("{\"partialSuccess\":{\"rejectedLogRecords\":\"3\","
                              "\"errorMessage\":\"old\"}}",
                              why),
                     3);
    assert_string_equal(why, "old");
    assert_int_equal(rejected("{\"partialSuccess\":{\"rejectedLogRecords\":2}}", why), 2);
    assert_int_equal(rejected("{\"partialSuccess\":{\"rejectedLogRecords\":-2}}", why), 0);
    assert_int_equal(rejected("{\"partialSuccess\":{\"rejectedLogRecords\":{}}}", why), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_entries_are_taken),
        cmocka_unit_test(wrong_entries_are_refused),
        cmocka_unit_test(lists_have_limits),
        cmocka_unit_test(globs),
        cmocka_unit_test(json_has_the_uid),
        cmocka_unit_test(cef_is_escaped),
        cmocka_unit_test(syslog_is_framed),
        cmocka_unit_test(mails_hold_no_headers_of_events),
        cmocka_unit_test(events_that_are_none_are_refused),
        cmocka_unit_test(positions_are_kept),
        cmocka_unit_test(damaged_positions_are_refused),
        cmocka_unit_test(alerts_are_told_once_in_their_time),
        cmocka_unit_test(refused_events_are_listed),
        cmocka_unit_test(secrets_are_one_closed_line),
        cmocka_unit_test(lines_of_the_feed_are_checked),
        cmocka_unit_test(bulk_answers),
        cmocka_unit_test(bulk_answers_have_limits),
        cmocka_unit_test(otlp_answers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
