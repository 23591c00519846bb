/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the data path's JSON scanner is, beside jansson's parser on the same texts in the same
 * run. Prints one line a text: name, bytes, GB/s of each, ratio. */
#include "base/clock.h"
#include "base/json.h"
#include "bench.h"

#include <jansson.h>

enum { TEXT_MAX = 4 << 20, ROUNDS = 7 };

static const double seconds_a_round = 0.05;

static dv_result make_chat(dv_buf *out)
{
    DV_TRY(dv_buf_append_str(out, "{\"model\":\"smollm2\",\"temperature\":0.7,\"max_tokens\":256,"
                                  "\"stream\":false,\"messages\":[{\"role\":\"system\",\"content\":"
                                  "\"You are a helpful assistant.\"}"));
    for (int i = 0; i < 8; i++) {
        DV_TRY(dv_buf_append_printf(
            out,
            ",{\"role\":\"%s\",\"content\":\"Turn %d: please explain how the gate treats a card "
            "number, and why.\\nA second line follows; it says \\\"quoted\\\" once, and then goes "
            "on for a while so that the whole body comes to two thousand bytes.\"}",
            i % 2 == 0 ? "user" : "assistant", i));
    }
    return dv_buf_append_str(out, "]}");
}

static dv_result make_prompt(dv_buf *out, const char *line)
{
    DV_TRY(dv_buf_append_str(out, "{\"model\":\"smollm2\",\"messages\":[{\"role\":\"user\","
                                  "\"content\":\""));
    while (out->len < 1 << 20) {
        DV_TRY(dv_buf_append_str(out, line));
    }
    return dv_buf_append_str(out, "\"}]}");
}

static dv_result make_english(dv_buf *out)
{
    return make_prompt(out,
                       "The quick brown fox jumps over the lazy dog, and the dog, who has seen "
                       "this many times before, does not look up.\\n");
}

static dv_result make_hindi(dv_buf *out)
{
    return make_prompt(out, "\xe0\xa4\xa6\xe0\xa5\x8d\xe0\xa4\xb5\xe0\xa4\xbe\xe0\xa4\xb0 "
                            "\xe0\xa4\x95\xe0\xa5\x80 \xe0\xa4\xb0\xe0\xa4\x95\xe0\xa5\x8d"
                            "\xe0\xa4\xb7\xe0\xa4\xbe\\n");
}

static dv_result make_embeddings(dv_buf *out)
{
    uint64_t state = 1;
    DV_TRY(dv_buf_append_str(out, "{\"object\":\"list\",\"data\":[{\"embedding\":["));
    for (int i = 0; i < 65536; i++) {
        state = state * 6364136223846793005 + 1442695040888963407;
        DV_TRY(dv_buf_append_printf(out, "%s%.9f", i == 0 ? "" : ",",
                                    (double)(int32_t)(state >> 32) / 4294967296.0));
    }
    return dv_buf_append_str(out, "]}]}");
}

static bool scan_ours(dv_slice text, dv_arena *arena)
{
    static const dv_json_limits limits = {
        .depth = 64, .tokens = 1 << 20, .refuse_duplicate_keys = true, .skip_array_scalars = true};
    dv_json json;
    dv_result result = dv_json_scan(text, &limits, arena, &json, NULL);
    dv_arena_reset(arena);
    return result == DV_OK;
}

static bool scan_jansson(dv_slice text, dv_arena *arena)
{
    json_t *json = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    bool ok = json != NULL;
    json_decref(json);
    return ok;
}

/* The best of some rounds, in GB/s; 0 when the text was refused. */
static double measure(bool (*run)(dv_slice text, dv_arena *arena), dv_slice text, dv_arena *arena)
{
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        dv_time start = dv_time_monotonic();
        dv_time spent = 0;
        uint64_t times = 0;
        while (spent < (dv_time)(seconds_a_round * (double)DV_SECOND)) {
            for (int i = 0; i < 8; i++, times++) {
                if (!run(text, arena)) {
                    return 0;
                }
            }
            spent = dv_time_monotonic() - start;
        }
        double rate = (double)(times * text.len) / (double)spent;
        best = DV_MAX(best, rate);
    }
    return best;
}

static dv_result bench(const char *name, dv_result (*make)(dv_buf *out))
{
    dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX);
    DV_TRY(make(&text));
    dv_auto(arena) dv_arena *arena = dv_arena_new(256 << 20);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    double ours = measure(scan_ours, dv_buf_slice(&text), arena);
    double theirs = measure(scan_jansson, dv_buf_slice(&text), arena);
    if (ours == 0 || theirs == 0) {
        return DV_ERR_INVALID;
    }
    char row[64];
    snprintf(row, sizeof(row), "json/%s", name);
    bench_row(row, ours, "GB/s", ours / theirs);
    return DV_OK;
}

int main(void)
{
    static const struct {
        const char *name;
        dv_result (*make)(dv_buf *out);
    } texts[] = {{"chat-2k", make_chat},
                 {"prompt-1m", make_english},
                 {"prompt-1m-hi", make_hindi},
                 {"embeddings", make_embeddings}};
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        dv_result result = bench(texts[i].name, texts[i].make);
        if (result != DV_OK) {
            fprintf(stderr, "bench_json: %s: %s\n", texts[i].name, dv_result_name(result));
            return 1;
        }
    }
    return 0;
}
