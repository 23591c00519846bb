/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_findings.h"

#include "core/event_view.h"

/* What somebody should look at, and what was seen and done about it. */

enum { STATUS_NEW = 1, STATUS_IN_PROGRESS = 2, STATUS_RESOLVED = 4 };

/* OCSF's status_id of a finding by what happened to it. */
static int64_t finding_status(dv_finding_activity activity)
{
    return activity == DV_FINDING_CREATE  ? STATUS_NEW
           : activity == DV_FINDING_CLOSE ? STATUS_RESOLVED
                                          : STATUS_IN_PROGRESS;
}

dv_result dv_event_detection_finding(dv_buf *out, const dv_event_actor *actor,
                                     const dv_event_detection *detection)
{
    dv_event_view view = dv_event_view_actor(actor, 2004, DV_FINDING_CREATE);
    view.event_code = DV_LIT("alarm");
    view.severity_id = detection->severity;
    view.status_id = STATUS_NEW;
    view.is_alert = true;
    view.rule = detection->rule;
    view.title = detection->title;
    view.message = detection->title;
    if (detection->about.len > 0) {
        dv_event_view_target(&view, detection->about);
    }
    return dv_event_put_view(out, DV_EVENT_ALARM, &view);
}

dv_result dv_event_alarm(dv_buf *out, const dv_event_actor *actor, dv_slice rule, dv_slice title)
{
    const dv_event_detection detection = {
        .rule = rule, .title = title, .severity = DV_SEVERITY_HIGH};
    return dv_event_detection_finding(out, actor, &detection);
}

dv_result dv_event_incident_finding(dv_buf *out, const dv_event_actor *actor,
                                    dv_finding_activity activity, const dv_event_incident *incident)
{
    dv_event_wide_view view = dv_event_wide_view_of(dv_event_view_actor(actor, 2005, activity));
    view.base.event_code = DV_LIT("incident");
    view.base.severity_id = incident->severity;
    view.base.status_id = incident->status;
    view.base.rule = incident->rule.len > 0 ? incident->rule : incident->id;
    view.base.title = incident->title;
    view.incident = incident->id;
    view.priority_id = incident->priority;
    view.verdict_id = incident->verdict;
    view.assignee_uid = incident->assignee;
    view.assignee_name = dv_event_entity_name(incident->assignee);
    view.team = incident->team.len > 0 ? incident->team : DV_LIT("incident response");
    view.began_ms = incident->began == 0 ? DV_EVENT_UNKNOWN : incident->began / DV_MILLISECOND;
    view.suspected_breach = incident->suspected_breach;
    return dv_event_put_wide_view(out, DV_EVENT_INCIDENT, &view);
}

/* The detector that decided: the first that blocks, otherwise the first that tells of what passed,
 * otherwise the first there is. */
static dv_slice deciding_detector(const dv_event_data_finding *finding)
{
    for (size_t i = 0; i < finding->sighting_count; i++) {
        if (finding->sightings[i].action == DV_ACTION_BLOCK) {
            return dv_slice_str(finding->sightings[i].detector);
        }
    }
    for (size_t i = 0; i < finding->sighting_count; i++) {
        if (finding->sightings[i].tells) {
            return dv_slice_str(finding->sightings[i].detector);
        }
    }
    return finding->sighting_count > 0 ? dv_slice_str(finding->sightings[0].detector)
                                       : (dv_slice){NULL, 0};
}

dv_result dv_event_data_security(dv_buf *out, const dv_event_data_finding *finding)
{
    dv_event_view request = dv_event_view_request(finding->request, finding->time);
    request.class_uid = 2006;
    request.category_uid = 2;
    request.activity_id = DV_FINDING_CREATE;
    request.event_code = DV_LIT("data.finding");
    dv_event_view_decision(&request, finding->verdict, finding->sightings, finding->sighting_count);
    request.severity_id = DV_SEVERITY_MEDIUM;
    request.status_id = STATUS_NEW;
    request.is_alert = true;
    request.via = DV_LIT("gate");
    request.rule =
        finding->request->request_id.len > 0 ? finding->request->request_id : DV_LIT("unknown");
    request.title = finding->verdict->decision == DV_ALLOW
                        ? DV_LIT("own data passed")
                        : dv_slice_str(dv_reason_text(finding->verdict->reason));
    dv_event_wide_view view = dv_event_wide_view_of(request);
    view.detector = deciding_detector(finding);
    view.side = finding->in_answer ? DV_LIT("answer") : DV_LIT("request");
    return dv_event_put_wide_view(out, DV_EVENT_DATA_FINDING, &view);
}

dv_result dv_event_compliance_finding(dv_buf *out, const dv_event_actor *actor,
                                      dv_finding_activity activity,
                                      const dv_event_compliance *compliance)
{
    dv_event_wide_view view = dv_event_wide_view_of(dv_event_view_actor(actor, 2003, activity));
    view.base.event_code = DV_LIT("compliance.finding");
    view.base.severity_id = compliance->severity;
    view.base.status_id = finding_status(activity);
    view.base.rule = compliance->check;
    view.base.title = compliance->title;
    view.base.target_name = compliance->resource;
    view.standard = compliance->standard;
    view.control = compliance->control;
    view.compliance_id = compliance->status;
    view.evidence = compliance->evidence;
    return dv_event_put_wide_view(out, DV_EVENT_COMPLIANCE, &view);
}

dv_result dv_event_evidence_info(dv_buf *out, const dv_event_actor *actor,
                                 const dv_event_evidence *evidence)
{
    enum { ACTIVITY_QUERY = 1 };
    dv_event_wide_view view =
        dv_event_wide_view_of(dv_event_view_actor(actor, 5040, ACTIVITY_QUERY));
    view.base.event_code = DV_LIT("evidence");
    view.base.digest = evidence->sha256;
    view.evidence = evidence->id;
    view.check = evidence->check;
    view.file = evidence->name;
    view.bytes = evidence->bytes < 0 ? DV_EVENT_UNKNOWN : evidence->bytes;
    return dv_event_put_wide_view(out, DV_EVENT_EVIDENCE, &view);
}

dv_result dv_event_remediation_done(dv_buf *out, const dv_event_actor *actor,
                                    dv_remediation_activity activity,
                                    const dv_event_remediation *remediation)
{
    dv_event_wide_view view = dv_event_wide_view_of(dv_event_view_actor(actor, 7001, activity));
    view.base.event_code = DV_LIT("remediation");
    view.base.target_name = remediation->target;
    view.base.target_uid = remediation->about;
    view.command = remediation->command;
    view.action = remediation->action;
    view.desc = remediation->desc;
    view.dry_run = remediation->dry_run;
    return dv_event_put_wide_view(out, DV_EVENT_REMEDIATION, &view);
}
