/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of other nodes' logs: what they take over, what they refuse and why, and a death at every
 * change to the disk. The logs are real ones, with packs. */
#include "base/file.h"
#include "core/event.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/entry.h"
#include "engine/log/pack.h"
#include "engine/log/prune.h"
#include "engine/log/replica.h"
#include "engine/log/rotation.h"
#include "engine/log/tree.h"
#include "engine/log/verify.h"
#include "fault.h"

#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

static char root[64];

/* -- a log to be copied ------------------------------------------------------------------------ */

typedef struct source {
    char folder[128];
    dv_tree_signer signer;
    dv_log_tree state;
    dv_tree *tree;
} source;

static const uint8_t seed[32] = {1, 2, 3}, other_seed[32] = {4, 5, 6};

static void set_key(dv_tree_signer *signer, const char *name, const uint8_t from[32])
{
    uint8_t public_key[32];
    memcpy(signer->seed, from, sizeof(signer->seed));
    assert_int_equal(dv_ed25519_public(signer->seed, public_key), DV_OK);
    assert_int_equal(dv_note_verifier_init(name, public_key, &signer->verifier), DV_OK);
}

static void open_source(source *s, const char *name, const uint8_t from[32])
{
    dv_error error = {0};
    *s = (source){.state = {.name = "main", .root = dv_merkle_empty()}};
    snprintf(s->folder, sizeof(s->folder), "%s/%s", root, name);
    set_key(&s->signer, "node.example/b", from);
    assert_int_equal(dv_tree_open(s->folder, &s->signer, &s->state, &s->tree, &error), DV_OK);
}

static void commit_source(source *s)
{
    dv_error error = {0};
    dv_log_tree next;
    assert_int_equal(dv_tree_write(s->tree, &next, &error), DV_OK);
    s->state = next;
    dv_tree_written(s->tree);
    assert_int_equal(dv_tree_publish(s->tree, &error), DV_OK);
}

static void append_as(source *s, const char *writer, dv_slice record)
{
    uint64_t index;
    dv_auto(buf) dv_buf entry = dv_buf_init(UINT16_MAX);
    const dv_entry_stamp stamp = {
        .source = writer, .segment = {{7}}, .sequence = dv_tree_size(s->tree), .logged = DV_SECOND};
    assert_int_equal(dv_entry_stamp_record(&stamp, record, &entry), DV_OK);
    assert_int_equal(dv_tree_append(s->tree, dv_buf_slice(&entry), &index), DV_OK);
}

static void append(source *s, dv_slice record)
{
    append_as(s, "test", record);
}

/* Events that tell which log they are of. */
static void grow_to(source *s, uint64_t size, const char *whose)
{
    char record[256];
    while (dv_tree_size(s->tree) < size) {
        int len = snprintf(record, sizeof(record),
                           "{\"metadata\":{\"event_code\":\"lifecycle\"},\"time\":%" PRIu64
                           ",\"message\":\"%s\"}",
                           dv_tree_size(s->tree), whose);
        append(s, dv_slice_of(record, (size_t)len));
    }
    commit_source(s);
}

/* -- pieces of it ------------------------------------------------------------------------------ */

typedef struct sent {
    dv_replica_piece piece;
    dv_buf note, entries;
    dv_hash proof[DV_PROOF_MAX], seen[DV_PROOF_MAX];
} sent;

static void sent_release(sent *out)
{
    dv_buf_release(&out->note);
    dv_buf_release(&out->entries);
}
DV_DEFINE_AUTO(sent, sent, sent_release)

static void put_entries(const source *s, uint64_t from, uint64_t to, dv_buf *out)
{
    dv_error error = {0};
    dv_auto(buf) dv_buf bundle = dv_buf_init(DV_BUNDLE_MAX);
    for (uint64_t at = from; at < to;) {
        uint64_t first = at - at % DV_TILE_WIDTH;
        uint32_t width = (uint32_t)DV_MIN(s->state.size - first, (uint64_t)DV_TILE_WIDTH);
        dv_slice entry;
        dv_buf_clear(&bundle);
        assert_int_equal(
            dv_bundle_read(s->folder, NULL, at / DV_TILE_WIDTH, width, &bundle, &error), DV_OK);
        dv_slice rest = dv_buf_slice(&bundle);
        for (uint64_t i = first; i < first + width && i < to; i++) {
            assert_int_equal(dv_bundle_next(&rest, &entry), DV_OK);
            if (i >= at) {
                assert_int_equal(dv_buf_append(out, dv_slice_of(entry.ptr - 2, entry.len + 2)),
                                 DV_OK);
            }
        }
        at = DV_MIN(first + width, to);
    }
}

/* What an honest node sends to whoever has `from` entries and saw `seen`. */
static void send(const source *s, uint64_t from, uint64_t to, uint64_t seen, sent *out)
{
    char path[PATH_MAX];
    dv_error error = {0};
    uint64_t size = s->state.size;
    *out = (sent){.note = dv_buf_init(DV_NOTE_MAX), .entries = dv_buf_init(64 << 20)};
    snprintf(path, sizeof(path), "%s/checkpoint", s->folder);
    assert_int_equal(dv_file_read(path, &out->note, &error), DV_OK);
    put_entries(s, from, to, &out->entries);
    if (to > 0 && to < size) {
        assert_int_equal(
            dv_tiles_consistency(s->folder, to, size, out->proof, &out->piece.proof_len, &error),
            DV_OK);
    }
    if (seen > 0 && seen < size) {
        assert_int_equal(
            dv_tiles_consistency(s->folder, seen, size, out->seen, &out->piece.seen_len, &error),
            DV_OK);
        assert_int_equal(dv_tiles_root(s->folder, seen, &out->piece.seen_root, &error), DV_OK);
    }
    out->piece.from = from;
    out->piece.note = dv_buf_slice(&out->note);
    out->piece.entries = dv_buf_slice(&out->entries);
    out->piece.proof = out->proof;
    out->piece.seen = out->seen;
}

static dv_replica *open_copy(const char *name, const source *of)
{
    char folder[256];
    dv_error error = {0};
    dv_replica *copy = NULL;
    snprintf(folder, sizeof(folder), "%s/%s/log", root, name);
    dv_result result = dv_replica_open(folder, "main", &of->signer.verifier, &copy, &error);
    if (result != DV_OK) {
        print_message("%s\n", error.message);
    }
    assert_int_equal(result, DV_OK);
    return copy;
}

static dv_replica_verdict take(dv_replica *copy, const sent *in)
{
    dv_replica_verdict verdict = DV_REPLICA_SAME;
    dv_error error = {0};
    dv_result result = dv_replica_take(copy, &in->piece, &verdict, &error);
    if (result != DV_OK) {
        print_message("%s\n", error.message);
    }
    assert_int_equal(result, DV_OK);
    return verdict;
}

static dv_replica_verdict pull(dv_replica *copy, const source *s, uint64_t most)
{
    dv_auto(sent) sent in;
    uint64_t from = DV_MIN(dv_replica_size(copy), s->state.size);
    send(s, from, DV_MIN(from + most, s->state.size), dv_replica_seen(copy), &in);
    return take(copy, &in);
}

static void pull_all(dv_replica *copy, const source *s, uint64_t most)
{
    while (dv_replica_size(copy) < s->state.size) {
        assert_int_equal(pull(copy, s, most), DV_REPLICA_GREW);
    }
    assert_int_equal(pull(copy, s, most), DV_REPLICA_SAME);
}

/* The node tells in its log that it pruned that one, as dvara-logd does. */
static void tell_pruned(source *s, const char *log, uint64_t minimum)
{
    dv_log_tree tree = {.minimum = 0};
    dv_auto(buf) dv_buf event = dv_buf_init(4096);
    snprintf(tree.name, sizeof(tree.name), "%s", log);
    assert_int_equal(dv_prune_event(&tree, minimum, 0, &event), DV_OK);
    append_as(s, "dvara-logd", dv_buf_slice(&event));
    commit_source(s);
}

/* The whole copy, offline, as `dvara audit verify` does it. */
static void verify_copy(const char *name, const dv_note_verifier *key, uint64_t size)
{
    char folder[256];
    dv_log_report report;
    snprintf(folder, sizeof(folder), "%s/%s/log", root, name);
    dv_result result = dv_log_verify(folder, key, NULL, NULL, &report);
    if (result != DV_OK) {
        print_message("%s\n", report.problem);
    }
    assert_int_equal(result, DV_OK);
    assert_true(report.size == size);
}

static bool is_evidence(const char *name, const char *which)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s/conflicts/main-00.%s", root, name, which);
    return access(path, F_OK) == 0;
}

/* -- tests ------------------------------------------------------------------------------------- */

/* In pieces of odd sizes, over packs, through a death of the copier and more growth. */
static void test_a_copy_is_a_log(void **state)
{
    static const uint64_t pieces[] = {1, 255, 1000, 5000};
    source s;
    open_source(&s, "whole", seed);
    grow_to(&s, 9000, "whole");
    for (size_t i = 0; i < DV_ARRAY_LEN(pieces); i++) {
        char name[32];
        snprintf(name, sizeof(name), "whole-copy-%zu", i);
        dv_replica *copy = open_copy(name, &s);
        assert_int_equal(pull(copy, &s, i == 0 ? 3000 : pieces[i]), DV_REPLICA_GREW);
        assert_true(dv_replica_seen(copy) == s.state.size);
        dv_replica_close(copy);
        copy = open_copy(name, &s);
        pull_all(copy, &s, i == 0 ? 700 : pieces[i]);
        verify_copy(name, &s.signer.verifier, s.state.size);
        grow_to(&s, s.state.size + 300, "whole");
        pull_all(copy, &s, 7);
        dv_replica_close(copy);
        verify_copy(name, NULL, s.state.size);
    }
    dv_tree_close(s.tree);
}

static void test_an_empty_log_and_an_empty_answer(void **state)
{
    source s;
    open_source(&s, "empty", seed);
    dv_replica *copy = open_copy("empty-copy", &s);
    assert_int_equal(pull(copy, &s, 10), DV_REPLICA_GREW); /* its first checkpoint */
    assert_int_equal(pull(copy, &s, 10), DV_REPLICA_SAME);
    verify_copy("empty-copy", &s.signer.verifier, 0);
    grow_to(&s, 10, "empty");
    dv_auto(sent) sent in;
    send(&s, 0, 0, 0, &in);
    assert_int_equal(take(copy, &in), DV_REPLICA_GREW); /* seen, not taken over */
    assert_true(dv_replica_size(copy) == 0 && dv_replica_seen(copy) == 10);
    pull_all(copy, &s, 10);
    dv_replica_close(copy);
    dv_tree_close(s.tree);
}

/* Nothing of a piece can be changed: every byte of note, entries and proofs. */
static void test_no_byte_can_be_changed(void **state)
{
    source s;
    open_source(&s, "bytes", seed);
    grow_to(&s, 20, "bytes");
    dv_replica *copy = open_copy("bytes-copy", &s);
    pull_all(copy, &s, 20);
    grow_to(&s, 37, "bytes");
    dv_auto(sent) sent in;
    send(&s, 20, 30, 20, &in);
    struct {
        uint8_t *bytes;
        size_t len;
    } parts[] = {
        {in.note.ptr, in.note.len},
        {in.entries.ptr, in.entries.len},
        {in.proof[0].bytes, in.piece.proof_len * sizeof(dv_hash)},
        {in.seen[0].bytes, in.piece.seen_len * sizeof(dv_hash)},
        {in.piece.seen_root.bytes, sizeof(dv_hash)},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(parts); i++) {
        assert_true(parts[i].len > 0);
        for (size_t at = 0; at < parts[i].len; at++) {
            parts[i].bytes[at] ^= 1;
            dv_replica_verdict verdict = take(copy, &in);
            parts[i].bytes[at] ^= 1;
            if (verdict != DV_REPLICA_UNSIGNED && verdict != DV_REPLICA_DAMAGED) {
                fail_msg("part %zu byte %zu: verdict %d", i, at, (int)verdict);
            }
            assert_true(dv_replica_size(copy) == 20 && dv_replica_seen(copy) == 20);
        }
    }
    assert_int_equal(take(copy, &in), DV_REPLICA_GREW);
    pull_all(copy, &s, 3);
    dv_replica_close(copy);
    verify_copy("bytes-copy", &s.signer.verifier, 37);
    dv_tree_close(s.tree);
}

static void test_torn_and_foreign_pieces(void **state)
{
    source s;
    open_source(&s, "torn", seed);
    grow_to(&s, 600, "torn");
    dv_replica *copy = open_copy("torn-copy", &s);
    assert_int_equal(pull(copy, &s, 300), DV_REPLICA_GREW);
    dv_auto(sent) sent in;
    send(&s, 300, 500, 600, &in);
    for (size_t cut = 1; cut < 400; cut += 7) { /* within an entry, or fewer than were proved */
        in.piece.entries.len = in.entries.len - cut;
        assert_int_equal(take(copy, &in), DV_REPLICA_DAMAGED);
    }
    in.piece.entries = dv_buf_slice(&in.entries);
    in.piece.proof_len--;
    assert_int_equal(take(copy, &in), DV_REPLICA_DAMAGED);
    in.piece.proof_len++;
    dv_auto(sent) sent elsewhere; /* entries of another place */
    send(&s, 299, 499, 600, &elsewhere);
    in.piece.entries = dv_buf_slice(&elsewhere.entries);
    assert_int_equal(take(copy, &in), DV_REPLICA_DAMAGED);
    static const uint8_t nothing[2]; /* an entry of no bytes */
    in.piece.entries = dv_slice_of(nothing, sizeof(nothing));
    assert_int_equal(take(copy, &in), DV_REPLICA_DAMAGED);
    assert_true(dv_replica_size(copy) == 300);
    pull_all(copy, &s, 300);
    in.piece.entries = dv_buf_slice(&in.entries); /* more than the note covers */
    assert_int_equal(take(copy, &in), DV_REPLICA_DAMAGED);
    dv_replica_close(copy);
    dv_tree_close(s.tree);
}

/* One byte over the limit, though everything in it is right. */
static void test_a_piece_has_a_limit(void **state)
{
    source s;
    static char message[60000];
    open_source(&s, "large", seed);
    memset(message, 'x', sizeof(message) - 1);
    for (int i = 0; i < 141; i++) {
        dv_auto(buf) dv_buf record = dv_buf_init(UINT16_MAX);
        assert_int_equal(dv_buf_append_printf(&record,
                                              "{\"metadata\":{\"event_code\":\"l\"},\"time\""
                                              ":1,\"message\":\"%.*s\"}",
                                              59500, message),
                         DV_OK);
        append(&s, dv_buf_slice(&record));
    }
    commit_source(&s);
    dv_replica *copy = open_copy("large-copy", &s);
    dv_auto(sent) sent whole, part;
    send(&s, 0, 141, 0, &whole);
    assert_true(whole.entries.len > DV_REPLICA_ENTRIES_MAX);
    assert_int_equal(take(copy, &whole), DV_REPLICA_DAMAGED);
    send(&s, 0, 140, 0, &part);
    assert_true(part.entries.len <= DV_REPLICA_ENTRIES_MAX);
    assert_int_equal(take(copy, &part), DV_REPLICA_GREW);
    dv_replica_close(copy);
    dv_tree_close(s.tree);
}

static void test_another_key_is_not_believed(void **state)
{
    source s, stranger;
    open_source(&s, "own", seed);
    open_source(&stranger, "stranger", other_seed);
    grow_to(&s, 10, "own");
    grow_to(&stranger, 12, "own");
    dv_replica *copy = open_copy("own-copy", &s);
    assert_int_equal(pull(copy, &stranger, 100), DV_REPLICA_UNSIGNED);
    assert_true(dv_replica_size(copy) == 0 && dv_replica_seen(copy) == 0);
    pull_all(copy, &s, 100);
    assert_int_equal(pull(copy, &stranger, 100), DV_REPLICA_UNSIGNED);
    assert_true(dv_replica_size(copy) == 10);
    dv_replica_close(copy);
    dv_tree_close(s.tree);
    dv_tree_close(stranger.tree);
}

/* The same beginning, another end, the same key. */
static void test_a_fork_is_proved_and_kept(void **state)
{
    source s, fork;
    open_source(&s, "forked", seed);
    open_source(&fork, "fork", seed);
    grow_to(&s, 256, "same");
    grow_to(&fork, 256, "same");
    dv_replica *copy = open_copy("forked-copy", &s);
    pull_all(copy, &s, 1000);
    grow_to(&s, 300, "one");
    grow_to(&fork, 300, "other");
    assert_int_equal(pull(copy, &s, 20), DV_REPLICA_GREW); /* it saw 300 and has 276 */
    for (uint64_t size = 300; size < 700; size += 133) {   /* of the same size, and larger */
        grow_to(&fork, size, "other");
        assert_int_equal(pull(copy, &fork, 100), DV_REPLICA_FORKED);
        assert_true(dv_replica_size(copy) == 276 && dv_replica_seen(copy) == 300);
    }
    assert_true(is_evidence("forked-copy", "theirs") && is_evidence("forked-copy", "ours"));
    pull_all(copy, &s, 100);
    dv_replica_close(copy);
    dv_tree_close(s.tree);
    dv_tree_close(fork.tree);
}

static void test_a_log_that_was_taken_back(void **state)
{
    source s, older, other;
    open_source(&s, "grown", seed);
    open_source(&older, "older", seed);
    open_source(&other, "older-other", seed);
    grow_to(&older, 100, "same");
    grow_to(&other, 100, "not the same");
    grow_to(&s, 300, "same");
    dv_replica *copy = open_copy("grown-copy", &s);
    assert_int_equal(pull(copy, &s, 200), DV_REPLICA_GREW);
    assert_int_equal(pull(copy, &older, 0), DV_REPLICA_TAKEN_BACK);
    assert_int_equal(pull(copy, &other, 0), DV_REPLICA_FORKED);
    /* Over more than the copy has, less than what was signed. */
    grow_to(&older, 250, "same");
    assert_int_equal(pull(copy, &older, 50), DV_REPLICA_TAKEN_BACK);
    assert_true(dv_replica_size(copy) == 200 && dv_replica_seen(copy) == 300);
    assert_true(is_evidence("grown-copy", "theirs"));
    dv_replica_close(copy);
    dv_tree_close(s.tree);
    dv_tree_close(older.tree);
    dv_tree_close(other.tree);
}

static void test_a_copy_of_another_log_is_not_continued(void **state)
{
    char folder[256];
    source s;
    dv_error error = {0};
    dv_replica *copy = NULL;
    dv_tree_signer other = {.overlaps = false};
    open_source(&s, "named", seed);
    grow_to(&s, 5, "named");
    copy = open_copy("named-copy", &s);
    pull_all(copy, &s, 5);
    dv_replica_close(copy);
    set_key(&other, "node.example/c", seed);
    snprintf(folder, sizeof(folder), "%s/named-copy/log", root);
    assert_int_equal(dv_replica_open(folder, "main", &other.verifier, &copy, &error),
                     DV_ERR_CONFLICT);
    assert_non_null(strstr(error.message, "node.example/b"));
    assert_int_equal(dv_replica_open(folder, "../x", &s.signer.verifier, &copy, &error),
                     DV_ERR_INVALID);
    dv_tree_close(s.tree);
}

/* The log names its next key; the copy follows and leaves the proof. */
static void test_the_copy_follows_a_new_key(void **state)
{
    char folder[256];
    source s;
    size_t steps;
    dv_error error = {0};
    dv_note_verifier old, last;
    dv_tree_signer next = {.overlaps = false};
    dv_auto(buf) dv_buf vkey = dv_buf_init(512);
    dv_auto(buf) dv_buf record = dv_buf_init(DV_NOTE_MAX);
    const dv_event_actor actor = {.time = DV_SECOND, .entity = DV_LIT("System::\"dvara-logd\"")};
    open_source(&s, "rotated", seed);
    old = s.signer.verifier;
    grow_to(&s, 10, "rotated");
    dv_replica *copy = open_copy("rotated-copy", &s);
    pull_all(copy, &s, 4);
    set_key(&next, "node.example/b", other_seed);
    assert_int_equal(dv_note_verifier_format(&next.verifier, &vkey), DV_OK);
    assert_int_equal(
        dv_event_key_rotated(&record, &actor, false, dv_buf_slice(&vkey), DV_LIT("a new key")),
        DV_OK);
    append(&s, dv_buf_slice(&record)); /* of any writer: it says nothing */
    grow_to(&s, 12, "rotated");
    pull_all(copy, &s, 100);
    append_as(&s, "dvara-logd", dv_buf_slice(&record));
    grow_to(&s, 20, "rotated");
    assert_int_equal(pull(copy, &s, 5), DV_REPLICA_GREW); /* the event, not yet its checkpoint */
    dv_replica_close(copy);
    copy = open_copy("rotated-copy", &s);
    pull_all(copy, &s, 100);
    memcpy(s.signer.seed, next.seed, sizeof(next.seed));
    s.signer.verifier = next.verifier;
    grow_to(&s, 30, "rotated");
    pull_all(copy, &s, 100);
    dv_replica_close(copy);
    s.signer.verifier = old; /* what is configured */
    copy = open_copy("rotated-copy", &s);
    s.signer.verifier = next.verifier;
    grow_to(&s, 40, "rotated");
    pull_all(copy, &s, 100);
    /* The old key is worth nothing any more. */
    memcpy(s.signer.seed, seed, sizeof(seed));
    s.signer.verifier = old;
    grow_to(&s, 50, "rotated");
    assert_int_equal(pull(copy, &s, 100), DV_REPLICA_UNSIGNED);
    dv_replica_close(copy);
    snprintf(folder, sizeof(folder), "%s/rotated-copy/log", root);
    assert_int_equal(dv_rotation_follow(folder, &old, &last, &steps, &error), DV_OK);
    assert_int_equal(steps, 1);
    verify_copy("rotated-copy", &last, 40);
    dv_tree_close(s.tree);
}

/* A log of which one pack is pruned: a copy begins behind it, and the root shows that it is right.
 */
static void test_a_copy_of_a_pruned_log(void **state)
{
    source s;
    dv_error error = {0};
    dv_hash edge[DV_TILE_WIDTH];
    dv_auto(sent) sent in;
    open_source(&s, "pruned", seed);
    grow_to(&s, DV_PACK_LEAVES + 300, "pruned");
    assert_int_equal(dv_tile_read(s.folder, 2, 0, 1, edge, &error), DV_OK);
    dv_replica *copy = open_copy("pruned-copy", &s);
    send(&s, DV_PACK_LEAVES, DV_PACK_LEAVES + 100, 0, &in);
    in.piece.edge = edge;
    for (in.piece.edge_len = 0; in.piece.edge_len < 3; in.piece.edge_len += 2) {
        assert_int_equal(take(copy, &in), DV_REPLICA_DAMAGED); /* too few, too many */
    }
    in.piece.edge_len = 1;
    edge[0].bytes[0] ^= 1;
    assert_int_equal(take(copy, &in), DV_REPLICA_DAMAGED);
    edge[0].bytes[0] ^= 1;
    in.piece.from--;
    assert_int_equal(take(copy, &in), DV_REPLICA_DAMAGED); /* no pack's end */
    in.piece.from++;
    assert_true(dv_replica_size(copy) == 0);
    assert_int_equal(take(copy, &in), DV_REPLICA_GREW);
    assert_int_equal(take(copy, &in), DV_REPLICA_DAMAGED); /* it has these */
    dv_replica_close(copy);
    copy = open_copy("pruned-copy", &s);
    pull_all(copy, &s, 150);
    grow_to(&s, DV_PACK_LEAVES + 5000, "pruned");
    pull_all(copy, &s, 3000);
    assert_true(dv_replica_size(copy) == DV_PACK_LEAVES + 5000);
    dv_replica_close(copy);
    dv_tree_close(s.tree);
}

/* -- a death at every change to the disk ------------------------------------------------------- */

enum { BEFORE = 4000, AFTER = 4400 };

static int pull_and_die(const source *s, long step)
{
    dv_replica *copy = open_copy("killed-copy", s);
    fault_arm(FAULT_KILL, step);
    while (dv_replica_size(copy) < s->state.size) {
        (void)pull(copy, s, 210);
    }
    dv_replica_close(copy);
    return 0;
}

static void begin_anew(void)
{
    char command[512];
    snprintf(command, sizeof(command), "rm -rf %s/killed-copy && cp -r %s/kept-copy %s/killed-copy",
             root, root, root);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a folder of our own */
}

static void test_a_death_at_every_change(void **state)
{
    source s;
    int status = -1;
    open_source(&s, "killed", seed);
    grow_to(&s, BEFORE, "killed");
    dv_replica *copy = open_copy("kept-copy", &s);
    pull_all(copy, &s, 1999);
    dv_replica_close(copy);
    grow_to(&s, AFTER, "killed");
    for (long step = 1; status != 0; step++) {
        begin_anew();
        pid_t child = fork();
        if (child == 0) {
            _exit(pull_and_die(&s, step));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == FAULT_EXIT));
        copy = open_copy("killed-copy", &s); /* goes on, whatever was left */
        uint64_t size = dv_replica_size(copy);
        assert_true(size >= BEFORE && size <= AFTER && (status != 0 || size == AFTER));
        while (dv_replica_size(copy) < AFTER) {
            assert_int_equal(pull(copy, &s, 2100), DV_REPLICA_GREW);
        }
        (void)pull(copy, &s, 1); /* the checkpoint may still be missing */
        dv_replica_close(copy);
        if (step % 8 == 0 || status == 0) {
            verify_copy("killed-copy", &s.signer.verifier, AFTER);
        }
    }
    dv_tree_close(s.tree);
}

static void test_a_full_disk(void **state)
{
    source s;
    open_source(&s, "full", seed);
    grow_to(&s, 300, "full");
    dv_replica *copy = open_copy("full-copy", &s);
    for (long step = 1; step < 100; step++) {
        dv_auto(sent) sent in;
        dv_error error = {0};
        dv_replica_verdict verdict;
        send(&s, dv_replica_size(copy), s.state.size, dv_replica_seen(copy), &in);
        fault_arm(FAULT_ENOSPC, step);
        dv_result result = dv_replica_take(copy, &in.piece, &verdict, &error);
        fault_arm(FAULT_NONE, 0);
        dv_replica_close(copy);
        copy = open_copy("full-copy", &s);
        if (result == DV_OK) {
            break;
        }
        assert_true(error.message[0] != '\0');
    }
    pull_all(copy, &s, 300);
    dv_replica_close(copy);
    verify_copy("full-copy", &s.signer.verifier, 300);
    dv_tree_close(s.tree);
}

static int make_root(void **state)
{
    snprintf(root, sizeof(root), "%s/dvara-replica-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int remove_root(void **state)
{
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static uint64_t prune(dv_replica *copy, int64_t before_ms)
{
    uint64_t minimum = 0;
    assert_int_equal(dv_replica_prune(copy, before_ms, &minimum, NULL), DV_OK);
    return minimum;
}

/* Neither its source alone nor its own keeping alone makes a copy forget. */
static void test_a_copy_forgets_what_both_let_go(void **state)
{
    enum { PACK = DV_PACK_LEAVES };
    char path[PATH_MAX];
    source s;
    open_source(&s, "agreed", seed);
    grow_to(&s, 2 * PACK + 100, "agreed");
    dv_replica *copy = open_copy("agreed-copy", &s);
    pull_all(copy, &s, 20000);
    assert_int_equal(prune(copy, INT64_MAX), 0); /* the node did not */
    dv_auto(buf) dv_buf forged = dv_buf_init(4096);
    dv_log_tree tree = {.name = "main"};
    assert_int_equal(dv_prune_event(&tree, 2 * PACK, 0, &forged), DV_OK);
    append_as(&s, "collect", dv_buf_slice(&forged)); /* by somebody who may write events */
    commit_source(&s);
    pull_all(copy, &s, 100);
    assert_int_equal(prune(copy, INT64_MAX), 0);
    tell_pruned(&s, "other", 2 * PACK);
    tell_pruned(&s, "main", PACK);
    assert_int_equal(pull(copy, &s, 1), DV_REPLICA_GREW);
    assert_int_equal(prune(copy, INT64_MAX), 0); /* more is to come */
    pull_all(copy, &s, 100);
    assert_int_equal(prune(copy, DV_SECOND / DV_MILLISECOND), 0); /* this one keeps it */
    assert_int_equal(prune(copy, INT64_MAX), PACK);
    snprintf(path, sizeof(path), "%s/agreed-copy/log/pack/000", root);
    assert_int_equal(access(path, F_OK), -1);
    verify_copy("agreed-copy", &s.signer.verifier, s.state.size);
    dv_replica_close(copy);
    copy = open_copy("agreed-copy", &s);
    assert_int_equal(prune(copy, INT64_MAX), PACK);
    grow_to(&s, s.state.size + 300, "agreed");
    pull_all(copy, &s, 100);
    dv_replica_close(copy);
    verify_copy("agreed-copy", &s.signer.verifier, s.state.size);
    dv_tree_close(s.tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_is_a_log),
        cmocka_unit_test(test_a_copy_forgets_what_both_let_go),
        cmocka_unit_test(test_an_empty_log_and_an_empty_answer),
        cmocka_unit_test(test_no_byte_can_be_changed),
        cmocka_unit_test(test_torn_and_foreign_pieces),
        cmocka_unit_test(test_a_piece_has_a_limit),
        cmocka_unit_test(test_another_key_is_not_believed),
        cmocka_unit_test(test_a_fork_is_proved_and_kept),
        cmocka_unit_test(test_a_log_that_was_taken_back),
        cmocka_unit_test(test_a_copy_of_another_log_is_not_continued),
        cmocka_unit_test(test_the_copy_follows_a_new_key),
        cmocka_unit_test(test_a_copy_of_a_pruned_log),
        cmocka_unit_test(test_a_death_at_every_change),
        cmocka_unit_test(test_a_full_disk),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
