/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The server's side of TLS 1.2 and 1.3 over non-blocking sockets (syslog over TLS, RFC 5425). It
 * only receives; what it writes is the protocol's own. */

#include "base/buf.h"

typedef struct dv_tls_server dv_tls_server;
typedef struct dv_tls dv_tls;

/* certificate: PEM chain; key: PEM; client_ca: PEM of who must have signed the peer's certificate,
 * or NULL: peers need none. tls_12: peers may speak TLS 1.2, which RFC 5425 section 4.2 (RFC 9662)
 * asks of them; otherwise 1.3 (RFC 8446) alone. Errors: DV_ERR_INVALID (error says which file),
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_tls_server_new(const char *certificate, const char *key, const char *client_ca,
                                    bool tls_12, dv_tls_server **ret_server, dv_error *error);
void dv_tls_server_free(dv_tls_server *server);

/* A connection over the socket, which stays the caller's. */
dv_must dv_result dv_tls_accept(dv_tls_server *server, int fd, dv_tls **ret_tls);
void dv_tls_free(dv_tls *tls);

/* Reads what there is, the handshake included. Errors: DV_ERR_AGAIN (*ret_writes: wait until the
 * socket takes bytes, otherwise until it has some), DV_ERR_NOT_FOUND (the peer closed it in order),
 * DV_ERR_IO (it broke, or the handshake failed: error says why). */
dv_must dv_result dv_tls_read(dv_tls *tls, uint8_t *out, size_t size, size_t *ret_len,
                              bool *ret_writes, dv_error *error);
/* The subject of the peer's verified certificate; "" when there is none. */
void dv_tls_peer_name(const dv_tls *tls, char *out, size_t size);
