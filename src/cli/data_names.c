/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data_names.h"

#include "base/caps.h"
#include "engine/detect/decode.h"
#include "engine/detect/tagger/tagger.h"
#include "room/data/scan/find.h"

#include <stdlib.h>

struct dv_data_names {
    dv_tagger_model *model;
    dv_tagger *tagger;
};

/* One text for each type, always the same. */
static const char *type_name(dv_tagger_type type)
{
    return dv_data_kind_type(dv_detect_count() + type);
}

dv_result dv_data_names_new(dv_data_names **ret_names, dv_error *error)
{
    dv_data_names *names = calloc(1, sizeof(*names));
    dv_result result =
        names == NULL ? DV_ERR_NO_MEMORY : dv_tagger_model_builtin(&names->model, error);
    if (result == DV_OK) {
        result = dv_tagger_new(names->model, &names->tagger);
    }
    if (result != DV_OK) {
        dv_data_names_free(names);
        return result;
    }
    *ret_names = names;
    return DV_OK;
}

void dv_data_names_free(dv_data_names *names)
{
    if (names != NULL) {
        dv_tagger_free(names->tagger);
        dv_tagger_model_free(names->model);
        free(names);
    }
}

/* A finding's detector is one of those texts, by its address, when it is a name. */
const char *dv_data_names_type(const dv_finding *finding)
{
    for (dv_tagger_type type = 0; type < DV_TAGGER_TYPES; type++) {
        if (finding->detector == type_name(type)) {
            return finding->detector;
        }
    }
    return NULL;
}

static bool is_word(uint8_t byte)
{
    return byte >= 0x80 || (byte >= '0' && byte <= '9') ||
           ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
}

/* What is left of a name between values is one still, or part of it would stand there bare. */
static void add_rest(dv_slice text, const dv_tagger_span *span, size_t start, size_t end,
                     dv_finding *out, size_t *total)
{
    bool whole = start == span->start && end == span->end;
    while (!whole && start < end && !is_word(text.ptr[start])) {
        start++;
    }
    while (!whole && start < end && !is_word(text.ptr[end - 1])) {
        end--;
    }
    if (start < end) {
        out[(*total)++] = (dv_finding){.detector = type_name(span->type),
                                       .start = (uint32_t)start,
                                       .end = (uint32_t)end,
                                       .score = span->score};
    }
}

/* Both lists are sorted and without overlaps; out has room for twice the findings and the spans.
 * Every byte of either list is in the result. Returns how many there are. */
static size_t merge(dv_slice text, const dv_finding *found, size_t count,
                    const dv_tagger_span *spans, size_t span_count, dv_finding *out)
{
    size_t i = 0, total = 0, done = 0; /* done: where the last value ended */
    for (size_t j = 0; j < span_count; j++) {
        for (; i < count && found[i].end <= spans[j].start; i++) {
            out[total++] = found[i];
        }
        size_t at = DV_MAX(done, spans[j].start);
        for (; i < count && found[i].start < spans[j].end; i++) {
            if (at < found[i].start) {
                add_rest(text, &spans[j], at, found[i].start, out, &total);
            }
            out[total++] = found[i];
            at = done = found[i].end;
        }
        if (at < spans[j].end) {
            add_rest(text, &spans[j], at, spans[j].end, out, &total);
        }
    }
    for (; i < count; i++) {
        out[total++] = found[i];
    }
    return total;
}

dv_result dv_data_names_add(dv_data_names *names, dv_slice text, size_t from, bool more,
                            dv_arena *arena, const dv_finding **found, size_t *count, size_t *until)
{
    size_t span_count = 0, hold = text.len;
    const dv_tagger_span *spans = NULL;
    DV_TRY(dv_tagger_find(names->tagger, text, from, more, DV_TAGGER_ALL, arena, &spans,
                          &span_count, &hold));
    dv_finding *all = dv_arena_alloc_raw(arena, (2 * *count + span_count + 1) * sizeof(*all));
    if (all == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    size_t total = merge(text, *found, *count, spans, span_count, all);
    *until = DV_MAX(DV_MIN(*until, hold), from + 1);
    for (size_t i = total; i > 0; i--) {
        if (all[i - 1].start < *until && *until < all[i - 1].end && all[i - 1].start > from) {
            *until = all[i - 1].start; /* what cuts it short may still come */
        }
    }
    *found = all;
    *count = total;
    return DV_OK;
}

dv_result dv_data_extra_add(void *data, dv_slice text, size_t from, bool more, dv_arena *arena,
                            const dv_finding **found, size_t *count, size_t *until)
{
    const dv_data_extra *extra = data;
    if (extra->names != NULL) {
        DV_TRY(dv_data_names_add(extra->names, text, from, more, arena, found, count, until));
    }
    return extra->decode == NULL
               ? DV_OK
               : dv_decode_also(extra->decode, text, from, more, arena, found, count, until);
}
