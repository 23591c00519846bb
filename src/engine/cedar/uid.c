/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/uid.h"

#include "base/caps.h"
#include "base/codec.h"
#include "engine/cedar/lexer.h"
#include "engine/cedar/value.h"

static const char *const reserved[] = {"true", "false", "if",  "then", "else",
                                       "in",   "like",  "has", "is",   "__cedar"};

static bool is_ident_byte(uint8_t byte, bool first)
{
    bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';

    return letter || (!first && byte >= '0' && byte <= '9');
}

bool dv_cedar_ident_valid(dv_slice ident)
{
    for (size_t i = 0; i < ident.len; i++) {
        if (!is_ident_byte(ident.ptr[i], i == 0)) {
            return false;
        }
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(reserved); i++) {
        if (dv_slice_eq_str(ident, reserved[i])) {
            return false;
        }
    }
    return ident.len > 0;
}

bool dv_cedar_path_valid(dv_slice path)
{
    for (;;) {
        ptrdiff_t end = dv_slice_find(path, DV_LIT("::"));
        if (end < 0) {
            return dv_cedar_ident_valid(path);
        }
        if (!dv_cedar_ident_valid(dv_slice_sub(path, 0, (size_t)end))) {
            return false;
        }
        path = dv_slice_sub(path, (size_t)end + 2, path.len);
    }
}

static dv_result append_escaped(dv_buf *out, uint8_t byte)
{
    switch (byte) {
    case '"':
        return dv_buf_append_str(out, "\\\"");
    case '\\':
        return dv_buf_append_str(out, "\\\\");
    case '\n':
        return dv_buf_append_str(out, "\\n");
    case '\r':
        return dv_buf_append_str(out, "\\r");
    case '\t':
        return dv_buf_append_str(out, "\\t");
    case '\0':
        return dv_buf_append_str(out, "\\0");
    default:
        break;
    }
    if (byte < 0x20 || byte == 0x7f) {
        return dv_buf_append_printf(out, "\\u{%x}", byte);
    }
    return dv_buf_append_byte(out, byte);
}

dv_result dv_cedar_escape(dv_buf *out, dv_slice text, bool pattern)
{
    for (size_t i = 0; i < text.len; i++) {
        if (pattern && text.ptr[i] == '*') {
            DV_TRY(dv_buf_append_byte(out, '\\'));
        }
        DV_TRY(append_escaped(out, text.ptr[i]));
    }
    return DV_OK;
}

/* Nothing in it is written with an escape. */
static bool is_plain(dv_slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        if (id.ptr[i] < 0x20 || id.ptr[i] == 0x7f || id.ptr[i] == '"' || id.ptr[i] == '\\') {
            return false;
        }
    }
    return true;
}

dv_result dv_cedar_uid(dv_arena *arena, dv_slice type, dv_slice id, dv_slice *ret_uid)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_CEDAR_UID);

    if (!dv_cedar_path_valid(type) || !dv_utf8_valid(id)) {
        return DV_ERR_INVALID;
    }
    if (is_plain(id) && type.len + id.len + 4 <= DV_LIMIT_CEDAR_UID) {
        const dv_slice parts[] = {type, DV_LIT("::\""), id, DV_LIT("\"")};
        return dv_arena_concat(arena, parts, DV_ARRAY_LEN(parts), ret_uid);
    }
    DV_TRY(dv_buf_append(&out, type));
    DV_TRY(dv_buf_append_str(&out, "::\""));
    DV_TRY(dv_cedar_escape(&out, id, false));
    DV_TRY(dv_buf_append_byte(&out, '"'));
    return dv_arena_copy(arena, dv_buf_slice(&out), ret_uid);
}

dv_result dv_cedar_uid_type(dv_slice uid, dv_slice *ret_type)
{
    ptrdiff_t end = dv_slice_find(uid, DV_LIT("::\""));

    if (end <= 0 || uid.len < (size_t)end + 4 || uid.ptr[uid.len - 1] != '"') {
        return DV_ERR_INVALID;
    }
    *ret_type = dv_slice_sub(uid, 0, (size_t)end);
    return DV_OK;
}

dv_result dv_cedar_uid_read(dv_slice uid, dv_arena *arena, dv_slice *ret_type, dv_slice *ret_id)
{
    const dv_cedar_lexer lexer = {.text = uid};
    const dv_slice *pieces = NULL;
    dv_slice type = {0};
    size_t count = 0;

    DV_TRY(dv_cedar_uid_type(uid, &type));
    dv_cedar_token id = {.kind = DV_CEDAR_TOKEN_STRING,
                         .text = dv_slice_sub(uid, type.len + 3, uid.len - type.len - 4)};
    DV_TRY(dv_cedar_unescape(&lexer, &id, false, arena, &pieces, &count));
    *ret_type = type;
    *ret_id = pieces[0];
    return DV_OK;
}
