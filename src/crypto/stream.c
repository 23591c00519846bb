/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/stream.h"

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#include <stdlib.h>

enum {
    SALT = 32,
    PREFIX = 7,
    COUNTER_AT = PREFIX,
    LAST_AT = DV_AEAD_NONCE_LEN - 1,
    TAG = DV_AEAD_TAG_LEN,
};
_Static_assert(1 + SALT + PREFIX == DV_STREAM_HEAD_LEN, "the header");

typedef struct stream {
    dv_aead *aead;
    uint8_t nonce[DV_AEAD_NONCE_LEN];
    uint64_t number;                   /* of the next segment */
    size_t held;                       /* bytes of `in` */
    uint8_t in[DV_STREAM_SEGMENT + 1]; /* one more than a segment shows that it is not the last */
    uint8_t out[DV_STREAM_SEGMENT];
} stream;

static void stream_free(stream *s)
{
    dv_aead_free(s->aead);
    dv_wipe(s, sizeof(*s));
    free(s);
}
DV_DEFINE_AUTO_PTR(stream, stream, stream_free)

/* OpenSSL's code for long messages is three times as fast as that for our short ones. */
static dv_result begin(stream *s, const uint8_t *key, const uint8_t *head, dv_slice associated)
{
    uint8_t derived[DV_AEAD_KEY_LEN];
    DV_TRY(dv_hkdf_info(dv_slice_of(key, DV_STREAM_KEY_LEN), dv_slice_of(head + 1, SALT),
                        associated, derived, sizeof(derived)));
    memcpy(s->nonce, head + 1 + SALT, PREFIX);
    dv_result result = dv_aead_new_portable(derived, &s->aead);
    dv_wipe(derived, sizeof(derived));
    return result;
}

static dv_result stream_new(dv_slice associated, stream **ret_stream, dv_error *error)
{
    if (associated.len > DV_STREAM_ASSOCIATED_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "associated data has at most %d bytes",
                            DV_STREAM_ASSOCIATED_MAX);
    }
    *ret_stream = calloc(1, sizeof(**ret_stream));
    return *ret_stream == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

/* Reads until so much is held, or the source ends. */
static dv_result fill(stream *s, const dv_stream_source *source, size_t wanted, dv_error *error)
{
    while (s->held < wanted) {
        size_t got = 0;
        DV_TRY(source->get(source->data, s->in + s->held, wanted - s->held, &got, error));
        if (got == 0) {
            return DV_OK;
        }
        s->held += got;
    }
    return DV_OK;
}

/* Forgets the segment at the front; of what follows it only one byte was read. */
static void drop(stream *s, size_t len)
{
    s->held -= len;
    memmove(s->in, s->in + len, s->held);
}

/* The nonce of the next segment. */
static dv_result number_segment(stream *s, bool last, dv_error *error)
{
    if (s->number > UINT32_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "a stream has at most 4 PiB");
    }
    for (size_t i = 0; i < sizeof(uint32_t); i++) {
        s->nonce[COUNTER_AT + i] = (uint8_t)(s->number >> (24 - 8 * i));
    }
    s->nonce[LAST_AT] = last ? 1 : 0;
    s->number++;
    return DV_OK;
}

static size_t sealed_room(const stream *s)
{
    return s->number == 0 ? (size_t)DV_STREAM_SEGMENT - DV_STREAM_HEAD_LEN
                          : (size_t)DV_STREAM_SEGMENT;
}

static dv_result seal_next(stream *s, const dv_stream_source *source, const dv_stream_sink *sink,
                           bool *ret_last, dv_error *error)
{
    size_t room = sealed_room(s) - TAG;
    DV_TRY(fill(s, source, room + 1, error));
    bool last = s->held <= room;
    size_t len = DV_MIN(s->held, room);
    DV_TRY(number_segment(s, last, error));
    DV_TRY(dv_aead_seal(s->aead, s->nonce, (dv_slice){NULL, 0}, dv_slice_of(s->in, len), s->out));
    drop(s, len);
    *ret_last = last;
    return sink->put(sink->data, dv_slice_of(s->out, len + TAG), error);
}

dv_result dv_stream_seal(const uint8_t key[DV_STREAM_KEY_LEN], dv_slice associated,
                         const dv_stream_source *source, const dv_stream_sink *sink,
                         dv_error *error)
{
    uint8_t head[DV_STREAM_HEAD_LEN] = {DV_STREAM_HEAD_LEN};
    dv_auto(stream) stream *s = NULL;
    bool last = false;
    DV_TRY(stream_new(associated, &s, error));
    dv_random(head + 1, SALT + PREFIX);
    DV_TRY(begin(s, key, head, associated));
    DV_TRY(sink->put(sink->data, dv_slice_of(head, sizeof(head)), error));
    while (!last) {
        DV_TRY(seal_next(s, source, sink, &last, error));
    }
    return DV_OK;
}

static dv_result open_next(stream *s, const dv_stream_source *source, const dv_stream_sink *sink,
                           bool *ret_last, dv_error *error)
{
    unsigned long long from =
        s->number * (uint64_t)(DV_STREAM_SEGMENT - TAG) - (s->number > 0 ? DV_STREAM_HEAD_LEN : 0);
    size_t room = sealed_room(s);
    DV_TRY(fill(s, source, room + 1, error));
    bool last = s->held <= room;
    size_t len = DV_MIN(s->held, room);
    DV_TRY(number_segment(s, last, error));
    dv_result result = len < TAG ? DV_ERR_CORRUPT
                                 : dv_aead_open(s->aead, s->nonce, (dv_slice){NULL, 0},
                                                dv_slice_of(s->in, len), s->out);
    if (result != DV_OK) {
        return dv_error_set(error, result,
                            "it was changed or cut short in the 1 MiB from byte %llu of its "
                            "contents on",
                            from);
    }
    drop(s, len);
    *ret_last = last;
    return len == TAG ? DV_OK : sink->put(sink->data, dv_slice_of(s->out, len - TAG), error);
}

dv_result dv_stream_open(const uint8_t key[DV_STREAM_KEY_LEN], dv_slice associated,
                         const dv_stream_source *source, const dv_stream_sink *sink,
                         dv_error *error)
{
    dv_auto(stream) stream *s = NULL;
    bool last = false;
    DV_TRY(stream_new(associated, &s, error));
    DV_TRY(fill(s, source, DV_STREAM_HEAD_LEN, error));
    if (s->held < DV_STREAM_HEAD_LEN || s->in[0] != DV_STREAM_HEAD_LEN) {
        return dv_error_set(error, DV_ERR_CORRUPT, "its contents have no beginning");
    }
    DV_TRY(begin(s, key, s->in, associated));
    drop(s, DV_STREAM_HEAD_LEN);
    while (!last) {
        DV_TRY(open_next(s, source, sink, &last, error));
    }
    return DV_OK;
}
