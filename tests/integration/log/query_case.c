/* SPDX-License-Identifier: Apache-2.0 */
/* Answers a test line by line. "Q" and a search: parses it, answers "ok" or the column of the
 * mistake. "E" and an event: 1 when it matches, otherwise 0; a match is added to the aggregation.
 * "S": merges the aggregation into another one by its saved state. "R": the other one's rows. */
#include "engine/log/query_aggregate.h"

#include <stdio.h>
#include <stdlib.h>

enum { MEMORY = 16 << 20 };
static const dv_time now = 1795341600 * DV_SECOND; /* as the test's */

typedef struct session {
    dv_arena *arena;
    dv_arena *event_arena;
    const dv_query *query;
    dv_aggregate *part, *whole;
} session;

static void must(dv_result result)
{
    if (result != DV_OK) {
        fprintf(stderr, "query_case: %s\n", dv_result_name(result));
        exit(1);
    }
}

static void drop(dv_aggregate **aggregate)
{
    if (*aggregate != NULL) {
        dv_aggregate_free(*aggregate);
        *aggregate = NULL;
    }
}

static void take_query(session *s, dv_slice text)
{
    dv_error error = {0};
    const dv_query_options options = {.now = now};
    drop(&s->part);
    drop(&s->whole);
    dv_arena_reset(s->arena);
    if (dv_query_parse(text, &options, s->arena, &s->query, &error) != DV_OK) {
        printf("%d %s\n", error.column, error.message);
        return;
    }
    if (s->query->stages.measure_count > 0) {
        must(dv_aggregate_new(s->query, &s->part));
        must(dv_aggregate_new(s->query, &s->whole));
    }
    puts("ok");
}

static void take_event(session *s, dv_slice text)
{
    bool matches;
    dv_query_event event = dv_query_event_of(text);
    dv_arena_reset(s->event_arena);
    must(dv_query_matches(s->query, &event, s->event_arena, &matches));
    if (matches && s->part != NULL) {
        must(dv_aggregate_add(s->part, &event, s->event_arena));
    }
    puts(matches ? "1" : "0");
}

static void merge(session *s)
{
    dv_auto(buf) dv_buf state = dv_buf_init(MEMORY);
    must(dv_aggregate_save(s->part, &state));
    must(dv_aggregate_merge(s->whole, dv_buf_slice(&state), NULL));
    drop(&s->part);
    must(dv_aggregate_new(s->query, &s->part));
    puts("ok");
}

static void tell_rows(session *s)
{
    dv_auto(buf) dv_buf rows = dv_buf_init(MEMORY);
    must(dv_aggregate_rows(s->whole, UINT64_MAX, &rows));
    printf("%s\n", dv_buf_cstr(&rows));
}

int main(void)
{
    session s = {.arena = dv_arena_new(MEMORY), .event_arena = dv_arena_new(MEMORY)};
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    while ((len = getline(&line, &room, stdin)) > 0) {
        dv_slice rest = dv_slice_of(line + 1, (size_t)len - (line[len - 1] == '\n' ? 2 : 1));
        switch (line[0]) {
        case 'Q':
            take_query(&s, rest);
            break;
        case 'E':
            take_event(&s, rest);
            break;
        case 'S':
            merge(&s);
            break;
        default:
            tell_rows(&s);
        }
        fflush(stdout);
    }
    drop(&s.part);
    drop(&s.whole);
    free(line);
    dv_arena_free(s.arena);
    dv_arena_free(s.event_arena);
    return 0;
}
