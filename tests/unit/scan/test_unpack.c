/* SPDX-License-Identifier: Apache-2.0 */
/* What is handed out of a packed input, and every limit of it. */
#include "base/buf.h"
#include "engine/scan/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PACKED_MAX = 4 << 20 };

typedef struct fixture {
    dv_unpack_limits limits;
    dv_buf input;
    dv_slice rest; /* of the input */
    dv_buf told;   /* "place=text\n" of each member */
    dv_error error;
} fixture;

static int make(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    f->limits = dv_unpack_limits_usual;
    f->input = f->told = dv_buf_init(PACKED_MAX);
    *state = f;
    return 0;
}

static int end(void **state)
{
    fixture *f = *state;
    dv_buf_release(&f->input);
    dv_buf_release(&f->told);
    free(f);
    return 0;
}

/* ---- packing ---- */

typedef int (*set_format)(struct archive *archive);

static int raw(struct archive *archive)
{
    return archive_write_set_format_raw(archive);
}

static void add(struct archive *a, const char *name, dv_slice text)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, (la_int64_t)text.len);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0600);
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, text.ptr, text.len), text.len);
    archive_entry_free(entry);
}

/* The input becomes an archive of these: name, text, ..., NULL. The name of what is packed now is
 * "*". */
static void pack(fixture *f, set_format format, set_format filter, const char *const *members)
{
    size_t used = 0;
    struct archive *a = archive_write_new();
    dv_buf made = dv_buf_init(PACKED_MAX);
    assert_int_equal(dv_buf_reserve(&made, PACKED_MAX), DV_OK);
    assert_int_equal(format(a), ARCHIVE_OK);
    assert_int_equal(filter(a), ARCHIVE_OK);
    assert_int_equal(archive_write_set_bytes_in_last_block(a, 1), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(a, made.ptr, PACKED_MAX, &used), ARCHIVE_OK);
    for (size_t i = 0; members[i] != NULL; i += 2) {
        bool now = strcmp(members[i + 1], "*") == 0;
        add(a, members[i], now ? dv_buf_slice(&f->input) : dv_slice_str(members[i + 1]));
    }
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
    made.len = used;
    dv_buf_release(&f->input);
    f->input = made;
}

static void gzip(fixture *f)
{
    static const char *const now[] = {"x", "*", NULL};
    pack(f, raw, archive_write_add_filter_gzip, now);
}

static void set_input(fixture *f, const char *text)
{
    dv_buf_clear(&f->input);
    assert_int_equal(dv_buf_append_str(&f->input, text), DV_OK);
}

/* A gzip of so many bytes that are all one. */
static void set_bomb(fixture *f, size_t len)
{
    dv_buf_clear(&f->input);
    assert_int_equal(dv_buf_reserve(&f->input, len), DV_OK);
    memset(f->input.ptr, 'x', len);
    f->input.len = len;
    gzip(f);
}

/* ---- unpacking ---- */

static dv_result get(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    fixture *f = data;
    size_t len = DV_MIN(DV_MIN(room, f->rest.len), (size_t)1000);
    if (len > 0) {
        memcpy(out, f->rest.ptr, len);
    }
    f->rest = dv_slice_sub(f->rest, len, SIZE_MAX);
    *ret_len = len;
    return DV_OK;
}

static dv_result take(void *data, const dv_unpack_member *member, dv_error *error)
{
    fixture *f = data;
    uint8_t piece[777];
    size_t total = 0;
    assert_ptr_equal(error, &f->error);
    DV_TRY(dv_buf_append_printf(&f->told, "%s%.*s=", member->packed ? "" : "!",
                                DV_SLICE_ARGS(member->place)));
    for (size_t len = 1; len > 0; total += len) {
        DV_TRY(member->source.get(member->source.data, piece, sizeof(piece), &len));
        if (total < 100) {
            DV_TRY(dv_buf_append(&f->told, dv_slice_of(piece, DV_MIN(len, (size_t)100))));
        }
        if (total < member->head.len) {
            assert_true(dv_slice_starts_with(
                dv_slice_sub(member->head, total, SIZE_MAX),
                dv_slice_sub(dv_slice_of(piece, len), 0, member->head.len - total)));
        }
    }
    return dv_buf_append_byte(&f->told, '\n');
}

static dv_result unpack(fixture *f)
{
    const dv_unpack_source source = {get, f};
    const dv_unpack_visitor visitor = {take, f};
    f->rest = dv_buf_slice(&f->input);
    f->error = (dv_error){0};
    dv_buf_clear(&f->told);
    return dv_unpack(&source, &f->limits, &visitor, &f->error);
}

static void assert_told(fixture *f, const char *expected)
{
    assert_int_equal(unpack(f), DV_OK);
    assert_string_equal(f->told.len == 0 ? "" : dv_buf_cstr(&f->told), expected);
}

static void assert_refused(fixture *f, dv_result result, const char *why)
{
    assert_int_equal(unpack(f), result);
    if (strstr(f->error.message, why) == NULL) {
        fail_msg("no \"%s\" in: %s", why, f->error.message);
    }
}

static const char *const letters[] = {"a/one.txt", "first", "two.txt", "second", NULL};

static void what_is_not_packed_is_itself(void **state)
{
    fixture *f = *state;
    static const char *const texts[] = {"",        "plain",     "BZh is no archive",
                                        "ORCHIDS", "PAR1 of 2", "%PDF-1.7 x"};
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        char expected[64];
        bool looks = strncmp(texts[i], "BZh", 3) == 0;
        set_input(f, texts[i]);
        snprintf(expected, sizeof(expected), "!=%s\n", texts[i]);
        assert_told(f, expected);
        if (!looks && texts[i][0] != '\0') {
            gzip(f);
            assert_told(f, expected + 1);
        }
    }
}

static void archives_are_opened(void **state)
{
    fixture *f = *state;
    static const char *const around[] = {"in.zip", "*", "c", "third", NULL};
    pack(f, archive_write_set_format_zip, archive_write_add_filter_none, letters);
    assert_told(f, "a/one.txt=first\ntwo.txt=second\n");
    pack(f, archive_write_set_format_ustar, archive_write_add_filter_gzip, around);
    assert_told(f, "in.zip/a/one.txt=first\nin.zip/two.txt=second\nc=third\n");
    static const char *const once[] = {"x.gz", "*", NULL};
    set_input(f, "text");
    gzip(f);
    pack(f, archive_write_set_format_zip, archive_write_add_filter_none, once);
    assert_told(f, "x.gz=text\n");
    static const char *const nothing[] = {NULL};
    pack(f, archive_write_set_format_zip, archive_write_add_filter_none, nothing);
    assert_told(f, "");
}

/* Cut anywhere, none of them passes for whole, as far as its format says where it ends. */
static void every_packer(void **state)
{
    fixture *f = *state;
    static const set_format filters[] = {
        archive_write_add_filter_gzip, archive_write_add_filter_bzip2, archive_write_add_filter_xz,
        archive_write_add_filter_zstd, archive_write_add_filter_lz4};
    static const char *const one[] = {"x", "some text that is packed", NULL};
    for (size_t i = 0; i < DV_ARRAY_LEN(filters); i++) {
        pack(f, raw, filters[i], one);
        assert_told(f, "=some text that is packed\n");
        for (size_t len = f->input.len - 9; len > 20; len--) {
            f->input.len = len;
            assert_refused(f, DV_ERR_CORRUPT, "could not be unpacked to its end");
        }
        pack(f, archive_write_set_format_ustar, filters[i], letters);
        assert_told(f, "a/one.txt=first\ntwo.txt=second\n");
    }
}

static void bytes_end(void **state)
{
    fixture *f = *state;
    set_bomb(f, 1 << 20);
    f->limits.bytes = 1 << 20;
    assert_int_equal(unpack(f), DV_OK);
    f->limits.bytes = (1 << 20) - 1;
    assert_refused(f, DV_ERR_TOO_LARGE, "unpacks to more than 1048575 bytes");
    /* Also where it is one archive that unpacks to the other. */
    f->limits.bytes = 1 << 20;
    gzip(f);
    assert_refused(f, DV_ERR_TOO_LARGE, "unpacks to more than 1048576 bytes");
}

/* Packed twice, where what the outer one holds comes to nothing. */
static void bytes_that_come_to_nothing_count(void **state)
{
    fixture *f = *state;
    static const uint8_t empty[20] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3};
    dv_buf_clear(&f->input);
    for (size_t i = 0; i < (3 << 20) / sizeof(empty); i++) {
        assert_int_equal(dv_buf_append(&f->input, dv_slice_of(empty, sizeof(empty))), DV_OK);
    }
    gzip(f);
    assert_refused(f, DV_ERR_CORRUPT, "could not be unpacked"); /* nothing is no format */
    f->limits.bytes = 2 << 20;
    assert_refused(f, DV_ERR_TOO_LARGE, "unpacks to more than 2097152 bytes");
}

static void the_ratio_ends(void **state)
{
    fixture *f = *state;
    set_bomb(f, 1 << 20);               /* some thousand to one */
    assert_int_equal(unpack(f), DV_OK); /* small ones may be as dense as they like */
    f->limits.free = 1 << 10;
    assert_refused(f, DV_ERR_TOO_LARGE, "unpacks to more than 200 times its size");
    f->limits.ratio = 2000;
    assert_int_equal(unpack(f), DV_OK);
    gzip(f); /* a bomb within: less of it is read before the ratio shows */
    gzip(f);
    assert_refused(f, DV_ERR_TOO_LARGE, "unpacks to more than 2000 times its size");
}

/* Holes of a sparse file are no bytes of the tar, but of what is handed out. */
static void holes_count(void **state)
{
    enum { HOLE = 8 << 20 };
    fixture *f = *state;
    size_t used = 0;
    uint8_t *text = calloc(1, HOLE + 1);
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    assert_non_null(text);
    dv_buf_clear(&f->input);
    assert_int_equal(dv_buf_reserve(&f->input, PACKED_MAX), DV_OK);
    assert_int_equal(archive_write_set_format_pax(a), ARCHIVE_OK);
    assert_int_equal(archive_write_add_filter_gzip(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(a, f->input.ptr, PACKED_MAX, &used), ARCHIVE_OK);
    archive_entry_set_pathname(entry, "hole");
    archive_entry_set_size(entry, HOLE + 1);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_sparse_add_entry(entry, HOLE, 1);
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, text, HOLE + 1), HOLE + 1);
    archive_entry_free(entry);
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
    free(text);
    f->input.len = used;
    assert_true(used < 4096);
    assert_int_equal(unpack(f), DV_OK);
    f->limits.free = 1 << 20;
    assert_refused(f, DV_ERR_TOO_LARGE, "unpacks to more than 200 times its size");
}

static void members_end(void **state)
{
    fixture *f = *state;
    static const char *const around[] = {"in.zip", "*", NULL};
    pack(f, archive_write_set_format_zip, archive_write_add_filter_none, letters);
    f->limits.members = 2;
    assert_told(f, "a/one.txt=first\ntwo.txt=second\n");
    f->limits.members = 1;
    assert_refused(f, DV_ERR_TOO_LARGE, "holds more than 1 files");
    pack(f, archive_write_set_format_zip, archive_write_add_filter_none, around);
    f->limits.members = 2; /* of all archives together */
    assert_refused(f, DV_ERR_TOO_LARGE, "holds more than 2 files");
}

static void nesting_ends(void **state)
{
    fixture *f = *state;
    set_input(f, "text");
    gzip(f);
    gzip(f);
    gzip(f);
    f->limits.nesting = 3;
    assert_told(f, "=text\n");
    f->limits.nesting = 2;
    assert_refused(f, DV_ERR_TOO_LARGE, "archives within archives, more than 2 deep");
    f->limits.nesting = 0;
    assert_refused(f, DV_ERR_TOO_LARGE, "more than 0 deep");
}

static void what_can_not_be_read_is_refused(void **state)
{
    fixture *f = *state;
    static const char *const sealed[] = {"x.age", "age-encryption.org/v1\n-> X25519", NULL};
    set_input(f, "text that is long enough to be cut short, text that is long enough");
    gzip(f);
    f->input.len -= 12;
    assert_refused(f, DV_ERR_CORRUPT, "could not be unpacked to its end");
    pack(f, archive_write_set_format_zip, archive_write_add_filter_none, letters);
    f->input.len = 45;
    assert_refused(f, DV_ERR_CORRUPT, "could not be unpacked to its end");
    pack(f, archive_write_set_format_zip, archive_write_add_filter_none, letters);
    f->input.ptr[6] |= 1; /* "encrypted", in the head of the first */
    assert_int_equal(unpack(f), DV_ERR_UNSUPPORTED);
    set_input(f, "7z\xbc\xaf\x27\x1c");
    assert_refused(f, DV_ERR_UNSUPPORTED, "the input is 7z, which can't be read");
    pack(f, archive_write_set_format_zip, archive_write_add_filter_none, sealed);
    assert_refused(f, DV_ERR_UNSUPPORTED, "the input holds age (encrypted), which can't be read");
}

static dv_result leave(void *data, const dv_unpack_member *member, dv_error *error)
{
    (void)member;
    return dv_buf_append_str(data, "seen\n");
}

static dv_result refuse(void *data, const dv_unpack_member *member, dv_error *error)
{
    (void)data;
    return dv_error_set(error, DV_ERR_CONFLICT, "%.*s", DV_SLICE_ARGS(member->place));
}

static dv_result broken(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    fixture *f = data;
    return f->rest.len == 0 ? dv_error_set(&f->error, DV_ERR_IO, "gone")
                            : get(f, out, room, ret_len);
}

static void visitors_and_sources_may_fail(void **state)
{
    fixture *f = *state;
    const dv_unpack_source source = {get, f}, bad = {broken, f};
    const dv_unpack_visitor leaving = {leave, &f->told}, refusing = {refuse, f}, taking = {take, f};
    pack(f, archive_write_set_format_zip, archive_write_add_filter_none, letters);
    f->rest = dv_buf_slice(&f->input);
    assert_int_equal(dv_unpack(&source, &f->limits, &leaving, &f->error), DV_OK);
    assert_string_equal(dv_buf_cstr(&f->told), "seen\nseen\n");
    f->rest = dv_buf_slice(&f->input);
    assert_int_equal(dv_unpack(&source, &f->limits, &refusing, &f->error), DV_ERR_CONFLICT);
    assert_string_equal(f->error.message, "a/one.txt");
    set_bomb(f, 3 << 20);
    f->rest = dv_slice_sub(dv_buf_slice(&f->input), 0, f->input.len / 2);
    f->error = (dv_error){0};
    assert_int_equal(dv_unpack(&bad, &f->limits, &taking, &f->error), DV_ERR_IO);
    assert_string_equal(f->error.message, "gone");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_packed_is_itself),
        TEST(archives_are_opened),
        TEST(every_packer),
        TEST(bytes_end),
        TEST(bytes_that_come_to_nothing_count),
        TEST(the_ratio_ends),
        TEST(holes_count),
        TEST(members_end),
        TEST(nesting_ends),
        TEST(what_can_not_be_read_is_refused),
        TEST(visitors_and_sources_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
