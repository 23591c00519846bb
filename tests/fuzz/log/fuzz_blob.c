/* SPDX-License-Identifier: Apache-2.0 */
/* Large fields as they are read. First byte: 0, an entry that may refer to one; 1, a file of blobs;
 * else a blob's form behind the seal, where a writer that was taken over puts what it likes. */
#include "base/file.h"
#include "crypto/aead.h"
#include "engine/log/blob_entry.h"
#include "engine/log/blob_store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64], folder[80], pack[88], path[96];
static dv_arena *arena;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void remove_files(void)
{
    (void)unlink(path);
    (void)rmdir(pack);
    (void)rmdir(folder);
    (void)rmdir(root);
    dv_arena_free(arena);
}

static void prepare(void)
{
    arena = dv_arena_new(64 << 20);
    snprintf(root, sizeof root, "%s/dvara-fuzz-blob-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    require(arena != NULL && mkdtemp(root) != NULL);
    snprintf(folder, sizeof folder, "%s/blob", root);
    snprintf(pack, sizeof pack, "%s/0", folder);
    snprintf(path, sizeof path, "%s/5", pack);
    require(mkdir(folder, 0700) == 0 && mkdir(pack, 0700) == 0);
    atexit(remove_files);
}

static void read_entry(dv_slice entry)
{
    dv_blob_place place;
    uint8_t key[DV_BLOB_KEY_LEN];
    dv_auto(buf) dv_buf copy = dv_buf_init(1 << 20);
    dv_arena_reset(arena);
    if (dv_buf_append(&copy, entry) != DV_OK || !dv_blob_find(dv_buf_slice(&copy), arena, &place)) {
        return;
    }
    require(place.ref.size > 0 && place.ref.size <= DV_LIMIT_BLOB);
    require(place.ref.stored > 0 && place.ref.stored <= DV_BLOB_STORED_MAX);
    (void)!dv_blob_key(NULL, place.key, key);
    dv_blob_mark_lost(copy.ptr, &place);
    require(!dv_blob_find(dv_buf_slice(&copy), arena, &place));
}

/* In order, each found again by itself. */
static void read_file(dv_slice bytes)
{
    dv_blob_found found;
    uint64_t next = 5;
    dv_auto(blob_walk) dv_blob_walk *walk = NULL;
    dv_auto(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0 && dv_fd_write_all(fd, bytes) == DV_OK);
    require(dv_blob_walk_new(root, 0, 1000, &walk, NULL) == DV_OK);
    while (dv_blob_walk_next(walk, &found, NULL) == DV_OK) {
        dv_auto(buf) dv_buf one = dv_buf_init(DV_BLOB_STORED_MAX);
        require(found.entry >= next && found.entry < 1000 && found.stored.len > 0);
        require(dv_blob_store_read(root, found.entry, &one, NULL) == DV_OK);
        require(dv_slice_eq(dv_buf_slice(&one), found.stored));
        next = found.entry + 1;
    }
}

static void read_form(dv_slice packed)
{
    static const uint8_t nonce[DV_AEAD_NONCE_LEN], magic[8] = "DVBLOB1";
    dv_blob_ref ref = {.size = 4096, .key = "a key that is not secret"};
    dv_auto(buf) dv_buf stored = dv_buf_init(DV_BLOB_STORED_MAX), out = dv_buf_init(DV_LIMIT_BLOB);
    dv_auto(aead) dv_aead *aead = NULL;
    uint8_t bound[DV_SHA256_LEN];
    dv_sha256(DV_LIT("dvara blob key 1"), dv_slice_of(ref.key, sizeof ref.key), (dv_slice){NULL, 0},
              bound);
    size_t len = DV_BLOB_HEAD_LEN + packed.len + DV_AEAD_TAG_LEN;
    if (dv_buf_reserve(&stored, len) != DV_OK) {
        return;
    }
    memcpy(stored.ptr, magic, sizeof magic);
    memcpy(stored.ptr + sizeof magic, bound, sizeof bound);
    require(dv_aead_new(ref.key, &aead) == DV_OK &&
            dv_aead_seal(aead, nonce, dv_slice_of(magic, sizeof magic), packed,
                         stored.ptr + DV_BLOB_HEAD_LEN) == DV_OK);
    stored.len = ref.stored = (uint32_t)len;
    dv_sha256(dv_buf_slice(&stored), (dv_slice){NULL, 0}, (dv_slice){NULL, 0}, ref.sha256);
    dv_result result = dv_blob_open(&ref, dv_buf_slice(&stored), &out);
    require(result == DV_OK ? out.len == ref.size : out.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (arena == NULL) {
        prepare();
    }
    if (size == 0) {
        return 0;
    }
    dv_slice rest = dv_slice_of(data + 1, size - 1);
    if (data[0] == 0) {
        read_entry(rest);
    } else if (data[0] == 1) {
        read_file(rest);
    } else {
        read_form(rest);
    }
    return 0;
}
