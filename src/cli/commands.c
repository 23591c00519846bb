/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that need nothing but the program itself (api/cli.yaml). */
#include "api/commands.h"
#include "cli/help.h"

int dv_command_version(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    json_t *version = json_pack("{s:s}", "version", DV_VERSION);
    dv_result result = version == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, version, NULL, NULL);
    json_decref(version);
    error.result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}

int dv_command_completion(dv_cli *cli, const json_t *params)
{
    dv_help_bash(cli->out);
    return fflush(cli->out) == 0 ? DV_EXIT_DONE : DV_EXIT_FAILED;
}
