/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data fingerprint show` and `check`, `dvara data canary create`. */
#include "api/commands.h"
#include "base/codec.h"
#include "cli/data_asset.h"
#include "cli/data_read.h"
#include "cli/progress.h"
#include "engine/detect/fingerprint/canary.h"
#include "engine/detect/fingerprint/fingerprint.h"

#include <sys/stat.h>

enum {
    HITS_MAX = 100000,
    NAMES_SHOWN = 1000, /* of documents */
    PIECE = 64 << 10,
};

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

/* A name that came from a file or a table's head. */
static json_t *name_json(dv_slice name)
{
    dv_auto(free) char *text = strndup(name.len > 0 ? (const char *)name.ptr : "", name.len);
    return text == NULL ? NULL : dv_data_text_json(text);
}

/* The columns of a set, of which a bit says so. */
static json_t *columns_json(const dv_fingerprint_set *set, uint32_t bits)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < dv_fingerprint_set_about(set)->column_count; i++) {
        if (((bits >> i) & 1) != 0) {
            (void)json_array_append_new(list, name_json(dv_fingerprint_set_column(set, i)));
        }
    }
    return list;
}

/* ---- show ---- */

static json_t *documents_json(const dv_fingerprint_set *set)
{
    json_t *list = json_array();
    uint32_t count = dv_fingerprint_set_about(set)->documents;
    for (uint32_t i = 0; i < DV_MIN(count, (uint32_t)NAMES_SHOWN); i++) {
        (void)json_array_append_new(list, name_json(dv_fingerprint_set_document(set, i)));
    }
    return list;
}

static json_t *about_json(const dv_fingerprint_set *set)
{
    const dv_fingerprint_about *about = dv_fingerprint_set_about(set);
    char made[32] = "";
    time_t seconds = (time_t)about->made;
    struct tm when;
    dv_auto(buf) dv_buf id = dv_buf_init(2 * DV_FINGERPRINT_ID_LEN + 1);
    if (dv_hex_encode(dv_slice_of(about->id, DV_FINGERPRINT_ID_LEN), &id) != DV_OK ||
        gmtime_r(&seconds, &when) == NULL ||
        strftime(made, sizeof(made), "%Y-%m-%dT%H:%M:%SZ", &when) == 0) {
        return NULL;
    }
    return json_pack(
        "{s:s%, s:s, s:I, s:I, s:I, s:o, s:o, s:i, s:i, s:I, s:I, s:o, s:i, s:f, s:I, s:I, s:I, "
        "s:I}",
        "id", (const char *)id.ptr, id.len, "made", made, "bytes", (json_int_t)about->bytes,
        "records", (json_int_t)about->records, "values", (json_int_t)about->values, "columns",
        columns_json(set, UINT32_MAX), "alone", columns_json(set, about->alone), "least",
        (int)about->least, "within", (int)about->within, "canaries", (json_int_t)about->canaries,
        "documents", (json_int_t)about->documents, "document_names", documents_json(set), "row",
        (int)about->row, "share", (double)about->share / 10, "fingerprints",
        (json_int_t)about->fingerprints, "too_short", (json_int_t)about->too_short, "too_long",
        (json_int_t)about->too_long, "too_usual", (json_int_t)about->too_usual);
}

int dv_command_data_fingerprint_show(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    dv_auto(fingerprint_set) dv_fingerprint_set *set = NULL;
    error.result = dv_fingerprint_set_open(text_param(params, "set"), &set, &error);
    if (error.result != DV_OK) {
        return dv_cli_fail(cli, &error);
    }
    json_t *value = about_json(set);
    error.result = value == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, value, NULL, NULL);
    json_decref(value);
    return error.result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}

/* ---- check ---- */

typedef struct checking {
    const dv_fingerprint_set *set;
    json_t *hits;
    dv_fingerprint_job job;
    dv_fingerprint_state *state;
    dv_fingerprint_matcher *matcher;
    dv_progress_bar bar;
    uint64_t expected;
    uint64_t done;
} checking;

static dv_result on_hit(void *data, const dv_fingerprint_hit *hit)
{
    checking *c = data;
    if (hit->kind == DV_FINGERPRINT_DOCUMENT) {
        return DV_OK; /* how much of it is there is told at the end */
    }
    json_t *value = json_pack("{s:s, s:I, s:I, s:o}", "kind", dv_fingerprint_kind_name(hit->kind),
                              "start", (json_int_t)hit->start, "end", (json_int_t)hit->end,
                              "columns", columns_json(c->set, hit->columns));
    if (json_array_size(c->hits) >= HITS_MAX) {
        json_decref(value);
        return DV_ERR_TOO_LARGE;
    }
    return json_array_append_new(c->hits, value) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* Of the documents that were met, how much. */
static dv_result add_documents(checking *c)
{
    const dv_fingerprint_about *about = dv_fingerprint_set_about(c->set);
    dv_fingerprint_hit seen[DV_FINGERPRINT_DOCUMENTS_SEEN];
    size_t count = dv_fingerprint_documents(&c->job, c->state, 0, seen);
    for (size_t i = 0; i < count; i++) {
        uint64_t tenths = 1000ULL * seen[i].matched / DV_MAX(seen[i].total, 1U);
        double share = (double)tenths / 10;
        json_t *value =
            json_pack("{s:s, s:o, s:I, s:I, s:f, s:b}", "kind", "document", "document",
                      name_json(dv_fingerprint_set_document(c->set, seen[i].document)), "matched",
                      (json_int_t)seen[i].matched, "fingerprints", (json_int_t)seen[i].total,
                      "share", share, "hit", (int)seen[i].told);
        if (json_array_append_new(c->hits, value) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return about->documents > 0 || count == 0 ? DV_OK : DV_ERR_INTERNAL;
}

static dv_result check_stream(checking *c, FILE *in)
{
    dv_auto(free) uint8_t *piece = malloc(PIECE);
    size_t len = 0;
    if (piece == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    do {
        DV_TRY(dv_data_read_file(in, piece, PIECE, &len));
        c->job.more = len > 0;
        DV_TRY(dv_fingerprint_find(c->matcher, &c->job, c->state, dv_slice_of(piece, len), NULL));
        c->done += len;
        if (c->expected > 0) {
            dv_progress_show(&c->bar, c->done, c->expected);
        }
    } while (len > 0);
    return add_documents(c);
}

static dv_result check_input(dv_cli *cli, checking *c, const char *input, dv_error *error)
{
    struct stat about;
    FILE *in = NULL;
    c->job = (dv_fingerprint_job){
        .sets = &c->set, .set_count = 1, .enabled = 1, .told = on_hit, .data = c};
    c->state = calloc(1, dv_fingerprint_state_size(1));
    c->hits = json_array();
    if (c->state == NULL || c->hits == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_fingerprint_state_init(c->state, 1);
    DV_TRY(dv_fingerprint_matcher_new(&c->matcher));
    DV_TRY(dv_data_open(input, &in, error));
    c->bar = dv_progress_bar_of(cli, "bytes");
    c->expected =
        fstat(fileno(in), &about) == 0 && S_ISREG(about.st_mode) ? (uint64_t)about.st_size : 0;
    dv_result result = check_stream(c, in);
    dv_data_close(in);
    dv_progress_end(&c->bar);
    if (result == DV_ERR_TOO_LARGE) {
        return dv_error_set(error, result, "%s: there are more than %d hits", input, HITS_MAX);
    }
    return result == DV_OK ? DV_OK : dv_error_set(error, result, "%s: can't be read", input);
}

int dv_command_data_fingerprint_check(dv_cli *cli, const json_t *params)
{
    static const char *const columns[] = {"kind",     "start", "end", "columns",
                                          "document", "share", "hit", NULL};
    dv_error error = {0};
    dv_auto(fingerprint_set) dv_fingerprint_set *set = NULL;
    checking c = {.hits = NULL};
    error.result = dv_fingerprint_set_open(text_param(params, "set"), &set, &error);
    if (error.result == DV_OK) {
        c.set = set;
        error.result = check_input(cli, &c, text_param(params, "input"), &error);
    }
    if (error.result == DV_OK) {
        error.result = dv_cli_print(cli, c.hits, NULL, columns);
    }
    json_decref(c.hits);
    free(c.state);
    dv_fingerprint_matcher_free(c.matcher);
    return error.result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}

/* ---- canaries ---- */

int dv_command_data_canary_create(dv_cli *cli, const json_t *params)
{
    static const char *const kinds[] = {[DV_CANARY_EMAIL] = "email",
                                        [DV_CANARY_KEY] = "key",
                                        [DV_CANARY_NUMBER] = "number",
                                        [DV_CANARY_TEXT] = "text"};
    const char *kind = text_param(params, "kind");
    json_int_t count = json_integer_value(json_object_get(params, "count"));
    unsigned which = 0;
    char value[DV_CANARY_MAX];
    while (which + 1 < DV_ARRAY_LEN(kinds) && strcmp(kinds[which], kind) != 0) {
        which++;
    }
    for (json_int_t i = 0; i < count; i++) {
        dv_canary_make((dv_canary_kind)which, value);
        if (fprintf(cli->out, "%s\n", value) < 0) {
            return dv_cli_fail(cli, &(dv_error){.result = DV_ERR_IO, .message = "can not write"});
        }
    }
    return DV_EXIT_DONE;
}
