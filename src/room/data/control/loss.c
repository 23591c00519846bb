/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/loss.h"

#include "base/caps.h"
#include "base/codec.h"
#include "room/data/control/data_control.h"
#include "room/data/control/loss_sets.h"
#include "room/data/control/volume.h"

/* The keys of the section; each is read by a function of its own. */
static const char *const section_keys[] = {
    "fingerprints",
    "volume",
    NULL,
};

/* ---- fingerprints ---- */

enum {
    NAME_MAX_BYTES = 32,
    ROUTES_MAX = 64,
    TEXT_MAX = 64 << 10,
};

static const char *const entry_keys[] = {"name", "file", "action", "direction", "routes", NULL};

/* One of `fingerprints:`. */
typedef struct entry {
    const char *name;
    const char *file;
    const char *action;
    bool request;
    bool answer;
    const dv_yaml *routes;
} entry;

static bool is_word(const char *text, size_t most)
{
    static const char bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t len = strlen(text);
    return len > 0 && len <= most && strspn(text, bytes) == len;
}

static bool is_one_of(const char *text, const char *const *list)
{
    while (*list != NULL && strcmp(*list, text) != 0) {
        list++;
    }
    return *list != NULL;
}

/* A member that is a text; absent: as it is. */
static dv_result read_text(const dv_yaml *node, const char *key, const char **text, dv_error *error)
{
    const dv_yaml *member = dv_yaml_get(node, key);
    return member == NULL ? DV_OK : dv_yaml_string(member, text, error);
}

static dv_result read_direction(const dv_yaml *node, entry *e, dv_error *error)
{
    static const char *const directions[] = {"request", "response", "both", NULL};
    const char *text = "both";
    DV_TRY(read_text(node, "direction", &text, error));
    if (!is_one_of(text, directions)) {
        return dv_yaml_refuse(dv_yaml_get(node, "direction"), error,
                              "loss_prevention: 'direction' is request, response or both");
    }
    e->request = strcmp(text, "response") != 0;
    e->answer = strcmp(text, "request") != 0;
    return DV_OK;
}

static dv_result check_routes(const dv_yaml *routes, dv_error *error)
{
    size_t count = 0;
    if (routes == NULL) {
        return DV_OK;
    }
    if (routes->type != DV_YAML_LIST || routes->first == NULL) {
        return dv_yaml_refuse(routes, error, "loss_prevention: 'routes' wants a list of names");
    }
    for (const dv_yaml *node = routes->first; node != NULL; node = node->next) {
        const char *name = NULL;
        DV_TRY(dv_yaml_string(node, &name, error));
        if (!is_word(name, DV_LIMIT_NAME) || ++count > ROUTES_MAX) {
            return dv_yaml_refuse(node, error,
                                  "loss_prevention: 'routes' wants names of routes, %d at most",
                                  ROUTES_MAX);
        }
    }
    return DV_OK;
}

static dv_result read_entry(const dv_yaml *node, entry *e, dv_error *error)
{
    static const char *const actions[] = {"monitor", "alert", "block", NULL};
    *e = (entry){.routes = NULL};
    if (node->type != DV_YAML_MAP) {
        return dv_yaml_refuse(node, error, "loss_prevention: a fingerprint wants name and file");
    }
    DV_TRY(dv_yaml_check_keys(node, entry_keys, error));
    DV_TRY(read_text(node, "name", &e->name, error));
    DV_TRY(read_text(node, "file", &e->file, error));
    DV_TRY(read_text(node, "action", &e->action, error));
    if (e->name == NULL || !is_word(e->name, NAME_MAX_BYTES)) {
        return dv_yaml_refuse(node, error,
                              "loss_prevention: a fingerprint wants a name of letters, digits, _ . "
                              "and -, %d at most",
                              NAME_MAX_BYTES);
    }
    if (e->file == NULL || e->file[0] != '/') {
        return dv_yaml_refuse(node, error,
                              "loss_prevention: '%s' wants its file, with its whole path", e->name);
    }
    if (e->action == NULL || !is_one_of(e->action, actions)) {
        return dv_yaml_refuse(
            node, error, "loss_prevention: '%s' wants an action: monitor, alert or block", e->name);
    }
    e->routes = dv_yaml_get(node, "routes");
    DV_TRY(check_routes(e->routes, error));
    return read_direction(node, e, error);
}

static dv_result check_set(const char *file, char path[PATH_MAX], uint8_t id[DV_FINGERPRINT_ID_LEN],
                           dv_error *error)
{
    dv_auto(fingerprint_set) dv_fingerprint_set *set = NULL;
    DV_TRY(dv_fingerprint_set_open(file, &set, error));
    memcpy(id, dv_fingerprint_set_about(set)->id, DV_FINGERPRINT_ID_LEN);
    (void)snprintf(path, PATH_MAX, "%s", file);
    return DV_OK;
}

/* The file that the gate reads, and what must be in it. */
static dv_result append_file(const dv_yaml *node, const char *file, const char *runtime,
                             dv_buf *out, dv_error *error)
{
    char path[PATH_MAX];
    uint8_t id[DV_FINGERPRINT_ID_LEN];
    dv_error why = {0};
    dv_result result = runtime != NULL ? dv_data_loss_keep(file, runtime, path, id, &why)
                                       : check_set(file, path, id, &why);
    if (result == DV_ERR_NO_MEMORY) {
        return result;
    }
    if (result != DV_OK) {
        return dv_yaml_refuse(node, error, "loss_prevention: %s", why.message);
    }
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(path)));
    DV_TRY(dv_buf_append_str(out, ",\"id\":\""));
    DV_TRY(dv_hex_encode(dv_slice_of(id, sizeof(id)), out));
    return dv_buf_append_str(out, "\"");
}

static dv_result append_routes(const dv_yaml *routes, dv_buf *out)
{
    if (routes == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_buf_append_str(out, ",\"routes\":["));
    for (const dv_yaml *node = routes->first; node != NULL; node = node->next) {
        DV_TRY(dv_buf_append_printf(out, "%s\"%s\"", node == routes->first ? "" : ",", node->text));
    }
    return dv_buf_append_str(out, "]");
}

static dv_result append_entry(const dv_yaml *node, const entry *e, const char *runtime, dv_buf *out,
                              dv_error *error)
{
    DV_TRY(dv_buf_append_printf(out, "{\"name\":\"%s\",\"action\":\"%s\",\"file\":", e->name,
                                e->action));
    DV_TRY(append_file(node, e->file, runtime, out, error));
    DV_TRY(append_routes(e->routes, out));
    return dv_buf_append_str(out, "}");
}

/* Two of one name could not be told apart in the log. */
static dv_result check_names(const dv_yaml *list, const dv_yaml *node, const char *name,
                             dv_error *error)
{
    for (const dv_yaml *other = list->first; other != node; other = other->next) {
        const dv_yaml *said = dv_yaml_get(other, "name");
        if (said != NULL && said->text != NULL && strcmp(said->text, name) == 0) {
            return dv_yaml_refuse(node, error, "loss_prevention: '%s' is there twice", name);
        }
    }
    return DV_OK;
}

dv_result dv_data_loss_fingerprints(const dv_yaml *section, bool answer, const char *runtime,
                                    dv_buf *out, dv_error *error)
{
    const dv_yaml *list = section == NULL ? NULL : dv_yaml_get(section, "fingerprints");
    size_t count = 0, written = 0;
    if (list == NULL) {
        return DV_OK;
    }
    if (list->type != DV_YAML_LIST) {
        return dv_yaml_refuse(list, error, "loss_prevention: 'fingerprints' wants a list");
    }
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        entry e;
        DV_TRY(read_entry(node, &e, error));
        DV_TRY(check_names(list, node, e.name, error));
        if (++count > DV_FINGERPRINT_SETS) {
            return dv_yaml_refuse(node, error, "loss_prevention: at most %d fingerprints",
                                  DV_FINGERPRINT_SETS);
        }
        if (answer ? e.answer : e.request) {
            DV_TRY(dv_buf_append_str(out, written++ == 0 ? ",\"fingerprints\":[" : ","));
            DV_TRY(append_entry(node, &e, runtime, out, error));
        }
    }
    return written > 0 ? dv_buf_append_str(out, "]") : DV_OK;
}

/* ---- the section ---- */

static dv_result check_lists(const dv_yaml *section, dv_error *error)
{
    dv_auto(buf) dv_buf unused = dv_buf_init(TEXT_MAX);
    DV_TRY(dv_yaml_check_keys(section, section_keys, error));
    DV_TRY(dv_data_loss_fingerprints(section, false, NULL, &unused, error));
    DV_TRY(dv_data_loss_fingerprints(section, true, NULL, &unused, error));
    return dv_data_volume_check(dv_yaml_get(section, "volume"), error);
}

static dv_result check(const dv_yaml *section, dv_error *error)
{
    if (section == NULL) {
        return DV_OK;
    }
    if (section->type != DV_YAML_MAP) {
        return dv_yaml_refuse(section, error, "'loss_prevention' wants fingerprints or volume");
    }
    dv_result result = check_lists(section, error);
    return result != DV_ERR_TOO_LARGE
               ? result
               : dv_yaml_refuse(section, error,
                                "loss_prevention: the lists name too much (more than %d KiB in "
                                "all): name groups in place of users, and leave 'routes' out where "
                                "all are meant",
                                TEXT_MAX >> 10);
}

/* No apply: it goes into force with the gateway's configuration. */
const dv_config_section dv_data_config_loss = {"loss_prevention", check, NULL};
