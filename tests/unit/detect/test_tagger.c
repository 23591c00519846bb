/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/caps.h"
#include "engine/detect/tagger/model.h"
#include "engine/detect/tagger/token.h"

static dv_tagger_model *model;
static dv_tagger *tagger;
static dv_arena *arena;

typedef struct spans {
    const dv_tagger_span *items;
    size_t count;
    size_t hold;
} spans;

static int set_up(void **state)
{
    arena = dv_arena_new(64 << 20);
    return arena != NULL && dv_tagger_model_builtin(&model, NULL) == DV_OK &&
                   dv_tagger_new(model, &tagger) == DV_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    dv_tagger_free(tagger);
    dv_tagger_model_free(model);
    dv_arena_free(arena);
    return 0;
}

static spans find(dv_slice text, size_t from, bool more)
{
    spans found = {0};
    assert_int_equal(dv_tagger_find(tagger, text, from, more, DV_TAGGER_ALL, arena, &found.items,
                                    &found.count, &found.hold),
                     DV_OK);
    return found;
}

/* ---- what is found ---- */

/* A text's spans as "type:text type:text". */
static const char *told(const char *text)
{
    static char line[1024];
    spans found = find(dv_slice_str(text), 0, false);
    size_t len = 0;
    line[0] = '\0';
    for (size_t i = 0; i < found.count; i++) {
        const dv_tagger_span *span = &found.items[i];
        assert_true(span->score >= 1 && span->score <= 100);
        len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%s:%.*s", i == 0 ? "" : "|",
                                dv_tagger_type_name(span->type), (int)(span->end - span->start),
                                text + span->start);
    }
    return line;
}

static void test_names_are_found(void **state)
{
    assert_string_equal(told("I am 34 and live in Pune with my wife Kavita."),
                        "age:34|location:Pune|person:Kavita");
    assert_string_equal(told("hi im priya sharma from mumbai, i work there"),
                        "person:priya sharma|location:mumbai");
    assert_string_equal(told("Ship to Anneliese Kr\xc3\xbcger, Hauptstra\xc3\x9f"
                             "e 12, 80331 M\xc3\xbcnchen, Germany"),
                        "person:Anneliese Kr\xc3\xbcger|address:Hauptstra\xc3\x9f"
                        "e 12, 80331 M\xc3\xbcnchen, Germany");
    assert_string_equal(told("He is a Canadian citizen."), "nrp:Canadian");
}

static void test_ordinary_text_has_none(void **state)
{
    assert_string_equal(told("The quick brown fox jumps over the lazy dog."), "");
    assert_string_equal(told("Please send me the report by tomorrow, thanks a lot!"), "");
    assert_string_equal(told("for (size_t i = 0; i < count; i++) { sum += items[i]; }"), "");
    assert_string_equal(told(""), "");
    assert_string_equal(told(" \t\n.,;"), "");
}

/* Of these the model takes some for names; a name beside them stays one. */
static void test_identifiers_are_no_names(void **state)
{
    assert_string_equal(told("status installed libgmp-dev:amd64 6.2.1\nstatus half-installed "
                             "libxdmcp-dev:amd64 1.1.2, says kavita"),
                        "person:kavita");
    assert_string_equal(told("upgrade libssl3:amd64 3.0.11-1~deb12u1 3.0.11-1~deb12u2"), "");
}

static void test_types_that_are_not_enabled_are_left_out(void **state)
{
    spans found = {0};
    assert_int_equal(dv_tagger_find(tagger, DV_LIT("I am 34 and live in Pune."), 0, false,
                                    1u << DV_TAGGER_LOCATION, arena, &found.items, &found.count,
                                    &found.hold),
                     DV_OK);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.items[0].type, DV_TAGGER_LOCATION);
}

static void test_a_nul_ends_every_span(void **state)
{
    dv_slice text = DV_LIT("Kavita Sharma\0Anita Deshmukh");
    spans found = find(text, 0, false);
    for (size_t i = 0; i < found.count; i++) {
        assert_true(found.items[i].end <= 13 || found.items[i].start >= 14);
    }
}

/* ---- streams ---- */

static bool same(const dv_tagger_span *a, const dv_tagger_span *b, size_t base)
{
    return a->start == b->start + base && a->end == b->end + base && a->type == b->type &&
           a->score == b->score;
}

/* Reads the text as a stream does, in pieces: the same spans come, in the same order. The window
 * that is searched begins DV_TAGGER_CONTEXT bytes before what is held back. */
static void assert_pieces_tell_the_same(dv_slice text, size_t first, size_t piece)
{
    spans whole = find(text, 0, false);
    size_t from = 0;
    size_t next = 0;
    for (size_t end = first;; end += piece) {
        end = DV_MIN(end, text.len);
        size_t base = from > DV_TAGGER_CONTEXT ? from - DV_TAGGER_CONTEXT : 0;
        dv_slice window = dv_slice_sub(text, base, end - base);
        spans part = find(window, from - base, end < text.len);
        for (size_t i = 0; i < part.count; i++, next++) {
            assert_true(next < whole.count && same(&whole.items[next], &part.items[i], base));
        }
        assert_true(part.hold <= window.len && window.len - part.hold <= DV_TAGGER_HELD);
        assert_true(base + part.hold >= from);
        from = base + part.hold;
        if (end == text.len) {
            break;
        }
    }
    assert_int_equal(next, whole.count);
}

static void assert_splits_tell_the_same(dv_slice text)
{
    for (size_t cut = 0; cut <= text.len; cut++) {
        assert_pieces_tell_the_same(text, cut, text.len);
        dv_arena_reset(arena);
    }
    assert_pieces_tell_the_same(text, 1, 1);
    assert_pieces_tell_the_same(text, 7, 7);
    dv_arena_reset(arena);
}

static void test_splits_tell_the_same(void **state)
{
    assert_splits_tell_the_same(
        DV_LIT("Hi, my name is Anita Deshmukh and I ordered a kettle on 4 March 2024. Please send "
               "it to Flat 12, Shanti Residency, Karve Road, Pune 411004; my brother Rohan's "
               "there. I spoke to Mr. Fernandes at Globex Ltd \xe2\x80\x9ctwice\xe2\x80\x9d, in "
               "M\xc3\xbcnchen.\r\n\r\nO'Brien (61) is Irish, don't you know?\n"));
    assert_splits_tell_the_same(DV_LIT("Rahul\0Sharma, \xe2\x80\xa6 \xf0\x9f\x98\x80 Pune \xff\xfe"
                                       " Kavita\xe2\x80 \xe0\xa4\xb0\xe0\xa4\xbe\xe0\xa4\xae'"));
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Words, signs, long gaps and long words in any order. */
static void fill_random(dv_buf *text, uint32_t *seed, size_t len)
{
    static const char *const pieces[] = {
        "Rahul",       "Sharma",       "Pune", "12",      "Baker Street", "the",   "of", "in",
        "Dr",          "2024",         "a",    "Infosys", "Ltd",          "kumar", "'s", "O'Neil",
        "\xc3\x89ric", "\xe2\x80\x9d", "_x",   "B12",
    };
    static const char *const gaps[] = {" ",  " ",    " ", " ", ", ", ". ",
                                       "\n", "\n\n", "-", "/", "",   "@"};
    dv_buf_clear(text);
    while (text->len < len) {
        const char *piece = pieces[next_random(seed) % DV_ARRAY_LEN(pieces)];
        size_t repeat = next_random(seed) % 60 == 0 ? 40 : 1;
        const char *gap = gaps[next_random(seed) % DV_ARRAY_LEN(gaps)];
        for (size_t i = 0; i < repeat; i++) {
            assert_int_equal(dv_buf_append_str(text, repeat > 1 ? "x" : piece), DV_OK);
            assert_int_equal(dv_buf_append_str(text, repeat > 1 && i % 2 == 0 ? "" : gap), DV_OK);
        }
        if (next_random(seed) % 50 == 0) {
            assert_int_equal(dv_buf_append_str(text, "                                     "),
                             DV_OK);
        }
        if (next_random(seed) % 80 == 0) {
            assert_int_equal(dv_buf_append_byte(text, '\0'), DV_OK);
        }
    }
}

static void test_random_pieces_tell_the_same(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 16);
    uint32_t seed = 6;
    for (size_t round = 0; round < 60; round++) {
        fill_random(&text, &seed, 3000);
        assert_pieces_tell_the_same(dv_buf_slice(&text), 1 + next_random(&seed) % 3000,
                                    1 + next_random(&seed) % 400);
        assert_pieces_tell_the_same(dv_buf_slice(&text), 1 + next_random(&seed) % 9, 9);
        dv_arena_reset(arena);
    }
}

static void repeat(dv_buf *text, const char *piece, size_t times)
{
    dv_buf_clear(text);
    for (size_t i = 0; i < times; i++) {
        assert_int_equal(dv_buf_append_str(text, piece), DV_OK);
    }
}

static void test_little_is_held_back(void **state)
{
    static const char *const pieces[] = {"Rahul ", "x",  "Abcdefghij", "12, ",
                                         " ",      "A'", "\xe2\x80"};
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    for (size_t i = 0; i < DV_ARRAY_LEN(pieces); i++) {
        repeat(&text, pieces[i], 20000);
        spans found = find(dv_buf_slice(&text), 0, true);
        assert_true(text.len - found.hold <= DV_TAGGER_HELD);
        dv_arena_reset(arena);
    }
    /* Ordinary text holds back a few words. */
    repeat(&text, "the old harbour has changed more in ten years than in all the time before ", 20);
    assert_true(text.len - find(dv_buf_slice(&text), 0, true).hold < 40);
}

/* ---- limits ---- */

static void test_too_many_spans_are_an_error(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    const dv_tagger_span *items = NULL;
    size_t count = 7;
    size_t hold = 0;
    const char *one = "He is a Canadian citizen.\n\n";
    repeat(&text, one, DV_LIMIT_FINDINGS);
    assert_int_equal(find(dv_buf_slice(&text), 0, false).count, DV_LIMIT_FINDINGS);
    repeat(&text, one, DV_LIMIT_FINDINGS + 1);
    assert_int_equal(dv_tagger_find(tagger, dv_buf_slice(&text), 0, false, DV_TAGGER_ALL, arena,
                                    &items, &count, &hold),
                     DV_ERR_TOO_LARGE);
    assert_true(items == NULL && count == 7);
    dv_auto(arena) dv_arena *small = dv_arena_new(8192);
    assert_int_equal(dv_tagger_find(tagger, dv_buf_slice(&text), 0, false, DV_TAGGER_ALL, small,
                                    &items, &count, &hold),
                     DV_ERR_NO_MEMORY);
    dv_arena_reset(arena);
}

/* ---- the model's file ---- */

enum {
    SMALL = (int)sizeof(dv_tagger_header) + 2 * (DV_TAGGER_LABELS + 1) * DV_TAGGER_LANES +
            DV_TAGGER_TYPES * DV_TAGGER_BINS + 2 * 16 + 2 * 4,
};

typedef struct small_model {
    _Alignas(16) uint8_t bytes[SMALL];
} small_model;

static dv_tagger_header *header_of(small_model *file)
{
    return (void *)file->bytes;
}

static void sign(small_model *file)
{
    size_t head = sizeof(dv_tagger_header);
    header_of(file)->digest = dv_tagger_digest(dv_slice_of(file->bytes + head, SMALL - head));
}

/* The least model: two slots, two words, every label may follow every other. */
static void make_small(small_model *file)
{
    memset(file, 0, sizeof(*file));
    dv_tagger_header header = {
        .magic = "DVTAGGE", .version = DV_TAGGER_VERSION, .slot_bits = 1, .lexicon_bits = 1};
    header.magic[7] = 'R';
    memcpy(file->bytes, &header, sizeof(header));
    int16_t never = DV_TAGGER_NEVER;
    for (size_t from = 0; from <= DV_TAGGER_LABELS; from++) {
        for (size_t to = DV_TAGGER_LABELS; to < DV_TAGGER_LANES; to++) {
            memcpy(file->bytes + sizeof(header) + 2 * (from * DV_TAGGER_LANES + to), &never, 2);
        }
    }
    sign(file);
}

static dv_result open_small(small_model *file, size_t len)
{
    dv_tagger_model *opened = NULL;
    dv_error error = {0};
    dv_result result = dv_tagger_model_open(dv_slice_of(file->bytes, len), &opened, &error);
    assert_true((result == DV_OK) == (opened != NULL));
    assert_true(result == DV_OK || error.message[0] != '\0');
    dv_tagger_model_free(opened);
    return result;
}

static void test_models_are_checked(void **state)
{
    small_model file;
    make_small(&file);
    assert_int_equal(open_small(&file, SMALL), DV_OK);
    for (size_t len = 0; len < SMALL; len++) {
        assert_int_equal(open_small(&file, len), DV_ERR_INVALID);
    }
    for (size_t at = 0; at < SMALL; at++) {
        bool name = at >= offsetof(dv_tagger_header, name) && at < sizeof(dv_tagger_header);
        bool outside =
            at >= offsetof(dv_tagger_header, outside) && at < offsetof(dv_tagger_header, digest);
        make_small(&file);
        file.bytes[at] ^= 0x55;
        if (!name && !outside) {
            assert_int_equal(open_small(&file, SMALL), DV_ERR_INVALID);
        }
    }
}

static void test_numbers_out_of_bounds_are_refused(void **state)
{
    small_model file;
    static const uint32_t bits[] = {0, DV_TAGGER_MAX_BITS + 1, 31, 64, UINT32_MAX};
    for (size_t i = 0; i < DV_ARRAY_LEN(bits); i++) {
        make_small(&file);
        header_of(&file)->slot_bits = bits[i];
        assert_int_equal(open_small(&file, SMALL), DV_ERR_INVALID);
        make_small(&file);
        header_of(&file)->lexicon_bits = bits[i];
        assert_int_equal(open_small(&file, SMALL), DV_ERR_INVALID);
    }
    make_small(&file);
    header_of(&file)->outside = 10001;
    assert_int_equal(open_small(&file, SMALL), DV_ERR_INVALID);
    make_small(&file);
    int16_t weight = 4001;
    memcpy(file.bytes + sizeof(dv_tagger_header), &weight, sizeof(weight));
    sign(&file);
    assert_int_equal(open_small(&file, SMALL), DV_ERR_INVALID);
}

/* ---- tokens ---- */

static void test_tokens(void **state)
{
    dv_tokens reader;
    dv_tagger_token token;
    static const struct {
        const char *word;
        dv_shape shape;
        dv_gap gap;
    } wanted[] = {
        {"Dr", DV_SHAPE_TITLE, DV_GAP_BREAK},          {"O'Brien", DV_SHAPE_MIXED, DV_GAP_STOP},
        {"s", DV_SHAPE_LOWER, DV_GAP_APOSTROPHE},      {"B12", DV_SHAPE_LETTER_FIRST, DV_GAP_SPACE},
        {"x_y", DV_SHAPE_IDENTIFIER, DV_GAP_COMMA},    {"1984", DV_SHAPE_YEAR, DV_GAP_LINE},
        {"\xc3\x89ric", DV_SHAPE_TITLE, DV_GAP_QUOTE}, {"NATO", DV_SHAPE_CAPS, DV_GAP_QUOTE},
        {"end", DV_SHAPE_LOWER, DV_GAP_PARAGRAPH},
    };
    dv_tokens_start(
        &reader, model,
        DV_LIT("Dr. O'Brien's B12, x_y\n1984 \xe2\x80\x9c\xc3\x89ric\xe2\x80\x9d NATO\n\n"
               "end"),
        0, false);
    for (size_t i = 0; i < DV_ARRAY_LEN(wanted); i++) {
        assert_true(dv_tokens_next(&reader, &token));
        dv_slice word = dv_slice_sub(reader.text, token.start, token.end - token.start);
        assert_true(dv_slice_eq_str(word, wanted[i].word));
        assert_int_equal(token.shape, wanted[i].shape);
        assert_int_equal(token.gap, wanted[i].gap);
    }
    assert_false(dv_tokens_next(&reader, &token));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_found),
        cmocka_unit_test(test_ordinary_text_has_none),
        cmocka_unit_test(test_identifiers_are_no_names),
        cmocka_unit_test(test_types_that_are_not_enabled_are_left_out),
        cmocka_unit_test(test_a_nul_ends_every_span),
        cmocka_unit_test(test_splits_tell_the_same),
        cmocka_unit_test(test_random_pieces_tell_the_same),
        cmocka_unit_test(test_little_is_held_back),
        cmocka_unit_test(test_too_many_spans_are_an_error),
        cmocka_unit_test(test_models_are_checked),
        cmocka_unit_test(test_numbers_out_of_bounds_are_refused),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
