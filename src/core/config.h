/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* dvara.yaml belongs to the rooms section by section; daemon/config.c holds the table of all. A
 * key that no room owns is refused with its line. */

#include "base/yaml.h"
#include "core/services.h"

typedef struct dv_config_section {
    const char *key; /* top-level name: "rbac" */
    /* Says whether the section is good, without touching anything: `dvara up`, `reload` and
     * `config check` call it first, for all sections. */
    dv_result (*check)(const dv_yaml *section, dv_error *error);
    /* Puts it into force in dvarad, at start and at every reload; NULL section: not in the file,
     * so the room's defaults. May be NULL when others read the section. */
    dv_result (*apply)(const dv_yaml *section, dv_services *services, dv_error *error);
} dv_config_section;
