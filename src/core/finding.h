/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/slice.h"

/* What a detector saw, where, how surely. Never holds the value itself. */
typedef struct dv_finding {
    const char
        *detector;      /* its id in rules/detectors: "payment_card"; lives as long as the rules */
    uint32_t start;     /* byte in the decoded text that was searched */
    uint32_t end;       /* one past the last */
    uint8_t score;      /* 0..100 */
    uint64_t detectors; /* all that saw a value within: bit = detector index; holds `detector` */
} dv_finding;

typedef enum dv_content_action {
    DV_ACTION_BLOCK = 0,   /* the zero refuses */
    DV_ACTION_ALERT,       /* passes, and the event says so */
    DV_ACTION_MASK,        /* [PAYMENT_CARD ****1111] or so: not reversible */
    DV_ACTION_PLACEHOLDER, /* <EMAIL_x7Kq2a>: restored in answers to the same principal */
} dv_content_action;

/* One thing seen in a body, for the event: where it was and what was done; never the value. */
typedef struct dv_sighting {
    const char *detector;
    const char *place; /* JSON pointer (RFC 6901) of the string: "/messages/0/content" */
    dv_content_action action;
    uint8_t score;  /* the highest */
    uint32_t times; /* it was seen there; 0 is 1 */
} dv_sighting;

/* "block", "alert", "mask", "placeholder". */
const char *dv_content_action_name(dv_content_action action);
