/* SPDX-License-Identifier: Apache-2.0 */
/* What witnesses and those who ask them read of others: notes with cosignatures, proof files,
 * policies, requests and lists of logs. The first byte says which. */
#include "engine/log/proof.h"
#include "engine/log/rotation.h"
#include "engine/log/witness.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* A fixed key: seeds are signed with it. */
static dv_note_verifier cosigner(void)
{
    static const char vkey[] =
        "witness.example/w1+575e0e6e+BJ3bwZdNwgqujpJJiQs5e0Wsj0xmxJekKgKY7DmA0RFX";
    dv_note_verifier key;
    require(dv_cosigner_parse(dv_slice_str(vkey), &key) == DV_OK);
    return key;
}

/* Lines and text give the note again. */
static void read_note(dv_slice input)
{
    dv_note parts;
    uint64_t time;
    size_t len = 0;
    dv_checkpoint checkpoint;
    dv_note_verifier key = cosigner();
    dv_auto(note_signature) dv_note_signature line = {.key_id = 0};
    if (dv_cosignature_verify(input, &key, &time) == DV_OK) {
        require(time > 0 && time <= INT64_MAX);
    }
    if (dv_note_split(input, &parts) != DV_OK) {
        return;
    }
    if (dv_checkpoint_parse_any(parts.text, &checkpoint) == DV_OK) {
        require(checkpoint.origin[0] != '\0' && checkpoint.size <= INT64_MAX);
    }
    while (dv_note_next(&parts.signatures, &line) == DV_OK) {
        len += line.line.len + 1;
    }
    require(parts.text.len + 1 + len == input.len);
}

/* What is accepted is written the same way. */
static void read_proof(dv_slice input)
{
    dv_tlog_proof proof;
    dv_error error = {0};
    dv_auto(buf) dv_buf again = dv_buf_init(2 * DV_TLOG_PROOF_MAX);
    if (dv_tlog_proof_parse(input, &proof, &error) == DV_OK) {
        require(dv_tlog_proof_format(&proof, &again) == DV_OK);
        require(dv_slice_eq(dv_buf_slice(&again), input));
    } else {
        require(error.message[0] != '\0');
    }
}

static void read_policy(dv_slice input)
{
    dv_error error = {0};
    dv_policy *policy = malloc(sizeof(*policy));
    require(policy != NULL);
    if (dv_policy_parse(input, policy, &error) == DV_OK) {
        require(policy->log_count <= DV_POLICY_LOGS_MAX && policy->quorum < DV_POLICY_MEMBERS_MAX);
        for (size_t i = 0; i < policy->group_count; i++) {
            const dv_policy_group *group = &policy->groups[i];
            require(group->threshold >= 1 && group->threshold <= group->member_count);
        }
    } else {
        require(error.message[0] != '\0');
    }
    free(policy);
}

static void read_request(dv_slice input)
{
    dv_witness_request request;
    dv_auto(buf) dv_buf again = dv_buf_init(2 * DV_WITNESS_REQUEST_MAX);
    if (dv_witness_request_parse(input, &request) == DV_OK) {
        require(dv_witness_request_format(&request, &again) == DV_OK);
        require(dv_slice_eq(dv_buf_slice(&again), input));
    }
}

static void read_list(dv_slice input)
{
    dv_error error = {0};
    dv_auto(witness_logs) dv_witness_logs logs = {NULL, 0};
    if (dv_witness_logs_parse(input, &logs, &error) == DV_OK) {
        for (size_t i = 0; i < logs.count; i++) {
            require(logs.logs[i].origin[0] != '\0' && logs.logs[i].key_count > 0);
        }
    } else {
        require(error.message[0] != '\0');
    }
}

static void read_rotation(dv_slice input)
{
    dv_note_verifier key;
    if (dv_rotation_read(input, &key) == DV_OK) {
        require(key.name[0] != '\0' && key.type == DV_SIGNATURE_ED25519);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(dv_slice input) = {
        read_note, read_proof, read_policy, read_request, read_list, read_rotation,
    };
    if (size > 0) {
        readers[data[0] % DV_ARRAY_LEN(readers)](dv_slice_of(data + 1, size - 1));
    }
    return 0;
}
