/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/fingerprint/winnow.h"

enum { GRAM = DV_FINGERPRINT_GRAM, WINDOW = DV_FINGERPRINT_WINDOW };

static uint64_t turn(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

void dv_winnow_begin(dv_winnow *w, const dv_set_keys *keys, const uint8_t *letters, size_t count)
{
    w->keys = keys;
    w->letters = letters;
    w->count = count;
    w->next = 0;
    w->rolling = 0;
    w->kept = SIZE_MAX;
    w->least = 0;
    w->hashes[0] = UINT64_MAX; /* the first gram is no larger */
    for (size_t i = 0; i + 1 < GRAM && i < count; i++) {
        w->rolling = turn(w->rolling, 1) ^ keys->letters[letters[i]];
    }
}

/* The rightmost of the smallest among the last WINDOW grams. */
static size_t find_least(const dv_winnow *w)
{
    size_t least = w->next - WINDOW;
    uint64_t smallest = w->hashes[least % DV_WINNOW_RING];
    for (size_t at = least + 1; at < w->next; at++) {
        uint64_t hash = w->hashes[at % DV_WINNOW_RING];
        if (hash <= smallest) {
            smallest = hash;
            least = at;
        }
    }
    return least;
}

/* Where the smallest one is too far behind, or the first window is whole. */
static size_t end_of(const dv_winnow *w, size_t next, size_t least)
{
    size_t end = next < WINDOW ? (size_t)WINDOW : least + WINDOW;
    return DV_MIN(end, w->count - GRAM + 1);
}

/* Hashes grams until there is one that is the smallest of its window, or no more. */
static void hash_on(dv_winnow *w)
{
    const uint64_t *letters = w->keys->letters;
    uint64_t rolling = w->rolling;
    size_t next = w->next, least = w->least;
    uint64_t smallest = w->hashes[least % DV_WINNOW_RING];
    size_t end = end_of(w, next, least);
    bool met = false;
    for (; next < end && !met; next++) {
        rolling = turn(rolling, 1) ^ letters[w->letters[next + GRAM - 1]];
        uint64_t hash = dv_set_passage(w->keys, rolling);
        rolling ^= turn(letters[w->letters[next]], GRAM - 1);
        w->hashes[next % DV_WINNOW_RING] = hash;
        if (hash <= smallest) {
            smallest = hash;
            least = next;
            end = end_of(w, next, least);
            met = next + 1 >= WINDOW;
        }
    }
    w->rolling = rolling;
    w->next = next;
    w->least = least;
}

/* Hashes one gram more, which the smallest one is too far behind for. */
static void hash_past(dv_winnow *w)
{
    const uint64_t *letters = w->keys->letters;
    size_t at = w->next++;
    w->rolling = turn(w->rolling, 1) ^ letters[w->letters[at + GRAM - 1]];
    w->hashes[at % DV_WINNOW_RING] = dv_set_passage(w->keys, w->rolling);
    w->rolling ^= turn(letters[w->letters[at]], GRAM - 1);
    w->least = find_least(w);
}

bool dv_winnow_next(dv_winnow *w, uint64_t *ret_hash, size_t *ret_at)
{
    while (w->next + GRAM <= w->count) {
        if (w->next == w->least + WINDOW) {
            hash_past(w);
        } else {
            hash_on(w);
        }
        if (w->next >= WINDOW && w->least != w->kept) {
            w->kept = w->least;
            *ret_hash = w->hashes[w->least % DV_WINNOW_RING];
            *ret_at = w->least;
            return true;
        }
    }
    return false;
}
