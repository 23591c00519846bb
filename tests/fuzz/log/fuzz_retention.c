/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept for how long, as a file or as dvarad posts it, and places in the logs: any text is
 * refused, or comes out again as it went in. The file's checksum is made right, so that what stands
 * before it is read. */
#include "base/codec.h"
#include "engine/log/places.h"
#include "engine/log/retention.h"

#include <inttypes.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 512 << 10 };

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void read_file(dv_slice input)
{
    static dv_retention retention, again;
    dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX), out = dv_buf_init(TEXT_MAX);
    require(dv_buf_append(&text, input) == DV_OK);
    require(dv_buf_append_printf(&text, "crc %08" PRIx32 "\n", dv_crc32c(0, input)) == DV_OK);
    (void)!dv_retention_parse(input, &retention, NULL);
    if (dv_retention_parse(dv_buf_slice(&text), &retention, NULL) != DV_OK) {
        return;
    }
    require(dv_retention_format(&retention, &out) == DV_OK);
    require(dv_retention_parse(dv_buf_slice(&out), &again, NULL) == DV_OK);
    dv_buf_clear(&text);
    require(dv_retention_format(&again, &text) == DV_OK);
    require(dv_slice_eq(dv_buf_slice(&text), dv_buf_slice(&out)));
}

static void read_places(dv_slice input)
{
    dv_places places, again;
    dv_auto(buf) dv_buf text = dv_buf_init(DV_PLACES_TEXT_MAX);
    if (dv_places_read(input, &places) != DV_OK) {
        return;
    }
    require(dv_places_write(&places, &text) == DV_OK);
    require(dv_places_read(dv_buf_slice(&text), &again) == DV_OK);
    require(dv_places_same(&places, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_slice input = dv_slice_of(data, size);
    if (size > TEXT_MAX / 2) {
        return 0;
    }
    read_file(input);
    read_places(input);
    return 0;
}
