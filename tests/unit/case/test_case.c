/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "engine/case/case.h"
#include "unit/temp.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* A store, a clock that the test turns, and a sink that keeps events. */
typedef struct fixture {
    temp_dir dir;
    dv_services services;
    dv_buf events;
    dv_arena *arena;
    dv_call call;
    dv_error error;
    const dv_case_type *type;
} fixture;

static fixture *f;

static dv_result keep_event(void *data, dv_slice json)
{
    DV_TRY(dv_buf_append(&f->events, json));
    return dv_buf_append_byte(&f->events, '\n');
}

static bool said(const char *text)
{
    return dv_slice_find(dv_buf_slice(&f->events), dv_slice_str(text)) >= 0;
}

static void store_open(void)
{
    char path[PATH_MAX];
    static const uint8_t key[DV_STORE_KEY_LEN] = "case";
    assert_int_equal(dv_store_open(temp_path(&f->dir, "test.db", path), key, false,
                                   &f->services.store, &f->error),
                     DV_OK);
}

static int set_up(void **state)
{
    f = calloc(1, sizeof(*f));
    temp_dir_make(&f->dir);
    f->events = dv_buf_init(64 << 20);
    f->services.events = (dv_event_sink){keep_event, f};
    f->arena = dv_arena_new(64 << 20);
    store_open();
    f->call = (dv_call){.services = &f->services,
                        .arena = f->arena,
                        .now = 1000 * DV_SECOND,
                        .request_id = "01890a5d-ac96-774b-bcce-b302099a8057",
                        .caller = "User::\"olga\"",
                        .via = "api",
                        .address = ""};
    assert_int_equal(dv_case_type_load("access_review", f->arena, &f->type, &f->error), DV_OK);
    return 0;
}

static int tear_down(void **state)
{
    json_decref(f->call.answer);
    dv_store_close(f->services.store);
    dv_arena_free(f->arena);
    dv_buf_release(&f->events);
    temp_dir_remove(&f->dir);
    free(f);
    return 0;
}

/* --- helpers --------------------------------------------------------------------------------- */

enum { DEADLINE = 5000 };

static dv_case wanted(const char *at_deadline)
{
    return (dv_case){.type = f->type,
                     .title = "spring",
                     .owner = "User::\"olga\"",
                     .at_deadline = at_deadline,
                     .details = "{\"scope\": \"all\"}",
                     .deadline = DEADLINE * DV_SECOND};
}

static dv_case_item item_of(const char *subject, const char *object)
{
    return (dv_case_item){.kind = "role",
                          .subject = subject,
                          .object = object,
                          .assignee = "User::\"rita\"",
                          .details = "{\"since\": \"2026-01-01T00:00:00Z\"}"};
}

/* Opens a case with one item for each subject and reads it back. */
static dv_case opened(const char *at_deadline, const char *const subjects[], size_t count)
{
    dv_case_item items[8];
    const char *id = NULL;
    dv_case c = wanted(at_deadline);
    for (size_t i = 0; i < count; i++) {
        items[i] = item_of(subjects[i], "Role::\"admin\"");
    }
    dv_result result = dv_case_open(&f->call, &c, items, count, &id, &f->error);
    if (result != DV_OK) {
        fail_msg("%s: %s", dv_result_name(result), f->error.message);
    }
    assert_int_equal(dv_case_read(&f->call, f->type, id, &c, &f->error), DV_OK);
    return c;
}

static dv_case again(const dv_case *c)
{
    dv_case now;
    assert_int_equal(dv_case_read(&f->call, f->type, c->id, &now, &f->error), DV_OK);
    return now;
}

static dv_case_item item_at(const dv_case *c, int64_t number)
{
    dv_case_item item;
    assert_int_equal(dv_case_item_read(&f->call, c, number, &item, &f->error), DV_OK);
    return item;
}

static dv_case_actor actor_of(const char *const *name)
{
    return (dv_case_actor){.name = *name, .entities = name, .entity_count = 1};
}

static dv_case_kind kind = {.type = "access_review"};

static dv_result step_as(const char *name, const dv_case *c, int64_t number, const char *step,
                         const char *reason)
{
    dv_case now = again(c);
    dv_case_item item = item_at(c, number);
    dv_case_actor actor = actor_of(&name);
    memset(&f->error, 0, sizeof(f->error));
    return dv_case_item_step(&f->call, &kind, &now, &item, step, &actor, reason, &f->error);
}

#define RITA "User::\"rita\""
#define OLGA "User::\"olga\""
#define SAM "User::\"sam\""
#define BOB "User::\"bob\""

static const char *const TWO[] = {SAM, BOB};

/* --- opening --------------------------------------------------------------------------------- */

static void a_case_begins_in_its_first_state(void **state)
{
    dv_case c = opened("keep", TWO, 2);
    assert_string_equal(c.state, "open");
    assert_int_equal(c.ended, 0);
    assert_int_equal(c.created, f->call.now);
    dv_case_item item = item_at(&c, 2);
    assert_string_equal(item.state, "pending");
    assert_string_equal(item.subject, BOB);
    assert_null(item.by);
    assert_true(said("\"access_review\""));
    assert_true(said("spring"));
    assert_int_equal(dv_case_item_read(&f->call, &c, 3, &item, &f->error), DV_ERR_NOT_FOUND);
    dv_case none;
    assert_int_equal(dv_case_read(&f->call, f->type, "nothing", &none, &f->error),
                     DV_ERR_NOT_FOUND);
}

static dv_result open_result(const dv_case *c, const dv_case_item *items, size_t count)
{
    const char *id = NULL;
    memset(&f->error, 0, sizeof(f->error));
    return dv_case_open(&f->call, c, items, count, &id, &f->error);
}

static void the_newest_of_an_owner_is_known(void **state)
{
    static const char *const subjects[] = {"User::\"sue\""};
    dv_time created = 1;
    const char *owner = wanted(NULL).owner;
    assert_int_equal(dv_case_last(&f->call, f->type, owner, &created, &f->error), DV_OK);
    assert_int_equal(created, 0);
    (void)opened(NULL, subjects, 1);
    f->call.now += DV_SECOND;
    (void)opened(NULL, subjects, 1);
    assert_int_equal(dv_case_last(&f->call, f->type, owner, &created, &f->error), DV_OK);
    assert_int_equal(created, f->call.now);
    assert_int_equal(dv_case_last(&f->call, f->type, "User::\"x\"", &created, &f->error), DV_OK);
    assert_int_equal(created, 0);
}

static void what_does_not_fit_is_not_opened(void **state)
{
    static char long_text[DV_LIMIT_CASE_DETAILS + 2];
    dv_case_item item = item_of(SAM, "Role::\"admin\"");
    dv_case c = wanted("explode");
    assert_int_equal(open_result(&c, &item, 1), DV_ERR_INVALID);
    c = wanted("keep");
    c.title = "";
    assert_int_equal(open_result(&c, &item, 1), DV_ERR_INVALID);
    memset(long_text, 'x', DV_LIMIT_CASE_TITLE + 1);
    c.title = long_text;
    assert_int_equal(open_result(&c, &item, 1), DV_ERR_INVALID);
    c = wanted("keep");
    c.deadline = f->call.now;
    assert_int_equal(open_result(&c, &item, 1), DV_ERR_INVALID);
    c.deadline = f->call.now + f->type->deadline_most + 1;
    assert_int_equal(open_result(&c, &item, 1), DV_ERR_INVALID);
    c.deadline = f->call.now + f->type->deadline_most;
    assert_int_equal(open_result(&c, &item, 1), DV_OK);
    memset(long_text, ' ', DV_LIMIT_CASE_DETAILS + 1);
    item.details = long_text;
    c = wanted("keep");
    assert_int_equal(open_result(&c, &item, 1), DV_ERR_TOO_LARGE);
    assert_int_equal(open_result(&c, NULL, f->type->items_max + 1), DV_ERR_TOO_LARGE);
}

static void so_many_may_be_open(void **state)
{
    dv_case_item item = item_of(SAM, "Role::\"admin\"");
    dv_case c = wanted("keep");
    dv_case first = opened("keep", TWO, 1);
    for (size_t i = 1; i < f->type->open_max; i++) {
        assert_int_equal(open_result(&c, &item, 1), DV_OK);
    }
    assert_int_equal(open_result(&c, &item, 1), DV_ERR_CONFLICT);
    assert_int_equal(step_as(RITA, &first, 1, "attest", "needed"), DV_OK);
    assert_int_equal(open_result(&c, &item, 1), DV_OK);
}

/* --- deciding -------------------------------------------------------------------------------- */

static void steps_move_items_and_the_last_one_ends_the_case(void **state)
{
    dv_case c = opened("keep", TWO, 2);
    assert_int_equal(step_as(RITA, &c, 1, "attest", "needs it"), DV_OK);
    dv_case_item item = item_at(&c, 1);
    assert_string_equal(item.state, "attested");
    assert_string_equal(item.by, RITA);
    assert_string_equal(item.reason, "needs it");
    assert_string_equal(item.request_id, f->call.request_id);
    assert_int_equal(item.when, f->call.now);
    assert_string_equal(again(&c).state, "open");
    assert_int_equal(step_as(OLGA, &c, 2, "revoke", "left the team"), DV_OK);
    dv_case now = again(&c);
    assert_string_equal(now.state, "closed");
    assert_int_equal(now.ended, f->call.now);
    assert_true(said("\"access_review_item\""));
    assert_true(said("left the team"));
}

static void who_may_not_is_refused(void **state)
{
    dv_case c = opened("keep", TWO, 2);
    assert_int_equal(step_as("User::\"eve\"", &c, 1, "attest", "x"), DV_ERR_FORBIDDEN);
    /* Whom it is about may not, even if he is reviewer, owner and manager at once. */
    const char *both[] = {SAM, RITA, OLGA};
    dv_case_actor actor = {SAM, both, 3, .manager = true};
    dv_case_item item = item_at(&c, 1);
    assert_int_equal(
        dv_case_item_step(&f->call, &kind, &c, &item, "attest", &actor, "x", &f->error),
        DV_ERR_FORBIDDEN);
    assert_non_null(strstr(f->error.message, "himself"));
    assert_int_equal(
        dv_case_item_step(&f->call, &kind, &c, &item, "revoke", &actor, "x", &f->error),
        DV_ERR_FORBIDDEN);
    /* Only the clock says that something is gone. */
    assert_int_equal(step_as(RITA, &c, 1, "vanish", "x"), DV_ERR_FORBIDDEN);
    assert_int_equal(step_as(RITA, &c, 1, "explode", "x"), DV_ERR_INTERNAL);
    assert_string_equal(item_at(&c, 1).state, "pending");
    dv_case_actor manager = {"User::\"max\"", (const char *[]){"User::\"max\""}, 1, true, false};
    assert_int_equal(
        dv_case_item_step(&f->call, &kind, &c, &item, "attest", &manager, "x", &f->error), DV_OK);
}

static void a_reason_is_wanted_and_bounded(void **state)
{
    static char reason[DV_LIMIT_CASE_REASON + 2];
    dv_case c = opened("keep", TWO, 2);
    memset(reason, 'x', DV_LIMIT_CASE_REASON + 1);
    assert_int_equal(step_as(RITA, &c, 1, "attest", NULL), DV_ERR_INVALID);
    assert_int_equal(step_as(RITA, &c, 1, "attest", ""), DV_ERR_INVALID);
    assert_int_equal(step_as(RITA, &c, 1, "attest", reason), DV_ERR_INVALID);
    reason[DV_LIMIT_CASE_REASON] = '\0';
    assert_int_equal(step_as(RITA, &c, 1, "attest", reason), DV_OK);
}

static void the_second_of_two_is_refused(void **state)
{
    dv_case c = opened("keep", TWO, 2);
    dv_case_item both_saw = item_at(&c, 1);
    const char *rita = RITA, *olga = OLGA;
    dv_case_actor first = actor_of(&rita), second = actor_of(&olga);
    assert_int_equal(
        dv_case_item_step(&f->call, &kind, &c, &both_saw, "attest", &first, "x", &f->error), DV_OK);
    assert_int_equal(
        dv_case_item_step(&f->call, &kind, &c, &both_saw, "revoke", &second, "y", &f->error),
        DV_ERR_CONFLICT);
    assert_string_equal(item_at(&c, 1).state, "attested");
    assert_int_equal(step_as(OLGA, &c, 1, "revoke", "y"), DV_ERR_CONFLICT);
    assert_non_null(strstr(f->error.message, "attested"));
}

static void a_cancelled_case_takes_no_more_steps(void **state)
{
    dv_case c = opened("keep", TWO, 2);
    const char *rita = RITA, *olga = OLGA;
    dv_case_actor reviewer = actor_of(&rita), owner = actor_of(&olga);
    assert_int_equal(dv_case_step_take(&f->call, &c, "cancel", &reviewer, "no", &f->error),
                     DV_ERR_FORBIDDEN);
    assert_int_equal(dv_case_step_take(&f->call, &c, "cancel", &owner, NULL, &f->error),
                     DV_ERR_INVALID);
    assert_int_equal(dv_case_step_take(&f->call, &c, "cancel", &owner, "wrong scope", &f->error),
                     DV_OK);
    assert_int_equal(step_as(RITA, &c, 1, "attest", "x"), DV_ERR_CONFLICT);
    dv_case now = again(&c);
    assert_int_equal(dv_case_step_take(&f->call, &now, "cancel", &owner, "again", &f->error),
                     DV_ERR_CONFLICT);
}

/* --- the kind's check and effect ------------------------------------------------------------- */

static dv_result check_result;
static int effects;

static dv_result check_it(dv_call *call, const dv_case_item *item, const dv_case_step *step,
                          dv_error *error)
{
    /* bob's can't be taken away */
    return strcmp(item->subject, BOB) == 0 ? check_result : DV_OK;
}

static dv_result effect_it(dv_call *call, const dv_case_item *item, const dv_case_step *step,
                           dv_error *error)
{
    effects++;
    return DV_OK;
}

static void a_kind_checks_and_acts(void **state)
{
    dv_case c = opened("keep", TWO, 2);
    kind.check = check_it;
    kind.effect = effect_it;
    effects = 0;
    check_result = DV_ERR_CONFLICT;
    assert_int_equal(step_as(RITA, &c, 2, "revoke", "x"), DV_ERR_CONFLICT);
    assert_string_equal(item_at(&c, 2).state, "pending");
    assert_int_equal(effects, 0);
    check_result = DV_ERR_NOT_FOUND;
    assert_int_equal(step_as(RITA, &c, 2, "attest", "x"), DV_OK);
    assert_string_equal(item_at(&c, 2).state, "gone");
    assert_int_equal(effects, 0);
    assert_int_equal(step_as(RITA, &c, 1, "revoke", "x"), DV_OK);
    assert_int_equal(effects, 1);
    kind.check = NULL;
    kind.effect = NULL;
}

static void what_is_gone_is_noted_by_subject_and_object(void **state)
{
    static const char *const three[] = {SAM, BOB, "Group::\"ml\""};
    dv_case c = opened("keep", three, 3);
    dv_case other = opened("keep", TWO, 1);
    assert_int_equal(dv_case_gone(&f->call, "access_review", SAM, "Role::\"other\"", &f->error),
                     DV_OK);
    assert_string_equal(item_at(&c, 1).state, "pending");
    assert_int_equal(dv_case_gone(&f->call, "access_review", SAM, "Role::\"admin\"", &f->error),
                     DV_OK);
    assert_string_equal(item_at(&c, 1).state, "gone");
    assert_string_equal(item_at(&c, 1).by, OLGA);
    assert_string_equal(again(&other).state, "closed");
    assert_int_equal(dv_case_gone(&f->call, "access_review", BOB, NULL, &f->error), DV_OK);
    assert_string_equal(item_at(&c, 2).state, "gone");
    assert_int_equal(dv_case_gone(&f->call, "access_review", NULL, "Role::\"admin\"", &f->error),
                     DV_OK);
    assert_string_equal(again(&c).state, "closed");
}

/* --- deadlines ------------------------------------------------------------------------------- */

static size_t due_read(const char ***ret_ids)
{
    size_t count = 0;
    assert_int_equal(dv_case_due(&f->call, f->type, ret_ids, &count, &f->error), DV_OK);
    return count;
}

static bool due(void)
{
    const char **ids = NULL;
    return due_read(&ids) > 0;
}

static void tick(void)
{
    const char **ids = NULL;
    size_t count = due_read(&ids);
    f->call.caller = "System::\"dvarad\"";
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(dv_case_clock(&f->call, &kind, ids[i], &f->error), DV_OK);
    }
}

static void a_deadline_keeps_what_is_undecided_and_alerts(void **state)
{
    dv_case c = opened("keep", TWO, 2);
    f->call.now = DEADLINE * DV_SECOND - 1;
    assert_false(due());
    tick();
    assert_string_equal(again(&c).state, "open");
    f->call.now++;
    assert_true(due());
    tick();
    assert_string_equal(again(&c).state, "overdue");
    assert_string_equal(item_at(&c, 1).state, "pending");
    assert_true(said("access_review.expire"));
    assert_true(said("2 undecided items"));
    assert_false(due()); /* once is enough */
    assert_int_equal(step_as(RITA, &c, 1, "attest", "late"), DV_OK);
    assert_int_equal(step_as(RITA, &c, 2, "revoke", "late"), DV_OK);
    assert_string_equal(again(&c).state, "closed");
}

static void a_deadline_revokes_where_it_was_asked_to(void **state)
{
    dv_case c = opened("revoke", TWO, 2);
    f->call.now = DEADLINE * DV_SECOND;
    kind.effect = effect_it;
    effects = 0;
    tick();
    kind.effect = NULL;
    assert_int_equal(effects, 2);
    assert_string_equal(again(&c).state, "closed");
    assert_string_equal(item_at(&c, 2).state, "revoked");
    assert_string_equal(item_at(&c, 2).by, "System::\"dvarad\"");
    assert_false(said("access_review.expire"));
    assert_false(due());
}

static void what_a_deadline_can_not_revoke_is_overdue(void **state)
{
    dv_case c = opened("revoke", TWO, 2);
    f->call.now = DEADLINE * DV_SECOND;
    kind.check = check_it;
    check_result = DV_ERR_CONFLICT;
    tick();
    kind.check = NULL;
    assert_string_equal(item_at(&c, 1).state, "revoked");
    assert_string_equal(item_at(&c, 2).state, "pending");
    assert_string_equal(again(&c).state, "overdue");
    assert_true(said("1 undecided items"));
}

static void many_items_take_several_rounds(void **state)
{
    enum { COUNT = DV_CASE_ROUND + 10 };
    static dv_case_item items[COUNT];
    const char *id = NULL;
    dv_case c = wanted("revoke");
    for (size_t i = 0; i < COUNT; i++) {
        items[i] = item_of(SAM, "Role::\"admin\"");
    }
    assert_int_equal(dv_case_open(&f->call, &c, items, COUNT, &id, &f->error), DV_OK);
    assert_int_equal(dv_case_read(&f->call, f->type, id, &c, &f->error), DV_OK);
    f->call.now = DEADLINE * DV_SECOND;
    tick();
    assert_string_equal(again(&c).state, "open");
    assert_true(due());
    tick();
    assert_string_equal(again(&c).state, "closed");
    assert_string_equal(item_at(&c, COUNT).state, "revoked");
}

/* --- what is kept ---------------------------------------------------------------------------- */

static int64_t history_count(const dv_case *c)
{
    dv_auto(statement) dv_statement *row = NULL;
    assert_int_equal(dv_store_query(f->services.store, &row, &f->error,
                                    "SELECT count(*), max(sequence) FROM case_history"
                                    " WHERE case_id = ?1",
                                    "t", c->id),
                     DV_OK);
    assert_int_equal(dv_statement_step(row, &f->error), DV_OK);
    assert_int_equal(dv_column_int(row, 0), dv_column_int(row, 1));
    return dv_column_int(row, 0);
}

static void the_history_grows_and_survives(void **state)
{
    dv_case c = opened("keep", TWO, 2);
    assert_int_equal(history_count(&c), 1);
    assert_int_equal(step_as(RITA, &c, 1, "attest", "x"), DV_OK);
    assert_int_equal(history_count(&c), 2);
    assert_int_equal(step_as(RITA, &c, 1, "revoke", "x"), DV_ERR_CONFLICT);
    assert_int_equal(history_count(&c), 2);
    dv_store_close(f->services.store);
    store_open();
    assert_int_equal(step_as(RITA, &c, 2, "revoke", "x"), DV_OK);
    assert_int_equal(history_count(&c), 4); /* with the end of the case */
    assert_int_equal(dv_case_report(&f->call, &c, &f->error), DV_OK);
    assert_int_equal(json_array_size(json_object_get(f->call.answer, "history")), 2);
    json_t *items = json_object_get(f->call.answer, "items");
    assert_int_equal(json_array_size(items), 2);
    json_t *first = json_array_get(items, 0);
    assert_string_equal(json_string_value(json_object_get(first, "reviewer")), RITA);
    assert_string_equal(json_string_value(json_object_get(first, "since")), "2026-01-01T00:00:00Z");
    assert_string_equal(json_string_value(json_object_get(first, "evidence")), f->call.request_id);
}

/* A step whose record can't be kept is rolled back with its rows. */
static dv_result lose_event(void *data, dv_slice json)
{
    return DV_ERR_IO;
}

static void what_can_not_be_recorded_does_not_happen(void **state)
{
    dv_case c = opened("keep", TWO, 2);
    f->services.events.append = lose_event;
    assert_int_equal(dv_store_begin(f->services.store, &f->error), DV_OK);
    assert_int_equal(step_as(RITA, &c, 1, "attest", "x"), DV_ERR_UNAVAILABLE);
    dv_store_rollback(f->services.store);
    assert_string_equal(item_at(&c, 1).state, "pending");
    assert_int_equal(history_count(&c), 1);
}

/* --- removing -------------------------------------------------------------------------------- */

static dv_case closed_at(dv_time when, const char *subject)
{
    dv_case c = opened("keep", (const char *const[]){subject}, 1);
    f->call.now = when;
    assert_int_equal(step_as(RITA, &c, 1, "attest", "needed"), DV_OK);
    return again(&c);
}

static size_t closed_until(dv_time until, const dv_case_closed *after, dv_case_closed out[4])
{
    size_t count = 0;
    assert_int_equal(
        dv_case_closed_list(&f->call, "access_review", until, after, out, 4, &count, &f->error),
        DV_OK);
    return count;
}

static void closed_cases_are_listed_and_removed(void **state)
{
    static const dv_case_closed first = {.id = ""};
    dv_case_closed list[4];
    bool is = true;
    size_t rows = 0;
    (void)state;
    dv_case early = closed_at(1100 * DV_SECOND, SAM);
    dv_case late = closed_at(1200 * DV_SECOND, BOB);
    dv_case running = opened("keep", TWO, 2);
    assert_int_equal(closed_until(1099 * DV_SECOND, &first, list), 0);
    assert_int_equal(closed_until(1100 * DV_SECOND, &first, list), 1);
    assert_string_equal(list[0].id, early.id);
    assert_int_equal(closed_until(9999 * DV_SECOND, &first, list), 2);
    assert_true(list[1].ended == 1200 * DV_SECOND);
    assert_int_equal(closed_until(9999 * DV_SECOND, &list[0], list), 1);
    assert_string_equal(list[0].id, late.id);

    assert_int_equal(dv_case_is_newest(&f->call, late.id, running.owner, &is, &f->error), DV_OK);
    assert_false(is);
    assert_int_equal(dv_case_is_newest(&f->call, running.id, running.owner, &is, &f->error), DV_OK);
    assert_true(is);
    assert_int_equal(dv_case_is_newest(&f->call, running.id, "User::\"x\"", &is, &f->error), DV_OK);
    assert_false(is);
    assert_int_equal(dv_case_is_object(&f->call, "Role::\"admin\"", &is, &f->error), DV_OK);
    assert_true(is);
    assert_int_equal(dv_case_is_object(&f->call, "Role::\"other\"", &is, &f->error), DV_OK);
    assert_false(is);

    assert_int_equal(dv_case_size(&f->call, early.id, &rows, &f->error), DV_OK);
    assert_true(rows > 2);
    assert_int_equal(dv_case_remove(&f->call, early.id, &f->error), DV_OK);
    assert_int_equal(dv_case_remove(&f->call, early.id, &f->error), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_case_remove(&f->call, running.id, &f->error), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_case_size(&f->call, early.id, &rows, &f->error), DV_OK);
    assert_int_equal(rows, 1); /* nothing but what would be itself */
    assert_int_equal(closed_until(9999 * DV_SECOND, &first, list), 1);
    assert_string_equal(again(&running).state, "open");
    assert_int_equal(history_count(&late), 3);
}

static void items_are_called_by_case_and_number(void **state)
{
    const char *id = NULL;
    int64_t number = 0;
    assert_int_equal(dv_case_item_id_parse(&f->call, "01890a5d-ac96-774b-bcce-b302099a8057.12", &id,
                                           &number, &f->error),
                     DV_OK);
    assert_string_equal(id, "01890a5d-ac96-774b-bcce-b302099a8057");
    assert_int_equal(number, 12);
    static const char *const bad[] = {"",
                                      ".",
                                      "12",
                                      "01890a5d-ac96-774b-bcce-b302099a8057",
                                      "01890a5d-ac96-774b-bcce-b302099a8057.",
                                      "01890a5d-ac96-774b-bcce-b302099a8057.0",
                                      "01890a5d-ac96-774b-bcce-b302099a8057.x",
                                      "01890a5d-ac96-774b-bcce-b302099a8057.1234567890",
                                      "01890a5d-ac96-774b-bcce-b302099a805-.12",
                                      "01890a5d-ac96-774b-bcce-b302099a8057/12"};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_case_item_id_parse(&f->call, bad[i], &id, &number, &f->error),
                         DV_ERR_INVALID);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_case_begins_in_its_first_state),
        TEST(the_newest_of_an_owner_is_known),
        TEST(what_does_not_fit_is_not_opened),
        TEST(so_many_may_be_open),
        TEST(steps_move_items_and_the_last_one_ends_the_case),
        TEST(who_may_not_is_refused),
        TEST(a_reason_is_wanted_and_bounded),
        TEST(the_second_of_two_is_refused),
        TEST(a_cancelled_case_takes_no_more_steps),
        TEST(a_kind_checks_and_acts),
        TEST(what_is_gone_is_noted_by_subject_and_object),
        TEST(a_deadline_keeps_what_is_undecided_and_alerts),
        TEST(a_deadline_revokes_where_it_was_asked_to),
        TEST(what_a_deadline_can_not_revoke_is_overdue),
        TEST(many_items_take_several_rounds),
        TEST(the_history_grows_and_survives),
        TEST(what_can_not_be_recorded_does_not_happen),
        TEST(closed_cases_are_listed_and_removed),
        TEST(items_are_called_by_case_and_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
