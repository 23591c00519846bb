/* SPDX-License-Identifier: Apache-2.0 */
/* Databases that were compiled beforehand are those that a process would compile, or are not used.
 */
#include "engine/detect/database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { HEAD = 40 /* bytes: what vectorscan says about a database before it, and some of that */ };

typedef struct bytes {
    char *ptr;
    size_t len;
} bytes;

static bytes serialized(hs_database_t *database)
{
    bytes all;
    assert_non_null(database);
    assert_int_equal(hs_serialize_database(database, &all.ptr, &all.len), HS_SUCCESS);
    hs_free_database(database);
    return all;
}

static bytes compiled(dv_detect_family family)
{
    hs_database_t *database = NULL;
    assert_int_equal(dv_detect_database_compile(family, NULL, &database, NULL), DV_OK);
    return serialized(database);
}

static bytes opened(const dv_detect_database *made, size_t count, dv_detect_family family)
{
    hs_database_t *database = NULL;
    assert_int_equal(dv_detect_database_open(made, count, family, &database, NULL), DV_OK);
    return serialized(database);
}

static void check_same(bytes one, bytes other)
{
    assert_int_equal(one.len, other.len);
    assert_memory_equal(one.ptr, other.ptr, one.len);
}

/* For this machine, of a copy of the bytes that the caller frees. */
static dv_detect_database as_made(dv_detect_family family, bytes from)
{
    hs_platform_info_t machine;
    size_t words = (from.len + sizeof(uint64_t) - 1) / sizeof(uint64_t);
    uint64_t *copy = calloc(words + 1, sizeof(uint64_t));
    assert_non_null(copy);
    memcpy(copy, from.ptr, from.len);
    assert_int_equal(hs_populate_platform(&machine), HS_SUCCESS);
    return (dv_detect_database){family, machine.cpu_features, copy, from.len};
}

static void test_what_was_made_is_what_is_compiled(void **state)
{
    hs_platform_info_t machine;
    (void)state;
    assert_int_equal(hs_populate_platform(&machine), HS_SUCCESS);
    assert_true(dv_detect_made_count >= DV_FAMILIES);
    for (size_t i = 0; i < dv_detect_made_count; i++) {
        const dv_detect_database *one = &dv_detect_made[i];
        hs_platform_info_t of = {.cpu_features = one->features};
        hs_database_t *database = NULL;
        assert_int_equal(dv_detect_database_compile(one->family, &of, &database, NULL), DV_OK);
        bytes fresh = serialized(database);
        check_same((bytes){(char *)one->bytes, one->len}, fresh);
        free(fresh.ptr);
    }
}

/* That of another family stands in its place here, which compiling would not give. */
static void test_what_was_made_for_this_machine_is_used(void **state)
{
    bytes other = compiled(DV_FAMILY_OPTIONAL);
    dv_detect_database made = as_made(DV_FAMILY_SIEVED, other);
    (void)state;
    bytes taken = opened(&made, 1, DV_FAMILY_SIEVED);
    check_same(taken, other);
    free(taken.ptr);
    free(other.ptr);
    free((void *)made.bytes);
}

static void test_what_was_made_for_another_machine_is_not_used(void **state)
{
    bytes other = compiled(DV_FAMILY_OPTIONAL);
    bytes own = compiled(DV_FAMILY_SIEVED);
    dv_detect_database made = as_made(DV_FAMILY_SIEVED, other);
    (void)state;
    made.features ^= HS_CPU_FEATURES_AVX2;
    bytes taken = opened(&made, 1, DV_FAMILY_SIEVED);
    check_same(taken, own);
    free(taken.ptr);
    taken = opened(&made, 0, DV_FAMILY_SIEVED);
    check_same(taken, own);
    free(taken.ptr);
    free(other.ptr);
    free(own.ptr);
    free((void *)made.bytes);
}

/* Another release of vectorscan writes another version there. */
static void test_what_is_damaged_is_compiled_anew(void **state)
{
    bytes own = compiled(DV_FAMILY_SIEVED);
    (void)state;
    for (size_t at = 0; at < own.len; at += at < HEAD ? 1 : own.len / 16) {
        if (at >= 12 && at < 32 && (at < 20 || at >= 24)) {
            continue; /* the machine, where it takes one for a weaker machine, too; what it reserves
                       */
        }
        dv_detect_database made = as_made(DV_FAMILY_SIEVED, own);
        ((uint8_t *)made.bytes)[at] ^= 1;
        bytes taken = opened(&made, 1, DV_FAMILY_SIEVED);
        check_same(taken, own);
        free(taken.ptr);
        free((void *)made.bytes);
    }
    dv_detect_database cut = as_made(DV_FAMILY_SIEVED, own);
    cut.len -= sizeof(uint64_t);
    bytes taken = opened(&cut, 1, DV_FAMILY_SIEVED);
    check_same(taken, own);
    free(taken.ptr);
    free((void *)cut.bytes);
    free(own.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_made_is_what_is_compiled),
        cmocka_unit_test(test_what_was_made_for_this_machine_is_used),
        cmocka_unit_test(test_what_was_made_for_another_machine_is_not_used),
        cmocka_unit_test(test_what_is_damaged_is_compiled_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
