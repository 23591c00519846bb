/* SPDX-License-Identifier: Apache-2.0 */
/* What is read from a log's folder: notes, verifier keys, checkpoints, bundles, the state file,
 * entries. The first byte says which. */
#include "engine/log/entry.h"
#include "engine/log/note.h"
#include "engine/log/state.h"
#include "engine/log/tiles.h"

/* The example of C2SP signed-note: seeds with its note verify. */
static const char example_key[] =
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void read_note(dv_slice input)
{
    dv_note_verifier verifier;
    dv_slice text;
    require(dv_note_verifier_parse(dv_slice_str(example_key), &verifier) == DV_OK);
    if (dv_note_verify(input, &verifier, &text) == DV_OK) {
        require(text.len > 0 && text.len < input.len && text.ptr == input.ptr);
    }
}

/* What is accepted is written the same way. */
static void read_key(dv_slice input)
{
    dv_note_verifier verifier;
    dv_auto(buf) dv_buf again = dv_buf_init(DV_NOTE_MAX);
    if (dv_note_verifier_parse(input, &verifier) == DV_OK) {
        require(dv_note_verifier_format(&verifier, &again) == DV_OK);
        require(dv_slice_eq_nocase(dv_buf_slice(&again), input));
    }
}

static void read_checkpoint(dv_slice input)
{
    dv_checkpoint checkpoint;
    dv_auto(buf) dv_buf again = dv_buf_init(DV_NOTE_MAX);
    if (dv_checkpoint_parse(input, &checkpoint) == DV_OK) {
        require(dv_checkpoint_format(&checkpoint, &again) == DV_OK);
        require(dv_slice_starts_with(dv_buf_slice(&again), input));
    }
}

static void read_bundle(dv_slice input)
{
    dv_slice rest = input, entry;
    size_t seen = 0;
    dv_result result;
    while ((result = dv_bundle_next(&rest, &entry)) == DV_OK) {
        seen += 2 + entry.len;
    }
    require(result == DV_ERR_CORRUPT || (result == DV_ERR_NOT_FOUND && seen == input.len));
}

static void read_state(dv_slice input)
{
    static dv_log_state state;
    dv_auto(buf) dv_buf again = dv_buf_init(1 << 20);
    dv_error error = {0};
    if (dv_log_state_parse(input, &state, &error) == DV_OK) {
        require(dv_log_state_format(&state, &again) == DV_OK);
    } else {
        require(error.message[0] != '\0');
    }
}

static void read_entry(dv_slice input)
{
    dv_entry_origin origin;
    dv_error error = {0};
    dv_arena *arena = dv_arena_new(8 << 20);
    require(arena != NULL);
    dv_slice id = dv_entry_request_id(input);
    require(id.len <= input.len);
    require(dv_entry_time(input) >= 0);
    (void)!dv_entry_check(input, arena, &origin, &error);
    dv_arena_free(arena);
}

/* Whatever a writer leaves, the stamped entry is JSON that says where it came from. */
static void stamp_record(dv_slice input)
{
    dv_entry_origin origin;
    dv_error error = {0};
    dv_entry_stamp stamp = {"fuzz", {{0}}, 7, 0};
    dv_auto(buf) dv_buf entry = dv_buf_init(UINT16_MAX);
    dv_arena *arena = dv_arena_new(8 << 20);
    require(arena != NULL);
    if (dv_entry_stamp_record(&stamp, input, &entry) == DV_OK &&
        dv_entry_check(dv_buf_slice(&entry), arena, &origin, &error) == DV_OK) {
        require(origin.sequence == 7);
    }
    dv_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(dv_slice input) = {
        read_note, read_key, read_checkpoint, read_bundle, read_state, read_entry, stamp_record,
    };
    if (size > 0) {
        readers[data[0] % DV_ARRAY_LEN(readers)](dv_slice_of(data + 1, size - 1));
    }
    return 0;
}
