/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to the engine: vectorscan's databases of the triggers. Compiling them takes most of the
 * time in which a process makes its detectors, so they are compiled when Dvara is built, for each
 * kind of processor that is foreseen. */

#include "engine/detect/detect_rules.h"

/* One that was compiled beforehand. */
typedef struct dv_detect_database {
    dv_detect_family family;
    uint64_t features;     /* of the processor: hs_platform_info_t.cpu_features */
    const uint64_t *bytes; /* as hs_serialize_database wrote them, with their checksum */
    size_t len;            /* bytes; 0: the family has no trigger */
} dv_detect_database;

extern const dv_detect_database dv_detect_made[];
extern const size_t dv_detect_made_count;

/* machine: NULL is this one. *ret_database, the caller's to free with hs_free_database, is NULL
 * when the family has no trigger. DV_ERR_INVALID names a trigger that vectorscan refuses. */
dv_must dv_result dv_detect_database_compile(dv_detect_family family,
                                             const hs_platform_info_t *machine,
                                             hs_database_t **ret_database, dv_error *error);

/* The same from the one of `made` that was compiled for just this kind of processor; from the
 * triggers when there is none, or when it is of another release of vectorscan or damaged. */
dv_must dv_result dv_detect_database_open(const dv_detect_database *made, size_t count,
                                          dv_detect_family family, hs_database_t **ret_database,
                                          dv_error *error);
