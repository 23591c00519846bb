/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/scope.h"

#include "core/principal.h"
#include "room/data/gate/names.h"

/* A rule that is read. */
typedef struct scope {
    const dv_yaml *rule;
    const char *what;               /* begins each message */
    const dv_detect_custom *custom; /* users' detectors; NULL: none */
    dv_buf *out;
    dv_error *error;
} scope;

/* Lists of a rule that say who is meant, and Cedar's types of them. */
static const char *const who_lists[][2] = {
    {"roles", "Role"}, {"groups", "Group"}, {"users", "User"}, {"services", "Service"}};

/* Of users' detectors: what a rule may speak of. */
static bool custom_has(const scope *in, const char *name, bool category)
{
    for (size_t i = 0; i < dv_detect_custom_count(in->custom); i++) {
        const dv_detector_info *info = dv_detect_custom_info(in->custom, DV_CUSTOM_FIRST + i);
        if (strcmp(category ? info->category : info->label, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_category(const scope *in, const char *name)
{
    for (size_t i = 0; i < dv_masking_kind_count(); i++) {
        if (strcmp(dv_masking_kind(i)->category, name) == 0) {
            return true;
        }
    }
    return custom_has(in, name, true);
}

static bool has_label(const scope *in, const char *name)
{
    for (size_t i = 0; i < dv_masking_kind_count(); i++) {
        if (strcmp(dv_masking_kind(i)->label, name) == 0) {
            return true;
        }
    }
    return custom_has(in, name, false);
}

static bool is_detector(const scope *in, const char *name)
{
    return dv_masking_kind_index(name) >= 0 || dv_detect_custom_index(in->custom, name) >= 0;
}

/* Names of principals and routes; what they are is not looked up: they may come later. */
static bool is_name(const scope *in, const char *name)
{
    static const char bytes[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@-";
    size_t len = strlen(name);
    return len > 0 && len <= DV_PRINCIPAL_ID_MAX && strspn(name, bytes) == len;
}

static bool stands_before(const dv_yaml *first, const dv_yaml *node, const char *name)
{
    while (first != node && (first->text == NULL || strcmp(first->text, name) != 0)) {
        first = first->next;
    }
    return first != node;
}

static dv_result check_name(const scope *in, const dv_yaml *list, const dv_yaml *node,
                            const char *name, bool (*known)(const scope *in, const char *name))
{
    if (!known(in, name)) {
        return known == is_name
                   ? dv_yaml_refuse(node, in->error,
                                    "%s: '%.64s' in '%s' is no name: letters, digits, _ . @ -",
                                    in->what, name, list->key)
                   : dv_yaml_refuse(node, in->error, "%s: '%.64s' is none of the '%s' there are",
                                    in->what, name, list->key);
    }
    if (stands_before(list->first, node, name)) {
        return dv_yaml_refuse(node, in->error, "%s: '%.64s' stands in '%s' twice", in->what, name,
                              list->key);
    }
    return DV_OK;
}

/* Appends the list's names, each as `type` of Cedar where there is one. *count: how many are there
 * already. */
static dv_result append_names(const scope *in, const char *key, const char *type,
                              bool (*known)(const scope *in, const char *name), size_t *count)
{
    const dv_yaml *list = dv_yaml_get(in->rule, key);
    if (list == NULL) {
        return DV_OK;
    }
    if (list->type != DV_YAML_LIST || list->first == NULL) {
        return dv_yaml_refuse(list, in->error, "%s: '%s' of a rule wants a list of names", in->what,
                              key);
    }
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        const char *name = NULL;
        DV_TRY(dv_yaml_string(node, &name, in->error));
        DV_TRY(check_name(in, list, node, name, known));
        DV_TRY(dv_buf_append_str(in->out, (*count)++ > 0 ? "," : ""));
        DV_TRY(type == NULL ? dv_buf_append_printf(in->out, "\"%s\"", name)
                            : dv_buf_append_printf(in->out, "\"%s::\\\"%s\\\"\"", type, name));
    }
    return DV_OK;
}

static dv_result append_list(const scope *in, const char *key,
                             bool (*known)(const scope *in, const char *name))
{
    size_t count = 0;
    if (dv_yaml_get(in->rule, key) == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_buf_append_printf(in->out, "\"%s\":[", key));
    DV_TRY(append_names(in, key, NULL, known, &count));
    return dv_buf_append_str(in->out, "],");
}

static dv_result append_who(const scope *in)
{
    size_t count = 0;
    DV_TRY(dv_buf_append_str(in->out, "\"who\":["));
    for (size_t i = 0; i < DV_ARRAY_LEN(who_lists); i++) {
        DV_TRY(append_names(in, who_lists[i][0], who_lists[i][1], is_name, &count));
    }
    return dv_buf_append_str(in->out, "],");
}

dv_result dv_data_scope_append(const dv_yaml *rule, const char *what,
                               const dv_detect_custom *custom, dv_buf *out, dv_error *error)
{
    const scope in = {rule, what, custom, out, error};
    DV_TRY(append_who(&in));
    DV_TRY(append_list(&in, "routes", is_name));
    DV_TRY(append_list(&in, "detectors", is_detector));
    DV_TRY(append_list(&in, "categories", has_category));
    return append_list(&in, "labels", has_label);
}
