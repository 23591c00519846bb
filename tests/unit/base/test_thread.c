/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
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
        cmocka_unit_test(leaves_other_policies_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
