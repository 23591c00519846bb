/* SPDX-License-Identifier: Apache-2.0 */
/* What a scan reads of files and archives, and every bound of it. */
#include "base/buf.h"
#include "engine/scan/postgres.h"
#include "engine/scan/scan.h"
#include "unit/temp.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

/* All that a scan told, as lines: "> name", "member|field=value", "< name kind rows problem". */
typedef struct fixture {
    temp_dir dir;
    dv_buf told;
    dv_scan_limits limits;
    dv_scan_totals totals;
    uint64_t text; /* bytes */
} fixture;

static int make(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    temp_dir_make(&f->dir);
    f->told = dv_buf_init(64 << 20);
    f->limits = dv_scan_limits_usual;
    *state = f;
    return 0;
}

static int end(void **state)
{
    fixture *f = *state;
    temp_dir_remove(&f->dir);
    dv_buf_release(&f->told);
    free(f);
    return 0;
}

static dv_result on_begin(void *data, const dv_scan_item *item)
{
    fixture *f = data;
    return dv_buf_append_printf(&f->told, "> %s\n", item->name);
}

static dv_result on_text(void *data, const dv_scan_place *place, dv_slice text, bool last)
{
    fixture *f = data;
    f->text += text.len;
    if (text.len == 0 || text.len > 1000) {
        return DV_OK;
    }
    DV_TRY(dv_buf_append_printf(&f->told, "%.*s|=", DV_SLICE_ARGS(place->member)));
    for (size_t i = 0; i < text.len; i++) {
        DV_TRY(dv_buf_append_byte(&f->told, text.ptr[i] == '\0' ? ' ' : text.ptr[i]));
    }
    return dv_buf_append_byte(&f->told, '\n');
}

static dv_result on_value(void *data, const dv_scan_place *place, dv_slice value)
{
    fixture *f = data;
    return dv_buf_append_printf(&f->told, "%.*s|%.*s=%.*s\n", DV_SLICE_ARGS(place->member),
                                DV_SLICE_ARGS(place->field), DV_SLICE_ARGS(value));
}

static dv_result on_end(void *data, const dv_scan_item *item)
{
    fixture *f = data;
    return dv_buf_append_printf(&f->told, "< %s %s %llu %s\n", item->name,
                                dv_scan_kind_name(item->kind), (unsigned long long)item->rows,
                                item->problem);
}

static dv_result scan(fixture *f, const char *path)
{
    dv_error error = {0};
    const dv_scan_visitor visitor = {f, on_begin, on_text, on_value, on_end};
    dv_buf_clear(&f->told);
    f->text = 0;
    return dv_scan_path(path, &f->limits, &visitor, &f->totals, &error);
}

static const char *told(fixture *f)
{
    assert_int_equal(scan(f, f->dir.path), DV_OK);
    return dv_buf_cstr(&f->told);
}

static void put(fixture *f, const char *name, const void *bytes, size_t len)
{
    char path[PATH_MAX];
    int fd = open(temp_path(&f->dir, name, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    close(fd);
}

static void put_text(fixture *f, const char *name, const char *text)
{
    put(f, name, text, strlen(text));
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no \"%s\" in:\n%s", part, text);
    }
}

/* ---- archives of our own ---- */

typedef int (*set_format)(struct archive *archive);

static void write_archive(struct archive *a, const char *const *members)
{
    for (size_t i = 0; members[i] != NULL; i += 2) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, members[i]);
        archive_entry_set_size(entry, (la_int64_t)strlen(members[i + 1]));
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0600);
        assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
        assert_true(archive_write_data(a, members[i + 1], strlen(members[i + 1])) >= 0);
        archive_entry_free(entry);
    }
}

/* members: name, text, name, text ..., NULL. */
static void put_archive(fixture *f, const char *name, set_format format, set_format filter,
                        const char *const *members)
{
    char path[PATH_MAX];
    struct archive *a = archive_write_new();
    format(a);
    filter(a);
    assert_int_equal(archive_write_open_filename(a, temp_path(&f->dir, name, path)), ARCHIVE_OK);
    write_archive(a, members);
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

static void put_packed(fixture *f, const char *name, const uint8_t *bytes, size_t len)
{
    char path[PATH_MAX];
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    archive_write_set_format_raw(a);
    archive_write_add_filter_gzip(a);
    archive_entry_set_filetype(entry, AE_IFREG);
    assert_int_equal(archive_write_open_filename(a, temp_path(&f->dir, name, path)), ARCHIVE_OK);
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    assert_true(archive_write_data(a, bytes, len) == (la_ssize_t)len);
    archive_entry_free(entry);
    archive_write_free(a);
}

/* A gzip of one byte, so many times. */
static void put_bomb(fixture *f, const char *name, size_t len, char byte)
{
    uint8_t *bytes = malloc(len);
    memset(bytes, byte, len);
    put_packed(f, name, bytes, len);
    free(bytes);
}

/* ---- tests ---- */

static void kinds_are_told_by_content(void **state)
{
    fixture *f = *state;
    put_text(f, "a", "just words\n");
    put_text(f, "b.txt", "id,mail\n1,x@y.z\n2,\"a, b\"\n");
    put_text(f, "c.pdf",
             "{\"user\":{\"mail\":[\"x@y.z\",{\"n\":12345678}]},\"bob@example.com\":\"v\"}");
    put_text(f, "d", "{\"a\":\"1\"}\n{\"a\":\"2\"}\nno json\n");
    put_text(f, "e", "");
    put(f, "f", "x\0y", 3);
    put(f, "g", "PAR1\0..PAR1", 11);
    const char *text = told(f);
    assert_has(text, "> a\n|=just words\n\n< a text 0 \n");
    assert_has(text, "> b.txt\n|id=1\n|mail=x@y.z\n|id=2\n|mail=a, b\n< b.txt csv 2 \n");
    assert_has(text, "|user.mail[]=x@y.z\n|user.mail[].n=12345678\n|*=bob@example.com\n|*=v\n"
                     "< c.pdf json 0 \n");
    assert_has(text, "|a=1\n|a=2\n|=no json\n\n< d jsonl 3 \n");
    assert_has(text, "< e empty 0 \n");
    assert_has(text, "< f binary 0 \n");
    assert_has(text, "< g opaque 0 is Parquet, which is not read\n");
    assert_int_equal(f->totals.items, 7);
}

static void csv_without_a_heading_and_broken_csv(void **state)
{
    fixture *f = *state;
    put_text(f, "plain", "bob@example.com;17\nsue@example.com;18\n");
    put_text(f, "torn", "a,b\n1,2\n3,\"4\"x\n5,6\n");
    const char *text = told(f);
    assert_has(text, "|column 1=bob@example.com\n|column 2=17\n|column 1=sue");
    assert_has(text, "|a=1\n|b=2\n");
    assert_has(text, "5,6\n"); /* the rest as text */
    assert_has(text, "is no CSV from line 3 on");
}

static void archives_within_archives(void **state)
{
    fixture *f = *state;
    static const char *const members[] = {"in/a.csv", "id,mail\n1,x@y.z\n2,z@y.x\n", "b.txt",
                                          "words", NULL};
    put_archive(f, "a.zip", archive_write_set_format_zip, archive_write_add_filter_none, members);
    put_archive(f, "b.tar.gz", archive_write_set_format_pax_restricted,
                archive_write_add_filter_gzip, members);
    put_archive(f, "c.tar.xz", archive_write_set_format_gnutar, archive_write_add_filter_xz,
                members);
    const char *text = told(f);
    for (const char *name = "abc"; *name != '\0'; name++) {
        char line[64];
        snprintf(line, sizeof(line), "> %c.", *name);
        assert_has(text, line);
    }
    assert_has(text, "in/a.csv|mail=x@y.z\n");
    assert_has(text, "b.txt|=words\n");
    /* A gzip around a tar is one file, so the tar's members are named alone. */
    assert_has(text, "< b.tar.gz archive 2 \n");
}

static void documents_give_their_text(void **state)
{
    fixture *f = *state;
    static const char text_of_word[] =
        "<?xml version=\"1.0\"?><w:document xmlns:w=\"w\"><w:p><w:r><w:t>bob@exam</w:t></w:r>"
        "<w:r><w:t>ple.com</w:t></w:r></w:p><w:p><w:t>next</w:t></w:p></w:document>";
    static const char *const docx[] = {"[Content_Types].xml", "<?xml version=\"1.0\"?><Types/>",
                                       "word/document.xml", text_of_word, NULL};
    static const char *const bad[] = {
        "[Content_Types].xml", "<?xml version=\"1.0\"?><Types/>", "word/document.xml",
        "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"aaaa\">]><x>&a;</x>", NULL};
    put_archive(f, "a.docx", archive_write_set_format_zip, archive_write_add_filter_none, docx);
    put_archive(f, "b.docx", archive_write_set_format_zip, archive_write_add_filter_none, bad);
    const char *text = told(f);
    assert_has(text, "word/document.xml|=bob@example.com\nnext\n");
    assert_has(text, "< a.docx document 0 \n");
    assert_has(text, "< b.docx document 0 holds XML with a document type, which is not read\n");
}

static void deep_xml_ends(void **state)
{
    fixture *f = *state;
    enum { DEPTH = 1100 };
    static char xml[32 + 3 * DEPTH];
    const char *const docx[] = {"mimetype", "application/vnd.oasis.opendocument.text",
                                "content.xml", xml, NULL};
    size_t len = (size_t)snprintf(xml, sizeof(xml), "<?xml version=\"1.0\"?>");
    for (size_t i = 0; i < DEPTH; i++) {
        len += (size_t)snprintf(xml + len, sizeof(xml) - len, "<a>");
    }
    put_archive(f, "a.odt", archive_write_set_format_zip, archive_write_add_filter_none, docx);
    assert_has(told(f), "holds XML that is nested too deep");
}

static void a_bomb_ends_at_the_limit(void **state)
{
    fixture *f = *state;
    f->limits.bytes = 1 << 20;
    put_bomb(f, "bomb.gz", 32 << 20, 'x');
    assert_has(told(f), "< bomb.gz archive 0 is too large: only its first 1048576 bytes were read");
    assert_true(f->text <= 1 << 20);
}

/* Packed twice: what is between counts, also where it comes to nothing. */
static void a_bomb_of_nothing_ends_at_the_limit(void **state)
{
    fixture *f = *state;
    static const uint8_t empty[20] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3};
    enum { COUNT = 1 << 20 };
    uint8_t *bytes = malloc((size_t)COUNT * sizeof(empty));
    for (size_t i = 0; i < COUNT; i++) {
        memcpy(bytes + i * sizeof(empty), empty, sizeof(empty));
    }
    f->limits.bytes = 1 << 20;
    put_packed(f, "bomb.gz", bytes, (size_t)COUNT * sizeof(empty));
    assert_has(told(f), "is too large: only its first 1048576 bytes were read");
    put_text(f, "bomb.gz", "070707 is the number of no archive");
    assert_has(told(f), "|=070707 is the number of no archive");
    free(bytes);
}

/* A zip's members may be followed by anything, and a tar's end by more. */
static void what_stands_behind_an_archive_is_read(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX];
    static const char *const members[] = {"a", "first", NULL};
    put_archive(f, "a.zip", archive_write_set_format_zip, archive_write_add_filter_none, members);
    put_archive(f, "b.tar", archive_write_set_format_ustar, archive_write_add_filter_none, members);
    for (const char *name = "a.zip\0b.tar\0"; *name != '\0'; name += strlen(name) + 1) {
        int fd = open(temp_path(&f->dir, name, path), O_WRONLY | O_APPEND | O_CLOEXEC);
        assert_true(fd >= 0 && write(fd, "behind it", 9) == 9);
        close(fd);
    }
    const char *text = told(f);
    assert_has(text, "a|=first\n");
    assert_has(text, "behind it\n< a.zip archive 0 \n");
    assert_true(f->totals.items == 2);
    assert_true(strstr(strstr(text, "> b.tar"), "behind it") != NULL ||
                strstr(strstr(text, "> b.tar"), "could not be unpacked") != NULL);
}

static void bytes_of_a_file(void **state)
{
    fixture *f = *state;
    f->limits.bytes = 5;
    put_text(f, "a", "12345");
    put_text(f, "b", "123456");
    const char *text = told(f);
    assert_has(text, "|=12345\n< a text 0 \n");
    assert_has(text, "|=12345\n< b text 0 is too large: only its first 5 bytes were read\n");
}

static void members_and_nesting(void **state)
{
    fixture *f = *state;
    static const char *const two[] = {"a", "first", "b", "second", NULL};
    f->limits.members = 1;
    put_archive(f, "a.zip", archive_write_set_format_zip, archive_write_add_filter_none, two);
    const char *text = told(f);
    assert_has(text, "a|=first\n");
    assert_has(text, "< a.zip archive 0 holds more than 1 files");
    assert_null(strstr(text, "b|=second"));
    f->limits.members = 2;
    text = told(f);
    assert_has(text, "b|=second\n");
    assert_has(text, "< a.zip archive 0 \n");
    f->limits.nesting = 0;
    assert_has(told(f), "< a.zip archive 0 holds archives within archives, more than 0 deep\n");
}

static void files_and_depth(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX];
    put_text(f, "a", "1");
    mkdir(temp_path(&f->dir, "d", path), 0700);
    put_text(f, "d/b", "2");
    f->limits.files = 1;
    assert_has(told(f), "< a text 0 \n");
    assert_string_equal(f->totals.stopped, "there are more files than --max-files");
    f->limits.files = 2;
    assert_has(told(f), "< d/b text 0 \n");
    assert_string_equal(f->totals.stopped, "");
    f->limits.depth = 0;
    assert_null(strstr(told(f), "d/b"));
    assert_int_equal(f->totals.deep, 1);
}

static void time_of_a_file_and_of_all(void **state)
{
    fixture *f = *state;
    put_text(f, "a", "words");
    f->limits.file_time = -1;
    assert_has(told(f), "took too long");
    f->limits.time = -1;
    assert_string_equal(told(f), "");
    assert_string_equal(f->totals.stopped, "the scan took too long");
}

static void links_and_special_files_are_passed_over(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX];
    put_text(f, "a", "words");
    assert_int_equal(symlink("/etc/passwd", temp_path(&f->dir, "link", path)), 0);
    assert_int_equal(symlink("/etc", temp_path(&f->dir, "folder", path)), 0);
    assert_int_equal(mkfifo(temp_path(&f->dir, "pipe", path), 0600), 0);
    assert_string_equal(told(f), "> a\n|=words\n< a text 0 \n");
    assert_int_equal(f->totals.links, 2);
    assert_int_equal(f->totals.specials, 1);
    assert_int_equal(scan(f, temp_path(&f->dir, "pipe", path)), DV_ERR_INVALID);
    assert_int_equal(scan(f, temp_path(&f->dir, "gone", path)), DV_ERR_NOT_FOUND);
}

static void one_file_and_counting(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX];
    dv_error error = {0};
    dv_scan_totals totals;
    put_text(f, "a", "words");
    assert_int_equal(scan(f, temp_path(&f->dir, "a", path)), DV_OK);
    assert_string_equal(dv_buf_cstr(&f->told), "> a\n|=words\n< a text 0 \n");
    assert_int_equal(dv_scan_count(f->dir.path, &f->limits, &totals, &error), DV_OK);
    assert_int_equal(totals.bytes, 5);
}

static void long_json_is_text(void **state)
{
    fixture *f = *state;
    enum { LONG = (1 << 20) + 10, DEEP = 100 };
    char *line = malloc(LONG + 32);
    size_t len = (size_t)snprintf(line, 32, "{\"a\":\"1\"}\n{\"a\":\"");
    memset(line + len, 'x', LONG);
    put(f, "lines", line, len + LONG);
    memset(line, '[', DEEP);
    put(f, "deep", line, DEEP);
    free(line);
    const char *text = told(f);
    assert_has(text, "< lines jsonl 1 \n");
    assert_has(text, "|=[[[[");
    assert_true(f->text >= LONG);
}

static void utf16_is_read(void **state)
{
    fixture *f = *state;
    static const char csv[] = "\xFF\xFEi\0d\0,\0m\0\n\0001\0,\0\xE9\0\n\0002\0,\0=\xD8\0\xDE\n\0";
    static const char torn[] = "\xFE\xFF\0a\xD8\x3D\0b\xDC\0\0";
    put(f, "a.csv", csv, sizeof(csv) - 1);
    put(f, "b", torn, sizeof(torn) - 1);
    const char *text = told(f);
    assert_has(text, "|id=1\n|m=\xC3\xA9\n|id=2\n|m=\xF0\x9F\x98\x80\n< a.csv csv 2 \n");
    assert_has(text, "|=a\xEF\xBF\xBD"
                     "b\xEF\xBF\xBD\n");
    f->limits.bytes = 18; /* of which half are the text's: the limit holds for both together */
    assert_has(told(f), "is too large");
}

static void damaged_archives_say_so(void **state)
{
    fixture *f = *state;
    put(f, "a.gz", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03garbage", 17);
    put_text(f, "b.zip", "PK\x03\x04garbage");
    const char *text = told(f);
    assert_has(text, "< a.gz archive 0 could not be unpacked to its end");
    assert_has(text, "< b.zip archive 0 could not be unpacked to its end");
}

/* pdftotext reads a copy in memory. */
static void a_pdf_that_can_not_be_copied_says_so(void **state)
{
    fixture *f = *state;
    struct rlimit before, none;
    put_text(f, "a.pdf", "%PDF-1.4\nnonsense\n");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &none) == 0);
    const char *text = told(f);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
    assert_has(text, "< a.pdf pdf 0 its PDF could not be read: File too large\n");
}

static void urls_of_databases(void **state)
{
    fixture *f = *state;
    char source[128];
    dv_error error = {0};
    const dv_scan_postgres_options options = {.views = false};
    const dv_scan_visitor visitor = {f, on_begin, on_text, on_value, on_end};
    assert_true(dv_scan_is_postgres("postgres://h/d") && !dv_scan_is_postgres("/postgresql"));
    assert_int_equal(dv_scan_postgres_source("postgresql://u:p@h:7/d?sslmode=require", source,
                                             sizeof(source), &error),
                     DV_OK);
    assert_string_equal(source, "postgresql://h:7/d");
    assert_int_equal(dv_scan_postgres("postgresql://u:topsecret@127.0.0.1:1/d", &options,
                                      &f->limits, &visitor, &f->totals, &error),
                     DV_ERR_INVALID);
    assert_null(strstr(error.message, "topsecret"));
    assert_int_equal(
        dv_scan_postgres("postgresql://[", &options, &f->limits, &visitor, &f->totals, &error),
        DV_ERR_INVALID);
}

/* What a pipe gives, in two pieces, is one text; who writes nothing more keeps nobody waiting. */
static void a_pipe_is_read_as_it_comes(void **state)
{
    fixture *f = *state;
    dv_error error = {0};
    int ends[2];
    uint64_t size = 0;
    const dv_scan_visitor visitor = {f, on_begin, on_text, on_value, on_end};
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "a,b\n1,", 6), 6);
    assert_int_equal(write(ends[1], "2\n3,4\n", 6), 6);
    f->limits.file_time = 50 * DV_MILLISECOND;
    assert_int_equal(dv_scan_stream(ends[0], "-", &f->limits, &visitor, &size, &error), DV_OK);
    assert_has(dv_buf_cstr(&f->told), "|b=2\n");
    assert_has(dv_buf_cstr(&f->told), "< - csv 2 took too long: only a part of it was read\n");
    assert_int_equal(size, 12);
    close(ends[1]);
    dv_buf_clear(&f->told);
    assert_int_equal(dv_scan_stream(ends[0], "-", &f->limits, &visitor, &size, &error), DV_OK);
    assert_string_equal(dv_buf_cstr(&f->told), "> -\n< - empty 0 \n");
    close(ends[0]);
    assert_int_equal(dv_scan_stream(ends[0], "-", &f->limits, &visitor, &size, &error), DV_ERR_IO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(kinds_are_told_by_content),
        TEST(csv_without_a_heading_and_broken_csv),
        TEST(archives_within_archives),
        TEST(documents_give_their_text),
        TEST(deep_xml_ends),
        TEST(a_bomb_ends_at_the_limit),
        TEST(a_bomb_of_nothing_ends_at_the_limit),
        TEST(what_stands_behind_an_archive_is_read),
        TEST(bytes_of_a_file),
        TEST(members_and_nesting),
        TEST(files_and_depth),
        TEST(time_of_a_file_and_of_all),
        TEST(links_and_special_files_are_passed_over),
        TEST(one_file_and_counting),
        TEST(long_json_is_text),
        TEST(utf16_is_read),
        TEST(damaged_archives_say_so),
        TEST(a_pdf_that_can_not_be_copied_says_so),
        TEST(a_pipe_is_read_as_it_comes),
        TEST(urls_of_databases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
