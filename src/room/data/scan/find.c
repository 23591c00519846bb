/* SPDX-License-Identifier: Apache-2.0 */
/* Searching what a scan hands out. Running text goes through a window; values of a field are
 * joined, each behind the words of its field's name (which speak for it as they would in prose),
 * and searched some hundred at once. */
#include "room/data/scan/find.h"

#include "base/buf.h"
#include "engine/detect/detect.h"
#include "engine/detect/tagger/tagger.h"
#include "room/data/scan/parts.h"

#include <stdlib.h>

enum {
    WINDOW = 256 << 10, /* bytes of text that are searched at once */
    CONTEXT = 512,      /* bytes before them that are looked back at */
    STUCK = 64 << 10,   /* a value that goes on longer is cut there */
    LEAST_WINDOW = 4 << 10,
    BATCH = 32 << 10, /* bytes of a field's values */
    ASSET_ARENA = 64 << 20,
    SEARCH_ARENA = 64 << 20,
};

struct dv_data_finder {
    dv_data_finder_options options;
    dv_detect_rules *rules;
    dv_detect_scratch *scratch;
    dv_tagger_model *model; /* NULL: no names */
    dv_tagger *tagger;
    dv_arena *arena; /* of one search */
    dv_data_places places;
    dv_data_place *texting; /* whose running text is in the window; NULL: none */
    dv_buf window;
    size_t from; /* of the window, that is not decided yet */
};

/* What one search found before `until`. */
typedef struct findings {
    const dv_finding *values;
    size_t count;
    const dv_tagger_span *names;
    size_t name_count;
    size_t until;
} findings;

/* ---- kinds ---- */

static const dv_detect_custom *custom; /* of this process */

void dv_data_kinds_use(const dv_detect_custom *detectors)
{
    custom = detectors;
}

/* The first kind behind the names. */
static size_t first_custom(void)
{
    return dv_detect_count() + DV_TAGGER_TYPES;
}

size_t dv_data_kind_count(void)
{
    return first_custom() + dv_detect_custom_count(custom);
}

static bool is_name(size_t kind)
{
    return kind >= dv_detect_count() && kind < first_custom();
}

/* Of one that is no name. */
static const dv_detector_info *info_of(size_t kind)
{
    return kind < dv_detect_count()
               ? dv_detect_info(kind)
               : dv_detect_custom_info(custom, kind - first_custom() + DV_CUSTOM_FIRST);
}

static size_t kind_of(const dv_finding *finding)
{
    ptrdiff_t own = dv_detect_custom_index(custom, finding->detector);
    return own < 0 ? (size_t)dv_detect_index(finding->detector)
                   : first_custom() + (size_t)own - DV_CUSTOM_FIRST;
}

const char *dv_data_kind_id(size_t kind)
{
    return is_name(kind) ? dv_tagger_type_name((dv_tagger_type)(kind - dv_detect_count()))
                         : info_of(kind)->id;
}

const char *dv_data_kind_type(size_t kind)
{
    static const char *const types[DV_TAGGER_TYPES] = {
        [DV_TAGGER_PERSON] = "PERSON",
        [DV_TAGGER_LOCATION] = "LOCATION",
        [DV_TAGGER_ORGANIZATION] = "ORGANIZATION",
        [DV_TAGGER_ADDRESS] = "STREET_ADDRESS",
        [DV_TAGGER_DATE_TIME] = "DATE_TIME",
        [DV_TAGGER_AGE] = "AGE",
        [DV_TAGGER_NRP] = "NRP",
        [DV_TAGGER_TITLE] = "TITLE",
    };
    return is_name(kind) ? types[kind - dv_detect_count()] : info_of(kind)->type;
}

const char *dv_data_kind_category(size_t kind)
{
    return is_name(kind) ? "name" : info_of(kind)->category;
}

ptrdiff_t dv_data_kind_find(const char *id)
{
    ptrdiff_t index = dv_detect_index(id);
    for (size_t i = dv_detect_count(); i < dv_data_kind_count() && index < 0; i++) {
        index = strcmp(dv_data_kind_id(i), id) == 0 ? (ptrdiff_t)i : -1;
    }
    return index;
}

/* ---- one search ---- */

/* Where what was found is final; at least one byte behind `from`. */
static dv_result final_until(dv_data_finder *f, dv_slice text, size_t from, findings *found)
{
    size_t until = 0;
    DV_TRY(dv_detect_hold(f->rules, f->scratch, text, from, &f->options.detectors, found->values,
                          found->count, &until));
    until = DV_MIN(until, found->until);
    for (size_t i = found->count; i > 0; i--) {
        if (found->values[i - 1].start < until && until < found->values[i - 1].end) {
            until = found->values[i - 1].start;
        }
    }
    for (size_t i = found->name_count; i > 0; i--) {
        if (found->names[i - 1].start < until && until < found->names[i - 1].end) {
            until = found->names[i - 1].start;
        }
    }
    found->until = DV_MAX(DV_MAX(until, text.len - DV_MIN(text.len, STUCK)), from + 1);
    return DV_OK;
}

static dv_result search(dv_data_finder *f, dv_slice text, size_t from, bool last, findings *found)
{
    dv_arena_recycle(f->arena);
    *found = (findings){.until = text.len};
    DV_TRY(dv_detect_scan(f->rules, f->scratch, text, from, &f->options.detectors, f->arena,
                          &found->values, &found->count));
    if (f->tagger != NULL) {
        DV_TRY(dv_tagger_find(f->tagger, text, from, !last, DV_TAGGER_ALL, f->arena, &found->names,
                              &found->name_count, &found->until));
    }
    return last ? DV_OK : final_until(f, text, from, found);
}

/* ---- running text ---- */

static dv_result count_text(dv_data_finder *f, dv_data_place *place, const findings *found)
{
    for (size_t i = 0; i < found->count && found->values[i].start < found->until; i++) {
        const dv_finding *one = &found->values[i];
        if (one->score >= f->options.least) {
            DV_TRY(dv_data_place_count(&f->places, place, kind_of(one), one->score, 0));
        }
    }
    for (size_t i = 0; i < found->name_count && found->names[i].start < found->until; i++) {
        const dv_tagger_span *one = &found->names[i];
        if (one->score >= f->options.least) {
            DV_TRY(dv_data_place_count(&f->places, place, dv_detect_count() + one->type, one->score,
                                       0));
        }
    }
    return DV_OK;
}

/* Searches text from `from` on and counts what is final. */
static dv_result search_text(dv_data_finder *f, dv_data_place *place, dv_slice text, size_t from,
                             bool last, size_t *ret_until)
{
    findings found;
    dv_result result = search(f, text, from, last, &found);
    if (result == DV_ERR_TOO_LARGE && text.len - from > LEAST_WINDOW) {
        size_t half = from + (text.len - from) / 2;
        return search_text(f, place, dv_slice_sub(text, 0, half), from, false, ret_until);
    }
    DV_TRY(result);
    DV_TRY(count_text(f, place, &found));
    *ret_until = found.until;
    return DV_OK;
}

static dv_result search_window(dv_data_finder *f, bool last)
{
    while (f->from < f->window.len && (last || f->window.len - f->from >= WINDOW)) {
        DV_TRY(search_text(f, f->texting, dv_buf_slice(&f->window), f->from, last, &f->from));
    }
    size_t drop = last ? f->window.len : f->from > CONTEXT ? f->from - CONTEXT : 0;
    memmove(f->window.ptr, f->window.ptr + drop, f->window.len - drop);
    f->window.len -= drop;
    f->from = last ? 0 : f->from - drop;
    return DV_OK;
}

static dv_result end_text(dv_data_finder *f)
{
    if (f->texting != NULL && f->window.len > 0) {
        DV_TRY(search_window(f, true));
    }
    f->texting = NULL;
    return DV_OK;
}

static dv_result on_text(void *data, const dv_scan_place *at, dv_slice text, bool last)
{
    dv_data_finder *f = data;
    dv_data_place *place = NULL;
    bool fresh = false;
    if (text.len > 0) {
        DV_TRY(dv_data_places_get(&f->places, at, false, &place, &fresh));
        if (place != f->texting) {
            DV_TRY(end_text(f));
            f->texting = place;
        }
    }
    for (size_t at_byte = 0; at_byte < text.len;) {
        dv_slice piece = dv_slice_sub(text, at_byte, WINDOW);
        DV_TRY(dv_buf_append(&f->window, piece));
        DV_TRY(search_window(f, false));
        at_byte += piece.len;
    }
    return last ? end_text(f) : DV_OK;
}

/* ---- values of a field ---- */

/* The value that a byte of the batch stands in; SIZE_MAX: in a field's name. */
static size_t value_at(const dv_data_place *place, size_t first, size_t count, uint32_t byte)
{
    size_t low = first, high = first + count;
    while (low < high) { /* the first that begins behind it */
        size_t middle = low + (high - low) / 2;
        if (place->starts[middle] > byte) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low == first ? SIZE_MAX : low - 1;
}

static dv_result count_value(dv_data_finder *f, dv_data_place *place, size_t first, size_t count,
                             uint32_t start, size_t kind, uint8_t score)
{
    size_t words = strlen(place->part.words) + 1;
    size_t value = value_at(place, first, count, start);
    /* The next value's name stands right before it. */
    bool in_name = value == SIZE_MAX ||
                   (value + 1 < first + count && start + words >= place->starts[value + 1]);
    return in_name || score < f->options.least
               ? DV_OK
               : dv_data_place_count(&f->places, place, kind, score, place->first_cell + value);
}

static dv_result count_values(dv_data_finder *f, dv_data_place *place, size_t first, size_t count,
                              size_t offset, const findings *found)
{
    for (size_t i = 0; i < found->count; i++) {
        const dv_finding *one = &found->values[i];
        DV_TRY(count_value(f, place, first, count, (uint32_t)(offset + one->start), kind_of(one),
                           one->score));
    }
    for (size_t i = 0; i < found->name_count; i++) {
        const dv_tagger_span *one = &found->names[i];
        DV_TRY(count_value(f, place, first, count, (uint32_t)(offset + one->start),
                           dv_detect_count() + one->type, one->score));
    }
    return DV_OK;
}

/* One value with more in it than one search tells. */
static dv_result search_long(dv_data_finder *f, dv_data_place *place, dv_slice text)
{
    for (size_t from = 0; from < text.len;) {
        DV_TRY(search_text(f, place, text, from, true, &from));
    }
    return DV_OK;
}

/* `count` of the values that wait, from the first on. */
static dv_result search_values(dv_data_finder *f, dv_data_place *place, size_t first, size_t count)
{
    findings found;
    size_t words = strlen(place->part.words) + 1;
    size_t begin = place->starts[first] - words;
    size_t end =
        first + count < place->waiting ? place->starts[first + count] - words : place->batch.len;
    dv_slice text = dv_slice_sub(dv_buf_slice(&place->batch), begin, end - begin);
    dv_result result = search(f, text, 0, true, &found);
    if (result == DV_ERR_TOO_LARGE && count > 1) {
        DV_TRY(search_values(f, place, first, count / 2));
        return search_values(f, place, first + count / 2, count - count / 2);
    }
    if (result == DV_ERR_TOO_LARGE) {
        return search_long(f, place, text);
    }
    DV_TRY(result);
    return count_values(f, place, first, count, begin, &found);
}

static dv_result search_batch(dv_data_finder *f, dv_data_place *place)
{
    if (place->waiting > 0) {
        DV_TRY(search_values(f, place, 0, place->waiting));
    }
    place->first_cell += place->waiting;
    place->waiting = 0;
    dv_buf_clear(&place->batch);
    return DV_OK;
}

/* A heading may be no heading, and a name of a field somebody's address. */
static dv_result check_name(dv_data_finder *f, dv_data_place *place)
{
    findings found;
    DV_TRY(search(f, place->field, 0, true, &found));
    bool value = false;
    for (size_t i = 0; i < found.count; i++) {
        value |= strcmp(info_of(kind_of(&found.values[i]))->category, "network") != 0;
    }
    if (value) {
        DV_TRY(count_text(f, place, &found));
        dv_data_place_hide(place);
    }
    return DV_OK;
}

static dv_result add_value(dv_data_place *place, dv_slice value)
{
    if (place->waiting == place->room) {
        size_t capacity = place->room == 0 ? 64 : 2 * place->room;
        uint32_t *starts = realloc(place->starts, capacity * sizeof(*starts));
        if (starts == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        place->starts = starts;
        place->room = capacity;
    }
    DV_TRY(dv_buf_append_str(&place->batch, place->part.words));
    DV_TRY(dv_buf_append_byte(&place->batch, '\0'));
    place->starts[place->waiting++] = (uint32_t)place->batch.len;
    place->part.cells++;
    DV_TRY(dv_buf_append(&place->batch, value));
    return dv_buf_append_byte(&place->batch, '\0');
}

static dv_result on_value(void *data, const dv_scan_place *at, dv_slice value)
{
    dv_data_finder *f = data;
    dv_data_place *place = NULL;
    bool fresh = false;
    DV_TRY(dv_data_places_get(&f->places, at, true, &place, &fresh));
    if (fresh) {
        DV_TRY(check_name(f, place));
    }
    value = dv_slice_trim(value);
    if (value.len == 0) {
        return DV_OK;
    }
    DV_TRY(add_value(place, value));
    return place->batch.len >= BATCH ? search_batch(f, place) : DV_OK;
}

/* ---- items ---- */

static dv_result on_begin(void *data, const dv_scan_item *item)
{
    dv_data_finder *f = data;
    dv_data_places_clear(&f->places);
    f->texting = NULL;
    f->window.len = f->from = 0;
    return DV_OK;
}

static dv_result on_end(void *data, const dv_scan_item *item)
{
    dv_data_finder *f = data;
    const dv_data_part *parts[DV_DATA_PARTS_MAX + 1];
    DV_TRY(end_text(f));
    for (size_t i = 0; i < f->places.count; i++) {
        DV_TRY(search_batch(f, f->places.items[i]));
        parts[i] = &f->places.items[i]->part;
    }
    return f->options.done(f->options.data, item, parts, f->places.count);
}

dv_scan_visitor dv_data_finder_visitor(dv_data_finder *finder)
{
    return (dv_scan_visitor){finder, on_begin, on_text, on_value, on_end};
}

/* ---- making one ---- */

static dv_result start(dv_data_finder *f, dv_error *error)
{
    f->arena = dv_arena_new(SEARCH_ARENA);
    f->places.arena = dv_arena_new(ASSET_ARENA);
    f->window = dv_buf_init(2 * WINDOW + STUCK + CONTEXT);
    if (f->arena == NULL || f->places.arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_detect_rules_builtin(&f->rules, error));
    DV_TRY(dv_detect_scratch_new(f->rules, &f->scratch));
    dv_detect_scratch_use(f->scratch, custom);
    if (f->options.names) {
        DV_TRY(dv_tagger_model_builtin(&f->model, error));
        DV_TRY(dv_tagger_new(f->model, &f->tagger));
    }
    return DV_OK;
}

dv_result dv_data_finder_new(const dv_data_finder_options *options, dv_data_finder **ret_finder,
                             dv_error *error)
{
    dv_data_finder *finder = calloc(1, sizeof(*finder));
    if (finder == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    finder->options = *options;
    dv_result result = start(finder, error);
    if (result != DV_OK) {
        dv_data_finder_free(finder);
        return result;
    }
    *ret_finder = finder;
    return DV_OK;
}

void dv_data_finder_free(dv_data_finder *finder)
{
    if (finder == NULL) {
        return;
    }
    if (finder->places.arena != NULL) {
        dv_data_places_clear(&finder->places);
    }
    dv_arena_free(finder->places.arena);
    dv_arena_free(finder->arena);
    dv_buf_wipe(&finder->window);
    dv_tagger_free(finder->tagger);
    dv_tagger_model_free(finder->model);
    dv_detect_scratch_free(finder->scratch);
    dv_detect_rules_free(finder->rules);
    free(finder);
}
