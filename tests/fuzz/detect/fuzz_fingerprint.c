/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/fingerprint/build.h"

/* Any text, compared with a set: in two pieces the same is found as in one, and of no value that
 * stands by itself a byte goes out before it is known. The first two bytes say where it is cut. */

enum { HITS = 4096 };

typedef struct found {
    dv_fingerprint_hit hits[HITS];
    size_t count;
} found;

static dv_fingerprint_set *set;
static dv_fingerprint_matcher *matcher;
static dv_buf file;

static void must(dv_result result)
{
    if (result != DV_OK) {
        abort();
    }
}

static void add(dv_fingerprint_builder *builder, const char *first, const char *last,
                const char *account)
{
    const dv_slice cells[] = {dv_slice_str(first), dv_slice_str(last), dv_slice_str(account)};
    must(dv_fingerprint_add_record(builder, cells));
}

static void set_up(void)
{
    static const dv_fingerprint_rules rules = {.columns = {"first", "last", "account"},
                                               .column_count = 3,
                                               .alone = 1U << 2,
                                               .least = 2,
                                               .within = 100,
                                               .row = 2,
                                               .share = 50};
    dv_auto(fingerprint_builder) dv_fingerprint_builder *builder = NULL;
    file = dv_buf_init(1 << 20);
    must(dv_fingerprint_builder_new(&rules, &builder, NULL));
    add(builder, "Anna", "Kowalska", "DE44 5001 0517 5407 3249 31");
    add(builder, "Zo\xc3\x8b", "O'Neill", "12 Main Street 5b");
    add(builder, "a", "b c", "1 2 3 4 5 6");
    add(builder, "aa", "bb", "1111111111111111");
    must(dv_fingerprint_add_canary(builder, DV_LIT("luzu faro mina telo")));
    must(dv_fingerprint_add_text(builder,
                                 DV_LIT("Which data is meant is said by a rule of its own, and of "
                                        "several rules the strictest counts; nobody is told more "
                                        "than that, whoever he may be, and whatever he asks.")));
    must(dv_fingerprint_end_document(builder, DV_LIT("rules")));
    must(dv_fingerprint_build(builder, &file, NULL));
    must(dv_fingerprint_set_of(dv_buf_slice(&file), &set, NULL));
    must(dv_fingerprint_matcher_new(&matcher));
}

static dv_result on_hit(void *data, const dv_fingerprint_hit *hit)
{
    found *f = data;
    if (f->count < HITS) {
        f->hits[f->count++] = *hit;
    }
    return DV_OK;
}

static size_t feed(found *f, dv_fingerprint_state *state, dv_slice piece, bool more)
{
    size_t hold = 0;
    const dv_fingerprint_job job = {.sets = (const dv_fingerprint_set *const *)&set,
                                    .set_count = 1,
                                    .enabled = 1,
                                    .holds = 1,
                                    .more = more,
                                    .told = on_hit,
                                    .data = f};
    must(dv_fingerprint_find(matcher, &job, state, piece, &hold));
    return hold;
}

/* Of one piece values are told before documents. */
static int by_kind(const void *a, const void *b)
{
    const dv_fingerprint_hit *x = a;
    const dv_fingerprint_hit *y = b;
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    return x->end < y->end ? -1 : x->end > y->end;
}

static void compare(found *a, found *b)
{
    if (a->count != b->count) {
        abort();
    }
    qsort(a->hits, a->count, sizeof(a->hits[0]), by_kind);
    qsort(b->hits, b->count, sizeof(b->hits[0]), by_kind);
    for (size_t i = 0; i < a->count; i++) {
        /* A document is told as soon as it is one, maybe within a word. */
        bool ends = a->hits[i].kind == DV_FINGERPRINT_DOCUMENT || a->hits[i].end == b->hits[i].end;
        if (a->hits[i].kind != b->hits[i].kind || !ends) {
            abort();
        }
    }
}

/* Values that were not told of with the first piece are still held back where they begin in it. */
static void check_hold(const found *all, size_t told, size_t hold, size_t cut)
{
    for (size_t i = told; i < all->count; i++) {
        const dv_fingerprint_hit *hit = &all->hits[i];
        bool alone = hit->kind == DV_FINGERPRINT_VALUE || hit->kind == DV_FINGERPRINT_CANARY;
        if (alone && hit->start < cut && hit->end > cut && hold > hit->start) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static found whole, split;
    if (set == NULL) {
        set_up();
    }
    if (size < 2) {
        return 0;
    }
    dv_slice text = dv_slice_of(data + 2, size - 2);
    size_t cut = text.len == 0 ? 0 : (size_t)(data[0] << 8 | data[1]) % (text.len + 1);
    dv_auto(free) dv_fingerprint_state *one = malloc(dv_fingerprint_state_size(1));
    dv_auto(free) dv_fingerprint_state *two = malloc(dv_fingerprint_state_size(1));
    if (one == NULL || two == NULL) {
        return 0;
    }
    dv_fingerprint_state_init(one, 1);
    dv_fingerprint_state_init(two, 1);
    whole.count = split.count = 0;
    (void)feed(&whole, one, text, false);
    size_t hold = feed(&split, two, dv_slice_sub(text, 0, cut), true);
    size_t told = split.count;
    (void)feed(&split, two, dv_slice_sub(text, cut, SIZE_MAX), false);
    check_hold(&split, told, hold, cut);
    compare(&whole, &split);
    return 0;
}
