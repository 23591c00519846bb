/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes: what decodings hold lies within the text, in order, without overlaps, and takes in all
 * that the text itself says. */
#include "engine/detect/decode.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static dv_detect_rules *rules;
    static dv_detect_scratch *scratch;
    if (rules == NULL) {
        require(dv_detect_rules_builtin(&rules, NULL) == DV_OK);
        require(dv_detect_scratch_new(rules, &scratch) == DV_OK);
    }
    dv_auto(arena) dv_arena *arena = dv_arena_new(256 << 20);
    dv_walk walk = {.rules = rules, .scratch = scratch, .arena = arena};
    dv_slice text = dv_slice_of(data, size);
    const dv_finding *plain = NULL, *all = NULL;
    size_t plain_count = 0, count = 0;
    walk.enabled = *dv_detect_standard();
    if (size == 0 || dv_walk_find(&walk, text, 0, &plain, &plain_count) != DV_OK) {
        return 0;
    }
    size_t from = size / 3;
    for (size_t start = 0; start <= from; start += from + (from == 0)) {
        size_t until = size;
        all = start == 0 ? plain : NULL;
        count = start == 0 ? plain_count : 0;
        dv_result result =
            dv_decode_also(&walk, text, start, start > 0, arena, &all, &count, &until);
        require(result == DV_OK || result == DV_ERR_TOO_LARGE);
        if (result != DV_OK) {
            return 0;
        }
        require(until <= size && until > start);
        size_t end = 0;
        for (size_t i = 0; i < count; i++) {
            require(all[i].start >= DV_MAX(end, start) && all[i].end > all[i].start);
            end = all[i].end;
            require(end <= size);
        }
        for (size_t i = 0, at = 0; start == 0 && i < plain_count; i++) {
            while (at < count && all[at].end < plain[i].end) {
                at++;
            }
            require(at < count && all[at].start <= plain[i].start);
        }
    }
    return 0;
}
