/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/detect_rules.h"

#include <ctype.h>
#include <strings.h>

/* Whether what stands behind a name is a secret: random, and no word, path, version or stand-in. */

enum {
    LEAST_MIXED = 8,     /* characters of a part that is no word */
    LEAST_ENTROPY = 250, /* hundredths of a bit a character */
    LEAST_LETTERS = 16,  /* of a part without digits, in both cases */
};

/* A part of a token, between characters that are neither letters nor digits. */
typedef struct part {
    size_t len;
    size_t digits;
    size_t turns; /* from letters to digits or from small letters to capitals, and back */
    size_t words; /* characters of words: three small letters and more, or two behind a capital */
    bool hexadecimal;
    bool capitals;
    bool small;
} part;

static part part_at(dv_slice value, size_t begin)
{
    part p = {.hexadecimal = true};
    int last = 0;
    size_t word = 0;
    for (size_t i = begin; i < value.len && isalnum(value.ptr[i]); i++) {
        int kind = isdigit(value.ptr[i]) ? 1 : isupper(value.ptr[i]) ? 2 : 3;
        p.len++;
        p.digits += kind == 1 ? 1 : 0;
        p.capitals |= kind == 2;
        p.small |= kind == 3;
        p.turns += last != 0 && kind != last ? 1 : 0;
        p.hexadecimal &= isxdigit(value.ptr[i]) != 0;
        word = kind == 3 ? word + 1 : kind == 2 ? 1 : 0;
        p.words += word == 3 ? 3 : word > 3 ? 1 : 0;
        last = kind;
    }
    return p;
}

/* "Version2024Final" turns four times in sixteen characters; what is random, at every second.
 * "FileNotFoundError" turns often, too, but is made of words. */
static bool is_random(const part *p)
{
    bool letters = p->capitals || p->small;
    if (p->words * 4 >= p->len * 3) {
        return false;
    }
    if (p->digits > 0 && letters) {
        return p->len >= LEAST_MIXED && (p->turns >= 3 || p->hexadecimal) &&
               (p->turns * 5 >= p->len || p->len >= 20);
    }
    if (p->digits > 0) {
        return p->len >= 20;
    }
    return p->capitals && p->small && p->len >= LEAST_LETTERS && p->turns * 4 >= p->len;
}

static bool holds_word(dv_slice value, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(words[i]);
        for (size_t at = 0; at + len <= value.len; at++) {
            if (strncasecmp((const char *)value.ptr + at, words[i], len) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool holds_stand_in(dv_slice value)
{
    static const char *const stand_ins[] = {"example.com", "your",        "xxxx",     "placeholder",
                                            "changeme",    "0000000000",  "insert",   "process.env",
                                            "os.environ",  "environment", "localhost"};
    return holds_word(value, stand_ins, DV_ARRAY_LEN(stand_ins));
}

/* "2024-01-15T10:30:00", "10.0.0.1", "+44 20...": numbers and what stands among them. */
static bool has_letters(dv_slice value)
{
    size_t letters = 0;
    for (size_t i = 0; i < value.len; i++) {
        letters += isalpha(value.ptr[i]) ? 1 : 0;
    }
    return letters >= 2;
}

/* Paths and hosts: words with slashes or full stops among them. */
static bool is_path(dv_slice value, size_t longest_random)
{
    size_t separators = 0;
    for (size_t i = 0; i < value.len; i++) {
        separators += value.ptr[i] == '/' || value.ptr[i] == '.' ? 1 : 0;
    }
    return separators >= 2 && longest_random < LEAST_LETTERS;
}

/* What all its parts say together. */
typedef struct summary {
    size_t random;  /* the longest part that is random */
    size_t longest; /* part */
    size_t mixed;   /* characters of parts that hold digits */
    size_t digits;
    bool scattered; /* a part holds digits in two places at least */
    size_t letters; /* and digits of all parts, */
    size_t turns;   /* of them, */
    size_t words;
} summary;

static summary look_at(dv_slice value)
{
    summary sum = {0};
    for (size_t at = 0; at < value.len; at++) {
        part p = part_at(value, at);
        sum.random = is_random(&p) ? DV_MAX(sum.random, p.len) : sum.random;
        sum.longest = DV_MAX(sum.longest, p.len);
        sum.mixed += p.digits > 0 ? p.len : 0;
        sum.digits += p.digits;
        sum.scattered |= p.digits >= 2 && p.turns >= 3;
        sum.letters += p.len;
        sum.turns += p.turns;
        sum.words += p.words;
        at += p.len;
    }
    return sum;
}

/* Random characters of an alphabet that holds '-', '_' or '.' may have short parts alone. */
static bool turns_often(const summary *sum)
{
    return sum->letters >= 14 && sum->digits >= 2 && sum->turns * 5 >= sum->letters * 2 &&
           sum->words * 4 <= sum->letters;
}

bool dv_detect_check_token(dv_detect_candidate *c)
{
    dv_slice value = dv_slice_sub(c->text, c->start, c->end - c->start);
    summary sum = look_at(value);
    /* Identifiers such as UUIDs are short parts that hold digits. */
    bool random =
        sum.random > 0 || (sum.mixed >= 20 && sum.mixed * 2 >= value.len) || turns_often(&sum);
    return random && has_letters(value) && !is_path(value, DV_MAX(sum.random, sum.mixed)) &&
           dv_detect_entropy(value) >= LEAST_ENTROPY && !holds_stand_in(value);
}

/* Behind the name of a service less is asked: a long part, or many digits. */
bool dv_detect_check_keyed_token(dv_detect_candidate *c)
{
    enum { LEAST_KEYED_ENTROPY = 220, LONG_PART = 20, LEAST_DIGITS = 3 };
    dv_slice value = dv_slice_sub(c->text, c->start, c->end - c->start);
    summary sum = look_at(value);
    bool random = sum.random > 0 || sum.longest >= LONG_PART ||
                  (sum.longest >= 12 && sum.digits >= LEAST_DIGITS) ||
                  (sum.longest >= 14 && sum.scattered) ||
                  (sum.mixed >= 12 && sum.digits >= LEAST_DIGITS && value.len >= 16);
    bool number = !has_letters(value);
    return random && (!number || sum.longest >= 15) &&
           !is_path(value, DV_MAX(sum.random, sum.longest)) &&
           dv_detect_entropy(value) >= LEAST_KEYED_ENTROPY && !holds_stand_in(value);
}

/* What stands right before a password; an escape may stand behind a quotation mark. */
typedef struct setting {
    bool quoted;
    bool apart;    /* password 'what it is' */
    bool assigned; /* PASSWORD=... */
    bool said;     /* the password is ... */
    bool bare;     /* password ... */
    bool login;    /* login bob password ... (netrc) */
    bool listed;   /* ;Password=...; (a connection string) */
} setting;

/* Whether a name and the '=' right before `at` lead from a ';' to the value, and a ';' ends it. */
static bool is_listed(const dv_detect_candidate *c, size_t at)
{
    if (c->end >= c->text.len || c->text.ptr[c->end] != ';' || at == 0 ||
        c->text.ptr[--at] != '=') {
        return false;
    }
    while (at > 0 && isalpha(c->text.ptr[at - 1])) {
        at--;
    }
    at -= at > 0 && c->text.ptr[at - 1] == ' ' ? 1 : 0;
    return at > 0 && c->text.ptr[at - 1] == ';';
}

static bool behind_login(const dv_detect_candidate *c)
{
    enum { LOGIN_DISTANCE = 72 };
    static const char *const words[] = {"login "};
    size_t begin = c->start > LOGIN_DISTANCE ? c->start - LOGIN_DISTANCE : 0;
    return holds_word(dv_slice_sub(c->text, begin, c->start - begin), words, 1);
}

static setting setting_of(const dv_detect_candidate *c)
{
    size_t quote = c->start;
    while (quote > 0 && c->start - quote < 8 && strchr("\"'` =", c->text.ptr[quote - 1]) == NULL) {
        quote--;
    }
    const uint8_t *before = c->text.ptr + quote;
    bool quoted = quote > 0 && strchr("\"'`", before[-1]) != NULL;
    bool word = quote > 3 && before[-1] == ' ' && isalpha(before[-2]);
    bool said = word && (strncasecmp((const char *)before - 4, " is ", 4) == 0 ||
                         strncasecmp((const char *)before - 4, "was ", 4) == 0 ||
                         strncasecmp((const char *)before - 4, " to ", 4) == 0);
    return (setting){
        .quoted = quoted,
        .apart = quoted && quote > 1 && before[-2] == ' ',
        .assigned = quote > 1 && before[-1] == '=' && isupper(before[-2]),
        .said = said,
        .bare = word && !said,
        .login = word && !said && behind_login(c),
        .listed = is_listed(c, quote),
    };
}

/* "url_user_password", "self.secret", "config['password']": what code calls something by. */
static bool is_expression(dv_slice value)
{
    static const char *const names[] = {"password", "passwd", "secret", "config", "param", "self",
                                        "request",  "input",  "value",  "option", "args",  "cred"};
    bool name = true;
    bool dotted = false;
    bool indexed = false;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t byte = value.ptr[i];
        name &= isalpha(byte) || byte == '_' || byte == '.' || byte == '-' || byte == '>';
        dotted |= byte == '.' || (byte == '>' && i > 0 && value.ptr[i - 1] == '-');
        indexed |= byte == '[' && i > 0 && isalpha(value.ptr[i - 1]);
    }
    return indexed || (name && (dotted || holds_word(value, names, DV_ARRAY_LEN(names))));
}

/* What it is made of; marks that end a sentence do not count. */
typedef struct makeup {
    bool letters;
    bool digits;
    bool symbols; /* that words and paths do not hold */
    bool other;   /* than letters and full stops */
    bool hidden;  /* "****" alone */
    size_t turns; /* from letters to digits and back */
} makeup;

static makeup makeup_of(dv_slice value)
{
    makeup m = {.hidden = true};
    int last = 0;
    size_t len = value.len;
    while (len > 0 && strchr(".!?:,", value.ptr[len - 1]) != NULL) {
        len--;
    }
    for (size_t i = 0; i < value.len; i++) {
        uint8_t byte = value.ptr[i];
        int kind = isdigit(byte) ? 1 : isalpha(byte) ? 2 : 0;
        m.letters |= kind == 2;
        m.digits |= kind == 1;
        m.symbols |= kind == 0 && i < len && strchr("-_.:/,'", byte) == NULL;
        m.other |= kind != 2 && byte != '.';
        m.hidden &= strchr("*:.-_", byte) != NULL;
        m.turns += kind != 0 && last != 0 && kind != last ? 1 : 0;
        last = kind;
    }
    return m;
}

static bool is_stand_in(dv_slice value)
{
    static const char *const words[] = {"string",    "password", "passwd",  "secret",   "null",
                                        "none",      "true",     "false",   "required", "optional",
                                        "varchar",   "text",     "invalid", "wrong",    "not-set",
                                        "undefined", "input",    "hidden",  "prompt",   "char",
                                        "******",    "xxxxxx",   "changed", "function", "!vault"};
    for (size_t i = 0; i < DV_ARRAY_LEN(words); i++) {
        if (dv_slice_eq_nocase(value, dv_slice_str(words[i]))) {
            return true;
        }
    }
    return false;
}

/* "Password:", "New password:" */
static bool is_label(dv_slice value)
{
    static const char *const words[] = {"password:", "passwort:", "passphrase:"};
    return holds_word(value, words, DV_ARRAY_LEN(words));
}

/* "1&rdquo;": an entity of HTML ends it. */
static bool ends_in_entity(const dv_detect_candidate *c)
{
    size_t at = c->end;
    while (at > c->start && isalnum(c->text.ptr[at - 1])) {
        at--;
    }
    return c->end < c->text.len && c->text.ptr[c->end] == ';' && at > c->start &&
           (c->text.ptr[at - 1] == '&' || c->text.ptr[at - 1] == '#');
}

/* Words of type declarations and calls, variables, and what documentation writes, are none. In
 * sentences more is asked. */
bool dv_detect_check_password(dv_detect_candidate *c)
{
    dv_slice value = dv_slice_sub(c->text, c->start, c->end - c->start);
    setting how = setting_of(c);
    makeup of = makeup_of(value);
    bool label = how.quoted && (value.ptr[0] == '#' || is_label(value));
    if (strchr("$%{<[*&@(", value.ptr[0]) != NULL || holds_stand_in(value) || of.hidden || label ||
        (!how.apart && is_stand_in(value)) || ends_in_entity(c)) {
        return false;
    }
    if (how.said || how.bare) {
        bool strong = of.turns >= 2 && value.len >= 8;
        return of.letters &&
               (how.bare ? strong || (how.login && of.digits) : of.digits || of.symbols);
    }
    return how.quoted || how.assigned || how.listed || (of.other && !is_expression(value));
}

/* Keys that hold symbols, as Django makes them; not paths, templates or sentences. */
bool dv_detect_check_symbols(dv_detect_candidate *c)
{
    enum { LEAST_SYMBOLS = 3 };
    dv_slice value = dv_slice_sub(c->text, c->start, c->end - c->start);
    size_t symbols = 0;
    for (size_t i = 0; i < value.len; i++) {
        bool symbol = ispunct(value.ptr[i]) && strchr("-_./:,", value.ptr[i]) == NULL;
        symbols += symbol && (i == 0 || !ispunct(value.ptr[i - 1])) ? 1 : 0;
    }
    return symbols >= LEAST_SYMBOLS && symbols * 8 >= value.len &&
           strchr("${<[%&@(#", value.ptr[0]) == NULL && has_letters(value) &&
           dv_detect_entropy(value) >= 350 && !holds_stand_in(value);
}

/* "name:password" behind -u. Numbers are users, groups and ports; paths are files of a host. */
bool dv_detect_check_user_password(dv_detect_candidate *c)
{
    static const char *const words[] = {"test", "token", "pass", "password", "passwd",
                                        "pwd",  "xxx",   "yyy",  "change",   "secret"};
    dv_slice value = dv_slice_sub(c->text, c->start, c->end - c->start);
    size_t colon = (size_t)dv_slice_find_byte(value, ':');
    dv_slice user = dv_slice_sub(value, 0, colon);
    dv_slice word = dv_slice_sub(value, colon + 1, value.len - colon - 1);
    if (word.len == 0 || strchr("${<[*(/\\'\"", word.ptr[0]) != NULL || dv_slice_eq(user, word)) {
        word = word.len == 0 ? user : (dv_slice){0};
    }
    if (word.len < 3 || strchr("${<[*(", value.ptr[0]) != NULL) {
        return false;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(words); i++) {
        size_t len = strlen(words[i]);
        if (word.len >= len && strncasecmp((const char *)word.ptr, words[i], len) == 0) {
            return false;
        }
    }
    makeup of = makeup_of(word);
    summary sum = look_at(word);
    return of.letters && dv_slice_find_byte(word, '/') < 0 &&
           (of.digits || of.symbols || sum.turns >= 3);
}
