/* SPDX-License-Identifier: Apache-2.0 */
/* Personal values of events: sealed, opened, erased; every other byte stays. */
#include "base/caps.h"
#include "base/json.h"
#include "core/event.h"
#include "core/event_alert.h"
#include "engine/log/erasure.h"
#include "engine/log/seal.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];
static dv_subjects *subjects;
static dv_buf sealed, opened;

static int setup(void **state)
{
    snprintf(root, sizeof(root), "/tmp/dvara-seal-XXXXXX");
    sealed = dv_buf_init(1 << 20);
    opened = dv_buf_init(1 << 20);
    return mkdtemp(root) != NULL && dv_subjects_open(root, &subjects, NULL) == DV_OK ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    dv_subjects_close(subjects);
    dv_buf_release(&sealed);
    dv_buf_release(&opened);
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static dv_slice seal(dv_slice event)
{
    dv_buf_clear(&sealed);
    assert_int_equal(dv_event_seal(subjects, event, UINT16_MAX, &sealed), DV_OK);
    return dv_buf_slice(&sealed);
}

static dv_slice open_sealed(void)
{
    dv_buf_clear(&opened);
    assert_int_equal(dv_event_open(subjects, dv_buf_slice(&sealed), &opened), DV_OK);
    return dv_buf_slice(&opened);
}

static void assert_text(dv_slice found, const char *expected)
{
    dv_auto(buf) dv_buf copy = dv_buf_init(1 << 20);
    assert_int_equal(dv_buf_append(&copy, found), DV_OK);
    assert_string_equal(dv_buf_cstr(&copy), expected);
}

static bool has(dv_slice text, const char *part)
{
    return dv_slice_find(text, dv_slice_str(part)) >= 0;
}

static void erase(const char *subject)
{
    char id[DV_SUBJECT_ID_TEXT + 1];
    assert_int_equal(dv_subjects_find(subjects, dv_slice_str(subject), id), DV_OK);
    dv_slice text = dv_slice_str(id);
    assert_int_equal(dv_subjects_destroy(subjects, &text, 1, NULL), DV_OK);
}

#define FRONT                                                                                      \
    "{\"metadata\":{\"version\":\"1.8.0\",\"event_code\":\"request.open\"},\"time\":"              \
    "1795305600000,"
#define ALICE                                                                                      \
    "\"actor\":{\"user\":{\"name\":\"alice\",\"uid\":\"User::\\\"alice\\\"\",\"type_id\":1}},"
#define SOURCE "\"src_endpoint\":{\"ip\":\"192.0.2.7\",\"port\":54321},"
#define REST "\"http_request\":{\"user_agent\":\"curl/8\"},\"class_uid\":6003}"

static void test_a_request(void **state)
{
    static const char event[] = FRONT ALICE SOURCE REST;
    dv_slice text = seal(dv_slice_str(event));
    static const char *const hidden[] = {"alice", "192.0.2.7", "54321", "curl/8"};
    for (size_t i = 0; i < DV_ARRAY_LEN(hidden); i++) {
        assert_false(has(text, hidden[i]));
    }
    assert_true(has(text, "\"type_id\":1}},\"src_endpoint\":{\"ip\":\"~1."));
    assert_text(open_sealed(), event);
    dv_auto(buf) dv_buf first = dv_buf_init(1 << 20);
    assert_int_equal(dv_buf_append(&first, text), DV_OK);
    assert_true(dv_slice_eq(dv_buf_slice(&first), seal(dv_slice_str(event))));
    erase("User::\"alice\"");
    assert_text(open_sealed(), FRONT
                "\"actor\":{\"user\":{\"name\":\"(erased)\",\"uid\":\"(erased)\",\"type_id\":1}},"
                "\"src_endpoint\":{\"name\":\"(erased)\"},"
                "\"http_request\":{\"user_agent\":\"(erased)\"},\"class_uid\":6003}");
}

static void test_an_unknown_caller_belongs_to_the_day(void **state)
{
    static const char event[] = FRONT "\"actor\":{\"user\":{\"name\":\"anonymous\"}}," SOURCE REST;
    dv_slice text = seal(dv_slice_str(event));
    assert_false(has(text, "192.0.2.7"));
    assert_true(has(text, "\"name\":\"anonymous\""));
    assert_text(open_sealed(), event);
    erase("Day::\"2026-11-22\"");
    assert_false(has(open_sealed(), "192.0.2.7"));
    assert_true(has(dv_buf_slice(&opened), "\"name\":\"anonymous\""));
}

static void test_a_system_is_no_person(void **state)
{
    static const char event[] =
        FRONT "\"actor\":{\"user\":{\"name\":\"dvarad\",\"uid\":\"System::\\\"dvarad\\\"\"}},"
              "\"message\":\"started\"," REST;
    assert_true(has(seal(dv_slice_str(event)), "dvarad"));
    assert_true(has(dv_buf_slice(&sealed), "\"message\":\"started\""));
    assert_text(open_sealed(), event);
}

/* What an administrator did with alice can be read as long as both are there. */
static void test_a_change_belongs_to_whom_it_names(void **state)
{
    static const char event[] =
        FRONT "\"actor\":{\"user\":{\"name\":\"root\",\"uid\":\"User::\\\"root\\\"\"}},"
              "\"status_detail\":\"there is no user named bob\",\"entity\":{\"uid\":\"research\","
              "\"data\":{\"added\":\"User::\\\"alice\\\"\",\"n\":[1,{\"a\":\"}\"}]}}," REST;
    assert_false(has(seal(dv_slice_str(event)), "alice"));
    assert_false(has(dv_buf_slice(&sealed), "bob"));
    assert_true(has(dv_buf_slice(&sealed), "research"));
    assert_text(open_sealed(), event);
    erase("User::\"alice\"");
    assert_true(has(open_sealed(), "\"data\":\"(erased)\""));
    assert_true(has(dv_buf_slice(&opened), "\"name\":\"root\""));
    assert_true(has(dv_buf_slice(&opened), "named bob"));
    erase("User::\"bob\"");
    assert_true(has(open_sealed(), "\"status_detail\":\"(erased)\""));
}

/* A writer's text that looks sealed is sealed again at a personal path, and is text elsewhere. */
static void test_forged_texts(void **state)
{
    static const char forged[] = "~1.AAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    char event[1024];
    snprintf(event, sizeof(event),
             FRONT "\"api\":{\"operation\":\"%s\"},\"actor\":{\"user\":{\"name\":\"%s\","
                   "\"uid\":\"User::\\\"%s\\\"\"}}," REST,
             forged, forged, forged);
    dv_slice text = seal(dv_slice_str(event));
    assert_false(has(text, "\"name\":\"~1.AAAAAAAAAAA."));
    assert_true(has(text, "\"operation\":\"~1.AAAAAAAAAAA."));
    assert_text(open_sealed(), event);
    /* An entry from before there was sealing. */
    dv_buf_clear(&sealed);
    assert_int_equal(dv_buf_append(&sealed, dv_slice_str(FRONT ALICE SOURCE REST)), DV_OK);
    assert_text(open_sealed(), FRONT ALICE SOURCE REST);
}

/* White space, escapes, other orders, values of other types, empty ones. */
/* Of an event that names nobody, too: nobody may have a text of his own read "(erased)". */
static void test_forged_texts_of_nobody(void **state)
{
    static const char *const events[] = {
        FRONT "\"actor\":{\"user\":{\"name\":\"~1.AAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAA\"}}}",
        FRONT "\"raw_data\":\"~1.AAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAA\"}",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(events); i++) {
        assert_false(has(seal(dv_slice_str(events[i])), "~1.AAAAAAAAAAA.AAAA"));
        assert_text(open_sealed(), events[i]);
    }
}

static void test_odd_texts(void **state)
{
    static const char spaced[] =
        "{ \"src_endpoint\" : { \"port\" : 1 , \"ip\" : \"192.0.2.7\" } , \"time\" : 5 ,"
        " \"actor\" : { \"user\" : { \"uid\" : \"User::\\\"a\\\\b\\\"\" , \"name\" : "
        "\"x\\\"y\\\\\" } } }";
    static const char *const odd[] = {
        spaced,
        "{\"actor\":{\"user\":{\"uid\":\"User::\\\"a\\\"\",\"name\":null}},\"message\":\"\"}",
        "{\"actor\":[{\"user\":{\"uid\":\"User::\\\"a\\\"\",\"name\":[\"a\",{\"b\":2}]}},[],3]}",
        "{\"actor\":\"x\",\"src_endpoint\":{},\"user\":{\"uid\":7,\"name\":true}}",
        "{}",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(odd); i++) {
        assert_false(has(seal(dv_slice_str(odd[i])), "192.0.2.7"));
        assert_text(open_sealed(), odd[i]);
    }
    seal(dv_slice_str(odd[0]));
    erase("User::\"a\\b\"");
    assert_text(open_sealed(), "{ \"src_endpoint\" : {  \"name\":\"(erased)\" } , \"time\" : 5 ,"
                               " \"actor\" : { \"user\" : { \"uid\" : \"(erased)\" ,"
                               " \"name\" : \"(erased)\" } } }");
}

static void test_what_is_no_event_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "x",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1",
        "{\"a\":1}x",
        "{\"actor\":{\"user\":",
        "{\"actor\":{\"user\":{\"name\":\"x}}}",
        "{\"actor\":{\"user\":{\"name\":\"x\\\"}}}",
        "{\"a\":{]}",
        "{\"a\":1,}",
        "{\"a\":[1,\"}",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_buf_clear(&sealed);
        if (strcmp(bad[i], "{\"a\":{]}") != 0) { /* brackets are counted, not matched */
            assert_int_equal(dv_event_seal(subjects, dv_slice_str(bad[i]), UINT16_MAX, &sealed),
                             DV_ERR_INVALID);
        }
        assert_int_equal(sealed.len, 0);
        assert_int_equal(dv_buf_append_str(&sealed, bad[i]), DV_OK);
        assert_text(open_sealed(), bad[i]); /* a reader gets what is there */
    }
}

/* One value too many: the caller keeps the record as none of its events. */
static void test_places_are_bounded(void **state)
{
    dv_auto(buf) dv_buf event = dv_buf_init(1 << 16);
    for (int most = DV_SEAL_PLACES; most <= DV_SEAL_PLACES + 1; most++) {
        dv_buf_clear(&event);
        assert_int_equal(dv_buf_append_str(&event, "{\"resources\":["), DV_OK);
        for (int i = 0; i < most; i++) {
            assert_int_equal(
                dv_buf_append_printf(&event, "%s{\"name\":\"n%d\"}", i > 0 ? "," : "", i), DV_OK);
        }
        assert_int_equal(dv_buf_append_str(&event, "]}"), DV_OK);
        dv_buf_clear(&sealed);
        assert_int_equal(dv_event_seal(subjects, dv_buf_slice(&event), UINT16_MAX, &sealed),
                         most > DV_SEAL_PLACES ? DV_ERR_TOO_LARGE : DV_OK);
    }
}

/* A change so long that its sealed text fits no leaf is cut, and the event says so. */
static void test_long_values_are_cut(void **state)
{
    dv_auto(buf) dv_buf event = dv_buf_init(1 << 17);
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    static const dv_json_limits limits = {.depth = 16, .tokens = 1000};
    static const char *const ends[] = {"\xc3\xa9", "\\\\", "\\u0041", "\\\"", "x"};
    for (size_t i = 0; i < 600; i++) {
        dv_json json;
        dv_buf_clear(&event);
        assert_int_equal(dv_buf_append_str(&event, FRONT ALICE "\"status_detail\":\""), DV_OK);
        for (size_t j = 0; j < i % 40; j++) {
            assert_int_equal(dv_buf_append_byte(&event, 'a'), DV_OK);
        }
        while (event.len < 52000) {
            assert_int_equal(dv_buf_append_str(&event, ends[i / 40 % DV_ARRAY_LEN(ends)]), DV_OK);
        }
        assert_int_equal(dv_buf_append_str(&event, "\"," REST), DV_OK);
        dv_slice text = seal(dv_buf_slice(&event));
        assert_true(text.len < 4096);
        assert_true(has(text, "{\"metadata\":{\"is_truncated\":true,\"version\""));
        dv_arena_reset(arena);
        assert_int_equal(dv_json_scan(open_sealed(), &limits, arena, &json, NULL), DV_OK);
    }
    dv_buf_clear(&event);
    assert_int_equal(dv_buf_append_str(&event, FRONT ALICE "\"entity\":{\"data\":{\"x\":\""),
                     DV_OK);
    while (event.len < 60000) {
        assert_int_equal(dv_buf_append_byte(&event, 'a'), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&event, "\"}}," REST), DV_OK);
    seal(dv_buf_slice(&event));
    assert_true(has(open_sealed(), "\"data\":{\"cut\":true}"));
    assert_int_equal(dv_event_seal(subjects, dv_buf_slice(&event), 100, &sealed), DV_ERR_TOO_LARGE);
}

static void test_more_principals_than_can_be_named(void **state)
{
    dv_auto(buf) dv_buf event = dv_buf_init(1 << 17);
    for (int count = 7; count <= 9; count++) {
        dv_buf_clear(&event);
        assert_int_equal(dv_buf_append_str(&event, FRONT ALICE "\"entity\":{\"data\":{\"to\":["),
                         DV_OK);
        for (int i = 0; i < count; i++) {
            assert_int_equal(
                dv_buf_append_printf(&event, "%s\"User::\\\"number-%d\\\"\"", i > 0 ? "," : "", i),
                DV_OK);
        }
        assert_int_equal(dv_buf_append_str(&event, "]}}," REST), DV_OK);
        assert_false(has(seal(dv_buf_slice(&event)), "number-3"));
        if (count == 7) { /* and alice */
            assert_true(dv_slice_eq(open_sealed(), dv_buf_slice(&event)));
        } else {
            assert_true(has(open_sealed(), "\"data\":{\"cut\":true}"));
        }
    }
}

/* The events of core/event.h as they are: sealed and opened they are the same. */
static void test_events_of_the_control_plane(void **state)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = {.time = dv_time_now(),
                            .entity = DV_LIT("User::\"root-of-all\""),
                            .address = DV_LIT("198.51.100.9"),
                            .result = DV_OK};
    assert_int_equal(dv_event_account_change(&event, &actor, DV_ACCOUNT_DELETE,
                                             DV_LIT("User::\"xanthippe\""), (dv_slice){0}),
                     DV_OK);
    dv_slice text = seal(dv_buf_slice(&event));
    assert_false(has(text, "xanthippe"));
    assert_false(has(text, "198.51.100.9"));
    assert_false(has(text, "root-of-all"));
    assert_true(dv_slice_eq(open_sealed(), dv_buf_slice(&event)));
    erase("User::\"xanthippe\"");
    assert_false(has(open_sealed(), "xanthippe"));
    assert_true(has(dv_buf_slice(&opened), "root-of-all"));
    dv_buf_clear(&event);
    assert_int_equal(dv_erasure_event(&event, &actor, DV_LIT("AbcdefghijA"), DV_LIT("case 7")),
                     DV_OK);
    assert_true(has(seal(dv_buf_slice(&event)), "\"entity\":{\"uid\":\"AbcdefghijA\""));
    assert_false(has(dv_buf_slice(&sealed), "case 7"));
}

/* Seals an alert, which must hide what it tells of people, and opens it again. */
static void seal_alert(const char *query, const char *group, const char *title, const char *hidden)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    const dv_event_alert alert = {.time = 1795305600000 * DV_MILLISECOND,
                                  .name = "many",
                                  .uid = "alert/many/1/2",
                                  .title = title,
                                  .query = query,
                                  .threshold = "> 5",
                                  .severity_id = 4,
                                  .group = dv_slice_str(group),
                                  .notify = DV_LIT("[\"mail\"]"),
                                  .evidence = DV_LIT("[]")};
    assert_int_equal(dv_event_alert_write(&event, &alert), DV_OK);
    dv_slice text = seal(dv_buf_slice(&event));
    assert_false(has(text, hidden));
    assert_false(has(text, "decision:denied"));
    assert_false(has(text, "in 10m"));
    assert_true(has(text, "\"threshold\":\"> 5\""));
    assert_true(dv_slice_eq(open_sealed(), dv_buf_slice(&event)));
}

/* An event before it, as those that an alert counts. */
static void make_known(const char *type, const char *name)
{
    char event[512];
    snprintf(event, sizeof(event), FRONT "\"actor\":{\"user\":{\"uid\":\"%s::\\\"%s\\\"\"}}," REST,
             type, name);
    seal(dv_slice_str(event));
}

static void test_an_alert_belongs_to_whom_its_group_names(void **state)
{
    static const struct {
        const char *type, *name, *group;
    } cases[] = {
        {"User", "alice", "{\"user\":\"alice\"}"},
        {"User", "al ice", "{\"model\":null,\"user\":\"al ice\"}"},
        {"Service", "ci-runner", "{\"actor.user.name\":\"ci-runner\",\"port\":1}"},
        {"Local", "joseph", "{\"user_id\":\"Local::\\\"joseph\\\"\"}"},
        {"Account", "carol@web1", "{\"account\":\"carol\",\"host\":\"web1\"}"},
    };
    char subject[64], title[128];
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        make_known(cases[i].type, cases[i].name);
        snprintf(title, sizeof(title), "many: 6 in 10m, actor.user.name %s", cases[i].name);
        seal_alert("decision:denied", cases[i].group, title, cases[i].name);
        snprintf(subject, sizeof(subject), "%s::\"%s\"", cases[i].type, cases[i].name);
        erase(subject);
        assert_true(has(open_sealed(), "\"message\":\"(erased)\""));
        assert_true(has(dv_buf_slice(&opened), "\"title\":\"(erased)\""));
        assert_true(has(dv_buf_slice(&opened), "\"group\":\"(erased)\""));
        assert_true(has(dv_buf_slice(&opened), "\"query\":\"(erased)\""));
    }
    static const char day[] = "Day::\"2026-11-22\"";
    char id[DV_SUBJECT_ID_TEXT + 1];
    assert_int_equal(dv_subjects_find(subjects, dv_slice_str(day), id), DV_ERR_NOT_FOUND);
}

static void test_an_alert_of_nobody_who_is_known_is_the_days(void **state)
{
    char id[DV_SUBJECT_ID_TEXT + 1];
    make_known("User", "bobbington");
    seal_alert("(account:bobbington or x) decision:denied", "{\"ip\":\"192.0.2.7\"}",
               "many: 6 in 10m, ip 192.0.2.7", "192.0.2.7");
    assert_false(has(dv_buf_slice(&sealed), "bobbington"));
    erase("User::\"bobbington\"");
    assert_true(has(open_sealed(), "\"query\":\"(erased)\""));
    assert_true(has(dv_buf_slice(&opened), "{\"ip\":\"192.0.2.7\"}"));
    erase("Day::\"2026-11-22\"");
    assert_false(has(open_sealed(), "192.0.2.7"));
    seal_alert("decision:denied", "{}", "many: 6 in 10m", "many: 6");
    seal_alert("decision:denied", "null", "many: 6 in 10m, actor.user.name danforth", "danforth");
    assert_int_equal(dv_subjects_find(subjects, DV_LIT("User::\"danforth\""), id),
                     DV_ERR_NOT_FOUND);
}

/* Only dvara-logd's own word counts. */
static void test_reading_an_erasure(void **state)
{
    static const char *const texts[] = {
        "{\"metadata\":{\"log_source\":\"dvara-logd/0198c0de-0000-7000-8000-0123456789ab\","
        "\"event_code\":\"audit.erased\"},\"entity\":{\"uid\":\"AbcdefghijA\"}}",
        "{\"metadata\":{\"log_source\":\"gateway/0198c0de-0000-7000-8000-0123456789ab\","
        "\"event_code\":\"audit.erased\"},\"entity\":{\"uid\":\"AbcdefghijA\"}}",
        "{\"metadata\":{\"log_source\":\"dvara-logd/0198c0de-0000-7000-8000-0123456789ab\","
        "\"event_code\":\"entity.change\"},\"entity\":{\"uid\":\"AbcdefghijA\"}}",
        "{\"metadata\":{\"log_source\":\"dvara-logd/0198c0de-0000-7000-8000-0123456789ab\","
        "\"event_code\":\"audit.erased\"},\"entity\":{\"uid\":\"Abc",
    };
    assert_text(dv_erasure_read(dv_slice_str(texts[0])), "AbcdefghijA");
    for (size_t i = 1; i < DV_ARRAY_LEN(texts); i++) {
        assert_int_equal(dv_erasure_read(dv_slice_str(texts[i])).len, 0);
    }
}

#define SEAL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEAL_TEST(test_a_request),
        SEAL_TEST(test_an_unknown_caller_belongs_to_the_day),
        SEAL_TEST(test_a_system_is_no_person),
        SEAL_TEST(test_a_change_belongs_to_whom_it_names),
        SEAL_TEST(test_forged_texts),
        SEAL_TEST(test_forged_texts_of_nobody),
        SEAL_TEST(test_odd_texts),
        SEAL_TEST(test_what_is_no_event_is_refused),
        SEAL_TEST(test_places_are_bounded),
        SEAL_TEST(test_long_values_are_cut),
        SEAL_TEST(test_more_principals_than_can_be_named),
        SEAL_TEST(test_events_of_the_control_plane),
        SEAL_TEST(test_an_alert_belongs_to_whom_its_group_names),
        SEAL_TEST(test_an_alert_of_nobody_who_is_known_is_the_days),
        SEAL_TEST(test_reading_an_erasure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
