/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reading OCSF events as JSON, and what a table shows of one; the command line, too, shows events
 * of archives so. */

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>

/* A member by its path "actor.user.name"; NULL when there is none. Borrowed. */
json_t *dv_event_at(const json_t *event, const char *path);
/* The same as text; "" when it is absent or no text. */
const char *dv_event_text(const json_t *event, const char *path);
int64_t dv_event_int(const json_t *event, const char *path);
/* The method of an HTTP request, also of one that OCSF has no name for. */
const char *dv_event_method(const json_t *event);
bool dv_event_is(const json_t *event, const char *code);

/* Of {"index","event"}, with "log" where it is not main: the event with a summary in front: index,
 * when, event, who, what, outcome, request. A new reference, or NULL when memory is out. */
json_t *dv_event_summarize(const json_t *line);
