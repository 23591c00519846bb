/* SPDX-License-Identifier: Apache-2.0 */
/* What the audit log costs: building a record, appending it to the spool, and the sequencer's way
 * from spool to a published, searchable log (sync included). The ratio of the last is against
 * SHA-256 over the same bytes alone, which no Merkle log can do without. */
#include "base/caps.h"
#include "base/uuid.h"
#include "bench.h"
#include "core/event_code.h"
#include "crypto/aead.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "engine/log/seal.h"
#include "engine/log/search.h"
#include "engine/log/sequencer.h"
#include "engine/log/spool.h"

#include <ftw.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { EVENTS = 200000, LOOKUPS = 200, BATCH = 32 << 20 };

typedef struct fixture {
    char root[32], spool[48], log[48];
    dv_log_keys keys;
    dv_tree_signer signer;
    dv_subjects *subjects;
    char subjects_folder[48];
    dv_buf record;
    char ids[EVENTS / 2][DV_UUID_TEXT_LEN + 1];
} fixture;

static fixture f;

static const dv_sighting sightings[] = {
    {"email", "/messages/0/content", DV_ACTION_PLACEHOLDER, 90},
    {"payment_card", "/messages/1/content", DV_ACTION_MASK, 100},
};
static const dv_principal alice = {
    .type = DV_PRINCIPAL_USER,
    .name = {(const uint8_t *)"alice", 5},
    .entity = {(const uint8_t *)"User::\"alice\"", 13},
};
static const dv_credential key = {
    .kind = {(const uint8_t *)"api_key", 7},
    .id = {(const uint8_t *)"Ab3dEf9h", 8},
};
static const dv_verdict allowed = {
    .decision = DV_ALLOW, .reason = DV_REASON_OK, .policy = "role:model_user"};
static const dv_event_limit limit = {
    .key = {(const uint8_t *)"key/Ab3dEf9h", 12}, .limit = 60, .remaining = 59, .admitted = true};

static dv_event_request request_of(int number)
{
    return (dv_event_request){
        .request_id = dv_slice_str(f.ids[number]),
        .time = dv_time_now(),
        .principal = &alice,
        .credential = &key,
        .address = DV_LIT("10.1.2.3"),
        .port = 54321,
        .route = DV_LIT("openai-chat"),
        .method = DV_LIT("POST"),
        .path = DV_LIT("/v1/chat/completions"),
        .http_version = DV_LIT("1.1"),
        .user_agent = DV_LIT("OpenAI/Python 1.58.1"),
        .action = DV_LIT("use_model"),
        .model = DV_LIT("smollm2"),
        .upstream = DV_LIT("local"),
        .verdict = &allowed,
        .sightings = sightings,
        .sighting_count = 2,
        .limit = &limit,
        .body_bytes = 2048,
    };
}

static dv_result build(int number, bool open, bool as_json)
{
    dv_event_request request = request_of(number);
    dv_event_outcome outcome = {.time = request.time,
                                .status = 200,
                                .upstream_status = 200,
                                .latency = 250 * DV_MILLISECOND,
                                .input_tokens = 10,
                                .output_tokens = 20,
                                .answer_bytes = 4096};
    dv_buf_clear(&f.record);
    if (as_json) {
        return open ? dv_event_request_open(&f.record, &request)
                    : dv_event_request_close(&f.record, &request, &outcome);
    }
    return open ? dv_event_code_open(&f.record, &request)
                : dv_event_code_close(&f.record, &request, &outcome);
}

static double processor_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* As the gate leaves records in the spool, or as they stand in the log. */
static dv_result bench_build(bool as_json, uint64_t *ret_bytes, double *ret_seconds)
{
    double started = processor_seconds();
    uint64_t bytes = 0;
    for (int i = 0; i < EVENTS; i++) {
        DV_TRY(build(i / 2, i % 2 == 0, as_json));
        bytes += f.record.len;
    }
    *ret_seconds = processor_seconds() - started;
    bench_row(as_json ? "log/build_event" : "log/build_record", *ret_seconds * 1e9 / EVENTS, "ns",
              0);
    bench_row(as_json ? "log/event_size" : "log/record_size", (double)bytes / EVENTS, "bytes", 0);
    *ret_bytes = bytes;
    return DV_OK;
}

static dv_result bench_append(double build_seconds)
{
    dv_spool *spool = NULL;
    DV_TRY(dv_spool_open(f.spool, "gateway", f.keys.public_key, 64 << 20, &spool, NULL));
    double started = processor_seconds();
    dv_result result = DV_OK;
    for (int i = 0; i < EVENTS && result == DV_OK; i++) {
        result = build(i / 2, i % 2 == 0, false);
        if (result == DV_OK) {
            result = dv_spool_reserve(spool, 1);
        }
        if (result == DV_OK) {
            result = dv_spool_append(spool, dv_buf_slice(&f.record), true);
        }
    }
    double took = processor_seconds() - started - build_seconds;
    dv_spool_close(spool);
    bench_row("log/spool_append", took * 1e9 / EVENTS, "ns", 0);
    return result;
}

static dv_result bench_sequence(double hash_seconds)
{
    dv_sequencer *sequencer = NULL;
    dv_sequencer_options options = {
        .log_folder = f.log,
        .spools = {f.spool, NULL},
        .keys = &f.keys,
        .signer = &f.signer,
        .subjects = f.subjects,
        .batch_bytes = BATCH,
    };
    DV_TRY(dv_sequencer_open(&options, &sequencer, NULL));
    dv_time started = dv_time_monotonic();
    double processor = processor_seconds();
    size_t taken;
    dv_result result;
    do {
        result = dv_sequencer_collect(sequencer, &taken, NULL);
        if (result == DV_OK) {
            result = dv_sequencer_commit(sequencer, NULL);
        }
    } while (result == DV_OK && taken > 0);
    processor = processor_seconds() - processor;
    double took = (double)(dv_time_monotonic() - started) / 1e9;
    dv_sequencer_close(sequencer);
    bench_row("log/sequenced_per_core_second", EVENTS / processor, "events/s",
              hash_seconds / processor);
    bench_row("log/sequenced_per_second", EVENTS / took, "events/s", 0);
    return result;
}

static dv_result count_found(void *data, uint64_t index, dv_slice entry)
{
    ++*(int *)data;
    return DV_OK;
}

static dv_result bench_lookup(void)
{
    int found = 0;
    dv_time started = dv_time_monotonic();
    for (int i = 0; i < LOOKUPS; i++) {
        int number = (int)((unsigned)i * 2654435761u % (EVENTS / 2));
        DV_TRY(
            dv_log_find(f.log, 0, EVENTS, dv_slice_str(f.ids[number]), count_found, &found, NULL));
    }
    double took = (double)(dv_time_monotonic() - started);
    bench_row("log/find_request_in_200k", took / LOOKUPS / 1000, "us", 0);
    return found == 2 * LOOKUPS ? DV_OK : DV_ERR_CORRUPT;
}

/* SHA-256 over as many bytes, in leaves of the same size. */
static double hash_alone(uint64_t bytes)
{
    uint8_t digest[DV_SHA256_LEN];
    double started = processor_seconds();
    dv_slice leaf = dv_slice_of(f.record.ptr, (size_t)(bytes / EVENTS));
    for (int i = 0; i < EVENTS; i++) {
        dv_sha256(leaf, (dv_slice){NULL, 0}, (dv_slice){NULL, 0}, digest);
    }
    return processor_seconds() - started;
}

static dv_result prepare(void)
{
    uint8_t public_key[32];
    snprintf(f.root, sizeof(f.root), "/tmp/dvara-bench-XXXXXX");
    if (mkdtemp(f.root) == NULL) {
        return DV_ERR_IO;
    }
    snprintf(f.spool, sizeof(f.spool), "%s/spool", f.root);
    snprintf(f.log, sizeof(f.log), "%s/log", f.root);
    snprintf(f.subjects_folder, sizeof(f.subjects_folder), "%s/subjects", f.root);
    DV_TRY(dv_subjects_open(f.subjects_folder, &f.subjects, NULL));
    for (int i = 0; i < EVENTS / 2; i++) {
        dv_uuid id = dv_uuid_new(dv_time_now());
        dv_uuid_format(&id, f.ids[i]);
    }
    dv_box_keypair(f.keys.public_key, f.keys.secret_key);
    dv_random(f.signer.seed, sizeof(f.signer.seed));
    DV_TRY(dv_ed25519_public(f.signer.seed, public_key));
    DV_TRY(dv_note_verifier_init("dvara.local/bench", public_key, &f.signer.verifier));
    f.record = dv_buf_init(DV_LIMIT_RECORD);
    DV_TRY(dv_buf_reserve(&f.record, DV_LIMIT_RECORD));
    return mkdir(f.spool, 0700) == 0 ? DV_OK : DV_ERR_IO;
}

/* Personal values of a request's events: sealed as they enter the log, opened for a reader. */
static dv_result bench_seal(void)
{
    dv_auto(buf) dv_buf sealed = dv_buf_init(DV_LIMIT_RECORD * 2);
    dv_auto(buf) dv_buf opened = dv_buf_init(DV_LIMIT_RECORD * 2);
    DV_TRY(build(1, true, true));
    double started = processor_seconds();
    for (int i = 0; i < EVENTS; i++) {
        dv_buf_clear(&sealed);
        DV_TRY(dv_event_seal(f.subjects, dv_buf_slice(&f.record), UINT16_MAX, &sealed));
    }
    bench_row("log/seal_event", (processor_seconds() - started) * 1e9 / EVENTS, "ns", 0);
    bench_row("log/sealed_size", (double)sealed.len, "bytes", 0);
    started = processor_seconds();
    for (int i = 0; i < EVENTS; i++) {
        dv_buf_clear(&opened);
        DV_TRY(dv_event_open(f.subjects, dv_buf_slice(&sealed), &opened));
    }
    bench_row("log/open_event", (processor_seconds() - started) * 1e9 / EVENTS, "ns", 0);
    return dv_slice_eq(dv_buf_slice(&opened), dv_buf_slice(&f.record)) ? DV_OK : DV_ERR_CORRUPT;
}

static dv_result run(void)
{
    uint64_t record_bytes, bytes;
    double build_seconds, event_seconds;
    DV_TRY(prepare());
    DV_TRY(bench_build(false, &record_bytes, &build_seconds));
    DV_TRY(bench_append(build_seconds));
    DV_TRY(bench_build(true, &bytes, &event_seconds)); /* last: hash_alone takes its bytes */
    DV_TRY(bench_sequence(hash_alone(bytes)));
    DV_TRY(bench_seal());
    return bench_lookup();
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

int main(void)
{
    /* As dvara-logd has it. */
    (void)mallopt(M_TRIM_THRESHOLD, BATCH);
    (void)mallopt(M_MMAP_THRESHOLD, BATCH);
    dv_result result = run();
    nftw(f.root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    dv_buf_release(&f.record);
    dv_subjects_close(f.subjects);
    return result == DV_OK ? 0 : 1;
}
