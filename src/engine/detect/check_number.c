/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/digits.h"

/* Checks of values that are numbers: digits with separators among them. */

static bool is_letter(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

static uint8_t upper(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z' ? (uint8_t)(byte - 'a' + 'A') : byte;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

void dv_digits_collect(const dv_detect_candidate *c, bool letters, dv_digits *out)
{
    size_t group = 0;
    out->count = 0;
    out->shortest_group = SIZE_MAX;
    for (size_t i = c->start; i < c->end && out->count < DV_DIGITS_MAX; i++) {
        uint8_t byte = c->text.ptr[i];
        if (!is_digit(byte) && !(letters && is_letter(byte))) {
            out->shortest_group =
                group > 0 ? DV_MIN(out->shortest_group, group) : out->shortest_group;
            group = 0;
            continue;
        }
        group++;
        out->end[out->count] = (uint32_t)(i + 1);
        out->text[out->count++] = (char)upper(byte);
    }
    out->shortest_group = DV_MIN(out->shortest_group, group);
    memset(out->text + out->count, 0, sizeof(out->text) - out->count);
}

/* True when no digit (or letter) follows the count-th one directly. */
static bool ends_after(const dv_detect_candidate *c, const dv_digits *d, size_t count, bool letters)
{
    size_t at = d->end[count - 1];
    if (at >= c->text.len) {
        return true;
    }
    uint8_t next = c->text.ptr[at];
    return !is_digit(next) && !(letters && is_letter(next));
}

static unsigned leading(const dv_digits *d, size_t count)
{
    unsigned value = 0;
    for (size_t i = 0; i < count; i++) {
        value = value * 10 + (unsigned)(d->text[i] - '0');
    }
    return value;
}

/* ---- payment cards ---- */

/* ISO/IEC 7812-1 annex B. */
bool dv_digits_luhn(const char *text, size_t count)
{
    unsigned sum = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned)(text[count - 1 - i] - '0');
        digit = i % 2 == 1 ? digit * 2 : digit;
        sum += digit > 9 ? digit - 9 : digit;
    }
    return sum % 10 == 0;
}

/* Numbers that a network issues: a range of leading digits and the lengths in use (bit = length).
 * Rare lengths need a word like "card" beside them. */
typedef struct network {
    unsigned first;
    unsigned last;
    uint8_t prefix; /* digits of first and last */
    uint32_t lengths;
    uint32_t rare;
} network;

#define BIT(length) (1u << (length))
static const network networks[] = {
    {4, 4, 1, BIT(16), BIT(13) | BIT(19)}, /* Visa */
    {51, 55, 2, BIT(16), 0},               /* Mastercard */
    {2221, 2720, 4, BIT(16), 0},           /* Mastercard */
    {34, 34, 2, BIT(15), 0},               /* Amex */
    {37, 37, 2, BIT(15), 0},               /* Amex */
    {300, 305, 3, BIT(14), BIT(16)},       /* Diners */
    {3095, 3095, 4, BIT(14), BIT(16)},     /* Diners */
    {36, 36, 2, BIT(14), BIT(16)},         /* Diners */
    {38, 39, 2, BIT(14), BIT(16)},         /* Diners */
    {6011, 6011, 4, BIT(16), BIT(19)},     /* Discover */
    {644, 659, 3, BIT(16), BIT(19)},       /* Discover, RuPay */
    {3528, 3589, 4, BIT(16), BIT(19)},     /* JCB */
    {35, 35, 2, BIT(16), 0},               /* JCB, as sold before the range was narrowed */
    {2131, 2131, 4, BIT(15), 0},           /* JCB, old */
    {1800, 1800, 4, BIT(15), 0},           /* JCB, old */
    {62, 62, 2, BIT(16), BIT(17) | BIT(18) | BIT(19)},     /* UnionPay */
    {60, 60, 2, BIT(16), 0},                               /* RuPay */
    {81, 82, 2, BIT(16), 0},                               /* RuPay */
    {508, 508, 3, BIT(16), 0},                             /* RuPay */
    {2200, 2204, 4, BIT(16), BIT(17) | BIT(18) | BIT(19)}, /* Mir */
    {5018, 5018, 4, 0xFF000, 0},                           /* Maestro: 12 to 19 */
    {5020, 5020, 4, 0xFF000, 0},                           /* Maestro */
    {5038, 5038, 4, 0xFF000, 0},                           /* Maestro */
    {5893, 5893, 4, 0xFF000, 0},                           /* Maestro */
    {6304, 6304, 4, 0xFF000, 0},                           /* Maestro */
    {6390, 6390, 4, 0xFF000, 0},                           /* Maestro */
    {6759, 6759, 4, 0xFF000, 0},                           /* Maestro */
    {6761, 6763, 4, 0xFF000, 0},                           /* Maestro */
    {604, 604, 4, 0, 0xFF000},                             /* Maestro: 0604 */
    {50, 50, 2, 0, 0xFF000},                               /* Maestro */
    {56, 58, 2, 0, 0xFF000},                               /* Maestro */
    {61, 61, 2, 0, 0xFF000},                               /* Maestro */
    {63, 63, 2, 0, 0xFF000},                               /* Maestro */
    {66, 69, 2, 0, 0xFF000},                               /* Maestro */
};

/* The lengths (bits) of numbers that a network issues with these leading digits. */
static uint32_t issued_lengths(const dv_digits *d, bool context)
{
    static const unsigned scale[] = {0, 1000, 100, 10, 1};
    unsigned four = leading(d, 4);
    uint32_t lengths = 0;
    for (size_t i = 0; i < DV_ARRAY_LEN(networks); i++) {
        const network *n = &networks[i];
        unsigned value = four / scale[n->prefix];
        if (value >= n->first && value <= n->last) {
            lengths |= n->lengths | (context ? n->rare : 0);
        }
    }
    return lengths;
}

bool dv_digits_all_same(const dv_digits *d, size_t count)
{
    return strspn(d->text, (char[]){d->text[0], '\0'}) >= count;
}

/* Whether it stands as a word of a sentence, and not as a field of a record: "id=...", "id": "...",
 * /path/... */
static bool stands_free(const dv_detect_candidate *c)
{
    size_t at = c->start;
    while (at > 0 && strchr(" \"'", c->text.ptr[at - 1]) != NULL) {
        at--;
    }
    if (at == 0 || c->text.ptr[at - 1] == '\0') {
        return true;
    }
    bool escaped = at > 1 && c->text.ptr[at - 2] == '\\';
    return escaped || strchr("=:/,", c->text.ptr[at - 1]) == NULL;
}

/* Whether it is written as on a card: digits in fours, the last group of any size. */
static bool in_fours(const dv_digits *d, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        bool apart = d->end[i] - d->end[i - 1] > 1;
        if (apart != (i % 4 == 0)) {
            return false;
        }
    }
    return count > 4;
}

/* The longest number at the candidate's start that a network issues and Luhn accepts. */
bool dv_detect_check_card(dv_detect_candidate *c)
{
    dv_digits d;
    dv_digits_collect(c, false, &d);
    bool rare = c->context || in_fours(&d, d.count);
    if (d.shortest_group < 2 && !rare) {
        return false; /* a list of digits, most often */
    }
    uint32_t lengths = issued_lengths(&d, rare);
    if (!rare && !stands_free(c)) {
        lengths &= BIT(15) | BIT(16);
    }
    for (size_t count = DV_MIN(d.count, (size_t)19); count >= 12; count--) {
        if ((lengths & BIT(count)) != 0 && ends_after(c, &d, count, false) &&
            dv_digits_luhn(d.text, count) && !dv_digits_all_same(&d, count)) {
            c->end = d.end[count - 1];
            return true;
        }
    }
    return false;
}

/* ---- IBAN ---- */

/* Countries of the IBAN registry and their lengths. */
static const struct {
    char country[3];
    uint8_t length;
} iban_lengths[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22},
    {"BH", 22}, {"BI", 27}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24},
    {"DE", 22}, {"DJ", 27}, {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18},
    {"FK", 18}, {"FO", 18}, {"FR", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27},
    {"GT", 28}, {"HN", 28}, {"HR", 21}, {"HU", 28}, {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26},
    {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20}, {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20},
    {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27}, {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MN", 20},
    {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NI", 28}, {"NL", 18}, {"NO", 15}, {"OM", 23}, {"PK", 24},
    {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"RU", 33}, {"SA", 24},
    {"SC", 31}, {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"SO", 23}, {"ST", 25},
    {"SV", 28}, {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20},
    {"YE", 30},
};

static size_t iban_length(const char *text)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(iban_lengths); i++) {
        if (memcmp(iban_lengths[i].country, text, 2) == 0) {
            return iban_lengths[i].length;
        }
    }
    return 0;
}

/* ISO/IEC 7064 MOD 97-10 over the number with its first four characters at the end; letters count
 * as 10 to 35. */
static bool mod97_is_1(const char *text, size_t count)
{
    unsigned rest = 0;
    for (size_t i = 0; i < count; i++) {
        char digit = text[(i + 4) % count];
        unsigned value =
            is_digit((uint8_t)digit) ? (unsigned)(digit - '0') : (unsigned)(digit - 'A') + 10;
        rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
    }
    return rest == 1;
}

/* ISO 13616-1: what follows the country's length is no part of it. */
bool dv_detect_check_iban(dv_detect_candidate *c)
{
    dv_digits d;
    dv_digits_collect(c, true, &d);
    size_t length = iban_length(d.text);
    if (length == 0 || d.count < length || !ends_after(c, &d, length, true) ||
        !mod97_is_1(d.text, length)) {
        return false;
    }
    c->end = d.end[length - 1];
    return true;
}

/* ---- Aadhaar ---- */

/* The dihedral group of order 10: 0 to 4 are rotations, 5 to 9 reflections. */
static unsigned dihedral(unsigned a, unsigned b)
{
    if (a < 5) {
        return b < 5 ? (a + b) % 5 : 5 + (a + b - 5) % 5;
    }
    return b < 5 ? 5 + (a - 5 + 5 - b) % 5 : (a - b + 5) % 5;
}

/* J. Verhoeff's check: a permutation for each place, products in the dihedral group. */
bool dv_digits_verhoeff(const char *text, size_t count)
{
    static const uint8_t permutation[10] = {1, 5, 7, 6, 2, 8, 3, 0, 9, 4};
    unsigned check = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned)(text[count - 1 - i] - '0');
        for (size_t times = i % 8; times > 0; times--) {
            digit = permutation[digit];
        }
        check = dihedral(check, digit);
    }
    return check == 0;
}

bool dv_detect_check_aadhaar(dv_detect_candidate *c)
{
    dv_digits d;
    dv_digits_collect(c, false, &d);
    if (d.count != 12 || !dv_digits_verhoeff(d.text, d.count) || dv_digits_all_same(&d, d.count)) {
        return false;
    }
    if (d.shortest_group == 12 && !c->context) {
        c->score = 60; /* one bare number in ten passes the check */
        return stands_free(c);
    }
    return true;
}

/* ---- US social security number ---- */

/* Areas 000, 666 and 900 to 999, group 00 and serial 0000 are never assigned (SSA, POMS RM
 * 10201.035). */
bool dv_detect_check_ssn(dv_detect_candidate *c)
{
    dv_digits d;
    dv_digits_collect(c, false, &d);
    unsigned area = leading(&d, 3);
    return d.count == 9 && area != 0 && area != 666 && area < 900 &&
           memcmp(d.text + 3, "00", 2) != 0 && memcmp(d.text + 5, "0000", 4) != 0;
}

/* ---- phone numbers ---- */

/* Digits of the number itself, without an extension. */
static size_t phone_digits(const dv_detect_candidate *c, dv_digits *d)
{
    dv_detect_candidate number = *c;
    for (size_t i = c->start; i < c->end; i++) {
        if (is_letter(c->text.ptr[i])) {
            number.end = i;
            break;
        }
    }
    dv_digits_collect(&number, false, d);
    return d->count;
}

/* ITU-T E.164 list of assigned country codes, those with two digits and the three-digit zones that
 * have holes. */
static bool country_code_assigned(const dv_digits *d)
{
    static const char two[] =
        "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 "
        "56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 ";
    static const char three[] =
        "211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 "
        "237 238 239 240 241 242 243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258 "
        "260 261 262 263 264 265 266 267 268 269 290 291 297 298 299 350 351 352 353 354 355 356 "
        "357 358 359 370 371 372 373 374 375 376 377 378 379 380 381 382 383 385 386 387 389 420 "
        "421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 598 599 "
        "670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 800 "
        "808 850 852 853 855 856 870 878 880 881 882 883 886 888 960 961 962 963 964 965 966 967 "
        "968 970 971 972 973 974 975 976 977 979 992 993 994 995 996 998 ";
    if (d->text[0] == '1' || d->text[0] == '7') {
        return true;
    }
    char code[4] = {d->text[0], d->text[1], ' ', '\0'};
    char longer[5] = {d->text[0], d->text[1], d->text[2], ' ', '\0'};
    return strstr(two, code) != NULL || strstr(three, longer) != NULL;
}

/* "+3.140000": one full stop and nothing else between the digits. */
static bool is_decimal(const dv_detect_candidate *c)
{
    size_t stops = 0;
    for (size_t i = c->start + 1; i < c->end; i++) {
        uint8_t byte = c->text.ptr[i];
        stops += byte == '.' ? 1 : 0;
        if (byte != '.' && !is_digit(byte)) {
            return false;
        }
    }
    return stops == 1;
}

bool dv_detect_check_phone_international(dv_detect_candidate *c)
{
    dv_digits d;
    size_t count = phone_digits(c, &d);
    if (is_decimal(c)) {
        return false;
    }
    return count >= 7 && count <= 15 && country_code_assigned(&d);
}

/* The same behind 00, which many countries dial in place of the plus. */
bool dv_detect_check_phone_exit(dv_detect_candidate *c)
{
    dv_digits d;
    size_t count = phone_digits(c, &d);
    memmove(d.text, d.text + 2, sizeof(d.text) - 2);
    return count >= 10 && count <= 17 && d.text[0] != '0' && country_code_assigned(&d);
}

/* "2026-01-15", "15.01.2026", "2019-2026" and the like. */
static bool is_date(const dv_digits *d)
{
    unsigned year_first = leading(d, 4);
    bool year_last = memcmp(d->text + 4, "19", 2) == 0 || memcmp(d->text + 4, "20", 2) == 0;
    bool years = d->shortest_group == 4 && year_first >= 1900 && year_first < 2100 && year_last;
    return d->count == 8 && (years || (d->shortest_group == 2 &&
                                       ((year_first >= 1900 && year_first < 2100) || year_last)));
}

static bool is_ipv4(const dv_detect_candidate *c)
{
    dv_detect_candidate copy = *c;
    return dv_detect_check_ipv4(&copy);
}

bool dv_detect_check_phone_national(dv_detect_candidate *c)
{
    dv_digits d;
    size_t count = phone_digits(c, &d);
    return count >= 7 && count <= 15 && !is_date(&d) && !is_ipv4(c) &&
           !dv_digits_all_same(&d, count);
}

/* ---- GSTIN ---- */

static unsigned base36(char digit)
{
    return is_digit((uint8_t)digit) ? (unsigned)(digit - '0') : (unsigned)(digit - 'A') + 10;
}

/* Weights 1 and 2 in turn, each product's base-36 digits added up, modulo 36. */
bool dv_detect_check_gstin(dv_detect_candidate *c)
{
    dv_digits d;
    dv_digits_collect(c, true, &d);
    unsigned sum = 0;
    for (size_t i = 0; i < 14; i++) {
        unsigned product = base36(d.text[i]) * (i % 2 == 0 ? 1 : 2);
        sum += product / 36 + product % 36;
    }
    return d.count == 15 && (36 - sum % 36) % 36 == base36(d.text[14]);
}
