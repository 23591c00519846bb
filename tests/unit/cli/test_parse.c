/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines against the fixture's API: what they mean, and what a wrong one is told. */
#include "cli/parse.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

int dv_command_ping(dv_cli *cli, const json_t *params);
int dv_command_ping(dv_cli *cli, const json_t *params)
{
    return 0;
}

typedef struct fixture {
    dv_cli_line line;
    dv_error error;
} fixture;

static int setup(void **state)
{
    *state = calloc(1, sizeof(fixture));
    return *state == NULL;
}

static int teardown(void **state)
{
    fixture *f = *state;
    dv_cli_line_release(&f->line);
    free(f);
    return 0;
}

/* Parses the words of a NULL-ended list behind "dvara". */
static dv_result parse(fixture *f, ...)
{
    char *argv[24] = {(char *)(uintptr_t) "dvara"};
    int argc = 1;
    va_list words;
    va_start(words, f);
    for (char *word = va_arg(words, char *); word != NULL; word = va_arg(words, char *)) {
        argv[argc++] = word;
    }
    va_end(words);
    dv_cli_line_release(&f->line);
    f->line = (dv_cli_line){0};
    f->error = (dv_error){0};
    return dv_cli_parse(argc, argv, &f->line, &f->error);
}

static void assert_wrong(fixture *f, dv_result result, const char *words)
{
    assert_int_equal(result, DV_ERR_INVALID);
    if (strstr(f->error.message, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->error.message, words);
    }
}

static const char *body_text(fixture *f, const char *name)
{
    return json_string_value(json_object_get(f->line.body, name));
}

static void nothing_is_the_overview(void **state)
{
    fixture *f = *state;
    assert_int_equal(parse(f, NULL), DV_OK);
    assert_null(f->line.noun);
    assert_int_equal(parse(f, "pet", NULL), DV_OK);
    assert_non_null(f->line.noun);
    assert_null(f->line.command);
}

static void flags_fill_the_body(void **state)
{
    fixture *f = *state;
    assert_int_equal(parse(f, "pet", "create", "--name", "Tom", "--kind=cat", "--tags", "a,b",
                           "--tags", "c", "--no-tame", "--age", "3", "--owner", "{\"name\":\"Al\"}",
                           "--max-naps", "-2", NULL),
                     DV_OK);
    assert_string_equal(f->line.command->verb, "create");
    assert_string_equal(body_text(f, "name"), "Tom");
    assert_string_equal(body_text(f, "kind"), "cat");
    assert_int_equal(json_array_size(json_object_get(f->line.body, "tags")), 3);
    assert_true(json_is_false(json_object_get(f->line.body, "tame")));
    assert_int_equal(json_integer_value(json_object_get(f->line.body, "age")), 3);
    assert_int_equal(json_integer_value(json_object_get(f->line.body, "max_naps")), -2);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(f->line.body, "owner"), "name")), "Al");
}

static void booleans_take_no_word(void **state)
{
    fixture *f = *state;
    assert_int_equal(parse(f, "pet", "list", "--tame", "--older", "3", NULL), DV_OK);
    assert_true(json_is_true(json_object_get(f->line.params, "tame")));
    assert_int_equal(parse(f, "pet", "list", "--tame=false", NULL), DV_OK);
    assert_true(json_is_false(json_object_get(f->line.params, "tame")));
    assert_wrong(f, parse(f, "pet", "list", "--tame=maybe", NULL), "--tame must be true or false");
}

static void arguments_stand_in_order(void **state)
{
    fixture *f = *state;
    assert_int_equal(parse(f, "pet", "get", "Tom", NULL), DV_OK);
    assert_string_equal(json_string_value(json_object_get(f->line.params, "name")), "Tom");
    assert_int_equal(parse(f, "pet", "get", "--", "--odd", NULL), DV_OK);
    assert_string_equal(json_string_value(json_object_get(f->line.params, "name")), "--odd");
    assert_wrong(f, parse(f, "pet", "get", NULL), "the argument name is missing");
    assert_wrong(f, parse(f, "pet", "get", "Tom", "Tim", NULL), "one argument too many");
}

static void a_verb_may_have_two_words(void **state)
{
    fixture *f = *state;
    assert_int_equal(parse(f, "pet", "age", "oldest", NULL), DV_OK);
    assert_string_equal(f->line.command->verb, "age oldest");
    assert_int_equal(parse(f, "pet", "age", "--output", "json", "oldest", NULL), DV_OK);
    assert_string_equal(f->line.command->verb, "age oldest");
    assert_int_equal(parse(f, "pet", "age", NULL), DV_OK);
    assert_null(f->line.command);
    assert_wrong(f, parse(f, "pet", "age", "oldes", NULL),
                 "did you mean \"dvara pet age oldest\"?");
    assert_wrong(f, parse(f, "pet", "ag", "oldest", NULL), "pet has no verb \"ag\"");
    assert_wrong(f, parse(f, "pet", "oldest", NULL), "pet has no verb");
}

static void global_flags_stand_anywhere(void **state)
{
    fixture *f = *state;
    assert_int_equal(
        parse(f, "--output", "jsonl", "--state=/s", "pet", "--url", "https://x", "list", NULL),
        DV_OK);
    assert_int_equal(f->line.globals.output, DV_OUTPUT_JSONL);
    assert_string_equal(f->line.globals.state, "/s");
    assert_string_equal(f->line.globals.url, "https://x");
    assert_wrong(f, parse(f, "pet", "list", "--output", "xml", NULL),
                 "table, json, jsonl, yaml or csv");
    assert_wrong(f, parse(f, "pet", "list", "--output", NULL), "--output needs a value");
}

static void help_needs_nothing_else(void **state)
{
    fixture *f = *state;
    assert_int_equal(parse(f, "pet", "create", "--help", NULL), DV_OK);
    assert_true(f->line.globals.help);
    assert_int_equal(parse(f, "-h", NULL), DV_OK);
    assert_true(f->line.globals.help);
}

static void typing_errors_are_told_with_a_suggestion(void **state)
{
    fixture *f = *state;
    assert_wrong(f, parse(f, "pte", NULL), "did you mean \"pet\"?");
    assert_wrong(f, parse(f, "elephant", NULL), "there is no command \"elephant\"; see");
    assert_wrong(f, parse(f, "pet", "craete", NULL), "did you mean \"dvara pet create\"?");
    assert_wrong(f, parse(f, "pet", "xyzzyplugh", NULL), "see dvara pet --help");
    assert_wrong(f, parse(f, "pet", "create", "--nmae", "x", NULL), "did you mean --name?");
    assert_wrong(f, parse(f, "pet", "list", "--oputut", "json", NULL), "did you mean --output?");
    assert_wrong(f, parse(f, "pet", "create", "-n", "x", NULL), "flags begin with --");
    assert_wrong(f, parse(f, "--name", "x", NULL), "--name is unknown");
}

static void missing_and_wrong_values_are_told(void **state)
{
    fixture *f = *state;
    assert_wrong(f, parse(f, "pet", "create", "--kind", "cat", NULL), "--name is missing");
    assert_wrong(f, parse(f, "pet", "list", "--older", "x", NULL),
                 "--older must be a whole number");
    assert_wrong(f, parse(f, "pet", "list", "--older", "1", "--older", "2", NULL), "given twice");
    assert_wrong(f, parse(f, "pet", "create", "--owner", "{", NULL), "--owner is not JSON");
    assert_wrong(f, parse(f, "pet", "list", "--older", NULL), "--older needs a value");
}

/* A secret has no flag of its own: it would stand in the list of processes. */
static void secrets_come_from_files(void **state)
{
    char path[] = "/tmp/dvara-secret-XXXXXX";
    fixture *f = *state;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "open sesame\n", 12), 12);
    close(fd);
    assert_wrong(f, parse(f, "pet", "create", "--secret", "x", NULL), "--secret is unknown");
    assert_int_equal(
        parse(f, "pet", "create", "--name", "Tom", "--kind", "cat", "--secret-file", path, NULL),
        DV_OK);
    assert_string_equal(body_text(f, "secret"), "open sesame");
    assert_int_equal(truncate(path, 0), 0);
    assert_wrong(f, parse(f, "pet", "create", "--secret-file", path, NULL), "is empty");
    unlink(path);
    assert_int_equal(parse(f, "pet", "create", "--secret-file", path, NULL), DV_ERR_IO);
}

static void a_body_can_be_given_whole(void **state)
{
    char path[] = "/tmp/dvara-body-XXXXXX";
    fixture *f = *state;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "{\"name\":\"Tom\"}", 14), 14);
    close(fd);
    assert_int_equal(parse(f, "pet", "create", "--body", path, NULL), DV_OK);
    assert_string_equal(body_text(f, "name"), "Tom");
    assert_wrong(f, parse(f, "pet", "create", "--body", path, "--kind", "cat", NULL),
                 "leave the other flags out");
    assert_wrong(f, parse(f, "pet", "list", "--body", path, NULL), "--body is unknown");
    assert_int_equal(truncate(path, 5), 0);
    assert_wrong(f, parse(f, "pet", "create", "--body", path, NULL), "line 1");
    unlink(path);
}

static void commands_of_our_own_are_checked_here(void **state)
{
    fixture *f = *state;
    assert_int_equal(parse(f, "ping", "me", NULL), DV_OK);
    assert_ptr_equal(f->line.command->run, dv_command_ping);
    assert_int_equal(json_integer_value(json_object_get(f->line.params, "times")), 1);
    assert_wrong(f, parse(f, "ping", "me", "--times", "6", NULL),
                 "The field times must be at most 5.");
    assert_wrong(f, parse(f, "ping", "123456789", NULL), "at most 8 characters");
}

static void only_lists_can_be_followed(void **state)
{
    fixture *f = *state;
    assert_int_equal(parse(f, "pet", "list", "--follow", NULL), DV_OK);
    assert_true(f->line.follow);
    assert_wrong(f, parse(f, "pet", "get", "Tom", "--follow", NULL), "--follow is unknown");
}

static void test_a_local_command_takes_no_url(void **state)
{
    fixture *f = *state;
    assert_int_equal(parse(f, "pet", "list", "--url", "https://far.example", NULL), DV_OK);
    assert_wrong(f, parse(f, "ping", "me", "--url", "https://far.example", NULL),
                 "dvara ping works on this machine alone: leave out --url, and run it where the "
                 "state is (--state DIR)");
    assert_int_equal(parse(f, "ping", "--help", "--url", "https://far.example", NULL), DV_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_the_overview, setup, teardown),
        cmocka_unit_test_setup_teardown(flags_fill_the_body, setup, teardown),
        cmocka_unit_test_setup_teardown(booleans_take_no_word, setup, teardown),
        cmocka_unit_test_setup_teardown(arguments_stand_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_verb_may_have_two_words, setup, teardown),
        cmocka_unit_test_setup_teardown(global_flags_stand_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(help_needs_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(typing_errors_are_told_with_a_suggestion, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_and_wrong_values_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_come_from_files, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_can_be_given_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(commands_of_our_own_are_checked_here, setup, teardown),
        cmocka_unit_test_setup_teardown(only_lists_can_be_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_local_command_takes_no_url, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
