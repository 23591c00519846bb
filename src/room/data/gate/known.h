/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/slice.h"
#include "core/finding.h"

/* Private: short texts in which nothing was found. A caller says the same path, client name and
 * model with every request; searching them again would tell the same. Whole texts are compared, so
 * a clash of hashes costs a search and nothing else. */

enum {
    DV_KNOWN_TEXTS = 128,
    DV_KNOWN_TEXT_MAX = 112, /* bytes; longer texts are searched each time */
};

typedef struct dv_known_text {
    dv_detector_set detectors; /* that searched it; none: the place is free */
    uint8_t len;
    uint8_t bytes[DV_KNOWN_TEXT_MAX];
} dv_known_text;

typedef struct dv_known_texts {
    dv_known_text list[DV_KNOWN_TEXTS];
} dv_known_texts;

/* Whether all these detectors, and maybe more, found nothing in this very text. */
bool dv_known_texts_have(const dv_known_texts *known, dv_slice text,
                         const dv_detector_set *detectors);
/* Notes that these detectors found nothing; takes the place of another text. */
void dv_known_texts_add(dv_known_texts *known, dv_slice text, const dv_detector_set *detectors);
