/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* sched_setattr(2), for which glibc 2.36 has no function. */
typedef struct sched_attributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime; /* SCHED_OTHER: the slice, nanoseconds */
    uint64_t deadline;
    uint64_t period;
} sched_attributes;

/* The longest that the kernel takes. A thread that wakes and asks for less preempts one that asked
 * for more, which otherwise would be let run for its whole slice of some milliseconds. */
static const uint64_t SLICE = 100000000;

void dv_thread_steps_aside(void)
{
    sched_attributes attributes = {.size = sizeof(attributes)};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0 ||
        attributes.policy != SCHED_OTHER) {
        return;
    }
    attributes.runtime = SLICE;
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

int dv_session_open(void)
{
    return getsid(0) == getpid() ? open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC) : -1;
}

bool dv_session_yields(int session, bool yields)
{
    const char *nice = yields ? "19" : "0";
    return session >= 0 && write(session, nice, strlen(nice)) == (ssize_t)strlen(nice);
}
