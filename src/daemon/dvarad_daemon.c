/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/dvarad_daemon.h"

#include "base/caps.h"
#include "base/file.h"
#include "core/event.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "daemon/config.h"
#include "daemon/dvarad_keys.h"
#include "daemon/dvarad_log.h"
#include "daemon/dvarad_settings.h"
#include "room/audit/control/audit_control.h"
#include "room/audit/control/nodes_search.h"
#include "room/audit/control/retention_client.h"
#include "room/audit/control/witness_client.h"
#include "room/auth/control/auth_control.h"
#include "room/data/control/data_control.h"
#include "room/data/control/keys.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPOOL_SEGMENT_MAX = 64 << 20, LOG_KEY_WAIT_MS = 10000, LOG_KEY_STEP_MS = 50 };

struct dv_daemon {
    dv_control control;
    char state_dir[PATH_MAX];
    char runtime_dir[PATH_MAX];
    char spool_dir[PATH_MAX];
    char *config_path; /* NULL: defaults */
    uint8_t master_key[DV_MASTER_KEY_LEN];
    gid_t group;
    bool started; /* the start was recorded */
};

dv_result dv_daemon_harden(dv_error *error)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return dv_error_set(error, DV_ERR_IO, "this process can not be hardened: %s",
                            strerror(errno));
    }
    umask(umask(0077) | 0007); /* the group only gets what the supervisor lets it have */
    return dv_process_undumpable();
}

/* A folder that others can write or that is not ours would let them change what we serve from. */
static dv_result own_folder(const char *path, char ret_path[PATH_MAX], struct stat *ret_stat,
                            dv_error *error)
{
    if (realpath(path, ret_path) == NULL || stat(ret_path, ret_stat) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    if (!S_ISDIR(ret_stat->st_mode) || ret_stat->st_uid != geteuid() ||
        (ret_stat->st_mode & 0022) != 0) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "%s must be a folder of this user that nobody else can write", path);
    }
    return DV_OK;
}

static dv_result open_folders(dv_daemon *daemon, const dv_service_options *options, dv_error *error)
{
    struct stat stat;
    DV_TRY(own_folder(options->state_dir, daemon->state_dir, &stat, error));
    DV_TRY(own_folder(options->runtime_dir, daemon->runtime_dir, &stat, error));
    daemon->group = stat.st_gid;
    if (snprintf(daemon->spool_dir, PATH_MAX, "%s/spool", daemon->runtime_dir) >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_INVALID, "%s: the path is too long",
                            options->runtime_dir);
    }
    return DV_OK;
}

static dv_result open_store(dv_daemon *daemon, dv_error *error)
{
    dv_services *services = &daemon->control.services;
    char path[PATH_MAX + 16];
    DV_TRY(dv_master_key_load(daemon->state_dir, daemon->master_key, error));
    services->master_key = daemon->master_key;
    snprintf(path, sizeof(path), "%s/dvara.db", daemon->state_dir);
    dv_store_copy_remove(services->state_dir);
    DV_TRY(dv_store_check_there(daemon->state_dir, path, error));
    DV_TRY(dv_store_open(path, daemon->master_key, !dv_store_is_sealed(daemon->state_dir),
                         &services->store, error));
    DV_TRY(dv_store_note_sealed(daemon->state_dir, error));
    snprintf(path, sizeof(path), "%s/snapshot", daemon->runtime_dir);
    return dv_snapshot_open_writer(path, &services->snapshot, error);
}

/* dvara-logd leaves its key when it is ready; it is started at the same time as we are. */
static dv_result wait_for_log_key(dv_daemon *daemon, uint8_t ret_key[32], dv_error *error)
{
    const struct timespec step = {.tv_nsec = LOG_KEY_STEP_MS * 1000000L};
    dv_result result = dv_log_key_read(daemon->runtime_dir, ret_key, error);
    for (int waited = 0; result == DV_ERR_NOT_FOUND && waited < LOG_KEY_WAIT_MS;
         waited += LOG_KEY_STEP_MS) {
        nanosleep(&step, NULL);
        result = dv_log_key_read(daemon->runtime_dir, ret_key, error);
    }
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result, "dvara-logd does not start: without it nothing is kept");
    }
    return result;
}

static dv_result open_spool(dv_daemon *daemon, dv_error *error)
{
    uint8_t log_key[32];
    dv_control *control = &daemon->control;
    DV_TRY(wait_for_log_key(daemon, log_key, error));
    if (access(daemon->spool_dir, F_OK) != 0) { /* the supervisor links it to one that survives */
        DV_TRY(dv_dir_make(daemon->spool_dir, 0700, error));
    }
    DV_TRY(dv_spool_open(daemon->spool_dir, "dvarad", log_key, SPOOL_SEGMENT_MAX, &control->spool,
                         error));
    control->spool_dir = daemon->spool_dir;
    control->services.events = dv_control_events(control);
    return DV_OK;
}

/* The workers' counters are made here, because workers can't make files in the runtime directory.
 */
static dv_result open_metrics(dv_daemon *daemon, dv_error *error)
{
    char path[PATH_MAX + 32];
    dv_metrics *shared = NULL;
    snprintf(path, sizeof(path), "%s/metrics", daemon->runtime_dir);
    DV_TRY(dv_metrics_open(path, 0660, &shared, error));
    dv_metrics_close(shared);
    if (chown(path, (uid_t)-1, daemon->group) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    snprintf(path, sizeof(path), "%s/metrics-dvarad", daemon->runtime_dir);
    return dv_metrics_open(path, 0600, &daemon->control.metrics, error);
}

static dv_event_actor own_actor(dv_result result)
{
    return (dv_event_actor){
        .time = dv_time_now(),
        .entity = DV_LIT("System::\"dvarad\""),
        .via = DV_LIT("control"),
        .result = result,
    };
}

static dv_result record_lifecycle(dv_daemon *daemon, dv_lifecycle_activity activity)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = own_actor(DV_OK);
    dv_event_sink events = daemon->control.services.events;
    DV_TRY(dv_event_lifecycle(&record, &actor, activity, DV_LIT("dvarad")));
    return events.append(events.data, dv_buf_slice(&record));
}

static dv_result digest_of(const char *path, dv_buf *out, dv_error *error)
{
    uint8_t digest[DV_SHA256_LEN];
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CONFIG);
    if (path != NULL) {
        DV_TRY(dv_file_read(path, &text, error));
    }
    dv_sha256(dv_buf_slice(&text), (dv_slice){0}, (dv_slice){0}, digest);
    for (size_t i = 0; i < sizeof(digest); i++) {
        DV_TRY(dv_buf_append_printf(out, "%02x", digest[i]));
    }
    return DV_OK;
}

typedef dv_result (*config_event)(dv_buf *out, const dv_event_actor *actor, dv_slice what,
                                  dv_slice digest);

static dv_result record_config(dv_daemon *daemon, config_event build, dv_error *error)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_auto(buf) dv_buf digest = dv_buf_init(2 * DV_SHA256_LEN + 1);
    dv_event_actor actor = own_actor(DV_OK);
    dv_event_sink events = daemon->control.services.events;
    DV_TRY(digest_of(daemon->config_path, &digest, error));
    DV_TRY(build(&record, &actor, DV_LIT("dvara.yaml"), dv_buf_slice(&digest)));
    return events.append(events.data, dv_buf_slice(&record));
}

dv_result dv_daemon_reload(dv_daemon *daemon, dv_error *error)
{
    dv_auto(config) dv_config *config = NULL;
    dv_control_settings settings;
    DV_TRY(dv_config_load(daemon->config_path, &config, error));
    DV_TRY(dv_control_settings_read(dv_config_section_get(config, "control"), &settings, error));
    const dv_yaml *audit = dv_config_section_get(config, "audit");
    dv_services *services = &daemon->control.services;
    if (daemon->started) { /* at the start, what dvara-logd refuses is told and goes on as it was */
        DV_TRY(dv_retention_client_check(services->retention, audit, error));
    }
    DV_TRY(dv_config_apply(config, services, error));
    DV_TRY(dv_witness_client_set(services->witnesses, audit, error));
    DV_TRY(dv_retention_client_set(services->retention, audit, error));
    DV_TRY(dv_nodes_set(services->nodes, audit, error));
    DV_TRY(dv_data_keys_set(services->keys, dv_config_section_get(config, "encryption"), error));
    daemon->control.settings = settings;
    return record_config(daemon, dv_event_config_change, error);
}

static dv_result open_data(dv_daemon *daemon)
{
    dv_services *services = &daemon->control.services;
    DV_TRY(dv_data_keys_new(daemon->state_dir, &services->keys));
    DV_TRY(dv_data_rules_new(&services->data_rules));
    DV_TRY(dv_disposal_rules_new(&services->disposal_rules));
    DV_TRY(dv_case_disposal_new(&services->case_disposal));
    DV_TRY(dv_data_vaults_new(&services->vaults));
    services->data_access = &dv_data_access;
    return DV_OK;
}

static dv_result open_all(dv_daemon *daemon, const dv_service_options *options, dv_error *error)
{
    if (options->config != NULL) {
        daemon->config_path = realpath(options->config, NULL);
        if (daemon->config_path == NULL) {
            return dv_error_set(error, DV_ERR_IO, "%s: %s", options->config, strerror(errno));
        }
    }
    DV_TRY(open_folders(daemon, options, error));
    DV_TRY(open_store(daemon, error));
    DV_TRY(open_spool(daemon, error));
    DV_TRY(open_metrics(daemon, error));
    DV_TRY(dv_witness_client_new(daemon->runtime_dir, &daemon->control.services.witnesses));
    DV_TRY(dv_nodes_new(daemon->state_dir, &daemon->control.services.nodes));
    DV_TRY(dv_node_searches_new(daemon->runtime_dir, &daemon->control.services.node_searches));
    DV_TRY(dv_retention_client_new(daemon->runtime_dir, &daemon->control.services.retention));
    DV_TRY(open_data(daemon));
    daemon->control.services.people = &dv_auth_people;
    daemon->control.services.log = &dv_audit_log_events;
    DV_TRY(dv_auth_gate_new(&daemon->control.gate));
    daemon->control.services.gate = daemon->control.gate;
    DV_TRY(dv_auth_control_start(&daemon->control.services, error));
    DV_TRY(dv_daemon_reload(daemon, error));
    DV_TRY(record_lifecycle(daemon, DV_LIFECYCLE_START));
    DV_TRY(record_config(daemon, dv_event_config_state, error));
    daemon->started = true;
    return DV_OK;
}

dv_result dv_daemon_open(const dv_service_options *options, dv_daemon **ret_daemon, dv_error *error)
{
    dv_daemon *daemon = calloc(1, sizeof(*daemon));
    if (daemon == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_services *services = &daemon->control.services;
    services->state_dir = daemon->state_dir;
    services->runtime_dir = daemon->runtime_dir;
    services->started = dv_time_now();
    dv_result result = open_all(daemon, options, error);
    if (result != DV_OK) {
        if (error->message[0] == '\0') {
            result = dv_error_set(error, result, "the start failed: %s", dv_result_name(result));
        }
        dv_daemon_close(daemon);
        return result;
    }
    *ret_daemon = daemon;
    return DV_OK;
}

void dv_daemon_close(dv_daemon *daemon)
{
    if (daemon == NULL) {
        return;
    }
    dv_control *control = &daemon->control;
    if (daemon->started && record_lifecycle(daemon, DV_LIFECYCLE_STOP) != DV_OK) {
        dv_log_line("the end could not be recorded");
    }
    dv_witness_client_free(control->services.witnesses);
    dv_nodes_free(control->services.nodes);
    dv_data_keys_free(control->services.keys);
    dv_data_rules_free(control->services.data_rules);
    dv_disposal_rules_free(control->services.disposal_rules);
    dv_case_disposal_free(control->services.case_disposal);
    dv_data_vaults_free(control->services.vaults);
    dv_node_searches_free(control->services.node_searches);
    dv_retention_client_free(control->services.retention);
    if (control->gate != NULL) {
        dv_auth_gate_free(control->gate);
    }
    dv_metrics_close(control->metrics);
    if (control->spool != NULL) {
        dv_spool_close(control->spool);
    }
    if (control->services.snapshot != NULL) {
        dv_snapshot_close(control->services.snapshot);
    }
    if (control->services.store != NULL) {
        dv_store_close(control->services.store);
    }
    dv_wipe(daemon->master_key, sizeof(daemon->master_key));
    free(daemon->config_path);
    free(daemon);
}

dv_control *dv_daemon_control(dv_daemon *daemon)
{
    return &daemon->control;
}

gid_t dv_daemon_group(const dv_daemon *daemon)
{
    return daemon->group;
}
