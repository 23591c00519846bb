/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What dvara-logd answers on RUNTIME/logd.sock (mode 0660: whoever may read the log):
 *
 *   GET /checkpoint                     the signed checkpoint
 *   GET /tile/...                       C2SP tlog-tiles
 *   GET /status                         one JSON object
 *   GET /events?from=N[&limit=][&wait_ms=]        the feed, JSON lines {"index":N,"event":{...}}
 *   GET /events?request_id=ID[&wait_ms=]          one request's events, the same way
 *
 * The header Dvara-Next of an answer to /events names the index to go on from. wait_ms waits that
 * long (30 s at most) for something new. Only what a published checkpoint covers is answered; it is
 * read from disk, in threads of its own, so that no reader holds the sequencer up. */

#include "engine/log/sequencer.h"

typedef struct dv_logd_server dv_logd_server;

/* Serves at once. The socket's group is that of the runtime directory. */
dv_must dv_result dv_logd_server_open(const char *log_folder, const char *runtime_dir,
                                      const dv_note_verifier *verifier, dv_logd_server **ret_server,
                                      dv_error *error);
void dv_logd_server_close(dv_logd_server *server);
DV_DEFINE_AUTO_PTR(logd_server, dv_logd_server, dv_logd_server_close)

/* Tells the server's threads what there is now. */
void dv_logd_server_update(dv_logd_server *server, const dv_sequencer_status *status);

/* An answer is being made just now; waiting for something new is none. */
bool dv_logd_server_is_asked(const dv_logd_server *server);
