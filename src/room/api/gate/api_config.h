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
 *                   "openai_embeddings" | "openai_models" | "anthropic_messages" | "upload" |
 *                   "json",
 *       "action": "use_model",             the permission
 *       "upstream": "default",             optional; a group of dv_nginx_upstream
 *       "body_limit": 10485760,            bytes
 *       "max_tokens": 4096,                optional: the most that an answer may be asked to have
 *       "max_tokens_name": "max_completion_tokens",  optional: the member that says so where the
 *                                          caller does not; "none": none does
 *       "fields": ["model", ...] | null,   the members that a body may have; null: any
 *       "ask_usage": true | false,         optional, true; see dv_api_usage_ask
 *       "request_policy": "request" | null,  a name in data_policies; null: not inspected
 *       "answer_policy": "answer" | null}],
 *    "data_policies": {"request": {...}, "answer": {...}},     read by room/data/gate
 *    "limits": {"key": [{"count": 60, "period_ns": 60000000000, "burst": 60},
 *                       {"count": 90000, "period_ns": 60000000000, "burst": 0, "unit": "tokens"},
 *                       {"max": 1000000, "period": "day", "unit": "tokens"},
 *                       {"max": 25000000, "period": "month", "unit": "cost"},    millionths
 *                       {"max": 8, "period": "at_once"}],
 *               "user": [], "group": [], "address": [], "model": [], "route": []},  each optional
 *    "prices": {"gpt-4o": {"input": 2500000, "output": 10000000},   optional, in whatever case;
 *                                                                    millionths of the
 *               "*": {...}},                                        currency for a million tokens
 *    "warn": [80, 100],                    optional: percent of a budget; ascending
 *    "refused_fields": ["api_base", ...]}  in no depth of any body
 */

/* Two more records in DV_TABLE_ROUTES that room/api/control writes, of 32 bytes each. From the one
 * the placeholders of masked values are made; it is the same for as long as conversations last:
 * HKDF of the master key, purpose "dvara placeholder". The other is the key of the actions hash,
 * pseudonym, token, fpe and date_shift: what `key_file` of `masking:` holds, or HKDF of the master
 * key, purpose "dvara masking actions". */

#include "base/address.h"
#include "base/buf.h"
#include "base/caps.h"
#include "base/json.h"
#include "core/resources.h"
#include "engine/limit/limit.h"
#include "room/api/gate/api_protocol.h"

#define DV_API_CONFIG_KEY DV_GATEWAY_KEY
#define DV_API_PLACEHOLDER_KEY "placeholder_key"
#define DV_API_MASKING_KEY "masking_key"

enum {
    DV_API_ROUTES_MAX = 256,
    DV_API_FIELDS_MAX = 256,       /* in one list */
    DV_API_POLICIES_MAX = 16,      /* data policies */
    DV_API_LIMITS_MAX = 8,         /* of one subject */
    DV_API_PRICES_MAX = 1024,      /* models */
    DV_API_TOKENS_MAX = 100000000, /* of one answer */
    DV_API_TOKENS_DEFAULT = 4096,  /* reserved for an answer when nobody says how many */
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

/* A list of names, the shorter ones first. */
typedef struct dv_api_names {
    const dv_slice *items;
    size_t count;
    uint16_t shorter[DV_LIMIT_NAME + 2]; /* how many items have fewer bytes than the index */
} dv_api_names;

bool dv_api_names_have(const dv_api_names *names, dv_slice name);
/* The same, whatever the letters' case. */
bool dv_api_names_have_nocase(const dv_api_names *names, dv_slice name);

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
    uint64_t max_tokens; /* 0: not said */
    const char *cap;     /* the member that bounds an answer where the caller does not; or NULL */
    bool any_field;
    bool ask_usage;
    dv_api_names fields;
    int request_policy; /* index into data_policies; -1: not inspected */
    int answer_policy;
} dv_api_route;

/* Whom a limit is about. */
typedef enum dv_api_limit_kind {
    DV_API_LIMIT_KEY,
    DV_API_LIMIT_USER, /* service accounts, too */
    DV_API_LIMIT_GROUP,
    DV_API_LIMIT_ADDRESS,
    DV_API_LIMIT_NETWORK, /* only those that were named */
    DV_API_LIMIT_MODEL,
    DV_API_LIMIT_ROUTE,
    DV_API_LIMIT_KINDS
} dv_api_limit_kind;

/* "key", "user", "group", "address", "network", "model", "route". */
const char *dv_api_limit_kind_name(dv_api_limit_kind kind);
dv_must dv_result dv_api_limit_kind_parse(dv_slice name, dv_api_limit_kind *ret_kind);
/* Where its counters lie. */
dv_counters_table dv_api_limit_table(dv_api_limit_kind kind);

typedef struct dv_api_limit {
    dv_limit_kind kind;
    dv_limit_unit unit;
    dv_limit_period period; /* of a budget */
    dv_limit_rate rate;     /* of a rate */
    uint64_t max;           /* of the others */
} dv_api_limit;

/* True when one limit stands in the other's place: the same kind, unit and period. */
bool dv_api_limit_same_place(const dv_api_limit *a, const dv_api_limit *b);

typedef struct dv_api_limits {
    dv_api_limit items[DV_API_LIMITS_MAX];
    size_t count;
} dv_api_limits;

/* Limits of one subject by name, as they lie in the snapshot beside the configuration
 * (DV_TABLE_ROUTES, key "limit/" and the counter's key: "limit/group/ml"). They replace those for
 * its kind that have the same place; one whose number is 0 lifts it. */
#define DV_API_NAMED_PREFIX "limit/"
/* A byte for each kind: 1 where names have limits; other kinds are never looked up. */
#define DV_API_NAMED_KINDS_KEY "named_limits"
/* The networks that have limits, with a space between them: "10.0.0.0/8 2001:db8::/32". */
#define DV_API_NAMED_NETWORKS_KEY "named_networks"
enum {
    DV_API_NETWORKS_MAX = 256, /* that have limits */
    DV_API_LIMIT_RECORD = 40,  /* bytes of one limit */
};

dv_must dv_result dv_api_limits_encode(const dv_api_limits *limits, dv_buf *out);
/* Errors: DV_ERR_CORRUPT. */
dv_must dv_result dv_api_limits_decode(dv_slice bytes, dv_api_limits *ret_limits);

/* 10.0.0.0/8 or 2001:db8::/32; version 4 lies within ::ffff:0:0/96. */
typedef struct dv_api_network {
    dv_address base;
    unsigned bits; /* of 128 */
    dv_slice text; /* as it is written: no bit set behind the prefix, lower case */
} dv_api_network;

/* Reads a network as it must be written. Errors: DV_ERR_INVALID. The text is borrowed. */
dv_must dv_result dv_api_network_parse(dv_slice text, dv_api_network *ret_network);
bool dv_api_network_has(const dv_api_network *network, const dv_address *address);

/* Which kinds and networks have names with limits of their own. */
typedef struct dv_api_named {
    bool kinds[DV_API_LIMIT_KINDS];
    dv_api_network networks[DV_API_NETWORKS_MAX];
    size_t network_count;
    char text[DV_API_NETWORKS_MAX * 64]; /* of the networks */
} dv_api_named;

/* Reads both records. Errors: DV_ERR_CORRUPT. */
dv_must dv_result dv_api_named_parse(dv_slice kinds, dv_slice networks, dv_api_named *named);

/* What a million tokens cost, in millionths of the currency. */
typedef struct dv_api_price {
    dv_slice model; /* in lower case; "*": any other */
    uint64_t input;
    uint64_t output;
} dv_api_price;

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
    dv_api_limits limits[DV_API_LIMIT_KINDS]; /* of each one of that kind */
    unsigned due[2]; /* which kinds have some that are charged at once; that are reserved */
    const dv_api_price *prices; /* by model, ascending */
    size_t price_count;
    dv_limit_thresholds warn;
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

/* The price of a model (as dv_api_model_counted writes it), or that of "*"; NULL: none. */
const dv_api_price *dv_api_price_find(const dv_api_config *config, dv_slice model);
