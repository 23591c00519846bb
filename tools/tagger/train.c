/* SPDX-License-Identifier: Apache-2.0 */
/* Trains the model of names: a linear-chain CRF by stochastic gradient descent (AdaGrad), first
 * over all features that are seen often enough, then over those that got a slot. Weights become
 * whole numbers, scores are measured on texts that were held out, and the model is written.
 *
 * Usage: tagger_train LEXICON TRAIN HELD_OUT MODEL NAME (make_data.py writes the first three).
 *
 * LEXICON: lines of word, tab, classes. TRAIN and HELD_OUT: records of
 *   "LENGTH SPANS SOURCE\n", the text and "\n", then for each span "START END LABEL\n" with a label
 * of model.h (that of its first word). SOURCE is a word for the report.
 *
 * Deterministic: the same input gives the same model. */

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "engine/detect/tagger/decode.h"

enum {
    SLOT_BITS = 17,
    LEXICON_BITS = 18,
    TEXT_TOKENS = 4096, /* of one record */
    LEAST_SEEN = 8,     /* times, for a feature to be learned */
    COUNT_BITS = 25,
    UNKNOWN_IN_100 = 25,    /* records whose names the lexicon is not asked for */
    NO_CONTEXT_IN_100 = 22, /* words whose neighbours are not asked for in an epoch */
    NO_WORD_IN_100 = 12,    /* words that are themselves not asked for */
    LEFT_OUT_IN_100 = 20,   /* other features left out */
    FIRST_EPOCHS = 3,
    SECOND_EPOCHS = 10,
    SCALE = 32, /* of weights as whole numbers */
};

static const float rate = 0.15f;
static const float decay = 2e-6f;
/* Softmax margin: a name that is missed costs more than a word that is none. */
static const float cost_missed = 2.0f;
static const float cost_other = 0.5f;
/* The mean precision that the first model had on the three corpora's held-out texts. */
static const double least_right = 0.62;

typedef struct span {
    uint32_t start, end;
    uint8_t label;
} span;

typedef struct record {
    dv_slice text;
    const span *spans;
    size_t span_count;
    char source[16];
} record;

typedef struct records {
    record *items;
    size_t count;
} records;

/* A run of words: where its keys (later: rows) and labels begin. */
typedef struct run {
    size_t first;
    uint32_t count;
} run;

typedef struct data {
    uint64_t *keys; /* DV_TAGGER_FEATURES a word */
    uint32_t *rows;
    uint8_t *gold;
    size_t words;
    run *runs;
    size_t run_count;
} data;

typedef struct weights {
    float (*value)[DV_TAGGER_LANES];
    float (*square)[DV_TAGGER_LANES]; /* sums of squared gradients */
    float step[DV_TAGGER_LABELS + 1][DV_TAGGER_LANES];
    float step_square[DV_TAGGER_LABELS + 1][DV_TAGGER_LANES];
} weights;

static uint64_t random_state = 88172645463325252u;

static uint32_t random_number(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) * below >> 32);
}

static void *must_alloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL) {
        fprintf(stderr, "tagger_train: out of memory\n");
        exit(1);
    }
    return memory;
}

static dv_slice must_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        fprintf(stderr, "tagger_train: can't read %s\n", path);
        exit(1);
    }
    size_t len = (size_t)ftell(file);
    char *bytes = must_alloc(len + 1, 1);
    rewind(file);
    if (fread(bytes, 1, len, file) != len) {
        exit(1);
    }
    fclose(file);
    return dv_slice_of(bytes, len);
}

/* ---- input ---- */

/* The number at *at, behind spaces; *at goes behind it. */
static size_t read_number(const char **at)
{
    size_t number = 0;
    const char *p = *at;
    while (*p == ' ') {
        p++;
    }
    while (*p >= '0' && *p <= '9') {
        number = number * 10 + (size_t)(*p++ - '0');
    }
    *at = p;
    return number;
}

static records read_records(const char *path)
{
    dv_slice file = must_read(path);
    const char *at = (const char *)file.ptr;
    const char *end = at + file.len;
    size_t room = 1 << 16;
    records all = {must_alloc(room, sizeof(record)), 0};
    while (at < end) {
        if (all.count == room) {
            room *= 2;
            all.items = realloc(all.items, room * sizeof(record));
        }
        record *r = &all.items[all.count++];
        memset(r, 0, sizeof(*r));
        size_t length = read_number(&at);
        size_t spans = read_number(&at);
        const char *line_end = strchr(at, '\n');
        if (line_end == NULL || length > (size_t)(end - line_end) || line_end - at > 15) {
            fprintf(stderr, "tagger_train: record %zu of %s is malformed\n", all.count, path);
            exit(1);
        }
        memcpy(r->source, at + 1, (size_t)(line_end - at) - 1);
        at = line_end + 1;
        r->text = dv_slice_of(at, length);
        at += length + 1;
        span *list = must_alloc(spans + 1, sizeof(span));
        for (size_t i = 0; i < spans; i++) {
            list[i].start = (uint32_t)read_number(&at);
            list[i].end = (uint32_t)read_number(&at);
            size_t label = read_number(&at);
            if (label >= DV_TAGGER_LABELS || *at != '\n') {
                fprintf(stderr, "tagger_train: spans of record %zu of %s\n", all.count, path);
                exit(1);
            }
            list[i].label = (uint8_t)label;
            at++;
        }
        r->spans = list;
        r->span_count = spans;
    }
    return all;
}

/* ---- the model in memory ---- */

typedef struct file_model {
    dv_tagger_header *header;
    int16_t (*transitions)[DV_TAGGER_LANES];
    uint8_t (*scores)[DV_TAGGER_BINS];
    dv_tagger_slot *slots;
    uint32_t *lexicon;
    size_t size;
} file_model;

static file_model new_model(const char *name)
{
    file_model m = {0};
    size_t transitions = sizeof(int16_t[DV_TAGGER_LABELS + 1][DV_TAGGER_LANES]);
    size_t scores = sizeof(uint8_t[DV_TAGGER_TYPES][DV_TAGGER_BINS]);
    size_t slots = sizeof(dv_tagger_slot) << SLOT_BITS;
    m.size = sizeof(dv_tagger_header) + transitions + scores + slots +
             (sizeof(uint32_t) << LEXICON_BITS);
    uint8_t *bytes = aligned_alloc(64, (m.size + 63) / 64 * 64);
    memset(bytes, 0, m.size);
    m.header = (void *)bytes;
    m.transitions = (void *)(m.header + 1);
    m.scores = (void *)((uint8_t *)m.transitions + transitions);
    m.slots = (void *)((uint8_t *)m.scores + scores);
    m.lexicon = (void *)((uint8_t *)m.slots + slots);
    memcpy(m.header->magic, "DVTAGGER", 8);
    m.header->version = DV_TAGGER_VERSION;
    m.header->slot_bits = SLOT_BITS;
    m.header->lexicon_bits = LEXICON_BITS;
    snprintf(m.header->name, sizeof(m.header->name), "%s", name);
    return m;
}

static void sign_model(file_model *m)
{
    m->header->digest = dv_tagger_digest(dv_slice_of(m->header + 1, m->size - sizeof(*m->header)));
}

static dv_tagger_model *open_model(file_model *m)
{
    dv_tagger_model *model = NULL;
    dv_error error = {0};
    sign_model(m);
    for (size_t from = 0; from <= DV_TAGGER_LABELS; from++) {
        m->transitions[from][DV_TAGGER_LABELS] = DV_TAGGER_NEVER;
        m->transitions[from][DV_TAGGER_LABELS + 1] = DV_TAGGER_NEVER;
    }
    sign_model(m);
    if (dv_tagger_model_open(dv_slice_of(m->header, m->size), &model, &error) != DV_OK) {
        fprintf(stderr, "tagger_train: %s\n", error.message);
        exit(1);
    }
    return model;
}

/* The hash of a word as the reader of tokens has it, or 0 when it is no single word. */
static uint64_t hash_of(const dv_tagger_model *model, dv_slice word)
{
    dv_tokens reader;
    dv_tagger_token token;
    dv_tokens_start(&reader, model, word, 0, false);
    if (!dv_tokens_next(&reader, &token) || token.start != 0 || token.end != word.len) {
        return 0;
    }
    return token.hash;
}

static bool put_word(file_model *m, uint64_t hash, unsigned classes)
{
    uint32_t mask = (1u << LEXICON_BITS) - 1;
    uint32_t at = (uint32_t)(hash >> (64 - LEXICON_BITS));
    for (uint32_t probe = 0; probe < DV_TAGGER_PROBES; probe++) {
        uint32_t *entry = &m->lexicon[(at + probe) & mask];
        if (*entry == 0 || *entry >> 8 == dv_tagger_word_check(hash)) {
            *entry |= dv_tagger_word_check(hash) << 8 | classes;
            return true;
        }
    }
    return false;
}

static void fill_lexicon(file_model *m, const char *path)
{
    dv_slice file = must_read(path);
    dv_tagger_model *model = open_model(m);
    size_t words = 0, lost = 0;
    char *save = NULL;
    for (char *line = strtok_r((char *)file.ptr, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char *tab = strchr(line, '\t');
        uint64_t hash = tab == NULL ? 0 : hash_of(model, dv_slice_of(line, (size_t)(tab - line)));
        if (hash != 0) {
            words++;
            lost += !put_word(m, hash, (unsigned)strtoul(tab + 1, NULL, 10));
        }
    }
    dv_tagger_model_free(model);
    fprintf(stderr, "lexicon: %zu words, %zu without a place\n", words, lost);
}

/* ---- features ---- */

static uint8_t token_label(const record *r, const dv_tagger_token *token)
{
    for (size_t i = 0; i < r->span_count; i++) {
        const span *s = &r->spans[i];
        if (token->start < s->end && s->start < token->end) {
            bool inside = token->start > s->start && s->label < DV_LABEL_AGE;
            /* The first word of the span begins it, even when the span starts in its middle. */
            return (uint8_t)(s->label + (inside ? 1 : 0));
        }
    }
    return DV_LABEL_O;
}

static size_t read_tokens(const dv_tagger_model *model, const record *r, dv_tagger_token *tokens)
{
    dv_tokens reader;
    size_t count = 2;
    tokens[0] = tokens[1] = dv_tagger_no_token;
    dv_tokens_start(&reader, model, r->text, 0, false);
    while (count < TEXT_TOKENS && dv_tokens_next(&reader, &tokens[count])) {
        count++;
    }
    tokens[count] = tokens[count + 1] = tokens[count + 2] = dv_tagger_no_token;
    return count;
}

static void extract(const dv_tagger_model *model, const records *all, data *d)
{
    static dv_tagger_token tokens[TEXT_TOKENS + 3];
    size_t room = 1 << 20, run_room = 1 << 18, cold = 0;
    d->keys = must_alloc(room, sizeof(uint64_t) * DV_TAGGER_FEATURES);
    d->gold = must_alloc(room, 1);
    d->runs = must_alloc(run_room, sizeof(run));
    for (size_t r = 0; r < all->count; r++) {
        size_t count = read_tokens(model, &all->items[r], tokens);
        bool unknown = random_number(100) < UNKNOWN_IN_100;
        if (d->words + count > room) {
            room *= 2;
            d->keys = realloc(d->keys, room * sizeof(uint64_t) * DV_TAGGER_FEATURES);
            d->gold = realloc(d->gold, room);
        }
        for (size_t i = 2; unknown && i < count; i++) {
            if ((tokens[i].classes & (DV_WORD_FIRST | DV_WORD_LAST | DV_WORD_PLACE)) != 0 &&
                random_number(2) == 0) {
                tokens[i].classes &= (uint8_t) ~(DV_WORD_FIRST | DV_WORD_LAST | DV_WORD_PLACE);
            }
        }
        for (size_t i = 2; i < count;) {
            if (!dv_run_has(tokens, i)) {
                cold += token_label(&all->items[r], &tokens[i]) != DV_LABEL_O;
                i++;
                continue;
            }
            size_t end = dv_run_end(tokens, count + 1, i);
            if (d->run_count == run_room) {
                run_room *= 2;
                d->runs = realloc(d->runs, run_room * sizeof(run));
            }
            d->runs[d->run_count++] = (run){d->words, (uint32_t)(end - i)};
            for (; i < end; i++) {
                dv_tagger_around around = dv_run_around(tokens, i);
                dv_tagger_features(&around, d->keys + d->words * DV_TAGGER_FEATURES);
                d->gold[d->words++] = token_label(&all->items[r], &tokens[i]);
            }
        }
    }
    fprintf(stderr, "%zu texts, %zu runs, %zu words, %zu labelled words not looked at\n",
            all->count, d->run_count, d->words, cold);
}

/* Rows for the features that are seen often enough; row 0 is that of all others and stays zero. */
static size_t number_features(data *d, uint64_t **ret_keys, uint32_t **ret_seen)
{
    size_t total = d->words * DV_TAGGER_FEATURES;
    size_t size = (size_t)1 << COUNT_BITS, rows = 1;
    uint64_t *table = must_alloc(size, sizeof(uint64_t));
    uint32_t *seen = must_alloc(size, sizeof(uint32_t));
    d->rows = must_alloc(total, sizeof(uint32_t));
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < total; i++) {
            size_t at = d->keys[i] >> (64 - COUNT_BITS);
            while (table[at] != 0 && table[at] != d->keys[i]) {
                at = (at + 1) % size;
            }
            table[at] = d->keys[i];
            if (pass == 0) {
                seen[at] += seen[at] < 1u << 24;
            } else {
                d->rows[i] = seen[at] & (1u << 31) ? seen[at] & ~(1u << 31) : 0;
            }
        }
        if (pass == 0) {
            *ret_keys = must_alloc(size, sizeof(uint64_t));
            *ret_seen = must_alloc(size, sizeof(uint32_t));
            for (size_t at = 0; at < size; at++) {
                if (seen[at] >= LEAST_SEEN) {
                    (*ret_keys)[rows] = table[at];
                    (*ret_seen)[rows] = seen[at];
                    seen[at] = (uint32_t)rows++ | 1u << 31;
                }
            }
        }
    }
    free(table);
    free(seen);
    fprintf(stderr, "%zu features\n", rows);
    return rows;
}

/* ---- learning ---- */

typedef struct lattice {
    uint32_t rows[DV_RUN_MAX][DV_TAGGER_FEATURES];
    float emission[DV_RUN_MAX][DV_TAGGER_LANES];
    double forward[DV_RUN_MAX][DV_TAGGER_LANES];
    double backward[DV_RUN_MAX][DV_TAGGER_LANES];
} lattice;

static double step_exp[DV_TAGGER_LABELS + 1][DV_TAGGER_LANES];

static bool allowed(size_t from, size_t to)
{
    bool inside = to < DV_LABEL_AGE && to > 0 && to % 2 == 0;
    return !inside || from == to || (from + 1 == to && from < DV_LABEL_AGE);
}

static void exp_steps(const weights *w)
{
    for (size_t from = 0; from <= DV_TAGGER_LABELS; from++) {
        for (size_t to = 0; to < DV_TAGGER_LABELS; to++) {
            bool can = allowed(from == DV_TAGGER_LABELS ? 0 : from, to);
            step_exp[from][to] = can ? exp(w->step[from][to]) : 0;
        }
    }
}

/* The features of a run, some of them left out: templates are few, so a model that trusts the words
 * around a name, or the name itself, would know no others. */
static void choose_rows(const data *d, const run *r, lattice *l)
{
    for (size_t i = 0; i < r->count; i++) {
        const uint32_t *rows = d->rows + (r->first + i) * DV_TAGGER_FEATURES;
        uint32_t chance = random_number(100);
        bool no_context = chance < NO_CONTEXT_IN_100;
        bool no_word = !no_context && chance < NO_CONTEXT_IN_100 + NO_WORD_IN_100;
        for (size_t f = 0; f < DV_TAGGER_FEATURES; f++) {
            bool context = f >= DV_TAGGER_CONTEXT_FIRST && f <= DV_TAGGER_CONTEXT_LAST;
            bool word = f < 4 || f == 5 || f == 12 || f == 13;
            bool out = (context && no_context) || (word && no_word) ||
                       random_number(100) < LEFT_OUT_IN_100;
            l->rows[i][f] = out ? 0 : rows[f];
        }
    }
}

static void emit(const data *d, const run *r, const weights *w, lattice *l)
{
    for (size_t i = 0; i < r->count; i++) {
        const uint32_t *rows = l->rows[i];
        float *sum = l->emission[i];
        memset(sum, 0, sizeof(l->emission[i]));
        for (size_t f = 0; f < DV_TAGGER_FEATURES; f++) {
            const float *value = w->value[rows[f]];
            for (size_t y = 0; y < DV_TAGGER_LANES; y++) {
                sum[y] += value[y];
            }
        }
        uint8_t gold = d->gold[r->first + i];
        for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
            if (y != gold) {
                sum[y] += gold != DV_LABEL_O && y == DV_LABEL_O ? cost_missed : cost_other;
            }
        }
    }
}

static void scale(double *row)
{
    double total = 0;
    for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
        total += row[y];
    }
    for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
        row[y] /= total;
    }
}

/* Forward-backward; each row is scaled to sum 1. */
static void sum_paths(const run *r, lattice *l)
{
    double out[DV_RUN_MAX][DV_TAGGER_LABELS];
    for (size_t i = 0; i < r->count; i++) {
        float most = l->emission[i][0];
        for (size_t y = 1; y < DV_TAGGER_LABELS; y++) {
            most = fmaxf(most, l->emission[i][y]);
        }
        for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
            out[i][y] = exp((double)(l->emission[i][y] - most));
            double into = i == 0 ? step_exp[DV_TAGGER_LABELS][y] : 0;
            for (size_t from = 0; i > 0 && from < DV_TAGGER_LABELS; from++) {
                into += l->forward[i - 1][from] * step_exp[from][y];
            }
            l->forward[i][y] = into * out[i][y] + 1e-300;
        }
        scale(l->forward[i]);
    }
    for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
        l->backward[r->count - 1][y] = 1;
    }
    for (size_t i = r->count - 1; i > 0; i--) {
        for (size_t from = 0; from < DV_TAGGER_LABELS; from++) {
            double sum = 1e-300;
            for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
                sum += step_exp[from][y] * out[i][y] * l->backward[i][y];
            }
            l->backward[i - 1][from] = sum;
        }
        scale(l->backward[i - 1]);
    }
    /* forward becomes the probability of each label, out what steps need */
    for (size_t i = 0; i < r->count; i++) {
        for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
            l->emission[i][y] = (float)out[i][y];
        }
    }
}

static void adapt(float *value, float *square, float gradient)
{
    *square += gradient * gradient;
    *value -= rate * (gradient / sqrtf(*square + 1e-3f) + decay * *value);
    *value = fminf(fmaxf(*value, -3.95f), 3.95f);
}

static void learn_steps(const data *d, const run *r, lattice *l, weights *w)
{
    float gradient[DV_TAGGER_LABELS + 1][DV_TAGGER_LANES] = {0};
    for (size_t i = 1; i < r->count; i++) {
        double joint[DV_TAGGER_LABELS][DV_TAGGER_LABELS], total = 0;
        for (size_t from = 0; from < DV_TAGGER_LABELS; from++) {
            for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
                joint[from][y] = l->forward[i - 1][from] * step_exp[from][y] *
                                 (double)l->emission[i][y] * l->backward[i][y];
                total += joint[from][y];
            }
        }
        for (size_t from = 0; from < DV_TAGGER_LABELS; from++) {
            for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
                gradient[from][y] += (float)(joint[from][y] / total);
            }
        }
        gradient[d->gold[r->first + i - 1]][d->gold[r->first + i]] -= 1;
    }
    for (size_t from = 0; from < DV_TAGGER_LABELS; from++) {
        for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
            if (gradient[from][y] != 0) {
                adapt(&w->step[from][y], &w->step_square[from][y], gradient[from][y]);
            }
        }
    }
}

static void learn_words(const data *d, const run *r, const lattice *l, weights *w)
{
    for (size_t i = 0; i < r->count; i++) {
        float gradient[DV_TAGGER_LANES] = {0};
        double total = 0;
        for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
            total += l->forward[i][y] * l->backward[i][y];
        }
        for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
            gradient[y] = (float)(l->forward[i][y] * l->backward[i][y] / total);
        }
        gradient[d->gold[r->first + i]] -= 1;
        if (fabsf(gradient[d->gold[r->first + i]]) < 0.004f) {
            continue;
        }
        const uint32_t *rows = l->rows[i];
        for (size_t f = 0; f < DV_TAGGER_FEATURES; f++) {
            if (rows[f] == 0) {
                continue;
            }
            for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
                adapt(&w->value[rows[f]][y], &w->square[rows[f]][y], gradient[y]);
            }
        }
    }
}

static void learn(const data *d, weights *w, int epochs)
{
    static lattice l;
    for (int epoch = 0; epoch < epochs; epoch++) {
        for (size_t i = d->run_count; i > 1; i--) {
            size_t other = random_number((uint32_t)i);
            run swapped = d->runs[i - 1];
            d->runs[i - 1] = d->runs[other];
            d->runs[other] = swapped;
        }
        for (size_t i = 0; i < d->run_count; i++) {
            if (i % 64 == 0) {
                exp_steps(w);
            }
            choose_rows(d, &d->runs[i], &l);
            emit(d, &d->runs[i], w, &l);
            sum_paths(&d->runs[i], &l);
            learn_steps(d, &d->runs[i], &l, w);
            learn_words(d, &d->runs[i], &l, w);
        }
        fprintf(stderr, "epoch %d\n", epoch + 1);
    }
}

/* ---- slots ---- */

/* Each slot goes to the feature that would be missed most among those that want it. */
static void choose_slots(data *d, weights *w, size_t rows, const uint64_t *keys,
                         const uint32_t *seen, file_model *m)
{
    size_t slots = (size_t)1 << SLOT_BITS, used = 0;
    float *worth = must_alloc(slots, sizeof(float));
    uint32_t *owner = must_alloc(slots, sizeof(uint32_t));
    for (size_t row = 1; row < rows; row++) {
        size_t slot = keys[row] >> (64 - SLOT_BITS);
        float least = 0, most = 0;
        for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
            least = fminf(least, w->value[row][y]);
            most = fmaxf(most, w->value[row][y]);
        }
        float gain = (most - least) * powf((float)seen[row], 0.4f);
        if (gain > worth[slot]) {
            worth[slot] = gain;
            owner[slot] = (uint32_t)row;
        }
    }
    uint8_t *kept = must_alloc(rows, 1);
    for (size_t slot = 0; slot < slots; slot++) {
        kept[owner[slot]] = owner[slot] != 0;
        used += owner[slot] != 0;
        m->slots[slot].check = (uint16_t)keys[owner[slot]];
    }
    for (size_t i = 0; i < d->words * DV_TAGGER_FEATURES; i++) {
        d->rows[i] = kept[d->rows[i]] ? d->rows[i] : 0;
    }
    fprintf(stderr, "%zu of %zu slots\n", used, slots);
    free(worth);
    free(kept);
    free(owner);
}

static int quantise(float value, int most)
{
    int whole = (int)lroundf(value * SCALE);
    return DV_MAX(-most, DV_MIN(most, whole));
}

static void write_weights(const weights *w, size_t rows, const uint64_t *keys, file_model *m)
{
    for (size_t row = 1; row < rows; row++) {
        dv_tagger_slot *slot = &m->slots[keys[row] >> (64 - SLOT_BITS)];
        if (slot->check != (uint16_t)keys[row]) {
            continue;
        }
        int8_t values[DV_TAGGER_LABELS];
        bool any = false;
        for (size_t y = 0; y < DV_TAGGER_LABELS; y++) {
            values[y] = (int8_t)quantise(w->value[row][y], 127);
            any |= values[y] != 0;
        }
        if (any) {
            memcpy(slot->weights, values, sizeof(values));
        }
    }
    for (size_t from = 0; from <= DV_TAGGER_LABELS; from++) {
        for (size_t to = 0; to < DV_TAGGER_LABELS; to++) {
            bool can = allowed(from == DV_TAGGER_LABELS ? 0 : from, to);
            m->transitions[from][to] =
                can ? (int16_t)quantise(w->step[from][to], 4000) : DV_TAGGER_NEVER;
        }
    }
}

/* ---- measuring ---- */

static const char *const type_names[] = {"person",    "location", "organization", "address",
                                         "date_time", "age",      "nrp",          "title"};
static const uint8_t label_type[DV_TAGGER_LABELS] = {8, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7};

typedef struct tally {
    unsigned gold, found, told, right;
} tally;

static uint32_t overlap(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    uint32_t start = DV_MAX(a, c), end = DV_MIN(b, d);
    return end > start ? end - start : 0;
}

static bool is_right(const record *r, const dv_tagger_span *s)
{
    for (size_t i = 0; i < r->span_count; i++) {
        uint32_t shared = overlap(s->start, s->end, r->spans[i].start, r->spans[i].end);
        if (label_type[r->spans[i].label] == s->type && 2 * shared >= s->end - s->start) {
            return true;
        }
    }
    return false;
}

static bool is_found(const span *g, const dv_tagger_span *spans, size_t count)
{
    uint32_t shared = 0;
    for (size_t i = 0; i < count; i++) {
        if (label_type[g->label] == spans[i].type) {
            shared += overlap(g->start, g->end, spans[i].start, spans[i].end);
        }
    }
    return 2 * shared >= g->end - g->start;
}

static double f2(const tally *t)
{
    double recall = t->gold == 0 ? 0 : (double)t->found / t->gold;
    double precision = t->told == 0 ? 0 : (double)t->right / t->told;
    return recall + precision == 0 ? 0 : 5 * precision * recall / (4 * precision + recall);
}

/* Counts by type; source NULL: all. bins: right and told by score, where scores are bin numbers. */
static void measure(file_model *m, const records *all, const char *source, tally by_type[9],
                    unsigned bins[DV_TAGGER_TYPES][DV_TAGGER_BINS][2])
{
    dv_tagger_model *model = open_model(m);
    dv_tagger *tagger = NULL;
    dv_arena *arena = dv_arena_new(16 << 20);
    memset(by_type, 0, 9 * sizeof(tally));
    if (dv_tagger_new(model, &tagger) != DV_OK) {
        exit(1);
    }
    for (size_t r = 0; r < all->count; r++) {
        const record *item = &all->items[r];
        const dv_tagger_span *spans = NULL;
        size_t count = 0, hold = 0;
        if (source != NULL && strcmp(source, item->source) != 0) {
            continue;
        }
        if (dv_tagger_find(tagger, item->text, 0, false, DV_TAGGER_ALL, arena, &spans, &count,
                           &hold) != DV_OK) {
            exit(1);
        }
        for (size_t i = 0; i < count; i++) {
            bool right = is_right(item, &spans[i]);
            by_type[spans[i].type].told++;
            by_type[spans[i].type].right += right;
            if (bins != NULL) {
                bins[spans[i].type][spans[i].score][0] += right;
                bins[spans[i].type][spans[i].score][1]++;
            }
        }
        for (size_t i = 0; i < item->span_count; i++) {
            tally *t = &by_type[label_type[item->spans[i].label]];
            t->gold++;
            t->found += is_found(&item->spans[i], spans, count);
        }
        dv_arena_reset(arena);
    }
    for (size_t type = 0; type < DV_TAGGER_TYPES; type++) {
        by_type[8].gold += by_type[type].gold;
        by_type[8].found += by_type[type].found;
        by_type[8].told += by_type[type].told;
        by_type[8].right += by_type[type].right;
    }
    dv_arena_free(arena);
    dv_tagger_free(tagger);
    dv_tagger_model_free(model);
}

static void report(file_model *m, const records *all, const char *source)
{
    tally by_type[9];
    measure(m, all, source, by_type, NULL);
    printf("\nHeld out: %s\n\n| type | spans | precision | recall | F2 |\n|---|---|---|---|---|\n",
           source == NULL ? "all" : source);
    for (size_t type = 0; type < 9; type++) {
        const tally *t = &by_type[type];
        if (t->gold > 0) {
            printf("| %s | %u | %.3f | %.3f | %.3f |\n", type == 8 ? "all" : type_names[type],
                   t->gold, t->told == 0 ? 0 : (double)t->right / t->told,
                   (double)t->found / t->gold, f2(t));
        }
    }
}

/* What the model answers as a score: how often spans of that weight were right. Never falls with
 * the weight. */
static void calibrate(file_model *m, const records *all)
{
    unsigned bins[DV_TAGGER_TYPES][DV_TAGGER_BINS][2] = {0};
    tally by_type[9];
    for (size_t type = 0; type < DV_TAGGER_TYPES; type++) {
        for (size_t bin = 0; bin < DV_TAGGER_BINS; bin++) {
            m->scores[type][bin] = (uint8_t)bin;
        }
    }
    measure(m, all, NULL, by_type, bins);
    for (size_t type = 0; type < DV_TAGGER_TYPES; type++) {
        unsigned score = 1;
        for (size_t bin = 0; bin < DV_TAGGER_BINS; bin++) {
            unsigned measured = (100 * bins[type][bin][0] + 50) / (bins[type][bin][1] + 1);
            score = DV_MAX(score, DV_MIN(99u, measured));
            m->scores[type][bin] = (uint8_t)score;
        }
    }
}

enum { SOURCES = 4 };
static const char *const sources[SOURCES] = {"template", "btc", "wnut", "wikigold"};

/* The mean over the sources: templates are many, real texts few, and those are what counts. Of the
 * real ones also the mean precision. */
static double mean_f2(file_model *m, const records *all, double *ret_right)
{
    double sum = 0, right = 0;
    for (size_t i = 0; i < SOURCES; i++) {
        tally by_type[9];
        measure(m, all, sources[i], by_type, NULL);
        sum += f2(&by_type[8]);
        right += i == 0 || by_type[8].told == 0 ? 0 : (double)by_type[8].right / by_type[8].told;
    }
    *ret_right = right / (SOURCES - 1);
    return sum / SOURCES;
}

/* The greatest mean F2 among the weights that tell no more that is wrong on real texts than the
 * first model did. */
static void choose_outside(file_model *m, const records *all)
{
    double best = -1;
    int32_t chosen = 64 * 16;
    for (int32_t outside = -64 * 16; outside <= 64 * 16; outside += 16 * 16) {
        double right = 0;
        m->header->outside = outside;
        double mean = mean_f2(m, all, &right);
        fprintf(stderr, "outside %d: F2 %.4f, right %.3f\n", outside / 16, mean, right);
        if (mean > best && right >= least_right) {
            best = mean;
            chosen = outside;
        }
    }
    m->header->outside = chosen;
}

static void write_model(file_model *m, const char *path)
{
    FILE *file = fopen(path, "wb");
    sign_model(m);
    if (file == NULL || fwrite(m->header, 1, m->size, file) != m->size || fclose(file) != 0) {
        fprintf(stderr, "tagger_train: can't write %s\n", path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static weights w;
    static data d;
    uint64_t *keys = NULL;
    uint32_t *seen = NULL;
    if (argc != 6) {
        fprintf(stderr, "usage: tagger_train LEXICON TRAIN HELD_OUT MODEL NAME\n");
        return 2;
    }
    file_model m = new_model(argv[5]);
    records train = read_records(argv[2]);
    records held_out = read_records(argv[3]);
    fill_lexicon(&m, argv[1]);
    dv_tagger_model *model = open_model(&m);
    extract(model, &train, &d);
    dv_tagger_model_free(model);
    size_t rows = number_features(&d, &keys, &seen);
    w.value = must_alloc(rows, sizeof(*w.value));
    w.square = must_alloc(rows, sizeof(*w.square));
    learn(&d, &w, FIRST_EPOCHS);
    choose_slots(&d, &w, rows, keys, seen, &m);
    memset(w.square, 0, rows * sizeof(*w.square));
    learn(&d, &w, SECOND_EPOCHS);
    write_weights(&w, rows, keys, &m);
    choose_outside(&m, &held_out);
    calibrate(&m, &held_out);
    for (size_t i = 0; i < SOURCES; i++) {
        report(&m, &held_out, sources[i]);
    }
    report(&m, &held_out, NULL);
    write_model(&m, argv[4]);
    return 0;
}
