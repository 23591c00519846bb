/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara policy show` and `schema`: texts as they are, or in the other of Cedar's two forms. */
#include "api/commands.h"
#include "base/caps.h"
#include "engine/cedar/formats.h"
#include "room/auth/control/policies.h"

/* The text itself, so that it can be edited and given back; programs get all of the answer. */
static dv_result print_answer(dv_cli *cli, const json_t *answer)
{
    const char *text = json_string_value(json_object_get(answer, "text"));
    if (cli->output != DV_OUTPUT_TABLE) {
        return dv_cli_print(cli, answer, NULL, NULL);
    }
    bool done = text != NULL && fputs(text, cli->out) >= 0 && fflush(cli->out) == 0;
    return done ? DV_OK : DV_ERR_IO;
}

/* --- the other form -------------------------------------------------------------------------- */

/* Policies without an id have the one that they have in force; all of a source have theirs. */
static dv_result to_json(const dv_auth_document *document, dv_buf *out, dv_error *error)
{
    const dv_auth_documents alone = {(dv_auth_document *)(uintptr_t)document, 1};
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CEDAR_TEXT);
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    DV_TRY(document->name == NULL ? dv_buf_append(&text, document->text)
                                  : dv_auth_documents_compile(&alone, NULL, &text, error));
    DV_TRY(dv_cedar_parse(dv_buf_slice(&text), &set, error));
    return dv_cedar_json_write(set, out);
}

/* Cedar's text has no word for a link. */
static dv_result to_cedar(const dv_auth_document *document, dv_buf *out, dv_error *error)
{
    dv_cedar_json_part part = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CEDAR_TEXT);
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    DV_TRY(dv_auth_document_parse(document, &set, &part, error));
    if (part.link_count > 0) {
        return dv_error_set(
            error, DV_ERR_UNSUPPORTED,
            "%s has links, which Cedar's text can not say: show it as it is, or all "
            "policies with --source",
            document->name);
    }
    DV_TRY(dv_cedar_text_write_named(set, false, &text));
    return dv_cedar_format(dv_buf_slice(&text), out, error);
}

static dv_result convert(const char *format, json_t *answer, dv_error *error)
{
    const dv_auth_document document = {
        .name = json_string_value(json_object_get(answer, "name")),
        .text = dv_slice_str(json_string_value(json_object_get(answer, "text")))};
    bool json = strcmp(format, "json") == 0;
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_CEDAR_JSON);
    if (dv_auth_document_is_json(&document) == json) {
        return DV_OK;
    }
    DV_TRY(json ? to_json(&document, &out, error) : to_cedar(&document, &out, error));
    DV_TRY(json ? dv_buf_append_byte(&out, '\n') : DV_OK);
    return json_object_set_new(answer, "text", json_stringn((const char *)out.ptr, out.len)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

/* --- the commands ---------------------------------------------------------------------------- */

/* What the operation takes: all but the form. */
static dv_result ask(dv_cli *cli, const char *operation, const json_t *params, json_t **ret_answer,
                     dv_error *error)
{
    json_t *asked = params == NULL ? NULL : json_copy((json_t *)(uintptr_t)params);
    if (asked != NULL) {
        (void)json_object_del(asked, "format");
    }
    dv_result result = dv_cli_call(cli, operation, asked, NULL, ret_answer, error);
    json_decref(asked);
    return result;
}

static int show(dv_cli *cli, const char *operation, const json_t *params, const char *format)
{
    dv_error error = {0};
    json_t *answer = NULL;
    dv_result result = ask(cli, operation, params, &answer, &error);
    if (result == DV_OK && format != NULL) {
        result = convert(format, answer, &error);
    }
    if (result == DV_OK) {
        result = print_answer(cli, answer);
    }
    json_decref(answer);
    if (result == DV_OK) {
        return DV_EXIT_DONE;
    }
    error.result = result;
    return dv_cli_fail(cli, &error);
}

int dv_command_policy_show(dv_cli *cli, const json_t *params)
{
    return show(cli, "policy_show", params, json_string_value(json_object_get(params, "format")));
}

int dv_command_policy_schema(dv_cli *cli, const json_t *params)
{
    return show(cli, "policy_schema", NULL, NULL);
}
