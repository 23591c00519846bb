/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"
#include "base/slice.h"

/* An IPv6 address, or an IPv4 one as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). */
typedef struct dv_address {
    uint8_t bytes[16];
} dv_address;

/* Reads an IPv6 address (RFC 4291 section 2.2, no zone) or an IPv4 address in dotted decimal. */
dv_must dv_result dv_address_parse(dv_slice text, dv_address *ret_address);

/* Reads an IPv4 address in every form that URL parsers accept (WHATWG URL section 3.5): one to four
 * parts, each decimal, octal (0...) or hexadecimal (0x...), the last one filling the rest, a dot at
 * the end. `2130706433`, `0x7f.1` and `0177.0.0.1` are all 127.0.0.1. */
dv_must dv_result dv_address_parse_url_ipv4(dv_slice text, dv_address *ret_address);

/* True for an address of the open internet. False for every block that the IANA special-purpose
 * registries (RFC 6890) list as not globally reachable: private, loopback, link-local,
 * carrier-grade NAT, multicast, documentation, ...; an address that carries an IPv4 one (mapped,
 * NAT64, 6to4, Teredo) is as public as that one, the local-use NAT64 prefix never is. */
bool dv_address_is_public(const dv_address *address);
