/* SPDX-License-Identifier: Apache-2.0 */
/* What looking for own data costs: CPU time of the search for a million records, and of a chat body
 * in the gate with it, beside the same body without. */

#include "base/caps.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "engine/detect/fingerprint/build.h"
#include "room/data/gate/data_gate.h"

#include "bench.h"

#include <unistd.h>

enum { RECORDS = 1000000, DOCUMENTS = 200, ROUNDS = 3000, BODY_ROUNDS = 5000, PROSE = 64 << 10 };

static const char prose[] =
    "Sure, here is how the two approaches compare. First, the old scheduler kept one queue for "
    "each worker and moved tasks only when a queue ran empty; in 2019 that cost about 12.5% of "
    "the time. The new one (see section 4.2) shares a ring of 256 slots: `ring[head & 0xff]`. ";

static void must(dv_result result)
{
    bench_must("bench_fingerprint", result);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* A word of small letters. */
static size_t put_word(char *out, size_t len, uint32_t *seed)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (char)('a' + (int)(next_random(seed) % 26));
    }
    out[len] = '\0';
    return len;
}

static void add_records(dv_fingerprint_builder *builder)
{
    uint32_t seed = 1;
    for (int i = 0; i < RECORDS; i++) {
        char first[16], last[16], account[32];
        uint32_t name = next_random(&seed) % 5000;
        (void)put_word(first, 4 + name % 5, &name);
        (void)put_word(last, 6 + next_random(&seed) % 5, &seed);
        (void)snprintf(account, sizeof(account), "DE%02d %08u %07d", i % 97, next_random(&seed), i);
        const dv_slice cells[] = {dv_slice_str(first), dv_slice_str(last), dv_slice_str(account)};
        must(dv_fingerprint_add_record(builder, cells));
    }
}

static void add_documents(dv_fingerprint_builder *builder)
{
    uint32_t seed = 2;
    for (int i = 0; i < DOCUMENTS; i++) {
        for (int word = 0; word < 5000; word++) {
            char text[16];
            size_t len = put_word(text, 2 + next_random(&seed) % 8, &seed);
            text[len] = ' ';
            must(dv_fingerprint_add_text(builder, dv_slice_of(text, len + 1)));
        }
        must(dv_fingerprint_end_document(builder, DV_LIT("document")));
    }
}

static void build(bool table, dv_buf *file)
{
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = NULL;
    dv_fingerprint_rules rules = dv_fingerprint_rules_default;
    if (table) {
        rules.columns[0] = "first";
        rules.columns[1] = "last";
        rules.columns[2] = "account";
        rules.column_count = 3;
        rules.alone = 1U << 2;
        rules.least = 2;
    }
    double start = bench_cpu_time();
    must(dv_fingerprint_builder_new(&rules, &builder, NULL));
    if (table) {
        add_records(builder);
    } else {
        add_documents(builder);
    }
    must(dv_fingerprint_build(builder, file, NULL));
    const char *what = table ? "fingerprint/make, 1M records" : "fingerprint/make, 200 documents";
    bench_row(what, (bench_cpu_time() - start) / 1e9, "s", 0);
    bench_row(table ? "fingerprint/file, 1M records" : "fingerprint/file, 200 documents",
              (double)file->len / 1e6, "MB", 0);
}

static dv_result ignore(void *data, const dv_fingerprint_hit *hit)
{
    ++*(size_t *)data;
    return DV_OK;
}

/* Text that repeats itself would be in the caches: words of which each is another. */
static void make_text(char *text, size_t len)
{
    uint32_t seed = 3;
    for (size_t at = 0; at < len;) {
        size_t word = DV_MIN(2 + next_random(&seed) % 8, len - at);
        for (size_t i = 0; i < word; i++) {
            text[at++] = (char)('a' + (int)(next_random(&seed) % 26));
        }
        if (at < len) {
            text[at++] = ' ';
        }
    }
}

static void measure_search(const char *name, const dv_fingerprint_set *set)
{
    static char text[PROSE];
    dv_auto(fingerprint_matcher) dv_fingerprint_matcher *matcher = NULL;
    dv_auto(free) dv_fingerprint_state *state = malloc(dv_fingerprint_state_size(1));
    size_t hits = 0;
    const dv_fingerprint_job job = {
        .sets = &set, .set_count = 1, .enabled = 1, .told = ignore, .data = &hits};
    must(state == NULL ? DV_ERR_NO_MEMORY : dv_fingerprint_matcher_new(&matcher));
    make_text(text, sizeof(text));
    double start = bench_cpu_time();
    for (int i = 0; i < ROUNDS; i++) {
        dv_fingerprint_state_init(state, 1);
        must(dv_fingerprint_find(matcher, &job, state,
                                 dv_slice_of(text + (size_t)(i % 32) * 1024, 32 << 10), NULL));
    }
    bench_row(name, (bench_cpu_time() - start) / ROUNDS / 32 / 1e3, "us/KB", 0);
}

static void measure_open(const char *path)
{
    dv_fingerprint_set *set = NULL;
    double start = bench_cpu_time();
    must(dv_fingerprint_set_open(path, &set, NULL));
    bench_row("fingerprint/open, 1M records", (bench_cpu_time() - start) / 1e6, "ms", 0);
    dv_fingerprint_set_close(set);
}

/* ---- in the gate ---- */

static double measure_body(dv_data_gate *gate, const char *policy_json)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH,
                                          .tokens = DV_LIMIT_JSON_TOKENS};
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    dv_auto(buf) dv_buf body = dv_buf_init(1 << 20);
    dv_data_policy *policy = NULL;
    must(dv_data_policy_parse(gate, dv_slice_str(policy_json), &policy, NULL));
    must(dv_buf_append_str(&body, "{\"messages\":[{\"role\":\"user\",\"content\":\""));
    while (body.len < 1700) {
        must(dv_buf_append_str(&body, prose));
    }
    must(dv_buf_append_str(&body, "\"}]}"));
    double start = bench_cpu_time();
    for (size_t i = 0; i < BODY_ROUNDS; i++) {
        dv_json json;
        dv_data_context *context = NULL;
        dv_data_outcome outcome = {0};
        dv_verdict verdict = {0};
        must(dv_json_scan(dv_buf_slice(&body), &limits, arena, &json, NULL));
        must(dv_data_context_new(gate, DV_LIT("User::\"bench\""), arena, &context));
        must(dv_data_gate_answer(gate, policy, context, &json, arena, &outcome, &verdict));
        dv_arena_reset(arena);
    }
    double cost = (bench_cpu_time() - start) / BODY_ROUNDS / 1e3;
    dv_data_policy_free(policy);
    return cost;
}

static void measure_gate(const char *path, const dv_buf *file)
{
    static const uint8_t key[32] = {1};
    dv_data_gate *gate = NULL;
    char json[1024];
    dv_auto(buf) dv_buf id = dv_buf_init(256);
    must(dv_hex_encode(dv_slice_of(file->ptr + file->len - 32, 32), &id));
    (void)snprintf(json, sizeof(json),
                   "{\"default\":\"mask\",\"decode\":true,\"fingerprints\":[{\"name\":\"a\","
                   "\"file\":\"%s\",\"id\":\"%s\",\"action\":\"monitor\"}]}",
                   path, dv_buf_cstr(&id));
    must(dv_data_gate_new(key, NULL, &gate, NULL));
    double without = measure_body(gate, "{\"default\":\"mask\",\"decode\":true}");
    double with = measure_body(gate, json);
    bench_row("fingerprint/answer, 1.7 KB, no set", without, "us", 0);
    bench_row("fingerprint/answer, 1.7 KB, 1M records", with, "us", with / without);
    dv_data_gate_free(gate);
}

int main(void)
{
    char path[] = "/tmp/dvara-bench-XXXXXX";
    dv_auto(buf) dv_buf table = dv_buf_init(1U << 30);
    dv_auto(buf) dv_buf documents = dv_buf_init(1U << 30);
    dv_fingerprint_set *set = NULL;
    int fd = mkstemp(path);
    build(true, &table);
    build(false, &documents);
    must(fd < 0 ? DV_ERR_IO : dv_fd_write_all(fd, dv_buf_slice(&table)));
    (void)close(fd);
    measure_open(path);
    must(dv_fingerprint_set_open(path, &set, NULL));
    measure_search("fingerprint/search, 1M records", set);
    dv_fingerprint_set_close(set);
    must(dv_fingerprint_set_of(dv_buf_slice(&documents), &set, NULL));
    measure_search("fingerprint/search, 200 documents", set);
    dv_fingerprint_set_close(set);
    measure_gate(path, &table);
    (void)unlink(path);
    return 0;
}
