/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/scan/unpack.h"

#include "engine/scan/scan_private.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>

const dv_unpack_limits dv_unpack_limits_usual = {
    .bytes = UINT64_C(64) << 30,
    .free = 64 << 20,
    .ratio = 200,
    .members = 100000,
    .nesting = 4,
};

typedef struct unpacking {
    const dv_unpack_source *input;
    const dv_unpack_limits *limits;
    const dv_unpack_visitor *visitor;
    dv_error *error;
    dv_result failed; /* beneath libarchive, which passes no results on */
    uint64_t given;   /* bytes of the input */
    uint64_t made;    /* unpacked */
    uint32_t members;
} unpacking;

/* Bytes whose first ones were looked at. */
typedef struct stream {
    dv_unpack_source source;
    size_t at, len; /* of head */
    uint8_t head[DV_SCAN_HEAD];
} stream;

/* An archive, or one packed file, within `depth - 1` others. */
typedef struct level {
    unpacking *all;
    stream *packed;
    dv_slice place; /* its own, in another one */
    uint32_t depth;
    struct archive *archive;
    bool filtered; /* it, or its one file, is packed as a whole */
    uint64_t made; /* bytes of the whole so far */
    uint64_t read; /* bytes of its files; holes of one (a sparse file of tar) are in no whole */
    stream member;
    uint8_t piece[DV_SCAN_PIECE];
    char name[DV_SCAN_PLACE_MAX];
} level;

/* ---- bytes ---- */

static dv_result get_input(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    unpacking *all = data;
    dv_result result = all->input->get(all->input->data, out, room, ret_len);
    all->given += result == DV_OK ? *ret_len : 0;
    all->failed = result;
    return result;
}

static dv_result get_stream(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    stream *s = data;
    size_t len = DV_MIN(room, s->len - s->at);
    if (len == 0) {
        return s->source.get(s->source.data, out, room, ret_len);
    }
    memcpy(out, s->head + s->at, len);
    s->at += len;
    *ret_len = len;
    return DV_OK;
}

static dv_result open_stream(stream *s, const dv_unpack_source *source, dv_slice *ret_head)
{
    size_t len = 1;
    s->source = *source;
    s->at = s->len = 0;
    while (s->len < DV_SCAN_HEAD && len > 0) {
        DV_TRY(source->get(source->data, s->head + s->len, DV_SCAN_HEAD - s->len, &len));
        s->len += len;
    }
    *ret_head = dv_slice_of(s->head, s->len);
    return DV_OK;
}

/* libarchive's own message may tell names of members, but no content. */
static dv_result damaged(level *l)
{
    const char *why = archive_error_string(l->archive);
    return l->all->failed != DV_OK
               ? l->all->failed
               : dv_error_set(l->all->error, DV_ERR_CORRUPT,
                              "the input could not be unpacked to its end: %.100s",
                              why != NULL ? why : "it is damaged");
}

static dv_result check_made(unpacking *all)
{
    const dv_unpack_limits *limits = all->limits;
    if (all->made > limits->bytes) {
        all->failed = dv_error_set(all->error, DV_ERR_TOO_LARGE,
                                   "the input unpacks to more than %llu bytes: unpack it yourself",
                                   (unsigned long long)limits->bytes);
    } else if (all->made > limits->free && all->made / limits->ratio > all->given) {
        all->failed = dv_error_set(all->error, DV_ERR_TOO_LARGE,
                                   "the input unpacks to more than %u times its size: unpack it "
                                   "yourself",
                                   limits->ratio);
    }
    return all->failed;
}

/* Where it is packed as a whole, also what of it is passed over. */
static void count_whole(level *l)
{
    uint64_t whole = l->filtered ? (uint64_t)archive_filter_bytes(l->archive, 0) : 0;
    uint64_t made = DV_MAX(whole, l->read);
    l->all->made += made - DV_MIN(l->made, made);
    l->made = DV_MAX(l->made, made);
}

/* Much may be unpacked between two pieces of what is packed. */
static la_ssize_t give_packed(struct archive *archive, void *data, const void **out)
{
    level *l = data;
    size_t len = 0;
    *out = l->piece;
    count_whole(l);
    return check_made(l->all) == DV_OK &&
                   get_stream(l->packed, l->piece, sizeof(l->piece), &len) == DV_OK
               ? (la_ssize_t)len
               : -1;
}

/* Bytes of the whole are counted as such; a zip makes more of them. */
static bool counts_members(const level *l)
{
    return !l->filtered ||
           (archive_format(l->archive) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_ZIP;
}

static dv_result get_member(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    level *l = data;
    la_ssize_t len = archive_read_data(l->archive, out, room);
    if (len < 0) {
        l->all->failed = damaged(l);
        return l->all->failed;
    }
    l->all->made += counts_members(l) ? (uint64_t)len : 0;
    l->read += counts_members(l) ? 0 : (uint64_t)len;
    count_whole(l);
    *ret_len = (size_t)len;
    return check_made(l->all);
}

/* ---- members ---- */

static dv_result open_archive(unpacking *all, stream *packed, dv_slice place, uint32_t depth);

/* What is not packed, or only looked so, goes to the visitor. */
static dv_result visit(unpacking *all, stream *s, dv_slice head, dv_slice place, bool packed)
{
    const dv_unpack_member member = {
        .packed = packed, .place = place, .head = head, .source = {get_stream, s}};
    return all->visitor->member(all->visitor->data, &member, all->error);
}

static dv_result open_content(unpacking *all, stream *s, dv_slice head, dv_slice place,
                              uint32_t depth)
{
    char delimiter;
    switch (dv_scan_kind_of(head, head.len < DV_SCAN_HEAD, &delimiter)) {
    case DV_SCAN_ARCHIVE:
        return open_archive(all, s, place, depth + 1);
    case DV_SCAN_OPAQUE:
        return dv_error_set(all->error, DV_ERR_UNSUPPORTED,
                            "the input %s %s, which can't be read: unpack it yourself",
                            depth == 0 ? "is" : "holds", dv_scan_opaque_name(head));
    default:
        return visit(all, s, head, place, depth > 0);
    }
}

/* "outer.zip/inner.txt". A packed file alone has no name of its own. */
static dv_slice place_of(level *l, struct archive_entry *entry)
{
    bool raw = archive_format(l->archive) == ARCHIVE_FORMAT_RAW;
    const char *name = raw ? "" : archive_entry_pathname(entry);
    name = name == NULL ? "?" : name;
    int len = snprintf(l->name, sizeof(l->name), "%.*s%s%s", DV_SLICE_ARGS(l->place),
                       l->place.len > 0 && name[0] != '\0' ? "/" : "", name);
    return dv_slice_of(l->name, DV_MIN((size_t)DV_MAX(len, 0), sizeof(l->name) - 1));
}

static dv_result open_member(level *l, struct archive_entry *entry)
{
    unpacking *all = l->all;
    const dv_unpack_source source = {get_member, l};
    bool raw = archive_format(l->archive) == ARCHIVE_FORMAT_RAW;
    dv_slice head;
    if (++all->members > all->limits->members) {
        return dv_error_set(all->error, DV_ERR_TOO_LARGE,
                            "the input holds more than %u files: unpack it yourself",
                            all->limits->members);
    }
    if (archive_entry_is_encrypted(entry)) {
        return dv_error_set(all->error, DV_ERR_UNSUPPORTED,
                            "the input holds encrypted files: unpack it yourself");
    }
    if (!raw && archive_entry_filetype(entry) != AE_IFREG) {
        return DV_OK; /* links and folders have no content */
    }
    DV_TRY(open_stream(&l->member, &source, &head));
    return raw && !l->filtered ? visit(all, &l->member, head, l->place, l->depth > 1)
                               : open_content(all, &l->member, head, place_of(l, entry), l->depth);
}

static dv_result open_members(level *l)
{
    struct archive_entry *entry = NULL;
    if (!dv_scan_add_readers(l->archive, dv_slice_of(l->packed->head, l->packed->len),
                             &l->filtered)) {
        return DV_ERR_NO_MEMORY;
    }
    if (archive_read_open(l->archive, l, NULL, give_packed, NULL) != ARCHIVE_OK) {
        return damaged(l);
    }
    for (;;) {
        int status = archive_read_next_header(l->archive, &entry);
        if (status == ARCHIVE_EOF && l->all->failed == DV_OK) {
            return DV_OK;
        }
        if (status < ARCHIVE_WARN || status == ARCHIVE_EOF) {
            return damaged(l);
        }
        DV_TRY(open_member(l, entry));
    }
}

static dv_result open_archive(unpacking *all, stream *packed, dv_slice place, uint32_t depth)
{
    if (depth > all->limits->nesting) {
        return dv_error_set(
            all->error, DV_ERR_TOO_LARGE,
            "the input holds archives within archives, more than %u deep: unpack it "
            "yourself",
            all->limits->nesting);
    }
    level *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    l->all = all;
    l->packed = packed;
    l->place = place;
    l->depth = depth;
    l->archive = archive_read_new();
    dv_result result = l->archive == NULL ? DV_ERR_NO_MEMORY : open_members(l);
    if (l->archive != NULL) {
        (void)archive_read_free(l->archive);
    }
    explicit_bzero(l, sizeof(*l));
    free(l);
    return result;
}

dv_result dv_unpack(const dv_unpack_source *source, const dv_unpack_limits *limits,
                    const dv_unpack_visitor *visitor, dv_error *error)
{
    unpacking all = {.input = source, .limits = limits, .visitor = visitor, .error = error};
    const dv_unpack_source counted = {get_input, &all};
    dv_slice head;
    stream *first = malloc(sizeof(*first));
    if (first == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = open_stream(first, &counted, &head);
    if (result == DV_OK) {
        result = open_content(&all, first, head, (dv_slice){NULL, 0}, 0);
    }
    explicit_bzero(first, sizeof(*first));
    free(first);
    return result;
}
