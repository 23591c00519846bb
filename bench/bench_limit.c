/* SPDX-License-Identifier: Apache-2.0 */
/* What a request's four limits cost: prints nanoseconds for one charge of all four. */
#include "engine/limit/limit.h"
#include "row.h"

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
        failed = run(counters);
        dv_counters_close(counters);
    }
    unlink(path);
    rmdir(folder);
    return failed;
}
