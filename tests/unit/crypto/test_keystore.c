/* SPDX-License-Identifier: Apache-2.0 */
/* The keystore: its keys' life, its file, who may open it. */
#include "../temp.h"
#include "base/codec.h"
#include "base/file.h"
#include "crypto/keystore_private.h"
#include "crypto/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { SECRET = DV_ENVELOPE_SECRET_LEN };

static const dv_time day = 86400 * DV_SECOND;

typedef struct fixture {
    temp_dir temp;
    char folder[PATH_MAX];
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    temp_dir_make(&f->temp);
    temp_path(&f->temp, "keystore", f->folder);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    temp_dir_remove(&f->temp);
    free(f);
    return 0;
}

/* A keystore with a key file, saved. */
static dv_keystore *make(fixture *f)
{
    dv_keystore *keystore = NULL;
    const dv_key *key = NULL;
    assert_int_equal(
        dv_keystore_create(f->folder, DV_KEYSTORE_KEY_FILE, NULL, DV_LIT(""), &keystore, NULL),
        DV_OK);
    assert_int_equal(dv_keystore_generate(keystore, DV_LIT("main"), DV_KEY_AES256, day, &key, NULL),
                     DV_OK);
    assert_int_equal(dv_keystore_save(keystore, NULL), DV_OK);
    return keystore;
}

static dv_result unlock(fixture *f, dv_keystore *keystore)
{
    dv_auto(secret_buf) dv_buf secret = dv_buf_init(4096);
    assert_int_equal(
        dv_keystore_find_secret(f->folder, dv_keystore_protected_by(keystore), NULL, &secret, NULL),
        DV_OK);
    return dv_keystore_unlock(keystore, dv_buf_slice(&secret), NULL);
}

static dv_keystore *reopen(fixture *f)
{
    dv_keystore *keystore = NULL;
    assert_int_equal(dv_keystore_open(f->folder, DV_KEYSTORE_CHANGE, &keystore, NULL), DV_OK);
    assert_int_equal(unlock(f, keystore), DV_OK);
    return keystore;
}

static const dv_key *find(const dv_keystore *keystore, const char *name)
{
    const dv_key *key = dv_keystore_find(keystore, dv_slice_str(name));
    assert_non_null(key);
    return key;
}

static void seal(dv_keystore *keystore, const char *name, dv_envelope *envelope,
                 uint8_t secret[SECRET])
{
    dv_envelope_begin(envelope, secret);
    assert_int_equal(dv_keystore_seal(keystore, find(keystore, name), secret, envelope, NULL),
                     DV_OK);
}

static void opens(dv_keystore *keystore, const dv_envelope *envelope, const uint8_t secret[SECRET])
{
    uint8_t opened[SECRET];
    assert_int_equal(dv_keystore_unseal(keystore, envelope, opened, NULL), DV_OK);
    assert_memory_equal(opened, secret, SECRET);
}

static void test_a_life(void **state)
{
    fixture *f = *state;
    dv_envelope first, second;
    uint8_t one[SECRET], two[SECRET], out[SECRET];
    dv_error error = {0};
    dv_keystore *keystore = make(f);
    seal(keystore, "main", &first, one);
    assert_int_equal(dv_keystore_rotate(keystore, find(keystore, "main"), 2 * day, NULL), DV_OK);
    seal(keystore, "main", &second, two);
    assert_int_equal(first.recipients[0].key.version, 1);
    assert_int_equal(second.recipients[0].key.version, 2);
    assert_int_equal(dv_keystore_save(keystore, NULL), DV_OK);
    dv_keystore_free(keystore);

    keystore = reopen(f);
    opens(keystore, &first, one);
    opens(keystore, &second, two);
    assert_int_equal(dv_keystore_destroy(keystore, find(keystore, "main"), 1, 3 * day, NULL),
                     DV_OK);
    assert_int_equal(dv_keystore_destroy(keystore, find(keystore, "main"), 1, 3 * day, NULL),
                     DV_ERR_CONFLICT);
    assert_int_equal(dv_keystore_destroy(keystore, find(keystore, "main"), 7, 3 * day, NULL),
                     DV_ERR_NOT_FOUND);
    assert_int_equal(dv_keystore_save(keystore, NULL), DV_OK);
    dv_keystore_free(keystore);

    keystore = reopen(f);
    assert_int_equal(dv_keystore_unseal(keystore, &first, out, &error), DV_ERR_CONFLICT);
    assert_non_null(strstr(error.message, "version 1 of main"));
    opens(keystore, &second, two);
    assert_int_equal(dv_keystore_destroy(keystore, find(keystore, "main"), 0, 4 * day, NULL),
                     DV_OK);
    assert_int_equal(dv_keystore_seal(keystore, find(keystore, "main"), two, &second, NULL),
                     DV_ERR_CONFLICT);
    assert_int_equal(dv_keystore_rotate(keystore, find(keystore, "main"), 5 * day, NULL),
                     DV_ERR_CONFLICT);
    const dv_key *key = NULL;
    assert_int_equal(dv_keystore_generate(keystore, DV_LIT("main"), DV_KEY_AES256, day, &key, NULL),
                     DV_ERR_EXISTS);
    static const dv_key_activity told[] = {DV_KEY_GENERATED, DV_KEY_ROTATED, DV_KEY_DESTROYED,
                                           DV_KEY_DESTROYED};
    assert_int_equal(dv_keystore_event_count(keystore), DV_ARRAY_LEN(told));
    for (size_t i = 0; i < DV_ARRAY_LEN(told); i++) {
        assert_int_equal(dv_keystore_event(keystore, i)->activity, told[i]);
        assert_int_equal(dv_keystore_event(keystore, i)->number, i + 1);
    }
    dv_keystore_free(keystore);
}

/* Of a key that was destroyed nothing is left in the folder, nor in the file that was replaced. */
static void test_what_is_destroyed_is_gone(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX + 8];
    uint8_t sealed[DV_KEY_SEALED_LEN], before[DV_KEY_SEALED_LEN] = {0};
    dv_keystore *keystore = make(f);
    memcpy(sealed, find(keystore, "main")->versions[0].sealed, sizeof(sealed));
    snprintf(path, sizeof(path), "%s/keys", f->folder);
    FILE *old = fopen(path, "re");
    assert_non_null(old);
    assert_int_equal(dv_keystore_destroy(keystore, find(keystore, "main"), 0, day, NULL), DV_OK);
    assert_int_equal(dv_keystore_save(keystore, NULL), DV_OK);
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 16);
    assert_int_equal(dv_file_read(path, &text, NULL), DV_OK);
    assert_true(dv_slice_find(dv_buf_slice(&text), dv_slice_of(sealed, sizeof(sealed))) < 0);
    assert_int_equal(fread(before, 1, sizeof(before), old), sizeof(before));
    for (size_t i = 0; i < sizeof(before); i++) {
        assert_int_equal(before[i], 0);
    }
    (void)fclose(old);
    dv_keystore_free(keystore);
}

static void test_x25519_keys(void **state)
{
    fixture *f = *state;
    const dv_key *key = NULL;
    dv_envelope first, second;
    uint8_t one[SECRET], two[SECRET];
    dv_age_key recipient;
    dv_keystore *keystore = make(f);
    assert_int_equal(dv_keystore_generate(keystore, DV_LIT("box"), DV_KEY_X25519, day, &key, NULL),
                     DV_OK);
    seal(keystore, "box", &first, one);
    memcpy(recipient.bytes, key->versions[0].recipient, sizeof(recipient.bytes));
    assert_int_equal(dv_keystore_rotate(keystore, key, day, NULL), DV_OK);
    dv_envelope_begin(&second, two);
    assert_int_equal(dv_envelope_add_x25519(&second, two, &recipient), DV_OK); /* the older half */
    opens(keystore, &first, one);
    opens(keystore, &second, two);
    dv_keystore_free(keystore);
}

static void test_taking_keys_elsewhere(void **state)
{
    fixture *f = *state, other = {0};
    const dv_key *key = NULL;
    dv_envelope first;
    uint8_t one[SECRET];
    dv_auto(secret_buf) dv_buf text = dv_buf_init(DV_KEY_EXPORT_MAX);
    dv_keystore *keystore = make(f), *second = NULL;
    seal(keystore, "main", &first, one);
    assert_int_equal(dv_keystore_rotate(keystore, find(keystore, "main"), day, NULL), DV_OK);
    assert_int_equal(dv_keystore_export(keystore, find(keystore, "main"), day, &text, NULL), DV_OK);
    temp_path(&f->temp, "other", other.folder);
    second = make(&other);
    assert_int_equal(dv_keystore_import(second, dv_buf_slice(&text), DV_LIT(""), day, &key, NULL),
                     DV_ERR_EXISTS); /* the name */
    assert_int_equal(
        dv_keystore_import(second, dv_buf_slice(&text), DV_LIT("a/b"), day, &key, NULL),
        DV_ERR_INVALID);
    for (size_t cut = 1; cut < text.len; cut += 7) {
        dv_slice less = dv_slice_sub(dv_buf_slice(&text), 0, text.len - cut);
        dv_result result = dv_keystore_import(second, less, DV_LIT("cut"), day, &key, NULL);
        assert_true(result == DV_ERR_INVALID || result == DV_OK);
        assert_true(result != DV_OK || less.ptr[less.len - 1] == '\n');
        if (result ==
            DV_OK) { /* only whole versions can be left out, which age does not let pass */
            break;
        }
    }
    dv_keystore_free(second);
    second = reopen(&other);
    assert_int_equal(
        dv_keystore_import(second, dv_buf_slice(&text), DV_LIT("old"), day, &key, NULL), DV_OK);
    assert_int_equal(
        dv_keystore_import(second, dv_buf_slice(&text), DV_LIT("again"), day, &key, NULL),
        DV_ERR_EXISTS);
    opens(second, &first, one);
    dv_keystore_free(second);
    dv_keystore_free(keystore);
}

static dv_result open_file(fixture *f)
{
    dv_keystore *keystore = NULL;
    dv_result result = dv_keystore_open(f->folder, DV_KEYSTORE_READ, &keystore, NULL);
    if (result == DV_OK) {
        result = unlock(f, keystore);
        dv_keystore_free(keystore);
    }
    return result;
}

static void test_every_byte_of_the_file_counts(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX + 8];
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 16);
    dv_keystore_free(make(f));
    snprintf(path, sizeof(path), "%s/keys", f->folder);
    assert_int_equal(dv_file_read(path, &text, NULL), DV_OK);
    for (size_t i = 0; i < text.len; i++) {
        text.ptr[i] ^= 1;
        assert_int_equal(dv_file_write_atomic(path, dv_buf_slice(&text), 0600, NULL), DV_OK);
        if (i != 9) { /* protection: the passphrase's argon2id takes its time elsewhere */
            assert_int_not_equal(open_file(f), DV_OK);
        }
        text.ptr[i] ^= 1;
    }
    for (size_t len = 0; len < text.len; len += 13) {
        dv_slice less = dv_slice_sub(dv_buf_slice(&text), 0, len);
        assert_int_equal(dv_file_write_atomic(path, less, 0600, NULL), DV_OK);
        assert_int_equal(open_file(f), DV_ERR_CORRUPT);
    }
    assert_int_equal(dv_file_write_atomic(path, dv_buf_slice(&text), 0600, NULL), DV_OK);
    assert_int_equal(open_file(f), DV_OK);
}

static void test_a_passphrase(void **state)
{
    fixture *f = *state;
    const dv_key *key = NULL;
    dv_keystore *keystore = NULL;
    assert_int_equal(dv_keystore_create(f->folder, DV_KEYSTORE_PASSPHRASE, NULL, DV_LIT("short"),
                                        &keystore, NULL),
                     DV_ERR_INVALID);
    assert_int_equal(dv_keystore_create(f->folder, DV_KEYSTORE_PASSPHRASE, NULL,
                                        DV_LIT("correct horse"), &keystore, NULL),
                     DV_OK);
    assert_int_equal(dv_keystore_generate(keystore, DV_LIT("a"), DV_KEY_AES256, day, &key, NULL),
                     DV_OK);
    assert_int_equal(dv_keystore_save(keystore, NULL), DV_OK);
    dv_keystore_free(keystore);
    assert_int_equal(dv_keystore_open(f->folder, DV_KEYSTORE_READ, &keystore, NULL), DV_OK);
    assert_int_equal(dv_keystore_rotate(keystore, find(keystore, "a"), day, NULL),
                     DV_ERR_INTERNAL); /* locked */
    assert_int_equal(dv_keystore_unlock(keystore, DV_LIT("correct house"), NULL), DV_ERR_FORBIDDEN);
    assert_int_equal(dv_keystore_unlock(keystore, DV_LIT("correct horse"), NULL), DV_OK);
    dv_keystore_free(keystore);
}

static void test_others_are_kept_out(void **state)
{
    fixture *f = *state;
    dv_keystore *keystore = NULL;
    assert_int_equal(dv_keystore_open(f->folder, DV_KEYSTORE_READ, &keystore, NULL),
                     DV_ERR_NOT_FOUND);
    dv_keystore_free(make(f));
    assert_int_equal(
        dv_keystore_create(f->folder, DV_KEYSTORE_KEY_FILE, NULL, DV_LIT(""), &keystore, NULL),
        DV_ERR_EXISTS);
    assert_int_equal(chmod(f->folder, 0750), 0);
    assert_int_equal(dv_keystore_open(f->folder, DV_KEYSTORE_READ, &keystore, NULL),
                     DV_ERR_FORBIDDEN);
}

/* One over each limit of the file. */
static void test_limits(void **state)
{
    fixture *f = *state;
    const dv_key *key = NULL;
    char name[DV_KEY_NAME_MAX + 1];
    dv_keystore *keystore = make(f);
    memset(name, 'a', sizeof(name));
    assert_int_equal(dv_keystore_generate(keystore, dv_slice_of(name, DV_KEY_NAME_MAX),
                                          DV_KEY_AES256, day, &key, NULL),
                     DV_ERR_INVALID);
    for (int i = 1; i < DV_KEYS_MAX; i++) {
        snprintf(name, sizeof(name), "k%d", i);
        assert_int_equal(
            dv_keystore_generate(keystore, dv_slice_str(name), DV_KEY_AES256, day, &key, NULL),
            DV_OK);
    }
    assert_int_equal(dv_keystore_generate(keystore, DV_LIT("more"), DV_KEY_AES256, day, &key, NULL),
                     DV_ERR_TOO_LARGE);
    key = find(keystore, "main");
    for (int i = 1; i < DV_KEY_VERSIONS_MAX; i++) {
        assert_int_equal(dv_keystore_rotate(keystore, key, day, NULL), DV_OK);
    }
    assert_int_equal(dv_keystore_rotate(keystore, key, day, NULL), DV_ERR_TOO_LARGE);
    assert_int_equal(dv_keystore_event_count(keystore), DV_KEY_JOURNAL_MAX);
    assert_int_equal(dv_keystore_save(keystore, NULL), DV_OK);
    dv_keystore_free(keystore);
    keystore = reopen(f);
    assert_int_equal(dv_keystore_count(keystore), DV_KEYS_MAX);
    assert_int_equal(find(keystore, "main")->count, DV_KEY_VERSIONS_MAX);
    dv_keystore_free(keystore);
}

/* What would take more than a gibibyte to open is not begun. */
static void test_work_has_a_limit(void **state)
{
    static dv_keystore keystore;
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 16);
    memset(&keystore, 0, sizeof(keystore));
    keystore.protection = DV_KEYSTORE_PASSPHRASE;
    keystore.passes = 3;
    keystore.memory = 1 << 20;
    assert_int_equal(dv_keystore_format(&keystore, &text), DV_OK);
    assert_int_equal(dv_keystore_parse(dv_buf_slice(&text), &keystore), DV_OK);
    dv_put_u32(text.ptr + 14, (1 << 20) + 1);
    assert_int_equal(dv_keystore_parse(dv_buf_slice(&text), &keystore), DV_ERR_CORRUPT);
    dv_put_u32(text.ptr + 14, 1 << 20);
    dv_put_u32(text.ptr + 10, 17);
    assert_int_equal(dv_keystore_parse(dv_buf_slice(&text), &keystore), DV_ERR_CORRUPT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_life),
        TEST(test_what_is_destroyed_is_gone),
        TEST(test_x25519_keys),
        TEST(test_taking_keys_elsewhere),
        TEST(test_every_byte_of_the_file_counts),
        TEST(test_a_passphrase),
        TEST(test_others_are_kept_out),
        TEST(test_limits),
        TEST(test_work_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
