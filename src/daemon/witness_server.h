/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What dvara-witness answers over HTTP (C2SP tlog-witness):
 *
 *   POST /add-checkpoint             200 cosignatures, 400, 403, 404, 409 size, 422
 *   GET  /<origin hash>/checkpoint   what it cosigned last
 *   GET  /healthz                    200
 */

#include "engine/log/witness.h"

typedef struct dv_witness_server dv_witness_server;

/* listen: "127.0.0.1:7380", "[::1]:7380" (numbers, no names). The witness is borrowed. Serves at
 * once, in threads of its own. Errors: DV_ERR_INVALID (the address), DV_ERR_IO. */
dv_must dv_result dv_witness_server_open(dv_witness *witness, const char *listen,
                                         dv_witness_server **ret_server, dv_error *error);
void dv_witness_server_close(dv_witness_server *server);
