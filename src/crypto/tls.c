/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

struct dv_tls_server {
    SSL_CTX *context;
};

struct dv_tls {
    SSL *ssl;
};

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return text == NULL ? "can not be used" : text;
}

static dv_result load(SSL_CTX *context, const char *certificate, const char *key,
                      const char *client_ca, dv_error *error)
{
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1) {
        return dv_error_set(error, DV_ERR_INVALID, "certificate %s: %s", certificate, reason());
    }
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return dv_error_set(error, DV_ERR_INVALID, "key %s: %s", key, reason());
    }
    if (client_ca == NULL) {
        return DV_OK;
    }
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(client_ca);
    if (names == NULL || SSL_CTX_load_verify_locations(context, client_ca, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return dv_error_set(error, DV_ERR_INVALID, "client_ca %s: %s", client_ca, reason());
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return DV_OK;
}

dv_result dv_tls_server_new(const char *certificate, const char *key, const char *client_ca,
                            bool tls_12, dv_tls_server **ret_server, dv_error *error)
{
    dv_tls_server *server = calloc(1, sizeof *server);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (server == NULL || context == NULL) {
        free(server);
        SSL_CTX_free(context);
        return DV_ERR_NO_MEMORY;
    }
    server->context = context;
    /* No tickets: nothing to keep for a next time. */
    SSL_CTX_set_min_proto_version(context, tls_12 ? TLS1_2_VERSION : TLS1_3_VERSION);
    SSL_CTX_set_options(context,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    dv_result result = load(context, certificate, key, client_ca, error);
    if (result != DV_OK) {
        dv_tls_server_free(server);
        return result;
    }
    *ret_server = server;
    return DV_OK;
}

void dv_tls_server_free(dv_tls_server *server)
{
    if (server != NULL) {
        SSL_CTX_free(server->context);
        free(server);
    }
}

dv_result dv_tls_accept(dv_tls_server *server, int fd, dv_tls **ret_tls)
{
    dv_tls *tls = calloc(1, sizeof *tls);
    SSL *ssl = SSL_new(server->context);
    if (tls == NULL || ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        free(tls);
        SSL_free(ssl);
        return DV_ERR_NO_MEMORY;
    }
    SSL_set_accept_state(ssl);
    tls->ssl = ssl;
    *ret_tls = tls;
    return DV_OK;
}

void dv_tls_free(dv_tls *tls)
{
    if (tls != NULL) {
        ERR_clear_error();
        if (SSL_is_init_finished(tls->ssl)) {
            (void)SSL_shutdown(tls->ssl);
        }
        ERR_clear_error();
        SSL_free(tls->ssl);
        free(tls);
    }
}

dv_result dv_tls_read(dv_tls *tls, uint8_t *out, size_t size, size_t *ret_len, bool *ret_writes,
                      dv_error *error)
{
    size_t len = 0;
    ERR_clear_error();
    int done = SSL_read_ex(tls->ssl, out, size, &len);
    if (done == 1) {
        *ret_len = len;
        return DV_OK;
    }
    int why = SSL_get_error(tls->ssl, done);
    switch (why) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        *ret_writes = why == SSL_ERROR_WANT_WRITE;
        return DV_ERR_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return DV_ERR_NOT_FOUND;
    default:
        return dv_error_set(error, DV_ERR_IO, "TLS: %s", reason());
    }
}

void dv_tls_peer_name(const dv_tls *tls, char *out, size_t size)
{
    X509 *peer = SSL_get0_peer_certificate(tls->ssl);
    out[0] = '\0';
    if (peer != NULL && SSL_get_verify_result(tls->ssl) == X509_V_OK) {
        X509_NAME_oneline(X509_get_subject_name(peer), out, (int)size);
    }
}
