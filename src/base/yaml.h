/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Configuration's YAML 1.1 (libyaml) as a tree that knows its lines. Aliases, tags other than the
 * core ones, duplicate keys and more than one document are refused. */

#include "base/arena.h"

typedef enum dv_yaml_type { DV_YAML_NULL, DV_YAML_SCALAR, DV_YAML_LIST, DV_YAML_MAP } dv_yaml_type;

typedef struct dv_yaml {
    dv_yaml_type type;
    bool quoted;      /* scalars: was written in quotes or as a block, so it is a string */
    int line;         /* of the value, 1-based */
    int column;       /* in characters */
    const char *text; /* scalars, NUL-terminated, no NUL inside */
    const char *key;  /* the name, where this is a map's value; else NULL */
    int key_line;     /* 0: no key */
    int key_column;
    struct dv_yaml *first; /* lists and maps */
    struct dv_yaml *next;  /* sibling */
} dv_yaml;

/* Reads one document into the arena; an empty text is an empty map. Plain `null`, `~` and nothing
 * at all are NULL nodes; every other plain scalar keeps its text, whatever YAML 1.1 makes of it.
 * Errors: DV_ERR_INVALID, DV_ERR_TOO_LARGE (1 MiB, depth 32, 100,000 nodes), each with line and
 * column. */
dv_must dv_result dv_yaml_parse(dv_slice text, dv_arena *arena, const dv_yaml **ret_root,
                                dv_error *error);

/* The map's value of that name, or NULL; of anything but a map NULL. */
const dv_yaml *dv_yaml_get(const dv_yaml *map, const char *key);

/* Typed readings; each error (DV_ERR_INVALID, or DV_ERR_TOO_LARGE for a size over max) names the
 * key, what was found, what is wanted, and the line. A NULL node is an error.
 *
 * Any scalar is a string: `name: yes` is "yes". */
dv_must dv_result dv_yaml_string(const dv_yaml *node, const char **ret_text, dv_error *error);
/* A decimal number without quotes and leading zeros (0777 means two things, so it is refused). */
dv_must dv_result dv_yaml_int(const dv_yaml *node, int64_t min, int64_t max, int64_t *ret_value,
                              dv_error *error);
/* true, false, yes, no, on, off without quotes; also Capitalized or UPPER-CASE. */
dv_must dv_result dv_yaml_bool(const dv_yaml *node, bool *ret_value, dv_error *error);
/* The oldest TLS that a peer of another's may speak: "1.3", or "1.2" (RFC 5246) where it can't do
 * better. Absent: "1.3". */
dv_must dv_result dv_yaml_tls_version(const dv_yaml *node, bool *ret_is_12, dv_error *error);
/* "64KiB", "10MB", "512": bytes. Units: B, kB, KB, MB, GB, TB (1000), KiB, MiB, GiB, TiB (1024). */
dv_must dv_result dv_yaml_size(const dv_yaml *node, uint64_t max, uint64_t *ret_bytes,
                               dv_error *error);
/* "90d", "5m" (base/clock.h). */
dv_must dv_result dv_yaml_duration(const dv_yaml *node, int64_t *ret_nanoseconds, dv_error *error);

/* DV_ERR_INVALID at the value's place (NULL: none), with a message of the caller's. */
#define dv_yaml_refuse(node, error, ...)                                                           \
    __extension__({                                                                                \
        const dv_yaml *dv_yaml_node_ = (node);                                                     \
        dv_error_set_at(error, DV_ERR_INVALID, dv_yaml_node_ == NULL ? 0 : dv_yaml_node_->line,    \
                        dv_yaml_node_ == NULL ? 0 : dv_yaml_node_->column, __VA_ARGS__);           \
    })

/* Refuses a key that is not in the NULL-ended list with its line, and says which one is nearest;
 * refuses what is no map. */
dv_must dv_result dv_yaml_check_keys(const dv_yaml *map, const char *const known[],
                                     dv_error *error);
