/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/witness_logs.h"

static const char first_line[] = "logs/v0";

typedef struct reader {
    dv_witness_logs *logs;
    int line;
    bool has_head;
    bool has_key;         /* an entry has begun */
    dv_note_verifier key; /* of that entry */
    char origin[DV_NOTE_NAME_MAX + 1];
    dv_error *error;
} reader;

static dv_result refuse(const reader *in, dv_result result, const char *what)
{
    return dv_error_set_at(in->error, result, in->line, 0, "list of logs, line %d: %s", in->line,
                           what);
}

static dv_witness_log *find(dv_witness_logs *logs, const char *origin)
{
    for (size_t i = 0; i < logs->count; i++) {
        if (strcmp(logs->logs[i].origin, origin) == 0) {
            return &logs->logs[i];
        }
    }
    return NULL;
}

static dv_result add_log(reader *in, dv_witness_log **ret_log)
{
    dv_witness_logs *logs = in->logs;
    if (logs->count == DV_WITNESS_LOGS_MAX) {
        return refuse(in, DV_ERR_TOO_LARGE, "there are more than 1024 logs");
    }
    dv_witness_log *larger = realloc(logs->logs, (logs->count + 1) * sizeof(*larger));
    if (larger == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    logs->logs = larger;
    *ret_log = &larger[logs->count++];
    **ret_log = (dv_witness_log){.key_count = 0};
    memcpy((*ret_log)->origin, in->origin, sizeof(in->origin));
    return DV_OK;
}

/* An entry ends where the next one begins. */
static dv_result end_entry(reader *in)
{
    if (!in->has_key) {
        return DV_OK;
    }
    in->has_key = false;
    dv_witness_log *log = find(in->logs, in->origin);
    if (log == NULL) {
        DV_TRY(add_log(in, &log));
    }
    if (log->key_count == DV_WITNESS_KEYS_MAX) {
        return refuse(in, DV_ERR_TOO_LARGE, "a log has more than 4 keys");
    }
    log->keys[log->key_count++] = in->key;
    return DV_OK;
}

static dv_result begin_entry(reader *in, dv_slice vkey)
{
    DV_TRY(end_entry(in));
    if (dv_note_verifier_parse(vkey, &in->key) != DV_OK) {
        return refuse(in, DV_ERR_INVALID, "'vkey' wants an Ed25519 verifier key");
    }
    in->has_key = true;
    memcpy(in->origin, in->key.name, sizeof(in->origin));
    return DV_OK;
}

static dv_result read_line(reader *in, dv_slice line)
{
    dv_slice word;
    line = dv_slice_trim(line);
    if (line.len == 0 || line.ptr[0] == '#') {
        return DV_OK;
    }
    if (!in->has_head) {
        in->has_head = dv_slice_eq_str(line, first_line);
        return in->has_head ? DV_OK : refuse(in, DV_ERR_INVALID, "it must begin with logs/v0");
    }
    if (!dv_slice_split(&line, ' ', &word)) {
        return DV_OK;
    }
    if (dv_slice_eq_str(word, "vkey")) {
        return begin_entry(in, line);
    }
    if (!in->has_key) {
        return refuse(in, DV_ERR_INVALID, "an entry begins with its vkey");
    }
    if (!dv_slice_eq_str(word, "origin")) {
        return DV_OK;
    }
    if (line.len == 0 || line.len > DV_NOTE_NAME_MAX || memchr(line.ptr, '\0', line.len) != NULL) {
        return refuse(in, DV_ERR_INVALID, "'origin' wants a name of 1 to 128 bytes");
    }
    memset(in->origin, 0, sizeof(in->origin));
    memcpy(in->origin, line.ptr, line.len);
    return DV_OK;
}

dv_result dv_witness_logs_parse(dv_slice text, dv_witness_logs *ret_logs, dv_error *error)
{
    dv_slice line;
    dv_auto(witness_logs) dv_witness_logs logs = {NULL, 0};
    reader in = {.logs = &logs, .error = error};
    if (text.len > DV_WITNESS_LIST_MAX) {
        return refuse(&in, DV_ERR_TOO_LARGE, "it is longer than 1 MiB");
    }
    while (dv_slice_split(&text, '\n', &line)) {
        in.line++;
        DV_TRY(read_line(&in, line));
    }
    DV_TRY(end_entry(&in));
    if (!in.has_head) {
        return refuse(&in, DV_ERR_INVALID, "it must begin with logs/v0");
    }
    *ret_logs = logs;
    logs = (dv_witness_logs){NULL, 0};
    return DV_OK;
}

void dv_witness_logs_release(dv_witness_logs *logs)
{
    free(logs->logs);
    *logs = (dv_witness_logs){NULL, 0};
}
