/* SPDX-License-Identifier: Apache-2.0 */
/* Reads questions, one a line, whose words are hexadecimal ("-" is empty); answers each with a
 * line: hexadecimal, "accept", or "refuse".
 *   aes_gcm_open KEY NONCE ASSOCIATED SEALED      aes_gcm_seal KEY NONCE ASSOCIATED PLAIN
 *   aes_gcm_seal_portable KEY NONCE ASSOCIATED PLAIN
 *   aes_siv_open KEY - ASSOCIATED SEALED          aes_siv_seal KEY - ASSOCIATED PLAIN
 *   ed25519_verify PUBLIC MESSAGE SIGNATURE       hkdf KEY SALT PURPOSE SIZE */
#include "lines.h"

#include "crypto/aead.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "crypto/siv.h"

enum { WORDS_MAX = 5, BYTES_MAX = 1 << 20 };

typedef struct question {
    dv_buf bytes[WORDS_MAX]; /* decoded; the first word is the kind */
    dv_slice words[WORDS_MAX];
    size_t count;
} question;

static void question_release(question *q)
{
    for (size_t i = 0; i < WORDS_MAX; i++) {
        dv_buf_release(&q->bytes[i]);
    }
}
DV_DEFINE_AUTO(question, question, question_release)

static dv_result question_read(dv_slice line, question *q)
{
    dv_slice word;
    while (q->count < WORDS_MAX && dv_slice_split(&line, ' ', &word)) {
        q->words[q->count] = word;
        q->bytes[q->count] = dv_buf_init(BYTES_MAX);
        if (q->count > 0 && bytes_of(word, &q->bytes[q->count]) != DV_OK) {
            dv_buf_clear(&q->bytes[q->count]); /* a number, which only hkdf reads */
        }
        q->count++;
    }
    return q->count >= 4 ? DV_OK : DV_ERR_INVALID;
}

static dv_slice part(question *q, size_t at)
{
    return dv_buf_slice(&q->bytes[at]);
}

static dv_result aes_gcm(question *q, dv_buf *out)
{
    bool open = dv_slice_eq_str(q->words[0], "aes_gcm_open");
    bool portable = dv_slice_eq_str(q->words[0], "aes_gcm_seal_portable");
    dv_slice key = part(q, 1);
    dv_slice nonce = part(q, 2);
    dv_slice text = part(q, 4);
    if (key.len != DV_AEAD_KEY_LEN || nonce.len != DV_AEAD_NONCE_LEN ||
        (open && text.len < DV_AEAD_TAG_LEN)) {
        return DV_ERR_INVALID;
    }
    dv_auto(aead) dv_aead *aead = NULL;
    DV_TRY((portable ? dv_aead_new_portable : dv_aead_new)(key.ptr, &aead));
    DV_TRY(dv_buf_reserve(out, text.len + DV_AEAD_TAG_LEN));
    if (open) {
        DV_TRY(dv_aead_open(aead, nonce.ptr, part(q, 3), text, out->ptr));
        out->len = text.len - DV_AEAD_TAG_LEN;
    } else {
        DV_TRY(dv_aead_seal(aead, nonce.ptr, part(q, 3), text, out->ptr));
        out->len = text.len + DV_AEAD_TAG_LEN;
    }
    return DV_OK;
}

static dv_result aes_siv(question *q, dv_buf *out)
{
    bool open = dv_slice_eq_str(q->words[0], "aes_siv_open");
    dv_slice key = part(q, 1);
    dv_slice text = part(q, 4);
    if (key.len != DV_SIV_KEY_LEN) {
        return DV_ERR_INVALID;
    }
    dv_auto(siv) dv_siv *siv = NULL;
    DV_TRY(dv_siv_new(key.ptr, &siv));
    DV_TRY(dv_buf_reserve(out, text.len + DV_SIV_OVERHEAD));
    if (open) {
        DV_TRY(dv_siv_open(siv, part(q, 3), text, out->ptr));
        out->len = text.len - DV_SIV_OVERHEAD;
    } else {
        DV_TRY(dv_siv_seal(siv, part(q, 3), text, out->ptr));
        out->len = text.len + DV_SIV_OVERHEAD;
    }
    return DV_OK;
}

static dv_result ed25519_verify(question *q)
{
    dv_slice key = part(q, 1);
    dv_slice signature = part(q, 3);
    if (key.len != DV_ED25519_PUBLIC_LEN || signature.len != DV_ED25519_SIGNATURE_LEN) {
        return DV_ERR_INVALID;
    }
    return dv_ed25519_verify(key.ptr, part(q, 2), signature.ptr);
}

static dv_result hkdf(question *q, dv_buf *out)
{
    size_t size = 0;
    for (size_t i = 0; i < q->words[4].len; i++) {
        size = size * 10 + (size_t)(q->words[4].ptr[i] - '0');
    }
    if (size > BYTES_MAX) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_buf_reserve(out, size));
    DV_TRY(dv_hkdf_info(part(q, 1), part(q, 2), part(q, 3), out->ptr, size));
    out->len = size;
    return DV_OK;
}

static dv_result answer_question(question *q, dv_buf *out)
{
    if (dv_slice_eq_str(q->words[0], "ed25519_verify")) {
        return ed25519_verify(q);
    }
    if (q->count < 5) {
        return DV_ERR_INVALID;
    }
    if (dv_slice_eq_str(q->words[0], "hkdf")) {
        return hkdf(q, out);
    }
    if (dv_slice_starts_with(q->words[0], DV_LIT("aes_siv_"))) {
        return aes_siv(q, out);
    }
    return aes_gcm(q, out);
}

static void answer(dv_slice line)
{
    dv_auto(question) question q = {0};
    dv_auto(buf) dv_buf out = dv_buf_init(BYTES_MAX);
    dv_auto(buf) dv_buf hex = dv_buf_init((size_t)2 * BYTES_MAX);
    dv_result result = question_read(line, &q);
    if (result == DV_OK) {
        result = answer_question(&q, &out);
    }
    if (result != DV_OK || dv_hex_encode(dv_buf_slice(&out), &hex) != DV_OK) {
        printf("refuse\n");
    } else if (dv_slice_eq_str(q.words[0], "ed25519_verify")) {
        printf("accept\n");
    } else {
        printf("%.*s\n", DV_SLICE_ARGS(hex.len == 0 ? DV_LIT("-") : dv_buf_slice(&hex)));
    }
}

int main(void)
{
    return answer_lines(answer);
}
