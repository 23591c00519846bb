/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A counters file in a folder of its own, for the tests of this folder. */

#include "store/counters.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <unistd.h>

typedef struct scratch {
    char folder[64];
    char path[80];
    dv_counters *counters;
    bool replaced;
} scratch;

static inline void scratch_open(scratch *s, uint32_t slots)
{
    assert_int_equal(dv_counters_open(s->path, slots, &s->counters, &s->replaced, NULL), DV_OK);
}

static inline scratch scratch_new(uint32_t slots)
{
    scratch s = {.folder = "/tmp/dvara-limit-XXXXXX"};

    assert_non_null(mkdtemp(s.folder));
    snprintf(s.path, sizeof(s.path), "%s/counters", s.folder);
    scratch_open(&s, slots);
    assert_false(s.replaced);
    return s;
}

static inline void scratch_end(scratch *s)
{
    dv_counters_close(s->counters);
    unlink(s->path);
    rmdir(s->folder);
}
