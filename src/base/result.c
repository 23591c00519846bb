/* SPDX-License-Identifier: Apache-2.0 */
#include "base/result.h"

#include <stdarg.h>

static const char *const names[DV_RESULT_COUNT] = {
    [DV_OK] = "ok",
    [DV_ERR_INVALID] = "invalid",
    [DV_ERR_TOO_LARGE] = "too_large",
    [DV_ERR_NO_MEMORY] = "no_memory",
    [DV_ERR_IO] = "io",
    [DV_ERR_NOT_FOUND] = "not_found",
    [DV_ERR_EXISTS] = "exists",
    [DV_ERR_CONFLICT] = "conflict",
    [DV_ERR_UNAUTHENTICATED] = "unauthenticated",
    [DV_ERR_FORBIDDEN] = "forbidden",
    [DV_ERR_LIMITED] = "limited",
    [DV_ERR_CORRUPT] = "corrupt",
    [DV_ERR_UNSUPPORTED] = "unsupported",
    [DV_ERR_UNAVAILABLE] = "unavailable",
    [DV_ERR_AGAIN] = "again",
    [DV_ERR_INTERNAL] = "internal",
};

const char *dv_result_name(dv_result result)
{
    if ((unsigned)result >= DV_RESULT_COUNT) {
        return "unknown";
    }
    return names[result];
}

void dv_error_write(dv_error *error, dv_result result, int line, int column, const char *format,
                    ...)
{
    if (error == NULL) {
        return;
    }
    error->result = result;
    error->line = line;
    error->column = column;
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
}
