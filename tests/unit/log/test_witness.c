/* SPDX-License-Identifier: Apache-2.0 */
/* Cosignatures, policies, proof files and what a witness does: every byte of what is relied on,
 * every limit, and a death at every change to the disk. */
#include "base/file.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/proof.h"
#include "engine/log/witness.h"
#include "fault.h"

#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

typedef struct signer {
    dv_note_verifier key;
    uint8_t seed[32];
} signer;

static signer log_key, other_log;
static dv_witness_signer witness_keys[3];
static char folder[64];

static void make_signer(const char *name, signer *out)
{
    uint8_t public_key[32];
    dv_random(out->seed, sizeof(out->seed));
    assert_int_equal(dv_ed25519_public(out->seed, public_key), DV_OK);
    assert_int_equal(dv_note_verifier_init(name, public_key, &out->key), DV_OK);
}

static void make_cosigner(const char *name, dv_witness_signer *out)
{
    uint8_t public_key[32];
    dv_random(out->seed, sizeof(out->seed));
    assert_int_equal(dv_ed25519_public(out->seed, public_key), DV_OK);
    assert_int_equal(dv_cosigner_init(name, public_key, &out->cosigner), DV_OK);
}

static int make_all(void **state)
{
    make_signer("log.example/a", &log_key);
    make_signer("log.example/b", &other_log);
    make_cosigner("witness.example/0", &witness_keys[0]);
    make_cosigner("witness.example/1", &witness_keys[1]);
    make_cosigner("witness.example/2", &witness_keys[2]);
    snprintf(folder, sizeof(folder), "%s/dvara-witness-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int remove_all(void **state)
{
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* -- a small log ------------------------------------------------------------------------------- */

enum { LEAVES = 12 };

static void leaf_text(unsigned index, char out[32])
{
    snprintf(out, 32, "event %u", index);
}

static void leaf_hashes(unsigned fork, dv_hash out[LEAVES])
{
    char text[32];
    for (unsigned i = 0; i < LEAVES; i++) {
        leaf_text(i + (i >= 3 ? fork : 0), text);
        out[i] = dv_merkle_leaf(dv_slice_str(text));
    }
}

static dv_checkpoint checkpoint_at(unsigned size, unsigned fork)
{
    dv_hash leaves[LEAVES];
    dv_checkpoint checkpoint = {.size = size, .root = dv_merkle_empty()};
    leaf_hashes(fork, leaves);
    memcpy(checkpoint.origin, log_key.key.name, sizeof(checkpoint.origin));
    if (size > 0) {
        checkpoint.root = dv_merkle_root(leaves, size);
    }
    return checkpoint;
}

static void sign_checkpoint(unsigned size, unsigned fork, dv_buf *out)
{
    dv_checkpoint checkpoint = checkpoint_at(size, fork);
    assert_int_equal(dv_checkpoint_sign(&checkpoint, &log_key.key, log_key.seed, out), DV_OK);
}

static void cosign_note(const dv_witness_signer *by, uint64_t time, dv_buf *note)
{
    dv_note parts;
    dv_auto(buf) dv_buf line = dv_buf_init(1024);
    assert_int_equal(dv_note_split(dv_buf_slice(note), &parts), DV_OK);
    assert_int_equal(dv_cosignature_sign(parts.text, &by->cosigner, by->seed, time, &line), DV_OK);
    assert_int_equal(dv_buf_append(note, dv_buf_slice(&line)), DV_OK);
}

/* RFC 6962's PATH and SUBPROOF over the leaves' hashes in memory. */
static void path(const dv_hash *leaves, size_t count, size_t index, dv_hash *out, size_t *len)
{
    if (count > 1) {
        size_t k = (size_t)1 << (63 - __builtin_clzll(count - 1));
        bool left = index < k;
        path(left ? leaves : leaves + k, left ? k : count - k, left ? index : index - k, out, len);
        out[(*len)++] = left ? dv_merkle_root(leaves + k, count - k) : dv_merkle_root(leaves, k);
    }
}

static void subproof(const dv_hash *leaves, size_t count, size_t m, bool whole, dv_hash *out,
                     size_t *len)
{
    if (m == count) {
        if (!whole) {
            out[(*len)++] = dv_merkle_root(leaves, count);
        }
        return;
    }
    size_t k = (size_t)1 << (63 - __builtin_clzll(count - 1));
    if (m <= k) {
        subproof(leaves, k, m, whole, out, len);
        out[(*len)++] = dv_merkle_root(leaves + k, count - k);
    } else {
        subproof(leaves + k, count - k, m - k, false, out, len);
        out[(*len)++] = dv_merkle_root(leaves, k);
    }
}

/* -- cosignatures ------------------------------------------------------------------------------ */

static void test_a_cosignature_verifies(void **state)
{
    uint64_t time = 0;
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    sign_checkpoint(5, 0, &note);
    cosign_note(&witness_keys[0], 1679315147, &note);
    cosign_note(&witness_keys[0], 1679315200, &note);
    assert_int_equal(dv_cosignature_verify(dv_buf_slice(&note), &witness_keys[0].cosigner, &time),
                     DV_OK);
    assert_int_equal(time, 1679315200);
    assert_int_equal(dv_cosignature_verify(dv_buf_slice(&note), &witness_keys[1].cosigner, &time),
                     DV_ERR_NOT_FOUND);
    /* The log's own signature is another type, and the other way round. */
    dv_slice text;
    assert_int_equal(dv_note_verify(dv_buf_slice(&note), &witness_keys[0].cosigner, &text),
                     DV_ERR_CORRUPT);
    assert_int_equal(dv_cosignature_verify(dv_buf_slice(&note), &log_key.key, &time),
                     DV_ERR_CORRUPT);
}

static void test_cosignatures_are_of_checkpoints_and_times(void **state)
{
    dv_auto(buf) dv_buf line = dv_buf_init(1024);
    const dv_note_verifier *key = &witness_keys[0].cosigner;
    const uint8_t *seed = witness_keys[0].seed;
    dv_auto(buf) dv_buf text = dv_buf_init(1024);
    dv_checkpoint checkpoint = checkpoint_at(5, 0);
    assert_int_equal(dv_checkpoint_format(&checkpoint, &text), DV_OK);
    dv_slice good = dv_buf_slice(&text);
    assert_int_equal(dv_cosignature_sign(good, key, seed, 0, &line), DV_ERR_INVALID);
    assert_int_equal(dv_cosignature_sign(good, key, seed, UINT64_MAX, &line), DV_ERR_INVALID);
    assert_int_equal(dv_cosignature_sign(DV_LIT("no checkpoint\n"), key, seed, 1, &line),
                     DV_ERR_INVALID);
    assert_int_equal(dv_cosignature_sign(good, &log_key.key, seed, 1, &line), DV_ERR_INVALID);
    assert_int_equal(line.len, 0);
}

static void test_keys_of_one_type_are_not_read_as_the_other(void **state)
{
    dv_note_verifier key;
    dv_auto(buf) dv_buf text = dv_buf_init(1024);
    assert_int_equal(dv_note_verifier_format(&witness_keys[0].cosigner, &text), DV_OK);
    assert_int_equal(dv_cosigner_parse(dv_buf_slice(&text), &key), DV_OK);
    assert_memory_equal(&key, &witness_keys[0].cosigner, sizeof(key));
    assert_int_equal(dv_note_verifier_parse(dv_buf_slice(&text), &key), DV_ERR_UNSUPPORTED);
    dv_buf_clear(&text);
    assert_int_equal(dv_note_verifier_format(&log_key.key, &text), DV_OK);
    assert_int_equal(dv_cosigner_parse(dv_buf_slice(&text), &key), DV_ERR_UNSUPPORTED);
}

static void test_extension_lines(void **state)
{
    static const char head[] = "log.example/with spaces\n3\n"
                               "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    dv_checkpoint checkpoint;
    char text[256];
    snprintf(text, sizeof(text), "%sextension 1\nextension 2\n", head);
    assert_int_equal(dv_checkpoint_parse_any(dv_slice_str(head), &checkpoint), DV_OK);
    assert_string_equal(checkpoint.origin, "log.example/with spaces");
    assert_int_equal(dv_checkpoint_parse_any(dv_slice_str(text), &checkpoint), DV_OK);
    assert_int_equal(dv_checkpoint_parse(dv_slice_str(head), &checkpoint), DV_ERR_INVALID);
    snprintf(text, sizeof(text), "%s\nextension\n", head);
    assert_int_equal(dv_checkpoint_parse_any(dv_slice_str(text), &checkpoint), DV_ERR_INVALID);
    assert_int_equal(dv_checkpoint_parse_any(dv_slice_of(head, sizeof(head) - 2), &checkpoint),
                     DV_ERR_INVALID);
}

/* -- policies ---------------------------------------------------------------------------------- */

static dv_result parse_policy(const char *text, dv_policy *policy, dv_error *error)
{
    return dv_policy_parse(dv_slice_str(text), policy, error);
}

/* Appends "WORD " with the key of each. */
static void put_key(dv_buf *out, const char *before, const dv_note_verifier *key)
{
    assert_int_equal(dv_buf_append_str(out, before), DV_OK);
    assert_int_equal(dv_note_verifier_format(key, out), DV_OK);
    assert_int_equal(dv_buf_append_byte(out, '\n'), DV_OK);
}

/* Two of three witnesses; the example of C2SP tlog-policy in small. */
static dv_policy *make_policy(const char *rest)
{
    dv_error error = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(DV_POLICY_TEXT_MAX);
    dv_policy *policy = malloc(sizeof(*policy));
    assert_non_null(policy);
    put_key(&text, "# who is believed\n\n \t log ", &log_key.key);
    put_key(&text, "witness\tX1 ", &witness_keys[0].cosigner);
    put_key(&text, "witness X2 ", &witness_keys[1].cosigner);
    put_key(&text, "witness Y1 ", &witness_keys[2].cosigner);
    assert_int_equal(dv_buf_append_str(&text, rest), DV_OK);
    dv_result result = dv_policy_parse(dv_buf_slice(&text), policy, &error);
    if (result != DV_OK) {
        free(policy);
        return NULL;
    }
    return policy;
}

static bool is_met(const char *rest, unsigned cosigners)
{
    dv_policy_verdict verdict;
    dv_checkpoint checkpoint;
    dv_auto(free) dv_policy *policy = make_policy(rest);
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    assert_non_null(policy);
    sign_checkpoint(5, 0, &note);
    for (unsigned i = 0; i < 3; i++) {
        if ((cosigners >> i & 1) != 0) {
            cosign_note(&witness_keys[i], 1000 + i, &note);
        }
    }
    dv_result result = dv_policy_check(policy, dv_buf_slice(&note), &checkpoint, &verdict, NULL);
    assert_true(result == DV_OK || result == DV_ERR_FORBIDDEN);
    if (result == DV_OK) {
        assert_int_equal(verdict.count, __builtin_popcount(cosigners));
        assert_int_equal(checkpoint.size, 5);
    }
    return result == DV_OK;
}

static void test_quorums(void **state)
{
    static const char two[] = "group all 2 X1 X2 Y1\nquorum all\n";
    static const char nested[] = "group X any X1 X2\ngroup both all X Y1\nquorum both\n";
    for (unsigned cosigners = 0; cosigners < 8; cosigners++) {
        assert_int_equal(is_met(two, cosigners), __builtin_popcount(cosigners) >= 2);
        assert_int_equal(is_met(nested, cosigners), (cosigners & 3) != 0 && (cosigners & 4) != 0);
        assert_int_equal(is_met("quorum X2\n", cosigners), (cosigners & 2) != 0);
        assert_true(is_met("quorum none\n", cosigners));
    }
}

static void test_bad_policies(void **state)
{
    static const char *const bad[] = {
        "",
        "quorum\n",
        "quorum X1 X2\n",
        "quorum X1\nquorum X1\n",
        "quorum Z\n",
        "group none any X1\nquorum none\n",
        "group X1 any X1\nquorum X1\n",
        "group g any\nquorum g\n",
        "group g 0 X1\nquorum g\n",
        "group g 2 X1\nquorum g\n",
        "group g 01 X1\nquorum g\n",
        "group g some X1\nquorum g\n",
        "group g any none\nquorum g\n",
        "group g any X1 X1\nquorum g\n",
        "group g any X1\ngroup h any X1\nquorum g\n",
        "group g any h\ngroup h any X1\nquorum g\n",
        "group g any g\nquorum g\n",
        "witness Z\nquorum none\n",
        "witness Z x+y\nquorum none\n",
        "log x\nquorum none\n",
        "logs x\nquorum none\n",
        "quorum none\r\n",
        "quorum no\x7fne\n",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_auto(free) dv_policy *policy = make_policy(bad[i]);
        assert_null(policy);
    }
}

/* "Duplicate logs [and] witnesses [...] with the same public key, are not allowed." */
static void test_duplicate_keys_are_refused(void **state)
{
    dv_note_verifier renamed;
    dv_auto(free) dv_policy *policy = malloc(sizeof(*policy));
    dv_auto(buf) dv_buf text = dv_buf_init(DV_POLICY_TEXT_MAX);
    assert_non_null(policy);
    assert_int_equal(
        dv_cosigner_init("another.example", witness_keys[0].cosigner.public_key, &renamed), DV_OK);
    put_key(&text, "witness a ", &witness_keys[0].cosigner);
    put_key(&text, "witness b ", &renamed);
    assert_int_equal(dv_buf_append_str(&text, "quorum none\n"), DV_OK);
    assert_int_equal(dv_policy_parse(dv_buf_slice(&text), policy, NULL), DV_ERR_INVALID);
    dv_buf_clear(&text);
    put_key(&text, "log ", &log_key.key);
    put_key(&text, "log ", &log_key.key);
    assert_int_equal(dv_buf_append_str(&text, "quorum none\n"), DV_OK);
    assert_int_equal(dv_policy_parse(dv_buf_slice(&text), policy, NULL), DV_ERR_INVALID);
}

/* One more line of the kind, with a key of its own; each group holds the one before. */
static void put_one(dv_buf *out, const char *kind, int i)
{
    char before[64];
    signer one;
    dv_witness_signer two;
    if (strcmp(kind, "log") == 0) {
        make_signer("log.example/many", &one);
        put_key(out, "log ", &one.key);
    } else if (strcmp(kind, "witness") == 0) {
        make_cosigner("w.example", &two);
        snprintf(before, sizeof(before), "witness n%d ", i);
        put_key(out, before, &two.cosigner);
    } else {
        assert_int_equal(dv_buf_append_printf(out, "group n%d any n%d\n", i + 1, i), DV_OK);
    }
}

static dv_result parse_many(const char *kind, int count, dv_policy *policy)
{
    dv_error error = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    put_one(&text, "witness", 0);
    for (int i = 0; i < count; i++) {
        put_one(&text, kind, strcmp(kind, "witness") == 0 ? i + 1 : i);
    }
    assert_int_equal(dv_buf_append_str(&text, "quorum none\n"), DV_OK);
    return dv_policy_parse(dv_buf_slice(&text), policy, &error);
}

static void test_limits_of_policies(void **state)
{
    dv_auto(free) dv_policy *policy = malloc(sizeof(*policy));
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    assert_non_null(policy);
    assert_int_equal(parse_many("log", DV_POLICY_LOGS_MAX, policy), DV_OK);
    assert_int_equal(parse_many("log", DV_POLICY_LOGS_MAX + 1, policy), DV_ERR_TOO_LARGE);
    assert_int_equal(parse_many("witness", DV_POLICY_WITNESSES_MAX - 1, policy), DV_OK);
    assert_int_equal(parse_many("witness", DV_POLICY_WITNESSES_MAX, policy), DV_ERR_TOO_LARGE);
    assert_int_equal(parse_many("group", DV_POLICY_GROUPS_MAX, policy), DV_OK);
    assert_int_equal(parse_many("group", DV_POLICY_GROUPS_MAX + 1, policy), DV_ERR_TOO_LARGE);
    assert_int_equal(parse_policy("quorum none", policy, NULL), DV_OK);
    assert_int_equal(dv_buf_append_str(&text, "quorum none\n"), DV_OK);
    while (text.len <= DV_POLICY_TEXT_MAX) {
        assert_int_equal(dv_buf_append_byte(&text, '\n'), DV_OK);
    }
    assert_int_equal(dv_policy_parse(dv_buf_slice(&text), policy, NULL), DV_ERR_TOO_LARGE);
    text.len--;
    assert_int_equal(dv_policy_parse(dv_buf_slice(&text), policy, NULL), DV_OK);
}

/* -- every byte -------------------------------------------------------------------------------- */

static const uint8_t changes[] = {0x01, 0x20, 0x80};

/* A cosigned checkpoint that holds no more than the policy asks for: no byte of it can be changed.
 */
static void test_every_byte_of_a_cosigned_checkpoint(void **state)
{
    dv_checkpoint checkpoint;
    dv_policy_verdict verdict;
    dv_auto(free) dv_policy *policy = make_policy("group g all X1 X2\nquorum g\n");
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    assert_non_null(policy);
    sign_checkpoint(5, 0, &note);
    cosign_note(&witness_keys[0], 1000, &note);
    cosign_note(&witness_keys[1], 1000, &note);
    dv_slice whole = dv_buf_slice(&note);
    assert_int_equal(dv_policy_check(policy, whole, &checkpoint, &verdict, NULL), DV_OK);
    for (size_t i = 0; i < note.len; i++) {
        for (size_t j = 0; j < DV_ARRAY_LEN(changes); j++) {
            note.ptr[i] ^= changes[j];
            assert_int_not_equal(dv_policy_check(policy, whole, &checkpoint, &verdict, NULL),
                                 DV_OK);
            note.ptr[i] ^= changes[j];
        }
        assert_int_not_equal(
            dv_policy_check(policy, dv_slice_sub(whole, 0, i), &checkpoint, &verdict, NULL), DV_OK);
    }
}

static dv_result check_proof(const dv_policy *policy, dv_slice file, const char *event,
                             dv_tlog_proof *ret_proof)
{
    dv_checkpoint checkpoint;
    dv_policy_verdict verdict;
    dv_error error = {0};
    DV_TRY(dv_tlog_proof_parse(file, ret_proof, &error));
    DV_TRY(dv_policy_check(policy, ret_proof->checkpoint, &checkpoint, &verdict, &error));
    return dv_tlog_proof_verify(ret_proof, dv_slice_str(event), &checkpoint);
}

static void make_proof(unsigned index, dv_slice extra, const dv_buf *note, dv_buf *out)
{
    dv_hash leaves[LEAVES];
    dv_tlog_proof proof = {.index = index, .extra = extra, .checkpoint = dv_buf_slice(note)};
    leaf_hashes(0, leaves);
    path(leaves, LEAVES, index, proof.hashes, &proof.hash_count);
    assert_int_equal(dv_tlog_proof_format(&proof, out), DV_OK);
}

/* Of a proof, the extra line alone can be changed, which nothing is taken from. */
static void test_every_byte_of_a_proof(void **state)
{
    char event[32];
    dv_tlog_proof proof;
    dv_auto(free) dv_policy *policy = make_policy("quorum X1\n");
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    dv_auto(buf) dv_buf file = dv_buf_init(DV_TLOG_PROOF_MAX);
    assert_non_null(policy);
    sign_checkpoint(LEAVES, 0, &note);
    cosign_note(&witness_keys[0], 1000, &note);
    leaf_text(7, event);
    make_proof(7, DV_LIT("ZXh0cmE="), &note, &file);
    dv_slice whole = dv_buf_slice(&file);
    assert_int_equal(check_proof(policy, whole, event, &proof), DV_OK);
    assert_int_not_equal(check_proof(policy, whole, "event 8", &proof), DV_OK);
    size_t extra = (size_t)dv_slice_find(whole, DV_LIT("ZXh0cmE="));
    for (size_t i = 0; i < file.len; i++) {
        for (size_t j = 0; j < DV_ARRAY_LEN(changes); j++) {
            file.ptr[i] ^= changes[j];
            bool in_extra = i >= extra && i < extra + 8;
            assert_true(check_proof(policy, whole, event, &proof) != DV_OK ||
                        (in_extra && proof.index == 7));
            file.ptr[i] ^= changes[j];
        }
        assert_int_not_equal(check_proof(policy, dv_slice_sub(whole, 0, i), event, &proof), DV_OK);
    }
}

static void test_limits_of_proofs(void **state)
{
    dv_tlog_proof proof = {.index = 0};
    dv_error error = {0};
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    dv_auto(buf) dv_buf file = dv_buf_init(2 * DV_TLOG_PROOF_MAX);
    sign_checkpoint(LEAVES, 0, &note);
    proof.checkpoint = dv_buf_slice(&note);
    proof.hash_count = DV_TLOG_PROOF_HASHES_MAX;
    assert_int_equal(dv_tlog_proof_format(&proof, &file), DV_OK);
    assert_int_equal(dv_tlog_proof_parse(dv_buf_slice(&file), &proof, &error), DV_OK);
    dv_slice zero = DV_LIT("index 0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    dv_auto(buf) dv_buf larger = dv_buf_init(2 * DV_TLOG_PROOF_MAX);
    size_t at = (size_t)dv_slice_find(dv_buf_slice(&file), DV_LIT("index 0\n"));
    assert_int_equal(dv_buf_append(&larger, dv_slice_sub(dv_buf_slice(&file), 0, at)), DV_OK);
    assert_int_equal(dv_buf_append(&larger, zero), DV_OK);
    assert_int_equal(dv_buf_append(&larger, dv_slice_sub(dv_buf_slice(&file), at + 8, file.len)),
                     DV_OK);
    assert_int_equal(dv_tlog_proof_parse(dv_buf_slice(&larger), &proof, &error), DV_ERR_TOO_LARGE);
    while (file.len <= DV_TLOG_PROOF_MAX) {
        assert_int_equal(dv_buf_append_byte(&file, 'x'), DV_OK);
    }
    assert_int_equal(dv_tlog_proof_parse(dv_buf_slice(&file), &proof, &error), DV_ERR_TOO_LARGE);
}

/* -- a witness --------------------------------------------------------------------------------- */

static dv_witness *open_witness(dv_error *error)
{
    dv_witness *witness = NULL;
    dv_witness_logs logs = {NULL, 0};
    dv_auto(buf) dv_buf list = dv_buf_init(4096);
    assert_int_equal(dv_buf_append_str(&list, "logs/v0\n"), DV_OK);
    put_key(&list, "vkey ", &log_key.key);
    assert_int_equal(dv_witness_logs_parse(dv_buf_slice(&list), &logs, error), DV_OK);
    return dv_witness_open(folder, &witness_keys[0], &logs, &witness, error) == DV_OK ? witness
                                                                                      : NULL;
}

static dv_witness_status submit(dv_witness *witness, unsigned old, unsigned size, unsigned fork,
                                dv_buf *answer)
{
    dv_hash leaves[LEAVES];
    dv_witness_request request = {.old_size = old};
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    dv_auto(buf) dv_buf body = dv_buf_init(DV_WITNESS_REQUEST_MAX);
    leaf_hashes(fork, leaves);
    sign_checkpoint(size, fork, &note);
    request.note = dv_buf_slice(&note);
    if (old > 0 && old < size) {
        subproof(leaves, size, old, true, request.proof, &request.proof_len);
    }
    assert_int_equal(dv_witness_request_format(&request, &body), DV_OK);
    dv_buf_clear(answer);
    return dv_witness_add(witness, dv_buf_slice(&body), 1000, answer);
}

static uint64_t remembered(dv_witness *witness)
{
    uint64_t size;
    dv_auto(buf) dv_buf answer = dv_buf_init(DV_NOTE_MAX);
    for (unsigned i = 0; i <= LEAVES; i++) {
        if (submit(witness, LEAVES, LEAVES, 100, &answer) == DV_WITNESS_OTHER_SIZE) {
            assert_int_equal(dv_decimal_parse(dv_slice_trim(dv_buf_slice(&answer)), &size), DV_OK);
            return size;
        }
    }
    return LEAVES;
}

static void test_what_continues_is_cosigned(void **state)
{
    dv_error error = {0};
    dv_auto(witness) dv_witness *witness = open_witness(&error);
    dv_auto(buf) dv_buf answer = dv_buf_init(DV_NOTE_MAX);
    assert_non_null(witness);
    assert_int_equal(submit(witness, 0, 0, 0, &answer), DV_WITNESS_COSIGNED);
    for (unsigned old = 0, size = 1; size <= LEAVES - 1; old = size, size += 2) {
        assert_int_equal(submit(witness, old, size, 0, &answer), DV_WITNESS_COSIGNED);
        assert_int_equal(submit(witness, size, size, 0, &answer), DV_WITNESS_COSIGNED);
        assert_int_equal(submit(witness, old == 0 ? LEAVES : old, LEAVES, 0, &answer),
                         DV_WITNESS_OTHER_SIZE);
        assert_int_equal(remembered(witness), size);
    }
    assert_int_equal(submit(witness, 11, 11, 100, &answer), DV_WITNESS_INCONSISTENT);
    assert_int_equal(submit(witness, 11, LEAVES, 100, &answer), DV_WITNESS_INCONSISTENT);
    assert_int_equal(submit(witness, LEAVES, 5, 0, &answer), DV_WITNESS_MALFORMED);
    assert_int_equal(remembered(witness), 11);
}

static void test_limits_of_requests(void **state)
{
    dv_witness_request request = {.old_size = 1, .proof_len = DV_WITNESS_PROOF_MAX};
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    dv_auto(buf) dv_buf body = dv_buf_init(4 * DV_WITNESS_REQUEST_MAX);
    sign_checkpoint(5, 0, &note);
    request.note = dv_buf_slice(&note);
    assert_int_equal(dv_witness_request_format(&request, &body), DV_OK);
    assert_int_equal(dv_witness_request_parse(dv_buf_slice(&body), &request), DV_OK);
    dv_auto(buf) dv_buf more = dv_buf_init(4 * DV_WITNESS_REQUEST_MAX);
    assert_int_equal(
        dv_buf_append_str(&more, "old 1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), DV_OK);
    assert_int_equal(dv_buf_append(&more, dv_slice_sub(dv_buf_slice(&body), 6, body.len)), DV_OK);
    assert_int_equal(dv_witness_request_parse(dv_buf_slice(&more), &request), DV_ERR_TOO_LARGE);
    while (body.len <= DV_WITNESS_REQUEST_MAX) {
        assert_int_equal(dv_buf_append_byte(&body, '\n'), DV_OK);
    }
    assert_int_equal(dv_witness_request_parse(dv_buf_slice(&body), &request), DV_ERR_TOO_LARGE);
}

static void test_lists_of_logs(void **state)
{
    dv_error error = {0};
    dv_witness_logs logs = {NULL, 0};
    dv_auto(buf) dv_buf list = dv_buf_init(2 * DV_WITNESS_LIST_MAX);
    static const char *const bad[] = {"", "vkey x\n", "logs/v0\norigin a\n", "logs/v0\nvkey x\n",
                                      "logs/v1\n"};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_witness_logs_parse(dv_slice_str(bad[i]), &logs, &error),
                         DV_ERR_INVALID);
    }
    put_key(&list, "# the network's list\nlogs/v0\n\nvkey ", &log_key.key);
    put_key(&list, "qpd 86400\ncontact someone\nvkey ", &other_log.key);
    assert_int_equal(dv_buf_append_str(&list, "origin a log with spaces\n"), DV_OK);
    assert_int_equal(dv_witness_logs_parse(dv_buf_slice(&list), &logs, &error), DV_OK);
    assert_int_equal(logs.count, 2);
    assert_string_equal(logs.logs[0].origin, "log.example/a");
    assert_string_equal(logs.logs[1].origin, "a log with spaces");
    dv_witness_logs_release(&logs);
    for (int i = 1; i < DV_WITNESS_KEYS_MAX; i++) {
        put_key(&list, "vkey ", &log_key.key);
    }
    assert_int_equal(dv_witness_logs_parse(dv_buf_slice(&list), &logs, &error), DV_OK);
    dv_witness_logs_release(&logs);
    put_key(&list, "vkey ", &log_key.key);
    assert_int_equal(dv_witness_logs_parse(dv_buf_slice(&list), &logs, &error), DV_ERR_TOO_LARGE);
    dv_buf_clear(&list);
    assert_int_equal(dv_buf_append_str(&list, "logs/v0\n"), DV_OK);
    for (int i = 0; i <= DV_WITNESS_LOGS_MAX; i++) {
        put_key(&list, "vkey ", &log_key.key);
        assert_int_equal(dv_buf_append_printf(&list, "origin %d\n", i), DV_OK);
    }
    assert_int_equal(dv_witness_logs_parse(dv_buf_slice(&list), &logs, &error), DV_ERR_TOO_LARGE);
    while (list.len <= DV_WITNESS_LIST_MAX) {
        assert_int_equal(dv_buf_append_byte(&list, '\n'), DV_OK);
    }
    assert_int_equal(dv_witness_logs_parse(dv_buf_slice(&list), &logs, &error), DV_ERR_TOO_LARGE);
}

/* A life that ends at the Nth change to the disk; true when it came to its end. What it cosigned is
 * told by its exit status. */
static int cosign_and_die(long step, unsigned old, unsigned size)
{
    dv_error error = {0};
    dv_auto(buf) dv_buf answer = dv_buf_init(DV_NOTE_MAX);
    dv_auto(witness) dv_witness *witness = open_witness(&error);
    if (witness == NULL) {
        return 3;
    }
    fault_arm(FAULT_KILL, step);
    return submit(witness, old, size, 0, &answer) == DV_WITNESS_COSIGNED ? 0 : 4;
}

static void test_a_death_at_every_change_to_the_disk(void **state)
{
    dv_error error = {0};
    unsigned old = 0;
    int cosigned = 0;
    for (long step = 1; cosigned == 0 && step < 100; step++) {
        unsigned size = old + 1;
        pid_t child = fork();
        if (child == 0) {
            _exit(cosign_and_die(step, old, size));
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) == FAULT_EXIT || WEXITSTATUS(status) == 0);
        dv_auto(witness) dv_witness *witness = open_witness(&error);
        assert_non_null(witness);
        uint64_t now = remembered(witness);
        cosigned = WEXITSTATUS(status) == 0;
        /* What left is remembered; what did not leave may be. */
        assert_true(now == size || (!cosigned && now == old));
        old = (unsigned)now;
    }
    assert_int_equal(cosigned, 1);
}

/* What the disk does not take is not cosigned, and is taken the next time. */
static void test_a_full_disk(void **state)
{
    dv_error error = {0};
    dv_auto(buf) dv_buf answer = dv_buf_init(DV_NOTE_MAX);
    dv_auto(witness) dv_witness *witness = open_witness(&error);
    assert_non_null(witness);
    unsigned old = 0;
    int failed = 0;
    for (long step = 1;; step++) {
        fault_arm(FAULT_ENOSPC, step);
        dv_witness_status status = submit(witness, old, old + 1, 0, &answer);
        bool reached = fault_countdown <= 0;
        fault_arm(FAULT_NONE, 0);
        unsigned now = (unsigned)remembered(witness);
        assert_true(status == DV_WITNESS_COSIGNED ? now == old + 1 : status == DV_WITNESS_FAILED);
        failed += status == DV_WITNESS_FAILED;
        old = now;
        if (!reached) {
            break;
        }
    }
    assert_true(failed >= 3); /* of the file's sync, its rename and the folder's sync */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_cosignature_verifies, make_all, remove_all),
        cmocka_unit_test_setup_teardown(test_cosignatures_are_of_checkpoints_and_times, make_all,
                                        remove_all),
        cmocka_unit_test_setup_teardown(test_keys_of_one_type_are_not_read_as_the_other, make_all,
                                        remove_all),
        cmocka_unit_test_setup_teardown(test_extension_lines, make_all, remove_all),
        cmocka_unit_test_setup_teardown(test_quorums, make_all, remove_all),
        cmocka_unit_test_setup_teardown(test_bad_policies, make_all, remove_all),
        cmocka_unit_test_setup_teardown(test_duplicate_keys_are_refused, make_all, remove_all),
        cmocka_unit_test_setup_teardown(test_limits_of_policies, make_all, remove_all),
        cmocka_unit_test_setup_teardown(test_every_byte_of_a_cosigned_checkpoint, make_all,
                                        remove_all),
        cmocka_unit_test_setup_teardown(test_every_byte_of_a_proof, make_all, remove_all),
        cmocka_unit_test_setup_teardown(test_limits_of_proofs, make_all, remove_all),
        cmocka_unit_test_setup_teardown(test_what_continues_is_cosigned, make_all, remove_all),
        cmocka_unit_test_setup_teardown(test_limits_of_requests, make_all, remove_all),
        cmocka_unit_test_setup_teardown(test_lists_of_logs, make_all, remove_all),
        cmocka_unit_test_setup_teardown(test_a_death_at_every_change_to_the_disk, make_all,
                                        remove_all),
        cmocka_unit_test_setup_teardown(test_a_full_disk, make_all, remove_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
