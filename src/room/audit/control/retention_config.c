/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/retention_config.h"

#include "base/clock.h"
#include "base/nearest.h"
#include "core/event_kinds.h"
#include "engine/log/sequencer.h"
#include "room/audit/collect/parser.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { DAY_MS = 86400000, LEAST_DAYS = 1, LEAST_MAIN_DAYS = 30, MOST_DAYS = 36500 };

/* *ret_keep_ms: 0 is for ever, which is also what nothing says. */
static dv_result read_keep(const dv_yaml *node, int least_days, int64_t *ret_keep_ms,
                           dv_error *error)
{
    const char *text;
    int64_t keep;
    *ret_keep_ms = 0;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(node, &text, error));
    if (strcmp(text, "forever") == 0) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_duration(node, &keep, error));
    *ret_keep_ms = keep / DV_MILLISECOND;
    return *ret_keep_ms >= (int64_t)least_days * DAY_MS &&
                   *ret_keep_ms <= (int64_t)MOST_DAYS * DAY_MS
               ? DV_OK
               : dv_yaml_refuse(node, error,
                                "audit.retention: keep is %dd at least here, or forever: what is "
                                "pruned is gone",
                                least_days);
}

/* Two patterns that one event could be of. */
static bool overlap(const char *a, const char *b)
{
    size_t len_a = strlen(a), len_b = strlen(b);
    bool open_a = a[len_a - 1] == '*', open_b = b[len_b - 1] == '*';
    len_a -= open_a;
    len_b -= open_b;
    if (len_a == len_b) {
        return memcmp(a, b, len_a) == 0;
    }
    return len_a < len_b ? open_a && memcmp(a, b, len_a) == 0 : open_b && memcmp(a, b, len_b) == 0;
}

static const char *kind_name(const void *data, size_t index)
{
    return dv_event_kinds[index];
}

/* Of collected events, "collected.*" or one parser's. */
static bool is_of_events(const char *kind)
{
    static const char collected[] = "collected.";
    const size_t len = sizeof(collected) - 1;
    return dv_event_kind_is(kind) ||
           (strncmp(kind, collected, len) == 0 &&
            (strcmp(kind + len, "*") == 0 || dv_parser_is_known(kind + len)));
}

/* A kind that no event is of would leave its class empty, and nobody would see it. */
static dv_result check_is_of_events(const dv_yaml *node, const char *kind, dv_error *error)
{
    if (is_of_events(kind)) {
        return DV_OK;
    }
    const char *near = dv_nearest(kind, dv_event_kind_count, kind_name, NULL);
    return dv_yaml_refuse(node, error,
                          "audit.retention: no events are of the kind '%s'%s%s%s: it is one such "
                          "as request.open or collected.nginx, or ends with a star, such as "
                          "request.* (docs/audit.md lists all; `dvara audit parsers` those of "
                          "collected lines)",
                          kind, near == NULL ? "" : "; did you mean ", near == NULL ? "" : near,
                          near == NULL ? "" : "?");
}

static dv_result check_kind(const dv_yaml *node, const char *kind, const dv_retention *retention,
                            dv_error *error)
{
    if (dv_retention_kind_is_kept_back(kind)) {
        return dv_yaml_refuse(node, error,
                              "audit.retention: %s would take events that must stay in the main "
                              "log: audit.*, alarm and foreign",
                              kind);
    }
    for (size_t i = 0; i < retention->kind_count; i++) {
        if (overlap(kind, retention->kinds[i].kind)) {
            return dv_yaml_refuse(node, error,
                                  "audit.retention: events %s belong to the class %s already (%s)",
                                  kind, retention->kinds[i].log, retention->kinds[i].kind);
        }
    }
    return DV_OK;
}

static dv_result add_kind(const dv_yaml *node, const char *log, dv_retention *retention,
                          dv_error *error)
{
    const char *kind;
    dv_error wrong = {0};
    DV_TRY(dv_yaml_string(node, &kind, error));
    if (kind[0] == '\0') {
        return dv_yaml_refuse(node, error, "audit.retention: a kind of events is missing");
    }
    DV_TRY(check_kind(node, kind, retention, error));
    if (dv_retention_add_kind(retention, kind, log, &wrong) != DV_OK) {
        return dv_yaml_refuse(node, error, "audit.retention: %s", wrong.message);
    }
    return check_is_of_events(node, kind, error);
}

static dv_result check_name(const dv_yaml *node, const char *name, dv_error *error)
{
    if (strcmp(name, DV_LOG_MAIN) == 0) {
        return dv_yaml_refuse(node, error,
                              "audit.retention: main is the log of all other events: its time is "
                              "audit.retention.keep");
    }
    return DV_OK;
}

static dv_result add_class(const dv_yaml *node, dv_retention *retention, dv_error *error)
{
    static const char *const keys[] = {"name", "kinds", "keep", NULL};
    const char *name;
    int64_t keep_ms;
    dv_error wrong = {0};
    DV_TRY(dv_yaml_check_keys(node, keys, error));
    const dv_yaml *kinds = dv_yaml_get(node, "kinds");
    if (dv_yaml_get(node, "name") == NULL || kinds == NULL || kinds->type != DV_YAML_LIST ||
        dv_yaml_get(node, "keep") == NULL) {
        return dv_yaml_refuse(node, error,
                              "audit.retention.classes: each wants name, kinds (a list) and keep");
    }
    DV_TRY(dv_yaml_string(dv_yaml_get(node, "name"), &name, error));
    DV_TRY(check_name(node, name, error));
    DV_TRY(read_keep(dv_yaml_get(node, "keep"), LEAST_DAYS, &keep_ms, error));
    if (dv_retention_add_class(retention, name, keep_ms, &wrong) != DV_OK) {
        return dv_yaml_refuse(node, error, "audit.retention.classes: %s", wrong.message);
    }
    for (const dv_yaml *kind = kinds->first; kind != NULL; kind = kind->next) {
        DV_TRY(add_kind(kind, name, retention, error));
    }
    return DV_OK;
}

/* The main log tells of all others what was pruned, and which keys were destroyed: it must outlive
 * them. */
static dv_result check_main(const dv_yaml *node, const dv_retention *retention, dv_error *error)
{
    int64_t main_ms = retention->classes[0].keep_ms;
    for (size_t i = 1; i < retention->class_count && main_ms > 0; i++) {
        const dv_retention_class *one = &retention->classes[i];
        if (one->keep_ms == 0 || one->keep_ms > main_ms) {
            return dv_yaml_refuse(node, error,
                                  "audit.retention.keep: the main log tells what became of the "
                                  "others, so it must be kept as long as the class %s",
                                  one->log);
        }
    }
    return DV_OK;
}

/* Nothing would ever be pruned. What only dvara-logd's user may see can't be judged here. */
static dv_result check_folder(const dv_yaml *node, const char *path, dv_error *error)
{
    struct stat about;
    if (stat(path, &about) == 0) {
        return S_ISDIR(about.st_mode)
                   ? DV_OK
                   : dv_yaml_refuse(node, error, "audit.retention.archive: %s is no folder", path);
    }
    return errno == ENOENT || errno == ENOTDIR
               ? dv_yaml_refuse(node, error,
                                "audit.retention.archive: there is no folder %s: make it, and let "
                                "the user of dvara-logd write to it (dvara-log, or 65522 where "
                                "there is none, when Dvara is started by root)",
                                path)
               : DV_OK;
}

static dv_result read_archive(const dv_yaml *node, dv_retention *retention, dv_error *error)
{
    const char *path;
    dv_error wrong = {0};
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(node, &path, error));
    if (dv_retention_set_archive(retention, path, &wrong) != DV_OK) {
        return dv_yaml_refuse(node, error, "audit.retention.archive: %s", wrong.message);
    }
    return check_folder(node, path, error);
}

static dv_result read_section(const dv_yaml *section, dv_retention *retention, dv_error *error)
{
    static const char *const keys[] = {"keep", "classes", "archive", NULL};
    int64_t keep_ms;
    DV_TRY(dv_yaml_check_keys(section, keys, error));
    const dv_yaml *keep = dv_yaml_get(section, "keep");
    const dv_yaml *classes = dv_yaml_get(section, "classes");
    DV_TRY(read_keep(keep, LEAST_MAIN_DAYS, &keep_ms, error));
    DV_TRY(dv_retention_add_class(retention, DV_LOG_MAIN, keep_ms, error));
    DV_TRY(read_archive(dv_yaml_get(section, "archive"), retention, error));
    if (classes != NULL && classes->type != DV_YAML_LIST) {
        return dv_yaml_refuse(classes, error,
                              "audit.retention.classes must be a list of {name, kinds, keep}");
    }
    for (const dv_yaml *node = classes == NULL ? NULL : classes->first; node != NULL;
         node = node->next) {
        DV_TRY(add_class(node, retention, error));
    }
    return check_main(keep == NULL ? section : keep, retention, error);
}

dv_result dv_retention_config_read(const dv_yaml *audit, dv_retention *ret_retention,
                                   dv_error *error)
{
    const dv_yaml *section = audit == NULL ? NULL : dv_yaml_get(audit, "retention");
    memset(ret_retention, 0, sizeof(*ret_retention));
    return section == NULL ? dv_retention_add_class(ret_retention, DV_LOG_MAIN, 0, error)
                           : read_section(section, ret_retention, error);
}

dv_result dv_retention_config_check(const dv_yaml *audit, dv_error *error)
{
    dv_auto(free) dv_retention *retention = malloc(sizeof(*retention));
    return retention == NULL ? DV_ERR_NO_MEMORY : dv_retention_config_read(audit, retention, error);
}
