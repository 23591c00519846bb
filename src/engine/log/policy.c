/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/policy.h"

#include <inttypes.h>

enum { FIRST_GROUP = DV_POLICY_WITNESSES_MAX, LINE_WORDS_MAX = DV_POLICY_MEMBERS_MAX + 3 };

typedef struct reader {
    dv_policy *policy;
    int line;
    bool has_quorum;
    bool is_member[DV_POLICY_MEMBERS_MAX]; /* already of some group: at most once */
    dv_error *error;
} reader;

static dv_result refuse(const reader *in, const char *what)
{
    return dv_error_set_at(in->error, DV_ERR_INVALID, in->line, 0, "policy, line %d: %s", in->line,
                           what);
}

static dv_result too_many(const reader *in, const char *what, int most)
{
    return dv_error_set_at(in->error, DV_ERR_TOO_LARGE, in->line, 0,
                           "policy, line %d: more than %d %s", in->line, most, what);
}

/* -- words ------------------------------------------------------------------------------------- */

/* "The only allowed control characters are tab and newline". */
static bool good_bytes(dv_slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        if ((line.ptr[i] < ' ' && line.ptr[i] != '\t') || line.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static bool next_word(dv_slice *rest, dv_slice *ret_word)
{
    size_t from = 0;
    while (from < rest->len && is_blank(rest->ptr[from])) {
        from++;
    }
    size_t end = from;
    while (end < rest->len && !is_blank(rest->ptr[end])) {
        end++;
    }
    *ret_word = dv_slice_sub(*rest, from, end - from);
    *rest = dv_slice_sub(*rest, end, rest->len);
    return ret_word->len > 0;
}

static bool copy_word(dv_slice word, char *out, size_t size)
{
    if (word.len >= size) {
        return false;
    }
    dv_slice_copy(word, out, size);
    return true;
}

/* -- names ------------------------------------------------------------------------------------- */

/* The member of that name, or -1. */
static int find_name(const dv_policy *policy, dv_slice name)
{
    for (size_t i = 0; i < policy->witness_count; i++) {
        if (dv_slice_eq_str(name, policy->witnesses[i].name)) {
            return (int)i;
        }
    }
    for (size_t i = 0; i < policy->group_count; i++) {
        if (dv_slice_eq_str(name, policy->groups[i].name)) {
            return (int)(FIRST_GROUP + i);
        }
    }
    return DV_POLICY_NONE;
}

static dv_result new_name(const reader *in, dv_slice word, char out[DV_NOTE_NAME_MAX + 1])
{
    if (dv_slice_eq_str(word, "none") || find_name(in->policy, word) >= 0) {
        return refuse(in, "that name is taken");
    }
    return copy_word(word, out, DV_NOTE_NAME_MAX + 1) ? DV_OK : refuse(in, "the name is too long");
}

/* -- lines ------------------------------------------------------------------------------------- */

/* [<url>], and nothing behind it. */
static dv_result read_url(const reader *in, dv_slice rest, char out[DV_POLICY_URL_MAX + 1])
{
    dv_slice word;
    if (next_word(&rest, &word) && !copy_word(word, out, DV_POLICY_URL_MAX + 1)) {
        return refuse(in, "the URL is too long");
    }
    return next_word(&rest, &word) ? refuse(in, "there are words too many") : DV_OK;
}

static dv_result read_log(reader *in, dv_slice rest)
{
    dv_slice vkey;
    dv_policy *policy = in->policy;
    if (policy->log_count == DV_POLICY_LOGS_MAX) {
        return too_many(in, "logs", DV_POLICY_LOGS_MAX);
    }
    dv_policy_log *log = &policy->logs[policy->log_count];
    *log = (dv_policy_log){.url = ""};
    if (!next_word(&rest, &vkey) || dv_note_verifier_parse(vkey, &log->key) != DV_OK) {
        return refuse(in, "'log' wants an Ed25519 verifier key");
    }
    for (size_t i = 0; i < policy->log_count; i++) {
        if (memcmp(policy->logs[i].key.public_key, log->key.public_key, 32) == 0) {
            return refuse(in, "that log's key is there already");
        }
    }
    DV_TRY(read_url(in, rest, log->url));
    policy->log_count++;
    return DV_OK;
}

static dv_result read_witness(reader *in, dv_slice rest)
{
    dv_slice name, vkey;
    dv_policy *policy = in->policy;
    if (policy->witness_count == DV_POLICY_WITNESSES_MAX) {
        return too_many(in, "witnesses", DV_POLICY_WITNESSES_MAX);
    }
    dv_policy_witness *witness = &policy->witnesses[policy->witness_count];
    *witness = (dv_policy_witness){.url = ""};
    if (!next_word(&rest, &name) || !next_word(&rest, &vkey) ||
        dv_cosigner_parse(vkey, &witness->key) != DV_OK) {
        return refuse(in, "'witness' wants a name and a cosigner's Ed25519 verifier key");
    }
    DV_TRY(new_name(in, name, witness->name));
    for (size_t i = 0; i < policy->witness_count; i++) {
        if (memcmp(policy->witnesses[i].key.public_key, witness->key.public_key, 32) == 0) {
            return refuse(in, "that witness' key is there already");
        }
    }
    DV_TRY(read_url(in, rest, witness->url));
    policy->witness_count++;
    return DV_OK;
}

static dv_result read_members(reader *in, dv_slice rest, dv_policy_group *group)
{
    dv_slice word;
    while (next_word(&rest, &word)) {
        int member = find_name(in->policy, word);
        if (member < 0) {
            return refuse(in, "a group names what is not defined above");
        }
        if (in->is_member[member]) {
            return refuse(in, "a member belongs to two groups, or twice to one");
        }
        in->is_member[member] = true;
        group->members[group->member_count++] = (unsigned)member;
    }
    return group->member_count > 0 ? DV_OK : refuse(in, "a group has no members");
}

static dv_result read_threshold(const reader *in, dv_slice word, dv_policy_group *group)
{
    uint64_t number = 1;
    if (dv_slice_eq_str(word, "all")) {
        number = group->member_count;
    } else if (!dv_slice_eq_str(word, "any") && (dv_decimal_parse(word, &number) != DV_OK ||
                                                 number == 0 || number > group->member_count)) {
        return refuse(in, "a group wants 'all', 'any' or a number of its members");
    }
    group->threshold = (unsigned)number;
    return DV_OK;
}

static dv_result read_group(reader *in, dv_slice rest)
{
    dv_slice name, threshold;
    dv_policy *policy = in->policy;
    if (policy->group_count == DV_POLICY_GROUPS_MAX) {
        return too_many(in, "groups", DV_POLICY_GROUPS_MAX);
    }
    dv_policy_group *group = &policy->groups[policy->group_count];
    *group = (dv_policy_group){.threshold = 0};
    if (!next_word(&rest, &name) || !next_word(&rest, &threshold)) {
        return refuse(in, "'group' wants a name, a threshold and members");
    }
    DV_TRY(new_name(in, name, group->name));
    DV_TRY(read_members(in, rest, group));
    DV_TRY(read_threshold(in, threshold, group));
    policy->group_count++;
    return DV_OK;
}

static dv_result read_quorum(reader *in, dv_slice rest)
{
    dv_slice name, more;
    if (in->has_quorum || !next_word(&rest, &name) || next_word(&rest, &more)) {
        return refuse(in, "there must be one 'quorum' with one name");
    }
    in->has_quorum = true;
    in->policy->quorum = find_name(in->policy, name);
    return in->policy->quorum >= 0 || dv_slice_eq_str(name, "none")
               ? DV_OK
               : refuse(in, "the quorum is not defined above");
}

static dv_result read_line(reader *in, dv_slice line)
{
    static const struct {
        const char *word;
        dv_result (*read)(reader *in, dv_slice rest);
    } kinds[] = {{"log", read_log},
                 {"witness", read_witness},
                 {"group", read_group},
                 {"quorum", read_quorum}};
    dv_slice word;
    if (!good_bytes(line)) {
        return refuse(in, "there is a control character");
    }
    if (!next_word(&line, &word) || word.ptr[0] == '#') {
        return DV_OK;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        if (dv_slice_eq_str(word, kinds[i].word)) {
            return kinds[i].read(in, line);
        }
    }
    return refuse(in, "it begins with none of log, witness, group, quorum");
}

dv_result dv_policy_parse(dv_slice text, dv_policy *ret_policy, dv_error *error)
{
    dv_slice line;
    reader in = {.policy = ret_policy, .error = error};
    ret_policy->log_count = ret_policy->witness_count = ret_policy->group_count = 0;
    ret_policy->quorum = DV_POLICY_NONE;
    if (text.len > DV_POLICY_TEXT_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the policy is longer than %d bytes",
                            DV_POLICY_TEXT_MAX);
    }
    while (dv_slice_split(&text, '\n', &line)) {
        in.line++;
        DV_TRY(read_line(&in, line));
    }
    return in.has_quorum ? DV_OK
                         : dv_error_set(error, DV_ERR_INVALID, "the policy names no quorum");
}

/* -- weighing ---------------------------------------------------------------------------------- */

/* Groups name only what stands before them, so they are weighed in their order. */
static bool quorum_met(const dv_policy *policy, const bool cosigned[DV_POLICY_WITNESSES_MAX])
{
    bool met[DV_POLICY_MEMBERS_MAX] = {false};
    if (policy->quorum < 0) {
        return true;
    }
    memcpy(met, cosigned, DV_POLICY_WITNESSES_MAX * sizeof(met[0]));
    for (size_t i = 0; i < policy->group_count; i++) {
        const dv_policy_group *group = &policy->groups[i];
        unsigned count = 0;
        for (size_t j = 0; j < group->member_count; j++) {
            count += met[group->members[j]];
        }
        met[FIRST_GROUP + i] = count >= group->threshold;
    }
    return met[policy->quorum];
}

dv_result dv_policy_weigh(const dv_policy *policy, dv_slice note, dv_policy_verdict *ret_verdict)
{
    dv_note parts;
    dv_policy_verdict verdict = {.met = false};
    DV_TRY(dv_note_split(note, &parts));
    for (size_t i = 0; i < policy->witness_count; i++) {
        dv_result result =
            dv_cosignature_verify(note, &policy->witnesses[i].key, &verdict.times[i]);
        if (result != DV_OK && result != DV_ERR_NOT_FOUND) {
            return result;
        }
        verdict.cosigned[i] = result == DV_OK;
        verdict.count += result == DV_OK;
    }
    verdict.met = quorum_met(policy, verdict.cosigned);
    *ret_verdict = verdict;
    return DV_OK;
}

/* Signed by any of the logs. One of their signatures that does not verify spoils the note. */
static dv_result check_logs(const dv_policy *policy, dv_slice note, dv_checkpoint *ret_checkpoint,
                            dv_error *error)
{
    dv_result found = DV_ERR_NOT_FOUND;
    for (size_t i = 0; i < policy->log_count; i++) {
        dv_result result = dv_checkpoint_open(note, &policy->logs[i].key, ret_checkpoint);
        if (result != DV_OK && result != DV_ERR_NOT_FOUND) {
            return dv_error_set(error, result, "the log's signature is wrong");
        }
        found = result == DV_OK ? DV_OK : found;
    }
    return found == DV_OK ? DV_OK
                          : dv_error_set(error, DV_ERR_NOT_FOUND,
                                         "the checkpoint is not signed by a log of the policy");
}

dv_result dv_policy_check(const dv_policy *policy, dv_slice note, dv_checkpoint *ret_checkpoint,
                          dv_policy_verdict *ret_verdict, dv_error *error)
{
    dv_checkpoint checkpoint;
    dv_policy_verdict verdict;
    DV_TRY(check_logs(policy, note, &checkpoint, error));
    dv_result result = dv_policy_weigh(policy, note, &verdict);
    if (result != DV_OK) {
        return dv_error_set(error, result, "a witness' cosignature is wrong");
    }
    if (!verdict.met) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "the quorum is not reached: %zu of the policy's %zu witnesses cosigned",
                            verdict.count, policy->witness_count);
    }
    *ret_checkpoint = checkpoint;
    *ret_verdict = verdict;
    return DV_OK;
}
