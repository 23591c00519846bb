/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The `control:` section of dvara.yaml:
 *   control:
 *     origins: ["https://dvara.example.org"]  # web pages that may change things; none by default
 *     metrics: local                          # or "key": /metrics always wants a credential */

#include "core/config.h"
#include "daemon/dvarad_exchange.h"

/* Row for daemon/config.c's table. dvarad_main.c reads the section, so apply is NULL. */
extern const dv_config_section dv_control_config_section;

/* section NULL: the defaults. Errors carry the line. */
dv_must dv_result dv_control_settings_read(const dv_yaml *section,
                                           dv_control_settings *ret_settings, dv_error *error);
