/* SPDX-License-Identifier: Apache-2.0 */
/* What a request's limits cost: prints nanoseconds for one charge of four rates, and for a
 * reservation of two budgets and a token rate with its settlement. */
#include "bench.h"
#include "engine/limit/limit.h"

#include <unistd.h>

enum { ROUNDS = 2000000, CALLERS = 1024 };

static dv_limit_charge charge_for(char *text, size_t size, const char *kind, int who, bool address)
{
    snprintf(text, size, "%s/%08d", kind, who);
    return (dv_limit_charge){dv_slice_str(text), {1000000, DV_SECOND, 0}, 1, address};
}

static int run(dv_counters *counters)
{
    char text[4][32];
    dv_limit_charge charges[4];
    dv_limit_state state;
    uint64_t admitted = 0;
    dv_time started = dv_time_monotonic();

    for (int i = 0; i < ROUNDS; i++) {
        int who = (int)((uint32_t)i * 2654435761u % CALLERS);
        if (i < CALLERS || i % 16 == 0) {
            charges[0] = charge_for(text[0], sizeof(text[0]), "key", who, false);
            charges[1] = charge_for(text[1], sizeof(text[1]), "user", who, false);
            charges[2] = charge_for(text[2], sizeof(text[2]), "group", who % 16, false);
            charges[3] = charge_for(text[3], sizeof(text[3]), "address", who, true);
        }
        if (dv_limit_charge_all(counters, charges, 4, dv_time_now(), &state) != DV_OK) {
            return 1;
        }
        admitted += state.admitted;
    }
    dv_time took = dv_time_monotonic() - started;
    bench_row("limit/charge_4_keys", (double)took / ROUNDS, "ns", 0);
    return admitted == ROUNDS ? 0 : 1;
}

static int run_reservations(dv_counters *counters)
{
    dv_limit_charge charges[3] = {
        {DV_LIT("user/alice"), {1u << 31, DV_SECOND, 0}, 1000, false, .unit = DV_LIMIT_TOKENS},
        {DV_LIT("user/alice"), .cost = 1000, .kind = DV_LIMIT_BUDGET, .unit = DV_LIMIT_TOKENS,
         .max = DV_LIMIT_BUDGET_MAX},
        {DV_LIT("group/ml"), .cost = 3000, .kind = DV_LIMIT_BUDGET, .unit = DV_LIMIT_COST,
         .period = DV_LIMIT_MONTH, .max = DV_LIMIT_BUDGET_MAX},
    };
    dv_limit_state state;
    uint64_t admitted = 0;
    dv_time started = dv_time_monotonic();

    for (int i = 0; i < ROUNDS; i++) {
        dv_time now = dv_time_now();
        uint64_t settled[3] = {[DV_LIMIT_TOKENS] = 300, [DV_LIMIT_COST] = 900};
        if (dv_limit_charge_all(counters, charges, 3, now, &state) != DV_OK ||
            dv_limit_settle_all(counters, charges, 3, settled, now, dv_time_now(), NULL, NULL,
                                NULL) != DV_OK) {
            return 1;
        }
        admitted += state.admitted;
    }
    dv_time took = dv_time_monotonic() - started;
    bench_row("limit/reserve_and_settle_3", (double)took / ROUNDS, "ns", 0);
    return admitted == ROUNDS ? 0 : 1;
}

int main(void)
{
    char folder[] = "/tmp/dvara-bench-XXXXXX";
    char path[64];
    bool replaced = false;
    dv_counters *counters = NULL;

    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(path, sizeof(path), "%s/counters", folder);
    int failed = dv_counters_open(path, 100000, &counters, &replaced, NULL) != DV_OK;
    if (!failed) {
        failed = run(counters) || run_reservations(counters);
        dv_counters_close(counters);
    }
    unlink(path);
    rmdir(folder);
    return failed;
}
