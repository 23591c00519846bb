/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and permissions from the operation that makes them to the gate that feels them. */
#include "base/caps.h"
#include "core/resources.h"
#include "crypto/hash.h"
#include "fixture.h"
#include "room/auth/gate/api_key.h"
#include "room/auth/gate/record.h"
#include "room/auth/gate/resources.h"

typedef struct gate_fixture {
    fixture *f;
    dv_auth_gate *gate;
    dv_arena *arena;
    dv_identity identity; /* of the last question */
    dv_verdict verdict;
} gate_fixture;

static int set_up(void **state)
{
    void *plain = NULL;
    gate_fixture *g = calloc(1, sizeof(*g));
    if (fixture_set_up(&plain) != 0 || dv_auth_gate_new(&g->gate) != DV_OK) {
        return -1;
    }
    g->f = plain;
    g->arena = dv_arena_new(16 << 20);
    *state = g;
    return 0;
}

static int tear_down(void **state)
{
    gate_fixture *g = *state;
    void *plain = g->f;
    dv_auth_gate_free(g->gate);
    dv_arena_free(g->arena);
    free(g);
    return fixture_tear_down(&plain);
}

/* May the bearer of the key do this now? The reason of the verdict. */
static dv_reason ask_at(gate_fixture *g, const char *key, const char *action, dv_time now)
{
    dv_auth_request request = {dv_slice_str(action), DV_LIT("Model::\"smollm2\""),
                               DV_LIT("192.0.2.1"), now};
    memset(&g->verdict, 0, sizeof(g->verdict));
    dv_auth_gate_check(g->gate, g->f->services.snapshot, dv_slice_str(key), &request, g->arena,
                       &g->identity, &g->verdict);
    assert_int_equal(g->verdict.decision == DV_ALLOW, g->verdict.reason == DV_REASON_OK);
    return g->verdict.reason;
}

static dv_reason may(gate_fixture *g, const char *key, const char *action)
{
    return ask_at(g, key, action, dv_time_now());
}

static void op(gate_fixture *g, dv_operation_handler handler, const char *params, const char *body)
{
    dv_result result = call_op(g->f, handler, params, body);
    if (result != DV_OK) {
        fail_msg("%s", g->f->error.message);
    }
}

/* A user with the role model_user and a key. */
static void alice(gate_fixture *g, char secret[64], char id[16])
{
    op(g, dv_op_user_create, NULL, "{'name':'alice'}");
    op(g, dv_op_role_assign, "{'role':'model_user'}", "{'user':'alice'}");
    make_key(g->f, "{'user':'alice'}", secret, id);
}

static void a_key_lets_its_owner_in(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    alice(g, secret, id);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    assert_string_equal(g->verdict.policy, "role:model_user");
    assert_true(dv_slice_eq_str(g->identity.principal.name, "alice"));
    assert_true(dv_slice_eq_str(g->identity.principal.entity, "User::\"alice\""));
    assert_true(dv_slice_eq_str(g->identity.credential.id, id));
    assert_true(dv_slice_eq_str(g->identity.credential.kind, "api_key"));
    assert_int_equal(may(g, secret, "manage_users"), DV_REASON_NOT_PERMITTED);
    assert_true(dv_slice_eq_str(g->identity.principal.name, "alice"));
}

static void first_admin_may_everything(void **state)
{
    gate_fixture *g = *state;
    char path[PATH_MAX];
    char key[64];
    dv_auto(buf) dv_buf file = dv_buf_init(4096);
    assert_int_equal(
        dv_file_read(temp_path(&g->f->dir, "state/admin-credentials", path), &file, NULL), DV_OK);
    ptrdiff_t at = dv_slice_find(dv_buf_slice(&file), DV_LIT("dvk_"));
    snprintf(key, sizeof(key), "%.*s", DV_API_KEY_LEN, file.ptr + at);
    assert_int_equal(may(g, key, "use_model"), DV_REASON_OK);
    assert_int_equal(may(g, key, "anything:at-all"), DV_REASON_OK);
    assert_string_equal(g->verdict.policy, "role:admin");
}

static void junk_is_refused(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    char other[80];
    alice(g, secret, id);
    assert_int_equal(may(g, "", "use_model"), DV_REASON_NO_CREDENTIAL);
    assert_int_equal(may(g, "dvk_", "use_model"), DV_REASON_BAD_CREDENTIAL);
    assert_int_equal(may(g, "sk-proj-something", "use_model"), DV_REASON_BAD_CREDENTIAL);
    snprintf(other, sizeof(other), "%s ", secret);
    assert_int_equal(may(g, other, "use_model"), DV_REASON_BAD_CREDENTIAL);
    /* Well formed, right id, wrong secret: only the comparison can tell. */
    assert_int_equal(
        dv_api_key_format(dv_slice_str(id), DV_LIT("000000000000000000000000000000"), other),
        DV_OK);
    assert_int_equal(may(g, other, "use_model"), DV_REASON_BAD_CREDENTIAL);
    assert_int_equal(
        dv_api_key_format(DV_LIT("00000000"), DV_LIT("000000000000000000000000000000"), other),
        DV_OK);
    assert_int_equal(may(g, other, "use_model"), DV_REASON_BAD_CREDENTIAL);
    assert_int_equal(g->identity.principal.name.len, 0);
}

static void revocation_is_felt_at_once(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    char params[64];
    alice(g, secret, id);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    snprintf(params, sizeof(params), "{'id':'%s'}", id);
    op(g, dv_op_apikey_revoke, params, NULL);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_BAD_CREDENTIAL);
}

static void suspension_and_deletion_are_felt_at_once(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    alice(g, secret, id);
    op(g, dv_op_user_suspend, "{'name':'alice'}", NULL);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_BAD_CREDENTIAL);
    op(g, dv_op_user_activate, "{'name':'alice'}", NULL);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    op(g, dv_op_user_delete, "{'name':'alice'}", NULL);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_BAD_CREDENTIAL);
    /* One of the same name is not the same. */
    op(g, dv_op_user_create, NULL, "{'name':'alice'}");
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_BAD_CREDENTIAL);
}

/* The gate ends it by itself, for callers that it knows already, too; nothing is swept here. */
static void a_role_ends_at_its_time(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    dv_time now = dv_time_now();
    op(g, dv_op_user_create, NULL, "{'name':'tim'}");
    op(g, dv_op_role_assign, "{'role':'model_user'}", "{'user':'tim','until':'1h'}");
    op(g, dv_op_role_assign, "{'role':'viewer'}", "{'user':'tim'}");
    make_key(g->f, "{'user':'tim'}", secret, id);
    assert_int_equal(ask_at(g, secret, "use_model", now), DV_REASON_OK);
    assert_true(g->identity.expires > now + 3599 * DV_SECOND);
    assert_true(g->identity.expires < now + 3700 * DV_SECOND);
    assert_int_equal(ask_at(g, secret, "use_model", g->identity.expires - 1), DV_REASON_OK);
    dv_time end = g->identity.expires;
    assert_int_equal(ask_at(g, secret, "use_model", end), DV_REASON_NOT_PERMITTED);
    assert_int_equal(ask_at(g, secret, "view_status", end), DV_REASON_OK);
    assert_int_equal(g->identity.expires, DV_TIME_NEVER);
}

/* By the longer of two ways it lasts longer. */
static void a_role_by_two_ways_lasts_as_the_longer_one(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    dv_time now = dv_time_now();
    op(g, dv_op_group_create, NULL, "{'name':'ml'}");
    op(g, dv_op_user_create, NULL, "{'name':'tea','groups':['ml']}");
    op(g, dv_op_role_create, NULL, "{'name':'lead','inherits':['model_user']}");
    op(g, dv_op_role_assign, "{'role':'lead'}", "{'user':'tea','until':'1h'}");
    op(g, dv_op_role_assign, "{'role':'lead'}", "{'group':'ml','until':'3h'}");
    make_key(g->f, "{'user':'tea'}", secret, id);
    assert_int_equal(ask_at(g, secret, "use_model", now + 7200 * DV_SECOND), DV_REASON_OK);
    assert_int_equal(ask_at(g, secret, "use_model", now + 10900 * DV_SECOND),
                     DV_REASON_NOT_PERMITTED);
}

static void role_changes_are_felt_at_once(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    alice(g, secret, id);
    op(g, dv_op_role_unassign, "{'role':'model_user','user':'alice'}", NULL);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_NOT_PERMITTED);
    op(g, dv_op_role_create, NULL, "{'name':'r','permissions':['use_model']}");
    op(g, dv_op_group_create, NULL, "{'name':'inner'}");
    op(g, dv_op_group_create, NULL, "{'name':'outer'}");
    op(g, dv_op_group_add_member, "{'name':'outer'}", "{'group':'inner'}");
    op(g, dv_op_group_add_member, "{'name':'inner'}", "{'user':'alice'}");
    op(g, dv_op_role_assign, "{'role':'r'}", "{'group':'outer'}");
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    assert_string_equal(g->verdict.policy, "role:r");
    op(g, dv_op_role_update, "{'name':'r'}", "{'permissions':['other']}");
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_NOT_PERMITTED);
    assert_int_equal(may(g, secret, "other"), DV_REASON_OK);
    op(g, dv_op_role_update, "{'name':'r'}", "{'permissions':[],'inherits':['model_user']}");
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    assert_string_equal(g->verdict.policy, "role:model_user");
    op(g, dv_op_group_remove_member, "{'name':'outer','group':'inner'}", NULL);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_NOT_PERMITTED);
}

static void keys_expire(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    op(g, dv_op_user_create, NULL, "{'name':'alice'}");
    op(g, dv_op_role_assign, "{'role':'model_user'}", "{'user':'alice'}");
    make_key(g->f, "{'user':'alice','expires':'1h'}", secret, id);
    dv_time now = dv_time_now();
    assert_int_equal(ask_at(g, secret, "use_model", now), DV_REASON_OK);
    assert_int_equal(ask_at(g, secret, "use_model", now + 3599 * DV_SECOND), DV_REASON_OK);
    assert_int_equal(ask_at(g, secret, "use_model", now + 3600 * DV_SECOND),
                     DV_REASON_BAD_CREDENTIAL);
}

static void rotation_overlaps(void **state)
{
    gate_fixture *g = *state;
    char first[64];
    char id[16];
    char params[64];
    char second[64];
    char third[64];
    alice(g, first, id);
    snprintf(params, sizeof(params), "{'id':'%s'}", id);
    json_t *key = ask(g->f, dv_op_apikey_rotate, params, "{'overlap':'1h'}");
    snprintf(second, sizeof(second), "%s", json_string_value(json_object_get(key, "secret")));
    json_decref(key);
    dv_time now = dv_time_now();
    assert_int_equal(ask_at(g, first, "use_model", now), DV_REASON_OK);
    assert_int_equal(ask_at(g, second, "use_model", now), DV_REASON_OK);
    assert_int_equal(ask_at(g, first, "use_model", now + 3600 * DV_SECOND),
                     DV_REASON_BAD_CREDENTIAL);
    assert_int_equal(ask_at(g, second, "use_model", now + 3600 * DV_SECOND), DV_REASON_OK);
    /* Two live secrets, never three. */
    key = ask(g->f, dv_op_apikey_rotate, params, "{'overlap':'1h'}");
    snprintf(third, sizeof(third), "%s", json_string_value(json_object_get(key, "secret")));
    json_decref(key);
    assert_int_equal(may(g, first, "use_model"), DV_REASON_BAD_CREDENTIAL);
    assert_int_equal(may(g, second, "use_model"), DV_REASON_OK);
    assert_int_equal(may(g, third, "use_model"), DV_REASON_OK);
    key = ask(g->f, dv_op_apikey_rotate, params, "{'overlap':'0s'}");
    assert_int_equal(may(g, third, "use_model"), DV_REASON_BAD_CREDENTIAL);
    assert_int_equal(may(g, json_string_value(json_object_get(key, "secret")), "use_model"),
                     DV_REASON_OK);
    json_decref(key);
}

static void scopes_confine(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    make_key(g->f, "{'user':'admin','scopes':['view_users','use_model']}", secret, id);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    assert_int_equal(may(g, secret, "view_users"), DV_REASON_OK);
    assert_int_equal(may(g, secret, "manage_users"), DV_REASON_SCOPE);
    assert_int_equal(may(g, secret, "use_mode"), DV_REASON_SCOPE);
    assert_int_equal(g->identity.credential.scope_count, 2);
}

static void service_accounts_call_too(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    op(g, dv_op_service_create, NULL, "{'name':'alice'}"); /* no relation to a user alice */
    op(g, dv_op_user_create, NULL, "{'name':'alice'}");
    op(g, dv_op_role_assign, "{'role':'model_user'}", "{'service':'alice'}");
    make_key(g->f, "{'service':'alice'}", secret, id);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    assert_true(dv_slice_eq_str(g->identity.principal.entity, "Service::\"alice\""));
    make_key(g->f, "{'user':'alice'}", secret, id);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_NOT_PERMITTED);
}

/* May what was asked last go on? `refreshed`: the gate looks at the snapshot again before. */
static dv_result recheck(gate_fixture *g, bool refreshed, dv_time now)
{
    dv_snapshot *snapshot = g->f->services.snapshot;
    assert_int_equal(dv_snapshot_begin(snapshot), DV_OK);
    if (refreshed) {
        assert_int_equal(dv_auth_gate_refresh(g->gate, snapshot, NULL), DV_OK);
    }
    dv_identity renewed = {0};
    dv_result result = dv_auth_gate_renew(g->gate, snapshot, &g->identity, now, g->arena, &renewed);
    g->identity.expires = result == DV_OK ? renewed.expires : g->identity.expires;
    dv_snapshot_end(snapshot);
    return result;
}

static void streams_are_rechecked(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    char params[64];
    alice(g, secret, id);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    assert_int_equal(recheck(g, false, dv_time_now()), DV_OK);
    snprintf(params, sizeof(params), "{'id':'%s'}", id);
    op(g, dv_op_apikey_revoke, params, NULL);
    /* not refreshed: no answer from old knowledge */
    assert_int_equal(recheck(g, false, dv_time_now()), DV_ERR_UNAVAILABLE);
    assert_int_equal(recheck(g, true, dv_time_now()), DV_ERR_UNAUTHENTICATED);
}

/* A stream that began with a secret that was replaced since ends when the overlap does. */
static void a_rotated_secret_ends_with_the_overlap(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    char params[64];
    alice(g, secret, id);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    dv_time before = g->identity.expires;
    snprintf(params, sizeof(params), "{'id':'%s'}", id);
    json_decref(ask(g->f, dv_op_apikey_rotate, params, "{'overlap':'1h'}"));
    dv_time now = dv_time_now();
    assert_int_equal(recheck(g, true, now), DV_OK);
    assert_true(g->identity.expires < before);
    assert_in_range(g->identity.expires, now + 3500 * DV_SECOND, now + 3600 * DV_SECOND);
    assert_int_equal(recheck(g, false, now + 3600 * DV_SECOND), DV_ERR_UNAUTHENTICATED);
    json_decref(ask(g->f, dv_op_apikey_rotate, params, "{'overlap':'0s'}"));
    assert_int_equal(recheck(g, true, now), DV_ERR_UNAUTHENTICATED);
}

static void an_identity_is_renewed_as_it_is_now(void **state)
{
    gate_fixture *g = *state;
    dv_snapshot *snapshot = g->f->services.snapshot;
    char secret[64];
    char id[16];
    dv_identity renewed = {0};
    alice(g, secret, id);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    assert_int_equal(dv_snapshot_begin(snapshot), DV_OK);
    dv_time expires = g->identity.expires;
    assert_int_equal(
        dv_auth_gate_renew(g->gate, snapshot, &g->identity, dv_time_now(), g->arena, &renewed),
        DV_OK);
    assert_true(dv_slice_eq(renewed.principal.entity, g->identity.principal.entity));
    assert_true(dv_slice_eq(renewed.credential.id, g->identity.credential.id));
    assert_int_equal(renewed.principal.ancestor_count, g->identity.principal.ancestor_count);
    assert_int_equal(renewed.expires, expires);
    assert_int_equal(
        dv_auth_gate_renew(g->gate, snapshot, &g->identity, expires, g->arena, &renewed),
        DV_ERR_UNAUTHENTICATED);
    dv_snapshot_end(snapshot);
}

static void nothing_passes_an_unready_gate(void **state)
{
    gate_fixture *g = *state;
    dv_snapshot *snapshot = g->f->services.snapshot;
    char secret[64];
    char id[16];
    dv_identity identity = {0};
    dv_verdict verdict = {0};
    dv_auth_request request = {DV_LIT("use_model"), DV_LIT("Model::\"m\""), {0}, dv_time_now()};
    alice(g, secret, id);
    assert_int_equal(dv_auth_gate_api_key(g->gate, snapshot, dv_slice_str(secret), request.now,
                                          g->arena, &identity, &verdict),
                     DV_ERR_UNAVAILABLE);
    assert_int_equal(verdict.reason, DV_REASON_NOT_READY);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    /* Outside begin and end it knows nothing, however well it knew before. */
    memset(&verdict, 0, sizeof(verdict));
    dv_auth_gate_authorize(g->gate, snapshot, &g->identity, &request, g->arena, &verdict);
    assert_int_equal(verdict.decision, DV_DENY);
    assert_int_equal(verdict.reason, DV_REASON_NOT_READY);
}

static void put(gate_fixture *g, dv_snapshot_table table, dv_slice key, dv_slice value)
{
    uint64_t sequence;
    dv_snapshot *snapshot = g->f->services.snapshot;
    assert_int_equal(dv_snapshot_change_sequence(snapshot, &sequence), DV_OK);
    assert_int_equal(dv_snapshot_write_begin(snapshot, NULL), DV_OK);
    assert_int_equal(dv_snapshot_put(snapshot, table, key, value), DV_OK);
    assert_int_equal(dv_snapshot_commit(snapshot, sequence), DV_OK);
}

static void broken_policies_permit_nothing(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    uint8_t version[32] = {1};
    alice(g, secret, id);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    put(g, DV_TABLE_POLICIES, DV_POLICIES_TEXT, DV_LIT("permit(principal, action, resource"));
    put(g, DV_TABLE_POLICIES, DV_POLICIES_VERSION, dv_slice_of(version, sizeof(version)));
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_NOT_READY);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_NOT_READY);
    op(g, dv_op_role_create, NULL, "{'name':'x','permissions':['y']}");
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
}

static void a_forbid_and_an_error_refuse(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    uint8_t version[32] = {2};
    alice(g, secret, id);
    put(g, DV_TABLE_POLICIES, DV_POLICIES_TEXT,
        DV_LIT("@id(\"all\") permit(principal, action, resource);"
               "@id(\"not-there\") forbid(principal, action, resource)"
               " when { context.address == ip(\"192.0.2.1\") };"));
    put(g, DV_TABLE_POLICIES, DV_POLICIES_VERSION, dv_slice_of(version, sizeof(version)));
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_FORBIDDEN);
    assert_string_equal(g->verdict.policy, "not-there");
    version[0] = 3;
    put(g, DV_TABLE_POLICIES, DV_POLICIES_TEXT,
        DV_LIT("@id(\"all\") permit(principal, action, resource);"
               "@id(\"broken\") forbid(principal, action, resource) when { context.nothing };"));
    put(g, DV_TABLE_POLICIES, DV_POLICIES_VERSION, dv_slice_of(version, sizeof(version)));
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_INTERNAL);
    assert_int_equal(g->verdict.decision, DV_DENY);
    assert_string_equal(g->verdict.policy, "broken");
}

/* Decided, and remembered of a caller. */
static void all_that_determined_is_named(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    uint8_t version[32] = {9};
    alice(g, secret, id);
    op(g, dv_op_role_create, NULL, "{'name':'also','permissions':['use_model']}");
    op(g, dv_op_role_assign, "{'role':'also'}", "{'user':'alice'}");
    for (int round = 0; round < 3; round++) {
        assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
        assert_string_equal(g->verdict.policy, "role:also");
        assert_true(dv_slice_eq_str(g->verdict.others, "role:model_user"));
        assert_int_equal(g->verdict.unnamed, 0);
    }
    put(g, DV_TABLE_POLICIES, DV_POLICIES_TEXT,
        DV_LIT("@id(\"all\") permit(principal, action, resource);"
               "@id(\"no\") forbid(principal, action == Action::\"use_model\", resource);"
               "@id(\"never\") forbid(principal, action == Action::\"use_model\", resource);"
               "@id(\"broken\") permit(principal, action == Action::\"x\", resource)"
               " when {context.a};"
               "@id(\"bad\") permit(principal, action == Action::\"x\", resource)"
               " when {context.b};"));
    put(g, DV_TABLE_POLICIES, DV_POLICIES_VERSION, dv_slice_of(version, sizeof(version)));
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_FORBIDDEN);
    assert_string_equal(g->verdict.policy, "no");
    assert_true(dv_slice_eq_str(g->verdict.others, "never"));
    assert_int_equal(may(g, secret, "x"), DV_REASON_INTERNAL);
    assert_string_equal(g->verdict.policy, "broken");
    assert_true(dv_slice_eq_str(g->verdict.others, "bad"));
    assert_int_equal(may(g, secret, "other"), DV_REASON_OK);
    assert_string_equal(g->verdict.policy, "all");
    assert_int_equal(g->verdict.others.len, 0);
}

static dv_reason ask_about(gate_fixture *g, const char *key, dv_slice resource, dv_slice address)
{
    dv_auth_request request = {DV_LIT("use_model"), resource, address, dv_time_now()};
    memset(&g->verdict, 0, sizeof(g->verdict));
    dv_auth_gate_check(g->gate, g->f->services.snapshot, dv_slice_str(key), &request, g->arena,
                       &g->identity, &g->verdict);
    return g->verdict.reason;
}

/* Decisions of a caller seen before are kept only where nothing but who, what and where was asked.
 */
static void what_was_decided_is_not_stretched(void **state)
{
    gate_fixture *g = *state;
    const dv_slice small = DV_LIT("Model::\"small\""), large = DV_LIT("Model::\"large\"");
    const dv_slice here = DV_LIT("192.0.2.1"), there = DV_LIT("192.0.2.2");
    char secret[64];
    char id[16];
    uint8_t version[32] = {4};
    alice(g, secret, id);
    put(g, DV_TABLE_POLICIES, DV_POLICIES_TEXT,
        DV_LIT("permit(principal, action, resource == Model::\"small\");"
               "permit(principal, action, resource == Model::\"large\")"
               " when { context.address == ip(\"192.0.2.1\") };"));
    put(g, DV_TABLE_POLICIES, DV_POLICIES_VERSION, dv_slice_of(version, sizeof(version)));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask_about(g, secret, small, here), DV_REASON_OK);
        assert_int_equal(ask_about(g, secret, small, there), DV_REASON_OK);
        assert_int_equal(ask_about(g, secret, large, here), DV_REASON_OK);
        assert_int_equal(ask_about(g, secret, large, there), DV_REASON_NOT_PERMITTED);
        assert_int_equal(ask_about(g, secret, DV_LIT("Model::\"x\""), here),
                         DV_REASON_NOT_PERMITTED);
    }
}

/* More keys than callers are kept, each a stranger to the others. */
static void callers_are_told_apart(void **state)
{
    enum { KEYS = 40 };
    gate_fixture *g = *state;
    static char secrets[KEYS][64];
    char id[16], name[64];
    for (int i = 0; i < KEYS; i++) {
        snprintf(name, sizeof(name), "{'name':'user%d'}", i);
        op(g, dv_op_user_create, NULL, name);
        snprintf(name, sizeof(name), "{'user':'user%d'}", i);
        if (i % 2 == 0) {
            op(g, dv_op_role_assign, "{'role':'model_user'}", name);
        }
        make_key(g->f, name, secrets[i], id);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < KEYS; i++) {
            assert_int_equal(may(g, secrets[i], "use_model"),
                             i % 2 == 0 ? DV_REASON_OK : DV_REASON_NOT_PERMITTED);
            snprintf(name, sizeof(name), "user%d", i);
            assert_true(dv_slice_eq_str(g->identity.principal.name, name));
        }
    }
}

static void damaged_records_let_nobody_in(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    alice(g, secret, id);
    put(g, DV_TABLE_PRINCIPALS, DV_LIT("User::\"alice\""), DV_LIT("\1\1\1"));
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_BAD_CREDENTIAL);
    put(g, DV_TABLE_CREDENTIALS, dv_slice_str(id), DV_LIT(""));
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_BAD_CREDENTIAL);
}

static void last_use_is_recorded_in_batches(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    char params[64];
    char path[PATH_MAX];
    alice(g, secret, id);
    assert_int_equal(
        dv_auth_gate_note_usage(g->gate, temp_path(&g->f->dir, "run/usage", path), NULL), DV_OK);
    snprintf(params, sizeof(params), "{'id':'%s'}", id);
    json_t *key = ask(g->f, dv_op_apikey_show, params, NULL);
    assert_true(json_is_null(json_object_get(key, "last_used")));
    json_decref(key);
    dv_time now = dv_time_now();
    assert_int_equal(ask_at(g, secret, "use_model", now), DV_REASON_OK);
    assert_int_equal(dv_auth_control_tick(&g->f->services, now, NULL), DV_OK);
    char expected[DV_TIME_TEXT_MAX];
    dv_time_format(now, expected);
    key = ask(g->f, dv_op_apikey_show, params, NULL);
    assert_string_equal(json_string_value(json_object_get(key, "last_used")), expected);
    json_decref(key);
}

/* --- models and routes ----------------------------------------------------------------------- */

/* Puts the record of models as it is, with a good digest when there is JSON. */
static void put_resources(gate_fixture *g, const char *json, bool with_digest)
{
    uint8_t digest[DV_SHA256_LEN];
    dv_snapshot *snapshot = g->f->services.snapshot;
    uint64_t sequence = 0;
    dv_auto(buf) dv_buf record = dv_buf_init(1 << 20);
    dv_sha256(dv_slice_str(json), (dv_slice){0}, (dv_slice){0}, digest);
    if (with_digest) {
        assert_int_equal(dv_buf_append(&record, dv_slice_of(digest, sizeof(digest))), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&record, json), DV_OK);
    assert_int_equal(dv_snapshot_change_sequence(snapshot, &sequence), DV_OK);
    assert_int_equal(dv_snapshot_write_begin(snapshot, NULL), DV_OK);
    assert_int_equal(
        dv_snapshot_put(snapshot, DV_TABLE_ROUTES, DV_LIT(DV_RESOURCES_KEY), dv_buf_slice(&record)),
        DV_OK);
    assert_int_equal(dv_snapshot_commit(snapshot, sequence), DV_OK);
}

/* The words of a model at the gate: "tier classification in GROUP". */
static const char *words_of(gate_fixture *g, const char *uid, char out[256])
{
    dv_cedar_entity entity = {0};
    dv_snapshot *snapshot = g->f->services.snapshot;
    assert_int_equal(dv_snapshot_begin(snapshot), DV_OK);
    assert_int_equal(dv_auth_gate_refresh(g->gate, snapshot, NULL), DV_OK);
    dv_snapshot_end(snapshot);
    if (!dv_resources_find(dv_auth_gate_resources(g->gate), dv_slice_str(uid), &entity)) {
        return "no resource";
    }
    assert_true(dv_slice_eq_str(entity.uid, uid));
    const dv_cedar_value *tier = dv_cedar_get(entity.attributes, DV_LIT("tier"));
    const dv_cedar_value *level = dv_cedar_get(entity.attributes, DV_LIT("classification"));
    const dv_cedar_value *labels = dv_cedar_get(entity.attributes, DV_LIT("labels"));
    dv_slice group = entity.ancestor_count == 0 ? DV_LIT("-") : entity.ancestors[0];
    snprintf(out, 256, "%.*s/%.*s/%u/%.*s", DV_SLICE_ARGS(tier->text), DV_SLICE_ARGS(level->text),
             labels->count, DV_SLICE_ARGS(group));
    return out;
}

static void models_have_attributes_in_any_case(void **state)
{
    static const struct {
        const char *uid;
        const char *words;
    } cases[] = {
        {"Model::\"gpt-x\"", "gold/secret/2/ModelGroup::\"big\""},
        {"Model::\"GPT-X\"", "gold/secret/2/ModelGroup::\"big\""},
        {"Model::\"gpt-xx\"", "new//0/-"},
        {"Model::\"*\"", "new//0/-"},
        {"Route::\"chat\"", "//1/-"},
        {"Route::\"CHAT\"", "//0/-"},
        {"System::\"dvara\"", "no resource"},
        {"ModelGroup::\"big\"", "no resource"},
    };
    static const char JSON[] =
        "[{\"uid\":{\"type\":\"Model\",\"id\":\"gpt-x\"},\"attrs\":{\"tier\":\"gold\","
        "\"classification\":\"secret\",\"labels\":[\"a\",\"b\"]},"
        "\"parents\":[{\"type\":\"ModelGroup\",\"id\":\"big\"}]},"
        "{\"uid\":{\"type\":\"Model\",\"id\":\"*\"},\"attrs\":{\"tier\":\"new\","
        "\"classification\":\"\",\"labels\":[]},\"parents\":[]},"
        "{\"uid\":{\"type\":\"Route\",\"id\":\"chat\"},\"attrs\":{\"tier\":\"\","
        "\"classification\":\"\",\"labels\":[\"phi\"]},\"parents\":[]}]";
    gate_fixture *g = *state;
    char words[256];
    assert_string_equal(words_of(g, "Model::\"gpt-x\"", words), "//0/-");
    put_resources(g, JSON, true);
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        assert_string_equal(words_of(g, cases[i].uid, words), cases[i].words);
    }
    char longest[DV_LIMIT_CEDAR_UID];
    snprintf(longest, sizeof(longest), "Model::\"%0*d\"", 3000, 7);
    assert_string_equal(words_of(g, longest, words), "new//0/-");
    put_resources(g, "[]", true);
    assert_string_equal(words_of(g, "Model::\"gpt-x\"", words), "//0/-");
}

/* Who can't read what models are can't know what a policy forbids. */
static void a_damaged_record_of_models_permits_nothing(void **state)
{
    gate_fixture *g = *state;
    char secret[64];
    char id[16];
    alice(g, secret, id);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    put_resources(g, "short", false);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_NOT_READY);
    put_resources(g, "[]", true);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_OK);
    put_resources(g, "{\"no\": \"list\"}", true);
    assert_int_equal(may(g, secret, "use_model"), DV_REASON_NOT_READY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_key_lets_its_owner_in),
        TEST(models_have_attributes_in_any_case),
        TEST(a_damaged_record_of_models_permits_nothing),
        TEST(first_admin_may_everything),
        TEST(junk_is_refused),
        TEST(revocation_is_felt_at_once),
        TEST(suspension_and_deletion_are_felt_at_once),
        TEST(a_role_ends_at_its_time),
        TEST(a_role_by_two_ways_lasts_as_the_longer_one),
        TEST(role_changes_are_felt_at_once),
        TEST(keys_expire),
        TEST(rotation_overlaps),
        TEST(scopes_confine),
        TEST(service_accounts_call_too),
        TEST(streams_are_rechecked),
        TEST(a_rotated_secret_ends_with_the_overlap),
        TEST(an_identity_is_renewed_as_it_is_now),
        TEST(nothing_passes_an_unready_gate),
        TEST(broken_policies_permit_nothing),
        TEST(a_forbid_and_an_error_refuse),
        TEST(all_that_determined_is_named),
        TEST(what_was_decided_is_not_stretched),
        TEST(callers_are_told_apart),
        TEST(damaged_records_let_nobody_in),
        TEST(last_use_is_recorded_in_batches),
    };
    return cmocka_run_group_tests_name("auth-gate", tests, NULL, NULL);
}
