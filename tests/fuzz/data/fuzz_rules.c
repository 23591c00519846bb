/* SPDX-License-Identifier: Apache-2.0 */
/* Who may have data, how long it is kept, and whose tokens are turned back: the sections
 * data_access, data_retention and data_vaults. Any text
 * is refused with a word, or gives rules that judge any data within their bounds. The text is the
 * section; the part behind a NUL is labels. */
#include "base/caps.h"
#include "room/data/control/access/rules.h"
#include "room/data/control/disposal/rules.h"
#include "room/data/control/vaults.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_access(const dv_yaml *section, dv_slice words)
{
    dv_data_rules *rules = NULL;
    dv_error error = {0};
    require(dv_data_rules_new(&rules) == DV_OK);
    dv_result result = dv_data_rules_set(rules, section, &error);
    require(result == DV_OK || error.message[0] != '\0');
    for (int64_t level = 0; level <= 3; level++) {
        const dv_data_labelled asset = {level, words, words};
        dv_data_wants wants = dv_data_rules_wants(rules, &asset);
        require(wants.approvals >= 0 && wants.approvals <= DV_LIMIT_DATA_APPROVALS);
        require(wants.longest > 0);
    }
    dv_data_rules_free(rules);
}

static void check_kept(const dv_disposal_rules *rules, bool good)
{
    const dv_kept_rules *kept = dv_disposal_kept(rules);
    require(good || kept->count == 0);
    for (size_t i = 0; i < kept->count; i++) {
        const dv_kept_rule *rule = &kept->items[i];
        require(rule->count > 0 && rule->count <= DV_KEPT_THINGS);
        require(strchr(rule->things[0], '"') == NULL && strchr(rule->things[0], '/') == NULL);
        const dv_kept_rule *longest = dv_kept_rule_for(kept, rule->kind, rule->things[0]);
        require(rule->hold || longest->keep >= rule->keep);
        require(!rule->hold || dv_disposal_held(rules, rule->kind, rule->things[0]) != NULL);
        require(dv_kept_cutoff(longest, 1000) == 0); /* never at once */
        json_t *shown = dv_kept_rule_json(rule);
        require(shown != NULL);
        json_decref(shown);
    }
}

static void check_retention(const dv_yaml *section, dv_slice words)
{
    dv_disposal_rules *rules = NULL;
    dv_error error = {0};
    require(dv_disposal_rules_new(&rules) == DV_OK);
    dv_result result = dv_disposal_rules_set(rules, section, &error);
    require(result == DV_OK || error.message[0] != '\0');
    const dv_disposal_file file = {
        DV_LIT("file://h/srv"), DV_LIT("a/b.txt"), words, words, 2, 1000, 2000};
    const dv_disposal_rule *rule = dv_disposal_rule_for(rules, &file);
    (void)dv_disposal_hold_for(rules, &file);
    check_kept(rules, result == DV_OK);
    require(result == DV_OK || rule == NULL); /* nothing goes by what was refused */
    if (rule != NULL) {
        require(dv_disposal_due(rule, &file) > file.changed); /* never at once */
        json_t *shown = dv_disposal_rule_json(rule);
        require(shown != NULL);
        json_decref(shown);
    }
    dv_disposal_rules_free(rules);
}

static void check_vaults(const dv_yaml *section)
{
    dv_data_vaults *vaults = NULL;
    dv_error error = {0};
    require(dv_data_vaults_new(&vaults) == DV_OK);
    dv_result result = dv_data_vaults_set(vaults, section, &error);
    require(result == DV_OK || error.message[0] != '\0');
    require(dv_data_vault_count(vaults) <= (result == DV_OK ? DV_LIMIT_DATA_VAULTS : 0));
    for (size_t i = 0; i < dv_data_vault_count(vaults); i++) {
        dv_data_vault *vault = dv_data_vault_at(vaults, i);
        require(dv_data_vault_find(vaults, vault->name) == vault && vault->open == NULL);
        require(strchr(vault->name, '"') == NULL); /* it stands in an entity's name */
        require(vault->file[0] == '/' && vault->key[0] == '/');
    }
    dv_data_vaults_free(vaults);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
    size_t len = end != NULL ? (size_t)(end - data) : size;
    dv_slice words = end != NULL ? dv_slice_of(end + 1, size - len - 1) : DV_LIT("personal,gdpr");
    dv_arena *arena = dv_arena_new(16 << 20);
    const dv_yaml *section = NULL;
    dv_error error = {0};
    if (dv_yaml_parse(dv_slice_of(data, len), arena, &section, &error) == DV_OK) {
        check_access(section, words);
        check_retention(section, words);
        check_vaults(section);
    }
    dv_arena_free(arena);
    return 0;
}
