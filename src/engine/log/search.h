/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Finding entries: by index (the feed) and by request id. A catalogue beside the tiles holds one
 * row for each full bundle, its time range and a Bloom filter of its tokens; it only prunes, so a
 * missing or damaged row costs time and nothing else, and it can be rebuilt from the bundles. */

#include "engine/log/tiles.h"

/* Called for each entry, in order of the index; anything but DV_OK ends the search and is passed
 * on. */
typedef dv_result (*dv_entry_visit)(void *data, uint64_t index, dv_slice entry);

/* Entries [from, from + limit) of a log of that size. */
dv_must dv_result dv_log_read(const char *folder, uint64_t size, uint64_t from, uint64_t limit,
                              dv_entry_visit visit, void *data, dv_error *error);

/* All entries of that request. A UUIDv7 tells when it was made, so that older bundles are not
 * looked at. */
dv_must dv_result dv_log_find(const char *folder, uint64_t size, dv_slice request_id,
                              dv_entry_visit visit, void *data, dv_error *error);

/* -- the catalogue's writer (dvara-logd) ------------------------------------------------------- */

typedef struct dv_catalogue dv_catalogue;

/* Opens the folder's catalogue for a log of that size and rebuilds the rows that it lacks. */
dv_must dv_result dv_catalogue_open(const char *folder, uint64_t size, dv_catalogue **ret_catalogue,
                                    dv_error *error);
void dv_catalogue_close(dv_catalogue *catalogue);
DV_DEFINE_AUTO_PTR(catalogue, dv_catalogue, dv_catalogue_close)

/* Notes the next entry, in order. */
void dv_catalogue_add(dv_catalogue *catalogue, dv_slice entry);
/* Writes the rows that became whole. What can't be written now is tried again. */
void dv_catalogue_flush(dv_catalogue *catalogue);
