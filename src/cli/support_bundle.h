/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A support bundle while it is gathered. Whatever goes into it goes through the masks
 * (daemon/line_mask.h), which know no address as our own: it is for others. */

#include "base/buf.h"
#include "base/clock.h"

#include <jansson.h>

typedef struct dv_bundle dv_bundle;

enum {
    DV_BUNDLE_MEMBERS = 48,
    DV_BUNDLE_MEMBER_MAX = 32 << 20, /* bytes, masked */
};

/* Compiles the detectors: without them there is no bundle. */
dv_must dv_result dv_bundle_new(dv_time made, dv_bundle **ret_bundle, dv_error *error);
void dv_bundle_free(dv_bundle *bundle);
DV_DEFINE_AUTO_PTR(bundle, dv_bundle, dv_bundle_free)

/* A member of lines. A line that can't be searched is withheld and counted. name: "logs/dvara.log".
 * Errors: DV_ERR_TOO_LARGE, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_bundle_add_text(dv_bundle *bundle, const char *name, dv_slice text);
/* The same of a value, whose strings and names are masked one by one. value stays the caller's;
 * NULL: no memory. */
dv_must dv_result dv_bundle_add_json(dv_bundle *bundle, const char *name, const json_t *value);
/* Says in the manifest that something is not in it. */
void dv_bundle_leave_out(dv_bundle *bundle, const char *what, const char *why);

/* Adds MANIFEST.json and README.txt and makes the file: 0600, whole or not at all. *ret_manifest is
 * a new reference. Errors: DV_ERR_EXISTS, DV_ERR_IO. */
dv_must dv_result dv_bundle_write(dv_bundle *bundle, const char *path, json_t **ret_manifest,
                                  dv_error *error);
