/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/support_bundle.h"

#include "base/codec.h"
#include "base/file.h"
#include "crypto/hash.h"
#include "daemon/line_mask.h"
#include "engine/log/archive_tar.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

enum { LEVEL = 6 /* of zstd */, FILE_MODE = 0600, ARCHIVE_MAX = 256 << 20, JSON_DEPTH = 64 };

typedef struct member {
    char name[DV_TAR_NAME_MAX + 1];
    dv_buf bytes;
    size_t withheld; /* lines or strings */
} member;

struct dv_bundle {
    dv_line_mask *mask;
    dv_time made;
    member members[DV_BUNDLE_MEMBERS];
    size_t count;
    json_t *left_out;
};

static const char about[] =
    "A support bundle of Dvara, made by `dvara support bundle`.\n"
    "\n"
    "MANIFEST.json names each member with its SHA-256, and what was left out and why.\n"
    "Personal data and secrets that the detectors know stand here as [email], [ip], [secret] and\n"
    "so on, values of dvara.yaml as [removed]. Detectors find what has a form: a name or a text\n"
    "without one may have been left. Look at the members before you send them.\n"
    "\n"
    "Never in here: keys, the database, events of the audit log, prompts and answers.\n";

dv_result dv_bundle_new(dv_time made, dv_bundle **ret_bundle, dv_error *error)
{
    dv_auto(bundle) dv_bundle *bundle = calloc(1, sizeof *bundle);
    if (bundle == NULL || (bundle->left_out = json_array()) == NULL) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "no memory");
    }
    bundle->made = made;
    DV_TRY(dv_line_mask_new(&bundle->mask, error));
    *ret_bundle = bundle;
    bundle = NULL;
    return DV_OK;
}

void dv_bundle_free(dv_bundle *bundle)
{
    if (bundle != NULL) {
        for (size_t i = 0; i < bundle->count; i++) {
            dv_buf_release(&bundle->members[i].bytes);
        }
        dv_line_mask_free(bundle->mask);
        json_decref(bundle->left_out);
        free(bundle);
    }
}

/* ---- Members ---- */

static dv_result new_member(dv_bundle *bundle, const char *name, member **ret_member)
{
    if (bundle->count == DV_BUNDLE_MEMBERS || strlen(name) > DV_TAR_NAME_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    member *made = &bundle->members[bundle->count++];
    *made = (member){.bytes = dv_buf_init(DV_BUNDLE_MEMBER_MAX)};
    snprintf(made->name, sizeof made->name, "%s", name);
    *ret_member = made;
    return DV_OK;
}

/* One that failed is not in the bundle. */
static dv_result keep_member(dv_bundle *bundle, dv_result result)
{
    if (result != DV_OK) {
        bundle->count--;
        dv_buf_release(&bundle->members[bundle->count].bytes);
    }
    return result;
}

dv_result dv_bundle_add_text(dv_bundle *bundle, const char *name, dv_slice text)
{
    member *into = NULL;
    DV_TRY(new_member(bundle, name, &into));
    return keep_member(bundle,
                       dv_line_mask_text(bundle->mask, text, &into->bytes, &into->withheld));
}

/* A new reference; NULL: no memory. */
static json_t *mask_string(dv_bundle *bundle, member *into, dv_slice text)
{
    dv_auto(buf) dv_buf masked = dv_buf_init(DV_BUNDLE_MEMBER_MAX);
    if (text.len == 0) {
        return json_string("");
    }
    if (dv_line_mask_text(bundle->mask, text, &masked, &into->withheld) != DV_OK) {
        return NULL;
    }
    masked.len--; /* the newline behind the last line */
    return json_stringn((const char *)masked.ptr, masked.len);
}

static json_t *mask_value(dv_bundle *bundle, member *into, const json_t *value, int depth);

static json_t *mask_object(dv_bundle *bundle, member *into, const json_t *value, int depth)
{
    json_t *copy = json_object();
    const char *name;
    json_t *child;
    json_object_foreach((json_t *)(uintptr_t)value, name, child)
    {
        json_t *key = mask_string(bundle, into, dv_slice_str(name));
        json_t *inner = mask_value(bundle, into, child, depth + 1);
        bool good = key != NULL && inner != NULL &&
                    json_object_set(copy, json_string_value(key), inner) == 0;
        json_decref(key);
        json_decref(inner);
        if (!good) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

static json_t *mask_array(dv_bundle *bundle, member *into, const json_t *value, int depth)
{
    json_t *copy = json_array();
    for (size_t i = 0; i < json_array_size(value); i++) {
        json_t *inner = mask_value(bundle, into, json_array_get(value, i), depth + 1);
        if (inner == NULL || json_array_append_new(copy, inner) != 0) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

/* A new reference; NULL: no memory, or nested too deep. Numbers are our own counts. */
static json_t *mask_value(dv_bundle *bundle, member *into, const json_t *value, int depth)
{
    if (depth > JSON_DEPTH) {
        return NULL;
    }
    switch (json_typeof(value)) {
    case JSON_STRING:
        return mask_string(bundle, into,
                           dv_slice_of(json_string_value(value), json_string_length(value)));
    case JSON_OBJECT:
        return mask_object(bundle, into, value, depth);
    case JSON_ARRAY:
        return mask_array(bundle, into, value, depth);
    default:
        return json_deep_copy(value);
    }
}

static dv_result put_json(dv_buf *out, const json_t *value)
{
    dv_auto(free) char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_buf_append_str(out, text));
    return dv_buf_append_byte(out, '\n');
}

dv_result dv_bundle_add_json(dv_bundle *bundle, const char *name, const json_t *value)
{
    member *into = NULL;
    if (value == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(new_member(bundle, name, &into));
    json_t *masked = mask_value(bundle, into, value, 0);
    dv_result result = masked == NULL ? DV_ERR_NO_MEMORY : put_json(&into->bytes, masked);
    json_decref(masked);
    return keep_member(bundle, result);
}

void dv_bundle_leave_out(dv_bundle *bundle, const char *what, const char *why)
{
    member counted = {.name = ""};
    json_t *masked = mask_string(bundle, &counted, dv_slice_str(why));
    json_array_append_new(bundle->left_out, json_pack("{s:s, s:o*}", "what", what, "why", masked));
}

/* ---- The file ---- */

static json_t *member_json(const member *made)
{
    uint8_t hash[DV_SHA256_LEN];
    dv_auto(buf) dv_buf hex = dv_buf_init(2 * DV_SHA256_LEN + 1);
    dv_sha256(dv_buf_slice(&made->bytes), dv_slice_str(NULL), dv_slice_str(NULL), hash);
    if (dv_hex_encode(dv_slice_of(hash, sizeof hash), &hex) != DV_OK) {
        return NULL;
    }
    return json_pack("{s:s, s:I, s:s%, s:I}", "name", made->name, "bytes",
                     (json_int_t)made->bytes.len, "sha256", (const char *)hex.ptr, hex.len,
                     "withheld", (json_int_t)made->withheld);
}

static json_t *manifest_of(const dv_bundle *bundle)
{
    char made[DV_TIME_TEXT_MAX];
    json_t *members = json_array();
    dv_time_format(bundle->made, made);
    for (size_t i = 0; i < bundle->count; i++) {
        if (json_array_append_new(members, member_json(&bundle->members[i])) != 0) {
            json_decref(members);
            return NULL;
        }
    }
    return json_pack("{s:i, s:s, s:s, s:o, s:O}", "format", 1, "made", made, "version", DV_VERSION,
                     "members", members, "left_out", bundle->left_out);
}

static dv_result put_bytes(void *data, dv_slice bytes, dv_error *error)
{
    dv_result result = dv_buf_append(data, bytes);
    return result == DV_OK ? DV_OK : dv_error_set(error, result, "the bundle is too large");
}

static dv_result pack(const dv_bundle *bundle, const json_t *manifest, dv_buf *out, dv_error *error)
{
    dv_auto(tar_writer) dv_tar_writer *tar = NULL;
    dv_auto(buf) dv_buf text = dv_buf_init(DV_BUNDLE_MEMBER_MAX);
    const dv_tar_sink sink = {.put = put_bytes, .data = out};
    DV_TRY(put_json(&text, manifest));
    DV_TRY(dv_tar_writer_new(&sink, LEVEL, &tar));
    DV_TRY(dv_tar_add(tar, "dvara-support/README.txt", dv_slice_str(about), error));
    DV_TRY(dv_tar_add(tar, "dvara-support/MANIFEST.json", dv_buf_slice(&text), error));
    for (size_t i = 0; i < bundle->count; i++) {
        char name[sizeof bundle->members[i].name + 16];
        snprintf(name, sizeof name, "dvara-support/%s", bundle->members[i].name);
        DV_TRY(dv_tar_add(tar, name, dv_buf_slice(&bundle->members[i].bytes), error));
    }
    return dv_tar_finish(tar, error);
}

/* Under another name first, so that what has the name is whole. */
static dv_result write_whole(const char *path, dv_slice bytes, dv_error *error)
{
    char temporary[PATH_MAX];
    if (access(path, F_OK) == 0) {
        return dv_error_set(error, DV_ERR_EXISTS, "%s is there already", path);
    }
    if (snprintf(temporary, sizeof temporary, "%s.%ld.part", path, (long)getpid()) >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "%s: the path is too long", path);
    }
    DV_TRY(dv_file_write_new(temporary, bytes, FILE_MODE, error));
    int failed = link(temporary, path) == 0 ? 0 : errno;
    unlink(temporary);
    if (failed != 0) {
        return dv_error_set(error, failed == EEXIST ? DV_ERR_EXISTS : DV_ERR_IO, "%s: %s", path,
                            strerror(failed));
    }
    return dv_file_sync_folder(path);
}

dv_result dv_bundle_write(dv_bundle *bundle, const char *path, json_t **ret_manifest,
                          dv_error *error)
{
    dv_auto(buf) dv_buf packed = dv_buf_init(ARCHIVE_MAX);
    json_t *manifest = manifest_of(bundle);
    dv_result result = manifest == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    if (result == DV_OK) {
        result = pack(bundle, manifest, &packed, error);
    }
    if (result == DV_OK) {
        result = write_whole(path, dv_buf_slice(&packed), error);
    }
    if (result != DV_OK) {
        json_decref(manifest);
        return result;
    }
    *ret_manifest = manifest;
    return DV_OK;
}
