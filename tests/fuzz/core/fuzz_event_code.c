/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of requests, as a worker that was taken over could write them: what decodes encodes to the
 * same bytes (those of this version), and expands to one event of acceptable JSON. */
#include "base/caps.h"
#include "base/json.h"
#include "core/event_code.h"

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_json(dv_slice text)
{
    static const dv_json_limits limits = {
        .depth = DV_LIMIT_JSON_DEPTH, .tokens = UINT16_MAX, .refuse_duplicate_keys = true};
    dv_auto(arena) dv_arena *arena = dv_arena_new(8 << 20);
    dv_json json;
    dv_error error = {0};
    require(dv_slice_starts_with(text, DV_LIT("{\"metadata\":{\"version\":")));
    require(dv_json_scan(text, &limits, arena, &json, &error) == DV_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static dv_event_decoded decoded;
    dv_slice code = dv_slice_of(data, size);
    dv_auto(buf) dv_buf again = dv_buf_init(DV_LIMIT_RECORD);
    dv_auto(buf) dv_buf room = dv_buf_init(DV_LIMIT_RECORD);
    dv_error error = {0};
    dv_slice text = {0};
    if (size > DV_LIMIT_RECORD || dv_event_code_decode(code, &decoded, &error) != DV_OK) {
        return 0;
    }
    require((decoded.is_close ? dv_event_code_close(&again, &decoded.request, &decoded.outcome)
                              : dv_event_code_open(&again, &decoded.request)) == DV_OK);
    require(code.ptr[0] == DV_EVENT_CODE_BEFORE || dv_slice_eq(dv_buf_slice(&again), code));
    require(dv_event_code_text(code, &room, NULL, &text, &error) == DV_OK);
    check_json(text);
    return 0;
}
