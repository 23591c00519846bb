/* SPDX-License-Identifier: Apache-2.0 */
/* Reads questions, one a line; answers each with "accept" or "refuse". Hashes are base64, a proof
 * is a comma list of them ("-" is none).
 *   inclusion INDEX SIZE LEAF ROOT PROOF
 *   consistency SIZE1 SIZE2 ROOT1 ROOT2 PROOF
 *   subtree_inclusion INDEX START END LEAF ROOT PROOF
 *   subtree_consistency START END SIZE ROOT1 ROOT2 PROOF */
#include "base/codec.h"
#include "crypto/hash.h"
#include "engine/log/merkle.h"

#include <inttypes.h>

enum { HASH_TEXT_MAX = 64, LINE_MAX_LEN = 1 << 16 };

typedef struct question {
    char kind[32];
    uint64_t numbers[3];
    dv_hash hashes[2];
    dv_hash proof[DV_PROOF_MAX];
    size_t proof_len;
} question;

/* The vectors name some roots by a few words instead of a hash: such a text stands for its
 * SHA-256, so that different texts stay different. An empty one is malformed. */
static bool read_hash(dv_slice text, dv_hash *ret_hash)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(HASH_TEXT_MAX);
    if (dv_base64_decode(text, &bytes) != DV_OK || bytes.len == 0) {
        return false;
    }
    if (bytes.len == DV_HASH_LEN) {
        memcpy(ret_hash->bytes, bytes.ptr, DV_HASH_LEN);
    } else {
        dv_sha256(DV_LIT("text"), dv_buf_slice(&bytes), (dv_slice){NULL, 0}, ret_hash->bytes);
    }
    return true;
}

static bool read_proof(dv_slice list, question *q)
{
    dv_slice part;
    if (dv_slice_eq_str(list, "-")) {
        return true;
    }
    while (dv_slice_split(&list, ',', &part)) {
        if (q->proof_len == DV_PROOF_MAX || !read_hash(part, &q->proof[q->proof_len])) {
            return false;
        }
        q->proof_len++;
    }
    return true;
}

static bool read_number(dv_slice word, uint64_t *ret_number)
{
    char text[24];
    char *end;
    if (word.len == 0 || word.len >= sizeof(text)) {
        return false;
    }
    snprintf(text, sizeof(text), "%.*s", DV_SLICE_ARGS(word));
    *ret_number = strtoull(text, &end, 10);
    return *end == '\0';
}

static bool read_question(dv_slice line, question *q)
{
    dv_slice word;
    if (!dv_slice_split(&line, ' ', &word) || word.len >= sizeof(q->kind)) {
        return false;
    }
    snprintf(q->kind, sizeof(q->kind), "%.*s", DV_SLICE_ARGS(word));
    size_t numbers = strncmp(q->kind, "subtree_", 8) == 0 ? 3 : 2;
    for (size_t i = 0; i < numbers; i++) {
        if (!dv_slice_split(&line, ' ', &word) || !read_number(word, &q->numbers[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < 2; i++) {
        if (!dv_slice_split(&line, ' ', &word) || !read_hash(word, &q->hashes[i])) {
            return false;
        }
    }
    return read_proof(line, q);
}

static dv_result answer(const question *q)
{
    const uint64_t *n = q->numbers;
    const dv_hash *h = q->hashes;
    if (strcmp(q->kind, "inclusion") == 0) {
        return dv_merkle_verify_inclusion(n[0], n[1], &h[0], q->proof, q->proof_len, &h[1]);
    }
    if (strcmp(q->kind, "consistency") == 0) {
        return dv_merkle_verify_consistency(n[0], n[1], &h[0], &h[1], q->proof, q->proof_len);
    }
    if (strcmp(q->kind, "subtree_inclusion") == 0) {
        return dv_merkle_verify_subtree_inclusion(n[0], n[1], n[2], &h[0], q->proof, q->proof_len,
                                                  &h[1]);
    }
    return dv_merkle_verify_subtree_consistency(n[0], n[1], n[2], &h[0], &h[1], q->proof,
                                                q->proof_len);
}

int main(void)
{
    static char line[LINE_MAX_LEN];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        question q = {.proof_len = 0};
        dv_slice text = dv_slice_of(line, strcspn(line, "\n"));
        bool good = read_question(text, &q) && answer(&q) == DV_OK;
        puts(good ? "accept" : "refuse");
    }
    return 0;
}
