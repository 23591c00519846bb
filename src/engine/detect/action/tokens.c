/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens back to what they stand for, in text and in cells. */
#include "engine/detect/action/batch.h"
#include "engine/detect/action/sealed.h"
#include "engine/detect/action/vault.h"

enum { TOKEN_MAX = DV_MAX((int)DV_VAULT_TOKEN_LEN, (int)DV_SEALED_TOKEN_MAX) };

typedef struct opening {
    const dv_transform_setup *setup;
    const dv_transform_sink *sink;
    dv_buf made;
    dv_transform_counts counts;
} opening;

static dv_result put(const opening *o, dv_slice bytes)
{
    return bytes.len == 0 ? DV_OK : o->sink->put(o->sink->data, bytes);
}

/* Opens a token. False: it is none of the vault's, or of the key. */
static dv_result open_one(opening *o, dv_slice token, bool *ret_known)
{
    static const dv_action open = {.kind = DV_ACT_TOKEN, .reverse = true};
    const dv_action_value value = {.text = token};
    dv_buf_clear(&o->made);
    dv_result result = dv_action_apply(o->setup->tools, &open, &value, &o->made);
    *ret_known = result == DV_OK;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* Tells one piece until where a token could still begin at its end: *ret_done. */
static dv_result open_piece(opening *o, dv_slice text, bool last, size_t *ret_done)
{
    size_t done = 0;
    for (size_t at = 0; at < text.len;) {
        ptrdiff_t next = dv_slice_find(dv_slice_sub(text, at, SIZE_MAX), DV_LIT("dv"));
        at = next < 0 ? text.len : at + (size_t)next;
        if (!last && text.len - at < TOKEN_MAX) {
            break;
        }
        size_t len = dv_vault_is_token(text, at) ? DV_VAULT_TOKEN_LEN : dv_sealed_length(text, at);
        if (len == 0) {
            at += 2;
            continue;
        }
        bool known;
        DV_TRY(open_one(o, dv_slice_sub(text, at, len), &known));
        if (known) {
            DV_TRY(put(o, dv_slice_sub(text, done, at - done)));
            DV_TRY(put(o, dv_buf_slice(&o->made)));
            done = at + len;
        }
        *(known ? &o->counts.values : &o->counts.left) += 1;
        at += len;
    }
    size_t until = text.len - DV_MIN(text.len, last ? 0 : (size_t)TOKEN_MAX - 1);
    if (until > done) {
        DV_TRY(put(o, dv_slice_sub(text, done, until - done)));
        done = until;
    }
    *ret_done = done;
    return DV_OK;
}

static dv_result append(void *data, dv_slice bytes)
{
    return dv_buf_append(data, bytes);
}

dv_result dv_batch_open_tokens(const dv_transform_setup *setup, dv_slice text, dv_buf *out,
                               dv_transform_counts *counts)
{
    const dv_transform_sink sink = {append, out};
    opening o = {.setup = setup, .sink = &sink, .made = dv_buf_init(DV_VAULT_VALUE_MAX + 64)};
    size_t done;
    dv_result result = open_piece(&o, text, true, &done);
    dv_buf_wipe(&o.made);
    counts->values += o.counts.values;
    counts->left += o.counts.left;
    return result;
}

dv_result dv_transform_tokens(const dv_transform_setup *setup, const dv_walk_source *source,
                              const dv_transform_sink *sink, dv_transform_counts *ret_counts,
                              dv_error *error)
{
    enum { WINDOW = 128 << 10 };
    dv_auto(secret_buf) dv_buf window = dv_buf_init(WINDOW);
    opening o = {.setup = setup, .sink = sink, .made = dv_buf_init(DV_VAULT_VALUE_MAX + 64)};
    dv_result result = dv_buf_reserve(&window, WINDOW);
    for (bool last = false; result == DV_OK && !last;) {
        size_t len = 0, done = 0;
        result = source->get(source->data, window.ptr + window.len, WINDOW - window.len, &len);
        window.len += len;
        last = len == 0;
        if (result == DV_OK) {
            result = open_piece(&o, dv_buf_slice(&window), last, &done);
            memmove(window.ptr, window.ptr + done, window.len - done);
            window.len -= done;
        }
    }
    dv_buf_wipe(&o.made);
    *ret_counts = o.counts;
    return dv_batch_explain(result, 0, error);
}
