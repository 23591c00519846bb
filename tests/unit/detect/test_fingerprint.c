/* SPDX-License-Identifier: Apache-2.0 */
/* engine/detect/fingerprint: what is found, however a text is cut; the file's limits. */
#include "crypto/hash.h"
#include "crypto/random.h"
#include "engine/detect/fingerprint/build.h"
#include "engine/detect/fingerprint/canary.h"
#include "engine/detect/fingerprint/format.h"
#include "engine/detect/fingerprint/normal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { HITS = 64 };

typedef struct world {
    dv_buf file;
    dv_fingerprint_set *set;
    dv_fingerprint_matcher *matcher;
    dv_fingerprint_hit hits[HITS];
    size_t count;
} world;

/* ---- making and searching ---- */

static const dv_fingerprint_rules people = {.columns = {"first", "last", "account"},
                                            .column_count = 3,
                                            .alone = 1U << 2,
                                            .least = 2,
                                            .within = 60,
                                            .row = 4,
                                            .share = 50};

static const dv_fingerprint_rules documents_only = {
    .least = 1, .within = 300, .row = 4, .share = 50};

static void open_set(world *w, dv_fingerprint_builder *builder)
{
    dv_error error = {0};
    w->file = dv_buf_init(1 << 28);
    w->count = 0;
    if (dv_fingerprint_build(builder, &w->file, &error) != DV_OK ||
        dv_fingerprint_set_of(dv_buf_slice(&w->file), &w->set, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(dv_fingerprint_matcher_new(&w->matcher), DV_OK);
}

static void close_set(world *w)
{
    dv_fingerprint_set_close(w->set);
    dv_fingerprint_matcher_free(w->matcher);
    dv_buf_release(&w->file);
}

static dv_fingerprint_builder *new_builder(const dv_fingerprint_rules *rules)
{
    dv_fingerprint_builder *builder = NULL;
    dv_error error = {0};
    assert_int_equal(dv_fingerprint_builder_new(rules, &builder, &error), DV_OK);
    return builder;
}

static void add(dv_fingerprint_builder *builder, const char *first, const char *last,
                const char *account)
{
    const dv_slice cells[] = {dv_slice_str(first), dv_slice_str(last), dv_slice_str(account)};
    assert_int_equal(dv_fingerprint_add_record(builder, cells), DV_OK);
}

static void add_document(dv_fingerprint_builder *builder, const char *name, dv_slice text)
{
    assert_int_equal(dv_fingerprint_add_text(builder, text), DV_OK);
    assert_int_equal(dv_fingerprint_end_document(builder, dv_slice_str(name)), DV_OK);
}

static dv_result keep(void *data, const dv_fingerprint_hit *hit)
{
    world *w = data;
    assert_true(w->count < HITS);
    w->hits[w->count++] = *hit;
    return DV_OK;
}

static dv_fingerprint_job job_of(world *w, bool more)
{
    return (dv_fingerprint_job){.sets = (const dv_fingerprint_set *const *)&w->set,
                                .set_count = 1,
                                .enabled = 1,
                                .holds = 1,
                                .more = more,
                                .told = keep,
                                .data = w};
}

static dv_fingerprint_state *new_state(void)
{
    dv_fingerprint_state *state = malloc(dv_fingerprint_state_size(1));
    assert_non_null(state);
    dv_fingerprint_state_init(state, 1);
    return state;
}

static size_t feed(world *w, dv_fingerprint_state *state, dv_slice piece, bool more)
{
    size_t hold = 0;
    const dv_fingerprint_job job = job_of(w, more);
    assert_int_equal(dv_fingerprint_find(w->matcher, &job, state, piece, &hold), DV_OK);
    assert_true(hold <= piece.len);
    return hold;
}

static void search(world *w, dv_slice text)
{
    dv_auto(free) dv_fingerprint_state *state = new_state();
    w->count = 0;
    (void)feed(w, state, text, false);
}

static void expect(world *w, const char *text, size_t count)
{
    search(w, dv_slice_str(text));
    if (w->count != count) {
        fail_msg("'%s': %zu hits, not %zu", text, w->count, count);
    }
}

static void expect_at(world *w, const char *text, dv_fingerprint_kind kind, const char *where)
{
    expect(w, text, 1);
    assert_int_equal(w->hits[0].kind, kind);
    size_t start = (size_t)(strstr(text, where) - text);
    if (w->hits[0].start != start || w->hits[0].end != start + strlen(where)) {
        fail_msg("'%s': %zu to %zu", text, (size_t)w->hits[0].start, (size_t)w->hits[0].end);
    }
}

/* ---- values ---- */

static void test_values(void **state)
{
    (void)state;
    world w;
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = new_builder(&people);
    add(builder, "Anna", "Kowalska-Nowak", "4111 1111 1111 1111");
    add(builder, "", "", "GB29NWBK60161331926819");
    add(builder, "", "", "M\xc3\x9cLLER & S\xc3\xb6hne GmbH");
    add(builder, "", "", "12 Main Street 5b");
    add(builder, "", "", "short");
    open_set(&w, builder);
    expect_at(&w, "card 4111111111111111.", DV_FINGERPRINT_VALUE, "4111111111111111");
    expect_at(&w, "card 4111-1111-1111-1111!", DV_FINGERPRINT_VALUE, "4111-1111-1111-1111");
    expect_at(&w, "41 1111 11 1111 1111", DV_FINGERPRINT_VALUE, "41 1111 11 1111 1111");
    expect_at(&w, "x gb29 nwbk 6016 1331 9268 19 y", DV_FINGERPRINT_VALUE,
              "gb29 nwbk 6016 1331 9268 19");
    expect_at(&w, "at m\xc3\xbcller &  s\xc3\x96hne gmbh, Ulm", DV_FINGERPRINT_VALUE,
              "m\xc3\xbcller &  s\xc3\x96hne gmbh");
    expect_at(&w,
              "\xe2\x80\x9e"
              "12 main street 5B\xe2\x80\x9c",
              DV_FINGERPRINT_VALUE, "12 main street 5B");
    expect_at(&w, "12 ma\xe2\x80\x8bin street 5b", DV_FINGERPRINT_VALUE,
              "12 ma\xe2\x80\x8bin street 5b");
    expect(&w, "4111111111111112 14111111111111111 41111111111111110", 0);
    expect(&w, "12 Main Street 5", 0);
    expect(&w, "12 Main Street 5bc", 0);
    expect(&w, "short", 0); /* of 5 letters */
    search(&w, DV_LIT("4111 1111\0"
                      "1111 1111"));
    assert_int_equal(w.count, 0);
    assert_int_equal(dv_fingerprint_set_about(w.set)->too_short, 1);
    assert_int_equal(dv_fingerprint_set_about(w.set)->records, 4);
    assert_true(dv_slice_eq_str(dv_fingerprint_set_column(w.set, 1), "last"));
    assert_int_equal(dv_fingerprint_set_column(w.set, 3).len, 0);
    close_set(&w);
}

static void test_long_gaps_end_a_value(void **state)
{
    (void)state;
    world w;
    char text[200];
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = new_builder(&people);
    add(builder, "", "", "Blue Harbour Trading");
    open_set(&w, builder);
    for (int gap = 1; gap < 100; gap++) {
        (void)snprintf(text, sizeof(text), "Blue%*sHarbour Trading", gap, "");
        expect(&w, text, gap < DV_NORMAL_GAP ? 1 : 0);
    }
    close_set(&w);
}

/* A text that comes to lie where another of the same length was read, as in an arena that is used
 * again: its words are its own. */
static void test_another_text_in_the_same_memory(void **state)
{
    (void)state;
    world w;
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = new_builder(&people);
    add(builder, "", "", "Blue Harbour Trading");
    open_set(&w, builder);
    dv_auto(free) dv_fingerprint_state *here = new_state();
    dv_auto(free) dv_fingerprint_state *kept = new_state();
    (void)feed(&w, kept, DV_LIT("to Blue Harbour"), true);
    (void)feed(&w, here, DV_LIT("a b c d e f g h"), false);
    memcpy(here, kept, dv_fingerprint_state_size(1));
    w.count = 0;
    (void)feed(&w, here, DV_LIT(" Trading."), false);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.hits[0].end, strlen("to Blue Harbour Trading"));
    close_set(&w);
}

static void test_records(void **state)
{
    (void)state;
    world w;
    char name[16];
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = new_builder(&people);
    add(builder, "Anna", "Kowalska", "");
    add(builder, "Anna", "Kowalska", ""); /* the same again */
    add(builder, "Peter", "Okonkwo", "");
    add(builder, "Martin", "Martin", "");
    for (int i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "Fam%d", i);
        add(builder, "Maria", name, "");
        add(builder, "Maria", "Usual", "");
    }
    open_set(&w, builder);
    assert_int_equal(dv_fingerprint_set_about(w.set)->records, 44);
    expect(&w, "Anna", 0);
    expect(&w, "Anna and Peter", 0);
    expect(&w, "Anna Okonkwo, Peter Kowalska", 2); /* each has its own near */
    expect_at(&w, "Dear ANNA Kowalska,", DV_FINGERPRINT_RECORD, "ANNA Kowalska");
    assert_int_equal(w.hits[0].columns, 3);
    expect_at(&w, "Kowalska, Anna", DV_FINGERPRINT_RECORD, "Kowalska, Anna");
    expect_at(&w, "{\"last\":\"Kowalska\",\"x\":1,\"first\":\"Anna\"}", DV_FINGERPRINT_RECORD,
              "Kowalska\",\"x\":1,\"first\":\"Anna");
    expect(&w, "Anna is the one of whom we spoke yesterday with all who were there: Kowalska", 0);
    expect(&w, "Martin", 0);
    expect(&w, "Martin Martin", 0); /* a value that was seen again is not another one */
    expect(&w, "Maria Fam17", 1);   /* of a usual and a rare value */
    expect(&w, "Fam17, Maria", 1);
    expect(&w, "Fam17 Fam18", 0);
    close_set(&w);
}

static void test_usual_records_are_counted(void **state)
{
    (void)state;
    world w;
    char name[16];
    static const dv_fingerprint_rules two = {
        .columns = {"a", "b"}, .column_count = 2, .least = 2, .within = 60, .row = 4, .share = 50};
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = new_builder(&two);
    for (int i = 0; i < 20 * 20; i++) {
        char other[16];
        (void)snprintf(name, sizeof(name), "first%d", i % 20);
        (void)snprintf(other, sizeof(other), "last%d", i / 20);
        const dv_slice cells[] = {dv_slice_str(name), dv_slice_str(other)};
        assert_int_equal(dv_fingerprint_add_record(builder, cells), DV_OK);
    }
    open_set(&w, builder);
    assert_int_equal(dv_fingerprint_set_about(w.set)->too_usual, 400);
    expect(&w, "first3 last4", 0);
    close_set(&w);
}

static void test_canaries(void **state)
{
    (void)state;
    for (int kind = DV_CANARY_EMAIL; kind <= DV_CANARY_TEXT; kind++) {
        world w;
        char value[DV_CANARY_MAX], other[DV_CANARY_MAX], text[2 * DV_CANARY_MAX];
        dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = new_builder(&documents_only);
        dv_canary_make((dv_canary_kind)kind, value);
        dv_canary_make((dv_canary_kind)kind, other);
        assert_string_not_equal(value, other);
        assert_int_equal(dv_fingerprint_add_canary(builder, dv_slice_str(value)), DV_OK);
        assert_int_equal(dv_fingerprint_add_canary(builder, DV_LIT("12345")), DV_ERR_INVALID);
        open_set(&w, builder);
        (void)snprintf(text, sizeof(text), "(%s)", value);
        expect_at(&w, text, DV_FINGERPRINT_CANARY, value);
        expect(&w, other, 0);
        assert_int_equal(dv_fingerprint_set_about(w.set)->canaries, 1);
        close_set(&w);
    }
}

/* ---- documents ---- */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Words of letters from `from` on. */
static void random_text(char *out, size_t len, uint32_t *seed)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (char)(next_random(seed) % 6 == 0 ? ' ' : 'a' + (int)(next_random(seed) % 26));
    }
    out[len] = '\0';
}

static size_t letters_in(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        count += text[i] != ' ';
    }
    return count;
}

/* Writes a passage with other capitals and punctuation. */
static size_t disguise(char *out, const char *text, size_t len, uint32_t *seed)
{
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ' ') {
            for (uint32_t spaces = next_random(seed) % 4; spaces > 0; spaces--) {
                out[at++] = ' ';
            }
            continue;
        }
        out[at++] = (char)(next_random(seed) % 2 == 0 ? text[i] - 'a' + 'A' : text[i]);
        if (next_random(seed) % 9 == 0) {
            out[at++] = ".,\n-"[next_random(seed) % 4];
        }
    }
    return at;
}

/* Winnowing's guarantee: whatever SURE letters a text shares with a document meet. */
static void test_every_sure_passage_meets(void **state)
{
    (void)state;
    enum { DOCUMENT = 3000 };
    static char document[DOCUMENT + 1], text[DOCUMENT * 4];
    world w;
    uint32_t seed = 7;
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = new_builder(&documents_only);
    random_text(document, DOCUMENT, &seed);
    add_document(builder, "plan", dv_slice_str(document));
    open_set(&w, builder);
    for (int round = 0; round < 2000; round++) {
        dv_auto(free) dv_fingerprint_state *read = new_state();
        dv_fingerprint_hit seen[DV_FINGERPRINT_DOCUMENTS_SEEN];
        size_t begin = next_random(&seed) % (DOCUMENT - 200);
        size_t len = 0;
        while (letters_in(document + begin, len) < DV_FINGERPRINT_SURE) {
            len++;
        }
        random_text(text, 100, &seed);
        size_t at = 100 + disguise(text + 100, document + begin, len, &seed);
        random_text(text + at, 100, &seed);
        w.count = 0;
        (void)feed(&w, read, dv_slice_str(text), false);
        const dv_fingerprint_job job = job_of(&w, false);
        assert_int_equal(dv_fingerprint_documents(&job, read, 0, seen), 1);
        assert_true(seen[0].matched >= 1);
    }
    random_text(text, DOCUMENT, &seed);
    search(&w, dv_slice_str(text));
    assert_int_equal(w.count, 0);
    close_set(&w);
}

static void test_documents(void **state)
{
    (void)state;
    enum { DOCUMENT = 20000, PHRASE = 200 };
    static char document[DOCUMENT + 1], phrase[PHRASE + 1];
    world w;
    char name[16];
    uint32_t seed = 11;
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = new_builder(&documents_only);
    random_text(phrase, PHRASE, &seed);
    for (int i = 0; i < 10; i++) {
        random_text(document, DOCUMENT, &seed);
        memcpy(document + 5000, phrase, PHRASE);
        (void)snprintf(name, sizeof(name), "doc%d", i);
        add_document(builder, name, dv_slice_str(document));
    }
    assert_int_equal(dv_fingerprint_add_text(builder, DV_LIT("too short")), DV_OK);
    assert_int_equal(dv_fingerprint_end_document(builder, DV_LIT("x")), DV_ERR_INVALID);
    open_set(&w, builder);
    assert_int_equal(dv_fingerprint_set_about(w.set)->documents, 10);
    assert_true(dv_slice_eq_str(dv_fingerprint_set_document(w.set, 3), "doc3"));
    expect(&w, phrase, 0); /* stands in more documents than a passage of one would */
    search(&w, dv_slice_of(document, 75));
    assert_int_equal(w.count, 0); /* less than four in a row, and than 5% */
    search(&w, dv_slice_of(document + 6000, 300));
    assert_int_equal(w.count, 1);
    assert_int_equal(w.hits[0].kind, DV_FINGERPRINT_DOCUMENT);
    assert_int_equal(w.hits[0].document, 9);
    close_set(&w);
}

/* Many short pieces, which together are more than 5%. */
static void test_share_of_a_document(void **state)
{
    (void)state;
    enum { DOCUMENT = 20000 };
    static const dv_fingerprint_rules rules = {
        .least = 1, .within = 300, .row = DV_FINGERPRINT_ROW_MAX, .share = 50};
    static char document[DOCUMENT + 1], text[DOCUMENT];
    world w;
    uint32_t seed = 13;
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = new_builder(&rules);
    random_text(document, DOCUMENT, &seed);
    add_document(builder, "plan", dv_slice_str(document));
    open_set(&w, builder);
    for (size_t i = 0; i < 40; i++) {
        memcpy(text + i * 200, document + 2000 + i * 300, 100);
        random_text(text + i * 200 + 100, 100, &seed);
        if (i == 9) {
            expect(&w, text, 0);
        }
    }
    search(&w, dv_slice_str(text));
    assert_int_equal(w.count, 1);
    assert_in_range(w.hits[0].matched * 1000 / w.hits[0].total, 50, 60);
    close_set(&w);
}

/* ---- cut texts ---- */

static void compare(world *w, const dv_fingerprint_hit *hits, size_t count, size_t cut)
{
    if (w->count != count) {
        fail_msg("cut at %zu: %zu hits, not %zu", cut, w->count, count);
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(w->hits[i].kind, hits[i].kind);
        /* A document is told as soon as it is one, maybe within a word. */
        bool ends = hits[i].kind == DV_FINGERPRINT_DOCUMENT || w->hits[i].end == hits[i].end;
        if (w->hits[i].start != hits[i].start || !ends) {
            fail_msg("cut at %zu: %d from %zu to %zu, not %zu to %zu", cut, (int)hits[i].kind,
                     (size_t)w->hits[i].start, (size_t)w->hits[i].end, (size_t)hits[i].start,
                     (size_t)hits[i].end);
        }
        assert_int_equal(w->hits[i].columns, hits[i].columns);
        assert_int_equal(w->hits[i].matched, hits[i].matched);
    }
}

static void build_mixed(world *w, char *document)
{
    uint32_t seed = 3;
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = new_builder(&people);
    add(builder, "Anna", "Kowalska", "DE44 5001 0517 5407 3249 31");
    add(builder, "Zo\xc3\x8b", "O'Neill", "M\xc3\x9cLLER & S\xc3\xb6hne GmbH");
    assert_int_equal(dv_fingerprint_add_canary(builder, DV_LIT("luzu faro mina telo")), DV_OK);
    random_text(document, 2000, &seed);
    add_document(builder, "plan", dv_slice_str(document));
    open_set(w, builder);
}

static void make_mixed(char *text, size_t room, const char *document)
{
    (void)snprintf(
        text, room,
        "Dear Anna \xe2\x80\x9cKowalska\xe2\x80\x9d, pay DE44 5001 0517 5407 3249 31 "
        "\xc2\xa0to m\xc3\xbcller & s\xc3\x96hne gmbh of ZO\xc3\x8b \xe2\x80\x93 O'NEILL "
        "(Luzu, faro; mina telo) and: %.400s. 5001 0517 the end",
        document + 500);
}

static void test_cut_at_every_byte(void **state)
{
    (void)state;
    static char document[2001], text[1024];
    world w;
    dv_fingerprint_hit hits[HITS];
    build_mixed(&w, document);
    make_mixed(text, sizeof(text), document);
    search(&w, dv_slice_str(text));
    size_t count = w.count;
    assert_int_equal(count, 6);
    memcpy(hits, w.hits, sizeof(hits));
    dv_slice whole = dv_slice_str(text);
    for (size_t cut = 0; cut <= whole.len; cut++) {
        dv_auto(free) dv_fingerprint_state *read = new_state();
        w.count = 0;
        (void)feed(&w, read, dv_slice_sub(whole, 0, cut), true);
        (void)feed(&w, read, dv_slice_sub(whole, cut, SIZE_MAX), false);
        compare(&w, hits, count, cut);
    }
    for (size_t size = 1; size < 40; size++) {
        dv_auto(free) dv_fingerprint_state *read = new_state();
        w.count = 0;
        for (size_t at = 0; at < whole.len; at += size) {
            (void)feed(&w, read, dv_slice_sub(whole, at, size), at + size < whole.len);
        }
        compare(&w, hits, count, size);
    }
    close_set(&w);
}

/* Of a value no byte goes out before it is known for one. */
static void test_hold_keeps_values_back(void **state)
{
    (void)state;
    static char document[2001], text[1024];
    world w;
    build_mixed(&w, document);
    make_mixed(text, sizeof(text), document);
    search(&w, dv_slice_str(text));
    dv_fingerprint_hit hits[HITS];
    size_t count = w.count;
    memcpy(hits, w.hits, sizeof(hits));
    for (size_t cut = 1; cut < strlen(text); cut++) {
        dv_auto(free) dv_fingerprint_state *read = new_state();
        w.count = 0;
        size_t hold = feed(&w, read, dv_slice_of(text, cut), true);
        for (size_t i = 0; i < count; i++) {
            bool by_itself =
                hits[i].kind == DV_FINGERPRINT_VALUE || hits[i].kind == DV_FINGERPRINT_CANARY;
            bool told = i < w.count;
            if (by_itself && !told && hits[i].start < cut && hold > hits[i].start) {
                fail_msg("cut at %zu: %zu goes out of the value at %zu", cut, hold,
                         (size_t)hits[i].start);
            }
        }
        assert_true(cut - hold <= 64);
    }
    close_set(&w);
}

/* Work is done in pieces of some KB: what lies across them is found as anywhere. */
static void test_long_texts(void **state)
{
    (void)state;
    enum { LONG = 9000 };
    static char text[LONG + 100];
    world w;
    uint32_t seed = 5;
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = new_builder(&people);
    add(builder, "", "", "12 Main Street 5b");
    open_set(&w, builder);
    random_text(text, LONG, &seed);
    for (size_t at = 4000; at < 4400; at++) {
        char kept[32];
        memcpy(kept, text + at, sizeof(kept));
        memcpy(text + at, " 12 main street 5b ", 19);
        search(&w, dv_slice_str(text));
        assert_int_equal(w.count, 1);
        assert_int_equal(w.hits[0].start, at + 1);
        assert_int_equal(w.hits[0].end, at + 18);
        memcpy(text + at, kept, sizeof(kept));
    }
    close_set(&w);
}

/* Of words that are in no set next to none is asked about further, and none is a hit. */
static void test_false_positives(void **state)
{
    (void)state;
    enum { VALUES = 100000, WORDS = 200000 };
    world w;
    char text[32];
    size_t passed = 0;
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = new_builder(&people);
    for (int i = 0; i < VALUES; i++) {
        (void)snprintf(text, sizeof(text), "account%d", i);
        add(builder, "", "", text);
    }
    open_set(&w, builder);
    for (int i = 0; i < WORDS; i++) {
        int len = snprintf(text, sizeof(text), "other%d", i);
        uint64_t quick = dv_set_quick(&w.set->keys, (const uint8_t *)text, (size_t)len);
        passed += dv_set_may_have(&w.set->values, quick);
        search(&w, dv_slice_str(text));
        assert_int_equal(w.count, 0);
    }
    print_message("%zu of %d words passed the filter\n", passed, WORDS);
    assert_true(passed < WORDS / 200);
    for (int i = 0; i < VALUES; i += 97) {
        (void)snprintf(text, sizeof(text), "account%d", i);
        expect(&w, text, 1);
    }
    close_set(&w);
}

/* ---- the file ---- */

static void sign(dv_buf *file)
{
    size_t end = file->len - DV_SHA256_LEN;
    dv_sha256(dv_slice_of(file->ptr, end), (dv_slice){NULL, 0}, (dv_slice){NULL, 0},
              file->ptr + end);
}

static dv_result reopen(const dv_buf *file, size_t len)
{
    dv_fingerprint_set *set = NULL;
    dv_error error = {0};
    dv_result result = dv_fingerprint_set_of(dv_slice_of(file->ptr, len), &set, &error);
    dv_fingerprint_set_close(set);
    assert_true(result == DV_OK || error.message[0] != '\0');
    return result;
}

static void test_every_changed_byte_is_refused(void **state)
{
    (void)state;
    static char document[2001];
    world w;
    build_mixed(&w, document);
    for (size_t i = 0; i < w.file.len; i++) {
        w.file.ptr[i] ^= 1;
        assert_int_not_equal(reopen(&w.file, w.file.len), DV_OK);
        w.file.ptr[i] ^= 1;
        assert_int_not_equal(reopen(&w.file, i), DV_OK);
    }
    assert_int_equal(reopen(&w.file, w.file.len), DV_OK);
    close_set(&w);
}

/* With the hash set right, too: it is refused, or can be used whatever it holds. */
static void test_signed_changes_are_harmless(void **state)
{
    (void)state;
    static char document[2001], text[1024];
    world w;
    build_mixed(&w, document);
    make_mixed(text, sizeof(text), document);
    for (size_t i = 0; i < w.file.len - DV_SHA256_LEN; i++) {
        uint8_t before = w.file.ptr[i];
        w.file.ptr[i] = (uint8_t)(i % 2 == 0 ? 0xff : before ^ 0x80);
        sign(&w.file);
        world changed = {.matcher = w.matcher};
        if (dv_fingerprint_set_of(dv_buf_slice(&w.file), &changed.set, NULL) == DV_OK) {
            search(&changed, dv_slice_str(text));
            (void)dv_fingerprint_set_document(changed.set, 0);
            dv_fingerprint_set_close(changed.set);
        }
        w.file.ptr[i] = before;
    }
    sign(&w.file);
    assert_int_equal(reopen(&w.file, w.file.len), DV_OK);
    close_set(&w);
}

static void refuse_header(const dv_buf *file, size_t offset, uint32_t value, dv_result wanted)
{
    dv_auto(buf) dv_buf copy = dv_buf_init(file->len);
    assert_int_equal(dv_buf_append(&copy, dv_buf_slice(file)), DV_OK);
    memcpy(copy.ptr + offset, &value, sizeof(value));
    sign(&copy);
    assert_int_equal(reopen(&copy, copy.len), wanted);
}

static void test_limits_of_the_file(void **state)
{
    (void)state;
    static char document[2001];
    world w;
    build_mixed(&w, document);
#define REFUSE(field, value, result)                                                               \
    refuse_header(&w.file, offsetof(dv_set_header, field), (uint32_t)(value), result)
    REFUSE(version, 2, DV_ERR_UNSUPPORTED);
    REFUSE(header_bytes, sizeof(dv_set_header) + 8, DV_ERR_CORRUPT);
    REFUSE(gram, DV_FINGERPRINT_GRAM + 1, DV_ERR_CORRUPT);
    REFUSE(window, DV_FINGERPRINT_WINDOW + 1, DV_ERR_CORRUPT);
    REFUSE(values, DV_SET_HASHES_MAX + 1, DV_ERR_TOO_LARGE);
    REFUSE(value_blocks, 100000, DV_ERR_TOO_LARGE);
    REFUSE(value_blocks, 0, DV_ERR_TOO_LARGE);
    REFUSE(value_bucket_bits, 27, DV_ERR_TOO_LARGE);
    REFUSE(passages, DV_SET_HASHES_MAX + 1, DV_ERR_TOO_LARGE);
    REFUSE(passage_bucket_bits, 64, DV_ERR_TOO_LARGE);
    REFUSE(rows, DV_SET_HASHES_MAX + 1, DV_ERR_TOO_LARGE);
    REFUSE(rows, 100, DV_ERR_CORRUPT);
    REFUSE(records, DV_FINGERPRINT_CELLS_MAX + 1, DV_ERR_TOO_LARGE);
    REFUSE(columns, DV_FINGERPRINT_COLUMNS + 1, DV_ERR_TOO_LARGE);
    REFUSE(documents, DV_FINGERPRINT_DOCUMENTS_MAX + 1, DV_ERR_TOO_LARGE);
    REFUSE(names, DV_SET_NAMES_MAX + 1, DV_ERR_TOO_LARGE);
    REFUSE(alone, 1U << 3, DV_ERR_TOO_LARGE);
    REFUSE(least, 0, DV_ERR_TOO_LARGE);
    REFUSE(least, 4, DV_ERR_TOO_LARGE);
    REFUSE(within, 0, DV_ERR_TOO_LARGE);
    REFUSE(within, DV_FINGERPRINT_WITHIN_MAX + 1, DV_ERR_TOO_LARGE);
    REFUSE(row, 0, DV_ERR_TOO_LARGE);
    REFUSE(row, DV_FINGERPRINT_ROW_MAX + 1, DV_ERR_TOO_LARGE);
    REFUSE(share, 0, DV_ERR_TOO_LARGE);
    REFUSE(share, 1001, DV_ERR_TOO_LARGE);
    REFUSE(longest_number, DV_FINGERPRINT_VALUE_MAX + 1, DV_ERR_TOO_LARGE);
#undef REFUSE
    close_set(&w);
}

static void test_limits_of_rules(void **state)
{
    (void)state;
    dv_fingerprint_builder *builder = NULL;
    char name[DV_FINGERPRINT_NAME_MAX + 2];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    dv_fingerprint_rules bad[9];
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        bad[i] = people;
    }
    bad[0].column_count = DV_FINGERPRINT_COLUMNS + 1;
    bad[1].least = 0;
    bad[2].least = 4;
    bad[3].within = 0;
    bad[4].within = DV_FINGERPRINT_WITHIN_MAX + 1;
    bad[5].row = DV_FINGERPRINT_ROW_MAX + 1;
    bad[6].share = 0;
    bad[7].share = 1001;
    bad[8].columns[1] = name;
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_error error = {0};
        assert_int_equal(dv_fingerprint_builder_new(&bad[i], &builder, &error), DV_ERR_INVALID);
        assert_true(error.message[0] != '\0');
    }
}

static void test_limits_of_values(void **state)
{
    (void)state;
    world w;
    char value[DV_FINGERPRINT_VALUE_MAX + 2];
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = new_builder(&people);
    memset(value, 'a', sizeof(value));
    value[DV_FINGERPRINT_VALUE_MAX] = '\0';
    add(builder, "", "", value);
    value[DV_FINGERPRINT_VALUE_MAX] = 'a';
    value[DV_FINGERPRINT_VALUE_MAX + 1] = '\0';
    add(builder, "", "", value);
    add(builder, "", "", "a b c d e f g h i j k l m n o p");
    add(builder, "", "", "b b c d e f g h i j k l m n o p q");
    open_set(&w, builder);
    assert_int_equal(dv_fingerprint_set_about(w.set)->too_long, 2);
    expect(&w, value, 0);
    value[DV_FINGERPRINT_VALUE_MAX] = '\0';
    expect(&w, value, 1);
    expect(&w, "x A B C D E F G H I J K L M N O P y", 1);
    expect(&w, "b b c d e f g h i j k l m n o p q", 0);
    close_set(&w);
    dv_auto(fingerprint_builder) dv_fingerprint_builder *empty = new_builder(&people);
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    dv_error error = {0};
    assert_int_equal(dv_fingerprint_build(empty, &out, &error), DV_ERR_INVALID);
}

static void test_files(void **state)
{
    (void)state;
    static char document[2001];
    char path[] = "/tmp/dvara-fingerprint-XXXXXX";
    world w;
    dv_error error = {0};
    dv_fingerprint_set *set = NULL;
    build_mixed(&w, document);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, w.file.ptr, w.file.len), w.file.len);
    assert_int_equal(dv_fingerprint_set_open(path, &set, &error), DV_OK);
    assert_memory_equal(dv_fingerprint_set_about(set)->id, dv_fingerprint_set_about(w.set)->id,
                        DV_FINGERPRINT_ID_LEN);
    dv_fingerprint_set_close(set);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(dv_fingerprint_set_open(path, &set, &error), DV_ERR_FORBIDDEN);
    assert_int_equal(fchmod(fd, 0640), 0);
    assert_int_equal(dv_fingerprint_set_open(path, &set, &error), DV_OK);
    dv_fingerprint_set_close(set);
    assert_int_equal(ftruncate(fd, (off_t)w.file.len - 8), 0);
    assert_int_equal(dv_fingerprint_set_open(path, &set, &error), DV_ERR_CORRUPT);
    assert_int_equal(ftruncate(fd, 3), 0);
    assert_int_equal(dv_fingerprint_set_open(path, &set, &error), DV_ERR_CORRUPT);
    close(fd);
    unlink(path);
    assert_int_equal(dv_fingerprint_set_open(path, &set, &error), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_fingerprint_set_open("/tmp", &set, &error), DV_ERR_INVALID);
    close_set(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_long_gaps_end_a_value),
        cmocka_unit_test(test_another_text_in_the_same_memory),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_usual_records_are_counted),
        cmocka_unit_test(test_canaries),
        cmocka_unit_test(test_every_sure_passage_meets),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_share_of_a_document),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_hold_keeps_values_back),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_false_positives),
        cmocka_unit_test(test_every_changed_byte_is_refused),
        cmocka_unit_test(test_signed_changes_are_harmless),
        cmocka_unit_test(test_limits_of_the_file),
        cmocka_unit_test(test_limits_of_rules),
        cmocka_unit_test(test_limits_of_values),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
