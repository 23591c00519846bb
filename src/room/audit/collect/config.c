/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/collect/config.h"

#include "base/codec.h"
#include "room/audit/collect/parser.h"

#include <arpa/inet.h>

enum { RATE_DEFAULT = 20000, RATE_MAX = 10000000 };
#define SPOOL_DEFAULT ((uint64_t)512 << 20)
#define KEEP_FREE_DEFAULT ((uint64_t)256 << 20)
#define SPOOL_MIN ((uint64_t)16 << 20)
#define KEEP_FREE_MIN ((uint64_t)1 << 20)
#define SPACE_MAX ((uint64_t)1 << 50)

/* ---- Values ---- */

static dv_result read_path(const dv_yaml *map, const char *key, const char **ret_path,
                           dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    const char *path = NULL;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(node, &path, error));
    if (path[0] != '/') {
        return dv_yaml_refuse(node, error, "'%s' wants an absolute path", key);
    }
    *ret_path = path;
    return DV_OK;
}

static bool is_address(const char *host)
{
    uint8_t bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* "127.0.0.1:5514" or "[::1]:5514". */
static dv_result read_place(const dv_yaml *node, const char *text, dv_collect_input *input,
                            dv_error *error)
{
    bool bracket = text[0] == '[';
    const char *end = bracket ? strchr(text, ']') : strrchr(text, ':');
    const char *colon = end == NULL || !bracket ? end : end + 1;
    size_t len = end == NULL ? 0 : (size_t)(end - text) - bracket;
    char *rest = NULL;
    unsigned long port = colon != NULL && *colon == ':' && colon[1] >= '0' && colon[1] <= '9'
                             ? strtoul(colon + 1, &rest, 10)
                             : 0;
    if (port == 0 || port > UINT16_MAX || *rest != '\0' || len == 0 || len >= DV_COLLECT_HOST_MAX) {
        return dv_yaml_refuse(node, error,
                              "'listen' wants an address and a port: "
                              "\"127.0.0.1:5514\" or \"[::1]:5514\"");
    }
    dv_slice_copy(dv_slice_of(text + bracket, len), input->host, sizeof input->host);
    input->port = (uint16_t)port;
    return is_address(input->host)
               ? DV_OK
               : dv_yaml_refuse(node, error, "'%s' is no IP address", input->host);
}

static dv_result read_rate(const dv_yaml *map, dv_collect_input *input, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "rate");
    input->rate = RATE_DEFAULT;
    return node == NULL ? DV_OK : dv_yaml_int(node, 1, RATE_MAX, &input->rate, error);
}

static bool is_word(const char *text)
{
    return text[0] != '\0' && strlen(text) < DV_COLLECT_NAME_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(text);
}

static dv_result read_word(const dv_yaml *map, const char *key, const char **ret_word,
                           dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    const char *word = NULL;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(node, &word, error));
    if (!is_word(word)) {
        return dv_yaml_refuse(node, error, "'%s' wants a word of a-z, 0-9, _ and -", key);
    }
    *ret_word = word;
    return DV_OK;
}

/* ---- Each type ---- */

static dv_result read_certificates(const dv_yaml *map, dv_collect_input *input, dv_error *error)
{
    DV_TRY(read_path(map, "certificate", &input->certificate, error));
    DV_TRY(read_path(map, "key", &input->key, error));
    DV_TRY(read_path(map, "client_ca", &input->client_ca, error));
    const dv_yaml *version = dv_yaml_get(map, "tls_version");
    DV_TRY(dv_yaml_tls_version(version, &input->tls_12, error));
    bool tls = input->transport == DV_COLLECT_TLS;
    if (tls && (input->certificate == NULL || input->key == NULL)) {
        return dv_yaml_refuse(map, error, "tls:// wants 'certificate' and 'key' (PEM files)");
    }
    if (!tls && (input->certificate != NULL || input->key != NULL || input->client_ca != NULL)) {
        return dv_yaml_refuse(map, error, "a certificate is for tls:// alone");
    }
    if (!tls && version != NULL) {
        return dv_yaml_refuse(map, error, "'tls_version' is for tls:// alone");
    }
    return DV_OK;
}

static dv_result read_listen(const dv_yaml *map, const dv_yaml **ret_node, dv_collect_input *input,
                             dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "listen");
    if (node == NULL) {
        return dv_yaml_refuse(map, error, "this type wants 'listen'");
    }
    DV_TRY(dv_yaml_string(node, &input->listen, error));
    *ret_node = node;
    return DV_OK;
}

static dv_result read_syslog(const dv_yaml *map, dv_collect_input *input, dv_error *error)
{
    static const char *const schemes[] = {
        [DV_COLLECT_UDP] = "udp://", [DV_COLLECT_TCP] = "tcp://", [DV_COLLECT_TLS] = "tls://"};
    const dv_yaml *node = NULL;
    DV_TRY(read_listen(map, &node, input, error));
    for (size_t i = 0; i < DV_ARRAY_LEN(schemes); i++) {
        size_t len = strlen(schemes[i]);
        if (strncmp(input->listen, schemes[i], len) == 0) {
            input->transport = (dv_collect_transport)i;
            DV_TRY(read_place(node, input->listen + len, input, error));
            return read_certificates(map, input, error);
        }
    }
    return dv_yaml_refuse(node, error, "'listen' wants udp://, tcp:// or tls:// in front");
}

static dv_result read_http(const dv_yaml *map, dv_collect_input *input, dv_error *error)
{
    const dv_yaml *node = NULL;
    const dv_yaml *hash = dv_yaml_get(map, "token_sha256");
    const char *text = NULL;
    DV_TRY(read_listen(map, &node, input, error));
    DV_TRY(read_place(node, input->listen, input, error));
    /* The token goes in the clear. */
    if (strncmp(input->host, "127.", 4) != 0 && strcmp(input->host, "::1") != 0) {
        return dv_yaml_refuse(node, error,
                              "type http listens on a loopback address: put nginx with "
                              "TLS before it for others");
    }
    DV_TRY(read_path(map, "token_file", &input->token_file, error));
    if ((hash != NULL) == (input->token_file != NULL)) {
        return dv_yaml_refuse(map, error,
                              "type http wants either 'token_file', which holds the bearer token, "
                              "or 'token_sha256'");
    }
    if (hash == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(hash, &text, error));
    if (dv_hex_decode(dv_slice_str(text), input->token_hash, sizeof input->token_hash) != DV_OK) {
        return dv_yaml_refuse(hash, error, "'token_sha256' wants 64 hex digits");
    }
    input->has_token_hash = true;
    return DV_OK;
}

static dv_result read_file(const dv_yaml *map, dv_collect_input *input, dv_error *error)
{
    DV_TRY(read_path(map, "path", &input->path, error));
    return input->path != NULL ? DV_OK : dv_yaml_refuse(map, error, "type file wants 'path'");
}

/* A unit's name goes into the argv of journalctl: nothing that could be an option. */
static bool is_unit(const char *text)
{
    static const char bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                ":-_.\\@*?";
    return text[0] != '\0' && text[0] != '-' && strlen(text) < 256 &&
           strspn(text, bytes) == strlen(text);
}

static dv_result read_journald(const dv_yaml *map, dv_collect_input *input, dv_error *error)
{
    const dv_yaml *units = dv_yaml_get(map, "units");
    size_t count = 0;
    DV_TRY(read_path(map, "directory", &input->directory, error));
    if (units != NULL && units->type != DV_YAML_LIST) {
        return dv_yaml_refuse(units, error, "'units' wants a list: [ssh.service]");
    }
    for (const dv_yaml *unit = units == NULL ? NULL : units->first; unit != NULL;
         unit = unit->next) {
        if (count == DV_COLLECT_UNITS_MAX) {
            return dv_yaml_refuse(unit, error, "at most %d units", DV_COLLECT_UNITS_MAX);
        }
        DV_TRY(dv_yaml_string(unit, &input->units[count], error));
        if (!is_unit(input->units[count])) {
            return dv_yaml_refuse(unit, error, "'%s' is no name of a unit", input->units[count]);
        }
        count++;
    }
    return DV_OK;
}

typedef struct kind_row {
    const char *type;
    dv_collect_kind kind;
    dv_result (*read)(const dv_yaml *map, dv_collect_input *input, dv_error *error);
    const char *keys[12];
} kind_row;

#define COMMON_KEYS "type", "name", "parser", "rate", "raw"

static const kind_row kinds[] = {
    {"syslog",
     DV_COLLECT_SYSLOG,
     read_syslog,
     {COMMON_KEYS, "listen", "certificate", "key", "client_ca", "tls_version", NULL}},
    {"file", DV_COLLECT_FILE, read_file, {COMMON_KEYS, "path", NULL}},
    {"journald", DV_COLLECT_JOURNALD, read_journald, {COMMON_KEYS, "units", "directory", NULL}},
    {"http",
     DV_COLLECT_HTTP,
     read_http,
     {COMMON_KEYS, "listen", "token_file", "token_sha256", NULL}},
};

/* ---- The list ---- */

static dv_result find_kind(const dv_yaml *map, const kind_row **ret_row, dv_error *error)
{
    const char *type = NULL;
    const dv_yaml *node = dv_yaml_get(map, "type");
    if (node == NULL) {
        return dv_yaml_refuse(map, error,
                              "an entry of 'collect' wants 'type': syslog, file, "
                              "journald or http");
    }
    DV_TRY(dv_yaml_string(node, &type, error));
    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].type, type) == 0) {
            *ret_row = &kinds[i];
            return DV_OK;
        }
    }
    return dv_yaml_refuse(node, error, "there is no type '%s': syslog, file, journald or http",
                          type);
}

static dv_result read_parser(const dv_yaml *map, dv_collect_input *input, dv_error *error)
{
    DV_TRY(read_word(map, "parser", &input->parser, error));
    return dv_parser_is_known(input->parser)
               ? DV_OK
               : dv_yaml_refuse(dv_yaml_get(map, "parser"), error,
                                "there is no parser '%s': see `dvara audit parsers`",
                                input->parser);
}

/* raw: always, or unparsed. */
static dv_result read_raw(const dv_yaml *map, dv_collect_input *input, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "raw");
    const char *word = "always";
    if (node != NULL) {
        DV_TRY(dv_yaml_string(node, &word, error));
    }
    input->keep_raw = strcmp(word, "always") == 0;
    return input->keep_raw || strcmp(word, "unparsed") == 0
               ? DV_OK
               : dv_yaml_refuse(node, error, "'raw' wants 'always' or 'unparsed'");
}

static dv_result read_input(const dv_yaml *map, dv_collect_input *input, dv_error *error)
{
    const kind_row *row = NULL;
    DV_TRY(find_kind(map, &row, error));
    DV_TRY(dv_yaml_check_keys(map, row->keys, error));
    input->kind = row->kind;
    input->parser = "auto";
    DV_TRY(read_parser(map, input, error));
    DV_TRY(read_rate(map, input, error));
    DV_TRY(read_raw(map, input, error));
    DV_TRY(row->read(map, input, error));
    input->name = input->path != NULL     ? input->path
                  : input->listen != NULL ? input->listen
                                          : row->type;
    return read_word(map, "name", &input->name, error);
}

static dv_result refuse_twins(const dv_yaml *node, const dv_collect_config *config, dv_error *error)
{
    const dv_collect_input *last = &config->inputs[config->count - 1];
    for (size_t i = 0; i + 1 < config->count; i++) {
        if (strcmp(config->inputs[i].name, last->name) == 0) {
            return dv_yaml_refuse(node, error, "'%s' is collected twice: give each a 'name'",
                                  last->name);
        }
        if (last->path != NULL && config->inputs[i].path != NULL &&
            strcmp(config->inputs[i].path, last->path) == 0) {
            return dv_yaml_refuse(node, error, "the file '%s' is collected twice", last->path);
        }
    }
    return DV_OK;
}

static dv_result read_inputs(const dv_yaml *list, dv_arena *arena, dv_collect_config *config,
                             dv_error *error)
{
    if (list->type != DV_YAML_LIST) {
        return dv_yaml_refuse(list, error, "'collect' wants a list: - {type: syslog, listen: ...}");
    }
    config->inputs = dv_arena_alloc(arena, DV_COLLECT_INPUTS_MAX * sizeof *config->inputs);
    if (config->inputs == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (const dv_yaml *entry = list->first; entry != NULL; entry = entry->next) {
        if (config->count == DV_COLLECT_INPUTS_MAX) {
            return dv_yaml_refuse(entry, error, "at most %d entries", DV_COLLECT_INPUTS_MAX);
        }
        DV_TRY(read_input(entry, &config->inputs[config->count++], error));
        DV_TRY(refuse_twins(entry, config, error));
    }
    return DV_OK;
}

static dv_result read_space(const dv_yaml *audit, const char *key, uint64_t min, uint64_t *bytes,
                            dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(audit, key);
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_size(node, SPACE_MAX, bytes, error));
    return *bytes >= min ? DV_OK
                         : dv_yaml_refuse(node, error, "'%s' wants %lluMiB at least", key,
                                          (unsigned long long)(min >> 20));
}

dv_result dv_collect_config_read(const dv_yaml *audit, dv_arena *arena,
                                 dv_collect_config *ret_config, dv_error *error)
{
    dv_collect_config config = {.spool_max = SPOOL_DEFAULT, .keep_free = KEEP_FREE_DEFAULT};
    const dv_yaml *list = audit == NULL ? NULL : dv_yaml_get(audit, "collect");
    if (list != NULL) {
        DV_TRY(read_inputs(list, arena, &config, error));
    }
    if (audit != NULL) {
        DV_TRY(read_space(audit, "collect_spool", SPOOL_MIN, &config.spool_max, error));
        DV_TRY(read_space(audit, "collect_keep_free", KEEP_FREE_MIN, &config.keep_free, error));
    }
    *ret_config = config;
    return DV_OK;
}
