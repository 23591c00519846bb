/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/masking_action.h"

#include "crypto/random.h"
#include "engine/detect/action/rules.h"
#include "room/data/gate/action_json.h"

_Static_assert(DV_ACTION_KEY_LEN == 32, "what the snapshot holds");

/* ---- an action ---- */

void dv_masking_action_plain(const char *name, dv_masking_action *ret_action)
{
    ret_action->name = name;
    (void)snprintf(ret_action->json, sizeof(ret_action->json), "\"%s\"", name);
}

static dv_result read_name(const dv_yaml *node, dv_content_action *ret_action, dv_error *error)
{
    const char *text = NULL;
    DV_TRY(dv_yaml_string(node, &text, error));
    return dv_content_action_read_policy(dv_slice_str(text), ret_action)
               ? DV_OK
               : dv_yaml_refuse(node, error, "masking: '%.32s' is no action: " DV_POLICY_ACTIONS,
                                text);
}

static dv_result write(dv_content_action action, const dv_action *settings,
                       dv_masking_action *ret_action)
{
    dv_auto(buf) dv_buf json = dv_buf_init(sizeof(ret_action->json) - 1);
    DV_TRY(dv_data_action_append(action, settings, &json));
    ret_action->name = dv_content_action_name(action);
    dv_slice_copy(dv_buf_slice(&json), ret_action->json, sizeof(ret_action->json));
    return DV_OK;
}

dv_result dv_masking_action_read(const dv_yaml *node, dv_date_order order,
                                 dv_masking_action *ret_action, dv_error *error)
{
    bool map = node->type == DV_YAML_MAP;
    const dv_yaml *named = map ? dv_yaml_get(node, "action") : node;
    dv_content_action action = DV_ACTION_BLOCK;
    dv_action_kind kind = DV_ACT_REDACT;
    dv_action settings = {0};
    if (named == NULL) {
        return dv_yaml_refuse(node, error, "masking: action is missing: {action: hash}");
    }
    DV_TRY(read_name(named, &action, error));
    if (dv_data_action_kind(action, &kind)) {
        DV_TRY(dv_action_read(node, order, &settings, error));
        if (kind == DV_ACT_TOKEN && map && !settings.sealed &&
            dv_yaml_get(node, "sealed") != NULL) {
            return dv_yaml_refuse(node, error,
                                  "masking: tokens of the gate are always sealed: the vault of "
                                  "others is a file of `dvara data tokenize`");
        }
        return write(action, &settings, ret_action);
    }
    if (map && node->first->next != NULL) {
        return dv_yaml_refuse(node, error, "masking: %s has no settings",
                              dv_content_action_name(action));
    }
    return write(action, NULL, ret_action);
}

dv_result dv_masking_order(const dv_yaml *section, dv_date_order *ret_order, dv_error *error)
{
    const dv_yaml *node = section == NULL ? NULL : dv_yaml_get(section, "date_order");
    *ret_order = DV_DATE_DMY;
    return node == NULL ? DV_OK : dv_action_order_read(node, ret_order, error);
}

/* ---- the key ---- */

dv_result dv_masking_key(const dv_yaml *section, uint8_t ret_key[32], bool *ret_said,
                         dv_error *error)
{
    const dv_yaml *node = section == NULL ? NULL : dv_yaml_get(section, "key_file");
    const char *path = NULL;
    uint8_t key[DV_ACTION_KEY_LEN];
    dv_error why = {0};
    *ret_said = node != NULL;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(node, &path, error));
    if (path[0] != '/') {
        return dv_yaml_refuse(node, error, "masking: 'key_file' wants a file, with its whole path");
    }
    if (dv_action_key_read(path, key, &why) != DV_OK) {
        return dv_yaml_refuse(node, error, "masking: key_file: %.300s", why.message);
    }
    memcpy(ret_key, key, sizeof(key));
    dv_wipe(key, sizeof(key));
    return DV_OK;
}
