/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The stand's log with its signing key replaced, as dvara-logd does it. */

#include "base/caps.h"
#include "core/event.h"
#include "engine/log/rotation.h"
#include "stand.h"

static void drain(dv_sequencer *sequencer)
{
    size_t taken;
    do {
        assert_int_equal(dv_sequencer_collect(sequencer, &taken, NULL), DV_OK);
        assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
    } while (taken > 0);
}

static void make_signer(dv_tree_signer *out)
{
    uint8_t public_key[32];
    *out = (dv_tree_signer){.overlaps = false};
    dv_random(out->seed, sizeof(out->seed));
    assert_int_equal(dv_ed25519_public(out->seed, public_key), DV_OK);
    assert_int_equal(dv_note_verifier_init("dvara.test/log", public_key, &out->verifier), DV_OK);
}

/* As daemon/logd_rotate.c does it: the new key is named under the old one's signature, then both
 * sign; `retired`: the old one does no more. */
static void rotate(dv_sequencer *sequencer, bool retired)
{
    dv_tree_signer next;
    dv_sequencer_status status;
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_auto(buf) dv_buf vkey = dv_buf_init(1024);
    dv_event_actor actor = {.time = dv_time_now(), .entity = DV_LIT("System::\"dvara-logd\"")};
    const dv_note_verifier old = stand.signer.verifier;
    make_signer(&next);
    assert_int_equal(dv_note_verifier_format(&next.verifier, &vkey), DV_OK);
    assert_int_equal(
        dv_event_key_rotated(&event, &actor, false, dv_buf_slice(&vkey), DV_LIT("a new key")),
        DV_OK);
    dv_sequencer_status_get(sequencer, &status);
    assert_int_equal(dv_sequencer_note(sequencer, dv_buf_slice(&event)), DV_OK);
    assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
    assert_int_equal(dv_rotation_leave(stand.log, &old, status.size, NULL), DV_OK);
    next.overlaps = !retired;
    next.old_verifier = old;
    memcpy(next.old_seed, stand.signer.seed, sizeof(next.old_seed));
    stand.signer = next;
    assert_int_equal(dv_sequencer_republish(sequencer, NULL), DV_OK);
}

/* The main log's; those of the others are the sequencer's. */
static void leave_vkey(void)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(1024);
    assert_int_equal(dv_note_verifier_format(&stand.signer.verifier, &text), DV_OK);
    assert_int_equal(dv_buf_append_str(&text, "\n"), DV_OK);
    if (stand.signer.overlaps) {
        assert_int_equal(dv_note_verifier_format(&stand.signer.old_verifier, &text), DV_OK);
        assert_int_equal(dv_buf_append_str(&text, "\n"), DV_OK);
    }
    snprintf(path, sizeof(path), "%s/vkey", stand.log);
    assert_int_equal(dv_file_write_atomic(path, dv_buf_slice(&text), 0644, NULL), DV_OK);
}
