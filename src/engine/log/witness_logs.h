/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The logs that a witness knows, as the public witness network lists them:
 *   logs/v0
 *   vkey example.com/log+1a2b3c4d+AbC...
 *   origin example.com/log                  (when it is not the key's name)
 * Other words of an entry (qpd, contact) are passed over, and so are empty lines and those that
 * begin with '#'. Several keys of one origin are one log that is changing its key. */

#include "engine/log/note.h"

enum {
    DV_WITNESS_LOGS_MAX = 1024,
    DV_WITNESS_KEYS_MAX = 4,       /* of one log */
    DV_WITNESS_LIST_MAX = 1 << 20, /* bytes */
};

typedef struct dv_witness_log {
    char origin[DV_NOTE_NAME_MAX + 1];
    dv_note_verifier keys[DV_WITNESS_KEYS_MAX];
    size_t key_count;
} dv_witness_log;

typedef struct dv_witness_logs {
    dv_witness_log *logs; /* owned */
    size_t count;
} dv_witness_logs;

/* Errors: DV_ERR_INVALID, DV_ERR_TOO_LARGE with the line, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_witness_logs_parse(dv_slice text, dv_witness_logs *ret_logs, dv_error *error);
void dv_witness_logs_release(dv_witness_logs *logs);
DV_DEFINE_AUTO(witness_logs, dv_witness_logs, dv_witness_logs_release)
