/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/known.h"

/* Which place a text has: speed only hangs on it. */
static size_t place_of(dv_slice text)
{
    uint64_t hash = text.len;
    uint64_t word = 0;
    for (; text.len >= sizeof(word); text = dv_slice_sub(text, sizeof(word), text.len)) {
        memcpy(&word, text.ptr, sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    word = 0;
    memcpy(&word, text.ptr, text.len);
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(hash >> 32) % DV_KNOWN_TEXTS;
}

bool dv_known_texts_have(const dv_known_texts *known, dv_slice text,
                         const dv_detector_set *detectors)
{
    if (text.len == 0 || text.len > DV_KNOWN_TEXT_MAX) {
        return false;
    }
    const dv_known_text *entry = &known->list[place_of(text)];
    return !dv_detector_set_is_empty(detectors) &&
           dv_detector_set_holds(&entry->detectors, detectors) &&
           dv_slice_eq(dv_slice_of(entry->bytes, entry->len), text);
}

void dv_known_texts_add(dv_known_texts *known, dv_slice text, const dv_detector_set *detectors)
{
    if (text.len == 0 || text.len > DV_KNOWN_TEXT_MAX) {
        return;
    }
    dv_known_text *entry = &known->list[place_of(text)];
    entry->detectors = *detectors;
    entry->len = (uint8_t)text.len;
    memcpy(entry->bytes, text.ptr, text.len);
}
