/* SPDX-License-Identifier: Apache-2.0 */
/* The log after a power loss at every step, however little of what was not synced is left
 * (power.h): it opens, verifies, holds what was committed, contradicts no checkpoint that was ever
 * published, and takes every record of the spool once.
 *
 * The ordinary run looks at a choice of all those states; DVARA_POWER_LOSS=all looks at each. */
#include "engine/log/catalogue.h"
#include "engine/log/pack.h"
#include "engine/log/search.h"
#include "engine/log/verify.h"
#include "power.h"
#include "stand.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>

enum { BATCH = 200 << 10, EVENTS_MAX = 140000, PUBLISHED_MAX = 4096 };

static bool thorough(void)
{
    const char *all = getenv("DVARA_POWER_LOSS");
    return all != NULL && strcmp(all, "all") == 0;
}

/* One story: what is in the log already, and what comes while it is recorded. */
typedef struct story {
    unsigned before, events;
    size_t batch;
    bool routed; /* findings have a log of their own */
    bool pruned; /* in the end, everything that may go goes */
} story;

/* -- lives ------------------------------------------------------------------------------------- */

static void promise(const dv_sequencer *sequencer)
{
    dv_sequencer_status status;
    dv_sequencer_status_get(sequencer, &status);
    power_mark(status.logs[0].size, status.log_count > 1 ? status.logs[1].size : 0);
}

/* A commit that fails is tried again, as dvara-logd does. */
static dv_result commit(dv_sequencer *sequencer, bool promises, dv_error *error)
{
    dv_result result = dv_sequencer_commit(sequencer, error);
    for (int i = 0; i < 3 && result != DV_OK; i++) {
        result = dv_sequencer_commit(sequencer, error);
    }
    if (result == DV_OK && promises) {
        promise(sequencer);
    }
    return result;
}

static dv_result prune_all(dv_sequencer *sequencer, dv_error *error)
{
    uint64_t pruned;
    dv_prune_rule rule = {.before_ms = INT64_MAX, .end = UINT64_MAX};
    DV_TRY(dv_sequencer_prune(sequencer, "main", &rule, &pruned, error));
    dv_sequencer_forget(sequencer);
    return DV_OK;
}

/* Everything in the spool into the log. */
static dv_result live(const story *s, bool promises, bool prunes, dv_error *error)
{
    size_t taken = 0;
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    DV_TRY(stand_open(s->batch, s->routed ? "data.*" : NULL, &sequencer, error));
    do {
        DV_TRY(dv_sequencer_collect(sequencer, &taken, error));
        DV_TRY(commit(sequencer, promises, error));
    } while (taken > 0);
    return prunes ? prune_all(sequencer, error) : DV_OK;
}

/* In a process of its own, so that it can be killed. Returns its exit status. */
static int live_and_die(const story *s, size_t kill_at, long fail_sync_at)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        dv_error error = {0};
        power_kill_at(kill_at);
        power_fail_sync_at(fail_sync_at);
        _exit(live(s, true, s->pruned, &error) == DV_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    power_kill_at(SIZE_MAX);
    power_fail_sync_at(0);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void begin(const story *s)
{
    dv_error error = {0};
    assert_int_equal(stand_make(NULL), 0);
    if (s->before > 0) {
        const story whole = {.batch = 64 << 20, .routed = s->routed};
        stand_write("gateway", 0, s->before, 3);
        assert_int_equal(live(&whole, false, false, &error), DV_OK);
    }
    /* At the end there are commits of the other class alone. */
    stand_write("gateway", s->before, s->events - s->events / 4, 3);
    stand_write("dvarad", s->before + s->events - s->events / 4, s->events / 4, 1);
    power_begin(stand.root, "spool");
}

static void end(void)
{
    power_end();
    assert_int_equal(stand_remove(NULL), 0);
}

/* -- after a power loss ------------------------------------------------------------------------ */

/* Where a check fails, this says of which state. */
static char where[160];

#define MUST(condition, ...)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error("%s: ", where);                                                            \
            fail_msg(__VA_ARGS__);                                                                 \
        }                                                                                          \
    } while (0)

/* The number of an event of stand_write, or -1. */
static long number_of(dv_slice entry)
{
    char text[64];
    unsigned number;
    snprintf(text, sizeof(text), "%.*s", DV_SLICE_ARGS(dv_entry_request_id(entry)));
    return sscanf(text, "request-%u", &number) == 1 ? (long)number : -1;
}

typedef struct tally {
    uint8_t seen[EVENTS_MAX];
    uint64_t others; /* alarms, and what the log says of itself */
} tally;

static dv_result count_entry(void *data, uint64_t index, dv_slice entry)
{
    tally *counted = data;
    long number = number_of(entry);
    if (number >= 0 && number < EVENTS_MAX) {
        counted->seen[number]++;
    } else {
        counted->others++;
    }
    return DV_OK;
}

static void class_folder(char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/" DV_LOG_OTHERS "/findings", stand.log);
}

static dv_log_state *read_state(void)
{
    static dv_log_state state;
    MUST(dv_log_state_load(stand.log, &state, NULL) == DV_OK, "there is no state");
    return &state;
}

/* Of all checkpoints that were there at any time, each is a prefix of what is there now. */
static void check_published(size_t before, const dv_log_state *state)
{
    for (size_t i = 0; i < before; i++) {
        const uint8_t *bytes;
        size_t len;
        char folder[PATH_MAX];
        dv_note note;
        dv_checkpoint checkpoint = {.size = 0};
        dv_hash root;
        const char *name = power_renamed(i, &bytes, &len);
        if (name == NULL || strcmp(name, "checkpoint") != 0) {
            continue;
        }
        MUST(dv_note_split(dv_slice_of(bytes, len), &note) == DV_OK &&
                 dv_checkpoint_parse(note.text, &checkpoint) == DV_OK,
             "what was published is no checkpoint");
        bool main_log = strcmp(checkpoint.origin, stand.signer.verifier.name) == 0;
        if (main_log) {
            snprintf(folder, sizeof(folder), "%s", stand.log);
        } else {
            class_folder(folder);
        }
        const dv_log_tree *tree = &state->trees[main_log ? 0 : 1];
        if (checkpoint.size < tree->minimum) {
            continue; /* the tiles that tell are gone */
        }
        MUST(main_log || state->tree_count > 1, "a log that was published is gone");
        MUST(checkpoint.size <= tree->size, "the log has %lu entries, published were %lu",
             (unsigned long)tree->size, (unsigned long)checkpoint.size);
        MUST(dv_tiles_root(folder, checkpoint.size, &root, NULL) == DV_OK &&
                 dv_hash_eq(&root, &checkpoint.root),
             "the checkpoint over %lu entries is contradicted", (unsigned long)checkpoint.size);
    }
}

/* Of what came while it was recorded, each event is there once; without the spool's help those that
 * were promised, and none twice. */
static void check_events(const story *s, const dv_log_state *state, bool spool_lost, uint64_t *ret)
{
    static tally counted;
    char folder[PATH_MAX];
    memset(&counted, 0, sizeof(counted));
    for (size_t i = 0; i < state->tree_count; i++) {
        const dv_log_tree *tree = &state->trees[i];
        snprintf(folder, sizeof(folder), "%s", stand.log);
        if (i > 0) {
            class_folder(folder);
        }
        MUST(dv_log_read(folder, tree->size, tree->minimum, UINT64_MAX, count_entry, &counted,
                         NULL) == DV_OK,
             "the log can not be read");
    }
    uint64_t sum = 0;
    for (unsigned n = 0; n < s->before + s->events; n++) {
        bool may_be_gone = spool_lost || state->trees[0].minimum > 0;
        MUST(counted.seen[n] == 1 || (may_be_gone && counted.seen[n] == 0),
             "event %u is there %u times", n, counted.seen[n]);
        sum += counted.seen[n];
    }
    *ret = sum + counted.others;
}

/* Bundles behind the last one that was there before, hash by hash, without all the others. */
static void check_new_tiles(const story *s, const dv_log_state *state)
{
    uint64_t size = state->trees[0].size;
    for (uint64_t tile = s->before / DV_TILE_WIDTH; (tile + 1) * DV_TILE_WIDTH <= size; tile++) {
        dv_hash hashes[DV_TILE_WIDTH], above[DV_TILE_WIDTH], entry_hashes[DV_TILE_WIDTH];
        dv_auto(buf) dv_buf bundle = dv_buf_init(DV_BUNDLE_MAX);
        uint32_t place = (uint32_t)(tile % DV_TILE_WIDTH);
        uint64_t above_first = tile - place;
        uint32_t width =
            (uint32_t)DV_MIN(size / DV_TILE_WIDTH - above_first, (uint64_t)DV_TILE_WIDTH);
        dv_slice entry;
        MUST(dv_tile_read(stand.log, 0, tile, DV_TILE_WIDTH, hashes, NULL) == DV_OK &&
                 dv_tile_read(stand.log, 1, tile / DV_TILE_WIDTH, width, above, NULL) == DV_OK &&
                 dv_bundle_read(stand.log, NULL, tile, DV_TILE_WIDTH, &bundle, NULL) == DV_OK,
             "tile %lu can not be read", (unsigned long)tile);
        dv_slice rest = dv_buf_slice(&bundle);
        for (size_t i = 0; i < DV_TILE_WIDTH; i++) {
            MUST(dv_bundle_next(&rest, &entry) == DV_OK, "a bundle is cut");
            entry_hashes[i] = dv_merkle_leaf(entry);
        }
        dv_hash root = dv_merkle_root(entry_hashes, DV_TILE_WIDTH);
        MUST(memcmp(hashes, entry_hashes, sizeof(hashes)) == 0 && dv_hash_eq(&root, &above[place]),
             "tile %lu is not its entries'", (unsigned long)tile);
    }
}

/* Pruned entries do not stay on the disk. */
static void check_gone(const dv_log_state *state)
{
    char name[DV_TILE_PATH_MAX], path[PATH_MAX];
    for (uint64_t pack = 0; pack < state->trees[0].minimum / DV_PACK_LEAVES; pack++) {
        dv_pack_path(pack, name);
        snprintf(path, sizeof(path), "%s/%s", stand.log, name);
        MUST(access(path, F_OK) != 0, "%s is still there", name);
    }
}

/* Pages of what writers left that were not written yet, from some page to the end. */
static void lose_written(const char *writer, uint64_t seed)
{
    char folder[PATH_MAX], path[PATH_MAX];
    assert_int_equal(dv_spool_folder(stand.spool, writer, folder), DV_OK);
    DIR *dir = opendir(folder);
    for (struct dirent *entry = dir == NULL ? NULL : readdir(dir); entry != NULL;
         entry = readdir(dir)) {
        struct stat about;
        snprintf(path, sizeof(path), "%.80s/%s/%s", stand.spool, writer, entry->d_name);
        if (entry->d_name[0] != '.' && stat(path, &about) == 0) {
            off_t keep = (off_t)(seed % (uint64_t)(about.st_size / 4096 + 1)) * 4096;
            assert_int_equal(truncate(path, keep), 0);
            assert_int_equal(truncate(path, about.st_size), 0);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static void lose_spool(uint64_t seed)
{
    lose_written("gateway", seed);
    lose_written("dvarad", seed);
}

static void check(const story *s, size_t before, bool whole, bool spool_lost)
{
    dv_error error = {0};
    dv_log_report report;
    uint64_t promised[2], entries;
    power_promised(before, &promised[0], &promised[1]);
    dv_result result = live(s, false, false, &error);
    MUST(result == DV_OK, "it does not open: %s", error.message);
    const dv_log_state *state = read_state();
    for (size_t i = 0; i < 2; i++) {
        uint64_t size = i < state->tree_count ? state->trees[i].size : 0;
        MUST(size >= promised[i], "of %lu committed entries %lu are there",
             (unsigned long)promised[i], (unsigned long)size);
    }
    check_published(before, state);
    check_gone(state);
    if (!whole) {
        check_new_tiles(s, state);
        return;
    }
    check_events(s, state, spool_lost, &entries);
    result = dv_log_verify(stand.log, &stand.signer.verifier, NULL, NULL, &report);
    MUST(result == DV_OK, "it does not verify: %s", report.problem);
    MUST(report.entries == entries, "there are %lu entries", (unsigned long)report.entries);
}

/* -- sweeps ------------------------------------------------------------------------------------ */

static size_t states;

static void lose_and_check(const story *s, size_t before, power_luck luck, uint64_t seed,
                           bool whole)
{
    static const char *const lucks[] = {"nothing", "all", "names", "contents", "some"};
    bool spool_lost = seed % 4 == 3;
    snprintf(where, sizeof(where), "power lost before step %zu of %zu, %s left (seed %lu)", before,
             power_steps(), lucks[luck], (unsigned long)seed);
    power_lose(before, luck, seed);
    if (spool_lost) {
        lose_spool(seed / 4);
    }
    check(s, before, whole, spool_lost);
    states++;
}

/* Each `stride`th step from `first` on, each with another luck; or all of all. */
static void sweep(const story *s, size_t first, size_t stride, bool whole)
{
    power_record(false);
    for (size_t at = first; at <= power_steps(); at += thorough() ? 1 : stride) {
        if (!thorough()) {
            lose_and_check(s, at, (power_luck)(at / stride % (POWER_ANY + 1)), at, whole);
            continue;
        }
        for (power_luck luck = POWER_NOTHING; luck < POWER_ANY; luck++) {
            lose_and_check(s, at, luck, at * 4, whole);
        }
        for (uint64_t seed = 0; seed < 4; seed++) {
            lose_and_check(s, at, POWER_ANY, at * 4 + seed, whole);
        }
    }
}

static void tell(const char *what)
{
    print_message("%s: %zu states after a power loss\n", what, states);
    assert_true(states > 20);
    states = 0;
}

/* -- tests ------------------------------------------------------------------------------------- */

static void test_from_the_first_start_on(void **state)
{
    const story s = {.events = 700, .batch = 40 << 10, .routed = true};
    begin(&s);
    assert_int_equal(live_and_die(&s, SIZE_MAX, 0), 0);
    sweep(&s, 0, 1, true);
    end();
    tell("from the first start on");
}

/* Across the ends of blocks and of a pack. */
static void cross(unsigned pack)
{
    enum { BEFORE_A_BLOCK = 150 };
    const story s = {.before = pack * DV_PACK_LEAVES - DV_BLOCK_LEAVES - BEFORE_A_BLOCK,
                     .events = DV_BLOCK_LEAVES + 3 * BEFORE_A_BLOCK,
                     .batch = 300 << 10};
    begin(&s);
    assert_int_equal(live_and_die(&s, SIZE_MAX, 0), 0);
    sweep(&s, 0, 7, false);
    lose_and_check(&s, power_steps() / 2, POWER_ANY, 1, true);
    lose_and_check(&s, power_steps(), POWER_NOTHING, 1, true);
    end();
}

static void test_blocks_and_packs(void **state)
{
    cross(1);
    if (thorough()) {
        cross(2);
    }
    tell("blocks and packs");
}

static void test_pruning(void **state)
{
    const story s = {
        .before = 2 * DV_PACK_LEAVES + 200, .events = 60, .batch = BATCH, .pruned = true};
    begin(&s);
    assert_int_equal(live_and_die(&s, SIZE_MAX, 0), 0);
    sweep(&s, 0, 3, false);
    end();
    tell("pruning");
}

static bool is_sync(size_t at)
{
    return power_step_kind(at) == POWER_SYNC || power_step_kind(at) == POWER_SYNC_ALL;
}

/* Killed before a sync; what was in memory only is seen by the next life, which then loses power.
 */
static void kill_and_lose(const story *s, size_t at)
{
    begin(s);
    int status = live_and_die(s, at, 0);
    assert_true(status == POWER_KILLED || status == 0);
    size_t died = power_steps();
    assert_int_equal(live_and_die(s, SIZE_MAX, 0), 0);
    power_record(false);
    for (size_t i = died + at % 4; i <= power_steps(); i += thorough() ? 1 : 4) {
        lose_and_check(s, i, i % 3 == 0 ? POWER_ANY : POWER_NOTHING, 4 * i, true);
    }
    end();
}

static void test_a_kill_before_it(void **state)
{
    const story s = {.events = 400, .batch = 30 << 10, .routed = true};
    static bool syncs[4096];
    begin(&s);
    assert_int_equal(live_and_die(&s, SIZE_MAX, 0), 0);
    size_t count = DV_MIN(power_steps(), sizeof(syncs));
    for (size_t i = 0; i < count; i++) {
        syncs[i] = is_sync(i);
    }
    end();
    for (size_t i = 0; i < count; i++) {
        if (syncs[i] || thorough()) {
            kill_and_lose(&s, i);
        }
    }
    tell("after a kill");
}

/* A sync that failed is no sync, though the next one succeeds. */
static void fail_and_lose(const story *s, size_t failed)
{
    power_record(false);
    for (size_t i = failed + 1 + failed % 3; i <= power_steps(); i += thorough() ? 1 : 3) {
        static const power_luck lucks[] = {POWER_ALL, POWER_ANY, POWER_NOTHING};
        lose_and_check(s, i, lucks[i / 3 % 3], 4 * i, true);
        if (!thorough() && i > failed + 20) {
            i += 17;
        }
    }
}

static void test_a_failed_sync_before_it(void **state)
{
    const story s = {.events = 400, .batch = 30 << 10, .routed = true};
    size_t failed = 1;
    for (long at = 1; failed > 0; at++) {
        begin(&s);
        int status = live_and_die(&s, SIZE_MAX, at);
        failed = power_failed_at();
        if (status == 0 && failed > 0) { /* else it was its start that failed, and it ended */
            fail_and_lose(&s, failed);
        }
        end();
    }
    tell("after a sync that failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_the_first_start_on),
        cmocka_unit_test(test_blocks_and_packs),
        cmocka_unit_test(test_pruning),
        cmocka_unit_test(test_a_kill_before_it),
        cmocka_unit_test(test_a_failed_sync_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
