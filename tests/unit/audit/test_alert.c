/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts over a real log behind a real socket, with times of the test's own. */
#include "core/audit.h"
#include "crypto/aead.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "daemon/logd_server.h"
#include "engine/log/spool.h"
#include "room/audit/control/alert.h"
#include "room/audit/control/audit_control.h"
#include "store/store.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[64], spool_folder[80], log_folder[80], store_path[80];
static dv_log_keys keys;
static dv_tree_signer signer;
static dv_sequencer *sequencer;
static dv_logd_server *server;
static dv_services services;
static const uint8_t master_key[32] = {7, 7, 7};
static dv_audit_place place;
static bool sink_fails;
static int sent;
static char last_sent[16384];

enum { BASE_S = 1790000000 }; /* when the events happen, rounded to ten seconds */

static void publish(void)
{
    size_t taken;
    dv_sequencer_status status;
    assert_int_equal(dv_sequencer_collect(sequencer, &taken, NULL), DV_OK);
    assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
    dv_sequencer_status_get(sequencer, &status);
    dv_logd_server_update(server, &status);
}

/* While a test makes many events, they go into one segment. */
static dv_spool *kept_open;

static dv_spool *open_spool(void)
{
    dv_spool *spool = NULL;
    assert_int_equal(dv_spool_open(spool_folder, "test", keys.public_key, 4 << 20, &spool, NULL),
                     DV_OK);
    return spool;
}

static void keep(const char *event)
{
    dv_spool *spool = kept_open != NULL ? kept_open : open_spool();
    assert_int_equal(dv_spool_append(spool, dv_slice_str(event), false), DV_OK);
    if (spool != kept_open) {
        dv_spool_close(spool);
    }
}

static dv_result take_event(void *data, dv_slice record)
{
    if (sink_fails) {
        return DV_ERR_UNAVAILABLE;
    }
    sent++;
    dv_slice_copy(record, last_sent, sizeof(last_sent));
    keep(last_sent);
    publish();
    return DV_OK;
}

static int start_log(void **state)
{
    uint8_t public_key[32];
    snprintf(root, sizeof(root), "/tmp/dvara-alert-XXXXXX");
    dv_random(signer.seed, sizeof(signer.seed));
    if (mkdtemp(root) == NULL || dv_ed25519_public(signer.seed, public_key) != DV_OK ||
        dv_note_verifier_init("dvara.test/log", public_key, &signer.verifier) != DV_OK) {
        return -1;
    }
    snprintf(spool_folder, sizeof(spool_folder), "%s/spool", root);
    snprintf(log_folder, sizeof(log_folder), "%s/log", root);
    snprintf(store_path, sizeof(store_path), "%s/dvara.db", root);
    dv_box_keypair(keys.public_key, keys.secret_key);
    const dv_sequencer_options options = {.log_folder = log_folder,
                                          .spools = {spool_folder, NULL},
                                          .keys = &keys,
                                          .signer = &signer,
                                          .batch_bytes = 1 << 20};
    services = (dv_services){.runtime_dir = root,
                             .master_key = master_key,
                             .events = {take_event, NULL},
                             .started = (dv_time)(BASE_S - 3600) * DV_SECOND};
    place = (dv_audit_place){.known = false};
    sink_fails = false;
    sent = 0;
    const dv_logd_keys signing = {.signer = signer};
    if (mkdir(spool_folder, 0700) != 0 || dv_sequencer_open(&options, &sequencer, NULL) != DV_OK ||
        dv_logd_server_open(log_folder, root, &signing, NULL, NULL, NULL, NULL, &server, NULL) !=
            DV_OK ||
        dv_store_open(store_path, master_key, false, &services.store, NULL) != DV_OK) {
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
    dv_store_close(services.store);
    dv_logd_server_close(server);
    dv_sequencer_close(sequencer);
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_alert(const char *query, const char *threshold, int64_t over_ms, const char *by,
                       int64_t cooldown_ms)
{
    assert_int_equal(
        dv_store_run(services.store, NULL,
                     "INSERT INTO audit_alert (name, query, threshold, over_ms, by_fields,"
                     " severity, notify, cooldown_ms, enabled, first, owner, created, updated)"
                     " VALUES ('a', ?1, ?2, ?3, ?4, 4, 'siem,mail', ?5, 1, 0, 'x', 0, 0)",
                     "ttiti", query, threshold, over_ms, by, cooldown_ms),
        DV_OK);
}

static void happen(const char *user, double seconds, int tokens)
{
    char event[512];
    static int number;
    snprintf(event, sizeof(event),
             "{\"metadata\":{\"event_code\":\"test\",\"correlation_uid\":\"r%d\"},\"time\":%lld,"
             "\"actor\":{\"user\":{\"name\":\"%s\"}},\"message_context\":{\"total_tokens\":%d}}",
             ++number, (long long)(BASE_S * 1000LL + (int64_t)(seconds * 1000)), user, tokens);
    keep(event);
}

/* Looks until there is no more, at that time. */
static dv_result look(double seconds)
{
    bool more = true;
    dv_error error = {0};
    publish();
    for (int i = 0; more && i < 1000; i++) {
        dv_result result = dv_audit_alerts_tick(
            &services, &place, BASE_S * DV_SECOND + (dv_time)(seconds * 1e9), &more, &error);
        if (result != DV_OK) {
            return result;
        }
    }
    assert_false(more);
    return DV_OK;
}

static int64_t count_of(const char *sql)
{
    dv_auto(statement) dv_statement *row = NULL;
    assert_int_equal(dv_store_query(services.store, &row, NULL, sql, ""), DV_OK);
    assert_int_equal(dv_statement_step(row, NULL), DV_OK);
    return dv_column_int(row, 0);
}

static const char outbox[] = "SELECT count(*) FROM audit_alert_outbox";

static void a_window_slides_over_the_borders_of_its_slices(void **state)
{
    make_alert("event:test", "> 4", 10000, "user", 3600000);
    for (int i = 0; i < 3; i++) {
        happen("alice", 8.2, 1);
        happen("bob", 8.2, 1);
    }
    assert_int_equal(look(9), DV_OK);
    assert_int_equal(sent, 0);
    happen("alice", 11.5, 1);
    happen("alice", 12.5, 1); /* five within ten seconds, in two of them by the clock */
    happen("bob", 19.5, 1);
    happen("bob", 29.5, 1); /* five as well, but not within ten seconds */
    assert_int_equal(look(30), DV_OK);
    assert_int_equal(sent, 2); /* raised, and by now resolved */
    assert_non_null(strstr(last_sent, "\"event_code\":\"alert.resolved\""));
    assert_non_null(strstr(last_sent, "\"group\":{\"user\":\"alice\"}"));
}

static void what_is_told_says_all(void **state)
{
    make_alert("event:test", ">= 2", 10000, "user", 3600000);
    happen("alice", 1, 1);
    happen("alice", 2, 1);
    assert_int_equal(look(3), DV_OK);
    assert_int_equal(sent, 1);
    static const char *const parts[] = {"\"event_code\":\"alert.raised\"",
                                        "\"class_uid\":2004",
                                        "\"severity_id\":4",
                                        "\"is_alert\":true",
                                        "\"uid\":\"alert/a/",
                                        "\"notify\":[\"siem\",\"mail\"]",
                                        "\"value\":2",
                                        "user alice"};
    for (size_t i = 0; i < DV_ARRAY_LEN(parts); i++) {
        assert_non_null(strstr(last_sent, parts[i]));
    }
    assert_int_equal(count_of(outbox), 0);
}

/* The uid of what is told first of alice, on a node with that master key. */
static void told_uid(const uint8_t master[32], char out[160])
{
    services.master_key = master;
    make_alert("event:test", "> 0", 2000, "user", 60000);
    happen("alice", 1, 1);
    assert_int_equal(look(3), DV_OK);
    const char *uid = strstr(last_sent, "\"uid\":\"alert/a/");
    assert_non_null(uid);
    snprintf(out, 160, "%.*s", (int)strcspn(uid + 7, "\""), uid + 7);
}

/* It is in the log for ever, so it must not tell of whom to who tries the names that there are. */
static void the_uid_can_be_computed_by_this_node_alone(void **state)
{
    static const uint8_t other[32] = {1};
    char own[160], again[160], others[160];
    told_uid(master_key, own);
    assert_int_equal(stop_log(state), 0);
    assert_int_equal(start_log(state), 0);
    told_uid(master_key, again);
    assert_int_equal(stop_log(state), 0);
    assert_int_equal(start_log(state), 0);
    told_uid(other, others);
    assert_string_equal(own, again);
    assert_int_equal(strlen(own), strlen(others));
    assert_string_not_equal(own, others);
}

static void one_group_is_told_once_within_the_cooldown(void **state)
{
    make_alert("event:test", "> 0", 2000, "", 60000);
    for (int i = 0; i < 5; i++) {
        happen("alice", i * 10, 1);
        assert_int_equal(look(i * 10 + 1), DV_OK);
    }
    assert_int_equal(sent, 1); /* never seen under its threshold */
    assert_int_equal(count_of("SELECT suppressed FROM audit_alert_group"), 4);
    happen("alice", 70, 1);
    assert_int_equal(look(71), DV_OK);
    assert_int_equal(sent, 2);
    assert_non_null(strstr(last_sent, "alert.raised"));
    assert_int_equal(look(80), DV_OK);
    assert_int_equal(sent, 3);
    assert_non_null(strstr(last_sent, "alert.resolved"));
}

static void values_are_added_up(void **state)
{
    make_alert("event:test | sum(tokens) by user", "> 100", 10000, "", 60000);
    happen("alice", 1, 60);
    happen("bob", 1, 90);
    happen("alice", 2, 41);
    assert_int_equal(look(3), DV_OK);
    assert_int_equal(sent, 1);
    assert_non_null(strstr(last_sent, "\"value\":101"));
}

static void late_events_count_where_they_belong_or_not_at_all(void **state)
{
    make_alert("event:test", "> 1", 10000, "user", 60000);
    happen("alice", 1000, 1);
    happen("bob", 800, 1); /* within the five minutes */
    happen("bob", 801, 1);
    happen("carol", 600, 1); /* not within them */
    happen("carol", 601, 1);
    assert_int_equal(look(1001), DV_OK);
    assert_int_equal(count_of("SELECT count(*) FROM audit_alert_group"), 1);
    assert_int_equal(count_of("SELECT count(*) FROM audit_alert_group WHERE group_values ="
                              " '[\"bob\"]'"),
                     1);
}

/* A clock that is wrong by a year must not make everything else late. */
static void a_clock_that_runs_ahead_holds_nothing_up(void **state)
{
    make_alert("event:test user:alice", "> 0", 10000, "", 60000);
    happen("bob", 31536000, 1);
    assert_int_equal(look(1), DV_OK);
    happen("alice", 2, 1);
    assert_int_equal(look(3), DV_OK);
    assert_int_equal(sent, 1);
}

static void what_was_counted_of_an_erased_person_is_forgotten(void **state)
{
    make_alert("event:test", "> 0", 10000, "user", 60000);
    happen("alice", 1, 1);
    happen("alicent", 1, 1);
    assert_int_equal(look(2), DV_OK);
    assert_int_equal(count_of("SELECT count(*) FROM audit_alert_group"), 2);
    assert_int_equal(dv_alert_erase(services.store, "Service::\"alic\"", NULL), DV_OK);
    assert_int_equal(count_of("SELECT count(*) FROM audit_alert_group"), 2);
    assert_int_equal(dv_alert_erase(services.store, "User::\"alice\"", NULL), DV_OK);
    assert_int_equal(count_of("SELECT count(*) FROM audit_alert_group"), 1);
    assert_int_equal(count_of("SELECT count(*) FROM audit_alert_bucket WHERE group_values ="
                              " '[\"alice\"]'"),
                     0);
    assert_int_equal(count_of("SELECT count(*) FROM audit_alert_bucket"), 1);
}

static void what_could_not_be_told_is_told_later_once(void **state)
{
    make_alert("event:test", "> 0", 10000, "", 60000);
    happen("alice", 1, 1);
    sink_fails = true;
    assert_int_equal(look(2), DV_ERR_UNAVAILABLE);
    assert_int_equal(count_of(outbox), 1);
    sink_fails = false;
    assert_int_equal(look(3), DV_OK);
    assert_int_equal(look(4), DV_OK);
    assert_int_equal(sent, 1);
    assert_int_equal(count_of(outbox), 0);
}

static void leave(const char *uid)
{
    assert_int_equal(dv_store_run(services.store, NULL,
                                  "INSERT INTO audit_alert_outbox (uid, code, record, started)"
                                  " VALUES (?1, 'alert.raised', ?2, 1)",
                                  "tt", uid,
                                  "{\"metadata\":{\"event_code\":\"alert.raised\"},\"left\":1}"),
                     DV_OK);
}

/* A process died between telling and noting it, or before telling. */
static void what_a_dead_process_left_is_told_once(void **state)
{
    make_alert("event:test", "> 1000", 10000, "", 60000);
    leave("told");
    leave("untold");
    keep("{\"metadata\":{\"event_code\":\"alert.raised\"},\"finding_info\":{\"uid\":\"told\"}}");
    services.started = (BASE_S - 2) * DV_SECOND;
    assert_int_equal(look(1), DV_OK); /* its last records may still be on their way */
    assert_int_equal(sent, 0);
    assert_int_equal(count_of(outbox), 1);
    assert_int_equal(look(10), DV_OK);
    assert_int_equal(sent, 1);
    assert_non_null(strstr(last_sent, "\"left\":1"));
    assert_int_equal(count_of(outbox), 0);
}

/* A process that dies forgets its place; the store's place and counts belong together. */
static void nothing_is_counted_twice_after_a_death(void **state)
{
    make_alert("event:test", "> 5", 10000, "", 60000);
    for (int i = 0; i < 3; i++) {
        happen("alice", 1 + i / 10.0, 1);
        assert_int_equal(look(2), DV_OK);
        place = (dv_audit_place){.known = false};
    }
    assert_int_equal(look(2), DV_OK);
    assert_int_equal(count_of("SELECT sum(amount) FROM audit_alert_bucket"), 3000);
    assert_int_equal(sent, 0);
}

static void one_look_is_bounded(void **state)
{
    enum { EVENTS = 1300 };
    bool more = false;
    make_alert("event:test", "> 1000000", 10000, "user", 60000);
    for (int i = 0; i < EVENTS; i++) {
        happen("alice", i / 1000.0, 1);
    }
    publish();
    assert_int_equal(dv_audit_alerts_tick(&services, &place, (BASE_S + 1) * DV_SECOND, &more, NULL),
                     DV_OK);
    assert_true(more);
    assert_in_range(count_of("SELECT sum(amount) FROM audit_alert_bucket"), 1000, 500 * 1000);
    assert_int_equal(look(2), DV_OK);
    assert_int_equal(count_of("SELECT sum(amount) FROM audit_alert_bucket"), EVENTS * 1000);
}

/* In a log of its own, with an index of its own. */
static void happen_elsewhere(const char *user, double seconds)
{
    char event[256];
    snprintf(event, sizeof(event),
             "{\"metadata\":{\"event_code\":\"elsewhere\"},\"time\":%lld,"
             "\"actor\":{\"user\":{\"name\":\"%s\"}}}",
             (long long)(BASE_S * 1000LL + (int64_t)(seconds * 1000)), user);
    keep(event);
}

static void events_of_all_logs_are_counted_once(void **state)
{
    assert_int_equal(dv_sequencer_route(sequencer, "elsewhere", "other", NULL), DV_OK);
    happen_elsewhere("early", 0); /* before there is an alert */
    publish();
    make_alert("event:(test or elsewhere)", ">= 4", 10000, "", 3600000);
    assert_int_equal(
        dv_store_run(services.store, NULL, "UPDATE audit_alert SET first_others = 'other:1'", ""),
        DV_OK);
    happen("alice", 1, 1);
    happen_elsewhere("alice", 2);
    happen_elsewhere("alice", 3);
    assert_int_equal(look(4), DV_OK);
    assert_int_equal(count_of("SELECT sum(amount) FROM audit_alert_bucket"), 3000);
    assert_int_equal(count_of("SELECT next FROM audit_alert_place"), 1);
    assert_int_equal(count_of("SELECT count(*) FROM audit_alert_place WHERE others = 'other:3'"),
                     1);
    /* In another life it goes on in each log. */
    place = (dv_audit_place){.known = false};
    happen_elsewhere("alice", 5);
    assert_int_equal(look(6), DV_OK);
    assert_int_equal(sent, 1);
    assert_non_null(strstr(last_sent, "\"log\":\"other\""));
    assert_int_equal(count_of("SELECT sum(amount) FROM audit_alert_bucket"), 4000);
}

/* One log is hours ahead of the other when both are read on: by time, nothing of it is late. */
static void a_log_that_lags_behind_is_not_late(void **state)
{
    assert_int_equal(dv_sequencer_route(sequencer, "elsewhere", "other", NULL), DV_OK);
    make_alert("event:elsewhere", ">= 600", 10000, "", 3600000);
    kept_open = open_spool();
    for (int i = 0; i < 700; i++) {
        happen("bob", i * 10, 1);
    }
    for (int i = 0; i < 600; i++) {
        happen_elsewhere("alice", 1 + i / 1000.0);
    }
    dv_spool_close(kept_open);
    kept_open = NULL;
    assert_int_equal(look(7000), DV_OK);
    assert_int_equal(sent, 2); /* raised, and by now resolved */
}

static void a_search_that_no_longer_parses_holds_nobody_up(void **state)
{
    make_alert("event:test", "> 0", 10000, "", 60000);
    assert_int_equal(
        dv_store_run(services.store, NULL,
                     "INSERT INTO audit_alert SELECT '0', 'nonsense:1', threshold, over_ms,"
                     " by_fields, severity, notify, cooldown_ms, description, enabled, first,"
                     " owner, created, updated, first_others FROM audit_alert",
                     ""),
        DV_OK);
    happen("alice", 1, 1);
    assert_int_equal(look(2), DV_OK);
    assert_int_equal(sent, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start_log, stop_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_window_slides_over_the_borders_of_its_slices),
        CASE(what_is_told_says_all),
        CASE(the_uid_can_be_computed_by_this_node_alone),
        CASE(one_group_is_told_once_within_the_cooldown),
        CASE(values_are_added_up),
        CASE(late_events_count_where_they_belong_or_not_at_all),
        CASE(a_clock_that_runs_ahead_holds_nothing_up),
        CASE(what_was_counted_of_an_erased_person_is_forgotten),
        CASE(what_could_not_be_told_is_told_later_once),
        CASE(what_a_dead_process_left_is_told_once),
        CASE(nothing_is_counted_twice_after_a_death),
        CASE(one_look_is_bounded),
        CASE(a_search_that_no_longer_parses_holds_nobody_up),
        CASE(events_of_all_logs_are_counted_once),
        CASE(a_log_that_lags_behind_is_not_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
