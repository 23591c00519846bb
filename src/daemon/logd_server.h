/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What dvara-logd answers on RUNTIME/logd.sock (mode 0660: whoever may read the log):
 *
 *   GET /checkpoint                     the signed checkpoint
 *   GET /checkpoint.cosigned            the newest one that witnesses cosigned
 *   GET /vkey                           the keys that sign, one a line
 *   GET /tile/...                       C2SP tlog-tiles
 *   GET /copy?from=N[&to=][&most=]      sealed entries for a copy of the log (logd_copy.h)
 *   GET /status                         one JSON object
 *   GET /events?from=N[&limit=][&wait_ms=]        the feed, JSON lines {"index":N,"event":{...}}
 *   GET /events?request_id=ID[&wait_ms=]          one request's events of all logs, the same way;
 *                                                 of another log than main with "log":NAME
 *   GET /logs                           the logs, a JSON array; "main" first
 *   GET /retention                      what is kept where (logd_retention.h)
 *
 * All but the last two take ?log=NAME for another log than main. From below the log's minimum index
 * the feed goes on with that one, and the header Dvara-Pruned tells it.
 *
 *   POST /cosignature[?log=]            a cosigned checkpoint (logd_cosignature.h)
 *   POST /erase                         the keys of a person are destroyed (logd_erase.h)
 *   POST /hold, /prune, /retention      how long what is kept (logd_retention.h)
 *   POST /search                        a search (logd_search.h)
 *   POST /rotate?overlap_days=N, ?retire=KEYID   a change of the signing key (logd_rotate.h)
 *
 * POST is for root, our own user and whoever owns the folder above the runtime directory (dvarad),
 * as the kernel tells. The header Dvara-Next of an answer to /events names the index to go on from.
 * wait_ms waits that long (30 s at most) for something new. Only what a published checkpoint covers
 * is answered; it is read from disk, in threads of its own, so that no reader holds the sequencer
 * up. */

#include "daemon/logd_erase.h"
#include "daemon/logd_retention.h"
#include "daemon/logd_rotate.h"

typedef struct dv_logd_server dv_logd_server;

/* Serves at once. The socket's group is that of the runtime directory. */
dv_must dv_result dv_logd_server_open(const char *log_folder, const char *runtime_dir,
                                      const dv_logd_keys *keys, dv_logd_rotate *rotate,
                                      dv_logd_erase *erase, dv_logd_retention *retention,
                                      dv_subjects *subjects, dv_logd_server **ret_server,
                                      dv_error *error);
void dv_logd_server_close(dv_logd_server *server);
DV_DEFINE_AUTO_PTR(logd_server, dv_logd_server, dv_logd_server_close)

/* Tells the server's threads which keys sign now. */
dv_must dv_result dv_logd_server_rekey(dv_logd_server *server, const dv_logd_keys *keys);
/* Tells the server's threads what there is now. */
void dv_logd_server_update(dv_logd_server *server, const dv_sequencer_status *status);

/* An answer is being made just now; waiting for something new is none. */
bool dv_logd_server_is_asked(const dv_logd_server *server);
