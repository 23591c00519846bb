/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* LOG/checkpoint.cosigned: the newest checkpoint that the witnesses cosigned, for whoever must not
 * have to believe this machine. dvarad asks the witnesses, because dvara-logd never speaks with the
 * network, and hands over what they answered; nothing of that is believed here. */

#include "base/buf.h"

/* Who must cosign: RUNTIME/witness.policy (C2SP tlog-policy), written by dvarad. */
#define DV_WITNESS_POLICY_FILE "witness.policy"

/* Takes a checkpoint with cosignatures: one of the log's own, a prefix of what the log holds now,
 * not smaller than the one before, with the quorum that the policy asks for. vkeys: the log's, one
 * a line. For any thread. Errors: DV_ERR_NOT_FOUND (there is no policy), DV_ERR_INVALID,
 * DV_ERR_CORRUPT (a signature is wrong), DV_ERR_FORBIDDEN (the quorum is not reached),
 * DV_ERR_CONFLICT (not of this log as it is), DV_ERR_IO. */
dv_must dv_result dv_logd_cosignature_take(const char *log_folder, const char *runtime_dir,
                                           const char *vkeys, dv_slice note, dv_error *error);

/* At the start: a log that is shorter than what witnesses saw of it was taken back. Errors:
 * DV_ERR_CORRUPT. */
dv_must dv_result dv_logd_cosignature_check(const char *log_folder, dv_error *error);

/* How many of the log's events witnesses have cosigned; UINT64_MAX where no witnesses are
 * configured. */
dv_must dv_result dv_logd_cosignature_bound(const char *log_folder, const char *runtime_dir,
                                            uint64_t *ret_size, dv_error *error);
