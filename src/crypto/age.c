/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/age.h"

#include "base/codec.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#include <sodium.h>
#include <stdlib.h>

enum {
    FILE_KEY = 16,
    TAG = crypto_aead_chacha20poly1305_IETF_ABYTES,
    NONCE = crypto_aead_chacha20poly1305_IETF_NPUBBYTES,
    BODY = FILE_KEY + TAG, /* of a stanza */
    SALT = 16,
    CHUNK = 64 << 10,
    STREAM_NONCE = 16,
    COUNTER = 11, /* bytes of a chunk's number in its nonce */
};

static const char first_line[] = "age-encryption.org/v1\n";
static const char x25519_info[] = "age-encryption.org/v1/X25519";
static const char scrypt_salt[] = "age-encryption.org/v1/scrypt";

/* -- Bech32 (BIP 173), of 32 bytes ------------------------------------------------------------- */

enum { DIGITS = 52, CHECKSUM = 6 }; /* 32 bytes are 52 digits of 5 bits */
static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
static const char recipient_prefix[] = "age";
static const char identity_prefix[] = "age-secret-key-";

static uint32_t polymod_step(uint32_t sum, uint8_t value)
{
    static const uint32_t generator[] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
                                         0x2a1462b3};
    uint32_t top = sum >> 25;
    sum = (sum & 0x1ffffff) << 5 ^ value;
    for (size_t i = 0; i < DV_ARRAY_LEN(generator); i++) {
        sum ^= (top >> i & 1) != 0 ? generator[i] : 0;
    }
    return sum;
}

static uint32_t polymod(const char *prefix, const uint8_t *digits, size_t count)
{
    uint32_t sum = 1;
    for (const char *p = prefix; *p != '\0'; p++) {
        sum = polymod_step(sum, (uint8_t)*p >> 5);
    }
    sum = polymod_step(sum, 0);
    for (const char *p = prefix; *p != '\0'; p++) {
        sum = polymod_step(sum, (uint8_t)*p & 31);
    }
    for (size_t i = 0; i < count; i++) {
        sum = polymod_step(sum, digits[i]);
    }
    return sum;
}

static void bech32_format(const char *prefix, const uint8_t key[DV_AGE_KEY_LEN],
                          char out[DV_AGE_TEXT_MAX])
{
    uint8_t digits[DIGITS + CHECKSUM] = {0};
    for (size_t bit = 0; bit < (size_t)DV_AGE_KEY_LEN * 8; bit++) {
        unsigned set = key[bit / 8] >> (7 - bit % 8) & 1U;
        digits[bit / 5] |= (uint8_t)(set << (4 - bit % 5));
    }
    uint32_t sum = polymod(prefix, digits, DIGITS + CHECKSUM) ^ 1;
    for (size_t i = 0; i < CHECKSUM; i++) {
        digits[DIGITS + i] = sum >> (5 * (CHECKSUM - 1 - i)) & 31;
    }
    int len = snprintf(out, DV_AGE_TEXT_MAX, "%s1", prefix);
    for (size_t i = 0; i < DIGITS + CHECKSUM; i++) {
        out[len++] = charset[digits[i]];
    }
    out[len] = '\0';
    dv_wipe(digits, sizeof(digits));
}

/* Of one case throughout, which is folded to lower. */
static bool fold(dv_slice text, char out[DV_AGE_TEXT_MAX])
{
    bool lower = false, upper = false;
    for (size_t i = 0; i < text.len && text.len < DV_AGE_TEXT_MAX; i++) {
        char byte = (char)text.ptr[i];
        lower = lower || (byte >= 'a' && byte <= 'z');
        upper = upper || (byte >= 'A' && byte <= 'Z');
        out[i] = byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
    }
    out[DV_MIN(text.len, (size_t)DV_AGE_TEXT_MAX - 1)] = '\0';
    return text.len < DV_AGE_TEXT_MAX && lower != upper;
}

static bool take_digits(const char *text, uint8_t digits[DIGITS + CHECKSUM])
{
    for (size_t i = 0; i < DIGITS + CHECKSUM; i++) {
        const char *found = text[i] == '\0' ? NULL : strchr(charset, text[i]);
        if (found == NULL) {
            return false;
        }
        digits[i] = (uint8_t)(found - charset);
    }
    return text[DIGITS + CHECKSUM] == '\0' && (digits[DIGITS - 1] & 15) == 0; /* no stray bits */
}

static dv_result bech32_parse(const char *prefix, dv_slice text, uint8_t out[DV_AGE_KEY_LEN])
{
    char folded[DV_AGE_TEXT_MAX];
    uint8_t digits[DIGITS + CHECKSUM];
    size_t start = strlen(prefix) + 1;
    bool good = fold(text, folded) && text.len == start + DIGITS + CHECKSUM &&
                strncmp(folded, prefix, start - 1) == 0 && folded[start - 1] == '1' &&
                take_digits(folded + start, digits) &&
                polymod(prefix, digits, DIGITS + CHECKSUM) == 1;
    if (good) {
        memset(out, 0, DV_AGE_KEY_LEN);
        for (size_t bit = 0; bit < (size_t)DV_AGE_KEY_LEN * 8; bit++) {
            unsigned set = digits[bit / 5] >> (4 - bit % 5) & 1U;
            out[bit / 8] |= (uint8_t)(set << (7 - bit % 8));
        }
    }
    dv_wipe(folded, sizeof(folded));
    dv_wipe(digits, sizeof(digits));
    return good ? DV_OK : DV_ERR_INVALID;
}

void dv_age_recipient_format(const dv_age_key *recipient, char out[DV_AGE_TEXT_MAX])
{
    bech32_format(recipient_prefix, recipient->bytes, out);
}

dv_result dv_age_recipient_parse(dv_slice text, dv_age_key *ret_recipient)
{
    return bech32_parse(recipient_prefix, text, ret_recipient->bytes);
}

void dv_age_identity_format(const dv_age_key *identity, char out[DV_AGE_TEXT_MAX])
{
    bech32_format(identity_prefix, identity->bytes, out);
    for (char *p = out; *p != '\0'; p++) {
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
    }
}

dv_result dv_age_identity_parse(dv_slice text, dv_age_key *ret_identity)
{
    return bech32_parse(identity_prefix, text, ret_identity->bytes);
}

dv_result dv_age_recipient_of(const dv_age_key *identity, dv_age_key *ret_recipient)
{
    return crypto_scalarmult_base(ret_recipient->bytes, identity->bytes) == 0 ? DV_OK
                                                                              : DV_ERR_INVALID;
}

dv_result dv_age_keypair(dv_age_key *ret_recipient, dv_age_key *ret_identity)
{
    dv_random(ret_identity->bytes, sizeof(ret_identity->bytes));
    return dv_age_recipient_of(ret_identity, ret_recipient);
}

/* -- one secret under another ------------------------------------------------------------------ */

static void seal(const uint8_t key[DV_AGE_KEY_LEN], const uint8_t nonce[NONCE], dv_slice plain,
                 uint8_t *out)
{
    /* Nothing is associated; it can't fail. */
    (void)crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain.ptr, plain.len, NULL, 0, NULL,
                                                    nonce, key);
}

static bool open_sealed(const uint8_t key[DV_AGE_KEY_LEN], const uint8_t nonce[NONCE],
                        dv_slice sealed, uint8_t *out)
{
    return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.ptr, sealed.len, NULL,
                                                     0, nonce, key) == 0;
}

static const uint8_t no_nonce[NONCE]; /* each wrapping key is used once */

/* The key that wraps the file's, of a shared secret. */
static dv_result x25519_wrap_key(const uint8_t secret[DV_AGE_KEY_LEN],
                                 const uint8_t other[DV_AGE_KEY_LEN],
                                 const uint8_t share[DV_AGE_KEY_LEN],
                                 const uint8_t recipient[DV_AGE_KEY_LEN],
                                 uint8_t ret_key[DV_AGE_KEY_LEN])
{
    uint8_t shared[DV_AGE_KEY_LEN], salt[2 * DV_AGE_KEY_LEN];
    memcpy(salt, share, DV_AGE_KEY_LEN);
    memcpy(salt + DV_AGE_KEY_LEN, recipient, DV_AGE_KEY_LEN);
    dv_result result = DV_ERR_INVALID;
    if (crypto_scalarmult(shared, secret, other) == 0) { /* fails for points of low order */
        result = dv_hkdf(dv_slice_of(shared, sizeof(shared)), dv_slice_of(salt, sizeof(salt)),
                         x25519_info, ret_key, DV_AGE_KEY_LEN);
    }
    dv_wipe(shared, sizeof(shared));
    return result;
}

static dv_result scrypt_wrap_key(dv_slice passphrase, const uint8_t salt[SALT], int work,
                                 uint8_t ret_key[DV_AGE_KEY_LEN])
{
    enum { R = 8, P = 1, PREFIX = sizeof(scrypt_salt) - 1 };
    uint8_t whole[PREFIX + SALT];
    memcpy(whole, scrypt_salt, PREFIX);
    memcpy(whole + PREFIX, salt, SALT);
    return crypto_pwhash_scryptsalsa208sha256_ll(passphrase.ptr, passphrase.len, whole,
                                                 sizeof(whole), UINT64_C(1) << work, R, P, ret_key,
                                                 DV_AGE_KEY_LEN) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

/* -- the header -------------------------------------------------------------------------------- */

/* Base64 without padding (RFC 4648 section 4). */
static dv_result put_base64(dv_slice bytes, dv_buf *out)
{
    DV_TRY(dv_base64_encode(bytes, out));
    while (out->len > 0 && out->ptr[out->len - 1] == '=') {
        out->len--;
    }
    return DV_OK;
}

static dv_result take_base64(dv_slice text, uint8_t *out, size_t len)
{
    char padded[64];
    dv_auto(buf) dv_buf bytes = dv_buf_init(64);
    if (text.len == 0 || text.len > sizeof(padded) - 4) {
        return DV_ERR_INVALID;
    }
    size_t at = text.len;
    memcpy(padded, text.ptr, text.len);
    while (at % 4 != 0) {
        padded[at++] = '=';
    }
    DV_TRY(dv_base64_decode(dv_slice_of(padded, at), &bytes));
    if (bytes.len != len) {
        return DV_ERR_INVALID;
    }
    memcpy(out, bytes.ptr, len);
    return DV_OK;
}

static dv_result header_mac(const uint8_t file_key[FILE_KEY], dv_slice header,
                            uint8_t out[DV_SHA256_LEN])
{
    uint8_t key[DV_AGE_KEY_LEN];
    DV_TRY(dv_hkdf(dv_slice_of(file_key, FILE_KEY), DV_LIT(""), "header", key, sizeof(key)));
    dv_hmac_sha256(dv_slice_of(key, sizeof(key)), header, out);
    dv_wipe(key, sizeof(key));
    return DV_OK;
}

static dv_result put_body(const uint8_t key[DV_AGE_KEY_LEN], const uint8_t file_key[FILE_KEY],
                          dv_buf *out)
{
    uint8_t body[BODY];
    seal(key, no_nonce, dv_slice_of(file_key, FILE_KEY), body);
    DV_TRY(dv_buf_append_byte(out, '\n'));
    DV_TRY(put_base64(dv_slice_of(body, sizeof(body)), out));
    return dv_buf_append_byte(out, '\n');
}

static dv_result put_x25519(const dv_age_key *recipient, const uint8_t file_key[FILE_KEY],
                            dv_buf *out)
{
    dv_age_key share, secret;
    uint8_t key[DV_AGE_KEY_LEN];
    DV_TRY(dv_age_keypair(&share, &secret));
    dv_result result =
        x25519_wrap_key(secret.bytes, recipient->bytes, share.bytes, recipient->bytes, key);
    dv_wipe(&secret, sizeof(secret));
    DV_TRY(result);
    DV_TRY(dv_buf_append_str(out, "-> X25519 "));
    DV_TRY(put_base64(dv_slice_of(share.bytes, sizeof(share.bytes)), out));
    result = put_body(key, file_key, out);
    dv_wipe(key, sizeof(key));
    return result;
}

static dv_result put_scrypt(const dv_age_lock *lock, const uint8_t file_key[FILE_KEY], dv_buf *out)
{
    uint8_t salt[SALT], key[DV_AGE_KEY_LEN];
    int work = lock->work > 0 ? lock->work : DV_AGE_WORK;
    dv_random(salt, sizeof(salt));
    DV_TRY(scrypt_wrap_key(lock->passphrase, salt, work, key));
    DV_TRY(dv_buf_append_str(out, "-> scrypt "));
    DV_TRY(put_base64(dv_slice_of(salt, sizeof(salt)), out));
    DV_TRY(dv_buf_append_printf(out, " %d", work));
    dv_result result = put_body(key, file_key, out);
    dv_wipe(key, sizeof(key));
    return result;
}

static dv_result make_header(const dv_age_lock *lock, const uint8_t file_key[FILE_KEY], dv_buf *out)
{
    uint8_t mac[DV_SHA256_LEN];
    DV_TRY(dv_buf_append_str(out, first_line));
    for (size_t i = 0; i < lock->count; i++) {
        DV_TRY(put_x25519(&lock->keys[i], file_key, out));
    }
    if (lock->count == 0) {
        DV_TRY(put_scrypt(lock, file_key, out));
    }
    DV_TRY(dv_buf_append_str(out, "---"));
    DV_TRY(header_mac(file_key, dv_buf_slice(out), mac));
    DV_TRY(dv_buf_append_byte(out, ' '));
    DV_TRY(put_base64(dv_slice_of(mac, sizeof(mac)), out));
    return dv_buf_append_byte(out, '\n');
}

/* -- chunks ------------------------------------------------------------------------------------ */

/* STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015): a chunk's number and whether it is the last.
 */
typedef struct stream {
    uint8_t key[DV_AGE_KEY_LEN];
    uint8_t nonce[NONCE];
} stream;

static dv_result begin_stream(const uint8_t file_key[FILE_KEY], const uint8_t salt[STREAM_NONCE],
                              stream *s)
{
    memset(s->nonce, 0, sizeof(s->nonce));
    return dv_hkdf(dv_slice_of(file_key, FILE_KEY), dv_slice_of(salt, STREAM_NONCE), "payload",
                   s->key, sizeof(s->key));
}

static void next_chunk(stream *s)
{
    for (size_t i = COUNTER; i > 0 && ++s->nonce[i - 1] == 0; i--) {
    }
}

/* -- sealing ----------------------------------------------------------------------------------- */

struct dv_age_writer {
    dv_age_sink sink;
    stream stream;
    size_t len; /* of the chunk that is being filled */
    uint8_t chunk[CHUNK + TAG];
    uint8_t sealed[CHUNK + TAG];
};

void dv_age_writer_free(dv_age_writer *writer)
{
    if (writer != NULL) {
        dv_wipe(writer, sizeof(*writer));
        free(writer);
    }
}

static dv_result check_lock(const dv_age_lock *lock, dv_error *error)
{
    if (lock->count > DV_AGE_RECIPIENTS_MAX) {
        return dv_error_set(error, DV_ERR_INVALID, "it can be sealed to %d keys at most",
                            DV_AGE_RECIPIENTS_MAX);
    }
    return lock->count > 0 || lock->passphrase.len > 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID, "say to which key or passphrase to seal");
}

static dv_result put_head(dv_age_writer *writer, const dv_age_lock *lock,
                          const uint8_t file_key[FILE_KEY], dv_error *error)
{
    uint8_t salt[STREAM_NONCE];
    dv_auto(buf) dv_buf header = dv_buf_init(DV_AGE_HEADER_MAX);
    dv_result result = make_header(lock, file_key, &header);
    if (result == DV_ERR_INVALID) {
        return dv_error_set(error, result, "one of the keys is none");
    }
    DV_TRY(result);
    dv_random(salt, sizeof(salt));
    DV_TRY(begin_stream(file_key, salt, &writer->stream));
    DV_TRY(dv_buf_append(&header, dv_slice_of(salt, sizeof(salt))));
    return writer->sink.put(writer->sink.data, dv_buf_slice(&header), error);
}

dv_result dv_age_writer_new(const dv_age_lock *lock, const dv_age_sink *sink,
                            dv_age_writer **ret_writer, dv_error *error)
{
    uint8_t file_key[FILE_KEY];
    DV_TRY(check_lock(lock, error));
    dv_auto(age_writer) dv_age_writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    writer->sink = *sink;
    dv_random(file_key, sizeof(file_key));
    dv_result result = put_head(writer, lock, file_key, error);
    dv_wipe(file_key, sizeof(file_key));
    DV_TRY(result);
    *ret_writer = writer;
    writer = NULL;
    return DV_OK;
}

static dv_result put_chunk(dv_age_writer *writer, bool last, dv_error *error)
{
    writer->stream.nonce[COUNTER] = last ? 1 : 0;
    seal(writer->stream.key, writer->stream.nonce, dv_slice_of(writer->chunk, writer->len),
         writer->sealed);
    next_chunk(&writer->stream);
    dv_slice sealed = dv_slice_of(writer->sealed, writer->len + TAG);
    writer->len = 0;
    return writer->sink.put(writer->sink.data, sealed, error);
}

/* A full chunk waits until it is known that it is not the last one. */
dv_result dv_age_put(dv_age_writer *writer, dv_slice bytes, dv_error *error)
{
    while (bytes.len > 0) {
        if (writer->len == CHUNK) {
            DV_TRY(put_chunk(writer, false, error));
        }
        dv_slice part = dv_slice_sub(bytes, 0, CHUNK - writer->len);
        memcpy(writer->chunk + writer->len, part.ptr, part.len);
        writer->len += part.len;
        bytes = dv_slice_sub(bytes, part.len, bytes.len);
    }
    return DV_OK;
}

dv_result dv_age_finish(dv_age_writer *writer, dv_error *error)
{
    return put_chunk(writer, true, error);
}

/* -- opening ----------------------------------------------------------------------------------- */

struct dv_age_reader {
    dv_age_source source;
    stream stream;
    uint64_t number;  /* chunks that were opened */
    bool ended;       /* the last one was */
    size_t ready, at; /* bytes of `chunk`, and how many were handed on */
    size_t held;      /* bytes of `sealed` that were read ahead */
    uint8_t chunk[CHUNK + TAG];
    uint8_t sealed[CHUNK + TAG + 1];
};

void dv_age_reader_free(dv_age_reader *reader)
{
    if (reader != NULL) {
        dv_wipe(reader, sizeof(*reader));
        free(reader);
    }
}

static dv_result no_age(dv_error *error)
{
    return dv_error_set(error, DV_ERR_CORRUPT, "its head is damaged, or it is no age file");
}

/* Reads up to there, as far as the source goes. */
static dv_result fill(dv_age_reader *reader, size_t wanted, dv_error *error)
{
    while (reader->held < wanted) {
        size_t got = 0;
        DV_TRY(reader->source.get(reader->source.data, reader->sealed + reader->held,
                                  wanted - reader->held, &got, error));
        if (got == 0) {
            return DV_OK;
        }
        reader->held += got;
    }
    return DV_OK;
}

static void drop(dv_age_reader *reader, size_t len)
{
    reader->held -= len;
    memmove(reader->sealed, reader->sealed + len, reader->held);
}

typedef struct stanza {
    dv_slice type, argument, second; /* what stands in its line */
    dv_slice body;                   /* the first line of it */
    bool simple;                     /* one line, which is all of our kinds */
} stanza;

static bool is_visible(dv_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 33 || text.ptr[i] > 126) {
            return false;
        }
    }
    return text.len > 0;
}

static bool read_arguments(dv_slice line, stanza *ret_stanza)
{
    dv_slice *const places[] = {&ret_stanza->type, &ret_stanza->argument, &ret_stanza->second};
    dv_slice part;
    size_t count = 0;
    while (dv_slice_split(&line, ' ', &part)) {
        if (!is_visible(part)) {
            return false;
        }
        if (count < DV_ARRAY_LEN(places)) {
            *places[count] = part;
        }
        count++;
    }
    ret_stanza->simple = count <= DV_ARRAY_LEN(places);
    return count > 0;
}

/* Takes a stanza off the front: a line, then its body in lines of 64, the last one shorter. */
static bool take_stanza(dv_slice *rest, stanza *ret_stanza)
{
    enum { LINE = 64 };
    dv_slice line;
    *ret_stanza = (stanza){.simple = true};
    if (!dv_slice_split(rest, '\n', &line) || !dv_slice_starts_with(line, DV_LIT("-> ")) ||
        !read_arguments(dv_slice_sub(line, 3, line.len), ret_stanza)) {
        return false;
    }
    size_t lines = 0;
    do {
        if (rest->len == 0 || !dv_slice_split(rest, '\n', &line) || line.len > LINE ||
            (line.len > 0 && !is_visible(line))) {
            return false;
        }
        ret_stanza->body = lines == 0 ? line : ret_stanza->body;
        lines++;
    } while (line.len == LINE);
    ret_stanza->simple = ret_stanza->simple && lines == 1;
    return true;
}

/* DV_ERR_NOT_FOUND: not for this key. */
static dv_result open_x25519(const stanza *s, const dv_age_key *identity,
                             uint8_t ret_file_key[FILE_KEY])
{
    dv_age_key share, recipient;
    uint8_t key[DV_AGE_KEY_LEN], body[BODY];
    if (!s->simple || s->second.len > 0 ||
        take_base64(s->argument, share.bytes, sizeof(share.bytes)) != DV_OK ||
        take_base64(s->body, body, sizeof(body)) != DV_OK) {
        return DV_ERR_CORRUPT;
    }
    DV_TRY(dv_age_recipient_of(identity, &recipient));
    dv_result result =
        x25519_wrap_key(identity->bytes, share.bytes, share.bytes, recipient.bytes, key);
    if (result != DV_OK) {
        return DV_ERR_CORRUPT;
    }
    bool opened = open_sealed(key, no_nonce, dv_slice_of(body, sizeof(body)), ret_file_key);
    dv_wipe(key, sizeof(key));
    return opened ? DV_OK : DV_ERR_NOT_FOUND;
}

static dv_result open_scrypt(const stanza *s, dv_slice passphrase, uint8_t ret_file_key[FILE_KEY])
{
    uint8_t salt[SALT], key[DV_AGE_KEY_LEN], body[BODY];
    if (!s->simple || take_base64(s->argument, salt, sizeof(salt)) != DV_OK ||
        take_base64(s->body, body, sizeof(body)) != DV_OK || s->second.len < 1 ||
        s->second.len > 2 || s->second.ptr[0] < '1' || s->second.ptr[0] > '9') {
        return DV_ERR_CORRUPT;
    }
    int work = s->second.ptr[0] - '0';
    if (s->second.len == 2) {
        if (s->second.ptr[1] < '0' || s->second.ptr[1] > '9') {
            return DV_ERR_CORRUPT;
        }
        work = 10 * work + (s->second.ptr[1] - '0');
    }
    if (work > DV_AGE_WORK_MAX) {
        return DV_ERR_UNSUPPORTED;
    }
    DV_TRY(scrypt_wrap_key(passphrase, salt, work, key));
    bool opened = open_sealed(key, no_nonce, dv_slice_of(body, sizeof(body)), ret_file_key);
    dv_wipe(key, sizeof(key));
    return opened ? DV_OK : DV_ERR_NOT_FOUND;
}

static dv_result open_stanza(const stanza *s, const dv_age_lock *lock,
                             uint8_t ret_file_key[FILE_KEY])
{
    dv_result result = DV_ERR_NOT_FOUND;
    if (lock->count == 0 && dv_slice_eq_str(s->type, "scrypt")) {
        return open_scrypt(s, lock->passphrase, ret_file_key);
    }
    for (size_t i = 0;
         i < lock->count && result == DV_ERR_NOT_FOUND && dv_slice_eq_str(s->type, "X25519"); i++) {
        result = open_x25519(s, &lock->keys[i], ret_file_key);
    }
    return result;
}

/* All stanzas must be well-formed; the first one that opens gives the key. A passphrase stands
 * alone, so that whoever knows it knows that nobody else can open the file. */
static dv_result find_file_key(dv_slice stanzas, const dv_age_lock *lock,
                               uint8_t ret_file_key[FILE_KEY])
{
    stanza s;
    size_t count = 0;
    bool passphrase = false;
    dv_result result = DV_ERR_NOT_FOUND;
    while (stanzas.len > 0) {
        if (++count > DV_AGE_STANZAS_MAX || !take_stanza(&stanzas, &s)) {
            return DV_ERR_CORRUPT;
        }
        passphrase = passphrase || dv_slice_eq_str(s.type, "scrypt");
        if (passphrase && (count > 1 || stanzas.len > 0)) {
            return DV_ERR_CORRUPT;
        }
        if (result == DV_ERR_NOT_FOUND) {
            result = open_stanza(&s, lock, ret_file_key);
        }
    }
    return count == 0 ? DV_ERR_CORRUPT : result;
}

/* Reads the head into `sealed`; *ret_end: behind its last line, *ret_mac: where that begins. */
static dv_result read_head(dv_age_reader *reader, size_t *ret_mac, size_t *ret_end, dv_error *error)
{
    enum { STEP = 512 };
    size_t wanted = 0, before;
    do {
        before = reader->held;
        wanted = DV_MIN(wanted + STEP, (size_t)DV_AGE_HEADER_MAX);
        DV_TRY(fill(reader, wanted, error));
        dv_slice head = dv_slice_of(reader->sealed, reader->held);
        ptrdiff_t at = dv_slice_find(head, DV_LIT("\n--- "));
        ptrdiff_t end =
            at < 0 ? -1 : dv_slice_find_byte(dv_slice_sub(head, (size_t)at + 1, head.len), '\n');
        if (end >= 0) {
            *ret_mac = (size_t)at + 1;
            *ret_end = (size_t)at + 1 + (size_t)end + 1;
            return DV_OK;
        }
    } while (reader->held > before);
    return no_age(error);
}

static dv_result check_mac(dv_slice head, size_t mac_at, const uint8_t file_key[FILE_KEY])
{
    enum { DASHES = 3 };
    uint8_t said[DV_SHA256_LEN], mac[DV_SHA256_LEN];
    size_t text = mac_at + DASHES + 1;
    DV_TRY(take_base64(dv_slice_sub(head, text, head.len - text - 1), said, sizeof(said)));
    DV_TRY(header_mac(file_key, dv_slice_sub(head, 0, mac_at + DASHES), mac));
    return dv_equal_constant_time(dv_slice_of(said, sizeof(said)), dv_slice_of(mac, sizeof(mac)))
               ? DV_OK
               : DV_ERR_CORRUPT;
}

static dv_result key_error(const dv_age_lock *lock, dv_result result, dv_error *error)
{
    switch (result) {
    case DV_ERR_NOT_FOUND:
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            lock->count > 0 ? "it is sealed to none of these keys"
                                            : "it is sealed to another passphrase, or to a key");
    case DV_ERR_UNSUPPORTED:
        return dv_error_set(error, result, "its passphrase takes more than %d MiB to open",
                            1 << (DV_AGE_WORK_MAX - 10));
    case DV_ERR_NO_MEMORY:
        return result;
    default:
        return no_age(error);
    }
}

static dv_result open_head(dv_age_reader *reader, const dv_age_lock *lock,
                           uint8_t file_key[FILE_KEY], dv_error *error)
{
    size_t mac_at = 0, end = 0, first = sizeof(first_line) - 1;
    DV_TRY(read_head(reader, &mac_at, &end, error));
    dv_slice head = dv_slice_of(reader->sealed, end);
    if (!dv_slice_starts_with(head, dv_slice_str(first_line)) || mac_at < first) {
        return no_age(error);
    }
    dv_result result = find_file_key(dv_slice_sub(head, first, mac_at - first), lock, file_key);
    if (result != DV_OK) {
        return key_error(lock, result, error);
    }
    result = check_mac(head, mac_at, file_key);
    if (result != DV_OK) {
        return no_age(error);
    }
    drop(reader, end);
    DV_TRY(fill(reader, STREAM_NONCE, error));
    if (reader->held < STREAM_NONCE) {
        return no_age(error);
    }
    DV_TRY(begin_stream(file_key, reader->sealed, &reader->stream));
    drop(reader, STREAM_NONCE);
    return DV_OK;
}

dv_result dv_age_reader_new(const dv_age_lock *lock, const dv_age_source *source,
                            dv_age_reader **ret_reader, dv_error *error)
{
    uint8_t file_key[FILE_KEY];
    dv_auto(age_reader) dv_age_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    reader->source = *source;
    dv_result result = open_head(reader, lock, file_key, error);
    dv_wipe(file_key, sizeof(file_key));
    DV_TRY(result);
    *ret_reader = reader;
    reader = NULL;
    return DV_OK;
}

/* The last chunk is full or shorter, and holds nothing only where the file holds nothing. */
static dv_result open_chunk(dv_age_reader *reader, dv_error *error)
{
    DV_TRY(fill(reader, sizeof(reader->sealed), error));
    bool last = reader->held < sizeof(reader->sealed);
    size_t len = last ? reader->held : (size_t)CHUNK + TAG;
    reader->stream.nonce[COUNTER] = last ? 1 : 0;
    if (len < TAG || (len == TAG && reader->number > 0) ||
        !open_sealed(reader->stream.key, reader->stream.nonce, dv_slice_of(reader->sealed, len),
                     reader->chunk)) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "it is damaged or cut short in the 64 KiB from byte %llu of its "
                            "contents on",
                            (unsigned long long)(reader->number * CHUNK));
    }
    drop(reader, len);
    next_chunk(&reader->stream);
    reader->number++;
    reader->ended = last;
    reader->ready = len - TAG;
    reader->at = 0;
    return DV_OK;
}

dv_result dv_age_get(dv_age_reader *reader, uint8_t *out, size_t room, size_t *ret_len,
                     dv_error *error)
{
    if (reader->at == reader->ready && !reader->ended) {
        DV_TRY(open_chunk(reader, error));
    }
    size_t len = DV_MIN(reader->ready - reader->at, room);
    memcpy(out, reader->chunk + reader->at, len);
    reader->at += len;
    *ret_len = len;
    return DV_OK;
}
