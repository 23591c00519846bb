/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/tagger/token.h"

/* ---- bytes ---- */

enum { UPPER = 1, LOWER = 2, DIGIT = 4, UNDERSCORE = 8, HIGH = 16 };

#define TEN(x) x, x, x, x, x, x, x, x, x, x
#define LETTERS(x) TEN(x), TEN(x), x, x, x, x, x, x
#define SIXTEEN(x) TEN(x), x, x, x, x, x, x

/* What a byte is within a word; 0: it ends one. */
static const uint8_t kinds[256] = {
    ['0'] = TEN(DIGIT),     ['A'] = LETTERS(UPPER), ['_'] = UNDERSCORE, ['a'] = LETTERS(LOWER),
    [0x80] = SIXTEEN(HIGH), SIXTEEN(HIGH),          SIXTEEN(HIGH),      SIXTEEN(HIGH),
    SIXTEEN(HIGH),          SIXTEEN(HIGH),          SIXTEEN(HIGH),      SIXTEEN(HIGH),
};

/* Of the signs that tell something. The strongest decides: a line end outranks a comma. */
static const uint8_t signs[128] = {
    [','] = DV_GAP_COMMA,       ['.'] = DV_GAP_STOP,        ['!'] = DV_GAP_EXCLAMATION,
    ['?'] = DV_GAP_EXCLAMATION, ['-'] = DV_GAP_DASH,        [':'] = DV_GAP_COLON,
    [';'] = DV_GAP_SEMICOLON,   ['/'] = DV_GAP_SLASH,       ['\\'] = DV_GAP_SLASH,
    ['@'] = DV_GAP_AT,          ['('] = DV_GAP_OPEN,        ['['] = DV_GAP_OPEN,
    ['{'] = DV_GAP_OPEN,        ['<'] = DV_GAP_OPEN,        [')'] = DV_GAP_CLOSE,
    [']'] = DV_GAP_CLOSE,       ['}'] = DV_GAP_CLOSE,       ['>'] = DV_GAP_CLOSE,
    ['"'] = DV_GAP_QUOTE,       ['\''] = DV_GAP_APOSTROPHE, ['`'] = DV_GAP_QUOTE,
    ['#'] = DV_GAP_HASH,        ['&'] = DV_GAP_AMPERSAND,   ['='] = DV_GAP_EQUALS,
    ['|'] = DV_GAP_CELL,        ['\t'] = DV_GAP_CELL,
};

/* Bytes of the sign of Unicode that stands here, 0: a letter. Good enough for where words end: the
 * blocks of punctuation and symbols, the rest are letters. */
static size_t sign_length(const uint8_t *p, size_t left)
{
    if (left >= 2 && p[0] == 0xc2 && p[1] <= 0xbf) {
        return 2;
    }
    if (left >= 3 && ((p[0] == 0xe2 && p[1] <= 0xaf) || (p[0] == 0xe3 && p[1] == 0x80) ||
                      (p[0] == 0xe0 && p[1] == 0xa5 && (p[2] == 0xa4 || p[2] == 0xa5)))) {
        return 3;
    }
    return left >= 4 && p[0] == 0xf0 && p[1] == 0x9f ? 4 : 0;
}

/* Quotes and dashes of Unicode as what they are in ASCII. */
static uint8_t sign_gap(const uint8_t *p, size_t length)
{
    if (length == 3 && p[0] == 0xe2 && p[1] == 0x80) {
        switch (p[2]) {
        case 0x90 ... 0x95:
            return DV_GAP_DASH;
        case 0x98 ... 0x9b:
            return DV_GAP_APOSTROPHE;
        case 0x9c ... 0x9f:
            return DV_GAP_QUOTE;
        case 0xa8 ... 0xa9:
            return DV_GAP_LINE;
        case 0x80 ... 0x8f:
        case 0xaf:
            return DV_GAP_SPACE;
        default:
            return DV_GAP_SIGN;
        }
    }
    return length == 2 && p[1] == 0xa0 ? DV_GAP_SPACE : DV_GAP_SIGN;
}

/* ---- gaps ---- */

typedef struct gap_state {
    unsigned lines;
    bool white;
    uint8_t sign;
} gap_state;

static uint8_t gap_class(const gap_state *gap)
{
    if (gap->lines > 1) {
        return DV_GAP_PARAGRAPH;
    }
    if (gap->lines == 1) {
        return DV_GAP_LINE;
    }
    switch (gap->sign) {
    case 0:
        return gap->white ? DV_GAP_SPACE : DV_GAP_TIGHT;
    case DV_GAP_STOP:
        return gap->white ? DV_GAP_STOP : DV_GAP_STOP_TIGHT;
    case DV_GAP_DASH:
        return gap->white ? DV_GAP_DASH : DV_GAP_HYPHEN_TIGHT;
    case DV_GAP_COLON:
        return gap->white ? DV_GAP_COLON : DV_GAP_COLON_TIGHT;
    case DV_GAP_SIGN:
        return gap->white ? DV_GAP_SIGN : DV_GAP_TIGHT;
    default:
        return gap->sign;
    }
}

/* Takes one sign of a gap in: the first that tells something decides, and line ends. */
static size_t read_sign(const uint8_t *p, size_t left, gap_state *gap)
{
    size_t length = 1;
    uint8_t sign = DV_GAP_SIGN;
    if (*p == ' ' || *p == '\r') {
        gap->white = true;
        return 1;
    }
    if (*p == '\n') {
        gap->lines++;
        return 1;
    }
    if (*p >= 0x80) {
        length = sign_length(p, left);
        sign = sign_gap(p, length);
    } else if (signs[*p] != 0) {
        sign = signs[*p];
    }
    if (sign == DV_GAP_SPACE) {
        gap->white = true;
    } else if (sign == DV_GAP_LINE) {
        gap->lines++;
    } else if (gap->sign == 0 || gap->sign == DV_GAP_SIGN) {
        gap->sign = sign;
    }
    return length;
}

static bool starts_word(const uint8_t *p, size_t left)
{
    return kinds[*p] != 0 && (*p < 0x80 || sign_length(p, left) == 0);
}

/* Reads to the next word, or to the end; its class, DV_GAP_BREAK where the context ends. */
static uint8_t read_gap(dv_tokens *t)
{
    const uint8_t *text = t->text.ptr;
    size_t start = t->at;
    gap_state gap = {0, false, 0};
    /* Most gaps are one space. */
    if (t->at + 1 < t->text.len && text[t->at] == ' ' && kinds[text[t->at + 1]] != 0 &&
        text[t->at + 1] < 0x80) {
        t->at++;
        return DV_GAP_SPACE;
    }
    while (t->at < t->text.len && !starts_word(text + t->at, t->text.len - t->at)) {
        t->broken |= text[t->at] == '\0';
        t->at += read_sign(text + t->at, t->text.len - t->at, &gap);
    }
    t->broken |= t->at - start > DV_GAP_MAX;
    return gap_class(&gap);
}

/* ---- words ---- */

typedef struct word_state {
    uint8_t kinds; /* of all its bytes */
    size_t uppers;
} word_state;

/* An apostrophe within a word: O'Brien, don't; not the one of "Anna's". */
static bool joins(const dv_tokens *t, size_t at)
{
    const uint8_t *p = t->text.ptr + at;
    size_t left = t->text.len - at;
    if (*p != '\'' || left < 2 || (kinds[p[1]] & (UPPER | LOWER)) == 0) {
        return false;
    }
    return !((p[1] | 0x20) == 's' && (left < 3 || kinds[p[2]] == 0));
}

/* The end of the word that begins at `at`. */
static size_t read_word(const dv_tokens *t, size_t at, word_state *word)
{
    const uint8_t *text = t->text.ptr;
    size_t len = t->text.len;
    for (;;) {
        uint8_t kind = 0;
        while (at < len && (kind = kinds[text[at]]) != 0 && kind != HIGH) {
            word->kinds |= kind;
            word->uppers += kind & UPPER;
            at++;
        }
        if (at >= len) {
            return len;
        }
        if (kind == HIGH && sign_length(text + at, len - at) == 0) {
            word->kinds |= HIGH;
            at++;
        } else if (kind == 0 && joins(t, at)) {
            at++;
        } else {
            return at;
        }
    }
}

/* Is the first letter a capital beyond ASCII: of Latin-1, or of Latin Extended-A? */
static bool starts_capital(const uint8_t *p, size_t length)
{
    if (length < 2 || p[0] < 0xc3 || p[0] > 0xc5) {
        return false;
    }
    if (p[0] == 0xc3) {
        return p[1] <= 0x9e;
    }
    if (p[0] == 0xc5 && ((p[1] >= 0x81 && p[1] <= 0x88) || p[1] >= 0xb9)) {
        return (p[1] & 1) != 0;
    }
    return (p[1] & 1) == 0;
}

static uint8_t digits_shape(const uint8_t *p, size_t length)
{
    static const uint8_t by_length[] = {DV_SHAPE_NONE,     DV_SHAPE_DIGITS_1, DV_SHAPE_DIGITS_2,
                                        DV_SHAPE_DIGITS_3, DV_SHAPE_DIGITS_4, DV_SHAPE_DIGITS_5,
                                        DV_SHAPE_DIGITS_6};
    if (length == 4 && ((p[0] == '1' && p[1] == '9') || (p[0] == '2' && p[1] == '0'))) {
        return DV_SHAPE_YEAR;
    }
    return length < DV_ARRAY_LEN(by_length) ? by_length[length] : DV_SHAPE_DIGITS;
}

static uint8_t word_shape(const uint8_t *p, size_t length, const word_state *word)
{
    bool capital = (kinds[p[0]] & UPPER) != 0;
    if (word->kinds == DIGIT) {
        return digits_shape(p, length);
    }
    if ((word->kinds & UNDERSCORE) != 0) {
        return DV_SHAPE_IDENTIFIER;
    }
    if ((word->kinds & DIGIT) != 0) {
        return kinds[p[0]] == DIGIT ? DV_SHAPE_DIGIT_FIRST : DV_SHAPE_LETTER_FIRST;
    }
    if (word->uppers == 0) {
        if (starts_capital(p, length)) {
            return DV_SHAPE_TITLE;
        }
        return word->kinds == HIGH && p[0] > 0xc5 ? DV_SHAPE_FOREIGN : DV_SHAPE_LOWER;
    }
    if (length == 1) {
        return DV_SHAPE_SINGLE;
    }
    if (word->uppers == length) {
        return DV_SHAPE_CAPS;
    }
    return capital && word->uppers == 1 ? DV_SHAPE_TITLE : DV_SHAPE_MIXED;
}

/* Up to eight bytes, those behind `length` zero. */
static uint64_t load(const dv_tokens *t, size_t at, size_t length)
{
    uint64_t word = 0;
    if (at + sizeof(word) <= t->text.len) {
        memcpy(&word, t->text.ptr + at, sizeof(word));
    } else {
        memcpy(&word, t->text.ptr + at, length);
    }
    return length >= sizeof(word) ? word : word & ((UINT64_C(1) << (8 * length)) - 1);
}

#define FOLD UINT64_C(0x2020202020202020) /* makes letters of ASCII and Latin-1 small */
#define MIX UINT64_C(0x9e3779b97f4a7c15)

static uint64_t hash_word(const dv_tokens *t, size_t start, size_t length)
{
    uint64_t hash = length * MIX;
    for (size_t i = 0; i < length; i += 8) {
        uint64_t part = load(t, start + i, DV_MIN(length - i, (size_t)8)) | FOLD;
        hash = (hash ^ part) * MIX;
        hash ^= hash >> 29;
    }
    hash *= MIX;
    return hash ^ (hash >> 32);
}

/* ---- which words are looked at ---- */

static bool begins_sentence(uint8_t gap)
{
    return gap == DV_GAP_BREAK || gap == DV_GAP_STOP || gap == DV_GAP_EXCLAMATION ||
           gap == DV_GAP_LINE || gap == DV_GAP_PARAGRAPH;
}

static bool is_candidate(const dv_tagger_token *token, const uint8_t *text)
{
    enum {
        NAMES = DV_WORD_FIRST | DV_WORD_LAST | DV_WORD_PLACE | DV_WORD_COUNTRY | DV_WORD_PEOPLE
    };
    switch (token->shape) {
    case DV_SHAPE_LOWER:
    case DV_SHAPE_FOREIGN:
        return (token->classes & NAMES) != 0 && (token->classes & DV_WORD_COMMON) == 0;
    case DV_SHAPE_TITLE:
        return token->classes != DV_WORD_COMMON || !begins_sentence(token->gap);
    case DV_SHAPE_SINGLE:
        return text[token->start] != 'I' && text[token->start] != 'A';
    case DV_SHAPE_DIGIT_FIRST:
        return token->end - token->start <= 6;
    case DV_SHAPE_LETTER_FIRST:
        return token->end - token->start <= 4;
    case DV_SHAPE_DIGITS_1:
    case DV_SHAPE_DIGITS_2:
    case DV_SHAPE_DIGITS_3: /* behind a decimal point or of a time; a date's others bring it in */
        return token->gap != DV_GAP_STOP_TIGHT && token->gap != DV_GAP_COLON_TIGHT;
    case DV_SHAPE_IDENTIFIER:
    case DV_SHAPE_DIGITS:
        return false;
    default:
        return true;
    }
}

/* ---- reading ---- */

void dv_tokens_start(dv_tokens *tokens, const dv_tagger_model *model, dv_slice text, size_t from,
                     bool more)
{
    *tokens = (dv_tokens){model, text, from, more, true};
    if (from > 0) {
        word_state word = {0, 0};
        tokens->at = read_word(tokens, from, &word);
    }
}

static void describe(const dv_tokens *t, size_t start, size_t end, const word_state *word,
                     dv_tagger_token *ret_token)
{
    size_t length = end - start;
    uint64_t first = load(t, start, DV_MIN(length, (size_t)3));
    uint64_t last = load(t, length > 3 ? end - 3 : start, DV_MIN(length, (size_t)3));
    ret_token->start = (uint32_t)start;
    ret_token->end = (uint32_t)end;
    ret_token->shape = word_shape(t->text.ptr + start, length, word);
    ret_token->prefix = (uint32_t)((first | FOLD) & 0xffffff);
    ret_token->suffix = (uint32_t)((last | FOLD) & 0xffffff);
    ret_token->classes = 0;
    if (ret_token->shape >= DV_SHAPE_DIGITS_1 && ret_token->shape <= DV_SHAPE_DIGITS) {
        ret_token->hash = ret_token->shape * MIX;
        return;
    }
    ret_token->hash = hash_word(t, start, length);
    ret_token->classes = dv_tagger_classes(t->model, ret_token->hash);
}

/* May the word that ends at `end` go on, or end elsewhere, when text follows? Signs of Unicode take
 * up to four bytes, and an apostrophe looks two ahead. */
static bool is_open(const dv_tokens *t, size_t end)
{
    return t->more && end + 4 > t->text.len;
}

bool dv_tokens_next(dv_tokens *tokens, dv_tagger_token *ret_token)
{
    for (;;) {
        word_state word = {0, 0};
        uint8_t gap = read_gap(tokens);
        size_t start = tokens->at;
        if (start >= tokens->text.len) {
            return false;
        }
        size_t end = read_word(tokens, start, &word);
        if (end - start > DV_TOKEN_MAX) {
            tokens->at = end;
            tokens->broken = true;
            continue;
        }
        if (is_open(tokens, end)) {
            tokens->at = start;
            return false;
        }
        describe(tokens, start, end, &word, ret_token);
        ret_token->gap = tokens->broken ? DV_GAP_BREAK : gap;
        ret_token->candidate = is_candidate(ret_token, tokens->text.ptr);
        tokens->at = end;
        tokens->broken = false;
        return true;
    }
}
