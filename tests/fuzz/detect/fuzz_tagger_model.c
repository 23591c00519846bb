/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/tagger/model.h"

/* Any bytes as a model, with their digest set right: what opens can be asked about a text. */

enum { MOST = 1 << 16 };

static const char text[] = "Hi, Dr. Anita Deshmukh (61) of 12 Karve Road, Pune 411004 is at the "
                           "Globex office since 4 March 2024, isn't she? rahul sharma 7 B12\n\nXy";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(16) uint8_t file[MOST];
    dv_auto(tagger_model) dv_tagger_model *model = NULL;
    dv_auto(tagger) dv_tagger *tagger = NULL;
    if (size > MOST) {
        return 0;
    }
    memcpy(file, data, size);
    if (size > sizeof(dv_tagger_header)) {
        size_t head = sizeof(dv_tagger_header);
        uint64_t digest = dv_tagger_digest(dv_slice_of(file + head, size - head));
        memcpy(file + offsetof(dv_tagger_header, digest), &digest, sizeof(digest));
    }
    if (dv_tagger_model_open(dv_slice_of(file, size), &model, NULL) != DV_OK ||
        dv_tagger_new(model, &tagger) != DV_OK) {
        return 0;
    }
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    const dv_tagger_span *spans = NULL;
    size_t count = 0;
    size_t hold = 0;
    if (dv_tagger_find(tagger, dv_slice_of(text, sizeof(text) - 1), 0, false, DV_TAGGER_ALL, arena,
                       &spans, &count, &hold) != DV_OK) {
        abort();
    }
    return 0;
}
