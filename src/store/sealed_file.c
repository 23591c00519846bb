/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sealed_file.h"

#include "base/siphash.h"
#include "base/slice.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

enum {
    PAGE = DV_SEALED_PAGE,
    USABLE = DV_SEALED_PAGE - DV_SEALED_RESERVED,
    TAG_AT = USABLE,
    SESSION_AT = TAG_AT + DV_AEAD_TAG_LEN,
    SESSION_LEN = 16,
    NUMBER_AT = SESSION_AT + SESSION_LEN,
    NUMBER_LEN = 8,
    /* https://www.sqlite.org/fileformat2.html, section 4 */
    LOG_HEAD = 32,
    FRAME_HEAD = 24,
    SALTS_AT = 8, /* by which SQLite knows that a frame is of this log */
    SUM_AT = 16,  /* of its two check sums, of 4 bytes each */
    SUM_ROUNDS = 4,
    SUM_KEY_LEN = 16,
    FRAME = FRAME_HEAD + PAGE,
    DATABASE_HEAD = 100,
    NAME_MAX_LEN = 32,
    SESSIONS = 16, /* that wrote pages and whose keys are at hand */
};
_Static_assert(NUMBER_AT + NUMBER_LEN == PAGE, "a page is full");

typedef struct session {
    uint8_t id[SESSION_LEN];
    dv_aead *aead; /* NULL: none */
} session;

struct dv_sealed_files {
    sqlite3_vfs vfs; /* first */
    sqlite3_vfs *real;
    char name[NAME_MAX_LEN];
    uint8_t key[DV_SEALED_KEY_LEN];
    uint8_t sum_key[SUM_KEY_LEN];
    pthread_mutex_t lock; /* of what follows: a copy is written beside the store */
    session own;
    uint64_t number; /* of the next page that is sealed */
    session known[SESSIONS];
    size_t next; /* of them goes */
};

/* SQLite gives room for szOsFile bytes; the real file is behind ours. */
typedef struct sealed_file {
    sqlite3_file base; /* first */
    dv_sealed_files *files;
    sqlite3_file *real;
    bool is_log;
    int64_t frame;       /* whose head was written last; -1: none */
    uint32_t frame_page; /* that it names */
} sealed_file;
_Static_assert(sizeof(sealed_file) % 8 == 0, "the real file is aligned");

/* --- pages ----------------------------------------------------------------------------------- */

static uint32_t big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static dv_result session_key(const dv_sealed_files *files, const uint8_t *id, dv_aead **ret_aead)
{
    uint8_t key[DV_AEAD_KEY_LEN];
    dv_result result =
        dv_hkdf(dv_slice_of(files->key, sizeof(files->key)), dv_slice_of(id, SESSION_LEN),
                "dvara store page v1", key, sizeof(key));
    if (result == DV_OK) {
        result = dv_aead_new(key, ret_aead);
    }
    dv_wipe(key, sizeof(key));
    return result;
}

/* Each start of dvarad is a session, so a store has pages of many. */
static dv_result find_session(dv_sealed_files *files, const uint8_t *id, dv_aead **ret_aead)
{
    if (memcmp(id, files->own.id, SESSION_LEN) == 0) {
        *ret_aead = files->own.aead;
        return DV_OK;
    }
    for (size_t i = 0; i < SESSIONS; i++) {
        if (files->known[i].aead != NULL && memcmp(id, files->known[i].id, SESSION_LEN) == 0) {
            *ret_aead = files->known[i].aead;
            return DV_OK;
        }
    }
    dv_aead *aead;
    DV_TRY(session_key(files, id, &aead));
    session *place = &files->known[files->next++ % SESSIONS];
    dv_aead_free(place->aead);
    memcpy(place->id, id, SESSION_LEN);
    place->aead = aead;
    *ret_aead = aead;
    return DV_OK;
}

/* What a page is bound to. */
typedef struct binding {
    uint8_t bytes[13];
} binding;

static binding bind(bool is_log, uint32_t page, int64_t offset)
{
    binding out = {{is_log ? 'l' : 'd'}};
    uint64_t place = is_log ? (uint64_t)offset : 0;
    memcpy(out.bytes + 1, &page, sizeof(page));
    memcpy(out.bytes + 1 + sizeof(page), &place, sizeof(place));
    return out;
}

static void nonce_of(const uint8_t *number, uint8_t nonce[DV_AEAD_NONCE_LEN])
{
    memset(nonce, 0, DV_AEAD_NONCE_LEN);
    memcpy(nonce, number, NUMBER_LEN);
}

/* False: SQLite uses bytes that should be free. Its log's check sums are over them, too, and they
 * are read back as zeros. */
static bool leaves_room(const uint8_t *page)
{
    static const uint8_t none[DV_SEALED_RESERVED];
    return memcmp(page + USABLE, none, sizeof(none)) == 0;
}

static dv_result seal_page(dv_sealed_files *files, const binding *bound, const uint8_t *page,
                           uint8_t out[PAGE])
{
    uint8_t nonce[DV_AEAD_NONCE_LEN];
    if (!leaves_room(page)) {
        return DV_ERR_INTERNAL;
    }
    pthread_mutex_lock(&files->lock);
    uint64_t number = files->number++;
    memcpy(out + SESSION_AT, files->own.id, SESSION_LEN);
    memcpy(out + NUMBER_AT, &number, NUMBER_LEN);
    nonce_of(out + NUMBER_AT, nonce);
    dv_result result = dv_aead_seal(files->own.aead, nonce, dv_slice_of(bound, sizeof(*bound)),
                                    dv_slice_of(page, USABLE), out);
    pthread_mutex_unlock(&files->lock);
    return result;
}

/* In place. */
static dv_result open_page(dv_sealed_files *files, const binding *bound, uint8_t page[PAGE])
{
    dv_aead *aead;
    uint8_t nonce[DV_AEAD_NONCE_LEN];
    nonce_of(page + NUMBER_AT, nonce);
    pthread_mutex_lock(&files->lock);
    dv_result result = find_session(files, page + SESSION_AT, &aead);
    if (result == DV_OK) {
        result = dv_aead_open(aead, nonce, dv_slice_of(bound, sizeof(*bound)),
                              dv_slice_of(page, USABLE + DV_AEAD_TAG_LEN), page);
    }
    pthread_mutex_unlock(&files->lock);
    memset(page + USABLE, 0, DV_SEALED_RESERVED);
    return result;
}

/* Only what was tried and does not open is damaged; a log would end there. */
static int code_of(dv_result result)
{
    switch (result) {
    case DV_OK:
        return SQLITE_OK;
    case DV_ERR_CORRUPT:
        return SQLITE_IOERR_DATA;
    case DV_ERR_NO_MEMORY:
        return SQLITE_IOERR_NOMEM;
    default:
        return SQLITE_IOERR;
    }
}

/* --- the database ---------------------------------------------------------------------------- */

/* SQLite looks at the head of a database before it looks into the log, which may be newer: a page 1
 * that was torn by a power failure stands there. From this head it learns only what is so in every
 * sealed database; the page itself it reads later. */
static void usual_head(uint8_t page[PAGE])
{
    static const uint8_t head[] = "SQLite format 3\0\x10\0\2\2\x28\x40\x20\x20";
    memset(page, 0, PAGE);
    memcpy(page, head, sizeof(head) - 1);
}

/* SQLite takes a page behind the end for one of zeros, but in WAL mode it never reads one that was
 * not written: the file was cut off. */
static int read_database(sealed_file *file, uint8_t *out, int len, int64_t offset)
{
    uint8_t page[PAGE];
    int64_t index = offset / PAGE, at = offset % PAGE;
    if (at + len > PAGE) {
        return SQLITE_IOERR_READ;
    }
    int rc = file->real->pMethods->xRead(file->real, page, PAGE, index * PAGE);
    if (rc != SQLITE_OK) { /* behind the end: zeros, as SQLite wants them of heads */
        memset(out, 0, (size_t)len);
        return rc == SQLITE_IOERR_SHORT_READ && len == PAGE ? SQLITE_IOERR_DATA : rc;
    }
    binding bound = bind(false, (uint32_t)(index + 1), 0);
    rc = code_of(open_page(file->files, &bound, page));
    if (rc == SQLITE_IOERR_DATA && index == 0 && at + len <= DATABASE_HEAD) {
        usual_head(page);
        rc = SQLITE_OK;
    }
    memcpy(out, page + at, (size_t)len);
    dv_wipe(page, sizeof(page));
    return rc;
}

static int write_database(sealed_file *file, const uint8_t *page, int len, int64_t offset)
{
    uint8_t sealed[PAGE];
    if (len != PAGE || offset % PAGE != 0) {
        return SQLITE_IOERR_WRITE;
    }
    binding bound = bind(false, (uint32_t)(offset / PAGE + 1), 0);
    int rc = code_of(seal_page(file->files, &bound, page, sealed));
    return rc == SQLITE_OK ? file->real->pMethods->xWrite(file->real, sealed, PAGE, offset) : rc;
}

/* --- the log --------------------------------------------------------------------------------- */

/* Where an offset in the log lies. */
typedef struct place {
    int64_t frame; /* its first byte; -1: in the log's head */
    int at;        /* of the frame */
} place;

static place find_place(int64_t offset)
{
    if (offset < LOG_HEAD) {
        return (place){-1, (int)offset};
    }
    int64_t at = (offset - LOG_HEAD) % FRAME;
    return (place){offset - at, (int)at};
}

typedef struct sum_input {
    uint8_t head[SUM_AT]; /* page, size of the database, and the two salts */
    int64_t frame;
    uint32_t round;
    uint8_t half[4];
} sum_input;
_Static_assert(sizeof(sum_input) == SUM_AT + 16, "without gaps");

/* SQLite's check sums are linear in what is in the pages: whoever has two of them knows how a page
 * was changed, or can try guesses. So they are sealed, too, with a block cipher of 8 bytes for
 * each frame: Luby's and Rackoff's, of four rounds. */
static void turn_sums(const dv_sealed_files *files, int64_t frame, uint8_t *head, bool seal)
{
    sum_input in = {.frame = frame};
    uint8_t *halves[] = {head + SUM_AT, head + SUM_AT + sizeof(in.half)};
    memcpy(in.head, head, SUM_AT);
    for (uint32_t i = 0; i < SUM_ROUNDS; i++) {
        in.round = seal ? i : SUM_ROUNDS - 1 - i;
        const uint8_t *from = halves[in.round % 2];
        uint8_t *to = halves[1 - in.round % 2];
        memcpy(in.half, from, sizeof(in.half));
        uint64_t mask = dv_siphash(files->sum_key, dv_slice_of(&in, sizeof(in)));
        for (size_t k = 0; k < sizeof(in.half); k++) {
            to[k] ^= (uint8_t)(mask >> (8 * k));
        }
    }
}

static int read_frame_head(sealed_file *file, int64_t frame, uint8_t head[FRAME_HEAD])
{
    int rc = file->real->pMethods->xRead(file->real, head, FRAME_HEAD, frame);
    if (rc != SQLITE_OK) {
        memset(head, 0, FRAME_HEAD);
        return rc;
    }
    turn_sums(file->files, frame, head, false);
    return SQLITE_OK;
}

static int frame_page(sealed_file *file, int64_t frame, uint32_t *ret_page)
{
    uint8_t head[FRAME_HEAD];
    if (file->frame == frame) {
        *ret_page = file->frame_page;
        return SQLITE_OK;
    }
    int rc = read_frame_head(file, frame, head);
    *ret_page = big_endian(head);
    return rc;
}

static int read_frame_page(sealed_file *file, int64_t frame, uint8_t page[PAGE])
{
    uint32_t number;
    int rc = frame_page(file, frame, &number);
    if (rc == SQLITE_OK) {
        rc = file->real->pMethods->xRead(file->real, page, PAGE, frame + FRAME_HEAD);
    }
    if (rc != SQLITE_OK) {
        memset(page, 0, PAGE);
        return rc;
    }
    binding bound = bind(true, number, frame);
    rc = code_of(open_page(file->files, &bound, page));
    if (rc == SQLITE_IOERR_DATA) {
        memset(page, 0, PAGE);
    }
    return rc;
}

/* How SQLite looks for the end of its log. What does not open is zeros in a frame of another log:
 * its check sum would fit where a page of zeros was torn, one that was deleted. */
static int read_frame(sealed_file *file, int64_t frame, uint8_t out[FRAME])
{
    memset(out, 0, FRAME);
    int rc = read_frame_head(file, frame, out);
    if (rc == SQLITE_OK) {
        rc = read_frame_page(file, frame, out + FRAME_HEAD);
    }
    if (rc == SQLITE_IOERR_DATA) {
        out[SALTS_AT] ^= 0xff;
        rc = SQLITE_OK;
    }
    return rc;
}

/* A piece of a log, as large as it is at the place. */
static int read_piece(sealed_file *file, place where, uint8_t *out, int len)
{
    uint8_t page[PAGE], head[FRAME_HEAD];
    int rc;
    if (where.frame < 0) {
        return file->real->pMethods->xRead(file->real, out, len, where.at);
    }
    if (where.at < FRAME_HEAD) {
        rc = read_frame_head(file, where.frame, head);
        memcpy(out, head + where.at, (size_t)len);
        return rc;
    }
    rc = read_frame_page(file, where.frame, page);
    memcpy(out, page + where.at - FRAME_HEAD, (size_t)len);
    dv_wipe(page, sizeof(page));
    return rc;
}

static int read_log(sealed_file *file, uint8_t *out, int len, int64_t offset)
{
    int rc = SQLITE_OK, piece;
    place first = find_place(offset);
    if (first.frame >= 0 && first.at == 0 && len == FRAME) {
        return read_frame(file, first.frame, out);
    }
    for (; len > 0 && rc == SQLITE_OK; len -= piece, out += piece, offset += piece) {
        place where = find_place(offset);
        int end = where.frame < 0 ? LOG_HEAD : where.at < FRAME_HEAD ? FRAME_HEAD : FRAME;
        piece = DV_MIN(len, end - where.at);
        rc = read_piece(file, where, out, piece);
    }
    memset(out, 0, (size_t)len); /* what is not there */
    return rc;
}

static int write_log_head(sealed_file *file, const uint8_t *head, int len, int64_t offset)
{
    place where = find_place(offset);
    if (where.at != 0 || len != (where.frame < 0 ? LOG_HEAD : FRAME_HEAD)) {
        return SQLITE_IOERR_WRITE;
    }
    if (where.frame < 0) {
        return file->real->pMethods->xWrite(file->real, head, len, offset);
    }
    uint8_t sealed[FRAME_HEAD];
    memcpy(sealed, head, FRAME_HEAD);
    turn_sums(file->files, where.frame, sealed, true);
    file->frame = where.frame;
    file->frame_page = big_endian(head);
    return file->real->pMethods->xWrite(file->real, sealed, len, offset);
}

static int write_log(sealed_file *file, const uint8_t *bytes, int len, int64_t offset)
{
    uint32_t number;
    uint8_t sealed[PAGE];
    place where = find_place(offset);
    if (len != PAGE) {
        return write_log_head(file, bytes, len, offset);
    }
    if (where.frame < 0 || where.at != FRAME_HEAD) {
        return SQLITE_IOERR_WRITE;
    }
    int rc = frame_page(file, where.frame, &number);
    if (rc != SQLITE_OK) {
        return rc;
    }
    binding bound = bind(true, number, where.frame);
    rc = code_of(seal_page(file->files, &bound, bytes, sealed));
    return rc == SQLITE_OK ? file->real->pMethods->xWrite(file->real, sealed, PAGE, offset) : rc;
}

/* --- a file, as SQLite sees it --------------------------------------------------------------- */

static sealed_file *sealed(sqlite3_file *file)
{
    return (sealed_file *)file;
}

static sqlite3_file *real(sqlite3_file *file)
{
    return sealed(file)->real;
}

static int file_close(sqlite3_file *file)
{
    return real(file)->pMethods->xClose(real(file));
}

static int file_read(sqlite3_file *file, void *out, int len, sqlite3_int64 offset)
{
    return sealed(file)->is_log ? read_log(sealed(file), out, len, offset)
                                : read_database(sealed(file), out, len, offset);
}

static int file_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    return sealed(file)->is_log ? write_log(sealed(file), bytes, len, offset)
                                : write_database(sealed(file), bytes, len, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sealed(file)->frame = -1;
    return real(file)->pMethods->xTruncate(real(file), size);
}

static int file_sync(sqlite3_file *file, int flags)
{
    return real(file)->pMethods->xSync(real(file), flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    return real(file)->pMethods->xFileSize(real(file), ret_size);
}

static int file_lock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xLock(real(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xUnlock(real(file), level);
}

static int file_locked(sqlite3_file *file, int *ret_locked)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), ret_locked);
}

/* Nothing is mapped: what lies in the file is not what SQLite works with. */
static int file_control(sqlite3_file *file, int what, void *data)
{
    return what == SQLITE_FCNTL_MMAP_SIZE
               ? SQLITE_NOTFOUND
               : real(file)->pMethods->xFileControl(real(file), what, data);
}

static int file_sector(sqlite3_file *file)
{
    return real(file)->pMethods->xSectorSize(real(file));
}

/* A page of ours is not written at once where the disk would do so for a smaller one. */
static int file_traits(sqlite3_file *file)
{
    return real(file)->pMethods->xDeviceCharacteristics(real(file)) &
           (SQLITE_IOCAP_POWERSAFE_OVERWRITE | SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN);
}

static int file_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret)
{
    return real(file)->pMethods->xShmMap(real(file), region, size, extend, ret);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return real(file)->pMethods->xShmLock(real(file), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    real(file)->pMethods->xShmBarrier(real(file));
}

static int file_shm_unmap(sqlite3_file *file, int remove)
{
    return real(file)->pMethods->xShmUnmap(real(file), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* without xFetch */
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_locked,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_traits,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* --- the file system ------------------------------------------------------------------------- */

static sqlite3_vfs *real_of(sqlite3_vfs *vfs)
{
    return ((dv_sealed_files *)vfs)->real;
}

static int fs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                   int *ret_flags)
{
    sealed_file *opened = sealed(file);
    *opened = (sealed_file){
        .files = (dv_sealed_files *)vfs,
        .real = (sqlite3_file *)(opened + 1),
        .is_log = (flags & SQLITE_OPEN_WAL) != 0,
        .frame = -1,
    };
    if ((flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) == 0) {
        return SQLITE_CANTOPEN;
    }
    int rc = real_of(vfs)->xOpen(real_of(vfs), name, opened->real, flags, ret_flags);
    if (rc == SQLITE_OK) {
        opened->base.pMethods = &methods;
    }
    return rc;
}

static int fs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    return real_of(vfs)->xDelete(real_of(vfs), name, sync);
}

/* Who puts a rollback journal beside a database, which never has one, is not to keep it closed. */
static int fs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_there)
{
    static const char end[] = "-journal";
    size_t len = strlen(name);
    if (len >= sizeof(end) - 1 && strcmp(name + len - (sizeof(end) - 1), end) == 0) {
        *ret_there = 0;
        return SQLITE_OK;
    }
    return real_of(vfs)->xAccess(real_of(vfs), name, flags, ret_there);
}

static int fs_full_path(sqlite3_vfs *vfs, const char *name, int len, char *out)
{
    return real_of(vfs)->xFullPathname(real_of(vfs), name, len, out);
}

static int fs_randomness(sqlite3_vfs *vfs, int len, char *out)
{
    return real_of(vfs)->xRandomness(real_of(vfs), len, out);
}

static int fs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    return real_of(vfs)->xSleep(real_of(vfs), microseconds);
}

static int fs_time(sqlite3_vfs *vfs, double *ret_days)
{
    return real_of(vfs)->xCurrentTime(real_of(vfs), ret_days);
}

static int fs_last_error(sqlite3_vfs *vfs, int len, char *out)
{
    return real_of(vfs)->xGetLastError(real_of(vfs), len, out);
}

static int fs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms)
{
    return real_of(vfs)->xCurrentTimeInt64(real_of(vfs), ret_ms);
}

static dv_result prepare(dv_sealed_files *files, const uint8_t *key)
{
    static atomic_uint count;
    files->real = sqlite3_vfs_find("unix");
    if (files->real == NULL || files->real->iVersion < 2) {
        return DV_ERR_UNSUPPORTED;
    }
    memcpy(files->key, key, sizeof(files->key));
    dv_random(files->own.id, sizeof(files->own.id));
    DV_TRY(session_key(files, files->own.id, &files->own.aead));
    DV_TRY(dv_hkdf(dv_slice_of(key, DV_SEALED_KEY_LEN), DV_LIT(""), "dvara store check sum v1",
                   files->sum_key, sizeof(files->sum_key)));
    snprintf(files->name, sizeof(files->name), "dvara-sealed-%u", atomic_fetch_add(&count, 1));
    files->vfs = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int)sizeof(sealed_file) + files->real->szOsFile,
        .mxPathname = files->real->mxPathname,
        .zName = files->name,
        .xOpen = fs_open,
        .xDelete = fs_delete,
        .xAccess = fs_access,
        .xFullPathname = fs_full_path,
        .xRandomness = fs_randomness,
        .xSleep = fs_sleep,
        .xCurrentTime = fs_time,
        .xGetLastError = fs_last_error,
        .xCurrentTimeInt64 = fs_time_ms,
    };
    return sqlite3_vfs_register(&files->vfs, 0) == SQLITE_OK ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_sealed_files_new(const uint8_t key[DV_SEALED_KEY_LEN], dv_sealed_files **ret_files)
{
    dv_sealed_files *files = calloc(1, sizeof(*files));
    if (files == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    pthread_mutex_init(&files->lock, NULL);
    dv_result result = prepare(files, key);
    if (result != DV_OK) {
        dv_sealed_files_free(files);
        return result;
    }
    *ret_files = files;
    return DV_OK;
}

void dv_sealed_files_free(dv_sealed_files *files)
{
    if (files == NULL) {
        return;
    }
    sqlite3_vfs_unregister(&files->vfs);
    dv_aead_free(files->own.aead);
    for (size_t i = 0; i < SESSIONS; i++) {
        dv_aead_free(files->known[i].aead);
    }
    pthread_mutex_destroy(&files->lock);
    dv_wipe(files->key, sizeof(files->key));
    dv_wipe(files->sum_key, sizeof(files->sum_key));
    free(files);
}

const char *dv_sealed_files_name(const dv_sealed_files *files)
{
    return files->name;
}
