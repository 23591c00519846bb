/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/prune.h"

#include "base/caps.h"
#include "base/codec.h"
#include "base/json.h"
#include "core/event.h"
#include "engine/log/blob_store.h"
#include "engine/log/entry.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

/* -- how far ----------------------------------------------------------------------------------- */

/* When the log took events, and further back where one says that it happened before. A line is as
 * true as its writer: it can make its event look older to a hold, which then keeps it, but neither
 * older nor younger to the clock. */
typedef struct span {
    int64_t earliest, latest; /* earliest INT64_MIN: of some it is not known */
} span;

/* What was found out of whole packs, which do not change any more. */
enum { REMEMBERED = 64 };

typedef struct remembered {
    char log[DV_LOG_NAME_MAX + 1]; /* "": nothing */
    uint64_t pack;
    span times;
} remembered;

struct dv_prune_memory {
    pthread_mutex_t lock;
    remembered packs[REMEMBERED];
};

dv_result dv_prune_memory_new(dv_prune_memory **ret_memory)
{
    dv_prune_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    pthread_mutex_init(&memory->lock, NULL);
    *ret_memory = memory;
    return DV_OK;
}

void dv_prune_memory_free(dv_prune_memory *memory)
{
    if (memory != NULL) {
        pthread_mutex_destroy(&memory->lock);
        free(memory);
    }
}

static size_t slot_of(const char *log, uint64_t pack)
{
    return (dv_crc32c(0, dv_slice_str(log)) + pack) % REMEMBERED;
}

static bool recall(dv_prune_memory *memory, const char *log, uint64_t pack, span *times)
{
    if (memory == NULL) {
        return false;
    }
    pthread_mutex_lock(&memory->lock);
    const remembered *one = &memory->packs[slot_of(log, pack)];
    bool known = one->pack == pack && strcmp(one->log, log) == 0;
    if (known) {
        *times = one->times;
    }
    pthread_mutex_unlock(&memory->lock);
    return known;
}

static void remember(dv_prune_memory *memory, const char *log, uint64_t pack, const span *times)
{
    if (memory != NULL) {
        pthread_mutex_lock(&memory->lock);
        remembered *one = &memory->packs[slot_of(log, pack)];
        *one = (remembered){.pack = pack, .times = *times};
        dv_slice_copy(dv_slice_str(log), one->log, sizeof(one->log));
        pthread_mutex_unlock(&memory->lock);
    }
}

static void widen(span *times, int64_t earliest, int64_t latest)
{
    times->earliest = DV_MIN(times->earliest, earliest);
    times->latest = DV_MAX(times->latest, latest);
}

static void widen_by_leaf(span *times, dv_slice leaf)
{
    int64_t time = dv_entry_time(leaf), logged = dv_entry_logged(leaf);
    int64_t taken = logged > 0 ? logged : INT64_MAX;
    widen(times, time > 0 ? DV_MIN(time, taken) : INT64_MIN, taken);
}

static dv_result times_of_leaves(dv_block *block, span *times, dv_error *error)
{
    dv_auto(buf) dv_buf leaf = dv_buf_init(UINT16_MAX);
    for (uint32_t i = 0; i < dv_block_about(block)->leaves; i++) {
        dv_buf_clear(&leaf);
        DV_TRY(dv_block_leaf(block, i, &leaf, error));
        widen_by_leaf(times, dv_buf_slice(&leaf));
    }
    return DV_OK;
}

/* The column of the stamps' times, when every leaf has its own there; UINT32_MAX: they have not. A
 * leaf that says it twice is in no column (block_format.h). */
static uint32_t logged_column(const dv_block *block)
{
    const dv_block_info *info = dv_block_about(block);
    for (uint32_t i = 0; i < info->columns; i++) {
        const dv_column *column = dv_block_column_about(block, i);
        if (column->type == DV_SLOT_INT && column->count == info->leaves &&
            dv_slice_eq_str(column->path, "metadata" DV_PATH_BELOW "logged_time")) {
            return i;
        }
    }
    return UINT32_MAX;
}

static dv_result times_of_block(dv_block *block, span *times, dv_error *error)
{
    const dv_column *column;
    const dv_block_info *info = dv_block_about(block);
    uint32_t index = logged_column(block);
    if (index == UINT32_MAX) {
        return times_of_leaves(block, times, error);
    }
    DV_TRY(dv_block_column_values(block, index, &column, error));
    for (uint32_t i = 0; i < column->count; i++) {
        int64_t taken = column->values[i] > 0 ? column->values[i] : INT64_MAX;
        widen(times, taken, taken);
    }
    /* A leaf without a time counts as 0 there. */
    widen(times, info->earliest > 0 ? info->earliest : INT64_MIN, INT64_MIN);
    return DV_OK;
}

static dv_result times_of_pack(const char *folder, uint64_t pack, span *times, dv_error *error)
{
    dv_auto(pack_reader) dv_pack_reader *packs = NULL;
    DV_TRY(dv_pack_reader_new(folder, &packs));
    for (uint64_t i = pack * DV_PACK_BLOCKS; i < (pack + 1) * DV_PACK_BLOCKS; i++) {
        dv_block *block;
        DV_TRY(dv_pack_block(packs, i, &block, error));
        DV_TRY(times_of_block(block, times, error));
    }
    return DV_OK;
}

dv_result dv_prune_times(dv_prune_memory *memory, const char *folder, const char *log,
                         uint64_t pack, int64_t *ret_earliest, int64_t *ret_latest, dv_error *error)
{
    span times = {INT64_MAX, INT64_MIN};
    if (!recall(memory, log, pack, &times)) {
        DV_TRY(times_of_pack(folder, pack, &times, error));
        remember(memory, log, pack, &times);
    }
    *ret_earliest = times.earliest;
    *ret_latest = times.latest;
    return DV_OK;
}

static bool may_go(const dv_prune_rule *rule, const char *log, const span *times)
{
    bool known = times->earliest != INT64_MIN;
    return times->latest < rule->before_ms &&
           (rule->is_held == NULL ||
            !rule->is_held(rule->data, log, times->earliest, known ? times->latest : INT64_MAX));
}

dv_result dv_prune_find(const char *folder, const dv_log_tree *tree, const dv_prune_rule *rule,
                        uint64_t *ret_minimum, dv_error *error)
{
    uint64_t pack = tree->minimum / DV_PACK_LEAVES;
    uint64_t end = rule->before_ms == INT64_MIN ? 0 : DV_MIN(tree->packed, rule->end);
    while ((pack + 1) * DV_PACK_LEAVES <= end) {
        span times;
        DV_TRY(dv_prune_times(rule->memory, folder, tree->name, pack, &times.earliest,
                              &times.latest, error));
        if (!may_go(rule, tree->name, &times)) {
            break;
        }
        pack++;
    }
    *ret_minimum = pack * DV_PACK_LEAVES;
    return DV_OK;
}

/* -- removing ---------------------------------------------------------------------------------- */

static void remove_file(const char *folder, const char *name)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (len > 0 && len < PATH_MAX) {
        unlink(path); /* what can't be removed now is tried again at the next start */
    }
}

/* All of them each time: a death or a power loss may have left any of those that were to go. */
static void remove_packs(const char *folder, uint64_t minimum)
{
    char name[DV_TILE_PATH_MAX];
    for (uint64_t pack = minimum / DV_PACK_LEAVES; pack > 0; pack--) {
        dv_pack_path(pack - 1, name);
        remove_file(folder, name);
    }
}

/* A tile whose last entry lies before the minimum. */
static void remove_tiles(const char *folder, int level, uint64_t minimum)
{
    char name[DV_TILE_PATH_MAX];
    for (uint64_t tile = minimum >> (DV_TILE_HEIGHT * (level + 1)); tile > 0; tile--) {
        dv_tile_path(level, tile - 1, DV_TILE_WIDTH, name);
        remove_file(folder, name);
    }
}

void dv_prune_remove(const char *folder, uint64_t minimum)
{
    enum { LEVELS = 7 }; /* a tile of the one above is never full */
    remove_packs(folder, minimum);
    for (int level = 1; level < LEVELS; level++) {
        remove_tiles(folder, level, minimum);
    }
    dv_blob_store_prune(folder, minimum);
}

/* -- telling ----------------------------------------------------------------------------------- */

dv_result dv_prune_event(const dv_log_tree *tree, uint64_t minimum, int64_t before_ms, dv_buf *out)
{
    dv_event_actor actor = {.time = dv_time_now(), .entity = DV_LIT("System::\"dvara-logd\"")};
    dv_auto(buf) dv_buf change = dv_buf_init(256);
    DV_TRY(dv_buf_append_printf(
        &change, "{\"from\":%" PRIu64 ",\"minimum\":%" PRIu64 ",\"before\":%" PRId64 "}",
        tree->minimum, minimum, before_ms));
    dv_event_entity entity = {.type = DV_LIT("log"),
                              .id = dv_slice_str(tree->name),
                              .change = dv_buf_slice(&change),
                              .kind = DV_LIT(DV_PRUNED_KIND)};
    return dv_event_entity_change(out, &actor, DV_ENTITY_DELETE, &entity);
}

static uint32_t member(const dv_json *json, uint32_t object, const char *name)
{
    return object == UINT32_MAX || json->tokens[object].type != DV_JSON_OBJECT
               ? UINT32_MAX
               : dv_json_member(json, object, name);
}

bool dv_prune_event_read(dv_slice entry, dv_arena *arena, char ret_log[DV_LOG_NAME_MAX + 1],
                         uint64_t *ret_minimum)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH, .tokens = UINT16_MAX};
    dv_json json;
    int64_t minimum = 0;
    if (!dv_entry_is_own(entry) || !dv_slice_eq(dv_entry_kind(entry), DV_LIT(DV_PRUNED_KIND)) ||
        dv_json_scan(entry, &limits, arena, &json, NULL) != DV_OK) {
        return false;
    }
    uint32_t entity = member(&json, 0, "entity");
    uint32_t name = member(&json, entity == 0 ? UINT32_MAX : entity, "uid");
    uint32_t data = member(&json, entity == 0 ? UINT32_MAX : entity, "data");
    uint32_t number = member(&json, data == 0 ? UINT32_MAX : data, "minimum");
    if (name == 0 || name == UINT32_MAX || number == 0 || number == UINT32_MAX ||
        !dv_log_name_is(dv_json_raw(&json, name)) ||
        dv_json_int(&json, number, &minimum) != DV_OK || minimum < 0) {
        return false;
    }
    dv_slice_copy(dv_json_raw(&json, name), ret_log, DV_LOG_NAME_MAX + 1);
    *ret_minimum = (uint64_t)minimum;
    return true;
}
