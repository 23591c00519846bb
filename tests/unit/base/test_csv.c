/* SPDX-License-Identifier: Apache-2.0 */
/* base/csv: RFC 4180 section 2, pieces of any size, each limit. */
#include "base/csv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef struct text_source {
    dv_slice rest;
    size_t piece; /* bytes handed out at a time */
} text_source;

static dv_result get(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    text_source *source = data;
    size_t len = DV_MIN(DV_MIN(source->rest.len, source->piece), room);
    memcpy(out, source->rest.ptr, len);
    source->rest = dv_slice_sub(source->rest, len, SIZE_MAX);
    *ret_len = len;
    return DV_OK;
}

/* Every record as "[field|field]"; what went wrong behind them. */
static void read_as(dv_slice text, char separator, size_t piece, const char *expected)
{
    text_source from = {text, piece};
    const dv_csv_source source = {get, &from};
    dv_auto(csv) dv_csv *csv = NULL;
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    dv_csv_record record;
    dv_error error = {0};
    dv_result result;
    assert_int_equal(dv_csv_new(&source, separator, &csv), DV_OK);
    while ((result = dv_csv_next(csv, &record, &error)) == DV_OK) {
        for (size_t i = 0; i < record.count; i++) {
            assert_int_equal(dv_buf_append_str(&out, i == 0 ? "[" : "|"), DV_OK);
            assert_int_equal(dv_buf_append(&out, record.fields[i].text), DV_OK);
        }
        assert_int_equal(dv_buf_append_str(&out, "]"), DV_OK);
    }
    if (result != DV_ERR_NOT_FOUND) {
        assert_int_equal(dv_buf_append_printf(&out, "%s %d", dv_result_name(result), error.line),
                         DV_OK);
    }
    assert_string_equal(dv_buf_cstr(&out), expected);
}

static void reads_what_rfc_4180_says(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"a,b\r\n1,2\r\n", "[a|b][1|2]"},       {"a,b\n1,2", "[a|b][1|2]"},
        {"\"a,1\",\"b\"\"c\"\n", "[a,1|b\"c]"}, {"\"two\nlines\",x\r\n\"\"\n", "[two\nlines|x][]"},
        {"a,,\n\n,b\n", "[a||][][|b]"},         {"\xEF\xBB\xBFid,n\n1,2\n", "[id|n][1|2]"},
        {"5\" disk,x\n", "[5\" disk|x]"},       {"\"a\"b,c\n", "invalid 1"},
        {"a\n\"open\n\n", "[a]invalid 4"},      {"", ""},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        for (size_t piece = 1; piece < 9; piece++) {
            read_as(dv_slice_str(cases[i].text), ',', piece, cases[i].expected);
        }
    }
}

static void guesses_the_separator(void **state)
{
    (void)state;
    read_as(DV_LIT("a;b;c\n1,5;2;3\n"), '\0', 3, "[a|b|c][1,5|2|3]");
    read_as(DV_LIT("a\tb\n"), '\0', 3, "[a|b]");
    read_as(DV_LIT("\"a;b;c\",d\n"), '\0', 3, "[a;b;c|d]");
    read_as(DV_LIT("one\n"), '\0', 3, "[one]");
}

static void tells_lines_and_places(void **state)
{
    (void)state;
    text_source from = {DV_LIT("a\n\"x\ny\"\r\nlast"), 4};
    const dv_csv_source source = {get, &from};
    dv_auto(csv) dv_csv *csv = NULL;
    dv_csv_record r;
    assert_int_equal(dv_csv_new(&source, ',', &csv), DV_OK);
    assert_int_equal(dv_csv_next(csv, &r, NULL), DV_OK);
    assert_int_equal(dv_csv_next(csv, &r, NULL), DV_OK);
    assert_true(r.line == 2 && r.offset == 2 && r.crlf && r.ended && r.fields[0].quoted);
    assert_int_equal(dv_csv_next(csv, &r, NULL), DV_OK);
    assert_true(r.line == 4 && r.offset == 9 && !r.ended && !r.fields[0].quoted);
    assert_int_equal(dv_csv_next(csv, &r, NULL), DV_ERR_NOT_FOUND);
}

static void refuses_what_is_too_large(void **state)
{
    (void)state;
    dv_auto(buf) dv_buf text = dv_buf_init(DV_CSV_RECORD_MAX + 16);
    for (size_t i = 0; i < DV_CSV_FIELDS_MAX; i++) {
        assert_int_equal(dv_buf_append_str(&text, ","), DV_OK);
    }
    read_as(dv_buf_slice(&text), ',', SIZE_MAX, "too_large 1");
    dv_buf_clear(&text);
    assert_int_equal(dv_buf_reserve(&text, DV_CSV_RECORD_MAX + 8), DV_OK);
    memset(text.ptr, 'x', DV_CSV_RECORD_MAX + 8);
    text.len = DV_CSV_RECORD_MAX + 8;
    read_as(dv_buf_slice(&text), ',', SIZE_MAX, "too_large 1");
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    dv_auto(buf) dv_buf out = dv_buf_init(100);
    assert_int_equal(dv_csv_append(&out, DV_LIT("a\"b"), ',', false), DV_OK);
    assert_int_equal(dv_buf_append_str(&out, ","), DV_OK);
    assert_int_equal(dv_csv_append(&out, DV_LIT("plain"), ',', false), DV_OK);
    assert_int_equal(dv_buf_append_str(&out, ","), DV_OK);
    assert_int_equal(dv_csv_append(&out, DV_LIT(""), ',', true), DV_OK);
    assert_string_equal(dv_buf_cstr(&out), "\"a\"\"b\",plain,\"\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_rfc_4180_says), cmocka_unit_test(guesses_the_separator),
        cmocka_unit_test(tells_lines_and_places),   cmocka_unit_test(refuses_what_is_too_large),
        cmocka_unit_test(writes_what_it_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
