/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macros.h"

#include <errno.h>
#include <unistd.h>

void dv_fd_close(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
        *fd = -1;
    }
}

void dv_auto_free(void *pointer_to_pointer)
{
    void *pointer;
    memcpy(&pointer, pointer_to_pointer, sizeof(pointer));
    free(pointer);
}
