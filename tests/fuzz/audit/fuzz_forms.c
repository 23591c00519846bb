/* SPDX-License-Identifier: Apache-2.0 */
/* Events, which hold what others wrote, in every form that receivers take: JSON stays JSON, a line
 * stays one line, a frame is as long as it says. */
#include "room/audit/export/format.h"

enum { TEXT_MAX = 64 << 10, FORM_MAX = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_json(dv_slice text, dv_arena *arena)
{
    static const dv_json_limits limits = {.depth = 80, .tokens = 1 << 20};
    dv_json json;
    require(dv_json_scan(text, &limits, arena, &json, NULL) == DV_OK);
}

static void check_cef(dv_buf *out, const dv_export_event *event, dv_arena *arena)
{
    dv_buf_clear(out);
    require(dv_export_put_cef(out, event, arena) == DV_OK);
    require(dv_slice_find_byte(dv_buf_slice(out), '\n') < 0);
    require(dv_slice_find_byte(dv_buf_slice(out), '\r') < 0);
}

static void check_syslog(dv_buf *out, const dv_export_event *event, dv_arena *arena)
{
    dv_buf_clear(out);
    require(dv_export_put_syslog(out, event, true, "host", arena) == DV_OK);
    dv_slice rest = dv_buf_slice(out), len;
    require(dv_slice_split(&rest, ' ', &len));
    char digits[24];
    dv_slice_copy(len, digits, sizeof(digits));
    require(strtoul(digits, NULL, 10) == rest.len);
}

static void check_web(dv_buf *out, const dv_export_event *event, dv_arena *arena)
{
    dv_slice line;
    dv_buf_clear(out);
    require(dv_export_put_otlp_head(out, event->origin) == DV_OK);
    require(dv_export_put_otlp(out, event, arena) == DV_OK);
    require(dv_export_put_otlp_end(out) == DV_OK);
    check_json(dv_buf_slice(out), arena);
    dv_buf_clear(out);
    require(dv_export_put_clickhouse(out, event, arena) == DV_OK);
    dv_slice rest = dv_buf_slice(out);
    require(dv_slice_split(&rest, '\n', &line) && rest.len == 0);
    check_json(line, arena);
}

static void check_mail(dv_buf *out, const dv_export_event *event, dv_arena *arena)
{
    static const char *const to[] = {"b@example.org", NULL};
    const dv_export_destination destination = {.from = "a@example.org", .to = to};
    dv_buf_clear(out);
    require(dv_export_put_mail(out, event, &destination, 0, arena) == DV_OK);
    dv_slice rest = dv_buf_slice(out), line;
    while (dv_slice_split(&rest, '\n', &line)) {
        require(line.len <= 79 && !dv_slice_starts_with(line, DV_LIT(".")));
        require(rest.ptr == NULL || (line.len > 0 && line.ptr[line.len - 1] == '\r'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(256 << 20);
    dv_auto(buf) dv_buf out = dv_buf_init(FORM_MAX);
    dv_export_event event = {
        .origin = "example.org/log", .index = size, .text = dv_slice_of(data, size)};
    if (arena == NULL || size > TEXT_MAX || memchr(data, '\n', size) != NULL ||
        dv_export_event_read(&event, arena, NULL) != DV_OK) {
        return 0;
    }
    require(dv_export_put_json(&out, &event) == DV_OK);
    check_json(dv_buf_slice(&out), arena);
    check_cef(&out, &event, arena);
    check_syslog(&out, &event, arena);
    check_web(&out, &event, arena);
    check_mail(&out, &event, arena);
    return 0;
}
