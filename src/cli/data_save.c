/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data_save.h"

#include "base/codec.h"
#include "base/utf8.h"
#include "cli/data_asset.h"
#include "crypto/hash.h"
#include "engine/scan/postgres.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PIECE_ASSETS = 200,
    PIECE_BYTES = 400 << 10, /* of JSON: a request of the control plane has 1 MiB at most */
    DETAILS_BYTES = 32 << 10,
    SOURCE_MAX = 1024,
    NAME_LIMIT = 4096, /* bytes, of the control plane */
    NAME_KEPT = 4000,
};

struct dv_data_save {
    dv_cli *cli;
    char source[SOURCE_MAX];
    char id[64]; /* of the scan; "": the first piece is still to come */
    json_t *assets;
    size_t bytes;
};

dv_result dv_data_save_new(dv_cli *cli, const char *source, dv_data_save **ret_save,
                           dv_error *error)
{
    dv_data_save *save = calloc(1, sizeof(*save));
    json_t *name = dv_data_text_json(source); /* paths may be no UTF-8 */
    if (save == NULL || name == NULL) {
        free(save);
        json_decref(name);
        return DV_ERR_NO_MEMORY;
    }
    dv_slice_copy(dv_slice_str(json_string_value(name)), save->source, sizeof(save->source));
    json_decref(name);
    save->cli = cli;
    save->assets = json_array();
    *ret_save = save;
    return DV_OK;
}

dv_result dv_data_save_new_at(dv_cli *cli, const char *path, dv_data_save **ret_save,
                              dv_error *error)
{
    char source[SOURCE_MAX], whole[PATH_MAX], host[256] = "localhost";
    if (dv_scan_is_postgres(path)) {
        DV_TRY(dv_scan_postgres_source(path, source, sizeof(source), error));
        return dv_data_save_new(cli, source, ret_save, error);
    }
    if (realpath(path, whole) == NULL) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "%s is not there", path);
    }
    if (gethostname(host, sizeof(host) - 1) != 0) {
        dv_slice_copy(DV_LIT("localhost"), host, sizeof(host));
    }
    if ((size_t)snprintf(source, sizeof(source), "file://%s%s", host, whole) >= sizeof(source)) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path is too long: name it with --source");
    }
    return dv_data_save_new(cli, source, ret_save, error);
}

void dv_data_save_free(dv_data_save *save)
{
    if (save != NULL) {
        json_decref(save->assets);
        free(save);
    }
}

static dv_result send_piece(dv_data_save *save, bool last, bool complete, json_t **ret_answer,
                            dv_error *error)
{
    json_t *answer = NULL;
    json_t *body = json_pack("{s:O, s:b, s:b}", "assets", save->assets, "last", (int)last,
                             "complete", (int)complete);
    const char *key = save->id[0] != '\0' ? "scan" : "source";
    const char *value = save->id[0] != '\0' ? save->id : save->source;
    if (body == NULL || json_object_set_new(body, key, json_string(value)) != 0) {
        json_decref(body);
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_cli_call(save->cli, "data_scan_keep", NULL, body, &answer, error);
    json_decref(body);
    DV_TRY(result);
    dv_slice_copy(dv_slice_str(json_string_value(json_object_get(answer, "id"))), save->id,
                  sizeof(save->id));
    json_array_clear(save->assets);
    save->bytes = 0;
    *ret_answer = answer;
    return DV_OK;
}

/* What the inventory keeps of why: the reasons, and as many findings as there is room for. */
static json_t *details_of(const json_t *asset)
{
    json_t *findings = json_array();
    json_t *details =
        json_pack("{s:O, s:o}", "reasons", json_object_get(asset, "reasons"), "findings", findings);
    size_t i, bytes = json_dumpb(details, NULL, 0, JSON_COMPACT);
    json_t *finding;
    json_array_foreach(json_object_get(asset, "findings"), i, finding)
    {
        bytes += json_dumpb(finding, NULL, 0, JSON_COMPACT) + 1;
        if (bytes > DETAILS_BYTES) {
            break;
        }
        json_array_append(findings, finding);
    }
    return details;
}

/* Paths may be longer than the inventory takes: what is cut off is told by its hash. One path that
 * somebody made so long must not keep the whole scan out. */
static json_t *name_of(const json_t *asset)
{
    uint8_t hash[DV_SHA256_LEN];
    json_t *name = json_object_get(asset, "name");
    dv_slice text = dv_slice_of(json_string_value(name), json_string_length(name));
    if (text.len <= NAME_LIMIT) {
        return json_incref(name);
    }
    dv_sha256(text, (dv_slice){NULL, 0}, (dv_slice){NULL, 0}, hash);
    dv_slice kept = dv_slice_sub(text, 0, NAME_KEPT);
    kept.len = dv_utf8_prefix(kept);
    return json_sprintf("%.*s...%016llx", DV_SLICE_ARGS(kept),
                        (unsigned long long)dv_get_u64(hash));
}

dv_result dv_data_save_add(dv_data_save *save, const json_t *asset, dv_error *error)
{
    static const char *const copied[] = {"kind",        "size",       "rows",       "values",
                                         "sensitivity", "confidence", "categories", "labels",
                                         "problem",     "modified",   "stamp"};
    json_t *answer = NULL, *row = json_object();
    for (size_t i = 0; i < DV_ARRAY_LEN(copied); i++) {
        json_object_set(row, copied[i], json_object_get(asset, copied[i]));
    }
    if (json_object_set_new(row, "name", name_of(asset)) != 0 ||
        json_object_set_new(row, "details", details_of(asset)) != 0) {
        json_decref(row);
        return DV_ERR_NO_MEMORY;
    }
    if (!json_equal(json_object_get(row, "name"), json_object_get(asset, "name"))) {
        json_object_del(row, "stamp"); /* nobody finds it by that */
    }
    size_t bytes = json_dumpb(row, NULL, 0, JSON_COMPACT);
    if (save->bytes + bytes > PIECE_BYTES || json_array_size(save->assets) == PIECE_ASSETS) {
        dv_result result = send_piece(save, false, false, &answer, error);
        json_decref(answer);
        if (result != DV_OK) {
            json_decref(row);
            return result;
        }
    }
    save->bytes += bytes;
    return json_array_append_new(save->assets, row) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_data_save_end(dv_data_save *save, bool complete, json_t *summary, dv_error *error)
{
    json_t *answer = NULL;
    DV_TRY(send_piece(save, true, complete, &answer, error));
    json_object_set_new(summary, "scan", answer);
    fprintf(
        save->cli->err,
        "kept as scan %s: %lld new, %lld gone, %lld back, %lld changed (`dvara data drift --scan "
        "%s`)\n",
        save->id, (long long)json_integer_value(json_object_get(answer, "new")),
        (long long)json_integer_value(json_object_get(answer, "gone")),
        (long long)json_integer_value(json_object_get(answer, "back")),
        (long long)json_integer_value(json_object_get(answer, "changed")), save->id);
    return DV_OK;
}
