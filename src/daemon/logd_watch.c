/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_watch.h"

#include "base/caps.h"
#include "core/event.h"

/* One that can't be made for want of memory is told by nothing else: the operator's line is. */
static void alarm_log(dv_sequencer *sequencer, const char *rule, const char *title)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    const dv_event_actor actor = {.time = dv_time_now(),
                                  .entity = DV_LIT("System::\"dvara-logd\"")};
    if (dv_event_alarm(&event, &actor, dv_slice_str(rule), dv_slice_str(title)) == DV_OK) {
        (void)!dv_sequencer_note(sequencer, dv_buf_slice(&event));
    }
}

bool dv_logd_watch_clock(dv_logd_watch *watch, dv_sequencer *sequencer, dv_time wall,
                         dv_time monotonic)
{
    char title[DV_ERROR_MESSAGE_MAX];
    dv_time jump = dv_clock_watch_look(&watch->clock, wall, monotonic);
    if (jump == 0) {
        return false;
    }
    (void)snprintf(title, sizeof title,
                   "the clock jumped by %lld ms: times before and after this event do not compare",
                   (long long)(jump / DV_MILLISECOND));
    alarm_log(sequencer, "audit.clock", title);
    return true;
}

void dv_logd_watch_commit(dv_logd_watch *watch, dv_sequencer *sequencer, bool done,
                          const char *problem)
{
    char title[DV_ERROR_MESSAGE_MAX];
    if (!done && !watch->blocked) {
        watch->blocked = true;
        watch->since = dv_time_monotonic();
        (void)snprintf(watch->problem, sizeof watch->problem, "%s", problem);
    } else if (done && watch->blocked) {
        watch->blocked = false;
        (void)snprintf(title, sizeof title, "the log took no records for %lld ms: %.400s",
                       (long long)((dv_time_monotonic() - watch->since) / DV_MILLISECOND),
                       watch->problem);
        alarm_log(sequencer, "audit.blocked", title);
    }
}
