/* SPDX-License-Identifier: Apache-2.0 */
/* How fast values are replaced on one core: text, CSV, JSON and a dump with a value in every
 * record; FF1 alone; what decoding adds to a search. */
#include "bench.h"
#include "crypto/ff1.h"
#include "engine/detect/action/transform.h"
#include "engine/detect/decode.h"

enum { SIZE = 8 << 20, FF1_ROUNDS = 100000 };

static const uint8_t key[32] = {1};

static void must(dv_result result)
{
    bench_must("bench_action", result);
}

static dv_result get(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    dv_slice *rest = data;
    *ret_len = DV_MIN(room, rest->len);
    memcpy(out, rest->ptr, *ret_len);
    *rest = dv_slice_sub(*rest, *ret_len, SIZE_MAX);
    return DV_OK;
}

static dv_result put(void *data, dv_slice bytes)
{
    *(uint64_t *)data += bytes.len;
    return DV_OK;
}

static void fill(dv_buf *text, const char *head, const char *record)
{
    must(dv_buf_append_str(text, head));
    while (text->len < SIZE) {
        must(dv_buf_append_str(text, record));
    }
}

static void measure(const char *name, dv_transform_run run, const dv_transform_setup *setup,
                    const char *head, const char *record)
{
    dv_auto(buf) dv_buf text = dv_buf_init((size_t)2 * SIZE);
    uint64_t made = 0;
    dv_error error = {0};
    dv_transform_counts counts;
    fill(&text, head, record);
    must(dv_buf_append_str(&text, run == dv_transform_sql ? "\\.\n" : ""));
    dv_slice rest = dv_buf_slice(&text);
    const dv_walk_source source = {get, &rest};
    const dv_transform_sink sink = {put, &made};
    double start = bench_cpu_time();
    must(run(setup, &source, &sink, &counts, &error));
    bench_row(name, (double)text.len * 1e3 / (bench_cpu_time() - start), "MB/s", 0);
}

static void measure_ff1(void)
{
    dv_auto(ff1) dv_ff1 *ff1 = NULL;
    uint16_t digits[16] = {4, 1, 1, 1};
    must(dv_ff1_new(dv_slice_of(key, sizeof(key)), 10, &ff1));
    double start = bench_cpu_time();
    for (int i = 0; i < FF1_ROUNDS; i++) {
        must(dv_ff1_encrypt(ff1, (dv_slice){NULL, 0}, digits, 16, digits));
    }
    bench_row("action/FF1 of 16 digits", (bench_cpu_time() - start) / FF1_ROUNDS, "ns", 0);
}

static dv_result ignore(void *data, dv_slice text, const dv_finding *finding, uint64_t base)
{
    (void)data, (void)text, (void)finding, (void)base;
    return DV_OK;
}

static void measure_decoding(const char *name, dv_walk walk, const char *record)
{
    dv_auto(buf) dv_buf text = dv_buf_init((size_t)2 * SIZE);
    dv_auto(arena) dv_arena *arena = dv_arena_new(256 << 20);
    fill(&text, "", record);
    dv_slice rest = dv_buf_slice(&text);
    const dv_walk_source source = {get, &rest};
    walk.arena = arena;
    walk.value = ignore;
    walk.also = dv_decode_also;
    walk.also_data = &walk;
    double start = bench_cpu_time();
    must(dv_walk_stream(&walk, &source));
    bench_row(name, (double)text.len * 1e3 / (bench_cpu_time() - start), "MB/s", 0);
}

static void measure_formats(const dv_transform_setup *setup)
{
    measure("action/pseudonyms in prose", dv_transform_text, setup, "",
            "The old harbour has changed more in ten years than in the century before, says "
            "bob@example.com. Where fishing boats lay side by side, there are cafes now, and a "
            "small museum that tells how nets were mended by hand. People miss the noise.\n");
    measure("action/pseudonyms in CSV", dv_transform_csv, setup, "id,name,email,city,notes\n",
            "17,Bob,bob@example.com,Paris,nothing to see here but a few words\n");
    measure("action/pseudonyms in JSON", dv_transform_json, setup, "",
            "{\"id\":17,\"name\":\"Bob\",\"email\":\"bob@example.com\",\"notes\":\"nothing\"}\n");
    measure("action/pseudonyms in SQL", dv_transform_sql, setup,
            "COPY t (id, name, email, notes) FROM stdin;\n",
            "17\tBob\tbob@example.com\tnothing to see here but a few words\n");
}

int main(void)
{
    static const dv_action_rules rules = {.fallback = {.kind = DV_ACT_PSEUDONYM}};
    dv_detect_rules *detectors = NULL;
    dv_detect_scratch *scratch = NULL;
    dv_action_tools *tools = NULL;
    must(dv_detect_rules_builtin(&detectors, NULL));
    must(dv_detect_scratch_new(detectors, &scratch));
    must(dv_action_tools_new(key, NULL, &tools));
    dv_transform_setup setup = {.rules = &rules, .tools = tools};
    setup.walk = (dv_walk){.rules = detectors, .scratch = scratch};
    setup.walk.enabled = *dv_detect_standard();
    measure_ff1();
    measure_formats(&setup);
    measure_decoding("action/decoding prose", setup.walk,
                     "The old harbour has changed more in ten years than in the century before.\n");
    measure_decoding("action/decoding base64", setup.walk,
                     "aGVsbG8gd29ybGQgdGhpcyBpcyBub3RoaW5nIGF0IGFsbCBidXQgd29yZHMu\n");
    dv_action_tools_free(tools);
    dv_detect_scratch_free(scratch);
    dv_detect_rules_free(detectors);
    return 0;
}
