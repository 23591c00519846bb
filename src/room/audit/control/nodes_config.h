/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* clang-format off */
/* Of the section `audit:` of dvara.yaml:
 *   audit:
 *     nodes:
 *       - name: b                             # a-z, 0-9 and '-'; not "local"
 *         url: "https://b.example.org:8444"   # its admin listener; http on a loopback address alone
 *         ca: /etc/dvara/b-ca.pem             # who signed its certificate; the system's when not said
 *         api_key_file: /etc/dvara/b.key      # of a service account of that node
 *         key: "b.example.org+1a2b3c4d+AbC"   # of its log; then a copy of the log is kept
 *         keep: 400d                          # the copy loses what is older, once the node pruned it
 *     node_interval: 1m                       # between two looks at each node; 1s to 1h
 *     node_alarm_after: 1h                    # how long one may be silent; 1s to 30d
 *     nodes_keep_free: 1GiB                   # no copy grows while the disk has less left */
/* clang-format on */

#include "base/clock.h"
#include "base/yaml.h"
#include "engine/log/note.h"

enum {
    DV_NODES_MAX = 16,
    DV_NODE_NAME_MAX = 32,
    DV_NODE_URL_MAX = 512,
    DV_NODE_PATH_MAX = 1024,
};

/* What --nodes calls the node that is asked. */
#define DV_NODE_LOCAL "local"

typedef struct dv_node {
    char name[DV_NODE_NAME_MAX + 1];
    char url[DV_NODE_URL_MAX + 1]; /* without a slash at its end */
    char ca[DV_NODE_PATH_MAX + 1]; /* or "" */
    char api_key_file[DV_NODE_PATH_MAX + 1];
    bool copied;
    dv_note_verifier key; /* of its log, when copied */
    dv_time keep;         /* of the copy; 0: all of it, for ever */
} dv_node;

typedef struct dv_node_settings {
    dv_node nodes[DV_NODES_MAX];
    size_t count;
    dv_time interval, alarm_after;
    uint64_t keep_free; /* bytes */
} dv_node_settings;

/* section NULL: no nodes. ret_settings is on the heap (45 KB). Errors carry the line. */
dv_must dv_result dv_node_settings_read(const dv_yaml *section, dv_node_settings *ret_settings,
                                        dv_error *error);
/* Whether it could be read. */
dv_must dv_result dv_nodes_config_check(const dv_yaml *section, dv_error *error);

/* The node of that name, or NULL. */
const dv_node *dv_node_find(const dv_node_settings *settings, const char *name);
