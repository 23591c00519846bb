/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of `dvara policy` that read files or print Cedar. */
#include "api/commands.h"
#include "base/file.h"
#include "cli/policy_files.h"
#include "cli/visible.h"
#include "engine/cedar/describe.h"
#include "room/auth/control/policies.h"

enum { POLICY_ARENA = 256 << 20 };

static int fail_with(dv_cli *cli, dv_result result, dv_error *error)
{
    error->result = result;
    return dv_cli_fail(cli, error);
}

/* --- apply ----------------------------------------------------------------------------------- */

/* Copies the parameters that the operation has under the same name. */
static dv_result body_make(const json_t *params, const char *const *fields, size_t count,
                           const dv_policy_files *files, json_t **ret_body)
{
    json_t *body = json_pack("{s:o}", "policies", dv_policy_files_json(files));
    for (size_t i = 0; body != NULL && i < count; i++) {
        json_t *value = json_object_get(params, fields[i]);
        if (value != NULL && json_object_set(body, fields[i], value) != 0) {
            json_decref(body);
            body = NULL;
        }
    }
    *ret_body = body;
    return body == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

/* Who gains or loses what, when the answer has it. */
static dv_result print_access(dv_cli *cli, const json_t *answer)
{
    static const char *const columns[] = {"change",   "principal", "action",
                                          "resource", "policy",    NULL};
    const json_t *access = json_object_get(answer, "access");
    if (access == NULL) {
        return DV_OK;
    }
    if (json_array_size(access) == 0) {
        fputs("nobody gains or loses anything\n", cli->out);
    } else {
        DV_TRY(dv_cli_print(cli, answer, "access", columns));
    }
    if (json_is_false(json_object_get(answer, "complete"))) {
        fputs("there is more to ask about than was asked: name --principals, --actions or "
              "--resources of `dvara policy diff`\n",
              cli->err);
    }
    return DV_OK;
}

/* Asks with the files for the policies, and the fields that the operation has of the parameters. */
static dv_result call_with_files(dv_cli *cli, const char *operation, const json_t *params,
                                 const char *const *fields, size_t count, dv_arena *arena,
                                 json_t **ret_body, json_t **ret_answer, dv_error *error)
{
    dv_policy_files files = {0};
    json_t *body = NULL;
    DV_TRY(dv_policy_files_read(json_object_get(params, "files"), arena, &files, error));
    DV_TRY(body_make(params, fields, count, &files, &body));
    dv_result result = dv_cli_call(cli, operation, NULL, body, ret_answer, error);
    if (result != DV_OK) {
        dv_policy_files_place(&files, error);
        json_decref(body);
        return result;
    }
    *ret_body = body;
    return DV_OK;
}

/* --- pages of differences --- */

/* Questions that one comparison asks at most; there may be a million models and users. */
enum { DECIDED_MAX = 1000000 };

/* Adds a page to what came before it. */
static dv_result page_add(json_t *whole, const json_t *page)
{
    json_t *next = json_object_get(page, "next");
    json_int_t decided = json_integer_value(json_object_get(whole, "decided")) +
                         json_integer_value(json_object_get(page, "decided"));
    if (next == NULL) {
        (void)json_object_del(whole, "next");
    }
    bool ok =
        json_array_extend(json_object_get(whole, "access"), json_object_get(page, "access")) == 0 &&
        json_object_set_new(whole, "decided", json_integer(decided)) == 0 &&
        json_object_set(whole, "complete", json_object_get(page, "complete")) == 0 &&
        (next == NULL || json_object_set(whole, "next", next) == 0);
    return ok ? DV_OK : DV_ERR_NO_MEMORY;
}

/* The question that a page was asked with, for the one behind it: both versions stay. */
static dv_result body_continue(json_t *body, const json_t *answer)
{
    json_t *version = json_object_get(answer, "version"); /* of a dry run */
    json_t *from = json_object_get(answer, "from"), *to = json_object_get(answer, "to");
    (void)json_object_del(body, "dry_run");
    (void)json_object_del(body, "note");
    bool ok = json_object_set(body, "from", from != NULL ? from : version) == 0 &&
              json_object_set(body, "to", to != NULL ? to : version) == 0 &&
              json_object_set(body, "cursor", json_object_get(answer, "next")) == 0;
    return ok ? DV_OK : DV_ERR_NO_MEMORY;
}

/* Asks for the pages behind the first one, which is in the answer already. */
static dv_result pages_follow(dv_cli *cli, json_t *body, json_t *answer, dv_error *error)
{
    while (json_object_get(answer, "next") != NULL &&
           json_integer_value(json_object_get(answer, "decided")) < DECIDED_MAX) {
        json_t *page = NULL;
        DV_TRY(body_continue(body, answer));
        DV_TRY(dv_cli_call(cli, "policy_diff", NULL, body, &page, error));
        dv_result result = page_add(answer, page);
        json_decref(page);
        DV_TRY(result);
    }
    return DV_OK;
}

/* What is suspicious, and what is in force already and does not fit the schema any more. */
static void print_warnings(dv_cli *cli, const json_t *warnings)
{
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        fputs("warning: ", cli->err);
        dv_visible_write(cli->err, json_string_value(json_array_get(warnings, i)));
        fputc('\n', cli->err);
    }
}

/* whole: programs get all of the answer, not the changes alone. */
static dv_result print_changes(dv_cli *cli, const json_t *answer, bool whole)
{
    static const char *const columns[] = {"name", "change", "digest", NULL};
    if (cli->output != DV_OUTPUT_TABLE && whole) {
        return dv_cli_print(cli, answer, NULL, NULL);
    }
    DV_TRY(dv_cli_print(cli, answer, "changes", columns));
    print_warnings(cli, json_object_get(answer, "warnings"));
    return cli->output == DV_OUTPUT_TABLE ? print_access(cli, answer) : DV_OK;
}

static dv_result apply(dv_cli *cli, const json_t *params, dv_arena *arena, dv_error *error)
{
    static const char *const fields[] = {"replace_all", "dry_run", "note"};
    json_t *body = NULL, *answer = NULL;
    DV_TRY(call_with_files(cli, "policy_apply", params, fields, DV_ARRAY_LEN(fields), arena, &body,
                           &answer, error));
    dv_result result = pages_follow(cli, body, answer, error);
    if (result == DV_OK) {
        result = print_changes(cli, answer, false);
    }
    json_decref(body);
    json_decref(answer);
    return result;
}

int dv_command_policy_apply(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    dv_auto(arena) dv_arena *arena = dv_arena_new(POLICY_ARENA);
    dv_result result = arena == NULL ? DV_ERR_NO_MEMORY : apply(cli, params, arena, &error);
    return result == DV_OK ? DV_EXIT_DONE : fail_with(cli, result, &error);
}

/* --- diff ------------------------------------------------------------------------------------ */

static dv_result diff(dv_cli *cli, const json_t *params, dv_arena *arena, dv_error *error)
{
    static const char *const fields[] = {"replace_all", "from",    "to",
                                         "principals",  "actions", "resources"};
    json_t *body = NULL, *answer = NULL;
    DV_TRY(call_with_files(cli, "policy_diff", params, fields, DV_ARRAY_LEN(fields), arena, &body,
                           &answer, error));
    dv_result result = pages_follow(cli, body, answer, error);
    if (result == DV_OK) {
        result = print_changes(cli, answer, true);
    }
    json_decref(body);
    json_decref(answer);
    return result;
}

int dv_command_policy_diff(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    dv_auto(arena) dv_arena *arena = dv_arena_new(POLICY_ARENA);
    dv_result result = arena == NULL ? DV_ERR_NO_MEMORY : diff(cli, params, arena, &error);
    return result == DV_OK ? DV_EXIT_DONE : fail_with(cli, result, &error);
}

/* --- validate -------------------------------------------------------------------------------- */

/* What is wrong with one file, or with all of them together. */
static json_t *problem_json(const dv_policy_files *files, const char *name, dv_error *error)
{
    dv_policy_files_place(files, error);
    return json_pack("{s:s, s:b, s:s, s:[]}", "file", name, "ok", false, "problem", error->message,
                     "warnings");
}

/* Each with the path of its file. Takes over the warnings. */
static json_t *warnings_placed(const dv_policy_files *files, json_t *warnings)
{
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        dv_error one = {0};
        snprintf(one.message, sizeof(one.message), "%s",
                 json_string_value(json_array_get(warnings, i)));
        dv_policy_files_place(files, &one);
        (void)json_array_set_new(warnings, i, json_string(one.message));
    }
    return warnings;
}

static dv_result documents_make(const dv_policy_files *files, dv_arena *arena,
                                dv_auth_documents *ret_documents)
{
    dv_auth_documents documents = {
        .items = dv_arena_alloc(arena, (files->count + 1) * sizeof(*documents.items))};
    if (documents.items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < files->count; i++) {
        documents.items[i] =
            (dv_auth_document){.name = files->items[i].name, .text = files->items[i].text};
    }
    documents.count = files->count;
    dv_auth_documents_sort(&documents);
    *ret_documents = documents;
    return DV_OK;
}

/* --- validate: the schema ------------------------------------------------------------------- */

typedef struct named_actions {
    dv_arena *arena;
    const char *items[DV_LIMIT_ROLE_PERMISSIONS];
    size_t count;
} named_actions;

/* Of Action::"name" the name. */
static dv_result action_add(void *data, dv_slice uid)
{
    named_actions *actions = data;
    dv_slice name = dv_slice_sub(uid, strlen("Action::\""), uid.len - strlen("Action::\"\""));
    dv_slice copy;
    if (!dv_slice_starts_with(uid, DV_LIT("Action::\"")) || !dv_auth_permission_ok(name) ||
        actions->count == DV_ARRAY_LEN(actions->items)) {
        return DV_OK;
    }
    DV_TRY(dv_arena_copy(actions->arena, name, &copy));
    actions->items[actions->count++] = (const char *)copy.ptr;
    return DV_OK;
}

/* A server's schema from a file; otherwise Dvara's own, in which the actions that the files name
 * are taken for declared. */
static dv_result schema_read(const json_t *params, const dv_policy_files *files, dv_arena *arena,
                             dv_cedar_schema **ret_schema, dv_error *error)
{
    enum { SCHEMA_MAX = 4 << 20 };
    const char *path = json_string_value(json_object_get(params, "schema"));
    dv_auto(buf) dv_buf text = dv_buf_init(SCHEMA_MAX);
    named_actions actions = {.arena = arena};
    if (path != NULL) {
        DV_TRY(dv_file_read(path, &text, error));
        return dv_cedar_schema_parse(dv_buf_slice(&text), ret_schema, error);
    }
    for (size_t i = 0; i < files->count; i++) {
        dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
        dv_cedar_json_part part;
        const dv_auth_document document = {.name = files->items[i].name,
                                           .text = files->items[i].text};
        if (dv_auth_document_parse(&document, &set, &part, NULL) == DV_OK) {
            DV_TRY(dv_cedar_scope_uids(set, DV_CEDAR_PART_ACTION, action_add, &actions));
        }
    }
    DV_TRY(dv_auth_schema_write((dv_auth_names){actions.items, actions.count}, arena, &text));
    return dv_cedar_schema_parse(dv_buf_slice(&text), ret_schema, error);
}

static dv_result validate_one(const dv_policy_files *files, dv_auth_document *document,
                              const dv_cedar_schema *schema, json_t *results, size_t *bad)
{
    dv_error detail = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(POLICY_ARENA);
    const dv_auth_documents alone = {document, 1};
    const char *path = dv_policy_files_path(files, dv_slice_str(document->name));
    const dv_auth_held held = {
        .schema = schema, .warnings = json_array(), .what = DV_AUTH_HOLD_TEXTS};
    dv_result result = dv_auth_documents_compile(&alone, &held, &text, &detail);
    *bad += result != DV_OK;
    json_t *warnings = warnings_placed(files, held.warnings);
    json_t *json = result == DV_OK ? json_pack("{s:s, s:b, s:s, s:O}", "file", path, "ok", true,
                                               "problem", "", "warnings", warnings)
                                   : problem_json(files, path, &detail);
    json_decref(warnings);
    return json_array_append_new(results, json) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* Links and whatever else only shows in the whole. */
static dv_result validate_whole(const dv_policy_files *files, const dv_auth_documents *documents,
                                const dv_cedar_schema *schema, json_t *results, size_t *bad)
{
    dv_error detail = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(POLICY_ARENA);
    const dv_auth_held held = {
        .schema = schema, .warnings = json_array(), .what = DV_AUTH_HOLD_LINKS};
    dv_result result = dv_auth_documents_compile(documents, &held, &text, &detail);
    *bad += result != DV_OK;
    json_t *warnings = warnings_placed(files, held.warnings);
    json_t *json = result != DV_OK ? problem_json(files, "", &detail)
                   : json_array_size(warnings) > 0
                       ? json_pack("{s:s, s:b, s:s, s:O}", "file", "", "ok", true, "problem", "",
                                   "warnings", warnings)
                       : NULL;
    json_decref(warnings);
    return json == NULL || json_array_append_new(results, json) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* Each by itself, so that every file's trouble is told; then all of them, for what only shows in
 * the whole. */
static dv_result validate_all(const dv_policy_files *files, const dv_cedar_schema *schema,
                              dv_arena *arena, json_t *results, size_t *bad)
{
    dv_auth_documents documents;
    DV_TRY(documents_make(files, arena, &documents));
    for (size_t i = 0; i < documents.count; i++) {
        DV_TRY(validate_one(files, &documents.items[i], schema, results, bad));
    }
    return *bad == 0 ? validate_whole(files, &documents, schema, results, bad) : DV_OK;
}

static dv_result validate(dv_cli *cli, const json_t *params, dv_arena *arena, size_t *bad,
                          dv_error *error)
{
    static const char *const columns[] = {"file", "ok", "problem", "warnings", NULL};
    dv_policy_files files;
    dv_auto(cedar_schema) dv_cedar_schema *schema = NULL;
    DV_TRY(dv_policy_files_read(json_object_get(params, "files"), arena, &files, error));
    DV_TRY(schema_read(params, &files, arena, &schema, error));
    json_t *results = json_array();
    json_t *report = json_pack("{s:o}", "results", results);
    dv_result result =
        report == NULL ? DV_ERR_NO_MEMORY : validate_all(&files, schema, arena, results, bad);
    if (result == DV_OK) {
        result = dv_cli_print(cli, report, "results", columns);
    }
    json_decref(report);
    return result;
}

int dv_command_policy_validate(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    size_t bad = 0;
    dv_auto(arena) dv_arena *arena = dv_arena_new(POLICY_ARENA);
    dv_result result =
        arena == NULL ? DV_ERR_NO_MEMORY : validate(cli, params, arena, &bad, &error);
    if (result != DV_OK) {
        return fail_with(cli, result, &error);
    }
    return bad == 0 ? DV_EXIT_DONE : DV_EXIT_FAILED;
}

/* --- explain --------------------------------------------------------------------------------- */

static void print_ids(dv_cli *cli, const char *before, const json_t *ids)
{
    for (size_t i = 0; i < json_array_size(ids); i++) {
        fputs(i == 0 ? before : ", ", cli->out);
        dv_visible_write(cli->out, json_string_value(json_array_get(ids, i)));
    }
    if (json_array_size(ids) > 0) {
        fputc('\n', cli->out);
    }
}

static void print_lacks(dv_cli *cli, const json_t *lacks)
{
    for (size_t i = 0; i < json_array_size(lacks); i++) {
        fprintf(cli->out, "%s %s", i == 0 ? " is for another" : ",",
                json_string_value(json_array_get(lacks, i)));
    }
}

/* "permit hours: its when does not hold: context.weekday <= 5" */
static void print_differ(dv_cli *cli, const json_t *one)
{
    const json_t *lacks = json_object_get(one, "lacks");
    const char *condition = json_string_value(json_object_get(one, "condition"));
    fprintf(cli->out, "  %s ", json_string_value(json_object_get(one, "effect")));
    dv_visible_write(cli->out, json_string_value(json_object_get(one, "policy")));
    fputc(':', cli->out);
    if (json_array_size(lacks) == 0) {
        fputs(" holds", cli->out);
    } else if (json_is_true(json_object_get(one, "failed"))) {
        fputs(" could not be evaluated", cli->out);
    } else if (condition != NULL) {
        fprintf(cli->out, " its %s does not hold",
                json_is_true(json_object_get(one, "unless")) ? "unless" : "when");
    } else {
        print_lacks(cli, lacks);
    }
    fputs(condition == NULL ? "" : ": ", cli->out);
    dv_visible_write(cli->out, condition);
    fputc('\n', cli->out);
}

static void print_explanation(dv_cli *cli, const json_t *answer)
{
    const json_t *differ = json_object_get(answer, "differ");
    const json_t *policies = json_object_get(answer, "policies");
    fprintf(cli->out, "decision: %s\n", json_string_value(json_object_get(answer, "decision")));
    print_ids(cli, "decided by: ", policies);
    if (json_array_size(policies) == 0) {
        fputs("decided by: no policy permits it\n", cli->out);
    }
    print_ids(cli, "could not be evaluated: ", json_object_get(answer, "errors"));
    print_ids(cli, "the principal is in: ", json_object_get(answer, "ancestors"));
    if (json_array_size(differ) > 0) {
        fputs("would have had to differ:\n", cli->out);
    }
    for (size_t i = 0; i < json_array_size(differ); i++) {
        print_differ(cli, json_array_get(differ, i));
    }
}

int dv_command_policy_explain(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    json_t *answer = NULL;
    dv_result result = dv_cli_call(cli, "policy_explain", NULL, params, &answer, &error);
    if (result != DV_OK) {
        return fail_with(cli, result, &error);
    }
    if (cli->output == DV_OUTPUT_TABLE) {
        print_explanation(cli, answer);
        result = fflush(cli->out) == 0 ? DV_OK : DV_ERR_IO;
    } else {
        result = dv_cli_print(cli, answer, NULL, NULL);
    }
    json_decref(answer);
    return result == DV_OK ? DV_EXIT_DONE : fail_with(cli, result, &error);
}
