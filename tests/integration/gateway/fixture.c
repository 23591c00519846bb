/* SPDX-License-Identifier: Apache-2.0 */
/* Makes for the gateway's tests what dvarad and dvara-logd make in the product: the snapshot, the
 * log's key, nginx.conf; and reads the spool back.
 *
 *   fixture init RUNTIME                     pepper, placeholder key, log key
 *   fixture config RUNTIME FILE              the gateway's configuration
 *   fixture masking-key RUNTIME FILE         the key of actions on values
 *   fixture policies RUNTIME FILE            Cedar's text
 *   fixture key RUNTIME ID USER ANCESTOR...  a user with one API key; prints the key (KEY_EXPIRES:
 *                                            nanoseconds of its life)
 *   fixture user RUNTIME USER ANCESTOR...    the user's roles and groups
 *   fixture suspend RUNTIME USER
 *   fixture revoke RUNTIME ID
 *   fixture records RUNTIME SPOOL            every record as a line of JSON
 *   fixture conf LISTEN ADMIN UPSTREAM MODULE RUNTIME SPOOL COUNTERS [CERT KEY]
 */
#include "base/caps.h"
#include "base/codec.h"
#include "base/file.h"
#include "core/event_code.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "engine/detect/action/action.h"
#include "engine/log/segment.h"
#include "engine/log/spool.h"
#include "gateway/nginx_conf.h"
#include "room/api/gate/api_config.h"
#include "room/auth/gate/api_key.h"
#include "room/auth/gate/record.h"
#include "store/snapshot.h"

#include <dirent.h>
#include <unistd.h>

static void check(dv_result result, const dv_error *error, const char *what)
{
    if (result != DV_OK) {
        (void)fprintf(stderr, "%s: %s: %s\n", what, dv_result_name(result),
                      error != NULL ? error->message : "");
        exit(1);
    }
}

static dv_snapshot *open_snapshot(const char *runtime)
{
    char path[1024];
    dv_snapshot *snapshot = NULL;
    dv_error error = {0};
    (void)snprintf(path, sizeof(path), "%s/snapshot", runtime);
    check(dv_snapshot_open_writer(path, &snapshot, &error), &error, "open snapshot");
    return snapshot;
}

static dv_snapshot *begin_write(const char *runtime)
{
    dv_snapshot *snapshot = open_snapshot(runtime);
    dv_error error = {0};
    check(dv_snapshot_write_begin(snapshot, &error), &error, "begin to write");
    return snapshot;
}

static void put(dv_snapshot *snapshot, dv_snapshot_table table, dv_slice key, dv_slice value)
{
    check(dv_snapshot_put(snapshot, table, key, value), NULL, "put");
}

static void commit(dv_snapshot *snapshot)
{
    check(dv_snapshot_commit(snapshot, 1), NULL, "commit");
    dv_snapshot_close(snapshot);
}

static void write_hex(const char *runtime, const char *name, const uint8_t *bytes, size_t len)
{
    char path[1024];
    dv_error error = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(1024);
    (void)snprintf(path, sizeof(path), "%s/%s", runtime, name);
    check(dv_hex_encode(dv_slice_of(bytes, len), &text), NULL, "hex");
    check(dv_file_write_atomic(path, dv_buf_slice(&text), 0644, &error), &error, path);
}

static void read_hex(const char *runtime, const char *name, uint8_t *out, size_t len)
{
    char path[1024];
    dv_error error = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(1024);
    (void)snprintf(path, sizeof(path), "%s/%s", runtime, name);
    check(dv_file_read(path, &text, &error), &error, path);
    check(dv_hex_decode(dv_buf_slice(&text), out, len), NULL, path);
}

static void init(char **argv)
{
    uint8_t public_key[32];
    uint8_t secret_key[32];
    uint8_t random[96];
    dv_box_keypair(public_key, secret_key);
    write_hex(argv[0], DV_LOG_KEY_FILE, public_key, sizeof(public_key));
    write_hex(argv[0], "log.secret", secret_key, sizeof(secret_key));
    dv_random(random, sizeof(random));
    dv_snapshot *snapshot = begin_write(argv[0]);
    put(snapshot, DV_TABLE_META, DV_META_PEPPER, dv_slice_of(random, 32));
    put(snapshot, DV_TABLE_ROUTES, DV_LIT(DV_API_PLACEHOLDER_KEY), dv_slice_of(random + 32, 32));
    put(snapshot, DV_TABLE_ROUTES, DV_LIT(DV_API_MASKING_KEY), dv_slice_of(random + 64, 32));
    commit(snapshot);
}

/* The key of actions on values, from a file as `dvara data` takes it. */
static void masking_key(char **argv)
{
    uint8_t key[DV_ACTION_KEY_LEN];
    dv_error error = {0};
    check(dv_action_key_read(argv[1], key, &error), &error, argv[1]);
    dv_snapshot *snapshot = begin_write(argv[0]);
    put(snapshot, DV_TABLE_ROUTES, DV_LIT(DV_API_MASKING_KEY), dv_slice_of(key, sizeof(key)));
    commit(snapshot);
}

static void config(char **argv)
{
    dv_error error = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    check(dv_file_read(argv[1], &text, &error), &error, argv[1]);
    dv_snapshot *snapshot = begin_write(argv[0]);
    put(snapshot, DV_TABLE_ROUTES, DV_LIT(DV_API_CONFIG_KEY), dv_buf_slice(&text));
    commit(snapshot);
}

static void policies(char **argv)
{
    dv_error error = {0};
    uint8_t version[DV_SHA256_LEN];
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    check(dv_file_read(argv[1], &text, &error), &error, argv[1]);
    dv_sha256(dv_buf_slice(&text), DV_LIT(""), DV_LIT(""), version);
    dv_snapshot *snapshot = begin_write(argv[0]);
    put(snapshot, DV_TABLE_POLICIES, DV_POLICIES_TEXT, dv_buf_slice(&text));
    put(snapshot, DV_TABLE_POLICIES, DV_POLICIES_VERSION, dv_slice_of(version, sizeof(version)));
    commit(snapshot);
}

/* Ancestors that begin with Group:: come first. */
static void put_principal(dv_snapshot *snapshot, const char *user, bool active, char **ancestors,
                          size_t count)
{
    char text[DV_ENTITY_TEXT_MAX];
    dv_slice entity = {0};
    dv_slice slices[16];
    size_t groups = 0;
    dv_auto(buf) dv_buf record = dv_buf_init(DV_RECORD_MAX);
    for (size_t i = 0; i < count && i < DV_ARRAY_LEN(slices); i++) {
        slices[i] = dv_slice_str(ancestors[i]);
        groups += dv_slice_starts_with(slices[i], DV_LIT("Group::"));
    }
    check(dv_entity_text("User", dv_slice_str(user), text, &entity), NULL, "entity");
    check(dv_principal_encode(DV_PRINCIPAL_USER, dv_slice_str(user), active, slices, count, groups,
                              &record),
          NULL, "principal");
    put(snapshot, DV_TABLE_PRINCIPALS, entity, dv_buf_slice(&record));
}

static void key(int argc, char **argv)
{
    char digits[DV_API_KEY_RANDOM_LEN];
    char text[DV_API_KEY_LEN + 1];
    dv_slice pepper = {0};
    dv_hmac *hmac = NULL;
    dv_auto(buf) dv_buf record = dv_buf_init(DV_RECORD_MAX);
    dv_credential_record credential = {
        .owner_type = DV_PRINCIPAL_USER, .owner = dv_slice_str(argv[2]), .expires = DV_TIME_NEVER};
    const char *expires = getenv("KEY_EXPIRES"); /* nanoseconds from now */
    if (expires != NULL) {
        credential.expires = dv_time_now() + strtoll(expires, NULL, 10);
    }
    dv_random_base62(digits, sizeof(digits));
    check(dv_api_key_format(dv_slice_str(argv[1]), dv_slice_of(digits, sizeof(digits)), text), NULL,
          "key");
    dv_snapshot *snapshot = open_snapshot(argv[0]);
    check(dv_snapshot_begin(snapshot), NULL, "begin");
    check(dv_snapshot_get(snapshot, DV_TABLE_META, DV_META_PEPPER, &pepper), NULL, "pepper");
    check(dv_hmac_new(pepper.ptr, &hmac), NULL, "hmac");
    dv_snapshot_end(snapshot);
    dv_hmac_sign(hmac, dv_slice_str(text), credential.secret);
    dv_hmac_free(hmac);
    check(dv_credential_encode(&credential, NULL, &record), NULL, "credential");
    check(dv_snapshot_write_begin(snapshot, NULL), NULL, "begin to write");
    put(snapshot, DV_TABLE_CREDENTIALS, dv_slice_str(argv[1]), dv_buf_slice(&record));
    put_principal(snapshot, argv[2], true, argv + 3, (size_t)argc - 3);
    commit(snapshot);
    (void)printf("%s\n", text);
}

static void set_user(int argc, char **argv, bool active)
{
    dv_snapshot *snapshot = begin_write(argv[0]);
    put_principal(snapshot, argv[1], active, argv + 2, (size_t)argc - 2);
    commit(snapshot);
}

static void revoke_key(char **argv)
{
    dv_snapshot *snapshot = begin_write(argv[0]);
    check(dv_snapshot_delete(snapshot, DV_TABLE_CREDENTIALS, dv_slice_str(argv[1])), NULL,
          "delete");
    commit(snapshot);
}

/* Another secret takes the key over; the one before is good for some nanoseconds more. */
static void rotate_key(char **argv)
{
    dv_slice bytes = {0};
    dv_credential_record credential = {0};
    dv_auto(buf) dv_buf record = dv_buf_init(DV_RECORD_MAX);
    dv_snapshot *snapshot = open_snapshot(argv[0]);
    check(dv_snapshot_begin(snapshot), NULL, "begin");
    check(dv_snapshot_get(snapshot, DV_TABLE_CREDENTIALS, dv_slice_str(argv[1]), &bytes), NULL,
          "key");
    check(dv_credential_decode(bytes, &credential), NULL, "record");
    memcpy(credential.previous, credential.secret, sizeof(credential.previous));
    dv_random(credential.secret, sizeof(credential.secret));
    credential.previous_expires = dv_time_now() + strtoll(argv[2], NULL, 10);
    check(dv_credential_encode(&credential, NULL, &record), NULL, "credential");
    dv_snapshot_end(snapshot);
    check(dv_snapshot_write_begin(snapshot, NULL), NULL, "begin to write");
    put(snapshot, DV_TABLE_CREDENTIALS, dv_slice_str(argv[1]), dv_buf_slice(&record));
    commit(snapshot);
}

static void print_segment(const char *path, const dv_log_keys *keys)
{
    dv_auto(segment) dv_segment *segment = NULL;
    dv_segment_record record = {0};
    dv_error error = {0};
    check(dv_segment_open(path, keys, &segment, &error), &error, path);
    dv_auto(buf) dv_buf room = dv_buf_init(DV_LIMIT_RECORD);
    dv_result result = dv_segment_next(segment, &record, &error);
    while (result == DV_OK) {
        dv_slice event = {0};
        check(dv_event_code_text(record.text, &room, NULL, &event, &error), &error, path);
        (void)printf("%.*s\n", DV_SLICE_ARGS(event));
        result = dv_segment_next(segment, &record, &error);
    }
    if (result != DV_ERR_AGAIN && result != DV_ERR_NOT_FOUND) {
        check(result, &error, path);
    }
}

static void records(char **argv)
{
    dv_log_keys keys;
    struct dirent **names = NULL;
    read_hex(argv[0], DV_LOG_KEY_FILE, keys.public_key, sizeof(keys.public_key));
    read_hex(argv[0], "log.secret", keys.secret_key, sizeof(keys.secret_key));
    int count = scandir(argv[1], &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[1024];
        (void)snprintf(path, sizeof(path), "%s/%s", argv[1], names[i]->d_name);
        if (dv_slice_ends_with(dv_slice_str(path), DV_LIT(DV_SEGMENT_SUFFIX))) {
            print_segment(path, &keys);
        }
        free(names[i]);
    }
    free(names);
}

static void conf(int argc, char **argv)
{
    char temp[1024];
    const char *const servers[] = {argv[2]};
    dv_nginx_upstream upstream = {.name = "default",
                                  .servers = servers,
                                  .server_count = 1,
                                  .connect_timeout_s = 2,
                                  .answer_timeout_s = 3};
    (void)snprintf(temp, sizeof(temp), "%s/nginx", argv[4]);
    dv_nginx_conf parameters = {
        .gate_listen = argv[0],
        .admin_listen = argv[1],
        .upstreams = &upstream,
        .upstream_count = 1,
        .upstream_ca = getenv("UPSTREAM_CA"),
        .upstream_tls_12 = getenv("UPSTREAM_TLS_12") != NULL,
        .workers = 1,
        .daemonless = true,
        .user = geteuid() == 0 ? "root" : NULL, /* the test's folders are only its own */
        .module = argv[3],
        .runtime_dir = argv[4],
        .temp_dir = temp,
        .spool_dir = argv[5],
        .counters = argv[6],
        .certificate = argc > 8 ? argv[7] : NULL,
        .certificate_key = argc > 8 ? argv[8] : NULL,
    };
    dv_error error = {0};
    dv_auto(buf) dv_buf out = dv_buf_init(DV_NGINX_CONF_MAX);
    check(dv_nginx_conf_render(&parameters, &out, &error), &error, "nginx.conf");
    (void)printf("%s", dv_buf_cstr(&out));
}

int main(int argc, char **argv)
{
    dv_slice verb = dv_slice_str(argc > 2 ? argv[1] : "");
    argc -= 2;
    argv += 2;
    if (dv_slice_eq_str(verb, "init")) {
        init(argv);
    } else if (dv_slice_eq_str(verb, "config") && argc == 2) {
        config(argv);
    } else if (dv_slice_eq_str(verb, "masking-key") && argc == 2) {
        masking_key(argv);
    } else if (dv_slice_eq_str(verb, "policies") && argc == 2) {
        policies(argv);
    } else if (dv_slice_eq_str(verb, "key") && argc >= 3) {
        key(argc, argv);
    } else if (dv_slice_eq_str(verb, "user") && argc >= 2) {
        set_user(argc, argv, true);
    } else if (dv_slice_eq_str(verb, "suspend") && argc == 2) {
        set_user(argc, argv, false);
    } else if (dv_slice_eq_str(verb, "revoke") && argc == 2) {
        revoke_key(argv);
    } else if (dv_slice_eq_str(verb, "rotate") && argc == 3) {
        rotate_key(argv);
    } else if (dv_slice_eq_str(verb, "records") && argc == 2) {
        records(argv);
    } else if (dv_slice_eq_str(verb, "conf") && argc >= 7) {
        conf(argc, argv);
    } else {
        (void)fputs("usage: see fixture.c\n", stderr);
        return 2;
    }
    return 0;
}
