/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/collect/frames.h"

#include "base/caps.h"

enum { COUNT_DIGITS_MAX = 8 };

dv_frames dv_frames_init(bool counts)
{
    return (dv_frames){.kept = dv_buf_init(DV_LIMIT_COLLECT_LINE), .counts = counts};
}

void dv_frames_release(dv_frames *frames)
{
    dv_buf_release(&frames->kept);
    dv_sha256_stream_free(frames->hash);
    frames->hash = NULL;
}

void dv_frames_reset(dv_frames *frames)
{
    dv_buf_clear(&frames->kept);
    dv_buf_trim(&frames->kept, 64 << 10);
    dv_sha256_stream_free(frames->hash);
    frames->hash = NULL;
    frames->size = 0;
    frames->taken = 0;
    frames->left = 0;
    frames->counting = false;
}

/* The message grows; what does not fit is hashed and let go. */
static void grow(dv_frames *frames, dv_slice piece)
{
    size_t room = DV_LIMIT_COLLECT_LINE - frames->kept.len;
    size_t kept = DV_MIN(room, piece.len);
    bool fits =
        kept == piece.len && dv_buf_append(&frames->kept, dv_slice_sub(piece, 0, kept)) == DV_OK;
    frames->size += piece.len;
    if (fits && frames->hash == NULL) {
        return;
    }
    if (frames->hash == NULL) {
        if (dv_sha256_stream_new(&frames->hash) != DV_OK) {
            return; /* the hash of nothing is told, and the size */
        }
        dv_sha256_stream_add(frames->hash, dv_buf_slice(&frames->kept));
        if (kept < piece.len &&
            dv_buf_append(&frames->kept, dv_slice_sub(piece, 0, kept)) != DV_OK) {
            kept = 0;
        }
    }
    dv_sha256_stream_add(frames->hash, piece);
}

static void finish(dv_frames *frames, dv_frame *ret_frame)
{
    *ret_frame = (dv_frame){
        .bytes = dv_buf_slice(&frames->kept), .size = frames->size, .taken = frames->taken};
    if (frames->hash != NULL) {
        dv_sha256_stream_end(frames->hash, ret_frame->hash);
    }
    dv_sha256_stream_free(frames->hash);
    frames->hash = NULL;
    frames->kept.len = 0; /* its bytes stay until the next call */
    frames->size = 0;
    frames->taken = 0;
    frames->counting = false;
}

static dv_slice skip(dv_slice input, size_t len)
{
    return dv_slice_sub(input, len, input.len - len);
}

static bool next_line(dv_frames *frames, dv_slice *input, dv_frame *ret_frame)
{
    ptrdiff_t end = dv_slice_find_byte(*input, '\n');
    size_t len = end < 0 ? input->len : (size_t)end;
    if (end >= 0 && frames->taken == 0 && len <= DV_LIMIT_COLLECT_LINE) {
        *ret_frame =
            (dv_frame){.bytes = dv_slice_sub(*input, 0, len), .size = len, .taken = len + 1};
        *input = skip(*input, len + 1);
        return true;
    }
    grow(frames, dv_slice_sub(*input, 0, len));
    frames->taken += len + (end >= 0);
    *input = skip(*input, len + (end >= 0));
    if (end >= 0) {
        finish(frames, ret_frame);
    }
    return end >= 0;
}

/* "123 ": the digits may come in pieces, and wait in `kept`. */
static bool read_count(dv_frames *frames, dv_slice *input)
{
    while (input->len > 0) {
        uint8_t byte = input->ptr[0];
        *input = skip(*input, 1);
        frames->taken++;
        if (byte == ' ' && frames->left > 0) {
            frames->counting = true;
            return true;
        }
        if (byte < '0' || byte > '9' || frames->taken > COUNT_DIGITS_MAX) {
            frames->broken = true;
            return false;
        }
        frames->left = frames->left * 10 + (uint64_t)(byte - '0');
    }
    return false;
}

static bool next_counted(dv_frames *frames, dv_slice *input, dv_frame *ret_frame)
{
    if (!frames->counting && !read_count(frames, input)) {
        return false;
    }
    size_t len = (size_t)DV_MIN((uint64_t)input->len, frames->left);
    if (len == frames->left && frames->size == 0 && len <= DV_LIMIT_COLLECT_LINE) {
        *ret_frame = (dv_frame){
            .bytes = dv_slice_sub(*input, 0, len), .size = len, .taken = frames->taken + len};
        *input = skip(*input, len);
        dv_frames_reset(frames);
        return true;
    }
    grow(frames, dv_slice_sub(*input, 0, len));
    frames->taken += len;
    frames->left -= len;
    *input = skip(*input, len);
    if (frames->left == 0) {
        finish(frames, ret_frame);
    }
    return frames->left == 0 && !frames->counting;
}

bool dv_frames_next(dv_frames *frames, dv_slice *input, dv_frame *ret_frame)
{
    if (frames->broken || input->len == 0) {
        return false;
    }
    bool begun = frames->taken > 0;
    bool counted = frames->counting || frames->left > 0 ||
                   (frames->counts && !begun && input->ptr[0] >= '1' && input->ptr[0] <= '9');
    return counted ? next_counted(frames, input, ret_frame) : next_line(frames, input, ret_frame);
}

bool dv_frames_last(dv_frames *frames, dv_frame *ret_frame)
{
    if (frames->size == 0 || frames->broken) {
        return false;
    }
    finish(frames, ret_frame);
    frames->left = 0;
    return true;
}
