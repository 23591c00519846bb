/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara audit trail`: what belongs together. First the events that name who or what is asked for,
 * then the other events of the same requests; all in the order of time. */
#include "room/audit/control/search.h"

#include "api/operations.h"

enum { QUERY_MAX = 4000, REQUESTS_MAX = 60 };

/* One row: a parameter, the field that finds it, and how the event is related then. */
static const struct {
    const char *param, *field;
    bool quoted;
} relations[] = {
    {"user", "user", true},    {"user", "account", true},    {"user", "owner", true},
    {"user", "entity", true},  {"key", "key", true},         {"key", "entity", true},
    {"ip", "ip", false},       {"request", "request", true}, {"case", "entity", true},
    {"case", "request", true},
};

/* The part of an entity text between its quotes, or the text itself. */
static const char *bare_name(dv_call *call, const char *text)
{
    dv_slice slice = dv_slice_str(text);
    ptrdiff_t quote = dv_slice_find(slice, DV_LIT("::\""));
    if (quote < 0 || slice.len < (size_t)quote + 4) {
        return text;
    }
    return dv_arena_printf(
        call->arena, "%.*s",
        DV_SLICE_ARGS(dv_slice_sub(slice, (size_t)quote + 3, slice.len - (size_t)quote - 4)));
}

static dv_result add_term(dv_buf *out, const char *field, const char *value, bool quoted)
{
    DV_TRY(dv_buf_append_str(out, out->len > 0 ? " or " : ""));
    DV_TRY(dv_buf_append_printf(out, "%s:", field));
    return quoted ? dv_audit_quote(value, out) : dv_buf_append_str(out, value);
}

/* An owner is told as an entity; a user or service, by the bare name too. */
static dv_result add_user(dv_call *call, const char *field, const char *value, dv_buf *out)
{
    const char *bare = bare_name(call, value);
    bool by_entity = strcmp(field, "owner") == 0;
    bool is_entity = bare != value;
    if (bare == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (!by_entity || is_entity) {
        return add_term(out, field, by_entity ? value : bare, true);
    }
    const char *user = dv_arena_printf(call->arena, "User::\"%s\"", value);
    const char *service = dv_arena_printf(call->arena, "Service::\"%s\"", value);
    if (user == NULL || service == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(add_term(out, field, user, true));
    return add_term(out, field, service, true);
}

static dv_result seed_query(dv_call *call, dv_buf *out, dv_error *error)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(relations); i++) {
        const char *value = dv_call_param(call, relations[i].param);
        if (value == NULL) {
            continue;
        }
        bool user = strcmp(relations[i].param, "user") == 0;
        DV_TRY(user ? add_user(call, relations[i].field, value, out)
                    : add_term(out, relations[i].field, value, relations[i].quoted));
    }
    return out->len > 0 ? DV_OK
                        : dv_call_invalid(call, "user", error,
                                          "say whose trail: user, key, ip, request or case");
}

/* -- how an event is related ------------------------------------------------------------------- */

static bool names(const json_t *event, const char *path, const char *value)
{
    return value != NULL && value[0] != '\0' && strcasecmp(dv_event_text(event, path), value) == 0;
}

static const char *relation_of(dv_call *call, const json_t *event)
{
    const char *user = dv_call_param(call, "user");
    const char *name = user == NULL ? NULL : bare_name(call, user);
    const char *key = dv_call_param(call, "key");
    if (names(event, "actor.user.name", name)) {
        return "actor";
    }
    if (name != NULL && (names(event, "user.name", name) || names(event, "entity.uid", name) ||
                         strstr(dv_event_text(event, "entity.user.uid"), name) != NULL)) {
        return "target";
    }
    if (names(event, "actor.user.programmatic_credentials.0.uid", key) ||
        names(event, "session.credential_uid", key)) {
        return "key";
    }
    if (names(event, "entity.uid", key)) {
        return "target";
    }
    if (names(event, "entity.uid", dv_call_param(call, "case"))) {
        return "case";
    }
    bool by_address =
        dv_call_param(call, "ip") != NULL && dv_event_text(event, "src_endpoint.ip")[0] != '\0';
    return by_address ? "address" : "request";
}

/* -- collecting -------------------------------------------------------------------------------- */

typedef struct trail {
    dv_call *call;
    json_t *by_index; /* "INDEX LOG": line */
    json_t *requests; /* set of request ids */
    bool complete;
    dv_error *error;
} trail;

static dv_result collect(trail *t, const char *query)
{
    json_t *lines = NULL;
    const dv_audit_search search = {
        .query = query,
        .since = dv_call_param(t->call, "since"),
        .until = dv_call_param(t->call, "until"),
        .limit = json_integer_value(json_object_get(t->call->params, "most")),
    };
    DV_TRY(dv_audit_search_run(t->call, &search, &lines, t->error));
    size_t count = json_array_size(lines);
    for (size_t i = 0; i + 1 < count; i++) {
        char index[80];
        json_t *line = json_array_get(lines, i);
        const char *request = dv_event_text(line, "event.metadata.correlation_uid");
        snprintf(index, sizeof(index), "%020lld %.32s", (long long)dv_event_int(line, "index"),
                 dv_event_text(line, "log"));
        json_object_set(t->by_index, index, line);
        if (request[0] != '\0') {
            json_object_set_new(t->requests, request, json_true());
        }
    }
    const json_t *stats = json_object_get(json_array_get(lines, count - 1), "stats");
    t->complete = t->complete && json_is_true(json_object_get(stats, "complete"));
    json_decref(lines);
    return DV_OK;
}

/* The other events of these requests, some dozens at once: a search has so many values at most. */
static dv_result collect_requests(trail *t)
{
    dv_auto(buf) dv_buf query = dv_buf_init(QUERY_MAX);
    const char *request;
    json_t *value;
    int count = 0;
    json_object_foreach(t->requests, request, value)
    {
        if (++count > REQUESTS_MAX || query.len > QUERY_MAX - 200) {
            t->complete = false;
            break;
        }
        DV_TRY(add_term(&query, "request", request, true));
    }
    return query.len == 0 ? DV_OK : collect(t, dv_buf_cstr(&query));
}

static int compare_items(const void *a, const void *b)
{
    const json_t *left = *(json_t *const *)a, *right = *(json_t *const *)b;
    int order = strcmp(dv_event_text(left, "when"), dv_event_text(right, "when"));
    int64_t x = dv_event_int(left, "index"), y = dv_event_int(right, "index");
    return order != 0 ? order : (x > y) - (x < y);
}

static dv_result make_items(trail *t, json_t **ret_items)
{
    const char *index;
    json_t *line, *items = json_array();
    size_t count = 0;
    json_t **sorted =
        dv_arena_alloc(t->call->arena, (json_object_size(t->by_index) + 1) * sizeof(json_t *));
    if (sorted == NULL || items == NULL) {
        json_decref(items);
        return DV_ERR_NO_MEMORY;
    }
    json_object_foreach(t->by_index, index, line)
    {
        json_t *item = dv_event_summarize(line);
        const char *relation = relation_of(t->call, json_object_get(line, "event"));
        if (item != NULL && json_object_set_new(item, "relation", json_string(relation)) == 0) {
            sorted[count++] = item;
        }
    }
    qsort(sorted, count, sizeof(*sorted), compare_items);
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(items, sorted[i]);
    }
    *ret_items = items;
    return DV_OK;
}

static dv_result run(trail *t)
{
    json_t *items;
    dv_auto(buf) dv_buf query = dv_buf_init(QUERY_MAX);
    DV_TRY(seed_query(t->call, &query, t->error));
    DV_TRY(collect(t, dv_buf_cstr(&query)));
    DV_TRY(collect_requests(t));
    DV_TRY(make_items(t, &items));
    t->call->answer = json_pack("{s:o,s:b}", "items", items, "complete", (int)t->complete);
    return t->call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* An address comes into the search as it is: nothing but an address or a network may. */
static dv_result check_address(dv_call *call, dv_error *error)
{
    const char *ip = dv_call_param(call, "ip");
    bool clean = ip == NULL || strspn(ip, "0123456789abcdefABCDEF.:/*") == strlen(ip);
    return clean ? DV_OK : dv_call_invalid(call, "ip", error, "%.64s is no address or network", ip);
}

dv_result dv_op_audit_trail(dv_call *call, dv_error *error)
{
    trail t = {.call = call,
               .by_index = json_object(),
               .requests = json_object(),
               .complete = true,
               .error = error};
    dv_result result =
        t.by_index == NULL || t.requests == NULL ? DV_ERR_NO_MEMORY : check_address(call, error);
    if (result == DV_OK) {
        result = run(&t);
    }
    json_decref(t.by_index);
    json_decref(t.requests);
    return result;
}
