/* SPDX-License-Identifier: Apache-2.0 */
/* Masks, and what is said more roughly. */
#include "base/address.h"
#include "base/codec.h"
#include "engine/detect/action/tools.h"

/* -- masks ------------------------------------------------------------------------------------- */

/* A letter or digit, or a character beyond ASCII: one sign of the mask. */
static bool is_hidden(uint8_t first)
{
    return dv_is_alnum(first) || first >= 0x80;
}

/* Bytes of the character at `at`. What is no UTF-8 counts byte by byte: in other encodings any byte
 * from 0x80 on may be a letter. */
static size_t character_len(dv_slice text, size_t at)
{
    uint32_t code_point;
    return DV_MAX(dv_utf8_decode(dv_slice_sub(text, at, 4), &code_point), (size_t)1);
}

/* What was asked for is shown while half of the value stays hidden; what the detector allows, while
 * two thirds do. */
static void how_many(const dv_action *action, const dv_action_value *value, size_t count,
                     size_t *ret_first, size_t *ret_last)
{
    size_t first = action->keep_said ? action->keep_first : 0;
    size_t last = action->keep_said ? action->keep_last : value->keep_last;
    size_t shown = first + last;
    bool fits = action->keep_said ? count >= shown + 4 : count >= 3 * shown;
    *ret_first = fits ? first : 0;
    *ret_last = fits ? last : 0;
}

dv_result dv_act_mask(const dv_action *action, const dv_action_value *value, dv_buf *out)
{
    size_t count = 0, first, last, seen = 0;
    uint8_t fill = (uint8_t)(action->fill == '\0' ? '*' : action->fill);
    for (size_t i = 0; i < value->text.len; i += character_len(value->text, i)) {
        count += is_hidden(value->text.ptr[i]);
    }
    how_many(action, value, count, &first, &last);
    for (size_t i = 0, len; i < value->text.len; i += len) {
        len = character_len(value->text, i);
        bool hidden = is_hidden(value->text.ptr[i]);
        bool shown = !hidden || seen < first || seen >= count - last;
        seen += hidden;
        DV_TRY(shown ? dv_buf_append(out, dv_slice_sub(value->text, i, len))
                     : dv_buf_append_byte(out, fill));
    }
    return DV_OK;
}

/* -- generalising ------------------------------------------------------------------------------ */

enum { AGE_TOP = 90, AGE_BAND = 10 };

static dv_result date_to(const dv_action *action, dv_slice text, dv_buf *out)
{
    dv_date date;
    if (!dv_date_parse(text, action->order, true, &date)) {
        return DV_ERR_INVALID;
    }
    return action->detail == DV_DETAIL_MONTH
               ? dv_buf_append_printf(out, "%04d-%02d", date.year, date.month)
               : dv_buf_append_printf(out, "%04d", date.year);
}

/* A whole number, perhaps with a sign and a fraction, which is dropped. */
static bool read_number(dv_slice text, int64_t *ret_number)
{
    int64_t number = 0;
    text = dv_slice_trim(text);
    bool negative = text.len > 1 && text.ptr[0] == '-';
    size_t at = negative ? 1 : 0;
    size_t start = at;
    while (at < text.len && dv_is_digit(text.ptr[at]) && at - start < 15) {
        number = number * 10 + (text.ptr[at++] - '0');
    }
    bool any = at > start;
    if (at < text.len && text.ptr[at] == '.') {
        for (at++; at < text.len && dv_is_digit(text.ptr[at]); at++) {
        }
    }
    *ret_number = negative ? -number : number;
    return any && at == text.len;
}

static dv_result band(dv_slice text, int64_t width, dv_buf *out)
{
    int64_t number;
    if (!read_number(text, &number)) {
        return DV_ERR_INVALID;
    }
    int64_t from = (number < 0 ? number - width + 1 : number) / width * width;
    return dv_buf_append_printf(out, "%lld-%lld", (long long)from, (long long)(from + width - 1));
}

static dv_result age(const dv_action *action, dv_slice text, dv_buf *out)
{
    int64_t number;
    if (!read_number(text, &number) || number < 0 || number > 200) {
        return DV_ERR_INVALID;
    }
    return number >= AGE_TOP ? dv_buf_append_str(out, "90+")
                             : band(text, action->width == 0 ? AGE_BAND : action->width, out);
}

/* Areas of fewer than 20,000 people in the census of 2000, as HHS's guidance of 2012 on
 * de-identification lists them; 2010's list is shorter. */
static const char *const few_live_in[] = {"036", "059", "063", "102", "203", "556",
                                          "692", "790", "821", "823", "830", "831",
                                          "878", "879", "884", "890", "893"};

static dv_result zip(dv_slice text, dv_buf *out)
{
    text = dv_slice_trim(text);
    for (size_t i = 0; i < 5; i++) {
        if (text.len < 5 || !dv_is_digit(text.ptr[i])) {
            return DV_ERR_INVALID;
        }
    }
    bool plain = text.len == 5 || (text.len == 10 && text.ptr[5] == '-');
    dv_slice area = dv_slice_sub(text, 0, 3);
    for (size_t i = 0; i < DV_ARRAY_LEN(few_live_in); i++) {
        if (dv_slice_eq_str(area, few_live_in[i])) {
            area = DV_LIT("000");
        }
    }
    return plain ? dv_buf_append(out, area) : DV_ERR_INVALID;
}

static dv_result network(dv_slice text, dv_buf *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    dv_address address;
    const uint8_t *b = address.bytes;
    if (dv_address_parse(dv_slice_trim(text), &address) != DV_OK) {
        return DV_ERR_INVALID;
    }
    if (memcmp(b, mapped, sizeof(mapped)) == 0) {
        return dv_buf_append_printf(out, "%u.%u.%u.0/24", b[12], b[13], b[14]);
    }
    return dv_buf_append_printf(out, "%x:%x:%x::/48", b[0] << 8 | b[1], b[2] << 8 | b[3],
                                b[4] << 8 | b[5]);
}

static dv_result domain(dv_slice text, dv_buf *out)
{
    ptrdiff_t at = dv_slice_find_byte(text, '@');
    return dv_shape_of(text, DV_DATE_DMY) == DV_SHAPE_EMAIL
               ? dv_buf_append(out, dv_slice_sub(text, (size_t)at, text.len))
               : DV_ERR_INVALID;
}

static dv_result by_shape(const dv_action *action, dv_slice text, dv_buf *out)
{
    switch (dv_shape_of(text, action->order)) {
    case DV_SHAPE_DATE:
        return date_to(action, text, out);
    case DV_SHAPE_ADDRESS:
        return network(text, out);
    case DV_SHAPE_EMAIL:
        return domain(text, out);
    default:
        return DV_ERR_INVALID;
    }
}

dv_result dv_act_generalise(const dv_action *action, const dv_action_value *value, dv_buf *out)
{
    switch ((dv_action_detail)action->detail) {
    case DV_DETAIL_YEAR:
    case DV_DETAIL_MONTH:
        return date_to(action, value->text, out);
    case DV_DETAIL_AGE:
        return age(action, value->text, out);
    case DV_DETAIL_BAND:
        return band(value->text, action->width == 0 ? AGE_BAND : action->width, out);
    case DV_DETAIL_ZIP:
        return zip(value->text, out);
    case DV_DETAIL_NETWORK:
        return network(value->text, out);
    case DV_DETAIL_DOMAIN:
        return domain(value->text, out);
    default:
        return by_shape(action, value->text, out);
    }
}
