/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/seal_walk.h"

#include <pthread.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* -- the paths, as a tree of member names -------------------------------------------------------
 */

enum {
    NODES_MAX = 512,
    SLOTS = 4 * NODES_MAX,
};

typedef struct node {
    const char *name;
    uint32_t len;
    int parent;
    int row;    /* of dv_event_personal_paths, or DV_SEAL_NONE */
    int wanted; /* place in a walk's `found`, or DV_SEAL_NONE */
} node;

static node nodes[NODES_MAX];
static int16_t slots[SLOTS]; /* nodes by name and parent, plus one: open addressing */
static int node_count;
dv_seal_paths dv_seal_wanted;
static int16_t node_of_field[2][UINT8_MAX + 1]; /* of a request's open and close record */
static pthread_once_t nodes_once = PTHREAD_ONCE_INIT;

/* By what is at hand without reading the name. */
static inline size_t slot_of(int parent, dv_slice name)
{
    uint32_t mixed = (uint32_t)parent * 0x9e3779b1u + name.ptr[0] + name.ptr[name.len - 1] * 41u +
                     (uint32_t)name.len * 167u;
    return mixed % SLOTS;
}

static inline int child_of(int parent, dv_slice name)
{
    if (name.len == 0) {
        return DV_SEAL_NONE;
    }
    for (size_t slot = slot_of(parent, name); slots[slot] != 0; slot = (slot + 1) % SLOTS) {
        const node *at = &nodes[slots[slot] - 1];
        if (at->parent == parent && at->len == name.len &&
            memcmp(at->name, name.ptr, name.len) == 0) {
            return slots[slot] - 1;
        }
    }
    return DV_SEAL_NONE;
}

static int child_make(int parent, dv_slice name)
{
    int at = child_of(parent, name);
    if (at != DV_SEAL_NONE) {
        return at;
    }
    if (node_count == NODES_MAX) {
        abort(); /* a table of ours that outgrew this file: every test finds it */
    }
    size_t slot = slot_of(parent, name);
    while (slots[slot] != 0) {
        slot = (slot + 1) % SLOTS;
    }
    at = node_count++;
    nodes[at] =
        (node){(const char *)name.ptr, (uint32_t)name.len, parent, DV_SEAL_NONE, DV_SEAL_NONE};
    slots[slot] = (int16_t)(at + 1);
    return at;
}

static node *path_make(const char *path)
{
    dv_slice rest = dv_slice_str(path), name;
    int at = 0;
    while (dv_slice_split(&rest, '.', &name)) {
        at = child_make(at, name);
    }
    return &nodes[at];
}

static int wanted_make(const char *path)
{
    node *at = path_make(path);
    if (at->wanted == DV_SEAL_NONE) {
        if (dv_seal_wanted.count == DV_SEAL_WANTED_MAX) {
            abort();
        }
        at->wanted = dv_seal_wanted.count++;
    }
    return at->wanted;
}

/* The node at a path; DV_SEAL_NONE: no personal path begins so. */
static int path_find(dv_slice path)
{
    dv_slice name;
    int at = 0;
    while (at != DV_SEAL_NONE && dv_slice_split(&path, '.', &name)) {
        at = child_of(at, name);
    }
    return at;
}

static void field_make(void *data, size_t field, dv_slice path, bool noted)
{
    ((int16_t *)data)[field] = (int16_t)path_find(path);
}

static void nodes_make(void)
{
    nodes[0] = (node){"", 0, DV_SEAL_NONE, DV_SEAL_NONE, DV_SEAL_NONE};
    node_count = 1;
    dv_seal_wanted.time = wanted_make("time");
    dv_seal_wanted.raw = wanted_make("raw_data");
    dv_seal_wanted.raw_hash = wanted_make("raw_data_hash");
    dv_seal_wanted.subject = wanted_make("unmapped.dvara.subject");
    dv_seal_wanted.blob = wanted_make("unmapped.dvara.blob.sha256");
    dv_seal_wanted.key = wanted_make("unmapped.dvara.blob.key");
    dv_seal_wanted.group = wanted_make("unmapped.dvara.alert.group");
    dv_seal_wanted.query = wanted_make("unmapped.dvara.alert.query");
    for (size_t i = 0; i < dv_event_personal_path_count && i < DV_SEAL_ROWS_MAX; i++) {
        const dv_event_personal_path *row = &dv_event_personal_paths[i];
        path_make(row->path)->row = (int)i;
        for (size_t j = 0; j < DV_EVENT_SUBJECTS_MAX; j++) {
            dv_seal_wanted.subject_of[i][j] =
                (int8_t)(row->subjects[j] == NULL ? DV_SEAL_NONE : wanted_make(row->subjects[j]));
        }
    }
    dv_event_spot_fields(false, field_make, node_of_field[0]);
    dv_event_spot_fields(true, field_make, node_of_field[1]);
}

/* -- walking an event ---------------------------------------------------------------------------
 */

static inline const uint8_t *skip_space(const dv_seal_walk *w, const uint8_t *p)
{
    while (p < w->end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) {
        p++;
    }
    return p;
}

/* From behind the opening quote to the closing one; NULL: there is none. */
static inline const uint8_t *string_end(const dv_seal_walk *w, const uint8_t *p)
{
    for (;;) {
#if defined(__x86_64__)
        for (; w->end - p >= 16; p += 16) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
            int mask = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                                      _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))));
            if (mask != 0) {
                p += __builtin_ctz((unsigned)mask);
                break;
            }
        }
#endif
        while (p < w->end && *p != '"' && *p != '\\') {
            p++;
        }
        if (p >= w->end || *p == '"') {
            return p < w->end ? p : NULL;
        }
        if (w->end - p < 2) {
            return NULL;
        }
        p += 2; /* a backslash and what it escapes */
    }
}

/* To the next quote or bracket. */
static inline const uint8_t *next_mark(const dv_seal_walk *w, const uint8_t *p)
{
#if defined(__x86_64__)
    for (; w->end - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20)); /* [ and ] become { and } */
        __m128i brackets = _mm_or_si128(_mm_cmpeq_epi8(folded, _mm_set1_epi8('{')),
                                        _mm_cmpeq_epi8(folded, _mm_set1_epi8('}')));
        int mask =
            _mm_movemask_epi8(_mm_or_si128(brackets, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'))));
        if (mask != 0) {
            return p + __builtin_ctz((unsigned)mask);
        }
    }
#endif
    while (p < w->end && *p != '"' && (*p | 0x20) != '{' && (*p | 0x20) != '}') {
        p++;
    }
    return p;
}

/* Over an object or array. Its brackets are counted, not matched: who writes no JSON is found out
 * by whoever reads it. */
static const uint8_t *skip_container(const dv_seal_walk *w, const uint8_t *p)
{
    size_t depth = 0;
    for (;;) {
        p = next_mark(w, p);
        if (p >= w->end) {
            return NULL;
        }
        if (*p == '"') {
            p = string_end(w, p + 1);
            if (p == NULL) {
                return NULL;
            }
        } else if ((*p | 0x20) == '{') {
            depth++;
        } else if (--depth == 0) {
            return p + 1;
        }
        p++;
    }
}

static const uint8_t *skip_value(const dv_seal_walk *w, const uint8_t *p)
{
    if (p >= w->end) {
        return NULL;
    }
    if (*p == '"') {
        p = string_end(w, p + 1);
        return p == NULL ? NULL : p + 1;
    }
    if (*p == '{' || *p == '[') {
        return skip_container(w, p);
    }
    const uint8_t *start = p;
    while (p < w->end && *p != ',' && *p != '}' && *p != ']' && *p > ' ' && *p != '"') {
        p++;
    }
    return p > start ? p : NULL;
}

static void note(dv_seal_walk *w, const node *at, const uint8_t *member, const uint8_t *start,
                 const uint8_t *end)
{
    if (at->wanted != DV_SEAL_NONE && w->found[at->wanted].len == 0) {
        w->found[at->wanted] = dv_slice_of(start, (size_t)(end - start));
    }
    int row = at->row;
    if (row == DV_SEAL_NONE) {
        row = at->wanted == dv_seal_wanted.key ? DV_SEAL_KEY : DV_SEAL_NONE;
        if (row == DV_SEAL_NONE && at->wanted != dv_seal_wanted.raw &&
            at->wanted != dv_seal_wanted.raw_hash) {
            return;
        }
    }
    if (w->count == DV_SEAL_PLACES) {
        w->too_many = true;
        return;
    }
    w->places[w->count++] =
        (dv_seal_place){row, (uint32_t)(member - w->text.ptr), (uint32_t)(start - w->text.ptr),
                        (uint32_t)(end - w->text.ptr)};
}

static const uint8_t *walk_object(dv_seal_walk *w, const uint8_t *p, int parent);

/* The objects of a list stand where the list does. No deeper than the tree of names is. */
static const uint8_t *walk_array(dv_seal_walk *w, const uint8_t *p, int at)
{
    p = skip_space(w, p + 1);
    if (p < w->end && *p == ']') {
        return p + 1;
    }
    for (;;) {
        p = p < w->end && *p == '{' ? walk_object(w, p, at) : skip_value(w, p);
        p = p == NULL ? NULL : skip_space(w, p);
        if (p == NULL || p >= w->end || (*p != ',' && *p != ']')) {
            return NULL;
        }
        if (*p == ']') {
            return p + 1;
        }
        p = skip_space(w, p + 1);
    }
}

static const uint8_t *walk_value(dv_seal_walk *w, const uint8_t *p, int at, const uint8_t *member)
{
    const node *here = &nodes[at];
    if (here->row == DV_SEAL_NONE && here->wanted == DV_SEAL_NONE && p < w->end) {
        if (*p == '{') {
            return walk_object(w, p, at);
        }
        if (*p == '[') {
            return walk_array(w, p, at);
        }
    }
    const uint8_t *end = skip_value(w, p);
    if (end != NULL) {
        note(w, here, member, p, end);
    }
    return end;
}

/* One member; p stands at its name. */
static const uint8_t *walk_member(dv_seal_walk *w, const uint8_t *p, int parent)
{
    const uint8_t *member = p;
    const uint8_t *quote = p < w->end && *p == '"' ? string_end(w, p + 1) : NULL;
    if (quote == NULL) {
        return NULL;
    }
    int at = child_of(parent, dv_slice_of(member + 1, (size_t)(quote - member - 1)));
    p = skip_space(w, quote + 1);
    if (p >= w->end || *p != ':') {
        return NULL;
    }
    p = skip_space(w, p + 1);
    return at == DV_SEAL_NONE ? skip_value(w, p) : walk_value(w, p, at, member);
}

static const uint8_t *walk_object(dv_seal_walk *w, const uint8_t *p, int parent)
{
    p = skip_space(w, p + 1);
    if (p < w->end && *p == '}') {
        return p + 1;
    }
    for (;;) {
        p = walk_member(w, p, parent);
        p = p == NULL ? NULL : skip_space(w, p);
        if (p == NULL || p >= w->end || (*p != ',' && *p != '}')) {
            return NULL;
        }
        if (*p == '}') {
            return p + 1;
        }
        p = skip_space(w, p + 1);
    }
}

/* Metadata stands in front, is a third of a request's record, and holds nothing personal. What ends
 * it can't stand in a string, whose quotes are escaped; where it stands in an object of metadata's
 * own, the walk ends before the text does and fails. Gives back what stands where the object's
 * bracket would. */
static const uint8_t *behind_metadata(dv_slice event)
{
    if (!dv_slice_starts_with(event, DV_LIT("{\"metadata\":{"))) {
        return event.ptr;
    }
    ptrdiff_t at = dv_slice_find(dv_slice_sub(event, 0, DV_SEAL_FRONT_LOOK), DV_LIT("},\"time\":"));
    return at < 0 ? event.ptr : event.ptr + at + 1;
}

static void walk_begin(dv_seal_walk *w, dv_slice event)
{
    pthread_once(&nodes_once, nodes_make);
    w->text = event;
    w->end = event.ptr + event.len;
    w->count = 0;
    w->too_many = false;
    memset(w->found, 0, (size_t)dv_seal_wanted.count * sizeof(w->found[0]));
}

dv_result dv_seal_walk_event(dv_seal_walk *w, dv_slice event)
{
    walk_begin(w, event);
    if (event.len > UINT32_MAX || event.len < 2 || event.ptr[0] != '{') {
        return DV_ERR_INVALID;
    }
    const uint8_t *p = walk_object(w, behind_metadata(event), 0);
    return p == NULL || skip_space(w, p) != w->end ? DV_ERR_INVALID : DV_OK;
}

bool dv_seal_walk_spots(dv_seal_walk *w, dv_slice event, const dv_event_spots *spots, size_t shift)
{
    walk_begin(w, event);
    for (size_t i = 0; i < spots->count; i++) {
        const dv_event_spot *spot = &spots->spots[i];
        size_t start = spot->start + shift, end = spot->end + shift;
        if (start == 0 || start >= end || end >= event.len || event.ptr[start - 1] != ':') {
            return false;
        }
        int at = node_of_field[spots->is_close][spot->field];
        if (at != DV_SEAL_NONE) {
            note(w, &nodes[at], event.ptr + spot->member + shift, event.ptr + start,
                 event.ptr + end);
        }
    }
    return true;
}

const uint8_t *dv_seal_skip_space(const dv_seal_walk *w, const uint8_t *p)
{
    return skip_space(w, p);
}

const uint8_t *dv_seal_string_end(const dv_seal_walk *w, const uint8_t *p)
{
    return string_end(w, p);
}
