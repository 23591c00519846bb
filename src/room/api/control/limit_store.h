/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Limits of one subject by name: rows of api_limit, and the snapshot's records made from them. */

#include "core/operation.h"
#include "room/api/gate/api_limits.h"

/* "requests/60000000000", "tokens/day", "concurrent". */
enum { DV_LIMIT_PLACE_MAX = 64 };
void dv_limit_place(const dv_api_limit *limit, char out[DV_LIMIT_PLACE_MAX]);

/* subject: "group/research". */
dv_must dv_result dv_limit_store_read(dv_store *store, const char *subject,
                                      dv_api_limits *ret_limits, dv_error *error);
/* Errors: DV_ERR_CONFLICT: eight already, or too many networks. */
dv_must dv_result dv_limit_store_put(dv_store *store, const char *subject,
                                     const dv_api_limit *limit, dv_time now, dv_error *error);
/* Errors: DV_ERR_NOT_FOUND. */
dv_must dv_result dv_limit_store_remove(dv_store *store, const char *subject,
                                        const dv_api_limit *limit, dv_error *error);

/* Puts the subject's record, and those that say who has any, into the running write transaction of
 * the snapshot; subject NULL: all of them. */
dv_must dv_result dv_limit_store_publish(dv_services *services, const char *subject,
                                         dv_error *error);

/* The counters, where there are any yet. Errors: DV_ERR_NOT_FOUND and others. */
dv_must dv_result dv_limit_open_counters(const dv_services *services, dv_counters **ret_counters);

/* Leaves an alarm (limit.counters_lost) when the file of counters is not the one that was seen
 * last. At every start and reload. */
dv_must dv_result dv_limit_notice_loss(dv_services *services, dv_error *error);
