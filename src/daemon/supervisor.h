/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `dvara up`, `down`, `status`, `reload` and `config check`: starts nginx, dvarad and dvara-logd,
 * keeps them alive and ends them.
 *
 * What it promises the processes it starts:
 *   dvara-logd --state STATE --runtime RUNTIME
 *   dvarad     --state STATE --runtime RUNTIME [--config FILE]
 *   nginx      -c RUNTIME/nginx/nginx.conf
 * each in its own session, stdin /dev/null, stdout and stderr a pipe to the supervisor (which masks
 * secrets and prefixes lines), NOTIFY_SOCKET set (daemon/notify.h), a death signal, the order
 * dvara-logd ready, dvarad ready, nginx. SIGTERM ends them, SIGHUP has dvarad read its
 * configuration anew. */

/* Each takes the arguments after the verb ("up" itself is argv[0]), prints results on stdout and
 * errors on stderr, and returns the exit code: 0 done, 1 refused or failed, 2 usage. */
int dv_supervisor_up(int argc, char **argv);
int dv_supervisor_down(int argc, char **argv);
int dv_supervisor_status(int argc, char **argv);
int dv_supervisor_reload(int argc, char **argv);
/* argv[0] is "check". */
int dv_supervisor_config_check(int argc, char **argv);

/* Where a state directory is when neither --state nor DVARA_STATE says: /var/lib/dvara for root,
 * otherwise $XDG_STATE_HOME/dvara or ~/.local/state/dvara. Returns a malloc'd absolute path; NULL
 * when there is no home or memory. option: the value of --state, or NULL. */
char *dv_state_dir(const char *option);
