/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/packed.h"

#include "base/buf.h"

#include <zlib.h>

enum {
    GZIP_BITS = 15 + 16, /* zlib's words for gzip, and for no head at all */
    RAW_BITS = -15,
    STEP = 16 << 10,
    LOCAL_HEAD = 30,  /* bytes of a file's head in a zip, without its name */
    LISTED_HEAD = 46, /* and in its list */
    END_HEAD = 22,    /* of what stands behind the list */
    GZIP_HEAD = 10,
    DESCRIPTOR_MAX = 24,
    ENCRYPTED = 1, /* flags of such a head */
    SIZE_BEHIND = 8,
    STORED = 0, /* methods */
    DEFLATED = 8,
};

#define LOCAL_MAGIC "PK\x03\x04"
#define CENTRAL_MAGIC "PK\x01\x02"
#define END_MAGIC "PK\x05\x06"

typedef struct opening {
    dv_arena *arena;
    size_t room; /* bytes that may still be unpacked */
    int depth;
    int members;
    size_t most; /* bytes of one piece */
    dv_packed_visit visit;
    void *data;
} opening;

static bool is_gzip(dv_slice bytes)
{
    return dv_slice_starts_with(bytes, DV_LIT("\x1f\x8b\x08")) && bytes.len > 3 &&
           (bytes.ptr[3] & 0xe0) == 0; /* reserved flags */
}

static bool is_zip(dv_slice bytes)
{
    return dv_slice_starts_with(bytes, DV_LIT(LOCAL_MAGIC));
}

/* A zip that stands within something else is one that only some programs see. */
static bool holds_zip(dv_slice bytes)
{
    return dv_slice_find(bytes, DV_LIT(LOCAL_MAGIC)) >= 0;
}

bool dv_packed_is(dv_slice bytes)
{
    return is_gzip(bytes) || is_zip(bytes);
}

/* ---- inflating ---- */

static voidpf take(voidpf arena, uInt items, uInt size)
{
    return dv_arena_alloc(arena, (size_t)items * size);
}

static void give(voidpf arena, voidpf memory)
{
    (void)arena;
    (void)memory;
}

/* Unpacks one stream. *ret_rest: what stands behind it. */
static dv_result inflate_one(opening *o, dv_slice packed, int bits, dv_slice *ret_piece,
                             dv_slice *ret_rest)
{
    z_stream z = {.zalloc = take, .zfree = give, .opaque = o->arena};
    uint8_t *out = NULL;
    size_t len = 0, have = 0;
    int told = Z_OK;
    z.next_in = (Bytef *)(uintptr_t)packed.ptr;
    z.avail_in = (uInt)packed.len;
    if (packed.len > UINT32_MAX || inflateInit2(&z, bits) != Z_OK) {
        return DV_ERR_NO_MEMORY;
    }
    while (told == Z_OK) {
        if (len == have) {
            uint8_t *grown = dv_arena_grow(o->arena, out, len, &have, 1, STEP);
            if (grown == NULL) {
                return DV_ERR_NO_MEMORY;
            }
            out = grown;
        }
        size_t step = DV_MIN(have - len, o->room + 1);
        z.next_out = out + len;
        z.avail_out = (uInt)step;
        told = inflate(&z, Z_NO_FLUSH);
        size_t made = step - z.avail_out;
        if (made > o->room) {
            return DV_ERR_TOO_LARGE;
        }
        o->room -= made;
        len += made;
    }
    if (told != Z_STREAM_END) {
        return told == Z_MEM_ERROR ? DV_ERR_NO_MEMORY : DV_ERR_TOO_LARGE;
    }
    *ret_piece = dv_slice_of(out, len);
    *ret_rest = dv_slice_sub(packed, packed.len - z.avail_in, packed.len);
    return DV_OK;
}

/* ---- what lies within what ---- */

static dv_result open_bytes(opening *o, dv_slice bytes);

/* A file's name, or the list of names and comments. */
static dv_result tell_names(opening *o, dv_slice piece)
{
    return piece.len > 0 ? o->visit(o->data, piece, false) : DV_OK;
}

static dv_result hand_out(opening *o, dv_slice piece)
{
    if (piece.len == 0) {
        return DV_OK;
    }
    DV_TRY(o->visit(o->data, piece, true));
    if (dv_packed_is(piece)) {
        return open_bytes(o, piece);
    }
    return holds_zip(piece) ? DV_ERR_TOO_LARGE : DV_OK;
}

static uint32_t number(const uint8_t *bytes, size_t len)
{
    uint32_t value = 0;
    for (size_t i = len; i > 0; i--) {
        value = value << 8 | bytes[i - 1];
    }
    return value;
}

/* What a gzip file says beside its contents: a name, a comment, fields of programs. */
static dv_result tell_head(opening *o, dv_slice file)
{
    uint8_t flags = file.ptr[3];
    size_t at = GZIP_HEAD;
    if ((flags & 4) != 0) {
        dv_slice extra = dv_slice_sub(file, at, file.len);
        at += extra.len < 2 ? 2 : 2 + number(extra.ptr, 2);
    }
    for (int texts = (flags >> 3 & 1) + (flags >> 4 & 1); texts > 0; texts--) {
        dv_slice rest = dv_slice_sub(file, at, file.len);
        ptrdiff_t end = dv_slice_find_byte(rest, '\0');
        at += end < 0 ? rest.len : (size_t)end + 1;
    }
    dv_slice head = dv_slice_sub(dv_slice_sub(file, 0, at), GZIP_HEAD, file.len);
    return holds_zip(head) ? DV_ERR_TOO_LARGE : tell_names(o, head);
}

/* Members follow each other (RFC 1952 section 2.2); what stands behind them is handed out, too. */
static dv_result open_gzip(opening *o, dv_slice rest)
{
    dv_auto(buf) dv_buf whole = dv_buf_init(o->most);
    do {
        dv_slice piece = {NULL, 0};
        DV_TRY(tell_head(o, rest));
        DV_TRY(inflate_one(o, rest, GZIP_BITS, &piece, &rest));
        DV_TRY(dv_buf_append(&whole, piece));
    } while (is_gzip(rest));
    DV_TRY(hand_out(o, dv_buf_slice(&whole)));
    return hand_out(o, rest);
}

static bool is_signature(dv_slice rest)
{
    return is_zip(rest) || dv_slice_starts_with(rest, DV_LIT(CENTRAL_MAGIC)) ||
           dv_slice_starts_with(rest, DV_LIT(END_MAGIC));
}

/* Sizes that stand behind the data, with or without a signature of their own. */
static dv_result skip_descriptor(dv_slice *rest)
{
    for (size_t i = 0; i <= DESCRIPTOR_MAX && i < rest->len; i++) {
        dv_slice next = dv_slice_sub(*rest, i, rest->len);
        if (is_signature(next)) {
            *rest = next;
            return DV_OK;
        }
    }
    return DV_ERR_TOO_LARGE;
}

/* One file of a zip, from its head on. */
static dv_result open_member(opening *o, dv_slice *rest)
{
    if (rest->len < LOCAL_HEAD || o->members == DV_PACKED_MEMBERS) {
        return DV_ERR_TOO_LARGE;
    }
    const uint8_t *head = rest->ptr;
    uint32_t flags = number(head + 6, 2), method = number(head + 8, 2);
    size_t size = number(head + 18, 4), name = number(head + 26, 2), extra = number(head + 28, 2);
    bool behind = (flags & SIZE_BEHIND) != 0;
    bool readable = (flags & ENCRYPTED) == 0 &&
                    (method == DEFLATED || (method == STORED && !behind)) && size != UINT32_MAX;
    if (!readable || rest->len - LOCAL_HEAD < name + extra) {
        return DV_ERR_TOO_LARGE;
    }
    o->members++;
    dv_slice beside = dv_slice_sub(*rest, LOCAL_HEAD + name, extra);
    DV_TRY(holds_zip(beside) ? DV_ERR_TOO_LARGE : tell_names(o, beside));
    DV_TRY(tell_names(o, dv_slice_sub(*rest, LOCAL_HEAD, name)));
    dv_slice data = dv_slice_sub(*rest, LOCAL_HEAD + name + extra, rest->len);
    if (!behind && data.len < size) {
        return DV_ERR_TOO_LARGE;
    }
    dv_slice piece = dv_slice_sub(data, 0, size), tail = {NULL, 0};
    *rest = dv_slice_sub(data, size, data.len);
    if (method == DEFLATED) {
        DV_TRY(inflate_one(o, behind ? data : piece, RAW_BITS, &piece, &tail));
        *rest = behind ? tail : *rest;
    }
    DV_TRY(behind ? skip_descriptor(rest) : DV_OK);
    DV_TRY(hand_out(o, piece));
    return behind ? DV_OK : hand_out(o, tail);
}

/* Whether the entry tells of a file that was read, and tells the same of it. */
static bool is_listed(dv_slice zip, dv_slice entry)
{
    if (entry.len < LISTED_HEAD) {
        return false;
    }
    size_t name = number(entry.ptr + 28, 2);
    dv_slice head = dv_slice_sub(zip, number(entry.ptr + 42, 4), zip.len);
    if (!is_zip(head) || head.len < LOCAL_HEAD + name) {
        return false;
    }
    bool behind = (number(head.ptr + 6, 2) & SIZE_BEHIND) != 0;
    return number(entry.ptr + 10, 2) == number(head.ptr + 8, 2) &&
           (behind || number(entry.ptr + 20, 4) == number(head.ptr + 18, 4)) &&
           number(head.ptr + 26, 2) == name &&
           dv_slice_eq(dv_slice_sub(entry, LISTED_HEAD, name),
                       dv_slice_sub(head, LOCAL_HEAD, name));
}

/* Programs read the files that the list names, and find it by what stands behind it: both must say
 * what the files' own heads do. */
static bool is_list(dv_slice zip, dv_slice list)
{
    size_t at = 0;
    dv_slice rest = list;
    while (dv_slice_starts_with(rest, DV_LIT(CENTRAL_MAGIC))) {
        if (!is_listed(zip, rest)) {
            return false;
        }
        at += LISTED_HEAD + number(rest.ptr + 28, 2) + number(rest.ptr + 30, 2) +
              number(rest.ptr + 32, 2);
        rest = dv_slice_sub(list, at, list.len);
    }
    dv_slice behind = dv_slice_sub(rest, 4, rest.len);
    return dv_slice_starts_with(rest, DV_LIT(END_MAGIC)) && rest.len >= END_HEAD &&
           number(rest.ptr + 12, 4) == at &&
           number(rest.ptr + 16, 4) == (size_t)(list.ptr - zip.ptr) &&
           dv_slice_find(behind, DV_LIT(END_MAGIC)) < 0;
}

/* Files one after the other, then their list. A file behind the list would be one that only some
 * programs see. */
static dv_result open_zip(opening *o, dv_slice rest)
{
    dv_slice zip = rest;
    while (is_zip(rest)) {
        DV_TRY(open_member(o, &rest));
    }
    return is_list(zip, rest) && !holds_zip(rest) ? tell_names(o, rest) : DV_ERR_TOO_LARGE;
}

static dv_result open_bytes(opening *o, dv_slice bytes)
{
    if (o->depth == DV_PACKED_DEPTH) {
        return DV_ERR_TOO_LARGE;
    }
    o->depth++;
    dv_result result = is_gzip(bytes) ? open_gzip(o, bytes) : open_zip(o, bytes);
    o->depth--;
    return result;
}

dv_result dv_packed_open(dv_slice bytes, size_t most, dv_arena *arena, dv_packed_visit visit,
                         void *data)
{
    size_t room = DV_MIN(bytes.len, most) * DV_PACKED_RATIO + DV_PACKED_FREE;
    opening o = {
        .arena = arena, .room = DV_MIN(room, most), .most = most, .visit = visit, .data = data};
    return dv_packed_is(bytes) ? open_bytes(&o, bytes) : DV_OK;
}
