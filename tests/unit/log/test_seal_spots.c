/* SPDX-License-Identifier: Apache-2.0 */
/* Requests' records, sealed by the spots that were noted while they were written and by looking at
 * their text: the same. */
#include "base/caps.h"
#include "core/event_code.h"
#include "core/event_personal.h"
#include "engine/log/seal.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUNDS = 4000, TEXT_ROOM = 1200, TEXTS = 16 };

static char root[64];
static dv_subjects *subjects;
static uint64_t seed = 7;
static char texts[TEXTS][TEXT_ROOM];

static int setup(void **state)
{
    snprintf(root, sizeof(root), "/tmp/dvara-spots-XXXXXX");
    return mkdtemp(root) != NULL && dv_subjects_open(root, &subjects, NULL) == DV_OK ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    dv_subjects_close(subjects);
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static uint64_t next(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return seed >> 33;
}

static bool chance(unsigned of)
{
    return next() % of == 0;
}

/* Often empty, seldom too long, and with whatever could lead a reader of JSON astray. */
static dv_slice text(size_t number)
{
    static const char *const pieces[] = {
        "a", "192.0.2.7", "User::\"al",       "\"",         "\\", "},\"time\":1,", "{",
        "]", "\"uid\":",  "\xf0\x9f\x8c\x9f", "\x01\x02\n", ",",  "\"limit\":{",   "\xff",
        "[", "}",
    };
    size_t len = 0, count = chance(3) ? 0 : next() % (chance(20) ? 200 : 6);
    for (size_t i = 0; i < count; i++) {
        const char *piece = pieces[next() % DV_ARRAY_LEN(pieces)];
        if (len + strlen(piece) < TEXT_ROOM) {
            memcpy(texts[number] + len, piece, strlen(piece));
            len += strlen(piece);
        }
    }
    return dv_slice_of(texts[number], len);
}

static void write_code(dv_buf *code)
{
    dv_verdict verdict = {.decision = chance(2) ? DV_DENY : DV_ALLOW,
                          .reason = (dv_reason)(next() % DV_REASON_COUNT)};
    snprintf(verdict.detail, sizeof(verdict.detail), "%s",
             chance(2) ? "" : "user alice is not in \"x\"");
    dv_principal principal = {.type = chance(2) ? DV_PRINCIPAL_USER : DV_PRINCIPAL_SERVICE,
                              .name = text(0),
                              .entity = text(1)};
    dv_credential credential = {.kind = text(2), .id = text(3)};
    dv_event_limit limit = {.key = text(4), .unit = "requests", .limit = next(), .now = 1};
    dv_event_request request = {
        .request_id = text(5),
        .time = (dv_time)(next() % 4 == 0 ? 0 : next() * 1000000000),
        .principal = chance(3) ? NULL : &principal,
        .credential = chance(3) ? NULL : &credential,
        .address = text(6),
        .port = (uint16_t)(chance(2) ? 0 : next()),
        .route = text(7),
        .method = text(8),
        .path = chance(2) ? DV_LIT("/v1") : DV_LIT(""),
        .user_agent = text(9),
        .model = text(10),
        .upstream = text(11),
        .verdict = chance(4) ? NULL : &verdict,
        .limit = chance(2) ? NULL : &limit,
    };
    dv_event_outcome outcome = {.time = request.time, .status = 200, .verdict = &verdict};
    dv_buf_clear(code);
    assert_int_equal(chance(2) ? dv_event_code_open(code, &request)
                               : dv_event_code_close(code, &request, &outcome),
                     DV_OK);
}

static void test_spots_are_what_a_walk_finds(void **state)
{
    dv_auto(buf) dv_buf code = dv_buf_init(DV_LIMIT_RECORD), room = dv_buf_init(DV_LIMIT_RECORD);
    dv_auto(buf) dv_buf event = dv_buf_init(2 * DV_LIMIT_RECORD);
    dv_auto(buf) dv_buf walked = dv_buf_init(1 << 20), spotted = dv_buf_init(1 << 20);
    dv_event_spots spots;
    dv_slice json;
    size_t differ = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        write_code(&code);
        assert_int_equal(dv_event_code_text(dv_buf_slice(&code), &room, &spots, &json, NULL),
                         DV_OK);
        assert_true(spots.known && spots.count > 0);
        dv_buf_clear(&event);
        dv_slice front = DV_LIT("{\"metadata\":{\"log_source\":\"gateway\","); /* as a stamp does */
        assert_int_equal(dv_buf_append(&event, front), DV_OK);
        assert_int_equal(dv_buf_append(&event, dv_slice_sub(json, 13, json.len)), DV_OK);
        dv_buf_clear(&walked);
        dv_buf_clear(&spotted);
        size_t most = chance(10) ? event.len : UINT16_MAX; /* where sealed values are cut */
        dv_result result = dv_event_seal(subjects, dv_buf_slice(&event), most, &walked);
        assert_int_equal(dv_event_seal_spots(subjects, dv_buf_slice(&event), &spots, front.len - 13,
                                             most, &spotted),
                         result);
        assert_true(dv_slice_eq(dv_buf_slice(&walked), dv_buf_slice(&spotted)));
        differ += result == DV_OK && !dv_slice_eq(dv_buf_slice(&walked), dv_buf_slice(&event));
    }
    assert_in_range(differ, ROUNDS / 2, ROUNDS);
}

/* Of another text, or none: the text is looked at. */
static void test_spots_that_do_not_fit(void **state)
{
    dv_auto(buf) dv_buf code = dv_buf_init(DV_LIMIT_RECORD), room = dv_buf_init(DV_LIMIT_RECORD);
    dv_auto(buf) dv_buf walked = dv_buf_init(1 << 20), spotted = dv_buf_init(1 << 20);
    dv_event_request request = {.address = DV_LIT("192.0.2.7"), .user_agent = DV_LIT("curl")};
    dv_event_spots spots;
    dv_slice json;
    assert_int_equal(dv_event_code_open(&code, &request), DV_OK);
    assert_int_equal(dv_event_code_text(dv_buf_slice(&code), &room, &spots, &json, NULL), DV_OK);
    assert_int_equal(dv_event_seal(subjects, json, UINT16_MAX, &walked), DV_OK);
    for (size_t shift = 1; shift < json.len + 2; shift++) {
        dv_buf_clear(&spotted);
        assert_int_equal(dv_event_seal_spots(subjects, json, &spots, shift, UINT16_MAX, &spotted),
                         DV_OK);
        assert_true(dv_slice_eq(dv_buf_slice(&walked), dv_buf_slice(&spotted)));
    }
    assert_int_equal(dv_event_code_text(json, &room, &spots, &json, NULL), DV_OK);
    assert_false(spots.known);
}

/* But for resources.name, which is a route's or a model's here: it has no uid that says whose. */
static void is_noted(void *data, size_t field, dv_slice path, bool noted)
{
    if (dv_slice_eq(path, DV_LIT("resources.name"))) {
        assert_false(noted);
    } else if (dv_event_personal_path_find(path) != NULL || dv_slice_eq(path, DV_LIT("time"))) {
        assert_true(noted);
        ++*(size_t *)data;
    }
}

static void test_every_personal_row_is_noted(void **state)
{
    size_t count = 0;
    dv_event_spot_fields(false, is_noted, &count);
    dv_event_spot_fields(true, is_noted, &count);
    assert_in_range(count, 16, 2 * DV_EVENT_SPOTS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spots_are_what_a_walk_finds),
        cmocka_unit_test(test_spots_that_do_not_fit),
        cmocka_unit_test(test_every_personal_row_is_noted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
