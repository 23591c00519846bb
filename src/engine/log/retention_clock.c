/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/retention_clock.h"

#include <string.h>

static const int64_t day_ms = INT64_C(86400000), slack_ms = 600000;

static bool is_apart(int64_t ahead_ms)
{
    return ahead_ms > slack_ms || ahead_ms < -slack_ms;
}

static void measure_from(dv_retention_clock *clock, int64_t wall_ms, int64_t machine_ms)
{
    clock->wall_ms = wall_ms;
    clock->machine_ms = machine_ms;
}

/* Never for less long than it is to be already. */
static void unsettle(dv_retention_clock *clock, int64_t for_ms, int64_t machine_ms)
{
    int64_t until = machine_ms + DV_MIN(for_ms, day_ms);
    clock->until_machine_ms = DV_MAX(clock->until_machine_ms, until);
}

static void settle(dv_retention_clock *clock)
{
    clock->until_machine_ms = 0;
    clock->ahead_ms = 0;
    clock->whole = false;
}

/* What the wall clock says more than the machine's time since that look explains. */
static int64_t ahead_since(const dv_retention_seen *seen, const dv_retention_seen *now,
                           bool *ret_same_boot)
{
    bool same = seen->boot_id[0] != '\0' && strcmp(seen->boot_id, now->boot_id) == 0 &&
                now->machine_ms >= seen->machine_ms;
    *ret_same_boot = same;
    return now->wall_ms - seen->wall_ms - (now->machine_ms - (same ? seen->machine_ms : 0));
}

bool dv_retention_clock_start(dv_retention_clock *clock, int64_t newest_ms, int64_t left_ms,
                              const dv_retention_seen *seen, const dv_retention_seen *now)
{
    bool same_boot;
    *clock = (dv_retention_clock){.ahead_ms = 0};
    measure_from(clock, now->wall_ms, now->machine_ms);
    if (left_ms > 0) {
        unsettle(clock, left_ms, now->machine_ms);
    }
    if (newest_ms > 0 && now->wall_ms - newest_ms > day_ms) {
        unsettle(clock, day_ms, now->machine_ms);
    }
    if (seen->wall_ms <= 0) {
        return false;
    }
    int64_t ahead = ahead_since(seen, now, &same_boot);
    if (!is_apart(ahead)) {
        if (same_boot) { /* little by little is much, over many restarts */
            measure_from(clock, seen->wall_ms, seen->machine_ms);
        }
        return false;
    }
    bool was_off = !same_boot && ahead > 0; /* or it was set: nobody can tell */
    unsettle(clock, was_off ? ahead : day_ms, now->machine_ms);
    clock->ahead_ms = was_off ? 0 : ahead;
    return !was_off;
}

static void settle_when_due(dv_retention_clock *clock, int64_t machine_ms)
{
    if (clock->until_machine_ms != 0 && machine_ms >= clock->until_machine_ms) {
        settle(clock);
    }
}

bool dv_retention_clock_look(dv_retention_clock *clock, int64_t wall_ms, int64_t machine_ms)
{
    int64_t ahead = (wall_ms - clock->wall_ms) - (machine_ms - clock->machine_ms);
    settle_when_due(clock, machine_ms);
    if (!is_apart(ahead)) {
        if (machine_ms - clock->machine_ms >= day_ms) {
            measure_from(clock, wall_ms, machine_ms);
        }
        return false;
    }
    bool was_settled = clock->until_machine_ms == 0;
    bool back_again = !was_settled && (ahead > 0) != (clock->ahead_ms > 0) &&
                      DV_MAX(ahead, -ahead) <= DV_MAX(clock->ahead_ms, -clock->ahead_ms) + slack_ms;
    clock->whole = clock->whole || was_settled;
    clock->ahead_ms += ahead;
    measure_from(clock, wall_ms, machine_ms);
    if (back_again && clock->whole && !is_apart(clock->ahead_ms)) {
        settle(clock); /* it is set right */
    } else if (!back_again) {
        unsettle(clock, day_ms, machine_ms);
    }
    return !back_again;
}

int64_t dv_retention_clock_left(const dv_retention_clock *clock, int64_t machine_ms)
{
    return clock->until_machine_ms > machine_ms ? clock->until_machine_ms - machine_ms : 0;
}

int64_t dv_retention_clock_expected(const dv_retention_clock *clock, int64_t machine_ms)
{
    return clock->wall_ms + (machine_ms - clock->machine_ms);
}

int64_t dv_retention_clock_now(const dv_retention_clock *clock, int64_t newest_ms, int64_t wall_ms,
                               int64_t machine_ms)
{
    return dv_retention_clock_left(clock, machine_ms) > 0 ? INT64_MIN : DV_MIN(newest_ms, wall_ms);
}
