/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "cli/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ID "0190b8a4-1111-7000-8000-000000000001"
#define HASH "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define HEAD                                                                                       \
    "{\"type\":\"dvara certificate of destruction\",\"version\":1,\"id\":\"" ID                    \
    "\",\"finished\":\"2026-01-01T00:00:00Z\","
#define GONE                                                                                       \
    "{\"asset\":\"" ID "\",\"outcome\":\"destroyed\",\"sha256\":\"" HASH "\",\"method\":"          \
    "\"unlink\"}"
#define GOOD HEAD "\"destroyed\":1,\"items\":[" GONE "]}"
/* Of tables, and of what it says that it is of. */
#define HEAD2                                                                                      \
    "{\"type\":\"dvara certificate of destruction\",\"version\":2,\"id\":\"" ID                    \
    "\",\"finished\":\"2026-01-01T00:00:00Z\","
#define ROWS(rows)                                                                                 \
    "{\"asset\":\"" ID "\",\"kind\":\"table\",\"outcome\":\"destroyed\",\"rows\":" rows            \
    ",\"undated\":0,\"before\":\"2024-01-01T00:00:00Z\",\"method\":\"delete\"}"
#define KEPT "{\"asset\":\"" ID "\",\"kind\":\"table\",\"outcome\":\"kept\"}"

/* Of entries of a vault. */
#define VAULT HEAD2 "\"of\":\"vault\",\"vault\":\"customers\","

static dv_error error;
static dv_certificate certificate;

static dv_result read_text(const char *text)
{
    memset(&error, 0, sizeof(error));
    return dv_certificate_read(dv_slice_str(text), &certificate, &error);
}

static void a_good_one_is_read(void **state)
{
    (void)state;
    assert_int_equal(read_text(GOOD), DV_OK);
    assert_string_equal(certificate.id, ID);
    assert_string_equal(certificate.finished, "2026-01-01T00:00:00Z");
    assert_int_equal(certificate.files, 1);
    assert_int_equal(certificate.destroyed, 1);
    assert_int_equal(strlen(certificate.sha256), 64);
    char before[65];
    memcpy(before, certificate.sha256, sizeof(before));
    assert_int_equal(read_text(GOOD " "), DV_OK); /* every byte counts */
    assert_string_not_equal(certificate.sha256, before);
    assert_int_equal(read_text(HEAD "\"destroyed\":0,\"items\":[]}"), DV_OK);
}

static void rows_of_tables_are_counted(void **state)
{
    static const char *const wrong[] = {
        (HEAD2 "\"destroyed\":1,\"items\":[" ROWS("7") "]}"),
        (HEAD2 "\"destroyed\":1,\"rows_destroyed\":8,\"items\":[" ROWS("7") "]}"),
        (HEAD2 "\"destroyed\":1,\"rows_destroyed\":-7,\"items\":[" ROWS("-7") "]}"),
        (HEAD2 "\"destroyed\":1,\"rows_destroyed\":0,\"items\":[" ROWS("0") "]}"),
        (HEAD2 "\"destroyed\":1,\"rows_destroyed\":7,\"items\":[" ROWS("\"7\"") "]}"),
        (HEAD2 "\"destroyed\":2,\"rows_destroyed\":0,\"items\":[" ROWS(
            "9223372036854775807") "," ROWS("9223372036854775807") "," ROWS("2") "]}"),
        (HEAD2
         "\"destroyed\":1,\"rows_destroyed\":7,\"items\":[{\"asset\":\"a\",\"kind\":\"table\","
         "\"outcome\":\"destroyed\",\"rows\":7,\"undated\":0,\"method\":\"delete\"}]}"),
        (HEAD2
         "\"destroyed\":1,\"rows_destroyed\":7,\"items\":[{\"asset\":\"a\",\"kind\":\"table\","
         "\"outcome\":\"destroyed\",\"rows\":7,\"before\":\"x\",\"method\":\"delete\"}]}"),
        (HEAD2
         "\"destroyed\":1,\"rows_destroyed\":7,\"items\":[{\"asset\":\"a\",\"kind\":\"table\","
         "\"outcome\":\"destroyed\",\"rows\":7,\"undated\":0,\"before\":\"x\","
         "\"method\":\"unlink\"}]}"),
        (HEAD "\"destroyed\":1,\"items\":[" ROWS("7") "]}"), /* version 1 knows files alone */
        (HEAD "\"destroyed\":1,\"rows_destroyed\":7,\"items\":[" ROWS("7") "]}"),
    };
    (void)state;
    assert_int_equal(read_text(HEAD2 "\"destroyed\":2,\"rows_destroyed\":12,\"items\":[" ROWS(
                         "7") "," KEPT "," ROWS("5") "]}"),
                     DV_OK);
    assert_int_equal(certificate.rows, 12);
    assert_int_equal(certificate.files, 3);
    assert_int_equal(certificate.destroyed, 2);
    for (size_t i = 0; i < DV_ARRAY_LEN(wrong); i++) {
        assert_int_equal(read_text(wrong[i]), DV_ERR_INVALID);
    }
}

static void one_of_a_vault_is_read(void **state)
{
    (void)state;
    assert_int_equal(read_text(VAULT "\"outcome\":\"destroyed\",\"method\":\"rewrite\","
                                     "\"destroyed\":20,\"remaining\":3}"),
                     DV_OK);
    assert_int_equal(certificate.files, 20);
    assert_int_equal(certificate.destroyed, 20);
    assert_int_equal(read_text(VAULT "\"outcome\":\"kept\",\"destroyed\":0}"), DV_OK);
    assert_int_equal(certificate.destroyed, 0);
}

#define CASES HEAD2 "\"of\":\"cases\",\"method\":\"delete\","
#define CASE(outcome) "{\"case\":\"" ID "\",\"type\":\"data_access\",\"outcome\":\"" outcome "\"}"

static void one_of_cases_is_read(void **state)
{
    (void)state;
    assert_int_equal(
        read_text(CASES "\"destroyed\":1,\"items\":[" CASE("destroyed") "," CASE("kept") "]}"),
        DV_OK);
    assert_int_equal(certificate.files, 2);
    assert_int_equal(certificate.destroyed, 1);
}

static void what_contradicts_itself_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        ("{\"type\":\"dvara certificate of destruction\",\"version\":3,\"id\":\"" ID
         "\",\"finished\":\"x\",\"destroyed\":0,\"items\":[]}"),
        ("{\"type\":\"dvara certificate of destruction\",\"version\":1,"
         "\"finished\":\"x\",\"destroyed\":0,\"items\":[]}"),
        HEAD "\"destroyed\":0}",
        HEAD "\"destroyed\":0,\"items\":{}}",
        HEAD "\"destroyed\":\"0\",\"items\":[]}",
        (HEAD "\"destroyed\":2,\"items\":[" GONE "]}"),
        (HEAD "\"destroyed\":0,\"items\":[" GONE "]}"),
        (HEAD "\"destroyed\":-1,\"items\":[]}"),
        (HEAD "\"destroyed\":1,\"destroyed\":1,\"items\":[" GONE "]}"),
        (HEAD "\"destroyed\":0,\"items\":[1]}"),
        (HEAD "\"destroyed\":0,\"items\":[{\"asset\":\"a\"}]}"),
        (HEAD "\"destroyed\":1,\"items\":[{\"asset\":\"a\",\"outcome\":\"destroyed\"}]}"),
        (HEAD "\"destroyed\":1,\"items\":[{\"asset\":\"a\",\"outcome\":\"destroyed\","
              "\"sha256\":\"00\",\"method\":\"unlink\"}]}"),
        (HEAD "\"destroyed\":1,\"items\":[{\"asset\":\"a\",\"outcome\":\"destroyed\","
              "\"sha256\":\"" HASH "\",\"method\":\"\"}]}"),
        (HEAD "\"destroyed\":0,\"items\":[[[[[[[[[[]]]]]]]]]]}"),
        GOOD "x",
        HEAD2 "\"destroyed\":0,\"items\":[]}",
        HEAD2 "\"of\":\"tape\",\"destroyed\":0}",
        (HEAD2 "\"of\":\"vault\",\"outcome\":\"kept\",\"destroyed\":0}"),
        VAULT "\"destroyed\":0}",
        VAULT "\"outcome\":\"kept\"}",
        (VAULT "\"outcome\":\"kept\",\"destroyed\":1}"),
        (VAULT "\"outcome\":\"destroyed\",\"destroyed\":-1,\"method\":\"m\",\"remaining\":1}"),
        (VAULT "\"outcome\":\"destroyed\",\"destroyed\":1,\"method\":\"m\"}"),
        (VAULT "\"outcome\":\"destroyed\",\"destroyed\":1,\"remaining\":1}"),
        (CASES "\"destroyed\":0}"),
        (CASES "\"destroyed\":0,\"items\":[" CASE("destroyed") "]}"),
        (CASES "\"destroyed\":2,\"items\":[" CASE("destroyed") "]}"),
        (CASES "\"destroyed\":0,\"items\":[1]}"),
        (CASES "\"destroyed\":0,\"items\":[{\"case\":\"a\",\"outcome\":\"kept\"}]}"),
        (HEAD2 "\"of\":\"cases\",\"destroyed\":0,\"items\":[]}"),
        (HEAD2 "\"of\":1,\"destroyed\":0,\"rows_destroyed\":0,\"items\":[]}"),
        (HEAD "\"of\":\"vault\",\"vault\":\"v\",\"outcome\":\"kept\",\"destroyed\":0}"),
        (HEAD
         "\"of\":\"cases\",\"method\":\"m\",\"destroyed\":1,\"items\":[" CASE("destroyed") "]}"),
    };
    (void)state;
    for (size_t i = 0; i < DV_ARRAY_LEN(wrong); i++) {
        assert_int_not_equal(read_text(wrong[i]), DV_OK);
        assert_true(error.message[0] != '\0');
    }
}

static void there_is_a_limit(void **state)
{
    (void)state;
    char *text = malloc(DV_CERTIFICATE_MAX + 1);
    assert_non_null(text);
    memset(text, ' ', DV_CERTIFICATE_MAX + 1);
    memcpy(text, GOOD, strlen(GOOD));
    dv_slice whole = dv_slice_of(text, DV_CERTIFICATE_MAX + 1);
    assert_int_equal(dv_certificate_read(whole, &certificate, &error), DV_ERR_TOO_LARGE);
    whole.len--;
    assert_int_equal(dv_certificate_read(whole, &certificate, &error), DV_OK);
    free(text);
}

static dv_result check(const char *source, const char *code, const char *type, const char *uid,
                       const char *sha256)
{
    char event[1024];
    snprintf(event, sizeof(event),
             "{\"metadata\":{\"log_source\":\"%s\",\"event_code\":\"%s\"},"
             "\"entity\":{\"uid\":\"%s\",\"type\":\"%s\"},"
             "\"unmapped\":{\"dvara\":{\"sha256\":\"%s\"}}}",
             source, code, uid, type, sha256);
    return dv_certificate_check_event(&certificate, dv_slice_str(event), &error);
}

static void the_event_is_that_of_this_certificate(void **state)
{
    static const char type[] = "certificate of destruction", code[] = "data.disposal";
    (void)state;
    assert_int_equal(read_text(GOOD), DV_OK);
    assert_int_equal(check("dvarad/1", code, type, ID, certificate.sha256), DV_OK);
    assert_int_equal(check("gateway/1", code, type, ID, certificate.sha256), DV_ERR_CORRUPT);
    assert_int_equal(check("dvarad/1", "entity.change", type, ID, certificate.sha256),
                     DV_ERR_CORRUPT);
    assert_int_equal(check("dvarad/1", code, "disposal", ID, certificate.sha256), DV_ERR_CORRUPT);
    assert_int_equal(check("dvarad/1", code, type, "other", certificate.sha256), DV_ERR_CORRUPT);
    assert_int_equal(check("dvarad/1", code, type, ID, HASH), DV_ERR_CORRUPT);
    assert_int_equal(dv_certificate_check_event(&certificate, DV_LIT("{}"), &error),
                     DV_ERR_CORRUPT);
    assert_int_equal(dv_certificate_check_event(&certificate, DV_LIT("x"), &error), DV_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_one_is_read),
        cmocka_unit_test(rows_of_tables_are_counted),
        cmocka_unit_test(one_of_a_vault_is_read),
        cmocka_unit_test(one_of_cases_is_read),
        cmocka_unit_test(what_contradicts_itself_is_refused),
        cmocka_unit_test(there_is_a_limit),
        cmocka_unit_test(the_event_is_that_of_this_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
