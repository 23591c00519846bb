/* SPDX-License-Identifier: Apache-2.0 */
/* What a search costs for each event that it looks at, over records as the gate leaves them. The
 * ratios are against memmem over the same bytes, which no search of text can do without. */
#include "base/caps.h"
#include "base/uuid.h"
#include "bench.h"
#include "core/event.h"
#include "engine/log/query_aggregate.h"

enum { EVENTS = 20000, EVENT_MEMORY = 16 << 20, QUERY_MEMORY = 1 << 20 };

static dv_slice events[EVENTS];
static size_t bytes;

static const dv_sighting sightings[] = {
    {"email", "/messages/0/content", DV_ACTION_PLACEHOLDER, 90},
    {"payment_card", "/messages/1/content", DV_ACTION_MASK, 100},
};

static void make_event(int number, dv_arena *arena)
{
    static const char *const users[] = {"alice", "bob", "carol", "dave", "erin"};
    static const char *const models[] = {"smollm2", "llama-3", "qwen-2"};
    char id[DV_UUID_TEXT_LEN + 1], entity[32], address[32];
    dv_uuid uuid = dv_uuid_new(dv_time_now());
    const char *user = users[number % 5];
    dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_uuid_format(&uuid, id);
    snprintf(entity, sizeof(entity), "User::\"%s\"", user);
    snprintf(address, sizeof(address), "10.%d.%d.%d", number % 3, number % 7, number % 251);
    const dv_principal principal = {
        .type = DV_PRINCIPAL_USER, .name = dv_slice_str(user), .entity = dv_slice_str(entity)};
    const dv_verdict verdict = {.decision = number % 50 == 0 ? DV_DENY : DV_ALLOW,
                                .reason = number % 50 == 0 ? DV_REASON_NOT_PERMITTED : DV_REASON_OK,
                                .policy = "role:model_user"};
    const dv_event_request request = {
        .request_id = dv_slice_str(id),
        .time = 1795341600 * DV_SECOND + number * DV_SECOND,
        .principal = &principal,
        .address = dv_slice_str(address),
        .route = DV_LIT("openai-chat"),
        .method = DV_LIT("POST"),
        .path = DV_LIT("/v1/chat/completions"),
        .user_agent = DV_LIT("OpenAI/Python 1.58.1"),
        .action = DV_LIT("use_model"),
        .model = dv_slice_str(models[number % 3]),
        .upstream = DV_LIT("local"),
        .verdict = &verdict,
        .sightings = sightings,
        .sighting_count = number % 10 == 0 ? 2 : 0,
        .body_bytes = 2048,
    };
    const dv_event_outcome outcome = {.time = request.time,
                                      .status = number % 50 == 0 ? 403 : 200,
                                      .upstream_status = 200,
                                      .latency = (number % 1000) * DV_MILLISECOND,
                                      .input_tokens = 10,
                                      .output_tokens = number % 500,
                                      .answer_bytes = 4096};
    bench_must("bench_query", dv_event_request_close(&record, &request, &outcome));
    bench_must("bench_query", dv_arena_copy(arena, dv_buf_slice(&record), &events[number]));
    bytes += record.len;
    dv_buf_release(&record);
}

static double bench_memmem(void)
{
    size_t found = 0;
    double started = bench_cpu_time();
    for (int i = 0; i < EVENTS; i++) {
        found += memmem(events[i].ptr, events[i].len, "nowhere-to-be-found", 19) != NULL;
    }
    double took = (bench_cpu_time() - started) / EVENTS;
    bench_row("query/memmem", took, "ns/event", 0);
    return found == 0 ? took : 0;
}

static void bench_search(const char *name, const char *text, double base)
{
    const dv_query *query;
    dv_aggregate *aggregate = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(QUERY_MEMORY);
    dv_auto(arena) dv_arena *event_arena = dv_arena_new(EVENT_MEMORY);
    const dv_query_options options = {.now = 1795341600 * DV_SECOND};
    bench_must("bench_query", dv_query_parse(dv_slice_str(text), &options, arena, &query, NULL));
    if (query->stages.measure_count > 0) {
        bench_must("bench_query", dv_aggregate_new(query, &aggregate));
    }
    double started = bench_cpu_time();
    for (int i = 0; i < EVENTS; i++) {
        bool matches;
        dv_query_event event = dv_query_event_of(events[i]);
        dv_arena_recycle(event_arena);
        bench_must("bench_query", dv_query_matches(query, &event, event_arena, &matches));
        if (matches && aggregate != NULL) {
            bench_must("bench_query", dv_aggregate_add(aggregate, &event, event_arena));
        }
    }
    double took = (bench_cpu_time() - started) / EVENTS;
    bench_row(name, took, "ns/event", took / base);
    if (aggregate != NULL) {
        dv_aggregate_free(aggregate);
    }
}

int main(void)
{
    dv_arena *arena = dv_arena_new((size_t)1 << 30);
    if (arena == NULL) {
        return 1;
    }
    for (int i = 0; i < EVENTS; i++) {
        make_event(i, arena);
    }
    bench_row("query/event_size", (double)bytes / EVENTS, "bytes", 0);
    double base = bench_memmem();
    bench_search("query/word_absent", "nowhere-to-be-found", base);
    bench_search("query/word_in_a_fifth", "alice", base);
    bench_search("query/field_in_a_fifth", "user:alice", base);
    bench_search("query/number_of_all", "status:>=400", base);
    bench_search("query/four_terms", "user:alice status:200 ip:10.1.0.0/16 latency:>500", base);
    bench_search("query/count_by_two", "| count by user, model", base);
    bench_search("query/p95_over_time", "| count, p95(latency) by model over 1h", base);
    dv_arena_free(arena);
    return 0;
}
