/* SPDX-License-Identifier: Apache-2.0 */
/* A control plane that is killed with -9 in the midst of its changes: after each start the snapshot
 * says what the store says, and what was acknowledged is there. */
#include "crypto/hash.h"
#include "fixture.h"
#include "room/auth/control/internal.h"

#include <signal.h>
#include <sys/wait.h>

enum { ROUNDS = 40, USERS_MAX = 10000 };

/* SHA-256 over a record of each principal and key that the store knows, and the policies. */
static void digest_of(fixture *f, uint8_t out[DV_SHA256_LEN])
{
    static const char *const SQL[] = {
        ("SELECT CASE kind WHEN 'user' THEN 'User::\"' ELSE 'Service::\"' END || name || '\"'"
         " FROM auth_entity WHERE kind <> 'group' ORDER BY 1"),
        "SELECT id FROM auth_api_key ORDER BY 1", "SELECT 'set'"};
    static const dv_snapshot_table TABLES[] = {DV_TABLE_PRINCIPALS, DV_TABLE_CREDENTIALS,
                                               DV_TABLE_POLICIES};
    memset(out, 0, DV_SHA256_LEN);
    assert_int_equal(dv_snapshot_begin(f->services.snapshot), DV_OK);
    for (size_t i = 0; i < DV_ARRAY_LEN(SQL); i++) {
        dv_auto(statement) dv_statement *row = NULL;
        assert_int_equal(dv_store_query(f->services.store, &row, NULL, SQL[i], ""), DV_OK);
        while (dv_statement_step(row, NULL) == DV_OK) {
            dv_slice value = DV_LIT("absent");
            dv_slice key = dv_column_slice(row, 0);
            dv_result found = dv_snapshot_get(f->services.snapshot, TABLES[i], key, &value);
            assert_true(found == DV_OK || found == DV_ERR_NOT_FOUND);
            dv_sha256(dv_slice_of(out, DV_SHA256_LEN), key, value, out);
        }
    }
    dv_snapshot_end(f->services.snapshot);
}

static void assert_snapshot_is_the_store(fixture *f)
{
    uint8_t shown[DV_SHA256_LEN];
    uint8_t rebuilt[DV_SHA256_LEN];
    digest_of(f, shown);
    assert_int_equal(dv_auth_rebuild(&f->services, &f->error), DV_OK);
    digest_of(f, rebuilt);
    assert_memory_equal(shown, rebuilt, sizeof(shown));
}

/* One user after another, each with a group, a role and a key; tells each that is acknowledged. */
static void change_until_killed(fixture *f, int from, int acknowledged)
{
    char body[64];
    for (int i = from; i < USERS_MAX; i++) {
        snprintf(body, sizeof(body), "{'name':'u%d','groups':['all']}", i);
        if (call_op(f, dv_op_user_create, NULL, body) != DV_OK ||
            write(acknowledged, &i, sizeof(i)) != sizeof(i)) {
            _exit(1);
        }
        snprintf(body, sizeof(body), "{'user':'u%d'}", i);
        if (call_op(f, dv_op_role_assign, "{'role':'viewer'}", body) != DV_OK ||
            call_op(f, dv_op_apikey_create, NULL, body) != DV_OK ||
            (i % 3 == 0 &&
             call_op(f, dv_op_role_unassign, "{'role':'base','group':'all'}", NULL) != DV_OK) ||
            (i % 3 == 0 &&
             call_op(f, dv_op_role_assign, "{'role':'base'}", "{'group':'all'}") != DV_OK)) {
            _exit(2);
        }
    }
    _exit(3);
}

/* Returns the last acknowledged user, or `before`. */
static int kill_midway(fixture *f, int before, useconds_t after)
{
    int pipes[2];
    int last = before;
    int status;
    assert_int_equal(pipe(pipes), 0);
    fixture_close(f);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60);
        close(pipes[0]);
        fixture_open(f);
        fixture_start(f);
        int ready = before;
        if (write(pipes[1], &ready, sizeof(ready)) != sizeof(ready)) {
            _exit(4);
        }
        change_until_killed(f, before + 1, pipes[1]);
    }
    close(pipes[1]);
    /* It is ready; half of the times it is also let finish one user. */
    for (int i = 0; i <= before % 2; i++) {
        assert_int_equal(read(pipes[0], &last, sizeof(last)), sizeof(last));
    }
    usleep(after);
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(pipes[0], &last, sizeof(last)) == sizeof(last)) {
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(pipes[0]);
    fixture_open(f);
    fixture_start(f);
    return last;
}

static void killed_at_any_moment_nothing_is_lost(void **state)
{
    fixture *f = *state;
    char params[64];
    int last = 0;
    int acknowledged = 0;
    assert_int_equal(call_op(f, dv_op_group_create, NULL, "{'name':'all'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_role_create, NULL, "{'name':'base','permissions':['x']}"),
                     DV_OK);
    assert_int_equal(call_op(f, dv_op_role_assign, "{'role':'base'}", "{'group':'all'}"), DV_OK);
    for (int round = 0; round < ROUNDS; round++) {
        /* The next user may have been made without being acknowledged: begin behind it. */
        int before = (last + 1) / 2 * 2 + round % 2 + 1;
        last = kill_midway(f, before, (useconds_t)(round * 1733 % 31000));
        assert_snapshot_is_the_store(f);
        snprintf(params, sizeof(params), "{'name':'u%d'}", last);
        if (last > before) {
            assert_int_equal(call_op(f, dv_op_user_show, params, NULL), DV_OK);
            acknowledged += last - before;
        }
        /* The kill may have come between taking the role away and giving it back. */
        assert_int_equal(call_op(f, dv_op_role_assign, "{'role':'base'}", "{'group':'all'}"),
                         DV_OK);
    }
    assert_in_range(acknowledged, ROUNDS / 2 - 1, USERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_at_any_moment_nothing_is_lost, fixture_set_up,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests_name("auth-crash", tests, NULL, NULL);
}
