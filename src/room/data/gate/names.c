/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/names.h"

#include "base/caps.h"
#include "engine/detect/tagger/tagger.h"
#include "room/data/gate/gate_private.h"

#define NAME(of, text, is_standard, told)                                                          \
    [of] = {.id = text,                                                                            \
            .name = told,                                                                          \
            .type = #of,                                                                           \
            .category = "personal",                                                                \
            .region = "any",                                                                       \
            .label = (#of) + sizeof("DV_TAGGER_") - 1,                                             \
            .doc = told " in a text, by the built-in model",                                       \
            .request_action = DV_ACTION_PLACEHOLDER,                                               \
            .answer_action = DV_ACTION_MASK,                                                       \
            .standard = is_standard,                                                               \
            .score = 100}

/* As dv_tagger_type counts them. `standard`: of what `names: true` means. */
static const dv_detector_info kinds[DV_TAGGER_TYPES] = {
    NAME(DV_TAGGER_PERSON, "person", true, "Name of a person"),
    NAME(DV_TAGGER_LOCATION, "location", false, "Name of a place"),
    NAME(DV_TAGGER_ORGANIZATION, "organization", false, "Name of an organization"),
    NAME(DV_TAGGER_ADDRESS, "address", true, "Postal address"),
    NAME(DV_TAGGER_DATE_TIME, "date_time", false, "Date"),
    NAME(DV_TAGGER_AGE, "age", false, "Age of a person"),
    NAME(DV_TAGGER_NRP, "nrp", false, "Nationality, religion or political group"),
    NAME(DV_TAGGER_TITLE, "title", false, "Title of a person"),
};

enum { BYTE_EFFORT = 16 }; /* nanoseconds that naming a byte takes, about */

size_t dv_masking_kind_count(void)
{
    return dv_detect_count() + DV_TAGGER_TYPES;
}

const dv_detector_info *dv_masking_kind(size_t index)
{
    size_t detectors = dv_detect_count();
    if (index < detectors) {
        return dv_detect_info(index);
    }
    return index < dv_masking_kind_count() ? &kinds[index - detectors] : NULL;
}

ptrdiff_t dv_masking_kind_index(const char *id)
{
    for (size_t i = 0; i < DV_TAGGER_TYPES; i++) {
        if (strcmp(kinds[i].id, id) == 0) {
            return (ptrdiff_t)(dv_detect_count() + i);
        }
    }
    return dv_detect_index(id);
}

void dv_data_names_standard(dv_detector_set *set)
{
    for (size_t i = 0; i < DV_TAGGER_TYPES; i++) {
        if (kinds[i].standard) {
            dv_detector_set_add(set, dv_detect_count() + i);
        }
    }
}

static uint32_t types_of(const dv_detector_set *set)
{
    uint32_t types = 0;
    for (size_t i = 0; i < DV_TAGGER_TYPES; i++) {
        types |= (uint32_t)dv_detector_set_has(set, dv_detect_count() + i) << i;
    }
    return types;
}

bool dv_data_names_meant(const dv_detector_set *set)
{
    return types_of(set) != 0;
}

/* ---- finding ---- */

static dv_result open_tagger(dv_data_gate *gate)
{
    if (gate->tagger != NULL) {
        return DV_OK;
    }
    if (gate->names == NULL) {
        DV_TRY(dv_tagger_model_builtin(&gate->names, NULL));
    }
    return dv_tagger_new(gate->names, &gate->tagger);
}

void dv_data_names_release(dv_data_gate *gate)
{
    dv_tagger_free(gate->tagger);
    dv_tagger_model_free(gate->names);
}

static int by_start(const void *a, const void *b)
{
    const dv_finding *x = a;
    const dv_finding *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

/* Findings that overlap become one over all their bytes, so that no part of any is left bare. A
 * value is named before a name. */
static size_t join(dv_finding *found, size_t count)
{
    size_t kept = 0;
    qsort(found, count, sizeof(*found), by_start);
    for (size_t i = 0; i < count; i++) {
        dv_finding *last = kept == 0 ? NULL : &found[kept - 1];
        if (last == NULL || found[i].start >= last->end) {
            found[kept++] = found[i];
            continue;
        }
        if (dv_data_names_meant(&last->detectors) && !dv_data_names_meant(&found[i].detectors)) {
            last->detector = found[i].detector;
        }
        last->score = DV_MAX(last->score, found[i].score);
        last->end = DV_MAX(last->end, found[i].end);
        last->encoded |= found[i].encoded;
        dv_detector_set_join(&last->detectors, &found[i].detectors);
    }
    return kept;
}

dv_result dv_data_names_find(dv_data_pass *pass, dv_slice text, size_t from,
                             const dv_finding **found, size_t *count)
{
    dv_data_gate *gate = pass->gate;
    const dv_tagger_span *spans = NULL;
    size_t span_count = 0, hold = text.len;
    DV_TRY(open_tagger(gate));
    DV_TRY(dv_detect_scratch_spend(gate->scratch, (text.len - from) * BYTE_EFFORT));
    DV_TRY(dv_tagger_find(gate->tagger, text, from, pass->more, types_of(&pass->policy->enabled),
                          pass->temp, &spans, &span_count, &hold));
    pass->hold = DV_MIN(pass->hold, hold);
    if (span_count == 0) {
        return DV_OK;
    }
    dv_finding *all = dv_arena_alloc_raw(pass->temp, (*count + span_count) * sizeof(*all));
    if (all == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < *count; i++) {
        all[i] = (*found)[i];
    }
    for (size_t i = 0; i < span_count; i++) {
        dv_finding *one = &all[*count + i];
        *one = (dv_finding){.detector = kinds[spans[i].type].id,
                            .start = spans[i].start,
                            .end = spans[i].end,
                            .score = spans[i].score};
        dv_detector_set_add(&one->detectors, dv_detect_count() + spans[i].type);
    }
    *count = join(all, *count + span_count);
    *found = all;
    return *count <= DV_LIMIT_FINDINGS ? DV_OK : DV_ERR_TOO_LARGE;
}
