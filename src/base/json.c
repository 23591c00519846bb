/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/codec.h"
#include "base/siphash.h"
#include "base/utf8.h"

#include <limits.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Invariants of a scan:
 * 1. The text is UTF-8 (checked before the first token), so strings are only searched for quotes,
 *    backslashes and control characters.
 * 2. `open` is the innermost open container and `depth` counts the open ones; while a container is
 *    open its token's `next` holds the container around it.
 * 3. In an object a value's token stands right behind its key's.
 * 4. A step takes the place where it begins and gives back the one behind it; NULL: it failed, and
 *    `result` says how. */
typedef struct scanner {
    dv_json json;
    const uint8_t *end;
    uint32_t cap; /* tokens that fit the present tape */
    uint32_t open;
    uint32_t depth;
    uint8_t closer; /* that ends the innermost container; 0: none is open */
    bool fresh;     /* the innermost container has no element yet */
    dv_result result;
    const dv_json_limits *limits;
    dv_arena *arena;
    dv_error *error;
    uint64_t *slots; /* the name table, kept from object to object */
    size_t slot_cap;
    size_t slot_count; /* in use for the present object; a power of two */
} scanner;

enum {
    FIRST_TOKENS = 64,
    FEW_NAMES = 8,    /* up to here comparing all pairs is cheaper than hashing */
    LONG_NUMBER = 8,  /* digits */
    LONG_STRING = 64, /* bytes that pay for a call */
    NO_CONTAINER = UINT32_MAX,
};

/* ---- errors ---- */

static int clamp_to_int(size_t value)
{
    return value > INT_MAX ? INT_MAX : (int)value;
}

__attribute__((cold, noinline)) static const uint8_t *fail_at(scanner *s, const uint8_t *place,
                                                              dv_result result, const char *what)
{
    size_t line = 1;
    const uint8_t *line_start = s->json.text.ptr;
    for (const uint8_t *q = line_start; q < place; q++) {
        if (*q == '\n') {
            line++;
            line_start = q + 1;
        }
    }
    size_t column = (size_t)(place - line_start) + 1;
    s->result =
        dv_error_set_at(s->error, result, clamp_to_int(line), clamp_to_int(column), "%s", what);
    return NULL;
}

__attribute__((cold, noinline)) static const uint8_t *fail(scanner *s, const uint8_t *p,
                                                           const char *what)
{
    return fail_at(s, p, DV_ERR_INVALID, p == s->end ? "the JSON text ends too early" : what);
}

__attribute__((cold, noinline)) static const uint8_t *fail_memory(scanner *s, const char *what)
{
    s->result = dv_error_set(s->error, DV_ERR_NO_MEMORY, "no memory for the JSON text's %s", what);
    return NULL;
}

/* ---- the tape ---- */

/* False: the scan failed. */
static bool tape_grow(scanner *s, const uint8_t *place)
{
    uint32_t limit = s->limits->tokens;
    if (s->cap >= limit) {
        return fail_at(s, place, DV_ERR_TOO_LARGE, "the JSON text has too many values") != NULL;
    }
    uint32_t cap = s->cap == 0 ? FIRST_TOKENS : s->cap > limit / 2 ? limit : s->cap * 2;
    cap = DV_MIN(cap, limit);
    dv_json_token *tokens = dv_arena_alloc_raw(s->arena, (size_t)cap * sizeof(*tokens));
    if (tokens == NULL) {
        return fail_memory(s, "values") != NULL;
    }
    if (s->json.count > 0) {
        memcpy(tokens, s->json.tokens, (size_t)s->json.count * sizeof(*tokens));
    }
    s->json.tokens = tokens;
    s->cap = cap;
    return true;
}

/* Notes a token; gives back the place behind it. `next` counts from the token. */
static inline const uint8_t *note(scanner *s, dv_json_type type, const uint8_t *start,
                                  const uint8_t *end, bool escaped)
{
    if (__builtin_expect(s->json.count == s->cap, 0) && !tape_grow(s, start)) {
        return NULL;
    }
    uint32_t at = s->json.count++;
    s->json.tokens[at] = (dv_json_token){
        .start = (uint32_t)(start - s->json.text.ptr),
        .len = (uint32_t)(end - start),
        /* A key's value follows it; where that is a container, its end corrects this. */
        .next = at + (type == DV_JSON_KEY ? 2 : 1),
        .depth = (uint16_t)s->depth,
        .type = (uint8_t)type,
        .escaped = escaped,
    };
    return end;
}

/* ---- bytes ---- */

/* 0 at the end: no grammar rule allows a NUL, so that it fails by itself. */
static inline uint8_t peek(const scanner *s, const uint8_t *p)
{
    return p < s->end ? *p : 0;
}

static inline bool is_space(uint8_t byte)
{
    return byte <= ' ' && (byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t');
}

static inline const uint8_t *skip_space(const scanner *s, const uint8_t *p)
{
    while (p < s->end && is_space(*p)) {
        p++;
    }
    return p;
}

#if defined(__x86_64__)

static inline __m128i load_16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* A bit for each of 16 bytes that a string can't hold as it is. */
static inline unsigned special_mask(const uint8_t *p)
{
    __m128i bytes = load_16(p);
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control));
}

static inline unsigned digit_mask(const uint8_t *p)
{
    __m128i values = _mm_sub_epi8(load_16(p), _mm_set1_epi8('0'));
    __m128i digits = _mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(9)), values);
    return (unsigned)_mm_movemask_epi8(digits);
}

#define AVX2 __attribute__((target("avx2")))

/* The same as special_mask for 32 bytes, all bits of a byte. */
AVX2 static inline __m256i special_bytes(const uint8_t *p)
{
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"'));
    __m256i backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\'));
    __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes);
    return _mm256_or_si256(_mm256_or_si256(quote, backslash), control);
}

/* Moves on over whole blocks of 64 bytes that hold nothing special. */
AVX2 static const uint8_t *skip_plain_blocks(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= 64; p += 64) {
        __m256i special = _mm256_or_si256(special_bytes(p), special_bytes(p + 32));
        if (!_mm256_testz_si256(special, special)) {
            break;
        }
    }
    return p;
}

#endif

/* Moves on to the next quote, backslash or control character, or to the end. */
static const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end)
{
#if defined(__x86_64__)
    if (end - p >= LONG_STRING && __builtin_cpu_supports("avx2")) {
        p = skip_plain_blocks(p, end);
    }
    for (; end - p >= 16; p += 16) {
        unsigned special = special_mask(p);
        if (special != 0) {
            return p + __builtin_ctz(special);
        }
    }
#endif
    while (p < end && *p != '"' && *p != '\\' && *p >= 0x20) {
        p++;
    }
    return p;
}

/* The same; most strings are short, and end in the first block. */
static inline const uint8_t *skip_plain_short(const uint8_t *p, const uint8_t *end)
{
#if defined(__x86_64__)
    if (end - p >= 16) {
        unsigned special = special_mask(p);
        if (special != 0) {
            return p + __builtin_ctz(special);
        }
        p += 16;
    }
#endif
    return skip_plain(p, end);
}

static inline bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static inline const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end)
{
#if defined(__x86_64__)
    for (; end - p >= 16; p += 16) {
        unsigned other = ~digit_mask(p) & 0xffff;
        if (other != 0) {
            return p + __builtin_ctz(other);
        }
    }
#endif
    while (p < end && is_digit(*p)) {
        p++;
    }
    return p;
}

/* ---- strings: RFC 8259 section 7 ---- */

static int hex_value(uint8_t byte)
{
    if (is_digit(byte)) {
        return byte - '0';
    }
    uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static const uint8_t *scan_escape(scanner *s, const uint8_t *p)
{
    p++;
    switch (peek(s, p)) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 1;
    case 'u':
        p++;
        break;
    default:
        return fail(s, p, "unknown escape in a string");
    }
    for (int i = 0; i < 4; i++, p++) {
        if (hex_value(peek(s, p)) < 0) {
            return fail(s, p, "\\u must be followed by four hexadecimal digits");
        }
    }
    return p;
}

/* From what is no plain byte to the quote that ends the string. */
static const uint8_t *scan_special(scanner *s, const uint8_t *p)
{
    for (;;) {
        uint8_t byte = peek(s, p);
        if (byte == '"') {
            return p;
        }
        if (byte != '\\') {
            return fail(s, p, "control characters in a string must be escaped");
        }
        p = scan_escape(s, p);
        if (p == NULL) {
            return NULL;
        }
        p = skip_plain_short(p, s->end);
    }
}

static inline const uint8_t *scan_string(scanner *s, const uint8_t *p, dv_json_type type)
{
    const uint8_t *start = p + 1;
    p = skip_plain_short(start, s->end);
    bool escaped = peek(s, p) != '"';
    if (__builtin_expect(escaped, 0)) {
        p = scan_special(s, p);
        if (p == NULL) {
            return NULL;
        }
    }
    p = note(s, type, start, p, escaped);
    return p == NULL ? NULL : p + 1;
}

/* ---- numbers and literals: RFC 8259 sections 6 and 3 ---- */

static inline const uint8_t *scan_digits(scanner *s, const uint8_t *p)
{
    if (!is_digit(peek(s, p))) {
        return fail(s, p, "a digit was expected");
    }
    return skip_digits(p, s->end);
}

static const uint8_t *scan_exponent(scanner *s, const uint8_t *p)
{
    p++;
    if (peek(s, p) == '+' || peek(s, p) == '-') {
        p++;
    }
    return scan_digits(s, p);
}

static inline const uint8_t *scan_number(scanner *s, const uint8_t *p)
{
    p += *p == '-';
    if (peek(s, p) == '0') {
        p++; /* no leading zeros: a digit behind it fails as the next token */
    } else {
        p = scan_digits(s, p);
    }
    if (p != NULL && peek(s, p) == '.') {
        p = scan_digits(s, p + 1);
    }
    return p != NULL && (peek(s, p) | 0x20) == 'e' ? scan_exponent(s, p) : p;
}

static const uint8_t *scan_word(scanner *s, const uint8_t *p, dv_slice word)
{
    if ((size_t)(s->end - p) < word.len || memcmp(p, word.ptr, word.len) != 0) {
        return fail_at(s, p, DV_ERR_INVALID, "a JSON value was expected");
    }
    return p + word.len;
}

/* Many digits before a point: no vector's component, but perhaps a card's number. */
static inline bool begins_long(const uint8_t *start, const uint8_t *end)
{
    size_t digits = 0;
    start += *start == '-';
    while (start + digits < end && digits < LONG_NUMBER && is_digit(start[digits])) {
        digits++;
    }
    return digits == LONG_NUMBER;
}

static const uint8_t *scan_literal(scanner *s, const uint8_t *p, dv_json_type *ret_type)
{
    switch (*p) {
    case 't':
        *ret_type = DV_JSON_TRUE;
        return scan_word(s, p, DV_LIT("true"));
    case 'f':
        *ret_type = DV_JSON_FALSE;
        return scan_word(s, p, DV_LIT("false"));
    default:
        *ret_type = DV_JSON_NULL;
        return scan_word(s, p, DV_LIT("null"));
    }
}

static const uint8_t *scan_scalar(scanner *s, const uint8_t *p)
{
    const uint8_t *start = p;
    dv_json_type type = DV_JSON_NUMBER;
    if (*p == '-' || is_digit(*p)) {
        p = scan_number(s, p);
    } else {
        p = scan_literal(s, p, &type);
    }
    if (p == NULL || (s->closer == ']' && s->limits->skip_array_scalars &&
                      !(type == DV_JSON_NUMBER && begins_long(start, p)))) {
        return p;
    }
    return note(s, type, start, p, false);
}

/* ---- names of an object's members ---- */

/* These are true when all is well. */
static bool fail_duplicate(scanner *s, uint32_t key)
{
    const uint8_t *place = s->json.text.ptr + s->json.tokens[key].start - 1;
    return fail_at(s, place, DV_ERR_INVALID, "this name is already used in the same object") !=
           NULL;
}

static inline bool name_of(scanner *s, uint32_t key, dv_slice *ret_name)
{
    return dv_json_string(&s->json, key, s->arena, ret_name) == DV_OK ||
           fail_memory(s, "names") != NULL;
}

/* One of 64 bits by length and both ends: names with different ones are different. */
static inline uint64_t name_bit(dv_slice name)
{
    return name.len == 0
               ? 1
               : (uint64_t)1 << ((name.len * 29 + name.ptr[0] * 5U + name.ptr[name.len - 1]) & 63);
}

static bool check_few_names(scanner *s, uint32_t object)
{
    dv_slice names[FEW_NAMES];
    size_t count = 0;
    uint64_t seen = 0;
    for (uint32_t key = object + 1; key < s->json.count; key = s->json.tokens[key].next) {
        if (!name_of(s, key, &names[count])) {
            return false;
        }
        uint64_t bit = name_bit(names[count]);
        for (size_t i = 0; (seen & bit) != 0 && i < count; i++) {
            if (dv_slice_eq(names[i], names[count])) {
                return fail_duplicate(s, key);
            }
        }
        seen |= bit;
        count++;
    }
    return true;
}

/* Empties a table of at least twice as many slots as names, a power of two. */
static bool name_table_prepare(scanner *s, uint32_t names)
{
    size_t slots = (size_t)4 * FEW_NAMES;
    while (slots < (size_t)names * 2) {
        slots *= 2;
    }
    if (slots > s->slot_cap) {
        uint64_t *table = dv_arena_alloc_raw(s->arena, slots * sizeof(*table));
        if (table == NULL) {
            return fail_memory(s, "names") != NULL;
        }
        s->slots = table;
        s->slot_cap = slots;
    }
    memset(s->slots, 0, slots * sizeof(*s->slots));
    s->slot_count = slots;
    return true;
}

/* A slot holds the hash's upper half and the key's token (never 0, which is the top value). The
 * hash is keyed, so that nobody can choose names that collide. */
static bool name_table_add(scanner *s, const uint8_t hash_key[16], uint32_t key)
{
    dv_slice name;
    if (!name_of(s, key, &name)) {
        return false;
    }
    uint64_t hash = dv_siphash(hash_key, name);
    uint64_t upper = hash & 0xffffffff00000000;
    size_t mask = s->slot_count - 1;
    size_t at = hash & mask;
    for (; s->slots[at] != 0; at = (at + 1) & mask) {
        if ((s->slots[at] & 0xffffffff00000000) != upper) {
            continue;
        }
        dv_slice other;
        if (!name_of(s, (uint32_t)s->slots[at], &other)) {
            return false;
        }
        if (dv_slice_eq(name, other)) {
            return fail_duplicate(s, key);
        }
    }
    s->slots[at] = upper | key;
    return true;
}

static bool check_many_names(scanner *s, uint32_t object, uint32_t names)
{
    const uint8_t *hash_key;
    s->result = dv_siphash_process_key(&hash_key);
    if (s->result != DV_OK || !name_table_prepare(s, names)) {
        return false;
    }
    for (uint32_t key = object + 1; key < s->json.count; key = s->json.tokens[key].next) {
        if (!name_table_add(s, hash_key, key)) {
            return false;
        }
    }
    return true;
}

static bool check_names(scanner *s, uint32_t object)
{
    uint32_t names = 0;
    for (uint32_t key = object + 1; key < s->json.count; key = s->json.tokens[key].next) {
        names++;
    }
    return names <= FEW_NAMES ? check_few_names(s, object) : check_many_names(s, object, names);
}

/* ---- values: RFC 8259 sections 3 to 5 ---- */

static const uint8_t *open_container(scanner *s, const uint8_t *p, dv_json_type type)
{
    if (s->depth >= s->limits->depth || s->depth >= UINT16_MAX) {
        return fail_at(s, p, DV_ERR_TOO_LARGE, "the JSON text is nested too deeply");
    }
    uint32_t container = s->json.count;
    if (note(s, type, p, p, false) == NULL) {
        return NULL;
    }
    s->json.tokens[container].next = s->open;
    s->open = container;
    s->depth++;
    s->closer = type == DV_JSON_OBJECT ? '}' : ']';
    s->fresh = true;
    return p + 1;
}

/* The container around is the innermost one again; in an object, the key of the one that ended now
 * knows where the next member is. */
static void leave_container(scanner *s, uint32_t container)
{
    s->depth--;
    s->fresh = false;
    s->closer = 0;
    if (s->depth == 0) {
        return;
    }
    bool object = s->json.tokens[s->open].type == DV_JSON_OBJECT;
    s->closer = object ? '}' : ']';
    if (object) {
        s->json.tokens[container - 1].next = s->json.count;
    }
}

static const uint8_t *close_container(scanner *s, const uint8_t *p)
{
    uint32_t container = s->open;
    dv_json_token *token = &s->json.tokens[container];
    if (s->limits->refuse_duplicate_keys && token->type == DV_JSON_OBJECT &&
        !check_names(s, container)) {
        return NULL;
    }
    p++;
    s->open = token->next;
    token->len = (uint32_t)(p - s->json.text.ptr) - token->start;
    token->next = s->json.count;
    leave_container(s, container);
    return p;
}

/* A scalar is noted and done; a container is only opened. */
static inline const uint8_t *scan_value(scanner *s, const uint8_t *p)
{
    switch (peek(s, p)) {
    case '"':
        return scan_string(s, p, DV_JSON_STRING);
    case '{':
        return open_container(s, p, DV_JSON_OBJECT);
    case '[':
        return open_container(s, p, DV_JSON_ARRAY);
    case '-':
    case '0' ... '9':
    case 't':
    case 'f':
    case 'n':
        return scan_scalar(s, p);
    default:
        return fail(s, p, "a JSON value was expected");
    }
}

static inline const uint8_t *scan_member(scanner *s, const uint8_t *p)
{
    if (peek(s, p) != '"') {
        return fail(s, p, "a member's name in double quotes was expected");
    }
    p = scan_string(s, p, DV_JSON_KEY);
    if (p == NULL) {
        return NULL;
    }
    p = skip_space(s, p);
    if (peek(s, p) != ':') {
        return fail(s, p, "':' was expected after a member's name");
    }
    return scan_value(s, skip_space(s, p + 1));
}

/* One element or member of the innermost container, or its end. */
static inline const uint8_t *scan_step(scanner *s, const uint8_t *p)
{
    p = skip_space(s, p);
    uint8_t byte = peek(s, p);
    if (byte == s->closer) {
        return close_container(s, p);
    }
    if (s->fresh) {
        s->fresh = false;
    } else if (byte == ',') {
        p = skip_space(s, p + 1);
    } else {
        return fail(s, p, s->closer == '}' ? "',' or '}' was expected" : "',' or ']' was expected");
    }
    return s->closer == '}' ? scan_member(s, p) : scan_value(s, p);
}

/* False: the scan failed. */
static bool scan_text(scanner *s)
{
    const uint8_t *p = scan_value(s, skip_space(s, s->json.text.ptr));
    while (p != NULL && s->depth > 0) {
        p = scan_step(s, p);
    }
    if (p == NULL) {
        return false;
    }
    p = skip_space(s, p);
    return p == s->end || fail(s, p, "nothing may follow the JSON value") != NULL;
}

dv_result dv_json_scan(dv_slice text, const dv_json_limits *limits, dv_arena *arena,
                       dv_json *ret_json, dv_error *error)
{
    if (text.len > UINT32_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the JSON text is over 4 GiB");
    }
    if (text.len == 0) {
        return dv_error_set_at(error, DV_ERR_INVALID, 1, 1, "the JSON text is empty");
    }
    scanner s = {.json = {.text = text},
                 .end = text.ptr + text.len,
                 .limits = limits,
                 .arena = arena,
                 .error = error,
                 .open = NO_CONTAINER};
    size_t valid = dv_utf8_prefix(text);
    if (valid != text.len) {
        (void)fail_at(&s, text.ptr + valid, DV_ERR_INVALID, "the JSON text is not UTF-8");
        return s.result;
    }
    if (!scan_text(&s)) {
        return s.result;
    }
    *ret_json = s.json;
    return DV_OK;
}

/* ---- reading the tape ---- */

/* One step through a raw string: a plain byte, or a whole escape. */
typedef struct unit {
    size_t raw_len;
    size_t len;
    uint8_t bytes[4];
} unit;

static bool read_hex4(dv_slice raw, size_t at, uint32_t *ret_value)
{
    uint32_t value = 0;
    if (raw.len < 6 || at > raw.len - 6 || raw.ptr[at] != '\\' || raw.ptr[at + 1] != 'u') {
        return false;
    }
    for (size_t i = at + 2; i < at + 6; i++) {
        int digit = hex_value(raw.ptr[i]);
        if (digit < 0) {
            return false;
        }
        value = value << 4 | (uint32_t)digit;
    }
    *ret_value = value;
    return true;
}

static unit plain_byte(uint8_t byte)
{
    return (unit){.raw_len = 1, .len = 1, .bytes = {byte}};
}

static unit read_unicode_escape(dv_slice raw, size_t at)
{
    unit u = {.raw_len = 6};
    uint32_t code;
    uint32_t low;
    if (!read_hex4(raw, at, &code)) {
        return plain_byte(raw.ptr[at]); /* never in a scanned text */
    }
    if (code >= 0xd800 && code <= 0xdbff && read_hex4(raw, at + 6, &low) && low >= 0xdc00 &&
        low <= 0xdfff) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        u.raw_len = 12;
    } else if (code >= 0xd800 && code <= 0xdfff) {
        code = 0xfffd;
    }
    u.len = dv_utf8_encode(code, u.bytes);
    return u;
}

static unit read_unit(dv_slice raw, size_t at)
{
    static const uint8_t plain[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                       ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    if (raw.ptr[at] != '\\' || at + 1 == raw.len) {
        return plain_byte(raw.ptr[at]);
    }
    uint8_t kind = raw.ptr[at + 1];
    if (kind == 'u') {
        return read_unicode_escape(raw, at);
    }
    return (unit){.raw_len = 2, .len = 1, .bytes = {plain[kind]}};
}

/* Bytes from `at` to the next backslash or the end. */
static size_t plain_run(dv_slice raw, size_t at)
{
    const uint8_t *found = memchr(raw.ptr + at, '\\', raw.len - at);
    return found == NULL ? raw.len - at : (size_t)(found - raw.ptr) - at;
}

static bool raw_name_is(dv_slice raw, dv_slice name)
{
    size_t matched = 0;
    for (size_t at = 0; at < raw.len;) {
        unit u = read_unit(raw, at);
        if (u.len > name.len - matched || memcmp(name.ptr + matched, u.bytes, u.len) != 0) {
            return false;
        }
        matched += u.len;
        at += u.raw_len;
    }
    return matched == name.len;
}

uint32_t dv_json_member_named(const dv_json *json, uint32_t object, dv_slice wanted)
{
    if (object >= json->count || json->tokens[object].type != DV_JSON_OBJECT) {
        return 0;
    }
    uint32_t found = 0;
    uint32_t end = json->tokens[object].next;
    for (uint32_t key = object + 1; key < end; key = json->tokens[key].next) {
        dv_slice raw = dv_json_raw(json, key);
        bool same = json->tokens[key].escaped ? raw_name_is(raw, wanted) : dv_slice_eq(raw, wanted);
        if (same) {
            found = key + 1;
        }
    }
    return found;
}

/* The decoded text is never longer than the raw one. */
static size_t unescape(dv_slice raw, uint8_t *out)
{
    size_t len = 0;
    for (size_t at = 0; at < raw.len;) {
        size_t run = plain_run(raw, at);
        memcpy(out + len, raw.ptr + at, run);
        len += run;
        at += run;
        if (at < raw.len) {
            unit u = read_unit(raw, at);
            memcpy(out + len, u.bytes, u.len);
            len += u.len;
            at += u.raw_len;
        }
    }
    return len;
}

dv_result dv_json_decode(const dv_json *json, uint32_t token, dv_arena *arena, dv_slice *ret_text)
{
    const dv_json_token *t = &json->tokens[token];
    if (t->type != DV_JSON_STRING && t->type != DV_JSON_KEY) {
        return DV_ERR_INVALID;
    }
    dv_slice raw = dv_json_raw(json, token);
    uint8_t *out = dv_arena_alloc_raw(arena, raw.len);
    if (out == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_text = dv_slice_of(out, unescape(raw, out));
    return DV_OK;
}

size_t dv_json_raw_offset_from(dv_slice raw, dv_json_place *place, size_t offset)
{
    if (offset < place->decoded) {
        *place = (dv_json_place){0, 0};
    }
    while (place->raw < raw.len && place->decoded < offset) {
        size_t run = DV_MIN(plain_run(raw, place->raw), offset - place->decoded);
        if (run > 0) {
            place->raw += run;
            place->decoded += run;
            continue;
        }
        unit u = read_unit(raw, place->raw);
        if (u.len > offset - place->decoded) {
            break;
        }
        place->raw += u.raw_len;
        place->decoded += u.len;
    }
    return place->raw;
}

size_t dv_json_raw_offset(dv_slice raw, size_t offset)
{
    dv_json_place place = {0, 0};
    return dv_json_raw_offset_from(raw, &place, offset);
}

dv_result dv_json_int(const dv_json *json, uint32_t token, int64_t *ret_value)
{
    if (json->tokens[token].type != DV_JSON_NUMBER) {
        return DV_ERR_INVALID;
    }
    dv_slice raw = dv_json_raw(json, token);
    bool negative = raw.ptr[0] == '-';
    /* Counts downwards, where there is room for INT64_MIN. */
    int64_t value = 0;
    for (size_t i = negative; i < raw.len; i++) {
        if (!is_digit(raw.ptr[i]) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, raw.ptr[i] - '0', &value)) {
            return DV_ERR_INVALID;
        }
    }
    if (!negative && value == INT64_MIN) {
        return DV_ERR_INVALID;
    }
    *ret_value = negative ? value : -value;
    return DV_OK;
}

dv_result dv_json_copy_text(const dv_json *json, const char *name, dv_arena *arena, char *out,
                            size_t size, dv_error *error)
{
    dv_slice text = {NULL, 0};
    uint32_t token = dv_json_member(json, 0, name);
    if (token != 0 && (dv_json_string(json, token, arena, &text) != DV_OK || text.len >= size ||
                       dv_slice_find_byte(text, '\0') >= 0)) {
        return dv_error_set(error, DV_ERR_INVALID, "%s must be a text of fewer than %zu bytes",
                            name, size);
    }
    dv_slice_copy(text, out, size);
    return DV_OK;
}

dv_result dv_json_append_step(dv_buf *pointer, dv_slice name)
{
    DV_TRY(dv_buf_append_byte(pointer, '/'));
    for (size_t i = 0; i < name.len; i++) {
        DV_TRY(dv_buf_append(pointer, dv_json_step_byte(&name.ptr[i])));
    }
    return DV_OK;
}
