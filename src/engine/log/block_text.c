/* SPDX-License-Identifier: Apache-2.0 */
/* Text anywhere in a block: looked for in all texts of its dictionary at once, and in all UUIDs.
 * Sealed texts are opened where their length lets them hold it. */
#include "engine/log/block_searcher.h"

enum { UUID_TEXT = 36 };

/* The dictionary. */
typedef struct texts {
    const uint32_t *ends;
    const uint8_t *bytes;
    uint32_t count;
} texts;

static dv_slice text_of(const texts *t, uint32_t number)
{
    uint32_t start = number == 0 ? 0 : t->ends[number - 1];
    return dv_slice_of(t->bytes + start, t->ends[number] - start);
}

/* -- texts as they are ------------------------------------------------------------------------- */

/* Whose text the byte is. */
static uint32_t text_at(const texts *t, uint32_t offset)
{
    uint32_t low = 0, high = t->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->ends[middle] <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Text that was written with \u or \/ reads otherwise; each such text is looked at by itself. */
static bool is_odd(dv_slice text)
{
    const uint8_t *at = text.ptr, *end = text.ptr + text.len;
    while (at < end && (at = memchr(at, '\\', (size_t)(end - at))) != NULL && end - at >= 2) {
        if (at[1] == 'u' || at[1] == '/') {
            return true;
        }
        at++;
    }
    return false;
}

static dv_result note_text(dv_block_searcher *s, const dv_query_node *node, const texts *t,
                           uint32_t number, bool *ret_any)
{
    dv_slice text;
    DV_TRY(dv_block_text_read(s, text_of(t, number), &text));
    bool holds = dv_query_term_holds(node, text, DV_JSON_STRING);
    s->seen[number] = holds ? DV_KNOWN_YES : DV_KNOWN_NO;
    *ret_any = *ret_any || holds;
    return DV_OK;
}

static dv_result note_odd_texts(dv_block_searcher *s, const dv_query_node *node, const texts *t,
                                bool *ret_any)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (is_odd(text_of(t, i))) {
            DV_TRY(note_text(s, node, t, i, ret_any));
        }
    }
    return DV_OK;
}

static dv_result note_texts(dv_block_searcher *s, const dv_query_node *node, const texts *t,
                            bool *ret_any)
{
    ptrdiff_t found;
    dv_slice all = dv_slice_of(t->bytes, t->ends[t->count - 1]);
    memset(s->seen, DV_KNOWN_NO, s->seen_max);
    *ret_any = false;
    if (is_odd(all)) {
        DV_TRY(note_odd_texts(s, node, t, ret_any));
    }
    for (uint32_t at = 0;
         (found = dv_query_find(dv_slice_sub(all, at, all.len), node->needle)) >= 0;) {
        uint32_t number = text_at(t, at + (uint32_t)found);
        if (at + (size_t)found + node->needle.len > t->ends[number]) {
            at += (uint32_t)found + 1; /* over the end of one text */
            continue;
        }
        DV_TRY(note_text(s, node, t, number, ret_any));
        at = t->ends[number];
    }
    return DV_OK;
}

/* -- sealed texts ------------------------------------------------------------------------------ */

/* What a sealed text reads as in most columns: in those of another type than text, what is gone is
 * not there at all. */
static dv_result note_opened(dv_block_searcher *s, const dv_query_node *node, const texts *t,
                             uint32_t number, dv_known *ret_known)
{
    dv_slice text, raw = text_of(t, number);
    dv_json_type type;
    switch (s->opener->open(s->opener->data, DV_LIT(""), raw, &text, &type)) {
    case DV_OPENED_NOT:
        *ret_known = (dv_known)s->seen[number];
        return DV_OK;
    case DV_OPENED_ODD:
        *ret_known = DV_KNOWN_MAYBE;
        return DV_OK;
    default:
        break;
    }
    bool holds = type != DV_JSON_NULL && dv_query_term_holds(node, text, type);
    bool depends = holds && dv_query_term_holds(node, s->opener->gone, DV_JSON_STRING);
    *ret_known = depends ? DV_KNOWN_MAYBE : holds ? DV_KNOWN_YES : DV_KNOWN_NO;
    return DV_OK;
}

/* Whether the text is to be opened for the term. */
static bool is_opened(const dv_block_searcher *s, const dv_query_node *node, const texts *t,
                      uint32_t number)
{
    dv_slice raw = text_of(t, number);
    return dv_slice_starts_with(raw, s->opener->mark) &&
           (s->seen[number] == DV_KNOWN_YES || !dv_block_rules_out(s, node, raw.len));
}

/* What was opened before lies all over the memory: waiting for it would take longer than the rest.
 */
static void expect(const dv_block_searcher *s, const dv_query_node *node, const texts *t,
                   uint32_t number, bool soon)
{
    if (number < t->count && is_opened(s, node, t, number)) {
        s->opener->expect(s->opener->data, text_of(t, number), soon);
    }
}

/* Fills `opened`, of all texts. */
static dv_result note_sealed(dv_block_searcher *s, const dv_query_node *node, const texts *t,
                             bool *ret_any)
{
    enum { AHEAD = 16 };
    dv_slice mark = s->opener->mark;
    memcpy(s->opened, s->seen, t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        expect(s, node, t, i + AHEAD, false);
        expect(s, node, t, i + AHEAD / 2, true);
        if (!dv_slice_starts_with(text_of(t, i), mark)) {
            continue;
        }
        dv_known what = DV_KNOWN_NO;
        DV_TRY(is_opened(s, node, t, i) ? note_opened(s, node, t, i, &what) : DV_OK);
        s->opened[i] = (uint8_t)what;
        *ret_any = *ret_any || what != DV_KNOWN_NO;
    }
    return DV_OK;
}

/* -- columns of texts -------------------------------------------------------------------------- */

static dv_result take_column(dv_block_searcher *s, uint32_t index, const uint8_t *verdicts,
                             uint32_t count, dv_found *rows)
{
    const dv_column *column = dv_block_column_about(s->block, index);
    if (column->predictor == DV_PREDICT_CONSTANT && column->base >= 0 && column->base < count &&
        verdicts[column->base] == DV_KNOWN_NO) {
        return DV_OK;
    }
    DV_TRY(dv_block_column(s->block, index, &column, s->error));
    for (uint32_t i = 0; i < column->count; i++) {
        dv_known what = (dv_known)verdicts[column->values[i]];
        if (what != DV_KNOWN_NO) {
            dv_found_note(rows, column->rows[i], what, true);
        }
    }
    return DV_OK;
}

static dv_result search_texts(dv_block_searcher *s, const dv_query_node *node, dv_found *rows)
{
    bool plain = false, sealed = false;
    texts t = {.count = dv_block_about(s->block)->texts};
    if (t.count == 0) {
        return DV_OK;
    }
    DV_TRY(dv_block_texts(s->block, &t.ends, &t.bytes, s->error));
    DV_TRY(note_texts(s, node, &t, &plain));
    if (s->opener != NULL) {
        DV_TRY(note_sealed(s, node, &t, &sealed));
    }
    for (uint32_t i = 0; (plain || sealed) && i < dv_block_about(s->block)->columns; i++) {
        const dv_column *column = dv_block_column_about(s->block, i);
        if (column->type == DV_SLOT_TEXT && column->count > 0) {
            bool personal = dv_block_is_personal(s, i);
            if (plain || personal) {
                DV_TRY(take_column(s, i, personal ? s->opened : s->seen, t.count, rows));
            }
        }
    }
    return DV_OK;
}

/* -- UUIDs ------------------------------------------------------------------------------------- */

/* Whether the needle can stand in a value that is made of these bytes alone. */
static bool is_made_of(dv_slice needle, const char *bytes)
{
    for (size_t i = 0; i < needle.len; i++) {
        if (needle.ptr[i] == '\0' || strchr(bytes, needle.ptr[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static uint8_t digit_of(uint8_t hex)
{
    return hex <= '9' ? (uint8_t)(hex - '0') : (uint8_t)(hex - 'a' + 10);
}

/* The most digits in a row. */
static dv_slice longest_run(dv_slice needle)
{
    dv_slice best = {NULL, 0}, run;
    while (dv_slice_split(&needle, '-', &run)) {
        best = run.len > best.len ? run : best;
    }
    return best;
}

static bool uuid_holds(const dv_query_node *node, const uint8_t *uuid)
{
    uint8_t text[UUID_TEXT];
    dv_block_uuid_write(uuid, text);
    return dv_query_find(dv_slice_of(text, sizeof(text)), node->text) >= 0;
}

/* Digits as the bytes that they make, from the first digit on or from the second. */
static size_t pack_digits(dv_slice run, size_t from, uint8_t out[UUID_TEXT / 2])
{
    size_t len = 0;
    for (size_t i = from; i + 1 < run.len && len < UUID_TEXT / 2; i += 2) {
        out[len++] = (uint8_t)(digit_of(run.ptr[i]) << 4 | digit_of(run.ptr[i + 1]));
    }
    return len;
}

/* Looks for the bytes in all UUIDs at once, and at those where they stand. */
static void note_packed(dv_block_searcher *s, const dv_query_node *node, dv_slice all,
                        dv_slice packed, bool *ret_any)
{
    ptrdiff_t found;
    for (size_t at = 0; (found = dv_slice_find(dv_slice_sub(all, at, all.len), packed)) >= 0;) {
        size_t number = (at + (size_t)found) / DV_BLOCK_UUID;
        if (s->seen[number] == DV_KNOWN_NO && uuid_holds(node, all.ptr + number * DV_BLOCK_UUID)) {
            s->seen[number] = DV_KNOWN_YES;
            *ret_any = true;
        }
        at += (size_t)found + 1;
    }
}

static dv_result note_uuids(dv_block_searcher *s, const dv_query_node *node, bool *ret_any)
{
    const uint8_t *uuids;
    uint8_t packed[UUID_TEXT / 2];
    uint32_t count = dv_block_about(s->block)->uuids;
    dv_slice run = longest_run(node->text);
    DV_TRY(dv_block_uuids(s->block, &uuids, s->error));
    dv_slice all = dv_slice_of(uuids, (size_t)count * DV_BLOCK_UUID);
    memset(s->seen, DV_KNOWN_NO, s->seen_max);
    *ret_any = false;
    if (run.len >= 3) { /* one whole byte from each of both digits on */
        note_packed(s, node, all, dv_slice_of(packed, pack_digits(run, 0, packed)), ret_any);
        note_packed(s, node, all, dv_slice_of(packed, pack_digits(run, 1, packed)), ret_any);
        return DV_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (uuid_holds(node, uuids + (size_t)i * DV_BLOCK_UUID)) {
            s->seen[i] = DV_KNOWN_YES;
            *ret_any = true;
        }
    }
    return DV_OK;
}

static dv_result search_uuids(dv_block_searcher *s, const dv_query_node *node, dv_found *rows)
{
    bool any;
    uint32_t count = dv_block_about(s->block)->uuids;
    if (count == 0 || !is_made_of(node->text, "0123456789abcdef-") || node->text.len > UUID_TEXT) {
        return DV_OK;
    }
    DV_TRY(note_uuids(s, node, &any));
    for (uint32_t i = 0; any && i < dv_block_about(s->block)->columns; i++) {
        const dv_column *column = dv_block_column_about(s->block, i);
        if (column->type == DV_SLOT_UUID && column->count > 0) {
            DV_TRY(take_column(s, i, s->seen, count, rows));
        }
    }
    return DV_OK;
}

/* -- all --------------------------------------------------------------------------------------- */

dv_result dv_block_search_text(dv_block_searcher *s, const dv_query_node *node, dv_found *rows)
{
    bool digits = is_made_of(node->text, "0123456789-");
    DV_TRY(search_texts(s, node, rows));
    DV_TRY(search_uuids(s, node, rows));
    for (uint32_t i = 0; i < dv_block_about(s->block)->columns; i++) {
        const dv_column *column = dv_block_column_about(s->block, i);
        if (column->type == DV_SLOT_WORD || (column->type == DV_SLOT_INT && digits)) {
            DV_TRY(dv_block_judge_column(s, node, i, true, rows));
        }
    }
    return DV_OK;
}
