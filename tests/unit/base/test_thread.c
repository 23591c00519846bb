/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
} attributes;

static attributes attributes_now(void)
{
    attributes now = {.size = sizeof(now)};
    assert_int_equal(syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0), 0);
    return now;
}

/* Slices of SCHED_OTHER came with Linux 6.12. */
static bool kernel_has_slices(void)
{
    struct utsname name;
    int major = 0, minor = 0;
    assert_int_equal(uname(&name), 0);
    assert_int_equal(sscanf(name.release, "%d.%d", &major, &minor), 2);
    return major > 6 || (major == 6 && minor >= 12);
}

static void steps_aside_and_keeps_its_share(void **state)
{
    assert_int_equal(setpriority(PRIO_PROCESS, 0, 3), 0);
    attributes before = attributes_now();
    dv_thread_steps_aside();
    attributes after = attributes_now();
    assert_int_equal(after.policy, before.policy);
    assert_int_equal(after.nice, 3);
    assert_int_equal(after.runtime, kernel_has_slices() ? 100000000 : before.runtime);
}

static void weight_of(char nice[32])
{
    char text[64] = "";
    FILE *file = fopen("/proc/self/autogroup", "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_int_equal(sscanf(text, "/autogroup-%*d %31[^\n]", nice), 1);
}

/* The kernel takes one a tenth of a second, from all together who are not root. */
static bool yields_soon(int session, bool yields)
{
    for (int i = 0; i < 50; i++) {
        if (dv_session_yields(session, yields)) {
            return true;
        }
        usleep(60000);
    }
    return false;
}

/* In a child, whose session is its own. */
static int yield_in_a_session(void)
{
    char nice[32];
    if (dv_session_open() >= 0 || setsid() < 0) {
        return 1; /* the weight of another's session is left alone */
    }
    int session = dv_session_open();
    if (session < 0 || !yields_soon(session, true)) {
        return 2;
    }
    weight_of(nice);
    if (strcmp(nice, "nice 19") != 0) {
        return 3;
    }
    if (!yields_soon(session, false)) {
        return 4;
    }
    weight_of(nice);
    return strcmp(nice, "nice 0") == 0 ? 0 : 5;
}

static void sessions_yield(void **state)
{
    int status = 0;
    assert_false(dv_session_yields(-1, true));
    if (access("/proc/self/autogroup", W_OK) != 0) {
        assert_int_equal(dv_session_open(), -1); /* another kernel, or a /proc to read only */
        return;
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(yield_in_a_session());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void leaves_other_policies_alone(void **state)
{
    struct sched_param none = {0};
    assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &none), 0);
    attributes before = attributes_now();
    dv_thread_steps_aside();
    assert_int_equal(attributes_now().policy, SCHED_BATCH);
    assert_int_equal(attributes_now().runtime, before.runtime);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_aside_and_keeps_its_share),
        cmocka_unit_test(sessions_yield),
        cmocka_unit_test(leaves_other_policies_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
