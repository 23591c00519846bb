/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data_tools.h"

#include "base/caps.h"
#include "base/file.h"
#include "crypto/random.h"

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static bool is_set(const json_t *params, const char *name)
{
    return json_is_true(json_object_get(params, name));
}

/* ---- what is done, and with which key ---- */

static dv_result read_rules(const json_t *params, const dv_action *fallback, dv_data_tools *tools,
                            dv_error *error)
{
    const char *path = text_param(params, "rules");
    const dv_yaml *root = NULL;
    dv_slice text;
    dv_auto(buf) dv_buf file = dv_buf_init(DV_LIMIT_CONFIG);
    tools->arena = dv_arena_new(64 << 20);
    if (tools->arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (path != NULL) {
        DV_TRY(dv_file_read(path, &file, error));
        DV_TRY(dv_arena_copy(tools->arena, dv_buf_slice(&file), &text));
        DV_TRY(dv_yaml_parse(text, tools->arena, &root, error));
    }
    return dv_action_rules_read(root, fallback, tools->arena, &tools->rules, error);
}

static dv_result open_vault(const json_t *params, bool reverse, const uint8_t *key,
                            dv_data_tools *tools, dv_error *error)
{
    const char *path = text_param(params, "vault");
    if (path == NULL) {
        return dv_action_rules_need_vault(tools->rules) && !reverse
                   ? dv_error_set(error, DV_ERR_INVALID,
                                  "tokens are kept in a vault: --vault FILE is missing; those of "
                                  "--sealed carry their value and need none")
                   : DV_OK;
    }
    return dv_vault_open(path, key, !reverse, &tools->vault, error);
}

static dv_result make_actions(const json_t *params, bool reverse, dv_data_tools *tools,
                              dv_error *error)
{
    uint8_t key[DV_ACTION_KEY_LEN];
    const char *path = text_param(params, "key_file");
    if (path == NULL) {
        if (reverse || dv_action_rules_need_key(tools->rules) ||
            text_param(params, "vault") != NULL) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "--key-file is missing: `openssl rand -base64 32 > key; chmod 600 "
                                "key` makes one");
        }
        return dv_action_tools_new(NULL, NULL, &tools->actions);
    }
    DV_TRY(dv_action_key_read(path, key, error));
    dv_result result = open_vault(params, reverse, key, tools, error);
    if (result == DV_OK) {
        result = dv_action_tools_new(key, tools->vault, &tools->actions);
    }
    dv_wipe(key, sizeof(key));
    return result;
}

/* ---- what is searched ---- */

dv_result dv_data_custom_open(const json_t *params, dv_detect_scratch *scratch,
                              dv_detector_set *set, dv_detect_custom **ret_custom, dv_error *error)
{
    const char *path = text_param(params, "custom_detectors");
    dv_error why = {0};
    if (path == NULL) {
        return DV_OK;
    }
    dv_auto(buf) dv_buf text = dv_buf_init(DV_CUSTOM_TEXT_MAX);
    DV_TRY(dv_file_read(path, &text, error));
    dv_result result = dv_detect_custom_read(dv_buf_slice(&text), ret_custom, &why);
    if (result != DV_OK) {
        return dv_error_set(error, result, "%s:%d: %s", path, why.line, why.message);
    }
    for (size_t i = 0; i < dv_detect_custom_count(*ret_custom); i++) {
        dv_detector_set_add(set, DV_CUSTOM_FIRST + i);
    }
    if (scratch != NULL) {
        dv_detect_scratch_use(scratch, *ret_custom);
    }
    return DV_OK;
}

static dv_result make_search(const json_t *params, dv_data_tools *tools, dv_error *error)
{
    DV_TRY(dv_detect_rules_builtin(&tools->detect, error));
    DV_TRY(dv_detect_scratch_new(tools->detect, &tools->scratch));
    tools->setup.walk.rules = tools->detect;
    tools->setup.walk.scratch = tools->scratch;
    dv_action_rules_enable(tools->rules, is_set(params, "all"), &tools->setup.walk.enabled);
    DV_TRY(dv_data_custom_open(params, tools->scratch, &tools->setup.walk.enabled, &tools->custom,
                               error));
    tools->setup.custom = tools->custom;
    if (is_set(params, "names")) {
        DV_TRY(dv_data_names_new(&tools->names, error));
    }
    tools->extra = (dv_data_extra){.names = tools->names,
                                   .decode = is_set(params, "decode") ? &tools->setup.walk : NULL};
    tools->setup.walk.also = dv_data_extra_add;
    tools->setup.walk.also_data = &tools->extra;
    return DV_OK;
}

dv_result dv_data_tools_open(const json_t *params, const dv_action *fallback, bool reverse,
                             dv_data_tools *tools, dv_error *error)
{
    *tools = (dv_data_tools){.arena = NULL};
    DV_TRY(read_rules(params, fallback, tools, error));
    DV_TRY(make_actions(params, reverse, tools, error));
    DV_TRY(reverse ? DV_OK : make_search(params, tools, error));
    tools->setup.rules = tools->rules;
    tools->setup.tools = tools->actions;
    tools->setup.reverse = reverse;
    tools->setup.subject = dv_slice_str(text_param(params, "subject"));
    return DV_OK;
}

void dv_data_tools_close(dv_data_tools *tools)
{
    dv_action_tools_free(tools->actions);
    dv_vault_free(tools->vault);
    dv_data_names_free(tools->names);
    dv_detect_scratch_free(tools->scratch);
    dv_detect_rules_free(tools->detect);
    dv_detect_custom_free(tools->custom);
    dv_arena_free(tools->arena);
    *tools = (dv_data_tools){.arena = NULL};
}

/* ---- files ---- */

const char *dv_data_ending(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash == NULL ? path : slash, '.');
    return dot == NULL ? "" : dot + 1;
}

dv_transform_run dv_data_run_for(const char *format)
{
    static const struct {
        const char *format;
        dv_transform_run run;
    } formats[] = {
        {"csv", dv_transform_csv},     {"tsv", dv_transform_csv},   {"jsonl", dv_transform_json},
        {"ndjson", dv_transform_json}, {"json", dv_transform_json}, {"sql", dv_transform_sql},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(formats); i++) {
        if (strcmp(formats[i].format, format) == 0) {
            return formats[i].run;
        }
    }
    return NULL;
}

dv_slice dv_data_table_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    dv_slice name = dv_slice_str(slash == NULL ? path : slash + 1);
    ptrdiff_t dot = dv_slice_find_byte(name, '.');
    return dv_slice_sub(name, 0, dot < 0 ? name.len : (size_t)dot);
}
