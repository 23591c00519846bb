/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an encrypted file, of any bytes. The checksums are made right, so that what is behind
 * them is reached. What is read and written again has the same bytes, but for the MAC's. */
#include "base/codec.h"
#include "crypto/envelope.h"

#include <stdlib.h>

enum { CRC_AT = DV_ENVELOPE_SLOT - 4 };

static void mend(uint8_t *slot)
{
    for (size_t i = 0; i < DV_ENVELOPE_SLOT; i++) {
        if (slot[i] != 0) {
            dv_put_u32(slot + CRC_AT, dv_crc32c(0, dv_slice_of(slot, CRC_AT)));
            return;
        }
    }
}

static void write_again(const uint8_t *head, const dv_envelope *read, unsigned slot)
{
    static const uint8_t secret[DV_ENVELOPE_SECRET_LEN];
    uint8_t again[DV_ENVELOPE_SLOT];
    const uint8_t *from = head + (size_t)slot * DV_ENVELOPE_SLOT;
    if (read->count == 0 || read->count > DV_ENVELOPE_RECIPIENTS_MAX ||
        dv_envelope_write(read, secret, again) != DV_OK) {
        abort();
    }
    size_t end = CRC_AT;
    while (end > 0 && from[end - 1] == 0 && again[end - 1] == 0) {
        end--;
    }
    for (size_t i = 0, different = 0; i < end; i++) {
        different += from[i] != again[i];
        if (different > sizeof(read->mac)) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const dv_age_key identity = {.bytes = {1}};
    uint8_t head[DV_ENVELOPE_HEAD] = {0}, secret[DV_ENVELOPE_SECRET_LEN];
    dv_envelope read;
    unsigned slot;
    dv_slice none = {NULL, 0};
    memcpy(head, data, DV_MIN(size, sizeof(head)));
    mend(head);
    mend(head + DV_ENVELOPE_SLOT);
    dv_result result = dv_envelope_read(head, &read, &slot, NULL);
    if (result != DV_OK && result != DV_ERR_CONFLICT) {
        return 0;
    }
    write_again(head, &read, slot);
    for (size_t i = 0; i < read.count; i++) {
        if (read.recipients[i].kind == DV_RECIPIENT_X25519 &&
            dv_envelope_open_x25519(&read, &read.recipients[i], &identity, secret) == DV_OK &&
            dv_envelope_check(&read, secret, &none, NULL) == DV_OK) {
            abort(); /* nobody sealed it to this key */
        }
    }
    return 0;
}
