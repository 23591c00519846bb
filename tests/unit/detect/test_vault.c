/* SPDX-License-Identifier: Apache-2.0 */
/* engine/detect/action/vault: when entries were made, vaults of a Dvara that kept no times,
 * removing entries, and who comes in between. */
#include "engine/detect/action/vault.h"

#include "../temp.h"
#include "base/codec.h"
#include "crypto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint8_t key[32] = {7};
static const char run_id[] = "0190b8a4-1111-7000-8000-000000000001";

enum { DAY = 86400, HEAD = 80, FRONT = 54 };
static const dv_time then = INT64_C(1700000000) * DV_SECOND;

/* As the last version without times wrote it, with the same key: "one" and "two@example.com". */
static const char former_hex[] =
    "6476617261207661756c742076320a001c618e657aa21896f28d41cdaa51f43950000000000000001b796d2a7e74"
    "3e060f7c7470e73beaf9f600000000000000b427e475aa52a4bcd8c4b52aedf9d9ba1300000073956f08482c1d3c"
    "7f4b765edc7580386b4c475746337a58616c6d416d3354625a4a356b7a35525202b45dd7061465efdbc24b27dfb0"
    "2886a02b029d154591149878d6dbf62257f6ee1f000000f8e2fc1a074c7f1b31c5ef9f21b9c1054e32416a777531"
    "59653469505545355375485779783433ff58a5d837e8cba1f366cd941e7204b34406392b5d3ce7cfc9f7e098c394"
    "d35e586ce4b006095ad95a88117d7161";
static const char former_one[] = "dvt_kLGWF3zXalmAm3TbZJ5kz5";
static const char former_two[] = "dvt_N2Ajwu1Ye4iPUE5SuHWyx4";

/* As a Dvara wrote it that remembered one removal only: "two", and that run
 * 0190b8a4-...-0000000000aa removed one entry. */
static const char one_removal_hex[] =
    "6476617261207661756c742076320a001c618e657aa21896f28d41cdaa51f4392401000000000000647fe76227e8"
    "38acfe4beda4f24e0b8c0000000000000000000000000000000000000000000000001b000080aec78a9bbdc1dde7"
    "10b1d7e05f08b294786c717a4b3261394537736e4668774d716b466454499b7682fd388a0ea4d6600e3ce3b2b375"
    "9b64de308c6cf744165aa6d2943dd7f05f1c35a8ccead8c0043004450000c0000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000c084c1a3a25c7a582961e3cb5948a864b7a04d7d575ec0"
    "9714d2bc0f0743041ad51fc63ca99767ea4600278795c63fa5b8079b1915e93cd2bb09224de7d25def40f6cbcb26"
    "5792df94b38c95176f5b4d09b5c0a149";
static const char one_removal_two[] = "dvt_xlqzK2a9E7snFhwMqkFdTI";
static const char one_removal_run[] = "0190b8a4-1111-7000-8000-0000000000aa";

typedef struct place {
    temp_dir dir;
    char path[96];
    char anew[128];
} place;

static int make_place(void **state)
{
    place *p = calloc(1, sizeof(*p));
    temp_dir_make(&p->dir);
    snprintf(p->path, sizeof(p->path), "%s/vault", p->dir.path);
    snprintf(p->anew, sizeof(p->anew), "%s.dvara-new", p->path);
    *state = p;
    return 0;
}

static int drop_place(void **state)
{
    place *p = *state;
    temp_dir_remove(&p->dir);
    free(p);
    return 0;
}

static dv_vault *open_vault(const char *path, bool write)
{
    dv_vault *vault = NULL;
    dv_error error = {0};
    dv_result result = dv_vault_open(path, key, write, &vault, &error);
    if (result != DV_OK) {
        print_error("%s\n", error.message);
    }
    assert_int_equal(result, DV_OK);
    return vault;
}

static void add(dv_vault *vault, dv_time when, const char *value, char token[64])
{
    dv_auto(buf) dv_buf made = dv_buf_init(63);
    dv_vault_set_now(vault, when);
    assert_int_equal(dv_vault_token(vault, dv_slice_str(value), &made), DV_OK);
    dv_slice_copy(dv_buf_slice(&made), token, 64);
    assert_int_equal(dv_vault_commit(vault, NULL), DV_OK);
}

static dv_result tell(dv_vault *vault, const char *token, const char *value)
{
    dv_auto(secret_buf) dv_buf out = dv_buf_init(1000);
    dv_result result = dv_vault_open_token(vault, dv_slice_str(token), &out);
    if (result == DV_OK) {
        assert_string_equal(dv_buf_cstr(&out), value);
    }
    return result;
}

static bool made_until(const void *data, dv_slice token, dv_time made)
{
    (void)token;
    return made != 0 && made <= *(const dv_time *)data;
}

static bool is_token(const void *data, dv_slice token, dv_time made)
{
    (void)made;
    return dv_slice_eq_str(token, data);
}

static bool nothing(const void *data, dv_slice token, dv_time made)
{
    (void)data, (void)token, (void)made;
    return false;
}

static dv_vault_tally count_until(dv_vault *vault, dv_time until)
{
    dv_vault_tally tally;
    assert_int_equal(dv_vault_count_going(vault, made_until, &until, &tally, NULL), DV_OK);
    return tally;
}

static void remove_until(const char *path, dv_time until, dv_vault_tally *tally)
{
    dv_error error = {0};
    dv_vault *vault = open_vault(path, true);
    assert_int_equal(dv_vault_rewrite(vault, made_until, &until, run_id, tally, &error), DV_OK);
    assert_int_equal(dv_vault_exchange(vault, &error), DV_OK);
    dv_vault_free(vault);
}

static off_t size_of(const char *path)
{
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    return about.st_size;
}

static void put(const char *path, off_t at, const void *bytes, size_t len)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, at), len);
    close(fd);
}

static void get(const char *path, off_t at, void *bytes, size_t len)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, len, at), len);
    close(fd);
}

static void put_hex(const char *path, const char *hex)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(4096);
    for (size_t i = 0; i + 1 < strlen(hex); i += 2) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex + i, "%2x", &byte), 1);
        assert_int_equal(dv_buf_append_byte(&bytes, (uint8_t)byte), DV_OK);
    }
    put(path, 0, bytes.ptr, bytes.len);
}

/* ---- removing -------------------------------------------------------------------------------- */

static void removes_what_is_old_enough(void **state)
{
    const place *p = *state;
    char one[64], two[64], three[64], again[64];
    struct stat before, after;
    dv_vault_tally tally;
    dv_vault *vault = open_vault(p->path, true), *view = NULL;
    add(vault, then, "one", one);
    add(vault, then + DAY * DV_SECOND, "two", two);
    add(vault, then + 2 * DAY * DV_SECOND, "three", three);
    dv_vault_free(vault);
    assert_int_equal(chmod(p->path, 0640), 0);
    assert_int_equal(stat(p->path, &before), 0);
    assert_int_equal(dv_vault_view(p->path, key, 1 << 20, &view, NULL), DV_OK);
    assert_string_equal(dv_vault_last_removal(view)->run, "");

    remove_until(p->path, then + DAY * DV_SECOND, &tally);
    assert_int_equal(tally.going, 2);
    assert_int_equal(tally.left, 1);
    assert_true(tally.oldest == then && tally.newest == then + DAY * DV_SECOND);
    assert_int_equal(stat(p->path, &after), 0);
    assert_int_equal(after.st_mode, before.st_mode);
    assert_true(after.st_ino != before.st_ino && after.st_size < before.st_size);
    assert_int_equal(access(p->anew, F_OK), -1);

    /* Who looked before looks anew. */
    assert_int_equal(dv_vault_refresh(view, p->path, NULL), DV_ERR_CONFLICT);
    dv_vault_free(view);
    assert_int_equal(dv_vault_view(p->path, key, 1 << 20, &view, NULL), DV_OK);
    assert_int_equal(tell(view, one, ""), DV_ERR_NOT_FOUND);
    assert_int_equal(tell(view, two, ""), DV_ERR_NOT_FOUND);
    assert_int_equal(tell(view, three, "three"), DV_OK);
    assert_string_equal(dv_vault_last_removal(view)->run, run_id);
    assert_int_equal(dv_vault_last_removal(view)->entries, 2);

    /* The value comes again: the old token stays dead. */
    vault = open_vault(p->path, true);
    add(vault, then + 3 * DAY * DV_SECOND, "one", again);
    assert_string_not_equal(one, again);
    dv_vault_free(vault);
    assert_int_equal(dv_vault_refresh(view, p->path, NULL), DV_OK);
    assert_int_equal(tell(view, again, "one"), DV_OK);
    assert_int_equal(tell(view, one, ""), DV_ERR_NOT_FOUND);
    dv_vault_free(view);
}

static void removes_one_person_s(void **state)
{
    const place *p = *state;
    char one[64], two[64];
    dv_vault_tally tally;
    dv_error error = {0};
    dv_auto(buf) dv_buf known = dv_buf_init(64);
    dv_vault *vault = open_vault(p->path, true);
    add(vault, then, "one", one);
    add(vault, then, "two", two);
    assert_int_equal(dv_vault_known(vault, DV_LIT("two"), &known), DV_OK);
    assert_string_equal(dv_buf_cstr(&known), two);
    assert_int_equal(dv_vault_known(vault, DV_LIT("three"), &known), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_vault_rewrite(vault, is_token, two, run_id, &tally, &error), DV_OK);
    assert_true(tally.going == 1 && tally.left == 1);
    assert_int_equal(dv_vault_exchange(vault, &error), DV_OK);
    dv_vault_free(vault);
    vault = open_vault(p->path, false);
    assert_int_equal(tell(vault, one, "one"), DV_OK);
    assert_int_equal(tell(vault, two, ""), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_vault_rewrite(vault, nothing, NULL, run_id, &tally, &error),
                     DV_ERR_UNSUPPORTED); /* a reader removes nothing */
    dv_vault_free(vault);
}

/* ---- what it remembers ----------------------------------------------------------------------- */

static const char *run_of(int number, char out[DV_VAULT_RUN_LEN + 1])
{
    snprintf(out, DV_VAULT_RUN_LEN + 1, "0190b8a4-1111-7000-8000-%012d", number);
    return out;
}

/* Removes nothing, which is a removal all the same. */
static void remove_at(const char *path, dv_time when, int number)
{
    char run[DV_VAULT_RUN_LEN + 1];
    dv_vault_tally tally;
    dv_vault *vault = open_vault(path, true);
    dv_vault_set_now(vault, when);
    assert_int_equal(dv_vault_rewrite(vault, nothing, NULL, run_of(number, run), &tally, NULL),
                     DV_OK);
    assert_int_equal(dv_vault_exchange(vault, NULL), DV_OK);
    dv_vault_free(vault);
}

static dv_vault_word ask(const char *path, int number, dv_time began)
{
    char run[DV_VAULT_RUN_LEN + 1];
    const dv_vault_removal *removal = NULL;
    dv_vault *vault = open_vault(path, false);
    dv_vault_word says = dv_vault_ask(vault, run_of(number, run), began, &removal);
    assert_int_equal(removal != NULL, says == DV_VAULT_SAYS_YES);
    assert_true(removal == NULL || strcmp(removal->run, run) == 0);
    dv_vault_free(vault);
    return says;
}

/* Each of the last ones; a clock that went back makes none of them earlier. */
static void remembers_its_removals(void **state)
{
    const place *p = *state;
    enum { MORE = 6, ALL = DV_VAULT_REMOVALS_MAX + MORE };
    dv_vault_free(open_vault(p->path, true));
    assert_int_equal(ask(p->path, 1, then), DV_VAULT_SAYS_NO);
    for (int i = 1; i < DV_VAULT_REMOVALS_MAX; i++) {
        remove_at(p->path, then + (i == 2 ? -1 : i) * DAY * DV_SECOND, i);
    }
    for (int i = 1; i < DV_VAULT_REMOVALS_MAX; i++) {
        assert_int_equal(ask(p->path, i, 1), DV_VAULT_SAYS_YES);
    }
    assert_int_equal(ask(p->path, ALL, 1), DV_VAULT_SAYS_NO); /* these are all there ever were */
    off_t full = 0;
    for (int i = DV_VAULT_REMOVALS_MAX; i <= ALL; i++) {
        remove_at(p->path, then + i * DAY * DV_SECOND, i);
        full = i == DV_VAULT_REMOVALS_MAX ? size_of(p->path) : full;
    }
    assert_int_equal(size_of(p->path), full); /* it does not grow for ever */
    assert_int_equal(ask(p->path, MORE + 1, 1), DV_VAULT_SAYS_YES);
    assert_int_equal(ask(p->path, ALL, 1), DV_VAULT_SAYS_YES);
    assert_int_equal(ask(p->path, MORE, then), DV_VAULT_SAYS_NOTHING); /* forgotten */
    assert_int_equal(ask(p->path, ALL + 1, then), DV_VAULT_SAYS_NOTHING);
    assert_int_equal(ask(p->path, ALL + 1, then + (MORE + 1) * DAY * DV_SECOND),
                     DV_VAULT_SAYS_NOTHING);
    assert_int_equal(ask(p->path, ALL + 1, then + (MORE + 2) * DAY * DV_SECOND), DV_VAULT_SAYS_NO);
}

static void remembers_the_clock_that_went_back(void **state)
{
    const place *p = *state;
    dv_vault_free(open_vault(p->path, true));
    remove_at(p->path, then, 1);
    remove_at(p->path, then - DAY * DV_SECOND, 2);
    dv_vault *vault = open_vault(p->path, false);
    assert_true(dv_vault_last_removal(vault)->at == then);
    dv_vault_free(vault);
}

/* What came before its one removal nobody knows, even once there are more. */
static void vaults_that_remembered_one_removal(void **state)
{
    const place *p = *state;
    put_hex(p->path, one_removal_hex);
    dv_vault *vault = open_vault(p->path, false);
    assert_int_equal(tell(vault, one_removal_two, "two"), DV_OK);
    const dv_vault_removal last = *dv_vault_last_removal(vault);
    assert_string_equal(last.run, one_removal_run);
    assert_int_equal(last.entries, 1);
    dv_vault_free(vault);
    assert_int_equal(ask(p->path, 1, last.at), DV_VAULT_SAYS_NOTHING);
    assert_int_equal(ask(p->path, 1, last.at + 1), DV_VAULT_SAYS_NO);
    remove_at(p->path, last.at + DAY * DV_SECOND, 2);
    remove_at(p->path, last.at + 2 * DAY * DV_SECOND, 3);
    vault = open_vault(p->path, true);
    const dv_vault_removal *removal = NULL;
    assert_int_equal(dv_vault_ask(vault, one_removal_run, 1, &removal), DV_VAULT_SAYS_YES);
    assert_true(removal->entries == 1 && removal->at == last.at);
    assert_int_equal(tell(vault, one_removal_two, "two"), DV_OK);
    dv_vault_free(vault);
    assert_int_equal(ask(p->path, 2, 1), DV_VAULT_SAYS_YES);
    assert_int_equal(ask(p->path, 3, 1), DV_VAULT_SAYS_YES);
    assert_int_equal(ask(p->path, 1, last.at), DV_VAULT_SAYS_NOTHING);
    assert_int_equal(ask(p->path, 1, last.at + 1), DV_VAULT_SAYS_NO);
}

/* ---- times ----------------------------------------------------------------------------------- */

static void a_clock_that_goes_back_makes_nothing_old(void **state)
{
    const place *p = *state;
    char token[64];
    dv_vault *vault = open_vault(p->path, true);
    add(vault, then, "one", token);
    add(vault, then - 1000 * DAY * DV_SECOND, "two", token);
    dv_vault_free(vault);
    vault = open_vault(p->path, true); /* another program run knows it, too */
    add(vault, 1, "three", token);
    assert_int_equal(count_until(vault, then - 1).going, 0);
    assert_int_equal(count_until(vault, then).going, 3);
    dv_vault_free(vault);
}

static void put_former(const char *path)
{
    put_hex(path, former_hex);
}

static void former_vaults_count_from_the_first_writing(void **state)
{
    const place *p = *state;
    char three[64];
    dv_vault_tally tally;
    put_former(p->path);
    off_t before = size_of(p->path);
    dv_vault *vault = open_vault(p->path, false);
    assert_int_equal(tell(vault, former_one, "one"), DV_OK);
    assert_int_equal(tell(vault, former_two, "two@example.com"), DV_OK);
    assert_int_equal(count_until(vault, INT64_MAX).going, 0); /* nobody knows how old they are */
    dv_vault_free(vault);
    assert_int_equal(size_of(p->path), before);

    dv_time began = dv_time_now();
    vault = open_vault(p->path, true);
    assert_int_equal(count_until(vault, began - 1).going, 0);
    assert_int_equal(count_until(vault, dv_time_now()).going, 2);
    add(vault, began + DAY * DV_SECOND, "three", three);
    dv_vault_free(vault);
    vault = open_vault(p->path, true); /* counts from then on, not anew */
    assert_int_equal(count_until(vault, dv_time_now()).going, 2);
    assert_int_equal(count_until(vault, began - 1).going, 0);
    dv_vault_free(vault);

    vault = open_vault(p->path, true); /* those that stay keep their time */
    assert_int_equal(dv_vault_rewrite(vault, is_token, former_one, run_id, &tally, NULL), DV_OK);
    assert_int_equal(dv_vault_exchange(vault, NULL), DV_OK);
    dv_vault_free(vault);
    vault = open_vault(p->path, true);
    assert_int_equal(tell(vault, former_two, "two@example.com"), DV_OK);
    assert_int_equal(count_until(vault, began - 1).going, 0);
    assert_int_equal(count_until(vault, dv_time_now()).going, 1);
    dv_vault_free(vault);
    remove_until(p->path, dv_time_now(), &tally);
    assert_true(tally.going == 1 && tally.left == 1 && tally.oldest >= began);
    vault = open_vault(p->path, false);
    assert_int_equal(tell(vault, former_two, ""), DV_ERR_NOT_FOUND);
    assert_int_equal(tell(vault, three, "three"), DV_OK);
    dv_vault_free(vault);
}

/* A clock that is behind makes nothing older than the file. */
static void former_vaults_are_no_older_than_their_file(void **state)
{
    const place *p = *state;
    put_former(p->path);
    dv_time later = dv_time_now() + 10 * DAY * DV_SECOND;
    const struct timespec times[2] = {{.tv_sec = later / DV_SECOND}, {.tv_sec = later / DV_SECOND}};
    assert_int_equal(utimensat(AT_FDCWD, p->path, times, 0), 0);
    dv_vault *vault = open_vault(p->path, true);
    assert_int_equal(count_until(vault, later - DAY * DV_SECOND).going, 0);
    assert_int_equal(count_until(vault, later + DAY * DV_SECOND).going, 2);
    dv_vault_free(vault);
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* Changes a byte of the first record and makes its checksum right again. */
static void forge(const char *path, size_t at, uint8_t with)
{
    uint8_t record[256];
    get(path, HEAD, record, FRONT);
    size_t size = FRONT + (dv_get_u32(record) & 0xffffff) + 4;
    assert_true(size < sizeof(record));
    get(path, HEAD, record, size);
    record[at] ^= with;
    dv_put_u32(record + size - 4, dv_crc32c(0, dv_slice_of(record, size - 4)));
    put(path, HEAD, record, size);
}

static void assert_not_rewritten(const place *p, dv_time until)
{
    dv_error error = {0};
    dv_vault_tally tally;
    off_t before = size_of(p->path);
    dv_vault *vault = open_vault(p->path, true);
    assert_int_equal(dv_vault_count_going(vault, made_until, &until, &tally, &error),
                     DV_ERR_CORRUPT);
    assert_int_equal(dv_vault_rewrite(vault, made_until, &until, run_id, &tally, &error),
                     DV_ERR_CORRUPT);
    assert_non_null(strstr(error.message, "is damaged at byte 80"));
    assert_int_equal(access(p->anew, F_OK), -1);
    assert_int_equal(dv_vault_exchange(vault, &error), DV_ERR_UNSUPPORTED);
    dv_vault_free(vault);
    assert_int_equal(size_of(p->path), before);
}

static void times_can_not_be_forged(void **state)
{
    static const size_t places[] = {FRONT + 1, FRONT + 12, 5, 24, 46};
    const place *p = *state;
    for (size_t i = 0; i < DV_ARRAY_LEN(places); i++) {
        char token[64];
        (void)unlink(p->path);
        dv_vault *vault = open_vault(p->path, true);
        add(vault, then, "one", token);
        add(vault, then, "two", token);
        dv_vault_free(vault);
        forge(p->path, places[i], 1);
        assert_not_rewritten(p, then);
    }
}

/* A record with a time passed off as one without, or the other way round. */
static void kinds_can_not_be_forged(void **state)
{
    const place *p = *state;
    char one[64], two[64];
    dv_vault *vault = open_vault(p->path, true);
    add(vault, then, "a value of some length", one);
    add(vault, then, "two", two);
    dv_vault_free(vault);
    forge(p->path, 3, 0x80);
    vault = open_vault(p->path, false);
    assert_int_equal(tell(vault, one, ""), DV_ERR_CORRUPT);
    assert_int_equal(tell(vault, two, "two"), DV_OK);
    dv_vault_free(vault);
    assert_not_rewritten(p, then);
    forge(p->path, 3, 0x80 ^ 0xC0); /* as a note: then it is not opened at all */
    assert_int_equal(dv_vault_open(p->path, key, false, &vault, NULL), DV_ERR_CORRUPT);
}

/* ---- who comes in between -------------------------------------------------------------------- */

static void what_was_interrupted_leaves_the_vault(void **state)
{
    const place *p = *state;
    char one[64];
    dv_vault_tally tally;
    dv_time until = then;
    dv_vault *vault = open_vault(p->path, true), *other = NULL;
    add(vault, then, "one", one);
    dv_vault_free(vault);
    pid_t child = fork();
    if (child == 0) { /* killed before the exchange */
        vault = open_vault(p->path, true);
        _exit(dv_vault_rewrite(vault, made_until, &until, run_id, &tally, NULL) == DV_OK ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(access(p->anew, F_OK), 0);
    vault = open_vault(p->path, false); /* a reader leaves it */
    assert_int_equal(access(p->anew, F_OK), 0);
    assert_int_equal(tell(vault, one, "one"), DV_OK);
    dv_vault_free(vault);
    vault = open_vault(p->path, true); /* the next writer does not */
    assert_int_equal(access(p->anew, F_OK), -1);
    assert_int_equal(dv_vault_open(p->path, key, true, &other, NULL), DV_ERR_CONFLICT);
    assert_int_equal(dv_vault_rewrite(vault, made_until, &until, run_id, &tally, NULL), DV_OK);
    assert_int_equal(dv_vault_open(p->path, key, false, &other, NULL), DV_ERR_CONFLICT);
    dv_vault_free(vault); /* given up */
    assert_int_equal(access(p->anew, F_OK), -1);
    vault = open_vault(p->path, false);
    assert_int_equal(tell(vault, one, "one"), DV_OK);
    assert_int_equal(dv_vault_open(p->path, key, true, &other, NULL), DV_ERR_CONFLICT);
    dv_vault_free(vault);
}

/* ---- tricks with its path ---------------------------------------------------------------------
 */

static dv_vault *rewritten(const char *path, dv_error *error)
{
    dv_vault_tally tally;
    dv_vault *vault = open_vault(path, true);
    assert_int_equal(dv_vault_rewrite(vault, nothing, NULL, run_id, &tally, error), DV_OK);
    return vault;
}

static void add_one(const char *path)
{
    char token[64];
    dv_vault *vault = open_vault(path, true);
    add(vault, then, "one", token);
    dv_vault_free(vault);
}

/* Under another name all of it would stay. */
static void other_names_keep_it(void **state)
{
    const place *p = *state;
    char link_path[PATH_MAX];
    dv_error error = {0};
    dv_vault_tally tally;
    temp_path(&p->dir, "link", link_path);
    add_one(p->path);
    assert_int_equal(link(p->path, link_path), 0);
    dv_vault *vault = open_vault(link_path, true);
    assert_int_equal(dv_vault_rewrite(vault, nothing, NULL, run_id, &tally, &error),
                     DV_ERR_CONFLICT);
    assert_non_null(strstr(error.message, "hard links"));
    dv_vault_free(vault);
    assert_int_equal(unlink(link_path), 0);
    vault = rewritten(p->path, &error);
    assert_int_equal(link(p->path, link_path), 0); /* at the last moment */
    assert_int_equal(dv_vault_exchange(vault, &error), DV_ERR_CONFLICT);
    dv_vault_free(vault);
    assert_int_equal(access(p->anew, F_OK), -1);
    vault = open_vault(p->path, false);
    assert_string_equal(dv_vault_last_removal(vault)->run, "");
    assert_int_equal(dv_vault_count(vault), 1);
    dv_vault_free(vault);
}

static ino_t inode_of(const char *path)
{
    struct stat about;
    assert_int_equal(lstat(path, &about), 0);
    return about.st_ino;
}

/* A copy that somebody puts back meanwhile is not overwritten. */
static void what_took_its_place_stays(void **state)
{
    const place *p = *state;
    char copy[PATH_MAX];
    dv_error error = {0};
    temp_path(&p->dir, "copy", copy);
    add_one(p->path);
    add_one(copy);
    dv_vault *vault = rewritten(p->path, &error);
    ino_t put_back = inode_of(copy);
    assert_int_equal(rename(copy, p->path), 0);
    assert_int_equal(dv_vault_exchange(vault, &error), DV_ERR_CONFLICT);
    assert_non_null(strstr(error.message, "another file by now"));
    dv_vault_free(vault);
    assert_true(inode_of(p->path) == put_back);
    assert_int_equal(access(p->anew, F_OK), -1);
}

/* Nor does what somebody put in the place of the new file become the vault. */
static void what_took_the_place_of_the_new_one_is_not_taken(void **state)
{
    const place *p = *state;
    char other[PATH_MAX];
    dv_error error = {0};
    temp_path(&p->dir, "other", other);
    add_one(p->path);
    ino_t vault_is = inode_of(p->path);
    for (int i = 0; i < 2; i++) {
        dv_vault *vault = rewritten(p->path, &error);
        assert_int_equal(i == 0 ? unlink(p->anew) : 0, 0);
        put(other, 0, "no vault", 8);
        assert_int_equal(i == 0 ? symlink(other, p->anew) : rename(other, p->anew), 0);
        assert_int_equal(dv_vault_exchange(vault, &error), DV_ERR_CONFLICT);
        dv_vault_free(vault);
        assert_true(inode_of(p->path) == vault_is);
    }
    assert_int_equal(mkdir(p->anew, 0700), 0); /* nor is it known what that is */
    dv_vault_tally tally;
    dv_vault *vault = open_vault(p->path, true);
    assert_int_equal(dv_vault_rewrite(vault, nothing, NULL, run_id, &tally, &error), DV_ERR_IO);
    assert_non_null(strstr(error.message, ".dvara-new can't be made"));
    dv_vault_free(vault);
    assert_true(inode_of(p->path) == vault_is);
}

/* One named user beside owner, group and mask, as the kernel has it. */
static size_t make_acl(uint8_t out[64], uint16_t rights)
{
    static const uint16_t tags[] = {0x01, 0x02, 0x04, 0x10, 0x20}; /* others get nothing */
    dv_put_u32(out, 2);
    for (size_t i = 0; i < DV_ARRAY_LEN(tags); i++) {
        uint8_t *at = out + 4 + 8 * i;
        uint32_t may = tags[i] == 0x20 ? 0 : tags[i] == 0x01 ? 6 : rights;
        dv_put_u32(at, may << 16 | tags[i]);
        dv_put_u32(at + 4, tags[i] == 0x02 ? 12345 : UINT32_MAX);
    }
    return 4 + 8 * DV_ARRAY_LEN(tags);
}

/* Whoever could not read the vault can't read the new one, whatever its folder hands on. */
static void access_lists_stay_as_they_were(void **state)
{
    static const char own[] = "system.posix_acl_access";
    const place *p = *state;
    uint8_t acl[64], got[64];
    dv_error error = {0};
    size_t len = make_acl(acl, 4);
    add_one(p->path);
    if (setxattr(p->dir.path, "system.posix_acl_default", acl, len, 0) != 0) {
        assert_int_equal(errno, EOPNOTSUPP);
        skip();
    }
    assert_int_equal(chmod(p->path, 0640), 0);
    dv_vault *vault = rewritten(p->path, &error);
    assert_int_equal(dv_vault_exchange(vault, &error), DV_OK);
    dv_vault_free(vault);
    assert_int_equal(getxattr(p->path, own, got, sizeof(got)), -1);
    assert_int_equal(errno, ENODATA);
    make_acl(acl, 6);
    assert_int_equal(setxattr(p->path, own, acl, len, 0), 0);
    vault = rewritten(p->path, &error);
    assert_int_equal(dv_vault_exchange(vault, &error), DV_OK);
    dv_vault_free(vault);
    assert_int_equal(getxattr(p->path, own, got, sizeof(got)), len);
    assert_memory_equal(got, acl, len);
}

/* In a program run of its own, as a user who may do less. */
static dv_result rewrite_as_nobody(const char *path)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        dv_vault *vault = NULL;
        dv_vault_tally tally;
        dv_result result =
            setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0
                ? dv_vault_open(path, key, true, &vault, NULL)
                : DV_ERR_INTERNAL;
        result = result == DV_OK ? dv_vault_rewrite(vault, nothing, NULL, run_id, &tally, NULL)
                                 : DV_ERR_INTERNAL;
        result = result == DV_OK ? dv_vault_exchange(vault, NULL) : result;
        dv_vault_free(vault);
        _exit((int)result);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return (dv_result)WEXITSTATUS(status);
}

/* What could not be kept as it was, or not for good, is not begun; values are added all the same.
 */
static void who_may_do_less_changes_nothing(void **state)
{
    const place *p = *state;
    if (geteuid() != 0) {
        skip();
    }
    add_one(p->path);
    assert_int_equal(chown(p->path, 65534, 65534), 0);
    assert_int_equal(chown(p->dir.path, 65534, 65534), 0);
    ino_t before = inode_of(p->path);
    assert_int_equal(rewrite_as_nobody(p->path), DV_OK);
    ino_t after = inode_of(p->path);
    assert_true(after != before);
    assert_int_equal(chmod(p->dir.path, 0300), 0); /* its folder can't be synced */
    assert_int_equal(rewrite_as_nobody(p->path), DV_ERR_IO);
    assert_int_equal(chmod(p->dir.path, 0700), 0);
    assert_int_equal(chown(p->path, 0, 65534), 0); /* its owner can't be given */
    assert_int_equal(chmod(p->path, 0660), 0);
    assert_int_equal(rewrite_as_nobody(p->path), DV_ERR_IO);
    assert_int_equal(access(p->anew, F_OK), -1);
    assert_true(inode_of(p->path) == after);
}

enum { WRITTEN = 300 };

/* Each value by a program run of its own, as it were. */
static void write_values(const char *path)
{
    for (int i = 0; i < WRITTEN; i++) {
        char value[32];
        dv_vault *vault = NULL;
        dv_auto(buf) dv_buf token = dv_buf_init(64);
        snprintf(value, sizeof(value), "value %d", i);
        while (dv_vault_open(path, key, true, &vault, NULL) == DV_ERR_CONFLICT) {
        }
        if (vault == NULL || dv_vault_token(vault, dv_slice_str(value), &token) != DV_OK ||
            dv_vault_commit(vault, NULL) != DV_OK) {
            _exit(1);
        }
        dv_vault_free(vault);
    }
}

/* Whoever had the old file open when the new one took its name must not write into it. */
static void writers_lose_nothing_beside_it(void **state)
{
    const place *p = *state;
    dv_vault_tally tally;
    int status = 1;
    size_t rewritten = 0;
    dv_vault_free(open_vault(p->path, true));
    pid_t child = fork();
    if (child == 0) {
        write_values(p->path);
        _exit(0);
    }
    while (waitpid(child, &status, WNOHANG) == 0) {
        dv_vault *vault = NULL;
        if (dv_vault_open(p->path, key, true, &vault, NULL) == DV_OK) {
            assert_int_equal(dv_vault_rewrite(vault, nothing, NULL, run_id, &tally, NULL), DV_OK);
            assert_int_equal(dv_vault_exchange(vault, NULL), DV_OK);
            dv_vault_free(vault);
            rewritten++;
        }
    }
    assert_int_equal(status, 0);
    assert_true(rewritten > 0);
    dv_vault *vault = open_vault(p->path, false);
    assert_int_equal(dv_vault_count(vault), WRITTEN);
    dv_vault_free(vault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(removes_what_is_old_enough, make_place, drop_place),
        cmocka_unit_test_setup_teardown(removes_one_person_s, make_place, drop_place),
        cmocka_unit_test_setup_teardown(a_clock_that_goes_back_makes_nothing_old, make_place,
                                        drop_place),
        cmocka_unit_test_setup_teardown(former_vaults_are_no_older_than_their_file, make_place,
                                        drop_place),
        cmocka_unit_test_setup_teardown(former_vaults_count_from_the_first_writing, make_place,
                                        drop_place),
        cmocka_unit_test_setup_teardown(times_can_not_be_forged, make_place, drop_place),
        cmocka_unit_test_setup_teardown(kinds_can_not_be_forged, make_place, drop_place),
        cmocka_unit_test_setup_teardown(what_was_interrupted_leaves_the_vault, make_place,
                                        drop_place),
        cmocka_unit_test_setup_teardown(writers_lose_nothing_beside_it, make_place, drop_place),
        cmocka_unit_test_setup_teardown(remembers_its_removals, make_place, drop_place),
        cmocka_unit_test_setup_teardown(remembers_the_clock_that_went_back, make_place, drop_place),
        cmocka_unit_test_setup_teardown(vaults_that_remembered_one_removal, make_place, drop_place),
        cmocka_unit_test_setup_teardown(other_names_keep_it, make_place, drop_place),
        cmocka_unit_test_setup_teardown(what_took_its_place_stays, make_place, drop_place),
        cmocka_unit_test_setup_teardown(what_took_the_place_of_the_new_one_is_not_taken, make_place,
                                        drop_place),
        cmocka_unit_test_setup_teardown(access_lists_stay_as_they_were, make_place, drop_place),
        cmocka_unit_test_setup_teardown(who_may_do_less_changes_nothing, make_place, drop_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
