/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the gate tells policies of models and routes: a record of the snapshot (DV_TABLE_ROUTES)
 * that room/api/control makes of dvara.yaml and room/auth/gate reads.
 *
 * 32 bytes, the SHA-256 of the rest, then Cedar's JSON of entities (engine/cedar/entities.h):
 * Model::"name in lower case" and Route::"name", each with the attributes tier and classification
 * (strings) and labels (a set of strings); a model is in its groups, ModelGroup::"name".
 * Model::"*" is any other model; without it, and for any other route, all of them are empty. */

#define DV_RESOURCES_KEY "resources"
#define DV_RESOURCES_ANY_MODEL "*"

/* The gateway's own configuration, which room/api/control publishes there as JSON:
 * room/data/control reads of it the members name, path, upstream, request_policy and answer_policy
 * of its "routes". */
#define DV_GATEWAY_KEY "gateway"
