/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_rows.h"

/* The records that somebody should look at, and of what was seen and done about it. OCSF has an
 * actor in them by its profile `host`. */

static void put_standards(dv_event_writer *writer, const void *data);

#define ROWS_DETAIL ROWS_UNMAPPED, ROWS_WHEN, ROWS_UNMAPPED_END

#define ROWS_FINDING                                                                               \
    OPEN("finding_info", "{"), TEXT("uid", rule, SHORT, PUBLIC),                                   \
        TEXT("title", title, LONG, PERSONAL), CLOSE("}")

static const dv_event_row alarm_rows[] = {
    ROWS_HEAD("[\"security_control\",\"host\"]"),
    FLAG("is_alert", is_alert, PUBLIC),
    ROWS_FINDING,
    ROWS_ACTOR,
    ROWS_TARGET,
    ROWS_DETAIL,
};

static const dv_event_row incident_rows[] = {
    ROWS_HEAD("[\"incident\",\"host\"]"),
    WIDE_INT("start_time", began_ms, PUBLIC),
    OPEN("finding_info_list", "[{"),
    TEXT("uid", rule, SHORT, PUBLIC),
    TEXT("title", title, LONG, PERSONAL),
    CLOSE("}]"),
    OPEN("ticket", "{"),
    WIDE_TEXT("uid", incident, SHORT, PUBLIC),
    CLOSE("}"),
    ROWS_ACTOR,
    OPEN("assignee", "{"),
    WIDE_TEXT("name", assignee_name, MEDIUM, PERSONAL),
    WIDE_TEXT("uid", assignee_uid, MEDIUM, PERSONAL),
    CLOSE("}"),
    OPEN("assignee_group", "{"),
    WIDE_TEXT("name", team, MEDIUM, INTERNAL),
    CLOSE("}"),
    WIDE_INT("priority_id", priority_id, PUBLIC),
    WIDE_INT("verdict_id", verdict_id, PUBLIC),
    WIDE_FLAG("is_suspected_breach", suspected_breach, PUBLIC),
    ROWS_DETAIL,
};

static const dv_event_row data_finding_rows[] = {
    ROWS_HEAD(PROFILES_CONTROLLED),
    FLAG("is_alert", is_alert, PUBLIC),
    ROWS_DECISION,
    ROWS_FINDING,
    OPEN("data_security", "{"),
    FIXED("detection_system_id", "10"),
    FIXED("data_lifecycle_state_id", "2"),
    WIDE_TEXT("detection_pattern", detector, SHORT, PUBLIC),
    CLOSE("}"),
    ROWS_ACTOR,
    ROWS_SOURCE,
    ROWS_WANTED,
    ROWS_UNMAPPED,
    ROWS_WHEN,
    WIDE_TEXT("side", side, SHORT, PUBLIC),
    INT("sighting_count", sighting_count, INTERNAL),
    CALL("sightings", dv_event_put_sightings, INTERNAL),
    ROWS_UNMAPPED_END,
};

static const dv_event_row compliance_rows[] = {
    ROWS_HEAD(PROFILES_ACTOR),
    ROWS_FINDING,
    OPEN("compliance", "{"),
    CALL("standards", put_standards, PUBLIC),
    WIDE_TEXT("control", control, SHORT, PUBLIC),
    WIDE_INT("status_id", compliance_id, PUBLIC),
    CLOSE("}"),
    ROWS_TARGET,
    ROWS_ACTOR,
    ROWS_UNMAPPED,
    ROWS_WHEN,
    WIDE_TEXT("evidence", evidence, SHORT, PUBLIC),
    ROWS_UNMAPPED_END,
};

static const dv_event_row evidence_rows[] = {
    ROWS_HEAD(PROFILES_ACTOR),
    ROWS_DEVICE,
    ROWS_ACTOR,
    FIXED("query_result_id", "1"),
    OPEN("query_evidence", "{"),
    FIXED("query_type_id", "2"),
    OPEN("file", "{"),
    WIDE_TEXT("name", file, MEDIUM, INTERNAL),
    FIXED("type_id", "1"),
    WIDE_INT("size", bytes, PUBLIC),
    OPEN("hashes", "[{"),
    TEXT("value", digest, SHORT, PUBLIC),
    TAG("algorithm_id", "3"),
    CLOSE("}]"),
    CLOSE("}"),
    CLOSE("}"),
    ROWS_UNMAPPED,
    ROWS_WHEN,
    WIDE_TEXT("evidence", evidence, SHORT, PUBLIC),
    WIDE_TEXT("check", check, SHORT, PUBLIC),
    ROWS_UNMAPPED_END,
};

static const dv_event_row remediation_rows[] = {
    ROWS_HEAD(PROFILES_ACTOR),
    ROWS_ACTOR,
    WIDE_TEXT("command_uid", command, SHORT, PUBLIC),
    OPEN("remediation", "{"),
    WIDE_TEXT("desc", desc, LONG, PERSONAL),
    CLOSE("}"),
    ROWS_UNMAPPED,
    ROWS_WHEN,
    WIDE_TEXT("action", action, SHORT, PUBLIC),
    TEXT("target", target_name, MEDIUM, PERSONAL),
    TEXT("about", target_uid, MEDIUM, PERSONAL),
    WIDE_FLAG("dry_run", dry_run, PUBLIC),
    ROWS_UNMAPPED_END,
};

const dv_event_class dv_event_class_alarm = DV_EVENT_CLASS(alarm_rows);
const dv_event_class dv_event_class_incident = DV_EVENT_CLASS(incident_rows);
const dv_event_class dv_event_class_data_finding = DV_EVENT_CLASS(data_finding_rows);
const dv_event_class dv_event_class_compliance = DV_EVENT_CLASS(compliance_rows);
const dv_event_class dv_event_class_evidence = DV_EVENT_CLASS(evidence_rows);
const dv_event_class dv_event_class_remediation = DV_EVENT_CLASS(remediation_rows);

/* A control belongs to one standard here; OCSF has a list. */
static void put_standards(dv_event_writer *writer, const void *data)
{
    const dv_event_wide_view *view = data;
    PUT_NAME(writer, "standards");
    PUT(writer, "[");
    dv_event_put_text(writer, view->standard, SHORT);
    PUT(writer, "]");
}
