/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/control/limit_store.h"

#include "store/store.h"

#define COLUMNS "kind, unit, period, count, period_ns, burst, maximum"

enum { SUBJECT_MAX = 160 };

void dv_limit_place(const dv_api_limit *limit, char out[DV_LIMIT_PLACE_MAX])
{
    static const char *const units[] = {"requests", "tokens", "cost"};
    static const char *const periods[] = {"day", "month"};
    if (limit->kind == DV_LIMIT_CONCURRENT) {
        (void)snprintf(out, DV_LIMIT_PLACE_MAX, "concurrent");
    } else if (limit->kind == DV_LIMIT_BUDGET) {
        (void)snprintf(out, DV_LIMIT_PLACE_MAX, "%s/%s", units[limit->unit],
                       periods[limit->period]);
    } else {
        (void)snprintf(out, DV_LIMIT_PLACE_MAX, "%s/%lld", units[limit->unit],
                       (long long)limit->rate.period);
    }
}

/* The statement's row has COLUMNS. */
static dv_api_limit limit_of_row(dv_statement *row)
{
    return (dv_api_limit){
        .kind = (dv_limit_kind)dv_column_int(row, 0),
        .unit = (dv_limit_unit)dv_column_int(row, 1),
        .period = (dv_limit_period)dv_column_int(row, 2),
        .rate = {(uint64_t)dv_column_int(row, 3), dv_column_int(row, 4),
                 (uint64_t)dv_column_int(row, 5)},
        .max = (uint64_t)dv_column_int(row, 6),
    };
}

dv_result dv_limit_store_read(dv_store *store, const char *subject, dv_api_limits *ret_limits,
                              dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    dv_api_limits limits = {.count = 0};
    dv_result result;
    DV_TRY(dv_store_query(store, &row, error,
                          "SELECT " COLUMNS " FROM api_limit WHERE subject = ?1 ORDER BY place",
                          "t", subject));
    while ((result = dv_statement_step(row, error)) == DV_OK) {
        if (limits.count == DV_API_LIMITS_MAX) {
            return dv_error_set(error, DV_ERR_CORRUPT, "%s has too many limits", subject);
        }
        limits.items[limits.count++] = limit_of_row(row);
    }
    if (result != DV_ERR_NOT_FOUND) {
        return result;
    }
    *ret_limits = limits;
    return DV_OK;
}

static dv_result count_of(dv_store *store, const char *sql, const char *subject, int64_t *ret_count,
                          dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(store, &row, error, sql, "t", subject));
    DV_TRY(dv_statement_step(row, error));
    *ret_count = dv_column_int(row, 0);
    return DV_OK;
}

/* After the row is written, so that a replaced one is no more than before. */
static dv_result check_room(dv_store *store, const char *subject, dv_error *error)
{
    int64_t own = 0;
    int64_t networks = 0;
    DV_TRY(
        count_of(store, "SELECT count(*) FROM api_limit WHERE subject = ?1", subject, &own, error));
    DV_TRY(count_of(store,
                    "SELECT count(DISTINCT subject) FROM api_limit"
                    " WHERE subject LIKE 'network/%' AND ?1 <> ''",
                    subject, &networks, error));
    if (own > DV_API_LIMITS_MAX) {
        return dv_error_set(error, DV_ERR_CONFLICT, "%s has %d limits of its own already", subject,
                            DV_API_LIMITS_MAX);
    }
    if (networks > DV_API_NETWORKS_MAX) {
        return dv_error_set(error, DV_ERR_CONFLICT, "%d networks have limits already",
                            DV_API_NETWORKS_MAX);
    }
    return DV_OK;
}

dv_result dv_limit_store_put(dv_store *store, const char *subject, const dv_api_limit *limit,
                             dv_time now, dv_error *error)
{
    char place[DV_LIMIT_PLACE_MAX];
    dv_limit_place(limit, place);
    DV_TRY(dv_store_run(store, error,
                        "INSERT INTO api_limit (subject, place, " COLUMNS ", updated)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
                        " ON CONFLICT (subject, place) DO UPDATE SET count = ?6, burst = ?8,"
                        " maximum = ?9, updated = ?10",
                        "ttiiiiiiii", subject, place, (int64_t)limit->kind, (int64_t)limit->unit,
                        (int64_t)limit->period, (int64_t)limit->rate.count, limit->rate.period,
                        (int64_t)limit->rate.burst, (int64_t)limit->max, now));
    return check_room(store, subject, error);
}

dv_result dv_limit_store_remove(dv_store *store, const char *subject, const dv_api_limit *limit,
                                dv_error *error)
{
    char place[DV_LIMIT_PLACE_MAX];
    dv_limit_place(limit, place);
    DV_TRY(dv_store_run(store, error, "DELETE FROM api_limit WHERE subject = ?1 AND place = ?2",
                        "tt", subject, place));
    return dv_store_changes(store) > 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_NOT_FOUND, "%s has no such limit of its own", subject);
}

/* -- the snapshot ------------------------------------------------------------------------------ */

static dv_result put_record(dv_services *services, const char *subject, dv_error *error)
{
    char key[SUBJECT_MAX];
    dv_api_limits limits;
    dv_auto(buf) dv_buf record = dv_buf_init(DV_API_LIMITS_MAX * DV_API_LIMIT_RECORD);
    (void)snprintf(key, sizeof(key), DV_API_NAMED_PREFIX "%s", subject);
    DV_TRY(dv_limit_store_read(services->store, subject, &limits, error));
    if (limits.count == 0) {
        return dv_snapshot_delete(services->snapshot, DV_TABLE_ROUTES, dv_slice_str(key));
    }
    DV_TRY(dv_api_limits_encode(&limits, &record));
    return dv_snapshot_put(services->snapshot, DV_TABLE_ROUTES, dv_slice_str(key),
                           dv_buf_slice(&record));
}

static void mark_kind(dv_slice subject, uint8_t kinds[DV_API_LIMIT_KINDS])
{
    dv_api_limit_kind kind = DV_API_LIMIT_USER; /* services are users, too */
    ptrdiff_t slash = dv_slice_find_byte(subject, '/');
    dv_slice type = dv_slice_sub(subject, 0, slash < 0 ? subject.len : (size_t)slash);
    if (dv_api_limit_kind_parse(type, &kind) == DV_OK || dv_slice_eq_str(type, "service")) {
        kinds[kind] = 1;
    }
}

/* One pass over all subjects: which kinds have names, and which networks. */
static dv_result put_index(dv_services *services, bool records, dv_error *error)
{
    uint8_t kinds[DV_API_LIMIT_KINDS] = {0};
    dv_auto(buf) dv_buf networks = dv_buf_init(DV_API_NETWORKS_MAX * 64);
    dv_auto(statement) dv_statement *row = NULL;
    dv_result result;
    DV_TRY(dv_store_query(services->store, &row, error,
                          "SELECT DISTINCT subject FROM api_limit ORDER BY subject", ""));
    while ((result = dv_statement_step(row, error)) == DV_OK) {
        char subject[SUBJECT_MAX];
        dv_slice_copy(dv_column_slice(row, 0), subject, sizeof(subject));
        mark_kind(dv_slice_str(subject), kinds);
        if (strncmp(subject, "network/", 8) == 0) {
            DV_TRY(dv_buf_append_str(&networks, dv_buf_slice(&networks).len > 0 ? " " : ""));
            DV_TRY(dv_buf_append_str(&networks, subject + 8));
        }
        if (records) {
            DV_TRY(put_record(services, subject, error));
        }
    }
    if (result != DV_ERR_NOT_FOUND) {
        return result;
    }
    DV_TRY(dv_snapshot_put(services->snapshot, DV_TABLE_ROUTES, DV_LIT(DV_API_NAMED_KINDS_KEY),
                           dv_slice_of(kinds, sizeof(kinds))));
    dv_slice key = DV_LIT(DV_API_NAMED_NETWORKS_KEY);
    dv_slice value = dv_buf_slice(&networks);
    return value.len == 0 ? dv_snapshot_delete(services->snapshot, DV_TABLE_ROUTES, key)
                          : dv_snapshot_put(services->snapshot, DV_TABLE_ROUTES, key, value);
}

dv_result dv_limit_store_publish(dv_services *services, const char *subject, dv_error *error)
{
    if (subject != NULL) {
        DV_TRY(put_record(services, subject, error));
    }
    return put_index(services, subject == NULL, error);
}
