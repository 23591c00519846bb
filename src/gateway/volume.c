/* SPDX-License-Identifier: Apache-2.0 */
/* Values that leave over time: charged when a body was inspected, before it goes out
 * (room/data/gate/volume.h). */
#include "gateway/request.h"

#include "core/event_findings.h"

static dv_volume_caller caller_of(const dv_request *request)
{
    return (dv_volume_caller){
        .principal = request->authenticated ? &request->identity.principal : NULL,
        .address = dv_ngx_slice(request->r->connection->addr_text),
        .route = request->route->name,
    };
}

/* An alarm, once for each caller, rule and time. */
static void tell(dv_request *request, const dv_volume_caller *caller, dv_slice title)
{
    dv_worker *worker = &request->main->worker;
    const dv_event_actor actor = {.request_id = dv_slice_of(request->id, DV_UUID_TEXT_LEN),
                                  .time = dv_time_now(),
                                  .entity = DV_LIT("System::\"gateway\""),
                                  .via = DV_LIT("gate")};
    dv_event_detection detection = {
        .rule = DV_LIT("loss.volume"), .title = title, .severity = DV_SEVERITY_HIGH};
    if (caller->principal != NULL) {
        detection.about = caller->principal->entity;
    }
    dv_buf_clear(&worker->record);
    if (dv_event_detection_finding(&worker->record, &actor, &detection) != DV_OK ||
        dv_spool_append(worker->spool, dv_buf_slice(&worker->record), false) != DV_OK) {
        ngx_log_error(NGX_LOG_ERR, request->r->connection->log, 0,
                      "dvara: the alarm of a rule on volume can not be written");
    }
}

/* Nearly always nothing. */
static bool has_any(const uint32_t *values)
{
    uint32_t all = 0;
    for (size_t i = 0; i < DV_DATA_VOLUMES_MAX; i++) {
        all |= values[i];
    }
    return all != 0;
}

static bool charge(dv_request *request, const dv_data_policy *policy, const uint32_t *values,
                   dv_volume_tally *tally)
{
    if (!has_any(values)) {
        return true;
    }
    dv_worker *worker = &request->main->worker;
    const dv_volume_caller caller = caller_of(request);
    char title[DV_VOLUME_TITLE_MAX];
    bool passes =
        dv_data_volumes_charge(worker->counters, policy, values, &caller, dv_time_now(), tally);
    while (dv_data_volumes_due(policy, &caller, tally, title)) {
        tell(request, &caller, dv_slice_str(title));
    }
    return passes;
}

/* Of the request's body and head together. */
static void sent_values(const dv_request *request, uint32_t values[DV_DATA_VOLUMES_MAX])
{
    for (size_t i = 0; i < DV_DATA_VOLUMES_MAX; i++) {
        uint32_t head = request->head_values[i];
        values[i] = head + DV_MIN(request->seen.values[i], UINT32_MAX - head);
    }
}

bool dv_volume_request(dv_request *request)
{
    const dv_data_policy *policy = request->request_policy;
    uint32_t values[DV_DATA_VOLUMES_MAX];
    char detail[DV_VERDICT_DETAIL_MAX];
    if (policy == NULL) {
        return true;
    }
    sent_values(request, values);
    if (charge(request, policy, values, &request->sent_volume)) {
        return true;
    }
    dv_data_volumes_refusal(policy, &request->sent_volume, detail);
    dv_verdict_reset(&request->verdict);
    return dv_request_deny(request, DV_REASON_DATA_VOLUME, detail);
}

bool dv_volume_answer(dv_request *request, const uint32_t *values, dv_verdict *verdict)
{
    const dv_data_policy *policy = request->answer_policy;
    char detail[DV_VERDICT_DETAIL_MAX];
    if (policy == NULL || charge(request, policy, values, &request->got_volume)) {
        return true;
    }
    dv_data_volumes_refusal(policy, &request->got_volume, detail);
    dv_verdict_deny(verdict, DV_REASON_DATA_VOLUME, "%s", detail);
    return false;
}

size_t dv_volume_sent(const dv_request *request, dv_event_volume out[DV_EVENT_VOLUMES_MAX])
{
    uint32_t values[DV_DATA_VOLUMES_MAX];
    if (request->request_policy == NULL || request->sent_volume.over == 0) {
        return 0;
    }
    sent_values(request, values);
    return dv_data_volumes_over(request->request_policy, values, &request->sent_volume, out);
}

size_t dv_volume_got(const dv_request *request, dv_event_volume out[DV_EVENT_VOLUMES_MAX])
{
    return request->answer_policy == NULL || request->got_volume.over == 0
               ? 0
               : dv_data_volumes_over(request->answer_policy, request->answer.values,
                                      &request->got_volume, out);
}

uint64_t dv_volume_retry_after(const dv_request *request)
{
    const dv_volume_tally *tally =
        request->got_volume.refused_by != 0 ? &request->got_volume : &request->sent_volume;
    return tally->refused_by == 0 || tally->retry_after == DV_TIME_NEVER
               ? 0
               : ((uint64_t)tally->retry_after + DV_SECOND - 1) / DV_SECOND;
}
