/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara backup`: needs no server. */
#include "engine/log/backup.h"
#include "api/commands.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/backup_node.h"
#include "cli/keyring.h"
#include "cli/progress.h"
#include "crypto/random.h"

enum { SECRET_MODE = 0600, KEY_TEXT_MAX = 4 << 10 };

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

/* -- reports ----------------------------------------------------------------------------------- */

static int print_report(dv_cli *cli, const dv_backup_report *report, const char *file,
                        const char *state)
{
    dv_error error = {0};
    json_t *json = json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:b,s:b}", "file", file, "made",
                             report->made, "origin", report->origin, "size",
                             (json_int_t)report->size, "logs", (json_int_t)report->logs, "files",
                             (json_int_t)report->files, "bytes", (json_int_t)report->bytes,
                             "subject_root", report->subject_root, "node", report->node);
    if (json != NULL && state != NULL) {
        json_object_set_new(json, "state", json_string(state));
    }
    error.result = json == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, json, NULL, NULL);
    json_decref(json);
    return error.result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}

/* -- create ------------------------------------------------------------------------------------ */

int dv_command_backup_create(dv_cli *cli, const json_t *params)
{
    char now[DV_TIME_TEXT_MAX + 1];
    dv_error error = {0};
    dv_backup_report report;
    dv_auto(keyring) dv_keyring ring = {.lock = {.count = 0}};
    dv_progress_bar bar = dv_progress_bar_of(cli, "bytes");
    now[dv_time_format(dv_time_now(), now)] = '\0';
    dv_backup_create create = {.state_dir = cli->state_dir,
                               .lock = &ring.lock,
                               .subject_root =
                                   json_is_true(json_object_get(params, "with_subject_root")),
                               .now = now,
                               .progress = dv_progress_show,
                               .data = &bar};
    dv_auto(node_files) dv_node_files node = {.lock = -1};
    dv_result result = dv_keyring_begin(&error);
    if (result == DV_OK) {
        result = dv_keyring_lock(&ring, params, &error);
    }
    if (result == DV_OK && !json_is_true(json_object_get(params, "log_only"))) {
        result = dv_node_files_open(cli, &node, &error);
    }
    if (result == DV_OK) {
        create.files = node.list;
        create.file_count = node.count;
        result = dv_backup_write(&create, text_param(params, "file"), &report, &error);
        dv_progress_end(&bar);
    }
    error.result = result;
    return result == DV_OK ? print_report(cli, &report, text_param(params, "file"), NULL)
                           : dv_cli_fail(cli, &error);
}

/* -- restore ----------------------------------------------------------------------------------- */

static dv_result read_how(const json_t *params, dv_keyring *ring, dv_note_verifier *key,
                          dv_backup_open *open, dv_error *error)
{
    const char *vkey = text_param(params, "key");
    DV_TRY(dv_keyring_begin(error));
    DV_TRY(dv_keyring_opener(ring, params, error));
    if (vkey == NULL) {
        return DV_OK;
    }
    open->key = key;
    return dv_note_verifier_parse(dv_slice_str(vkey), key) == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID,
                              "--key is no Ed25519 verifier key such as name+1a2b3c4d+AbC...");
}

/* A state directory that nobody named is no place to restore into by accident. */
static dv_result check_said(const dv_cli *cli, dv_error *error)
{
    return cli->state_said
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID,
                              "say into which state directory: --state DIR, as it is said to "
                              "`dvara up` (not said, that takes %s here)",
                              cli->state_dir);
}

int dv_command_backup_restore(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    dv_note_verifier key;
    dv_backup_report report;
    dv_auto(keyring) dv_keyring ring = {.lock = {.count = 0}};
    dv_progress_bar bar = dv_progress_bar_of(cli, "bytes");
    dv_backup_open open = {.lock = &ring.lock,
                           .state_dir = cli->state_dir,
                           .check = dv_node_check,
                           .check_data = cli,
                           .subjects = text_param(params, "subjects"),
                           .without_subjects =
                               json_is_true(json_object_get(params, "without_subjects")),
                           .progress = dv_progress_show,
                           .data = &bar};
    dv_result result = check_said(cli, &error);
    if (result == DV_OK) {
        result = read_how(params, &ring, &key, &open, &error);
    }
    if (result == DV_OK) {
        result = dv_backup_restore(&open, text_param(params, "file"), &report, &error);
        dv_progress_end(&bar);
    }
    error.result = result;
    return result == DV_OK ? print_report(cli, &report, text_param(params, "file"), cli->state_dir)
                           : dv_cli_fail(cli, &error);
}

/* -- keygen ------------------------------------------------------------------------------------ */

static dv_result write_identity(const char *path, const dv_age_key *identity, const char *recipient,
                                dv_error *error)
{
    char text[DV_AGE_TEXT_MAX];
    dv_auto(secret_buf) dv_buf file = dv_buf_init(KEY_TEXT_MAX);
    dv_age_identity_format(identity, text);
    dv_result result = dv_buf_reserve(&file, KEY_TEXT_MAX);
    if (result == DV_OK) {
        result = dv_buf_append_printf(&file, "# public key: %s\n%s\n", recipient, text);
    }
    dv_wipe(text, sizeof(text));
    DV_TRY(result);
    return dv_file_write_new(path, dv_buf_slice(&file), SECRET_MODE, error);
}

int dv_command_backup_keygen(dv_cli *cli, const json_t *params)
{
    char recipient[DV_AGE_TEXT_MAX];
    dv_error error = {0};
    dv_age_key public_half, identity;
    const char *path = text_param(params, "file");
    dv_result result = dv_keyring_begin(&error);
    if (result == DV_OK) {
        result = dv_age_keypair(&public_half, &identity);
    }
    if (result == DV_OK) {
        dv_age_recipient_format(&public_half, recipient);
        result = write_identity(path, &identity, recipient, &error);
    }
    dv_wipe(&identity, sizeof(identity));
    if (result == DV_OK) {
        json_t *json = json_pack("{s:s,s:s}", "file", path, "recipient", recipient);
        result = json == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, json, NULL, NULL);
        json_decref(json);
    }
    error.result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}
