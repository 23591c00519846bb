/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Events in the spool of folders.h, and a sequencer's life over them. */

#include "engine/log/entry.h"
#include "engine/log/sequencer.h"
#include "engine/log/spool.h"
#include "folders.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static dv_slice event_text(unsigned number, char out[256])
{
    int len = snprintf(out, 256,
                       "{\"metadata\":{\"version\":\"1.8.0\",\"event_code\":\"request.open\","
                       "\"correlation_uid\":\"request-%u\"},"
                       "\"time\":%u,\"class_uid\":6003}",
                       number, 1000 + number);
    return dv_slice_of(out, (size_t)len);
}

/* A finished segment with the events [from, from + count). */
static void write_segment(const char *source, unsigned from, unsigned count)
{
    dv_spool *spool = NULL;
    char text[256];
    assert_int_equal(dv_spool_open(spool_folder, source, keys.public_key, 64 << 20, &spool, NULL),
                     DV_OK);
    for (unsigned i = from; i < from + count; i++) {
        assert_int_equal(dv_spool_append(spool, event_text(i, text), false), DV_OK);
    }
    dv_spool_close(spool);
}

static dv_sequencer_options options_with(size_t batch)
{
    return (dv_sequencer_options){
        .log_folder = log_folder,
        .spools = {spool_folder, NULL},
        .keys = &keys,
        .signer = &signer,
        .batch_bytes = batch,
    };
}

/* Everything that is in the spools into the log. */
static dv_result drain(dv_sequencer *sequencer, dv_error *error)
{
    size_t taken;
    do {
        DV_TRY(dv_sequencer_collect(sequencer, &taken, error));
        DV_TRY(dv_sequencer_commit(sequencer, error));
    } while (taken > 0);
    return DV_OK;
}

static dv_result run_once(size_t batch, dv_error *error)
{
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    dv_sequencer_options options = options_with(batch);
    DV_TRY(dv_sequencer_open(&options, &sequencer, error));
    return drain(sequencer, error);
}

typedef struct tally {
    unsigned seen[70000];
    unsigned others; /* alarms and the like */
} tally;

static dv_result count_entry(void *data, uint64_t index, dv_slice entry)
{
    tally *counted = data;
    dv_slice id = dv_entry_request_id(entry);
    unsigned number;
    char text[64];
    snprintf(text, sizeof(text), "%.*s", DV_SLICE_ARGS(id));
    if (sscanf(text, "request-%u", &number) == 1 && number < DV_ARRAY_LEN(counted->seen)) {
        counted->seen[number]++;
    } else {
        counted->others++;
    }
    return DV_OK;
}

static dv_result collect_index(void *data, uint64_t index, dv_slice entry)
{
    uint64_t *last = data;
    *last = index;
    return DV_OK;
}
