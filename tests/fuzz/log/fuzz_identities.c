/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a log's file of names: read as far as it is right, whoever made its sums right. */
#include "base/codec.h"
#include "engine/log/identities.h"
#include "subjects_folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CRC = 4, LENGTH = 4, BLOCK = 8, COUNT = 16, FRONT = 20 };

/* Records follow each other as their lengths say; sums and numbers of blocks are made right. */
static void mend(uint8_t *bytes, size_t len)
{
    uint64_t block = 0;
    for (size_t at = 0; len - at >= FRONT; block++) {
        size_t rest = dv_get_u32(bytes + at + LENGTH) % (len - at - BLOCK + 1);
        rest = DV_MAX(rest, (size_t)(FRONT - BLOCK));
        dv_put_u32(bytes + at + LENGTH, (uint32_t)rest);
        dv_put_u64(bytes + at + BLOCK, block);
        dv_put_u32(bytes + at, dv_crc32c(0, dv_slice_of(bytes + at + CRC, rest + BLOCK - CRC)));
        at += BLOCK + rest;
    }
}

static void write_file(dv_slice bytes)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/catalogue.names", subjects_folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes.ptr, bytes.len) != (ssize_t)bytes.len) {
        abort();
    }
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_identity_file *file = NULL;
    dv_identity_tokens tokens;
    dv_subjects *keys = subjects_of_this_run();
    dv_auto(buf) dv_buf bytes = dv_buf_init(1 << 20);
    if (size == 0 || dv_buf_append(&bytes, dv_slice_of(data, size)) != DV_OK) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        mend(bytes.ptr, bytes.len);
    }
    write_file(dv_buf_slice(&bytes));
    bool found = dv_identities_find(keys, subjects_folder, DV_LIT("alice"), &tokens);
    if (dv_identity_file_open(subjects_folder, &file, NULL) != DV_OK) {
        abort();
    }
    if (found && tokens.blocks > 0 && dv_identity_file_blocks(file) == 0) {
        abort(); /* a reader believes what a writer does not */
    }
    dv_identity_file_close(file);
    return 0;
}
