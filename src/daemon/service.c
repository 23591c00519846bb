/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/service.h"

#include "base/crash.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>

enum { EXIT_USAGE = 2 };

/* False when `option` ends the program; then *ret_status says how. */
static bool take_option(int option, const dv_service_about *about, dv_service_options *options,
                        int *ret_status)
{
    switch (option) {
    case 's':
        options->state_dir = optarg;
        return true;
    case 'r':
        options->runtime_dir = optarg;
        return true;
    case 'c':
        options->config = optarg;
        return true;
    case 'h':
    case 'v':
        printf("%s", option == 'h' ? about->usage : about->version);
        *ret_status = 0;
        return false;
    default:
        fputs(about->usage, stderr);
        return false;
    }
}

bool dv_service_arguments(int argc, char **argv, const dv_service_about *about,
                          dv_service_options *ret_options, int *ret_status)
{
    /* --config last: who does not know it begins the end of the table there. */
    struct option known[] = {
        {"state", required_argument, NULL, 's'},  {"runtime", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},         {"version", no_argument, NULL, 'v'},
        {"config", required_argument, NULL, 'c'}, {NULL, 0, NULL, 0}};
    dv_service_options options = {0};
    if (!about->has_config) {
        known[4] = known[5];
    }
    dv_crash_watch(argv[0]);
    *ret_status = EXIT_USAGE;
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (!take_option(option, about, &options, ret_status)) {
            return false;
        }
    }
    if (options.state_dir == NULL || options.runtime_dir == NULL || optind < argc) {
        fputs(about->usage, stderr);
        return false;
    }
    *ret_options = options;
    return true;
}

int dv_service_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}
