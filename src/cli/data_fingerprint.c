/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data fingerprint create`: a set of fingerprints of a table, of documents and of canaries.
 */
#include "api/commands.h"
#include "base/file.h"
#include "cli/data_table.h"
#include "cli/progress.h"
#include "cli/visible.h"
#include "crypto/random.h"
#include "engine/detect/fingerprint/build.h"
#include "engine/scan/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SET_MODE = 0640, /* the gate's group may read it, nobody else */
    SET_MAX = 0x7FFFFFFF,
    CANARIES_MAX = 16 << 20,
    SHOWN_EVERY = 4096, /* records */
};

typedef struct creating {
    dv_cli *cli;
    const json_t *params;
    dv_error *error;
    dv_fingerprint_builder *builder;
    dv_progress_bar bar;
    uint64_t expected; /* bytes of the input; 0: not known */
    uint64_t seen;     /* records, or bytes of documents */
    uint64_t short_documents;
    uint64_t problems; /* documents that were not read in full */
    char *columns;     /* what the rules' names are cut from */
    char *alone_names;
} creating;

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static uint32_t number_param(const json_t *params, const char *name)
{
    return (uint32_t)json_integer_value(json_object_get(params, name));
}

/* ---- rules ---- */

static dv_result cut_names(const char *text, char **copy, const char **names, size_t room,
                           uint32_t *ret_count, dv_error *error)
{
    char *rest = NULL;
    *ret_count = 0;
    *copy = strdup(text);
    if (*copy == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (char *name = strtok_r(*copy, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        if (*ret_count == room) {
            return dv_error_set(error, DV_ERR_INVALID, "at most %zu columns", room);
        }
        names[(*ret_count)++] = name;
    }
    return DV_OK;
}

/* Which of the columns are hits by themselves. */
static dv_result read_alone(creating *c, dv_fingerprint_rules *rules)
{
    const char *names[DV_FINGERPRINT_COLUMNS];
    const char *text = text_param(c->params, "alone");
    uint32_t count = 0;
    if (text == NULL) {
        return DV_OK;
    }
    DV_TRY(cut_names(text, &c->alone_names, names, DV_ARRAY_LEN(names), &count, c->error));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = 0;
        while (at < rules->column_count && strcmp(rules->columns[at], names[i]) != 0) {
            at++;
        }
        if (at == rules->column_count) {
            return dv_error_set(c->error, DV_ERR_INVALID, "--alone: '%.64s' is none of --columns",
                                names[i]);
        }
        rules->alone |= 1U << at;
    }
    return DV_OK;
}

static dv_result read_rules(creating *c, dv_fingerprint_rules *rules)
{
    const char *columns = text_param(c->params, "columns");
    *rules = dv_fingerprint_rules_default;
    if ((columns == NULL) != (text_param(c->params, "input") == NULL)) {
        return dv_error_set(c->error, DV_ERR_INVALID, "--input and --columns go together");
    }
    if (columns == NULL && text_param(c->params, "documents") == NULL &&
        text_param(c->params, "canaries") == NULL) {
        return dv_error_set(c->error, DV_ERR_INVALID,
                            "there is nothing to make fingerprints of: say --input and --columns, "
                            "--documents or --canaries");
    }
    if (columns != NULL) {
        DV_TRY(cut_names(columns, &c->columns, rules->columns, DV_FINGERPRINT_COLUMNS,
                         &rules->column_count, c->error));
    }
    DV_TRY(read_alone(c, rules));
    uint32_t least = number_param(c->params, "least");
    rules->least = least != 0 ? least : DV_MAX(DV_MIN(rules->column_count, 2U), 1U);
    if (rules->column_count == 1 && least == 0) {
        rules->alone = 1;
    }
    rules->within = number_param(c->params, "within");
    rules->row = number_param(c->params, "row");
    rules->share = number_param(c->params, "share") * 10;
    return DV_OK;
}

/* ---- the table ---- */

static dv_result on_record(void *data, const dv_slice *cells, uint64_t done)
{
    creating *c = data;
    if (c->seen++ % SHOWN_EVERY == 0 && c->expected > 0) {
        dv_progress_show(&c->bar, done, c->expected);
    }
    return dv_fingerprint_add_record(c->builder, cells);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len >= tail && strcmp(text + len - tail, end) == 0;
}

static bool is_json(const json_t *params, const char *path)
{
    const char *format = text_param(params, "format");
    return strcmp(format, "auto") == 0 ? ends_with(path, ".jsonl") || ends_with(path, ".json")
                                       : strcmp(format, "jsonl") == 0;
}

static dv_result add_table(creating *c, const dv_fingerprint_rules *rules)
{
    const char *path = text_param(c->params, "input");
    dv_data_table table = {.column_count = rules->column_count, .record = on_record, .data = c};
    struct stat about;
    FILE *in = NULL;
    if (path == NULL) {
        return DV_OK;
    }
    memcpy(table.columns, rules->columns, sizeof(table.columns));
    _Static_assert(sizeof(table.columns) == sizeof(rules->columns), "as many columns");
    table.json = is_json(c->params, path);
    DV_TRY(dv_data_open(path, &in, c->error));
    c->bar = dv_progress_bar_of(c->cli, "bytes");
    c->expected = fstat(fileno(in), &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0
                      ? (uint64_t)about.st_size
                      : 0;
    dv_error why = {0};
    dv_result result = dv_data_table_read(&table, in, &why);
    dv_data_close(in);
    dv_progress_end(&c->bar);
    if (result != DV_OK) {
        return dv_error_set_at(c->error, result, why.line, why.column, "%s: %s", path,
                               why.message[0] != '\0' ? why.message : dv_result_name(result));
    }
    return DV_OK;
}

/* ---- canaries ---- */

static dv_result add_canaries(creating *c)
{
    const char *path = text_param(c->params, "canaries");
    dv_auto(secret_buf) dv_buf file = dv_buf_init(CANARIES_MAX);
    dv_slice line;
    if (path == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_file_read(path, &file, c->error));
    dv_slice rest = dv_buf_slice(&file);
    for (int number = 1; dv_slice_split(&rest, '\n', &line); number++) {
        line = dv_slice_trim(line);
        dv_result result = line.len == 0 ? DV_OK : dv_fingerprint_add_canary(c->builder, line);
        if (result == DV_ERR_INVALID) {
            return dv_error_set_at(c->error, result, number, 0,
                                   "%s: a canary has %d letters and digits at least, %d at most, "
                                   "in %d words at most",
                                   path, DV_FINGERPRINT_ALONE_LEAST, DV_FINGERPRINT_VALUE_MAX,
                                   DV_FINGERPRINT_WORDS_MAX);
        }
        DV_TRY(result);
    }
    return DV_OK;
}

/* ---- documents ---- */

static dv_result begin_document(void *data, const dv_scan_item *item)
{
    return DV_OK;
}

static dv_result add_piece(creating *c, dv_slice text)
{
    dv_result result = dv_fingerprint_add_text(c->builder, text);
    return result == DV_ERR_TOO_LARGE
               ? dv_error_set(c->error, result,
                              "a document has more than %d MiB of text: leave it out",
                              DV_FINGERPRINT_DOCUMENT_MAX >> 20)
               : result;
}

static dv_result document_text(void *data, const dv_scan_place *place, dv_slice text, bool last)
{
    creating *c = data;
    DV_TRY(add_piece(c, text));
    return last ? add_piece(c, DV_LIT("\n")) : DV_OK;
}

static dv_result document_value(void *data, const dv_scan_place *place, dv_slice value)
{
    creating *c = data;
    DV_TRY(add_piece(c, value));
    return add_piece(c, DV_LIT("\n"));
}

static dv_result end_document(void *data, const dv_scan_item *item)
{
    creating *c = data;
    dv_result result = dv_fingerprint_end_document(c->builder, dv_slice_str(item->name));
    c->seen += item->size;
    dv_progress_show(&c->bar, c->seen, c->expected);
    c->problems += item->problem[0] != '\0';
    if (item->problem[0] != '\0') {
        dv_progress_end(&c->bar);
        (void)fputs("dvara: ", c->cli->err);
        dv_visible_write_line(c->cli->err, item->name);
        (void)fprintf(c->cli->err, ": not read in full: %s\n", item->problem);
    }
    if (result == DV_ERR_INVALID) {
        c->short_documents++;
        return DV_OK;
    }
    return result;
}

static dv_result add_documents(creating *c)
{
    const char *path = text_param(c->params, "documents");
    const dv_scan_visitor visitor = {c, begin_document, document_text, document_value,
                                     end_document};
    dv_scan_totals totals = {0};
    if (path == NULL) {
        return DV_OK;
    }
    c->bar = dv_progress_bar_of(c->cli, "bytes");
    c->seen = 0;
    DV_TRY(dv_scan_count(path, &dv_scan_limits_usual, &totals, c->error));
    c->expected = totals.bytes;
    dv_result result = dv_scan_path(path, &dv_scan_limits_usual, &visitor, &totals, c->error);
    dv_progress_end(&c->bar);
    DV_TRY(result);
    return totals.stopped[0] == '\0'
               ? DV_OK
               : dv_error_set(c->error, DV_ERR_TOO_LARGE, "%s: %s", path, totals.stopped);
}

/* ---- all together ---- */

/* A rename would put a file in the place of a device or pipe. */
static dv_result check_place(const char *path, dv_error *error)
{
    struct stat about;
    return stat(path, &about) != 0 || S_ISREG(about.st_mode)
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID, "%s is no regular file", path);
}

/* The set in its place; one that was there passes on whose it is, so that who reads it still may.
 */
static dv_result put_file(const char *path, const dv_buf *file, dv_error *error)
{
    struct stat before;
    bool replaces = stat(path, &before) == 0;
    DV_TRY(dv_file_write_atomic(path, dv_buf_slice(file), SET_MODE, error));
    /* Who owns the folder may have put a link there since. */
    if (replaces && geteuid() == 0 && lchown(path, before.st_uid, before.st_gid) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: its owner is root now: %s", path,
                            strerror(errno));
    }
    return DV_OK;
}

static dv_result show(const creating *c, const dv_buf *file)
{
    dv_auto(fingerprint_set) dv_fingerprint_set *set = NULL;
    DV_TRY(dv_fingerprint_set_of(dv_buf_slice(file), &set, c->error));
    const dv_fingerprint_about *about = dv_fingerprint_set_about(set);
    json_t *value = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "records",
        (json_int_t)about->records, "values", (json_int_t)about->values, "canaries",
        (json_int_t)about->canaries, "documents", (json_int_t)about->documents, "fingerprints",
        (json_int_t)about->fingerprints, "too_short", (json_int_t)about->too_short, "too_long",
        (json_int_t)about->too_long, "too_usual", (json_int_t)about->too_usual, "short_documents",
        (json_int_t)c->short_documents, "not_read_in_full", (json_int_t)c->problems, "bytes",
        (json_int_t)about->bytes);
    dv_result result = value == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(c->cli, value, NULL, NULL);
    json_decref(value);
    return result;
}

static dv_result create(creating *c)
{
    const char *out = text_param(c->params, "out");
    dv_fingerprint_rules rules;
    dv_auto(buf) dv_buf file = dv_buf_init(SET_MAX);
    DV_TRY(dv_process_undumpable());
    DV_TRY(check_place(out, c->error));
    DV_TRY(read_rules(c, &rules));
    DV_TRY(dv_fingerprint_builder_new(&rules, &c->builder, c->error));
    DV_TRY(add_table(c, &rules));
    DV_TRY(add_canaries(c));
    DV_TRY(add_documents(c));
    DV_TRY(dv_fingerprint_build(c->builder, &file, c->error));
    DV_TRY(put_file(out, &file, c->error));
    return show(c, &file);
}

int dv_command_data_fingerprint_create(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    creating c = {.cli = cli, .params = params, .error = &error};
    dv_result result = create(&c);
    dv_fingerprint_builder_free(c.builder);
    free(c.columns);
    free(c.alone_names);
    error.result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}
