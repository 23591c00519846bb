/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/fingerprint/match.h"

/* Passages of documents.
 *
 * 1. Fingerprints of the text are counted by where their grams begin, so that each counts once
 *    though the tail is looked at again.
 * 2. What of a document was met are the numbers of its fingerprints, as spans: what is copied in
 *    one piece is one. Of more spans than are kept the smallest are only counted, so that one of
 *    them counts again where it stands again. */

enum {
    SHARE_LEAST = 2
}; /* fingerprints that a share is of, at least, where the document has them */

static uint32_t matched(const dv_match_document *d)
{
    uint32_t count = d->forgotten;
    for (size_t i = 0; i < d->span_count; i++) {
        count += d->spans[i].last - d->spans[i].first + 1;
    }
    return count;
}

/* ---- spans ---- */

static void remove_span(dv_match_document *d, size_t index)
{
    d->span_count--;
    memmove(&d->spans[index], &d->spans[index + 1], (d->span_count - index) * sizeof(d->spans[0]));
}

/* The smallest makes room: how much it was is kept, and where is forgotten. */
static void forget_smallest(dv_match_document *d)
{
    size_t least = 0;
    for (size_t i = 1; i < d->span_count; i++) {
        const dv_match_span *span = &d->spans[i];
        if (span->last - span->first < d->spans[least].last - d->spans[least].first) {
            least = i;
        }
    }
    d->forgotten += d->spans[least].last - d->spans[least].first + 1;
    remove_span(d, least);
}

static void insert_span(dv_match_document *d, uint32_t number)
{
    size_t at = 0;
    if (d->span_count == DV_MATCH_SPANS) {
        forget_smallest(d);
    }
    while (at < d->span_count && d->spans[at].first < number) {
        at++;
    }
    memmove(&d->spans[at + 1], &d->spans[at], (d->span_count - at) * sizeof(d->spans[0]));
    d->spans[at] = (dv_match_span){number, number};
    d->span_count++;
}

static void add_number(dv_match_document *d, uint32_t number)
{
    for (size_t i = 0; i < d->span_count; i++) {
        dv_match_span *span = &d->spans[i];
        bool behind = number == span->last + 1;
        if (number >= span->first && number <= span->last) {
            return;
        }
        if (behind || number + 1 == span->first) {
            span->first = DV_MIN(span->first, number);
            span->last = DV_MAX(span->last, number);
            if (i + 1 < d->span_count && d->spans[i + 1].first == span->last + 1) {
                span->last = d->spans[i + 1].last;
                remove_span(d, i + 1);
            }
            return;
        }
    }
    insert_span(d, number);
}

/* ---- documents ---- */

/* What is known of the document; the one that was met least makes room. */
static dv_match_document *recall(dv_match_memory *memory, uint32_t index)
{
    size_t least = 0;
    for (size_t i = 0; i < memory->document_count; i++) {
        if (memory->documents[i].index == index) {
            return &memory->documents[i];
        }
        if (matched(&memory->documents[i]) < matched(&memory->documents[least])) {
            least = i;
        }
    }
    if (memory->document_count < DV_FINGERPRINT_DOCUMENTS_SEEN) {
        least = memory->document_count++;
    }
    memory->documents[least] = (dv_match_document){.index = index};
    return &memory->documents[least];
}

static bool is_hit(const dv_match_finder *f, const dv_match_document *d, uint32_t total)
{
    const dv_set_header *h = f->set->header;
    uint32_t count = matched(d);
    bool enough = (uint64_t)count * 1000 >= (uint64_t)total * h->share &&
                  count >= DV_MIN((uint32_t)SHARE_LEAST, total);
    return d->row >= h->row || enough;
}

static dv_result meet(const dv_match_finder *f, const dv_set_entry *entry, uint64_t start,
                      uint64_t end)
{
    const dv_set_header *h = f->set->header;
    uint32_t total = entry->at < h->documents ? f->set->documents[entry->at] : 0;
    if (entry->what >= total) {
        return DV_OK;
    }
    dv_match_document *d = recall(f->memory, entry->at);
    bool next = d->row > 0 && d->last + 1 == f->memory->selected;
    if (d->row == 0 || d->last != f->memory->selected) { /* twice in a document is once here */
        d->row = (uint16_t)(next ? DV_MIN(d->row + 1, UINT16_MAX) : 1);
    }
    d->last = f->memory->selected;
    add_number(d, entry->what);
    if (d->told || !is_hit(f, d, total)) {
        return DV_OK;
    }
    d->told = true;
    const dv_fingerprint_hit hit = {.kind = DV_FINGERPRINT_DOCUMENT,
                                    .set = f->index,
                                    .start = start,
                                    .end = end,
                                    .document = entry->at,
                                    .matched = DV_MIN(matched(d), total),
                                    .total = total,
                                    .told = true};
    return f->match->job->told(f->match->job->data, &hit);
}

/* The word that has the letter of that number. */
static const dv_normal_word *word_of(const dv_match *match, size_t letter)
{
    const dv_normal_word *word = match->m->words;
    for (size_t before = 0; word < match->m->words + match->words - 1; word++) {
        before += (size_t)(word->end - word->start);
        if (letter < before) {
            break;
        }
    }
    return word;
}

/* A fingerprint of the text that begins with that letter. */
static dv_result look_up(const dv_match_finder *f, uint64_t hash, size_t letter)
{
    const dv_set_table *table = &f->set->passages;
    f->memory->selected++;
    if (!dv_set_may_have(table, hash)) {
        return DV_OK;
    }
    const dv_set_entry *first = dv_set_find(table, hash);
    if (first == NULL) {
        return DV_OK;
    }
    uint64_t start = word_of(f->match, letter)->from;
    uint64_t end = word_of(f->match, letter + DV_FINGERPRINT_GRAM - 1)->to;
    for (const dv_set_entry *entry = first; entry != NULL; entry = dv_set_next(table, entry)) {
        DV_TRY(meet(f, entry, start, end));
    }
    return DV_OK;
}

dv_result dv_match_passages(dv_match *match, uint32_t index)
{
    const dv_match_finder f = {.match = match,
                               .set = match->job->sets[index],
                               .memory = &match->state->memory[index],
                               .index = index};
    dv_fingerprint_matcher *m = match->m;
    uint64_t hash = 0;
    size_t at = 0;
    uint32_t base = match->state->letters - (uint32_t)match->letters;
    dv_winnow_begin(&m->winnow, &f.set->keys, m->letters, match->letters);
    while (dv_winnow_next(&m->winnow, &hash, &at)) {
        if ((int32_t)(base + (uint32_t)at - f.memory->next) < 0) {
            continue; /* seen with the piece before */
        }
        f.memory->next = base + (uint32_t)at + 1;
        DV_TRY(look_up(&f, hash, at));
    }
    return DV_OK;
}

size_t dv_fingerprint_documents(const dv_fingerprint_job *job, const dv_fingerprint_state *state,
                                uint32_t set,
                                dv_fingerprint_hit hits[DV_FINGERPRINT_DOCUMENTS_SEEN])
{
    const dv_match_memory *memory = &state->memory[set];
    const dv_fingerprint_set *s = job->sets[set];
    for (size_t i = 0; i < memory->document_count; i++) {
        const dv_match_document *d = &memory->documents[i];
        uint32_t total = s->documents[d->index];
        hits[i] = (dv_fingerprint_hit){.kind = DV_FINGERPRINT_DOCUMENT,
                                       .set = set,
                                       .document = d->index,
                                       .matched = DV_MIN(matched(d), total),
                                       .total = total,
                                       .told = d->told};
    }
    return memory->document_count;
}
