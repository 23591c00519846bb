/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the control plane's handlers work with; wired up in daemon/. */

#include "base/clock.h"
#include "base/result.h"
#include "base/slice.h"
#include "store/snapshot.h"
#include "store/store.h"

/* Where events go (the spool, in dvarad). An event that can't be kept fails the operation. */
typedef struct dv_event_sink {
    dv_result (*append)(void *data, dv_slice ocsf_json);
    void *data;
} dv_event_sink;

struct dv_auth_gate;      /* of the auth room */
struct dv_witness_client; /* of the audit room */
struct dv_nodes;          /* of the audit room */
struct dv_node_searches;  /* of the audit room */
struct dv_retention_client;
struct dv_data_keys; /* of the data room */
struct dv_data_rules;
struct dv_disposal_rules;
struct dv_case_disposal;
struct dv_data_vaults;
struct dv_data_access_source; /* core/data_access.h */
struct dv_people_source;
struct dv_log_source; /* core/log_source.h */

typedef struct dv_services {
    dv_store *store;
    dv_snapshot *snapshot;     /* the writer's */
    struct dv_auth_gate *gate; /* what decides for this process */
    struct dv_witness_client *witnesses;
    struct dv_nodes *nodes;
    struct dv_node_searches *node_searches;
    struct dv_retention_client *retention;
    struct dv_data_keys *keys;
    struct dv_data_rules *data_rules;         /* which data wants which approvals */
    struct dv_disposal_rules *disposal_rules; /* how long data is kept */
    struct dv_case_disposal *case_disposal;   /* where it is with closed cases */
    struct dv_data_vaults *vaults;            /* whose tokens are turned back */
    const struct dv_data_access_source *data_access;
    const struct dv_people_source *people;
    const struct dv_log_source *log;
    dv_event_sink events;
    const char *state_dir;     /* 0700: store, keys, tiles */
    const char *runtime_dir;   /* sockets, snapshot, spool, counters */
    const uint8_t *master_key; /* 32 bytes that seal the store's secret columns (keystore) */
    dv_time started;           /* of this process */
} dv_services;
