/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/audit_verdict.h"

/* The disk or memory is no verdict. */
static bool is_verdict(dv_result result)
{
    return result != DV_ERR_IO && result != DV_ERR_NO_MEMORY;
}

int dv_audit_refute(dv_cli *cli, const char *kind, const char *path, const dv_error *error,
                    bool looked_at)
{
    const char *problem =
        error->message[0] != '\0' ? error->message : dv_result_name(error->result);
    bool failed = looked_at && is_verdict(error->result);
    json_t *report = cli->output == DV_OUTPUT_TABLE
                         ? NULL
                         : json_pack("{s:s,s:b,s:s,s:s}", "result", failed ? "failed" : "error",
                                     "ok", 0, kind, path, "problem", problem);
    if (report != NULL) {
        (void)!dv_cli_print(cli, report, NULL, NULL); /* the exit status says it, too */
    }
    json_decref(report);
    return dv_cli_fail(cli, error);
}
