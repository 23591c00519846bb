/* SPDX-License-Identifier: Apache-2.0 */
/* `audit: collect:` in dvara.yaml. */
#include "base/buf.h"
#include "room/audit/collect/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static dv_arena *arena;

static dv_result read_text(const char *text, dv_collect_config *config, dv_error *error)
{
    const dv_yaml *root = NULL;
    dv_arena_reset(arena);
    assert_int_equal(dv_yaml_parse(dv_slice_str(text), arena, &root, error), DV_OK);
    return dv_collect_config_read(root, arena, config, error);
}

static void every_type_is_read(void **state)
{
    dv_error error = {0};
    dv_collect_config config;
    assert_int_equal(read_text("collect:\n"
                               "  - {type: syslog, listen: \"udp://127.0.0.1:5514\"}\n"
                               "  - {type: syslog, listen: \"tls://[::1]:6514\", certificate: /c, "
                               "key: /k, client_ca: /a}\n"
                               "  - {type: file, path: /var/log/x, parser: nginx, rate: 10, raw: "
                               "unparsed, name: web}\n"
                               "  - {type: journald, units: [ssh.service, 'getty@*.service']}\n"
                               "  - {type: http, listen: \"127.0.0.1:5580\", token_file: /t}\n"
                               "collect_spool: 64MiB\ncollect_keep_free: 10MiB\n",
                               &config, &error),
                     DV_OK);
    assert_int_equal(config.count, 5);
    assert_string_equal(config.inputs[1].host, "::1");
    assert_int_equal(config.inputs[1].port, 6514);
    assert_string_equal(config.inputs[2].name, "web");
    assert_int_equal(config.inputs[2].rate, 10);
    assert_false(config.inputs[2].keep_raw);
    assert_true(config.inputs[0].keep_raw);
    assert_string_equal(config.inputs[3].units[1], "getty@*.service");
    assert_int_equal(config.spool_max, 64 << 20);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"collect: {type: file}", "wants a list"},
        {"collect: [{path: /x}]", "wants 'type'"},
        {"collect: [{type: fil}]", "no type 'fil'"},
        {"collect: [{type: file}]", "wants 'path'"},
        {"collect: [{type: file, path: x}]", "absolute path"},
        {"collect: [{type: file, path: /x, listen: y}]", "listen"},
        {"collect: [{type: file, path: /x, parser: nope}]", "no parser 'nope'"},
        {"collect: [{type: file, path: /x, rate: 0}]", "rate"},
        {"collect: [{type: file, path: /x, raw: never}]", "'raw' wants"},
        {"collect: [{type: file, path: /x}, {type: file, path: /x}]", "collected twice"},
        {"collect: [{type: file, path: /x}, {type: file, path: /x, name: b}]", "collected twice"},
        {"collect: [{type: syslog, listen: \"127.0.0.1:1\"}]", "udp://"},
        {"collect: [{type: syslog, listen: \"udp://localhost:1\"}]", "no IP address"},
        {"collect: [{type: syslog, listen: \"udp://127.0.0.1:0\"}]", "address and a port"},
        {"collect: [{type: syslog, listen: \"udp://127.0.0.1:65536\"}]", "address and a port"},
        {"collect: [{type: syslog, listen: \"tls://127.0.0.1:1\"}]", "certificate"},
        {"collect: [{type: syslog, listen: \"tcp://127.0.0.1:1\", key: /k}]", "tls:// alone"},
        {"collect: [{type: http, listen: \"127.0.0.1:1\"}]", "token_file"},
        {"collect: [{type: http, listen: \"0.0.0.0:1\", token_file: /t}]", "loopback"},
        {"collect: [{type: http, listen: \"127.0.0.1:1\", token_sha256: abc}]", "64 hex"},
        {"collect: [{type: journald, units: [\"--root=/\"]}]", "no name of a unit"},
        {"collect: []\ncollect_spool: 1MiB", "16MiB at least"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_error error = {0};
        dv_collect_config config;
        if (read_text(cases[i].text, &config, &error) != DV_ERR_INVALID || error.line == 0 ||
            strstr(error.message, cases[i].part) == NULL) {
            fail_msg("%s: line %d: %s", cases[i].text, error.line, error.message);
        }
    }
}

static void so_many_inputs_and_no_more(void **state)
{
    dv_error error = {0};
    dv_collect_config config;
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 16);
    assert_int_equal(dv_buf_append_str(&text, "collect:\n"), DV_OK);
    for (int i = 0; i <= DV_COLLECT_INPUTS_MAX; i++) {
        assert_int_equal(dv_buf_append_printf(&text, "  - {type: file, path: /x%d}\n", i), DV_OK);
    }
    assert_int_equal(read_text(dv_buf_cstr(&text), &config, &error), DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "at most 64"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(so_many_inputs_and_no_more),
    };
    arena = dv_arena_new(1 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dv_arena_free(arena);
    return failed;
}
