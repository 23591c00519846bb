/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/fingerprint/build.h"

#include "base/clock.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "engine/detect/fingerprint/format.h"
#include "engine/detect/fingerprint/normal.h"
#include "engine/detect/fingerprint/winnow.h"

/* Making a set.
 *
 * 1. What was given is kept as hashes only; a document's letters until it ends.
 * 2. Records that are the same as one before are one. So a value that more than DV_SET_ROWS records
 *    have is one that different people or things share.
 * 3. The same input, salt apart, makes the same set: all is sorted. */

enum {
    DOCUMENTS_WITH_MOST = 8, /* documents that a passage stands in; in more it is a phrase */
    FILE_MAX = 0x7FFFFFFF,
};

/* A value, or what one of several words begins with. */
typedef struct cell {
    uint64_t hash;
    uint64_t quick;
    uint32_t record;
    uint32_t what; /* as in an entry */
} cell;

typedef struct passage {
    uint64_t hash;
    uint32_t document;
    uint32_t number;
} passage;

struct dv_fingerprint_builder {
    dv_fingerprint_rules rules;
    uint8_t key[DV_SET_KEY_LEN];
    dv_set_keys keys;
    dv_buf cells;    /* of cell */
    dv_buf tags;     /* uint32_t, a row for each record */
    dv_buf passages; /* of passage */
    dv_buf totals;   /* uint32_t, of each document */
    dv_buf column_names;
    dv_buf document_names;
    dv_buf letters; /* of the document that is read */
    dv_normal normal;
    uint64_t *known; /* hashes of records; a table of a power of two */
    uint32_t known_room;
    uint32_t records, documents, canaries;
    uint32_t too_short, too_long;
    uint64_t number_lengths;
    uint32_t longest_number;
};

const dv_fingerprint_rules dv_fingerprint_rules_default = {
    .least = 1, .within = 300, .row = 4, .share = 50};

/* ---- rules ---- */

static dv_result check_rules(const dv_fingerprint_rules *rules, dv_error *error)
{
    if (rules->column_count > DV_FINGERPRINT_COLUMNS) {
        return dv_error_set(error, DV_ERR_INVALID, "a set has at most %d columns",
                            DV_FINGERPRINT_COLUMNS);
    }
    if (rules->least < 1 || rules->least > DV_MAX(rules->column_count, 1U)) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "of a record at least one column has to meet, and at most all (%u)",
                            rules->column_count);
    }
    if (rules->within < 1 || rules->within > DV_FINGERPRINT_WITHIN_MAX || rules->row < 1 ||
        rules->row > DV_FINGERPRINT_ROW_MAX || rules->share < 1 || rules->share > 1000) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "out of range: within 1 to %d, row 1 to %d, share 0.1 to 100 per cent",
                            DV_FINGERPRINT_WITHIN_MAX, DV_FINGERPRINT_ROW_MAX);
    }
    for (uint32_t i = 0; i < rules->column_count; i++) {
        if (strlen(rules->columns[i]) > DV_FINGERPRINT_NAME_MAX) {
            return dv_error_set(error, DV_ERR_INVALID, "a column's name has more than %d bytes",
                                DV_FINGERPRINT_NAME_MAX);
        }
    }
    return DV_OK;
}

/* The names go on with a NUL each; they may be cut, never split. */
static dv_result add_name(dv_buf *names, dv_slice name)
{
    size_t len = DV_MIN(name.len, (size_t)DV_FINGERPRINT_NAME_MAX);
    const uint8_t *nul = len > 0 ? memchr(name.ptr, 0, len) : NULL;
    DV_TRY(
        dv_buf_append(names, dv_slice_sub(name, 0, nul != NULL ? (size_t)(nul - name.ptr) : len)));
    return dv_buf_append_byte(names, 0);
}

dv_result dv_fingerprint_builder_new(const dv_fingerprint_rules *rules,
                                     dv_fingerprint_builder **ret_builder, dv_error *error)
{
    DV_TRY(check_rules(rules, error));
    dv_auto(fingerprint_builder) dv_fingerprint_builder *b = calloc(1, sizeof(*b));
    if (b == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    b->rules = *rules;
    dv_random(b->key, sizeof(b->key));
    dv_set_keys_of(b->key, &b->keys);
    b->cells = dv_buf_init(DV_FINGERPRINT_CELLS_MAX * sizeof(cell));
    b->tags = dv_buf_init(DV_FINGERPRINT_CELLS_MAX * sizeof(uint32_t));
    b->passages = dv_buf_init(DV_FINGERPRINT_CELLS_MAX * sizeof(passage));
    b->totals = dv_buf_init(DV_FINGERPRINT_DOCUMENTS_MAX * sizeof(uint32_t));
    b->column_names = dv_buf_init((DV_FINGERPRINT_NAME_MAX + 1) * DV_FINGERPRINT_COLUMNS);
    b->document_names = dv_buf_init(DV_SET_NAMES_MAX - 4096);
    b->letters = dv_buf_init(DV_FINGERPRINT_DOCUMENT_MAX);
    for (uint32_t i = 0; i < rules->column_count; i++) {
        DV_TRY(add_name(&b->column_names, dv_slice_str(rules->columns[i])));
    }
    *ret_builder = b;
    b = NULL;
    return DV_OK;
}

void dv_fingerprint_builder_free(dv_fingerprint_builder *b)
{
    if (b == NULL) {
        return;
    }
    dv_buf_release(&b->cells);
    dv_buf_release(&b->tags);
    dv_buf_release(&b->passages);
    dv_buf_release(&b->totals);
    dv_buf_release(&b->column_names);
    dv_buf_release(&b->document_names);
    dv_buf_wipe(&b->letters);
    free(b->known);
    dv_wipe(b, sizeof(*b));
    free(b);
}

/* ---- values ---- */

/* A value, normalised, word by word. */
typedef struct value {
    uint8_t text[DV_FINGERPRINT_VALUE_MAX + DV_SET_SPARE]; /* letters alone */
    size_t len;
    size_t ends[DV_FINGERPRINT_WORDS_MAX]; /* of each word */
    size_t words;
    size_t digits;
} value;

/* Whether a normalised value is one that texts are compared with. */
static bool read_words(const uint8_t *text, size_t len, value *v)
{
    bool in_word = false;
    for (size_t i = 0; i < len; i++) {
        if (!dv_normal_is_letter(text[i])) {
            in_word = false;
            continue;
        }
        v->words += !in_word;
        in_word = true;
        if (v->words > DV_FINGERPRINT_WORDS_MAX || v->len == DV_FINGERPRINT_VALUE_MAX) {
            return false;
        }
        v->text[v->len++] = text[i];
        v->ends[v->words - 1] = v->len;
        v->digits += text[i] >= '0' && text[i] <= '9';
    }
    return true;
}

/* False: it is too long, or has too much between its words. */
static bool read_value(dv_slice text, value *v)
{
    uint8_t plain[4 * (DV_FINGERPRINT_VALUE_MAX + DV_FINGERPRINT_WORDS_MAX)];
    dv_normal normal = {0};
    dv_normal_out out = {.text = plain, .room = sizeof(plain)};
    *v = (value){.len = 0};
    if (dv_normal_feed(&normal, text, 0, false, &out) < text.len) {
        return false;
    }
    size_t len = out.len;
    while (len > 0 && !dv_normal_is_letter(plain[len - 1])) {
        len--;
    }
    bool good = memchr(plain, DV_NORMAL_BREAK, len) == NULL && read_words(plain, len, v);
    dv_wipe(plain, sizeof(plain));
    return good;
}

static dv_result add_cell(dv_fingerprint_builder *b, const value *v, size_t len, uint32_t what,
                          uint64_t *ret_hash)
{
    const cell one = {.hash = dv_siphash(b->keys.sip, dv_slice_of(v->text, len)),
                      .quick = dv_set_quick(&b->keys, v->text, len),
                      .record = b->records,
                      .what = what};
    *ret_hash = one.hash;
    return dv_buf_append(&b->cells, dv_slice_of(&one, sizeof(one)));
}

/* A value with all that it begins with. */
static dv_result add_value(dv_fingerprint_builder *b, const value *v, uint32_t what)
{
    uint64_t hash = 0;
    for (size_t i = 0; i + 1 < v->words; i++) {
        DV_TRY(add_cell(b, v, v->ends[i], DV_VALUE_BEGINS, &hash));
    }
    if (v->digits * 2 >= v->len) {
        b->number_lengths |= UINT64_C(1) << DV_MIN(v->len, (size_t)63);
        b->longest_number = DV_MAX(b->longest_number, (uint32_t)v->len);
    }
    return add_cell(b, v, v->len, what | DV_VALUE_IS, &hash);
}

dv_result dv_fingerprint_add_canary(dv_fingerprint_builder *b, dv_slice text)
{
    value v;
    if (!read_value(text, &v) || v.len < DV_FINGERPRINT_ALONE_LEAST) {
        dv_wipe(&v, sizeof(v));
        return DV_ERR_INVALID;
    }
    dv_result result = add_value(b, &v, DV_VALUE_CANARY);
    dv_wipe(&v, sizeof(v));
    b->canaries++;
    return result;
}

/* ---- records ---- */

/* Makes room in the table of records; it is never full. */
static dv_result grow_known(dv_fingerprint_builder *b)
{
    uint32_t room = b->known_room == 0 ? 1024 : b->known_room * 2;
    uint64_t *bigger = calloc(room, sizeof(*bigger));
    if (bigger == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < b->known_room; i++) {
        uint64_t hash = b->known[i];
        uint32_t at = (uint32_t)hash & (room - 1);
        while (hash != 0 && bigger[at] != 0) {
            at = (at + 1) & (room - 1);
        }
        bigger[at] = hash != 0 ? hash : bigger[at];
    }
    free(b->known);
    b->known = bigger;
    b->known_room = room;
    return DV_OK;
}

/* Notes the record; *ret_new: there was none like it. */
static dv_result note_record(dv_fingerprint_builder *b, const uint64_t *hashes, bool *ret_new)
{
    if (b->records >= b->known_room / 2) {
        DV_TRY(grow_known(b));
    }
    uint64_t hash =
        dv_siphash(b->keys.sip, dv_slice_of(hashes, b->rules.column_count * sizeof(*hashes)));
    hash += hash == 0;
    uint32_t at = (uint32_t)hash & (b->known_room - 1);
    while (b->known[at] != 0 && b->known[at] != hash) {
        at = (at + 1) & (b->known_room - 1);
    }
    *ret_new = b->known[at] == 0;
    b->known[at] = hash;
    return DV_OK;
}

/* Reads a cell; v->len 0: nothing to compare. */
static void read_cell(dv_fingerprint_builder *b, dv_slice text, bool alone, value *v)
{
    bool good = read_value(text, v);
    size_t least = alone ? DV_FINGERPRINT_ALONE_LEAST : DV_FINGERPRINT_CELL_LEAST;
    if (good && v->len > 0 && v->len < least) {
        b->too_short++;
        v->len = 0;
    } else if (!good) {
        b->too_long++;
        v->len = 0;
    }
}

static dv_result add_values(dv_fingerprint_builder *b, const value *values)
{
    uint32_t tags[DV_FINGERPRINT_COLUMNS] = {0};
    uint64_t hashes[DV_FINGERPRINT_COLUMNS] = {0};
    uint32_t count = b->rules.column_count;
    bool is_new = false;
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].len > 0) {
            hashes[i] = dv_siphash(b->keys.sip, dv_slice_of(values[i].text, values[i].len));
            tags[i] = dv_set_tag(hashes[i]);
        }
    }
    DV_TRY(note_record(b, hashes, &is_new));
    if (!is_new) {
        return DV_OK;
    }
    DV_TRY(dv_buf_append(&b->tags, dv_slice_of(tags, count * sizeof(*tags))));
    for (uint32_t i = 0; i < count; i++) {
        bool alone = ((b->rules.alone >> i) & 1) != 0;
        if (values[i].len > 0) {
            DV_TRY(add_value(b, &values[i], 1U << i | (alone ? DV_VALUE_ALONE : 0)));
        }
    }
    b->records++;
    return DV_OK;
}

dv_result dv_fingerprint_add_record(dv_fingerprint_builder *b, const dv_slice *cells)
{
    value values[DV_FINGERPRINT_COLUMNS];
    size_t met = 0;
    for (uint32_t i = 0; i < b->rules.column_count; i++) {
        read_cell(b, cells[i], ((b->rules.alone >> i) & 1) != 0, &values[i]);
        met += values[i].len > 0;
    }
    dv_result result = met == 0 ? DV_OK : add_values(b, values);
    dv_wipe(values, sizeof(values));
    return result;
}

/* ---- documents ---- */

/* Appends the letters of a stretch of normalised text. */
static dv_result add_letters(dv_fingerprint_builder *b, uint8_t *text, size_t len)
{
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        if (dv_normal_is_letter(text[i])) {
            text[kept++] = text[i];
        }
    }
    return dv_buf_append(&b->letters, dv_slice_of(text, kept));
}

static dv_result feed(dv_fingerprint_builder *b, dv_slice piece, bool more)
{
    uint8_t text[4096];
    do {
        dv_normal_out out = {.text = text, .room = sizeof(text)};
        size_t read = dv_normal_feed(&b->normal, piece, 0, more, &out);
        DV_TRY(add_letters(b, text, out.len));
        piece = dv_slice_sub(piece, read, SIZE_MAX);
    } while (piece.len > 0);
    return DV_OK;
}

dv_result dv_fingerprint_add_text(dv_fingerprint_builder *b, dv_slice piece)
{
    return feed(b, piece, true);
}

static dv_result add_passages(dv_fingerprint_builder *b, uint32_t *ret_total)
{
    dv_winnow winnow;
    uint64_t hash = 0;
    size_t at = 0;
    uint32_t number = 0;
    dv_winnow_begin(&winnow, &b->keys, b->letters.ptr, b->letters.len);
    while (dv_winnow_next(&winnow, &hash, &at)) {
        const passage one = {.hash = hash, .document = b->documents, .number = number++};
        DV_TRY(dv_buf_append(&b->passages, dv_slice_of(&one, sizeof(one))));
    }
    *ret_total = number;
    return DV_OK;
}

dv_result dv_fingerprint_end_document(dv_fingerprint_builder *b, dv_slice name)
{
    uint32_t total = 0;
    dv_result result = feed(b, (dv_slice){NULL, 0}, false);
    if (result == DV_OK) {
        result = add_passages(b, &total);
    }
    dv_buf_clear(&b->letters);
    b->normal = (dv_normal){0};
    DV_TRY(result);
    if (total == 0) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_buf_append(&b->totals, dv_slice_of(&total, sizeof(total))));
    DV_TRY(add_name(&b->document_names, name));
    b->documents++;
    return DV_OK;
}

/* ---- the file: values ---- */

/* What becomes of the arrays before they are written. */
typedef struct parts {
    dv_set_header header;
    dv_buf entries;  /* of dv_set_entry */
    dv_buf quick;    /* uint64_t, of each of them */
    dv_buf rows;     /* uint32_t */
    dv_buf passages; /* of dv_set_entry */
} parts;

static int by_cell(const void *a, const void *b)
{
    const cell *x = a;
    const cell *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return x->record < y->record ? -1 : x->record > y->record;
}

/* One entry of all cells with one hash. A beginning, or a canary, leads to no record. */
static dv_result add_entry(parts *p, const cell *cells, size_t count)
{
    dv_set_entry entry = {.hash = cells[0].hash, .at = (uint32_t)(p->rows.len / sizeof(uint32_t))};
    uint32_t rows = 0, last = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        bool leads = (cells[i].what & ((1U << DV_FINGERPRINT_COLUMNS) - 1)) != 0;
        entry.what |= cells[i].what;
        if (leads && cells[i].record != last && rows <= DV_SET_ROWS) {
            last = cells[i].record;
            rows++;
            DV_TRY(dv_buf_append(&p->rows, dv_slice_of(&last, sizeof(last))));
        }
    }
    if (rows > DV_SET_ROWS) {
        p->rows.len -= rows * sizeof(uint32_t);
        entry.what |= DV_VALUE_USUAL;
        rows = 0;
    }
    entry.what |= rows << DV_VALUE_ROWS_SHIFT;
    p->header.distinct += (entry.what & DV_VALUE_IS) != 0;
    DV_TRY(dv_buf_append(&p->quick, dv_slice_of(&cells[0].quick, sizeof(cells[0].quick))));
    return dv_buf_append(&p->entries, dv_slice_of(&entry, sizeof(entry)));
}

/* The list of a buffer's items. */
static void *items(const dv_buf *buf)
{
    return (void *)buf->ptr;
}

static dv_result make_entries(dv_fingerprint_builder *b, parts *p)
{
    cell *cells = items(&b->cells);
    size_t count = b->cells.len / sizeof(*cells);
    if (count > 0) {
        qsort(cells, count, sizeof(*cells), by_cell);
    }
    for (size_t i = 0, next = 0; i < count; i = next) {
        for (next = i + 1; next < count && cells[next].hash == cells[i].hash; next++) {
        }
        DV_TRY(add_entry(p, cells + i, next - i));
    }
    return DV_OK;
}

/* Marks the records that some value leads to, and counts those that none does. */
static dv_result count_usual(const dv_fingerprint_builder *b, parts *p)
{
    const uint32_t *rows = items(&p->rows);
    uint8_t *found = calloc((size_t)b->records + 1, 1);
    if (found == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < p->rows.len / sizeof(*rows); i++) {
        found[rows[i]] = 1;
    }
    for (uint32_t i = 0; i < b->records; i++) {
        p->header.too_usual += found[i] == 0;
    }
    free(found);
    return DV_OK;
}

/* ---- the file: passages ---- */

static int by_passage(const void *a, const void *b)
{
    const passage *x = a;
    const passage *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    if (x->document != y->document) {
        return x->document < y->document ? -1 : 1;
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Those with one hash; of what repeats in a document the first. */
static dv_result add_same(parts *p, const passage *same, size_t count)
{
    size_t documents = 0;
    for (size_t i = 0; i < count; i++) {
        documents += i == 0 || same[i].document != same[i - 1].document;
    }
    if (documents > DOCUMENTS_WITH_MOST) {
        return DV_OK;
    }
    for (size_t i = 0; i < count; i++) {
        const dv_set_entry entry = {same[i].hash, same[i].document, same[i].number};
        if (i == 0 || same[i].document != same[i - 1].document) {
            DV_TRY(dv_buf_append(&p->passages, dv_slice_of(&entry, sizeof(entry))));
        }
    }
    return DV_OK;
}

static dv_result make_passages(dv_fingerprint_builder *b, parts *p)
{
    passage *list = items(&b->passages);
    size_t count = b->passages.len / sizeof(*list);
    if (count > 0) {
        qsort(list, count, sizeof(*list), by_passage);
    }
    for (size_t i = 0, next = 0; i < count; i = next) {
        for (next = i + 1; next < count && list[next].hash == list[i].hash; next++) {
        }
        DV_TRY(add_same(p, list + i, next - i));
    }
    return DV_OK;
}

/* ---- the file: all together ---- */

static void fill_header(const dv_fingerprint_builder *b, parts *p)
{
    dv_set_header *h = &p->header;
    memcpy(h->magic, DV_SET_MAGIC, sizeof(h->magic));
    h->version = DV_SET_VERSION;
    h->header_bytes = sizeof(*h);
    h->made = (uint64_t)(dv_time_now() / DV_SECOND);
    memcpy(h->key, b->key, sizeof(h->key));
    h->gram = DV_FINGERPRINT_GRAM;
    h->window = DV_FINGERPRINT_WINDOW;
    h->values = (uint32_t)(p->entries.len / sizeof(dv_set_entry));
    h->value_blocks = dv_set_blocks_for(h->values);
    h->value_bucket_bits = dv_set_bucket_bits_for(h->values);
    h->passages = (uint32_t)(p->passages.len / sizeof(dv_set_entry));
    h->passage_blocks = dv_set_blocks_for(h->passages);
    h->passage_bucket_bits = dv_set_bucket_bits_for(h->passages);
    h->rows = (uint32_t)(p->rows.len / sizeof(uint32_t));
    h->records = b->records;
    h->columns = b->rules.column_count;
    h->documents = b->documents;
    h->names = (uint32_t)(b->column_names.len + b->document_names.len);
    h->alone = b->rules.alone;
    h->least = b->rules.least;
    h->within = b->rules.within;
    h->row = b->rules.row;
    h->share = b->rules.share;
    h->longest_number = b->longest_number;
    h->number_lengths = b->number_lengths;
    h->canaries = b->canaries;
    h->too_short = b->too_short;
    h->too_long = b->too_long;
    h->file_bytes = dv_set_layout_of(h).end;
}

static void set_bits(uint8_t *bits, uint32_t blocks, uint64_t quick)
{
    uint8_t *block = bits + (size_t)dv_set_block(quick, blocks) * DV_SET_BLOCK;
    for (unsigned i = 0; i < DV_SET_PROBES; i++) {
        unsigned bit = dv_set_probe(quick, i);
        block[bit / 8] |= (uint8_t)(1U << (bit % 8));
    }
}

/* Where each bucket's first entry is. */
static void set_buckets(uint32_t *buckets, uint32_t bits, const dv_set_entry *entries,
                        uint32_t count)
{
    uint32_t at = 0;
    size_t all = (size_t)1 << bits;
    for (size_t bucket = 0; bucket < all; bucket++) {
        while (at < count && bits > 0 && entries[at].hash >> (64 - bits) < bucket) {
            at++;
        }
        buckets[bucket] = at;
    }
    buckets[all] = count;
}

static void copy(uint8_t *to, const dv_buf *from)
{
    if (from->len > 0) {
        memcpy(to, from->ptr, from->len);
    }
}

static void write_file(const dv_fingerprint_builder *b, const parts *p, uint8_t *file)
{
    const dv_set_header *h = &p->header;
    dv_set_layout at = dv_set_layout_of(h);
    const dv_set_entry *passages = items(&p->passages);
    const uint64_t *quick = items(&p->quick);
    memcpy(file, h, sizeof(*h));
    for (uint32_t i = 0; i < h->values; i++) {
        set_bits(file + at.value_bits, h->value_blocks, quick[i]);
    }
    for (uint32_t i = 0; i < h->passages; i++) {
        set_bits(file + at.passage_bits, h->passage_blocks, passages[i].hash);
    }
    copy(file + at.values, &p->entries);
    copy(file + at.passages, &p->passages);
    set_buckets((void *)(file + at.value_buckets), h->value_bucket_bits, items(&p->entries),
                h->values);
    set_buckets((void *)(file + at.passage_buckets), h->passage_bucket_bits, passages, h->passages);
    copy(file + at.rows, &p->rows);
    copy(file + at.tags, &b->tags);
    copy(file + at.documents, &b->totals);
    copy(file + at.names, &b->column_names);
    copy(file + at.names + b->column_names.len, &b->document_names);
    dv_sha256(dv_slice_of(file, at.digest), (dv_slice){NULL, 0}, (dv_slice){NULL, 0},
              file + at.digest);
}

static dv_result build(dv_fingerprint_builder *b, parts *p, dv_buf *out, dv_error *error)
{
    DV_TRY(make_entries(b, p));
    DV_TRY(make_passages(b, p));
    DV_TRY(count_usual(b, p));
    fill_header(b, p);
    if (p->header.values + p->header.passages == 0) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "there is nothing to make fingerprints of: all is too short or too "
                            "long (a value that is a hit by itself has %d letters or digits at "
                            "least, a document %d)",
                            DV_FINGERPRINT_ALONE_LEAST, DV_FINGERPRINT_SURE);
    }
    if (p->header.file_bytes > FILE_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the set would have more than 2 GiB");
    }
    DV_TRY(dv_buf_reserve(out, p->header.file_bytes));
    memset(out->ptr, 0, p->header.file_bytes);
    write_file(b, p, out->ptr);
    out->len = p->header.file_bytes;
    return DV_OK;
}

dv_result dv_fingerprint_build(dv_fingerprint_builder *b, dv_buf *out, dv_error *error)
{
    parts p = {
        .entries = dv_buf_init(DV_FINGERPRINT_CELLS_MAX * sizeof(dv_set_entry)),
        .quick = dv_buf_init(DV_FINGERPRINT_CELLS_MAX * sizeof(uint64_t)),
        .rows = dv_buf_init(DV_FINGERPRINT_CELLS_MAX * sizeof(uint32_t)),
        .passages = dv_buf_init(DV_FINGERPRINT_CELLS_MAX * sizeof(dv_set_entry)),
    };
    dv_result result = build(b, &p, out, error);
    dv_buf_release(&p.entries);
    dv_buf_release(&p.quick);
    dv_buf_release(&p.rows);
    dv_buf_release(&p.passages);
    return result;
}
