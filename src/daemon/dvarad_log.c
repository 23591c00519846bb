/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/dvarad_log.h"

#include "base/result.h"

#include <stdarg.h>
#include <unistd.h>

void dv_log_line(const char *format, ...)
{
    char line[DV_ERROR_MESSAGE_MAX + 128] = "dvarad: ";
    size_t len = strlen(line);
    va_list args;
    va_start(args, format);
    vsnprintf(line + len, sizeof(line) - len - 1, format, args);
    va_end(args);
    for (len = 0; line[len] != '\0'; len++) {
        if ((unsigned char)line[len] < 0x20) {
            line[len] = ' '; /* one call, one line */
        }
    }
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0) {
        return; /* nowhere left to say it */
    }
}
