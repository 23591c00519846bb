/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "engine/detect/detect_rules.h"

/* Searching any bytes: with the sieve the same is found as without, from any byte on; findings are
 * in order, apart from each other and inside the text, hold no NUL, and a text that ends where
 * nothing is held back loses no finding to what follows. */

static dv_detect_rules *rules;
static dv_detect_scratch *scratch;

static void check_findings(dv_slice text, const dv_finding *found, size_t count)
{
    size_t reached = 0;
    for (size_t i = 0; i < count; i++) {
        dv_slice value = dv_slice_sub(text, found[i].start, found[i].end - found[i].start);
        if (found[i].start < reached || found[i].start >= found[i].end || found[i].end > text.len ||
            dv_slice_find_byte(value, '\0') >= 0) {
            abort();
        }
        reached = found[i].end;
    }
}

/* What is before the hold of a part is final: the whole text has the same findings there. */
static void check_hold(dv_slice text, size_t cut, const dv_finding *whole, size_t count,
                       dv_arena *arena)
{
    dv_slice part = dv_slice_sub(text, 0, cut);
    const dv_finding *found = NULL;
    size_t part_count = 0;
    size_t hold = 0;
    if (dv_detect_scan(rules, scratch, part, 0, &dv_detect_all, arena, &found, &part_count) !=
            DV_OK ||
        dv_detect_hold(rules, scratch, part, 0, &dv_detect_all, found, part_count, &hold) !=
            DV_OK) {
        return; /* a limit */
    }
    for (size_t i = part_count; i > 0; i--) {
        if (found[i - 1].start < hold && hold < found[i - 1].end) {
            hold = found[i - 1].start;
        }
    }
    for (size_t i = 0; i < count && whole[i].start < hold; i++) {
        if (i >= part_count || found[i].start != whole[i].start || found[i].end != whole[i].end) {
            abort();
        }
    }
}

static bool same(const dv_finding *a, const dv_finding *b)
{
    return a->detector == b->detector && a->start == b->start && a->end == b->end &&
           a->score == b->score && memcmp(&a->detectors, &b->detectors, sizeof(a->detectors)) == 0;
}

/* A limit that the sieve spares the search may be met without it. */
static void check_sieve(dv_slice text, size_t from, dv_arena *arena)
{
    dv_detect_rules plain = *rules;
    const dv_finding *found[2] = {NULL, NULL};
    size_t count[2] = {0, 0};
    plain.sieve = NULL;
    if (dv_detect_scan(&plain, scratch, text, from, &dv_detect_all, arena, &found[0], &count[0]) !=
        DV_OK) {
        return;
    }
    if (dv_detect_scan(rules, scratch, text, from, &dv_detect_all, arena, &found[1], &count[1]) !=
            DV_OK ||
        count[0] != count[1]) {
        abort();
    }
    for (size_t i = 0; i < count[0]; i++) {
        if (!same(&found[0][i], &found[1][i])) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (rules == NULL && (dv_detect_rules_builtin(&rules, NULL) != DV_OK ||
                          dv_detect_scratch_new(rules, &scratch) != DV_OK)) {
        abort();
    }
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    dv_slice text = dv_slice_of(data, size);
    const dv_finding *found = NULL;
    size_t count = 0;
    check_sieve(text, 0, arena);
    check_sieve(text, size > 0 ? data[size - 1] % size : 0, arena);
    if (dv_detect_scan(rules, scratch, text, 0, &dv_detect_all, arena, &found, &count) != DV_OK) {
        return 0;
    }
    check_findings(text, found, count);
    if (size > 0 && size < 4096) {
        check_hold(text, data[0] % size, found, count, arena);
        check_hold(text, size / 2, found, count, arena);
    }
    return 0;
}
