/* SPDX-License-Identifier: Apache-2.0 */
/* From counts to labels: every built-in rule is good, and what makes a label surer or less sure. */
#include "room/data/scan/classify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

typedef struct fixture {
    dv_arena *arena;
    dv_data_rules rules;
} fixture;

static int make(void **state)
{
    dv_error error = {0};
    fixture *f = calloc(1, sizeof(*f));
    f->arena = dv_arena_new(16 << 20);
    if (dv_data_rules_builtin(&f->rules, f->arena, &error) != DV_OK) {
        fprintf(stderr, "line %d: %s\n", error.line, error.message);
        return -1;
    }
    *state = f;
    return 0;
}

static int end(void **state)
{
    fixture *f = *state;
    dv_arena_free(f->arena);
    free(f);
    return 0;
}

static dv_data_tally tally(const char *kind, uint64_t cells, uint8_t score)
{
    ptrdiff_t number = dv_data_kind_find(kind);
    assert_true(number >= 0);
    return (dv_data_tally){.kind = (uint16_t)number,
                           .score = score,
                           .score_sum = score * cells,
                           .values = cells,
                           .cells = cells};
}

static dv_data_class classify(fixture *f, const dv_data_part *part)
{
    dv_data_class class;
    assert_int_equal(dv_data_classify(&f->rules, &part, 1, 1, f->arena, &class), DV_OK);
    return class;
}

static dv_data_class column(fixture *f, const char *words, uint64_t of, dv_data_tally *found)
{
    const dv_data_part part = {.name = words,
                               .words = words,
                               .column = true,
                               .cells = of,
                               .tallies = found,
                               .count = found != NULL};
    return classify(f, &part);
}

static void nothing_is_internal_and_unsure(void **state)
{
    dv_data_class class = column(*state, "comment", 10, NULL);
    assert_int_equal(class.sensitivity, DV_DATA_INTERNAL);
    assert_int_equal(class.confidence, 0);
    assert_int_equal(class.count, 0);
}

static void a_name_makes_it_surer_and_few_hits_less_sure(void **state)
{
    dv_data_tally most = tally("payment_card", 90, 80), few = tally("payment_card", 1, 80);
    dv_data_class plain = column(*state, "x", 100, &most);
    dv_data_class named = column(*state, "card number", 100, &most);
    dv_data_class rare = column(*state, "x", 100, &few);
    assert_int_equal(plain.sensitivity, DV_DATA_RESTRICTED);
    assert_int_equal(plain.confidence, 85);
    assert_int_equal(named.confidence, 99);
    assert_int_equal(rare.confidence, 45);
    assert_string_equal(named.reasons[0].whys[0],
                        "payment_card in 90 of 100 values of card number, whose name says so");
    assert_string_equal(rare.reasons[0].whys[0], "payment_card in 1 of 100 values of x");
}

static void a_name_alone_says_something(void **state)
{
    dv_data_class salary = column(*state, "base salary", 5, NULL);
    assert_int_equal(salary.sensitivity, DV_DATA_CONFIDENTIAL);
    assert_int_equal(salary.confidence, 65);
    assert_string_equal(salary.reasons[0].rule->category, "financial");
    assert_int_equal(column(*state, "salary band code", 5, NULL).confidence, 45);
    assert_int_equal(column(*state, "salaryman", 5, NULL).count, 0); /* no word */
    assert_int_equal(column(*state, "salary", 0, NULL).count, 0);    /* empty */
}

static void many_make_it_more_sensitive(void **state)
{
    dv_data_tally some = tally("email", 999, 95), many = tally("email", 1000, 95);
    assert_int_equal(column(*state, "x", 1000, &some).sensitivity, DV_DATA_CONFIDENTIAL);
    assert_int_equal(column(*state, "x", 1000, &many).sensitivity, DV_DATA_RESTRICTED);
}

static void unsure_rules_are_left_out(void **state)
{
    fixture *f = *state;
    dv_data_class class;
    dv_data_tally few = tally("payment_card", 1, 80);
    const dv_data_part part = {
        .name = "x", .words = "x", .column = true, .cells = 100, .tallies = &few, .count = 1};
    const dv_data_part *parts = &part;
    assert_int_equal(dv_data_classify(&f->rules, &parts, 1, 46, f->arena, &class), DV_OK);
    assert_int_equal(class.count, 0);
}

static void own_rules_replace_and_add(void **state)
{
    fixture *f = *state;
    dv_error error = {0};
    size_t count = f->rules.count;
    static const char rules[] =
        "- {id: income, doc: d, category: pay, sensitivity: restricted, columns: [salary]}\n"
        "- {id: mine, doc: d, category: mine, sensitivity: public, columns: [x]}\n";
    assert_int_equal(dv_data_rules_add(&f->rules, dv_slice_str(rules), f->arena, &error), DV_OK);
    assert_int_equal(f->rules.count, count + 1);
    assert_int_equal(column(f, "salary", 5, NULL).sensitivity, DV_DATA_RESTRICTED);
    assert_int_equal(column(f, "x", 5, NULL).sensitivity, DV_DATA_PUBLIC);
}

static void wrong_rules_are_refused_with_their_line(void **state)
{
    fixture *f = *state;
    static const char *const wrong[] = {
        "id: a\ndoc: d\ncategory: c\nsensitivity: secret\n",
        "id: a\ndoc: d\ncategory: c\nsensitivity: public\nfind: [emial]\n",
        "id: a\ndoc: d\ncategory: c\nsensitivity: public\nfind_categories: [x]\n",
        "id: a\ndoc: d\ncategory: C, d\nsensitivity: public\n",
        "id: a\ndoc: d\nsensitivity: public\n",
        "id: a\ndoc: d\ncategory: c\nsensitivity: public\nscore: 101\n",
        "id: a\ndoc: d\ncategory: c\nsensitivity: public\nmany: {values: 0, sensitivity: public}\n",
        "id: a\ndoc: d\ncategory: c\nsensitivity: public\nfnid: []\n",
        "id: a\ndoc: d\ncategory: c\nsensitivity: public\ncolumns: x\n",
        "id: a\ndoc: d\ncategory: c\nsensitivity: public\ncolumns: ['']\n",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(wrong); i++) {
        dv_error error = {0};
        assert_int_equal(dv_data_rules_add(&f->rules, dv_slice_str(wrong[i]), f->arena, &error),
                         DV_ERR_INVALID);
        assert_true(error.message[0] != '\0');
    }
}

static void limits_of_rules(void **state)
{
    fixture *f = *state;
    dv_error error = {0};
    char rule[2048];
    size_t len = (size_t)snprintf(rule, sizeof(rule),
                                  "id: a\ndoc: d\ncategory: c\nsensitivity: public\ncolumns: [w");
    for (int i = 0; i < DV_DATA_WORDS_MAX; i++) {
        len += (size_t)snprintf(rule + len, sizeof(rule) - len, ", w%d", i);
    }
    snprintf(rule + len, sizeof(rule) - len, "]\n");
    assert_int_equal(dv_data_rules_add(&f->rules, dv_slice_str(rule), f->arena, &error),
                     DV_ERR_INVALID);
    while (f->rules.count < DV_DATA_RULES_MAX) {
        snprintf(rule, sizeof(rule), "{id: r%zu, doc: d, category: c, sensitivity: public}",
                 f->rules.count);
        assert_int_equal(dv_data_rules_add(&f->rules, dv_slice_str(rule), f->arena, &error), DV_OK);
    }
    assert_int_equal(dv_data_rules_add(&f->rules,
                                       DV_LIT("{id: z, doc: d, category: c, sensitivity: public}"),
                                       f->arena, &error),
                     DV_ERR_INVALID);
}

/* ---- finding ---- */

typedef struct seen {
    size_t parts;
    char first[64];
    uint64_t cells;
    uint64_t values;
    bool hidden;
} seen;

static dv_result on_done(void *data, const dv_scan_item *item, const dv_data_part *const *parts,
                         size_t count)
{
    seen *s = data;
    *s = (seen){.parts = count};
    for (size_t i = 0; i < count; i++) {
        s->hidden |= strcmp(parts[i]->name, "*") == 0;
        s->cells += parts[i]->cells;
        for (size_t k = 0; k < parts[i]->count; k++) {
            s->values += parts[i]->tallies[k].values;
        }
    }
    snprintf(s->first, sizeof(s->first), "%s", count > 0 ? parts[0]->words : "");
    return DV_OK;
}

static void values_are_counted_where_they_stand(void **state)
{
    seen s = {0};
    dv_error error = {0};
    dv_scan_item item = {.name = "x"};
    dv_data_finder *finder = NULL;
    dv_data_finder_options options = {.done = on_done, .data = &s};
    dv_detector_set_add(&options.detectors, (size_t)dv_data_kind_find("email"));
    assert_int_equal(dv_data_finder_new(&options, &finder, &error), DV_OK);
    dv_scan_visitor visitor = dv_data_finder_visitor(finder);
    dv_scan_place place = {.field = DV_LIT("users[].workEMail")};

    assert_int_equal(visitor.begin(visitor.data, &item), DV_OK);
    for (int i = 0; i < 5000; i++) { /* several searches */
        dv_slice value = i % 2 == 0 ? DV_LIT("bob@example.com") : DV_LIT("none");
        assert_int_equal(visitor.value(visitor.data, &place, value), DV_OK);
    }
    assert_int_equal(visitor.end(visitor.data, &item), DV_OK);
    assert_int_equal(s.parts, 1);
    assert_string_equal(s.first, "users work email");
    assert_int_equal(s.cells, 5000);
    assert_int_equal(s.values, 2500);

    /* A text in pieces, cut within values. */
    place = (dv_scan_place){.member = DV_LIT("")};
    assert_int_equal(visitor.begin(visitor.data, &item), DV_OK);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(visitor.text(visitor.data, &place, DV_LIT("e.com bob@exampl"), false),
                         DV_OK);
    }
    assert_int_equal(visitor.text(visitor.data, &place, DV_LIT(""), true), DV_OK);
    assert_int_equal(visitor.end(visitor.data, &item), DV_OK);
    assert_int_equal(s.values, 99999);

    /* Names of fields that are values themselves are counted, and not told. More fields than are
     * kept apart count together. */
    assert_int_equal(visitor.begin(visitor.data, &item), DV_OK);
    for (int i = 0; i < DV_DATA_PARTS_MAX + 500; i++) {
        char name[64];
        snprintf(name, sizeof(name), i == 7 ? "sue@example.com" : "field %d", i);
        place = (dv_scan_place){.field = dv_slice_str(name)};
        assert_int_equal(visitor.value(visitor.data, &place, DV_LIT("a@example.org")), DV_OK);
    }
    assert_int_equal(visitor.end(visitor.data, &item), DV_OK);
    assert_int_equal(s.parts, DV_DATA_PARTS_MAX);
    assert_int_equal(s.values, DV_DATA_PARTS_MAX + 501);
    assert_true(s.hidden);
    dv_data_finder_free(finder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_internal_and_unsure),
        TEST(a_name_makes_it_surer_and_few_hits_less_sure),
        TEST(a_name_alone_says_something),
        TEST(many_make_it_more_sensitive),
        TEST(unsure_rules_are_left_out),
        TEST(own_rules_replace_and_add),
        TEST(wrong_rules_are_refused_with_their_line),
        TEST(limits_of_rules),
        TEST(values_are_counted_where_they_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
