/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Of the section `audit:` of dvara.yaml:
 *   audit:
 *     retention:
 *       archive: /srv/archives # where all goes before it is pruned; it just goes when not said
 *       keep: 400d             # the main log; forever when not said
 *       classes:               # each has a log of its own
 *         - {name: requests, kinds: ["request.*", refusals], keep: 90d} */

#include "base/yaml.h"
#include "engine/log/retention.h"

/* Reads it (audit NULL: all is kept for ever, in one log): classes and kinds, the main log first.
 * ret_retention is on the heap (100 KB). Errors carry the line. */
dv_must dv_result dv_retention_config_read(const dv_yaml *audit, dv_retention *ret_retention,
                                           dv_error *error);
/* Whether it could be read. */
dv_must dv_result dv_retention_config_check(const dv_yaml *audit, dv_error *error);
