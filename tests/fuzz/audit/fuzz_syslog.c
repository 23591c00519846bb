/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of syslog as a hostile sender cuts it: the first byte says how long each piece is. What
 * the framing takes adds up to what was given, and what comes out is read as a message. */
#include "room/audit/collect/frames.h"
#include "room/audit/collect/syslog.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool lies_within(dv_slice part, dv_slice whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void read_message(const dv_frame *frame, bool wire)
{
    dv_line line = {.text = frame->bytes,
                    .raw = frame->bytes,
                    .facility = -1,
                    .severity = -1,
                    .now = 1795363262 * DV_SECOND};
    (void)dv_syslog_read(frame->bytes, wire, &line);
    require(lies_within(line.text, frame->bytes) && lies_within(line.program, frame->bytes));
    require(lies_within(line.pid, frame->bytes) && lies_within(line.host, frame->bytes));
    require(lies_within(line.structured, frame->bytes));
    require(line.severity <= 7 && line.facility <= 23);
}

static uint64_t read_stream(dv_slice bytes, size_t piece, bool counts)
{
    uint64_t taken = 0;
    dv_frame frame;
    dv_frames frames = dv_frames_init(counts);
    while (bytes.len > 0 && !frames.broken) {
        dv_slice part = dv_slice_sub(bytes, 0, piece);
        bytes = dv_slice_sub(bytes, part.len, bytes.len);
        while (dv_frames_next(&frames, &part, &frame)) {
            taken += frame.taken;
            require(frame.size >= frame.bytes.len && frame.taken >= frame.size);
            read_message(&frame, counts);
        }
        require(part.len == 0 || frames.broken);
    }
    if (dv_frames_last(&frames, &frame)) {
        taken += frame.taken;
        read_message(&frame, counts);
    }
    dv_frames_release(&frames);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    dv_slice bytes = dv_slice_of(data + 1, size - 1);
    size_t piece = data[0] % 64 + 1;
    require(read_stream(bytes, piece, false) == bytes.len);
    require(read_stream(bytes, piece, true) <= bytes.len);
    return 0;
}
