/* SPDX-License-Identifier: Apache-2.0 */
#include "store/counters_file.h"

#include "base/codec.h"
#include "crypto/random.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Locks of the open file description order the processes:
 * - opening: exclusive, while one process looks at the file, makes it or takes a seat;
 * - in use: shared, as long as it is mapped. Whoever gets it exclusively is alone, and only then
 *   are the mutexes made anew (the last users may have died with a crash of the machine, whose
 *   thread ids mean nothing now) or is the file replaced;
 * - one for each seat: exclusive, as long as the process lives that sits there. */

static const uint64_t magic = UINT64_C(0x31726574635f7664); /* "dv_cter1" where little-endian */

int dv_counters_lock_byte(int fd, short type, int byte, bool wait)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int done;

    do {
        done = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock);
    } while (done < 0 && errno == EINTR);
    return done;
}

static uint32_t header_checksum(const dv_counters_header *header)
{
    return dv_crc32c(0, dv_slice_of(header, offsetof(dv_counters_header, checksum)));
}

static uint64_t leases_for(uint32_t slots)
{
    uint64_t wanted = DV_MAX((uint64_t)slots / DV_COUNTERS_LEASES_OF, DV_COUNTERS_LEASES_MIN);
    uint64_t each = 1;

    while (each * DV_COUNTERS_LEASE_SHARDS < wanted) {
        each *= 2;
    }
    return each;
}

/* Twice the slots in entries, rounded up, so that a place is near for each key. */
static dv_counters_header header_for(uint32_t slots)
{
    dv_counters_header header;

    memset(&header, 0, sizeof(header)); /* padding counts in the checksum */
    header.magic = magic;
    header.version = DV_COUNTERS_VERSION;
    header.header_size = sizeof(header);
    header.shard_size = sizeof(dv_counters_shard);
    header.entry_size = sizeof(dv_counter);
    header.slots = slots;
    header.shards = 1;
    header.entries_per_shard = DV_COUNTERS_SHARD_ENTRIES;
    header.leases_per_shard = leases_for(slots);
    header.lease_size = sizeof(dv_lease);
    header.seats = DV_COUNTERS_SEATS;
    while (header.shards * header.entries_per_shard < 2 * (uint64_t)slots) {
        if (header.shards < DV_COUNTERS_SHARDS_MAX) {
            header.shards *= 2;
        } else {
            header.entries_per_shard *= 2;
        }
    }
    return header;
}

static size_t shard_count(const dv_counters_header *header)
{
    return (size_t)DV_COUNTERS_LEASES * header->shards + DV_COUNTERS_LEASE_SHARDS;
}

static size_t shards_size(const dv_counters_header *header)
{
    size_t size = shard_count(header) * sizeof(dv_counters_shard);

    return (size + DV_COUNTERS_PAGE - 1) / DV_COUNTERS_PAGE * DV_COUNTERS_PAGE;
}

static size_t entries_size(const dv_counters_header *header)
{
    return (size_t)DV_COUNTERS_LEASES * header->shards * header->entries_per_shard *
           sizeof(dv_counter);
}

static size_t file_size(const dv_counters_header *header)
{
    size_t leases = DV_COUNTERS_LEASE_SHARDS * header->leases_per_shard;

    return DV_COUNTERS_PAGE + shards_size(header) + entries_size(header) +
           leases * sizeof(dv_lease);
}

/* True when the header is whole and is what header_for() makes for its slots. */
static bool header_valid(const dv_counters_header *header, off_t size)
{
    if (header->magic != magic || header->checksum != header_checksum(header) ||
        header->slots == 0 || header->slots > DV_COUNTERS_SLOTS_MAX) {
        return false;
    }
    dv_counters_header wanted = header_for(header->slots);

    return memcmp(header, &wanted, offsetof(dv_counters_header, seed)) == 0 &&
           size == (off_t)file_size(header);
}

static dv_result read_header(int fd, dv_counters_header *ret_header, off_t *ret_size,
                             bool *ret_valid)
{
    struct stat info;

    if (fstat(fd, &info) < 0) {
        return DV_ERR_IO;
    }
    if (!S_ISREG(info.st_mode)) {
        return DV_ERR_INVALID;
    }
    ssize_t got = pread(fd, ret_header, sizeof(*ret_header), 0);
    if (got < 0) {
        return DV_ERR_IO;
    }
    *ret_size = info.st_size;
    *ret_valid = got == (ssize_t)sizeof(*ret_header) && header_valid(ret_header, info.st_size);
    return DV_OK;
}

/* Empties the file and takes its space. The header comes last: without it the file is replaced by
 * the next to open it. */
static dv_result format_file(int fd, uint32_t slots, dv_counters_header *ret_header)
{
    dv_counters_header header = header_for(slots);

    dv_random(header.seed, sizeof(header.seed));
    header.created = dv_time_now();
    header.checksum = header_checksum(&header);
    if (ftruncate(fd, 0) < 0) {
        return DV_ERR_IO;
    }
    errno = posix_fallocate(fd, 0, (off_t)file_size(&header));
    if (errno != 0 || pwrite(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header)) {
        return DV_ERR_IO;
    }
    *ret_header = header;
    return DV_OK;
}

static dv_result make_mutexes(dv_counters_shard *shards, size_t count)
{
    pthread_mutexattr_t attributes;
    int failed = pthread_mutexattr_init(&attributes);

    if (failed != 0) {
        return DV_ERR_NO_MEMORY;
    }
    failed = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    failed |= pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    memset(shards, 0, count * sizeof(*shards));
    for (size_t i = 0; i < count && failed == 0; i++) {
        failed = pthread_mutex_init(&shards[i].mutex, &attributes);
    }
    pthread_mutexattr_destroy(&attributes);
    return failed == 0 ? DV_OK : DV_ERR_UNSUPPORTED;
}

static dv_result map_file(dv_counters *counters, const dv_counters_header *header)
{
    size_t size = file_size(header);
    uint8_t *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, counters->fd, 0);

    if (base == MAP_FAILED) {
        return DV_ERR_IO;
    }
    counters->size = size;
    counters->header = (dv_counters_header *)(void *)base;
    counters->shards = (dv_counters_shard *)(void *)(base + DV_COUNTERS_PAGE);
    uint8_t *entries = base + DV_COUNTERS_PAGE + shards_size(header);
    counters->entries = (dv_counter *)(void *)entries;
    counters->leases = (dv_lease *)(void *)(entries + entries_size(header));
    return DV_OK;
}

/* With the opening lock held. */
static dv_result adopt_file(dv_counters *counters, uint32_t slots, bool *ret_replaced,
                            dv_error *error)
{
    dv_counters_header header;
    off_t size = 0;
    bool valid = false;
    bool alone = dv_counters_lock_byte(counters->fd, F_WRLCK, DV_COUNTERS_LOCK_IN_USE, false) == 0;

    DV_TRY(read_header(counters->fd, &header, &size, &valid));
    if (!alone && !valid) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "the counters' header is damaged while another process uses them");
    }
    *ret_replaced = alone && size > 0 && (!valid || header.slots != slots);
    if (alone && (!valid || header.slots != slots)) {
        DV_TRY(format_file(counters->fd, slots, &header));
    }
    DV_TRY(map_file(counters, &header));
    if (alone) {
        DV_TRY(make_mutexes(counters->shards, shard_count(&header)));
    }
    return dv_counters_lock_byte(counters->fd, F_RDLCK, DV_COUNTERS_LOCK_IN_USE, true) == 0
               ? DV_OK
               : DV_ERR_IO;
}

dv_result dv_counters_open(const char *path, uint32_t slots, dv_counters **ret_counters,
                           bool *ret_replaced, dv_error *error)
{
    if (slots == 0 || slots > DV_COUNTERS_SLOTS_MAX) {
        return dv_error_set(error, DV_ERR_INVALID, "the number of slots must be 1 to %d",
                            DV_COUNTERS_SLOTS_MAX);
    }
    dv_auto(counters) dv_counters *counters = calloc(1, sizeof(*counters));
    if (counters == NULL) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "out of memory");
    }
    counters->seat = -1;
    counters->memo = calloc(DV_COUNTERS_MEMO, sizeof(*counters->memo));
    if (counters->memo == NULL) {
        counters->fd = -1;
        return dv_error_set(error, DV_ERR_NO_MEMORY, "out of memory");
    }
    counters->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0660);
    if (counters->fd < 0 ||
        dv_counters_lock_byte(counters->fd, F_WRLCK, DV_COUNTERS_LOCK_OPENING, true) < 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    bool replaced = false;
    dv_error why = {0};
    dv_result result = adopt_file(counters, slots, &replaced, &why);
    int failed_with = errno;
    (void)dv_counters_lock_byte(counters->fd, F_UNLCK, DV_COUNTERS_LOCK_OPENING, false);
    if (result != DV_OK) {
        return dv_error_set(error, result, "%s: %s", path,
                            why.message[0] != '\0'     ? why.message
                            : result == DV_ERR_INVALID ? "not a regular file"
                                                       : strerror(failed_with));
    }
    *ret_replaced = replaced;
    *ret_counters = counters;
    counters = NULL;
    return DV_OK;
}

void dv_counters_close(dv_counters *counters)
{
    if (counters == NULL) {
        return;
    }
    if (counters->header != NULL) {
        munmap(counters->header, counters->size);
    }
    dv_fd_close(&counters->fd);
    free(counters->memo);
    free(counters);
}

dv_time dv_counters_created(const dv_counters *counters)
{
    return counters->header->created;
}

dv_result dv_counters_sync(const dv_counters *counters)
{
    return msync(counters->header, counters->size, MS_SYNC) == 0 ? DV_OK : DV_ERR_IO;
}
