/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/witness_config.h"

#include <stdlib.h>

static const dv_time interval_default = 60 * DV_SECOND;

/* http is enough: what comes back is signed, and nothing that goes out is secret. */
static bool is_url(const char *text)
{
    size_t scheme = strncmp(text, "https://", 8) == 0  ? 8
                    : strncmp(text, "http://", 7) == 0 ? 7
                                                       : 0;
    size_t len = strlen(text);
    return scheme > 0 && len > scheme && len <= DV_POLICY_URL_MAX &&
           strspn(text + scheme, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                 "-._~:/[]%") == len - scheme;
}

static bool is_known(const dv_policy *policy, const dv_note_verifier *key)
{
    for (size_t i = 0; i < policy->witness_count; i++) {
        if (memcmp(policy->witnesses[i].key.public_key, key->public_key, 32) == 0 ||
            strcmp(policy->witnesses[i].name, key->name) == 0) {
            return true;
        }
    }
    return false;
}

static dv_result add_witness(const dv_yaml *node, dv_policy *policy, dv_error *error)
{
    static const char *const keys[] = {"url", "key", NULL};
    const char *url, *vkey;
    DV_TRY(dv_yaml_check_keys(node, keys, error));
    if (dv_yaml_get(node, "url") == NULL || dv_yaml_get(node, "key") == NULL) {
        return dv_yaml_refuse(node, error, "audit.witnesses: each wants url and key");
    }
    DV_TRY(dv_yaml_string(dv_yaml_get(node, "url"), &url, error));
    DV_TRY(dv_yaml_string(dv_yaml_get(node, "key"), &vkey, error));
    if (policy->witness_count == DV_POLICY_WITNESSES_MAX) {
        return dv_error_set_at(error, DV_ERR_TOO_LARGE, node->line, node->column,
                               "audit.witnesses: at most %d", DV_POLICY_WITNESSES_MAX);
    }
    dv_policy_witness *witness = &policy->witnesses[policy->witness_count];
    *witness = (dv_policy_witness){.url = ""};
    if (!is_url(url)) {
        return dv_yaml_refuse(node, error, "audit.witnesses: url wants https://HOST/ or http://");
    }
    if (dv_cosigner_parse(dv_slice_str(vkey), &witness->key) != DV_OK) {
        return dv_yaml_refuse(node, error,
                              "audit.witnesses: key is no Ed25519 cosigner's verifier key such as "
                              "name+1a2b3c4d+BAbC... (dvara-witness show-key)");
    }
    if (is_known(policy, &witness->key)) {
        return dv_yaml_refuse(node, error, "audit.witnesses: that witness is there already");
    }
    snprintf(witness->url, sizeof(witness->url), "%s", url);
    memcpy(witness->name, witness->key.name, sizeof(witness->name));
    policy->witness_count++;
    return DV_OK;
}

static dv_result read_witnesses(const dv_yaml *list, dv_policy *policy, dv_error *error)
{
    if (list == NULL) {
        return DV_OK;
    }
    if (list->type != DV_YAML_LIST) {
        return dv_yaml_refuse(list, error, "audit.witnesses must be a list of {url, key}");
    }
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        DV_TRY(add_witness(node, policy, error));
    }
    return DV_OK;
}

static dv_result read_quorum(const dv_yaml *node, dv_witness_settings *settings, dv_error *error)
{
    dv_policy *policy = &settings->policy;
    int64_t quorum = (int64_t)policy->witness_count;
    if (node != NULL) {
        DV_TRY(dv_yaml_int(node, 1, DV_POLICY_WITNESSES_MAX, &quorum, error));
        if ((size_t)quorum > policy->witness_count) {
            return dv_yaml_refuse(node, error, "audit.quorum is larger than the %zu witnesses",
                                  policy->witness_count);
        }
    }
    settings->quorum = (unsigned)quorum;
    return DV_OK;
}

/* One group of all witnesses, as the policy file would say it. */
static void set_quorum(dv_witness_settings *settings)
{
    dv_policy *policy = &settings->policy;
    policy->quorum = DV_POLICY_NONE;
    if (policy->witness_count == 0) {
        return;
    }
    dv_policy_group *group = &policy->groups[0];
    *group = (dv_policy_group){.name = "witnesses", .threshold = settings->quorum};
    for (size_t i = 0; i < policy->witness_count; i++) {
        group->members[group->member_count++] = (unsigned)i;
    }
    policy->group_count = 1;
    policy->quorum = DV_POLICY_WITNESSES_MAX;
}

dv_result dv_witness_settings_read(const dv_yaml *section, dv_witness_settings *ret_settings,
                                   dv_error *error)
{
    const dv_yaml *interval = section == NULL ? NULL : dv_yaml_get(section, "witness_interval");
    memset(ret_settings, 0, sizeof(*ret_settings));
    ret_settings->interval = interval_default;
    if (section == NULL) {
        set_quorum(ret_settings);
        return DV_OK;
    }
    DV_TRY(read_witnesses(dv_yaml_get(section, "witnesses"), &ret_settings->policy, error));
    DV_TRY(read_quorum(dv_yaml_get(section, "quorum"), ret_settings, error));
    set_quorum(ret_settings);
    if (interval == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_duration(interval, &ret_settings->interval, error));
    return ret_settings->interval >= DV_SECOND && ret_settings->interval <= 3600 * DV_SECOND
               ? DV_OK
               : dv_yaml_refuse(interval, error,
                                "audit.witness_interval must be between 1s and 1h");
}

dv_result dv_witness_policy_format(const dv_witness_settings *settings, dv_buf *out)
{
    const dv_policy *policy = &settings->policy;
    for (size_t i = 0; i < policy->witness_count; i++) {
        const dv_policy_witness *witness = &policy->witnesses[i];
        DV_TRY(dv_buf_append_printf(out, "witness w%zu ", i + 1));
        DV_TRY(dv_note_verifier_format(&witness->key, out));
        DV_TRY(dv_buf_append_printf(out, " %s\n", witness->url));
    }
    if (policy->witness_count == 0) {
        return dv_buf_append_str(out, "quorum none\n");
    }
    DV_TRY(dv_buf_append_printf(out, "group witnesses %u", settings->quorum));
    for (size_t i = 0; i < policy->witness_count; i++) {
        DV_TRY(dv_buf_append_printf(out, " w%zu", i + 1));
    }
    return dv_buf_append_str(out, "\nquorum witnesses\n");
}

dv_result dv_witness_config_check(const dv_yaml *section, dv_error *error)
{
    dv_auto(free) dv_witness_settings *settings = malloc(sizeof(*settings));
    return settings == NULL ? DV_ERR_NO_MEMORY : dv_witness_settings_read(section, settings, error);
}
