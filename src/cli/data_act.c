/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data mask|redact|pseudonymize|tokenize|detokenize`, without a server. */
#include "api/commands.h"
#include "cli/data_output.h"
#include "cli/data_read.h"
#include "cli/data_tools.h"
#include "crypto/random.h"
#include "engine/scan/unpack.h"

enum { NAME_MAX_BYTES = 4096 };

typedef struct acting {
    dv_cli *cli;
    const json_t *params;
    dv_action fallback;
    bool reverse;
    dv_data_tools tools;
    FILE *in;
    dv_unpack_source bytes;    /* of it, or of what is packed in it */
    unsigned files;            /* that it holds */
    char name[NAME_MAX_BYTES]; /* of the one */
    bool begun;                /* bytes was read from */
    bool wide;                 /* UTF-16 can be read, too */
    dv_error *error;
    dv_transform_counts counts;
    dv_data_output output;
} acting;

static const char *text_param(const acting *a, const char *name)
{
    return json_string_value(json_object_get(a->params, name));
}

/* ---- the input ---- */

static dv_transform_run run_for(const acting *a)
{
    const char *format = text_param(a, "format");
    dv_transform_run run =
        dv_data_run_for(strcmp(format, "auto") == 0 ? dv_data_ending(a->name) : format);
    return run != NULL ? run : a->reverse ? dv_transform_tokens : dv_transform_text;
}

static dv_slice table_of(const acting *a)
{
    const char *said = text_param(a, "table");
    return said != NULL ? dv_slice_str(said) : dv_data_table_name(a->name);
}

/* A source's `get`. UTF-16 would pass: nothing of it looks like what is searched for. */
static dv_result read_input(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    acting *a = data;
    DV_TRY(a->bytes.get(a->bytes.data, out, room, ret_len));
    bool mark =
        *ret_len > 1 && ((out[0] == 0xFF && out[1] == 0xFE) || (out[0] == 0xFE && out[1] == 0xFF));
    if (mark && !a->begun && !a->wide) {
        return dv_error_set(a->error, DV_ERR_INVALID,
                            "the input is UTF-16: `iconv -f UTF-16 -t UTF-8` makes UTF-8 of it; "
                            "plain text is read with --decode, too");
    }
    a->begun = true;
    return DV_OK;
}

/* ---- doing it ---- */

/* Another key, or no vault, would else look as if there was nothing to turn back. */
static void tell_left(const acting *a, uint64_t left)
{
    if (left > 0) {
        (void)fprintf(a->cli->err, "dvara: tokens that stay: %llu (%s)\n", (unsigned long long)left,
                      a->tools.vault != NULL
                          ? "neither this vault nor this key knows them"
                          : "this key does not know them; those of a vault want --vault FILE");
    }
}

static void tell(const acting *a, const dv_transform_counts *counts)
{
    tell_left(a, counts->left);
    if (a->output.path != NULL) {
        (void)fprintf(a->cli->err, "%llu values%s", (unsigned long long)counts->values,
                      a->reverse ? " turned back" : " replaced");
        if (counts->records > 0) {
            (void)fprintf(a->cli->err, " in %llu records", (unsigned long long)counts->records);
        }
        (void)fprintf(a->cli->err, "\n");
    }
}

/* What a member is called, or the input: "dump.sql" of dump.sql.gz. */
static void set_name(acting *a, const dv_unpack_member *member)
{
    static const char *const endings[] = {".gz", ".bz2", ".xz", ".zst", ".lz4"};
    dv_slice name = member->place.len > 0 ? member->place : dv_slice_str(text_param(a, "input"));
    for (size_t i = 0; i < DV_ARRAY_LEN(endings) && member->packed; i++) {
        if (dv_slice_ends_with(name, dv_slice_str(endings[i]))) {
            name.len -= strlen(endings[i]);
            break;
        }
    }
    dv_slice_copy(name, a->name, sizeof(a->name));
}

static dv_result transform_member(void *data, const dv_unpack_member *member, dv_error *error)
{
    acting *a = data;
    const dv_walk_source source = {read_input, a};
    const dv_transform_sink sink = {dv_data_output_put, &a->output};
    if (++a->files > 1) {
        return dv_error_set(error, DV_ERR_UNSUPPORTED,
                            "the input holds several files: unpack it, and give them one by one");
    }
    if (dv_slice_starts_with(member->head, DV_LIT("%PDF-"))) {
        return dv_error_set(error, DV_ERR_UNSUPPORTED,
                            "the input is a PDF: text, CSV, JSON and SQL can be changed");
    }
    set_name(a, member);
    dv_transform_run run = run_for(a);
    if (run == dv_transform_text && a->tools.rules->column_count > 0) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "the rules name columns, and a plain text has "
                            "none: --format csv, jsonl or sql");
    }
    a->bytes = member->source;
    a->wide = run == dv_transform_text && a->tools.extra.decode != NULL;
    a->tools.setup.table = table_of(a);
    return run(&a->tools.setup, &source, &sink, &a->counts, error);
}

static dv_result transform(acting *a, dv_error *error)
{
    const dv_unpack_source input = {dv_data_read_file, a->in};
    const dv_unpack_visitor visitor = {transform_member, a};
    a->error = error;
    DV_TRY(dv_unpack(&input, &dv_unpack_limits_usual, &visitor, error));
    if (a->files == 0) {
        return dv_error_set(error, DV_ERR_INVALID, "the input is an archive without any file");
    }
    if (a->tools.vault != NULL) { /* before the tokens are out under the file's name */
        DV_TRY(dv_vault_commit(a->tools.vault, error));
    }
    DV_TRY(dv_data_output_commit(&a->output, error));
    tell(a, &a->counts);
    return DV_OK;
}

static dv_result act(acting *a, dv_error *error)
{
    DV_TRY(dv_data_tools_open(a->params, &a->fallback, a->reverse, &a->tools, error));
    DV_TRY(dv_data_open(text_param(a, "input"), &a->in, error));
    DV_TRY(dv_data_output_open(a->cli, text_param(a, "out"), &a->output, error));
    return transform(a, error);
}

static int run(dv_cli *cli, const json_t *params, dv_action_kind kind, bool reverse)
{
    dv_error error = {0};
    bool sealed = kind == DV_ACT_TOKEN && json_is_true(json_object_get(params, "sealed"));
    acting a = {.cli = cli,
                .params = params,
                .fallback = {.kind = (uint8_t)kind, .sealed = sealed},
                .reverse = reverse};
    dv_result result = dv_process_undumpable(); /* keys and values */
    if (result == DV_OK) {
        result = act(&a, &error);
    }
    dv_data_output_close(&a.output);
    dv_data_close(a.in);
    dv_data_tools_close(&a.tools);
    error.result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}

int dv_command_data_mask(dv_cli *cli, const json_t *params)
{
    return run(cli, params, DV_ACT_MASK, false);
}

int dv_command_data_redact(dv_cli *cli, const json_t *params)
{
    return run(cli, params, DV_ACT_REDACT, false);
}

int dv_command_data_pseudonymize(dv_cli *cli, const json_t *params)
{
    return run(cli, params, DV_ACT_PSEUDONYM, false);
}

int dv_command_data_tokenize(dv_cli *cli, const json_t *params)
{
    return run(cli, params, DV_ACT_TOKEN, false);
}

int dv_command_data_detokenize(dv_cli *cli, const json_t *params)
{
    return run(cli, params, DV_ACT_TOKEN, true);
}
