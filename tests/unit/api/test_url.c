/* SPDX-License-Identifier: Apache-2.0 */
/* URLs that other gateways let through to private networks. */
#include "room/api/gate/api_url.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void private_urls_are_seen(void **state)
{
    static const char *const urls[] = {"http://127.0.0.1/",
                                       "https://localhost:8080/x",
                                       "HTTP://LocalHost",
                                       "http://a.localhost./",
                                       "http://169.254.169.254/latest/meta-data/",
                                       "http://metadata.google.internal/",
                                       "http://100.64.0.1/",
                                       "http://[::1]/",
                                       "http://[::ffff:10.0.0.1]:80/",
                                       "http://[64:ff9b::a9fe:a9fe]/",
                                       "http://[2002:7f00:1::]/",
                                       "http://2130706433/",
                                       "http://0x7f.1/",
                                       "http://0177.0.0.1/",
                                       "http://127.1",
                                       "http://user:pw@10.0.0.1/",
                                       "http://example.org@10.0.0.1/",
                                       "http://example.org:x@192.168.0.1/",
                                       "http:/\\10.0.0.1/",
                                       "http:10.0.0.1",
                                       "  \n http://10.0.0.1",
                                       "ht\ntp://10.0.0.1",
                                       "http://10.0.0.1\\@example.org",
                                       "http://redis/",
                                       "http://db.local",
                                       "file:///etc/passwd",
                                       "http://",
                                       "http://%31%32%37.0.0.1/",
                                       "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/",
                                       "http://10.0.0.1\t/",
                                       "ws://10.0.0.1/",
                                       "ftp://10.0.0.1/",
                                       "http://[fe80::1%25eth0]/",
                                       "http://[::1"};
    for (size_t i = 0; i < DV_ARRAY_LEN(urls); i++) {
        if (!dv_api_url_is_private(dv_slice_str(urls[i]))) {
            fail_msg("%s was let through", urls[i]);
        }
    }
}

static void public_urls_and_text_are_left_alone(void **state)
{
    static const char *const texts[] = {"https://example.org/cat.png",
                                        "http://8.8.8.8/",
                                        "https://[2606:4700::1111]/x",
                                        "https://user@example.org:8443/a?b=http://10.0.0.1",
                                        "data:image/png;base64,AAAA",
                                        "just text",
                                        "",
                                        "http is a protocol",
                                        "mailto:a@b.example",
                                        "10.0.0.1",
                                        "note: 10.0.0.1",
                                        "https://sub.example.co.uk./"};
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        if (dv_api_url_is_private(dv_slice_str(texts[i]))) {
            fail_msg("%s was refused", texts[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_urls_are_seen),
        cmocka_unit_test(public_urls_and_text_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
