/* SPDX-License-Identifier: Apache-2.0 */
/* A spool segment as its reader meets it. First byte: 0, the rest is the whole file; 1, it stands
 * behind a good header; else it is a script that writes good and bad frames, so that what lies
 * behind the seal is reached too. */
#include "base/codec.h"
#include "base/file.h"
#include "engine/log/segment_format.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static dv_log_keys keys;
static dv_aead *aead;
static uint8_t header_bytes[DV_SEGMENT_HEADER_LEN];
static char path[64];
static const dv_uuid id = {{1, 0x9a, 0, 0, 0, 0, 0x70, 0, 0x80}};

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void remove_file(void)
{
    unlink(path);
    dv_aead_free(aead);
}

static void prepare(void)
{
    static const uint8_t key[DV_AEAD_KEY_LEN] = "a key that is not secret";
    dv_segment_header header = {.info = {.id = id, .created = 1, .source = "fuzz"}};
    dv_box_keypair(keys.public_key, keys.secret_key);
    memcpy(header.log_key, keys.public_key, sizeof(header.log_key));
    require(dv_box_seal(keys.public_key, dv_slice_of(key, sizeof(key)), header.sealed_key) ==
            DV_OK);
    require(dv_aead_new(key, &aead) == DV_OK);
    dv_segment_header_encode(&header, header_bytes);
    snprintf(path, sizeof(path), "%s/dvara-fuzz-%d.seg",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
    atexit(remove_file);
}

static void write_file(dv_slice header, dv_slice body)
{
    dv_auto(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0 && dv_fd_write_all(fd, header) == DV_OK && dv_fd_write_all(fd, body) == DV_OK);
}

/* Reads to the end; records come in order. Returns how many there were. */
static uint64_t read_file(void)
{
    dv_segment *segment = NULL;
    dv_segment_record record;
    dv_error error = {0};
    uint64_t count = 0;
    if (dv_segment_open(path, &keys, &segment, &error) != DV_OK) {
        require(error.message[0] != '\0');
        return 0;
    }
    dv_result result;
    while ((result = dv_segment_next(segment, &record, &error)) == DV_OK) {
        require(record.sequence == count && record.text.len > 0);
        count++;
    }
    require(result == DV_ERR_NOT_FOUND || result == DV_ERR_CORRUPT);
    require(dv_segment_next(segment, &record, &error) == result); /* it stays at its end */
    dv_segment_close(segment);
    return count;
}

/* Pairs of (operation, length): good frames until the first bad one; returns how many were good. */
static uint64_t write_script(dv_slice script, dv_buf *out)
{
    enum { MISSING = 8 };
    static uint8_t frame[DV_FRAME_MAX], text[256];
    uint64_t good = 0;
    bool broken = false, ended = false;
    for (size_t i = 0; i + 1 < script.len && out->len < (1 << 20); i += 2) {
        size_t len;
        uint8_t operation = script.ptr[i] % 8;
        dv_slice plain =
            dv_slice_of(text, operation == 7 ? 0 : 1 + (size_t)script.ptr[i + 1] % 255);
        uint64_t sequence = operation == 6 ? good + 1 : good;
        require(dv_frame_seal(aead, &id, sequence, plain, frame, &len) == DV_OK);
        if (operation == 5) {
            frame[script.ptr[i + 1] % len] ^= 0x10;
        }
        /* A byte alone may be that of the next frame, and the record whole after all. */
        size_t kept = operation == 4 ? 1 + script.ptr[i + 1] % (len - MISSING) : len;
        require(dv_buf_append(out, dv_slice_of(frame, kept)) == DV_OK);
        broken = broken || ended || operation >= 4;
        ended = ended || operation == 7;
        good += !broken;
    }
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (aead == NULL) {
        prepare();
    }
    if (size == 0) {
        return 0;
    }
    dv_slice rest = dv_slice_of(data + 1, size - 1);
    dv_slice header = dv_slice_of(header_bytes, sizeof(header_bytes));
    if (data[0] <= 1) {
        write_file(data[0] == 0 ? (dv_slice){NULL, 0} : header, rest);
        read_file();
        return 0;
    }
    dv_auto(buf) dv_buf frames = dv_buf_init(2 << 20);
    uint64_t good = write_script(rest, &frames);
    write_file(header, dv_buf_slice(&frames));
    require(read_file() == good);
    return 0;
}
