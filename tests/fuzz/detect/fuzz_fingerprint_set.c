/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hash.h"
#include "engine/detect/fingerprint/fingerprint.h"

/* Any bytes as a set of fingerprints, with their hash set right: what opens can be asked about a
 * text, in pieces. */

enum { MOST = 1 << 16 };

static const char text[] =
    "Dear Anna Kowalska of 12 Main Street 5b, pay DE44 5001 0517 5407 3249 31, or 4111-1111 1111 "
    "1111. The words are luzu faro mina telo. Which data is meant is said by a rule of its own, "
    "and "
    "of several rules the strictest counts; nobody is told more than that, whoever he may be.";

static dv_result on_hit(void *data, const dv_fingerprint_hit *hit)
{
    const dv_fingerprint_set *set = data;
    if (hit->start > hit->end || hit->end > sizeof(text)) {
        abort();
    }
    (void)dv_fingerprint_set_document(set, hit->document);
    (void)dv_fingerprint_set_column(set, hit->columns);
    return DV_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(16) uint8_t file[MOST];
    dv_auto(fingerprint_set) dv_fingerprint_set *set = NULL;
    dv_auto(fingerprint_matcher) dv_fingerprint_matcher *matcher = NULL;
    if (size > MOST || size < DV_SHA256_LEN) {
        return 0;
    }
    memcpy(file, data, size);
    dv_sha256(dv_slice_of(file, size - DV_SHA256_LEN), (dv_slice){NULL, 0}, (dv_slice){NULL, 0},
              file + size - DV_SHA256_LEN);
    if (dv_fingerprint_set_of(dv_slice_of(file, size), &set, NULL) != DV_OK ||
        dv_fingerprint_matcher_new(&matcher) != DV_OK) {
        return 0;
    }
    dv_auto(free) dv_fingerprint_state *state = malloc(dv_fingerprint_state_size(1));
    if (state == NULL) {
        return 0;
    }
    dv_fingerprint_state_init(state, 1);
    dv_fingerprint_job job = {.sets = (const dv_fingerprint_set *const *)&set,
                              .set_count = 1,
                              .enabled = 1,
                              .holds = 1,
                              .told = on_hit,
                              .data = set};
    dv_fingerprint_hit seen[DV_FINGERPRINT_DOCUMENTS_SEEN];
    for (size_t at = 0; at < sizeof(text) - 1; at += 100) {
        size_t hold = 0;
        job.more = at + 100 < sizeof(text) - 1;
        if (dv_fingerprint_find(matcher, &job, state,
                                dv_slice_sub(dv_slice_of(text, sizeof(text) - 1), at, 100),
                                &hold) != DV_OK) {
            abort();
        }
    }
    (void)dv_fingerprint_documents(&job, state, 0, seen);
    return 0;
}
