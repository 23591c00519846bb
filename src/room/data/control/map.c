/* SPDX-License-Identifier: Apache-2.0 */
/* Where data comes from and goes: what scans saw, what people said of it, and the gateway's routes.
 */
#include "base/buf.h"
#include "room/data/control/inventory.h"

#include "api/operations.h"

enum { ASSETS_MAX = 2000, GRAPH_MAX = 8 << 20 };

typedef struct map {
    json_t *nodes;
    json_t *edges;
    json_t *known; /* ids of nodes */
} map;

/* ---- nodes and edges ---- */

static void add_node(map *m, const char *id, json_t *node)
{
    if (json_object_get(m->known, id) != NULL) {
        json_decref(node);
        return;
    }
    json_object_set_new(m->known, id, json_true());
    json_array_append_new(m->nodes, node);
}

static void add_edge(map *m, const char *from, const char *to, const char *what)
{
    json_array_append_new(m->edges,
                          json_pack("{s:s, s:s, s:s}", "from", from, "to", to, "what", what));
}

static void add_named(map *m, const char *id, const char *kind)
{
    add_node(m, id, json_pack("{s:s, s:s, s:s}", "id", id, "kind", kind, "name", id));
}

/* ---- what scans saw ---- */

static dv_result add_sources(dv_call *call, map *m, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    dv_result result = DV_OK;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT source, count(*), max(COALESCE(own_sensitivity, sensitivity)),"
                          " sum(CASE WHEN owner IS NULL THEN 1 ELSE 0 END) FROM data_asset"
                          " WHERE gone = 0 GROUP BY source ORDER BY source LIMIT ?1",
                          "i", (int64_t)ASSETS_MAX));
    while ((result = dv_statement_step(row, error)) == DV_OK) {
        json_t *name = dv_data_column_text(row, 0);
        add_node(m, json_string_value(name),
                 json_pack("{s:O, s:s, s:O, s:I, s:s, s:I}", "id", name, "kind", "source", "name",
                           name, "assets", (json_int_t)dv_column_int(row, 1), "sensitivity",
                           dv_data_level_word(dv_column_int(row, 2)), "unowned",
                           (json_int_t)dv_column_int(row, 3)));
        json_decref(name);
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static void add_flows(map *m, const char *id, dv_slice names, bool incoming)
{
    size_t i;
    const json_t *other;
    json_t *list = dv_data_words_json(names);
    json_array_foreach(list, i, other)
    {
        const char *name = json_string_value(other);
        add_named(m, name, "place");
        add_edge(m, incoming ? name : id, incoming ? id : name, "said");
    }
    json_decref(list);
}

/* The columns of add_assets. */
static void add_asset(map *m, dv_statement *row)
{
    json_t *id = dv_data_column_text(row, 0), *source = dv_data_column_text(row, 1);
    json_t *node = json_pack("{s:O, s:s, s:o, s:s, s:o, s:o}", "id", id, "kind", "asset", "name",
                             dv_data_column_text(row, 2), "sensitivity",
                             dv_data_level_word(dv_column_int(row, 3)), "categories",
                             dv_data_words_json(dv_column_slice(row, 4)), "owner",
                             dv_data_column_text(row, 5));
    add_node(m, json_string_value(id), node);
    add_edge(m, json_string_value(source), json_string_value(id), "holds");
    add_flows(m, json_string_value(id), dv_column_slice(row, 6), true);
    add_flows(m, json_string_value(id), dv_column_slice(row, 7), false);
    json_decref(id);
    json_decref(source);
}

/* Those that somebody said something of; the others stand in their source's number. */
static dv_result add_assets(dv_call *call, map *m, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    dv_result result = DV_OK;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT id, source, name, COALESCE(own_sensitivity, sensitivity),"
                          " COALESCE(own_categories, categories), owner, came_from, goes_to"
                          " FROM data_asset WHERE gone = 0 AND (COALESCE(came_from, '') <> ''"
                          " OR COALESCE(goes_to, '') <> '') ORDER BY id LIMIT ?1",
                          "i", (int64_t)ASSETS_MAX));
    while ((result = dv_statement_step(row, error)) == DV_OK) {
        add_asset(m, row);
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* ---- the gateway ---- */

static const char *policy_of(const json_t *route, const char *key)
{
    const char *name = json_string_value(json_object_get(route, key));
    return name != NULL ? name : "none";
}

static void add_route(map *m, const json_t *route, dv_arena *arena)
{
    const char *name = json_string_value(json_object_get(route, "name"));
    const char *upstream = json_string_value(json_object_get(route, "upstream"));
    const char *id = dv_arena_printf(arena, "route:%s", name != NULL ? name : "?");
    const char *to = dv_arena_printf(arena, "upstream%s%s", upstream != NULL ? ":" : "",
                                     upstream != NULL ? upstream : "");
    const char *in =
        dv_arena_printf(arena, "requests, masking: %s", policy_of(route, "request_policy"));
    const char *out =
        dv_arena_printf(arena, "answers, masking: %s", policy_of(route, "answer_policy"));
    if (id == NULL || to == NULL || in == NULL || out == NULL) {
        return;
    }
    add_node(m, id,
             json_pack("{s:s, s:s, s:s, s:O?}", "id", id, "kind", "route", "name", name, "path",
                       json_object_get(route, "path")));
    add_named(m, to, "upstream");
    add_edge(m, "callers", id, in);
    add_edge(m, id, to, in);
    add_edge(m, to, id, out);
    add_edge(m, id, "callers", out);
}

static dv_result add_routes(dv_call *call, map *m, dv_error *error)
{
    size_t i;
    const json_t *route;
    json_t *config = NULL;
    DV_TRY(dv_data_gateway_config(call, &config, error));
    if (config == NULL) {
        return DV_OK;
    }
    add_named(m, "callers", "callers");
    add_named(m, "audit-log", "log");
    json_array_foreach(json_object_get(config, "routes"), i, route)
    {
        add_route(m, route, call->arena);
    }
    add_edge(m, "callers", "audit-log", "one record a request, without bodies");
    json_decref(config);
    return DV_OK;
}

/* ---- as a graph ---- */

/* A quoted id of the DOT language: only quotes and backslashes are special. */
static dv_result append_dot(dv_buf *out, const char *text)
{
    DV_TRY(dv_buf_append_byte(out, '"'));
    for (; text != NULL && *text != '\0'; text++) {
        DV_TRY(*text == '"' || *text == '\\' ? dv_buf_append_byte(out, '\\') : DV_OK);
        DV_TRY(dv_buf_append_byte(out, (uint8_t)*text < 0x20 ? ' ' : (uint8_t)*text));
    }
    return dv_buf_append_byte(out, '"');
}

static dv_result append_line(dv_buf *out, const json_t *of, const char *first, const char *second,
                             const char *label)
{
    DV_TRY(dv_buf_append_str(out, "  "));
    DV_TRY(append_dot(out, json_string_value(json_object_get(of, first))));
    if (second != NULL) {
        DV_TRY(dv_buf_append_str(out, " -> "));
        DV_TRY(append_dot(out, json_string_value(json_object_get(of, second))));
    }
    DV_TRY(dv_buf_append_str(out, " [label="));
    DV_TRY(append_dot(out, json_string_value(json_object_get(of, label))));
    return dv_buf_append_str(out, "];\n");
}

static dv_result draw(const map *m, dv_buf *out)
{
    size_t i;
    const json_t *one;
    DV_TRY(dv_buf_append_str(out, "digraph data {\n  rankdir=LR;\n"));
    json_array_foreach(m->nodes, i, one)
    {
        DV_TRY(append_line(out, one, "id", NULL, "name"));
    }
    json_array_foreach(m->edges, i, one)
    {
        DV_TRY(append_line(out, one, "from", "to", "what"));
    }
    return dv_buf_append_str(out, "}\n");
}

static dv_result answer(dv_call *call, const map *m)
{
    dv_auto(buf) dv_buf graph = dv_buf_init(GRAPH_MAX);
    DV_TRY(draw(m, &graph));
    call->answer = json_pack("{s:O, s:O, s:o}", "nodes", m->nodes, "edges", m->edges, "graph",
                             json_stringn((const char *)graph.ptr, graph.len));
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_op_data_map(dv_call *call, dv_error *error)
{
    map m = {json_array(), json_array(), json_object()};
    dv_result result = add_sources(call, &m, error);
    result = result == DV_OK ? add_assets(call, &m, error) : result;
    result = result == DV_OK ? add_routes(call, &m, error) : result;
    result = result == DV_OK ? answer(call, &m) : result;
    json_decref(m.nodes);
    json_decref(m.edges);
    json_decref(m.known);
    return result;
}
