/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara audit parse` and `dvara audit parsers`: what dvara-collect makes of lines, without a
 * server. */
#include "api/commands.h"
#include "base/caps.h"
#include "room/audit/collect/parser.h"
#include "room/audit/collect/syslog.h"

#include <errno.h>

enum { JOINED_MAX = 256 << 10 };

typedef struct parsing {
    dv_cli *cli;
    dv_parsers *parsers;
    const dv_parser *parser; /* NULL: auto */
    const dv_parser *hint;
    dv_buf joined; /* lines that belong together */
    unsigned long long lines;
    unsigned long long unknown;
} parsing;

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static dv_result print_event(parsing *p, dv_slice raw)
{
    dv_parse_outcome outcome;
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_line line = {.text = raw,
                    .raw = raw,
                    .raw_size = raw.len,
                    .facility = -1,
                    .severity = -1,
                    .now = dv_time_now(),
                    .input = DV_LIT("parse"),
                    .keep_raw = true};
    (void)dv_syslog_read(raw, false, &line);
    DV_TRY(dv_parsers_event(p->parsers, p->parser, &line, &p->hint, &event, &outcome));
    p->lines++;
    p->unknown += !outcome.understood;
    fwrite(event.ptr, 1, event.len, p->cli->out);
    return fputc('\n', p->cli->out) == EOF ? DV_ERR_IO : DV_OK;
}

static dv_result flush(parsing *p)
{
    if (p->joined.len > 0) {
        DV_TRY(print_event(p, dv_buf_slice(&p->joined)));
        dv_buf_clear(&p->joined);
    }
    return DV_OK;
}

static dv_result take_line(parsing *p, dv_slice line)
{
    if (line.len == 0) {
        return DV_OK;
    }
    if (p->parser == NULL || !dv_parser_has_joins(p->parser) || line.len >= JOINED_MAX) {
        DV_TRY(flush(p));
        return print_event(p, line);
    }
    if (p->joined.len > 0 && p->joined.len + line.len < JOINED_MAX &&
        dv_parser_joins(p->parsers, p->parser, dv_buf_slice(&p->joined), line)) {
        DV_TRY(dv_buf_append_byte(&p->joined, '\n'));
    } else {
        DV_TRY(flush(p));
    }
    return dv_buf_append(&p->joined, line);
}

static dv_result parse_stream(parsing *p, FILE *in)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len = 0;
    dv_result result = DV_OK;
    while (result == DV_OK && (len = getline(&line, &room, in)) >= 0) {
        size_t text = (size_t)len;
        while (text > 0 && (line[text - 1] == '\n' || line[text - 1] == '\r')) {
            text--;
        }
        result = take_line(p, dv_slice_of(line, DV_MIN(text, (size_t)DV_LIMIT_COLLECT_LINE)));
    }
    free(line);
    return result == DV_OK ? flush(p) : result;
}

static dv_result parse_input(parsing *p, const char *input, dv_error *error)
{
    bool standard = strcmp(input, "-") == 0;
    FILE *in = standard ? stdin : fopen(input, "re");
    if (in == NULL) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "%s: %s", input, strerror(errno));
    }
    dv_result result = parse_stream(p, in);
    if (!standard) {
        (void)fclose(in);
    }
    return result;
}

int dv_command_audit_parse(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    dv_auto(parsers) dv_parsers *parsers = NULL;
    const char *name = text_param(params, "parser");
    parsing p = {.cli = cli, .joined = dv_buf_init(JOINED_MAX + 2)};
    if (!dv_parser_is_known(name)) {
        dv_error_set(&error, DV_ERR_NOT_FOUND, "there is no parser '%s': see `dvara audit parsers`",
                     name);
        return dv_cli_fail(cli, &error);
    }
    dv_result result = dv_parsers_new(&parsers, &error);
    if (result == DV_OK) {
        p.parsers = parsers;
        p.parser = dv_parsers_find(parsers, dv_slice_str(name));
        result = parse_input(&p, text_param(params, "input"), &error);
    }
    dv_buf_release(&p.joined);
    if (result != DV_OK) {
        error.result = result;
        return dv_cli_fail(cli, &error);
    }
    if (p.unknown > 0) {
        fprintf(cli->err, "dvara: %llu of %llu lines are known to no parser\n", p.unknown, p.lines);
    }
    return p.unknown > 0 ? DV_EXIT_FAILED : DV_EXIT_DONE;
}

int dv_command_audit_parsers(dv_cli *cli, const json_t *params)
{
    static const char *const columns[] = {"name", "doc", NULL};
    dv_error error = {.result = DV_ERR_NO_MEMORY};
    json_t *list = json_array();
    for (size_t i = 0; dv_parsers_name(i) != NULL; i++) {
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "name", dv_parsers_name(i), "doc", dv_parsers_doc(i)));
    }
    json_t *page = json_pack("{s:o}", "items", list);
    dv_result result = page == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, page, "items", columns);
    json_decref(page);
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}
