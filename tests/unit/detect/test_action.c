/* SPDX-License-Identifier: Apache-2.0 */
/* engine/detect/action: each action, what it can't be done to, keys, the vault. */
#include "engine/detect/action/action.h"
#include "engine/detect/action/vault.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint8_t key[32] = {1, 2, 3};
static const uint8_t other_key[32] = {9};

static const char *act(dv_action action, const uint8_t *with, const char *text, const char *subject)
{
    static char out[512];
    dv_auto(action_tools) dv_action_tools *tools = NULL;
    dv_auto(buf) dv_buf made = dv_buf_init(sizeof(out) - 1);
    assert_int_equal(dv_action_tools_new(with, NULL, &tools), DV_OK);
    const dv_action_value value = {.text = dv_slice_str(text),
                                   .label = "KIND",
                                   .keep_last = 4,
                                   .subject = dv_slice_str(subject)};
    dv_result result = dv_action_apply(tools, &action, &value, &made);
    if (result != DV_OK) {
        assert_int_equal(made.len, 0);
        return dv_result_name(result);
    }
    dv_slice_copy(dv_buf_slice(&made), out, sizeof(out));
    return out;
}

static void check(dv_action action, const char *text, const char *expected)
{
    assert_string_equal(act(action, key, text, ""), expected);
}

static void masks(void **state)
{
    (void)state;
    check((dv_action){.kind = DV_ACT_MASK}, "4111-1111-1111-1234", "****-****-****-1234");
    check((dv_action){.kind = DV_ACT_MASK}, "short 1234", "***** ****");
    check((dv_action){.kind = DV_ACT_MASK, .keep_said = true, .keep_first = 6, .keep_last = 4},
          "4111111111111234", "411111******1234");
    check((dv_action){.kind = DV_ACT_MASK, .keep_said = true, .keep_first = 6, .keep_last = 4},
          "4111111111234", "*************");
    check((dv_action){.kind = DV_ACT_MASK, .keep_said = true, .fill = 'X'}, "José Ñu", "XXXX XX");
    check((dv_action){.kind = DV_ACT_MASK, .keep_said = true, .keep_last = 1}, "abcdé", "****é");
    /* What is no UTF-8: capitals of code page 866, and letters behind a space. */
    check((dv_action){.kind = DV_ACT_MASK}, "\x80\x81\x82 \x9F\xE1\xA0", "*** ***");
    check((dv_action){.kind = DV_ACT_REDACT}, "bob@example.com", "[KIND]");
    check((dv_action){.kind = DV_ACT_REMOVE}, "bob@example.com", "");
    check((dv_action){.kind = DV_ACT_KEEP}, "bob@example.com", "bob@example.com");
    check((dv_action){.kind = DV_ACT_MASK}, "", "");
}

static void generalises(void **state)
{
    (void)state;
    static const struct {
        dv_action_detail detail;
        uint32_t width;
        const char *text, *expected;
    } cases[] = {
        {DV_DETAIL_YEAR, 0, "1980-05-12", "1980"},
        {DV_DETAIL_MONTH, 0, "12 May 1980", "1980-05"},
        {DV_DETAIL_MONTH, 0, "19800512", "1980-05"},
        {DV_DETAIL_YEAR, 0, "1980-02-30", "[KIND]"},
        {DV_DETAIL_YEAR, 0, "yesterday", "[KIND]"},
        {DV_DETAIL_AGE, 0, "37", "30-39"},
        {DV_DETAIL_AGE, 5, "37", "35-39"},
        {DV_DETAIL_AGE, 0, "90", "90+"},
        {DV_DETAIL_AGE, 0, "old", "[KIND]"},
        {DV_DETAIL_BAND, 1000, "1234.50", "1000-1999"},
        {DV_DETAIL_BAND, 10, "-1", "-10--1"},
        {DV_DETAIL_ZIP, 0, "94110", "941"},
        {DV_DETAIL_ZIP, 0, "03612-1234", "000"},
        {DV_DETAIL_ZIP, 0, "9411", "[KIND]"},
        {DV_DETAIL_NETWORK, 0, "10.2.3.4", "10.2.3.0/24"},
        {DV_DETAIL_NETWORK, 0, "2001:db8:1:2::5", "2001:db8:1::/48"},
        {DV_DETAIL_DOMAIN, 0, "bob@example.com", "@example.com"},
        {DV_DETAIL_BY_SHAPE, 0, "bob@example.com", "@example.com"},
        {DV_DETAIL_BY_SHAPE, 0, "just words", "[KIND]"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        check((dv_action){.kind = DV_ACT_GENERALISE,
                          .detail = (uint8_t)cases[i].detail,
                          .width = cases[i].width},
              cases[i].text, cases[i].expected);
    }
}

/* The same however it is written; another under another key; of the same shape. */
static void pseudonyms(void **state)
{
    (void)state;
    static const dv_action pseudonym = {.kind = DV_ACT_PSEUDONYM};
    char first[512];
    snprintf(first, sizeof(first), "%s", act(pseudonym, key, "Bob@Example.com", ""));
    check(pseudonym, "bob@example.com", first);
    assert_non_null(strstr(first, ".example"));
    assert_string_not_equal(act(pseudonym, other_key, "bob@example.com", ""), first);
    snprintf(first, sizeof(first), "%s", act(pseudonym, key, "4111-1111-1111-1111", ""));
    assert_true(first[4] == '-' && strlen(first) == 19 && first[0] != '-');
    char bare[32] = "";
    for (size_t i = 0, n = 0; first[i] != '\0'; i++) {
        if (first[i] != '-') {
            bare[n++] = first[i];
        }
    }
    check(pseudonym, "4111111111111111", bare);
    const char *made = act(pseudonym, key, "Alice Smith", "");
    assert_true(made[0] >= 'A' && made[0] <= 'Z' && strchr(made, ' ') != NULL);
    assert_null(strstr(made, "Alice"));
    made = act(pseudonym, key, "AB 123456", "");
    assert_true(made[0] >= 'A' && made[0] <= 'Z' && made[2] == ' ' && made[3] <= '9');
    assert_non_null(strchr(act(pseudonym, key, "2001:db8::1", ""), ':'));
    check((dv_action){.kind = DV_ACT_HASH, .length = 8}, "Bob@Example.com",
          act((dv_action){.kind = DV_ACT_HASH, .length = 8}, key, "bob@example.com", ""));
}

static bool luhn(const char *digits)
{
    unsigned sum = 0;
    size_t len = strlen(digits);
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(digits[len - 1 - i] - '0') * (i % 2 == 0 ? 1 : 2);
        sum += digit > 9 ? digit - 9 : digit;
    }
    return sum % 10 == 0;
}

static void encrypts_and_keeps_the_format(void **state)
{
    (void)state;
    dv_action card = {
        .kind = DV_ACT_FPE, .keep_said = true, .keep_first = 6, .keep_last = 4, .luhn = true};
    for (int i = 0; i < 50; i++) {
        char number[32], made[32];
        snprintf(number, sizeof(number), "411111%06d1111", i * 7919);
        snprintf(made, sizeof(made), "%s", act(card, key, number, ""));
        assert_memory_equal(made, number, 6);
        assert_string_equal(made + 12, number + 12);
        assert_string_not_equal(made, number);
        assert_int_equal(luhn(made), luhn(number));
        card.reverse = true;
        check(card, made, number);
        card.reverse = false;
    }
    /* Fewer than a million values are refused: 5 digits, 4 letters and digits are not. */
    check((dv_action){.kind = DV_ACT_FPE}, "12345", "[KIND]");
    assert_int_equal(strlen(act((dv_action){.kind = DV_ACT_FPE}, key, "123456", "")), 6);
    check((dv_action){.kind = DV_ACT_FPE, .letters = true}, "aB1", "[KIND]");
    assert_int_equal(strlen(act((dv_action){.kind = DV_ACT_FPE, .letters = true}, key, "aB1x", "")),
                     4);
    check((dv_action){.kind = DV_ACT_FPE}, "AB1234567", "[KIND]"); /* letters would stay */
    card.keep_first = 7;
    check(card, "4111111111111111", "[KIND]"); /* five digits are left */
}

static void shifts_dates(void **state)
{
    (void)state;
    dv_action shift = {.kind = DV_ACT_DATE_SHIFT, .days = 30};
    static const char *const forms[] = {"1980-05-12",  "12.05.1980",   "5/12/1980",
                                        "12 May 1980", "May 12, 1980", "1980-05-12T10:20:30Z"};
    for (size_t i = 0; i < DV_ARRAY_LEN(forms); i++) {
        char made[64];
        shift.order = i == 2 ? DV_DATE_MDY : DV_DATE_DMY;
        snprintf(made, sizeof(made), "%s", act(shift, key, forms[i], "alice"));
        assert_string_not_equal(made, forms[i]);
        shift.reverse = true;
        assert_string_equal(act(shift, key, made, "alice"), forms[i]);
        shift.reverse = false;
    }
    /* Intervals of one subject stay: both sides of a leap day. */
    int days[2];
    for (int i = 0; i < 2; i++) {
        int year, month, day;
        const char *made = act(shift, key, i == 0 ? "2000-02-15" : "2000-03-15", "alice");
        assert_int_equal(sscanf(made, "%d-%d-%d", &year, &month, &day), 3);
        struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = 12};
        days[i] = (int)(timegm(&tm) / 86400);
    }
    assert_int_equal(days[1] - days[0], 29);
    check(shift, "no date", "[KIND]");
}

static void needs_its_key(void **state)
{
    (void)state;
    for (int kind = 0; kind < DV_ACT_KINDS; kind++) {
        dv_action action = {.kind = (uint8_t)kind};
        const char *made = act(action, NULL, "1980-05-12", "");
        assert_true(dv_action_needs_key((dv_action_kind)kind) ==
                    (strcmp(made, "unsupported") == 0));
    }
}

static void longest_values(void **state)
{
    (void)state;
    dv_auto(action_tools) dv_action_tools *tools = NULL;
    dv_auto(buf) dv_buf text = dv_buf_init(DV_ACTION_VALUE_MAX + 1);
    dv_auto(buf) dv_buf made = dv_buf_init(100);
    assert_int_equal(dv_action_tools_new(key, NULL, &tools), DV_OK);
    assert_int_equal(dv_buf_reserve(&text, DV_ACTION_VALUE_MAX + 1), DV_OK);
    memset(text.ptr, 'x', DV_ACTION_VALUE_MAX + 1);
    text.len = DV_ACTION_VALUE_MAX + 1;
    const dv_action hash = {.kind = DV_ACT_HASH};
    const dv_action_value value = {.text = dv_buf_slice(&text)};
    assert_int_equal(dv_action_apply(tools, &hash, &value, &made), DV_OK);
    assert_string_equal(dv_buf_cstr(&made), "[REDACTED]");
    const dv_action_value digits = {.text = dv_slice_of(memset(text.ptr, '7', 300), 300)};
    const dv_action pseudonym = {.kind = DV_ACT_PSEUDONYM};
    dv_buf_clear(&made);
    assert_int_equal(dv_action_apply(tools, &pseudonym, &digits, &made), DV_OK);
    assert_string_equal(dv_buf_cstr(&made), "[REDACTED]");
}

static void reads_keys(void **state)
{
    (void)state;
    char folder[] = "/tmp/dvara-action-XXXXXX", path[64];
    uint8_t read[32];
    static const struct {
        const char *text;
        dv_result result;
    } cases[] = {
        {"0123456789abcdef0123456789abcdef", DV_OK},
        {"3031323334353637383961626364656630313233343536373839616263646566\n", DV_OK},
        {"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n", DV_OK},
        {"too short", DV_ERR_INVALID},
        {"", DV_ERR_INVALID},
    };
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/key", folder);
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(cases[i].text, file);
        fclose(file);
        assert_int_equal(chmod(path, 0600), 0);
        assert_int_equal(dv_action_key_read(path, read, NULL), cases[i].result);
        if (cases[i].result == DV_OK) {
            assert_memory_equal(read, "0123456789abcdef0123456789abcdef", 32);
        }
    }
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(dv_action_key_read(path, read, NULL), DV_ERR_FORBIDDEN);
    unlink(path);
    assert_int_equal(dv_action_key_read(path, read, NULL), DV_ERR_NOT_FOUND);
    rmdir(folder);
}

static void token_of(dv_vault *vault, const char *value, char out[64])
{
    dv_auto(buf) dv_buf made = dv_buf_init(63);
    assert_int_equal(dv_vault_token(vault, dv_slice_str(value), &made), DV_OK);
    dv_slice_copy(dv_buf_slice(&made), out, 64);
}

static void keeps_tokens_in_a_vault(void **state)
{
    (void)state;
    char folder[] = "/tmp/dvara-vault-XXXXXX", path[64], first[64], again[64];
    dv_vault *vault = NULL;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/vault", folder);
    assert_int_equal(dv_vault_open(path, key, false, &vault, NULL), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_vault_open(path, key, true, &vault, NULL), DV_OK);
    dv_vault *second = NULL;
    assert_int_equal(dv_vault_open(path, key, true, &second, NULL), DV_ERR_CONFLICT);
    token_of(vault, "bob@example.com", first);
    token_of(vault, "bob@example.com", again);
    assert_string_equal(first, again);
    for (int i = 0; i < 3000; i++) {
        char value[32], token[64];
        snprintf(value, sizeof(value), "value %d", i);
        token_of(vault, value, token);
    }
    assert_int_equal(dv_vault_commit(vault, NULL), DV_OK);
    dv_vault_free(vault);

    /* Sealed: the file does not hold the value. */
    dv_auto(buf) dv_buf out = dv_buf_init(100);
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(dv_vault_open(path, other_key, false, &vault, NULL), DV_ERR_FORBIDDEN);

    assert_int_equal(dv_vault_open(path, key, true, &vault, NULL), DV_OK);
    assert_int_equal(dv_vault_count(vault), 3001);
    assert_int_equal(dv_vault_open_token(vault, dv_slice_str(first), &out), DV_OK);
    assert_string_equal(dv_buf_cstr(&out), "bob@example.com");
    first[10] ^= 1;
    assert_int_equal(dv_vault_open_token(vault, dv_slice_str(first), &out), DV_ERR_NOT_FOUND);
    uint8_t *large = calloc(1, DV_VAULT_VALUE_MAX + 1);
    assert_non_null(large);
    assert_int_equal(dv_vault_token(vault, dv_slice_of(large, DV_VAULT_VALUE_MAX + 1), &out),
                     DV_ERR_INVALID);
    free(large);
    dv_vault_free(vault);

    unlink(path);
    rmdir(folder);
}

enum { VAULT_HEAD = 80, VAULT_MARKS = 32, VAULT_MARK = 24 };

static off_t size_of(const char *path)
{
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    return about.st_size;
}

/* A vault of two values that were committed one after the other, and a third that was not. */
static off_t make_vault(const char *path)
{
    static const char *const values[] = {"one", "two", "three"};
    char token[64];
    off_t committed = 0;
    dv_vault *vault = NULL;
    unlink(path);
    assert_int_equal(dv_vault_open(path, key, true, &vault, NULL), DV_OK);
    for (int i = 0; i < 3; i++) {
        token_of(vault, values[i], token);
        if (i < 2) {
            assert_int_equal(dv_vault_commit(vault, NULL), DV_OK);
            committed = size_of(path);
        }
    }
    dv_vault_free(vault);
    return committed;
}

static size_t count_in(const char *path, bool write)
{
    dv_vault *vault = NULL;
    assert_int_equal(dv_vault_open(path, key, write, &vault, NULL), DV_OK);
    size_t count = dv_vault_count(vault);
    dv_vault_free(vault);
    return count;
}

/* Neither a reader nor a writer takes it, and it stays as it is. */
static void assert_refused(const char *path, const char *why)
{
    off_t before = size_of(path);
    for (int write = 0; write < 2; write++) {
        dv_error error = {0};
        dv_vault *vault = NULL;
        assert_int_equal(dv_vault_open(path, key, write == 1, &vault, &error), DV_ERR_CORRUPT);
        assert_non_null(strstr(error.message, why));
    }
    assert_int_equal(size_of(path), before);
}

static void put_at(const char *path, off_t at, const char *bytes, size_t len)
{
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, at), len);
    close(fd);
}

static char byte_at(const char *path, off_t at)
{
    char byte = 0;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    close(fd);
    return byte;
}

/* What a crash leaves behind the last commit goes with the next writer; whole records stay. */
static void drops_what_was_not_committed(const char *path)
{
    static const char zeros[200];
    off_t committed = make_vault(path), whole = size_of(path);
    assert_int_equal(count_in(path, false), 3);
    put_at(path, whole, zeros, sizeof(zeros));
    assert_int_equal(count_in(path, true), 3);
    assert_int_equal(size_of(path), whole);
    assert_int_equal(truncate(path, whole - 1), 0);
    assert_int_equal(count_in(path, false), 2);
    assert_int_equal(size_of(path), whole - 1);
    assert_int_equal(count_in(path, true), 2);
    assert_int_equal(size_of(path), committed);
    assert_int_equal(count_in(path, true), 2);
}

static void keeps_what_was_committed(const char *path)
{
    static const char zeros[200];
    const off_t committed = make_vault(path), first = VAULT_HEAD;
    const off_t cuts[] = {committed - 1, committed - 60, first + 1, first};
    for (size_t i = 0; i < DV_ARRAY_LEN(cuts); i++) {
        make_vault(path);
        char last = byte_at(path, committed - 1); /* of a checksum; one in 256 is a hole's zero */
        assert_int_equal(truncate(path, cuts[i]), 0);
        assert_refused(path, "was cut short");
        assert_int_equal(truncate(path, committed + 100), 0); /* with a hole */
        put_at(path, committed - 1, last == 0 ? "x" : "\0", 1);
        assert_refused(path, "is damaged at byte");
    }
    make_vault(path); /* a length that leads beyond the end */
    put_at(path, first + 1, "\x01", 1);
    assert_refused(path, "is damaged at byte 80");
    make_vault(path);
    put_at(path, first + 20, "\xff", 1);
    assert_refused(path, "is damaged at byte 80");
    make_vault(path);
    put_at(path, committed - 10, zeros, 10);
    assert_refused(path, "is damaged at byte");
    assert_int_equal(truncate(path, 0), 0);
    assert_refused(path, "is no vault");
    assert_int_equal(truncate(path, VAULT_HEAD - 1), 0);
    assert_refused(path, "is no vault");
}

static void survives_half_a_mark(const char *path)
{
    make_vault(path); /* the second commit wrote the first mark again */
    put_at(path, VAULT_MARKS + VAULT_MARK + 3, "x", 1);
    assert_int_equal(count_in(path, false), 3);
    make_vault(path);
    put_at(path, VAULT_MARKS + 3, "x", 1);
    assert_int_equal(count_in(path, false), 3); /* the older mark, and whole records behind it */
    put_at(path, VAULT_MARKS + VAULT_MARK + 3, "x", 1);
    assert_refused(path, "head of");
}

/* ---- views ---- */

static dv_result tell(dv_vault *vault, const char *token, const char *value)
{
    dv_auto(buf) dv_buf out = dv_buf_init(100);
    dv_result result = dv_vault_open_token(vault, dv_slice_str(token), &out);
    if (result == DV_OK) {
        assert_string_equal(dv_buf_cstr(&out), value);
    }
    return result;
}

/* Beside a writer, who is not kept waiting; of what he did not commit it knows nothing. */
static void view_beside_a_writer(const char *path)
{
    char one[64], two[64], three[64];
    dv_vault *writer = NULL, *view = NULL;
    unlink(path);
    assert_int_equal(dv_vault_view(path, key, 1 << 20, &view, NULL), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_vault_open(path, key, true, &writer, NULL), DV_OK);
    token_of(writer, "one", one);
    assert_int_equal(dv_vault_commit(writer, NULL), DV_OK);
    token_of(writer, "two", two);
    assert_int_equal(dv_vault_view(path, key, 1 << 20, &view, NULL), DV_OK);
    assert_int_equal(dv_vault_count(view), 1);
    assert_int_equal(tell(view, one, "one"), DV_OK);
    assert_int_equal(tell(view, two, ""), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_vault_refresh(view, path, NULL), DV_OK);
    assert_int_equal(dv_vault_count(view), 1);
    assert_int_equal(dv_vault_commit(writer, NULL), DV_OK);
    assert_int_equal(dv_vault_refresh(view, path, NULL), DV_OK);
    assert_int_equal(tell(view, two, "two"), DV_OK);
    assert_int_equal(dv_vault_committed(view), dv_vault_bytes(view));
    dv_vault_free(writer); /* who comes next is not kept waiting, either */
    assert_int_equal(dv_vault_open(path, key, true, &writer, NULL), DV_OK);
    token_of(writer, "three", three);
    assert_int_equal(dv_vault_commit(writer, NULL), DV_OK);
    dv_vault_free(writer);
    assert_int_equal(dv_vault_refresh(view, path, NULL), DV_OK);
    assert_int_equal(tell(view, three, "three"), DV_OK);
    dv_vault_free(view);
}

/* What becomes of the file while it is open. */
static void view_of_a_changed_file(const char *path)
{
    char old[64], token[64], other[80];
    dv_error error = {0};
    dv_vault *writer = NULL, *view = NULL;
    snprintf(other, sizeof(other), "%s.other", path);
    off_t committed = make_vault(path);
    assert_int_equal(dv_vault_view(path, key, (uint64_t)committed, &view, &error),
                     DV_ERR_TOO_LARGE); /* a third value stands behind the mark */
    assert_int_equal(dv_vault_view(path, other_key, 1 << 20, &view, &error), DV_ERR_FORBIDDEN);
    assert_int_equal(dv_vault_open(path, key, true, &writer, NULL), DV_OK);
    token_of(writer, "one", old);
    assert_int_equal(dv_vault_commit(writer, NULL), DV_OK);
    dv_vault_free(writer);
    assert_int_equal(dv_vault_view(path, key, 1 << 20, &view, NULL), DV_OK);

    /* Another vault of the same key in the same file, whose first value lies where "one" lay. */
    assert_int_equal(dv_vault_open(other, key, true, &writer, NULL), DV_OK);
    token_of(writer, "six", token);
    assert_int_equal(dv_vault_commit(writer, NULL), DV_OK);
    dv_vault_free(writer);
    char bytes[4096];
    size_t len = (size_t)size_of(other);
    int fd = open(other, O_RDONLY);
    assert_true(fd >= 0 && len < sizeof(bytes) && read(fd, bytes, len) == (ssize_t)len);
    close(fd);
    put_at(path, 0, bytes, len);
    assert_int_equal(tell(view, old, "one"), DV_ERR_CORRUPT);              /* and never "six" */
    assert_int_equal(dv_vault_refresh(view, path, NULL), DV_ERR_CONFLICT); /* an earlier mark */
    dv_vault_free(view);
    assert_int_equal(truncate(path, (off_t)len - 1), 0);
    assert_int_equal(dv_vault_view(path, key, 1 << 20, &view, &error), DV_ERR_CORRUPT);

    assert_int_equal(dv_vault_view(other, key, 1 << 20, &view, NULL), DV_OK);
    put_at(other, (off_t)len - 8, "damage", 6);
    assert_int_equal(tell(view, token, "six"), DV_ERR_CORRUPT);
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(dv_vault_refresh(view, other, NULL), DV_ERR_CONFLICT); /* it is gone */
    make_vault(other);
    assert_int_equal(dv_vault_refresh(view, other, NULL), DV_ERR_CONFLICT); /* another file */
    dv_vault_free(view);
    unlink(other);
}

static void add_values(const char *path, const char *const *values)
{
    char token[64];
    dv_vault *writer = NULL;
    assert_int_equal(dv_vault_open(path, key, true, &writer, NULL), DV_OK);
    for (; *values != NULL; values++) {
        token_of(writer, *values, token);
    }
    assert_int_equal(dv_vault_commit(writer, NULL), DV_OK);
    dv_vault_free(writer);
}

/* Values of one length, so that every record of the later state lies where the view expects one. */
static void view_of_a_copy_that_grew(const char *path)
{
    dv_vault *view = NULL;
    char bytes[4096];
    unlink(path);
    add_values(path, (const char *const[]){"one", NULL});
    size_t len = (size_t)size_of(path);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && len < sizeof(bytes) && read(fd, bytes, len) == (ssize_t)len);
    close(fd);
    add_values(path, (const char *const[]){"two", NULL});
    assert_int_equal(dv_vault_view(path, key, 1 << 20, &view, NULL), DV_OK);
    assert_int_equal(truncate(path, 0), 0);
    put_at(path, 0, bytes, len);
    add_values(path, (const char *const[]){"six", "ten", NULL});
    assert_int_equal(dv_vault_refresh(view, path, NULL), DV_ERR_CONFLICT);
    dv_vault_free(view);
}

static void views_of_vaults(void **state)
{
    (void)state;
    char folder[] = "/tmp/dvara-vault-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/vault", folder);
    view_beside_a_writer(path);
    view_of_a_changed_file(path);
    view_of_a_copy_that_grew(path);
    unlink(path);
    rmdir(folder);
}

static void damaged_vaults(void **state)
{
    (void)state;
    char folder[] = "/tmp/dvara-vault-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/vault", folder);
    drops_what_was_not_committed(path);
    keeps_what_was_committed(path);
    survives_half_a_mark(path);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks),
        cmocka_unit_test(generalises),
        cmocka_unit_test(pseudonyms),
        cmocka_unit_test(encrypts_and_keeps_the_format),
        cmocka_unit_test(shifts_dates),
        cmocka_unit_test(needs_its_key),
        cmocka_unit_test(longest_values),
        cmocka_unit_test(reads_keys),
        cmocka_unit_test(keeps_tokens_in_a_vault),
        cmocka_unit_test(damaged_vaults),
        cmocka_unit_test(views_of_vaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
