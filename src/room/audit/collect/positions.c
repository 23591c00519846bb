/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/collect/positions.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 128, BOOT_MAX = 40, ALLOCATED = 1 << 20, UNSYNCED_MAX = 16 };

static const char magic[16] = "dvara-position1";

typedef struct slot {
    char key[DV_POSITION_KEY_MAX]; /* "": free */
    dv_position now;
    dv_position safe;
} slot;

typedef struct intent {
    _Atomic uint32_t valid;
    uint32_t slot;
    dv_spool_place place;
    dv_position next;
} intent;

typedef struct table {
    char magic[16];
    char boot[BOOT_MAX];
    intent intent;
    slot slots[SLOTS];
} table;
_Static_assert(sizeof(table) <= ALLOCATED, "the file holds the table");

struct dv_positions {
    table *table;
    char spool[PATH_MAX];
    char link[PATH_MAX];
    char link_new[PATH_MAX];
    dv_uuid linked; /* the segment that the link is to */
    bool has_link;
    bool dirty;
    int unsynced[UNSYNCED_MAX]; /* segments of before, with records that may not be on the disk */
    size_t unsynced_count;
    int syncing[UNSYNCED_MAX]; /* what the thread brings to the disk */
    size_t syncing_count;
    bool has_attached; /* files beside the segments (dv_spool_attach), not on the disk yet */
    bool syncs_all;    /* the thread brings these there, too */
    bool is_syncing;
    atomic_bool sync_done;
    pthread_t thread;
    slot snapshot[SLOTS]; /* positions when the sync began */
    size_t slot;          /* of the append that is going on */
    const dv_position *next;
};

/* ---- Syncing, in a thread of its own: it may take seconds while others write ---- */

static void *sync_files(void *data)
{
    dv_positions *positions = data;
    for (size_t i = 0; i < positions->syncing_count; i++) {
        (void)(positions->syncs_all ? syncfs(positions->syncing[i])
                                    : fdatasync(positions->syncing[i]));
    }
    atomic_store_explicit(&positions->sync_done, true, memory_order_release);
    return NULL;
}

static void sync_later(dv_positions *positions)
{
    int fd = open(positions->link, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && positions->unsynced_count == UNSYNCED_MAX) {
        (void)fdatasync(fd); /* so many segments in one sync: the writer waits */
        close(fd);
    } else if (fd >= 0) {
        positions->unsynced[positions->unsynced_count++] = fd;
    }
}

/* True: what was being synced is on the disk. */
static bool join_sync(dv_positions *positions, bool wait)
{
    if (!positions->is_syncing ||
        (!wait && !atomic_load_explicit(&positions->sync_done, memory_order_acquire))) {
        return false;
    }
    pthread_join(positions->thread, NULL);
    for (size_t i = 0; i < positions->syncing_count; i++) {
        close(positions->syncing[i]);
    }
    positions->syncing_count = 0;
    positions->is_syncing = false;
    return true;
}

static void take_snapshot(dv_positions *positions)
{
    for (size_t i = 0; i < SLOTS; i++) {
        memcpy(positions->snapshot[i].key, positions->table->slots[i].key, DV_POSITION_KEY_MAX);
        positions->snapshot[i].now = positions->table->slots[i].now;
    }
}

static void begin_sync(dv_positions *positions)
{
    sync_later(positions);
    take_snapshot(positions);
    memcpy(positions->syncing, positions->unsynced, sizeof positions->syncing);
    positions->syncing_count = positions->unsynced_count;
    positions->unsynced_count = 0;
    positions->dirty = false;
    positions->syncs_all = positions->has_attached;
    positions->has_attached = false;
    atomic_store(&positions->sync_done, false);
    positions->is_syncing = pthread_create(&positions->thread, NULL, sync_files, positions) == 0;
    if (!positions->is_syncing) {
        (void)sync_files(positions);
        for (size_t i = 0; i < positions->syncing_count; i++) {
            close(positions->syncing[i]);
        }
        positions->syncing_count = 0;
    }
}

/* What was there when the sync began. A slot that another key took meanwhile stays. */
static void settle_safe(dv_positions *positions)
{
    for (size_t i = 0; i < SLOTS; i++) {
        slot *s = &positions->table->slots[i];
        if (s->key[0] != '\0' && strcmp(s->key, positions->snapshot[i].key) == 0) {
            s->safe = positions->snapshot[i].now;
        }
    }
}

/* ---- The link to the segment ---- */

/* dv_spool_holds must find the segment when dvara-logd has done with it, too. Where no link can be
 * made, a death may cost one line twice. */
static void follow(dv_positions *positions, const dv_uuid *segment)
{
    char name[DV_UUID_TEXT_LEN + 1];
    char path[PATH_MAX];
    if (positions->has_link && memcmp(&positions->linked, segment, sizeof *segment) == 0) {
        return;
    }
    if (positions->has_link) {
        sync_later(positions);
    }
    dv_uuid_format(segment, name);
    int len = snprintf(path, sizeof path, "%s/%s.seg", positions->spool, name);
    (void)unlink(positions->link_new);
    positions->has_link = len > 0 && len < PATH_MAX && link(path, positions->link_new) == 0 &&
                          rename(positions->link_new, positions->link) == 0;
    positions->linked = *segment;
}

/* ---- Opening ---- */

static void read_boot(char out[BOOT_MAX])
{
    memset(out, 0, BOOT_MAX);
    dv_auto(fd) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, out, 36) < 0) {
        out[0] = '\0';
    }
}

static bool is_good(const table *t)
{
    bool good = memcmp(t->magic, magic, sizeof magic) == 0 && t->intent.slot < SLOTS;
    for (size_t i = 0; i < SLOTS && good; i++) {
        const slot *s = &t->slots[i];
        good = memchr(s->key, '\0', sizeof s->key) != NULL &&
               memchr(s->now.cursor, '\0', sizeof s->now.cursor) != NULL &&
               memchr(s->safe.cursor, '\0', sizeof s->safe.cursor) != NULL;
    }
    return good;
}

/* Invariant 1, and 2 where the machine was started anew. */
static void recover(dv_positions *positions)
{
    char boot[BOOT_MAX];
    table *t = positions->table;
    read_boot(boot);
    if (strncmp(boot, t->boot, BOOT_MAX) != 0) {
        for (size_t i = 0; i < SLOTS; i++) {
            t->slots[i].now = t->slots[i].safe;
        }
        memcpy(t->boot, boot, BOOT_MAX);
    } else if (t->intent.valid == 1 && dv_spool_holds(positions->link, &t->intent.place)) {
        t->slots[t->intent.slot].now = t->intent.next;
    }
    t->intent.valid = 0;
}

static dv_result map_table(const char *path, dv_positions *positions, bool *ret_fresh,
                           dv_error *error)
{
    dv_auto(fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    /* With blocks of its own, so that a store never finds the disk full. */
    int failed = fd < 0 ? errno : posix_fallocate(fd, 0, ALLOCATED);
    if (failed != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(failed));
    }
    void *bytes = mmap(NULL, ALLOCATED, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    positions->table = bytes;
    *ret_fresh = !is_good(positions->table);
    if (*ret_fresh) {
        memset(bytes, 0, sizeof(table));
        memcpy(positions->table->magic, magic, sizeof magic);
        read_boot(positions->table->boot);
    }
    return DV_OK;
}

static dv_result open_all(const char *folder, const char *spool, dv_positions *positions,
                          bool *ret_fresh, dv_error *error)
{
    char path[PATH_MAX];
    int a = snprintf(path, sizeof path, "%s/positions", folder);
    int b = snprintf(positions->link, PATH_MAX, "%s/segment", folder);
    int c = snprintf(positions->link_new, PATH_MAX, "%s/segment.new", folder);
    int d = snprintf(positions->spool, PATH_MAX, "%s", spool);
    if (a >= PATH_MAX || b >= PATH_MAX || c >= PATH_MAX || d >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
    }
    DV_TRY(dv_dir_make(folder, 0700, error));
    DV_TRY(map_table(path, positions, ret_fresh, error));
    recover(positions);
    return DV_OK;
}

dv_result dv_positions_open(const char *folder, const char *spool, dv_positions **ret_positions,
                            bool *ret_fresh, dv_error *error)
{
    dv_positions *positions = calloc(1, sizeof *positions);
    if (positions == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = open_all(folder, spool, positions, ret_fresh, error);
    if (result != DV_OK) {
        dv_positions_close(positions);
        return result;
    }
    *ret_positions = positions;
    return DV_OK;
}

void dv_positions_close(dv_positions *positions)
{
    if (positions != NULL) {
        if (join_sync(positions, true)) {
            settle_safe(positions);
        }
        while (positions->unsynced_count > 0) {
            close(positions->unsynced[--positions->unsynced_count]);
        }
        if (positions->table != NULL) {
            munmap(positions->table, ALLOCATED);
        }
        free(positions);
    }
}

/* ---- Using ---- */

dv_result dv_positions_find(dv_positions *positions, const char *key, size_t *ret_slot,
                            bool *ret_known)
{
    slot *slots = positions->table->slots;
    size_t spare = SLOTS;
    if (strlen(key) >= DV_POSITION_KEY_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    for (size_t i = SLOTS; i-- > 0;) {
        if (strcmp(slots[i].key, key) == 0) {
            *ret_slot = i;
            *ret_known = true;
            return DV_OK;
        }
        spare = slots[i].key[0] == '\0' ? i : spare;
    }
    if (spare == SLOTS) {
        return DV_ERR_TOO_LARGE;
    }
    memset(&slots[spare], 0, sizeof slots[spare]);
    memcpy(slots[spare].key, key, strlen(key));
    *ret_slot = spare;
    *ret_known = false;
    return DV_OK;
}

const dv_position *dv_positions_get(const dv_positions *positions, size_t index)
{
    return &positions->table->slots[index].now;
}

void dv_positions_set(dv_positions *positions, size_t index, const dv_position *next)
{
    positions->table->slots[index].now = *next;
    positions->dirty = true;
}

static void note(void *data, const dv_spool_place *place)
{
    dv_positions *positions = data;
    intent *i = &positions->table->intent;
    follow(positions, &place->segment);
    i->slot = (uint32_t)positions->slot;
    i->place = *place;
    i->next = *positions->next;
    atomic_store_explicit(&i->valid, 1, memory_order_release);
}

dv_result dv_positions_append(dv_positions *positions, dv_spool *spool, dv_slice record,
                              size_t index, const dv_position *next)
{
    intent *i = &positions->table->intent;
    positions->slot = index;
    positions->next = next;
    positions->has_attached = positions->has_attached || dv_spool_has_attached(spool);
    dv_result result = dv_spool_append_noted(spool, record, false, note, positions);
    if (result == DV_OK) {
        atomic_signal_fence(memory_order_seq_cst);
        positions->table->slots[index].now = *next;
        positions->dirty = true;
    }
    atomic_store_explicit(&i->valid, 0, memory_order_release);
    return result;
}

void dv_positions_sync(dv_positions *positions)
{
    if (join_sync(positions, false)) {
        settle_safe(positions);
    }
    if (positions->dirty && !positions->is_syncing) {
        begin_sync(positions);
    }
}
