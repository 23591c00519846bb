/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara audit show`: one event, and the line that it was made of. */
#include "api/commands.h"
#include "base/codec.h"
#include "cli/cli.h"
#include "cli/visible.h"

#include <string.h>

static dv_result write_bytes(FILE *out, const void *bytes, size_t len, dv_error *error)
{
    return fwrite(bytes, 1, len, out) == len && fflush(out) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "the output does not take it");
}

/* The line's bytes and nothing else. */
static dv_result write_raw(const dv_cli *cli, const json_t *line, dv_error *error)
{
    const json_t *text = json_object_get(line, "text");
    const char *base64 = json_string_value(json_object_get(line, "base64"));
    const char *state = json_string_value(json_object_get(line, "state"));
    dv_auto(buf) dv_buf bytes = dv_buf_init(base64 == NULL ? 0 : strlen(base64) + 1);
    if (state == NULL || strcmp(state, "none") == 0 || strcmp(state, "erased") == 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "%s",
                            state != NULL && strcmp(state, "erased") == 0
                                ? "the line of this event was erased"
                                : "this event keeps no line");
    }
    if (text != NULL) {
        return write_bytes(cli->out, json_string_value(text), json_string_length(text), error);
    }
    if (base64 == NULL || dv_base64_decode(dv_slice_str(base64), &bytes) != DV_OK) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the server sent no line");
    }
    return write_bytes(cli->out, bytes.ptr, bytes.len, error);
}

/* For people: where it is in the log, and the line as a terminal may show it. */
static dv_result print(dv_cli *cli, json_t *answer)
{
    static const char *const columns[] = {"index",   "when",       "event",     "who", "what",
                                          "outcome", "line_state", "line_size", NULL};
    const json_t *line = json_object_get(answer, "line");
    const char *text = json_string_value(json_object_get(line, "text"));
    if (cli->output != DV_OUTPUT_TABLE) {
        return dv_cli_print(cli, answer, NULL, NULL);
    }
    json_object_set(answer, "line_state", json_object_get(line, "state"));
    json_object_set(answer, "line_size", json_object_get(line, "size"));
    DV_TRY(dv_cli_print(cli, answer, NULL, columns));
    if (text != NULL && text[0] != '\0') {
        fputc('\n', cli->out);
        dv_visible_write(cli->out, text);
        fputc('\n', cli->out);
    }
    return ferror(cli->out) ? DV_ERR_IO : DV_OK;
}

int dv_command_audit_show(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    json_t *answer = NULL;
    json_t *asked = json_pack("{s:O,s:s*}", "index", json_object_get(params, "index"), "log",
                              json_string_value(json_object_get(params, "log")));
    dv_result result = asked == NULL ? DV_ERR_NO_MEMORY
                                     : dv_cli_call(cli, "audit_show", asked, NULL, &answer, &error);
    json_decref(asked);
    if (result == DV_OK) {
        result = json_is_true(json_object_get(params, "raw"))
                     ? write_raw(cli, json_object_get(answer, "line"), &error)
                     : print(cli, answer);
    }
    json_decref(answer);
    error.result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}
