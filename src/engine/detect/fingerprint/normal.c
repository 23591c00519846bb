/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/fingerprint/normal.h"

#define CAPITALS(first) [first] = (first) + 0x20
#define SAME(first) [first] = first

/* What a byte becomes; 0: it stands between words, or is none of ASCII. */
static const uint8_t small[256] = {
    SAME('0'),     SAME('1'),     SAME('2'),     SAME('3'),     SAME('4'),     SAME('5'),
    SAME('6'),     SAME('7'),     SAME('8'),     SAME('9'),     SAME('a'),     SAME('b'),
    SAME('c'),     SAME('d'),     SAME('e'),     SAME('f'),     SAME('g'),     SAME('h'),
    SAME('i'),     SAME('j'),     SAME('k'),     SAME('l'),     SAME('m'),     SAME('n'),
    SAME('o'),     SAME('p'),     SAME('q'),     SAME('r'),     SAME('s'),     SAME('t'),
    SAME('u'),     SAME('v'),     SAME('w'),     SAME('x'),     SAME('y'),     SAME('z'),
    CAPITALS('A'), CAPITALS('B'), CAPITALS('C'), CAPITALS('D'), CAPITALS('E'), CAPITALS('F'),
    CAPITALS('G'), CAPITALS('H'), CAPITALS('I'), CAPITALS('J'), CAPITALS('K'), CAPITALS('L'),
    CAPITALS('M'), CAPITALS('N'), CAPITALS('O'), CAPITALS('P'), CAPITALS('Q'), CAPITALS('R'),
    CAPITALS('S'), CAPITALS('T'), CAPITALS('U'), CAPITALS('V'), CAPITALS('W'), CAPITALS('X'),
    CAPITALS('Y'), CAPITALS('Z'),
};

static bool is_digit(uint8_t letter)
{
    return letter <= '9';
}

/* `len` letters were written; they stand in the input from `from` to `to`. */
static void note_letters(dv_normal *normal, dv_normal_out *out, size_t len, uint64_t from,
                         uint64_t to, bool digit)
{
    if (out->words != NULL) {
        if (!normal->in_word) {
            out->words[out->word_count++] =
                (dv_normal_word){.from = from, .start = (uint16_t)out->len};
        }
        dv_normal_word *word = &out->words[out->word_count - 1];
        word->to = to;
        word->end = (uint16_t)(out->len + len);
        word->digit |= digit;
    }
    out->len += len;
    normal->in_word = true;
    normal->gap = 0;
}

static void put_letter(dv_normal *normal, dv_normal_out *out, uint8_t byte, uint64_t from)
{
    out->text[out->len] = byte;
    note_letters(normal, out, 1, from, from + 1, is_digit(byte));
}

/* Between two words stands one byte, however much there is. */
static void put_space(dv_normal *normal, dv_normal_out *out, uint8_t width, bool ends)
{
    if (normal->in_word) {
        out->text[out->len++] = DV_NORMAL_SPACE;
        normal->in_word = false;
    }
    normal->gap = (uint8_t)DV_MIN(normal->gap + width, DV_NORMAL_GAP);
    if ((ends || normal->gap == DV_NORMAL_GAP) && out->len > 0) {
        out->text[out->len - 1] = DV_NORMAL_BREAK;
    }
}

/* ---- characters of more than one byte ---- */

typedef enum meaning { LETTERS, SPACE, NOTHING } meaning;

/* Of E2 80 xx and E2 81 xx: what has no width, or only turns the line around. */
static bool is_invisible(uint8_t second, uint8_t third)
{
    return second == 0x80 ? (third >= 0x8B && third <= 0x8F) || (third >= 0xAA && third <= 0xAE)
                          : third >= 0xA0 && third <= 0xAF;
}

static meaning meaning_of(const uint8_t *c, size_t len)
{
    if (len == 2 && c[0] == 0xC2) {
        bool letter = c[1] == 0xAA || c[1] == 0xB5 || c[1] == 0xBA;
        return c[1] == 0xAD ? NOTHING : letter ? LETTERS : SPACE;
    }
    if (len == 3 && c[0] == 0xE2 && (c[1] == 0x80 || c[1] == 0x81)) {
        return is_invisible(c[1], c[2]) ? NOTHING : SPACE;
    }
    if (len == 3 && c[0] == 0xEF && c[1] == 0xBB && c[2] == 0xBF) {
        return NOTHING;
    }
    return len == 3 && c[0] == 0xE3 && c[1] == 0x80 && c[2] < 0x84 ? SPACE : LETTERS;
}

static size_t length_of(uint8_t lead)
{
    return lead >= 0xF0 && lead < 0xF8   ? 4
           : lead >= 0xE0 && lead < 0xF0 ? 3
           : lead >= 0xC2 && lead < 0xE0 ? 2
                                         : 1;
}

static bool goes_on(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

static void put_character(dv_normal *normal, dv_normal_out *out, const uint8_t *c, size_t len,
                          uint64_t from)
{
    switch (meaning_of(c, len)) {
    case SPACE:
        put_space(normal, out, (uint8_t)len, false);
        return;
    case NOTHING:
        return;
    case LETTERS:
        break;
    }
    for (size_t i = 0; i < len; i++) {
        bool capital = i == 1 && c[0] == 0xC3 && c[1] >= 0x80 && c[1] <= 0x9E && c[1] != 0x97;
        put_letter(normal, out, (uint8_t)(c[i] + (capital ? 0x20 : 0)), from + i);
    }
}

/* One more byte of a character that has begun, or the first of one. */
static void feed_high(dv_normal *normal, dv_normal_out *out, uint8_t byte, uint64_t at)
{
    uint8_t c[DV_NORMAL_OPEN + 1];
    memcpy(c, normal->open, DV_NORMAL_OPEN);
    size_t have = normal->open_len;
    c[have++] = byte;
    size_t len = length_of(c[0]);
    if (have < len) {
        normal->open[have - 1] = byte;
        normal->open_len = (uint8_t)have;
        return;
    }
    normal->open_len = 0;
    put_character(normal, out, c, have, at - DV_MIN(at, (uint64_t)(have - 1)));
}

/* A character that ends too early is letters. */
static void give_up(dv_normal *normal, dv_normal_out *out, uint64_t at)
{
    for (uint8_t i = 0; i < normal->open_len; i++) {
        uint64_t back = (uint64_t)(normal->open_len - i);
        put_letter(normal, out, normal->open[i], at - DV_MIN(at, back));
    }
    normal->open_len = 0;
}

static void feed_byte(dv_normal *normal, dv_normal_out *out, uint8_t byte, uint64_t at)
{
    if (normal->open_len > 0 && !goes_on(byte)) {
        give_up(normal, out, at);
    }
    if (byte >= 0x80) {
        feed_high(normal, out, byte, at);
        return;
    }
    if (small[byte] != 0) {
        put_letter(normal, out, small[byte], at);
    } else {
        put_space(normal, out, 1, byte == 0);
    }
}

/* The letters of ASCII that the text begins with. */
static size_t feed_letters(dv_normal *normal, dv_slice text, uint64_t at, dv_normal_out *out)
{
    const uint8_t *in = text.ptr;
    uint8_t *letters = out->text + out->len;
    uint8_t least = UINT8_MAX;
    size_t len = 0;
    for (uint8_t letter = 0; len < text.len && (letter = small[in[len]]) != 0; len++) {
        letters[len] = letter;
        least = DV_MIN(least, letter);
    }
    if (len > 0) {
        note_letters(normal, out, len, at, at + len, is_digit(least));
    }
    return len;
}

size_t dv_normal_feed(dv_normal *normal, dv_slice piece, uint64_t at, bool more, dv_normal_out *out)
{
    size_t read = 0;
    /* What is open comes out with the byte that ends it. */
    while (read < piece.len && out->room - out->len > (size_t)normal->open_len + 1) {
        if (normal->open_len == 0) {
            size_t most = out->room - out->len - 1;
            read += feed_letters(normal, dv_slice_sub(piece, read, most), at + read, out);
        }
        if (read < piece.len && out->room - out->len > (size_t)normal->open_len + 1) {
            feed_byte(normal, out, piece.ptr[read], at + read);
            read++;
        }
    }
    if (!more && read == piece.len && out->room - out->len > (size_t)normal->open_len) {
        give_up(normal, out, at + read);
    }
    return read;
}
