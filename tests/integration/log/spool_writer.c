/* SPDX-License-Identifier: Apache-2.0 */
/* spool_writer RUNTIME SPOOL NAME COUNT [PAUSE_MS]: appends that many events, the Nth with the
 * request id NAME-N, and prints each id once its record is acknowledged. COUNT 0: the lines of the
 * standard input as they are, instead. */
#include "base/caps.h"
#include "core/event_code.h"
#include "engine/log/spool.h"

#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static dv_result append(dv_spool *spool, const char *id)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_verdict verdict = {.decision = DV_ALLOW, .reason = DV_REASON_OK};
    dv_event_request request = {
        .request_id = dv_slice_str(id),
        .time = dv_time_now(),
        .method = DV_LIT("POST"),
        .path = DV_LIT("/v1/chat/completions"),
        .verdict = &verdict,
    };
    DV_TRY(dv_event_code_open(&event, &request));
    return dv_spool_append(spool, dv_buf_slice(&event), false);
}

static dv_result append_lines(dv_spool *spool)
{
    static char line[DV_LIMIT_RECORD];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        DV_TRY(dv_spool_append(spool, dv_slice_of(line, strcspn(line, "\n")), false));
    }
    return DV_OK;
}

/* Root writes as the spool's own user, who alone can make the folder of a writer there, and whose
 * folders dvara-logd can read; of the group that reaches the state. */
static bool take_user(const char *spool)
{
    char state[PATH_MAX];
    struct stat own, above;
    int len = snprintf(state, sizeof(state), "%s/..", spool);
    if (geteuid() != 0 || len < 0 || (size_t)len >= sizeof(state) || stat(spool, &own) != 0 ||
        stat(state, &above) != 0 || own.st_uid == 0) {
        return true;
    }
    return setgroups(0, NULL) == 0 && setgid(above.st_gid) == 0 && setuid(own.st_uid) == 0;
}

static dv_result run(const char *runtime, const char *folder, const char *name, long count,
                     long pause_ms, dv_error *error)
{
    enum { SEGMENT_MAX = 128 << 10 }; /* small, so that segments follow each other */
    uint8_t key[32];
    char line[128];
    dv_spool *spool = NULL;
    DV_TRY(dv_log_key_read(runtime, key, error));
    DV_TRY(dv_spool_open(folder, "test", key, SEGMENT_MAX, &spool, error));
    dv_result result = count == 0 ? append_lines(spool) : DV_OK;
    for (long i = 0; i < count && result == DV_OK; i++) {
        int len = snprintf(line, sizeof(line), "%.64s-%ld", name, i);
        result = append(spool, line);
        line[len] = '\n';
        if (result == DV_OK && write(STDOUT_FILENO, line, (size_t)len + 1) != len + 1) {
            result = DV_ERR_IO;
        }
        if (pause_ms > 0) {
            usleep((useconds_t)pause_ms * 1000);
        }
    }
    dv_spool_close(spool);
    return result;
}

int main(int argc, char **argv)
{
    dv_error error = {0};
    if (argc != 5 && argc != 6) {
        fputs("usage: spool_writer RUNTIME SPOOL NAME COUNT [PAUSE_MS]\n", stderr);
        return 2;
    }
    long pause_ms = argc == 6 ? strtol(argv[5], NULL, 10) : 0;
    dv_result result = !take_user(argv[2]) ? DV_ERR_FORBIDDEN
                                           : run(argv[1], argv[2], argv[3],
                                                 strtol(argv[4], NULL, 10), pause_ms, &error);
    if (result != DV_OK) {
        fprintf(stderr, "spool_writer: %s %s\n", dv_result_name(result), error.message);
        return 1;
    }
    return 0;
}
