/* SPDX-License-Identifier: Apache-2.0 */
/* Searching a log: blocks by their columns, what is not packed yet by looking at every event. */
#include "engine/log/block_values.h"
#include "engine/log/catalogue.h"
#include "engine/log/search_ahead.h"

#include <stdlib.h>

enum { EVENT_MEMORY = 16 << 20, TIME_EVERY = 64, EVENT_MAX = 256 << 10, FILTERED_MAX = 8 };

/* Blocks that a search opens by itself: starting threads takes as long as looking at a part of one.
 */
enum { ALONE_BLOCKS = 2 };

/* The entries of one bundle. */
typedef struct bundle {
    dv_buf bytes;
    dv_slice entries[DV_TILE_WIDTH];
    uint64_t first; /* index of entries[0] */
    size_t count;
} bundle;

/* A term whose text the blocks' filters know. */
typedef struct filtered {
    const dv_query_node *node;
    bool can;
    dv_catalogue_token plain;
    dv_identity_tokens sealed;
} filtered;

typedef struct scan {
    const char *folder;
    const dv_search *search;
    dv_arena *arena;
    dv_pack_reader *packs;
    dv_catalogue_reader *catalogue;
    dv_block_values *values; /* where something is counted */
    dv_ahead *ahead;         /* NULL: not yet, or nobody helps */
    uint64_t ahead_next;     /* the block that they get next */
    bool ahead_more;         /* there is one */
    bool asked_for_help;
    bundle *bundle;
    filtered filtered[FILTERED_MAX];
    size_t filtered_count;
    dv_buf leaf, opened;
    dv_search_stats stats;
    dv_error *error;
} scan;

/* -- one event --------------------------------------------------------------------------------- */

static dv_result as_readers_get_it(scan *s, dv_slice leaf, dv_slice *ret_event)
{
    const dv_search_reader *reader = s->search->reader;
    if (reader == NULL || reader->open_event == NULL) {
        *ret_event = leaf;
        return DV_OK;
    }
    dv_buf_clear(&s->opened);
    DV_TRY(reader->open_event(reader->data, leaf, &s->opened));
    *ret_event = dv_buf_slice(&s->opened);
    return DV_OK;
}

/* sure: its columns have decided already. */
static dv_result look_at(scan *s, uint64_t index, dv_slice leaf, bool sure)
{
    bool matches = sure;
    dv_slice text;
    dv_arena_recycle(s->arena);
    DV_TRY(as_readers_get_it(s, leaf, &text));
    dv_query_event event = dv_query_event_of(text);
    if (!sure) {
        DV_TRY(dv_query_matches(s->search->query, &event, s->arena, &matches));
    }
    if (!matches) {
        return DV_OK;
    }
    s->stats.matched++;
    return s->search->visit(s->search->data, index, &event, s->arena);
}

static void pass(scan *s, uint64_t index)
{
    s->stats.scanned++;
    s->stats.next = s->search->oldest_first ? index + 1 : index;
}

static bool time_is_over(const scan *s)
{
    return s->search->until != 0 && dv_time_monotonic() >= s->search->until;
}

/* -- bundles ----------------------------------------------------------------------------------- */

static dv_result load(scan *s, uint64_t number)
{
    bundle *b = s->bundle;
    uint64_t first = number * DV_TILE_WIDTH;
    uint32_t width = (uint32_t)DV_MIN(s->search->size - first, (uint64_t)DV_TILE_WIDTH);
    dv_buf_clear(&b->bytes);
    b->first = first;
    b->count = 0;
    DV_TRY(dv_bundle_read(s->folder, s->packs, number, width, &b->bytes, s->error));
    dv_slice rest = dv_buf_slice(&b->bytes);
    while (b->count < width && dv_bundle_next(&rest, &b->entries[b->count]) == DV_OK) {
        b->count++;
    }
    return b->count == width
               ? DV_OK
               : dv_error_set(s->error, DV_ERR_CORRUPT, "the log's bundle %llu is damaged",
                              (unsigned long long)number);
}

static dv_result search_bundle(scan *s, uint64_t number)
{
    const bundle *b = s->bundle;
    bool up = s->search->oldest_first;
    DV_TRY(load(s, number));
    while (up ? s->stats.next < b->first + b->count
              : s->stats.next > DV_MAX(b->first, s->search->minimum)) {
        uint64_t index = up ? s->stats.next : s->stats.next - 1;
        if (s->stats.scanned % TIME_EVERY == TIME_EVERY - 1 && time_is_over(s)) {
            return DV_ERR_AGAIN;
        }
        pass(s, index);
        DV_TRY(look_at(s, index, b->entries[index - b->first], false));
    }
    return DV_OK;
}

/* -- which blocks ------------------------------------------------------------------------------ */

/* Whether the filters can rule the term out: what it looks for stands in the leaves as it is asked
 * for, or sealed in a known way. */
static bool is_filtered(const scan *s, const dv_query_node *node, dv_identity_tokens *ret_sealed)
{
    const dv_search_reader *reader = s->search->reader;
    ret_sealed->count = 0;
    ret_sealed->blocks = UINT64_MAX;
    if (node->op != DV_QUERY_IS || node->field == NULL || node->has_low ||
        node->needle.len != node->text.len || node->text.len == 0 ||
        dv_slice_starts_with(node->text, DV_LIT(DV_SEALED_MARK))) {
        return false;
    }
    return reader == NULL || reader->standing == NULL ||
           reader->standing(reader->data, s->folder, node, ret_sealed) != DV_STANDING_UNKNOWN;
}

/* Worked out once a search; terms beyond these are not filtered. */
static const filtered *filtered_of(scan *s, const dv_query_node *node)
{
    for (size_t i = 0; i < s->filtered_count; i++) {
        if (s->filtered[i].node == node) {
            return &s->filtered[i];
        }
    }
    if (s->filtered_count == FILTERED_MAX) {
        return NULL;
    }
    filtered *made = &s->filtered[s->filtered_count++];
    made->node = node;
    made->can = is_filtered(s, node, &made->sealed);
    made->plain = dv_catalogue_token_of(node->needle);
    return made;
}

static bool term_may_be_in(scan *s, const dv_query_node *node, uint64_t block,
                           const dv_catalogue_row *row)
{
    const filtered *f = node->op == DV_QUERY_IS ? filtered_of(s, node) : NULL;
    if (f == NULL || !f->can || block >= f->sealed.blocks || dv_catalogue_may_have(row, f->plain)) {
        return true;
    }
    for (size_t i = 0; i < f->sealed.count; i++) {
        if (dv_catalogue_may_have(row, f->sealed.tokens[i])) {
            return true;
        }
    }
    return false;
}

static bool may_be_in(scan *s, const dv_query_node *node, uint64_t block,
                      const dv_catalogue_row *row)
{
    if (node->op == DV_QUERY_AND || node->op == DV_QUERY_OR) {
        bool any = node->op == DV_QUERY_OR;
        for (const dv_query_node *child = node->first; child != NULL; child = child->next) {
            if (may_be_in(s, child, block, row) == any) {
                return any;
            }
        }
        return !any;
    }
    return term_may_be_in(s, node, block, row);
}

/* False when no event of the block can match. */
static bool is_wanted(scan *s, uint64_t block, const dv_catalogue_row *row)
{
    const dv_query *query = s->search->query;
    return row->bytes == NULL || (row->latest >= query->from_ms && row->earliest < query->to_ms &&
                                  may_be_in(s, query->root, block, row));
}

/* -- blocks ------------------------------------------------------------------------------------ */

/* The rows of a block that may match. */
typedef struct candidates {
    uint64_t first;  /* index of the block's first leaf */
    dv_block *block; /* NULL: `leaves` has all that is asked for */
    dv_rows sure, maybe;
    const uint8_t *leaves; /* as dv_ahead_found */
    const uint32_t *leaf_ends;
} candidates;

static dv_result leaf_of(scan *s, const candidates *c, uint32_t row, dv_slice *ret_leaf)
{
    if (c->leaves == NULL) {
        dv_buf_clear(&s->leaf);
        DV_TRY(dv_block_leaf(c->block, row, &s->leaf, s->error));
        *ret_leaf = dv_buf_slice(&s->leaf);
        return DV_OK;
    }
    uint32_t place = dv_rows_before(&c->maybe, row);
    uint32_t begin = place == 0 ? 0 : c->leaf_ends[place - 1];
    *ret_leaf = dv_slice_of(c->leaves + begin, c->leaf_ends[place] - begin);
    return DV_OK;
}

static dv_result look_at_row(scan *s, const candidates *c, uint32_t row, bool sure)
{
    dv_slice leaf;
    DV_TRY(leaf_of(s, c, row, &leaf));
    return look_at(s, c->first + row, leaf, sure);
}

/* Counted from its columns, where they tell enough. */
static dv_result count_row(scan *s, uint32_t row, bool *ret_done)
{
    *ret_done = false;
    if (s->values == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_block_values_add(s->values, row, s->search->aggregate, ret_done, s->error));
    s->stats.matched += *ret_done;
    return DV_OK;
}

static dv_result visit_row(scan *s, const candidates *c, uint32_t row, bool sure)
{
    bool done = false;
    DV_TRY(sure ? count_row(s, row, &done) : DV_OK);
    DV_TRY(done ? DV_OK : look_at_row(s, c, row, sure));
    bool look = !done || s->stats.scanned % TIME_EVERY == 0;
    return look && time_is_over(s) ? DV_ERR_AGAIN : DV_OK;
}

static dv_result visit_rows(scan *s, const candidates *c)
{
    bool up = s->search->oldest_first;
    uint64_t end = DV_MIN(c->first + DV_BLOCK_LEAVES, s->search->size);
    while (up ? s->stats.next < end : s->stats.next > c->first) {
        uint64_t index = up ? s->stats.next : s->stats.next - 1;
        uint32_t row = (uint32_t)(index - c->first);
        pass(s, index);
        if (dv_rows_has(&c->maybe, row)) {
            DV_TRY(visit_row(s, c, row, dv_rows_has(&c->sure, row)));
        }
    }
    return DV_OK;
}

/* NULL: nothing is sealed. */
static const dv_block_opener *opener_of(const scan *s)
{
    const dv_search_reader *reader = s->search->reader;
    return reader != NULL && reader->opener.open != NULL ? &reader->opener : NULL;
}

static void pass_block(scan *s, uint64_t first)
{
    uint64_t next = s->search->oldest_first ? first + DV_BLOCK_LEAVES : first;
    s->stats.scanned += next > s->stats.next ? next - s->stats.next : s->stats.next - next;
    s->stats.next = next;
}

/* Whether the block is packed: it has a row in the catalogue then. */
static bool is_packed(scan *s, uint64_t block, dv_catalogue_row *ret_row)
{
    if ((block + 1) * DV_BLOCK_LEAVES > s->search->size) {
        return false;
    }
    *ret_row = dv_catalogue_read(s->catalogue, block);
    return ret_row->bytes != NULL;
}

/* The block that comes behind, in the search's order; false: none does. */
static bool next_block(const scan *s, uint64_t block, uint64_t *ret_next)
{
    *ret_next = s->search->oldest_first ? block + 1 : block - 1;
    return s->search->oldest_first ? *ret_next * DV_BLOCK_LEAVES < s->search->size
                                   : block * DV_BLOCK_LEAVES > s->search->minimum;
}

/* Hands the blocks from this one on over, as far as they are packed. */
static void hand_over(scan *s, uint64_t block)
{
    dv_catalogue_row row;
    s->ahead_more = true;
    while (s->ahead_more && dv_ahead_room(s->ahead) > 0) {
        s->ahead_more = is_packed(s, block, &row);
        if (s->ahead_more) {
            dv_ahead_give(s->ahead, block, is_wanted(s, block, &row));
            s->ahead_more = next_block(s, block, &block);
        }
    }
    s->ahead_next = block;
}

/* What the helpers found in the block, if there are any. */
static dv_result ask_helpers(scan *s, uint64_t block, dv_ahead_found *ret_found)
{
    if (s->ahead == NULL && !s->asked_for_help && s->stats.blocks >= ALONE_BLOCKS) {
        s->asked_for_help = true;
        s->ahead = dv_ahead_new(s->folder, s->search->query, s->search->reader, s->packs,
                                s->search->aggregate == NULL);
    }
    if (s->ahead == NULL) {
        return DV_OK;
    }
    if (!dv_ahead_has(s->ahead, block)) {
        hand_over(s, block);
    } else if (s->ahead_more && dv_ahead_room(s->ahead) >= DV_AHEAD_BLOCKS / 2) {
        hand_over(s, s->ahead_next);
    }
    return dv_ahead_take(s->ahead, block, ret_found, s->error);
}

/* The block itself is needed where nobody looked at it, or its columns are counted, or many of its
 * leaves are wanted. */
static dv_result open_candidates(scan *s, uint64_t number, bool looked_at, candidates *c)
{
    if (c->leaves != NULL && s->values == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_pack_block(s->packs, number, &c->block, s->error));
    if (!looked_at) {
        DV_TRY(dv_block_search(c->block, s->search->query->root, opener_of(s), &c->sure, &c->maybe,
                               s->error));
    }
    return s->values != NULL && dv_rows_count(&c->maybe) > 0
               ? dv_block_values_begin(s->values, c->block)
               : DV_OK;
}

static dv_result search_rows(scan *s, uint64_t number, const dv_ahead_found *found)
{
    bool looked_at = found->state == DV_AHEAD_LOOKED_AT;
    candidates c = {.first = number * DV_BLOCK_LEAVES};
    s->stats.blocks++;
    if (looked_at) {
        c.sure = found->sure;
        c.maybe = found->maybe;
        c.leaves = found->leaves;
        c.leaf_ends = found->leaf_ends;
    }
    if (!looked_at || dv_rows_count(&c.maybe) > 0) {
        DV_TRY(open_candidates(s, number, looked_at, &c));
    }
    if (dv_rows_count(&c.maybe) == 0) {
        pass_block(s, c.first);
        return DV_OK;
    }
    return visit_rows(s, &c);
}

/* -- the log ----------------------------------------------------------------------------------- */

/* A block's parts do not know where they lie. */
static dv_result tell_where(const scan *s, uint64_t block, dv_result result)
{
    char name[DV_TILE_PATH_MAX];
    if (result != DV_ERR_CORRUPT || s->error == NULL || strstr(s->error->message, "pack/")) {
        return result;
    }
    dv_error what = *s->error;
    dv_pack_path(block / DV_PACK_BLOCKS, name);
    return dv_error_set(s->error, result, "%s: block %llu of the log: %s", name,
                        (unsigned long long)block, what.message);
}

/* The block of that leaf, or the bundle where it is not packed. */
static dv_result search_at(scan *s, uint64_t index)
{
    uint64_t block = index / DV_BLOCK_LEAVES;
    dv_catalogue_row row;
    dv_ahead_found found = {.state = DV_AHEAD_NOT_BEGUN};
    if (s->ahead == NULL || !dv_ahead_has(s->ahead, block)) {
        if (!is_packed(s, block, &row)) {
            return search_bundle(s, index / DV_TILE_WIDTH);
        }
        found.state = is_wanted(s, block, &row) ? DV_AHEAD_NOT_BEGUN : DV_AHEAD_UNWANTED;
    }
    if (found.state != DV_AHEAD_UNWANTED) {
        DV_TRY(ask_helpers(s, block, &found));
    }
    if (found.state == DV_AHEAD_UNWANTED) {
        pass_block(s, block * DV_BLOCK_LEAVES);
        return DV_OK;
    }
    return search_rows(s, block, &found);
}

static dv_result search_from(scan *s)
{
    const dv_search *search = s->search;
    bool up = search->oldest_first;
    while (up ? s->stats.next < search->size : s->stats.next > search->minimum) {
        uint64_t index = up ? s->stats.next : s->stats.next - 1;
        if (time_is_over(s)) {
            return DV_ERR_AGAIN;
        }
        DV_TRY(tell_where(s, index / DV_BLOCK_LEAVES, search_at(s, index)));
    }
    return DV_OK;
}

static dv_result scan_open(scan *s)
{
    s->bundle = calloc(1, sizeof(*s->bundle));
    s->catalogue = malloc(sizeof(*s->catalogue));
    s->arena = dv_arena_new(EVENT_MEMORY);
    s->leaf = dv_buf_init(UINT16_MAX);
    s->opened = dv_buf_init(EVENT_MAX);
    if (s->bundle == NULL || s->catalogue == NULL || s->arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    s->bundle->bytes = dv_buf_init(DV_BUNDLE_MAX);
    if (s->search->aggregate != NULL) {
        DV_TRY(dv_block_values_new(s->search->query, opener_of(s), &s->values));
    }
    dv_catalogue_reader_open(s->folder, s->catalogue);
    return dv_pack_reader_new(s->folder, &s->packs);
}

static void scan_close(scan *s)
{
    dv_ahead_free(s->ahead);
    if (s->bundle != NULL) {
        dv_buf_release(&s->bundle->bytes);
    }
    if (s->packs != NULL) {
        dv_catalogue_reader_close(s->catalogue);
        dv_pack_reader_free(s->packs);
    }
    dv_block_values_free(s->values);
    free(s->bundle);
    free(s->catalogue);
    dv_arena_free(s->arena);
    dv_buf_release(&s->leaf);
    dv_buf_release(&s->opened);
}

dv_result dv_log_search(const char *folder, const dv_search *search, dv_search_stats *ret_stats,
                        dv_error *error)
{
    scan s = {.folder = folder, .search = search, .error = error};
    s.stats.next = search->oldest_first ? DV_MAX(search->from, search->minimum)
                                        : DV_MIN(search->from, search->size);
    dv_result result = scan_open(&s);
    if (result == DV_OK) {
        result = search_from(&s);
    }
    scan_close(&s);
    s.stats.done = result == DV_OK;
    *ret_stats = s.stats;
    return result == DV_ERR_AGAIN ? DV_OK : result;
}
