/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/dvarad_pages.h"

#include "daemon/dvarad_documents.h"
#include "daemon/dvarad_metrics.h"
#include "room/audit/control/audit_control.h"

static dv_result render_alive(dv_control *control, dv_buf *out, int *status, dv_error *error)
{
    return dv_buf_append_str(out, "ok\n");
}

static dv_result render_ready(dv_control *control, dv_buf *out, int *status, dv_error *error)
{
    dv_health_check checks[DV_HEALTH_CHECKS];
    *status = dv_health_look(&control->services, checks) ? 200 : 503;
    for (size_t i = 0; i < DV_HEALTH_CHECKS; i++) {
        /* What exactly is wrong is for those who have a credential: GET /v1/health. */
        DV_TRY(dv_buf_append_printf(out, "%s: %s\n", checks[i].name,
                                    checks[i].ok ? "ok" : "not ready"));
    }
    return DV_OK;
}

static dv_result render_metrics(dv_control *control, dv_buf *out, int *status, dv_error *error)
{
    return dv_metrics_render(control, out, error);
}

static dv_result render_docs(dv_control *control, dv_buf *out, int *status, dv_error *error)
{
    return dv_buf_append(out, dv_document_page);
}

static dv_result render_openapi(dv_control *control, dv_buf *out, int *status, dv_error *error)
{
    return dv_buf_append(out, dv_document_openapi);
}

#define TEXT "text/plain; charset=utf-8"

static const dv_page pages[] = {
    {"/healthz", TEXT, NULL, DV_PAGE_OPEN, render_alive},
    {"/readyz", TEXT, NULL, DV_PAGE_OPEN, render_ready},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", "view_metrics", DV_PAGE_METRICS,
     render_metrics},
    /* The same for every Dvara of this version, and published with it: nothing to guard. */
    {"/docs", "text/html; charset=utf-8", NULL, DV_PAGE_OPEN, render_docs},
    {"/openapi.json", "application/json", NULL, DV_PAGE_OPEN, render_openapi},
};

const dv_page *dv_page_find(dv_slice target)
{
    ptrdiff_t query = dv_slice_find_byte(target, '?');
    dv_slice path = query >= 0 ? dv_slice_sub(target, 0, (size_t)query) : target;
    for (size_t i = 0; i < DV_ARRAY_LEN(pages); i++) {
        if (dv_slice_eq_str(path, pages[i].path)) {
            return &pages[i];
        }
    }
    return NULL;
}

static void look_at_store(dv_services *services, dv_health_check *check)
{
    dv_error error = {0};
    dv_auto(statement) dv_statement *statement = NULL;
    dv_result result = dv_store_prepare(services->store, "SELECT 1", &statement, &error);
    if (result == DV_OK) {
        result = dv_statement_step(statement, &error);
    }
    check->ok = result == DV_OK;
    snprintf(check->detail, sizeof(check->detail), "%s", check->ok ? "" : error.message);
}

static void look_at_snapshot(dv_services *services, dv_health_check *check)
{
    if (dv_snapshot_begin(services->snapshot) != DV_OK) {
        snprintf(check->detail, sizeof(check->detail), "the snapshot can not be read");
        return;
    }
    check->ok = dv_snapshot_generation(services->snapshot) > 0;
    dv_snapshot_end(services->snapshot);
    if (!check->ok) {
        snprintf(check->detail, sizeof(check->detail), "the snapshot has not been built yet");
    }
}

static void look_at_audit(dv_services *services, dv_health_check *check)
{
    dv_audit_log log;
    dv_error error = {0};
    if (dv_audit_log_status(services->runtime_dir, &log, &error) != DV_OK) {
        snprintf(check->detail, sizeof(check->detail), "%s", error.message);
        return;
    }
    check->ok = !log.blocked;
    snprintf(check->detail, sizeof(check->detail), "%s", log.problem);
}

bool dv_health_look(dv_services *services, dv_health_check ret_checks[DV_HEALTH_CHECKS])
{
    static const struct {
        const char *name;
        void (*look)(dv_services *services, dv_health_check *check);
    } parts[DV_HEALTH_CHECKS] = {
        {"store", look_at_store},
        {"snapshot", look_at_snapshot},
        {"audit", look_at_audit},
    };
    bool all = true;
    for (size_t i = 0; i < DV_HEALTH_CHECKS; i++) {
        ret_checks[i] = (dv_health_check){.name = parts[i].name};
        parts[i].look(services, &ret_checks[i]);
        all = all && ret_checks[i].ok;
    }
    return all;
}
