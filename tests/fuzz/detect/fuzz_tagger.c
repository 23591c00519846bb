/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "engine/detect/tagger/tagger.h"

/* Any bytes: spans are in order, apart from each other and inside the text, and a stream that is
 * cut anywhere (the first two bytes say where) tells the same. */

static dv_tagger_model *model;
static dv_tagger *tagger;

static size_t find(dv_slice text, size_t from, bool more, dv_arena *arena,
                   const dv_tagger_span **ret_spans, size_t *ret_hold)
{
    size_t count = 0;
    if (dv_tagger_find(tagger, text, from, more, DV_TAGGER_ALL, arena, ret_spans, &count,
                       ret_hold) != DV_OK) {
        abort();
    }
    size_t reached = from;
    for (size_t i = 0; i < count; i++) {
        const dv_tagger_span *span = &(*ret_spans)[i];
        if (span->start < reached || span->start >= span->end || span->end > text.len ||
            span->type >= DV_TAGGER_TYPES || (more && span->end > *ret_hold)) {
            abort();
        }
        reached = span->end;
    }
    if (*ret_hold < from || *ret_hold > text.len || text.len - *ret_hold > DV_TAGGER_HELD) {
        abort();
    }
    return count;
}

static void check(dv_slice text, size_t cut, dv_arena *arena)
{
    const dv_tagger_span *whole = NULL;
    const dv_tagger_span *part = NULL;
    size_t hold = 0;
    size_t end = 0;
    size_t count = find(text, 0, false, arena, &whole, &end);
    size_t first = find(dv_slice_sub(text, 0, cut), 0, true, arena, &part, &hold);
    if (first > count || (first > 0 && memcmp(part, whole, first * sizeof(*part)) != 0)) {
        abort();
    }
    size_t base = hold > DV_TAGGER_CONTEXT ? hold - DV_TAGGER_CONTEXT : 0;
    size_t rest = find(dv_slice_sub(text, base, text.len), hold - base, false, arena, &part, &end);
    if (first + rest != count) {
        abort();
    }
    for (size_t i = 0; i < rest; i++) {
        const dv_tagger_span *span = &whole[first + i];
        if (span->start != part[i].start + base || span->end != part[i].end + base ||
            span->type != part[i].type || span->score != part[i].score) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (tagger == NULL && (dv_tagger_model_builtin(&model, NULL) != DV_OK ||
                           dv_tagger_new(model, &tagger) != DV_OK)) {
        abort();
    }
    if (size < 2 || size > 4096) {
        return 0;
    }
    dv_auto(arena) dv_arena *arena = dv_arena_new(4 << 20);
    dv_slice text = dv_slice_of(data + 2, size - 2);
    check(text, (size_t)(data[0] << 8 | data[1]) % (text.len + 1), arena);
    return 0;
}
