/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/digits.h"

/* Checks of numbers that states, banks and health systems give to people and companies. Each sum is
 * the one that its issuer publishes; the tests hold them against python-stdnum. */

static unsigned digit_at(const dv_digits *d, size_t i)
{
    return (unsigned)(d->text[i] - '0');
}

static unsigned number_at(const dv_digits *d, size_t at, size_t count)
{
    unsigned value = 0;
    for (size_t i = at; i < at + count; i++) {
        value = value * 10 + digit_at(d, i);
    }
    return value;
}

static bool all_digits(const dv_digits *d, size_t at, size_t count)
{
    return at + count <= d->count && strspn(d->text + at, "0123456789") >= count;
}

/* The candidate's digits, when there are `count` and not all the same. */
static bool digits_of(const dv_detect_candidate *c, size_t count, dv_digits *d)
{
    dv_digits_collect(c, false, d);
    return d->count == count && !dv_digits_all_same(d, count);
}

static bool letters_of(const dv_detect_candidate *c, size_t count, dv_digits *d)
{
    dv_digits_collect(c, true, d);
    return d->count == count;
}

/* The sum of digits from `at`, each times the weight of its place. */
static unsigned weigh(const dv_digits *d, size_t at, const uint8_t *weights, size_t count)
{
    unsigned sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += digit_at(d, at + i) * weights[i];
    }
    return sum;
}

#define WEIGH(d, at, ...)                                                                          \
    weigh(d, at, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static unsigned long long whole(const dv_digits *d, size_t at, size_t count)
{
    unsigned long long value = 0;
    for (size_t i = at; i < at + count; i++) {
        value = value * 10 + digit_at(d, i);
    }
    return value;
}

/* A day of some year; two digits of a year tell no leap day. */
static bool is_day(unsigned month, unsigned day)
{
    static const uint8_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1];
}

/* ISO/IEC 7064 MOD 11,10. */
static bool mod11_10(const dv_digits *d, size_t count)
{
    unsigned check = 5;
    for (size_t i = 0; i < count; i++) {
        check = ((check == 0 ? 10 : check) * 2 % 11 + digit_at(d, i)) % 10;
    }
    return check == 1;
}

static bool luhn_of(const dv_detect_candidate *c, size_t count)
{
    dv_digits d;
    return digits_of(c, count, &d) && dv_digits_luhn(d.text, count);
}

bool dv_detect_check_luhn9(dv_detect_candidate *c)
{
    return luhn_of(c, 9);
}

bool dv_detect_check_luhn13(dv_detect_candidate *c)
{
    return luhn_of(c, 13);
}

bool dv_detect_check_luhn14(dv_detect_candidate *c)
{
    return luhn_of(c, 14);
}

bool dv_detect_check_luhn15(dv_detect_candidate *c)
{
    return luhn_of(c, 15);
}

/* ---- India ---- */

/* The virtual id that stands for an Aadhaar number ends in the same check digit. */
bool dv_detect_check_aadhaar_vid(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 16, &d) && dv_digits_verhoeff(d.text, 16);
}

/* Electors Photo Identity Card: three letters, then seven digits with a Luhn digit. */
bool dv_detect_check_epic(dv_detect_candidate *c)
{
    dv_digits d;
    return letters_of(c, 10, &d) && all_digits(&d, 3, 7) && dv_digits_luhn(d.text + 3, 7);
}

/* ---- North America ---- */

/* ABA routing numbers; the first two digits tell the Federal Reserve district or a purpose. */
bool dv_detect_check_us_routing(dv_detect_candidate *c)
{
    dv_digits d;
    if (!digits_of(c, 9, &d) || WEIGH(&d, 0, 3, 7, 1, 3, 7, 1, 3, 7, 1) % 10 != 0) {
        return false;
    }
    unsigned district = number_at(&d, 0, 2);
    return district <= 12 || (district >= 21 && district <= 32) ||
           (district >= 61 && district <= 72) || district == 80;
}

/* The prefixes that the IRS has given to its campuses and the internet. */
bool dv_detect_check_us_ein(dv_detect_candidate *c)
{
    static const char never[] = "00 07 08 09 17 18 19 28 29 49 69 70 78 79 89 96 97 ";
    dv_digits d;
    if (!digits_of(c, 9, &d)) {
        return false;
    }
    return strstr(never, (char[]){d.text[0], d.text[1], ' ', '\0'}) == NULL;
}

/* ITIN: 9xx with the groups 50 to 65, 70 to 88, 90 to 92 and 94 to 99. */
bool dv_detect_check_us_itin(dv_detect_candidate *c)
{
    dv_digits d;
    dv_digits_collect(c, false, &d);
    unsigned group = d.count == 9 ? number_at(&d, 3, 2) : 0;
    return d.count == 9 && d.text[0] == '9' &&
           ((group >= 50 && group <= 65) || (group >= 70 && group <= 88) ||
            (group >= 90 && group <= 99 && group != 93));
}

/* ---- United Kingdom and Ireland ---- */

bool dv_detect_check_uk_nhs(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 10, &d) && WEIGH(&d, 0, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1) % 11 == 0;
}

bool dv_detect_check_uk_utr(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 10, &d) &&
           "21987654321"[WEIGH(&d, 1, 6, 7, 8, 9, 10, 5, 4, 3, 2) % 11] == d.text[0];
}

/* Personal Public Service number: seven digits, a check letter and perhaps another letter. */
bool dv_detect_check_ie_pps(dv_detect_candidate *c)
{
    static const char letters[] = "WABCDEFGHIJKLMNOPQRSTUV";
    dv_digits d;
    dv_digits_collect(c, true, &d);
    if ((d.count != 8 && d.count != 9) || !all_digits(&d, 0, 7)) {
        return false;
    }
    const char *extra = d.count == 9 ? strchr(letters, d.text[8]) : letters;
    if (extra == NULL) {
        return false;
    }
    unsigned sum = WEIGH(&d, 0, 8, 7, 6, 5, 4, 3, 2) + 9 * (unsigned)(extra - letters);
    return letters[sum % 23] == d.text[7];
}

/* ---- European Union, Norway, Switzerland ---- */

/* Steueridentifikationsnummer: of the first ten digits one stands twice or three times. */
bool dv_detect_check_de_tax_id(dv_detect_candidate *c)
{
    dv_digits d;
    unsigned counts[10] = {0};
    unsigned missing = 0;
    if (!digits_of(c, 11, &d) || d.text[0] == '0' || !mod11_10(&d, 11)) {
        return false;
    }
    for (size_t i = 0; i < 10; i++) {
        counts[digit_at(&d, i)]++;
    }
    for (size_t i = 0; i < 10; i++) {
        missing += counts[i] == 0 ? 1 : 0;
    }
    return missing == 1 || missing == 2;
}

/* Numéro d'inscription au répertoire: a key of two digits; Corsica's departments are letters. */
bool dv_detect_check_fr_nir(dv_detect_candidate *c)
{
    dv_digits d;
    if (!letters_of(c, 15, &d)) {
        return false;
    }
    if (d.text[5] == '2' && (d.text[6] == 'A' || d.text[6] == 'B')) {
        bool south = d.text[6] == 'A';
        d.text[5] = '1';
        d.text[6] = south ? '9' : '8';
    }
    return all_digits(&d, 0, 15) && 97 - whole(&d, 0, 13) % 97 == number_at(&d, 13, 2);
}

static char es_letter(unsigned number)
{
    return "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23];
}

/* DNI of eight digits, NIE that begins with X, Y or Z, and the companies' CIF. */
bool dv_detect_check_es_nif(dv_detect_candidate *c)
{
    dv_digits d;
    if (!letters_of(c, 9, &d) || !all_digits(&d, 1, 7)) {
        return false;
    }
    if (d.text[0] >= '0' && d.text[0] <= '9') {
        return es_letter(number_at(&d, 0, 8)) == d.text[8];
    }
    if (d.text[0] >= 'X' && d.text[0] <= 'Z') {
        d.text[0] = (char)(d.text[0] - 'X' + '0');
        return es_letter(number_at(&d, 0, 8)) == d.text[8];
    }
    char with_digit[9];
    memcpy(with_digit, d.text + 1, 8);
    const char *letter = strchr("JABCDEFGHI", d.text[8]);
    with_digit[7] =
        letter != NULL ? (char)('0' + (letter - (const char *)"JABCDEFGHI")) : d.text[8];
    return dv_digits_luhn(with_digit, 8);
}

static unsigned codice_odd(char letter)
{
    static const uint8_t values[] = {1,  0,  5, 7, 9, 13, 15, 17, 19, 21, 2,  4,  18,
                                     20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23};
    return values[letter >= '0' && letter <= '9' ? letter - '0' : letter - 'A'];
}

static unsigned codice_even(char letter)
{
    return letter >= '0' && letter <= '9' ? (unsigned)(letter - '0') : (unsigned)(letter - 'A');
}

/* Codice fiscale (decree of 23 December 1976). */
bool dv_detect_check_it_fiscal_code(dv_detect_candidate *c)
{
    dv_digits d;
    unsigned sum = 0;
    if (!letters_of(c, 16, &d)) {
        return false;
    }
    for (size_t i = 0; i < 15; i++) {
        sum += i % 2 == 0 ? codice_odd(d.text[i]) : codice_even(d.text[i]);
    }
    return (unsigned)(d.text[15] - 'A') == sum % 26;
}

bool dv_detect_check_it_vat(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 11, &d) && dv_digits_luhn(d.text, 11);
}

/* Burgerservicenummer: the last digit's weight is minus one. */
bool dv_detect_check_nl_bsn(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 9, &d) && WEIGH(&d, 0, 9, 8, 7, 6, 5, 4, 3, 2) % 11 == digit_at(&d, 8);
}

/* Rijksregisternummer; those born from 2000 on count with a 2 before it. */
bool dv_detect_check_be_national(dv_detect_candidate *c)
{
    dv_digits d;
    if (!digits_of(c, 11, &d) || number_at(&d, 2, 2) > 12 || number_at(&d, 4, 2) > 31) {
        return false;
    }
    unsigned key = number_at(&d, 9, 2);
    unsigned long long number = whole(&d, 0, 9);
    return 97 - number % 97 == key || 97 - (2000000000ULL + number) % 97 == key;
}

bool dv_detect_check_pt_nif(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 9, &d) && d.text[0] != '0' &&
           (11 - WEIGH(&d, 0, 9, 8, 7, 6, 5, 4, 3, 2) % 11) % 11 % 10 == digit_at(&d, 8);
}

/* PESEL: the month says the century, in steps of 20. */
bool dv_detect_check_pl_pesel(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 11, &d) && is_day(number_at(&d, 2, 2) % 20, number_at(&d, 4, 2)) &&
           WEIGH(&d, 0, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1) % 10 == 0;
}

bool dv_detect_check_pl_nip(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 10, &d) && WEIGH(&d, 0, 6, 5, 7, 2, 3, 4, 5, 6, 7) % 11 == digit_at(&d, 9);
}

/* Personnummer; samordningsnummer have 60 added to the day. */
bool dv_detect_check_se_personal(dv_detect_candidate *c)
{
    dv_digits d;
    dv_digits_collect(c, false, &d);
    if (d.count != 10 && d.count != 12) {
        return false;
    }
    size_t at = d.count - 10;
    unsigned day = number_at(&d, at + 4, 2);
    return is_day(number_at(&d, at + 2, 2), day > 60 ? day - 60 : day) &&
           dv_digits_luhn(d.text + at, 10);
}

/* CPR numbers given since 2007 carry no check digit. */
bool dv_detect_check_dk_cpr(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 10, &d) && is_day(number_at(&d, 2, 2), number_at(&d, 0, 2));
}

/* Henkilötunnus: ten characters without the century sign. */
bool dv_detect_check_fi_hetu(dv_detect_candidate *c)
{
    dv_digits d;
    dv_detect_candidate tail = *c;
    tail.start += 7; /* behind the sign, which may be a letter */
    dv_digits_collect(&tail, true, &d);
    if (d.count != 4 || !all_digits(&d, 0, 3)) {
        return false;
    }
    dv_detect_candidate head = *c;
    dv_digits date;
    head.end = c->start + 6;
    dv_digits_collect(&head, false, &date);
    unsigned number = date.count == 6 ? number_at(&date, 0, 6) * 1000 + number_at(&d, 0, 3) : 0;
    return number != 0 && is_day(number_at(&date, 2, 2), number_at(&date, 0, 2)) &&
           "0123456789ABCDEFHJKLMNPRSTUVWXY"[number % 31] == d.text[3];
}

/* Fødselsnummer; D-numbers have 40 added to the day, H-numbers to the month. */
bool dv_detect_check_no_birth(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 11, &d) && is_day(number_at(&d, 2, 2) % 40, number_at(&d, 0, 2) % 40) &&
           WEIGH(&d, 0, 3, 7, 6, 1, 8, 9, 4, 5, 2, 1) % 11 == 0 &&
           WEIGH(&d, 0, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1) % 11 == 0;
}

/* Sozialversicherungsnummer: the check digit stands fourth. */
bool dv_detect_check_at_social(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 10, &d) && d.text[0] != '0' &&
           WEIGH(&d, 0, 3, 7, 9, 0, 5, 8, 4, 2, 1, 6) % 11 == digit_at(&d, 3);
}

/* Rodné číslo: women's months have 50 added, and 20 more when a day's numbers ran out. */
bool dv_detect_check_cz_birth(dv_detect_candidate *c)
{
    dv_digits d;
    if (!digits_of(c, 10, &d)) {
        return false;
    }
    unsigned month = number_at(&d, 2, 2) % 50 % 20;
    unsigned check = number_at(&d, 0, 9) % 11 % 10;
    return is_day(month, number_at(&d, 4, 2)) && check == digit_at(&d, 9);
}

bool dv_detect_check_ro_cnp(dv_detect_candidate *c)
{
    dv_digits d;
    if (!digits_of(c, 13, &d) || !is_day(number_at(&d, 3, 2), number_at(&d, 5, 2))) {
        return false;
    }
    unsigned check = WEIGH(&d, 0, 2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9) % 11;
    return d.text[0] != '0' && (check == 10 ? 1 : check) == digit_at(&d, 12);
}

/* EGN: 20 or 40 is added to the month before 1900 and from 2000 on. */
bool dv_detect_check_bg_egn(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 10, &d) && is_day(number_at(&d, 2, 2) % 20, number_at(&d, 4, 2)) &&
           WEIGH(&d, 0, 2, 4, 8, 5, 10, 9, 7, 3, 6) % 11 % 10 == digit_at(&d, 9);
}

bool dv_detect_check_gr_amka(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 11, &d) && is_day(number_at(&d, 2, 2), number_at(&d, 0, 2)) &&
           dv_digits_luhn(d.text, 11);
}

bool dv_detect_check_hr_oib(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 11, &d) && mod11_10(&d, 11);
}

/* EMŠO, JMBG: Slovenia and the other states of former Yugoslavia. */
bool dv_detect_check_emso(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 13, &d) && is_day(number_at(&d, 2, 2), number_at(&d, 0, 2)) &&
           (11 - WEIGH(&d, 0, 7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2) % 11) % 11 % 10 ==
               digit_at(&d, 12);
}

/* Isikukood and asmens kodas. */
bool dv_detect_check_baltic(dv_detect_candidate *c)
{
    dv_digits d;
    if (!digits_of(c, 11, &d) || d.text[0] == '0' ||
        !is_day(number_at(&d, 3, 2), number_at(&d, 5, 2))) {
        return false;
    }
    unsigned check = WEIGH(&d, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1) % 11;
    check = check == 10 ? WEIGH(&d, 0, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3) % 11 % 10 : check;
    return check == digit_at(&d, 10);
}

/* AHV number: a GTIN-13 of Switzerland's prefix. */
bool dv_detect_check_ch_ahv(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 13, &d) && number_at(&d, 0, 3) == 756 &&
           WEIGH(&d, 0, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1) % 10 == 0;
}

/* ---- elsewhere ---- */

bool dv_detect_check_au_tfn(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 9, &d) && WEIGH(&d, 0, 1, 4, 3, 7, 5, 8, 6, 9, 10) % 11 == 0;
}

bool dv_detect_check_au_abn(dv_detect_candidate *c)
{
    dv_digits d;
    if (!digits_of(c, 11, &d) || d.text[0] == '0') {
        return false;
    }
    return (WEIGH(&d, 0, 10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19) - 10) % 89 == 0;
}

static unsigned cpf_digit(unsigned sum)
{
    return (11 - sum % 11) % 11 % 10;
}

bool dv_detect_check_br_cpf(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 11, &d) &&
           cpf_digit(WEIGH(&d, 0, 10, 9, 8, 7, 6, 5, 4, 3, 2)) == digit_at(&d, 9) &&
           cpf_digit(WEIGH(&d, 0, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)) == digit_at(&d, 10);
}

bool dv_detect_check_br_cnpj(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 14, &d) &&
           cpf_digit(WEIGH(&d, 0, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) == digit_at(&d, 12) &&
           cpf_digit(WEIGH(&d, 0, 6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) == digit_at(&d, 13);
}

/* Resident identity card (GB 11643-1999), ISO/IEC 7064 MOD 11-2. */
bool dv_detect_check_cn_resident(dv_detect_candidate *c)
{
    dv_digits d;
    if (!letters_of(c, 18, &d) || !all_digits(&d, 0, 17) ||
        !is_day(number_at(&d, 10, 2), number_at(&d, 12, 2))) {
        return false;
    }
    unsigned sum = WEIGH(&d, 0, 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2);
    return "10X98765432"[sum % 11] == d.text[17];
}

bool dv_detect_check_kr_resident(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 13, &d) && is_day(number_at(&d, 2, 2), number_at(&d, 4, 2)) &&
           (11 - WEIGH(&d, 0, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5) % 11) % 10 == digit_at(&d, 12);
}

bool dv_detect_check_tr_identity(dv_detect_candidate *c)
{
    dv_digits d;
    if (!digits_of(c, 11, &d) || d.text[0] == '0') {
        return false;
    }
    unsigned odd = WEIGH(&d, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1);
    unsigned even = WEIGH(&d, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0);
    unsigned tenth = (odd * 7 + 10 * 9 - even) % 10;
    return tenth == digit_at(&d, 9) && (odd + even + tenth) % 10 == digit_at(&d, 10);
}

/* CUIT and CUIL. */
bool dv_detect_check_ar_cuit(dv_detect_candidate *c)
{
    dv_digits d;
    return digits_of(c, 11, &d) &&
           "012345678990"[11 - WEIGH(&d, 0, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2) % 11] == d.text[10];
}

bool dv_detect_check_cl_rut(dv_detect_candidate *c)
{
    dv_digits d;
    dv_digits_collect(c, true, &d);
    if (d.count < 8 || d.count > 9 || !all_digits(&d, 0, d.count - 1)) {
        return false;
    }
    unsigned sum = 0;
    for (size_t i = 0; i + 1 < d.count; i++) {
        sum += digit_at(&d, d.count - 2 - i) * (unsigned)(i % 6 + 2);
    }
    return "0K987654321"[sum % 11] == d.text[d.count - 1];
}

/* ---- health ---- */

/* National Provider Identifier: Luhn over it with 80840 before it (45 CFR 162.406). */
bool dv_detect_check_npi(dv_detect_candidate *c)
{
    dv_digits d;
    char whole_number[15] = "80840";
    if (!digits_of(c, 10, &d)) {
        return false;
    }
    memcpy(whole_number + 5, d.text, 10);
    return dv_digits_luhn(whole_number, 15);
}

/* DEA registration number: two letters, six digits, a sum. */
bool dv_detect_check_dea(dv_detect_candidate *c)
{
    dv_digits d;
    return letters_of(c, 9, &d) && all_digits(&d, 2, 7) &&
           WEIGH(&d, 2, 1, 2, 1, 2, 1, 2) % 10 == digit_at(&d, 8);
}

static unsigned vin_value(char letter)
{
    static const uint8_t values[] = {1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4,
                                     5, 0, 7, 0, 9, 2, 3, 4, 5, 6, 7, 8, 9};
    return letter >= '0' && letter <= '9' ? (unsigned)(letter - '0') : values[letter - 'A'];
}

/* Vehicle identification number with North America's check digit (49 CFR 565.15). */
bool dv_detect_check_vin(dv_detect_candidate *c)
{
    static const uint8_t weights[] = {8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2};
    dv_digits d;
    unsigned sum = 0;
    if (!letters_of(c, 17, &d)) {
        return false;
    }
    for (size_t i = 0; i < 17; i++) {
        sum += vin_value(d.text[i]) * weights[i];
    }
    return "0123456789X"[sum % 11] == d.text[8];
}

/* ---- places and times ---- */

/* Two numbers of degrees with a fraction; both nought is no place that anybody means. */
bool dv_detect_check_coordinates(dv_detect_candidate *c)
{
    char text[64];
    size_t len = c->end - c->start;
    if (len >= sizeof(text)) {
        return false;
    }
    memcpy(text, c->text.ptr + c->start, len);
    text[len] = '\0';
    char *rest = NULL;
    double latitude = strtod(text, &rest);
    rest += strcspn(rest, "0123456789-+");
    double longitude = strtod(rest, NULL);
    return latitude >= -90 && latitude <= 90 && longitude >= -180 && longitude <= 180 &&
           (latitude > 0.001 || latitude < -0.001);
}
