/* SPDX-License-Identifier: Apache-2.0 */
/* Keys are rotated in time, by the clock that dvarad hands in, and what happens to keys is told. */
#include "../temp.h"
#include "base/arena.h"
#include "base/file.h"
#include "crypto/keystore.h"
#include "room/data/control/keys.h"

#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY (86400 * DV_SECOND)

typedef struct fixture {
    temp_dir temp;
    char folder[PATH_MAX];
    dv_services services;
    dv_buf events; /* a line each */
    bool full;     /* nothing more is kept */
    dv_arena *arena;
} fixture;

static dv_result keep(void *data, dv_slice record)
{
    fixture *f = data;
    if (f->full) {
        return DV_ERR_UNAVAILABLE;
    }
    DV_TRY(dv_buf_append(&f->events, record));
    return dv_buf_append_str(&f->events, "\n");
}

static void configure(fixture *f, const char *text)
{
    const dv_yaml *root = NULL;
    assert_int_equal(dv_yaml_parse(dv_slice_str(text), f->arena, &root, NULL), DV_OK);
    assert_int_equal(dv_data_keys_set(f->services.keys, root, NULL), DV_OK);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    temp_dir_make(&f->temp);
    temp_path(&f->temp, "keystore", f->folder);
    f->events = dv_buf_init(1 << 20);
    f->arena = dv_arena_new(1 << 20);
    f->services.events = (dv_event_sink){keep, f};
    *state = f;
    return dv_data_keys_new(f->temp.path, &f->services.keys) == DV_OK ? 0 : 1;
}

static int teardown(void **state)
{
    fixture *f = *state;
    dv_data_keys_free(f->services.keys);
    dv_arena_free(f->arena);
    dv_buf_release(&f->events);
    temp_dir_remove(&f->temp);
    free(f);
    return 0;
}

static dv_time at(const char *text)
{
    dv_time time = 0;
    assert_int_equal(dv_time_parse(dv_slice_str(text), &time), DV_OK);
    return time;
}

static void make(fixture *f, dv_keystore_protection protection, dv_time now)
{
    const dv_key *key = NULL;
    dv_auto(keystore) dv_keystore *keystore = NULL;
    dv_slice secret = DV_LIT("");
    if (protection == DV_KEYSTORE_PASSPHRASE) {
        secret = DV_LIT("correct horse");
    }
    assert_int_equal(dv_keystore_create(f->folder, protection, NULL, secret, &keystore, NULL),
                     DV_OK);
    assert_int_equal(dv_keystore_generate(keystore, DV_LIT("main"), DV_KEY_AES256, now, &key, NULL),
                     DV_OK);
    if (protection == DV_KEYSTORE_KEY_FILE) {
        assert_int_equal(
            dv_keystore_generate(keystore, DV_LIT("box"), DV_KEY_X25519, now, &key, NULL), DV_OK);
    }
    assert_int_equal(dv_keystore_save(keystore, NULL), DV_OK);
}

static size_t versions(fixture *f, const char *name)
{
    dv_auto(keystore) dv_keystore *keystore = NULL;
    assert_int_equal(dv_keystore_open(f->folder, DV_KEYSTORE_READ, &keystore, NULL), DV_OK);
    return dv_keystore_find(keystore, dv_slice_str(name))->count;
}

static size_t count(fixture *f, const char *what)
{
    size_t found = 0;
    dv_slice rest = dv_buf_slice(&f->events), line;
    while (dv_slice_split(&rest, '\n', &line)) {
        found += dv_slice_find(line, dv_slice_str(what)) >= 0;
    }
    return found;
}

static void tick(fixture *f, dv_time now)
{
    assert_int_equal(dv_data_keys_tick(&f->services, now, NULL), DV_OK);
}

static void test_a_month(void **state)
{
    fixture *f = *state;
    tick(f, at("2026-01-01T00:00:00Z")); /* no keystore yet */
    make(f, DV_KEYSTORE_KEY_FILE, at("2026-01-31T10:00:00Z"));
    configure(f, "{key_rotation: monthly}");
    tick(f, at("2026-02-28T09:59:59Z"));
    assert_int_equal(versions(f, "main"), 1);
    tick(f, at("2026-02-28T10:00:00Z"));
    assert_int_equal(versions(f, "main"), 2);
    assert_int_equal(versions(f, "box"), 1); /* others have its public half */
    tick(f, at("2026-03-28T09:59:00Z"));
    assert_int_equal(versions(f, "main"), 2);
    tick(f, at("2026-08-01T00:00:00Z")); /* it did not run for long: one version, not five */
    tick(f, at("2026-08-01T00:00:10Z"));
    assert_int_equal(versions(f, "main"), 3);
    assert_int_equal(count(f, "\"encryption_key\""), 4);
    assert_int_equal(count(f, "rotated"), 2);
    assert_int_equal(count(f, "generated"), 2);
    assert_int_equal(count(f, "System::\\\"dvarad\\\""), 2);
    configure(f, "{key_storage: file}"); /* never */
    tick(f, at("2036-01-01T00:00:00Z"));
    assert_int_equal(versions(f, "main"), 3);
}

static void test_periods(void **state)
{
    static const struct {
        const char *text, *created, *due;
    } cases[] = {
        {"daily", "2026-12-31T05:00:00Z", "2027-01-01T05:00:00Z"},
        {"weekly", "2026-12-31T05:00:00Z", "2027-01-07T05:00:00Z"},
        {"monthly", "2026-12-15T05:00:00Z", "2027-01-15T05:00:00Z"},
        {"monthly", "2026-12-30T05:00:00Z", "2027-01-28T05:00:00Z"},
        {"quarterly", "2026-11-15T05:00:00Z", "2027-02-15T05:00:00Z"},
        {"yearly", "2024-02-29T05:00:00Z", "2025-02-28T05:00:00Z"},
        {"10d", "2026-12-31T05:00:00Z", "2027-01-10T05:00:00Z"},
    };
    fixture *f = *state;
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        const dv_yaml *node = NULL;
        dv_key_period period;
        assert_int_equal(dv_yaml_parse(dv_slice_str(cases[i].text), f->arena, &node, NULL), DV_OK);
        assert_int_equal(dv_key_period_read(node, &period, NULL), DV_OK);
        assert_int_equal(dv_key_period_end(&period, at(cases[i].created)), at(cases[i].due));
    }
}

/* What could not be recorded is told later; what was told is not told again. */
static void test_nothing_goes_untold(void **state)
{
    fixture *f = *state;
    make(f, DV_KEYSTORE_KEY_FILE, DAY);
    f->full = true;
    assert_int_not_equal(dv_data_keys_tick(&f->services, DAY, NULL), DV_OK);
    f->full = false;
    tick(f, DAY);
    tick(f, DAY);
    dv_data_keys_free(f->services.keys); /* dvarad starts anew */
    assert_int_equal(dv_data_keys_new(f->temp.path, &f->services.keys), DV_OK);
    tick(f, DAY);
    assert_int_equal(count(f, "generated"), 2);
}

/* More than the journal holds happened, or the keystore is another one. */
static void test_what_the_journal_forgot_is_told(void **state)
{
    enum { MANY = 10 };
    fixture *f = *state;
    dv_keystore *keystore = NULL;
    char path[PATH_MAX];
    make(f, DV_KEYSTORE_KEY_FILE, DAY);
    tick(f, DAY);
    assert_int_equal(dv_keystore_open(f->folder, DV_KEYSTORE_CHANGE, &keystore, NULL), DV_OK);
    dv_auto(secret_buf) dv_buf secret = dv_buf_init(4096);
    assert_int_equal(dv_keystore_find_secret(f->folder, DV_KEYSTORE_KEY_FILE, NULL, &secret, NULL),
                     DV_OK);
    assert_int_equal(dv_keystore_unlock(keystore, dv_buf_slice(&secret), NULL), DV_OK);
    for (int i = 0; i < DV_KEY_JOURNAL_MAX + MANY; i++) {
        assert_int_equal(
            dv_keystore_rotate(keystore, dv_keystore_find(keystore, DV_LIT("main")), DAY, NULL),
            DV_OK);
    }
    assert_int_equal(dv_keystore_save(keystore, NULL), DV_OK);
    dv_keystore_free(keystore);
    tick(f, DAY);
    assert_int_equal(count(f, "10 changes of keys were forgotten"), 1);
    assert_int_equal(count(f, "rotated"), DV_KEY_JOURNAL_MAX);
    assert_int_equal(unlink(temp_path(&f->temp, "keystore/keys", path)), 0);
    make(f, DV_KEYSTORE_KEY_FILE, DAY);
    tick(f, DAY);
    assert_int_equal(count(f, "generated"), 4);
}

/* What happens in an older copy has numbers that were told of something else. */
static void test_an_older_copy_is_told(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX];
    dv_auto(buf) dv_buf older = dv_buf_init(1 << 20);
    make(f, DV_KEYSTORE_KEY_FILE, DAY);
    configure(f, "{key_rotation: daily}");
    tick(f, DAY);
    temp_path(&f->temp, "keystore/keys", path);
    assert_int_equal(dv_file_read(path, &older, NULL), DV_OK);
    tick(f, 2 * DAY);
    tick(f, 3 * DAY);
    assert_int_equal(count(f, "older copy"), 0);
    assert_int_equal(dv_file_write_atomic(path, dv_buf_slice(&older), 0600, NULL), DV_OK);
    tick(f, 3 * DAY + DV_SECOND);
    assert_int_equal(count(f, "older copy of the keystore was put back: 2 changes"), 1);
    assert_int_equal(count(f, "generated"), 4);
    assert_int_equal(count(f, "\"rotated"), 3); /* it was due again */
    tick(f, 3 * DAY + 20 * DV_SECOND);
    assert_int_equal(count(f, "older copy"), 1);
}

static void test_what_nobody_unlocks_is_told_once_a_day(void **state)
{
    fixture *f = *state;
    make(f, DV_KEYSTORE_PASSPHRASE, DAY);
    configure(f, "{key_rotation: daily}");
    tick(f, 2 * DAY);
    tick(f, 2 * DAY + 10 * DV_SECOND);
    assert_int_equal(count(f, "data.key_rotation"), 1);
    tick(f, 3 * DAY + DV_SECOND);
    assert_int_equal(count(f, "data.key_rotation"), 2);
    assert_int_equal(versions(f, "main"), 1);
    char credential[PATH_MAX];
    temp_path(&f->temp, "dvara-keystore", credential); /* as systemd puts it there */
    assert_int_equal(dv_file_write_atomic(credential, DV_LIT("correct horse\n"), 0600, NULL),
                     DV_OK);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", f->temp.path, 1), 0);
    tick(f, 3 * DAY + 2 * DV_SECOND);
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(versions(f, "main"), 2);
}

static void put_pin(fixture *f, const char *pin)
{
    char path[PATH_MAX];
    temp_path(&f->temp, "dvara-keystore", path);
    assert_int_equal(dv_file_write_atomic(path, dv_slice_str(pin), 0600, NULL), DV_OK);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", f->temp.path, 1), 0);
}

static void init_token(void)
{
    static char *const words[] = {
        "softhsm2-util", "--init-token", "--free",   "--label", "dvara-unit",
        "--pin",         "864213",       "--so-pin", "975312",  NULL};
    int status = 0;
    pid_t child = 0;
    assert_int_equal(posix_spawnp(&child, words[0], NULL, NULL, words, environ), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A token of SoftHSM with the PIN 864213, and a keystore in it. */
static void make_in_token(fixture *f)
{
    char path[PATH_MAX];
    const dv_key *key = NULL;
    dv_auto(keystore) dv_keystore *keystore = NULL;
    dv_auto(buf) dv_buf text = dv_buf_init(8192);
    assert_int_equal(mkdir(temp_path(&f->temp, "tokens", path), 0700), 0);
    assert_int_equal(dv_buf_append_printf(&text, "directories.tokendir = %s\n", path), DV_OK);
    temp_path(&f->temp, "softhsm2.conf", path);
    assert_int_equal(dv_file_write_atomic(path, dv_buf_slice(&text), 0600, NULL), DV_OK);
    assert_int_equal(setenv("SOFTHSM2_CONF", path, 1), 0);
    init_token();
    assert_int_equal(dv_keystore_create(f->folder, DV_KEYSTORE_TOKEN, "dvara-unit",
                                        DV_LIT("864213"), &keystore, NULL),
                     DV_OK);
    assert_int_equal(dv_keystore_generate(keystore, DV_LIT("main"), DV_KEY_AES256, DAY, &key, NULL),
                     DV_OK);
    assert_int_equal(dv_keystore_save(keystore, NULL), DV_OK);
}

/* Tokens lock themselves after some wrong PINs. */
static void test_a_wrong_pin_is_tried_once(void **state)
{
    fixture *f = *state;
    make_in_token(f);
    configure(f, "{key_rotation: daily}");
    put_pin(f, "111111");
    tick(f, 3 * DAY);
    put_pin(f, "864213"); /* if it were tried again, it would be taken */
    tick(f, 3 * DAY + 10 * DV_SECOND);
    tick(f, 5 * DAY);
    assert_int_equal(versions(f, "main"), 1);
    assert_int_equal(count(f, "is not tried again"), 1);
    configure(f, "{key_rotation: daily}");
    tick(f, 5 * DAY + 10 * DV_SECOND);
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(versions(f, "main"), 2);
}

/* dvarad waits for nobody: a person may be typing a passphrase. */
static void test_a_keystore_that_is_being_changed(void **state)
{
    fixture *f = *state;
    dv_keystore *keystore = NULL;
    make(f, DV_KEYSTORE_KEY_FILE, DAY);
    configure(f, "{key_rotation: daily}");
    assert_int_equal(dv_keystore_open(f->folder, DV_KEYSTORE_CHANGE, &keystore, NULL), DV_OK);
    tick(f, 3 * DAY);
    assert_int_equal(versions(f, "main"), 1);
    dv_keystore_free(keystore);
    tick(f, 3 * DAY);
    assert_int_equal(versions(f, "main"), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_month),
        TEST(test_periods),
        TEST(test_nothing_goes_untold),
        TEST(test_what_the_journal_forgot_is_told),
        TEST(test_an_older_copy_is_told),
        TEST(test_what_nobody_unlocks_is_told_once_a_day),
        TEST(test_a_wrong_pin_is_tried_once),
        TEST(test_a_keystore_that_is_being_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
