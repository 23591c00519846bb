/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the counters that were seen last are still there: others have forgotten every budget. */
#include "core/audit.h"
#include "room/api/control/limit_store.h"

#include "base/caps.h"

#include <limits.h>
#include <stdlib.h>

dv_result dv_limit_open_counters(const dv_services *services, dv_counters **ret_counters)
{
    char link[PATH_MAX];
    bool replaced = false;
    int len = snprintf(link, sizeof(link), "%s/counters", services->runtime_dir);
    char *path = len < 0 || len >= PATH_MAX ? NULL : realpath(link, NULL);
    if (path == NULL) {
        return DV_ERR_NOT_FOUND;
    }
    dv_result result = dv_counters_open(path, DV_COUNTERS_SLOTS, ret_counters, &replaced, NULL);
    free(path);
    return result;
}

static dv_result read_known(dv_store *store, int64_t *ret_created, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(store, &row, error, "SELECT created FROM api_counters WHERE id = 1", ""));
    dv_result result = dv_statement_step(row, error);
    *ret_created = result == DV_OK ? dv_column_int(row, 0) : 0;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result alarm(dv_services *services)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = {.time = dv_time_now(),
                            .entity = DV_LIT("System::\"dvarad\""),
                            .via = DV_LIT("control"),
                            .result = DV_OK};
    DV_TRY(dv_event_alarm(&record, &actor, DV_LIT("limit.counters_lost"),
                          DV_LIT("the counters of limits are lost: budgets begin anew")));
    return services->events.append(services->events.data, dv_buf_slice(&record));
}

dv_result dv_limit_notice_loss(dv_services *services, dv_error *error)
{
    int64_t known = 0;
    int64_t created = 0;
    dv_auto(counters) dv_counters *counters = NULL;
    DV_TRY(read_known(services->store, &known, error));
    if (dv_limit_open_counters(services, &counters) == DV_OK) {
        created = dv_counters_created(counters);
    }
    if (known == created) {
        return DV_OK;
    }
    if (known != 0) {
        DV_TRY(alarm(services));
    }
    return dv_store_run(services->store, error,
                        "INSERT INTO api_counters (id, created) VALUES (1, ?1)"
                        " ON CONFLICT (id) DO UPDATE SET created = ?1",
                        "i", created);
}
