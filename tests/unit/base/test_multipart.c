/* SPDX-License-Identifier: Apache-2.0 */
/* base/multipart: RFC 7578 read in one way or not at all; each limit. */
#include "base/multipart.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEAD(name) "--b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n"
#define END "\r\n--b--\r\n"

/* Every part as "[name|filename|type|data]"; or what went wrong. */
static void read_as(dv_slice body, const char *expected)
{
    dv_multipart_part parts[DV_MULTIPART_PARTS_MAX];
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    dv_error error = {0};
    size_t count = 0;
    dv_result result = dv_multipart_parse(body, DV_LIT("b"), parts, &count, &error);
    for (size_t i = 0; result == DV_OK && i < count; i++) {
        const dv_multipart_part *p = &parts[i];
        assert_int_equal(
            dv_buf_append_printf(&out, "[%.*s|%.*s|%.*s|%.*s]", DV_SLICE_ARGS(p->name),
                                 p->filename.ptr == NULL ? 1 : (int)p->filename.len,
                                 p->filename.ptr == NULL ? "-" : (const char *)p->filename.ptr,
                                 DV_SLICE_ARGS(p->type), DV_SLICE_ARGS(p->data)),
            DV_OK);
    }
    if (result != DV_OK) {
        assert_int_equal(dv_buf_append_str(&out, error.message), DV_OK);
    }
    if (strstr(dv_buf_cstr(&out), expected) == NULL || expected[0] == '\0') {
        fail_msg("'%s', not '%s'", dv_buf_cstr(&out), expected);
    }
}

static void reads_what_clients_send(void **state)
{
    (void)state;
    static const struct {
        const char *body, *expected;
    } cases[] = {
        {HEAD("a") "\r\n1" END, "[a|-||1]"},
        {HEAD("a") "\r\n" END, "[a|-||]"},
        {HEAD("a") "\r\n1\r\n--b--", "[a|-||1]"},
        {HEAD("a") "\r\none\r\n\r\ntwo\r\n" END, "[a|-||one\r\n\r\ntwo\r\n]"},
        {HEAD("a") "\r\n1\r\n" HEAD("b[]") "\r\n2" END, "[a|-||1][b[]|-||2]"},
        {"--b\r\ncontent-disposition:form-data;name=f;filename=\"\xc3\xa9 %22.txt\"\r\n"
         "CONTENT-TYPE: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: binary\r\n"
         "Content-Length: 3\r\n\r\nabc" END,
         "[f|\xc3\xa9 %22.txt|text/plain; charset=UTF-8|abc]"},
        {"--b\r\nContent-Disposition: form-data; filename=\"\"; name=\"f\"\r\n\r\n" END, "[f|||]"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        read_as(dv_slice_str(cases[i].body), cases[i].expected);
    }
}

/* Each of these is one form to some program and another to the next. */
static void refuses_what_can_be_read_in_two_ways(void **state)
{
    (void)state;
    static const struct {
        const char *body, *expected;
    } cases[] = {
        {"", "does not begin with its boundary"},
        {"preamble\r\n" HEAD("a") "\r\n1" END, "does not begin with its boundary"},
        {"\r\n" HEAD("a") "\r\n1" END, "does not begin with its boundary"},
        {"--b--\r\n", "does not begin with its boundary"},
        {"--b \r\nContent-Disposition: form-data; name=a\r\n\r\n1" END, "does not begin"},
        {HEAD("a") "\r\n1", "cut short"},
        {HEAD("a") "\r\n1\r\n--b", "stands within a part"},
        {HEAD("a") "\r\n1\r\n--b--x", "stands within a part"},
        {HEAD("a") "\r\n1\r\n--b--\r\nmore", "stands within a part"},
        {HEAD("a") "\r\n1\r\n--bc\r\n" END, "stands within a part"},
        {HEAD("a") "\r\n1\n--b\r\n" END, "stands within a part"},
        {HEAD("a") "\r\nx--b" END, "stands within a part"},
        {HEAD("a") "\r\n1\r\n--b \r\n\r\n2" END, "stands within a part"},
        {HEAD("a") "--b--", "head does not end"},
        {"--b\r\n--b--\r\n", "stands within a part"},
        {HEAD("a") "\r\n--b--", "head does not end"},
        {HEAD("a") "x\r\n\r\n1" END, "no header field"},
        {HEAD("a") " folded: x\r\n\r\n1" END, "no header field"},
        {HEAD("a") "X-Other: x\r\n\r\n1" END, "and nothing else"},
        {HEAD("a") "Content-Type : text/plain\r\n\r\n1" END, "no header field"},
        {"--b\r\nContent-Disposition: form-data; name=\"a\"\n\r\n\r\n1" END, "end with CR LF"},
        {HEAD("a\xff") "\r\n1" END, "lines of UTF-8"},
        {HEAD("a\x7f") "\r\n1" END, "lines of UTF-8"},
        {"--b\r\n\r\n1" END, "needs one Content-Disposition"},
        {HEAD("a") "Content-Disposition: form-data; name=c\r\n\r\n1" END, "needs one"},
        {"--b\r\nContent-Disposition: attachment; name=a\r\n\r\n1" END, "needs one"},
        {"--b\r\nContent-Disposition: form-data\r\n\r\n1" END, "must be printable ASCII"},
        {HEAD("") "\r\n1" END, "must be printable ASCII"},
        {HEAD("a%22") "\r\n1" END, "must be printable ASCII"},
        {HEAD("\xc3\xa9") "\r\n1" END, "must be printable ASCII"},
        {HEAD("a\\\"b") "\r\n1" END, "read in two ways"},
        {"--b\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n1" END, "one name and one"},
        {"--b\r\nContent-Disposition: form-data; name=a; filename=b; filename=c\r\n\r\n1" END,
         "one name and one"},
        {"--b\r\nContent-Disposition: form-data; name=a; filename*=UTF-8''b\r\n\r\n1" END,
         "RFC 7578 section 4.2"},
        {"--b\r\nContent-Disposition: form-data; name=a; filename=b c\r\n\r\n1" END, "two ways"},
        {"--b\r\nContent-Disposition: form-data; name='a'\r\n\r\n1" END, "two ways"},
        {"--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1" END, "two ways"},
        {"--b\r\nContent-Disposition: form-data; name=a;\r\n\r\n1" END, "two ways"},
        {HEAD("a") "Content-Type: multipart/mixed; boundary=c\r\n\r\n1" END, "no multipart"},
        {HEAD("a") "Content-Type: text\r\n\r\n1" END, "one Content-Type"},
        {HEAD("a") "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n1" END, "one Con"},
        {HEAD("a") "Content-Type: text/plain; charset=utf-16\r\n\r\n1" END, "must be UTF-8"},
        {HEAD("a") "Content-Type: text/plain; charset*=utf-8''utf-7\r\n\r\n1" END, "two ways"},
        {HEAD("a") "Content-Type: text/plain charset\r\n\r\n1" END, "two ways"},
        {HEAD("a") "Content-Transfer-Encoding: base64\r\n\r\n1" END, "binary, 8bit or 7bit"},
        {HEAD("a") "Content-Length: 2\r\n\r\n1" END, "not the length"},
        {HEAD("a") "Content-Length: 1\r\nContent-Length: 1\r\n\r\n1" END, "one Content-Length"},
        {HEAD("a") "Content-Length: 1x\r\n\r\n1" END, "one Content-Length"},
        {HEAD("a") "Content-Length: 0000000000001\r\n\r\n1" END, "one Content-Length"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        read_as(dv_slice_str(cases[i].body), cases[i].expected);
    }
    read_as(DV_LIT(HEAD("a\0b") "\r\n1" END), "lines of UTF-8");
}

/* Cut anywhere, it is refused, but where only the last line end is missing. */
static void refuses_what_is_cut_short(void **state)
{
    (void)state;
    static const char body[] = HEAD("a") "\r\n1\r\n" HEAD("b") "Content-Type: a/b\r\n\r\n2" END;
    for (size_t len = 0; len < sizeof(body) - 3; len++) {
        dv_multipart_part parts[DV_MULTIPART_PARTS_MAX];
        size_t count = 0;
        assert_int_not_equal(
            dv_multipart_parse(dv_slice_of(body, len), DV_LIT("b"), parts, &count, NULL), DV_OK);
    }
}

static void add_part(dv_buf *body, size_t name, size_t head)
{
    assert_int_equal(dv_buf_append_str(body, "--b\r\nContent-Disposition: form-data; name="),
                     DV_OK);
    for (size_t i = 0; i < name; i++) {
        assert_int_equal(dv_buf_append_byte(body, 'n'), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(body, "\r\nContent-Type: a/b"), DV_OK);
    size_t used =
        sizeof("Content-Disposition: form-data; name=\r\nContent-Type: a/b\r\n") - 1 + name;
    for (size_t i = used; i < head; i++) {
        assert_int_equal(dv_buf_append_byte(body, 'x'), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(body, "\r\n\r\n1\r\n"), DV_OK);
}

static void a_form_of(size_t count, size_t name, size_t head, const char *expected)
{
    dv_auto(buf) dv_buf body = dv_buf_init(1 << 20);
    for (size_t i = 0; i < count; i++) {
        add_part(&body, name, head);
    }
    assert_int_equal(dv_buf_append_str(&body, "--b--\r\n"), DV_OK);
    read_as(dv_buf_slice(&body), expected);
}

static void has_limits(void **state)
{
    (void)state;
    a_form_of(DV_MULTIPART_PARTS_MAX, 1, 0, "|1][n|-|a/b|1]");
    a_form_of(DV_MULTIPART_PARTS_MAX + 1, 1, 0, "more than 64 parts");
    a_form_of(1, DV_MULTIPART_NAME_MAX, 0, "n|-|a/b|1]");
    a_form_of(1, DV_MULTIPART_NAME_MAX + 1, 0, "1 to 256 bytes");
    a_form_of(1, 1, DV_MULTIPART_HEAD_MAX, "x|1]");
    a_form_of(1, 1, DV_MULTIPART_HEAD_MAX + 1, "longer than 4096 bytes");
}

static void finds_the_boundary(void **state)
{
    (void)state;
    static const struct {
        const char *type, *boundary;
        dv_result result;
    } cases[] = {
        {"multipart/form-data; boundary=abc", "abc", DV_OK},
        {"Multipart/Form-Data;BOUNDARY=\"a/b=c:d\" ; charset=utf-8", "a/b=c:d", DV_OK},
        {"multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
         "----WebKitFormBoundary7MA4YWxkTrZu0gW", DV_OK},
        {"application/json", NULL, DV_ERR_UNSUPPORTED},
        {"multipart/mixed; boundary=abc", NULL, DV_ERR_UNSUPPORTED},
        {"multipart/form-data", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary=", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary=\"\"", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary=a; boundary=b", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary=a; boundary=a", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary=a b", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary=\"a b\"", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary=\"a\\b\"", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary=a=b", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary=a, multipart/form-data; boundary=b", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary*=utf-8''a", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary*0=a; boundary*1=b", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary=a; charset=utf-7", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary=a; x=y", NULL, DV_ERR_INVALID},
        {"multipart/form-data; boundary=a;", NULL, DV_ERR_INVALID},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_slice boundary = {NULL, 0};
        dv_error error = {0};
        assert_int_equal(dv_multipart_boundary(dv_slice_str(cases[i].type), &boundary, &error),
                         cases[i].result);
        assert_true(dv_slice_eq_str(boundary, cases[i].boundary));
        assert_true(cases[i].result == DV_OK || error.message[0] != '\0');
    }
}

static void a_boundary_has_seventy_bytes(void **state)
{
    (void)state;
    char type[160] = "multipart/form-data; boundary=";
    dv_slice boundary;
    size_t head = strlen(type);
    memset(type + head, 'a', DV_MULTIPART_BOUNDARY_MAX);
    assert_int_equal(dv_multipart_boundary(dv_slice_str(type), &boundary, NULL), DV_OK);
    type[head + DV_MULTIPART_BOUNDARY_MAX] = 'a';
    assert_int_equal(dv_multipart_boundary(dv_slice_str(type), &boundary, NULL), DV_ERR_INVALID);
    dv_multipart_part parts[DV_MULTIPART_PARTS_MAX];
    size_t count = 0;
    boundary = dv_slice_of(type + head, DV_MULTIPART_BOUNDARY_MAX + 1);
    assert_int_equal(dv_multipart_parse(DV_LIT("--"), boundary, parts, &count, NULL),
                     DV_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_clients_send),
        cmocka_unit_test(refuses_what_can_be_read_in_two_ways),
        cmocka_unit_test(refuses_what_is_cut_short),
        cmocka_unit_test(has_limits),
        cmocka_unit_test(finds_the_boundary),
        cmocka_unit_test(a_boundary_has_seventy_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
