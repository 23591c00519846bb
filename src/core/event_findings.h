/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Builders of the records that someone should look at, and of what was seen and done about it. As
 * in core/event.h. */

#include "core/event.h"

/* OCSF's severity_id. */
typedef enum dv_severity {
    DV_SEVERITY_INFORMATIONAL = 1,
    DV_SEVERITY_LOW = 2,
    DV_SEVERITY_MEDIUM = 3,
    DV_SEVERITY_HIGH = 4,
    DV_SEVERITY_CRITICAL = 5,
    DV_SEVERITY_FATAL = 6,
} dv_severity;

/* A finding's activity_id. */
typedef enum dv_finding_activity {
    DV_FINDING_CREATE = 1,
    DV_FINDING_UPDATE = 2,
    DV_FINDING_CLOSE = 3,
} dv_finding_activity;

/* Detection Finding (2004): rule "audit.gap"; title in one line. about: the principal that it is
 * about, User::"alice", or empty: it is about the actor. */
typedef struct dv_event_detection {
    dv_slice rule;
    dv_slice title;
    dv_slice about;
    dv_severity severity;
} dv_event_detection;

dv_must dv_result dv_event_detection_finding(dv_buf *out, const dv_event_actor *actor,
                                             const dv_event_detection *detection);

/* Incident Finding (2005): a case of the incident room. Values are OCSF's status_id. */
typedef enum dv_incident_status {
    DV_INCIDENT_NEW = 1,
    DV_INCIDENT_IN_PROGRESS = 2,
    DV_INCIDENT_ON_HOLD = 3,
    DV_INCIDENT_RESOLVED = 4,
    DV_INCIDENT_CLOSED = 5,
} dv_incident_status;

typedef struct dv_event_incident {
    dv_slice id;
    dv_slice title; /* one line */
    dv_slice rule;  /* what found it, or empty */
    dv_severity severity;
    dv_incident_status status;
    int64_t priority;  /* OCSF's priority_id: 1 low, 2 medium, 3 high, 4 critical */
    int64_t verdict;   /* OCSF's verdict_id: 1 false positive, 2 true positive, ...; 0: none yet */
    dv_slice assignee; /* User::"alice"; empty: the team has it */
    dv_slice team;     /* the group that answers; empty: "incident response" */
    dv_time began;     /* 0: not known */
    bool suspected_breach;
} dv_event_incident;

dv_must dv_result dv_event_incident_finding(dv_buf *out, const dv_event_actor *actor,
                                            dv_finding_activity activity,
                                            const dv_event_incident *incident);

/* Data Security Finding (2006): content that policy blocks was on its way, or passed where policy
 * wants that told. What was found is told as in a request's record: detector, place, action,
 * score; never the value. */
typedef struct dv_event_data_finding {
    const dv_event_request *request; /* whose */
    bool in_answer;
    dv_time time;
    const dv_verdict *verdict; /* why it was not let through */
    const dv_sighting *sightings;
    size_t sighting_count;
} dv_event_data_finding;

dv_must dv_result dv_event_data_security(dv_buf *out, const dv_event_data_finding *finding);

/* Compliance Finding (2003): what a check said of a control. Values are compliance.status_id. */
typedef enum dv_compliance_status {
    DV_COMPLIANCE_PASS = 1,
    DV_COMPLIANCE_WARNING = 2,
    DV_COMPLIANCE_FAIL = 3,
} dv_compliance_status;

typedef struct dv_event_compliance {
    dv_slice check;    /* "tls.minimum_version" */
    dv_slice title;    /* one line */
    dv_slice control;  /* "A.8.24" */
    dv_slice standard; /* "ISO/IEC 27001:2022" */
    dv_slice resource; /* what was checked: "listener api" */
    dv_slice evidence; /* id of what the check saw, or empty */
    dv_severity severity;
    dv_compliance_status status;
} dv_event_compliance;

dv_must dv_result dv_event_compliance_finding(dv_buf *out, const dv_event_actor *actor,
                                              dv_finding_activity activity,
                                              const dv_event_compliance *compliance);

/* Live Evidence Info (5040): what a check or an investigation saw, as a file that can be held
 * against its hash later. */
typedef struct dv_event_evidence {
    dv_slice id;     /* of the evidence */
    dv_slice check;  /* what asked for it: a check's or a case's id */
    dv_slice name;   /* the file's */
    dv_slice sha256; /* hex */
    int64_t bytes;
} dv_event_evidence;

dv_must dv_result dv_event_evidence_info(dv_buf *out, const dv_event_actor *actor,
                                         const dv_event_evidence *evidence);

/* Remediation Activity (7001): something was done about a finding. MITRE D3FEND's tactics, values
 * are OCSF's activity_id. */
typedef enum dv_remediation_activity {
    DV_REMEDIATION_ISOLATE = 1,
    DV_REMEDIATION_EVICT = 2,
    DV_REMEDIATION_RESTORE = 3,
    DV_REMEDIATION_HARDEN = 4,
    DV_REMEDIATION_DETECT = 5,
    DV_REMEDIATION_DECEIVE = 6,
} dv_remediation_activity;

typedef struct dv_event_remediation {
    dv_slice command; /* id of the action that ran, by which it can be undone */
    dv_slice action;  /* "revoke_key" */
    dv_slice desc;    /* what it does, in one line */
    dv_slice target;  /* what it was done to: "api_key Ab3dEf9h" */
    dv_slice about;   /* whose that is, User::"alice", or empty */
    bool dry_run;
} dv_event_remediation;

dv_must dv_result dv_event_remediation_done(dv_buf *out, const dv_event_actor *actor,
                                            dv_remediation_activity activity,
                                            const dv_event_remediation *remediation);
