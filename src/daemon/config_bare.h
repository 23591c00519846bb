/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A configuration as it may leave the machine. */

#include "base/buf.h"

/* Writes YAML anew, without comments, with every key and only those values that are known to be
 * harmless: of the keys that config_bare.c lists, and in a form that it knows there (a number, a
 * size, a time, true or false, one of its words; of addresses the scheme, the port, and a host of
 * this machine). Everything else is "[removed]". Lines keep their order. Keys are shown as they
 * are: what gives this to others masks it, too (line_mask.h).
 *
 * text need not be a good dvara.yaml. *ret_removed counts. Errors: those of dv_yaml_parse (nothing
 * is written then), those of out. */
dv_must dv_result dv_config_bare(dv_slice text, dv_buf *out, size_t *ret_removed, dv_error *error);
