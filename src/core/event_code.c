/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_code.h"

#include "base/caps.h"
#include "base/codec.h"
#include "core/event_view.h"

#include <limits.h>

enum {
    SHORT = DV_EVENT_SHORT,
    MEDIUM = DV_EVENT_MEDIUM,
    LONG = DV_EVENT_LONG,
    ACTION = 16,     /* the names of content actions are shorter */
    NUMBER_MAX = 10, /* bytes of 64 bits, seven in each */
    TIME_LEN = 8,
};

enum flag {
    HAS_CALLER = 1,
    IS_SERVICE = 2, /* the caller; otherwise a user */
    HAS_CREDENTIAL = 4,
    IS_DECIDED = 8,
    IS_ALLOWED = 16,
    HAS_LIMIT = 32,
    IS_CLOSE = 64,
    IS_ABORTED = 128,
};

enum limit_flag { IS_ADMITTED = 1, IS_RESERVED = 2, IS_SETTLED = 4, LIMIT_FLAGS = 7 };

/* The longest code, so that its writer looks for room once. */
enum {
    SHORT_ROOM = SHORT + 4, /* its length, the byte beyond the limit, a NUL */
    MEDIUM_ROOM = MEDIUM + 4,
    LONG_ROOM = LONG + 4,
    ACTION_ROOM = ACTION + 4,
    REQUEST_MAX = 6 * SHORT_ROOM + 3 * MEDIUM_ROOM + LONG_ROOM + 2 * NUMBER_MAX,
    CALLER_MAX = 2 * MEDIUM_ROOM + 1 + DV_EVENT_GROUPS_MAX * SHORT_ROOM,
    VERDICT_MAX = 2 * SHORT_ROOM + LONG_ROOM + DV_VERDICT_OTHERS_MAX + 2 * NUMBER_MAX,
    SIGHTING_MAX = SHORT_ROOM + MEDIUM_ROOM + ACTION_ROOM + 1 + NUMBER_MAX,
    SEEN_MAX = 2 * NUMBER_MAX + 1 + DV_EVENT_SIGHTINGS_MAX * SIGHTING_MAX,
    LIMIT_MAX = MEDIUM_ROOM + SHORT_ROOM + 1 + 4 * TIME_LEN + 6 * NUMBER_MAX,
    OUTCOME_MAX = 7 * NUMBER_MAX,
    VOLUMES_MAX = 1 + DV_EVENT_VOLUMES_MAX *
                          (DV_EVENT_VOLUME_RULE + DV_EVENT_VOLUME_ACTION + 8 + 3 * NUMBER_MAX + 1),
    CODE_MAX = 2 + TIME_LEN + REQUEST_MAX + CALLER_MAX + 2 * SHORT_ROOM + VERDICT_MAX + SEEN_MAX +
               VOLUMES_MAX + LIMIT_MAX + OUTCOME_MAX,
};
_Static_assert(CODE_MAX <= (size_t)DV_LIMIT_RECORD, "every code is a record");

/* -- encoding ---------------------------------------------------------------------------------- */

static inline uint8_t *put_number(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

/* Small numbers of either sign stay short. */
static inline uint8_t *put_signed(uint8_t *at, int64_t value)
{
    return put_number(at, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

static inline uint8_t *put_time(uint8_t *at, dv_time time)
{
    dv_put_u64(at, (uint64_t)time);
    return at + TIME_LEN;
}

/* One byte beyond the limit tells the expansion that there was more. */
static inline uint8_t *put_text(uint8_t *at, dv_slice text, size_t max)
{
    size_t len = DV_MIN(text.len, max + 1);
    at = put_number(at, len);
    if (len > 0) {
        memcpy(at, text.ptr, len);
    }
    return at + len;
}

static inline uint8_t *put_string(uint8_t *at, const char *string, size_t max)
{
    at = put_text(at, dv_slice_of(string, string == NULL ? 0 : strnlen(string, max + 1)), max);
    *at++ = '\0';
    return at;
}

static uint8_t *put_request(uint8_t *at, const dv_event_request *request)
{
    at = put_text(at, request->request_id, SHORT);
    at = put_text(at, request->address, SHORT);
    at = put_number(at, request->port);
    at = put_text(at, request->route, SHORT);
    at = put_text(at, request->method, SHORT);
    at = put_text(at, dv_event_path(request->path), LONG);
    at = put_text(at, request->http_version, SHORT);
    at = put_text(at, request->user_agent, MEDIUM);
    at = put_text(at, request->action, SHORT);
    at = put_text(at, request->model, MEDIUM);
    at = put_text(at, request->upstream, MEDIUM);
    return put_number(at, request->body_bytes);
}

static uint8_t *put_caller(uint8_t *at, const dv_principal *principal)
{
    size_t groups = DV_MIN(principal->group_count, (size_t)DV_EVENT_GROUPS_MAX);
    at = put_text(at, principal->name, MEDIUM);
    at = put_text(at, principal->entity, MEDIUM);
    *at++ = (uint8_t)groups;
    for (size_t i = 0; i < groups; i++) {
        at = put_text(at, principal->groups[i], SHORT);
    }
    return at;
}

static uint8_t *put_credential(uint8_t *at, const dv_credential *credential)
{
    at = put_text(at, credential->kind, SHORT);
    return put_text(at, credential->id, SHORT);
}

/* Nearly always none: one byte. */
static inline uint8_t *put_others(uint8_t *at, const dv_verdict *verdict)
{
    at = put_text(at, verdict->others, DV_VERDICT_OTHERS_MAX);
    return verdict->others.len > 0 ? put_number(at, verdict->unnamed) : at;
}

static uint8_t *put_verdict(uint8_t *at, const dv_verdict *verdict)
{
    at = put_text(at, dv_slice_str(dv_reason_name(verdict->reason)), SHORT);
    at = put_text(at, dv_slice_str(verdict->policy), SHORT);
    at = put_others(at, verdict);
    return put_text(at, dv_slice_str(verdict->detail), LONG);
}

static uint8_t *put_sighting(uint8_t *at, const dv_sighting *sighting)
{
    at = put_string(at, sighting->detector, SHORT);
    at = put_string(at, sighting->place, MEDIUM);
    at = put_text(at, dv_slice_str(dv_content_action_name(sighting->action)), ACTION);
    *at++ = sighting->score;
    return put_number(at, sighting->times);
}

/* Those that can not be listed are counted, and whether one of them was rewritten. */
static uint8_t *put_seen(uint8_t *at, const dv_sighting *sightings, size_t count, uint64_t unlisted,
                         bool unlisted_rewrote)
{
    size_t listed = DV_MIN(count, (size_t)DV_EVENT_SIGHTINGS_MAX);
    unlisted += count - listed;
    *at++ = (uint8_t)listed;
    at = put_number(at, unlisted);
    if (unlisted > 0) {
        *at++ = unlisted_rewrote || dv_event_rewrote(sightings + listed, count - listed);
    }
    for (size_t i = 0; i < listed; i++) {
        at = put_sighting(at, &sightings[i]);
    }
    return at;
}

static uint8_t *put_volumes(uint8_t *at, const dv_event_volume *volumes, size_t count)
{
    count = DV_MIN(count, (size_t)DV_EVENT_VOLUMES_MAX);
    *at++ = (uint8_t)count;
    for (size_t i = 0; i < count; i++) {
        at = put_text(at, volumes[i].rule, DV_EVENT_VOLUME_RULE);
        at = put_string(at, volumes[i].action, DV_EVENT_VOLUME_ACTION);
        at = put_number(at, volumes[i].values);
        at = put_number(at, volumes[i].limit);
        at = put_number(at, (uint64_t)volumes[i].per);
        *at++ = volumes[i].uncounted;
    }
    return at;
}

static uint8_t *put_limit(uint8_t *at, const dv_event_limit *limit)
{
    bool reserved = limit->reserved_at != 0;
    *at++ = (uint8_t)((limit->admitted ? IS_ADMITTED : 0) | (reserved ? IS_RESERVED : 0) |
                      (reserved && limit->settled ? IS_SETTLED : 0));
    at = put_text(at, limit->key, MEDIUM);
    at = put_string(at, limit->unit, SHORT);
    at = put_number(at, limit->limit);
    at = put_number(at, limit->remaining);
    at = put_time(at, limit->now);
    at = put_time(at, limit->tat);
    at = put_time(at, limit->called_at);
    if (reserved) {
        at = put_time(at, limit->reserved_at);
        at = put_number(at, limit->reserved_tokens);
        at = put_number(at, limit->reserved_cost);
    }
    if (reserved && limit->settled) {
        at = put_number(at, limit->settled_tokens);
        at = put_number(at, limit->settled_cost);
    }
    return at;
}

static uint8_t *put_outcome(uint8_t *at, const dv_event_outcome *outcome)
{
    at = put_signed(at, outcome->status);
    at = put_signed(at, outcome->upstream_status);
    at = put_signed(at, outcome->latency);
    at = put_signed(at, outcome->upstream_latency);
    at = put_signed(at, outcome->input_tokens);
    at = put_signed(at, outcome->output_tokens);
    return put_number(at, outcome->answer_bytes);
}

static uint8_t flags_of(const dv_event_request *request, const dv_verdict *verdict)
{
    const dv_principal *caller = request->principal;
    unsigned flags = 0;
    if (caller != NULL) {
        flags |= HAS_CALLER | (caller->type == DV_PRINCIPAL_SERVICE ? (unsigned)IS_SERVICE : 0);
    }
    if (verdict != NULL) {
        flags |= IS_DECIDED | (verdict->decision == DV_ALLOW ? (unsigned)IS_ALLOWED : 0);
    }
    flags |= request->credential != NULL ? (unsigned)HAS_CREDENTIAL : 0;
    return (uint8_t)(flags | (request->limit != NULL ? (unsigned)HAS_LIMIT : 0));
}

/* What both records have, up to the sightings. */
static uint8_t *put_front(uint8_t *at, unsigned flags, dv_time time,
                          const dv_event_request *request, const dv_verdict *verdict)
{
    *at++ = DV_EVENT_CODE_VERSION;
    *at++ = (uint8_t)flags;
    at = put_time(at, time);
    at = put_request(at, request);
    if (request->principal != NULL) {
        at = put_caller(at, request->principal);
    }
    if (request->credential != NULL) {
        at = put_credential(at, request->credential);
    }
    return verdict != NULL ? put_verdict(at, verdict) : at;
}

dv_result dv_event_code_open(dv_buf *out, const dv_event_request *request)
{
    const dv_verdict *verdict = request->verdict;
    DV_TRY(dv_buf_reserve(out, CODE_MAX));
    uint8_t *at = out->ptr + out->len;
    at = put_front(at, flags_of(request, verdict), request->time, request, verdict);
    at = put_seen(at, request->sightings, request->sighting_count, request->unlisted,
                  request->unlisted_rewrote);
    at = put_volumes(at, request->volumes, request->volume_count);
    if (request->limit != NULL) {
        at = put_limit(at, request->limit);
    }
    out->len = (size_t)(at - out->ptr);
    return DV_OK;
}

dv_result dv_event_code_close(dv_buf *out, const dv_event_request *request,
                              const dv_event_outcome *outcome)
{
    const dv_verdict *verdict = outcome->verdict != NULL ? outcome->verdict : request->verdict;
    unsigned flags = flags_of(request, verdict) | (unsigned)IS_CLOSE;
    flags |= outcome->aborted ? (unsigned)IS_ABORTED : 0;
    DV_TRY(dv_buf_reserve(out, CODE_MAX));
    uint8_t *at = out->ptr + out->len;
    at = put_front(at, flags, outcome->time, request, verdict);
    at = put_seen(at, outcome->sightings, outcome->sighting_count, outcome->unlisted,
                  outcome->unlisted_rewrote);
    at = put_volumes(at, outcome->volumes, outcome->volume_count);
    if (request->limit != NULL) {
        at = put_limit(at, request->limit);
    }
    out->len = (size_t)(put_outcome(at, outcome) - out->ptr);
    return DV_OK;
}

/* -- decoding ---------------------------------------------------------------------------------- */

static bool take(dv_slice *rest, size_t len, dv_slice *ret_piece)
{
    if (rest->len < len) {
        return false;
    }
    *ret_piece = dv_slice_sub(*rest, 0, len);
    *rest = dv_slice_sub(*rest, len, rest->len);
    return true;
}

/* A byte of at most `max`. */
static bool take_byte(dv_slice *rest, uint8_t max, uint8_t *ret_value)
{
    dv_slice piece;
    if (!take(rest, 1, &piece) || piece.ptr[0] > max) {
        return false;
    }
    *ret_value = piece.ptr[0];
    return true;
}

static bool take_number(dv_slice *rest, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = 0;
        if (!take_byte(rest, UINT8_MAX, &byte) || (shift == 63 && byte > 1)) {
            return false;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = value;
            return (byte != 0 || shift == 0) && value <= max; /* no zeros in front */
        }
    }
    return false;
}

static bool take_signed(dv_slice *rest, int64_t *ret_value)
{
    uint64_t folded = 0;
    if (!take_number(rest, UINT64_MAX, &folded)) {
        return false;
    }
    *ret_value = (int64_t)(folded >> 1 ^ ((folded & 1) != 0 ? UINT64_MAX : 0));
    return true;
}

static bool take_int(dv_slice *rest, int *ret_value)
{
    int64_t value = 0;
    if (!take_signed(rest, &value) || value < INT_MIN || value > INT_MAX) {
        return false;
    }
    *ret_value = (int)value;
    return true;
}

static bool take_time(dv_slice *rest, dv_time *ret_time)
{
    dv_slice piece;
    if (!take(rest, TIME_LEN, &piece)) {
        return false;
    }
    *ret_time = (dv_time)dv_get_u64(piece.ptr);
    return true;
}

static bool take_text(dv_slice *rest, size_t max, dv_slice *ret_text)
{
    uint64_t len = 0;
    return take_number(rest, max + 1, &len) && take(rest, (size_t)len, ret_text);
}

/* Points into the code, where the string has its NUL. */
static bool take_string(dv_slice *rest, size_t max, const char **ret_string)
{
    dv_slice text;
    uint8_t nul = 0;
    if (!take_text(rest, max, &text) || dv_slice_find_byte(text, '\0') >= 0 ||
        !take_byte(rest, 0, &nul)) {
        return false;
    }
    *ret_string = (const char *)text.ptr;
    return true;
}

/* Into a field of a struct, which holds the NUL too. */
static bool take_copy(dv_slice *rest, char *out, size_t size)
{
    dv_slice text;
    if (!take_text(rest, size - 2, &text) || dv_slice_find_byte(text, '\0') >= 0) {
        return false;
    }
    dv_slice_copy(text, out, size);
    return true;
}

static bool take_request(dv_slice *rest, dv_event_request *request)
{
    uint64_t port = 0;
    bool good =
        take_text(rest, SHORT, &request->request_id) && take_text(rest, SHORT, &request->address) &&
        take_number(rest, UINT16_MAX, &port) && take_text(rest, SHORT, &request->route) &&
        take_text(rest, SHORT, &request->method) && take_text(rest, LONG, &request->path) &&
        take_text(rest, SHORT, &request->http_version) &&
        take_text(rest, MEDIUM, &request->user_agent) && take_text(rest, SHORT, &request->action) &&
        take_text(rest, MEDIUM, &request->model) && take_text(rest, MEDIUM, &request->upstream) &&
        take_number(rest, UINT64_MAX, &request->body_bytes);
    request->port = (uint16_t)port;
    return good && dv_slice_find_byte(request->path, '?') < 0;
}

static bool take_caller(dv_slice *rest, uint8_t flags, dv_event_decoded *decoded)
{
    dv_principal *caller = &decoded->principal;
    uint8_t groups = 0;
    caller->type = (flags & IS_SERVICE) != 0 ? DV_PRINCIPAL_SERVICE : DV_PRINCIPAL_USER;
    if (!take_text(rest, MEDIUM, &caller->name) || !take_text(rest, MEDIUM, &caller->entity) ||
        !take_byte(rest, DV_EVENT_GROUPS_MAX, &groups)) {
        return false;
    }
    for (size_t i = 0; i < groups; i++) {
        if (!take_text(rest, SHORT, &decoded->groups[i])) {
            return false;
        }
    }
    caller->groups = decoded->groups;
    caller->group_count = groups;
    decoded->request.principal = caller;
    return true;
}

static bool take_credential(dv_slice *rest, dv_event_decoded *decoded)
{
    decoded->request.credential = &decoded->credential;
    return take_text(rest, SHORT, &decoded->credential.kind) &&
           take_text(rest, SHORT, &decoded->credential.id);
}

static bool take_reason(dv_slice *rest, dv_reason *ret_reason)
{
    dv_slice name;
    if (!take_text(rest, SHORT, &name)) {
        return false;
    }
    for (int i = 0; i < DV_REASON_COUNT; i++) {
        if (dv_slice_eq_str(name, dv_reason_name((dv_reason)i))) {
            *ret_reason = (dv_reason)i;
            return true;
        }
    }
    return false;
}

/* Each id as dv_verdict_policies leaves it. */
static bool others_are_good(dv_slice ids)
{
    dv_slice id;
    bool good = dv_slice_find_byte(ids, '\0') < 0 && ids.ptr[ids.len - 1] != '\n';
    while (good && ids.len > 0) {
        good = dv_verdict_others_next(&ids, &id) && id.len < DV_VERDICT_POLICY_MAX;
    }
    return good;
}

static bool take_others(dv_slice *rest, dv_verdict *verdict)
{
    uint64_t unnamed = 0;
    if (!take_text(rest, DV_VERDICT_OTHERS_MAX - 1, &verdict->others)) {
        return false;
    }
    bool good = verdict->others.len == 0 ||
                (others_are_good(verdict->others) && take_number(rest, UINT16_MAX, &unnamed));
    verdict->unnamed = (uint16_t)unnamed;
    return good;
}

static bool take_verdict(dv_slice *rest, uint8_t flags, dv_event_decoded *decoded)
{
    dv_verdict *verdict = &decoded->verdict;
    verdict->decision = (flags & IS_ALLOWED) != 0 ? DV_ALLOW : DV_DENY;
    decoded->request.verdict = verdict;
    return take_reason(rest, &verdict->reason) &&
           take_copy(rest, verdict->policy, sizeof(verdict->policy)) &&
           take_others(rest, verdict) && take_copy(rest, verdict->detail, sizeof(verdict->detail));
}

static bool take_action(dv_slice *rest, dv_content_action *ret_action)
{
    dv_slice name;
    return take_text(rest, SHORT, &name) && dv_content_action_read(name, ret_action);
}

static bool take_sighting(dv_slice *rest, dv_sighting *sighting)
{
    uint64_t times = 0;
    bool good =
        take_string(rest, SHORT, &sighting->detector) &&
        take_string(rest, MEDIUM, &sighting->place) && take_action(rest, &sighting->action) &&
        take_byte(rest, UINT8_MAX, &sighting->score) && take_number(rest, UINT32_MAX, &times);
    sighting->times = (uint32_t)times;
    return good;
}

static bool take_seen(dv_slice *rest, dv_event_decoded *decoded, uint64_t *ret_unlisted,
                      bool *ret_rewrote)
{
    uint8_t listed = 0;
    uint8_t rewrote = 0;
    if (!take_byte(rest, DV_EVENT_SIGHTINGS_MAX, &listed) ||
        !take_number(rest, UINT32_MAX, ret_unlisted) ||
        (*ret_unlisted > 0 && !take_byte(rest, 1, &rewrote))) {
        return false;
    }
    *ret_rewrote = rewrote != 0;
    for (size_t i = 0; i < listed; i++) {
        if (!take_sighting(rest, &decoded->sightings[i])) {
            return false;
        }
    }
    decoded->request.sighting_count = listed;
    return true;
}

/* Both records hold one list: the open record's belongs to the request, the other to the answer. */
static bool take_sightings(dv_slice *rest, dv_event_decoded *decoded)
{
    dv_event_request *request = &decoded->request;
    dv_event_outcome *outcome = &decoded->outcome;
    if (!take_seen(rest, decoded, &request->unlisted, &request->unlisted_rewrote)) {
        return false;
    }
    request->sightings = decoded->sightings;
    if (decoded->is_close) {
        outcome->sightings = request->sightings;
        outcome->sighting_count = request->sighting_count;
        outcome->unlisted = request->unlisted;
        outcome->unlisted_rewrote = request->unlisted_rewrote;
    }
    return true;
}

static bool take_volume(dv_slice *rest, dv_event_volume *volume)
{
    uint64_t per = 0;
    uint8_t uncounted = 0;
    bool good = take_text(rest, DV_EVENT_VOLUME_RULE, &volume->rule) &&
                take_string(rest, DV_EVENT_VOLUME_ACTION, &volume->action) &&
                take_number(rest, UINT64_MAX, &volume->values) &&
                take_number(rest, UINT64_MAX, &volume->limit) &&
                take_number(rest, INT64_MAX, &per) && take_byte(rest, 1, &uncounted);
    volume->per = (dv_time)per;
    volume->uncounted = uncounted != 0;
    return good;
}

/* The open record's are the request's, the other's the answer's. */
static bool take_volumes(dv_slice *rest, dv_event_decoded *decoded)
{
    uint8_t count = 0;
    if (!take_byte(rest, DV_EVENT_VOLUMES_MAX, &count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!take_volume(rest, &decoded->volumes[i])) {
            return false;
        }
    }
    if (decoded->is_close) {
        decoded->outcome.volumes = decoded->volumes;
        decoded->outcome.volume_count = count;
    } else {
        decoded->request.volumes = decoded->volumes;
        decoded->request.volume_count = count;
    }
    return true;
}

static bool take_reservation(dv_slice *rest, uint8_t flags, dv_event_limit *limit)
{
    if ((flags & IS_RESERVED) == 0) {
        return (flags & IS_SETTLED) == 0;
    }
    limit->settled = (flags & IS_SETTLED) != 0;
    return take_time(rest, &limit->reserved_at) && limit->reserved_at != 0 &&
           take_number(rest, UINT64_MAX, &limit->reserved_tokens) &&
           take_number(rest, UINT64_MAX, &limit->reserved_cost) &&
           (!limit->settled || (take_number(rest, UINT64_MAX, &limit->settled_tokens) &&
                                take_number(rest, UINT64_MAX, &limit->settled_cost)));
}

static bool take_limit(dv_slice *rest, dv_event_decoded *decoded)
{
    dv_event_limit *limit = &decoded->limit;
    uint8_t flags = 0;
    bool good = take_byte(rest, LIMIT_FLAGS, &flags) && take_text(rest, MEDIUM, &limit->key) &&
                take_string(rest, SHORT, &limit->unit) &&
                take_number(rest, UINT64_MAX, &limit->limit) &&
                take_number(rest, UINT64_MAX, &limit->remaining) && take_time(rest, &limit->now) &&
                take_time(rest, &limit->tat) && take_time(rest, &limit->called_at) &&
                take_reservation(rest, flags, limit);
    limit->admitted = (flags & IS_ADMITTED) != 0;
    decoded->request.limit = limit;
    return good;
}

static bool take_outcome(dv_slice *rest, dv_event_outcome *outcome)
{
    return take_int(rest, &outcome->status) && take_int(rest, &outcome->upstream_status) &&
           take_signed(rest, &outcome->latency) && take_signed(rest, &outcome->upstream_latency) &&
           take_signed(rest, &outcome->input_tokens) &&
           take_signed(rest, &outcome->output_tokens) &&
           take_number(rest, UINT64_MAX, &outcome->answer_bytes);
}

/* A flag that only means something beside another one. */
static bool flags_agree(uint8_t flags)
{
    return ((flags & IS_SERVICE) == 0 || (flags & HAS_CALLER) != 0) &&
           ((flags & IS_ALLOWED) == 0 || (flags & IS_DECIDED) != 0) &&
           ((flags & IS_ABORTED) == 0 || (flags & IS_CLOSE) != 0);
}

/* The parts in their order; returns the one that does not check out, or NULL. */
static const char *take_parts(dv_slice *rest, uint8_t version, uint8_t flags,
                              dv_event_decoded *decoded)
{
    decoded->is_close = (flags & IS_CLOSE) != 0;
    decoded->outcome.aborted = (flags & IS_ABORTED) != 0;
    if (!flags_agree(flags)) {
        return "flags";
    }
    if (!take_time(rest, &decoded->request.time) || !take_request(rest, &decoded->request)) {
        return "request";
    }
    decoded->outcome.time = decoded->request.time;
    if ((flags & HAS_CALLER) != 0 && !take_caller(rest, flags, decoded)) {
        return "caller";
    }
    if ((flags & HAS_CREDENTIAL) != 0 && !take_credential(rest, decoded)) {
        return "credential";
    }
    if ((flags & IS_DECIDED) != 0 && !take_verdict(rest, flags, decoded)) {
        return "verdict";
    }
    if (!take_sightings(rest, decoded)) {
        return "sightings";
    }
    if (version > DV_EVENT_CODE_BEFORE && !take_volumes(rest, decoded)) {
        return "volumes";
    }
    if ((flags & HAS_LIMIT) != 0 && !take_limit(rest, decoded)) {
        return "limit";
    }
    if (decoded->is_close && !take_outcome(rest, &decoded->outcome)) {
        return "outcome";
    }
    return rest->len > 0 ? "end" : NULL;
}

dv_result dv_event_code_decode(dv_slice code, dv_event_decoded *decoded, dv_error *error)
{
    uint8_t version = 0;
    uint8_t flags = 0;
    if (!take_byte(&code, UINT8_MAX, &version) || !take_byte(&code, UINT8_MAX, &flags)) {
        return dv_error_set(error, DV_ERR_INVALID, "an event's code is cut short");
    }
    if (version != DV_EVENT_CODE_VERSION && version != DV_EVENT_CODE_BEFORE) {
        return dv_error_set(error, DV_ERR_INVALID, "an event's code is of the unknown version %u",
                            version);
    }
    *decoded = (dv_event_decoded){.is_close = false};
    const char *wrong = take_parts(&code, version, flags, decoded);
    if (wrong != NULL) {
        *decoded = (dv_event_decoded){.is_close = false};
        return dv_error_set(error, DV_ERR_INVALID, "an event's code is malformed: its %s", wrong);
    }
    return DV_OK;
}

dv_result dv_event_code_text(dv_slice record, dv_buf *room, dv_event_spots *spots,
                             dv_slice *ret_json, dv_error *error)
{
    dv_event_decoded decoded;
    if (spots != NULL) {
        spots->known = false;
    }
    if (!dv_event_is_code(record)) {
        *ret_json = record;
        return DV_OK;
    }
    DV_TRY(dv_event_code_decode(record, &decoded, error));
    dv_buf_clear(room);
    dv_result result = decoded.is_close
                           ? dv_event_put_close(room, &decoded.request, &decoded.outcome, spots)
                           : dv_event_put_open(room, &decoded.request, spots);
    if (result != DV_OK) {
        return dv_error_set(error, result, "an event's code can not be expanded");
    }
    if (spots != NULL) {
        spots->known = true;
        spots->is_close = decoded.is_close;
    }
    *ret_json = dv_buf_slice(room);
    return DV_OK;
}
