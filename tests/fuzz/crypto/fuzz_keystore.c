/* SPDX-License-Identifier: Apache-2.0 */
/* A keystore's file and an exported key, of any bytes; the first one chooses. A file that is read
 * and written again is the same, but for its MAC. */
#include "crypto/keystore_private.h"
#include "crypto/random.h"

#include <stdlib.h>

enum { MAC = 32 };

static void read_file(dv_keystore *keystore, dv_slice text)
{
    dv_auto(buf) dv_buf again = dv_buf_init(DV_KEYSTORE_FILE_MAX);
    if (dv_keystore_parse(text, keystore) == DV_OK) {
        if (dv_keystore_format(keystore, &again) != DV_OK || again.len != text.len ||
            memcmp(again.ptr, text.ptr, text.len - MAC) != 0) {
            abort();
        }
    }
}

static void import(dv_keystore *keystore, dv_slice text)
{
    const dv_key *key = NULL;
    dv_auto(secret_buf) dv_buf again = dv_buf_init(DV_KEY_EXPORT_MAX);
    keystore->unlocked = true;
    if (dv_keystore_import(keystore, text, (dv_slice){NULL, 0}, 0, &key, NULL) == DV_OK) {
        if (dv_key_active(key) == NULL ||
            dv_keystore_export(keystore, key, 0, &again, NULL) != DV_OK) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_keystore *keystore = calloc(1, sizeof(*keystore));
    if (keystore == NULL || size == 0) {
        free(keystore);
        return 0;
    }
    dv_slice text = dv_slice_of(data + 1, size - 1);
    keystore->lock = -1;
    if (data[0] % 2 == 0) {
        read_file(keystore, text);
    } else {
        import(keystore, text);
    }
    dv_keystore_free(keystore);
    return 0;
}
