/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_copy.h"

#include "engine/log/search.h"

typedef struct copying {
    dv_buf *out;
    uint64_t most, next;
} copying;

static dv_result add_entry(void *data, uint64_t index, dv_slice entry)
{
    copying *c = data;
    const uint8_t length[2] = {(uint8_t)(entry.len >> 8), (uint8_t)entry.len};
    if (c->out->len > 0 && c->out->len + sizeof(length) + entry.len > c->most) {
        return DV_ERR_AGAIN; /* enough for one answer */
    }
    DV_TRY(dv_buf_append(c->out, dv_slice_of(length, sizeof(length))));
    DV_TRY(dv_buf_append(c->out, entry));
    c->next = index + 1;
    return DV_OK;
}

dv_result dv_logd_copy(const char *folder, uint64_t from, uint64_t to, uint64_t most, dv_buf *out,
                       uint64_t *ret_next, dv_error *error)
{
    copying c = {out, most, from};
    if (from < to) {
        dv_result result = dv_log_read(folder, to, from, to - from, add_entry, &c, error);
        if (result != DV_OK && result != DV_ERR_AGAIN) {
            return result;
        }
    }
    *ret_next = c.next;
    return DV_OK;
}
