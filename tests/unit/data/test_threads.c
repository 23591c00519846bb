/* SPDX-License-Identifier: Apache-2.0 */
/* Gates that share their rules, each in a thread of its own: what they find is the same, and (under
 * the thread sanitizer) nothing is written that another reads. */
#include "data_test.h"

#include <pthread.h>

enum { ROUNDS = 200, THREADS = 3 };

static const char text[] =
    "{\"messages\":[{\"role\":\"user\",\"content\":\"mail bob@example.com, pay with 4111 1111 1111 "
    "1111, or call +1 415 555 2671\"},{\"content\":\"{\\\"a\\\":\\\"eve@example.com\\\"}\"}]}";

typedef struct worker {
    dv_data_gate *gate;
    const dv_data_policy *policy;
    dv_data_context *context; /* made by another thread, handed over */
    dv_arena *arena;
    bool failed;
} worker;

static bool inspect_once(worker *w)
{
    static const dv_json_limits limits = {
        .depth = 64, .tokens = 1024, .refuse_duplicate_keys = true};
    dv_json json;
    dv_verdict verdict = {0};
    dv_data_outcome outcome = {0};
    dv_verdict_allow(&verdict, "test");
    return dv_json_scan(dv_slice_str(text), &limits, w->arena, &json, NULL) == DV_OK &&
           dv_data_gate_request(w->gate, w->policy, w->context, &json, w->arena, &outcome,
                                &verdict) == DV_OK &&
           verdict.decision == DV_ALLOW && outcome.sighting_count == 4 &&
           dv_slice_find(outcome.body, DV_LIT("<EMAIL_")) >= 0;
}

static void *run(void *data)
{
    worker *w = data;
    for (unsigned i = 0; !w->failed && i < ROUNDS; i++) {
        w->failed = !inspect_once(w);
    }
    return NULL;
}

static void gates_in_threads_find_the_same(void **state)
{
    pthread_t threads[THREADS];
    worker workers[THREADS + 1] = {{.gate = gate}};
    dv_data_policy *policy = policy_of(PLACEHOLDERS);
    for (size_t i = 0; i <= THREADS; i++) {
        worker *w = &workers[i];
        w->policy = policy;
        w->arena = dv_arena_new(64 << 20);
        w->context = context_of("User::\"a\"", w->arena);
        if (i > 0) {
            assert_int_equal(dv_data_gate_share(gate, &w->gate), DV_OK);
            assert_int_equal(pthread_create(&threads[i - 1], NULL, run, w), 0);
        }
    }
    (void)run(&workers[0]);
    for (size_t i = 0; i <= THREADS; i++) {
        if (i > 0) {
            assert_int_equal(pthread_join(threads[i - 1], NULL), 0);
            dv_data_gate_free(workers[i].gate);
        }
        assert_false(workers[i].failed);
        dv_arena_free(workers[i].arena);
    }
    dv_data_policy_free(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gates_in_threads_find_the_same, gate_set_up,
                                        gate_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
