/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data disposal certificate` and `verify`: a certificate, the event of the log that holds
 * its hash, and the proof of that event. The second needs no server. */
#include "api/commands.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "cli/audit_proof.h"
#include "cli/audit_verdict.h"
#include "cli/certificate.h"

#include <limits.h>
#include <time.h>

enum { FILE_MODE = 0644, TRIES = 50, LEAF_MAX = UINT16_MAX };

static const char event_ending[] = ".event";
static const char proof_ending[] = ".tlog-proof";

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static dv_result beside(const char *file, const char *ending, char out[PATH_MAX], dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s%s", file, ending);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path %.100s... is too long", file);
}

/* -- certificate ------------------------------------------------------------------------------- */

/* The certificate's own event among those of the request that ended the run. */
static dv_result choose_event(const dv_certificate *certificate, const json_t *proofs, dv_buf *leaf,
                              const char **ret_proof)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(proofs, "items"), i, item)
    {
        dv_buf_clear(leaf);
        DV_TRY(dv_base64_decode(dv_slice_str(text_of(item, "leaf")), leaf));
        if (dv_certificate_check_event(certificate, dv_buf_slice(leaf), NULL) == DV_OK) {
            *ret_proof = text_of(item, "proof");
            return DV_OK;
        }
    }
    return DV_ERR_NOT_FOUND;
}

/* The log takes events in a moment after they happened: asks for some seconds. */
static dv_result find_proof(dv_cli *cli, const dv_certificate *certificate, const char *request,
                            dv_buf *leaf, json_t **ret_proofs, const char **ret_proof,
                            dv_error *error)
{
    const struct timespec pause = {.tv_nsec = 200 * DV_MILLISECOND};
    dv_result result = DV_ERR_NOT_FOUND;
    json_t *asked = json_pack("{s:s}", "id", request);
    for (int i = 0; i < TRIES && result == DV_ERR_NOT_FOUND; i++) {
        json_t *proofs = NULL;
        if (i > 0) {
            nanosleep(&pause, NULL);
        }
        result = dv_cli_call(cli, "audit_proof", asked, NULL, &proofs, error);
        if (result == DV_OK) {
            result = choose_event(certificate, proofs, leaf, ret_proof);
        }
        if (result == DV_OK) {
            *ret_proofs = proofs;
        } else {
            json_decref(proofs);
        }
    }
    json_decref(asked);
    return result == DV_ERR_NOT_FOUND
               ? dv_error_set(error, result,
                              "the certificate is written, its proof is not: the log does not have "
                              "its event (yet), or keeps it no more")
               : result;
}

static dv_result write_proof(dv_cli *cli, const dv_certificate *certificate, const json_t *shown,
                             const char *file, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf leaf = dv_buf_init(LEAF_MAX);
    json_t *proofs = NULL;
    const char *proof = NULL;
    DV_TRY(find_proof(cli, certificate, text_of(shown, "request"), &leaf, &proofs, &proof, error));
    dv_result result = beside(file, event_ending, path, error);
    if (result == DV_OK) {
        result = dv_file_write_atomic(path, dv_buf_slice(&leaf), FILE_MODE, error);
    }
    if (result == DV_OK) {
        result = beside(file, proof_ending, path, error);
    }
    if (result == DV_OK) {
        result = dv_file_write_atomic(path, dv_slice_str(proof), FILE_MODE, error);
    }
    json_decref(proofs);
    return result;
}

/* One that is there already is left: fetched before, while the log had no proof yet. */
static dv_result write_once(const char *file, dv_slice text, dv_error *error)
{
    dv_auto(buf) dv_buf there = dv_buf_init(DV_CERTIFICATE_MAX);
    dv_result result = dv_file_write_new(file, text, FILE_MODE, error);
    if (result != DV_ERR_EXISTS) {
        return result;
    }
    return dv_file_read(file, &there, NULL) == DV_OK && dv_slice_eq(dv_buf_slice(&there), text)
               ? DV_OK
               : result;
}

static dv_result fetch(dv_cli *cli, const json_t *params, json_t *shown, dv_error *error)
{
    const char *file = text_of(params, "out");
    dv_slice text = dv_slice_str(text_of(shown, "document"));
    dv_certificate certificate;
    DV_TRY(dv_certificate_read(text, &certificate, error));
    if (strcmp(certificate.sha256, text_of(shown, "sha256")) != 0) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "the server sent another certificate than the one that it told of");
    }
    DV_TRY(write_once(file, text, error));
    DV_TRY(write_proof(cli, &certificate, shown, file, error));
    json_object_del(shown, "document");
    return dv_cli_print(cli, shown, NULL, NULL);
}

int dv_command_data_disposal_certificate(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    json_t *shown = NULL, *asked = json_pack("{s:s}", "id", text_of(params, "id"));
    dv_result result =
        dv_cli_call(cli, "data_disposal_certificate_show", asked, NULL, &shown, &error);
    json_decref(asked);
    if (result == DV_OK) {
        result = fetch(cli, params, shown, &error);
    }
    json_decref(shown);
    error.result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}

/* -- verify ------------------------------------------------------------------------------------ */

static dv_result check_proof(const json_t *params, const dv_certificate *certificate,
                             json_t **ret_report, bool *ret_read, dv_error *error)
{
    char event_path[PATH_MAX], proof_path[PATH_MAX];
    dv_auto(buf) dv_buf event = dv_buf_init(LEAF_MAX);
    const char *file = text_of(params, "file");
    DV_TRY(beside(file, event_ending, event_path, error));
    DV_TRY(beside(file, proof_ending, proof_path, error));
    json_t *asked = json_pack("{s:s, s:s, s:s*, s:s*}", "proof", proof_path, "event", event_path,
                              "key", json_string_value(json_object_get(params, "key")), "policy",
                              json_string_value(json_object_get(params, "policy")));
    dv_result result = asked == NULL
                           ? DV_ERR_NO_MEMORY
                           : dv_audit_proof_check(asked, &event, ret_report, ret_read, error);
    json_decref(asked);
    DV_TRY(result);
    return dv_certificate_check_event(certificate, dv_buf_slice(&event), error);
}

static dv_result verify(const json_t *params, json_t **ret_report, bool *ret_read, dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_CERTIFICATE_MAX);
    dv_certificate certificate;
    json_t *report = NULL;
    DV_TRY(dv_file_read(text_of(params, "file"), &text, error));
    *ret_read = true;
    DV_TRY(dv_certificate_read(dv_buf_slice(&text), &certificate, error));
    dv_result result = check_proof(params, &certificate, &report, ret_read, error);
    if (result == DV_OK) {
        result = json_object_update_new(
                     report, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "certificate",
                                       certificate.id, "sha256", certificate.sha256, "finished",
                                       certificate.finished, "files", (json_int_t)certificate.files,
                                       "destroyed", (json_int_t)certificate.destroyed, "rows",
                                       (json_int_t)certificate.rows)) == 0
                     ? DV_OK
                     : DV_ERR_NO_MEMORY;
    }
    if (result != DV_OK) {
        json_decref(report);
        return result;
    }
    *ret_report = report;
    return DV_OK;
}

int dv_command_data_disposal_verify(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    json_t *report = NULL;
    bool read = false;
    error.result = verify(params, &report, &read, &error);
    if (error.result != DV_OK) {
        return dv_audit_refute(cli, "certificate", text_of(params, "file"), &error, read);
    }
    error.result = dv_cli_print(cli, report, NULL, NULL);
    json_decref(report);
    return error.result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}
