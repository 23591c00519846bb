/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks, both ways: leaves of any bytes come back out of a block, and any bytes for a block are
 * refused or read without harm. What is searched and counted by columns is what looking at each
 * leaf finds and counts. */
#include "base/codec.h"
#include "engine/log/block_format.h"
#include "engine/log/block_search.h"
#include "engine/log/block_values.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* -- searching --------------------------------------------------------------------------------- */

enum { MEMORY = 64 << 20 };

static const char *const searches[] = {
    "1",       "00",        "a",         "-1",    "time:1..9",     "message.x:<2.5",
    "user:a*", "message:a", "message:*", "e-",    "message.x:*",   "resources.0.name:a",
    "user:1",  "0123-4",    "d",         "not 7", "severity_id:1",
};
static const char *const counts[] = {
    "| count by message, user over 1s",
    "| sum(message.x), max(time), p50(time) by resources.name",
    "| count by resources[a].name, message.x, resources.1.name",
    "message:* or a | count, avg(message.x) by time",
};

static dv_arena *queries; /* of one input */

static const dv_query *parse(const char *text)
{
    const dv_query *query;
    const dv_query_options options = {.now = 0};
    require(dv_query_parse(dv_slice_str(text), &options, queries, &query, NULL) == DV_OK);
    return query;
}

static bool holds(const dv_query *query, dv_slice leaf, dv_arena *arena)
{
    bool matches;
    dv_query_event event = dv_query_event_of(leaf);
    require(dv_query_matches(query, &event, arena, &matches) == DV_OK);
    return matches;
}

static void compare_search(const dv_query *query, dv_block *block, dv_arena *arena)
{
    dv_rows sure, maybe;
    dv_auto(buf) dv_buf leaf = dv_buf_init(UINT16_MAX);
    require(dv_block_search(block, query->root, NULL, &sure, &maybe, NULL) == DV_OK);
    for (uint32_t i = 0; i < dv_block_about(block)->leaves; i++) {
        dv_buf_clear(&leaf);
        dv_arena_reset(arena);
        require(dv_block_leaf(block, i, &leaf, NULL) == DV_OK);
        bool matches = holds(query, dv_buf_slice(&leaf), arena);
        require(!dv_rows_has(&sure, i) || matches);
        require(dv_rows_has(&maybe, i) || !matches);
    }
}

static void compare_counts(const dv_query *query, dv_block *block, dv_arena *arena)
{
    dv_aggregate *slow = NULL, *quick = NULL;
    dv_auto(block_values) dv_block_values *values = NULL;
    dv_auto(buf) dv_buf leaf = dv_buf_init(UINT16_MAX), a = dv_buf_init(MEMORY),
                        b = dv_buf_init(MEMORY);
    require(dv_aggregate_new(query, &slow) == DV_OK && dv_aggregate_new(query, &quick) == DV_OK);
    require(dv_block_values_new(query, NULL, &values) == DV_OK);
    require(dv_block_values_begin(values, block) == DV_OK);
    for (uint32_t i = 0; i < dv_block_about(block)->leaves; i++) {
        bool added;
        dv_buf_clear(&leaf);
        dv_arena_reset(arena);
        require(dv_block_leaf(block, i, &leaf, NULL) == DV_OK);
        dv_query_event event = dv_query_event_of(dv_buf_slice(&leaf));
        require(dv_aggregate_add(slow, &event, arena) == DV_OK);
        require(dv_block_values_add(values, i, quick, &added, NULL) == DV_OK);
        if (!added) {
            require(dv_aggregate_add(quick, &event, arena) == DV_OK);
        }
    }
    require(dv_aggregate_save(slow, &a) == DV_OK && dv_aggregate_save(quick, &b) == DV_OK);
    require(dv_slice_eq(dv_buf_slice(&a), dv_buf_slice(&b)));
    dv_aggregate_free(slow);
    dv_aggregate_free(quick);
}

/* One of each, by the input's first byte. */
static void compare(dv_block *block, uint8_t turn)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(MEMORY);
    compare_search(parse(searches[turn % DV_ARRAY_LEN(searches)]), block, arena);
    compare_counts(parse(counts[turn % DV_ARRAY_LEN(counts)]), block, arena);
}

/* A block that nobody built: whatever it says, nothing is read beyond it. */
static void search_foreign(dv_block *block)
{
    dv_rows sure, maybe;
    bool added;
    const dv_query *query = parse(counts[0]);
    dv_aggregate *aggregate = NULL;
    dv_auto(block_values) dv_block_values *values = NULL;
    (void)!dv_block_search(block, parse("a1")->root, NULL, &sure, &maybe, NULL);
    (void)!dv_block_search(block, parse("11")->root, NULL, &sure, &maybe, NULL);
    require(dv_aggregate_new(query, &aggregate) == DV_OK);
    require(dv_block_values_new(query, NULL, &values) == DV_OK);
    dv_result result = dv_block_values_begin(values, block);
    for (uint32_t i = 0; result == DV_OK && i < dv_block_about(block)->leaves; i++) {
        result = dv_block_values_add(values, i, aggregate, &added, NULL);
    }
    dv_aggregate_free(aggregate);
}

/* -- both ways --------------------------------------------------------------------------------- */

/* Leaves are the input's lines. */
static void round_trip(dv_slice input, uint8_t turn)
{
    static dv_block_builder *builder;
    dv_auto(block) dv_block *block = NULL;
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_BLOCK_LEN_MAX), leaf = dv_buf_init(UINT16_MAX);
    dv_slice rest = input, line;
    if (builder == NULL) {
        require(dv_block_builder_new(&builder) == DV_OK);
    }
    dv_block_builder_clear(builder);
    while (dv_block_builder_count(builder) < DV_BLOCK_LEAVES &&
           dv_slice_split(&rest, '\n', &line)) {
        dv_result result = dv_block_builder_add(builder, line);
        require(result == DV_OK || (result == DV_ERR_INVALID && line.len == 0));
    }
    uint32_t count = dv_block_builder_count(builder);
    if (count == 0) {
        return;
    }
    require(dv_block_builder_finish(builder, 0, 1, &bytes) == DV_OK);
    require(dv_block_open(dv_buf_slice(&bytes), &block, NULL) == DV_OK);
    require(dv_block_check(block, NULL) == DV_OK);
    rest = input;
    for (uint32_t i = 0; i < count; i++) {
        do {
            require(dv_slice_split(&rest, '\n', &line));
        } while (line.len == 0);
        dv_buf_clear(&leaf);
        require(dv_block_leaf(block, i, &leaf, NULL) == DV_OK);
        require(dv_slice_eq(dv_buf_slice(&leaf), line));
    }
    compare(block, turn);
}

/* The sums are made right, so that what they guard is reached. */
static void mend(uint8_t *bytes, size_t len)
{
    if (len < DV_BLOCK_HEADER) {
        return;
    }
    memcpy(bytes, DV_BLOCK_MAGIC, 8);
    dv_put_u32(bytes + 52, (uint32_t)len);
    dv_put_u32(bytes + 56, 0);
    dv_put_u32(bytes + 60, 0);
    size_t sections = DV_SECTION_FIXED + (size_t)dv_get_u32(bytes + 36) % 64;
    dv_put_u32(bytes + 36, (uint32_t)(sections - DV_SECTION_FIXED));
    size_t at = DV_BLOCK_HEADER + sections * DV_BLOCK_TABLE_ROW;
    if (at > len) {
        return;
    }
    for (size_t i = 0; i < sections; i++) {
        uint8_t *row = bytes + DV_BLOCK_HEADER + i * DV_BLOCK_TABLE_ROW;
        size_t stored = i + 1 == sections ? len - at : dv_get_u32(row) % (len - at + 1);
        dv_put_u32(row, (uint32_t)stored);
        dv_put_u32(row + 8, dv_crc32c(0, dv_slice_of(bytes + at, stored)));
        at += stored;
    }
    dv_put_u32(bytes + 60,
               dv_crc32c(0, dv_slice_of(bytes, DV_BLOCK_HEADER + sections * DV_BLOCK_TABLE_ROW)));
}

static void read_block(dv_slice input)
{
    dv_auto(block) dv_block *block = NULL;
    dv_auto(buf) dv_buf leaf = dv_buf_init(UINT16_MAX), bytes = dv_buf_init(1 << 20);
    if (dv_buf_append(&bytes, input) != DV_OK || bytes.len == 0) {
        return;
    }
    mend(bytes.ptr, bytes.len);
    if (dv_block_open(dv_buf_slice(&bytes), &block, NULL) != DV_OK) {
        return;
    }
    for (uint32_t i = 0; i < dv_block_about(block)->leaves; i++) {
        dv_buf_clear(&leaf);
        (void)!dv_block_leaf(block, i, &leaf, NULL);
    }
    (void)!dv_block_check(block, NULL);
    search_foreign(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    queries = dv_arena_new(MEMORY);
    require(queries != NULL);
    if (size > 0) {
        dv_slice rest = dv_slice_of(data + 1, size - 1);
        data[0] % 2 == 0 ? round_trip(rest, data[0] / 2) : read_block(rest);
    }
    dv_arena_free(queries);
    return 0;
}
