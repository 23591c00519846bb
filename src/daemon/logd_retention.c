/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_retention.h"

#include "base/caps.h"
#include "base/file.h"
#include "base/json.h"
#include "core/event.h"
#include "daemon/logd_cosignature.h"
#include "daemon/logd_logs.h"
#include "daemon/logd_retention_private.h"
#include "engine/log/entry.h"
#include "engine/log/erasure.h"
#include "engine/log/search.h"

#include <inttypes.h>
#include <time.h>

enum {
    WAIT_SECONDS = 30,
    ROUND_PACKS = 16, /* that one round removes: a million events */
    BODY_TOKENS = 64,
    BODY_ARENA = 64 << 10,
    CHANGE_MAX = 2048,
    SETTING_MAX = 40 << 10, /* both, and it fits a record */
};
static const dv_time look_every = 60 * DV_SECOND, soon = DV_SECOND / 4;

/* -- in force ---------------------------------------------------------------------------------- */

/* Since the machine's start; also counts while it sleeps. */
static int64_t machine_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t wall_ms(void)
{
    return dv_time_now() / DV_MILLISECOND;
}

/* Without the id of this start of the machine every restart counts as one of the machine. */
static dv_retention_seen look_at_clocks(void)
{
    dv_retention_seen seen = {.wall_ms = wall_ms(), .machine_ms = machine_ms()};
    dv_auto(buf) dv_buf id = dv_buf_init(DV_BOOT_ID_MAX + 1);
    if (dv_file_read("/proc/sys/kernel/random/boot_id", &id, NULL) == DV_OK) {
        dv_slice_copy(dv_slice_trim(dv_buf_slice(&id)), seen.boot_id, sizeof(seen.boot_id));
    }
    return seen;
}

/* What is in `next` holds from now on, here and after the next start. */
static dv_result put_in_force(dv_logd_retention *retention, dv_error *error)
{
    retention->next->unsettled_ms = dv_retention_clock_left(&retention->clock, machine_ms());
    retention->next->seen = look_at_clocks();
    retention->next->seen.wall_ms =
        dv_retention_clock_expected(&retention->clock, retention->next->seen.machine_ms);
    DV_TRY(dv_retention_save(retention->on.log_folder, retention->next, error));
    pthread_mutex_lock(&retention->lock);
    *retention->current = *retention->next;
    pthread_mutex_unlock(&retention->lock);
    return DV_OK;
}

static dv_result set_routes(const dv_logd_retention *retention, dv_error *error)
{
    dv_sequencer *sequencer = retention->on.sequencer;
    const dv_retention *now = retention->current;
    dv_sequencer_route_none(sequencer);
    for (size_t i = 0; i < now->kind_count; i++) {
        DV_TRY(dv_sequencer_route(sequencer, now->kinds[i].kind, now->kinds[i].log, error));
    }
    return DV_OK;
}

dv_result dv_logd_retention_copy(dv_logd_retention *retention, dv_retention **ret_copy,
                                 int64_t *ret_unsettled_ms)
{
    dv_retention *copy = malloc(sizeof(*copy));
    if (copy == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    pthread_mutex_lock(&retention->lock);
    *copy = *retention->current;
    *ret_unsettled_ms = retention->unsettled_ms;
    pthread_mutex_unlock(&retention->lock);
    *ret_copy = copy;
    return DV_OK;
}

int64_t dv_logd_retention_keep_ms(dv_logd_retention *retention, const char *log)
{
    pthread_mutex_lock(&retention->lock);
    const dv_retention_class *class = dv_retention_find(retention->current, log);
    int64_t keep_ms = class == NULL ? 0 : class->keep_ms;
    pthread_mutex_unlock(&retention->lock);
    return keep_ms;
}

/* -- classes ----------------------------------------------------------------------------------- */

/* No event may be left in a log that no class tells how long to keep. */
static dv_result check_logs(const dv_retention *wanted, const dv_log_tree *logs, size_t count,
                            dv_error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(logs[i].name, DV_LOG_MAIN) != 0 && logs[i].size > 0 &&
            dv_retention_find(wanted, logs[i].name) == NULL) {
            return dv_error_set(error, DV_ERR_CONFLICT,
                                "audit.retention.classes: the log of the class %s has %" PRIu64
                                " events: keep the class, with `kinds: []` when nothing more is to "
                                "come to it",
                                logs[i].name, logs[i].size - logs[i].minimum);
        }
    }
    return DV_OK;
}

static dv_result check_kinds(const dv_retention *wanted, dv_error *error)
{
    for (size_t i = 0; i < wanted->kind_count; i++) {
        const dv_retention_kind *one = &wanted->kinds[i];
        if (dv_retention_kind_is_kept_back(one->kind) ||
            dv_retention_find(wanted, one->log) == NULL) {
            return dv_error_set(error, DV_ERR_INVALID, "events %s can not go to the log %s",
                                one->kind, one->log);
        }
    }
    return DV_OK;
}

static dv_result check_classes(const dv_retention *wanted, const dv_log_tree *logs, size_t count,
                               dv_error *error)
{
    DV_TRY(check_kinds(wanted, error));
    return check_logs(wanted, logs, count, error);
}

/* What is to be kept how long, as it was and as it becomes: who shortens a time does not do so
 * unseen. */
static dv_result note_setting(const dv_logd_retention *retention, dv_error *error)
{
    dv_event_actor actor = {.time = dv_time_now(), .entity = DV_LIT("System::\"dvara-logd\"")};
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD), setting = dv_buf_init(SETTING_MAX);
    DV_TRY(dv_buf_append_str(&setting, "{\"from\":"));
    DV_TRY(dv_logd_retention_describe(retention->current, &setting));
    DV_TRY(dv_buf_append_str(&setting, ",\"to\":"));
    DV_TRY(dv_logd_retention_describe(retention->next, &setting));
    DV_TRY(dv_buf_append_byte(&setting, '}'));
    DV_TRY(
        dv_event_setting_change(&event, &actor, DV_LIT("audit.retention"), dv_buf_slice(&setting)));
    DV_TRY(dv_sequencer_note(retention->on.sequencer, dv_buf_slice(&event)));
    return dv_sequencer_commit(retention->on.sequencer, error);
}

static dv_result put_classes(dv_logd_retention *retention, const dv_retention *wanted,
                             dv_error *error)
{
    dv_sequencer_status status;
    dv_sequencer_status_get(retention->on.sequencer, &status);
    DV_TRY(check_classes(wanted, status.logs, status.log_count, error));
    *retention->next = *retention->current;
    dv_retention_take_classes(retention->next, wanted);
    if (!dv_retention_same_classes(retention->current, retention->next)) {
        DV_TRY(note_setting(retention, error)); /* before it holds */
    }
    DV_TRY(put_in_force(retention, error));
    DV_TRY(set_routes(retention, error));
    return dv_sequencer_commit(retention->on.sequencer, error); /* logs that were begun are there */
}

/* -- holds ------------------------------------------------------------------------------------- */

static dv_result write_change(const dv_retention_hold *hold, bool release, dv_buf *out)
{
    DV_TRY(dv_buf_append_str(out, "{\"reason\":"));
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(hold->reason)));
    if (!release) {
        DV_TRY(dv_buf_append_printf(out, ",\"log\":\"%s\",\"from\":%" PRId64 ",\"to\":%" PRId64,
                                    hold->log[0] == '\0' ? "*" : hold->log, hold->from_ms,
                                    hold->to_ms));
    }
    return dv_buf_append_byte(out, '}');
}

static dv_result note_hold(dv_logd_retention *retention, const dv_retention_plan *plan,
                           dv_error *error)
{
    bool release = plan->task == TASK_RELEASE;
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD), change = dv_buf_init(CHANGE_MAX);
    dv_event_actor actor = {
        .request_id = dv_slice_str(plan->actor.request_id),
        .time = dv_time_now(),
        .entity = dv_slice_str(plan->actor.entity),
        .via = dv_slice_str(plan->actor.via),
        .address = dv_slice_str(plan->actor.address),
    };
    DV_TRY(write_change(&plan->hold, release, &change));
    const dv_event_entity entity = {
        .kind = DV_LIT(DV_HOLD_KIND),
        .type = DV_LIT("hold"),
        .id = dv_slice_str(plan->hold.name),
        .change = dv_buf_slice(&change),
    };
    DV_TRY(dv_event_entity_change(&event, &actor, release ? DV_ENTITY_DELETE : DV_ENTITY_CREATE,
                                  &entity));
    DV_TRY(dv_sequencer_note(retention->on.sequencer, dv_buf_slice(&event)));
    return dv_sequencer_commit(retention->on.sequencer, error);
}

static bool is_log(const dv_logd_retention *retention, const char *name)
{
    dv_sequencer_status status;
    dv_sequencer_status_get(retention->on.sequencer, &status);
    for (size_t i = 0; i < status.log_count; i++) {
        if (strcmp(status.logs[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static dv_result create_hold(dv_logd_retention *retention, const dv_retention_plan *plan,
                             dv_error *error)
{
    if (plan->hold.log[0] != '\0' && !is_log(retention, plan->hold.log)) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "there is no log %s", plan->hold.log);
    }
    *retention->next = *retention->current;
    DV_TRY(dv_retention_add_hold(retention->next, &plan->hold, error));
    DV_TRY(put_in_force(retention, error));
    return note_hold(retention, plan, error);
}

static dv_result release_hold(dv_logd_retention *retention, const dv_retention_plan *plan,
                              dv_error *error)
{
    *retention->next = *retention->current;
    if (!dv_retention_release(retention->next, plan->hold.name)) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "there is no hold %s", plan->hold.name);
    }
    DV_TRY(note_hold(retention, plan, error));
    return put_in_force(retention, error);
}

/* -- pruning ----------------------------------------------------------------------------------- */

dv_result dv_logd_retention_bound(const dv_logd_retention_on *on, const char *folder,
                                  uint64_t *ret_end, const char **ret_waits, dv_error *error)
{
    DV_TRY(dv_logd_cosignature_bound(folder, on->runtime_dir, ret_end, error));
    *ret_waits = *ret_end == UINT64_MAX ? "" : "witnesses";
    return DV_OK;
}

static dv_result keep_logged(void *data, uint64_t index, dv_slice entry)
{
    int64_t *newest = data;
    *newest = DV_MAX(*newest, dv_entry_logged(entry));
    return DV_OK;
}

/* When the log took its newest entry, of all logs, in milliseconds; 0: there is none. */
static dv_result newest_ms(const dv_logd_retention *retention, int64_t *ret_newest, dv_error *error)
{
    char folder[PATH_MAX];
    dv_sequencer_status status;
    dv_sequencer_status_get(retention->on.sequencer, &status);
    *ret_newest = 0;
    for (size_t i = 0; i < status.log_count; i++) {
        const dv_log_tree *log = &status.logs[i];
        if (log->size > log->minimum) {
            DV_TRY(dv_logd_log_folder(retention->on.log_folder, log->name, folder, error));
            DV_TRY(
                dv_log_read(folder, log->size, log->size - 1, 1, keep_logged, ret_newest, error));
        }
    }
    return DV_OK;
}

static dv_result tell_erased(void *data, dv_slice key_id)
{
    dv_logd_retention *retention = data;
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = {.time = dv_time_now(), .entity = DV_LIT("System::\"dvara-logd\"")};
    DV_TRY(dv_erasure_event(&event, &actor, key_id,
                            DV_LIT("told again: the log's beginning, which told it, is pruned")));
    return dv_sequencer_note(retention->on.sequencer, dv_buf_slice(&event));
}

/* How much of [its minimum, `minimum`) is in an archive that was read back and verified: all of it
 * where none is asked for. */
static dv_result archived_end(dv_logd_retention *retention, const dv_log_tree *log,
                              const char *folder, uint64_t minimum, uint64_t *ret_end,
                              dv_error *error)
{
    dv_logd_archiving wanted = {.from = log->minimum, .to = minimum};
    *ret_end = minimum;
    if (retention->current->archive[0] == '\0') {
        return DV_OK;
    }
    dv_slice_copy(dv_slice_str(folder), wanted.folder, sizeof(wanted.folder));
    dv_slice_copy(dv_slice_str(retention->on.log_folder), wanted.main_folder,
                  sizeof(wanted.main_folder));
    dv_slice_copy(dv_slice_str(log->name), wanted.log, sizeof(wanted.log));
    dv_slice_copy(dv_slice_str(retention->current->archive), wanted.output_dir,
                  sizeof(wanted.output_dir));
    DV_TRY(dv_logd_archiver_ask(retention->archiver, &wanted, ret_end, error));
    retention->archiving = *ret_end == log->minimum;
    return DV_OK;
}

/* Up to where packs of that log can go now; holds that came while they were archived count. */
static dv_result find_minimum(dv_logd_retention *retention, const dv_log_tree *log,
                              const char *folder, dv_prune_rule *rule, uint64_t *ret_minimum,
                              dv_error *error)
{
    DV_TRY(dv_prune_find(folder, log, rule, ret_minimum, error));
    if (*ret_minimum <= log->minimum) {
        return DV_OK;
    }
    uint64_t end;
    DV_TRY(archived_end(retention, log, folder, *ret_minimum, &end, error));
    rule->end = *ret_minimum = DV_MIN(*ret_minimum, end);
    return DV_OK;
}

/* Prunes some packs of that log. */
static dv_result prune_log(dv_logd_retention *retention, const dv_log_tree *log, int64_t now_ms,
                           uint64_t *ret_pruned, dv_error *error)
{
    char folder[PATH_MAX];
    const char *waits;
    dv_prune_rule rule;
    uint64_t end, minimum = log->minimum;
    *ret_pruned = 0;
    dv_retention_rule(retention->current, log->name, now_ms, &rule);
    if (rule.before_ms == INT64_MIN) {
        return DV_OK;
    }
    DV_TRY(dv_logd_log_folder(retention->on.log_folder, log->name, folder, error));
    DV_TRY(dv_logd_retention_bound(&retention->on, folder, &end, &waits, error));
    rule.end = DV_MIN(end, log->minimum + (uint64_t)ROUND_PACKS * DV_PACK_LEAVES);
    rule.memory = retention->memory;
    DV_TRY(find_minimum(retention, log, folder, &rule, &minimum, error));
    if (minimum <= log->minimum) {
        return DV_OK;
    }
    if (strcmp(log->name, DV_LOG_MAIN) == 0) {
        DV_TRY(dv_erasures_each(folder, log->minimum, minimum, tell_erased, retention, error));
    }
    return dv_sequencer_prune(retention->on.sequencer, log->name, &rule, ret_pruned, error);
}

/* Prunes some of the first log that has something to go. */
static dv_result prune_some(dv_logd_retention *retention, int64_t now_ms, uint64_t *ret_pruned,
                            dv_error *error)
{
    dv_sequencer_status status;
    dv_sequencer_status_get(retention->on.sequencer, &status);
    *ret_pruned = 0;
    retention->archiving = false;
    for (size_t i = status.log_count; i > 0 && *ret_pruned == 0 && !retention->archiving;
         i--) { /* main last */
        DV_TRY(prune_log(retention, &status.logs[i - 1], now_ms, ret_pruned, error));
    }
    return DV_OK;
}

/* -- the clock --------------------------------------------------------------------------------- */

/* How long nothing is pruned, and what time it was, are kept over a restart, to within an hour. */
static dv_result keep_clock(dv_logd_retention *retention, dv_error *error)
{
    enum { HOUR_MS = 3600000 };
    int64_t now = machine_ms(), left = dv_retention_clock_left(&retention->clock, now);
    bool seen = retention->seen && now - retention->current->seen.machine_ms < HOUR_MS;
    int64_t saved = retention->current->unsettled_ms;
    pthread_mutex_lock(&retention->lock);
    retention->unsettled_ms = left;
    pthread_mutex_unlock(&retention->lock);
    if (seen && (left == saved || (left > 0 && left <= saved && saved - left < HOUR_MS))) {
        return DV_OK;
    }
    *retention->next = *retention->current;
    DV_TRY(put_in_force(retention, error));
    retention->seen = true;
    return DV_OK;
}

static dv_result note_jump(dv_logd_retention *retention, char say[DV_ERROR_MESSAGE_MAX])
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = {.time = dv_time_now(), .entity = DV_LIT("System::\"dvara-logd\"")};
    int64_t ahead = retention->clock.ahead_ms / 1000;
    snprintf(say, DV_ERROR_MESSAGE_MAX,
             "the clock %s by %" PRId64 " s: for a day nothing is pruned by age. Set it right, or, "
             "where it is right, prune with dvara audit prune",
             ahead < 0 ? "was set back" : "jumped ahead", ahead < 0 ? -ahead : ahead);
    DV_TRY(dv_event_alarm(&event, &actor, DV_LIT("audit.prune_clock"), dv_slice_str(say)));
    return dv_sequencer_note(retention->on.sequencer, dv_buf_slice(&event));
}

/* Prunes on, one round: as somebody asked, or as the clock says. *more: there may be more. */
static dv_result look(dv_logd_retention *retention, bool *more, char say[DV_ERROR_MESSAGE_MAX],
                      dv_error *error)
{
    int64_t newest, now_ms;
    uint64_t pruned = 0;
    *more = false;
    if (dv_retention_clock_look(&retention->clock, wall_ms(), machine_ms()) || retention->jumped) {
        retention->jumped = false;
        DV_TRY(note_jump(retention, say));
    }
    DV_TRY(keep_clock(retention, error));
    DV_TRY(newest_ms(retention, &newest, error));
    now_ms = retention->pruning
                 ? DV_MIN(newest, wall_ms())
                 : dv_retention_clock_now(&retention->clock, newest, wall_ms(), machine_ms());
    DV_TRY(prune_some(retention, now_ms, &pruned, error));
    *more = pruned > 0 || retention->archiving;
    retention->forgets = pruned > 0;
    if (pruned > 0 && say[0] == '\0') {
        snprintf(say, DV_ERROR_MESSAGE_MAX, "pruned %" PRIu64 " events that are old enough",
                 pruned);
    }
    return DV_OK;
}

/* -- tasks ------------------------------------------------------------------------------------- */

static bool take(dv_logd_retention *retention, dv_retention_plan *ret_plan)
{
    pthread_mutex_lock(&retention->lock);
    bool asked = retention->asked && !retention->done;
    *ret_plan = retention->plan;
    pthread_mutex_unlock(&retention->lock);
    return asked;
}

static void tell(dv_logd_retention *retention, dv_result result, const dv_error *error)
{
    pthread_mutex_lock(&retention->lock);
    retention->result = result;
    retention->error = *error;
    retention->done = true;
    retention->asked = !retention->abandoned;
    retention->abandoned = false;
    free(retention->plan.classes);
    retention->plan.classes = NULL;
    pthread_cond_broadcast(&retention->changed);
    pthread_mutex_unlock(&retention->lock);
}

static dv_result carry_out(dv_logd_retention *retention, const dv_retention_plan *plan,
                           dv_error *error)
{
    switch (plan->task) {
    case TASK_PUT:
        return put_classes(retention, plan->classes, error);
    case TASK_HOLD:
        return create_hold(retention, plan, error);
    case TASK_RELEASE:
        return release_hold(retention, plan, error);
    default:
        retention->pruning = retention->waited_for = true;
        return DV_OK;
    }
}

static void finish(dv_logd_retention *retention, dv_result result, dv_error *error)
{
    if (result != DV_OK && error->message[0] == '\0') {
        dv_error_write(error, result, 0, 0, "%s", dv_result_name(result));
    }
    tell(retention, result, error);
}

/* A task of another kind than pruning is done at once. */
static bool serve_task(dv_logd_retention *retention)
{
    dv_retention_plan plan;
    dv_error error = {0};
    if (retention->waited_for || !take(retention, &plan)) {
        return false;
    }
    dv_result result = carry_out(retention, &plan, &error);
    if (!retention->waited_for) {
        finish(retention, result, &error);
    }
    retention->next_look = 0;
    return true;
}

/* While the disk takes nothing, what would be told of it only piles up. */
static bool is_blocked(const dv_logd_retention *retention)
{
    dv_sequencer_status status;
    dv_sequencer_status_get(retention->on.sequencer, &status);
    return status.blocked;
}

bool dv_logd_retention_serve(dv_logd_retention *retention, char say[DV_ERROR_MESSAGE_MAX])
{
    dv_error error = {0};
    say[0] = '\0';
    if (is_blocked(retention)) {
        return false;
    }
    if (retention->forgets) {
        dv_sequencer_forget(retention->on.sequencer);
        retention->forgets = false;
    }
    bool more = false, served = serve_task(retention);
    if (dv_time_monotonic() < retention->next_look) {
        return served;
    }
    dv_result result = look(retention, &more, say, &error);
    if (result != DV_OK) {
        snprintf(say, DV_ERROR_MESSAGE_MAX, "can not prune: %.400s",
                 error.message[0] != '\0' ? error.message : dv_result_name(result));
    }
    pthread_mutex_lock(&retention->lock);
    snprintf(retention->problem, sizeof(retention->problem), "%s", result == DV_OK ? "" : say);
    pthread_mutex_unlock(&retention->lock);
    retention->pruning = retention->pruning && more;
    if (retention->waited_for) {
        retention->waited_for = false;
        finish(retention, result, &error);
    }
    retention->next_look = dv_time_monotonic() + (more ? soon : look_every);
    return served || say[0] != '\0';
}

/* -- asking, in a thread of the server --------------------------------------------------------- */

/* Takes over the plan's classes. */
static dv_result ask(dv_logd_retention *retention, const dv_retention_plan *plan, dv_error *error)
{
    dv_time until = dv_time_monotonic() + WAIT_SECONDS * DV_SECOND;
    struct timespec end = {.tv_sec = until / DV_SECOND, .tv_nsec = until % DV_SECOND};
    int timed_out = 0;
    pthread_mutex_lock(&retention->lock);
    if (retention->asked || retention->closed) {
        pthread_mutex_unlock(&retention->lock);
        free(plan->classes);
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "another change of what the log keeps is under way: ask again");
    }
    retention->plan = *plan;
    retention->done = false;
    retention->asked = true;
    while (!retention->done && !retention->closed && timed_out == 0) {
        timed_out =
            pthread_cond_clockwait(&retention->changed, &retention->lock, CLOCK_MONOTONIC, &end);
    }
    dv_result result = retention->done ? retention->result
                                       : dv_error_set(error, DV_ERR_UNAVAILABLE,
                                                      "the log goes on with it: ask again later");
    if (retention->done && result != DV_OK && error != NULL) {
        *error = retention->error;
    }
    retention->asked = !retention->done;
    retention->abandoned = !retention->done;
    pthread_mutex_unlock(&retention->lock);
    return result;
}

dv_result dv_logd_retention_put(dv_logd_retention *retention, dv_slice body, dv_error *error)
{
    dv_retention_plan plan = {.task = TASK_PUT, .classes = malloc(sizeof(dv_retention))};
    if (plan.classes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_retention_parse(body, plan.classes, error);
    if (result != DV_OK) {
        free(plan.classes);
        return result;
    }
    return ask(retention, &plan, error);
}

dv_result dv_logd_retention_check(const dv_log_tree *logs, size_t log_count, dv_slice body,
                                  dv_error *error)
{
    dv_auto(free) dv_retention *wanted = malloc(sizeof(*wanted));
    if (wanted == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_retention_parse(body, wanted, error));
    return check_classes(wanted, logs, log_count, error);
}

static int64_t read_time(const dv_json *json, const char *name)
{
    int64_t time = 0;
    uint32_t token = dv_json_member(json, 0, name);
    return token != 0 && dv_json_int(json, token, &time) == DV_OK ? time : 0;
}

static dv_result read_plan(dv_slice body, dv_arena *arena, dv_retention_plan *out, dv_error *error)
{
    static const dv_json_limits limits = {
        .depth = 2, .tokens = BODY_TOKENS, .refuse_duplicate_keys = true};
    dv_json json;
    char action[16];
    dv_retention_hold *hold = &out->hold;
    dv_retention_actor *actor = &out->actor;
    DV_TRY(dv_json_scan(body, &limits, arena, &json, error));
    if (json.tokens[0].type != DV_JSON_OBJECT) {
        return dv_error_set(error, DV_ERR_INVALID, "the body must be a JSON object");
    }
    DV_TRY(dv_json_copy_text(&json, "action", arena, action, sizeof(action), error));
    DV_TRY(dv_json_copy_text(&json, "name", arena, hold->name, sizeof(hold->name), error));
    DV_TRY(dv_json_copy_text(&json, "log", arena, hold->log, sizeof(hold->log), error));
    DV_TRY(dv_json_copy_text(&json, "reason", arena, hold->reason, sizeof(hold->reason), error));
    DV_TRY(dv_json_copy_text(&json, "actor", arena, actor->entity, sizeof(actor->entity), error));
    DV_TRY(dv_json_copy_text(&json, "request_id", arena, actor->request_id,
                             sizeof(actor->request_id), error));
    DV_TRY(dv_json_copy_text(&json, "via", arena, actor->via, sizeof(actor->via), error));
    DV_TRY(
        dv_json_copy_text(&json, "address", arena, actor->address, sizeof(actor->address), error));
    hold->from_ms = read_time(&json, "from_ms");
    hold->to_ms = read_time(&json, "to_ms");
    hold->to_ms = hold->to_ms == 0 ? INT64_MAX : hold->to_ms;
    hold->created_ms = wall_ms();
    out->task = strcmp(action, "release") == 0 ? TASK_RELEASE : TASK_HOLD;
    return strcmp(action, "create") == 0 || out->task == TASK_RELEASE
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID, "action must be create or release");
}

dv_result dv_logd_retention_hold(dv_logd_retention *retention, dv_slice body, dv_error *error)
{
    dv_retention_plan plan = {.task = TASK_HOLD};
    dv_auto(arena) dv_arena *arena = dv_arena_new(BODY_ARENA);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_plan(body, arena, &plan, error));
    return ask(retention, &plan, error);
}

dv_result dv_logd_retention_prune(dv_logd_retention *retention, dv_error *error)
{
    const dv_retention_plan plan = {.task = TASK_PRUNE};
    return ask(retention, &plan, error);
}

/* -- opening ----------------------------------------------------------------------------------- */

static dv_result load(dv_logd_retention *retention, dv_error *error)
{
    int64_t newest;
    retention->current = calloc(1, sizeof(*retention->current));
    retention->next = calloc(1, sizeof(*retention->next));
    if (retention->current == NULL || retention->next == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_logd_archiver_new(&retention->archiver));
    DV_TRY(dv_prune_memory_new(&retention->memory));
    DV_TRY(dv_retention_load(retention->on.log_folder, retention->current, error));
    DV_TRY(set_routes(retention, error));
    DV_TRY(newest_ms(retention, &newest, error));
    dv_retention_seen now = look_at_clocks();
    retention->jumped =
        dv_retention_clock_start(&retention->clock, newest, retention->current->unsettled_ms,
                                 &retention->current->seen, &now);
    (void)!keep_clock(retention,
                      NULL); /* a full disk is no reason not to start: the next look tries */
    return DV_OK;
}

dv_result dv_logd_retention_new(const dv_logd_retention_on *on, dv_logd_retention **ret_retention,
                                dv_error *error)
{
    dv_logd_retention *retention = calloc(1, sizeof(*retention));
    if (retention == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    retention->on = *on;
    pthread_mutex_init(&retention->lock, NULL);
    pthread_cond_init(&retention->changed, NULL);
    dv_result result = load(retention, error);
    if (result != DV_OK) {
        dv_logd_retention_free(retention);
        return result;
    }
    *ret_retention = retention;
    return DV_OK;
}

void dv_logd_retention_close(dv_logd_retention *retention)
{
    if (retention != NULL) {
        pthread_mutex_lock(&retention->lock);
        retention->closed = true;
        pthread_cond_broadcast(&retention->changed);
        pthread_mutex_unlock(&retention->lock);
    }
}

void dv_logd_retention_free(dv_logd_retention *retention)
{
    if (retention != NULL) {
        pthread_cond_destroy(&retention->changed);
        pthread_mutex_destroy(&retention->lock);
        dv_logd_archiver_free(retention->archiver);
        dv_prune_memory_free(retention->memory);
        free(retention->plan.classes);
        free(retention->current);
        free(retention->next);
        free(retention);
    }
}
