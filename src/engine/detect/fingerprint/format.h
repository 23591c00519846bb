/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private: the file of a set, and its look-ups.
 *
 *   header | bits of values | bits of passages | values | passages | buckets of values | buckets of
 *   passages | rows of values | tags of records | documents | names | SHA-256 of all before
 *
 * 1. Whole numbers are little-endian, as they are used; each part begins at a multiple of 8 bytes.
 * 2. The header's counts say how long each part is, and the file is exactly that long.
 * 3. Values and passages are sorted by hash. Bits (a blocked Bloom filter, 64 bytes each) say what
 *    surely is not there; buckets, by the hash's first bits, where to look.
 * 4. The hash tells changed bytes, not who changed them: no index is trusted when it is used. */

#include "base/siphash.h"
#include "engine/detect/fingerprint/fingerprint.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "sets are used as they lie there");

enum {
    DV_SET_VERSION = 1,
    DV_SET_BLOCK = 64,    /* bytes of the Bloom filter that one hash is spread over */
    DV_SET_PROBES = 6,    /* bits of it */
    DV_SET_KEY_BITS = 16, /* for each hash */
    DV_SET_BUCKET = 4,    /* hashes that a bucket has, about */
    DV_SET_ROWS = 16,     /* records that a value leads to; of more it is too usual */
    DV_SET_HASHES_MAX = 1 << 27,
    DV_SET_NAMES_MAX = 64 << 20,
    DV_SET_KEY_LEN = 32,
};

#define DV_SET_MAGIC "DVARAFP\n"

typedef struct dv_set_header {
    uint8_t magic[8];
    uint32_t version;
    uint32_t header_bytes;
    uint64_t file_bytes;
    uint64_t made;
    uint8_t key[DV_SET_KEY_LEN];
    uint32_t gram, window; /* as this program's */
    uint32_t values, value_blocks, value_bucket_bits;
    uint32_t passages, passage_blocks, passage_bucket_bits;
    uint32_t rows;
    uint32_t records;
    uint32_t columns;
    uint32_t documents;
    uint32_t names;
    uint32_t alone, least, within;
    uint32_t row, share;
    uint32_t longest_number; /* normalised bytes of values that are numbers; 0: there are none */
    uint32_t distinct, canaries;
    uint32_t too_short, too_long, too_usual;
    uint64_t number_lengths; /* a bit for each such length below 64; 63: that or more */
} dv_set_header;
_Static_assert(sizeof(dv_set_header) % 8 == 0, "parts are aligned");

/* What is known of a value: its columns in the lowest 8 bits. */
enum {
    DV_VALUE_IS = 1 << 8,     /* whole; otherwise only the beginning of one */
    DV_VALUE_BEGINS = 1 << 9, /* longer ones begin with it */
    DV_VALUE_ALONE = 1 << 10,
    DV_VALUE_CANARY = 1 << 11,
    DV_VALUE_USUAL = 1 << 12, /* has no rows: more than DV_SET_ROWS */
    DV_VALUE_ROWS_SHIFT = 16, /* how many rows it has */
};

typedef struct dv_set_entry {
    uint64_t hash;
    uint32_t at;   /* of a value: its first row; of a passage: the document */
    uint32_t what; /* of a value: see above; of a passage: its number in the document */
} dv_set_entry;

typedef struct dv_set_table {
    const uint64_t *bits;
    const dv_set_entry *entries;
    const uint32_t *buckets; /* one more than there are */
    uint32_t blocks;
    uint32_t count;
    uint32_t bucket_bits;
} dv_set_table;

/* Letters' hashes under the set's key, and what a hash ends with. */
typedef struct dv_set_keys {
    uint8_t sip[16];
    uint64_t odd;
    uint64_t letters[256];
} dv_set_keys;

struct dv_fingerprint_set {
    const dv_set_header *header;
    dv_set_table values;
    dv_set_table passages;
    const uint32_t *rows;
    const uint32_t *tags;       /* of each record, one a column; 0: an empty cell */
    const uint32_t *documents;  /* fingerprints of each */
    const char *names;          /* ended by NULs: columns, then documents */
    const uint32_t *name_begin; /* of each; made when the set is opened */
    uint32_t name_count;
    dv_fingerprint_about about;
    dv_set_keys keys;
    void *map; /* NULL: borrowed */
    size_t map_len;
};

void dv_set_keys_of(const uint8_t key[DV_SET_KEY_LEN], dv_set_keys *keys);

static inline uint64_t dv_set_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The quick hash of a value, which only the bits are asked with. Reads whole words of 8 bytes: so
 * many are readable behind the text. */
enum { DV_SET_SPARE = 8 };
static inline uint64_t dv_set_quick(const dv_set_keys *keys, const uint8_t *text, size_t len)
{
    uint64_t hash = keys->letters[1] ^ len;
    for (; len > 0; text += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, text, sizeof(word));
        word &= len < sizeof(word) ? (UINT64_C(1) << (8 * len)) - 1 : UINT64_MAX;
        hash = dv_set_fold(hash ^ word, keys->odd);
        len -= DV_MIN(len, sizeof(word));
    }
    return dv_set_fold(hash ^ keys->letters[2], keys->odd);
}

/* The hash of a passage from its rolling one. */
static inline uint64_t dv_set_passage(const dv_set_keys *keys, uint64_t rolling)
{
    return dv_set_fold(rolling ^ keys->letters[0], keys->odd);
}

static inline uint32_t dv_set_block(uint64_t quick, uint32_t blocks)
{
    return (uint32_t)(((quick >> 32) * blocks) >> 32);
}

/* Which bit of a block the probe is. */
static inline unsigned dv_set_probe(uint64_t quick, unsigned probe)
{
    uint64_t spread = (quick & UINT32_MAX) * UINT64_C(0x9E3779B97F4A7C15);
    return (unsigned)(spread >> (10 + 9 * probe)) & (DV_SET_BLOCK * 8 - 1);
}

static inline bool dv_set_may_have(const dv_set_table *table, uint64_t quick)
{
    const uint64_t *block =
        table->bits + (size_t)dv_set_block(quick, table->blocks) * (DV_SET_BLOCK / 8);
    for (unsigned i = 0; i < DV_SET_PROBES; i++) {
        unsigned bit = dv_set_probe(quick, i);
        if (((block[bit / 64] >> (bit % 64)) & 1) == 0) {
            return false;
        }
    }
    return true;
}

/* The first entry with the hash; NULL: there is none. Others with it stand behind. */
const dv_set_entry *dv_set_find(const dv_set_table *table, uint64_t hash);
/* The entry behind, if it has the same hash. */
static inline const dv_set_entry *dv_set_next(const dv_set_table *table, const dv_set_entry *entry)
{
    const dv_set_entry *next = entry + 1;
    return next < table->entries + table->count && next->hash == entry->hash ? next : NULL;
}

/* Of a value's hash, in the table of records: never 0. */
static inline uint32_t dv_set_tag(uint64_t hash)
{
    uint32_t tag = (uint32_t)hash;
    return tag == 0 ? 1 : tag;
}

/* Where the parts are, counted from the file's beginning. */
typedef struct dv_set_layout {
    uint64_t value_bits, passage_bits, values, passages, value_buckets, passage_buckets, rows, tags,
        documents, names, digest, end;
} dv_set_layout;

/* Counts are within their limits already, so nothing overflows. */
dv_set_layout dv_set_layout_of(const dv_set_header *header);

/* How many blocks and bits of buckets so many hashes have. */
uint32_t dv_set_blocks_for(uint32_t count);
uint32_t dv_set_bucket_bits_for(uint32_t count);
