/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a support bundle says of the machine and of the state. Each gives a new reference; NULL: no
 * memory. What can't be read is left out. */

#include <jansson.h>

/* Version, compiler, build id of this program; names, sizes and hashes of the others, which lie in
 * the folder. */
json_t *dv_support_build(const char *programs);
/* Kernel, distribution, processor, memory, limits. No name of the machine, no addresses. */
json_t *dv_support_system(void);
/* Of each folder below: mode, owner, how many files and bytes; of the topmost files, each. Of no
 * file the content. */
json_t *dv_support_folders(const char *folder);
