/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_cosignature.h"

#include "base/file.h"
#include "engine/log/policy.h"
#include "engine/log/tiles.h"

#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

enum { KEYS_MAX = 2, FILE_MODE = 0644 };

static dv_result path_in(const char *folder, const char *name, char out[PATH_MAX], dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
}

static dv_result load_policy(const char *runtime_dir, dv_policy *ret_policy, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(DV_POLICY_TEXT_MAX);
    DV_TRY(path_in(runtime_dir, DV_WITNESS_POLICY_FILE, path, error));
    if (dv_file_read(path, &text, error) != DV_OK) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "no witnesses are configured");
    }
    return dv_policy_parse(dv_buf_slice(&text), ret_policy, error);
}

static dv_result add_keys(const char *vkeys, dv_policy *policy)
{
    dv_slice rest = dv_slice_str(vkeys), line;
    policy->log_count = 0;
    while (policy->log_count < KEYS_MAX && dv_slice_split(&rest, '\n', &line) && line.len > 0) {
        DV_TRY(dv_note_verifier_parse(line, &policy->logs[policy->log_count].key));
        policy->log_count++;
    }
    return policy->log_count > 0 ? DV_OK : DV_ERR_INTERNAL;
}

/* The three lines of a note of ours in the folder; 0 entries when there is none. */
static dv_result read_checkpoint(const char *log_folder, const char *name,
                                 dv_checkpoint *ret_checkpoint, dv_error *error)
{
    char path[PATH_MAX];
    dv_note parts;
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    DV_TRY(path_in(log_folder, name, path, error));
    dv_result result = dv_file_read(path, &note, error);
    if (result == DV_ERR_NOT_FOUND) {
        *ret_checkpoint = (dv_checkpoint){.size = 0};
        return DV_OK;
    }
    DV_TRY(result);
    if (dv_note_split(dv_buf_slice(&note), &parts) != DV_OK ||
        dv_checkpoint_parse(parts.text, ret_checkpoint) != DV_OK) {
        return dv_error_set(error, DV_ERR_CORRUPT, "%s is malformed", path);
    }
    return DV_OK;
}

/* Of the log as it is now, and no step back. */
static dv_result check_place(const char *log_folder, const dv_checkpoint *checkpoint,
                             dv_error *error)
{
    dv_hash root;
    dv_checkpoint now, before;
    DV_TRY(read_checkpoint(log_folder, "checkpoint", &now, error));
    DV_TRY(read_checkpoint(log_folder, "checkpoint.cosigned", &before, error));
    if (checkpoint->size > now.size) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "this is over %" PRIu64 " entries, but the log has %" PRIu64,
                            checkpoint->size, now.size);
    }
    if (checkpoint->size < before.size) {
        return dv_error_set(error, DV_ERR_CONFLICT, "a larger checkpoint is cosigned already");
    }
    DV_TRY(dv_tiles_root(log_folder, checkpoint->size, &root, error));
    return dv_hash_eq(&root, &checkpoint->root)
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "this is not the log's root at that size");
}

/* The text, and of the signatures those by keys of the policy. */
static dv_result compose(const dv_policy *policy, dv_slice note, dv_buf *out)
{
    dv_note parts;
    dv_auto(note_signature) dv_note_signature line = {.key_id = 0};
    DV_TRY(dv_note_split(note, &parts));
    DV_TRY(dv_buf_append(out, parts.text));
    DV_TRY(dv_buf_append_byte(out, '\n'));
    while (dv_note_next(&parts.signatures, &line) == DV_OK) {
        bool known = false;
        for (size_t i = 0; i < policy->log_count; i++) {
            known = known || dv_note_signed_by(&line, &policy->logs[i].key);
        }
        for (size_t i = 0; i < policy->witness_count; i++) {
            known = known || dv_note_signed_by(&line, &policy->witnesses[i].key);
        }
        if (known) {
            DV_TRY(dv_buf_append(out, line.line));
            DV_TRY(dv_buf_append_byte(out, '\n'));
        }
    }
    return DV_OK;
}

static dv_result take(const char *log_folder, const dv_policy *policy, dv_slice note,
                      dv_error *error)
{
    char path[PATH_MAX];
    dv_checkpoint checkpoint;
    dv_policy_verdict verdict;
    dv_auto(buf) dv_buf out = dv_buf_init(DV_NOTE_MAX);
    DV_TRY(dv_policy_check(policy, note, &checkpoint, &verdict, error));
    DV_TRY(check_place(log_folder, &checkpoint, error));
    DV_TRY(compose(policy, note, &out));
    DV_TRY(path_in(log_folder, "checkpoint.cosigned", path, error));
    return dv_file_write_atomic(path, dv_buf_slice(&out), FILE_MODE, error);
}

dv_result dv_logd_cosignature_take(const char *log_folder, const char *runtime_dir,
                                   const char *vkeys, dv_slice note, dv_error *error)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER; /* no step back */
    dv_auto(free) dv_policy *policy = calloc(1, sizeof(*policy));
    if (policy == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(load_policy(runtime_dir, policy, error));
    DV_TRY(add_keys(vkeys, policy));
    pthread_mutex_lock(&one_at_a_time);
    dv_result result = take(log_folder, policy, note, error);
    pthread_mutex_unlock(&one_at_a_time);
    return result;
}

dv_result dv_logd_cosignature_check(const char *log_folder, dv_error *error)
{
    dv_checkpoint now, cosigned;
    DV_TRY(read_checkpoint(log_folder, "checkpoint", &now, error));
    DV_TRY(read_checkpoint(log_folder, "checkpoint.cosigned", &cosigned, error));
    if (cosigned.size > now.size) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "log: witnesses saw %" PRIu64 " entries, but only %" PRIu64
                            " are there: the log was taken back",
                            cosigned.size, now.size);
    }
    return DV_OK;
}

dv_result dv_logd_cosignature_bound(const char *log_folder, const char *runtime_dir,
                                    uint64_t *ret_size, dv_error *error)
{
    char path[PATH_MAX];
    dv_checkpoint cosigned;
    DV_TRY(path_in(runtime_dir, DV_WITNESS_POLICY_FILE, path, error));
    if (access(path, F_OK) != 0) {
        *ret_size = UINT64_MAX;
        return DV_OK;
    }
    DV_TRY(read_checkpoint(log_folder, "checkpoint.cosigned", &cosigned, error));
    *ret_size = cosigned.size;
    return DV_OK;
}
