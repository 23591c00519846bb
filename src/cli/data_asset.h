/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "room/data/scan/classify.h"

#include <jansson.h>

/* One scanned file or table as `dvara data scan` shows it and dvarad keeps it. A new reference;
 * NULL: memory is out. */
json_t *dv_data_asset_json(const dv_scan_item *item, const dv_data_part *const *parts, size_t count,
                           const dv_data_class *class);

/* Text of others; what is no UTF-8 in it becomes U+FFFD. */
json_t *dv_data_text_json(const char *text);
