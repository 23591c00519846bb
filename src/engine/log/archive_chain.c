/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "base/file.h"
#include "engine/log/archive_private.h"
#include "engine/log/rotation.h"
#include "engine/log/sequencer.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* -- keys of a class' log, and of the main one ------------------------------------------------- */

/* The same key by the name of the main log: that of a class ends with "/<class>". */
static dv_result main_key(const char *log, const dv_note_verifier *key, dv_note_verifier *ret_key)
{
    char ending[DV_LOG_NAME_MAX + 2], name[DV_NOTE_NAME_MAX + 1];
    snprintf(ending, sizeof(ending), "/%s", log);
    snprintf(name, sizeof(name), "%s", key->name);
    if (strcmp(log, DV_LOG_MAIN) != 0 &&
        dv_slice_ends_with(dv_slice_str(name), dv_slice_str(ending))) {
        name[strlen(name) - strlen(ending)] = '\0';
    }
    return dv_note_verifier_init(name, key->public_key, ret_key);
}

static bool same_key(const dv_note_verifier *a, const dv_note_verifier *b)
{
    return strcmp(a->name, b->name) == 0 &&
           memcmp(a->public_key, b->public_key, sizeof(a->public_key)) == 0;
}

/* -- from one to the next ---------------------------------------------------------------------- */

/* Whether that key signs the archive itself, whose log is named as the signer is. */
static bool signs(dv_slice note, const dv_note_verifier *signer, const dv_note_verifier *key)
{
    dv_checkpoint checkpoint;
    dv_note_verifier named;
    return dv_note_verifier_init(signer->name, key->public_key, &named) == DV_OK &&
           dv_checkpoint_open(note, &named, &checkpoint) == DV_OK;
}

dv_result dv_archive_chain_begin(const dv_archive_manifest *manifest, dv_slice note,
                                 const dv_note_verifier *signer, const dv_note_verifier *trusted,
                                 dv_archive_chain *ret_chain, dv_error *error)
{
    dv_archive_chain chain = {.manifest = manifest, .led = trusted == NULL};
    DV_TRY(main_key(manifest->log, signer, &chain.signer));
    if (trusted != NULL) {
        DV_TRY(main_key(manifest->log, trusted, &chain.trusted));
        if (strcmp(chain.trusted.name, chain.signer.name) != 0) {
            return dv_error_set(error, DV_ERR_CORRUPT,
                                "its checkpoint is not signed by %s, the key that was asked for",
                                trusted->name);
        }
        chain.led = signs(note, signer, trusted);
    }
    *ret_chain = chain;
    return DV_OK;
}

static dv_result bad_step(uint32_t id, dv_error *error)
{
    return dv_error_set(error, DV_ERR_CORRUPT,
                        "its files rotated/%08" PRIx32 " do not show which key followed that one",
                        id);
}

/* One form: nothing in it but what is proved. */
static bool is_plain(dv_slice text)
{
    dv_tlog_proof proof;
    dv_auto(buf) dv_buf again = dv_buf_init(DV_TLOG_PROOF_MAX);
    return dv_tlog_proof_parse(text, &proof, NULL) == DV_OK && proof.extra.len == 0 &&
           dv_tlog_proof_format(&proof, &again) == DV_OK && dv_slice_eq(text, dv_buf_slice(&again));
}

dv_result dv_archive_chain_step(dv_archive_chain *chain, size_t i, dv_slice event, dv_slice proof,
                                dv_error *error)
{
    dv_note_verifier next;
    uint32_t id = chain->manifest->rotated[i];
    bool trusted = chain->trusted.name[0] != '\0' && chain->trusted.key_id == id;
    /* Ids are short: a key of the same id is not the same key. */
    if ((i > 0 && chain->key.key_id != id) ||
        (i > 0 && trusted && !same_key(&chain->key, &chain->trusted))) {
        return bad_step(id, error);
    }
    const dv_note_verifier *key = trusted ? &chain->trusted : i > 0 ? &chain->key : NULL;
    dv_result result =
        is_plain(proof) ? dv_rotation_check(event, proof, key, &next) : DV_ERR_CORRUPT;
    if (result == DV_ERR_NO_MEMORY) {
        return result;
    }
    if (result != DV_OK || strcmp(next.name, chain->signer.name) != 0) {
        return bad_step(id, error);
    }
    chain->key = next;
    chain->led = chain->led || trusted;
    return DV_OK;
}

dv_result dv_archive_chain_end(const dv_archive_chain *chain, dv_error *error)
{
    size_t steps = chain->manifest->rotated_len;
    if (steps > 0 && !same_key(&chain->key, &chain->signer)) {
        return bad_step(chain->manifest->rotated[steps - 1], error);
    }
    return chain->led ? DV_OK
                      : dv_error_set(error, DV_ERR_CORRUPT,
                                     "its checkpoint is not signed by %s+%08" PRIx32
                                     ", the key that was asked for, nor do its files rotated/ lead "
                                     "from that to the one that signs it",
                                     chain->trusted.name, chain->trusted.key_id);
}

/* -- finding them ------------------------------------------------------------------------------ */

typedef struct former_key {
    uint32_t id, next; /* of keys */
} former_key;

typedef struct former_keys {
    former_key list[DV_ARCHIVE_ROTATED_MAX];
    size_t count;
} former_keys;

static dv_result read_in(const char *folder, const char *name, dv_buf *out, dv_error *error)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);
    dv_buf_clear(out);
    return len > 0 && len < PATH_MAX
               ? dv_file_read(path, out, error)
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
}

/* "1a2b3c4d.event" */
static bool read_id(const char *name, uint32_t *ret_id)
{
    uint8_t bytes[sizeof(uint32_t)];
    dv_slice text = dv_slice_str(name);
    if (text.len != 2 * sizeof(bytes) + strlen(".event") ||
        !dv_slice_ends_with(text, DV_LIT(".event")) ||
        dv_hex_decode(dv_slice_sub(text, 0, 2 * sizeof(bytes)), bytes, sizeof(bytes)) != DV_OK) {
        return false;
    }
    *ret_id =
        (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    return true;
}

static dv_result add_former(const char *folder, uint32_t id, former_keys *keys, dv_error *error)
{
    char event[DV_ROTATION_NAME_MAX], proof[DV_ROTATION_NAME_MAX];
    dv_note_verifier next;
    dv_auto(buf) dv_buf text = dv_buf_init(UINT16_MAX);
    if (keys->count == DV_ARCHIVE_ROTATED_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "%s/rotated has more than %d keys", folder,
                            DV_ARCHIVE_ROTATED_MAX);
    }
    dv_rotation_names(id, event, proof);
    DV_TRY(read_in(folder, event, &text, error));
    dv_result result = dv_rotation_read(dv_buf_slice(&text), &next);
    if (result == DV_OK) {
        keys->list[keys->count++] = (former_key){id, next.key_id};
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result; /* what is no step leads nowhere */
}

static dv_result read_former(const char *folder, former_keys *keys, dv_error *error)
{
    uint32_t id;
    char path[PATH_MAX];
    dv_result result = DV_OK;
    int len = snprintf(path, sizeof(path), "%s/rotated", folder);
    DIR *dir = len > 0 && len < PATH_MAX ? opendir(path) : NULL;
    if (dir == NULL) {
        return errno == ENOENT
                   ? DV_OK
                   : dv_error_set(error, DV_ERR_IO, "can not read %s: %s", path, strerror(errno));
    }
    for (struct dirent *entry = readdir(dir); entry != NULL && result == DV_OK;
         entry = readdir(dir)) {
        if (read_id(entry->d_name, &id)) {
            result = add_former(folder, id, keys, error);
        }
    }
    closedir(dir);
    return result;
}

/* The one that named that key; it is found once. */
static bool take_before(former_keys *keys, uint32_t next, uint32_t *ret_id)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->list[i].next == next) {
            *ret_id = keys->list[i].id;
            keys->list[i] = keys->list[--keys->count];
            return true;
        }
    }
    return false;
}

dv_result dv_archive_chain_find(const char *main_folder, const dv_note_verifier *signer,
                                dv_archive_manifest *manifest, dv_error *error)
{
    dv_note_verifier key;
    dv_auto(free) former_keys *keys = calloc(1, sizeof(*keys));
    if (keys == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(main_key(manifest->log, signer, &key));
    DV_TRY(read_former(main_folder, keys, error));
    uint32_t *ids = manifest->rotated;
    size_t count = 0;
    for (uint32_t id = key.key_id; take_before(keys, id, &id);) {
        memmove(ids + 1, ids, count++ * sizeof(*ids));
        ids[0] = id;
    }
    manifest->rotated_len = count;
    return DV_OK;
}

/* -- an unpacked archive ----------------------------------------------------------------------- */

static dv_result walk_folder(const char *folder, dv_archive_chain *chain, dv_error *error)
{
    char event[DV_ROTATION_NAME_MAX], proof[DV_ROTATION_NAME_MAX];
    dv_auto(buf) dv_buf first = dv_buf_init(UINT16_MAX), second = dv_buf_init(DV_TLOG_PROOF_MAX);
    for (size_t i = 0; i < chain->manifest->rotated_len; i++) {
        dv_rotation_names(chain->manifest->rotated[i], event, proof);
        DV_TRY(read_in(folder, event, &first, error));
        DV_TRY(read_in(folder, proof, &second, error));
        DV_TRY(dv_archive_chain_step(chain, i, dv_buf_slice(&first), dv_buf_slice(&second), error));
    }
    return dv_archive_chain_end(chain, error);
}

dv_result dv_archive_chain_folder(const char *folder, const dv_archive_manifest *manifest,
                                  const dv_note_verifier *trusted, dv_note_verifier *ret_key,
                                  dv_error *error)
{
    dv_note_verifier signer;
    dv_archive_chain chain;
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    DV_TRY(dv_tiles_vkey(folder, &signer, error));
    DV_TRY(read_in(folder, "checkpoint", &note, error));
    DV_TRY(dv_archive_chain_begin(manifest, dv_buf_slice(&note), &signer, trusted, &chain, error));
    dv_result result = walk_folder(folder, &chain, error);
    *ret_key = signer;
    return result == DV_ERR_NOT_FOUND ? DV_ERR_CORRUPT : result;
}
