/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "room/api/control/api_control.h"
#include "room/api/gate/api_config.h"

#include <jansson.h>

/* What stands in for a section that dvara.yaml does not have: the same YAML, read the same way. */
extern const char dv_api_defaults[];

/* The fields that requests of a protocol may have; NULL: any. NULL-ended. */
const char *const *dv_api_protocol_fields(const char *protocol);

/* Each appends to the gateway's configuration; the node is the section. */
dv_must dv_result dv_api_routes_json(const dv_yaml *routes, json_t *config, dv_error *error);
dv_must dv_result dv_api_limits_json(const dv_yaml *limits, const dv_yaml *defaults, json_t *config,
                                     dv_error *error);

dv_must dv_result dv_api_prices_json(const dv_yaml *prices, json_t *config, dv_error *error);

/* Adds tier, classification and labels of a model or route. */
dv_must dv_result dv_api_attributes_json(const dv_yaml *node, json_t *attrs, dv_error *error);
/* Each appends entities of core/resources.h to the array; routes must be good ones. */
dv_must dv_result dv_api_models_json(const dv_yaml *models, json_t *entities, dv_error *error);
dv_must dv_result dv_api_route_entities_json(const dv_yaml *routes, json_t *entities,
                                             dv_error *error);
/* Appends the snapshot's record of them. */
dv_must dv_result dv_api_resources_write(const json_t *entities, dv_buf *out);

/* [A-Za-z0-9_.-]+, up to DV_LIMIT_NAME. */
bool dv_api_is_name(const char *text);
/* The values of a list of distinct names that match [A-Za-z0-9_.-]+, as a new JSON array. */
dv_must dv_result dv_api_names_json(const dv_yaml *list, const char *what, json_t **ret_array,
                                    dv_error *error);

/* "line 3: routes: " messages all look alike through this. */
#define dv_api_error_at(node, error, ...) dv_yaml_refuse(node, error, __VA_ARGS__)
