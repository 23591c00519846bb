/* SPDX-License-Identifier: Apache-2.0 */
/* The section `audit:` of dvara.yaml. Each key is checked by the part that it belongs to; who uses
 * it reads it there. */
#include "room/audit/collect/config.h"
#include "room/audit/control/audit_control.h"
#include "room/audit/control/nodes_config.h"
#include "room/audit/control/retention_config.h"
#include "room/audit/control/witness_config.h"
#include "room/audit/export/config.h"

enum { ARENA = 1 << 20 };

static dv_result check_collect(const dv_yaml *audit, dv_error *error)
{
    dv_collect_config config;
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    return arena == NULL ? DV_ERR_NO_MEMORY : dv_collect_config_read(audit, arena, &config, error);
}

static dv_result check_export(const dv_yaml *audit, dv_error *error)
{
    return dv_export_config_check(dv_yaml_get(audit, "export"), error);
}

static const struct {
    const char *key;
    dv_result (*check)(const dv_yaml *audit, dv_error *error);
} parts[] = {
    {"collect", check_collect},
    {"collect_spool", check_collect},
    {"collect_keep_free", check_collect},
    {"export", check_export},
    {"node_alarm_after", dv_nodes_config_check},
    {"node_interval", dv_nodes_config_check},
    {"nodes", dv_nodes_config_check},
    {"nodes_keep_free", dv_nodes_config_check},
    {"retention", dv_retention_config_check},
    {"witnesses", dv_witness_config_check},
    {"quorum", dv_witness_config_check},
    {"witness_interval", dv_witness_config_check},
};

static dv_result check(const dv_yaml *section, dv_error *error)
{
    const char *known[DV_ARRAY_LEN(parts) + 1] = {NULL};
    for (size_t i = 0; i < DV_ARRAY_LEN(parts); i++) {
        known[i] = parts[i].key;
    }
    if (section->type != DV_YAML_MAP) {
        return dv_yaml_refuse(section, error, "'audit' must be a map");
    }
    DV_TRY(dv_yaml_check_keys(section, known, error));
    for (size_t i = 0; i < DV_ARRAY_LEN(parts); i++) {
        if (dv_yaml_get(section, parts[i].key) != NULL) {
            DV_TRY(parts[i].check(section, error));
        }
    }
    return DV_OK;
}

const dv_config_section dv_audit_config_section = {"audit", check, NULL};
