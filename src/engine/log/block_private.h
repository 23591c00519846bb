/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: what a block's reader hands to those that look at it as a whole. */

#include "engine/log/block.h"
#include "engine/log/block_template.h"

/* A template, valid as long as the block, and the number of the one that a leaf is made of. */
const dv_template *dv_block_template(const dv_block *block, uint32_t number);
uint32_t dv_block_template_of(const dv_block *block, uint32_t place);
