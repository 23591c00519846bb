/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `audit.export:` of dvara.yaml: where events are sent. Secrets are never in the file: only the
 * paths of files that hold them. */

#include "base/arena.h"
#include "base/clock.h"
#include "base/yaml.h"

enum {
    DV_EXPORT_DESTINATIONS_MAX = 16,
    DV_EXPORT_WORDS_MAX = 64, /* kinds, classes, addresses, logs of one destination */
    DV_EXPORT_NAME_MAX = 40,
};

typedef enum dv_export_type {
    DV_EXPORT_FILE,
    DV_EXPORT_SYSLOG,
    DV_EXPORT_OTLP,
    DV_EXPORT_CLICKHOUSE,
    DV_EXPORT_OPENSEARCH,
    DV_EXPORT_WEBHOOK,
    DV_EXPORT_EMAIL,
    DV_EXPORT_TYPES
} dv_export_type;

/* One entry of the list. Texts that are NULL and numbers that are 0 were not said. */
typedef struct dv_export_destination {
    const char *name; /* letters, digits, - and _; unique */
    dv_export_type type;
    const char *url;
    const char *ca; /* PEM files */
    const char *certificate;
    const char *certificate_key;
    bool tls_12; /* the receiver may speak TLS 1.2 */
    const char *user;
    const char *password_file;
    const char *token_file;    /* a bearer token */
    const char *secret_file;   /* that a webhook is signed with */
    const char *path;          /* of a file */
    const char *table;         /* ClickHouse */
    const char *index;         /* OpenSearch */
    const char *from;          /* mail */
    const char *const *to;     /* mail; NULL-ended */
    const char *const *logs;   /* NULL-ended; NULL: all */
    const char *const *events; /* globs on the kind, NULL-ended; NULL: all */
    const int64_t *classes;    /* OCSF class_uid */
    size_t class_count;        /* 0: all */
    int64_t severity;          /* OCSF severity_id at least; 0: all */
    bool cef;                  /* otherwise OCSF JSON */
    bool from_now;             /* what is in the log already is not sent */
    bool plaintext;            /* without TLS beyond this machine */
    uint64_t batch;            /* bytes of one request or write, about */
    uint64_t rotate_size;      /* bytes of a file; 0: never */
    int64_t keep;              /* rotated files */
    dv_time alarm_after;       /* so long behind */
    dv_time repeat;            /* the same alert is told once in this time; 0: always */
} dv_export_destination;

const char *dv_export_type_name(dv_export_type type);

/* Reads the list; strings are the tree's or the arena's. Errors: DV_ERR_INVALID with the line. */
dv_must dv_result dv_export_config_read(const dv_yaml *list, dv_arena *arena,
                                        const dv_export_destination **ret_destinations,
                                        size_t *ret_count, dv_error *error);

/* Whether the list is good. */
dv_must dv_result dv_export_config_check(const dv_yaml *list, dv_error *error);
