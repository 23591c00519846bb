/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Routes and limits of dvara.yaml: their defaults, their checks, and the gateway's configuration
 * made from them. */

#include "base/buf.h"
#include "core/config.h"
#include "core/masking.h"

/* routes:                      # replaces the built-in routes
 *   - {name: chat, path: /v1/chat/completions, protocol: openai_chat}
 *   - {name: score, path: /score/, match: prefix, methods: [POST], protocol: json,
 *      action: use_model, body_limit: 1MB, fields: [text], request_policy: none, labels: [phi]}
 * Left out: match exact, methods [POST] (openai_models: [GET]), action use_model, body_limit 10MiB,
 * fields the protocol's own (json: any), both policies those of `masking:`. */
extern const dv_config_section dv_api_config_routes;

/* limits:
 *   key: [{count: 600, per: 1m, burst: 100}, {tokens: 1000000, per: day}, {concurrent: 8}]
 *   group: [{cost: 250.00, per: month}]        # also user, address, model, route; [] is no limit
 *   warn: [80, 100]                            # percent of a budget
 * What is not named keeps its default. */
extern const dv_config_section dv_api_config_limits;

/* prices:
 *   gpt-4o: {input: 2.50, output: 10}          # of a million tokens; "*" for any other model */
extern const dv_config_section dv_api_config_prices;

/* models:                                      # what policies are told of them
 *   gpt-x: {tier: premium, groups: [frontier], labels: [eu], classification: confidential}
 *   "*": {tier: unlisted}                      # any other model; without it, empty words */
extern const dv_config_section dv_api_config_models;

/* refused_fields: [api_base, base_url]   # anywhere in a request; replaces the built-in list */
extern const dv_config_section dv_api_config_refused_fields;

enum { DV_API_GATEWAY_JSON_MAX = 4 << 20 };

/* Appends the gateway's configuration, the JSON that room/api/gate reads from the snapshot. root:
 * the top map of dvara.yaml, or NULL for all defaults; masking turns its `masking:` into the data
 * policies, and keeps copies of files that the gate reads in the runtime folder; NULL: it keeps
 * none. Errors name the line. */
dv_must dv_result dv_api_gateway_json(const dv_yaml *root, const dv_masking_source *masking,
                                      const char *runtime, dv_buf *out, dv_error *error);

/* Appends the record of models and routes for policies (core/resources.h). Errors name the line. */
dv_must dv_result dv_api_resources(const dv_yaml *root, dv_buf *out, dv_error *error);

/* The largest body that any route takes, in bytes; nginx refuses larger ones. */
dv_must dv_result dv_api_body_max(const dv_yaml *root, uint64_t *ret_bytes, dv_error *error);

/* Puts the gateway's configuration and that record into the snapshot, with the key that
 * placeholders are made from and that of actions on values (masking_key, 32 bytes; NULL: the
 * installation's), in a transaction of its own that leaves the change sequence as it is. */
dv_must dv_result dv_api_publish(dv_slice gateway_json, dv_slice resources,
                                 const uint8_t *masking_key, dv_services *services,
                                 dv_error *error);
