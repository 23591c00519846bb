/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macros.h"

/* How every fallible function answers. Authorization answers are another type (core/verdict.h),
 * whose zero is deny. Outputs (`ret_*`) are written only on DV_OK. */
typedef enum dv_result {
    DV_OK = 0,
    DV_ERR_INVALID,   /* malformed input: the caller can mend it */
    DV_ERR_TOO_LARGE, /* a limit of base/caps.h or of the configuration */
    DV_ERR_NO_MEMORY,
    DV_ERR_IO, /* errno tells more */
    DV_ERR_NOT_FOUND,
    DV_ERR_EXISTS,
    DV_ERR_CONFLICT,        /* the state changed under the caller, or forbids the step */
    DV_ERR_UNAUTHENTICATED, /* no or bad credential; says no more than that */
    DV_ERR_FORBIDDEN,
    DV_ERR_LIMITED, /* a rate limit or budget */
    DV_ERR_CORRUPT, /* stored data does not check out */
    DV_ERR_UNSUPPORTED,
    DV_ERR_UNAVAILABLE, /* a part that is needed does not answer */
    DV_ERR_AGAIN,       /* not finished: call again */
    DV_ERR_INTERNAL,    /* a bug */
    DV_RESULT_COUNT
} dv_result;

/* Returns the stable snake_case name of a result, for logs and JSON ("too_large"). */
const char *dv_result_name(dv_result result);

/* Returns early on failure. The one control-flow macro of this code base. */
#define DV_TRY(expression)                                                                         \
    do {                                                                                           \
        dv_result dv_try_result_ = (expression);                                                   \
        if (dv_try_result_ != DV_OK) {                                                             \
            return dv_try_result_;                                                                 \
        }                                                                                          \
    } while (0)

enum { DV_ERROR_MESSAGE_MAX = 512 };

/* What a person is told of a failure. Functions that have more to say than a code take
 * `dv_error *error`, which may be NULL. The message says what to do and never holds a secret. */
typedef struct dv_error {
    dv_result result;
    int line;   /* 1-based; 0: no place */
    int column; /* 1-based, in bytes; 0: no place */
    char message[DV_ERROR_MESSAGE_MAX];
} dv_error;

/* Fills error (when not NULL). Too long a message is cut. Line and column 0: no place. */
void dv_error_write(dv_error *error, dv_result result, int line, int column, const char *format,
                    ...) dv_printf(5, 6);

/* Fills error with the place in the input that the message speaks of and gives result back, so that
 * `return dv_error_set_at(...)` reads well. A macro, so that compilers and analyzers see that what
 * comes back is what was put in, and never DV_OK by chance. */
#define dv_error_set_at(error, result, line, column, ...)                                          \
    __extension__({                                                                                \
        dv_result dv_error_result_ = (result);                                                     \
        dv_error_write((error), dv_error_result_, (line), (column), __VA_ARGS__);                  \
        dv_error_result_;                                                                          \
    })

/* The same without a place. */
#define dv_error_set(error, result, ...) dv_error_set_at(error, result, 0, 0, __VA_ARGS__)
