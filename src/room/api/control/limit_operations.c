/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara limit set|list|show|reset`. A change is rows, audit record and snapshot, all or none: the
 * snapshot is written within the store's transaction and committed right after it; a crash between
 * the two is mended when dvarad starts and publishes everything. */
#include "core/audit.h"
#include "room/api/control/internal.h"
#include "room/api/control/limit_store.h"
#include "room/api/control/limit_words.h"

#include "base/caps.h"

#include "api/operations.h"

/* -- whom -------------------------------------------------------------------------------------- */

typedef struct subject {
    dv_api_limit_kind kind;
    const char *text;   /* "group/research" */
    const char *entity; /* whose it is, User::"alice", or NULL: nobody's */
} subject;

static const struct {
    const char *field;
    dv_api_limit_kind kind;
} subject_fields[] = {
    {"user", DV_API_LIMIT_USER},       {"service", DV_API_LIMIT_USER},
    {"group", DV_API_LIMIT_GROUP},     {"key", DV_API_LIMIT_KEY},
    {"address", DV_API_LIMIT_ADDRESS}, {"network", DV_API_LIMIT_NETWORK},
    {"model", DV_API_LIMIT_MODEL},     {"route", DV_API_LIMIT_ROUTE},
};

/* Names are written as the gate writes them, or would never be met. */
static dv_result make_text(dv_call *call, const char *field, dv_api_limit_kind kind,
                           const char *name, const char **ret_text, dv_error *error)
{
    char address[DV_LIMIT_ADDRESS_KEY_MAX];
    dv_slice key = {0};
    dv_api_network network;
    if (kind == DV_API_LIMIT_ADDRESS) {
        if (dv_limit_address_key(dv_slice_str(name), address, &key) != DV_OK) {
            return dv_call_invalid(call, field, error, "%s is no IP address", name);
        }
        *ret_text = dv_arena_printf(call->arena, "%.*s", DV_SLICE_ARGS(key));
        return *ret_text == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    }
    if (kind == DV_API_LIMIT_NETWORK &&
        dv_api_network_parse(dv_slice_str(name), &network) != DV_OK) {
        return dv_call_invalid(call, field, error,
                               "%s is no network: 10.0.0.0/8 or 2001:db8::/32, in lower case, with "
                               "no bit set behind its prefix",
                               name);
    }
    dv_slice written = dv_slice_str(name);
    if (kind == DV_API_LIMIT_MODEL) {
        DV_TRY(dv_api_model_counted(written, call->arena, &written));
    }
    *ret_text = dv_arena_printf(call->arena, "%s/%.*s", field, DV_SLICE_ARGS(written));
    return *ret_text == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result read_subject(dv_call *call, const json_t *from, subject *ret_subject,
                              dv_error *error)
{
    subject found = {.text = NULL};
    for (size_t i = 0; i < DV_ARRAY_LEN(subject_fields); i++) {
        const char *field = subject_fields[i].field;
        const char *name = json_string_value(json_object_get(from, field));
        if (name == NULL) {
            continue;
        }
        if (found.text != NULL) {
            return dv_call_invalid(call, field, error, "a limit is about one, not several");
        }
        found.kind = subject_fields[i].kind;
        DV_TRY(make_text(call, field, found.kind, name, &found.text, error));
        if (strcmp(field, "user") == 0) {
            found.entity = dv_arena_printf(call->arena, "User::\"%s\"", name);
        }
    }
    if (found.text == NULL) {
        return dv_call_invalid(call, "user", error,
                               "say whom: user, service, group, key, address, network, model or "
                               "route");
    }
    *ret_subject = found;
    return DV_OK;
}

/* -- telling ----------------------------------------------------------------------------------- */

static json_t *duration_json(dv_time duration)
{
    static const struct {
        const char *unit;
        dv_time length;
    } units[] = {{"w", 604800 * DV_SECOND}, {"d", 86400 * DV_SECOND}, {"h", 3600 * DV_SECOND},
                 {"m", 60 * DV_SECOND},     {"s", DV_SECOND},         {"ms", DV_MILLISECOND}};
    for (size_t i = 0; i < DV_ARRAY_LEN(units); i++) {
        if (duration % units[i].length == 0) {
            return json_sprintf("%lld%s", (long long)(duration / units[i].length), units[i].unit);
        }
    }
    return json_sprintf("%lldns", (long long)duration);
}

/* Cost in the currency, everything else as it is counted. */
static json_t *amount_json(const dv_api_limit *limit, uint64_t amount)
{
    return limit->unit == DV_LIMIT_COST ? json_real((double)amount / 1e6)
                                        : json_integer((json_int_t)amount);
}

static json_t *limit_json(const char *text, const dv_api_limit *limit, bool own)
{
    static const char *const units[] = {"requests", "tokens", "cost"};
    static const char *const periods[] = {"day", "month"};
    bool rate = limit->kind == DV_LIMIT_RATE;
    bool at_once = limit->kind == DV_LIMIT_CONCURRENT;
    json_t *per = rate      ? duration_json(limit->rate.period)
                  : at_once ? json_null()
                            : json_string(periods[limit->period]);
    return json_pack("{s:s, s:o, s:s, s:o, s:o, s:b}", "subject", text, "max",
                     amount_json(limit, rate ? limit->rate.count : limit->max), "unit",
                     at_once ? "concurrent" : units[limit->unit], "per", per, "burst",
                     rate ? json_integer((json_int_t)limit->rate.burst) : json_null(), "own", own);
}

static dv_limit_charge charge_of(const subject *who, const dv_api_limit *limit)
{
    return (dv_limit_charge){.key = dv_slice_str(who->text),
                             .rate = limit->rate,
                             .cost = 1,
                             .table = dv_api_limit_table(who->kind),
                             .kind = limit->kind,
                             .unit = limit->unit,
                             .period = limit->period,
                             .max = limit->max};
}

static bool is_lifted(const dv_api_limit *limit)
{
    return limit->kind == DV_LIMIT_RATE ? limit->rate.count == 0 : limit->max == 0;
}

/* used, remaining and resets; null where nobody knows. */
static dv_result add_usage(const subject *who, const dv_api_limit *limit, dv_counters *counters,
                           dv_time now, json_t *json)
{
    dv_limit_usage usage = {0};
    dv_limit_charge charge = charge_of(who, limit);
    char resets[DV_TIME_TEXT_MAX];
    bool known = counters != NULL && !is_lifted(limit) &&
                 dv_limit_read(counters, &charge, now, &usage) == DV_OK;
    uint64_t max = limit->kind != DV_LIMIT_RATE ? limit->max
                   : limit->rate.burst != 0     ? limit->rate.burst
                                                : limit->rate.count;
    dv_time_format(now + usage.reset_after, resets);
    int failed =
        json_object_set_new(json, "used", known ? amount_json(limit, usage.used) : json_null());
    failed |= json_object_set_new(
        json, "remaining",
        known ? amount_json(limit, usage.used < max ? max - usage.used : 0) : json_null());
    failed |= json_object_set_new(
        json, "resets", known && usage.reset_after > 0 ? json_string(resets) : json_null());
    return failed == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* What dvara.yaml says, as the gates read it. */
static dv_result read_config(dv_call *call, dv_api_config **ret_config, dv_error *error)
{
    dv_slice text = {0};
    DV_TRY(dv_snapshot_begin(call->services->snapshot));
    dv_result result = dv_snapshot_get(call->services->snapshot, DV_TABLE_ROUTES,
                                       DV_LIT(DV_API_CONFIG_KEY), &text);
    if (result == DV_OK) {
        result = dv_api_config_parse(text, ret_config, error);
    }
    dv_snapshot_end(call->services->snapshot);
    return result;
}

typedef struct effective {
    dv_api_limit limits[2 * DV_API_LIMITS_MAX];
    bool own[2 * DV_API_LIMITS_MAX];
    size_t count;
} effective;

/* Own limits, then those of the kind that they leave in place. */
static dv_result read_effective(dv_call *call, const subject *who, effective *ret_effective,
                                dv_error *error)
{
    dv_auto(api_config) dv_api_config *config = NULL;
    dv_api_limits own;
    effective all = {.count = 0};
    DV_TRY(read_config(call, &config, error));
    DV_TRY(dv_limit_store_read(call->services->store, who->text, &own, error));
    for (size_t i = 0; i < own.count; i++) {
        all.own[all.count] = true;
        all.limits[all.count++] = own.items[i];
    }
    const dv_api_limits *of_kind = &config->limits[who->kind];
    for (size_t i = 0; i < of_kind->count; i++) {
        bool replaced = false;
        for (size_t j = 0; j < own.count; j++) {
            replaced = replaced || dv_api_limit_same_place(&of_kind->items[i], &own.items[j]);
        }
        if (!replaced) {
            all.limits[all.count++] = of_kind->items[i];
        }
    }
    *ret_effective = all;
    return DV_OK;
}

static dv_result answer_limits(dv_call *call, const subject *who, dv_error *error)
{
    effective all;
    dv_auto(counters) dv_counters *counters = NULL;
    DV_TRY(read_effective(call, who, &all, error));
    if (dv_limit_open_counters(call->services, &counters) != DV_OK) {
        counters = NULL;
    }
    call->answer = json_pack("{s:[]}", "limits");
    for (size_t i = 0; i < all.count; i++) {
        json_t *json = limit_json(who->text, &all.limits[i], all.own[i]);
        if (json_array_append_new(json_object_get(call->answer, "limits"), json) != 0) {
            return DV_ERR_NO_MEMORY;
        }
        DV_TRY(add_usage(who, &all.limits[i], counters, call->now, json));
    }
    return call->answer == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

dv_result dv_op_limit_show(dv_call *call, dv_error *error)
{
    subject who;
    DV_TRY(read_subject(call, call->params, &who, error));
    return answer_limits(call, &who, error);
}

/* -- changing ---------------------------------------------------------------------------------- */

static int64_t number_field(const dv_call *call, const char *field)
{
    const json_t *value = json_object_get(call->body, field);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static dv_result read_limit(dv_call *call, dv_api_limit *ret_limit, dv_error *error)
{
    const char *field = NULL;
    dv_error cause = {0};
    dv_limit_words words = {
        .count = number_field(call, "count"),
        .tokens = number_field(call, "tokens"),
        .concurrent = number_field(call, "concurrent"),
        .burst = number_field(call, "burst"),
        .cost = dv_call_field(call, "cost"),
        .per = dv_call_field(call, "per"),
    };
    if (dv_limit_words_read(&words, ret_limit, &field, &cause) != DV_OK) {
        return dv_call_invalid(call, field, error, "%s", cause.message);
    }
    return DV_OK;
}

/* The name of a user's limit tells who that is. */
static dv_result limit_audit(const dv_call *call, dv_entity_activity activity, const subject *who,
                             const json_t *change, dv_error *error)
{
    return who->entity != NULL
               ? dv_audit_named(call, activity, "limit", who->text, who->entity, change, error)
               : dv_audit_entity(call, activity, "limit", who->text, NULL, change, error);
}

static dv_result write_rows(dv_call *call, const subject *who, const dv_api_limit *limit,
                            dv_error *error)
{
    dv_store *store = call->services->store;
    bool remove = json_is_true(json_object_get(call->body, "remove"));
    DV_TRY(remove ? dv_limit_store_remove(store, who->text, limit, error)
                  : dv_limit_store_put(store, who->text, limit, call->now, error));
    json_t *change = limit_json(who->text, limit, true);
    if (change == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result =
        limit_audit(call, remove ? DV_ENTITY_DELETE : DV_ENTITY_UPDATE, who, change, error);
    json_decref(change);
    return result;
}

static dv_result commit_both(dv_services *services, uint64_t sequence, dv_error *error)
{
    DV_TRY(dv_store_commit(services->store, error));
    if (dv_snapshot_commit(services->snapshot, sequence) != DV_OK) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE,
                            "the limit is stored but the gates do not see it yet; `dvara reload` "
                            "shows it to them");
    }
    return DV_OK;
}

static dv_result change_do(dv_call *call, const subject *who, const dv_api_limit *limit,
                           uint64_t sequence, dv_error *error)
{
    DV_TRY(write_rows(call, who, limit, error));
    DV_TRY(dv_snapshot_write_begin(call->services->snapshot, error));
    DV_TRY(dv_limit_store_publish(call->services, who->text, error));
    DV_TRY(dv_audit_keep(call, error));
    return commit_both(call->services, sequence, error);
}

static dv_result change(dv_call *call, const subject *who, const dv_api_limit *limit,
                        dv_error *error)
{
    dv_services *services = call->services;
    dv_audit_queue records;
    uint64_t sequence = 0;
    DV_TRY(dv_snapshot_change_sequence(services->snapshot, &sequence));
    DV_TRY(dv_store_begin(services->store, error));
    dv_audit_hold(call, &records);
    dv_result result = change_do(call, who, limit, sequence, error);
    dv_audit_drop(call);
    if (result != DV_OK) {
        dv_snapshot_abort(services->snapshot);
        dv_store_rollback(services->store);
    }
    return result;
}

dv_result dv_op_limit_set(dv_call *call, dv_error *error)
{
    subject who;
    dv_api_limit limit;
    DV_TRY(read_subject(call, call->body, &who, error));
    DV_TRY(read_limit(call, &limit, error));
    DV_TRY(change(call, &who, &limit, error));
    return answer_limits(call, &who, error);
}

static dv_result reset_all(dv_call *call, const subject *who, dv_counters *counters,
                           dv_error *error)
{
    effective all;
    DV_TRY(read_effective(call, who, &all, error));
    for (size_t i = 0; i < all.count; i++) {
        dv_limit_charge charge = charge_of(who, &all.limits[i]);
        if (!is_lifted(&all.limits[i])) {
            DV_TRY(dv_limit_reset(counters, &charge, call->now));
        }
    }
    return DV_OK;
}

/* Recorded before it is done: a reset that can't be recorded is not made. */
dv_result dv_op_limit_reset(dv_call *call, dv_error *error)
{
    subject who = {0};
    dv_auto(counters) dv_counters *counters = NULL;
    DV_TRY(read_subject(call, call->body, &who, error));
    if (dv_limit_open_counters(call->services, &counters) != DV_OK) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "the counters can not be opened");
    }
    DV_TRY(limit_audit(call, DV_ENTITY_OTHER, &who, NULL, error));
    if (reset_all(call, &who, counters, error) != DV_OK) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "the counters can not be reached");
    }
    return answer_limits(call, &who, error);
}

/* -- listing ----------------------------------------------------------------------------------- */

/* Those of each kind, from dvara.yaml. */
static dv_result list_kinds(dv_call *call, json_t *items, dv_error *error)
{
    dv_auto(api_config) dv_api_config *config = NULL;
    DV_TRY(read_config(call, &config, error));
    for (unsigned kind = 0; kind < DV_API_LIMIT_KINDS; kind++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "%s/*", dv_api_limit_kind_name((dv_api_limit_kind)kind));
        for (size_t i = 0; i < config->limits[kind].count; i++) {
            json_t *json = limit_json(text, &config->limits[kind].items[i], false);
            if (json_array_append_new(items, json) != 0) {
                return DV_ERR_NO_MEMORY;
            }
        }
    }
    return DV_OK;
}

static dv_result append_own(dv_call *call, const char *text, json_t *items, dv_error *error)
{
    dv_api_limits own;
    DV_TRY(dv_limit_store_read(call->services->store, text, &own, error));
    for (size_t i = 0; i < own.count; i++) {
        if (json_array_append_new(items, limit_json(text, &own.items[i], true)) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

/* All limits of a subject stand on one page; the cursor is the last subject. */
static dv_result list_named(dv_call *call, const char *after, json_t *items, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    int64_t limit = json_integer_value(json_object_get(call->params, "limit"));
    const char *last = NULL;
    dv_result result = DV_OK;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT DISTINCT subject FROM api_limit WHERE subject > ?1"
                          " ORDER BY subject",
                          "t", after));
    while ((int64_t)json_array_size(items) < limit &&
           (result = dv_statement_step(row, error)) == DV_OK) {
        last = dv_arena_printf(call->arena, "%.*s", DV_SLICE_ARGS(dv_column_slice(row, 0)));
        DV_TRY(last == NULL ? DV_ERR_NO_MEMORY : append_own(call, last, items, error));
    }
    if (result != DV_OK) {
        return result == DV_ERR_NOT_FOUND ? DV_OK : result;
    }
    /* "!" comes before every subject. */
    return json_object_set_new(call->answer, "next", json_string(last != NULL ? last : "!")) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

dv_result dv_op_limit_list(dv_call *call, dv_error *error)
{
    const char *cursor = dv_call_param(call, "cursor");
    call->answer = json_pack("{s:[]}", "items");
    json_t *items = json_object_get(call->answer, "items");
    if (items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (cursor == NULL) {
        DV_TRY(list_kinds(call, items, error));
    }
    return list_named(call, cursor == NULL ? "" : cursor, items, error);
}
