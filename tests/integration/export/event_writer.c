/* SPDX-License-Identifier: Apache-2.0 */
/* event_writer RUNTIME SPOOL: appends each line of standard input to the log's spool as one record,
 * with an end of line where it has a byte 1, and prints how many there were once all are
 * acknowledged. */
#include "base/caps.h"
#include "engine/log/spool.h"

#include <stdio.h>

static dv_result append_lines(dv_spool *spool, unsigned long *ret_count)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    dv_result result = DV_OK;
    while (result == DV_OK && (len = getline(&line, &room, stdin)) > 0) {
        for (char *at = line; (at = strchr(at, '\1')) != NULL;) {
            *at = '\n';
        }
        result =
            dv_spool_append(spool, dv_slice_of(line, (size_t)len - (line[len - 1] == '\n')), false);
        *ret_count += result == DV_OK;
    }
    free(line);
    return result;
}

int main(int argc, char **argv)
{
    uint8_t key[32];
    dv_error error = {0};
    dv_spool *spool = NULL;
    unsigned long count = 0;
    if (argc != 3) {
        fputs("usage: event_writer RUNTIME SPOOL\n", stderr);
        return 2;
    }
    dv_result result = dv_log_key_read(argv[1], key, &error);
    if (result == DV_OK) {
        result = dv_spool_open(argv[2], "test", key, 8 << 20, &spool, &error);
    }
    if (result == DV_OK) {
        result = append_lines(spool, &count);
        dv_spool_close(spool);
    }
    printf("%lu\n", count);
    return result == DV_OK ? 0 : 1;
}
