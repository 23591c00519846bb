/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara audit erase`: who asks and why goes to dvara-logd, which holds the keys. */
#include "api/operations.h"
#include "room/audit/control/alert.h"
#include "room/audit/control/internal.h"
#include "store/change.h"
#include "store/snapshot.h"
#include "store/store.h"

/* User::"alice" of "alice"; an entity's text is one already. A new text of the arena. */
static const char *subject_text(const dv_call *call, const char *asked)
{
    return strstr(asked, "::\"") != NULL ? asked
                                         : dv_arena_printf(call->arena, "User::\"%s\"", asked);
}

/* One that is spelt otherwise would be looked for as a user of that name. What was said is not told
 * again: the message stands in the record of the call. */
static dv_result check_subject(dv_call *call, dv_error *error)
{
    const char *asked = dv_call_field(call, "subject");
    size_t len = strlen(asked);
    size_t type = strspn(asked, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    bool entity = type > 0 && strncmp(asked + type, "::\"", 3) == 0 && len > type + 4 &&
                  asked[len - 1] == '"';
    return entity || (strstr(asked, "::") == NULL && strchr(asked, '"') == NULL)
               ? DV_OK
               : dv_call_invalid(call, "subject", error,
                                 "is a user's name, or an entity such as User::\"NAME\", "
                                 "Service::\"NAME\", Local::\"NAME\" or Day::\"2026-11-22\"");
}

static const char *or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

static json_t *request_json(const dv_call *call, bool dry_run)
{
    const char *subject = subject_text(call, dv_call_field(call, "subject"));
    return subject == NULL
               ? NULL
               : json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "subject", subject, "actor",
                           or_empty(call->caller), "via", or_empty(call->via), "address",
                           or_empty(call->address), "request_id", or_empty(call->request_id),
                           "reason", or_empty(dv_call_field(call, "reason")), "dry_run", dry_run);
}

static dv_result ask(const dv_call *call, bool dry_run, json_t **ret_answer, dv_error *error)
{
    dv_auto(logd_answer) dv_logd_answer answer = {dv_buf_init(0), 0};
    json_t *request = request_json(call, dry_run);
    dv_auto(free) char *body = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);
    json_decref(request);
    if (body == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_logd_post(call->services->runtime_dir, "/erase", dv_slice_str(body), &answer, error));
    *ret_answer = json_loadb((const char *)answer.body.ptr, answer.body.len, 0, NULL);
    return json_is_object(*ret_answer)
               ? DV_OK
               : dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent what is no JSON");
}

/* What was deleted from the store stands nowhere in its files any more. */
static dv_result scrub(dv_call *call, dv_error *error)
{
    const dv_services *services = call->services;
    const char *subject = subject_text(call, dv_call_field(call, "subject"));
    if (subject == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_alert_erase(services->store, subject, error));
    DV_TRY(dv_change_prune(services->store, 0, error)); /* it names what was changed */
    DV_TRY(dv_store_scrub(services->store, error));
    dv_store_copy_remove(services->state_dir);
    return dv_snapshot_renew(services->snapshot, error);
}

dv_result dv_op_audit_erase(dv_call *call, dv_error *error)
{
    bool dry_run = json_is_true(json_object_get(call->body, "dry_run"));
    if (!dry_run) {
        DV_TRY(dv_call_confirmed(call, "this can't be undone. See what it does with --dry-run",
                                 error));
    }
    json_t *answer = NULL;
    DV_TRY(check_subject(call, error));
    DV_TRY(dry_run ? DV_OK : scrub(call, error));
    dv_result result = ask(call, dry_run, &answer, error);
    call->error_field = result == DV_ERR_NOT_FOUND || result == DV_ERR_INVALID ? "subject" : NULL;
    if (result == DV_OK && json_object_set_new(answer, "erased", json_boolean(!dry_run)) != 0) {
        result = DV_ERR_NO_MEMORY;
    }
    if (result != DV_OK) {
        json_decref(answer);
        return result;
    }
    call->answer = answer;
    return DV_OK;
}
