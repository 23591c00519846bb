/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data detect` and `dvara data detectors`: what the detectors find, without a server. */
#include "api/commands.h"
#include "base/buf.h"
#include "base/caps.h"
#include "base/json.h"
#include "cli/data_asset.h"
#include "cli/data_names.h"
#include "cli/data_read.h"
#include "cli/data_tools.h"
#include "engine/detect/walk.h"
#include "engine/scan/unpack.h"

#include <errno.h>
#include <sys/stat.h>

enum {
    LINE_LIMIT = 16 << 20,
    SHOWN_MAX = 100000, /* findings in formats that are printed as a whole */
    ARENA_MAX = 256 << 20,
};

typedef struct detecting {
    dv_cli *cli;
    dv_detect_rules *rules;
    dv_detect_scratch *scratch;
    dv_detect_custom *custom; /* users' detectors; NULL: none */
    dv_data_names *names;     /* NULL: not asked for */
    dv_arena *arena;
    dv_walk walk;
    dv_data_extra extra;
    bool decodes;
    dv_detector_set enabled;
    json_int_t least; /* score */
    json_t *shown;    /* NULL: findings are printed as they come */
    bool per_line;
    size_t in_line; /* findings printed of this line */
    bool packed;    /* the input is, and members may have names */
    char *member;   /* whose bytes are searched, as JSON; NULL: the input, or all of a gzip file */
    dv_error *error;
} detecting;

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

/* ---- which detectors ---- */

static dv_result choose_named(const char *names, dv_detector_set *set, dv_error *error)
{
    dv_slice rest = dv_slice_str(names);
    dv_slice name;
    while (dv_slice_split(&rest, ',', &name)) {
        char id[64] = "";
        snprintf(id, sizeof(id), "%.*s", (int)DV_MIN(name.len, sizeof(id) - 1),
                 (const char *)name.ptr);
        ptrdiff_t index = dv_detect_index(id);
        if (index < 0) {
            return dv_error_set(error, DV_ERR_NOT_FOUND,
                                "no detector is called '%s': see `dvara data detectors`", id);
        }
        dv_detector_set_add(set, (size_t)index);
    }
    return DV_OK;
}

static dv_result choose(const json_t *params, dv_detector_set *set, dv_error *error)
{
    const char *names = text_param(params, "detectors");
    const char *category = text_param(params, "category");
    bool standard = json_is_true(json_object_get(params, "standard"));
    if (names != NULL && (category != NULL || standard)) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "--detectors names all that take part: leave out --category and "
                            "--standard");
    }
    if (names != NULL) {
        return choose_named(names, set, error);
    }
    for (size_t i = 0; i < dv_detect_count(); i++) {
        const dv_detector_info *info = dv_detect_info(i);
        if ((category == NULL || strcmp(category, info->category) == 0) &&
            (!standard || info->standard)) {
            dv_detector_set_add(set, i);
        }
    }
    return DV_OK;
}

/* ---- findings ---- */

static dv_result show(detecting *d, const dv_finding *finding, uint64_t base)
{
    ptrdiff_t custom = dv_detect_custom_index(d->custom, finding->detector);
    const char *name = custom < 0 ? dv_data_names_type(finding) : NULL;
    const char *type = custom >= 0 ? dv_detect_custom_info(d->custom, (size_t)custom)->type
                       : name != NULL
                           ? name
                           : dv_detect_info((size_t)dv_detect_index(finding->detector))->type;
    const char *detector = name != NULL ? "names" : finding->detector;
    unsigned long long start = base + finding->start;
    unsigned long long end = base + finding->end;
    if (finding->score < d->least) {
        return DV_OK;
    }
    if (d->shown != NULL) {
        json_t *row =
            json_pack("{s:s, s:I, s:I, s:i, s:s}", "type", type, "start", (json_int_t)start, "end",
                      (json_int_t)end, "score", (int)finding->score, "detector", detector);
        if (row != NULL && d->member != NULL) {
            json_object_set_new(row, "member", json_loads(d->member, JSON_DECODE_ANY, NULL));
        }
        return json_array_size(d->shown) < SHOWN_MAX && json_array_append_new(d->shown, row) == 0
                   ? DV_OK
                   : DV_ERR_TOO_LARGE;
    }
    const char *before = !d->per_line ? "" : d->in_line++ == 0 ? "" : ",";
    int rc = fprintf(d->cli->out,
                     "%s{\"type\":\"%s\",\"start\":%llu,\"end\":%llu,\"score\":%u,"
                     "\"detector\":\"%s\"%s%s}%s",
                     before, type, start, end, finding->score, detector,
                     d->member != NULL ? ",\"member\":" : "", d->member != NULL ? d->member : "",
                     d->per_line ? "" : "\n");
    return rc < 0 ? DV_ERR_IO : DV_OK;
}

static dv_result show_value(void *data, dv_slice text, const dv_finding *finding, uint64_t base)
{
    (void)text;
    return show(data, finding, base);
}

static dv_walk *walk_of(detecting *d)
{
    d->walk = (dv_walk){.rules = d->rules,
                        .scratch = d->scratch,
                        .enabled = d->enabled,
                        .arena = d->arena,
                        .also = dv_data_extra_add,
                        .also_data = &d->extra,
                        .value = show_value,
                        .data = d};
    d->extra = (dv_data_extra){.names = d->names, .decode = d->decodes ? &d->walk : NULL};
    return &d->walk;
}

/* ---- one text, of any size ---- */

dv_result dv_data_open(const char *path, FILE **ret_in, dv_error *error)
{
    struct stat about;
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (in == NULL) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "%s: %s", path, strerror(errno));
    }
    if (fstat(fileno(in), &about) == 0 && S_ISDIR(about.st_mode)) {
        dv_data_close(in);
        return dv_error_set(error, DV_ERR_INVALID, "%s is a folder: name one file", path);
    }
    *ret_in = in;
    return DV_OK;
}

void dv_data_close(FILE *in)
{
    if (in != NULL && in != stdin) {
        (void)fclose(in);
    }
}

dv_result dv_data_read_file(void *file, uint8_t *out, size_t room, size_t *ret_len)
{
    *ret_len = fread(out, 1, room, file);
    return ferror((FILE *)file) == 0 ? DV_OK : DV_ERR_IO;
}

static dv_result name_member(detecting *d, dv_slice place)
{
    dv_auto(free) char *name = strndup(place.len > 0 ? (const char *)place.ptr : "", place.len);
    json_t *text = name == NULL || place.len == 0 ? NULL : dv_data_text_json(name);
    free(d->member);
    d->member = text == NULL ? NULL : json_dumps(text, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    json_decref(text);
    return place.len == 0 || d->member != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result search_member(void *data, const dv_unpack_member *member, dv_error *error)
{
    detecting *d = data;
    const dv_walk_source source = {member->source.get, member->source.data};
    d->packed = d->packed || member->packed;
    DV_TRY(name_member(d, member->place));
    return dv_walk_stream(walk_of(d), &source);
}

/* What is packed is written in another way, too. */
static dv_result search_stream(detecting *d, FILE *in)
{
    const dv_walk_source source = {dv_data_read_file, in};
    const dv_unpack_source packed = {dv_data_read_file, in};
    const dv_unpack_visitor visitor = {search_member, d};
    return d->decodes ? dv_unpack(&packed, &dv_unpack_limits_usual, &visitor, d->error)
                      : dv_walk_stream(walk_of(d), &source);
}

/* ---- one text a line ---- */

static dv_result read_string(detecting *d, dv_slice line, dv_arena *arena, dv_slice *ret_text)
{
    const dv_json_limits limits = {.depth = 1, .tokens = 1};
    dv_json json;
    dv_result result = dv_json_scan(line, &limits, arena, &json, NULL);
    if (result != DV_OK) { /* lists and objects are beyond these limits: no strings either */
        return result == DV_ERR_NO_MEMORY ? result : DV_ERR_INVALID;
    }
    return json.tokens[0].type == DV_JSON_STRING ? dv_json_string(&json, 0, arena, ret_text)
                                                 : DV_ERR_INVALID;
}

static dv_result search_line(detecting *d, dv_slice line)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA_MAX);
    dv_slice text = {NULL, 0};
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_string(d, line, arena, &text));
    d->in_line = 0;
    if (fputc('[', d->cli->out) == EOF) {
        return DV_ERR_IO;
    }
    DV_TRY(dv_walk_text(walk_of(d), text));
    return fputs("]\n", d->cli->out) == EOF ? DV_ERR_IO : DV_OK;
}

static dv_result search_lines(detecting *d, FILE *in, dv_error *error)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len = 0;
    unsigned long long number = 0;
    dv_result result = DV_OK;
    while (result == DV_OK && (len = getline(&line, &room, in)) >= 0) {
        number++;
        result = len > LINE_LIMIT ? DV_ERR_TOO_LARGE
                                  : search_line(d, dv_slice_trim(dv_slice_of(line, (size_t)len)));
    }
    free(line);
    if (result == DV_ERR_TOO_LARGE) {
        return dv_error_set(error, result, "line %llu: is too long; %d MiB at most", number,
                            LINE_LIMIT >> 20);
    }
    if (result == DV_ERR_INVALID) {
        return dv_error_set(error, result, "line %llu: is no JSON string", number);
    }
    return result;
}

/* ---- the commands ---- */

static dv_result detect_input(detecting *d, const char *input, dv_error *error)
{
    FILE *in = NULL;
    DV_TRY(dv_data_open(input, &in, error));
    dv_result result = d->per_line ? search_lines(d, in, error) : search_stream(d, in);
    dv_data_close(in);
    if (result == DV_ERR_TOO_LARGE && error->message[0] == '\0') {
        return dv_error_set(error, result,
                            "there are more findings than this format holds: use --output jsonl");
    }
    if (result == DV_ERR_IO && error->message[0] == '\0') {
        return dv_error_set(error, result, "%s: can't be read, or the output not written", input);
    }
    return result;
}

static dv_result detect(detecting *d, const json_t *params, dv_error *error)
{
    static const char *const columns[] = {"type", "start", "end", "score", "detector", NULL};
    static const char *const packed_columns[] = {"type",     "start",  "end", "score",
                                                 "detector", "member", NULL};
    d->error = error;
    d->per_line = json_is_true(json_object_get(params, "per_line"));
    if (d->per_line && d->cli->output_said && d->cli->output != DV_OUTPUT_JSONL) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "--per-line prints a JSON array for each line: leave out --output, or "
                            "say --output jsonl");
    }
    DV_TRY(choose(params, &d->enabled, error));
    DV_TRY(dv_detect_rules_builtin(&d->rules, error));
    DV_TRY(dv_detect_scratch_new(d->rules, &d->scratch));
    DV_TRY(dv_data_custom_open(params, d->scratch, &d->enabled, &d->custom, error));
    if (json_is_true(json_object_get(params, "names"))) {
        DV_TRY(dv_data_names_new(&d->names, error));
    }
    d->decodes = json_is_true(json_object_get(params, "decode"));
    d->arena = dv_arena_new(ARENA_MAX);
    d->least = json_integer_value(json_object_get(params, "min_score"));
    if (!d->per_line && d->cli->output != DV_OUTPUT_JSONL) {
        d->shown = json_array();
    }
    if (d->arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(detect_input(d, text_param(params, "input"), error));
    if (d->shown != NULL) {
        return dv_cli_print(d->cli, d->shown, NULL, d->packed ? packed_columns : columns);
    }
    return fflush(d->cli->out) == 0 ? DV_OK : DV_ERR_IO;
}

int dv_command_data_detect(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    detecting d = {.cli = cli};
    dv_result result = detect(&d, params, &error);
    dv_arena_free(d.arena);
    free(d.member);
    dv_data_names_free(d.names);
    dv_detect_scratch_free(d.scratch);
    dv_detect_rules_free(d.rules);
    dv_detect_custom_free(d.custom);
    json_decref(d.shown);
    error.result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}

int dv_command_data_detectors(dv_cli *cli, const json_t *params)
{
    static const char *const columns[] = {"id",       "type", "category", "region",
                                          "standard", "name", NULL};
    dv_error error = {.result = DV_ERR_NO_MEMORY};
    json_t *list = json_array();
    for (size_t i = 0; i < dv_detect_count(); i++) {
        const dv_detector_info *info = dv_detect_info(i);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:b, s:i, s:s, s:s}", "id",
                                              info->id, "type", info->type, "category",
                                              info->category, "region", info->region, "standard",
                                              (int)info->standard, "score", (int)info->score,
                                              "name", info->name, "description", info->doc));
    }
    json_t *page = json_pack("{s:o}", "items", list);
    dv_result result = page == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, page, "items", columns);
    json_decref(page);
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}
