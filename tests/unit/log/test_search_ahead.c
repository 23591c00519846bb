/* SPDX-License-Identifier: Apache-2.0 */
/* A search of many blocks, at which several threads look, finds in its order what is there; it can
 * be ended anywhere and goes on there; what is damaged ends it where it lies. */
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/catalogue.h"
#include "engine/log/seal_search.h"
#include "engine/log/search_ahead.h"
#include "engine/log/state.h"
#include "engine/log/tree.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    BLOCKS = 40,
    EVENTS = BLOCKS * DV_BLOCK_LEAVES + 600,
    USERS = 997,
    DAYS = 5,
    QUERY_MEMORY = 1 << 20,
    TEXT_MAX = 160,
};

static char folder[64], keys[64];
static dv_subjects *subjects;
static dv_seal_search *eyes;

static int event_text(uint64_t i, char out[TEXT_MAX])
{
    return snprintf(out, TEXT_MAX,
                    "{\"time\":%llu,\"app\":{\"name\":\"user%llu\"},\"message\":\"day %llu\"}",
                    1000000 + (unsigned long long)i, (unsigned long long)(i % USERS),
                    (unsigned long long)(i * DAYS / EVENTS));
}

static dv_result write_log(const dv_tree_signer *signer, dv_log_tree *state, dv_error *error)
{
    char text[TEXT_MAX];
    uint64_t index;
    dv_log_tree next;
    dv_auto(tree) dv_tree *tree = NULL;
    DV_TRY(dv_tree_open(folder, signer, state, &tree, error));
    for (uint64_t i = 0; i < EVENTS; i++) {
        int len = event_text(i, text);
        DV_TRY(dv_tree_append(tree, dv_slice_of(text, (size_t)len), &index));
    }
    DV_TRY(dv_tree_write(tree, &next, error));
    *state = next;
    dv_tree_written(tree);
    return dv_tree_publish(tree, error);
}

static int make_log(void **state)
{
    dv_log_tree tree = {.name = "main", .root = dv_merkle_empty()};
    dv_tree_signer signer = {.overlaps = false};
    dv_auto(catalogue) dv_catalogue *catalogue = NULL;
    uint8_t public_key[32];
    dv_error error = {0};
    snprintf(folder, sizeof(folder), "/tmp/dvara-ahead-XXXXXX");
    snprintf(keys, sizeof(keys), "/tmp/dvara-ahead-keys-XXXXXX");
    dv_random(signer.seed, sizeof(signer.seed));
    if (mkdtemp(folder) == NULL || mkdtemp(keys) == NULL ||
        dv_subjects_open(keys, &subjects, &error) != DV_OK ||
        dv_seal_search_new(subjects, &eyes) != DV_OK ||
        dv_ed25519_public(signer.seed, public_key) != DV_OK ||
        dv_note_verifier_init("dvara.test/log", public_key, &signer.verifier) != DV_OK ||
        write_log(&signer, &tree, &error) != DV_OK ||
        dv_catalogue_open(folder, &catalogue, &error) != DV_OK ||
        dv_catalogue_update(catalogue, tree.packed, 0, &error) != DV_OK) {
        print_error("%s\n", error.message);
        return -1;
    }
    return tree.packed == (uint64_t)BLOCKS * DV_BLOCK_LEAVES ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int remove_log(void **state)
{
    dv_seal_search_free(eyes);
    dv_subjects_close(subjects);
    return nftw(keys, remove_entry, 16, FTW_DEPTH | FTW_PHYS) |
           nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* -- searching --------------------------------------------------------------------------------- */

typedef struct found {
    uint64_t count, last;
    uint64_t limit; /* 0: all */
    bool in_order, up;
} found;

static dv_result take(void *data, uint64_t index, dv_query_event *event, dv_arena *arena)
{
    char text[TEXT_MAX];
    found *f = data;
    event_text(index, text);
    assert_true(dv_slice_eq_str(event->text, text));
    f->in_order &= f->count == 0 || (f->up ? index > f->last : index < f->last);
    f->last = index;
    f->count++;
    return f->count == f->limit ? DV_ERR_AGAIN : DV_OK;
}

static dv_result search(const char *text, dv_search *what, found *f, dv_search_stats *ret_stats,
                        dv_error *error)
{
    const dv_query *query;
    dv_query_options options = {.now = 1};
    dv_auto(arena) dv_arena *memory = dv_arena_new(QUERY_MEMORY);
    assert_int_equal(dv_query_parse(dv_slice_str(text), &options, memory, &query, error), DV_OK);
    what->query = query;
    what->reader = dv_seal_search_reader(eyes);
    what->size = EVENTS;
    what->visit = take;
    what->data = f;
    f->up = what->oldest_first;
    return dv_log_search(folder, what, ret_stats, error);
}

static uint64_t count_both_ways(const char *text, uint64_t minimum)
{
    uint64_t counts[2];
    for (int up = 0; up < 2; up++) {
        found f = {.in_order = true};
        dv_search_stats stats;
        dv_search what = {
            .minimum = minimum, .from = up ? minimum : EVENTS, .oldest_first = up != 0};
        assert_int_equal(search(text, &what, &f, &stats, NULL), DV_OK);
        assert_true(stats.done && f.in_order);
        assert_int_equal(stats.scanned, EVENTS - minimum);
        assert_int_equal(stats.matched, f.count);
        counts[up] = f.count;
    }
    assert_int_equal(counts[0], counts[1]);
    return counts[0];
}

/* How many i in [from, EVENTS) leave that rest. */
static uint64_t of_user(uint64_t user, uint64_t from)
{
    uint64_t count = 0;
    for (uint64_t i = from; i < EVENTS; i++) {
        count += i % USERS == user;
    }
    return count;
}

static void test_finds_all_of_it_in_order(void **state)
{
    assert_int_equal(count_both_ways("user996", 0), of_user(996, 0));
    assert_int_equal(count_both_ways("app.name:user7", 0), of_user(7, 0));
    assert_int_equal(count_both_ways("app.name:user7", 9 * DV_BLOCK_LEAVES),
                     of_user(7, 9 * DV_BLOCK_LEAVES));
    assert_int_equal(count_both_ways("no such thing", 0), 0);
    assert_int_equal(count_both_ways("-user996", 0), EVENTS - of_user(996, 0));
    /* A fifth of the blocks is wanted. */
    assert_int_equal(count_both_ways("message:\"day 2\" user5", 0) > 0, true);
}

static void test_goes_on_where_it_ended(void **state)
{
    for (int up = 0; up < 2; up++) {
        uint64_t pages = 0, from = up ? 0 : EVENTS, all = 0;
        dv_search_stats stats = {.done = false};
        while (!stats.done) {
            found f = {.in_order = true, .limit = 7};
            dv_search what = {.from = from, .oldest_first = up != 0};
            assert_int_equal(search("user5", &what, &f, &stats, NULL), DV_OK);
            assert_true(f.in_order);
            from = stats.next;
            all += f.count;
            pages++;
        }
        assert_true(pages > 10);
        assert_int_equal(all, count_both_ways("user5", 0));
    }
}

static void test_time_that_is_over_ends_it(void **state)
{
    dv_search_stats stats;
    found f = {.in_order = true};
    dv_search what = {.from = EVENTS, .until = 1};
    assert_int_equal(search("no such thing", &what, &f, &stats, NULL), DV_OK);
    assert_false(stats.done);
}

/* One byte of a block in the middle is another: all before it is found, then it is named. */
static void test_a_damaged_block_ends_it_there(void **state)
{
    char path[PATH_MAX], byte;
    uint64_t offset;
    dv_block_info info;
    dv_error error = {0};
    dv_search_stats stats;
    const uint64_t block = 21;
    snprintf(path, sizeof(path), "%s/pack/%03d", folder, (int)(block / DV_PACK_BLOCKS));
    assert_int_equal(dv_pack_place(folder, block, &offset, &info, &error), DV_OK);
    dv_auto(fd) int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t place = (off_t)offset + 600;
    assert_int_equal(pread(fd, &byte, 1, place), 1);
    byte = (char)(byte ^ 1);
    assert_int_equal(pwrite(fd, &byte, 1, place), 1);
    found f = {.in_order = true};
    dv_search what = {.from = 0, .oldest_first = true};
    assert_int_equal(search("no such thing", &what, &f, &stats, &error), DV_ERR_CORRUPT);
    assert_false(stats.done);
    assert_int_equal(stats.next, block * DV_BLOCK_LEAVES);
    assert_non_null(strstr(error.message, "pack/001"));
    byte = (char)(byte ^ 1);
    assert_int_equal(pwrite(fd, &byte, 1, place), 1);
}

/* Whoever has begun with a block is waited for; what nobody has begun is the caller's. */
static void test_takes_blocks_in_order_only(void **state)
{
    const dv_query *query;
    dv_ahead_found got;
    cpu_set_t set;
    dv_query_options options = {.now = 1};
    dv_auto(arena) dv_arena *memory = dv_arena_new(QUERY_MEMORY);
    assert_int_equal(dv_query_parse(DV_LIT("user5"), &options, memory, &query, NULL), DV_OK);
    dv_auto(pack_reader) dv_pack_reader *packs = NULL;
    assert_int_equal(dv_pack_reader_new(folder, &packs), DV_OK);
    dv_auto(ahead) dv_ahead *ahead = dv_ahead_new(folder, query, NULL, packs, true);
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    assert_int_equal(ahead != NULL, CPU_COUNT(&set) > 1);
    if (ahead == NULL) {
        return; /* one processor: nobody helps */
    }
    assert_int_equal(dv_ahead_take(ahead, 0, &got, NULL), DV_ERR_INTERNAL);
    for (uint64_t block = 0; dv_ahead_room(ahead) > 0; block++) {
        dv_ahead_give(ahead, block, block % 2 == 0);
    }
    assert_int_equal(dv_ahead_take(ahead, 1, &got, NULL), DV_ERR_INTERNAL);
    for (uint64_t block = 0; block < DV_AHEAD_BLOCKS; block++) {
        assert_int_equal(dv_ahead_take(ahead, block, &got, NULL), DV_OK);
        assert_int_equal(got.state == DV_AHEAD_UNWANTED, block % 2 != 0);
        if (got.state == DV_AHEAD_LOOKED_AT) {
            assert_in_range(dv_rows_count(&got.maybe), 4, 5);
            assert_non_null(got.leaves);
        }
    }
    assert_int_equal(dv_ahead_room(ahead), DV_AHEAD_BLOCKS);
    dv_ahead_give(ahead, 3, true); /* and freed with it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_all_of_it_in_order),
        cmocka_unit_test(test_goes_on_where_it_ended),
        cmocka_unit_test(test_time_that_is_over_ends_it),
        cmocka_unit_test(test_a_damaged_block_ends_it_there),
        cmocka_unit_test(test_takes_blocks_in_order_only),
    };
    return cmocka_run_group_tests(tests, make_log, remove_log);
}
