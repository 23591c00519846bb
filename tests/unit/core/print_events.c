/* SPDX-License-Identifier: Apache-2.0 */
/* Prints one event of every builder and of every shape, for tests/ocsf/validate.py. */
#include "base/caps.h"
#include "core/event.h"

#include <stdio.h>
#include <stdlib.h>

static const dv_slice groups[] = {{(const uint8_t *)"ml", 2},
                                  {(const uint8_t *)"research \"x\"", 12}};
static const dv_principal alice = {
    .type = DV_PRINCIPAL_USER,
    .name = {(const uint8_t *)"alice", 5},
    .entity = {(const uint8_t *)"User::\"alice\"", 13},
    .groups = groups,
    .group_count = 2,
};
static const dv_credential key = {
    .kind = {(const uint8_t *)"api_key", 7},
    .id = {(const uint8_t *)"Ab3dEf9h", 8},
};
static const dv_sighting sightings[] = {
    {"email", "/messages/0/content", DV_ACTION_PLACEHOLDER, 90},
    {"payment_card", "/messages/1/content", DV_ACTION_MASK, 100},
    {"phone", "/user", DV_ACTION_ALERT, 60},
};
static const dv_event_limit limit = {
    .key = {(const uint8_t *)"key/Ab3dEf9h", 12},
    .limit = 60,
    .remaining = 59,
    .now = 1790000000123456789,
    .tat = 1790000001123456789,
    .admitted = true,
};

static void show(dv_result result, dv_buf *out)
{
    if (result != DV_OK) {
        fprintf(stderr, "a builder failed: %s\n", dv_result_name(result));
        exit(1);
    }
    printf("%.*s\n", DV_SLICE_ARGS(dv_buf_slice(out)));
    dv_buf_clear(out);
}

static dv_event_request full_request(const dv_verdict *verdict)
{
    return (dv_event_request){
        .request_id = DV_LIT("0198c0de-0000-7000-8000-0123456789ab"),
        .time = 1790000000123456789,
        .principal = &alice,
        .credential = &key,
        .address = DV_LIT("10.1.2.3"),
        .port = 54321,
        .route = DV_LIT("openai-chat"),
        .method = DV_LIT("POST"),
        .path = DV_LIT("/v1/chat/completions?api_key=hidden"),
        .http_version = DV_LIT("1.1"),
        .user_agent = DV_LIT("OpenAI/Python 1.0 \xff\x01"),
        .action = DV_LIT("use_model"),
        .model = DV_LIT("smollm2"),
        .upstream = DV_LIT("local"),
        .verdict = verdict,
        .sightings = sightings,
        .sighting_count = 3,
        .limit = &limit,
        .body_bytes = 2048,
    };
}

static void print_requests(dv_buf *out)
{
    dv_verdict allowed = {
        .decision = DV_ALLOW, .reason = DV_REASON_OK, .policy = "role:model_user"};
    dv_event_request request = full_request(&allowed);
    dv_event_outcome outcome = {
        .time = 1790000000623456789,
        .status = 200,
        .upstream_status = 200,
        .latency = 500 * DV_MILLISECOND,
        .upstream_latency = 400 * DV_MILLISECOND,
        .input_tokens = 12,
        .output_tokens = 34,
        .answer_bytes = 4096,
        .sightings = sightings + 1,
        .sighting_count = 1,
    };
    show(dv_event_request_open(out, &request), out);
    show(dv_event_request_close(out, &request, &outcome), out);
    outcome = (dv_event_outcome){
        .input_tokens = -1, .output_tokens = -1, .upstream_latency = -1, .aborted = true};
    show(dv_event_request_close(out, &request, &outcome), out);
    request.address = DV_LIT("2001:db8::1");
    request.model = (dv_slice){NULL, 0};
    show(dv_event_request_open(out, &request), out);
}

static void print_refusals(dv_buf *out)
{
    for (int reason = 0; reason < DV_REASON_COUNT; reason++) {
        dv_verdict denied = {
            .decision = DV_DENY, .reason = (dv_reason)reason, .detail = "messages.0: why"};
        dv_event_request request = {.verdict = &denied, .request_id = DV_LIT("r")};
        dv_event_outcome outcome = {.status = dv_reason_status((dv_reason)reason)};
        show(dv_event_request_open(out, &request), out);
        show(dv_event_request_close(out, &request, &outcome), out);
    }
    dv_event_refused many = {DV_LIT("192.0.2.7"), DV_REASON_BAD_CREDENTIAL, 4711,
                             1790000000123456789, 1790000001123456789};
    dv_event_refused several = {.reason = DV_REASON_CONNECTIONS, .count = 1};
    show(dv_event_refusals(out, &many), out);
    show(dv_event_refusals(out, &several), out);
    dv_event_request nothing = {.verdict = NULL};
    show(dv_event_request_open(out, &nothing), out);
}

static void print_control(dv_buf *out, const dv_event_actor *actor)
{
    dv_event_call call = {DV_LIT("user_create"), DV_LIT("POST"), DV_LIT("/v1/users"), DV_LIT("bob"),
                          201};
    dv_event_entity entity = {DV_LIT("role"), DV_LIT("analyst"), DV_LIT("User::\"bob\""),
                              DV_LIT("{\"permissions\":[\"read_data\"]}")};
    dv_event_entity bare = {DV_LIT("group"), DV_LIT("ml"), {NULL, 0}, {NULL, 0}};
    show(dv_event_operation(out, actor, &call), out);
    for (int activity = DV_ACCOUNT_CREATE; activity <= DV_ACCOUNT_UNLOCK; activity++) {
        show(dv_event_account_change(out, actor, (dv_account_activity)activity,
                                     DV_LIT("User::\"bob\""), DV_LIT("Role::\"analyst\"")),
             out);
    }
    show(dv_event_account_change(out, actor, DV_ACCOUNT_OTHER, DV_LIT("Service::\"ci\""),
                                 (dv_slice){NULL, 0}),
         out);
    show(dv_event_entity_change(out, actor, DV_ENTITY_CREATE, &entity), out);
    show(dv_event_entity_change(out, actor, DV_ENTITY_OTHER, &bare), out);
    show(dv_event_authentication(out, actor, true, DV_LIT("User::\"bob\""), DV_LIT("api_key"),
                                 DV_LIT("Ab3dEf9h")),
         out);
    show(dv_event_authentication(out, actor, false, (dv_slice){NULL, 0}, DV_LIT("peer"),
                                 (dv_slice){NULL, 0}),
         out);
    show(dv_event_config_change(out, actor, DV_LIT("dvara.yaml"), DV_LIT("00ff")), out);
    show(dv_event_lifecycle(out, actor, DV_LIFECYCLE_START, DV_LIT("dvarad")), out);
    show(dv_event_lifecycle(out, actor, DV_LIFECYCLE_STOP, DV_LIT("dvarad")), out);
    show(dv_event_alarm(out, actor, DV_LIT("audit.gap"), DV_LIT("Records are missing.")), out);
}

int main(void)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor good = {.time = 1790000000123456789,
                           .entity = DV_LIT("User::\"alice\""),
                           .via = DV_LIT("api"),
                           .address = DV_LIT("192.0.2.7"),
                           .request_id = DV_LIT("0198c0de-0000-7000-8000-0123456789ab")};
    dv_event_actor bad = {.time = 1,
                          .entity = DV_LIT("Local::\"root\""),
                          .via = DV_LIT("control"),
                          .result = DV_ERR_EXISTS,
                          .detail = DV_LIT("a user of that name is there")};
    dv_event_actor nobody = {.time = 1};
    print_requests(&out);
    print_refusals(&out);
    print_control(&out, &good);
    print_control(&out, &bad);
    print_control(&out, &nobody);
    return 0;
}
