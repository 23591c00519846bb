/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The compiled set; private to the engine. */

#include "engine/cedar/ast.h"
#include "engine/cedar/index.h"

struct dv_cedar_policy_set {
    dv_arena *arena; /* holds all but this struct */
    const dv_cedar_policy *policies;
    size_t count;
    dv_cedar_index index;
};
