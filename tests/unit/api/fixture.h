/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A configuration of the gate and an arena, for each test anew; cmocka.h comes before. */

#include "base/caps.h"
#include "room/api/gate/api_request.h"

#include <stdlib.h>

typedef struct fixture {
    dv_arena *arena;
    dv_api_config *config;
} fixture;

static inline int fixture_make(void **state, dv_slice config)
{
    fixture *f = calloc(1, sizeof(*f));
    dv_error error = {0};
    f->arena = dv_arena_new(1 << 20);
    if (dv_api_config_parse(config, &f->config, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    fixture *f = *state;
    dv_api_config_free(f->config);
    dv_arena_free(f->arena);
    free(f);
    return 0;
}

/* The text as the gate reads a request's body; in the fixture's arena. */
static inline dv_json scan_body(const fixture *f, const char *text)
{
    static const dv_json_limits limits = {
        .depth = DV_LIMIT_JSON_DEPTH, .tokens = 1000, .refuse_duplicate_keys = true};
    dv_json json = {0};
    assert_int_equal(dv_json_scan(dv_slice_str(text), &limits, f->arena, &json, NULL), DV_OK);
    return json;
}

/* The text with what the gate puts into it. */
static inline const char *with_insert(const fixture *f, const char *text,
                                      const dv_api_insert *insert)
{
    return dv_arena_printf(f->arena, "%.*s%.*s%s", (int)insert->at, text,
                           DV_SLICE_ARGS(insert->text), text + insert->at + insert->len);
}
