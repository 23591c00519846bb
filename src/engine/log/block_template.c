/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/block_template.h"

/* -- matching ---------------------------------------------------------------------------------- */

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static bool ends_word(uint8_t byte)
{
    return byte == ',' || byte == '}' || byte == ']' || is_space(byte);
}

/* Bytes before the closing quote; SIZE_MAX when there is none. */
static size_t text_len(const uint8_t *text, size_t len)
{
    size_t from = 0;
    while (from < len) {
        const uint8_t *quote = memchr(text + from, '"', len - from);
        if (quote == NULL) {
            break;
        }
        size_t end = (size_t)(quote - text), escapes = 0;
        while (escapes < end && text[end - escapes - 1] == '\\') {
            escapes++;
        }
        if (escapes % 2 == 0) {
            return end;
        }
        from = end + 1;
    }
    return SIZE_MAX;
}

static size_t word_len(const uint8_t *text, size_t len)
{
    size_t at = 0;
    while (at < len && !ends_word(text[at])) {
        at++;
    }
    return at;
}

static size_t digits_len(const uint8_t *text, size_t len)
{
    size_t at = 0;
    while (at < len && text[at] >= '0' && text[at] <= '9') {
        at++;
    }
    return at;
}

/* RFC 8259 section 6. */
static bool is_number(const uint8_t *text, size_t len)
{
    size_t at = len > 0 && text[0] == '-' ? 1 : 0;
    size_t digits = digits_len(text + at, len - at);
    if (digits == 0 || (digits > 1 && text[at] == '0')) {
        return false;
    }
    at += digits;
    if (at < len && text[at] == '.') {
        digits = digits_len(text + at + 1, len - at - 1);
        at += digits == 0 ? len : 1 + digits;
    }
    if (at < len && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        at += at < len && (text[at] == '+' || text[at] == '-') ? 1 : 0;
        digits = at < len ? digits_len(text + at, len - at) : 0;
        at += digits == 0 ? len + 1 : digits;
    }
    return at == len;
}

static bool is_word(const uint8_t *text, size_t len)
{
    dv_slice word = dv_slice_of(text, len);
    return dv_slice_eq_str(word, "true") || dv_slice_eq_str(word, "false") ||
           dv_slice_eq_str(word, "null") || is_number(text, len);
}

/* How many bytes of the leaf are the slot's value; SIZE_MAX when it can't be one. */
static size_t match_value(dv_slot_type type, dv_slice rest, dv_cut_value *value)
{
    size_t len = SIZE_MAX;
    if (type == DV_SLOT_TEXT) {
        len = text_len(rest.ptr, rest.len);
    } else if (type == DV_SLOT_WORD) {
        len = word_len(rest.ptr, rest.len);
        len = is_word(rest.ptr, len) ? len : SIZE_MAX;
    } else if (type == DV_SLOT_UUID) {
        len = dv_block_uuid_parse(rest.ptr, rest.len, value->uuid) ? 36 : SIZE_MAX;
    } else if (type == DV_SLOT_INT) {
        len = dv_block_int_parse(rest.ptr, rest.len, &value->number);
        len = len == 0 ? SIZE_MAX : len;
    }
    if (len != SIZE_MAX) {
        value->text = dv_slice_of(rest.ptr, len);
    }
    return len;
}

bool dv_template_match(const dv_template *shape, dv_slice leaf, dv_cut_value *values)
{
    const uint8_t *piece = shape->pieces;
    const uint8_t *at = leaf.ptr;
    const uint8_t *end = leaf.ptr + leaf.len;
    for (uint32_t i = 0; i < shape->slot_count; i++) {
        const dv_slot *slot = &shape->slots[i];
        if ((size_t)(end - at) < slot->piece_len || memcmp(at, piece, slot->piece_len) != 0) {
            return false;
        }
        at += slot->piece_len;
        piece += slot->piece_len;
        size_t len = match_value(slot->type, dv_slice_of(at, (size_t)(end - at)), &values[i]);
        if (len == SIZE_MAX) {
            return false;
        }
        at += len;
    }
    size_t tail = (size_t)(shape->pieces + shape->pieces_len - piece);
    return (size_t)(end - at) == tail && (tail == 0 || memcmp(at, piece, tail) == 0);
}

/* -- cutting ----------------------------------------------------------------------------------- */

typedef struct cutter {
    dv_slice leaf;
    size_t at;
    size_t piece; /* where the next piece begins */
    char path[DV_BLOCK_PATH_MAX];
    size_t path_len;
    int depth;
    dv_column_of column_of;
    void *data;
    dv_cut *cut;
} cutter;

static dv_result cut_value(cutter *c);

static uint8_t peek(const cutter *c)
{
    return c->at < c->leaf.len ? c->leaf.ptr[c->at] : 0;
}

static void skip_space(cutter *c)
{
    while (c->at < c->leaf.len && is_space(c->leaf.ptr[c->at])) {
        c->at++;
    }
}

static bool take_byte(cutter *c, uint8_t byte)
{
    skip_space(c);
    if (peek(c) != byte) {
        return false;
    }
    c->at++;
    return true;
}

static dv_result add_slot(cutter *c, dv_slot_type type, size_t len)
{
    dv_cut *cut = c->cut;
    if (cut->slot_count == DV_BLOCK_SLOTS_MAX) {
        return DV_ERR_INVALID;
    }
    dv_slot *slot = &cut->slots[cut->slot_count];
    dv_slice piece = dv_slice_of(c->leaf.ptr + c->piece, c->at - c->piece);
    slot->type = type;
    slot->piece_len = (uint32_t)piece.len;
    DV_TRY(c->column_of(c->data, dv_slice_of(c->path, c->path_len), type, &slot->column));
    DV_TRY(dv_buf_append(&cut->pieces, piece));
    cut->values[cut->slot_count].text = dv_slice_of(c->leaf.ptr + c->at, len);
    cut->slot_count++;
    c->at += len;
    c->piece = c->at;
    return DV_OK;
}

/* Behind the opening quote: moves behind the closing one. */
static dv_result take_quoted(cutter *c, dv_slice *ret_raw)
{
    size_t len = text_len(c->leaf.ptr + c->at, c->leaf.len - c->at);
    if (len == SIZE_MAX) {
        return DV_ERR_INVALID;
    }
    *ret_raw = dv_slice_of(c->leaf.ptr + c->at, len);
    c->at += len + 1;
    return DV_OK;
}

static dv_result cut_string(cutter *c)
{
    enum { UUID_TEXT = 36 };
    dv_slice raw;
    size_t start = ++c->at;
    DV_TRY(take_quoted(c, &raw));
    c->at = start;
    uint8_t *uuid = c->cut->values[DV_MIN(c->cut->slot_count, DV_BLOCK_SLOTS_MAX - 1u)].uuid;
    bool is_uuid = raw.len == UUID_TEXT && dv_block_uuid_parse(raw.ptr, raw.len, uuid);
    DV_TRY(add_slot(c, is_uuid ? DV_SLOT_UUID : DV_SLOT_TEXT, raw.len));
    c->at++;
    return DV_OK;
}

static dv_result cut_word(cutter *c)
{
    dv_slice rest = dv_slice_sub(c->leaf, c->at, c->leaf.len);
    size_t len = word_len(rest.ptr, rest.len);
    int64_t number = 0;
    if (!is_word(rest.ptr, len)) {
        return DV_ERR_INVALID;
    }
    bool is_int = dv_block_int_parse(rest.ptr, rest.len, &number) == len;
    c->cut->values[DV_MIN(c->cut->slot_count, DV_BLOCK_SLOTS_MAX - 1u)].number = number;
    return add_slot(c, is_int ? DV_SLOT_INT : DV_SLOT_WORD, len);
}

/* The path of a member, for as long as its value is cut. */
static dv_result cut_below(cutter *c, dv_slice name, bool below)
{
    size_t before = c->path_len;
    size_t len = name.len + (below && before > 0 ? 1 : 0);
    if (before + len > sizeof(c->path)) {
        return DV_ERR_INVALID;
    }
    if (len > name.len) {
        c->path[c->path_len++] = DV_PATH_BELOW[0];
    }
    memcpy(c->path + c->path_len, name.ptr, name.len);
    c->path_len += name.len;
    dv_result result = cut_value(c);
    c->path_len = before;
    return result;
}

static dv_result cut_object(cutter *c)
{
    dv_slice name;
    c->at++;
    if (take_byte(c, '}')) {
        return DV_OK;
    }
    do {
        if (!take_byte(c, '"')) {
            return DV_ERR_INVALID;
        }
        DV_TRY(take_quoted(c, &name));
        if (!dv_block_is_plain(name) || name.len == 0 || !take_byte(c, ':')) {
            return DV_ERR_INVALID;
        }
        DV_TRY(cut_below(c, name, true));
    } while (take_byte(c, ','));
    return take_byte(c, '}') ? DV_OK : DV_ERR_INVALID;
}

static dv_result cut_array(cutter *c)
{
    c->at++;
    if (take_byte(c, ']')) {
        return DV_OK;
    }
    do {
        DV_TRY(cut_below(c, DV_LIT(DV_PATH_EACH), false));
    } while (take_byte(c, ','));
    return take_byte(c, ']') ? DV_OK : DV_ERR_INVALID;
}

static dv_result cut_value(cutter *c)
{
    dv_result result;
    skip_space(c);
    if (c->depth == DV_BLOCK_DEPTH_MAX) {
        return DV_ERR_INVALID;
    }
    c->depth++;
    switch (peek(c)) {
    case '{':
        result = cut_object(c);
        break;
    case '[':
        result = cut_array(c);
        break;
    case '"':
        result = cut_string(c);
        break;
    default:
        result = cut_word(c);
        break;
    }
    c->depth--;
    return result;
}

dv_result dv_cut_leaf(dv_slice leaf, dv_column_of column_of, void *data, dv_cut *cut)
{
    cutter c = {.leaf = leaf, .column_of = column_of, .data = data, .cut = cut};
    dv_buf_clear(&cut->pieces);
    cut->slot_count = 0;
    DV_TRY(cut_value(&c));
    return dv_buf_append(&cut->pieces, dv_slice_of(leaf.ptr + c.piece, leaf.len - c.piece));
}

/* -- on disk ----------------------------------------------------------------------------------- */

dv_result dv_template_write(const dv_template *shape, dv_buf *out)
{
    const uint8_t *piece = shape->pieces;
    DV_TRY(dv_block_put_number(out, shape->slot_count));
    for (uint32_t i = 0; i < shape->slot_count; i++) {
        const dv_slot *slot = &shape->slots[i];
        DV_TRY(dv_block_put_number(out, slot->piece_len));
        DV_TRY(dv_buf_append(out, dv_slice_of(piece, slot->piece_len)));
        DV_TRY(dv_buf_append_byte(out, (uint8_t)slot->type));
        DV_TRY(dv_block_put_number(out, slot->column));
        piece += slot->piece_len;
    }
    size_t tail = (size_t)(shape->pieces + shape->pieces_len - piece);
    DV_TRY(dv_block_put_number(out, tail));
    return dv_buf_append(out, dv_slice_of(piece, tail));
}

static bool read_piece(dv_slice *rest, dv_slice *ret_piece)
{
    uint64_t len;
    return dv_block_take_number(rest, &len) && len <= UINT16_MAX &&
           dv_block_take_bytes(rest, len, ret_piece);
}

static bool read_slot(dv_slice *rest, uint32_t columns, dv_slot *slot, dv_slice *ret_piece)
{
    uint64_t column;
    dv_slice type;
    if (!read_piece(rest, ret_piece) || !dv_block_take_bytes(rest, 1, &type) ||
        type.ptr[0] >= DV_SLOT_TYPES || !dv_block_take_number(rest, &column) || column >= columns) {
        return false;
    }
    *slot = (dv_slot){(uint32_t)ret_piece->len, (dv_slot_type)type.ptr[0], (uint32_t)column};
    return true;
}

dv_result dv_template_read(dv_slice *rest, uint32_t columns, dv_buf *pieces,
                           dv_slot slots[DV_BLOCK_SLOTS_MAX], uint32_t *ret_slots)
{
    uint64_t count;
    dv_slice piece;
    if (!dv_block_take_number(rest, &count) || count > DV_BLOCK_SLOTS_MAX) {
        return DV_ERR_CORRUPT;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!read_slot(rest, columns, &slots[i], &piece)) {
            return DV_ERR_CORRUPT;
        }
        DV_TRY(dv_buf_append(pieces, piece));
    }
    if (!read_piece(rest, &piece)) {
        return DV_ERR_CORRUPT;
    }
    *ret_slots = (uint32_t)count;
    return dv_buf_append(pieces, piece);
}
