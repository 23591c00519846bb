/* SPDX-License-Identifier: Apache-2.0 */
/* What a line of another program's log costs from its bytes to its sealed record in the spool, on
 * one core. The ratio is against reading the same bytes as JSON text and sealing them, which is the
 * least that any line costs. */
#include "base/caps.h"
#include "bench.h"
#include "crypto/aead.h"
#include "crypto/random.h"
#include "engine/log/segment.h"
#include "engine/log/spool.h"
#include "room/audit/collect/parser.h"
#include "room/audit/collect/syslog.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINES = 100000 };

static dv_parsers *parsers;
static dv_spool *spool;
static char folder[] = "/tmp/dvara-bench-XXXXXX";

static void require(dv_result result)
{
    if (result != DV_OK) {
        fprintf(stderr, "bench_collect: %s\n", dv_result_name(result));
        exit(1);
    }
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    return remove(path);
}

static void clean_up(void)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static dv_line line_of(dv_slice raw, bool wire)
{
    dv_line line = {.text = raw,
                    .raw = raw,
                    .raw_size = raw.len,
                    .facility = -1,
                    .severity = -1,
                    .now = dv_time_now(),
                    .input = DV_LIT("bench"),
                    .keep_raw = true};
    (void)dv_syslog_read(raw, wire, &line);
    return line;
}

/* Lines a second of CPU. */
static void measure(const char *name, const char *parser, const char *text, bool wire)
{
    const dv_parser *chosen =
        parser == NULL ? NULL : dv_parsers_find(parsers, dv_slice_str(parser));
    const dv_parser *hint = NULL;
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    double began = bench_cpu_time();
    for (int i = 0; i < LINES; i++) {
        dv_parse_outcome outcome;
        dv_line line = line_of(dv_slice_str(text), wire);
        dv_buf_clear(&record);
        require(dv_parsers_event(parsers, chosen, &line, &hint, &record, &outcome));
        require(dv_spool_append(spool, dv_buf_slice(&record), false));
    }
    bench_row(name, LINES / ((bench_cpu_time() - began) / 1e9), "lines/s", 0);
}

int main(void)
{
    dv_log_keys keys;
    dv_error error = {0};
    static char longer[6200] = "line 000001 of the test";
    dv_box_keypair(keys.public_key, keys.secret_key);
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    atexit(clean_up);
    require(dv_parsers_new(&parsers, &error));
    require(dv_spool_open(folder, "collect", keys.public_key, 4 << 20, &spool, &error));
    memset(longer + strlen(longer), 'x', 6000);
    measure(
        "collect_nginx", "nginx",
        "203.0.113.9 - alice [22/Nov/2026:16:01:02 +0000] \"GET /v1/models?limit=10 HTTP/1.1\" 200 "
        "612 \"https://example.com/\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\"",
        false);
    measure("collect_syslog_sshd", NULL,
            "<38>1 2026-11-22T16:01:02.123456+00:00 web1 sshd 812 - - Accepted publickey for alice "
            "from "
            "192.0.2.7 port 50022 ssh2: ED25519 SHA256:AbCdEf0123456789AbCdEf0123456789AbCdEf01234",
            true);
    measure("collect_syslog_raw", NULL, "<13>Nov 22 16:01:02 web1 backup[9]: 120 files in 3 s",
            true);
    measure(
        "collect_suricata", "suricata",
        "{\"timestamp\":\"2026-11-22T16:01:02.345678+0000\",\"event_type\":\"flow\",\"src_ip\":"
        "\"10.0.0.2\","
        "\"src_port\":53,\"dest_ip\":\"10.0.0.1\",\"dest_port\":5353,\"proto\":\"UDP\",\"flow\":{"
        "\"pkts_toserver\":1,\"bytes_toserver\":70,\"state\":\"closed\"}}",
        false);
    measure("collect_raw_6k", NULL, longer, false);
    dv_spool_close(spool);
    dv_parsers_free(parsers);
    return 0;
}
