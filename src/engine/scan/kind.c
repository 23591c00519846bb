/* SPDX-License-Identifier: Apache-2.0 */
/* What a content is, by its first bytes: names of files are anybody's to choose. */
#include "engine/scan/scan_private.h"

#include "base/json.h"

static const char *const names[DV_SCAN_KINDS] = {
    [DV_SCAN_EMPTY] = "empty",   [DV_SCAN_TEXT] = "text",        [DV_SCAN_CSV] = "csv",
    [DV_SCAN_JSON] = "json",     [DV_SCAN_JSON_LINES] = "jsonl", [DV_SCAN_DOCUMENT] = "document",
    [DV_SCAN_PDF] = "pdf",       [DV_SCAN_ARCHIVE] = "archive",  [DV_SCAN_BINARY] = "binary",
    [DV_SCAN_OPAQUE] = "opaque", [DV_SCAN_TABLE] = "table",      [DV_SCAN_VIEW] = "view",
};

const char *dv_scan_kind_name(dv_scan_kind kind)
{
    return names[kind];
}

typedef struct magic {
    uint16_t at;
    uint8_t len;
    uint8_t kind;
    const char *bytes;
    const char *name; /* of what is not read */
    bool letters;     /* the bytes alone may begin a text: that has no NUL */
} magic;

static const magic magics[] = {
    {0, 5, DV_SCAN_PDF, "%PDF-", NULL},
    {0, 3, DV_SCAN_ARCHIVE, "\x1f\x8b\x08", NULL},     /* gzip, RFC 1952 */
    {0, 4, DV_SCAN_ARCHIVE, "PK\x03\x04", NULL},       /* zip */
    {0, 4, DV_SCAN_ARCHIVE, "PK\x05\x06", NULL},       /* zip without members */
    {0, 4, DV_SCAN_ARCHIVE, "\x28\xb5\x2f\xfd", NULL}, /* zstd, RFC 8878 */
    {0, 6, DV_SCAN_ARCHIVE,
     "\xfd"
     "7zXZ\0",
     NULL},                                            /* xz */
    {4, 6, DV_SCAN_ARCHIVE, "1AY&SY", NULL},           /* bzip2: its first block */
    {0, 4, DV_SCAN_ARCHIVE, "\x04\x22\x4d\x18", NULL}, /* lz4 */
    {257, 5, DV_SCAN_ARCHIVE, "ustar", NULL},          /* tar, POSIX.1 */
    {0, 5, DV_SCAN_ARCHIVE, "07070", NULL},            /* cpio */
    {0, 4, DV_SCAN_OPAQUE, "PAR1", "Parquet", true},
    {0, 4, DV_SCAN_OPAQUE, "PARE", "encrypted Parquet", true},
    {0, 6, DV_SCAN_OPAQUE, "7z\xbc\xaf\x27\x1c", "7z"},
    {0, 6, DV_SCAN_OPAQUE, "Rar!\x1a\x07", "RAR"},
    {0, 3, DV_SCAN_OPAQUE, "ORC", "ORC", true},
    {0, 21, DV_SCAN_OPAQUE, "age-encryption.org/v1", "age (encrypted)"},
};

static const magic *find_magic(dv_slice head)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(magics); i++) {
        const magic *m = &magics[i];
        if (dv_slice_eq(dv_slice_sub(head, m->at, m->len), dv_slice_of(m->bytes, m->len)) &&
            !(m->letters && dv_slice_find_byte(head, '\0') < 0)) {
            return m;
        }
    }
    return NULL;
}

const char *dv_scan_opaque_name(dv_slice head)
{
    const magic *found = find_magic(head);
    return found != NULL && found->name != NULL ? found->name : "unknown";
}

/* ---- JSON ---- */

static bool is_json(dv_slice text)
{
    static const dv_json_limits limits = {.depth = 64, .tokens = 1 << 14};
    dv_auto(arena) dv_arena *arena = dv_arena_new(4 << 20);
    dv_json json;
    return arena != NULL && dv_json_scan(text, &limits, arena, &json, NULL) == DV_OK;
}

static dv_scan_kind json_kind(dv_slice head)
{
    dv_slice rest = head, line;
    if (dv_slice_find_byte(head, '\n') < 0 || !dv_slice_split(&rest, '\n', &line)) {
        return DV_SCAN_JSON;
    }
    line = dv_slice_trim(line);
    return is_json(line) && dv_slice_trim(rest).len > 0 ? DV_SCAN_JSON_LINES : DV_SCAN_JSON;
}

/* ---- CSV ---- */

/* How many delimiters a line has outside quotes; the line ends outside them, too. */
static size_t count_in_line(dv_slice *rest, char delimiter, bool *ret_ended)
{
    size_t i = 0, count = 0;
    bool quoted = false;
    for (; i < rest->len && (quoted || rest->ptr[i] != '\n'); i++) {
        quoted = rest->ptr[i] == '"' ? !quoted : quoted;
        count += !quoted && rest->ptr[i] == (uint8_t)delimiter;
    }
    *ret_ended = i < rest->len;
    *rest = dv_slice_sub(*rest, i + (*ret_ended ? 1 : 0), rest->len);
    return count;
}

/* Whether the first lines, two at least, have the same number of columns. */
static bool is_table(dv_slice head, bool whole, char delimiter)
{
    enum { LINES = 20 };
    size_t lines = 0, columns = 0;
    bool ended = true;
    while (head.len > 0 && lines < LINES && ended) {
        size_t count = count_in_line(&head, delimiter, &ended);
        if (!ended && !whole) {
            break; /* it goes on behind what we see */
        }
        if (count == 0 || (lines > 0 && count != columns)) {
            return false;
        }
        columns = count;
        lines++;
    }
    return lines >= 2;
}

static char delimiter_of(dv_slice head, bool whole)
{
    static const char delimiters[] = {',', ';', '\t', '|'};
    for (size_t i = 0; i < DV_ARRAY_LEN(delimiters); i++) {
        if (is_table(head, whole, delimiters[i])) {
            return delimiters[i];
        }
    }
    return '\0';
}

dv_scan_kind dv_scan_kind_of(dv_slice head, bool whole, char *ret_delimiter)
{
    const magic *found = find_magic(head);
    if (head.len == 0) {
        return DV_SCAN_EMPTY;
    }
    if (found != NULL) {
        return (dv_scan_kind)found->kind;
    }
    if (dv_slice_find_byte(head, '\0') >= 0) {
        return DV_SCAN_BINARY;
    }
    dv_slice text = dv_slice_trim(head);
    if (text.len > 0 && (text.ptr[0] == '{' || text.ptr[0] == '[')) {
        return json_kind(text);
    }
    *ret_delimiter = delimiter_of(head, whole);
    return *ret_delimiter != '\0' ? DV_SCAN_CSV : DV_SCAN_TEXT;
}
