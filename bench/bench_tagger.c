/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the tagger reads text on one core, of its own CPU time: chat, prose, support tickets
 * full of names and addresses, a form, base64, and the slowest text we know (all capitals and
 * numbers). Usage: bench_tagger [FILE]: reads that text too. */

#include "base/file.h"
#include "bench.h"
#include "bench_texts.h"
#include "engine/detect/tagger/tagger.h"

enum { TEXT_LEN = 1 << 20, ROUNDS = 24, PIECE = 2048 };

static const char ticket[] =
    "Hi, my name is Anita Deshmukh and I ordered a kettle on 4 March 2024 that never came. Please "
    "send it to Flat 12, Shanti Residency, Karve Road, Pune 411004 instead; my brother Rohan will "
    "be there. I spoke to Mr. Fernandes at Globex Ltd twice, and he said that it had been lost "
    "near Nagpur. I am 61 and can't come to the shop myself, so I would be glad of a call.\n\n";

static void fill(dv_buf *text, const char *piece)
{
    while (text->len < TEXT_LEN) {
        if (dv_buf_append_str(text, piece) != DV_OK) {
            abort();
        }
    }
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

static void measure(const char *name, dv_tagger *tagger, dv_slice text)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    size_t spans = 0;
    double start = bench_cpu_time();
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t at = 0; at < text.len; at += PIECE) {
            const dv_tagger_span *found = NULL;
            size_t count = 0;
            size_t hold = 0;
            if (dv_tagger_find(tagger, dv_slice_sub(text, at, PIECE), 0, false, DV_TAGGER_ALL,
                               arena, &found, &count, &hold) != DV_OK) {
                abort();
            }
            spans += count;
            dv_arena_reset(arena);
        }
    }
    double spent = bench_cpu_time() - start;
    bench_row(name, 1e3 * (double)text.len * ROUNDS / spent, "MB/s", 0);
    fprintf(stderr, "%s: %.1f spans a KB\n", name,
            (double)spans * 1024 / ROUNDS / (double)text.len);
}

static void measure_piece(const char *name, dv_tagger *tagger, const char *piece)
{
    dv_auto(buf) dv_buf text = dv_buf_init(2 * TEXT_LEN);
    fill(&text, piece);
    measure(name, tagger, dv_buf_slice(&text));
}

int main(int argc, char **argv)
{
    dv_error error = {0};
    dv_auto(tagger_model) dv_tagger_model *model = NULL;
    dv_auto(tagger) dv_tagger *tagger = NULL;
    dv_auto(buf) dv_buf text = dv_buf_init(64 << 20);
    if (dv_tagger_model_builtin(&model, &error) != DV_OK ||
        dv_tagger_new(model, &tagger) != DV_OK) {
        fprintf(stderr, "bench_tagger: %s\n", error.message);
        return 1;
    }
    measure_piece("tagger/chat", tagger, chat);
    measure_piece("tagger/prose", tagger, prose);
    measure_piece("tagger/tickets", tagger, ticket);
    measure_piece("tagger/capitals and numbers", tagger, "Xy A1 7 B Zq. ");
    measure_piece("tagger/lists of names", tagger, "Rahul Sharma, 12 Baker Street, Pune; ");
    fill_base64(&text);
    measure("tagger/base64", tagger, dv_buf_slice(&text));
    if (argc > 1) {
        dv_buf_clear(&text);
        if (dv_file_read(argv[1], &text, &error) != DV_OK) {
            fprintf(stderr, "bench_tagger: %s\n", error.message);
            return 1;
        }
        measure("tagger/file", tagger, dv_buf_slice(&text));
    }
    return 0;
}
