/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What dvara-collect listens to and reads, as dvara.yaml says it:
 *
 *   audit:
 *     collect:
 *       - {type: syslog, listen: "udp://127.0.0.1:5514"}
 *       - {type: syslog, listen: "tls://0.0.0.0:6514", certificate: /..., key: /..., client_ca:
 * /...}
 *       - {type: file, path: /var/log/nginx/access.log, parser: nginx}
 *       - {type: journald, units: [ssh.service]}
 *       - {type: http, listen: "127.0.0.1:5580", token_file: /...}
 *     collect_spool: 512MiB       # stop taking while this much waits for dvara-logd
 *     collect_keep_free: 256MiB   # and while the disk has less left: it is the gate's
 */

#include "base/yaml.h"

enum {
    DV_COLLECT_INPUTS_MAX = 64,
    DV_COLLECT_UNITS_MAX = 64,
    DV_COLLECT_HOST_MAX = 64,
    DV_COLLECT_NAME_MAX = 64,
    DV_COLLECT_TOKEN_HASH = 32, /* SHA-256 */
};

typedef enum dv_collect_kind {
    DV_COLLECT_SYSLOG,
    DV_COLLECT_FILE,
    DV_COLLECT_JOURNALD,
    DV_COLLECT_HTTP,
} dv_collect_kind;

typedef enum dv_collect_transport {
    DV_COLLECT_UDP,
    DV_COLLECT_TCP,
    DV_COLLECT_TLS
} dv_collect_transport;

/* Strings live as long as the arena that the configuration was read into; NULL: not given. */
typedef struct dv_collect_input {
    dv_collect_kind kind;
    dv_collect_transport transport; /* of syslog */
    const char *name;               /* in events and reports; its address or path unless named */
    const char *parser;             /* "auto" unless said */
    const char *listen;             /* as written */
    char host[DV_COLLECT_HOST_MAX]; /* IPv4 or IPv6 text, without brackets */
    uint16_t port;
    const char *certificate; /* absolute paths, PEM */
    const char *key;
    const char *client_ca; /* who connects must show a certificate of this authority */
    bool tls_12;           /* who connects may speak TLS 1.2 */
    const char *path;      /* of file */
    const char *directory; /* of journald: another journal than this machine's */
    const char *units[DV_COLLECT_UNITS_MAX + 1]; /* of journald; NULL-ended; none: all of them */
    const char *token_file;                      /* of http: holds the bearer token */
    bool has_token_hash;
    uint8_t token_hash[DV_COLLECT_TOKEN_HASH];
    int64_t rate;  /* lines a second at most */
    bool keep_raw; /* raw_data also of lines that were understood */
} dv_collect_input;

typedef struct dv_collect_config {
    dv_collect_input *inputs;
    size_t count;
    uint64_t spool_max; /* bytes */
    uint64_t keep_free;
} dv_collect_config;

/* Reads the section `audit:` (NULL: nothing is collected). Errors: DV_ERR_INVALID with the line,
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_collect_config_read(const dv_yaml *audit, dv_arena *arena,
                                         dv_collect_config *ret_config, dv_error *error);
