/* SPDX-License-Identifier: Apache-2.0 */
/* Whose segments are believed, and that no writer takes the places of another
 * (engine/log/sequencer_spool.c). */
#include "engine/log/search.h"
#include "engine/log/segment_format.h"
#include "engine/log/verify.h"
#include "stand.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { BATCH = 16 << 20, ANOTHER_USER = 12345 };

/* -- looking ----------------------------------------------------------------------------------- */

static char alarms[8][512];
static size_t alarm_count, event_count;

static dv_result keep_entry(void *data, uint64_t index, dv_slice entry)
{
    if (dv_slice_eq_str(dv_entry_kind(entry), "alarm")) {
        assert_true(alarm_count < DV_ARRAY_LEN(alarms));
        ptrdiff_t at = dv_slice_find(entry, DV_LIT("\"finding_info\":"));
        assert_true(at >= 0);
        dv_slice_copy(dv_slice_sub(entry, (size_t)at, entry.len), alarms[alarm_count++],
                      sizeof(alarms[0]));
    } else {
        event_count++;
    }
    return DV_OK;
}

/* What the log holds by now. */
static void read_log(void)
{
    dv_log_report report;
    alarm_count = event_count = 0;
    assert_int_equal(dv_log_verify(stand.log, &stand.signer.verifier, NULL, NULL, &report), DV_OK);
    assert_int_equal(dv_log_read(stand.log, report.size, 0, UINT64_MAX, keep_entry, NULL, NULL),
                     DV_OK);
}

static void expect_alarm(const char *rule, const char *text)
{
    assert_int_equal(alarm_count, 1);
    if (strstr(alarms[0], rule) == NULL || strstr(alarms[0], text) == NULL) {
        fail_msg("\"%s\" and \"%s\" are not in: %s", rule, text, alarms[0]);
    }
}

static size_t files(const char *folder, const char *suffix)
{
    size_t count = 0;
    char path[PATH_MAX];
    assert_int_equal(dv_spool_folder(stand.spool, folder, path), DV_OK);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += dv_slice_ends_with(dv_slice_str(entry->d_name), dv_slice_str(suffix));
    }
    closedir(dir);
    return count;
}

/* The path of the only segment in the folder. */
static void only_segment(const char *folder, char out[PATH_MAX])
{
    char path[PATH_MAX];
    out[0] = '\0';
    assert_int_equal(dv_spool_folder(stand.spool, folder, path), DV_OK);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (dv_slice_ends_with(dv_slice_str(entry->d_name), DV_LIT(DV_SEGMENT_SUFFIX))) {
            assert_string_equal(out, "");
            snprintf(out, PATH_MAX, "%.80s/%s/%s", stand.spool, folder, entry->d_name);
        }
    }
    closedir(dir);
    assert_string_not_equal(out, "");
}

static const char *file_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* Moves the segment of `from` into the folder of `to`; "." is the spool itself. */
static void move_segment(const char *from, const char *to)
{
    char path[PATH_MAX], folder[PATH_MAX], moved[2 * PATH_MAX];
    only_segment(from, path);
    assert_int_equal(dv_spool_folder(stand.spool, to, folder), DV_OK);
    (void)mkdir(folder, 0700);
    snprintf(moved, sizeof(moved), "%s/%s", folder, file_name(path));
    assert_int_equal(rename(path, moved), 0);
}

static void run(dv_sequencer *sequencer)
{
    size_t taken;
    do {
        assert_int_equal(dv_sequencer_collect(sequencer, &taken, NULL), DV_OK);
        assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
    } while (taken > 0 || !dv_sequencer_is_level(sequencer));
}

static void run_once(void)
{
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    assert_int_equal(stand_open(BATCH, NULL, &sequencer, NULL), DV_OK);
    run(sequencer);
    read_log();
}

/* -- whose it is ------------------------------------------------------------------------------- */

static void test_each_writer_has_its_folder(void **state)
{
    stand_write("gateway", 0, 3, 2);
    stand_write("dvarad", 3, 3, 2);
    assert_int_equal(files("gateway", DV_SEGMENT_SUFFIX), 1);
    assert_int_equal(files("dvarad", DV_SEGMENT_SUFFIX), 1);
    run_once();
    assert_int_equal(event_count, 6);
    assert_int_equal(alarm_count, 0);
    assert_int_equal(files("gateway", DV_SEGMENT_SUFFIX), 0);
}

static void test_a_folder_binds_the_source(void **state)
{
    stand_write("dvarad", 0, 3, 2);
    move_segment("dvarad", "gateway");
    stand_write("dvarad", 3, 2, 2);
    run_once();
    assert_int_equal(event_count, 2);
    expect_alarm("audit.corrupt", "in the spool folder gateway claims to be of dvarad");
    assert_int_equal(files("gateway", DV_SEGMENT_REFUSED_SUFFIX), 1);
}

static void chown_segment(const char *folder, uid_t user)
{
    char path[PATH_MAX];
    only_segment(folder, path);
    assert_int_equal(chown(path, user, (gid_t)-1), 0);
}

static void chown_folder(const char *name, uid_t user)
{
    char folder[PATH_MAX];
    assert_int_equal(dv_spool_folder(stand.spool, name, folder), DV_OK);
    assert_int_equal(chown(folder, user, (gid_t)-1), 0);
}

static void only_as_root(void)
{
    if (geteuid() != 0) {
        print_message("only root can give files to others: not tested\n");
        skip();
    }
}

static void test_a_folders_user_owns_its_segments(void **state)
{
    only_as_root();
    stand_write("gateway", 0, 3, 2);
    chown_segment("gateway", ANOTHER_USER);
    run_once();
    assert_int_equal(event_count, 0);
    expect_alarm("audit.corrupt", "belongs to user 12345, who is not the one of the folder");
    chown_folder("gateway", ANOTHER_USER);
    stand_write("gateway", 3, 3, 2);
    chown_segment("gateway", ANOTHER_USER);
    run_once();
    assert_int_equal(event_count, 3);
}

/* A link, whose file may be anywhere, and so what is no file. */
static void test_what_is_no_file_of_its_own_is_refused(void **state)
{
    char path[PATH_MAX], elsewhere[PATH_MAX];
    stand_write("gateway", 0, 3, 2);
    only_segment("gateway", path);
    snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", stand.root);
    assert_int_equal(rename(path, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, path), 0);
    run_once();
    assert_int_equal(event_count, 0);
    expect_alarm("audit.corrupt", "can not open");
    assert_int_equal(files("gateway", DV_SEGMENT_REFUSED_SUFFIX), 1);
}

/* -- the place before there were folders --------------------------------------------------------
 */

static void test_what_an_older_version_left_is_read(void **state)
{
    stand_write("gateway", 0, 3, 2);
    move_segment("gateway", ".");
    run_once();
    assert_int_equal(event_count, 3);
    assert_int_equal(alarm_count, 0);
    assert_int_equal(files(".", DV_SEGMENT_SUFFIX), 0);
}

static void test_what_is_nobodys_is_refused(void **state)
{
    char folder[PATH_MAX];
    stand_write("gateway", 0, 3, 2);
    move_segment("gateway", ".");
    assert_int_equal(dv_spool_folder(stand.spool, "gateway", folder), DV_OK);
    assert_int_equal(rmdir(folder), 0);
    run_once();
    assert_int_equal(event_count, 0);
    expect_alarm("audit.corrupt", "who is not the one of the folder of gateway");
}

static void test_what_an_older_version_left_is_its_users(void **state)
{
    only_as_root();
    stand_write("dvarad", 0, 3, 2);
    chown_segment("dvarad", ANOTHER_USER);
    move_segment("dvarad", ".");
    run_once();
    assert_int_equal(event_count, 0);
    expect_alarm("audit.corrupt", "in the spool itself belongs to user 12345");
}

/* -- one name for two -------------------------------------------------------------------------- */

/* Another writer's copy of the segment, under its own name and in its own folder. */
static void imitate(const char *path, const char *as)
{
    char folder[PATH_MAX], copy[2 * PATH_MAX];
    dv_segment_header header;
    dv_auto(buf) dv_buf bytes = dv_buf_init(4 << 20);
    assert_int_equal(dv_file_read(path, &bytes, NULL), DV_OK);
    assert_int_equal(dv_segment_header_decode(bytes.ptr, &header, NULL), DV_OK);
    memset(header.info.source, 0, sizeof(header.info.source));
    dv_slice_copy(dv_slice_str(as), header.info.source, sizeof(header.info.source));
    dv_segment_header_encode(&header, bytes.ptr);
    assert_int_equal(dv_spool_folder(stand.spool, as, folder), DV_OK);
    (void)mkdir(folder, 0700);
    snprintf(copy, sizeof(copy), "%s/%s", folder, file_name(path));
    assert_int_equal(dv_file_write_atomic(copy, dv_buf_slice(&bytes), 0600, NULL), DV_OK);
}

/* Its position is not taken away: neither while it lives nor over a start, whichever folder is
 * looked into first. */
static void test_a_name_is_of_one_segment(void **state)
{
    char path[PATH_MAX], text[256];
    dv_spool *spool = NULL;
    assert_int_equal(
        dv_spool_open(stand.spool, "dvarad", stand.keys.public_key, 1 << 20, &spool, NULL), DV_OK);
    only_segment("dvarad", path);
    for (unsigned round = 0; round < 4; round++) {
        dv_auto(sequencer) dv_sequencer *sequencer = NULL;
        if (round % 2 == 0) {
            assert_int_equal(stand_open(BATCH, NULL, &sequencer, NULL), DV_OK);
            run(sequencer);
            imitate(path, "aaa");
            imitate(path, "zzz");
        } else {
            imitate(path, "aaa");
            imitate(path, "zzz");
            assert_int_equal(stand_open(BATCH, NULL, &sequencer, NULL), DV_OK);
        }
        run(sequencer);
        assert_int_equal(dv_spool_append(spool, stand_event(round, "request.open", text), false),
                         DV_OK);
        run(sequencer);
        read_log();
        assert_int_equal(event_count, round + 1);
        assert_int_equal(alarm_count, 2 * (size_t)(round + 1));
        assert_non_null(strstr(alarms[0], "bears the name of another one that is read"));
    }
    dv_spool_close(spool);
}

/* -- places ------------------------------------------------------------------------------------ */

static dv_sequencer *open_small(size_t segments_max)
{
    dv_sequencer *sequencer = NULL;
    dv_sequencer_options options = {
        .log_folder = stand.log,
        .spools = {stand.spool, NULL},
        .keys = &stand.keys,
        .signer = &stand.signer,
        .batch_bytes = BATCH,
        .segments_max = segments_max,
    };
    assert_int_equal(dv_sequencer_open(&options, &sequencer, NULL), DV_OK);
    return sequencer;
}

static uint64_t waiting_in(const dv_sequencer *sequencer)
{
    dv_sequencer_status status;
    dv_sequencer_status_get(sequencer, &status);
    return status.waiting;
}

/* Of 16 folders, 15 keep 64 places each: what is left of 1000 is 40. */
static void test_no_writer_takes_the_places_of_another(void **state)
{
    enum { PLACES = 1000, KEPT = 15 * 64, ROOM = PLACES - KEPT, MORE = 7 };
    size_t taken;
    dv_auto(sequencer) dv_sequencer *sequencer = open_small(PLACES);
    for (unsigned i = 0; i < ROOM + MORE; i++) {
        stand_write("gateway", i, 1, 2);
    }
    assert_int_equal(dv_sequencer_collect(sequencer, &taken, NULL), DV_OK);
    assert_int_equal(taken, ROOM);
    assert_int_equal(waiting_in(sequencer), MORE);
    stand_write("dvarad", ROOM + MORE, 1, 2);
    assert_int_equal(dv_sequencer_collect(sequencer, &taken, NULL), DV_OK);
    assert_int_equal(taken, 1); /* who came later waits for none of them */
    assert_int_equal(waiting_in(sequencer), MORE);
    assert_false(dv_sequencer_is_level(sequencer));
    run(sequencer);
    assert_int_equal(waiting_in(sequencer), 0);
    read_log();
    assert_int_equal(event_count, ROOM + MORE + 1);
    expect_alarm("audit.spool", "7 segments in the spool folder gateway wait"); /* once */
}

/* What a life had begun to read, the next one goes on with, however many there are. */
static void test_what_has_a_place_keeps_it(void **state)
{
    enum { SEGMENTS = 50, PLACES = 1000 };
    dv_spool *living[SEGMENTS];
    char text[256];
    dv_sequencer *sequencer = open_small(0);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        assert_int_equal(
            dv_spool_open(stand.spool, "gateway", stand.keys.public_key, 1 << 20, &living[i], NULL),
            DV_OK);
        assert_int_equal(dv_spool_append(living[i], stand_event(i, "request.open", text), false),
                         DV_OK);
    }
    run(sequencer);
    dv_sequencer_close(sequencer);
    sequencer = open_small(PLACES);
    assert_int_equal(waiting_in(sequencer), 0);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        dv_spool_close(living[i]);
    }
    run(sequencer);
    dv_sequencer_close(sequencer);
    read_log();
    assert_int_equal(event_count, SEGMENTS);
    assert_int_equal(alarm_count, 0);
}

/* -- a record that would be of another ----------------------------------------------------------
 */

/* What is there twice would be one writer's to one reader and another's to the next; and what is no
 * JSON must not spoil the log for those who verify it. */
static void test_a_record_stamps_nothing_itself(void **state)
{
    static const char *const records[] = {
        ("{\"metadata\":{\"version\":\"1.8.0\",\"event_code\":\"request.open\","
         "\"log_source\":\"dvarad/01234567-89ab-7def-8123-456789abcdef\"},\"time\":5}"),
        "{\"metadata\":{\"version\":\"1.8.0\"},\"time\":5,\"metadata\":{}}",
        "{\"metadata\":{\"version\":\"1.8.0\"},\"x\":[nothing}]}",
    };
    dv_spool *spool = NULL;
    assert_int_equal(
        dv_spool_open(stand.spool, "gateway", stand.keys.public_key, 1 << 20, &spool, NULL), DV_OK);
    for (size_t i = 0; i < DV_ARRAY_LEN(records); i++) {
        assert_int_equal(dv_spool_append(spool, dv_slice_str(records[i]), false), DV_OK);
    }
    dv_spool_close(spool);
    run_once(); /* it verifies the log */
    assert_int_equal(event_count, DV_ARRAY_LEN(records));
    expect_alarm("audit.malformed", "record 0 is kept as it came");
}

/* -- a writer that wants the others to wait ---------------------------------------------------- */

/* The same bytes under `count` names. */
static void copy_segment(const char *folder, size_t count)
{
    char path[PATH_MAX], copy[2 * PATH_MAX], id[DV_UUID_TEXT_LEN + 1];
    dv_auto(buf) dv_buf bytes = dv_buf_init(4 << 20);
    only_segment(folder, path);
    assert_int_equal(dv_file_read(path, &bytes, NULL), DV_OK);
    for (size_t i = 0; i < count; i++) {
        dv_uuid another = dv_uuid_new(dv_time_now());
        dv_uuid_format(&another, id);
        snprintf(copy, sizeof(copy), "%.80s/%s/%s" DV_SEGMENT_SUFFIX, stand.spool, folder, id);
        assert_int_equal(dv_file_write_atomic(copy, dv_buf_slice(&bytes), 0600, NULL), DV_OK);
    }
}

static void limit_files(rlim_t count)
{
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = count == 0 ? files.rlim_max : count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

/* What is refused holds neither descriptors nor memory until it is set aside, and few at a time
 * are. */
static void test_refused_ones_keep_nobody_waiting(void **state)
{
    enum { COPIES = 400, FILES = 100, AT_A_TIME = 64 };
    size_t taken;
    dv_sequencer_status status;
    dv_auto(sequencer) dv_sequencer *sequencer = open_small(0);
    stand_write("gateway", 0, 1, 2);
    copy_segment("gateway", COPIES);
    stand_write("dvarad", 1, 1, 2);
    limit_files(FILES);
    dv_result result = dv_sequencer_collect(sequencer, &taken, NULL);
    dv_sequencer_status_get(sequencer, &status);
    result = result == DV_OK ? dv_sequencer_commit(sequencer, NULL) : result;
    limit_files(0);
    assert_int_equal(result, DV_OK);
    assert_int_equal(files("dvarad", DV_SEGMENT_SUFFIX), 0);
    assert_int_equal(status.refused, AT_A_TIME);
    assert_in_range(status.waiting, COPIES - AT_A_TIME, COPIES - AT_A_TIME + 1);
    run(sequencer);
    assert_int_equal(waiting_in(sequencer), 0);
    assert_int_equal(files("gateway", DV_SEGMENT_REFUSED_SUFFIX), COPIES);
}

/* Nothing opens a socket, ever. */
static void test_a_socket_is_refused(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[PATH_MAX];
    stand_write("gateway", 0, 1, 2);
    only_segment("gateway", path);
    assert_int_equal(unlink(path), 0);
    dv_auto(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    run_once();
    expect_alarm("audit.corrupt", "in the spool folder gateway can not be read: can not open");
    assert_int_equal(files("gateway", DV_SEGMENT_REFUSED_SUFFIX), 1);
}

/* One kind of writer fills each batch, with older segments, none of which waits for another; the
 * other kind's comes in between. */
static void test_each_kind_of_writer_has_its_turn(void **state)
{
    enum { SMALL_BATCH = 16 << 10, SEGMENTS = 8, EACH = 2000, ROUNDS = 16 };
    size_t taken;
    dv_spool *living[SEGMENTS];
    char text[256];
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    assert_int_equal(stand_open(SMALL_BATCH, NULL, &sequencer, NULL), DV_OK);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        assert_int_equal(
            dv_spool_open(stand.spool, "gateway", stand.keys.public_key, 4 << 20, &living[i], NULL),
            DV_OK);
        for (unsigned k = 0; k < EACH; k++) {
            dv_slice event = stand_event(i * EACH + k, "request.open", text);
            assert_int_equal(dv_spool_append(living[i], event, false), DV_OK);
        }
    }
    stand_write("dvarad", SEGMENTS * EACH, 1, 2);
    for (size_t i = 0; i < ROUNDS; i++) {
        assert_int_equal(dv_sequencer_collect(sequencer, &taken, NULL), DV_OK);
        assert_true(taken < SEGMENTS * EACH / ROUNDS);
        assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
    }
    assert_int_equal(files("dvarad", DV_SEGMENT_SUFFIX), 0);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        dv_spool_close(living[i]);
    }
    run(sequencer);
    read_log();
    assert_int_equal(event_count, SEGMENTS * EACH + 1);
}

/* Its owner can close it to others; root, whom nothing is closed to, has no descriptor left. */
static void test_a_folder_that_can_not_be_read_is_told(void **state)
{
    size_t taken;
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    stand_write("gateway", 0, 1, 2);
    assert_int_equal(stand_open(BATCH, NULL, &sequencer, NULL), DV_OK);
    run(sequencer);
    limit_files(3);
    dv_result first = dv_sequencer_collect(sequencer, &taken, NULL);
    dv_result second = dv_sequencer_collect(sequencer, &taken, NULL);
    limit_files(0);
    assert_int_equal(first, DV_OK);
    assert_int_equal(second, DV_OK);
    run(sequencer);
    read_log();
    assert_int_equal(alarm_count, 2); /* of the spool and of the folder, once */
    assert_non_null(strstr(alarms[1], "the spool folder gateway can not be read (Too many open"));
}

static void test_a_folder_that_is_made_again_is_read(void **state)
{
    char folder[PATH_MAX];
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    stand_write("gateway", 0, 1, 2);
    assert_int_equal(stand_open(BATCH, NULL, &sequencer, NULL), DV_OK);
    run(sequencer);
    assert_int_equal(dv_spool_folder(stand.spool, "gateway", folder), DV_OK);
    assert_int_equal(rmdir(folder), 0);
    stand_write("gateway", 1, 2, 2);
    run(sequencer);
    read_log();
    assert_int_equal(event_count, 3);
    assert_int_equal(alarm_count, 0);
    assert_int_equal(files("gateway", DV_SEGMENT_SUFFIX), 0);
}

/* A file of terabytes that holds nothing is not read byte by byte. */
static void test_a_hole_takes_no_time(void **state)
{
    enum { A_WHILE = 10 };
    static const off_t huge = INT64_C(8) << 40;
    char path[PATH_MAX];
    stand_write("gateway", 0, 3, 2);
    only_segment("gateway", path);
    assert_int_equal(truncate(path, huge), 0);
    alarm(A_WHILE);
    run_once();
    alarm(0);
    assert_int_equal(event_count, 3);
    assert_int_equal(alarm_count, 0);
}

#define SPOOL_TEST(name) cmocka_unit_test_setup_teardown(name, stand_make, stand_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPOOL_TEST(test_each_writer_has_its_folder),
        SPOOL_TEST(test_a_folder_binds_the_source),
        SPOOL_TEST(test_a_folders_user_owns_its_segments),
        SPOOL_TEST(test_what_is_no_file_of_its_own_is_refused),
        SPOOL_TEST(test_what_an_older_version_left_is_read),
        SPOOL_TEST(test_what_is_nobodys_is_refused),
        SPOOL_TEST(test_what_an_older_version_left_is_its_users),
        SPOOL_TEST(test_a_name_is_of_one_segment),
        SPOOL_TEST(test_no_writer_takes_the_places_of_another),
        SPOOL_TEST(test_what_has_a_place_keeps_it),
        SPOOL_TEST(test_refused_ones_keep_nobody_waiting),
        SPOOL_TEST(test_a_socket_is_refused),
        SPOOL_TEST(test_each_kind_of_writer_has_its_turn),
        SPOOL_TEST(test_a_folder_that_can_not_be_read_is_told),
        SPOOL_TEST(test_a_folder_that_is_made_again_is_read),
        SPOOL_TEST(test_a_hole_takes_no_time),
        SPOOL_TEST(test_a_record_stamps_nothing_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
