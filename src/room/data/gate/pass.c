/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/gate_private.h"

#include "base/caps.h"
#include "engine/detect/encoded.h"

#include <stdarg.h>

/* What is done with what was found, the same for bodies, texts and streams. */

enum {
    FOLDED_PLACES = 24,
    DECODING_ARENA = 256 << 20, /* of one place in a text: some 40 bytes for each of its own */
};

/* ---- edits ---- */

dv_result dv_data_edits_add(dv_data_edits *edits, dv_arena *arena, size_t start, size_t end,
                            dv_slice text)
{
    dv_data_edit *list =
        dv_arena_grow(arena, edits->list, edits->count, &edits->room, sizeof(*list), 16);
    if (list == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    edits->list = list;
    edits->list[edits->count++] = (dv_data_edit){start, end, text};
    return DV_OK;
}

static int by_start(const void *a, const void *b)
{
    const dv_data_edit *x = a;
    const dv_data_edit *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static uint8_t *put(uint8_t *out, dv_slice bytes)
{
    if (bytes.len > 0) {
        memcpy(out, bytes.ptr, bytes.len);
    }
    return out + bytes.len;
}

dv_result dv_data_edits_apply(dv_data_edits *edits, dv_slice text, dv_arena *arena,
                              dv_slice *ret_text)
{
    size_t len = text.len;
    if (edits->count > 1) {
        qsort(edits->list, edits->count, sizeof(*edits->list), by_start);
    }
    size_t reached = 0;
    for (size_t i = 0; i < edits->count; i++) {
        const dv_data_edit *edit = &edits->list[i];
        if (edit->start < reached || edit->end < edit->start || edit->end > text.len) {
            return DV_ERR_INTERNAL;
        }
        reached = edit->end;
        len += edit->text.len - (edit->end - edit->start);
    }
    uint8_t *out = dv_arena_alloc_raw(arena, len + 1);
    if (out == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    uint8_t *end = out;
    size_t from = 0;
    for (size_t i = 0; i < edits->count; i++) {
        const dv_data_edit *edit = &edits->list[i];
        end = put(end, dv_slice_sub(text, from, edit->start - from));
        end = put(end, edit->text);
        from = edit->end;
    }
    (void)put(end, dv_slice_sub(text, from, text.len));
    *ret_text = dv_slice_of(out, len);
    return DV_OK;
}

dv_result dv_data_escape(dv_slice text, dv_arena *arena, dv_slice *ret_text)
{
    dv_auto(secret_buf) dv_buf quoted = dv_buf_init(text.len * 6 + 2);
    DV_TRY(dv_buf_reserve(&quoted, text.len * 6 + 2));
    DV_TRY(dv_buf_append_json_string(&quoted, text));
    return dv_arena_copy(arena, dv_slice_sub(dv_buf_slice(&quoted), 1, quoted.len - 2), ret_text);
}

/* ---- verdict ---- */

void dv_data_pass_deny(dv_data_pass *pass, const char *format, ...)
{
    char detail[DV_VERDICT_DETAIL_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    dv_verdict_deny(pass->verdict,
                    pass->answer ? DV_REASON_ANSWER_UNREADABLE : DV_REASON_SENSITIVE_DATA, "%s",
                    detail);
}

static void deny_value(dv_data_pass *pass, const char *name, const char *place)
{
    dv_verdict_deny(pass->verdict,
                    pass->answer ? DV_REASON_ANSWER_BLOCKED : DV_REASON_SENSITIVE_DATA, "%s at %s",
                    name, place[0] == '\0' ? "the body" : place);
}

/* ---- searching ---- */

/* An action that is none of these refuses, as block does. */
static unsigned strictness(dv_content_action action)
{
    switch (action) {
    case DV_ACTION_ALLOW:
    case DV_ACTION_ALERT:
    case DV_ACTION_MONITOR:
        return 0;
    case DV_ACTION_GENERALISE:
        return 1; /* leaves a part of what it was meant for */
    case DV_ACTION_MASK:
    case DV_ACTION_PLACEHOLDER:
    case DV_ACTION_REDACT:
    case DV_ACTION_HASH:
    case DV_ACTION_PSEUDONYM:
    case DV_ACTION_FPE:
    case DV_ACTION_DATE_SHIFT:
    case DV_ACTION_TOKEN:
        return 2; /* all hide the value */
    case DV_ACTION_BLOCK:
        break;
    }
    return 3;
}

static dv_content_action action_at(const dv_data_pass *pass, size_t detector)
{
    return (dv_content_action)pass->policy->actions[detector];
}

/* The detector whose action is taken: of all that saw a value there the strictest, and among
 * equals the one that names the finding. DV_DETECT_MAX: none saw it. */
static size_t decider(const dv_data_pass *pass, const dv_finding *finding)
{
    const dv_detector_set *saw = &finding->detectors;
    size_t best = dv_detector_set_next(saw, 0);
    for (size_t i = best; i < DV_DETECT_MAX; i = dv_detector_set_next(saw, i + 1)) {
        unsigned rank = strictness(action_at(pass, i));
        unsigned reached = strictness(action_at(pass, best));
        bool named = dv_data_kind(pass->policy, i)->id == finding->detector;
        if (rank > reached || (rank == reached && named)) {
            best = i;
        }
    }
    return best;
}

static unsigned strictness_of(const dv_data_pass *pass, const dv_finding *finding)
{
    size_t index = decider(pass, finding);
    return strictness(index < DV_DETECT_MAX ? action_at(pass, index) : DV_ACTION_BLOCK);
}

/* The findings and the placeholders among each other, by start. */
static dv_result add_hit(dv_data_pass *pass, dv_data_hit **hits, size_t *count, size_t *room,
                         dv_data_hit hit)
{
    if (*count == *room) {
        size_t bigger_room = *room == 0 ? 16 : *room * 2;
        dv_data_hit *bigger = dv_arena_alloc_raw(pass->temp, bigger_room * sizeof(*bigger));
        if (bigger == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        if (*count > 0) {
            memcpy(bigger, *hits, *count * sizeof(*bigger));
        }
        *hits = bigger;
        *room = bigger_room;
    }
    (*hits)[(*count)++] = hit;
    return DV_OK;
}

/* Puts one more hit behind those that are there; what overlaps the last one is settled. */
static dv_result settle(dv_data_pass *pass, dv_data_hit **hits, size_t *count, size_t *room,
                        dv_data_hit hit)
{
    dv_data_hit *last = *count > 0 ? &(*hits)[*count - 1] : NULL;
    if (last == NULL || hit.start >= last->end) {
        return add_hit(pass, hits, count, room, hit);
    }
    if (last->finding != NULL && hit.finding != NULL) { /* a placeholder between joined them */
        if (strictness_of(pass, hit.finding) > strictness_of(pass, last->finding)) {
            last->finding = hit.finding;
        }
        last->end = DV_MAX(last->end, hit.end);
        return DV_OK;
    }
    const dv_data_hit *place = last->finding == NULL ? last : &hit;
    const dv_data_hit *found = last->finding == NULL ? &hit : last;
    bool within = found->start >= place->start && found->end <= place->end;
    if (place->finding == NULL && found->finding != NULL &&
        (within || strictness_of(pass, found->finding) == 0)) {
        *last = *place; /* letters of a placeholder that look like a value, or nothing to hide */
        return DV_OK;
    }
    last->finding = found->finding;
    last->start = DV_MIN(last->start, hit.start);
    last->end = DV_MAX(last->end, hit.end);
    return DV_OK;
}

/* Adds what stands encoded to what was found. */
static dv_result find_encoded(dv_data_pass *pass, dv_slice text, size_t from,
                              const dv_finding **found, size_t *count)
{
    dv_data_gate *gate = pass->gate;
    if (gate->decoding == NULL) {
        gate->decoding = dv_arena_new(DECODING_ARENA);
    }
    if (gate->decoding == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    const dv_encoded job = {.rules = gate->rules,
                            .scratch = gate->scratch,
                            .enabled = &pass->policy->enabled,
                            .arena = pass->temp,
                            .work = gate->decoding,
                            .seen = pass->policy->loss_on != 0 ? dv_data_loss_seen : NULL,
                            .data = pass,
                            .cut = pass->cut,
                            .more = pass->more};
    dv_result result = dv_encoded_find(&job, text, from, found, count, &pass->hold);
    dv_arena_recycle(gate->decoding);
    return result;
}

/* Whether nothing stands in a short text encoded; false as well when that can't be told. */
static bool is_clean_decoded(dv_data_pass *pass, dv_slice text, const dv_detector_set *detectors)
{
    const dv_data_mets kept = pass->mets;
    const dv_finding *found = NULL;
    size_t count = 0, hold = text.len;
    const dv_encoded job = {.rules = pass->gate->rules,
                            .scratch = pass->gate->scratch,
                            .enabled = detectors,
                            .arena = pass->temp,
                            .work = pass->gate->decoding,
                            .seen = pass->policy->loss_on != 0 ? dv_data_loss_seen : NULL,
                            .data = pass};
    pass->mets = (dv_data_mets){.list = NULL};
    bool clean = dv_encoded_find(&job, text, 0, &found, &count, &hold) == DV_OK && count == 0 &&
                 pass->mets.count == 0;
    pass->mets = kept;
    return clean;
}

/* A name in which nothing stands, encoded or not. */
bool dv_data_pass_is_clean(dv_data_pass *pass, dv_slice text)
{
    dv_data_gate *gate = pass->gate;
    dv_detector_set detectors = *dv_detect_standard();
    const dv_finding *found = NULL;
    size_t count = 0;
    dv_detector_set_join(&detectors, &pass->policy->enabled);
    dv_data_custom_use(pass);
    if (dv_detect_scan(gate->rules, gate->scratch, text, 0, &detectors, pass->temp, &found,
                       &count) != DV_OK ||
        count > 0) {
        return false;
    }
    if (pass->policy->decode && !is_clean_decoded(pass, text, &detectors)) {
        return false;
    }
    if (pass->policy->loss_on != 0 && !dv_data_loss_is_clean(pass, text)) {
        return false;
    }
    return !pass->policy->names ||
           (dv_data_names_find(pass, text, 0, &found, &count) == DV_OK && count == 0);
}

static dv_result find_all(dv_data_pass *pass, dv_slice text, size_t from, const dv_finding **found,
                          size_t *count)
{
    dv_data_gate *gate = pass->gate;
    DV_TRY(dv_detect_scan(gate->rules, gate->scratch, text, from, &pass->policy->enabled,
                          pass->temp, found, count));
    pass->found = *found;
    pass->found_count = *count;
    pass->hold = text.len;
    if (pass->policy->loss_on != 0) {
        DV_TRY(dv_data_loss_look(pass, text, from));
    }
    if (pass->policy->decode) {
        DV_TRY(find_encoded(pass, text, from, found, count));
    }
    return pass->policy->names ? dv_data_names_find(pass, text, from, found, count) : DV_OK;
}

dv_result dv_data_pass_search(dv_data_pass *pass, dv_slice text, size_t from,
                              dv_data_hit **ret_hits, size_t *ret_count)
{
    const dv_finding *findings = NULL;
    size_t finding_count = 0;
    dv_data_hit *hits = NULL;
    size_t count = 0;
    size_t room = 0;
    dv_data_custom_use(pass);
    dv_detect_scratch_hurry(pass->gate->scratch, pass->gate->effort);
    dv_result result = find_all(pass, text, from, &findings, &finding_count);
    dv_detect_scratch_hurry(pass->gate->scratch, 0);
    DV_TRY(result);
    dv_data_place place = {0};
    bool more = pass->answer && dv_data_placeholder_find(pass->context, text, from, &place);
    for (size_t i = 0; i < finding_count || more;) {
        if (more && (i == finding_count || place.start <= findings[i].start)) {
            DV_TRY(settle(pass, &hits, &count, &room,
                          (dv_data_hit){place.start, place.end, NULL, place.value}));
            more = dv_data_placeholder_find(pass->context, text, place.end, &place);
            continue;
        }
        DV_TRY(settle(pass, &hits, &count, &room,
                      (dv_data_hit){findings[i].start, findings[i].end, &findings[i], {NULL, 0}}));
        i++;
    }
    *ret_hits = hits;
    *ret_count = count;
    return DV_OK;
}

/* ---- deciding ---- */

static bool is_shown(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z');
}

/* How many characters a mask may show: where values overlap, as few as any of them allows. */
static size_t keep_last(const dv_data_policy *policy, const dv_finding *finding,
                        const dv_detector_info *info)
{
    size_t keep = finding->encoded ? 0 : info->keep_last; /* what it would show is no clear text */
    const dv_detector_set *saw = &finding->detectors;
    for (size_t i = dv_detector_set_next(saw, 0); i < DV_DETECT_MAX;
         i = dv_detector_set_next(saw, i + 1)) {
        keep = DV_MIN(keep, (size_t)dv_data_kind(policy, i)->keep_last);
    }
    return keep;
}

/* "[CARD ****1111]": the last `keep` letters and digits, when there are thrice as many. */
static dv_result mask(dv_data_pass *pass, const dv_detector_info *info, size_t keep, dv_slice value,
                      dv_slice *ret_text)
{
    char kept[8];
    size_t count = 0;
    size_t shown = 0;
    for (size_t i = 0; i < value.len; i++) {
        shown += is_shown(value.ptr[i]) ? 1 : 0;
    }
    keep = DV_MIN(keep, sizeof(kept));
    if (shown < 3 * keep) {
        keep = 0;
    }
    for (size_t i = value.len; i > 0 && count < keep; i--) {
        if (is_shown(value.ptr[i - 1])) {
            kept[keep - 1 - count++] = (char)value.ptr[i - 1];
        }
    }
    const char *text =
        keep == 0 ? dv_arena_printf(pass->temp, "[%s]", info->label)
                  : dv_arena_printf(pass->temp, "[%s ****%.*s]", info->label, (int)keep, kept);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_text = dv_slice_str(text);
    return DV_OK;
}

static dv_result grow_sightings(dv_data_pass *pass)
{
    dv_data_sighting *list = dv_arena_grow(pass->arena, pass->sightings, pass->sighting_count,
                                           &pass->sighting_room, sizeof(*list), 8);
    if (list == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    pass->sightings = list;
    pass->noted += pass->sighting_room * sizeof(*list);
    return DV_OK;
}

/* Adds a sighting to one of its kind; a stream may go on for hours. */
static bool fold(const dv_data_pass *pass, const dv_data_sighting *seen)
{
    for (size_t i = 0; i < pass->sighting_count; i++) {
        dv_data_sighting *other = &pass->sightings[i];
        if (other->detector == seen->detector && other->action == seen->action &&
            strcmp(other->place, seen->place) == 0) {
            other->times += other->times < UINT32_MAX ? 1 : 0;
            other->score = DV_MAX(other->score, seen->score);
            return true;
        }
    }
    return false;
}

static dv_result note(dv_data_pass *pass, dv_data_sighting seen)
{
    if (pass->folds && pass->sighting_count >= FOLDED_PLACES) {
        seen.place = ""; /* of more places only the kind is told */
    }
    if (pass->folds && fold(pass, &seen)) {
        return DV_OK;
    }
    if (pass->sighting_count == DV_LIMIT_FINDINGS) {
        return DV_ERR_TOO_LARGE;
    }
    if (pass->sighting_count == pass->sighting_room) {
        DV_TRY(grow_sightings(pass));
    }
    if (pass->arena != pass->temp) {
        seen.place = dv_arena_printf(pass->arena, "%s", seen.place);
        if (seen.place == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        pass->noted += strlen(seen.place) + 16;
    }
    pass->sightings[pass->sighting_count++] = seen;
    return DV_OK;
}

/* A value is counted for each volume that speaks of one of the detectors that saw it. */
static void count_value(dv_data_pass *pass, const dv_finding *finding)
{
    for (size_t i = 0; i < pass->policy->volume_count; i++) {
        bool meant =
            dv_detector_set_meets(&finding->detectors, &pass->policy->volumes[i].scope.detectors);
        pass->values[i] += meant && pass->values[i] < UINT32_MAX;
    }
}

dv_result dv_data_pass_decide(dv_data_pass *pass, dv_slice text, const dv_data_hit *hit,
                              const char *place, dv_slice *ret_text)
{
    if (hit->finding == NULL) {
        *ret_text = hit->value;
        return DV_OK;
    }
    size_t index = decider(pass, hit->finding);
    const dv_detector_info *info = dv_data_kind(pass->policy, index);
    if (info == NULL) {
        return DV_ERR_INTERNAL;
    }
    dv_slice value = dv_slice_sub(text, hit->start, hit->end - hit->start);
    dv_content_action action = action_at(pass, index);
    *ret_text = (dv_slice){NULL, 0};
    bool token = false;
    if (dv_data_context_has_made(pass->context, action, pass->answer, value)) {
        return DV_OK; /* it stands for a value, and is none */
    }
    DV_TRY(dv_data_act_is_token(pass, text, hit, &token));
    if (token) {
        return DV_OK; /* likewise, whoever made it */
    }
    DV_TRY(note(pass, (dv_data_sighting){.detector = info->id,
                                         .place = place,
                                         .action = action,
                                         .score = hit->finding->score,
                                         .times = 1}));
    count_value(pass, hit->finding);
    switch (action) {
    case DV_ACTION_ALLOW:
    case DV_ACTION_ALERT:
    case DV_ACTION_MONITOR:
        return DV_OK;
    case DV_ACTION_REDACT:
        return mask(pass, info, 0, value, ret_text);
    case DV_ACTION_MASK:
        return mask(pass, info, keep_last(pass->policy, hit->finding, info), value, ret_text);
    case DV_ACTION_PLACEHOLDER:
        return dv_data_placeholder_make(pass->context, info->label, value, ret_text);
    case DV_ACTION_HASH:
    case DV_ACTION_PSEUDONYM:
    case DV_ACTION_FPE:
    case DV_ACTION_DATE_SHIFT:
    case DV_ACTION_GENERALISE:
    case DV_ACTION_TOKEN:
        return dv_data_act(pass, index, hit->finding, value, ret_text);
    case DV_ACTION_BLOCK:
        break;
    }
    deny_value(pass, info->name, place);
    return DV_OK;
}

dv_result dv_data_pass_meet(dv_data_pass *pass, const dv_data_met *met, const char *place)
{
    const dv_data_loss *loss = pass->policy->loss;
    const char *name = dv_data_loss_name(loss, met->set);
    dv_content_action action = dv_data_loss_action(loss, met->set);
    bool folds = pass->folds;
    pass->folds = true; /* a text may hold a whole table */
    dv_result result = note(pass, (dv_data_sighting){.detector = name,
                                                     .place = place,
                                                     .action = action,
                                                     .score = 100,
                                                     .times = 1,
                                                     .tells = action == DV_ACTION_ALERT});
    pass->folds = folds;
    if (result == DV_OK && action == DV_ACTION_BLOCK) {
        deny_value(pass, name, place);
    }
    return result;
}
