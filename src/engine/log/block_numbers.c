/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of whole numbers. A term is made into ranges of numbers that it holds for, digits that
 * stand somewhere in a number too, so that no number is written as text. */
#include "base/codec.h"
#include "engine/log/block_searcher.h"

enum {
    SPANS_MAX = 16,
    DIGITS_MAX = 18, /* of a needle whose power of ten an int64_t holds */
};

dv_known dv_block_judge_int(const dv_query_node *node, int64_t value)
{
    char room[DV_DECIMAL_MAX + 1];
    char digits[DV_DECIMAL_MAX];
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    dv_slice text = dv_decimal_write(size, digits);
    size_t sign = value < 0 ? 1 : 0;
    room[0] = '-';
    memcpy(room + sign, text.ptr, text.len);
    return dv_query_term_holds(node, dv_slice_of(room, sign + text.len), DV_JSON_NUMBER)
               ? DV_KNOWN_YES
               : DV_KNOWN_NO;
}

/* Numbers from low to high, both included. */
typedef struct range {
    int64_t low, high;
} range;

/* The ranges that a term holds for, as far as values lie between two bounds. */
typedef struct spans {
    range ranges[SPANS_MAX];
    size_t count;
    bool unknown; /* there are more of them, or the term is of another kind */
} spans;

static void add_span(spans *out, int64_t low, int64_t high)
{
    if (out->count == SPANS_MAX) {
        out->unknown = true;
        return;
    }
    out->ranges[out->count++] = (range){low, high};
}

/* -- digits within a number -------------------------------------------------------------------- */

static bool read_digits(dv_slice text, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > DIGITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *ret_value = value;
    return true;
}

static uint64_t power_of_ten(size_t exponent)
{
    uint64_t power = 1;
    while (exponent-- > 0) {
        power *= 10;
    }
    return power;
}

/* Numbers that end with the needle once their last digits are cut off. shift: by what they are
 * divided for that. */
static void add_endings(uint64_t needle, uint64_t modulus, bool begins_with_zero, uint64_t shift,
                        range within, spans *out)
{
    uint64_t least = (uint64_t)within.low / shift, most = (uint64_t)within.high / shift;
    uint64_t cut = least - least % modulus + needle;
    cut += cut < least ? modulus : 0;
    if (begins_with_zero && cut < modulus) { /* no number is written with a zero in front */
        cut += modulus;
    }
    for (; cut <= most && !out->unknown; cut += modulus) {
        uint64_t low = cut * shift, high = low + (shift - 1);
        add_span(out, (int64_t)DV_MAX(low, (uint64_t)within.low),
                 (int64_t)DV_MIN(high, (uint64_t)within.high));
    }
}

/* within.low >= 0: what has a sign or more digits than a number is in none of them. */
static void find_digits(dv_slice digits, range within, spans *out)
{
    uint64_t needle;
    if (digits.len > DIGITS_MAX + 1 || dv_slice_find_byte(digits, '-') >= 0) {
        return;
    }
    if (!read_digits(digits, &needle)) {
        out->unknown = true;
        return;
    }
    uint64_t modulus = power_of_ten(digits.len);
    bool zero = digits.ptr[0] == '0';
    if (zero && digits.len == 1 && within.low == 0) {
        add_span(out, 0, 0);
    }
    for (uint64_t shift = 1; shift <= (uint64_t)within.high && !out->unknown; shift *= 10) {
        add_endings(needle, modulus, zero, shift, within, out);
        if (shift > UINT64_MAX / 10) {
            break;
        }
    }
}

/* The same of one number, where the ranges are too many. */
static bool has_digits(uint64_t value, uint64_t needle, uint64_t modulus, bool begins_with_zero)
{
    if (value == 0) {
        return needle == 0 && modulus == 10;
    }
    uint64_t least = begins_with_zero ? modulus : modulus / 10;
    for (; value >= least; value /= 10) {
        if (value % modulus == needle) {
            return true;
        }
    }
    return false;
}

/* -- terms ------------------------------------------------------------------------------------- */

static void find_between(const dv_query_node *node, range within, spans *out)
{
    int64_t low = within.low, high = within.high;
    if ((node->has_low && !node->low.is_whole) || (node->has_high && !node->high.is_whole)) {
        out->unknown = true;
        return;
    }
    if (node->has_low) {
        if (node->low_open && node->low.whole == INT64_MAX) {
            return;
        }
        low = DV_MAX(low, node->low.whole + (node->low_open ? 1 : 0));
    }
    if (node->has_high) {
        if (node->high_open && node->high.whole == INT64_MIN) {
            return;
        }
        high = DV_MIN(high, node->high.whole - (node->high_open ? 1 : 0));
    }
    if (low <= high) {
        add_span(out, low, high);
    }
}

/* Which numbers within the bounds the term holds for. */
static spans spans_of(const dv_query_node *node, range within)
{
    spans out = {.count = 0};
    switch (node->op) {
    case DV_QUERY_EXISTS:
        add_span(&out, within.low, within.high);
        break;
    case DV_QUERY_WITHIN: /* of addresses, which are texts */
        break;
    case DV_QUERY_IS:
        if (node->has_low && node->low.is_whole) {
            int64_t value = node->low.whole;
            if (value >= within.low && value <= within.high) {
                add_span(&out, value, value);
            }
        }
        out.unknown = node->has_low && !node->low.is_whole;
        break;
    case DV_QUERY_BETWEEN:
        find_between(node, within, &out);
        break;
    case DV_QUERY_HAS:
        if (within.low >= 0) {
            find_digits(node->text, within, &out);
        } else {
            out.unknown = true;
        }
        break;
    default:
        out.unknown = true;
        break;
    }
    return out;
}

/* -- columns ----------------------------------------------------------------------------------- */

static range range_of(const dv_column *column)
{
    range all = {column->values[0], column->values[0]};
    for (uint32_t i = 1; i < column->count; i++) {
        all.low = DV_MIN(all.low, column->values[i]);
        all.high = DV_MAX(all.high, column->values[i]);
    }
    return all;
}

bool dv_block_ints_are_out(const dv_query_node *node, const dv_column *about)
{
    uint64_t most;
    if (about->predictor != DV_PREDICT_BASE || about->width >= sizeof(most) ||
        __builtin_add_overflow((uint64_t)about->base, (UINT64_C(1) << (8 * about->width)) - 1,
                               &most) ||
        about->base < 0 || most > INT64_MAX) {
        return false;
    }
    spans held = spans_of(node, (range){about->base, (int64_t)most});
    return held.count == 0 && !held.unknown;
}

static bool is_held(const spans *held, int64_t value)
{
    for (size_t i = 0; i < held->count; i++) {
        if (value >= held->ranges[i].low && value <= held->ranges[i].high) {
            return true;
        }
    }
    return false;
}

/* Numbers repeat: neighbours are compared before anything is worked out. */
static void judge_each(const dv_query_node *node, const dv_column *column, bool exact,
                       dv_found *rows)
{
    dv_known what = DV_KNOWN_NOTHING;
    uint64_t needle = 0;
    bool digits = node->op == DV_QUERY_HAS && read_digits(node->text, &needle);
    uint64_t modulus = digits ? power_of_ten(node->text.len) : 0;
    bool zero = digits && node->text.ptr[0] == '0';
    for (uint32_t i = 0; i < column->count; i++) {
        int64_t value = column->values[i];
        if (i == 0 || value != column->values[i - 1]) {
            bool quick = digits && value >= 0;
            what = !quick ? dv_block_judge_int(node, value)
                   : has_digits((uint64_t)value, needle, modulus, zero) ? DV_KNOWN_YES
                                                                        : DV_KNOWN_NO;
        }
        dv_found_note(rows, column->rows[i], what, exact);
    }
}

dv_result dv_block_judge_ints(dv_block_searcher *s, const dv_query_node *node, uint32_t index,
                              bool exact, dv_found *rows)
{
    const dv_column *column;
    DV_TRY(dv_block_column_values(s->block, index, &column, s->error));
    spans held = spans_of(node, range_of(column));
    if (held.count == 0 && !held.unknown) {
        return DV_OK;
    }
    DV_TRY(dv_block_column(s->block, index, &column, s->error));
    if (held.unknown) {
        judge_each(node, column, exact, rows);
        return DV_OK;
    }
    for (uint32_t i = 0; i < column->count; i++) {
        if (is_held(&held, column->values[i])) {
            dv_found_note(rows, column->rows[i], DV_KNOWN_YES, exact);
        }
    }
    return DV_OK;
}
