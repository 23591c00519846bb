/* SPDX-License-Identifier: Apache-2.0 */
/* Backups: the whole log comes back with its keys or nothing does, wherever the disk gives out, and
 * who was erased stays so. */
#include "base/codec.h"
#include "base/file.h"
#include "crypto/aead.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/archive_tar.h"
#include "engine/log/backup.h"
#include "engine/log/blob.h"
#include "engine/log/sequencer.h"
#include "engine/log/spool.h"
#include "engine/log/subjects.h"
#include "fault.h"

#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { EVENTS = DV_BLOCK_LEAVES + 300, FILE_MAX = 64 << 20 };

static char base[64], state_dir[96], restored[96], file[96];
static dv_log_keys box;
static dv_tree_signer signer;
static dv_age_key recipient, identity;
static dv_buf sealed_alice, sealed_bob; /* without quotes */
static uint64_t main_size;

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *in_state(const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%s", state_dir, name);
    return out;
}

/* -- a node's state ---------------------------------------------------------------------------- */

static dv_result write_key(const char *name, dv_slice bytes, bool hex)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(1024);
    DV_TRY(hex ? dv_hex_encode(bytes, &text) : dv_buf_append(&text, bytes));
    DV_TRY(dv_buf_append_byte(&text, '\n'));
    return dv_file_write_atomic(in_state(name, path), dv_buf_slice(&text), 0600, NULL);
}

static dv_result write_keys(void)
{
    char path[PATH_MAX];
    uint8_t public_key[32];
    dv_auto(buf) dv_buf vkey = dv_buf_init(1024);
    dv_random(signer.seed, sizeof(signer.seed));
    dv_box_keypair(box.public_key, box.secret_key);
    DV_TRY(dv_ed25519_public(signer.seed, public_key));
    DV_TRY(dv_note_verifier_init("dvara.test/log", public_key, &signer.verifier));
    DV_TRY(dv_dir_make(in_state("keys/log", path), 0700, NULL));
    DV_TRY(dv_dir_make(in_state("log", path), 0755, NULL));
    DV_TRY(dv_dir_make(in_state("spool", path), 0700, NULL));
    DV_TRY(write_key("keys/log/signing", dv_slice_of(signer.seed, 32), true));
    DV_TRY(write_key("keys/log/origin", DV_LIT("dvara.test/log"), false));
    DV_TRY(dv_note_verifier_format(&signer.verifier, &vkey));
    return write_key("log/vkey", dv_buf_slice(&vkey), false);
}

static dv_result seal_name(dv_subjects *subjects, const char *subject, dv_buf *out)
{
    uint32_t key;
    *out = dv_buf_init(1024);
    dv_subjects_lock(subjects);
    dv_result result = dv_subjects_key(subjects, dv_slice_str(subject), &key);
    if (result == DV_OK) {
        result = dv_subjects_seal(subjects, &key, 1, DV_LIT("\"a name\""), out);
    }
    dv_subjects_unlock(subjects);
    if (result == DV_OK) {
        memmove(out->ptr, out->ptr + 1, out->len - 2);
        out->len -= 2;
    }
    return result;
}

/* A line with what lies out of line of it. */
static dv_result append_large(dv_spool *spool)
{
    dv_blob_ref ref;
    dv_auto(buf) dv_buf stored = dv_buf_init(4096), event = dv_buf_init(4096);
    DV_TRY(dv_blob_make(DV_LIT("all of the line"), &stored, &ref));
    DV_TRY(dv_buf_append_str(&event, "{\"metadata\":{\"version\":\"1.8.0\",\"event_code\":"
                                     "\"collected.raw\",\"is_truncated\":true},\"time\":1017,"
                                     "\"class_uid\":0,\"unmapped\":{\"dvara\":{"));
    DV_TRY(dv_blob_ref_write(&ref, "raw_data", &event));
    DV_TRY(dv_buf_append_str(&event, "}}}"));
    dv_spool_attach(spool, dv_buf_slice(&stored));
    return dv_spool_append(spool, dv_buf_slice(&event), false);
}

static dv_result write_events(void)
{
    char path[PATH_MAX], text[256];
    dv_spool *spool = NULL;
    DV_TRY(
        dv_spool_open(in_state("spool", path), "gateway", box.public_key, 64 << 20, &spool, NULL));
    DV_TRY(append_large(spool));
    for (int i = 1; i < EVENTS; i++) {
        int len = snprintf(text, sizeof(text),
                           "{\"metadata\":{\"version\":\"1.8.0\",\"event_code\":\"%s\"},"
                           "\"time\":%d,\"class_uid\":6003}",
                           i % 10 == 0 ? "request.open" : "lifecycle", 1000 + i);
        DV_TRY(dv_spool_append(spool, dv_slice_of(text, (size_t)len), false));
    }
    dv_spool_close(spool);
    return DV_OK;
}

static dv_result write_log(void)
{
    char log[PATH_MAX], spool[PATH_MAX], keys[PATH_MAX];
    size_t taken;
    dv_auto(subjects) dv_subjects *subjects = NULL;
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    dv_sequencer_status status;
    DV_TRY(dv_subjects_open(in_state("keys/log/subjects", keys), &subjects, NULL));
    DV_TRY(seal_name(subjects, "User::\"alice\"", &sealed_alice));
    DV_TRY(seal_name(subjects, "User::\"bob\"", &sealed_bob));
    DV_TRY(dv_subjects_store(subjects, NULL));
    dv_sequencer_options options = {.log_folder = in_state("log", log),
                                    .spools = {in_state("spool", spool), NULL},
                                    .keys = &box,
                                    .signer = &signer,
                                    .subjects = subjects,
                                    .batch_bytes = 64 << 20};
    DV_TRY(dv_sequencer_open(&options, &sequencer, NULL));
    DV_TRY(dv_sequencer_route(sequencer, "request.*", "requests", NULL));
    do {
        DV_TRY(dv_sequencer_collect(sequencer, &taken, NULL));
        DV_TRY(dv_sequencer_commit(sequencer, NULL));
    } while (taken > 0);
    dv_sequencer_status_get(sequencer, &status);
    main_size = status.size;
    return DV_OK;
}

static int make_state(void **state)
{
    fault_arm(FAULT_NONE, 0);
    snprintf(base, sizeof(base), "%s/dvara-backup-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(base) == NULL) {
        return -1;
    }
    snprintf(state_dir, sizeof(state_dir), "%s/state", base);
    snprintf(restored, sizeof(restored), "%s/restored", base);
    snprintf(file, sizeof(file), "%s/backup.age", base);
    return dv_age_keypair(&recipient, &identity) == DV_OK && write_keys() == DV_OK &&
                   write_events() == DV_OK && write_log() == DV_OK
               ? 0
               : -1;
}

static int remove_state(void **state)
{
    dv_buf_release(&sealed_alice);
    dv_buf_release(&sealed_bob);
    remove_tree(base);
    return 0;
}

/* -- helpers ----------------------------------------------------------------------------------- */

static dv_backup_file node_files[1]; /* of no name: none */

static dv_result back_up(bool with_root)
{
    dv_error error = {0};
    dv_backup_report report;
    dv_age_lock lock = {.keys = &recipient, .count = 1};
    dv_backup_create create = {.state_dir = state_dir,
                               .lock = &lock,
                               .subject_root = with_root,
                               .files = node_files,
                               .file_count = node_files[0].name != NULL,
                               .now = "2026-11-22T12:00:00Z"};
    dv_result result = dv_backup_write(&create, file, &report, &error);
    assert_true(result == DV_OK || error.message[0] != '\0');
    if (result == DV_OK) {
        assert_int_equal(report.size, main_size);
        assert_int_equal(report.logs, 2);
        assert_string_equal(report.origin, "dvara.test/log");
    }
    return result;
}

static dv_result restore(const dv_backup_open *how, dv_error *error)
{
    dv_backup_report report;
    dv_age_lock lock = {.keys = &identity, .count = 1};
    dv_backup_open whole = *how;
    whole.lock = whole.lock != NULL ? whole.lock : &lock;
    whole.state_dir = restored;
    return dv_backup_restore(&whole, file, &report, error);
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

/* What was restored goes on as the log that it was. */
static void check_restored(void)
{
    char log[PATH_MAX];
    dv_log_report report;
    dv_error error = {0};
    size_t taken;
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    assert_int_equal(count_files(restored), 2);
    snprintf(log, sizeof(log), "%s/log", restored);
    assert_int_equal(dv_log_verify(log, &signer.verifier, NULL, NULL, &report), DV_OK);
    assert_int_equal(report.size, main_size);
    assert_int_equal(report.logs, 2);
    dv_sequencer_options options = {
        .log_folder = log, .keys = &box, .signer = &signer, .batch_bytes = 1 << 20};
    assert_int_equal(dv_sequencer_open(&options, &sequencer, &error), DV_OK);
    assert_int_equal(dv_sequencer_collect(sequencer, &taken, NULL), DV_OK);
}

static dv_result open_name(const dv_buf *sealed)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf out = dv_buf_init(1024);
    dv_auto(subjects) dv_subjects *subjects = NULL;
    snprintf(path, sizeof(path), "%s/keys/log/subjects", restored);
    assert_int_equal(dv_subjects_open(path, &subjects, NULL), DV_OK);
    dv_subjects_lock(subjects);
    dv_result result = dv_subjects_unseal(subjects, dv_buf_slice(sealed), &out);
    dv_subjects_unlock(subjects);
    return result;
}

static void erase_alice(void)
{
    char path[PATH_MAX], id[DV_SUBJECT_ID_TEXT + 1];
    dv_auto(subjects) dv_subjects *subjects = NULL;
    assert_int_equal(dv_subjects_open(in_state("keys/log/subjects", path), &subjects, NULL), DV_OK);
    assert_int_equal(dv_subjects_find(subjects, DV_LIT("User::\"alice\""), id), DV_OK);
    dv_slice ids[] = {dv_slice_str(id)};
    assert_int_equal(dv_subjects_destroy(subjects, ids, 1, NULL), DV_OK);
}

/* -- tests ------------------------------------------------------------------------------------- */

static void test_there_and_back(void **state)
{
    char subjects[PATH_MAX];
    dv_error error = {0};
    in_state("keys/log/subjects", subjects);
    assert_int_equal(back_up(false), DV_OK);
    assert_int_equal(restore(&(dv_backup_open){.subjects = NULL}, &error), DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "--subjects"));
    assert_int_equal(count_files(restored), 0);
    assert_int_equal(restore(&(dv_backup_open){.subjects = subjects}, NULL), DV_OK);
    check_restored();
    assert_int_equal(open_name(&sealed_alice), DV_OK);
    assert_int_equal(restore(&(dv_backup_open){.subjects = subjects}, &error), DV_ERR_EXISTS);
    remove_tree(restored);
    assert_int_equal(restore(&(dv_backup_open){.without_subjects = true}, NULL), DV_OK);
    check_restored();
    assert_int_equal(open_name(&sealed_alice), DV_ERR_NOT_FOUND);
    remove_tree(restored);
}

/* What the caller says is the node's. */
static dv_result judge(void *data, const char *folder, bool node, dv_error *error)
{
    char path[PATH_MAX];
    const dv_result *wanted = data;
    snprintf(path, sizeof(path), "%s/keys/pepper", folder);
    assert_int_equal(access(path, R_OK), node ? 0 : -1);
    return *wanted == DV_OK ? DV_OK : dv_error_set(error, *wanted, "not that");
}

static void test_files_of_the_node(void **state)
{
    char path[PATH_MAX];
    struct stat about;
    dv_result wanted = DV_ERR_CORRUPT;
    dv_auto(buf) dv_buf text = dv_buf_init(64);
    dv_auto(fd) int fd = memfd_create("pepper", MFD_CLOEXEC);
    assert_int_equal(write(fd, "pepper", 6), 6);
    node_files[0] = (dv_backup_file){"keys/pepper", fd};
    assert_int_equal(back_up(false), DV_OK);
    dv_backup_open how = {.without_subjects = true, .check = judge, .check_data = &wanted};
    assert_int_equal(restore(&how, NULL), DV_ERR_CORRUPT);
    assert_int_equal(count_files(restored), 0);
    wanted = DV_OK;
    assert_int_equal(restore(&how, NULL), DV_OK);
    check_restored();
    snprintf(path, sizeof(path), "%s/keys/pepper", restored);
    assert_int_equal(dv_file_read(path, &text, NULL), DV_OK);
    assert_true(dv_slice_eq_str(dv_buf_slice(&text), "pepper"));
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    remove_tree(restored);
    node_files[0].name = "keys/log/signing"; /* of another section */
    assert_int_equal(back_up(false), DV_ERR_INVALID);
    node_files[0].name = NULL;
}

/* Keeps the root apart, as operators are told to. */
static void copy_root(unsigned epoch, const char *folder)
{
    char from[PATH_MAX], to[PATH_MAX], name[64];
    dv_auto(buf) dv_buf bytes = dv_buf_init(1024);
    snprintf(name, sizeof(name), "keys/log/subjects/root.%016x", epoch);
    snprintf(to, sizeof(to), "%s/root.%016x", folder, epoch);
    assert_int_equal(dv_dir_make(folder, 0700, NULL), DV_OK);
    assert_int_equal(dv_file_read(in_state(name, from), &bytes, NULL), DV_OK);
    assert_int_equal(dv_file_write_atomic(to, dv_buf_slice(&bytes), 0600, NULL), DV_OK);
}

static void test_the_root_alone(void **state)
{
    char roots[96];
    snprintf(roots, sizeof(roots), "%s/roots", base);
    copy_root(1, roots);
    assert_int_equal(back_up(false), DV_OK);
    assert_int_equal(restore(&(dv_backup_open){.subjects = roots}, NULL), DV_OK);
    assert_int_equal(open_name(&sealed_alice), DV_OK);
    remove_tree(restored);
}

static void test_who_was_erased_stays_so(void **state)
{
    char subjects[PATH_MAX], roots[96];
    dv_error error = {0};
    in_state("keys/log/subjects", subjects);
    snprintf(roots, sizeof(roots), "%s/new-roots", base);
    assert_int_equal(back_up(false), DV_OK);
    erase_alice();
    /* The newest root alone opens no older keys; all of them do, without hers. */
    copy_root(2, roots);
    assert_int_equal(restore(&(dv_backup_open){.subjects = roots}, &error), DV_ERR_CONFLICT);
    assert_int_equal(count_files(restored), 0);
    assert_int_equal(restore(&(dv_backup_open){.subjects = subjects}, NULL), DV_OK);
    check_restored();
    assert_int_equal(open_name(&sealed_alice), DV_ERR_NOT_FOUND);
    assert_int_equal(open_name(&sealed_bob), DV_OK);
    remove_tree(restored);
}

static void test_with_the_root(void **state)
{
    assert_int_equal(back_up(true), DV_OK);
    assert_int_equal(restore(&(dv_backup_open){.subjects = NULL}, NULL), DV_OK);
    check_restored();
    assert_int_equal(open_name(&sealed_bob), DV_OK);
    remove_tree(restored);
}

static void test_other_keys(void **state)
{
    dv_age_key other, other_identity;
    uint8_t seed[32] = {3}, public_key[32];
    dv_note_verifier verifier;
    assert_int_equal(dv_age_keypair(&other, &other_identity), DV_OK);
    dv_age_lock lock = {.keys = &other_identity, .count = 1};
    assert_int_equal(back_up(false), DV_OK);
    dv_backup_open how = {.lock = &lock, .without_subjects = true};
    assert_int_equal(restore(&how, NULL), DV_ERR_FORBIDDEN);
    assert_int_equal(dv_ed25519_public(seed, public_key), DV_OK);
    assert_int_equal(dv_note_verifier_init("dvara.test/log", public_key, &verifier), DV_OK);
    how = (dv_backup_open){.key = &verifier, .without_subjects = true};
    assert_int_equal(restore(&how, NULL), DV_ERR_CORRUPT);
    how.key = &signer.verifier;
    assert_int_equal(restore(&how, NULL), DV_OK);
    remove_tree(restored);
}

static void leave(const char *name)
{
    char path[PATH_MAX];
    assert_int_equal(dv_file_write_atomic(in_state(name, path), DV_LIT("half"), 0600, NULL), DV_OK);
}

/* What lies out of line of entries, as far as the log goes. */
static void test_blobs_go_along(void **state)
{
    char path[PATH_MAX];
    leave("log/blob/0/999999"); /* of a commit that the state does not tell of */
    assert_int_equal(back_up(false), DV_OK);
    assert_int_equal(restore(&(dv_backup_open){.without_subjects = true}, NULL), DV_OK);
    snprintf(path, sizeof(path), "%s/log/blob/0/0", restored);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof(path), "%s/log/blob/0", restored);
    assert_int_equal(count_files(path), 1);
    remove_tree(restored);
    assert_int_equal(unlink(in_state("log/blob/0/999999", path)), 0);
}

/* A write that a death ended leaves a file of a random name; of a root it may hold the key. */
static void test_leftovers_are_left_out(void **state)
{
    char subjects[PATH_MAX];
    in_state("keys/log/subjects", subjects);
    leave("keys/log/signing.aBc123");
    leave("keys/log/subjects/root.0000000000000001.AbC123");
    leave("keys/log/subjects/root.0000000000000001.abc123");
    assert_int_equal(back_up(false), DV_OK);
    assert_int_equal(restore(&(dv_backup_open){.subjects = subjects}, NULL), DV_OK);
    check_restored();
    assert_int_equal(open_name(&sealed_alice), DV_OK);
    remove_tree(restored);
}

static void test_torn_and_damaged(void **state)
{
    dv_error error = {0};
    dv_backup_open how = {.without_subjects = true};
    dv_auto(buf) dv_buf bytes = dv_buf_init(FILE_MAX);
    assert_int_equal(back_up(false), DV_OK);
    assert_int_equal(dv_file_read(file, &bytes, NULL), DV_OK);
    for (size_t i = 0; i < 25; i++) {
        size_t at = bytes.len * i / 25;
        bytes.ptr[at] ^= 4;
        assert_int_equal(dv_file_write_atomic(file, dv_buf_slice(&bytes), 0600, NULL), DV_OK);
        dv_result result = restore(&how, &error);
        assert_true(result == DV_ERR_CORRUPT || result == DV_ERR_FORBIDDEN);
        bytes.ptr[at] ^= 4;
        assert_int_equal(dv_file_write_atomic(file, dv_slice_of(bytes.ptr, at), 0600, NULL), DV_OK);
        assert_int_equal(restore(&how, &error), DV_ERR_CORRUPT);
        assert_int_equal(count_files(restored), 0);
    }
}

/* -- backups of others ------------------------------------------------------------------------- */

static dv_result to_age(void *data, dv_slice bytes, dv_error *error)
{
    return dv_age_put(data, bytes, error);
}

static dv_result to_file(void *data, dv_slice bytes, dv_error *error)
{
    return fwrite(bytes.ptr, 1, bytes.len, data) == bytes.len ? DV_OK : DV_ERR_IO;
}

static const char good_manifest[] =
    "dvara-backup 1\n"
    "# A backup of a Dvara node. `dvara backup restore` verifies it and puts it back.\n"
    "made 2026-11-22T12:00:00Z\nsection log\nsection log-keys\n";

/* Whoever has the public key can seal to it: the names in it must lead nowhere. */
static dv_result restore_made(const char *manifest, const char *name)
{
    dv_error error = {0};
    FILE *out = fopen(file, "we");
    dv_age_lock lock = {.keys = &recipient, .count = 1};
    dv_age_sink sink = {.put = to_file, .data = out};
    dv_age_writer *age = NULL;
    dv_tar_writer *tar = NULL;
    assert_int_equal(dv_age_writer_new(&lock, &sink, &age, NULL), DV_OK);
    dv_tar_sink sealed = {.put = to_age, .data = age};
    assert_int_equal(dv_tar_writer_new(&sealed, 1, &tar), DV_OK);
    assert_int_equal(dv_tar_add(tar, "backup", dv_slice_str(manifest), NULL), DV_OK);
    if (name != NULL) {
        assert_int_equal(dv_tar_add(tar, name, DV_LIT("content"), NULL), DV_OK);
    }
    assert_int_equal(dv_tar_finish(tar, NULL), DV_OK);
    assert_int_equal(dv_age_finish(age, NULL), DV_OK);
    dv_tar_writer_free(tar);
    dv_age_writer_free(age);
    assert_int_equal(fclose(out), 0);
    dv_result result = restore(&(dv_backup_open){.without_subjects = true}, &error);
    assert_int_equal(count_files(restored), 0);
    return result;
}

static void test_names_lead_nowhere(void **state)
{
    static const char *const names[] = {"/etc/passwd",
                                        "../x",
                                        "log/../../x",
                                        "log//x",
                                        "log/./x",
                                        "log/.x",
                                        "keys/other",
                                        "keys/log/..",
                                        "x",
                                        "log/a\nb",
                                        "log/A",
                                        "backup",
                                        "keys/log/subjects/root.0000000000000001"};
    char later[512];
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        assert_int_equal(restore_made(good_manifest, names[i]), DV_ERR_CORRUPT);
    }
    snprintf(later, sizeof(later), "%ssection store\n", good_manifest);
    assert_int_equal(restore_made(later, NULL), DV_ERR_UNSUPPORTED);
    static const char *const nodes[] = {
        "node/keys/log/signing", "node/log/state", "node/log", "node/keys", "node/../x", "node//x",
        "node/keys/.x",          "node/A",         "node/"};
    snprintf(later, sizeof(later), "%ssection node\n", good_manifest);
    for (size_t i = 0; i < DV_ARRAY_LEN(nodes); i++) {
        assert_int_equal(restore_made(later, nodes[i]), DV_ERR_CORRUPT);
    }
    assert_int_equal(restore_made(good_manifest, "node/x"), DV_ERR_CORRUPT); /* not said */
    assert_int_equal(restore_made("dvara-backup 2\n", NULL), DV_ERR_CORRUPT);
    assert_int_equal(restore_made(good_manifest, NULL), DV_ERR_CORRUPT); /* no log in it */
}

/* -- the disk ---------------------------------------------------------------------------------- */

/* A full disk at every change, the others at some. */
static long step_of(fault_kind kind)
{
    enum { SOME = 3 };
    return kind == FAULT_ENOSPC ? 1 : SOME;
}

static void test_writing_on_a_bad_disk(void **state)
{
    static const fault_kind kinds[] = {FAULT_ENOSPC, FAULT_EIO, FAULT_SHORT};
    fault_arm(FAULT_NONE, 0);
    assert_int_equal(back_up(false), DV_OK);
    long calls = fault_calls;
    for (size_t k = 0; k < DV_ARRAY_LEN(kinds); k++) {
        for (long i = 1; i <= calls; i += step_of(kinds[k])) {
            unlink(file);
            size_t before = count_files(base);
            fault_arm(kinds[k], i);
            dv_result result = back_up(false);
            fault_arm(FAULT_NONE, 0);
            bool there = access(file, F_OK) == 0;
            assert_int_equal(count_files(base), before + (there ? 1 : 0));
            assert_true(there || result == DV_ERR_UNAVAILABLE || result == DV_ERR_IO);
            if (there) {
                assert_int_equal(restore(&(dv_backup_open){.without_subjects = true}, NULL), DV_OK);
                remove_tree(restored);
            }
        }
    }
}

static void test_restoring_on_a_bad_disk(void **state)
{
    static const fault_kind kinds[] = {FAULT_ENOSPC, FAULT_EIO, FAULT_SHORT};
    char subjects[PATH_MAX];
    dv_backup_open how = {.subjects = in_state("keys/log/subjects", subjects)};
    assert_int_equal(back_up(false), DV_OK);
    fault_arm(FAULT_NONE, 0);
    assert_int_equal(restore(&how, NULL), DV_OK);
    long calls = fault_calls;
    for (size_t k = 0; k < DV_ARRAY_LEN(kinds); k++) {
        for (long i = 1; i <= calls; i += step_of(kinds[k])) {
            remove_tree(restored);
            fault_arm(kinds[k], i);
            dv_result result = restore(&how, NULL);
            fault_arm(FAULT_NONE, 0);
            if (result == DV_OK) {
                check_restored();
            } else {
                assert_true(result == DV_ERR_UNAVAILABLE || result == DV_ERR_IO);
                assert_int_equal(count_files(restored), 0);
            }
        }
    }
    remove_tree(restored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_files_of_the_node),
        cmocka_unit_test(test_the_root_alone),
        cmocka_unit_test(test_blobs_go_along),
        cmocka_unit_test(test_leftovers_are_left_out),
        cmocka_unit_test(test_torn_and_damaged),
        cmocka_unit_test(test_other_keys),
        cmocka_unit_test(test_names_lead_nowhere),
        cmocka_unit_test(test_writing_on_a_bad_disk),
        cmocka_unit_test(test_restoring_on_a_bad_disk),
        cmocka_unit_test(test_who_was_erased_stays_so),
        cmocka_unit_test(test_with_the_root),
    };
    return cmocka_run_group_tests(tests, make_state, remove_state);
}
