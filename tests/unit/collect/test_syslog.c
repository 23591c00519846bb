/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of syslog, its framing, and times as programs write them. */
#include "base/caps.h"
#include "room/audit/collect/frames.h"
#include "room/audit/collect/syslog.h"
#include "room/audit/collect/times.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const dv_time now = 1767225600 * DV_SECOND; /* 2026-01-01T00:00:00Z */

/* ---- Times ---- */

static void times_in_all_their_forms(void **state)
{
    static const struct {
        const char *text;
        const char *pattern;
        int64_t ms; /* -1: refused */
    } cases[] = {
        {"22/Nov/2026:16:01:02 +0000", "%d/%b/%Y:%H:%M:%S %z", 1795363262000},
        {"22/Nov/2026:16:01:02 -0130", "%d/%b/%Y:%H:%M:%S %z", 1795368662000},
        {"2026-11-22T16:01:02Z", "%Y-%m-%dT%H:%M:%S%f%z", 1795363262000},
        {"2026-11-22T16:01:02.123456789+01", "%Y-%m-%dT%H:%M:%S%f%z", 1795359662123},
        {"2026-11-22 16:01:02,5 UTC", "%Y-%m-%d %H:%M:%S%f %Z", 1795363262500},
        {"2028-02-29 00:00:00", "%Y-%m-%d %H:%M:%S", 1835395200000},
        {"1364481363.243", "%s", 1364481363243},
        {"1364481363243", "%L", 1364481363243},
        {"Dec 31 23:59:59", "%b %d %H:%M:%S", 1767225599000}, /* last year's */
        {"Jan  1 00:00:01", "%b %d %H:%M:%S", 1767225601000},
        {"Nov  5 00:00:01", "%b %d %H:%M:%S", 1762300801000},
        {"2027-02-29 00:00:00", "%Y-%m-%d %H:%M:%S", -1},
        {"2026-13-01 00:00:00", "%Y-%m-%d %H:%M:%S", -1},
        {"2026-01-01 24:00:00", "%Y-%m-%d %H:%M:%S", -1},
        {"1969-12-31 23:59:59", "%Y-%m-%d %H:%M:%S", -1},
        {"2262-01-01 00:00:00", "%Y-%m-%d %H:%M:%S", -1},
        {"99999999999999999999", "%s", -1},
        {"", "%s", -1},
        {"22/Nov/2026", "%d/%b/%Y:%H", -1},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_time time = 0;
        size_t len = 0;
        dv_result result =
            dv_log_time_parse(dv_slice_str(cases[i].text), cases[i].pattern, now, &time, &len);
        if ((result == DV_OK) != (cases[i].ms >= 0) ||
            (result == DV_OK && time / DV_MILLISECOND != cases[i].ms)) {
            fail_msg("%s: %s %lld", cases[i].text, dv_result_name(result),
                     (long long)(time / DV_MILLISECOND));
        }
    }
}

/* ---- Headers ---- */

static void headers_are_read(void **state)
{
    static const struct {
        const char *text, *host, *program, *pid, *message;
        int facility, severity;
        bool timed;
    } cases[] = {
        {"<34>1 2026-01-01T00:00:00.003Z web1 su 12 ID47 - \xEF\xBB\xBFx", "web1", "su", "12", "x",
         4, 2, true},
        {"<165>1 2026-01-01T00:00:00Z - - - - [a@1 b=\"c\\]\\\"\"][d]", "", "", "", "", 20, 5,
         true},
        {"<0>1 - - - - - - x", "", "", "", "x", 0, 0, false},
        {"<34>1 2026-01-01T00:00:00Z web1 su - - [open x", "", "", "",
         "1 2026-01-01T00:00:00Z web1 su - - [open x", 4, 2, false},
        {"<13>Jan  1 00:00:00 web1 app[12]: x: y", "web1", "app", "12", "x: y", 1, 5, true},
        {"<13>Jan  1 00:00:00 app: x", "", "app", "", "x", 1, 5, true},
        {"<13>Jan  1 2026 00:00:00 fw1 %ASA-6-302013: x", "fw1", "%ASA-6-302013", "", "x", 1, 5,
         true},
        {"<13>2026-01-01T00:00:00+00:00 web1 postfix/smtpd[7]: x", "web1", "postfix/smtpd", "7",
         "x", 1, 5, true},
        {"<13>Jan  1 00:00:00 2001:db8::1 app: x", "2001:db8::1", "app", "", "x", 1, 5, true},
        {"<13>app: x", "", "app", "", "x", 1, 5, false},
        {"<13>just words", "", "", "", "just words", 1, 5, false},
        {"<192>app: x", "", "", "", "<192>app: x", -1, -1, false},
        {"<1a>x", "", "", "", "<1a>x", -1, -1, false},
        {"<", "", "", "", "<", -1, -1, false},
        {"<13>", "", "", "", "", 1, 5, false},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_line line = {.facility = -1, .severity = -1, .now = now};
        assert_true(dv_syslog_read(dv_slice_str(cases[i].text), true, &line));
        bool good = dv_slice_eq_str(line.host, cases[i].host) &&
                    dv_slice_eq_str(line.program, cases[i].program) &&
                    dv_slice_eq_str(line.pid, cases[i].pid) &&
                    dv_slice_eq_str(line.text, cases[i].message) &&
                    line.facility == cases[i].facility && line.severity == cases[i].severity &&
                    (line.time != 0) == cases[i].timed;
        if (!good) {
            fail_msg("%s: host '%.*s' program '%.*s' pid '%.*s' text '%.*s' %d %d", cases[i].text,
                     DV_SLICE_ARGS(line.host), DV_SLICE_ARGS(line.program), DV_SLICE_ARGS(line.pid),
                     DV_SLICE_ARGS(line.text), line.facility, line.severity);
        }
    }
}

static void a_line_of_a_file_has_a_whole_header_or_none(void **state)
{
    dv_line line = {.facility = -1, .severity = -1, .now = now};
    assert_true(dv_syslog_read(DV_LIT("Jan  1 00:00:00 web1 sshd[1]: x"), false, &line));
    assert_false(dv_syslog_read(DV_LIT("2026-01-01 00:00:00.1 UTC [1] LOG:  x"), false, &line));
    assert_false(dv_syslog_read(DV_LIT("app: x"), false, &line));
    assert_false(
        dv_syslog_read(DV_LIT("192.0.2.7 - - [22/Nov/2026:16:01:02 +0000]"), false, &line));
}

/* ---- Framing ---- */

static void expect(const char *stream, size_t piece, bool counts, const char *joined, bool broken)
{
    dv_frames frames = dv_frames_init(counts);
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    dv_slice bytes = dv_slice_str(stream);
    dv_frame frame;
    while (bytes.len > 0) {
        dv_slice part = dv_slice_sub(bytes, 0, piece);
        bytes = dv_slice_sub(bytes, part.len, bytes.len);
        while (dv_frames_next(&frames, &part, &frame)) {
            assert_int_equal(dv_buf_append(&out, frame.bytes), DV_OK);
            assert_int_equal(dv_buf_append_byte(&out, '|'), DV_OK);
        }
    }
    if (dv_frames_last(&frames, &frame)) {
        assert_int_equal(dv_buf_append(&out, frame.bytes), DV_OK);
    }
    assert_int_equal(frames.broken, broken);
    assert_string_equal(dv_buf_cstr(&out), joined);
    dv_frames_release(&frames);
}

static void frames_come_whole_however_they_are_cut(void **state)
{
    for (size_t piece = 1; piece < 30; piece++) {
        expect("<13>a\n5 <13>b\n<13>c\nhalf", piece, true, "<13>a|<13>b||<13>c|half", false);
        expect("5 <1>\nx3 abc", piece, true, "<1>\nx|abc|", false);
        expect("5 <13>b\n", piece, false, "5 <13>b|", false);
        expect("12x rest\n", piece, true, "", true);
        expect("999999999 x", piece, true, "", true);
        expect("10 short", piece, true, "short", false);
    }
}

static void a_line_over_the_limit_is_cut_counted_and_hashed(void **state)
{
    enum { OVER = DV_LIMIT_COLLECT_LINE + 1 };
    uint8_t hash[DV_SHA256_LEN];
    char *text = malloc(OVER + 1);
    assert_non_null(text);
    memset(text, 'x', OVER);
    text[OVER] = '\n';
    dv_sha256(dv_slice_of(text, OVER), (dv_slice){NULL, 0}, (dv_slice){NULL, 0}, hash);
    for (size_t piece = 1000; piece < 3 * OVER; piece *= 7) {
        dv_frames frames = dv_frames_init(true);
        dv_frame frame = {.size = 0};
        bool whole = false;
        for (size_t at = 0; at < OVER + 1 && !whole; at += piece) {
            dv_slice part = dv_slice_sub(dv_slice_of(text, OVER + 1), at, piece);
            whole = dv_frames_next(&frames, &part, &frame);
        }
        assert_true(whole);
        assert_int_equal(frame.size, OVER);
        assert_int_equal(frame.bytes.len, DV_LIMIT_COLLECT_LINE);
        assert_memory_equal(frame.hash, hash, sizeof hash);
        dv_frames_release(&frames);
    }
    free(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_in_all_their_forms),
        cmocka_unit_test(headers_are_read),
        cmocka_unit_test(a_line_of_a_file_has_a_whole_header_or_none),
        cmocka_unit_test(frames_come_whole_however_they_are_cut),
        cmocka_unit_test(a_line_over_the_limit_is_cut_counted_and_hashed),
    };
    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
