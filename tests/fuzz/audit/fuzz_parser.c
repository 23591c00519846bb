/* SPDX-License-Identifier: Apache-2.0 */
/* A line of any bytes: the first byte says which parser, or that it is to be guessed. What comes
 * out is one JSON object, within a record's limit. */
#include "base/caps.h"
#include "room/audit/collect/parser.h"
#include "room/audit/collect/syslog.h"

#include <jansson.h>

static dv_parsers *parsers;

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void clean_up(void)
{
    dv_parsers_free(parsers);
}

static void prepare(void)
{
    dv_error error = {0};
    require(dv_parsers_new(&parsers, &error) == DV_OK && atexit(clean_up) == 0);
}

static void check_event(const dv_line *line, const dv_parser *parser)
{
    dv_parse_outcome outcome;
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    require(dv_parsers_event(parsers, parser, line, NULL, &out, &outcome) == DV_OK);
    require(out.len <= DV_LIMIT_RECORD);
    /* As dvarad reads it. */
    json_t *event = json_loadb((const char *)out.ptr, out.len, JSON_REJECT_DUPLICATES, NULL);
    require(json_is_object(event) && json_is_string(json_object_get(event, "raw_data")) &&
            json_is_integer(json_object_get(event, "time")));
    json_decref(event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t count = 0;
    if (parsers == NULL) {
        prepare();
    }
    if (size < 1) {
        return 0;
    }
    while (dv_parsers_name(count) != NULL) {
        count++;
    }
    size_t which = data[0] % (count + 1);
    dv_slice raw = dv_slice_of(data + 1, size - 1);
    const dv_parser *parser =
        which == count ? NULL : dv_parsers_find(parsers, dv_slice_str(dv_parsers_name(which)));
    dv_line line = {.text = raw,
                    .raw = raw,
                    .raw_size = raw.len,
                    .facility = -1,
                    .severity = -1,
                    .now = 1795363262 * DV_SECOND,
                    .input = DV_LIT("fuzz"),
                    .keep_raw = true};
    (void)dv_syslog_read(raw, data[0] >= 128, &line);
    check_event(&line, parser);
    if (parser != NULL) {
        dv_slice half = dv_slice_sub(raw, 0, raw.len / 2);
        (void)dv_parser_joins(parsers, parser, half, dv_slice_sub(raw, half.len, raw.len));
    }
    return 0;
}
