/* SPDX-License-Identifier: Apache-2.0 */
/* stream_tool seal|open KEY ASSOCIATED: standard input to standard output, as crypto/stream.h has
 * it; the key in hexadecimal. For tests: the key is no secret. */
#include "base/codec.h"
#include "base/file.h"
#include "crypto/stream.h"

#include <stdio.h>
#include <unistd.h>

static dv_result get(void *data, uint8_t *out, size_t room, size_t *ret_len, dv_error *error)
{
    ssize_t got = read(STDIN_FILENO, out, room);
    *ret_len = got < 0 ? 0 : (size_t)got;
    return got < 0 ? DV_ERR_IO : DV_OK;
}

static dv_result put(void *data, dv_slice bytes, dv_error *error)
{
    return dv_fd_write_all(STDOUT_FILENO, bytes);
}

int main(int argc, char **argv)
{
    uint8_t key[DV_STREAM_KEY_LEN];
    const dv_stream_source source = {get, NULL};
    const dv_stream_sink sink = {put, NULL};
    dv_error error = {0};
    if (argc != 4 || strlen(argv[2]) != 2 * sizeof(key) ||
        dv_hex_decode(dv_slice_str(argv[2]), key, sizeof(key)) != DV_OK) {
        fprintf(stderr, "usage: stream_tool seal|open KEY ASSOCIATED\n");
        return 2;
    }
    dv_result (*run)(const uint8_t *, dv_slice, const dv_stream_source *, const dv_stream_sink *,
                     dv_error *) = strcmp(argv[1], "seal") == 0 ? dv_stream_seal : dv_stream_open;
    dv_result result = run(key, dv_slice_str(argv[3]), &source, &sink, &error);
    if (result != DV_OK) {
        fprintf(stderr, "%s: %s\n", dv_result_name(result), error.message);
    }
    return result == DV_OK ? 0 : 1;
}
