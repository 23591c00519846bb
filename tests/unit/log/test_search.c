/* SPDX-License-Identifier: Apache-2.0 */
/* Searching blocks by their columns finds what looking at every event finds, and counts what
 * counting every event counts: in a log as it is, in one whose personal values are sealed, and when
 * keys of it were destroyed. */
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/catalogue.h"
#include "engine/log/seal.h"
#include "engine/log/seal_search.h"
#include "engine/log/state.h"
#include "engine/log/tree.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { EVENTS = 2 * DV_BLOCK_LEAVES + 700, QUERY_MEMORY = 4 << 20, EVENT_MEMORY = 16 << 20 };

typedef enum log_kinds { PLAIN, SEALED, ERASED } log_kinds;

static const log_kinds *the_kind;
static log_kinds log_kind;
static char folder[64], keys[64];
static dv_subjects *subjects;
static dv_seal_search *eyes;
static dv_buf sealed;
static uint64_t random_state = 88172645463325252;

static uint64_t random_below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % limit;
}

static const char *one_of(const char *const *texts, size_t count)
{
    return texts[random_below(count)];
}
#define ONE_OF(...)                                                                                \
    one_of((const char *const[]){__VA_ARGS__}, DV_ARRAY_LEN(((const char *const[]){__VA_ARGS__})))

/* -- the log ----------------------------------------------------------------------------------- */

static int request_event(uint64_t i, char *out, size_t size)
{
    const char *user = ONE_OF("alice", "bob", "Carol", "d\\u0061ve", "eve\\\"x", "z\303\274ri");
    return snprintf(
        out, size,
        "{\"metadata\":{\"event_code\":\"request.%s\",\"correlation_uid\":\"0198c0de-%04llx-7000-"
        "8000-0123456789ab\"},\"time\":%llu,\"class_uid\":6003,\"severity_id\":%d,\"actor\":{"
        "\"user\":{\"name\":\"%s\",\"uid\":\"User::\\\"%s\\\"\",\"groups\":[{\"name\":\"%s\"}%s]}},"
        "\"src_endpoint\":{\"ip\":\"%s\",\"port\":%d},\"http_response\":{\"code\":%d},"
        "\"resources\":[{\"name\":\"%s\",\"type\":\"route\"},{\"name\":\"%s\",\"type\":\"model\"}],"
        "\"unmapped\":{\"ratio\":%d.5,\"ok\":%s,\"none\":%s,\"empty\":%s}}",
        ONE_OF("open", "close"), (unsigned long long)(i / 2), 1000000 + (unsigned long long)i * 10,
        (int)random_below(6), user, user, ONE_OF("red", "green"),
        random_below(3) == 0 ? ",{\"name\":\"blue\"}" : "",
        ONE_OF("10.0.0.1", "10.1.2.3", "192.168.7.7", "2001:db8::1", "no address"),
        (int)random_below(65536), (int)(200 + 100 * random_below(4)), ONE_OF("chat", "embed"),
        ONE_OF("smollm2", "GPT-4o", "mistral"), (int)random_below(50), ONE_OF("true", "false"),
        ONE_OF("null", "1", "\"null\""), ONE_OF("{}", "[]", "\"\"", "{\"x\":{}}"));
}

#define BOB "\"User::\\\"bob\\\"\""
#define ABOUT_ALICE                                                                                \
    "{\"time\":#,\"actor\":{\"user\":{\"name\":\"alice\",\"uid\":\"User::\\\"alice\\\"\"}},"
#define FORGED "\"~1.AAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""

static const char about_entity[] = ABOUT_ALICE
    "\"entity\":{\"name\":7,\"data\":{\"size\":12,\"who\":\"bob\"},\"user\":{\"uid\":[" BOB
    "]}},\"status_detail\":\"seen by alice at 10.0.0.1\"}";
static const char about_resources[] =
    ABOUT_ALICE "\"resources\":[{\"type\":\"user\",\"name\":\"bob\",\"uid\":" BOB
                "},{\"type\":\"model\",\"name\":\"mistral\"}],\"api\":{\"operation\":" FORGED "}}";

static int other_event(uint64_t i, char *out, size_t size)
{
    static const char *const others[] = {
        "{\"metadata\":{\"event_code\":\"lifecycle\"},\"time\":#,\"app\":{\"name\":\"dvarad\"}}",
        "{\"time\":#,\"actor\":{\"user\":\"alice\"},\"message\":\"alice came\\/went\"}",
        "{\"time\":#,\"actor\":[{\"user\":{\"name\":\"alice\"}},{\"user\":{\"name\":\"bob\"}}]}",
        "{\"time\":#,\"actor.user.name\":\"alice\",\"a\":[[1,2],[3,[4]]]}",
        "alice wrote #, which is no JSON",
        "{\"time\":#,\"http_response\":{\"code\":\"404\"},\"src_endpoint\":{\"port\":1e3}}",
        "{\"time\":#,\"time\":5,\"message\":\"twice\"}",
        "{\"sequence\":#,\"time\":5,\"time\":9999999}",
        "{\"sequence\":#,\"time\":8888888.5}",
        "{\"time\":#,\"message\":\"bad \xff bytes of alice\"}",
        about_entity,
        about_resources,
        "{\"time\":-#,\"status\":404.0,\"unmapped\":{\"m\":[\"alice\",\"ALICE\",true,3,null,2.5]}}",
    };
    const char *form = others[random_below(DV_ARRAY_LEN(others))];
    const char *mark = strchr(form, '#'); /* where the time stands */
    return snprintf(out, size, "%.*s%llu%s", (int)(mark - form), form,
                    (unsigned long long)(1000000 + i * 10), mark + 1);
}

/* As it enters the tree: what is no event that can be sealed stays as it is here. */
static dv_slice sealed_event(dv_slice event)
{
    if (log_kind == PLAIN) {
        return event;
    }
    dv_buf_clear(&sealed);
    return dv_event_seal(subjects, event, UINT16_MAX, &sealed) == DV_OK ? dv_buf_slice(&sealed)
                                                                        : event;
}

static dv_result write_log(const dv_tree_signer *signer, dv_log_tree *state, dv_error *error)
{
    static char text[4096];
    uint64_t index;
    dv_log_tree next;
    dv_auto(tree) dv_tree *tree = NULL;
    DV_TRY(dv_tree_open(folder, signer, state, &tree, error));
    for (uint64_t i = 0; i < EVENTS; i++) {
        /* The second block is of requests alone. */
        bool odd = i / DV_BLOCK_LEAVES != 1 && random_below(20) == 0;
        int len = odd ? other_event(i, text, sizeof(text)) : request_event(i, text, sizeof(text));
        DV_TRY(dv_tree_append(tree, sealed_event(dv_slice_of(text, (size_t)len)), &index));
    }
    DV_TRY(dv_tree_write(tree, &next, error));
    *state = next;
    dv_tree_written(tree);
    return dv_tree_publish(tree, error);
}

static dv_result erase(const char *subject)
{
    char id[DV_SUBJECT_ID_TEXT + 1];
    DV_TRY(dv_subjects_find(subjects, dv_slice_str(subject), id));
    dv_slice text = dv_slice_str(id);
    return dv_subjects_destroy(subjects, &text, 1, NULL);
}

static int make_log(void **state)
{
    static dv_log_tree tree;
    dv_tree_signer signer = {.overlaps = false};
    uint8_t public_key[32];
    dv_error error = {0};
    dv_auto(catalogue) dv_catalogue *catalogue = NULL;
    log_kind = *the_kind;
    random_state = 88172645463325252;
    tree = (dv_log_tree){.name = "main", .root = dv_merkle_empty()};
    snprintf(folder, sizeof(folder), "/tmp/dvara-search-XXXXXX");
    snprintf(keys, sizeof(keys), "/tmp/dvara-search-keys-XXXXXX");
    sealed = dv_buf_init(UINT16_MAX);
    dv_random(signer.seed, sizeof(signer.seed));
    if (mkdtemp(folder) == NULL || mkdtemp(keys) == NULL ||
        dv_subjects_open(keys, &subjects, &error) != DV_OK ||
        dv_ed25519_public(signer.seed, public_key) != DV_OK ||
        dv_note_verifier_init("dvara.test/log", public_key, &signer.verifier) != DV_OK ||
        write_log(&signer, &tree, &error) != DV_OK ||
        dv_catalogue_open(folder, &catalogue, &error) != DV_OK ||
        dv_catalogue_update(catalogue, tree.packed, 0, &error) != DV_OK ||
        (log_kind == ERASED &&
         (erase("User::\"alice\"") != DV_OK || erase("User::\"bob\"") != DV_OK)) ||
        dv_seal_search_new(subjects, &eyes) != DV_OK) {
        print_error("%s\n", error.message);
        return -1;
    }
    return tree.packed == 2 * DV_BLOCK_LEAVES ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static dv_buf events; /* all of them as readers get them, one after the other */

static int remove_log(void **state)
{
    dv_buf_release(&events);
    dv_seal_search_free(eyes);
    dv_subjects_close(subjects);
    dv_buf_release(&sealed);
    return nftw(keys, remove_entry, 16, FTW_DEPTH | FTW_PHYS) |
           nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static const dv_search_reader *reader(void)
{
    return log_kind == PLAIN ? NULL : dv_seal_search_reader(eyes);
}

/* -- finding ----------------------------------------------------------------------------------- */

typedef struct found {
    const dv_query *query;
    dv_arena *arena;
    dv_aggregate *aggregate; /* or NULL */
    uint64_t indexes[EVENTS];
    size_t count;
} found;

static size_t event_ends[EVENTS];

static dv_result keep(void *data, uint64_t index, dv_slice entry)
{
    DV_TRY(log_kind == PLAIN ? dv_buf_append(&events, entry)
                             : dv_event_open(subjects, entry, &events));
    event_ends[index] = events.len;
    return DV_OK;
}

static dv_result look(found *f, uint64_t index)
{
    bool matches;
    size_t start = index == 0 ? 0 : event_ends[index - 1];
    dv_query_event event =
        dv_query_event_of(dv_slice_of(events.ptr + start, event_ends[index] - start));
    dv_arena_recycle(f->arena);
    DV_TRY(dv_query_matches(f->query, &event, f->arena, &matches));
    if (matches) {
        f->indexes[f->count++] = index;
    }
    return matches && f->aggregate != NULL ? dv_aggregate_add(f->aggregate, &event, f->arena)
                                           : DV_OK;
}

static void look_at_all(found *f)
{
    if (events.len == 0) {
        events = dv_buf_init(64 << 20);
        assert_int_equal(dv_log_read(folder, EVENTS, 0, EVENTS, keep, NULL, NULL), DV_OK);
    }
    for (uint64_t i = 0; i < EVENTS; i++) {
        assert_int_equal(look(f, i), DV_OK);
    }
}

static dv_result take(void *data, uint64_t index, dv_query_event *event, dv_arena *arena)
{
    found *f = data;
    f->indexes[f->count++] = index;
    return f->aggregate != NULL ? dv_aggregate_add(f->aggregate, event, arena) : DV_OK;
}

static void compare(const char *text, const found *wanted, const found *got, bool backwards)
{
    if (wanted->count != got->count) {
        fail_msg("%s: %zu events are to be found, %zu are", text, wanted->count, got->count);
    }
    for (size_t i = 0; i < wanted->count; i++) {
        uint64_t index = got->indexes[backwards ? wanted->count - 1 - i : i];
        if (wanted->indexes[i] != index) {
            fail_msg("%s: event %llu is to be found, %llu is", text,
                     (unsigned long long)wanted->indexes[i], (unsigned long long)index);
        }
    }
}

static void check_search(const char *text)
{
    static found wanted, got;
    const dv_query *query;
    dv_query_options options = {.now = 0};
    dv_error error = {0};
    dv_search_stats stats;
    dv_auto(arena) dv_arena *memory = dv_arena_new(QUERY_MEMORY);
    dv_auto(arena) dv_arena *arena = dv_arena_new(EVENT_MEMORY);
    if (dv_query_parse(dv_slice_str(text), &options, memory, &query, &error) != DV_OK) {
        fail_msg("%s: %s", text, error.message);
    }
    wanted.query = query;
    wanted.arena = arena;
    wanted.count = 0;
    look_at_all(&wanted);
    static int turn; /* in one direction, then in the other */
    for (int backwards = turn; backwards <= turn; backwards++) {
        dv_search search = {.query = query,
                            .reader = reader(),
                            .size = EVENTS,
                            .from = backwards ? EVENTS : 0,
                            .oldest_first = !backwards,
                            .visit = take,
                            .data = &got};
        got.count = 0;
        assert_int_equal(dv_log_search(folder, &search, &stats, &error), DV_OK);
        assert_true(stats.done);
        assert_int_equal(stats.scanned, EVENTS);
        assert_int_equal(stats.matched, got.count);
        compare(text, &wanted, &got, backwards);
    }
    turn = !turn;
}

static void test_searches(void **state)
{
    static const char *const searches[] = {
        "",
        "alice",
        "ALICE",
        "user:alice",
        "user:Alice",
        "user:dave",
        "user:z\xc3\xbcri",
        "not user:alice",
        "-alice",
        "user:nobody",
        "actor.user.name:alice",
        "actor.user.uid:*",
        "actor.user:*",
        "not actor.user:*",
        "unmapped.none:*",
        "unmapped.empty:*",
        "unmapped.empty.x:*",
        "unmapped.none:null",
        "unmapped.none:1",
        "status:404",
        "http_response.code:404",
        "http_response.code:>=400",
        "http_response.code:[300 TO 400]",
        "http_response.code:300..400",
        "src_endpoint.port:>65000",
        "src_endpoint.port:1000",
        "ip:10.0.0.0/8",
        "ip:2001:db8::/32",
        "not ip:10.0.0.0/8",
        "model:smollm2",
        "model:s*",
        "model:*o",
        "route:chat",
        "group:blue",
        "group:red group:blue",
        "group:red or model:mistral",
        "(user:alice or user:bob) and not status:500",
        "\"came/went\"",
        "twice",
        "time:5",
        "bytes",
        "JSON",
        "true",
        "unmapped.ok:true",
        "unmapped.ratio:>10",
        "unmapped.ratio:1.5",
        "1.5",
        "404",
        "65",
        "00123",
        "0198c0de",
        "0198C0DE-0001",
        "request:0198c0de-0007-7000-8000-0123456789ab",
        "metadata.correlation_uid:0198c0de-0007-7000-8000-0123456789ab",
        "event:request.open",
        "event:request.*",
        "event:lifecycle",
        "time:>1050000",
        "time:>9000000",
        "time:8888000..8889000",
        "time:<1000100",
        "time:[1040000 TO 1041000] user:alice",
        "severity:high",
        "actor.0.user.name:alice",
        "resources.1.name:gpt-4o",
        "message:*alice*",
        "\"eve\\\"x\"",
        "name",
        "6003",
        "not (alice or bob or carol)",
        "user:alice ip:10.0.0.1 status:200 group:green",
        "(erased)",
        "user:\"(erased)\"",
        "not user:\"(erased)\"",
        "src_endpoint.name:*",
        "src_endpoint.name:\"(erased)\"",
        "src_endpoint.ip:*",
        "src_endpoint.port:*",
        "entity.data.size:12",
        "entity.data.who:bob",
        "entity.name:7",
        "entity.name:*",
        "owner:\"User::\\\"bob\\\"\"",
        "user_id:\"User::\\\"alice\\\"\"",
        "user_id:*carol*",
        "resources[user].name:bob",
        "resources[user].name:\"(erased)\"",
        "resources.0.name:bob",
        "target:bob",
        "detail:*10.0.0.1*",
        "seen by alice",
        "~1.AAAAAAAAAAA",
        "operation:~1.AAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "12",
        "0",
        "00",
        "007",
        "10000",
        "05",
        "-1",
        "1-",
        "1000000000000000000000000",
        "1088190",
        "ABCD-0123",
        "7000-8",
        "23456789ab",
        "ab",
        "0198",
        "e",
        "time:1050000",
        "http_response.code:>=299.5",
        "src_endpoint.port:[1000 TO *]",
        "time:<0",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(searches); i++) {
        check_search(searches[i]);
    }
}

static const char *random_term(void)
{
    return ONE_OF("user:alice", "user:bob", "status:200", "status:>=400", "ip:10.0.0.0/8", "blue",
                  "group:red", "model:gpt-4o", "carol", "severity:3", "port:>30000", "actor.user:*",
                  "time:>1020000", "unmapped.ok:true", "request.open", "message:*", "7",
                  "src_endpoint.port:<1024", "event:request.close", "unmapped.none:1");
}

static void test_random_searches(void **state)
{
    for (int i = 0; i < 30; i++) {
        char text[512];
        snprintf(text, sizeof(text), "%s(%s %s %s%s) %s %s%s", ONE_OF("", "not "), random_term(),
                 ONE_OF("or", "and"), ONE_OF("", "-"), random_term(), ONE_OF("or", "and"),
                 ONE_OF("", "not "), random_term());
        check_search(text);
    }
}

/* -- counting ---------------------------------------------------------------------------------- */

static void count_slowly(const dv_query *query, dv_arena *arena, dv_buf *state)
{
    static found f;
    f = (found){.query = query, .arena = arena};
    assert_int_equal(dv_aggregate_new(query, &f.aggregate), DV_OK);
    look_at_all(&f);
    assert_int_equal(dv_aggregate_save(f.aggregate, state), DV_OK);
    dv_aggregate_free(f.aggregate);
}

/* *ret_asked: how many events were put together for it. */
static void count_quickly(const dv_query *query, dv_buf *state, size_t *ret_asked)
{
    static found f;
    dv_error error = {0};
    dv_search_stats stats;
    f = (found){.query = query};
    assert_int_equal(dv_aggregate_new(query, &f.aggregate), DV_OK);
    dv_search search = {.query = query,
                        .reader = reader(),
                        .size = EVENTS,
                        .oldest_first = true,
                        .visit = take,
                        .data = &f,
                        .aggregate = f.aggregate};
    assert_int_equal(dv_log_search(folder, &search, &stats, &error), DV_OK);
    assert_true(stats.done && stats.matched >= f.count);
    assert_int_equal(dv_aggregate_save(f.aggregate, state), DV_OK);
    dv_aggregate_free(f.aggregate);
    *ret_asked = f.count;
}

static size_t check_count(const char *text)
{
    const dv_query *query;
    dv_query_options options = {.now = 0};
    dv_error error = {0};
    size_t asked;
    dv_auto(arena) dv_arena *memory = dv_arena_new(QUERY_MEMORY);
    dv_auto(arena) dv_arena *arena = dv_arena_new(EVENT_MEMORY);
    dv_auto(buf) dv_buf wanted = dv_buf_init(EVENT_MEMORY), got = dv_buf_init(EVENT_MEMORY);
    if (dv_query_parse(dv_slice_str(text), &options, memory, &query, &error) != DV_OK) {
        fail_msg("%s: %s", text, error.message);
    }
    count_slowly(query, arena, &wanted);
    count_quickly(query, &got, &asked);
    if (!dv_slice_eq(dv_buf_slice(&wanted), dv_buf_slice(&got))) {
        fail_msg("%s: columns count otherwise than events do\n%.600s\n%.600s", text,
                 dv_buf_cstr(&wanted), dv_buf_cstr(&got));
    }
    return asked;
}

static void test_counts(void **state)
{
    static const char *const counts[] = {
        "| count",
        "| count by user",
        "| count by user, status over 5s",
        "| sum(src_endpoint.port), avg(unmapped.ratio), p95(src_endpoint.port) by group",
        "| count by unmapped.none, unmapped.empty, unmapped.ok, unmapped.ratio",
        "| min(time), max(time) by severity, class",
        "| count by ip",
        "| count by request | limit 3",
        "| count by model, resources.name",
        "| count by route",
        "| count by resources.1.name, resources[model].name",
        "| count by entity.data.size, entity.data.who, entity.name, owner",
        "| count by src_endpoint.name, src_endpoint.port",
        "| sum(unmapped.m), count by unmapped.m",
        "| count by target, user_id",
        "| count by message over 10s",
        "user:alice | top 5 ip",
        "status:>=400 | sum(status) by actor.user.groups.name",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(counts); i++) {
        (void)check_count(counts[i]);
    }
    /* The block of requests alone is counted without an event. */
    assert_true(check_count("| count by user, group over 1m") < EVENTS - DV_BLOCK_LEAVES);
    assert_int_equal(
        check_count("time:1045000..1080000 event:request.* | count, sum(status) by user"), 0);
}

static void test_random_counts(void **state)
{
    for (int i = 0; i < 20; i++) {
        char text[512];
        snprintf(text, sizeof(text), "%s %s %s | %s, %s by %s, %s%s", random_term(),
                 ONE_OF("or", "and"), random_term(), ONE_OF("count", "sum(port)", "avg(status)"),
                 ONE_OF("p50(port)", "max(unmapped.ratio)", "min(time)"),
                 ONE_OF("user", "group", "severity", "ip", "event", "unmapped.empty"),
                 ONE_OF("status", "model", "unmapped.none", "message", "user_id"),
                 ONE_OF("", " over 7s", " over 1m"));
        (void)check_count(text);
    }
}

/* -- going on ---------------------------------------------------------------------------------- */

typedef struct pager {
    uint64_t last;
    size_t left, seen;
} pager;

static dv_result take_page(void *data, uint64_t index, dv_query_event *event, dv_arena *arena)
{
    pager *p = data;
    assert_true(index < p->last);
    p->last = index;
    p->seen++;
    return --p->left == 0 ? DV_ERR_AGAIN : DV_OK;
}

static void test_pages_join_up(void **state)
{
    const dv_query *query;
    dv_query_options options = {.now = 0};
    dv_search_stats stats = {.next = EVENTS};
    pager p = {.last = EVENTS};
    dv_auto(arena) dv_arena *memory = dv_arena_new(QUERY_MEMORY);
    assert_int_equal(dv_query_parse(DV_LIT("alice"), &options, memory, &query, NULL), DV_OK);
    size_t pages = 0;
    do {
        dv_search search = {.query = query,
                            .reader = reader(),
                            .size = EVENTS,
                            .from = stats.next,
                            .visit = take_page,
                            .data = &p};
        p.left = 7;
        assert_int_equal(dv_log_search(folder, &search, &stats, NULL), DV_OK);
        pages++;
    } while (!stats.done);
    assert_int_equal(pages, p.seen / 7 + 1);
    assert_true(p.seen > 100);
}

static void test_what_was_pruned_is_not_looked_at(void **state)
{
    static found got;
    const dv_query *query;
    dv_query_options options = {.now = 0};
    dv_search_stats stats;
    dv_auto(arena) dv_arena *memory = dv_arena_new(QUERY_MEMORY);
    assert_int_equal(dv_query_parse(DV_LIT(""), &options, memory, &query, NULL), DV_OK);
    for (int backwards = 0; backwards < 2; backwards++) {
        dv_search search = {.query = query,
                            .size = EVENTS,
                            .minimum = DV_BLOCK_LEAVES,
                            .from = backwards ? EVENTS : 0,
                            .oldest_first = !backwards,
                            .visit = take,
                            .data = &got};
        got.count = 0;
        assert_int_equal(dv_log_search(folder, &search, &stats, NULL), DV_OK);
        assert_true(stats.done);
        assert_int_equal(got.count, EVENTS - DV_BLOCK_LEAVES);
    }
}

/* What the files beside the packs say only prunes: without them the same is found. */
static void test_without_a_catalogue(void **state)
{
    static const char *const names[] = {"catalogue.names", "catalogue"};
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        assert_int_equal(truncate(path, 100), 0);
        check_search("user:alice");
        check_search("user_id:\"User::\\\"bob\\\"\"");
        assert_int_equal(unlink(path), 0);
        check_search("user:alice");
        check_search("user:nobody or request:0198c0de-0007-7000-8000-0123456789ab");
    }
}

int main(void)
{
    static const log_kinds kinds[] = {PLAIN, SEALED, ERASED};
    static const char *const names[] = {"plain", "sealed", "erased"};
    int failed = 0;
    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_searches),
            cmocka_unit_test(test_random_searches),
            cmocka_unit_test(test_counts),
            cmocka_unit_test(test_random_counts),
            cmocka_unit_test(test_pages_join_up),
            cmocka_unit_test(test_what_was_pruned_is_not_looked_at),
            cmocka_unit_test(test_without_a_catalogue),
        };
        the_kind = &kinds[i];
        failed += cmocka_run_group_tests_name(names[i], tests, make_log, remove_log);
    }
    return failed;
}
