/* SPDX-License-Identifier: Apache-2.0 */
/* Archives hold all that their entries need: large fields, and what leads from the log's former
 * keys to the one that signs. What is missing or changed is told by its name. */
#include "engine/log/archive.h"
#include "engine/log/archive_private.h"
#include "engine/log/blob.h"
#include "engine/log/blob_store.h"
#include "memory.h"
#include "stand_rotate.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <zstd.h>

enum { EVENTS = 300, EVERY = 25, TAR_MAX = 4 << 20 };

static dv_note_verifier first_key, second_key;
static char output[96], other[96];

/* -- a log ------------------------------------------------------------------------------------- */

static void append_large(dv_spool *spool, unsigned number)
{
    char line[64];
    dv_blob_ref ref;
    dv_auto(buf) dv_buf stored = dv_buf_init(4096), event = dv_buf_init(4096);
    int len = snprintf(line, sizeof(line), "all of the line %u", number);
    assert_int_equal(dv_blob_make(dv_slice_of(line, (size_t)len), &stored, &ref), DV_OK);
    assert_int_equal(
        dv_buf_append_printf(&event,
                             "{\"metadata\":{\"version\":\"1.8.0\",\"event_code\":\"collected.raw\""
                             ",\"is_truncated\":true},\"time\":%u,\"class_uid\":0,"
                             "\"unmapped\":{\"dvara\":{",
                             1000 + number),
        DV_OK);
    assert_int_equal(dv_blob_ref_write(&ref, "raw_data", &event), DV_OK);
    assert_int_equal(dv_buf_append_str(&event, "}}}"), DV_OK);
    dv_spool_attach(spool, dv_buf_slice(&stored));
    assert_int_equal(dv_spool_append(spool, dv_buf_slice(&event), false), DV_OK);
}

static void write_some(unsigned from, unsigned count)
{
    char text[256];
    dv_spool *spool = NULL;
    assert_int_equal(
        dv_spool_open(stand.spool, "collect", stand.keys.public_key, 64 << 20, &spool, NULL),
        DV_OK);
    for (unsigned i = from; i < from + count; i++) {
        if (i % EVERY == 0) {
            append_large(spool, i);
        } else {
            assert_int_equal(dv_spool_append(spool, stand_event(i, "request.open", text), false),
                             DV_OK);
        }
    }
    dv_spool_close(spool);
}

/* Two keys were replaced; `apart`: collected lines have a log of their own. */
static void make_log(bool apart)
{
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    assert_int_equal(stand_make(NULL), 0);
    make_signer(&stand.signer);
    first_key = stand.signer.verifier;
    assert_int_equal(stand_open(1 << 20, apart ? "collected.*" : NULL, &sequencer, NULL), DV_OK);
    write_some(0, EVENTS - 2 * EVERY);
    drain(sequencer);
    rotate(sequencer, true);
    second_key = stand.signer.verifier;
    write_some(EVENTS - 2 * EVERY, 2 * EVERY); /* one commit: entries before 256 and behind */
    drain(sequencer);
    rotate(sequencer, true);
    stand_write("gateway", 1, 20, EVENTS);
    drain(sequencer);
    leave_vkey();
    snprintf(output, sizeof(output), "%s/out", stand.root);
    snprintf(other, sizeof(other), "%s/other", stand.root);
}

static int make_main(void **state)
{
    make_log(false);
    return 0;
}

static int make_classes(void **state)
{
    make_log(true);
    return 0;
}

static uint64_t size_of(const char *folder)
{
    dv_note_verifier key;
    dv_checkpoint checkpoint;
    assert_int_equal(dv_tiles_vkey(folder, &key, NULL), DV_OK);
    assert_int_equal(dv_tiles_checkpoint(folder, &key, &checkpoint, NULL), DV_OK);
    return checkpoint.size;
}

static dv_result keep(uint64_t to, dv_archive_report *report, dv_error *error)
{
    const dv_archive_source source = {.folder = stand.log, .log = "main", .to = to};
    return dv_archive_keep(&source, output, NULL, NULL, report, error);
}

static void expect_archive(const char *path, const dv_note_verifier *key, uint64_t blobs)
{
    dv_error error = {0};
    dv_log_report log;
    dv_archive_report report;
    if (dv_archive_verify(path, key, NULL, NULL, &report, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(report.blobs, blobs);
    assert_int_equal(dv_archive_restore(path, key, other, NULL, NULL, &report, &error), DV_OK);
    if (dv_log_verify_archive(other, key, NULL, NULL, &log) != DV_OK) {
        fail_msg("%s", log.problem);
    }
    assert_int_equal(log.blobs, blobs);
    assert_int_equal(nftw(other, stand_remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* -- whole ------------------------------------------------------------------------------------- */

static void test_all_that_entries_name_is_in_it(void **state)
{
    const dv_note_verifier *keys[] = {NULL, &first_key, &second_key, &stand.signer.verifier};
    dv_archive_report report;
    dv_error error = {0};
    if (keep(size_of(stand.log), &report, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(keys); i++) {
        expect_archive(report.path, keys[i], EVENTS / EVERY);
    }
    /* One commit's large fields are on both sides of this end. */
    assert_int_equal(keep(DV_TILE_WIDTH, &report, &error), DV_OK);
    expect_archive(report.path, &first_key, 11);
}

static void test_a_class_has_the_main_logs_keys(void **state)
{
    char folder[PATH_MAX];
    dv_note_verifier named, stranger;
    dv_archive_report report;
    dv_error error = {0};
    dv_tree_signer another;
    snprintf(folder, sizeof(folder), "%s/class/findings", stand.log);
    const dv_archive_source source = {
        .folder = folder, .main_folder = stand.log, .log = "findings", .to = size_of(folder)};
    if (dv_archive_keep(&source, output, NULL, NULL, &report, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(dv_note_verifier_init("dvara.test/log/findings", first_key.public_key, &named),
                     DV_OK);
    expect_archive(report.path, &named, EVENTS / EVERY);
    expect_archive(report.path, &first_key, EVENTS / EVERY);
    make_signer(&another);
    assert_int_equal(
        dv_note_verifier_init("dvara.test/log", another.verifier.public_key, &stranger), DV_OK);
    assert_int_equal(dv_archive_verify(report.path, &stranger, NULL, NULL, &report, &error),
                     DV_ERR_CORRUPT);
    assert_non_null(strstr(error.message, "nor do its files rotated/ lead"));
}

/* -- a log that lacks one ---------------------------------------------------------------------- */

static void test_no_archive_of_a_log_that_lacks_one(void **state)
{
    char path[PATH_MAX], aside[PATH_MAX];
    dv_archive_report report;
    dv_error error = {0};
    dv_auto(buf) dv_buf bytes = dv_buf_init(TAR_MAX);
    snprintf(path, sizeof(path), "%s/blob/0/0", stand.log);
    snprintf(aside, sizeof(aside), "%s/aside", stand.root);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(keep(size_of(stand.log), &report, &error), DV_ERR_CORRUPT);
    assert_string_equal(error.message, "blob/0: the large field of entry 0 is missing");
    assert_int_equal(dv_file_read(aside, &bytes, NULL), DV_OK);
    bytes.ptr[DV_BLOB_FRAME_HEAD + 60] ^= 1;
    assert_int_equal(dv_file_write_atomic(path, dv_buf_slice(&bytes), 0644, NULL), DV_OK);
    assert_int_equal(keep(size_of(stand.log), &report, &error), DV_ERR_CORRUPT);
    assert_string_equal(error.message,
                        "blob/0/0: entry 0 has another large field than the one that is there");
    assert_int_equal(rename(aside, path), 0);
    DIR *dir = opendir(output);
    for (struct dirent *one = readdir(dir); one != NULL; one = readdir(dir)) {
        assert_true(one->d_name[0] == '.' && strlen(one->d_name) <= 2); /* nothing half */
    }
    closedir(dir);
}

/* Copies of other nodes' logs hold none, but what they hold must be right. */
static void test_a_copy_may_lack_them(void **state)
{
    char path[PATH_MAX];
    dv_log_report report;
    snprintf(path, sizeof(path), "%s/blob/0/0", stand.log);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(dv_log_verify(stand.log, NULL, NULL, NULL, &report), DV_ERR_CORRUPT);
    assert_string_equal(report.problem, "blob/0: the large field of entry 0 is missing");
    assert_int_equal(dv_log_verify_copy(stand.log, NULL, NULL, NULL, &report), DV_OK);
    assert_int_equal(report.blobs_missing + report.blobs, EVENTS / EVERY);
    assert_int_equal(report.blobs, 2);
    snprintf(path, sizeof(path), "%s/blob/0/251", stand.log);
    uint8_t byte = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, DV_BLOB_FRAME_HEAD + 20), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, DV_BLOB_FRAME_HEAD + 20), 1);
    dv_fd_close(&fd);
    assert_int_equal(dv_log_verify_copy(stand.log, NULL, NULL, NULL, &report), DV_ERR_CORRUPT);
    assert_non_null(strstr(report.problem, "blob/0/251"));
}

/* -- a changed archive ------------------------------------------------------------------------- */

static dv_result walk(dv_slice tar, const dv_note_verifier *key, dv_error *error)
{
    enum { FAST = -20 };
    static uint8_t room[2 * TAR_MAX];
    size_t len = ZSTD_compress(room, sizeof(room), tar.ptr, tar.len, FAST);
    assert_false(ZSTD_isError(len));
    dv_archive_report report = {.from = 0};
    dv_archive_visitor visitor = {.file = NULL};
    dv_slice bytes = dv_slice_of(room, len);
    dv_tar_source source = {.get = from_memory, .data = &bytes};
    return dv_archive_walk_source(&source, key, &visitor, &report, error);
}

static void unpack(const char *path, dv_buf *out)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(TAR_MAX);
    assert_int_equal(dv_file_read(path, &bytes, NULL), DV_OK);
    assert_int_equal(dv_buf_reserve(out, out->max), DV_OK);
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer in = {bytes.ptr, ZSTD_findFrameCompressedSize(bytes.ptr, bytes.len), 0};
    ZSTD_outBuffer tar = {out->ptr, out->max, 0};
    assert_int_equal(ZSTD_decompressStream(context, &tar, &in), 0);
    ZSTD_freeDCtx(context);
    out->len = tar.pos;
}

/* Where that file's header stands, and how long it is with its bytes and padding. */
static size_t find_file(const dv_buf *tar, const char *name, size_t *ret_len)
{
    enum { BLOCK = 512, SIZE_AT = 124 };
    for (size_t at = 0; at + BLOCK <= tar->len; at += *ret_len) {
        size_t size = strtoull((const char *)tar->ptr + at + SIZE_AT, NULL, 8);
        *ret_len = BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
        if (strcmp((const char *)tar->ptr + at, name) == 0) {
            return at;
        }
    }
    fail_msg("there is no %s", name);
    return 0;
}

static void expect_without(const dv_buf *tar, const char *name, const char *wanted)
{
    size_t len = 0;
    dv_error error = {0};
    dv_auto(buf) dv_buf less = dv_buf_init(TAR_MAX);
    size_t at = find_file(tar, name, &len);
    assert_int_equal(dv_buf_append(&less, dv_slice_of(tar->ptr, at)), DV_OK);
    assert_int_equal(dv_buf_append(&less, dv_slice_of(tar->ptr + at + len, tar->len - at - len)),
                     DV_OK);
    assert_int_equal(walk(dv_buf_slice(&less), NULL, &error), DV_ERR_CORRUPT);
    if (strstr(error.message, wanted) == NULL) {
        fail_msg("without %s it says: %s", name, error.message);
    }
}

static void change_each_byte(dv_buf *tar, const char *name)
{
    size_t len = 0;
    size_t at = find_file(tar, name, &len);
    for (size_t i = at; i < at + len; i++) {
        dv_error error = {0};
        tar->ptr[i] ^= 1;
        if (walk(dv_buf_slice(tar), &first_key, &error) != DV_ERR_CORRUPT ||
            error.message[0] == '\0') {
            fail_msg("byte %zu of %s: %s", i - at, name, error.message);
        }
        tar->ptr[i] ^= 1;
    }
}

static void test_what_is_missing_or_changed_is_told(void **state)
{
    char event[DV_ROTATION_NAME_MAX], proof[DV_ROTATION_NAME_MAX];
    dv_archive_report report;
    dv_auto(buf) dv_buf tar = dv_buf_init(TAR_MAX);
    assert_int_equal(keep(size_of(stand.log), &report, NULL), DV_OK);
    unpack(report.path, &tar);
    assert_int_equal(walk(dv_buf_slice(&tar), &first_key, NULL), DV_OK);
    expect_without(&tar, "blob/0/75", "the large field of entry 75 is missing");
    expect_without(&tar, "blob/0/276", "the large field of entry 276 is missing");
    change_each_byte(&tar, "blob/0/75");
    const dv_note_verifier *former[] = {&first_key, &second_key};
    for (size_t i = 0; i < DV_ARRAY_LEN(former); i++) {
        dv_rotation_names(former[i]->key_id, event, proof);
        expect_without(&tar, event, "should be");
        change_each_byte(&tar, event);
        change_each_byte(&tar, proof);
    }
    change_each_byte(&tar, DV_ARCHIVE_MANIFEST);
}

/* -- an unpacked one --------------------------------------------------------------------------- */

static void expect_problem(const dv_note_verifier *key, const char *wanted)
{
    dv_log_report report;
    assert_int_equal(dv_log_verify_archive(other, key, NULL, NULL, &report), DV_ERR_CORRUPT);
    if (strstr(report.problem, wanted) == NULL) {
        fail_msg("it says: %s", report.problem);
    }
}

static void test_an_unpacked_one_is_verified_likewise(void **state)
{
    char path[PATH_MAX], aside[PATH_MAX], event[DV_ROTATION_NAME_MAX], proof[DV_ROTATION_NAME_MAX];
    dv_archive_report report;
    dv_log_report log;
    assert_int_equal(keep(size_of(stand.log), &report, NULL), DV_OK);
    assert_int_equal(dv_archive_restore(report.path, &first_key, other, NULL, NULL, &report, NULL),
                     DV_OK);
    snprintf(aside, sizeof(aside), "%s/aside", stand.root);
    snprintf(path, sizeof(path), "%s/blob/0/75", other);
    assert_int_equal(rename(path, aside), 0);
    expect_problem(NULL, "the large field of entry 75 is missing");
    assert_int_equal(rename(aside, path), 0);
    snprintf(path, sizeof(path), "%s/blob/0/3", other);
    assert_int_equal(dv_file_write_atomic(path, DV_LIT("planted"), 0644, NULL), DV_OK);
    expect_problem(NULL, "blob/0/3");
    assert_int_equal(unlink(path), 0);
    dv_rotation_names(second_key.key_id, event, proof);
    snprintf(path, sizeof(path), "%s/%s", other, event);
    assert_int_equal(rename(path, aside), 0);
    expect_problem(&first_key, "rotated/");
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(dv_log_verify_archive(other, &first_key, NULL, NULL, &log), DV_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_that_entries_name_is_in_it, make_main,
                                        stand_remove),
        cmocka_unit_test_setup_teardown(test_a_class_has_the_main_logs_keys, make_classes,
                                        stand_remove),
        cmocka_unit_test_setup_teardown(test_no_archive_of_a_log_that_lacks_one, make_main,
                                        stand_remove),
        cmocka_unit_test_setup_teardown(test_a_copy_may_lack_them, make_main, stand_remove),
        cmocka_unit_test_setup_teardown(test_what_is_missing_or_changed_is_told, make_main,
                                        stand_remove),
        cmocka_unit_test_setup_teardown(test_an_unpacked_one_is_verified_likewise, make_main,
                                        stand_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
