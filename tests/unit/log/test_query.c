/* SPDX-License-Identifier: Apache-2.0 */
/* The search language: what matches what, what is refused and where, time bounds, aggregation. */
#include "engine/log/query_aggregate.h"
#include "engine/log/query_sketch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* 2026-11-22T10:00:00Z */
static const int64_t now_ms = 1795341600000;

static const char gate_event[] =
    "{\"metadata\":{\"correlation_uid\":\"0198c0de\",\"event_code\":\"request.close\"},"
    "\"time\":1795338000000,\"class_uid\":6003,\"severity_id\":3,\"status_id\":2,"
    "\"status_code\":\"rate_limited\",\"action_id\":2,"
    "\"actor\":{\"user\":{\"name\":\"alice\",\"uid\":\"User::\\\"alice\\\"\","
    "\"groups\":[{\"name\":\"research\"},{\"name\":\"Staff\"}],"
    "\"programmatic_credentials\":[{\"uid\":\"Ab3dEf9h\",\"type\":\"api_key\"}]}},"
    "\"src_endpoint\":{\"ip\":\"10.1.2.3\",\"port\":40000},"
    "\"http_request\":{\"http_method\":\"POST\",\"url\":{\"path\":\"/v1/chat/completions\"},"
    "\"user_agent\":\"curl/7.88 \\\"quoted\\\" \\u00fcber\\/x\"},"
    "\"http_response\":{\"code\":429,\"latency\":1500},"
    "\"resources\":[{\"name\":\"openai-chat\",\"type\":\"route\"},"
    "{\"name\":\"smollm2\",\"type\":\"model\"}],\"ai_model\":{\"name\":\"smollm2\"},"
    "\"message_context\":{\"total_tokens\":30.5},\"empty\":null,\"big\":9007199254740993,"
    "\"unmapped\":{\"dvara\":{\"aborted\":false,\"sightings\":[{\"detector\":\"email\"},"
    "{\"detector\":\"payment_card\"},{\"detector\":\"email\"}]}}}";

typedef struct expectation {
    const char *query;
    bool matches;
} expectation;

static const expectation expectations[] = {
    {"", true},
    {"*", true},
    {"alice", true},
    {"ALICE", true},
    {"lic", true},
    {"bob", false},
    {"correlation_uid", false}, /* a name, not a value */
    {"\"chat completions\"", false},
    {"\"chat/completions\"", true},
    {"429", true},
    {"42", true},
    {"false", true},
    {"null", false},
    {"over:x", false}, /* unknown field: an error, see below */
    {"\\\"quoted\\\"", true},
    {"\"\\\"quoted\\\"\"", true},
    {"\"User::\\\"alice\\\"\"", true},
    {"User::\"alice\"", true},
    {"über", true},
    {"ber/x", true},
    {"n\\\"alice", false},
    {"chat*tions", true},
    {"tions*chat", false},
    {"*alice*", true},
    {"user:alice", true},
    {"user:Alice", true},
    {"user:ali", false},
    {"user:ali*", true},
    {"user:*ICE", true},
    {"user:a*i*e", true},
    {"user:a*x*e", false},
    {"user:al*lice", false}, /* the pieces may not lie over one another */
    {"user:\"ali*\"", false},
    {"user_id:User::\"alice\"", true},
    {"user_id:\"User::\\\"alice\\\"\"", true},
    {"user:User*", false},
    {"user:(bob or alice)", true},
    {"user:(bob carol)", false},
    {"user:*", true},
    {"provider:*", false},
    {"empty.x:*", false},
    {"unmapped.dvara:*", true},
    {"group:staff", true},
    {"group:research group:staff", true},
    {"group:(research) -group:staff", false},
    {"key:Ab3dEf9h", true},
    {"status:429", true},
    {"status:429.0", true},
    {"status:4.29e2", true},
    {"status:4*", true},
    {"status:[400 TO 499]", true},
    {"status:[400 to 428]", false},
    {"status:[430 TO *]", false},
    {"status:400..499", true},
    {"status:>=429", true},
    {"status:>429", false},
    {"status:<430", true},
    {"status:<=428", false},
    {"status:(200 or >=400)", true},
    {"tokens:30.5", true},
    {"tokens:>30", true},
    {"latency:>1s", true},
    {"latency:1500", true},
    {"latency:1500ms", true},
    {"latency:<1s", false},
    {"ip:10.1.2.3", true},
    {"ip:10.0.0.0/8", true},
    {"ip:10.1.2.0/31", false},
    {"ip:10.1.2.2/31", true},
    {"ip:11.0.0.0/8", false},
    {"ip:0.0.0.0/0", true},
    {"ip:10.1.*", true},
    {"ip:::ffff:10.1.2.3", true},
    {"ip:2001:db8::/32", false},
    {"severity:medium", true},
    {"severity:>=low", true},
    {"severity:high..fatal", false},
    {"severity:3", true},
    {"outcome:failure", true},
    {"decision:denied", true},
    {"class:api_activity", true},
    {"event:request.*", true},
    {"route:openai-chat", true},
    {"route:smollm2", false},
    {"resources.name:smollm2", true},
    {"resources.0.name:smollm2", false},
    {"resources.1.name:smollm2", true},
    {"resources[model].name:smollm2", true},
    {"detector:payment_card", true},
    {"aborted:false", true},
    {"aborted:true", false},
    {"time:2026-11-22", true},
    {"time:2026-11-21", false},
    {"time:2026-11-22T09:00", true},
    {"time:>2026-11-22", false},
    {"time:>=2026-11-22", true},
    {"time:<2026-11-22", false},
    {"time:<=2026-11-22", true},
    {"time:2026-11-21..2026-11-22", true},
    {"time:[2026-11-21T00:00:00Z TO now]", true},
    {"time:>=-1h", true},
    {"time:>=-59m", false},
    {"time:>=now-2h", true},
    {"last:61m", true},
    {"last:30m", false},
    {"metadata.correlation_uid:0198c0de", true},
    {"unmapped.dvara.sightings.detector:email", true},
    {"alice status:429", true},
    {"alice and status:429", true},
    {"alice AND NOT bob", true},
    {"alice -bob", true},
    {"not alice", false},
    {"NOT NOT alice", true},
    {"bob or alice", true},
    {"bob OR carol alice", false},
    {"alice carol or status:429", true},
    {"(bob or alice) (status:200 or status:429)", true},
    {"not (bob or alice)", false},
    {"-(bob or carol)", true},
    {"-user:bob", true},
    {"android", false},
    {"path:/v1/chat*", true},
    {"path:\"/v1/chat/completions\"", true},
    {"\"and\"", false},
    {"agent:*quoted*über*", true},
    {"a.b:1", false},
    {"big.x:1", false},
};

static dv_result parse(const char *text, dv_arena *arena, const dv_query **ret_query,
                       dv_error *error)
{
    dv_query_options options = {.now = now_ms * DV_MILLISECOND};
    return dv_query_parse(dv_slice_str(text), &options, arena, ret_query, error);
}

static bool matches(const dv_query *query, const char *event, dv_arena *arena)
{
    bool found;
    dv_query_event one = dv_query_event_of(dv_slice_str(event));
    assert_int_equal(dv_query_matches(query, &one, arena, &found), DV_OK);
    return found;
}

static void searches_match_as_the_language_says(void **state)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(expectations); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
        const dv_query *query = NULL;
        dv_error error = {0};
        dv_result result = parse(expectations[i].query, arena, &query, &error);
        if (strcmp(expectations[i].query, "over:x") == 0) {
            assert_int_equal(result, DV_ERR_INVALID);
            continue;
        }
        if (result != DV_OK) {
            fail_msg("%s: %s", expectations[i].query, error.message);
        }
        if (matches(query, gate_event, arena) != expectations[i].matches) {
            fail_msg("%s: matches %d", expectations[i].query, !expectations[i].matches);
        }
    }
}

/* What is refused, in which column, and what is said. */
static const struct {
    const char *query;
    int column;
    const char *says;
} refusals[] = {
    {"user:", 6, "a value was expected"},
    {"usr:alice", 1, "did you mean user?"},
    {"alice stauts:4", 7, "did you mean status?"},
    {"zzzzzzzz:1", 1, "put the text in quotes"},
    {"(alice", 1, "never closed"},
    {"alice)", 6, "no parenthesis is open"},
    {"\"alice", 1, "never closed"},
    {"user:\"alice", 6, "never closed"},
    {"x:y\"z", 1, "no field x"},
    {"\"\"", 1, "nothing between the quotes"},
    {"alice and", 10, "must follow `and`"},
    {"or alice", 1, "both sides"},
    {"alice or", 9, "was expected here"},
    {"not", 4, "was expected here"},
    {"status:abc", 8, "a number was expected"},
    {"status:>abc", 9, "a number was expected"},
    {"user:>5", 7, "no order"},
    {"status:[400 499]", 13, "TO was expected"},
    {"status:[400 TO 499", 8, "bracket is never closed"},
    {"status:[499 TO 400]", 1, "nothing lies between"},
    {"status:(400", 8, "never closed"},
    {"status:((400))", 9, "no further parentheses"},
    {"severity:hgih", 10, "did you mean high?"},
    {"latency:>soon", 10, "a duration"},
    {"time:yesterday", 6, "a time was expected"},
    {"last:week", 6, "needs a duration"},
    {"ip:10.0.0.0/33", 4, "an address or a network"},
    {"ip:ten", 4, "an address or a network"},
    {"user:a*b*c*d*e*f*g*h*i*j", 23, "at most 8 stars"},
    {"| cont", 3, "there is no stage cont"},
    {"|", 2, "a stage"},
    {"| sum", 6, "in parentheses"},
    {"| sum(user)", 7, "holds no numbers"},
    {"| sum(tokns)", 7, "did you mean tokens?"},
    {"| count by", 11, "a field to group by"},
    {"| count by user over x", 22, "a duration"},
    {"| count by user over 1ms", 22, "at least a second"},
    {"| count by user,group,key,ip,model", 30, "at most 4 fields"},
    {"| count user", 9, "`by FIELD`"},
    {"| sort count", 3, "events come newest first"},
    {"| count | sort user", 16, "no column user"},
    {"| count | count", 11, "aggregated already"},
    {"| top x user", 7, "a number"},
    {"| limit 0", 9, "a number from 1"},
    {"alice | count | limit 5 x", 25, "| or the end"},
    {"\xff", 1, "UTF-8"},
};

static void mistakes_are_told_with_their_place(void **state)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(refusals); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
        const dv_query *query = NULL;
        dv_error error = {0};
        assert_int_equal(parse(refusals[i].query, arena, &query, &error),
                         DV_ERR_INVALID + (strstr(refusals[i].says, "at most") != NULL ? 1 : 0));
        if (error.column != refusals[i].column || strstr(error.message, refusals[i].says) == NULL) {
            fail_msg("%s: column %d, %s", refusals[i].query, error.column, error.message);
        }
    }
}

static void the_caret_stands_below_the_place(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(256);
    dv_error error = {.line = 1, .column = 7};
    assert_int_equal(dv_query_point_at(dv_slice_str("ü stauts:4"), &error, &out), DV_OK);
    assert_string_equal(dv_buf_cstr(&out), "ü stauts:4\n     ^\n");
}

/* ---- limits ---- */

static char *repeat(const char *piece, size_t count, const char *end)
{
    char *text = malloc(strlen(piece) * count + strlen(end) + 1);
    assert_non_null(text);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        memcpy(text + i * strlen(piece), piece, strlen(piece));
    }
    memcpy(text + count * strlen(piece), end, strlen(end) + 1);
    return text;
}

static dv_result parse_repeated(const char *piece, size_t count, const char *end)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(4 << 20);
    dv_auto(free) char *text = repeat(piece, count, end);
    const dv_query *query = NULL;
    dv_error error = {0};
    return parse(text, arena, &query, &error);
}

static void a_search_has_limits(void **state)
{
    assert_int_equal(parse_repeated("x", DV_LIMIT_QUERY_TEXT, ""), DV_OK);
    assert_int_equal(parse_repeated("x", DV_LIMIT_QUERY_TEXT + 1, ""), DV_ERR_TOO_LARGE);
    assert_int_equal(parse_repeated("x ", DV_LIMIT_QUERY_TERMS, ""), DV_OK);
    assert_int_equal(parse_repeated("x ", DV_LIMIT_QUERY_TERMS, "x"), DV_ERR_TOO_LARGE);
    assert_int_equal(parse_repeated("not ", DV_LIMIT_QUERY_DEPTH, "x"), DV_OK);
    assert_int_equal(parse_repeated("not ", DV_LIMIT_QUERY_DEPTH + 1, "x"), DV_ERR_TOO_LARGE);
    assert_int_equal(parse_repeated("(", DV_LIMIT_QUERY_DEPTH + 1, "x"), DV_ERR_TOO_LARGE);
    assert_int_equal(parse_repeated("user:(", 1, "a or b)"), DV_OK);
}

static void memory_can_be_out(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(256);
    const dv_query *query = NULL;
    dv_error error = {0};
    assert_int_equal(parse("user:alice status:>=400 | count by user", arena, &query, &error),
                     DV_ERR_NO_MEMORY);
}

/* ---- bounds of time ---- */

static void bounds_of_time_hold_for_the_whole_search(void **state)
{
    static const struct {
        const char *query;
        int64_t from, to;
    } cases[] = {
        {"alice", INT64_MIN, INT64_MAX},
        {"last:1h alice", 1795338000000, INT64_MAX},
        {"time:2026-11-22", 1795305600000, 1795392000000},
        {"time:>=2026-11-22 time:<2026-11-23", 1795305600000, 1795392000000},
        {"time:>1000 time:<=2000", 1001, 2001},
        {"(time:1000..1500 or time:2000..2500) x", 1000, 2501},
        {"time:1000..1500 or x", INT64_MIN, INT64_MAX},
        {"not time:1000..1500", INT64_MIN, INT64_MAX},
        {"logged:1000..1500", INT64_MIN, INT64_MAX},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
        const dv_query *query = NULL;
        assert_int_equal(parse(cases[i].query, arena, &query, NULL), DV_OK);
        if (query->from_ms != cases[i].from || query->to_ms != cases[i].to) {
            fail_msg("%s: %lld..%lld", cases[i].query, (long long)query->from_ms,
                     (long long)query->to_ms);
        }
    }
}

static void bounds_beside_the_text_are_part_of_it(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    const dv_query *query = NULL;
    dv_query_options options = {.since_ms = 1795338000000, .until_ms = 1795338000001};
    assert_int_equal(dv_query_parse(DV_LIT("alice or bob"), &options, arena, &query, NULL), DV_OK);
    assert_true(matches(query, gate_event, arena));
    assert_int_equal(query->from_ms, options.since_ms);
    assert_int_equal(query->to_ms, options.until_ms);
    options.until_ms--;
    options.since_ms--;
    assert_int_equal(dv_query_parse(DV_LIT(""), &options, arena, &query, NULL), DV_OK);
    assert_false(matches(query, gate_event, arena));
}

/* ---- events that are not as ours ---- */

static void what_is_no_json_is_searched_as_text(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    const dv_query *query = NULL;
    assert_int_equal(parse("kernel", arena, &query, NULL), DV_OK);
    assert_true(matches(query, "Nov 22 Kernel: oops {", arena));
    assert_int_equal(parse("user:kernel", arena, &query, NULL), DV_OK);
    assert_false(matches(query, "Nov 22 kernel: oops {", arena));
}

static void escapes_are_read_not_compared(void **state)
{
    static const struct {
        const char *query, *event;
        bool matches;
    } cases[] = {
        {"alice", "{\"a\":\"\\u0061lice\"}", true},
        {"host:web", "{\"device\":{\"name\":\"\\u0077eb\"}}", true},
        {"nab", "{\"a\":\"x\\nab\"}", false}, /* the n is that of an escape */
        {"ab", "{\"a\":\"x\\nab\"}", true},
        {"\"a/b\"", "{\"x\":\"a\\/b\"}", true},
        {"\"a\\\\b\"", "{\"x\":\"a\\\\b\"}", true},
        {"device.name:x", "{\"d\\u0065vice\":{\"name\":\"X\"}}", true},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
        const dv_query *query = NULL;
        assert_int_equal(parse(cases[i].query, arena, &query, NULL), DV_OK);
        if (matches(query, cases[i].event, arena) != cases[i].matches) {
            fail_msg("%s in %s", cases[i].query, cases[i].event);
        }
    }
}

/* Long texts go through another loop than short ones; a needle may stand at any place. */
static void needles_are_found_wherever_they_stand(void **state)
{
    uint8_t text[128];
    for (size_t len = 1; len < sizeof(text); len++) {
        for (size_t at = 0; at + 3 <= len; at++) {
            memset(text, 'A', sizeof(text));
            memcpy(text + at, "aBc", 3);
            assert_int_equal(dv_query_find(dv_slice_of(text, len), DV_LIT("abc")), at);
            assert_int_equal(dv_query_find(dv_slice_of(text, at + 2), DV_LIT("abc")), -1);
        }
    }
    assert_int_equal(dv_query_find(DV_LIT("0123456789abcdef@`[{"), DV_LIT("{")), 19);
    assert_int_equal(dv_query_find(DV_LIT("0123456789abcdef@`[{"), DV_LIT("`")), 17);
}

/* ---- aggregation ---- */

static void add_event(dv_aggregate *aggregate, const char *format, ...) dv_printf(2, 3);
static void add_event(dv_aggregate *aggregate, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_query_event event = dv_query_event_of(dv_slice_str(text));
    assert_int_equal(dv_aggregate_add(aggregate, &event, arena), DV_OK);
}

static dv_aggregate *aggregate_of(const char *text, dv_arena *arena)
{
    const dv_query *query = NULL;
    dv_aggregate *aggregate = NULL;
    assert_int_equal(parse(text, arena, &query, NULL), DV_OK);
    assert_int_equal(dv_aggregate_new(query, &aggregate), DV_OK);
    return aggregate;
}

static void assert_rows(const dv_aggregate *aggregate, const char *expected)
{
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    assert_int_equal(dv_aggregate_rows(aggregate, 1000, &out), DV_OK);
    assert_string_equal(dv_buf_cstr(&out), expected);
}

static void add_some(dv_aggregate *aggregate)
{
    static const char *const users[] = {"alice", "bob", "alice"};
    for (int i = 0; i < 9; i++) {
        add_event(aggregate,
                  "{\"time\":%lld,\"severity_id\":%d,\"actor\":{\"user\":{\"name\":\"%s\"}},"
                  "\"message_context\":{\"total_tokens\":%d}}",
                  (long long)now_ms + i * 1800000LL, i % 2 + 3, users[i % 3], i);
    }
}

static void events_are_grouped_and_measured(void **state)
{
    static const struct {
        const char *query, *rows;
    } cases[] = {
        {"| count", "{\"columns\":[\"count\"],\"rows\":[{\"count\":9}],\"groups\":1,\"others\":0}"},
        {"| count, sum(tokens), avg(tokens), min(tokens), max(tokens) by user",
         "{\"columns\":[\"user\",\"count\",\"sum(tokens)\",\"avg(tokens)\",\"min(tokens)\","
         "\"max(tokens)\"],\"rows\":["
         "{\"user\":\"alice\",\"count\":6,\"sum(tokens)\":24,\"avg(tokens)\":4,\"min(tokens)\":0,"
         "\"max(tokens)\":8},"
         "{\"user\":\"bob\",\"count\":3,\"sum(tokens)\":12,\"avg(tokens)\":4,\"min(tokens)\":1,"
         "\"max(tokens)\":7}],\"groups\":2,\"others\":0}"},
        {"| count by severity | sort severity",
         "{\"columns\":[\"severity\",\"count\"],\"rows\":[{\"severity\":\"high\",\"count\":4},"
         "{\"severity\":\"medium\",\"count\":5}],\"groups\":2,\"others\":0}"},
        {"| top 1 user", "{\"columns\":[\"user\",\"count\"],\"rows\":[{\"user\":\"alice\","
                         "\"count\":6}],\"groups\":2,\"others\":0}"},
        {"| count over 2h",
         "{\"columns\":[\"time\",\"count\"],\"rows\":[{\"time\":\"2026-11-22T10:00:00Z\","
         "\"count\":4},{\"time\":\"2026-11-22T12:00:00Z\",\"count\":4},"
         "{\"time\":\"2026-11-22T14:00:00Z\",\"count\":1}],\"groups\":3,\"others\":0}"},
        {"| count by model", "{\"columns\":[\"model\",\"count\"],\"rows\":[{\"model\":null,"
                             "\"count\":9}],\"groups\":1,\"others\":0}"},
        {"| sum(latency) by user | sort -user | limit 1",
         "{\"columns\":[\"user\",\"sum(latency)\"],\"rows\":[{\"user\":\"bob\","
         "\"sum(latency)\":null}],\"groups\":2,\"others\":0}"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
        dv_auto(aggregate) dv_aggregate *aggregate = aggregate_of(cases[i].query, arena);
        add_some(aggregate);
        assert_rows(aggregate, cases[i].rows);
    }
}

static void an_event_counts_once_for_each_of_its_values(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_auto(aggregate) dv_aggregate *aggregate = aggregate_of("| count by detector", arena);
    dv_query_event event = dv_query_event_of(dv_slice_str(gate_event));
    assert_int_equal(dv_aggregate_add(aggregate, &event, arena), DV_OK);
    assert_rows(aggregate, "{\"columns\":[\"detector\",\"count\"],\"rows\":[{\"detector\":"
                           "\"email\",\"count\":1},{\"detector\":\"payment_card\",\"count\":1}],"
                           "\"groups\":2,\"others\":0}");
}

/* Two logs' states make the same rows as one log with all the events. */
static void states_of_several_logs_are_merged(void **state)
{
    static const char query[] =
        "| count, sum(tokens), min(tokens), max(tokens), p50(tokens), p99(tokens) by user over 1h";
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_auto(aggregate) dv_aggregate *one = aggregate_of(query, arena);
    dv_auto(aggregate) dv_aggregate *both = aggregate_of(query, arena);
    dv_auto(aggregate) dv_aggregate *merged = aggregate_of(query, arena);
    dv_auto(buf) dv_buf saved = dv_buf_init(1 << 20);
    dv_auto(buf) dv_buf expected = dv_buf_init(1 << 20);
    add_some(one);
    add_some(both);
    add_some(both);
    assert_int_equal(dv_aggregate_save(one, &saved), DV_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dv_aggregate_merge(merged, dv_buf_slice(&saved), NULL), DV_OK);
    }
    assert_int_equal(dv_aggregate_rows(both, 1000, &expected), DV_OK);
    assert_rows(merged, dv_buf_cstr(&expected));
}

static void a_foreign_state_is_refused(void **state)
{
    static const char *const states[] = {
        "",
        "[]",
        "{\"version\":2,\"others\":0,\"groups\":[]}",
        "{\"version\":1,\"others\":-1,\"groups\":[]}",
        "{\"version\":1,\"others\":0,\"groups\":[[null,[],[[1,1,1,1]]]]}",
        "{\"version\":1,\"others\":0,\"groups\":[[null,[[]],[[1,1,1,1]]]]}",
        "{\"version\":1,\"others\":0,\"groups\":[[null,[\"a\"],[[1,1,1]]]]}",
        "{\"version\":1,\"others\":0,\"groups\":[[null,[\"a\"],[[1,1,1,1],[1,1,1,1]]]]}",
        "{\"version\":1,\"others\":0,\"groups\":[[null,[\"a\"]]]}",
        "{\"version\":1,\"others\":0,\"groups\":[null]}",
    };
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_auto(aggregate) dv_aggregate *aggregate = aggregate_of("| count by user", arena);
    for (size_t i = 0; i < DV_ARRAY_LEN(states); i++) {
        assert_int_equal(dv_aggregate_merge(aggregate, dv_slice_str(states[i]), NULL),
                         DV_ERR_INVALID);
    }
}

/* One group over the limit counts as another; nothing is lost unsaid. */
static void groups_beyond_the_limit_are_others(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_auto(arena) dv_arena *events = dv_arena_new(1 << 20);
    dv_auto(aggregate) dv_aggregate *aggregate = aggregate_of("| count by user", arena);
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    char text[128];
    for (int i = 0; i < DV_LIMIT_QUERY_GROUPS + 5; i++) {
        snprintf(text, sizeof(text), "{\"actor\":{\"user\":{\"name\":\"u%d\"}}}", i);
        dv_query_event event = dv_query_event_of(dv_slice_str(text));
        assert_int_equal(dv_aggregate_add(aggregate, &event, events), DV_OK);
        dv_arena_reset(events);
    }
    assert_int_equal(dv_aggregate_rows(aggregate, 1, &out), DV_OK);
    assert_non_null(strstr(dv_buf_cstr(&out), "\"groups\":100000,\"others\":5}"));
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void quantiles_are_within_a_percent(void **state)
{
    enum { COUNT = 20000 };
    static double values[COUNT];
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_sketch sketch = {.count = 0};
    uint64_t random = 88172645463325252U;
    for (size_t i = 0; i < COUNT; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        values[i] = exp((double)(random % 1000000) / 1000000 * 20 - 5);
        assert_int_equal(dv_sketch_add(&sketch, values[i], 1, arena), DV_OK);
    }
    qsort(values, COUNT, sizeof(double), compare_doubles);
    for (int percent = 0; percent <= 100; percent++) {
        double quantile = percent / 100.0;
        double exact = values[(size_t)(quantile * (COUNT - 1))];
        double told = dv_sketch_quantile(&sketch, quantile);
        assert_true(fabs(told - exact) <= exact * 0.01 + 1e-9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(searches_match_as_the_language_says),
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(the_caret_stands_below_the_place),
        cmocka_unit_test(a_search_has_limits),
        cmocka_unit_test(memory_can_be_out),
        cmocka_unit_test(bounds_of_time_hold_for_the_whole_search),
        cmocka_unit_test(bounds_beside_the_text_are_part_of_it),
        cmocka_unit_test(what_is_no_json_is_searched_as_text),
        cmocka_unit_test(escapes_are_read_not_compared),
        cmocka_unit_test(needles_are_found_wherever_they_stand),
        cmocka_unit_test(events_are_grouped_and_measured),
        cmocka_unit_test(an_event_counts_once_for_each_of_its_values),
        cmocka_unit_test(states_of_several_logs_are_merged),
        cmocka_unit_test(a_foreign_state_is_refused),
        cmocka_unit_test(groups_beyond_the_limit_are_others),
        cmocka_unit_test(quantiles_are_within_a_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
