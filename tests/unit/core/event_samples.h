/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One event of every builder and of every shape, made of words that the test gives. */

#include "base/buf.h"
#include "core/event.h"

typedef struct sample_words {
    dv_slice text; /* stands in every field of free text */
    dv_time time;
    int64_t number; /* tokens, rows, bytes */
} sample_words;

typedef void (*sample_take)(void *data, const char *what, dv_slice event);

/* A builder that fails ends the program. */
void samples_requests(const sample_words *words, sample_take take, void *data);
void samples_control(const sample_words *words, const dv_event_actor *actor, sample_take take,
                     void *data);
void samples_findings(const sample_words *words, const dv_event_actor *actor, sample_take take,
                      void *data);
/* All of them, by three actors: one who succeeds, one who fails, and nobody. */
void samples_all(const sample_words *words, sample_take take, void *data);
