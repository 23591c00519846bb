/* SPDX-License-Identifier: Apache-2.0 */
/* An event of any bytes. The first byte chooses: seal what follows and open it again, which gives
 * the same; or open what follows as an entry of somebody else's making. */
#include "engine/log/erasure.h"
#include "engine/log/seal.h"
#include "subjects_folder.h"

enum { OUT_MAX = 1 << 20, SEAL_MAX = 1 << 19 };

static void seal_and_open(dv_subjects *keys, dv_slice event)
{
    dv_auto(buf) dv_buf sealed = dv_buf_init(OUT_MAX), opened = dv_buf_init(OUT_MAX);
    if (dv_event_seal(keys, event, SEAL_MAX, &sealed) != DV_OK) {
        if (sealed.len != 0) {
            abort();
        }
        return;
    }
    if (dv_event_open(keys, dv_buf_slice(&sealed), &opened) != DV_OK) {
        abort();
    }
    /* The key of a large field (blob.h) is opened for nobody. */
    bool cut = dv_slice_find(event, DV_LIT("\"blob\"")) >= 0 ||
               dv_slice_find(dv_buf_slice(&opened), DV_LIT("too many principals")) >= 0 ||
               dv_slice_find(dv_buf_slice(&opened), DV_LIT("{\"cut\":true}")) >= 0;
    if (!cut && !dv_slice_eq(dv_buf_slice(&opened), event)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_subjects *keys = subjects_of_this_run();
    if (size == 0 || size > UINT16_MAX) {
        return 0;
    }
    dv_slice text = dv_slice_of(data + 1, size - 1);
    dv_auto(buf) dv_buf opened = dv_buf_init(OUT_MAX);
    if (data[0] % 2 == 0) {
        seal_and_open(keys, text);
    } else if (dv_event_open(keys, text, &opened) != DV_OK) {
        abort();
    }
    (void)dv_erasure_read(text);
    return 0;
}
