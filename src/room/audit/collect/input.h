/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to room/audit/collect: what the kinds of inputs have in common. */

#include "room/audit/collect/collector.h"
#include "room/audit/collect/frames.h"
#include "room/audit/collect/parser.h"
#include "room/audit/collect/positions.h"

#include <sys/epoll.h>

typedef struct dv_input dv_input;

/* A descriptor that the loop looks at. */
typedef struct dv_watch {
    int fd;
    bool active;
    dv_input *input;
    void (*ready)(struct dv_watch *watch, uint32_t events);
} dv_watch;

/* Something that goes wrong again and again is told at its beginning, each minute, and at its end.
 */
typedef struct dv_trouble {
    const char *rule; /* "collect.dropped" */
    const char *what; /* "messages were dropped" */
    uint64_t count;
    uint64_t told;
    dv_time last; /* monotonic */
    dv_time said;
    bool active;
} dv_trouble;

typedef struct dv_input_kind {
    dv_result (*open)(dv_input *input, dv_error *error);
    void (*close)(dv_input *input);
    void (*pause)(dv_input *input, bool paused);
    void (*tick)(dv_input *input); /* about ten times a second */
} dv_input_kind;

extern const dv_input_kind dv_input_syslog;
extern const dv_input_kind dv_input_file;
extern const dv_input_kind dv_input_journald;
extern const dv_input_kind dv_input_http;

typedef struct dv_input_counts {
    uint64_t lines; /* in the spool */
    uint64_t bytes;
    uint64_t unparsed;
    uint64_t truncated; /* not kept whole: more than DV_LIMIT_BLOB */
    uint64_t large;     /* kept beside their events */
    uint64_t invalid_utf8;
    uint64_t clock_off;
    uint64_t refused; /* connections and requests */
} dv_input_counts;

struct dv_input {
    const dv_input_kind *kind;
    dv_collector *collector;
    const dv_collect_input *config;
    const dv_parser *parser; /* NULL: auto */
    const dv_parser *hint;
    dv_input_counts counts;
    dv_trouble dropped;
    dv_trouble lost;
    double tokens;
    dv_time refilled; /* monotonic */
    bool paused;
    bool limited; /* by its rate */
    uint64_t limited_times;
    void *state; /* the kind's */
    char *key;   /* all of its configuration in one text */
    dv_input *next;
};

/* What the kinds ask of the collector. */
dv_parsers *dv_collector_parsers(dv_collector *collector);
dv_positions *dv_collector_positions(dv_collector *collector);
bool dv_collector_is_blocked(const dv_collector *collector);
/* There is more to do at once. */
void dv_collector_busy(dv_collector *collector);
void dv_collector_say(dv_collector *collector, const char *format, ...) dv_printf(2, 3);
/* An alarm in the log, and a line for the operator. */
void dv_collector_alarm(dv_collector *collector, const char *rule, const char *format, ...)
    dv_printf(3, 4);

dv_must dv_result dv_watch_start(dv_watch *watch, uint32_t events);
void dv_watch_stop(dv_watch *watch);

/* Neither blocked nor over its rate. */
bool dv_input_may_take(const dv_input *input);
/* A line of the input with the defaults of its kind. */
dv_line dv_input_line(const dv_input *input, const dv_frame *frame);
/* Makes the event and puts it into the spool. next NULL: nothing has a position.
 * DV_ERR_UNAVAILABLE: not now; the same line is to be offered again. */
dv_must dv_result dv_input_take(dv_input *input, const dv_line *line, size_t slot,
                                const dv_position *next);
void dv_trouble_add(dv_trouble *trouble, uint64_t count);
