/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/retention_client.h"

#include "base/caps.h"
#include "core/event.h"
#include "room/audit/control/internal.h"
#include "room/audit/control/retention_config.h"

enum { TEXT_MAX = 256 << 10 };

struct dv_retention_client {
    const char *runtime_dir;
    dv_buf text;  /* what is to be in force */
    bool owed;    /* it was not taken yet */
    bool alarmed; /* of this text */
    char problem[DV_ERROR_MESSAGE_MAX];
};

dv_result dv_retention_client_new(const char *runtime_dir, dv_retention_client **ret_client)
{
    dv_retention_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    client->runtime_dir = runtime_dir;
    client->text = dv_buf_init(TEXT_MAX);
    *ret_client = client;
    return DV_OK;
}

void dv_retention_client_free(dv_retention_client *client)
{
    if (client != NULL) {
        dv_buf_release(&client->text);
        free(client);
    }
}

static dv_result write_section(const dv_yaml *audit, dv_buf *out, dv_error *error)
{
    dv_auto(free) dv_retention *retention = malloc(sizeof(*retention));
    if (retention == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_retention_config_read(audit, retention, error));
    return dv_retention_format(retention, out);
}

dv_result dv_retention_client_check(const dv_retention_client *client, const dv_yaml *audit,
                                    dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX);
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    DV_TRY(write_section(audit, &text, error));
    dv_result result = dv_logd_post(client->runtime_dir, "/retention?check=1", dv_buf_slice(&text),
                                    &answer, error);
    return result == DV_ERR_UNAVAILABLE ? DV_OK : result; /* told later, by a tick */
}

/* What does not succeed stays owed. */
static dv_result tell_logd(dv_retention_client *client)
{
    dv_error error = {0};
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    dv_result result = dv_logd_post(client->runtime_dir, "/retention", dv_buf_slice(&client->text),
                                    &answer, &error);
    client->owed = result != DV_OK;
    snprintf(client->problem, sizeof(client->problem), "%s", error.message);
    return result;
}

dv_result dv_retention_client_set(dv_retention_client *client, const dv_yaml *audit,
                                  dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX);
    DV_TRY(write_section(audit, &text, error));
    dv_buf_clear(&client->text);
    DV_TRY(dv_buf_append(&client->text, dv_buf_slice(&text)));
    client->alarmed = false;
    (void)!tell_logd(client);
    return DV_OK;
}

static dv_result record_alarm(const dv_retention_client *client, const dv_services *services)
{
    char title[2 * DV_ERROR_MESSAGE_MAX];
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = {
        .time = dv_time_now(), .entity = DV_LIT("System::\"dvarad\""), .via = DV_LIT("control")};
    snprintf(title, sizeof(title), "what dvara.yaml says of retention is not in force: %s",
             client->problem);
    DV_TRY(dv_event_alarm(&record, &actor, DV_LIT("audit.retention"), dv_slice_str(title)));
    return services->events.append(services->events.data, dv_buf_slice(&record));
}

dv_result dv_retention_client_tick(dv_retention_client *client, const struct dv_services *services,
                                   dv_error *error)
{
    if (!client->owed) {
        return DV_OK;
    }
    dv_result result = tell_logd(client);
    if (result == DV_OK || result == DV_ERR_UNAVAILABLE || client->alarmed) {
        return DV_OK;
    }
    result = record_alarm(client, services);
    if (result != DV_OK) {
        return dv_error_set(error, result, "%s", client->problem);
    }
    client->alarmed = true;
    return DV_OK;
}

const char *dv_retention_client_problem(const dv_retention_client *client)
{
    return client->problem;
}
