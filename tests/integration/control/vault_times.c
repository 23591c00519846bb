/* SPDX-License-Identifier: Apache-2.0 */
/* Does to a vault what happened to it some days ago, for test_disposal_vaults.py:
 *
 *   vault_times FILE KEY add DAYS VALUE...   adds values, made so many days ago, and prints tokens
 *   vault_times FILE KEY remove DAYS RUN     removes what is older, as that run
 *   vault_times FILE KEY stop DAYS RUN       the same, and stops right before the exchange */
#include "base/clock.h"
#include "crypto/random.h"
#include "engine/detect/action/action.h"
#include "engine/detect/action/vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(dv_result result, const dv_error *error)
{
    fprintf(stderr, "%s: %s\n", dv_result_name(result), error->message);
    return 1;
}

static bool is_old(const void *data, dv_slice token, dv_time made)
{
    (void)token;
    return made != 0 && made <= *(const dv_time *)data;
}

static int add(dv_vault *vault, dv_time when, int count, char **values)
{
    dv_error error = {0};
    dv_vault_set_now(vault, when);
    for (int i = 0; i < count; i++) {
        dv_auto(buf) dv_buf token = dv_buf_init(64);
        dv_result result = dv_vault_token(vault, dv_slice_str(values[i]), &token);
        if (result != DV_OK) {
            return fail(result, &error);
        }
        printf("%.*s\n", (int)token.len, (const char *)token.ptr);
    }
    dv_result result = dv_vault_commit(vault, &error);
    return result == DV_OK ? 0 : fail(result, &error);
}

int main(int argc, char **argv)
{
    uint8_t key[DV_ACTION_KEY_LEN];
    dv_error error = {0};
    dv_vault *vault = NULL;
    dv_vault_tally tally;
    if (argc < 6) {
        return 2;
    }
    dv_result result = dv_action_key_read(argv[2], key, &error);
    result = result == DV_OK ? dv_vault_open(argv[1], key, true, &vault, &error) : result;
    if (result != DV_OK) {
        return fail(result, &error);
    }
    dv_time when = dv_time_now() - strtol(argv[4], NULL, 10) * 86400 * DV_SECOND;
    if (strcmp(argv[3], "add") == 0) {
        int status = add(vault, when, argc - 5, argv + 5);
        dv_vault_free(vault);
        return status;
    }
    result = dv_vault_rewrite(vault, is_old, &when, argv[5], &tally, &error);
    if (strcmp(argv[3], "stop") == 0) {
        _exit(result == DV_OK ? 0 : 1);
    }
    result = result == DV_OK ? dv_vault_exchange(vault, &error) : result;
    dv_vault_free(vault);
    return result == DV_OK ? 0 : fail(result, &error);
}
