/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/state.h"

#include <sys/stat.h>
#include <unistd.h>

static char *join(const char *folder, const char *rest)
{
    char *path = NULL;
    return asprintf(&path, "%s%s", folder, rest) >= 0 ? path : NULL;
}

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

char *dv_cli_state_dir(const char *option, bool *ret_said)
{
    struct stat stat_here;
    const char *named = is_set(option) ? option : getenv("DVARA_STATE");
    *ret_said = is_set(named);
    if (is_set(named)) {
        return strdup(named);
    }
    if (stat(".dvara", &stat_here) == 0 && S_ISDIR(stat_here.st_mode)) {
        return strdup(".dvara");
    }
    if (geteuid() == 0) {
        return strdup("/var/lib/dvara");
    }
    if (is_set(getenv("XDG_STATE_HOME"))) {
        return join(getenv("XDG_STATE_HOME"), "/dvara");
    }
    return is_set(getenv("HOME")) ? join(getenv("HOME"), "/.local/state/dvara") : NULL;
}
