/* SPDX-License-Identifier: Apache-2.0 */
/* What the log takes when it is cold, and how long questions to it take, over requests of 5,000
 * users of whom 50 do half of the work; their personal values are sealed, as dvara-logd does. The
 * same questions go to SQLite's FTS5 over a part of the same events, in the same run. Times are of
 * the thread's processor, the best of several runs, for other work on the machine blurs the clock.
 *
 * BENCH_EVENTS: how many (1,000,000; the figures of docs/performance.md are over 10,000,000).
 * BENCH_FOLDER: where to keep the log for the next run; without it, it goes with this one.
 * BENCH_ASK: only this search, all of it.
 * BENCH_DUMP: no questions; writes so many of the events as JSON lines, opened, to standard output
 * (bench/search_peers.py feeds VictoriaLogs with them). */
#include "base/caps.h"
#include "base/uuid.h"
#include "bench.h"
#include "core/event.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/catalogue.h"
#include "engine/log/entry.h"
#include "engine/log/query_aggregate.h"
#include "engine/log/seal.h"
#include "engine/log/seal_search.h"
#include "engine/log/tree.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    IN_FLIGHT = 64,
    USERS = 5000,
    BUSY_USERS = 50,
    FTS_EVENTS = 100000,
    EVENT_ROOM = 128 << 10,
    COMMIT_EVERY = 100000,
    QUERY_MEMORY = 4 << 20,
    QUESTIONS = 20,
    RUNS = 3,           /* of each question; the quickest counts */
    LONG_RUN_MS = 2000, /* one run is enough */
};

static const dv_time step = DV_MILLISECOND / 2; /* between two events */

typedef struct request {
    bool open;
    char id[DV_UUID_TEXT_LEN + 1];
    unsigned user;
    uint16_t port;
    unsigned model, path;
    uint64_t body;
    dv_time begun;
} request;

typedef struct fixture {
    char folder[PATH_MAX - 64];
    char log[PATH_MAX]; /* within it; beside it are the subjects' keys */
    bool keep;
    uint64_t events;
    dv_time first, now;
    dv_tree_signer signer;
    dv_log_tree state;
    request requests[IN_FLIGHT];
    char an_id[DV_UUID_TEXT_LEN + 1]; /* of a request in the middle */
    dv_buf record, entry, sealed;
    dv_subjects *subjects;
    sqlite3 *fts;
    sqlite3_stmt *insert;
} fixture;

static fixture f;
static uint64_t random_state = 88172645463325252;

static uint64_t random_below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % limit;
}

/* -- events ------------------------------------------------------------------------------------ */

static void begin_request(request *r)
{
    dv_uuid id = dv_uuid_new(f.now);
    dv_uuid_format(&id, r->id);
    *r = (request){.open = true,
                   .user = (unsigned)random_below(2) == 0 ? (unsigned)random_below(BUSY_USERS)
                                                          : (unsigned)random_below(USERS),
                   .port = (uint16_t)(1024 + random_below(60000)),
                   .model = (unsigned)random_below(5),
                   .path = (unsigned)random_below(4),
                   .body = 200 + random_below(8000),
                   .begun = f.now};
    dv_uuid_format(&id, r->id);
}

typedef struct caller {
    char name[32], entity[48], key[32], address[32], limit[48];
    dv_principal principal;
    dv_credential credential;
} caller;

static void make_caller(const request *r, caller *c)
{
    static const dv_slice group = {(const uint8_t *)"engineering", 11};
    unsigned user = r->user;
    snprintf(c->name, sizeof(c->name), "user%04u", user);
    snprintf(c->entity, sizeof(c->entity), "User::\"user%04u\"", user);
    snprintf(c->key, sizeof(c->key), "Ab3d%04u", user);
    snprintf(c->address, sizeof(c->address), "10.%u.%u.%u", user / 250, user % 250, 1 + user % 3);
    snprintf(c->limit, sizeof(c->limit), "key/%s", c->key);
    c->principal = (dv_principal){.type = DV_PRINCIPAL_USER,
                                  .name = dv_slice_str(c->name),
                                  .entity = dv_slice_str(c->entity),
                                  .groups = &group,
                                  .group_count = 1};
    c->credential = (dv_credential){.kind = DV_LIT("api_key"), .id = dv_slice_str(c->key)};
}

static dv_event_request describe(const request *r, const caller *c)
{
    static const char *const models[] = {"smollm2", "llama-3.1-8b", "gpt-4o-mini", "mistral-large",
                                         "qwen2.5-72b"};
    static const char *const paths[] = {"/v1/chat/completions", "/v1/embeddings", "/v1/messages",
                                        "/v1/responses"};
    static const char *const agents[] = {"OpenAI/Python 1.58.1", "Anthropic/Python 0.40.0",
                                         "curl/7.88.1", "OpenAI/JS 4.77.0"};
    static const dv_verdict allowed = {
        .decision = DV_ALLOW, .reason = DV_REASON_OK, .policy = "role:model_user"};
    static const dv_sighting sighting = {"email", "/messages/0/content", DV_ACTION_PLACEHOLDER, 90};
    return (dv_event_request){
        .request_id = dv_slice_str(r->id),
        .time = r->begun,
        .principal = &c->principal,
        .credential = &c->credential,
        .address = dv_slice_str(c->address),
        .port = r->port,
        .route = r->path == 1 ? DV_LIT("openai-embeddings") : DV_LIT("openai-chat"),
        .method = DV_LIT("POST"),
        .path = dv_slice_str(paths[r->path]),
        .http_version = DV_LIT("1.1"),
        .user_agent = dv_slice_str(agents[r->user % DV_ARRAY_LEN(agents)]),
        .action = DV_LIT("use_model"),
        .model = dv_slice_str(models[r->model]),
        .upstream = DV_LIT("local"),
        .verdict = &allowed,
        .sightings = &sighting,
        .sighting_count = r->user % 10 == 0 ? 1 : 0,
        .body_bytes = r->body,
    };
}

static dv_result build_open(request *r)
{
    caller c;
    begin_request(r);
    make_caller(r, &c);
    dv_event_request event = describe(r, &c);
    dv_event_limit limit = {.key = dv_slice_str(c.limit),
                            .unit = "requests",
                            .limit = 600,
                            .remaining = random_below(600),
                            .now = f.now - (dv_time)random_below(3000),
                            .tat = f.now + (dv_time)random_below(50000000),
                            .admitted = true};
    event.limit = &limit;
    return dv_event_request_open(&f.record, &event);
}

static dv_result build_close(request *r)
{
    caller c;
    dv_time took = f.now - r->begun;
    make_caller(r, &c);
    dv_event_request event = describe(r, &c);
    dv_event_outcome outcome = {.time = f.now,
                                .status = random_below(50) == 0 ? 429 : 200,
                                .upstream_status = 200,
                                .latency = took,
                                .upstream_latency = took - (dv_time)random_below(300000),
                                .input_tokens = (int64_t)(10 + random_below(2000)),
                                .output_tokens = (int64_t)random_below(1000),
                                .answer_bytes = 300 + random_below(9000)};
    event.sighting_count = 0;
    r->open = false;
    return dv_event_request_close(&f.record, &event, &outcome);
}

static dv_result build_event(uint64_t i, const dv_uuid *writer)
{
    request *r = &f.requests[random_below(IN_FLIGHT)];
    f.now += (dv_time)random_below((uint64_t)(2 * step));
    dv_buf_clear(&f.record);
    dv_buf_clear(&f.entry);
    DV_TRY(r->open ? build_close(r) : build_open(r));
    if (i == f.events / 2) {
        memcpy(f.an_id, r->id, sizeof(f.an_id));
    }
    dv_entry_stamp stamp = {"gateway", *writer, i, f.now + (dv_time)random_below(50000000)};
    return dv_entry_stamp_record(&stamp, dv_buf_slice(&f.record), &f.entry);
}

/* As the sequencer does. */
static dv_result append_event(dv_tree *tree)
{
    uint64_t index;
    dv_buf_clear(&f.sealed);
    DV_TRY(dv_event_seal(f.subjects, dv_buf_slice(&f.entry), UINT16_MAX, &f.sealed));
    return dv_tree_append(tree, dv_buf_slice(&f.sealed), &index);
}

/* -- SQLite FTS5 ------------------------------------------------------------------------------- */

static dv_result fts_open(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/fts", f.folder);
    unlink(path);
    return sqlite3_open(path, &f.fts) == SQLITE_OK &&
                   sqlite3_exec(f.fts,
                                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                                "CREATE VIRTUAL TABLE e USING fts5(event); BEGIN",
                                NULL, NULL, NULL) == SQLITE_OK &&
                   sqlite3_prepare_v2(f.fts, "INSERT INTO e VALUES (?)", -1, &f.insert, NULL) ==
                       SQLITE_OK
               ? DV_OK
               : DV_ERR_IO;
}

static dv_result fts_add(dv_slice event)
{
    sqlite3_bind_text(f.insert, 1, (const char *)event.ptr, (int)event.len, SQLITE_STATIC);
    bool added = sqlite3_step(f.insert) == SQLITE_DONE;
    sqlite3_reset(f.insert);
    return added ? DV_OK : DV_ERR_IO;
}

static double fts_ask(const char *words)
{
    char sql[256];
    double started = bench_cpu_time();
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM e WHERE e MATCH '\"%s\"'", words);
    bench_must("sqlite",
               sqlite3_exec(f.fts, sql, NULL, NULL, NULL) == SQLITE_OK ? DV_OK : DV_ERR_IO);
    return bench_cpu_time() - started;
}

static uint64_t fts_bytes(void)
{
    char path[PATH_MAX];
    struct stat about;
    snprintf(path, sizeof(path), "%s/fts", f.folder);
    return stat(path, &about) == 0 ? (uint64_t)about.st_size : 0;
}

/* -- the log ----------------------------------------------------------------------------------- */

static dv_result commit(dv_tree *tree, dv_catalogue *catalogue)
{
    dv_log_tree next;
    DV_TRY(dv_tree_write(tree, &next, NULL));
    f.state = next;
    dv_tree_written(tree);
    DV_TRY(dv_tree_publish(tree, NULL));
    return dv_catalogue_update(catalogue, f.state.packed, 0, NULL);
}

/* What a kept log has to say to the next run. */
static dv_result save_about(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/about", f.folder);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return DV_ERR_IO;
    }
    fprintf(file, "%llu %lld %lld %s\n", (unsigned long long)f.events, (long long)f.first,
            (long long)f.now, f.an_id);
    return fclose(file) == 0 ? DV_OK : DV_ERR_IO;
}

static bool load_about(void)
{
    char path[PATH_MAX];
    unsigned long long events = 0;
    long long first = 0, now = 0;
    snprintf(path, sizeof(path), "%s/about", f.folder);
    FILE *file = fopen(path, "r");
    bool read =
        file != NULL && fscanf(file, "%llu %lld %lld %36s", &events, &first, &now, f.an_id) == 4;
    if (file != NULL) {
        fclose(file);
    }
    if (read) {
        f.events = events;
        f.first = first;
        f.now = now;
    }
    return read;
}

/* The events' making is not counted. */
static dv_result write_log(double *ret_log)
{
    double log = 0;
    dv_uuid writer = dv_uuid_new(f.now);
    dv_auto(tree) dv_tree *tree = NULL;
    dv_auto(catalogue) dv_catalogue *catalogue = NULL;
    DV_TRY(dv_tree_open(f.log, &f.signer, &f.state, &tree, NULL));
    DV_TRY(dv_catalogue_open(f.log, &catalogue, NULL));
    for (uint64_t i = 0; i < f.events; i++) {
        DV_TRY(build_event(i, &writer));
        double started = bench_cpu_time();
        DV_TRY(append_event(tree));
        if ((i + 1) % COMMIT_EVERY == 0 || i + 1 == f.events) {
            DV_TRY(dv_subjects_store(f.subjects, NULL));
            DV_TRY(commit(tree, catalogue));
        }
        log += bench_cpu_time() - started;
    }
    *ret_log = log / (double)f.events;
    return save_about();
}

/* A kept log's may be of an older form. */
static dv_result renew_catalogue(void)
{
    dv_auto(catalogue) dv_catalogue *catalogue = NULL;
    DV_TRY(dv_catalogue_open(f.log, &catalogue, NULL));
    return dv_catalogue_update(catalogue, f.events / DV_BLOCK_LEAVES * DV_BLOCK_LEAVES, 0, NULL);
}

static dv_result add_to_fts(void *data, uint64_t index, dv_slice entry)
{
    double *took = data;
    dv_buf_clear(&f.entry);
    DV_TRY(dv_event_open(f.subjects, entry, &f.entry));
    double started = bench_cpu_time();
    DV_TRY(fts_add(dv_buf_slice(&f.entry)));
    *took += bench_cpu_time() - started;
    return DV_OK;
}

static dv_result write_fts(double *ret_each)
{
    double took = 0;
    uint64_t count = DV_MIN(f.events, (uint64_t)FTS_EVENTS);
    DV_TRY(dv_log_read(f.log, f.events, 0, count, add_to_fts, &took, NULL));
    double started = bench_cpu_time();
    const char *end = "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)";
    if (sqlite3_exec(f.fts, end, NULL, NULL, NULL) != SQLITE_OK) {
        return DV_ERR_IO;
    }
    *ret_each = (took + bench_cpu_time() - started) / (double)count;
    return DV_OK;
}

static uint64_t folder_bytes;

static int add_size(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    folder_bytes += kind == FTW_F ? (uint64_t)about->st_size : 0;
    return 0;
}

/* -- questions --------------------------------------------------------------------------------- */

typedef struct asking {
    uint64_t seen, limit;
    dv_aggregate *aggregate; /* NULL: events are wanted */
} asking;

static dv_result take_match(void *data, uint64_t index, dv_query_event *event, dv_arena *arena)
{
    asking *a = data;
    if (a->aggregate != NULL) {
        DV_TRY(dv_aggregate_add(a->aggregate, event, arena));
    }
    return ++a->seen == a->limit ? DV_ERR_AGAIN : DV_OK;
}

/* Milliseconds that who asks waits (several processors may look at once). limit: answers wanted, as
 * a first page is; 0: all. */
static double ask_once(const char *text, int64_t since, int64_t until, uint64_t limit,
                       uint64_t *ret_seen)
{
    const dv_query *query;
    dv_search_stats stats;
    asking a = {.limit = limit};
    dv_query_options options = {.now = f.now, .since_ms = since, .until_ms = until};
    dv_auto(arena) dv_arena *arena = dv_arena_new(QUERY_MEMORY);
    dv_auto(buf) dv_buf rows = dv_buf_init(QUERY_MEMORY);
    dv_auto(seal_search) dv_seal_search *eyes = NULL;
    bench_must("parse", dv_query_parse(dv_slice_str(text), &options, arena, &query, NULL));
    if (query->stages.measure_count > 0) {
        bench_must("aggregate", dv_aggregate_new(query, &a.aggregate));
    }
    dv_time started = dv_time_monotonic();
    bench_must("eyes", dv_seal_search_new(f.subjects, &eyes));
    dv_search search = {.query = query,
                        .reader = dv_seal_search_reader(eyes),
                        .size = f.events,
                        .from = f.events,
                        .visit = take_match,
                        .data = &a,
                        .aggregate = a.aggregate};
    bench_must("search", dv_log_search(f.log, &search, &stats, NULL));
    if (a.aggregate != NULL) {
        bench_must("rows", dv_aggregate_rows(a.aggregate, QUESTIONS, &rows));
        dv_aggregate_free(a.aggregate);
    }
    *ret_seen = stats.matched;
    return (double)(dv_time_monotonic() - started) / DV_MILLISECOND;
}

static double ask(const char *text, int64_t since, int64_t until, uint64_t limit,
                  uint64_t *ret_seen)
{
    double best = ask_once(text, since, until, limit, ret_seen);
    for (int i = 1; i < RUNS && best < LONG_RUN_MS; i++) {
        double took = ask_once(text, since, until, limit, ret_seen);
        best = DV_MIN(best, took);
    }
    return best;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What one user did in a quarter of an hour: a page of it, or something counted. */
static void bench_user(const char *name, const char *rest, uint64_t limit)
{
    enum { QUARTER = 900000 };
    double took[QUESTIONS];
    uint64_t seen = 0;
    char row[64];
    for (int i = 0; i < QUESTIONS; i++) {
        char text[64];
        int64_t span = (f.now - f.first) / DV_MILLISECOND;
        int64_t begin = f.first / DV_MILLISECOND + (int64_t)random_below((uint64_t)span);
        snprintf(text, sizeof(text), "user:user%04u%s", (unsigned)random_below(USERS), rest);
        took[i] = ask(text, begin, begin + QUARTER, limit, &seen);
    }
    qsort(took, QUESTIONS, sizeof(*took), by_size);
    snprintf(row, sizeof(row), "search/%s", name);
    bench_row(row, took[QUESTIONS / 2], "ms", 0);
    snprintf(row, sizeof(row), "search/%s_worst", name);
    bench_row(row, took[QUESTIONS - 1], "ms", 0);
}

static void bench_request(void)
{
    char text[64];
    uint64_t seen = 0;
    snprintf(text, sizeof(text), "request:%s", f.an_id);
    double took = ask(text, f.first / DV_MILLISECOND, f.now / DV_MILLISECOND + 1, 0, &seen);
    bench_must("two events of a request", seen == 2 ? DV_OK : DV_ERR_CORRUPT);
    bench_row("search/request_id_anywhere", took, "ms", 0);
}

static void bench_text(const char *name, const char *text, uint64_t limit)
{
    uint64_t seen = 0;
    char row[64];
    double took = ask(text, 0, 0, limit, &seen);
    snprintf(row, sizeof(row), "search/%s", name);
    bench_row(row, took, "ms", 0);
    fprintf(stderr, "%s: %s: %llu events\n", row, text, (unsigned long long)seen);
}

static void bench_questions(void)
{
    bench_user("user_in_a_quarter", "", 100);
    bench_user("user_in_a_quarter_counted", " | count by status", 0);
    bench_request();
    bench_text("text_nowhere", "nowhere-to-be-found", 0);
    bench_text("digits_nowhere", "777777777", 0);
    bench_text("text_rare", "10.19.249.1", 0);
    bench_text("text_first_page", "mistral", 100);
    bench_text("user_anywhere", "user:user4999", 100);
    bench_text("user_counted", "user:user4999 | count by status", 0);
    bench_text("refused_by_user", "status:429 | top 10 user", 0);
    bench_text("everything_by_model", "| count, sum(tokens), p95(latency) by model over 1h", 0);
    bench_row("search/fts5_text_nowhere", fts_ask("nowhere to be found") / 1e6, "ms", 0);
    bench_row("search/fts5_text_rare", fts_ask("10.19.249.1") / 1e6, "ms", 0);
}

/* -- all --------------------------------------------------------------------------------------- */

static dv_result prepare_folder(void)
{
    char keys[PATH_MAX];
    const char *folder = getenv("BENCH_FOLDER");
    f.keep = folder != NULL;
    snprintf(f.folder, sizeof(f.folder), "%s",
             folder != NULL ? folder : "/var/tmp/dvara-bench-XXXXXX");
    if (folder == NULL ? mkdtemp(f.folder) == NULL
                       : mkdir(f.folder, 0700) != 0 && errno != EEXIST) {
        return DV_ERR_IO;
    }
    snprintf(f.log, sizeof(f.log), "%s/log", f.folder);
    snprintf(keys, sizeof(keys), "%s/keys", f.folder);
    if ((mkdir(f.log, 0700) != 0 || mkdir(keys, 0700) != 0) && errno != EEXIST) {
        return DV_ERR_IO;
    }
    DV_TRY(dv_subjects_open(keys, &f.subjects, NULL));
    return fts_open();
}

static dv_result prepare(void)
{
    uint8_t public_key[32];
    const char *events = getenv("BENCH_EVENTS");
    f.events = events == NULL ? 1000000 : strtoull(events, NULL, 10);
    f.first = 1780000000 * DV_SECOND;
    f.now = f.first;
    f.record = dv_buf_init(DV_LIMIT_RECORD);
    f.entry = dv_buf_init(EVENT_ROOM);
    f.sealed = dv_buf_init(UINT16_MAX);
    f.state = (dv_log_tree){.name = "main", .root = dv_merkle_empty()};
    dv_random(f.signer.seed, sizeof(f.signer.seed));
    DV_TRY(dv_ed25519_public(f.signer.seed, public_key));
    DV_TRY(dv_note_verifier_init("dvara.local/bench", public_key, &f.signer.verifier));
    return prepare_folder();
}

static dv_result dump_event(void *data, uint64_t index, dv_slice entry)
{
    dv_buf_clear(&f.entry);
    DV_TRY(dv_event_open(f.subjects, entry, &f.entry));
    DV_TRY(dv_buf_append_byte(&f.entry, '\n'));
    return fwrite(f.entry.ptr, 1, f.entry.len, stdout) == f.entry.len ? DV_OK : DV_ERR_IO;
}

static dv_result compare(double log)
{
    double fts = 0;
    DV_TRY(write_fts(&fts));
    if (log > 0) {
        bench_row("search/write", log, "ns/event", log / fts);
    }
    bench_row("search/fts5_write", fts, "ns/event", 0);
    (void)nftw(f.log, add_size, 16, FTW_PHYS);
    double size = (double)folder_bytes / (double)f.events;
    double fts_size = (double)fts_bytes() / (double)DV_MIN(f.events, (uint64_t)FTS_EVENTS);
    bench_row("search/size_cold", size, "bytes/event", size / fts_size);
    bench_questions();
    return DV_OK;
}

static dv_result run(void)
{
    double log = 0;
    const char *dump = getenv("BENCH_DUMP"), *only = getenv("BENCH_ASK");
    DV_TRY(prepare());
    if (!load_about()) {
        DV_TRY(write_log(&log));
    }
    DV_TRY(renew_catalogue());
    if (dump != NULL) {
        return dv_log_read(f.log, f.events, 0, strtoull(dump, NULL, 10), dump_event, NULL, NULL);
    }
    if (only != NULL) {
        bench_text("asked", only, 0);
        return DV_OK;
    }
    return compare(log);
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

int main(void)
{
    char path[PATH_MAX];
    dv_result result = run();
    sqlite3_finalize(f.insert);
    sqlite3_close(f.fts);
    snprintf(path, sizeof(path), "%s/fts", f.folder);
    (void)unlink(path);
    if (!f.keep) {
        (void)nftw(f.folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
    dv_subjects_close(f.subjects);
    dv_buf_release(&f.record);
    dv_buf_release(&f.entry);
    dv_buf_release(&f.sealed);
    return result == DV_OK ? 0 : 1;
}
