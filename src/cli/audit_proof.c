/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara audit prove` and `dvara audit verify --proof`. The second needs no server and no log. */
#include "cli/audit_proof.h"

#include "api/commands.h"
#include "base/codec.h"
#include "base/file.h"
#include "cli/audit_verdict.h"
#include "engine/log/proof.h"

#include <limits.h>
#include <stdlib.h>

static const char proof_ending[] = ".tlog-proof";
static const char event_ending[] = ".event";
enum { FILE_MODE = 0644 };

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

/* -- prove ------------------------------------------------------------------------------------- */

/* "FOLDER/INDEX.ending", of another log than main "FOLDER/LOG-INDEX.ending". */
static dv_result write_beside(const char *folder, const json_t *item, const char *ending,
                              dv_slice bytes, char ret_path[PATH_MAX], dv_error *error)
{
    json_int_t index = json_integer_value(json_object_get(item, "index"));
    const char *log = text_param(item, "log");
    bool main_log = log == NULL || strcmp(log, "main") == 0;
    if (!main_log && strspn(log, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(log)) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the server sent a log's name that is none");
    }
    int len = snprintf(ret_path, PATH_MAX, "%s/%s%s%" JSON_INTEGER_FORMAT "%s", folder,
                       main_log ? "" : log, main_log ? "" : "-", index, ending);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
    }
    return dv_file_write_atomic(ret_path, bytes, FILE_MODE, error);
}

/* Replaces what the answer holds by where it was written. */
static dv_result write_files(const char *folder, json_t *item, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf leaf = dv_buf_init(UINT16_MAX);
    const char *proof = text_param(item, "proof"), *base64 = text_param(item, "leaf");
    if (proof == NULL || base64 == NULL || dv_base64_decode(dv_slice_str(base64), &leaf) != DV_OK) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the server sent no proof");
    }
    DV_TRY(write_beside(folder, item, event_ending, dv_buf_slice(&leaf), path, error));
    json_object_set_new(item, "event", json_string(path));
    json_object_del(item, "leaf");
    DV_TRY(write_beside(folder, item, proof_ending, dv_slice_str(proof), path, error));
    return json_object_set_new(item, "proof", json_string(path)) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result check_cosigned(const json_t *answer, dv_error *error)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        if (json_integer_value(json_object_get(item, "cosignatures")) == 0) {
            return dv_error_set(error, DV_ERR_UNAVAILABLE,
                                "witnesses have not cosigned this event yet: try again in a "
                                "minute, and see dvara audit witnesses");
        }
    }
    return DV_OK;
}

static dv_result write_all(const json_t *params, json_t *answer, dv_error *error)
{
    size_t i;
    json_t *item;
    const char *folder = text_param(params, "output_dir");
    if (json_is_true(json_object_get(params, "cosigned"))) {
        DV_TRY(check_cosigned(answer, error));
    }
    DV_TRY(dv_dir_make(folder, 0755, error));
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        DV_TRY(write_files(folder, item, error));
    }
    return DV_OK;
}

/* Of ORIGIN#INDEX the index; of anything else all of it. */
static const char *asked_id(const char *id)
{
    const char *mark = strrchr(id, '#');
    return mark == NULL ? id : mark + 1;
}

/* A uid names the log, too: its event must not be sought in another one. */
static dv_result check_origin(const char *id, const json_t *answer, dv_error *error)
{
    const char *mark = strrchr(id, '#');
    const json_t *first = json_array_get(json_object_get(answer, "items"), 0);
    const char *text = text_param(first, "proof");
    dv_note parts;
    dv_tlog_proof proof;
    dv_checkpoint checkpoint;
    if (mark == NULL || text == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_tlog_proof_parse(dv_slice_str(text), &proof, error));
    DV_TRY(dv_note_split(proof.checkpoint, &parts));
    DV_TRY(dv_checkpoint_parse(parts.text, &checkpoint));
    return dv_slice_eq_str(dv_slice_of(id, (size_t)(mark - id)), checkpoint.origin)
               ? DV_OK
               : dv_error_set(error, DV_ERR_NOT_FOUND,
                              "this is an event of another log: here is %.200s", checkpoint.origin);
}

int dv_command_audit_prove(dv_cli *cli, const json_t *params)
{
    static const char *const columns[] = {"log",   "index", "size", "cosignatures",
                                          "proof", "event", NULL};
    dv_error error = {0};
    json_t *answer = NULL;
    const char *id = text_param(params, "id");
    json_t *asked = json_pack("{s:s,s:s*}", "id", asked_id(id), "log", text_param(params, "log"));
    dv_result result = asked == NULL
                           ? DV_ERR_NO_MEMORY
                           : dv_cli_call(cli, "audit_proof", asked, NULL, &answer, &error);
    json_decref(asked);
    if (result == DV_OK) {
        result = check_origin(id, answer, &error);
    }
    if (result == DV_OK) {
        result = write_all(params, answer, &error);
    }
    if (result == DV_OK) {
        result = dv_cli_print(cli, answer, "items", columns);
    }
    json_decref(answer);
    error.result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}

/* -- verify ------------------------------------------------------------------------------------ */

typedef struct verification {
    dv_policy policy;
    dv_policy_verdict verdict;
    dv_checkpoint checkpoint;
    dv_tlog_proof proof;
    dv_buf text;
    dv_buf event;
    bool read; /* all that is to be judged */
} verification;

/* --policy names logs and witnesses; --key a log. Both: the log must be that one. */
static dv_result read_trust(const json_t *params, dv_policy *policy, dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_POLICY_TEXT_MAX);
    const char *file = text_param(params, "policy"), *key = text_param(params, "key");
    policy->quorum = DV_POLICY_NONE;
    if (file == NULL && key == NULL) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "say whom to believe: --key VKEY, or --policy FILE");
    }
    if (file != NULL) {
        DV_TRY(dv_file_read(file, &text, error));
        DV_TRY(dv_policy_parse(dv_buf_slice(&text), policy, error));
    }
    if (key == NULL) {
        return policy->log_count > 0
                   ? DV_OK
                   : dv_error_set(error, DV_ERR_INVALID,
                                  "the policy names no log: say which with --key VKEY");
    }
    policy->log_count = 1;
    dv_result result = dv_note_verifier_parse(dv_slice_str(key), &policy->logs[0].key);
    return result == DV_OK
               ? DV_OK
               : dv_error_set(error, result,
                              "--key is no Ed25519 verifier key such as name+1a2b3c4d+AbC...");
}

/* By a log of the policy, when it names one. */
static dv_result weigh_cosigned(const dv_policy *policy, dv_slice note, dv_error *error)
{
    dv_checkpoint checkpoint;
    dv_policy_verdict verdict;
    if (policy->log_count > 0) {
        return dv_policy_check(policy, note, &checkpoint, &verdict, error);
    }
    dv_result result = dv_policy_weigh(policy, note, &verdict);
    if (result != DV_OK) {
        return dv_error_set(error, result, "a witness' signature is wrong");
    }
    return verdict.met ? DV_OK : dv_error_set(error, DV_ERR_FORBIDDEN, "the quorum is not reached");
}

dv_result dv_audit_check_cosigned(const char *folder, const char *policy_file, dv_error *error)
{
    char path[PATH_MAX];
    dv_error detail = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(DV_POLICY_TEXT_MAX);
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    dv_auto(free) dv_policy *policy = calloc(1, sizeof(*policy));
    int len = snprintf(path, sizeof(path), "%s/checkpoint.cosigned", folder);
    if (policy == NULL || len < 0 || (size_t)len >= sizeof(path)) {
        return policy == NULL ? DV_ERR_NO_MEMORY : DV_ERR_TOO_LARGE;
    }
    DV_TRY(dv_file_read(policy_file, &text, error));
    DV_TRY(dv_policy_parse(dv_buf_slice(&text), policy, error));
    dv_result result = dv_file_read(path, &note, &detail);
    if (result == DV_OK) {
        result = weigh_cosigned(policy, dv_buf_slice(&note), &detail);
    }
    return result == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_CORRUPT, "checkpoint.cosigned: %.400s", detail.message);
}

static dv_result event_path(const json_t *params, char out[PATH_MAX], dv_error *error)
{
    const char *event = text_param(params, "event");
    dv_slice proof = dv_slice_str(text_param(params, "proof"));
    int len;
    if (event != NULL) {
        len = snprintf(out, PATH_MAX, "%s", event);
    } else if (dv_slice_ends_with(proof, dv_slice_str(proof_ending))) {
        len = snprintf(out, PATH_MAX, "%.*s%s", (int)(proof.len - (sizeof(proof_ending) - 1)),
                       (const char *)proof.ptr, event_ending);
    } else {
        return dv_error_set(error, DV_ERR_INVALID, "say which event it proves: --event FILE");
    }
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path of the event is too long");
}

static dv_result read_all(const json_t *params, verification *v, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(read_trust(params, &v->policy, error));
    DV_TRY(event_path(params, path, error));
    DV_TRY(dv_file_read(text_param(params, "proof"), &v->text, error));
    return dv_file_read(path, &v->event, error);
}

static dv_result verify(const json_t *params, verification *v, dv_error *error)
{
    DV_TRY(read_all(params, v, error));
    v->read = true;
    DV_TRY(dv_tlog_proof_parse(dv_buf_slice(&v->text), &v->proof, error));
    DV_TRY(dv_policy_check(&v->policy, v->proof.checkpoint, &v->checkpoint, &v->verdict, error));
    uint64_t at_least = (uint64_t)json_integer_value(json_object_get(params, "at_least"));
    if (v->checkpoint.size < at_least) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the proof's checkpoint is older than that");
    }
    dv_result result = dv_tlog_proof_verify(&v->proof, dv_buf_slice(&v->event), &v->checkpoint);
    return result == DV_OK ? DV_OK
                           : dv_error_set(error, DV_ERR_CORRUPT,
                                          "the log that signed this has another event there");
}

static json_t *report_of(const verification *v)
{
    dv_auto(buf) dv_buf root = dv_buf_init(64);
    if (dv_hash_format(&v->checkpoint.root, &root) != DV_OK) {
        return NULL;
    }
    return json_pack("{s:s,s:b,s:s,s:I,s:I,s:s%,s:I}", "result", "ok", "ok", 1, "origin",
                     v->checkpoint.origin, "index", (json_int_t)v->proof.index, "size",
                     (json_int_t)v->checkpoint.size, "root", root.ptr, root.len, "cosignatures",
                     (json_int_t)v->verdict.count);
}

static int print_report(dv_cli *cli, const verification *v)
{
    dv_error error = {0};
    json_t *report = report_of(v);
    error.result = report == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, report, NULL, NULL);
    json_decref(report);
    return error.result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}

static verification *verification_new(void)
{
    verification *v = calloc(1, sizeof(*v));
    if (v != NULL) {
        v->text = dv_buf_init(DV_TLOG_PROOF_MAX);
        v->event = dv_buf_init(UINT16_MAX);
    }
    return v;
}

static void verification_free(verification *v)
{
    if (v != NULL) {
        dv_buf_release(&v->text);
        dv_buf_release(&v->event);
        free(v);
    }
}

int dv_audit_verify_proof(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    verification *v = verification_new();
    if (v == NULL) {
        error.result = DV_ERR_NO_MEMORY;
        return dv_cli_fail(cli, &error);
    }
    dv_result result = verify(params, v, &error);
    error.result = result;
    int code = result == DV_OK
                   ? print_report(cli, v)
                   : dv_audit_refute(cli, "proof", text_param(params, "proof"), &error, v->read);
    verification_free(v);
    return code;
}

dv_result dv_audit_proof_check(const json_t *params, dv_buf *event, json_t **ret_report,
                               bool *ret_read, dv_error *error)
{
    verification *v = verification_new();
    json_t *report = NULL;
    DV_TRY(v == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    dv_result result = verify(params, v, error);
    *ret_read = v->read;
    if (result == DV_OK) {
        result = dv_buf_append(event, dv_buf_slice(&v->event));
    }
    if (result == DV_OK) {
        report = report_of(v);
        result = report == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    }
    verification_free(v);
    DV_TRY(result);
    *ret_report = report;
    return DV_OK;
}
