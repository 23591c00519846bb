/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the built-in detectors read text on one core: MB/s over plain prose, over chat-like text
 * full of numbers, with one value every 4 KB, and over base64. Usage: bench_detect [FILE]: reads
 * that text too. */

#include "base/file.h"
#include "bench.h"
#include "bench_texts.h"
#include "engine/detect/detect.h"

enum { TEXT_LEN = 1 << 20, ROUNDS = 64 };

/* Of this process: other work on the machine does not count. */
static void fill(dv_buf *text, const char *piece, const char *value, size_t every)
{
    size_t since = 0;
    while (text->len < TEXT_LEN) {
        if (dv_buf_append_str(text, piece) != DV_OK) {
            abort();
        }
        since += strlen(piece);
        if (value != NULL && since >= every) {
            since = 0;
            if (dv_buf_append_str(text, value) != DV_OK) {
                abort();
            }
        }
    }
}

static void repeat(dv_buf *text, const char *piece, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        if (dv_buf_append_str(text, piece) != DV_OK) {
            abort();
        }
    }
}

/* Nanoseconds a byte of a text that says the piece over and over. */
static double nasty_cost(const dv_detect_rules *rules, dv_detect_scratch *scratch,
                         const char *piece)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    dv_auto(buf) dv_buf text = dv_buf_init(2 * TEXT_LEN);
    const dv_finding *found = NULL;
    size_t count = 0;
    repeat(&text, piece, TEXT_LEN / strlen(piece) + 1);
    double start = bench_cpu_time();
    if (dv_detect_scan(rules, scratch, dv_buf_slice(&text), 0, &dv_detect_all, arena, &found,
                       &count) != DV_OK) {
        abort();
    }
    return (bench_cpu_time() - start) / (double)text.len;
}

/* Texts that trigger nearly everywhere, or hold values at whose every byte another one might begin:
 * the slowest of them bounds what a caller can cost. */
static void measure_nasty(const dv_detect_rules *rules, dv_detect_scratch *scratch)
{
    static const char *const pieces[] = {
        "4 ", "1.1.1.", "12-34-56-78-90-", "a@a.", "://a:", "GB29 ", "::1:", "eyJa.eyJ"};
    dv_auto(buf) dv_buf token = dv_buf_init(8192);
    repeat(&token, " eyJhbGciOiJIUzI1NiJ9.", 1);
    repeat(&token, "eyJ", 1000);
    repeat(&token, ".", 1);
    repeat(&token, "eyJ", 600);
    if (dv_buf_append_byte(&token, '\0') != DV_OK) {
        abort();
    }
    double glued = nasty_cost(rules, scratch, (const char *)token.ptr);
    double slowest = glued;
    for (size_t i = 0; i < DV_ARRAY_LEN(pieces); i++) {
        slowest = DV_MAX(slowest, nasty_cost(rules, scratch, pieces[i]));
    }
    bench_row("detect/tokens of prefixes", 1e3 / glued, "MB/s", 0);
    bench_row("detect/nastiest text", 1e3 / slowest, "MB/s", 0);
}

static void fill_base64(dv_buf *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t state = 1;
    while (text->len < TEXT_LEN) {
        state = state * 1664525 + 1013904223;
        if (dv_buf_append_byte(text, (uint8_t)digits[state >> 26]) != DV_OK) {
            abort();
        }
    }
}

static void measure(const char *name, const dv_detect_rules *rules, dv_detect_scratch *scratch,
                    dv_slice text, size_t piece)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    double start = bench_cpu_time();
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t at = 0; at < text.len; at += piece) {
            const dv_finding *found = NULL;
            size_t count = 0;
            dv_slice part = dv_slice_sub(text, at, piece);
            if (dv_detect_scan(rules, scratch, part, 0, &dv_detect_all, arena, &found, &count) !=
                DV_OK) {
                abort();
            }
            dv_arena_reset(arena);
        }
    }
    double seconds = (bench_cpu_time() - start) / 1e9;
    char row[64];
    snprintf(row, sizeof(row), "detect/%s", name);
    bench_row(row, (double)text.len * ROUNDS / 1e6 / seconds, "MB/s", 0);
}

static void measure_hold(const dv_detect_rules *rules, dv_detect_scratch *scratch, const char *tail)
{
    enum { TIMES = 100000 };
    size_t hold = 0;
    double start = bench_cpu_time();
    for (size_t i = 0; i < TIMES; i++) {
        if (dv_detect_hold(rules, scratch, dv_slice_str(tail), 0, &dv_detect_all, NULL, 0, &hold) !=
            DV_OK) {
            abort();
        }
    }
    char row[64];
    snprintf(row, sizeof(row), "detect/hold of '%s'", tail);
    bench_row(row, (bench_cpu_time() - start) / TIMES, "ns", 0);
}

int main(int argc, char **argv)
{
    dv_error error = {0};
    dv_auto(detect_rules) dv_detect_rules *rules = NULL;
    dv_auto(detect_scratch) dv_detect_scratch *scratch = NULL;
    double start = bench_cpu_time();
    if (dv_detect_rules_builtin(&rules, &error) != DV_OK ||
        dv_detect_scratch_new(rules, &scratch) != DV_OK) {
        fprintf(stderr, "bench_detect: %s\n", error.message);
        return 1;
    }
    bench_row("detect/compile", (bench_cpu_time() - start) / 1e6, "ms", 0);

    dv_auto(buf) dv_buf plain = dv_buf_init(2 * TEXT_LEN);
    dv_auto(buf) dv_buf words = dv_buf_init(2 * TEXT_LEN);
    dv_auto(buf) dv_buf mixed = dv_buf_init(2 * TEXT_LEN);
    dv_auto(buf) dv_buf image = dv_buf_init(2 * TEXT_LEN);
    fill(&plain, chat, NULL, 0);
    fill(&words, prose, NULL, 0);
    fill(&mixed, chat, "Write to bob@example.com or pay with 4111 1111 1111 1111. ", 4096);
    fill_base64(&image);
    measure("prose, whole", rules, scratch, dv_buf_slice(&words), TEXT_LEN * 2);
    measure("prose, 2 KB pieces", rules, scratch, dv_buf_slice(&words), 2048);
    measure("chat, whole", rules, scratch, dv_buf_slice(&plain), TEXT_LEN * 2);
    measure("chat, 2 KB pieces", rules, scratch, dv_buf_slice(&plain), 2048);
    measure("chat, 64 byte pieces", rules, scratch, dv_buf_slice(&plain), 64);
    measure("chat, values every 4 KB", rules, scratch, dv_buf_slice(&mixed), TEXT_LEN * 2);
    measure("base64", rules, scratch, dv_buf_slice(&image), TEXT_LEN * 2);
    measure_nasty(rules, scratch);
    measure_hold(rules, scratch, " Hello");
    measure_hold(rules, scratch, " there, ");
    measure_hold(rules, scratch, "call +44 20 7946");

    if (argc > 1) {
        dv_auto(buf) dv_buf file = dv_buf_init(64 << 20);
        if (dv_file_read(argv[1], &file, &error) != DV_OK) {
            fprintf(stderr, "bench_detect: %s\n", error.message);
            return 1;
        }
        measure(argv[1], rules, scratch, dv_buf_slice(&file), 65536);
    }
    return 0;
}
