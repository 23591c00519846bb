/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_writer.h"

#include "base/codec.h"

enum { NESTING_MAX = 12 };

void dv_event_put_int(dv_event_writer *writer, int64_t value)
{
    char room[DV_DECIMAL_MAX];
    dv_slice digits = dv_decimal_write(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, room);
    if (value < 0) {
        dv_event_put(writer, "-", 1);
    }
    dv_event_put(writer, (const char *)digits.ptr, digits.len);
}

/* Sixteen bytes at once, whatever the processor calls that. */
typedef uint8_t lanes __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

/* Nonzero where a byte is not ASCII that JSON takes as it is. */
static halves not_plain(lanes block)
{
    return (halves)((block < 0x20) | (block >= 0x80) | (block == '"') | (block == '\\'));
}

static lanes load(const uint8_t *from)
{
    lanes block;
    memcpy(&block, from, sizeof(block));
    return block;
}

/* Copies less than sixteen bytes; bytes in the middle are copied twice. */
static halves copy_short(uint8_t *to, const uint8_t *from, size_t len)
{
    uint64_t words[2] = {UINT64_C(0x2020202020202020), UINT64_C(0x2020202020202020)};
    if (len >= 8) {
        memcpy(&words[0], from, 8);
        memcpy(&words[1], from + len - 8, 8);
        memcpy(to, &words[0], 8);
        memcpy(to + len - 8, &words[1], 8);
    } else {
        for (size_t i = 0; i < len; i++) {
            ((uint8_t *)words)[i] = from[i];
            to[i] = from[i];
        }
    }
    return not_plain((lanes)(halves){words[0], words[1]});
}

/* Copies a text and says whether it is plain, as most are. */
static bool copy_plain(uint8_t *to, dv_slice text)
{
    if (text.len < sizeof(lanes)) {
        halves bad = copy_short(to, text.ptr, text.len);
        return (bad[0] | bad[1]) == 0;
    }
    lanes last = load(text.ptr + text.len - sizeof(lanes));
    halves bad = not_plain(last);
    for (size_t i = 0; i + sizeof(lanes) <= text.len; i += sizeof(lanes)) {
        lanes block = load(text.ptr + i);
        bad |= not_plain(block);
        memcpy(to + i, &block, sizeof(block));
    }
    memcpy(to + text.len - sizeof(lanes), &last, sizeof(last));
    return (bad[0] | bad[1]) == 0;
}

/* A cut never falls inside a character. */
static dv_slice cut_text(dv_slice text, size_t max)
{
    if (text.len <= max) {
        return text;
    }
    size_t len = max;
    while (len > 0 && (text.ptr[len] & 0xc0) == 0x80) {
        len--;
    }
    return dv_slice_sub(text, 0, len);
}

void dv_event_put_text(dv_event_writer *writer, dv_slice text, size_t max)
{
    dv_slice shown = cut_text(text, max);
    if ((size_t)(writer->end - writer->at) >= shown.len + 2 && copy_plain(writer->at + 1, shown)) {
        writer->at[0] = '"';
        writer->at[shown.len + 1] = '"';
        writer->at += shown.len + 2;
        return;
    }
    /* A buffer over the room that is left: it can't grow, so it never allocates. */
    size_t room = (size_t)(writer->end - writer->at);
    dv_buf rest = {writer->at, 0, room, room};
    if (dv_buf_append_json_string(&rest, shown) != DV_OK) {
        writer->full = true;
        return;
    }
    writer->at += rest.len;
}

/* A block of constant size is a few instructions; what of it is no name is written over next. */
static void put_row_name(dv_event_writer *writer, const dv_event_row *row)
{
    uint8_t last = writer->at[-1];
    bool first = last == '{' || last == '[';
    if (writer->end - writer->at < DV_EVENT_NAME_ROOM) {
        writer->full = true;
        return;
    }
    memcpy(writer->at, row->name + first, DV_EVENT_NAME_COPY);
    writer->at += row->name_len + !first;
}

static const void *field_of(const dv_event_row *row, const void *view)
{
    return (const uint8_t *)view + row->offset;
}

static void write_text(dv_event_writer *writer, const dv_event_row *row, const void *view)
{
    const dv_slice *text = field_of(row, view);
    if (text->len == 0) {
        return;
    }
    put_row_name(writer, row);
    if (row->kind == DV_ROW_JSON) {
        dv_event_put(writer, (const char *)text->ptr, text->len);
    } else {
        writer->cut = writer->cut || text->len > row->max;
        dv_event_put_text(writer, *text, row->max);
    }
}

static void write_int(dv_event_writer *writer, const dv_event_row *row, const void *view)
{
    const int64_t *value = field_of(row, view);
    if (*value != DV_EVENT_UNKNOWN) {
        put_row_name(writer, row);
        dv_event_put_int(writer, *value);
    }
}

static void write_flag(dv_event_writer *writer, const dv_event_row *row, const void *view)
{
    const bool *value = field_of(row, view);
    put_row_name(writer, row);
    if (*value) {
        dv_event_put(writer, "true", 4);
    } else {
        dv_event_put(writer, "false", 5);
    }
}

typedef struct open_object {
    uint8_t *before;  /* where the object's name began */
    uint8_t *content; /* where its first member would stand */
} open_object;

typedef struct nesting {
    open_object stack[NESTING_MAX];
    size_t depth;
} nesting;

static void open_row(dv_event_writer *writer, const dv_event_row *row, nesting *open)
{
    uint8_t *before = writer->at;
    if (row->name_len > 0) {
        put_row_name(writer, row);
    } else if (writer->at[-1] == '}') {
        dv_event_put(writer, ",", 1);
    }
    dv_event_put(writer, row->text, row->text_len);
    open->stack[open->depth++] = (open_object){before, writer->at};
}

static void close_row(dv_event_writer *writer, const dv_event_row *row, nesting *open)
{
    if (open->depth == 0) { /* a table that closes what it did not open */
        writer->full = true;
        return;
    }
    open_object object = open->stack[--open->depth];
    if (writer->at == object.content) {
        writer->at = object.before;
    } else {
        dv_event_put(writer, row->text, row->text_len);
    }
}

static void write_fixed(dv_event_writer *writer, const dv_event_row *row)
{
    put_row_name(writer, row);
    dv_event_put(writer, row->text, row->text_len);
}

static void write_row(dv_event_writer *writer, const dv_event_row *row, const void *view,
                      nesting *open)
{
    switch (row->kind) {
    case DV_ROW_OPEN:
        open_row(writer, row, open);
        break;
    case DV_ROW_CLOSE:
        close_row(writer, row, open);
        break;
    case DV_ROW_FIXED:
        write_fixed(writer, row);
        break;
    case DV_ROW_TAG:
        if (writer->at != open->stack[open->depth - 1].content) {
            write_fixed(writer, row);
        }
        break;
    case DV_ROW_TEXT:
    case DV_ROW_JSON:
        write_text(writer, row, view);
        break;
    case DV_ROW_INT:
        write_int(writer, row, view);
        break;
    case DV_ROW_FLAG:
        write_flag(writer, row, view);
        break;
    case DV_ROW_CALL:
        row->call(writer, view);
        break;
    }
}

/* The row's member, if it was written: it began at `before`, perhaps with a comma. */
static void note_row(dv_event_writer *writer, const dv_event_row *row, size_t number,
                     const uint8_t *before)
{
    if (writer->at != before) {
        const uint8_t *member = before + (*before == ',');
        dv_event_note(writer, (uint8_t)number, member, member + row->name_len);
    }
}

dv_result dv_event_write(dv_buf *out, const dv_event_row *rows, size_t count, const void *view,
                         dv_event_spots *spots, bool *ret_cut)
{
    size_t room = out->max > out->len ? out->max - out->len : 0;
    room = DV_MIN(room, (size_t)DV_LIMIT_RECORD);
    DV_TRY(dv_buf_reserve(out, room));
    uint8_t *begin = out->ptr + out->len;
    dv_event_writer writer = {begin, begin + room, false, false, begin, spots};
    nesting open = {.depth = 0};
    dv_event_put(&writer, "{", 1);
    if (spots != NULL) {
        spots->count = 0;
    }
    for (size_t i = 0; i < count && !writer.full; i++) {
        const uint8_t *before = writer.at;
        write_row(&writer, &rows[i], view, &open);
        if (rows[i].noted) {
            note_row(&writer, &rows[i], i, before);
        }
    }
    dv_event_put(&writer, "}", 1);
    if (writer.full) {
        return DV_ERR_TOO_LARGE;
    }
    out->len += (size_t)(writer.at - begin);
    *ret_cut = writer.cut;
    return DV_OK;
}
