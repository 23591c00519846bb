/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to core/event_rows.c and core/event_code.c: writes one JSON object by a table of rows
 * over a C struct, without allocating. What is empty or unknown is left out, and so is an object
 * that stays empty. */

#include "base/buf.h"
#include "base/caps.h"
#include "core/event.h"
#include "core/event_spots.h"

#define DV_EVENT_UNKNOWN INT64_MIN /* an integer that is left out */

enum { /* bytes of the free texts */
       DV_EVENT_SHORT = 128,
       DV_EVENT_MEDIUM = 256,
       DV_EVENT_LONG = 1024,
};

typedef struct dv_event_writer {
    uint8_t *at;
    uint8_t *end;
    bool full; /* something did not fit; the record is not to be used */
    bool cut;  /* a text was longer than its row's limit */
    uint8_t *begin;
    dv_event_spots *spots; /* filled when not NULL */
} dv_event_writer;

typedef enum dv_event_row_kind {
    DV_ROW_OPEN,  /* name and an opening bracket or two */
    DV_ROW_CLOSE, /* the same brackets the other way round */
    DV_ROW_FIXED, /* name and a constant JSON value */
    DV_ROW_TAG,   /* the same, only behind other members of its object */
    DV_ROW_TEXT,  /* dv_slice, cut at `max` bytes */
    DV_ROW_INT,   /* int64_t */
    DV_ROW_FLAG,  /* bool */
    DV_ROW_JSON,  /* dv_slice that is JSON already */
    DV_ROW_CALL,  /* written by a function, for what is no plain field */
} dv_event_row_kind;

/* Room for a name; names are copied as blocks of DV_EVENT_NAME_COPY bytes, whatever their length.
 */
enum { DV_EVENT_NAME_COPY = 32, DV_EVENT_NAME_ROOM = DV_EVENT_NAME_COPY + 1 };

typedef struct dv_event_row {
    dv_event_row_kind kind;
    uint8_t name_len;              /* without the comma; 0: nothing is named */
    char name[DV_EVENT_NAME_ROOM]; /* ",\"uid\":" ready to be copied */
    const char *text;              /* brackets or fixed value */
    size_t text_len;
    size_t offset; /* of the field in the struct */
    size_t max;    /* bytes of a text */
    dv_sensitivity sensitivity;
    bool noted; /* core/event_spots.h */
    void (*call)(dv_event_writer *writer, const void *view);
} dv_event_row;

#define DV_ROW_NAME(n) .name = ",\"" n "\":", .name_len = sizeof("\"" n "\":") - 1
#define DV_ROW_LITERAL(t) .text = t, .text_len = sizeof(t) - 1

/* Appends the record to out, or leaves out as it was; fills the spots when they are not NULL.
 * *ret_cut: a text of the view is longer than its row's limit. */
dv_must dv_result dv_event_write(dv_buf *out, const dv_event_row *rows, size_t count,
                                 const void *view, dv_event_spots *spots, bool *ret_cut);

/* For rows of kind CALL. */
static inline void dv_event_put(dv_event_writer *writer, const char *text, size_t len)
{
    if ((size_t)(writer->end - writer->at) < len) {
        writer->full = true;
        return;
    }
    memcpy(writer->at, text, len);
    writer->at += len;
}

/* The comma before every member but the first. */
static inline void dv_event_put_name(dv_event_writer *writer, const char *name, size_t len)
{
    uint8_t last = writer->at[-1];
    if (last != '{' && last != '[') {
        dv_event_put(writer, ",", 1);
    }
    dv_event_put(writer, name, len);
}

/* Notes the member whose name begins at `member` and whose value, at `start`, was just written. */
static inline void dv_event_note(dv_event_writer *writer, uint8_t field, const uint8_t *member,
                                 const uint8_t *start)
{
    dv_event_spots *spots = writer->spots;
    if (spots != NULL && !writer->full) {
        writer->full = spots->count == DV_EVENT_SPOTS_MAX; /* a table that outgrew the spots */
        spots->spots[writer->full ? 0 : spots->count++] = (dv_event_spot){
            field, (uint32_t)(member - writer->begin), (uint32_t)(start - writer->begin),
            (uint32_t)(writer->at - writer->begin)};
    }
}

void dv_event_put_text(dv_event_writer *writer, dv_slice text, size_t max);
void dv_event_put_int(dv_event_writer *writer, int64_t value);

/* Whether one of them was masked or replaced. */
bool dv_event_rewrote(const dv_sighting *sightings, size_t count);
/* Without the query string, which no record holds. */
dv_slice dv_event_path(dv_slice path);
