/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/gate_private.h"

#include "base/caps.h"
#include "engine/detect/encoded.h"

/* JSON bodies.
 *
 * 1. Every name, every string and every long whole number is searched, decoded; strings that are
 *    JSON themselves are documents of their own, to a depth of NESTED_MAX.
 * 2. All of them are joined with NULs and searched at once: a NUL ends every value, and a name
 *    ("phone") gives its value the context that it would have in prose.
 * 3. An edit is made in the innermost document and carried outwards, escaped once for each level,
 *    so every level stays valid JSON and no other byte changes. */

enum {
    NESTED_MAX = 4, /* strings within strings */
    NUMBER_MIN = 8, /* digits that can be a value */
    BLOCK = 16,     /* bytes of a short text that are copied at once */
    FIRST_PARTS = 64,
    POINTER_MAX = 512, /* of a place, in bytes; more is cut */
};

typedef struct part {
    uint32_t document;
    uint32_t token;
    size_t start; /* in the joined text */
    size_t end;
    bool whole; /* the text is not the token's own bytes: the token is edited as a whole */
    dv_json_place cursor;
} part;

typedef struct document {
    dv_json json;
    uint32_t carrier; /* the part that this is the text of; NONE: the body */
    uint32_t nested;
    uint32_t *parents; /* of each token; made when a place is asked for */
    uint32_t *ordinals;
} document;

enum { NONE = UINT32_MAX };

typedef struct inspection {
    dv_data_pass *pass;
    const uint8_t *skip;
    document *documents;
    uint32_t document_count;
    uint32_t document_room;
    part *parts;
    uint32_t part_count;
    uint32_t part_room;
    uint8_t *text; /* all parts, a NUL behind each */
    size_t text_len;
    size_t text_room;
    dv_data_edits *edits;
    uint32_t edited; /* the last part that was edited as a whole */
    document body;   /* the first document; most bodies have no other */
} inspection;

/* ---- growing ---- */

/* Makes room for one more item, or for `first` of them. */
static dv_result grow(dv_arena *arena, void **items, uint32_t count, uint32_t *room, uint32_t first,
                      size_t size)
{
    uint32_t bigger_room = *room == 0 ? first : *room * 2;
    void *bigger = dv_arena_alloc_raw(arena, bigger_room * size);
    if (bigger == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (count > 0) {
        memcpy(bigger, *items, count * size);
    }
    *items = bigger;
    *room = bigger_room;
    return DV_OK;
}

static dv_result add_document(inspection *in, const dv_json *json, uint32_t carrier,
                              uint32_t nested)
{
    if (in->document_count == in->document_room) {
        void *items = in->documents;
        DV_TRY(grow(in->pass->temp, &items, in->document_count, &in->document_room, 1,
                    sizeof(*in->documents)));
        in->documents = items;
    }
    in->documents[in->document_count++] =
        (document){.json = *json, .carrier = carrier, .nested = nested};
    return DV_OK;
}

static dv_result grow_parts(inspection *in)
{
    uint32_t tokens = in->documents[0].json.count;
    void *items = in->parts;
    DV_TRY(grow(in->pass->temp, &items, in->part_count, &in->part_room,
                DV_MIN(tokens, (uint32_t)FIRST_PARTS), sizeof(*in->parts)));
    in->parts = items;
    return DV_OK;
}

/* Its text is what is joined next. */
static inline dv_result add_part(inspection *in, uint32_t document_index, uint32_t token,
                                 size_t len)
{
    if (in->part_count == in->part_room) {
        DV_TRY(grow_parts(in));
    }
    in->parts[in->part_count++] = (part){.document = document_index,
                                         .token = token,
                                         .start = in->text_len,
                                         .end = in->text_len + len};
    return DV_OK;
}

/* Makes room for `len` more bytes and a NUL in the joined text. */
static dv_result reserve_text(inspection *in, size_t len)
{
    size_t needed = in->text_len + len + 1;
    size_t room = DV_MAX(needed, in->text_room * 2);
    uint8_t *bigger = dv_arena_alloc_raw(in->pass->temp, room);
    if (bigger == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (in->text_len > 0) {
        memcpy(bigger, in->text, in->text_len);
    }
    in->text = bigger;
    in->text_room = room;
    return DV_OK;
}

/* `readable`: bytes from the text's first on, its own and those behind it. */
static inline dv_result add_text(inspection *in, uint32_t document_index, uint32_t token,
                                 dv_slice text, size_t readable)
{
    if (in->text_room - in->text_len <= text.len) {
        DV_TRY(reserve_text(in, text.len));
    }
    DV_TRY(add_part(in, document_index, token, text.len));
    uint8_t *out = in->text + in->text_len;
    if (text.len <= BLOCK && readable >= BLOCK && in->text_room - in->text_len >= BLOCK) {
        memcpy(out, text.ptr, BLOCK); /* what is too much is written over */
    } else if (text.len > 0) {
        memcpy(out, text.ptr, text.len);
    }
    out[text.len] = '\0';
    in->text_len += text.len + 1;
    return DV_OK;
}

/* ---- collecting ---- */

static inline bool could_be_json(dv_slice text)
{
    size_t at = 0;
    while (at < text.len && text.ptr[at] <= ' ') {
        at++;
    }
    return at + 1 < text.len && (text.ptr[at] == '{' || text.ptr[at] == '[' || text.ptr[at] == '"');
}

/* Adds the document that the string is, if it is one. */
static dv_result try_nested(inspection *in, uint32_t document_index, uint32_t token, dv_slice text,
                            bool *ret_nested)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH,
                                          .tokens = DV_LIMIT_JSON_TOKENS};
    dv_json json;
    uint32_t nested = in->documents[document_index].nested + 1;
    dv_result result = dv_json_scan(text, &limits, in->pass->temp, &json, NULL);
    if (result == DV_ERR_INVALID) {
        return DV_OK; /* text that only begins like JSON */
    }
    DV_TRY(result);
    if (nested > NESTED_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    uint32_t carrier = in->part_count;
    DV_TRY(add_part(in, document_index, token, 0));
    *ret_nested = true;
    return add_document(in, &json, carrier, nested);
}

/* A string of UTF-16 that was taken for bytes is shown as what it means. */
static dv_result collect_wide(inspection *in, uint32_t document_index, uint32_t token,
                              dv_slice text, bool *ret_wide)
{
    dv_slice meant = {NULL, 0};
    DV_TRY(dv_encoded_utf16(text, in->pass->temp, &meant));
    if (meant.len == 0) {
        return DV_OK;
    }
    DV_TRY(add_text(in, document_index, token, meant, meant.len));
    in->parts[in->part_count - 1].whole = true;
    *ret_wide = true;
    return DV_OK;
}

static inline dv_result collect_string(inspection *in, const dv_json *json, uint32_t document_index,
                                       uint32_t token)
{
    const dv_json_token *t = &json->tokens[token];
    dv_slice text;
    DV_TRY(dv_json_string(json, token, in->pass->temp, &text));
    if (t->type == DV_JSON_STRING && could_be_json(text)) {
        bool nested = false;
        DV_TRY(try_nested(in, document_index, token, text, &nested));
        if (nested) {
            return DV_OK;
        }
    }
    if (t->escaped && in->pass->policy->decode && memchr(text.ptr, 0, text.len) != NULL) {
        bool wide = false;
        DV_TRY(collect_wide(in, document_index, token, text, &wide));
        if (wide) {
            return DV_OK;
        }
    }
    return add_text(in, document_index, token, text,
                    t->escaped ? text.len : json->text.len - t->start);
}

static size_t count_digits(dv_slice text)
{
    size_t count = 0;
    while (count < text.len && text.ptr[count] >= '0' && text.ptr[count] <= '9') {
        count++;
    }
    return count;
}

/* The exponent of a number's text, from its 'e' on; INT_MAX when it is absurdly large. */
static int exponent_of(dv_slice text)
{
    if (text.len == 0) {
        return 0;
    }
    bool negative = text.ptr[1] == '-';
    text = dv_slice_sub(text, text.ptr[1] == '-' || text.ptr[1] == '+' ? 2 : 1, text.len);
    int value = 0;
    for (size_t i = 0; i < text.len; i++) {
        value = value > 9999 ? 9999 : value * 10 + (text.ptr[i] - '0');
    }
    return negative ? -value : value;
}

/* A number as text: data frames write whole numbers as 4111111111111111.0. */
typedef struct number_text {
    dv_slice whole;  /* sign and digits before the point */
    size_t fraction; /* significant digits behind it */
    int exponent;
} number_text;

static number_text read_number(dv_slice raw)
{
    size_t sign = raw.ptr[0] == '-' ? 1 : 0;
    size_t whole = sign + count_digits(dv_slice_sub(raw, sign, raw.len));
    number_text number = {.whole = dv_slice_sub(raw, 0, whole)};
    dv_slice rest = dv_slice_sub(raw, whole, raw.len);
    if (rest.len > 0 && rest.ptr[0] == '.') {
        size_t digits = count_digits(dv_slice_sub(rest, 1, rest.len));
        number.fraction = digits;
        while (number.fraction > 0 && rest.ptr[number.fraction] == '0') {
            number.fraction--;
        }
        rest = dv_slice_sub(rest, 1 + digits, rest.len);
    }
    number.exponent = exponent_of(rest);
    return number;
}

/* Whole numbers only: card numbers come as numbers, embeddings do not hide any. A long whole number
 * that is written with an exponent can't be shown to the detectors, and nobody writes it so without
 * a purpose. */
static dv_result collect_number(inspection *in, uint32_t document_index, uint32_t token,
                                dv_slice raw)
{
    number_text number = read_number(raw);
    if (number.exponent == 0) {
        return number.fraction == 0 && number.whole.len >= NUMBER_MIN
                   ? add_text(in, document_index, token, number.whole, number.whole.len)
                   : DV_OK;
    }
    if (in->pass->policy->rewrites && number.exponent >= (int)number.fraction &&
        number.whole.len + number.fraction >= NUMBER_MIN) {
        dv_data_pass_deny(in->pass, "a long whole number has an exponent");
    }
    return DV_OK;
}

static inline bool could_repeat_tokens(const dv_json_token *key)
{
    return key->escaped || key->len == sizeof("logprobs") - 1 ||
           key->len == sizeof("prompt_logprobs") - 1;
}

/* Log probabilities repeat the answer token by token, so that no value could be seen in them. */
static bool repeats_tokens(const dv_json *json, uint32_t key, dv_arena *arena)
{
    dv_slice name;
    if (dv_json_string(json, key, arena, &name) != DV_OK) {
        return true;
    }
    const dv_json_token *value = &json->tokens[key + 1];
    bool container = value->type == DV_JSON_OBJECT || value->type == DV_JSON_ARRAY;
    return container && value->next > key + 2 &&
           (dv_slice_eq_str(name, "logprobs") || dv_slice_eq_str(name, "prompt_logprobs"));
}

static inline dv_result collect_token(inspection *in, const dv_json *json, uint32_t document_index,
                                      uint32_t token)
{
    const dv_json_token *t = &json->tokens[token];
    switch ((dv_json_type)t->type) {
    case DV_JSON_KEY:
        if (document_index == 0 && in->pass->answer && in->pass->policy->rewrites &&
            could_repeat_tokens(t) && repeats_tokens(json, token, in->pass->temp)) {
            dv_data_pass_deny(in->pass, "log probabilities can not be masked");
        }
        return collect_string(in, json, document_index, token);
    case DV_JSON_STRING:
        return collect_string(in, json, document_index, token);
    case DV_JSON_NUMBER:
        return t->len < NUMBER_MIN
                   ? DV_OK
                   : collect_number(in, document_index, token, dv_json_raw(json, token));
    default:
        return DV_OK;
    }
}

/* Documents found on the way are appended, so one loop sees them all. */
static dv_result collect(inspection *in)
{
    for (uint32_t d = 0; d < in->document_count; d++) {
        const dv_json json = in->documents[d].json; /* the list may move */
        for (uint32_t token = 0; token < json.count; token++) {
            if (d == 0 && in->skip != NULL && in->skip[token] != 0) {
                continue;
            }
            DV_TRY(collect_token(in, &json, d, token));
        }
    }
    return DV_OK;
}

/* ---- places ---- */

static bool is_container(const dv_json_token *token)
{
    return token->type == DV_JSON_OBJECT || token->type == DV_JSON_ARRAY;
}

/* One pass over the tape that notes each token's container, and its index or name there. */
static dv_result index_document(dv_arena *arena, document *d)
{
    uint32_t open[DV_LIMIT_JSON_DEPTH + 2];
    uint32_t seen[DV_LIMIT_JSON_DEPTH + 2];
    size_t depth = 0;
    d->parents = dv_arena_alloc_raw(arena, d->json.count * sizeof(uint32_t));
    d->ordinals = dv_arena_alloc_raw(arena, d->json.count * sizeof(uint32_t));
    if (d->parents == NULL || d->ordinals == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < d->json.count; i++) {
        const dv_json_token *token = &d->json.tokens[i];
        while (depth > 0 && i >= d->json.tokens[open[depth - 1]].next) {
            depth--;
        }
        uint32_t parent = depth > 0 ? open[depth - 1] : NONE;
        d->parents[i] = parent;
        if (parent == NONE) {
            d->ordinals[i] = 0;
        } else if (d->json.tokens[parent].type == DV_JSON_ARRAY) {
            d->ordinals[i] = seen[depth - 1]++;
        } else {
            d->ordinals[i] = token->type == DV_JSON_KEY ? i : i - 1; /* the name's token */
        }
        if (is_container(token)) {
            if (depth == DV_ARRAY_LEN(open)) {
                return DV_ERR_TOO_LARGE;
            }
            open[depth] = i;
            seen[depth++] = 0;
        }
    }
    return DV_OK;
}

/* Puts the text in front of what is there; what does not fit is dropped. */
static void prepend(char *pointer, size_t *start, dv_slice text)
{
    for (size_t i = text.len; i > 0; i--) {
        dv_slice written = dv_json_step_byte(&text.ptr[i - 1]);
        if (*start < written.len + 1) {
            return;
        }
        *start -= written.len;
        memcpy(pointer + *start, written.ptr, written.len);
    }
}

/* A name is outside text: what was found in it must not stand in an event, so a place goes only
 * through names that hold nothing. */
static bool name_is_clean(dv_data_pass *pass, dv_slice name)
{
    return name.len <= 64 && dv_data_pass_is_clean(pass, name);
}

static void prepend_step(dv_data_pass *pass, const document *d, uint32_t token, char *pointer,
                         size_t *start)
{
    uint32_t parent = d->parents[token];
    if (d->json.tokens[parent].type == DV_JSON_ARRAY) {
        char number[16];
        int len = snprintf(number, sizeof(number), "%u", d->ordinals[token]);
        prepend(pointer, start, dv_slice_of(number, (size_t)len));
    } else {
        dv_slice name = dv_json_raw(&d->json, d->ordinals[token]);
        prepend(pointer, start, name_is_clean(pass, name) ? name : DV_LIT("*"));
    }
    if (*start > 1) {
        pointer[--*start] = '/';
    }
}

static const char *root_of(const dv_data_pass *pass)
{
    return pass->root != NULL ? pass->root : "";
}

/* JSON pointer of a part; within a nested document its own pointer follows its carrier's. */
static dv_result make_place(inspection *in, uint32_t part_index, const char **ret_place)
{
    char pointer[POINTER_MAX];
    size_t start = sizeof(pointer) - 1;
    pointer[start] = '\0';
    while (part_index != NONE) {
        const part *p = &in->parts[part_index];
        document *d = &in->documents[p->document];
        if (d->parents == NULL) {
            DV_TRY(index_document(in->pass->temp, d));
        }
        for (uint32_t token = p->token; d->parents[token] != NONE; token = d->parents[token]) {
            prepend_step(in->pass, d, token, pointer, &start);
        }
        part_index = d->carrier;
    }
    *ret_place = dv_arena_printf(in->pass->temp, "%s%s", root_of(in->pass), pointer + start);
    return *ret_place == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

/* ---- editing ---- */

/* Carries an edit of a part's decoded text outwards to the body's text. */
static dv_result carry(inspection *in, uint32_t part_index, size_t start, size_t end, dv_slice text)
{
    dv_arena *arena = in->pass->temp;
    for (;;) {
        part *p = &in->parts[part_index];
        const document *d = &in->documents[p->document];
        const dv_json_token *token = &d->json.tokens[p->token];
        dv_slice raw = dv_json_raw(&d->json, p->token);
        DV_TRY(dv_data_escape(text, arena, &text));
        if (token->type == DV_JSON_NUMBER) { /* it becomes a string */
            const char *quoted = dv_arena_printf(arena, "\"%.*s%.*s%.*s\"", (int)start,
                                                 (const char *)raw.ptr, DV_SLICE_ARGS(text),
                                                 (int)(raw.len - end), (const char *)raw.ptr + end);
            if (quoted == NULL) {
                return DV_ERR_NO_MEMORY;
            }
            text = dv_slice_str(quoted);
            start = 0;
            end = raw.len;
        } else if (token->escaped) {
            start = dv_json_raw_offset_from(raw, &p->cursor, start);
            end = dv_json_raw_offset_from(raw, &p->cursor, end);
        }
        start += token->start;
        end += token->start;
        if (d->carrier == NONE) {
            return dv_data_edits_add(in->edits, arena, start, end, text);
        }
        part_index = d->carrier;
    }
}

/* The same for a part that is edited as a whole. */
static dv_result apply_whole(inspection *in, uint32_t part_index, const dv_data_hit *hit)
{
    const part *p = &in->parts[part_index];
    const char *place = NULL;
    dv_slice instead = {NULL, 0};
    dv_slice text;
    if (hit->finding == NULL) {
        return DV_OK; /* placeholders are not written so */
    }
    dv_finding finding = *hit->finding;
    finding.encoded = true;
    DV_TRY(make_place(in, part_index, &place));
    DV_TRY(dv_json_string(&in->documents[p->document].json, p->token, in->pass->temp, &text));
    const dv_data_hit all = {0, text.len, &finding, {NULL, 0}};
    DV_TRY(dv_data_pass_decide(in->pass, text, &all, place, &instead));
    if (instead.ptr == NULL || in->edited == part_index) {
        return DV_OK;
    }
    in->edited = part_index;
    return carry(in, part_index, 0, text.len, instead);
}

static dv_result apply_hit(inspection *in, uint32_t part_index, const dv_data_hit *hit)
{
    const part *p = &in->parts[part_index];
    const char *place = NULL;
    dv_slice text = {NULL, 0};
    if (p->whole) {
        return apply_whole(in, part_index, hit);
    }
    if (hit->finding != NULL) {
        DV_TRY(make_place(in, part_index, &place));
    }
    DV_TRY(dv_data_pass_decide(in->pass, dv_slice_of(in->text, in->text_len), hit, place, &text));
    if (text.ptr == NULL) {
        return DV_OK;
    }
    return carry(in, part_index, hit->start - p->start, hit->end - p->start, text);
}

/* A number is edited once as a whole, so a second hit in it changes nothing more. */
static bool edits_again(const inspection *in, uint32_t part_index, uint32_t last)
{
    const part *p = &in->parts[part_index];
    return part_index == last &&
           in->documents[p->document].json.tokens[p->token].type == DV_JSON_NUMBER;
}

static dv_result apply_hits(inspection *in, const dv_data_hit *hits, size_t count)
{
    uint32_t at = 0;
    uint32_t last = NONE;
    for (size_t i = 0; i < count; i++) {
        while (at < in->part_count && in->parts[at].end <= hits[i].start) {
            at++;
        }
        if (at == in->part_count || hits[i].start < in->parts[at].start ||
            hits[i].end > in->parts[at].end) {
            return DV_ERR_INTERNAL; /* a value that crosses a NUL */
        }
        if (!edits_again(in, at, last)) {
            DV_TRY(apply_hit(in, at, &hits[i]));
        }
        last = at;
    }
    return DV_OK;
}

/* What was met of own data, each where it ends. What stands across several texts is told there. */
static dv_result tell_met(inspection *in)
{
    const dv_data_mets *mets = &in->pass->mets;
    for (size_t i = 0; i < mets->count; i++) {
        const dv_data_met *met = &mets->list[i];
        const char *place = NULL;
        uint32_t low = 0;
        uint32_t high = in->part_count;
        while (low < high) { /* the first part that ends there or behind */
            uint32_t middle = low + (high - low) / 2;
            bool before = in->parts[middle].end < met->end;
            low = before ? middle + 1 : low;
            high = before ? high : middle;
        }
        if (low == in->part_count) {
            return DV_ERR_INTERNAL;
        }
        DV_TRY(make_place(in, low, &place));
        DV_TRY(dv_data_pass_meet(in->pass, met, place));
    }
    return DV_OK;
}

dv_result dv_data_body_inspect(dv_data_pass *pass, const dv_json *body, const uint8_t *skip,
                               dv_data_edits *edits)
{
    inspection in = {
        .pass = pass, .skip = skip, .edits = edits, .edited = NONE, .document_room = 1};
    in.documents = &in.body;
    dv_data_hit *hits = NULL;
    size_t count = 0;
    DV_TRY(reserve_text(&in, body->text.len));
    DV_TRY(add_document(&in, body, NONE, 0));
    DV_TRY(collect(&in));
    DV_TRY(dv_data_pass_search(pass, dv_slice_of(in.text, in.text_len), 0, &hits, &count));
    /* First, since records list the first sightings: many of others do not hide these. */
    DV_TRY(tell_met(&in));
    return apply_hits(&in, hits, count);
}

/* ---- entries ---- */

dv_result dv_data_pass_finish(dv_data_pass *pass, dv_result result, dv_data_edits *edits,
                              dv_slice text, dv_data_outcome *ret_outcome)
{
    dv_data_outcome outcome = {.body = text};
    if (result == DV_OK && edits->count > 0) {
        outcome.changed = true;
        result = dv_data_edits_apply(edits, text, pass->arena, &outcome.body);
    }
    if (result == DV_ERR_TOO_LARGE) {
        dv_data_pass_deny(pass, "too much, or too deeply nested, to be inspected");
        outcome = (dv_data_outcome){.body = text};
        result = DV_OK;
    }
    if (result == DV_ERR_AGAIN) {
        return result;
    }
    if (result != DV_OK) {
        dv_verdict_deny(pass->verdict, DV_REASON_INTERNAL, "the content was not inspected");
        return result;
    }
    outcome.sightings = pass->sightings;
    outcome.sighting_count = pass->sighting_count;
    memcpy(outcome.values, pass->values, sizeof(outcome.values));
    *ret_outcome = outcome;
    return DV_OK;
}

static dv_result inspect_json(dv_data_pass *pass, const dv_json *body, dv_data_outcome *ret_outcome)
{
    dv_data_edits edits = {0};
    dv_result result = dv_data_body_inspect(pass, body, NULL, &edits);
    return dv_data_pass_finish(pass, result, &edits, body->text, ret_outcome);
}

dv_result dv_data_gate_request(dv_data_gate *gate, const dv_data_policy *policy,
                               dv_data_context *context, const dv_json *body, dv_arena *arena,
                               dv_data_outcome *ret_outcome, dv_verdict *verdict)
{
    dv_data_pass pass = {.gate = gate,
                         .policy = policy,
                         .context = context,
                         .verdict = verdict,
                         .answer = false,
                         .arena = arena,
                         .temp = arena};
    return inspect_json(&pass, body, ret_outcome);
}

dv_result dv_data_gate_answer(dv_data_gate *gate, const dv_data_policy *policy,
                              dv_data_context *context, const dv_json *body, dv_arena *arena,
                              dv_data_outcome *ret_outcome, dv_verdict *verdict)
{
    dv_data_pass pass = {.gate = gate,
                         .policy = policy,
                         .context = context,
                         .verdict = verdict,
                         .answer = true,
                         .arena = arena,
                         .temp = arena};
    return inspect_json(&pass, body, ret_outcome);
}

/* Searched before, with nothing found; placeholders are the context's own. */
static bool is_known(const dv_data_pass *pass, dv_slice text)
{
    dv_data_place place;
    return pass->policy->loss_on == 0 &&
           dv_known_texts_have(&pass->gate->known, text, &pass->policy->known) &&
           !(pass->answer && dv_data_placeholder_find(pass->context, text, 0, &place));
}

dv_result dv_data_text_inspect(dv_data_pass *pass, dv_slice text, dv_data_edits *edits)
{
    const char *place = root_of(pass);
    dv_data_hit *hits = NULL;
    size_t count = 0;
    dv_data_custom_use(pass);
    if (is_known(pass, text)) {
        return DV_OK;
    }
    DV_TRY(dv_data_pass_search(pass, text, 0, &hits, &count));
    if (count == 0 && pass->policy->loss_on == 0) {
        dv_known_texts_add(&pass->gate->known, text, &pass->policy->known);
    }
    for (size_t i = 0; i < pass->mets.count; i++) {
        DV_TRY(dv_data_pass_meet(pass, &pass->mets.list[i], place));
    }
    for (size_t i = 0; i < count; i++) {
        dv_slice instead = {NULL, 0};
        DV_TRY(dv_data_pass_decide(pass, text, &hits[i], place, &instead));
        if (instead.ptr != NULL) {
            DV_TRY(dv_data_edits_add(edits, pass->temp, hits[i].start, hits[i].end, instead));
        }
    }
    return DV_OK;
}

dv_result dv_data_gate_text(dv_data_gate *gate, const dv_data_policy *policy,
                            dv_data_context *context, bool answer, dv_slice text, dv_arena *arena,
                            dv_data_outcome *ret_outcome, dv_verdict *verdict)
{
    dv_data_pass pass = {.gate = gate,
                         .policy = policy,
                         .context = context,
                         .verdict = verdict,
                         .answer = answer,
                         .arena = arena,
                         .temp = arena};
    dv_data_edits edits = {0};
    dv_result result = dv_data_text_inspect(&pass, text, &edits);
    return dv_data_pass_finish(&pass, result, &edits, text, ret_outcome);
}
