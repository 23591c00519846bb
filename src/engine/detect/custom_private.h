/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to custom.c and custom_read.c. */

#include "engine/detect/custom.h"
#include "engine/detect/search.h"

/* One detector as it was read. */
typedef struct dv_custom_rule {
    dv_detector_info info;
    const char *match;
    const char *ahead; /* the same, longer by what it looks at behind a value */
    const char *words; /* PCRE2; NULL: none */
    bool required;
    bool caseless;
    uint16_t distance;
    uint16_t entropy; /* hundredths of a bit */
    dv_detect_check check;
    int line; /* of its pattern */
    pcre2_code *code;
    pcre2_code *context;
    size_t longest; /* bytes of its values */
} dv_custom_rule;

struct dv_detect_custom {
    uint64_t serial; /* no two that live, or lived, have the same */
    unsigned users;  /* of the list of those that live */
    dv_detect_custom *next;
    dv_arena *arena;
    dv_slice text;
    dv_custom_rule rules[DV_CUSTOM_MAX];
    size_t count;
    dv_detector_set set; /* their bits */
};

/* Reads the YAML into custom->rules and what they point at into custom->arena; compiles nothing. */
dv_must dv_result dv_custom_parse(dv_detect_custom *custom, dv_error *error);
