/* SPDX-License-Identifier: Apache-2.0 */
/* A whole log's folder, and somebody who changes one thing in it: whatever it is, `dvara audit
 * verify` finds it and says where. What is not found stands in the tables below, with the reason.
 *
 * Verified is as with `--key FIRST --policy FILE`: from the log's first key, and with the keys of
 * its witnesses. The ordinary run takes a choice of each file's bytes; DVARA_TAMPER=all takes each,
 * but of packs one in PACK_STRIDE: all of them would take a day. Each byte of a block, of which
 * packs are made, is changed in test_block.c.
 */
#include "engine/log/cosignature.h"
#include "engine/log/pack.h"
#include "engine/log/policy.h"
#include "engine/log/verify.h"
#include "stand_rotate.h"

#include <fcntl.h>
#include <fnmatch.h>

enum { PACK_STRIDE = 16, MANY = 1000, FILES_MAX = 256, COSIGNED_AT = 1790000000 };

static bool thorough(void)
{
    const char *all = getenv("DVARA_TAMPER");
    return all != NULL && strcmp(all, "all") == 0;
}

/* -- a log ------------------------------------------------------------------------------------- */

static dv_note_verifier first_key, witness_key;
static uint8_t witness_seed[32];
static dv_policy policy;

static void path_in(const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%s", stand.log, name);
}

static void read_whole(const char *name, dv_buf *out)
{
    char path[PATH_MAX];
    path_in(name, path);
    dv_buf_clear(out);
    assert_int_equal(dv_file_read(path, out, NULL), DV_OK);
}

static void write_whole(const char *name, dv_slice bytes)
{
    char path[PATH_MAX];
    path_in(name, path);
    assert_int_equal(dv_file_write_atomic(path, bytes, 0644, NULL), DV_OK);
}

static void make_policy(void)
{
    uint8_t public_key[32];
    dv_auto(buf) dv_buf text = dv_buf_init(4096);
    dv_error error = {0};
    dv_random(witness_seed, sizeof(witness_seed));
    assert_int_equal(dv_ed25519_public(witness_seed, public_key), DV_OK);
    assert_int_equal(dv_cosigner_init("witness.test/w", public_key, &witness_key), DV_OK);
    assert_int_equal(dv_buf_append_str(&text, "log "), DV_OK);
    assert_int_equal(dv_note_verifier_format(&stand.signer.verifier, &text), DV_OK);
    assert_int_equal(dv_buf_append_str(&text, "\nwitness W "), DV_OK);
    assert_int_equal(dv_note_verifier_format(&witness_key, &text), DV_OK);
    assert_int_equal(dv_buf_append_str(&text, "\nquorum W\n"), DV_OK);
    if (dv_policy_parse(dv_buf_slice(&text), &policy, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
}

/* The log's own signature and the witness', as dvara-logd leaves them. */
static void cosign(void)
{
    dv_note parts;
    dv_checkpoint checkpoint;
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    dv_auto(buf) dv_buf out = dv_buf_init(DV_NOTE_MAX);
    read_whole("checkpoint", &note);
    assert_int_equal(dv_note_split(dv_buf_slice(&note), &parts), DV_OK);
    assert_int_equal(dv_checkpoint_parse(parts.text, &checkpoint), DV_OK);
    assert_int_equal(
        dv_checkpoint_sign(&checkpoint, &stand.signer.verifier, stand.signer.seed, &out), DV_OK);
    assert_int_equal(dv_cosignature_sign(parts.text, &witness_key, witness_seed, COSIGNED_AT, &out),
                     DV_OK);
    write_whole("checkpoint.cosigned", dv_buf_slice(&out));
}

/* A main log and one of findings; `events` come in parts, between which keys change. */
static void make_log(unsigned events, unsigned every)
{
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    assert_int_equal(stand_make(NULL), 0);
    make_signer(&stand.signer);
    first_key = stand.signer.verifier;
    stand_write("gateway", 0, events / 2, every);
    assert_int_equal(stand_open(1 << 20, "data.*", &sequencer, NULL), DV_OK);
    drain(sequencer);
    rotate(sequencer, true);
    stand_write("gateway", events / 2, events / 4, every);
    drain(sequencer);
    make_policy();
    cosign(); /* an older one than the last */
    for (unsigned i = events / 4 * 3; i < events; i += DV_MAX(events / 16, 1U)) {
        stand_write("dvarad", i, DV_MIN(DV_MAX(events / 16, 1U), events - i), every);
        drain(sequencer);
    }
    leave_vkey();
}

/* -- looking ----------------------------------------------------------------------------------- */

static char problem[DV_ERROR_MESSAGE_MAX];

static bool say(const char *file, const dv_error *error, dv_result result)
{
    snprintf(problem, sizeof(problem), "%s: %.400s", file,
             error->message[0] != '\0' ? error->message : dv_result_name(result));
    return false;
}

/* False: verify found something, and `problem` says what and where. */
static bool is_right(const dv_note_verifier *trusted)
{
    char path[PATH_MAX];
    size_t steps;
    dv_note_verifier now;
    dv_log_report report;
    dv_checkpoint cosigned;
    dv_policy_verdict verdict;
    dv_error error = {0};
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    dv_result result = dv_rotation_follow(stand.log, trusted, &now, &steps, &error);
    if (result != DV_OK) {
        return say("rotated/", &error, result);
    }
    if (dv_log_verify(stand.log, &now, NULL, NULL, &report) != DV_OK) {
        snprintf(problem, sizeof(problem), "%s", report.problem);
        return false;
    }
    path_in("checkpoint.cosigned", path);
    result = dv_file_read(path, &note, &error);
    if (result == DV_OK) {
        result = dv_policy_check(&policy, dv_buf_slice(&note), &cosigned, &verdict, &error);
    }
    return result == DV_OK || say("checkpoint.cosigned", &error, result);
}

/* -- the files --------------------------------------------------------------------------------- */

static char names[FILES_MAX][128];
static size_t sizes[FILES_MAX];
static size_t name_count;

static int add_name(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    if (kind == FTW_F) {
        assert_true(name_count < FILES_MAX);
        sizes[name_count] = (size_t)about->st_size;
        snprintf(names[name_count++], sizeof(names[0]), "%s", path + strlen(stand.log) + 1);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void list_files(void)
{
    struct stat about;
    char path[PATH_MAX];
    name_count = 0;
    assert_int_equal(nftw(stand.log, add_name, 16, FTW_PHYS), 0);
    qsort(names, name_count, sizeof(names[0]), by_name);
    for (size_t i = 0; i < name_count; i++) {
        path_in(names[i], path);
        assert_int_equal(stat(path, &about), 0);
        sizes[i] = (size_t)about.st_size;
    }
}

typedef enum way { CHANGED, DELETED, CUT, EXTENDED, SWAPPED } way;

/* What verify passes over, and why that is right. */
static const struct {
    way way;
    const char *name; /* a pattern, as in a shell */
    const char *why;
} harmless[] = {
    {DELETED, "state", "a copy of the tiles has none; dvara-logd starts on no log without it"},
    {DELETED, "vkey", "whoever verifies has noted the key; without --key it is missed"},
    {DELETED, "class/*/vkey", "the main log's key, under another name"},
    {DELETED, "catalogue", "it only prunes searches, and is made again from the packs"},
    {DELETED, "class/*/catalogue", "the same"},
    {DELETED, "*catalogue.names", "the same"},
    {CUT, "*catalogue.names", "a record that is not whole is none: searches do without its block"},
    {EXTENDED, "*catalogue.names", "what is behind the last block's record is not read"},
    {CUT, "catalogue", "a row that is not whole is no row: its block is searched without"},
    {CUT, "class/*/catalogue", "the same"},
    {EXTENDED, "catalogue", "what is behind the last block's row is not read"},
    {EXTENDED, "class/*/catalogue", "the same"},
    {EXTENDED, "pack/*",
     "the next block is written behind the last; none reads it before a "
     "checkpoint covers it, and a start cuts it off"},
    {EXTENDED, "class/*/pack/*", "the same"},
    {DELETED, "*.p/*", "a tile of a former width, which is read out of a wider one"},
};

static bool is_harmless(way how, const char *name)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(harmless); i++) {
        if (harmless[i].way == how && fnmatch(harmless[i].name, name, 0) == 0) {
            return true;
        }
    }
    return false;
}

/* -- tampering --------------------------------------------------------------------------------- */

static size_t tried, passed_over;

/* A place is said: a file, an entry, a segment, the state, the root of a checkpoint. */
static void must_be_found(way how, const char *name, const char *what)
{
    static const char *const places[] = {"tile/",      "pack/",     "entry ",  "entries",
                                         "checkpoint", "catalogue", "state",   "vkey",
                                         "rotated/",   "class/",    "segment "};
    bool said = false;
    tried++;
    if (is_right(&first_key)) {
        passed_over++;
        if (!is_harmless(how, name)) {
            fail_msg("%s: %s is not found", name, what);
        }
        return;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(places); i++) {
        said = said || strstr(problem, places[i]) != NULL;
    }
    if (!said) {
        fail_msg("%s: of %s it only says: %s", name, what, problem);
    }
}

static uint64_t chance(uint64_t seed)
{
    uint64_t z = seed + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void change_byte(const char *name, dv_buf *bytes, size_t at, uint8_t flip)
{
    char what[64];
    char path[PATH_MAX];
    path_in(name, path);
    dv_auto(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
    uint8_t changed = bytes->ptr[at] ^ flip;
    snprintf(what, sizeof(what), "byte %zu changed by %02x", at, flip);
    assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
    must_be_found(CHANGED, name, what);
    assert_int_equal(pwrite(fd, bytes->ptr + at, 1, (off_t)at), 1);
}

/* In a small file each byte, in a large one `count` of them, each in one bit; or all, in several.
 */
static void change_bytes(const char *name, size_t count)
{
    static const uint8_t flips[] = {0x01, 0x20, 0x80, 0x04};
    dv_auto(buf) dv_buf bytes = dv_buf_init(64 << 20);
    read_whole(name, &bytes);
    size_t whole = fnmatch("*pack/*", name, 0) == 0 ? PACK_STRIDE : 1;
    size_t stride = thorough() ? whole : DV_MAX(bytes.len / count, 1U);
    for (size_t at = 0; at < bytes.len; at += stride) {
        uint64_t draw = chance(at + bytes.len);
        size_t place = DV_MIN(at + (size_t)(draw % stride), bytes.len - 1);
        size_t several = thorough() && bytes.len < 4096 ? DV_ARRAY_LEN(flips) : 1;
        for (size_t i = 0; i < several; i++) {
            change_byte(name, &bytes, place, flips[(draw / stride + i) % DV_ARRAY_LEN(flips)]);
        }
    }
    change_byte(name, &bytes, bytes.len - 1, 0x01);
}

static void change_length(const char *name)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf bytes = dv_buf_init(64 << 20);
    path_in(name, path);
    read_whole(name, &bytes);
    dv_slice whole = dv_buf_slice(&bytes);
    assert_int_equal(unlink(path), 0);
    must_be_found(DELETED, name, "that it is deleted");
    write_whole(name, dv_slice_of(whole.ptr, whole.len - 1));
    must_be_found(CUT, name, "that its last byte is missing");
    write_whole(name, dv_slice_of(whole.ptr, 0));
    must_be_found(CUT, name, "that it is empty");
    write_whole(name, whole);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "\n", 1), 1);
    must_be_found(EXTENDED, name, "that something stands behind its end");
    assert_int_equal(write(fd, whole.ptr, whole.len), (ssize_t)whole.len);
    must_be_found(EXTENDED, name, "that it stands there twice");
    dv_fd_close(&fd);
    write_whole(name, whole);
}

/* Of the same use: the last folder but for widths and classes, or the same name elsewhere. */
static void kind_of(const char *name, char out[128])
{
    const char *from = strncmp(name, "class/findings/", 15) == 0 ? name + 15 : name;
    snprintf(out, 128, "%s", from);
    out[strcspn(out, "0123456789")] = '\0';
    if (strncmp(from, "rotated/", 8) == 0) {
        snprintf(out, 128, "rotated%s", strrchr(from, '.'));
    }
}

static void swap(const char *a, const char *b)
{
    char first[PATH_MAX], second[PATH_MAX], aside[PATH_MAX], what[256];
    dv_auto(buf) dv_buf one = dv_buf_init(64 << 20);
    dv_auto(buf) dv_buf other = dv_buf_init(64 << 20);
    read_whole(a, &one);
    read_whole(b, &other);
    if (dv_slice_eq(dv_buf_slice(&one), dv_buf_slice(&other))) {
        return;
    }
    path_in(a, first);
    path_in(b, second);
    path_in("aside", aside);
    snprintf(what, sizeof(what), "that it is swapped with %s", b);
    for (int i = 0; i < 2; i++) { /* and back */
        assert_int_equal(rename(first, aside), 0);
        assert_int_equal(rename(second, first), 0);
        assert_int_equal(rename(aside, second), 0);
        if (i == 0) {
            must_be_found(SWAPPED, a, what);
        }
    }
}

static void swap_files(void)
{
    char kind[128], other[128];
    for (size_t i = 0; i < name_count; i++) {
        kind_of(names[i], kind);
        for (size_t k = i + 1; k < name_count; k++) {
            kind_of(names[k], other);
            if (strcmp(kind, other) == 0) {
                swap(names[i], names[k]);
            }
        }
    }
}

static void must_be_right(void)
{
    if (!is_right(&first_key)) {
        fail_msg("%s", problem);
    }
}

static bool has_file(const char *pattern)
{
    for (size_t i = 0; i < name_count; i++) {
        if (fnmatch(pattern, names[i], FNM_PATHNAME) == 0) {
            return true;
        }
    }
    return false;
}

static void tell(const char *what)
{
    print_message("%s: %zu changes, of them %zu of those that do no harm\n", what, tried,
                  passed_over);
    must_be_right(); /* all was put back */
    tried = passed_over = 0;
}

/* -- tests ------------------------------------------------------------------------------------- */

/* Everything but packs. */
static void test_every_file_of_a_small_log(void **state)
{
    static const char *const wanted[] = {"checkpoint",
                                         "checkpoint.cosigned",
                                         "state",
                                         "vkey",
                                         "rotated/*.event",
                                         "rotated/*.tlog-proof",
                                         "tile/0/000",
                                         "tile/entries/000",
                                         "tile/0/001.p/*",
                                         "tile/1/000.p/*",
                                         "tile/entries/001.p/*",
                                         "class/findings/checkpoint",
                                         "class/findings/vkey",
                                         "class/findings/tile/0/000.p/*",
                                         "class/findings/tile/entries/000.p/*"};
    make_log(460, 4);
    must_be_right();
    list_files();
    for (size_t i = 0; i < DV_ARRAY_LEN(wanted); i++) {
        assert_true(has_file(wanted[i]));
    }
    for (size_t i = 0; i < name_count; i++) {
        if (sizes[i] > 0) { /* a catalogue without blocks */
            change_bytes(names[i], 24);
            change_length(names[i]);
        }
    }
    swap_files();
    tell("a small log");
    assert_int_equal(stand_remove(NULL), 0);
}

static void test_packs_and_catalogues(void **state)
{
    stand_named = true;
    make_log(2 * DV_BLOCK_LEAVES + 300, 2);
    stand_named = false;
    must_be_right();
    list_files();
    assert_true(has_file("pack/000") && has_file("class/findings/pack/000"));
    assert_true(has_file("catalogue.names") && has_file("class/findings/catalogue.names"));
    for (size_t i = 0; i < name_count; i++) {
        bool pack = fnmatch("*pack/*", names[i], 0) == 0;
        bool list = fnmatch("*catalogue.names", names[i], 0) == 0;
        if (list && sizes[i] < MANY) {
            fail_msg("%s holds no names", names[i]);
        }
        if (pack || list || fnmatch("*catalogue", names[i], 0) == 0) {
            change_bytes(names[i], pack ? 16 : list ? 40 : 6);
            change_length(names[i]);
        }
    }
    swap("pack/000", "class/findings/pack/000");
    swap("catalogue", "class/findings/catalogue");
    swap("catalogue.names", "class/findings/catalogue.names");
    tell("packs and catalogues");
    assert_int_equal(stand_remove(NULL), 0);
}

/* Both keys sign: each signature is guarded by those who trust its key. Where a change makes the
 * old key's line one of nobody's, nobody is wronged: C2SP signed-note lets unknown signatures be
 * ignored, and whoever trusts the old key is led to the new one by rotated/. */
static void test_a_checkpoint_with_two_signatures(void **state)
{
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_NOTE_MAX);
    make_log(40, 4);
    assert_int_equal(stand_open(1 << 20, "data.*", &sequencer, NULL), DV_OK);
    rotate(sequencer, false);
    leave_vkey();
    const dv_note_verifier keys[] = {stand.signer.verifier, stand.signer.old_verifier};
    for (size_t i = 0; i < DV_ARRAY_LEN(keys); i++) {
        assert_true(is_right(&keys[i]));
    }
    read_whole("checkpoint", &bytes);
    dv_slice whole = dv_slice_sub(dv_buf_slice(&bytes), 0, bytes.len - 1);
    const uint8_t *last = memrchr(whole.ptr, '\n', whole.len);
    size_t line = (size_t)(last + 1 - whole.ptr);
    size_t named = line + strlen("\u2014 dvara.test/log ") + 6; /* base64 of the key's id */
    for (size_t at = 0; at < bytes.len; at++) {
        bytes.ptr[at] ^= 0x01;
        write_whole("checkpoint", dv_buf_slice(&bytes));
        bool found = !is_right(&keys[0]) || !is_right(&keys[1]);
        bytes.ptr[at] ^= 0x01;
        if (!found && (at < line || at >= named)) {
            fail_msg("byte %zu of the checkpoint", at);
        }
    }
    assert_int_equal(stand_remove(NULL), 0);
}

static void test_files_that_are_nothings(void **state)
{
    make_log(40, 4);
    must_be_right();
    static const char *const extra[] = {"tile/0/000.p/5",  "tile/entries/000.p/7",
                                        "tile/0/000.p/03", "tile/0/0000",
                                        "tile/notes",      "class/findings/tile/0/x"};
    char path[PATH_MAX];
    for (size_t i = 0; i < DV_ARRAY_LEN(extra); i++) {
        write_whole(extra[i], DV_LIT("planted"));
        must_be_found(EXTENDED, "tile", extra[i]);
        path_in(extra[i], path);
        assert_int_equal(unlink(path), 0);
    }
    /* The log alone is put back, but not what was cosigned of it. */
    dv_auto(buf) dv_buf before = dv_buf_init(DV_NOTE_MAX);
    read_whole("checkpoint", &before);
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    assert_int_equal(stand_open(1 << 20, "data.*", &sequencer, NULL), DV_OK);
    stand_write("gateway", 40, 10, 4);
    drain(sequencer);
    cosign();
    must_be_right();
    write_whole("checkpoint", dv_buf_slice(&before));
    must_be_found(SWAPPED, "checkpoint", "that it is an older one");
    assert_non_null(strstr(problem, "taken back"));
    assert_int_equal(stand_remove(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_file_of_a_small_log),
        cmocka_unit_test(test_packs_and_catalogues),
        cmocka_unit_test(test_a_checkpoint_with_two_signatures),
        cmocka_unit_test(test_files_that_are_nothings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
