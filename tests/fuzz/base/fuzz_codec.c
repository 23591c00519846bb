/* SPDX-License-Identifier: Apache-2.0 */
/* The small readers of outside text: what one accepts, its writer gives back. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/utf8.h"
#include "base/uuid.h"

enum { OUTPUT_MAX = 1 << 20 };

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

typedef dv_result (*codec)(dv_slice in, dv_buf *out);

static void check_codec(dv_slice text, codec decode, codec encode)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(OUTPUT_MAX);
    dv_auto(buf) dv_buf again = dv_buf_init(OUTPUT_MAX);
    if (decode(text, &bytes) == DV_OK) {
        require(encode(dv_buf_slice(&bytes), &again) == DV_OK);
        require(dv_slice_eq(text, dv_buf_slice(&again)));
    }
}

static void check_hex(dv_slice text)
{
    uint8_t bytes[64];
    dv_auto(buf) dv_buf again = dv_buf_init(OUTPUT_MAX);
    size_t len = text.len / 2;
    if (len <= sizeof(bytes) && dv_hex_decode(text, bytes, len) == DV_OK) {
        require(dv_hex_encode(dv_slice_of(bytes, len), &again) == DV_OK);
        require(dv_slice_eq_nocase(text, dv_buf_slice(&again)));
    }
}

static void check_base62(dv_slice text)
{
    uint64_t value;
    char again[16];
    if (dv_base62_decode(text, &value) == DV_OK && text.len <= sizeof(again)) {
        require(dv_base62_is(text));
        require(dv_base62_encode(value, text.len, again) == DV_OK);
        require(dv_slice_eq(text, dv_slice_of(again, text.len)));
    }
}

static void check_uuid(dv_slice text)
{
    dv_uuid uuid;
    char again[DV_UUID_TEXT_LEN + 1];
    if (dv_uuid_parse(text, &uuid) == DV_OK) {
        dv_uuid_format(&uuid, again);
        require(dv_slice_eq_nocase(text, dv_slice_str(again)));
    }
}

static void check_time(dv_slice text)
{
    dv_time time;
    dv_time again;
    char out[DV_TIME_TEXT_MAX];
    if (dv_time_parse(text, &time) == DV_OK) {
        size_t len = dv_time_format(time, out);
        require(dv_time_parse(dv_slice_of(out, len), &again) == DV_OK);
        require(again <= time && time - again < 1000);
    }
    require(dv_duration_parse(text, &time) != DV_OK || time >= 0);
}

/* The block-wise check and the step-wise reader see the same text. */
static void check_utf8(dv_slice text)
{
    size_t prefix = dv_utf8_prefix(text);
    size_t at = 0;
    while (at < text.len) {
        uint32_t code_point;
        size_t len = dv_utf8_decode(dv_slice_sub(text, at, text.len), &code_point);
        if (len == 0) {
            break;
        }
        at += len;
    }
    require(prefix == at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_slice text = dv_slice_of(data, size);
    check_codec(text, dv_base64_decode, dv_base64_encode);
    check_codec(text, dv_base64url_decode, dv_base64url_encode);
    check_hex(text);
    check_base62(text);
    check_uuid(text);
    check_time(text);
    check_utf8(text);
    return 0;
}
