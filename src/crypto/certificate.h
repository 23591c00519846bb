/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"

/* Makes a P-256 key (PKCS#8 PEM) and a self-signed certificate (RFC 5280, version 3, serverAuth)
 * for the names and addresses, separated by commas ("localhost,127.0.0.1"). */
dv_must dv_result dv_certificate_self_signed(const char *names, dv_time not_before,
                                             dv_time not_after, dv_buf *ret_key_pem,
                                             dv_buf *ret_certificate_pem, dv_error *error);

/* SHA-256 over the certificate's DER, for people to compare. */
dv_must dv_result dv_certificate_fingerprint(dv_slice certificate_pem, uint8_t ret_digest[32],
                                             dv_time *ret_not_after);
