/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Makes the Nth allocation of this process fail, or all from it on. The test program is linked with
 * --wrap for each of these calls (meson.build). */

#include <stdbool.h>
#include <stdlib.h>

static long memory_countdown; /* 0: all is well */
static bool memory_stays_out; /* and none after it succeeds */
static long memory_calls;

static bool memory_is_out(void)
{
    memory_calls++;
    if (memory_countdown == 0) {
        return false;
    }
    if (memory_countdown > 1) {
        memory_countdown--;
        return false;
    }
    memory_countdown = memory_stays_out ? 1 : 0;
    return true;
}

void *__real_malloc(size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_malloc(size_t len)
{
    return memory_is_out() ? NULL : __real_malloc(len);
}

void *__real_calloc(size_t count, size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_calloc(size_t count, size_t len)
{
    return memory_is_out() ? NULL : __real_calloc(count, len);
}

void *__real_realloc(void *old, size_t len);
void *__wrap_realloc(void *old, size_t len);
void *__wrap_realloc(void *old, size_t len)
{
    return memory_is_out() ? NULL : __real_realloc(old, len);
}
