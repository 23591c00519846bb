/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Attributes and the cleanup helper that every layer uses. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The caller may not ignore the returned value. */
#define dv_must __attribute__((warn_unused_result))

#define dv_printf(format_index, args_index)                                                        \
    __attribute__((format(printf, format_index, args_index)))

/* Declares a local that cleans up after itself: `dv_auto(buf) dv_buf b = {0};` calls
 * dv_buf_release(&b) at the end of the scope. Define the helper with DV_DEFINE_AUTO. */
#define dv_auto(noun) __attribute__((cleanup(dv_auto_##noun)))

#define DV_DEFINE_AUTO(noun, type, release)                                                        \
    static inline void dv_auto_##noun(type *object)                                                \
    {                                                                                              \
        release(object);                                                                           \
    }

/* For objects made by a `new`, held as a pointer; NULL is left alone. */
#define DV_DEFINE_AUTO_PTR(noun, type, free_function)                                              \
    static inline void dv_auto_##noun(type **object)                                               \
    {                                                                                              \
        if (*object != NULL) {                                                                     \
            free_function(*object);                                                                \
        }                                                                                          \
    }

#define DV_ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#define DV_MIN(a, b) ((a) < (b) ? (a) : (b))
#define DV_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Closes a file descriptor kept in a local; -1 is none. */
void dv_fd_close(int *fd);
DV_DEFINE_AUTO(fd, int, dv_fd_close)

/* Frees a malloc'd block kept in a local `dv_auto(free) char *p = NULL;`. */
void dv_auto_free(void *pointer_to_pointer);
