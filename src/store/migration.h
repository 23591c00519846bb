/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macros.h"

/* One numbered file of src/store/migrations, built in by tools/embed-migrations.py. */
typedef struct dv_migration {
    int number; /* from 1, without gaps */
    const char *name;
    const char *sql;
} dv_migration;

extern const dv_migration DV_MIGRATIONS[];
extern const size_t DV_MIGRATION_COUNT;
