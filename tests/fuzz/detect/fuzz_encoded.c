/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes: what stands encoded lies within the text, in order, without overlaps, and takes in all
 * that the text itself says; what waits is no more than there is, and nothing that is told before
 * it reaches over it. */
#include "engine/detect/encoded.h"

static dv_detect_rules *rules;
static dv_detect_scratch *scratch;
static dv_arena *work;

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool find(dv_slice text, bool more, bool cut, dv_arena *arena)
{
    const dv_finding *plain = NULL, *all = NULL;
    size_t plain_count = 0, count = 0, hold = text.len, from = cut ? text.len / 3 : 0;
    const dv_detector_set *enabled = dv_detect_standard();
    const dv_encoded job = {rules, scratch, enabled, arena, work, cut, more};
    if (dv_detect_scan(rules, scratch, text, from, enabled, arena, &plain, &plain_count) != DV_OK) {
        return false;
    }
    all = plain;
    count = plain_count;
    dv_result result = dv_encoded_find(&job, text, from, &all, &count, &hold);
    require(result == DV_OK || result == DV_ERR_TOO_LARGE);
    if (result != DV_OK) {
        return false;
    }
    require(hold <= text.len && hold >= from);
    size_t end = 0;
    for (size_t i = 0; i < count; i++) {
        require(all[i].start >= DV_MAX(end, from) && all[i].end > all[i].start);
        require(!dv_detector_set_is_empty(&all[i].detectors));
        end = all[i].end;
        require(end <= text.len);
    }
    for (size_t i = 0, at = 0; i < plain_count; i++) {
        while (at < count && all[at].end < plain[i].end) {
            at++;
        }
        require(at < count && all[at].start <= plain[i].start);
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (rules == NULL) {
        require(dv_detect_rules_builtin(&rules, NULL) == DV_OK);
        require(dv_detect_scratch_new(rules, &scratch) == DV_OK);
        work = dv_arena_new(256 << 20);
        require(work != NULL);
    }
    dv_auto(arena) dv_arena *arena = dv_arena_new(256 << 20);
    dv_slice text = dv_slice_of(data, size);
    if (size == 0 || !find(text, false, false, arena)) {
        return 0;
    }
    (void)find(text, true, false, arena);
    (void)find(text, true, true, arena);
    return 0;
}
