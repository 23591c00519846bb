/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara access audit` and `who-can`: page after page of decisions, as one answer. */
#include "api/commands.h"
#include "base/buf.h"
#include "cli/visible.h"

enum { PAGE = 1000, LINE_MAX_BYTES = 4 << 20 };

/* --- pages ----------------------------------------------------------------------------------- */

/* Adds what a page has to what came before it. */
static dv_result page_add(json_t *whole, const json_t *page, const char *rows)
{
    static const char *const counts[] = {"decided", "depends"};
    for (size_t i = 0; i < DV_ARRAY_LEN(counts); i++) {
        json_int_t sum = json_integer_value(json_object_get(whole, counts[i])) +
                         json_integer_value(json_object_get(page, counts[i]));
        if (json_object_set_new(whole, counts[i], json_integer(sum)) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    json_t *next = json_object_get(page, "next");
    int failed = next == NULL ? 0 : json_object_set(whole, "next", next);
    if (next == NULL) {
        (void)json_object_del(whole, "next");
    }
    return failed == 0 &&
                   json_array_extend(json_object_get(whole, rows), json_object_get(page, rows)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

/* Asks for the page behind `next`, or for the first one. most: rows in all; 0: no end to them. */
static dv_result page_ask(dv_cli *cli, const char *operation, const json_t *params,
                          const char *rows, size_t most, json_t **whole, dv_error *error)
{
    json_t *page = NULL;
    json_t *asked = json_copy((json_t *)(uintptr_t)params);
    json_t *next = json_object_get(*whole, "next");
    size_t left = most - json_array_size(json_object_get(*whole, rows));
    bool ok = asked != NULL && (next == NULL || json_object_set(asked, "cursor", next) == 0);
    if (most > 0) {
        ok = ok && json_object_set_new(asked, "limit",
                                       json_integer((json_int_t)DV_MIN(left, (size_t)PAGE))) == 0;
    }
    dv_result result =
        ok ? dv_cli_call(cli, operation, asked, NULL, &page, error) : DV_ERR_NO_MEMORY;
    json_decref(asked);
    DV_TRY(result);
    if (*whole == NULL) {
        *whole = page;
        return DV_OK;
    }
    result = page_add(*whole, page, rows);
    json_decref(page);
    return result;
}

/* All pages as one answer, whose "next" is there only when `most` ended it. */
static dv_result pages_ask(dv_cli *cli, const char *operation, const json_t *params,
                           const char *rows, size_t most, json_t **ret_whole, dv_error *error)
{
    json_t *whole = NULL;
    dv_result result = DV_OK;
    bool more = true;
    while (result == DV_OK && more) {
        result = page_ask(cli, operation, params, rows, most, &whole, error);
        more = json_object_get(whole, "next") != NULL &&
               (most == 0 || json_array_size(json_object_get(whole, rows)) < most);
    }
    if (result != DV_OK) {
        json_decref(whole);
        return result;
    }
    *ret_whole = whole;
    return DV_OK;
}

/* --- tables ---------------------------------------------------------------------------------- */

static void print_text(dv_cli *cli, const json_t *text)
{
    dv_visible_write_line(cli->out, json_string_value(text));
}

/* "assuming: an API key without scopes, no second factor, address not told, at 2026-..." */
static void print_assumed(dv_cli *cli, const json_t *answer)
{
    const json_t *assumed = json_object_get(answer, "assumed");
    const json_t *scopes = json_object_get(assumed, "scopes");
    const char *address = json_string_value(json_object_get(assumed, "address"));
    fputs("assuming: an API key", cli->out);
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        fputs(i == 0 ? " for " : ", ", cli->out);
        print_text(cli, json_array_get(scopes, i));
    }
    fprintf(cli->out, "%s, %s second factor, %s",
            json_array_size(scopes) == 0 ? " without scopes" : "",
            json_is_true(json_object_get(assumed, "mfa")) ? "a" : "no",
            address == NULL ? "address not told" : "from ");
    dv_visible_write_line(cli->out, address);
    fputs(", at ", cli->out);
    print_text(cli, json_object_get(assumed, "at"));
    fputc('\n', cli->out);
}

/* What other circumstances may change. */
static void print_depends(dv_cli *cli, const json_t *answer, const char *what)
{
    json_int_t depends = json_integer_value(json_object_get(answer, "depends"));
    if (depends > 0) {
        fprintf(cli->out,
                "%lld %s refused on a condition, which other circumstances may meet: --mfa, "
                "--address, --at\n",
                (long long)depends, what);
    }
}

/* The ways of a row as one text: "group ml > role data_scientist; anyone". */
static dv_result way_text(const json_t *row, json_t **ret_text)
{
    const json_t *through = json_object_get(row, "through");
    dv_auto(buf) dv_buf text = dv_buf_init(LINE_MAX_BYTES);
    for (size_t i = 0; i < json_array_size(through); i++) {
        const char *way = json_string_value(json_object_get(json_array_get(through, i), "way"));
        DV_TRY(dv_buf_append_printf(&text, "%s%s", i == 0 ? "" : "; ", way == NULL ? "" : way));
    }
    *ret_text = json_stringn(text.len == 0 ? "" : (const char *)text.ptr, text.len);
    return *ret_text == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result print_rows(dv_cli *cli, const json_t *answer, const char *rows,
                            const char *const *columns)
{
    json_t *flat = json_deep_copy(json_object_get(answer, rows));
    dv_result result = flat == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    for (size_t i = 0; i < json_array_size(flat) && result == DV_OK; i++) {
        json_t *text = NULL;
        json_t *row = json_array_get(flat, i);
        result = way_text(row, &text);
        if (result == DV_OK && json_object_set_new(row, "way", text) != 0) {
            result = DV_ERR_NO_MEMORY;
        }
    }
    if (result == DV_OK) {
        result = dv_cli_print(cli, flat, NULL, columns);
    }
    json_decref(flat);
    return result;
}

/* --- answers --------------------------------------------------------------------------------- */

/* What an answer looks like: its rows, and all of it for people. */
typedef struct view {
    const char *operation;
    const char *rows;
    const char *const *columns;
    dv_result (*print)(dv_cli *cli, const json_t *answer);
} view;

static dv_result print_answer(dv_cli *cli, const view *shown, const json_t *answer)
{
    switch (cli->output) {
    case DV_OUTPUT_TABLE:
        return shown->print(cli, answer);
    case DV_OUTPUT_JSONL:
        return dv_cli_print(cli, json_object_get(answer, shown->rows), NULL, NULL);
    case DV_OUTPUT_CSV:
        return print_rows(cli, answer, shown->rows, shown->columns);
    default:
        return dv_cli_print(cli, answer, NULL, NULL);
    }
}

/* most: rows in all; 0: no end to them. */
static int run(dv_cli *cli, const view *shown, const json_t *params, size_t most)
{
    dv_error error = {0};
    json_t *answer = NULL;
    dv_result result = pages_ask(cli, shown->operation, params, shown->rows, most, &answer, &error);
    if (result == DV_OK) {
        result = print_answer(cli, shown, answer);
    }
    json_decref(answer);
    if (result == DV_OK) {
        return DV_EXIT_DONE;
    }
    error.result = result;
    return dv_cli_fail(cli, &error);
}

/* --- who-can --------------------------------------------------------------------------------- */

static const char *const WHO_COLUMNS[] = {"principal", "policies", "way",
                                          "until",     "api_keys", NULL};

static dv_result print_who(dv_cli *cli, const json_t *answer)
{
    print_assumed(cli, answer);
    if (json_array_size(json_object_get(answer, "items")) == 0) {
        fputs("nobody may ", cli->out);
        print_text(cli, json_object_get(answer, "action"));
        fputc(' ', cli->out);
        print_text(cli, json_object_get(answer, "resource"));
        fputc('\n', cli->out);
    } else {
        DV_TRY(print_rows(cli, answer, "items", WHO_COLUMNS));
    }
    print_depends(cli, answer, "are");
    if (json_object_get(answer, "next") != NULL) {
        fputs("there may be more than --limit says\n", cli->err);
    }
    return fflush(cli->out) == 0 ? DV_OK : DV_ERR_IO;
}

int dv_command_access_who_can(dv_cli *cli, const json_t *params)
{
    static const view who = {"access_who_can", "items", WHO_COLUMNS, print_who};
    json_int_t limit = json_integer_value(json_object_get(params, "limit"));
    return run(cli, &who, params, (size_t)limit);
}

/* --- audit ----------------------------------------------------------------------------------- */

/* A heading and its table, when there is something in it. */
static dv_result print_part(dv_cli *cli, const json_t *answer, const char *part,
                            const char *heading, const char *const *columns)
{
    const json_t *rows = json_object_get(answer, part);
    if (json_array_size(rows) == 0) {
        return DV_OK;
    }
    fprintf(cli->out, "\n%s\n", heading);
    return dv_cli_print(cli, rows, NULL, columns);
}

static const char *const ACCESS_COLUMNS[] = {"decision", "action", "resource", "policies",
                                             "way",      "until",  NULL};

static dv_result print_audit(dv_cli *cli, const json_t *answer)
{
    static const char *const reached[] = {"name", "way", "until", NULL};
    static const char *const permissions[] = {"permission", "policy", "way", "until", NULL};
    static const char *const keys[] = {"id", "scopes", "expires", NULL};
    const char *user = json_string_value(json_object_get(answer, "user"));
    const char *name = user != NULL ? user : json_string_value(json_object_get(answer, "service"));
    fputs(user != NULL ? "user " : "service ", cli->out);
    dv_visible_write_line(cli->out, name);
    fputs(": ", cli->out);
    print_text(cli, json_object_get(answer, "status"));
    fputc('\n', cli->out);
    DV_TRY(print_part(cli, answer, "groups", "groups", reached));
    DV_TRY(print_part(cli, answer, "roles", "roles", reached));
    DV_TRY(print_part(cli, answer, "permissions", "permissions of roles", permissions));
    DV_TRY(print_part(cli, answer, "api_keys", "live API keys", keys));
    fputs("\naccess, ", cli->out);
    print_assumed(cli, answer);
    if (json_array_size(json_object_get(answer, "access")) == 0) {
        fputs("nothing is permitted\n", cli->out);
    } else {
        DV_TRY(print_rows(cli, answer, "access", ACCESS_COLUMNS));
    }
    print_depends(cli, answer, "more are");
    return fflush(cli->out) == 0 ? DV_OK : DV_ERR_IO;
}

int dv_command_access_audit(dv_cli *cli, const json_t *params)
{
    static const view audit = {"access_audit", "access", ACCESS_COLUMNS, print_audit};
    return run(cli, &audit, params, 0);
}
