/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macros.h"
#include "base/slice.h"

/* True when the text is a URL (http, https, ws, wss, ftp or file, as lenient URL parsers read it:
 * WHATWG URL) that a model server should not be made to fetch: a private or otherwise not public
 * address in any notation, localhost, a name without a dot or under .local, .internal, .localhost
 * or .home.arpa, a file, or a host that can't be read with certainty (percent-encoded, not ASCII).
 * Names of the open DNS are not resolved: what they point at is the model server's to check. */
bool dv_api_url_is_private(dv_slice text);
/* Whether a member of that name, in any case, is a URL that a model server fetches, from inside the
 * network. */
bool dv_api_url_names(dv_slice name);
