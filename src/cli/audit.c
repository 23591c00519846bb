/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara audit verify`: needs no server, only the log's folder, or a proof. */
#include "api/commands.h"
#include "base/codec.h"
#include "cli/audit_archive.h"
#include "cli/audit_proof.h"
#include "cli/audit_verdict.h"
#include "engine/log/rotation.h"
#include "engine/log/verify.h"

#include <limits.h>
#include <unistd.h>

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

/* On a terminal, how far it is: a million events take seconds. */
static void show_progress(void *data, uint64_t done, uint64_t total)
{
    enum { EVERY = 100 * 256 };
    dv_cli *cli = data;
    if (done % EVERY == 0 && done < total) {
        fprintf(cli->err, "\rchecked %llu of %llu events", (unsigned long long)done,
                (unsigned long long)total);
    } else if (done == total && total >= EVERY) {
        fputs("\r\033[K", cli->err);
    }
}

static dv_result read_key(const char *text, dv_note_verifier *ret_key, dv_error *error)
{
    dv_result result = dv_note_verifier_parse(dv_slice_str(text), ret_key);
    return result == DV_OK
               ? DV_OK
               : dv_error_set(error, result,
                              "--key is no Ed25519 verifier key such as name+1a2b3c4d+AbC...");
}

/* A whole log may still have been cut back: only who noted an older size can tell. */
static void check_size(const json_t *params, dv_log_report *report)
{
    uint64_t at_least = (uint64_t)json_integer_value(json_object_get(params, "at_least"));
    if (report->ok && report->size < at_least) {
        report->ok = false;
        snprintf(report->problem, sizeof(report->problem),
                 "the log has %llu events, but %llu were there before",
                 (unsigned long long)report->size, (unsigned long long)at_least);
    }
}

/* Witnesses' keys are not beside the log: only who says whom to believe can judge them. */
static void check_cosigned(const json_t *params, const char *folder, dv_log_report *report)
{
    dv_error error = {0};
    const char *policy = text_param(params, "policy");
    if (report->ok && policy != NULL) {
        report->ok = dv_audit_check_cosigned(folder, policy, &error) == DV_OK;
        snprintf(report->problem, sizeof(report->problem), "%s", error.message);
    }
}

static json_t *report_json(const dv_log_report *report)
{
    dv_auto(buf) dv_buf root = dv_buf_init(64);
    if (dv_base64_encode(dv_slice_of(report->root.bytes, DV_HASH_LEN), &root) != DV_OK) {
        return NULL;
    }
    return json_pack("{s:s,s:b,s:s,s:I,s:s%,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "result",
                     report->ok ? "ok" : "failed", "ok", report->ok, "origin", report->origin,
                     "size", (json_int_t)report->size, "root", root.ptr, root.len, "signer",
                     report->signer, "logs", (json_int_t)report->logs, "entries",
                     (json_int_t)report->entries, "pruned", (json_int_t)report->pruned, "tiles",
                     (json_int_t)report->tiles, "large_fields", (json_int_t)report->blobs,
                     "large_fields_missing", (json_int_t)report->blobs_missing, "writers",
                     (json_int_t)report->writers, "problem", report->problem);
}

static int print_report(dv_cli *cli, const dv_log_report *report)
{
    dv_error error = {.result = DV_ERR_CORRUPT};
    json_t *json = report_json(report);
    dv_result result = json == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, json, NULL, NULL);
    json_decref(json);
    if (result != DV_OK) {
        error.result = result;
        return dv_cli_fail(cli, &error);
    }
    if (!report->ok) {
        snprintf(error.message, sizeof(error.message), "%s", report->problem);
        return dv_cli_fail(cli, &error);
    }
    return DV_EXIT_DONE;
}

/* The key that was noted may have been replaced since: the log shows by which. Where it does not,
 * the verification says so. */
static void follow_key(const char *folder, dv_note_verifier *key)
{
    size_t steps;
    dv_note_verifier now;
    if (dv_rotation_follow(folder, key, &now, &steps, NULL) == DV_OK) {
        *key = now;
    }
}

/* A copy of another node's log holds no large fields. Only a folder that somebody names can be one:
 * this node's own log is what it is, whatever lies in its folder. */
static bool is_copy(const char *named, const char *folder)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/seen", folder);
    return named != NULL && len > 0 && len < PATH_MAX && access(path, F_OK) == 0;
}

int dv_command_audit_verify(dv_cli *cli, const json_t *params)
{
    char folder[PATH_MAX];
    dv_note_verifier key;
    dv_log_report report;
    dv_error error = {0};
    if (text_param(params, "proof") != NULL) {
        return dv_audit_verify_proof(cli, params);
    }
    if (text_param(params, "archive") != NULL) {
        return dv_audit_verify_archive(cli, params);
    }
    const char *key_text = text_param(params, "key");
    const char *log = text_param(params, "log");
    int len = log != NULL ? snprintf(folder, sizeof(folder), "%s", log)
                          : snprintf(folder, sizeof(folder), "%s/log", cli->state_dir);
    if (len < 0 || len >= PATH_MAX) {
        dv_error_set(&error, DV_ERR_TOO_LARGE, "the path of the log is too long");
        return dv_cli_fail(cli, &error);
    }
    if (key_text != NULL && read_key(key_text, &key, &error) != DV_OK) {
        return dv_audit_refute(cli, "folder", folder, &error, false);
    }
    if (key_text != NULL) {
        follow_key(folder, &key);
    }
    bool show = isatty(fileno(cli->err)) == 1;
    dv_result result = (is_copy(log, folder) ? dv_log_verify_copy : dv_log_verify)(
        folder, key_text != NULL ? &key : NULL, show ? show_progress : NULL, cli, &report);
    if (result == DV_ERR_NOT_FOUND) {
        dv_error_set(&error, result, "there is no log in %s: %s", folder, report.problem);
        return dv_audit_refute(cli, "folder", folder, &error, false);
    }
    check_size(params, &report);
    check_cosigned(params, folder, &report);
    return print_report(cli, &report);
}
