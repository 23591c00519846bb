/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A search's eyes for what is sealed: values of columns, and events, as readers get them (seal.h).
 */

#include "engine/log/search.h"
#include "engine/log/subjects.h"

typedef struct dv_seal_search dv_seal_search;

/* subjects: borrowed; NULL: nothing can be read. Not for several threads at a time. */
dv_must dv_result dv_seal_search_new(dv_subjects *subjects, dv_seal_search **ret_search);
void dv_seal_search_free(dv_seal_search *search);
DV_DEFINE_AUTO_PTR(seal_search, dv_seal_search, dv_seal_search_free)

/* For dv_search.reader; valid as long as the search's eyes. */
const dv_search_reader *dv_seal_search_reader(const dv_seal_search *search);
