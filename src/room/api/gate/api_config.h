/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The gateway's configuration as it lies in the snapshot (DV_TABLE_ROUTES, key "gateway"): one JSON
 * object, written by room/api/control, read here. All members are needed unless said otherwise; an
 * unknown one is refused, so that a worker never half understands what it enforces.
 *
 *   {"routes": [{
 *       "name": "openai-chat",             letters, digits, '-', '_', '.'
 *       "path": "/v1/chat/completions",    normalised; a prefix covers whole segments
 *       "match": "exact" | "prefix",
 *       "methods": ["POST"],
 *       "protocol": "openai_chat" | "openai_completions" | "openai_responses" |
 *                   "openai_embeddings" | "openai_models" | "anthropic_messages" | "json",
 *       "action": "use_model",             the permission
 *       "upstream": "default",             optional; a group of dv_nginx_upstream
 *       "body_limit": 10485760,            bytes
 *       "fields": ["model", ...] | null,   the members that a body may have; null: any
 *       "request_policy": "request" | null,  a name in data_policies; null: not inspected
 *       "answer_policy": "answer" | null}],
 *    "data_policies": {"request": {...}, "answer": {...}},     read by room/data/gate
 *    "limits": {"key": [{"count": 60, "period_ns": 60000000000, "burst": 60}],
 *               "user": [], "group": [], "address": []},       each name optional
 *    "refused_fields": ["api_base", ...]}  in no depth of any body
 */

/* The other record in DV_TABLE_ROUTES that room/api/control writes: 32 bytes, the same for as long
 * as conversations last, from which the placeholders of masked values are made: HKDF of the master
 * key, purpose "dvara placeholder". */

#include "base/json.h"
#include "engine/limit/limit.h"
#include "room/api/gate/api_protocol.h"

#define DV_API_CONFIG_KEY "gateway"
#define DV_API_PLACEHOLDER_KEY "placeholder_key"

enum {
    DV_API_ROUTES_MAX = 256,
    DV_API_FIELDS_MAX = 256,  /* in one list */
    DV_API_POLICIES_MAX = 16, /* data policies */
    DV_API_RATES_MAX = 4,     /* limits of one kind */
    DV_API_BODY_LIMIT_MAX = 128 << 20,
};

typedef enum dv_api_method {
    DV_METHOD_GET = 1 << 0,
    DV_METHOD_HEAD = 1 << 1,
    DV_METHOD_POST = 1 << 2,
    DV_METHOD_PUT = 1 << 3,
    DV_METHOD_PATCH = 1 << 4,
    DV_METHOD_DELETE = 1 << 5,
    DV_METHOD_OPTIONS = 1 << 6,
} dv_api_method;

/* The bit of a method's name (case-sensitive, RFC 9110 section 9.1); 0: none that a route may
 * have. */
unsigned dv_api_method_bit(dv_slice name);

/* A list of names. */
typedef struct dv_api_names {
    const dv_slice *items;
    size_t count;
} dv_api_names;

bool dv_api_names_have(const dv_api_names *names, dv_slice name);

typedef struct dv_api_route {
    dv_slice name;
    dv_slice resource; /* Route::"openai-chat" */
    dv_slice path;
    bool prefix;
    unsigned methods; /* of dv_api_method */
    const dv_api_protocol *protocol;
    dv_slice action;
    dv_slice upstream;
    uint64_t body_limit;
    bool any_field;
    dv_api_names fields;
    int request_policy; /* index into data_policies; -1: not inspected */
    int answer_policy;
} dv_api_route;

typedef enum dv_api_limit_kind {
    DV_API_LIMIT_KEY,
    DV_API_LIMIT_USER,
    DV_API_LIMIT_GROUP,
    DV_API_LIMIT_ADDRESS,
    DV_API_LIMIT_KINDS
} dv_api_limit_kind;

/* "key", "user", "group", "address". */
const char *dv_api_limit_kind_name(dv_api_limit_kind kind);

typedef struct dv_api_rates {
    dv_limit_rate rates[DV_API_RATES_MAX];
    size_t count;
} dv_api_rates;

typedef struct dv_api_policy {
    dv_slice name;
    dv_slice json; /* for dv_data_policy_parse */
} dv_api_policy;

typedef struct dv_api_config {
    dv_arena *arena; /* holds all of it */
    const dv_api_route *routes;
    size_t route_count;
    const dv_api_policy *policies;
    size_t policy_count;
    dv_api_rates limits[DV_API_LIMIT_KINDS];
    dv_api_names refused_fields;
} dv_api_config;

/* Reads the configuration; the text is copied. Errors: DV_ERR_INVALID (the message names the
 * member), DV_ERR_TOO_LARGE, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_api_config_parse(dv_slice json, dv_api_config **ret_config, dv_error *error);
void dv_api_config_free(dv_api_config *config);
DV_DEFINE_AUTO_PTR(api_config, dv_api_config, dv_api_config_free)

/* The route of a path and method: an exact one, otherwise the longest prefix; NULL: none. A prefix
 * "/v1/models" covers "/v1/models" and "/v1/models/x", never "/v1/modelsx". */
const dv_api_route *dv_api_route_find(const dv_api_config *config, unsigned method, dv_slice path);
