/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/fingerprint/match.h"

/* Values of tables and canaries.
 *
 * A value of several words is found word by word: the set has what values begin with, so that of
 * most words no second one is asked about. Numbers may be grouped in any way: of words with digits
 * those side by side are tried together, as far as the set has numbers of that length. */

enum { FILLER = 4 }; /* letters that may stand in a number as a group: GB29 NWBK 6016 */

/* What the words from one on mean together. */
typedef struct run {
    size_t first;
    size_t last;
    const uint8_t *text; /* its letters: the word itself, or `joined` */
    size_t len;
    uint64_t quick;
    bool chain;  /* values begin with it */
    bool number; /* it may be one */
    uint8_t joined[DV_FINGERPRINT_VALUE_MAX + DV_SET_SPARE];
} run;

/* ---- looking up ---- */

static const dv_set_entry *look_up(const dv_match_finder *f, run *r)
{
    if (r->last > r->first) {
        r->quick = dv_set_quick(&f->set->keys, r->text, r->len);
    }
    if (!dv_set_may_have(&f->set->values, r->quick)) {
        return NULL;
    }
    return dv_set_find(&f->set->values, dv_siphash(f->set->keys.sip, dv_slice_of(r->text, r->len)));
}

/* ---- a hit ---- */

static dv_result tell(const dv_match_finder *f, dv_fingerprint_kind kind, uint64_t start,
                      uint64_t end, uint32_t columns)
{
    const dv_fingerprint_hit hit = {
        .kind = kind, .set = f->index, .start = start, .end = end, .columns = columns};
    return f->match->job->told(f->match->job->data, &hit);
}

/* Forgets the cells that are too far behind. */
static void forget_far(const dv_match_finder *f, uint32_t at)
{
    dv_match_memory *memory = f->memory;
    size_t kept = 0;
    for (size_t i = 0; i < memory->cell_count; i++) {
        if (at - memory->cells[i].at <= f->set->header->within) {
            memory->cells[kept++] = memory->cells[i];
        }
    }
    memory->cell_count = (uint8_t)kept;
}

/* The newest last; the same value again counts from here. */
static void remember(dv_match_memory *memory, dv_match_cell cell)
{
    size_t kept = 0;
    for (size_t i = 0; i < memory->cell_count; i++) {
        if (memory->cells[i].entry != cell.entry) {
            memory->cells[kept++] = memory->cells[i];
        }
    }
    if (kept == DV_MATCH_CELLS) {
        kept--;
        memmove(memory->cells, memory->cells + 1, kept * sizeof(memory->cells[0]));
    }
    memory->cells[kept] = cell;
    memory->cell_count = (uint8_t)(kept + 1);
}

static const dv_set_entry *entry_of(const dv_match_finder *f, const dv_match_cell *cell)
{
    return &f->set->values.entries[cell->entry];
}

/* A record of which cells are near each other. */
typedef struct meeting {
    uint32_t columns; /* a bit each; 0: of none enough are */
    uint32_t cells;   /* which of the remembered ones: a bit each */
} meeting;

/* What of the record is among the cells. A cell counts for one column. */
static meeting cells_of(const dv_match_finder *f, uint32_t record)
{
    const dv_match_memory *memory = f->memory;
    uint32_t column_count = f->set->header->columns;
    const uint32_t *tags = f->set->tags + (size_t)record * column_count;
    uint32_t columns = 0, used = 0;
    for (uint32_t c = 0; c < column_count; c++) {
        for (uint32_t i = 0; i < memory->cell_count && tags[c] != 0; i++) {
            if (((used >> i) & 1) == 0 &&
                dv_set_tag(entry_of(f, &memory->cells[i])->hash) == tags[c]) {
                used |= 1U << i;
                columns |= 1U << c;
                break;
            }
        }
    }
    return (meeting){columns, used};
}

/* The record that the value leads to and of which enough is among the cells. */
static meeting record_of(const dv_match_finder *f, const dv_set_entry *entry)
{
    const dv_set_header *h = f->set->header;
    uint32_t count = entry->what >> DV_VALUE_ROWS_SHIFT;
    for (uint32_t i = 0; i < count && (uint64_t)entry->at + i < h->rows; i++) {
        uint32_t record = f->set->rows[entry->at + i];
        meeting met = record < h->records ? cells_of(f, record) : (meeting){0, 0};
        if ((uint32_t)__builtin_popcount(met.columns) >= h->least) {
            return met;
        }
    }
    return (meeting){0, 0};
}

/* Forgets the cells of a record that was told. Answers where the first of them began. */
static uint64_t forget_met(const dv_match_finder *f, uint32_t cells)
{
    dv_match_memory *memory = f->memory;
    uint64_t read = f->match->state->bytes;
    uint32_t back = 0;
    size_t kept = 0;
    for (size_t i = 0; i < memory->cell_count; i++) {
        if (((cells >> i) & 1) != 0) {
            back = DV_MAX(back, (uint32_t)read - memory->cells[i].start);
        } else {
            memory->cells[kept++] = memory->cells[i];
        }
    }
    memory->cell_count = (uint8_t)kept;
    return read - back;
}

/* A cell of a record. Of the cells near each other one at least leads to its records. */
static dv_result meet_cell(const dv_match_finder *f, const run *r, const dv_set_entry *entry)
{
    const dv_match *match = f->match;
    const dv_fingerprint_matcher *m = match->m;
    dv_match_memory *memory = f->memory;
    size_t end = m->words[r->last].end;
    uint32_t at = match->state->read - (uint32_t)(match->len - end);
    forget_far(f, at);
    remember(memory, (dv_match_cell){.start = (uint32_t)m->words[r->first].from,
                                     .entry = (uint32_t)(entry - f->set->values.entries),
                                     .at = at});
    meeting met = {0, 0};
    for (size_t i = 0; i < memory->cell_count && met.columns == 0; i++) {
        if (memory->cell_count >= f->set->header->least) {
            met = record_of(f, entry_of(f, &memory->cells[i]));
        }
    }
    if (met.columns == 0) {
        return DV_OK;
    }
    uint64_t start = forget_met(f, met.cells);
    return tell(f, DV_FINGERPRINT_RECORD, start, m->words[r->last].to, met.columns);
}

static dv_result meet(const dv_match_finder *f, const run *r, const dv_set_entry *entry)
{
    const dv_fingerprint_matcher *m = f->match->m;
    if ((entry->what & (DV_VALUE_ALONE | DV_VALUE_CANARY)) == 0) {
        return meet_cell(f, r, entry);
    }
    return tell(f,
                (entry->what & DV_VALUE_CANARY) != 0 ? DV_FINGERPRINT_CANARY : DV_FINGERPRINT_VALUE,
                m->words[r->first].from, m->words[r->last].to,
                entry->what & ((1U << DV_FINGERPRINT_COLUMNS) - 1));
}

/* ---- words ---- */

static bool is_number_length(const dv_match_finder *f, size_t len)
{
    return len <= f->set->header->longest_number &&
           ((f->set->header->number_lengths >> DV_MIN(len, (size_t)63)) & 1) != 0;
}

/* It is known where the word ends. */
static bool is_whole(const dv_match *match, const dv_normal_word *word)
{
    return word->end < match->len || !match->more;
}

/* The words up to r->last are a run that could be a value: is it one, and can it go on? */
static dv_result try_run(const dv_match_finder *f, run *r, bool *ret_on)
{
    const dv_normal_word *last = &f->match->m->words[r->last];
    const dv_set_entry *entry = NULL;
    if (r->chain || (r->number && is_number_length(f, r->len))) {
        entry = look_up(f, r);
    }
    if (entry != NULL && (entry->what & DV_VALUE_IS) != 0 && last->end >= f->match->old) {
        DV_TRY(meet(f, r, entry));
    }
    r->chain = r->chain && entry != NULL && (entry->what & DV_VALUE_BEGINS) != 0;
    r->number = r->number && r->len < f->set->header->longest_number;
    *ret_on = r->chain || r->number;
    return DV_OK;
}

/* What waits: a value that begins there may go on behind the text. */
static void wait_from(const dv_match_finder *f, size_t word)
{
    dv_match *match = f->match;
    if (match->more && ((match->job->holds >> f->index) & 1) != 0) {
        match->hold = DV_MIN(match->hold, match->m->words[word].from);
    }
}

/* Takes the next word in. False: it can not be one of this value. */
static bool extend(const dv_match_finder *f, run *r)
{
    const dv_fingerprint_matcher *m = f->match->m;
    const dv_normal_word *word = &m->words[r->last];
    size_t len = (size_t)(word->end - word->start);
    bool further = r->last > r->first;
    if (further && m->text[word->start - 1] == DV_NORMAL_BREAK) {
        return false;
    }
    r->number = r->number && (word->digit || (further && len <= FILLER));
    if (r->len + len > DV_FINGERPRINT_VALUE_MAX || (!r->chain && !r->number)) {
        return false;
    }
    if (further) {
        if (r->text != r->joined) {
            memcpy(r->joined, r->text, r->len);
            r->text = r->joined;
        }
        memcpy(r->joined + r->len, m->text + word->start, len);
    }
    r->len += len;
    return true;
}

/* All values that begin with that word. */
static dv_result try_word(const dv_match_finder *f, size_t first)
{
    const dv_match *match = f->match;
    run r;
    r.first = r.last = first;
    r.text = match->m->text + match->m->words[first].start;
    r.len = 0;
    r.quick = match->m->quick[first];
    r.chain = true;
    r.number = f->set->header->longest_number > 0;
    bool on = true;
    for (; on && r.last < match->words; r.last++) {
        if (r.last - first == DV_FINGERPRINT_WORDS_MAX || !extend(f, &r)) {
            return DV_OK;
        }
        if (!is_whole(match, &match->m->words[r.last])) {
            break;
        }
        DV_TRY(try_run(f, &r, &on));
    }
    if (on && r.last - first < DV_FINGERPRINT_WORDS_MAX &&
        match->m->text[match->len - 1] != DV_NORMAL_BREAK) {
        wait_from(f, first);
    }
    return DV_OK;
}

/* Most words: no value is or begins with it, and no number either. */
static bool is_passed_over(const dv_match_finder *f, size_t word)
{
    const dv_match *match = f->match;
    const dv_normal_word *w = &match->m->words[word];
    bool number = w->digit && f->set->header->longest_number > 0;
    return !number && is_whole(match, w) &&
           !dv_set_may_have(&f->set->values, match->m->quick[word]);
}

/* Words' hashes, and what of the bits they are asked about is on its way meanwhile. */
static void hash_words(const dv_match_finder *f)
{
    dv_fingerprint_matcher *m = f->match->m;
    for (size_t i = 0; i < f->match->words; i++) {
        const dv_normal_word *word = &m->words[i];
        size_t len = DV_MIN((size_t)(word->end - word->start), (size_t)DV_FINGERPRINT_VALUE_MAX);
        m->quick[i] = dv_set_quick(&f->set->keys, m->text + word->start, len);
        __builtin_prefetch(f->set->values.bits +
                           (size_t)dv_set_block(m->quick[i], f->set->values.blocks) *
                               (DV_SET_BLOCK / 8));
    }
}

dv_result dv_match_values(dv_match *match, uint32_t index)
{
    const dv_match_finder f = {.match = match,
                               .set = match->job->sets[index],
                               .memory = &match->state->memory[index],
                               .index = index};
    hash_words(&f);
    for (size_t i = match->state->cut ? 1 : 0; i < match->words; i++) {
        if (!is_passed_over(&f, i)) {
            DV_TRY(try_word(&f, i));
        }
    }
    return DV_OK;
}
