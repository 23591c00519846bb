/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/certificate.h"

#include "base/json.h"
#include "crypto/hash.h"

#include <stdio.h>

enum { MEMORY_MAX = 256 << 20, TOKENS_MAX = 1 << 20, DEPTH_MAX = 8, EVENT_DEPTH_MAX = 32 };

static dv_result wrong(dv_error *error, const char *what)
{
    return dv_error_set(error, DV_ERR_INVALID, "this is no certificate of destruction: %s", what);
}

/* The text of a member as a C string. */
static dv_result copy_text(const dv_json *json, uint32_t object, const char *name, dv_arena *arena,
                           char *out, size_t size)
{
    dv_slice text;
    uint32_t token = dv_json_member(json, object, name);
    if (token == 0 || json->tokens[token].type != DV_JSON_STRING) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_json_string(json, token, arena, &text));
    if (text.len >= size || dv_slice_find_byte(text, 0) >= 0) {
        return DV_ERR_INVALID;
    }
    dv_slice_copy(text, out, size);
    return DV_OK;
}

static bool is_hash(const char *text)
{
    return strlen(text) == 2 * (size_t)DV_SHA256_LEN &&
           strspn(text, "0123456789abcdef") == 2 * (size_t)DV_SHA256_LEN;
}

/* -1: there is none, or it is no whole number of 0 or more. */
static int64_t number_of(const dv_json *json, uint32_t object, const char *name)
{
    int64_t number = -1;
    uint32_t token = dv_json_member(json, object, name);
    bool is = token != 0 && json->tokens[token].type == DV_JSON_NUMBER &&
              dv_json_int(json, token, &number) == DV_OK && number >= 0;
    return is ? number : -1;
}

/* How many rows of a table went, and by which time; its names may be hidden. */
static dv_result read_rows(const dv_json *json, uint32_t item, dv_arena *arena,
                           dv_certificate *certificate, dv_error *error)
{
    char before[DV_CERTIFICATE_ID_MAX], method[16];
    int64_t rows = number_of(json, item, "rows");
    if (rows <= 0 || number_of(json, item, "undated") < 0 ||
        copy_text(json, item, "before", arena, before, sizeof(before)) != DV_OK ||
        copy_text(json, item, "method", arena, method, sizeof(method)) != DV_OK ||
        strcmp(method, "delete") != 0 ||
        __builtin_add_overflow(certificate->rows, (uint64_t)rows, &certificate->rows)) {
        return wrong(error, "rows that were destroyed have no number, time or method");
    }
    return DV_OK;
}

static dv_result read_hash(const dv_json *json, uint32_t item, dv_arena *arena, dv_error *error)
{
    char method[16] = "", hash[80] = "";
    return copy_text(json, item, "sha256", arena, hash, sizeof(hash)) == DV_OK && is_hash(hash) &&
                   copy_text(json, item, "method", arena, method, sizeof(method)) == DV_OK &&
                   method[0] != '\0'
               ? DV_OK
               : wrong(error, "what was destroyed has no hash or method");
}

/* One file or, since version 2, table; counts it. */
static dv_result read_item(const dv_json *json, uint32_t item, dv_arena *arena,
                           dv_certificate *certificate, dv_error *error)
{
    char outcome[16], asset[DV_CERTIFICATE_ID_MAX], kind[16] = "";
    if (json->tokens[item].type != DV_JSON_OBJECT ||
        copy_text(json, item, "asset", arena, asset, sizeof(asset)) != DV_OK ||
        copy_text(json, item, "outcome", arena, outcome, sizeof(outcome)) != DV_OK) {
        return wrong(error, "a file or table has no id or no outcome");
    }
    certificate->files++;
    if (strcmp(outcome, "destroyed") != 0) {
        return DV_OK;
    }
    certificate->destroyed++;
    bool table = certificate->version > 1 &&
                 copy_text(json, item, "kind", arena, kind, sizeof(kind)) == DV_OK &&
                 strcmp(kind, "table") == 0;
    return table ? read_rows(json, item, arena, certificate, error)
                 : read_hash(json, item, arena, error);
}

static dv_result read_items(const dv_json *json, dv_arena *arena, dv_certificate *certificate,
                            dv_error *error)
{
    uint32_t items = dv_json_member(json, 0, "items");
    if (items == 0 || json->tokens[items].type != DV_JSON_ARRAY) {
        return wrong(error, "it lists no files");
    }
    for (uint32_t at = items + 1; at < json->tokens[items].next; at = json->tokens[at].next) {
        DV_TRY(read_item(json, at, arena, certificate, error));
    }
    int64_t destroyed = number_of(json, 0, "destroyed");
    if (destroyed < 0 || (uint64_t)destroyed != certificate->destroyed) {
        return wrong(error, "it does not say how many were destroyed, or another number");
    }
    int64_t rows = certificate->version > 1 ? number_of(json, 0, "rows_destroyed") : 0;
    return rows >= 0 && (uint64_t)rows == certificate->rows
               ? DV_OK
               : wrong(error, "it does not say how many rows were destroyed, or another number");
}

/* Entries of a vault are counted, not listed. */
static dv_result read_vault(const dv_json *json, dv_arena *arena, dv_certificate *certificate,
                            dv_error *error)
{
    char outcome[16], vault[80], method[1024] = "";
    int64_t destroyed = number_of(json, 0, "destroyed");
    if (copy_text(json, 0, "vault", arena, vault, sizeof(vault)) != DV_OK || destroyed < 0 ||
        copy_text(json, 0, "outcome", arena, outcome, sizeof(outcome)) != DV_OK) {
        return wrong(error,
                     "it does not say which vault, how many entries, or what became of them");
    }
    bool gone = strcmp(outcome, "destroyed") == 0;
    certificate->destroyed = (uint64_t)destroyed;
    certificate->files = certificate->destroyed;
    return gone ? (copy_text(json, 0, "method", arena, method, sizeof(method)) == DV_OK &&
                           method[0] != '\0' && number_of(json, 0, "remaining") >= 0
                       ? DV_OK
                       : wrong(error, "it does not say how, or how many entries are left"))
           : destroyed == 0 ? DV_OK
                            : wrong(error, "entries are counted that were not destroyed");
}

/* One case; counts it. */
static dv_result read_case(const dv_json *json, uint32_t item, dv_arena *arena,
                           dv_certificate *certificate, dv_error *error)
{
    char id[DV_CERTIFICATE_ID_MAX], type[64], outcome[16];
    if (json->tokens[item].type != DV_JSON_OBJECT ||
        copy_text(json, item, "case", arena, id, sizeof(id)) != DV_OK ||
        copy_text(json, item, "type", arena, type, sizeof(type)) != DV_OK ||
        copy_text(json, item, "outcome", arena, outcome, sizeof(outcome)) != DV_OK) {
        return wrong(error, "a case has no id, no type or no outcome");
    }
    certificate->files++;
    certificate->destroyed += strcmp(outcome, "destroyed") == 0;
    return DV_OK;
}

static dv_result read_cases(const dv_json *json, dv_arena *arena, dv_certificate *certificate,
                            dv_error *error)
{
    char method[1024] = "";
    uint32_t items = dv_json_member(json, 0, "items");
    if (items == 0 || json->tokens[items].type != DV_JSON_ARRAY) {
        return wrong(error, "it lists no cases");
    }
    for (uint32_t at = items + 1; at < json->tokens[items].next; at = json->tokens[at].next) {
        DV_TRY(read_case(json, at, arena, certificate, error));
    }
    if (copy_text(json, 0, "method", arena, method, sizeof(method)) != DV_OK || method[0] == '\0') {
        return wrong(error, "it does not say how");
    }
    int64_t told = number_of(json, 0, "destroyed");
    return told >= 0 && (uint64_t)told == certificate->destroyed
               ? DV_OK
               : wrong(error, "it does not say how many were destroyed, or another number");
}

/* Version 1 is of files; 2 of files or tables, or of what it says that it is of. */
static dv_result read_body(const dv_json *json, dv_arena *arena, dv_certificate *certificate,
                           dv_error *error)
{
    char of[16];
    if (certificate->version == 1 || dv_json_member(json, 0, "of") == 0) {
        return read_items(json, arena, certificate, error);
    }
    if (copy_text(json, 0, "of", arena, of, sizeof(of)) != DV_OK) {
        return wrong(error, "it does not say what it is about");
    }
    if (strcmp(of, "cases") == 0) {
        return read_cases(json, arena, certificate, error);
    }
    return strcmp(of, "vault") == 0
               ? read_vault(json, arena, certificate, error)
               : dv_error_set(error, DV_ERR_INVALID, "certificates about %s are not known", of);
}

static void hash_text(dv_slice text, char out[DV_CERTIFICATE_HASH_MAX])
{
    uint8_t hash[DV_SHA256_LEN];
    dv_sha256(text, (dv_slice){NULL, 0}, (dv_slice){NULL, 0}, hash);
    for (size_t i = 0; i < sizeof(hash); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", hash[i]);
    }
}

static dv_result read_all(dv_slice text, dv_arena *arena, dv_certificate *certificate,
                          dv_error *error)
{
    const dv_json_limits limits = {
        .depth = DEPTH_MAX, .tokens = TOKENS_MAX, .refuse_duplicate_keys = true};
    dv_json json;
    char type[64];
    DV_TRY(dv_json_scan(text, &limits, arena, &json, error));
    if (json.tokens[0].type != DV_JSON_OBJECT ||
        copy_text(&json, 0, "type", arena, type, sizeof(type)) != DV_OK ||
        strcmp(type, "dvara certificate of destruction") != 0) {
        return wrong(error, "it does not say so");
    }
    certificate->version = number_of(&json, 0, "version");
    if (certificate->version != 1 && certificate->version != 2) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "only certificates of the versions 1 and 2 are known");
    }
    if (copy_text(&json, 0, "id", arena, certificate->id, sizeof(certificate->id)) != DV_OK ||
        copy_text(&json, 0, "finished", arena, certificate->finished,
                  sizeof(certificate->finished)) != DV_OK) {
        return wrong(error, "it has no id, or does not say when");
    }
    return read_body(&json, arena, certificate, error);
}

dv_result dv_certificate_read(dv_slice text, dv_certificate *ret_certificate, dv_error *error)
{
    dv_certificate certificate = {.id = ""};
    dv_auto(arena) dv_arena *arena = dv_arena_new(MEMORY_MAX);
    DV_TRY(arena == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    if (text.len > DV_CERTIFICATE_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "certificates have at most %d bytes",
                            DV_CERTIFICATE_MAX);
    }
    DV_TRY(read_all(text, arena, &certificate, error));
    hash_text(text, certificate.sha256);
    *ret_certificate = certificate;
    return DV_OK;
}

/* --- the log's word -------------------------------------------------------------------------- */

static bool says(const dv_json *json, uint32_t object, const char *name, const char *text)
{
    uint32_t token = object == UINT32_MAX ? 0 : dv_json_member(json, object, name);
    return token != 0 && json->tokens[token].type == DV_JSON_STRING &&
           dv_slice_eq_str(dv_json_raw(json, token), text);
}

/* UINT32_MAX: there is none. */
static uint32_t inner(const dv_json *json, uint32_t object, const char *name)
{
    uint32_t token = object == UINT32_MAX ? 0 : dv_json_member(json, object, name);
    return token != 0 && json->tokens[token].type == DV_JSON_OBJECT ? token : UINT32_MAX;
}

/* Any writer may leave an event that says so; the log itself says whose it is. */
static bool is_of_dvarad(const dv_json *json, uint32_t metadata)
{
    uint32_t token = metadata == UINT32_MAX ? 0 : dv_json_member(json, metadata, "log_source");
    return token != 0 && json->tokens[token].type == DV_JSON_STRING &&
           dv_slice_starts_with(dv_json_raw(json, token), DV_LIT("dvarad/"));
}

dv_result dv_certificate_check_event(const dv_certificate *certificate, dv_slice event,
                                     dv_error *error)
{
    const dv_json_limits limits = {
        .depth = EVENT_DEPTH_MAX, .tokens = 1 << 14, .refuse_duplicate_keys = true};
    dv_auto(arena) dv_arena *arena = dv_arena_new(MEMORY_MAX);
    dv_json json;
    DV_TRY(arena == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    dv_result result = dv_json_scan(event, &limits, arena, &json, NULL);
    if (result == DV_ERR_NO_MEMORY) {
        return result;
    }
    if (result != DV_OK || json.tokens[0].type != DV_JSON_OBJECT) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the event is none");
    }
    uint32_t metadata = inner(&json, 0, "metadata"), entity = inner(&json, 0, "entity");
    uint32_t own = inner(&json, inner(&json, 0, "unmapped"), "dvara");
    if (!says(&json, metadata, "event_code", "data.disposal") || !is_of_dvarad(&json, metadata) ||
        !says(&json, entity, "type", "certificate of destruction")) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the event is not of a certificate");
    }
    return says(&json, entity, "uid", certificate->id) &&
                   says(&json, own, "sha256", certificate->sha256)
               ? DV_OK
               : dv_error_set(error, DV_ERR_CORRUPT,
                              "the event in the log is of another certificate, or this one was "
                              "changed");
}
