/* SPDX-License-Identifier: Apache-2.0 */
/* What authentication costs a request: API keys among a million in the snapshot, each asked for in
 * a random order so that the tree's pages are cold in the nearest caches, with begin and end around
 * each as in a worker. */
#include "base/clock.h"
#include "bench.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "room/auth/gate/api_key.h"
#include "room/auth/gate/auth_gate.h"
#include "room/auth/gate/record.h"

#include <ftw.h>
#include <limits.h>
#include <unistd.h>

enum { KEYS = 1000000, OWNERS = 10000, ASKED = 200000, ROUNDS = 5 };

static const uint8_t PEPPER[DV_HMAC_KEY_LEN] = "a pepper that guards nothing, 32";
static const char POLICIES[] = "@id(\"role:model_user\")\n"
                               "permit(principal in Role::\"model_user\", action in "
                               "[Action::\"use_model\"], resource);\n";

static void key_of(uint32_t number, char out[DV_API_KEY_LEN + 1])
{
    char id[16];
    char digits[40];
    snprintf(id, sizeof(id), "%08x", number * 2654435761u);
    snprintf(digits, sizeof(digits), "%030u", number);
    if (dv_api_key_format(dv_slice_of(id, 8), dv_slice_of(digits, 30), out) != DV_OK) {
        abort();
    }
}

static void must(dv_result result)
{
    bench_must("bench_auth", result);
}

static void credential_put(dv_snapshot *snapshot, dv_hmac *hmac, uint32_t number)
{
    char owner[16];
    char key[DV_API_KEY_LEN + 1];
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_RECORD_MAX);
    dv_credential_record record = {.owner_type = DV_PRINCIPAL_USER, .expires = DV_TIME_NEVER};
    snprintf(owner, sizeof(owner), "user%u", number % OWNERS);
    record.owner = dv_slice_str(owner);
    key_of(number, key);
    dv_hmac_sign(hmac, dv_slice_str(key), record.secret);
    must(dv_credential_encode(&record, NULL, &bytes));
    must(dv_snapshot_put(snapshot, DV_TABLE_CREDENTIALS, dv_slice_of(key + 4, DV_API_KEY_ID_LEN),
                         dv_buf_slice(&bytes)));
}

static void principal_put(dv_snapshot *snapshot, uint32_t number)
{
    static const dv_slice ANCESTORS[] = {DV_LIT("Group::\"research\""), DV_LIT("Group::\"all\""),
                                         DV_LIT("Role::\"model_user\""),
                                         DV_LIT("Role::\"viewer\"")};
    char name[16];
    char entity[DV_ENTITY_TEXT_MAX];
    dv_slice text;
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_RECORD_MAX);
    snprintf(name, sizeof(name), "user%u", number);
    must(dv_entity_text("User", dv_slice_str(name), entity, &text));
    must(dv_principal_encode(DV_PRINCIPAL_USER, dv_slice_str(name), true, ANCESTORS,
                             DV_ARRAY_LEN(ANCESTORS), 2, &bytes));
    must(dv_snapshot_put(snapshot, DV_TABLE_PRINCIPALS, text, dv_buf_slice(&bytes)));
}

static void fill(dv_snapshot *snapshot)
{
    uint8_t version[DV_SHA256_LEN];
    dv_auto(hmac) dv_hmac *hmac = NULL;
    dv_slice policies = dv_slice_str(POLICIES);
    must(dv_hmac_new(PEPPER, &hmac));
    must(dv_snapshot_write_begin(snapshot, NULL));
    for (uint32_t i = 0; i < KEYS; i++) {
        credential_put(snapshot, hmac, i);
    }
    for (uint32_t i = 0; i < OWNERS; i++) {
        principal_put(snapshot, i);
    }
    dv_sha256(policies, (dv_slice){0}, (dv_slice){0}, version);
    must(dv_snapshot_put(snapshot, DV_TABLE_POLICIES, DV_POLICIES_TEXT, policies));
    must(dv_snapshot_put(snapshot, DV_TABLE_POLICIES, DV_POLICIES_VERSION,
                         dv_slice_of(version, sizeof(version))));
    must(dv_snapshot_put(snapshot, DV_TABLE_META, DV_META_PEPPER,
                         dv_slice_of(PEPPER, sizeof(PEPPER))));
    must(dv_snapshot_commit(snapshot, 1));
}

typedef struct bench {
    dv_snapshot *snapshot;
    dv_auth_gate *gate;
    dv_arena *arena;
    char (*keys)[DV_API_KEY_LEN + 1]; /* ASKED of them */
} bench;

static dv_decision ask(bench *b, const char *key, bool authorize)
{
    dv_identity identity;
    dv_verdict verdict = {0};
    dv_auth_request request = {DV_LIT("use_model"), DV_LIT("Model::\"smollm2\""),
                               DV_LIT("192.0.2.1"), dv_time_now()};
    must(dv_snapshot_begin(b->snapshot));
    must(dv_auth_gate_refresh(b->gate, b->snapshot, NULL));
    dv_result found = dv_auth_gate_api_key(b->gate, b->snapshot, dv_slice_of(key, DV_API_KEY_LEN),
                                           request.now, b->arena, &identity, &verdict);
    if (found == DV_OK && authorize) {
        dv_auth_gate_authorize(b->gate, b->snapshot, &identity, &request, b->arena, &verdict);
    }
    dv_snapshot_end(b->snapshot);
    dv_arena_reset(b->arena);
    return authorize ? verdict.decision : (found == DV_OK ? DV_ALLOW : DV_DENY);
}

/* Of this process: other work on the machine does not count. */
static dv_time cpu_time(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (dv_time)spent.tv_sec * DV_SECOND + spent.tv_nsec;
}

/* Nanoseconds a question: the median of the rounds. */
static double measure(bench *b, bool authorize, dv_decision expected)
{
    double rounds[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        dv_time start = cpu_time();
        for (uint32_t i = 0; i < ASKED; i++) {
            if (ask(b, b->keys[i], authorize) != expected) {
                fprintf(stderr, "bench_auth: a wrong answer\n");
                exit(1);
            }
        }
        rounds[r] = (double)(cpu_time() - start) / ASKED;
    }
    for (int i = 1; i < ROUNDS; i++) {
        for (int j = i; j > 0 && rounds[j] < rounds[j - 1]; j--) {
            double swap = rounds[j];
            rounds[j] = rounds[j - 1];
            rounds[j - 1] = swap;
        }
    }
    return rounds[ROUNDS / 2];
}

static void run(bench *b)
{
    uint32_t state = 1;
    for (uint32_t i = 0; i < ASKED; i++) {
        state = state * 1664525u + 1013904223u;
        key_of(state % KEYS, b->keys[i]);
    }
    bench_row("auth.api_key.known", measure(b, false, DV_ALLOW), "ns", 0);
    bench_row("auth.api_key.and_permission", measure(b, true, DV_ALLOW), "ns", 0);
    for (uint32_t i = 0; i < ASKED; i++) {
        key_of(KEYS + i, b->keys[i]);
    }
    bench_row("auth.api_key.unknown", measure(b, false, DV_DENY), "ns", 0);
    for (uint32_t i = 0; i < ASKED; i++) {
        b->keys[i][DV_API_KEY_LEN - 1] ^= 1;
    }
    bench_row("auth.api_key.junk", measure(b, false, DV_DENY), "ns", 0);
}

static double seconds_since(dv_time start)
{
    return (double)(dv_time_monotonic() - start) / (double)DV_SECOND;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *place)
{
    (void)st, (void)type, (void)place;
    return remove(path);
}

int main(void)
{
    char folder[] = "/tmp/dvara-bench-XXXXXX";
    char path[PATH_MAX];
    bench b = {.arena = dv_arena_new(1 << 20), .keys = calloc(ASKED, sizeof(*b.keys))};
    if (mkdtemp(folder) == NULL || b.arena == NULL || b.keys == NULL) {
        return 1;
    }
    snprintf(path, sizeof(path), "%s/snapshot", folder);
    must(dv_snapshot_open_writer(path, &b.snapshot, NULL));
    must(dv_auth_gate_new(&b.gate));
    dv_time start = dv_time_monotonic();
    fill(b.snapshot);
    bench_row("store.snapshot.fill_million", seconds_since(start), "s", 0);
    dv_snapshot_close(b.snapshot);
    start = dv_time_monotonic();
    must(dv_snapshot_open_writer(path, &b.snapshot, NULL));
    bench_row("store.snapshot.check_million", seconds_since(start), "s", 0);
    run(&b);
    dv_auth_gate_free(b.gate);
    dv_snapshot_close(b.snapshot);
    dv_arena_free(b.arena);
    free(b.keys);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}
