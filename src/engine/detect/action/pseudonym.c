/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudonyms of the same shape, and format-preserving encryption. */
#include "base/address.h"
#include "base/codec.h"
#include "crypto/random.h"
#include "engine/detect/action/tools.h"

enum { DIGITS_MAX = 256 }; /* of one value; more is redacted */

/* The letters or digits of a value that take part, as numbers, and where each stands. */
typedef struct signs {
    uint16_t numbers[DIGITS_MAX];
    size_t places[DIGITS_MAX];
    size_t count;
} signs;

static void add(signs *s, unsigned number, size_t place)
{
    if (s->count < DIGITS_MAX) {
        s->numbers[s->count] = (uint16_t)number;
        s->places[s->count] = place;
    }
    s->count++;
}

static bool domain_is_large(uint32_t radix, size_t count)
{
    uint64_t domain = 1;
    for (size_t i = 0; i < count && domain < DV_ACTION_DOMAIN_MIN; i++) {
        domain *= radix;
    }
    return domain >= DV_ACTION_DOMAIN_MIN;
}

/* -- digits and letters ------------------------------------------------------------------------ */

/* Digits by digits, letters by letters: FF1 where there are enough, so that no two become one; a
 * keyed stream where there are few. */
static dv_result replace(dv_action_tools *tools, dv_ff1 *ff1, uint32_t radix, dv_slice tweak,
                         signs *s)
{
    uint8_t digest[DV_SHA256_LEN];
    if (s->count == 0) {
        return DV_OK;
    }
    if (domain_is_large(radix, s->count)) {
        return dv_ff1_encrypt(ff1, tweak, s->numbers, s->count, s->numbers);
    }
    dv_buf_clear(&tools->message);
    DV_TRY(dv_buf_append_printf(&tools->message, "few%c%u%c", 0, radix, 0));
    DV_TRY(dv_buf_append(&tools->message, dv_slice_of(s->numbers, s->count * sizeof(*s->numbers))));
    DV_TRY(dv_buf_append(&tools->message, tweak));
    dv_hmac_sign(tools->names, dv_buf_slice(&tools->message), digest);
    for (size_t i = 0; i < s->count; i++) { /* fewer than 20: the domain is small */
        s->numbers[i] = (uint16_t)((digest[i] << 8 | digest[DV_SHA256_LEN - 1 - i]) % radix);
    }
    return DV_OK;
}

static dv_slice as_tweak(const signs *s)
{
    return dv_slice_of(s->numbers, s->count * sizeof(*s->numbers));
}

/* Separators and case stay. The letters' pseudonym depends on the digits and the other way round,
 * and both can be undone: two values never become one while both parts are long enough. */
static dv_result code(dv_action_tools *tools, dv_slice text, dv_buf *out)
{
    signs digits = {.count = 0};
    signs letters = {.count = 0};
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (dv_is_digit(byte)) {
            add(&digits, byte - '0', i);
        } else if (dv_is_alnum(byte)) {
            add(&letters, (byte | 0x20) - 'a', i);
        }
    }
    if (digits.count > DIGITS_MAX || letters.count > DIGITS_MAX) {
        return DV_ERR_INVALID;
    }
    DV_TRY(replace(tools, tools->digits, 10, as_tweak(&letters), &digits));
    DV_TRY(replace(tools, tools->letters, 26, as_tweak(&digits), &letters));
    size_t start = out->len;
    DV_TRY(dv_buf_append(out, text));
    for (size_t i = 0; i < digits.count; i++) {
        out->ptr[start + digits.places[i]] = (uint8_t)('0' + digits.numbers[i]);
    }
    for (size_t i = 0; i < letters.count; i++) {
        uint8_t small = (uint8_t)('a' + letters.numbers[i]);
        bool upper = dv_is_upper(text.ptr[letters.places[i]]);
        out->ptr[start + letters.places[i]] = upper ? (uint8_t)(small - 32) : small;
    }
    return DV_OK;
}

/* -- addresses --------------------------------------------------------------------------------- */

static dv_result append_base36(uint64_t number, size_t width, dv_buf *out)
{
    for (size_t i = 0; i < width; i++) {
        DV_TRY(
            dv_buf_append_byte(out, (uint8_t) "abcdefghijklmnopqrstuvwxyz0123456789"[number % 36]));
        number /= 36;
    }
    return DV_OK;
}

/* One domain stays one domain, below the one that RFC 2606 keeps free. */
static dv_result email(dv_action_tools *tools, dv_slice text, dv_buf *out)
{
    uint8_t whole[DV_SHA256_LEN], host[DV_SHA256_LEN];
    text = dv_slice_trim(text);
    dv_slice domain = dv_slice_sub(text, (size_t)dv_slice_find_byte(text, '@') + 1, text.len);
    DV_TRY(dv_action_digest(tools, tools->names, DV_SHAPE_EMAIL, DV_DATE_DMY, text, whole));
    DV_TRY(dv_action_digest(tools, tools->names, DV_SHAPE_TEXT, DV_DATE_DMY, domain, host));
    DV_TRY(dv_buf_append_byte(out, 'u'));
    DV_TRY(append_base36(dv_get_u64(whole), 12, out));
    DV_TRY(dv_buf_append_str(out, "@d"));
    DV_TRY(append_base36(dv_get_u64(host), 8, out));
    return dv_buf_append_str(out, ".example");
}

static dv_result address(dv_action_tools *tools, dv_slice text, dv_buf *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    dv_address parsed;
    uint16_t bytes[16];
    if (dv_address_parse(dv_slice_trim(text), &parsed) != DV_OK) {
        return DV_ERR_INVALID;
    }
    bool old = memcmp(parsed.bytes, mapped, sizeof(mapped)) == 0;
    size_t from = old ? 12 : 0;
    size_t len = sizeof(parsed.bytes) - from;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = parsed.bytes[from + i];
    }
    DV_TRY(dv_ff1_encrypt(tools->bytes, (dv_slice){NULL, 0}, bytes, len, bytes));
    for (size_t i = 0; i < len; i += old ? 1 : 2) {
        DV_TRY(old ? dv_buf_append_printf(out, "%s%u", i == 0 ? "" : ".", bytes[i])
                   : dv_buf_append_printf(out, "%s%x", i == 0 ? "" : ":",
                                          (unsigned)bytes[i] << 8 | bytes[i + 1]));
    }
    return DV_OK;
}

/* -- words ------------------------------------------------------------------------------------- */

static bool is_word_byte(uint8_t byte)
{
    return dv_is_alnum(byte) || byte >= 0x80;
}

/* Four syllables; capitals as the word had them. */
static dv_result word(dv_action_tools *tools, dv_slice text, dv_buf *out)
{
    static const char heads[] = "bdfgklmnprstvzhj";
    static const char tails[] = "aeiou";
    uint8_t digest[DV_SHA256_LEN];
    bool first = dv_is_upper(text.ptr[0]);
    bool all = first && text.len > 1 && dv_is_upper(text.ptr[1]);
    DV_TRY(dv_action_digest(tools, tools->names, DV_SHAPE_TEXT, DV_DATE_DMY, text, digest));
    uint64_t number = dv_get_u64(digest);
    for (size_t i = 0; i < 4; i++) {
        char head = heads[number % 16];
        char tail = tails[number / 16 % 5];
        number /= 80;
        DV_TRY(dv_buf_append_byte(out, (uint8_t)(head - (all || (first && i == 0) ? 32 : 0))));
        DV_TRY(dv_buf_append_byte(out, (uint8_t)(tail - (all ? 32 : 0))));
    }
    return DV_OK;
}

/* Each word by another: who appears by surname in one place is known by it in the next. */
static dv_result words(dv_action_tools *tools, dv_slice text, dv_buf *out)
{
    for (size_t i = 0; i < text.len;) {
        size_t start = i;
        while (i < text.len && is_word_byte(text.ptr[i])) {
            i++;
        }
        if (i > start) {
            DV_TRY(word(tools, dv_slice_sub(text, start, i - start), out));
        } else {
            DV_TRY(dv_buf_append_byte(out, text.ptr[i++]));
        }
    }
    return DV_OK;
}

/* Another day within a year of it. */
static dv_result date(dv_action_tools *tools, const dv_action *action, dv_slice text, dv_buf *out)
{
    uint8_t digest[DV_SHA256_LEN];
    dv_date parsed;
    if (!dv_date_parse(text, action->order, true, &parsed)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_action_digest(tools, tools->names, DV_SHAPE_DATE, action->order, text, digest));
    int64_t days = (int64_t)(dv_get_u64(digest) % 730) - 365;
    return dv_date_write(&parsed, parsed.day + days + (days >= 0), out);
}

dv_result dv_act_pseudonym(dv_action_tools *tools, const dv_action *action,
                           const dv_action_value *value, dv_buf *out)
{
    switch (dv_shape_of(value->text, action->order)) {
    case DV_SHAPE_EMAIL:
        return email(tools, value->text, out);
    case DV_SHAPE_ADDRESS:
        return address(tools, value->text, out);
    case DV_SHAPE_DATE:
        return date(tools, action, value->text, out);
    case DV_SHAPE_DIGITS:
    case DV_SHAPE_CODE:
        return code(tools, value->text, out);
    default:
        return words(tools, value->text, out);
    }
}

/* -- format-preserving encryption -------------------------------------------------------------- */

static bool luhn_holds(const signs *all)
{
    unsigned sum = 0;
    for (size_t i = 0; i < all->count; i++) {
        unsigned digit = all->numbers[all->count - 1 - i];
        digit *= i % 2 == 0 ? 1 : 2;
        sum += digit > 9 ? digit - 9 : digit;
    }
    return all->count > 1 && sum % 10 == 0;
}

/* Encrypts the signs between those that are kept, which are the tweak: equal middles of different
 * cards do not become equal. With luhn it goes on ("cycle walking") until the check digit is as
 * right, or as wrong, as it was, so that it can be undone; one number in ten is right. */
static dv_result encrypt_middle(dv_ff1 *ff1, const dv_action *action, signs *all)
{
    enum { WALK_MAX = 4096 };
    size_t first = action->keep_said ? action->keep_first : 0;
    size_t last = action->keep_said ? action->keep_last : 0;
    size_t middle = all->count - first - last;
    uint16_t kept[DIGITS_MAX];
    memcpy(kept, all->numbers, first * sizeof(*kept));
    memcpy(kept + first, all->numbers + first + middle, last * sizeof(*kept));
    dv_slice tweak = dv_slice_of(kept, (first + last) * sizeof(*kept));
    bool right = luhn_holds(all);
    for (int step = 0; step < WALK_MAX; step++) {
        uint16_t *at = all->numbers + first;
        DV_TRY((action->reverse ? dv_ff1_decrypt : dv_ff1_encrypt)(ff1, tweak, at, middle, at));
        if (!action->luhn || luhn_holds(all) == right) {
            return DV_OK;
        }
    }
    return DV_ERR_INVALID;
}

static const char alnum[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static dv_result collect(const dv_action *action, dv_slice text, signs *all)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (dv_is_digit(byte)) {
            add(all, byte - '0', i);
        } else if (dv_is_alnum(byte) && action->letters) {
            add(all, (unsigned)(strchr(alnum, byte) - alnum), i);
        } else if (dv_is_alnum(byte) || byte >= 0x80) {
            return DV_ERR_INVALID; /* it would stay */
        }
    }
    size_t kept = action->keep_said ? (size_t)action->keep_first + action->keep_last : 0;
    if (all->count > DIGITS_MAX || all->count < kept ||
        !domain_is_large(action->letters ? 62 : 10, all->count - kept)) {
        return DV_ERR_INVALID;
    }
    return DV_OK;
}

dv_result dv_act_fpe(dv_action_tools *tools, const dv_action *action, const dv_action_value *value,
                     dv_buf *out)
{
    signs all = {.count = 0};
    size_t start = out->len;
    DV_TRY(collect(action, value->text, &all));
    DV_TRY(encrypt_middle(action->letters ? tools->fpe_alnum : tools->fpe_digits, action, &all));
    DV_TRY(dv_buf_append(out, value->text));
    for (size_t i = 0; i < all.count; i++) {
        out->ptr[start + all.places[i]] = (uint8_t)alnum[all.numbers[i]];
    }
    return DV_OK;
}
