/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/seal.h"

#include "base/caps.h"
#include "base/clock.h"
#include "base/codec.h"
#include "engine/log/seal_walk.h"

#include <time.h>

enum { GROUP_VALUES_MAX = 32 };

/* -- whose a value is ---------------------------------------------------------------------------
 */

/* Keys of the subjects that an event names, plus one: looked up once. */
typedef struct known {
    uint32_t keys[DV_SEAL_WANTED_MAX];
} known;

/* Instead of a key: a System, who is no person. */
static const uint32_t nobody = UINT32_MAX;

typedef struct owners {
    uint32_t keys[DV_SUBJECTS_OF_VALUE_MAX];
    size_t count;
    bool too_many;
} owners;

static dv_result add_key(uint32_t key, owners *of)
{
    for (size_t i = 0; i < of->count; i++) {
        if (of->keys[i] == key) {
            return DV_OK;
        }
    }
    if (of->count == DV_SUBJECTS_OF_VALUE_MAX) {
        of->too_many = true;
        return DV_OK;
    }
    of->keys[of->count++] = key;
    return DV_OK;
}

static dv_result add_owner(dv_subjects *subjects, dv_slice subject, owners *of)
{
    uint32_t key;
    DV_TRY(dv_subjects_key(subjects, subject, &key));
    return add_key(key, of);
}

/* A JSON string's value: an entity's text has its quotes escaped. What is too long for a subject is
 * cut, and stands for all that begin so. */
static dv_slice decode(dv_slice raw, uint8_t room[DV_SUBJECT_TEXT_MAX])
{
    size_t len = 0;
    if (raw.len < 2 || raw.ptr[0] != '"') {
        return dv_slice_sub(raw, 0, DV_SUBJECT_TEXT_MAX);
    }
    for (size_t i = 1; i + 1 < raw.len && len < DV_SUBJECT_TEXT_MAX; i++) {
        bool escapes = raw.ptr[i] == '\\' && i + 2 < raw.len &&
                       (raw.ptr[i + 1] == '"' || raw.ptr[i + 1] == '\\' || raw.ptr[i + 1] == '/');
        i += escapes;
        room[len++] = raw.ptr[i];
    }
    return dv_slice_of(room, len);
}

static bool is_system(dv_slice subject)
{
    return dv_slice_starts_with(subject, DV_LIT("System::"));
}

/* Day::"2026-11-22", by the event's own time. */
static dv_slice day_of(const dv_seal_walk *w, char room[32])
{
    int64_t ms = 0;
    dv_slice time = w->found[dv_seal_wanted.time];
    for (size_t i = 0; i < time.len && time.ptr[i] >= '0' && time.ptr[i] <= '9' && i < 15; i++) {
        ms = ms * 10 + (time.ptr[i] - '0');
    }
    time_t seconds = (time_t)((ms == 0 ? dv_time_now() / DV_MILLISECOND : ms) / 1000);
    struct tm date;
    if (gmtime_r(&seconds, &date) == NULL) {
        return DV_LIT("Day::\"unknown\"");
    }
    int len = snprintf(room, 32, "Day::\"%04d-%02d-%02d\"", (date.tm_year + 1900) % 10000,
                       date.tm_mon + 1, date.tm_mday);
    return dv_slice_of(room, (size_t)len);
}

static dv_result add_day(dv_subjects *subjects, const dv_seal_walk *w, owners *of)
{
    char room[32];
    return add_owner(subjects, day_of(w, room), of);
}

static bool is_name_byte(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || byte == '.' || byte == '_' || byte == '-' ||
           byte == '@' || byte == '+';
}

/* How the control plane's texts name a principal, and what the name ends with. */
typedef struct mention {
    const char *before;
    const char *type;
    bool quoted; /* up to \" in JSON text */
} mention;

static const mention mentions[] = {
    {"User::\\\"", "User", true},
    {"Service::\\\"", "Service", true},
    {"Local::\\\"", "Local", true},
    {"user named ", "User", false},
    {"user/", "User", false},
    {"user ", "User", false},
    {"service named ", "Service", false},
    {"service/", "Service", false},
    {"service account ", "Service", false},
    {"service ", "Service", false},
};

/* The mention that begins here, or NULL; *ret_name: the raw name. */
static const mention *mention_at(dv_slice text, dv_slice *ret_name)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(mentions); i++) {
        dv_slice before = dv_slice_str(mentions[i].before);
        if (!dv_slice_starts_with(text, before)) {
            continue;
        }
        dv_slice rest = dv_slice_sub(text, before.len, DV_LIMIT_NAME);
        size_t len = 0;
        if (mentions[i].quoted) {
            ptrdiff_t end = dv_slice_find(rest, DV_LIT("\\\""));
            len = end < 0 ? rest.len : (size_t)end;
        }
        while (!mentions[i].quoted && len < rest.len && is_name_byte(rest.ptr[len])) {
            len++;
        }
        *ret_name = dv_slice_sub(rest, 0, len);
        return len > 0 ? &mentions[i] : NULL;
    }
    return NULL;
}

static dv_result add_mentioned(dv_subjects *subjects, dv_slice value, owners *of)
{
    for (size_t i = 0; i < value.len; i++) {
        dv_slice name;
        uint8_t before = i == 0 ? '"' : value.ptr[i - 1];
        bool begins =
            !is_name_byte(before) &&
            ((value.ptr[i] | 0x20) == 'u' || (value.ptr[i] | 0x20) == 's' || value.ptr[i] == 'L');
        const mention *found = begins ? mention_at(dv_slice_sub(value, i, value.len), &name) : NULL;
        if (found != NULL) {
            char subject[DV_LIMIT_NAME + 32];
            int len = snprintf(subject, sizeof(subject), "%s::\"%.*s\"", found->type,
                               DV_SLICE_ARGS(name));
            DV_TRY(add_owner(subjects, dv_slice_of(subject, (size_t)len), of));
        }
    }
    return DV_OK;
}

/* The subject that the event names at that path; false: it names none there. */
static dv_result add_named(dv_subjects *subjects, const dv_seal_walk *w, known *cache, int at,
                           owners *of)
{
    uint8_t room[DV_SUBJECT_TEXT_MAX];
    uint32_t key;
    if (cache->keys[at] == 0) {
        dv_slice subject = decode(w->found[at], room);
        if (is_system(subject)) {
            cache->keys[at] = nobody;
        } else {
            DV_TRY(dv_subjects_key(subjects, subject, &key));
            cache->keys[at] = key + 1;
        }
    }
    return cache->keys[at] == nobody ? DV_OK : add_key(cache->keys[at] - 1, of);
}

/* A constant that tells nothing. */
static bool is_empty(dv_slice value)
{
    return value.len <= 4 &&
           (value.len == 0 || dv_slice_eq(value, DV_LIT("\"\"")) ||
            dv_slice_eq(value, DV_LIT("null")) || dv_slice_eq(value, DV_LIT("{}")));
}

/* The line is kept out of line (blob.h). */
static bool is_large(const dv_seal_walk *w)
{
    return !is_empty(w->found[dv_seal_wanted.blob]);
}

/* Of whom such a line tells. */
static dv_result add_line_owner(dv_subjects *subjects, const dv_seal_walk *w, known *cache,
                                owners *of)
{
    size_t before = of->count;
    if (!is_empty(w->found[dv_seal_wanted.subject])) {
        DV_TRY(add_named(subjects, w, cache, dv_seal_wanted.subject, of));
    }
    return of->count > before ? DV_OK : add_day(subjects, w, of);
}

/* -- of alerts: their texts name people by the values of the events that they counted */

static dv_result add_known(dv_subjects *subjects, dv_slice subject, owners *of)
{
    uint32_t key;
    dv_result result = dv_subjects_key_known(subjects, subject, &key);
    return result == DV_OK ? add_key(key, of) : DV_OK;
}

/* A name does not say whose it is: of all who have it and a key. host: of an account, or "". */
static dv_result add_namesakes(dv_subjects *subjects, dv_slice name, dv_slice host, owners *of)
{
    static const char *const types[] = {"User", "Service", "Local", "Account"};
    char subject[DV_SUBJECT_TEXT_MAX + 1];
    for (size_t i = 0; i < DV_ARRAY_LEN(types); i++) {
        int len = snprintf(subject, sizeof(subject), "%s::\"%.*s%s%.*s\"", types[i],
                           DV_SLICE_ARGS(name), host.len > 0 ? "@" : "", DV_SLICE_ARGS(host));
        if (len > 0 && (size_t)len < sizeof(subject)) {
            DV_TRY(add_known(subjects, dv_slice_of(subject, (size_t)len), of));
        }
    }
    return DV_OK;
}

/* The strings of an alert's group that are values, raw. */
static size_t group_values(const dv_seal_walk *w, dv_slice values[GROUP_VALUES_MAX])
{
    size_t count = 0;
    dv_slice group = w->found[dv_seal_wanted.group];
    const uint8_t *p = group.ptr, *end = group.ptr + group.len;
    while (p < end && count < GROUP_VALUES_MAX) {
        const uint8_t *quote = *p == '"' ? dv_seal_string_end(w, p + 1) : NULL;
        if (quote == NULL || quote >= end) {
            p++;
            continue;
        }
        const uint8_t *next = dv_seal_skip_space(w, quote + 1);
        if (next < end && *next != ':') {
            values[count++] = dv_slice_of(p, (size_t)(quote + 1 - p));
        }
        p = quote + 1;
    }
    return count;
}

/* Entities and names, and accounts of hosts: {"account":"alice","host":"web1"}. */
static dv_result add_group(dv_subjects *subjects, const dv_seal_walk *w, owners *of)
{
    uint8_t room[DV_SUBJECT_TEXT_MAX], other_room[DV_SUBJECT_TEXT_MAX];
    dv_slice values[GROUP_VALUES_MAX];
    size_t count = group_values(w, values);
    for (size_t i = 0; i < count; i++) {
        dv_slice value = decode(values[i], room);
        DV_TRY(add_known(subjects, value, of));
        DV_TRY(add_namesakes(subjects, value, DV_LIT(""), of));
        for (size_t j = 0; j < count; j++) {
            DV_TRY(j == i ? DV_OK
                          : add_namesakes(subjects, value, decode(values[j], other_room), of));
        }
    }
    return DV_OK;
}

/* The names among a search's words. */
static dv_result add_words(dv_subjects *subjects, dv_slice text, owners *of)
{
    size_t begin = 0;
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && (is_name_byte(text.ptr[i]) || text.ptr[i] >= 0x80)) {
            continue;
        }
        if (i > begin && i - begin <= DV_LIMIT_NAME) {
            DV_TRY(add_namesakes(subjects, dv_slice_sub(text, begin, i - begin), DV_LIT(""), of));
        }
        begin = i + 1;
    }
    return DV_OK;
}

static bool is_alert(const dv_seal_walk *w)
{
    return w->found[dv_seal_wanted.group].len > 0 || w->found[dv_seal_wanted.query].len > 0;
}

/* Where they name nobody who is known, it is the day's: an address, or no person. */
static dv_result add_alert_owners(dv_subjects *subjects, const dv_seal_walk *w,
                                  const dv_seal_place *at, owners *of)
{
    dv_slice text = dv_seal_place_text(w, at);
    DV_TRY(add_group(subjects, w, of));
    if (text.ptr == w->found[dv_seal_wanted.query].ptr) {
        DV_TRY(add_words(subjects, text, of));
    }
    return of->count > 0 ? DV_OK : add_day(subjects, w, of);
}

/* Of a record that is no event, or of a large line: its beginning, its hash, the blob's key. Other
 * collected lines stand as they were written. */
static dv_result raw_owner(dv_subjects *subjects, const dv_seal_walk *w, known *cache, owners *of)
{
    dv_slice front = dv_slice_sub(w->text, 0, DV_SEAL_FRONT_LOOK);
    if (is_large(w)) {
        return add_line_owner(subjects, w, cache, of);
    }
    bool foreign = dv_slice_find(front, DV_LIT("\"event_code\":\"foreign")) >= 0;
    return foreign ? add_day(subjects, w, of) : DV_OK;
}

static dv_result owners_of(dv_subjects *subjects, const dv_seal_walk *w, known *cache,
                           const dv_seal_place *at, owners *of)
{
    of->count = 0;
    of->too_many = false;
    if (is_empty(dv_seal_place_text(w, at))) {
        return DV_OK;
    }
    if (at->row < 0) {
        return raw_owner(subjects, w, cache, of);
    }
    const int8_t *subject = dv_seal_wanted.subject_of[at->row];
    bool named = false;
    for (size_t i = 0; i < DV_EVENT_SUBJECTS_MAX && subject[i] != DV_SEAL_NONE && !named; i++) {
        named = !is_empty(w->found[subject[i]]);
        if (named) {
            DV_TRY(add_named(subjects, w, cache, subject[i], of));
        }
    }
    if (!named && dv_event_personal_paths[at->row].or_day && !is_alert(w)) {
        DV_TRY(add_day(subjects, w, of));
    }
    bool free_text = subject[1] != DV_SEAL_NONE; /* can be about one of several: about others too */
    if (free_text) {
        DV_TRY(add_mentioned(subjects, dv_seal_place_text(w, at), of));
    }
    if (is_alert(w)) {
        DV_TRY(add_alert_owners(subjects, w, at, of));
    }
    /* Texts that were made of a large line hold parts of it, and go with it. */
    return is_large(w) ? add_line_owner(subjects, w, cache, of) : DV_OK;
}

/* -- sealing ------------------------------------------------------------------------------------
 */

enum {
    CUT_AT = 512, /* bytes of a value, where the event would be too long */
    FRONT_LEN = sizeof("{\"metadata\":{") - 1,
};
static const char truncated[] = "\"is_truncated\":true";

/* A shorter value of the same type. */
static dv_slice cut(dv_slice value, uint8_t room[CUT_AT + 1])
{
    if (value.len <= CUT_AT) {
        return value;
    }
    if (value.ptr[0] != '"') {
        return value.ptr[0] == '{' ? DV_LIT("{\"cut\":true}") : DV_LIT("[]");
    }
    size_t len = CUT_AT - 8;
    while (len > 1 && (value.ptr[len] & 0xc0) == 0x80) {
        len--; /* not within a character */
    }
    for (size_t back = 1; back <= 6 && back < len; back++) {
        if (value.ptr[len - back] == '\\') {
            len -= back; /* nor within an escape */
            break;
        }
    }
    while (len > 1 && value.ptr[len - 1] == '\\') {
        len--;
    }
    memcpy(room, value.ptr, len);
    room[len] = '"';
    return dv_slice_of(room, len + 1);
}

/* More than can be named at once: the value is told by its length alone. */
static dv_slice bounded(const owners *of, dv_slice value, bool cutting, uint8_t room[CUT_AT + 1])
{
    if (of->too_many) {
        return value.ptr[0] == '"' ? DV_LIT("\"(too many principals)\"") : DV_LIT("{\"cut\":true}");
    }
    return cutting ? cut(value, room) : value;
}

static dv_result put_front(dv_slice event, bool cutting, size_t *from, dv_buf *out)
{
    if (!cutting) {
        return DV_OK;
    }
    bool says =
        dv_slice_find(dv_slice_sub(event, 0, DV_SEAL_FRONT_LOOK), dv_slice_str(truncated)) >= 0;
    if (says || !dv_slice_starts_with(event, DV_LIT("{\"metadata\":{"))) {
        return DV_OK;
    }
    DV_TRY(dv_buf_append(out, dv_slice_sub(event, 0, FRONT_LEN)));
    DV_TRY(dv_buf_append_str(out, truncated));
    *from = FRONT_LEN;
    return event.ptr[FRONT_LEN] == '}' ? DV_OK : dv_buf_append_byte(out, ',');
}

/* Whoever writes such a text would have it opened for readers. */
static bool looks_sealed(dv_slice value)
{
    return value.len > 2 && value.ptr[0] == '"' &&
           dv_subjects_is_sealed(dv_slice_sub(value, 1, value.len - 2));
}

static dv_result seal_places(dv_subjects *subjects, const dv_seal_walk *w, bool cutting,
                             dv_buf *out)
{
    uint8_t room[CUT_AT + 1];
    known cache = {{0}};
    size_t from = 0;
    DV_TRY(put_front(w->text, cutting, &from, out));
    for (size_t i = 0; i < w->count; i++) {
        const dv_seal_place *at = &w->places[i];
        owners of;
        DV_TRY(owners_of(subjects, w, &cache, at, &of));
        if (of.count == 0 && !looks_sealed(dv_seal_place_text(w, at))) {
            continue;
        }
        if (of.count == 0) {
            DV_TRY(add_day(subjects, w, &of));
        }
        dv_slice value = bounded(&of, dv_seal_place_text(w, at), cutting, room);
        DV_TRY(dv_buf_append(out, dv_slice_sub(w->text, from, at->start - from)));
        DV_TRY(dv_subjects_seal(subjects, of.keys, of.count, value, out));
        from = at->end;
    }
    return dv_buf_append(out, dv_slice_sub(w->text, from, w->text.len));
}

static dv_result seal_walked(dv_subjects *subjects, const dv_seal_walk *w, size_t most, dv_buf *out)
{
    size_t begin = out->len;
    dv_result result = DV_ERR_TOO_LARGE;
    if (w->too_many) {
        return result;
    }
    dv_subjects_lock(subjects);
    for (int cutting = 0; cutting < 2; cutting++) {
        out->len = begin;
        result = seal_places(subjects, w, cutting != 0, out);
        if (result == DV_OK && out->len - begin > most) {
            result = DV_ERR_TOO_LARGE;
        }
        if (result != DV_ERR_TOO_LARGE) {
            break;
        }
    }
    dv_subjects_unlock(subjects);
    if (result != DV_OK) {
        out->len = begin;
    }
    return result;
}

dv_result dv_event_seal(dv_subjects *subjects, dv_slice event, size_t most, dv_buf *out)
{
    dv_seal_walk w;
    DV_TRY(dv_seal_walk_event(&w, event));
    return seal_walked(subjects, &w, most, out);
}

dv_result dv_event_seal_spots(dv_subjects *subjects, dv_slice event, const dv_event_spots *spots,
                              size_t shift, size_t most, dv_buf *out)
{
    dv_seal_walk w;
    return spots->known && dv_seal_walk_spots(&w, event, spots, shift)
               ? seal_walked(subjects, &w, most, out)
               : dv_event_seal(subjects, event, most, out);
}

/* -- opening ------------------------------------------------------------------------------------
 */

/* What stands instead of a member whose value is gone and whose OCSF type takes no such text; NULL:
 * the text does. "": nothing. */
static const char *instead_of(const dv_seal_walk *w, const dv_seal_place *at)
{
    dv_slice member = dv_slice_sub(w->text, at->member, at->start - at->member);
    if (dv_slice_starts_with(member, DV_LIT("\"ip\""))) {
        return "\"name\":\"" DV_ERASED_TEXT "\"";
    }
    bool typed = dv_slice_starts_with(member, DV_LIT("\"port\"")) ||
                 dv_slice_starts_with(member, DV_LIT("\"email_addr\"")) ||
                 dv_slice_starts_with(member, DV_LIT("\"mac\"")) ||
                 dv_slice_starts_with(member, DV_LIT("\"raw_data_hash\""));
    return typed ? "" : NULL;
}

/* Leaves a member out, with the comma beside it. */
static dv_result drop_member(const dv_seal_walk *w, const dv_seal_place *at, size_t *from,
                             dv_buf *out)
{
    const uint8_t *next = dv_seal_skip_space(w, w->text.ptr + at->end);
    *from = (size_t)(next - w->text.ptr);
    if (next < w->end && *next == ',') {
        *from += 1;
        return DV_OK;
    }
    while (out->len > 0 && out->ptr[out->len - 1] <= ' ') {
        out->len--;
    }
    out->len -= out->len > 0 && out->ptr[out->len - 1] == ',';
    return DV_OK;
}

static dv_result put_gone(const dv_seal_walk *w, const dv_seal_place *at, size_t *from, dv_buf *out)
{
    const char *instead = instead_of(w, at);
    size_t until = instead == NULL ? at->start : at->member;
    DV_TRY(dv_buf_append(out, dv_slice_sub(w->text, *from, until - *from)));
    *from = at->end;
    if (instead == NULL) {
        return dv_buf_append_str(out, "\"" DV_ERASED_TEXT "\"");
    }
    return *instead == '\0' ? drop_member(w, at, from, out) : dv_buf_append_str(out, instead);
}

static dv_result open_place(dv_subjects *subjects, const dv_seal_walk *w, const dv_seal_place *at,
                            size_t *from, dv_buf *out)
{
    dv_slice value = dv_seal_place_text(w, at);
    dv_slice text = value.len < 2 ? value : dv_slice_sub(value, 1, value.len - 2);
    if (value.ptr[0] != '"' || !dv_subjects_is_sealed(text)) {
        return DV_OK;
    }
    size_t begin = out->len;
    DV_TRY(dv_buf_append(out, dv_slice_sub(w->text, *from, at->start - *from)));
    dv_result result = dv_subjects_unseal(subjects, text, out);
    if (result == DV_OK) {
        *from = at->end;
        return DV_OK;
    }
    out->len = begin;
    if (result == DV_ERR_NOT_FOUND) {
        return put_gone(w, at, from, out);
    }
    return result == DV_ERR_NO_MEMORY || result == DV_ERR_TOO_LARGE ? result : DV_OK;
}

dv_result dv_event_open(dv_subjects *subjects, dv_slice entry, dv_buf *out)
{
    dv_seal_walk w;
    size_t begin = out->len, from = 0;
    if (subjects == NULL || dv_seal_walk_event(&w, entry) != DV_OK) {
        return dv_buf_append(out, entry);
    }
    dv_result result = DV_OK;
    dv_subjects_lock(subjects);
    for (size_t i = 0; i < w.count && result == DV_OK; i++) {
        if (w.places[i].row != DV_SEAL_KEY) { /* which never leaves this process */
            result = open_place(subjects, &w, &w.places[i], &from, out);
        }
    }
    dv_subjects_unlock(subjects);
    if (result == DV_OK) {
        result = dv_buf_append(out, dv_slice_sub(w.text, from, w.text.len));
    }
    if (result != DV_OK) {
        out->len = begin;
    }
    return result;
}
