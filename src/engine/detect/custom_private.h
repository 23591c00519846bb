/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to custom.c, custom_read.c (which alone needs libyaml) and custom_text.c. */

#include "base/buf.h"
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
    const char *check_name; /* NULL: none */
    int line;               /* of its pattern */
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

/* Detectors without rules that have that text; NULL is left alone by destroying. */
dv_must dv_result dv_custom_new(dv_slice text, dv_detect_custom **ret_custom);
void dv_custom_destroy(dv_detect_custom *custom);
/* Compiles the rules, and says what they may not be. */
dv_must dv_result dv_custom_compile(dv_detect_custom *custom, dv_error *error);
/* Holds their examples against them, and tries how long they take. */
dv_must dv_result dv_custom_try(const dv_detect_custom *custom, dv_error *error);

/* The check of that name, and the name as it is kept; NULL: there is none. */
dv_detect_check dv_custom_check(const char *name, const char **ret_name);
/* The rules as dv_detect_custom_take reads them, without their examples. */
dv_must dv_result dv_custom_write(const dv_detect_custom *custom, dv_buf *out);
/* Reads custom->text that was written so. */
dv_must dv_result dv_custom_parse_text(dv_detect_custom *custom, dv_error *error);
