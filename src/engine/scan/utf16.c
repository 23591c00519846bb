/* SPDX-License-Identifier: Apache-2.0 */
/* Text in UTF-16 (RFC 2781), as spreadsheets and Windows write it: read as UTF-8. */
#include "base/codec.h"
#include "engine/scan/scan_private.h"

#include <stdlib.h>

enum {
    REPLACEMENT = 0xFFFD,
    RAW = 4 << 10,
    UNIT_MAX = 6,        /* bytes that a unit becomes at most: a replacement, and itself */
    HIGH_FIRST = 0xD800, /* surrogates, section 2.1 */
    LOW_FIRST = 0xDC00,
    LOW_LAST = 0xDFFF,
};

typedef struct decoding {
    dv_scan_source *from;
    bool big_endian;
    uint32_t high; /* a first half that waits for its second; 0: none */
    uint8_t raw[RAW + 1];
    size_t odd; /* 1: the first byte of raw is half a unit */
    uint8_t ready[(RAW / 2 + 1) * UNIT_MAX];
    size_t at;             /* of ready, that was handed out */
    size_t len;            /* of ready */
    dv_scan_source source; /* of UTF-8 */
} decoding;

/* One unit of 16 bits; a half without its other half becomes U+FFFD. */
static size_t take(decoding *d, uint32_t unit, uint8_t *out)
{
    bool low = unit >= LOW_FIRST && unit <= LOW_LAST;
    bool high = unit >= HIGH_FIRST && unit < LOW_FIRST;
    size_t len = 0;
    if (d->high != 0 && low) {
        len = dv_utf8_encode(0x10000 + ((d->high - HIGH_FIRST) << 10) + (unit - LOW_FIRST), out);
        d->high = 0;
        return len;
    }
    if (d->high != 0) {
        len = dv_utf8_encode(REPLACEMENT, out);
        d->high = 0;
    }
    if (high) {
        d->high = unit;
        return len;
    }
    return len + dv_utf8_encode(low ? REPLACEMENT : unit, out + len);
}

static dv_result fill(decoding *d)
{
    size_t got = 1;
    d->at = d->len = 0;
    while (d->len == 0 && got > 0) {
        DV_TRY(dv_scan_read(d->from, d->raw + d->odd, RAW, &got));
        size_t have = d->odd + got;
        for (size_t i = 0; i + 1 < have; i += 2) {
            uint32_t first = d->raw[i], second = d->raw[i + 1];
            d->len += take(d, d->big_endian ? first << 8 | second : second << 8 | first,
                           d->ready + d->len);
        }
        d->raw[0] = have > 0 ? d->raw[have - 1] : 0;
        d->odd = have % 2;
    }
    return DV_OK;
}

static dv_result read_text(dv_scan_source *source, uint8_t *out, size_t room, size_t *ret_len)
{
    decoding *d = source->data;
    if (d->at == d->len) {
        DV_TRY(fill(d));
    }
    size_t len = DV_MIN(room, d->len - d->at);
    memcpy(out, d->ready + d->at, len);
    d->at += len;
    *ret_len = len;
    return DV_OK;
}

dv_result dv_scan_utf16(dv_scan *scan, dv_scan_source *source, bool big_endian, dv_slice member,
                        uint32_t nesting, dv_scan_kind *ret_kind)
{
    decoding *d = calloc(1, sizeof(*d));
    uint8_t mark[2];
    size_t len = 0;
    if (d == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    d->from = source;
    d->big_endian = big_endian;
    d->source.scan = scan;
    d->source.read = read_text;
    d->source.data = d;
    d->source.fd = -1;
    dv_result result = dv_scan_read(source, mark, sizeof(mark), &len);
    if (result == DV_OK) {
        result = dv_scan_content(scan, &d->source, member, nesting, ret_kind);
    }
    free(d);
    return result;
}
