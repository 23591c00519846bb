/* SPDX-License-Identifier: Apache-2.0 */
/* Archives: what is written is what comes back, every byte of one matters, and nothing half is left
 * wherever the disk gives out. */
#include "base/file.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/archive.h"
#include "engine/log/archive_private.h"
#include "engine/log/archive_seal.h"
#include "engine/log/prune.h"
#include "engine/log/search.h"
#include "engine/log/tree.h"
#include "fault.h"
#include "memory.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <zstd.h>

#include <cmocka.h>

enum {
    PACK = DV_PACK_LEAVES,
    LARGE = PACK + DV_BLOCK_LEAVES + 300, /* a pack, a block of the next, and a rest */
    SMALL = 300,
    FILE_MAX = 64 << 20,
};

static char base[64];
static char large[96], small[96];
static dv_tree_signer signer;
static ZSTD_CCtx *packer;
static dv_log_tree large_tree = {.name = "main"}, small_tree = {.name = "main"};

/* -- logs -------------------------------------------------------------------------------------- */

static size_t make_entry(uint64_t i, char out[256])
{
    return (size_t)snprintf(out, 256,
                            "{\"metadata\":{\"log_source\":\"gateway/"
                            "0198c0de-0000-7000-8000-0123456789ab\",\"sequence\":%llu,"
                            "\"logged_time\":%llu},\"time\":%llu}",
                            (unsigned long long)i, 1000 + (unsigned long long)i,
                            1000 + (unsigned long long)i);
}

static dv_result write_log(const char *folder, dv_log_tree *state, uint64_t size)
{
    char text[256];
    uint64_t index;
    dv_log_tree next;
    dv_auto(tree) dv_tree *tree = NULL;
    state->root = dv_merkle_empty();
    DV_TRY(dv_tree_open(folder, &signer, state, &tree, NULL));
    for (uint64_t i = 0; i < size; i++) {
        DV_TRY(dv_tree_append(tree, dv_slice_of(text, make_entry(i, text)), &index));
    }
    DV_TRY(dv_tree_write(tree, &next, NULL));
    *state = next;
    dv_tree_written(tree);
    return dv_tree_publish(tree, NULL);
}

static dv_result leave_vkey(const char *folder)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf vkey = dv_buf_init(1024);
    snprintf(path, sizeof(path), "%s/vkey", folder);
    DV_TRY(dv_note_verifier_format(&signer.verifier, &vkey));
    DV_TRY(dv_buf_append_byte(&vkey, '\n'));
    return dv_file_write_atomic(path, dv_buf_slice(&vkey), 0644, NULL);
}

static int make_logs(void **state)
{
    uint8_t public_key[32];
    snprintf(base, sizeof(base), "%s/dvara-archive-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    dv_random(signer.seed, sizeof(signer.seed));
    if (mkdtemp(base) == NULL || dv_ed25519_public(signer.seed, public_key) != DV_OK ||
        dv_note_verifier_init("dvara.test/log", public_key, &signer.verifier) != DV_OK) {
        return -1;
    }
    packer = ZSTD_createCCtx();
    snprintf(large, sizeof(large), "%s/large", base);
    snprintf(small, sizeof(small), "%s/small", base);
    return write_log(large, &large_tree, LARGE) == DV_OK && leave_vkey(large) == DV_OK &&
                   write_log(small, &small_tree, SMALL) == DV_OK && leave_vkey(small) == DV_OK
               ? 0
               : -1;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static int remove_logs(void **state)
{
    ZSTD_freeCCtx(packer);
    remove_tree(base);
    return 0;
}

/* -- helpers ----------------------------------------------------------------------------------- */

static const char *in_base(const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%s", base, name);
    return out;
}

static dv_result keep(const char *folder, uint64_t from, uint64_t to, const char *output,
                      dv_archive_report *report)
{
    dv_error error = {0};
    dv_archive_source source = {.folder = folder, .log = "main", .from = from, .to = to};
    dv_result result = dv_archive_keep(&source, output, NULL, NULL, report, &error);
    assert_true(result == DV_OK || error.message[0] != '\0' || result == DV_ERR_NO_MEMORY);
    return result;
}

static size_t count_files(const char *folder)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry = dir == NULL ? NULL : readdir(dir); entry != NULL;
         entry = readdir(dir)) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return count;
}

static dv_result compare_entry(void *data, uint64_t index, dv_slice entry)
{
    char text[256];
    uint64_t *count = data;
    assert_true(dv_slice_eq(entry, dv_slice_of(text, make_entry(index, text))));
    ++*count;
    return DV_OK;
}

/* The folder verifies and gives the entries. */
static void check_folder(const char *folder, uint64_t from, uint64_t to)
{
    dv_log_report report;
    uint64_t count = 0;
    dv_result result = dv_log_verify_archive(folder, &signer.verifier, NULL, NULL, &report);
    assert_string_equal(report.problem, "");
    assert_int_equal(result, DV_OK);
    assert_int_equal(report.entries, to - from);
    assert_int_equal(dv_log_read(folder, to, from, to - from, compare_entry, &count, NULL), DV_OK);
    assert_int_equal(count, to - from);
    bool is_log = dv_log_verify(folder, &signer.verifier, NULL, NULL, &report) == DV_OK;
    assert_true(is_log == (from == 0 && to == report.size)); /* a part is none */
}

/* -- there and back ---------------------------------------------------------------------------- */

static void there_and_back(const char *folder, uint64_t from, uint64_t to)
{
    char output[PATH_MAX], restored[PATH_MAX];
    dv_archive_report written, verified;
    in_base("output", output);
    in_base("restored", restored);
    assert_int_equal(keep(folder, from, to, output, &written), DV_OK);
    assert_int_equal(count_files(output), 1);
    assert_int_equal(dv_archive_verify(written.path, &signer.verifier, NULL, NULL, &verified, NULL),
                     DV_OK);
    assert_int_equal(verified.from, from);
    assert_int_equal(verified.to, to);
    assert_int_equal(verified.earliest_ms, 1000 + from);
    assert_int_equal(verified.latest_ms, 1000 + to - 1);
    assert_string_equal(verified.origin, "dvara.test/log");
    assert_int_equal(
        dv_archive_restore(written.path, &signer.verifier, restored, NULL, NULL, &verified, NULL),
        DV_OK);
    check_folder(restored, from, to);
    assert_int_equal(dv_archive_restore(written.path, NULL, restored, NULL, NULL, &verified, NULL),
                     DV_ERR_EXISTS);
    remove_tree(restored);
    remove_tree(output);
}

static void test_there_and_back(void **state)
{
    there_and_back(small, 0, SMALL);
    there_and_back(small, 0, DV_TILE_WIDTH);
    there_and_back(large, 0, PACK);
    there_and_back(large, 0, PACK + 512);
    there_and_back(large, PACK, PACK + DV_BLOCK_LEAVES + DV_TILE_WIDTH);
}

/* Runs a program, which must succeed; what it says on standard error goes into a file. */
static void run(const char *const words[], const char *said)
{
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_t actions;
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, said,
                                                      O_WRONLY | O_CREAT | O_TRUNC, 0600),
                     0);
    assert_int_equal(
        posix_spawnp(&pid, words[0], &actions, NULL, (char *const *)(uintptr_t)words, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    posix_spawn_file_actions_destroy(&actions);
}

static void test_tar_unpacks_it(void **state)
{
    char output[PATH_MAX], folder[PATH_MAX], said[PATH_MAX];
    struct stat about;
    dv_archive_report report;
    in_base("output", output);
    in_base("unpacked", folder);
    in_base("said", said);
    assert_int_equal(keep(large, PACK, LARGE, output, &report), DV_OK);
    assert_int_equal(mkdir(folder, 0700), 0);
    const char *const words[] = {"tar", "--zstd", "-xf", report.path, "-C", folder, NULL};
    run(words, said);
    assert_int_equal(stat(said, &about), 0);
    assert_int_equal(about.st_size, 0); /* no warnings */
    check_folder(folder, PACK, LARGE);
    remove_tree(folder);
    remove_tree(output);
}

static void test_a_pruned_log(void **state)
{
    char output[PATH_MAX], copy[PATH_MAX], said[PATH_MAX];
    dv_archive_report report;
    in_base("output", output);
    in_base("copy", copy);
    in_base("said", said);
    const char *const words[] = {"cp", "-r", large, copy, NULL};
    run(words, said);
    dv_prune_remove(copy, PACK);
    assert_int_equal(keep(copy, 0, PACK, output, &report), DV_ERR_NOT_FOUND);
    assert_int_equal(count_files(output), 0);
    there_and_back(copy, PACK, LARGE);
    remove_tree(copy);
    remove_tree(output);
}

static void test_ranges(void **state)
{
    static const uint64_t bad[][2] = {{0, 0},      {0, 100},  {0, LARGE + 1}, {PACK, PACK},
                                      {256, PACK}, {PACK, 0}, {0, LARGE - 1}, {LARGE, LARGE}};
    char output[PATH_MAX];
    dv_archive_report report;
    in_base("output", output);
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(keep(large, bad[i][0], bad[i][1], output, &report), DV_ERR_INVALID);
    }
    assert_int_equal(count_files(output), 0);
}

/* -- one that is there ------------------------------------------------------------------------- */

static void test_an_archive_that_is_there(void **state)
{
    char output[PATH_MAX];
    struct stat before, after;
    dv_archive_report report, again;
    dv_auto(buf) dv_buf bytes = dv_buf_init(FILE_MAX);
    in_base("output", output);
    assert_int_equal(keep(small, 0, SMALL, output, &report), DV_OK);
    assert_int_equal(stat(report.path, &before), 0);
    assert_int_equal(keep(small, 0, SMALL, output, &again), DV_OK);
    assert_int_equal(stat(report.path, &after), 0);
    assert_string_equal(report.path, again.path);
    assert_int_equal(before.st_ino, after.st_ino);
    /* Another log's, a damaged one: left as they are. */
    assert_int_equal(dv_file_read(report.path, &bytes, NULL), DV_OK);
    bytes.ptr[bytes.len / 2] ^= 1;
    assert_int_equal(dv_file_write_atomic(report.path, dv_buf_slice(&bytes), 0644, NULL), DV_OK);
    assert_int_equal(keep(small, 0, SMALL, output, &again), DV_ERR_CONFLICT);
    assert_int_equal(count_files(output), 1);
    remove_tree(output);
}

static void test_another_key(void **state)
{
    char output[PATH_MAX], restored[PATH_MAX];
    uint8_t seed[32] = {7}, public_key[32];
    dv_note_verifier other;
    dv_archive_report report, verified;
    dv_error error = {0};
    in_base("output", output);
    in_base("restored", restored);
    assert_int_equal(dv_ed25519_public(seed, public_key), DV_OK);
    assert_int_equal(dv_note_verifier_init("dvara.test/log", public_key, &other), DV_OK);
    assert_int_equal(keep(small, 0, SMALL, output, &report), DV_OK);
    assert_int_equal(dv_archive_verify(report.path, &other, NULL, NULL, &verified, &error),
                     DV_ERR_CORRUPT);
    assert_non_null(strstr(error.message, "not signed by"));
    assert_int_equal(dv_archive_restore(report.path, &other, restored, NULL, NULL, &verified, NULL),
                     DV_ERR_CORRUPT);
    assert_int_equal(access(restored, F_OK), -1);
    remove_tree(output);
}

/* -- every byte -------------------------------------------------------------------------------- */

static void write_bytes(const char *path, dv_slice bytes)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

static void expect_refused(const char *path, dv_slice bytes)
{
    dv_archive_report report;
    dv_error error = {0};
    write_bytes(path, bytes);
    assert_int_equal(dv_archive_verify(path, NULL, NULL, NULL, &report, &error), DV_ERR_CORRUPT);
    assert_non_null(strstr(error.message, "byte"));
}

static void test_every_byte_of_the_file(void **state)
{
    char output[PATH_MAX], path[PATH_MAX];
    dv_archive_report report;
    dv_auto(buf) dv_buf bytes = dv_buf_init(FILE_MAX);
    in_base("output", output);
    in_base("changed", path);
    assert_int_equal(keep(small, 0, SMALL, output, &report), DV_OK);
    assert_int_equal(dv_file_read(report.path, &bytes, NULL), DV_OK);
    for (size_t i = 0; i < bytes.len; i++) {
        for (unsigned change = 1; change < 256; change <<= 3) {
            bytes.ptr[i] ^= (uint8_t)change;
            expect_refused(path, dv_buf_slice(&bytes));
            bytes.ptr[i] ^= (uint8_t)change;
        }
        expect_refused(path, dv_slice_of(bytes.ptr, i));
    }
    assert_int_equal(dv_buf_append_byte(&bytes, 0), DV_OK);
    expect_refused(path, dv_buf_slice(&bytes));
    remove_tree(output);
}

static dv_result walk_frame(dv_slice frame, dv_error *error)
{
    dv_archive_report report = {.from = 0};
    dv_archive_visitor visitor = {.file = NULL};
    dv_tar_source source = {.get = from_memory, .data = &frame};
    return dv_archive_walk_source(&source, NULL, &visitor, &report, error);
}

/* Packs a tar as another program would. */
static dv_slice pack(dv_slice tar, uint8_t *room, size_t size)
{
    enum { FAST = -20 };
    size_t len = ZSTD_compressCCtx(packer, room, size, tar.ptr, tar.len, FAST);
    assert_false(ZSTD_isError(len));
    return dv_slice_of(room, len);
}

/* The tar in an archive's file. */
static void unpack(const char *path, dv_buf *out)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(FILE_MAX);
    assert_int_equal(dv_file_read(path, &bytes, NULL), DV_OK);
    assert_int_equal(dv_buf_reserve(out, out->max), DV_OK);
    size_t frame = ZSTD_findFrameCompressedSize(bytes.ptr, bytes.len);
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer in = {bytes.ptr, frame, 0};
    ZSTD_outBuffer tar = {out->ptr, out->max, 0};
    assert_int_equal(ZSTD_decompressStream(context, &tar, &in), 0);
    ZSTD_freeDCtx(context);
    out->len = tar.pos;
}

/* Between what comes first and last there are events, one like the other. */
static size_t step_at(size_t i, size_t len)
{
    enum { EDGE = 4500, STEP = 31 };
    return i > EDGE && i + EDGE < len ? STEP : 1;
}

/* Whoever makes a new seal changes nothing unseen either: each byte of the tar has one value, but
 * for signatures in the checkpoint that are of others. */
static void test_every_byte_of_the_tar(void **state)
{
    enum { TAR_MAX = 256 << 10 };
    static uint8_t room[2 * TAR_MAX];
    char output[PATH_MAX];
    dv_archive_report report;
    dv_auto(buf) dv_buf tar = dv_buf_init(TAR_MAX);
    in_base("output", output);
    assert_int_equal(keep(small, 0, SMALL, output, &report), DV_OK);
    unpack(report.path, &tar);
    assert_int_equal(walk_frame(pack(dv_buf_slice(&tar), room, sizeof(room)), NULL), DV_OK);
    for (size_t i = 0; i < tar.len; i += step_at(i, tar.len)) {
        dv_error error = {0};
        tar.ptr[i] ^= 1;
        dv_slice frame = pack(dv_buf_slice(&tar), room, sizeof(room));
        if (walk_frame(frame, &error) != DV_ERR_CORRUPT || error.message[0] == '\0') {
            fail_msg("byte %zu of the tar: %s", i, error.message);
        }
        tar.ptr[i] ^= 1;
    }
    for (size_t len = 0; len < tar.len; len += 101) {
        dv_slice frame = pack(dv_slice_of(tar.ptr, len), room, sizeof(room));
        assert_int_equal(walk_frame(frame, NULL), DV_ERR_CORRUPT);
    }
    assert_int_equal(dv_buf_append_byte(&tar, 0), DV_OK);
    assert_int_equal(walk_frame(pack(dv_buf_slice(&tar), room, sizeof(room)), NULL),
                     DV_ERR_CORRUPT);
    remove_tree(output);
}

/* A change of one event is told with its place, to 256 events. */
static void test_a_forged_event_is_placed(void **state)
{
    enum { TAR_MAX = 48 << 20 };
    char output[PATH_MAX];
    dv_archive_report report;
    dv_error error = {0};
    dv_auto(buf) dv_buf tar = dv_buf_init(TAR_MAX), room = dv_buf_init(TAR_MAX);
    in_base("output", output);
    assert_int_equal(keep(large, 0, PACK, output, &report), DV_OK);
    unpack(report.path, &tar);
    ptrdiff_t at = dv_slice_find(dv_buf_slice(&tar), DV_LIT("\"time\":32768}"));
    assert_true(at > 0);
    tar.ptr[at + 7] = '4'; /* the event 31768 */
    assert_int_equal(dv_buf_reserve(&room, TAR_MAX), DV_OK);
    dv_slice frame = pack(dv_buf_slice(&tar), room.ptr, TAR_MAX);
    assert_int_equal(walk_frame(frame, &error), DV_ERR_CORRUPT);
    assert_string_equal(error.message, "the entries from 31744 on do not give hash 124 of its file "
                                       "tile/1/000");
    remove_tree(output);
}

/* -- limits ------------------------------------------------------------------------------------ */

static dv_result to_buf(void *data, dv_slice bytes, dv_error *error)
{
    return dv_buf_append(data, bytes);
}

static void expect_limit(const char *name, size_t size, const char *wanted)
{
    dv_error error = {0};
    dv_auto(buf) dv_buf frame = dv_buf_init(FILE_MAX), bytes = dv_buf_init(FILE_MAX);
    dv_auto(tar_writer) dv_tar_writer *writer = NULL;
    dv_tar_sink sink = {.put = to_buf, .data = &frame};
    assert_int_equal(dv_buf_reserve(&bytes, size), DV_OK);
    memset(bytes.ptr, 'a', size);
    bytes.len = size;
    assert_int_equal(dv_tar_writer_new(&sink, 1, &writer), DV_OK);
    assert_int_equal(dv_tar_add(writer, name, dv_buf_slice(&bytes), NULL), DV_OK);
    assert_int_equal(dv_tar_finish(writer, NULL), DV_OK);
    assert_int_equal(walk_frame(dv_buf_slice(&frame), &error), DV_ERR_CORRUPT);
    assert_non_null(strstr(error.message, wanted));
}

static void test_limits(void **state)
{
    char name[DV_TAR_NAME_MAX + 2];
    dv_auto(buf) dv_buf out = dv_buf_init(FILE_MAX);
    dv_auto(tar_writer) dv_tar_writer *writer = NULL;
    dv_tar_sink sink = {.put = to_buf, .data = &out};
    expect_limit(DV_ARCHIVE_MANIFEST, DV_ARCHIVE_MANIFEST_MAX, "not as Dvara writes it");
    expect_limit(DV_ARCHIVE_MANIFEST, DV_ARCHIVE_MANIFEST_MAX + 1, "and may have 32768");
    expect_limit("checkpoint", 1, "stands where archive should be");
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(dv_tar_writer_new(&sink, 1, &writer), DV_OK);
    assert_int_equal(dv_tar_begin(writer, name, 0, NULL), DV_ERR_TOO_LARGE);
    assert_int_equal(dv_tar_begin(writer, "a", DV_TAR_SIZE_MAX + 1, NULL), DV_ERR_TOO_LARGE);
    assert_int_equal(dv_tar_begin(writer, name + 1, DV_TAR_SIZE_MAX, NULL), DV_OK);
}

/* A frame that asks for more memory than ours do is not unpacked. */
static void test_a_large_window(void **state)
{
    enum { LEN = 1 << 20 };
    dv_error error = {0};
    dv_auto(buf) dv_buf tar = dv_buf_init(LEN), room = dv_buf_init(2 * LEN);
    assert_int_equal(dv_buf_reserve(&tar, LEN), DV_OK);
    assert_int_equal(dv_buf_reserve(&room, room.max), DV_OK);
    memset(tar.ptr, 0, LEN);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, DV_TAR_WINDOW_LOG + 1);
    ZSTD_inBuffer in = {tar.ptr, LEN, 0};
    ZSTD_outBuffer out = {room.ptr, room.max, 0};
    ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue);
    ZSTD_compressStream2(context, &out, &in, ZSTD_e_end);
    ZSTD_freeCCtx(context);
    assert_int_equal(walk_frame(dv_slice_of(room.ptr, out.pos), &error), DV_ERR_CORRUPT);
    assert_non_null(strstr(error.message, "memory"));
}

/* -- the disk ---------------------------------------------------------------------------------- */

static void check_nothing_half(const char *output, dv_result result, fault_kind kind)
{
    dv_archive_report report;
    size_t files = count_files(output);
    if (result == DV_OK) {
        assert_int_equal(files, 1);
    } else {
        assert_true(result == DV_ERR_UNAVAILABLE || result == DV_ERR_IO);
        assert_true(files == 0 || (files == 1 && kind != FAULT_KILL)); /* the last sync */
    }
    fault_arm(FAULT_NONE, 0);
    assert_int_equal(keep(small, 0, SMALL, output, &report), DV_OK);
    assert_int_equal(count_files(output), 1);
    remove_tree(output);
}

static void test_keeping_on_a_bad_disk(void **state)
{
    static const fault_kind kinds[] = {FAULT_ENOSPC, FAULT_EIO, FAULT_SHORT};
    char output[PATH_MAX];
    dv_archive_report report;
    in_base("output", output);
    fault_arm(FAULT_NONE, 0);
    assert_int_equal(keep(small, 0, SMALL, output, &report), DV_OK);
    long calls = fault_calls;
    remove_tree(output);
    assert_true(calls >= 6);
    for (size_t k = 0; k < DV_ARRAY_LEN(kinds); k++) {
        for (long i = 1; i <= calls; i++) {
            fault_arm(kinds[k], i);
            dv_result result = keep(small, 0, SMALL, output, &report);
            check_nothing_half(output, result, kinds[k]);
        }
    }
}

static void test_keeping_is_killed(void **state)
{
    char output[PATH_MAX];
    dv_archive_report report;
    in_base("output", output);
    for (long i = 1, status = 1; status != 0; i++) {
        int ended = 0;
        pid_t child = fork();
        if (child == 0) {
            fault_arm(FAULT_KILL, i);
            _exit(keep(small, 0, SMALL, output, &report) == DV_OK ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &ended, 0), child);
        status = ended;
        assert_true(status == 0 || WEXITSTATUS(ended) == FAULT_EXIT);
        assert_int_equal(keep(small, 0, SMALL, output, &report), DV_OK);
        assert_int_equal(count_files(output), 1);
        remove_tree(output);
    }
}

static void test_restoring_on_a_bad_disk(void **state)
{
    static const fault_kind kinds[] = {FAULT_ENOSPC, FAULT_EIO, FAULT_SHORT};
    char output[PATH_MAX], restored[PATH_MAX];
    dv_archive_report report, again;
    in_base("output", output);
    in_base("in/restored", restored);
    assert_int_equal(keep(small, 0, SMALL, output, &report), DV_OK);
    fault_arm(FAULT_NONE, 0);
    assert_int_equal(dv_archive_restore(report.path, NULL, restored, NULL, NULL, &again, NULL),
                     DV_OK);
    long calls = fault_calls;
    for (size_t k = 0; k < DV_ARRAY_LEN(kinds); k++) {
        for (long i = 1; i <= calls; i++) {
            remove_tree(restored);
            fault_arm(kinds[k], i);
            dv_result result =
                dv_archive_restore(report.path, NULL, restored, NULL, NULL, &again, NULL);
            fault_arm(FAULT_NONE, 0);
            in_base("in", output);
            assert_true(count_files(output) == (access(restored, F_OK) == 0 ? 1U : 0U));
            if (access(restored, F_OK) == 0) {
                check_folder(restored, 0, SMALL);
            } else {
                assert_true(result == DV_ERR_UNAVAILABLE || result == DV_ERR_IO);
            }
        }
    }
    remove_tree(restored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_tar_unpacks_it),
        cmocka_unit_test(test_a_pruned_log),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_an_archive_that_is_there),
        cmocka_unit_test(test_another_key),
        cmocka_unit_test(test_every_byte_of_the_file),
        cmocka_unit_test(test_every_byte_of_the_tar),
        cmocka_unit_test(test_a_forged_event_is_placed),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_a_large_window),
        cmocka_unit_test(test_keeping_on_a_bad_disk),
        cmocka_unit_test(test_keeping_is_killed),
        cmocka_unit_test(test_restoring_on_a_bad_disk),
    };
    return cmocka_run_group_tests(tests, make_logs, remove_logs);
}
