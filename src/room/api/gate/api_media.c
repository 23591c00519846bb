/* SPDX-License-Identifier: Apache-2.0 */
/* Media types (RFC 9110 section 8.3.1). */
#include "room/api/gate/api_request.h"

static dv_slice media_of(dv_slice content_type)
{
    ptrdiff_t semicolon = dv_slice_find_byte(content_type, ';');
    return dv_slice_trim(semicolon < 0 ? content_type
                                       : dv_slice_sub(content_type, 0, (size_t)semicolon));
}

bool dv_api_type_is(dv_slice content_type, const char *media_type)
{
    return dv_slice_eq_nocase(media_of(content_type), dv_slice_str(media_type));
}

static dv_slice unquoted(dv_slice value)
{
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"') {
        return dv_slice_sub(value, 1, value.len - 2);
    }
    return value;
}

static bool charset_is_utf8(dv_slice content_type, bool or_ascii)
{
    dv_slice part = {0};
    (void)dv_slice_split(&content_type, ';', &part);
    while (dv_slice_split(&content_type, ';', &part)) {
        ptrdiff_t equals = dv_slice_find_byte(part, '=');
        if (equals < 0 || !dv_slice_eq_nocase(dv_slice_trim(dv_slice_sub(part, 0, (size_t)equals)),
                                              DV_LIT("charset"))) {
            continue;
        }
        dv_slice value = dv_slice_trim(dv_slice_sub(part, (size_t)equals + 1, part.len));
        bool ascii = or_ascii && dv_slice_eq_nocase(unquoted(value), DV_LIT("us-ascii"));
        if (!ascii && !dv_slice_eq_nocase(unquoted(value), DV_LIT("utf-8"))) {
            return false;
        }
    }
    return true;
}

bool dv_api_type_is_json(dv_slice content_type)
{
    if (dv_slice_eq(content_type, DV_LIT("application/json"))) {
        return true; /* as nearly everybody writes it */
    }
    dv_slice media = media_of(content_type);
    dv_slice head = DV_LIT("application/");
    dv_slice tail = DV_LIT("+json");
    bool json = dv_slice_eq_nocase(media, DV_LIT("application/json"));
    if (!json && media.len > head.len + tail.len) {
        json = dv_slice_eq_nocase(dv_slice_sub(media, 0, head.len), head) &&
               dv_slice_eq_nocase(dv_slice_sub(media, media.len - tail.len, tail.len), tail);
    }
    return json && charset_is_utf8(content_type, false);
}

bool dv_api_type_is_text(dv_slice content_type)
{
    return dv_api_type_is(content_type, "text/plain") && charset_is_utf8(content_type, true);
}
