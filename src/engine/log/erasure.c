/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/erasure.h"

#include "engine/log/entry.h"
#include "engine/log/search.h"

enum {
    HEAD = 1024,       /* metadata stands in front and is shorter */
    AT_ONCE = 256,     /* erasures that one rewriting of the keys does */
    COUNT_STEP = 8192, /* entries between looks at the clock */
    REASON_MAX = 16 << 10,
    QUERY_MEMORY = 1 << 20,
};

static const char own_code[] = "\"event_code\":\"audit.erased\"";
static const char own_entity[] = "\"entity\":{\"uid\":\"";

dv_result dv_erasure_event(dv_buf *out, const dv_event_actor *actor, dv_slice key_id,
                           dv_slice reason)
{
    dv_auto(buf) dv_buf change = dv_buf_init(REASON_MAX);
    DV_TRY(dv_buf_append_str(&change, "{\"reason\":"));
    DV_TRY(dv_buf_append_json_string(&change, reason));
    DV_TRY(dv_buf_append_byte(&change, '}'));
    const dv_event_entity entity = {
        .kind = DV_LIT("audit.erased"),
        .type = DV_LIT("subject_key"),
        .id = key_id,
        .change = dv_buf_slice(&change),
    };
    return dv_event_entity_change(out, actor, DV_ENTITY_DELETE, &entity);
}

dv_slice dv_erasure_read(dv_slice entry)
{
    static const dv_slice none = {NULL, 0};
    if (!dv_entry_is_own(entry) ||
        dv_slice_find(dv_slice_sub(entry, 0, HEAD), dv_slice_str(own_code)) < 0) {
        return none;
    }
    ptrdiff_t at = dv_slice_find(entry, dv_slice_str(own_entity));
    dv_slice id =
        at < 0 ? none
               : dv_slice_sub(entry, (size_t)at + sizeof(own_entity) - 1, DV_SUBJECT_ID_TEXT);
    return id.len == DV_SUBJECT_ID_TEXT ? id : none;
}

typedef struct redo {
    dv_subjects *subjects;
    char ids[AT_ONCE][DV_SUBJECT_ID_TEXT];
    size_t count;
    dv_error *error;
} redo;

static dv_result destroy_found(redo *work)
{
    dv_slice ids[AT_ONCE];
    for (size_t i = 0; i < work->count; i++) {
        ids[i] = dv_slice_of(work->ids[i], DV_SUBJECT_ID_TEXT);
    }
    size_t count = work->count;
    work->count = 0;
    return count == 0 ? DV_OK : dv_subjects_destroy(work->subjects, ids, count, work->error);
}

static dv_result visit_redo(void *data, uint64_t index, dv_slice entry)
{
    redo *work = data;
    dv_slice id = dv_erasure_read(entry);
    if (id.len == 0) {
        return DV_OK;
    }
    memcpy(work->ids[work->count++], id.ptr, id.len);
    return work->count == AT_ONCE ? destroy_found(work) : DV_OK;
}

dv_result dv_erasures_redo(dv_subjects *subjects, const char *log_folder, uint64_t minimum,
                           uint64_t size, dv_error *error)
{
    redo work = {.subjects = subjects, .error = error};
    uint64_t from = dv_subjects_seen(subjects);
    from = from > size ? 0 : from; /* another log than the one that was seen: all of it */
    from = DV_MIN(DV_MAX(from, minimum), size);
    DV_TRY(dv_log_read(log_folder, size, from, size - from, visit_redo, &work, error));
    DV_TRY(destroy_found(&work));
    dv_subjects_set_seen(subjects, size);
    return DV_OK;
}

/* -- counting -----------------------------------------------------------------------------------
 */

typedef struct counting {
    dv_slice id;
    uint64_t count;
} counting;

static dv_result visit_count(void *data, uint64_t index, dv_slice entry)
{
    counting *work = data;
    work->count += dv_slice_find(entry, work->id) >= 0;
    return DV_OK;
}

dv_result dv_erasures_count(const char *log_folder, uint64_t minimum, uint64_t size,
                            dv_slice key_id, dv_time until, uint64_t *ret_count, uint64_t *ret_read,
                            dv_error *error)
{
    counting work = {key_id, 0};
    uint64_t at = minimum;
    while (at < size && dv_time_monotonic() < until) {
        DV_TRY(dv_log_read(log_folder, size, at, COUNT_STEP, visit_count, &work, error));
        at += DV_MIN((uint64_t)COUNT_STEP, size - at);
    }
    *ret_count = work.count;
    *ret_read = at - minimum;
    return DV_OK;
}

/* -- finding ------------------------------------------------------------------------------------
 */

typedef struct finding {
    dv_result (*visit)(void *data, dv_slice key_id);
    void *data;
} finding;

static dv_result visit_erased(void *data, uint64_t index, dv_query_event *event, dv_arena *arena)
{
    const finding *work = data;
    dv_slice id = dv_erasure_read(event->text);
    return id.len == 0 ? DV_OK : work->visit(work->data, id);
}

dv_result dv_erasures_each(const char *log_folder, uint64_t from, uint64_t to,
                           dv_result (*visit)(void *data, dv_slice key_id), void *data,
                           dv_error *error)
{
    static const dv_query_options options = {.now = 0};
    finding work = {visit, data};
    dv_search search = {.size = to,
                        .minimum = from,
                        .from = from,
                        .oldest_first = true,
                        .visit = visit_erased,
                        .data = &work};
    dv_search_stats stats;
    dv_auto(arena) dv_arena *arena = dv_arena_new(QUERY_MEMORY);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_query_parse(DV_LIT("event:audit.erased"), &options, arena, &search.query, error));
    return dv_log_search(log_folder, &search, &stats, error);
}
