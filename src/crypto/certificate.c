/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/certificate.h"

#include "crypto/hash.h"
#include "crypto/random.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

DV_DEFINE_AUTO_PTR(pkey, EVP_PKEY, EVP_PKEY_free)
DV_DEFINE_AUTO_PTR(x509, X509, X509_free)
DV_DEFINE_AUTO_PTR(bio, BIO, BIO_free_all)
DV_DEFINE_AUTO_PTR(bignum, BIGNUM, BN_free)

/* "DNS:localhost,IP:127.0.0.1" of "localhost,127.0.0.1". */
static dv_result alternative_names(const char *names, dv_buf *out)
{
    dv_slice rest = dv_slice_str(names), name;
    while (dv_slice_split(&rest, ',', &name)) {
        char text[256];
        uint8_t address[sizeof(struct in6_addr)];
        if (name.len == 0 || name.len >= sizeof(text)) {
            return DV_ERR_INVALID;
        }
        for (size_t i = 0; i < name.len; i++) {
            bool plain = dv_slice_find_byte(DV_LIT(":.-*_"), name.ptr[i]) >= 0 ||
                         (name.ptr[i] >= '0' && name.ptr[i] <= '9') ||
                         ((name.ptr[i] | 0x20) >= 'a' && (name.ptr[i] | 0x20) <= 'z');
            if (!plain) {
                return DV_ERR_INVALID;
            }
        }
        snprintf(text, sizeof(text), "%.*s", DV_SLICE_ARGS(name));
        bool is_address =
            inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
        DV_TRY(dv_buf_append_printf(out, "%s%s:%s", out->len > 0 ? "," : "",
                                    is_address ? "IP" : "DNS", text));
    }
    return out->len > 0 ? DV_OK : DV_ERR_INVALID;
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

/* RFC 5280 section 4.1.2.2: positive, at most 20 bytes, not to be guessed. */
static bool set_serial(X509 *certificate)
{
    uint8_t bytes[16];
    dv_random(bytes, sizeof(bytes));
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40);
    dv_auto(bignum) BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    return number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
}

static bool set_name(X509 *certificate)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)"Dvara", -1, -1,
                                      0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1;
}

static bool set_validity(X509 *certificate, dv_time not_before, dv_time not_after)
{
    return ASN1_TIME_set(X509_getm_notBefore(certificate), not_before / DV_SECOND) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), not_after / DV_SECOND) != NULL;
}

static X509 *certificate_sign(EVP_PKEY *key, const char *names, dv_time not_before,
                              dv_time not_after)
{
    dv_auto(x509) X509 *certificate = X509_new();
    bool ok = certificate != NULL && X509_set_version(certificate, X509_VERSION_3) == 1 &&
              set_serial(certificate) && set_name(certificate) &&
              set_validity(certificate, not_before, not_after) &&
              X509_set_pubkey(certificate, key) == 1 &&
              add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
              add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
              add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
              add_extension(certificate, NID_subject_key_identifier, "hash") &&
              add_extension(certificate, NID_subject_alt_name, names) &&
              X509_sign(certificate, key, EVP_sha256()) != 0;
    if (!ok) {
        return NULL;
    }
    X509 *made = certificate;
    certificate = NULL;
    return made;
}

static dv_result copy_bio(BIO *bio, dv_buf *out)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    return len < 0 ? DV_ERR_INTERNAL : dv_buf_append(out, dv_slice_of(bytes, (size_t)len));
}

dv_result dv_certificate_self_signed(const char *names, dv_time not_before, dv_time not_after,
                                     dv_buf *ret_key_pem, dv_buf *ret_certificate_pem,
                                     dv_error *error)
{
    dv_auto(buf) dv_buf alternatives = dv_buf_init(4096);
    if (alternative_names(names, &alternatives) != DV_OK || not_after <= not_before) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "can not make a certificate for '%s': give host names and addresses "
                            "separated by commas",
                            names);
    }
    dv_auto(pkey) EVP_PKEY *key = EVP_EC_gen("P-256");
    dv_auto(x509) X509 *certificate =
        key == NULL ? NULL
                    : certificate_sign(key, dv_buf_cstr(&alternatives), not_before, not_after);
    dv_auto(bio) BIO *key_bio = BIO_new(BIO_s_secmem());
    dv_auto(bio) BIO *certificate_bio = BIO_new(BIO_s_mem());
    if (certificate == NULL || key_bio == NULL || certificate_bio == NULL ||
        PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_X509(certificate_bio, certificate) != 1) {
        return dv_error_set(error, DV_ERR_INTERNAL, "OpenSSL could not make a certificate");
    }
    DV_TRY(copy_bio(key_bio, ret_key_pem));
    return copy_bio(certificate_bio, ret_certificate_pem);
}

static dv_time time_of_asn1(const ASN1_TIME *time)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1) {
        return 0;
    }
    return (dv_time)timegm(&parts) * DV_SECOND;
}

dv_result dv_certificate_fingerprint(dv_slice certificate_pem, uint8_t ret_digest[32],
                                     dv_time *ret_not_after)
{
    if (certificate_pem.len > INT32_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_auto(bio) BIO *bio = BIO_new_mem_buf(certificate_pem.ptr, (int)certificate_pem.len);
    dv_auto(x509) X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    unsigned len = DV_SHA256_LEN;
    if (certificate == NULL || X509_digest(certificate, EVP_sha256(), ret_digest, &len) != 1) {
        return DV_ERR_INVALID;
    }
    *ret_not_after = time_of_asn1(X509_get0_notAfter(certificate));
    return DV_OK;
}
