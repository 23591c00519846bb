/* SPDX-License-Identifier: Apache-2.0 */
/* A search, a line end, and an event. What is parsed is evaluated, counted, saved, merged and told;
 * an event that matches lies within the bounds of time that the search claims. Beginning with ! the
 * rest behind the line end is a state to merge. */
#include "engine/log/query_aggregate.h"

enum { MEMORY = 16 << 20 };

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool take_time(void *data, const dv_json *json, uint32_t token)
{
    dv_query_number number;
    if (json->tokens[token].type == DV_JSON_NUMBER &&
        dv_query_number_read(dv_json_raw(json, token), &number) && number.is_whole) {
        *(int64_t *)data = number.whole;
    }
    return true;
}

static void check_bounds(const dv_query *query, dv_query_event *event, dv_arena *arena)
{
    const dv_json *json;
    const dv_query_field *field;
    int64_t time = INT64_MIN;
    require(dv_query_event_json(event, arena, &json) == DV_OK);
    require(dv_query_field_find(DV_LIT("time"), arena, &field, NULL) == DV_OK);
    if (json != NULL && json->tokens[0].type == DV_JSON_OBJECT) {
        dv_query_values(field, true, json, take_time, &time);
        uint32_t member = dv_json_member(json, 0, "time");
        bool one = member != 0 && json->tokens[member].type == DV_JSON_NUMBER;
        require(!one || time == INT64_MIN || (time >= query->from_ms && time < query->to_ms) ||
                query->to_ms == INT64_MAX);
    }
}

static void aggregate(const dv_query *query, dv_query_event *event, dv_arena *arena)
{
    dv_aggregate *one = NULL, *two = NULL;
    dv_auto(buf) dv_buf state = dv_buf_init(MEMORY);
    dv_auto(buf) dv_buf first = dv_buf_init(MEMORY);
    dv_auto(buf) dv_buf second = dv_buf_init(MEMORY);
    require(dv_aggregate_new(query, &one) == DV_OK && dv_aggregate_new(query, &two) == DV_OK);
    require(dv_aggregate_add(one, event, arena) == DV_OK);
    require(dv_aggregate_save(one, &state) == DV_OK);
    require(dv_aggregate_merge(two, dv_buf_slice(&state), NULL) == DV_OK);
    require(dv_aggregate_rows(one, 100, &first) == DV_OK);
    require(dv_aggregate_rows(two, 100, &second) == DV_OK);
    require(dv_slice_eq(dv_buf_slice(&first), dv_buf_slice(&second)));
    dv_aggregate_free(one);
    dv_aggregate_free(two);
}

static void merge_foreign(const dv_query *query, dv_slice state)
{
    dv_aggregate *one = NULL;
    dv_error error = {0};
    dv_auto(buf) dv_buf rows = dv_buf_init(MEMORY);
    require(dv_aggregate_new(query, &one) == DV_OK);
    if (dv_aggregate_merge(one, state, &error) == DV_OK) {
        require(dv_aggregate_rows(one, 100, &rows) == DV_OK);
    }
    dv_aggregate_free(one);
}

static void evaluate(const dv_query *query, dv_slice text, dv_arena *arena)
{
    bool matches;
    dv_query_event event = dv_query_event_of(text);
    require(dv_query_matches(query, &event, arena, &matches) == DV_OK);
    if (!matches) {
        return;
    }
    require(dv_query_may_match(query, text));
    check_bounds(query, &event, arena);
    if (query->stages.measure_count > 0) {
        aggregate(query, &event, arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_slice rest = dv_slice_of(data, size), text;
    const dv_query *query;
    dv_error error = {0};
    const dv_query_options options = {.now = 1795341600 * DV_SECOND};
    if (!dv_slice_split(&rest, '\n', &text)) {
        return 0;
    }
    bool foreign = dv_slice_starts_with(text, DV_LIT("!"));
    text = dv_slice_sub(text, foreign ? 1 : 0, text.len);
    dv_arena *arena = dv_arena_new(MEMORY);
    require(arena != NULL);
    dv_result result = dv_query_parse(text, &options, arena, &query, &error);
    if (result != DV_OK) {
        dv_auto(buf) dv_buf pointer = dv_buf_init(MEMORY);
        require(error.message[0] != '\0');
        require(error.column >= 0 && (size_t)error.column <= text.len + 1);
        require(dv_query_point_at(text, &error, &pointer) == DV_OK);
    } else if (foreign && query->stages.measure_count > 0) {
        merge_foreign(query, rest);
    } else {
        evaluate(query, rest, arena);
    }
    dv_arena_free(arena);
    return 0;
}
