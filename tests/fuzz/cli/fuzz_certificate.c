/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/certificate.h"

#include <stdlib.h>

/* Certificates and the events that they are held against: any text is refused with a word, or is
 * one whose numbers go together. A line break that is followed by a NUL parts both. */

static void check_event(const dv_certificate *certificate, dv_slice event)
{
    dv_error error = {0};
    if (dv_certificate_check_event(certificate, event, &error) != DV_OK &&
        error.message[0] == '\0') {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_certificate certificate = {.id = "0190b8a4"};
    dv_error error = {0};
    dv_slice text = dv_slice_of(data, size);
    ptrdiff_t cut = dv_slice_find(text, dv_slice_of("\n\0", 2));
    dv_slice event = cut < 0 ? text : dv_slice_sub(text, (size_t)cut + 2, text.len);
    text = cut < 0 ? text : dv_slice_sub(text, 0, (size_t)cut);
    if (dv_certificate_read(text, &certificate, &error) == DV_OK) {
        bool tables = certificate.version == 2;
        if (certificate.destroyed > certificate.files || strlen(certificate.sha256) != 64 ||
            (certificate.rows > 0 && (!tables || certificate.destroyed == 0))) {
            abort();
        }
    } else if (error.message[0] == '\0') {
        abort(); /* refused without a word */
    }
    check_event(&certificate, event);
    return 0;
}
