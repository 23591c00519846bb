/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/keyring.h"

#include "cli/secret.h"
#include "crypto/random.h"

void dv_keyring_release(dv_keyring *ring)
{
    dv_wipe(ring->keys, sizeof(ring->keys));
    dv_buf_wipe(&ring->passphrase);
}

static dv_result read_passphrase(dv_keyring *ring, const char *path, dv_error *error)
{
    ring->passphrase = dv_buf_init(DV_SECRET_MAX);
    DV_TRY(dv_secret_read(path, &ring->passphrase, error));
    ring->lock.passphrase = dv_buf_slice(&ring->passphrase);
    return DV_OK;
}

dv_result dv_keyring_recipients(dv_keyring *ring, const json_t *list, dv_error *error)
{
    size_t i;
    const json_t *text;
    json_array_foreach(list, i, text)
    {
        if (ring->lock.count == DV_AGE_RECIPIENTS_MAX ||
            dv_age_recipient_parse(dv_slice_str(json_string_value(text)),
                                   &ring->keys[ring->lock.count]) != DV_OK) {
            /* It is not repeated: it may be the secret half. */
            return dv_error_set(
                error, DV_ERR_INVALID,
                "recipient %zu is no public half such as age1ql3z7hjy54pw3hyww5ay... "
                "(%d at most)",
                i + 1, DV_AGE_RECIPIENTS_MAX);
        }
        ring->lock.count++;
    }
    ring->lock.keys = ring->keys;
    return DV_OK;
}

dv_result dv_keyring_identities(dv_keyring *ring, const char *path, dv_error *error)
{
    dv_auto(secret_buf) dv_buf text = dv_buf_init(DV_SECRET_MAX);
    DV_TRY(dv_secret_read(path, &text, error));
    dv_slice line, rest = dv_buf_slice(&text);
    while (dv_slice_split(&rest, '\n', &line)) {
        line = dv_slice_trim(line);
        if (line.len == 0 || line.ptr[0] == '#') {
            continue;
        }
        if (ring->lock.count == DV_AGE_RECIPIENTS_MAX ||
            dv_age_identity_parse(line, &ring->keys[ring->lock.count]) != DV_OK) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "%s holds a line that is no AGE-SECRET-KEY-1...", path);
        }
        ring->lock.count++;
    }
    ring->lock.keys = ring->keys;
    return ring->lock.count > 0 ? DV_OK
                                : dv_error_set(error, DV_ERR_INVALID, "%s holds no key", path);
}

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

dv_result dv_keyring_lock(dv_keyring *ring, const json_t *params, dv_error *error)
{
    const json_t *recipients = json_object_get(params, "recipient");
    const char *passphrase = text_param(params, "passphrase_file");
    if ((recipients != NULL) == (passphrase != NULL)) {
        return dv_error_set(error, DV_ERR_INVALID, "say either --recipient or --passphrase-file");
    }
    return recipients != NULL ? dv_keyring_recipients(ring, recipients, error)
                              : read_passphrase(ring, passphrase, error);
}

dv_result dv_keyring_opener(dv_keyring *ring, const json_t *params, dv_error *error)
{
    const char *identity = text_param(params, "identity_file");
    const char *passphrase = text_param(params, "passphrase_file");
    if ((identity != NULL) == (passphrase != NULL)) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "say either --identity-file or --passphrase-file");
    }
    return identity != NULL ? dv_keyring_identities(ring, identity, error)
                            : read_passphrase(ring, passphrase, error);
}

dv_result dv_keyring_begin(dv_error *error)
{
    return dv_process_undumpable() == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "this process can not be kept from core dumps");
}
