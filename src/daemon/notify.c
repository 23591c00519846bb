/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/notify.h"

#include "base/clock.h"

#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DV_NOTIFY_MAX = 512 };

/* A supervisor that does not listen must not stop a daemon: every failure is passed over. */
static void dv_printf(1, 2) notify(const char *format, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof address.sun_path) {
        return;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* Linux's abstract names */
    }
    char message[DV_NOTIFY_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    dv_auto(fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&address,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    }
}

void dv_notify_ready(void)
{
    notify("READY=1\nMAINPID=%ld\n", (long)getpid());
}

void dv_notify_reloading(void)
{
    notify("RELOADING=1\nMONOTONIC_USEC=%lld\n", (long long)(dv_time_monotonic() / 1000));
}

void dv_notify_reload_failed(const char *why)
{
    char line[401];
    size_t len = strcspn(why, "\r\n");
    len = DV_MIN(len, sizeof line - 1);
    memcpy(line, why, len);
    line[len] = '\0';
    notify("X_DVARA_RELOAD_FAILED=%s\nREADY=1\n", line);
}

void dv_notify_stopping(void)
{
    notify("STOPPING=1\n");
}
