/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a user's file of detectors; those that are read search the file itself, whole and
 * its first half, and what is told of that before its hold is the same. */
#include "../pieces.h"

#include "engine/detect/custom.h"

static dv_detect_rules *rules;
static dv_detect_scratch *scratch;

static void set_up(void)
{
    if (rules == NULL) {
        require(dv_detect_rules_builtin(&rules, NULL) == DV_OK);
        require(dv_detect_scratch_new(rules, &scratch) == DV_OK);
    }
}

static void search(const dv_detect_custom *custom, dv_slice text)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    dv_detector_set set = {{0}};
    const dv_finding *all = NULL, *half = NULL;
    size_t all_count = 0, half_count = 0, hold = 0;
    dv_slice first = dv_slice_sub(text, 0, text.len / 2);
    for (size_t i = 0; i < dv_detect_custom_count(custom); i++) {
        require(dv_detect_custom_info(custom, DV_CUSTOM_FIRST + i) != NULL);
        dv_detector_set_add(&set, DV_CUSTOM_FIRST + i);
    }
    dv_detect_scratch_use(scratch, custom);
    dv_detect_scratch_hurry(scratch, 50 * 1000 * 1000);
    if (dv_detect_scan(rules, scratch, text, 0, &set, arena, &all, &all_count) != DV_OK ||
        dv_detect_scan(rules, scratch, first, 0, &set, arena, &half, &half_count) != DV_OK ||
        dv_detect_hold(rules, scratch, first, 0, &set, half, half_count, &hold) != DV_OK) {
        return;
    }
    for (size_t i = 0; i < all_count; i++) {
        require(all[i].start < all[i].end && all[i].end <= text.len);
        require(memchr(text.ptr + all[i].start, 0, all[i].end - all[i].start) == NULL);
        require(i == 0 || all[i].start >= all[i - 1].end);
    }
    for (size_t i = 0; i < half_count && half[i].end <= hold; i++) {
        require(i < all_count && half[i].start == all[i].start && half[i].end == all[i].end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_detect_custom *custom = NULL;
    dv_error error = {0};
    set_up();
    dv_slice text = dv_slice_of(data, size);
    if (size == 0 || size > DV_CUSTOM_TEXT_MAX) {
        return 0;
    }
    if (dv_detect_custom_take(text, &custom, NULL) == DV_OK) { /* it is what was made of a file */
        search(custom, text);
        dv_detect_scratch_use(scratch, NULL);
        dv_detect_custom_free(custom);
        custom = NULL;
    }
    dv_result result = dv_detect_custom_read(text, &custom, &error);
    require(result == DV_OK || error.message[0] != '\0' || result == DV_ERR_NO_MEMORY);
    if (result == DV_OK) {
        search(custom, text);
        dv_detect_scratch_use(scratch, NULL);
        dv_detect_custom_free(custom);
    }
    return 0;
}
