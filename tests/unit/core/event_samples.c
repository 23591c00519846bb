/* SPDX-License-Identifier: Apache-2.0 */
#include "event_samples.h"

#include "base/caps.h"
#include "core/event_access.h"
#include "core/event_findings.h"
#include "core/event_network.h"

#include <stdio.h>
#include <stdlib.h>

static const dv_slice none = {NULL, 0};

static const dv_sighting sightings[] = {
    {"email", "/messages/0/content", DV_ACTION_PLACEHOLDER, 90},
    {"payment_card", "/messages/1/content", DV_ACTION_BLOCK, 100},
    {"phone", "/user", DV_ACTION_ALERT, 60, 3},
};

static const dv_event_volume volumes[] = {
    {DV_LIT("many-cards"), "alert", 12, 500, INT64_C(3600000000000), false},
    {DV_LIT("all"), "block", 12, 20, INT64_C(60000000000), true},
};

typedef struct sink {
    dv_buf out;
    sample_take take;
    void *data;
} sink;

static sink sink_of(sample_take take, void *data)
{
    return (sink){dv_buf_init(DV_LIMIT_RECORD), take, data};
}

static void pass(sink *to, const char *what, dv_result result)
{
    if (result != DV_OK) {
        fprintf(stderr, "the builder of %s failed: %s\n", what, dv_result_name(result));
        exit(1);
    }
    to->take(to->data, what, dv_buf_slice(&to->out));
    dv_buf_clear(&to->out);
}

/* -- requests ---------------------------------------------------------------------------------- */

typedef struct caller {
    dv_slice groups[2];
    dv_principal principal;
    dv_credential credential;
    dv_event_limit limit;
} caller;

static void make_caller(const sample_words *words, caller *who)
{
    *who = (caller){
        .groups = {words->text, DV_LIT("research \"x\"")},
        .principal = {.type = DV_PRINCIPAL_USER, .name = words->text, .entity = words->text},
        .credential = {.kind = DV_LIT("api_key"), .id = words->text},
        .limit = {.key = words->text,
                  .unit = "tokens",
                  .limit = 60,
                  .remaining = 59,
                  .now = words->time,
                  .tat = words->time,
                  .called_at = words->time,
                  .admitted = true,
                  .reserved_at = words->time,
                  .reserved_tokens = 7,
                  .settled = true},
    };
    who->principal.groups = who->groups;
    who->principal.group_count = 2;
}

static dv_event_request full_request(const sample_words *words, const caller *who,
                                     const dv_verdict *verdict)
{
    return (dv_event_request){
        .request_id = DV_LIT("0198c0de-0000-7000-8000-0123456789ab"),
        .time = words->time,
        .principal = &who->principal,
        .credential = &who->credential,
        .address = DV_LIT("10.1.2.3"),
        .port = 54321,
        .route = words->text,
        .method = DV_LIT("POST"),
        .path = words->text,
        .http_version = DV_LIT("1.1"),
        .user_agent = words->text,
        .action = words->text,
        .model = words->text,
        .upstream = words->text,
        .verdict = verdict,
        .sightings = sightings,
        .sighting_count = 3,
        .limit = &who->limit,
        .body_bytes = 2048,
        .volumes = volumes,
        .volume_count = 2,
    };
}

static dv_event_outcome full_outcome(const sample_words *words)
{
    return (dv_event_outcome){
        .time = words->time,
        .status = 200,
        .upstream_status = 200,
        .latency = 500 * DV_MILLISECOND,
        .upstream_latency = 400 * DV_MILLISECOND,
        .input_tokens = words->number,
        .output_tokens = words->number,
        .answer_bytes = (uint64_t)words->number,
        .sightings = sightings + 1,
        .sighting_count = 1,
        .volumes = volumes,
        .volume_count = 1,
    };
}

static void sample_refusals(const sample_words *words, sink *to)
{
    for (int reason = 0; reason < DV_REASON_COUNT; reason++) {
        dv_verdict denied = {
            .decision = DV_DENY, .reason = (dv_reason)reason, .detail = "messages.0: why"};
        dv_event_request request = {.verdict = &denied, .request_id = DV_LIT("r")};
        dv_event_outcome outcome = {.status = dv_reason_status((dv_reason)reason)};
        pass(to, "a refusal's open", dv_event_request_open(&to->out, &request));
        pass(to, "a refusal's close", dv_event_request_close(&to->out, &request, &outcome));
    }
    dv_event_refused many = {DV_LIT("192.0.2.7"), DV_REASON_BAD_CREDENTIAL, UINT64_MAX, words->time,
                             words->time};
    dv_event_refused several = {.reason = DV_REASON_RATE_LIMIT, .count = 1};
    dv_event_request nothing = {.verdict = NULL};
    pass(to, "refusals", dv_event_refusals(&to->out, &many));
    pass(to, "refusals of several", dv_event_refusals(&to->out, &several));
    pass(to, "nothing known", dv_event_request_open(&to->out, &nothing));
}

static void sample_methods(sink *to)
{
    static const char *const methods[] = {"GET",    "HEAD",  "PUT",   "PATCH",
                                          "DELETE", "TRACE", "QUERY", "PROPFIND",
                                          "BREW ",  "post",  "",      "CONNECT"};
    for (size_t i = 0; i < DV_ARRAY_LEN(methods); i++) {
        dv_event_request request = {.method = dv_slice_str(methods[i])};
        pass(to, "a method", dv_event_request_open(&to->out, &request));
    }
}

static void sample_data_findings(const sample_words *words, const dv_event_request *request,
                                 sink *to)
{
    dv_verdict blocked = {.decision = DV_DENY, .reason = DV_REASON_SENSITIVE_DATA};
    dv_event_data_finding finding = {request, false, words->time, &blocked, sightings, 3};
    pass(to, "a data finding", dv_event_data_security(&to->out, &finding));
    const dv_event_request bare = {.time = words->time};
    finding = (dv_event_data_finding){&bare, true, words->time, &blocked, NULL, 0};
    pass(to, "a bare data finding", dv_event_data_security(&to->out, &finding));
}

static void sample_network(const sample_words *words, sink *to)
{
    for (int reason = 0; reason < DV_NETWORK_REASON_COUNT; reason++) {
        dv_event_network one = {DV_LIT("2001:db8::1"), 40000,      (dv_network_reason)reason, 0, 1,
                                words->time,           words->time};
        dv_event_network many = {.reason = (dv_network_reason)reason,
                                 .status = 400,
                                 .count = UINT64_MAX,
                                 .since = words->time,
                                 .until = words->time};
        pass(to, "a network refusal", dv_event_network_refusal(&to->out, &one));
        pass(to, "network refusals", dv_event_network_refusal(&to->out, &many));
    }
}

void samples_requests(const sample_words *words, sample_take take, void *data)
{
    sink to = sink_of(take, data);
    caller who;
    make_caller(words, &who);
    dv_verdict allowed = {
        .decision = DV_ALLOW, .reason = DV_REASON_OK, .policy = "role:model_user"};
    dv_event_request request = full_request(words, &who, &allowed);
    dv_event_outcome outcome = full_outcome(words);
    pass(&to, "an open record", dv_event_request_open(&to.out, &request));
    pass(&to, "a close record", dv_event_request_close(&to.out, &request, &outcome));
    sample_data_findings(words, &request, &to);
    outcome = (dv_event_outcome){
        .input_tokens = -1, .output_tokens = -1, .upstream_latency = -1, .aborted = true};
    pass(&to, "an aborted one", dv_event_request_close(&to.out, &request, &outcome));
    request.address = DV_LIT("2001:db8::1");
    request.model = none;
    pass(&to, "one without a model", dv_event_request_open(&to.out, &request));
    sample_refusals(words, &to);
    sample_methods(&to);
    sample_network(words, &to);
    dv_buf_release(&to.out);
}

/* -- the control plane ------------------------------------------------------------------------- */

static void sample_accounts(const sample_words *words, const dv_event_actor *actor, sink *to)
{
    static const dv_slice holders[] = {DV_LIT("User::\"bob\""), DV_LIT("Service::\"ci\""),
                                       DV_LIT("Group::\"ml\"")};
    for (int activity = DV_ACCOUNT_CREATE; activity <= DV_ACCOUNT_UNLOCK; activity++) {
        pass(to, "an account's change",
             dv_event_account_change(&to->out, actor, (dv_account_activity)activity, holders[0],
                                     words->text));
    }
    pass(to, "another account's change",
         dv_event_account_change(&to->out, actor, DV_ACCOUNT_OTHER, words->text, none));
    for (size_t i = 0; i < DV_ARRAY_LEN(holders); i++) {
        const dv_slice roles[] = {DV_LIT("Role::\"analyst\""), words->text};
        const dv_event_access access = {.holder = holders[i],
                                        .privileges = roles,
                                        .privilege_count = 1 + (i & 1),
                                        .until = i == 0 ? words->time : 0,
                                        .reason = i == 0 ? words->text : none,
                                        .break_glass = i == 1};
        pass(to, "a grant", dv_event_user_access(&to->out, actor, DV_ACCESS_GRANT, &access));
        pass(to, "a revocation", dv_event_user_access(&to->out, actor, DV_ACCESS_REVOKE, &access));
        const dv_event_session session = {.holder = holders[i],
                                          .credential_id = words->text,
                                          .privileges = i == 0 ? roles : NULL,
                                          .privilege_count = i == 0 ? 2 : 0,
                                          .until = i == 0 ? words->time : DV_TIME_NEVER};
        pass(to, "a session", dv_event_session_authorize(&to->out, actor, &session));
    }
}

static void sample_data(const sample_words *words, const dv_event_actor *actor, sink *to)
{
    static const dv_slice labels[] = {DV_LIT("personal"), DV_LIT("restricted")};
    for (int activity = DV_DATA_READ; activity <= DV_DATA_DECRYPT; activity++) {
        const dv_event_data access = {.database = words->text,
                                      .table = activity & 1 ? words->text : none,
                                      .query = activity & 2 ? words->text : none,
                                      .rows = activity & 1 ? words->number : -1,
                                      .bytes = activity & 1 ? -1 : words->number,
                                      .labels = labels,
                                      .label_count = activity & 1 ? 2 : 0,
                                      .reason = activity & 4 ? words->text : none,
                                      .missing = words->number};
        pass(to, "an access to data",
             dv_event_data_access(&to->out, actor, (dv_data_activity)activity, &access));
    }
    const dv_event_data table = {.table = words->text, .rows = 0, .bytes = 0};
    pass(to, "a table alone", dv_event_data_access(&to->out, actor, DV_DATA_READ, &table));
}

static void sample_entities(const sample_words *words, const dv_event_actor *actor, sink *to)
{
    const dv_event_entity whole = {DV_LIT("role"), words->text, DV_LIT("User::\"bob\""),
                                   DV_LIT("{\"permissions\":[\"read_data\"]}"), none};
    const dv_event_entity bare = {.type = DV_LIT("group"), .id = DV_LIT("ml")};
    const dv_event_entity named = {
        .type = DV_LIT("limit"), .name = words->text, .owner = DV_LIT("User::\"bob\"")};
    pass(to, "an entity", dv_event_entity_change(&to->out, actor, DV_ENTITY_CREATE, &whole));
    pass(to, "a bare entity", dv_event_entity_change(&to->out, actor, DV_ENTITY_OTHER, &bare));
    const dv_event_disposal begun = {.id = words->text, .files = 12};
    const dv_event_disposal ended = {
        .ended = true, .id = DV_LIT("0190b8a4-1111"), .sha256 = DV_LIT("00ff"), .files = 11};
    pass(to, "a disposal", dv_event_disposal_write(&to->out, actor, &begun));
    pass(to, "a certificate", dv_event_disposal_write(&to->out, actor, &ended));
    pass(to, "a named entity", dv_event_entity_change(&to->out, actor, DV_ENTITY_UPDATE, &named));
}

static void sample_calls(const sample_words *words, const dv_event_actor *actor, sink *to)
{
    const dv_event_call call = {words->text, DV_LIT("POST"),         words->text, words->text, 201,
                                NULL,        DV_LIT("User::\"bob\"")};
    const dv_event_call bare = {.operation = DV_LIT("list"), .method = DV_LIT("GET")};
    pass(to, "a call", dv_event_operation(&to->out, actor, &call));
    pass(to, "a bare call", dv_event_operation(&to->out, actor, &bare));
    pass(to, "a logon",
         dv_event_authentication(&to->out, actor, true, words->text, words->text, words->text));
    pass(to, "a logoff",
         dv_event_authentication(&to->out, actor, false, none, DV_LIT("peer"), none));
}

void samples_control(const sample_words *words, const dv_event_actor *actor, sample_take take,
                     void *data)
{
    sink to = sink_of(take, data);
    sample_calls(words, actor, &to);
    sample_accounts(words, actor, &to);
    sample_data(words, actor, &to);
    sample_entities(words, actor, &to);
    pass(&to, "a configuration",
         dv_event_config_change(&to.out, actor, words->text, DV_LIT("00ff")));
    pass(&to, "a setting",
         dv_event_setting_change(&to.out, actor, words->text, DV_LIT("{\"keep_ms\":86400000}")));
    pass(&to, "a configuration's state",
         dv_event_config_state(&to.out, actor, words->text, DV_LIT("00ff")));
    for (int activity = DV_LIFECYCLE_START; activity <= DV_LIFECYCLE_RESTART; activity++) {
        pass(&to, "a start or stop",
             dv_event_lifecycle(&to.out, actor, (dv_lifecycle_activity)activity, words->text));
    }
    dv_buf_release(&to.out);
}

/* -- findings ---------------------------------------------------------------------------------- */

static void sample_incidents(const sample_words *words, const dv_event_actor *actor, sink *to)
{
    for (int status = DV_INCIDENT_NEW; status <= DV_INCIDENT_CLOSED; status++) {
        const dv_event_incident incident = {
            .id = DV_LIT("0198c0de-0000-7000-8000-0123456789ab"),
            .title = words->text,
            .rule = status & 1 ? words->text : none,
            .severity = (dv_severity)status,
            .status = (dv_incident_status)status,
            .priority = status % 5,
            .verdict = status,
            .assignee = status & 1 ? DV_LIT("User::\"alice\"") : none,
            .team = status & 2 ? words->text : none,
            .began = status & 1 ? words->time : 0,
            .suspected_breach = status == DV_INCIDENT_CLOSED,
        };
        pass(to, "an incident",
             dv_event_incident_finding(
                 &to->out, actor, (dv_finding_activity)(1 + status % DV_FINDING_CLOSE), &incident));
    }
}

static void sample_compliance(const sample_words *words, const dv_event_actor *actor, sink *to)
{
    for (int status = DV_COMPLIANCE_PASS; status <= DV_COMPLIANCE_FAIL; status++) {
        const dv_event_compliance finding = {
            .check = DV_LIT("tls.minimum_version"),
            .title = words->text,
            .control = DV_LIT("A.8.24"),
            .standard = words->text,
            .resource = words->text,
            .evidence = status & 1 ? words->text : none,
            .severity = (dv_severity)(DV_SEVERITY_INFORMATIONAL + status),
            .status = (dv_compliance_status)status,
        };
        pass(to, "a compliance finding",
             dv_event_compliance_finding(&to->out, actor, (dv_finding_activity)status, &finding));
    }
    const dv_event_evidence evidence = {.id = words->text,
                                        .check = words->text,
                                        .name = words->text,
                                        .sha256 = DV_LIT("00ff"),
                                        .bytes = words->number};
    pass(to, "evidence", dv_event_evidence_info(&to->out, actor, &evidence));
}

static void sample_remediation(const sample_words *words, const dv_event_actor *actor, sink *to)
{
    for (int activity = DV_REMEDIATION_ISOLATE; activity <= DV_REMEDIATION_DECEIVE; activity++) {
        const dv_event_remediation done = {.command = DV_LIT("c1"),
                                           .action = words->text,
                                           .desc = words->text,
                                           .target = words->text,
                                           .about = activity & 1 ? words->text : none,
                                           .dry_run = (activity & 1) == 0};
        pass(to, "a remediation",
             dv_event_remediation_done(&to->out, actor, (dv_remediation_activity)activity, &done));
    }
}

void samples_findings(const sample_words *words, const dv_event_actor *actor, sample_take take,
                      void *data)
{
    sink to = sink_of(take, data);
    const dv_event_detection detection = {.rule = DV_LIT("auth.break_glass"),
                                          .title = words->text,
                                          .about = DV_LIT("User::\"bob\""),
                                          .severity = DV_SEVERITY_CRITICAL};
    pass(&to, "an alarm", dv_event_alarm(&to.out, actor, DV_LIT("audit.gap"), words->text));
    pass(&to, "a detection", dv_event_detection_finding(&to.out, actor, &detection));
    sample_incidents(words, actor, &to);
    sample_compliance(words, actor, &to);
    sample_remediation(words, actor, &to);
    dv_buf_release(&to.out);
}

void samples_all(const sample_words *words, sample_take take, void *data)
{
    const dv_event_actor actors[] = {
        {.time = words->time,
         .entity = DV_LIT("User::\"alice\""),
         .via = words->text,
         .address = DV_LIT("192.0.2.7"),
         .request_id = DV_LIT("0198c0de-0000-7000-8000-0123456789ab"),
         .credential_kind = DV_LIT("api_key"),
         .credential_id = DV_LIT("Ab3dEf9h")},
        {.time = words->time,
         .entity = DV_LIT("Local::\"root\""),
         .via = DV_LIT("control"),
         .result = DV_ERR_EXISTS,
         .detail = words->text},
        {.time = words->time},
    };
    samples_requests(words, take, data);
    for (size_t i = 0; i < DV_ARRAY_LEN(actors); i++) {
        samples_control(words, &actors[i], take, data);
        samples_findings(words, &actors[i], take, data);
    }
}
