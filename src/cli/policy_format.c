/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara policy format`: needs no server. */
#include "api/commands.h"
#include "base/caps.h"
#include "base/file.h"
#include "engine/cedar/formats.h"

#include <sys/stat.h>

enum { FORMATTED_MAX = 4 * DV_LIMIT_CEDAR_TEXT };

typedef struct formatting {
    dv_cli *cli;
    bool check;
    bool write;
    size_t changed;
} formatting;

static dv_result read_input(dv_buf *text, dv_error *error)
{
    uint8_t block[16384];
    size_t len = 0;

    while ((len = fread(block, 1, sizeof(block), stdin)) > 0) {
        if (dv_buf_append(text, dv_slice_of(block, len)) != DV_OK) {
            return dv_error_set(error, DV_ERR_TOO_LARGE, "standard input: more than %d bytes",
                                DV_LIMIT_CEDAR_TEXT);
        }
    }
    return ferror(stdin) ? dv_error_set(error, DV_ERR_IO, "standard input can not be read") : DV_OK;
}

/* Puts the file in front of what is wrong with its text. */
static dv_result place(const char *path, dv_result result, dv_error *error)
{
    char message[DV_ERROR_MESSAGE_MAX];

    memcpy(message, error->message, sizeof(message));
    return dv_error_set(error, result, "%s:%d:%d: %s", path, error->line, error->column, message);
}

static dv_result put_out(const formatting *f, const dv_buf *formatted, dv_error *error)
{
    bool done = fwrite(formatted->ptr, 1, formatted->len, f->cli->out) == formatted->len;

    return done ? DV_OK : dv_error_set(error, DV_ERR_IO, "standard output can not be written");
}

/* The file keeps its mode. */
static dv_result replace(const char *path, const dv_buf *formatted, dv_error *error)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s can not be read", path);
    }
    return dv_file_write_atomic(path, dv_buf_slice(formatted), status.st_mode & 07777, error);
}

/* path NULL: standard input. */
static dv_result format_one(formatting *f, const char *path, dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CEDAR_TEXT);
    dv_auto(buf) dv_buf formatted = dv_buf_init(FORMATTED_MAX);
    const char *name = path == NULL ? "standard input" : path;

    DV_TRY(path == NULL ? read_input(&text, error) : dv_file_read(path, &text, error));
    dv_result result = dv_cedar_format(dv_buf_slice(&text), &formatted, error);
    if (result != DV_OK) {
        return place(name, result, error);
    }
    bool changed = !dv_slice_eq(dv_buf_slice(&text), dv_buf_slice(&formatted));
    f->changed += changed;
    if (f->check) {
        return !changed || fprintf(f->cli->out, "%s\n", name) > 0 ? DV_OK : DV_ERR_IO;
    }
    if (f->write && path != NULL) {
        return changed ? replace(path, &formatted, error) : DV_OK;
    }
    return put_out(f, &formatted, error);
}

static dv_result format_all(formatting *f, const json_t *files, dv_error *error)
{
    if (json_array_size(files) == 0) {
        return format_one(f, NULL, error);
    }
    for (size_t i = 0; i < json_array_size(files); i++) {
        DV_TRY(format_one(f, json_string_value(json_array_get(files, i)), error));
    }
    return DV_OK;
}

int dv_command_policy_format(dv_cli *cli, const json_t *params)
{
    const json_t *files = json_object_get(params, "files");
    formatting f = {.cli = cli,
                    .check = json_is_true(json_object_get(params, "check")),
                    .write = json_is_true(json_object_get(params, "write"))};
    dv_error error = {0};

    if (f.write && (f.check || json_array_size(files) == 0)) {
        error.result =
            dv_error_set(&error, DV_ERR_INVALID, "--write goes with files and without --check");
        dv_cli_fail(cli, &error);
        return DV_EXIT_USAGE;
    }
    dv_result result = format_all(&f, files, &error);
    if (result == DV_OK && fflush(cli->out) != 0) {
        result = dv_error_set(&error, DV_ERR_IO, "standard output can not be written");
    }
    if (result != DV_OK) {
        error.result = result;
        return dv_cli_fail(cli, &error);
    }
    return f.check && f.changed > 0 ? DV_EXIT_FAILED : DV_EXIT_DONE;
}
