/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the event of a line: what the collector knows of it, then the rule's rows. */
#include "base/caps.h"
#include "base/codec.h"
#include "core/event.h"
#include "room/audit/collect/keep.h"
#include "room/audit/collect/parser_private.h"

enum {
    TEXT_MAX = 8 << 10, /* bytes of one value as it is written */
    TEXT_SHORT = 384,   /* where all of them together are too long */
    NAME_MAX_BYTES = 512,
    RECORD_MAX = DV_LIMIT_RECORD,
};
static const dv_time day = 24 * 3600 * DV_SECOND;

typedef struct writing {
    const dv_parsers *parsers;
    const dv_parser *parser;
    const dv_parse_format *format;
    const dv_parse_rule *rule;
    const dv_line *line;
    dv_parse_outcome *outcome;
    dv_record_writer writer;
    dv_time time;
} writing;

#define PUT(w, literal) dv_record_put(&(w)->writer, literal, sizeof(literal) - 1)

static void put_member_text(writing *w, const char *name, dv_slice text)
{
    if (text.len > 0) {
        dv_record_name(&w->writer, name);
        dv_record_put_text(&w->writer, text, NAME_MAX_BYTES);
        dv_record_keep(&w->writer);
    }
}

static void put_member_int(writing *w, const char *name, int64_t number)
{
    dv_record_name(&w->writer, name);
    dv_record_put_int(&w->writer, number);
    dv_record_keep(&w->writer);
}

static void put_member_json(writing *w, const char *name, const char *json)
{
    dv_record_name(&w->writer, name);
    dv_record_put(&w->writer, json, strlen(json));
    dv_record_keep(&w->writer);
}

/* ---- What the collector knows ---- */

/* The line's own time, else the transport's, else now. */
static void find_time(writing *w)
{
    uint8_t field = w->format->time;
    w->time = w->line->time != 0 ? w->line->time : w->line->now;
    if (field != DV_PARSE_NO_FIELD) {
        (void)dv_field_time(&w->parsers->fields[field], w->format, w->line->now, &w->time);
    }
    dv_time off = w->time - w->line->now;
    w->outcome->clock_off = off > day || off < -day;
}

static dv_slice field_text(const writing *w, uint8_t field)
{
    return field == DV_PARSE_NO_FIELD ? (dv_slice){NULL, 0} : w->parsers->fields[field].text;
}

static void put_metadata(writing *w)
{
    char kind[64];
    int len = snprintf(kind, sizeof kind, "collected.%s", w->outcome->parser);
    PUT(w, "{\"metadata\":{\"version\":\"" DV_OCSF_VERSION "\"");
    put_member_json(w, "\"product\":", w->parser->table->product);
    put_member_text(w, "\"event_code\":", dv_slice_of(kind, (size_t)len));
    if (w->rule->profiles != NULL) {
        put_member_json(w, "\"profiles\":", w->rule->profiles);
    }
    put_member_text(w, "\"log_provider\":", DV_LIT("dvara-collect"));
    put_member_text(w, "\"log_name\":", w->line->input);
    put_member_int(w, "\"processed_time\":", w->line->now / DV_MILLISECOND);
    put_member_text(w, "\"original_time\":", field_text(w, w->format->time));
    put_member_text(w, "\"correlation_uid\":", field_text(w, w->rule->correlation));
    if (w->outcome->truncated) {
        put_member_json(w, "\"is_truncated\":", "true");
    }
    PUT(w, "}");
}

static void put_class(writing *w)
{
    int64_t activity = dv_value_int(w->parsers, &w->rule->activity, 0);
    put_member_int(w, "\"class_uid\":", w->rule->class_uid);
    put_member_int(w, "\"category_uid\":", w->rule->class_uid / 1000);
    put_member_int(w, "\"activity_id\":", activity);
    put_member_int(w, "\"type_uid\":", w->rule->class_uid * (int64_t)100 + activity);
    put_member_int(w, "\"severity_id\":", dv_value_int(w->parsers, &w->rule->severity, 0));
    put_member_int(w, "\"time\":", w->time / DV_MILLISECOND);
}

/* ---- The rule's rows ---- */

static void put_value(writing *w, const dv_parse_row *row)
{
    uint8_t *before = w->writer.at;
    dv_record_name(&w->writer, row->text);
    if (!dv_value_write(w->parsers, w->format, row->value, w->line->now, &w->writer)) {
        w->writer.at = before;
    } else if (row->value->fixed == NULL) {
        dv_record_keep(&w->writer);
    }
}

static void put_rows(writing *w, const dv_parse_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].kind == DV_PARSE_OPEN) {
            dv_record_open(&w->writer, rows[i].text, rows[i].firm);
        } else if (rows[i].kind == DV_PARSE_CLOSE) {
            dv_record_close(&w->writer, rows[i].text);
        } else {
            put_value(w, &rows[i]);
        }
    }
}

/* The person that the event's personal fields are of: an account of that host. */
static void put_subject(writing *w)
{
    char text[NAME_MAX_BYTES];
    dv_slice name = field_text(w, w->rule->subject);
    dv_slice host = w->line->host;
    if (name.len == 0 || name.len + host.len > 256) {
        return;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < 0x20 || name.ptr[i] == '"' || name.ptr[i] == '\\') {
            return; /* no name that an entity could have */
        }
    }
    int len = snprintf(text, sizeof text, "Account::\"%.*s%s%.*s\"", DV_SLICE_ARGS(name),
                       host.len > 0 ? "@" : "", DV_SLICE_ARGS(host));
    put_member_text(w, "\"subject\":", dv_slice_of(text, (size_t)len));
}

/* Where all of the line is. */
static void put_blob(writing *w)
{
    enum { REFERENCE_MAX = 512 };
    dv_auto(buf) dv_buf text = dv_buf_init(REFERENCE_MAX);
    if (dv_blob_ref_write(w->line->blob, "raw_data", &text) != DV_OK) {
        w->writer.full = true;
        return;
    }
    dv_record_name(&w->writer, "");
    dv_record_put(&w->writer, (const char *)text.ptr, text.len);
    dv_record_keep(&w->writer);
}

static void put_unmapped(writing *w)
{
    const dv_line *line = w->line;
    dv_record_open(&w->writer, "\"unmapped\":{", false);
    dv_record_open(&w->writer, "\"dvara\":{", false);
    put_member_int(w, "\"time_ns\":", w->time);
    put_subject(w);
    put_member_text(w, "\"peer\":", line->peer);
    put_member_text(w, "\"structured_data\":", line->structured);
    if (line->facility >= 0) {
        put_member_int(w, "\"facility\":", line->facility);
    }
    if (line->position.len > 0) {
        dv_record_name(&w->writer, "\"position\":");
        dv_record_put(&w->writer, (const char *)line->position.ptr, line->position.len);
    }
    if (w->outcome->clock_off) {
        put_member_json(w, "\"clock\":", w->time > line->now ? "\"ahead\"" : "\"behind\"");
    }
    if (w->outcome->invalid_utf8) {
        put_member_json(w, "\"raw_encoding\":", "\"base64\"");
    }
    if (w->outcome->large) {
        put_blob(w);
    }
    dv_record_close(&w->writer, "}");
    put_rows(w, w->rule->unmapped, w->rule->unmapped_count);
    dv_record_close(&w->writer, "}");
}

static bool write_once(writing *w, uint8_t *room, size_t text_max)
{
    w->writer = (dv_record_writer){
        .start = room, .at = room, .end = room + RECORD_MAX, .text_max = text_max};
    put_metadata(w);
    put_class(w);
    put_rows(w, w->rule->rows, w->rule->row_count);
    put_unmapped(w);
    bool needed = w->line->keep_raw || !w->outcome->understood || w->outcome->invalid_utf8 ||
                  w->outcome->truncated || w->writer.cut;
    bool whole = !needed || dv_keep_raw(&w->writer, w->line, w->outcome->invalid_utf8);
    PUT(w, "}");
    w->outcome->truncated = w->outcome->truncated || !whole;
    w->outcome->large = w->outcome->truncated && w->line->blob != NULL;
    return !w->writer.full;
}

/* A text that had to be cut stands whole in raw_data; only where that is cut, too, is something
 * missing, and the event says so: then it is written once more. */
dv_result dv_rule_write(const dv_parsers *parsers, const dv_parser *parser, size_t format,
                        const dv_parse_rule *rule, const dv_line *line, dv_buf *out,
                        dv_parse_outcome *outcome)
{
    writing w = {.parsers = parsers,
                 .parser = parser,
                 .format = &parser->table->formats[format],
                 .rule = rule,
                 .line = line,
                 .outcome = outcome};
    size_t text_max = TEXT_MAX;
    DV_TRY(dv_buf_reserve(out, RECORD_MAX));
    find_time(&w);
    outcome->truncated = line->raw_size > line->raw.len;
    outcome->large = outcome->truncated && line->blob != NULL;
    for (int i = 0; i < 3; i++) {
        bool before = outcome->truncated;
        bool fits = write_once(&w, out->ptr + out->len, text_max);
        if (fits && before == outcome->truncated) {
            out->len += (size_t)(w.writer.at - w.writer.start);
            return DV_OK;
        }
        text_max = fits ? text_max : TEXT_SHORT;
    }
    return DV_ERR_TOO_LARGE;
}
