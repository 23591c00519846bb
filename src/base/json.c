/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/codec.h"
#include "base/siphash.h"
#include "base/utf8.h"

#include <limits.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Invariants of a scan:
 * 1. The text is UTF-8 (checked before the first token), so strings are only searched for quotes,
 *    backslashes and control characters.
 * 2. `open` is the innermost open container and `depth` counts the open ones; while a container is
 *    open its token's `next` holds the container around it.
 * 3. In an object a value's token stands right behind its key's. */
typedef struct scanner {
    dv_json json;
    const uint8_t *p;
    const uint8_t *end;
    const dv_json_limits *limits;
    dv_arena *arena;
    dv_error *error;
    uint32_t cap; /* tokens that fit the present tape */
    uint32_t open;
    uint32_t depth;
    bool fresh;      /* the innermost container has no element yet */
    uint64_t *slots; /* the name table, kept from object to object */
    size_t slot_cap;
    size_t slot_count; /* in use for the present object; a power of two */
} scanner;

enum {
    FIRST_TOKENS = 64,
    FEW_NAMES = 8,   /* up to here comparing all pairs is cheaper than hashing */
    LONG_NUMBER = 8, /* digits */
    NO_CONTAINER = UINT32_MAX,
};

/* ---- errors ---- */

static int clamp_to_int(size_t value)
{
    return value > INT_MAX ? INT_MAX : (int)value;
}

static dv_result fail_at(scanner *s, const uint8_t *place, dv_result result, const char *what)
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
    return dv_error_set_at(s->error, result, clamp_to_int(line), clamp_to_int(column), "%s", what);
}

static dv_result fail(scanner *s, const char *what)
{
    return fail_at(s, s->p, DV_ERR_INVALID, s->p == s->end ? "the JSON text ends too early" : what);
}

/* ---- the tape ---- */

static dv_result tape_grow(scanner *s, const uint8_t *place)
{
    uint32_t limit = s->limits->tokens;
    if (s->cap >= limit) {
        return fail_at(s, place, DV_ERR_TOO_LARGE, "the JSON text has too many values");
    }
    uint32_t cap = s->cap == 0 ? FIRST_TOKENS : s->cap > limit / 2 ? limit : s->cap * 2;
    cap = DV_MIN(cap, limit);
    dv_json_token *tokens = dv_arena_alloc_raw(s->arena, (size_t)cap * sizeof(*tokens));
    if (tokens == NULL) {
        return dv_error_set(s->error, DV_ERR_NO_MEMORY, "no memory for the JSON text's values");
    }
    if (s->json.count > 0) {
        memcpy(tokens, s->json.tokens, (size_t)s->json.count * sizeof(*tokens));
    }
    s->json.tokens = tokens;
    s->cap = cap;
    return DV_OK;
}

/* Notes the token from `start` to the present place. */
static inline dv_result note(scanner *s, dv_json_type type, const uint8_t *start, bool escaped)
{
    if (s->json.count == s->cap) {
        DV_TRY(tape_grow(s, start));
    }
    s->json.tokens[s->json.count] = (dv_json_token){
        .start = (uint32_t)(start - s->json.text.ptr),
        .len = (uint32_t)(s->p - start),
        .next = s->json.count + 1,
        .depth = (uint16_t)s->depth,
        .type = (uint8_t)type,
        .escaped = escaped,
    };
    s->json.count++;
    return DV_OK;
}

static inline bool in_object(const scanner *s)
{
    return s->depth > 0 && s->json.tokens[s->open].type == DV_JSON_OBJECT;
}

/* ---- bytes ---- */

/* 0 at the end: no grammar rule allows a NUL, so that it fails by itself. */
static inline uint8_t peek(const scanner *s)
{
    return s->p < s->end ? *s->p : 0;
}

static inline bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static inline void skip_space(scanner *s)
{
    while (s->p < s->end && is_space(*s->p)) {
        s->p++;
    }
}

#if defined(__SSE2__)

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

#endif

/* Moves on to the next quote, backslash or control character, or to the end. */
static inline const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end)
{
#if defined(__SSE2__)
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

static inline bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static inline const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end)
{
#if defined(__SSE2__)
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

static dv_result scan_escape(scanner *s)
{
    s->p++;
    switch (peek(s)) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        s->p++;
        return DV_OK;
    case 'u':
        s->p++;
        break;
    default:
        return fail(s, "unknown escape in a string");
    }
    for (int i = 0; i < 4; i++, s->p++) {
        if (hex_value(peek(s)) < 0) {
            return fail(s, "\\u must be followed by four hexadecimal digits");
        }
    }
    return DV_OK;
}

static inline dv_result scan_string(scanner *s, dv_json_type type)
{
    const uint8_t *start = ++s->p;
    bool escaped = false;
    for (;;) {
        s->p = skip_plain(s->p, s->end);
        uint8_t byte = peek(s);
        if (byte == '"') {
            DV_TRY(note(s, type, start, escaped));
            s->p++;
            return DV_OK;
        }
        if (byte != '\\') {
            return fail(s, "control characters in a string must be escaped");
        }
        escaped = true;
        DV_TRY(scan_escape(s));
    }
}

/* ---- numbers and literals: RFC 8259 sections 6 and 3 ---- */

static inline dv_result scan_digits(scanner *s)
{
    if (!is_digit(peek(s))) {
        return fail(s, "a digit was expected");
    }
    s->p = skip_digits(s->p, s->end);
    return DV_OK;
}

static inline dv_result scan_number(scanner *s)
{
    if (*s->p == '-') {
        s->p++;
    }
    if (peek(s) == '0') {
        s->p++; /* no leading zeros: a digit behind it fails as the next token */
    } else {
        DV_TRY(scan_digits(s));
    }
    if (peek(s) == '.') {
        s->p++;
        DV_TRY(scan_digits(s));
    }
    if ((peek(s) | 0x20) == 'e') {
        s->p++;
        if (peek(s) == '+' || peek(s) == '-') {
            s->p++;
        }
        DV_TRY(scan_digits(s));
    }
    return DV_OK;
}

static dv_result scan_word(scanner *s, dv_slice word)
{
    if ((size_t)(s->end - s->p) < word.len || memcmp(s->p, word.ptr, word.len) != 0) {
        return fail_at(s, s->p, DV_ERR_INVALID, "a JSON value was expected");
    }
    s->p += word.len;
    return DV_OK;
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

static inline dv_result scan_scalar(scanner *s)
{
    const uint8_t *start = s->p;
    dv_json_type type = DV_JSON_NUMBER;
    if (*s->p == '-' || is_digit(*s->p)) {
        DV_TRY(scan_number(s));
    } else if (*s->p == 't') {
        type = DV_JSON_TRUE;
        DV_TRY(scan_word(s, DV_LIT("true")));
    } else if (*s->p == 'f') {
        type = DV_JSON_FALSE;
        DV_TRY(scan_word(s, DV_LIT("false")));
    } else {
        type = DV_JSON_NULL;
        DV_TRY(scan_word(s, DV_LIT("null")));
    }
    if (s->limits->skip_array_scalars && s->depth > 0 && !in_object(s) &&
        !(type == DV_JSON_NUMBER && begins_long(start, s->p))) {
        return DV_OK;
    }
    return note(s, type, start, false);
}

/* ---- names of an object's members ---- */

static dv_result fail_duplicate(scanner *s, uint32_t key)
{
    const uint8_t *place = s->json.text.ptr + s->json.tokens[key].start - 1;
    return fail_at(s, place, DV_ERR_INVALID, "this name is already used in the same object");
}

static dv_result name_of(scanner *s, uint32_t key, dv_slice *ret_name)
{
    if (dv_json_string(&s->json, key, s->arena, ret_name) != DV_OK) {
        return dv_error_set(s->error, DV_ERR_NO_MEMORY, "no memory for the JSON text's names");
    }
    return DV_OK;
}

static dv_result check_few_names(scanner *s, uint32_t object)
{
    dv_slice names[FEW_NAMES];
    size_t count = 0;
    for (uint32_t key = object + 1; key < s->json.count; key = s->json.tokens[key].next) {
        DV_TRY(name_of(s, key, &names[count]));
        for (size_t i = 0; i < count; i++) {
            if (dv_slice_eq(names[i], names[count])) {
                return fail_duplicate(s, key);
            }
        }
        count++;
    }
    return DV_OK;
}

/* Empties a table of at least twice as many slots as names, a power of two. */
static dv_result name_table_prepare(scanner *s, uint32_t names)
{
    size_t slots = (size_t)4 * FEW_NAMES;
    while (slots < (size_t)names * 2) {
        slots *= 2;
    }
    if (slots > s->slot_cap) {
        uint64_t *table = dv_arena_alloc_raw(s->arena, slots * sizeof(*table));
        if (table == NULL) {
            return dv_error_set(s->error, DV_ERR_NO_MEMORY, "no memory for the JSON text's names");
        }
        s->slots = table;
        s->slot_cap = slots;
    }
    memset(s->slots, 0, slots * sizeof(*s->slots));
    s->slot_count = slots;
    return DV_OK;
}

/* A slot holds the hash's upper half and the key's token (never 0, which is the top value). The
 * hash is keyed, so that nobody can choose names that collide. */
static dv_result name_table_add(scanner *s, const uint8_t hash_key[16], uint32_t key)
{
    dv_slice name;
    DV_TRY(name_of(s, key, &name));
    uint64_t hash = dv_siphash(hash_key, name);
    uint64_t upper = hash & 0xffffffff00000000;
    size_t mask = s->slot_count - 1;
    size_t at = hash & mask;
    for (; s->slots[at] != 0; at = (at + 1) & mask) {
        if ((s->slots[at] & 0xffffffff00000000) != upper) {
            continue;
        }
        dv_slice other;
        DV_TRY(name_of(s, (uint32_t)s->slots[at], &other));
        if (dv_slice_eq(name, other)) {
            return fail_duplicate(s, key);
        }
    }
    s->slots[at] = upper | key;
    return DV_OK;
}

static dv_result check_many_names(scanner *s, uint32_t object, uint32_t names)
{
    const uint8_t *hash_key;
    DV_TRY(dv_siphash_process_key(&hash_key));
    DV_TRY(name_table_prepare(s, names));
    for (uint32_t key = object + 1; key < s->json.count; key = s->json.tokens[key].next) {
        DV_TRY(name_table_add(s, hash_key, key));
    }
    return DV_OK;
}

static dv_result check_names(scanner *s, uint32_t object)
{
    uint32_t names = 0;
    for (uint32_t key = object + 1; key < s->json.count; key = s->json.tokens[key].next) {
        names++;
    }
    return names <= FEW_NAMES ? check_few_names(s, object) : check_many_names(s, object, names);
}

/* ---- values: RFC 8259 sections 3 to 5 ---- */

/* The token was a member's value: now its key knows where the next member is. */
static inline void end_member(scanner *s, uint32_t value)
{
    if (in_object(s)) {
        s->json.tokens[value - 1].next = s->json.count;
    }
}

static dv_result open_container(scanner *s, dv_json_type type)
{
    if (s->depth >= s->limits->depth || s->depth >= UINT16_MAX) {
        return fail_at(s, s->p, DV_ERR_TOO_LARGE, "the JSON text is nested too deeply");
    }
    DV_TRY(note(s, type, s->p, false));
    uint32_t container = s->json.count - 1;
    s->json.tokens[container].next = s->open;
    s->open = container;
    s->depth++;
    s->fresh = true;
    s->p++;
    return DV_OK;
}

static dv_result close_container(scanner *s)
{
    uint32_t container = s->open;
    dv_json_token *token = &s->json.tokens[container];
    if (s->limits->refuse_duplicate_keys && token->type == DV_JSON_OBJECT) {
        DV_TRY(check_names(s, container));
    }
    s->p++;
    s->open = token->next;
    s->depth--;
    s->fresh = false;
    token->len = (uint32_t)(s->p - s->json.text.ptr) - token->start;
    token->next = s->json.count;
    end_member(s, container);
    return DV_OK;
}

/* A scalar is noted and done; a container is only opened. */
static inline dv_result scan_value(scanner *s)
{
    switch (peek(s)) {
    case '{':
        return open_container(s, DV_JSON_OBJECT);
    case '[':
        return open_container(s, DV_JSON_ARRAY);
    case '"':
        DV_TRY(scan_string(s, DV_JSON_STRING));
        break;
    case '-':
    case '0' ... '9':
    case 't':
    case 'f':
    case 'n':
        DV_TRY(scan_scalar(s));
        break;
    default:
        return fail(s, "a JSON value was expected");
    }
    s->fresh = false;
    end_member(s, s->json.count - 1);
    return DV_OK;
}

static inline dv_result scan_member(scanner *s)
{
    if (peek(s) != '"') {
        return fail(s, "a member's name in double quotes was expected");
    }
    DV_TRY(scan_string(s, DV_JSON_KEY));
    skip_space(s);
    if (peek(s) != ':') {
        return fail(s, "':' was expected after a member's name");
    }
    s->p++;
    skip_space(s);
    return scan_value(s);
}

/* One element or member of the innermost container, or its end. */
static inline dv_result scan_step(scanner *s)
{
    bool object = in_object(s);
    skip_space(s);
    if (peek(s) == (object ? '}' : ']')) {
        return close_container(s);
    }
    if (!s->fresh) {
        if (peek(s) != ',') {
            return fail(s, object ? "',' or '}' was expected" : "',' or ']' was expected");
        }
        s->p++;
        skip_space(s);
    }
    return object ? scan_member(s) : scan_value(s);
}

static dv_result scan_text(scanner *s)
{
    skip_space(s);
    DV_TRY(scan_value(s));
    while (s->depth > 0) {
        DV_TRY(scan_step(s));
    }
    skip_space(s);
    if (s->p != s->end) {
        return fail(s, "nothing may follow the JSON value");
    }
    return DV_OK;
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
                 .p = text.ptr,
                 .end = text.ptr + text.len,
                 .limits = limits,
                 .arena = arena,
                 .error = error,
                 .open = NO_CONTAINER};
    size_t valid = dv_utf8_prefix(text);
    if (valid != text.len) {
        return fail_at(&s, text.ptr + valid, DV_ERR_INVALID, "the JSON text is not UTF-8");
    }
    DV_TRY(scan_text(&s));
    *ret_json = s.json;
    return DV_OK;
}

/* ---- reading the tape ---- */

dv_slice dv_json_raw(const dv_json *json, uint32_t token)
{
    const dv_json_token *t = &json->tokens[token];
    return dv_slice_of(json->text.ptr + t->start, t->len);
}

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

uint32_t dv_json_member(const dv_json *json, uint32_t object, const char *name)
{
    if (object >= json->count || json->tokens[object].type != DV_JSON_OBJECT) {
        return 0;
    }
    dv_slice wanted = dv_slice_str(name);
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

dv_result dv_json_string(const dv_json *json, uint32_t token, dv_arena *arena, dv_slice *ret_text)
{
    const dv_json_token *t = &json->tokens[token];
    if (t->type != DV_JSON_STRING && t->type != DV_JSON_KEY) {
        return DV_ERR_INVALID;
    }
    dv_slice raw = dv_json_raw(json, token);
    if (!t->escaped) {
        *ret_text = raw;
        return DV_OK;
    }
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
