/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses in every disguise that has been used to reach a private network. */
#include "base/address.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void private_addresses_are_not_public(void **state)
{
    static const char *const texts[] = {
        "0.0.0.0",      "10.1.2.3",        "100.64.0.1",        "100.127.255.255",
        "127.0.0.1",    "169.254.169.254", "172.16.0.1",        "172.31.255.255",
        "192.0.0.8",    "192.0.2.1",       "192.88.99.1",       "192.168.1.1",
        "198.18.0.1",   "198.19.255.255",  "198.51.100.7",      "203.0.113.9",
        "224.0.0.1",    "240.0.0.1",       "255.255.255.255",   "::",
        "::1",          "::ffff:10.0.0.1", "::127.0.0.1",       "64:ff9b::a00:1",
        "64:ff9b:1::1", "2002:7f00:1::",   "2002:a9fe:a9fe::1", "2001:0:1:2:3:4:80ff:fffe",
        "2001:db8::1",  "2001:2::1",       "3fff::1",           "fc00::1",
        "fd12::1",      "fe80::1",         "fec0::1",           "ff02::1",
        "100::1",       "5f00::1"};
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        dv_address address;
        assert_int_equal(dv_address_parse(dv_slice_str(texts[i]), &address), DV_OK);
        if (dv_address_is_public(&address)) {
            fail_msg("%s was called public", texts[i]);
        }
    }
}

static void public_addresses_are_public(void **state)
{
    static const char *const texts[] = {
        "1.1.1.1",         "9.255.255.255",    "11.0.0.0",
        "100.63.255.255",  "100.128.0.0",      "126.255.255.255",
        "128.0.0.1",       "172.15.255.255",   "172.32.0.0",
        "192.169.0.0",     "198.17.255.255",   "198.20.0.0",
        "223.255.255.255", "2606:4700::1111",  "2001:4860:4860::8888",
        "::ffff:8.8.8.8",  "64:ff9b::808:808", "2002:808:808::1"};
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        dv_address address;
        assert_int_equal(dv_address_parse(dv_slice_str(texts[i]), &address), DV_OK);
        if (!dv_address_is_public(&address)) {
            fail_msg("%s was not called public", texts[i]);
        }
    }
}

static void url_forms_of_ipv4_are_seen_through(void **state)
{
    static const char *const loopback[] = {"127.0.0.1", "2130706433",  "0x7f000001",
                                           "0x7F.1",    "0177.0.0.01", "127.1",
                                           "127.0.1",   "127.0.0.1.",  "017700000001"};
    dv_address address, expected;
    assert_int_equal(dv_address_parse(DV_LIT("127.0.0.1"), &expected), DV_OK);
    for (size_t i = 0; i < DV_ARRAY_LEN(loopback); i++) {
        assert_int_equal(dv_address_parse_url_ipv4(dv_slice_str(loopback[i]), &address), DV_OK);
        assert_memory_equal(&address, &expected, sizeof(address));
    }
    static const char *const bad[] = {"",     ".",        "1.2.3.4.5",  "256.1.1.1",
                                      "1..2", "08.1.1.1", "4294967296", "1.2.3.256",
                                      "0xg",  "a.b",      "1.16777216"};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_address_parse_url_ipv4(dv_slice_str(bad[i]), &address), DV_ERR_INVALID);
    }
}

static void strict_parsing_refuses_what_is_no_address(void **state)
{
    static const char *const bad[] = {"",
                                      "1.2.3",
                                      "01.2.3.4",
                                      "::g",
                                      "1:2",
                                      "fe80::1%eth0",
                                      "1111:2222:3333:4444:5555:6666:7777:8888:9999"};
    dv_address address;
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_address_parse(dv_slice_str(bad[i]), &address), DV_ERR_INVALID);
    }
    assert_int_equal(dv_address_parse(dv_slice_of("1.2.3.4\0x", 9), &address), DV_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_addresses_are_not_public),
        cmocka_unit_test(public_addresses_are_public),
        cmocka_unit_test(url_forms_of_ipv4_are_seen_through),
        cmocka_unit_test(strict_parsing_refuses_what_is_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
