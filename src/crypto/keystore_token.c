/* SPDX-License-Identifier: Apache-2.0 */
/* PKCS#11 2.40. Which modules there are is p11-kit's to say (/usr/share/p11-kit/modules,
 * pkcs11.conf): no path of a library stands in a keystore, where whoever may write it could have
 * root load code of theirs. Keys are AES-256 token objects, sensitive and not extractable; the
 * token does AES-GCM. */
#include "crypto/keystore_private.h"

#include "crypto/random.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <stdlib.h>

enum {
    SLOTS_MAX = 64,
    LABEL = 32, /* of a token, filled with spaces */
    TAG_BITS = 8 * DV_AEAD_TAG_LEN,
    KEY_BYTES = 32,
    SEALED_MAX = 128,
};

struct dv_token {
    CK_FUNCTION_LIST **modules;
    CK_FUNCTION_LIST *module; /* the token's */
    CK_SESSION_HANDLE session;
    bool open;
};

static dv_result failed(dv_error *error, const char *what, CK_RV code)
{
    return dv_error_set(error, DV_ERR_UNAVAILABLE, "the token: %s: %s", what,
                        p11_kit_strerror(code));
}

/* -- finding it -------------------------------------------------------------------------------- */

static bool label_is(const CK_TOKEN_INFO *info, const char *label)
{
    char padded[LABEL + 1];
    snprintf(padded, sizeof(padded), "%-*.*s", LABEL, LABEL, label);
    return (info->flags & CKF_TOKEN_INITIALIZED) != 0 && memcmp(info->label, padded, LABEL) == 0;
}

/* How many tokens of the module have the label; *ret_slot: one of them. */
static size_t count_in_module(CK_FUNCTION_LIST *module, const char *label, CK_SLOT_ID *ret_slot)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    size_t found = 0;
    if (module->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK) {
        return 0;
    }
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        if (module->C_GetTokenInfo(slots[i], &info) == CKR_OK && label_is(&info, label)) {
            *ret_slot = slots[i];
            found++;
        }
    }
    return found;
}

static dv_result find_token(dv_token *token, const char *label, CK_SLOT_ID *ret_slot,
                            dv_error *error)
{
    size_t found = 0;
    for (size_t i = 0; token->modules[i] != NULL; i++) {
        CK_SLOT_ID slot = 0;
        size_t here = count_in_module(token->modules[i], label, &slot);
        if (here > 0) {
            *ret_slot = slot;
            token->module = token->modules[i];
        }
        found += here;
    }
    if (found == 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND,
                            "there is no token called '%s': `p11-kit list-modules` shows which "
                            "there are",
                            label);
    }
    return found == 1
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "several tokens are called '%s'", label);
}

/* -- opening and closing ----------------------------------------------------------------------- */

void dv_token_free(dv_token *token)
{
    if (token->open) {
        token->module->C_CloseSession(token->session);
    }
    if (token->modules != NULL) {
        p11_kit_modules_finalize_and_release(token->modules);
    }
    free(token);
}
DV_DEFINE_AUTO_PTR(token, dv_token, dv_token_free)

static dv_result log_in(dv_token *token, CK_SLOT_ID slot, dv_slice pin, dv_error *error)
{
    CK_RV code = token->module->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                              &token->session);
    if (code != CKR_OK) {
        return failed(error, "no session", code);
    }
    token->open = true;
    code = token->module->C_Login(token->session, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)pin.ptr,
                                  (CK_ULONG)pin.len);
    switch (code) {
    case CKR_OK:
    case CKR_USER_ALREADY_LOGGED_IN:
        return DV_OK;
    case CKR_PIN_INCORRECT:
    case CKR_PIN_LEN_RANGE:
    case CKR_PIN_INVALID:
        return dv_error_set(error, DV_ERR_FORBIDDEN, "that is not the token's PIN");
    case CKR_PIN_LOCKED:
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "the token's PIN is locked after too many wrong ones");
    default:
        return failed(error, "no login", code);
    }
}

static dv_result load(const char *label, dv_token **ret_token, CK_SLOT_ID *ret_slot,
                      dv_error *error)
{
    dv_auto(token) dv_token *token = calloc(1, sizeof(*token));
    if (token == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    token->modules = p11_kit_modules_load_and_initialize(0);
    if (token->modules == NULL) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "p11-kit: %s", p11_kit_message());
    }
    DV_TRY(find_token(token, label, ret_slot, error));
    *ret_token = token;
    token = NULL;
    return DV_OK;
}

dv_result dv_token_check(const char *label, dv_error *error)
{
    CK_SLOT_ID slot = 0;
    dv_auto(token) dv_token *token = NULL;
    return load(label, &token, &slot, error);
}

dv_result dv_token_open(const char *label, dv_slice pin, dv_token **ret_token, dv_error *error)
{
    CK_SLOT_ID slot = 0;
    dv_auto(token) dv_token *token = NULL;
    DV_TRY(load(label, &token, &slot, error));
    DV_TRY(log_in(token, slot, pin, error));
    *ret_token = token;
    token = NULL;
    return DV_OK;
}

/* -- keys -------------------------------------------------------------------------------------- */

/* PKCS#11 wants pointers it may not write through. */
static CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, const void *value, size_t len)
{
    return (CK_ATTRIBUTE){type, (void *)(uintptr_t)value, (CK_ULONG)len};
}

static const CK_OBJECT_CLASS secret_class = CKO_SECRET_KEY;
static const CK_KEY_TYPE aes_type = CKK_AES;
static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static dv_result find_key(dv_token *token, dv_slice id, CK_OBJECT_HANDLE *ret_key, dv_error *error)
{
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count = 0;
    CK_ATTRIBUTE wanted[] = {attribute(CKA_CLASS, &secret_class, sizeof(secret_class)),
                             attribute(CKA_KEY_TYPE, &aes_type, sizeof(aes_type)),
                             attribute(CKA_ID, id.ptr, id.len)};
    CK_RV code = token->module->C_FindObjectsInit(token->session, wanted, DV_ARRAY_LEN(wanted));
    if (code == CKR_OK) {
        code = token->module->C_FindObjects(token->session, found, DV_ARRAY_LEN(found), &count);
        token->module->C_FindObjectsFinal(token->session);
    }
    if (code != CKR_OK) {
        return failed(error, "no look at its keys", code);
    }
    if (count != 1) {
        return dv_error_set(error, count == 0 ? DV_ERR_NOT_FOUND : DV_ERR_CONFLICT,
                            count == 0 ? "the token does not have this key"
                                       : "the token has this key twice");
    }
    *ret_key = found[0];
    return DV_OK;
}

dv_result dv_token_generate(dv_token *token, dv_slice id, const char *label, dv_error *error)
{
    static const CK_ULONG size = KEY_BYTES;
    CK_OBJECT_HANDLE key;
    CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE wanted[] = {
        attribute(CKA_CLASS, &secret_class, sizeof(secret_class)),
        attribute(CKA_KEY_TYPE, &aes_type, sizeof(aes_type)),
        attribute(CKA_VALUE_LEN, &size, sizeof(size)),
        attribute(CKA_ID, id.ptr, id.len),
        attribute(CKA_LABEL, label, strlen(label)),
        attribute(CKA_TOKEN, &yes, sizeof(yes)),
        attribute(CKA_PRIVATE, &yes, sizeof(yes)),
        attribute(CKA_SENSITIVE, &yes, sizeof(yes)),
        attribute(CKA_EXTRACTABLE, &no, sizeof(no)),
        attribute(CKA_ENCRYPT, &yes, sizeof(yes)),
        attribute(CKA_DECRYPT, &yes, sizeof(yes)),
        attribute(CKA_WRAP, &no, sizeof(no)),
        attribute(CKA_UNWRAP, &no, sizeof(no)),
    };
    CK_RV code = token->module->C_GenerateKey(token->session, &mechanism, wanted,
                                              DV_ARRAY_LEN(wanted), &key);
    return code == CKR_OK ? DV_OK : failed(error, "it makes no key", code);
}

dv_result dv_token_destroy(dv_token *token, dv_slice id, dv_error *error)
{
    CK_OBJECT_HANDLE key;
    DV_TRY(find_key(token, id, &key, error));
    CK_RV code = token->module->C_DestroyObject(token->session, key);
    return code == CKR_OK ? DV_OK : failed(error, "it does not destroy the key", code);
}

static CK_GCM_PARAMS gcm(const uint8_t *nonce, dv_slice associated)
{
    return (CK_GCM_PARAMS){.iv_ptr = (unsigned char *)(uintptr_t)nonce,
                           .iv_len = DV_AEAD_NONCE_LEN,
                           .iv_bits = DV_AEAD_NONCE_LEN * 8,
                           .aad_ptr = (unsigned char *)(uintptr_t)associated.ptr,
                           .aad_len = (CK_ULONG)associated.len,
                           .tag_bits = TAG_BITS};
}

dv_result dv_token_seal(dv_token *token, dv_slice id, dv_slice associated, dv_slice plain,
                        uint8_t *out, dv_error *error)
{
    CK_OBJECT_HANDLE key;
    CK_ULONG len = (CK_ULONG)plain.len + DV_AEAD_TAG_LEN;
    DV_TRY(find_key(token, id, &key, error));
    dv_random(out, DV_AEAD_NONCE_LEN);
    CK_GCM_PARAMS params = gcm(out, associated);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &params, sizeof(params)};
    CK_RV code = token->module->C_EncryptInit(token->session, &mechanism, key);
    if (code == CKR_OK) {
        code = token->module->C_Encrypt(token->session, (CK_BYTE *)(uintptr_t)plain.ptr,
                                        (CK_ULONG)plain.len, out + DV_AEAD_NONCE_LEN, &len);
    }
    return code == CKR_OK && len == plain.len + DV_AEAD_TAG_LEN
               ? DV_OK
               : failed(error, "it does not encrypt with AES-GCM", code);
}

/* Tokens differ in what they say of a tag that is wrong; none hands plaintext out then. */
dv_result dv_token_unseal(dv_token *token, dv_slice id, dv_slice associated, dv_slice sealed,
                          uint8_t *out, dv_error *error)
{
    CK_OBJECT_HANDLE key;
    uint8_t plain[SEALED_MAX];
    CK_ULONG len = sizeof(plain);
    if (sealed.len <= DV_KEY_WRAP_OVERHEAD || sealed.len > sizeof(plain)) {
        return DV_ERR_CORRUPT;
    }
    DV_TRY(find_key(token, id, &key, error));
    CK_GCM_PARAMS params = gcm(sealed.ptr, associated);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &params, sizeof(params)};
    CK_RV code = token->module->C_DecryptInit(token->session, &mechanism, key);
    if (code != CKR_OK) {
        return failed(error, "it does not decrypt with AES-GCM", code);
    }
    code = token->module->C_Decrypt(token->session,
                                    (CK_BYTE *)(uintptr_t)(sealed.ptr + DV_AEAD_NONCE_LEN),
                                    (CK_ULONG)(sealed.len - DV_AEAD_NONCE_LEN), plain, &len);
    bool good = code == CKR_OK && len == sealed.len - DV_KEY_WRAP_OVERHEAD;
    if (good) {
        memcpy(out, plain, len);
    }
    dv_wipe(plain, sizeof(plain));
    if (!good && (code == CKR_DEVICE_REMOVED || code == CKR_DEVICE_ERROR ||
                  code == CKR_SESSION_HANDLE_INVALID || code == CKR_HOST_MEMORY)) {
        return failed(error, "it does not decrypt", code);
    }
    return good ? DV_OK : dv_error_set(error, DV_ERR_CORRUPT, "the token refuses what is sealed");
}
