/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_rows.h"

/* All classes of records, and what their rows say of a field. */

static const dv_event_class *const tables[DV_EVENT_TABLES] = {
    [DV_EVENT_OPEN] = &dv_event_class_open,
    [DV_EVENT_CLOSE] = &dv_event_class_close,
    [DV_EVENT_REFUSALS] = &dv_event_class_refusals,
    [DV_EVENT_OPERATION] = &dv_event_class_operation,
    [DV_EVENT_ACCOUNT] = &dv_event_class_account,
    [DV_EVENT_ACCESS] = &dv_event_class_access,
    [DV_EVENT_SESSION] = &dv_event_class_session,
    [DV_EVENT_ENTITY] = &dv_event_class_entity,
    [DV_EVENT_AUTHENTICATION] = &dv_event_class_authentication,
    [DV_EVENT_CONFIG] = &dv_event_class_config,
    [DV_EVENT_CONFIG_STATE] = &dv_event_class_config_state,
    [DV_EVENT_LIFECYCLE] = &dv_event_class_lifecycle,
    [DV_EVENT_DATA] = &dv_event_class_data,
    [DV_EVENT_NETWORK] = &dv_event_class_network,
    [DV_EVENT_ALARM] = &dv_event_class_alarm,
    [DV_EVENT_INCIDENT] = &dv_event_class_incident,
    [DV_EVENT_DATA_FINDING] = &dv_event_class_data_finding,
    [DV_EVENT_COMPLIANCE] = &dv_event_class_compliance,
    [DV_EVENT_EVIDENCE] = &dv_event_class_evidence,
    [DV_EVENT_REMEDIATION] = &dv_event_class_remediation,
};

dv_result dv_event_put_view(dv_buf *out, dv_event_table id, dv_event_view *view)
{
    const dv_event_class *table = tables[id];
    view->type_uid = view->class_uid * 100 + view->activity_id;
    size_t begin = out->len;
    bool cut = false;
    DV_TRY(dv_event_write(out, table->rows, table->count, view, view->spots, &cut));
    if (!cut || view->cut) {
        return DV_OK;
    }
    /* The record says so near its front, and hardly one ever does. */
    view->cut = true;
    out->len = begin;
    return dv_event_write(out, table->rows, table->count, view, view->spots, &cut);
}

dv_result dv_event_put_wide_view(dv_buf *out, dv_event_table table, dv_event_wide_view *view)
{
    return dv_event_put_view(out, table, &view->base);
}

/* -- sensitivity ------------------------------------------------------------------------------- */

enum { PATH_ROOM = 256, PATH_DEPTH = 12 };

/* The path of the member that a walk over the rows has come to: "actor.user.name". */
typedef struct row_path {
    char text[PATH_ROOM];
    size_t len[PATH_DEPTH]; /* of the text at each depth */
    size_t depth;
} row_path;

/* Appends the row's name, without its quotes and colon; returns the new length. */
static size_t path_with(row_path *path, const dv_event_row *row)
{
    size_t len = path->len[path->depth];
    if (row->name_len == 0) {
        return len;
    }
    int added = snprintf(path->text + len, PATH_ROOM - len, "%s%.*s", len > 0 ? "." : "",
                         (int)row->name_len - 3, row->name + 2);
    return len + (size_t)added;
}

static void visit_table(const dv_event_class *table,
                        void (*visit)(void *data, const dv_event_row *row, dv_slice path),
                        void *data)
{
    row_path path = {.depth = 0};
    for (size_t i = 0; i < table->count; i++) {
        const dv_event_row *row = &table->rows[i];
        if (row->kind == DV_ROW_CLOSE) {
            path.depth--;
            continue;
        }
        size_t len = path_with(&path, row);
        if (row->kind == DV_ROW_OPEN) {
            path.len[++path.depth] = len;
        } else {
            visit(data, row, dv_slice_of(path.text, len));
        }
    }
}

typedef struct field_visitor {
    void (*visit)(void *data, dv_slice path, dv_sensitivity sensitivity);
    void *data;
} field_visitor;

static void visit_field(void *data, const dv_event_row *row, dv_slice path)
{
    const field_visitor *visitor = data;
    visitor->visit(visitor->data, path, row->sensitivity);
}

/* Of alerts, which have no rows (event_alert.c). */
static const struct {
    const char *path;
    dv_sensitivity sensitivity;
} alert_fields[] = {
    {"unmapped.dvara.alert.name", PUBLIC},      {"unmapped.dvara.alert.query", PERSONAL},
    {"unmapped.dvara.alert.threshold", PUBLIC}, {"unmapped.dvara.alert.value", PUBLIC},
    {"unmapped.dvara.alert.group", PERSONAL},   {"unmapped.dvara.alert.evidence", PUBLIC},
    {"unmapped.dvara.notify", PUBLIC},
};

void dv_event_fields(void (*visit)(void *data, dv_slice path, dv_sensitivity sensitivity),
                     void *data)
{
    field_visitor visitor = {visit, data};
    for (size_t i = 0; i < DV_EVENT_TABLES; i++) {
        visit_table(tables[i], visit_field, &visitor);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(alert_fields); i++) {
        visit(data, dv_slice_str(alert_fields[i].path), alert_fields[i].sensitivity);
    }
}

typedef struct spot_visitor {
    void (*visit)(void *data, size_t field, dv_slice path, bool noted);
    void *data;
    const dv_event_class *table;
} spot_visitor;

static void visit_spot(void *data, const dv_event_row *row, dv_slice path)
{
    const spot_visitor *visitor = data;
    visitor->visit(visitor->data, (size_t)(row - visitor->table->rows), path, row->noted);
}

void dv_event_spot_fields(bool is_close,
                          void (*visit)(void *data, size_t field, dv_slice path, bool noted),
                          void *data)
{
    spot_visitor visitor = {visit, data, tables[is_close ? DV_EVENT_CLOSE : DV_EVENT_OPEN]};
    visit_table(visitor.table, visit_spot, &visitor);
    visit(data, DV_EVENT_FIELD_LIMIT_KEY, DV_LIT("unmapped.dvara.limit.key"), true);
}

typedef struct asked_field {
    dv_slice path;
    int sensitivity; /* the highest of those that were found; -1: none */
} asked_field;

static void compare(void *data, dv_slice path, dv_sensitivity sensitivity)
{
    asked_field *asked = data;
    if (dv_slice_eq(path, asked->path)) {
        asked->sensitivity = DV_MAX(asked->sensitivity, (int)sensitivity);
    }
}

dv_sensitivity dv_event_sensitivity(dv_slice path)
{
    asked_field asked = {path, -1};
    dv_event_fields(compare, &asked);
    return asked.sensitivity < 0 ? DV_SENSITIVITY_PERSONAL : (dv_sensitivity)asked.sensitivity;
}
