/* SPDX-License-Identifier: Apache-2.0 */
/* What other nodes answer to whoever keeps copies of their logs, down to single entries. */
#include "room/audit/control/nodes_pull.h"

#include "engine/log/tiles.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_piece(const dv_node_piece *read)
{
    dv_slice entry, rest = read->piece.entries;
    dv_checkpoint checkpoint;
    dv_note parts;
    size_t len = 0;
    require(read->piece.note.len <= DV_NOTE_MAX && rest.len <= DV_REPLICA_ENTRIES_MAX);
    require(read->piece.proof_len <= DV_REPLICA_PROOF_MAX &&
            read->piece.seen_len <= DV_REPLICA_PROOF_MAX);
    while (dv_bundle_next(&rest, &entry) == DV_OK) {
        len += entry.len + 2;
    }
    require(len + rest.len == read->piece.entries.len);
    if (dv_note_split(read->piece.note, &parts) == DV_OK &&
        dv_checkpoint_parse(parts.text, &checkpoint) == DV_OK) {
        require(checkpoint.size <= INT64_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_node_piece *read = malloc(sizeof(*read));
    require(read != NULL);
    if (dv_node_piece_read(dv_slice_of(data, size), read) == DV_OK) {
        check_piece(read);
    }
    dv_node_piece_release(read);
    free(read);
    return 0;
}
