/* SPDX-License-Identifier: Apache-2.0 */
/* Archives, through libarchive. Only formats and filters that it reads itself and that are simple
 * enough to be read of anybody are turned on: no 7-Zip, RAR, ISO images, no external programs. All
 * that is unpacked counts for the file's limit, so what packs much into little ends there. */
#include "engine/scan/scan_private.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>

typedef struct unpacking {
    dv_scan *scan;
    dv_scan_source *packed;
    dv_slice member; /* the archive's own place in another one */
    uint32_t nesting;
    struct archive *archive;
    bool raw;      /* one packed file, no archive */
    bool filtered; /* it is packed as a whole */
    bool document;
    uint8_t piece[DV_SCAN_PIECE];
    char place[DV_SCAN_PLACE_MAX];
    dv_scan_source source; /* the member's */
    dv_result failed;      /* of reading what is packed */
    uint64_t given;        /* packed bytes that libarchive got */
    size_t last;           /* of them, that are in piece */
} unpacking;

/* ---- in and out of libarchive ---- */

static la_ssize_t give_packed(struct archive *archive, void *data, const void **out)
{
    unpacking *u = data;
    size_t len = 0;
    u->failed = dv_scan_read(u->packed, u->piece, sizeof(u->piece), &len);
    *out = u->piece;
    u->given += len;
    u->last = len > 0 ? len : u->last;
    return u->failed == DV_OK ? (la_ssize_t)len : -1;
}

/* libarchive's own message may tell names of members, but no content. */
static void tell_problem(unpacking *u)
{
    const char *why = archive_error_string(u->archive);
    dv_scan_problem(u->scan, "could not be unpacked to its end: %.100s",
                    why != NULL ? why : "it is damaged");
}

static dv_result read_member(dv_scan_source *source, uint8_t *out, size_t room, size_t *ret_len)
{
    unpacking *u = source->data;
    la_ssize_t len = archive_read_data(u->archive, out, room);
    if (len < 0) {
        tell_problem(u);
        len = 0;
    }
    *ret_len = (size_t)len;
    return u->failed;
}

/* One filter at a time, named by the first bytes: libarchive would take off one after the other by
 * itself, without a bound on what is between them. */
static bool add_filter(struct archive *archive, dv_slice head, bool *ret_filtered)
{
    static const struct {
        const char *magic;
        size_t at;
        int filter;
    } filters[] = {{"\x1f\x8b\x08", 0, ARCHIVE_FILTER_GZIP},
                   {"\x28\xb5\x2f\xfd", 0, ARCHIVE_FILTER_ZSTD},
                   {("\xfd"
                     "7zXZ"),
                    0, ARCHIVE_FILTER_XZ},
                   {"1AY&SY", 4, ARCHIVE_FILTER_BZIP2},
                   {"\x04\x22\x4d\x18", 0, ARCHIVE_FILTER_LZ4}};
    for (size_t i = 0; i < DV_ARRAY_LEN(filters); i++) {
        dv_slice magic = dv_slice_str(filters[i].magic);
        if (dv_slice_starts_with(dv_slice_sub(head, filters[i].at, head.len), magic)) {
            *ret_filtered = true;
            return archive_read_append_filter(archive, filters[i].filter) == ARCHIVE_OK;
        }
    }
    return true;
}

bool dv_scan_add_readers(struct archive *archive, dv_slice head, bool *ret_filtered)
{
    *ret_filtered = false;
    return archive_read_support_format_tar(archive) == ARCHIVE_OK &&
           archive_read_support_format_zip_streamable(archive) == ARCHIVE_OK &&
           archive_read_support_format_cpio(archive) == ARCHIVE_OK &&
           archive_read_support_format_raw(archive) == ARCHIVE_OK &&
           /* What stands behind a tar's end is no reason to overlook it. */
           archive_read_set_options(archive, "tar:read_concatenated_archives") == ARCHIVE_OK &&
           add_filter(archive, head, ret_filtered);
}

/* ---- members ---- */

/* "outer.zip/inner.txt": where a member stands. A packed file alone has no name of its own. */
static dv_slice place_of(unpacking *u, struct archive_entry *entry)
{
    const char *name = u->raw ? "" : archive_entry_pathname(entry);
    int len = snprintf(u->place, sizeof(u->place), "%.*s%s%s", DV_SLICE_ARGS(u->member),
                       u->member.len > 0 && name != NULL && name[0] != '\0' ? "/" : "",
                       name != NULL ? name : "?");
    return dv_slice_of(u->place, DV_MIN((size_t)DV_MAX(len, 0), sizeof(u->place) - 1));
}

/* Files that tell an office program's document from other archives (ECMA-376 part 2; ODF 1.3 part
 * 2, section 3.3). */
static bool tells_document(const char *name)
{
    static const char *const names[] = {"[Content_Types].xml", "mimetype"};
    for (size_t i = 0; name != NULL && i < DV_ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* What the document says is in its XML; what else it holds (pictures, other documents) is read as
 * what it is. */
static dv_result visit_content(unpacking *u, dv_slice place)
{
    dv_scan_kind kind = DV_SCAN_EMPTY;
    dv_slice head;
    u->source = (dv_scan_source){.scan = u->scan, .read = read_member, .data = u, .fd = -1};
    DV_TRY(dv_scan_peek(&u->source, &head));
    if (u->raw && !u->filtered) { /* it only looked like an archive */
        return dv_scan_text(u->scan, &u->source, place);
    }
    if (u->document && dv_slice_starts_with(head, DV_LIT("<?xml"))) {
        return dv_scan_document(u->scan, &u->source, place);
    }
    return dv_scan_content(u->scan, &u->source, place, u->nesting, &kind);
}

static dv_result visit_member(unpacking *u, struct archive_entry *entry)
{
    if (u->scan->members_left == 0) {
        dv_scan_problem(u->scan, "holds more than %u files: the others were not read",
                        u->scan->limits->members);
        return DV_ERR_NOT_FOUND;
    }
    u->scan->members_left--;
    if (archive_entry_is_encrypted(entry)) {
        dv_scan_problem(u->scan, "holds encrypted files, which are not read");
        return DV_OK;
    }
    u->document |= tells_document(archive_entry_pathname(entry));
    /* Links and folders have no content; a name that they point to is not followed. */
    return archive_entry_filetype(entry) == AE_IFREG || u->raw
               ? visit_content(u, place_of(u, entry))
               : DV_OK;
}

/* DV_ERR_NOT_FOUND: no more. */
static dv_result next_member(unpacking *u)
{
    struct archive_entry *entry = NULL;
    int status = archive_read_next_header(u->archive, &entry);
    if (u->failed != DV_OK) {
        return u->failed;
    }
    if (status == ARCHIVE_EOF) {
        return DV_ERR_NOT_FOUND;
    }
    if (status < ARCHIVE_WARN) {
        tell_problem(u);
        if (status != ARCHIVE_RETRY || u->scan->members_left == 0) {
            return DV_ERR_NOT_FOUND;
        }
        u->scan->members_left--; /* so that it ends */
        return DV_OK;
    }
    u->raw = archive_format(u->archive) == ARCHIVE_FORMAT_RAW;
    return visit_member(u, entry);
}

/* What stands behind the archive: its directory with names and comments, and whatever somebody put
 * there. Of what is packed as a whole the position is not known, and libarchive reads it to its end
 * where it can. */
static dv_result visit_rest(unpacking *u)
{
    const dv_scan_visitor *visitor = u->scan->visitor;
    const dv_scan_place place = {.member = u->member};
    uint64_t before = u->given - u->last, used = (uint64_t)archive_filter_bytes(u->archive, 0);
    if (archive_filter_code(u->archive, 0) == ARCHIVE_FILTER_NONE && used <= u->given) {
        size_t from = used > before ? (size_t)(used - before) : 0;
        dv_slice rest = dv_slice_sub(dv_slice_of(u->piece, u->last), from, u->last);
        DV_TRY(visitor->text(visitor->data, &place, rest, false));
    }
    return dv_scan_text(u->scan, u->packed, u->member);
}

static dv_result visit_members(unpacking *u)
{
    dv_slice head;
    dv_result result = DV_OK;
    DV_TRY(dv_scan_peek(u->packed, &head));
    if (!dv_scan_add_readers(u->archive, head, &u->filtered)) {
        return DV_ERR_NO_MEMORY;
    }
    if (archive_read_open(u->archive, u, NULL, give_packed, NULL) != ARCHIVE_OK) {
        tell_problem(u);
        return u->failed;
    }
    while (result == DV_OK) {
        result = next_member(u);
    }
    return result == DV_ERR_NOT_FOUND ? visit_rest(u) : result;
}

dv_result dv_scan_archive(dv_scan *scan, dv_scan_source *source, dv_slice member, uint32_t nesting,
                          bool *ret_document)
{
    unpacking *u = calloc(1, sizeof(*u));
    if (u == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    u->scan = scan;
    u->packed = source;
    u->member = member;
    u->nesting = nesting;
    u->archive = archive_read_new();
    dv_result result = u->archive == NULL ? DV_ERR_NO_MEMORY : visit_members(u);
    if (u->archive != NULL) {
        (void)archive_read_free(u->archive);
    }
    if (result == DV_OK) {
        *ret_document = u->document;
    }
    free(u);
    return result;
}
