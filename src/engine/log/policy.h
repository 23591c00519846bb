/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* C2SP tlog-policy: which logs' checkpoints are believed, and which witnesses must have cosigned
 * them. Text of lines:
 *   log <vkey> [<url>]
 *   witness <name> <vkey> [<url>]
 *   group <name> all|any|<k> <name>...
 *   quorum <name>|none                    (exactly one) */

#include "engine/log/cosignature.h"

enum {
    DV_POLICY_LOGS_MAX = 32,
    DV_POLICY_WITNESSES_MAX = 32,
    DV_POLICY_GROUPS_MAX = 32,
    DV_POLICY_MEMBERS_MAX = DV_POLICY_WITNESSES_MAX + DV_POLICY_GROUPS_MAX,
    DV_POLICY_TEXT_MAX = 64 << 10, /* bytes */
    DV_POLICY_URL_MAX = 512,
};

typedef struct dv_policy_log {
    dv_note_verifier key; /* its name is the log's origin */
    char url[DV_POLICY_URL_MAX + 1];
} dv_policy_log;

typedef struct dv_policy_witness {
    char name[DV_NOTE_NAME_MAX + 1]; /* in the policy only */
    dv_note_verifier key;
    char url[DV_POLICY_URL_MAX + 1];
} dv_policy_witness;

/* Members are numbers: witnesses from 0, groups from DV_POLICY_WITNESSES_MAX. */
typedef struct dv_policy_group {
    char name[DV_NOTE_NAME_MAX + 1];
    unsigned threshold;
    unsigned members[DV_POLICY_MEMBERS_MAX];
    size_t member_count;
} dv_policy_group;

enum { DV_POLICY_NONE = -1 };

typedef struct dv_policy {
    dv_policy_log logs[DV_POLICY_LOGS_MAX];
    size_t log_count;
    dv_policy_witness witnesses[DV_POLICY_WITNESSES_MAX];
    size_t witness_count;
    dv_policy_group groups[DV_POLICY_GROUPS_MAX];
    size_t group_count;
    int quorum; /* a member's number, or DV_POLICY_NONE: no cosignature is asked for */
} dv_policy;

/* Reads a policy; 130 KB, so ret_policy is on the heap. Errors: DV_ERR_INVALID, DV_ERR_TOO_LARGE
 * with the line. */
dv_must dv_result dv_policy_parse(dv_slice text, dv_policy *ret_policy, dv_error *error);

/* What a note's cosignatures amount to. Those of keys that the policy does not name are passed
 * over. */
typedef struct dv_policy_verdict {
    bool met;     /* the quorum is reached */
    size_t count; /* witnesses of the policy that cosigned */
    bool cosigned[DV_POLICY_WITNESSES_MAX];
    uint64_t times[DV_POLICY_WITNESSES_MAX]; /* POSIX seconds */
} dv_policy_verdict;

/* Checks the cosignatures alone. Errors: DV_ERR_INVALID (form), DV_ERR_CORRUPT (one of a known
 * witness does not verify). */
dv_must dv_result dv_policy_weigh(const dv_policy *policy, dv_slice note,
                                  dv_policy_verdict *ret_verdict);
/* The whole of it: signed by one of the policy's logs under whose name it stands, and cosigned as
 * the quorum asks. Errors: those, DV_ERR_NOT_FOUND (no log of the policy), DV_ERR_FORBIDDEN (the
 * quorum is not reached). The message says which. */
dv_must dv_result dv_policy_check(const dv_policy *policy, dv_slice note,
                                  dv_checkpoint *ret_checkpoint, dv_policy_verdict *ret_verdict,
                                  dv_error *error);
