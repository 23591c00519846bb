/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_request.h"

#include "base/codec.h"

/* unreserved, sub-delims but ';', ':' and '@' (RFC 3986 section 3.3). ';' begins parameters for
 * some servers and is a plain character for others. */
static bool is_path_byte(uint8_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
        return true;
    }
    return c != '\0' && strchr("-._~!$&'()*+,=:@", c) != NULL;
}

static bool is_segment(dv_slice segment)
{
    if (dv_slice_eq_str(segment, ".") || dv_slice_eq_str(segment, "..")) {
        return false;
    }
    for (size_t i = 0; i < segment.len; i++) {
        if (!is_path_byte(segment.ptr[i])) {
            return false;
        }
    }
    return true;
}

bool dv_api_path_is_normal(dv_slice path)
{
    if (path.len == 0 || path.ptr[0] != '/') {
        return false;
    }
    dv_slice rest = dv_slice_sub(path, 1, path.len);
    while (rest.len > 0) {
        ptrdiff_t slash = dv_slice_find_byte(rest, '/');
        dv_slice segment = slash < 0 ? rest : dv_slice_sub(rest, 0, (size_t)slash);
        if (segment.len == 0 || !is_segment(segment)) {
            return false;
        }
        /* A slash at the very end is kept: it is another path, and matches another route. */
        rest = dv_slice_sub(rest, segment.len + (slash >= 0), rest.len);
    }
    return true;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes percent-encoding and '+', in place of `out`; false when an escape is broken. '&' or ';'
 * between members becomes a newline, so that inspection does not see two values as one. */
static bool decode_query(dv_slice query, uint8_t *out, size_t *ret_len)
{
    size_t len = 0;
    for (size_t i = 0; i < query.len; i++) {
        uint8_t c = query.ptr[i];
        if (c == '%') {
            int high = i + 1 < query.len ? hex_digit(query.ptr[i + 1]) : -1;
            int low = i + 2 < query.len ? hex_digit(query.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (uint8_t)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        } else if (c == '&' || c == ';') { /* some servers split at ';', too */
            c = '\n';
        }
        out[len++] = c;
    }
    *ret_len = len;
    return true;
}

static bool has_refused_name(const dv_api_config *config, dv_slice text)
{
    dv_slice line = {0};
    while (dv_slice_split(&text, '\n', &line)) {
        ptrdiff_t equals = dv_slice_find_byte(line, '=');
        if (dv_api_names_have_nocase(&config->refused_fields,
                                     equals < 0 ? line : dv_slice_sub(line, 0, (size_t)equals))) {
            return true;
        }
    }
    return false;
}

static dv_result deny_query(dv_verdict *verdict, dv_reason reason, const char *detail)
{
    dv_verdict_deny(verdict, reason, "%s", detail);
    return DV_ERR_INVALID;
}

dv_result dv_api_query_check(const dv_api_config *config, dv_slice query, dv_arena *arena,
                             dv_slice *ret_text, dv_verdict *verdict)
{
    uint8_t *bytes = dv_arena_alloc_raw(arena, query.len + 1);
    size_t len = 0;
    if (bytes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (!decode_query(query, bytes, &len) || !dv_utf8_valid(dv_slice_of(bytes, len))) {
        return deny_query(verdict, DV_REASON_BAD_REQUEST, "the query string is malformed");
    }
    dv_slice text = dv_slice_of(bytes, len);
    if (dv_slice_find(text, DV_LIT("dvk_")) >= 0) {
        return deny_query(verdict, DV_REASON_BAD_CREDENTIAL,
                          "a key in the query string is not accepted: send it as a header");
    }
    if (has_refused_name(config, text)) {
        return deny_query(verdict, DV_REASON_BAD_FIELD,
                          "the query string has a parameter that is not allowed");
    }
    *ret_text = text;
    return DV_OK;
}
