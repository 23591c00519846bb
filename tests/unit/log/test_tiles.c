/* SPDX-License-Identifier: Apache-2.0 */
/* Names, notes, checkpoints, the tree's shapes, proofs, and what verification notices. */
#include "base/codec.h"
#include "base/file.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/entry.h"
#include "engine/log/search.h"
#include "engine/log/tree.h"
#include "engine/log/verify.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static dv_tree_signer signer;
static dv_log_state log_state;

static int make_folder(void **state)
{
    uint8_t public_key[32];
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof(folder), "%s/dvara-tiles-XXXXXX", base);
    dv_random(signer.seed, sizeof(signer.seed));
    return mkdtemp(folder) != NULL && dv_ed25519_public(signer.seed, public_key) == DV_OK &&
                   dv_note_verifier_init("dvara.test/log", public_key, &signer.verifier) == DV_OK
               ? 0
               : -1;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int remove_folder(void **state)
{
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* -- names and notes --------------------------------------------------------------------------- */

static void check_path(int level, uint64_t index, uint32_t width, const char *wanted)
{
    char path[DV_TILE_PATH_MAX];
    assert_int_equal(dv_tile_path(level, index, width, path), strlen(wanted));
    assert_string_equal(path, wanted);
}

/* C2SP tlog-tiles, "Merkle Tree". */
static void test_tile_paths(void **state)
{
    check_path(0, 0, 256, "tile/0/000");
    check_path(0, 999, 256, "tile/0/999");
    check_path(1, 1000, 256, "tile/1/x001/000");
    check_path(DV_TILE_ENTRIES, 1234067, 256, "tile/entries/x001/x234/067");
    check_path(2, 1234067, 17, "tile/2/x001/x234/067.p/17");
    check_path(7, INT64_MAX, 255, "tile/7/x009/x223/x372/x036/x854/x775/807.p/255");
}

/* The example in C2SP signed-note, "Verifier keys". */
static const char example_key[] =
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
static const char example_note[] = "This is an example message.\n\n\xe2\x80\x94 example.com/foo "
                                   "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsY"
                                   "jOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

static void test_published_example_verifies(void **state)
{
    dv_note_verifier verifier;
    dv_slice text;
    dv_auto(buf) dv_buf again = dv_buf_init(256);
    assert_int_equal(dv_note_verifier_parse(dv_slice_str(example_key), &verifier), DV_OK);
    assert_string_equal(verifier.name, "example.com/foo");
    assert_int_equal(dv_note_verifier_format(&verifier, &again), DV_OK);
    assert_true(dv_slice_eq_str(dv_buf_slice(&again), example_key));
    assert_int_equal(dv_note_verify(dv_slice_str(example_note), &verifier, &text), DV_OK);
    assert_true(dv_slice_eq_str(text, "This is an example message.\n"));
}

static void test_changed_note_does_not_verify(void **state)
{
    dv_note_verifier verifier;
    dv_slice text;
    char note[sizeof(example_note)];
    assert_int_equal(dv_note_verifier_parse(dv_slice_str(example_key), &verifier), DV_OK);
    for (size_t i = 0; i < sizeof(note) - 1; i++) {
        memcpy(note, example_note, sizeof(note));
        note[i] ^= 1;
        assert_int_not_equal(dv_note_verify(dv_slice_of(note, sizeof(note) - 1), &verifier, &text),
                             DV_OK);
        assert_int_not_equal(dv_note_verify(dv_slice_of(example_note, i), &verifier, &text), DV_OK);
    }
}

static void test_bad_verifier_keys(void **state)
{
    static const char *const bad[] = {
        "",
        "a",
        "a+b",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "exa mple+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2",
    };
    dv_note_verifier verifier;
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_note_verifier_parse(dv_slice_str(bad[i]), &verifier), DV_ERR_INVALID);
    }
    assert_int_equal(
        dv_note_verifier_parse(DV_LIT("a+00000000+AuoyeRrm56hApGFkyQR4ZCbV54Id2LKa"), &verifier),
        DV_ERR_UNSUPPORTED);
}

/* "Verifiers MUST ignore signatures from unknown keys", and many of them are refused. */
static void test_other_signatures(void **state)
{
    dv_note_verifier verifier;
    dv_slice text;
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    assert_int_equal(dv_note_verifier_parse(dv_slice_str(example_key), &verifier), DV_OK);
    assert_int_equal(dv_buf_append_str(&note, example_note), DV_OK);
    for (int i = 1; i < DV_NOTE_SIGNATURES_MAX; i++) {
        assert_int_equal(dv_buf_append_str(&note, "\xe2\x80\x94 witness.example AAAAAQ==\n"),
                         DV_OK);
    }
    assert_int_equal(dv_note_verify(dv_buf_slice(&note), &verifier, &text), DV_ERR_INVALID);
    note.len = sizeof(example_note) - 1;
    for (int i = 1; i < DV_NOTE_SIGNATURES_MAX; i++) {
        assert_int_equal(dv_buf_append_str(&note, "\xe2\x80\x94 witness.example AAAAAQI=\n"),
                         DV_OK);
    }
    assert_int_equal(dv_note_verify(dv_buf_slice(&note), &verifier, &text), DV_OK);
    assert_int_equal(dv_buf_append_str(&note, "\xe2\x80\x94 witness.example AAAAAQI=\n"), DV_OK);
    assert_int_equal(dv_note_verify(dv_buf_slice(&note), &verifier, &text), DV_ERR_INVALID);
    verifier.key_id ^= 1;
    note.len = sizeof(example_note) - 1;
    assert_int_equal(dv_note_verify(dv_buf_slice(&note), &verifier, &text), DV_ERR_NOT_FOUND);
}

static void test_bad_checkpoints(void **state)
{
    static const char root[] = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    static const char *const forms[] = {
        "%s",
        "\n1\n%s\n",
        "o\n01\n%s\n",
        "o\n-1\n%s\n",
        "o\n1 \n%s\n",
        "o\n\n%s\n",
        "o\n9223372036854775808\n%s\n",
        "o\n99999999999999999999\n%s\n",
        "o\n1\n%s=\n",
        "o\n1\n%s\nextension\n",
        "o o\n1\n%s\n",
    };
    dv_checkpoint checkpoint;
    char text[256];
    for (size_t i = 0; i < DV_ARRAY_LEN(forms); i++) {
        const char *mark = strstr(forms[i], "%s");
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(mark - forms[i]), forms[i], root, mark + 2);
        assert_int_equal(dv_checkpoint_parse(dv_slice_str(text), &checkpoint), DV_ERR_INVALID);
    }
    snprintf(text, sizeof(text), "example.com/behind-the-sofa\n20852163\n%s\n", root);
    assert_int_equal(dv_checkpoint_parse(dv_slice_str(text), &checkpoint), DV_OK);
    assert_int_equal(checkpoint.size, 20852163);
}

/* -- trees ------------------------------------------------------------------------------------- */

static const dv_uuid writer = {{1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 16}};

static dv_slice entry_text(uint64_t number, dv_buf *out)
{
    char record[64];
    dv_entry_stamp stamp = {"test", writer, number, 0};
    snprintf(record, sizeof(record), "{\"metadata\":{\"n\":%llu}}", (unsigned long long)number);
    dv_buf_clear(out);
    assert_int_equal(dv_entry_stamp_record(&stamp, dv_slice_str(record), out), DV_OK);
    return dv_buf_slice(out);
}

/* The log as its state file says it is. */
static dv_result open_tree(dv_tree **ret_tree, dv_error *error)
{
    dv_result result = dv_log_state_load(folder, &log_state, error);
    if (result == DV_ERR_NOT_FOUND) {
        log_state =
            (dv_log_state){.trees = {{.name = "main", .root = dv_merkle_empty()}}, .tree_count = 1};
        result = DV_OK;
    }
    return result == DV_OK ? dv_tree_open(folder, &signer, &log_state.trees[0], ret_tree, error)
                           : result;
}

static void commit_tree(dv_tree *tree)
{
    dv_log_tree next;
    assert_int_equal(dv_tree_write(tree, &next, NULL), DV_OK);
    log_state.trees[0] = next;
    assert_int_equal(dv_log_state_save(folder, &log_state, NULL), DV_OK);
    dv_tree_written(tree);
}

static void grow_tree(uint64_t from, uint64_t to, uint64_t step)
{
    dv_auto(tree) dv_tree *tree = NULL;
    dv_auto(buf) dv_buf entry = dv_buf_init(1024);
    dv_error error = {0};
    uint64_t index;
    if (open_tree(&tree, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(dv_tree_size(tree), from);
    for (uint64_t i = from; i < to; i++) {
        assert_int_equal(dv_tree_append(tree, entry_text(i, &entry), &index), DV_OK);
        assert_int_equal(index, i);
        if ((i + 1) % step == 0 || i + 1 == to) {
            commit_tree(tree);
            assert_int_equal(dv_tree_publish(tree, &error), DV_OK);
        }
    }
}

/* RFC 6962's definition, from the entries. */
static dv_hash naive_root(uint64_t size)
{
    dv_auto(buf) dv_buf entry = dv_buf_init(1024);
    if (size == 0) {
        return dv_merkle_empty();
    }
    dv_hash *leaves = malloc(size * sizeof(*leaves));
    for (uint64_t i = 0; i < size; i++) {
        leaves[i] = dv_merkle_leaf(entry_text(i, &entry));
    }
    dv_hash root = dv_merkle_root(leaves, size);
    free(leaves);
    return root;
}

static void check_size(uint64_t size)
{
    dv_log_report report;
    dv_checkpoint checkpoint;
    dv_hash root = naive_root(size), from_tiles;
    assert_int_equal(dv_tiles_checkpoint(folder, &signer.verifier, &checkpoint, NULL), DV_OK);
    assert_int_equal(checkpoint.size, size);
    assert_true(dv_hash_eq(&checkpoint.root, &root));
    assert_int_equal(dv_tiles_root(folder, size, &from_tiles, NULL), DV_OK);
    assert_true(dv_hash_eq(&from_tiles, &root));
    assert_int_equal(dv_log_verify(folder, &signer.verifier, NULL, NULL, &report), DV_OK);
    assert_int_equal(report.entries, size);
}

static void test_every_shape_of_small_trees(void **state)
{
    grow_tree(0, 0, 1);
    check_size(0);
    for (uint64_t size = 1; size <= 40; size++) {
        grow_tree(size - 1, size, 1);
        check_size(size);
    }
}

static void test_sizes_around_tiles(void **state)
{
    static const uint64_t sizes[] = {255, 256, 257, 511, 512, 513, 1000};
    uint64_t size = 0;
    for (size_t i = 0; i < DV_ARRAY_LEN(sizes); i++) {
        grow_tree(size, sizes[i], 100);
        size = sizes[i];
        check_size(size);
    }
}

static bool there_is(const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* The example of C2SP tlog-tiles, "Partial Tiles": 70,000 entries. */
static void test_seventy_thousand(void **state)
{
    grow_tree(0, 70000, 7000);
    check_size(70000);
    assert_true(there_is("tile/0/272") && there_is("tile/0/273.p/112") && !there_is("tile/0/273"));
    assert_true(there_is("tile/1/000") && there_is("tile/1/001.p/17"));
    assert_true(there_is("tile/2/000.p/1") && there_is("tile/entries/273.p/112"));
    assert_false(there_is("tile/0/000.p") || there_is("tile/1/000.p"));
    /* 17 blocks of 4096 are in packs. */
    assert_true(there_is("pack/000") && there_is("pack/001") && !there_is("pack/002"));
    assert_false(there_is("tile/0/271") || there_is("tile/entries/271") || there_is("tile/0/000"));
}

static void test_proofs_from_tiles(void **state)
{
    enum { SIZE = 700 };
    dv_hash proof[DV_PROOF_MAX];
    size_t len;
    dv_auto(buf) dv_buf entry = dv_buf_init(1024);
    grow_tree(0, SIZE, 300);
    dv_hash root = naive_root(SIZE);
    for (uint64_t i = 0; i < SIZE; i += 7) {
        dv_hash leaf = dv_merkle_leaf(entry_text(i, &entry));
        assert_int_equal(dv_tiles_inclusion(folder, i, SIZE, proof, &len, NULL), DV_OK);
        assert_int_equal(dv_merkle_verify_inclusion(i, SIZE, &leaf, proof, len, &root), DV_OK);
        proof[0].bytes[0] ^= 1;
        assert_int_equal(dv_merkle_verify_inclusion(i, SIZE, &leaf, proof, len, &root),
                         DV_ERR_CORRUPT);
    }
    for (uint64_t old = 1; old <= SIZE; old += 13) {
        dv_hash old_root = naive_root(old);
        assert_int_equal(dv_tiles_consistency(folder, old, SIZE, proof, &len, NULL), DV_OK);
        assert_int_equal(dv_merkle_verify_consistency(old, SIZE, &old_root, &root, proof, len),
                         DV_OK);
    }
    assert_int_equal(dv_tiles_inclusion(folder, SIZE, SIZE, proof, &len, NULL), DV_ERR_INVALID);
    assert_int_equal(dv_tiles_consistency(folder, 0, SIZE, proof, &len, NULL), DV_ERR_INVALID);
    assert_int_equal(dv_tiles_consistency(folder, SIZE + 1, SIZE, proof, &len, NULL),
                     DV_ERR_INVALID);
}

static void test_entry_sizes(void **state)
{
    static uint8_t big[UINT16_MAX + 1];
    uint64_t index;
    dv_auto(tree) dv_tree *tree = NULL;
    assert_int_equal(open_tree(&tree, NULL), DV_OK);
    assert_int_equal(dv_tree_append(tree, dv_slice_of(big, 0), &index), DV_ERR_INVALID);
    assert_int_equal(dv_tree_append(tree, dv_slice_of(big, sizeof(big)), &index), DV_ERR_TOO_LARGE);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(dv_tree_append(tree, dv_slice_of(big, UINT16_MAX), &index), DV_OK);
    }
    commit_tree(tree);
    dv_auto(buf) dv_buf bundle = dv_buf_init(DV_BUNDLE_MAX);
    assert_int_equal(dv_bundle_read(folder, NULL, 0, DV_TILE_WIDTH, &bundle, NULL), DV_OK);
    assert_int_equal(bundle.len, DV_BUNDLE_MAX);
}

/* -- damage ------------------------------------------------------------------------------------ */

static void change_byte(const char *name, long at)
{
    char path[PATH_MAX];
    uint8_t byte;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    dv_auto(fd) int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    off_t where = at >= 0 ? at : lseek(fd, 0, SEEK_END) + at;
    assert_int_equal(pread(fd, &byte, 1, where), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, where), 1);
}

static void expect_problem(const char *words)
{
    dv_log_report report;
    assert_int_equal(dv_log_verify(folder, &signer.verifier, NULL, NULL, &report), DV_ERR_CORRUPT);
    assert_false(report.ok);
    if (strstr(report.problem, words) == NULL) {
        fail_msg("\"%s\" does not speak of \"%s\"", report.problem, words);
    }
}

static void test_verification_notices_every_change(void **state)
{
    static const struct {
        const char *name;
        long at;
        const char *words;
    } changes[] = {
        {"tile/0/000", 0, "tile/0/000 differs from the entries at hash 0"},
        {"tile/0/000", -1, "tile/0/000 differs from the entries at hash 255"},
        {"tile/0/001.p/44", 40, "tile/0/001.p/44 differs from the entries at hash 1"},
        {"tile/1/000.p/1", 5, "tile/1/000.p/1 differs from the entries at hash 0"},
        {"tile/entries/000", 0, "tile/entries/000 is not made of whole entries"},
        {"tile/entries/000", 60, "where 0 should follow"},
        {"tile/entries/001.p/44", -3, "tile/0/001.p/44 differs from the entries at hash 43"},
        {"checkpoint", 15, "checkpoint: its signature is wrong"},
        {"checkpoint", -40, "checkpoint"},
    };
    grow_tree(0, 300, 300);
    for (size_t i = 0; i < DV_ARRAY_LEN(changes); i++) {
        change_byte(changes[i].name, changes[i].at);
        expect_problem(changes[i].words);
        change_byte(changes[i].name, changes[i].at);
    }
    check_size(300);
    change_byte("checkpoint", 0);
    expect_problem("checkpoint");
}

static void remove_file(const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

static void test_verification_notices_missing_files(void **state)
{
    grow_tree(0, 300, 300);
    remove_file("tile/1/000.p/1");
    expect_problem("tile/1/000.p/1 is missing");
    remove_file("tile/entries/000");
    expect_problem("tile/entries/000 is missing");
}

static void append_text(const char *text)
{
    uint64_t index;
    dv_auto(tree) dv_tree *tree = NULL;
    assert_int_equal(open_tree(&tree, NULL), DV_OK);
    assert_int_equal(dv_tree_append(tree, dv_slice_str(text), &index), DV_OK);
    commit_tree(tree);
    assert_int_equal(dv_tree_publish(tree, NULL), DV_OK);
}

/* Rightly signed, but not what a log of ours may hold. */
static void test_verification_reads_the_entries(void **state)
{
    grow_tree(0, 3, 3);
    append_text("not JSON");
    expect_problem("entry 3 is no JSON text");
}

static void test_verification_notices_a_gap(void **state)
{
    dv_auto(buf) dv_buf entry = dv_buf_init(1024);
    grow_tree(0, 3, 3);
    entry_text(4, &entry);
    append_text(dv_buf_cstr(&entry));
    expect_problem("entry 3 is record 4 of segment 01020304-0506-7008-800a-0b0c0d0e0f10, where 3 "
                   "should follow");
}

static void test_verification_notices_a_repetition(void **state)
{
    dv_auto(buf) dv_buf entry = dv_buf_init(1024);
    grow_tree(0, 3, 3);
    entry_text(2, &entry);
    append_text(dv_buf_cstr(&entry));
    expect_problem("entry 3 is record 2");
}

static void test_another_signer_is_refused(void **state)
{
    dv_log_report report;
    dv_note_verifier other = signer.verifier;
    grow_tree(0, 3, 3);
    other.public_key[0] ^= 1;
    assert_int_equal(dv_log_verify(folder, &other, NULL, NULL, &report), DV_ERR_CORRUPT);
    other = signer.verifier;
    other.key_id ^= 1;
    assert_int_equal(dv_log_verify(folder, &other, NULL, NULL, &report), DV_ERR_CORRUPT);
}

/* A log that does not fit what was signed or remembered is not continued. */
static void expect_refused_open(const char *words)
{
    dv_tree *tree = NULL;
    dv_error error = {0};
    assert_int_equal(open_tree(&tree, &error), DV_ERR_CORRUPT);
    if (strstr(error.message, words) == NULL) {
        fail_msg("\"%s\" does not speak of \"%s\"", error.message, words);
    }
}

static void copy_file(const char *from, const char *to)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf bytes = dv_buf_init(1 << 20);
    snprintf(path, sizeof(path), "%s/%s", folder, from);
    assert_int_equal(dv_file_read(path, &bytes, NULL), DV_OK);
    snprintf(path, sizeof(path), "%s/%s", folder, to);
    assert_int_equal(dv_file_write_atomic(path, dv_buf_slice(&bytes), 0600, NULL), DV_OK);
}

static void test_opening_refuses_what_was_rolled_back(void **state)
{
    grow_tree(0, 10, 10);
    copy_file("state", "old");
    grow_tree(10, 20, 10);
    copy_file("state", "new");
    copy_file("old", "state");
    expect_refused_open("the checkpoint is over 20 entries, but only 10 are there");
    remove_file("state");
    expect_refused_open("the checkpoint is over 20 entries, but only 0 are there");
    copy_file("new", "state");
    change_byte("tile/0/000.p/20", 3);
    expect_refused_open("entry 0 is not the tree's leaf");
    change_byte("tile/0/000.p/20", 3);
    change_byte("state", 20);
    expect_refused_open("state file is damaged");
    change_byte("state", 20);
    grow_tree(20, 21, 1);
    check_size(21);
}

static void test_state_file_at_every_byte(void **state)
{
    static dv_log_state parsed;
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 16);
    memset(&log_state, 0, sizeof(log_state));
    log_state.tree_count = 2;
    log_state.trees[0] = (dv_log_tree){"main", 12345, dv_merkle_empty(), 8192, 4096};
    log_state.trees[1] = (dv_log_tree){"requests-30d", UINT64_MAX, dv_merkle_empty(), 0, 0};
    log_state.position_count = 2;
    log_state.positions[0] = (dv_log_position){writer, "gateway", 7, 1234};
    log_state.positions[1] = (dv_log_position){writer, "dvarad", UINT64_MAX, 0};
    assert_int_equal(dv_log_state_format(&log_state, &text), DV_OK);
    assert_int_equal(dv_log_state_parse(dv_buf_slice(&text), &parsed, NULL), DV_OK);
    assert_int_equal(parsed.tree_count, 2);
    assert_string_equal(parsed.trees[1].name, "requests-30d");
    assert_true(parsed.trees[0].packed == 8192 && parsed.trees[0].minimum == 4096);
    assert_int_equal(parsed.position_count, 2);
    assert_string_equal(parsed.positions[1].source, "dvarad");
    assert_true(parsed.positions[1].sequence == UINT64_MAX);
    for (size_t i = 0; i < text.len; i++) {
        text.ptr[i] ^= 1;
        assert_int_equal(dv_log_state_parse(dv_buf_slice(&text), &parsed, NULL), DV_ERR_CORRUPT);
        text.ptr[i] ^= 1;
        assert_int_equal(dv_log_state_parse(dv_slice_of(text.ptr, i), &parsed, NULL),
                         DV_ERR_CORRUPT);
    }
}

#define TILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tile_paths),
        cmocka_unit_test(test_published_example_verifies),
        cmocka_unit_test(test_changed_note_does_not_verify),
        cmocka_unit_test(test_bad_verifier_keys),
        cmocka_unit_test(test_other_signatures),
        cmocka_unit_test(test_bad_checkpoints),
        TILE_TEST(test_every_shape_of_small_trees),
        TILE_TEST(test_sizes_around_tiles),
        TILE_TEST(test_seventy_thousand),
        TILE_TEST(test_proofs_from_tiles),
        TILE_TEST(test_entry_sizes),
        TILE_TEST(test_verification_notices_every_change),
        TILE_TEST(test_verification_notices_missing_files),
        TILE_TEST(test_verification_reads_the_entries),
        TILE_TEST(test_verification_notices_a_gap),
        TILE_TEST(test_verification_notices_a_repetition),
        TILE_TEST(test_another_signer_is_refused),
        TILE_TEST(test_opening_refuses_what_was_rolled_back),
        cmocka_unit_test(test_state_file_at_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
